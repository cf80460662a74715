#include "quring/impair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/impair/proxy.h"
#include "runtime/server/addr.h"
#include "runtime/server/error.h"

#define FLOWS_DEFAULT 1024u
#define HELD_DEFAULT  (64ull << 20)
#define HELD_MIN      (256ull << 10)
#define HELD_MAX      (16ull << 30)
#define RATE_MIN      1000ull /* bits per second */
#define RATE_MAX      1000000000000ull

void quring_impair_options_init(quring_impair_options *options)
{
    memset(options, 0, sizeof(*options));
    options->seed = 1;
    options->flows_max = FLOWS_DEFAULT;
    options->held_bytes_max = HELD_DEFAULT;
}

/* ---- what is allowed ----------------------------------------------------------------------------- */

static quring_status check_range(uint64_t value, uint64_t max, const char *way, const char *name,
                                 quring_error *err)
{
    return value <= max
               ? QURING_OK
               : rt_error_set(err, QURING_E_INVAL, "%s%s is %llu, allowed are 0..%llu", way, name,
                              (unsigned long long)value, (unsigned long long)max);
}

static quring_status check_link(const quring_impair_link *l, const char *way, quring_error *err)
{
    const struct {
        const char *name;
        uint64_t value;
        uint64_t max;
    } fields[] = {
        {"queue_packets", l->queue_packets, QURING_IMPAIR_QUEUE_MAX},
        {"mtu_bytes", l->mtu_bytes, 65535},
        {"delay_ns", l->delay_ns, QURING_IMPAIR_TIME_MAX},
        {"jitter_ns", l->jitter_ns, QURING_IMPAIR_TIME_MAX},
        {"reorder_ppm", l->reorder_ppm, QURING_IMPAIR_PPM},
        {"reorder_ns", l->reorder_ns, QURING_IMPAIR_TIME_MAX},
        {"loss_ppm", l->loss_ppm, QURING_IMPAIR_PPM},
        {"burst_begin_ppm", l->burst_begin_ppm, QURING_IMPAIR_PPM},
        {"burst_end_ppm", l->burst_end_ppm, QURING_IMPAIR_PPM},
        {"burst_loss_ppm", l->burst_loss_ppm, QURING_IMPAIR_PPM},
        {"duplicate_ppm", l->duplicate_ppm, QURING_IMPAIR_PPM},
        {"corrupt_ppm", l->corrupt_ppm, QURING_IMPAIR_PPM},
        {"ce_ppm", l->ce_ppm, QURING_IMPAIR_PPM},
        {"hole_ns", l->hole_ns, QURING_IMPAIR_TIME_MAX},
        {"pass_ns", l->pass_ns, QURING_IMPAIR_TIME_MAX},
        {"drop_count", l->drop_count, QURING_IMPAIR_DROPS_MAX},
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        quring_status status =
            check_range(fields[i].value, fields[i].max, way, fields[i].name, err);
        if (status != QURING_OK) {
            return status;
        }
    }
    if (l->rate_bits_per_s != 0 &&
        (l->rate_bits_per_s < RATE_MIN || l->rate_bits_per_s > RATE_MAX)) {
        return rt_error_set(err, QURING_E_INVAL,
                            "%srate_bits_per_s must be 0 or 1000..1000000000000", way);
    }
    return QURING_OK;
}

static bool is_loopback4(const quic_addr *addr)
{
    return addr->family == 4 && addr->ip[0] == 127;
}

static quring_status check(const quring_impair_options *o, quring_error *err)
{
    quic_addr server = rt_addr_to_core(&o->server);
    if (!rt_addr_is_usable(&o->server) || server.port == 0) {
        return rt_error_set(err, QURING_E_INVAL, "server is no address with a port");
    }
    if (o->local.family != 0 && !rt_addr_is_usable(&o->local)) {
        return rt_error_set(err, QURING_E_INVAL, "local is no address");
    }
    if (o->rebind_host && !is_loopback4(&server)) {
        return rt_error_set(err, QURING_E_INVAL,
                            "rebind_host needs a server at an address of 127.0.0.0/8");
    }
    if (o->flows_max == 0 || o->flows_max > QURING_IMPAIR_FLOWS_MAX) {
        return rt_error_set(err, QURING_E_INVAL, "flows_max is %u, allowed are 1..%u",
                            (unsigned)o->flows_max, QURING_IMPAIR_FLOWS_MAX);
    }
    if (o->held_bytes_max < HELD_MIN || o->held_bytes_max > HELD_MAX) {
        return rt_error_set(err, QURING_E_INVAL, "held_bytes_max must be 262144..17179869184");
    }
    quring_status status = check_range(o->rebind_ns, QURING_IMPAIR_TIME_MAX, "", "rebind_ns", err);
    if (status == QURING_OK) {
        status =
            check_range(o->rebind_first_ns, QURING_IMPAIR_TIME_MAX, "", "rebind_first_ns", err);
    }
    if (status == QURING_OK) {
        status = check_link(&o->to_server, "to_server.", err);
    }
    return status != QURING_OK ? status : check_link(&o->to_client, "to_client.", err);
}

/* ---- life ----------------------------------------------------------------------------------------- */

static quring_status start(quring_impair *p, quring_error *err)
{
    int rc = rt_impair_open(p);
    if (rc == 0) {
        rc = -pthread_create(&p->thread, NULL, rt_impair_thread, p);
    }
    if (rc == 0) {
        return QURING_OK;
    }
    return rc == -ENOMEM ? rt_error_set(err, QURING_E_NOMEM, "no memory for the proxy")
           : rc == -EADDRINUSE
               ? rt_error_os(err, QURING_E_ADDR_IN_USE, -rc, "cannot open the proxy")
               : rt_error_os(err, QURING_E_OS, -rc, "cannot open the proxy");
}

quring_status quring_impair_start(quring_impair **out, const quring_impair_options *options,
                                  quring_error *err)
{
    rt_error_clear(err);
    if (out == NULL || options == NULL) {
        return rt_error_set(err, QURING_E_INVAL, "out or options is NULL");
    }
    quring_status status = check(options, err);
    if (status != QURING_OK) {
        return status;
    }
    quring_impair *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return rt_error_set(err, QURING_E_NOMEM, "no memory for the proxy");
    }
    p->options = *options;
    p->server = rt_addr_to_core(&options->server);
    p->front.fd = p->epoll_fd = p->timer_fd = p->bell_fd = -1;
    status = start(p, err);
    if (status != QURING_OK) {
        rt_impair_close(p);
        free(p);
        return status;
    }
    *out = p;
    return QURING_OK;
}

void quring_impair_stop(quring_impair *proxy)
{
    if (proxy == NULL) {
        return;
    }
    atomic_store(&proxy->stopping, true);
    rt_impair_ring(proxy);
    (void)pthread_join(proxy->thread, NULL);
    rt_impair_close(proxy);
    free(proxy);
}

quring_addr quring_impair_local(const quring_impair *proxy)
{
    return rt_addr_from_core(&proxy->front.local);
}

void quring_impair_rebind(quring_impair *proxy)
{
    atomic_store(&proxy->rebind_asked, true);
    rt_impair_ring(proxy);
}

/* ---- counters ------------------------------------------------------------------------------------- */

void quring_impair_get_counts(const quring_impair *proxy, quring_impair_counts *out)
{
    const rt_impair_counters *c = &proxy->counters;
    memset(out, 0, sizeof(*out));
    for (int way = 0; way < 2; way++) {
        out->received[way] = atomic_load(&c->received[way]);
        for (int fate = 0; fate < QURING_IMPAIR_FATES; fate++) {
            out->fates[way][fate] = atomic_load(&c->fates[way][fate]);
        }
        out->corrupted[way] = atomic_load(&c->corrupted[way]);
        out->duplicated[way] = atomic_load(&c->duplicated[way]);
        out->reordered[way] = atomic_load(&c->reordered[way]);
        out->marked_ce[way] = atomic_load(&c->marked_ce[way]);
    }
    out->rebinds = atomic_load(&c->rebinds);
    out->flows = atomic_load(&c->flows);
    out->held_bytes = atomic_load(&c->held_bytes);
}

uint64_t quring_impair_dropped(const quring_impair_counts *counts)
{
    uint64_t dropped = 0;
    for (int fate = QURING_IMPAIR_PASSED + 1; fate < QURING_IMPAIR_FATES; fate++) {
        dropped += counts->fates[0][fate] + counts->fates[1][fate];
    }
    return dropped;
}

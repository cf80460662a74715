#include "tools/quicperf/sockets/client.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "quring/runtime.h"

#include "tools/quicperf/asked.h"
#include "tools/quicperf/meter.h"
#include "tools/quicperf/setup.h"
#include "tools/quicperf/sockets/client_thread.h"
#include "tools/quicperf/sockets/conn.h"
#include "tools/quicperf/sockets/target.h"
#include "tools/quicperf/units.h"

#define QP_HOST_MAX    256u
#define QP_STACK_BYTES (256u * 1024u)
#define QP_LEAVE_NS    (QP_NS_PER_S / 5)  /* for threads to leave by themselves ... */
#define QP_JOIN_NS     (15 * QP_NS_PER_S) /* ... and what a handshake takes at most */

typedef struct qp_sock_client {
    qp_sock_plan plan;
    qp_meter meter;
    qp_result *result;
    char host[QP_HOST_MAX];
    uint32_t thread_count;
    uint32_t started;
    uint64_t began_ns;
    qp_sock_thread *threads;
    qp_reading last;
} qp_sock_client;

static bool qp_sock_is_series(const qp_options *o)
{
    return o->mode == QP_MODE_CRR || o->mode == QP_MODE_HPS;
}

static int qp_sock_error(qp_sock_client *c, const char *text)
{
    (void)snprintf(c->result->error, sizeof(c->result->error), "%s", text);
    return QP_EXIT_FAILED;
}

/* ---- figures --------------------------------------------------------------------------------------------- */

/* Up, what is not acknowledged yet does not count; a connection that is lost cannot say how much that is:
 * its last reading stands. */
static void qp_sock_read(void *ctx, qp_reading *out)
{
    qp_sock_client *c = ctx;
    const qp_options *o = c->plan.options;
    bool up = o->mode == QP_MODE_TPUT && o->direction == QP_UP;
    qp_reading now = {.cpu_s = qp_process_cpu_s()};
    for (uint32_t i = 0; i < c->thread_count; i++) {
        const qp_sock_thread *t = &c->threads[i];
        uint64_t bytes = atomic_load(&t->bytes);
        int fd = atomic_load(&t->fds[0]);
        bool open = up && fd >= 0 && !atomic_load(&t->is_delivered);
        uint64_t unacked = open ? qp_sock_unacked(&c->plan.lib, fd) : 0;
        now.bytes += bytes > unacked ? bytes - unacked : 0;
        now.requests += atomic_load(&t->requests);
    }
    if (up && atomic_load(&c->plan.failed) != 0) {
        now.bytes = c->last.bytes;
    }
    c->last = now;
    *out = now;
}

/* crr and hps: a handshake call may take longer than the run. */
static void qp_sock_mind_silence(qp_sock_client *c)
{
    const qp_options *o = c->plan.options;
    char peer[64];
    char text[128];
    bool silent = qp_sock_is_series(o) && quring_now_ns() - c->began_ns > o->timeout_ns;
    for (uint32_t i = 0; i < c->thread_count && silent; i++) {
        silent = atomic_load(&c->threads[i].handshakes) == 0;
    }
    if (silent) {
        (void)snprintf(text, sizeof(text), "no answer from %s",
                       quring_addr_format(&c->plan.server, peer, sizeof(peer)));
        qp_sock_plan_fail(&c->plan, text);
    }
}

static bool qp_sock_is_over(void *ctx)
{
    qp_sock_client *c = ctx;
    bool idle = c->plan.options->mode == QP_MODE_IDLE;
    qp_sock_mind_silence(c);
    return atomic_load(&c->plan.failed) != 0 ||
           (!idle && atomic_load(&c->plan.done) == c->thread_count);
}

static bool qp_sock_all_ready(void *ctx)
{
    const qp_sock_client *c = ctx;
    return atomic_load(&c->plan.established) == c->plan.options->conns;
}

static bool qp_sock_all_left(const qp_sock_client *c)
{
    return atomic_load(&c->plan.done) == c->started;
}

static void qp_sock_conclude(qp_sock_client *c)
{
    const qp_options *o = c->plan.options;
    qp_result *r = c->result;
    for (uint32_t i = 0; i < c->thread_count; i++) {
        qp_sock_thread *t = &c->threads[i];
        r->connections += atomic_load(&t->handshakes);
        r->errors += atomic_load(&t->errors);
        r->unencrypted_count += atomic_load(&t->unencrypted);
        r->version_count += atomic_load(&t->version_count);
        r->version = r->version == 0 ? atomic_load(&t->version) : r->version;
    }
    r->interrupted = c->meter.interrupted;
    if (qp_sock_is_series(o) && r->seconds > 0) {
        r->handshakes_per_s = (double)r->connections / r->seconds;
    }
    if (o->mode == QP_MODE_TPUT || o->mode == QP_MODE_IDLE ||
        (r->latency = malloc(sizeof(*r->latency))) == NULL) {
        return;
    }
    qp_hist_init(r->latency);
    for (uint32_t i = 0; i < c->thread_count; i++) {
        qp_hist_merge(r->latency, c->threads[i].latency);
    }
}

/* ---- threads --------------------------------------------------------------------------------------------- */

static bool qp_sock_thread_open(qp_sock_thread *t, const qp_options *o, uint32_t conns)
{
    t->conns = conns;
    t->fds = calloc(conns > 0 ? conns : 1, sizeof(t->fds[0]));
    t->latency = malloc(sizeof(*t->latency));
    t->buf = malloc(QP_MESSAGE_BYTES);
    t->slots = calloc(o->streams, sizeof(t->slots[0]));
    if (t->fds == NULL || t->latency == NULL || t->buf == NULL || t->slots == NULL) {
        return false;
    }
    qp_hist_init(t->latency);
    for (uint32_t i = 0; i < conns; i++) {
        atomic_store(&t->fds[i], -1);
    }
    return true;
}

static int qp_sock_start(qp_sock_client *c)
{
    const qp_options *o = c->plan.options;
    uint32_t conns_left = o->conns;
    uint64_t bytes_left = o->amount;
    pthread_attr_t attr;
    c->thread_count = o->mode == QP_MODE_IDLE ? o->workers : o->conns;
    c->threads = calloc(c->thread_count, sizeof(c->threads[0]));
    if (c->threads == NULL) {
        c->thread_count = 0;
        return qp_sock_error(c, "out of memory");
    }
    for (uint32_t i = 0; i < c->thread_count; i++) {
        qp_sock_thread *t = &c->threads[i];
        uint32_t conns = conns_left / (c->thread_count - i);
        t->plan = &c->plan;
        t->share = bytes_left / (c->thread_count - i);
        conns_left -= conns;
        bytes_left -= t->share;
        if (!qp_sock_thread_open(t, o, conns)) {
            return qp_sock_error(c, "out of memory");
        }
    }
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, QP_STACK_BYTES);
    bool ok = true;
    for (uint32_t i = 0; ok && i < c->thread_count; i++) {
        qp_sock_thread *t = &c->threads[i];
        t->started = pthread_create(&t->thread, &attr, qp_sock_thread_main, t) == 0;
        ok = t->started;
        c->started += ok ? 1 : 0;
    }
    (void)pthread_attr_destroy(&attr);
    return ok ? QP_EXIT_OK : qp_sock_error(c, "cannot start so many threads");
}

static void qp_sock_go(void *ctx)
{
    qp_sock_client *c = ctx;
    (void)pthread_mutex_lock(&c->plan.lock);
    c->plan.running = true;
    (void)pthread_cond_broadcast(&c->plan.go);
    (void)pthread_mutex_unlock(&c->plan.lock);
}

/* Ends every connection there is. */
static void qp_sock_shut_down(qp_sock_client *c)
{
    for (uint32_t i = 0; i < c->thread_count; i++) {
        const qp_sock_thread *t = &c->threads[i];
        for (uint32_t k = 0; t->fds != NULL && k < t->conns; k++) {
            int fd = atomic_load(&t->fds[k]);
            if (fd >= 0) {
                (void)c->plan.lib.shutdown(fd, SHUT_RDWR);
            }
        }
    }
}

/* Who waits in a call is called back by the end of its connection. */
static void qp_sock_stop(qp_sock_client *c)
{
    struct timespec pause = {.tv_nsec = 1000000};
    uint64_t now = quring_now_ns();
    uint64_t gentle = now + QP_LEAVE_NS;
    uint64_t until = now + QP_JOIN_NS;
    atomic_store(&c->plan.stopped, true);
    qp_sock_go(c);
    bool pushed = false;
    while (!qp_sock_all_left(c) && (now = quring_now_ns()) < until) {
        (void)nanosleep(&pause, NULL);
        if (!pushed && now >= gentle) {
            qp_sock_shut_down(c);
            pushed = true;
        }
    }
    for (uint32_t i = 0; i < c->thread_count; i++) {
        qp_sock_thread *t = &c->threads[i];
        if (t->started) {
            (void)pthread_join(t->thread, NULL);
        }
        for (uint32_t k = 0; t->fds != NULL && k < t->conns; k++) {
            if (t->fds[k] >= 0) {
                (void)c->plan.lib.close(t->fds[k]);
            }
        }
    }
}

static void qp_sock_free(qp_sock_client *c)
{
    for (uint32_t i = 0; i < c->thread_count; i++) {
        free(c->threads[i].fds);
        free(c->threads[i].latency);
        free(c->threads[i].buf);
        free(c->threads[i].slots);
    }
    free(c->threads);
}

/* ---- the run --------------------------------------------------------------------------------------------- */

static int qp_sock_open_all(qp_sock_client *c)
{
    const qp_options *o = c->plan.options;
    char peer[64];
    char text[128];
    uint64_t began = quring_now_ns();
    c->began_ns = began;
    int rc = qp_sock_start(c);
    if (rc != QP_EXIT_OK || qp_sock_is_series(o)) {
        return rc;
    }
    qp_meter_wait(&c->meter, qp_sock_all_ready, began + o->timeout_ns * (1 + o->conns / 64));
    if (atomic_load(&c->plan.failed) != 0) {
        return qp_sock_error(c, c->plan.error);
    }
    if (c->meter.interrupted) {
        c->result->interrupted = true;
        return QP_EXIT_INTERRUPTED;
    }
    if (!qp_sock_all_ready(c)) {
        (void)snprintf(text, sizeof(text), "no answer from %s",
                       quring_addr_format(&c->plan.server, peer, sizeof(peer)));
        return qp_sock_error(c, text);
    }
    double seconds = (double)(quring_now_ns() - began) / 1e9;
    c->result->handshakes_per_s = seconds > 0 ? o->conns / seconds : 0;
    if (o->mode == QP_MODE_IDLE) {
        qp_out_line(c->meter.out, "holding %" PRIu32 " connections", o->conns);
    }
    return QP_EXIT_OK;
}

/* idle: connections that did not stay. */
static void qp_sock_count_lost(qp_sock_client *c)
{
    char text[96];
    uint64_t lost = 0;
    for (uint32_t i = 0; i < c->thread_count; i++) {
        const qp_sock_thread *t = &c->threads[i];
        for (uint32_t k = 0; k < t->conns; k++) {
            struct pollfd p = {.fd = t->fds[k], .events = 0};
            lost += p.fd >= 0 && c->plan.lib.poll(&p, 1, 0) > 0 ? 1 : 0;
        }
    }
    c->result->errors += lost;
    if (lost > 0) {
        (void)snprintf(text, sizeof(text), "%" PRIu64 " connections were lost", lost);
        qp_sock_plan_fail(&c->plan, text);
    }
}

static int qp_sock_run(qp_sock_client *c)
{
    const qp_options *o = c->plan.options;
    quring_error err;
    memset(&err, 0, sizeof(err));
    if (qp_target_find(&c->plan.server, o->target, (uint16_t)o->port, &err) != QURING_OK) {
        return qp_sock_error(c, err.message);
    }
    c->plan.name = qp_host_name(c->host, sizeof(c->host), o->target) ? c->host : NULL;
    if (!qp_meter_open(&c->meter)) {
        return qp_sock_error(c, strerror(errno));
    }
    int rc = qp_sock_open_all(c);
    if (rc == QP_EXIT_OK) {
        qp_meter_run(&c->meter);
        if (o->mode == QP_MODE_IDLE) {
            qp_sock_count_lost(c);
        }
    }
    bool failed = atomic_load(&c->plan.failed) != 0;
    qp_sock_stop(c);
    qp_sock_conclude(c);
    if (rc != QP_EXIT_OK) {
        return rc;
    }
    return failed                 ? qp_sock_error(c, c->plan.error)
           : c->meter.interrupted ? QP_EXIT_INTERRUPTED
                                  : QP_EXIT_OK;
}

int qp_sock_measure(qp_result *result, const qp_client_run *run)
{
    const qp_options *o = run->options;
    char text[256];
    qp_result_begin(result, o);
    result->api = "sockets";
    qp_sock_client *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        (void)snprintf(result->error, sizeof(result->error), "out of memory");
        return QP_EXIT_FAILED;
    }
    c->result = result;
    c->plan.options = o;
    c->plan.meter = &c->meter;
    atomic_store(&c->plan.quota, o->amount > INT64_MAX ? INT64_MAX : (int64_t)o->amount);
    (void)pthread_mutex_init(&c->plan.lock, NULL);
    (void)pthread_cond_init(&c->plan.go, NULL);
    c->meter = (qp_meter){.options = o,
                          .result = result,
                          .out = run->out,
                          .signal_fd = run->signal_fd,
                          .ctx = c,
                          .read = qp_sock_read,
                          .is_over = qp_sock_is_over,
                          .go = qp_sock_go,
                          .wake_fd = -1};
    int rc = QP_EXIT_USAGE;
    if (qp_lib_load(&c->plan.lib, o, result->error, sizeof(result->error))) {
        rc = qp_sock_run(c);
        if (rc == QP_EXIT_OK && qp_asked_but_missed(text, sizeof(text), o, result)) {
            rc = qp_sock_error(c, text);
        }
    }
    qp_sock_free(c);
    qp_meter_close(&c->meter);
    (void)pthread_cond_destroy(&c->plan.go);
    (void)pthread_mutex_destroy(&c->plan.lock);
    free(c);
    return rc;
}

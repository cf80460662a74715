#include "runtime/server/listen_open.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "runtime/server/addr.h"
#include "runtime/server/error.h"
#include "runtime/udp/steer_bpf.h"

quring_status rt_listen_explain(const quic_addr *asked, int rc, quring_error *err)
{
    quring_addr local = rt_addr_from_core(asked);
    char text[64];
    if (rc == -EUSERS) {
        return rt_error_set(err, QURING_E_LIMIT, "cannot listen on %s: a worker takes %u sockets",
                            quring_addr_format(&local, text, sizeof(text)), RT_IO_SOCKETS_MAX);
    }
    return rt_error_os(err, rc == -EADDRINUSE ? QURING_E_ADDR_IN_USE : QURING_E_OS, -rc,
                       "cannot listen on %s", quring_addr_format(&local, text, sizeof(text)));
}

/* Opens the group: until now the address was this socket's alone. */
static int rt_listen_open_group(const rt_udp_socket *first)
{
    int on = 1;
    return setsockopt(first->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0 ? 0 : -errno;
}

/* Binds one socket per worker, in order. `joins`: the first one joins those that have the address; `opens`:
 * others may join it. What was opened before a failure is the caller's to close. */
static int rt_listen_open(quring_runtime *rt, rt_listen_place *place, bool joins, bool opens)
{
    uint32_t count = rt->config.workers;
    rt_udp_socket *socks = place->socks;
    rt_udp_options uo = rt_runtime_socket_options(rt, &place->asked);
    uo.dual_stack = rt->config.dual_stack;
    uo.merges = true;
    for (uint32_t opened = 0; opened < count; opened++) {
        uo.reuseport = opened > 0 || joins;
        int rc = rt_udp_open(&socks[opened], &uo);
        if (rc == 0) {
            uo.local.port = socks[0].local.port;
            rc =
                opened == 0 && (count > 1 || opens) && !joins ? rt_listen_open_group(&socks[0]) : 0;
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* An address that processes share is the first one's, and that of those who join it. The kernel lets this
 * user join any group of its own, also that of a listener which shares with nobody and has several
 * workers: so that one of those there has to answer. */
static int rt_listen_open_shared(quring_runtime *rt, rt_listen_place *place, bool covered,
                                 bool accepts)
{
    int rc = rt_listen_open(rt, place, covered, true);
    const bool joins = rc == -EADDRINUSE && place->asked.port != 0 && place->socks[0].fd < 0;
    if (joins) {
        rc = rt_listen_open(rt, place, true, true);
    }
    if (rc == 0) {
        uint32_t flags = (accepts ? RT_RELAY_ACCEPTS : 0u) | (joins ? 0u : RT_RELAY_FIRST);
        rc = rt_relay_open(&place->relay, &place->inbox, &rt->process, &place->socks[0].local,
                           flags);
    }
    return rc == 0 && joins ? rt_relay_join(place->relay, &place->inbox) : rc;
}

void rt_listen_close_places(rt_listen_plan *plan)
{
    for (uint32_t i = 0; i < RT_LISTEN_PLACES; i++) {
        for (uint32_t j = 0; j < plan->rt->config.workers; j++) {
            rt_udp_close(&plan->places[i].socks[j]);
        }
        rt_udp_close(&plan->places[i].inbox);
        rt_relay_close(plan->places[i].relay);
    }
}

quring_status rt_listen_open_places(rt_listen_plan *plan, quring_error *err)
{
    const quring_addr *asked[RT_LISTEN_PLACES] = {
        &plan->options->local, &plan->options->preferred_v4, &plan->options->preferred_v6};
    const rt_udp_socket *first = &plan->places[0].socks[0];
    const bool shared = rt_listen_is_shared(plan);
    const bool grouped = plan->rt->config.workers > 1 || shared;
    for (uint32_t i = 0; i < RT_LISTEN_PLACES; i++) {
        if (asked[i]->family == 0) {
            continue;
        }
        rt_listen_place *place = &plan->places[plan->place_count];
        place->asked = rt_addr_to_core(asked[i]);
        place->group_name = grouped ? plan->rt->next_group++ : 0;
        bool covered = false; /* the port is that of a wildcard socket of ours */
        int rc = 0;
        if (i > 0) {
            place->asked.port = place->asked.port != 0 ? place->asked.port : first->local.port;
            covered = first->any && place->asked.port == first->local.port &&
                      (first->dual_stack || place->asked.family == first->local.family);
            rc = covered ? rt_listen_open_group(first) : 0;
        }
        if (rc == 0) {
            rc = shared ? rt_listen_open_shared(plan->rt, place, covered, i == 0)
                        : rt_listen_open(plan->rt, place, covered, false);
        }
        if (rc != 0) {
            return rt_listen_explain(&place->asked, rc, err);
        }
        plan->place_count++;
    }
    return QURING_OK;
}

static void rt_listen_steer_one(const quring_runtime *rt, const rt_udp_socket *first)
{
    int rc = rt->config.workers > 1
                 ? rt_steer_attach(first->fd, rt->config.workers, quic_cid_format_len(&rt->cids))
                 : 0;
    if (rc != 0) {
        rt_log_line(&rt->log, RT_LOG_WARNING,
                    "steering by connection ID is refused (%s): datagrams that reach the wrong "
                    "worker are forwarded",
                    strerror(-rc));
    }
}

void rt_listen_steer(const rt_listen_plan *plan)
{
    for (uint32_t i = 0; i < plan->place_count && !rt_listen_is_shared(plan); i++) {
        rt_listen_steer_one(plan->rt, &plan->places[i].socks[0]);
    }
}

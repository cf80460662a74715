/* runtime/server/listen_open.h: the sockets of a listener: opened, bound in order, grouped, steered; not yet a
 * worker's. How and why: runtime/server/listener.h.
 */
#ifndef RUNTIME_SERVER_LISTEN_OPEN_H
#define RUNTIME_SERVER_LISTEN_OPEN_H

#include "quring/runtime.h"

#include "runtime/core/relay.h"
#include "runtime/server/listener.h"
#include "runtime/server/runtime.h"
#include "runtime/udp/udp_socket.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One address and its sockets, in the order of the workers. */
typedef struct rt_listen_place {
    quic_addr asked;
    uint32_t group_name;
    rt_udp_socket socks[QURING_WORKERS_MAX]; /* fd -1: not open, or a worker's already */
    rt_relay *relay;                         /* NULL: not shared, or the group's already */
    rt_udp_socket inbox;                     /* fd as above */
} rt_listen_place;

/* Everything one call of quring_listen opens. */
typedef struct rt_listen_plan {
    quring_runtime *rt;
    const quring_listen_options *options;
    uint32_t place_count;
    rt_listen_place places[RT_LISTEN_PLACES]; /* the one that accepts first */
} rt_listen_plan;

static inline bool rt_listen_is_shared(const rt_listen_plan *plan)
{
    return (plan->options->flags & QURING_LISTEN_SHARED) != 0;
}

/* rt_listen_open_places opens the place that accepts, then the preferred ones: a client has to know their
 * ports. What was opened before a failure is rt_listen_close_places' to close, and so is what no worker has
 * taken. */
quring_status rt_listen_open_places(rt_listen_plan *plan, quring_error *err);
void rt_listen_close_places(rt_listen_plan *plan);

/* rt_listen_steer has the kernel deliver by connection ID, where all sockets are ours. */
void rt_listen_steer(const rt_listen_plan *plan);

/* rt_listen_explain says of `rc`, a negative errno, that it came from listening on `asked`. */
quring_status rt_listen_explain(const quic_addr *asked, int rc, quring_error *err);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_SERVER_LISTEN_OPEN_H */

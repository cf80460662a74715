/* runtime/impair/proxy.h: the proxy's thread: sockets in, decisions of the two lines, sockets out when it
 * is time.
 *
 * Shape:  one epoll with the front socket, a socket per client, a timer, and a bell. Counters are
 *         written by the thread and read by anybody.
 * Owner:  runtime/impair/impair.c creates it and joins the thread.
 */
#ifndef RUNTIME_IMPAIR_PROXY_H
#define RUNTIME_IMPAIR_PROXY_H

#include <pthread.h>
#include <stdatomic.h>

#include "quring/impair.h"

#include "runtime/impair/flows.h"
#include "runtime/impair/hold.h"
#include "runtime/impair/line.h"
#include "runtime/udp/udp_socket.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Names of the counters: [0] to the server, [1] to the client. */
typedef struct rt_impair_counters {
    _Atomic uint64_t received[2];
    _Atomic uint64_t fates[2][QURING_IMPAIR_FATES];
    _Atomic uint64_t corrupted[2];
    _Atomic uint64_t duplicated[2];
    _Atomic uint64_t reordered[2];
    _Atomic uint64_t marked_ce[2];
    _Atomic uint64_t rebinds;
    _Atomic uint64_t flows;
    _Atomic uint64_t held_bytes;
} rt_impair_counters;

typedef struct rt_impair_batch rt_impair_batch;

struct quring_impair {
    quring_impair_options options;
    quic_addr server;
    rt_udp_socket front;
    int epoll_fd;
    int timer_fd;
    int bell_fd;
    pthread_t thread;
    rt_line lines[2];
    quic_ns *leaves[2];
    rt_hold hold;
    rt_flows flows;
    rt_impair_batch *batch;
    quic_rng_seeded_state rng; /* new addresses */
    quic_ns rebind_at_ns;
    bool began; /* the first datagram came */
    _Atomic bool stopping;
    _Atomic bool rebind_asked;
    rt_impair_counters counters;
};

/* rt_impair_open makes sockets and memory from p->options, whose numbers were checked. Returns 0 or a negative
 * errno; either way rt_impair_close frees what there is. */
QUIC_NODISCARD int rt_impair_open(quring_impair *p);
void rt_impair_close(quring_impair *p);

/* rt_impair_thread runs until p->stopping and a ring of the bell. */
void *rt_impair_thread(void *proxy);

/* rt_impair_ring wakes the thread up. */
void rt_impair_ring(const quring_impair *p);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_IMPAIR_PROXY_H */

/* tools/quicperf/sockets/client_thread.h: one thread of the client and the connection it works on.
 *
 * Owner:  qp_sock_client; the thread writes its counters, the main thread reads them at any time.
 */
#ifndef TOOLS_QUICPERF_SOCKETS_CLIENT_THREAD_H
#define TOOLS_QUICPERF_SOCKETS_CLIENT_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "quring/base.h"

#include "tools/quicperf/hist.h"
#include "tools/quicperf/meter.h"
#include "tools/quicperf/options.h"
#include "tools/quicperf/sockets/lib.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What all threads share. */
typedef struct qp_sock_plan {
    const qp_options *options;
    const qp_meter *meter;
    qp_lib lib;
    quring_addr server;
    const char *name; /* to be verified; NULL: an address */

    pthread_mutex_t lock;
    pthread_cond_t go;
    bool running;                 /* lock: the measuring has begun */
    _Atomic bool stopped;         /* it is over */
    _Atomic int64_t quota;        /* requests or handshakes still to be begun (-n) */
    _Atomic uint32_t established; /* connections that stand */
    _Atomic uint32_t done;        /* threads with nothing left to do */
    _Atomic int error_taken;      /* the first to set it writes error */
    _Atomic int failed;           /* error is complete */
    char error[256];
} qp_sock_plan;

/* One request or transfer. */
typedef struct qp_sock_slot {
    uint64_t stream;
    uint64_t began_ns;
    uint64_t got;
    uint64_t asked; /* to be received; QP_ENDLESS: until the run ends */
    uint64_t left;  /* up: payload still to be sent, QP_ENDLESS: no end */
    bool live;
} qp_sock_slot;

typedef struct qp_sock_thread {
    qp_sock_plan *plan;
    pthread_t thread;
    bool started;
    uint32_t conns;   /* idle: to be opened by this thread */
    _Atomic int *fds; /* `conns` of them, -1: none */
    uint64_t next_stream;
    uint64_t share; /* tput with -n: bytes of this thread */
    qp_hist *latency;
    uint8_t *buf; /* QP_MESSAGE_BYTES */
    qp_sock_slot *slots;
    uint32_t live; /* slots */

    _Atomic uint64_t bytes;    /* read; up: handed over */
    _Atomic bool is_delivered; /* up, -n: all of it, the server says */
    _Atomic uint64_t requests;
    _Atomic uint64_t handshakes;
    _Atomic uint64_t errors;
    _Atomic uint64_t unencrypted;
    _Atomic uint64_t version_count; /* handshakes in the version of --version */
    _Atomic uint32_t version;       /* of the last connection */
} qp_sock_thread;

/* qp_sock_thread_main is the thread; ctx is the qp_sock_thread. */
void *qp_sock_thread_main(void *ctx);

/* qp_sock_fail ends the run with `text`; the first one counts. */
void qp_sock_plan_fail(qp_sock_plan *plan, const char *text);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_SOCKETS_CLIENT_THREAD_H */

/* tools/quicperf/client_worker.h: what the client does on one worker thread.
 *
 * Shape:  the main thread posts connect, start, sample, stop and close in this order; the worker
 *         counts, and writes to an eventfd when the main thread should look. Connections and their
 *         stream slots belong to the worker that opened them.
 * Owner:  qp_client of client.c; created before the first post, freed after the runtime has stopped.
 */
#ifndef TOOLS_QUICPERF_CLIENT_WORKER_H
#define TOOLS_QUICPERF_CLIENT_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "quring/quring.h"

#include "tools/quicperf/hist.h"
#include "tools/quicperf/options.h"
#include "tools/quicperf/proto.h"
#include "tools/quicperf/shares.h"
#include "tools/quicperf/tickets.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What all workers share; written before the first post, except t0_ns, before that of start, and the error. */
typedef struct qp_client_plan {
    const qp_options *options;
    quring_addr remote; /* the server, or the bad network before it */
    quring_addr server; /* as texts name it */
    quring_addr local;  /* family 0: any */
    const char *server_name;
    quring_tls *tls;
    int wake_fd;
    uint64_t t0_ns;          /* when the measured run began */
    _Atomic int error_taken; /* the first to set it writes error */
    _Atomic int failed;      /* error is complete */
    char error[1024];
} qp_client_plan;

/* One picture of a worker's work, taken by the worker. */
typedef struct qp_sample {
    uint64_t at_ns;
    uint64_t bytes;
    uint64_t requests;
    uint64_t handshakes;
    uint64_t errors;
    uint64_t rtt_ns;
    uint64_t min_rtt_ns;
    uint64_t cwnd_bytes;
    uint64_t datagrams;
    uint64_t datagrams_lost;
    uint64_t bulk_bytes;
} qp_sample;

typedef struct qp_cconn qp_cconn;
struct qp_slot;

/* latency: request k is due at t0_ns + k * interval_ns, whatever became of those before it, and however late the worker
 * is that sends it. */
typedef struct qp_load {
    double interval_ns;
    uint64_t t0_ns;
    uint64_t planned;     /* requests that got a slot: k of the next one */
    uint64_t ended;       /* of these, answered, rightly or not */
    struct qp_slot *free; /* slots without a request, the one that waits for longest first ... */
    struct qp_slot *free_last; /* ... so that all connections get their turn */
    bool armed;                /* a timer will look */
    uint64_t unsent;           /* at the end: due, and not sent */
    uint64_t unanswered;       /* sent */
} qp_load;

typedef struct qp_cworker {
    qp_client_plan *plan;
    uint32_t conns; /* how many this worker keeps open */
    bool limited;   /* ends by itself after `quota` (-n) */
    uint64_t quota; /* bytes or requests of this worker in all */
    uint8_t *scratch;
    qp_hist *latency; /* rr, crr, hps, latency */
    qp_load load;     /* latency */
    qp_shares shares; /* fair */
    qp_cconn *list;   /* every connection not yet CLOSED, in the order of their beginning */
    qp_cconn *list_last;
    qp_cconn *shaken;        /* hps: to be closed when their Finished has left */
    bool shaken_armed;       /* a timer will look */
    uint32_t opening;        /* handshakes under way */
    uint32_t to_open;        /* connections still to be begun */
    uint32_t active;         /* tput: streams not finished */
    qp_tickets tickets;      /* --resume, --0rtt */
    qp_tickets tokens;       /* --token */
    bool warming;            /* connections are opened for their tickets only */
    uint32_t warm_left;      /* of these, those whose tickets have not come */
    uint64_t resumed;        /* measured connections that resumed ... */
    uint64_t cert_shown;     /* measured connections on which --cert went to the server */
    uint64_t zero_rtt;       /* ... and had their 0-RTT accepted */
    uint64_t zero_rtt_bytes; /* stream bytes in it */
    uint64_t retried;        /* measured connections that went through a Retry */
    uint64_t spared;         /* that showed a token and did not */
    uint64_t version_count;  /* measured connections in the version of --version */
    uint64_t unencrypted;    /* measured connections without 1-RTT encryption */
    uint64_t migrations;     /* moves that --migrate asked for and that succeeded */
    uint64_t preferred;      /* connections that went to the server's preferred address */
    quring_status
        move_refused; /* why the last one was not even begun; QURING_OK: none was refused */
    uint64_t issued;  /* requests or shares begun */
    bool measuring;
    bool stopped;

    uint64_t bulk_bytes;     /* --bulk, down: delivered */
    uint64_t urgent_streams; /* --urgent */

    uint64_t bytes; /* delivered (down, rr, crr), or acknowledged on ended streams (up) */
    uint64_t requests;
    uint64_t errors;
    uint64_t handshakes;
    qp_sample sample;      /* the main thread reads it after samples_taken grew */
    quring_conn_info info; /* of one connection; version 0: none yet */

    _Atomic uint32_t samples_taken;
    _Atomic uint32_t established; /* connections that reached CONNECTED before the start */
    _Atomic uint32_t open;        /* connections not yet CLOSED */
    _Atomic int warm;             /* the tickets are there */
    _Atomic int done;             /* the quota is used up, or every stream has ended */
    _Atomic uint64_t done_ns;
} qp_cworker;

/* Tasks for quring_post; ctx is the qp_cworker.
 *   warm     opens connections for their tickets, as many as will be measured, and closes them
 *   connect  begins its connections, a bounded number at a time
 *   start    begins to transfer
 *   sample   fills `sample`, then samples_taken grows
 *   stop     ends the measuring: takes a last sample; down: stops the streams, up: sends their ends
 *   close    closes every connection
 */
void qp_cworker_warm(void *ctx);
void qp_cworker_connect(void *ctx);
void qp_cworker_start(void *ctx);
void qp_cworker_sample(void *ctx);
void qp_cworker_stop(void *ctx);
void qp_cworker_close(void *ctx);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_CLIENT_WORKER_H */

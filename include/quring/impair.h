/* quring/impair.h: a bad network between a client and a server, on real sockets: a UDP proxy that loses,
 * delays, reorders, repeats, damages and shapes datagrams as told. For tests and measurements.
 *
 * Shape:   the client connects to quring_impair_local; every client address gets a socket of its own
 *          towards the server, as behind a NAT. Each direction is a line of its own: first the MTU, then
 *          a drop-tail queue in front of a line of a given rate, then the delay, and at its far end what
 *          is lost or damaged, so that a lost datagram has used the line.
 * Units:   probabilities in parts per million of the datagrams; a datagram is one UDP payload, also
 *          where sender and receiver use segmentation offload. ECN marks pass in both directions.
 * Threads: one of its own per proxy; every function here may be called from any thread, for one proxy
 *          not after or during quring_impair_stop.
 * Random:  the same seed makes the same decisions for the same sequence of datagrams.
 */
#ifndef QURING_IMPAIR_H
#define QURING_IMPAIR_H

#include "quring/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QURING_IMPAIR_PPM       1000000u /* always */
#define QURING_IMPAIR_DROPS_MAX 32u
#define QURING_IMPAIR_QUEUE_MAX 65536u
#define QURING_IMPAIR_FLOWS_MAX 65536u
#define QURING_IMPAIR_TIME_MAX  (3600ull * 1000000000ull)

/* What one direction does. All zero: nothing. */
typedef struct quring_impair_link {
    uint64_t rate_bits_per_s; /* of IP packets; 0 = unlimited */
    uint32_t queue_packets;   /* that wait besides the one on the line; 0 = what the line carries in
                                 50 ms, at least 25 */
    uint32_t mtu_bytes;       /* IP packets larger than this are dropped; 0 = none */
    uint64_t delay_ns;
    uint64_t jitter_ns;    /* 0..jitter_ns more, each its own; does not change the order */
    uint32_t reorder_ppm;  /* these come reorder_ns late and are overtaken */
    uint64_t reorder_ns;   /* 0 = half of delay_ns, at least 1 ms */
    uint32_t loss_ppm;     /* each is lost with this probability */
    uint32_t loss_run_max; /* after so many lost in a row the next one passes; 0 = no such rule */
    /* Gilbert-Elliott: before each datagram a good line turns bad so often */
    uint32_t burst_begin_ppm;
    uint32_t burst_end_ppm;  /* ... and a bad one good */
    uint32_t burst_loss_ppm; /* lost while it is bad; 0 = all */
    uint32_t duplicate_ppm;
    uint32_t corrupt_ppm;     /* one of the first 51 bytes is altered, what is left is delivered;
                                 Version Negotiation packets are spared */
    uint32_t corrupt_run_max; /* as loss_run_max */
    uint32_t ce_ppm;          /* marked CE, of those that are ECN-capable (RFC 3168) */
    uint64_t hole_ns;         /* everything is lost for hole_ns ... */
    uint64_t pass_ns;         /* ... after pass_ns without; counted from the first datagram */
    uint32_t holes_max;       /* so many holes, then none; 0 = again and again */
    uint32_t drop_count;
    uint32_t drops[QURING_IMPAIR_DROPS_MAX]; /* drop these, counted from 1 as they leave the line */
} quring_impair_link;

/* What became of a datagram. */
typedef enum quring_impair_fate {
    QURING_IMPAIR_PASSED = 0,
    QURING_IMPAIR_LOST,        /* loss_ppm */
    QURING_IMPAIR_LOST_BURST,  /* burst_*_ppm */
    QURING_IMPAIR_LOST_QUEUE,  /* the queue was full */
    QURING_IMPAIR_LOST_MTU,    /* larger than mtu_bytes */
    QURING_IMPAIR_LOST_HOLE,   /* hole_ns */
    QURING_IMPAIR_LOST_LIST,   /* named in drops */
    QURING_IMPAIR_LOST_MEMORY, /* held_bytes_max reached, or memory refused */
    QURING_IMPAIR_LOST_SEND,   /* the kernel did not take it, or nobody is there to take it */
    QURING_IMPAIR_FATES,
} quring_impair_fate;

/* One datagram as it came in, and what was decided. `data` is the proxy's, for the call. */
typedef struct quring_impair_seen {
    quring_bytes data;
    uint64_t at_ns;          /* when it came in */
    quring_impair_fate fate; /* LOST_MEMORY and LOST_SEND come later than this */
    uint32_t path;           /* how often this client had been given a new path */
    uint8_t ecn;
    bool to_server;
    bool corrupted;
    bool duplicated;
} quring_impair_seen;

typedef void (*quring_impair_tap)(void *ctx, const quring_impair_seen *seen);

typedef struct quring_impair_options {
    quring_addr server;
    quring_addr local; /* where clients connect; family 0: loopback of the server's family */
    quring_impair_link to_server;
    quring_impair_link to_client;
    uint64_t seed;
    /* After the first datagram every client gets a new path: another port */
    uint64_t rebind_first_ns;
    uint64_t rebind_ns; /* and again every so often; 0 = once, or never without rebind_first_ns */
    bool rebind_host;   /* and another address of 127.0.0.0/8; only to an IPv4 loopback server */
    uint32_t flows_max; /* client addresses; beyond, the longest unused one is forgotten */
    uint64_t held_bytes_max; /* datagrams under way, with what keeping them costs */
    quring_impair_tap tap;   /* sees every datagram, on the proxy's thread; NULL = nobody does */
    void *tap_ctx;
} quring_impair_options;

typedef struct quring_impair_counts {
    uint64_t received[2]; /* [0] from clients to the server, [1] back */
    uint64_t fates[2][QURING_IMPAIR_FATES];
    uint64_t corrupted[2]; /* of those passed */
    uint64_t duplicated[2];
    uint64_t reordered[2];
    uint64_t marked_ce[2];
    uint64_t rebinds;    /* new paths given */
    uint64_t flows;      /* client addresses seen */
    uint64_t held_bytes; /* now */
} quring_impair_counts;

typedef struct quring_impair quring_impair;

/* quring_impair_options_init: no impairment, room for 1024 clients and 64 MiB. */
QURING_EXPORT void quring_impair_options_init(quring_impair_options *options);

/* quring_impair_start opens the sockets and starts the thread. Returns QURING_OK; QURING_E_INVAL with
 * the name of the bad field; QURING_E_ADDR_IN_USE; QURING_E_OS; QURING_E_NOMEM. `options` is borrowed for the
 * call. */
QURING_EXPORT QURING_NODISCARD quring_status
quring_impair_start(quring_impair **out, const quring_impair_options *options, quring_error *err);

/* quring_impair_local: the address clients connect to. */
QURING_EXPORT quring_addr quring_impair_local(const quring_impair *proxy);

/* quring_impair_rebind gives every client a new path as soon as the thread comes to it. */
QURING_EXPORT void quring_impair_rebind(quring_impair *proxy);

/* quring_impair_get_counts copies the counters; while datagrams flow they are not of one instant. */
QURING_EXPORT void quring_impair_get_counts(const quring_impair *proxy, quring_impair_counts *out);

/* quring_impair_dropped: all datagrams that did not pass, of both directions. */
QURING_EXPORT uint64_t quring_impair_dropped(const quring_impair_counts *counts);

/* quring_impair_stop ends the thread, drops what is under way and frees the proxy; NULL is fine. */
QURING_EXPORT void quring_impair_stop(quring_impair *proxy);

#ifdef __cplusplus
}
#endif

#endif /* QURING_IMPAIR_H */

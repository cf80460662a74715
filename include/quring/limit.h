/* quring/limit.h: the "null QUIC" ceiling of this machine: packet protection, header protection,
 * GSO, GRO and one copy at the receiver, and nothing else. What a QUIC stack reaches over one connection
 * with one core each side is read against it.
 */
#ifndef QURING_LIMIT_H
#define QURING_LIMIT_H

#include "quring/config.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quring_limit_options {
    quring_io_backend io;
    quring_aead aead;
    uint32_t udp_payload_bytes; /* 1200..65507 */
    uint64_t duration_ns;
    uint64_t window_bytes; /* in flight */
    int32_t cpu_send;      /* -1: not pinned */
    int32_t cpu_recv;
    uint32_t socket_buf_bytes;
    /* Asked a hundred times a second, on a thread of the call's own: true ends the measurement early;
     * NULL: nothing does */
    bool (*stop)(void *ctx);
    void *ctx;
} quring_limit_options;

typedef struct quring_limit_result {
    double goodput_bps; /* plaintext opened by the receiver, bits per second of wall time */
    double seconds;
    uint64_t packets;
    uint64_t packets_lost;
    uint64_t packets_bad; /* failed authentication: always 0 unless the machine is broken */
    double cpu_send_s;
    double cpu_recv_s;
    const char *backend; /* "io_uring" or "syscalls" */
    const char *aead;
} quring_limit_result;

/* quring_limit_options_init fills in the defaults. */
QURING_EXPORT void quring_limit_options_init(quring_limit_options *options);

/* quring_limit_run measures. Blocks for about options->duration_ns and uses two threads. Returns
 * QURING_OK; QURING_E_INVAL; QURING_E_OS; QURING_E_NOT_SUPPORTED; QURING_E_NOMEM. */
QURING_EXPORT QURING_NODISCARD quring_status quring_limit_run(quring_limit_result *out,
                                                              const quring_limit_options *options,
                                                              quring_error *err);

/* ---- one datagram there and back --------------------------------------------------------------- */

typedef struct quring_pingpong_options {
    uint32_t bytes; /* of each datagram, 1..65507 */
    uint64_t duration_ns;
    bool spin; /* both ends poll; otherwise they sleep in the kernel */
    /* They send and wait as the workers of a runtime do, through `io`; otherwise by plain send and
     * recv, which is the least there is */
    bool as_worker;
    quring_io_backend io;
    /* Each datagram is one 1-RTT packet, sealed with AES-128-GCM by `aead`, with header protection, and opened:
     * `bytes` (8..65480 then) are its payload, to which header and tag come. What a QUIC that cost nothing
     * else would take */
    bool sealed;
    quring_aead aead;
    int32_t cpu_ask; /* -1: not pinned */
    int32_t cpu_answer;
    void (*on_round)(void *ctx,
                     uint64_t ns); /* after each round trip, on a thread of the call's own;
                                                 NULL: nobody is told */
    bool (*stop)(void *ctx);       /* as that of quring_limit_options */
    void *ctx;
} quring_pingpong_options;

typedef struct quring_pingpong_result {
    uint64_t rounds;
    uint64_t lost; /* not back within 200 ms, or it did not open */
    double seconds;
    const char *aead; /* sealed: who did it; NULL: nobody */
    double cpu_ask_s;
    double cpu_answer_s;
} quring_pingpong_result;

/* quring_pingpong_options_init fills in the defaults: 64 bytes, 3 s, sleeping, not pinned. */
QURING_EXPORT void quring_pingpong_options_init(quring_pingpong_options *options);

/* quring_pingpong_run sends a UDP datagram over loopback to another thread, which sends it back, again and
 * again: what any request and its answer take at least on this machine with this way of waiting. Blocks
 * for about options->duration_ns and uses two threads. Results as quring_limit_run. */
QURING_EXPORT QURING_NODISCARD quring_status quring_pingpong_run(
    quring_pingpong_result *out, const quring_pingpong_options *options, quring_error *err);

#ifdef __cplusplus
}
#endif

#endif /* QURING_LIMIT_H */

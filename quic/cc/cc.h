/* quic/cc/cc.h: a congestion controller: what is common to all, and the table of what differs.
 *
 * Shape:  the common fields are read directly; events go through the table. Bytes and nanoseconds,
 *         integers only. Windows up to 2^40 bytes do not overflow.
 * Owner:  the connection, one per path.
 * Spec:   RFC 9002 7.
 */
#ifndef QUIC_CC_CC_H
#define QUIC_CC_CC_H

#include "quic/base/types.h"
#include "quic/cc/hystart.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_CWND_LIMIT       (1ull << 40) /* cwnd_max is never more */
#define QUIC_CC_SSTHRESH_NONE UINT64_MAX   /* no congestion seen yet */

typedef struct quic_cc quic_cc;

/* What one ACK frame tells. */
typedef struct quic_cc_sample {
    uint64_t acked_bytes;           /* newly acknowledged, were in flight */
    uint64_t prior_in_flight_bytes; /* before the ACK */
    quic_ns largest_acked_sent_ns;
    quic_ns rtt_ns; /* the sample of this ACK, 0 = none */
    quic_ns srtt_ns;
    bool app_limited; /* the window was not used up: do not grow (RFC 9002 7.8) */
} quic_cc_sample;

typedef struct quic_cc_vtable {
    const char *name; /* "cubic", "newreno" */
    void (*init)(quic_cc *cc);
    void (*on_acked)(quic_cc *cc, const quic_cc_sample *sample, quic_ns now);
    /* A new recovery period begins. */
    void (*on_congestion)(quic_cc *cc, quic_ns now);
    /* The common part sets the minimum window afterwards. */
    void (*on_persistent_congestion)(quic_cc *cc);
    void (*on_spurious)(quic_cc *cc); /* the last reduction was a mistake; may be NULL */
    void (*on_idle_end)(quic_cc *cc,
                        quic_ns now); /* sending again with nothing in flight; may be NULL */
} quic_cc_vtable;

typedef struct quic_newreno_state {
    uint64_t acked_bytes; /* towards the next datagram of growth */
    uint64_t undo_cwnd;
    uint64_t undo_ssthresh;
} quic_newreno_state;

typedef struct quic_cubic_epoch {
    uint64_t w_max;      /* bytes */
    uint64_t cwnd_prior; /* bytes */
    uint64_t k;          /* 2^-20 s */
    quic_ns start_ns;    /* t_epoch; QUIC_NS_NEVER = congestion avoidance has not begun */
    uint64_t w_est_fp;   /* bytes << 16 */
} quic_cubic_epoch;

typedef struct quic_cubic_state {
    quic_cubic_epoch epoch;
    quic_cubic_epoch undo;
    uint64_t undo_cwnd;
    uint64_t undo_ssthresh;
    quic_ns limited_since_ns; /* the application has limited us since; QUIC_NS_NEVER = no */
    quic_ns last_acked_ns;
    bool k_is_zero; /* no reduction preceded this stage (RFC 9438 4.8, 4.10) */
    bool undo_k_is_zero;
    quic_hystart hystart;
} quic_cubic_state;

struct quic_cc {
    const quic_cc_vtable *vtable;
    uint64_t cwnd_bytes;
    uint64_t ssthresh_bytes;
    uint64_t cwnd_max_bytes;
    uint32_t datagram_bytes; /* max_datagram_size */
    bool paced;
    bool in_recovery;          /* between a congestion event and the first ACK after it */
    bool has_recovered;        /* recovery_start_ns is set */
    bool can_undo;             /* the last reduction was for a loss */
    quic_ns recovery_start_ns; /* of the last recovery period */
    uint64_t congestion_count; /* events, ever */
    union {
        quic_newreno_state newreno;
        quic_cubic_state cubic;
    } u;
};

/* quic_cc_init starts `cc` with the algorithm of `vtable` (quic_cubic_vtable, quic_newreno_vtable;
 * static, kept) at the initial window of RFC 9002 7.2. cwnd_max_bytes 0 means no cap of ours. */
void quic_cc_init(quic_cc *cc, const quic_cc_vtable *vtable, uint32_t datagram_bytes,
                  uint64_t cwnd_max_bytes, bool paced);

/* quic_cc_reset starts over on a new path or after Retry: same algorithm, initial window. */
void quic_cc_reset(quic_cc *cc);

/* quic_cc_set_datagram follows a change of max_datagram_size; before the first congestion event and
 * growth the initial window is computed anew (RFC 9002 7.2). */
void quic_cc_set_datagram(quic_cc *cc, uint32_t datagram_bytes);

/* quic_cc_available: how many more bytes the window lets out. */
static inline uint64_t quic_cc_available(const quic_cc *cc, uint64_t in_flight_bytes)
{
    return cc->cwnd_bytes > in_flight_bytes ? cc->cwnd_bytes - in_flight_bytes : 0;
}

static inline bool quic_cc_can_send(const quic_cc *cc, uint64_t in_flight_bytes)
{
    return in_flight_bytes < cc->cwnd_bytes;
}

static inline bool quic_cc_in_slow_start(const quic_cc *cc)
{
    return cc->cwnd_bytes < cc->ssthresh_bytes;
}

/* quic_cc_is_limiting: whether the window is what holds the sender back, seen from the bytes in flight
 * before an ACK; false means app-limited (RFC 9002 7.8). In slow start half a window counts as used,
 * as one ACK may cover the other half. */
static inline bool quic_cc_is_limiting(const quic_cc *cc, uint64_t prior_in_flight_bytes)
{
    if (quic_cc_in_slow_start(cc)) {
        return prior_in_flight_bytes >= cc->cwnd_bytes / 2;
    }
    uint64_t slack = cc->cwnd_bytes / 8 + 3ull * cc->datagram_bytes;
    return prior_in_flight_bytes + slack >= cc->cwnd_bytes;
}

/* quic_cc_on_sent is told of each packet or batch that counts as in flight. */
static inline void quic_cc_on_sent(quic_cc *cc, uint64_t prior_in_flight_bytes, quic_ns now)
{
    if (QUIC_UNLIKELY(prior_in_flight_bytes == 0) && cc->vtable->on_idle_end != NULL) {
        cc->vtable->on_idle_end(cc, now);
    }
}

/* quic_cc_on_acked grows the window, unless the packets are from before the last reduction. */
void quic_cc_on_acked(quic_cc *cc, const quic_cc_sample *sample, quic_ns now);

/* quic_cc_on_congestion: a packet sent at `sent_ns` was lost. One reduction per round trip
 * (RFC 9002 7.3.2). */
void quic_cc_on_congestion(quic_cc *cc, quic_ns sent_ns, quic_ns now);

/* quic_cc_on_ce: an ACK whose largest newly acknowledged packet left at `sent_ns` reported more CE marks
 * (RFC 9002 7.1). The same reduction, but never taken back. */
void quic_cc_on_ce(quic_cc *cc, quic_ns sent_ns, quic_ns now);

/* quic_cc_on_persistent_congestion: minimum window, slow start (RFC 9002 7.6.2). */
void quic_cc_on_persistent_congestion(quic_cc *cc);

/* quic_cc_on_spurious: every loss behind the last reduction was a mistake; take it back. */
void quic_cc_on_spurious(quic_cc *cc);

/* ---- for the algorithms --------------------------------------------------------------------------- */

/* The smallest window: two datagrams. */
static inline uint64_t quic_cc_min_cwnd(const quic_cc *cc)
{
    return 2ull * cc->datagram_bytes;
}

/* The initial window, RFC 9002 7.2. */
uint64_t quic_cc_initial_cwnd(const quic_cc *cc);

/* quic_cc_set_cwnd sets the window within its bounds. */
void quic_cc_set_cwnd(quic_cc *cc, uint64_t cwnd_bytes);

/* quic_cc_mul_div: a * b / c without overflow in between; saturates. */
static inline uint64_t quic_cc_mul_div(uint64_t a, uint64_t b, uint64_t c)
{
    if (QUIC_LIKELY((a | b) <= UINT32_MAX)) {
        return a * b / c;
    }
    __extension__ typedef unsigned __int128 wide;
    wide q = (wide)a * b / c;
    return q > UINT64_MAX ? UINT64_MAX : (uint64_t)q;
}

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CC_CC_H */

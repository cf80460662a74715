/* quic/cc/cc.h: a congestion controller: what is common to all, and the table of what differs.
 *
 * Shape:  the common fields are read directly; events go through the table. Bytes and nanoseconds,
 *         integers only. Windows up to 2^40 bytes do not overflow. Rates are bytes per nanosecond
 *         << 32, so that a rate times a time is a product and a shift.
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

    /* For controllers with on_sample; "that packet" is the newest one acknowledged. */
    bool rate_app_limited;          /* that packet left when there was no more to send */
    uint64_t in_flight_bytes;       /* after the ACK and the losses it showed */
    uint64_t delivered_bytes;       /* acknowledged ever */
    uint64_t prior_delivered_bytes; /* the same when that packet left */
    uint64_t tx_in_flight_bytes;    /* in flight when that packet left, itself included */
    uint64_t lost_since_bytes;      /* declared lost since that packet left */
    uint64_t rate_bytes;            /* delivery rate: so much arrived in rate_ns; 0 = unknown */
    quic_ns rate_ns;
    quic_ns min_rtt_ns; /* the smallest RTT of the path so far */
} quic_cc_sample;

/* One packet that was declared lost. */
typedef struct quic_cc_loss {
    uint64_t pn;
    uint64_t bytes;
    uint64_t tx_in_flight_bytes; /* in flight when it left, itself included */
    uint64_t lost_since_bytes;   /* declared lost since it left, itself included */
    uint64_t delivered_bytes;    /* acknowledged ever */
    bool app_limited;            /* it left when there was no more to send */
} quic_cc_loss;

typedef struct quic_cc_vtable {
    const char *name; /* "cubic", "newreno", "bbr" */
    void (*init)(quic_cc *cc);
    /* Not called in a recovery period; may be NULL with on_sample. */
    void (*on_acked)(quic_cc *cc, const quic_cc_sample *sample, quic_ns now);
    /* Called for every ACK instead of on_acked; may be NULL. */
    void (*on_sample)(quic_cc *cc, const quic_cc_sample *sample, quic_ns now);
    /* Called for each lost packet, before on_congestion; may be NULL. */
    void (*on_lost)(quic_cc *cc, const quic_cc_loss *loss, quic_ns now);
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

/* The names are those of the specification where it has one. UINT64_MAX stands for infinity. */
typedef struct quic_bbr_state {
    uint8_t mode;      /* quic_bbr_mode */
    uint8_t ack_phase; /* what the ACKs that come in tell about probing */
    uint8_t undo_mode; /* left because of a loss, or QUIC_BBR_MODE_NONE */
    bool round_start;  /* this ACK ends a round trip */
    bool loss_round_start;
    bool is_loss_in_round;
    bool idle_restart;
    bool full_bw_now;
    bool full_bw_reached;
    bool is_bw_probe_sample;
    bool prev_probe_too_high;
    bool prev_probe_precautionary;
    bool probe_rtt_round_done;
    bool probe_rtt_expired;
    bool has_rtt;
    bool cwnd_limited_now;  /* in the round under way */
    bool cwnd_limited_last; /* in the one before */
    uint8_t full_bw_count;
    uint8_t probe_up_rounds;
    uint8_t rounds_in_window; /* of the extra_acked filter */
    uint16_t loss_ranges;     /* gaps seen lost in the round under way */
    uint32_t rounds_since_probe_up;
    uint64_t next_lost_pn; /* a loss of that one extends the last gap */

    uint64_t round_count;
    uint64_t next_round_delivered;
    uint64_t loss_round_delivered;
    uint64_t drain_start_round;

    uint64_t bw_fp;           /* what to send at: min(max_bw, bw_shortterm) */
    uint64_t max_bw_fp[2];    /* best sample of the last cycle and of this one */
    uint64_t sample_fp;       /* delivery rate of this ACK, 0 = none */
    uint64_t sample_bytes;    /* delivered in that sample */
    uint64_t bw_shortterm_fp; /* bounds after losses outside of probing */
    uint64_t bw_latest_fp;    /* best of the last round */
    uint64_t full_bw_fp;      /* baseline of the plateau test */
    uint64_t inflight_latest;
    uint64_t inflight_shortterm;
    uint64_t inflight_longterm;

    quic_ns min_rtt_ns;
    quic_ns min_rtt_stamp_ns;
    quic_ns probe_rtt_min_ns;
    quic_ns probe_rtt_min_stamp_ns;
    quic_ns probe_rtt_done_ns; /* 0 = not yet known */
    quic_ns cycle_stamp_ns;
    quic_ns probe_wait_ns;

    uint64_t extra_acked[2]; /* bytes acknowledged beyond what bw explains: two windows */
    uint64_t extra_acked_delivered;
    quic_ns extra_acked_start_ns;

    uint64_t probe_up_acked;
    uint64_t probe_up_acked_per_inc;
    uint64_t prior_cwnd;
    uint64_t send_quantum;
    uint64_t undo_bw_shortterm_fp;
    uint64_t undo_inflight_shortterm;
    uint64_t undo_inflight_longterm;
    uint64_t random; /* spreads probes of different flows */
} quic_bbr_state;

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
    bool holds_back;           /* sends less than it could, on purpose: count as app-limited */
    uint64_t pacing_rate_fp;   /* what the pacer shall do; 0 = what window and RTT make of it */
    quic_ns recovery_start_ns; /* of the last recovery period */
    uint64_t congestion_count; /* events, ever */
    union {
        quic_newreno_state newreno;
        quic_cubic_state cubic;
        quic_bbr_state bbr;
    } u;
};

/* quic_cc_init starts `cc` with the algorithm of `vtable` (quic_cubic_vtable, quic_newreno_vtable,
 * quic_bbr_vtable; static, kept) at the initial window of RFC 9002 7.2. cwnd_max_bytes 0 means no cap of ours. */
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

/* quic_cc_wants_losses: whether quic_cc_on_lost has to be told each lost packet. */
static inline bool quic_cc_wants_losses(const quic_cc *cc)
{
    return cc->vtable->on_lost != NULL;
}

/* quic_cc_on_lost: one packet was declared lost; only with quic_cc_wants_losses, and before the
 * quic_cc_on_congestion of the same losses. */
static inline void quic_cc_on_lost(quic_cc *cc, const quic_cc_loss *loss, quic_ns now)
{
    cc->vtable->on_lost(cc, loss, now);
}

/* quic_cc_on_acked grows the window, unless the packets are from before the last reduction. A
 * controller with on_sample hears of every ACK. */
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

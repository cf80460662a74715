/* quic/cc/pacer.h: spreads a window over a round trip: a token bucket of bytes.
 *
 * Shape:  rate = 1.25 (slow start: 2) x cwnd / srtt, or what the controller says, kept as bytes per
 *         nanosecond << 32. The bucket holds ten datagrams at least and 128 KiB, or what a quarter of a
 *         millisecond brings, at a high rate; on a near path, whose least RTT is below
 *         QUIC_PACER_SRTT_MIN_NS, a GSO train at least; on one known to absorb more, that. With a smoothed
 *         RTT below QUIC_PACER_SRTT_MIN_NS a timer could not space packets any better than the window does:
 *         the bucket is bottomless then.
 * Owner:  the connection, one per path.    Spec: RFC 9002 7.7.
 */
#ifndef QUIC_CC_PACER_H
#define QUIC_CC_PACER_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_PACER_BURST_MIN_DATAGRAMS 10u
#define QUIC_PACER_BURST_MAX_BYTES     131072u
#define QUIC_PACER_SRTT_MIN_NS         (1 * QUIC_NS_PER_MS)
#define QUIC_PACER_NEAR_BURST_BYTES    65536u
#define QUIC_PACER_UNLIMITED           UINT64_MAX

typedef struct quic_pacer {
    uint64_t rate_fp;      /* bytes per ns << 32; 0 = unlimited */
    uint64_t burst_bytes;  /* capacity of the bucket */
    uint64_t refill_bytes; /* a bucket that ran dry opens again with that much */
    uint32_t fraction;     /* of a byte, << 32 */
    uint32_t known_bytes;  /* what the path is known to absorb at once; 0: nothing is known */
    int64_t tokens;        /* may go below 0: probes and window-free packets are charged too */
    quic_ns updated_ns;
    uint64_t cwnd_bytes; /* rate_fp was computed from these */
    quic_ns srtt_ns;
    bool enabled;
    bool slow_start;
    bool dry;
    bool near;
} quic_pacer;

/* quic_pacer_init starts with a full bucket and no rate: unlimited until quic_pacer_update. `enabled`
 * false never limits. */
void quic_pacer_init(quic_pacer *p, bool enabled, uint32_t datagram_bytes, quic_ns now);

/* quic_pacer_know_burst says what the path absorbs at once; 0 when it has turned out not to. */
void quic_pacer_know_burst(quic_pacer *p, uint32_t bytes, uint32_t datagram_bytes);

/* quic_pacer_note_min_rtt tells the least RTT seen, ahead of the two that follow; 0: none yet. */
static inline void quic_pacer_note_min_rtt(quic_pacer *p, quic_ns min_rtt_ns)
{
    p->near = min_rtt_ns != 0 && min_rtt_ns < QUIC_PACER_SRTT_MIN_NS;
}

/* quic_pacer_update follows window and RTT; call it after ACKs. Divides only when one of them moved
 * by more than 1/16. */
void quic_pacer_update(quic_pacer *p, uint64_t cwnd_bytes, quic_ns srtt_ns, bool slow_start,
                       uint32_t datagram_bytes, quic_ns now);

/* quic_pacer_set_rate takes the rate of a controller that has one (bytes per nanosecond << 32, not 0)
 * instead of quic_pacer_update. */
void quic_pacer_set_rate(quic_pacer *p, uint64_t rate_fp, quic_ns srtt_ns, uint32_t datagram_bytes,
                         quic_ns now);

/* quic_pacer_budget: bytes that may leave at `now`; QUIC_PACER_UNLIMITED without a limit. 0 until a
 * useful burst has gathered after the bucket ran dry. */
uint64_t quic_pacer_budget(quic_pacer *p, quic_ns now);

/* quic_pacer_on_sent charges `bytes` that left. */
static inline void quic_pacer_on_sent(quic_pacer *p, uint64_t bytes)
{
    if (p->rate_fp != 0) {
        p->tokens -= (int64_t)bytes;
    }
}

/* quic_pacer_next_send: when quic_pacer_budget is next more than 0; `now` when it is already. */
quic_ns quic_pacer_next_send(quic_pacer *p, quic_ns now);

/* The rate for people; 0 = unlimited. */
uint64_t quic_pacer_rate_bytes_per_s(const quic_pacer *p);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CC_PACER_H */

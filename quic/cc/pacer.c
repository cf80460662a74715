#include "quic/cc/pacer.h"

#include "quic/base/check.h"

__extension__ typedef unsigned __int128 u128;

#define RATE_SHIFT       32u
#define BURST_NS         (2 * QUIC_NS_PER_MS) /* a bucket holds what that brings, up to the maximum */
#define BURST_TIMER_NS   (250 * QUIC_NS_PER_US) /* never less than what one late timer misses */
#define REFILL_DATAGRAMS 2u                     /* an empty bucket opens again with that much */

void quic_pacer_init(quic_pacer *p, bool enabled, uint32_t datagram_bytes, quic_ns now)
{
    QURING_ASSERT(datagram_bytes > 0);
    memset(p, 0, sizeof(*p));
    p->enabled = enabled;
    p->updated_ns = now;
    p->burst_bytes = (uint64_t)QUIC_PACER_BURST_MIN_DATAGRAMS * datagram_bytes;
    p->refill_bytes = REFILL_DATAGRAMS * datagram_bytes;
    p->tokens = (int64_t)p->burst_bytes;
}

static uint64_t bytes_in(const quic_pacer *p, quic_ns ns)
{
    u128 bytes = ((u128)ns * p->rate_fp) >> RATE_SHIFT;
    return bytes > INT64_MAX / 2 ? INT64_MAX / 2 : (uint64_t)bytes;
}

static void refill(quic_pacer *p, quic_ns now)
{
    if (now <= p->updated_ns) {
        return;
    }
    u128 fresh = (u128)(now - p->updated_ns) * p->rate_fp + p->fraction;
    p->updated_ns = now;
    p->fraction = (uint32_t)fresh; /* a slow rate must not lose its fractions of bytes */
    fresh >>= RATE_SHIFT;
    int64_t cap = (int64_t)p->burst_bytes;
    p->tokens = fresh > (uint64_t)(cap - p->tokens) ? cap : p->tokens + (int64_t)fresh;
}

static bool moved(uint64_t old, uint64_t new)
{
    uint64_t diff = old > new ? old - new : new - old;
    return diff > old / 16;
}

static void set_burst(quic_pacer *p, uint32_t datagram_bytes)
{
    uint64_t burst = bytes_in(p, BURST_NS);
    uint64_t timer = bytes_in(p, BURST_TIMER_NS);
    /* RFC 9002 7.7: more than ten datagrams where the path is known to absorb it. One with a small least RTT
     * has no slow and distant link in it, whatever queue at an end makes its smoothed RTT long. */
    uint64_t min = p->near ? QUIC_PACER_NEAR_BURST_BYTES
                           : (uint64_t)QUIC_PACER_BURST_MIN_DATAGRAMS * datagram_bytes;
    min = min > p->known_bytes ? min : p->known_bytes;
    if (burst > QUIC_PACER_BURST_MAX_BYTES) {
        burst = QUIC_PACER_BURST_MAX_BYTES;
    }
    burst = burst > timer ? burst : timer;
    p->burst_bytes = burst > min ? burst : min;
    p->refill_bytes = p->burst_bytes / 4; /* wake up for a batch, not for a packet */
    if (p->refill_bytes < (uint64_t)REFILL_DATAGRAMS * datagram_bytes) {
        p->refill_bytes = (uint64_t)REFILL_DATAGRAMS * datagram_bytes;
    }
    if (p->burst_bytes <
        p->refill_bytes) { /* or it would never open again: large datagrams on a near path */
        p->burst_bytes = p->refill_bytes;
    }
}

void quic_pacer_know_burst(quic_pacer *p, uint32_t bytes, uint32_t datagram_bytes)
{
    if (p->known_bytes != bytes) {
        p->known_bytes = bytes;
        set_burst(p, datagram_bytes);
        if (p->tokens > (int64_t)p->burst_bytes) {
            p->tokens = (int64_t)p->burst_bytes;
        }
    }
}

static void set_rate(quic_pacer *p, uint64_t rate_fp, uint32_t datagram_bytes, quic_ns now)
{
    if (p->rate_fp == 0) { /* the limit sets in: with a full bucket */
        p->tokens = INT64_MAX / 2;
        p->updated_ns = now;
    } else {
        refill(p, now);
    }
    p->rate_fp = rate_fp;
    set_burst(p, datagram_bytes);
    if (p->tokens > (int64_t)p->burst_bytes) {
        p->tokens = (int64_t)p->burst_bytes;
    }
}

void quic_pacer_set_rate(quic_pacer *p, uint64_t rate_fp, quic_ns srtt_ns, uint32_t datagram_bytes,
                         quic_ns now)
{
    QURING_ASSERT(rate_fp > 0);
    if (!p->enabled) {
        return;
    }
    if (srtt_ns < QUIC_PACER_SRTT_MIN_NS) {
        p->rate_fp = 0;
        return;
    }
    if (p->rate_fp != rate_fp) {
        set_rate(p, rate_fp, datagram_bytes, now);
    }
}

void quic_pacer_update(quic_pacer *p, uint64_t cwnd_bytes, quic_ns srtt_ns, bool slow_start,
                       uint32_t datagram_bytes, quic_ns now)
{
    if (!p->enabled) {
        return;
    }
    if (srtt_ns < QUIC_PACER_SRTT_MIN_NS) {
        p->rate_fp = 0;
        p->srtt_ns = 0;
        return;
    }
    if (p->rate_fp != 0 && slow_start == p->slow_start && !moved(p->cwnd_bytes, cwnd_bytes) &&
        !moved(p->srtt_ns, srtt_ns)) {
        return;
    }
    p->cwnd_bytes = cwnd_bytes;
    p->srtt_ns = srtt_ns;
    p->slow_start = slow_start;
    /* RFC 9002 7.7: N = 1.25; in slow start 2, so that the window can double. */
    u128 rate = (((u128)cwnd_bytes * (slow_start ? 8 : 5)) << (RATE_SHIFT - 2)) / srtt_ns;
    set_rate(p,
             rate == 0           ? 1
             : rate > UINT64_MAX ? UINT64_MAX
                                 : (uint64_t)rate,
             datagram_bytes, now);
}

uint64_t quic_pacer_budget(quic_pacer *p, quic_ns now)
{
    if (p->rate_fp == 0) {
        return QUIC_PACER_UNLIMITED;
    }
    refill(p, now);
    if (p->dry) {
        if (p->tokens < (int64_t)p->refill_bytes) {
            return 0;
        }
        p->dry = false;
    }
    if (p->tokens <= 0) {
        p->dry = true;
        return 0;
    }
    return (uint64_t)p->tokens;
}

quic_ns quic_pacer_next_send(quic_pacer *p, quic_ns now)
{
    if (quic_pacer_budget(p, now) > 0) {
        return now;
    }
    uint64_t missing = (uint64_t)((int64_t)p->refill_bytes - p->tokens);
    /* exact, so that it is the same moment whenever it is asked for */
    u128 wait = (((u128)missing << RATE_SHIFT) - p->fraction + p->rate_fp - 1) / p->rate_fp;
    quic_ns wait_ns = wait > 10 * QUIC_NS_PER_S ? 10 * QUIC_NS_PER_S : (quic_ns)wait;
    quic_ns at_ns = p->updated_ns + wait_ns;
    return at_ns > now ? at_ns : now + 1;
}

uint64_t quic_pacer_rate_bytes_per_s(const quic_pacer *p)
{
    return (uint64_t)(((u128)p->rate_fp * QUIC_NS_PER_S) >> RATE_SHIFT);
}

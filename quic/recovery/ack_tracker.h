/* quic/recovery/ack_tracker.h: which packets of one packet number space arrived, which of them are
 * duplicates, and when an ACK frame is due.
 *
 * Shape:  received ranges, newest kept when there are too many. Made for batches: quic_ack_tracker_on_packet
 *         for each packet, then one question whether an ACK is due.
 * Owner:  the connection, one per space.
 * Spec:   RFC 9000 13.2 (13.2.4: forgetting), 13.4.1 (ECN counts), 12.3 (duplicates); QUIC Acknowledgment
 *         Frequency 6.
 */
#ifndef QUIC_RECOVERY_ACK_TRACKER_H
#define QUIC_RECOVERY_ACK_TRACKER_H

#include "quic/base/mem.h"
#include "quic/base/range_set.h"
#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_ACK_ELICITING_THRESHOLD 2u /* RFC 9000 13.2.2 */

typedef struct quic_ack_tracker {
    quic_range_set ranges;         /* to acknowledge */
    uint64_t min_pn;               /* everything below counts as received (RFC 9000 13.2.3) */
    uint64_t largest_pn;           /* UINT64_MAX before the first packet */
    uint64_t largest_eliciting_pn; /* UINT64_MAX before the first */
    quic_ns largest_recv_ns;
    quic_ns deadline_ns;      /* when an ACK is due; QUIC_NS_NEVER = nothing to say */
    quic_ns max_ack_delay_ns; /* ours; 0 = at once (Initial, Handshake) */
    uint64_t unsent_min_pn;   /* lowest received since the last ACK frame; UINT64_MAX = none */
    uint32_t pending_count;   /* ack-eliciting packets since the last ACK frame */
    uint32_t threshold;       /* that many make an ACK due at once */
    bool last_was_ce;         /* the last packet came with a CE mark */
    uint64_t reordering;      /* packets behind a gap that make one due; 1: any; 0: never */
    uint64_t largest_acked;   /* Largest Acknowledged of our last ACK frame; UINT64_MAX: none */
    uint64_t ect0_count;
    uint64_t ect1_count;
    uint64_t ce_count;
} quic_ack_tracker;

/* quic_ack_tracker_init makes an empty tracker of at most `ranges_max` ranges over `mem` (kept).
 * max_ack_delay_ns: 0 for the Initial and Handshake spaces (RFC 9000 13.2.1).
 * quic_ack_tracker_deinit gives the memory back. */
void quic_ack_tracker_init(quic_ack_tracker *t, quic_mem *mem, uint32_t ranges_max,
                           quic_ns max_ack_delay_ns);
void quic_ack_tracker_deinit(quic_ack_tracker *t);

/* quic_ack_tracker_set_frequency: the peer asks for an ACK after `threshold` (1 or more) ack-eliciting
 * packets, after max_ack_delay_ns, and when `reordering` packets have come behind a gap (Acknowledgment
 * Frequency 6, 6.2; 0: gaps do not matter). */
void quic_ack_tracker_set_frequency(quic_ack_tracker *t, uint32_t threshold,
                                    quic_ns max_ack_delay_ns, uint64_t reordering);

/* quic_ack_tracker_is_duplicate: packet `pn` was received before, or is too old to tell: drop it. */
static inline bool quic_ack_tracker_is_duplicate(const quic_ack_tracker *t, uint64_t pn)
{
    if (QUIC_LIKELY(t->largest_pn == UINT64_MAX || pn > t->largest_pn)) {
        return false;
    }
    return pn < t->min_pn || quic_range_set_contains(&t->ranges, pn);
}

/* quic_ack_tracker_largest: the largest packet number received, to decode the next (RFC 9000 A.3).
 * UINT64_MAX before the first: adding 1 gives the expected one in either case. */
static inline uint64_t quic_ack_tracker_largest(const quic_ack_tracker *t)
{
    return t->largest_pn;
}

/* quic_ack_tracker_on_packet notes one packet whose frames were all taken, no duplicate.
 *   ecn   the two ECN bits of its IP header, 0 when not known
 * Returns QUIC_OK; QUIC_E_NOMEM: the packet must then be treated as lost. */
QUIC_NODISCARD quic_rc quic_ack_tracker_on_packet(quic_ack_tracker *t, uint64_t pn,
                                                  bool ack_eliciting, uint8_t ecn, quic_ns now);

/* quic_ack_tracker_on_run is quic_ack_tracker_on_packet for `count` (> 0) ack-eliciting packets from `pn` on.
 * Returns QUIC_OK; QUIC_E_NOMEM: some may have been noted, the last was not. */
QUIC_NODISCARD quic_rc quic_ack_tracker_on_run(quic_ack_tracker *t, uint64_t pn, uint32_t count,
                                               uint8_t ecn, quic_ns now);

/* quic_ack_tracker_pending: there is something new worth an ACK frame in a packet that leaves anyway. */
static inline bool quic_ack_tracker_pending(const quic_ack_tracker *t)
{
    return t->pending_count > 0;
}

/* quic_ack_tracker_due: an ACK has to leave now, alone if need be. */
static inline bool quic_ack_tracker_due(const quic_ack_tracker *t, quic_ns now)
{
    return t->deadline_ns <= now;
}

/* quic_ack_tracker_deadline: when an ACK becomes due; QUIC_NS_NEVER when none is owed. */
static inline quic_ns quic_ack_tracker_deadline(const quic_ack_tracker *t)
{
    return t->deadline_ns;
}

/* quic_ack_tracker_force makes an ACK due at once, if anything was ever received. */
void quic_ack_tracker_force(quic_ack_tracker *t, quic_ns now);

/* quic_ack_tracker_ranges: what to put into an ACK frame, walk it from the highest. Not empty while
 * an ACK is pending. */
static inline const quic_range_set *quic_ack_tracker_ranges(const quic_ack_tracker *t)
{
    return &t->ranges;
}

/* quic_ack_tracker_delay_ns: the ACK Delay of a frame built at `now` (RFC 9000 13.2.5). */
static inline quic_ns quic_ack_tracker_delay_ns(const quic_ack_tracker *t, quic_ns now)
{
    return now > t->largest_recv_ns ? now - t->largest_recv_ns : 0;
}

static inline bool quic_ack_tracker_has_ecn(const quic_ack_tracker *t)
{
    return (t->ect0_count | t->ect1_count | t->ce_count) != 0;
}

/* quic_ack_tracker_on_ack_sent: an ACK frame with all we have left. Returns its Largest Acknowledged,
 * for the frame record. */
uint64_t quic_ack_tracker_on_ack_sent(quic_ack_tracker *t);

/* quic_ack_tracker_on_ack_acked: a packet with our ACK frame of that Largest Acknowledged arrived; the
 * peer knows about everything up to it (RFC 9000 13.2.4). */
void quic_ack_tracker_on_ack_acked(quic_ack_tracker *t, uint64_t largest_acked);

/* quic_ack_tracker_on_rest: nothing has come for longer than the peer may wait for an acknowledgement. What was
 * named is known, though no ACK frame may ever have been acknowledged: who only answers sends them in packets
 * that nobody acknowledges, and gaps that will not close would add up (RFC 9000 13.2.3, 13.2.4). */
void quic_ack_tracker_on_rest(quic_ack_tracker *t);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_RECOVERY_ACK_TRACKER_H */

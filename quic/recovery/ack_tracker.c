#include "quic/recovery/ack_tracker.h"

#include "quic/base/check.h"

void quic_ack_tracker_init(quic_ack_tracker *t, quic_mem *mem, uint32_t ranges_max,
                           quic_ns max_ack_delay_ns)
{
    QURING_ASSERT(ranges_max > 0);
    memset(t, 0, sizeof(*t));
    quic_range_set_init(&t->ranges, mem, ranges_max);
    t->largest_pn = UINT64_MAX;
    t->largest_eliciting_pn = UINT64_MAX;
    t->unsent_min_pn = UINT64_MAX;
    t->deadline_ns = QUIC_NS_NEVER;
    t->max_ack_delay_ns = max_ack_delay_ns;
    t->threshold = QUIC_ACK_ELICITING_THRESHOLD;
    t->reordering = 1;
    t->largest_acked = UINT64_MAX;
}

void quic_ack_tracker_set_frequency(quic_ack_tracker *t, uint32_t threshold,
                                    quic_ns max_ack_delay_ns, uint64_t reordering)
{
    t->threshold = threshold;
    t->max_ack_delay_ns = max_ack_delay_ns;
    t->reordering = reordering;
}

void quic_ack_tracker_deinit(quic_ack_tracker *t)
{
    quic_range_set_deinit(&t->ranges);
    t->pending_count = 0;
    t->deadline_ns = QUIC_NS_NEVER;
}

/* Adds `pn` out of order, or as the start of a new range. What has to be forgotten for it is never
 * accepted again (RFC 9000 13.2.3). */
static quic_rc add_slow(quic_ack_tracker *t, uint64_t pn)
{
    bool had = t->ranges.count > 0;
    uint64_t oldest_hi = had ? t->ranges.ranges[0].hi : 0;
    quic_rc rc = quic_range_set_add_forget(&t->ranges, pn, pn);
    if (rc != QUIC_OK) {
        return rc;
    }
    uint64_t min_pn = t->min_pn;
    if (had && quic_range_set_min(&t->ranges) > oldest_hi) {
        min_pn = oldest_hi + 1;
    }
    if (!quic_range_set_contains(&t->ranges, pn) && pn >= min_pn) {
        min_pn = pn + 1;
    }
    t->min_pn = min_pn > t->min_pn ? min_pn : t->min_pn;
    return QUIC_OK;
}

/* RFC 9000 13.2.1: packets missing between the ack-eliciting ones before and this, or this came late. */
static bool is_out_of_order(const quic_ack_tracker *t, uint64_t pn)
{
    if (t->largest_eliciting_pn == UINT64_MAX) {
        return false;
    }
    if (pn < t->largest_eliciting_pn) {
        return true;
    }
    const quic_range *newest = quic_range_set_at(&t->ranges, t->ranges.count - 1);
    return newest->lo > t->largest_eliciting_pn + 1 && newest->lo > t->min_pn;
}

/* Acknowledgment Frequency 6.2, with a threshold above 1: the peer can declare a packet lost by what arrived
 * behind it and does not know so yet, or one arrived that it has given up. `pn` and the largest
 * ack-eliciting number are noted already. */
static bool is_beyond_reordering(const quic_ack_tracker *t, uint64_t pn)
{
    uint64_t floor = t->min_pn;
    if (t->largest_acked != UINT64_MAX && t->largest_acked >= t->reordering) {
        uint64_t reported = t->largest_acked - t->reordering; /* Largest Reported Missing */
        if (pn <= reported) {
            return true;
        }
        floor = reported + 1 > floor ? reported + 1 : floor;
    }
    uint64_t missing = UINT64_MAX;                 /* the smallest Unreported Missing */
    for (uint32_t i = t->ranges.count; i-- > 0;) { /* ends: ranges are bounded */
        uint64_t lo = quic_range_set_at(&t->ranges, i)->lo;
        if (lo <= floor) {
            break;
        }
        uint64_t from = i > 0 ? quic_range_set_at(&t->ranges, i - 1)->hi + 1 : floor;
        missing = from > floor ? from : floor;
    }
    return missing < t->largest_eliciting_pn && t->largest_eliciting_pn - missing >= t->reordering;
}

static void count_ecn(quic_ack_tracker *t, uint8_t ecn, uint32_t packets)
{
    switch (ecn & 3) {
    case 1:
        t->ect1_count += packets;
        break;
    case 2:
        t->ect0_count += packets;
        break;
    case 3:
        t->ce_count += packets;
        break;
    default:
        break;
    }
}

quic_rc quic_ack_tracker_on_packet(quic_ack_tracker *t, uint64_t pn, bool ack_eliciting,
                                   uint8_t ecn, quic_ns now)
{
    if (!quic_range_set_extend_last(&t->ranges, pn, pn)) {
        quic_rc rc = add_slow(t, pn);
        if (rc != QUIC_OK) {
            return rc;
        }
    }
    if (t->largest_pn == UINT64_MAX || pn > t->largest_pn) {
        t->largest_pn = pn;
        t->largest_recv_ns = now;
    }
    if (pn < t->unsent_min_pn) {
        t->unsent_min_pn = pn;
    }
    bool ce_asks = false;
    if (QUIC_UNLIKELY(ecn != 0)) {
        count_ecn(t, ecn, 1);
        /* RFC 9000 13.2.1; with fewer ACKs only where marks begin (Acknowledgment Frequency 6.3) */
        ce_asks =
            (ecn & 3) == 3 && (t->threshold <= QUIC_ACK_ELICITING_THRESHOLD || !t->last_was_ce);
    }
    t->last_was_ce = (ecn & 3) == 3;
    if (!ack_eliciting || t->ranges.count == 0) {
        return QUIC_OK; /* RFC 9000 13.2.1: no ACK in return for a packet that does not ask for one */
    }
    t->pending_count++;
    bool at_once = t->max_ack_delay_ns == 0 || t->pending_count >= t->threshold || ce_asks ||
                   (QUIC_LIKELY(t->reordering == 1) && is_out_of_order(t, pn));
    if (t->largest_eliciting_pn == UINT64_MAX || pn > t->largest_eliciting_pn) {
        t->largest_eliciting_pn = pn;
    }
    if (QUIC_UNLIKELY(t->reordering > 1)) {
        at_once = at_once || is_beyond_reordering(t, pn);
    }
    quic_ns due_ns = at_once ? now : now + t->max_ack_delay_ns;
    if (due_ns < t->deadline_ns) {
        t->deadline_ns = due_ns;
    }
    return QUIC_OK;
}

quic_rc quic_ack_tracker_on_run(quic_ack_tracker *t, uint64_t pn, uint32_t count, uint8_t ecn,
                                quic_ns now)
{
    const uint64_t last_pn = pn + count - 1;
    if (QUIC_UNLIKELY(t->reordering > 1 || (ecn & 3) == 3) ||
        QUIC_UNLIKELY(!quic_range_set_extend_last(&t->ranges, pn, last_pn))) {
        quic_rc rc = QUIC_OK;
        for (; pn <= last_pn && rc == QUIC_OK; pn++) {
            rc = quic_ack_tracker_on_packet(t, pn, true, ecn, now);
        }
        return rc;
    }
    t->largest_pn = last_pn;
    t->largest_recv_ns = now;
    t->unsent_min_pn = pn < t->unsent_min_pn ? pn : t->unsent_min_pn;
    count_ecn(t, ecn, count);
    t->last_was_ce = false;
    t->pending_count += count;
    bool at_once = t->max_ack_delay_ns == 0 || t->pending_count >= t->threshold ||
                   (t->reordering == 1 && is_out_of_order(t, pn)); /* only the first can be */
    t->largest_eliciting_pn = last_pn;
    quic_ns due_ns = at_once ? now : now + t->max_ack_delay_ns;
    t->deadline_ns = due_ns < t->deadline_ns ? due_ns : t->deadline_ns;
    return QUIC_OK;
}

void quic_ack_tracker_force(quic_ack_tracker *t, quic_ns now)
{
    if (t->ranges.count > 0) {
        t->pending_count = t->pending_count > 0 ? t->pending_count : 1;
        t->deadline_ns = now < t->deadline_ns ? now : t->deadline_ns;
    }
}

uint64_t quic_ack_tracker_on_ack_sent(quic_ack_tracker *t)
{
    t->pending_count = 0;
    t->unsent_min_pn = UINT64_MAX;
    t->deadline_ns = QUIC_NS_NEVER;
    t->largest_acked = t->ranges.count > 0 ? quic_range_set_max(&t->ranges) : t->largest_pn;
    return t->largest_acked;
}

void quic_ack_tracker_on_ack_acked(quic_ack_tracker *t, uint64_t largest_acked)
{
    if (t->largest_pn == UINT64_MAX || largest_acked < t->min_pn) {
        return;
    }
    /* A record of ours can only name what we had received. */
    QURING_ASSERT(largest_acked <= t->largest_pn);
    uint64_t bound = largest_acked + 1;
    if (bound > t->unsent_min_pn) {
        bound = t->unsent_min_pn; /* came after that ACK: no frame has named it yet */
    }
    if (bound <= t->min_pn) {
        return;
    }
    /* RFC 9000 13.2.3: every ACK frame names the largest packet received, so that one stays. */
    quic_range_set_remove_below(&t->ranges, bound > t->largest_pn ? t->largest_pn : bound);
    t->min_pn = bound;
}

void quic_ack_tracker_on_rest(quic_ack_tracker *t)
{
    if (t->pending_count == 0 && t->ranges.count > 1 && t->largest_acked != UINT64_MAX) {
        quic_ack_tracker_on_ack_acked(t, t->largest_acked);
    }
}

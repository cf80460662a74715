#include "quic/base/check.h"
#include "quic/recovery/loss.h"
#include "quic/recovery/loss_internal.h"

#define BACKOFF_SHIFT_MAX 20u /* the idle timeout comes long before */
#define SKIPPED_MAX       1u  /* numbers that may be left out before a probe */

quic_ns quic_recovery_pto_ns(const quic_recovery *rec, quic_space space)
{
    quic_ns pto_ns = quic_rtt_pto_ns(&rec->rtt);
    if (space == QUIC_SPACE_APP && rec->facts.handshake_confirmed) {
        pto_ns += rec->max_ack_delay_ns;
    }
    return pto_ns;
}

static quic_ns backed_off(const quic_recovery *rec, quic_ns period_ns)
{
    uint32_t shift = rec->pto_count < BACKOFF_SHIFT_MAX ? rec->pto_count : BACKOFF_SHIFT_MAX;
    return period_ns > QUIC_NS_NEVER >> shift ? QUIC_NS_NEVER : period_ns << shift;
}

/* The first that may wait for something: the others are gone when the handshake is confirmed (RFC 9001 4.9.2), and in
 * no near cache. */
static inline int first_space(const quic_recovery *rec)
{
    return rec->facts.handshake_confirmed ? QUIC_SPACE_APP : QUIC_SPACE_INITIAL;
}

static quic_ns loss_time(const quic_recovery *rec, quic_space *out_space)
{
    quic_ns time_ns = QUIC_NS_NEVER;
    for (int i = first_space(rec); i < QUIC_SPACE_COUNT; i++) {
        if (rec->spaces[i].loss_time_ns < time_ns) {
            time_ns = rec->spaces[i].loss_time_ns;
            *out_space = (quic_space)i;
        }
    }
    return time_ns;
}

/* RFC 9002 A.8. *out_idle: nothing is in flight, a client keeps the server's credit alive. */
static quic_ns pto_time(const quic_recovery *rec, quic_space *out_space, bool *out_idle)
{
    quic_ns time_ns = QUIC_NS_NEVER;
    *out_idle = false;
    for (int i = first_space(rec); i < QUIC_SPACE_COUNT; i++) {
        const quic_recovery_space *sp = &rec->spaces[i];
        if (sp->map.eliciting_count == 0) {
            continue;
        }
        if (i == QUIC_SPACE_APP && !rec->facts.handshake_confirmed) {
            break; /* RFC 9002 6.2.1 */
        }
        quic_ns base_ns = sp->last_eliciting_sent_ns > rec->last_pto_ns ? sp->last_eliciting_sent_ns
                                                                        : rec->last_pto_ns;
        quic_ns t = quic_recovery_add_sat(
            base_ns, backed_off(rec, quic_recovery_pto_ns(rec, (quic_space)i)));
        if (t < time_ns) {
            time_ns = t;
            *out_space = (quic_space)i;
        }
    }
    if (time_ns == QUIC_NS_NEVER && !rec->facts.peer_validated_address &&
        rec->timer_base_ns != 0) { /* not before the first flight left */
        quic_ns base_ns =
            rec->timer_base_ns > rec->last_pto_ns ? rec->timer_base_ns : rec->last_pto_ns;
        *out_idle = true;
        *out_space = rec->facts.has_handshake_keys ? QUIC_SPACE_HANDSHAKE : QUIC_SPACE_INITIAL;
        time_ns = quic_recovery_add_sat(base_ns, backed_off(rec, quic_rtt_pto_ns(&rec->rtt)));
    }
    return time_ns;
}

quic_ns quic_recovery_deadline(const quic_recovery *rec, bool at_amplification_limit)
{
    quic_space space;
    bool idle;
    quic_ns time_ns = loss_time(rec, &space);
    if (time_ns != QUIC_NS_NEVER) {
        return time_ns;
    }
    return at_amplification_limit ? QUIC_NS_NEVER : pto_time(rec, &space, &idle);
}

void quic_recovery_on_timeout(quic_recovery *rec, quic_timeout *out, bool at_amplification_limit,
                              quic_ns now)
{
    quic_recovery_release(rec);
    memset(out, 0, sizeof(*out));
    quic_space space = QUIC_SPACE_INITIAL;
    quic_ns time_ns = loss_time(rec, &space);
    if (time_ns != QUIC_NS_NEVER) {
        if (time_ns > now) {
            return;
        }
        quic_recovery_detect(rec, &rec->spaces[space], &out->loss, now);
        if (out->loss.lost_count > 0) {
            out->kind = QUIC_TIMEOUT_LOSS;
            out->space = space;
        }
        return;
    }
    bool idle = false;
    if (at_amplification_limit || pto_time(rec, &space, &idle) > now) {
        return;
    }
    out->kind = QUIC_TIMEOUT_PTO;
    out->space = space;
    out->probe_count = idle ? 1 : 2;
    for (int i = 0; i < QUIC_SPACE_COUNT; i++) {
        if (rec->spaces[i].map.eliciting_count > 0) {
            out->eliciting_mask |= (uint8_t)(1u << i);
        }
    }
    quic_recovery_make_room(rec, &rec->spaces[space], out->probe_count + SKIPPED_MAX, &out->loss);
    rec->pto_count++;
    rec->pto_total++;
    rec->last_pto_ns = now;
}

quic_sent_packet *quic_recovery_oldest_unacked(quic_recovery *rec, quic_space space)
{
    quic_recovery_release(rec);
    quic_sent_map *map = &rec->spaces[space].map;
    if (map->eliciting_count == 0) {
        return NULL;
    }
    for (uint64_t pn = map->scan_pn; pn < map->next_pn; pn++) {
        quic_sent_packet *packet = quic_sent_map_find(map, pn);
        if (packet == NULL || packet->state != QUIC_SENT_OUTSTANDING) {
            continue;
        }
        uint32_t want = QUIC_SENT_ACK_ELICITING | QUIC_SENT_PROBED | QUIC_SENT_MTU_PROBE;
        if ((packet->flags & want) == QUIC_SENT_ACK_ELICITING) {
            packet->flags |= QUIC_SENT_PROBED;
            return packet;
        }
    }
    return NULL;
}

/* ---- spaces and paths ------------------------------------------------------------------------------ */

void quic_recovery_discard_space(quic_recovery *rec, quic_space space, quic_ns now)
{
    quic_recovery_release(rec);
    quic_recovery_space *sp = &rec->spaces[space];
    if (sp->discarded) {
        return;
    }
    QURING_ASSERT(rec->in_flight_bytes >= sp->map.in_flight_bytes);
    rec->in_flight_bytes -= sp->map.in_flight_bytes;
    quic_sent_map_clear(&sp->map);
    quic_recovery_init_space(sp);
    sp->discarded = true;
    /* RFC 9002 6.2.2: keys go because of progress; what the timer was set for is gone. */
    rec->pto_count = 0;
    rec->timer_base_ns = now;
}

quic_sent_packet *quic_recovery_take_next(quic_recovery *rec, quic_space space)
{
    quic_recovery_release(rec);
    quic_recovery_space *sp = &rec->spaces[space];
    quic_sent_map_prune(&sp->map, QUIC_NS_NEVER); /* also what was lost and is dealt with */
    sp->loss_time_ns = QUIC_NS_NEVER;
    if (sp->map.base_pn == sp->map.next_pn) {
        return NULL;
    }
    quic_sent_packet *packet = quic_sent_map_find(&sp->map, sp->map.base_pn);
    QURING_ASSERT(packet != NULL);
    quic_recovery_leave(rec, sp, packet);
    quic_recovery_hold(rec, space, packet->pn, packet->pn);
    return packet;
}

void quic_recovery_on_retry(quic_recovery *rec, quic_ns now)
{
    quic_recovery_release(rec);
    quic_rtt_init(&rec->rtt, QUIC_INITIAL_RTT_NS);
    rec->pto_count = 0;
    rec->last_pto_ns = 0;
    rec->timer_base_ns = now;
    rec->epoch_lost_count = 0;
}

void quic_recovery_on_new_path(quic_recovery *rec, quic_ns now)
{
    quic_recovery_release(rec);
    quic_rtt_init(&rec->rtt, QUIC_INITIAL_RTT_NS);
    rec->path_start_ns = now;
    rec->path_start_pn = quic_sent_map_next_pn(&rec->spaces[QUIC_SPACE_APP].map);
    rec->pto_count = 0;
    rec->epoch_lost_count = 0;
    rec->delivered_ns = now;
    rec->first_sent_ns = now;
    if (rec->app_limited_bytes !=
        0) { /* the bubble is on the old path, and this one begins with one */
        rec->app_limited_bytes = rec->delivered_bytes > 0 ? rec->delivered_bytes : 1;
    }
    for (int i = 0; i < QUIC_SPACE_COUNT; i++) {
        rec->spaces[i].run_first_ns = QUIC_NS_NEVER;
    }
}

void quic_recovery_on_old_path(quic_recovery *rec, const quic_rtt *rtt, quic_ns now)
{
    quic_recovery_on_new_path(rec, now);
    rec->rtt = *rtt;
}

void quic_recovery_trim(quic_recovery *rec)
{
    quic_recovery_release(rec);
    for (int i = 0; i < QUIC_SPACE_COUNT; i++) {
        quic_recovery_space *sp = &rec->spaces[i];
        quic_sent_map_prune(&sp->map, QUIC_NS_NEVER);
        /* What is left and not in flight are ACKs nobody has acknowledged yet, and maybe never will. */
        if (sp->map.in_flight_count == 0 && sp->map.eliciting_count == 0 &&
            sp->lost_pending_count == 0 && !sp->map.open) {
            quic_sent_map_clear(&sp->map);
            sp->loss_time_ns = QUIC_NS_NEVER;
        }
    }
}

void quic_recovery_check(const quic_recovery *rec)
{
    uint64_t bytes = 0;
    for (int i = 0; i < QUIC_SPACE_COUNT; i++) {
        const quic_recovery_space *sp = &rec->spaces[i];
        quic_sent_map_check(&sp->map);
        bytes += sp->map.in_flight_bytes;
        QURING_ASSERT(sp->lost_pending_count <= sp->map.lost_count);
    }
    QURING_ASSERT(bytes == rec->in_flight_bytes || rec->held_pn != QUIC_PN_NONE);
}

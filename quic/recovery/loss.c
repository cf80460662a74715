#include "quic/recovery/loss.h"

#include "quic/base/check.h"
#include "quic/recovery/loss_internal.h"

#define DELIVERED_AGO_SHIFT      4u /* quic_sent_packet.delivered_ago counts 16 ns */
#define MAX_ACK_DELAY_DEFAULT_NS (25 * QUIC_NS_PER_MS) /* RFC 9000 18.2 */
#define SENT_ELSEWHERE_NS        0u /* with a packet that asks for nothing: left on another path */
#define REMEMBER_LOST_PTOS       3u /* how long a lost packet may prove spurious */
#define FLAGS_GIVEN                                                                                \
    (QUIC_SENT_ACK_ELICITING | QUIC_SENT_IN_FLIGHT | QUIC_SENT_ECT0 | QUIC_SENT_APP_LIMITED |      \
     QUIC_SENT_MTU_PROBE) /* by the caller of quic_recovery_on_sent */

void quic_recovery_init_space(quic_recovery_space *sp)
{
    sp->largest_acked_pn = QUIC_PN_NONE;
    sp->last_eliciting_sent_ns = 0;
    sp->loss_time_ns = QUIC_NS_NEVER;
    sp->run_first_ns = QUIC_NS_NEVER;
    sp->lost_pn = 0;
    sp->lost_pending_count = 0;
    sp->discarded = false;
}

void quic_recovery_init(quic_recovery *rec, quic_mem *mem, uint32_t packets_max,
                        quic_ns initial_rtt_ns, bool is_client)
{
    memset(rec, 0, sizeof(*rec));
    for (int i = 0; i < QUIC_SPACE_COUNT; i++) {
        quic_sent_map_init(&rec->spaces[i].map, mem, packets_max);
        quic_recovery_init_space(&rec->spaces[i]);
    }
    quic_rtt_init(&rec->rtt, initial_rtt_ns);
    rec->facts.is_client = is_client;
    rec->facts.peer_validated_address = !is_client;
    rec->max_ack_delay_ns = MAX_ACK_DELAY_DEFAULT_NS;
    rec->held_pn = QUIC_PN_NONE;
}

void quic_recovery_deinit(quic_recovery *rec)
{
    rec->held_pn = QUIC_PN_NONE;
    rec->in_flight_bytes = 0;
    for (int i = 0; i < QUIC_SPACE_COUNT; i++) {
        quic_sent_map_deinit(&rec->spaces[i].map);
    }
}

/* Ends the packet an iterator gave out last: its records were readable until now. */
void quic_recovery_release_held(quic_recovery *rec)
{
    quic_recovery_space *sp = &rec->spaces[rec->held_space];
    quic_sent_packet *packet = quic_sent_map_find(&sp->map, rec->held_pn);
    rec->held_pn = QUIC_PN_NONE;
    if (packet != NULL) {
        quic_sent_map_free_packet(&sp->map, packet, rec->held_lo);
    }
}

/* The packet counts no longer: the connection's share of what the map does on free and set_lost. */
void quic_recovery_leave(quic_recovery *rec, quic_recovery_space *sp, quic_sent_packet *packet)
{
    if (packet->state == QUIC_SENT_OUTSTANDING) {
        if ((packet->flags & QUIC_SENT_IN_FLIGHT) != 0) {
            QURING_ASSERT(rec->in_flight_bytes >= packet->bytes);
            rec->in_flight_bytes -= packet->bytes;
        }
    } else if ((packet->flags & QUIC_SENT_LOSS_PENDING) != 0) {
        packet->flags &= (uint8_t)~QUIC_SENT_LOSS_PENDING;
        sp->lost_pending_count--;
    }
}

/* What a delivery rate will be computed from (draft-ietf-ccwg-bbr 4.1.2.2). */
static inline void note_delivery(const quic_recovery *rec, quic_sent_packet *packet, quic_ns now)
{
    uint64_t ago = (now - rec->delivered_ns) >> DELIVERED_AGO_SHIFT;
    packet->delivered_low = (uint32_t)rec->delivered_bytes;
    packet->lost_low = (uint32_t)rec->lost_bytes;
    packet->delivered_ago = ago < UINT32_MAX ? (uint32_t)ago : UINT32_MAX;
    packet->first_sent_ago = quic_float16(now - rec->first_sent_ns);
    packet->tx_in_flight = quic_float16(rec->in_flight_bytes);
    if (QUIC_UNLIKELY(rec->app_limited_bytes != 0)) {
        packet->flags |= QUIC_SENT_APP_LIMITED;
    }
}

/* A pause is no part of the delivery rate. */
static inline void note_pause(quic_recovery *rec, quic_ns now)
{
    if (rec->in_flight_bytes == 0) {
        rec->delivered_ns = now;
        rec->first_sent_ns = now;
    }
}

static inline void note_eliciting(quic_recovery *rec, quic_recovery_space *sp, quic_ns now)
{
    sp->last_eliciting_sent_ns = now;
    rec->timer_base_ns = now;
}

void quic_recovery_on_sent(quic_recovery *rec, quic_space space, quic_sent_packet *packet,
                           uint32_t bytes, uint32_t flags, quic_ns now)
{
    QURING_ASSERT(bytes > 0 && bytes <= UINT16_MAX);
    quic_recovery_release(rec); /* an ACK may have been given up half way */
    quic_recovery_space *sp = &rec->spaces[space];
    QURING_ASSERT(!sp->discarded);
    packet->flags = (uint8_t)(packet->flags | (flags & FLAGS_GIVEN));
    packet->bytes = (uint16_t)bytes;
    packet->sent_ns = now;
    note_pause(rec, now);
    if ((flags & QUIC_SENT_IN_FLIGHT) != 0) {
        rec->in_flight_bytes += bytes;
    }
    note_delivery(rec, packet, now);
    if ((flags & QUIC_SENT_ACK_ELICITING) != 0) {
        note_eliciting(rec, sp, now);
    }
    quic_sent_map_commit(&sp->map, packet);
}

void quic_recovery_on_sent_run(quic_recovery *rec, quic_space space, const quic_sent_frame *first,
                               uint32_t count, uint32_t bytes, uint32_t flags, quic_ns now)
{
    quic_recovery_space *sp = &rec->spaces[space];
    quic_sent_packet like = {.sent_ns = now, .frame = *first, .bytes = (uint16_t)bytes};
    QURING_ASSERT(bytes > 0 && bytes <= UINT16_MAX && !sp->discarded && !sp->map.open);
    QURING_ASSERT(count > 0 && count <= quic_sent_map_room(&sp->map));
    quic_recovery_release(rec);
    note_pause(rec, now);
    like.state = QUIC_SENT_OUTSTANDING;
    like.flags = (uint8_t)((flags & FLAGS_GIVEN) | QUIC_SENT_HAS_FRAME);
    note_delivery(rec, &like, now);
    for (uint32_t i = 0; i < count; i++) {
        quic_sent_packet *packet = quic_sent_map_put(&sp->map, &like);
        packet->frame.off = first->off + (uint64_t)i * first->len;
        rec->in_flight_bytes += (flags & QUIC_SENT_IN_FLIGHT) != 0 ? bytes : 0;
        packet->tx_in_flight = quic_float16(rec->in_flight_bytes);
    }
    quic_sent_map_put_done(&sp->map, &like, count);
    if ((flags & QUIC_SENT_ACK_ELICITING) != 0) {
        note_eliciting(rec, sp, now);
    }
}

void quic_recovery_on_sent_elsewhere(quic_recovery *rec, quic_space space, quic_sent_packet *packet,
                                     uint32_t bytes, quic_ns now)
{
    QURING_ASSERT(bytes > 0 && bytes <= UINT16_MAX);
    quic_recovery_release(rec);
    note_delivery(rec, packet, now);
    packet->bytes = (uint16_t)bytes;
    packet->sent_ns = SENT_ELSEWHERE_NS;
    quic_sent_map_commit(&rec->spaces[space].map, packet);
}

/* ---- loss detection ---------------------------------------------------------------------------- */

static quic_ns persistent_ns(const quic_recovery *rec)
{
    /* RFC 9002 7.6.1: max_ack_delay counts whatever the space. */
    return (quic_rtt_pto_ns(&rec->rtt) + rec->max_ack_delay_ns) *
           QUIC_PERSISTENT_CONGESTION_THRESHOLD;
}

/* RFC 9002 7.6.2: lost ack-eliciting packets, none acknowledged between them, over a long time. */
static void note_run(quic_recovery *rec, quic_recovery_space *sp, const quic_sent_packet *packet,
                     quic_loss_result *out)
{
    if ((packet->flags & QUIC_SENT_ACK_ELICITING) == 0 || !quic_rtt_has_sample(&rec->rtt) ||
        packet->sent_ns <= rec->rtt.first_sample_ns) {
        return;
    }
    if (sp->run_first_ns == QUIC_NS_NEVER || sp->map.jumped) {
        sp->run_first_ns = packet->sent_ns;
        sp->map.jumped = false;
    } else if (packet->sent_ns - sp->run_first_ns > persistent_ns(rec)) {
        out->persistent_congestion = true;
    }
}

static bool was_in_epoch(const quic_recovery *rec, const quic_sent_packet *packet)
{
    return rec->epoch_lost_count > 0 && packet->sent_ns >= rec->epoch_sent_ns &&
           packet->sent_ns <= rec->epoch_start_ns;
}

/* Counts the losses of one congestion epoch, so that it shows when all of them were mistakes. */
static void note_epoch(quic_recovery *rec, const quic_sent_packet *packet, quic_ns now)
{
    if (rec->epoch_lost_count == 0 || packet->sent_ns > rec->epoch_start_ns) {
        rec->epoch_start_ns = now;
        rec->epoch_sent_ns = packet->sent_ns;
        rec->epoch_lost_count = 0;
        rec->epoch_spurious_count = 0;
    }
    rec->epoch_lost_count++;
}

/* The packet is out of flight, and the next to be given out by quic_recovery_next_lost. */
static inline void mark_lost(quic_recovery *rec, quic_recovery_space *sp, quic_sent_packet *packet,
                             quic_loss_result *out)
{
    rec->in_flight_bytes -= packet->bytes;
    out->lost_count++;
    out->lost_bytes += packet->bytes;
    rec->lost_total++;
    if ((packet->flags & QUIC_SENT_ECT0) != 0 && packet->pn >= rec->path_start_pn) {
        out->lost_ect0_count++;
    }
    if ((packet->flags & QUIC_SENT_MTU_PROBE) != 0) {
        out->mtu_probe_lost_count++;
    }
    if (sp->lost_pending_count++ == 0 || packet->pn < sp->lost_pn) {
        sp->lost_pn = packet->pn;
    }
    quic_sent_map_set_lost(&sp->map, packet);
    packet->flags |= QUIC_SENT_LOSS_PENDING;
}

static void lose_packet(quic_recovery *rec, quic_recovery_space *sp, quic_sent_packet *packet,
                        quic_loss_result *out, quic_ns now)
{
    if ((packet->flags & QUIC_SENT_MTU_PROBE) == 0 && packet->sent_ns >= rec->path_start_ns) {
        rec->lost_bytes += packet->bytes;
        if (packet->sent_ns >= out->largest_lost_sent_ns) {
            out->largest_lost_sent_ns = packet->sent_ns;
        }
        note_run(rec, sp, packet, out);
        note_epoch(rec, packet, now);
    }
    mark_lost(rec, sp, packet, out);
}

/* RFC 9002 6.2: a PTO is no sign of loss, so nothing is said of congestion. A congestion epoch that the packet is of
 * was a mistake only when the packet proves to have arrived, too. */
static void give_up_packet(quic_recovery *rec, quic_recovery_space *sp, quic_sent_packet *packet,
                           quic_loss_result *out)
{
    if ((packet->flags & QUIC_SENT_MTU_PROBE) == 0 && was_in_epoch(rec, packet)) {
        rec->epoch_lost_count++;
    }
    mark_lost(rec, sp, packet, out);
}

void quic_recovery_make_room(quic_recovery *rec, quic_recovery_space *sp, uint32_t count,
                             quic_loss_result *out)
{
    quic_sent_map *map = &sp->map;
    for (uint64_t pn = map->base_pn;
         pn < map->next_pn && map->next_pn - pn + count > map->packets_max; pn++) {
        quic_sent_packet *packet = quic_sent_map_find(map, pn);
        if (packet != NULL && packet->state == QUIC_SENT_OUTSTANDING &&
            (packet->flags & QUIC_SENT_IN_FLIGHT) != 0) {
            give_up_packet(rec, sp, packet, out);
        }
    }
}

/* RFC 9002 6.1. Packets leave in order, so those lost are the oldest outstanding ones: the scan stops at
 * the first that is not, and goes on there next time. Each number is passed once. Beyond that point
 * fewer than QUIC_PACKET_THRESHOLD numbers are left below the largest acknowledged. */
void quic_recovery_detect(quic_recovery *rec, quic_recovery_space *sp, quic_loss_result *out,
                          quic_ns now)
{
    quic_sent_map *map = &sp->map;
    quic_ns delay_ns = quic_rtt_loss_delay_ns(&rec->rtt);
    uint64_t pn = map->scan_pn;
    sp->loss_time_ns = QUIC_NS_NEVER;
    out->prior_lost_bytes = rec->lost_bytes;
    for (; pn < map->next_pn && pn <= sp->largest_acked_pn; pn++) {
        quic_sent_packet *packet = quic_sent_map_find(map, pn);
        if (packet == NULL) {
            if (sp->run_first_ns != QUIC_NS_NEVER && !quic_sent_map_has_skipped(map, pn, pn)) {
                sp->run_first_ns = QUIC_NS_NEVER; /* acknowledged: the run of losses ends */
            }
            continue;
        }
        if (packet->state == QUIC_SENT_LOST) {
            continue;
        }
        if (sp->largest_acked_pn - pn < QUIC_PACKET_THRESHOLD &&
            quic_recovery_add_sat(packet->sent_ns, delay_ns) > now) {
            break;
        }
        if ((packet->flags & QUIC_SENT_IN_FLIGHT) != 0) {
            lose_packet(rec, sp, packet, out, now);
        } else {
            quic_sent_map_free_packet(map, packet, pn);
        }
    }
    map->scan_pn = pn;
    for (; pn < map->next_pn && pn < sp->largest_acked_pn; pn++) {
        const quic_sent_packet *packet = quic_sent_map_find(map, pn);
        if (packet != NULL && packet->state == QUIC_SENT_OUTSTANDING &&
            (packet->flags & QUIC_SENT_IN_FLIGHT) != 0) {
            sp->loss_time_ns = quic_recovery_add_sat(packet->sent_ns, delay_ns);
            break;
        }
    }
    if (out->persistent_congestion) {
        sp->run_first_ns = QUIC_NS_NEVER;
        quic_rtt_forget_min(&rec->rtt); /* RFC 9002 5.2 */
    }
}

static void prune(quic_recovery *rec, quic_recovery_space *sp, quic_ns now)
{
    quic_ns keep_ns = REMEMBER_LOST_PTOS * quic_rtt_pto_ns(&rec->rtt);
    quic_sent_map_prune(&sp->map, now > keep_ns ? now - keep_ns : 0);
}

quic_sent_packet *quic_recovery_next_lost(quic_recovery *rec, quic_space space)
{
    quic_recovery_release(rec);
    quic_recovery_space *sp = &rec->spaces[space];
    while (sp->lost_pending_count > 0) {
        QURING_ASSERT(sp->lost_pn < sp->map.next_pn);
        quic_sent_packet *packet = quic_sent_map_find(&sp->map, sp->lost_pn++);
        if (packet != NULL && (packet->flags & QUIC_SENT_LOSS_PENDING) != 0) {
            packet->flags &= (uint8_t)~QUIC_SENT_LOSS_PENDING;
            sp->lost_pending_count--;
            return packet;
        }
    }
    return NULL;
}

/* ---- acknowledgements --------------------------------------------------------------------------- */

quic_rc quic_recovery_ack_begin(quic_recovery *rec, quic_recovery_ack *ack, quic_space space,
                                uint64_t largest, quic_ns ack_delay_ns, quic_ns now)
{
    quic_recovery_release(rec);
    memset(ack, 0, sizeof(*ack));
    ack->rec = rec;
    ack->space = space;
    ack->now = now;
    ack->ack_delay_ns = ack_delay_ns;
    ack->largest = largest;
    ack->out.prior_in_flight_bytes = rec->in_flight_bytes;
    ack->out.largest_acked_pn = QUIC_PN_NONE;
    if (rec->spaces[space].discarded) {
        return QUIC_E_STATE;
    }
    return largest < rec->spaces[space].map.next_pn ? QUIC_OK : QUIC_V_PROTOCOL_VIOLATION;
}

static void finish_range(quic_recovery_ack *ack)
{
    while (ack->range_left) {
        (void)quic_recovery_ack_next(ack);
    }
}

quic_rc quic_recovery_ack_range(quic_recovery_ack *ack, uint64_t lo, uint64_t hi)
{
    finish_range(ack);
    const quic_sent_map *map = &ack->rec->spaces[ack->space].map;
    /* RFC 9000 13.1: the largest was sent, quic_recovery_ack_begin has looked. */
    if (lo > hi || hi > ack->largest) {
        return QUIC_V_PROTOCOL_VIOLATION;
    }
    /* RFC 9000 21.4: only who acknowledges what it did not receive names a skipped number. */
    if (map->skip_count > 0 && quic_sent_map_has_skipped(map, lo, hi)) {
        return QUIC_V_PROTOCOL_VIOLATION;
    }
    ack->lo = lo;
    ack->hi = hi;
    ack->next_pn = hi;
    ack->range_left = true;
    return QUIC_OK;
}

static void note_spurious(quic_recovery_ack *ack, const quic_sent_packet *packet)
{
    quic_recovery *rec = ack->rec;
    quic_ack_result *out = &ack->out;
    quic_recovery_space *sp = &rec->spaces[ack->space];
    rec->spurious_total++;
    out->spurious_count++;
    if (packet->sent_ns >= sp->run_first_ns) {
        sp->run_first_ns = QUIC_NS_NEVER; /* RFC 9002 7.6.2: acknowledged all the same */
    }
    if (!was_in_epoch(rec, packet) || (packet->flags & QUIC_SENT_MTU_PROBE) != 0) {
        return;
    }
    if (++rec->epoch_spurious_count == rec->epoch_lost_count) {
        out->spurious_congestion = true;
        rec->epoch_lost_count = 0;
    }
}

/* Of the newest packet that an ACK covers: the other end of its delivery rate interval. */
static inline void note_newest(quic_recovery_ack *ack, const quic_sent_packet *packet)
{
    quic_recovery *rec = ack->rec;
    quic_ack_result *out = &ack->out;
    quic_ns delivered_ns =
        packet->sent_ns - ((quic_ns)packet->delivered_ago << DELIVERED_AGO_SHIFT);
    ack->ack_elapsed_ns = ack->now > delivered_ns ? ack->now - delivered_ns : 0;
    ack->send_elapsed_ns = quic_float16_value(packet->first_sent_ago);
    ack->lost_low = packet->lost_low;
    out->tx_in_flight_bytes = quic_float16_value(packet->tx_in_flight);
    out->prior_delivered_bytes =
        rec->delivered_bytes - (uint32_t)((uint32_t)rec->delivered_bytes - packet->delivered_low);
}

/* The sums are final now. What left on an earlier path tells nothing of this one (RFC 9000 9.4). */
static void take_rate_sample(quic_recovery_ack *ack)
{
    quic_recovery *rec = ack->rec;
    quic_ack_result *out = &ack->out;
    if (out->largest_acked_sent_ns < rec->path_start_ns && !ack->elsewhere) {
        return;
    }
    if (ack->ack_elapsed_ns > 0 && !ack->elsewhere) {
        out->rate_bytes = rec->delivered_bytes - out->prior_delivered_bytes;
        out->rate_ns =
            ack->ack_elapsed_ns > ack->send_elapsed_ns ? ack->ack_elapsed_ns : ack->send_elapsed_ns;
    }
    rec->delivered_ns = ack->now;
    if (out->largest_acked_sent_ns > rec->first_sent_ns) {
        rec->first_sent_ns = out->largest_acked_sent_ns;
    }
    if (rec->delivered_bytes > rec->app_limited_bytes) {
        rec->app_limited_bytes = 0; /* the bubble has left the path */
    }
}

static void count_acked(quic_recovery_ack *ack, const quic_sent_packet *packet)
{
    quic_recovery *rec = ack->rec;
    quic_ack_result *out = &ack->out;
    out->acked_count++;
    const bool counts =
        (packet->flags & QUIC_SENT_IN_FLIGHT) != 0 && packet->sent_ns >= rec->path_start_ns;
    if (QUIC_LIKELY(counts)) {
        rec->delivered_bytes += packet->bytes;
    }
    if ((packet->flags & QUIC_SENT_ECT0) != 0) {
        out->ect0_acked_count++;
        out->ect0_path_acked_count += packet->pn >= rec->path_start_pn ? 1 : 0;
    }
    ack->has_eliciting |= (packet->flags & QUIC_SENT_ACK_ELICITING) != 0;
    if (packet->state == QUIC_SENT_LOST) {
        note_spurious(ack, packet);
    } else if (QUIC_LIKELY(counts)) {
        out->acked_bytes += packet->bytes;
    }
    if (out->largest_acked_pn == QUIC_PN_NONE || packet->pn > out->largest_acked_pn) {
        out->largest_acked_pn = packet->pn;
        out->largest_acked_sent_ns = packet->sent_ns;
        out->app_limited = (packet->flags & QUIC_SENT_APP_LIMITED) != 0;
        note_newest(ack, packet);
        ack->largest_is_new = packet->pn == ack->largest;
        ack->elsewhere =
            packet->sent_ns == SENT_ELSEWHERE_NS && (packet->flags & QUIC_SENT_ACK_ELICITING) == 0;
    }
}

quic_sent_packet *quic_recovery_ack_next(quic_recovery_ack *ack)
{
    quic_recovery *rec = ack->rec;
    quic_recovery_release(rec);
    if (!ack->range_left) {
        return NULL;
    }
    quic_recovery_space *sp = &rec->spaces[ack->space];
    quic_sent_packet *packet = NULL;
    if (ack->next_pn >= ack->lo && ack->next_pn != QUIC_PN_NONE) {
        packet = quic_sent_map_find_down(&sp->map, ack->lo, ack->next_pn);
    }
    if (packet == NULL) {
        ack->range_left = false;
        if (ack->lo <= sp->map.scan_pn && ack->hi >= sp->map.scan_pn) {
            sp->run_first_ns = QUIC_NS_NEVER;
        }
        quic_sent_map_end_run(&sp->map, ack->lo, ack->hi);
        return NULL;
    }
    count_acked(ack, packet);
    quic_recovery_leave(rec, sp, packet);
    quic_recovery_hold(rec, ack->space, packet->pn, ack->lo);
    ack->next_pn = packet->pn - 1; /* below packet 0 wraps to QUIC_PN_NONE */
    return packet;
}

/* Outstanding, on this path, and with one record of the kind and nothing else to be told. */
static inline bool is_plain(const quic_recovery *rec, const quic_sent_packet *packet, uint8_t kind)
{
    const uint32_t plain = QUIC_SENT_ACK_ELICITING | QUIC_SENT_IN_FLIGHT | QUIC_SENT_HAS_FRAME;
    return packet->state == QUIC_SENT_OUTSTANDING && packet->next_frame == 0 &&
           (packet->flags & ~(QUIC_SENT_ECT0 | QUIC_SENT_APP_LIMITED)) == plain &&
           packet->frame.kind == kind && packet->frame.flags == 0 &&
           packet->sent_ns >= rec->path_start_ns;
}

bool quic_recovery_ack_next_run_slow(quic_recovery_ack *ack, uint8_t kind, quic_acked_run *out)
{
    quic_recovery *rec = ack->rec;
    quic_sent_map *map = &rec->spaces[ack->space].map;
    quic_recovery_release(rec);
    const uint64_t lo = ack->lo > map->base_pn ? ack->lo : map->base_pn;
    uint64_t pn = ack->next_pn;
    /* The newest of all is for quic_recovery_ack_next: more comes of it. */
    if (!ack->range_left || ack->out.largest_acked_pn == QUIC_PN_NONE || pn < lo ||
        pn >= ack->out.largest_acked_pn) {
        return false;
    }
    quic_sent_packet *packet = quic_sent_map_slot(map, pn);
    if (!is_plain(rec, packet, kind)) {
        return false;
    }
    out->frame = packet->frame;
    out->frame.len = 0;
    out->frame.off = packet->frame.off + packet->frame.len;
    out->pn = pn;
    out->bytes = packet->bytes;
    uint32_t count = 0;
    uint32_t ect0 = 0;
    do {
        out->frame.off = packet->frame.off;
        out->frame.len += packet->frame.len;
        if ((packet->flags & QUIC_SENT_ECT0) != 0) {
            ect0++;
            ack->out.ect0_path_acked_count += pn >= rec->path_start_pn ? 1 : 0;
        }
        packet->state = QUIC_SENT_FREE;
        packet->pn = ack->lo;
        count++;
        pn--; /* below packet 0 wraps to QUIC_PN_NONE */
        packet = quic_sent_map_slot(map, pn);
        quic_sent_map_fetch(map, pn - QUIC_SENT_FETCH_AHEAD);
    } while (pn >= lo && pn != QUIC_PN_NONE && is_plain(rec, packet, kind) &&
             packet->bytes == out->bytes && packet->frame.id == out->frame.id &&
             packet->frame.off + packet->frame.len == out->frame.off &&
             out->frame.len <= UINT32_MAX - packet->frame.len);
    const uint64_t bytes = (uint64_t)count * out->bytes;
    ack->next_pn = pn;
    ack->has_eliciting = true;
    ack->out.acked_count += count;
    ack->out.acked_bytes += bytes;
    ack->out.ect0_acked_count += ect0;
    rec->delivered_bytes += bytes;
    QURING_ASSERT(rec->in_flight_bytes >= bytes);
    rec->in_flight_bytes -= bytes;
    quic_sent_map_taken(map, bytes, count);
    return true;
}

static void take_rtt_sample(quic_recovery_ack *ack)
{
    quic_recovery *rec = ack->rec;
    quic_ack_result *out = &ack->out;
    /* RFC 9002 5.1; RFC 9000 9.4 for the path. */
    if (!ack->largest_is_new || !ack->has_eliciting || ack->elsewhere ||
        out->largest_acked_sent_ns < rec->path_start_ns) {
        return;
    }
    quic_ns sample_ns =
        ack->now > out->largest_acked_sent_ns ? ack->now - out->largest_acked_sent_ns : 0;
    quic_ns delay_ns = ack->ack_delay_ns;
    if (ack->space == QUIC_SPACE_INITIAL) {
        delay_ns = 0; /* RFC 9002 5.3: these are not delayed on purpose */
    } else if (rec->facts.handshake_confirmed && delay_ns > rec->max_ack_delay_ns) {
        delay_ns = rec->max_ack_delay_ns;
    }
    quic_rtt_update(&rec->rtt, sample_ns, delay_ns, ack->now);
    out->has_rtt_sample = true;
    out->rtt_sample_ns = rec->rtt.latest_ns;
}

void quic_recovery_ack_end(quic_recovery_ack *ack, quic_ack_result *out)
{
    finish_range(ack);
    quic_recovery *rec = ack->rec;
    quic_recovery_space *sp = &rec->spaces[ack->space];
    quic_ack_result *res = &ack->out;
    if (sp->largest_acked_pn == QUIC_PN_NONE || ack->largest > sp->largest_acked_pn) {
        sp->largest_acked_pn = ack->largest;
        res->largest_increased = true;
    }
    if (res->acked_count > 0) {
        take_rtt_sample(ack);
        take_rate_sample(ack);
        rec->timer_base_ns = ack->now;
        if (ack->space == QUIC_SPACE_HANDSHAKE) {
            rec->facts.peer_validated_address = true; /* RFC 9002 6.2.2.1 */
        }
        quic_recovery_detect(rec, sp, &res->loss, ack->now);
        res->lost_since_bytes = (uint32_t)((uint32_t)rec->lost_bytes - ack->lost_low);
        if (rec->facts.peer_validated_address) {
            rec->pto_count = 0; /* RFC 9002 6.2.1 */
        }
    }
    prune(rec, sp, ack->now);
    *out = *res;
}

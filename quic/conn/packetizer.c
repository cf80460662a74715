/* One packet: header, frames, padding, sealing, and the record of what it carried. */
#include "quic/conn/packetizer.h"

#include "quic/wire/frame_encode.h"

#define ACK_RANGES_SENT_MAX 32u
#define HP_BATCH            128u
#define TAIL_LEN_MIN        512u /* less is copied faster than sealed in two pieces */
#define CLOSE_ROOM          256u /* for a 1-RTT packet with the longest CONNECTION_CLOSE of ours */
#define STREAM_CTRL_LEN_MAX 33   /* RESET_STREAM_AT: a type and four integers */

static inline quic_keys *tx_keys(const quic_conn *conn, const quic_packet_build *b)
{
    return QUIC_UNLIKELY(b->early) ? conn->early->keys : conn->spaces[b->space].tx;
}

static inline bool is_short(const quic_packet_build *b)
{
    return b->space == QUIC_SPACE_APP && !b->early;
}

/* What quic_packet_begin and begin_header do not set otherwise. Each for itself: a memset of this size becomes one
 * instruction that takes as long as the rest of a packet's beginning. */
static inline void begin_empty(quic_packet_build *b)
{
    b->len_off = 0;
    b->tail = NULL;
    b->tail_len = 0;
    b->sent = NULL;
    b->eliciting = false;
    b->in_flight = false;
    b->pad_datagram = false;
    b->mtu_probe = false;
    b->early = false;
    b->full = false;
}

/* The header of packet b->pn with b->pn_len bytes of it. */
static inline bool begin_header(quic_conn *conn, quic_packet_build *b, quic_space space,
                                uint8_t *buf, size_t room)
{
    const quic_cid *dcid = quic_cid_peer_current(&conn->cids_peer);
    b->space = space;
    b->buf = buf;
    if (QUIC_LIKELY(is_short(b))) {
        uint8_t flags = conn->tx_phase ? QUIC_HEADER_KEY_PHASE_BIT : 0;
        flags |= quic_conn_grease_bit(conn, b->pn);
        b->hdr_len = quic_header_encode_short(buf, room, dcid, flags, b->pn, b->pn_len);
    } else {
        quic_long_header_spec spec = {
            .type = b->early                      ? QUIC_PACKET_0RTT
                    : space == QUIC_SPACE_INITIAL ? QUIC_PACKET_INITIAL
                                                  : QUIC_PACKET_HANDSHAKE,
            .version = b->early ? conn->version.chosen : conn->version.current,
            .dcid = dcid,
            .scid = &conn->initial_scid,
            .token = conn->token,
            .token_len = conn->token_len,
            .pn = b->pn,
            .pn_len = b->pn_len,
            .clear_fixed_bit = quic_conn_grease_bit(conn, b->pn) != 0,
        };
        b->hdr_len = quic_header_encode_long(buf, room, &b->len_off, &spec);
    }
    b->keys = tx_keys(conn, b);
    b->tag_len = b->keys->suite->tag_len;
    if (b->hdr_len == 0 || room < b->hdr_len + QUIC_PN_LEN_MAX + b->tag_len) {
        return false;
    }
    b->pn_off = b->hdr_len - b->pn_len;
    b->p = buf + b->hdr_len;
    b->end = buf + room - b->tag_len;
    return true;
}

bool quic_packet_begin(quic_conn *conn, quic_packet_build *b, quic_space space, uint8_t *buf,
                       size_t room)
{
    quic_sent_map *map = quic_recovery_map(&conn->recovery, space);
    begin_empty(b);
    if (QUIC_UNLIKELY(conn->spaces[space].tx == NULL)) {
        if (space != QUIC_SPACE_APP || !quic_conn_sends_early(conn)) {
            return false;
        }
        b->early = true;
    } else if (QUIC_UNLIKELY(quic_keys_is_resting(conn->spaces[space].tx)) &&
               quic_keys_wake(conn->spaces[space].tx) != QUIC_OK) {
        conn->no_room = true;
        return false;
    }
    b->pn = quic_sent_map_next_pn(map);
    b->pn_len = quic_pn_encode_len(b->pn, conn->recovery.spaces[space].largest_acked_pn);
    if (QUIC_UNLIKELY(conn->unencrypted) && space == QUIC_SPACE_APP) {
        b->pn_len =
            QUIC_PN_LEN_MAX; /* no tag would tell that a late packet's number was taken for another */
    }
    if (!begin_header(conn, b, space, buf, room)) {
        return false;
    }
    b->sent = quic_sent_map_add(map, b->pn);
    if (QUIC_UNLIKELY(b->sent == NULL)) {
        conn->no_room = true;
        return false;
    }
    return true;
}

bool quic_packet_begin_closing(quic_conn *conn, quic_packet_build *b, quic_space space,
                               uint8_t *buf, size_t room)
{
    begin_empty(b);
    if (conn->spaces[space].tx == NULL || quic_keys_wake(conn->spaces[space].tx) != QUIC_OK) {
        return false;
    }
    b->pn = conn->close_pn[space];
    b->pn_len = QUIC_PN_LEN_MAX;
    return begin_header(conn, b, space, buf, room);
}

void quic_packet_cancel(quic_conn *conn, quic_packet_build *b)
{
    quic_sent_map_cancel(quic_recovery_map(&conn->recovery, b->space), b->sent);
}

static quic_level level_of(const quic_packet_build *b)
{
    return b->early ? QUIC_LEVEL_EARLY : quic_conn_level_of(b->space);
}

static inline void count_sent(quic_conn *conn, const quic_packet_build *b, size_t len, quic_ns now)
{
    quic_packet_count_sent(conn, 1);
    if (QUIC_UNLIKELY(conn->trace != NULL)) {
        quic_conn_trace_add(conn, QURING_PACKET_SENT, level_of(b), b->pn, len, now);
    }
}

/* Pads to `len_min`, sets the Length field, seals. Returns the packet's size. */
static inline size_t seal_packet(quic_packet_build *b, size_t len_min)
{
    /* RFC 9001 5.4.2: packet number and payload have at least 4 bytes, for the sample */
    size_t body_min = b->pn_len < QUIC_PN_LEN_MAX ? QUIC_PN_LEN_MAX - b->pn_len : 1;
    size_t want = b->hdr_len + body_min + b->tag_len;
    if (want < len_min) {
        want = len_min;
    }
    size_t have = (size_t)(b->p - b->buf) + b->tag_len;
    if (QUIC_UNLIKELY(have < want)) {
        size_t pad = want - have;
        QURING_ASSERT(b->p + pad <= b->end);
        memset(b->p, 0, pad); /* PADDING */
        b->p += pad;
        b->in_flight = true; /* RFC 9002 2: padding counts */
    }
    size_t body = (size_t)(b->p - b->buf) - b->hdr_len;
    if (!is_short(b)) {
        quic_header_patch_len(b->buf, b->len_off, b->pn_len + body + b->tag_len);
    }
    if (b->tail != NULL) {
        quic_keys_seal_tail(b->keys, b->pn, b->buf, b->hdr_len, b->buf + b->hdr_len,
                            body - b->tail_len, b->tail, b->tail_len);
    } else {
        quic_keys_seal(b->keys, b->pn, b->buf, b->hdr_len, b->buf + b->hdr_len, body);
    }
    return b->hdr_len + body + b->tag_len;
}

size_t quic_packet_finish_closing(quic_conn *conn, quic_packet_build *b, size_t len_min)
{
    conn->close_pn[b->space]++;
    size_t len = seal_packet(b, len_min);
    count_sent(conn, b, len, conn->env->now);
    return len;
}

size_t quic_packet_finish(quic_conn *conn, quic_packet_build *b, size_t len_min, quic_ns now)
{
    size_t len = seal_packet(b, len_min);
    uint32_t flags = (b->eliciting ? QUIC_SENT_ACK_ELICITING : 0) |
                     (b->eliciting || b->in_flight ? QUIC_SENT_IN_FLIGHT : 0);
    flags |= QUIC_UNLIKELY(b->mtu_probe) ? QUIC_SENT_MTU_PROBE : 0;
    flags = quic_packet_charge(conn, b->space, 1, (uint32_t)len, flags, now);
    quic_recovery_on_sent(&conn->recovery, b->space, b->sent, (uint32_t)len, flags, now);
    if (b->eliciting) {
        conn->ack_only_run = 0;
        if (!conn->sent_eliciting_since_recv) {
            conn->sent_eliciting_since_recv = true;
            conn->idle_base_ns = now; /* RFC 9000 10.1 */
        }
    } else {
        conn->ack_only_run++;
    }
    count_sent(conn, b, len, now);
    return len;
}

size_t quic_packet_finish_elsewhere(quic_conn *conn, quic_packet_build *b, size_t len_min,
                                    quic_ns now)
{
    size_t len = seal_packet(b, len_min);
    quic_recovery_on_sent_elsewhere(&conn->recovery, b->space, b->sent, (uint32_t)len, now);
    count_sent(conn, b, len, now);
    return len;
}

void quic_packet_protect(const quic_packet_build *b)
{
    uint8_t mask[16];
    quic_keys_hp_mask(b->keys, b->buf + b->pn_off + QUIC_PN_LEN_MAX, mask);
    b->buf[0] ^= mask[0] & (is_short(b) ? 0x1f : 0x0f); /* RFC 9001 5.4.1 */
    for (uint8_t i = 0; i < b->pn_len; i++) {
        b->buf[b->pn_off + i] ^= mask[1 + i];
    }
}

void quic_packet_protect_short(const quic_keys *keys, uint8_t *const *packets,
                               const uint8_t *pn_lens, size_t pn_off, unsigned count)
{
    const uint8_t *samples[HP_BATCH];
    uint8_t masks[HP_BATCH][16];
    QURING_ASSERT(count <= HP_BATCH);
    for (unsigned i = 0; i < count; i++) {
        samples[i] = packets[i] + pn_off + QUIC_PN_LEN_MAX;
    }
    quic_keys_hp_masks(keys, samples, masks, count);
    for (unsigned i = 0; i < count; i++) {
        uint8_t *p = packets[i];
        p[0] ^= masks[i][0] & 0x1f;
        for (uint8_t j = 0; j < pn_lens[i]; j++) {
            p[pn_off + j] ^= masks[i][1 + j];
        }
    }
}

/* ---- frames -------------------------------------------------------------------------------------- */

bool quic_packet_add_ack(quic_conn *conn, quic_packet_build *b, quic_ns now)
{
    quic_ack_tracker *t = &conn->spaces[b->space].acks;
    /* Our exponent is the default: microseconds / 8 (RFC 9000 18.2) */
    uint64_t delay =
        b->space == QUIC_SPACE_APP ? quic_ack_tracker_delay_ns(t, now) / QUIC_NS_PER_US >> 3 : 0;
    uint64_t ecn[3] = {t->ect0_count, t->ect1_count, t->ce_count};
    size_t n =
        quic_frame_encode_ack(b->p, (size_t)(b->end - b->p), quic_ack_tracker_ranges(t), delay,
                              quic_ack_tracker_has_ecn(t) ? ecn : NULL, ACK_RANGES_SENT_MAX);
    if (n == 0) {
        return false;
    }
    quic_sent_frame frame = {.kind = QUIC_SF_ACK, .off = quic_ack_tracker_largest(t)};
    if (!quic_packet_record(conn, b, &frame)) {
        return false;
    }
    (void)quic_ack_tracker_on_ack_sent(t);
    if (b->space == QUIC_SPACE_APP) {
        conn->rx_phase_unacked = false; /* our keys followed at once, RFC 9001 6.2 */
    }
    b->p += n;
    conn->env->counters->acks_sent++;
    return true;
}

bool quic_packet_add_crypto(quic_conn *conn, quic_packet_build *b)
{
    quic_crypto_stream *cs = conn->spaces[b->space].crypto;
    uint64_t off = 0;
    size_t len = 0;
    bool any = false;
    while (cs != NULL && quic_crypto_stream_send_next(cs, (size_t)(b->end - b->p), &off, &len)) {
        quic_sent_frame frame = {.kind = QUIC_SF_CRYPTO, .off = off, .len = (uint32_t)len};
        if (!quic_packet_record(conn, b, &frame)) {
            break;
        }
        b->p += quic_crypto_stream_encode(cs, off, len, b->p);
        quic_crypto_stream_send_commit(cs, off, len);
        b->eliciting = true;
        any = true;
    }
    return any;
}

/* In place of a CONNECTION_CLOSE at this level, which RFC 9000 10.2.3 asks for beside the one in a 1-RTT packet
 * (SHOULD): a server that takes one in has a failed handshake, and reads nothing that the other says. With what it
 * lacks of the flight it reads that, in the same datagram. All that is not acknowledged goes, as what of it was lost
 * is not known any more; and either all or nothing. */
bool quic_packet_add_last_flight(quic_conn *conn, quic_packet_build *b)
{
    quic_crypto_stream *cs = conn->spaces[b->space].crypto;
    size_t room = (size_t)(b->end - b->p);
    if (cs == NULL || quic_send_buf_held(&cs->send) == 0 || room <= CLOSE_ROOM) {
        return false;
    }
    const uint64_t off = cs->send.acked_off;
    const size_t len = (size_t)quic_send_buf_held(&cs->send);
    if (quic_frame_crypto_room(room - CLOSE_ROOM, off) < len) {
        return false;
    }
    b->p += quic_crypto_stream_encode(cs, off, len, b->p);
    return true;
}

bool quic_packet_add_ping(quic_packet_build *b)
{
    size_t n = quic_frame_encode_ping(b->p, (size_t)(b->end - b->p));
    b->p += n;
    b->eliciting = b->eliciting || n > 0;
    return n > 0;
}

/* One frame for one QUIC_PEND_* bit that only says the newest value. Returns its size. */
static size_t encode_pending(quic_conn *conn, uint32_t bit, uint8_t *p, size_t room)
{
    switch (bit) {
    case QUIC_PEND_MAX_DATA: {
        uint64_t limit = quic_flow_recv_next_limit(&conn->flow_recv);
        size_t n = quic_frame_encode_max_data(p, room, limit);
        if (n > 0) {
            quic_flow_recv_on_update_sent(&conn->flow_recv, limit);
        }
        return n;
    }
    case QUIC_PEND_DATA_BLOCKED:
        return quic_frame_encode_data_blocked(p, room, conn->flow_send.limit);
    case QUIC_PEND_MAX_STREAMS_BIDI:
    case QUIC_PEND_MAX_STREAMS_UNI: {
        bool uni = bit == QUIC_PEND_MAX_STREAMS_UNI;
        /* Repeated because it was lost, it must not say more than it may now. */
        uint64_t max = QUIC_UNLIKELY(conn->turn_held)
                           ? quic_stream_table_peer_max(&conn->streams, uni)
                           : quic_stream_table_next_max_streams(&conn->streams, uni);
        size_t n = quic_frame_encode_max_streams(p, room, uni, max);
        if (n > 0) {
            quic_stream_table_on_max_streams_sent(&conn->streams, uni, max);
        }
        return n;
    }
    case QUIC_PEND_STREAMS_BLOCKED_BIDI:
    case QUIC_PEND_STREAMS_BLOCKED_UNI: {
        bool uni = bit == QUIC_PEND_STREAMS_BLOCKED_UNI;
        return quic_frame_encode_streams_blocked(p, room, uni,
                                                 quic_stream_table_local_max(&conn->streams, uni));
    }
    case QUIC_PEND_IMMEDIATE_ACK:
        return quic_frame_encode_immediate_ack(p, room);
    case QUIC_PEND_HANDSHAKE_DONE:
        return quic_frame_encode_handshake_done(p, room);
    default:
        return quic_frame_encode_ping(p, room);
    }
}

static bool add_new_cids(quic_conn *conn, quic_packet_build *b)
{
    quic_cid_local_entry *entry;
    while ((entry = quic_cid_local_next_to_send(&conn->cids_local)) != NULL) {
        uint8_t token[QUIC_RESET_TOKEN_LEN];
        quic_reset_token(&conn->env->reset_key, token, entry->bytes, conn->cids_local.len);
        size_t n = quic_frame_encode_new_connection_id(b->p, (size_t)(b->end - b->p), entry->seq, 0,
                                                       entry->bytes, conn->cids_local.len, token);
        quic_sent_frame frame = {.kind = QUIC_SF_NEW_CID, .id = entry->seq};
        if (n == 0 || !quic_packet_record(conn, b, &frame)) {
            return false;
        }
        quic_cid_local_sent(&conn->cids_local, entry);
        b->p += n;
        b->eliciting = true;
    }
    conn->pending &= ~(uint32_t)QUIC_PEND_NEW_CID;
    return true;
}

static bool add_retirements(quic_conn *conn, quic_packet_build *b)
{
    uint64_t seq = 0;
    while (b->end - b->p >= 9 && quic_cid_peer_next_retire(&conn->cids_peer, &seq)) {
        size_t n = quic_frame_encode_retire_connection_id(b->p, (size_t)(b->end - b->p), seq);
        quic_sent_frame frame = {.kind = QUIC_SF_RETIRE_CID, .id = seq};
        if (n == 0 || !quic_packet_record(conn, b, &frame)) {
            quic_cid_peer_retire_lost(&conn->cids_peer, seq);
            return false;
        }
        b->p += n;
        b->eliciting = true;
    }
    if (conn->cids_peer.to_send_count > 0) {
        return false;
    }
    conn->pending &= ~(uint32_t)QUIC_PEND_RETIRE_CID;
    return true;
}

/* RFC 9000 8.2.2: the answer is not repeated when it is lost; the challenge would be. */
static bool add_path_responses(quic_conn *conn, quic_packet_build *b)
{
    uint8_t data[QUIC_PATH_DATA_LEN];
    while (b->end - b->p >= (ptrdiff_t)(1 + sizeof(data))) {
        if (!quic_path_pop_response(&conn->path, data)) {
            conn->pending &= ~(uint32_t)QUIC_PEND_PATH_RESPONSE;
            return true;
        }
        b->p += quic_frame_encode_path_response(b->p, (size_t)(b->end - b->p), data);
        b->eliciting = true;
        b->pad_datagram = true;
    }
    return conn->path.response_count == 0;
}

bool quic_packet_add_pending(quic_conn *conn, quic_packet_build *b)
{
    const uint32_t composite = QUIC_PEND_NEW_CID | QUIC_PEND_RETIRE_CID | QUIC_PEND_PATH_RESPONSE |
                               QUIC_PEND_NEW_TOKEN | QUIC_PEND_DATAGRAM | QUIC_PEND_ACK_FREQUENCY;
    if ((conn->pending & QUIC_PEND_PATH_RESPONSE) != 0 && !add_path_responses(conn, b)) {
        return false;
    }
    if ((conn->pending & QUIC_PEND_ACK_FREQUENCY) != 0 && !quic_packet_add_ack_frequency(conn, b)) {
        return false;
    }
    if ((conn->pending & QUIC_PEND_RETIRE_CID) != 0 && !add_retirements(conn, b)) {
        return false;
    }
    if ((conn->pending & QUIC_PEND_NEW_CID) != 0 && !add_new_cids(conn, b)) {
        return false;
    }
    if ((conn->pending & QUIC_PEND_NEW_TOKEN) != 0 && !quic_packet_add_new_tokens(conn, b)) {
        return false;
    }
    uint32_t left = conn->pending & ~composite;
    while (left != 0) {
        uint32_t bit = left & (~left + 1);
        left &= ~bit;
        quic_sent_frame frame = {.kind = QUIC_SF_PEND, .off = bit};
        if (b->end - b->p < 9 || !quic_packet_record(conn, b, &frame)) {
            return false;
        }
        size_t n = encode_pending(conn, bit, b->p, (size_t)(b->end - b->p));
        b->p += n;
        b->eliciting = true;
        conn->pending &= ~bit;
    }
    return true;
}

static size_t encode_ctrl(quic_stream *s, uint32_t bit, uint8_t *p, size_t room)
{
    switch (bit) {
    case QUIC_STREAM_CTRL_MAX_DATA: {
        uint64_t limit = quic_flow_recv_next_limit(&s->recv_flow);
        size_t n = quic_frame_encode_max_stream_data(p, room, s->id, limit);
        if (n > 0) {
            quic_flow_recv_on_update_sent(&s->recv_flow, limit);
        }
        return n;
    }
    case QUIC_STREAM_CTRL_DATA_BLOCKED:
        return quic_frame_encode_stream_data_blocked(p, room, s->id, s->send_flow.limit);
    case QUIC_STREAM_CTRL_RESET:
        if (s->reset_at) {
            quic_frame_reset_stream_at at = {.id = s->id,
                                             .error = s->reset_error,
                                             .final_size = s->send.next_off,
                                             .reliable_size = s->reliable_size};
            return quic_frame_encode_reset_stream_at(p, room, &at);
        }
        return quic_frame_encode_reset_stream(p, room, s->id, s->reset_error, s->send.next_off);
    default:
        return quic_frame_encode_stop_sending(p, room, s->id, s->stop_error);
    }
}

bool quic_packet_add_stream_ctrl(quic_conn *conn, quic_packet_build *b)
{
    quic_list_node *node;
    while ((node = quic_list_front(&conn->ctrl_streams)) != NULL) {
        quic_stream *s = QUIC_CONTAINER_OF(node, quic_stream, ctrl_node);
        while (s->ctrl_pending != 0) {
            uint32_t bit = s->ctrl_pending & (~(uint32_t)s->ctrl_pending + 1);
            quic_sent_frame frame = {
                .kind = QUIC_SF_STREAM_CTRL, .flags = (uint8_t)bit, .id = s->id};
            frame.off = bit == QUIC_STREAM_CTRL_RESET ? quic_stream_reliable_size(s) : 0;
            if (b->end - b->p < STREAM_CTRL_LEN_MAX || !quic_packet_record(conn, b, &frame)) {
                return false;
            }
            size_t n = encode_ctrl(s, bit, b->p, (size_t)(b->end - b->p));
            b->p += n;
            b->eliciting = true;
            s->ctrl_pending = (uint8_t)(s->ctrl_pending & ~bit);
        }
        quic_list_remove(node);
    }
    return true;
}

/* The data of a frame that fills the packet stays where it is until the packet is sealed. */
static inline void add_chunk(quic_packet_build *b, quic_stream *s, const quic_stream_chunk *chunk)
{
    if (!chunk->has_len && chunk->len >= TAIL_LEN_MIN) {
        size_t n = quic_stream_chunk_encode_head(s, chunk, b->p, &b->tail);
        if (QUIC_LIKELY(n != 0)) {
            b->tail_len = chunk->len;
            b->p += n + chunk->len;
            return;
        }
        b->tail = NULL;
    }
    b->p += quic_stream_chunk_encode(s, chunk, b->p);
}

/* Credit that a woken stream did not use, as it was reset, wakes another one, before one that is less urgent. */
static inline quic_stream *next_stream(quic_conn *conn)
{
    if (quic_conn_may_wake(conn) &&
        quic_scheduler_is_more_urgent(&conn->waiting, &conn->scheduler)) {
        quic_conn_wake_streams(conn);
    }
    return quic_scheduler_next(&conn->scheduler);
}

/* Where it lacks the connection's credit others do, too, and come before it when there is more. */
static inline void leave_turn(quic_conn *conn, quic_stream *s)
{
    if (conn->scheduler.count > 1 && s->incremental && quic_stream_can_send(s, UINT64_MAX)) {
        quic_scheduler_put_last(&conn->scheduler, s);
    } else {
        quic_conn_reschedule(conn, s);
    }
}

void quic_packet_add_streams(quic_conn *conn, quic_packet_build *b)
{
    quic_stream *s;
    while (!b->full && (s = next_stream(conn)) != NULL) {
        quic_stream_chunk chunk;
        uint64_t credit = quic_flow_send_credit(&conn->flow_send);
        size_t room = (size_t)(b->end - b->p);
        if (QUIC_UNLIKELY(!quic_stream_send_next(s, credit, room, &chunk))) {
            if (!quic_stream_can_send(s, credit)) {
                quic_conn_reschedule(conn, s); /* notes what blocks it */
                continue;
            }
            if (s->ctrl_pending != 0) {
                quic_conn_note_ctrl(conn, s);
            }
            return; /* no room here */
        }
        quic_sent_frame frame = {.kind = QUIC_SF_STREAM,
                                 .flags = chunk.fin ? QUIC_SF_FIN : 0,
                                 .len = chunk.len,
                                 .id = s->id,
                                 .off = chunk.off};
        if (!quic_packet_record(conn, b, &frame)) {
            return;
        }
        add_chunk(b, s, &chunk);
        quic_stream_send_commit(s, &chunk);
        conn->flow_send.used += chunk.new_bytes;
        conn->early_bytes += QUIC_UNLIKELY(b->early) ? chunk.new_bytes : 0;
        b->eliciting = true;
        b->full = !chunk.has_len;
        if (s->ctrl_pending != 0) {
            quic_conn_note_ctrl(conn, s);
        }
        if (!quic_stream_can_send(s, quic_flow_send_credit(&conn->flow_send))) {
            leave_turn(conn, s);
        }
    }
}

/* RFC 9000 10.2.3: an application's close says nothing to who has not proved itself yet. */
bool quic_packet_add_close(quic_conn *conn, quic_packet_build *b)
{
    const quring_close_info *info = quic_conn_close_info(conn);
    size_t room = (size_t)(b->end - b->p);
    size_t reason_len = strlen(info->reason);
    size_t n;
    if (info->kind == QURING_CLOSE_LOCAL_APP && b->space != QUIC_SPACE_APP) {
        n = quic_frame_encode_connection_close(b->p, room, QUIC_V_APPLICATION_ERROR, 0, NULL, 0);
    } else if (info->kind == QURING_CLOSE_LOCAL_APP) {
        n = quic_frame_encode_connection_close_app(b->p, room, info->code, info->reason,
                                                   reason_len);
    } else {
        n = quic_frame_encode_connection_close(b->p, room, info->code, info->frame_type,
                                               info->reason, reason_len);
    }
    b->p += n;
    return n > 0;
}

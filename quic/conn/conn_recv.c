/* Packets in: header protection off, packet number, keys, duplicate check, open, frames, then the
 * packet is noted for acknowledgement (RFC 9000 12, 13.1; RFC 9001 5). */
#include "quic/conn/conn_internal.h"
#include "quic/conn/conn_landing.h"
#include "quic/crypto/retry.h"

#define MASK_BATCH 64u

/* The peer proved with so many packets that it has the keys of this connection. */
static void on_authentic(quic_conn *conn, quic_level level, uint32_t packets, size_t bytes,
                         quic_ns now)
{
    conn->authentic = true;
    conn->packets_recv += packets;
    quic_glitch_begin(&conn->glitch, packets, bytes);
    conn->env->counters->packets_recv += packets;
    quic_conn_on_activity(conn, now);
    if (QUIC_UNLIKELY(level == QUIC_LEVEL_HANDSHAKE) && conn->role == QUIC_SERVER) {
        conn->path.validated = true;                            /* RFC 9000 8.1 */
        quic_conn_discard_space(conn, QUIC_SPACE_INITIAL, now); /* RFC 9001 4.9.1 */
        quic_conn_mark_dirty(conn);
    }
}

static void on_open_failed(quic_conn *conn, const quic_keys *keys, const uint8_t *packet,
                           size_t len, quic_ns now)
{
    conn->env->counters->drop_undecryptable++;
    conn->open_failed_total++;
    /* RFC 9000 10.3, 10.3.1: what looks like a packet, of either kind, may be a reset; opening left the last bytes
     * alone. */
    if (len >= QUIC_RESET_LEN_MIN &&
        quic_reset_table_find(&conn->env->reset_tokens, packet + len - QUIC_RESET_TOKEN_LEN) ==
            conn) {
        quic_conn_recv_stateless_reset(conn, now);
        return;
    }
    if (conn->open_failed_total >= quic_keys_integrity_limit(keys)) { /* RFC 9001 6.6 */
        quic_conn_fail(conn, QUIC_V_AEAD_LIMIT_REACHED, 0, "integrity limit", now);
    }
}

/* A packet came before its keys (RFC 9000 5.7). A client that has those of no level but Initial may lack what brings
 * them. */
static void hold(quic_conn *conn, const uint8_t *data, size_t len, size_t datagram_len, uint8_t ecn,
                 quic_ns now)
{
    quic_conn_hold_packet(conn, data, len, datagram_len, ecn);
    if (conn->role == QUIC_CLIENT && conn->spaces[QUIC_SPACE_HANDSHAKE].rx == NULL) {
        quic_conn_hasten_handshake(conn, now);
    }
}

/* Packets whose frames were taken get their places among those to acknowledge: one, or `count` in a row, all of them
 * eliciting. */
static inline void note_taken(quic_conn *conn, quic_level level, uint64_t pn, uint32_t count,
                              bool eliciting, uint8_t ecn, quic_ns now)
{
    quic_conn_space *space = &conn->spaces[quic_conn_space_of(level)];
    if (!quic_conn_is_open(conn) || space->discarded) {
        return;
    }
    quic_rc rc = count == 1 ? quic_ack_tracker_on_packet(&space->acks, pn, eliciting, ecn, now)
                            : quic_ack_tracker_on_run(&space->acks, pn, count, ecn, now);
    if (rc != QUIC_OK) {
        quic_conn_fail(conn, QUIC_E_NOMEM, 0, "memory", now);
        return;
    }
    if (QUIC_UNLIKELY(conn->rx_immediate_ack)) {
        quic_ack_tracker_force(&space->acks, now); /* Acknowledgment Frequency 5 */
    }
    if (QUIC_UNLIKELY(conn->rx_other_path) && conn->rx_non_probing && level == QUIC_LEVEL_APP &&
        pn == quic_ack_tracker_largest(&space->acks)) {
        quic_conn_follow_peer(conn, now);
    }
}

/* The frames of an opened packet, and its place among those to acknowledge. */
static void take_payload(quic_conn *conn, quic_level level, uint64_t pn, const uint8_t *payload,
                         size_t len, const uint8_t *dcid, size_t dcid_len, uint8_t ecn, quic_ns now)
{
    bool eliciting = false;
    if (QUIC_UNLIKELY(len == 0)) {
        /* RFC 9000 12.4: a packet without frames */
        quic_conn_fail(conn, QUIC_V_PROTOCOL_VIOLATION, 0, "empty packet", now);
        return;
    }
    conn->rx_non_probing = false;
    conn->rx_immediate_ack = false;
    quic_rc rc = quic_conn_take_frames(conn, level, payload, len, &eliciting, dcid, dcid_len, now);
    if (rc == QUIC_OK) {
        note_taken(conn, level, pn, 1, eliciting, ecn, now);
    }
}

static inline void trace_received(quic_conn *conn, quic_level level, uint64_t pn, size_t len,
                                  quic_ns now)
{
    if (QUIC_UNLIKELY(conn->trace != NULL)) {
        quic_conn_trace_add(conn, QURING_PACKET_RECEIVED, level, pn, len, now);
    }
}

/* ---- long headers ------------------------------------------------------------------------------- */

static bool long_packet_acceptable(quic_conn *conn, const quic_long_header *h, size_t datagram_len)
{
    if (conn->role == QUIC_SERVER) {
        /* RFC 9000 14.1 */
        if (h->type == QUIC_PACKET_INITIAL && datagram_len < QUIC_MIN_INITIAL_LEN) {
            conn->env->counters->drop_short_initial++;
            return false;
        }
        return true;
    }
    if (h->type == QUIC_PACKET_0RTT || (h->type == QUIC_PACKET_INITIAL && h->token_len > 0)) {
        return false; /* RFC 9000 17.2.2: a server's Initial carries no token */
    }
    return true;
}

/* RFC 9369 4.1: 0-RTT packets come in the version the client chose, Handshake packets in the negotiated
 * one. Initial packets were asked for by version. */
static bool version_fits(const quic_conn *conn, quic_level level, uint32_t version)
{
    return level == QUIC_LEVEL_INITIAL ||
           version == (level == QUIC_LEVEL_EARLY ? conn->version.chosen : conn->version.current);
}

/* `data` is opened. */
static void take_long(quic_conn *conn, quic_level level, uint64_t pn, const uint8_t *data,
                      size_t hdr_len, const quic_long_header *h, uint8_t ecn, quic_ns now)
{
    if ((data[0] & QUIC_HEADER_LONG_RESERVED) != 0) {
        quic_conn_fail(conn, QUIC_V_PROTOCOL_VIOLATION, 0, "reserved bits", now); /* 17.2 */
        return;
    }
    if (level == QUIC_LEVEL_INITIAL) {
        quic_conn_version_on_initial(conn, h->version);
    }
    if (!conn->peer_scid_known) {
        quic_cid_set(&conn->peer_scid, h->scid, h->scid_len);
        conn->peer_scid_known = true;
        quic_cid_peer_set_initial(&conn->cids_peer, &conn->peer_scid);
    }
    on_authentic(conn, level, 1, h->packet_len - hdr_len, now); /* a token is no work */
    trace_received(conn, level, pn, h->packet_len, now);
    uint64_t received = conn->flow_recv.received;
    take_payload(conn, level, pn, data + hdr_len, h->packet_len - hdr_len - QUIC_AEAD_TAG_LEN,
                 h->dcid, h->dcid_len, ecn, now);
    conn->early_bytes += level == QUIC_LEVEL_EARLY ? conn->flow_recv.received - received : 0;
    if (quic_conn_is_open(conn)) {
        quic_conn_drive_handshake(conn, now);
    }
}

void quic_conn_recv_opened(quic_conn *conn, const uint8_t *data, const quic_long_header *h,
                           const quic_opened_initial *opened, uint8_t ecn, quic_ns now)
{
    take_long(conn, QUIC_LEVEL_INITIAL, opened->pn, data, opened->hdr_len, h, ecn, now);
}

void quic_conn_recv_long(quic_conn *conn, uint8_t *data, const quic_long_header *h,
                         size_t datagram_len, uint8_t ecn, quic_ns now)
{
    quic_counters *counters = conn->env->counters;
    if (!quic_conn_is_open(conn)) {
        quic_conn_on_recv_closing(conn);
        return;
    }
    if (h->type > QUIC_PACKET_HANDSHAKE || !long_packet_acceptable(conn, h, datagram_len)) {
        counters->drop_malformed++;
        return;
    }
    quic_level level = quic_header_type_level(h->type);
    quic_conn_space *space = &conn->spaces[quic_conn_space_of(level)];
    quic_keys *rx =
        level == QUIC_LEVEL_INITIAL ? quic_conn_version_initial_rx(conn, h->version) : space->rx;
    bool may_hold = !space->discarded && level == QUIC_LEVEL_HANDSHAKE;
    if (QUIC_UNLIKELY(level == QUIC_LEVEL_EARLY)) {
        rx = conn->early != NULL ? conn->early->keys : NULL;
        /* TLS has not decided yet */
        may_hold = conn->external ? !conn->handshake_complete
                                  : conn->early_gate != NULL && conn->tls == NULL;
    }
    if (QUIC_UNLIKELY(rx != NULL && !version_fits(conn, level, h->version))) {
        counters->drop_malformed++;
        return;
    }
    if (rx == NULL) {
        if (may_hold) {
            hold(conn, data, h->packet_len, datagram_len, ecn, now);
        } else {
            counters->drop_no_keys++;
        }
        return;
    }
    /* RFC 9000 7.2: once the peer's SCID is known, other ones are discarded */
    if (conn->peer_scid_known && !quic_cid_is(&conn->peer_scid, h->scid, h->scid_len)) {
        counters->drop_malformed++;
        return;
    }
    uint8_t mask[16];
    quic_keys_hp_mask(rx, data + h->pn_offset + QUIC_PN_LEN_MAX, mask);
    uint8_t first = data[0] ^ (mask[0] & 0x0f);
    uint8_t pn_len = quic_header_pn_len(first);
    size_t hdr_len = h->pn_offset + pn_len;
    data[0] = first;
    for (uint8_t i = 0; i < pn_len; i++) {
        data[h->pn_offset + i] ^= mask[1 + i];
    }
    uint64_t pn = quic_pn_decode(quic_pn_load(data + h->pn_offset, pn_len), pn_len,
                                 quic_ack_tracker_largest(&space->acks) + 1);
    /* RFC 9001 9.5: a number that was seen before is no reason not to open a packet. */
    if (!quic_keys_open(rx, pn, data, hdr_len, data + hdr_len, h->packet_len - hdr_len)) {
        on_open_failed(conn, rx, data, h->packet_len, now);
        return;
    }
    if (quic_ack_tracker_is_duplicate(&space->acks, pn)) {
        counters->drop_duplicate++;
        return;
    }
    take_long(conn, level, pn, data, hdr_len, h, ecn, now);
}

/* ---- short headers ------------------------------------------------------------------------------- */

/* A packet whose Key Phase bit is not that of the current keys. */
static bool open_other_phase(quic_conn *conn, quic_keys **keys, uint64_t pn, uint8_t *data,
                             size_t hdr_len, size_t len, quic_ns now)
{
    quic_rc rc = quic_conn_open_other_phase(conn, keys, pn, data, hdr_len, len);
    if (rc == QUIC_E_STATE) {
        conn->env->counters->drop_no_keys++;
    } else if (rc == QUIC_E_DROP) {
        on_open_failed(conn, *keys, data, len, now);
    } else if (rc != QUIC_OK) {
        quic_conn_fail(conn, rc, 0, "old keys after newer ones", now);
    }
    return rc == QUIC_OK;
}

/* Opens a packet of the current key phase, and says whether it is authentic: in place, or, where landing->data is
 * not NULL afterwards, to where the data of its only frame belongs. */
static inline bool open_current(quic_conn *conn, quic_landing *landing, size_t ahead, uint64_t pn,
                                uint8_t *data, size_t hdr_len, size_t len)
{
    quic_keys *keys = conn->spaces[QUIC_SPACE_APP].rx;
    uint8_t *payload = data + hdr_len;
    size_t sealed_len = len - hdr_len;
    size_t payload_len = sealed_len - keys->suite->tag_len;
    if (!quic_landing_find(landing, &conn->streams, conn->rx_head_len, payload_len, ahead)) {
        return quic_keys_open(keys, pn, data, hdr_len, payload, sealed_len);
    }
    bool authentic = quic_keys_open_to(keys, pn, data, hdr_len, quic_landing_start(landing),
                                       payload, sealed_len);
    if (QUIC_UNLIKELY(!authentic || !quic_landing_is_right(landing, payload_len))) {
        if (authentic) {
            memcpy(payload, quic_landing_start(landing), payload_len);
        }
        quic_landing_clear(landing);
        return authentic;
    }
    quic_landing_uncover(landing);
    return true;
}

static void take_landed(quic_conn *conn, const quic_frame_stream *frame, uint64_t pn,
                        uint32_t count, uint8_t ecn, quic_ns now)
{
    on_authentic(conn, QUIC_LEVEL_APP, count, frame->len, now);
    conn->rx_non_probing = true;
    conn->rx_immediate_ack = false;
    if (quic_conn_take_stream(conn, frame, count, now) == QUIC_OK) {
        note_taken(conn, QUIC_LEVEL_APP, pn, count, true, ecn, now);
    }
}

/* Takes what has landed and waits, before anything else happens. Returns whether the connection is still open. */
static inline bool end_run(quic_conn *conn, quic_landed_run *run, uint8_t ecn, quic_ns now)
{
    if (run->count != 0) {
        uint32_t count = run->count;
        run->count = 0;
        take_landed(conn, &run->frame, run->pn, count, ecn, now);
    }
    return quic_conn_is_open(conn);
}

/* A landed packet joins those that wait, or begins to wait itself, or is taken at once: where each is looked at, or
 * more than data comes of it. */
static inline void on_landed(quic_conn *conn, quic_landed_run *run, const quic_landing *landing,
                             uint64_t pn, uint8_t ecn, quic_ns now)
{
    if (QUIC_LIKELY(
            quic_landed_run_take(run, landing, pn, quic_flow_recv_credit(&conn->flow_recv)))) {
        return;
    }
    if (!end_run(conn, run, ecn, now)) {
        return;
    }
    if (conn->trace == NULL && !conn->rx_other_path &&
        quic_landed_run_may_begin(landing, quic_flow_recv_credit(&conn->flow_recv))) {
        run->frame = landing->frame;
        run->pn = pn;
        run->count = 1;
        return;
    }
    take_landed(conn, &landing->frame, pn, 1, ecn, now);
}

/* RFC 9001 9.5: a packet whose number was seen before takes as long as any other. One that is not authentic counts
 * among those (6.6), and may be a reset. */
static void drop_seen(quic_conn *conn, uint64_t pn, uint8_t *data, size_t hdr_len, size_t len,
                      quic_ns now)
{
    quic_keys *keys = conn->spaces[QUIC_SPACE_APP].rx;
    if (quic_header_key_phase(data[0]) != conn->rx_phase) {
        if (!open_other_phase(conn, &keys, pn, data, hdr_len, len, now)) {
            return;
        }
    } else if (!quic_keys_open(keys, pn, data, hdr_len, data + hdr_len, len - hdr_len)) {
        quic_conn_open_again(conn, pn, data, hdr_len, len);
        on_open_failed(conn, keys, data, len, now);
        return;
    }
    conn->env->counters->drop_duplicate++;
}

static inline void recv_short_one(quic_conn *conn, quic_landed_run *run, uint8_t *data, size_t len,
                                  size_t pn_off, const uint8_t mask[16], uint8_t ecn, quic_ns now)
{
    quic_conn_space *app = &conn->spaces[QUIC_SPACE_APP];
    uint8_t first = data[0] ^ (mask[0] & 0x1f);
    uint8_t pn_len = quic_header_pn_len(first);
    size_t hdr_len = pn_off + pn_len;
    data[0] = first;
    for (uint8_t i = 0; i < pn_len; i++) {
        data[pn_off + i] ^= mask[1 + i];
    }
    uint64_t next_pn = quic_ack_tracker_largest(&app->acks) + 1; /* RFC 9000 A.3 */
    if (run->count != 0 && run->pn + run->count > next_pn) {
        next_pn = run->pn + run->count;
    }
    uint64_t pn = quic_pn_decode(quic_pn_load(data + pn_off, pn_len), pn_len, next_pn);
    if ((pn != next_pn || QUIC_UNLIKELY(quic_header_key_phase(first) != conn->rx_phase)) &&
        !end_run(conn, run, ecn, now)) {
        return;
    }
    if (QUIC_UNLIKELY(quic_ack_tracker_is_duplicate(&app->acks, pn))) {
        if (end_run(conn, run, ecn, now)) {
            drop_seen(conn, pn, data, hdr_len, len, now);
        }
        return;
    }
    quic_keys *keys = app->rx;
    quic_landing landing;
    landing.data = NULL; /* not all of it: see begin_empty in packetizer.c */
    if (QUIC_UNLIKELY(quic_header_key_phase(first) != conn->rx_phase)) {
        if (!open_other_phase(conn, &keys, pn, data, hdr_len, len, now)) {
            return;
        }
    } else if (QUIC_UNLIKELY(!open_current(conn, &landing, run->count != 0 ? run->frame.len : 0, pn,
                                           data, hdr_len, len))) {
        if (end_run(conn, run, ecn, now)) {
            quic_conn_open_again(conn, pn, data, hdr_len, len);
            on_open_failed(conn, keys, data, len, now);
        }
        return;
    }
    if (QUIC_UNLIKELY((first & QUIC_HEADER_SHORT_RESERVED) != 0)) {
        if (end_run(conn, run, ecn, now)) {
            quic_conn_fail(conn, QUIC_V_PROTOCOL_VIOLATION, 0, "reserved bits", now); /* 17.3.1 */
        }
        return;
    }
    quic_rc rc = quic_conn_on_opened(conn, keys, pn, now);
    if (QUIC_UNLIKELY(rc != QUIC_OK)) {
        quic_conn_fail(conn, rc, 0, rc > 0 ? "key update without acknowledgement" : "memory", now);
        return;
    }
    if (QUIC_LIKELY(landing.data != NULL)) {
        trace_received(conn, QUIC_LEVEL_APP, pn, len, now);
        on_landed(conn, run, &landing, pn, ecn, now);
        return;
    }
    if (!end_run(conn, run, ecn, now)) {
        return;
    }
    on_authentic(conn, QUIC_LEVEL_APP, 1, len, now);
    trace_received(conn, QUIC_LEVEL_APP, pn, len, now);
    take_payload(conn, QUIC_LEVEL_APP, pn, data + hdr_len, len - hdr_len - keys->suite->tag_len,
                 data + 1, pn_off - 1, ecn, now);
}

/* RFC 9001 5.7: neither side takes 1-RTT packets before its handshake is complete. */
static bool may_open_short(const quic_conn *conn)
{
    return conn->spaces[QUIC_SPACE_APP].rx != NULL && conn->handshake_complete;
}

void quic_conn_recv_short(quic_conn *conn, uint8_t *data, uint32_t count, uint32_t seg_len,
                          uint32_t last_len, uint8_t ecn, quic_ns now)
{
    const uint8_t *samples[MASK_BATCH];
    uint8_t masks[MASK_BATCH][16];
    const size_t pn_off = 1u + conn->env->cid_format.len;
    /* Not `trimmed`: a Handshake packet may have ended that rest, before the handshake is confirmed. */
    const quic_keys *rx = conn->spaces[QUIC_SPACE_APP].rx;
    if (rx != NULL && QUIC_UNLIKELY(quic_keys_is_resting(rx)) && !quic_conn_wake_rx(conn)) {
        conn->env->counters->drop_limit += count;
        return;
    }
    while (count > 0) {
        if (!quic_conn_is_open(conn)) {
            quic_conn_on_recv_closing(conn);
            return;
        }
        if (!may_open_short(conn)) {
            uint32_t len = count == 1 ? last_len : seg_len;
            hold(conn, data, len, len, ecn, now);
            data += seg_len;
            count--;
            continue;
        }
        uint32_t n = count < MASK_BATCH ? count : MASK_BATCH;
        for (uint32_t i = 0; i < n; i++) {
            samples[i] = data + (size_t)i * seg_len + pn_off + QUIC_PN_LEN_MAX;
        }
        quic_keys_hp_masks(conn->spaces[QUIC_SPACE_APP].rx, samples, masks, n);
        quic_landed_run run;
        run.count = 0;
        for (uint32_t i = 0; i < n && quic_conn_is_open(conn); i++) {
            size_t len = count - i == 1 ? last_len : seg_len;
            recv_short_one(conn, &run, data + (size_t)i * seg_len, len, pn_off, masks[i], ecn, now);
        }
        (void)end_run(conn, &run, ecn, now);
        data += (size_t)n * seg_len;
        count -= n;
    }
    /* Not while packets are held: driving the handshake would replay them, and they would be held
     * again, without end. */
    if (QUIC_UNLIKELY(conn->spaces[QUIC_SPACE_APP].crypto != NULL) && may_open_short(conn) &&
        quic_conn_is_open(conn)) {
        quic_conn_drive_handshake(conn, now);
    }
}

void quic_conn_recv_done(quic_conn *conn)
{
    conn->rx_from = NULL;
    conn->rx_other_path = false;
    /* Whoever hears from the peer often puts the timer off for ever. */
    if (QUIC_UNLIKELY((conn->send_starved & QUIC_STARVED_OF_MEMORY) != 0)) {
        quic_conn_retry_writes(conn);
    }
    quic_conn_mark_dirty(conn);
}

/* ---- packets that are not packets -------------------------------------------------------------------- */

/* RFC 9000 17.2.5.2, 8.1.2 */
void quic_conn_recv_retry(quic_conn *conn, const uint8_t *data, const quic_long_header *h,
                          quic_ns now)
{
    if (conn->role != QUIC_CLIENT || conn->authentic || conn->retry_used ||
        !quic_conn_is_open(conn) || h->token_len == 0 ||
        quic_cid_is(&conn->original_dcid, h->scid, h->scid_len) ||
        h->version != conn->version.chosen || /* RFC 9369 4.1 */
        !quic_retry_tag_check(h->version, &conn->original_dcid, data, h->packet_len)) {
        conn->env->counters->drop_malformed++;
        return;
    }
    uint8_t *token = quic_mem_alloc(&conn->mem, h->token_len);
    if (token == NULL) {
        quic_conn_fail(conn, QUIC_E_NOMEM, 0, "memory", now);
        return;
    }
    memcpy(token, h->token, h->token_len);
    quic_conn_drop_token(conn); /* 8.1.3: Retry's takes its place */
    conn->token = token;
    conn->token_len = h->token_len;
    conn->retry_used = true;
    quic_cid_set(&conn->retry_scid, h->scid, h->scid_len);
    quic_cid_peer_set_initial(&conn->cids_peer, &conn->retry_scid);
    conn->initial_dcid = conn->retry_scid;
    quic_conn_version_free_other(conn); /* keys of another version belong to the old one */
    if (quic_conn_make_initial_keys(conn, &conn->initial_dcid) != QUIC_OK) {
        quic_conn_fail(conn, QUIC_E_NOMEM, 0, "memory", now);
        return;
    }
    /* RFC 9002 6.3: what was sent before counts no more, and leaves again with the token. */
    const quic_sent_packet *packet;
    while ((packet = quic_recovery_take_next(&conn->recovery, QUIC_SPACE_INITIAL)) != NULL) {
        quic_conn_requeue(conn, QUIC_SPACE_INITIAL, packet);
    }
    while ((packet = quic_recovery_take_next(&conn->recovery, QUIC_SPACE_APP)) != NULL) {
        quic_conn_datagrams_lost(conn, packet);
        quic_conn_requeue(conn, QUIC_SPACE_APP, packet); /* 0-RTT, RFC 9000 17.2.5.3 */
    }
    quic_recovery_on_retry(&conn->recovery, now);
    quic_cc_reset(&conn->cc);
    quic_conn_mark_dirty(conn);
}

void quic_conn_recv_stateless_reset(quic_conn *conn, quic_ns now)
{
    if (!quic_conn_is_open(conn)) {
        return;
    }
    conn->env->counters->recv_stateless_reset++;
    quic_conn_end_silently(conn, QURING_CLOSE_STATELESS_RESET, 0, now);
}

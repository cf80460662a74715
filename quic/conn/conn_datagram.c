/* DATAGRAM frames (RFC 9221): queued, packed between streams, counted, never sent twice. */
#include "quic/conn/conn_datagram.h"

#include "quic/conn/packetizer.h"
#include "quic/wire/frame_encode.h"
#include "quic/wire/varint.h"

/* Header bytes of a 1-RTT packet without its connection ID (RFC 9000 17.3), of a 0-RTT packet without
 * its two (17.2.3). */
#define SHORT_HEADER_LEN (1u + QUIC_PN_LEN_MAX)
#define PEER_MAX_MIN     2u /* 0: none; 1 would leave no room for a Length field */
#define EARLY_HEADER_LEN (1u + 4u + 1u + 1u + 2u + QUIC_PN_LEN_MAX)

static quic_conn_datagrams *datagrams_of(quic_conn *conn)
{
    if (conn->datagrams == NULL) {
        conn->datagrams = quic_mem_zalloc(&conn->mem, sizeof(*conn->datagrams));
        if (conn->datagrams != NULL) {
            quic_datagram_queue_init(&conn->datagrams->tx, &conn->mem,
                                     QUIC_DATAGRAM_QUEUE_SEND_BYTES);
            quic_datagram_queue_init(&conn->datagrams->rx, &conn->mem,
                                     QUIC_DATAGRAM_QUEUE_RECV_BYTES);
        }
    }
    return conn->datagrams;
}

/* Bytes of frames in the largest packet that may leave now. */
static uint32_t frames_room(const quic_conn *conn)
{
    const quic_cid *dcid = quic_cid_peer_current(&conn->cids_peer);
    uint32_t header = SHORT_HEADER_LEN + dcid->len;
    if (QUIC_UNLIKELY(quic_conn_sends_early(conn))) {
        header = EARLY_HEADER_LEN + dcid->len + conn->initial_scid.len;
    }
    return conn->path.udp_payload_bytes - header - QUIC_AEAD_TAG_LEN;
}

/* The largest payload for which there is a frame that the peer takes and a packet carries. RFC 9221 3: the
 * peer's limit counts the whole frame. The frame that ends a packet goes without its Length. */
static uint32_t payload_max(const quic_conn *conn)
{
    size_t by_peer = quic_frame_datagram_room(conn->peer_datagram_max, true);
    size_t by_path = quic_frame_datagram_room(frames_room(conn), false);
    return (uint32_t)(by_peer < by_path ? by_peer : by_path);
}

/* ---- verbs ------------------------------------------------------------------------------------------- */

static void discard_front(quic_conn_datagrams *dg)
{
    quic_datagram_queue_pop(&dg->tx);
    dg->discarded++;
}

static void discard_expired(quic_conn_datagrams *dg, quic_ns now)
{
    const quic_datagram *d;
    while ((d = quic_datagram_queue_front(&dg->tx)) != NULL && d->expires_ns <= now) {
        discard_front(dg);
    }
}

static void refuse(quic_conn_datagrams *dg)
{
    dg->send_refused = true;
    dg->refused_at = dg->tx.count;
}

/* Whether datagrams may be sent: the peer has said that it takes them, now or (0-RTT) before. */
static quic_rc sendable(const quic_conn *conn)
{
    if (!(conn->state == QUIC_CONN_ESTABLISHED && conn->params_applied) &&
        !quic_conn_is_early(conn)) {
        return QUIC_E_STATE;
    }
    if (conn->peer_datagram_max < PEER_MAX_MIN) {
        return conn->handshake_complete || conn->early_status != QUIC_EARLY_REJECTED
                   ? QUIC_E_NOT_SUPPORTED
                   : QUIC_E_AGAIN; /* refused 0-RTT: what the server takes is not known yet */
    }
    return QUIC_OK;
}

quic_rc quic_conn_datagram_max(const quic_conn *conn, size_t *out)
{
    quic_rc rc = sendable(conn);
    *out = rc == QUIC_OK ? payload_max(conn) : 0;
    return rc;
}

quic_rc quic_conn_datagram_send(quic_conn *conn, const uint8_t *data, size_t len, quic_ns ttl_ns,
                                uint32_t flags)
{
    quic_rc rc = sendable(conn);
    if (rc != QUIC_OK && rc != QUIC_E_AGAIN) {
        return rc;
    }
    quic_conn_datagrams *dg = datagrams_of(conn);
    if (dg == NULL) {
        return QUIC_E_NOMEM;
    }
    if (rc == QUIC_E_AGAIN) {
        refuse(dg);
        return rc;
    }
    if (len > payload_max(conn)) {
        return QUIC_E_TOO_LARGE;
    }
    quic_ns now = conn->env->now;
    quic_ns expires_ns = ttl_ns == 0 || ttl_ns > QUIC_NS_NEVER - now ? QUIC_NS_NEVER : now + ttl_ns;
    discard_expired(dg, now);
    while ((rc = quic_datagram_queue_push(&dg->tx, data, len, expires_ns)) == QUIC_E_AGAIN) {
        if ((flags & QUIC_DATAGRAM_REPLACE) == 0) {
            refuse(dg);
            return rc;
        }
        discard_front(dg);
    }
    if (rc == QUIC_OK) {
        conn->pending |= QUIC_PEND_DATAGRAM;
        quic_conn_mark_dirty(conn);
    }
    return rc;
}

quic_rc quic_conn_datagram_peek(quic_conn *conn, quic_span *out)
{
    quic_conn_datagrams *dg = conn->datagrams;
    const quic_datagram *d = dg != NULL ? quic_datagram_queue_front(&dg->rx) : NULL;
    if (d == NULL) {
        if (dg != NULL) {
            dg->told_readable = false;
        }
        return QUIC_E_AGAIN;
    }
    out->data = quic_datagram_queue_bytes(&dg->rx);
    out->len = d->len;
    return QUIC_OK;
}

quic_rc quic_conn_datagram_consume(quic_conn *conn)
{
    quic_span span;
    quic_rc rc = quic_conn_datagram_peek(conn, &span);
    if (rc == QUIC_OK) {
        quic_datagram_queue_pop(&conn->datagrams->rx);
        conn->datagrams->told_readable = conn->datagrams->rx.count > 0;
    }
    return rc;
}

/* ---- in ---------------------------------------------------------------------------------------------- */

quic_rc quic_conn_on_datagram(quic_conn *conn, const quic_frame_datagram *frame, size_t frame_len)
{
    if (frame_len > conn->limits.datagram_max_bytes) {
        return QUIC_V_PROTOCOL_VIOLATION; /* RFC 9221 3 */
    }
    conn->env->counters->datagram_frames_recv++;
    quic_conn_datagrams *dg = datagrams_of(conn);
    if (dg == NULL) {
        conn->env->counters->datagram_frames_dropped++;
        return QUIC_OK; /* RFC 9221 5.3: who cannot store one may drop it */
    }
    dg->received++;
    quic_rc rc;
    while ((rc = quic_datagram_queue_push(&dg->rx, frame->data, frame->len, QUIC_NS_NEVER)) ==
           QUIC_E_AGAIN) {
        quic_datagram_queue_pop(&dg->rx); /* the newest is worth most to who reads late */
        dg->overrun++;
        conn->env->counters->datagram_frames_dropped++;
    }
    if (rc != QUIC_OK) {
        dg->overrun++;
        conn->env->counters->datagram_frames_dropped++;
        return QUIC_OK;
    }
    if (!dg->told_readable) {
        dg->told_readable = true;
        quic_conn_raise(conn, QUIC_CONN_EV_DATAGRAM_READABLE);
    }
    return QUIC_OK;
}

/* ---- out --------------------------------------------------------------------------------------------- */

/* The oldest datagram, if it fits into what is left of the packet. */
static bool add_front(quic_conn *conn, quic_packet_build *b, const quic_datagram *d)
{
    quic_conn_datagrams *dg = conn->datagrams;
    size_t room = (size_t)(b->end - b->p);
    size_t with_len = 1 + quic_varint_len(d->len) + d->len;
    bool ends_packet = with_len >= room; /* nothing else would fit behind it */
    if (ends_packet && 1 + (size_t)d->len > room) {
        return false;
    }
    quic_sent_frame record = {.kind = QUIC_SF_DATAGRAM};
    if (quic_sent_packet_add_frame(quic_recovery_map(&conn->recovery, b->space), b->sent,
                                   &record) != QUIC_OK) {
        return false;
    }
    if (ends_packet) {
        /* Without a Length the data must reach the very end: what is left over goes before it. */
        size_t over = room - 1 - d->len;
        memset(b->p, 0, over); /* PADDING */
        b->p += over;
        room -= over;
        b->full = true;
    }
    b->p += quic_frame_encode_datagram_header(b->p, room, d->len, !ends_packet);
    if (d->len > 0) {
        memcpy(b->p, quic_datagram_queue_bytes(&dg->tx), d->len);
        b->p += d->len;
    }
    b->eliciting = true;
    dg->sent++;
    dg->sent_len = d->len;
    conn->env->counters->datagram_frames_sent++;
    quic_datagram_queue_pop(&dg->tx);
    return true;
}

static void add_datagrams(quic_conn *conn, quic_packet_build *b, quic_ns now)
{
    quic_conn_datagrams *dg = conn->datagrams;
    const quic_datagram *d;
    uint32_t max = payload_max(conn);
    while (!b->full && (d = quic_datagram_queue_front(&dg->tx)) != NULL) {
        if (d->expires_ns <= now || d->len > max || conn->peer_datagram_max < PEER_MAX_MIN) {
            discard_front(dg); /* too late, or packets have become smaller: it never fits */
        } else if (!add_front(conn, b, d)) {
            break;
        }
    }
    if (dg->tx.count == 0) {
        conn->pending &= ~(uint32_t)QUIC_PEND_DATAGRAM;
    }
    if (dg->send_refused && dg->tx.count <= dg->refused_at / 2) {
        dg->send_refused = false;
        quic_conn_raise(conn, QUIC_CONN_EV_DATAGRAM_WRITABLE);
    }
}

bool quic_conn_next_datagram_is_alike(const quic_conn *conn)
{
    if ((conn->pending & QUIC_PEND_DATAGRAM) == 0 || !quic_scheduler_is_empty(&conn->scheduler)) {
        return false;
    }
    const quic_datagram *d = quic_datagram_queue_front(&conn->datagrams->tx);
    return d != NULL && d->len == conn->datagrams->sent_len;
}

void quic_conn_add_datagrams_and_streams(quic_conn *conn, quic_packet_build *b, quic_ns now)
{
    quic_conn_datagrams *dg = conn->datagrams;
    bool both = !quic_scheduler_is_empty(&conn->scheduler);
    bool streams_first = both && dg->streams_first;
    if (streams_first) {
        quic_packet_add_streams(conn, b);
    }
    add_datagrams(conn, b, now);
    if (!streams_first) {
        quic_packet_add_streams(conn, b);
    }
    dg->streams_first = both && !streams_first;
}

void quic_conn_datagram_acked(quic_conn *conn, bool was_lost)
{
    conn->datagrams->acked++;
    conn->datagrams->lost -= was_lost ? 1 : 0; /* declared lost too early, RFC 9221 5.2 */
}

void quic_conn_datagrams_lost(quic_conn *conn, const quic_sent_packet *packet)
{
    const quic_sent_map *map = &conn->recovery.spaces[QUIC_SPACE_APP].map;
    quic_sent_frame_iter it = {0};
    const quic_sent_frame *frame;
    if (conn->datagrams == NULL) {
        return;
    }
    while ((frame = quic_sent_frame_next(map, packet, &it)) != NULL) {
        if (frame->kind == QUIC_SF_DATAGRAM) {
            conn->datagrams->lost++;
            conn->env->counters->datagram_frames_lost++;
        }
    }
}

/* ---- life -------------------------------------------------------------------------------------------- */

void quic_conn_datagrams_complete(quic_conn *conn)
{
    if (conn->datagrams != NULL && conn->datagrams->send_refused &&
        (conn->pending & QUIC_PEND_DATAGRAM) == 0) {
        conn->datagrams->send_refused = false;
        quic_conn_raise(conn, QUIC_CONN_EV_DATAGRAM_WRITABLE);
    }
}

void quic_conn_trim_datagrams(quic_conn *conn)
{
    if (conn->datagrams != NULL) {
        quic_datagram_queue_trim(&conn->datagrams->tx);
        quic_datagram_queue_trim(&conn->datagrams->rx);
    }
}

void quic_conn_free_datagrams(quic_conn *conn)
{
    if (conn->datagrams != NULL) {
        quic_datagram_queue_deinit(&conn->datagrams->tx);
        quic_datagram_queue_deinit(&conn->datagrams->rx);
        quic_mem_free(&conn->mem, conn->datagrams, sizeof(*conn->datagrams));
        conn->datagrams = NULL;
    }
}

void quic_conn_datagram_info(const quic_conn *conn, quring_conn_info *out)
{
    const quic_conn_datagrams *dg = conn->datagrams;
    if (dg == NULL) {
        return;
    }
    out->datagrams_sent = dg->sent;
    out->datagrams_acked = dg->acked;
    out->datagrams_lost = dg->lost;
    out->datagrams_discarded = dg->discarded;
    out->datagrams_recv = dg->received;
    out->datagrams_overrun = dg->overrun;
}

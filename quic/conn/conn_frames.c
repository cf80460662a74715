/* Frames in: each is decoded, judged by where it may appear, and handed to the part of the connection
 * it speaks to (RFC 9000 12.4, 19). */
#include "quic/conn/conn_internal.h"
#include "quic/wire/frame_decode.h"
#include "quic/wire/frame_table.h"

/* What a frame handler needs besides the frame. */
typedef struct frame_ctx {
    quic_conn *conn;
    quic_level level;
    const uint8_t *dcid;
    size_t dcid_len;
    size_t frame_len; /* of the frame being taken */
    quic_ns now;
} frame_ctx;

static quic_rc find_stream(quic_conn *conn, quic_stream **out, uint64_t id, quic_stream_side side)
{
    bool opened = false;
    quic_rc rc = quic_stream_table_on_frame(&conn->streams, out, &opened, id, side);
    if (QUIC_UNLIKELY(rc == QUIC_E_NOMEM)) {
        quic_stream_table_make_room(&conn->streams); /* what is empty makes room */
        rc = quic_stream_table_on_frame(&conn->streams, out, &opened, id, side);
    }
    if (rc == QUIC_OK && QUIC_UNLIKELY(opened)) {
        rc = quic_conn_adopt_stream(conn, *out);
        if (rc == QUIC_OK) {
            quic_conn_raise_stream(conn, *out, QUIC_STREAM_EV_OPENED);
        }
    }
    return rc;
}

/* Of all streams, as quic_recv_buf_init has it for one. */
static bool has_too_many_gaps(const quic_conn *conn)
{
    const uint64_t unread = conn->flow_recv.received - conn->flow_recv.consumed;
    return conn->gap_count > conn->limits.reassembly_gaps_conn_max + unread / QUIC_RECV_GAP_SPAN;
}

static quic_rc on_stream(quic_conn *conn, const quic_frame_stream *frame)
{
    quic_stream *s = NULL;
    quic_rc rc = find_stream(conn, &s, frame->id, QUIC_STREAM_SIDE_RECV);
    if (QUIC_UNLIKELY(rc != QUIC_OK) || QUIC_UNLIKELY(s == NULL)) {
        quic_glitch_note(&conn->glitch, 1); /* of a stream that is over */
        return rc;
    }
    quic_stream_recv_facts facts;
    memset(&facts, 0, sizeof(facts));
    rc = quic_stream_on_data(s, &conn->flow_recv, frame->off, frame->data, frame->len, frame->fin,
                             &facts);
    if (QUIC_UNLIKELY(rc == QUIC_E_NOMEM)) {
        quic_stream_table_make_room(&conn->streams);
        rc = quic_stream_on_data(s, &conn->flow_recv, frame->off, frame->data, frame->len,
                                 frame->fin, &facts);
    }
    if (QUIC_UNLIKELY(rc != QUIC_OK)) {
        return rc;
    }
    if (QUIC_UNLIKELY(facts.useless)) {
        quic_glitch_note(&conn->glitch, 1);
    }
    quic_conn_apply_recv_facts(conn, s, &facts);
    if (QUIC_UNLIKELY(s->recv.ahead.count != 0) && has_too_many_gaps(conn)) {
        return QUIC_E_LIMIT;
    }
    return QUIC_OK;
}

static quic_rc on_reset_stream(quic_conn *conn, const quic_frame_reset_stream *frame)
{
    quic_stream *s = NULL;
    quic_rc rc = find_stream(conn, &s, frame->id, QUIC_STREAM_SIDE_RECV);
    if (rc != QUIC_OK || s == NULL) {
        quic_glitch_note(&conn->glitch, 1);
        return rc;
    }
    quic_stream_recv_facts facts;
    memset(&facts, 0, sizeof(facts));
    rc = quic_stream_on_reset(s, &conn->flow_recv, frame->error, frame->final_size, &facts);
    if (rc == QUIC_OK) {
        quic_glitch_note(&conn->glitch, facts.useless ? 1 : 0);
        quic_conn_apply_recv_facts(conn, s, &facts);
    }
    return rc;
}

static quic_rc on_reset_stream_at(quic_conn *conn, const quic_frame_reset_stream_at *frame)
{
    quic_stream *s = NULL;
    quic_rc rc = find_stream(conn, &s, frame->id, QUIC_STREAM_SIDE_RECV);
    if (rc != QUIC_OK || s == NULL) {
        quic_glitch_note(&conn->glitch, 1);
        return rc;
    }
    quic_stream_recv_facts facts;
    memset(&facts, 0, sizeof(facts));
    rc = quic_stream_on_reset_at(s, &conn->flow_recv, frame->error, frame->final_size,
                                 frame->reliable_size, &facts);
    if (rc == QUIC_OK) {
        quic_glitch_note(&conn->glitch, facts.useless ? 1 : 0);
        quic_conn_apply_recv_facts(conn, s, &facts);
    }
    return rc;
}

static quic_rc on_stop_sending(quic_conn *conn, const quic_frame_stop_sending *frame)
{
    quic_stream *s = NULL;
    quic_rc rc = find_stream(conn, &s, frame->id, QUIC_STREAM_SIDE_SEND);
    if (rc != QUIC_OK || s == NULL) {
        quic_glitch_note(&conn->glitch, 1);
        return rc;
    }
    quic_stream_send_facts facts;
    memset(&facts, 0, sizeof(facts));
    bool news = quic_stream_on_stop_sending(s, frame->error, &facts);
    quic_conn_note_credit(conn, s);
    quic_glitch_note(&conn->glitch, news ? 0 : 1);
    quic_conn_apply_send_facts(conn, s, &facts);
    quic_conn_note_ctrl(conn, s);
    if (news) {
        s->events &= ~(uint32_t)QUIC_STREAM_EV_WRITABLE; /* no longer true */
        quic_conn_raise_stream(conn, s, QUIC_STREAM_EV_STOPPED);
    }
    return QUIC_OK;
}

static quic_rc on_max_stream_data(quic_conn *conn, const quic_frame_max_stream_data *frame)
{
    quic_stream *s = NULL;
    quic_rc rc = find_stream(conn, &s, frame->id, QUIC_STREAM_SIDE_SEND);
    if (rc == QUIC_OK && s != NULL && quic_stream_on_max_data(s, frame->max)) {
        quic_conn_note_credit(conn, s);
        quic_conn_schedule(conn, s);
    }
    return rc;
}

static quic_rc on_stream_data_blocked(quic_conn *conn, const quic_frame_max_stream_data *frame)
{
    quic_stream *s = NULL;
    return find_stream(conn, &s, frame->id, QUIC_STREAM_SIDE_RECV);
}

static void on_max_data(quic_conn *conn, uint64_t max)
{
    if (quic_flow_send_on_limit(&conn->flow_send, max) && quic_conn_may_wake(conn)) {
        quic_conn_wake_streams(conn);
    }
}

static void on_max_streams(quic_conn *conn, const quic_frame_max_streams *frame)
{
    if (!quic_stream_table_on_max_streams(&conn->streams, frame->uni, frame->max)) {
        return;
    }
    uint32_t events = QUIC_CONN_EV_STREAM_LIMIT;
    if (conn->open_refused) {
        conn->open_refused = false;
        events |= QUIC_CONN_EV_STREAMS_AVAILABLE;
    }
    quic_conn_raise(conn, events);
}

/* RFC 9000 19.14: a peer that waits for streams need not wait for many. */
static void on_streams_blocked(quic_conn *conn, const quic_frame_max_streams *frame)
{
    if (quic_stream_table_on_peer_blocked(&conn->streams, frame->uni, frame->max) &&
        !conn->turn_held) {
        conn->pending |= frame->uni ? QUIC_PEND_MAX_STREAMS_UNI : QUIC_PEND_MAX_STREAMS_BIDI;
        quic_conn_mark_dirty(conn);
    }
}

static quic_rc on_crypto(const frame_ctx *ctx, const quic_frame_crypto *frame)
{
    quic_conn *conn = ctx->conn;
    quic_conn_space *space = &conn->spaces[quic_conn_space_of(ctx->level)];
    if (space->discarded) {
        quic_glitch_note(&conn->glitch, 1);
        return QUIC_OK;
    }
    if (conn->role == QUIC_SERVER && conn->handshake_complete) {
        /* RFC 9001 4.4, 6: a client has nothing to say after its Finished but KeyUpdate, which is wrong */
        return QUIC_V_CRYPTO_BASE + QUIC_ALERT_UNEXPECTED_MESSAGE;
    }
    quic_crypto_stream *cs = quic_conn_crypto_of(conn, quic_conn_space_of(ctx->level));
    if (cs == NULL) {
        return QUIC_E_NOMEM;
    }
    quic_conn_version_on_crypto(conn);
    bool is_known = quic_recv_buf_is_known(&cs->recv, frame->off, frame->off + frame->len);
    quic_rc rc = quic_crypto_stream_on_frame(cs, frame->off, frame->data, frame->len);
    quic_glitch_note(&conn->glitch, is_known ? 1 : 0);
    if (is_known && frame->len > 0 && ctx->level == QUIC_LEVEL_INITIAL &&
        conn->role == QUIC_SERVER) {
        quic_conn_hasten_handshake(conn, ctx->now);
    }
    /* RFC 9000 7.5: too many gaps are as good as too many bytes */
    return rc == QUIC_E_LIMIT ? QUIC_V_CRYPTO_BUFFER_EXCEEDED : rc;
}

static quic_rc on_handshake_done(quic_conn *conn, quic_ns now)
{
    if (!conn->handshake_complete) {
        return QUIC_V_PROTOCOL_VIOLATION;
    }
    quic_glitch_note(&conn->glitch, conn->handshake_confirmed ? 1 : 0);
    quic_conn_on_handshake_confirmed(conn, now);
    return QUIC_OK;
}

static quic_rc on_frame(const frame_ctx *ctx, const quic_frame *frame)
{
    quic_conn *conn = ctx->conn;
    switch (frame->type) {
    case QUIC_FRAME_PADDING:
    case QUIC_FRAME_PING:
    case QUIC_FRAME_DATA_BLOCKED:
        quic_glitch_note(&conn->glitch, 1); /* there is nothing to do but acknowledge */
        return QUIC_OK;
    case QUIC_FRAME_ACK:
    case QUIC_FRAME_ACK_ECN:
        return quic_conn_on_ack(conn, quic_conn_space_of(ctx->level), &frame->ack, ctx->now);
    case QUIC_FRAME_CRYPTO:
        return on_crypto(ctx, &frame->crypto);
    case QUIC_FRAME_RESET_STREAM:
        return on_reset_stream(conn, &frame->reset_stream);
    case QUIC_FRAME_STOP_SENDING:
        return on_stop_sending(conn, &frame->stop_sending);
    case QUIC_FRAME_MAX_DATA:
        quic_glitch_note(&conn->glitch, 1); /* a limit can be raised by one without end */
        on_max_data(conn, frame->max_data.max);
        return QUIC_OK;
    case QUIC_FRAME_MAX_STREAM_DATA:
        quic_glitch_note(&conn->glitch, 1);
        return on_max_stream_data(conn, &frame->max_stream_data);
    case QUIC_FRAME_MAX_STREAMS_BIDI:
    case QUIC_FRAME_MAX_STREAMS_UNI:
        quic_glitch_note(&conn->glitch, 1);
        on_max_streams(conn, &frame->max_streams);
        return QUIC_OK;
    case QUIC_FRAME_STREAMS_BLOCKED_BIDI:
    case QUIC_FRAME_STREAMS_BLOCKED_UNI:
        quic_glitch_note(&conn->glitch, 1);
        on_streams_blocked(conn, &frame->streams_blocked);
        return QUIC_OK;
    case QUIC_FRAME_STREAM_DATA_BLOCKED:
        quic_glitch_note(&conn->glitch, 1);
        return on_stream_data_blocked(conn, &frame->stream_data_blocked);
    case QUIC_FRAME_NEW_CONNECTION_ID:
        return quic_conn_on_new_cid(conn, &frame->new_connection_id, ctx->now);
    case QUIC_FRAME_NEW_TOKEN:
        return quic_conn_on_new_token(conn, &frame->new_token);
    case QUIC_FRAME_RETIRE_CONNECTION_ID:
        return quic_conn_on_retire_cid(conn, frame->retire_connection_id.seq, ctx->dcid,
                                       ctx->dcid_len);
    case QUIC_FRAME_PATH_CHALLENGE:
        quic_glitch_note(&conn->glitch, 1);
        quic_conn_on_path_challenge(conn, frame->path.data, ctx->now);
        return QUIC_OK;
    case QUIC_FRAME_PATH_RESPONSE:
        return quic_conn_on_path_response(conn, frame->path.data, ctx->now);
    case QUIC_FRAME_CONNECTION_CLOSE:
    case QUIC_FRAME_CONNECTION_CLOSE_APP:
        quic_conn_on_peer_close(conn, &frame->close, ctx->now);
        return QUIC_OK;
    case QUIC_FRAME_HANDSHAKE_DONE:
        return on_handshake_done(conn, ctx->now);
    case QUIC_FRAME_RESET_STREAM_AT:
        return on_reset_stream_at(conn, &frame->reset_stream_at);
    case QUIC_FRAME_ACK_FREQUENCY:
        quic_glitch_note(&conn->glitch, 1);
        return quic_conn_on_ack_frequency(conn, &frame->ack_frequency);
    case QUIC_FRAME_IMMEDIATE_ACK:
        quic_glitch_note(&conn->glitch, 1);
        conn->rx_immediate_ack = true;
        return QUIC_OK;
    case QUIC_FRAME_DATAGRAM:
    case QUIC_FRAME_DATAGRAM_LEN:
        return quic_conn_on_datagram(conn, &frame->datagram, ctx->frame_len);
    default:
        return QUIC_OK;
    }
}

/* Whether a close can name the type that caused it. */
static bool known_type(uint8_t type)
{
    return type < QUIC_FRAME_TYPE_COUNT || quic_frame_extension(type) != QUIC_EXT_NONE;
}

/* RFC 9000 21: whether a peer that sends what is of no use may go on. */
static quic_rc settle_glitches(quic_conn *conn, uint32_t frames, size_t len, quic_ns now)
{
    if (QUIC_UNLIKELY(!quic_glitch_is_clean(&conn->glitch)) &&
        !quic_glitch_settle(&conn->glitch, frames, len, &conn->limits, now)) {
        conn->env->counters->closed_excessive++;
        quic_conn_fail(conn, QUIC_V_PROTOCOL_VIOLATION, 0, "excessive useless frames", now);
        return QUIC_V_PROTOCOL_VIOLATION;
    }
    return QUIC_OK;
}

static void fail_frame(quic_conn *conn, quic_rc rc, uint8_t type, quic_ns now)
{
    quic_conn_fail(conn, rc, known_type(type) ? type : 0,
                   rc == QUIC_E_LIMIT ? "reassembly gaps" : "", now);
}

quic_rc quic_conn_take_stream(quic_conn *conn, const quic_frame_stream *f, uint32_t n, quic_ns now)
{
    quic_rc rc = on_stream(conn, f);
    if (QUIC_UNLIKELY(rc != QUIC_OK)) {
        fail_frame(conn, rc, QUIC_FRAME_STREAM, now);
        return rc;
    }
    if (QUIC_UNLIKELY(!quic_glitch_is_clean(&conn->glitch))) {
        quic_glitch_pay(&conn->glitch, n - 1); /* each of them was useful */
    }
    return settle_glitches(conn, 1, f->len, now);
}

quic_rc quic_conn_take_frames(quic_conn *conn, quic_level level, const uint8_t *data, size_t len,
                              bool *out_eliciting, const uint8_t *dcid, size_t dcid_len,
                              quic_ns now)
{
    frame_ctx ctx = {.conn = conn, .level = level, .dcid = dcid, .dcid_len = dcid_len, .now = now};
    const uint8_t *end = data + len;
    quic_rc rc = QUIC_OK;
    uint8_t type = 0;
    uint32_t frames = 0;
    uint8_t head_len = 0;
    while (data < end) {
        type = data[0];
        frames++;
        if (QUIC_LIKELY(quic_frame_is_stream(type) &&
                        (level == QUIC_LEVEL_APP || level == QUIC_LEVEL_EARLY))) {
            quic_frame_stream stream;
            size_t n = quic_frame_decode_stream(&stream, data, (size_t)(end - data));
            const quic_stream *before = conn->streams.last;
            rc = QUIC_LIKELY(n != 0) ? on_stream(conn, &stream) : QUIC_V_FRAME_ENCODING;
            /* Streams that take turns packet by packet give no hint of the next one. */
            if (frames == 1 && (type & QUIC_FRAME_STREAM_LEN) == 0 && rc == QUIC_OK &&
                conn->streams.last == before) {
                head_len = (uint8_t)(stream.data - data);
            }
            *out_eliciting = true;
            conn->rx_non_probing = true;
            data += n;
        } else {
            quic_frame frame;
            size_t n = 0;
            rc = quic_frame_decode_ext(&frame, &n, data, (size_t)(end - data), conn->extensions);
            if (rc == QUIC_OK &&
                (!quic_frame_allowed(level, frame.type) ||
                 (quic_frame_is_server_only(frame.type) && conn->role == QUIC_SERVER))) {
                rc = QUIC_V_PROTOCOL_VIOLATION; /* RFC 9000 12.4 */
            }
            if (rc == QUIC_OK) {
                *out_eliciting = *out_eliciting || quic_frame_is_ack_eliciting(frame.type);
                conn->rx_non_probing = conn->rx_non_probing || !quic_frame_is_probing(frame.type);
                type = frame.type;
                ctx.frame_len = n;
                rc = on_frame(&ctx, &frame);
            }
            data += n;
        }
        if (QUIC_UNLIKELY(rc != QUIC_OK)) {
            fail_frame(conn, rc, type, now);
            return rc;
        }
        if (QUIC_UNLIKELY(!quic_conn_is_open(conn))) {
            return QUIC_E_STATE;
        }
    }
    conn->rx_head_len = head_len;
    return settle_glitches(conn, frames, len, now);
}

/* What the application is told: flags per connection and per stream, turned into events when polled. */
#include "quic/conn/conn_internal.h"

/* Of each bit of quic_stream.events, whose order is that in which an application wants to hear of them. */
static const quring_event_type stream_events[] = {
    QURING_EV_STREAM_OPENED,   QURING_EV_STREAM_SIZE_KNOWN, QURING_EV_STREAM_READABLE,
    QURING_EV_STREAM_RESET,    QURING_EV_STREAM_STOPPED,    QURING_EV_STREAM_RELEASED,
    QURING_EV_STREAM_WRITABLE, QURING_EV_STREAM_FINISHED,   QURING_EV_STREAM_RESET_ACKED,
    QURING_EV_STREAM_CLOSED,
};
_Static_assert(QUIC_STREAM_EV_CLOSED ==
                   1u << (sizeof(stream_events) / sizeof(stream_events[0]) - 1),
               "one type for each bit");

uint16_t quic_conn_stream_events_of(uint64_t types)
{
    uint32_t bits = 0;
    for (unsigned i = 0; i < sizeof(stream_events) / sizeof(stream_events[0]); i++) {
        bits |= (types & QURING_EVENT_BIT(stream_events[i])) != 0 ? 1u << i : 0;
    }
    return (uint16_t)bits;
}

static void fill_stream_event(quic_conn *conn, quic_stream *s, uint32_t bit, quring_event_type type,
                              quic_event *out)
{
    out->type = type;
    out->conn = conn;
    out->stream = s;
    out->stream_id = s->id;
    switch (bit) {
    case QUIC_STREAM_EV_RESET:
        out->app_error = s->peer_reset_error;
        out->offset = s->recv.final_size;
        if (quic_stream_on_reset_read(s)) {
            quic_conn_maybe_closed_stream(conn, s);
        }
        break;
    case QUIC_STREAM_EV_SIZE_KNOWN:
        out->offset = s->recv.final_size;
        break;
    case QUIC_STREAM_EV_STOPPED:
        out->app_error = s->peer_stop_error;
        break;
    case QUIC_STREAM_EV_RELEASED:
        out->offset = s->ev_released_off;
        break;
    case QUIC_STREAM_EV_CLOSED:
        s->events_seen |= QUIC_STREAM_TOLD_CLOSED;
        conn->closing_stream = s;
        break;
    default:
        break;
    }
}

/* Without any the connection leaves the list of those with events, unless it has events of its own. */
static bool poll_stream_event(quic_conn *conn, quic_event *out)
{
    quic_list_node *node;
    while ((node = quic_list_front(&conn->event_streams)) != NULL) {
        quic_stream *s = QUIC_CONTAINER_OF(node, quic_stream, event_node);
        if (QUIC_UNLIKELY(s->events == 0)) {
            quic_list_remove(node);
            continue;
        }
        uint32_t bit = s->events & -s->events;
        s->events &= ~bit;
        if (s->events == 0) {
            quic_list_remove(node);
        }
        fill_stream_event(conn, s, bit, stream_events[__builtin_ctz(bit)], out);
        return true;
    }
    if (conn->events == 0) {
        quic_list_remove(&conn->events_node);
    }
    return false;
}

/* The bytes of one level a HANDSHAKE_DATA showed are taken when the next event is asked for. */
void quic_conn_take_shown(quic_conn *conn)
{
    if (conn->hs_data_len == 0) {
        return;
    }
    quic_crypto_stream *cs =
        conn->spaces[quic_conn_space_of((quic_level)conn->hs_data_level)].crypto;
    if (cs != NULL) {
        quic_crypto_stream_consume(cs, conn->hs_data_len);
    }
    conn->hs_data_len = 0;
}

/* Bytes for a TLS outside, each asked about once: what the rules of QUIC say of them is not left to who drives it. */
static bool may_be_shown(quic_conn *conn, quic_space space, quic_recv_span span, quic_ns now)
{
    if (conn->handshake_complete && space != QUIC_SPACE_APP) { /* RFC 9001 4.1.3 */
        quic_conn_fail(conn, QUIC_V_PROTOCOL_VIOLATION, QUIC_FRAME_CRYPTO,
                       "CRYPTO data beyond the end of its level", now);
        return false;
    }
    const quic_rc rc = quic_tls_heads_check(&conn->spaces[space].heads, (quic_role)conn->role,
                                            quic_conn_level_of(space), span.data, span.len);
    if (rc != QUIC_OK) {
        quic_conn_fail(conn, rc, QUIC_FRAME_CRYPTO, "", now); /* as an alert of TLS */
    }
    return rc == QUIC_OK;
}

static bool poll_handshake_data(quic_conn *conn, quic_event *out, quic_ns now)
{
    for (int i = 0; i < QUIC_SPACE_COUNT; i++) {
        quic_crypto_stream *cs = conn->spaces[i].crypto;
        if (cs == NULL) {
            continue;
        }
        quic_recv_span span = quic_crypto_stream_peek(cs);
        if (span.len == 0) {
            continue;
        }
        if (!may_be_shown(conn, (quic_space)i, span, now)) {
            return false;
        }
        conn->hs_data_level = (uint8_t)quic_conn_level_of((quic_space)i);
        conn->hs_data_len = span.len;
        conn->has_shown = true;
        out->type = QURING_EV_HANDSHAKE_DATA;
        out->level = conn->hs_data_level;
        out->data = span.data;
        out->data_len = span.len;
        return true;
    }
    conn->events &= ~(uint32_t)QUIC_CONN_EV_HS_DATA;
    return false;
}

static bool take(quic_conn *conn, uint32_t bit, quring_event_type type, quic_event *out)
{
    if ((conn->events & bit) == 0) {
        return false;
    }
    conn->events &= ~bit;
    out->type = type;
    return true;
}

/* What was shown with the last event goes; a closed connection's memory, too, waits until the application's callback
 * has returned. False: that was the last event. */
static bool finish_shown(quic_conn *conn, quic_ns now)
{
    quic_conn_take_shown(conn);
    if (conn->session_shown) {
        quic_conn_free_session(conn);
    }
    if (conn->new_token_shown) {
        quic_conn_free_token(conn);
    }
    conn->has_shown = conn->closed_reported;
    if (conn->closed_reported) {
        quic_conn_release(conn);
        quic_list_remove(&conn->events_node);
        quic_conn_mark_dirty(conn);
        quic_conn_maybe_dead(conn, now);
    }
    return !conn->closed_reported;
}

static bool poll_conn_event(quic_conn *conn, quic_event *out, quic_ns now)
{
    if (take(conn, QUIC_CONN_EV_HS_PENDING, QURING_EV_HANDSHAKE_PENDING, out)) {
        return true;
    }
    if ((conn->events & QUIC_CONN_EV_HS_DATA) != 0 && quic_conn_is_open(conn) &&
        poll_handshake_data(conn, out, now)) {
        return true;
    }
    if (take(conn, QUIC_CONN_EV_EARLY_READY, QURING_EV_EARLY_READY, out) ||
        take(conn, QUIC_CONN_EV_EARLY_REJECTED, QURING_EV_EARLY_REJECTED, out) ||
        take(conn, QUIC_CONN_EV_CONNECTED, QURING_EV_CONNECTED, out) ||
        poll_stream_event(conn, out) ||
        take(conn, QUIC_CONN_EV_STREAM_LIMIT, QURING_EV_STREAM_LIMIT, out) ||
        take(conn, QUIC_CONN_EV_DATAGRAM_READABLE, QURING_EV_DATAGRAM_READABLE, out) ||
        take(conn, QUIC_CONN_EV_DATAGRAM_WRITABLE, QURING_EV_DATAGRAM_WRITABLE, out) ||
        take(conn, QUIC_CONN_EV_STREAMS_AVAILABLE, QURING_EV_STREAMS_AVAILABLE, out)) {
        return true;
    }
    if (take(conn, QUIC_CONN_EV_PATH_CHANGED, QURING_EV_PATH_CHANGED, out) ||
        take(conn, QUIC_CONN_EV_PATH_FAILED, QURING_EV_PATH_FAILED, out)) {
        return true;
    }
    if (take(conn, QUIC_CONN_EV_KEYS_UPDATED, QURING_EV_KEYS_UPDATED, out)) {
        out->level = conn->rx_phase ? 1 : 0;
        return true;
    }
    if (take(conn, QUIC_CONN_EV_WANT_SOCKET, QUIC_EV_WANT_SOCKET, out)) {
        out->level = conn->path.addr.remote.family == 6 ? 4 : 6;
        return true;
    }
    if (take(conn, QUIC_CONN_EV_SESSION, QURING_EV_SESSION, out)) {
        out->data = conn->session;
        out->data_len = conn->session_len;
        conn->has_shown = true;
        conn->session_shown = true; /* freed at the next poll */
        return true;
    }
    if (conn->new_tokens != NULL && take(conn, QUIC_CONN_EV_TOKEN, QURING_EV_TOKEN, out)) {
        out->data = conn->new_tokens->blob;
        out->data_len = conn->new_tokens->len;
        conn->has_shown = true;
        conn->new_token_shown = true; /* freed at the next poll */
        conn->events |= conn->new_tokens->next != NULL ? QUIC_CONN_EV_TOKEN : 0u;
        return true;
    }
    if (take(conn, QUIC_CONN_EV_CLOSED, QURING_EV_CLOSED, out)) {
        conn->has_shown = true;
        conn->closed_reported = true; /* the rest follows at the next poll */
        return true;
    }
    quic_list_remove(&conn->events_node);
    return false;
}

bool quic_conn_poll_event(quic_conn *conn, quic_event *out, quic_ns now)
{
    memset(out, 0, sizeof(*out));
    if (conn->closing_stream != NULL) { /* the application's callback has returned */
        quic_stream *s = conn->closing_stream;
        conn->closing_stream = NULL;
        quic_conn_free_stream(conn, s);
    }
    if (QUIC_UNLIKELY(conn->has_shown) && !finish_shown(conn, now)) {
        return false;
    }
    out->conn = conn;
    return QUIC_LIKELY(conn->events == 0) ? poll_stream_event(conn, out)
                                          : poll_conn_event(conn, out, now);
}

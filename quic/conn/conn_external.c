/* A handshake driven from outside: what include/quring/handshake.h offers (RFC 9001 4). */
#include "quic/conn/conn_internal.h"
#include "quic/crypto/client_hello.h"

static bool driven(const quic_conn *conn)
{
    return conn->external && quic_conn_is_open(conn);
}

quic_rc quic_conn_hs_client_hello(quic_conn *conn, quring_client_hello *out)
{
    if (!driven(conn) || !conn->hs_pending) {
        return QUIC_E_STATE;
    }
    quic_recv_span span = quic_crypto_stream_peek(conn->spaces[QUIC_SPACE_INITIAL].crypto);
    quic_client_hello hello;
    if (quic_client_hello_parse(&hello, span.data, span.len) != QUIC_OK) {
        return QUIC_E_INVAL;
    }
    memset(out, 0, sizeof(*out));
    out->message = hello.message;
    out->server_name = hello.server_name;
    out->alpn = hello.alpn;
    out->transport_params = hello.transport_params;
    quic_conn_addr_out(&out->remote, &conn->path.addr.remote);
    quic_conn_addr_out(&out->local, &conn->path.addr.local);
    out->validated = conn->path.validated;
    return QUIC_OK;
}

quic_rc quic_conn_hs_accept(quic_conn *conn)
{
    if (!driven(conn) || !conn->hs_pending) {
        return QUIC_E_STATE;
    }
    conn->hs_pending = false;
    conn->hs_accepted = true;
    quic_conn_raise(conn, QUIC_CONN_EV_HS_DATA);
    return QUIC_OK;
}

quic_rc quic_conn_hs_refuse(quic_conn *conn, uint64_t transport_error)
{
    if (!driven(conn)) {
        return QUIC_E_STATE;
    }
    if (transport_error > QUIC_VARINT_MAX) {
        return QUIC_E_INVAL;
    }
    conn->hs_pending = false;
    quic_conn_close_code(conn, QURING_CLOSE_LOCAL_TRANSPORT, transport_error, 0, NULL, 0,
                         conn->env->now);
    return QUIC_OK;
}

quic_rc quic_conn_hs_send(quic_conn *conn, quic_level level, const uint8_t *data, size_t len)
{
    if (!driven(conn) || conn->hs_pending || (conn->role == QUIC_SERVER && !conn->hs_accepted)) {
        return QUIC_E_STATE;
    }
    if (level == QUIC_LEVEL_EARLY || level >= QUIC_LEVEL_COUNT) {
        return QUIC_E_INVAL; /* RFC 9001 4.1.3: no CRYPTO frames in 0-RTT packets */
    }
    quic_conn_space *space = &conn->spaces[quic_conn_space_of(level)];
    if (space->discarded) {
        return QUIC_E_STATE;
    }
    quic_crypto_stream *cs = quic_conn_crypto_of(conn, quic_conn_space_of(level));
    if (cs == NULL) {
        return QUIC_E_NOMEM;
    }
    quic_conn_mark_dirty(conn);
    return quic_crypto_stream_write(cs, data, len);
}

quic_rc quic_conn_hs_install_secret(quic_conn *conn, quic_level level, bool is_write,
                                    uint16_t cipher_suite, const uint8_t *secret, size_t len)
{
    if (!driven(conn)) {
        return QUIC_E_STATE;
    }
    if (level == QUIC_LEVEL_INITIAL || level >= QUIC_LEVEL_COUNT) {
        return QUIC_E_INVAL;
    }
    quic_rc rc = quic_conn_install_secret(conn, level, is_write, cipher_suite, secret, len);
    if (rc == QUIC_OK && !is_write && conn->held != NULL) {
        quic_conn_replay_held(conn, conn->env->now);
    }
    return rc;
}

quic_rc quic_conn_hs_set_limits(quic_conn *conn, const quring_limits *limits)
{
    if (!driven(conn) || conn->params_shown || conn->params_applied ||
        conn->early_status != QUIC_EARLY_NONE) {
        return QUIC_E_STATE;
    }
    /* Nothing has been promised to the peer before it has seen our parameters, and no stream exists unless
     * 0-RTT has begun. */
    const bool greased = conn->limits.grease_quic_bit;
    const uint32_t payload_max = conn->limits.udp_payload_max_bytes;
    conn->limits = *limits;
    /* The endpoint looks at these, too: it takes no more than was said when the connection began. */
    conn->limits.grease_quic_bit = greased && limits->grease_quic_bit;
    if (conn->limits.udp_payload_max_bytes > payload_max) {
        conn->limits.udp_payload_max_bytes = payload_max;
    }
    quic_conn_apply_limits(conn);
    quic_conn_keep_promises(conn);
    return QUIC_OK;
}

quic_rc quic_conn_hs_set_preferred(quic_conn *conn, const quic_addr *v4, const quic_addr *v6)
{
    if (!driven(conn) || conn->role != QUIC_SERVER || conn->params_shown || conn->params_applied ||
        conn->preferred != NULL) {
        return QUIC_E_STATE;
    }
    return quic_conn_offer_preferred(conn, v4, v6);
}

quic_rc quic_conn_hs_get_params(quic_conn *conn, uint8_t *buf, size_t *out_len, size_t buf_len)
{
    if (!driven(conn)) {
        return QUIC_E_STATE;
    }
    size_t len = quic_conn_encode_params(conn, buf, buf_len);
    if (len == 0) {
        return QUIC_E_LIMIT;
    }
    conn->params_shown = true;
    *out_len = len;
    return QUIC_OK;
}

quic_rc quic_conn_hs_set_peer_params(quic_conn *conn, const uint8_t *data, size_t len)
{
    if (!driven(conn) || conn->params_applied) {
        return QUIC_E_STATE;
    }
    quic_rc rc = quic_conn_apply_peer_params(conn, data, len);
    if (rc != QUIC_OK) {
        quic_conn_fail(conn, rc, QUIC_FRAME_CRYPTO, "transport parameters", conn->env->now);
        return QUIC_E_INVAL;
    }
    return QUIC_OK;
}

quic_rc quic_conn_hs_set_remembered(quic_conn *conn, const quring_transport_params *params)
{
    if (!driven(conn) || conn->role != QUIC_CLIENT || conn->params_applied || conn->early != NULL) {
        return QUIC_E_STATE;
    }
    quic_transport_params p;
    quic_transport_params_default(&p);
    p.max_udp_payload_size = params->max_udp_payload_size;
    p.initial_max_data = params->initial_max_data;
    p.initial_max_stream_data_bidi_local = params->initial_max_stream_data_bidi_local;
    p.initial_max_stream_data_bidi_remote = params->initial_max_stream_data_bidi_remote;
    p.initial_max_stream_data_uni = params->initial_max_stream_data_uni;
    p.initial_max_streams_bidi = params->initial_max_streams_bidi;
    p.initial_max_streams_uni = params->initial_max_streams_uni;
    p.active_connection_id_limit = params->active_connection_id_limit;
    p.max_datagram_frame_size = params->max_datagram_frame_size;
    return quic_conn_early_remember(conn, &p);
}

quic_rc quic_conn_hs_set_early_answer(quic_conn *conn, bool accepted)
{
    if (!driven(conn) || conn->params_applied || conn->early_status != QUIC_EARLY_OFFERED) {
        return QUIC_E_STATE;
    }
    quic_conn_early_answered(conn, accepted ? QUIC_EARLY_ACCEPTED : QUIC_EARLY_REJECTED);
    return QUIC_OK;
}

quic_rc quic_conn_hs_set_alpn(quic_conn *conn, const uint8_t *alpn, size_t len)
{
    if (!driven(conn) || conn->alpn != NULL) {
        return QUIC_E_STATE;
    }
    if (len == 0 || len > 255) {
        return QUIC_E_INVAL;
    }
    return quic_conn_set_text(conn, alpn, len, NULL) ? QUIC_OK : QUIC_E_NOMEM;
}

quic_rc quic_conn_hs_complete(quic_conn *conn)
{
    const quic_conn_space *app = &conn->spaces[QUIC_SPACE_APP];
    if (!driven(conn) || conn->handshake_complete || !conn->params_applied || app->rx == NULL ||
        app->tx == NULL) {
        return QUIC_E_STATE;
    }
    quic_ns now = conn->env->now;
    /* What this handshake's messages were shown from may go away with its level: take it first. */
    quic_conn_take_shown(conn);
    quic_conn_on_handshake_complete(conn, now);
    if (conn->held != NULL) {
        quic_conn_replay_held(conn, now);
    }
    return QUIC_OK;
}

quic_rc quic_conn_hs_fail(quic_conn *conn, uint8_t alert)
{
    if (!driven(conn)) {
        return QUIC_E_STATE;
    }
    quic_conn_fail(conn, QUIC_V_CRYPTO_BASE + alert, QUIC_FRAME_CRYPTO, "", conn->env->now);
    return QUIC_OK;
}

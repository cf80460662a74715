/* Transport parameters: ours, and what the peer's change (RFC 9000 7.4, 18). */
#include "quic/conn/conn_internal.h"

#define PARAMS_LEN_MAX (4096u + QUIC_TP_ENCODED_MAX)

/* ---- ours --------------------------------------------------------------------------------------- */

void quic_conn_our_params(const quic_conn *conn, quic_transport_params *p)
{
    const quring_limits *lim = &conn->limits;
    quic_transport_params_default(p);
    p->max_idle_timeout_ms = lim->idle_timeout_ns / QUIC_NS_PER_MS;
    p->max_udp_payload_size = lim->udp_payload_max_bytes;
    p->initial_max_data = lim->conn_recv_window_bytes;
    const uint64_t window = lim->stream_recv_window_bytes;
    p->initial_max_stream_data_bidi_local =
        lim->stream_recv_window_local_bytes != 0 ? lim->stream_recv_window_local_bytes : window;
    p->initial_max_stream_data_bidi_remote = window;
    p->initial_max_stream_data_uni =
        lim->stream_recv_window_uni_bytes != 0 ? lim->stream_recv_window_uni_bytes : window;
    p->initial_max_streams_bidi = lim->streams_bidi_max;
    p->initial_max_streams_uni = lim->streams_uni_max;
    p->max_ack_delay_ms = quic_conn_ack_delay_ms(conn);
    p->active_connection_id_limit =
        lim->cids_active_max > QUIC_CID_PEER_MAX ? QUIC_CID_PEER_MAX : lim->cids_active_max;
    p->reset_stream_at = true;
    p->has_min_ack_delay = true;
    p->min_ack_delay_us = quic_conn_min_ack_delay_us(conn);
    p->max_datagram_frame_size = lim->datagram_max_bytes;
    p->disable_active_migration = lim->disable_active_migration;
    p->grease_quic_bit = lim->grease_quic_bit;
    p->disable_1rtt_encryption = lim->disable_1rtt_encryption;
}

/* A TLS outside asks again when there is a second ClientHello, which has to say the same (RFC 8446 4.1.2). */
static uint64_t grease_of(const quic_conn *conn)
{
    const uint64_t grease = conn->external
                                ? (conn->created_ns ^ conn->handle) * 0x9e3779b97f4a7c15ull
                                : quic_rng_u64(conn->env->rng);
    return grease | 1;
}

size_t quic_conn_encode_params(quic_conn *conn, uint8_t *out, size_t room)
{
    quic_transport_params p;
    quic_conn_our_params(conn, &p);
    p.has_initial_scid = true;
    p.initial_scid = conn->initial_scid;
    p.has_version_info = true;
    quic_conn_version_info(conn, &p.version_info);
    if (conn->role == QUIC_SERVER) {
        p.has_original_dcid = true;
        p.original_dcid = conn->original_dcid;
        p.has_retry_scid = conn->retry_used;
        p.retry_scid = conn->retry_scid;
        p.has_reset_token = true;
        quic_reset_token(&conn->env->reset_key, p.reset_token, conn->initial_scid.bytes,
                         conn->initial_scid.len);
        if (conn->preferred != NULL) {
            p.has_preferred_address = true;
            p.preferred_address = *conn->preferred;
        }
    }
    return quic_transport_params_encode(out, room, &p, (quic_role)conn->role, grease_of(conn));
}

/* ---- the peer's ----------------------------------------------------------------------------------- */

/* RFC 9000 7.3: the parameters must name the connection IDs that were seen on the wire. */
static bool cids_authentic(const quic_conn *conn, const quic_transport_params *p)
{
    if (!p->has_initial_scid || !quic_cid_equal(&p->initial_scid, &conn->peer_scid)) {
        return false;
    }
    if (conn->role == QUIC_SERVER) {
        return true;
    }
    if (!p->has_original_dcid || !quic_cid_equal(&p->original_dcid, &conn->original_dcid)) {
        return false;
    }
    return p->has_retry_scid == conn->retry_used &&
           (!p->has_retry_scid || quic_cid_equal(&p->retry_scid, &conn->retry_scid));
}

void quic_conn_take_limits(quic_conn *conn, const quic_transport_params *p)
{
    conn->peer_udp_payload_max = p->max_udp_payload_size;
    conn->peer_cids_max = p->active_connection_id_limit;
    conn->peer_datagram_max =
        p->max_datagram_frame_size < UINT32_MAX ? (uint32_t)p->max_datagram_frame_size : UINT32_MAX;
    quic_stream_peer_limits limits = {
        .max_streams_bidi = p->initial_max_streams_bidi,
        .max_streams_uni = p->initial_max_streams_uni,
        .max_stream_data_bidi_local = p->initial_max_stream_data_bidi_local,
        .max_stream_data_bidi_remote = p->initial_max_stream_data_bidi_remote,
        .max_stream_data_uni = p->initial_max_stream_data_uni,
    };
    (void)quic_stream_table_set_peer_limits(&conn->streams, &limits);
    (void)quic_flow_send_on_limit(&conn->flow_send, p->initial_max_data);
}

/* Both ends ask for 1-RTT packets without protection: no key opens or seals them any more, whichever
 * were there already. */
static quic_rc drop_protection(quic_conn *conn)
{
    quic_conn_space *app = &conn->spaces[QUIC_SPACE_APP];
    quic_keys **slots[] = {&app->rx, &app->tx};
    conn->unencrypted = true;
    quic_keys_destroy(conn->rx_next);
    conn->rx_next = NULL;
    conn->env->counters->conns_unencrypted++;
    for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
        quic_keys *plain = NULL;
        if (*slots[i] == NULL) {
            continue;
        }
        quic_rc rc = quic_keys_create_plain(&plain, conn->env->crypto, &conn->mem);
        if (rc != QUIC_OK) {
            return rc;
        }
        quic_keys_destroy(*slots[i]);
        *slots[i] = plain;
    }
    return QUIC_OK;
}

quic_rc quic_conn_apply_peer_params(quic_conn *conn, const uint8_t *data, size_t len)
{
    quic_transport_params params;
    const quic_transport_params *p = &params;
    if (len > PARAMS_LEN_MAX) {
        return QUIC_V_TRANSPORT_PARAMETER;
    }
    quic_role sender = conn->role == QUIC_SERVER ? QUIC_CLIENT : QUIC_SERVER;
    quic_rc rc = quic_transport_params_decode(&params, data, len, sender);
    if (rc != QUIC_OK) {
        return rc;
    }
    if (!cids_authentic(conn, p)) {
        return QUIC_V_TRANSPORT_PARAMETER;
    }
    rc = quic_conn_version_check(conn, p);
    if (rc == QUIC_OK) {
        rc = quic_conn_early_check_params(conn, p);
    }
    if (rc == QUIC_OK && p->disable_1rtt_encryption && conn->limits.disable_1rtt_encryption) {
        rc = drop_protection(conn);
    }
    if (rc != QUIC_OK) {
        return rc;
    }
    conn->params_applied = true;
    if (p->grease_quic_bit && conn->limits.grease_quic_bit) {
        conn->tx_grease = quic_rng_u64(conn->env->rng) | 1;
    }
    conn->peer_ack_delay_exponent = (uint8_t)p->ack_delay_exponent;
    const bool defers = quic_conn_early_defer_limits(conn, p);
    if (!defers) {
        quic_conn_take_limits(conn, p);
    }
    conn->recovery.max_ack_delay_ns = p->max_ack_delay_ms * QUIC_NS_PER_MS;
    conn->peer_reset_stream_at = p->reset_stream_at;
    quic_conn_start_ack_freq(conn, p);
    uint64_t peer_idle_ns = p->max_idle_timeout_ms > UINT64_MAX / 4 / QUIC_NS_PER_MS
                                ? 0
                                : p->max_idle_timeout_ms * QUIC_NS_PER_MS;
    /* RFC 9000 10.1: the smaller of the two; 0 is none */
    if (peer_idle_ns != 0 && (conn->idle_timeout_ns == 0 || peer_idle_ns < conn->idle_timeout_ns)) {
        conn->idle_timeout_ns = peer_idle_ns;
    }
    conn->peer_forbids_moves = p->disable_active_migration;
    if (conn->role == QUIC_CLIENT && p->has_reset_token) {
        quic_conn_learn_initial_token(conn, p->reset_token);
    }
    if (p->has_preferred_address) {
        rc = quic_conn_take_preferred(conn, &p->preferred_address);
        if (rc != QUIC_OK) {
            return rc;
        }
    }
    return defers ? QUIC_OK : quic_conn_early_restart_streams(conn);
}

/* ---- for the application, which drives a handshake from outside ------------------------------------- */

quic_rc quic_params_decode_public(quring_transport_params *out, const uint8_t *data, size_t len,
                                  quic_role sender)
{
    quic_transport_params p;
    quic_rc rc = quic_transport_params_decode(&p, data, len, sender);
    if (rc != QUIC_OK) {
        return rc;
    }
    memset(out, 0, sizeof(*out));
    out->max_idle_timeout_ms = p.max_idle_timeout_ms;
    out->max_udp_payload_size = p.max_udp_payload_size;
    out->initial_max_data = p.initial_max_data;
    out->initial_max_stream_data_bidi_local = p.initial_max_stream_data_bidi_local;
    out->initial_max_stream_data_bidi_remote = p.initial_max_stream_data_bidi_remote;
    out->initial_max_stream_data_uni = p.initial_max_stream_data_uni;
    out->initial_max_streams_bidi = p.initial_max_streams_bidi;
    out->initial_max_streams_uni = p.initial_max_streams_uni;
    out->ack_delay_exponent = p.ack_delay_exponent;
    out->max_ack_delay_ms = p.max_ack_delay_ms;
    out->active_connection_id_limit = p.active_connection_id_limit;
    out->max_datagram_frame_size = p.max_datagram_frame_size;
    out->disable_active_migration = p.disable_active_migration;
    out->grease_quic_bit = p.grease_quic_bit;
    out->disable_1rtt_encryption = p.disable_1rtt_encryption;
    return QUIC_OK;
}

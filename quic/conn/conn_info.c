/* Facts about a connection, for its owner and for the application. */
#include "quic/conn/conn_internal.h"

quic_conn *quic_conn_of_timer(quic_heap_node *node)
{
    return QUIC_CONTAINER_OF(node, quic_conn, timer);
}

quic_conn *quic_conn_of_dirty(quic_list_node *node)
{
    return QUIC_CONTAINER_OF(node, quic_conn, dirty_node);
}

quic_conn *quic_conn_of_events(quic_list_node *node)
{
    return QUIC_CONTAINER_OF(node, quic_conn, events_node);
}

quic_conn *quic_conn_of_all(quic_list_node *node)
{
    return QUIC_CONTAINER_OF(node, quic_conn, all_node);
}

uint64_t quic_conn_handle(const quic_conn *conn)
{
    return conn->handle;
}

void quic_conn_set_app_ctx(quic_conn *conn, void *ctx)
{
    conn->app_ctx = ctx;
}

void *quic_conn_app_ctx(const quic_conn *conn)
{
    return conn->app_ctx;
}

void quic_conn_set_owner_ctx(quic_conn *conn, void *ctx)
{
    conn->owner_ctx = ctx;
}

void *quic_conn_owner_ctx(const quic_conn *conn)
{
    return conn->owner_ctx;
}

const quring_close_info *quic_conn_close_info(const quic_conn *conn)
{
    static const quring_close_info open_info = {.kind = QURING_CLOSE_NONE};
    static const quring_close_info out_of_memory = {.kind = QURING_CLOSE_INTERNAL,
                                                    .code = QUIC_V_INTERNAL_ERROR};
    if (conn->close_info != NULL) {
        return conn->close_info;
    }
    return quic_conn_is_open(conn) ? &open_info : &out_of_memory;
}

const quic_addr *quic_conn_admitted(const quic_conn *conn)
{
    return &conn->admitted;
}

const quic_path_addr *quic_conn_path(const quic_conn *conn)
{
    return &conn->path.addr;
}

bool quic_conn_is_server(const quic_conn *conn)
{
    return conn->role == QUIC_SERVER;
}

uint8_t quic_conn_fixed_bit(const quic_conn *conn)
{
    return conn->limits.grease_quic_bit ? 0 : QUIC_HEADER_FIXED_BIT;
}

bool quic_conn_takes_plain(const quic_conn *conn)
{
    return conn->unencrypted;
}

bool quic_conn_is_half_open(const quic_conn *conn)
{
    return conn->counted_half_open;
}

bool quic_conn_take_established(quic_conn *conn)
{
    if (!conn->counted_half_open ||
        (conn->state == QUIC_CONN_HANDSHAKE && !conn->handshake_complete)) {
        return false;
    }
    conn->counted_half_open = false;
    return true;
}

bool quic_conn_take_proved(quic_conn *conn)
{
    if (!conn->counted_stranger || (conn->state == QUIC_CONN_HANDSHAKE && !conn->path.validated)) {
        return false;
    }
    conn->counted_stranger = false;
    return true;
}

struct quic_strangers *quic_conn_strangers(const quic_conn *conn)
{
    return conn->strangers;
}

bool quic_conn_is_busy(const quic_conn *conn)
{
    return quic_conn_is_open(conn) || (conn->state == QUIC_CONN_CLOSING && conn->close_to_send) ||
           !conn->closed_reported;
}

bool quic_conn_has_ended(const quic_conn *conn)
{
    return conn->closed_reported && !quic_list_is_linked(&conn->events_node);
}

static const char *cipher_name(uint16_t suite)
{
    switch (suite) {
    case QUIC_SUITE_AES_128_GCM_SHA256:
        return "TLS_AES_128_GCM_SHA256";
    case QUIC_SUITE_AES_256_GCM_SHA384:
        return "TLS_AES_256_GCM_SHA384";
    case QUIC_SUITE_CHACHA20_POLY1305_SHA256:
        return "TLS_CHACHA20_POLY1305_SHA256";
    case QUIC_SUITE_AES_128_CCM_SHA256:
        return "TLS_AES_128_CCM_SHA256";
    default:
        return "";
    }
}

void quic_conn_addr_out(quring_addr *out, const quic_addr *in)
{
    out->family = in->family;
    memcpy(out->ip, in->ip, sizeof(out->ip));
    out->port = in->port;
    out->scope_id = in->scope_id;
}

/* What the handshake has settled. */
static void identity_info(const quic_conn *conn, quring_conn_info *out)
{
    const uint8_t *der;
    size_t der_len;
    out->is_client = conn->role == QUIC_CLIENT;
    out->established = conn->handshake_complete;
    out->confirmed = conn->handshake_confirmed;
    out->resumed = conn->is_resumed;
    out->early_accepted = conn->early_status == QUIC_EARLY_ACCEPTED;
    out->early_rejected = conn->early_status == QUIC_EARLY_REJECTED;
    out->zero_rtt_bytes = conn->early_bytes;
    out->retry_used = conn->retry_used;
    out->token_used = conn->token_used;
    out->unencrypted = conn->unencrypted;
    out->version = conn->version.current;
    out->cipher_suite = conn->suite;
    out->cipher = cipher_name(conn->suite);
    if (conn->alpn != NULL) {
        memcpy(out->alpn, conn->alpn, conn->alpn_len);
    }
    if (conn->server_name != NULL) {
        memcpy(out->server_name, conn->server_name, conn->server_name_size);
    }
    out->certificate_shown = conn->certificate_shown;
    out->peer_certificate = quic_conn_peer_certificate(conn, &der, &der_len, &out->peer_verified);
    out->key_updates = conn->key_updates;
    out->key_updates_peer = conn->key_updates_peer;
}

/* Where it goes, and what is known of the way there. */
static void path_info(const quic_conn *conn, quring_conn_info *out)
{
    const quic_path *path = quic_conn_proved_path(conn);
    const quic_rtt *rtt = &conn->recovery.rtt;
    quic_conn_addr_out(&out->local, &path->addr.local);
    quic_conn_addr_out(&out->remote, &path->addr.remote);
    out->path_changes = conn->path_changes;
    out->at_preferred_address = conn->at_preferred;
    out->srtt_ns = rtt->smoothed_ns;
    out->rttvar_ns = rtt->var_ns;
    out->min_rtt_ns = rtt->min_ns;
    out->latest_rtt_ns = rtt->latest_ns;
    out->cc = conn->cc.vtable->name;
    out->cwnd_bytes = conn->cc.cwnd_bytes;
    out->in_flight_bytes = conn->recovery.in_flight_bytes;
    out->udp_payload_bytes = conn->path.udp_payload_bytes;
    out->ecn_capable = conn->ecn.state == QUIC_ECN_STATE_CAPABLE;
    out->ecn_acked = conn->ecn_acked;
    for (int i = 0; i < QUIC_SPACE_COUNT; i++) {
        out->ecn_ce += conn->ecn.last[i].ce;
    }
}

/* What has gone back and forth. */
static void traffic_info(const quic_conn *conn, quring_conn_info *out)
{
    const quic_recovery *rec = &conn->recovery;
    out->packets_sent = conn->packets_sent;
    out->packets_recv = conn->packets_recv;
    out->packets_lost = rec->lost_total;
    out->packets_spurious = rec->spurious_total;
    out->pto_count_total = rec->pto_total;
    out->bytes_sent = conn->bytes_sent;
    out->bytes_recv = conn->bytes_recv;
    out->stream_bytes_sent = conn->flow_send.used;
    out->stream_bytes_acked = conn->stream_bytes_acked;
    out->stream_bytes_recv = conn->flow_recv.received;
    quic_conn_datagram_info(conn, out);
}

void quic_conn_get_info(const quic_conn *conn, quring_conn_info *out)
{
    memset(out, 0, sizeof(*out));
    identity_info(conn, out);
    path_info(conn, out);
    traffic_info(conn, out);
    if (conn->streams.mem != NULL) {
        out->peer_streams_bidi_max = quic_stream_table_local_max(&conn->streams, false);
        out->peer_streams_uni_max = quic_stream_table_local_max(&conn->streams, true);
    }
    out->mem_bytes = conn->mem.used_bytes + sizeof(*conn);
}

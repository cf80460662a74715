/* A connection from its creation to its end in memory. */
#include "quic/base/bytes.h"
#include "quic/cc/bbr.h"
#include "quic/cc/cubic.h"
#include "quic/cc/newreno.h"
#include "quic/conn/conn_internal.h"

/* What a connection at rest takes is mostly this: the allocator's next size is a KiB more. */
_Static_assert(sizeof(quic_conn) <= 5120, "quic_conn has outgrown its size class");

/* Rings are powers of two, so up to twice what is in them; one that grows is there with the one before, which was
 * smaller than what a stream may have; and a part that is not for them. */
static uint64_t mem_limit(const quring_limits *lim)
{
    if (lim->conn_mem_max_bytes != 0) {
        return lim->conn_mem_max_bytes;
    }
    const uint64_t recv = lim->conn_recv_window_max_bytes;
    const uint64_t send = lim->conn_send_buf_bytes;
    const uint64_t stream_recv = lim->stream_recv_window_max_bytes;
    const uint64_t stream_send = lim->stream_send_buf_bytes;
    const uint64_t sum = 2 * recv + (stream_recv < recv ? stream_recv : recv) + 2 * send +
                         (stream_send < send ? stream_send : send) + (4u << 20) +
                         (uint64_t)lim->trace_packets * sizeof(quring_packet_record);
    return sum + sum / (QUIC_MEM_BULK_LEAVES - 1);
}

void quic_conn_apply_limits(quic_conn *conn)
{
    const quring_limits *lim = &conn->limits;
    conn->mem.limit_bytes = mem_limit(lim);
    quic_flow_recv_init(&conn->flow_recv, lim->conn_recv_window_bytes,
                        lim->conn_recv_window_max_bytes);
    quic_stream_limits stream_limits = {
        .send_buf_bytes = lim->stream_send_buf_bytes,
        .recv_window_bytes = lim->stream_recv_window_bytes,
        .recv_window_local_bytes = lim->stream_recv_window_local_bytes,
        .recv_window_uni_bytes = lim->stream_recv_window_uni_bytes,
        .recv_window_max_bytes = lim->stream_recv_window_max_bytes,
        .streams_bidi_max = lim->streams_bidi_max,
        .streams_uni_max = lim->streams_uni_max,
        .gaps_max = lim->reassembly_gaps_max,
    };
    quic_stream_table_init(&conn->streams, &conn->mem, conn->role, &stream_limits,
                           quic_rng_u64(conn->env->rng) | 1);
    conn->idle_timeout_ns = lim->idle_timeout_ns;
}

void quic_conn_keep_promises(quic_conn *conn)
{
    const quring_limits *lim = &conn->limits;
    conn->extensions = QUIC_EXT_ACK_FREQUENCY | QUIC_EXT_RESET_STREAM_AT;
    conn->extensions |= lim->datagram_max_bytes > 0 ? QUIC_EXT_DATAGRAM : 0;
    conn->cids_peer.active_max = lim->cids_active_max > QUIC_CID_PEER_MAX
                                     ? QUIC_CID_PEER_MAX
                                     : (uint8_t)lim->cids_active_max;
    conn->spaces[QUIC_SPACE_APP].acks.max_ack_delay_ns = lim->ack_delay_ns;
}

static void init_transport(quic_conn *conn, quic_ns now)
{
    const quring_limits *lim = &conn->limits;
    uint32_t datagram = QUIC_MIN_INITIAL_LEN;
    for (int space = 0; space < QUIC_SPACE_COUNT; space++) {
        quic_ack_tracker_init(&conn->spaces[space].acks, &conn->mem, lim->ack_ranges_max, 0);
    }
    quic_recovery_init(&conn->recovery, &conn->mem, lim->sent_packets_max,
                       lim->initial_rtt_ns != 0 ? lim->initial_rtt_ns : QUIC_INITIAL_RTT_NS,
                       conn->role == QUIC_CLIENT);
    const uint32_t choice =
        lim->congestion_control != 0 ? lim->congestion_control - 1 : (uint32_t)conn->env->cc;
    const quic_cc_vtable *cc = choice == QURING_CC_NEWRENO ? &quic_newreno_vtable
                               : choice == QURING_CC_BBR   ? &quic_bbr_vtable
                                                           : &quic_cubic_vtable;
    quic_cc_init(&conn->cc, cc, datagram, lim->cwnd_max_bytes, conn->env->pacing);
    quic_pacer_init(&conn->pacer, conn->env->pacing, datagram, now);
    quic_pacer_know_burst(&conn->pacer, lim->burst_bytes, datagram);
    quic_flow_send_init(&conn->flow_send, 0);
    quic_conn_apply_limits(conn);
    quic_scheduler_init(&conn->scheduler);
    quic_scheduler_init(&conn->waiting);
    quic_list_init(&conn->ctrl_streams);
    quic_list_init(&conn->event_streams);
    quic_conn_trace_begin(conn);
}

/* RFC 9000 7.2: a client picks at least 8 unpredictable bytes; a server keeps to its own format. */
static quic_rc init_cids(quic_conn *conn, const quic_conn_config *config)
{
    quic_conn_env *env = conn->env;
    quic_conn_env_make_cid(env, &conn->initial_scid, conn->cids_routed);
    quic_cid_local_init(&conn->cids_local, conn->initial_scid.len);
    conn->path_rx_cid = quic_cid_local_tag(&conn->cids_local, conn->initial_scid.bytes);
    quic_rc rc = quic_conn_register_cid(conn, conn->initial_scid.bytes, conn->initial_scid.len);
    if (rc != QUIC_OK) {
        return rc;
    }
    (void)quic_cid_local_add(&conn->cids_local, conn->initial_scid.bytes, false);
    if (conn->role == QUIC_CLIENT) {
        conn->original_dcid.len = 8;
        quic_rng_fill(env->rng, conn->original_dcid.bytes, conn->original_dcid.len);
        conn->initial_dcid = conn->original_dcid;
        quic_cid_peer_init(&conn->cids_peer, &conn->original_dcid, QUIC_CID_PEER_MAX);
        return QUIC_OK;
    }
    conn->original_dcid = config->original_dcid;
    conn->initial_dcid = config->initial_dcid;
    conn->retry_scid = config->retry_scid;
    conn->peer_scid = config->peer_scid;
    conn->peer_scid_known = true;
    quic_cid_peer_init(&conn->cids_peer, &config->peer_scid, QUIC_CID_PEER_MAX);
    rc = quic_conn_register_cid(conn, conn->initial_dcid.bytes, conn->initial_dcid.len);
    conn->initial_dcid_registered = rc == QUIC_OK;
    return rc == QUIC_OK
               ? quic_conn_offer_preferred(conn, &config->preferred_v4, &config->preferred_v6)
               : rc;
}

static quic_rc copy_server_name(quic_conn *conn, const char *name)
{
    if (name == NULL || name[0] == '\0') {
        return QUIC_OK;
    }
    return quic_conn_set_text(conn, NULL, 0, name) ? QUIC_OK : QUIC_E_NOMEM;
}

/* Those that opened a client's first packet are there already. */
static quic_rc init_keys(quic_conn *conn)
{
    quic_conn_space *initial = &conn->spaces[QUIC_SPACE_INITIAL];
    return initial->rx == NULL
               ? quic_conn_make_initial_keys(conn, &conn->initial_dcid)
               : quic_keys_create_initial(NULL, &initial->tx, conn->env->crypto, &conn->mem,
                                          conn->version.current, &conn->initial_dcid);
}

static quic_rc init_conn(quic_conn *conn, const quic_conn_config *config, quic_ns now)
{
    quic_conn_env *env = conn->env;
    quic_rc rc = quic_handles_add(&env->conn_handles, &conn->handle, conn);
    if (rc != QUIC_OK) {
        return rc;
    }
    rc = quic_heap_reserve(&env->timers, env->conn_count);
    if (rc != QUIC_OK) {
        return rc;
    }
    init_transport(conn, now);
    quic_conn_version_begin(conn, config);
    rc = init_cids(conn, config);
    quic_conn_keep_promises(conn);
    if (rc == QUIC_OK) {
        rc = copy_server_name(conn, config->server_name);
    }
    if (rc == QUIC_OK) {
        rc = init_keys(conn);
    }
    if (rc != QUIC_OK) {
        return rc;
    }
    quic_conn_update_facts(conn);
    if (config->token_len > 0) {
        rc = quic_conn_use_token(conn, config->token, config->token_len);
        if (rc != QUIC_OK) {
            return rc;
        }
    }
    rc = quic_conn_early_prepare(conn, config->session, config->session_len, config->zero_rtt);
    if (rc != QUIC_OK) {
        return rc;
    }
    return conn->role == QUIC_CLIENT ? quic_conn_start_client(conn, NULL, now) : QUIC_OK;
}

quic_rc quic_conn_create(quic_conn **out, quic_conn_env *env, const quic_conn_config *config,
                         quic_ns now)
{
    quic_conn *conn = quic_mem_zalloc(env->mem, sizeof(*conn));
    if (conn == NULL) {
        quic_keys_destroy(config->initial_rx);
        return QUIC_E_NOMEM;
    }
    conn->env = env;
    conn->role = (uint8_t)config->role;
    conn->state = QUIC_CONN_HANDSHAKE;
    conn->cids_routed = config->role == QUIC_SERVER || config->shared_socket;
    conn->owner_ctx = config->owner_ctx;
    conn->app_ctx = config->app_ctx;
    conn->muted_stream_events = quic_conn_stream_events_of(config->muted_events);
    conn->limits = *config->limits;
    conn->tls_vtable = config->tls;
    conn->tls_config = config->tls_config;
    conn->external = config->tls == NULL;
    conn->tickets = config->tickets;
    conn->early_gate = config->early_gate;
    conn->retry_used = config->retry_used;
    conn->token_used = config->token_used;
    conn->new_tokens_max = config->new_tokens;
    conn->counted_half_open = config->role == QUIC_SERVER;
    conn->counted_stranger = config->strangers != NULL;
    conn->strangers = config->strangers;
    conn->created_ns = now;
    conn->last_recv_ns = now;
    conn->idle_base_ns = now;
    conn->next_skip_pn = 64 + quic_rng_u64(env->rng) % 192;
    quic_mem_init_child(&conn->mem, env->mem, mem_limit(&conn->limits));
    /* RFC 9000 8.1: a client need not limit itself; a token proves a client's address. */
    quic_path_init(&conn->path, &config->path,
                   config->role == QUIC_CLIENT || config->retry_used || config->token_used,
                   QUIC_MIN_INITIAL_LEN);
    quic_mtu_init(&conn->mtu, QUIC_MIN_INITIAL_LEN);
    quic_ecn_init(&conn->ecn, conn->limits.ecn);
    conn->admitted = config->path.remote;
    quic_list_push_back(&env->all, &conn->all_node);
    env->conn_count++;
    conn->spaces[QUIC_SPACE_INITIAL].rx = config->initial_rx;
    quic_rc rc =
        config->initial_rx != NULL ? quic_keys_adopt(config->initial_rx, &conn->mem) : QUIC_OK;
    if (rc == QUIC_OK) {
        rc = init_conn(conn, config, now);
    }
    if (rc != QUIC_OK) {
        quic_conn_destroy(conn);
        return rc;
    }
    env->counters->conns_opened++;
    quic_conn_mark_dirty(conn);
    *out = conn;
    return QUIC_OK;
}

static void free_streams(quic_conn *conn)
{
    conn->closing_stream = NULL;
    if (conn->streams.mem == NULL) {
        return; /* released before, or never made */
    }
    quic_stream *next;
    for (quic_stream *s = quic_stream_table_first(&conn->streams); s != NULL; s = next) {
        next = quic_stream_table_next(&conn->streams, s);
        quic_conn_free_stream(conn, s);
    }
    quic_stream_table_deinit(&conn->streams);
    conn->streams.mem = NULL;
    quic_recovery_deinit(&conn->recovery);
}

/* Not the keys that CONNECTION_CLOSE is sealed with, nor what is to go with it. */
static void free_spaces(quic_conn *conn)
{
    for (int i = 0; i < QUIC_SPACE_COUNT; i++) {
        quic_conn_space *space = &conn->spaces[i];
        if (i == QUIC_SPACE_HANDSHAKE && quic_conn_leaves_at_once(conn) && space->crypto != NULL &&
            quic_send_buf_held(&space->crypto->send) > 0) {
            quic_crypto_stream_trim(space->crypto);
        } else {
            quic_conn_free_crypto(conn, (quic_space)i);
        }
        quic_ack_tracker_deinit(&space->acks);
        quic_keys_destroy(space->rx);
        space->rx = NULL;
    }
    quic_keys_destroy(conn->rx_prev);
    quic_keys_destroy(conn->rx_next);
    conn->rx_prev = NULL;
    conn->rx_next = NULL;
}

/* Who the peers are: what TLS and the application have said. */
static void free_names(quic_conn *conn)
{
    quic_mem_free(&conn->mem, conn->alpn, conn->alpn_len);
    conn->alpn = NULL;
    conn->alpn_len = 0;
    quic_mem_free(&conn->mem, conn->server_name, conn->server_name_size);
    conn->server_name = NULL;
    conn->server_name_size = 0;
    if (conn->peer_cert != NULL) {
        quic_mem_free(&conn->mem, conn->peer_cert, sizeof(*conn->peer_cert) + conn->peer_cert->len);
        conn->peer_cert = NULL;
    }
}

/* Frees everything a connection in closing or draining state does without. */
void quic_conn_release(quic_conn *conn)
{
    free_streams(conn);
    free_spaces(conn);
    if (conn->tls != NULL) {
        conn->tls_vtable->destroy(conn->tls);
        conn->tls = NULL;
    }
    quic_conn_free_held(conn);
    quic_conn_version_free_other(conn);
    quic_conn_free_move(conn);
    quic_conn_free_preferred(conn);
    quic_conn_free_early(conn);
    quic_conn_free_session(conn);
    while (conn->new_tokens != NULL) {
        quic_conn_free_token(conn);
    }
    quic_conn_free_datagrams(conn);
    quic_conn_free_ack_freq(conn);
    quic_conn_free_trace(conn);
    quic_conn_drop_token(conn);
    free_names(conn);
    if (conn->handle != 0) {
        (void)quic_handles_remove(&conn->env->conn_handles, conn->handle);
        conn->handle = 0;
    }
}

void quic_conn_destroy(quic_conn *conn)
{
    quic_conn_env *env = conn->env;
    quic_conn_release(conn);
    for (int i = 0; i < QUIC_SPACE_COUNT; i++) {
        quic_conn_free_crypto(conn, (quic_space)i);
        quic_keys_destroy(conn->spaces[i].tx);
    }
    quic_mem_free(env->mem, conn->close_info, sizeof(*conn->close_info));
    quic_conn_unregister_all(conn);
    quic_heap_remove(&env->timers, &conn->timer);
    quic_list_remove(&conn->dirty_node);
    quic_list_remove(&conn->events_node);
    quic_list_remove(&conn->all_node);
    env->conn_count--;
    QURING_ASSERT(conn->mem.used_bytes == 0);
    quic_mem_free(env->mem, conn, sizeof(*conn));
}

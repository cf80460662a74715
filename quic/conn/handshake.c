/* The handshake: CRYPTO bytes to TLS and back, keys per level, completion, confirmation, and the end of
 * each level (RFC 9001 4, RFC 9000 7). */
#include "quic/conn/conn_internal.h"
#include "quic/crypto/client_hello.h"

/* RFC 8446 4.1.2: message header, legacy_version and random come before legacy_session_id. */
#define SESSION_ID_LEN_OFF (4u + 2u + 32u)

quic_crypto_stream *quic_conn_crypto_of(quic_conn *conn, quic_space space)
{
    quic_conn_space *s = &conn->spaces[space];
    if (s->crypto == NULL && !s->discarded) {
        s->crypto = quic_mem_alloc(&conn->mem, sizeof(*s->crypto));
        if (s->crypto != NULL) {
            quic_crypto_stream_init(s->crypto, &conn->mem, conn->limits.crypto_buf_bytes);
        }
    }
    return s->crypto;
}

void quic_conn_free_crypto(quic_conn *conn, quic_space space)
{
    quic_crypto_stream *cs = conn->spaces[space].crypto;
    if (cs != NULL) {
        quic_crypto_stream_deinit(cs);
        quic_mem_free(&conn->mem, cs, sizeof(*cs));
        conn->spaces[space].crypto = NULL;
    }
}

void quic_conn_update_facts(quic_conn *conn)
{
    quic_recovery_facts *facts = &conn->recovery.facts;
    facts->is_client = conn->role == QUIC_CLIENT;
    facts->has_handshake_keys = conn->spaces[QUIC_SPACE_HANDSHAKE].tx != NULL;
    facts->handshake_confirmed = conn->handshake_confirmed;
    facts->peer_validated_address =
        conn->role == QUIC_SERVER || conn->handshake_confirmed ||
        conn->recovery.spaces[QUIC_SPACE_HANDSHAKE].largest_acked_pn != QUIC_PN_NONE;
}

quic_rc quic_conn_make_initial_keys(quic_conn *conn, const quic_cid *client_dcid)
{
    quic_keys *client = NULL;
    quic_keys *server = NULL;
    quic_rc rc =
        quic_keys_create_initial(&client, &server, conn->env->crypto, &conn->mem,
                                 quic_conn_version_of_keys(conn->version.current), client_dcid);
    if (rc != QUIC_OK) {
        return rc;
    }
    quic_conn_space *initial = &conn->spaces[QUIC_SPACE_INITIAL];
    quic_keys_destroy(initial->rx);
    quic_keys_destroy(initial->tx);
    initial->rx = conn->role == QUIC_SERVER ? client : server;
    initial->tx = conn->role == QUIC_SERVER ? server : client;
    return QUIC_OK;
}

/* ---- what TLS produces -------------------------------------------------------------------------- */

quic_rc quic_conn_install_secret(quic_conn *conn, quic_level level, bool is_write, uint16_t suite,
                                 const uint8_t *secret, size_t len)
{
    if (level == QUIC_LEVEL_EARLY) {
        return quic_conn_install_early(conn, is_write, suite, secret, len);
    }
    quic_conn_space *space = &conn->spaces[quic_conn_space_of(level)];
    quic_keys **slot = is_write ? &space->tx : &space->rx;
    if (level == QUIC_LEVEL_INITIAL || space->discarded || *slot != NULL) {
        return QUIC_E_STATE;
    }
    quic_rc rc = level == QUIC_LEVEL_APP && conn->unencrypted
                     ? quic_keys_create_plain(slot, conn->env->crypto, &conn->mem)
                     : quic_keys_create(slot, conn->env->crypto, &conn->mem, conn->version.current,
                                        suite, secret, len);
    if (rc == QUIC_OK) {
        conn->suite = suite;
        quic_conn_update_facts(conn);
        quic_conn_mark_dirty(conn);
    }
    return rc;
}

static quic_rc sink_secret(void *ctx, quic_level level, bool is_write, uint16_t suite,
                           const uint8_t *secret, size_t len)
{
    return quic_conn_install_secret(ctx, level, is_write, suite, secret, len);
}

static quic_rc sink_crypto(void *ctx, quic_level level, const uint8_t *data, size_t len)
{
    quic_conn *conn = ctx;
    quic_crypto_stream *cs = quic_conn_crypto_of(conn, quic_conn_space_of(level));
    if (cs == NULL) {
        return QUIC_E_NOMEM;
    }
    quic_conn_mark_dirty(conn);
    return quic_crypto_stream_write(cs, data, len);
}

static void sink_session(void *ctx, const uint8_t *data, size_t len)
{
    quic_conn_keep_session(ctx, data, len);
}

/* ---- driving TLS ----------------------------------------------------------------------------------- */

static void fail_tls(quic_conn *conn, quic_rc rc, quic_ns now)
{
    const char *why = conn->tls != NULL ? conn->tls_vtable->error_text(conn->tls) : "";
    quic_conn_fail(conn, rc, QUIC_FRAME_CRYPTO, why, now);
}

static quic_rc create_tls(quic_conn *conn, const quic_tls *like, quic_ns now)
{
    uint8_t params[QUIC_TP_ENCODED_MAX];
    uint8_t context[QUIC_TP_ENCODED_MAX + 4];
    quic_tls_args args = {
        .tls_config = conn->tls_config,
        .like = like,
        .mem = &conn->mem,
        .role = (quic_role)conn->role,
        .server_name = conn->server_name,
        .params = params,
        .sink = {.ctx = conn,
                 .on_secret = sink_secret,
                 .on_crypto = sink_crypto,
                 .on_session = sink_session},
        .rng = conn->env->rng,
    };
    args.params_len = quic_conn_encode_params(conn, params, sizeof(params));
    quic_conn_early_tls_args(conn, &args.tickets, context, sizeof(context), now);
    return conn->tls_vtable->create(&conn->tls, &args);
}

quic_rc quic_conn_start_client(quic_conn *conn, const quic_tls *like, quic_ns now)
{
    if (conn->external) {
        return QUIC_OK;
    }
    quic_rc rc = create_tls(conn, like, now);
    if (rc == QUIC_OK) {
        rc = conn->tls_vtable->start(conn->tls);
    }
    quic_conn_early_started(conn);
    return rc < 0 || rc == QUIC_OK ? rc : QUIC_E_CRYPTO;
}

/* A server spends nothing on TLS before the whole ClientHello is there (RFC 9001 4.3 lets it take
 * several Initials, in any order). With it, the version is decided (RFC 9368 2.3). */
static bool take_client_hello(quic_conn *conn, quic_ns now)
{
    const quic_crypto_stream *cs = conn->spaces[QUIC_SPACE_INITIAL].crypto;
    if (cs == NULL) {
        return false;
    }
    quic_recv_span span = quic_crypto_stream_peek(cs);
    size_t total = 0;
    quic_rc rc = quic_client_hello_length(&total, span.data, span.len);
    if (rc > 0) {
        quic_conn_fail(conn, rc, QUIC_FRAME_CRYPTO, "not a ClientHello", now);
        return false;
    }
    if (rc == QUIC_OK && total > conn->limits.crypto_buf_bytes) {
        quic_conn_fail(conn, QUIC_V_CRYPTO_BUFFER_EXCEEDED, QUIC_FRAME_CRYPTO,
                       "ClientHello too large", now);
        return false;
    }
    if (rc != QUIC_OK || span.len < total) {
        return false;
    }
    if (total > SESSION_ID_LEN_OFF && span.data[SESSION_ID_LEN_OFF] != 0) {
        quic_conn_fail(conn, QUIC_V_PROTOCOL_VIOLATION, QUIC_FRAME_CRYPTO,
                       "TLS middlebox compatibility mode", now); /* RFC 9001 8.4 */
        return false;
    }
    rc = quic_conn_version_negotiate(conn, span.data, span.len);
    if (rc != QUIC_OK) {
        quic_conn_fail(conn, rc, QUIC_FRAME_CRYPTO, rc > 0 ? "transport parameters" : "memory",
                       now);
        return false;
    }
    return true;
}

bool quic_conn_set_text(quic_conn *conn, const uint8_t *alpn, size_t alpn_len, const char *name)
{
    if (alpn != NULL && alpn_len > 0 && alpn_len <= 255 && conn->alpn == NULL) {
        conn->alpn = quic_mem_alloc(&conn->mem, alpn_len);
        if (conn->alpn == NULL) {
            return false;
        }
        memcpy(conn->alpn, alpn, alpn_len);
        conn->alpn_len = (uint8_t)alpn_len;
    }
    size_t len = name == NULL ? 0 : strlen(name);
    if (len > 0 && len <= 255 && conn->server_name == NULL) {
        conn->server_name = quic_mem_alloc(&conn->mem, len + 1);
        if (conn->server_name == NULL) {
            return false;
        }
        memcpy(conn->server_name, name, len + 1);
        conn->server_name_size = len + 1;
    }
    return true;
}

/* A server's TLS goes away after the handshake; who the client is has to stay. */
static bool keep_peer_certificate(quic_conn *conn)
{
    const uint8_t *der = NULL;
    size_t len = 0;
    bool verified = false;
    if (conn->role == QUIC_CLIENT || conn->tls_vtable->peer_certificate == NULL ||
        !conn->tls_vtable->peer_certificate(conn->tls, &der, &len, &verified)) {
        return true;
    }
    conn->peer_cert = quic_mem_alloc(&conn->mem, sizeof(*conn->peer_cert) + len);
    if (conn->peer_cert == NULL) {
        return false;
    }
    conn->peer_cert->len = len;
    conn->peer_cert->verified = verified;
    memcpy(conn->peer_cert->der, der, len);
    return true;
}

bool quic_conn_peer_certificate(const quic_conn *conn, const uint8_t **out, size_t *out_len,
                                bool *out_verified)
{
    if (conn->peer_cert != NULL) {
        *out = conn->peer_cert->der;
        *out_len = conn->peer_cert->len;
        *out_verified = conn->peer_cert->verified;
        return true;
    }
    return conn->tls != NULL && conn->tls_vtable->peer_certificate != NULL &&
           conn->tls_vtable->peer_certificate(conn->tls, out, out_len, out_verified);
}

quic_rc quic_conn_export_keys(const quic_conn *conn, uint8_t *out, size_t len, const char *label,
                              const uint8_t *context, size_t context_len)
{
    if (!conn->handshake_complete) {
        return QUIC_E_STATE;
    }
    if (conn->tls == NULL || conn->tls_vtable->export_keys == NULL) {
        return QUIC_E_NOT_SUPPORTED;
    }
    return conn->tls_vtable->export_keys(conn->tls, out, len, label, context, context_len);
}

/* After each step of TLS: parameters as soon as they are known, then completion. */
static bool follow_tls(quic_conn *conn, quic_ns now)
{
    const quic_tls_vtable *vt = conn->tls_vtable;
    const uint8_t *data = NULL;
    size_t len = 0;
    if (!conn->handshake_complete) {
        quic_conn_follow_early(conn);
    }
    if (!conn->params_applied && vt->peer_params(conn->tls, &data, &len)) {
        quic_rc rc = quic_conn_apply_peer_params(conn, data, len);
        if (rc != QUIC_OK) {
            const char *why =
                rc == QUIC_V_VERSION_NEGOTIATION ? "version negotiation" : "transport parameters";
            quic_conn_fail(conn, rc, QUIC_FRAME_CRYPTO, why, now);
            return false;
        }
    }
    if (!conn->handshake_complete && vt->is_complete(conn->tls)) {
        if (!conn->params_applied) {
            /* RFC 9001 8.2 */
            quic_conn_fail(conn, QUIC_V_CRYPTO_BASE + QUIC_ALERT_MISSING_EXTENSION,
                           QUIC_FRAME_CRYPTO, "no transport parameters", now);
            return false;
        }
        conn->suite = vt->suite(conn->tls);
        conn->is_resumed = vt->resumed(conn->tls);
        conn->certificate_shown = vt->certificate_shown != NULL && vt->certificate_shown(conn->tls);
        const uint8_t *alpn = NULL;
        size_t alpn_len = 0;
        (void)vt->alpn(conn->tls, &alpn, &alpn_len);
        if (!quic_conn_set_text(conn, alpn, alpn_len, vt->server_name(conn->tls)) ||
            !keep_peer_certificate(conn)) {
            quic_conn_fail(conn, QUIC_E_NOMEM, 0, "memory", now);
            return false;
        }
        quic_conn_on_handshake_complete(conn, now);
    }
    return quic_conn_is_open(conn);
}

/* RFC 9001 4.1.3: keys of the next level, and more to come at this one. A TLS outside is through with Initial
 * messages when it has given these keys, if what it was shown does not wait to be taken (quic_conn_take_shown);
 * those of 1-RTT packets it may know before the last Handshake message. */
static bool is_beyond_initial(const quic_conn *conn)
{
    const quic_crypto_stream *cs = conn->spaces[QUIC_SPACE_INITIAL].crypto;
    return cs != NULL && conn->hs_data_len == 0 && conn->spaces[QUIC_SPACE_HANDSHAKE].rx != NULL &&
           quic_crypto_stream_has_buffered(cs);
}

static void drive_external(quic_conn *conn, quic_ns now)
{
    if (is_beyond_initial(conn)) {
        quic_conn_fail(conn, QUIC_V_PROTOCOL_VIOLATION, QUIC_FRAME_CRYPTO,
                       "CRYPTO data beyond the end of its level", now);
        return;
    }
    if (conn->role == QUIC_SERVER && !conn->hs_accepted) {
        if (!conn->hs_pending && take_client_hello(conn, now)) {
            conn->hs_pending = true;
            quic_conn_raise(conn, QUIC_CONN_EV_HS_PENDING);
        }
        return;
    }
    for (int i = 0; i < QUIC_SPACE_COUNT; i++) {
        const quic_crypto_stream *cs = conn->spaces[i].crypto;
        if (cs != NULL && quic_recv_buf_readable(&cs->recv) > 0) {
            quic_conn_raise(conn, QUIC_CONN_EV_HS_DATA);
        }
    }
}

static bool level_is_over(const quic_conn *conn, quic_space space)
{
    return space != QUIC_SPACE_APP && conn->spaces[space + 1].rx != NULL;
}

static void drive_tls(quic_conn *conn, quic_ns now)
{
    for (int i = 0; i < QUIC_SPACE_COUNT && conn->tls != NULL; i++) {
        for (;;) {
            quic_crypto_stream *cs = conn->spaces[i].crypto;
            quic_recv_span span = {0};
            if (cs != NULL) {
                span = quic_crypto_stream_peek(cs);
            }
            if (span.len == 0) {
                break;
            }
            quic_rc rc = conn->tls_vtable->provide(conn->tls, quic_conn_level_of((quic_space)i),
                                                   span.data, span.len);
            if (rc != QUIC_OK) {
                fail_tls(conn, rc, now);
                return;
            }
            quic_crypto_stream_consume(cs, span.len);
            if (level_is_over(conn, (quic_space)i) && quic_crypto_stream_has_buffered(cs)) {
                /* RFC 9001 4.1.3: keys of the next level, and more to come at this one */
                quic_conn_fail(conn, QUIC_V_PROTOCOL_VIOLATION, QUIC_FRAME_CRYPTO,
                               "CRYPTO data beyond the end of its level", now);
                return;
            }
            if (!follow_tls(conn, now)) {
                return;
            }
        }
    }
}

void quic_conn_drive_handshake(quic_conn *conn, quic_ns now)
{
    if (conn->external) {
        drive_external(conn, now);
        return;
    }
    if (conn->tls == NULL) {
        if (conn->role == QUIC_CLIENT || conn->handshake_complete ||
            !take_client_hello(conn, now)) {
            return;
        }
        quic_rc rc = create_tls(conn, NULL, now);
        if (rc != QUIC_OK) {
            quic_conn_fail(conn, rc < 0 ? rc : QUIC_E_CRYPTO, QUIC_FRAME_CRYPTO, "TLS", now);
            return;
        }
    }
    drive_tls(conn, now);
    if (quic_conn_is_open(conn) && conn->held != NULL) {
        quic_conn_replay_held(conn, now);
    }
    if (conn->role == QUIC_SERVER && conn->handshake_complete && conn->tls != NULL &&
        !(conn->tls_vtable->serves_exports != NULL &&
          conn->tls_vtable->serves_exports(conn->tls))) {
        /* Tickets are written by now, and nothing more is said at the TLS level: an idle connection
         * does not carry its memory. */
        conn->tls_vtable->destroy(conn->tls);
        conn->tls = NULL;
    }
}

/* ---- milestones -------------------------------------------------------------------------------------- */

void quic_conn_on_handshake_complete(quic_conn *conn, quic_ns now)
{
    quic_conn_early_take_deferred(conn);
    conn->handshake_complete = true;
    if (conn->state == QUIC_CONN_HANDSHAKE) {
        conn->state = QUIC_CONN_ESTABLISHED;
    }
    conn->env->counters->conns_established++;
    conn->path.validated = true; /* RFC 9000 8.1: only who got our packets can finish */
    quic_conn_start_mtu(conn, now);
    quic_conn_issue_cids(conn);
    quic_conn_derive_next(conn);
    quic_conn_raise(conn, QUIC_CONN_EV_CONNECTED);
    quic_conn_early_complete(conn, now);
    quic_conn_datagrams_complete(conn);
    if (conn->role == QUIC_SERVER) {
        conn->pending |= QUIC_PEND_HANDSHAKE_DONE;
        quic_conn_give_tokens(conn, conn->new_tokens_max);
        quic_conn_on_handshake_confirmed(conn, now); /* RFC 9001 4.1.2 */
    }
    quic_conn_mark_dirty(conn);
}

void quic_conn_on_handshake_confirmed(quic_conn *conn, quic_ns now)
{
    if (conn->handshake_confirmed) {
        return;
    }
    conn->handshake_confirmed = true;
    quic_conn_discard_space(conn, QUIC_SPACE_INITIAL, now);
    quic_conn_discard_space(conn, QUIC_SPACE_HANDSHAKE, now); /* RFC 9001 4.9.2 */
    quic_conn_drop_token(conn);
    quic_conn_update_facts(conn);
    if (conn->role == QUIC_SERVER) {
        quic_conn_free_preferred(conn); /* the client has it */
    } else {
        quic_conn_try_preferred(conn, now);
    }
    quic_conn_mark_dirty(conn);
}

/* RFC 9001 4.9, RFC 9002 6.4 */
void quic_conn_discard_space(quic_conn *conn, quic_space space, quic_ns now)
{
    quic_conn_space *s = &conn->spaces[space];
    if (s->discarded) {
        return;
    }
    s->discarded = true;
    s->probes = 0;
    s->ping = false;
    quic_keys_destroy(s->rx);
    quic_keys_destroy(s->tx);
    s->rx = NULL;
    s->tx = NULL;
    quic_conn_free_crypto(conn, space);
    if (space == QUIC_SPACE_INITIAL) {
        quic_conn_version_free_other(conn); /* RFC 9369 4.1: not earlier */
    }
    quic_ack_tracker_deinit(&s->acks);
    quic_recovery_discard_space(&conn->recovery, space, now);
    quic_conn_update_facts(conn);
}

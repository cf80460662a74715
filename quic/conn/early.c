/* 0-RTT and sessions, both sides: what a client remembers of a server, early keys, and what happens
 * when the server refuses (RFC 9000 7.4.1; RFC 9001 4.5, 4.6, 4.9.3; RFC 9002 6.4). */
#include "quic/base/bytes.h"
#include "quic/conn/conn_internal.h"

#define BLOB_MAGIC   0x51525331u /* "QRS1" */
#define BLOB_HEAD    9u          /* magic, version, length of the name */
#define BLOB_LEN_MAX (64u * 1024u + 1024u)

/* ---- what is remembered ---------------------------------------------------------------------------- */

/* RFC 9000 7.4.1, RFC 9221 3: with 0-RTT accepted none of these may be smaller than before. */
static bool reduced(const quic_transport_params *before, const quic_transport_params *p)
{
    return p->active_connection_id_limit < before->active_connection_id_limit ||
           p->initial_max_data < before->initial_max_data ||
           p->initial_max_stream_data_bidi_local < before->initial_max_stream_data_bidi_local ||
           p->initial_max_stream_data_bidi_remote < before->initial_max_stream_data_bidi_remote ||
           p->initial_max_stream_data_uni < before->initial_max_stream_data_uni ||
           p->initial_max_streams_bidi < before->initial_max_streams_bidi ||
           p->initial_max_streams_uni < before->initial_max_streams_uni ||
           p->max_datagram_frame_size < before->max_datagram_frame_size ||
           (before->reset_stream_at && !p->reset_stream_at); /* Reliable Stream Resets 3 */
}

/* The server's side of the same rule: a ticket made under other parameters is refused 0-RTT. */
static size_t context_of(quic_transport_params *p, uint8_t *out, size_t room)
{
    quic_transport_params_keep_remembered(p);
    return quic_transport_params_encode(out, room, p, QUIC_SERVER, 0);
}

size_t quic_conn_early_context(const quic_conn *conn, uint8_t *out, size_t room)
{
    quic_transport_params p;
    quic_conn_our_params(conn, &p);
    return context_of(&p, out, room);
}

size_t quic_early_context_of(uint8_t *out, size_t room, const uint8_t *params, size_t len)
{
    quic_transport_params p;
    if (quic_transport_params_decode(&p, params, len, QUIC_SERVER) != QUIC_OK) {
        return 0;
    }
    return context_of(&p, out, room);
}

/* ---- a client's sessions ----------------------------------------------------------------------------- */

void quic_conn_keep_session(quic_conn *conn, const uint8_t *data, size_t len)
{
    uint8_t params[QUIC_TP_ENCODED_MAX];
    const uint8_t *raw = NULL;
    size_t raw_len = 0;
    quic_transport_params p;
    if (!conn->tls_vtable->peer_params(conn->tls, &raw, &raw_len) ||
        quic_transport_params_decode(&p, raw, raw_len, QUIC_SERVER) != QUIC_OK) {
        return;
    }
    quic_transport_params_keep_remembered(&p);
    size_t params_len = quic_transport_params_encode(params, sizeof(params), &p, QUIC_SERVER, 0);
    size_t name_len = conn->server_name_size > 0 ? conn->server_name_size - 1 : 0;
    size_t total = BLOB_HEAD + name_len + 2 + params_len + len;
    uint8_t *blob = total <= BLOB_LEN_MAX ? quic_mem_alloc(&conn->mem, total) : NULL;
    if (blob == NULL) {
        return; /* without it the next connection does a full handshake */
    }
    quic_store_be32(blob, BLOB_MAGIC);
    quic_store_be32(blob + 4, conn->version.current); /* RFC 9369 5: the negotiated one */
    blob[8] = (uint8_t)name_len;
    uint8_t *at = blob + BLOB_HEAD;
    if (name_len > 0) {
        memcpy(at, conn->server_name, name_len);
    }
    at += name_len;
    quic_store_be16(at, (uint16_t)params_len);
    memcpy(at + 2, params, params_len);
    memcpy(at + 2 + params_len, data, len);
    quic_conn_free_session(conn);
    conn->session = blob;
    conn->session_len = total;
    quic_conn_raise(conn, QUIC_CONN_EV_SESSION);
}

void quic_conn_free_session(quic_conn *conn)
{
    if (conn->session != NULL) {
        quic_mem_wipe(conn->session, conn->session_len); /* as secret as the keys it leads to */
    }
    quic_mem_free(&conn->mem, conn->session, conn->session_len);
    conn->session = NULL;
    conn->session_len = 0;
    conn->session_shown = false;
}

/* Reads what quic_conn_keep_session wrote. A blob for another server or version is as good as none:
 * TLS would take the name's certificate as verified (RFC 8446 4.6.1), and RFC 9369 5 binds tickets to
 * their version. */
static bool read_blob(const quic_conn *conn, const uint8_t *blob, size_t len,
                      quic_transport_params *p, quic_conn_early *early)
{
    if (len < BLOB_HEAD + 2 || len > BLOB_LEN_MAX || quic_load_be32(blob) != BLOB_MAGIC ||
        quic_load_be32(blob + 4) != conn->version.chosen) {
        return false;
    }
    size_t name_len = blob[8];
    size_t ours_len = conn->server_name_size > 0 ? conn->server_name_size - 1 : 0;
    if (len < BLOB_HEAD + name_len + 2 || name_len != ours_len ||
        (name_len > 0 && memcmp(blob + BLOB_HEAD, conn->server_name, name_len) != 0)) {
        return false;
    }
    const uint8_t *at = blob + BLOB_HEAD + name_len;
    size_t params_len = quic_load_be16(at);
    size_t left = len - BLOB_HEAD - name_len - 2;
    if (left < params_len ||
        quic_transport_params_decode(p, at + 2, params_len, QUIC_SERVER) != QUIC_OK) {
        return false;
    }
    quic_transport_params_keep_remembered(p);
    early->tls_session = at + 2 + params_len;
    early->tls_session_len = left - params_len;
    return true;
}

uint32_t quic_conn_session_version(const uint8_t *session, size_t len)
{
    bool is_blob = len >= BLOB_HEAD && quic_load_be32(session) == BLOB_MAGIC;
    return is_blob ? quic_load_be32(session + 4) : 0;
}

quic_rc quic_conn_early_prepare(quic_conn *conn, const uint8_t *session, size_t len, bool zero_rtt)
{
    if (len == 0 || conn->external) {
        return QUIC_OK;
    }
    quic_conn_early *early = quic_mem_zalloc(&conn->mem, sizeof(*early));
    if (early == NULL) {
        return QUIC_E_NOMEM;
    }
    if (!read_blob(conn, session, len, &early->params, early)) {
        quic_mem_free(&conn->mem, early, sizeof(*early));
        return QUIC_OK;
    }
    early->wanted = zero_rtt;
    conn->early = early;
    return QUIC_OK;
}

void quic_conn_early_tls_args(quic_conn *conn, quic_tls_tickets *out, uint8_t *context, size_t room,
                              quic_ns now)
{
    out->now = now;
    out->version = conn->version.current;
    out->version_first = conn->version.chosen;
    if (conn->role == QUIC_CLIENT) {
        if (conn->early != NULL) {
            out->session = conn->early->tls_session;
            out->session_len = conn->early->tls_session_len;
            out->early = conn->early->wanted;
        }
        return;
    }
    if (!conn->tickets) {
        return;
    }
    out->keys = &conn->env->ticket_keys;
    if (conn->early_gate != NULL) {
        out->gate = conn->early_gate;
        out->early_context = context;
        out->early_context_len = quic_conn_early_context(conn, context, room);
    }
}

/* ---- keys ------------------------------------------------------------------------------------------------ */

quic_rc quic_conn_install_early(quic_conn *conn, bool is_write, uint16_t suite,
                                const uint8_t *secret, size_t len)
{
    if (is_write != (conn->role == QUIC_CLIENT)) {
        return QUIC_OK; /* a server sends none, a client receives none */
    }
    if (conn->external && conn->role == QUIC_CLIENT && conn->early == NULL) {
        return QUIC_E_STATE; /* nothing is remembered of the server */
    }
    if (conn->early == NULL) {
        conn->early = quic_mem_zalloc(&conn->mem, sizeof(*conn->early));
        if (conn->early == NULL) {
            return QUIC_E_NOMEM;
        }
    }
    if (conn->early->keys != NULL) {
        return QUIC_E_STATE;
    }
    quic_rc rc =
        quic_keys_create(&conn->early->keys, conn->env->crypto, &conn->mem, conn->version.chosen,
                         suite, secret, len); /* RFC 9369 4.1: whatever is negotiated */
    if (rc == QUIC_OK && conn->role == QUIC_SERVER) {
        conn->early_status = QUIC_EARLY_ACCEPTED;
        conn->env->counters->early_accepted++;
        quic_conn_raise(conn, QUIC_CONN_EV_EARLY_READY);
    } else if (rc == QUIC_OK && conn->external) {
        quic_conn_early_started(conn);
        quic_conn_mark_dirty(conn);
    }
    return rc;
}

void quic_conn_free_early(quic_conn *conn)
{
    if (conn->early != NULL) {
        quic_keys_destroy(conn->early->keys);
        quic_mem_free(&conn->mem, conn->early, sizeof(*conn->early));
        conn->early = NULL;
    }
}

void quic_conn_early_started(quic_conn *conn)
{
    if (conn->early == NULL || conn->early->keys == NULL) {
        quic_conn_free_early(conn); /* TLS does not offer it */
        return;
    }
    conn->early->tls_session = NULL; /* was borrowed */
    conn->early_status = QUIC_EARLY_OFFERED;
    quic_conn_take_limits(conn, &conn->early->params);
    quic_conn_raise(conn, QUIC_CONN_EV_EARLY_READY);
}

/* RFC 9001 4.9.3: a client is done with early keys now; a server keeps them for packets that were
 * overtaken. */
void quic_conn_early_complete(quic_conn *conn, quic_ns now)
{
    if (conn->early != NULL && conn->role == QUIC_SERVER) {
        conn->early->until_ns = now + 3 * quic_recovery_pto_ns(&conn->recovery, QUIC_SPACE_APP);
    } else {
        quic_conn_free_early(conn);
    }
    if (conn->early_status != QUIC_EARLY_NONE && conn->role == QUIC_CLIENT && conn->open_refused) {
        conn->open_refused = false;
        quic_conn_raise(conn, QUIC_CONN_EV_STREAMS_AVAILABLE);
    }
}

bool quic_conn_early_wants_send(const quic_conn *conn, quic_ns now)
{
    const quic_conn_space *app = &conn->spaces[QUIC_SPACE_APP];
    if (conn->role == QUIC_CLIENT) {
        return quic_conn_sends_early(conn) && quic_conn_has_app_work(conn);
    }
    /* Answers to 0-RTT, within the 3x credit (RFC 9001 5.7 lets a server send 1-RTT packets). */
    return conn->early_status == QUIC_EARLY_ACCEPTED && app->tx != NULL &&
           (quic_conn_has_app_work(conn) || quic_ack_tracker_due(&app->acks, now));
}

/* ---- the answer -------------------------------------------------------------------------------------------- */

/* RFC 9001 4.6.2: for the server nothing of this was ever sent. Streams start over, from their first
 * byte, as if written after the handshake. */
static void reject(quic_conn *conn)
{
    const quic_sent_packet *packet;
    conn->early_status = QUIC_EARLY_REJECTED;
    conn->early_bytes = 0;
    conn->env->counters->early_rejected++;
    while ((packet = quic_recovery_take_next(&conn->recovery, QUIC_SPACE_APP)) != NULL) {
        quic_conn_datagrams_lost(conn, packet);
        quic_conn_requeue(conn, QUIC_SPACE_APP, packet);
    }
    for (quic_stream *s = quic_stream_table_first(&conn->streams); s != NULL;
         s = quic_stream_table_next(&conn->streams, s)) {
        quic_conn_unschedule(conn, s);
        quic_stream_rewind(s);
    }
    quic_stream_table_forget_peer_limits(&conn->streams);
    quic_flow_send_init(&conn->flow_send, 0);
    conn->peer_datagram_max = 0;
    conn->pending &= ~(uint32_t)(QUIC_PEND_DATA_BLOCKED | QUIC_PEND_STREAMS_BLOCKED_BIDI |
                                 QUIC_PEND_STREAMS_BLOCKED_UNI);
    quic_conn_free_early(conn);
    quic_conn_raise(conn, QUIC_CONN_EV_EARLY_REJECTED);
    quic_conn_mark_dirty(conn);
}

void quic_conn_early_abandon(quic_conn *conn)
{
    if (conn->early_status == QUIC_EARLY_OFFERED) {
        reject(conn);
    }
}

void quic_conn_follow_early(quic_conn *conn)
{
    quic_early_status status = conn->tls_vtable->early_status(conn->tls);
    if (conn->role == QUIC_SERVER) {
        if (status == QUIC_EARLY_REJECTED && conn->early_status == QUIC_EARLY_NONE) {
            conn->early_status = QUIC_EARLY_REJECTED;
            conn->env->counters->early_rejected++;
        }
        return;
    }
    if (conn->early_status == QUIC_EARLY_OFFERED) {
        quic_conn_early_answered(conn, status);
    }
}

quic_rc quic_conn_early_remember(quic_conn *conn, const quic_transport_params *params)
{
    conn->early = quic_mem_zalloc(&conn->mem, sizeof(*conn->early));
    if (conn->early == NULL) {
        return QUIC_E_NOMEM;
    }
    conn->early->params = *params;
    return QUIC_OK;
}

void quic_conn_early_answered(quic_conn *conn, quic_early_status status)
{
    if (status == QUIC_EARLY_REJECTED) {
        reject(conn);
    } else if (status == QUIC_EARLY_ACCEPTED) {
        conn->early_status = QUIC_EARLY_ACCEPTED;
        conn->env->counters->early_accepted++;
    }
}

quic_rc quic_conn_early_check_params(const quic_conn *conn, const quic_transport_params *p)
{
    if (conn->role == QUIC_CLIENT && conn->early_status == QUIC_EARLY_ACCEPTED &&
        conn->early != NULL && reduced(&conn->early->params, p)) {
        return QUIC_V_PROTOCOL_VIOLATION; /* RFC 9000 7.4.1 */
    }
    return QUIC_OK;
}

static bool goes_on_early(const quic_conn *conn)
{
    return quic_conn_sends_early(conn) && conn->early_status == QUIC_EARLY_ACCEPTED;
}

/* RFC 9000 7.4.1: what is remembered applies as long as 0-RTT packets are sent, and nothing has vouched for the new
 * values before the handshake is complete (RFC 9001 8.2). */
bool quic_conn_early_defer_limits(quic_conn *conn, const quic_transport_params *p)
{
    if (!goes_on_early(conn)) {
        return false;
    }
    conn->early->params = *p;
    return true;
}

void quic_conn_early_take_deferred(quic_conn *conn)
{
    if (goes_on_early(conn)) {
        quic_conn_take_limits(conn, &conn->early->params);
        (void)quic_conn_early_restart_streams(conn); /* they are not lower: that was checked */
    }
}

/* The limits are those of this handshake now: after a refusal perhaps lower ones, else perhaps higher than what
 * was remembered, for which streams wait that have left the scheduler. */
quic_rc quic_conn_early_restart_streams(quic_conn *conn)
{
    if (conn->role != QUIC_CLIENT || conn->early_status == QUIC_EARLY_NONE) {
        return QUIC_OK;
    }
    for (quic_stream *s = quic_stream_table_first(&conn->streams); s != NULL;
         s = quic_stream_table_next(&conn->streams, s)) {
        uint64_t max = quic_stream_table_local_max(&conn->streams, quic_stream_id_is_uni(s->id));
        if (conn->early_status == QUIC_EARLY_REJECTED && s->id >> 2 >= max) {
            return QUIC_E_LIMIT; /* what is open already is more than the server allows now */
        }
        quic_conn_note_credit(conn, s);
        quic_conn_schedule(conn, s);
    }
    return QUIC_OK;
}

/* ---- tickets on their way ---------------------------------------------------------------------------------- */

void quic_conn_early_crypto_acked(quic_conn *conn, quic_space space)
{
    const quic_crypto_stream *cs = conn->spaces[space].crypto;
    if (space != QUIC_SPACE_APP || conn->role != QUIC_SERVER || conn->external ||
        !conn->handshake_complete || quic_send_buf_held(&cs->send) != 0) {
        return;
    }
    quic_conn_free_crypto(conn, space);
}

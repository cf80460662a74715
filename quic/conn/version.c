/* Which version is spoken: a client's first choice, the server's switch within the handshake, the
 * client's second try after a Version Negotiation packet, and the checks that nobody in between had a
 * say in it (RFC 9368; RFC 9369 4; RFC 9000 6.2). */
#include "quic/conn/conn_internal.h"
#include "quic/crypto/client_hello.h"

uint32_t quic_conn_version_of_keys(uint32_t version)
{
    return quic_version_bit(version) != 0 ? version : QUIC_VERSION_1;
}

static uint32_t lowest(uint32_t versions)
{
    return (versions & QUIC_VERSIONS_1) != 0 ? QUIC_VERSION_1 : QUIC_VERSION_2;
}

void quic_conn_version_begin(quic_conn *conn, const quic_conn_config *config)
{
    const quring_limits *lim = &conn->limits;
    quic_conn_version *v = &conn->version;
    if (conn->role == QUIC_SERVER) {
        v->chosen = config->version;
    } else if (lim->version_first != 0) {
        v->chosen = lim->version_first;
    } else {
        /* RFC 9369 5, 6: sessions and tokens are good in their own version only, which their server
         * goes on speaking. */
        uint32_t version = quic_conn_session_version(config->session, config->session_len);
        if (version == 0) {
            version = quic_conn_token_version(config->token, config->token_len);
        }
        bool spoken = (quic_version_bit(version) & lim->versions) != 0;
        v->chosen = spoken ? version : lowest(lim->versions);
    }
    v->original = v->chosen;
    if (conn->role == QUIC_CLIENT && config->version_listed != 0) {
        v->chosen = config->version_listed;
        v->restarted = true;
        conn->env->counters->version_restarts++;
    }
    v->current = v->chosen;
}

/* ---- what is said ------------------------------------------------------------------------------------ */

static void list_version(quic_version_info *info, uint32_t version)
{
    for (uint32_t i = 0; i < info->available_count; i++) {
        if (info->available[i] == version) {
            return;
        }
    }
    info->available[info->available_count++] = version;
}

/* A client lists what its first flight is compatible with, most wanted first: versions 1 and 2 are to
 * each other (RFC 9369 4). A server lists what it speaks. What a client has chosen is the version of that flight,
 * also in a ClientHello that comes after the server's switch (RFC 9368 4; RFC 8446 4.1.2). */
void quic_conn_version_info(const quic_conn *conn, quic_version_info *out)
{
    const quring_limits *lim = &conn->limits;
    memset(out, 0, sizeof(*out));
    out->chosen = conn->role == QUIC_CLIENT ? conn->version.chosen : conn->version.current;
    if (lim->version_preferred != 0) {
        list_version(out, lim->version_preferred);
    }
    if (conn->role == QUIC_CLIENT) {
        list_version(out, conn->version.chosen);
    }
    if ((lim->versions & QUIC_VERSIONS_1) != 0) {
        list_version(out, QUIC_VERSION_1);
    }
    if ((lim->versions & QUIC_VERSIONS_2) != 0) {
        list_version(out, QUIC_VERSION_2);
    }
}

uint32_t quic_params_version(const uint8_t *params, size_t len)
{
    quic_transport_params p;
    bool named =
        quic_transport_params_decode(&p, params, len, QUIC_SERVER) == QUIC_OK && p.has_version_info;
    return named ? p.version_info.chosen : 0;
}

/* ---- server: the switch ------------------------------------------------------------------------------- */

/* RFC 9368 2.3: one that the client lists and we speak; ours goes first if we have a wish. */
static uint32_t select_compatible(const quic_conn *conn, const quic_version_info *client)
{
    const quring_limits *lim = &conn->limits;
    uint32_t first = 0;
    for (uint32_t i = 0; i < client->available_count; i++) {
        uint32_t version = client->available[i];
        if ((quic_version_bit(version) & lim->versions) == 0) {
            continue;
        }
        if (version == lim->version_preferred) {
            return version;
        }
        first = first == 0 ? version : first;
    }
    return first == 0 || lim->version_preferred != 0 ? conn->version.chosen : first;
}

static quic_rc switch_to(quic_conn *conn, uint32_t version)
{
    quic_conn_space *initial = &conn->spaces[QUIC_SPACE_INITIAL];
    quic_conn_version *v = &conn->version;
    quic_conn_other_version *other = quic_mem_zalloc(&conn->mem, sizeof(*other));
    if (other == NULL) {
        return QUIC_E_NOMEM;
    }
    /* RFC 9369 4.1: the client goes on with the version it began with until it hears from us. */
    other->version = v->current;
    other->rx = initial->rx;
    v->other = other;
    v->current = version;
    initial->rx = NULL;
    conn->env->counters->version_switches++;
    return quic_conn_make_initial_keys(conn, &conn->initial_dcid);
}

quic_rc quic_conn_version_negotiate(quic_conn *conn, const uint8_t *client_hello, size_t len)
{
    quic_client_hello hello;
    quic_transport_params p;
    conn->version.settled = true;
    /* What cannot be read here is TLS's to complain about, or quic_conn_apply_peer_params'; but a TLS library may tell
     * parameters of no bytes from none at all, or not. */
    if (quic_client_hello_parse(&hello, client_hello, len) != QUIC_OK ||
        !hello.has_transport_params) {
        return QUIC_OK;
    }
    if (hello.transport_params.len == 0) {
        return QUIC_V_TRANSPORT_PARAMETER; /* RFC 9000 7.3 */
    }
    if (quic_transport_params_decode(&p, hello.transport_params.data, hello.transport_params.len,
                                     QUIC_CLIENT) != QUIC_OK ||
        !p.has_version_info || p.version_info.chosen != conn->version.chosen) {
        return QUIC_OK;
    }
    uint32_t version = select_compatible(conn, &p.version_info);
    return version == conn->version.chosen ? QUIC_OK : switch_to(conn, version);
}

/* ---- client: follows the switch ------------------------------------------------------------------------ */

void quic_conn_version_free_other(quic_conn *conn)
{
    quic_conn_other_version *other = conn->version.other;
    if (other != NULL) {
        quic_keys_destroy(other->rx);
        quic_keys_destroy(other->tx);
        quic_mem_free(&conn->mem, other, sizeof(*other));
        conn->version.other = NULL;
    }
}

/* The keys of a version the server may have switched to, derived once however often it is claimed. */
static void try_version(quic_conn *conn, uint32_t version)
{
    quic_conn_other_version *other = quic_mem_zalloc(&conn->mem, sizeof(*other));
    if (other == NULL) {
        return;
    }
    other->version = version;
    if (quic_keys_create_initial(&other->tx, &other->rx, conn->env->crypto, &conn->mem, version,
                                 &conn->initial_dcid) != QUIC_OK) {
        quic_mem_free(&conn->mem, other, sizeof(*other));
        return;
    }
    conn->version.other = other;
}

quic_keys *quic_conn_version_initial_rx(quic_conn *conn, uint32_t version)
{
    const quic_conn_space *initial = &conn->spaces[QUIC_SPACE_INITIAL];
    quic_conn_version *v = &conn->version;
    if (QUIC_LIKELY(version == v->current) || initial->discarded) {
        return initial->rx;
    }
    if (conn->role == QUIC_CLIENT && !v->settled && v->other == NULL &&
        (quic_version_bit(version) & conn->limits.versions) != 0) {
        try_version(conn, version);
    }
    return v->other != NULL && v->other->version == version ? v->other->rx : NULL;
}

void quic_conn_version_on_initial(quic_conn *conn, uint32_t version)
{
    quic_conn_space *initial = &conn->spaces[QUIC_SPACE_INITIAL];
    quic_conn_version *v = &conn->version;
    if (QUIC_LIKELY(version == v->current) || conn->role == QUIC_SERVER) {
        return;
    }
    /* RFC 9369 4.1: the first packet of another version tells the negotiated one. What the server
     * still has under way in the first version are acknowledgements. */
    quic_keys_destroy(initial->rx);
    quic_keys_destroy(initial->tx);
    initial->rx = v->other->rx;
    initial->tx = v->other->tx;
    v->other->rx = NULL;
    v->other->tx = NULL;
    quic_conn_version_free_other(conn);
    v->current = version;
    v->settled = true;
    conn->env->counters->version_switches++;
}

void quic_conn_version_on_crypto(quic_conn *conn)
{
    if (conn->role == QUIC_CLIENT && QUIC_UNLIKELY(!conn->version.settled)) {
        conn->version.settled = true;
        quic_conn_version_free_other(conn); /* that was only claimed */
    }
}

/* ---- client: the second try ---------------------------------------------------------------------------- */

/* What we would begin with, of the versions in a server's list. 0: none. */
static uint32_t pick(const quic_conn *conn, uint32_t versions)
{
    const quring_limits *lim = &conn->limits;
    versions &= lim->versions;
    if ((quic_version_bit(lim->version_preferred) & versions) != 0) {
        return lim->version_preferred;
    }
    if ((quic_version_bit(lim->version_first) & versions) != 0) {
        return lim->version_first;
    }
    return versions == 0 ? 0 : lowest(versions);
}

/* Nothing of the first try is known to anybody: new connection ID, new keys, new ClientHello. */
static void begin_again(quic_conn *conn, uint32_t version, quic_ns now)
{
    quic_conn_space *initial = &conn->spaces[QUIC_SPACE_INITIAL];
    quic_tls *old = conn->tls;
    while (quic_recovery_take_next(&conn->recovery, QUIC_SPACE_INITIAL) != NULL) {
        continue; /* what it carried goes with the stream below */
    }
    quic_conn_early_abandon(conn);
    quic_recovery_on_retry(&conn->recovery, now);
    quic_cc_reset(&conn->cc);
    quic_conn_free_held(conn);
    if (initial->crypto != NULL) {
        quic_crypto_stream_deinit(initial->crypto);
        quic_mem_free(&conn->mem, initial->crypto, sizeof(*initial->crypto));
        initial->crypto = NULL;
    }
    initial->probes = 0;
    initial->ping = false;
    quic_conn_drop_token(conn); /* RFC 9369 5: of the other version */
    quic_conn_version_free_other(conn);
    conn->version.chosen = version;
    conn->version.current = version;
    conn->version.restarted = true;
    quic_rng_fill(conn->env->rng, conn->original_dcid.bytes, conn->original_dcid.len);
    conn->initial_dcid = conn->original_dcid;
    quic_cid_peer_set_initial(&conn->cids_peer, &conn->original_dcid);
    conn->tls = NULL;
    quic_rc rc = quic_conn_make_initial_keys(conn, &conn->initial_dcid);
    if (rc == QUIC_OK) {
        rc = quic_conn_start_client(conn, old, now);
    }
    conn->tls_vtable->destroy(old); /* after the new one, which is made from its configuration */
    if (rc != QUIC_OK) {
        quic_conn_fail(conn, rc, 0, "memory", now);
        return;
    }
    conn->env->counters->version_restarts++;
    quic_conn_mark_dirty(conn);
}

/* RFC 9000 6.2, RFC 9368 2.1, 4: it counts only as the first answer to the first try, and only without
 * the version that was tried. */
void quic_conn_recv_version_negotiation(quic_conn *conn, const quic_long_header *h, quic_ns now)
{
    if (conn->role != QUIC_CLIENT || conn->authentic || conn->retry_used ||
        conn->version.restarted || !quic_conn_is_open(conn) ||
        !quic_cid_is(&conn->initial_scid, h->dcid, h->dcid_len) ||
        !quic_cid_is(&conn->original_dcid, h->scid, h->scid_len)) {
        conn->env->counters->drop_malformed++;
        return;
    }
    uint32_t versions = 0;
    for (uint32_t i = 0; i < h->version_count; i++) {
        uint32_t version = quic_header_vn_version(h, i);
        if (version == conn->version.chosen) {
            conn->env->counters->drop_malformed++;
            return;
        }
        versions |= quic_version_bit(version);
    }
    uint32_t version = pick(conn, versions);
    if (version == 0 || conn->external) { /* only the application can make another ClientHello */
        quic_conn_end_silently(conn, QURING_CLOSE_VERSION, version, now);
        return;
    }
    begin_again(conn, version, now);
}

/* ---- what the peer says ---------------------------------------------------------------------------------- */

quic_rc quic_conn_version_check(const quic_conn *conn, const quic_transport_params *p)
{
    static const quic_version_info only_version_1 = {
        .chosen = QUIC_VERSION_1, .available_count = 1, .available = {QUIC_VERSION_1}};
    const quic_conn_version *v = &conn->version;
    const quic_version_info *info = &p->version_info;
    if (!p->has_version_info) {
        if (conn->role == QUIC_SERVER || (!v->restarted && v->current == v->chosen)) {
            return QUIC_OK;
        }
        if (!v->restarted || v->chosen != QUIC_VERSION_1) {
            return QUIC_V_VERSION_NEGOTIATION;
        }
        info = &only_version_1; /* RFC 9368 8: a server from before there was that parameter */
    }
    if (conn->role == QUIC_SERVER) {
        return info->chosen == v->chosen ? QUIC_OK : QUIC_V_VERSION_NEGOTIATION;
    }
    /* What was switched to was one of ours, so that equality is enough. */
    if (info->chosen != v->current) {
        return QUIC_V_VERSION_NEGOTIATION;
    }
    if (!v->restarted) {
        return QUIC_OK;
    }
    /* Would we have begun like this, had we known what the server speaks? If not, or if it speaks what
     * we tried first, somebody forged the Version Negotiation packet. */
    uint32_t versions = quic_version_bit(v->current);
    for (uint32_t i = 0; i < info->available_count; i++) {
        versions |= quic_version_bit(info->available[i]);
    }
    bool genuine = info->available_count > 0 && pick(conn, versions) == v->chosen &&
                   (versions & quic_version_bit(v->original)) == 0;
    return genuine ? QUIC_OK : QUIC_V_VERSION_NEGOTIATION;
}

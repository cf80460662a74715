/* How we move: a client on its own account (RFC 9000 9.2) or to the server's preferred address (9.6), and
 * the server that is met there. The new path is proved first, with a connection ID of its own (9.5); only
 * then everything else follows. */
#include "quic/conn/conn_paths.h"
#include "quic/crypto/reset_token.h"

#define PREFERRED_SEQ 1u /* RFC 9000 5.1.1 */

/* ---- the preferred address: what is offered ------------------------------------------------------- */

void quic_conn_free_preferred(quic_conn *conn)
{
    quic_mem_free(&conn->mem, conn->preferred,
                  conn->preferred == NULL ? 0 : sizeof(*conn->preferred));
    conn->preferred = NULL;
}

quic_rc quic_conn_offer_preferred(quic_conn *conn, const quic_addr *v4, const quic_addr *v6)
{
    quic_conn_env *env = conn->env;
    if (v4->family == 0 && v6->family == 0) {
        return QUIC_OK;
    }
    quic_preferred_address *offer = quic_mem_zalloc(&conn->mem, sizeof(*offer));
    if (offer == NULL) {
        return QUIC_E_NOMEM;
    }
    conn->preferred = offer;
    offer->v4 = *v4;
    offer->v6 = *v6;
    quic_conn_env_make_cid(env, &offer->cid, true);
    quic_rc rc = quic_conn_register_cid(conn, offer->cid.bytes, offer->cid.len);
    if (rc != QUIC_OK) {
        quic_conn_free_preferred(conn);
        return rc;
    }
    const quic_cid_local_entry *entry =
        quic_cid_local_add(&conn->cids_local, offer->cid.bytes, false);
    QURING_ASSERT(entry != NULL && entry->seq == PREFERRED_SEQ);
    quic_reset_token(&env->reset_key, offer->reset_token, offer->cid.bytes, offer->cid.len);
    conn->gave_preferred = true;
    return QUIC_OK;
}

quic_rc quic_conn_take_preferred(quic_conn *conn, const quic_preferred_address *offer)
{
    quic_cid_peer_change change;
    if (quic_cid_peer_on_new(&conn->cids_peer, &change, PREFERRED_SEQ, 0, &offer->cid,
                             offer->reset_token) != QUIC_OK) {
        return QUIC_V_TRANSPORT_PARAMETER; /* RFC 9000 18.2: no connection ID to go there with */
    }
    if (conn->limits.ignore_preferred_address) {
        return QUIC_OK;
    }
    conn->preferred = quic_mem_alloc(&conn->mem, sizeof(*conn->preferred));
    if (conn->preferred == NULL) {
        return QUIC_E_NOMEM;
    }
    *conn->preferred = *offer;
    return QUIC_OK;
}

/* RFC 9000 21.5: a server must not send its clients just anywhere, nor hide it in an IPv4-mapped address. */
static bool is_fit(const quic_addr *addr, const quic_addr *present)
{
    static const uint8_t loopback6[16] = {[15] = 1};
    static const uint8_t zero[16];
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool six = addr->family == 6;
    bool loopback = six ? memcmp(addr->ip, loopback6, sizeof(loopback6)) == 0 : addr->ip[0] == 127;
    bool group = six ? addr->ip[0] == 0xff || memcmp(addr->ip, mapped, sizeof(mapped)) == 0
                     : addr->ip[0] >= 224;
    bool here = present->family == 6 ? memcmp(present->ip, loopback6, sizeof(loopback6)) == 0
                                     : present->ip[0] == 127;
    return addr->family != 0 && addr->port != 0 && memcmp(addr->ip, zero, sizeof(zero)) != 0 &&
           !group && (!loopback || here) && !quic_addr_equal(addr, present);
}

/* The preferred address of `family`, NULL: there is none that may be tried. */
static const quic_addr *preferred_of(const quic_conn *conn, uint8_t family)
{
    if (conn->preferred == NULL || conn->role != QUIC_CLIENT) {
        return NULL;
    }
    const quic_addr *addr = family == 6 ? &conn->preferred->v6 : &conn->preferred->v4;
    return is_fit(addr, &conn->path.addr.remote) ? addr : NULL;
}

/* ---- trials --------------------------------------------------------------------------------------- */

static quic_rc start_trial(quic_conn *conn, const quic_path_addr *to, const quic_addr *remote,
                           bool preferred, bool asked, quic_ns now)
{
    if (quic_conn_move_get(conn) == NULL) {
        return QUIC_E_NOMEM;
    }
    uint64_t seq = quic_conn_claim_cid(conn);
    quic_side_path *side = seq != QUIC_SEQ_NONE ? quic_conn_side_slot(conn) : NULL;
    if (side == NULL) {
        quic_conn_release_cid(conn, seq);
        quic_conn_move_settle(conn);
        return QUIC_E_LIMIT;
    }
    quic_path_addr addr = *to;
    addr.remote = *remote;
    memset(side, 0, sizeof(*side));
    quic_path_init(&side->path, &addr, false, QUIC_MIN_INITIAL_LEN);
    side->kind = QUIC_SIDE_TRIAL;
    side->tx_seq = seq;
    side->until_ns = QUIC_NS_NEVER;
    side->preferred = preferred;
    side->asked = asked;
    quic_validate_start(&side->validate, quic_conn_validate_pto(conn), now);
    quic_conn_mark_dirty(conn);
    return QUIC_OK;
}

static quic_side_path *find_trial(const quic_conn *conn, bool preferred)
{
    for (uint32_t i = 0; conn->move != NULL && i < QUIC_SIDE_PATHS_MAX; i++) {
        quic_side_path *side = &conn->move->side[i];
        if (side->kind == QUIC_SIDE_TRIAL && side->preferred == preferred) {
            return side;
        }
    }
    return NULL;
}

static void drop_trials(quic_conn *conn)
{
    quic_side_path *side;
    while ((side = quic_conn_side_of(conn, QUIC_SIDE_TRIAL)) != NULL) {
        quic_conn_side_free(conn, side);
    }
}

/* `side` is proved and becomes the path in use. What is still on its way on the old one is taken for a
 * while; the old connection ID is never used again (RFC 9000 9.5). */
static void move_to(quic_conn *conn, quic_side_path *side, quic_ns now)
{
    const quic_side_path next = *side;
    const quic_path old = conn->path;
    uint64_t old_seq = quic_cid_peer_current_seq(&conn->cids_peer);
    side->kind = QUIC_SIDE_LEFT;
    side->path = old;
    side->tx_seq = QUIC_SEQ_NONE;
    side->until_ns = now + QUIC_PATH_TIMEOUT_PTOS * quic_conn_validate_pto(conn);
    quic_validate_init(&side->validate);
    quic_validate_cancel(&conn->move->validate);
    quic_conn_path_use(conn, &next.path, next.tx_seq, next.rx_cid);
    conn->path.validated = true;
    quic_side_path *fallback = quic_conn_side_of(conn, QUIC_SIDE_FALLBACK);
    if (fallback != NULL) {
        quic_conn_side_free(conn, fallback);
    }
    quic_conn_release_cid(conn, old_seq);
    if (quic_conn_same_host(&old, &conn->path)) {
        conn->recovery.pto_count = 0; /* what the old path kept waiting goes on at once */
    } else {
        quic_conn_measures_reset(conn, now); /* RFC 9000 9.4 */
    }
    conn->move->has_saved = false;
    /* The other end follows the first packet that is no probe, whatever the window says. */
    conn->spaces[QUIC_SPACE_APP].probes = 1;
    conn->spaces[QUIC_SPACE_APP].ping = true;
    conn->env->counters->migrations++;
    quic_conn_path_changed(conn);
    quic_conn_mark_dirty(conn);
}

void quic_conn_trial_proved(quic_conn *conn, quic_side_path *side, quic_ns now)
{
    if (conn->role == QUIC_SERVER) {
        conn->at_preferred = !conn->at_preferred;
        move_to(conn, side, now);
        return;
    }
    if (!side->preferred && find_trial(conn, true) != NULL) {
        return; /* RFC 9000 9.6.3: the preferred address decides first */
    }
    bool preferred = side->preferred;
    move_to(conn, side, now);
    drop_trials(conn);
    conn->at_preferred = conn->at_preferred || preferred;
    quic_conn_free_preferred(conn);
}

void quic_conn_trial_failed(quic_conn *conn, quic_side_path *side, quic_ns now)
{
    bool asked = side->asked;
    bool preferred = side->preferred;
    if (conn->role == QUIC_SERVER) {
        /* The next packet from there begins another trial, for which its connection ID is kept: no other can
         * be asked for while the peer does not hear us. */
        side->kind = QUIC_SIDE_PROBED;
        side->until_ns = now + QUIC_PATH_TIMEOUT_PTOS * quic_conn_validate_pto(conn);
        return;
    }
    quic_conn_side_free(conn, side);
    if (preferred) {
        quic_conn_free_preferred(
            conn); /* RFC 9000 9.6.1: then it stays with the address it knows */
    }
    quic_side_path *other = find_trial(conn, !preferred);
    if (other != NULL && other->path.validated && !quic_validate_is_active(&other->validate)) {
        quic_conn_trial_proved(conn, other, now);
    } else if (other == NULL && asked) {
        quic_conn_raise(conn, QUIC_CONN_EV_PATH_FAILED);
    }
}

/* ---- a client goes to the preferred address ------------------------------------------------------- */

void quic_conn_try_preferred(quic_conn *conn, quic_ns now)
{
    if (conn->preferred == NULL) {
        return;
    }
    uint8_t family = conn->path.addr.remote.family;
    const quic_addr *addr = preferred_of(conn, family);
    if (addr != NULL) {
        if (start_trial(conn, &conn->path.addr, addr, true, false, now) != QUIC_OK) {
            quic_conn_free_preferred(conn);
        }
    } else if (preferred_of(conn, family == 6 ? 4 : 6) != NULL) {
        quic_conn_raise(conn, QUIC_CONN_EV_WANT_SOCKET);
    } else {
        quic_conn_free_preferred(conn);
    }
}

void quic_conn_give_socket(quic_conn *conn, const quic_path_addr *at)
{
    if (!quic_conn_is_open(conn) || find_trial(conn, true) != NULL) {
        return;
    }
    const quic_addr *addr = at != NULL ? preferred_of(conn, at->local.family) : NULL;
    if (addr == NULL || start_trial(conn, at, addr, true, false, conn->env->now) != QUIC_OK) {
        quic_conn_free_preferred(conn);
    }
}

/* ---- a client moves ------------------------------------------------------------------------------- */

static bool may_keep_remote(const quic_conn *conn, uint8_t family)
{
    return family == conn->path.addr.remote.family &&
           (!conn->peer_forbids_moves || conn->at_preferred); /* RFC 9000 18.2 */
}

quic_rc quic_conn_may_migrate(const quic_conn *conn, uint8_t family)
{
    if (conn->role != QUIC_CLIENT || conn->state != QUIC_CONN_ESTABLISHED ||
        !conn->handshake_confirmed) {
        return QUIC_E_STATE;
    }
    const quic_side_path *trial = quic_conn_side_of(conn, QUIC_SIDE_TRIAL);
    if (trial != NULL && trial->asked) {
        return QUIC_E_AGAIN;
    }
    if (preferred_of(conn, family) == NULL && !may_keep_remote(conn, family)) {
        return family == conn->path.addr.remote.family ? QUIC_E_FORBIDDEN : QUIC_E_INVAL;
    }
    return quic_cid_peer_spare(&conn->cids_peer) != NULL ? QUIC_OK : QUIC_E_LIMIT;
}

quic_rc quic_conn_migrate(quic_conn *conn, const quic_path_addr *to)
{
    quic_rc rc = quic_conn_may_migrate(conn, to->local.family);
    if (rc != QUIC_OK) {
        return rc;
    }
    if (to->socket == conn->path.addr.socket) {
        return QUIC_E_INVAL;
    }
    quic_ns now = conn->env->now;
    const quic_addr remote = conn->path.addr.remote;
    const quic_addr *preferred = preferred_of(conn, to->local.family);
    drop_trials(conn); /* of the preferred address, from where we do not want to stay */
    rc = QUIC_E_LIMIT;
    if (may_keep_remote(conn, to->local.family)) {
        rc = start_trial(conn, to, &remote, false, true, now);
    }
    /* RFC 9000 9.6.3: both at a time, where there are connection IDs for it */
    if (preferred != NULL && start_trial(conn, to, preferred, true, true, now) == QUIC_OK) {
        rc = QUIC_OK;
    } else if (rc == QUIC_OK) {
        quic_conn_free_preferred(conn);
    }
    return rc;
}

uint32_t quic_conn_sockets(const quic_conn *conn, uint32_t out[QUIC_CONN_PATHS_MAX])
{
    uint32_t count = 0;
    out[count++] = conn->path.addr.socket;
    for (uint32_t i = 0; conn->move != NULL && i < QUIC_SIDE_PATHS_MAX; i++) {
        if (conn->move->side[i].kind != QUIC_SIDE_FREE) {
            out[count++] = conn->move->side[i].path.addr.socket;
        }
    }
    return count;
}

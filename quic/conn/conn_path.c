/* The paths a connection knows: which one a datagram came on, whose connection ID each has, and what it
 * takes to change from one to another (RFC 9000 9). Who moves is decided in conn_follow.c and
 * conn_migrate.c. */
#include "quic/base/bytes.h"
#include "quic/conn/conn_paths.h"
/* ---- in ------------------------------------------------------------------------------------------- */

static bool is_unspecified(const quic_addr *addr)
{
    static const uint8_t zero[sizeof(addr->ip)];
    return memcmp(addr->ip, zero, sizeof(zero)) == 0;
}

/* A client listens to its server at the addresses it sends to, or sent to a moment ago. */
static bool knows_remote(const quic_conn *conn, const quic_addr *remote)
{
    if (quic_addr_equal(remote, &conn->path.addr.remote)) {
        return true;
    }
    for (uint32_t i = 0; conn->move != NULL && i < QUIC_SIDE_PATHS_MAX; i++) {
        const quic_side_path *side = &conn->move->side[i];
        if (side->kind != QUIC_SIDE_FREE && quic_addr_equal(remote, &side->path.addr.remote)) {
            return true;
        }
    }
    return false;
}

/* A server: nobody moves before the handshake is confirmed (RFC 9000 9); it is met at another address of
 * its own only where it offered one (9.6); and who was told not to move may still have been moved by a
 * NAT, which does not change the connection ID (18.2). */
static bool may_come_from(quic_conn *conn, const quic_path_addr *from, const uint8_t *dcid)
{
    if (!conn->handshake_confirmed || dcid == NULL) {
        return false;
    }
    conn->rx_cid = quic_cid_local_tag(&conn->cids_local, dcid);
    if (from->socket != conn->path.addr.socket) {
        return conn->gave_preferred;
    }
    return !conn->limits.disable_active_migration || conn->at_preferred ||
           conn->rx_cid == conn->path_rx_cid || quic_conn_side_find(conn, from) != NULL;
}

static bool take_from_elsewhere(quic_conn *conn, uint64_t bytes, const quic_path_addr *from,
                                const uint8_t *dcid)
{
    if (conn->role == QUIC_CLIENT && !conn->authentic && is_unspecified(&conn->path.addr.remote) &&
        from->remote.port == conn->path.addr.remote.port) {
        conn->path.addr.remote = from->remote; /* "this host": the answer tells its address */
        conn->rx_other_path = false;
        quic_path_on_recv(&conn->path, bytes);
        return true;
    }
    if (conn->role == QUIC_CLIENT ? !knows_remote(conn, &from->remote)
                                  : !may_come_from(conn, from, dcid)) {
        conn->rx_from = NULL;
        conn->rx_other_path = false;
        return false;
    }
    quic_side_path *side = quic_conn_side_find(conn, from);
    if (side != NULL) {
        quic_path_on_recv(&side->path, bytes);
    }
    return true;
}

bool quic_conn_recv_datagrams(quic_conn *conn, uint64_t bytes, const quic_path_addr *from,
                              const uint8_t *dcid)
{
    conn->rx_from = from;
    conn->rx_bytes = (uint32_t)bytes;
    conn->rx_other_path = !quic_path_addr_same(from, &conn->path.addr);
    if (QUIC_UNLIKELY(conn->rx_other_path)) {
        if (!take_from_elsewhere(conn, bytes, from, dcid)) {
            return false;
        }
    } else {
        quic_path_on_recv(&conn->path, bytes);
        if (QUIC_LIKELY(dcid != NULL)) {
            conn->path_rx_cid = quic_cid_local_tag(&conn->cids_local, dcid);
        }
    }
    conn->bytes_recv += bytes;
    return true;
}

/* RFC 9000 8.2.2: the answer goes where the challenge came from, and nowhere else. */
void quic_conn_on_path_challenge(quic_conn *conn, const uint8_t data[QUIC_PATH_DATA_LEN],
                                 quic_ns now)
{
    if (!conn->rx_other_path) {
        quic_path_on_challenge(&conn->path, data);
        conn->pending |= QUIC_PEND_PATH_RESPONSE;
        return;
    }
    quic_side_path *side = conn->role == QUIC_SERVER ? quic_conn_side_of_rx(conn, now)
                                                     : quic_conn_side_find(conn, conn->rx_from);
    if (side != NULL && side->tx_seq != QUIC_SEQ_NONE) {
        quic_path_on_challenge(&side->path, data);
        quic_conn_mark_dirty(conn);
    }
}

/* RFC 9000 8.2.3: it proves the path its challenge went to, whatever path it came on. */
quic_rc quic_conn_on_path_response(quic_conn *conn, const uint8_t data[QUIC_PATH_DATA_LEN],
                                   quic_ns now)
{
    quic_conn_move *move = conn->move;
    if (move == NULL) {
        /* RFC 9000 19.18: an answer to a challenge of a validation that is over, or to none; the error
         * it allows would let a late answer end a connection */
        quic_glitch_note(&conn->glitch, QUIC_GLITCH_WRONG_RESPONSE);
        return QUIC_OK;
    }
    quic_validate_fact fact = quic_validate_on_response(&move->validate, data, now);
    if (fact == QUIC_VALIDATE_FACT_ADDRESS || fact == QUIC_VALIDATE_FACT_DONE) {
        quic_conn_on_path_proved(conn, fact == QUIC_VALIDATE_FACT_DONE, now);
    }
    for (uint32_t i = 0; fact == QUIC_VALIDATE_FACT_UNKNOWN && i < QUIC_SIDE_PATHS_MAX; i++) {
        quic_side_path *side = &move->side[i];
        if (side->kind == QUIC_SIDE_FREE) {
            continue;
        }
        fact = quic_validate_on_response(&side->validate, data, now);
        if (fact == QUIC_VALIDATE_FACT_ADDRESS || fact == QUIC_VALIDATE_FACT_DONE) {
            side->path.validated = true;
        }
        if (fact == QUIC_VALIDATE_FACT_DONE && side->kind == QUIC_SIDE_TRIAL) {
            quic_conn_trial_proved(conn, side, now);
        }
    }
    if (fact == QUIC_VALIDATE_FACT_UNKNOWN || fact == QUIC_VALIDATE_FACT_NONE) {
        quic_glitch_note(&conn->glitch, 1); /* late, or again: a peer that moves much has many */
    }
    quic_conn_mark_dirty(conn);
    quic_conn_move_settle(conn);
    return QUIC_OK;
}

/* ---- the table ------------------------------------------------------------------------------------ */

quic_conn_move *quic_conn_move_get(quic_conn *conn)
{
    if (conn->move == NULL) {
        conn->move = quic_mem_zalloc(&conn->mem, sizeof(*conn->move));
        if (conn->move != NULL) {
            quic_validate_init(&conn->move->validate);
        }
    }
    return conn->move;
}

void quic_conn_free_move(quic_conn *conn)
{
    quic_mem_free(&conn->mem, conn->move, conn->move == NULL ? 0 : sizeof(*conn->move));
    conn->move = NULL;
}

void quic_conn_move_settle(quic_conn *conn)
{
    if (conn->move == NULL || quic_validate_is_active(&conn->move->validate)) {
        return;
    }
    for (uint32_t i = 0; i < QUIC_SIDE_PATHS_MAX; i++) {
        if (conn->move->side[i].kind != QUIC_SIDE_FREE) {
            return;
        }
    }
    quic_conn_free_move(conn);
}

quic_side_path *quic_conn_side_find(const quic_conn *conn, const quic_path_addr *addr)
{
    for (uint32_t i = 0; conn->move != NULL && i < QUIC_SIDE_PATHS_MAX; i++) {
        quic_side_path *side = &conn->move->side[i];
        if (side->kind != QUIC_SIDE_FREE && quic_path_addr_same(&side->path.addr, addr)) {
            return side;
        }
    }
    return NULL;
}

quic_side_path *quic_conn_side_of(const quic_conn *conn, quic_side_kind kind)
{
    for (uint32_t i = 0; conn->move != NULL && i < QUIC_SIDE_PATHS_MAX; i++) {
        if (conn->move->side[i].kind == kind) {
            return &conn->move->side[i];
        }
    }
    return NULL;
}

quic_side_path *quic_conn_side_slot(quic_conn *conn)
{
    quic_side_path *oldest = NULL;
    for (uint32_t i = 0; i < QUIC_SIDE_PATHS_MAX; i++) {
        quic_side_path *side = &conn->move->side[i];
        if (side->kind == QUIC_SIDE_FREE) {
            return side;
        }
        if ((side->kind == QUIC_SIDE_PROBED || side->kind == QUIC_SIDE_LEFT) &&
            (oldest == NULL || side->until_ns < oldest->until_ns)) {
            oldest = side;
        }
    }
    if (oldest != NULL) {
        quic_conn_side_free(conn, oldest);
    }
    return oldest;
}

void quic_conn_side_free(quic_conn *conn, quic_side_path *side)
{
    uint64_t seq = side->tx_seq;
    memset(side, 0, sizeof(*side));
    side->tx_seq = QUIC_SEQ_NONE;
    quic_conn_release_cid(conn, seq);
}

void quic_conn_release_cid(quic_conn *conn, uint64_t seq)
{
    quic_cid_peer_entry gone;
    if (seq == QUIC_SEQ_NONE || seq == quic_cid_peer_current_seq(&conn->cids_peer)) {
        return;
    }
    for (uint32_t i = 0; conn->move != NULL && i < QUIC_SIDE_PATHS_MAX; i++) {
        if (conn->move->side[i].kind != QUIC_SIDE_FREE && conn->move->side[i].tx_seq == seq) {
            return;
        }
    }
    if (quic_cid_peer_give_back(&conn->cids_peer, seq, &gone)) {
        if (gone.has_token) {
            quic_conn_forget_reset_token(conn, gone.reset_token);
        }
        conn->pending |= QUIC_PEND_RETIRE_CID;
        quic_conn_mark_dirty(conn);
    }
}

/* None is left for another path: a path that was only waited for gives its own back, so that the peer
 * issues one. */
static void give_up_fallback(quic_conn *conn)
{
    quic_side_path *side = quic_conn_side_of(conn, QUIC_SIDE_FALLBACK);
    if (side != NULL && conn->path.validated && side->until_ns != QUIC_NS_NEVER &&
        side->tx_seq != QUIC_SEQ_NONE &&
        side->tx_seq != quic_cid_peer_current_seq(&conn->cids_peer)) {
        quic_conn_side_free(conn, side);
    }
}

uint64_t quic_conn_claim_cid(quic_conn *conn)
{
    const quic_cid_peer_entry *entry = quic_cid_peer_reserve(&conn->cids_peer);
    if (entry == NULL) {
        give_up_fallback(conn);
        return QUIC_SEQ_NONE;
    }
    if (entry->has_token) { /* RFC 9000 10.3.1: of connection IDs in use */
        quic_conn_learn_reset_token(conn, entry->reset_token);
    }
    return entry->seq;
}

void quic_conn_rekey_paths(quic_conn *conn, uint64_t current_before, quic_ns now)
{
    uint64_t current = quic_cid_peer_current_seq(&conn->cids_peer);
    for (uint32_t i = 0; conn->move != NULL && i < QUIC_SIDE_PATHS_MAX; i++) {
        quic_side_path *side = &conn->move->side[i];
        if (side->kind == QUIC_SIDE_FREE || side->tx_seq == QUIC_SEQ_NONE ||
            quic_cid_peer_find(&conn->cids_peer, side->tx_seq) != NULL) {
            continue;
        }
        side->tx_seq = side->tx_seq == current_before ? current : quic_conn_claim_cid(conn);
        if (side->tx_seq != QUIC_SEQ_NONE) {
            continue;
        }
        if (side->kind == QUIC_SIDE_TRIAL) {
            quic_conn_trial_failed(conn, side, now);
        } else if (side->kind == QUIC_SIDE_PROBED) {
            quic_conn_side_free(conn, side);
        }
    }
    quic_conn_move_settle(conn);
}

quic_ns quic_conn_validate_pto(const quic_conn *conn)
{
    quic_ns pto = quic_recovery_pto_ns(&conn->recovery, QUIC_SPACE_APP);
    quic_ns unknown = 3 * QUIC_INITIAL_RTT_NS;
    return pto > unknown ? pto : unknown;
}

const quic_path *quic_conn_proved_path(const quic_conn *conn)
{
    const quic_side_path *fallback =
        conn->path.validated ? NULL : quic_conn_side_of(conn, QUIC_SIDE_FALLBACK);
    return fallback != NULL ? &fallback->path : &conn->path;
}

void quic_conn_path_changed(quic_conn *conn)
{
    conn->path_changes++;
    quic_conn_give_tokens(conn, 1); /* RFC 9000 8.1.3: the old ones are for another address */
    quic_conn_raise(conn, QUIC_CONN_EV_PATH_CHANGED);
}

/* ---- from one path to another ------------------------------------------------------------------------ */

void quic_conn_path_use(quic_conn *conn, const quic_path *path, uint64_t tx_seq, uint64_t rx_cid)
{
    conn->path = *path;
    conn->path.udp_payload_bytes = conn->mtu.current;
    conn->path_rx_cid = rx_cid;
    if (tx_seq == QUIC_SEQ_NONE || !quic_cid_peer_use(&conn->cids_peer, tx_seq)) {
        tx_seq =
            quic_conn_claim_cid(conn); /* its own was retired; one for two is the last resort */
        (void)(tx_seq != QUIC_SEQ_NONE && quic_cid_peer_use(&conn->cids_peer, tx_seq));
    }
    if (conn->path.response_count > 0) {
        conn->pending |= QUIC_PEND_PATH_RESPONSE;
    }
    quic_conn_mark_dirty(conn);
}

static bool same_ip(const quic_addr *a, const quic_addr *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool quic_conn_same_host(const quic_path *a, const quic_path *b)
{
    return same_ip(&a->addr.remote, &b->addr.remote) && same_ip(&a->addr.local, &b->addr.local);
}

/* Ours were for the path that was (draft-ietf-quic-ack-frequency 8.4). */
static void ask_anew(quic_conn *conn)
{
    if (conn->ack_freq != NULL) {
        conn->ack_freq->window_bytes = UINT64_MAX;
    }
}

void quic_conn_measures_reset(quic_conn *conn, quic_ns now)
{
    ask_anew(conn);
    quic_recovery_on_new_path(&conn->recovery, now);
    quic_cc_reset(&conn->cc);
    quic_pacer_init(&conn->pacer, conn->env->pacing, QUIC_MIN_INITIAL_LEN, now);
    quic_pacer_know_burst(&conn->pacer, conn->limits.burst_bytes, QUIC_MIN_INITIAL_LEN);
    quic_ecn_restart(&conn->ecn);
    quic_conn_start_mtu(conn, now);
}

void quic_conn_measures_save(quic_conn *conn)
{
    conn->move->has_saved = true;
    conn->move->saved = (quic_path_measures){
        .cc = conn->cc, .rtt = conn->recovery.rtt, .pacer = conn->pacer, .mtu = conn->mtu};
}

void quic_conn_measures_restore(quic_conn *conn, quic_ns now)
{
    const quic_path_measures *saved = &conn->move->saved;
    conn->move->has_saved = false;
    ask_anew(conn);
    quic_recovery_on_old_path(&conn->recovery, &saved->rtt, now);
    conn->cc = saved->cc;
    conn->pacer = saved->pacer;
    conn->mtu = saved->mtu;
    quic_mtu_resume(&conn->mtu, now);
    quic_ecn_restart(&conn->ecn);
    conn->path.udp_payload_bytes = conn->mtu.current;
}

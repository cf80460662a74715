/* A peer that moves: its new address is used at once within the 3x limit, proved by a challenge, and
 * given up again when the proof fails; then everything is as it was on the path before (RFC 9000 9.3). */
#include "quic/conn/conn_paths.h"

/* The peer's connection ID for the path of the packet being taken: the one in use where the peer kept to
 * its own, too, otherwise another (RFC 9000 9.5). QUIC_SEQ_NONE: it has given us none. */
static uint64_t cid_for_rx(quic_conn *conn)
{
    if (conn->cids_peer.zero_length || conn->rx_cid == conn->path_rx_cid) {
        return quic_cid_peer_current_seq(&conn->cids_peer);
    }
    for (uint32_t i = 0; i < QUIC_SIDE_PATHS_MAX; i++) {
        const quic_side_path *side = &conn->move->side[i];
        if (side->kind != QUIC_SIDE_FREE && side->rx_cid == conn->rx_cid &&
            side->tx_seq != QUIC_SEQ_NONE) {
            return side->tx_seq; /* a NAT moved a peer that is on the move */
        }
    }
    return quic_conn_claim_cid(conn);
}

/* Each answer of a peer behind a NAT that shows another port to every packet comes from yet another path:
 * without a pause between challenges the two would keep each other busy for ever. */
static bool must_pause(const quic_conn *conn, quic_ns now)
{
    return conn->move->challenges >= QUIC_CHALLENGES_MAX && now < conn->move->challenge_until;
}

static void start_validation(quic_conn *conn, quic_validate *v, quic_ns now)
{
    quic_validate_start(v, quic_conn_validate_pto(conn), now);
    if (must_pause(conn, now)) {
        v->next_ns = conn->move->challenge_until;
    }
}

quic_side_path *quic_conn_side_of_rx(quic_conn *conn, quic_ns now)
{
    if (quic_conn_move_get(conn) == NULL) {
        return NULL;
    }
    quic_side_path *side = quic_conn_side_find(conn, conn->rx_from);
    if (side != NULL) {
        return side;
    }
    side = quic_conn_side_slot(conn); /* first: it may give up a connection ID that is shared */
    uint64_t tx_seq = side != NULL ? cid_for_rx(conn) : QUIC_SEQ_NONE;
    if (tx_seq == QUIC_SEQ_NONE) {
        quic_conn_move_settle(conn);
        return NULL;
    }
    memset(side, 0, sizeof(*side));
    quic_path_init(&side->path, conn->rx_from, false, QUIC_MIN_INITIAL_LEN);
    quic_path_on_recv(&side->path, conn->rx_bytes);
    side->kind = QUIC_SIDE_PROBED;
    side->tx_seq = tx_seq;
    side->rx_cid = conn->rx_cid;
    /* RFC 9000 9.6.3 asks for it, and it spares a peer that comes the time under the limit. */
    start_validation(conn, &side->validate, now);
    side->until_ns = now + 2 * QUIC_PATH_TIMEOUT_PTOS * quic_conn_validate_pto(conn);
    quic_conn_mark_dirty(conn);
    return side;
}

/* The path in use is proved: the one before is forgotten, and its connection ID retired (RFC 9000 9.5), but
 * not at once. Packets with it are still on their way, and a peer may take them for a violation once it was
 * retired; and when both have one connection ID, somebody may have copied packets and passes on the
 * answers, and the real peer is heard of again. */
static void release_fallback(quic_conn *conn, quic_ns now)
{
    quic_side_path *fallback = quic_conn_side_of(conn, QUIC_SIDE_FALLBACK);
    if (fallback == NULL) {
        return;
    }
    fallback->until_ns = now + QUIC_PATH_TIMEOUT_PTOS * quic_conn_validate_pto(conn);
}

void quic_conn_on_path_proved(quic_conn *conn, bool size_too, quic_ns now)
{
    if (!conn->path.validated) {
        conn->path.validated = true;
        quic_conn_path_changed(conn);
    }
    if (size_too) {
        release_fallback(conn, now);
    }
}

/* RFC 9000 9.4: the measures belong to the host, and so the fallback's are kept from where they end. */
static void change_measures(quic_conn *conn, const quic_path *from, const quic_path *to, bool back,
                            quic_ns now)
{
    quic_conn_move *move = conn->move;
    if (quic_conn_same_host(from, to)) {
        return;
    }
    const quic_side_path *fallback = quic_conn_side_of(conn, QUIC_SIDE_FALLBACK);
    if (move->has_saved &&
        (back || (fallback != NULL && quic_conn_same_host(to, &fallback->path)))) {
        quic_conn_measures_restore(conn, now);
        return;
    }
    if (!move->has_saved && fallback != NULL && quic_conn_same_host(from, &fallback->path)) {
        quic_conn_measures_save(conn);
    }
    quic_conn_measures_reset(conn, now);
}

/* The path in use and `side` change places. A path that was never proved is no place to come back to,
 * and who has come back needs none. */
static void change_to(quic_conn *conn, quic_side_path *side, quic_ns now)
{
    quic_conn_move *move = conn->move;
    quic_side_path next = *side;
    bool back = next.kind == QUIC_SIDE_FALLBACK;
    quic_side_path old = {.path = conn->path,
                          .kind = QUIC_SIDE_FALLBACK,
                          .until_ns = QUIC_NS_NEVER,
                          .tx_seq = quic_cid_peer_current_seq(&conn->cids_peer),
                          .rx_cid = conn->path_rx_cid};
    side->kind = QUIC_SIDE_FREE;
    quic_conn_path_use(conn, &next.path, next.tx_seq, next.rx_cid);
    move->validate = next.validate;
    if (back || !old.path.validated) {
        quic_conn_release_cid(conn, old.tx_seq);
    } else {
        quic_side_path *before = quic_conn_side_of(conn, QUIC_SIDE_FALLBACK);
        *side = old;
        if (before != NULL) {
            quic_conn_side_free(conn, before);
        }
        move->has_saved = false;
        /* RFC 9000 9.3.3: if somebody only copied the peer's packets, the peer answers from there */
        if (!must_pause(conn, now)) {
            quic_validate_start(&side->validate, quic_conn_validate_pto(conn), now);
        } else {
            quic_validate_init(&side->validate);
        }
    }
    change_measures(conn, &old.path, &conn->path, back, now);
    if (back) {
        move->has_saved = false;
        quic_validate_cancel(&move->validate);
        if (old.path.validated) {
            quic_conn_path_changed(conn);
        }
    } else if (!conn->path.validated && !quic_validate_is_active(&move->validate)) {
        start_validation(conn, &move->validate, now);
    } else if (conn->path.validated) {
        quic_conn_path_changed(conn);
        if (!quic_validate_is_active(&move->validate)) {
            release_fallback(conn, now);
        }
    }
    quic_conn_mark_dirty(conn);
}

void quic_conn_follow_peer(quic_conn *conn, quic_ns now)
{
    quic_side_path *side = conn->role == QUIC_SERVER ? quic_conn_side_of_rx(conn, now) : NULL;
    if (side == NULL || side->kind == QUIC_SIDE_LEFT) {
        return; /* RFC 9000 9.5: without a connection ID nobody can be followed */
    }
    if (side->path.addr.socket != conn->path.addr.socket) {
        /* RFC 9000 9.6.2: to our preferred address only when it is proved; again, if all challenges or
         * answers were lost: the peer may not hear us where we are any more */
        if (!side->path.validated && !quic_validate_is_active(&side->validate)) {
            start_validation(conn, &side->validate, now);
        }
        side->kind = QUIC_SIDE_TRIAL;
        if (side->path.validated && !quic_validate_is_active(&side->validate)) {
            quic_conn_trial_proved(conn, side, now);
        }
    } else {
        conn->env->counters->path_changes++;
        change_to(conn, side, now);
    }
    conn->rx_other_path = !quic_path_addr_same(conn->rx_from, &conn->path.addr);
    quic_conn_move_settle(conn);
}

/* RFC 9000 9.3.2: back to the last address that was proved. */
void quic_conn_on_path_unproved(quic_conn *conn, quic_ns now)
{
    quic_side_path *fallback = quic_conn_side_of(conn, QUIC_SIDE_FALLBACK);
    if (fallback != NULL) {
        change_to(conn, fallback, now);
    } else if (!conn->path.validated) {
        quic_conn_end_silently(conn, QURING_CLOSE_UNREACHABLE, 0, now); /* 9: nowhere to go */
    }
}

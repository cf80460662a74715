/* What a path has to be sent to be proved, or to answer a peer that proves it, and when one is given up
 * (RFC 9000 8.2). */
#include "quic/conn/conn_paths.h"
#include "quic/conn/packetizer.h"
#include "quic/wire/frame_encode.h"

/* A header of any size, one PATH_CHALLENGE or PATH_RESPONSE, the tag. */
#define PATH_DATAGRAM_MIN                                                                          \
    (1u + QUIC_CID_LEN_MAX + QUIC_PN_LEN_MAX + 1u + QUIC_PATH_CHALLENGE_LEN + QUIC_AEAD_TAG_LEN)

/* RFC 9000 8.1 limits servers; a client's probes are few. */
static uint64_t credit_of(const quic_conn *conn, const quic_path *path)
{
    return conn->role == QUIC_CLIENT ? UINT64_MAX : quic_path_credit(path);
}

static size_t room_of(uint64_t credit)
{
    return credit < QUIC_MIN_INITIAL_LEN ? (size_t)credit : QUIC_MIN_INITIAL_LEN;
}

static bool has_room(uint64_t credit, const quic_tx_unit *unit)
{
    return credit >= PATH_DATAGRAM_MIN && room_of(credit) <= unit->cap;
}

static void set_unit(quic_conn *conn, quic_tx_unit *unit, quic_path *path, size_t len)
{
    unit->len = (uint32_t)len;
    unit->seg_len = (uint32_t)len;
    unit->ecn = conn->tx_ecn;
    unit->conn = conn->handle;
    unit->path = path->addr;
    conn->bytes_sent += len;
    quic_path_on_sent(path, len);
}

static void on_challenge_sent(quic_conn *conn, quic_validate *v, size_t len, quic_ns now)
{
    quic_conn_move *move = conn->move;
    if (now >= move->challenge_until) {
        move->challenge_until = now + quic_recovery_pto_ns(&conn->recovery, QUIC_SPACE_APP);
        move->challenges = 0;
    }
    move->challenges++;
    quic_validate_on_sent(v, len >= QUIC_MIN_INITIAL_LEN, now);
}

static bool challenge_is_due(const quic_validate *v, quic_ns now)
{
    return quic_validate_is_active(v) && quic_validate_is_due(v, now);
}

/* Answers and a challenge for another path, in one datagram with that path's connection ID. Nothing is
 * repeated when it is lost: the next challenge is. */
static size_t build_side(quic_conn *conn, quic_side_path *side, quic_tx_unit *unit, bool challenge,
                         quic_ns now)
{
    quic_packet_build b;
    uint8_t data[QUIC_PATH_DATA_LEN];
    uint64_t credit = credit_of(conn, &side->path);
    if (!has_room(credit, unit) ||
        !quic_packet_begin(conn, &b, QUIC_SPACE_APP, unit->buf, room_of(credit))) {
        return 0;
    }
    if (challenge) {
        b.p += quic_frame_encode_path_challenge(
            b.p, (size_t)(b.end - b.p), quic_validate_next(&side->validate, conn->env->rng));
    }
    while (b.end - b.p >= (ptrdiff_t)(1 + sizeof(data)) &&
           quic_path_pop_response(&side->path, data)) {
        b.p += quic_frame_encode_path_response(b.p, (size_t)(b.end - b.p), data);
    }
    size_t len = quic_packet_finish_elsewhere(conn, &b, quic_validate_pad_len(credit), now);
    quic_packet_protect(&b);
    return len;
}

static bool send_side(quic_conn *conn, quic_side_path *side, quic_tx_unit *unit, quic_ns now)
{
    quic_cid_peer *cids = &conn->cids_peer;
    bool challenge = challenge_is_due(&side->validate, now);
    if (side->kind == QUIC_SIDE_FREE || (side->path.response_count == 0 && !challenge)) {
        return false;
    }
    const quic_cid_peer_entry *entry = quic_cid_peer_find(cids, side->tx_seq);
    if (entry == NULL) {
        side->path.response_count = 0;
        quic_validate_cancel(&side->validate);
        return false;
    }
    uint8_t current = cids->current;
    cids->current = (uint8_t)(entry - cids->entries);
    size_t len = build_side(conn, side, unit, challenge, now);
    cids->current = current;
    if (len == 0) {
        return false;
    }
    if (challenge) {
        on_challenge_sent(conn, &side->validate, len, now);
        if (side->kind == QUIC_SIDE_FALLBACK) {
            quic_validate_cancel(
                &side->validate); /* RFC 9000 9.3.3: to hear of it once is enough */
        }
    }
    conn->tx_ecn = QUIC_ECN_NOT_ECT;
    set_unit(conn, unit, &side->path, len);
    return true;
}

/* The path in use, not proved yet: PATH_CHALLENGE and padding. */
static bool send_challenge(quic_conn *conn, quic_tx_unit *unit, quic_ns now)
{
    quic_packet_build b;
    quic_validate *v = &conn->move->validate;
    uint64_t credit = credit_of(conn, &conn->path);
    if (!challenge_is_due(v, now) || !has_room(credit, unit) ||
        !quic_packet_begin(conn, &b, QUIC_SPACE_APP, unit->buf, room_of(credit))) {
        return false;
    }
    b.p += quic_frame_encode_path_challenge(b.p, (size_t)(b.end - b.p),
                                            quic_validate_next(v, conn->env->rng));
    b.eliciting = true;
    b.mtu_probe = true; /* its loss tells that nobody is there, not that there is congestion */
    size_t len = quic_packet_finish(conn, &b, quic_validate_pad_len(credit), now);
    quic_packet_protect(&b);
    on_challenge_sent(conn, v, len, now);
    set_unit(conn, unit, &conn->path, len);
    return true;
}

bool quic_conn_send_path(quic_conn *conn, quic_tx_unit *unit, quic_ns now)
{
    for (uint32_t i = 0; i < QUIC_SIDE_PATHS_MAX; i++) {
        if (send_side(conn, &conn->move->side[i], unit, now)) {
            return true;
        }
    }
    return send_challenge(conn, unit, now);
}

/* Data that used all credit up would leave none for the challenge that ends the need for it. */
uint64_t quic_conn_spare_credit(const quic_conn *conn, uint64_t credit)
{
    if (conn->move == NULL || !quic_validate_is_active(&conn->move->validate)) {
        return credit;
    }
    return credit > PATH_DATAGRAM_MIN ? credit - PATH_DATAGRAM_MIN : 0;
}

/* ---- time ------------------------------------------------------------------------------------------- */

/* A challenge that is due and did not leave waits for credit: what the peer sends brings it. */
static quic_ns validate_deadline(const quic_validate *v, quic_ns now)
{
    if (!quic_validate_is_active(v)) {
        return QUIC_NS_NEVER;
    }
    return v->next_ns > now && v->next_ns < v->deadline_ns ? v->next_ns : v->deadline_ns;
}

quic_ns quic_conn_path_deadline(const quic_conn *conn, quic_ns now)
{
    if (QUIC_LIKELY(conn->move == NULL)) {
        return QUIC_NS_NEVER;
    }
    quic_ns at = validate_deadline(&conn->move->validate, now);
    for (uint32_t i = 0; i < QUIC_SIDE_PATHS_MAX; i++) {
        const quic_side_path *side = &conn->move->side[i];
        if (side->kind != QUIC_SIDE_FREE) {
            quic_ns next = validate_deadline(&side->validate, now);
            next = side->until_ns < next ? side->until_ns : next;
            at = next < at ? next : at;
        }
    }
    return at;
}

static void on_side_timeout(quic_conn *conn, quic_side_path *side, quic_ns now)
{
    bool failed = quic_validate_on_timeout(&side->validate, now) == QUIC_VALIDATE_FACT_FAILED;
    if (failed && side->kind == QUIC_SIDE_TRIAL) {
        quic_conn_trial_failed(conn, side, now);
    } else if ((failed && side->kind == QUIC_SIDE_PROBED) || now >= side->until_ns) {
        quic_conn_side_free(conn, side);
    }
}

void quic_conn_on_path_timeout(quic_conn *conn, quic_ns now)
{
    quic_conn_move *move = conn->move;
    if (QUIC_LIKELY(move == NULL)) {
        return;
    }
    if (quic_validate_on_timeout(&move->validate, now) == QUIC_VALIDATE_FACT_FAILED) {
        quic_conn_on_path_unproved(conn, now);
        if (!quic_conn_is_open(conn)) {
            return;
        }
    }
    for (uint32_t i = 0; i < QUIC_SIDE_PATHS_MAX; i++) {
        if (move->side[i].kind != QUIC_SIDE_FREE) {
            on_side_timeout(conn, &move->side[i], now);
        }
    }
    quic_conn_move_settle(conn);
}

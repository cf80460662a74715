/* A peer that moves: its new address is used at once within the 3x limit, proved by a challenge, and
 * given up again when the proof fails; challenges on other paths are answered there (RFC 9000 8.2, 9).
 */
#include "quic/conn/conn_internal.h"
#include "quic/wire/frame_encode.h"

static bool is_unspecified(const quic_addr *addr)
{
    static const uint8_t zero[sizeof(addr->ip)];
    return memcmp(addr->ip, zero, sizeof(zero)) == 0;
}

bool quic_conn_recv_datagrams(quic_conn *conn, uint32_t count, uint64_t bytes,
                              const quic_path_addr *from)
{
    conn->rx_from = from;
    conn->rx_datagram_len = (uint32_t)(bytes / count);
    conn->rx_other_path = !quic_addr_equal(&from->remote, &conn->path.addr.remote);
    if (QUIC_UNLIKELY(conn->rx_other_path) && conn->role == QUIC_CLIENT && !conn->authentic &&
        is_unspecified(&conn->path.addr.remote) &&
        from->remote.port == conn->path.addr.remote.port) {
        conn->path.addr.remote = from->remote; /* "this host": the answer tells its address */
        conn->rx_other_path = false;
    }
    if (QUIC_UNLIKELY(conn->rx_other_path)) {
        /* RFC 9000 9: nobody moves before the handshake is confirmed, and a server only as its
         * preferred address says, which we never take */
        if (conn->role == QUIC_SERVER && conn->handshake_confirmed) {
            return true;
        }
        conn->rx_from = NULL;
        conn->rx_other_path = false;
        return false;
    }
    conn->bytes_recv += bytes;
    quic_path_on_recv(&conn->path, bytes);
    return true;
}

static quic_conn_move *move_of(quic_conn *conn)
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

static void free_if_done(quic_conn *conn)
{
    if (conn->move != NULL && conn->move->off_count == 0 &&
        !quic_validate_is_active(&conn->move->validate)) {
        quic_conn_free_move(conn);
    }
}

/* A frame for another path than the current one; the oldest gives way. */
static void queue_off_path(quic_conn *conn, const quic_path_addr *addr, const uint8_t *data,
                           uint64_t credit, bool challenge)
{
    quic_conn_move *move = move_of(conn);
    if (move == NULL) {
        return;
    }
    if (move->off_count == QUIC_OFF_PATH_MAX) {
        memmove(&move->off[0], &move->off[1], (QUIC_OFF_PATH_MAX - 1) * sizeof(move->off[0]));
        move->off_count--;
    }
    quic_off_path_frame *off = &move->off[move->off_count++];
    off->addr = *addr;
    off->credit = credit;
    off->challenge = challenge;
    memcpy(off->data, data, sizeof(off->data));
    quic_conn_mark_dirty(conn);
}

/* RFC 9000 8.2.2: the answer goes where the challenge came from, within three times its bytes. */
void quic_conn_on_path_challenge(quic_conn *conn, const uint8_t data[QUIC_PATH_DATA_LEN])
{
    if (conn->rx_other_path) {
        /* What the answer spends is not there for another one, nor for a path that is followed. */
        uint32_t spend =
            quic_validate_pad_len((uint64_t)conn->rx_datagram_len * QUIC_AMPLIFICATION_FACTOR);
        conn->rx_datagram_len -=
            (spend + QUIC_AMPLIFICATION_FACTOR - 1) / QUIC_AMPLIFICATION_FACTOR;
        if (spend > 0) {
            queue_off_path(conn, conn->rx_from, data, spend, false);
        }
        return;
    }
    quic_path_on_challenge(&conn->path, data);
    conn->pending |= QUIC_PEND_PATH_RESPONSE;
}

quic_rc quic_conn_on_path_response(quic_conn *conn, const uint8_t data[QUIC_PATH_DATA_LEN],
                                   quic_ns now)
{
    if (conn->move == NULL) {
        /* RFC 9000 19.18: an answer to a challenge of a validation that is over, or to none */
        return conn->ever_challenged ? QUIC_OK : QUIC_V_PROTOCOL_VIOLATION;
    }
    switch (quic_validate_on_response(&conn->move->validate, data, now)) {
    case QUIC_VALIDATE_FACT_ADDRESS:
    case QUIC_VALIDATE_FACT_DONE:
        if (!conn->path.validated) {
            quic_conn_give_tokens(conn,
                                  1); /* RFC 9000 8.1.3: the old ones are for another address */
        }
        conn->path.validated = true;
        conn->move->has_fallback = false;
        free_if_done(conn);
        quic_conn_mark_dirty(conn);
        break;
    default:
        break; /* of the old path's challenge, or unknown: proves nothing here */
    }
    return QUIC_OK;
}

static bool same_host(const quic_addr *a, const quic_addr *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

/* RFC 9000 9.4: another host is another path: nothing measured before is true of it. A new port of
 * the same host is most likely a NAT's doing, and the path the same. */
static void reset_measurements(quic_conn *conn, quic_ns now)
{
    quic_recovery_on_new_path(&conn->recovery, now);
    quic_cc_reset(&conn->cc);
    quic_pacer_init(&conn->pacer, conn->env->pacing, QUIC_MIN_INITIAL_LEN, now);
    quic_ecn_restart(&conn->ecn);
    quic_conn_start_mtu(conn, now);
}

static void challenge_old_path(quic_conn *conn, const quic_path *old)
{
    uint8_t data[QUIC_PATH_DATA_LEN];
    quic_rng_fill(conn->env->rng, data, sizeof(data));
    conn->ever_challenged = true;
    /* RFC 9000 9.3.3: if somebody only copied the peer's packets, the peer answers from there */
    queue_off_path(conn, &old->addr, data, UINT64_MAX, true);
}

/* RFC 9000 9.3: the newest packet came from another address and was not a probe. */
void quic_conn_follow_peer(quic_conn *conn, quic_ns now)
{
    quic_conn_move *move = move_of(conn);
    if (move == NULL) {
        return;
    }
    quic_path old = conn->path;
    conn->rx_other_path = false;
    conn->env->counters->path_changes++;
    if (move->has_fallback &&
        quic_addr_equal(&move->fallback.addr.remote, &conn->rx_from->remote)) {
        conn->path = move->fallback; /* back where it is known to be */
        conn->path.udp_payload_bytes = conn->mtu.current;
        move->has_fallback = false;
        quic_validate_cancel(&move->validate);
    } else {
        if (old.validated) {
            move->fallback = old;
            move->has_fallback = true;
        }
        quic_path_init(&conn->path, conn->rx_from, false, old.udp_payload_bytes);
        quic_path_on_recv(&conn->path, conn->rx_datagram_len);
        quic_ns pto = quic_recovery_pto_ns(&conn->recovery, QUIC_SPACE_APP);
        quic_ns unknown = 3 * QUIC_INITIAL_RTT_NS; /* RFC 9000 8.2.4 */
        quic_validate_start(&move->validate, pto > unknown ? pto : unknown, now);
        conn->ever_challenged = true;
        if (old.validated) {
            challenge_old_path(conn, &old);
        }
    }
    if (!same_host(&old.addr.remote, &conn->path.addr.remote)) {
        reset_measurements(conn, now);
    }
    quic_conn_mark_dirty(conn);
}

/* ---- out -------------------------------------------------------------------------------------------- */

/* One datagram of its own: PATH_CHALLENGE or PATH_RESPONSE and padding. Returns its length. */
static size_t build_path_datagram(quic_conn *conn, quic_tx_unit *unit, const uint8_t *data,
                                  bool challenge, uint64_t credit, quic_ns now)
{
    quic_packet_build b;
    size_t size = quic_validate_pad_len(credit);
    if (size < QUIC_AEAD_TAG_LEN + 64u || size > unit->cap ||
        !quic_packet_begin(conn, &b, QUIC_SPACE_APP, unit->buf, size)) {
        return 0;
    }
    size_t room = (size_t)(b.end - b.p);
    b.p += challenge ? quic_frame_encode_path_challenge(b.p, room, data)
                     : quic_frame_encode_path_response(b.p, room, data);
    b.eliciting = true;
    b.mtu_probe = true; /* another path's loss says nothing about this one's congestion */
    size_t len = quic_packet_finish(conn, &b, size, now);
    quic_packet_protect(conn, &b);
    return len;
}

bool quic_conn_send_path(quic_conn *conn, quic_tx_unit *unit, quic_ns now)
{
    quic_conn_move *move = conn->move;
    while (move->off_count > 0) {
        quic_off_path_frame off = move->off[0];
        memmove(&move->off[0], &move->off[1], (QUIC_OFF_PATH_MAX - 1) * sizeof(move->off[0]));
        move->off_count--;
        conn->tx_ecn = QUIC_ECN_NOT_ECT;
        size_t len = build_path_datagram(conn, unit, off.data, off.challenge, off.credit, now);
        if (len > 0) {
            unit->len = (uint32_t)len;
            unit->seg_len = (uint32_t)len;
            unit->ecn = QUIC_ECN_NOT_ECT;
            unit->path = off.addr;
            conn->bytes_sent += len;
            return true;
        }
    }
    if (quic_validate_is_active(&move->validate) && quic_validate_is_due(&move->validate, now)) {
        const uint8_t *data = quic_validate_next(&move->validate, conn->env->rng);
        size_t len =
            build_path_datagram(conn, unit, data, true, quic_path_credit(&conn->path), now);
        if (len > 0) {
            quic_validate_on_sent(&move->validate, len >= QUIC_MIN_INITIAL_LEN, now);
            unit->len = (uint32_t)len;
            unit->seg_len = (uint32_t)len;
            unit->ecn = conn->tx_ecn;
            unit->path = conn->path.addr;
            conn->bytes_sent += len;
            quic_path_on_sent(&conn->path, len);
            return true;
        }
    }
    free_if_done(conn);
    return false;
}

/* A challenge that is due and did not leave waits for credit: what the peer sends brings it. */
quic_ns quic_conn_path_deadline(const quic_conn *conn, quic_ns now)
{
    if (conn->move == NULL || !quic_validate_is_active(&conn->move->validate)) {
        return QUIC_NS_NEVER;
    }
    const quic_validate *v = &conn->move->validate;
    return v->next_ns > now && v->next_ns < v->deadline_ns ? v->next_ns : v->deadline_ns;
}

void quic_conn_on_path_timeout(quic_conn *conn, quic_ns now)
{
    quic_conn_move *move = conn->move;
    if (move == NULL ||
        quic_validate_on_timeout(&move->validate, now) != QUIC_VALIDATE_FACT_FAILED) {
        return;
    }
    if (conn->path.validated) {
        return; /* the address was proved, only its size was not */
    }
    if (!move->has_fallback) {
        quic_conn_end_silently(conn, QURING_CLOSE_UNREACHABLE,
                               now); /* RFC 9000 9: NO_VIABLE_PATH */
        return;
    }
    /* RFC 9000 9.3.2: back to the last address that was proved */
    bool other_host = !same_host(&move->fallback.addr.remote, &conn->path.addr.remote);
    conn->path = move->fallback;
    conn->path.udp_payload_bytes = conn->mtu.current;
    move->has_fallback = false;
    if (other_host) {
        reset_measurements(conn, now);
    }
    free_if_done(conn);
}

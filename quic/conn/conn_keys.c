/* 1-RTT keys around an update (RFC 9001 6), and packets that came before their keys (RFC 9000 5.7). */
#include "quic/conn/conn_internal.h"

/* RFC 9001 6.3, 6.5: the phase bit differs from ours either because the packet is older than our last
 * update or because the peer begins a new one; the packet number tells which. */
quic_keys *quic_conn_rx_keys(quic_conn *conn, bool phase, uint64_t pn)
{
    quic_conn_space *app = &conn->spaces[QUIC_SPACE_APP];
    if (QUIC_LIKELY(phase == conn->rx_phase)) {
        return app->rx;
    }
    if (conn->rx_prev != NULL && pn < conn->rx_phase_first_pn) {
        return conn->rx_prev;
    }
    if (!conn->handshake_complete) {
        return NULL;
    }
    if (conn->rx_next == NULL && quic_keys_update(&conn->rx_next, app->rx, &conn->mem) != QUIC_OK) {
        return NULL;
    }
    return conn->rx_next;
}

static quic_rc rotate_tx(quic_conn *conn)
{
    quic_conn_space *app = &conn->spaces[QUIC_SPACE_APP];
    quic_keys *next = NULL;
    quic_rc rc = quic_keys_update(&next, app->tx, &conn->mem);
    if (rc != QUIC_OK) {
        return rc;
    }
    quic_keys_destroy(app->tx);
    app->tx = next;
    conn->tx_phase = !conn->tx_phase;
    conn->tx_phase_first_pn = quic_sent_map_next_pn(&conn->recovery.spaces[QUIC_SPACE_APP].map);
    conn->key_update_unacked = true;
    return QUIC_OK;
}

quic_rc quic_conn_on_opened(quic_conn *conn, const quic_keys *keys, uint64_t pn, quic_ns now)
{
    quic_conn_space *app = &conn->spaces[QUIC_SPACE_APP];
    if (QUIC_LIKELY(keys == app->rx)) {
        if (QUIC_UNLIKELY(pn < conn->rx_phase_first_pn)) {
            conn->rx_phase_first_pn = pn;
        }
        return QUIC_OK;
    }
    if (keys == conn->rx_prev) {
        return QUIC_OK;
    }
    /* RFC 9001 6.2: the peer updated; our keys follow, unless this answers an update of ours. */
    if (conn->tx_phase == conn->rx_phase) {
        quic_rc rc = rotate_tx(conn);
        if (rc != QUIC_OK) {
            return rc;
        }
    }
    quic_keys_destroy(conn->rx_prev);
    conn->rx_prev = app->rx;
    conn->rx_prev_until =
        now + 3 * quic_recovery_pto_ns(&conn->recovery, QUIC_SPACE_APP); /* RFC 9001 6.5 */
    app->rx = conn->rx_next;
    conn->rx_next = NULL;
    conn->rx_phase = !conn->rx_phase;
    conn->rx_phase_first_pn = pn;
    return QUIC_OK;
}

/* RFC 9001 6.1: not before the handshake is confirmed, nor before the last update was answered. 6.6: a
 * peer that lets no update happen does not get more packets out of one key than it may seal. */
void quic_conn_maybe_update_keys(quic_conn *conn, quic_ns now)
{
    quic_conn_space *app = &conn->spaces[QUIC_SPACE_APP];
    if (QUIC_LIKELY(quic_keys_sealed_count(app->tx) < QUIC_KEY_UPDATE_PACKETS)) {
        return;
    }
    if (conn->handshake_confirmed && !conn->key_update_unacked &&
        conn->tx_phase == conn->rx_phase && conn->rx_prev == NULL && rotate_tx(conn) == QUIC_OK) {
        return;
    }
    if (quic_keys_sealed_count(app->tx) + QUIC_KEY_RESERVE_PACKETS >=
        quic_keys_confidentiality_limit(app->tx)) {
        quic_conn_fail(conn, QUIC_V_AEAD_LIMIT_REACHED, 0, "confidentiality limit", now);
    }
}

void quic_conn_drop_old_keys(quic_conn *conn, quic_ns now)
{
    if (conn->rx_prev != NULL && now >= conn->rx_prev_until) {
        quic_keys_destroy(conn->rx_prev);
        conn->rx_prev = NULL;
    }
    if (conn->early != NULL && conn->early->until_ns != 0 && now >= conn->early->until_ns) {
        quic_conn_free_early(conn);
    }
}

/* ---- packets before their keys ------------------------------------------------------------------- */

void quic_conn_hold_packet(quic_conn *conn, const uint8_t *data, size_t len, size_t datagram_len,
                           uint8_t ecn)
{
    conn->env->counters->drop_no_keys += 1;
    if (conn->handshake_complete || len > QUIC_KEEP_HELD_LEN_MAX ||
        conn->held_count >= conn->limits.undecryptable_packets_max) {
        return;
    }
    quic_held_packet *held = quic_mem_alloc(&conn->mem, sizeof(*held) + len);
    if (held == NULL) {
        return;
    }
    conn->env->counters->drop_no_keys -= 1;
    held->next = NULL;
    held->len = (uint32_t)len;
    held->datagram_len = (uint32_t)datagram_len;
    held->ecn = ecn;
    memcpy(held->data, data, len);
    quic_held_packet **at = &conn->held;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = held;
    conn->held_count++;
}

void quic_conn_replay_held(quic_conn *conn, quic_ns now)
{
    quic_held_packet *list = conn->held;
    conn->held = NULL;
    conn->held_count = 0;
    while (list != NULL) {
        quic_held_packet *next = list->next;
        if (quic_conn_is_open(conn)) {
            quic_long_header h;
            if (!quic_header_is_long(list->data[0])) {
                quic_conn_recv_short(conn, list->data, 1, list->len, list->len, list->ecn, now);
            } else if (quic_header_decode_long(&h, list->data, list->len) == QUIC_OK) {
                quic_conn_recv_long(conn, list->data, &h, list->datagram_len, list->ecn, now);
            }
        }
        quic_mem_free(&conn->mem, list, sizeof(*list) + list->len);
        list = next;
    }
}

void quic_conn_free_held(quic_conn *conn)
{
    while (conn->held != NULL) {
        quic_held_packet *next = conn->held->next;
        quic_mem_free(&conn->mem, conn->held, sizeof(*conn->held) + conn->held->len);
        conn->held = next;
    }
    conn->held_count = 0;
}

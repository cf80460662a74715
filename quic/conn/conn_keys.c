/* 1-RTT keys around an update (RFC 9001 6), and packets that came before their keys (RFC 9000 5.7). */
#include "quic/conn/conn_internal.h"

#define SCRATCH_LEN 2048u /* what a packet is opened into to look whether old keys fit */

/* RFC 9001 6.3: the keys of the next phase are there before anybody asks for them, so that a packet with
 * a forged Key Phase bit takes as long as any other that is not authentic. */
void quic_conn_derive_next(quic_conn *conn)
{
    const quic_keys *rx = conn->spaces[QUIC_SPACE_APP].rx;
    if (conn->rx_next != NULL && quic_keys_wake(conn->rx_next) != QUIC_OK) {
        quic_keys_destroy(conn->rx_next);
        conn->rx_next = NULL;
    }
    if (conn->rx_next == NULL && rx != NULL && !conn->unencrypted &&
        quic_keys_update(&conn->rx_next, rx, &conn->mem) != QUIC_OK) {
        conn->rx_next = NULL; /* no memory: tried again when needed */
    }
}

/* Before packets are opened after a rest: all that may open them, whatever their Key Phase bit says. */
bool quic_conn_wake_rx(quic_conn *conn)
{
    quic_keys *rx = conn->spaces[QUIC_SPACE_APP].rx;
    quic_conn_derive_next(conn);
    return quic_keys_wake(rx) == QUIC_OK;
}

/* What idle connections do without. */
void quic_conn_rest_keys(quic_conn *conn)
{
    quic_conn_space *app = &conn->spaces[QUIC_SPACE_APP];
    if (conn->rx_next != NULL) {
        quic_keys_rest(conn->rx_next);
    }
    if (app->rx != NULL && app->tx != NULL) {
        quic_keys_rest(app->rx);
        quic_keys_rest(app->tx);
    }
}

/* Whether a packet opens with `keys`; leaves it as it is. */
static bool opens_with(quic_conn *conn, quic_keys *keys, uint64_t pn, const uint8_t *data,
                       size_t hdr_len, size_t len)
{
    uint8_t small[SCRATCH_LEN];
    size_t body = len - hdr_len;
    uint8_t *scratch = body <= sizeof(small) ? small : quic_mem_alloc(&conn->mem, body);
    if (scratch == NULL) {
        return false;
    }
    bool ok = quic_keys_open_to(keys, pn, data, hdr_len, scratch, data + hdr_len, body);
    if (scratch != small) {
        quic_mem_free(&conn->mem, scratch, body);
    }
    return ok;
}

/* RFC 9001 6.5: the phase bit differs from ours either because the packet is older than the last update or
 * because the peer begins a new phase; the packet number tells which. 9.5: while old keys are kept, a
 * packet that nothing opens costs two attempts, whatever its bit and its number say. */
quic_rc quic_conn_open_other_phase(quic_conn *conn, quic_keys **out, uint64_t pn, uint8_t *data,
                                   size_t hdr_len, size_t len)
{
    quic_keys *prev = conn->rx_prev;
    uint8_t *payload = data + hdr_len;
    if (conn->unencrypted) { /* without keys there are no phases */
        *out = conn->spaces[QUIC_SPACE_APP].rx;
        return quic_keys_open(*out, pn, data, hdr_len, payload, len - hdr_len) ? QUIC_OK
                                                                               : QUIC_E_DROP;
    }
    if (prev != NULL && pn < conn->rx_phase_first_pn) {
        *out = prev;
        if (quic_keys_open(prev, pn, data, hdr_len, payload, len - hdr_len)) {
            return QUIC_OK;
        }
        (void)quic_keys_open(conn->spaces[QUIC_SPACE_APP].rx, pn, data, hdr_len, payload,
                             len - hdr_len);
        return QUIC_E_DROP;
    }
    quic_conn_derive_next(conn);
    if (conn->rx_next == NULL) {
        return QUIC_E_STATE;
    }
    if (prev != NULL && opens_with(conn, prev, pn, data, hdr_len, len)) {
        return QUIC_V_KEY_UPDATE; /* RFC 9001 6.4: old keys behind newer ones */
    }
    *out = conn->rx_next;
    return quic_keys_open(conn->rx_next, pn, data, hdr_len, payload, len - hdr_len) ? QUIC_OK
                                                                                    : QUIC_E_DROP;
}

void quic_conn_open_again(quic_conn *conn, uint64_t pn, uint8_t *data, size_t hdr_len, size_t len)
{
    if (conn->rx_prev != NULL) {
        (void)quic_keys_open(conn->rx_prev, pn, data, hdr_len, data + hdr_len, len - hdr_len);
    }
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

/* RFC 9001 6.5: three probe timeouts are between two updates, by the peer's clock and its idea of the round trip.
 * Within about one of ours (more when it has shrunk since) nobody is that wrong, but once or twice. */
static bool is_early_update(const quic_conn *conn, quic_ns now)
{
    return conn->rx_prev != NULL &&
           now + 2 * quic_recovery_pto_ns(&conn->recovery, QUIC_SPACE_APP) < conn->rx_prev_until;
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
        if (conn->rx_phase_unacked) {
            return QUIC_V_KEY_UPDATE; /* 6.2: before we acknowledged anything of the last phase */
        }
        quic_rc rc = rotate_tx(conn);
        if (rc != QUIC_OK) {
            return rc;
        }
        conn->key_updates_peer++;
        quic_glitch_note(&conn->glitch, is_early_update(conn, now) ? QUIC_GLITCH_EARLY_UPDATE : 0);
        conn->env->counters->key_updates++;
    }
    quic_keys_destroy(conn->rx_prev);
    conn->rx_prev = app->rx;
    conn->rx_prev_until =
        now + 3 * quic_recovery_pto_ns(&conn->recovery, QUIC_SPACE_APP); /* RFC 9001 6.5 */
    app->rx = conn->rx_next;
    conn->rx_next = NULL;
    conn->rx_phase = !conn->rx_phase;
    conn->rx_phase_first_pn = pn;
    conn->rx_phase_unacked = true;
    quic_conn_raise(conn, QUIC_CONN_EV_KEYS_UPDATED);
    quic_conn_derive_next(conn);
    return QUIC_OK;
}

/* RFC 9001 6.1: not before the handshake is confirmed, nor before the last update was acknowledged; 6.5: nor
 * while the peer may still keep the keys before that. */
static bool may_update(const quic_conn *conn)
{
    return conn->handshake_confirmed && !conn->unencrypted && !conn->key_update_unacked &&
           conn->tx_phase == conn->rx_phase && conn->rx_prev == NULL;
}

static quic_rc initiate_update(quic_conn *conn)
{
    quic_rc rc = rotate_tx(conn);
    if (rc == QUIC_OK) {
        conn->key_updates++;
        conn->env->counters->key_updates++;
    }
    return rc;
}

quic_rc quic_conn_update_keys(quic_conn *conn)
{
    if (conn->state != QUIC_CONN_ESTABLISHED || conn->unencrypted) {
        return QUIC_E_STATE;
    }
    if (!may_update(conn)) {
        if (conn->key_update_unacked && conn->recovery.in_flight_bytes == 0) {
            /* Nothing that asks for an acknowledgement has left with the present keys. */
            conn->pending |= QUIC_PEND_PING;
            quic_conn_mark_dirty(conn);
        }
        return QUIC_E_AGAIN;
    }
    quic_rc rc = initiate_update(conn);
    if (rc == QUIC_OK) {
        conn->pending |= QUIC_PEND_PING; /* the peer hears of it although there is nothing to say */
        quic_conn_mark_dirty(conn);
    }
    return rc;
}

/* When half of what a key may seal is used up. The rest lasts until an update is possible. */
static inline uint64_t update_at(uint64_t limit)
{
    return limit / 2 < QUIC_KEY_UPDATE_PACKETS ? limit / 2 : QUIC_KEY_UPDATE_PACKETS;
}

/* RFC 9001 6.6: a peer that lets no update happen does not get more packets out of one key than it may
 * seal. */
void quic_conn_maybe_update_keys(quic_conn *conn, quic_ns now)
{
    const quic_keys *tx = conn->spaces[QUIC_SPACE_APP].tx;
    uint64_t limit = quic_keys_confidentiality_limit(tx);
    if (QUIC_LIKELY(quic_keys_sealed_count(tx) < update_at(limit))) {
        return;
    }
    if (may_update(conn) && initiate_update(conn) == QUIC_OK) {
        return;
    }
    uint64_t reserve = limit / 8 < QUIC_KEY_RESERVE_PACKETS ? limit / 8 : QUIC_KEY_RESERVE_PACKETS;
    if (quic_keys_sealed_count(tx) + reserve >= limit) {
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

static void drop_held(quic_conn *conn, quic_held_packet **at)
{
    quic_held_packet *held = *at;
    *at = held->next;
    conn->held_count--;
    quic_mem_free(&conn->mem, held, sizeof(*held) + held->len);
}

static bool is_early_packet(const quic_held_packet *held)
{
    quic_long_header h;
    return quic_header_is_long(held->data[0]) &&
           quic_header_decode_long(&h, held->data, held->len, QUIC_VERSIONS_ALL) == QUIC_OK &&
           h.type == QUIC_PACKET_0RTT;
}

/* The newest are the likeliest to have their keys arrive: the oldest gives way. Not 0-RTT packets, as long as
 * there are others: a peer that waits repeats its Handshake packets, but sends 0-RTT packets only until it has
 * better keys. */
static void make_room_for_held(quic_conn *conn)
{
    quic_held_packet **at = &conn->held;
    while (*at != NULL && is_early_packet(*at)) {
        at = &(*at)->next;
    }
    drop_held(conn, *at != NULL ? at : &conn->held);
}

void quic_conn_hold_packet(quic_conn *conn, const uint8_t *data, size_t len, size_t datagram_len,
                           uint8_t ecn)
{
    if (conn->handshake_complete || len > QUIC_KEEP_HELD_LEN_MAX ||
        conn->limits.undecryptable_packets_max == 0) {
        conn->env->counters->drop_no_keys++;
        return;
    }
    while (conn->held_count >= conn->limits.undecryptable_packets_max) { /* may be lower now */
        conn->env->counters->drop_no_keys++;
        make_room_for_held(conn);
    }
    quic_held_packet *held = quic_mem_alloc(&conn->mem, sizeof(*held) + len);
    if (held == NULL) {
        conn->env->counters->drop_no_keys++;
        return;
    }
    held->next = NULL;
    held->recv_ns = conn->replayed_recv_ns != 0 ? conn->replayed_recv_ns : conn->env->now;
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

/* Keys that are late because the peer's packets were lost come within a few timeouts or the packets
 * come again. How long a TLS outside takes has nothing to do with the round trip: what it must not lose
 * is 0-RTT packets, and the time limit of the handshake is the only one. */
quic_ns quic_conn_held_deadline(const quic_conn *conn)
{
    return conn->held == NULL || conn->external
               ? QUIC_NS_NEVER
               : conn->held->recv_ns + quic_conn_closing_period(conn);
}

void quic_conn_expire_held(quic_conn *conn, quic_ns now)
{
    while (now >= quic_conn_held_deadline(conn)) {
        conn->env->counters->drop_no_keys++;
        drop_held(conn, &conn->held);
    }
}

/* RFC 9000 13.2.5: how long a packet waited for its keys belongs to the delay of its acknowledgement. */
static void count_wait(quic_ack_tracker *acks, uint64_t largest_before, quic_ns recv_ns)
{
    if (quic_ack_tracker_largest(acks) != largest_before) {
        acks->largest_recv_ns = recv_ns;
    }
}

void quic_conn_replay_held(quic_conn *conn, quic_ns now)
{
    quic_ack_tracker *acks = &conn->spaces[QUIC_SPACE_APP].acks;
    quic_held_packet *list = conn->held;
    conn->held = NULL;
    conn->held_count = 0;
    while (list != NULL) {
        quic_held_packet *next = list->next;
        if (quic_conn_is_open(conn)) {
            quic_long_header h;
            const uint64_t largest = quic_ack_tracker_largest(acks);
            conn->replayed_recv_ns = list->recv_ns;
            if (!quic_header_is_long(list->data[0])) {
                quic_conn_recv_short(conn, list->data, 1, list->len, list->len, list->ecn, now);
            } else if (quic_header_decode_long(&h, list->data, list->len, QUIC_VERSIONS_ALL) ==
                       QUIC_OK) {
                quic_conn_recv_long(conn, list->data, &h, list->datagram_len, list->ecn, now);
            }
            count_wait(acks, largest, list->recv_ns);
        }
        quic_mem_free(&conn->mem, list, sizeof(*list) + list->len);
        list = next;
    }
    conn->replayed_recv_ns = 0;
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

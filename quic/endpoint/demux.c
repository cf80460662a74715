/* From a received unit to connections: the first look at each datagram (RFC 9000 5.2). */
#include "quic/base/bytes.h"
#include "quic/endpoint/endpoint_internal.h"

#define NEAR_NS (100 * QUIC_NS_PER_US) /* what was used so recently is in a near cache */

/* The shortest 1-RTT packet: header byte, connection ID, sample. */
static inline uint32_t short_len_min(const quic_endpoint *ep)
{
    return 1u + ep->env.cid_format.len + QUIC_PN_LEN_MAX + QUIC_AEAD_TAG_LEN;
}

/* A unit goes where its first datagram belongs; a later one with another DCID may be another
 * worker's, whose connections nobody here may speak for. */
static bool is_ours(const quic_endpoint *ep, const uint8_t *dcid, size_t len)
{
    return quic_cid_format_worker(dcid, len, ep->config.worker_count) == ep->config.worker_id;
}

/* A short header that has the fixed bit, where it must (RFC 9000 17.3.1, RFC 9287 3): `fixed_bit` is
 * QUIC_HEADER_FIXED_BIT or 0. */
static bool is_short(uint8_t first, uint8_t fixed_bit)
{
    return (first & (QUIC_HEADER_LONG_BIT | fixed_bit)) == fixed_bit;
}

/* RFC 9000 9: nobody moves before the handshake is confirmed, so its packets (and resets) count from
 * the known address only. The unspecified address stands for whoever answers. */
static bool is_from_peer(const quic_conn *conn, const quic_rx_unit *unit)
{
    static const uint8_t any[16];
    const quic_addr *peer = &quic_conn_path(conn)->remote;
    const quic_addr *from = &unit->path.remote;
    return peer->port == from->port && (memcmp(peer->ip, from->ip, sizeof(any)) == 0 ||
                                        memcmp(peer->ip, any, sizeof(any)) == 0);
}

/* The connection that has ended and that a short header is addressed to; NULL: none. */
static quic_tombstone *stone_of_short(const quic_endpoint *ep, const uint8_t *data, uint32_t len)
{
    const size_t cid_len = ep->env.cid_format.len;
    return len > cid_len ? quic_tombstones_find(&ep->tombstones, data + 1, cid_len) : NULL;
}

/* RFC 9000 10.3, 10.3.1: what belongs to no connection, and ends in the token of one, is a reset of that: with a long
 * header, too, as other versions may have them. */
static bool take_reset(quic_endpoint *ep, const quic_rx_unit *unit, const uint8_t *data,
                       uint32_t len, quic_ns now)
{
    if (len < QUIC_RESET_LEN_MIN) {
        return false;
    }
    quic_conn *conn =
        quic_reset_table_find(&ep->env.reset_tokens, data + len - QUIC_RESET_TOKEN_LEN);
    if (conn == NULL || !is_from_peer(conn, unit)) {
        return false;
    }
    quic_conn_recv_stateless_reset(conn, now);
    return true;
}

static void on_unknown_short(quic_endpoint *ep, const quic_rx_unit *unit, const uint8_t *data,
                             uint32_t len, quic_ns now)
{
    if (take_reset(ep, unit, data, len, now)) {
        return;
    }
    const uint8_t cid_len = ep->env.cid_format.len;
    quic_tombstone *stone = stone_of_short(ep, data, len);
    ep->counters.drop_unknown_cid++;
    if (stone != NULL) {
        quic_endpoint_answer_closed(ep, &unit->path, stone, len);
        return;
    }
    /* Late packets to a connection ID that its peer has just retired get a reset, too (RFC 9000 10.3 lets us): the
     * peer, which has sent no such packet since, must not look at that token any more (10.3.1), and what is lost
     * with them is sent again. To know these IDs for a while would cost every connection a place and a deadline for
     * each, to spare a small datagram that the rates below bound. */
    if (len >= 1u + cid_len && is_ours(ep, data + 1, cid_len) &&
        quic_endpoint_may_answer(ep, &unit->path, now)) {
        quic_endpoint_answer_reset(ep, &unit->path, data + 1, len, now);
    }
}

/* The least a 1-RTT packet with this first byte has: packet number and sample, or, without protection,
 * packet number and a frame. */
static uint32_t conn_len_min(const quic_endpoint *ep, const quic_conn *conn, uint8_t first)
{
    return quic_conn_takes_plain(conn)
               ? 1u + ep->env.cid_format.len + quic_header_pn_len(first) + 1u
               : short_len_min(ep);
}

/* Too short for a protected packet: one of a connection that has none, or at best a reset. One with a
 * CID in use must not draw a reset that would end that connection. */
static void recv_tiny(quic_endpoint *ep, const quic_rx_unit *unit, uint8_t *data, uint32_t len,
                      quic_ns now)
{
    const size_t cid_len = ep->env.cid_format.len;
    quic_conn *conn =
        len < 1 + cid_len ? NULL : quic_cid_table_find(&ep->env.cids, data + 1, cid_len);
    if (conn != NULL && len >= conn_len_min(ep, conn, data[0]) &&
        is_short(data[0], quic_conn_fixed_bit(conn)) &&
        quic_conn_recv_datagrams(conn, len, &unit->path, data + 1)) {
        quic_conn_recv_short(conn, data, 1, len, len, unit->ecn, now);
        quic_conn_recv_done(conn);
    } else if (conn != NULL ||
               (len < QUIC_RESET_LEN_MIN && stone_of_short(ep, data, len) == NULL)) {
        ep->counters.drop_malformed++;
    } else {
        on_unknown_short(ep, unit, data, len, now);
    }
}

/* Asked for every datagram of a train: no call for connection IDs of the usual length. */
static inline bool is_same_dcid(const uint8_t *a, const uint8_t *b, size_t len)
{
    return QUIC_LIKELY(len == 8) ? quic_load_be64(a) == quic_load_be64(b) : memcmp(a, b, len) == 0;
}

/* Consecutive datagrams of a train with short headers and the same DCID go to their connection at
 * once: one look-up, one batch of header-protection masks. Returns the bytes taken. */
static uint32_t recv_short_run(quic_endpoint *ep, quic_rx_unit *unit, uint32_t off, quic_ns now)
{
    uint8_t *data = unit->data + off;
    const size_t cid_len = ep->env.cid_format.len;
    const uint32_t len_min = short_len_min(ep);
    uint32_t left = unit->len - off;
    uint32_t len = left < unit->seg_len ? left : unit->seg_len;
    if (!is_short(data[0], ep->fixed_bit)) {
        ep->counters.drop_malformed++;
        return len;
    }
    if (len < len_min) {
        recv_tiny(ep, unit, data, len, now);
        return len;
    }
    const uint32_t last = ep->cid_hint;
    const bool was_long_ago = now - ep->recv_ns > NEAR_NS;
    ep->recv_ns = now;
    quic_conn *conn = quic_cid_table_find_hinted(&ep->env.cids, &ep->cid_hint, data + 1, cid_len);
    if (conn == NULL) {
        on_unknown_short(ep, unit, data, len, now);
        return len;
    }
    /* What the connection of the last one touches is near. */
    if ((unit->hint == 0 && (ep->cid_hint != last || was_long_ago)) || off != 0) {
        quic_conn_fetch(conn);
    }
    const uint8_t fixed_bit = quic_conn_fixed_bit(conn);
    if (!is_short(data[0], fixed_bit)) {
        ep->counters.drop_malformed++;
        return len;
    }
    uint32_t count = 1;
    uint32_t taken = len;
    while (taken < left) {
        const uint8_t *next = data + taken;
        uint32_t next_len = left - taken < unit->seg_len ? left - taken : unit->seg_len;
        if (next_len < len_min || !is_short(next[0], fixed_bit) ||
            !is_same_dcid(next + 1, data + 1, cid_len)) {
            break;
        }
        count++;
        taken += next_len;
        len = next_len;
    }
    if (!quic_conn_recv_datagrams(conn, taken, &unit->path, data + 1)) {
        ep->counters.drop_unknown_cid += count;
        return taken;
    }
    quic_conn_recv_short(conn, data, count, unit->seg_len, len, unit->ecn, now);
    quic_conn_recv_done(conn);
    return taken;
}

/* RFC 9000 12.2: packets coalesced into one datagram; those for another DCID than the first one's are
 * ignored. The first packet's header was parsed already; `opened`: it is the one its connection was made for. */
static void recv_coalesced(quic_endpoint *ep, quic_conn *conn, quic_rx_unit *unit, uint8_t *data,
                           uint32_t len, quic_long_header *h, const quic_opened_initial *opened,
                           quic_ns now)
{
    quic_counters *counters = &ep->counters;
    uint8_t dcid[QUIC_CID_LEN_MAX];
    uint8_t dcid_len = h->dcid_len;
    const uint8_t fixed_bit = quic_conn_fixed_bit(conn);
    memcpy(dcid, h->dcid, dcid_len);
    size_t off = 0;
    if (!quic_conn_recv_datagrams(conn, len, &unit->path, NULL)) {
        counters->drop_unknown_cid++;
        return;
    }
    for (uint32_t i = 0; i < QUIC_ENDPOINT_COALESCED_MAX; i++) {
        if (QUIC_UNLIKELY(opened != NULL) && i == 0) {
            quic_conn_recv_opened(conn, data, h, opened, unit->ecn, now);
        } else {
            quic_conn_recv_long(conn, data + off, h, len, unit->ecn, now);
        }
        off += h->packet_len;
        size_t left = len - off;
        if (left == 0) {
            break;
        }
        if (!quic_header_is_long(data[off])) {
            if (left >= conn_len_min(ep, conn, data[off]) && is_short(data[off], fixed_bit) &&
                dcid_len == ep->env.cid_format.len && memcmp(data + off + 1, dcid, dcid_len) == 0) {
                quic_conn_recv_short(conn, data + off, 1, (uint32_t)left, (uint32_t)left, unit->ecn,
                                     now);
            } else {
                counters->drop_malformed++;
            }
            break;
        }
        if (quic_header_decode_long(h, data + off, left, QUIC_VERSIONS_ALL) != QUIC_OK ||
            (h->first & fixed_bit) != fixed_bit || h->type > QUIC_PACKET_HANDSHAKE ||
            h->dcid_len != dcid_len || memcmp(h->dcid, dcid, dcid_len) != 0) {
            counters->drop_malformed++;
            break;
        }
    }
    quic_conn_recv_done(conn);
}

/* A packet of version `version` for nobody here, if it is one: the listener knows which versions there
 * are, and what else is a packet by the rules of RFC 8999 is answered with its list when the datagram is
 * large enough (RFC 9000 5.2.2, 6.1). False: that was done. */
static bool version_is_served(quic_endpoint *ep, const quic_rx_unit *unit, const uint8_t *data,
                              uint32_t len, uint32_t version, quic_ns now)
{
    quic_long_header h;
    const quic_accept_config *accept = quic_endpoint_listener(ep, unit->path.socket);
    if (accept == NULL || (quic_version_bit(version) & accept->limits.versions) != 0 ||
        quic_header_decode_long(&h, data, len, accept->limits.versions) != QUIC_OK ||
        h.type != QUIC_PACKET_UNKNOWN_VERSION) {
        return true;
    }
    if (len >= QUIC_MIN_INITIAL_LEN && !ep->refuse_new &&
        quic_endpoint_may_answer(ep, &unit->path, now)) {
        quic_endpoint_answer_version(ep, &unit->path, &h, accept->limits.versions, now);
    } else {
        ep->counters.drop_malformed++;
    }
    return false;
}

/* RFC 9000 5.2.2 has an Initial begin a connection; here only where the runtime would bring its next
 * packets, too. */
static bool may_begin(const quic_endpoint *ep, const quic_rx_unit *unit, const quic_long_header *h)
{
    if (h->dcid_len == 0 || is_ours(ep, h->dcid, h->dcid_len)) {
        return true;
    }
    const quic_accept_config *accept = quic_endpoint_listener(ep, unit->path.socket);
    return accept != NULL && accept->any_worker;
}

static void recv_for_conn(quic_endpoint *ep, quic_conn *conn, quic_rx_unit *unit, uint8_t *data,
                          uint32_t len, quic_long_header *h, quic_ns now)
{
    const uint8_t fixed_bit = quic_conn_fixed_bit(conn);
    if (!is_from_peer(conn, unit)) {
        ep->counters.drop_unknown_cid++;
    } else if (h->type == QUIC_PACKET_VN) { /* RFC 8999 6: its other bits mean nothing */
        quic_conn_recv_version_negotiation(conn, h, now);
    } else if ((h->first & fixed_bit) != fixed_bit) {
        ep->counters.drop_malformed++;
    } else if (h->type == QUIC_PACKET_RETRY) {
        quic_conn_recv_retry(conn, data, h, now);
    } else {
        recv_coalesced(ep, conn, unit, data, len, h, NULL, now);
    }
}

static void recv_long(quic_endpoint *ep, quic_rx_unit *unit, uint8_t *data, uint32_t len,
                      quic_ns now)
{
    quic_long_header h;
    quic_rc rc = quic_header_decode_long(&h, data, len, QUIC_VERSIONS_ALL);
    quic_conn *conn = NULL;
    if (rc == QUIC_OK && h.type != QUIC_PACKET_UNKNOWN_VERSION) {
        conn = quic_cid_table_find(&ep->env.cids, h.dcid, h.dcid_len);
    }
    if (conn != NULL) {
        recv_for_conn(ep, conn, unit, data, len, &h, now);
        return;
    }
    if (take_reset(ep, unit, data, len, now)) {
        return;
    }
    /* RFC 9000 5.2, 6: a packet of another version is none of that connection's, and a list of versions no packet. */
    const bool is_of_conn =
        rc == QUIC_OK && h.type != QUIC_PACKET_UNKNOWN_VERSION && h.type != QUIC_PACKET_VN;
    quic_tombstone *stone =
        is_of_conn ? quic_tombstones_find(&ep->tombstones, h.dcid, h.dcid_len) : NULL;
    if (stone != NULL) {
        ep->counters.drop_unknown_cid++;
        quic_endpoint_answer_closed(ep, &unit->path, stone, len);
        return;
    }
    if (!version_is_served(ep, unit, data, len, rc == QUIC_OK ? h.version : 0, now)) {
        return;
    }
    if (rc != QUIC_OK) {
        ep->counters.drop_malformed++;
        return;
    }
    if (h.type != QUIC_PACKET_INITIAL || !may_begin(ep, unit, &h)) {
        ep->counters.drop_unknown_cid++;
        return;
    }
    quic_opened_initial opened;
    conn = quic_endpoint_accept(ep, &opened, unit, data, &h, len, now);
    if (conn != NULL) {
        recv_coalesced(ep, conn, unit, data, len, &h, &opened, now);
    }
}

void quic_endpoint_expect(const quic_endpoint *ep, quic_rx_unit *unit)
{
    const uint8_t cid_len = ep->env.cid_format.len;
    if (unit->len > cid_len && !quic_header_is_long(unit->data[0])) {
        unit->hint =
            1 + quic_cid_table_expect(&ep->env.cids, ep->cid_hint, unit->data + 1, cid_len);
    }
}

void quic_endpoint_fetch(const quic_endpoint *ep, quic_rx_unit *unit, quic_fetch_step step)
{
    if (unit->hint == 0) {
        return;
    }
    uint32_t hint = unit->hint - 1;
    const quic_conn *conn =
        quic_cid_table_find_hinted(&ep->env.cids, &hint, unit->data + 1, ep->env.cid_format.len);
    unit->hint = hint + 1;
    if (conn == NULL) {
        return;
    }
    if (step == QUIC_FETCH_CONN) {
        quic_conn_fetch(conn);
    } else if (step == QUIC_FETCH_FAR) {
        quic_conn_fetch_far(conn);
    } else {
        quic_conn_fetch_keys(conn, true);
    }
}

void quic_endpoint_recv(quic_endpoint *ep, quic_rx_unit *unit, quic_ns now)
{
    uint32_t off = 0;
    ep->env.now = now;
    ep->counters.bytes_recv += unit->len;
    ep->cid_hint = unit->hint != 0 ? unit->hint - 1 : ep->cid_hint;
    if (QUIC_UNLIKELY(unit->len == 0 || unit->seg_len == 0 ||
                      (unit->seg_len > ep->udp_payload_max && unit->len > ep->udp_payload_max))) {
        /* Nothing at all, or more than we said to anybody we would take (RFC 9000 18.2). */
        ep->counters.datagrams_recv++;
        ep->counters.drop_malformed++;
        return;
    }
    while (off < unit->len) {
        uint8_t *data = unit->data + off;
        if (!quic_header_is_long(data[0])) {
            uint32_t taken = recv_short_run(ep, unit, off, now);
            ep->counters.datagrams_recv += (taken + unit->seg_len - 1) / unit->seg_len;
            off += taken;
        } else {
            uint32_t left = unit->len - off;
            uint32_t len = left < unit->seg_len ? left : unit->seg_len;
            ep->counters.datagrams_recv++;
            recv_long(ep, unit, data, len, now);
            off += len;
        }
    }
}

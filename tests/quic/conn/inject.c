#include "tests/quic/conn/inject.h"

#include <string.h>

#include "quic/conn/conn_internal.h"

#define PN_LEN QUIC_PN_LEN_MAX

static size_t encode_header(const quic_conn *conn, quic_level level, uint32_t flags, uint64_t pn,
                            uint8_t *out, size_t cap, size_t *out_len_off)
{
    const quic_cid *dcid = quic_cid_peer_current(&conn->cids_peer);
    if (level == QUIC_LEVEL_APP) {
        bool phase = conn->tx_phase != ((flags & INJECT_OTHER_PHASE) != 0);
        return quic_header_encode_short(out, cap, dcid, phase ? QUIC_HEADER_KEY_PHASE_BIT : 0, pn,
                                        PN_LEN);
    }
    quic_cid scid = conn->initial_scid;
    if ((flags & INJECT_OTHER_SCID) != 0) {
        scid.bytes[7] ^= 1;
    }
    quic_long_header_spec spec;
    memset(&spec, 0, sizeof(spec));
    spec.type = level == QUIC_LEVEL_INITIAL ? QUIC_PACKET_INITIAL
                : level == QUIC_LEVEL_EARLY ? QUIC_PACKET_0RTT
                                            : QUIC_PACKET_HANDSHAKE;
    spec.version = level == QUIC_LEVEL_EARLY ? conn->version.chosen : conn->version.current;
    spec.dcid = dcid;
    spec.scid = &scid;
    spec.token = conn->token;
    spec.token_len = conn->token_len;
    spec.pn = pn;
    spec.pn_len = PN_LEN;
    return quic_header_encode_long(out, cap, out_len_off, &spec);
}

static quic_keys *keys_of(const quic_conn *conn, quic_level level)
{
    if (level == QUIC_LEVEL_EARLY) {
        return conn->early != NULL ? conn->early->keys : NULL;
    }
    return conn->spaces[quic_conn_space_of(level)].tx;
}

/* RFC 9001 5.4.1 */
static void protect_header(const quic_keys *keys, uint8_t *packet, size_t hdr, bool is_short)
{
    uint8_t mask[16];
    uint8_t *pn = packet + hdr - PN_LEN;
    quic_keys_hp_mask(keys, pn + QUIC_PN_LEN_MAX, mask);
    packet[0] ^= mask[0] & (is_short ? 0x1f : 0x0f);
    for (size_t i = 0; i < PN_LEN; i++) {
        pn[i] ^= mask[1 + i];
    }
}

static size_t make(quic_conn *conn, quic_keys *keys, quic_level level, uint32_t flags,
                   const uint8_t *frames, size_t len, uint8_t *out, size_t cap)
{
    quic_space space = quic_conn_space_of(level);
    quic_sent_map *map = quic_recovery_map(&conn->recovery, space);
    size_t len_off = 0;
    const bool ahead = (flags & INJECT_AHEAD) != 0;
    const uint64_t pn = quic_sent_map_next_pn(map) + (ahead ? 16 : 0);
    if (keys == NULL || !quic_conn_is_open(conn) || quic_keys_wake(keys) != QUIC_OK) {
        return 0;
    }
    quic_sent_packet *sent = ahead ? NULL : quic_sent_map_add(map, pn);
    if (sent == NULL && !ahead) {
        return 0;
    }
    size_t hdr = encode_header(conn, level, flags, pn, out, cap, &len_off);
    size_t pad = 0;
    if (space == QUIC_SPACE_INITIAL && hdr + len + QUIC_AEAD_TAG_LEN < QUIC_MIN_INITIAL_LEN) {
        pad = QUIC_MIN_INITIAL_LEN - hdr - len - QUIC_AEAD_TAG_LEN;
    }
    size_t total = hdr + pad + len + QUIC_AEAD_TAG_LEN;
    QURING_ASSERT(hdr > 0 && total <= cap);
    memset(out + hdr, 0, pad); /* before the frames: a STREAM frame may reach to the end */
    if (len > 0) {
        memcpy(out + hdr + pad, frames, len);
    }
    if (level != QUIC_LEVEL_APP) {
        quic_header_patch_len(out, len_off, PN_LEN + pad + len + QUIC_AEAD_TAG_LEN);
    }
    if ((flags & INJECT_RESERVED_BITS) != 0) {
        out[0] |= 0x08;
    }
    if ((flags & INJECT_NO_FIXED_BIT) != 0) {
        out[0] &= (uint8_t)~QUIC_HEADER_FIXED_BIT;
    }
    quic_keys_seal(keys, pn, out, hdr, out + hdr, pad + len);
    protect_header(keys, out, hdr, level == QUIC_LEVEL_APP);
    if ((flags & INJECT_FLIP_TAG) != 0) {
        out[total - 1] ^= 1;
    }
    if (sent != NULL) {
        quic_recovery_on_sent(&conn->recovery, space, sent, (uint32_t)total, 0, conn->env->now);
    }
    return total;
}

size_t inject_make(quic_conn *conn, quic_level level, uint32_t flags, const uint8_t *frames,
                   size_t len, uint8_t *out, size_t cap)
{
    return make(conn, keys_of(conn, level), level, flags, frames, len, out, cap);
}

inject_keys *inject_keep_keys(const quic_conn *conn, quic_mem *mem)
{
    const quic_keys *tx = conn->spaces[QUIC_SPACE_APP].tx;
    quic_keys *copy = NULL;
    quic_rc rc = quic_keys_create(&copy, conn->env->crypto, mem, conn->version.current,
                                  quic_keys_suite(tx), tx->secret, tx->secret_len);
    QURING_ASSERT(rc == QUIC_OK);
    return (inject_keys *)copy;
}

size_t inject_make_kept(quic_conn *conn, inject_keys *keys, uint32_t flags, const uint8_t *frames,
                        size_t len, uint8_t *out, size_t cap)
{
    return make(conn, (quic_keys *)keys, QUIC_LEVEL_APP, flags, frames, len, out, cap);
}

void inject_free_keys(inject_keys *keys)
{
    quic_keys_destroy((quic_keys *)keys);
}

void inject_set_next_pn(quic_conn *conn, uint64_t pn)
{
    quic_sent_map *map = quic_recovery_map(&conn->recovery, QUIC_SPACE_APP);
    quic_sent_map_clear(map);
    conn->recovery.in_flight_bytes = 0;
    map->next_pn = pn;
    map->base_pn = pn;
    map->scan_pn = pn;
    conn->next_skip_pn = pn;
}

void inject_pass_streams(quic_conn *opener, quic_conn *other, bool uni, uint64_t count)
{
    unsigned type = (opener->role == QUIC_SERVER ? QUIC_STREAM_ID_SERVER : 0u) |
                    (uni ? QUIC_STREAM_ID_UNI : 0u);
    quic_stream_type_state *states[] = {&opener->streams.types[type], &other->streams.types[type]};
    for (int i = 0; i < 2; i++) {
        states[i]->opened += count;
        states[i]->closed += count;
        states[i]->max += count;
        states[i]->max = states[i]->max < QUIC_STREAMS_MAX ? states[i]->max : QUIC_STREAMS_MAX;
    }
}

void inject_snapshot(const quic_conn *conn, uint8_t *out)
{
    quic_conn copy = *conn;
    copy.bytes_recv = 0;
    copy.path.bytes_recv = 0;
    copy.rx_bytes = 0;
    copy.open_failed_total = 0;
    memcpy(out, &copy, sizeof(copy));
}

size_t inject_snapshot_len(void)
{
    return sizeof(quic_conn);
}

bool inject_has_keys(const quic_conn *conn, quic_level level, bool is_write)
{
    const quic_conn_space *space = &conn->spaces[quic_conn_space_of(level)];
    return (is_write ? space->tx : space->rx) != NULL;
}

void inject_wear_keys(quic_conn *conn, uint64_t count)
{
    conn->spaces[QUIC_SPACE_APP].tx->sealed_count = count;
    quic_conn_mark_dirty(conn);
}

void inject_rotate(quic_conn *conn)
{
    quic_conn_space *app = &conn->spaces[QUIC_SPACE_APP];
    quic_keys *next = NULL;
    quic_rc rc = quic_keys_update(&next, app->tx, &conn->mem);
    QURING_ASSERT(rc == QUIC_OK);
    quic_keys_destroy(app->tx);
    app->tx = next;
    conn->tx_phase = !conn->tx_phase;
}

void inject_stop_updates(quic_conn *conn)
{
    conn->key_update_unacked = true;
    conn->tx_phase_first_pn = QUIC_VARINT_MAX;
}

void inject_forget_forbidden(quic_conn *conn)
{
    conn->peer_forbids_moves = false;
}

uint64_t inject_next_pn(const quic_conn *conn)
{
    return quic_sent_map_next_pn(&conn->recovery.spaces[QUIC_SPACE_APP].map);
}

void inject_skip_next(quic_conn *conn)
{
    quic_sent_map *map = quic_recovery_map(&conn->recovery, QUIC_SPACE_APP);
    bool ok = quic_sent_map_skip(map, quic_sent_map_next_pn(map));
    QURING_ASSERT(ok);
}

bool inject_was_skipped(const quic_conn *conn, uint64_t lo, uint64_t hi)
{
    return quic_sent_map_has_skipped(&conn->recovery.spaces[QUIC_SPACE_APP].map, lo, hi);
}

void inject_cid_peer_uses(const quic_conn *conn, uint8_t out[8], uint64_t *out_seq)
{
    const quic_cid_peer_entry *e = &conn->cids_peer.entries[conn->cids_peer.current];
    memcpy(out, e->cid.bytes, 8);
    *out_seq = e->seq;
}

void inject_hold(quic_conn *conn, const uint8_t *data, size_t len)
{
    quic_conn_hold_packet(conn, data, len, len, 0);
}

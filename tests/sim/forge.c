#include "tests/sim/forge.h"

#include "quic/conn/conn_internal.h"

static uint64_t number_of(const quic_conn *conn, const uint8_t *packet, size_t pn_off)
{
    uint8_t pn_len = quic_header_pn_len(packet[0]);
    uint64_t next = quic_sent_map_next_pn(&conn->recovery.spaces[QUIC_SPACE_APP].map);
    return quic_pn_decode(quic_pn_load(packet + pn_off, pn_len), pn_len, next);
}

bool sim_forge_payload(quic_conn *conn, const uint8_t *packet, size_t len, size_t *out_off,
                       size_t *out_len)
{
    uint8_t sealed[2048];
    size_t pn_off = 0;
    quic_keys *keys = conn->spaces[QUIC_SPACE_APP].tx;
    if (keys == NULL || quic_keys_wake(keys) != QUIC_OK || len > sizeof(sealed) ||
        quic_header_is_long(packet[0]) ||
        quic_header_decode_short(&pn_off, packet, len,
                                 quic_cid_peer_current(&conn->cids_peer)->len) != QUIC_OK) {
        return false;
    }
    size_t hdr = pn_off + quic_header_pn_len(packet[0]);
    if (len < hdr + QUIC_AEAD_TAG_LEN) {
        return false;
    }
    *out_off = hdr;
    *out_len = len - hdr - QUIC_AEAD_TAG_LEN;
    quic_keys_seal_from(keys, number_of(conn, packet, pn_off), packet, hdr, sealed, packet + hdr,
                        *out_len);
    return memcmp(sealed + *out_len, packet + hdr + *out_len, QUIC_AEAD_TAG_LEN) == 0;
}

size_t sim_forge_reseal(quic_conn *conn, uint8_t *out, size_t cap, const uint8_t *packet,
                        size_t len, const uint8_t *frames, size_t frames_len)
{
    size_t pn_off = 1u + quic_cid_peer_current(&conn->cids_peer)->len;
    size_t hdr = pn_off + quic_header_pn_len(packet[0]);
    (void)len;
    if (hdr + frames_len + QUIC_AEAD_TAG_LEN > cap) {
        return 0;
    }
    memcpy(out, packet, hdr);
    quic_keys_seal_from(conn->spaces[QUIC_SPACE_APP].tx, number_of(conn, packet, pn_off), out, hdr,
                        out + hdr, frames, frames_len);
    return hdr + frames_len + QUIC_AEAD_TAG_LEN;
}

/* RFC 9000 2.1: the two low bits of an ID. */
static quic_stream_type_state *type_of(quic_conn *conn, bool uni, bool by_server)
{
    return &conn->streams.types[(uni ? 2 : 0) | (by_server ? 1 : 0)];
}

void sim_forge_claim_streams(quic_conn *conn, bool uni, uint64_t *out_first, uint64_t *out_end)
{
    quic_stream_type_state *t = type_of(conn, uni, conn->role == QUIC_SERVER);
    *out_first = t->opened;
    *out_end = t->max;
    if (t->opened < t->max) {
        t->closed += t->max - t->opened;
        t->opened = t->max;
    }
}

uint64_t sim_forge_peer_streams(const quic_conn *conn, bool uni)
{
    return conn->streams.types[(uni ? 2 : 0) | (conn->role == QUIC_SERVER ? 0 : 1)].opened;
}

uint64_t sim_forge_next_cid(const quic_conn *conn)
{
    return conn->cids_local.next_seq;
}

const quic_path_addr *sim_forge_path(const quic_conn *conn)
{
    return &conn->path.addr;
}

bool sim_forge_is_to_peer(const quic_conn *conn, const uint8_t *datagram, size_t len)
{
    const quic_cid *cid = quic_cid_peer_current(&conn->cids_peer);
    return len > 1u + cid->len && !quic_header_is_long(datagram[0]) &&
           memcmp(cid->bytes, datagram + 1, cid->len) == 0;
}

#include "quic/wire/header.h"

#include "quic/base/check.h"
#include "quic/wire/varint.h"

/* Header protection samples 16 bytes starting 4 after the packet number's first: RFC 9001 5.4.2. */
#define PN_AND_SAMPLE_LEN (QUIC_PN_LEN_MAX + QUIC_AEAD_TAG_LEN)

#define TYPE_SHIFT 4u
#define TYPE_MASK  0x03u

static quic_rc decode_vn(quic_long_header *out, const quic_reader *r, size_t len)
{
    size_t left = quic_reader_left(r);
    if (left == 0 || left % 4 != 0) { /* RFC 8999 6 */
        return QUIC_E_DROP;
    }
    out->type = QUIC_PACKET_VN;
    out->versions = r->p;
    out->version_count = (uint32_t)(left / 4);
    out->packet_len = len;
    return QUIC_OK;
}

static quic_rc decode_retry(quic_long_header *out, const quic_reader *r, size_t len)
{
    size_t left = quic_reader_left(r);
    if (left <= QUIC_RETRY_TAG_LEN) { /* RFC 9000 17.2.5.2: an empty token is discarded */
        return QUIC_E_DROP;
    }
    out->token = r->p;
    out->token_len = left - QUIC_RETRY_TAG_LEN;
    out->retry_tag = r->end - QUIC_RETRY_TAG_LEN;
    out->packet_len = len;
    return QUIC_OK;
}

/* The type bits of a packet type: in version 2 one more, modulo 4 (RFC 9369 3.2). */
static unsigned type_bits(uint32_t version, quic_packet_type type)
{
    return ((unsigned)type + (version == QUIC_VERSION_2)) & TYPE_MASK;
}

static quic_packet_type type_of(uint32_t version, uint8_t first)
{
    return (quic_packet_type)(((first >> TYPE_SHIFT) - (version == QUIC_VERSION_2)) & TYPE_MASK);
}

/* The part of a version 1 or 2 header behind the connection IDs. */
static quic_rc decode_known(quic_long_header *out, quic_reader *r, const uint8_t *data, size_t len)
{
    /* RFC 9000 17.2: longer CIDs are not of these versions. */
    if (out->dcid_len > QUIC_CID_LEN_MAX || out->scid_len > QUIC_CID_LEN_MAX) {
        return QUIC_E_DROP;
    }
    out->type = type_of(out->version, out->first);
    if (out->type == QUIC_PACKET_RETRY) {
        return decode_retry(out, r, len);
    }
    if (out->type == QUIC_PACKET_INITIAL) {
        uint64_t token_len;
        if (!quic_reader_varint(r, &token_len) || token_len > quic_reader_left(r) ||
            !quic_reader_bytes(r, &out->token, (size_t)token_len)) {
            return QUIC_E_DROP;
        }
        out->token_len = (size_t)token_len;
    }
    uint64_t length;
    if (!quic_reader_varint(r, &length) || length > quic_reader_left(r) ||
        length < PN_AND_SAMPLE_LEN) {
        return QUIC_E_DROP;
    }
    out->pn_offset = (size_t)(r->p - data);
    out->payload_len = (size_t)length;
    out->packet_len = out->pn_offset + out->payload_len;
    return QUIC_OK;
}

quic_rc quic_header_decode_long(quic_long_header *out, const uint8_t *data, size_t len,
                                uint32_t versions)
{
    memset(out, 0, sizeof(*out));
    quic_reader r = quic_reader_make(data, len);
    if (!quic_reader_u8(&r, &out->first) || !quic_header_is_long(out->first) ||
        !quic_reader_u32(&r, &out->version) || !quic_reader_u8(&r, &out->dcid_len) ||
        !quic_reader_bytes(&r, &out->dcid, out->dcid_len) || !quic_reader_u8(&r, &out->scid_len) ||
        !quic_reader_bytes(&r, &out->scid, out->scid_len)) {
        return QUIC_E_DROP;
    }
    if (QUIC_LIKELY((quic_version_bit(out->version) & versions) != 0)) {
        return decode_known(out, &r, data, len);
    }
    if (out->version == 0) {
        return decode_vn(out, &r, len);
    }
    out->type = QUIC_PACKET_UNKNOWN_VERSION;
    out->packet_len = len;
    return QUIC_OK;
}

size_t quic_header_long_len(const quic_long_header_spec *spec)
{
    size_t len = 1u + 4u + 1u + spec->dcid->len + 1u + spec->scid->len + 2u + spec->pn_len;
    if (spec->type == QUIC_PACKET_INITIAL) {
        len += quic_varint_len(spec->token_len) + spec->token_len;
    }
    return len;
}

static uint8_t *write_cid(uint8_t *p, const uint8_t *bytes, size_t len)
{
    *p++ = (uint8_t)len;
    if (len > 0) {
        memcpy(p, bytes, len);
    }
    return p + len;
}

size_t quic_header_encode_long(uint8_t *p, size_t room, size_t *out_len_offset,
                               const quic_long_header_spec *spec)
{
    QURING_ASSERT(spec->type <= QUIC_PACKET_HANDSHAKE);
    QURING_ASSERT(spec->pn_len >= 1 && spec->pn_len <= QUIC_PN_LEN_MAX);
    size_t need = quic_header_long_len(spec);
    if (room < need) {
        return 0;
    }
    uint8_t *q = p;
    *q++ = (uint8_t)(QUIC_HEADER_LONG_BIT | (spec->clear_fixed_bit ? 0 : QUIC_HEADER_FIXED_BIT) |
                     type_bits(spec->version, spec->type) << TYPE_SHIFT | (spec->pn_len - 1u));
    quic_store_be32(q, spec->version);
    q = write_cid(q + 4, spec->dcid->bytes, spec->dcid->len);
    q = write_cid(q, spec->scid->bytes, spec->scid->len);
    if (spec->type == QUIC_PACKET_INITIAL) {
        q += quic_varint_encode(q, spec->token_len);
        if (spec->token_len > 0) {
            memcpy(q, spec->token, spec->token_len);
            q += spec->token_len;
        }
    }
    *out_len_offset = (size_t)(q - p);
    quic_header_patch_len(p, *out_len_offset, 0);
    quic_pn_encode(q + 2, spec->pn, spec->pn_len);
    return need;
}

size_t quic_header_encode_vn(uint8_t *p, size_t room, uint8_t random, quic_reader dcid,
                             quic_reader scid, const uint32_t *versions, size_t version_count)
{
    size_t dcid_len = quic_reader_left(&dcid);
    size_t scid_len = quic_reader_left(&scid);
    QURING_ASSERT(dcid_len <= UINT8_MAX && scid_len <= UINT8_MAX);
    size_t need = 1 + 4 + 1 + dcid_len + 1 + scid_len + 4 * version_count;
    if (room < need) {
        return 0;
    }
    /* RFC 9000 17.2.1: the second bit is set for the benefit of demultiplexers. */
    p[0] = (uint8_t)(QUIC_HEADER_LONG_BIT | QUIC_HEADER_FIXED_BIT | random);
    quic_store_be32(p + 1, 0);
    uint8_t *q = write_cid(p + 5, dcid.p, dcid_len);
    q = write_cid(q, scid.p, scid_len);
    for (size_t i = 0; i < version_count; i++) {
        quic_store_be32(q, versions[i]);
        q += 4;
    }
    return need;
}

size_t quic_header_encode_retry(uint8_t *p, size_t room, uint32_t version, uint8_t random,
                                const quic_cid *dcid, const quic_cid *scid, const uint8_t *token,
                                size_t token_len)
{
    size_t need = 1u + 4u + 1u + dcid->len + 1u + scid->len + token_len;
    if (room < need) {
        return 0;
    }
    p[0] = (uint8_t)(QUIC_HEADER_LONG_BIT | QUIC_HEADER_FIXED_BIT |
                     type_bits(version, QUIC_PACKET_RETRY) << TYPE_SHIFT | (random & 0x0fu));
    quic_store_be32(p + 1, version);
    uint8_t *q = write_cid(p + 5, dcid->bytes, dcid->len);
    q = write_cid(q, scid->bytes, scid->len);
    memcpy(q, token, token_len);
    return need;
}

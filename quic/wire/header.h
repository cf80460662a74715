/* quic/wire/header.h: packet headers: the version-independent part, long headers of versions 1 and 2,
 * short headers, Version Negotiation and Retry.
 *
 * Shape:  decoders give views into the datagram and offsets into it; encoders write at p within `room`
 *         and return the bytes written, 0 when there is no room. Header protection is not applied
 *         here: the low bits of the first byte and the packet number are read elsewhere.
 * Spec:   RFC 9000 17, RFC 9369 3.2, RFC 8999.
 */
#ifndef QUIC_WIRE_HEADER_H
#define QUIC_WIRE_HEADER_H

#include "quic/base/bytes.h"
#include "quic/base/types.h"
#include "quic/wire/packet_number.h"
#include "quic/wire/version.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_HEADER_LONG_BIT       0x80u
#define QUIC_HEADER_FIXED_BIT      0x40u
#define QUIC_HEADER_SPIN_BIT       0x20u
#define QUIC_HEADER_KEY_PHASE_BIT  0x04u
#define QUIC_HEADER_LONG_RESERVED  0x0cu /* must be 0 after unprotecting, RFC 9000 17.2 */
#define QUIC_HEADER_SHORT_RESERVED 0x18u /* RFC 9000 17.3.1 */
#define QUIC_RETRY_TAG_LEN         16u
#define QUIC_HEADER_LENGTH_MAX     16383u /* what the 2-byte Length field of our long headers holds */

/* The first four match quic_level and version 1 on the wire (RFC 9000 table 5; version 2: RFC 9369 3.2).
 */
typedef enum quic_packet_type {
    QUIC_PACKET_INITIAL = 0,
    QUIC_PACKET_0RTT = 1,
    QUIC_PACKET_HANDSHAKE = 2,
    QUIC_PACKET_RETRY = 3,
    QUIC_PACKET_SHORT = 4,
    QUIC_PACKET_VN = 5,
    QUIC_PACKET_UNKNOWN_VERSION = 6, /* only version, dcid, scid are known */
} quic_packet_type;

typedef struct quic_long_header {
    quic_packet_type type; /* never QUIC_PACKET_SHORT */
    uint32_t version;
    uint8_t first;    /* first byte, still protected */
    uint8_t dcid_len; /* at most 20 but for UNKNOWN_VERSION and VN: up to 255 */
    uint8_t scid_len;
    const uint8_t *dcid; /* views into the datagram */
    const uint8_t *scid;
    const uint8_t *token; /* Initial: token; Retry: retry token; else NULL */
    size_t token_len;
    const uint8_t *retry_tag; /* Retry: its last 16 bytes */
    const uint8_t *versions;  /* VN: see quic_header_vn_version */
    uint32_t version_count;
    size_t pn_offset;   /* from the packet's first byte (Initial, 0-RTT, Handshake) */
    size_t payload_len; /* the Length field: packet number, payload and tag */
    size_t packet_len;  /* whole packet; what follows in the datagram is another one */
} quic_long_header;

static inline bool quic_header_is_long(uint8_t first)
{
    return (first & QUIC_HEADER_LONG_BIT) != 0;
}

/* quic_header_has_fixed_bit: a packet of a known version without it is dropped, unless its sender was
 * told that the bit need not be set (RFC 9000 17.2, 17.3.1; RFC 9287 3). */
static inline bool quic_header_has_fixed_bit(uint8_t first)
{
    return (first & QUIC_HEADER_FIXED_BIT) != 0;
}

/* quic_header_pn_len, _key_phase, _spin read an unprotected first byte. */
static inline uint8_t quic_header_pn_len(uint8_t first)
{
    return (uint8_t)((first & 0x03) + 1);
}

static inline bool quic_header_key_phase(uint8_t first)
{
    return (first & QUIC_HEADER_KEY_PHASE_BIT) != 0;
}

static inline bool quic_header_spin(uint8_t first)
{
    return (first & QUIC_HEADER_SPIN_BIT) != 0;
}

/* quic_header_type_level: the encryption level of an Initial, 0-RTT, Handshake or short packet. */
static inline quic_level quic_header_type_level(quic_packet_type type)
{
    return type == QUIC_PACKET_SHORT ? QUIC_LEVEL_APP : (quic_level)type;
}

/* quic_header_decode_short parses a short header packet whose destination CID has `cid_len` bytes: it
 * starts at data + 1 and the packet number at data + 1 + cid_len = *out_pn_offset.
 * Returns QUIC_OK; QUIC_E_DROP when the fixed bit is 0 (RFC 9000 17.3.1) or the packet is too short to
 * hold a packet number, header protection sample and tag (RFC 9001 5.4.2). */
QUIC_NODISCARD static inline quic_rc
quic_header_decode_short(size_t *out_pn_offset, const uint8_t *data, size_t len, size_t cid_len)
{
    if (QUIC_UNLIKELY(len < 1 + cid_len + QUIC_PN_LEN_MAX + QUIC_AEAD_TAG_LEN)) {
        return QUIC_E_DROP;
    }
    if (QUIC_UNLIKELY((data[0] & (QUIC_HEADER_LONG_BIT | QUIC_HEADER_FIXED_BIT)) !=
                      QUIC_HEADER_FIXED_BIT)) {
        return QUIC_E_DROP;
    }
    *out_pn_offset = 1 + cid_len;
    return QUIC_OK;
}

/* quic_header_decode_long parses a long header of any version at the start of `data`, for an endpoint
 * that speaks `versions` (QUIC_VERSIONS_*). Those give everything; version 0 is VN with at least one
 * version; any other version is UNKNOWN_VERSION with the invariant fields and packet_len = len.
 * Returns QUIC_OK; QUIC_E_DROP for a packet cut short, not a long header, a known version with a CID
 * longer than 20 bytes, a Length that exceeds the datagram or leaves no room for the header protection
 * sample, a Retry without token or tag. *out is then undefined. Whether the fixed bit may be 0 is the
 * caller's to know: see quic_header_has_fixed_bit. */
QUIC_NODISCARD quic_rc quic_header_decode_long(quic_long_header *out, const uint8_t *data,
                                               size_t len, uint32_t versions);

/* quic_header_vn_version gives version `i` (< version_count) of a VN packet. */
static inline uint32_t quic_header_vn_version(const quic_long_header *h, uint32_t i)
{
    return quic_load_be32(h->versions + 4 * (size_t)i);
}

/* What quic_header_encode_long writes. */
typedef struct quic_long_header_spec {
    quic_packet_type type; /* INITIAL, 0RTT, HANDSHAKE */
    uint32_t version;      /* QUIC_VERSION_2 changes the type bits, RFC 9369 3.2 */
    const quic_cid *dcid;
    const quic_cid *scid;
    const uint8_t *token; /* Initial only */
    size_t token_len;
    uint64_t pn;
    uint8_t pn_len;       /* 1..4 */
    bool clear_fixed_bit; /* RFC 9287 3.1: only for a peer that said it takes that */
} quic_long_header_spec;

/* quic_header_encode_long writes a header up to and including the packet number. The Length field has
 * 2 bytes at p + *out_len_offset, to be set with quic_header_patch_len; the packet number follows it.
 * Returns the bytes written, 0 when `room` is too small. */
QUIC_NODISCARD size_t quic_header_encode_long(uint8_t *p, size_t room, size_t *out_len_offset,
                                              const quic_long_header_spec *spec);

/* quic_header_long_len: bytes quic_header_encode_long needs. */
size_t quic_header_long_len(const quic_long_header_spec *spec);

/* quic_header_patch_len sets the Length field: `length` (<= QUIC_HEADER_LENGTH_MAX) counts the packet
 * number, payload and tag. */
static inline void quic_header_patch_len(uint8_t *p, size_t len_offset, size_t length)
{
    quic_store_be16(p + len_offset, (uint16_t)(0x4000u | length));
}

/* quic_header_encode_short writes a short header with packet number. Returns the bytes written
 * (1 + dcid->len + pn_len), 0 when `room` is too small. */
QUIC_NODISCARD static inline size_t quic_header_encode_short(uint8_t *p, size_t room,
                                                             const quic_cid *dcid, uint8_t flags,
                                                             uint64_t pn, uint8_t pn_len)
{ /* flags: QUIC_HEADER_SPIN_BIT | QUIC_HEADER_KEY_PHASE_BIT; QUIC_HEADER_FIXED_BIT clears that one */
    size_t need = 1u + dcid->len + pn_len;
    if (QUIC_UNLIKELY(room < need)) {
        return 0;
    }
    p[0] = (uint8_t)((QUIC_HEADER_FIXED_BIT ^ flags) | (pn_len - 1u));
    if (QUIC_LIKELY(room >= 1u + QUIC_CID_LEN_MAX)) {
        memcpy(p + 1, dcid->bytes, QUIC_CID_LEN_MAX); /* of a fixed size: two moves */
    } else {
        memcpy(p + 1, dcid->bytes, dcid->len);
    }
    quic_pn_encode(p + 1 + dcid->len, pn, pn_len);
    return need;
}

/* quic_header_encode_vn writes a Version Negotiation packet (RFC 9000 17.2.1): `dcid` is the SCID of
 * the packet it answers and the other way round, up to 255 bytes each; `random` fills the unused bits
 * of the first byte. Returns the bytes written, 0 when `room` is too small. */
QUIC_NODISCARD size_t quic_header_encode_vn(uint8_t *p, size_t room, uint8_t random,
                                            quic_reader dcid, quic_reader scid,
                                            const uint32_t *versions, size_t version_count);

/* quic_header_encode_retry writes a Retry packet of `version` (RFC 9000 17.2.5, RFC 9369 3.2) without
 * its integrity tag, which the caller appends. `random` fills the unused bits of the first byte.
 * Returns the bytes written, 0 when `room` is too small. */
QUIC_NODISCARD size_t quic_header_encode_retry(uint8_t *p, size_t room, uint32_t version,
                                               uint8_t random, const quic_cid *dcid,
                                               const quic_cid *scid, const uint8_t *token,
                                               size_t token_len);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_WIRE_HEADER_H */

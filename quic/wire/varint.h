/* quic/wire/varint.h: variable-length integers.    Spec: RFC 9000 16, A.1.
 *
 * Shape:  pure inline functions; values are at most QUIC_VARINT_MAX (the caller's duty, 2^62 and more
 *         would be cut). The decoder accepts every length, minimal or not.
 */
#ifndef QUIC_WIRE_VARINT_H
#define QUIC_WIRE_VARINT_H

#include "quic/base/bytes.h"
#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* quic_varint_len: bytes of the shortest encoding: 1, 2, 4 or 8. */
static inline size_t quic_varint_len(uint64_t v)
{
    if (v < 0x40) {
        return 1;
    }
    return v < 0x4000 ? 2 : v < 0x40000000 ? 4 : 8;
}

/* quic_varint_encode_2 writes a value < 2^14 into 2 bytes, _4 a value < 2^30 into 4. */
static inline size_t quic_varint_encode_2(uint8_t *p, uint64_t v)
{
    quic_store_be16(p, (uint16_t)(v | 0x4000));
    return 2;
}

static inline size_t quic_varint_encode_4(uint8_t *p, uint64_t v)
{
    quic_store_be32(p, (uint32_t)(v | 0x80000000u));
    return 4;
}

/* quic_varint_encode writes the shortest encoding (up to 8 bytes, room is the caller's duty) and
 * returns its length. */
static inline size_t quic_varint_encode(uint8_t *p, uint64_t v)
{
    if (v < 0x40) {
        *p = (uint8_t)v;
        return 1;
    }
    if (v < 0x4000) {
        return quic_varint_encode_2(p, v);
    }
    if (v < 0x40000000) {
        return quic_varint_encode_4(p, v);
    }
    quic_store_be64(p, v | (3ull << 62));
    return 8;
}

/* quic_varint_decode reads one integer from [p, end). Returns the bytes it took, 0 (and *out
 * untouched) when it is cut short. */
static inline size_t quic_varint_decode(const uint8_t *p, const uint8_t *end, uint64_t *out)
{
    if (QUIC_UNLIKELY(p >= end)) {
        return 0;
    }
    if (*p < 0x40) { /* mostly so in an ACK frame */
        *out = *p;
        return 1;
    }
    size_t len = (size_t)1 << (*p >> 6);
    if (QUIC_UNLIKELY((size_t)(end - p) < len)) {
        return 0;
    }
    switch (len) {
    case 2:
        *out = quic_load_be16(p) & 0x3fffu;
        break;
    case 4:
        *out = quic_load_be32(p) & 0x3fffffffu;
        break;
    default:
        *out = quic_load_be64(p) & QUIC_VARINT_MAX;
        break;
    }
    return len;
}

/* quic_reader_varint and quic_writer_varint: the same on the cursors of quic/base/bytes.h. */
QUIC_NODISCARD static inline bool quic_reader_varint(quic_reader *r, uint64_t *out)
{
    size_t n = quic_varint_decode(r->p, r->end, out);
    r->p += n;
    return n != 0;
}

QUIC_NODISCARD static inline bool quic_writer_varint(quic_writer *w, uint64_t v)
{
    if (quic_writer_left(w) < quic_varint_len(v)) {
        return false;
    }
    w->p += quic_varint_encode(w->p, v);
    return true;
}

#ifdef __cplusplus
}
#endif

#endif /* QUIC_WIRE_VARINT_H */

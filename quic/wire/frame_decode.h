/* quic/wire/frame_decode.h: from payload bytes to frames, one at a time.
 *
 * Shape:  pure functions over borrowed bytes; every rule that needs no connection state is enforced
 *         here, so users may rely on the bounds noted in frame.h.
 * Spec:   RFC 9000 12.4, 19; for extensions see frame.h.
 */
#ifndef QUIC_WIRE_FRAME_DECODE_H
#define QUIC_WIRE_FRAME_DECODE_H

#include "quic/base/types.h"
#include "quic/wire/frame.h"
#include "quic/wire/varint.h"

#ifdef __cplusplus
extern "C" {
#endif

/* quic_frame_decode reads the frame at the start of `data` (len >= 1) and stores the bytes it takes
 * (>= 1) in *out_len. A run of PADDING is one frame.
 * Returns QUIC_OK; QUIC_V_FRAME_ENCODING for an unknown type (those of extensions are unknown to this
 * function), a frame cut short or a field out of range; QUIC_V_PROTOCOL_VIOLATION for a type that is not encoded in
 * its shortest form (RFC 9000 12.4). Outputs are undefined then. Memory: views into `data`. */
QUIC_NODISCARD quic_rc quic_frame_decode(quic_frame *out, size_t *out_len, const uint8_t *data,
                                         size_t len);

/* quic_frame_decode_ext is the same for an endpoint that knows the extensions; `extensions` holds the
 * QUIC_EXT_* whose frames it said it would take. A frame of another one is QUIC_V_FRAME_ENCODING, but
 * for DATAGRAM, where it is QUIC_V_PROTOCOL_VIOLATION (RFC 9221 3). */
QUIC_NODISCARD quic_rc quic_frame_decode_ext(quic_frame *out, size_t *out_len, const uint8_t *data,
                                             size_t len, uint32_t extensions);

/* quic_frame_decode_stream is the same for data[0] in 0x08..0x0f, inline for the receive loop. Returns
 * the bytes taken, 0 for QUIC_V_FRAME_ENCODING. */
QUIC_NODISCARD static inline size_t quic_frame_decode_stream(quic_frame_stream *out,
                                                             const uint8_t *data, size_t len)
{
    const uint8_t *p = data + 1;
    const uint8_t *end = data + len;
    uint8_t type = data[0];
    size_t n = quic_varint_decode(p, end, &out->id);
    if (QUIC_UNLIKELY(n == 0)) {
        return 0;
    }
    p += n;
    out->off = 0;
    if ((type & QUIC_FRAME_STREAM_OFF) != 0) {
        n = quic_varint_decode(p, end, &out->off);
        if (QUIC_UNLIKELY(n == 0)) {
            return 0;
        }
        p += n;
    }
    uint64_t data_len = (uint64_t)(end - p);
    if ((type & QUIC_FRAME_STREAM_LEN) != 0) {
        n = quic_varint_decode(p, end, &data_len);
        if (QUIC_UNLIKELY(n == 0) || QUIC_UNLIKELY(data_len > (uint64_t)(end - p) - n)) {
            return 0;
        }
        p += n;
    }
    if (QUIC_UNLIKELY(data_len > QUIC_VARINT_MAX - out->off)) {
        return 0; /* RFC 9000 19.8: the largest offset is 2^62 - 1 */
    }
    out->data = p;
    out->len = (size_t)data_len;
    out->fin = (type & QUIC_FRAME_STREAM_FIN) != 0;
    return (size_t)(p - data) + (size_t)data_len;
}

/* Walks the ranges of a decoded ACK frame from the newest to the oldest. */
typedef struct quic_ack_iter {
    const uint8_t *p;
    const uint8_t *end;
    uint64_t hi;   /* of the next range */
    uint64_t span; /* hi - lo of the next range */
    uint64_t left; /* ranges still to give */
} quic_ack_iter;

static inline quic_ack_iter quic_ack_iter_make(const quic_frame_ack *ack)
{
    quic_ack_iter it = {ack->ranges, ack->ranges + ack->ranges_len, ack->largest, ack->first_range,
                        ack->range_count + 1};
    return it;
}

/* quic_ack_ranges_next gives the next range [*out_lo, *out_hi]; false at the end. */
static inline bool quic_ack_ranges_next(quic_ack_iter *it, uint64_t *out_lo, uint64_t *out_hi)
{
    if (it->left == 0) {
        return false;
    }
    uint64_t lo = it->hi - it->span;
    *out_hi = it->hi;
    *out_lo = lo;
    it->left--;
    if (it->left > 0) {
        uint64_t gap = 0;
        it->p += quic_varint_decode(it->p, it->end, &gap);
        it->p += quic_varint_decode(it->p, it->end, &it->span);
        it->hi = lo - gap - 2; /* RFC 9000 19.3.1 */
    }
    return true;
}

#ifdef __cplusplus
}
#endif

#endif /* QUIC_WIRE_FRAME_DECODE_H */

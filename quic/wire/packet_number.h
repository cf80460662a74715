/* quic/wire/packet_number.h: truncated packet numbers.    Spec: RFC 9000 17.1, A.2, A.3. */
#ifndef QUIC_WIRE_PACKET_NUMBER_H
#define QUIC_WIRE_PACKET_NUMBER_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_PN_NONE    UINT64_MAX /* no packet of the space was acknowledged yet */
#define QUIC_PN_LEN_MAX 4u

/* quic_pn_encode_len gives the bytes (1..4) that packet number `pn` needs while the largest one known
 * to be acknowledged is `largest_acked` (< pn) or QUIC_PN_NONE. More than 2^31 packets in flight
 * cannot be told apart by any length; no congestion window comes near. */
static inline uint8_t quic_pn_encode_len(uint64_t pn, uint64_t largest_acked)
{
    uint64_t unacked = pn - largest_acked; /* QUIC_PN_NONE wraps to pn + 1 */
    if (unacked < 0x80) {
        return 1;
    }
    return unacked < 0x8000 ? 2 : unacked < 0x800000 ? 3 : 4;
}

/* quic_pn_encode writes the low `len` (1..4) bytes of `pn`. Returns len. */
static inline size_t quic_pn_encode(uint8_t *p, uint64_t pn, uint8_t len)
{
    for (uint8_t i = 0; i < len; i++) {
        p[i] = (uint8_t)(pn >> (8 * (len - 1 - i)));
    }
    return len;
}

/* quic_pn_load reads the `len` (1..4) bytes of a truncated number (header protection is off). */
static inline uint64_t quic_pn_load(const uint8_t *p, uint8_t len)
{
    uint64_t v = 0;
    for (uint8_t i = 0; i < len; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

/* quic_pn_decode gives the full number closest to `expected`, which is the largest number received in
 * the space plus one (0 when none). The result is at most QUIC_VARINT_MAX. */
static inline uint64_t quic_pn_decode(uint64_t truncated, uint8_t len, uint64_t expected)
{
    uint64_t win = 1ull << (8 * len);
    uint64_t half = win / 2;
    expected -= expected >> 62; /* after the last number none is left */
    uint64_t candidate = (expected & ~(win - 1)) | truncated;
    if (candidate + half <= expected && candidate < (1ull << 62) - win) {
        return candidate + win;
    }
    if (candidate > expected + half && candidate >= win) {
        return candidate - win;
    }
    return candidate;
}

#ifdef __cplusplus
}
#endif

#endif /* QUIC_WIRE_PACKET_NUMBER_H */

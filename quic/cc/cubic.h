/* quic/cc/cubic.h: CUBIC (RFC 9438) with HyStart++ (RFC 9406) for the first slow start.
 *
 * Shape:  fixed point. Time is counted in 2^-20 s, so that a cube is a product and a shift.
 */
#ifndef QUIC_CC_CUBIC_H
#define QUIC_CC_CUBIC_H

#include "quic/cc/cc.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const quic_cc_vtable quic_cubic_vtable;

/* ---- arithmetic, exposed for tests ------------------------------------------------------------- */

/* quic_cubic_k: K of RFC 9438 4.2 in 2^-20 s, for a window that has to grow by `gap_bytes`. */
uint64_t quic_cubic_k(uint64_t gap_bytes, uint32_t datagram_bytes);

/* quic_cubic_window: W_cubic(t) in bytes, t and k in 2^-20 s; at least 0, at most QUIC_CWND_LIMIT. */
uint64_t quic_cubic_window(uint64_t t, uint64_t k, uint64_t w_max, uint32_t datagram_bytes);

/* quic_cubic_time converts nanoseconds to 2^-20 s. */
uint64_t quic_cubic_time(quic_ns ns);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CC_CUBIC_H */

/* runtime/limit/pingpong_wire.h: what one end of the round trip puts into a datagram: zeros, or a 1-RTT packet.
 *
 * Owner:  the thread of an end, once both ends are made.
 */
#ifndef RUNTIME_LIMIT_PINGPONG_WIRE_H
#define RUNTIME_LIMIT_PINGPONG_WIRE_H

#include "quic/base/types.h"
#include "quic/crypto/crypto.h"
#include "runtime/limit/wire.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rt_pingpong_wire {
    rt_limit_wire seal; /* keys NULL: datagrams are zeros, and not looked at */
    rt_limit_wire open;
    uint32_t bytes; /* payload of a packet; of a plain datagram all of it */
    uint8_t *app;   /* as many of them */
} rt_pingpong_wire;

/* rt_pingpong_wire_init makes an end that sends `bytes` in each datagram, sealed by `crypto` (NULL: plain); the
 * end that asks has keys for the other's packets and the other way round. Returns QUIC_OK, QUIC_E_NOMEM or
 * QUIC_E_CRYPTO; deinit afterwards in any case. */
QUIC_NODISCARD quic_rc rt_pingpong_wire_init(rt_pingpong_wire *wire, const quic_crypto *crypto,
                                             uint32_t bytes, bool asks);
void rt_pingpong_wire_deinit(rt_pingpong_wire *wire);

/* rt_pingpong_wire_len gives the size of a datagram. */
uint32_t rt_pingpong_wire_len(const rt_pingpong_wire *wire);

/* rt_pingpong_wire_fill writes the next datagram; rt_pingpong_wire_take says whether one that came is one, and
 * opens it in place. */
void rt_pingpong_wire_fill(rt_pingpong_wire *wire, uint8_t *out);
bool rt_pingpong_wire_take(rt_pingpong_wire *wire, uint8_t *data, size_t len);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_LIMIT_PINGPONG_WIRE_H */

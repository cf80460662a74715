/* runtime/limit/wire.h: the packets of the ceiling: 1-RTT packet protection over an 11-byte short
 * header, a unit of equal packets at a time, and nothing a QUIC stack could save.
 *
 * Shape:  header (flags, 8-byte connection ID, 2-byte packet number), payload, 16-byte tag. Payload is
 *         sealed from the application's memory into the packet; opened in place and copied out once. Header
 *         protection masks are made for a whole unit in one call.
 * Owner:  one thread per rt_limit_wire; the peer thread has its own with the same secret.
 * Spec:   RFC 9001 5.3, 5.4; RFC 9000 17.3.1, A.3.
 */
#ifndef RUNTIME_LIMIT_WIRE_H
#define RUNTIME_LIMIT_WIRE_H

#include "quic/base/mem.h"
#include "quic/base/types.h"
#include "quic/crypto/crypto.h"
#include "quic/crypto/keys.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_LIMIT_HEADER_LEN 11u
#define RT_LIMIT_OVERHEAD   (RT_LIMIT_HEADER_LEN + QUIC_AEAD_TAG_LEN)
#define RT_LIMIT_UNIT_MAX   64u /* packets of one GSO send */
#define RT_LIMIT_UNIT_BYTES 65536u
#define RT_LIMIT_APP_BYTES                                                                         \
    (4u << 20) /* what the two applications read from and write to, in turn */

typedef struct rt_limit_wire {
    quic_keys *keys;
    quic_mem mem;
    uint64_t next_pn; /* sealing: of the next packet; opening: one above the highest opened */
    uint8_t *app;     /* RT_LIMIT_APP_BYTES, lent; NULL for the direction of acknowledgements */
    size_t app_off;
    uint64_t packets; /* sealed, or opened */
    uint64_t bytes;   /* payload of those */
    uint64_t bad;     /* packets that did not open */
} rt_limit_wire;

/* rt_limit_wire_init makes keys from a fixed secret; `label` tells the two directions apart. `app`
 * is borrowed. Returns QUIC_OK, QUIC_E_NOMEM or QUIC_E_CRYPTO; deinit afterwards in any case. */
QUIC_NODISCARD quic_rc rt_limit_wire_init(rt_limit_wire *wire, const quic_crypto *crypto,
                                          uint8_t label, uint8_t *app);
void rt_limit_wire_deinit(rt_limit_wire *wire);

/* rt_limit_wire_seal fills `count` (1..RT_LIMIT_UNIT_MAX) packets of `packet_len` bytes each at `out`
 * with bytes of the application. */
void rt_limit_wire_seal(rt_limit_wire *wire, uint8_t *out, unsigned count, size_t packet_len);

/* rt_limit_wire_open opens `len` bytes that GRO joined from packets of `segment` bytes (the last may be
 * shorter) and copies their payload to the application. Returns how many packets opened. */
unsigned rt_limit_wire_open(rt_limit_wire *wire, uint8_t *unit, size_t len, size_t segment);

/* An acknowledgement: one small packet that carries the number of packets up to which all is well. */
#define RT_LIMIT_ACK_PAYLOAD 32u
#define RT_LIMIT_ACK_LEN     (RT_LIMIT_ACK_PAYLOAD + RT_LIMIT_OVERHEAD)
void rt_limit_wire_seal_ack(rt_limit_wire *wire, uint8_t out[RT_LIMIT_ACK_LEN], uint64_t acked);
bool rt_limit_wire_open_ack(rt_limit_wire *wire, uint64_t *out_acked, uint8_t *packet, size_t len);

/* rt_limit_expand_pn gives the packet number nearest to `expected` that ends in `truncated`. */
uint64_t rt_limit_expand_pn(uint64_t expected, uint16_t truncated);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_LIMIT_WIRE_H */

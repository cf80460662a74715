/* quic/crypto/tls_heads.h: TLS messages of a peer that have no place in QUIC, whichever TLS takes the others.
 *
 * Shape:  follows the CRYPTO bytes of one level, in pieces of any size, from message to message; looks at types only.
 * Owner:  who gives these bytes to TLS; all zero is the beginning of a level.
 * Spec:   RFC 9001 4.4, 6, 8.3; RFC 8446 4, 4.6.
 */
#ifndef QUIC_CRYPTO_TLS_HEADS_H
#define QUIC_CRYPTO_TLS_HEADS_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quic_tls_heads {
    uint32_t head_left : 2;  /* bytes of a length that are still to come */
    uint32_t body_left : 24; /* then of the message; until then what of the length is known */
} quic_tls_heads;

/* quic_tls_heads_check takes the next bytes that the `role` given here receives at `level`. A message before the end
 * of the handshake is judged by TLS, which knows what it waits for; what TLS over TCP has and QUIC has not is refused
 * at any level, and of what comes behind the handshake a client takes tickets, a server nothing.
 * Returns QUIC_OK; QUIC_V_CRYPTO_BASE + 10 (unexpected_message); QUIC_V_PROTOCOL_VIOLATION (a client is asked for a
 * certificate after the handshake). `h` is of no use after an error. Cost: per message, not per byte. */
QUIC_NODISCARD quic_rc quic_tls_heads_check(quic_tls_heads *h, quic_role role, quic_level level,
                                            const uint8_t *data, size_t len);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_TLS_HEADS_H */

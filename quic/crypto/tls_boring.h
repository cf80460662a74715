/* quic/crypto/tls_boring.h: the handshake by BoringSSL, both roles, TLS 1.3 only.
 *
 * Shape:  args.tls_config is a const quic_tls_boring_config *; each handshake holds a reference.
 *         Memory: a few hundred bytes of args.mem; BoringSSL takes its own from malloc, freed by
 *         destroy. Tens of KiB: destroy it once the handshake is confirmed.
 * Rules:  missing transport parameters are 0x16d (RFC 9001 8.2); a side that offers or has ALPN and
 *         finds none in common is 0x178 (RFC 9001 8.1).
 * Time:   certificate validity is judged by the system clock inside BoringSSL.
 */
#ifndef QUIC_CRYPTO_TLS_BORING_H
#define QUIC_CRYPTO_TLS_BORING_H

#include "quic/crypto/tls.h"

#ifdef __cplusplus
extern "C" {
#endif

const quic_tls_vtable *quic_tls_boring(void);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_TLS_BORING_H */

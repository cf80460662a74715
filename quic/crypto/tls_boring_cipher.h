/* quic/crypto/tls_boring_cipher.h: which cipher suite BoringSSL can be made to choose.
 *
 * Shape:  a table by suite. BoringSSL has no list of TLS 1.3 ciphers to set; it prefers AES-128-GCM on
 *         CPUs with AES instructions, ChaCha20-Poly1305 on others, and knows no AES-CCM. A version
 *         with a switch for one gets its function into the table.
 */
#ifndef QUIC_CRYPTO_TLS_BORING_CIPHER_H
#define QUIC_CRYPTO_TLS_BORING_CIPHER_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ssl_ctx_st;

/* quic_boring_cipher_can says whether handshakes can be made to use `suite` (0x1301..0x1304).
 * quic_boring_cipher_use makes those of `ctx` do so; false: it cannot. */
bool quic_boring_cipher_can(uint16_t suite);
bool quic_boring_cipher_use(struct ssl_ctx_st *ctx, uint16_t suite);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_TLS_BORING_CIPHER_H */

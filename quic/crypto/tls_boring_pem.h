/* quic/crypto/tls_boring_pem.h: certificates and keys from PEM text into an SSL_CTX.
 *
 * Shape:  each function reads all of its text and answers whether it could be used; BoringSSL's error
 *         queue then says why not.
 * Owner:  tls_boring_config.c alone.
 */
#ifndef QUIC_CRYPTO_TLS_BORING_PEM_H
#define QUIC_CRYPTO_TLS_BORING_PEM_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ssl_ctx_st;

/* quic_boring_use_chain takes a certificate chain, leaf first; quic_boring_use_key its private key,
 * which must not be encrypted; quic_boring_use_anchors trust anchors, and with `announce` names them
 * in requests for certificates (RFC 8446 4.2.4). */
bool quic_boring_use_chain(struct ssl_ctx_st *ctx, const uint8_t *pem, size_t len);
bool quic_boring_use_key(struct ssl_ctx_st *ctx, const uint8_t *pem, size_t len);
bool quic_boring_use_anchors(struct ssl_ctx_st *ctx, const uint8_t *pem, size_t len, bool announce);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_TLS_BORING_PEM_H */

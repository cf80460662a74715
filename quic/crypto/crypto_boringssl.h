/* quic/crypto/crypto_boringssl.h: BoringSSL's suites, for providers that borrow one of them. */
#ifndef QUIC_CRYPTO_CRYPTO_BORINGSSL_H
#define QUIC_CRYPTO_CRYPTO_BORINGSSL_H

#include "quic/crypto/crypto.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const quic_crypto_suite quic_boringssl_aes_128_gcm;
extern const quic_crypto_suite quic_boringssl_aes_256_gcm;
extern const quic_crypto_suite quic_boringssl_chacha20_poly1305;
extern const quic_crypto_suite quic_boringssl_aes_128_ccm;

/* The bounds of RFC 9001 6.6, the same for every provider. */
#define QUIC_AES_GCM_CONFIDENTIALITY_LIMIT  (1ull << 23)
#define QUIC_AES_GCM_INTEGRITY_LIMIT        (1ull << 52)
#define QUIC_CHACHA20_CONFIDENTIALITY_LIMIT (1ull << 62) /* more than there are packet numbers */
#define QUIC_CHACHA20_INTEGRITY_LIMIT       (1ull << 36)
#define QUIC_AES_CCM_CONFIDENTIALITY_LIMIT  2965820ull /* 2^21.5 */
#define QUIC_AES_CCM_INTEGRITY_LIMIT        2965820ull

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_CRYPTO_BORINGSSL_H */

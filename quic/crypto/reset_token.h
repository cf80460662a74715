/* quic/crypto/reset_token.h: stateless reset tokens, a function of a secret and a connection ID.
 *
 * Owner:  an endpoint keeps the key; equal root secrets give equal tokens on all workers and after
 *         a restart.    Spec: RFC 9000 10.3.2.
 */
#ifndef QUIC_CRYPTO_RESET_TOKEN_H
#define QUIC_CRYPTO_RESET_TOKEN_H

#include "quic/base/types.h"
#include "quic/crypto/kdf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a stateless reset has at least: five bytes like those of a short header, and the token. */
#define QUIC_RESET_LEN_MIN (5u + QUIC_RESET_TOKEN_LEN)

typedef struct quic_reset_key {
    quic_kdf hmac; /* under the key, begun once for all tokens */
} quic_reset_key;

/* quic_reset_key_derive derives the key once from the root secret. */
void quic_reset_key_derive(quic_reset_key *key, const uint8_t root_secret[32]);

/* quic_reset_token computes the token of a connection ID (HMAC-SHA256, truncated). Cost: two
 * compressions. */
void quic_reset_token(const quic_reset_key *key, uint8_t out[QUIC_RESET_TOKEN_LEN],
                      const uint8_t *cid, size_t cid_len);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_RESET_TOKEN_H */

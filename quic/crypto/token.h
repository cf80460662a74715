/* quic/crypto/token.h: the token of a Retry packet: what a server tells itself through the client.
 *
 * Format: type (1) | nonce (12) | AES-128-GCM(issued time, client address, original DCID, Retry
 *         SCID; fields of fixed size) | tag (16). The type byte is authenticated. Always
 *         QUIC_TOKEN_RETRY_LEN bytes, so that its size tells nothing.
 * Owner:  an endpoint keeps quic_token_keys; equal root secrets give equal keys, so any worker, and
 *         a restarted server, opens any worker's token.
 * Spec:   RFC 9000 8.1.2, 8.1.4.
 */
#ifndef QUIC_CRYPTO_TOKEN_H
#define QUIC_CRYPTO_TOKEN_H

#include "quic/base/rng.h"
#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_TOKEN_RETRY_LEN 98u

typedef struct quic_token_keys {
    uint8_t retry_key[16];
} quic_token_keys;

typedef struct quic_token_retry {
    quic_cid original_dcid; /* goes back as original_destination_connection_id */
    quic_cid retry_scid;    /* the DCID the token's packet must carry; retry_source_connection_id */
    quic_ns issued;
} quic_token_retry;

/* quic_token_keys_derive derives the keys once from the root secret. */
void quic_token_keys_derive(quic_token_keys *keys, const uint8_t root_secret[32]);

/* quic_token_retry_make writes QUIC_TOKEN_RETRY_LEN bytes for the client at `client`.
 * Returns QUIC_OK; QUIC_E_CRYPTO. */
QUIC_NODISCARD quic_rc quic_token_retry_make(const quic_token_keys *keys,
                                             uint8_t out[QUIC_TOKEN_RETRY_LEN], const quic_rng *rng,
                                             const quic_addr *client, const quic_cid *original_dcid,
                                             const quic_cid *retry_scid, quic_ns now);

/* quic_token_retry_open checks a token that came from `client`.
 *
 * Returns QUIC_OK with *out filled;
 *   QUIC_E_DROP           not a token of ours (size, type or tag): act as if there were none
 *   QUIC_V_INVALID_TOKEN  ours, but older than `lifetime`, from the future, or another client's
 *                         (RFC 9000 8.1.2) */
QUIC_NODISCARD quic_rc quic_token_retry_open(const quic_token_keys *keys, quic_token_retry *out,
                                             const uint8_t *token, size_t len,
                                             const quic_addr *client, quic_ns lifetime,
                                             quic_ns now);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_TOKEN_H */

/* quic/crypto/token.h: address validation tokens: what a server tells itself through the client.
 *
 * Kinds:  Retry tokens prove an address within one handshake and carry that handshake's connection IDs;
 *         NEW_TOKEN tokens prove it for a later connection, are bound to the IP address but not to the
 *         port, and carry a unique id so that a register (anti_replay.h) can make them single-use.
 * Format: type (1) | nonce (12) | AES-128-GCM(fields of fixed size) | tag (16). The type byte is
 *         authenticated and each kind has its own key. Each kind has one size, which tells nothing.
 * Time:   of the wall clock, which survives a restart and is nearly the same on all machines that share
 *         a root secret: clocks may differ by QUIC_TOKEN_SKEW_NS.
 * Owner:  an endpoint keeps quic_token_keys; equal root secrets give equal keys, so any worker, and
 *         a restarted server, opens any worker's token. After a rotation of the root secret, tokens of
 *         the previous one still open.
 * Spec:   RFC 9000 8.1.2, 8.1.3, 8.1.4; RFC 9369 5.
 */
#ifndef QUIC_CRYPTO_TOKEN_H
#define QUIC_CRYPTO_TOKEN_H

#include "quic/base/rng.h"
#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_TOKEN_RETRY_LEN 102u
#define QUIC_TOKEN_NEW_LEN   74u /* another size than Retry's */
#define QUIC_TOKEN_ID_LEN    16u
#define QUIC_TOKEN_SKEW_NS   (5 * QUIC_NS_PER_S)

typedef struct quic_token_key_pair {
    uint8_t retry_key[16];
    uint8_t new_key[16];
} quic_token_key_pair;

typedef struct quic_token_keys {
    quic_token_key_pair current; /* makes tokens, opens them */
    quic_token_key_pair previous;
    bool has_previous; /* `previous` opens tokens, too */
} quic_token_keys;

typedef struct quic_token_retry {
    quic_cid original_dcid; /* goes back as original_destination_connection_id */
    quic_cid retry_scid;    /* the DCID the token's packet must carry; retry_source_connection_id */
    quic_ns issued;
} quic_token_retry;

typedef struct quic_token_new {
    quic_ns issued;
    uint8_t id[QUIC_TOKEN_ID_LEN]; /* random; no two tokens share one */
} quic_token_new;

/* quic_token_keys_derive derives the keys once from the root secret; there is no previous one. */
void quic_token_keys_derive(quic_token_keys *keys, const uint8_t root_secret[32]);

/* quic_token_keys_rotate makes tokens with a new root secret from now on; those of the one before it
 * still open, older ones no longer do. Deriving from the old secret and rotating to the new one gives
 * every process the same keys. */
void quic_token_keys_rotate(quic_token_keys *keys, const uint8_t root_secret[32]);

/* ---- Retry ----------------------------------------------------------------------------------- */

/* quic_token_retry_make writes QUIC_TOKEN_RETRY_LEN bytes for the client at `client`, whose Initial is of
 * `version`.
 * Returns QUIC_OK; QUIC_E_CRYPTO. */
QUIC_NODISCARD quic_rc quic_token_retry_make(const quic_token_keys *keys,
                                             uint8_t out[QUIC_TOKEN_RETRY_LEN], const quic_rng *rng,
                                             const quic_addr *client, uint32_t version,
                                             const quic_cid *original_dcid,
                                             const quic_cid *retry_scid, quic_ns now);

/* quic_token_retry_open checks a token that came from `client` in an Initial of `version`.
 *
 * Returns QUIC_OK with *out filled;
 *   QUIC_E_DROP           no Retry token (size or type): act as if there were none
 *   QUIC_V_INVALID_TOKEN  one, but not of these keys, older than `lifetime`, from the future,
 *                         another client's, or of another version (RFC 9369 5): who sends it takes no second Retry
 *                         (RFC 9000 8.1.2) */
QUIC_NODISCARD quic_rc quic_token_retry_open(const quic_token_keys *keys, quic_token_retry *out,
                                             const uint8_t *token, size_t len,
                                             const quic_addr *client, uint32_t version,
                                             quic_ns lifetime, quic_ns now);

/* ---- NEW_TOKEN ------------------------------------------------------------------------------- */

/* quic_token_new_make writes QUIC_TOKEN_NEW_LEN bytes for the client at `client`, whose connection
 * speaks `version`.
 * Returns QUIC_OK; QUIC_E_CRYPTO. */
QUIC_NODISCARD quic_rc quic_token_new_make(const quic_token_keys *keys,
                                           uint8_t out[QUIC_TOKEN_NEW_LEN], const quic_rng *rng,
                                           const quic_addr *client, uint32_t version, quic_ns now);

/* quic_token_new_open checks a token that came from `client` in an Initial of `version`. Unlike with a
 * Retry token, no failure closes anything (RFC 9000 8.1.3): the address counts as unvalidated.
 *
 * Returns QUIC_OK with *out filled: offer out->id to the register before believing the address;
 *   QUIC_E_DROP   not a token of ours (size, type or tag)
 *   QUIC_E_STATE  ours, but older than `lifetime`, from the future, for another IP address (the port
 *                 may change), or of another version (RFC 9369 5) */
QUIC_NODISCARD quic_rc quic_token_new_open(const quic_token_keys *keys, quic_token_new *out,
                                           const uint8_t *token, size_t len,
                                           const quic_addr *client, uint32_t version,
                                           quic_ns lifetime, quic_ns now);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_TOKEN_H */

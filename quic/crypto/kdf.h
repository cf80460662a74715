/* quic/crypto/kdf.h: HKDF as QUIC and TLS 1.3 use it, without allocation.
 *
 * Shape:  quic_kdf holds HMAC's two half-finished hashes for one secret, so that several labels
 *         under one secret cost two compressions each.
 * Owner:  the caller's stack; wipe with quic_kdf_deinit.
 * Spec:   RFC 5869, RFC 8446 7.1, RFC 9001 5.1.
 */
#ifndef QUIC_CRYPTO_KDF_H
#define QUIC_CRYPTO_KDF_H

#include <openssl/sha.h>

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_KDF_HASH_LEN_MAX 48u

typedef struct quic_kdf {
    union {
        uint32_t sha256[8]; /* each has taken one block */
        SHA512_CTX sha384;
    } inner, outer;
    uint8_t hash_len; /* 32: SHA-256; 48: SHA-384 */
} quic_kdf;

/* quic_kdf_init prepares HMAC under `secret` (any length) with the hash of hash_len 32 or 48. */
void quic_kdf_init(quic_kdf *kdf, unsigned hash_len, const uint8_t *secret, size_t secret_len);
void quic_kdf_deinit(quic_kdf *kdf);

/* quic_kdf_hmac computes HMAC(secret, data): hash_len bytes. */
void quic_kdf_hmac(const quic_kdf *kdf, uint8_t *out, const uint8_t *data, size_t len);

/* quic_kdf_expand_label is HKDF-Expand-Label(secret, label, "", len) with the "tls13 " prefix added
 * here; `label` at most 32 characters, len at most 255 x hash_len. */
void quic_kdf_expand_label(const quic_kdf *kdf, uint8_t *out, size_t len, const char *label);

/* quic_hkdf_extract is HKDF-Extract(salt, ikm): hash_len bytes. */
void quic_hkdf_extract(unsigned hash_len, uint8_t *out, const uint8_t *salt, size_t salt_len,
                       const uint8_t *ikm, size_t ikm_len);

/* quic_hkdf_expand_label is the one-shot form of quic_kdf_expand_label. */
void quic_hkdf_expand_label(unsigned hash_len, uint8_t *out, size_t len, const uint8_t *secret,
                            size_t secret_len, const char *label);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_KDF_H */

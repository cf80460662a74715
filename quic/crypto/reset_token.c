#include "quic/crypto/reset_token.h"

#include <openssl/mem.h>

void quic_reset_key_derive(quic_reset_key *key, const uint8_t root_secret[32])
{
    uint8_t bytes[32];
    quic_hkdf_expand_label(32, bytes, sizeof(bytes), root_secret, 32, "quring reset token");
    quic_kdf_init(&key->hmac, 32, bytes, sizeof(bytes));
    OPENSSL_cleanse(bytes, sizeof(bytes));
}

void quic_reset_token(const quic_reset_key *key, uint8_t out[QUIC_RESET_TOKEN_LEN],
                      const uint8_t *cid, size_t cid_len)
{
    uint8_t digest[QUIC_KDF_HASH_LEN_MAX];
    quic_kdf_hmac(&key->hmac, digest, cid, cid_len);
    memcpy(out, digest, QUIC_RESET_TOKEN_LEN);
}

#include "quic/crypto/reset_token.h"

#include <openssl/mem.h>

#include "quic/crypto/kdf.h"

void quic_reset_key_derive(quic_reset_key *key, const uint8_t root_secret[32])
{
    quic_hkdf_expand_label(32, key->bytes, sizeof(key->bytes), root_secret, 32,
                           "quring reset token");
}

void quic_reset_token(const quic_reset_key *key, uint8_t out[QUIC_RESET_TOKEN_LEN],
                      const uint8_t *cid, size_t cid_len)
{
    quic_kdf kdf;
    uint8_t digest[QUIC_KDF_HASH_LEN_MAX];
    quic_kdf_init(&kdf, 32, key->bytes, sizeof(key->bytes));
    quic_kdf_hmac(&kdf, digest, cid, cid_len);
    quic_kdf_deinit(&kdf);
    memcpy(out, digest, QUIC_RESET_TOKEN_LEN);
}

bool quic_reset_token_equal(const uint8_t a[QUIC_RESET_TOKEN_LEN],
                            const uint8_t b[QUIC_RESET_TOKEN_LEN])
{
    return CRYPTO_memcmp(a, b, QUIC_RESET_TOKEN_LEN) == 0;
}

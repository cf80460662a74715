#include "quic/crypto/crypto_boringssl.h"

#include <openssl/aead.h>
#include <openssl/chacha.h>
#include <openssl/cipher.h>
#include <openssl/err.h>
#include <openssl/mem.h>

#include "quic/base/check.h"
#include "quic/crypto/aes_ccm.h"

/* ---- AEAD, RFC 9001 5.3 ---------------------------------------------------------------------- */

static bool aead_init(void *aead, const EVP_AEAD *alg, const uint8_t *key)
{
    EVP_AEAD_CTX *ctx = (EVP_AEAD_CTX *)aead;
    EVP_AEAD_CTX_zero(ctx);
    if (!EVP_AEAD_CTX_init(ctx, alg, key, EVP_AEAD_key_length(alg), QUIC_AEAD_TAG_LEN, NULL)) {
        ERR_clear_error();
        return false;
    }
    return true;
}

static bool aes_128_init(void *aead, const uint8_t *key)
{
    return aead_init(aead, EVP_aead_aes_128_gcm(), key);
}

static bool aes_256_init(void *aead, const uint8_t *key)
{
    return aead_init(aead, EVP_aead_aes_256_gcm(), key);
}

static bool chacha_init(void *aead, const uint8_t *key)
{
    return aead_init(aead, EVP_aead_chacha20_poly1305(), key);
}

static void aead_deinit(void *aead)
{
    EVP_AEAD_CTX_cleanup((EVP_AEAD_CTX *)aead);
    OPENSSL_cleanse(aead, sizeof(EVP_AEAD_CTX));
}

static void aead_seal(void *aead, uint8_t *dst, const uint8_t *src, size_t len,
                      const uint8_t *nonce, const uint8_t *ad, size_t ad_len)
{
    size_t out_len = 0;
    const int ok =
        EVP_AEAD_CTX_seal((const EVP_AEAD_CTX *)aead, dst, &out_len, len + QUIC_AEAD_TAG_LEN, nonce,
                          QUIC_AEAD_NONCE_LEN, src, len, ad, ad_len);
    QURING_ASSERT(ok && out_len == len + QUIC_AEAD_TAG_LEN);
}

static bool aead_open(void *aead, uint8_t *dst, const uint8_t *src, size_t ct_len,
                      const uint8_t *nonce, const uint8_t *ad, size_t ad_len)
{
    const int ok =
        EVP_AEAD_CTX_open_gather((const EVP_AEAD_CTX *)aead, dst, nonce, QUIC_AEAD_NONCE_LEN, src,
                                 ct_len, src + ct_len, QUIC_AEAD_TAG_LEN, ad, ad_len);
    if (QUIC_UNLIKELY(!ok)) {
        ERR_clear_error(); /* each failure queues an entry */
        return false;
    }
    return true;
}

static bool ccm_init(void *aead, const uint8_t *key)
{
    return quic_aes_ccm_init((quic_aes_ccm *)aead, key, QUIC_AEAD_TAG_LEN, QUIC_AEAD_NONCE_LEN);
}

static void ccm_deinit(void *aead)
{
    quic_aes_ccm_deinit((quic_aes_ccm *)aead);
}

static void ccm_seal(void *aead, uint8_t *dst, const uint8_t *src, size_t len, const uint8_t *nonce,
                     const uint8_t *ad, size_t ad_len)
{
    quic_aes_ccm_seal((const quic_aes_ccm *)aead, dst, src, len, nonce, ad, ad_len);
}

static bool ccm_open(void *aead, uint8_t *dst, const uint8_t *src, size_t ct_len,
                     const uint8_t *nonce, const uint8_t *ad, size_t ad_len)
{
    return quic_aes_ccm_open((const quic_aes_ccm *)aead, dst, src, ct_len, nonce, ad, ad_len);
}

/* ---- header protection by AES, RFC 9001 5.4.3 ------------------------------------------------ */

static bool aes_hp_init(void *hp, const EVP_CIPHER *cipher, const uint8_t *key)
{
    EVP_CIPHER_CTX *ctx = (EVP_CIPHER_CTX *)hp;
    EVP_CIPHER_CTX_init(ctx);
    if (!EVP_EncryptInit_ex(ctx, cipher, NULL, key, NULL)) {
        EVP_CIPHER_CTX_cleanup(ctx);
        ERR_clear_error();
        return false;
    }
    EVP_CIPHER_CTX_set_padding(ctx, 0);
    return true;
}

static bool aes_128_hp_init(void *hp, const uint8_t *key)
{
    return aes_hp_init(hp, EVP_aes_128_ecb(), key);
}

static bool aes_256_hp_init(void *hp, const uint8_t *key)
{
    return aes_hp_init(hp, EVP_aes_256_ecb(), key);
}

static void aes_hp_deinit(void *hp)
{
    EVP_CIPHER_CTX_cleanup((EVP_CIPHER_CTX *)hp);
}

static void aes_hp_masks(void *hp, const uint8_t *const samples[], uint8_t (*masks)[16],
                         unsigned count)
{
    QURING_DASSERT(count > 0 && count <= QUIC_HP_BATCH_MAX);
    for (unsigned i = 0; i < count; i++) {
        memcpy(masks[i], samples[i], QUIC_HP_SAMPLE_LEN);
    }
    /* EVP_Cipher: no buffering of partial blocks, in place. */
    const int ok = EVP_Cipher((EVP_CIPHER_CTX *)hp, masks[0], masks[0], (size_t)count * 16);
    QURING_ASSERT(ok);
}

/* ---- header protection by ChaCha20, RFC 9001 5.4.4 ------------------------------------------- */

static bool chacha_hp_init(void *hp, const uint8_t *key)
{
    memcpy(hp, key, 32);
    return true;
}

static void chacha_hp_deinit(void *hp)
{
    OPENSSL_cleanse(hp, 32);
}

static void chacha_hp_masks(void *hp, const uint8_t *const samples[], uint8_t (*masks)[16],
                            unsigned count)
{
    static const uint8_t zeros[5] = {0};
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *s = samples[i];
        const uint32_t counter =
            (uint32_t)s[0] | (uint32_t)s[1] << 8 | (uint32_t)s[2] << 16 | (uint32_t)s[3] << 24;
        uint8_t nonce[12];
        memcpy(nonce, s + 4, sizeof(nonce));
        CRYPTO_chacha_20(masks[i], zeros, sizeof(zeros), (const uint8_t *)hp, nonce, counter);
    }
}

/* ---- tables ---------------------------------------------------------------------------------- */

const quic_crypto_suite quic_boringssl_aes_128_gcm = {
    .id = QUIC_SUITE_AES_128_GCM_SHA256,
    .key_len = 16,
    .hash_len = 32,
    .tag_len = QUIC_AEAD_TAG_LEN,
    .aead_size = sizeof(EVP_AEAD_CTX),
    .hp_size = sizeof(EVP_CIPHER_CTX),
    .confidentiality_limit = QUIC_AES_GCM_CONFIDENTIALITY_LIMIT,
    .integrity_limit = QUIC_AES_GCM_INTEGRITY_LIMIT,
    .aead_init = aes_128_init,
    .aead_deinit = aead_deinit,
    .hp_init = aes_128_hp_init,
    .hp_deinit = aes_hp_deinit,
    .seal = aead_seal,
    .open = aead_open,
    .hp_masks = aes_hp_masks,
};

const quic_crypto_suite quic_boringssl_aes_256_gcm = {
    .id = QUIC_SUITE_AES_256_GCM_SHA384,
    .key_len = 32,
    .hash_len = 48,
    .tag_len = QUIC_AEAD_TAG_LEN,
    .aead_size = sizeof(EVP_AEAD_CTX),
    .hp_size = sizeof(EVP_CIPHER_CTX),
    .confidentiality_limit = QUIC_AES_GCM_CONFIDENTIALITY_LIMIT,
    .integrity_limit = QUIC_AES_GCM_INTEGRITY_LIMIT,
    .aead_init = aes_256_init,
    .aead_deinit = aead_deinit,
    .hp_init = aes_256_hp_init,
    .hp_deinit = aes_hp_deinit,
    .seal = aead_seal,
    .open = aead_open,
    .hp_masks = aes_hp_masks,
};

const quic_crypto_suite quic_boringssl_chacha20_poly1305 = {
    .id = QUIC_SUITE_CHACHA20_POLY1305_SHA256,
    .key_len = 32,
    .hash_len = 32,
    .tag_len = QUIC_AEAD_TAG_LEN,
    .aead_size = sizeof(EVP_AEAD_CTX),
    .hp_size = 32,
    .confidentiality_limit = QUIC_CHACHA20_CONFIDENTIALITY_LIMIT,
    .integrity_limit = QUIC_CHACHA20_INTEGRITY_LIMIT,
    .aead_init = chacha_init,
    .aead_deinit = aead_deinit,
    .hp_init = chacha_hp_init,
    .hp_deinit = chacha_hp_deinit,
    .seal = aead_seal,
    .open = aead_open,
    .hp_masks = chacha_hp_masks,
};

/* RFC 9001 5.4.3: header protection as with AES-128-GCM. */
const quic_crypto_suite quic_boringssl_aes_128_ccm = {
    .id = QUIC_SUITE_AES_128_CCM_SHA256,
    .key_len = QUIC_AES_CCM_KEY_LEN,
    .hash_len = 32,
    .tag_len = QUIC_AEAD_TAG_LEN,
    .aead_size = sizeof(quic_aes_ccm),
    .hp_size = sizeof(EVP_CIPHER_CTX),
    .confidentiality_limit = QUIC_AES_CCM_CONFIDENTIALITY_LIMIT,
    .integrity_limit = QUIC_AES_CCM_INTEGRITY_LIMIT,
    .aead_init = ccm_init,
    .aead_deinit = ccm_deinit,
    .hp_init = aes_128_hp_init,
    .hp_deinit = aes_hp_deinit,
    .seal = ccm_seal,
    .open = ccm_open,
    .hp_masks = aes_hp_masks,
};

const quic_crypto *quic_crypto_boringssl(void)
{
    static const quic_crypto provider = {
        "boringssl",
        {&quic_boringssl_aes_128_gcm, &quic_boringssl_aes_256_gcm,
         &quic_boringssl_chacha20_poly1305, &quic_boringssl_aes_128_ccm},
    };
    return &provider;
}

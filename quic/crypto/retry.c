#include "quic/crypto/retry.h"

#include <openssl/aead.h>
#include <openssl/err.h>
#include <openssl/mem.h>

#include "quic/wire/version.h"

/* Fixed by RFC 9001 5.8 and RFC 9369 3.3.3: the tag detects accidents, it keeps no secret. */
typedef struct retry_secret {
    uint8_t key[16];
    uint8_t nonce[12];
} retry_secret;

static const retry_secret secret_v1 = {
    .key = {0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a, 0x1d, 0x76, 0x6b, 0x54, 0xe3, 0x68,
            0xc8, 0x4e},
    .nonce = {0x46, 0x15, 0x99, 0xd3, 0x5d, 0x63, 0x2b, 0xf2, 0x23, 0x98, 0x25, 0xbb},
};
static const retry_secret secret_v2 = {
    .key = {0x8f, 0xb4, 0xb0, 0x1b, 0x56, 0xac, 0x48, 0xe2, 0x60, 0xfb, 0xcb, 0xce, 0xad, 0x7c,
            0xcc, 0x92},
    .nonce = {0xd8, 0x69, 0x69, 0xbc, 0x2d, 0x7c, 0x6d, 0x99, 0x90, 0xef, 0xb0, 0x4a},
};

static bool seal_nothing(uint8_t out[QUIC_AEAD_TAG_LEN], const retry_secret *secret,
                         const uint8_t *ad, size_t ad_len)
{
    EVP_AEAD_CTX ctx;
    EVP_AEAD_CTX_zero(&ctx);
    size_t out_len = 0;
    const bool ok = EVP_AEAD_CTX_init(&ctx, EVP_aead_aes_128_gcm(), secret->key,
                                      sizeof(secret->key), QUIC_AEAD_TAG_LEN, NULL) &&
                    EVP_AEAD_CTX_seal(&ctx, out, &out_len, QUIC_AEAD_TAG_LEN, secret->nonce,
                                      sizeof(secret->nonce), NULL, 0, ad, ad_len);
    EVP_AEAD_CTX_cleanup(&ctx);
    if (!ok) {
        ERR_clear_error();
    }
    return ok;
}

quic_rc quic_retry_tag_make(uint8_t out[QUIC_AEAD_TAG_LEN], uint32_t version,
                            const quic_cid *original_dcid, const uint8_t *packet, size_t len)
{
    if (len > QUIC_RETRY_PACKET_LEN_MAX || original_dcid->len > QUIC_CID_LEN_MAX ||
        quic_version_bit(version) == 0) {
        return QUIC_E_INVAL;
    }
    uint8_t pseudo[1 + QUIC_CID_LEN_MAX + QUIC_RETRY_PACKET_LEN_MAX];
    size_t n = 0;
    pseudo[n++] = original_dcid->len;
    memcpy(pseudo + n, original_dcid->bytes, original_dcid->len);
    n += original_dcid->len;
    memcpy(pseudo + n, packet, len);
    n += len;
    const retry_secret *secret = version == QUIC_VERSION_2 ? &secret_v2 : &secret_v1;
    return seal_nothing(out, secret, pseudo, n) ? QUIC_OK : QUIC_E_CRYPTO;
}

bool quic_retry_tag_check(uint32_t version, const quic_cid *original_dcid, const uint8_t *packet,
                          size_t len)
{
    uint8_t tag[QUIC_AEAD_TAG_LEN];
    if (len < QUIC_AEAD_TAG_LEN) {
        return false;
    }
    const size_t body = len - QUIC_AEAD_TAG_LEN;
    return quic_retry_tag_make(tag, version, original_dcid, packet, body) == QUIC_OK &&
           CRYPTO_memcmp(tag, packet + body, sizeof(tag)) == 0;
}

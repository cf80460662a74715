/* No protection at all: what disable_1rtt_encryption leaves of a cipher suite. */
#include "quic/crypto/crypto.h"

static bool plain_init(void *ctx, const uint8_t *key)
{
    (void)ctx;
    (void)key;
    return true;
}

static void plain_deinit(void *ctx)
{
    (void)ctx;
}

static void plain_copy(uint8_t *dst, const uint8_t *src, size_t len)
{
    if (dst != src && len > 0) {
        memcpy(dst, src, len);
    }
}

static void plain_seal(void *aead, uint8_t *dst, const uint8_t *src, size_t len,
                       const uint8_t *nonce, const uint8_t *ad, size_t ad_len)
{
    (void)aead;
    (void)nonce;
    (void)ad;
    (void)ad_len;
    plain_copy(dst, src, len);
}

static bool plain_open(void *aead, uint8_t *dst, const uint8_t *src, size_t ct_len,
                       const uint8_t *nonce, const uint8_t *ad, size_t ad_len)
{
    (void)aead;
    (void)nonce;
    (void)ad;
    (void)ad_len;
    plain_copy(dst, src, ct_len);
    return true;
}

/* Packets without a tag may be shorter than a sample: none is read. */
static void plain_hp_masks(void *hp, const uint8_t *const samples[], uint8_t (*masks)[16],
                           unsigned count)
{
    (void)hp;
    (void)samples;
    memset(masks, 0, (size_t)count * sizeof(masks[0]));
}

const quic_crypto_suite *quic_crypto_plain(void)
{
    static const quic_crypto_suite plain = {
        .confidentiality_limit = UINT64_MAX,
        .integrity_limit = UINT64_MAX,
        .aead_init = plain_init,
        .aead_deinit = plain_deinit,
        .hp_init = plain_init,
        .hp_deinit = plain_deinit,
        .seal = plain_seal,
        .open = plain_open,
        .hp_masks = plain_hp_masks,
    };
    return &plain;
}

#include "quic/crypto/crypto.h"
#include "quic/crypto/hash.h"

typedef struct shim_ctx {
    uint8_t key[32];
} shim_ctx;

static bool ctx_init_16(void *ctx, const uint8_t *key)
{
    memset(ctx, 0, sizeof(shim_ctx));
    memcpy(ctx, key, 16);
    return true;
}

static bool ctx_init_32(void *ctx, const uint8_t *key)
{
    memcpy(ctx, key, sizeof(shim_ctx));
    return true;
}

static void ctx_deinit(void *ctx)
{
    memset(ctx, 0, sizeof(shim_ctx));
}

/* A fast, weak fold of the payload; SipHash over it, nonce and header makes the tag. */
static uint64_t fold(const uint8_t *p, size_t len)
{
    uint64_t h = 0x9e3779b97f4a7c15ull ^ len;
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t w;
        memcpy(&w, p, sizeof(w));
        h = (h ^ w) * 0xff51afd7ed558ccdull;
        h ^= h >> 32;
    }
    for (; len > 0; p++, len--) {
        h = (h ^ *p) * 0xff51afd7ed558ccdull;
        h ^= h >> 32;
    }
    return h;
}

static void make_tag(const shim_ctx *ctx, uint8_t tag[QUIC_AEAD_TAG_LEN], const uint8_t *payload,
                     size_t len, const uint8_t *nonce, const uint8_t *ad, size_t ad_len)
{
    uint64_t words[4] = {fold(payload, len), fold(ad, ad_len), 0, 0};
    memcpy(&words[2], nonce, QUIC_AEAD_NONCE_LEN);
    const uint64_t low = quic_siphash(ctx->key, words, sizeof(words));
    const uint64_t high = (low ^ words[0]) * 0xc4ceb9fe1a85ec53ull;
    memcpy(tag, &low, sizeof(low));
    memcpy(tag + 8, &high, sizeof(high));
}

static void shim_seal(void *aead, uint8_t *dst, const uint8_t *src, size_t len,
                      const uint8_t *nonce, const uint8_t *ad, size_t ad_len)
{
    if (dst != src && len > 0) {
        memcpy(dst, src, len);
    }
    make_tag((const shim_ctx *)aead, dst + len, dst, len, nonce, ad, ad_len);
}

static bool shim_open(void *aead, uint8_t *dst, const uint8_t *src, size_t ct_len,
                      const uint8_t *nonce, const uint8_t *ad, size_t ad_len)
{
    uint8_t tag[QUIC_AEAD_TAG_LEN];
    make_tag((const shim_ctx *)aead, tag, src, ct_len, nonce, ad, ad_len);
    if (memcmp(tag, src + ct_len, QUIC_AEAD_TAG_LEN) != 0) {
        return false;
    }
    if (dst != src && ct_len > 0) {
        memcpy(dst, src, ct_len);
    }
    return true;
}

static void shim_hp_masks(void *hp, const uint8_t *const samples[], uint8_t (*masks)[16],
                          unsigned count)
{
    (void)hp;
    (void)samples;
    memset(masks, 0, (size_t)count * 16);
}

#define SHIM_SUITE(suite_id, keys, hash, init)                                                     \
    {                                                                                              \
        .id = (suite_id), .key_len = (keys), .hash_len = (hash), .tag_len = QUIC_AEAD_TAG_LEN,     \
        .aead_size = sizeof(shim_ctx), .hp_size = sizeof(shim_ctx),                                \
        .confidentiality_limit = 1ull << 23, .integrity_limit = 1ull << 36, .aead_init = (init),   \
        .aead_deinit = ctx_deinit, .hp_init = (init), .hp_deinit = ctx_deinit, .seal = shim_seal,  \
        .open = shim_open, .hp_masks = shim_hp_masks                                               \
    }

const quic_crypto *quic_crypto_shim(void)
{
    static const quic_crypto_suite suites[QUIC_SUITE_COUNT] = {
        SHIM_SUITE(QUIC_SUITE_AES_128_GCM_SHA256, 16, 32, ctx_init_16),
        SHIM_SUITE(QUIC_SUITE_AES_256_GCM_SHA384, 32, 48, ctx_init_32),
        SHIM_SUITE(QUIC_SUITE_CHACHA20_POLY1305_SHA256, 32, 32, ctx_init_32),
        SHIM_SUITE(QUIC_SUITE_AES_128_CCM_SHA256, 16, 32, ctx_init_16),
    };
    static const quic_crypto provider = {"shim", {&suites[0], &suites[1], &suites[2], &suites[3]}};
    return &provider;
}

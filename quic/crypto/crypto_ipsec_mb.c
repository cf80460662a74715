#include "quic/crypto/crypto.h"

#if defined(QURING_HAVE_IPSEC_MB)

#include <immintrin.h>
#include <intel-ipsec-mb.h>
#include <stdatomic.h>

#include <openssl/mem.h>

#include "quic/crypto/crypto_boringssl.h"

/* Only the library's stateless functions are used: they take a key and a context on the stack, so
 * the manager that names them is asked once and freed. */
static struct {
    aes_gcm_enc_dec_t enc_128, dec_128, enc_256, dec_256;
    aes_gcm_init_t init_128, init_256;
    aes_gcm_enc_dec_update_t update_128, update_256;
    aes_gcm_enc_dec_finalize_t finalize_128, finalize_256;
    aes_gcm_pre_t pre_128, pre_256;
    keyexp_t keyexp_128, keyexp_256;
} fn;

#define BLOCK_LEN 16u

/* ---- AEAD, RFC 9001 5.3 ---------------------------------------------------------------------- */

static bool aes_128_init(void *aead, const uint8_t *key)
{
    fn.pre_128(key, (struct gcm_key_data *)aead);
    return true;
}

static bool aes_256_init(void *aead, const uint8_t *key)
{
    fn.pre_256(key, (struct gcm_key_data *)aead);
    return true;
}

static void aead_deinit(void *aead)
{
    OPENSSL_cleanse(aead, sizeof(struct gcm_key_data));
}

static void aes_128_seal(void *aead, uint8_t *dst, const uint8_t *src, size_t len,
                         const uint8_t *nonce, const uint8_t *ad, size_t ad_len)
{
    struct gcm_context_data ctx;
    fn.enc_128((const struct gcm_key_data *)aead, &ctx, dst, src, len, nonce, ad, ad_len, dst + len,
               QUIC_AEAD_TAG_LEN);
}

/* Completes the head's last block from the tail, as the library is slower over a block in two pieces. Returns how
 * many bytes that took. */
static inline size_t fill_block(uint8_t *dst, size_t head_len, const uint8_t *tail, size_t tail_len)
{
    if (tail_len < BLOCK_LEN) {
        return 0;
    }
    memcpy(dst + head_len, tail, BLOCK_LEN); /* of a fixed size: what is too much is written over */
    return -head_len % BLOCK_LEN;
}

static void aes_128_seal_tail(void *aead, uint8_t *dst, size_t head_len, const uint8_t *tail,
                              size_t tail_len, const uint8_t *nonce, const uint8_t *ad,
                              size_t ad_len)
{
    const struct gcm_key_data *key = (const struct gcm_key_data *)aead;
    const size_t filled = fill_block(dst, head_len, tail, tail_len);
    struct gcm_context_data ctx;
    fn.init_128(key, &ctx, nonce, ad, ad_len);
    fn.update_128(key, &ctx, dst, dst, head_len + filled);
    fn.update_128(key, &ctx, dst + head_len + filled, tail + filled, tail_len - filled);
    fn.finalize_128(key, &ctx, dst + head_len + tail_len, QUIC_AEAD_TAG_LEN);
}

/* Whether two tags are the same, in the same time whatever they are (RFC 9001 9.5). */
static inline bool tags_equal(const uint8_t *a, const uint8_t *b)
{
    _Static_assert(QUIC_AEAD_TAG_LEN == sizeof(__m128i), "one register holds a tag");
    const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)a);
    const __m128i y = _mm_loadu_si128((const __m128i *)(const void *)b);
    return _mm_movemask_epi8(_mm_cmpeq_epi8(x, y)) == 0xffff;
}

static bool aes_128_open(void *aead, uint8_t *dst, const uint8_t *src, size_t ct_len,
                         const uint8_t *nonce, const uint8_t *ad, size_t ad_len)
{
    struct gcm_context_data ctx;
    uint8_t tag[QUIC_AEAD_TAG_LEN];
    fn.dec_128((const struct gcm_key_data *)aead, &ctx, dst, src, ct_len, nonce, ad, ad_len, tag,
               QUIC_AEAD_TAG_LEN);
    return tags_equal(tag, src + ct_len);
}

static void aes_256_seal(void *aead, uint8_t *dst, const uint8_t *src, size_t len,
                         const uint8_t *nonce, const uint8_t *ad, size_t ad_len)
{
    struct gcm_context_data ctx;
    fn.enc_256((const struct gcm_key_data *)aead, &ctx, dst, src, len, nonce, ad, ad_len, dst + len,
               QUIC_AEAD_TAG_LEN);
}

static void aes_256_seal_tail(void *aead, uint8_t *dst, size_t head_len, const uint8_t *tail,
                              size_t tail_len, const uint8_t *nonce, const uint8_t *ad,
                              size_t ad_len)
{
    const struct gcm_key_data *key = (const struct gcm_key_data *)aead;
    const size_t filled = fill_block(dst, head_len, tail, tail_len);
    struct gcm_context_data ctx;
    fn.init_256(key, &ctx, nonce, ad, ad_len);
    fn.update_256(key, &ctx, dst, dst, head_len + filled);
    fn.update_256(key, &ctx, dst + head_len + filled, tail + filled, tail_len - filled);
    fn.finalize_256(key, &ctx, dst + head_len + tail_len, QUIC_AEAD_TAG_LEN);
}

static bool aes_256_open(void *aead, uint8_t *dst, const uint8_t *src, size_t ct_len,
                         const uint8_t *nonce, const uint8_t *ad, size_t ad_len)
{
    struct gcm_context_data ctx;
    uint8_t tag[QUIC_AEAD_TAG_LEN];
    fn.dec_256((const struct gcm_key_data *)aead, &ctx, dst, src, ct_len, nonce, ad, ad_len, tag,
               QUIC_AEAD_TAG_LEN);
    return tags_equal(tag, src + ct_len);
}

/* ---- header protection, RFC 9001 5.4.3 ------------------------------------------------------- */

#define ROUNDS_128 10
#define ROUNDS_256 14
#define LANES      4u /* blocks in flight, to hide the latency of one round */

typedef struct hp_key {
    __m128i round[ROUNDS_256 + 1];
} hp_key;

static bool aes_128_hp_init(void *hp, const uint8_t *key)
{
    uint8_t unused[sizeof(hp_key)] __attribute__((aligned(16)));
    fn.keyexp_128(key, hp, unused);
    OPENSSL_cleanse(unused, sizeof(unused));
    return true;
}

static bool aes_256_hp_init(void *hp, const uint8_t *key)
{
    uint8_t unused[sizeof(hp_key)] __attribute__((aligned(16)));
    fn.keyexp_256(key, hp, unused);
    OPENSSL_cleanse(unused, sizeof(unused));
    return true;
}

static void hp_deinit(void *hp)
{
    OPENSSL_cleanse(hp, sizeof(hp_key));
}

#define HP_TARGET __attribute__((target("aes,sse2")))

HP_TARGET static inline __m128i load_sample(const hp_key *key, const uint8_t *sample)
{
    return _mm_xor_si128(_mm_loadu_si128((const __m128i *)(const void *)sample), key->round[0]);
}

HP_TARGET static inline void store_mask(uint8_t *mask, __m128i block)
{
    _mm_storeu_si128((__m128i *)(void *)mask, block);
}

/* AES in ECB mode over scattered blocks: the library has no stateless function for it. */
HP_TARGET static void hp_masks(const hp_key *key, const uint8_t *const samples[],
                               uint8_t (*masks)[16], unsigned count, unsigned rounds)
{
    unsigned i = 0;
    for (; i + LANES <= count; i += LANES) {
        __m128i a = load_sample(key, samples[i]);
        __m128i b = load_sample(key, samples[i + 1]);
        __m128i c = load_sample(key, samples[i + 2]);
        __m128i d = load_sample(key, samples[i + 3]);
        for (unsigned r = 1; r < rounds; r++) {
            const __m128i k = key->round[r];
            a = _mm_aesenc_si128(a, k);
            b = _mm_aesenc_si128(b, k);
            c = _mm_aesenc_si128(c, k);
            d = _mm_aesenc_si128(d, k);
        }
        const __m128i last = key->round[rounds];
        store_mask(masks[i], _mm_aesenclast_si128(a, last));
        store_mask(masks[i + 1], _mm_aesenclast_si128(b, last));
        store_mask(masks[i + 2], _mm_aesenclast_si128(c, last));
        store_mask(masks[i + 3], _mm_aesenclast_si128(d, last));
    }
    for (; i < count; i++) {
        __m128i a = load_sample(key, samples[i]);
        for (unsigned r = 1; r < rounds; r++) {
            a = _mm_aesenc_si128(a, key->round[r]);
        }
        store_mask(masks[i], _mm_aesenclast_si128(a, key->round[rounds]));
    }
}

static void aes_128_hp_masks(void *hp, const uint8_t *const samples[], uint8_t (*masks)[16],
                             unsigned count)
{
    hp_masks((const hp_key *)hp, samples, masks, count, ROUNDS_128);
}

static void aes_256_hp_masks(void *hp, const uint8_t *const samples[], uint8_t (*masks)[16],
                             unsigned count)
{
    hp_masks((const hp_key *)hp, samples, masks, count, ROUNDS_256);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static const quic_crypto_suite aes_128_gcm = {
    .id = QUIC_SUITE_AES_128_GCM_SHA256,
    .key_len = 16,
    .hash_len = 32,
    .tag_len = QUIC_AEAD_TAG_LEN,
    .aead_size = sizeof(struct gcm_key_data),
    .hp_size = sizeof(hp_key),
    .confidentiality_limit = QUIC_AES_GCM_CONFIDENTIALITY_LIMIT,
    .integrity_limit = QUIC_AES_GCM_INTEGRITY_LIMIT,
    .aead_init = aes_128_init,
    .aead_deinit = aead_deinit,
    .hp_init = aes_128_hp_init,
    .hp_deinit = hp_deinit,
    .seal = aes_128_seal,
    .seal_tail = aes_128_seal_tail,
    .open = aes_128_open,
    .hp_masks = aes_128_hp_masks,
};

static const quic_crypto_suite aes_256_gcm = {
    .id = QUIC_SUITE_AES_256_GCM_SHA384,
    .key_len = 32,
    .hash_len = 48,
    .tag_len = QUIC_AEAD_TAG_LEN,
    .aead_size = sizeof(struct gcm_key_data),
    .hp_size = sizeof(hp_key),
    .confidentiality_limit = QUIC_AES_GCM_CONFIDENTIALITY_LIMIT,
    .integrity_limit = QUIC_AES_GCM_INTEGRITY_LIMIT,
    .aead_init = aes_256_init,
    .aead_deinit = aead_deinit,
    .hp_init = aes_256_hp_init,
    .hp_deinit = hp_deinit,
    .seal = aes_256_seal,
    .seal_tail = aes_256_seal_tail,
    .open = aes_256_open,
    .hp_masks = aes_256_hp_masks,
};

/* load_functions asks the library for the functions of this CPU. Without AES instructions the library
 * computes AES in tables of its own, slowly: then BoringSSL is the better one. With them it is
 * faster at every length: by a quarter for a whole packet with AVX2, twofold for a short one. */
static bool load_functions(void)
{
    IMB_MGR *mgr = alloc_mb_mgr(0);
    if (mgr == NULL) {
        return false;
    }
    init_mb_mgr_auto(mgr, NULL);
    const bool usable = imb_get_errno(mgr) == 0 && mgr->used_arch >= IMB_ARCH_SSE;
    if (usable) {
        fn.enc_128 = mgr->gcm128_enc;
        fn.dec_128 = mgr->gcm128_dec;
        fn.init_128 = mgr->gcm128_init;
        fn.update_128 = mgr->gcm128_enc_update;
        fn.finalize_128 = mgr->gcm128_enc_finalize;
        fn.enc_256 = mgr->gcm256_enc;
        fn.dec_256 = mgr->gcm256_dec;
        fn.init_256 = mgr->gcm256_init;
        fn.update_256 = mgr->gcm256_enc_update;
        fn.finalize_256 = mgr->gcm256_enc_finalize;
        fn.pre_128 = mgr->gcm128_pre;
        fn.pre_256 = mgr->gcm256_pre;
        fn.keyexp_128 = mgr->keyexp_128;
        fn.keyexp_256 = mgr->keyexp_256;
    }
    free_mb_mgr(mgr);
    return usable;
}

const quic_crypto *quic_crypto_ipsec_mb(void)
{
    enum { UNKNOWN = 0, LOADING, USABLE, REFUSED };
    static _Atomic int state = UNKNOWN;
    static const quic_crypto provider = {
        "ipsec-mb",
        {&aes_128_gcm, &aes_256_gcm, &quic_boringssl_chacha20_poly1305,
         &quic_boringssl_aes_128_ccm},
    };
    int now = atomic_load_explicit(&state, memory_order_acquire);
    if (now == UNKNOWN && atomic_compare_exchange_strong(&state, &now, LOADING)) {
        now = load_functions() ? USABLE : REFUSED;
        atomic_store_explicit(&state, now, memory_order_release);
    }
    while (now == LOADING) { /* another thread is at it, for a millisecond at most */
        _mm_pause();
        now = atomic_load_explicit(&state, memory_order_acquire);
    }
    return now == USABLE ? &provider : NULL;
}

#else

const quic_crypto *quic_crypto_ipsec_mb(void)
{
    return NULL;
}

#endif

const quic_crypto *quic_crypto_best(void)
{
    const quic_crypto *crypto = quic_crypto_ipsec_mb();
    return crypto != NULL ? crypto : quic_crypto_boringssl();
}

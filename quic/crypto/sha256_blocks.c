#include "quic/crypto/sha256_blocks.h"

#include <openssl/sha.h>

void quic_sha256_init(uint32_t state[8])
{
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(state, initial, sizeof(initial));
}

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>

#define SHA_TARGET __attribute__((target("sha,ssse3,sse4.1")))

/* FIPS 180-4 4.2.2 */
static const uint32_t round_constants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* The eight working variables as the instructions want them. */
typedef struct working {
    __m128i abef;
    __m128i cdgh;
} working;

/* Rounds 4 * group to 4 * group + 3, with the words w0; then w0 becomes the words of four groups later. */
SHA_TARGET static inline void four_rounds(working *v, __m128i *w0, __m128i w1, __m128i w2,
                                          __m128i w3, unsigned group)
{
    const __m128i *k = (const __m128i *)(const void *)round_constants;
    const __m128i sum = _mm_add_epi32(*w0, k[group]);
    v->cdgh = _mm_sha256rnds2_epu32(v->cdgh, v->abef, sum);
    v->abef = _mm_sha256rnds2_epu32(v->abef, v->cdgh, _mm_shuffle_epi32(sum, 0x0e));
    const __m128i next = _mm_add_epi32(_mm_sha256msg1_epu32(*w0, w1), _mm_alignr_epi8(w3, w2, 4));
    *w0 = _mm_sha256msg2_epu32(next, w3);
}

SHA_TARGET static void blocks_by_cpu(uint32_t state[8], const uint8_t *data, size_t count)
{
    const __m128i big_endian = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    __m128i *const out = (__m128i *)(void *)state;
    const __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128(&out[0]), 0xb1);
    const __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128(&out[1]), 0x1b);
    working v = {_mm_alignr_epi8(badc, hgfe, 8), _mm_blend_epi16(hgfe, badc, 0xf0)};
    for (; count > 0; count--, data += QUIC_SHA256_BLOCK_LEN) {
        const working before = v;
        const __m128i *in = (const __m128i *)(const void *)data;
        __m128i a = _mm_shuffle_epi8(_mm_loadu_si128(&in[0]), big_endian);
        __m128i b = _mm_shuffle_epi8(_mm_loadu_si128(&in[1]), big_endian);
        __m128i c = _mm_shuffle_epi8(_mm_loadu_si128(&in[2]), big_endian);
        __m128i d = _mm_shuffle_epi8(_mm_loadu_si128(&in[3]), big_endian);
        for (unsigned group = 0; group < 16; group += 4) {
            four_rounds(&v, &a, b, c, d, group);
            four_rounds(&v, &b, c, d, a, group + 1);
            four_rounds(&v, &c, d, a, b, group + 2);
            four_rounds(&v, &d, a, b, c, group + 3);
        }
        v.abef = _mm_add_epi32(v.abef, before.abef);
        v.cdgh = _mm_add_epi32(v.cdgh, before.cdgh);
    }
    const __m128i abef = _mm_shuffle_epi32(v.abef, 0x1b);
    const __m128i ghcd = _mm_shuffle_epi32(v.cdgh, 0xb1);
    _mm_storeu_si128(&out[0], _mm_blend_epi16(abef, ghcd, 0xf0));
    _mm_storeu_si128(&out[1], _mm_alignr_epi8(ghcd, abef, 8));
}

/* Asks the CPU once: a virtual machine leaves itself to answer. */
static bool cpu_can(void)
{
    enum { UNKNOWN = 0, YES, NO };
    static _Atomic int state = UNKNOWN;
    int now = atomic_load_explicit(&state, memory_order_relaxed);
    if (now == UNKNOWN) {
        unsigned a = 0, b = 0, c = 0, d = 0, b7 = 0;
        const bool ok = __get_cpuid(1, &a, &b, &c, &d) != 0 &&
                        (c & (bit_SSSE3 | bit_SSE4_1)) == (bit_SSSE3 | bit_SSE4_1) &&
                        __get_cpuid_count(7, 0, &a, &b7, &c, &d) != 0 && (b7 & bit_SHA) != 0;
        now = ok ? YES : NO;
        atomic_store_explicit(&state, now, memory_order_relaxed);
    }
    return now == YES;
}

void quic_sha256_blocks(uint32_t state[8], const uint8_t *data, size_t count)
{
    if (cpu_can()) {
        blocks_by_cpu(state, data, count);
    } else if (count > 0) { /* BoringSSL does not stop at 0 */
        SHA256_TransformBlocks(state, data, count);
    }
}

#else

void quic_sha256_blocks(uint32_t state[8], const uint8_t *data, size_t count)
{
    if (count > 0) {
        SHA256_TransformBlocks(state, data, count);
    }
}

#endif

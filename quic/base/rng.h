/* quic/base/rng.h: randomness as an argument. The runtime hands in a cryptographic source, tests and
 * the simulator a seeded one. quic_rng_seeded is for the latter only.
 */
#ifndef QUIC_BASE_RNG_H
#define QUIC_BASE_RNG_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quic_rng {
    void (*fill)(void *ctx, uint8_t *out, size_t len); /* must not fail */
    void *ctx;
} quic_rng;

static inline void quic_rng_fill(const quic_rng *rng, void *out, size_t len)
{
    rng->fill(rng->ctx, (uint8_t *)out, len);
}

static inline uint64_t quic_rng_u64(const quic_rng *rng)
{
    uint64_t v;
    quic_rng_fill(rng, &v, sizeof(v));
    return v;
}

/* A small seeded generator (splitmix64): not for secrets. */
typedef struct quic_rng_seeded_state {
    uint64_t s;
} quic_rng_seeded_state;

static inline void quic_rng_seeded_fill(void *ctx, uint8_t *out, size_t len)
{
    quic_rng_seeded_state *st = (quic_rng_seeded_state *)ctx;
    while (len > 0) {
        uint64_t z = (st->s += 0x9e3779b97f4a7c15ull);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        z ^= z >> 31;
        size_t n = len < sizeof(z) ? len : sizeof(z);
        memcpy(out, &z, n);
        out += n;
        len -= n;
    }
}

static inline quic_rng quic_rng_seeded(quic_rng_seeded_state *state)
{
    quic_rng rng = {quic_rng_seeded_fill, state};
    return rng;
}

#ifdef __cplusplus
}
#endif

#endif /* QUIC_BASE_RNG_H */

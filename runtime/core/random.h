/* runtime/core/random.h: the cryptographic source of a worker: getrandom(2) through a small buffer
 * whose bytes are erased as they are handed out. */
#ifndef RUNTIME_CORE_RANDOM_H
#define RUNTIME_CORE_RANDOM_H

#include "quic/base/rng.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_RANDOM_BUF_BYTES 256u

typedef struct rt_random {
    uint8_t buf[RT_RANDOM_BUF_BYTES];
    uint32_t used;
} rt_random;

void rt_random_init(rt_random *random);

/* rt_random_rng: one thread; `random` must outlive it. */
quic_rng rt_random_rng(rt_random *random);

/* rt_random_fill: any thread, straight from the kernel; aborts if that has no randomness to give. */
void rt_random_fill(void *out, size_t len);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_CORE_RANDOM_H */

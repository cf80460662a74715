#define _GNU_SOURCE 1 /* explicit_bzero */

#include "runtime/core/random.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/types.h>

#include "quic/base/check.h"

void rt_random_fill(void *out, size_t len)
{
    uint8_t *p = (uint8_t *)out;
    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);
        if (n < 0) {
            /* Without randomness nothing we would send is safe. */
            QURING_ASSERT(errno == EINTR);
            continue;
        }
        p += n;
        len -= (size_t)n;
    }
}

void rt_random_init(rt_random *random)
{
    random->used = RT_RANDOM_BUF_BYTES;
}

static void random_fill(void *ctx, uint8_t *out, size_t len)
{
    rt_random *random = (rt_random *)ctx;
    if (len > RT_RANDOM_BUF_BYTES / 2) {
        rt_random_fill(out, len);
        return;
    }
    if (RT_RANDOM_BUF_BYTES - random->used < len) {
        rt_random_fill(random->buf, sizeof(random->buf));
        random->used = 0;
    }
    memcpy(out, random->buf + random->used, len);
    explicit_bzero(random->buf + random->used, len);
    random->used += (uint32_t)len;
}

quic_rng rt_random_rng(rt_random *random)
{
    quic_rng rng = {random_fill, random};
    return rng;
}

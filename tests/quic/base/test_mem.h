/* tests/quic/base/test_mem.h: memory for tests: a root account over the heap whose allocations can be
 * made to fail.
 *
 * Owner:  the test; test_mem_init before use, and used_bytes must be 0 at its end.
 */
#ifndef TESTS_QUIC_BASE_TEST_MEM_H
#define TESTS_QUIC_BASE_TEST_MEM_H

#include <stdlib.h>

#include "quic/base/mem.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct test_mem {
    quic_mem mem;
    bool refuse;      /* every allocation fails */
    uint32_t fail_in; /* n: the n-th allocation from now fails; 0: none */
} test_mem;

static inline void *test_mem_alloc(void *ctx, size_t size)
{
    test_mem *tm = (test_mem *)ctx;
    if (tm->refuse || (tm->fail_in > 0 && --tm->fail_in == 0)) {
        return NULL;
    }
    return malloc(size);
}

static inline void test_mem_free(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    (void)size;
    free(ptr);
}

static inline void test_mem_init(test_mem *tm)
{
    quic_allocator allocator;
    allocator.alloc = test_mem_alloc;
    allocator.free = test_mem_free;
    allocator.ctx = tm;
    tm->refuse = false;
    tm->fail_in = 0;
    quic_mem_init_root(&tm->mem, &allocator, 1ull << 30);
}

#ifdef __cplusplus
}
#endif

#endif /* TESTS_QUIC_BASE_TEST_MEM_H */

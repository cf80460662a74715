#include "tests/compat/fuzz_alloc.h"

#include <stdatomic.h>
#include <stddef.h>

static _Atomic int64_t fuzz_before; /* allocations that still succeed */
static _Atomic int64_t fuzz_count;  /* those that fail then */
static _Atomic uint64_t fuzz_failed;
static _Atomic int64_t fuzz_live;

void fuzz_alloc_fail_at(uint64_t k, uint64_t count)
{
    atomic_store(&fuzz_count, 0);
    atomic_store(&fuzz_before, (int64_t)k - 1);
    atomic_store(&fuzz_count, k != 0 ? (int64_t)count : 0);
}

uint64_t fuzz_alloc_failed(void)
{
    return atomic_load(&fuzz_failed);
}

int64_t fuzz_alloc_live(void)
{
    return atomic_load(&fuzz_live);
}

#if defined(QURING_PLAIN_MALLOC) && (defined(QURING_ASAN) || defined(QURING_TSAN))

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void __real_free(void *ptr);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void __wrap_free(void *ptr);

static int fuzz_fails(void)
{
    if (atomic_load_explicit(&fuzz_count, memory_order_relaxed) <= 0 ||
        atomic_fetch_sub(&fuzz_before, 1) > 0 || atomic_fetch_sub(&fuzz_count, 1) <= 0) {
        return 0;
    }
    atomic_fetch_add(&fuzz_failed, 1);
    return 1;
}

static void *fuzz_count_up(void *ptr)
{
    if (ptr != NULL) {
        atomic_fetch_add_explicit(&fuzz_live, 1, memory_order_relaxed);
    }
    return ptr;
}

void *__wrap_malloc(size_t size)
{
    return fuzz_fails() ? NULL : fuzz_count_up(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fuzz_fails() ? NULL : fuzz_count_up(__real_calloc(count, size));
}

void __wrap_free(void *ptr)
{
    if (ptr != NULL) {
        atomic_fetch_sub_explicit(&fuzz_live, 1, memory_order_relaxed);
    }
    __real_free(ptr);
}

int fuzz_alloc_can_fail(void)
{
    return 1;
}

#else

int fuzz_alloc_can_fail(void)
{
    return 0;
}

#endif

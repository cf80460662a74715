#include "runtime/core/heap_alloc.h"

#if defined(QURING_PLAIN_MALLOC)

#include <stdlib.h>

bool rt_heap_init(rt_heap *heap)
{
    heap->impl = NULL;
    return true;
}

void rt_heap_deinit(rt_heap *heap)
{
    (void)heap;
}

void rt_heap_collect(rt_heap *heap)
{
    (void)heap;
}

void *rt_heap_lend(rt_heap *heap)
{
    return heap->impl;
}

void rt_heap_take_back(rt_heap *heap, void *lent)
{
    heap->impl = lent;
}

static void *heap_alloc(void *ctx, size_t size)
{
    (void)ctx;
    return malloc(size);
}

static void heap_free(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    (void)size;
    free(ptr);
}

#else

#include <mimalloc.h>

#define ALIGN_BYTES 16u

bool rt_heap_init(rt_heap *heap)
{
    heap->impl = mi_heap_new();
    return heap->impl != NULL;
}

void rt_heap_deinit(rt_heap *heap)
{
    if (heap->impl != NULL) {
        mi_heap_destroy((mi_heap_t *)heap->impl);
        heap->impl = NULL;
    }
}

void rt_heap_collect(rt_heap *heap)
{
    if (heap->impl != NULL) {
        mi_heap_collect((mi_heap_t *)heap->impl, true);
    }
}

void *rt_heap_lend(rt_heap *heap)
{
    void *lent = heap->impl;
    if (lent != NULL) {
        heap->impl = mi_heap_get_default();
    }
    return lent;
}

void rt_heap_take_back(rt_heap *heap, void *lent)
{
    heap->impl = lent;
}

static void *heap_alloc(void *ctx, size_t size)
{
    rt_heap *heap = (rt_heap *)ctx;
    /* Blocks of up to 8 bytes are only aligned to 8. */
    return mi_heap_malloc((mi_heap_t *)heap->impl, size < ALIGN_BYTES ? ALIGN_BYTES : size);
}

static void heap_free(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    (void)size;
    mi_free(ptr);
}

#endif

quic_allocator rt_heap_allocator(rt_heap *heap)
{
    quic_allocator allocator = {heap_alloc, heap_free, heap};
    return allocator;
}

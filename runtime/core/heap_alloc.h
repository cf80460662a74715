/* runtime/core/heap_alloc.h: a worker's own mimalloc heap behind quic_allocator; plain malloc in
 * builds with QURING_PLAIN_MALLOC (sanitizers). */
#ifndef RUNTIME_CORE_HEAP_ALLOC_H
#define RUNTIME_CORE_HEAP_ALLOC_H

#include "quic/base/mem.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rt_heap {
    void *impl; /* mi_heap_t, or NULL */
} rt_heap;

/* rt_heap_init makes the heap; only the calling thread may allocate from it. False without memory.
 * rt_heap_deinit gives back everything still allocated, on the same thread. */
QUIC_NODISCARD bool rt_heap_init(rt_heap *heap);
void rt_heap_deinit(rt_heap *heap);

/* rt_heap_collect returns pages nobody uses to the system, as far as the allocator can; same thread.
 * By itself the allocator does so only while it is being used, so never in a worker at rest. */
void rt_heap_collect(rt_heap *heap);

/* rt_heap_lend lets another thread allocate instead, from a heap of its own, until rt_heap_take_back gets what
 * it returned; both on that thread, which the owner waits for. What it allocated may be freed by either, at
 * any time, and must be: rt_heap_deinit does not know of it. */
void *rt_heap_lend(rt_heap *heap);
void rt_heap_take_back(rt_heap *heap, void *lent);

/* rt_heap_allocator: `heap` must outlive its users. */
quic_allocator rt_heap_allocator(rt_heap *heap);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_CORE_HEAP_ALLOC_H */

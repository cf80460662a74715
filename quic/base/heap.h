/* quic/base/heap.h: a priority queue of deadlines: intrusive 4-ary min-heap.
 *
 * Shape:  an array of {key, node} from quic_mem, doubling up to `max`; a node knows its place, so a
 *         deadline moves or leaves in O(log n) without a search and without an allocation. Nodes of
 *         equal keys come out in an order that depends on the operations only.
 * Owner:  an endpoint; nodes are embedded in what waits. A zeroed node is not queued.
 */
#ifndef QUIC_BASE_HEAP_H
#define QUIC_BASE_HEAP_H

#include "quic/base/mem.h"
#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quic_heap_node {
    quic_ns key;
    uint32_t place; /* index in the array + 1; 0 when not queued */
} quic_heap_node;

typedef struct quic_heap_entry {
    quic_ns key; /* copy of node->key: sifting reads the array only */
    quic_heap_node *node;
} quic_heap_entry;

typedef struct quic_heap {
    quic_heap_entry *entries;
    uint32_t count;
    uint32_t cap;
    uint32_t max;
    quic_mem *mem;
} quic_heap;

/* quic_heap_init makes an empty heap of at most `max` nodes; nothing is allocated yet. */
void quic_heap_init(quic_heap *heap, quic_mem *mem, uint32_t max);

/* quic_heap_deinit gives the array back; nodes still queued are marked as not queued. */
void quic_heap_deinit(quic_heap *heap);

/* quic_heap_reserve makes sure `count` nodes fit without allocating.
 * Returns QUIC_OK; QUIC_E_LIMIT (> max); QUIC_E_NOMEM. */
QUIC_NODISCARD quic_rc quic_heap_reserve(quic_heap *heap, uint32_t count);

/* quic_heap_push queues a node that is not queued.
 * Returns QUIC_OK; QUIC_E_LIMIT; QUIC_E_NOMEM (node untouched). */
QUIC_NODISCARD quic_rc quic_heap_push(quic_heap *heap, quic_heap_node *node, quic_ns key);

/* quic_heap_update moves a queued node to another key; never fails. */
void quic_heap_update(quic_heap *heap, quic_heap_node *node, quic_ns key);

/* quic_heap_remove takes a node out; no-op when it is not queued. */
void quic_heap_remove(quic_heap *heap, quic_heap_node *node);

static inline bool quic_heap_is_queued(const quic_heap_node *node)
{
    return node->place != 0;
}

/* quic_heap_set pushes or updates, whatever is needed. */
QUIC_NODISCARD static inline quic_rc quic_heap_set(quic_heap *heap, quic_heap_node *node,
                                                   quic_ns key)
{
    if (node->place == 0) {
        return quic_heap_push(heap, node, key);
    }
    if (node->key != key) {
        quic_heap_update(heap, node, key);
    }
    return QUIC_OK;
}

/* quic_heap_peek gives the node with the smallest key, NULL when empty. */
static inline quic_heap_node *quic_heap_peek(const quic_heap *heap)
{
    return heap->count == 0 ? NULL : heap->entries[0].node;
}

/* quic_heap_next_key gives the smallest key, QUIC_NS_NEVER when empty. */
static inline quic_ns quic_heap_next_key(const quic_heap *heap)
{
    return heap->count == 0 ? QUIC_NS_NEVER : heap->entries[0].key;
}

/* quic_heap_pop takes the node with the smallest key out; NULL when empty. */
quic_heap_node *quic_heap_pop(quic_heap *heap);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_BASE_HEAP_H */

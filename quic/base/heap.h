/* quic/base/heap.h: a priority queue of deadlines: intrusive 4-ary min-heap.
 *
 * Shape:  arrays from quic_mem, doubling up to `max`: keys in heap order, and for each node queued an
 *         identity that tells its place, so that a deadline moves or leaves in O(log n) without a search
 *         and without an allocation. What moves others out of its way touches these arrays only: nodes
 *         lie in objects that are in no near cache. Nodes of equal keys come out in an order that
 *         depends on the operations only.
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
    uint32_t id; /* 1 + index in `places` and `nodes`; 0 when not queued */
} quic_heap_node;

typedef struct quic_heap {
    quic_ns *keys;          /* in heap order, one allocation with the other arrays */
    quic_heap_node **nodes; /* by identity */
    uint32_t *places;       /* by identity: index in `keys`; of one not in use: the next such */
    uint32_t *ids;          /* of each key */
    uint32_t free_id;       /* the first not in use, if count < cap */
    uint32_t count;
    uint32_t cap;
    uint32_t max;
    quic_mem *mem;
} quic_heap;

/* What the arrays take for each node there is room for. */
#define QUIC_HEAP_ENTRY_BYTES (sizeof(quic_ns) + sizeof(quic_heap_node *) + 2 * sizeof(uint32_t))

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
    return node->id != 0;
}

/* quic_heap_key gives the key of a queued node. */
static inline quic_ns quic_heap_key(const quic_heap *heap, const quic_heap_node *node)
{
    return heap->keys[heap->places[node->id - 1]];
}

/* quic_heap_set pushes or updates, whatever is needed. */
QUIC_NODISCARD static inline quic_rc quic_heap_set(quic_heap *heap, quic_heap_node *node,
                                                   quic_ns key)
{
    if (!quic_heap_is_queued(node)) {
        return quic_heap_push(heap, node, key);
    }
    if (quic_heap_key(heap, node) != key) {
        quic_heap_update(heap, node, key);
    }
    return QUIC_OK;
}

/* quic_heap_peek gives the node with the smallest key, NULL when empty. */
static inline quic_heap_node *quic_heap_peek(const quic_heap *heap)
{
    return heap->count == 0 ? NULL : heap->nodes[heap->ids[0]];
}

/* quic_heap_next_key gives the smallest key, QUIC_NS_NEVER when empty. */
static inline quic_ns quic_heap_next_key(const quic_heap *heap)
{
    return heap->count == 0 ? QUIC_NS_NEVER : heap->keys[0];
}

/* quic_heap_pop takes the node with the smallest key out; NULL when empty. */
quic_heap_node *quic_heap_pop(quic_heap *heap);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_BASE_HEAP_H */

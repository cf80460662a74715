#include "quic/base/heap.h"

#include "quic/base/check.h"

#define HEAP_CAP_MIN 16u
#define HEAP_ARITY   4u

void quic_heap_init(quic_heap *heap, quic_mem *mem, uint32_t max)
{
    memset(heap, 0, sizeof(*heap));
    heap->mem = mem;
    heap->max = max;
}

static void free_arrays(const quic_heap *heap)
{
    quic_mem_free(heap->mem, heap->keys, (size_t)heap->cap * QUIC_HEAP_ENTRY_BYTES);
}

void quic_heap_deinit(quic_heap *heap)
{
    for (uint32_t i = 0; i < heap->count; i++) {
        heap->nodes[heap->ids[i]]->id = 0;
    }
    free_arrays(heap);
    heap->keys = NULL;
    heap->count = 0;
    heap->cap = 0;
}

/* The arrays of `cap` entries in one block, widest first. */
static void lay_out(quic_heap *heap, void *block, uint32_t cap)
{
    heap->keys = (quic_ns *)block;
    heap->nodes = (quic_heap_node **)(void *)(heap->keys + cap);
    heap->places = (uint32_t *)(void *)(heap->nodes + cap);
    heap->ids = heap->places + cap;
    heap->cap = cap;
}

quic_rc quic_heap_reserve(quic_heap *heap, uint32_t count)
{
    if (count <= heap->cap) {
        return QUIC_OK;
    }
    if (count > heap->max) {
        return QUIC_E_LIMIT;
    }
    uint64_t cap = heap->cap == 0 ? HEAP_CAP_MIN : (uint64_t)heap->cap * 2;
    cap = cap < count ? count : cap;
    cap = cap > heap->max ? heap->max : cap;
    void *block = quic_mem_alloc(heap->mem, (size_t)cap * QUIC_HEAP_ENTRY_BYTES);
    if (block == NULL) {
        return QUIC_E_NOMEM;
    }
    const quic_heap old = *heap;
    lay_out(heap, block, (uint32_t)cap);
    if (old.cap > 0) {
        memcpy(heap->keys, old.keys, old.cap * sizeof(*old.keys));
        memcpy(heap->nodes, old.nodes, old.cap * sizeof(*old.nodes));
        memcpy(heap->places, old.places, old.cap * sizeof(*old.places));
        memcpy(heap->ids, old.ids, old.cap * sizeof(*old.ids));
        free_arrays(&old);
    }
    for (uint32_t id = old.cap; id < heap->cap;
         id++) { /* the new ones first, then those there were */
        heap->places[id] = id + 1 < heap->cap ? id + 1 : old.free_id;
    }
    heap->free_id = old.cap;
    return QUIC_OK;
}

static void put(quic_heap *heap, uint32_t at, quic_ns key, uint32_t id)
{
    heap->keys[at] = key;
    heap->ids[at] = id;
    heap->places[id] = at;
}

/* Moves what has `key` from the hole at `at` towards the root. */
static void sift_up(quic_heap *heap, uint32_t at, quic_ns key, uint32_t id)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / HEAP_ARITY;
        if (heap->keys[parent] <= key) {
            break;
        }
        put(heap, at, heap->keys[parent], heap->ids[parent]);
        at = parent;
    }
    put(heap, at, key, id);
}

/* Moves what has `key` from the hole at `at` towards the leaves. */
static void sift_down(quic_heap *heap, uint32_t at, quic_ns key, uint32_t id)
{
    for (;;) {
        uint64_t first = (uint64_t)at * HEAP_ARITY + 1;
        if (first >= heap->count) {
            break;
        }
        uint32_t best = (uint32_t)first;
        for (uint32_t i = 1; i < HEAP_ARITY && first + i < heap->count; i++) {
            if (heap->keys[first + i] < heap->keys[best]) {
                best = (uint32_t)first + i;
            }
        }
        if (heap->keys[best] >= key) {
            break;
        }
        put(heap, at, heap->keys[best], heap->ids[best]);
        at = best;
    }
    put(heap, at, key, id);
}

/* Fills the hole at `at`, whichever way what goes there has to go. */
static void settle(quic_heap *heap, uint32_t at, quic_ns key, uint32_t id)
{
    if (at > 0 && heap->keys[(at - 1) / HEAP_ARITY] > key) {
        sift_up(heap, at, key, id);
    } else {
        sift_down(heap, at, key, id);
    }
}

quic_rc quic_heap_push(quic_heap *heap, quic_heap_node *node, quic_ns key)
{
    QURING_ASSERT(node->id == 0);
    if (QUIC_UNLIKELY(heap->count == heap->cap)) {
        if (heap->count == heap->max) {
            return QUIC_E_LIMIT;
        }
        quic_rc rc = quic_heap_reserve(heap, heap->count + 1);
        if (rc != QUIC_OK) {
            return rc;
        }
    }
    const uint32_t id = heap->free_id;
    heap->free_id = heap->places[id];
    heap->nodes[id] = node;
    node->id = id + 1;
    sift_up(heap, heap->count++, key, id);
    return QUIC_OK;
}

void quic_heap_update(quic_heap *heap, quic_heap_node *node, quic_ns key)
{
    QURING_ASSERT(node->id != 0 && node->id <= heap->cap);
    settle(heap, heap->places[node->id - 1], key, node->id - 1);
}

void quic_heap_remove(quic_heap *heap, quic_heap_node *node)
{
    if (node->id == 0) {
        return;
    }
    QURING_ASSERT(node->id <= heap->cap && heap->nodes[node->id - 1] == node);
    const uint32_t id = node->id - 1;
    const uint32_t at = heap->places[id];
    node->id = 0;
    heap->places[id] = heap->free_id;
    heap->free_id = id;
    heap->count--;
    if (at < heap->count) {
        settle(heap, at, heap->keys[heap->count], heap->ids[heap->count]);
    }
}

quic_heap_node *quic_heap_pop(quic_heap *heap)
{
    quic_heap_node *node = quic_heap_peek(heap);
    if (node != NULL) {
        quic_heap_remove(heap, node);
    }
    return node;
}

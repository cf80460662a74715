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

void quic_heap_deinit(quic_heap *heap)
{
    for (uint32_t i = 0; i < heap->count; i++) {
        heap->entries[i].node->place = 0;
    }
    quic_mem_free(heap->mem, heap->entries, (size_t)heap->cap * sizeof(*heap->entries));
    heap->entries = NULL;
    heap->count = 0;
    heap->cap = 0;
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
    quic_heap_entry *entries = quic_mem_alloc(heap->mem, (size_t)cap * sizeof(*entries));
    if (entries == NULL) {
        return QUIC_E_NOMEM;
    }
    if (heap->count > 0) {
        memcpy(entries, heap->entries, (size_t)heap->count * sizeof(*entries));
    }
    quic_mem_free(heap->mem, heap->entries, (size_t)heap->cap * sizeof(*entries));
    heap->entries = entries;
    heap->cap = (uint32_t)cap;
    return QUIC_OK;
}

static void put(quic_heap *heap, uint32_t at, quic_heap_entry entry)
{
    heap->entries[at] = entry;
    entry.node->place = at + 1;
}

/* Moves `entry` from the hole at `at` towards the root. */
static void sift_up(quic_heap *heap, uint32_t at, quic_heap_entry entry)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / HEAP_ARITY;
        if (heap->entries[parent].key <= entry.key) {
            break;
        }
        put(heap, at, heap->entries[parent]);
        at = parent;
    }
    put(heap, at, entry);
}

/* Moves `entry` from the hole at `at` towards the leaves. */
static void sift_down(quic_heap *heap, uint32_t at, quic_heap_entry entry)
{
    for (;;) {
        uint64_t first = (uint64_t)at * HEAP_ARITY + 1;
        if (first >= heap->count) {
            break;
        }
        uint32_t best = (uint32_t)first;
        for (uint32_t i = 1; i < HEAP_ARITY && first + i < heap->count; i++) {
            if (heap->entries[first + i].key < heap->entries[best].key) {
                best = (uint32_t)first + i;
            }
        }
        if (heap->entries[best].key >= entry.key) {
            break;
        }
        put(heap, at, heap->entries[best]);
        at = best;
    }
    put(heap, at, entry);
}

/* Fills the hole at `at` with `entry`, whichever way it has to go. */
static void settle(quic_heap *heap, uint32_t at, quic_heap_entry entry)
{
    if (at > 0 && heap->entries[(at - 1) / HEAP_ARITY].key > entry.key) {
        sift_up(heap, at, entry);
    } else {
        sift_down(heap, at, entry);
    }
}

quic_rc quic_heap_push(quic_heap *heap, quic_heap_node *node, quic_ns key)
{
    QURING_ASSERT(node->place == 0);
    if (QUIC_UNLIKELY(heap->count == heap->cap)) {
        if (heap->count == heap->max) {
            return QUIC_E_LIMIT;
        }
        quic_rc rc = quic_heap_reserve(heap, heap->count + 1);
        if (rc != QUIC_OK) {
            return rc;
        }
    }
    node->key = key;
    sift_up(heap, heap->count++, (quic_heap_entry){key, node});
    return QUIC_OK;
}

void quic_heap_update(quic_heap *heap, quic_heap_node *node, quic_ns key)
{
    QURING_ASSERT(node->place != 0 && node->place <= heap->count);
    node->key = key;
    settle(heap, node->place - 1, (quic_heap_entry){key, node});
}

void quic_heap_remove(quic_heap *heap, quic_heap_node *node)
{
    if (node->place == 0) {
        return;
    }
    QURING_ASSERT(node->place <= heap->count && heap->entries[node->place - 1].node == node);
    uint32_t at = node->place - 1;
    node->place = 0;
    heap->count--;
    if (at < heap->count) {
        settle(heap, at, heap->entries[heap->count]);
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

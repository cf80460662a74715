#include "runtime/impair/hold.h"

#include <stdlib.h>

#define FIRST_CAP 256u

void rt_hold_init(rt_hold *hold, uint64_t bytes_max)
{
    memset(hold, 0, sizeof(*hold));
    hold->bytes_max = bytes_max;
}

void rt_hold_deinit(rt_hold *hold)
{
    for (size_t i = 0; i < hold->count; i++) {
        free(hold->heap[i]);
    }
    free(hold->heap);
    memset(hold, 0, sizeof(*hold));
}

static uint64_t cost_of(size_t len)
{
    return sizeof(rt_held) + len + sizeof(rt_held *);
}

static bool is_before(const rt_held *a, const rt_held *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static bool make_room(rt_hold *hold)
{
    if (hold->count < hold->cap) {
        return true;
    }
    size_t cap = hold->cap == 0 ? FIRST_CAP : hold->cap * 2;
    rt_held **heap = realloc(hold->heap, cap * sizeof(*heap));
    if (heap == NULL) {
        return false;
    }
    hold->heap = heap;
    hold->cap = cap;
    return true;
}

rt_held *rt_hold_add(rt_hold *hold, const rt_held *like, const uint8_t *data, size_t len)
{
    if (hold->bytes + cost_of(len) > hold->bytes_max || !make_room(hold)) {
        return NULL;
    }
    rt_held *held = malloc(sizeof(*held) + len);
    if (held == NULL) {
        return NULL;
    }
    *held = *like;
    held->order = hold->next_order++;
    held->len = (uint32_t)len;
    memcpy(held->data, data, len);
    hold->bytes += cost_of(len);
    size_t at = hold->count++;
    while (at > 0 && is_before(held, hold->heap[(at - 1) / 2])) {
        hold->heap[at] = hold->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    hold->heap[at] = held;
    return held;
}

rt_held *rt_hold_take(rt_hold *hold)
{
    rt_held *first = hold->heap[0];
    rt_held *last = hold->heap[--hold->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= hold->count) {
            break;
        }
        if (child + 1 < hold->count && is_before(hold->heap[child + 1], hold->heap[child])) {
            child++;
        }
        if (!is_before(hold->heap[child], last)) {
            break;
        }
        hold->heap[at] = hold->heap[child];
        at = child;
    }
    if (hold->count > 0) {
        hold->heap[at] = last;
    }
    return first;
}

void rt_hold_free(rt_hold *hold, rt_held *held)
{
    hold->bytes -= cost_of(held->len);
    free(held);
}

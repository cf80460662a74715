#include "runtime/core/app_timer.h"

#include <stdlib.h>

#include "quic/base/check.h"

#define CAP_FIRST 64u
#define NO_SLOT   UINT32_MAX

void rt_app_timers_init(rt_app_timers *timers)
{
    memset(timers, 0, sizeof(*timers));
    timers->free_head = NO_SLOT;
}

void rt_app_timers_deinit(rt_app_timers *timers)
{
    free(timers->slots);
    free(timers->heap);
    rt_app_timers_init(timers);
}

static quic_rc grow(rt_app_timers *timers)
{
    uint32_t cap = timers->cap == 0 ? CAP_FIRST : timers->cap * 2;
    if (cap > RT_APP_TIMERS_MAX) {
        return QUIC_E_LIMIT;
    }
    rt_app_timer_slot *slots = realloc(timers->slots, cap * sizeof(*slots));
    if (slots == NULL) {
        return QUIC_E_NOMEM;
    }
    timers->slots = slots;
    uint32_t *heap = realloc(timers->heap, cap * sizeof(*heap));
    if (heap == NULL) {
        return QUIC_E_NOMEM;
    }
    timers->heap = heap;
    for (uint32_t i = timers->cap; i < cap; i++) {
        memset(&slots[i], 0, sizeof(slots[i]));
        slots[i].heap_pos = i + 1 < cap ? i + 1 : NO_SLOT;
    }
    timers->free_head = timers->cap;
    timers->cap = cap;
    return QUIC_OK;
}

static bool is_before(const rt_app_timers *timers, uint32_t a, uint32_t b)
{
    const rt_app_timer_slot *x = &timers->slots[a];
    const rt_app_timer_slot *y = &timers->slots[b];
    return x->at < y->at || (x->at == y->at && x->seq < y->seq);
}

static void place(rt_app_timers *timers, uint32_t pos, uint32_t slot)
{
    timers->heap[pos] = slot;
    timers->slots[slot].heap_pos = pos;
}

static void sift_up(rt_app_timers *timers, uint32_t pos, uint32_t slot)
{
    while (pos > 0) {
        uint32_t parent = (pos - 1) / 2;
        if (!is_before(timers, slot, timers->heap[parent])) {
            break;
        }
        place(timers, pos, timers->heap[parent]);
        pos = parent;
    }
    place(timers, pos, slot);
}

static void sift_down(rt_app_timers *timers, uint32_t pos, uint32_t slot)
{
    for (;;) {
        uint32_t child = 2 * pos + 1;
        if (child >= timers->count) {
            break;
        }
        if (child + 1 < timers->count &&
            is_before(timers, timers->heap[child + 1], timers->heap[child])) {
            child++;
        }
        if (!is_before(timers, timers->heap[child], slot)) {
            break;
        }
        place(timers, pos, timers->heap[child]);
        pos = child;
    }
    place(timers, pos, slot);
}

static void remove_slot(rt_app_timers *timers, uint32_t slot)
{
    rt_app_timer_slot *s = &timers->slots[slot];
    uint32_t pos = s->heap_pos;
    QURING_ASSERT(pos < timers->count && timers->heap[pos] == slot);
    uint32_t last = timers->heap[--timers->count];
    if (last != slot) {
        if (pos > 0 && is_before(timers, last, timers->heap[(pos - 1) / 2])) {
            sift_up(timers, pos, last);
        } else {
            sift_down(timers, pos, last);
        }
    }
    s->fn = NULL;
    s->generation++;
    s->heap_pos = timers->free_head;
    timers->free_head = slot;
}

quic_rc rt_app_timers_add(rt_app_timers *timers, uint64_t *out_id, quic_ns at, rt_task_fn fn,
                          void *ctx)
{
    QURING_ASSERT(fn != NULL);
    if (timers->free_head == NO_SLOT) {
        quic_rc rc = grow(timers);
        if (rc != QUIC_OK) {
            return rc;
        }
    }
    uint32_t slot = timers->free_head;
    rt_app_timer_slot *s = &timers->slots[slot];
    timers->free_head = s->heap_pos;
    s->at = at;
    s->seq = timers->next_seq++;
    s->fn = fn;
    s->ctx = ctx;
    sift_up(timers, timers->count++, slot);
    if (out_id != NULL) {
        *out_id = (uint64_t)s->generation << 32 | (slot + 1);
    }
    return QUIC_OK;
}

quic_rc rt_app_timers_cancel(rt_app_timers *timers, uint64_t id)
{
    uint32_t slot = (uint32_t)id - 1; /* 0 wraps to a slot that never is */
    if (slot >= timers->cap || timers->slots[slot].fn == NULL ||
        timers->slots[slot].generation != (uint32_t)(id >> 32)) {
        return QUIC_E_STATE;
    }
    remove_slot(timers, slot);
    return QUIC_OK;
}

bool rt_app_timers_pop(rt_app_timers *timers, rt_mail *out, quic_ns now)
{
    if (timers->count == 0 || timers->slots[timers->heap[0]].at > now) {
        return false;
    }
    uint32_t slot = timers->heap[0];
    out->fn = timers->slots[slot].fn;
    out->ctx = timers->slots[slot].ctx;
    remove_slot(timers, slot);
    return true;
}

quic_ns rt_app_timers_next(const rt_app_timers *timers)
{
    return timers->count > 0 ? timers->slots[timers->heap[0]].at : QUIC_NS_NEVER;
}

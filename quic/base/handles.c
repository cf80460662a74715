#include "quic/base/handles.h"

#include "quic/base/check.h"

#define HANDLES_CAP_MIN 16u
#define HANDLES_MAX     (1u << 31)
#define GENERATION_MASK 0xffffffu

void quic_handles_init(quic_handles *handles, quic_mem *mem, uint8_t worker, uint32_t max)
{
    QURING_ASSERT(max <= HANDLES_MAX);
    memset(handles, 0, sizeof(*handles));
    handles->mem = mem;
    handles->worker = worker;
    handles->max = max;
}

void quic_handles_deinit(quic_handles *handles)
{
    quic_mem_free(handles->mem, handles->slots, (size_t)handles->cap * sizeof(*handles->slots));
    handles->slots = NULL;
    handles->cap = 0;
    handles->count = 0;
    handles->free_head = 0;
    handles->free_tail = 0;
}

static void append_free(quic_handles *handles, uint32_t index)
{
    handles->slots[index].next_free = 0;
    if (handles->free_tail == 0) {
        handles->free_head = index + 1;
    } else {
        handles->slots[handles->free_tail - 1].next_free = index + 1;
    }
    handles->free_tail = index + 1;
}

static quic_rc grow(quic_handles *handles)
{
    uint32_t old_cap = handles->cap;
    if (old_cap >= handles->max) {
        return QUIC_E_LIMIT;
    }
    uint32_t cap = old_cap == 0 ? HANDLES_CAP_MIN : old_cap * 2;
    if (cap > handles->max) {
        cap = handles->max;
    }
    quic_handle_slot *slots = quic_mem_alloc(handles->mem, (size_t)cap * sizeof(*slots));
    if (slots == NULL) {
        return QUIC_E_NOMEM;
    }
    if (old_cap > 0) {
        memcpy(slots, handles->slots, (size_t)old_cap * sizeof(*slots));
    }
    quic_mem_free(handles->mem, handles->slots, (size_t)old_cap * sizeof(*slots));
    handles->slots = slots;
    handles->cap = cap;
    for (uint32_t i = old_cap; i < cap; i++) {
        slots[i] = (quic_handle_slot){.generation = 1};
        append_free(handles, i);
    }
    return QUIC_OK;
}

quic_rc quic_handles_add(quic_handles *handles, uint64_t *out, void *value)
{
    QURING_ASSERT(value != NULL);
    if (handles->free_head == 0) {
        quic_rc rc = grow(handles);
        if (rc != QUIC_OK) {
            return rc;
        }
    }
    uint32_t index = handles->free_head - 1;
    quic_handle_slot *slot = &handles->slots[index];
    handles->free_head = slot->next_free;
    if (handles->free_head == 0) {
        handles->free_tail = 0;
    }
    slot->next_free = 0;
    slot->value = value;
    handles->count++;
    *out = (uint64_t)handles->worker << 56 | (uint64_t)slot->generation << 32 | index;
    return QUIC_OK;
}

void *quic_handles_remove(quic_handles *handles, uint64_t handle)
{
    void *value = quic_handles_get(handles, handle);
    if (value == NULL) {
        return NULL;
    }
    uint32_t index = quic_handle_index(handle);
    quic_handle_slot *slot = &handles->slots[index];
    slot->value = NULL;
    slot->generation = (slot->generation + 1) & GENERATION_MASK;
    if (slot->generation == 0) {
        slot->generation = 1;
    }
    append_free(handles, index);
    handles->count--;
    return value;
}

/* quic/base/handles.h: handles that outlive what they name.
 *
 * Shape:  a table of slots; a handle is worker (8 bits), generation (24 bits), index (32 bits). A
 *         slot's generation moves on when it is freed, so a stale handle finds nothing. It is never
 *         0, so no handle is 0. Freed slots are reused oldest first, which keeps generations apart.
 * Owner:  an endpoint; one worker; no locks. Memory from quic_mem, doubling up to `max` slots.
 */
#ifndef QUIC_BASE_HANDLES_H
#define QUIC_BASE_HANDLES_H

#include "quic/base/mem.h"
#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quic_handle_slot {
    void *value; /* NULL: free */
    uint32_t generation;
    uint32_t next_free; /* index + 1 of the next free slot, 0 at the end */
} quic_handle_slot;

typedef struct quic_handles {
    quic_handle_slot *slots;
    quic_mem *mem;
    uint32_t cap;
    uint32_t max;
    uint32_t count;
    uint32_t free_head; /* index + 1; 0 none */
    uint32_t free_tail;
    uint8_t worker;
} quic_handles;

static inline uint8_t quic_handle_worker(uint64_t handle)
{
    return (uint8_t)(handle >> 56);
}

static inline uint32_t quic_handle_generation(uint64_t handle)
{
    return (uint32_t)(handle >> 32) & 0xffffffu;
}

static inline uint32_t quic_handle_index(uint64_t handle)
{
    return (uint32_t)handle;
}

/* quic_handles_init makes an empty table of at most `max` (<= 2^31) entries for `worker`. */
void quic_handles_init(quic_handles *handles, quic_mem *mem, uint8_t worker, uint32_t max);
void quic_handles_deinit(quic_handles *handles);

/* quic_handles_add names `value` (not NULL): *out is the handle.
 * Returns QUIC_OK; QUIC_E_LIMIT; QUIC_E_NOMEM. */
QUIC_NODISCARD quic_rc quic_handles_add(quic_handles *handles, uint64_t *out, void *value);

/* quic_handles_remove forgets a handle and returns what it named, NULL for a stale one. */
void *quic_handles_remove(quic_handles *handles, uint64_t handle);

/* quic_handles_get returns what `handle` names; NULL when it is stale, foreign or 0. */
static inline void *quic_handles_get(const quic_handles *handles, uint64_t handle)
{
    uint32_t index = quic_handle_index(handle);
    if (QUIC_UNLIKELY(index >= handles->cap || quic_handle_worker(handle) != handles->worker)) {
        return NULL;
    }
    const quic_handle_slot *slot = &handles->slots[index];
    return slot->generation == quic_handle_generation(handle) ? slot->value : NULL;
}

#ifdef __cplusplus
}
#endif

#endif /* QUIC_BASE_HANDLES_H */

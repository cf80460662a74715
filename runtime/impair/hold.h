/* runtime/impair/hold.h: datagrams under way, ordered by the time they arrive and then by the order they
 * came in; a binary heap with a bound in bytes.
 *
 * Owner:  the proxy's thread.
 */
#ifndef RUNTIME_IMPAIR_HOLD_H
#define RUNTIME_IMPAIR_HOLD_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rt_held {
    quic_ns at_ns;
    uint64_t order; /* set by rt_hold_add */
    uint32_t flow;
    uint32_t generation;
    uint32_t len;
    uint8_t ecn;
    bool to_server;
    uint8_t data[];
} rt_held;

typedef struct rt_hold {
    rt_held **heap;
    size_t count;
    size_t cap;
    uint64_t bytes; /* with what keeping them costs */
    uint64_t bytes_max;
    uint64_t next_order;
} rt_hold;

void rt_hold_init(rt_hold *hold, uint64_t bytes_max);

/* rt_hold_deinit frees what is still held. */
void rt_hold_deinit(rt_hold *hold);

/* rt_hold_add copies `len` bytes and the fields of `like`. Returns the copy, to be altered except for its time,
 * or NULL when the bound is reached or memory is refused. */
rt_held *rt_hold_add(rt_hold *hold, const rt_held *like, const uint8_t *data, size_t len);

/* rt_hold_next is when the first one arrives, QUIC_NS_NEVER without any. */
static inline quic_ns rt_hold_next(const rt_hold *hold)
{
    return hold->count > 0 ? hold->heap[0]->at_ns : QUIC_NS_NEVER;
}

/* rt_hold_take removes the first one; there is one. rt_hold_free frees what was taken. */
rt_held *rt_hold_take(rt_hold *hold);
void rt_hold_free(rt_hold *hold, rt_held *held);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_IMPAIR_HOLD_H */

/* runtime/core/app_timer.h: timers of the application: a binary heap of {at, fn, ctx} with names that
 * die with the timer.
 *
 * Bound:  RT_APP_TIMERS_MAX; memory grows in doubling steps and is kept.    Owner: one worker.
 */
#ifndef RUNTIME_CORE_APP_TIMER_H
#define RUNTIME_CORE_APP_TIMER_H

#include "quic/base/types.h"
#include "runtime/core/mailbox.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_APP_TIMERS_MAX (1u << 20)

typedef struct rt_app_timer_slot {
    quic_ns at;
    uint64_t seq;  /* equal times fire in the order they were added */
    rt_task_fn fn; /* NULL: free */
    void *ctx;
    uint32_t generation;
    uint32_t heap_pos; /* or the next free slot */
} rt_app_timer_slot;

typedef struct rt_app_timers {
    rt_app_timer_slot *slots;
    uint32_t *heap; /* slot indexes */
    uint32_t cap;
    uint32_t count;
    uint32_t free_head;
    uint64_t next_seq;
} rt_app_timers;

void rt_app_timers_init(rt_app_timers *timers);
void rt_app_timers_deinit(rt_app_timers *timers);

/* rt_app_timers_add: *out_id (never 0) names it. Returns QUIC_OK; QUIC_E_LIMIT; QUIC_E_NOMEM. */
QUIC_NODISCARD quic_rc rt_app_timers_add(rt_app_timers *timers, uint64_t *out_id, quic_ns at,
                                         rt_task_fn fn, void *ctx);

/* rt_app_timers_cancel: QUIC_OK, or QUIC_E_STATE when it ran, was cancelled, or never was. */
quic_rc rt_app_timers_cancel(rt_app_timers *timers, uint64_t id);

/* rt_app_timers_pop takes out the earliest timer due at `now`; false when none is. */
bool rt_app_timers_pop(rt_app_timers *timers, rt_mail *out, quic_ns now);

/* rt_app_timers_next: QUIC_NS_NEVER when there is none. */
quic_ns rt_app_timers_next(const rt_app_timers *timers);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_CORE_APP_TIMER_H */

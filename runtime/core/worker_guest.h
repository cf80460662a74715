/* runtime/core/worker_guest.h: what worker_visit.c and worker_attend.c share: how another thread comes to do a
 * worker's work.
 *
 * Door:    held by who runs turns. A worker opens it while it sleeps, and says so by `sleeps_until`, or that it
 *          is parked: then it holds the door for moments only.
 */
#ifndef RUNTIME_CORE_WORKER_GUEST_H
#define RUNTIME_CORE_WORKER_GUEST_H

#include <pthread.h>
#include <signal.h>

#include "runtime/core/worker_internal.h"

/* Whoever holds the door must come back from the visit: a handler might never return, or wait for the worker. */
typedef struct rt_guest {
    rt_worker *worker;
    sigset_t signals;
    int cancel;
} rt_guest;

/* rt_guest_begin holds back the thread's signals and cancellation and enters the gate, until rt_guest_end. QUIC_OK;
 * QUIC_E_AGAIN: the worker does not sleep, or the thread's stack is not deep enough; QUIC_E_STATE: no guests, or no
 * more. */
QUIC_NODISCARD quic_rc rt_guest_begin(rt_guest *guest, rt_worker *worker);
void rt_guest_end(const rt_guest *guest);

/* rt_guest_take_door: true with the door; false: who has it keeps it. rt_guest_enter, with it: whether the worker
 * sleeps and the back end lets another thread send. */
bool rt_guest_take_door(rt_worker *worker);
void rt_guest_give_door(rt_worker *worker);
bool rt_guest_enter(rt_worker *worker);

/* rt_guest_run, after rt_guest_enter: fn(ctx) as the worker, and what has to be sent then. Returns whether the
 * worker has to be woken: for events, a nearer deadline, or what the back end owes. */
bool rt_guest_run(rt_worker *worker, rt_task_fn fn, void *ctx);

static inline void rt_worker_set_sleeps_until(rt_worker *w, quic_ns until)
{
    __atomic_store_n(&w->sleeps_until, until, __ATOMIC_RELAXED);
}

static inline bool rt_worker_is_asleep(const rt_worker *w)
{
    return __atomic_load_n(&w->sleeps_until, __ATOMIC_RELAXED) != 0;
}

static inline bool rt_worker_is_parked(const rt_worker *w)
{
    return __atomic_load_n(&w->parked, __ATOMIC_RELAXED);
}

#endif /* RUNTIME_CORE_WORKER_GUEST_H */

/* Other threads in the worker's place: see rt_worker_visit. */
#include <pthread.h>
#include <signal.h>

#include "runtime/core/clock.h"
#include "runtime/core/worker_internal.h"

static void set_sleeps_until(rt_worker *w, quic_ns until)
{
    __atomic_store_n(&w->sleeps_until, until, __ATOMIC_RELAXED);
}

static bool is_asleep(const rt_worker *w)
{
    return __atomic_load_n(&w->sleeps_until, __ATOMIC_RELAXED) != 0;
}

/* ---- the visitor ------------------------------------------------------------------------------- */

/* Whoever holds the door must come back from the visit: a handler might never return, or wait for the worker. */
typedef struct visitor {
    sigset_t signals;
    int cancel;
} visitor;

static void hold_back(visitor *v)
{
    sigset_t all;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &v->signals);
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &v->cancel);
}

static void let_go(const visitor *v)
{
    (void)pthread_setcancelstate(v->cancel, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &v->signals, NULL);
}

/* Returns whether the worker has to be woken: for events, a nearer deadline, or what the back end owes. */
static bool run_as(rt_worker *w, rt_task_fn fn, void *ctx)
{
    rt_worker *outer = rt_worker_set_self(w);
    void *lent = rt_heap_lend(&w->heap);
    w->now = rt_clock_now();
    w->visits++;
    quic_endpoint_set_now(w->endpoint, w->now);
    fn(ctx);
    quic_ns next = rt_worker_finish_turn(w);
    bool owes = rt_io_leave(w->io);
    rt_heap_take_back(&w->heap, lent);
    (void)rt_worker_set_self(outer);
    return owes || next < w->sleeps_until;
}

static quic_rc visit(rt_worker *w, rt_task_fn fn, void *ctx)
{
    visitor v;
    hold_back(&v);
    quic_rc rc = QUIC_E_AGAIN;
    bool wake = false;
    if (pthread_mutex_trylock(&w->door) == 0) {
        if (is_asleep(w) && rt_io_enter(w->io)) {
            wake = run_as(w, fn, ctx);
            rc = QUIC_OK;
        }
        (void)pthread_mutex_unlock(&w->door);
    }
    if (wake) {
        rt_wake_signal(rt_io_wake(w->io));
    }
    let_go(&v);
    return rc;
}

quic_rc rt_worker_visit(rt_worker *w, rt_task_fn fn, void *ctx)
{
    if (!w->config.visits || !rt_worker_enter_gate(w)) {
        return QUIC_E_STATE;
    }
    quic_rc rc = is_asleep(w) ? visit(w, fn, ctx) : QUIC_E_AGAIN;
    rt_worker_leave_gate(w);
    return rc;
}

/* ---- what is deferred --------------------------------------------------------------------------- */

quic_rc rt_worker_defer(rt_worker *w, rt_task_fn fn, void *ctx)
{
    if (w->deferred_count == RT_DEFERRED_MAX || w->rx_units > 1) {
        return QUIC_E_AGAIN;
    }
    w->deferred[w->deferred_count++] = (rt_mail){fn, ctx};
    return QUIC_OK;
}

/* Whom it wakes may run at once in this thread's place, and visit. */
quic_ns rt_worker_run_deferred(rt_worker *w, quic_ns next)
{
    const bool open = next != 0;
    const uint64_t visits = w->visits;
    if (open) {
        set_sleeps_until(w, next);
        rt_io_open_door(w->io);
    }
    for (uint32_t i = 0; i < w->deferred_count; i++) {
        w->deferred[i].fn(w->deferred[i].ctx);
    }
    w->deferred_count = 0;
    if (open) {
        rt_io_shut_door(w->io);
        set_sleeps_until(w, 0);
    }
    /* A visitor's signal has not reached one that was awake: look again. */
    return w->visits == visits ? next : rt_worker_next_turn(w);
}

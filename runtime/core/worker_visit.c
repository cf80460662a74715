/* Other threads in a sleeping worker's place, for one thing to do: see rt_worker_visit. */
#include "runtime/core/clock.h"
#include "runtime/core/stack.h"
#include "runtime/core/worker_guest.h"

/* No turn takes more of a stack, a handshake in it included, sanitizers' frames excepted. */
#define STACK_BYTES 131072u

/* ---- any guest ---------------------------------------------------------------------------------- */

bool rt_guest_may(const rt_worker *w)
{
    return (rt_worker_is_asleep(w) || rt_worker_is_parked(w)) && rt_stack_has(STACK_BYTES);
}

void rt_guest_begin(rt_guest *guest)
{
    sigset_t all;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &guest->signals);
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &guest->cancel);
}

void rt_guest_end(const rt_guest *guest)
{
    (void)pthread_setcancelstate(guest->cancel, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &guest->signals, NULL);
}

bool rt_guest_take_door(rt_worker *w)
{
    return rt_worker_is_parked(w) ? pthread_mutex_lock(&w->door) == 0
                                  : rt_worker_is_asleep(w) && pthread_mutex_trylock(&w->door) == 0;
}

void rt_guest_give_door(rt_worker *w)
{
    (void)pthread_mutex_unlock(&w->door);
}

bool rt_guest_enter(rt_worker *w)
{
    return rt_worker_is_asleep(w) && rt_io_enter(w->io);
}

static void tell_inside(const rt_worker *w, bool inside)
{
    if (w->config.hooks.on_visit != NULL) {
        w->config.hooks.on_visit(w->config.hooks.ctx, inside);
    }
}

bool rt_guest_run(rt_worker *w, rt_task_fn fn, void *ctx)
{
    rt_worker *outer = rt_worker_set_self(w);
    void *lent = rt_heap_lend(&w->heap);
    w->now = rt_clock_now();
    w->visits++;
    quic_endpoint_set_now(w->endpoint, w->now);
    tell_inside(w, true);
    fn(ctx);
    tell_inside(w, false);
    quic_ns next = rt_worker_finish_turn(w);
    bool owes = rt_io_leave(w->io);
    rt_heap_take_back(&w->heap, lent);
    (void)rt_worker_set_self(outer);
    return owes || next < w->sleeps_until;
}

/* ---- the visitor ------------------------------------------------------------------------------- */

static quic_rc visit(rt_worker *w, rt_task_fn fn, void *ctx)
{
    rt_guest guest;
    rt_guest_begin(&guest);
    quic_rc rc = QUIC_E_AGAIN;
    bool wake = false;
    if (rt_guest_take_door(w)) {
        if (rt_guest_enter(w)) {
            wake = rt_guest_run(w, fn, ctx);
            rc = QUIC_OK;
        }
        rt_guest_give_door(w);
    }
    if (wake) {
        rt_wake_signal(rt_io_wake(w->io));
    }
    rt_guest_end(&guest);
    return rc;
}

quic_rc rt_worker_visit(rt_worker *w, rt_task_fn fn, void *ctx)
{
    if (!w->config.visits || !rt_worker_enter_gate(w)) {
        return QUIC_E_STATE;
    }
    quic_rc rc = rt_guest_may(w) ? visit(w, fn, ctx) : QUIC_E_AGAIN;
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
        rt_worker_set_sleeps_until(w, next);
        rt_io_open_door(w->io);
    }
    for (uint32_t i = 0; i < w->deferred_count; i++) {
        w->deferred[i].fn(w->deferred[i].ctx);
    }
    w->deferred_count = 0;
    if (open) {
        rt_io_shut_door(w->io);
        rt_worker_set_sleeps_until(w, 0);
    }
    /* A visitor's signal has not reached one that was awake: look again. */
    return w->visits == visits ? next : rt_worker_next_turn(w);
}

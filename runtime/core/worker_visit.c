/* Other threads in a sleeping worker's place, for one thing to do: see rt_worker_visit. */
#include "runtime/core/clock.h"
#include "runtime/core/cpu.h"
#include "runtime/core/stack.h"
#include "runtime/core/worker_guest.h"

/* No turn takes more of a stack, sanitizers' frames excepted: the deepest is one with a handshake in it, which took
 * 22 KiB with a certificate of P-384 and 16 KiB with one of RSA. */
#define STACK_BYTES 131072u
#define DOOR_TRIES  256u

/* ---- any guest ---------------------------------------------------------------------------------- */

static void hold_back(rt_guest *guest)
{
    sigset_t all;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &guest->signals);
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &guest->cancel);
}

static void let_go(const rt_guest *guest)
{
    (void)pthread_setcancelstate(guest->cancel, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &guest->signals, NULL);
}

/* The gate last, and given back first: a handler that never returns would keep it shut in the worker's face. */
quic_rc rt_guest_begin(rt_guest *guest, rt_worker *w)
{
    if (!w->config.visits || rt_worker_is_closed(w)) {
        return QUIC_E_STATE;
    }
    if ((!rt_worker_is_asleep(w) && !rt_worker_is_parked(w)) || !rt_stack_has(STACK_BYTES)) {
        return QUIC_E_AGAIN;
    }
    hold_back(guest);
    if (!rt_worker_enter_gate(w)) {
        let_go(guest);
        return QUIC_E_STATE;
    }
    guest->worker = w;
    return QUIC_OK;
}

void rt_guest_end(const rt_guest *guest)
{
    rt_worker_leave_gate(guest->worker);
    let_go(guest);
}

/* Never waits for longer than a parked worker looks around: whoever holds the door may run callbacks, which may
 * wait for something the caller has. */
bool rt_guest_take_door(rt_worker *w)
{
    for (uint32_t i = 0; i < DOOR_TRIES; i++) {
        if (!rt_worker_is_asleep(w) && !rt_worker_is_parked(w)) {
            return false;
        }
        if (pthread_mutex_trylock(&w->door) == 0) {
            return true;
        }
        if (!rt_worker_is_parked(w)) {
            return false;
        }
        rt_cpu_relax();
    }
    return false;
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
    return rc;
}

quic_rc rt_worker_visit(rt_worker *w, rt_task_fn fn, void *ctx)
{
    rt_guest guest;
    quic_rc rc = rt_guest_begin(&guest, w);
    if (rc == QUIC_OK) {
        rc = visit(w, fn, ctx);
        rt_guest_end(&guest);
    }
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

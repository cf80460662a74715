/* Another thread that waits for the worker's sockets, too: see rt_worker_attend. Two threads that wait for the
 * same datagram would both be woken by it, so the worker is parked meanwhile, and for a moment longer, as who has
 * asked once will ask again. */
#define _GNU_SOURCE 1 /* sigisemptyset */

#include "runtime/core/clock.h"
#include "runtime/core/worker_guest.h"
#include "runtime/io/io_guest.h"

/* The worker is back in its place when nobody has attended for so long. */
#define PARK_NS (300 * QUIC_NS_PER_US)

static quic_ns attended_until(const rt_worker *w)
{
    return __atomic_load_n(&w->attended_until, __ATOMIC_SEQ_CST);
}

static void set_attended_until(rt_worker *w, quic_ns until)
{
    __atomic_store_n(&w->attended_until, until, __ATOMIC_SEQ_CST);
}

/* ---- the attendant ------------------------------------------------------------------------------ */

/* What came, and what comes of it. Messages and timers are the worker's. */
static void take_in(void *ctx)
{
    rt_worker *w = (rt_worker *)ctx;
    quic_rx_unit unit;
    w->rx_units = 0;
    while (w->rx_units < RT_IO_GUEST_UNITS_MAX && rt_io_guest_next_rx(w->io, &unit)) {
        rt_worker_receive_unit(w, &unit);
    }
    rt_worker_receive_done(w);
    rt_worker_dispatch(w);
}

/* Returns false when there is nobody to stand in for any more. */
static bool wait_and_work(rt_worker *w, quic_ns now, quic_ns until)
{
    if (!rt_io_guest_wait(w->io, now, until)) {
        return !w->stopping;
    }
    if (!rt_guest_enter(w)) {
        return false;
    }
    if (rt_guest_run(w, take_in, w)) {
        rt_wake_signal(rt_io_wake(w->io));
    }
    return !w->stopping;
}

/* With the door. */
static quic_rc attend(rt_worker *w, quic_ns until, rt_check_fn done, void *ctx)
{
    if (w->attended || !rt_worker_is_asleep(w) || !rt_io_guest_open(w->io)) {
        return QUIC_E_AGAIN;
    }
    w->attended = true;
    if (!rt_worker_is_parked(w)) {
        rt_wake_signal(rt_io_wake(w->io));
    }
    quic_ns now = rt_clock_now();
    bool is_done = done(ctx);
    bool goes_on = !w->stopping;
    while (!is_done && goes_on && now < until) {
        goes_on = wait_and_work(w, now, until);
        is_done = done(ctx);
        now = rt_clock_now();
    }
    w->attended = false;
    set_attended_until(w, is_done ? now + PARK_NS : 0);
    if (!is_done) {
        rt_wake_signal(rt_io_wake(w->io)); /* it has to look after its sockets itself */
    }
    return is_done ? QUIC_OK : QUIC_E_AGAIN;
}

/* Whether a handler runs when the signals are let go, and would end a system call (signal(7)). */
static bool is_interrupted(const rt_guest *guest)
{
    sigset_t pending;
    if (sigpending(&pending) != 0 || sigisemptyset(&pending)) {
        return false;
    }
    for (int number = 1; number < NSIG; number++) {
        struct sigaction action;
        if (sigismember(&pending, number) == 1 && sigismember(&guest->signals, number) == 0 &&
            sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_IGN &&
            action.sa_handler != SIG_DFL && (action.sa_flags & SA_RESTART) == 0) {
            return true;
        }
    }
    return false;
}

quic_rc rt_worker_attend(rt_worker *w, bool *out_interrupted, quic_ns until, rt_check_fn done,
                         void *ctx)
{
    rt_guest guest;
    *out_interrupted = false;
    quic_rc rc = rt_guest_begin(&guest, w);
    if (rc != QUIC_OK) {
        return rc;
    }
    rc = QUIC_E_AGAIN;
    if (rt_guest_take_door(w)) {
        rc = attend(w, until, done, ctx);
        rt_guest_give_door(w);
    }
    *out_interrupted = rc != QUIC_OK && is_interrupted(&guest);
    rt_guest_end(&guest);
    return rc;
}

quic_rc rt_worker_recall(rt_worker *w)
{
    if (!w->config.visits || !rt_worker_enter_gate(w)) {
        return QUIC_E_STATE;
    }
    if (attended_until(w) != 0) {
        set_attended_until(w, 0);
        rt_wake_signal(rt_io_wake(w->io));
    }
    rt_worker_leave_gate(w);
    return QUIC_OK;
}

/* ---- the worker meanwhile ------------------------------------------------------------------------ */

bool rt_worker_is_attended(const rt_worker *w, quic_ns now)
{
    return QUIC_UNLIKELY(w->attended || attended_until(w) > now) && !w->stopping;
}

/* One sleep. Returns false when it is over with being parked: for an order, or as nobody attends. */
static bool stay_parked(rt_worker *w, quic_ns now, quic_ns next)
{
    rt_wake *wake = rt_io_wake(w->io);
    rt_wake_prepare(wake); /* a signal from here on ends the sleep; what came before it is seen */
    bool stays = rt_worker_is_attended(w, now) && !rt_worker_has_orders(w);
    if (stays) {
        quic_ns until = w->attended ? now + PARK_NS : attended_until(w);
        rt_worker_set_sleeps_until(w, until < next ? until : next);
        stays = !rt_io_park(w->io, now, w->sleeps_until);
        rt_worker_set_sleeps_until(w, 0);
    }
    rt_wake_done(wake);
    return stays;
}

quic_ns rt_worker_park(rt_worker *w, quic_ns now, quic_ns next)
{
    if (rt_io_wait(w->io, 0, 0) != 0) { /* what is queued leaves, what has come is seen */
        return rt_clock_now();
    }
    __atomic_store_n(&w->parked, true, __ATOMIC_RELAXED);
    while (next > now && stay_parked(w, now, next)) {
        now = rt_clock_now();
        w->now = now;
        next = rt_worker_next_turn(w);
    }
    __atomic_store_n(&w->parked, false, __ATOMIC_RELAXED);
    return rt_clock_now();
}

void rt_worker_tell_attendant(rt_worker *w)
{
    if (QUIC_UNLIKELY(w->attended)) {
        rt_io_guest_ring(w->io);
    }
}

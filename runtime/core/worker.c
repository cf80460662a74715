#include "runtime/core/worker.h"

#include "quic/base/check.h"
#include "runtime/core/clock.h"
#include "runtime/core/worker_internal.h"

#define RX_UNITS_MAX    64u /* per turn, and never more than the back end has buffers */
#define MAIL_MAX        RT_MAILBOX_CAP
#define TIMERS_MAX      4096u
#define EVENTS_MAX      65536u
#define TX_UNITS_MAX    64u
#define TX_ROOM_BYTES   16384u /* less is not worth a send of its own */
#define TX_BEHIND_BYTES 32768u /* leave in a turn that left datagrams unread */
#define TIDY_BYTES      (1u << 20)
#define TIDY_AFTER_NS   1000000000ull
#define WALL_EVERY_NS   1000000000ull /* looks at the wall clock, which somebody may set */
#define TX_BLOCKED_NS   QUIC_NS_PER_MS
#define POLL_NS         (50 * QUIC_NS_PER_US) /* below this a kernel timer is late by as much */
#define AIM_EARLY_NS    (40 * QUIC_NS_PER_US)
#define AIM_BELOW_NS    (2 * QUIC_NS_PER_MS)

static _Thread_local rt_worker *current;

rt_worker *rt_worker_self(void)
{
    return current;
}

rt_worker *rt_worker_set_self(rt_worker *w)
{
    rt_worker *outer = current;
    current = w;
    return outer;
}

/* ---- the steps of a turn ------------------------------------------------------------------- */

/* Among several workers a unit may hold datagrams of more than one: each part goes to its owner. */
static void receive_of_group(rt_worker *w, quic_rx_unit *unit)
{
    uint32_t left = unit->len;
    while (left > 0) {
        unit->len = left;
        uint8_t owner = quic_endpoint_route(w->endpoint, unit);
        unit->len = quic_endpoint_route_len(w->endpoint, unit);
        uint8_t *next = unit->data + unit->len;
        left -= unit->len;
        if (owner == w->config.index) {
            quic_endpoint_recv(w->endpoint, unit, w->now);
        } else {
            rt_worker_forward(w, unit, owner);
        }
        unit->data = next;
    }
}

void rt_worker_receive_unit(rt_worker *w, quic_rx_unit *unit)
{
    w->rx_units++;
    /* A socket outside any group has no counterpart elsewhere. */
    if (QUIC_LIKELY(w->groups[unit->path.socket] == 0)) {
        quic_endpoint_recv(w->endpoint, unit, w->now);
    } else if (w->relays[unit->path.socket] == NULL) {
        receive_of_group(w, unit);
    } else if ((w->inboxes >> unit->path.socket & 1) == 0) {
        rt_worker_receive_shared(w, unit);
    } else {
        rt_worker_receive_relayed(w, unit);
    }
}

void rt_worker_receive_done(rt_worker *w)
{
    if (QUIC_UNLIKELY((w->batch.units | w->batch.early) != 0)) {
        rt_relay_flush(&w->batch, w->now);
    }
}

/* One step of asking for what unit `i` will touch, while those before it are taken. Of units in a row that are for
 * one connection the first does it. */
static inline void fetch(rt_worker *w, quic_rx_unit *units, uint32_t count, uint32_t i,
                         quic_fetch_step step)
{
    if (i < count && (i == 0 || units[i].hint != units[i - 1].hint)) {
        quic_endpoint_fetch(w->endpoint, &units[i], step);
    }
}

static void take_all(rt_worker *w, quic_rx_unit *units, uint32_t count)
{
    if (count == 1) {
        rt_worker_receive_unit(w, &units[0]);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        quic_endpoint_expect(w->endpoint, &units[i]);
    }
    fetch(w, units, count, 0, QUIC_FETCH_CONN);
    fetch(w, units, count, 1, QUIC_FETCH_CONN);
    fetch(w, units, count, 0, QUIC_FETCH_FAR);
    fetch(w, units, count, 2, QUIC_FETCH_CONN);
    fetch(w, units, count, 1, QUIC_FETCH_FAR);
    fetch(w, units, count, 0, QUIC_FETCH_KEYS);
    for (uint32_t i = 0; i < count; i++) {
        fetch(w, units, count, i + 3, QUIC_FETCH_CONN);
        fetch(w, units, count, i + 2, QUIC_FETCH_FAR);
        fetch(w, units, count, i + 1, QUIC_FETCH_KEYS);
        rt_worker_receive_unit(w, &units[i]);
    }
}

static void receive(rt_worker *w)
{
    quic_rx_unit units[RX_UNITS_MAX];
    uint32_t count = 0;
    w->rx_units = 0;
    w->rx_bytes = 0;
    while (count < RX_UNITS_MAX && rt_io_next_rx(w->io, &units[count])) {
        w->rx_bytes += units[count++].len;
    }
    take_all(w, units, count);
    w->rx_full = count > 0 && count == w->io->rx_units_max;
    w->busy = w->rx_units > 0;
    rt_worker_receive_done(w);
    rt_io_release_rx(w->io);
}

static void report_failures(rt_worker *w)
{
    rt_io_failure failure;
    for (uint32_t n = 0; n < RT_IO_FAILURES_MAX && rt_io_next_failure(w->io, &failure); n++) {
        quic_endpoint_on_send_too_big(w->endpoint, failure.conn, &failure.path, failure.len);
    }
}

static void run_mail(rt_worker *w)
{
    rt_mail mail;
    for (uint32_t n = 0; n < MAIL_MAX && rt_mailbox_pop(w->mailbox, &mail); n++) {
        w->busy = true;
        mail.fn(mail.ctx);
    }
}

static void run_timers(rt_worker *w)
{
    rt_mail due;
    for (uint32_t n = 0; n < TIMERS_MAX && rt_app_timers_pop(&w->timers, &due, w->now); n++) {
        due.fn(due.ctx);
    }
    if (quic_endpoint_next_timeout(w->endpoint) <= w->now) {
        quic_endpoint_on_timeout(w->endpoint, w->now);
    }
}

static void begin_stop(rt_worker *w)
{
    if (w->stopping || __atomic_load_n(&w->stop_asked, __ATOMIC_ACQUIRE) == 0) {
        return;
    }
    w->stopping = true;
    quic_ns left = QUIC_NS_NEVER - w->now;
    w->stop_deadline = w->now + (w->stop_timeout_ns < left ? w->stop_timeout_ns : left);
    quic_endpoint_refuse_new(w->endpoint);
    quic_endpoint_close_all(w->endpoint, w->stop_app_error, NULL);
}

void rt_worker_dispatch(rt_worker *w)
{
    quic_event event;
    for (uint32_t n = 0; n < EVENTS_MAX && quic_endpoint_poll_event(w->endpoint, &event, w->now);
         n++) {
        w->config.hooks.on_event(w->config.hooks.ctx, w, &event);
    }
}

/* Who is behind with reading reads first: what waits unread are requests and acknowledgements that the senders
 * will soon repeat, and answers that wait here cost nobody anything. Meanwhile as much leaves as came, or a little. */
static uint64_t may_send(rt_worker *w)
{
    const bool behind = w->rx_full;
    w->rx_full = false; /* who visits has read everything */
    return !behind ? UINT64_MAX : w->rx_bytes > TX_BEHIND_BYTES ? w->rx_bytes : TX_BEHIND_BYTES;
}

static void send_all(rt_worker *w)
{
    uint64_t left = may_send(w);
    w->tx_blocked = false;
    for (uint32_t n = 0; n < TX_UNITS_MAX && left > 0; n++) {
        quic_tx_unit unit;
        if (!rt_io_tx_buf(w->io, &unit, TX_ROOM_BYTES)) {
            w->tx_blocked = true;
            return;
        }
        if (!quic_endpoint_send(w->endpoint, &unit, w->now)) {
            return;
        }
        left -= unit.len < left ? unit.len : left;
        rt_io_tx_submit(w->io, &unit);
    }
}

quic_ns rt_worker_next_turn(rt_worker *w)
{
    quic_ns at = quic_endpoint_next_timeout(w->endpoint);
    if (at <= w->now) {
        /* Without room the work cannot go on; completions wake us before this. */
        at = w->tx_blocked ? w->now + TX_BLOCKED_NS : 0;
    }
    quic_ns timer = rt_app_timers_next(&w->timers);
    at = timer < at ? timer : at;
    if (w->stopping && w->stop_deadline < at) {
        at = w->stop_deadline;
    }
    return at <= w->now || !rt_mailbox_is_empty(w->mailbox) ? 0 : at;
}

static void look_at_wall(rt_worker *w)
{
    w->wall_at = w->now + WALL_EVERY_NS;
    quic_endpoint_set_wall_offset(w->endpoint, rt_clock_wall_offset());
}

quic_ns rt_worker_finish_turn(rt_worker *w)
{
    send_all(w);
    rt_worker_publish(w);
    return rt_worker_next_turn(w);
}

quic_ns rt_worker_turn(rt_worker *w, quic_ns now)
{
    rt_worker *outer = rt_worker_set_self(w);
    w->now = now;
    if (QUIC_UNLIKELY(now >= w->wall_at)) {
        look_at_wall(w);
    }
    w->turns++;
    quic_endpoint_set_now(w->endpoint, now); /* messages and timers use verbs */
    receive(w);
    report_failures(w);
    run_mail(w);
    run_timers(w);
    begin_stop(w);
    rt_worker_dispatch(w);
    quic_ns next = rt_worker_finish_turn(w);
    (void)rt_worker_set_self(outer);
    return next;
}

bool rt_worker_is_finished(const rt_worker *w)
{
    return w->stopping && (quic_endpoint_busy_count(w->endpoint) == 0 ||
                           (w->now >= w->stop_deadline && !quic_endpoint_has_events(w->endpoint)));
}

/* ---- between turns ------------------------------------------------------------------------- */

bool rt_worker_has_orders(const rt_worker *w)
{
    return !rt_mailbox_is_empty(w->mailbox) ||
           (!w->stopping && __atomic_load_n(&w->stop_asked, __ATOMIC_ACQUIRE) != 0);
}

/* One look without sleeping; `lone`: for one datagram. */
static unsigned look(rt_worker *w, quic_ns now, bool lone)
{
    return lone && !w->tx_blocked ? rt_io_look(w->io, now) : rt_io_wait(w->io, now, 0);
}

/* Whether there is something to do. That sends are over is news only to who waits for room. */
static bool is_news(const rt_worker *w, unsigned found)
{
    unsigned news = RT_IO_RX | RT_IO_WAKE | (w->tx_blocked ? RT_IO_TX : 0u);
    return (found & news) != 0 || rt_worker_has_orders(w);
}

/* No time to wait: what is queued leaves, what has come is seen, in the way in which it was looked for last. */
static quic_ns go_on(rt_worker *w)
{
    if ((look(w, 0, rt_spin_is_lone(&w->spin)) & RT_IO_RX) != 0) {
        rt_spin_on_ready(&w->spin);
    }
    return rt_clock_now();
}

/* Polls until something comes or `until`; returns the time. *out_found tells which. */
static quic_ns poll_until(rt_worker *w, bool *out_found, quic_ns now, quic_ns until)
{
    while (now < until && !*out_found) {
        *out_found = is_news(w, look(w, now, false));
        now = rt_clock_now();
    }
    return now;
}

/* Polls until something comes or `until`, when the worker may want to sleep but something is likely to come. */
static quic_ns spin(rt_worker *w, rt_spin_wait *wait, quic_ns now, quic_ns until)
{
    const bool lone = rt_spin_is_lone(&w->spin);
    while (now < until && !wait->hit) {
        wait->hit = is_news(w, look(w, now, lone));
        wait->looks++;
        if (!wait->hit) { /* who waits for an answer waits for that, too */
            rt_cpu_relax();
        }
        now = rt_clock_now();
    }
    if (QUIC_UNLIKELY(rt_spin_look_is_due(&w->spin, now))) {
        rt_spin_on_look(&w->spin, rt_cpu_self_ns(), now);
    }
    return now;
}

static quic_ns sleep_until(rt_worker *w, bool *out_found, quic_ns now, quic_ns until)
{
    rt_wake *wake = rt_io_wake(w->io);
    rt_wake_prepare(wake);
    bool orders = rt_worker_has_orders(w);
    __atomic_store_n(&w->sleeps_until, until, __ATOMIC_RELAXED);
    *out_found = rt_io_wait(w->io, now, orders ? 0 : until) != 0 || orders;
    __atomic_store_n(&w->sleeps_until, 0, __ATOMIC_RELAXED);
    rt_wake_done(wake);
    return rt_clock_now();
}

static quic_ns sleep_or_poll(rt_worker *w, bool *out_found, quic_ns now, quic_ns next)
{
    if (now < next && next - now >= POLL_NS) {
        bool near = next - now < AIM_BELOW_NS;
        now = sleep_until(w, out_found, now, near ? next - AIM_EARLY_NS : next);
        if (!near) {
            return now;
        }
    }
    if (!*out_found && now >= next) {
        (void)rt_io_wait(w->io, 0, 0); /* what is queued leaves, what has come is seen */
        return now;
    }
    return poll_until(w, out_found, now, next);
}

/* Waits until `next`, or until there is something to do; returns the time. */
static quic_ns idle(rt_worker *w, quic_ns next)
{
    if (next == 0) {
        return go_on(w);
    }
    quic_ns began = rt_clock_now();
    if (QUIC_UNLIKELY(rt_worker_is_attended(w, began))) {
        quic_ns woken = rt_worker_park(w, began, next);
        rt_spin_on_sleep(&w->spin, woken - began);
        return woken;
    }
    quic_ns now = began;
    rt_spin_wait wait = {.units = w->rx_units};
    quic_ns window = w->busy ? rt_spin_window(&w->spin, now) : 0;
    if (window > 0) {
        now = spin(w, &wait, now, now + window < next ? now + window : next);
        wait.spun_ns = now - began;
        wait.found = wait.hit;
    }
    if (!wait.hit) {
        now = sleep_or_poll(w, &wait.found, now, next);
        rt_spin_on_sleep(&w->spin, now - began - wait.spun_ns);
    }
    if (w->busy) {
        wait.waited_ns = now - began;
        rt_spin_on_wait(&w->spin, &wait);
    }
    return now;
}

/* Once memory has stood still for a while, well below what it was, the system gets the rest back.
 * Returns when the next turn is needed. */
static quic_ns tidy(rt_worker *w, quic_ns next)
{
    uint64_t used = quic_endpoint_mem(w->endpoint)->used_bytes;
    bool moved = used != w->mem_last;
    w->mem_last = used;
    w->mem_high = used > w->mem_high ? used : w->mem_high;
    if (QUIC_LIKELY(w->mem_high - used < TIDY_BYTES)) {
        return next;
    }
    if (moved) {
        w->tidy_at = w->now + TIDY_AFTER_NS;
    } else if (w->now >= w->tidy_at) {
        rt_heap_collect(&w->heap);
        w->mem_high = used;
        return next;
    }
    return w->tidy_at < next ? w->tidy_at : next;
}

void rt_worker_run(rt_worker *w)
{
    quic_ns now = rt_clock_now();
    rt_io_shut_door(w->io); /* from here on only this thread runs turns, except while it sleeps */
    for (;;) {
        quic_ns next = rt_worker_turn(w, now);
        rt_worker_tell_attendant(w);
        if (w->deferred_count > 0) {
            next = rt_worker_run_deferred(w, next);
        }
        if (rt_worker_is_finished(w)) {
            break;
        }
        now = idle(w, tidy(w, next));
    }
    rt_io_flush(w->io);
    rt_io_open_door(w->io);
}

/* ---- what runs inside a turn may ask ------------------------------------------------------- */

bool rt_worker_is_stopping(const rt_worker *w)
{
    return w->stopping;
}

quic_ns rt_worker_now(const rt_worker *w)
{
    return w->now;
}

quic_endpoint *rt_worker_endpoint(rt_worker *w)
{
    return w->endpoint;
}

rt_io *rt_worker_io(rt_worker *w)
{
    return w->io;
}

int rt_worker_add_socket(rt_worker *w, uint32_t *out_index, const rt_udp_socket *sock,
                         uint32_t group)
{
    int rc = rt_io_add_socket(w->io, sock, out_index);
    if (rc == 0) {
        QURING_ASSERT(*out_index < RT_IO_SOCKETS_MAX);
        w->groups[*out_index] = group;
    }
    return rc;
}

void rt_worker_remove_socket(rt_worker *w, uint32_t index)
{
    QURING_ASSERT(index < RT_IO_SOCKETS_MAX);
    w->groups[index] = 0;
    w->relays[index] = NULL;
    w->inboxes &= ~(1ull << index);
    rt_io_remove_socket(w->io, index);
}

void rt_worker_share(rt_worker *w, uint32_t index, rt_relay *relay, bool is_inbox)
{
    QURING_ASSERT(index < RT_IO_SOCKETS_MAX && w->groups[index] != 0);
    w->relays[index] = relay;
    w->inboxes |= (uint64_t)is_inbox << index;
}

quic_rc rt_worker_timer_add(rt_worker *w, uint64_t *out_id, quic_ns at, rt_task_fn fn, void *ctx)
{
    return rt_app_timers_add(&w->timers, out_id, at, fn, ctx);
}

quic_rc rt_worker_timer_cancel(rt_worker *w, uint64_t id)
{
    return rt_app_timers_cancel(&w->timers, id);
}

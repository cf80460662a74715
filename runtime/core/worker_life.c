#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quic/base/check.h"
#include "runtime/core/clock.h"
#include "runtime/core/cpu.h"
#include "runtime/core/worker_internal.h"

rt_worker *rt_worker_create(const rt_worker_config *config)
{
    QURING_ASSERT(config->count >= 1 && config->count <= QURING_WORKERS_MAX);
    QURING_ASSERT(config->index < config->count && config->hooks.on_event != NULL);
    rt_worker *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return NULL;
    }
    w->mailbox = rt_mailbox_create();
    if (w->mailbox == NULL) {
        free(w);
        return NULL;
    }
    w->config = *config;
    w->config.endpoint.worker_id = (uint8_t)config->index;
    w->config.endpoint.worker_count = (uint8_t)config->count;
    w->backend_name = "none";
    w->gate_closed = 1;
    (void)pthread_mutex_init(&w->start_mutex, NULL);
    (void)pthread_cond_init(&w->start_cond, NULL);
    (void)pthread_mutex_init(&w->door, NULL);
    rt_app_timers_init(&w->timers);
    rt_spin_init(&w->spin, config->spin_ns, config->cpu_shared);
    return w;
}

void rt_worker_destroy(rt_worker *w)
{
    if (w == NULL) {
        return;
    }
    QURING_ASSERT(w->endpoint == NULL); /* closed first */
    rt_mailbox_destroy(w->mailbox);
    (void)pthread_mutex_destroy(&w->door);
    (void)pthread_cond_destroy(&w->start_cond);
    (void)pthread_mutex_destroy(&w->start_mutex);
    explicit_bzero(&w->config, sizeof(w->config)); /* the secrets, where it was never opened */
    free(w);
}

void rt_worker_set_peers(rt_worker *w, rt_worker *const *peers, uint32_t count)
{
    w->peers = peers;
    w->peer_count = count;
}

/* ---- open and close, on the worker's thread -------------------------------------------------- */

static int open_io(rt_worker *w)
{
    if (w->config.lent_io != NULL) {
        w->io = w->config.lent_io;
        (void)snprintf(w->why, sizeof(w->why), "lent");
    } else {
        int rc = rt_io_select(&w->io, w->why, w->config.backend, &w->config.io);
        if (rc != 0) {
            return rc;
        }
    }
    w->backend_name = rt_io_name(w->io);
    w->io->door = w->config.visits && w->io->ops->enter != NULL ? &w->door : NULL;
    return 0;
}

static int open_endpoint(rt_worker *w)
{
    quic_endpoint_config *config = &w->config.endpoint;
    if (config->allocator.alloc == NULL) {
        if (!rt_heap_init(&w->heap)) {
            return -ENOMEM;
        }
        config->allocator = rt_heap_allocator(&w->heap);
    }
    if (config->rng.fill == NULL) {
        rt_random_init(&w->random);
        config->rng = rt_random_rng(&w->random);
    }
    if (w->config.lent_io != NULL) {
        w->wall_at = QUIC_NS_NEVER; /* time is simulated: config.wall_offset_ns stays */
    }
    quic_rc rc = quic_endpoint_create(&w->endpoint, config);
    explicit_bzero(config->root_secret, sizeof(config->root_secret)); /* it has its own */
    explicit_bzero(config->previous_root_secret, sizeof(config->previous_root_secret));
    return rc == QUIC_OK ? 0 : rc == QUIC_E_NOMEM ? -ENOMEM : -EINVAL;
}

static void free_parts(rt_worker *w)
{
    if (w->endpoint != NULL) {
        quic_endpoint_destroy(w->endpoint);
        w->endpoint = NULL;
    }
    rt_relay_batch_deinit(&w->batch);
    rt_heap_deinit(&w->heap);
    rt_app_timers_deinit(&w->timers);
    if (w->config.lent_io == NULL) {
        rt_io_destroy(w->io);
    }
    w->io = NULL;
}

int rt_worker_open(rt_worker *w)
{
    int rc = open_io(w);
    if (rc == 0) {
        rc = open_endpoint(w);
    }
    if (rc != 0) {
        free_parts(w);
        return rc;
    }
    __atomic_store_n(&w->gate_closed, 0, __ATOMIC_SEQ_CST);
    return 0;
}

void rt_worker_close(rt_worker *w)
{
    /* No thread may be at the mailbox or about to signal when they go away. */
    __atomic_store_n(&w->gate_closed, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&w->gate_users, __ATOMIC_SEQ_CST) != 0) {
        (void)sched_yield();
    }
    rt_mailbox_close(w->mailbox);
    rt_worker *outer = rt_worker_set_self(w);
    for (rt_mail mail; rt_mailbox_pop(w->mailbox, &mail);) {
        mail.fn(mail.ctx);
    }
    if (w->config.hooks.on_exit != NULL) {
        w->config.hooks.on_exit(w->config.hooks.ctx, w);
    }
    (void)rt_worker_set_self(outer);
    (void)rt_worker_run_deferred(w, 0);
    rt_worker_publish(w);
    free_parts(w);
}

/* ---- thread ---------------------------------------------------------------------------------- */

static int prepare_thread(rt_worker *w)
{
    char name[16];
    (void)snprintf(name, sizeof(name), "quring-%u", w->config.index);
    rt_cpu_name_self(name);
    if (w->config.cpu >= 0) {
        int rc = rt_cpu_pin_self(w->config.cpu);
        if (rc != 0) {
            (void)snprintf(w->why, sizeof(w->why), "cannot run on CPU %d", w->config.cpu);
            return rc;
        }
    }
    return rt_worker_open(w);
}

static void *thread_main(void *arg)
{
    rt_worker *w = (rt_worker *)arg;
    rt_cpu_clock clock = rt_cpu_clock_self();
    __atomic_store_n(&w->cpu_clock, clock, __ATOMIC_RELAXED);
    __atomic_store_n(&w->cpu_running, 1, __ATOMIC_RELEASE);
    int rc = prepare_thread(w);
    (void)pthread_mutex_lock(&w->start_mutex);
    w->start_rc = rc;
    w->start_done = true;
    (void)pthread_cond_signal(&w->start_cond);
    (void)pthread_mutex_unlock(&w->start_mutex);
    if (rc == 0) {
        rt_worker_run(w);
        rt_worker_close(w);
    }
    __atomic_store_n(&w->cpu_ns, rt_cpu_self_ns(), __ATOMIC_RELEASE);
    __atomic_store_n(&w->cpu_running, 0, __ATOMIC_RELEASE);
    return NULL;
}

int rt_worker_start(rt_worker *w)
{
    int rc = -pthread_create(&w->thread, NULL, thread_main, w);
    if (rc != 0) {
        (void)snprintf(w->why, sizeof(w->why), "cannot start a thread");
        return rc;
    }
    (void)pthread_mutex_lock(&w->start_mutex);
    while (!w->start_done) {
        (void)pthread_cond_wait(&w->start_cond, &w->start_mutex);
    }
    rc = w->start_rc;
    (void)pthread_mutex_unlock(&w->start_mutex);
    w->thread_started = true;
    if (rc != 0) {
        rt_worker_join(w);
    }
    return rc;
}

void rt_worker_join(rt_worker *w)
{
    if (w->thread_started) {
        (void)pthread_join(w->thread, NULL);
        w->thread_started = false;
    }
}

/* ---- any thread ------------------------------------------------------------------------------ */

bool rt_worker_is_closed(const rt_worker *w)
{
    return __atomic_load_n(&w->gate_closed, __ATOMIC_SEQ_CST) != 0;
}

/* Inside the gate mailbox and wake stay. */
bool rt_worker_enter_gate(rt_worker *w)
{
    (void)__atomic_fetch_add(&w->gate_users, 1, __ATOMIC_SEQ_CST);
    if (!rt_worker_is_closed(w)) {
        return true;
    }
    (void)__atomic_fetch_sub(&w->gate_users, 1, __ATOMIC_SEQ_CST);
    return false;
}

void rt_worker_leave_gate(rt_worker *w)
{
    (void)__atomic_fetch_sub(&w->gate_users, 1, __ATOMIC_SEQ_CST);
}

quic_rc rt_worker_post(rt_worker *w, rt_task_fn fn, void *ctx)
{
    if (!rt_worker_enter_gate(w)) {
        return QUIC_E_STATE;
    }
    rt_mail mail = {fn, ctx};
    quic_rc rc = rt_mailbox_push(w->mailbox, mail);
    rt_wake_signal(rt_io_wake(w->io));
    rt_worker_leave_gate(w);
    return rc;
}

void rt_worker_stop(rt_worker *w, uint64_t app_error, uint64_t timeout_ns)
{
    if (__atomic_exchange_n(&w->stop_claimed, 1, __ATOMIC_SEQ_CST) != 0) {
        return;
    }
    w->stop_app_error = app_error;
    w->stop_timeout_ns = timeout_ns;
    __atomic_store_n(&w->stop_asked, 1, __ATOMIC_SEQ_CST);
    if (rt_worker_enter_gate(w)) {
        rt_wake_signal(rt_io_wake(w->io));
        rt_worker_leave_gate(w);
    }
}

uint32_t rt_worker_index(const rt_worker *w)
{
    return w->config.index;
}

uint32_t rt_worker_count(const rt_worker *w)
{
    return w->config.count;
}

const char *rt_worker_backend_name(const rt_worker *w)
{
    return w->backend_name;
}

const char *rt_worker_backend_why(const rt_worker *w)
{
    return w->why;
}

/* ---- counters -------------------------------------------------------------------------------- */

void rt_worker_publish(rt_worker *w)
{
    quic_counters c = *quic_endpoint_counters(w->endpoint);
    const rt_io_stats *io = rt_io_get_stats(w->io);
    const quic_mem *mem = quic_endpoint_mem(w->endpoint);
    c.mem_used_bytes = mem->used_bytes;
    c.mem_peak_bytes = mem->peak_bytes;
    c.mem_failures = mem->failure_count;
    c.loop_turns = w->turns;
    c.io_syscalls = io->syscalls;
    c.io_rx_units = io->rx_units;
    c.io_tx_units = io->tx_units;
    c.io_tx_errors = io->tx_errors;
    c.io_gso_fallbacks = io->gso_fallbacks;
    c.io_rx_nobufs = io->rx_nobufs;
    c.io_rx_truncated = io->rx_truncated;
    c.io_kernel_drops = io->kernel_drops;
    c.forwarded = w->forwarded;
    c.relayed = w->batch.sent;
    c.relay_lost = w->batch.lost;
    c.visits = w->visits;
    c.wakeups = rt_wake_count(rt_io_wake(w->io));
    c.spins = w->spin.spins;
    c.spin_hits = w->spin.hits;
    c.spin_ns = w->spin.spun_ns;
    c.spin_yields = w->spin.yields;
    _Static_assert(sizeof(c) % sizeof(uint64_t) == 0, "words all of them");
    /* A loop: field by field it would fill 34 lines of the instruction cache, in every turn. */
    const uint64_t *from = (const uint64_t *)&c;
    uint64_t *to = (uint64_t *)&w->published;
    for (size_t i = 0; i < sizeof(c) / sizeof(*from); i++) {
        __atomic_store_n(&to[i], from[i], __ATOMIC_RELAXED);
    }
}

void rt_worker_stats(const rt_worker *w, quic_counters *out)
{
#define X(name, unit, help) out->name = __atomic_load_n(&w->published.name, __ATOMIC_RELAXED);
#include "quring/stats.def"
#undef X
}

uint64_t rt_worker_cpu_ns(const rt_worker *w)
{
    if (__atomic_load_n(&w->cpu_running, __ATOMIC_ACQUIRE) != 0) {
        uint64_t ns = rt_cpu_clock_ns(__atomic_load_n(&w->cpu_clock, __ATOMIC_RELAXED));
        if (ns > 0) {
            return ns;
        }
    }
    return __atomic_load_n(&w->cpu_ns, __ATOMIC_ACQUIRE);
}

#include "runtime/server/runtime.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "quic/crypto/crypto.h"
#include "runtime/core/cpu.h"
#include "runtime/core/random.h"
#include "runtime/server/config_check.h"
#include "runtime/server/connect.h"
#include "runtime/server/dispatch.h"
#include "runtime/server/error.h"
#include "runtime/server/listener.h"

#define RT_NAP_NS     QUIC_NS_PER_MS
#define RT_NAP_MAX_NS (32 * QUIC_NS_PER_MS)

/* ---- what a worker calls ----------------------------------------------------------------------- */

static void rt_hook_event(void *ctx, rt_worker *worker, const quic_event *event)
{
    (void)worker;
    rt_local *local = (rt_local *)ctx;
    if (QUIC_UNLIKELY(event->type == QUIC_EV_WANT_SOCKET)) {
        rt_connect_want_socket(local, event->conn, event->level);
        return;
    }
    rt_dispatch_event(local, event);
}

static void rt_hook_visit(void *ctx, bool inside)
{
    rt_local_self = inside ? (rt_local *)ctx : NULL;
    rt_local_stands_in = inside;
}

static void rt_hook_exit(void *ctx, rt_worker *worker)
{
    (void)worker;
    rt_local *local = (rt_local *)ctx;
    rt_listener_exit(local);
    rt_connect_exit(local);
    local->ep = NULL;
    rt_local_self = NULL;
}

/* The first call on a new worker: from here on the thread knows whose it is. */
static void rt_task_attach(void *ctx)
{
    rt_local *local = (rt_local *)ctx;
    local->ep = rt_worker_endpoint(local->worker);
    rt_local_self = local;
}

/* ---- calls that wait --------------------------------------------------------------------------- */

typedef struct rt_call {
    rt_task_fn fn;
    void *ctx;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
} rt_call;

static void rt_call_run(void *ctx)
{
    rt_call *call = (rt_call *)ctx;
    call->fn(call->ctx);
    pthread_mutex_lock(&call->lock);
    call->done = true;
    pthread_cond_signal(&call->cond);
    pthread_mutex_unlock(&call->lock);
}

/* A full mailbox empties with the worker's next turn. */
static quring_status rt_post_patiently(rt_worker *worker, rt_task_fn fn, void *ctx)
{
    quic_rc rc = rt_worker_post(worker, fn, ctx);
    while (rc == QUIC_E_AGAIN) {
        sched_yield();
        rc = rt_worker_post(worker, fn, ctx);
    }
    return rt_status_of(rc);
}

quring_status rt_runtime_call(quring_runtime *rt, uint32_t index, rt_task_fn fn, void *ctx)
{
    rt_call call = {
        .fn = fn,
        .ctx = ctx,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .cond = PTHREAD_COND_INITIALIZER,
        .done = false,
    };
    quring_status status = rt_post_patiently(rt->workers[index], rt_call_run, &call);
    if (status == QURING_OK) {
        pthread_mutex_lock(&call.lock);
        while (!call.done) {
            pthread_cond_wait(&call.cond, &call.lock);
        }
        pthread_mutex_unlock(&call.lock);
    }
    pthread_cond_destroy(&call.cond);
    pthread_mutex_destroy(&call.lock);
    return status;
}

/* ---- common to all sockets --------------------------------------------------------------------- */

void rt_runtime_warn_once(quring_runtime *rt, uint32_t kind, const char *line)
{
    if ((__atomic_fetch_or(&rt->warned, kind, __ATOMIC_RELAXED) & kind) == 0) {
        rt_log_line(&rt->log, RT_LOG_WARNING, "%s", line);
    }
}

void rt_runtime_warn_plain(quring_runtime *rt, const quring_limits *limits, const char *who)
{
    if (limits->disable_1rtt_encryption) {
        rt_log_line(
            &rt->log, RT_LOG_WARNING,
            "disable_1rtt_encryption: 1-RTT packets are NOT encrypted and NOT authenticated "
            "with peers that ask for it, too (%s)",
            who);
    }
}

rt_udp_options rt_runtime_socket_options(const quring_runtime *rt, const quic_addr *local)
{
    rt_udp_options options;
    memset(&options, 0, sizeof(options));
    options.local = *local;
    options.gso = rt->config.gso;
    options.gro = rt->config.gro;
    options.ecn = rt->config.limits.ecn ? RT_UDP_ECT0 : 0;
    options.buf_bytes = rt->config.socket_buf_bytes;
    return options;
}

void rt_runtime_check_buffers(quring_runtime *rt, const rt_udp_socket *sock)
{
    char line[300];
    if (rt_udp_buffer_warning(sock, line, sizeof(line))) {
        rt_runtime_warn_once(rt, RT_WARNED_BUFFERS, line);
    }
}

/* ---- create ------------------------------------------------------------------------------------ */

static quring_status rt_runtime_pick_crypto(quring_runtime *rt, quring_error *err)
{
    switch (rt->config.aead) {
    case QURING_AEAD_BORINGSSL:
        rt->crypto = quic_crypto_boringssl();
        break;
    case QURING_AEAD_IPSEC_MB:
        rt->crypto = quic_crypto_ipsec_mb();
        break;
    case QURING_AEAD_AUTO:
    default:
        rt->crypto = quic_crypto_best();
        break;
    }
    if (rt->crypto == NULL) {
        return rt_error_set(err, QURING_E_NOT_SUPPORTED,
                            "aead: this build has no ipsec-mb, or the CPU no AES instructions");
    }
    return QURING_OK;
}

static quring_status rt_runtime_check_cpus(const quring_config *config, quring_error *err)
{
    long cpus = sysconf(_SC_NPROCESSORS_CONF);
    for (uint32_t i = 0; i < config->workers; i++) {
        if (cpus > 0 && config->cpus[i] >= cpus) {
            return rt_error_set(err, QURING_E_INVAL, "cpus[%u] is %d, this machine has 0..%ld",
                                (unsigned)i, (int)config->cpus[i], cpus - 1);
        }
    }
    return QURING_OK;
}

static bool rt_secret_is_zero(const uint8_t secret[32])
{
    static const uint8_t zero[32];
    return memcmp(secret, zero, sizeof(zero)) == 0;
}

void rt_runtime_ticket_keys(const quring_runtime *rt, quic_ticket_keys *out)
{
    if (rt_secret_is_zero(rt->config.previous_root_secret)) {
        quic_ticket_keys_derive(out, rt->config.root_secret);
        return;
    }
    quic_ticket_keys_derive(out, rt->config.previous_root_secret);
    quic_ticket_keys_rotate(out, rt->config.root_secret);
}

static void rt_runtime_keep_secret(quring_runtime *rt)
{
    if (rt_secret_is_zero(rt->config.root_secret)) {
        rt_random_fill(rt->config.root_secret, sizeof(rt->config.root_secret));
    }
}

static void rt_runtime_set_cids(quring_runtime *rt)
{
    const quring_lb *lb = &rt->config.lb;
    rt->cids.has_lb = lb->enabled;
    rt->cids.lb.config_id = lb->config_id;
    rt->cids.lb.server_id_len = lb->server_id_len;
    rt->cids.lb.nonce_len = lb->nonce_len;
    rt->cids.lb.encodes_len = lb->encodes_len;
    rt->cids.lb.has_key = lb->has_key;
    memcpy(rt->cids.lb.key, lb->key, sizeof(rt->cids.lb.key));
    memcpy(rt->cids.server_id, lb->server_id, sizeof(rt->cids.server_id));
}

/* More workers than CPUs, or another one pinned to the same. */
static bool rt_runtime_shares_cpu(const quring_config *config, uint32_t index)
{
    if (config->cpus[index] < 0) {
        return config->workers > rt_cpu_count();
    }
    for (uint32_t i = 0; i < config->workers; i++) {
        if (i != index && config->cpus[i] == config->cpus[index]) {
            return true;
        }
    }
    return false;
}

static quring_status rt_runtime_make_worker(quring_runtime *rt, uint32_t index, quring_error *err)
{
    rt_local *local = &rt->locals[index];
    local->rt = rt;
    local->index = index;
    local->tag = rt_tag_acquire(index);
    if (local->tag == 0) {
        return rt_error_set(err, QURING_E_LIMIT, "the process has %u workers already",
                            RT_TAG_COUNT - 1);
    }
    rt_worker_config wc;
    memset(&wc, 0, sizeof(wc));
    wc.index = index;
    wc.count = rt->config.workers;
    wc.cpu = rt->config.cpus[index];
    wc.spin_ns = rt->config.spin_ns;
    wc.visits = rt->config.visits;
    wc.cpu_shared = rt_runtime_shares_cpu(&rt->config, index);
    wc.backend = rt->config.io;
    rt_io_config_init(&wc.io);
    wc.io.gso = rt->config.gso;
    wc.endpoint.crypto = rt->crypto;
    memcpy(wc.endpoint.root_secret, rt->config.root_secret, sizeof(wc.endpoint.root_secret));
    memcpy(wc.endpoint.previous_root_secret, rt->config.previous_root_secret,
           sizeof(wc.endpoint.previous_root_secret));
    wc.endpoint.has_previous_secret = !rt_secret_is_zero(rt->config.previous_root_secret);
    wc.endpoint.cids = rt->cids;
    wc.endpoint.limits = rt->config.limits;
    wc.endpoint.cc = rt->config.cc;
    wc.endpoint.pacing = rt->config.pacing;
    wc.hooks.on_event = rt_hook_event;
    wc.hooks.on_visit = rt_hook_visit;
    wc.hooks.on_exit = rt_hook_exit;
    wc.hooks.ctx = local;
    rt->workers[index] = rt_worker_create(&wc);
    explicit_bzero(wc.endpoint.root_secret, sizeof(wc.endpoint.root_secret));
    explicit_bzero(wc.endpoint.previous_root_secret, sizeof(wc.endpoint.previous_root_secret));
    if (rt->workers[index] == NULL) {
        return rt_error_set(err, QURING_E_NOMEM, "no memory for worker %u", (unsigned)index);
    }
    local->worker = rt->workers[index];
    return QURING_OK;
}

static quring_status rt_runtime_explain_start(const quring_runtime *rt, uint32_t index, int rc,
                                              quring_error *err)
{
    const char *why = rt_worker_backend_why(rt->workers[index]);
    bool has_why = why != NULL && why[0] != '\0';
    quring_status status = rc == -ENOMEM ? QURING_E_NOMEM : QURING_E_OS;
    if (rt->config.io == QURING_IO_URING && has_why && strstr(why, "refused") != NULL) {
        status = QURING_E_NOT_SUPPORTED;
    }
    return rt_error_os(err, status, -rc, "worker %u did not start (%s)", (unsigned)index,
                       has_why ? why : "no back end");
}

static quring_status rt_runtime_start(quring_runtime *rt, uint32_t *out_started, quring_error *err)
{
    for (uint32_t i = 0; i < rt->config.workers; i++) {
        rt_worker_set_peers(rt->workers[i], rt->workers, rt->config.workers);
    }
    for (uint32_t i = 0; i < rt->config.workers; i++) {
        int rc = rt_worker_start(rt->workers[i]);
        if (rc != 0) {
            return rt_runtime_explain_start(rt, i, rc, err);
        }
        *out_started = i + 1;
        quring_status status = rt_runtime_call(rt, i, rt_task_attach, &rt->locals[i]);
        if (status != QURING_OK) {
            return rt_error_set(err, QURING_E_OS, "worker %u ended at once", (unsigned)i);
        }
    }
    return QURING_OK;
}

static void rt_runtime_log_start(const quring_runtime *rt)
{
    const rt_worker *first = rt->workers[0];
    const char *why = rt_worker_backend_why(first);
    /* A fallback is worth a line even where nobody collects information. */
    bool fell_back = rt->config.io == QURING_IO_AUTO && strstr(why, "refused") != NULL;
    rt_log_line(&rt->log, fell_back ? RT_LOG_WARNING : RT_LOG_INFO,
                "%u worker%s on %s (%s), AEAD by %s", (unsigned)rt->config.workers,
                rt->config.workers == 1 ? "" : "s", rt_worker_backend_name(first), why,
                rt->crypto->name);
    /* A resource limit may let the first workers have io_uring and not the later ones. */
    for (uint32_t i = 1; i < rt->config.workers; i++) {
        const rt_worker *w = rt->workers[i];
        if (strcmp(rt_worker_backend_name(w), rt_worker_backend_name(first)) != 0) {
            rt_log_line(&rt->log, RT_LOG_WARNING, "worker %u differs: %s (%s)", (unsigned)i,
                        rt_worker_backend_name(w), rt_worker_backend_why(w));
        }
    }
}

static void rt_runtime_free(quring_runtime *rt)
{
    for (uint32_t i = 0; i < rt->config.workers; i++) {
        rt_worker_destroy(rt->workers[i]);
        rt_tag_release(rt->locals[i].tag);
    }
    rt_listener_free_all(rt);
    rt_early_close(&rt->early);
    rt_tokens_close(&rt->tokens);
    rt_process_close(&rt->process);
    pthread_mutex_destroy(&rt->lock);
    explicit_bzero(rt->config.root_secret, sizeof(rt->config.root_secret));
    explicit_bzero(rt->config.previous_root_secret, sizeof(rt->config.previous_root_secret));
    free(rt);
}

static quring_status rt_runtime_bring_up(quring_runtime *rt, quring_error *err)
{
    quring_status status = rt_runtime_pick_crypto(rt, err);
    for (uint32_t i = 0; i < rt->config.workers && status == QURING_OK; i++) {
        status = rt_runtime_make_worker(rt, i, err);
    }
    uint32_t started = 0;
    if (status == QURING_OK) {
        status = rt_runtime_start(rt, &started, err);
    }
    if (status != QURING_OK) {
        for (uint32_t i = 0; i < started; i++) {
            rt_worker_stop(rt->workers[i], 0, 0);
        }
        for (uint32_t i = 0; i < started; i++) {
            rt_worker_join(rt->workers[i]);
        }
        __atomic_store_n(&rt->drained, true, __ATOMIC_RELEASE);
    }
    return status;
}

quring_status quring_runtime_create(quring_runtime **out, const quring_config *config,
                                    quring_error *err)
{
    rt_error_clear(err);
    if (out == NULL) {
        return rt_error_set(err, QURING_E_INVAL, "out is NULL");
    }
    quring_status status = quring_config_check(config, err);
    if (status == QURING_OK) {
        status = rt_runtime_check_cpus(config, err);
    }
    if (status != QURING_OK) {
        return status;
    }
    quring_runtime *rt = (quring_runtime *)calloc(1, sizeof(*rt));
    if (rt == NULL) {
        return rt_error_set(err, QURING_E_NOMEM, "no memory for a runtime");
    }
    rt->config = *config;
    rt->log.fn = config->log;
    rt->log.ctx = config->log_ctx;
    rt->next_group = 1;
    pthread_mutex_init(&rt->lock, NULL);
    rt_runtime_keep_secret(rt);
    rt_runtime_set_cids(rt);
    status = rt_runtime_bring_up(rt, err);
    if (status != QURING_OK) {
        rt_runtime_free(rt);
        return status;
    }
    rt_runtime_log_start(rt);
    rt_runtime_warn_plain(rt, &rt->config.limits, "the runtime");
    *out = rt;
    return QURING_OK;
}

/* ---- drain, stop, destroy ---------------------------------------------------------------------- */

/* The calls that end things wait for workers: on one they would wait for themselves. */
static bool rt_runtime_refuse_worker(const quring_runtime *rt, const char *call)
{
    if (rt_local_self == NULL) {
        return false;
    }
    rt_log_line(&rt->log, RT_LOG_ERROR, "%s was called on a worker and did nothing", call);
    return true;
}

static void rt_task_drain(void *ctx)
{
    quic_endpoint_refuse_new(((const rt_local *)ctx)->ep);
}

void quring_runtime_drain(quring_runtime *rt)
{
    if (rt == NULL || rt_runtime_refuse_worker(rt, "quring_runtime_drain")) {
        return;
    }
    pthread_mutex_lock(&rt->lock);
    if (!rt->draining) {
        rt->draining = true;
        for (uint32_t i = 0; i < rt->config.workers; i++) {
            /* An ended worker has nothing to refuse. */
            (void)!rt_post_patiently(rt->workers[i], rt_task_drain, &rt->locals[i]);
        }
        __atomic_store_n(&rt->drained, true, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&rt->lock);
}

typedef struct rt_conn_count {
    const rt_local *local;
    uint64_t sum;
} rt_conn_count;

static void rt_task_count(void *ctx)
{
    rt_conn_count *count = (rt_conn_count *)ctx;
    count->sum += count->local->ep != NULL ? quic_endpoint_unfinished_count(count->local->ep) : 0;
}

/* Behind the tasks of a drain: what a worker has now is all there will be. One that has ended has none. */
static uint64_t rt_runtime_count(quring_runtime *rt)
{
    rt_conn_count count = {NULL, 0};
    for (uint32_t i = 0; i < rt->config.workers; i++) {
        count.local = &rt->locals[i];
        (void)!rt_runtime_call(rt, i, rt_task_count, &count);
    }
    return count.sum;
}

quring_status quring_runtime_await(quring_runtime *rt, uint64_t timeout_ns, uint64_t *out_left)
{
    if (rt == NULL) {
        return QURING_E_INVAL;
    }
    if (rt_local_self != NULL) {
        return QURING_E_THREAD;
    }
    /* Without the lock, which a stop holds until it is over. */
    if (!__atomic_load_n(&rt->drained, __ATOMIC_ACQUIRE)) {
        return QURING_E_STATE;
    }
    const uint64_t begun = quring_now_ns();
    uint64_t left = rt_runtime_count(rt);
    for (uint64_t nap = RT_NAP_NS, spent; left > 0; left = rt_runtime_count(rt)) {
        spent = quring_now_ns() - begun;
        if (spent >= timeout_ns) {
            break;
        }
        nap = nap < timeout_ns - spent ? nap : timeout_ns - spent;
        const struct timespec pause = {(time_t)(nap / QUIC_NS_PER_S), (long)(nap % QUIC_NS_PER_S)};
        (void)nanosleep(&pause, NULL);
        nap = nap < RT_NAP_MAX_NS / 2 ? nap * 2 : RT_NAP_MAX_NS;
    }
    if (out_left != NULL) {
        *out_left = left;
    }
    return left == 0 ? QURING_OK : QURING_E_AGAIN;
}

void quring_runtime_stop(quring_runtime *rt, uint64_t app_error, uint64_t timeout_ns)
{
    if (rt == NULL || rt_runtime_refuse_worker(rt, "quring_runtime_stop")) {
        return;
    }
    uint64_t code = app_error <= QUIC_VARINT_MAX ? app_error : 0;
    pthread_mutex_lock(&rt->lock);
    if (!rt->stopped) {
        rt->draining = true;
        rt->stopped = true;
        for (uint32_t i = 0; i < rt->config.workers; i++) {
            rt_worker_stop(rt->workers[i], code, timeout_ns);
        }
        for (uint32_t i = 0; i < rt->config.workers; i++) {
            rt_worker_join(rt->workers[i]);
        }
    }
    pthread_mutex_unlock(&rt->lock);
}

void quring_runtime_destroy(quring_runtime *rt)
{
    if (rt == NULL || rt_runtime_refuse_worker(rt, "quring_runtime_destroy")) {
        return;
    }
    quring_runtime_stop(rt, 0, QUIC_NS_PER_S);
    rt_runtime_free(rt);
}

void quring_runtime_get_info(const quring_runtime *rt, quring_runtime_info *out)
{
    if (out == NULL) {
        return;
    }
    memset(out, 0, sizeof(*out));
    if (rt == NULL) {
        return;
    }
    out->backend = rt_worker_backend_name(rt->workers[0]);
    out->backend_why = rt_worker_backend_why(rt->workers[0]);
    out->aead = rt->crypto->name;
    out->workers = rt->config.workers;
}

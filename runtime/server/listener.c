#include "runtime/server/listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/core/clock.h"
#include "runtime/core/relay.h"
#include "runtime/server/addr.h"
#include "runtime/server/config_check.h"
#include "runtime/server/error.h"
#include "runtime/server/listen_open.h"
#include "runtime/server/runtime.h"
#include "runtime/server/tls.h"

#define RT_LISTEN_SWEEP_NS (100 * QUIC_NS_PER_MS) /* between looks at a closing listener */

struct quring_listener {
    quring_runtime *rt;
    quic_addr local;
    uint32_t flags;                            /* QURING_LISTEN_*; under the runtime's lock */
    rt_listen_slot *slots[QURING_WORKERS_MAX]; /* each belongs to its worker */
    struct quring_listener *next;
};

/* ---- on the worker ----------------------------------------------------------------------------- */

static void rt_listen_group_unref(rt_listen_group *group)
{
    if (__atomic_sub_fetch(&group->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        for (uint32_t i = 0; i < RT_LISTEN_PLACES; i++) {
            rt_relay_close(group->relays[i]);
        }
        free(group);
    }
}

static void rt_listen_slot_free(rt_listen_slot *slot)
{
    quring_tls_release(slot->tls);
    rt_listen_group_unref(slot->group);
    free(slot);
}

static void rt_listen_slot_unlink(rt_local *local, const rt_listen_slot *slot)
{
    for (rt_listen_slot **at = &local->listen_slots; *at != NULL; at = &(*at)->next) {
        if (*at == slot) {
            *at = slot->next;
            return;
        }
    }
}

static void rt_listen_slot_remove_sockets(rt_listen_slot *slot)
{
    for (uint32_t i = 0; i < slot->socket_count; i++) {
        rt_worker_remove_socket(slot->local->worker, slot->sockets[i]);
    }
    for (uint32_t i = 0; i < slot->inbox_count; i++) {
        rt_worker_remove_socket(slot->local->worker, slot->inboxes[i]);
    }
    slot->socket_count = 0;
    slot->inbox_count = 0;
}

typedef struct rt_listen_walk {
    const rt_listen_slot *slot;
    bool found;
} rt_listen_walk;

static bool rt_listen_walk_visit(quic_conn *conn, void *ctx)
{
    rt_listen_walk *walk = (rt_listen_walk *)ctx;
    walk->found = quic_conn_owner_ctx(conn) == &walk->slot->owner;
    return !walk->found; /* one is enough */
}

static bool rt_listen_slot_has_conns(const rt_listen_slot *slot)
{
    rt_listen_walk walk = {slot, false};
    quic_endpoint_each_conn(slot->local->ep, rt_listen_walk_visit, &walk);
    return walk.found;
}

/* One look at a closing slot. The socket goes when all workers are idle, so that the group never
 * serves with a gap. */
static void rt_listen_slot_sweep(void *ctx)
{
    rt_listen_slot *slot = (rt_listen_slot *)ctx;
    rt_local *local = slot->local;
    rt_listen_group *group = slot->group;
    if (!slot->idle && !rt_listen_slot_has_conns(slot)) {
        slot->idle = true;
        __atomic_sub_fetch(&group->busy, 1, __ATOMIC_ACQ_REL);
    }
    if (__atomic_load_n(&group->busy, __ATOMIC_ACQUIRE) == 0) {
        rt_listen_slot_remove_sockets(slot);
        rt_listen_slot_unlink(local, slot);
        rt_listen_slot_free(slot);
        return;
    }
    uint64_t id = 0;
    quic_ns at = rt_worker_now(local->worker) + RT_LISTEN_SWEEP_NS;
    /* Without memory for a timer the socket stays until the worker ends. */
    (void)!rt_worker_timer_add(local->worker, &id, at, rt_listen_slot_sweep, slot);
}

void rt_listener_exit(rt_local *local)
{
    while (local->listen_slots != NULL) {
        rt_listen_slot *slot = local->listen_slots;
        local->listen_slots = slot->next;
        rt_listen_slot_free(slot);
    }
}

/* ---- listen ------------------------------------------------------------------------------------ */

typedef struct rt_listen_task {
    rt_listen_plan *plan;
    uint32_t worker;
    rt_listen_slot *slot;         /* becomes the worker's on success */
    const rt_listen_place *place; /* that failed, with rc */
    int rc;                       /* of the socket */
    quring_status status;         /* of the rest */
} rt_listen_task;

/* Tells the endpoint what the slot says. */
static quring_status rt_listen_apply(const rt_listen_slot *slot)
{
    if (slot->paused) {
        quic_endpoint_unlisten(slot->local->ep, slot->sockets[0]);
        return QURING_OK;
    }
    return rt_status_of(quic_endpoint_listen(slot->local->ep, slot->sockets[0], &slot->accept));
}

/* Hands the worker's socket of each place over. */
static bool rt_listen_add_sockets(rt_listen_task *task)
{
    rt_listen_slot *slot = task->slot;
    for (uint32_t i = 0; i < task->plan->place_count; i++) {
        rt_listen_place *place = &task->plan->places[i];
        rt_udp_socket *sock = &place->socks[task->worker];
        task->rc =
            rt_worker_add_socket(slot->local->worker, &slot->sockets[i], sock, place->group_name);
        if (task->rc != 0) {
            task->place = place;
            return false;
        }
        sock->fd = -1; /* the worker's now */
        slot->socket_count++;
    }
    return true;
}

/* The worker's sockets are shared with other processes; the first worker reads what those hand on. */
static bool rt_listen_share(rt_listen_task *task)
{
    rt_listen_slot *slot = task->slot;
    rt_worker *worker = slot->local->worker;
    quic_endpoint_set_process(slot->local->ep, task->plan->rt->process.number);
    slot->accept.any_worker = true;
    for (uint32_t i = 0; i < task->plan->place_count; i++) {
        rt_listen_place *place = &task->plan->places[i];
        rt_worker_share(worker, slot->sockets[i], slot->group->relays[i], false);
        if (task->worker > 0) {
            continue;
        }
        uint32_t index = 0;
        task->rc = rt_worker_add_socket(worker, &index, &place->inbox, place->group_name);
        if (task->rc != 0) {
            task->place = place;
            return false;
        }
        place->inbox.fd = -1;
        rt_worker_share(worker, index, slot->group->relays[i], true);
        slot->inboxes[slot->inbox_count++] = index;
    }
    return true;
}

/* The addresses of the places beyond the first go to the clients. */
static void rt_listen_set_preferred(quic_accept_config *config, const rt_listen_plan *plan)
{
    for (uint32_t i = 1; i < plan->place_count; i++) {
        const quic_addr *bound = &plan->places[i].socks[0].local;
        *(bound->family == 6 ? &config->preferred_v6 : &config->preferred_v4) = *bound;
    }
}

static void rt_task_listen(void *ctx)
{
    rt_listen_task *task = (rt_listen_task *)ctx;
    const quring_listen_options *options = task->plan->options;
    quring_runtime *rt = task->plan->rt;
    rt_listen_slot *slot = task->slot;
    rt_local *local = slot->local;
    if (!rt_listen_add_sockets(task) ||
        (rt_listen_is_shared(task->plan) && !rt_listen_share(task))) {
        rt_listen_slot_remove_sockets(slot);
        task->status = QURING_E_OS;
        return;
    }
    quic_accept_config *config = &slot->accept;
    if (slot->tls != NULL) {
        config->tls = rt_tls_vtable();
        config->tls_config = slot->tls;
    }
    config->limits = options->limits != NULL ? *options->limits : rt->config.limits;
    config->retry = (options->flags & QURING_LISTEN_RETRY) != 0;
    config->tickets = (options->flags & QURING_LISTEN_NO_TICKETS) == 0;
    config->early_gate = (options->flags & QURING_LISTEN_ZERO_RTT) != 0 ? &rt->early.gate : NULL;
    config->token_register = config->limits.new_tokens > 0 ? rt->tokens.used : NULL;
    config->strangers = &slot->group->strangers;
    config->muted_events = options->muted_events;
    config->owner_ctx = &slot->owner;
    config->app_ctx = options->ctx;
    /* Several workers begin when all have their sockets: rt_listen_begin. */
    slot->paused = (options->flags & QURING_LISTEN_PAUSED) != 0 || rt->config.workers > 1;
    rt_listen_set_preferred(config, task->plan);
    task->status = rt_listen_apply(slot);
    if (task->status != QURING_OK) {
        rt_listen_slot_remove_sockets(slot);
        return;
    }
    slot->next = local->listen_slots;
    local->listen_slots = slot;
}

static rt_listen_slot *rt_listen_slot_make(rt_local *local, rt_listen_group *group,
                                           const quring_listen_options *options)
{
    rt_listen_slot *slot = (rt_listen_slot *)calloc(1, sizeof(*slot));
    if (slot == NULL) {
        return NULL;
    }
    slot->owner.on_event = options->on_event;
    slot->local = local;
    slot->group = group;
    if ((options->flags & QURING_LISTEN_EXTERNAL_TLS) == 0) {
        slot->tls = rt_tls_retain(options->tls);
    }
    __atomic_add_fetch(&group->refs, 1, __ATOMIC_RELAXED);
    return slot;
}

/* None, or one that a client can send to. */
static bool rt_listen_preferred_ok(const quring_addr *addr, uint8_t family)
{
    static const uint8_t any[16] = {0};
    return addr->family == 0 ||
           (addr->family == family && memcmp(addr->ip, any, family == 4 ? 4 : 16) != 0);
}

static quring_status rt_listen_check(const quring_runtime *rt, const quring_listen_options *options,
                                     quring_error *err)
{
    if (options->on_event == NULL) {
        return rt_error_set(err, QURING_E_INVAL, "on_event is NULL");
    }
    if (!rt_addr_is_usable(&options->local)) {
        return rt_error_set(err, QURING_E_INVAL, "local.family is %u, allowed are 4 and 6",
                            (unsigned)options->local.family);
    }
    const uint32_t known = QURING_LISTEN_RETRY | QURING_LISTEN_EXTERNAL_TLS |
                           QURING_LISTEN_NO_TICKETS | QURING_LISTEN_ZERO_RTT |
                           QURING_LISTEN_PAUSED | QURING_LISTEN_SHARED;
    const uint32_t with_zero_rtt = QURING_LISTEN_EXTERNAL_TLS | QURING_LISTEN_NO_TICKETS;
    if ((options->flags & ~known) != 0) {
        return rt_error_set(err, QURING_E_INVAL, "flags is 0x%x, allowed are the bits 0x%x",
                            (unsigned)options->flags, (unsigned)known);
    }
    if ((options->flags & QURING_LISTEN_ZERO_RTT) != 0 && (options->flags & with_zero_rtt) != 0) {
        return rt_error_set(err, QURING_E_INVAL,
                            "QURING_LISTEN_ZERO_RTT needs session tickets and the built-in TLS");
    }
    if ((options->flags & QURING_LISTEN_SHARED) != 0 && rt->config.lb.enabled) {
        return rt_error_set(err, QURING_E_INVAL,
                            "QURING_LISTEN_SHARED needs connection IDs of its own: not with lb");
    }
    if ((options->flags & QURING_LISTEN_EXTERNAL_TLS) == 0) {
        if (options->tls == NULL) {
            return rt_error_set(err, QURING_E_INVAL,
                                "tls is NULL without QURING_LISTEN_EXTERNAL_TLS");
        }
        if (rt_tls_role(options->tls) != QUIC_SERVER) {
            return rt_error_set(err, QURING_E_INVAL,
                                "tls was made by quring_tls_create_client, a listener needs "
                                "quring_tls_create_server");
        }
    }
    if (!rt_listen_preferred_ok(&options->preferred_v4, 4) ||
        !rt_listen_preferred_ok(&options->preferred_v6, 6)) {
        return rt_error_set(err, QURING_E_INVAL,
                            "preferred_v4 and preferred_v6 are for one address each, of the family "
                            "they are named after; family 0: none");
    }
    if (rt->draining) {
        return rt_error_set(err, QURING_E_STATE, "the runtime is %s",
                            rt->stopped ? "stopped" : "draining");
    }
    quring_status status = rt_dispatch_check_muted(options->muted_events, err);
    if (status == QURING_OK && options->limits != NULL) {
        status = rt_limits_check(options->limits, err);
    }
    return status;
}

static void rt_task_unlisten(void *ctx)
{
    rt_listen_slot *slot = (rt_listen_slot *)ctx;
    quic_endpoint_unlisten(slot->local->ep, slot->sockets[0]);
    /* slot->tls stays: a connection takes it when its ClientHello is whole, which may be later. */
    if (!rt_listen_slot_has_conns(slot)) {
        slot->idle = true;
        __atomic_sub_fetch(&slot->group->busy, 1, __ATOMIC_ACQ_REL);
    }
}

/* Two rounds: when no worker has connections, the sockets are gone when the call returns. An ended
 * worker has freed its slot already. */
static void rt_listener_shut(quring_listener *listener)
{
    quring_runtime *rt = listener->rt;
    for (uint32_t round = 0; round < 2; round++) {
        rt_task_fn fn = round == 0 ? rt_task_unlisten : rt_listen_slot_sweep;
        for (uint32_t i = 0; i < rt->config.workers; i++) {
            if (listener->slots[i] != NULL) {
                (void)!rt_runtime_call(rt, i, fn, listener->slots[i]);
            }
        }
    }
}

static void rt_task_listen_begin(void *ctx)
{
    rt_listen_task *task = (rt_listen_task *)ctx;
    task->slot->paused = (task->plan->options->flags & QURING_LISTEN_PAUSED) != 0;
    task->status = rt_listen_apply(task->slot);
}

/* Nobody is accepted before: who was would go on after a call that another worker makes fail. */
static quring_status rt_listen_begin(quring_listener *listener, rt_listen_plan *plan,
                                     quring_error *err)
{
    quring_runtime *rt = listener->rt;
    for (uint32_t i = 0; i < rt->config.workers && rt->config.workers > 1; i++) {
        rt_listen_task task;
        memset(&task, 0, sizeof(task));
        task.plan = plan;
        task.slot = listener->slots[i];
        quring_status status = rt_runtime_call(rt, i, rt_task_listen_begin, &task);
        status = status == QURING_OK ? task.status : status;
        if (status != QURING_OK) {
            rt_listener_shut(listener);
            return rt_error_set(err, status, "worker %u cannot listen: %s", (unsigned)i,
                                quring_status_text(status));
        }
    }
    return QURING_OK;
}

/* Puts socket i of each place on worker i. The first failure undoes what was done. */
static quring_status rt_listen_spread(quring_listener *listener, rt_listen_plan *plan,
                                      rt_listen_group *group, quring_error *err)
{
    quring_runtime *rt = listener->rt;
    for (uint32_t i = 0; i < rt->config.workers; i++) {
        rt_listen_task task;
        memset(&task, 0, sizeof(task));
        task.plan = plan;
        task.worker = i;
        task.slot = rt_listen_slot_make(&rt->locals[i], group, plan->options);
        quring_status status = QURING_E_NOMEM;
        if (task.slot != NULL) {
            status = rt_runtime_call(rt, i, rt_task_listen, &task);
            status = status == QURING_OK ? task.status : status;
        }
        if (status == QURING_OK) {
            listener->slots[i] = task.slot;
            continue;
        }
        if (task.slot != NULL) {
            rt_listen_slot_free(task.slot);
        }
        __atomic_sub_fetch(&group->busy, rt->config.workers - i, __ATOMIC_ACQ_REL);
        rt_listener_shut(listener);
        return task.rc != 0 ? rt_listen_explain(&task.place->asked, task.rc, err)
                            : rt_error_set(err, status, "worker %u cannot listen: %s", (unsigned)i,
                                           quring_status_text(status));
    }
    return QURING_OK;
}

/* The sockets are open: now the workers get them. */
static quring_status rt_listen_start(quring_listener **out, rt_listen_plan *plan, quring_error *err)
{
    quring_runtime *rt = plan->rt;
    quring_listener *listener = (quring_listener *)calloc(1, sizeof(*listener));
    rt_listen_group *group = (rt_listen_group *)calloc(1, sizeof(*group));
    if (listener == NULL || group == NULL) {
        free(listener);
        free(group);
        return rt_error_set(err, QURING_E_NOMEM, "no memory for a listener");
    }
    listener->rt = rt;
    listener->local = plan->places[0].socks[0].local;
    listener->flags = plan->options->flags;
    group->busy = rt->config.workers;
    group->refs = 1; /* this call's */
    rt_listen_steer(plan);
    for (uint32_t i = 0; i < plan->place_count; i++) {
        group->relays[i] = plan->places[i].relay;
        plan->places[i].relay = NULL;
    }
    if (plan->options->limits != NULL) {
        rt_runtime_warn_plain(rt, plan->options->limits, "a listener");
    }
    rt_runtime_check_buffers(rt, &plan->places[0].socks[0]);
    quring_status status = rt_listen_spread(listener, plan, group, err);
    status = status == QURING_OK ? rt_listen_begin(listener, plan, err) : status;
    for (uint32_t i = 0; i < plan->place_count && status == QURING_OK; i++) {
        if (group->relays[i] != NULL) {
            rt_relay_announce(group->relays[i], rt_clock_now());
        }
    }
    rt_listen_group_unref(group);
    if (status != QURING_OK) {
        free(listener);
        return status;
    }
    listener->next = rt->listeners;
    rt->listeners = listener;
    *out = listener;
    return QURING_OK;
}

/* Listeners that share their address need a number among the user's processes. */
static quring_status rt_listen_number(quring_runtime *rt, quring_error *err)
{
    int rc = rt_process_open(&rt->process);
    if (rc == -ENOSPC) {
        return rt_error_set(err, QURING_E_LIMIT, "%u runtimes of this user share addresses already",
                            RT_PROCESSES_MAX);
    }
    return rc == 0 ? QURING_OK : rt_error_os(err, QURING_E_OS, -rc, "no socket to other processes");
}

/* Those that are given may be used once. */
static quring_status rt_listen_open_tokens(quring_runtime *rt, const quring_limits *limits,
                                           quring_error *err)
{
    if (limits->new_tokens > 0 &&
        rt_tokens_open(&rt->tokens, limits->new_token_lifetime_ns) != QUIC_OK) {
        return rt_error_set(err, QURING_E_NOMEM, "no memory for the register of used tokens");
    }
    return QURING_OK;
}

static quring_status rt_listen_locked(quring_runtime *rt, quring_listener **out,
                                      const quring_listen_options *options, quring_error *err)
{
    quring_status status = rt_listen_check(rt, options, err);
    if (status != QURING_OK) {
        return status;
    }
    if ((options->flags & QURING_LISTEN_ZERO_RTT) != 0 && rt_early_open(&rt->early) != QUIC_OK) {
        return rt_error_set(err, QURING_E_NOMEM, "no memory for the register of used tickets");
    }
    const quring_limits *limits = options->limits != NULL ? options->limits : &rt->config.limits;
    status = rt_listen_open_tokens(rt, limits, err);
    if (status != QURING_OK) {
        return status;
    }
    if ((options->flags & QURING_LISTEN_SHARED) != 0) {
        status = rt_listen_number(rt, err);
        if (status != QURING_OK) {
            return status;
        }
    }
    rt_listen_plan *plan = (rt_listen_plan *)calloc(1, sizeof(*plan));
    if (plan == NULL) {
        return rt_error_set(err, QURING_E_NOMEM, "no memory for a listener");
    }
    plan->rt = rt;
    plan->options = options;
    for (uint32_t i = 0; i < RT_LISTEN_PLACES; i++) {
        for (uint32_t j = 0; j < QURING_WORKERS_MAX; j++) {
            plan->places[i].socks[j].fd = -1;
        }
        plan->places[i].inbox.fd = -1;
    }
    status = rt_listen_open_places(plan, err);
    if (status == QURING_OK) {
        status = rt_listen_start(out, plan, err);
    }
    rt_listen_close_places(plan); /* those that are not a worker's */
    free(plan);
    return status;
}

quring_status quring_listen(quring_runtime *rt, quring_listener **out,
                            const quring_listen_options *options, quring_error *err)
{
    rt_error_clear(err);
    if (rt == NULL || out == NULL || options == NULL) {
        return rt_error_set(err, QURING_E_INVAL, "%s is NULL",
                            rt == NULL ? "rt" : (out == NULL ? "out" : "options"));
    }
    if (rt_local_self != NULL) {
        return rt_error_set(err, QURING_E_THREAD, "quring_listen must not be called on a worker");
    }
    pthread_mutex_lock(&rt->lock);
    quring_status status = rt_listen_locked(rt, out, options, err);
    pthread_mutex_unlock(&rt->lock);
    return status;
}

/* ---- changes ------------------------------------------------------------------------------------ */

typedef struct rt_configure_task {
    rt_listen_slot *slot;
    uint32_t flags;
    const quring_limits *limits;
    quring_status status;
} rt_configure_task;

static void rt_task_configure(void *ctx)
{
    rt_configure_task *task = (rt_configure_task *)ctx;
    rt_listen_slot *slot = task->slot;
    slot->accept.retry = (task->flags & QURING_LISTEN_RETRY) != 0;
    slot->paused = (task->flags & QURING_LISTEN_PAUSED) != 0;
    if (task->limits != NULL) {
        slot->accept.limits = *task->limits;
        slot->accept.token_register =
            task->limits->new_tokens > 0 ? slot->local->rt->tokens.used : NULL;
    }
    task->status = rt_listen_apply(slot);
}

static quring_status rt_listener_configure(quring_listener *listener, uint32_t flags,
                                           const quring_limits *limits, quring_error *err)
{
    quring_runtime *rt = listener->rt;
    const uint32_t may_change = QURING_LISTEN_RETRY | QURING_LISTEN_PAUSED;
    if (((flags ^ listener->flags) & ~may_change) != 0) {
        return rt_error_set(err, QURING_E_INVAL, "flags is 0x%x, was 0x%x: only 0x%x may change",
                            (unsigned)flags, (unsigned)listener->flags, (unsigned)may_change);
    }
    quring_status status = limits != NULL ? rt_limits_check(limits, err) : QURING_OK;
    if (status == QURING_OK && limits != NULL) {
        status = rt_listen_open_tokens(rt, limits, err);
    }
    for (uint32_t i = 0; status == QURING_OK && i < rt->config.workers; i++) {
        rt_configure_task task = {listener->slots[i], flags, limits, QURING_OK};
        status = rt_runtime_call(rt, i, rt_task_configure, &task);
        status = status == QURING_OK ? task.status : status;
        if (status != QURING_OK) {
            return rt_error_set(err, status, "worker %u: %s", (unsigned)i,
                                quring_status_text(status));
        }
    }
    if (status == QURING_OK) {
        listener->flags = flags;
    }
    return status;
}

quring_status quring_listener_configure(quring_listener *listener, uint32_t flags,
                                        const quring_limits *limits, quring_error *err)
{
    rt_error_clear(err);
    if (listener == NULL) {
        return rt_error_set(err, QURING_E_INVAL, "listener is NULL");
    }
    if (rt_local_self != NULL) {
        return rt_error_set(err, QURING_E_THREAD,
                            "quring_listener_configure must not be called on a worker");
    }
    pthread_mutex_lock(&listener->rt->lock);
    quring_status status = rt_listener_configure(listener, flags, limits, err);
    pthread_mutex_unlock(&listener->rt->lock);
    return status;
}

rt_listen_slot *rt_listener_slot(const quring_listener *listener, uint32_t worker)
{
    return listener->slots[worker];
}

/* ---- the handle -------------------------------------------------------------------------------- */

quring_addr quring_listener_local(const quring_listener *listener)
{
    if (listener == NULL) {
        quring_addr none;
        memset(&none, 0, sizeof(none));
        return none;
    }
    return rt_addr_from_core(&listener->local);
}

void quring_listener_close(quring_listener *listener)
{
    if (listener == NULL) {
        return;
    }
    quring_runtime *rt = listener->rt;
    if (rt_local_self != NULL) {
        rt_log_line(&rt->log, RT_LOG_ERROR,
                    "quring_listener_close was called on a worker and did nothing");
        return;
    }
    pthread_mutex_lock(&rt->lock);
    for (quring_listener **at = &rt->listeners; *at != NULL; at = &(*at)->next) {
        if (*at == listener) {
            *at = listener->next;
            break;
        }
    }
    rt_listener_shut(listener);
    pthread_mutex_unlock(&rt->lock);
    free(listener);
}

void rt_listener_free_all(quring_runtime *rt)
{
    while (rt->listeners != NULL) {
        quring_listener *listener = rt->listeners;
        rt->listeners = listener->next;
        free(listener);
    }
}

#include "quic/endpoint/endpoint.h"

#include "quic/base/check.h"
#include "quic/endpoint/endpoint_internal.h"

#define WORKERS_MAX   64u
#define CIDS_PER_CONN 10u /* QUIC_CID_LOCAL_MAX, and the client's first choice and a Retry's */
/* Units a connection sends before others do: trains that come together are acknowledged together, and what the
 * second needs is in a near cache since the first. */
#define TURN_UNITS 2u

/* Everything made under the previous root secret stays good; new things are made under the present. The secrets
 * themselves are done with then. */
static void init_secrets(quic_endpoint *ep)
{
    quic_endpoint_config *config = &ep->config;
    quic_conn_env *env = &ep->env;
    if (config->has_previous_secret) {
        quic_token_keys_derive(&env->token_keys, config->previous_root_secret);
        quic_token_keys_rotate(&env->token_keys, config->root_secret);
        quic_ticket_keys_derive(&env->ticket_keys, config->previous_root_secret);
        quic_ticket_keys_rotate(&env->ticket_keys, config->root_secret);
        quic_reset_key_derive(&ep->previous_reset_key, config->previous_root_secret);
    } else {
        quic_token_keys_derive(&env->token_keys, config->root_secret);
        quic_ticket_keys_derive(&env->ticket_keys, config->root_secret);
    }
    quic_reset_key_derive(&env->reset_key, config->root_secret);
    quic_mem_wipe(config->root_secret, sizeof(config->root_secret));
    quic_mem_wipe(config->previous_root_secret, sizeof(config->previous_root_secret));
}

static void init_env(quic_endpoint *ep)
{
    const quring_limits *lim = &ep->config.limits;
    quic_conn_env *env = &ep->env;
    uint8_t keys[4][16];
    quic_rng_fill(&ep->config.rng, keys, sizeof(keys));
    env->mem = &ep->mem;
    env->rng = &ep->config.rng;
    env->crypto = ep->config.crypto;
    env->counters = &ep->counters;
    env->cc = ep->config.cc;
    env->pacing = ep->config.pacing;
    quic_cid_table_init(&env->cids, &ep->mem, lim->connections_max * CIDS_PER_CONN, keys[0]);
    quic_reset_table_init(&env->reset_tokens, &ep->mem, lim->connections_max * CIDS_PER_CONN,
                          keys[1]);
    quic_handles_init(&env->conn_handles, &ep->mem, ep->config.worker_id, lim->connections_max);
    quic_handles_init(&env->stream_handles, &ep->mem, ep->config.worker_id, 1u << 30);
    quic_heap_init(&env->timers, &ep->mem, lim->connections_max);
    quic_list_init(&env->dirty);
    quic_list_init(&env->with_events);
    quic_list_init(&env->all);
    quic_list_init(&env->dead);
    env->wall_offset_ns = ep->config.wall_offset_ns;
    init_secrets(ep);
    quic_admission_init(&ep->admission, lim, keys[2]);
    quic_tombstones_init(&ep->tombstones, &ep->mem, lim->connections_max, keys[3]);
}

quic_rc quic_endpoint_create(quic_endpoint **out, const quic_endpoint_config *config)
{
    if (config->worker_count == 0 || config->worker_count > WORKERS_MAX ||
        config->worker_id >= config->worker_count || config->crypto == NULL ||
        config->allocator.alloc == NULL || config->rng.fill == NULL ||
        config->limits.connections_max == 0 ||
        config->limits.connections_max > UINT32_MAX / CIDS_PER_CONN) {
        return QUIC_E_INVAL;
    }
    quic_cid_format cid_format;
    quic_rc rc =
        quic_cid_format_init(&cid_format, &config->cids, config->worker_id, config->worker_count);
    if (rc != QUIC_OK) {
        return rc;
    }
    quic_mem root;
    quic_mem_init_root(&root, &config->allocator, config->limits.worker_mem_max_bytes);
    quic_endpoint *ep = quic_mem_zalloc(&root, sizeof(*ep));
    if (ep == NULL) {
        return QUIC_E_NOMEM;
    }
    ep->mem = root;
    quic_spares_init(&ep->spares, &ep->mem);
    ep->config = *config;
    ep->fixed_bit = QUIC_HEADER_FIXED_BIT;
    ep->udp_payload_max = config->limits.udp_payload_max_bytes;
    ep->listeners = quic_mem_zalloc(&ep->mem, QUIC_ENDPOINT_LISTENERS_MAX * sizeof(*ep->listeners));
    ep->answers = quic_mem_alloc(&ep->mem, QUIC_ENDPOINT_ANSWERS_MAX * sizeof(*ep->answers));
    if (ep->listeners == NULL || ep->answers == NULL) {
        quic_mem_free(&ep->mem, ep->listeners,
                      QUIC_ENDPOINT_LISTENERS_MAX * sizeof(*ep->listeners));
        quic_mem_free(&ep->mem, ep->answers, QUIC_ENDPOINT_ANSWERS_MAX * sizeof(*ep->answers));
        root = ep->mem;
        quic_mem_wipe(ep, sizeof(*ep));
        quic_mem_free(&root, ep, sizeof(*ep));
        return QUIC_E_NOMEM;
    }
    init_env(ep);
    ep->env.cid_format = cid_format;
    *out = ep;
    return QUIC_OK;
}

static void forget_conn(quic_endpoint *ep, quic_conn *conn)
{
    QURING_ASSERT(ep->conn_count > 0);
    ep->conn_count--;
    ep->counters.conns_closed++;
    quic_addr remote = *quic_conn_admitted(conn);
    quic_admission_closed(&ep->admission, &remote, quic_conn_is_half_open(conn));
    quic_conn_destroy(conn);
}

void quic_endpoint_drop_conn(quic_endpoint *ep, quic_conn *conn)
{
    if (quic_conn_take_proved(conn)) {
        quic_strangers_leave(quic_conn_strangers(conn));
    }
    forget_conn(ep, conn);
}

void quic_endpoint_destroy(quic_endpoint *ep)
{
    if (ep == NULL) {
        return;
    }
    quic_list_node *node;
    while ((node = quic_list_front(&ep->env.all)) != NULL) {
        forget_conn(ep, quic_conn_of_all(node)); /* its listener may be gone */
    }
    quic_tombstones_deinit(&ep->tombstones);
    quic_cid_table_deinit(&ep->env.cids);
    quic_reset_table_deinit(&ep->env.reset_tokens);
    quic_handles_deinit(&ep->env.conn_handles);
    quic_handles_deinit(&ep->env.stream_handles);
    quic_heap_deinit(&ep->env.timers);
    quic_mem_free(&ep->mem, ep->listeners, QUIC_ENDPOINT_LISTENERS_MAX * sizeof(*ep->listeners));
    quic_mem_free(&ep->mem, ep->answers, QUIC_ENDPOINT_ANSWERS_MAX * sizeof(*ep->answers));
    quic_spares_deinit(&ep->spares);
    quic_mem root = ep->mem;
    QURING_ASSERT(root.used_bytes == sizeof(*ep)); /* every byte of every connection came back */
    quic_mem_wipe(ep, sizeof(*ep));
    quic_mem_free(&root, ep, sizeof(*ep));
}

quic_rc quic_endpoint_connect(quic_endpoint *ep, quic_conn **out, const quic_connect_config *config,
                              quic_ns now)
{
    ep->env.now = now;
    if (ep->conn_count >= ep->config.limits.connections_max) {
        return QUIC_E_LIMIT;
    }
    if (config->version_listed != 0 &&
        (quic_version_bit(config->version_listed) & config->limits.versions) == 0) {
        return QUIC_E_INVAL;
    }
    quic_conn_config conn_config = {
        .role = QUIC_CLIENT,
        .tls = config->tls,
        .tls_config = config->tls_config,
        .server_name = config->server_name,
        .session = config->session,
        .session_len = config->session_len,
        .zero_rtt = config->zero_rtt,
        .token = config->token,
        .token_len = config->token_len,
        .version_listed = config->version_listed,
        .limits = &config->limits,
        .path = config->path,
        .shared_socket = config->shared_socket,
        .muted_events = config->muted_events,
        .owner_ctx = config->owner_ctx,
        .app_ctx = config->app_ctx,
    };
    quic_rc rc = quic_conn_create(out, &ep->env, &conn_config, now);
    if (rc == QUIC_OK) {
        ep->conn_count++;
        quic_admission_opened(&ep->admission, &config->path.remote, false);
        quic_endpoint_note_limits(ep, &config->limits);
    }
    return rc;
}

void quic_endpoint_set_wall_offset(quic_endpoint *ep, quic_ns offset)
{
    ep->env.wall_offset_ns = offset;
}

void quic_endpoint_set_process(quic_endpoint *ep, uint8_t process)
{
    quic_cid_format_set_process(&ep->env.cid_format, process);
}

void quic_endpoint_refuse_new(quic_endpoint *ep)
{
    ep->refuse_new = true;
}

void quic_endpoint_close_all(quic_endpoint *ep, uint64_t app_error, const char *reason)
{
    quic_list_node *next;
    for (quic_list_node *node = quic_list_front(&ep->env.all); node != NULL; node = next) {
        next = quic_list_next(&ep->env.all, node);
        (void)quic_conn_close(quic_conn_of_all(node), app_error, reason);
    }
}

uint32_t quic_endpoint_conn_count(const quic_endpoint *ep)
{
    return ep->conn_count + ep->tombstones.count;
}

uint32_t quic_endpoint_unfinished_count(const quic_endpoint *ep)
{
    return ep->conn_count + ep->tombstones.answering;
}

uint32_t quic_endpoint_busy_count(const quic_endpoint *ep)
{
    uint32_t busy = 0;
    for (quic_list_node *node = quic_list_front(&ep->env.all); node != NULL;
         node = quic_list_next(&ep->env.all, node)) {
        busy += quic_conn_is_busy(quic_conn_of_all(node)) ? 1 : 0;
    }
    return busy;
}

static inline void reap_dead(quic_endpoint *ep)
{
    quic_list_node *node;
    while (QUIC_UNLIKELY((node = quic_list_front(&ep->env.dead)) != NULL)) {
        quic_endpoint_drop_conn(ep, quic_conn_of_dirty(node));
    }
}

/* One that has ended and that nobody asks any more leaves a tombstone, if there is room for it. */
static bool bury(quic_endpoint *ep, quic_conn *conn, quic_ns now)
{
    quic_conn_remains remains;
    if (!quic_conn_take_remains(conn, &remains, now) ||
        quic_tombstones_add(&ep->tombstones, &remains) != QUIC_OK) {
        return false;
    }
    quic_endpoint_drop_conn(ep, conn);
    return true;
}

static void settle_half_open(quic_endpoint *ep, quic_conn *conn)
{
    if (quic_conn_take_proved(conn)) {
        quic_strangers_leave(quic_conn_strangers(conn));
    }
    if (quic_conn_take_established(conn)) {
        quic_admission_established(&ep->admission, quic_conn_admitted(conn));
    }
}

/* A connection that has nothing to send for now: its deadline is exact from here on. */
static void settle(quic_endpoint *ep, quic_conn *conn, quic_ns now)
{
    if (QUIC_UNLIKELY(quic_conn_has_ended(conn)) && bury(ep, conn, now)) {
        return;
    }
    if (QUIC_UNLIKELY(quic_conn_is_half_open(conn))) {
        settle_half_open(ep, conn);
    }
    quic_conn_set_timer(conn, quic_conn_next_timeout(conn, now));
}

/* A connection has sent a unit: its turn goes on, or others take theirs first. One that has nothing more that
 * may leave is done at once, while it is in a near cache. */
static void after_unit(quic_endpoint *ep, quic_conn *conn, quic_list_node *node, bool last,
                       quic_ns now)
{
    if (quic_list_is_linked(node)) { /* it asks to be asked again */
        ep->turn_units = 0;
    } else if (last) {
        ep->turn_units = 0;
        settle(ep, conn, now);
    } else if (++ep->turn_units < TURN_UNITS) {
        quic_list_push_front(&ep->env.dirty, node);
    } else {
        ep->turn_units = 0;
        quic_list_push_back(&ep->env.dirty, node);
    }
}

/* While this connection encrypts, for those whose turns come next: see quic_conn_fetch. */
static void fetch_next(const quic_endpoint *ep)
{
    const quic_list *dirty = &ep->env.dirty;
    quic_list_node *node = quic_list_front(dirty);
    if (node == NULL) {
        return;
    }
    quic_conn_fetch_keys(quic_conn_of_dirty(node), false);
    if ((node = quic_list_next(dirty, node)) == NULL) {
        return;
    }
    quic_conn_fetch_far(quic_conn_of_dirty(node));
    if ((node = quic_list_next(dirty, node)) != NULL) {
        quic_conn_fetch(quic_conn_of_dirty(node));
    }
}

void quic_endpoint_set_now(quic_endpoint *ep, quic_ns now)
{
    ep->env.now = now;
}

void quic_endpoint_on_timeout(quic_endpoint *ep, quic_ns now)
{
    ep->env.now = now;
    while (quic_heap_next_key(&ep->env.timers) <= now) {
        quic_conn *conn = quic_conn_of_timer(quic_heap_pop(&ep->env.timers));
        if (quic_heap_next_key(&ep->env.timers) <= now) {
            quic_conn_fetch(quic_conn_of_timer(quic_heap_peek(&ep->env.timers)));
        }
        quic_conn_on_timeout(conn, now); /* puts itself on the dirty list, which sets the timer */
    }
    quic_tombstones_expire(&ep->tombstones, now);
    reap_dead(ep);
}

bool quic_endpoint_poll_event(quic_endpoint *ep, quic_event *out, quic_ns now)
{
    ep->env.now = now;
    quic_list_node *node;
    while ((node = quic_list_front(&ep->env.with_events)) != NULL) {
        if (quic_conn_poll_event(quic_conn_of_events(node), out, now)) {
            return true;
        }
    }
    reap_dead(ep);
    return false;
}

bool quic_endpoint_has_events(const quic_endpoint *ep)
{
    return !quic_list_is_empty(&ep->env.with_events);
}

bool quic_endpoint_send(quic_endpoint *ep, quic_tx_unit *unit, quic_ns now)
{
    ep->env.now = now;
    unit->len = 0;
    if (ep->answer_count > 0 && quic_endpoint_pop_answer(ep, unit)) {
        ep->counters.datagrams_sent++;
        ep->counters.bytes_sent += unit->len;
        return true;
    }
    quic_list_node *node;
    while ((node = quic_list_front(&ep->env.dirty)) != NULL) {
        quic_conn *conn = quic_conn_of_dirty(node);
        quic_list_remove(node);
        if (ep->turn_units == 0) {
            fetch_next(ep);
        }
        if (quic_conn_send(conn, unit, now)) {
            ep->counters.datagrams_sent += (unit->len + unit->seg_len - 1) / unit->seg_len;
            ep->counters.bytes_sent += unit->len;
            after_unit(ep, conn, node, unit->last, now);
            return true;
        }
        ep->turn_units = 0;
        settle(ep, conn, now);
    }
    reap_dead(ep);
    ep->counters.mem_used_bytes = ep->mem.used_bytes;
    ep->counters.mem_peak_bytes = ep->mem.peak_bytes;
    ep->counters.mem_failures = ep->mem.failure_count;
    return false;
}

quic_ns quic_endpoint_next_timeout(quic_endpoint *ep)
{
    if (ep->answer_count > 0 || !quic_list_is_empty(&ep->env.dirty) ||
        !quic_list_is_empty(&ep->env.with_events)) {
        return 0;
    }
    quic_ns conns = quic_heap_next_key(&ep->env.timers);
    quic_ns stones = quic_tombstones_next_timeout(&ep->tombstones);
    return conns < stones ? conns : stones;
}

static void tell_too_big(quic_conn *conn, const quic_path_addr *path, uint32_t len)
{
    const quic_path_addr *now = quic_conn_path(conn);
    if (now->socket == path->socket && quic_addr_equal(&now->remote, &path->remote)) {
        quic_conn_on_send_too_big(conn, len);
    }
}

/* Where the interface carries less than an Ethernet frame this happens in the life of every connection: their probes,
 * which travel alone, do not look for others. */
void quic_endpoint_on_send_too_big(quic_endpoint *ep, uint64_t handle, const quic_path_addr *path,
                                   uint32_t len)
{
    if (handle != QUIC_TX_CONN_MANY) {
        quic_conn *conn = quic_endpoint_conn(ep, handle);
        if (conn != NULL) {
            tell_too_big(conn, path, len);
        }
        return;
    }
    for (quic_list_node *node = quic_list_front(&ep->env.all); node != NULL;
         node = quic_list_next(&ep->env.all, node)) {
        tell_too_big(quic_conn_of_all(node), path, len);
    }
}

quic_conn *quic_endpoint_conn(quic_endpoint *ep, uint64_t handle)
{
    return quic_handles_get(&ep->env.conn_handles, handle);
}

quic_stream *quic_endpoint_stream(quic_endpoint *ep, uint64_t handle)
{
    return quic_handles_get(&ep->env.stream_handles, handle);
}

quic_counters *quic_endpoint_counters(quic_endpoint *ep)
{
    return &ep->counters;
}

const quic_mem *quic_endpoint_mem(const quic_endpoint *ep)
{
    return &ep->mem;
}

void quic_endpoint_each_conn(quic_endpoint *ep, bool (*visit)(quic_conn *conn, void *ctx),
                             void *ctx)
{
    quic_list_node *next;
    for (quic_list_node *node = quic_list_front(&ep->env.all); node != NULL; node = next) {
        next = quic_list_next(&ep->env.all, node);
        if (!visit(quic_conn_of_all(node), ctx)) {
            return;
        }
    }
}

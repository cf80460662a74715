#include "runtime/server/connect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/server/addr.h"
#include "runtime/server/config_check.h"
#include "runtime/server/error.h"
#include "runtime/server/listener.h"
#include "runtime/server/runtime.h"
#include "runtime/server/tls.h"
#include "runtime/udp/udp_socket.h"

#define RT_CONNECT_SWEEP_MIN   8u   /* owners, or sockets, before the first walk */
#define RT_SERVER_NAME_LEN_MAX 255u /* RFC 1035 2.3.4, and what quring_conn_info shows */

/* ---- records without connections --------------------------------------------------------------- */

static bool rt_connect_uses(const quic_conn *conn, uint32_t socket)
{
    uint32_t used[QUIC_CONN_PATHS_MAX];
    uint32_t count = quic_conn_sockets(conn, used);
    bool found = false;
    for (uint32_t i = 0; i < count; i++) {
        found = found || used[i] == socket;
    }
    return found;
}

static bool rt_connect_mark(quic_conn *conn, void *ctx)
{
    const rt_local *local = (const rt_local *)ctx;
    rt_owner *owner = (rt_owner *)quic_conn_owner_ctx(conn);
    if (owner != NULL) {
        owner->in_use = true;
    }
    for (rt_connect_socket *s = local->connect_sockets; s != NULL; s = s->next) {
        s->in_use = s->in_use || rt_connect_uses(conn, s->index);
    }
    return true;
}

static void rt_connect_drop_sockets(rt_local *local)
{
    rt_connect_socket **at = &local->connect_sockets;
    while (*at != NULL) {
        rt_connect_socket *sock = *at;
        if (sock->owner_count > 0 || sock->in_use) {
            at = &sock->next;
            continue;
        }
        *at = sock->next;
        rt_worker_remove_socket(local->worker, sock->index);
        local->connect_socket_count--;
        free(sock);
    }
}

static uint32_t rt_connect_sweep_next(uint32_t count)
{
    return 2 * count < RT_CONNECT_SWEEP_MIN ? RT_CONNECT_SWEEP_MIN : 2 * count;
}

/* One walk over the connections marks the owners and sockets in use; the others go. */
static void rt_connect_sweep(rt_local *local)
{
    for (rt_connect_owner *o = local->connect_owners; o != NULL; o = o->next) {
        o->owner.in_use = false;
    }
    for (rt_connect_socket *s = local->connect_sockets; s != NULL; s = s->next) {
        s->in_use = false;
    }
    quic_endpoint_each_conn(local->ep, rt_connect_mark, local);
    rt_connect_owner **at = &local->connect_owners;
    while (*at != NULL) {
        rt_connect_owner *o = *at;
        if (o->owner.in_use) {
            at = &o->next;
            continue;
        }
        *at = o->next;
        o->socket->owner_count--;
        local->connect_owner_count--;
        free(o);
    }
    rt_connect_drop_sockets(local);
    local->connect_sweep_at = rt_connect_sweep_next(local->connect_owner_count);
    local->connect_socket_sweep_at = rt_connect_sweep_next(local->connect_socket_count);
}

void rt_connect_exit(rt_local *local)
{
    while (local->connect_owners != NULL) {
        rt_connect_owner *o = local->connect_owners;
        local->connect_owners = o->next;
        free(o);
    }
    while (local->connect_sockets != NULL) {
        rt_connect_socket *sock = local->connect_sockets;
        local->connect_sockets = sock->next;
        free(sock);
    }
    local->connect_owner_count = 0;
    local->connect_socket_count = 0;
}

/* ---- the socket -------------------------------------------------------------------------------- */

static quring_status rt_connect_socket_add(rt_local *local, rt_connect_socket *record,
                                           quring_error *err)
{
    rt_udp_options uo = rt_runtime_socket_options(local->rt, &record->asked);
    rt_udp_socket sock;
    quring_addr asked = rt_addr_from_core(&record->asked);
    char text[64];
    int rc = rt_udp_open(&sock, &uo);
    if (rc != 0) {
        return rt_error_os(err, QURING_E_OS, -rc, "no socket at %s",
                           quring_addr_format(&asked, text, sizeof(text)));
    }
    rc = rt_worker_add_socket(local->worker, &record->index, &sock, 0);
    if (rc == -EUSERS) { /* sockets of connections long gone may still be there */
        rt_connect_sweep(local);
        rc = rt_worker_add_socket(local->worker, &record->index, &sock, 0);
    }
    if (rc != 0) {
        rt_udp_close(&sock);
        return rc == -EUSERS ? rt_error_set(err, QURING_E_LIMIT,
                                            "the worker takes no more sockets (%u at most)",
                                            RT_IO_SOCKETS_MAX)
                             : rt_error_os(err, QURING_E_OS, -rc, "no room for a socket at %s",
                                           quring_addr_format(&asked, text, sizeof(text)));
    }
    rt_runtime_check_buffers(local->rt, &sock);
    record->bound = sock.local;
    return QURING_OK;
}

/* The one at `place` among those for `asked` that `mover` (may be NULL) does not use yet; with a port asked for
 * there is but one, even if the mover has it already. *out_count is how many there are, up to that one. */
static rt_connect_socket *rt_connect_socket_at(const rt_local *local, uint32_t *out_count,
                                               const quic_addr *asked, const quic_conn *mover,
                                               uint32_t place)
{
    *out_count = 0;
    for (rt_connect_socket *s = local->connect_sockets; s != NULL; s = s->next) {
        if (quic_addr_equal(&s->asked, asked) &&
            (mover == NULL || asked->port != 0 || !rt_connect_uses(mover, s->index)) &&
            (*out_count)++ == place) {
            return s;
        }
    }
    return NULL;
}

/* A new connection's: as long as there are fewer than may be, none. */
static rt_connect_socket *rt_connect_socket_turn(rt_local *local, const quic_addr *asked)
{
    uint32_t max = asked->port == 0 ? local->rt->config.client_sockets : 1;
    uint32_t count = 0;
    rt_connect_socket *sock = rt_connect_socket_at(local, &count, asked, NULL, max - 1);
    return sock == NULL || max == 1
               ? sock
               : rt_connect_socket_at(local, &count, asked, NULL, local->connect_turn++ % max);
}

quring_status rt_connect_socket_get(rt_connect_socket **out, rt_local *local,
                                    const quic_addr *asked, const quic_conn *mover,
                                    quring_error *err)
{
    uint32_t count = 0;
    *out = mover == NULL ? rt_connect_socket_turn(local, asked)
                         : rt_connect_socket_at(local, &count, asked, mover, 0);
    if (*out != NULL) {
        return QURING_OK;
    }
    if (local->connect_socket_count >= local->connect_socket_sweep_at) {
        rt_connect_sweep(local);
    }
    rt_connect_socket *record = (rt_connect_socket *)calloc(1, sizeof(*record));
    if (record == NULL) {
        return rt_error_set(err, QURING_E_NOMEM, "no memory for a client socket");
    }
    record->asked = *asked;
    quring_status status = rt_connect_socket_add(local, record, err);
    if (status != QURING_OK) {
        free(record);
        /* One that is there does for a new connection. */
        *out = mover == NULL ? rt_connect_socket_at(local, &count, asked, NULL, 0) : NULL;
        if (*out == NULL) {
            return status;
        }
        rt_error_clear(err);
        return QURING_OK;
    }
    record->next = local->connect_sockets;
    local->connect_sockets = record;
    local->connect_socket_count++;
    *out = record;
    return QURING_OK;
}

/* ---- the owner --------------------------------------------------------------------------------- */

static rt_connect_owner *rt_connect_owner_get(rt_local *local, rt_connect_socket *sock,
                                              quring_event_fn on_event)
{
    for (rt_connect_owner *o = local->connect_owners; o != NULL; o = o->next) {
        if (o->socket == sock && o->owner.on_event == on_event) {
            return o;
        }
    }
    rt_connect_owner *o = (rt_connect_owner *)calloc(1, sizeof(*o));
    if (o == NULL) {
        return NULL;
    }
    o->owner.on_event = on_event;
    o->socket = sock;
    o->next = local->connect_owners;
    local->connect_owners = o;
    local->connect_owner_count++;
    sock->owner_count++;
    return o;
}

/* ---- connect ----------------------------------------------------------------------------------- */

static quring_status rt_connect_check_tls(const quring_connect_options *options, quring_error *err)
{
    if (options->external_tls) {
        return QURING_OK;
    }
    if (options->tls == NULL) {
        return rt_error_set(err, QURING_E_INVAL, "tls is NULL without external_tls");
    }
    if (rt_tls_role(options->tls) != QUIC_CLIENT) {
        return rt_error_set(err, QURING_E_INVAL,
                            "tls was made by quring_tls_create_server, a client needs "
                            "quring_tls_create_client");
    }
    return QURING_OK;
}

static quring_status rt_connect_check(const quring_connect_options *options, quring_error *err)
{
    if (options->on_event == NULL && options->via == NULL) {
        return rt_error_set(err, QURING_E_INVAL, "on_event is NULL");
    }
    if (!rt_addr_is_usable(&options->remote) || options->remote.port == 0) {
        return rt_error_set(err, QURING_E_INVAL, "remote is no address with a port");
    }
    if (options->local.family != 0) {
        quic_addr remote = rt_addr_to_core(&options->remote);
        quic_addr local = rt_addr_to_core(&options->local);
        if (local.family != remote.family) {
            return rt_error_set(err, QURING_E_INVAL, "local is of family %u, remote of family %u",
                                (unsigned)local.family, (unsigned)remote.family);
        }
    }
    if (options->server_name != NULL &&
        strnlen(options->server_name, RT_SERVER_NAME_LEN_MAX + 1) > RT_SERVER_NAME_LEN_MAX) {
        return rt_error_set(err, QURING_E_INVAL, "server_name is longer than %u bytes",
                            RT_SERVER_NAME_LEN_MAX);
    }
    quring_status status = rt_connect_check_tls(options, err);
    if (status == QURING_OK && options->version_listed != 0 && !options->external_tls) {
        return rt_error_set(err, QURING_E_INVAL, "version_listed without external_tls");
    }
    if (status == QURING_OK) {
        status = rt_dispatch_check_muted(options->muted_events, err);
    }
    if (status == QURING_OK && options->limits != NULL) {
        status = rt_limits_check(options->limits, err);
    }
    return status;
}

/* The name to verify when none is given: the address, without brackets and port. */
static const char *rt_connect_name(const quring_connect_options *options, const quic_addr *remote,
                                   char *buf, size_t cap)
{
    if (options->server_name != NULL) {
        return options->server_name;
    }
    int family = remote->family == 4 ? AF_INET : AF_INET6;
    return inet_ntop(family, remote->ip, buf, (socklen_t)cap);
}

static void rt_connect_warn_unverified(quring_runtime *rt, const quring_connect_options *options)
{
    if (!options->external_tls && !rt_tls_verifies(options->tls)) {
        rt_runtime_warn_once(rt, RT_WARNED_VERIFY,
                             "servers are not verified (QURING_VERIFY_NONE): for tests only");
    }
}

/* Of limits of its own: the runtime's were warned of when it was made. */
static void rt_connect_warn_plain(quring_runtime *rt, const quring_connect_options *options)
{
    if (options->limits != NULL && options->limits->disable_1rtt_encryption) {
        rt_runtime_warn_once(rt, RT_WARNED_PLAIN,
                             "disable_1rtt_encryption: 1-RTT packets are NOT encrypted and NOT "
                             "authenticated with peers that ask for it, too (a client)");
    }
}

/* Where a connection leaves from, and who hears of it. */
typedef struct rt_connect_from {
    rt_owner *owner;
    quic_addr bound;
    uint32_t socket;
    bool is_shared; /* with other processes */
} rt_connect_from;

static quring_status rt_connect_start(quring_conn *out, rt_local *local,
                                      const rt_connect_from *from,
                                      const quring_connect_options *options, quring_error *err)
{
    quic_connect_config config;
    memset(&config, 0, sizeof(config));
    config.path.remote = rt_addr_to_core(&options->remote);
    config.path.local = from->bound;
    config.path.socket = from->socket;
    config.shared_socket = from->is_shared;
    char name[64];
    config.server_name = options->server_name;
    if (!options->external_tls) {
        config.tls = rt_tls_vtable();
        config.tls_config = options->tls;
        config.server_name = rt_connect_name(options, &config.path.remote, name, sizeof(name));
        config.session = options->session.data;
        config.session_len = options->session.data != NULL ? options->session.len : 0;
        config.zero_rtt = options->zero_rtt;
    }
    config.token = options->token.data;
    config.token_len = options->token.data != NULL ? options->token.len : 0;
    config.version_listed = options->version_listed;
    config.limits = options->limits != NULL ? *options->limits : local->rt->config.limits;
    config.muted_events = options->muted_events;
    config.owner_ctx = from->owner;
    config.app_ctx = options->ctx;
    quic_conn *conn = NULL;
    quic_rc rc = quic_endpoint_connect(local->ep, &conn, &config, rt_worker_now(local->worker));
    if (rc != QUIC_OK) {
        quring_status status = rt_status_of(rc);
        return rt_error_set(err, status, "no connection: %s", quring_status_text(status));
    }
    out->handle = rt_handle_public(local, quic_conn_handle(conn));
    return QURING_OK;
}

/* From a listener's own socket: its address is the connection's, its callback hears the events. */
static quring_status rt_connect_via(rt_connect_from *from, rt_local *local,
                                    const quring_connect_options *options, quring_error *err)
{
    rt_listen_slot *slot = rt_listener_slot(options->via, local->index);
    if (slot == NULL || slot->local != local) {
        return rt_error_set(err, QURING_E_INVAL, "via is a listener of another runtime");
    }
    quring_addr bound = quring_listener_local(options->via);
    from->owner = &slot->owner;
    from->bound = rt_addr_to_core(&bound);
    from->socket = slot->sockets[0];
    from->is_shared = slot->group->relays[0] != NULL;
    return QURING_OK;
}

static quring_status rt_connect_own(rt_connect_from *from, rt_local *local,
                                    const quring_connect_options *options, quring_error *err)
{
    quic_addr asked;
    if (options->local.family != 0) {
        asked = rt_addr_to_core(&options->local);
    } else {
        memset(&asked, 0, sizeof(asked));
        asked.family = rt_addr_to_core(&options->remote).family;
    }
    if (local->connect_owner_count >= local->connect_sweep_at) {
        rt_connect_sweep(local);
    }
    rt_connect_socket *sock = NULL;
    quring_status status = rt_connect_socket_get(&sock, local, &asked, NULL, err);
    if (status != QURING_OK) {
        return status;
    }
    rt_connect_owner *owner = rt_connect_owner_get(local, sock, options->on_event);
    if (owner == NULL) {
        return rt_error_set(err, QURING_E_NOMEM, "no memory for a connection");
    }
    from->owner = &owner->owner;
    from->bound = sock->bound;
    from->socket = sock->index;
    return QURING_OK;
}

quring_status quring_connect(quring_conn *out, const quring_connect_options *options,
                             quring_error *err)
{
    rt_error_clear(err);
    rt_local *local = rt_local_self;
    if (local == NULL || rt_local_stands_in) {
        return rt_error_set(err, QURING_E_THREAD,
                            "quring_connect belongs on a worker: see quring_post");
    }
    if (out == NULL || options == NULL) {
        return rt_error_set(err, QURING_E_INVAL, "%s is NULL", out == NULL ? "out" : "options");
    }
    /* Who connects anew when a connection has ended would keep the worker from its own end. */
    if (rt_worker_is_stopping(local->worker)) {
        return rt_error_set(err, QURING_E_STATE, "the runtime is being stopped");
    }
    quring_status status = rt_connect_check(options, err);
    if (status != QURING_OK) {
        return status;
    }
    rt_connect_warn_unverified(local->rt, options);
    rt_connect_warn_plain(local->rt, options);
    rt_connect_from from;
    memset(&from, 0, sizeof(from));
    status = options->via != NULL ? rt_connect_via(&from, local, options, err)
                                  : rt_connect_own(&from, local, options, err);
    return status == QURING_OK ? rt_connect_start(out, local, &from, options, err) : status;
}

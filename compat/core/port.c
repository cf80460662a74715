/* Local addresses: one listener of the engine for each, which sockets share; who among them gets a
 * client is decided here, by what the ClientHello asks for. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compat/core/sock.h"

#define QS_IDLE_PORTS_MAX 64u
#define QS_PORT_GRACE_NS                                                                           \
    (3 * QS_NS_PER_S) /* bound a moment longer: programs bind the address again */
#define QS_PORT_TIDY_NS (QS_NS_PER_S / 2)

#define QS_ERROR_NO_ALPN (QS_ERROR_CRYPTO + 120u) /* RFC 9001 8.1 no_application_protocol */

struct qs_port {
    struct qs_port *next;
    uintptr_t number; /* what the engine calls it: qs_port_on_pending */
    quring_listener *listener;
    quring_addr addr;
    qs_sock *listening; /* sockets, by listen_next */
    uint32_t refs;
    uint32_t turn; /* among equals */
    uint64_t idle_since_ns;
    bool is_auto;
    bool is_shared; /* with other processes */
};

/* `admin` orders what changes ports and may wait for workers; `lists` guards which there are, who listens and
 * the counts, and is all that a worker takes. */
static pthread_mutex_t qs_admin_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t qs_lists_lock = PTHREAD_MUTEX_INITIALIZER;
static qs_port *qs_ports; /* changed with both locks: either is enough to look */
static uintptr_t qs_port_last_number = 1;
static bool qs_ports_tidying; /* a thread does; with `lists` */

quring_listener *qs_port_listener(const qs_port *port)
{
    return port->listener;
}

quring_addr qs_port_addr(const qs_port *port)
{
    return port->addr;
}

/* ---- binding ---------------------------------------------------------------------------------------- */

/* All but `keep`, which is about to be used. */
static void qs_ports_sweep(uint64_t now, const qs_port *keep)
{
    qs_port **at = &qs_ports;
    uint32_t idle = 0;
    while (*at != NULL) {
        qs_port *port = *at;
        pthread_mutex_lock(&qs_lists_lock);
        bool old = port->refs == 0 && port != keep &&
                   (now > port->idle_since_ns + QS_PORT_GRACE_NS || ++idle > QS_IDLE_PORTS_MAX);
        if (old) {
            *at = port->next;
        }
        pthread_mutex_unlock(&qs_lists_lock);
        if (!old) {
            at = &port->next;
            continue;
        }
        quring_listener_close(port->listener); /* its sockets stay while connections need them */
        free(port);
    }
}

static int qs_port_make(qs_port **out, const quring_addr *addr, bool is_shared)
{
    int os_errno = 0;
    quring_runtime *rt = qs_runtime(&os_errno);
    if (rt == NULL) {
        return -os_errno;
    }
    qs_port *port = (qs_port *)calloc(1, sizeof(*port));
    if (port == NULL) {
        return -ENOMEM;
    }
    port->number = qs_port_last_number += 2;
    port->is_shared = is_shared;
    quring_listen_options options;
    quring_error err;
    memset(&options, 0, sizeof(options));
    options.local = *addr;
    options.on_event = qs_on_event;
    options.ctx = (void *)port->number;
    options.flags = QURING_LISTEN_EXTERNAL_TLS | QURING_LISTEN_PAUSED;
    options.flags |= is_shared ? QURING_LISTEN_SHARED : 0u;
    quring_status status = quring_listen(rt, &port->listener, &options, &err);
    if (status != QURING_OK) {
        free(port);
        return err.os_errno != 0 ? -err.os_errno : -qs_errno_of(status);
    }
    port->addr = quring_listener_local(port->listener);
    pthread_mutex_lock(&qs_lists_lock);
    port->next = qs_ports;
    qs_ports = port;
    pthread_mutex_unlock(&qs_lists_lock);
    *out = port;
    return 0;
}

/* The port itself, or one of the wildcard address that covers it. */
static qs_port *qs_port_find(const quring_addr *addr, bool is_auto)
{
    qs_port *covers = NULL;
    for (qs_port *p = qs_ports; p != NULL; p = p->next) {
        if (is_auto) {
            if (p->is_auto && p->addr.family == addr->family) {
                return p;
            }
            continue;
        }
        if (addr->port != 0 && qs_addr_equal(&p->addr, addr)) {
            return p;
        }
        bool wild = addr->port != 0 && p->addr.port == addr->port && qs_addr_is_any(&p->addr);
        covers = wild && p->addr.family == addr->family ? p : covers;
    }
    return covers;
}

/* `is_shared`: a port that has to be opened for it may be other processes', too. */
static int qs_port_get(qs_port **out, const quring_addr *addr, bool is_auto, bool is_shared)
{
    pthread_mutex_lock(&qs_admin_lock);
    qs_port *port = qs_port_find(addr, is_auto);
    qs_ports_sweep(qs_now_ns(), port);
    int rc = port != NULL ? 0 : qs_port_make(&port, addr, is_shared);
    if (rc == -ENOBUFS) { /* all places taken, some by ports that nobody uses any more */
        qs_ports_sweep(UINT64_MAX, NULL);
        rc = qs_port_make(&port, addr, is_shared);
    }
    if (rc == 0) {
        port->is_auto = port->is_auto || is_auto;
        pthread_mutex_lock(&qs_lists_lock);
        port->refs++;
        pthread_mutex_unlock(&qs_lists_lock);
        *out = port;
    }
    pthread_mutex_unlock(&qs_admin_lock);
    return rc;
}

static bool qs_port_shares(qs_sock *s)
{
    pthread_mutex_lock(&s->lock);
    bool shares = s->reuseport;
    qs_unlock(s);
    return shares;
}

int qs_port_bind(qs_sock *s, const quring_addr *addr)
{
    return qs_port_get(&s->port, addr, false, qs_port_shares(s));
}

int qs_port_take(qs_sock *s, qs_port **out, const quring_addr *addr)
{
    return qs_port_get(out, addr, false, qs_port_shares(s));
}

int qs_port_auto(qs_sock *s, uint8_t family)
{
    quring_addr any;
    memset(&any, 0, sizeof(any));
    any.family = family;
    return qs_port_get(&s->port, &any, true, false);
}

/* Another bind may never come, and other programs want the port: a thread that is there as long as ports are
 * idle. Workers close no listeners. */
static void *qs_ports_tidy(void *arg)
{
    const struct timespec pause = {0, (long)QS_PORT_TIDY_NS};
    (void)arg;
    (void)pthread_setname_np(pthread_self(), "quic-ports");
    for (bool goes_on = true; goes_on;) {
        (void)nanosleep(&pause, NULL);
        pthread_mutex_lock(&qs_admin_lock);
        qs_ports_sweep(qs_now_ns(), NULL);
        pthread_mutex_lock(&qs_lists_lock);
        goes_on = false;
        for (const qs_port *port = qs_ports; port != NULL && !goes_on; port = port->next) {
            goes_on = port->refs == 0;
        }
        qs_ports_tidying = goes_on;
        pthread_mutex_unlock(&qs_lists_lock);
        pthread_mutex_unlock(&qs_admin_lock);
    }
    return NULL;
}

void qs_port_drop(qs_port *port)
{
    pthread_mutex_lock(&qs_lists_lock); /* workers come here, too */
    if (--port->refs == 0) {
        port->idle_since_ns = qs_now_ns();
        if (!qs_ports_tidying) {
            qs_ports_tidying = qs_thread_start(qs_ports_tidy, NULL); /* else the next bind does */
        }
    }
    pthread_mutex_unlock(&qs_lists_lock);
}

/* ---- listening ---------------------------------------------------------------------------------------- */

/* How many clients whose address may be forged a socket has room for: half of its queue is for the others. */
static uint32_t qs_port_strangers_max(const qs_sock *s)
{
    return (s->backlog + 1) / 2;
}

/* What the engine does with strangers: the wishes of the sockets listening there, together. */
int qs_port_apply(qs_port *port)
{
    uint32_t flags = QURING_LISTEN_EXTERNAL_TLS | (port->is_shared ? QURING_LISTEN_SHARED : 0u);
    uint32_t strangers_max = UINT32_MAX;
    quring_limits limits;
    quring_error err;
    pthread_mutex_lock(&qs_admin_lock);
    pthread_mutex_lock(&qs_lists_lock);
    flags |= port->listening == NULL ? QURING_LISTEN_PAUSED : 0u;
    for (qs_sock *s = port->listening; s != NULL; s = s->listen_next) {
        pthread_mutex_lock(&s->lock);
        flags |= s->settings.validate_peer_address != 0 ? QURING_LISTEN_RETRY : 0u;
        const uint32_t max = qs_port_strangers_max(s);
        strangers_max = max < strangers_max ? max : strangers_max;
        if (s == port->listening) {
            qs_limits_of(s, &limits);
        }
        qs_unlock(s);
    }
    pthread_mutex_unlock(&qs_lists_lock);
    limits.unproved_retry = strangers_max; /* whose client it is, its ClientHello says */
    quring_status status = quring_listener_configure(
        port->listener, flags, (flags & QURING_LISTEN_PAUSED) != 0 ? NULL : &limits, &err);
    pthread_mutex_unlock(&qs_admin_lock);
    return status == QURING_OK ? 0 : -qs_errno_of(status);
}

/* The next name of a comma separated list; blanks before it do not count. */
static bool qs_alpn_next(const char **at, const char **name, size_t *len)
{
    const char *p = *at;
    while (*p == ' ' || *p == ',') {
        p++;
    }
    *name = p;
    *len = strcspn(p, ",");
    *at = p + *len;
    return *len > 0;
}

static bool qs_alpn_has(const char *list, const char *name, size_t len)
{
    const char *have;
    size_t have_len;
    while (qs_alpn_next(&list, &have, &have_len)) {
        if (have_len == len && memcmp(have, name, len) == 0) {
            return true;
        }
    }
    return false;
}

/* 0: nothing in common, 1: some, 2: all. */
static int qs_alpn_compare(const char *a, const char *b)
{
    const char *name;
    size_t len;
    uint32_t in_a = 0;
    uint32_t common = 0;
    uint32_t in_b = 0;
    for (const char *at = a; qs_alpn_next(&at, &name, &len);) {
        in_a++;
        common += qs_alpn_has(b, name, len) ? 1 : 0;
    }
    for (const char *at = b; qs_alpn_next(&at, &name, &len);) {
        in_b++;
    }
    if (in_a == 0 && in_b == 0) {
        return 2;
    }
    return common == 0 ? 0 : common == in_a && common == in_b ? 2 : 1;
}

/* draft section 3.1.3: on one address sockets differ in their protocols, or all allow sharing. */
int qs_port_listen(qs_sock *s)
{
    qs_port *port = s->port;
    int rc = 0;
    bool shares = qs_port_shares(s);
    pthread_mutex_lock(&qs_lists_lock);
    for (qs_sock *o = port->listening; o != NULL && rc == 0; o = o->listen_next) {
        int common = qs_addr_equal(&s->local, &o->local)
                         ? qs_alpn_compare((const char *)s->alpn, (const char *)o->alpn)
                         : 0;
        pthread_mutex_lock(&o->lock);
        bool both = shares && o->reuseport;
        qs_unlock(o);
        if (common == 1 || (common == 2 && !both)) {
            rc = -EADDRINUSE;
        }
    }
    if (rc == 0) {
        s->listen_next = port->listening;
        port->listening = s;
    }
    pthread_mutex_unlock(&qs_lists_lock);
    if (rc == 0) {
        rc = qs_port_apply(port);
        if (rc != 0) {
            qs_port_unlisten(s);
        }
    }
    return rc;
}

void qs_port_unlisten(qs_sock *s)
{
    pthread_mutex_lock(&qs_lists_lock);
    for (qs_sock **at = &s->port->listening; *at != NULL; at = &(*at)->listen_next) {
        if (*at == s) {
            *at = s->listen_next;
            break;
        }
    }
    pthread_mutex_unlock(&qs_lists_lock);
    (void)qs_port_apply(s->port);
}

/* ---- a client knocks ------------------------------------------------------------------------------------ */

/* How well a socket fits what a client offers: 0 not at all, 1 it asks for nothing, 2 a protocol of its;
 * more for one bound to just the address that was asked for. */
static int qs_fits(const qs_sock *s, const quring_client_hello *hello)
{
    quring_bytes offered = hello->alpn;
    bool wild = qs_addr_is_any(&s->local);
    if (!wild && (s->local.family != hello->local.family ||
                  memcmp(s->local.ip, hello->local.ip, s->local.family == 6 ? 16 : 4) != 0)) {
        return 0;
    }
    int exact = wild ? 0 : 2;
    if (s->alpn_len == 0) {
        return 1 + exact;
    }
    for (size_t at = 0; at < offered.len;) {
        size_t len = offered.data[at];
        if (len == 0 || len > offered.len - at - 1) {
            return 0;
        }
        if (qs_alpn_has((const char *)s->alpn, (const char *)offered.data + at + 1, len)) {
            return 2 + exact;
        }
        at += 1 + len;
    }
    return 0;
}

static qs_sock *qs_port_choose(qs_port *port, const quring_client_hello *hello)
{
    int best = 0;
    uint32_t count = 0;
    for (const qs_sock *s = port->listening; s != NULL; s = s->listen_next) {
        int fits = qs_fits(s, hello);
        count = fits > best ? 1 : fits == best ? count + 1 : count;
        best = fits > best ? fits : best;
    }
    if (best == 0) {
        return NULL;
    }
    uint32_t turn = port->turn++ % count;
    for (qs_sock *s = port->listening; s != NULL; s = s->listen_next) {
        if (qs_fits(s, hello) == best && turn-- == 0) {
            return s;
        }
    }
    return NULL;
}

/* A socket for the connection, at the end of the queue; NULL when that is full. *out_gone: those whose place it
 * could have; while there is room they stay, and whoever was told of a client finds one. */
static qs_sock *qs_port_enqueue(qs_sock *listener, qs_sock **out_gone, quring_conn conn,
                                const quring_client_hello *hello)
{
    quring_conn_info info;
    const bool known = quring_conn_get_info(conn, &info) == QURING_OK;
    qs_sock *s = qs_sock_new(listener->domain, listener->type, listener->protocol);
    if (s == NULL) {
        return NULL;
    }
    s->is_server = true;
    s->state = QS_CONNECTING;
    s->conn = conn;
    s->worker = quring_conn_worker(conn);
    s->local = hello->local;
    s->remote = hello->remote;
    s->next_id[0] = 1;
    s->next_id[1] = 3;
    s->opened_id[0] = 1;
    s->opened_id[1] = 3;
    pthread_mutex_lock(&listener->lock);
    if (listener->accept_count > listener->backlog) {
        *out_gone = qs_queue_take_gone(listener);
    }
    bool full = listener->state != QS_LISTENING || listener->accept_count > listener->backlog;
    if (!full) {
        qs_opts_inherit(s, listener);
        if (known) {
            s->settings.version = info.version; /* it is agreed on by now (RFC 9368 2.3) */
        }
        s->port = listener->port; /* it stays while there are connections, as its UDP sockets do */
        s->port->refs++;
        *(listener->accept_tail == NULL ? &listener->accept_head
                                        : &listener->accept_tail->accept_next) = s;
        listener->accept_tail = s;
        listener->accept_count++;
        qs_ref(s); /* the connection's; the queue has the first */
        qs_ready_arrival(listener);
        qs_wake(listener, QS_WAIT_RX);
    }
    qs_unlock(listener);
    if (full) {
        s->conn.handle = 0;
        qs_unref(s);
        return NULL;
    }
    return s;
}

void qs_port_on_pending(uintptr_t number, quring_conn conn)
{
    quring_client_hello hello;
    if (quring_handshake_client_hello(conn, &hello) != QURING_OK) {
        (void)quring_handshake_fail(conn, 50); /* decode_error */
        return;
    }
    pthread_mutex_lock(&qs_lists_lock);
    qs_port *port = qs_ports;
    while (port != NULL && port->number != number) {
        port = port->next;
    }
    qs_sock *listener = port != NULL ? qs_port_choose(port, &hello) : NULL;
    bool none_listens = port == NULL || port->listening == NULL;
    qs_sock *gone = NULL;
    qs_sock *s = listener != NULL ? qs_port_enqueue(listener, &gone, conn, &hello) : NULL;
    pthread_mutex_unlock(&qs_lists_lock);
    qs_queue_end(gone);
    if (s == NULL) {
        bool alpn = listener == NULL && !none_listens;
        (void)quring_handshake_refuse(conn, alpn ? QS_ERROR_NO_ALPN : QS_ERROR_REFUSED);
        return;
    }
    (void)quring_conn_set_ctx(conn, s);
    (void)quring_handshake_accept(conn);
}

void qs_ports_forked(void)
{
    pthread_mutex_init(&qs_admin_lock, NULL);
    pthread_mutex_init(&qs_lists_lock, NULL);
    qs_ports = NULL;
    qs_ports_tidying = false;
}

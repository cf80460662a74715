/* The life of a socket: created, bound, connected or accepted, closed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat/core/sock.h"

#define QS_BACKLOG_MAX  4096u
#define QS_EXIT_WAIT_NS (2 * QS_NS_PER_S)

static pthread_mutex_t qs_all_lock = PTHREAD_MUTEX_INITIALIZER;
static qs_sock *qs_all; /* every socket */
static uint32_t qs_next_worker;

/* ---- references ------------------------------------------------------------------------------------- */

qs_sock *qs_sock_new(int domain, int type, int protocol)
{
    qs_sock *s = (qs_sock *)calloc(1, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    s->kind = QS_KIND_SOCK;
    s->refs = 1;
    s->domain = domain;
    s->type = type;
    s->protocol = protocol;
    s->bell_fd = -1;
    s->app_fd = -1;
    s->active_id = QS_STREAM_ANY;
    s->next_id[0] = 0;
    s->next_id[1] = 2;
    s->opened_id[0] = 0;
    s->opened_id[1] = 2;
    pthread_mutex_init(&s->lock, NULL);
    qs_opts_defaults(s);
    pthread_mutex_lock(&qs_all_lock);
    s->all_next = qs_all;
    if (qs_all != NULL) {
        qs_all->all_prev = s;
    }
    qs_all = s;
    pthread_mutex_unlock(&qs_all_lock);
    return s;
}

void qs_ref(qs_sock *s)
{
    __atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
}

bool qs_ref_if_live(qs_sock *s)
{
    uint32_t refs = __atomic_load_n(&s->refs, __ATOMIC_RELAXED);
    while (refs != 0 && !__atomic_compare_exchange_n(&s->refs, &refs, refs + 1, true,
                                                     __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
    }
    return refs != 0;
}

static void qs_sock_free(qs_sock *s)
{
    pthread_mutex_lock(&qs_all_lock);
    *(s->all_prev == NULL ? &qs_all : &s->all_prev->all_next) = s->all_next;
    if (s->all_next != NULL) {
        s->all_next->all_prev = s->all_prev;
    }
    pthread_mutex_unlock(&qs_all_lock);
    qs_rx_drop_all(s);
    qs_streams_free(s);
    qs_dgram_free(s);
    if (s->port != NULL) {
        qs_port_drop(s->port);
    }
    if (s->preferred_port != NULL) {
        qs_port_drop(s->preferred_port);
    }
    if (s->bell_fd >= 0) {
        qs_watch_close(s->bell_fd);
    }
    quring_tls_session_destroy(s->session);
    free(s->token_blob.data);
    free(s->late.data);
    qs_blob_wipe(&s->ticket);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void qs_unref(qs_sock *s)
{
    if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        qs_sock_free(s);
    }
}

/* ---- one at a time ---------------------------------------------------------------------------------------- */

/* What changes the address or the role of a socket waits for workers, without its lock. */
static void qs_setup_begin(qs_sock *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->in_setup) {
        (void)qs_wait(s, QS_WAIT_ALL, 0, NULL);
    }
    s->in_setup = true;
    qs_unlock(s);
}

static void qs_stop_listening(qs_sock *s);

static void qs_setup_end(qs_sock *s)
{
    pthread_mutex_lock(&s->lock);
    bool stop = s->app_closed && s->state == QS_LISTENING; /* close did not wait for us */
    s->in_setup = stop;
    qs_wake(s, QS_WAIT_ALL);
    qs_unlock(s);
    if (stop) {
        qs_stop_listening(s);
        pthread_mutex_lock(&s->lock);
        s->in_setup = false;
        qs_wake(s, QS_WAIT_ALL);
        qs_unlock(s);
    }
}

/* ---- create, bind, listen ---------------------------------------------------------------------------------- */

int qs_op_create(qs_sock **out, int domain, int type, int protocol)
{
    int os_errno = 0;
    if (qs_runtime(&os_errno) == NULL) {
        return -os_errno;
    }
    *out = qs_sock_new(domain, type, protocol);
    return *out != NULL ? 0 : -ENOMEM;
}

static bool qs_is_multicast(const quring_addr *a)
{
    return a->family == 6 ? a->ip[0] == 0xff : (a->ip[0] & 0xf0) == 0xe0;
}

/* An address for this socket's family, as bind and connect take it. */
static int qs_addr_for(const qs_sock *s, quring_addr *out, const struct sockaddr *addr,
                       socklen_t len)
{
    int rc = qs_addr_in(out, addr, len);
    if (rc != 0) {
        return -EINVAL;
    }
    if (s->domain == AF_INET && addr->sa_family != AF_INET) {
        return -EINVAL;
    }
    if (s->domain == AF_INET6 && out->family == 4 && s->v6only) {
        return -EINVAL;
    }
    return qs_is_multicast(out) ? -EINVAL : 0;
}

static int qs_bind(qs_sock *s, const struct sockaddr *addr, socklen_t len)
{
    quring_addr want;
    pthread_mutex_lock(&s->lock);
    int rc = qs_addr_for(s, &want, addr, len);
    if (rc == 0 && (s->bound || s->state != QS_FRESH)) {
        rc = -EINVAL; /* draft section 3.1.2: once */
    }
    if (rc == 0) {
        s->bound = true;
    }
    qs_unlock(s);
    if (rc != 0) {
        return rc;
    }
    rc = qs_port_bind(s, &want); /* may wait for the workers */
    pthread_mutex_lock(&s->lock);
    s->bound = rc == 0;
    if (rc == 0) {
        quring_addr at = qs_port_addr(s->port);
        want.port = at.port;
        s->local = want; /* the port may be that of all addresses */
    }
    qs_unlock(s);
    return rc;
}

int qs_op_bind(qs_sock *s, const struct sockaddr *addr, socklen_t len)
{
    qs_setup_begin(s);
    int rc = qs_bind(s, addr, len);
    qs_setup_end(s);
    return rc;
}

static void qs_refuse_queued(qs_sock *s)
{
    pthread_mutex_lock(&s->lock);
    qs_sock *list = s->accept_head;
    s->accept_head = NULL;
    s->accept_tail = NULL;
    s->accept_count = 0;
    qs_unlock(s);
    while (list != NULL) {
        qs_sock *next = list->accept_next;
        qs_op_close(list);
        qs_unref(list);
        list = next;
    }
}

static void qs_stop_listening(qs_sock *s)
{
    qs_port_unlisten(s);
    pthread_mutex_lock(&s->lock);
    s->state = QS_FRESH;
    qs_wake(s, QS_WAIT_ALL);
    qs_unlock(s);
    qs_refuse_queued(s);
    pthread_mutex_lock(&s->lock);
    qs_ready_update(s);
    qs_unlock(s);
}

static int qs_listen(qs_sock *s, int backlog)
{
    pthread_mutex_lock(&s->lock);
    qs_state state = (qs_state)s->state;
    bool bound = s->bound;
    if (state == QS_LISTENING && backlog != 0) {
        s->backlog =
            backlog < 0 || (uint32_t)backlog > QS_BACKLOG_MAX ? QS_BACKLOG_MAX : (uint32_t)backlog;
    }
    qs_unlock(s);
    if (state == QS_LISTENING) {
        if (backlog == 0) {
            qs_stop_listening(s);
        }
        return 0;
    }
    if (state != QS_FRESH || backlog == 0) {
        return -EINVAL;
    }
    if (!bound) {
        struct sockaddr_storage any;
        memset(&any, 0, sizeof(any));
        any.ss_family = (sa_family_t)s->domain;
        int rc = qs_bind(s, (const struct sockaddr *)&any, sizeof(any));
        if (rc != 0) {
            return rc;
        }
    }
    pthread_mutex_lock(&s->lock);
    s->backlog =
        backlog < 0 || (uint32_t)backlog > QS_BACKLOG_MAX ? QS_BACKLOG_MAX : (uint32_t)backlog;
    s->state = QS_LISTENING;
    s->is_server = true;
    qs_unlock(s);
    int rc = qs_port_listen(s);
    pthread_mutex_lock(&s->lock);
    if (rc != 0) {
        s->state = QS_FRESH;
    }
    qs_ready_update(s);
    qs_fix_now(s); /* a listener is never writable */
    qs_unlock(s);
    return rc;
}

int qs_op_listen(qs_sock *s, int backlog)
{
    qs_setup_begin(s);
    int rc = qs_listen(s, backlog);
    qs_setup_end(s);
    return rc;
}

int qs_op_accept(qs_sock *s, qs_sock **out, struct sockaddr *addr, socklen_t *len)
{
    int wrong = addr != NULL ? qs_addr_room(addr, len) : 0;
    if (wrong != 0) {
        return wrong;
    }
    pthread_mutex_lock(&s->lock);
    const qs_hold hold = {NULL, false};
    uint64_t deadline = s->rcvtimeo_ns != 0 ? qs_now_ns() + s->rcvtimeo_ns : 0;
    int rc = 0;
    while (rc == 0 && s->accept_head == NULL) {
        rc = s->state != QS_LISTENING || s->app_closed ? -EINVAL
             : s->nonblock                             ? -EAGAIN
                                                       : qs_wait(s, QS_WAIT_RX, deadline, &hold);
    }
    if (rc == -EAGAIN) {
        qs_fix_now(s);
    }
    qs_sock *conn = rc == 0 ? s->accept_head : NULL;
    if (conn != NULL) {
        s->accept_head = conn->accept_next;
        if (s->accept_head == NULL) {
            s->accept_tail = NULL;
        }
        conn->accept_next = NULL;
        s->accept_count--;
        qs_ready_update(s);
    }
    qs_unlock(s);
    if (conn == NULL) {
        return rc;
    }
    if (addr != NULL) {
        pthread_mutex_lock(&conn->lock); /* its worker may see it move */
        qs_addr_out(addr, len, &conn->remote);
        qs_unlock(conn);
    }
    *out = conn;
    return 0;
}

void qs_op_unaccept(qs_sock *s, qs_sock *conn)
{
    pthread_mutex_lock(&s->lock);
    bool listens = s->state == QS_LISTENING;
    if (listens) {
        conn->accept_next = s->accept_head;
        s->accept_head = conn;
        if (s->accept_tail == NULL) {
            s->accept_tail = conn;
        }
        s->accept_count++;
        qs_ready_update(s);
    }
    qs_unlock(s);
    if (!listens) { /* the queue it came from is gone */
        qs_op_close(conn);
        qs_unref(conn);
    }
}

/* ---- connect ------------------------------------------------------------------------------------------------- */

static int qs_connect(qs_sock *s, const struct sockaddr *addr, socklen_t len)
{
    quring_addr remote;
    quring_addr source;
    sa_family_t family = AF_UNSPEC;
    if (addr != NULL && len >= sizeof(family)) {
        memcpy(&family, &addr->sa_family, sizeof(family));
    }
    if (addr != NULL && len >= sizeof(family) && family == AF_UNSPEC) {
        return -EOPNOTSUPP;
    }
    pthread_mutex_lock(&s->lock);
    int rc = qs_addr_for(s, &remote, addr, len);
    if (rc == 0 && (s->state != QS_FRESH || remote.port == 0 || qs_addr_is_any(&remote))) {
        rc = -EINVAL;
    }
    bool bound = s->bound;
    qs_unlock(s);
    if (rc == 0) {
        rc = qs_addr_route(&source, &remote);
    }
    if (rc == 0 && !bound) {
        rc = qs_port_auto(s, remote.family);
    }
    if (rc != 0) {
        return rc;
    }
    pthread_mutex_lock(&s->lock);
    s->remote = remote;
    quring_addr at = bound ? s->local : qs_port_addr(s->port);
    if (qs_addr_is_any(&at)) {
        source.port = at.port;
        at = source;
    }
    s->local = at;
    s->bound = true;
    s->state = QS_CONNECTING;
    s->worker = __atomic_fetch_add(&qs_next_worker, 1, __ATOMIC_RELAXED) % qs_worker_count();
    qs_ready_update(s);
    qs_unlock(s);
    return 0;
}

int qs_op_connect(qs_sock *s, const struct sockaddr *addr, socklen_t len)
{
    qs_setup_begin(s);
    int rc = qs_connect(s, addr, len);
    qs_setup_end(s);
    return rc;
}

typedef struct qs_connect_task {
    qs_sock *s;
    quring_limits limits;
    uint8_t token[QS_TOKEN_LEN_MAX];
    size_t token_len;
    int rc;
} qs_connect_task;

/* Whether a client may, and still has to, get its connection; lock held. */
static bool qs_may_get_conn(const qs_sock *s)
{
    return s->state == QS_CONNECTING && !s->is_server && !s->conn_over && !s->app_closed;
}

static void qs_connect_run(void *ctx)
{
    qs_connect_task *task = (qs_connect_task *)ctx;
    qs_sock *s = task->s;
    pthread_mutex_lock(&s->lock);
    bool there = s->conn.handle != 0; /* another thread was faster */
    bool able = qs_may_get_conn(s);
    qs_unlock(s);
    if (there || !able) {
        task->rc = there ? 0 : -EINVAL;
        return;
    }
    quring_connect_options options;
    quring_error err;
    quring_conn conn = {0};
    memset(&options, 0, sizeof(options));
    options.remote = s->remote;
    options.via = qs_port_listener(s->port);
    options.external_tls = true;
    options.limits = &task->limits;
    options.token.data = task->token;
    options.token.len = task->token_len;
    options.ctx = s;
    quring_status status = quring_connect(&conn, &options, &err);
    task->rc = status == QURING_OK ? 0 : -(err.os_errno != 0 ? err.os_errno : qs_errno_of(status));
    if (status == QURING_OK) {
        pthread_mutex_lock(&s->lock);
        s->conn = conn;
        qs_ref(s);
        qs_unlock(s);
        qs_work(s); /* what was asked for before there was a connection */
    }
}

int qs_ensure_conn(qs_sock *s)
{
    qs_connect_task task;
    task.s = s;
    task.rc = 0;
    pthread_mutex_lock(&s->lock);
    bool there = s->conn.handle != 0;
    bool able = qs_may_get_conn(s);
    uint32_t worker = s->worker;
    qs_limits_of(s, &task.limits);
    task.token_len = s->token_blob.len;
    if (task.token_len > 0) {
        memcpy(task.token, s->token_blob.data, task.token_len);
    }
    qs_unlock(s);
    if (there) {
        return 0;
    }
    if (!able) {
        return -EINVAL;
    }
    int rc = qs_call(worker, qs_connect_run, &task);
    return rc != 0 ? rc : task.rc;
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

int qs_op_getname(qs_sock *s, bool peer, struct sockaddr *addr, socklen_t *len)
{
    int rc = addr == NULL ? -EFAULT : qs_addr_room(addr, len);
    if (rc != 0) {
        return rc;
    }
    pthread_mutex_lock(&s->lock);
    quring_addr name = peer ? s->remote : s->local;
    if (peer && (s->state < QS_CONNECTING || s->state == QS_CLOSED)) {
        rc = -ENOTCONN;
    } else if (name.family == 0) {
        memset(&name, 0, sizeof(name));
        name.family = s->domain == AF_INET6 ? 6 : 4;
    }
    qs_unlock(s);
    if (rc == 0) {
        qs_addr_out(addr, len, &name);
    }
    return rc;
}

/* ---- the end ------------------------------------------------------------------------------------------------------ */

/* False: another thread has ended it. */
static bool qs_end_listening(qs_sock *s)
{
    qs_setup_begin(s);
    pthread_mutex_lock(&s->lock);
    bool listening = s->state == QS_LISTENING;
    qs_unlock(s);
    if (listening) {
        qs_stop_listening(s);
    }
    qs_setup_end(s);
    return listening;
}

int qs_op_shutdown(qs_sock *s, int how)
{
    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) {
        return -EINVAL;
    }
    pthread_mutex_lock(&s->lock);
    qs_state state = (qs_state)s->state;
    qs_unlock(s);
    if (state == QS_LISTENING && how != SHUT_WR) {
        return qs_end_listening(s) ? 0 : -ENOTCONN;
    }
    if (state == QS_FRESH || state == QS_LISTENING) {
        return -ENOTCONN;
    }
    pthread_mutex_lock(&s->lock);
    int rc = 0;
    if (state == QS_CLOSED && !s->shut_wr) {
        rc = -ENOTCONN;
    } else {
        if (how != SHUT_WR) {
            s->shut_rd = true;
            qs_rx_drop_all(s);
            qs_kick(s, QS_ASK_RX); /* what found no room is dropped, too: its sender goes on */
        }
        if (how != SHUT_RD) {
            s->shut_wr = true;
            qs_kick(s, QS_ASK_CLOSE);
        }
        qs_ready_update(s);
        qs_wake(s, QS_WAIT_ALL);
    }
    qs_unlock(s);
    return rc;
}

void qs_op_close(qs_sock *s)
{
    pthread_mutex_lock(&s->lock);
    bool listening = s->state == QS_LISTENING && !s->in_setup; /* else who sets it up sees to it */
    s->in_setup = s->in_setup || listening;
    s->app_closed = true;
    s->app_fd = -1;
    qs_unlock(s);
    if (listening) {
        qs_setup_end(s);
    }
    qs_fix_forget(s);
    pthread_mutex_lock(&s->lock);
    qs_rx_drop_all(s);
    bool at_once = s->linger_on && s->linger_s == 0;
    if (s->conn.handle != 0 && !s->shut_wr) {
        qs_kick(s, at_once ? QS_ASK_ABORT : QS_ASK_CLOSE);
    }
    if (s->linger_on && s->linger_s > 0) {
        uint64_t deadline = qs_now_ns() + (uint64_t)s->linger_s * QS_NS_PER_S;
        while (!s->conn_over && s->conn.handle != 0 &&
               qs_wait(s, QS_WAIT_ALL, deadline, NULL) != -EAGAIN) {
        }
    }
    qs_wake(s, QS_WAIT_ALL);
    qs_unlock(s);
}

void qs_op_exit(void)
{
    uint64_t deadline = qs_now_ns() + QS_EXIT_WAIT_NS;
    pthread_mutex_lock(&qs_all_lock);
    for (qs_sock *s = qs_all; s != NULL; s = s->all_next) {
        pthread_mutex_lock(&s->lock);
        if (s->conn.handle != 0 && !s->shut_wr && !s->app_closed) {
            qs_kick(s, QS_ASK_CLOSE);
        }
        qs_unlock(s);
    }
    pthread_mutex_unlock(&qs_all_lock);
    for (bool busy = true; busy && qs_now_ns() < deadline;) {
        busy = false;
        pthread_mutex_lock(&qs_all_lock);
        for (qs_sock *s = qs_all; s != NULL && !busy; s = s->all_next) {
            pthread_mutex_lock(&s->lock);
            busy = s->conn.handle != 0;
            qs_unlock(s);
        }
        pthread_mutex_unlock(&qs_all_lock);
        if (busy) {
            usleep(500);
        }
    }
    quring_runtime *rt = qs_runtime_if_any();
    if (rt != NULL) {
        quring_runtime_stop(rt, 0, QS_NS_PER_S);
    }
}

/* Threads are not copied and what they held is in no known state: nothing of it is used again, its memory
 * goes with the child. */
void qs_op_forked(void)
{
    pthread_mutex_init(&qs_all_lock, NULL);
    qs_all = NULL;
    qs_watch_forked();
    qs_ready_forked();
    qs_ports_forked();
    qs_runtime_forked();
}

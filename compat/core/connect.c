/* connect (draft section 3.1.5), and the engine's connection, which begins later. */
#include <errno.h>
#include <string.h>

#include "compat/core/life.h"

static uint32_t qs_next_worker;

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
    uint32_t version_listed;
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
    options.version_listed = task->version_listed;
    options.ctx = s;
    quring_status status = quring_connect(&conn, &options, &err);
    task->rc = status == QURING_OK ? 0 : -(err.os_errno != 0 ? err.os_errno : qs_errno_of(status));
    if (status == QURING_OK) {
        pthread_mutex_lock(&s->lock);
        s->conn = conn;
        quring_conn_info info;
        if (quring_conn_get_info(conn, &info) == QURING_OK) {
            s->settings.version = info.version; /* a token leads to its own (RFC 9369 5) */
        }
        qs_ref(s);
        if (s->app_closed) { /* since then: it found no connection to close */
            s->asked |= QS_ASK_CLOSE;
        }
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
    task.version_listed = s->version_listed;
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

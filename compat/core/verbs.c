/* What a program asks of its connection by options without a value of their own: to move, to change keys,
 * to give a token. Where the handshake is not confirmed yet the wish waits for that. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "compat/core/layout.h"
#include "compat/core/sock.h"

#define QS_LATER_STEP_NS     (2 * QS_NS_PER_MS)
#define QS_LATER_PATIENCE_NS (3 * QS_NS_PER_S)
#define QS_LATER_LONGEST_NS  (60 * QS_NS_PER_S)

typedef quring_status (*qs_verb_fn)(qs_sock *s, quring_conn conn);

typedef struct qs_verb_task {
    qs_sock *s;
    qs_verb_fn fn;
    quring_status status;
} qs_verb_task;

static void qs_verb_run(void *ctx)
{
    qs_verb_task *task = (qs_verb_task *)ctx;
    pthread_mutex_lock(&task->s->lock);
    quring_conn conn = task->s->conn;
    qs_unlock(task->s);
    task->status = conn.handle == 0 ? QURING_E_STATE : task->fn(task->s, conn);
}

static int qs_verb(qs_sock *s, qs_verb_fn fn, quring_status *out)
{
    qs_verb_task task = {s, fn, QURING_E_STATE};
    int rc = qs_call(s->worker, qs_verb_run, &task);
    *out = task.status;
    return rc;
}

/* ---- keys and moves, now or a little later ----------------------------------------------------------- */

static bool qs_is_confirmed(quring_conn conn)
{
    quring_conn_info info;
    return quring_conn_get_info(conn, &info) == QURING_OK && info.confirmed;
}

/* Both answer QURING_E_AGAIN only when it is worth while to ask again without the program's help. */
static quring_status qs_try_keys(qs_sock *s, quring_conn conn)
{
    (void)s;
    return quring_conn_update_keys(conn);
}

static quring_status qs_try_move(qs_sock *s, quring_conn conn)
{
    pthread_mutex_lock(&s->lock);
    quring_addr to = s->move_to;
    qs_unlock(s);
    quring_status status = quring_conn_migrate(conn, &to);
    bool early = status == QURING_E_STATE && !qs_is_confirmed(conn);
    return early || status == QURING_E_LIMIT ? QURING_E_AGAIN : status;
}

/* The last keys are kept for three probe timeouts (RFC 9001 6.5), which on a slow path are more than seconds; and what
 * has to be confirmed or acknowledged before may have to be sent again. */
static uint64_t qs_later_patience(quring_conn conn)
{
    const uint64_t probes = 2 * qs_three_probes_ns(conn);
    const uint64_t patience = probes > QS_LATER_PATIENCE_NS ? probes : QS_LATER_PATIENCE_NS;
    return patience < QS_LATER_LONGEST_NS ? patience : QS_LATER_LONGEST_NS;
}

static void qs_later_run(void *ctx)
{
    qs_sock *s = (qs_sock *)ctx;
    pthread_mutex_lock(&s->lock);
    quring_conn conn = s->conn;
    uint32_t later = s->later;
    const uint64_t asked_ns = s->later_asked_ns;
    qs_unlock(s);
    bool over = conn.handle == 0 || qs_now_ns() >= asked_ns + qs_later_patience(conn);
    uint32_t left = 0;
    if ((later & QS_LATER_KEYS) != 0 && !over && qs_try_keys(s, conn) == QURING_E_AGAIN) {
        left |= QS_LATER_KEYS;
    }
    quring_status moved = QURING_OK;
    if ((later & QS_LATER_MOVE) != 0) {
        moved = over ? QURING_E_STATE : qs_try_move(s, conn);
        left |= moved == QURING_E_AGAIN ? QS_LATER_MOVE : 0u;
    }
    pthread_mutex_lock(&s->lock);
    s->later = (s->later & ~later) | left;
    s->moving = s->moving && (moved == QURING_OK || moved == QURING_E_AGAIN);
    s->keys_pending = s->keys_pending && !over;
    bool again = s->later != 0;
    s->later_runs = again;
    qs_unlock(s);
    uint64_t id = 0;
    if (!again || quring_timer(&id, qs_now_ns() + QS_LATER_STEP_NS, qs_later_run, s) != QURING_OK) {
        qs_unref(s);
    }
}

/* Lock held. 0, or -EAGAIN: the worker's mailbox is full. */
static int qs_do_later(qs_sock *s, uint32_t what)
{
    s->later_asked_ns = qs_now_ns();
    if (!s->later_runs) {
        qs_ref(s);
        if (quring_post(qs_runtime_if_any(), s->worker, qs_later_run, s) != QURING_OK) {
            qs_unref(s);
            return -EAGAIN;
        }
        s->later_runs = true;
    }
    s->later |= what;
    return 0;
}

/* draft section 6.3.4 */
int qs_verb_update_keys(qs_sock *s)
{
    quring_status status = QURING_OK;
    pthread_mutex_lock(&s->lock);
    int rc = s->state != QS_ESTABLISHED ? (s->protocol == QS_PROTO_KERNEL ? -EPIPE : -EINVAL)
             : s->keys_pending          ? -EINVAL
                                        : 0;
    s->keys_pending = s->keys_pending || rc == 0;
    qs_unlock(s);
    rc = rc == 0 ? qs_verb(s, qs_try_keys, &status) : rc;
    if (rc != 0 || status == QURING_OK) {
        return rc;
    }
    pthread_mutex_lock(&s->lock);
    /* AGAIN: not confirmed, or the last keys are still kept */
    rc = status == QURING_E_AGAIN ? qs_do_later(s, QS_LATER_KEYS) : -EINVAL;
    s->keys_pending = rc == 0;
    qs_unlock(s);
    return rc;
}

void qs_on_keys_updated(qs_sock *s, uint8_t phase)
{
    s->keys_pending = false;
    qs_rx_push_event(s, QS_EVENT_KEY_UPDATE, &phase, sizeof(phase));
}

/* ---- moving --------------------------------------------------------------------------------------------- */

/* A client's wish, after the handshake; lock held. */
static int qs_may_move(const qs_sock *s, const quring_addr *to)
{
    if (s->is_server || s->state != QS_ESTABLISHED || to->port == 0 ||
        to->family != s->remote.family || qs_addr_equal(to, &s->local) ||
        s->remote_params.disable_active_migration) {
        return -EINVAL; /* RFC 9000 9: clients move, and only where they are allowed to */
    }
    return !s->moving ? 0 : s->protocol == QS_PROTO_KERNEL ? -EAGAIN : -EINVAL;
}

static int qs_move(qs_sock *s, const quring_addr *to)
{
    quring_status status = QURING_OK;
    pthread_mutex_lock(&s->lock);
    int rc = qs_may_move(s, to);
    if (rc == 0) {
        s->moving = true;
        s->move_to = *to;
    }
    qs_unlock(s);
    rc = rc == 0 ? qs_verb(s, qs_try_move, &status) : rc;
    if (rc != 0 || status == QURING_OK) {
        return rc;
    }
    pthread_mutex_lock(&s->lock);
    rc = status == QURING_E_AGAIN   ? qs_do_later(s, QS_LATER_MOVE)
         : status == QURING_E_OS    ? -EADDRNOTAVAIL
         : status == QURING_E_NOMEM ? -ENOMEM
                                    : -EINVAL;
    s->moving = rc == 0;
    qs_unlock(s);
    return rc;
}

static quring_status qs_try_prefer(qs_sock *s, quring_conn conn)
{
    const quring_addr *to = &s->move_to;
    return quring_handshake_set_preferred(conn, to->family == 4 ? to : NULL,
                                          to->family == 6 ? to : NULL);
}

/* A server's, before the handshake: its preferred address (RFC 9000 9.6). */
static int qs_prefer(qs_sock *s, const quring_addr *to)
{
    quring_status status = QURING_OK;
    pthread_mutex_lock(&s->lock);
    bool able = s->state == QS_CONNECTING && s->preferred_port == NULL && to->port != 0 &&
                !qs_addr_is_any(to) && !qs_addr_equal(to, &s->local);
    qs_unlock(s);
    qs_port *port = NULL;
    int rc = able ? qs_port_take(s, &port, to) : -EINVAL;
    if (rc != 0) {
        return rc;
    }
    pthread_mutex_lock(&s->lock);
    able = s->preferred_port == NULL;
    if (able) {
        s->preferred_port = port; /* as long as the socket lives */
        s->move_to = *to;
    }
    qs_unlock(s);
    if (!able) {
        qs_port_drop(port); /* another thread was faster */
        return -EINVAL;
    }
    rc = qs_verb(s, qs_try_prefer, &status);
    return rc != 0 ? rc : -qs_errno_of(status);
}

/* draft section 6.3.3 */
int qs_verb_migrate(qs_sock *s, const void *value, size_t len)
{
    struct sockaddr_storage addr;
    quring_addr to;
    if (len > sizeof(addr)) {
        return -EINVAL;
    }
    memset(&addr, 0, sizeof(addr));
    memcpy(&addr, value, len);
    if (qs_addr_in(&to, (const struct sockaddr *)&addr, (socklen_t)len) != 0 ||
        (s->domain == AF_INET && addr.ss_family != AF_INET)) {
        return -EINVAL;
    }
    pthread_mutex_lock(&s->lock);
    bool prefer = s->is_server && s->state == QS_CONNECTING;
    qs_unlock(s);
    return prefer ? qs_prefer(s, &to) : qs_move(s, &to);
}

void qs_on_path_changed(qs_sock *s)
{
    quring_conn_info info;
    if (quring_conn_get_info(s->conn, &info) != QURING_OK) {
        return;
    }
    bool any = qs_addr_is_any(&info.local);
    uint8_t ours = any ? info.local.port != s->local.port : !qs_addr_equal(&info.local, &s->local);
    s->remote = info.remote;
    if (!any) {
        s->local = info.local;
    } else if (info.local.family != s->local.family) {
        quring_addr source; /* of the socket's address only the port is known */
        s->local = qs_addr_route(&source, &info.remote) == 0 ? source : info.local;
    }
    s->local.port = info.local.port;
    s->moving = false;
    qs_rx_push_event(s, QS_EVENT_CONNECTION_MIGRATION, &ours, sizeof(ours));
}

/* ---- tokens ------------------------------------------------------------------------------------------------ */

static quring_status qs_try_token(qs_sock *s, quring_conn conn)
{
    (void)s;
    return quring_conn_give_token(conn);
}

/* draft section 6.1.4: a server's TOKEN option without a value. */
int qs_verb_give_token(qs_sock *s)
{
    quring_status status = QURING_OK;
    pthread_mutex_lock(&s->lock);
    bool able = s->is_server && s->state == QS_ESTABLISHED;
    qs_unlock(s);
    int rc = able ? qs_verb(s, qs_try_token, &status) : -EINVAL;
    return rc != 0 ? rc : status == QURING_OK ? 0 : status == QURING_E_AGAIN ? -EAGAIN : -EINVAL;
}

/* bind, listen and accept (draft sections 3.1.2 to 3.1.4). */
#include <errno.h>
#include <string.h>

#include "compat/core/life.h"

#define QS_BACKLOG_MAX 4096u

static bool qs_is_multicast(const quring_addr *a)
{
    return a->family == 6 ? a->ip[0] == 0xff : (a->ip[0] & 0xf0) == 0xe0;
}

int qs_addr_for(const qs_sock *s, quring_addr *out, const struct sockaddr *addr, socklen_t len)
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

void qs_queue_end(qs_sock *list)
{
    while (list != NULL) {
        qs_sock *next = list->accept_next;
        pthread_mutex_lock(&list->lock);
        list->linger_on = false; /* the program has not seen it, and a worker may be here */
        qs_unlock(list);
        qs_op_close(list);
        qs_unref(list);
        list = next;
    }
}

qs_sock *qs_queue_take_gone(qs_sock *s)
{
    qs_sock *gone = NULL;
    qs_sock **at = &s->accept_head;
    s->accept_tail = NULL;
    while (*at != NULL) {
        qs_sock *conn = *at;
        pthread_mutex_lock(&conn->lock);
        bool over = conn->conn_over;
        qs_unlock(conn);
        if (over) {
            *at = conn->accept_next;
            s->accept_count--;
            conn->accept_next = gone;
            gone = conn;
        } else {
            s->accept_tail = conn;
            at = &conn->accept_next;
        }
    }
    return gone;
}

static void qs_refuse_queued(qs_sock *s)
{
    pthread_mutex_lock(&s->lock);
    qs_sock *list = s->accept_head;
    s->accept_head = NULL;
    s->accept_tail = NULL;
    s->accept_count = 0;
    qs_unlock(s);
    qs_queue_end(list);
}

/* The port knows it no more. */
static void qs_listening_over(qs_sock *s)
{
    pthread_mutex_lock(&s->lock);
    s->state = QS_FRESH;
    s->is_server = false; /* it may connect */
    s->unlistened = true;
    qs_wake(s, QS_WAIT_ALL);
    qs_unlock(s);
    qs_refuse_queued(s);
    pthread_mutex_lock(&s->lock);
    qs_ready_update(s);
    qs_unlock(s);
}

void qs_stop_listening(qs_sock *s)
{
    qs_port_unlisten(s);
    qs_listening_over(s);
}

static int qs_listen(qs_sock *s, int backlog)
{
    const uint32_t max =
        backlog < 0 || (uint32_t)backlog > QS_BACKLOG_MAX ? QS_BACKLOG_MAX : (uint32_t)backlog;
    pthread_mutex_lock(&s->lock);
    qs_state state = (qs_state)s->state;
    bool bound = s->bound;
    if (state == QS_LISTENING && backlog != 0) {
        s->backlog = max;
    }
    qs_unlock(s);
    if (state == QS_LISTENING && backlog != 0) {
        return qs_port_apply(s->port);
    }
    if (state == QS_LISTENING) {
        qs_stop_listening(s);
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
    s->backlog = max;
    s->state = QS_LISTENING;
    s->is_server = true;
    s->unlistened = false;
    qs_unlock(s);
    int rc = qs_port_listen(s);
    if (rc != 0) {
        qs_listening_over(s); /* a client may have come all the same */
    }
    pthread_mutex_lock(&s->lock);
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
        qs_wake(s, QS_WAIT_RX); /* who found the queue empty meanwhile */
    }
    qs_unlock(s);
    if (!listens) { /* the queue it came from is gone */
        qs_queue_end(conn);
    }
}

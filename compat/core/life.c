/* The life of a socket: made, referred to, closed. */
#include "compat/core/life.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat/core/behalf.h"

#define QS_EXIT_WAIT_NS (2 * QS_NS_PER_S)

static pthread_mutex_t qs_all_lock = PTHREAD_MUTEX_INITIALIZER;
static qs_sock *qs_all; /* every socket */

/* ---- references ------------------------------------------------------------------------------------- */

qs_sock *qs_sock_new(int domain, int type, int protocol)
{
    qs_sock *s = (qs_sock *)calloc(1, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    s->refs = 1;
    s->domain = domain;
    s->type = type;
    s->protocol = protocol;
    s->bell_fd = -1;
    s->app_fd = -1;
    s->active_id = QS_STREAM_ANY;
    s->starved_id = QS_STREAM_ANY;
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

int qs_op_create(qs_sock **out, int domain, int type, int protocol)
{
    int os_errno = 0;
    if (qs_runtime(&os_errno) == NULL) {
        return -os_errno;
    }
    *out = qs_sock_new(domain, type, protocol);
    return *out != NULL ? 0 : -ENOMEM;
}

/* ---- one at a time ---------------------------------------------------------------------------------------- */

void qs_setup_begin(qs_sock *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->in_setup) {
        (void)qs_wait(s, QS_WAIT_ALL, 0, NULL);
    }
    s->in_setup = true;
    qs_unlock(s);
}

void qs_setup_end(qs_sock *s)
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

/* ---- the end ----------------------------------------------------------------------------------------------------- */

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

static void qs_nothing(void *ctx)
{
    (void)ctx;
}

/* With nothing to flush it takes a moment, and is over before a program that ends now has ended. */
static void qs_ask_close(qs_sock *s, uint32_t what)
{
    qs_kick(s, what);
    s->visit_due = s->kick_due && (what == QS_ASK_ABORT || s->tx_bytes == 0);
}

int qs_op_shutdown(qs_sock *s, int how)
{
    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) {
        return -EINVAL;
    }
    pthread_mutex_lock(&s->lock);
    qs_state state = (qs_state)s->state;
    qs_unlock(s);
    if (state == QS_LISTENING) { /* as TCP: it has no sending side, and goes on */
        return how == SHUT_WR || qs_end_listening(s) ? 0 : -ENOTCONN;
    }
    if (state == QS_FRESH) {
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
            qs_ask_close(s, QS_ASK_CLOSE);
        }
        qs_ready_update(s);
        qs_wake(s, QS_WAIT_ALL);
    }
    qs_unlock(s);
    return rc;
}

/* SO_LINGER with a time of zero (socket(7)). */
static bool qs_ends_at_once(const qs_sock *s)
{
    return s->linger_on && s->linger_s == 0;
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
    if (s->bell_fd >=
        0) { /* the connection may take its time, a descriptor is free with its close */
        qs_watch_close(s->bell_fd);
        s->bell_fd = -1;
    }
    bool at_once = qs_ends_at_once(s);
    if (s->conn.handle != 0 && (at_once || !s->shut_wr)) {
        qs_ask_close(s, at_once ? QS_ASK_ABORT : QS_ASK_CLOSE);
    }
    bool lingers = s->linger_on && s->linger_s > 0 && s->conn.handle != 0;
    uint32_t worker = s->worker;
    qs_wake(s, QS_WAIT_ALL);
    if (lingers) {
        uint64_t deadline = qs_now_ns() + (uint64_t)s->linger_s * QS_NS_PER_S;
        if (s->close_deadline_ns != 0 && s->close_deadline_ns < deadline) {
            s->close_deadline_ns = deadline; /* shutdown has begun to close it */
        }
        while (!s->conn_over && s->conn.handle != 0 && qs_may_wait() &&
               qs_wait(s, QS_WAIT_ALL, deadline, NULL) != -EAGAIN) {
        }
    }
    qs_unlock(s);
    if (lingers && qs_may_wait()) {
        (void)qs_call(worker, qs_nothing, NULL); /* what was said last has left by then */
    }
}

void qs_op_exit(void)
{
    uint64_t deadline = qs_now_ns() + QS_EXIT_WAIT_NS;
    pthread_mutex_lock(&qs_all_lock);
    for (qs_sock *s = qs_all; s != NULL; s = s->all_next) {
        pthread_mutex_lock(&s->lock);
        if (s->conn.handle != 0 && !s->shut_wr && !s->app_closed) {
            qs_kick(s, qs_ends_at_once(s) ? QS_ASK_ABORT : QS_ASK_CLOSE);
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
            uint64_t patience = s->close_deadline_ns + QS_EXIT_WAIT_NS;
            deadline = busy && patience > deadline ? patience : deadline;
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

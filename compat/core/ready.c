/* The program's descriptor: one end of a pair of UNIX sockets. It is readable while a byte waits there,
 * unwritable while it is filled, hung up when our end is shut: so poll, select and epoll need nothing
 * of ours. The first byte after silence is always sent; what went stale is taken back before the
 * next wait. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "compat/core/sock.h"

#define QS_FILL_SENDS 8 /* tries; two 1-byte messages fill the smallest buffer */

static pthread_mutex_t qs_fix_lock = PTHREAD_MUTEX_INITIALIZER;
static qs_sock *qs_fix_list;
uint32_t qs_fix_count;

static bool qs_is_readable(const qs_sock *s)
{
    return s->state == QS_LISTENING ? s->accept_count > 0
                                    : s->rx.head != NULL || s->state == QS_CLOSED;
}

static bool qs_is_writable(const qs_sock *s)
{
    switch (s->state) {
    case QS_LISTENING:
        return false;
    case QS_CONNECTING:
    case QS_ESTABLISHED:
        return qs_tx_has_room(s);
    default:
        return true;
    }
}

/* Notes that the descriptor says more than the truth. */
static void qs_needs_fix(qs_sock *s)
{
    if (s->in_fix) {
        return;
    }
    s->in_fix = true;
    qs_ref(s);
    pthread_mutex_lock(&qs_fix_lock);
    s->fix_next = qs_fix_list;
    qs_fix_list = s;
    __atomic_add_fetch(&qs_fix_count, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&qs_fix_lock);
}

/* Straight to the kernel: where this code shares a program with the interposed calls, those would bring
 * the program's descriptor back here. */
static bool qs_put_byte(int fd)
{
    return syscall(SYS_sendto, fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0) == 1;
}

static void qs_take_bytes(int fd)
{
    char sink[64];
    while (syscall(SYS_recvfrom, fd, sink, sizeof(sink), MSG_DONTWAIT, NULL, NULL) > 0) {
    }
}

void qs_ready_update(qs_sock *s)
{
    if (s->bell_fd < 0 || s->hung_up) {
        return;
    }
    bool readable = qs_is_readable(s);
    bool writable = qs_is_writable(s);
    if (readable && !s->token) {
        s->token = qs_put_byte(s->bell_fd);
    }
    if (writable && s->filled) {
        qs_take_bytes(s->bell_fd);
        s->filled = false;
    }
    if ((!readable && s->token) || (!writable && !s->filled)) {
        qs_needs_fix(s);
    }
    if (s->state == QS_CLOSED) {
        s->hung_up = true;
        (void)shutdown(s->bell_fd, SHUT_RDWR);
    }
}

void qs_ready_arrival(qs_sock *s)
{
    if (s->edges && s->token && s->bell_fd >= 0 && !s->hung_up) {
        (void)qs_put_byte(s->bell_fd); /* full: it is ready anyway */
    }
    qs_ready_update(s);
}

void qs_op_watch_edges(qs_sock *s)
{
    pthread_mutex_lock(&s->lock);
    s->edges = true;
    pthread_mutex_unlock(&s->lock);
}

/* Lock held, in a thread of the program. */
static void qs_fix_now(qs_sock *s)
{
    if (s->bell_fd < 0 || s->app_fd < 0 || s->hung_up) {
        return;
    }
    if (s->token && !qs_is_readable(s)) {
        qs_take_bytes(s->app_fd);
        s->token = false;
    }
    if (!s->filled && !qs_is_writable(s)) {
        for (int i = 0; i < QS_FILL_SENDS; i++) {
            if (!qs_put_byte(s->app_fd)) {
                break;
            }
        }
        s->filled = true;
    }
}

void qs_op_fix(qs_sock *s)
{
    pthread_mutex_lock(&s->lock);
    qs_fix_now(s);
    pthread_mutex_unlock(&s->lock);
}

void qs_op_fix_all(void)
{
    pthread_mutex_lock(&qs_fix_lock);
    qs_sock *list = qs_fix_list;
    qs_fix_list = NULL;
    __atomic_store_n(&qs_fix_count, 0, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&qs_fix_lock);
    while (list != NULL) {
        qs_sock *s = list;
        list = s->fix_next;
        pthread_mutex_lock(&s->lock);
        s->in_fix = false;
        qs_fix_now(s);
        pthread_mutex_unlock(&s->lock);
        qs_unref(s);
    }
}

void qs_op_attach(qs_sock *s, int engine_fd, int app_fd)
{
    pthread_mutex_lock(&s->lock);
    s->bell_fd = engine_fd;
    s->app_fd = app_fd;
    qs_ready_update(s);
    pthread_mutex_unlock(&s->lock);
}

void qs_op_set_fd(qs_sock *s, int app_fd)
{
    pthread_mutex_lock(&s->lock);
    s->app_fd = app_fd;
    pthread_mutex_unlock(&s->lock);
}

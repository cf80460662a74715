/* The engine's ends of the pairs: when the last of the program's descriptors is gone, by whatever way, the
 * kernel hangs ours up. One thread waits for that; it costs nothing while nothing of the kind happens.
 * The interposed close is faster and does not wait for it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "compat/core/behalf.h"
#include "compat/core/sock.h"

#define QS_BELLS_MAX   (1 << 20) /* more the front has no table for */
#define QS_BATCH       64
#define QS_STACK_BYTES (256u * 1024u)

static pthread_mutex_t qs_watch_lock = PTHREAD_MUTEX_INITIALIZER;
static qs_sock *qs_bell_owner[QS_BELLS_MAX]; /* by descriptor; written under the lock */
static int qs_bells_end;                     /* above all that there ever were; under the lock */
static int qs_watch_fd = -1;

/* Whether what we have sent is gone, read or with the program's end. The kernel tells that before it has counted the
 * last message's last byte; the least message counts hundreds. */
static bool qs_is_sent_gone(int fd)
{
    int bytes = 0;
    return ioctl(fd, SIOCOUTQ, &bytes) != 0 || bytes <= 1;
}

/* Whether the program's end is gone. */
static bool qs_is_hung_up(const qs_sock *s, int fd)
{
    return (qs_poll_now(fd, 0) & POLLHUP) != 0 &&
           (!__atomic_load_n(&s->lingers, __ATOMIC_ACQUIRE) || qs_is_sent_gone(fd));
}

/* A reference to the socket whose program's end is gone; NULL when it is not so any more. */
static qs_sock *qs_watch_take(int fd)
{
    pthread_mutex_lock(&qs_watch_lock);
    qs_sock *s = qs_bell_owner[fd];
    if (s == NULL || !qs_is_hung_up(s, fd) || !qs_ref_if_live(s)) {
        s = NULL;
    }
    pthread_mutex_unlock(&qs_watch_lock);
    return s;
}

static void *qs_watch_main(void *arg)
{
    int epoll = *(int *)arg; /* static */
    struct epoll_event events[QS_BATCH];
    (void)pthread_setname_np(pthread_self(), "quic-watch");
    (void)qs_op_impatient(true); /* who has closed behind our back does not wait for SO_LINGER */
    for (;;) {
        int count = (int)syscall(SYS_epoll_pwait, epoll, events, QS_BATCH, -1, NULL, 0);
        if (count < 0 && errno != EINTR) {
            return NULL;
        }
        for (int i = 0; i < count; i++) {
            qs_sock *s = qs_watch_take(events[i].data.fd);
            if (s != NULL) {
                qs_the_host->gone(s->cookie, s);
                qs_unref(s);
            }
        }
    }
}

bool qs_op_is_gone(qs_sock *s)
{
    pthread_mutex_lock(&s->lock);
    bool gone = s->bell_fd >= 0 && qs_is_hung_up(s, s->bell_fd);
    qs_unlock(s);
    return gone;
}

bool qs_thread_start(void *(*run)(void *), void *arg)
{
    sigset_t all;
    sigset_t old;
    pthread_t thread;
    pthread_attr_t attr;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* no handler of the program's runs there */
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, QS_STACK_BYTES);
    bool runs = pthread_create(&thread, &attr, run, arg) == 0;
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return runs;
}

/* By who holds descriptors. */
static void qs_watch_start(void)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    int high = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, QS_FD_LOW) : -1;
    if (high >= 0) {
        close(fd);
        fd = high;
    }
    if (fd < 0) {
        return; /* the next socket tries again */
    }
    qs_watch_fd = fd;
    if (!qs_thread_start(qs_watch_main, &qs_watch_fd)) {
        close(fd);
        qs_watch_fd = -1;
    }
}

bool qs_watch_add(qs_sock *s, int fd)
{
    if (fd < 0 || fd >= QS_BELLS_MAX) {
        return false;
    }
    bool watched = false;
    const bool held = quring_hold_fds();
    pthread_mutex_lock(&qs_watch_lock);
    if (qs_watch_fd < 0) {
        qs_watch_start();
    }
    __atomic_store_n(&qs_bell_owner[fd], s, __ATOMIC_RELAXED);
    qs_bells_end = fd < qs_bells_end ? qs_bells_end : fd + 1;
    if (qs_watch_fd >= 0) {
        /* Hang-ups are always told; once is enough. */
        struct epoll_event event = {.events = EPOLLET, .data.fd = fd};
        watched = epoll_ctl(qs_watch_fd, EPOLL_CTL_ADD, fd, &event) == 0;
    }
    pthread_mutex_unlock(&qs_watch_lock);
    quring_let_fds(held);
    return watched;
}

void qs_watch_queue(int fd)
{
    struct epoll_event event = {.events = EPOLLET | EPOLLOUT, .data.fd = fd};
    pthread_mutex_lock(&qs_watch_lock);
    if (qs_watch_fd >= 0) {
        (void)epoll_ctl(qs_watch_fd, EPOLL_CTL_MOD, fd, &event);
    }
    pthread_mutex_unlock(&qs_watch_lock);
}

void qs_watch_close(int fd)
{
    const bool held = quring_hold_fds(); /* a child knows of it, or has none */
    pthread_mutex_lock(&qs_watch_lock);
    if (fd >= 0 && fd < QS_BELLS_MAX) {
        __atomic_store_n(&qs_bell_owner[fd], NULL, __ATOMIC_RELAXED);
    }
    /* A child that has not run its handlers yet may still hold a copy: the program's end must hang up
     * now. What it had sent is unread: that is what makes it show an error, too. */
    (void)shutdown(fd, SHUT_RDWR);
    (void)syscall(SYS_close, fd); /* libc's may end the thread, which holds locks */
    pthread_mutex_unlock(&qs_watch_lock);
    quring_let_fds(held);
}

bool qs_op_owns_fd(int fd)
{
    bool bell = fd >= 0 && fd < QS_BELLS_MAX &&
                __atomic_load_n(&qs_bell_owner[fd], __ATOMIC_RELAXED) != NULL;
    return bell || (fd >= 0 && fd == qs_watch_fd) || quring_owns_fd(fd);
}

void qs_watch_forked(void)
{
    pthread_mutex_init(&qs_watch_lock, NULL);
    for (int fd = 0; fd < qs_bells_end; fd++) {
        if (qs_bell_owner[fd] != NULL) {
            qs_bell_owner[fd] = NULL;
            (void)close(fd);
        }
    }
    int fd = qs_watch_fd;
    qs_watch_fd = -1; /* first: close does not take what is ours (qs_op_owns_fd) */
    if (fd >= 0) {
        (void)close(fd);
    }
}

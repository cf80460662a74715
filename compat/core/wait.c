/* Waiting in a call, and waking who waits. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "compat/core/sock.h"

typedef struct qs_sleep {
    qs_sock *s;
    const qs_hold *hold;
    uint32_t seen;
    struct timespec left;
    bool has_limit;
} qs_sleep;

/* Without a time limit the kernel restarts the wait after a handler with SA_RESTART and returns EINTR
 * after others; with one it always returns EINTR: what socket calls do. */
static int qs_sleep_now(qs_sleep *sleep)
{
    long rc = syscall(SYS_futex, &sleep->s->seq, FUTEX_WAIT_PRIVATE, sleep->seen,
                      sleep->has_limit ? &sleep->left : NULL, NULL, 0);
    return rc == 0 ? 0 : errno;
}

/* The thread ends here: what its call held is given back, and the front's reference. */
static void qs_sleep_cancelled(void *arg)
{
    const qs_sleep *sleep = (const qs_sleep *)arg;
    qs_sock *s = sleep->s;
    pthread_mutex_lock(&s->lock);
    s->waiters--;
    qs_stream *st = sleep->hold->stream;
    if (st != NULL) {
        st->tx_busy = st->tx_busy && !sleep->hold->is_sending;
        qs_stream_leave(s, st);
        qs_wake(s);
    }
    void *cookie = s->cookie;
    pthread_mutex_unlock(&s->lock);
    qs_the_host->cancelled(cookie);
}

/* POSIX: a blocked recv, send or accept is a point of cancellation. Only the bare system call may be left
 * at any moment. */
static int qs_sleep_cancellable(qs_sleep *sleep)
{
    int error = 0;
    int type = PTHREAD_CANCEL_DEFERRED;
    pthread_cleanup_push(qs_sleep_cancelled, sleep);
    (void)pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
    error = qs_sleep_now(sleep);
    (void)pthread_setcanceltype(type, NULL);
    pthread_cleanup_pop(0);
    return error;
}

int qs_wait(qs_sock *s, uint64_t deadline_ns, const qs_hold *hold)
{
    qs_sleep sleep = {.s = s, .hold = hold, .has_limit = deadline_ns != 0};
    if (deadline_ns != 0) {
        uint64_t now = qs_now_ns();
        if (now >= deadline_ns) {
            return -EAGAIN;
        }
        sleep.left.tv_sec = (time_t)((deadline_ns - now) / QS_NS_PER_S);
        sleep.left.tv_nsec = (long)((deadline_ns - now) % QS_NS_PER_S);
    }
    sleep.seen = s->seq;
    s->waiters++;
    pthread_mutex_unlock(&s->lock);
    int error = hold != NULL ? qs_sleep_cancellable(&sleep) : qs_sleep_now(&sleep);
    pthread_mutex_lock(&s->lock);
    s->waiters--;
    return error == EINTR ? -EINTR : error == ETIMEDOUT ? -EAGAIN : 0;
}

void qs_wake(qs_sock *s)
{
    __atomic_add_fetch(&s->seq, 1, __ATOMIC_RELEASE);
    if (s->waiters > 0) {
        syscall(SYS_futex, &s->seq, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
    }
}

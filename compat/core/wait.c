/* Waiting in a call, and waking who waits. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "compat/core/attend.h"
#include "compat/core/behalf.h"

typedef struct qs_sleep {
    qs_sock *s;
    uint32_t what;
    const qs_hold *hold;
    uint32_t seen;
    struct timespec until;
    bool has_limit;
} qs_sleep;

/* Without a time limit the kernel restarts the wait after a handler with SA_RESTART and returns EINTR
 * after others; with one it always returns EINTR: what socket calls do. */
static int qs_sleep_now(qs_sleep *sleep)
{
    long rc = syscall(SYS_futex, &sleep->s->seq, FUTEX_WAIT_BITSET_PRIVATE, sleep->seen,
                      sleep->has_limit ? &sleep->until : NULL, NULL, sleep->what);
    return rc == 0 ? 0 : errno;
}

static void qs_count_waiter(qs_sock *s, uint32_t what, int by)
{
    s->rx_waiters = (uint16_t)(s->rx_waiters + ((what & QS_WAIT_RX) != 0 ? by : 0));
    s->tx_waiters = (uint16_t)(s->tx_waiters + ((what & QS_WAIT_TX) != 0 ? by : 0));
}

/* The thread ends here: what its call held is given back, and the front's reference. With the lock. */
static void qs_wait_cancelled(void *arg)
{
    const qs_sleep *sleep = (const qs_sleep *)arg;
    qs_sock *s = sleep->s;
    qs_stream *st = sleep->hold->stream;
    if (st != NULL) {
        st->tx_busy = st->tx_busy && !sleep->hold->is_sending;
        qs_stream_leave(s, st);
        qs_wake(s, QS_WAIT_ALL);
    }
    void *cookie = s->cookie;
    qs_unlock(s);
    qs_the_host->cancelled(cookie);
}

static void qs_sleep_cancelled(void *arg)
{
    const qs_sleep *sleep = (const qs_sleep *)arg;
    pthread_mutex_lock(&sleep->s->lock);
    qs_count_waiter(sleep->s, sleep->what, -1);
    qs_wait_cancelled(arg);
}

/* A wait without a sleep is such a point, too. Lock held. */
static void qs_wait_test_cancel(qs_sleep *sleep)
{
    pthread_cleanup_push(qs_wait_cancelled, sleep);
    pthread_testcancel();
    pthread_cleanup_pop(0);
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

int qs_wait(qs_sock *s, uint32_t what, uint64_t deadline_ns, const qs_hold *hold)
{
    if (hold != NULL && !qs_may_wait()) { /* other waits are for threads of ours, or have a limit */
        qs_would_wait();
        return -EAGAIN;
    }
    qs_sleep sleep = {.s = s, .what = what, .hold = hold, .has_limit = deadline_ns != 0};
    if (deadline_ns != 0) {
        if (qs_now_ns() >= deadline_ns) {
            return -EAGAIN;
        }
        sleep.until.tv_sec = (time_t)(deadline_ns / QS_NS_PER_S);
        sleep.until.tv_nsec = (long)(deadline_ns % QS_NS_PER_S);
    }
    sleep.seen = s->seq;
    /* A time limit is left to the kernel: with one, every handler ends the call. */
    if (what == QS_WAIT_RX && !sleep.has_limit && qs_attend_pays(s)) {
        if (hold != NULL) {
            qs_wait_test_cancel(&sleep);
        }
        int rc = qs_attend(s, sleep.seen);
        if (rc != -EAGAIN) {
            return rc;
        }
    }
    qs_attend_end(s->worker);
    qs_count_waiter(s, what, 1);
    qs_unlock(s);
    int error = hold != NULL ? qs_sleep_cancellable(&sleep) : qs_sleep_now(&sleep);
    pthread_mutex_lock(&s->lock);
    qs_count_waiter(s, what, -1);
    return error == EINTR ? -EINTR : error == ETIMEDOUT ? -EAGAIN : 0;
}

void qs_wake(qs_sock *s, uint32_t what)
{
    uint32_t waiting =
        (s->rx_waiters > 0 ? QS_WAIT_RX : 0u) | (s->tx_waiters > 0 ? QS_WAIT_TX : 0u);
    __atomic_add_fetch(&s->seq, 1, __ATOMIC_RELEASE);
    s->wake_due = (uint8_t)(s->wake_due | (what & waiting));
}

static void qs_wake_rx(void *ctx)
{
    syscall(SYS_futex, ctx, FUTEX_WAKE_BITSET_PRIVATE, INT32_MAX, NULL, NULL, QS_WAIT_RX);
}

void qs_unlock(qs_sock *s)
{
    uint32_t *seq = &s->seq;
    uint32_t wake = s->wake_due;
    bool kick = s->kick_due;
    bool visit = s->visit_due;
    s->wake_due = 0;
    s->kick_due = false;
    s->visit_due = false;
    pthread_mutex_unlock(&s->lock);
    if (kick) {
        qs_kick_post(s, visit); /* with a reference of its own */
    }
    /* Once the worker has nothing else to do, so that what is woken may do the worker's work in its place. */
    if (wake == QS_WAIT_RX && quring_defer(qs_wake_rx, seq) == QURING_OK) {
        return;
    }
    if (wake != 0) { /* if the socket is gone by now, nobody waits there */
        syscall(SYS_futex, seq, FUTEX_WAKE_BITSET_PRIVATE, INT32_MAX, NULL, NULL, wake);
    }
}

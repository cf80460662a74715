#define _GNU_SOURCE 1 /* F_DUPFD_CLOEXEC, PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP */

#include "runtime/udp/own_fd.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#define HOLD_S 2

static _Atomic uint64_t rt_own_fds[RT_FD_MAX / 64];
static _Atomic int rt_own_words; /* of those, up to the last that was ever needed */

/* Who forks is the writer, and comes before readers that come later. */
static pthread_rwlock_t rt_fd_lock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
static _Thread_local uint32_t rt_fd_holds; /* of this thread */

static struct timespec in_some_seconds(void)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += HOLD_S;
    return until;
}

static bool lock(bool alone)
{
    if ((alone ? pthread_rwlock_trywrlock(&rt_fd_lock) : pthread_rwlock_tryrdlock(&rt_fd_lock)) ==
        0) {
        return true;
    }
    const struct timespec until = in_some_seconds();
    return (alone ? pthread_rwlock_timedwrlock(&rt_fd_lock, &until)
                  : pthread_rwlock_timedrdlock(&rt_fd_lock, &until)) == 0;
}

static bool hold(bool alone)
{
    const bool held = rt_fd_holds > 0 || lock(alone);
    rt_fd_holds += held ? 1 : 0;
    return held;
}

bool rt_fd_hold(void)
{
    return hold(false);
}

bool rt_fd_hold_to_fork(void)
{
    return hold(true);
}

void rt_fd_let(bool held)
{
    if (held && --rt_fd_holds == 0) {
        (void)pthread_rwlock_unlock(&rt_fd_lock);
    }
}

/* Who holds would not let go any more where close ends the thread (pthread_cancel), and each fork wait for it. */
static void close_now(int fd)
{
    int state; /* not by syscall(): ThreadSanitizer has to see the end of a descriptor, too */
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    (void)close(fd);
    (void)pthread_setcancelstate(state, NULL);
}

static void note(int fd)
{
    int words = atomic_load(&rt_own_words);
    while (words <= fd / 64 && !atomic_compare_exchange_weak(&rt_own_words, &words, fd / 64 + 1)) {
    }
    atomic_fetch_or(&rt_own_fds[fd / 64], 1ull << (fd % 64));
}

int rt_fd_keep(int fd)
{
    if (fd < 0) {
        return fd;
    }
    if (fd < RT_FD_LOW) {
        int high = fcntl(fd, F_DUPFD_CLOEXEC, RT_FD_LOW);
        if (high >= 0) { /* else: the process may not have so many */
            close_now(fd);
            fd = high;
        }
    }
    if (fd < RT_FD_MAX) {
        note(fd);
    }
    return fd;
}

void rt_fd_forget(int fd)
{
    if (fd >= 0 && fd < RT_FD_MAX) {
        atomic_fetch_and(&rt_own_fds[fd / 64], ~(1ull << (fd % 64)));
    }
}

void rt_fd_close(int fd)
{
    if (fd >= 0) {
        const bool held = rt_fd_hold();
        rt_fd_forget(fd);
        close_now(fd);
        rt_fd_let(held);
    }
}

bool rt_fd_is_ours(int fd)
{
    return fd >= 0 && fd < RT_FD_MAX &&
           (atomic_load_explicit(&rt_own_fds[fd / 64], memory_order_relaxed) >> (fd % 64) & 1) != 0;
}

void rt_fd_abandon(void)
{
    static const pthread_rwlock_t free_lock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
    const int words = atomic_load(&rt_own_words);
    rt_fd_lock = free_lock; /* threads of the parent's held it */
    rt_fd_holds = 0;
    for (int word = 0; word < words; word++) {
        uint64_t bits = atomic_exchange(&rt_own_fds[word], 0);
        for (int bit = 0; bits != 0; bit++, bits >>= 1) {
            if ((bits & 1) != 0) {
                close_now(word * 64 + bit);
            }
        }
    }
}

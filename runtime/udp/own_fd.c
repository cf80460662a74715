#define _GNU_SOURCE 1 /* F_DUPFD_CLOEXEC */

#include "runtime/udp/own_fd.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

static _Atomic uint64_t rt_own_fds[RT_FD_MAX / 64];
static _Atomic int rt_own_words; /* of those, up to the last that was ever needed */

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
            (void)close(fd);
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
        rt_fd_forget(fd);
        (void)close(fd);
    }
}

bool rt_fd_is_ours(int fd)
{
    return fd >= 0 && fd < RT_FD_MAX &&
           (atomic_load_explicit(&rt_own_fds[fd / 64], memory_order_relaxed) >> (fd % 64) & 1) != 0;
}

void rt_fd_abandon(void)
{
    const int words = atomic_load(&rt_own_words);
    for (int word = 0; word < words; word++) {
        uint64_t bits = atomic_exchange(&rt_own_fds[word], 0);
        for (int bit = 0; bits != 0; bit++, bits >>= 1) {
            if ((bits & 1) != 0) {
                (void)close(word * 64 + bit);
            }
        }
    }
}

#include "runtime/io/wake.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/udp/own_fd.h"

int rt_wake_init(rt_wake *wake, bool without_fd)
{
    wake->sleeping = 0;
    wake->signals = 0;
    wake->fd = -1;
    if (without_fd) {
        return 0;
    }
    const bool held = rt_fd_hold();
    wake->fd = rt_fd_keep(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    const int rc = wake->fd < 0 ? -errno : 0;
    rt_fd_let(held);
    return rc;
}

void rt_wake_deinit(rt_wake *wake)
{
    if (wake->fd >= 0) {
        rt_fd_close(wake->fd);
        wake->fd = -1;
    }
}

void rt_wake_prepare(rt_wake *wake)
{
    (void)__atomic_exchange_n(&wake->sleeping, 1, __ATOMIC_SEQ_CST);
}

void rt_wake_done(rt_wake *wake)
{
    (void)__atomic_exchange_n(&wake->sleeping, 0, __ATOMIC_SEQ_CST);
}

void rt_wake_ring(int fd)
{
    const uint64_t one = 1;
    int state = PTHREAD_CANCEL_ENABLE;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    /* Can only fail when the count is about to overflow: then it is readable anyway. */
    ssize_t n = write(fd, &one, sizeof(one));
    (void)n;
    (void)pthread_setcancelstate(state, NULL);
}

void rt_wake_signal(rt_wake *wake)
{
    if (__atomic_exchange_n(&wake->sleeping, 0, __ATOMIC_SEQ_CST) == 0) {
        return;
    }
    (void)__atomic_fetch_add(&wake->signals, 1, __ATOMIC_RELAXED);
    if (wake->fd >= 0) {
        rt_wake_ring(wake->fd);
    }
}

uint64_t rt_wake_count(const rt_wake *wake)
{
    return __atomic_load_n(&wake->signals, __ATOMIC_RELAXED);
}

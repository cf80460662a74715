/* poll, select, epoll: the kernel answers; before it is asked, descriptors that went stale are put right. */
#include "compat/front/call.h"

/* In a child of fork a socket of the parent is no descriptor. Else it would be one that is ready for ever and gives
 * EBADF whatever is called. */
static bool qf_is_dead(int fd)
{
    const bool dead = qf_is_parents(fd);
    if (dead) {
        qf_say_forked();
    }
    return dead;
}

static bool qf_has_dead(const struct pollfd *fds, nfds_t count)
{
    bool found = false;
    for (nfds_t i = 0; qf_generation != 0 && i < count && !found; i++) {
        found = qf_is_dead(fds[i].fd);
    }
    return found;
}

/* What a poll that has not waited says of the others. */
static int qf_poll_dead(int ready, struct pollfd *fds, nfds_t count)
{
    for (nfds_t i = 0; ready >= 0 && i < count; i++) {
        if (qf_is_dead(fds[i].fd)) {
            ready += fds[i].revents == 0;
            fds[i].revents = POLLNVAL;
        }
    }
    return ready;
}

#define QF_SET_BITS ((int)(8 * sizeof(unsigned long)))

static bool qf_set_has(const fd_set *set, int fd)
{
    const unsigned long *words = (const unsigned long *)set; /* which may be more than FD_SETSIZE */
    return set != NULL && (words[fd / QF_SET_BITS] >> (fd % QF_SET_BITS) & 1) != 0;
}

static bool qf_set_has_dead(int count, const fd_set *in, const fd_set *out, const fd_set *except)
{
    bool found = false;
    for (int fd = 0; qf_generation != 0 && fd < count && fd < QF_FDS_MAX && !found; fd++) {
        found = qf_is_quic(fd) &&
                (qf_set_has(in, fd) || qf_set_has(out, fd) || qf_set_has(except, fd)) &&
                qf_is_dead(fd);
    }
    return found;
}

static inline void qf_fix(void)
{
    const qs_ops *ops = qf_engine();
    if (ops != NULL && __atomic_load_n(ops->fix_count, __ATOMIC_ACQUIRE) != 0) {
        ops->fix_all();
    }
}

QF_EXPORT int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    qf_fix();
    if (qf_has_dead(fds, count)) {
        return qf_poll_dead(QF_REAL(poll)(fds, count, 0), fds, count);
    }
    return QF_REAL(poll)(fds, count, timeout);
}

QF_EXPORT int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                    const sigset_t *mask)
{
    static const struct timespec at_once;
    qf_fix();
    if (qf_has_dead(fds, count)) {
        return qf_poll_dead(QF_REAL(ppoll)(fds, count, &at_once, mask), fds, count);
    }
    return QF_REAL(ppoll)(fds, count, timeout, mask);
}

QF_EXPORT int select(int count, fd_set *in, fd_set *out, fd_set *except, struct timeval *timeout)
{
    qf_fix();
    if (qf_set_has_dead(count, in, out, except)) {
        errno = EBADF;
        return -1;
    }
    return QF_REAL(select)(count, in, out, except, timeout);
}

QF_EXPORT int pselect(int count, fd_set *in, fd_set *out, fd_set *except,
                      const struct timespec *timeout, const sigset_t *mask)
{
    qf_fix();
    if (qf_set_has_dead(count, in, out, except)) {
        errno = EBADF;
        return -1;
    }
    return QF_REAL(pselect)(count, in, out, except, timeout, mask);
}

QF_EXPORT int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
    if (qf_is_quic(fd)) {
        bool dead = false;
        qf_entry *entry = qf_get(fd, &dead);
        if (entry != NULL) {
            if (op != EPOLL_CTL_DEL && event != NULL && (event->events & EPOLLET) != 0) {
                entry->ops->watch_edges(entry->sock);
            }
            entry->ops->fix(entry->sock);
            qf_put(entry);
        } else if (dead && op != EPOLL_CTL_DEL) {
            return -1; /* errno is set */
        }
    }
    return QF_REAL(epoll_ctl)(epoll, op, fd, event);
}

QF_EXPORT int epoll_wait(int epoll, struct epoll_event *events, int count, int timeout)
{
    qf_fix();
    return QF_REAL(epoll_wait)(epoll, events, count, timeout);
}

QF_EXPORT int epoll_pwait(int epoll, struct epoll_event *events, int count, int timeout,
                          const sigset_t *mask)
{
    qf_fix();
    return QF_REAL(epoll_pwait)(epoll, events, count, timeout, mask);
}

QF_EXPORT int epoll_pwait2(int epoll, struct epoll_event *events, int count,
                           const struct timespec *timeout, const sigset_t *mask)
{
    qf_fix();
    if (QF_REAL(epoll_pwait2) == NULL) {
        errno = ENOSYS;
        return -1;
    }
    return QF_REAL(epoll_pwait2)(epoll, events, count, timeout, mask);
}

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                const sigset_t *mask, size_t room);
void __chk_fail(void) __attribute__((noreturn));

QF_EXPORT int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room)
{
    if (room / sizeof(*fds) < count) {
        __chk_fail();
    }
    return poll(fds, count, timeout);
}

QF_EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                          const sigset_t *mask, size_t room)
{
    if (room / sizeof(*fds) < count) {
        __chk_fail();
    }
    return ppoll(fds, count, timeout, mask);
}

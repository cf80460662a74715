/* close, dup, fcntl and their kin; descriptors that travel over UNIX sockets. */
#include "compat/front/fd.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#include "compat/front/call.h"
#include "compat/front/lend.h"

/* ---- close ---------------------------------------------------------------------------------------------- */

/* The engine's descriptors are not the program's: programs that close all they do not know leave them. */
static bool qf_is_internal(int fd)
{
    const qs_ops *ops = qf_engine();
    return ops != NULL && (ops->owns_fd(fd) || qf_owns(fd));
}

static int qf_close_any(int fd)
{
    qf_entry *entry = qf_hide(fd);
    if (entry == NULL) {
        if (qf_is_internal(fd)) {
            errno = EBADF;
            return -1;
        }
        return QF_REAL(close)(fd);
    }
    int rc = QF_REAL(close)(fd);
    int error = errno;
    qf_hidden(entry, fd, true);
    errno = error;
    return rc;
}

static int qf_close(int fd)
{
    if (!qf_is_quic(fd)) {
        return qf_close_any(fd);
    }
    int state = qf_hold();
    int rc = qf_close_any(fd);
    qf_let(state);
    return rc;
}

QF_EXPORT int close(int fd)
{
    if (!qf_any()) {
        return QF_REAL(close)(fd);
    }
    if (qf_is_quic(fd)) {
        pthread_testcancel();
    }
    return qf_close(fd);
}

/* What lies between the engine's descriptors. */
static int qf_close_gaps(unsigned first, unsigned last, int flags)
{
    unsigned from = first;
    int rc = 0;
    const unsigned end = qf_owned_end();
    for (unsigned fd = first; fd <= last && fd < end && rc == 0; fd++) {
        if (qf_is_internal((int)fd)) {
            rc = fd > from ? QF_REAL(close_range)(from, fd - 1, flags) : 0;
            from = fd + 1;
        }
    }
    return rc == 0 && from <= last ? QF_REAL(close_range)(from, last, flags) : rc;
}

QF_EXPORT int close_range(unsigned first, unsigned last, int flags)
{
    if (qf_real_table.close_range == NULL) {
        qf_libc_resolve();
    }
    if (qf_real_table.close_range == NULL) {
        errno = ENOSYS;
        return -1;
    }
    if (!qf_any() || first > last || (flags & (int)CLOSE_RANGE_CLOEXEC) != 0) {
        return QF_REAL(close_range)(first, last, flags);
    }
    for (unsigned fd = first; fd <= last && fd < QF_FDS_MAX; fd++) {
        if (qf_is_quic((int)fd)) {
            (void)qf_close((int)fd);
        }
    }
    return qf_close_gaps(first, last, flags);
}

QF_EXPORT void closefrom(int low)
{
    unsigned first = low < 0 ? 0 : (unsigned)low;
    if (close_range(first, ~0u, 0) != 0) {
        for (unsigned fd = first; fd < qf_owned_end(); fd++) { /* a kernel of before */
            (void)close((int)fd);
        }
    }
}

/* ---- raw ------------------------------------------------------------------------------------------------ */

/* What would take a number from a socket behind our back; everything else goes on as it came. Nobody says how many
 * arguments there are: the last may be what else lies on the caller's stack. */
__attribute__((no_sanitize_address)) QF_EXPORT long syscall(long number, ...)
{
    long arg[6];
    va_list args;
    va_start(args, number);
    for (int i = 0; i < 6; i++) {
        arg[i] = va_arg(args, long);
    }
    va_end(args);
    if (qf_any()) {
        switch (number) {
        case SYS_close:
            return qf_close((int)arg[0]);
#ifdef SYS_dup2
        case SYS_dup2:
            return dup2((int)arg[0], (int)arg[1]);
#endif
        case SYS_dup3:
            return dup3((int)arg[0], (int)arg[1], (int)arg[2]);
#ifdef SYS_close_range
        case SYS_close_range:
            return close_range((unsigned)arg[0], (unsigned)arg[1], (int)arg[2]);
#endif
        default:
            break;
        }
    }
    return QF_REAL(syscall)(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

/* ---- copies --------------------------------------------------------------------------------------------- */

/* A copy of a QUIC socket's descriptor is a QUIC socket. */
#define QF_COPY(from, call)                                                                        \
    do {                                                                                           \
        qf_entry *entry = qf_any() ? qf_copy_begin(from) : NULL;                                   \
        int copy = (call);                                                                         \
        if (entry != NULL) {                                                                       \
            int error = errno;                                                                     \
            qf_copy_end(entry, copy);                                                              \
            errno = error;                                                                         \
        }                                                                                          \
        return copy;                                                                               \
    } while (0)

QF_EXPORT int dup(int fd)
{
    QF_COPY(fd, QF_REAL(dup)(fd));
}

static int qf_dup_over(int from, int to, bool with_flags, int flags)
{
    if (from != to && qf_is_internal(to)) {
        errno = EBUSY;
        return -1;
    }
    qf_entry *source = from != to ? qf_copy_begin(from) : NULL;
    qf_entry *target = from != to ? qf_hide(to) : NULL;
    int rc = with_flags ? QF_REAL(dup3)(from, to, flags) : QF_REAL(dup2)(from, to);
    int error = errno;
    if (source !=
        NULL) { /* first: the number is one or the other for other threads, and never nobody's */
        qf_copy_end(source, rc);
    }
    if (target != NULL) {
        qf_hidden(target, to, rc >= 0);
    }
    errno = error;
    return rc;
}

QF_EXPORT int dup2(int from, int to)
{
    return qf_any() ? qf_dup_over(from, to, false, 0) : QF_REAL(dup2)(from, to);
}

QF_EXPORT int dup3(int from, int to, int flags)
{
    return qf_any() ? qf_dup_over(from, to, true, flags) : QF_REAL(dup3)(from, to, flags);
}

static int qf_fcntl_dup(int fd, int command, void *arg)
{
    QF_COPY(fd, QF_REAL(fcntl)(fd, command, arg));
}

static int qf_fcntl(int fd, int command, void *arg)
{
    if (!qf_is_quic(fd)) {
        return QF_REAL(fcntl)(fd, command, arg);
    }
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) {
        return qf_fcntl_dup(fd, command, arg);
    }
    int rc = QF_REAL(fcntl)(fd, command, arg);
    if (rc == 0 && command == F_SETFL) {
        bool dead = false;
        qf_entry *entry = qf_get(fd, &dead);
        if (entry != NULL) {
            entry->ops->set_nonblock(entry->sock, ((long)(intptr_t)arg & O_NONBLOCK) != 0);
            qf_put(entry);
        }
    }
    return rc;
}

QF_EXPORT int fcntl(int fd, int command, ...)
{
    va_list args;
    va_start(args, command);
    void *arg = va_arg(args, void *);
    va_end(args);
    return qf_fcntl(fd, command, arg);
}

QF_EXPORT int fcntl64(int fd, int command, ...)
{
    va_list args;
    va_start(args, command);
    void *arg = va_arg(args, void *);
    va_end(args);
    return qf_fcntl(fd, command, arg);
}

/* ---- over UNIX sockets -------------------------------------------------------------------------------------- */

static void qf_each_right(const struct msghdr *msg, void (*look)(int fd))
{
    struct msghdr m = *msg;
    const char *end = (const char *)m.msg_control + m.msg_controllen;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_len < CMSG_LEN(0) || c->cmsg_len > (size_t)(end - (const char *)c)) {
            return; /* what is sent has not been judged by the kernel yet */
        }
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
            look(fd);
        }
    }
}

void qf_rights_sent(const struct msghdr *msg)
{
    if (msg != NULL && msg->msg_control != NULL) {
        qf_each_right(msg, qf_sent);
    }
}

void qf_rights_received(const struct msghdr *msg)
{
    if (msg->msg_control != NULL) {
        qf_each_right(msg, qf_received);
    }
}

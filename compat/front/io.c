/* send and recv in all their forms, and read and write. */
#include "compat/front/io.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <sys/sendfile.h>
#include <time.h>

#include "compat/front/call.h"
#include "compat/front/fd.h"

#define QF_NS_PER_S 1000000000
#define QF_LONG_S   ((time_t)1 << 32) /* nobody waits longer */

/* draft section 3.1.8; as for TCP a closed connection also raises SIGPIPE. */
ssize_t qf_send(const qf_entry *entry, const struct msghdr *msg, int flags)
{
    if (msg == NULL) {
        return (ssize_t)qf_result(-EFAULT);
    }
    ssize_t rc = entry->ops->sendmsg(entry->sock, msg, flags);
    if (rc == -EPIPE && (flags & MSG_NOSIGNAL) == 0) {
        (void)raise(SIGPIPE);
    }
    return (ssize_t)qf_result(rc);
}

ssize_t qf_recv(const qf_entry *entry, struct msghdr *msg, int flags)
{
    if (msg == NULL) {
        return (ssize_t)qf_result(-EFAULT);
    }
    return (ssize_t)qf_result(entry->ops->recvmsg(entry->sock, msg, flags));
}

static struct msghdr qf_msg_of(const struct iovec *iov, int count)
{
    struct msghdr msg;
    memset(&msg, 0, sizeof(msg));
    msg.msg_iov = (struct iovec *)(uintptr_t)iov;
    msg.msg_iovlen = (size_t)count;
    return msg;
}

/* Of readv and writev; sendmsg and recvmsg say EMSGSIZE. */
static bool qf_is_iov_count(int count)
{
    return count >= 0 && count <= IOV_MAX;
}

static ssize_t qf_send_iov(qf_entry *entry, const struct iovec *iov, int count, int flags)
{
    struct msghdr msg = qf_msg_of(iov, count);
    ssize_t rc = qf_is_iov_count(count) ? qf_send(entry, &msg, flags) : (ssize_t)qf_result(-EINVAL);
    qf_put(entry);
    return rc;
}

static ssize_t qf_recv_iov(qf_entry *entry, const struct iovec *iov, int count, int flags)
{
    struct msghdr msg = qf_msg_of(iov, count);
    ssize_t rc = qf_is_iov_count(count) ? qf_recv(entry, &msg, flags) : (ssize_t)qf_result(-EINVAL);
    qf_put(entry);
    return rc;
}

/* read and readv, which ask a socket for nothing when nothing is wanted. */
static ssize_t qf_read_iov(qf_entry *entry, const struct iovec *iov, int count)
{
    size_t total = 0;
    for (int i = 0; iov != NULL && i < count && total == 0; i++) {
        total = iov[i].iov_len;
    }
    if (total == 0 && qf_is_iov_count(count)) {
        qf_put(entry);
        return 0;
    }
    return qf_recv_iov(entry, iov, count, 0);
}

static ssize_t qf_send_bytes(qf_entry *entry, const void *data, size_t len, int flags)
{
    struct iovec iov = {(void *)(uintptr_t)data, len};
    return qf_send_iov(entry, &iov, 1, flags);
}

static ssize_t qf_recv_bytes(qf_entry *entry, void *data, size_t len, int flags)
{
    struct iovec iov = {data, len};
    return qf_recv_iov(entry, &iov, 1, flags);
}

/* `engine` gives the entry back. */
#define QF_IO(fd, engine, libc)                                                                    \
    do {                                                                                           \
        long qf_rc = 0;                                                                            \
        qf_entry *entry = qf_is_quic(fd) ? qf_enter(fd, &qf_rc) : NULL;                            \
        if (__builtin_expect(entry == NULL, 1)) {                                                  \
            return qf_rc != 0 ? -1 : (libc);                                                       \
        }                                                                                          \
        return engine;                                                                             \
    } while (0)

QF_EXPORT ssize_t send(int fd, const void *data, size_t len, int flags)
{
    QF_IO(fd, qf_send_bytes(entry, data, len, flags), QF_REAL(send)(fd, data, len, flags));
}

QF_EXPORT ssize_t sendto(int fd, const void *data, size_t len, int flags,
                         const struct sockaddr *addr, socklen_t addr_len)
{
    QF_IO(fd, qf_send_bytes(entry, data, len, flags),
          QF_REAL(sendto)(fd, data, len, flags, addr, addr_len));
}

QF_EXPORT ssize_t write(int fd, const void *data, size_t len)
{
    QF_IO(fd, qf_send_bytes(entry, data, len, 0), QF_REAL(write)(fd, data, len));
}

QF_EXPORT ssize_t writev(int fd, const struct iovec *iov, int count)
{
    QF_IO(fd, qf_send_iov(entry, iov, count, 0), QF_REAL(writev)(fd, iov, count));
}

QF_EXPORT ssize_t recv(int fd, void *data, size_t len, int flags)
{
    QF_IO(fd, qf_recv_bytes(entry, data, len, flags), QF_REAL(recv)(fd, data, len, flags));
}

static ssize_t qf_read(qf_entry *entry, void *data, size_t len)
{
    struct iovec iov = {data, len};
    return qf_read_iov(entry, &iov, 1);
}

QF_EXPORT ssize_t read(int fd, void *data, size_t len)
{
    QF_IO(fd, qf_read(entry, data, len), QF_REAL(read)(fd, data, len));
}

QF_EXPORT ssize_t readv(int fd, const struct iovec *iov, int count)
{
    QF_IO(fd, qf_read_iov(entry, iov, count), QF_REAL(readv)(fd, iov, count));
}

static ssize_t qf_recv_from(qf_entry *entry, void *data, size_t len, int flags, socklen_t *addr_len)
{
    if (addr_len != NULL) {
        *addr_len = 0; /* the peer of a connection is known: nothing is filled in */
    }
    return qf_recv_bytes(entry, data, len, flags);
}

QF_EXPORT ssize_t recvfrom(int fd, void *data, size_t len, int flags, struct sockaddr *addr,
                           socklen_t *addr_len)
{
    QF_IO(fd, qf_recv_from(entry, data, len, flags, addr_len),
          QF_REAL(recvfrom)(fd, data, len, flags, addr, addr_len));
}

QF_EXPORT ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    long rc = 0;
    qf_entry *entry = qf_is_quic(fd) ? qf_enter(fd, &rc) : NULL;
    if (entry == NULL) {
        if (qf_any() && rc == 0) {
            qf_rights_sent(msg);
        }
        return rc != 0 ? -1 : QF_REAL(sendmsg)(fd, msg, flags);
    }
    ssize_t sent = qf_send(entry, msg, flags);
    qf_put(entry);
    return sent;
}

QF_EXPORT ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    long rc = 0;
    qf_entry *entry = qf_is_quic(fd) ? qf_enter(fd, &rc) : NULL;
    if (entry == NULL) {
        ssize_t n = rc != 0 ? -1 : QF_REAL(recvmsg)(fd, msg, flags);
        if (qf_any() && n >= 0) {
            qf_rights_received(msg);
        }
        return n;
    }
    ssize_t got = qf_recv(entry, msg, flags);
    qf_put(entry);
    return got;
}

QF_EXPORT int sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    long rc = 0;
    qf_entry *entry = qf_is_quic(fd) ? qf_enter(fd, &rc) : NULL;
    if (entry == NULL) {
        for (unsigned i = 0; qf_any() && rc == 0 && i < count; i++) {
            qf_rights_sent(&msgs[i].msg_hdr);
        }
        return rc != 0 ? -1 : QF_REAL(sendmmsg)(fd, msgs, count, flags);
    }
    unsigned done = 0;
    for (; done < count; done++) {
        ssize_t sent = qf_send(entry, &msgs[done].msg_hdr, flags);
        if (sent < 0) {
            break;
        }
        msgs[done].msg_len = (unsigned)sent;
    }
    qf_put(entry);
    return done > 0 || count == 0 ? (int)done : -1;
}

/* recvmmsg(2): looked at after each message, and what is left of it is told. */
static bool qf_time_left(struct timespec *left, const struct timespec *until)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    left->tv_sec = until->tv_sec - now.tv_sec;
    left->tv_nsec = until->tv_nsec - now.tv_nsec;
    if (left->tv_nsec < 0) {
        left->tv_sec--;
        left->tv_nsec += QF_NS_PER_S;
    }
    if (left->tv_sec < 0) {
        memset(left, 0, sizeof(*left));
    }
    return left->tv_sec > 0 || left->tv_nsec > 0;
}

static bool qf_time_until(struct timespec *until, const struct timespec *timeout)
{
    if (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec >= QF_NS_PER_S) {
        errno = EINVAL;
        return false;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, until);
    until->tv_sec += timeout->tv_sec < QF_LONG_S ? timeout->tv_sec : QF_LONG_S;
    until->tv_nsec += timeout->tv_nsec;
    if (until->tv_nsec >= QF_NS_PER_S) {
        until->tv_sec++;
        until->tv_nsec -= QF_NS_PER_S;
    }
    return true;
}

QF_EXPORT int recvmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags,
                       struct timespec *timeout)
{
    long rc = 0;
    qf_entry *entry = qf_is_quic(fd) ? qf_enter(fd, &rc) : NULL;
    if (entry == NULL) {
        int n = rc != 0 ? -1 : QF_REAL(recvmmsg)(fd, msgs, count, flags, timeout);
        for (int i = 0; qf_any() && i < n; i++) {
            qf_rights_received(&msgs[i].msg_hdr);
        }
        return n;
    }
    struct timespec until;
    if (timeout != NULL && !qf_time_until(&until, timeout)) {
        qf_put(entry);
        return -1;
    }
    unsigned done = 0;
    bool goes_on = true;
    while (goes_on && done < count) {
        ssize_t got = qf_recv(entry, &msgs[done].msg_hdr, flags & ~MSG_WAITFORONE);
        if (got < 0) {
            break;
        }
        msgs[done++].msg_len = (unsigned)got;
        flags |= (flags & MSG_WAITFORONE) != 0 ? MSG_DONTWAIT : 0;
        goes_on = timeout == NULL || qf_time_left(timeout, &until);
    }
    qf_put(entry);
    return done > 0 || count == 0 ? (int)done : -1;
}

/* Through a buffer: the engine has no way from a file to its own. */
static ssize_t qf_sendfile(qf_entry *entry, int from, off_t *offset, size_t count)
{
    char buf[65536];
    size_t done = 0;
    ssize_t rc = 0;
    while (done < count) {
        size_t want = count - done < sizeof(buf) ? count - done : sizeof(buf);
        int state = qf_hold();
        ssize_t got =
            offset != NULL ? pread(from, buf, want, *offset) : QF_REAL(read)(from, buf, want);
        qf_let(state);
        if (got <= 0) {
            rc = got;
            break;
        }
        struct iovec iov = {buf, (size_t)got};
        struct msghdr msg;
        memset(&msg, 0, sizeof(msg));
        msg.msg_iov = &iov;
        msg.msg_iovlen = 1;
        rc = qf_send(entry, &msg, 0);
        if (rc > 0) {
            done += (size_t)rc;
        }
        if (offset != NULL && rc > 0) {
            *offset += rc;
        } else if (offset == NULL && rc < got) {
            (void)lseek(from, (rc > 0 ? rc : 0) - got, SEEK_CUR);
        }
        if (rc < got) {
            break;
        }
    }
    qf_put(entry);
    return done > 0 ? (ssize_t)done : rc;
}

QF_EXPORT ssize_t sendfile(int fd, int from, off_t *offset, size_t count)
{
    if (qf_is_quic(from)) {
        errno = EINVAL; /* as from any socket */
        return -1;
    }
    QF_IO(fd, qf_sendfile(entry, from, offset, count), QF_REAL(sendfile)(fd, from, offset, count));
}

/* Without pages to move: EINVAL, as for files that cannot; never the pair underneath. */
QF_EXPORT ssize_t splice(int from, off_t *from_at, int to, off_t *to_at, size_t len, unsigned flags)
{
    if (qf_is_quic(from) || qf_is_quic(to)) {
        errno = EINVAL;
        return -1;
    }
    return QF_REAL(splice)(from, from_at, to, to_at, len, flags);
}

/* Offset -1 is readv and writev; sockets have no other. */
static ssize_t qf_recv_at(qf_entry *entry, const struct iovec *iov, int count, off_t at, int flags)
{
    int error = at != -1 ? ESPIPE : flags != 0 ? EOPNOTSUPP : 0;
    if (error != 0) {
        qf_put(entry);
        return (ssize_t)qf_result(-error);
    }
    return qf_read_iov(entry, iov, count);
}

static ssize_t qf_send_at(qf_entry *entry, const struct iovec *iov, int count, off_t at, int flags)
{
    int error = at != -1 ? ESPIPE : flags != 0 ? EOPNOTSUPP : 0;
    if (error != 0) {
        qf_put(entry);
        return (ssize_t)qf_result(-error);
    }
    return qf_send_iov(entry, iov, count, 0);
}

QF_EXPORT ssize_t preadv2(int fd, const struct iovec *iov, int count, off_t at, int flags)
{
    QF_IO(fd, qf_recv_at(entry, iov, count, at, flags),
          QF_REAL(preadv2)(fd, iov, count, at, flags));
}

QF_EXPORT ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t at, int flags)
{
    QF_IO(fd, qf_send_at(entry, iov, count, at, flags),
          QF_REAL(pwritev2)(fd, iov, count, at, flags));
}

/* The names that programs with 64-bit file offsets use; off_t has them anyway. */
QF_EXPORT ssize_t sendfile64(int fd, int from, off64_t *offset, size_t count)
{
    return sendfile(fd, from, offset, count);
}

QF_EXPORT ssize_t preadv64v2(int fd, const struct iovec *iov, int count, off64_t at, int flags)
{
    return preadv2(fd, iov, count, at, flags);
}

QF_EXPORT ssize_t pwritev64v2(int fd, const struct iovec *iov, int count, off64_t at, int flags)
{
    return pwritev2(fd, iov, count, at, flags);
}

/* ---- what fortified programs call ------------------------------------------------------------------------ */

ssize_t __read_chk(int fd, void *data, size_t len, size_t room);
ssize_t __recv_chk(int fd, void *data, size_t len, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *data, size_t len, size_t room, int flags,
                       struct sockaddr *addr, socklen_t *addr_len);
void __chk_fail(void) __attribute__((noreturn));

QF_EXPORT ssize_t __read_chk(int fd, void *data, size_t len, size_t room)
{
    if (len > room) {
        __chk_fail();
    }
    return read(fd, data, len);
}

QF_EXPORT ssize_t __recv_chk(int fd, void *data, size_t len, size_t room, int flags)
{
    if (len > room) {
        __chk_fail();
    }
    return recv(fd, data, len, flags);
}

QF_EXPORT ssize_t __recvfrom_chk(int fd, void *data, size_t len, size_t room, int flags,
                                 struct sockaddr *addr, socklen_t *addr_len)
{
    if (len > room) {
        __chk_fail();
    }
    return recvfrom(fd, data, len, flags, addr, addr_len);
}

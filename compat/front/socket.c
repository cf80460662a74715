/* socket, bind, listen, accept, connect, shutdown, names, options, ioctl. */
#include "compat/front/socket.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include "compat/front/call.h"
#include "compat/front/lend.h"

#define QF_PAIR_BUF 1 /* the kernel makes it its smallest */

/* ---- descriptors ------------------------------------------------------------------------------------ */

/* The pair of descriptors of a socket: the program's, and the engine's end. */
static int qf_make_pair(int pair[2], int flags)
{
    int small = QF_PAIR_BUF;
    int made[2];
    int rc = QF_REAL(socketpair)(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, made);
    if (rc != 0) {
        return -1;
    }
    (void)QF_REAL(setsockopt)(made[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    if ((flags & SOCK_CLOEXEC) == 0) {
        (void)QF_REAL(fcntl)(made[0], F_SETFD, 0);
    }
    if ((flags & SOCK_NONBLOCK) != 0) {
        (void)QF_REAL(fcntl)(made[0], F_SETFL, O_RDWR | O_NONBLOCK);
    }
    pair[0] = made[0];
    /* Out of the way of programs that count on small numbers. */
    int high = QF_REAL(fcntl)(made[1], F_DUPFD_CLOEXEC, 512);
    if (high >= 0) {
        QF_REAL(close)(made[1]);
        made[1] = high;
    }
    pair[1] = made[1];
    qf_owned_note(pair[1]);
    return 0;
}

/* Gives a new socket its descriptor. Who holds: a child of fork has the engine's end where that is attached, and closes
 * it, or not at all. */
static int qf_publish_held(qs_sock *sock, int protocol, int flags)
{
    int pair[2];
    if (qf_make_pair(pair, flags) != 0) {
        return -1;
    }
    qf_entry *entry = qf_new(pair[0], sock, protocol, qf_engine());
    if (entry == NULL) {
        int error = errno;
        QF_REAL(close)(pair[0]);
        QF_REAL(close)(pair[1]);
        errno = error;
        return -1;
    }
    qf_engine()->set_nonblock(sock, (flags & SOCK_NONBLOCK) != 0);
    bool watched = qf_engine()->attach(sock, pair[1], pair[0], entry);
    qf_show(entry, pair[0]);
    qf_watched(entry, watched);
    return pair[0];
}

static int qf_publish(qs_sock *sock, int protocol, int flags)
{
    int fd = -1;
    for (int tries = 0; fd < 0 && tries < 2; tries++) {
        const bool held = qf_engine()->hold_fds();
        fd = qf_publish_held(sock, protocol, flags);
        qf_engine()->let_fds(held);
        if (fd < 0 && errno != EMFILE) {
            return -1;
        }
        if (fd < 0 && tries == 0) {
            qf_reclaim(); /* leaves errno */
        }
    }
    return fd;
}

static int qf_socket(int domain, int type, int protocol)
{
    const qs_ops *ops = qf_engine_load();
    qs_sock *sock = NULL;
    const int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (ops == NULL || qf_result(ops->create(&sock, domain, kind, protocol)) != 0) {
        return -1;
    }
    int fd = qf_publish(sock, protocol, type);
    if (fd < 0) {
        int error = errno;
        ops->close(sock);
        ops->release(sock);
        errno = error;
    }
    return fd;
}

QF_EXPORT int socket(int domain, int type, int protocol)
{
    if (protocol != QS_PROTO_DRAFT && protocol != QS_PROTO_KERNEL) {
        return QF_REAL(socket)(domain, type, protocol);
    }
    int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (domain != AF_INET && domain != AF_INET6) {
        errno = domain == AF_UNIX ? EPROTONOSUPPORT : EAFNOSUPPORT;
        return -1;
    }
    if (kind != SOCK_STREAM && kind != SOCK_DGRAM) {
        errno = ESOCKTNOSUPPORT;
        return -1;
    }
    int state = qf_hold();
    int fd = qf_socket(domain, type, protocol);
    qf_let(state);
    return fd;
}

QF_EXPORT int socketpair(int domain, int type, int protocol, int fds[2])
{
    if (protocol == QS_PROTO_DRAFT || protocol == QS_PROTO_KERNEL) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return QF_REAL(socketpair)(domain, type, protocol, fds);
}

/* A number of bytes for the program. */
static int qf_count(int *to, int count)
{
    if (count >= 0 && to != NULL) {
        *to = count;
    }
    return (int)qf_result(count < 0 ? count : to == NULL ? -EFAULT : 0);
}

static int qf_ioctl(qf_entry *entry, int fd, unsigned long request, void *arg)
{
    const qs_ops *ops = entry->ops;
    switch (request) {
    case FIONBIO: {
        int rc = QF_REAL(ioctl)(fd, request, arg);
        if (rc == 0) {
            ops->set_nonblock(entry->sock, *(const int *)arg != 0);
        }
        return rc;
    }
    case FIONREAD:
        return qf_count(arg, ops->inq(entry->sock));
    case SIOCOUTQ:
        return qf_count(arg, ops->outq(entry->sock, false));
    case SIOCOUTQNSD:
        return qf_count(arg, ops->outq(entry->sock, true));
    default:
        return QF_REAL(ioctl)(fd, request, arg);
    }
}

QF_EXPORT int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    va_start(args, request);
    void *arg = va_arg(args, void *);
    va_end(args);
    long result = 0;
    qf_entry *entry = qf_is_quic(fd) ? qf_enter(fd, &result) : NULL;
    if (entry == NULL) {
        return result != 0 ? -1 : QF_REAL(ioctl)(fd, request, arg);
    }
    result = qf_ioctl(entry, fd, request, arg);
    qf_put(entry);
    return (int)result;
}

/* ---- calls that go straight on ------------------------------------------------------------------------- */

/* The body of an interposed call: `engine` for a QUIC socket, `libc` for every other descriptor. Here none waits
 * for a peer: to be cancelled is for the calls that do. */
#define QF_CALL(fd, engine, libc)                                                                  \
    do {                                                                                           \
        long qf_rc = 0;                                                                            \
        qf_entry *entry = qf_is_quic(fd) ? qf_enter(fd, &qf_rc) : NULL;                            \
        if (__builtin_expect(entry == NULL, 1)) {                                                  \
            return qf_rc != 0 ? -1 : (libc);                                                       \
        }                                                                                          \
        const qs_ops *ops = entry->ops;                                                            \
        qs_sock *sock = entry->sock;                                                               \
        int qf_state = qf_hold();                                                                  \
        qf_rc = qf_result(engine);                                                                 \
        qf_let(qf_state);                                                                          \
        qf_put(entry);                                                                             \
        return (int)qf_rc;                                                                         \
    } while (0)

QF_EXPORT int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    QF_CALL(fd, ops->bind(sock, addr, len), QF_REAL(bind)(fd, addr, len));
}

QF_EXPORT int listen(int fd, int backlog)
{
    QF_CALL(fd, ops->listen(sock, backlog), QF_REAL(listen)(fd, backlog));
}

QF_EXPORT int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    if (qf_is_quic(fd)) {
        pthread_testcancel();
    }
    QF_CALL(fd, ops->connect(sock, addr, len), QF_REAL(connect)(fd, addr, len));
}

QF_EXPORT int shutdown(int fd, int how)
{
    QF_CALL(fd, ops->shutdown(sock, how), QF_REAL(shutdown)(fd, how));
}

QF_EXPORT int getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
    QF_CALL(fd, ops->getname(sock, false, addr, len), QF_REAL(getsockname)(fd, addr, len));
}

QF_EXPORT int getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
    QF_CALL(fd, ops->getname(sock, true, addr, len), QF_REAL(getpeername)(fd, addr, len));
}

QF_EXPORT int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    long rc = 0;
    qf_entry *entry = qf_is_quic(fd) ? qf_enter(fd, &rc) : NULL;
    if (__builtin_expect(entry == NULL, 1)) {
        return rc != 0 ? -1 : QF_REAL(getsockopt)(fd, level, name, value, len);
    }
    /* Not shielded: QUIC_SOCKOPT_STREAM_OPEN waits for the peer. */
    rc = qf_result(entry->ops->getsockopt(entry->sock, level, name, value, len));
    qf_put(entry);
    return (int)rc;
}

QF_EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    QF_CALL(fd, ops->setsockopt(sock, level, name, value, len),
            QF_REAL(setsockopt)(fd, level, name, value, len));
}

long qf_accept(const qf_entry *entry, struct sockaddr *addr, socklen_t *len, int flags)
{
    const qs_ops *ops = entry->ops;
    qs_sock *conn = NULL;
    if (ops == &qf_borrowed_ops) {
        return qf_result(qf_borrowed_accept(entry, addr, len, flags));
    }
    long rc = qf_result(ops->accept(entry->sock, &conn, addr, len));
    if (rc != 0) {
        return rc;
    }
    int state = qf_hold(); /* else nobody would have it */
    int protocol = atomic_load_explicit(&entry->protocol, memory_order_relaxed);
    int fd = qf_publish(conn, protocol, flags);
    if (fd < 0) {
        int error = errno;
        ops->unaccept(entry->sock, conn); /* it stays in the queue */
        errno = error;
    }
    qf_let(state);
    return fd;
}

/* A point of cancellation, also when somebody waits in the queue. */
static qf_entry *qf_accept_enter(int fd, long *result)
{
    if (!qf_is_quic(fd)) {
        return NULL;
    }
    pthread_testcancel();
    return qf_enter(fd, result);
}

QF_EXPORT int accept(int fd, struct sockaddr *addr, socklen_t *len)
{
    long rc = 0;
    qf_entry *entry = qf_accept_enter(fd, &rc);
    if (entry == NULL) {
        return rc != 0 ? -1 : QF_REAL(accept)(fd, addr, len);
    }
    rc = qf_accept(entry, addr, len, 0);
    qf_put(entry);
    return (int)rc;
}

QF_EXPORT int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    long rc = 0;
    qf_entry *entry = qf_accept_enter(fd, &rc);
    if (entry == NULL) {
        return rc != 0 ? -1 : QF_REAL(accept4)(fd, addr, len, flags);
    }
    rc = (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != 0 ? qf_result(-EINVAL)
                                                        : qf_accept(entry, addr, len, flags);
    qf_put(entry);
    return (int)rc;
}

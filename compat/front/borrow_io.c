/* Sending and receiving on a borrowed socket: the lender takes and gives what it can at once, and who wants more waits
 * here, for the descriptor. */
#define QUIC_NO_GNUTLS
#include <fcntl.h>
#include <limits.h>
#include <netinet/quic.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "compat/front/borrow.h"
#include "compat/front/call.h"
#include "compat/front/lend_handshake.h"

#define QF_NS_PER_S  1000000000ull
#define QF_NS_PER_US 1000ull
#define QF_NAP_NS    2000000
#define QF_TURNS     16 /* for nothing, until it rests */

/* Both sets of names have these. */
#define QF_STREAM_NEW 0x400u
#define QF_STREAM_FIN 0x200u

static uint64_t qf_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * QF_NS_PER_S + (uint64_t)now.tv_nsec;
}

/* ---- waiting ---------------------------------------------------------------------------------------------- */

static void qf_wait_cancelled(void *arg)
{
    qf_put(arg); /* the call ends here */
}

/* Without a limit the kernel restarts it after a handler with SA_RESTART, as it does a socket's calls: poll it never
 * restarts. */
static int qf_wait_byte(int fd)
{
    char c;
    return QF_REAL(recv)(fd, &c, 1, MSG_PEEK) < 0 ? -errno : 0;
}

static int qf_wait_poll(int fd, short events, uint64_t deadline_ns)
{
    struct pollfd p = {fd, events, 0};
    struct timespec left = {0, 0};
    if (deadline_ns != 0) {
        uint64_t now = qf_now_ns();
        uint64_t ns = now < deadline_ns ? deadline_ns - now : 0;
        left.tv_sec = (time_t)(ns / QF_NS_PER_S);
        left.tv_nsec = (long)(ns % QF_NS_PER_S);
    }
    int rc = QF_REAL(ppoll)(&p, 1, deadline_ns != 0 ? &left : NULL, NULL);
    return rc < 0 ? -errno : rc == 0 ? -EAGAIN : 0;
}

int qf_borrowed_wait(const qf_borrowed *b, short events, uint64_t deadline_ns)
{
    const int fd = b->fd;
    int rc = -EBADF;
    int mode = fd >= 0 ? QF_REAL(fcntl)(fd, F_GETFL) : -1;
    if (mode < 0 || (mode & O_NONBLOCK) != 0) {
        return mode < 0 ? -EBADF : -EAGAIN;
    }
    pthread_cleanup_push(qf_wait_cancelled, b->entry);
    rc = events == POLLIN && deadline_ns == 0 ? qf_wait_byte(fd)
                                              : qf_wait_poll(fd, events, deadline_ns);
    pthread_cleanup_pop(0);
    return rc == -EINTR || (rc == -EAGAIN && deadline_ns != 0) ? rc : 0;
}

int qf_borrowed_nap(const qf_borrowed *b, int level, int name)
{
    const struct timespec nap = {0, QF_NAP_NS};
    int mode = QF_REAL(fcntl)(b->fd, F_GETFL);
    if ((level != SOL_QUIC && level != QS_PROTO_KERNEL) || name != QUIC_SOCKOPT_STREAM_OPEN ||
        mode < 0 || (mode & O_NONBLOCK) != 0) {
        return -EAGAIN;
    }
    return nanosleep(&nap, NULL) == 0 ? 0 : -EINTR;
}

/* SO_RCVTIMEO or SO_SNDTIMEO as a time; 0: none. */
static uint64_t qf_time_limit(qs_sock *sock, int name)
{
    struct timeval tv;
    socklen_t len = sizeof(tv);
    memset(&tv, 0, sizeof(tv));
    if (((qf_borrowed *)(void *)sock)->entry->ops->getsockopt(sock, SOL_SOCKET, name, &tv, &len) !=
        0) {
        return 0;
    }
    uint64_t ns = (uint64_t)tv.tv_sec * QF_NS_PER_S + (uint64_t)tv.tv_usec * QF_NS_PER_US;
    return ns != 0 ? qf_now_ns() + ns : 0;
}

/* Of one call: asked for when it has to wait. */
typedef struct qf_patience {
    uint64_t deadline_ns;
    bool known;
    uint32_t turns;
} qf_patience;

/* A process that ended in the middle of a call has left a sign at the descriptor that is not true: it shall cost no more
 * than a look now and then. */
static int qf_rest(uint32_t *turns)
{
    const struct timespec nap = {0, QF_NAP_NS};
    if (++*turns < QF_TURNS) {
        return 0;
    }
    int state = qf_hold(); /* the wait that follows is the point of cancellation */
    int rc = nanosleep(&nap, NULL);
    qf_let(state);
    return rc == 0 ? 0 : -EINTR;
}

static int qf_be_patient(qf_patience *p, qs_sock *sock, short events)
{
    if (!p->known) {
        p->known = true;
        p->deadline_ns = qf_time_limit(sock, events == POLLIN ? SO_RCVTIMEO : SO_SNDTIMEO);
    }
    int rc = qf_rest(&p->turns);
    return rc == 0 ? qf_borrowed_wait((qf_borrowed *)(void *)sock, events, p->deadline_ns) : rc;
}

/* ---- the parts of a message ------------------------------------------------------------------------------- */

/* -EMSGSIZE, -EINVAL, -EFAULT as of sendmsg(2). */
static ssize_t qf_total(const struct msghdr *msg)
{
    size_t total = 0;
    if (msg->msg_iovlen > 1024) {
        return -EMSGSIZE;
    }
    if (msg->msg_iovlen > 0 && msg->msg_iov == NULL) {
        return -EFAULT;
    }
    for (size_t i = 0; i < msg->msg_iovlen; i++) {
        const struct iovec *iov = &msg->msg_iov[i];
        if (iov->iov_len > (size_t)SSIZE_MAX - total) {
            return -EINVAL;
        }
        if (iov->iov_base == NULL && iov->iov_len > 0) {
            return -EFAULT;
        }
        total += iov->iov_len;
    }
    return (ssize_t)total;
}

/* Copies between the parts, from `skip` bytes on, and the body. */
static void qf_parts(const struct msghdr *msg, size_t skip, uint8_t *body, size_t len, bool out)
{
    for (size_t i = 0; i < msg->msg_iovlen && len > 0; i++) {
        const struct iovec *iov = &msg->msg_iov[i];
        if (skip >= iov->iov_len) {
            skip -= iov->iov_len;
            continue;
        }
        uint8_t *part = (uint8_t *)iov->iov_base + skip;
        size_t n = iov->iov_len - skip < len ? iov->iov_len - skip : len;
        memcpy(out ? part : body, out ? body : part, n);
        skip = 0;
        body += n;
        len -= n;
    }
}

/* ---- sending ---------------------------------------------------------------------------------------------- */

typedef struct qf_sending {
    const struct msghdr *msg;
    size_t total;
    size_t done;
    uint64_t stream_id; /* once it has begun */
    int flags;
} qf_sending;

/* The stream's number and flags in the ancillary data; NULL: there are none. */
static struct quic_stream_info *qf_info_in(uint8_t *control, size_t len)
{
    struct msghdr m;
    memset(&m, 0, sizeof(m));
    m.msg_control = control;
    m.msg_controllen = len;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c)) {
        if ((c->cmsg_level == SOL_QUIC || c->cmsg_level == QS_PROTO_KERNEL) &&
            c->cmsg_type == QUIC_STREAM_INFO && c->cmsg_len >= CMSG_LEN(12)) {
            return (struct quic_stream_info *)(void *)CMSG_DATA(c);
        }
    }
    return NULL;
}

/* What is left of a message that has begun is for the stream that took its beginning. */
static void qf_say_rest(const qf_sending *sending, qf_ask *ask, uint8_t *control)
{
    struct msghdr m;
    struct quic_stream_info info;
    const struct quic_stream_info *said = qf_info_in(control, ask->len.control);
    const uint32_t flags = said != NULL ? said->stream_flag : (uint32_t)ask->arg[0];
    memset(&info, 0, sizeof(info));
    memset(&m, 0, sizeof(m));
    info.stream_id = sending->stream_id;
    info.stream_flag = flags & QF_STREAM_FIN;
    m.msg_control = control;
    m.msg_controllen = CMSG_SPACE(sizeof(info));
    memset(control, 0, m.msg_controllen);
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&m);
    cmsg->cmsg_level = SOL_QUIC;
    cmsg->cmsg_type = QUIC_STREAM_INFO;
    cmsg->cmsg_len = CMSG_LEN(sizeof(info));
    memcpy(CMSG_DATA(cmsg), &info, sizeof(info));
    ask->len.control = (uint32_t)m.msg_controllen;
    ask->arg[0] &= MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE;
}

/* More follows: the stream does not end here. */
static void qf_say_more(qf_ask *ask, uint8_t *control)
{
    struct quic_stream_info *info = qf_info_in(control, ask->len.control);
    if (info != NULL) {
        info->stream_flag &= ~QF_STREAM_FIN;
    }
    ask->arg[0] &= ~(int)QF_STREAM_FIN;
}

/* One piece. */
static int64_t qf_send_piece(qs_sock *sock, qf_sending *sending)
{
    qf_borrowed *b = (qf_borrowed *)(void *)sock;
    const struct msghdr *msg = sending->msg;
    const size_t left = sending->total - sending->done;
    qf_asking asking;
    qf_told told;
    qf_ask *ask = &asking.ask;
    qf_body *body = qf_ask_begin(b, &asking, QF_VERB_SEND);
    ask->arg[0] = sending->flags;
    ask->len.control = (uint32_t)msg->msg_controllen;
    if (msg->msg_controllen > 0) {
        memcpy(body->bytes, msg->msg_control, msg->msg_controllen);
    }
    if (left > QF_WIRE_DATA) {
        qf_say_more(ask, body->bytes);
    }
    if (sending->done > 0) {
        qf_say_rest(sending, ask, body->bytes);
    }
    ask->len.data = (uint32_t)(left < QF_WIRE_DATA ? left : QF_WIRE_DATA);
    qf_parts(msg, sending->done, qf_body_data(body, &ask->len), ask->len.data, false);
    int64_t rc = qf_ask_now(b, &asking, &told, NULL);
    qf_ask_end(b, &asking);
    sending->stream_id = rc > 0 ? told.stream_id : sending->stream_id;
    return rc;
}

ssize_t qf_borrowed_sendmsg(qs_sock *sock, const struct msghdr *msg, int flags)
{
    ssize_t total = qf_total(msg);
    qf_sending sending = {msg, (size_t)total, 0, 0, flags};
    qf_patience patience = {0, false, 0};
    if (total < 0) {
        return total;
    }
    if (msg->msg_controllen > QF_WIRE_CONTROL ||
        (msg->msg_controllen > 0 && msg->msg_control == NULL)) {
        return msg->msg_control == NULL ? -EFAULT : -EINVAL;
    }
    int64_t rc = 0;
    bool again = true;
    while (again) {
        rc = qf_send_piece(sock, &sending);
        sending.done += rc > 0 ? (size_t)rc : 0;
        patience.turns = rc > 0 ? 0 : patience.turns;
        again = rc > 0 && sending.done < sending.total;
        if (rc == -EAGAIN && (flags & MSG_DONTWAIT) == 0) {
            rc = qf_be_patient(&patience, sock, POLLOUT);
            again = rc == 0;
        }
    }
    return sending.done > 0 ? (ssize_t)sending.done : (ssize_t)rc;
}

/* ---- receiving -------------------------------------------------------------------------------------------- */

typedef struct qf_receiving {
    struct msghdr *msg;
    size_t room;
    size_t control; /* room */
    size_t done;
    uint64_t stream_id; /* with MSG_WAITALL, once it has begun */
    int flags;
} qf_receiving;

static int64_t qf_recv_piece(qs_sock *sock, qf_receiving *r)
{
    qf_borrowed *b = (qf_borrowed *)(void *)sock;
    qf_asking asking;
    qf_told told;
    struct msghdr *msg = r->msg;
    const size_t room = r->room - r->done;
    qf_body *body = qf_ask_begin(b, &asking, QF_VERB_RECV);
    asking.ask.arg[0] = r->flags & ~MSG_WAITALL;
    asking.ask.stream_id = r->stream_id;
    asking.ask.room.control =
        (uint32_t)(r->control < QF_WIRE_CONTROL ? r->control : QF_WIRE_CONTROL);
    asking.ask.room.data = (uint32_t)(room < QF_WIRE_DATA ? room : QF_WIRE_DATA);
    int64_t rc = qf_ask_now(b, &asking, &told, NULL);
    if (rc >= 0) {
        if (told.len.control > 0 && told.len.control <= r->control) {
            memcpy(msg->msg_control, body->bytes, told.len.control);
        }
        qf_parts(msg, r->done, qf_body_data(body, &told.len), told.len.data, true);
        msg->msg_controllen = told.len.control;
        msg->msg_namelen = 0;
        msg->msg_flags = told.flags;
        r->stream_id = told.stream_id;
    }
    qf_ask_end(b, &asking);
    return rc;
}

/* Whether a piece of that many bytes is not all that was asked for. */
static bool qf_wants_more(const qf_receiving *r, int64_t rc)
{
    return rc > 0 && (r->flags & (MSG_WAITALL | MSG_PEEK)) == MSG_WAITALL && r->done < r->room &&
           r->stream_id != UINT64_MAX && (r->msg->msg_flags & (int)QF_STREAM_FIN) == 0;
}

ssize_t qf_borrowed_recvmsg(qs_sock *sock, struct msghdr *msg, int flags)
{
    qf_patience patience = {0, false, 0};
    ssize_t room = qf_total(msg);
    size_t control = msg->msg_control != NULL ? msg->msg_controllen : 0;
    qf_receiving r = {msg, (size_t)room, control, 0, UINT64_MAX, flags};
    if (room < 0) {
        return room;
    }
    if (atomic_load(&((qf_borrowed *)(void *)sock)->entry->protocol) == QS_PROTO_KERNEL) {
        r.flags &= ~MSG_WAITALL; /* which the kernel has no use for */
    }
    int64_t rc = 0;
    for (bool again = true; again;) {
        rc = qf_recv_piece(sock, &r);
        r.done += rc > 0 ? (size_t)rc : 0;
        patience.turns = rc > 0 ? 0 : patience.turns;
        again = qf_wants_more(&r, rc);
        if (rc == -EAGAIN && (flags & MSG_DONTWAIT) == 0) {
            rc = qf_be_patient(&patience, sock, POLLIN);
            again = rc == 0;
        }
    }
    return r.done > 0 ? (ssize_t)r.done : (ssize_t)rc;
}

/* ---- handshakes ------------------------------------------------------------------------------------------- */

static bool qf_say_string(qf_body *body, uint32_t *len, const char *text)
{
    size_t more = strlen(text) + 1;
    if (more > QF_WIRE_DATA - *len) {
        return false;
    }
    memcpy(body->bytes + *len, text, more);
    *len += (uint32_t)more;
    return true;
}

/* A file's bytes, read with the rights and in the folder of this process; -errno. */
static int qf_say_file(qf_body *body, uint32_t *len, const char *name)
{
    const uint32_t start = *len;
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : 1;
    while (got > 0 && *len < QF_WIRE_DATA) {
        got = QF_REAL(read)(fd, body->bytes + *len, QF_WIRE_DATA - *len);
        *len += got > 0 ? (uint32_t)got : 0;
    }
    int rc = got < 0 ? -errno : got > 0 ? -EFBIG : (int)(*len - start);
    if (fd >= 0) {
        QF_REAL(close)(fd);
    }
    return rc;
}

static int qf_say_handshake(qf_asking *asking, qf_body *body, const qs_handshake_args *args)
{
    qf_handshake_head head = {args->is_server ? QF_SAYS_SERVER : 0, args->timeout_ms, 0, 0};
    uint32_t *len = &asking->ask.len.data;
    int rc = 0;
    *len = (uint32_t)sizeof(head);
    if (args->server_name != NULL) {
        head.says |= QF_SAYS_NAME;
        rc = qf_say_string(body, len, args->server_name) ? rc : -EINVAL;
    }
    if (args->alpn != NULL) {
        head.says |= QF_SAYS_ALPN;
        rc = qf_say_string(body, len, args->alpn) ? rc : -EINVAL;
    }
    if (rc == 0 && args->key_file != NULL) {
        head.says |= QF_SAYS_KEY;
        rc = qf_say_file(body, len, args->key_file);
        head.key_len = (uint32_t)rc;
    }
    if (rc >= 0 && args->cert_file != NULL) {
        head.says |= QF_SAYS_CERT;
        rc = qf_say_file(body, len, args->cert_file);
        head.cert_len = (uint32_t)rc;
    }
    memcpy(body->bytes, &head, sizeof(head));
    return rc < 0 ? rc : 0;
}

/* The lender's word, or the end of it. */
static int qf_hear_result(int fd)
{
    int64_t result = 0;
    ssize_t got;
    do {
        got = QF_REAL(recv)(fd, &result, sizeof(result), 0);
    } while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof(result) ? (int)result : -EBADF;
}

int qf_borrowed_handshake(qs_sock *sock, const qs_handshake_args *args)
{
    qf_borrowed *b = (qf_borrowed *)(void *)sock;
    qf_asking asking;
    qf_told told;
    int ends[2];
    if (QF_REAL(socketpair)(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return -errno;
    }
    qf_body *body = qf_ask_begin(b, &asking, QF_VERB_HANDSHAKE);
    asking.fds[asking.fd_count++] = ends[1];
    int rc = qf_say_handshake(&asking, body, args);
    rc = rc == 0 ? (int)qf_ask_now(b, &asking, &told, NULL) : rc;
    explicit_bzero(body->bytes, asking.ask.len.data); /* the key */
    qf_ask_end(b, &asking);
    QF_REAL(close)(ends[1]);
    rc = rc == 0 ? qf_hear_result(ends[0]) : rc;
    QF_REAL(close)(ends[0]);
    return rc;
}

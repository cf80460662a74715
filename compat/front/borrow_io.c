/* Sending, receiving and accepting on a borrowed socket: the lender takes and gives what it can at once, and who wants
 * more waits here, for the descriptor. */
#define QUIC_NO_GNUTLS
#include <fcntl.h>
#include <netinet/quic.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <time.h>

#include "compat/front/borrow.h"
#include "compat/front/call.h"
#include "compat/front/lend.h"
#include "compat/parts.h"

#define QF_NS_PER_S  1000000000ull
#define QF_NS_PER_US 1000ull
#define QF_NAP_NS    2000000
#define QF_TURNS     16 /* for nothing, until it rests */

/* Who polls looks again so often, whatever the descriptor says. */
#define QF_LOOK_NS QF_NS_PER_S

#define QF_STREAM_FIN 0x200u /* both sets of names have it */

static uint64_t qf_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * QF_NS_PER_S + (uint64_t)now.tv_nsec;
}

/* ---- waiting ---------------------------------------------------------------------------------------------- */

/* What a thread brings on itself, and not while it waits: crash reporters and sanitizers have handlers for these. */
static bool qf_is_fault(int sig)
{
    return sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL || sig == SIGTRAP ||
           sig == SIGSYS || sig == SIGABRT;
}

/* signal(7): a socket's calls without a time limit go on after a handler with SA_RESTART; after another one they end
 * with EINTR, as those with a limit always do, and as poll and sleep always do. Which handler it was nobody tells, but
 * what there are: where both kinds are it may have been the one that ends calls. One that has reset itself
 * (SA_RESETHAND) has left its flags; one may also set another in its place when it runs, so that it is looked before
 * the call waits, too. */
static bool qf_has_ending_handler(const qf_patience *p)
{
    sigset_t blocked = p->mask;
    struct sigaction action;
    bool ends = false;
    if (!p->holds) {
        (void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    }
    for (int sig = 1; sig <= SIGRTMAX && !ends; sig++) {
        if (qf_is_fault(sig) || sigismember(&blocked, sig) != 0 ||
            sigaction(sig, NULL, &action) != 0) {
            continue;
        }
        bool runs = (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN) ||
                    (action.sa_flags & (int)SA_RESETHAND) != 0;
        ends = runs && (action.sa_flags & SA_RESTART) == 0;
    }
    return ends;
}

/* Before one of them runs, as it may be replaced then. */
static void qf_look_for_handlers(void *patience)
{
    qf_patience *p = patience;
    if (!p->looked) {
        p->looked = true;
        p->ends = qf_has_ending_handler(p);
    }
}

/* For what the lender is asked from now on, until it is told otherwise. A look is a system call for each signal: most
 * answers are there before it is due. */
void qf_patience_ask(qf_patience *p)
{
    qf_wire_wait_with(p->holds ? &p->mask : NULL, p->looked ? NULL : qf_look_for_handlers, p);
}

void qf_patience_asked(void)
{
    qf_wire_wait_with(NULL, NULL, NULL);
}

/* 0: look again; -EINTR. */
static int qf_interrupted(const qf_patience *p)
{
    return p->deadline_ns != 0 || p->ends || qf_has_ending_handler(p) ? -EINTR : 0;
}

/* One that comes between two looks at the socket would run there, and nobody know of it: in a call that may wait
 * signals are held back but where it waits, for its descriptor or for an answer. */
void qf_patience_begin(qf_patience *p)
{
    sigset_t held;
    sigfillset(&held);
    for (int sig = 1; sig <= SIGSYS; sig++) {
        if (qf_is_fault(sig)) {
            sigdelset(&held, sig);
        }
    }
    p->holds = pthread_sigmask(SIG_BLOCK, &held, &p->mask) == 0;
    (void)qf_wire_woken();
}

void qf_patience_end(qf_patience *p)
{
    if (p->holds) {
        p->holds = false;
        (void)pthread_sigmask(SIG_SETMASK, &p->mask, NULL);
    }
}

typedef struct qf_wait {
    qf_patience *patience;
    qf_entry *entry;
} qf_wait;

static void qf_wait_cancelled(void *arg)
{
    const qf_wait *wait = arg;
    qf_patience_end(wait->patience);
    qf_put(wait->entry); /* the call ends here */
}

/* 0: look again; -EAGAIN: the time is over; -EINTR. */
static int qf_wait_poll(const qf_patience *p, int fd, short events)
{
    struct pollfd polled = {fd, events, 0};
    const uint64_t deadline_ns = p->deadline_ns;
    const uint64_t now = qf_now_ns();
    uint64_t ns =
        deadline_ns == 0 || deadline_ns - now > QF_LOOK_NS ? QF_LOOK_NS : deadline_ns - now;
    if (deadline_ns != 0 && now >= deadline_ns) {
        return -EAGAIN;
    }
    const struct timespec left = {(time_t)(ns / QF_NS_PER_S), (long)(ns % QF_NS_PER_S)};
    if (QF_REAL(ppoll)(&polled, 1, &left, p->holds ? &p->mask : NULL) >= 0) {
        return 0;
    }
    return errno == EINTR ? qf_interrupted(p) : -errno;
}

/* Without a limit the kernel restarts it after a handler with SA_RESTART, as it does a socket's calls: poll it never
 * restarts. */
static int qf_wait_byte(const qf_patience *p, int fd)
{
    char c;
    if (QF_REAL(recv)(fd, &c, 1, MSG_PEEK) >= 0) {
        return 0;
    }
    return errno == EAGAIN ? qf_wait_poll(p, fd, POLLIN) : -errno;
}

/* SO_RCVTIMEO or SO_SNDTIMEO as a time; 0: none. */
static uint64_t qf_time_limit(qf_borrowed *b, int name)
{
    struct timeval tv;
    socklen_t len = sizeof(tv);
    bool waits = false; /* not for this */
    memset(&tv, 0, sizeof(tv));
    if (qf_getsockopt_once(b, SOL_SOCKET, name, &tv, &len, &waits) != 0) {
        return 0;
    }
    uint64_t ns = (uint64_t)tv.tv_sec * QF_NS_PER_S + (uint64_t)tv.tv_usec * QF_NS_PER_US;
    return ns != 0 ? qf_now_ns() + ns : 0;
}

static int qf_nap(const qf_patience *p)
{
    const struct timespec nap = {0, QF_NAP_NS};
    return QF_REAL(ppoll)(NULL, 0, &nap, p->holds ? &p->mask : NULL) == 0 ? 0 : qf_interrupted(p);
}

/* Without events: what it waits for no descriptor tells. A sign that is not true (a process ended in the middle of a
 * call) shall cost no more than a look now and then. */
static int qf_wait_once(qf_patience *p, const qf_borrowed *b, short events)
{
    const int fd = b->fd;
    int rc = p->deadline_ns != 0 && qf_now_ns() >= p->deadline_ns ? -EAGAIN : 0;
    if (rc == 0 && (events == 0 || ++p->turns >= QF_TURNS)) {
        rc = qf_nap(p);
    }
    if (rc == 0 && events != 0) {
        rc = events == POLLIN && p->deadline_ns == 0 ? qf_wait_byte(p, fd)
                                                     : qf_wait_poll(p, fd, events);
    }
    return rc;
}

int qf_be_patient(qf_patience *p, qf_borrowed *b, short events)
{
    int rc = -EBADF;
    qf_wait wait = {p, b->entry};
    bool interrupted = qf_wire_interrupted(); /* while the lender was asked */
    if (!p->known) {
        p->known = true;
        if (events != POLLIN) { /* of recv the kernel knows */
            qf_look_for_handlers(p);
        }
        qf_patience_ask(p);
        p->deadline_ns = qf_time_limit(b, events == POLLIN ? SO_RCVTIMEO : SO_SNDTIMEO);
        qf_patience_asked();
        interrupted = qf_wire_interrupted() || interrupted;
    }
    interrupted = (p->holds && qf_wire_woken() && qf_interrupted(p) != 0) || interrupted;
    if (b->fd < 0 || interrupted) {
        return b->fd < 0 ? rc : -EINTR;
    }
    pthread_cleanup_push(qf_wait_cancelled, &wait);
    rc = qf_wait_once(p, b, events);
    pthread_cleanup_pop(0);
    return rc == -EAGAIN || rc == -EINTR ? rc : 0;
}

/* ---- the parts of a message ------------------------------------------------------------------------------- */

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
    bool waits; /* what was told is for who does not wait */
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
    info.stream_flag = flags & (QF_STREAM_FIN | MSG_DONTWAIT);
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
static int64_t qf_send_piece(qf_borrowed *b, qf_sending *sending)
{
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
    sending->waits = rc == -EAGAIN && told.waits != 0;
    sending->stream_id = rc > 0 ? told.stream_id : sending->stream_id;
    return rc;
}

ssize_t qf_borrowed_sendmsg(qs_sock *sock, const struct msghdr *msg, int flags)
{
    qf_borrowed *b = qf_borrowed_of(sock);
    qf_sending sending = {msg, 0, 0, 0, flags, false};
    qf_patience patience = {.holds = false};
    int64_t rc = qs_parts_total(msg, &sending.total);
    if (rc != 0) {
        return (ssize_t)rc;
    }
    if (msg->msg_controllen > QF_WIRE_CONTROL ||
        (msg->msg_controllen > 0 && msg->msg_control == NULL)) {
        return msg->msg_control == NULL ? -EFAULT : -EINVAL;
    }
    bool again = true;
    if ((flags & MSG_DONTWAIT) == 0) {
        qf_patience_begin(&patience);
    }
    while (again) {
        qf_patience_ask(&patience);
        rc = qf_send_piece(b, &sending);
        qf_patience_asked();
        sending.done += rc > 0 ? (size_t)rc : 0;
        patience.turns = rc > 0 ? 0 : patience.turns;
        again = rc > 0 && sending.done < sending.total;
        if (again && patience.holds) {
            qf_look_for_handlers(&patience); /* of a long message signals do not wait for the end */
        }
        if (sending.waits) {
            rc = qf_be_patient(&patience, b, POLLOUT);
            again = rc == 0;
        }
    }
    qf_patience_end(&patience);
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
    bool nowhere; /* there is no place to write: only for what is thrown away */
    bool waits;
} qf_receiving;

static int64_t qf_recv_piece(qf_borrowed *b, qf_receiving *r)
{
    qf_asking asking;
    qf_told told;
    struct msghdr *msg = r->msg;
    const size_t room = r->room - r->done;
    qf_body *body = qf_ask_begin(b, &asking, QF_VERB_RECV);
    asking.ask.arg[0] = r->flags & ~MSG_WAITALL;
    asking.ask.arg[1] = r->nowhere;
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
    r->waits = rc == -EAGAIN && told.waits != 0;
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
    qf_patience patience = {.holds = false};
    qf_borrowed *b = qf_borrowed_of(sock);
    qf_receiving r = {msg, 0, 0, 0, UINT64_MAX, flags, false, false};
    int64_t rc = qs_parts_total(msg, &r.room);
    r.nowhere = rc == -EFAULT && (flags & MSG_TRUNC) != 0 && msg->msg_iov != NULL;
    if (rc != 0 && !r.nowhere) {
        return (ssize_t)rc;
    }
    r.control = msg->msg_control != NULL ? msg->msg_controllen : 0;
    if (atomic_load(&b->entry->protocol) == QS_PROTO_KERNEL) {
        r.flags &= ~MSG_WAITALL; /* which the kernel has no use for */
    }
    for (bool again = true; again;) {
        rc = qf_recv_piece(b, &r);
        r.done += rc > 0 ? (size_t)rc : 0;
        patience.turns = rc > 0 ? 0 : patience.turns;
        again = qf_wants_more(&r, rc);
        if (r.waits) {
            rc = qf_be_patient(&patience, b, POLLIN);
            again = rc == 0;
        }
    }
    if (rc == -EAGAIN && r.waits && r.room == 0) {
        return 0; /* as TCP: who wants nothing has it when the time is over */
    }
    return r.done > 0 ? (ssize_t)r.done : (ssize_t)rc;
}

/* ---- accepting -------------------------------------------------------------------------------------------- */

/* With none to spare here the lender would have accepted for nothing: it stays in the queue. */
int qf_has_spare(void)
{
    int spare = eventfd(0, EFD_CLOEXEC);
    if (spare < 0) {
        return -errno;
    }
    QF_REAL(close)(spare);
    return 0;
}

static int64_t qf_accept_once(qf_borrowed *b, qf_told *told, int *out_fd, struct sockaddr *addr,
                              socklen_t *len, int flags)
{
    qf_asking asking;
    int64_t rc = qf_has_spare();
    if (rc != 0) {
        return rc;
    }
    qf_body *body = qf_ask_begin(b, &asking, QF_VERB_ACCEPT);
    asking.ask.arg[0] = flags;
    asking.ask.room.name = addr != NULL ? QF_WIRE_NAME : 0;
    rc = qf_ask_now(b, &asking, told, out_fd);
    if (*out_fd >= 0) {
        qf_name_out(addr, len, body, told);
    }
    qf_ask_end(b, &asking);
    return rc == 0 && *out_fd < 0 ? -EMFILE : rc; /* another thread was faster */
}

int qf_borrowed_accept(const qf_entry *entry, struct sockaddr *addr, socklen_t *len, int flags)
{
    qf_borrowed *b = qf_borrowed_of(entry->sock);
    qf_patience patience = {.holds = false};
    qf_told told;
    int fd = -1;
    int64_t rc = qf_name_room(addr, len);
    for (bool again = rc == 0; again;) {
        memset(&told, 0, sizeof(told));
        rc = qf_accept_once(b, &told, &fd, addr, len, flags);
        again = rc == -EAGAIN && told.waits != 0;
        if (again) {
            rc = qf_be_patient(&patience, b, POLLIN);
            again = rc == 0;
        }
    }
    if (fd < 0) {
        qf_give_back_lost(b->lender, &told);
        return (int)rc;
    }
    if ((flags & SOCK_CLOEXEC) == 0) {
        (void)QF_REAL(fcntl)(fd, F_SETFD, 0);
    }
    qf_entry *got = rc == 0 ? qf_borrowed_entry(b->lender, &told, fd) : NULL;
    if (got == NULL) {
        qf_give_back_lost(b->lender, &told);
        QF_REAL(close)(fd);
        return rc != 0 ? (int)rc : -ENOMEM;
    }
    qf_show(got, fd);
    return fd;
}

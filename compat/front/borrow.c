/* The child's side: the calls of a socket that another process has, asked of that one. */
#include "compat/front/borrow.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "compat/front/call.h"
#include "compat/front/lend.h"
#include "compat/front/share.h"

#define QF_SINK_BYTES 128u
#define QF_LATE_TURNS 64 /* in each of which room came and went */

/* How long a lender without a descriptor to spare is waited for: some seconds. */
#define QF_BORROW_NAPS   500
#define QF_BORROW_NAP_NS 10000000

typedef struct qf_way {
    pthread_mutex_t lock;
    _Atomic int fd; /* none: 0, which is never one of ours */
    int why;        /* why there never was one: an errno */
    qf_body body;   /* what is said, and then what is told */
} qf_way;

/* Zeros are a mutex that is free, and need no room in the file. */
static qf_way qf_ways_up[QF_LENDERS_MAX];

static pthread_mutex_t qf_borrow_lock = PTHREAD_MUTEX_INITIALIZER; /* one entry at a time */

/* ---- the way to the lender -------------------------------------------------------------------------------- */

static void qf_say_lender_gone(void)
{
    qf_say_once("libquic: the process that made a QUIC socket has ended, and the socket with it "
                "(EBADF): a daemon opens its sockets when it has become one\n");
}

static void qf_way_lost(qf_way *way)
{
    int fd = atomic_exchange(&way->fd, 0);
    if (fd != 0) {
        qf_own_close(fd);
        qf_say_lender_gone();
    }
}

/* Says and hears; lock held. False: nobody is there. The body is what was told then. */
static bool qf_way_ask(qf_way *way, const qf_asking *asking, qf_told *told, int *out_fd)
{
    const qf_ask *ask = &asking->ask;
    int fds[QF_WIRE_FDS];
    uint32_t count = 0;
    int fd = atomic_load(&way->fd);
    int len = fd == 0 ? -EPIPE
                      : qf_wire_send(fd, ask, sizeof(*ask), &way->body, qf_lens_total(&ask->len),
                                     asking->fds, asking->fd_count, false);
    if (len < 0 && len != -EPIPE && len != -ECONNRESET) { /* nothing has left */
        memset(told, 0, sizeof(*told));
        told->result = len;
        return true;
    }
    len = len == 0 ? qf_wire_recv(fd, told, sizeof(*told), &way->body, fds, &count, false) : len;
    bool fits = len >= 0 && qf_lens_fit(&told->len) && qf_lens_total(&told->len) == (uint32_t)len;
    for (uint32_t i = 0; i < count; i++) {
        if (fits && i == 0 && out_fd != NULL) {
            *out_fd = fds[i];
        } else {
            QF_REAL(close)(fds[i]);
        }
    }
    if (!fits && fd != 0) {
        qf_way_lost(way);
    }
    return fits;
}

int qf_borrow_ask_way(int index)
{
    qf_way *way = &qf_ways_up[index];
    qf_asking asking;
    qf_told told;
    int fd = -1;
    if (atomic_load(&way->fd) == 0) {
        return -way->why;
    }
    memset(&asking, 0, sizeof(asking));
    asking.ask.verb = QF_VERB_WAY;
    (void)pthread_mutex_lock(&way->lock);
    const bool there = qf_way_ask(way, &asking, &told, &fd);
    (void)pthread_mutex_unlock(&way->lock);
    fd = qf_own(fd);
    if (fd >= 0) {
        return fd;
    }
    return !there ? -EBADF : told.result < 0 ? (int)told.result : -EMFILE;
}

void qf_borrow_set_way(int index, int fd)
{
    pthread_mutex_init(&qf_borrow_lock, NULL); /* a thread of the parent's may have held it */
    pthread_mutex_init(&qf_ways_up[index].lock, NULL);
    atomic_store(&qf_ways_up[index].fd, fd > 0 ? fd : 0);
    qf_ways_up[index].why = fd < 0 ? -fd : EBADF;
}

/* ---- borrowing -------------------------------------------------------------------------------------------- */

/* Which lender's an entry of an earlier generation is. */
static uint32_t qf_lender_of(const qf_entry *parents)
{
    return parents->ops == &qf_borrowed_ops ? qf_borrowed_of(parents->sock)->lender
                                            : parents->generation;
}

bool qf_can_borrow(const qf_entry *parents)
{
    const uint32_t lender = qf_lender_of(parents);
    return lender < QF_LENDERS_MAX && atomic_load(&qf_ways_up[lender].fd) != 0;
}

qf_entry *qf_borrowed_entry(uint32_t lender, const qf_told *told, int fd)
{
    qf_borrowed *b = calloc(1, sizeof(*b));
    struct stat st;
    if (b == NULL || fstat(fd, &st) != 0) {
        free(b);
        return NULL;
    }
    b->lender = lender;
    b->id = told->id;
    b->fd = fd;
    b->ino = st.st_ino;
    b->dev = st.st_dev;
    b->entry = qf_new(fd, (qs_sock *)(void *)b, told->protocol, &qf_borrowed_ops);
    if (b->entry == NULL) {
        free(b);
        return NULL;
    }
    return b->entry;
}

static void qf_give_back(uint32_t lender, uint32_t id)
{
    qf_way *way = &qf_ways_up[lender];
    qf_asking asking;
    qf_told told;
    memset(&asking, 0, sizeof(asking));
    asking.ask.verb = QF_VERB_RETURN;
    asking.ask.id = id;
    (void)pthread_mutex_lock(&way->lock);
    if (atomic_load(&way->fd) != 0) {
        (void)qf_way_ask(way, &asking, &told, NULL);
    }
    (void)pthread_mutex_unlock(&way->lock);
}

void qf_give_back_lost(uint32_t lender, const qf_told *told)
{
    if (told->id != 0) {
        int state = qf_hold();
        qf_give_back(lender, told->id);
        qf_let(state);
    }
}

static bool qf_borrow_once(qf_way *way, const qf_asking *asking, qf_told *told)
{
    (void)pthread_mutex_lock(&way->lock);
    bool ok = qf_way_ask(way, asking, told, NULL);
    (void)pthread_mutex_unlock(&way->lock);
    return ok;
}

/* A lender without a descriptor to spare is waited for. */
static int qf_borrow_told(uint32_t lender, int fd, qf_told *told)
{
    const struct timespec nap = {0, QF_BORROW_NAP_NS};
    qf_asking asking;
    memset(&asking, 0, sizeof(asking));
    asking.ask.verb = QF_VERB_BORROW;
    asking.fds[0] = fd;
    asking.fd_count = 1;
    for (int naps = 0; naps <= QF_BORROW_NAPS; naps++) {
        if (!qf_borrow_once(&qf_ways_up[lender], &asking, told)) {
            return -EBADF;
        }
        if (told->result != -EMFILE) {
            break;
        }
        (void)nanosleep(&nap, NULL);
    }
    return (int)told->result;
}

static int qf_borrow_locked(qf_entry *parents, uint32_t lender, int fd)
{
    qf_told told;
    if (atomic_load(&qf_table[fd]) != parents) {
        return 0; /* another thread was faster */
    }
    int rc = qf_borrow_told(lender, fd, &told);
    if (rc != 0) {
        return rc;
    }
    qf_entry *entry = qf_borrowed_entry(lender, &told, fd);
    if (entry == NULL) {
        qf_give_back(lender, told.id);
        return -ENOMEM;
    }
    qf_take_over(parents, entry);
    return 0;
}

int qf_borrow(qf_entry *parents, int fd)
{
    const uint32_t lender = qf_lender_of(parents);
    if (!qf_can_borrow(parents)) {
        return lender < QF_LENDERS_MAX ? -qf_ways_up[lender].why : -EBADF;
    }
    int state = qf_hold();
    (void)pthread_mutex_lock(&qf_borrow_lock);
    int rc = qf_borrow_locked(parents, lender, fd);
    (void)pthread_mutex_unlock(&qf_borrow_lock);
    qf_let(state);
    return rc;
}

/* ---- a call ----------------------------------------------------------------------------------------------- */

/* What waits at the descriptor as a sign is no more true. It may have been closed behind our back. */
static void qf_settle(const qf_borrowed *b, const qf_told *told)
{
    char sink[QF_SINK_BYTES];
    struct stat st;
    if ((told->take | told->put) == 0 || b->fd < 0 || fstat(b->fd, &st) != 0 ||
        st.st_ino != b->ino || st.st_dev != b->dev) {
        return;
    }
    if (told->take > 0) {
        size_t count = told->take < sizeof(sink) ? told->take : sizeof(sink);
        (void)QF_REAL(recv)(b->fd, sink, count, MSG_DONTWAIT);
    }
    for (uint32_t i = 0; i < told->put; i++) {
        if (QF_REAL(send)(b->fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1) {
            return;
        }
    }
}

qf_body *qf_ask_begin(qf_borrowed *b, qf_asking *asking, qf_verb verb)
{
    memset(asking, 0, sizeof(*asking));
    asking->ask.verb = verb;
    asking->ask.stream_id = UINT64_MAX;
    asking->cancel = qf_hold();
    (void)qf_wire_interrupted(); /* what ran before this is others' concern */
    (void)pthread_mutex_lock(&qf_ways_up[b->lender].lock);
    asking->ask.id = b->id;
    return &qf_ways_up[b->lender].body;
}

int64_t qf_ask_now(qf_borrowed *b, qf_asking *asking, qf_told *told, int *out_fd)
{
    if (!qf_way_ask(&qf_ways_up[b->lender], asking, told, out_fd)) {
        memset(told, 0, sizeof(*told));
        return told->result = -EBADF;
    }
    qf_settle(b, told);
    asking->late = told->put > 0;
    return told->result;
}

void qf_ask_end(qf_borrowed *b, const qf_asking *asking)
{
    bool late = asking->late;
    for (int turns = 0; late && turns < QF_LATE_TURNS; turns++) {
        /* There may be room since: then the bytes that were put there are too many. */
        qf_asking again;
        qf_told told;
        memset(&again, 0, sizeof(again));
        again.ask.verb = QF_VERB_FIX;
        again.ask.id = b->id;
        late = qf_way_ask(&qf_ways_up[b->lender], &again, &told, NULL);
        if (late) {
            qf_settle(b, &told);
            late = told.put > 0;
        }
    }
    (void)pthread_mutex_unlock(&qf_ways_up[b->lender].lock);
    qf_let(asking->cancel);
}

/* One with two numbers. */
static int64_t qf_ask_plain(qs_sock *sock, qf_verb verb, int32_t first, int32_t second)
{
    qf_borrowed *b = qf_borrowed_of(sock);
    qf_asking asking;
    qf_told told;
    (void)qf_ask_begin(b, &asking, verb);
    asking.ask.arg[0] = first;
    asking.ask.arg[1] = second;
    int64_t rc = qf_ask_now(b, &asking, &told, NULL);
    qf_ask_end(b, &asking);
    return rc;
}

/* ---- calls that need no more ------------------------------------------------------------------------------ */

static void qf_b_set_fd(qs_sock *sock, int fd)
{
    qf_borrowed *b = qf_borrowed_of(sock);
    /* No call is in the middle of using it. */
    (void)pthread_mutex_lock(&qf_ways_up[b->lender].lock);
    b->fd = fd;
    (void)pthread_mutex_unlock(&qf_ways_up[b->lender].lock);
}

static bool qf_b_set_adrift(qs_sock *sock)
{
    (void)sock;
    return false; /* its lender sees to it */
}

/* Its number is another's then: calls that are under way ask no more by it. */
static void qf_b_close(qs_sock *sock)
{
    qf_borrowed *b = qf_borrowed_of(sock);
    int state = qf_hold();
    (void)pthread_mutex_lock(&qf_ways_up[b->lender].lock);
    const uint32_t id = b->id;
    b->id = 0;
    (void)pthread_mutex_unlock(&qf_ways_up[b->lender].lock);
    qf_give_back(b->lender, id);
    qf_let(state);
}

static void qf_b_release(qs_sock *sock)
{
    free(sock);
}

static int qf_ask_name(qs_sock *sock, qf_verb verb, const struct sockaddr *addr, socklen_t len)
{
    qf_borrowed *b = qf_borrowed_of(sock);
    qf_asking asking;
    qf_told told;
    if (addr == NULL && len > 0) {
        return -EFAULT;
    }
    qf_body *body = qf_ask_begin(b, &asking, verb);
    asking.ask.len.name = len < QF_WIRE_NAME ? len : QF_WIRE_NAME;
    if (asking.ask.len.name > 0) {
        memcpy(qf_body_name(body, &asking.ask.len), addr, asking.ask.len.name);
    }
    int64_t rc = qf_ask_now(b, &asking, &told, NULL);
    qf_ask_end(b, &asking);
    return (int)rc;
}

static int qf_b_bind(qs_sock *sock, const struct sockaddr *addr, socklen_t len)
{
    return qf_ask_name(sock, QF_VERB_BIND, addr, len);
}

static int qf_b_connect(qs_sock *sock, const struct sockaddr *addr, socklen_t len)
{
    return qf_ask_name(sock, QF_VERB_CONNECT, addr, len);
}

static int qf_b_listen(qs_sock *sock, int backlog)
{
    return (int)qf_ask_plain(sock, QF_VERB_LISTEN, backlog, 0);
}

static int qf_b_shutdown(qs_sock *sock, int how)
{
    return (int)qf_ask_plain(sock, QF_VERB_SHUTDOWN, how, 0);
}

static void qf_b_set_nonblock(qs_sock *sock, bool on)
{
    (void)qf_ask_plain(sock, QF_VERB_NONBLOCK, on, 0);
}

static int qf_b_inq(qs_sock *sock)
{
    return (int)qf_ask_plain(sock, QF_VERB_COUNT, 0, 0);
}

static int qf_b_outq(qs_sock *sock, bool unsent)
{
    return (int)qf_ask_plain(sock, QF_VERB_COUNT, unsent ? 2 : 1, 0);
}

static void qf_b_watch_edges(qs_sock *sock)
{
    (void)qf_ask_plain(sock, QF_VERB_EDGES, 0, 0);
}

static void qf_b_fix(qs_sock *sock)
{
    (void)qf_ask_plain(sock, QF_VERB_FIX, 0, 0);
}

/* Its lender sees to it. */
static bool qf_b_is_gone(qs_sock *sock)
{
    (void)sock;
    return false;
}

static void qf_b_share(qs_sock *sock, bool on)
{
    (void)sock;
    (void)on;
}

int qf_name_room(const struct sockaddr *addr, const socklen_t *len)
{
    return addr == NULL ? 0 : len == NULL ? -EFAULT : (int)*len < 0 ? -EINVAL : 0;
}

void qf_name_out(struct sockaddr *addr, socklen_t *len, qf_body *body, const qf_told *told)
{
    const socklen_t whole = told->len.name;
    if (addr != NULL && told->result >= 0) {
        memcpy(addr, qf_body_name(body, &told->len), *len < whole ? *len : whole);
        *len = whole;
    }
}

static int qf_b_getname(qs_sock *sock, bool peer, struct sockaddr *addr, socklen_t *len)
{
    qf_borrowed *b = qf_borrowed_of(sock);
    qf_asking asking;
    qf_told told;
    int wrong = addr == NULL ? -EFAULT : qf_name_room(addr, len);
    if (wrong != 0) {
        return wrong;
    }
    qf_body *body = qf_ask_begin(b, &asking, QF_VERB_NAME);
    asking.ask.arg[0] = peer;
    asking.ask.room.name = QF_WIRE_NAME;
    int64_t rc = qf_ask_now(b, &asking, &told, NULL);
    qf_name_out(addr, len, body, &told);
    qf_ask_end(b, &asking);
    return (int)rc;
}

static int qf_b_setsockopt(qs_sock *sock, int level, int name, const void *value, socklen_t len)
{
    qf_borrowed *b = qf_borrowed_of(sock);
    qf_asking asking;
    qf_told told;
    if (len > QF_WIRE_DATA || (value == NULL && len > 0)) {
        return len > QF_WIRE_DATA ? -EINVAL : -EFAULT;
    }
    qf_body *body = qf_ask_begin(b, &asking, QF_VERB_SET);
    asking.ask.arg[0] = level;
    asking.ask.arg[1] = name;
    asking.ask.len.data = len;
    if (len > 0) {
        memcpy(body->bytes, value, len);
    }
    int64_t rc = qf_ask_now(b, &asking, &told, NULL);
    qf_ask_end(b, &asking);
    return (int)rc;
}

int qf_getsockopt_once(qf_borrowed *b, int level, int name, void *value, socklen_t *len,
                       bool *out_waits)
{
    qf_asking asking;
    qf_told told;
    qf_body *body = qf_ask_begin(b, &asking, QF_VERB_GET);
    asking.ask.arg[0] = level;
    asking.ask.arg[1] = name;
    asking.ask.len.data = *len < QF_WIRE_DATA ? *len : QF_WIRE_DATA;
    if (asking.ask.len.data > 0) {
        memcpy(body->bytes, value, asking.ask.len.data);
    }
    int64_t rc = qf_ask_now(b, &asking, &told, NULL);
    if (rc == 0) {
        memcpy(value, body->bytes, told.len.data < *len ? told.len.data : *len);
        *len = told.len.data;
    }
    *out_waits = rc == -EAGAIN && told.waits != 0;
    qf_ask_end(b, &asking);
    return (int)rc;
}

/* Opening a stream waits for the peer. */
int qf_borrowed_getsockopt(qs_sock *sock, int level, int name, void *value, socklen_t *len)
{
    qf_borrowed *b = qf_borrowed_of(sock);
    if (len == NULL || (value == NULL && *len > 0)) {
        return -EFAULT;
    }
    if ((int)*len < 0) {
        return -EINVAL;
    }
    const socklen_t room = *len;
    qf_patience patience = {.holds = false};
    bool waits = true;
    int rc = 0;
    qf_patience_begin(&patience);
    while (rc == 0 && waits) {
        *len = room;
        qf_patience_ask(&patience);
        rc = qf_getsockopt_once(b, level, name, value, len, &waits);
        qf_patience_asked();
        if (waits) {
            rc = qf_be_patient(&patience, b, 0);
        }
    }
    qf_patience_end(&patience);
    return rc;
}

const qs_ops qf_borrowed_ops = {
    .set_fd = qf_b_set_fd,
    .set_adrift = qf_b_set_adrift,
    .close = qf_b_close,
    .release = qf_b_release,
    .bind = qf_b_bind,
    .listen = qf_b_listen,
    .connect = qf_b_connect,
    .shutdown = qf_b_shutdown,
    .getname = qf_b_getname,
    .sendmsg = qf_borrowed_sendmsg,
    .recvmsg = qf_borrowed_recvmsg,
    .setsockopt = qf_b_setsockopt,
    .getsockopt = qf_borrowed_getsockopt,
    .set_nonblock = qf_b_set_nonblock,
    .inq = qf_b_inq,
    .outq = qf_b_outq,
    .handshake = qf_borrowed_handshake,
    .watch_edges = qf_b_watch_edges,
    .fix = qf_b_fix,
    .share = qf_b_share,
    .is_gone = qf_b_is_gone,
};

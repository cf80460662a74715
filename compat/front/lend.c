/* The lender's side: one thread makes the calls that children ask for. */
#include "compat/front/lend.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compat/front/call.h"
#include "compat/front/lend_call.h"
#include "compat/front/lend_handshake.h"
#include "compat/front/lend_kin.h"
#include "compat/front/share.h"

#define QF_LEND_LOW     512 /* our descriptors are above, out of the program's way */
#define QF_LEND_FDS     ((uint32_t)QF_FDS_MAX)
#define QF_OWNED_END    65536u /* the runtime knows its descriptors up to here */
#define QF_LEND_EVENTS  32
#define QF_CHILDREN_MAX 16384u /* of children; what this process forks it may have */
#define QF_LENT_MAX     QF_FDS_MAX
#define QF_SWEEP        256 /* at a time */
#define QF_RECLAIM_S    2   /* for the lock */

/* ---- descriptors of ours ---------------------------------------------------------------------------------- */

static _Atomic uint64_t qf_owned[QF_LEND_FDS / 64];
static _Atomic uint32_t qf_end = QF_OWNED_END;

void qf_owned_note(int fd)
{
    uint32_t end = atomic_load_explicit(&qf_end, memory_order_relaxed);
    while (fd >= 0 && (uint32_t)fd >= end &&
           !atomic_compare_exchange_weak(&qf_end, &end, (uint32_t)fd + 1)) {
    }
}

uint32_t qf_owned_end(void)
{
    return atomic_load_explicit(&qf_end, memory_order_relaxed);
}

int qf_own(int fd)
{
    int high = fd >= 0 ? QF_REAL(fcntl)(fd, F_DUPFD_CLOEXEC, QF_LEND_LOW) : -1;
    if (high >= 0) { /* else where it is, as far as the limit allows */
        QF_REAL(close)(fd);
        fd = high;
    }
    if (fd >= (int)QF_LEND_FDS) {
        QF_REAL(close)(fd);
        fd = -1;
    }
    qf_owned_note(fd);
    if (fd >= 0) {
        atomic_fetch_or(&qf_owned[fd / 64], 1ull << (fd % 64));
    }
    return fd;
}

void qf_own_close(int fd)
{
    if (fd >= 0) {
        const bool held = qf_engine()->hold_fds(); /* a child of fork knows of it, or has none */
        atomic_fetch_and(&qf_owned[fd / 64], ~(1ull << (fd % 64)));
        QF_REAL(close)(fd);
        qf_engine()->let_fds(held);
    }
}

void qf_own_shut(int fd)
{
    (void)QF_REAL(shutdown)(fd, SHUT_RDWR);
    qf_own_close(fd);
}

bool qf_owns(int fd)
{
    return (uint32_t)fd < QF_LEND_FDS &&
           (atomic_load_explicit(&qf_owned[fd / 64], memory_order_relaxed) >> (fd % 64) & 1) != 0;
}

/* ---- who borrows ------------------------------------------------------------------------------------------ */

/* A child, by the lender's end of its way here. */
typedef struct qf_child {
    int fd;
    uint32_t count;
    qf_entry **lent; /* by their number less 1; a reference each */
    qf_kept kept;
    qf_kin *kin;    /* a reference */
    bool is_forked; /* by this process: its way is none of those that count */
    bool is_over;
    struct qf_child *over_next;
} qf_child;

/* Who forks has it from the first to the last, and who lends while it has descriptors of others: no child gets a copy
 * of them, or of half a way. */
static pthread_mutex_t qf_fork_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t qf_lend_lock = PTHREAD_MUTEX_INITIALIZER;
static int qf_lend_epoll = -1;
static uint32_t qf_child_count;   /* atomic; those that are about to be among them */
static const qf_child *qf_served; /* whose call is being made; fork lock */
static qf_child *qf_over;         /* of whom the lending thread may still be told; fork lock */
static _Thread_local bool qf_is_lending;

/* Its reference is the child's. One that the child has already it has once: what a child holds is bounded by what there
 * is. */
static uint32_t qf_lent_add(qf_child *child, qf_entry *entry)
{
    uint32_t free_id = 0;
    for (uint32_t i = 0; i < child->count; i++) {
        if (child->lent[i] == entry) {
            qf_put(entry);
            return i + 1;
        }
        free_id = child->lent[i] == NULL && free_id == 0 ? i + 1 : free_id;
    }
    if (free_id != 0) {
        child->lent[free_id - 1] = entry;
        return free_id;
    }
    uint32_t more = child->count < 4 ? 4 : child->count;
    qf_entry **grown = child->count >= QF_LENT_MAX
                           ? NULL
                           : realloc(child->lent, (child->count + more) * sizeof(qf_entry *));
    if (grown == NULL) {
        return 0;
    }
    memset(grown + child->count, 0, more * sizeof(qf_entry *));
    child->lent = grown;
    uint32_t at = child->count;
    child->count += more;
    grown[at] = entry;
    return at + 1;
}

static void qf_lent_drop(qf_child *child, uint32_t id)
{
    if (id - 1 < child->count && child->lent[id - 1] != NULL) {
        qf_kept_drop(&child->kept, child->lent[id - 1]);
        qf_gone_now(child->lent[id - 1]); /* what it cost is free for the next question */
        qf_put(child->lent[id - 1]);
        child->lent[id - 1] = NULL;
    }
}

static void qf_child_less(void)
{
    if (__atomic_sub_fetch(&qf_child_count, 1, __ATOMIC_ACQ_REL) == 0) {
        qf_unshare_all(&qf_child_count);
    }
}

/* Its place among its kin is free. */
static void qf_child_leave(qf_child *child)
{
    if (child->kin != NULL && !child->is_forked) {
        qf_kin_give_fd(child->kin);
    }
    if (child->kin != NULL) {
        qf_kin_put(child->kin);
    }
    child->kin = NULL;
}

/* What it has said and nobody has heard. Descriptors that wait there the kernel would close as programs do. */
static void qf_child_drain(const qf_child *child)
{
    static qf_lend_call unheard; /* fork lock */
    int len = 0;
    qf_wire_end(child->fd); /* no more comes */
    while (len >= 0) {
        len = qf_wire_recv(child->fd, &unheard.ask, sizeof(unheard.ask), &unheard.body, unheard.fds,
                           &unheard.fd_count, true);
        len = len == -EBADMSG ? 0 : len;
        for (uint32_t j = 0; j < unheard.fd_count; j++) {
            qf_wire_close(unheard.fds[j]);
        }
    }
}

/* All that it held is free then. Fork lock held. */
static void qf_child_end(qf_child *child)
{
    qf_child_drain(child);
    for (uint32_t id = 1; id <= child->count; id++) {
        qf_lent_drop(child, id);
    }
    qf_kept_end(&child->kept);
    /* Another child may hold a copy still, for a moment. */
    (void)QF_REAL(epoll_ctl)(qf_lend_epoll, EPOLL_CTL_DEL, child->fd, NULL);
    qf_own_close(child->fd);
    free(child->lent);
    child->is_over = true;
    child->over_next = qf_over;
    qf_over = child;
    qf_child_leave(child);
    qf_child_less();
}

/* Ends the children that are gone, whether the lending thread has been told or not. Fork lock held. */
static void qf_lend_sweep(void)
{
    struct epoll_event events[QF_SWEEP];
    for (bool more = qf_lend_epoll >= 0; more;) {
        const int count = QF_REAL(epoll_wait)(qf_lend_epoll, events, QF_SWEEP, 0);
        more = false;
        for (int i = 0; i < count; i++) {
            qf_child *child = events[i].data.ptr;
            if ((events[i].events & EPOLLHUP) != 0 && child != qf_served) {
                qf_child_end(child);
                more = true;
            }
        }
    }
}

/* Fork lock held. */
static void qf_reclaim_locked(void)
{
    const bool was = qf_engine()->impatient(true);
    qf_lend_sweep();
    qf_gone_all();
    (void)qf_engine()->impatient(was);
}

/* Who forks may wait for what the caller holds: the program's handlers (pthread_atfork) take its own locks. */
static void qf_reclaim_apart(void)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += QF_RECLAIM_S;
    if (pthread_mutex_timedlock(&qf_fork_lock, &until) == 0) {
        qf_reclaim_locked();
        (void)pthread_mutex_unlock(&qf_fork_lock);
    }
}

void qf_reclaim(void)
{
    const int error = errno;
    if (qf_is_lending) { /* the rest is a look at each: not for children to ask for */
        qf_lend_sweep();
    } else if (__atomic_load_n(&qf_child_count, __ATOMIC_ACQUIRE) != 0) {
        qf_reclaim_apart();
    }
    errno = error;
}

/* ---- one call --------------------------------------------------------------------------------------------- */

static void qf_lend_entry(qf_child *child, qf_entry *entry, qf_told *told)
{
    told->id = qf_lent_add(child, entry);
    told->protocol = atomic_load_explicit(&entry->protocol, memory_order_relaxed);
    told->result = told->id != 0 ? 0 : -ENOMEM;
    if (told->id == 0) {
        qf_put(entry);
    }
}

static void qf_lend_borrow(qf_child *child, const qf_lend_call *call, qf_told *told)
{
    qf_entry *entry = call->fd_count == 1 ? qf_find_shared(call->fds[0]) : NULL;
    if (entry == NULL) { /* one that did not come: there is no room for it here */
        told->result = call->fd_count == 0 ? -EMFILE : -EBADF;
        return;
    }
    qf_lend_entry(child, entry, told);
}

bool qf_lend_take_fd(qf_kin *kin)
{
    if (qf_kin_take_fd(kin)) {
        return true;
    }
    qf_reclaim();
    return qf_kin_take_fd(kin);
}

/* What a child accepts it holds alone. */
static void qf_lend_accept(qf_child *child, qf_lend_call *call, qf_told *told)
{
    if (!qf_lend_take_fd(child->kin)) {
        told->result = -EMFILE;
        return;
    }
    qf_lend_accepted(call, told);
    qf_entry *entry = call->out_fd >= 0 ? qf_find_shared(call->out_fd) : NULL;
    if (entry == NULL || !qf_count_for(entry, child->kin)) {
        qf_kin_give_fd(child->kin);
    }
    if (entry == NULL) {
        return;
    }
    qf_sent(call->out_fd);
    qf_lend_entry(child, entry, told);
}

/* Who holds the other end of `fd` is counted. What is in `kept` is its; it is one of `kin`, or of a kin of its own
 * where that is NULL. */
static bool qf_lend_to(int fd, qf_kept *kept, qf_kin *kin);

/* For a child of the child, which has what that one has. Both ends are made here: a child that had a copy of ours could
 * make it an end of nothing, which is never over, or have it bring what nobody asked for (SO_PASSPIDFD). */
static int qf_lend_way(const qf_child *child, qf_lend_call *call)
{
    qf_kept kept = {0, 0, NULL};
    int ends[2];
    if (__atomic_load_n(&qf_child_count, __ATOMIC_RELAXED) >= QF_CHILDREN_MAX) {
        return -EAGAIN;
    }
    if (!qf_lend_take_fd(child->kin)) {
        return -EMFILE;
    }
    int rc = qf_wire_pair(ends);
    if (rc != 0) {
        qf_reclaim();
        rc = qf_wire_pair(ends);
    }
    if (rc != 0) {
        const int error = errno;
        qf_kin_give_fd(child->kin);
        return -error;
    }
    __atomic_add_fetch(&qf_child_count, 1, __ATOMIC_ACQ_REL);
    qf_kept_copy(&kept, &child->kept);
    if (!qf_lend_to(ends[0], &kept, child->kin)) {
        QF_REAL(close)(ends[1]);
        return -ENOMEM;
    }
    call->out_fd = ends[1];
    return 0;
}

/* One that cannot be sent would be waited for. */
static bool qf_lend_tell(qf_child *child, const qf_lend_call *call, qf_told *told)
{
    const int fd = call->out_fd;
    int rc = qf_wire_send(child->fd, told, sizeof(*told), &call->body, qf_lens_total(&told->len),
                          &fd, fd >= 0 ? 1 : 0, true);
    if (rc != 0 && fd >= 0) { /* too many are on their way */
        memset(&told->len, 0, sizeof(told->len));
        told->result = rc;
        qf_lent_drop(child, told->id);
        told->id = 0;
        rc = qf_wire_send(child->fd, told, sizeof(*told), &call->body, 0, NULL, 0, true);
    }
    return rc == 0;
}

static bool qf_lend_answer(qf_child *child, qf_lend_call *call)
{
    qf_told told;
    const uint32_t id = call->ask.id;
    memset(&told, 0, sizeof(told));
    call->kin = child->kin;
    call->out_fd = -1;
    call->entry = id - 1 < child->count ? child->lent[id - 1] : NULL;
    switch (call->ask.verb) {
    case QF_VERB_BORROW:
        qf_lend_borrow(child, call, &told);
        break;
    case QF_VERB_RETURN:
        qf_lent_drop(child, id);
        break;
    case QF_VERB_WAY:
        told.result = qf_lend_way(child, call);
        break;
    case QF_VERB_ACCEPT:
        told.result = -EBADF;
        if (call->entry != NULL) {
            qf_lend_accept(child, call, &told);
        }
        break;
    default:
        told.result = -EBADF;
        if (call->entry != NULL) {
            qf_lend_make(call, &told);
        }
    }
    if (call->entry != NULL && call->ask.verb != QF_VERB_RETURN) {
        qf_engine()->settle(call->entry->sock, &told.take, &told.put);
    }
    const bool heard = qf_lend_tell(child, call, &told);
    if (call->out_fd >= 0) {
        (void)close(call->out_fd); /* the interposed one: the child's copy is what is left */
    }
    return heard;
}

static qf_lend_call qf_call; /* of the one thread */

/* False: the child is gone, or is no child of ours. Fork lock held. */
static bool qf_lend_serve(qf_child *child)
{
    qf_lend_call *call = &qf_call;
    int len = qf_wire_recv(child->fd, &call->ask, sizeof(call->ask), &call->body, call->fds,
                           &call->fd_count, true);
    if (len == -EAGAIN) {
        return true;
    }
    bool fits = len >= 0 && qf_lens_fit(&call->ask.len) && qf_lens_fit(&call->ask.room) &&
                qf_lens_total(&call->ask.len) == (uint32_t)len;
    fits = fits && qf_lend_answer(child, call);
    for (uint32_t i = 0; i < call->fd_count; i++) {
        qf_wire_close(call->fds[i]);
    }
    return fits;
}

/* For the lending thread, which has seen to all that it was told. */
static void qf_over_free(void)
{
    (void)pthread_mutex_lock(&qf_fork_lock);
    while (qf_over != NULL) {
        qf_child *child = qf_over;
        qf_over = child->over_next;
        free(child);
    }
    (void)pthread_mutex_unlock(&qf_fork_lock);
}

static void *qf_lend_main(void *arg)
{
    int epoll = *(int *)arg; /* static */
    struct epoll_event events[QF_LEND_EVENTS];
    (void)pthread_setname_np(pthread_self(), "quic-lend");
    (void)qf_engine()->impatient(true);
    qf_is_lending = true;
    for (;;) {
        int count = QF_REAL(epoll_wait)(epoll, events, QF_LEND_EVENTS, -1);
        if (count < 0 && errno != EINTR) {
            return NULL;
        }
        for (int i = 0; i < count; i++) {
            qf_child *child = events[i].data.ptr;
            (void)pthread_mutex_lock(&qf_fork_lock);
            qf_served = child;
            const bool over = !child->is_over && !qf_lend_serve(child);
            qf_served = NULL;
            if (over) {
                qf_child_end(child);
            }
            (void)pthread_mutex_unlock(&qf_fork_lock);
        }
        qf_over_free();
    }
}

/* Lock held. */
static bool qf_lend_start(void)
{
    if (qf_lend_epoll >= 0) {
        return true;
    }
    qf_lend_epoll = qf_own(epoll_create1(EPOLL_CLOEXEC));
    if (qf_lend_epoll >= 0 && !qf_engine()->thread(qf_lend_main, &qf_lend_epoll)) {
        qf_own_close(qf_lend_epoll);
        qf_lend_epoll = -1;
    }
    return qf_lend_epoll >= 0;
}

static bool qf_lend_to(int fd, qf_kept *kept, qf_kin *kin)
{
    qf_child *child = calloc(1, sizeof(*child));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = child};
    fd = qf_owns(fd) ? fd : qf_own(fd);
    if (child != NULL) {
        child->is_forked = kin == NULL;
        child->kin = kin != NULL ? qf_kin_hold(kin) : qf_kin_new();
    }
    (void)pthread_mutex_lock(&qf_lend_lock);
    bool ok = child != NULL && child->kin != NULL && fd >= 0 && qf_lend_start();
    if (ok) {
        child->fd = fd;
        child->kept = *kept;
        ok = QF_REAL(epoll_ctl)(qf_lend_epoll, EPOLL_CTL_ADD, fd, &event) == 0;
    }
    (void)pthread_mutex_unlock(&qf_lend_lock);
    if (!ok) {
        qf_own_close(fd);
        if (child != NULL) {
            qf_child_leave(child);
            free(child);
        } else if (kin != NULL) {
            qf_kin_give_fd(kin);
        }
        qf_kept_end(kept);
        qf_child_less();
    }
    return ok;
}

/* ---- around fork ------------------------------------------------------------------------------------------ */

/* What a thread that forks has made for the child: one way to each lender, the last to this process; the other end of
 * that one. Less than 0: none, -errno. */
static _Thread_local int qf_ways[QF_LENDERS_MAX];
static _Thread_local int qf_lenders_end;
static _Thread_local qf_kept qf_childs;

void qf_lend_nothing(void)
{
    qf_lenders_end = -1;
    memset(&qf_childs, 0, sizeof(qf_childs));
    for (int i = 0; i < QF_LENDERS_MAX; i++) {
        qf_ways[i] = -EBADF;
    }
}

/* Both ends of a way to this process; -errno. */
static int qf_lend_ends(void)
{
    int ends[2];
    if (qf_wire_pair(ends) != 0) {
        qf_reclaim_locked();
        if (qf_wire_pair(ends) != 0) {
            return -errno;
        }
    }
    ends[0] = qf_own(ends[0]);
    ends[1] = qf_own(ends[1]);
    if (ends[0] < 0 || ends[1] < 0) {
        qf_own_close(ends[0]);
        qf_own_close(ends[1]);
        return -EMFILE;
    }
    qf_lenders_end = ends[1];
    return ends[0];
}

void qf_lend_before(void)
{
    (void)pthread_mutex_lock(&qf_fork_lock);
    qf_lend_nothing();
    for (uint32_t i = 0; i < QF_LENDERS_MAX && i < qf_generation; i++) {
        qf_ways[i] = qf_borrow_ask_way((int)i);
    }
    if (qf_generation >= QF_LENDERS_MAX) {
        return;
    }
    __atomic_add_fetch(&qf_child_count, 1, __ATOMIC_ACQ_REL); /* what is shared now stays so */
    if (qf_share_all(&qf_childs)) {
        qf_ways[qf_generation] = qf_lend_ends();
    }
    if (qf_lenders_end < 0) {
        qf_kept_end(&qf_childs);
        qf_child_less();
    }
}

void qf_lend_in_parent(void)
{
    for (int i = 0; i < QF_LENDERS_MAX; i++) {
        qf_own_close(qf_ways[i]);
    }
    if (qf_lenders_end >= 0) {
        (void)qf_share_all(NULL); /* those that other threads have made meanwhile */
        (void)qf_lend_to(qf_lenders_end, &qf_childs, NULL);
    }
    (void)pthread_mutex_unlock(&qf_fork_lock);
}

/* All that the parent had, for other children too, is closed here. */
void qf_lend_in_child(void)
{
    pthread_mutex_init(&qf_fork_lock, NULL);
    pthread_mutex_init(&qf_lend_lock, NULL);
    qf_lend_epoll = -1;
    qf_child_count = 0;
    qf_over = NULL;
    qf_served = NULL;
    qf_is_lending = false;
    qf_lend_handshake_in_child();
    for (uint32_t i = 0; i < QF_LEND_FDS / 64; i++) {
        uint64_t bits = atomic_load_explicit(&qf_owned[i], memory_order_relaxed);
        for (; bits != 0; bits &= bits - 1) {
            int fd = (int)(i * 64) + __builtin_ctzll(bits);
            bool kept = false;
            for (int way = 0; way < QF_LENDERS_MAX; way++) {
                kept = kept || qf_ways[way] == fd;
            }
            if (!kept) {
                qf_own_close(fd);
            }
        }
    }
    for (int i = 0; i < QF_LENDERS_MAX; i++) {
        qf_borrow_set_way(i, qf_ways[i]);
    }
}

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "compat/front/engine.h"
#include "compat/front/lend.h"
#include "compat/front/libc.h"
#include "compat/front/log.h"
#include "compat/front/table_internal.h"

/* Turns while another thread is between our close and the kernel's: then naps, for one that is not run. In a handler
 * that has interrupted a close it may be this thread's own, which is not waited for. */
#define QF_SPINS  4096
#define QF_NAPS   2000
#define QF_NAP_NS 1000000

_Atomic(qf_entry *) qf_table[QF_FDS_MAX];
_Atomic uint32_t qf_in_use;
uint32_t qf_generation;

pthread_mutex_t qf_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t qf_some_ended = PTHREAD_COND_INITIALIZER;
static qf_entry *qf_free_list;
qf_entry *qf_all;
static _Atomic bool qf_has_copies; /* this process has forked */
int qf_highest;

/* Stands in the table for a descriptor that is being closed. */
static qf_entry qf_leaving;

static _Thread_local uint32_t qf_in_close; /* between qf_hide and qf_hidden */

/* ---- look-up ------------------------------------------------------------------------------------------ */

bool qf_is_its(const qf_entry *entry, int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_ino == entry->ino && st.st_dev == entry->dev;
}

static bool qf_is_sure(const qf_entry *entry)
{
    return !atomic_load_explicit(&entry->unsure, memory_order_relaxed) &&
           !atomic_load_explicit(&entry->blind, memory_order_relaxed) &&
           !atomic_load_explicit(&qf_has_copies, memory_order_relaxed);
}

void qf_judge(qf_entry *entry)
{
    bool unsure = !entry->watched || entry->fds > 1 || entry->travels || entry->shared;
    atomic_store_explicit(&entry->unsure, unsure, memory_order_relaxed);
}

void qf_watched(qf_entry *entry, bool watched)
{
    (void)pthread_mutex_lock(&qf_lock);
    entry->watched = watched;
    qf_judge(entry);
    (void)pthread_mutex_unlock(&qf_lock);
}

bool qf_count_for(qf_entry *entry, qf_kin *kin)
{
    (void)pthread_mutex_lock(&qf_lock);
    const bool counts = !entry->closed && entry->kin == NULL;
    if (counts) {
        entry->kin = kin;
    }
    (void)pthread_mutex_unlock(&qf_lock);
    return counts;
}

void qf_copied(void)
{
    atomic_store_explicit(&qf_has_copies, true, memory_order_relaxed);
}

bool qf_ref(qf_entry *entry)
{
    uint32_t refs = atomic_load_explicit(&entry->refs, memory_order_relaxed);
    while (refs != 0 &&
           !atomic_compare_exchange_weak_explicit(&entry->refs, &refs, refs + 1,
                                                  memory_order_acquire, memory_order_relaxed)) {
    }
    return refs != 0;
}

void qf_hold_entry(qf_entry *entry)
{
    atomic_fetch_add_explicit(&entry->refs, 1, memory_order_relaxed);
}

void qf_put(qf_entry *entry)
{
    if (atomic_fetch_sub_explicit(&entry->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    entry->ops->release(entry->sock);
    pthread_mutex_lock(&qf_lock);
    entry->sock = NULL;
    entry->free_next = qf_free_list;
    qf_free_list = entry;
    pthread_mutex_unlock(&qf_lock);
    atomic_fetch_sub_explicit(&qf_in_use, 1, memory_order_relaxed);
}

/* Another descriptor that stands for the entry, for the engine to drain; -1: none. Lock held. */
static int qf_other_fd(const qf_entry *entry)
{
    for (int fd = 0; fd <= qf_highest; fd++) {
        if (atomic_load_explicit(&qf_table[fd], memory_order_relaxed) == entry) {
            return fd;
        }
    }
    return -1;
}

/* One descriptor less. Returns whether it was the last: the caller calls qf_last without the lock. */
static bool qf_less(qf_entry *entry, bool look_for_other)
{
    if (entry->closed) {
        return false; /* the kernel has said that there are none */
    }
    entry->fds--;
    qf_judge(entry);
    if (entry->fds > 0) {
        if (look_for_other) {
            entry->ops->set_fd(entry->sock, qf_other_fd(entry));
        }
        return false;
    }
    bool elsewhere = (entry->travels || entry->shared) && !entry->gone;
    if ((elsewhere && entry->ops->set_adrift(entry->sock)) || entry->kept > 0) {
        entry->adrift = true;
        return false; /* the kernel will say, or a child's end */
    }
    entry->closed = true;
    return true;
}

/* The kernel says that no descriptor is left: what the table has is others' numbers by now. Lock held. */
static void qf_take_out(qf_entry *entry)
{
    for (int fd = 0; fd <= qf_highest; fd++) {
        qf_entry *expected = entry;
        (void)atomic_compare_exchange_strong(&qf_table[fd], &expected, NULL);
    }
}

void qf_last(qf_entry *entry)
{
    entry->ops->close(entry->sock);
    qf_kin *kin = entry->kin;
    entry->kin = NULL;
    if (kin != NULL) {
        qf_kin_give_fd(kin);
    }
    pthread_mutex_lock(&qf_lock);
    entry->ended = true;
    pthread_cond_broadcast(&qf_some_ended);
    pthread_mutex_unlock(&qf_lock);
    qf_put(entry);
}

/* The number is another file's by now. Looked at once more with the lock: since then a thread may have given it to the
 * socket again (dup2). */
static void qf_drop_stale(qf_entry *entry, int fd)
{
    bool last = false;
    pthread_mutex_lock(&qf_lock);
    qf_entry *expected = entry;
    if (!qf_is_its(entry, fd) && atomic_compare_exchange_strong(&qf_table[fd], &expected, NULL) &&
        entry->generation == qf_generation) {
        last = qf_less(entry, true);
    }
    pthread_mutex_unlock(&qf_lock);
    if (last) {
        qf_last(entry);
    }
}

/* False: enough. */
static bool qf_wait_for_close(int turn)
{
    const struct timespec nap = {0, QF_NAP_NS};
    if (turn < QF_SPINS) {
        sched_yield();
        return true;
    }
    if (qf_in_close != 0 || turn >= QF_SPINS + QF_NAPS) {
        return false;
    }
    int state = PTHREAD_CANCEL_ENABLE;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    (void)nanosleep(&nap, NULL);
    (void)pthread_setcancelstate(state, NULL);
    return true;
}

qf_entry *qf_get(int fd, bool *out_dead)
{
    *out_dead = false;
    if ((uint32_t)fd >= QF_FDS_MAX) {
        return NULL;
    }
    for (int spins = 0;; spins++) {
        qf_entry *entry = atomic_load_explicit(&qf_table[fd], memory_order_acquire);
        if (entry == NULL) {
            return NULL;
        }
        if (entry == &qf_leaving) {
            if (!qf_wait_for_close(spins)) {
                *out_dead = true;
                errno = EBADF;
                return NULL;
            }
            continue;
        }
        if (entry->generation != qf_generation) {
            if (!qf_is_its(entry, fd)) {
                qf_drop_stale(entry, fd);
                continue;
            }
            const int rc = qf_borrow(entry, fd);
            if (rc == 0) {
                continue;
            }
            *out_dead = true;
            if (rc == -EBADF) {
                qf_say_forked();
            }
            errno = -rc;
            return NULL;
        }
        if (!qf_ref(entry)) {
            continue; /* on its way out; the table says so in a moment */
        }
        if (atomic_load_explicit(&qf_table[fd], memory_order_acquire) != entry) {
            qf_put(entry); /* it had become another socket's */
            continue;
        }
        if (qf_is_sure(entry) || qf_is_its(entry, fd)) {
            return entry;
        }
        qf_drop_stale(entry, fd);
        qf_put(entry);
    }
}

bool qf_is_parents(int fd)
{
    const qf_entry *entry = qf_generation != 0 && (uint32_t)fd < QF_FDS_MAX
                                ? atomic_load_explicit(&qf_table[fd], memory_order_acquire)
                                : NULL;
    return entry != NULL && entry != &qf_leaving && entry->generation != qf_generation &&
           !qf_can_borrow(entry) && qf_is_its(entry, fd);
}

/* ---- making and copying --------------------------------------------------------------------------------- */

qf_entry *qf_new(int fd, qs_sock *sock, int protocol, const qs_ops *ops)
{
    struct stat st;
    if ((uint32_t)fd >= QF_FDS_MAX || fstat(fd, &st) != 0) {
        errno = EMFILE;
        return NULL;
    }
    pthread_mutex_lock(&qf_lock);
    qf_entry *entry = qf_free_list;
    if (entry != NULL) {
        qf_free_list = entry->free_next;
    } else if ((entry = calloc(1, sizeof(*entry))) != NULL) {
        entry->all_next = qf_all;
        qf_all = entry;
    }
    if (entry != NULL) {
        entry->sock = sock;
        entry->ops = ops;
        atomic_store_explicit(&entry->protocol, protocol, memory_order_relaxed);
        entry->generation = qf_generation;
        entry->fds = 0;
        entry->leaving = 0;
        entry->travels = false;
        entry->adrift = false;
        entry->shared = false;
        entry->kept = 0;
        entry->kin = NULL;
        entry->watched = false;
        atomic_store_explicit(&entry->blind, false, memory_order_relaxed);
        entry->gone = false;
        entry->closed = false;
        entry->ended = false;
        entry->ino = st.st_ino;
        entry->dev = st.st_dev;
        qf_judge(entry);
        atomic_store_explicit(&entry->refs, 1, memory_order_release);
        atomic_fetch_add_explicit(&qf_in_use, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&qf_lock);
    if (entry == NULL) {
        errno = ENOMEM;
    }
    return entry;
}

/* Lock held. An entry that stood there was of a descriptor closed behind our back. */
static qf_entry *qf_put_in(qf_entry *entry, int fd, bool *out_last)
{
    qf_entry *old = atomic_exchange_explicit(&qf_table[fd], entry, memory_order_acq_rel);
    qf_highest = fd > qf_highest ? fd : qf_highest;
    *out_last = old != NULL && old != &qf_leaving && old->generation == qf_generation &&
                qf_less(old, old != entry);
    return old;
}

void qf_show(qf_entry *entry, int fd)
{
    bool last = false;
    pthread_mutex_lock(&qf_lock);
    entry->fds++;
    qf_judge(entry);
    qf_entry *old = qf_put_in(entry, fd, &last);
    pthread_mutex_unlock(&qf_lock);
    if (last) {
        qf_last(old);
    }
}

qf_entry *qf_copy_begin(int fd)
{
    bool dead = false;
    qf_entry *entry = qf_is_quic(fd) ? qf_get(fd, &dead) : NULL;
    if (entry != NULL) {
        pthread_mutex_lock(&qf_lock);
        entry->fds++; /* a close meanwhile is not the last */
        qf_judge(entry);
        pthread_mutex_unlock(&qf_lock);
    }
    return entry;
}

/* Since the copy began other threads may have closed the number and opened it anew: then it is that file's. */
void qf_copy_end(qf_entry *entry, int fd)
{
    bool last = false;
    bool old_last = false;
    qf_entry *old = NULL;
    pthread_mutex_lock(&qf_lock);
    bool fits = (uint32_t)fd < QF_FDS_MAX && !entry->closed && qf_is_its(entry, fd);
    if (fits) {
        old = qf_put_in(entry, fd, &old_last);
        entry->ops->set_fd(entry->sock, fd);
    } else {
        last = qf_less(entry, true);
    }
    pthread_mutex_unlock(&qf_lock);
    if (old_last) {
        qf_last(old);
    }
    if (last) {
        qf_last(entry);
    }
    if (!fits && fd >= 0) {
        qf_received(fd); /* it may be another socket's */
    }
    qf_put(entry);
}

/* ---- closing ---------------------------------------------------------------------------------------------- */

/* Of the parent's nothing is touched, and nothing borrowed only to be closed: who looks for it then sees by the inode
 * that it is gone. */
static bool qf_is_of_parents(int fd)
{
    const qf_entry *entry = qf_generation != 0 && (uint32_t)fd < QF_FDS_MAX
                                ? atomic_load_explicit(&qf_table[fd], memory_order_acquire)
                                : NULL;
    return entry != NULL && entry != &qf_leaving && entry->generation != qf_generation;
}

qf_entry *qf_hide(int fd)
{
    bool dead = false;
    if (qf_is_of_parents(fd) || !qf_is_quic(fd)) {
        return NULL;
    }
    qf_entry *entry = qf_get(fd, &dead);
    if (entry == NULL) {
        return NULL;
    }
    pthread_mutex_lock(&qf_lock);
    qf_entry *expected = entry;
    bool mine = atomic_compare_exchange_strong(&qf_table[fd], &expected, &qf_leaving);
    if (mine) {
        entry->leaving++;
        qf_in_close++;
        entry->ops->set_fd(entry->sock, entry->fds > 1 ? qf_other_fd(entry) : -1);
    }
    pthread_mutex_unlock(&qf_lock);
    if (!mine) {
        qf_put(entry); /* another thread was faster */
        return NULL;
    }
    return entry;
}

void qf_hidden(qf_entry *entry, int fd, bool closed)
{
    pthread_mutex_lock(&qf_lock);
    qf_entry *expected = &qf_leaving;
    (void)atomic_compare_exchange_strong(&qf_table[fd], &expected, closed ? NULL : entry);
    if (!closed) {
        entry->ops->set_fd(entry->sock, fd);
    }
    entry->leaving--;
    qf_in_close--;
    bool gone = entry->gone && !entry->closed;
    if (gone) {
        qf_take_out(entry);
        entry->fds = 1;
    }
    qf_judge(entry);
    bool last = (closed || gone) && qf_less(entry, false);
    pthread_mutex_unlock(&qf_lock);
    if (last) {
        qf_last(entry);
    }
    qf_put(entry);
}

static void qf_on_gone(void *cookie, qs_sock *sock)
{
    qf_entry *entry = cookie;
    bool last = false;
    pthread_mutex_lock(&qf_lock);
    bool ours = entry->sock == sock && entry->generation == qf_generation && !entry->closed;
    if (ours && entry->leaving > 0) {
        entry->gone = true; /* the call that closes it ends it */
    } else if (ours) {
        qf_take_out(entry);
        entry->closed = true;
        last = true;
    }
    pthread_mutex_unlock(&qf_lock);
    if (last) {
        qf_last(entry);
    }
}

static void qf_on_blind(void *cookie)
{
    qf_entry *entry = cookie;
    atomic_store_explicit(&entry->blind, true, memory_order_relaxed);
}

static void qf_on_cancelled(void *cookie)
{
    qf_put(cookie);
}

const qs_host qf_host = {qf_on_gone, qf_on_blind, qf_on_cancelled, qf_say};

/* ---- over UNIX sockets -------------------------------------------------------------------------------------- */

void qf_sent(int fd)
{
    bool dead = false;
    qf_entry *entry = qf_is_quic(fd) ? qf_get(fd, &dead) : NULL;
    if (entry != NULL) {
        pthread_mutex_lock(&qf_lock);
        entry->travels = true;
        qf_judge(entry);
        pthread_mutex_unlock(&qf_lock);
        qf_put(entry);
    }
}

void qf_received(int fd)
{
    struct stat st;
    if ((uint32_t)fd >= QF_FDS_MAX || fstat(fd, &st) != 0 || !S_ISSOCK(st.st_mode)) {
        return;
    }
    bool old_last = false;
    qf_entry *old = NULL;
    pthread_mutex_lock(&qf_lock);
    for (qf_entry *entry = qf_all; entry != NULL; entry = entry->all_next) {
        if (entry->sock != NULL && !entry->closed && entry->generation == qf_generation &&
            entry->ino == st.st_ino && entry->dev == st.st_dev) {
            entry->adrift = false;
            entry->fds++;
            qf_judge(entry);
            old = qf_put_in(entry, fd, &old_last);
            entry->ops->set_fd(entry->sock, fd);
            break;
        }
    }
    pthread_mutex_unlock(&qf_lock);
    if (old_last) {
        qf_last(old);
    }
}

/* ---- fork ------------------------------------------------------------------------------------------------------ */

void qf_say_once(const char *line)
{
    static _Atomic bool said;
    if (!atomic_exchange(&said, true)) {
        (void)!QF_REAL(write)(STDERR_FILENO, line, strlen(line));
    }
}

void qf_say_forked(void)
{
    qf_say_once("libquic: a QUIC socket belongs to the process that made it, and this child of "
                "fork has no way to that "
                "one (EBADF)\n");
}

void qf_forked(void)
{
    qf_generation++;
    pthread_mutex_init(&qf_lock, NULL);
    pthread_cond_init(&qf_some_ended, NULL);
    qf_in_close = 0;
    qf_free_list = NULL;
    qf_all = NULL;
    atomic_store(&qf_in_use, 1); /* dead entries must still be recognized */
    for (int fd = 0; fd <= qf_highest; fd++) {
        qf_entry *expected = &qf_leaving; /* nobody is left to finish that */
        (void)atomic_compare_exchange_strong(&qf_table[fd], &expected, NULL);
    }
}

#include "compat/front/table.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "compat/front/engine.h"

_Atomic(qf_entry *) qf_table[QF_FDS_MAX];
_Atomic uint32_t qf_in_use;
uint32_t qf_generation;

static pthread_mutex_t qf_lock = PTHREAD_MUTEX_INITIALIZER;
static qf_entry *qf_free_list;

qf_entry *qf_get(int fd, bool *out_dead)
{
    *out_dead = false;
    if ((uint32_t)fd >= QF_FDS_MAX) {
        return NULL;
    }
    for (;;) {
        qf_entry *entry = atomic_load_explicit(&qf_table[fd], memory_order_acquire);
        if (entry == NULL) {
            return NULL;
        }
        if (entry->generation != qf_generation) {
            *out_dead = true;
            return NULL;
        }
        uint32_t refs = atomic_load_explicit(&entry->refs, memory_order_relaxed);
        while (refs != 0 &&
               !atomic_compare_exchange_weak_explicit(&entry->refs, &refs, refs + 1,
                                                      memory_order_acquire, memory_order_relaxed)) {
        }
        if (refs == 0) {
            continue; /* on its way out; the table says so in a moment */
        }
        if (atomic_load_explicit(&qf_table[fd], memory_order_acquire) == entry) {
            return entry;
        }
        qf_put(entry); /* it had become another socket's */
    }
}

void qf_put(qf_entry *entry)
{
    if (atomic_fetch_sub_explicit(&entry->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    qf_engine()->release(entry->sock);
    entry->sock = NULL;
    atomic_fetch_sub_explicit(&qf_in_use, 1, memory_order_relaxed);
    pthread_mutex_lock(&qf_lock);
    entry->free_next = qf_free_list;
    qf_free_list = entry;
    pthread_mutex_unlock(&qf_lock);
}

bool qf_new(int fd, qs_sock *sock)
{
    if ((uint32_t)fd >= QF_FDS_MAX) {
        return false;
    }
    pthread_mutex_lock(&qf_lock);
    qf_entry *entry = qf_free_list;
    if (entry != NULL) {
        qf_free_list = entry->free_next;
    }
    pthread_mutex_unlock(&qf_lock);
    if (entry == NULL) {
        entry = calloc(1, sizeof(*entry));
    }
    if (entry == NULL) {
        return false;
    }
    entry->sock = sock;
    entry->generation = qf_generation;
    atomic_store_explicit(&entry->fds, 1, memory_order_relaxed);
    atomic_store_explicit(&entry->refs, 1, memory_order_release);
    atomic_fetch_add_explicit(&qf_in_use, 1, memory_order_relaxed);
    atomic_store_explicit(&qf_table[fd], entry, memory_order_release);
    return true;
}

void qf_add(qf_entry *entry, int fd)
{
    atomic_fetch_add_explicit(&entry->fds, 1, memory_order_relaxed);
    atomic_store_explicit(&qf_table[fd], entry, memory_order_release);
}

/* Another descriptor that stands for the entry, for the engine to drain; -1: none. */
static int qf_other_fd(const qf_entry *entry)
{
    for (int fd = 0; fd < QF_FDS_MAX; fd++) {
        if (atomic_load_explicit(&qf_table[fd], memory_order_relaxed) == entry) {
            return fd;
        }
    }
    return -1;
}

void qf_forget(int fd)
{
    if (!qf_is_quic(fd)) {
        return;
    }
    qf_entry *entry = atomic_exchange_explicit(&qf_table[fd], NULL, memory_order_acq_rel);
    if (entry == NULL || entry->generation != qf_generation) {
        return; /* a parent's: nothing of it is touched */
    }
    if (atomic_fetch_sub_explicit(&entry->fds, 1, memory_order_acq_rel) != 1) {
        qf_engine()->set_fd(entry->sock, qf_other_fd(entry));
        return;
    }
    qf_engine()->close(entry->sock);
    qf_put(entry);
}

void qf_say_forked(void)
{
    static const char line[] =
        "libquic: a QUIC socket belongs to the process that made it: after fork "
        "it is of no use to the child (EBADF)\n";
    static _Atomic bool said;
    if (!atomic_exchange(&said, true)) {
        (void)!write(STDERR_FILENO, line, sizeof(line) - 1);
    }
}

void qf_forked(void)
{
    qf_generation++;
    pthread_mutex_init(&qf_lock, NULL);
    qf_free_list = NULL;
    atomic_store(&qf_in_use, 1); /* dead entries must still be recognized */
}

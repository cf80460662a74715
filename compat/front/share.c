#include "compat/front/share.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "compat/front/engine.h"
#include "compat/front/table_internal.h"

/* Lock held. Without memory the child has it as long as the parent. */
static void qf_kept_add(qf_kept *kept, qf_entry *entry)
{
    if (kept->count == kept->room) {
        const uint32_t room = kept->room == 0 ? 4 : 2 * kept->room;
        qf_entry **grown = realloc(kept->entries, room * sizeof(qf_entry *));
        if (grown == NULL) {
            return;
        }
        kept->entries = grown;
        kept->room = room;
    }
    kept->entries[kept->count++] = entry;
    entry->kept++;
    qf_hold_entry(entry);
}

bool qf_share_all(qf_kept *kept)
{
    bool any = false;
    (void)pthread_mutex_lock(&qf_lock);
    for (qf_entry *entry = qf_all; entry != NULL; entry = entry->all_next) {
        if (entry->sock != NULL && !entry->closed && entry->generation == qf_generation) {
            entry->shared = true;
            qf_judge(entry);
            entry->ops->share(entry->sock, true);
            any = any || entry->ops == qf_engine();
            if (kept != NULL && atomic_load_explicit(&entry->blind, memory_order_relaxed)) {
                qf_kept_add(kept, entry);
            }
        }
    }
    (void)pthread_mutex_unlock(&qf_lock);
    return any;
}

void qf_kept_copy(qf_kept *to, const qf_kept *from)
{
    (void)pthread_mutex_lock(&qf_lock);
    for (uint32_t i = 0; i < from->count; i++) {
        qf_kept_add(to, from->entries[i]);
    }
    (void)pthread_mutex_unlock(&qf_lock);
}

static void qf_kept_take(qf_kept *kept, uint32_t at)
{
    qf_entry *entry = kept->entries[at];
    (void)pthread_mutex_lock(&qf_lock);
    kept->entries[at] = kept->entries[--kept->count];
    entry->kept--;
    bool last = entry->kept == 0 && entry->adrift && !entry->closed;
    entry->closed = entry->closed || last;
    (void)pthread_mutex_unlock(&qf_lock);
    if (last) {
        qf_last(entry);
    }
    qf_put(entry);
}

void qf_kept_drop(qf_kept *kept, const qf_entry *entry)
{
    for (uint32_t i = 0; i < kept->count; i++) {
        if (kept->entries[i] == entry) {
            qf_kept_take(kept, i);
            return;
        }
    }
}

void qf_kept_end(qf_kept *kept)
{
    while (kept->count > 0) {
        qf_kept_take(kept, kept->count - 1);
    }
    free(kept->entries);
    kept->entries = NULL;
    kept->room = 0;
}

/* One that only children had; its place in the count is the caller's then. Lock held. Who forks counts its child before
 * it shares, so that none is missed here. */
static qf_entry *qf_unshare_next(const uint32_t *children)
{
    const bool none = __atomic_load_n(children, __ATOMIC_ACQUIRE) == 0;
    for (qf_entry *entry = qf_all; none && entry != NULL; entry = entry->all_next) {
        if (entry->sock == NULL || !entry->shared || entry->closed) {
            continue;
        }
        entry->shared = false;
        qf_judge(entry);
        entry->ops->share(entry->sock, false);
        if (entry->adrift && !entry->travels) {
            entry->closed = true;
            return entry;
        }
    }
    return NULL;
}

void qf_unshare_all(const uint32_t *children)
{
    qf_entry *entry;
    do {
        (void)pthread_mutex_lock(&qf_lock);
        entry = qf_unshare_next(children);
        (void)pthread_mutex_unlock(&qf_lock);
        if (entry != NULL) {
            qf_last(entry);
        }
    } while (entry != NULL);
}

/* Who closes those that only others had waits for nobody (SO_LINGER). */
void qf_gone_now(qf_entry *entry)
{
    (void)pthread_mutex_lock(&qf_lock);
    const bool ours = entry->adrift && entry->generation == qf_generation;
    const bool under_way = ours && entry->closed && !entry->ended;
    const bool gone = ours && !entry->closed && entry->ops->is_gone(entry->sock);
    entry->closed = entry->closed || gone;
    while (under_way && !entry->ended) {
        (void)pthread_cond_wait(&qf_some_ended, &qf_lock);
    }
    (void)pthread_mutex_unlock(&qf_lock);
    if (gone) {
        qf_last(entry);
    }
}

void qf_gone_all(void)
{
    (void)pthread_mutex_lock(&qf_lock);
    qf_entry *entry = qf_all;
    (void)pthread_mutex_unlock(&qf_lock);
    for (; entry != NULL; entry = entry->all_next) { /* none is ever freed */
        if (qf_ref(entry)) {
            qf_gone_now(entry);
            qf_put(entry);
        }
    }
}

qf_entry *qf_find_shared(int fd)
{
    struct stat st;
    qf_entry *found = NULL;
    if (fstat(fd, &st) != 0 || !S_ISSOCK(st.st_mode)) {
        return NULL;
    }
    (void)pthread_mutex_lock(&qf_lock);
    for (qf_entry *entry = qf_all; entry != NULL && found == NULL; entry = entry->all_next) {
        if (entry->sock != NULL && !entry->closed && entry->generation == qf_generation &&
            entry->ops == qf_engine() && entry->ino == st.st_ino && entry->dev == st.st_dev &&
            qf_ref(entry)) {
            found = entry;
        }
    }
    (void)pthread_mutex_unlock(&qf_lock);
    return found;
}

void qf_take_over(const qf_entry *parents, qf_entry *entry)
{
    (void)pthread_mutex_lock(&qf_lock);
    for (int fd = 0; fd <= qf_highest; fd++) {
        qf_entry *expected = (qf_entry *)(uintptr_t)parents;
        if (atomic_load_explicit(&qf_table[fd], memory_order_relaxed) == parents &&
            qf_is_its(entry, fd) &&
            atomic_compare_exchange_strong(&qf_table[fd], &expected, entry)) {
            entry->fds++;
        }
    }
    qf_judge(entry);
    const bool none = entry->fds == 0; /* another thread has closed it meanwhile */
    entry->closed = entry->closed || none;
    (void)pthread_mutex_unlock(&qf_lock);
    if (none) {
        qf_last(entry);
    }
}

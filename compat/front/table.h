/* compat/front/table.h: which descriptors are QUIC sockets.
 *
 * Shape:  an array by descriptor; an entry counts its descriptors (dup) and the calls under way. Entries
 *         are never freed, only used again, so that a look-up needs no lock.
 * Fork:   entries belong to the process that made them; in a child they are dead: EBADF.
 */
#ifndef COMPAT_FRONT_TABLE_H
#define COMPAT_FRONT_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compat/ops.h"

#define QF_FDS_MAX (1 << 20)

typedef struct qf_entry {
    struct qf_entry *free_next;
    qs_sock *sock;
    _Atomic uint32_t refs; /* calls under way, and one while there are descriptors; 0: unused */
    _Atomic uint32_t fds;  /* descriptors */
    uint32_t generation;   /* of the process */
} qf_entry;

extern _Atomic(qf_entry *) qf_table[QF_FDS_MAX];
/* Entries in use: 0 lets every call pass at once. */
extern _Atomic uint32_t qf_in_use;
extern uint32_t qf_generation;

/* Whether the descriptor may be ours: one load. */
static inline bool qf_is_quic(int fd)
{
    return (uint32_t)fd < QF_FDS_MAX &&
           atomic_load_explicit(&qf_table[fd], memory_order_relaxed) != NULL;
}

/* qf_get gives the entry of a descriptor and counts the call; NULL: not a QUIC socket. *out_dead: it was
 * the parent's. qf_put ends the call. */
qf_entry *qf_get(int fd, bool *out_dead);
void qf_put(qf_entry *entry);

/* qf_new makes an entry for a socket with the descriptor `fd`; false without memory, or fd too large.
 * qf_add gives it another descriptor. */
bool qf_new(int fd, qs_sock *sock);
void qf_add(qf_entry *entry, int fd);
/* What close(fd) means to the table; closes the socket with its last descriptor. */
void qf_forget(int fd);
/* In a child after fork. qf_say_forked tells once why the parent's sockets do not work there. */
void qf_forked(void);
void qf_say_forked(void);

#endif /* COMPAT_FRONT_TABLE_H */

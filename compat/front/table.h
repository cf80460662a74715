/* compat/front/table.h: which descriptors are QUIC sockets.
 *
 * Shape:  an array by descriptor; an entry counts its descriptors (dup) and the calls under way. Entries
 *         are never freed, only used again, so that a look-up needs no lock.
 * Truth:  the kernel's. A descriptor can be closed, and its number given to another file, without our
 *         knowledge. While an entry has one descriptor the kernel says when that is gone (`gone` of
 *         qs_host); with more of them, or copies in other processes, or once the connection has ended, it
 *         would not: then every look-up compares the inode, and what does not fit is taken off the table.
 * Fork:   entries belong to the process that made them. In a child one is borrowed with the first call (lend.h), or,
 *         where that cannot be, dead: EBADF.
 */
#ifndef COMPAT_FRONT_TABLE_H
#define COMPAT_FRONT_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "compat/front/lend_kin.h"
#include "compat/ops.h"

#define QF_FDS_MAX (1 << 20)

typedef struct qf_entry {
    struct qf_entry *free_next;
    struct qf_entry *all_next;
    qs_sock *sock;
    const qs_ops *ops;     /* the engine's, or those of a borrowed socket (lend.h) */
    _Atomic uint32_t refs; /* calls under way, and one while there are descriptors; 0: unused */
    uint32_t fds;          /* descriptors in the table, and copies under way; table lock */
    _Atomic uint32_t generation; /* of the process */
    _Atomic bool unsure;         /* the kernel may not say when a descriptor is gone */
    _Atomic bool blind;          /* it does not any more: the connection has ended */
    _Atomic int protocol;        /* QS_PROTO_*: its layouts */
    bool watched;                /* it says when the last one is */
    uint32_t leaving;            /* closes under way */
    bool travels; /* a copy was sent over a UNIX socket: the kernel says when the last is gone */
    bool adrift;  /* other processes have the only copies */
    bool shared;  /* a child of fork may hold a copy */
    bool gone;    /* so the kernel says; told during a close */
    bool closed;
    bool ended; /* and its descriptors here are free */
    uint32_t
        kept; /* children that may have copies of which the kernel tells nothing (share.h); table lock */
    qf_kin *kin; /* whose child has accepted it: a descriptor of its (lend_kin.h); NULL: none */
    ino_t ino;
    dev_t dev;
} qf_entry;

extern _Atomic(qf_entry *) qf_table[QF_FDS_MAX];
/* Not 0 while there may be entries in the table: 0 lets every call pass at once. */
extern _Atomic uint32_t qf_in_use;
extern uint32_t qf_generation;

/* Whether the descriptor may be ours: one load. */
static inline bool qf_is_quic(int fd)
{
    return (uint32_t)fd < QF_FDS_MAX &&
           atomic_load_explicit(&qf_table[fd], memory_order_relaxed) != NULL;
}

/* Whether it may be one in the kernel's layouts. */
static inline bool qf_is_kernel(int fd)
{
    const qf_entry *entry = (uint32_t)fd < QF_FDS_MAX
                                ? atomic_load_explicit(&qf_table[fd], memory_order_acquire)
                                : NULL;
    return entry != NULL &&
           atomic_load_explicit(&entry->protocol, memory_order_relaxed) == QS_PROTO_KERNEL;
}

static inline bool qf_any(void)
{
    return __builtin_expect(atomic_load_explicit(&qf_in_use, memory_order_relaxed) != 0, 0);
}

/* qf_get gives the entry of a descriptor and counts the call; NULL: not a QUIC socket. *out_dead: it is
 * the parent's and cannot be borrowed, or is being closed at this moment; errno says which. qf_put ends the call. */
qf_entry *qf_get(int fd, bool *out_dead);
/* qf_is_parents says whether it is a socket of the parent that is lost to a child of fork. Takes neither lock nor
 * reference: for handlers of signals, too. */
bool qf_is_parents(int fd);
void qf_put(qf_entry *entry);
/* One more call, by who has one. */
void qf_hold_entry(qf_entry *entry);

/* qf_new makes an entry for a socket and the program's descriptor `fd`; NULL, with errno: without memory, or
 * fd too large. qf_show lets the program's calls find it. */
qf_entry *qf_new(int fd, qs_sock *sock, int protocol, const qs_ops *ops);
void qf_show(qf_entry *entry, int fd);

/* qf_count_for has `kin` get a descriptor back with the close. False: another thread, which saw the descriptor in the
 * table, has closed it already, or put a socket there that is counted. */
bool qf_count_for(qf_entry *entry, qf_kin *kin);

/* qf_watched: attach has said whether the kernel's word on the last descriptor will come. */
void qf_watched(qf_entry *entry, bool watched);

/* Closing a descriptor: qf_hide takes it off the table (calls that look for it meanwhile fail with EBADF)
 * and returns what it stood for, NULL for nothing of ours; then comes the real call; qf_hidden ends it, and
 * closes the socket with its last descriptor. With `closed` false nothing has happened after all. */
qf_entry *qf_hide(int fd);
void qf_hidden(qf_entry *entry, int fd, bool closed);

/* Copying one: qf_copy_begin before the kernel is asked, qf_copy_end with what it gave (-1: nothing).
 * NULL: not ours. */
qf_entry *qf_copy_begin(int fd);
void qf_copy_end(qf_entry *entry, int fd);

/* UNIX sockets carry descriptors: qf_sent notes one that is sent, qf_received looks at one that came. */
void qf_sent(int fd);
void qf_received(int fd);

/* What the engine tells. */
extern const qs_host qf_host;

/* qf_copied: another process may have a copy of every descriptor now. qf_forked: in a child after fork.
 * qf_say_forked tells why the parent's sockets do not work there; of all that qf_say_once is to tell it tells one. */
void qf_copied(void);
void qf_forked(void);
void qf_say_forked(void);
void qf_say_once(const char *line);

#endif /* COMPAT_FRONT_TABLE_H */

/* compat/front/lend.h: sockets that a child of fork has from its parent.
 *
 * Shape:  connections live in the process that made them. A child's calls on its copies of the descriptors go to that
 *         process, the lender, through a pair of UNIX sockets made before the fork: a message there, a message back. A
 *         thread of the lender makes the call, one that does not wait for peers; who has to wait does so in the child,
 *         on the descriptor, which tells of readiness there as anywhere. What takes its time (handshakes) gets a
 *         thread.
 * Trust:  a child gets at a socket by handing over a copy of its descriptor, as it might to any process.
 * Close:  a socket is closed with its last descriptor, in whatever process, as others are; with the lender ends all it
 *         has lent.
 * Bounds: lend_kin.h.
 * Depth:  a child lends what is its own, and passes on to a child of its own the way to its lender, as deep as it goes;
 *         a process with QF_LENDERS_MAX above it lends nothing of its own.
 */
#ifndef COMPAT_FRONT_LEND_H
#define COMPAT_FRONT_LEND_H

#include "compat/front/table.h"

#define QF_LENDERS_MAX 4

/* Around fork, in this order: before it, and then in the parent or in the child, where the table knows already that it
 * is one. */
void qf_lend_before(void);
/* In a child that nobody has made a way for, before qf_lend_in_child. */
void qf_lend_nothing(void);
void qf_lend_in_parent(void);
void qf_lend_in_child(void);

/* ---- the child's side (borrow.c) ---------------------------------------------------------------------- */

/* The calls of entries of borrowed sockets. */
extern const qs_ops qf_borrowed_ops;

/* Makes an entry of the child's own of one of the parent's, for all descriptors that stand for it. 0; -EBADF: its
 * lender is gone, or never was one; -EMFILE, -ENOMEM and what sendmsg has: it cannot now; -EMFILE and -EAGAIN also
 * where it would not lend to one more when this process was made. */
int qf_borrow(qf_entry *parents, int fd);
/* Whether there is a lender. Takes no lock: for handlers of signals, too. */
bool qf_can_borrow(const qf_entry *parents);
/* accept4 on a borrowed entry: the new descriptor, or -errno. */
int qf_borrowed_accept(const qf_entry *entry, struct sockaddr *addr, socklen_t *len, int flags);

/* What borrow.c keeps for lend.c: the way to the lender `index`, -errno for none. qf_borrow_ask_way gives another one
 * of it, for a child. qf_borrow_set_way is called once in the child. */
int qf_borrow_ask_way(int index);
void qf_borrow_set_way(int index, int fd);

/* ---- the lender's side (lend.c) ------------------------------------------------------------------------- */

/* A descriptor of ours is put out of the program's way, as far as its limit allows; -1: there is none. */
int qf_own(int fd);
void qf_own_close(int fd);
void qf_own_shut(int fd); /* whoever has a copy: a raw clone is not seen */
bool qf_owns(int fd);
/* No descriptor of this library is there or above; one of the engine's, which it is to know of. */
uint32_t qf_owned_end(void);
void qf_owned_note(int fd);

/* What children held that have ended comes back in a moment: gets it now, for who has found nothing left and tries once
 * more, as others may have got it since. Leaves errno as it is. */
void qf_reclaim(void);
/* One more for a child and its kin, in the lending thread: none of them that has ended counts. */
bool qf_lend_take_fd(qf_kin *kin);

#endif /* COMPAT_FRONT_LEND_H */

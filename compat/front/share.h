/* compat/front/share.h: entries of the table that other processes have copies of.
 *
 * Shape:  a fork shares all there are. A shared one is not closed with this process's last descriptor, but with the
 *         last of all, which the kernel tells; where it cannot, because the connection had ended before, a child
 *         keeps it.
 */
#ifndef COMPAT_FRONT_SHARE_H
#define COMPAT_FRONT_SHARE_H

#include "compat/front/table.h"

/* Sockets whose connection had ended when a child was made: they are the child's, too, until it ends or gives them
 * back.
 * A reference each. */
typedef struct qf_kept {
    uint32_t count;
    uint32_t room;
    qf_entry **entries;
} qf_kept;

/* A child of fork will have a copy of every descriptor. Whether there is a socket of this process's own. `kept`, or
 * NULL, is filled for the child. */
bool qf_share_all(qf_kept *kept);
/* No child is left that could make a call, as long as *children is 0: those that no descriptor of this process stands
 * for are closed. */
void qf_unshare_all(const uint32_t *children);
/* If the last descriptor of one that only other processes had, or of any of them, is gone, it is closed, the engine's
 * word not waited for. The caller has a reference. */
void qf_gone_now(qf_entry *entry);
void qf_gone_all(void);

/* One more child has them; it has `entry` no more; it has none. */
void qf_kept_copy(qf_kept *to, const qf_kept *from);
void qf_kept_drop(qf_kept *kept, const qf_entry *entry);
void qf_kept_end(qf_kept *kept);

/* The entry that a descriptor is a copy of, with a call counted; NULL: none of ours. */
qf_entry *qf_find_shared(int fd);
/* In a child: what stood for the parent's entry stands for `entry`. */
void qf_take_over(const qf_entry *parents, qf_entry *entry);

#endif /* COMPAT_FRONT_SHARE_H */

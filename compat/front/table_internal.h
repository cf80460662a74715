/* compat/front/table_internal.h: the table's inside, for share.c. */
#ifndef COMPAT_FRONT_TABLE_INTERNAL_H
#define COMPAT_FRONT_TABLE_INTERNAL_H

#include <pthread.h>

#include "compat/front/table.h"

extern pthread_mutex_t qf_lock;      /* the table's; what it guards says so */
extern pthread_cond_t qf_some_ended; /* with `ended` */
extern qf_entry *qf_all;             /* entries ever made; table lock */
extern int qf_highest;               /* descriptor in the table so far; table lock */

/* Whether the descriptor is one of the entry's, by its inode. */
bool qf_is_its(const qf_entry *entry, int fd);
/* One more call, if the entry is in use. */
bool qf_ref(qf_entry *entry);
/* After each change of what it looks at; lock held. */
void qf_judge(qf_entry *entry);
/* For who has set `closed`: closes the socket. No lock held. */
void qf_last(qf_entry *entry);

#endif /* COMPAT_FRONT_TABLE_INTERNAL_H */

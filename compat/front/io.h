/* compat/front/io.h: sending and receiving on an entry, with errno and SIGPIPE as libc has them. */
#ifndef COMPAT_FRONT_IO_H
#define COMPAT_FRONT_IO_H

#include "compat/front/table.h"

ssize_t qf_send(const qf_entry *entry, const struct msghdr *msg, int flags);
ssize_t qf_recv(const qf_entry *entry, struct msghdr *msg, int flags);

#endif /* COMPAT_FRONT_IO_H */

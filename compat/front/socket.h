/* compat/front/socket.h: accepting on an entry, with errno as libc has it. */
#ifndef COMPAT_FRONT_SOCKET_H
#define COMPAT_FRONT_SOCKET_H

#include "compat/front/table.h"

/* The new descriptor, or -1. */
long qf_accept(const qf_entry *entry, struct sockaddr *addr, socklen_t *len, int flags);

#endif /* COMPAT_FRONT_SOCKET_H */

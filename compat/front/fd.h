/* compat/front/fd.h: descriptors in the ancillary data of UNIX sockets (SCM_RIGHTS). */
#ifndef COMPAT_FRONT_FD_H
#define COMPAT_FRONT_FD_H

#include <sys/socket.h>

/* Before a message leaves, and after one came, on any socket. */
void qf_rights_sent(const struct msghdr *msg);
void qf_rights_received(const struct msghdr *msg);

#endif /* COMPAT_FRONT_FD_H */

/* compat/core/life.h: what life.c, listen.c and connect.c share. */
#ifndef COMPAT_CORE_LIFE_H
#define COMPAT_CORE_LIFE_H

#include "compat/core/sock.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- life.c ------------------------------------------------------------------------------------------------- */
/* What changes the address or the role of a socket waits for workers, without its lock: one at a time. */
void qs_setup_begin(qs_sock *s);
void qs_setup_end(qs_sock *s);

/* ---- listen.c ----------------------------------------------------------------------------------------------- */
/* An address for this socket's family, as bind and connect take it. 0 or -EINVAL. */
int qs_addr_for(const qs_sock *s, quring_addr *out, const struct sockaddr *addr, socklen_t len);
/* Between begin and end: who waits to be accepted is refused. */
void qs_stop_listening(qs_sock *s);

#ifdef __cplusplus
}
#endif

#endif /* COMPAT_CORE_LIFE_H */

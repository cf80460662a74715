/* compat/core/raw.h: the steps of a handshake that the built-in TLS takes as any other does; in the thread of the
 * handshake, no lock held. Each gives 0 or -errno.
 */
#ifndef COMPAT_CORE_RAW_H
#define COMPAT_CORE_RAW_H

#include "compat/core/sock.h"

#ifdef __cplusplus
extern "C" {
#endif

int qs_hs_install(qs_sock *s, quring_level level, quring_direction dir, uint16_t suite,
                  const uint8_t *secret, size_t len);
/* 0-RTT of a client: what it remembers of the server; of either side's TLS: whether it is accepted. */
int qs_hs_remember(qs_sock *s);
int qs_hs_early_answer(qs_sock *s, bool accepted);
int qs_hs_complete(qs_sock *s);
/* CONNECTED is told at the end of the worker's turn: only then can the program send. */
int qs_hs_await(qs_sock *s, uint64_t deadline);
/* Closes with an error of the transport's, which may be an alert (RFC 9001 4.8). _close: on the worker. */
quring_status qs_hs_close(quring_conn conn, uint64_t code);
void qs_hs_refuse(qs_sock *s, uint64_t code);

#ifdef __cplusplus
}
#endif

#endif /* COMPAT_CORE_RAW_H */

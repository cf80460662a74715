/* compat/core/attend.h: who waits for an answer receives it itself.
 *
 * A thread that has sent a little and waits does the sleeping worker's work for a moment: the answer then takes
 * one thread per end, not two (quring_attend). For that the worker leaves its sockets alone, a little longer than
 * it is attended, so it is only for a worker with one busy socket; one that finds others, or whose answers take
 * long, waits as usual and tries again later.
 */
#ifndef COMPAT_CORE_ATTEND_H
#define COMPAT_CORE_ATTEND_H

#include "compat/core/sock.h"

/* qs_attend_pays tells whether the next wait to receive is such a one. Lock held. */
bool qs_attend_pays(qs_sock *s);
/* qs_attend waits so until s->seq is not `seen`: 0, or -EINTR, or -EAGAIN: it is not, and has to be waited for as
 * usual. Lock held, and dropped meanwhile. */
int qs_attend(qs_sock *s, uint32_t seen);
/* qs_attend_end: another way of waiting for the worker begins. */
void qs_attend_end(uint32_t worker);
void qs_attend_end_all(void);
/* qs_attend_note: an event of `conn_ctx` came. On a worker. */
void qs_attend_note(const void *conn_ctx);

#endif /* COMPAT_CORE_ATTEND_H */

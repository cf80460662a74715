/* tools/quicperf/tickets.h: the session tickets a client worker has in store.
 *
 * Shape:  a stack, newest on top. 0-RTT takes a ticket once; resumption alone may use the last one
 *         again.
 * Owner:  one worker.
 */
#ifndef TOOLS_QUICPERF_TICKETS_H
#define TOOLS_QUICPERF_TICKETS_H

#include <stdbool.h>
#include <stddef.h>

#include "quring/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QP_TICKETS_MAX 65536u

typedef struct qp_tickets {
    quring_bytes *list;
    size_t count;
    size_t cap;
    quring_bytes last; /* given out, and still owned here */
} qp_tickets;

/* qp_tickets_push copies one; beyond QP_TICKETS_MAX, or without memory, it is forgotten. */
void qp_tickets_push(qp_tickets *tickets, quring_bytes ticket);

/* qp_tickets_take gives the newest; when there is none the last one given out, or an empty one.
 * Valid until the next call. */
quring_bytes qp_tickets_take(qp_tickets *tickets);

void qp_tickets_deinit(qp_tickets *tickets);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_TICKETS_H */

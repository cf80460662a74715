/* quic/stream/scheduler.h: which stream sends next.
 *
 * Shape:  eight FIFO lists, one per urgency (RFC 9218 4.1), and a bit per list that is not empty.
 *         Within an urgency incremental streams take turns, others go one after another.
 * Owner:  the connection; links through quic_stream.send_node.    Cost: O(1) each.
 */
#ifndef QUIC_STREAM_SCHEDULER_H
#define QUIC_STREAM_SCHEDULER_H

#include "quic/base/list.h"
#include "quic/base/types.h"
#include "quic/stream/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quic_scheduler {
    uint32_t ready; /* bit u: queues[u] is not empty */
    uint32_t count;
    quic_list queues[QUIC_STREAM_URGENCY_COUNT];
} quic_scheduler;

void quic_scheduler_init(quic_scheduler *sched);

/* quic_scheduler_add puts `s` at the end of its urgency's queue; no-op when it is queued
 * already. */
void quic_scheduler_add(quic_scheduler *sched, quic_stream *s);

/* quic_scheduler_remove takes `s` out; no-op when it is not queued. */
void quic_scheduler_remove(quic_scheduler *sched, quic_stream *s);

/* quic_scheduler_next gives the stream whose turn it is, or NULL. It stays queued. */
quic_stream *quic_scheduler_next(const quic_scheduler *sched);

/* quic_scheduler_rotate ends the turn of `s`, which has more to send: an incremental stream goes
 * behind the others of its urgency, another one keeps its place. */
void quic_scheduler_rotate(quic_scheduler *sched, quic_stream *s);

/* quic_scheduler_set_priority changes urgency (0..7, larger is taken as 7) and mode. */
void quic_scheduler_set_priority(quic_scheduler *sched, quic_stream *s, uint8_t urgency,
                                 bool incremental);

static inline bool quic_scheduler_is_empty(const quic_scheduler *sched)
{
    return sched->ready == 0;
}

#ifdef __cplusplus
}
#endif

#endif /* QUIC_STREAM_SCHEDULER_H */

/* quic/stream/scheduler.h: which stream sends next.
 *
 * Shape:  eight lists, one per urgency (RFC 9218 4.1), and a bit per list that is not empty. Within an
 *         urgency incremental streams take turns, each of so many bytes; others go one after another
 *         in order of their ids (RFC 9218 10). Where both meet, these have every other turn, all of them together.
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

/* New bytes that an incremental stream sends before another one has its turn. A train is a single stream's
 * as far as its bytes go, so that a turn may become longer; what is too much is made up for by turns left
 * out. */
#define QUIC_SCHEDULER_TURN_BYTES 16384u

typedef struct quic_scheduler {
    uint32_t ready : 8;              /* bit u: queues[u] is not empty */
    uint32_t incremental_count : 24; /* of `count`; memory ends before */
    uint32_t count;
    quic_list queues[QUIC_STREAM_URGENCY_COUNT];
} quic_scheduler;

void quic_scheduler_init(quic_scheduler *sched);

/* quic_scheduler_add queues `s` in its urgency: an incremental stream at the end, another one where its id
 * belongs; no-op when it is queued already. */
void quic_scheduler_add(quic_scheduler *sched, quic_stream *s);

/* quic_scheduler_resume is quic_scheduler_add for one whose turn, begun in this or another queue, goes on. */
void quic_scheduler_resume(quic_scheduler *sched, quic_stream *s);

/* quic_scheduler_resume_first is the same in front of the others of its urgency, or directly behind `behind` (NULL,
 * or a queued stream) if that is one of them. */
void quic_scheduler_resume_first(quic_scheduler *sched, quic_stream *s, quic_stream *behind);

/* quic_scheduler_remove takes `s` out; no-op when it is not queued. quic_scheduler_take is the same for one that
 * goes on with its turn in another queue. */
void quic_scheduler_remove(quic_scheduler *sched, quic_stream *s);
void quic_scheduler_take(quic_scheduler *sched, quic_stream *s);

/* quic_scheduler_next gives the stream whose turn it is, or NULL. It stays queued. */
quic_stream *quic_scheduler_next(const quic_scheduler *sched);

/* quic_scheduler_turn_is_over says whether `s` has sent what its turn allows. */
bool quic_scheduler_turn_is_over(const quic_stream *s);

/* quic_scheduler_put_last puts a queued incremental stream behind the others of its urgency, in its turn. */
void quic_scheduler_put_last(quic_scheduler *sched, quic_stream *s);

/* quic_scheduler_end_train is called when a train has been filled: an incremental stream that has sent what
 * its turn allows goes behind the others of its urgency, another one lets one of these go first once. */
void quic_scheduler_end_train(quic_scheduler *sched);

/* quic_scheduler_set_priority changes urgency (0..7, larger is taken as 7) and mode. */
void quic_scheduler_set_priority(quic_scheduler *sched, quic_stream *s, uint8_t urgency,
                                 bool incremental);

static inline bool quic_scheduler_is_empty(const quic_scheduler *sched)
{
    return sched->ready == 0;
}

/* quic_scheduler_is_more_urgent says whether `a` has a stream of a more urgent class than all of `b`. */
static inline bool quic_scheduler_is_more_urgent(const quic_scheduler *a, const quic_scheduler *b)
{
    uint32_t first = a->ready & (~a->ready + 1);
    return first != 0 && (b->ready == 0 || first < (b->ready & (~b->ready + 1)));
}

/* quic_scheduler_check_invariants asserts that bits, count and queues agree (tests, simulation). */
void quic_scheduler_check_invariants(const quic_scheduler *sched);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_STREAM_SCHEDULER_H */

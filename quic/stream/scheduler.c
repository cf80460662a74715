#include "quic/stream/scheduler.h"

#include "quic/base/check.h"

#define TURN_KIB      (QUIC_SCHEDULER_TURN_BYTES >> 10)
#define SEEK_MAX      64u /* queued streams that are looked at, for a place or for the next turn */
#define ROTATIONS_MAX 16u /* turns that may end after one train: more than it can be long */
#define DEBT_KIB_MAX  64 /* of a turn that goes on with another stream: what a train was too long */

static quic_stream *stream_of(quic_list_node *node)
{
    return QUIC_CONTAINER_OF(node, quic_stream, send_node);
}

void quic_scheduler_init(quic_scheduler *sched)
{
    sched->ready = 0;
    sched->count = 0;
    sched->incremental_count = 0;
    for (size_t u = 0; u < QUIC_STREAM_URGENCY_COUNT; u++) {
        quic_list_init(&sched->queues[u]);
    }
}

/* Where it is, and where a turn from here ends, in KiB modulo 2^16: no turn is that long. */
static uint16_t sent_kib(const quic_stream *s)
{
    return (uint16_t)(s->send.next_off >> 10);
}

static void begin_turn(quic_stream *s)
{
    s->turn_end = (uint16_t)(sent_kib(s) + TURN_KIB);
}

bool quic_scheduler_turn_is_over(const quic_stream *s)
{
    return (int16_t)(uint16_t)(sent_kib(s) - s->turn_end) >= 0;
}

/* The turn of those that go in order is one of all of them: short ones, of which there may always be more, would not
 * let anybody else have one. What `from` has left `to` goes on with, less `fee` KiB for what is not a whole one. */
static void pass_turn(quic_stream *from, quic_stream *to, int32_t fee)
{
    const int32_t given = (int16_t)(uint16_t)(from->turn_end - sent_kib(from)) - fee;
    const int32_t own = (int16_t)(uint16_t)(to->turn_end - sent_kib(to));
    const int32_t left = given < own ? given : own;
    to->turn_end = (uint16_t)(sent_kib(to) + (left > -DEBT_KIB_MAX ? left : -DEBT_KIB_MAX));
    begin_turn(from);
}

/* The first of those that go in order, if it is at the front, or behind one that has a turn in between. */
static quic_list_node *first_in_order(const quic_list *queue)
{
    quic_list_node *node = quic_list_front(queue);
    if (node != NULL && stream_of(node)->incremental) {
        node = quic_list_next(queue, node);
    }
    return node != NULL && !stream_of(node)->incremental ? node : NULL;
}

/* What `s`, which is not incremental, belongs in front of. One that comes back was the first; a new one belongs at the
 * end: few are looked at. Beyond SEEK_MAX order is given up, not time. */
static quic_list_node *place_of(quic_list *queue, quic_stream *s)
{
    quic_list_node *first = first_in_order(queue);
    if (first != NULL && s->id < stream_of(first)->id) {
        pass_turn(stream_of(first), s, 0);
        return first;
    }
    quic_list_node *at = &queue->head;
    quic_list_node *node = queue->head.prev;
    for (uint32_t n = 0; n < SEEK_MAX && node != &queue->head; n++, node = node->prev) {
        const quic_stream *other = stream_of(node);
        if (!other->incremental && other->id < s->id) {
            break;
        }
        at = other->incremental ? at : node;
    }
    return at;
}

static inline void add_before(quic_scheduler *sched, quic_stream *s, quic_list_node *before)
{
    quic_list_insert_before(before, &s->send_node);
    sched->ready = (sched->ready | 1u << s->urgency) & 0xffu;
    sched->count++;
    if (QUIC_LIKELY(s->incremental)) {
        sched->incremental_count++;
    }
    s->scheduled = true;
}

static inline void add(quic_scheduler *sched, quic_stream *s, quic_list_node *before)
{
    QURING_ASSERT(s->urgency < QUIC_STREAM_URGENCY_COUNT);
    quic_list *queue = &sched->queues[s->urgency];
    add_before(sched, s, QUIC_LIKELY(s->incremental) ? before : place_of(queue, s));
}

void quic_scheduler_add(quic_scheduler *sched, quic_stream *s)
{
    if (!s->scheduled) {
        begin_turn(s);
        add(sched, s, &sched->queues[s->urgency].head);
    }
}

void quic_scheduler_resume(quic_scheduler *sched, quic_stream *s)
{
    if (!s->scheduled) {
        add(sched, s, &sched->queues[s->urgency].head);
    }
}

void quic_scheduler_resume_first(quic_scheduler *sched, quic_stream *s, quic_stream *behind)
{
    if (!s->scheduled) {
        const quic_list *queue = &sched->queues[s->urgency];
        if (!s->incremental && first_in_order(queue) == NULL) {
            add_before(sched, s,
                       queue->head.next); /* in its turn; if that is over, others are next */
            return;
        }
        bool joins = behind != NULL && behind->urgency == s->urgency;
        add(sched, s, joins ? behind->send_node.next : sched->queues[s->urgency].head.next);
    }
}

/* The one at the front leaves. */
static void leave_turn(const quic_list *queue, quic_stream *s)
{
    const quic_list_node *front = queue->head.next;
    quic_list_node *next = quic_list_next(queue, &s->send_node);
    if (front == &s->send_node && next != NULL && !stream_of(next)->incremental) {
        pass_turn(s, stream_of(next), 1);
    }
}

void quic_scheduler_take(quic_scheduler *sched, quic_stream *s)
{
    if (!s->scheduled) {
        return;
    }
    QURING_ASSERT(sched->count > 0);
    quic_list_remove(&s->send_node);
    if (quic_list_is_empty(&sched->queues[s->urgency])) {
        sched->ready = sched->ready & ~(1u << s->urgency) & 0xffu;
    }
    sched->count--;
    if (QUIC_LIKELY(s->incremental)) {
        sched->incremental_count--;
    }
    s->scheduled = false;
}

void quic_scheduler_remove(quic_scheduler *sched, quic_stream *s)
{
    if (QUIC_UNLIKELY(!s->incremental) && s->scheduled) {
        leave_turn(&sched->queues[s->urgency], s);
    }
    quic_scheduler_take(sched, s);
}

quic_stream *quic_scheduler_next(const quic_scheduler *sched)
{
    if (sched->ready == 0) {
        return NULL;
    }
    return stream_of(quic_list_front(&sched->queues[__builtin_ctz(sched->ready)]));
}

void quic_scheduler_put_last(quic_scheduler *sched, quic_stream *s)
{
    if (s->scheduled && s->incremental) {
        quic_list_remove(&s->send_node);
        quic_list_push_back(&sched->queues[s->urgency], &s->send_node);
    }
}

/* RFC 9218 10: streams that take turns are not starved by those that do not. Of these the first has every other turn,
 * and the rest wait for it. Behind more of them than are looked at it is the first of those at the end. */
static quic_list_node *next_incremental(const quic_scheduler *sched, const quic_stream *s)
{
    const quic_list *queue = &sched->queues[s->urgency];
    if (sched->incremental_count == 0) {
        return NULL;
    }
    quic_list_node *node = quic_list_next(queue, &s->send_node);
    for (uint32_t n = 0; n < SEEK_MAX && node != NULL; n++, node = quic_list_next(queue, node)) {
        if (stream_of(node)->incremental) {
            return node;
        }
    }
    quic_list_node *found = NULL;
    node = queue->head.prev;
    for (uint32_t n = 0; n < SEEK_MAX && node != &s->send_node; n++, node = node->prev) {
        found = stream_of(node)->incremental ? node : found;
    }
    return found;
}

void quic_scheduler_end_train(quic_scheduler *sched)
{
    for (uint32_t n = 0; n < ROTATIONS_MAX; n++) {
        quic_stream *s = quic_scheduler_next(sched);
        if (s == NULL || !quic_scheduler_turn_is_over(s)) {
            return;
        }
        quic_list *queue = &sched->queues[s->urgency];
        quic_list_node *other =
            s->incremental ? quic_list_next(queue, &s->send_node) : next_incremental(sched, s);
        if (other == NULL) {
            /* Alone it owes nobody anything; what goes in order has had its turn, if others wait for credit. */
            s->turn_end = (uint16_t)(sent_kib(s) + (s->incremental ? TURN_KIB : 1));
            return;
        }
        s->turn_end = (uint16_t)(s->turn_end + TURN_KIB);
        if (s->incremental) {
            quic_list_remove(&s->send_node);
            quic_list_push_back(queue, &s->send_node);
        } else {
            quic_list_remove(other);
            quic_list_push_front(queue, other);
        }
    }
}

void quic_scheduler_set_priority(quic_scheduler *sched, quic_stream *s, uint8_t urgency,
                                 bool incremental)
{
    bool queued = s->scheduled;
    quic_scheduler_remove(sched, s);
    s->urgency =
        urgency < QUIC_STREAM_URGENCY_COUNT ? urgency : (uint8_t)(QUIC_STREAM_URGENCY_COUNT - 1);
    s->incremental = incremental;
    if (queued) {
        quic_scheduler_add(sched, s);
    }
}

void quic_scheduler_check_invariants(const quic_scheduler *sched)
{
    uint32_t count = 0;
    uint32_t incremental_count = 0;
    for (uint8_t u = 0; u < QUIC_STREAM_URGENCY_COUNT; u++) {
        const quic_list *queue = &sched->queues[u];
        QURING_ASSERT(((sched->ready >> u & 1u) != 0) == !quic_list_is_empty(queue));
        for (quic_list_node *n = quic_list_front(queue); n != NULL; n = quic_list_next(queue, n)) {
            QURING_ASSERT(stream_of(n)->scheduled && stream_of(n)->urgency == u);
            count++;
            incremental_count += stream_of(n)->incremental ? 1 : 0;
        }
    }
    QURING_ASSERT(count == sched->count && incremental_count == sched->incremental_count);
}

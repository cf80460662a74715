#include "quic/stream/scheduler.h"

#include "quic/base/check.h"

void quic_scheduler_init(quic_scheduler *sched)
{
    sched->ready = 0;
    sched->count = 0;
    for (size_t u = 0; u < QUIC_STREAM_URGENCY_COUNT; u++) {
        quic_list_init(&sched->queues[u]);
    }
}

void quic_scheduler_add(quic_scheduler *sched, quic_stream *s)
{
    if (s->scheduled) {
        return;
    }
    QURING_ASSERT(s->urgency < QUIC_STREAM_URGENCY_COUNT);
    quic_list_push_back(&sched->queues[s->urgency], &s->send_node);
    sched->ready |= 1u << s->urgency;
    sched->count++;
    s->scheduled = true;
}

void quic_scheduler_remove(quic_scheduler *sched, quic_stream *s)
{
    if (!s->scheduled) {
        return;
    }
    QURING_ASSERT(sched->count > 0);
    quic_list_remove(&s->send_node);
    if (quic_list_is_empty(&sched->queues[s->urgency])) {
        sched->ready &= ~(1u << s->urgency);
    }
    sched->count--;
    s->scheduled = false;
}

quic_stream *quic_scheduler_next(const quic_scheduler *sched)
{
    if (sched->ready == 0) {
        return NULL;
    }
    const quic_list *queue = &sched->queues[__builtin_ctz(sched->ready)];
    return QUIC_CONTAINER_OF(quic_list_front(queue), quic_stream, send_node);
}

void quic_scheduler_rotate(quic_scheduler *sched, quic_stream *s)
{
    if (!s->scheduled || !s->incremental) {
        return;
    }
    quic_list_remove(&s->send_node);
    quic_list_push_back(&sched->queues[s->urgency], &s->send_node);
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

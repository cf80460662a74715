#include "compat/core/attend.h"

#include <errno.h>

/* How long at most: the round trip of one machine, or one rack. The thread's signals wait as long. */
#define QS_ATTEND_NS 500000u
/* For how long a worker that served others is not tried again. */
#define QS_ATTEND_PAUSE_NS 50000000u
/* A socket whose answers take longer tries ever more rarely: not at the next 2^n - 1 waits. */
#define QS_ATTEND_MISSES_MAX 8u

/* What is known of a worker. Only hints, which no lock orders. */
typedef struct qs_attend_fact {
    const void *who;    /* atomic: whom it was last attended for; never looked into */
    bool has_others;    /* atomic: an event came that was not for that one */
    bool is_attended;   /* atomic: it may be parked */
    uint64_t paused_ns; /* atomic: it served others then */
} qs_attend_fact;

static qs_attend_fact qs_attend_facts[QURING_WORKERS_MAX];

typedef struct qs_attend_wait {
    const uint32_t *seq;
    uint32_t seen;
} qs_attend_wait;

void qs_attend_note(const void *conn_ctx)
{
    qs_attend_fact *w = &qs_attend_facts[quring_worker_self()];
    if (__atomic_load_n(&w->who, __ATOMIC_RELAXED) != conn_ctx &&
        !__atomic_load_n(&w->has_others, __ATOMIC_RELAXED)) {
        __atomic_store_n(&w->has_others, true, __ATOMIC_RELAXED);
    }
}

static bool qs_attend_is_alone(const qs_sock *s)
{
    qs_attend_fact *w = &qs_attend_facts[s->worker];
    __atomic_store_n(&w->who, s, __ATOMIC_RELAXED);
    uint64_t now = quring_now_ns();
    if (__atomic_exchange_n(&w->has_others, false, __ATOMIC_RELAXED)) {
        __atomic_store_n(&w->paused_ns, now, __ATOMIC_RELAXED);
        return false;
    }
    return now - __atomic_load_n(&w->paused_ns, __ATOMIC_RELAXED) >= QS_ATTEND_PAUSE_NS;
}

bool qs_attend_pays(qs_sock *s)
{
    bool due = s->answer_due || s->attends;
    s->answer_due = false;
    if (due && s->attend_skips > 0) {
        s->attend_skips--;
        due = false;
    }
    s->attends = due && s->state == QS_ESTABLISHED && qs_attend_is_alone(s);
    return s->attends;
}

static bool qs_attend_has_news(void *ctx)
{
    const qs_attend_wait *wait = (const qs_attend_wait *)ctx;
    return __atomic_load_n(wait->seq, __ATOMIC_ACQUIRE) != wait->seen;
}

int qs_attend(qs_sock *s, uint32_t seen)
{
    qs_attend_wait wait = {&s->seq, seen};
    qs_unlock(s);
    __atomic_store_n(&qs_attend_facts[s->worker].is_attended, true, __ATOMIC_RELAXED);
    quring_status status = qs_attend_worker(s, QS_ATTEND_NS, qs_attend_has_news, &wait);
    pthread_mutex_lock(&s->lock);
    if (qs_attend_has_news(&wait)) {
        /* That the question has arrived does not tell when the answer will. */
        s->attend_misses = qs_rx_is_empty(s) ? s->attend_misses : 0;
        return 0;
    }
    s->attends = false;
    if (s->attend_misses < QS_ATTEND_MISSES_MAX) {
        s->attend_misses++;
    }
    s->attend_skips = (uint16_t)((1u << s->attend_misses) - 1);
    return status == QURING_E_INTERRUPTED ? -EINTR : -EAGAIN;
}

void qs_attend_end(uint32_t worker)
{
    bool *is_attended = &qs_attend_facts[worker].is_attended;
    if (__atomic_load_n(is_attended, __ATOMIC_RELAXED)) {
        __atomic_store_n(is_attended, false, __ATOMIC_RELAXED);
        qs_recall_worker(worker);
    }
}

void qs_attend_end_all(void)
{
    for (uint32_t i = 0; i < qs_worker_count(); i++) {
        qs_attend_end(i);
    }
}

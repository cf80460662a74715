#include "quring/runtime.h"

#include "runtime/core/app_timer.h"
#include "runtime/core/clock.h"
#include "runtime/core/worker.h"
#include "runtime/server/error.h"
#include "runtime/server/local.h"
#include "runtime/server/runtime.h"

/* A timer's public name has the worker's tag above the slot, so that no other worker's timer is meant. */
#define RT_TIMER_TAG_SHIFT 24
_Static_assert(RT_APP_TIMERS_MAX < 1u << RT_TIMER_TAG_SHIFT, "slots count from 1");

quring_status quring_post(quring_runtime *rt, uint32_t worker, quring_task_fn fn, void *ctx)
{
    if (rt == NULL || fn == NULL || worker >= rt->config.workers) {
        return QURING_E_INVAL;
    }
    return rt_status_of(rt_worker_post(rt->workers[worker], fn, ctx));
}

quring_status quring_visit(quring_runtime *rt, uint32_t worker, quring_task_fn fn, void *ctx)
{
    if (rt == NULL || fn == NULL || worker >= rt->config.workers) {
        return QURING_E_INVAL;
    }
    if (rt_local_self != NULL) {
        return QURING_E_THREAD;
    }
    return rt_status_of(rt_worker_visit(rt->workers[worker], fn, ctx));
}

quring_status quring_attend(quring_runtime *rt, uint32_t worker, uint64_t until_ns,
                            quring_check_fn done, void *ctx)
{
    if (rt == NULL || done == NULL || worker >= rt->config.workers) {
        return QURING_E_INVAL;
    }
    if (rt_local_self != NULL) {
        return QURING_E_THREAD;
    }
    bool interrupted = false;
    quic_rc rc = rt_worker_attend(rt->workers[worker], &interrupted, until_ns, done, ctx);
    return interrupted ? QURING_E_INTERRUPTED : rt_status_of(rc);
}

quring_status quring_recall(quring_runtime *rt, uint32_t worker)
{
    if (rt == NULL || worker >= rt->config.workers) {
        return QURING_E_INVAL;
    }
    return rt_status_of(rt_worker_recall(rt->workers[worker]));
}

quring_status quring_defer(quring_task_fn fn, void *ctx)
{
    const rt_local *local = rt_local_self;
    if (local == NULL || rt_local_stands_in) {
        return QURING_E_THREAD;
    }
    if (fn == NULL) {
        return QURING_E_INVAL;
    }
    return rt_status_of(rt_worker_defer(local->worker, fn, ctx));
}

quring_status quring_timer(uint64_t *out_id, uint64_t at_ns, quring_task_fn fn, void *ctx)
{
    const rt_local *local = rt_local_self;
    if (local == NULL) {
        return QURING_E_THREAD;
    }
    if (fn == NULL) {
        return QURING_E_INVAL;
    }
    uint64_t id = 0;
    quring_status status = rt_status_of(rt_worker_timer_add(local->worker, &id, at_ns, fn, ctx));
    if (status == QURING_OK && out_id != NULL) {
        *out_id = id | (uint64_t)local->tag << RT_TIMER_TAG_SHIFT;
    }
    return status;
}

quring_status quring_timer_cancel(uint64_t id)
{
    const rt_local *local = rt_local_self;
    if (local == NULL) {
        return QURING_E_THREAD;
    }
    const uint64_t tag = id >> RT_TIMER_TAG_SHIFT & (RT_TAG_COUNT - 1);
    if (tag != local->tag) {
        return tag == 0 ? QURING_E_STATE : QURING_E_THREAD;
    }
    return rt_status_of(rt_worker_timer_cancel(local->worker, id & ~(tag << RT_TIMER_TAG_SHIFT)));
}

uint64_t quring_now_ns(void)
{
    return rt_clock_now();
}

#include "quring/runtime.h"

#include "runtime/core/clock.h"
#include "runtime/core/worker.h"
#include "runtime/server/error.h"
#include "runtime/server/local.h"
#include "runtime/server/runtime.h"

quring_status quring_post(quring_runtime *rt, uint32_t worker, quring_task_fn fn, void *ctx)
{
    if (rt == NULL || fn == NULL || worker >= rt->config.workers) {
        return QURING_E_INVAL;
    }
    return rt_status_of(rt_worker_post(rt->workers[worker], fn, ctx));
}

typedef struct rt_visit {
    rt_local *local;
    quring_task_fn fn;
    void *ctx;
} rt_visit;

static void rt_visit_run(void *ctx)
{
    const rt_visit *visit = (const rt_visit *)ctx;
    rt_local_self = visit->local;
    visit->local->visited = true;
    visit->fn(visit->ctx);
    visit->local->visited = false;
    rt_local_self = NULL;
}

quring_status quring_visit(quring_runtime *rt, uint32_t worker, quring_task_fn fn, void *ctx)
{
    if (rt == NULL || fn == NULL || worker >= rt->config.workers) {
        return QURING_E_INVAL;
    }
    if (rt_local_self != NULL) {
        return QURING_E_THREAD;
    }
    rt_visit visit = {&rt->locals[worker], fn, ctx};
    return rt_status_of(rt_worker_visit(rt->workers[worker], rt_visit_run, &visit));
}

quring_status quring_defer(quring_task_fn fn, void *ctx)
{
    const rt_local *local = rt_local_self;
    if (local == NULL || local->visited) {
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
        *out_id = id;
    }
    return status;
}

quring_status quring_timer_cancel(uint64_t id)
{
    const rt_local *local = rt_local_self;
    if (local == NULL) {
        return QURING_E_THREAD;
    }
    return rt_status_of(rt_worker_timer_cancel(local->worker, id));
}

uint64_t quring_now_ns(void)
{
    return rt_clock_now();
}

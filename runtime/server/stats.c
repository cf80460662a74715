#include "quring/stats.h"

#include <string.h>

#include "quic/base/counters.h"
#include "runtime/server/runtime.h"

_Static_assert(sizeof(quring_stats) == sizeof(quic_counters), "one list makes both");
_Static_assert(sizeof(quring_stats) % sizeof(uint64_t) == 0, "an array of counters");

#define RT_STATS_COUNT (sizeof(quring_stats) / sizeof(uint64_t))

static const quring_stats_field rt_stats_table[] = {
#define X(name, unit, help) {#name, #unit, help, offsetof(quring_stats, name)},
#include "quring/stats.def"
#undef X
};

static void rt_stats_add(quring_stats *sum, const quic_counters *part)
{
    uint64_t a[RT_STATS_COUNT];
    uint64_t b[RT_STATS_COUNT];
    memcpy(a, sum, sizeof(a));
    memcpy(b, part, sizeof(b));
    for (size_t i = 0; i < RT_STATS_COUNT; i++) {
        a[i] += b[i];
    }
    memcpy(sum, a, sizeof(a));
}

quring_status quring_stats_get(const quring_runtime *rt, int worker, quring_stats *out)
{
    if (rt == NULL || out == NULL || (worker >= 0 && (uint32_t)worker >= rt->config.workers)) {
        return QURING_E_INVAL;
    }
    uint32_t first = worker < 0 ? 0 : (uint32_t)worker;
    uint32_t end = worker < 0 ? rt->config.workers : first + 1;
    memset(out, 0, sizeof(*out));
    for (uint32_t i = first; i < end; i++) {
        quic_counters part;
        rt_worker_stats(rt->workers[i], &part);
        rt_stats_add(out, &part);
    }
    return QURING_OK;
}

uint64_t quring_worker_cpu_ns(const quring_runtime *rt, uint32_t worker)
{
    if (rt == NULL || worker >= rt->config.workers) {
        return 0;
    }
    return rt_worker_cpu_ns(rt->workers[worker]);
}

size_t quring_stats_count(void)
{
    return sizeof(rt_stats_table) / sizeof(rt_stats_table[0]);
}

const quring_stats_field *quring_stats_fields(void)
{
    return rt_stats_table;
}

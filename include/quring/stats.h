/* quring/stats.h: counters of the workers, declared once in stats.def. */
#ifndef QURING_STATS_H
#define QURING_STATS_H

#include "quring/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quring_stats {
#define X(name, unit, help) uint64_t name;
#include "quring/stats.def"
#undef X
} quring_stats;

/* quring_stats_get adds up the counters of all workers (worker < 0) or gives one worker's. The
 * figures are taken without stopping the workers: each is exact, together they may straddle a turn.
 * Any thread. Returns QURING_OK; QURING_E_INVAL (no such worker). */
QURING_EXPORT quring_status quring_stats_get(const quring_runtime *rt, int worker,
                                             quring_stats *out);

/* quring_worker_cpu_ns gives the CPU time worker `worker` has used, 0 if there is no such worker. */
QURING_EXPORT uint64_t quring_worker_cpu_ns(const quring_runtime *rt, uint32_t worker);

/* quring_stats_count gives how many counters there are, quring_stats_fields their descriptions (static),
 * for exporters. */
typedef struct quring_stats_field {
    const char *name;
    const char *unit; /* "count", "bytes" or "ns" */
    const char *help;
    size_t offset; /* of the uint64_t in quring_stats */
} quring_stats_field;
QURING_EXPORT size_t quring_stats_count(void);
QURING_EXPORT const quring_stats_field *quring_stats_fields(void);

#ifdef __cplusplus
}
#endif

#endif /* QURING_STATS_H */

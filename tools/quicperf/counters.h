/* tools/quicperf/counters.h: every counter of a server as one line of JSON (`quicperf server --jsonl`).
 */
#ifndef TOOLS_QUICPERF_COUNTERS_H
#define TOOLS_QUICPERF_COUNTERS_H

#include "quring/stats.h"

#include "tools/quicperf/report.h"
#include "tools/quicperf/server.h"

#ifdef __cplusplus
extern "C" {
#endif

/* qp_counters_write adds the line of what there is `seconds` after the server began; without --jsonl it does
 * nothing. */
void qp_counters_write(qp_out *out, double seconds, double cpu_s, const qp_server_totals *totals,
                       const quring_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_COUNTERS_H */

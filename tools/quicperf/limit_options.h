/* tools/quicperf/limit_options.h: the ceiling as `limit` and `demo` measure it (run_limit.c).
 */
#ifndef TOOLS_QUICPERF_LIMIT_OPTIONS_H
#define TOOLS_QUICPERF_LIMIT_OPTIONS_H

#include "quring/limit.h"

#include "tools/quicperf/options.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QP_LIMIT_PAYLOAD 1452u /* an IPv6 packet of 1500 bytes, unless --payload says otherwise */

/* What ends a measurement early: a signal of qp_signals_open. */
typedef struct qp_limit_watch {
    int signal_fd;
    bool interrupted;
} qp_limit_watch;

/* qp_limit_measure runs it on cpus[0] (sender) and cpus[1] (receiver), until a signal comes at most. Results
 * as quring_limit_run. */
QURING_NODISCARD quring_status qp_limit_measure(quring_limit_result *out, const qp_options *o,
                                                const int32_t cpus[2], qp_limit_watch *watch,
                                                quring_error *err);

/* qp_two_cpus picks the CPUs of --cpu, else two this process may run on. Returns how many different
 * ones there were, at most 2; with one, both are that. */
size_t qp_two_cpus(int32_t out[2], const qp_options *o);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_LIMIT_OPTIONS_H */

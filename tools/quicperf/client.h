/* tools/quicperf/client.h: the asking side of the "perf" protocol: one run from connecting to the
 * summary.
 *
 * Shape:  the calling thread creates a runtime, tells the workers what to do (client_worker.h), prints
 *         interval lines and fills in the result.
 */
#ifndef TOOLS_QUICPERF_CLIENT_H
#define TOOLS_QUICPERF_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "quring/runtime.h"

#include "tools/quicperf/options.h"
#include "tools/quicperf/report.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct qp_client_run {
    const qp_options *options;
    const quring_config *config;
    const quring_runtime *peer; /* the server's runtime when it is in this process, else NULL */
    int signal_fd;              /* from qp_signals_open */
    qp_out *out;
} qp_client_run;

/* qp_client_measure does one run against options->target and fills `result` (to be freed with
 * qp_result_deinit whatever is returned). Returns QP_EXIT_OK; QP_EXIT_FAILED with result->error set,
 * when no connection could be made, one was lost, or nothing was transferred; QP_EXIT_INTERRUPTED
 * with what was measured so far. */
int qp_client_measure(qp_result *result, const qp_client_run *run);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_CLIENT_H */

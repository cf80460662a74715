/* tools/quicperf/meter.h: the main thread of a run whose work other threads do: waits, samples, prints.
 *
 * Shape:  the owner fills in the first part; `read` gives totals so far, from any thread's counters.
 * Owner:  one thread; the workers only call qp_meter_wake.
 */
#ifndef TOOLS_QUICPERF_METER_H
#define TOOLS_QUICPERF_METER_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/quicperf/options.h"
#include "tools/quicperf/report.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Totals since the run began. */
typedef struct qp_reading {
    uint64_t bytes;
    uint64_t requests;
    uint64_t lost; /* packets */
    uint64_t rtt_ns;
    uint64_t cwnd_bytes;
    double cpu_s;
} qp_reading;

typedef struct qp_meter {
    const qp_options *options;
    qp_result *result;
    qp_out *out;
    int signal_fd; /* from qp_signals_open */
    void *ctx;     /* for the functions */
    void (*read)(void *ctx, qp_reading *out);
    bool (*is_over)(void *ctx); /* broken, or nothing is left to do */
    void (*go)(void *ctx);      /* lets the work begin */

    int wake_fd;
    bool interrupted;
} qp_meter;

/* qp_meter_open makes wake_fd; false: no descriptor is left. qp_meter_close ends it. */
bool qp_meter_open(qp_meter *meter);
void qp_meter_close(qp_meter *meter);

/* qp_meter_wake makes the main thread look again. From any thread. */
void qp_meter_wake(const qp_meter *meter);

/* qp_meter_wait returns when `ready` (NULL: never) or is_over says so, a signal came, or it is
 * `until_ns`. */
void qp_meter_wait(qp_meter *meter, bool (*ready)(void *ctx), uint64_t until_ns);

/* qp_meter_next is when the line after the one of `last_ns` is due: lines that are not made in time are left out. */
uint64_t qp_meter_next(uint64_t last_ns, uint64_t step_ns);

/* qp_meter_run lets the work begin and measures it for the time of -t (with -n: until it is over): a line and an
 * interval each --interval; then result->seconds, bytes, requests, lost_packets and cpu_local_s are set. */
void qp_meter_run(qp_meter *meter);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_METER_H */

/* tools/quicperf/hist_text.h: a histogram of latencies as text, in the form that HdrHistogram's plotters
 * read (.hgrm): value in milliseconds, percentile, count, 1/(1-percentile).
 */
#ifndef TOOLS_QUICPERF_HIST_TEXT_H
#define TOOLS_QUICPERF_HIST_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "tools/quicperf/hist.h"

#ifdef __cplusplus
extern "C" {
#endif

/* qp_hist_text makes the text of a histogram of nanoseconds; the caller frees *out. False: no memory. */
bool qp_hist_text(char **out, size_t *out_len, const qp_hist *hist);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_HIST_TEXT_H */

/* tools/quicperf/plot.h: what saved runs did over time, as a drawing (SVG 1.1): a line per run that has
 * intervals, throughput or requests per second; a dashed one, the mean, for the others.
 */
#ifndef TOOLS_QUICPERF_PLOT_H
#define TOOLS_QUICPERF_PLOT_H

#include <stdbool.h>
#include <stddef.h>

#include "tools/quicperf/saved.h"

#ifdef __cplusplus
extern "C" {
#endif

/* qp_plot makes the text; the caller frees *out. False: no memory. */
bool qp_plot(char **out, size_t *out_len, const qp_saved *saved);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_PLOT_H */

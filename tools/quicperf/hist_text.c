#define _GNU_SOURCE
#include "tools/quicperf/hist_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define QP_TICKS  5 /* lines for each halving of what is above */
#define QP_NS_MS  1e6
#define QP_P_LAST 99.99999 /* beyond, only the largest value */

static void qp_hist_line(FILE *to, const qp_hist *hist, double percent)
{
    uint64_t value = qp_hist_percentile(hist, percent);
    uint64_t count = qp_hist_count_to(hist, value);
    if (percent < 100) {
        (void)fprintf(to, "%12.3f %2.12f %10" PRIu64 " %14.2f\n", (double)value / QP_NS_MS,
                      percent / 100, count, 1 / (1 - percent / 100));
    } else {
        (void)fprintf(to, "%12.3f %2.12f %10" PRIu64 "\n", (double)value / QP_NS_MS, 1.0, count);
    }
}

/* The next of the percentiles that lie denser and denser towards 100. */
static double qp_hist_next(double percent)
{
    double half = pow(2, floor(log2(100 / (100 - percent))) + 1);
    return percent + 100 / (QP_TICKS * half);
}

bool qp_hist_text(char **out, size_t *out_len, const qp_hist *hist)
{
    FILE *to = open_memstream(out, out_len);
    if (to == NULL) {
        return false;
    }
    (void)fprintf(to, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
                  "1/(1-Percentile)");
    for (double percent = 0;
         hist->count > 0 && percent < QP_P_LAST && qp_hist_percentile(hist, percent) < hist->max;
         percent = qp_hist_next(percent)) {
        qp_hist_line(to, hist, percent);
    }
    if (hist->count > 0) {
        qp_hist_line(to, hist, 100);
    }
    (void)fprintf(to, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n",
                  qp_hist_mean(hist) / QP_NS_MS, qp_hist_deviation(hist) / QP_NS_MS);
    (void)fprintf(to, "#[Max     = %12.3f, Total count    = %12" PRIu64 "]\n",
                  hist->count > 0 ? (double)hist->max / QP_NS_MS : 0, hist->count);
    (void)fprintf(to, "#[Buckets = %12u, SubBuckets     = %12u]\n", 64u - QP_HIST_SUB_BITS,
                  1u << QP_HIST_SUB_BITS);
    bool ok = ferror(to) == 0;
    return fclose(to) == 0 && ok;
}

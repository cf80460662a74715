/* tools/quicperf/hist.h: a histogram of latencies with buckets that grow with the value.
 *
 * Shape:  values below 128 exactly; above, 128 buckets per power of two, so that a percentile is at
 *         most 1/128 (0.8 %) above the true one. Fixed size (58 KiB), recording is O(1).
 * Owner:  one thread records; another may merge once the first has stopped.
 */
#ifndef TOOLS_QUICPERF_HIST_H
#define TOOLS_QUICPERF_HIST_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QP_HIST_SUB_BITS 7u
#define QP_HIST_BUCKETS  ((64u - QP_HIST_SUB_BITS + 1u) << QP_HIST_SUB_BITS)

typedef struct qp_hist {
    uint64_t count;
    uint64_t min; /* meaningful when count > 0 */
    uint64_t max;
    double sum;
    uint64_t buckets[QP_HIST_BUCKETS];
} qp_hist;

void qp_hist_init(qp_hist *hist);
void qp_hist_record(qp_hist *hist, uint64_t value);

/* qp_hist_merge adds what `from` recorded to `hist`. */
void qp_hist_merge(qp_hist *hist, const qp_hist *from);

/* qp_hist_percentile gives the smallest recorded magnitude at or below which `percent` (0..100) of
 * the values lie: the upper end of its bucket, never above the largest value. 0 when empty. */
uint64_t qp_hist_percentile(const qp_hist *hist, double percent);

/* qp_hist_count_to is how many values lie at or below the end of value's bucket. */
uint64_t qp_hist_count_to(const qp_hist *hist, uint64_t value);

/* qp_hist_mean is exact, qp_hist_deviation (standard) as exact as the buckets. 0 when empty. */
double qp_hist_mean(const qp_hist *hist);
double qp_hist_deviation(const qp_hist *hist);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_HIST_H */

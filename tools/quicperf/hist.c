#include "tools/quicperf/hist.h"

#include <math.h>
#include <string.h>

#define QP_HIST_SUB      (1u << QP_HIST_SUB_BITS)
#define QP_HIST_ROUNDING 1e-14 /* of a product of doubles, and more */

void qp_hist_init(qp_hist *hist)
{
    memset(hist, 0, sizeof(*hist));
    hist->min = UINT64_MAX;
}

static unsigned qp_hist_index(uint64_t value)
{
    if (value < QP_HIST_SUB) {
        return (unsigned)value;
    }
    unsigned log2 = 63u - (unsigned)__builtin_clzll(value);
    unsigned shift = log2 - QP_HIST_SUB_BITS;
    return ((shift + 1u) << QP_HIST_SUB_BITS) + (unsigned)(value >> shift) - QP_HIST_SUB;
}

/* The largest value that falls into bucket `index`. */
static uint64_t qp_hist_upper(unsigned index)
{
    if (index < QP_HIST_SUB) {
        return index;
    }
    unsigned shift = (index >> QP_HIST_SUB_BITS) - 1u;
    uint64_t base = (uint64_t)(index & (QP_HIST_SUB - 1u)) + QP_HIST_SUB;
    return (base << shift) + ((1ull << shift) - 1u);
}

void qp_hist_record(qp_hist *hist, uint64_t value)
{
    hist->buckets[qp_hist_index(value)]++;
    hist->count++;
    hist->sum += (double)value;
    if (value < hist->min) {
        hist->min = value;
    }
    if (value > hist->max) {
        hist->max = value;
    }
}

void qp_hist_merge(qp_hist *hist, const qp_hist *from)
{
    for (unsigned i = 0; i < QP_HIST_BUCKETS; i++) {
        hist->buckets[i] += from->buckets[i];
    }
    hist->count += from->count;
    hist->sum += from->sum;
    if (from->min < hist->min) {
        hist->min = from->min;
    }
    if (from->max > hist->max) {
        hist->max = from->max;
    }
}

uint64_t qp_hist_percentile(const qp_hist *hist, double percent)
{
    if (hist->count == 0) {
        return 0;
    }
    /* 99.9 % of 1000 are 999 values: that 99.9 is a little more as a double does not make it one more. */
    double exact = percent * (double)hist->count / 100.0;
    uint64_t rank = (uint64_t)exact;
    if (exact - (double)rank > exact * QP_HIST_ROUNDING || rank == 0) {
        rank++;
    }
    uint64_t seen = 0;
    for (unsigned i = 0; i < QP_HIST_BUCKETS; i++) {
        seen += hist->buckets[i];
        if (seen >= rank) {
            uint64_t upper = qp_hist_upper(i);
            return upper < hist->max ? upper : hist->max;
        }
    }
    return hist->max;
}

double qp_hist_mean(const qp_hist *hist)
{
    return hist->count == 0 ? 0.0 : hist->sum / (double)hist->count;
}

uint64_t qp_hist_count_to(const qp_hist *hist, uint64_t value)
{
    uint64_t count = 0;
    for (unsigned i = 0; i <= qp_hist_index(value); i++) {
        count += hist->buckets[i];
    }
    return count;
}

double qp_hist_deviation(const qp_hist *hist)
{
    double mean = qp_hist_mean(hist);
    double squares = 0;
    for (unsigned i = 0; i < QP_HIST_BUCKETS && hist->count > 0; i++) {
        double upper = (double)qp_hist_upper(i);
        double lower = i == 0 ? 0 : (double)qp_hist_upper(i - 1) + 1;
        double off = (lower + upper) / 2 - mean;
        squares += (double)hist->buckets[i] * off * off;
    }
    return hist->count == 0 ? 0.0 : sqrt(squares / (double)hist->count);
}

#include "tools/quicperf/shares.h"

void qp_shares_add(qp_shares *shares, uint64_t bytes)
{
    double x = (double)bytes;
    qp_shares one = {.count = 1, .min = bytes, .max = bytes, .sum = x, .sum_of_squares = x * x};
    qp_shares_merge(shares, &one);
}

void qp_shares_merge(qp_shares *shares, const qp_shares *from)
{
    if (from->count == 0) {
        return;
    }
    shares->min = shares->count == 0 || from->min < shares->min ? from->min : shares->min;
    shares->max = from->max > shares->max ? from->max : shares->max;
    shares->count += from->count;
    shares->sum += from->sum;
    shares->sum_of_squares += from->sum_of_squares;
}

double qp_shares_jain(const qp_shares *shares)
{
    double below = (double)shares->count * shares->sum_of_squares;
    return below > 0 ? shares->sum * shares->sum / below : 0;
}

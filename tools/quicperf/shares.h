/* tools/quicperf/shares.h: how evenly connections share what there is.
 *
 * Shape:  sums over the connections; Jain's index is (sum of x)^2 / (n * sum of x^2): 1 when all got the
 *         same, 1/n when one got everything.
 */
#ifndef TOOLS_QUICPERF_SHARES_H
#define TOOLS_QUICPERF_SHARES_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct qp_shares {
    uint64_t count;
    uint64_t min; /* meaningful when count > 0 */
    uint64_t max;
    double sum;
    double sum_of_squares;
} qp_shares;

/* qp_shares_add counts one connection that moved `bytes`; qp_shares_merge those of `from`. A struct of
 * zeros is empty. */
void qp_shares_add(qp_shares *shares, uint64_t bytes);
void qp_shares_merge(qp_shares *shares, const qp_shares *from);

/* qp_shares_jain is from 0 to 1; 0 when nothing was moved. */
double qp_shares_jain(const qp_shares *shares);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_SHARES_H */

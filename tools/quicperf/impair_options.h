/* tools/quicperf/impair_options.h: the client's options that put a bad network before the server. */
#ifndef TOOLS_QUICPERF_IMPAIR_OPTIONS_H
#define TOOLS_QUICPERF_IMPAIR_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "quring/impair.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum qp_impair_kind {
    QP_IMPAIR_LOSS,
    QP_IMPAIR_BURST,
    QP_IMPAIR_DELAY,
    QP_IMPAIR_JITTER,
    QP_IMPAIR_REORDER,
    QP_IMPAIR_DUPLICATE,
    QP_IMPAIR_CORRUPT,
    QP_IMPAIR_RATE,
    QP_IMPAIR_QUEUE,
    QP_IMPAIR_MTU,
    QP_IMPAIR_BLACKHOLE,
    QP_IMPAIR_REBIND,
    QP_IMPAIR_SEED,
} qp_impair_kind;

typedef struct qp_impair_options {
    uint32_t asked;          /* bit per qp_impair_kind */
    quring_impair_link link; /* for either direction */
    uint64_t rebind_ns;
    uint64_t seed;
} qp_impair_options;

/* qp_impair_set reads the value of one option. Returns false, *out untouched, when it is wrong. */
bool qp_impair_set(qp_impair_options *out, qp_impair_kind kind, const char *value);

/* qp_impair_is_asked: whether a proxy is needed. */
bool qp_impair_is_asked(const qp_impair_options *options);

/* qp_impair_to fills in what a proxy to `server` needs. */
void qp_impair_to(quring_impair_options *out, const qp_impair_options *options,
                  const quring_addr *server);

/* qp_impair_idle names the first option that has changed nothing, NULL when each did something. Delays,
 * rate, queue and MTU may well have had nothing to do. */
const char *qp_impair_idle(const qp_impair_options *options, const quring_impair_counts *counts);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_IMPAIR_OPTIONS_H */

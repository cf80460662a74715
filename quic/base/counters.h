/* quic/base/counters.h: the counters of one worker, the list of include/quring/stats.def. */
#ifndef QUIC_BASE_COUNTERS_H
#define QUIC_BASE_COUNTERS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quic_counters {
#define X(name, unit, help) uint64_t name;
#include "quring/stats.def"
#undef X
} quic_counters;

#ifdef __cplusplus
}
#endif

#endif /* QUIC_BASE_COUNTERS_H */

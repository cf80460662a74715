/* runtime/core/clock.h: the only reader of the clocks, in nanoseconds. */
#ifndef RUNTIME_CORE_CLOCK_H
#define RUNTIME_CORE_CLOCK_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* rt_clock_now: any thread; about 25 ns. */
quic_ns rt_clock_now(void);

/* rt_clock_wall_offset: what makes nanoseconds since 1970 of rt_clock_now, modulo 2^64. It changes when
 * somebody sets the clock. */
quic_ns rt_clock_wall_offset(void);

/* rt_clock_unix_s: seconds since 1970, for certificates and logs only. */
int64_t rt_clock_unix_s(void);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_CORE_CLOCK_H */

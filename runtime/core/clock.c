#include "runtime/core/clock.h"

#include <time.h>

quic_ns rt_clock_now(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (quic_ns)ts.tv_sec * QUIC_NS_PER_S + (quic_ns)ts.tv_nsec;
}

int64_t rt_clock_unix_s(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec;
}

#include "runtime/core/clock.h"

#include <time.h>

static quic_ns read_clock(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts);
    return (quic_ns)ts.tv_sec * QUIC_NS_PER_S + (quic_ns)ts.tv_nsec;
}

quic_ns rt_clock_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

quic_ns rt_clock_wall_offset(void)
{
    return read_clock(CLOCK_REALTIME) - read_clock(CLOCK_MONOTONIC);
}

int64_t rt_clock_unix_s(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec;
}

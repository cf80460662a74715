#define _GNU_SOURCE 1 /* CPU_SET, pthread_setname_np */

#include "runtime/core/cpu.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#define NAME_BYTES 16

int rt_cpu_pin_self(int32_t cpu)
{
    if (cpu < 0 || cpu >= CPU_SETSIZE) {
        return -EINVAL;
    }
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return sched_setaffinity(0, sizeof(set), &set) == 0 ? 0 : -errno;
}

void rt_cpu_name_self(const char *name)
{
    char cut[NAME_BYTES];
    size_t len = strnlen(name, sizeof(cut) - 1);
    memcpy(cut, name, len);
    cut[len] = '\0';
    (void)pthread_setname_np(pthread_self(), cut);
}

uint32_t rt_cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) != 0) {
        return 1;
    }
    int n = CPU_COUNT(&set);
    return n > 0 ? (uint32_t)n : 1;
}

static uint64_t read_ns(clockid_t clock)
{
    struct timespec ts;
    if (clock_gettime(clock, &ts) != 0) {
        return 0;
    }
    return (uint64_t)ts.tv_sec * QUIC_NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t rt_cpu_self_ns(void)
{
    return read_ns(CLOCK_THREAD_CPUTIME_ID);
}

rt_cpu_clock rt_cpu_clock_self(void)
{
    _Static_assert(sizeof(clockid_t) == sizeof(rt_cpu_clock), "a clock's name is an int");
    clockid_t clock;
    return pthread_getcpuclockid(pthread_self(), &clock) == 0 ? clock : CLOCK_THREAD_CPUTIME_ID;
}

uint64_t rt_cpu_clock_ns(rt_cpu_clock clock)
{
    return read_ns(clock);
}

#define _GNU_SOURCE
#include "runtime/limit/limit_run.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

static double rt_limit_thread_cpu_s(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0) {
        return 0;
    }
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

uint64_t rt_limit_now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void rt_limit_side_begin(rt_limit_side *side)
{
    if (side->cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)side->cpu, &set);
        (void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set); /* checked before */
    }
    side->cpu_s = -rt_limit_thread_cpu_s();
}

void rt_limit_side_end(rt_limit_side *side)
{
    side->cpu_s += rt_limit_thread_cpu_s();
}

void rt_limit_side_fail(rt_limit_run *run, rt_limit_side *side, const char *what, int error)
{
    if (side->what == NULL) {
        side->what = what;
        side->os_errno = -error;
    }
    atomic_store(&run->phase, RT_LIMIT_ENDED);
}

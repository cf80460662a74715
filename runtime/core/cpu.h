/* runtime/core/cpu.h: pins and names threads, and reads their CPU time. */
#ifndef RUNTIME_CORE_CPU_H
#define RUNTIME_CORE_CPU_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* rt_cpu_pin_self binds the calling thread to `cpu` (0-based). Returns 0 or a negative errno. */
int rt_cpu_pin_self(int32_t cpu);

/* rt_cpu_name_self names the calling thread (cut at 15 bytes). */
void rt_cpu_name_self(const char *name);

/* rt_cpu_count: CPUs the process may use, at least 1. */
uint32_t rt_cpu_count(void);

/* rt_cpu_relax: between two looks of a loop that polls; the other thread of the core gets more of it. */
static inline void rt_cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* rt_cpu_self_ns: CPU time of the calling thread. */
uint64_t rt_cpu_self_ns(void);

/* rt_cpu_clock_self names the calling thread's CPU clock, which rt_cpu_clock_ns reads from any
 * thread; 0 once the thread has ended, or when the system will not say. */
typedef int32_t rt_cpu_clock;
rt_cpu_clock rt_cpu_clock_self(void);
uint64_t rt_cpu_clock_ns(rt_cpu_clock clock);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_CORE_CPU_H */

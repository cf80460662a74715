#include "runtime/limit/limit_run.h"

#include "runtime/core/cpu.h"

void rt_limit_side_begin(rt_limit_side *side)
{
    if (side->cpu >= 0) {
        (void)rt_cpu_pin_self(side->cpu); /* checked before */
    }
    side->cpu_s = -(double)rt_cpu_self_ns() / 1e9;
}

void rt_limit_side_end(rt_limit_side *side)
{
    side->cpu_s += (double)rt_cpu_self_ns() / 1e9;
}

void rt_limit_side_fail(rt_limit_run *run, rt_limit_side *side, const char *what, int error)
{
    if (side->what == NULL) {
        side->what = what;
        side->os_errno = -error;
    }
    atomic_store(&run->phase, RT_LIMIT_ENDED);
}

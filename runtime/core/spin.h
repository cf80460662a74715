/* runtime/core/spin.h: whether a worker polls before it sleeps, and for how long.
 *
 * Why:    to sleep and be woken costs tens of microseconds where a CPU has to come back from idling. If the
 *         next datagram is nearer than that, polling is faster and no dearer; otherwise it burns CPU time,
 *         perhaps somebody else's.
 * Shape:  a plain struct that is told how each wait went and what the kernel says about the thread; no
 *         clock, no system call. A fixed length is kept whatever happens. AUTO is a small machine:
 *         resting, until enough waits in a row were short; spinning, while at least half of the polls find
 *         something, for at most a few times as long as they lately took; yielding, a while that doubles,
 *         when others want the CPU. Each try that fails makes the next one wait for more short waits, so
 *         that what polling wastes stays below one percent of the time.
 * Owner:  the worker.
 */
#ifndef RUNTIME_CORE_SPIN_H
#define RUNTIME_CORE_SPIN_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_SPIN_MAX_NS    (50 * QUIC_NS_PER_US)  /* AUTO: one poll */
#define RT_SPIN_MIN_NS    (5 * QUIC_NS_PER_US)   /* one that is worth to be tried */
#define RT_SPIN_NEAR_NS   (150 * QUIC_NS_PER_US) /* a wait is short: with sleep and wake-up */
#define RT_SPIN_TRY_AFTER 16u                    /* short waits before the first try */
#define RT_SPIN_TRY_MOST  4096u                  /* ... and after many that failed */
#define RT_SPIN_STALL_NS  (200 * QUIC_NS_PER_US) /* between two looks of one poll: we did not run */
#define RT_SPIN_LOOK_NS   (20 * QUIC_NS_PER_MS)  /* so often the kernel is asked who else runs */
#define RT_SPIN_SWITCH_NS                                                                          \
    (10 * QUIC_NS_PER_MS) /* involuntary switches nearer to each other: too many */
#define RT_SPIN_YIELD_NS      (100 * QUIC_NS_PER_MS)
#define RT_SPIN_YIELD_MOST_NS (10 * QUIC_NS_PER_S)

typedef struct rt_spin {
    quic_ns fixed_ns;  /* not AUTO; 0: never */
    quic_ns window_ns; /* AUTO: the next poll; 0: resting */
    uint32_t hit_rate; /* of late, in 1/256 */
    uint32_t took_ns;  /* what successful polls took of late */
    uint32_t near;     /* resting: short waits, weighted by how late they were */
    uint32_t try_after;
    bool is_auto;

    bool looked;       /* the two below are set */
    quic_ns looked_at; /* and since when the count holds */
    uint64_t switches; /* involuntary, of the thread */
    quic_ns yield_ns;  /* how long the next time */
    quic_ns yield_until;

    /* counters */
    uint64_t spins;
    uint64_t hits;
    uint64_t spun_ns;
    uint64_t yields;
} rt_spin;

/* rt_spin_init: `spin_ns` as quring_config.spin_ns. With `shared` AUTO never polls: it is known that the CPU
 * is not the worker's alone. */
void rt_spin_init(rt_spin *spin, uint32_t spin_ns, bool shared);

/* rt_spin_window gives how long to poll at most in a wait that begins at `now`; 0: sleep at once. */
quic_ns rt_spin_window(const rt_spin *spin, quic_ns now);

/* One wait, after a turn with something to do. */
typedef struct rt_spin_wait {
    quic_ns spun_ns;   /* of it, polling; 0: there was none */
    quic_ns waited_ns; /* in all */
    bool hit;          /* polling found something */
    bool found;        /* so did polling or sleeping; false: only time passed */
} rt_spin_wait;
void rt_spin_on_wait(rt_spin *spin, const rt_spin_wait *wait);

/* rt_spin_look_is_due: after a poll, ask the kernel for the thread's involuntary switches and hand them to
 * rt_spin_on_look. `stalled`: the poll stood still for RT_SPIN_STALL_NS; if the thread was switched out since
 * the last look, too, somebody else ran. (A virtual machine that stands still as a whole shows no switch.) */
static inline bool rt_spin_look_is_due(const rt_spin *spin, quic_ns now, bool stalled)
{
    return spin->is_auto && (stalled || !spin->looked || now - spin->looked_at >= RT_SPIN_LOOK_NS);
}
void rt_spin_on_look(rt_spin *spin, uint64_t switches, bool stalled, quic_ns now);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_CORE_SPIN_H */

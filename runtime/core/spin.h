/* runtime/core/spin.h: whether a worker polls before it sleeps, and for how long.
 *
 * Why:    to sleep and be woken costs tens of microseconds where a CPU has to come back from idling. If the
 *         next datagram is nearer than that, polling is faster and no dearer; otherwise it burns CPU time,
 *         perhaps somebody else's.
 * Shape:  a plain struct that is told how each wait went and how long the thread ran; no clock, no system
 *         call. A fixed length is kept whatever happens. AUTO is a small machine:
 *         resting, until enough waits in a row were short; spinning, while at least half of the polls find
 *         something, for at most a few times as long as they lately took; yielding, a while that doubles,
 *         when others want the CPU. Each try that fails makes the next one wait for more short waits, so
 *         that what polling wastes stays below one percent of the time.
 *         Whatever the length: while polls keep finding one datagram that was not there at once, it is best looked
 *         for with rt_io_look.
 * Owner:  the worker.
 */
#ifndef RUNTIME_CORE_SPIN_H
#define RUNTIME_CORE_SPIN_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_SPIN_MAX_NS        (50 * QUIC_NS_PER_US)  /* AUTO: one poll */
#define RT_SPIN_MIN_NS        (5 * QUIC_NS_PER_US)   /* one that is worth to be tried */
#define RT_SPIN_NEAR_NS       (150 * QUIC_NS_PER_US) /* a wait is short: with sleep and wake-up */
#define RT_SPIN_TRY_AFTER     16u                    /* short waits before the first try */
#define RT_SPIN_TRY_MOST      4096u                  /* ... and after many that failed */
#define RT_SPIN_LONE_AFTER    8u                     /* datagrams that came alone */
#define RT_SPIN_LOOK_NS       (20 * QUIC_NS_PER_MS) /* so often it is seen whether others run, too */
#define RT_SPIN_LOST_MOST     3u  /* no more than 1/3 of the time between two looks to others, */
#define RT_SPIN_LOST_MEAN     20u /* and no more than 1/20 in the mean */
#define RT_SPIN_YIELD_NS      (100 * QUIC_NS_PER_MS)
#define RT_SPIN_YIELD_MOST_NS (10 * QUIC_NS_PER_S)

typedef struct rt_spin {
    quic_ns fixed_ns;  /* not AUTO; 0: never */
    quic_ns window_ns; /* AUTO: the next poll; 0: resting */
    uint32_t hit_rate; /* of late, in 1/256 */
    uint32_t took_ns;  /* what successful polls took of late */
    uint32_t near;     /* resting: short waits, weighted by how late they were */
    uint32_t try_after;
    uint32_t lone; /* datagrams that came alone of late */
    bool is_auto;

    quic_ns slept_ns;     /* in all */
    bool looked;          /* the three below are set: at the last look */
    quic_ns looked_at;    /* ... when it was, */
    quic_ns looked_cpu;   /* ... how long the thread had run, */
    quic_ns looked_slept; /* ... and slept */
    quic_ns lost_mean;    /* of RT_SPIN_LOOK_NS, what went to others of late */
    quic_ns yield_ns;     /* how long the next time */
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
    uint32_t looks;    /* polls */
    uint32_t units;    /* that the turn before it received; 0: that had only orders */
    bool hit;          /* polling found something */
    bool found;        /* so did polling or sleeping; false: only time passed */
} rt_spin_wait;
void rt_spin_on_wait(rt_spin *spin, const rt_spin_wait *wait);

/* rt_spin_on_ready: where there was no wait a look found a datagram. */
void rt_spin_on_ready(rt_spin *spin);

/* rt_spin_is_lone: datagrams come one at a time. */
static inline bool rt_spin_is_lone(const rt_spin *spin)
{
    return spin->lone >= RT_SPIN_LONE_AFTER;
}

/* rt_spin_on_sleep: the thread slept, or waited in the kernel, for so long; after whatever turn. */
static inline void rt_spin_on_sleep(rt_spin *spin, quic_ns slept_ns)
{
    spin->slept_ns += slept_ns;
}

/* rt_spin_look_is_due: after a poll, hand rt_spin_on_look the CPU time of the thread. What neither it nor the
 * sleeps account for went to others, who wanted the CPU. (So did a container's quota.) What the machine as a
 * whole did not get does not show in a virtual one. */
static inline bool rt_spin_look_is_due(const rt_spin *spin, quic_ns now)
{
    return spin->is_auto && (!spin->looked || now - spin->looked_at >= RT_SPIN_LOOK_NS);
}
void rt_spin_on_look(rt_spin *spin, quic_ns cpu_ns, quic_ns now);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_CORE_SPIN_H */

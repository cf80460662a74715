#include "runtime/core/spin.h"

#include <string.h>

#include "quring/config.h"

#define RATE_ONE   256u
#define RATE_START 192u
#define RATE_REST  128u /* fewer than half find something: not worth it */
#define WINDOW_PER 4u   /* polls last so many times what successful ones took */
#define FORGIVE    64u  /* hits, after which a later failure counts as the first */
#define MEAN_OF    8u   /* looks */
#define LONE_MOST  16u
#define LONE_LESS  2u /* for one that did not come alone */

void rt_spin_init(rt_spin *spin, uint32_t spin_ns, bool shared)
{
    memset(spin, 0, sizeof(*spin));
    spin->is_auto = spin_ns == QURING_SPIN_AUTO && !shared;
    spin->fixed_ns = spin_ns == QURING_SPIN_AUTO ? 0 : spin_ns;
    spin->try_after = RT_SPIN_TRY_AFTER;
    spin->yield_ns = RT_SPIN_YIELD_NS;
}

quic_ns rt_spin_window(const rt_spin *spin, quic_ns now)
{
    if (QUIC_LIKELY(!spin->is_auto)) {
        return spin->fixed_ns;
    }
    return now < spin->yield_until ? 0 : spin->window_ns;
}

static void rest(rt_spin *spin)
{
    spin->window_ns = 0;
    spin->near = 0;
}

/* A long wait in between halves what was gathered: traffic that comes in bursts counts, too. */
static void on_rest(rt_spin *spin, bool is_near)
{
    spin->near = is_near ? spin->near + 1 : spin->near / 2;
    if (spin->near >= spin->try_after) {
        spin->window_ns = RT_SPIN_MAX_NS;
        spin->took_ns = (uint32_t)(RT_SPIN_MAX_NS / WINDOW_PER);
        spin->hit_rate = RATE_START;
    }
}

static void on_hit(rt_spin *spin, quic_ns spun_ns)
{
    uint32_t took = (uint32_t)(spun_ns < RT_SPIN_MAX_NS ? spun_ns : RT_SPIN_MAX_NS);
    spin->hit_rate += (RATE_ONE - spin->hit_rate + 7) / 8;
    spin->took_ns = spin->took_ns - spin->took_ns / 8 + took / 8;
    if (spin->hits % FORGIVE == 0) {
        spin->try_after = RT_SPIN_TRY_AFTER;
    }
}

static void on_miss(rt_spin *spin, bool is_near)
{
    spin->hit_rate -= spin->hit_rate / 8;
    if (is_near) { /* a little longer would have done */
        uint32_t most = (uint32_t)(RT_SPIN_MAX_NS / WINDOW_PER);
        spin->took_ns = spin->took_ns < most / 2 ? spin->took_ns * 2 : most;
    }
    if (spin->hit_rate < RATE_REST) {
        spin->try_after =
            spin->try_after < RT_SPIN_TRY_MOST / 2 ? spin->try_after * 2 : RT_SPIN_TRY_MOST;
        rest(spin);
    }
}

void rt_spin_on_ready(rt_spin *spin)
{
    spin->lone = spin->lone > LONE_LESS ? spin->lone - LONE_LESS : 0;
}

/* What was there at the first look may be one of many; and who sleeps has the back end receive in its own way, to
 * which each change costs as much as a few datagrams. Orders say nothing about datagrams. */
static void count_lone(rt_spin *spin, const rt_spin_wait *wait)
{
    if (!wait->hit) {
        spin->lone = 0;
    } else if (wait->units == 0) {
        return;
    } else if (wait->units > 1 || wait->looks <= 1) {
        rt_spin_on_ready(spin);
    } else if (spin->lone < LONE_MOST) {
        spin->lone++;
    }
}

void rt_spin_on_wait(rt_spin *spin, const rt_spin_wait *wait)
{
    count_lone(spin, wait);
    if (wait->spun_ns > 0 || wait->hit) {
        spin->spins++;
        spin->hits += wait->hit ? 1 : 0;
        spin->spun_ns += wait->spun_ns;
    }
    if (!spin->is_auto) {
        return;
    }
    bool is_near = wait->found && wait->waited_ns <= RT_SPIN_NEAR_NS;
    if (spin->window_ns == 0) {
        on_rest(spin, is_near);
        return;
    }
    if (wait->hit) {
        on_hit(spin, wait->spun_ns);
    } else if (wait->spun_ns > 0) {
        on_miss(spin, is_near);
    }
    if (spin->window_ns != 0) {
        quic_ns window = (quic_ns)spin->took_ns * WINDOW_PER;
        spin->window_ns = window < RT_SPIN_MIN_NS   ? RT_SPIN_MIN_NS
                          : window > RT_SPIN_MAX_NS ? RT_SPIN_MAX_NS
                                                    : window;
    }
}

static void yield(rt_spin *spin, quic_ns now)
{
    spin->yields++;
    spin->yield_until = now + spin->yield_ns;
    spin->yield_ns =
        spin->yield_ns < RT_SPIN_YIELD_MOST_NS / 2 ? spin->yield_ns * 2 : RT_SPIN_YIELD_MOST_NS;
    rest(spin);
    spin->looked = false;
    spin->lost_mean = 0;
}

void rt_spin_on_look(rt_spin *spin, quic_ns cpu_ns, quic_ns now)
{
    if (spin->looked) {
        quic_ns passed = now - spin->looked_at;
        quic_ns mine = cpu_ns - spin->looked_cpu + (spin->slept_ns - spin->looked_slept);
        quic_ns lost = mine < passed ? passed - mine : 0; /* a sleep's system call runs, too */
        quic_ns part = lost * RT_SPIN_LOOK_NS / passed;
        spin->lost_mean += part / MEAN_OF - spin->lost_mean / MEAN_OF;
        if (part * RT_SPIN_LOST_MOST > RT_SPIN_LOOK_NS ||
            spin->lost_mean * RT_SPIN_LOST_MEAN > RT_SPIN_LOOK_NS) {
            yield(spin, now);
            return;
        }
    }
    spin->looked = true;
    spin->looked_at = now;
    spin->looked_cpu = cpu_ns;
    spin->looked_slept = spin->slept_ns;
    if (now >= spin->yield_until + spin->yield_ns) { /* long enough without trouble */
        spin->yield_ns = RT_SPIN_YIELD_NS;
    }
}

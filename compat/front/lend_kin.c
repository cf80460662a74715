#include "compat/front/lend_kin.h"

#include <stdlib.h>
#include <sys/resource.h>

#define QF_KIN_FDS_MAX (1u << 20) /* also where no limit is set */

qf_kin *qf_kin_new(void)
{
    qf_kin *kin = calloc(1, sizeof(*kin));
    return kin != NULL ? qf_kin_hold(kin) : NULL;
}

qf_kin *qf_kin_hold(qf_kin *kin)
{
    atomic_fetch_add_explicit(&kin->refs, 1, memory_order_relaxed);
    return kin;
}

void qf_kin_put(qf_kin *kin)
{
    if (atomic_fetch_sub_explicit(&kin->refs, 1, memory_order_acq_rel) == 1) {
        free(kin);
    }
}

/* Takers are the one thread that lends; others only give. */
static bool qf_kin_take(qf_kin *kin, _Atomic uint32_t *count, uint32_t max)
{
    if (atomic_load_explicit(count, memory_order_relaxed) >= max) {
        return false;
    }
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
    (void)qf_kin_hold(kin);
    return true;
}

static void qf_kin_give(qf_kin *kin, _Atomic uint32_t *count)
{
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
    qf_kin_put(kin);
}

bool qf_kin_take_fd(qf_kin *kin)
{
    struct rlimit limit;
    uint32_t all = QF_KIN_FDS_MAX;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < all) {
        all = (uint32_t)limit.rlim_cur;
    }
    return qf_kin_take(kin, &kin->fds, all - all / 4);
}

void qf_kin_give_fd(qf_kin *kin)
{
    qf_kin_give(kin, &kin->fds);
}

bool qf_kin_take_thread(qf_kin *kin)
{
    return qf_kin_take(kin, &kin->threads, QF_KIN_THREADS);
}

void qf_kin_give_thread(qf_kin *kin)
{
    qf_kin_give(kin, &kin->threads);
}

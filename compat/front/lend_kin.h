/* compat/front/lend_kin.h: how much of its lender a child may take up.
 *
 * Shape:  a child that this process has forked is one kin with all that come of it, and what they hold here is counted
 *         together: descriptors (the ways of children's children, sockets that they have accepted, handshakes) and
 *         threads. A socket that is borrowed costs neither.
 * Bounds: three in four descriptors that this process may have (RLIMIT_NOFILE, of which 2^20 count: there is no way
 *         above), QF_KIN_THREADS threads. The rest is for this process and its other children.
 */
#ifndef COMPAT_FRONT_LEND_KIN_H
#define COMPAT_FRONT_LEND_KIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define QF_KIN_THREADS 256u

typedef struct qf_kin {
    _Atomic uint32_t refs; /* its ways, and one for each that is counted */
    _Atomic uint32_t fds;
    _Atomic uint32_t threads;
} qf_kin;

/* NULL: no memory. The reference is the caller's. */
qf_kin *qf_kin_new(void);
qf_kin *qf_kin_hold(qf_kin *kin);
void qf_kin_put(qf_kin *kin);

/* One more; false: it has as many as it may. What was taken is given back, by whatever thread. */
bool qf_kin_take_fd(qf_kin *kin);
void qf_kin_give_fd(qf_kin *kin);
bool qf_kin_take_thread(qf_kin *kin);
void qf_kin_give_thread(qf_kin *kin);

#endif /* COMPAT_FRONT_LEND_KIN_H */

/* compat/front/call.h: the frame of every interposed call: a look-up, the engine, errno. */
#ifndef COMPAT_FRONT_CALL_H
#define COMPAT_FRONT_CALL_H

#include <errno.h>
#include <pthread.h>

#include "compat/front/engine.h"
#include "compat/front/libc.h"
#include "compat/front/table.h"

/* A result of the engine as libc says it. */
static inline long qf_result(long rc)
{
    if (rc < 0) {
        errno = (int)-rc;
        return -1;
    }
    return rc;
}

/* The entry, or a dead one's error: qf_enter is false then and *result is what the call returns. */
static inline qf_entry *qf_enter(int fd, long *result)
{
    bool dead = false;
    qf_entry *entry = qf_get(fd, &dead);
    *result = 0;
    if (dead) {
        *result = -1; /* errno is set */
    }
    return entry;
}

/* What a call has begun it ends: from qf_hold to qf_let the thread is not cancelled. */
static inline int qf_hold(void)
{
    int state = PTHREAD_CANCEL_ENABLE;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    return state;
}

static inline void qf_let(int state)
{
    (void)pthread_setcancelstate(state, NULL);
}

#endif /* COMPAT_FRONT_CALL_H */

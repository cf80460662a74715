#include "compat/front/kernel.h"

#include <pthread.h>
#include <stdbool.h>

#include "compat/front/libc.h"
#include "compat/front/table.h"

static qf_kernel qf_theirs;
static bool qf_has_theirs;

static void qf_look(void)
{
    qf_has_theirs = true;
#define X(result, name, parameters)                                                                \
    qf_has_theirs = qf_next(&qf_theirs.name, #name) && qf_has_theirs;
    QF_KERNEL(X)
#undef X
}

const qf_kernel *qf_kernel_of(int sd)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (!qf_is_kernel(sd)) {
        return NULL;
    }
    (void)pthread_once(&once, qf_look);
    return qf_has_theirs ? &qf_theirs : NULL;
}

#include "compat/front/log.h"

#define QUIC_NO_GNUTLS
#include <netinet/quic.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

#include "compat/front/libc.h"
#include "compat/gnutls/hook.h"

#define QF_SILENT (-1)
#define QF_UNSET  (-2) /* silent, but a function hears of warnings */

/* By our counting, as far as the program has said. */
static _Atomic int qf_wanted = QF_UNSET;
static _Atomic int qf_level = -1; /* by the program's */
static _Atomic(quic_set_log_func_t) qf_listener;

QF_EXPORT int quic_set_log_level(int level)
{
    int (*next)(int) = NULL;
    int wanted = level >= LOG_INFO      ? 2
                 : level >= LOG_WARNING ? 1
                 : level >= LOG_ERR     ? 0
                                        : QF_SILENT;
    atomic_store(&qf_wanted, wanted);
    int before = atomic_exchange(&qf_level, level);
    return qf_next(&next, "quic_set_log_level") ? next(level) : before;
}

QF_EXPORT quic_set_log_func_t quic_set_log_func(quic_set_log_func_t func)
{
    quic_set_log_func_t (*next)(quic_set_log_func_t) = NULL;
    quic_set_log_func_t before = atomic_exchange(&qf_listener, func);
    return qf_next(&next, "quic_set_log_func") ? next(func) : before;
}

void qf_say(int level, const char *line)
{
    static const int syslog_levels[] = {LOG_ERR, LOG_WARNING, LOG_INFO};
    const char *asked = getenv("QUIC_LOG"); /* the user's word is the last */
    quic_set_log_func_t func = atomic_load(&qf_listener);
    int wanted = asked != NULL ? atoi(asked) : atomic_load(&qf_wanted);
    wanted = wanted == QF_UNSET && func != NULL ? 1 : wanted;
    if (level > wanted) {
        return;
    }
    if (func != NULL) {
        func(syslog_levels[level < 0 ? 0 : level > 2 ? 2 : level], line);
    } else {
        fprintf(stderr, "quic: %s\n", line);
    }
}

QF_EXPORT void quic_gnutls_say(const char *line)
{
    qf_say(2, line);
}

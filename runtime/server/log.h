/* runtime/server/log.h: where the lines for the operator go.
 *
 * Threads: any; the application's function must cope with that, stderr does (one write per line).
 */
#ifndef RUNTIME_SERVER_LOG_H
#define RUNTIME_SERVER_LOG_H

#include "quring/config.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { RT_LOG_ERROR = 0, RT_LOG_WARNING = 1, RT_LOG_INFO = 2 };

typedef struct rt_log {
    quring_log_fn fn; /* NULL: errors and warnings to stderr */
    void *ctx;
} rt_log;

/* rt_log_line formats one line (cut at 511 bytes, no newline) and hands it on. log may be NULL. */
void rt_log_line(const rt_log *log, int level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_SERVER_LOG_H */

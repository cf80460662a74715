#include "runtime/server/log.h"

#include <stdarg.h>
#include <stdio.h>

void rt_log_line(const rt_log *log, int level, const char *fmt, ...)
{
    static const char *const names[] = {"error", "warning", "info"};
    bool has_fn = log != NULL && log->fn != NULL;
    if (!has_fn && level >= RT_LOG_INFO) {
        return;
    }
    char line[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    if (has_fn) {
        log->fn(log->ctx, level, line);
    } else {
        fprintf(stderr, "quring: %s: %s\n", names[level <= RT_LOG_ERROR ? 0 : 1], line);
    }
}

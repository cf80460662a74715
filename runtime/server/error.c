#define _GNU_SOURCE 1 /* strerror_r that returns the text */

#include "runtime/server/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "quic/base/types.h"

void rt_error_clear(quring_error *err)
{
    if (err != NULL) {
        err->status = QURING_OK;
        err->os_errno = 0;
        err->message[0] = '\0';
    }
}

quring_status rt_error_set(quring_error *err, quring_status status, const char *fmt, ...)
{
    if (err == NULL) {
        return status;
    }
    err->status = status;
    err->os_errno = 0;
    va_list args;
    va_start(args, fmt);
    vsnprintf(err->message, sizeof(err->message), fmt, args);
    va_end(args);
    return status;
}

quring_status rt_error_os(quring_error *err, quring_status status, int os_errno, const char *fmt,
                          ...)
{
    if (err == NULL) {
        return status;
    }
    err->status = status;
    err->os_errno = os_errno;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(err->message, sizeof(err->message), fmt, args);
    va_end(args);
    size_t len = n < 0 ? 0 : (size_t)n;
    if (len < sizeof(err->message)) {
        char text[128];
        /* The GNU strerror_r returns the text, which need not be in the buffer. */
        const char *what = strerror_r(os_errno, text, sizeof(text));
        snprintf(err->message + len, sizeof(err->message) - len, ": %s%s", what,
                 os_errno == EMFILE ? " (ulimit -n)" : "");
    }
    return status;
}

quring_status rt_status_of(int rc)
{
    switch (rc) {
    case QUIC_OK:
        return QURING_OK;
    case QUIC_E_AGAIN:
        return QURING_E_AGAIN;
    case QUIC_E_LIMIT:
        return QURING_E_LIMIT;
    case QUIC_E_NOMEM:
        return QURING_E_NOMEM;
    case QUIC_E_INVAL:
        return QURING_E_INVAL;
    case QUIC_E_FORBIDDEN:
        return QURING_E_NOT_SUPPORTED;
    case QUIC_E_CRYPTO:
        return QURING_E_TLS;
    case QUIC_E_TOO_LARGE:
        return QURING_E_TOO_LARGE;
    case QUIC_E_NOT_SUPPORTED:
        return QURING_E_NOT_SUPPORTED;
    case QUIC_E_STATE:
    case QUIC_E_DROP:
        return QURING_E_STATE;
    default:
        return QURING_E_INVAL;
    }
}

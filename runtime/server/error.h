/* runtime/server/error.h: fills quring_error; every function takes err == NULL and does nothing then.
 *
 * Each returns the status it was given, so that failures read `return rt_error_set(err, ...)`.
 */
#ifndef RUNTIME_SERVER_ERROR_H
#define RUNTIME_SERVER_ERROR_H

#include "quring/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* rt_error_set writes status and a formatted line (cut at 1023 bytes); os_errno becomes 0. */
quring_status rt_error_set(quring_error *err, quring_status status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* rt_error_os is rt_error_set for a failed system call: ": <errno text>" is appended. */
quring_status rt_error_os(quring_error *err, quring_status status, int os_errno, const char *fmt,
                          ...) __attribute__((format(printf, 4, 5)));

/* rt_error_clear makes `err` say QURING_OK. */
void rt_error_clear(quring_error *err);

/* rt_status_of maps a result of the core (quic_rc) to a public status. A positive value, the peer's
 * fault, is QURING_E_INVAL: it can only come from bytes the application passed on. */
quring_status rt_status_of(int quic_rc_value);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_SERVER_ERROR_H */

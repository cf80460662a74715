/* runtime/limit/limit_check.h: what the measurements of this directory ask of their options alike. */
#ifndef RUNTIME_LIMIT_LIMIT_CHECK_H
#define RUNTIME_LIMIT_LIMIT_CHECK_H

#include "quring/config.h"

#include "quic/crypto/crypto.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_LIMIT_DURATION_DEFAULT 3000000000ull
#define RT_LIMIT_DURATION_MAX     (24ull * 3600 * 1000000000ull)
#define RT_LIMIT_UDP_MAX          65507u
#define RT_LIMIT_STOP_EVERY_NS    10000000ull

/* Whether a measurement has been told to end. */
typedef struct rt_limit_stop {
    bool (*stop)(void *ctx); /* NULL: never */
    void *ctx;
    uint64_t ask_ns; /* not before */
} rt_limit_stop;

bool rt_limit_is_stopped(rt_limit_stop *stop, uint64_t now_ns);

/* rt_limit_check_cpu: `cpu` is -1 (not pinned) or one that this process may use; otherwise QURING_E_INVAL,
 * and *err names the field. */
quring_status rt_limit_check_cpu(int32_t cpu, const char *name, quring_error *err);

/* rt_limit_crypto gives what `aead` stands for; NULL: it is not there, as rt_limit_no_crypto says. */
const quic_crypto *rt_limit_crypto(quring_aead aead);
quring_status rt_limit_no_crypto(quring_error *err);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_LIMIT_LIMIT_CHECK_H */

#define _GNU_SOURCE
#include "runtime/limit/limit_check.h"

#include <sched.h>

#include "runtime/server/error.h"

quring_status rt_limit_check_cpu(int32_t cpu, const char *name, quring_error *err)
{
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (cpu == -1) {
        return QURING_OK;
    }
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0 || cpu < 0 || cpu >= CPU_SETSIZE ||
        !CPU_ISSET((size_t)cpu, &allowed)) {
        return rt_error_set(err, QURING_E_INVAL, "%s is %d, this process may not run there", name,
                            (int)cpu);
    }
    return QURING_OK;
}

bool rt_limit_is_stopped(rt_limit_stop *stop, uint64_t now_ns)
{
    if (stop->stop == NULL || now_ns < stop->ask_ns) {
        return false;
    }
    stop->ask_ns = now_ns + RT_LIMIT_STOP_EVERY_NS;
    return stop->stop(stop->ctx);
}

const quic_crypto *rt_limit_crypto(quring_aead aead)
{
    return aead == QURING_AEAD_BORINGSSL  ? quic_crypto_boringssl()
           : aead == QURING_AEAD_IPSEC_MB ? quic_crypto_ipsec_mb()
                                          : quic_crypto_best();
}

quring_status rt_limit_no_crypto(quring_error *err)
{
    return rt_error_set(err, QURING_E_NOT_SUPPORTED,
                        "ipsec-mb was asked for, but this build or CPU lacks it");
}

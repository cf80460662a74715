/* runtime/server/tls.h: quring_tls, which is the core's TLS configuration under its public name. */
#ifndef RUNTIME_SERVER_TLS_H
#define RUNTIME_SERVER_TLS_H

#include "quring/config.h"

#include "quic/crypto/tls_boring_config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The same object and the same reference count. */
static inline quic_tls_boring_config *rt_tls_config(quring_tls *tls)
{
    return (quic_tls_boring_config *)tls;
}

static inline quring_tls *rt_tls_from_config(quic_tls_boring_config *config)
{
    return (quring_tls *)config;
}

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_SERVER_TLS_H */

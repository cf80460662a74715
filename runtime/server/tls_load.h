/* runtime/server/tls_load.h: from quring_tls_options, and the files they name, to a configuration. */
#ifndef RUNTIME_SERVER_TLS_LOAD_H
#define RUNTIME_SERVER_TLS_LOAD_H

#include "quring/config.h"

#include "quic/crypto/tls_boring_config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* rt_tls_load checks `options`, reads the files and builds a configuration with one reference.
 * valid_at_unix_s, if not 0: certificates have to be valid then. Private keys do not stay in memory
 * outside of the configuration. Returns as quring_tls_create_server and quring_tls_reload do. */
QURING_NODISCARD quring_status rt_tls_load(quic_tls_boring_config **out,
                                           const quring_tls_options *options, quic_role role,
                                           uint64_t valid_at_unix_s, quring_error *err);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_SERVER_TLS_LOAD_H */

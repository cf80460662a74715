/* runtime/server/tls.h: quring_tls: the TLS configuration in force, which can be replaced.
 *
 * Shape:  a reference counted holder of one quic_tls_boring_config. A handshake takes the one that is
 *         there when it begins, and keeps it; a reload replaces it for those that follow.
 * Threads: any. The lock is held for a pointer and a counter, once per handshake.
 */
#ifndef RUNTIME_SERVER_TLS_H
#define RUNTIME_SERVER_TLS_H

#include "quring/config.h"

#include "quic/crypto/tls.h"

#ifdef __cplusplus
extern "C" {
#endif

/* rt_tls_vtable is BoringSSL's handshake whose args.tls_config is a quring_tls. */
const quic_tls_vtable *rt_tls_vtable(void);

/* rt_tls_retain returns its argument; quring_tls_release is the counterpart. */
quring_tls *rt_tls_retain(quring_tls *tls);

quic_role rt_tls_role(const quring_tls *tls);
/* rt_tls_verifies says whether the peers of handshakes that begin now are verified. */
bool rt_tls_verifies(quring_tls *tls);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_SERVER_TLS_H */

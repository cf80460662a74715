/* runtime/server/early.h: the register that makes 0-RTT single-use, one for all workers of a runtime.
 *
 * Shape:  made by the first listener that takes 0-RTT; a new random id each time, so that tickets from
 *         before a restart, or of another server with the same root secret, are good for resumption
 *         only.
 * Owner:  the runtime; made under its lock, freed after the workers ended.
 * Spec:   RFC 8446 8.1; RFC 9001 9.2.
 */
#ifndef RUNTIME_SERVER_EARLY_H
#define RUNTIME_SERVER_EARLY_H

#include "quic/crypto/tls.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_EARLY_SLOTS     65536u /* uses remembered per window: 1 MiB; more are refused */
#define RT_EARLY_WINDOW_NS (3600 * QUIC_NS_PER_S) /* age of a ticket that is good for 0-RTT */

typedef struct rt_early {
    quic_early_gate gate;
    void *memory; /* NULL before the first rt_early_open */
} rt_early;

/* rt_early_open makes the register unless it is there. QUIC_E_NOMEM. rt_early_close frees it. */
QUIC_NODISCARD quic_rc rt_early_open(rt_early *early);
void rt_early_close(rt_early *early);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_SERVER_EARLY_H */

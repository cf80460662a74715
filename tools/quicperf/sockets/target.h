/* tools/quicperf/sockets/target.h: where a client goes.
 *
 * A name may have several addresses, and a server listen on one of them only: the first that does not refuse
 * a datagram is taken.
 */
#ifndef TOOLS_QUICPERF_SOCKETS_TARGET_H
#define TOOLS_QUICPERF_SOCKETS_TARGET_H

#include <stdint.h>

#include "quring/quring.h"

#ifdef __cplusplus
extern "C" {
#endif

/* qp_target_find resolves `text` as quring_addr_parse does. Where that gives several addresses, each but the
 * last is asked with a datagram of one byte, which no QUIC server answers: one that is refused within 50 ms
 * (ICMP) is passed over. Returns as quring_addr_parse. */
quring_status qp_target_find(quring_addr *out, const char *text, uint16_t default_port,
                             quring_error *err);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_SOCKETS_TARGET_H */

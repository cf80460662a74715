/* tools/quicperf/sockets/client.h: the asking side of the "perf" protocol as a program of QUIC sockets,
 * with blocking calls: the same run, the same figures as client.h.
 *
 * Shape:  tput and rr: a thread per connection, with -s streams or outstanding requests. crr and hps: -c
 *         threads, each with a connection after the other. idle: -w threads open -c connections.
 */
#ifndef TOOLS_QUICPERF_SOCKETS_CLIENT_H
#define TOOLS_QUICPERF_SOCKETS_CLIENT_H

#include "tools/quicperf/client.h"
#include "tools/quicperf/report.h"

#ifdef __cplusplus
extern "C" {
#endif

/* qp_sock_measure does what qp_client_measure does; run->config and run->peer are not used. Where there is no
 * library to load it returns QP_EXIT_USAGE. */
int qp_sock_measure(qp_result *result, const qp_client_run *run);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_SOCKETS_CLIENT_H */

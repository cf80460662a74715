/* tools/quicperf/tcp/client.h: the asking side of the perf protocol over TCP and TLS 1.3: the same run,
 * the same figures as client.h, so that QUIC has something to be compared with.
 *
 * Shape:  -c connections, one TCP connection each, on -w threads on the CPUs of --cpu. Modes tput and
 *         rr; a connection has one request at a time.
 */
#ifndef TOOLS_QUICPERF_TCP_CLIENT_H
#define TOOLS_QUICPERF_TCP_CLIENT_H

#include "tools/quicperf/client.h"
#include "tools/quicperf/report.h"
#include "tools/quicperf/tcp/server.h"

#ifdef __cplusplus
extern "C" {
#endif

/* qp_tcp_measure does what qp_client_measure does; `peer` is the server when it is in this process,
 * else NULL; run->config and run->peer are not used. */
int qp_tcp_measure(qp_result *result, const qp_client_run *run, const qp_tcp_server *peer);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_TCP_CLIENT_H */

/* tools/quicperf/tcp/server.h: answers perf requests over TCP and TLS 1.3.
 *
 * Shape:  as many threads as `options` says workers, on the same CPUs; each listens for itself
 *         (SO_REUSEPORT) and serves its connections with epoll.
 */
#ifndef TOOLS_QUICPERF_TCP_SERVER_H
#define TOOLS_QUICPERF_TCP_SERVER_H

#include <stddef.h>
#include <stdint.h>

#include "tools/quicperf/options.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct qp_tcp_server qp_tcp_server;

/* qp_tcp_server_open listens where the QUIC server does, on the TCP port of the same number. Returns
 * NULL with one line in `error`. */
qp_tcp_server *qp_tcp_server_open(const qp_options *options, uint16_t port, char *error,
                                  size_t cap);

/* qp_tcp_server_cpu_s is the CPU time of its threads. */
double qp_tcp_server_cpu_s(const qp_tcp_server *server);

/* qp_tcp_server_close ends the threads and closes all connections. NULL is a no-op. */
void qp_tcp_server_close(qp_tcp_server *server);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_TCP_SERVER_H */

/* tools/quicperf/tcp/server.h: answers perf requests over TCP and TLS 1.3.
 *
 * Shape:  as many threads as `options` says workers, on the same CPUs; each listens for itself
 *         (SO_REUSEPORT) and serves its connections with epoll.
 */
#ifndef TOOLS_QUICPERF_TCP_SERVER_H
#define TOOLS_QUICPERF_TCP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/quicperf/options.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct qp_tcp_server qp_tcp_server;
typedef struct qp_tcp_tls qp_tcp_tls; /* tcp/link.h */

/* What the server has done since it was opened. */
typedef struct qp_tcp_server_totals {
    uint64_t connections; /* handshakes completed */
    uint64_t failed;      /* not completed */
    uint64_t ended;       /* of the completed ones, gone */
    uint64_t requests;    /* complete ones */
    uint64_t bytes_in;    /* request payload read */
    uint64_t bytes_out;   /* of answers: written; acknowledged, once their connections have ended */
    uint64_t retransmits; /* segments, of connections that have ended */
} qp_tcp_server_totals;

/* How often who lets the kernel pick a port does so: one that it picks for UDP may be taken over TCP. */
#define QP_TCP_PORT_TRIES 5u

/* qp_tcp_server_open listens where the QUIC server does, on the TCP port of the same number. wake_fd, if not -1, is an
 * eventfd that is written to whenever a connection ends. Returns NULL with one line in `error`. */
qp_tcp_server *qp_tcp_server_open(const qp_options *options, uint16_t port, int wake_fd,
                                  char *error, size_t cap);

/* qp_tcp_server_reload takes over `fresh`, of a server, for connections to come. */
void qp_tcp_server_reload(const qp_tcp_server *server, qp_tcp_tls *fresh);

void qp_tcp_server_totals_get(const qp_tcp_server *server, qp_tcp_server_totals *out);

/* qp_tcp_server_cpu_s is the CPU time of its threads. */
double qp_tcp_server_cpu_s(const qp_tcp_server *server);

/* qp_tcp_server_stop ends the threads and closes all connections: the totals are final. qp_tcp_server_close does
 * that, where it was not done, and frees; it alone takes NULL, and does nothing. */
void qp_tcp_server_stop(qp_tcp_server *server);
void qp_tcp_server_close(qp_tcp_server *server);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_TCP_SERVER_H */

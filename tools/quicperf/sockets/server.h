/* tools/quicperf/sockets/server.h: the answering side of the "perf" protocol as a program of QUIC sockets:
 * a thread accepts, a thread per connection answers, all with blocking calls.
 */
#ifndef TOOLS_QUICPERF_SOCKETS_SERVER_H
#define TOOLS_QUICPERF_SOCKETS_SERVER_H

#include "tools/quicperf/options.h"

#ifdef __cplusplus
extern "C" {
#endif

/* qp_sock_serve serves until a signal comes (-1: a connection has ended). Returns the exit status. */
int qp_sock_serve(const qp_options *options);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_SOCKETS_SERVER_H */

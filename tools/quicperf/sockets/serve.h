/* tools/quicperf/sockets/serve.h: answers the requests of one connection with blocking calls.
 *
 * Shape:  the calling thread receives and answers small requests; a second one, started with the first
 *         large answer or the first one on a stream of ours, sends all of those in turns of one message.
 */
#ifndef TOOLS_QUICPERF_SOCKETS_SERVE_H
#define TOOLS_QUICPERF_SOCKETS_SERVE_H

#include <stdatomic.h>
#include <stdint.h>

#include "tools/quicperf/sockets/lib.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What all connections of a server add to. */
typedef struct qp_serve_totals {
    _Atomic uint64_t connections; /* handshakes completed */
    _Atomic uint64_t failed;      /* not completed */
    _Atomic uint64_t ended;       /* of both, gone */
    _Atomic uint64_t requests;
    _Atomic uint64_t bytes_in;
    _Atomic uint64_t bytes_out; /* handed over */
} qp_serve_totals;

/* qp_serve answers until the connection ends. `max_streams` is how many streams of each kind the client may
 * have open: no more of its requests are remembered, nor more streams of ours opened. */
void qp_serve(const qp_lib *lib, int fd, uint32_t max_streams, qp_serve_totals *totals);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_SOCKETS_SERVE_H */

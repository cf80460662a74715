/* tools/quicperf/server.h: the answering side of the "perf" protocol.
 *
 * Shape:  one qp_server per process part: a runtime, one or two listeners, and for each worker its
 *         objects and counters. Callbacks run on the workers and share nothing between them.
 * Owner:  the thread that called qp_server_open; it alone calls the functions below.
 */
#ifndef TOOLS_QUICPERF_SERVER_H
#define TOOLS_QUICPERF_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "quring/runtime.h"

#include "tools/quicperf/options.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct qp_server qp_server;

/* What the server has done since it was opened. */
typedef struct qp_server_totals {
    uint64_t connections;  /* accepted */
    uint64_t ended;        /* of those, gone */
    uint64_t requests;     /* complete ones */
    uint64_t bytes_in;     /* request payload read */
    uint64_t urgent;       /* answers that --urgent let go first */
    uint64_t client_certs; /* connections whose client showed a certificate that was verified */
    uint64_t
        bytes_out; /* acknowledged bytes of answers, once their streams or connections have ended */
} qp_server_totals;

/* qp_server_open starts the runtime of `config` and listens as the options say (-B, -p, --cert, ...).
 * wake_fd, if not -1, is an eventfd that is written to whenever a connection ends.
 * Returns QURING_OK with *out_port the UDP port; else a status with err filled in and nothing left. */
QURING_NODISCARD quring_status qp_server_open(qp_server **out, uint16_t *out_port,
                                              const qp_options *options,
                                              const quring_config *config, int wake_fd,
                                              quring_error *err);

void qp_server_totals_get(const qp_server *server, qp_server_totals *out);
quring_runtime *qp_server_runtime(const qp_server *server);

/* qp_server_host writes the address that --bind came to, without the port, or "loopback" without --bind. */
void qp_server_host(const qp_server *server, char *out, size_t cap);

/* qp_server_reload reads certificate, key and anchors again, for connections to come. On failure the
 * old ones stay, and err says why. */
QURING_NODISCARD quring_status qp_server_reload(const qp_server *server, const qp_options *options,
                                                quring_error *err);

/* qp_server_stop refuses new connections and closes those there are: the totals are final. qp_server_close does
 * that, where it was not done, and frees. NULL is a no-op. */
void qp_server_stop(qp_server *server);
void qp_server_close(qp_server *server);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_SERVER_H */

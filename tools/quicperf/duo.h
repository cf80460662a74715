/* tools/quicperf/duo.h: both ends in this process, a server on one CPU and runs of a client on another:
 * what demo and compare have in common.
 */
#ifndef TOOLS_QUICPERF_DUO_H
#define TOOLS_QUICPERF_DUO_H

#include <stddef.h>
#include <stdint.h>

#include "tools/quicperf/client.h"
#include "tools/quicperf/options.h"
#include "tools/quicperf/report.h"
#include "tools/quicperf/server.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QP_DUO_TARGET_MAX 32u

typedef struct qp_duo {
    const qp_options *options;
    int32_t cpus[2]; /* server, client; -1: any */
    size_t cpu_count;
    int signal_fd;
    qp_out out;
    qp_server *server;
    uint16_t port;
    char target[QP_DUO_TARGET_MAX];
    char error[1100]; /* "" when nothing failed */
} qp_duo;

/* qp_duo_open sets up everything but the server, and says which CPUs it takes; qp_duo_serve starts the
 * server on 127.0.0.1, any port; qp_duo_close ends it. Return an exit status, after saying why. */
int qp_duo_open(qp_duo *duo, const qp_options *options);
int qp_duo_serve(qp_duo *duo);
void qp_duo_close(qp_duo *duo);

/* qp_duo_options makes the options of one end: of `command`, on its CPU. */
qp_options qp_duo_options(const qp_duo *duo, qp_command command);

/* qp_duo_client makes those of a run of the client and its configuration, which `run` points to. */
void qp_duo_client(qp_duo *duo, qp_options *options, quring_config *config, qp_client_run *run);

/* qp_duo_fail says "what: why" and keeps it in duo->error. Returns QP_EXIT_FAILED. */
int qp_duo_fail(qp_duo *duo, const char *what, const char *why);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_DUO_H */

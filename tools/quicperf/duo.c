#include "tools/quicperf/duo.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tools/quicperf/close_text.h"
#include "tools/quicperf/limit_options.h"
#include "tools/quicperf/setup.h"

int qp_duo_fail(qp_duo *duo, const char *what, const char *why)
{
    (void)snprintf(duo->error, sizeof(duo->error), "%s: %s", what, why);
    return qp_fail("%s", duo->error);
}

int qp_duo_open(qp_duo *duo, const qp_options *options)
{
    duo->options = options;
    qp_out_init(&duo->out, options);
    duo->signal_fd = qp_signals_open(false);
    if (duo->signal_fd < 0) {
        return qp_duo_fail(duo, "cannot watch for signals", strerror(errno));
    }
    duo->cpu_count = qp_two_cpus(duo->cpus, options);
    if (duo->cpu_count < 2) {
        qp_out_line(&duo->out, "only one CPU: server and client share it, figures are low");
    } else {
        qp_out_line(&duo->out, "server on CPU %d, client on CPU %d", duo->cpus[0], duo->cpus[1]);
    }
    return QP_EXIT_OK;
}

qp_options qp_duo_options(const qp_duo *duo, qp_command command)
{
    qp_options o = *duo->options;
    int32_t cpu = duo->cpus[command == QP_CMD_SERVER ? 0 : 1];
    o.command = command;
    o.workers = 1;
    o.cpus[0] = cpu;
    o.cpu_count = cpu >= 0 ? 1 : 0;
    o.payload = o.payload != 0 ? o.payload : QP_LIMIT_PAYLOAD;
    o.bind = command == QP_CMD_SERVER ? "127.0.0.1" : NULL;
    o.port = duo->port;
    o.target = duo->target;
    return o;
}

int qp_duo_serve(qp_duo *duo)
{
    quring_config config;
    quring_error err;
    qp_options o = qp_duo_options(duo, QP_CMD_SERVER);
    memset(&err, 0, sizeof(err));
    qp_config_from(&config, &o);
    quring_status status = qp_server_open(&duo->server, &duo->port, &o, &config, -1, &err);
    if (status != QURING_OK) {
        return qp_duo_fail(duo, "server", qp_error_text(&err, status));
    }
    (void)snprintf(duo->target, sizeof(duo->target), "127.0.0.1:%u", duo->port);
    return QP_EXIT_OK;
}

void qp_duo_client(qp_duo *duo, qp_options *options, quring_config *config, qp_client_run *run)
{
    qp_config_from(config, options);
    *run =
        (qp_client_run){options, config, qp_server_runtime(duo->server), duo->signal_fd, &duo->out};
}

void qp_duo_close(qp_duo *duo)
{
    qp_server_close(duo->server);
    duo->server = NULL;
    duo->port = 0;
}

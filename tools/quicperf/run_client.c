#include <stdio.h>
#include <string.h>

#include "tools/quicperf/client.h"
#include "tools/quicperf/commands.h"
#include "tools/quicperf/report.h"
#include "tools/quicperf/setup.h"
#include "tools/quicperf/sockets/client.h"
#include "tools/quicperf/tcp/client.h"

static int qp_measure(qp_result *result, const qp_client_run *run)
{
    const qp_options *o = run->options;
    return o->api == QP_API_SOCKETS ? qp_sock_measure(result, run)
           : o->tcp                 ? qp_tcp_measure(result, run, NULL)
                                    : qp_client_measure(result, run);
}

int qp_run_client(const qp_options *options)
{
    quring_config config;
    quring_error err;
    qp_json_file file;
    qp_result result;
    qp_out out;
    qp_config_from(&config, options);
    memset(&err, 0, sizeof(err));
    if (quring_config_check(&config, &err) != QURING_OK) {
        (void)qp_fail("%s", err.message);
        return QP_EXIT_USAGE;
    }
    int rc = qp_cipher_check(options);
    if (rc != QP_EXIT_OK) {
        return rc;
    }
    if (!qp_json_file_open(&file, options->json)) {
        return QP_EXIT_FAILED;
    }
    qp_out_init(&out, options);
    qp_client_run run = {options, &config, NULL, qp_signals_open(false), &out};
    if (run.signal_fd < 0) {
        qp_json_file_drop(&file);
        return qp_fail("cannot watch for signals");
    }
    rc = qp_measure(&result, &run);
    if (result.seconds > 0) {
        qp_report_final(&out, &result);
    }
    if (rc == QP_EXIT_FAILED || rc == QP_EXIT_USAGE) {
        (void)qp_fail("%s", result.error);
    }
    if (!qp_report_write(&file, &result) && rc == QP_EXIT_OK) {
        rc = QP_EXIT_FAILED;
    }
    qp_result_deinit(&result);
    return rc;
}

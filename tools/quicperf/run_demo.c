#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "quring/quring.h"

#include "tools/quicperf/client.h"
#include "tools/quicperf/close_text.h"
#include "tools/quicperf/commands.h"
#include "tools/quicperf/duo.h"
#include "tools/quicperf/json.h"
#include "tools/quicperf/limit_options.h"
#include "tools/quicperf/report.h"
#include "tools/quicperf/setup.h"
#include "tools/quicperf/units.h"

#define QP_DEMO_STREAMS 16u /* rr: requests outstanding */

enum { QP_DEMO_DOWN, QP_DEMO_UP, QP_DEMO_RR, QP_DEMO_RUNS };

static const char *const qp_demo_names[QP_DEMO_RUNS] = {"down", "up", "rr"};

typedef struct qp_demo {
    qp_duo duo;
    quring_limit_result limit;
    qp_result runs[QP_DEMO_RUNS];
} qp_demo;

static int qp_demo_limit(qp_demo *demo)
{
    quring_error err;
    char rate[32];
    qp_limit_watch watch = {demo->duo.signal_fd, false};
    quring_status status =
        qp_limit_measure(&demo->limit, demo->duo.options, demo->duo.cpus, &watch, &err);
    if (status != QURING_OK) {
        return qp_duo_fail(&demo->duo, "limit", qp_error_text(&err, status));
    }
    qp_out_line(&demo->duo.out, "limit: %s, what encryption and UDP alone allow (%s, %s)",
                qp_format_rate(rate, sizeof(rate), demo->limit.goodput_bps), demo->limit.backend,
                demo->limit.aead);
    return watch.interrupted ? QP_EXIT_INTERRUPTED : QP_EXIT_OK;
}

static int qp_demo_run(qp_demo *demo, unsigned which)
{
    quring_config config;
    qp_client_run run;
    qp_options o = qp_duo_options(&demo->duo, QP_CMD_CLIENT);
    o.mode = which == QP_DEMO_RR ? QP_MODE_RR : QP_MODE_TPUT;
    o.direction = which == QP_DEMO_UP ? QP_UP : QP_DOWN;
    o.streams = which == QP_DEMO_RR ? QP_DEMO_STREAMS : 1;
    qp_duo_client(&demo->duo, &o, &config, &run);
    int rc = qp_client_measure(&demo->runs[which], &run);
    if (rc == QP_EXIT_FAILED) {
        (void)qp_duo_fail(&demo->duo, qp_demo_names[which], demo->runs[which].error);
    }
    return rc;
}

/* ---- the table and the document ---------------------------------------------------------------- */

static double qp_ratio(const qp_demo *demo, const qp_result *r)
{
    return demo->limit.goodput_bps > 0 ? qp_result_goodput(r) / demo->limit.goodput_bps : 0;
}

static void qp_demo_table(qp_demo *demo)
{
    FILE *to = demo->duo.out.text;
    const qp_result *down = &demo->runs[QP_DEMO_DOWN];
    (void)fprintf(to, "\n%-6s %9s %10s %8s %9s %9s %6s\n", "run", "Gbit/s", "requests/s",
                  "of limit", "cpu serv.", "cpu cli.", "lost");
    (void)fprintf(to, "%-6s %9.2f %10s %8s %8.2fs %8.2fs %6" PRIu64 "\n", "limit",
                  demo->limit.goodput_bps / 1e9, "-", "1.00", demo->limit.cpu_send_s,
                  demo->limit.cpu_recv_s, demo->limit.packets_lost);
    for (unsigned i = 0; i < QP_DEMO_RUNS; i++) {
        const qp_result *r = &demo->runs[i];
        char requests[24] = "-";
        char ratio[16] = "-";
        if (i == QP_DEMO_RR) {
            (void)snprintf(requests, sizeof(requests), "%.0f",
                           r->seconds > 0 ? (double)r->requests / r->seconds : 0);
        } else {
            (void)snprintf(ratio, sizeof(ratio), "%.2f", qp_ratio(demo, r));
        }
        (void)fprintf(to, "%-6s %9.2f %10s %8s %8.2fs %8.2fs %6" PRIu64 "\n", qp_demo_names[i],
                      qp_result_goodput(r) / 1e9, requests, ratio,
                      r->cpu_remote_s > 0 ? r->cpu_remote_s : 0, r->cpu_local_s, r->lost_packets);
    }
    (void)fprintf(to, "one connection, payload %u, %s, %s, %s, %s\n", down->payload_bytes,
                  down->backend, down->aead, down->cipher, down->cc);
    (void)qp_flush(to);
}

/* The whole document also when the demo failed: `error` says why, and runs that were not reached are
 * null. */
static bool qp_demo_json(const qp_demo *demo, qp_json_file *file)
{
    qp_json json;
    const qp_hist *latency = demo->runs[QP_DEMO_RR].latency;
    qp_result head = demo->runs[QP_DEMO_DOWN]; /* the summary is that of down, latencies are rr's */
    head.mode = "demo";
    head.api = "native";
    if (demo->duo.error[0] != '\0') {
        (void)snprintf(head.error, sizeof(head.error), "%.1023s", demo->duo.error);
    }
    head.latency = (qp_hist *)(uintptr_t)latency;
    qp_json_init(&json);
    qp_json_object_begin(&json, NULL);
    qp_json_double(&json, "limit_bps", demo->limit.goodput_bps);
    qp_json_double(&json, "down_ratio", qp_ratio(demo, &demo->runs[QP_DEMO_DOWN]));
    qp_json_double(&json, "up_ratio", qp_ratio(demo, &demo->runs[QP_DEMO_UP]));
    qp_report_json(&json, &head);
    qp_json_object_begin(&json, "runs");
    for (unsigned i = 0; i < QP_DEMO_RUNS; i++) {
        if (demo->runs[i].mode == NULL) {
            qp_json_null(&json, qp_demo_names[i]);
            continue;
        }
        qp_json_object_begin(&json, qp_demo_names[i]);
        qp_report_json(&json, &demo->runs[i]);
        qp_json_object_end(&json);
    }
    qp_json_object_end(&json);
    qp_json_object_end(&json);
    bool ok = qp_json_file_write(file, &json);
    qp_json_deinit(&json);
    return ok;
}

static int qp_demo_all(qp_demo *demo, qp_json_file *file)
{
    int rc = qp_demo_limit(demo);
    if (rc == QP_EXIT_OK) {
        rc = qp_duo_serve(&demo->duo);
    }
    for (unsigned i = 0; i < QP_DEMO_RUNS && rc == QP_EXIT_OK; i++) {
        rc = qp_demo_run(demo, i);
    }
    if (rc == QP_EXIT_OK) {
        qp_demo_table(demo);
    } else if (demo->duo.error[0] == '\0') {
        (void)snprintf(demo->duo.error, sizeof(demo->duo.error), "interrupted");
    }
    if (!qp_demo_json(demo, file) && rc == QP_EXIT_OK) {
        rc = QP_EXIT_FAILED;
    }
    return rc;
}

int qp_run_demo(const qp_options *options)
{
    qp_json_file file;
    static qp_demo demo; /* large; one per process */
    if (!qp_json_file_open(&file, options->json)) {
        return QP_EXIT_FAILED;
    }
    if (qp_duo_open(&demo.duo, options) != QP_EXIT_OK) {
        qp_json_file_drop(&file);
        return QP_EXIT_FAILED;
    }
    int rc = qp_demo_all(&demo, &file);
    qp_duo_close(&demo.duo);
    for (unsigned i = 0; i < QP_DEMO_RUNS; i++) {
        qp_result_deinit(&demo.runs[i]);
    }
    return rc;
}

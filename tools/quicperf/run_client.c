#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/quicperf/client.h"
#include "tools/quicperf/commands.h"
#include "tools/quicperf/hist_text.h"
#include "tools/quicperf/keylog.h"
#include "tools/quicperf/qlog.h"
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

static int qp_refused(qp_result *result, const char *text)
{
    (void)snprintf(result->error, sizeof(result->error), "%s", text);
    return QP_EXIT_USAGE;
}

int qp_client_once(qp_result *result, const qp_options *options, qp_out *out, int signal_fd)
{
    quring_config config;
    quring_error err;
    qp_client_run run = {options, &config, NULL, signal_fd, out};
    qp_result_begin(result, options);
    qp_config_from(&config, options);
    memset(&err, 0, sizeof(err));
    if (quring_config_check(&config, &err) != QURING_OK || !qp_cipher_is_possible(options, &err)) {
        return qp_refused(result, err.message);
    }
    /* A script's run may have a folder of its own. */
    if (!qp_qlog_prepare(options, result->error, sizeof(result->error))) {
        return QP_EXIT_FAILED;
    }
    int rc = qp_measure(result, &run);
    if (result->seconds > 0) {
        qp_report_final(out, result);
    } else if (rc == QP_EXIT_INTERRUPTED) {
        (void)qp_fail("interrupted before anything was measured");
    }
    return rc;
}

/* What a run writes beside its text. */
typedef struct qp_outputs {
    qp_json_file json;
    qp_json_file hdr;
} qp_outputs;

static bool qp_outputs_open(qp_outputs *files, qp_out *out, const qp_options *options)
{
    char why[512];
    memset(files, 0, sizeof(*files));
    if (!qp_keylog_open(options, why, sizeof(why)) || !qp_qlog_prepare(options, why, sizeof(why))) {
        (void)qp_fail("%s", why);
        return false;
    }
    bool ok = qp_json_file_open(&files->json, options->json) &&
              qp_json_file_open(&files->hdr, options->hdr);
    qp_out_init(out, options);
    if (!ok || !qp_out_open_jsonl(out, options)) {
        qp_json_file_drop(&files->json);
        qp_json_file_drop(&files->hdr);
        return false;
    }
    return true;
}

/* A run without latencies leaves the histogram's file as it was. */
static bool qp_write_hdr(qp_json_file *file, const qp_result *result)
{
    char *text = NULL;
    size_t len = 0;
    if (file->path == NULL || result->latency == NULL || result->latency->count == 0) {
        qp_json_file_drop(file);
        return true;
    }
    bool ok = qp_hist_text(&text, &len, result->latency);
    if (ok) {
        ok = qp_json_file_write_text(file, text, len);
    } else {
        (void)qp_fail("cannot write %s: out of memory", file->path);
        qp_json_file_drop(file);
    }
    free(text);
    return ok;
}

static bool qp_outputs_write(qp_outputs *files, qp_out *out, const qp_options *options,
                             const qp_result *result)
{
    qp_out_jsonl_summary(out, result);
    bool lines = qp_out_close_jsonl(out, options);
    bool hdr = qp_write_hdr(&files->hdr, result);
    return qp_report_write(&files->json, result) && hdr && lines;
}

int qp_run_client(const qp_options *options)
{
    qp_outputs files;
    qp_result result;
    qp_out out;
    if (!qp_outputs_open(&files, &out, options)) {
        return QP_EXIT_FAILED;
    }
    int signal_fd = qp_signals_open(false);
    if (signal_fd < 0) {
        qp_json_file_drop(&files.json);
        qp_json_file_drop(&files.hdr);
        return qp_fail("cannot watch for signals");
    }
    int rc = qp_client_once(&result, options, &out, signal_fd);
    if (rc == QP_EXIT_FAILED || rc == QP_EXIT_USAGE) {
        (void)qp_fail("%s", result.error);
    }
    if (!qp_outputs_write(&files, &out, options, &result) && rc == QP_EXIT_OK) {
        rc = QP_EXIT_FAILED;
    }
    qp_result_deinit(&result);
    return rc;
}

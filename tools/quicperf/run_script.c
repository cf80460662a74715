#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/quicperf/client.h"
#include "tools/quicperf/commands.h"
#include "tools/quicperf/json.h"
#include "tools/quicperf/keylog.h"
#include "tools/quicperf/qlog.h"
#include "tools/quicperf/report.h"
#include "tools/quicperf/script.h"
#include "tools/quicperf/setup.h"

typedef struct qp_script_state {
    const qp_options *options;
    qp_script script;
    qp_result *results; /* one per run that was begun */
    size_t begun;
    int signal_fd;
    qp_out out;
    char error[1200]; /* "" when nothing failed */
} qp_script_state;

static bool qp_script_json(const qp_script_state *s, qp_json_file *file)
{
    qp_json json;
    qp_json_init(&json);
    qp_json_object_begin(&json, NULL);
    qp_json_string(&json, "mode", "script");
    qp_json_string(&json, "error", s->error[0] != '\0' ? s->error : NULL);
    qp_json_array_begin(&json, "runs");
    for (size_t i = 0; i < s->begun; i++) {
        qp_json_object_begin(&json, NULL);
        qp_json_u64(&json, "line", s->script.runs[i]->line);
        qp_json_string(&json, "text", s->script.runs[i]->text);
        qp_report_json(&json, &s->results[i]);
        qp_json_object_end(&json);
    }
    qp_json_array_end(&json);
    qp_json_object_end(&json);
    bool ok = qp_json_file_write(file, &json);
    qp_json_deinit(&json);
    return ok;
}

/* One after the other; the first that fails is the last. */
static int qp_script_run_all(qp_script_state *s)
{
    int rc = QP_EXIT_OK;
    while (rc == QP_EXIT_OK && s->begun < s->script.count) {
        const qp_script_run *run = s->script.runs[s->begun];
        qp_result *result = &s->results[s->begun++];
        qp_out_line(&s->out, "line %u: %s", run->line, run->text);
        rc = qp_client_once(result, &run->options, &s->out, s->signal_fd);
        qp_out_jsonl_summary(&s->out, result);
        if (rc == QP_EXIT_FAILED || rc == QP_EXIT_USAGE) {
            (void)snprintf(s->error, sizeof(s->error), "%.80s:%u: %s", s->options->operands[2],
                           run->line, result->error);
            (void)qp_fail("%s", s->error);
        } else if (rc != QP_EXIT_OK) {
            (void)snprintf(s->error, sizeof(s->error), "interrupted");
        }
    }
    return rc;
}

int qp_run_script(const qp_options *options)
{
    static qp_script_state s; /* large; one per process */
    qp_json_file file;
    char why[900];
    s.options = options;
    if (!qp_script_load(&s.script, options, why, sizeof(why))) {
        (void)qp_fail("%s", why);
        return QP_EXIT_USAGE;
    }
    s.results = calloc(s.script.count, sizeof(s.results[0]));
    if (s.results == NULL || !qp_keylog_open(options, why, sizeof(why)) ||
        !qp_qlog_prepare(options, why, sizeof(why))) {
        qp_script_free(&s.script);
        return qp_fail("%s", s.results == NULL ? "out of memory" : why);
    }
    int rc = QP_EXIT_FAILED;
    qp_out_init(&s.out, options);
    s.signal_fd = qp_signals_open(false);
    if (qp_json_file_open(&file, options->json)) {
        if (s.signal_fd < 0) {
            (void)qp_fail("cannot watch for signals");
            qp_json_file_drop(&file);
        } else if (!qp_out_open_jsonl(&s.out, options)) {
            qp_json_file_drop(&file);
        } else {
            rc = qp_script_run_all(&s);
            bool lines = qp_out_close_jsonl(&s.out, options);
            bool whole = qp_script_json(&s, &file);
            rc = rc == QP_EXIT_OK && !(lines && whole) ? QP_EXIT_FAILED : rc;
        }
    }
    for (size_t i = 0; i < s.begun; i++) {
        qp_result_deinit(&s.results[i]);
    }
    free(s.results);
    qp_script_free(&s.script);
    return rc;
}

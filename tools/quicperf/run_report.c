#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/quicperf/commands.h"
#include "tools/quicperf/plot.h"
#include "tools/quicperf/report.h"
#include "tools/quicperf/saved.h"
#include "tools/quicperf/setup.h"

#define QP_CELL_MAX 160u

enum {
    QP_COL_RUN,
    QP_COL_KIND,
    QP_COL_RATE,
    QP_COL_P50,
    QP_COL_P99,
    QP_COL_CPU,
    QP_COL_LOST,
    QP_COLS
};

static const char *const qp_headings[QP_COLS] = {"run",    "kind",     "rate", "p50 us",
                                                 "p99 us", "CPU s/GB", "lost"};

typedef char qp_line[QP_COLS][QP_CELL_MAX];

static void qp_cell_rate(char *cell, const qp_saved_row *row, double value)
{
    if (row->is_rate) {
        (void)snprintf(cell, QP_CELL_MAX, "%.0f/s", value);
    } else {
        (void)snprintf(cell, QP_CELL_MAX, "%.3f Gbit/s", value / 1e9);
    }
}

/* "-" where a run says nothing. */
static void qp_cell_number(char *cell, const qp_json_value *run, const char *path, int digits)
{
    const qp_json_value *found = qp_json_at(run, path);
    if (found == NULL || found->type != QP_JSON_NUMBER) {
        (void)snprintf(cell, QP_CELL_MAX, "-");
    } else {
        (void)snprintf(cell, QP_CELL_MAX, "%.*f", digits, found->number);
    }
}

static void qp_line_of(qp_line line, const qp_saved_row *row)
{
    const char *error = qp_json_text(row->run, "error", NULL);
    const qp_json_value *bound = qp_json_at(row->run, "summary.client_bound");
    bool is_bound = bound != NULL && bound->type == QP_JSON_BOOL && bound->number != 0;
    (void)snprintf(line[QP_COL_RUN], QP_CELL_MAX, "%s%s", row->name,
                   error != NULL ? " (failed)"
                   : is_bound    ? " (client-bound)"
                                 : "");
    (void)snprintf(line[QP_COL_KIND], QP_CELL_MAX, "%s", row->kind);
    qp_cell_rate(line[QP_COL_RATE], row, row->value);
    qp_cell_number(line[QP_COL_P50], row->run, "latency_us.p50", 1);
    qp_cell_number(line[QP_COL_P99], row->run, "latency_us.p99", 1);
    qp_cell_number(line[QP_COL_CPU], row->run, "summary.cpu_s_per_gb", 3);
    qp_cell_number(line[QP_COL_LOST], row->run, "summary.lost_packets", 0);
}

/* ---- tables ---------------------------------------------------------------------------------------- */

static void qp_report_line(FILE *to, qp_line line, const int *widths, bool md)
{
    for (int i = 0; i < QP_COLS; i++) {
        if (md) {
            (void)fprintf(to, "| %s ", line[i]);
        } else {
            (void)fprintf(to, i < QP_COL_RATE ? "%-*s  " : "%*s  ", widths[i], line[i]);
        }
    }
    (void)fputs(md ? "|\n" : "\n", to);
}

static void qp_report_runs(FILE *to, const qp_saved *saved, bool md)
{
    qp_line line;
    int widths[QP_COLS];
    for (int i = 0; i < QP_COLS; i++) {
        (void)snprintf(line[i], QP_CELL_MAX, "%s", qp_headings[i]);
        widths[i] = (int)strlen(line[i]);
    }
    qp_line cells;
    for (size_t r = 0; r < saved->count; r++) {
        qp_line_of(cells, &saved->rows[r]);
        for (int i = 0; i < QP_COLS; i++) {
            int len = (int)strlen(cells[i]);
            widths[i] = len > widths[i] ? len : widths[i];
        }
    }
    qp_report_line(to, line, widths, md);
    if (md) {
        (void)fputs("|---|---|---:|---:|---:|---:|---:|\n", to);
    }
    for (size_t r = 0; r < saved->count; r++) {
        qp_line_of(cells, &saved->rows[r]);
        qp_report_line(to, cells, widths, md);
    }
}

/* Where there is more than one run of a kind: median and spread. */
static void qp_report_kinds(FILE *to, const qp_saved *saved, bool md)
{
    double *values = malloc((saved->count + 1) * sizeof(values[0]));
    bool any = false;
    const char *kind = NULL;
    while (values != NULL && (kind = qp_saved_next_kind(saved, kind)) != NULL) {
        size_t count = qp_saved_of(saved, kind, values, saved->count);
        const qp_saved_row *row = saved->rows;
        char cells[3][QP_CELL_MAX];
        if (count < 2) {
            continue;
        }
        while (strcmp(row->kind, kind) != 0) {
            row++;
        }
        qp_cell_rate(cells[0], row, (values[(count - 1) / 2] + values[count / 2]) / 2);
        qp_cell_rate(cells[1], row, values[0]);
        qp_cell_rate(cells[2], row, values[count - 1]);
        if (!any) {
            (void)fputs(
                md ? "\n| kind | runs | median | least | most |\n|---|---:|---:|---:|---:|\n"
                   : "\n",
                to);
        }
        any = true;
        (void)fprintf(to,
                      md ? "| %s | %zu | %s | %s | %s |\n"
                         : "%s: %zu runs, median %s, least %s, most %s\n",
                      kind, count, cells[0], cells[1], cells[2]);
    }
    free(values);
}

static bool qp_report_plot(const qp_saved *saved, const char *path)
{
    qp_json_file file;
    char *text = NULL;
    size_t len = 0;
    if (!qp_json_file_open(&file, path)) {
        return false;
    }
    bool ok = qp_plot(&text, &len, saved);
    if (ok) {
        ok = qp_json_file_write_text(&file, text, len);
    } else {
        (void)qp_fail("cannot write %s: out of memory", path);
        qp_json_file_drop(&file);
    }
    free(text);
    return ok;
}

int qp_run_report(const qp_options *options)
{
    static qp_saved saved; /* large; one per process */
    char why[512];
    int rc = QP_EXIT_OK;
    for (size_t i = 0; i < options->operand_count && rc == QP_EXIT_OK; i++) {
        if (!qp_saved_add(&saved, options->operands[i], why, sizeof(why))) {
            rc = qp_fail("%s", why);
        }
    }
    if (rc == QP_EXIT_OK) {
        FILE *to = options->plot != NULL && strcmp(options->plot, "-") == 0 ? stderr : stdout;
        qp_report_runs(to, &saved, options->markdown);
        qp_report_kinds(to, &saved, options->markdown);
    }
    if (rc == QP_EXIT_OK && options->plot != NULL && !qp_report_plot(&saved, options->plot)) {
        rc = QP_EXIT_FAILED;
    }
    qp_saved_free(&saved);
    return rc;
}

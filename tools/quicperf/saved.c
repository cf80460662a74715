#include "tools/quicperf/saved.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a run is about. */
static void qp_saved_judge(qp_saved_row *row)
{
    const char *mode = qp_json_text(row->run, "mode", "?");
    const char *direction = qp_json_text(row->run, "direction", NULL);
    bool shakes = strcmp(mode, "hps") == 0 || strcmp(mode, "idle") == 0;
    bool asks = strcmp(mode, "rr") == 0 || strcmp(mode, "crr") == 0 || strcmp(mode, "latency") == 0;
    row->is_rate = shakes || asks;
    row->has_failed = qp_json_text(row->run, "error", NULL) != NULL;
    row->value = qp_json_number(row->run,
                                shakes ? "summary.handshakes_per_s"
                                : asks ? "summary.requests_per_s"
                                       : "summary.goodput_bps",
                                0);
    (void)snprintf(row->kind, sizeof(row->kind), "%.12s%s%.12s, %.16s", mode,
                   direction != NULL ? " " : "", direction != NULL ? direction : "",
                   qp_json_text(row->run, "api", "native"));
}

/* A row for `run`, if it is one. */
static bool qp_saved_row_add(qp_saved *saved, const char *file, const char *name,
                             const qp_json_value *run)
{
    if (qp_json_at(run, "summary.goodput_bps") == NULL) {
        return true;
    }
    saved->is_full = saved->count >= QP_SAVED_ROWS_MAX;
    if (saved->is_full) {
        return false;
    }
    qp_saved_row *rows = realloc(saved->rows, (saved->count + 1) * sizeof(*rows));
    if (rows == NULL) {
        return false;
    }
    saved->rows = rows;
    qp_saved_row *row = &rows[saved->count++];
    memset(row, 0, sizeof(*row));
    row->run = run;
    (void)snprintf(row->name, sizeof(row->name), "%.80s%s%.40s", file, name != NULL ? ":" : "",
                   name != NULL ? name : "");
    qp_saved_judge(row);
    return true;
}

static bool qp_saved_rows_add(qp_saved *saved, const char *file, const qp_json_value *document)
{
    static const char *const kinds[] = {"down", "up", "rr"};
    static const char *const sides[] = {"quic", "tcp"};
    char name[64];
    bool ok = true;
    const qp_json_value *runs = qp_json_at(document, "runs");
    unsigned number = 0;
    for (const qp_json_value *run = runs != NULL ? runs->first : NULL; ok && run != NULL;
         run = run->next) {
        (void)snprintf(name, sizeof(name), "%u", ++number);
        ok = qp_saved_row_add(saved, file, run->key != NULL ? run->key : name, run);
    }
    for (size_t i = 0; ok && i < 6; i++) {
        (void)snprintf(name, sizeof(name), "%s.%s.last", kinds[i / 2], sides[i % 2]);
        const qp_json_value *last = qp_json_at(document, name);
        (void)snprintf(name, sizeof(name), "%s/%s", kinds[i / 2], sides[i % 2]);
        ok = qp_saved_row_add(saved, file, name, last);
    }
    return ok && (runs != NULL || qp_saved_row_add(saved, file, NULL, document));
}

static char *qp_saved_read(const char *path, size_t *out_len)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t cap = 0;
    size_t len = 0;
    bool ok = file != NULL;
    while (ok && feof(file) == 0) {
        if (cap - len < 4096) {
            cap = 2 * cap + 65536;
            char *grown = cap <= QP_SAVED_FILE_MAX ? realloc(text, cap) : NULL;
            errno = grown == NULL ? ENOMEM : errno;
            text = grown != NULL ? grown : text;
            ok = grown != NULL;
        }
        if (ok) {
            len += fread(text + len, 1, cap - len, file);
            ok = ferror(file) == 0;
        }
    }
    if (file != NULL) {
        int error = errno;
        (void)fclose(file);
        errno = error;
    }
    if (!ok) {
        free(text);
        return NULL;
    }
    *out_len = len;
    return text;
}

bool qp_saved_add(qp_saved *saved, const char *path, char *why, size_t cap)
{
    char wrong[96];
    size_t len = 0;
    size_t before = saved->count;
    char *text = qp_saved_read(path, &len);
    if (text == NULL) {
        (void)snprintf(why, cap, "cannot read %s: %s", path, strerror(errno));
        return false;
    }
    qp_json_value *document = qp_json_read(text, len, wrong, sizeof(wrong));
    free(text);
    if (document == NULL || saved->document_count >= QP_SAVED_FILES_MAX) {
        (void)snprintf(why, cap, "%s: %s", path, document == NULL ? wrong : "one file too many");
        qp_json_free(document);
        return false;
    }
    saved->documents[saved->document_count++] = document;
    const char *slash = strrchr(path, '/');
    if (!qp_saved_rows_add(saved, slash != NULL ? slash + 1 : path, document)) {
        (void)snprintf(why, cap,
                       saved->is_full ? "%s: with it there are more than %u runs"
                                      : "%s: out of memory",
                       path, QP_SAVED_ROWS_MAX);
        return false;
    }
    if (saved->count == before) {
        (void)snprintf(why, cap, "%s: there is no run of quicperf in it", path);
    }
    return saved->count > before;
}

void qp_saved_free(qp_saved *saved)
{
    for (size_t i = 0; i < saved->document_count; i++) {
        qp_json_free(saved->documents[i]);
    }
    free(saved->rows);
    memset(saved, 0, sizeof(*saved));
}

/* ---- kinds --------------------------------------------------------------------------------------- */

static size_t qp_saved_first_of(const qp_saved *saved, const char *kind)
{
    size_t i = 0;
    while (i < saved->count && strcmp(saved->rows[i].kind, kind) != 0) {
        i++;
    }
    return i;
}

const char *qp_saved_next_kind(const qp_saved *saved, const char *kind)
{
    size_t i = kind == NULL ? 0 : qp_saved_first_of(saved, kind) + 1;
    while (i < saved->count && qp_saved_first_of(saved, saved->rows[i].kind) != i) {
        i++;
    }
    return i < saved->count ? saved->rows[i].kind : NULL;
}

static int qp_saved_order(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

size_t qp_saved_of(const qp_saved *saved, const char *kind, double *out, size_t cap)
{
    size_t count = 0;
    for (size_t i = 0; i < saved->count && count < cap; i++) {
        if (strcmp(saved->rows[i].kind, kind) == 0 && !saved->rows[i].has_failed) {
            out[count++] = saved->rows[i].value;
        }
    }
    qsort(out, count, sizeof(out[0]), qp_saved_order);
    return count;
}

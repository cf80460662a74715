/* tools/quicperf/saved.h: runs that were saved with --json, as rows to compare.
 *
 * Shape:  a document of client, server or limit is one row; of demo and script one per run; of compare two
 *         per kind, QUIC's and TCP's last.
 * Owner:  qp_saved, which keeps the documents the rows point into.
 */
#ifndef TOOLS_QUICPERF_SAVED_H
#define TOOLS_QUICPERF_SAVED_H

#include <stdbool.h>
#include <stddef.h>

#include "tools/quicperf/json_read.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QP_SAVED_NAME_MAX  128u
#define QP_SAVED_FILE_MAX  (256u << 20) /* bytes */
#define QP_SAVED_ROWS_MAX  4096u
#define QP_SAVED_FILES_MAX 256u

typedef struct qp_saved_row {
    char name[QP_SAVED_NAME_MAX]; /* of the file, and of the run in it */
    char kind[48];                /* what can be compared: "down, native" */
    const qp_json_value *run;
    double value; /* of the figure below */
    bool is_rate; /* requests or handshakes per second; else bits per second */
    bool has_failed;
} qp_saved_row;

typedef struct qp_saved {
    qp_json_value *documents[QP_SAVED_FILES_MAX];
    size_t document_count;
    qp_saved_row *rows;
    size_t count;
    bool is_full; /* there was no room for a run */
} qp_saved;

/* qp_saved_add reads one file; false with one line in `why`: it cannot be read, is no JSON, has no run of
 * quicperf, or too many with those before. A struct of zeros is empty. */
bool qp_saved_add(qp_saved *saved, const char *path, char *why, size_t cap);
void qp_saved_free(qp_saved *saved);

/* qp_saved_next_kind gives the next kind of rows after `kind` (NULL: the first) in the order they came;
 * NULL: no more. qp_saved_of fills `out` with the values of its rows that have not failed, at most `cap`, in
 * ascending order, and returns how many there are. */
const char *qp_saved_next_kind(const qp_saved *saved, const char *kind);
size_t qp_saved_of(const qp_saved *saved, const char *kind, double *out, size_t cap);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_SAVED_H */

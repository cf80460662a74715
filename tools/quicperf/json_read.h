/* tools/quicperf/json_read.h: reads one JSON document (RFC 8259) into a tree.
 *
 * Bounds: QP_READ_DEPTH_MAX levels; numbers are doubles; \u escapes become UTF-8.
 * Owner:  the caller; qp_json_free frees the whole tree.
 */
#ifndef TOOLS_QUICPERF_JSON_READ_H
#define TOOLS_QUICPERF_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QP_READ_DEPTH_MAX 32u

typedef enum qp_json_type {
    QP_JSON_NULL,
    QP_JSON_BOOL,
    QP_JSON_NUMBER,
    QP_JSON_STRING,
    QP_JSON_ARRAY,
    QP_JSON_OBJECT,
} qp_json_type;

typedef struct qp_json_value {
    qp_json_type type;
    char *key;                   /* member of an object, else NULL */
    char *text;                  /* STRING */
    double number;               /* NUMBER; BOOL: 0 or 1 */
    struct qp_json_value *first; /* ARRAY, OBJECT */
    struct qp_json_value *next;  /* beside it, in order */
} qp_json_value;

/* qp_json_read reads `len` bytes; NULL with one line in `why` when they are not one document. */
qp_json_value *qp_json_read(const char *text, size_t len, char *why, size_t cap);
void qp_json_free(qp_json_value *value);

/* qp_json_at follows member names ("summary.bytes"); NULL where there is none. `value` may be NULL.
 * qp_json_number and qp_json_text give what is there, or `otherwise` when that is of another type. */
const qp_json_value *qp_json_at(const qp_json_value *value, const char *path);
double qp_json_number(const qp_json_value *value, const char *path, double otherwise);
const char *qp_json_text(const qp_json_value *value, const char *path, const char *otherwise);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_JSON_READ_H */

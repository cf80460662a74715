/* tools/quicperf/json.h: writes one JSON document (RFC 8259) into memory, always valid.
 *
 * Shape:  calls in document order; commas, quoting and escapes are the writer's business. A number
 *         that is not finite becomes null; bytes that are not UTF-8 become U+FFFD.
 * Owner:  the caller; qp_json_deinit frees the text.
 */
#ifndef TOOLS_QUICPERF_JSON_H
#define TOOLS_QUICPERF_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QP_JSON_DEPTH_MAX 16

typedef struct qp_json {
    char *text; /* 0-terminated once something was written */
    size_t len;
    size_t cap;
    unsigned depth;
    bool has_member[QP_JSON_DEPTH_MAX];
    bool compact; /* set after init: the document is one line */
    bool failed;  /* out of memory or nested too deep; the text is then of no use */
} qp_json;

void qp_json_init(qp_json *json);
void qp_json_deinit(qp_json *json);

/* `key` is NULL inside arrays and for the document itself. */
void qp_json_object_begin(qp_json *json, const char *key);
void qp_json_object_end(qp_json *json);
void qp_json_array_begin(qp_json *json, const char *key);
void qp_json_array_end(qp_json *json);
void qp_json_string(qp_json *json, const char *key, const char *value); /* NULL: null */
void qp_json_u64(qp_json *json, const char *key, uint64_t value);
void qp_json_double(qp_json *json, const char *key, double value);
void qp_json_bool(qp_json *json, const char *key, bool value);
void qp_json_null(qp_json *json, const char *key);

/* qp_utf8_len is how many bytes the UTF-8 sequence at `s` has, 0 when it is not one (RFC 3629 4). */
size_t qp_utf8_len(const unsigned char *s);

/* qp_json_is_complete says whether every object and array is closed and nothing failed. */
bool qp_json_is_complete(const qp_json *json);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_JSON_H */

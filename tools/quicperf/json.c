#include "tools/quicperf/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void qp_json_init(qp_json *json)
{
    memset(json, 0, sizeof(*json));
}

void qp_json_deinit(qp_json *json)
{
    free(json->text);
    qp_json_init(json);
}

static void qp_json_put(qp_json *json, const char *text, size_t len)
{
    if (json->failed) {
        return;
    }
    if (json->cap - json->len < len + 1) {
        size_t cap = json->cap * 2 + len + 1024;
        char *grown = realloc(json->text, cap);
        if (grown == NULL) {
            json->failed = true;
            return;
        }
        json->text = grown;
        json->cap = cap;
    }
    memcpy(json->text + json->len, text, len);
    json->len += len;
    json->text[json->len] = '\0';
}

size_t qp_utf8_len(const unsigned char *s)
{
    size_t len;
    uint32_t code;
    uint32_t least;
    if (s[0] < 0x80) {
        return 1;
    }
    if ((s[0] & 0xe0) == 0xc0) {
        len = 2;
        code = s[0] & 0x1fu;
        least = 0x80;
    } else if ((s[0] & 0xf0) == 0xe0) {
        len = 3;
        code = s[0] & 0x0fu;
        least = 0x800;
    } else if ((s[0] & 0xf8) == 0xf0) {
        len = 4;
        code = s[0] & 0x07u;
        least = 0x10000;
    } else {
        return 0;
    }
    for (size_t i = 1; i < len; i++) { /* the final 0 is no continuation byte and ends this */
        if ((s[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (s[i] & 0x3fu);
    }
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < least || code > 0x10ffff || surrogate ? 0 : len;
}

static void qp_json_put_string(qp_json *json, const char *value)
{
    const unsigned char *s = (const unsigned char *)value;
    qp_json_put(json, "\"", 1);
    while (*s != 0) {
        char escape[8];
        size_t len = qp_utf8_len(s);
        if (len == 0) {
            qp_json_put(json, "\xef\xbf\xbd", 3);
            s++;
        } else if (*s == '"' || *s == '\\') {
            escape[0] = '\\';
            escape[1] = (char)*s++;
            qp_json_put(json, escape, 2);
        } else if (*s < 0x20) {
            (void)snprintf(escape, sizeof(escape), "\\u%04x", (unsigned)*s++);
            qp_json_put(json, escape, 6);
        } else {
            qp_json_put(json, (const char *)s, len);
            s += len;
        }
    }
    qp_json_put(json, "\"", 1);
}

static void qp_json_break(qp_json *json)
{
    if (json->compact) {
        return;
    }
    qp_json_put(json, "\n", 1);
    for (unsigned i = 0; i < json->depth; i++) {
        qp_json_put(json, "  ", 2);
    }
}

/* What stands before a value: comma, new line, key. */
static void qp_json_lead(qp_json *json, const char *key)
{
    if (json->depth > 0) {
        if (json->has_member[json->depth - 1]) {
            qp_json_put(json, ",", 1);
        }
        json->has_member[json->depth - 1] = true;
        qp_json_break(json);
    }
    if (key != NULL) {
        qp_json_put_string(json, key);
        qp_json_put(json, ": ", 2);
    }
}

static void qp_json_open(qp_json *json, const char *key, const char *bracket)
{
    qp_json_lead(json, key);
    if (json->depth >= QP_JSON_DEPTH_MAX) {
        json->failed = true;
        return;
    }
    json->has_member[json->depth++] = false;
    qp_json_put(json, bracket, 1);
}

static void qp_json_close(qp_json *json, const char *bracket)
{
    if (json->failed || json->depth == 0) {
        json->failed = true;
        return;
    }
    json->depth--;
    if (json->has_member[json->depth]) {
        qp_json_break(json);
    }
    qp_json_put(json, bracket, 1);
    if (json->depth == 0) {
        qp_json_put(json, "\n", 1);
    }
}

void qp_json_object_begin(qp_json *json, const char *key)
{
    qp_json_open(json, key, "{");
}

void qp_json_object_end(qp_json *json)
{
    qp_json_close(json, "}");
}

void qp_json_array_begin(qp_json *json, const char *key)
{
    qp_json_open(json, key, "[");
}

void qp_json_array_end(qp_json *json)
{
    qp_json_close(json, "]");
}

void qp_json_string(qp_json *json, const char *key, const char *value)
{
    if (value == NULL) {
        qp_json_null(json, key);
        return;
    }
    qp_json_lead(json, key);
    qp_json_put_string(json, value);
}

void qp_json_u64(qp_json *json, const char *key, uint64_t value)
{
    char text[24];
    qp_json_lead(json, key);
    int len = snprintf(text, sizeof(text), "%" PRIu64, value);
    qp_json_put(json, text, (size_t)len);
}

void qp_json_double(qp_json *json, const char *key, double value)
{
    char text[40];
    if (!__builtin_isfinite(value)) {
        qp_json_null(json, key);
        return;
    }
    qp_json_lead(json, key);
    int len = snprintf(text, sizeof(text), "%.12g", value);
    for (int i = 0; i < len; i++) { /* some locales write a comma */
        if (text[i] == ',') {
            text[i] = '.';
        }
    }
    qp_json_put(json, text, (size_t)len);
}

void qp_json_bool(qp_json *json, const char *key, bool value)
{
    qp_json_lead(json, key);
    qp_json_put(json, value ? "true" : "false", value ? 4 : 5);
}

void qp_json_null(qp_json *json, const char *key)
{
    qp_json_lead(json, key);
    qp_json_put(json, "null", 4);
}

bool qp_json_is_complete(const qp_json *json)
{
    return !json->failed && json->depth == 0 && json->len > 0;
}

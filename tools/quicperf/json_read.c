#include "tools/quicperf/json_read.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QP_NUMBER_LEN_MAX 64u

typedef struct qp_reader {
    const char *at;
    const char *end;
    const char *wrong; /* what is, first of all */
    unsigned depth;
} qp_reader;

static qp_json_value *qp_read_value(qp_reader *r);

static void *qp_read_wrong(qp_reader *r, const char *what)
{
    r->wrong = r->wrong == NULL ? what : r->wrong;
    return NULL;
}

static void qp_read_space(qp_reader *r)
{
    while (r->at < r->end &&
           (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r')) {
        r->at++;
    }
}

/* Takes `c` after any space. */
static bool qp_read_char(qp_reader *r, char c)
{
    qp_read_space(r);
    bool there = r->at < r->end && *r->at == c;
    r->at += there ? 1 : 0;
    return there;
}

static bool qp_read_word(qp_reader *r, const char *word)
{
    size_t len = strlen(word);
    bool there = (size_t)(r->end - r->at) >= len && memcmp(r->at, word, len) == 0;
    r->at += there ? len : 0;
    return there;
}

void qp_json_free(qp_json_value *value)
{
    while (value != NULL) {
        qp_json_value *next = value->next;
        qp_json_free(value->first);
        free(value->key);
        free(value->text);
        free(value);
        value = next;
    }
}

/* ---- strings ----------------------------------------------------------------------------------- */

/* Four hex digits; -1: they are not. */
static int qp_read_hex4(qp_reader *r)
{
    int code = 0;
    if (r->end - r->at < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        char c = *r->at++;
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) {
            return -1;
        }
        code = code * 16 + digit;
    }
    return code;
}

static char *qp_put_utf8(char *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    } else {
        *to++ = (char)(0xf0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 0x3f));
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    }
    return to;
}

/* After "\u". A surrogate that has no other half becomes U+FFFD. */
static char *qp_read_unicode(qp_reader *r, char *to)
{
    int code = qp_read_hex4(r);
    if (code < 0) {
        return qp_read_wrong(r, "a \\u without four hex digits");
    }
    uint32_t whole = (uint32_t)code;
    if (code >= 0xd800 && code < 0xdc00 && qp_read_word(r, "\\u")) {
        int low = qp_read_hex4(r);
        bool pair = low >= 0xdc00 && low < 0xe000;
        whole =
            pair ? 0x10000u + ((uint32_t)(code - 0xd800) << 10) + (uint32_t)(low - 0xdc00) : 0xfffd;
    } else if (code >= 0xd800 && code < 0xe000) {
        whole = 0xfffd;
    }
    return qp_put_utf8(to, whole);
}

static char *qp_read_escape(qp_reader *r, char *to)
{
    static const char names[] = "\"\\/bfnrt";
    static const char means[] = "\"\\/\b\f\n\r\t";
    char c = r->at < r->end ? *r->at++ : '\0';
    if (c == 'u') {
        return qp_read_unicode(r, to);
    }
    const char *name = c != '\0' ? strchr(names, c) : NULL;
    if (name == NULL) {
        return qp_read_wrong(r, "an escape there is none of");
    }
    *to++ = means[name - names];
    return to;
}

/* Behind the opening quote. What is read is never longer than what is written. */
static char *qp_read_string(qp_reader *r)
{
    const char *close = r->at;
    while (close < r->end && *close != '"') {
        close += *close == '\\' && close + 1 < r->end ? 2 : 1;
    }
    if (close >= r->end) {
        return qp_read_wrong(r, "a string without end");
    }
    char *text = malloc((size_t)(close - r->at) + 1);
    char *to = text;
    while (to != NULL && r->at < close) {
        if ((unsigned char)*r->at < 0x20) {
            to = qp_read_wrong(r, "a control character in a string");
        } else if (*r->at == '\\') {
            r->at++;
            to = qp_read_escape(r, to);
        } else {
            *to++ = *r->at++;
        }
    }
    if (to == NULL) {
        free(text);
        return qp_read_wrong(r, "out of memory");
    }
    *to = '\0';
    r->at = close + 1;
    return text;
}

/* ---- values ------------------------------------------------------------------------------------ */

static bool qp_is_digit(const qp_reader *r)
{
    return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

static bool qp_read_digits(qp_reader *r)
{
    bool any = qp_is_digit(r);
    while (qp_is_digit(r)) {
        r->at++;
    }
    return any;
}

/* RFC 8259 6; strtod alone would take more. */
static bool qp_read_number(qp_reader *r, double *out)
{
    char text[QP_NUMBER_LEN_MAX];
    const char *from = r->at;
    r->at += r->at < r->end && *r->at == '-' ? 1 : 0;
    bool zero = r->at < r->end && *r->at == '0';
    bool ok = qp_read_digits(r) && !(zero && r->at - from > (*from == '-' ? 2 : 1));
    if (ok && r->at < r->end && *r->at == '.') {
        r->at++;
        ok = qp_read_digits(r);
    }
    if (ok && r->at < r->end && (*r->at == 'e' || *r->at == 'E')) {
        r->at++;
        r->at += r->at < r->end && (*r->at == '+' || *r->at == '-') ? 1 : 0;
        ok = qp_read_digits(r);
    }
    size_t len = (size_t)(r->at - from);
    if (!ok || len >= sizeof(text)) {
        return false;
    }
    memcpy(text, from, len);
    text[len] = '\0';
    *out = strtod(text, NULL);
    return isfinite(*out) || qp_read_wrong(r, "a number that is too large") != NULL;
}

/* Members or elements, behind the opening bracket. */
static bool qp_read_children(qp_reader *r, qp_json_value *value, char close)
{
    qp_json_value **last = &value->first;
    if (++r->depth > QP_READ_DEPTH_MAX) {
        return qp_read_wrong(r, "too many levels") != NULL;
    }
    bool more = !qp_read_char(r, close);
    while (more) {
        char *key = NULL;
        if (value->type == QP_JSON_OBJECT) {
            key = qp_read_char(r, '"') ? qp_read_string(r) : NULL;
            if (key == NULL || !qp_read_char(r, ':')) {
                free(key);
                return qp_read_wrong(r, "a member without a name") != NULL;
            }
        }
        *last = qp_read_value(r);
        if (*last == NULL) {
            free(key);
            return false;
        }
        (*last)->key = key;
        last = &(*last)->next;
        more = qp_read_char(r, ',');
        if (!more && !qp_read_char(r, close)) {
            return qp_read_wrong(r, "a comma or a bracket is missing") != NULL;
        }
    }
    r->depth--;
    return true;
}

static bool qp_read_into(qp_reader *r, qp_json_value *value)
{
    if (qp_read_char(r, '{')) {
        value->type = QP_JSON_OBJECT;
        return qp_read_children(r, value, '}');
    }
    if (qp_read_char(r, '[')) {
        value->type = QP_JSON_ARRAY;
        return qp_read_children(r, value, ']');
    }
    if (qp_read_char(r, '"')) {
        value->type = QP_JSON_STRING;
        value->text = qp_read_string(r);
        return value->text != NULL;
    }
    if (qp_read_word(r, "null")) {
        return true;
    }
    if (qp_read_word(r, "true") || qp_read_word(r, "false")) {
        value->type = QP_JSON_BOOL;
        value->number = r->at[-2] == 'u' ? 1 : 0; /* tr-u-e, fal-s-e */
        return true;
    }
    value->type = QP_JSON_NUMBER;
    return qp_read_number(r, &value->number) || qp_read_wrong(r, "a value is missing") != NULL;
}

static qp_json_value *qp_read_value(qp_reader *r)
{
    qp_json_value *value = calloc(1, sizeof(*value));
    if (value == NULL) {
        return qp_read_wrong(r, "out of memory");
    }
    if (!qp_read_into(r, value)) {
        qp_json_free(value);
        return NULL;
    }
    return value;
}

qp_json_value *qp_json_read(const char *text, size_t len, char *why, size_t cap)
{
    qp_reader r = {text, text + len, NULL, 0};
    qp_json_value *value = qp_read_value(&r);
    qp_read_space(&r);
    if (value != NULL && r.at < r.end) {
        (void)qp_read_wrong(&r, "something follows the document");
        qp_json_free(value);
        value = NULL;
    }
    if (value == NULL) {
        unsigned line = 1;
        for (const char *p = text; p < r.at && p < r.end; p++) {
            line += *p == '\n' ? 1 : 0;
        }
        (void)snprintf(why, cap, "line %u: %s", line, r.wrong != NULL ? r.wrong : "no JSON");
    }
    return value;
}

/* ---- looking ----------------------------------------------------------------------------------- */

const qp_json_value *qp_json_at(const qp_json_value *value, const char *path)
{
    while (value != NULL && *path != '\0') {
        size_t len = strcspn(path, ".");
        const qp_json_value *member = value->type == QP_JSON_OBJECT ? value->first : NULL;
        while (member != NULL &&
               (strlen(member->key) != len || memcmp(member->key, path, len) != 0)) {
            member = member->next;
        }
        value = member;
        path += path[len] == '.' ? len + 1 : len;
    }
    return value;
}

double qp_json_number(const qp_json_value *value, const char *path, double otherwise)
{
    const qp_json_value *found = qp_json_at(value, path);
    return found != NULL && found->type == QP_JSON_NUMBER ? found->number : otherwise;
}

const char *qp_json_text(const qp_json_value *value, const char *path, const char *otherwise)
{
    const qp_json_value *found = qp_json_at(value, path);
    return found != NULL && found->type == QP_JSON_STRING ? found->text : otherwise;
}

#include "tools/quicperf/lb.h"

#include <string.h>

static int qp_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Reads pairs of digits, at most `cap` bytes of them. Returns how many bytes. */
static size_t qp_hex(uint8_t *out, size_t cap, const char **text)
{
    size_t len = 0;
    while (len < cap && qp_digit((*text)[0]) >= 0 && qp_digit((*text)[1]) >= 0) {
        out[len++] = (uint8_t)(qp_digit((*text)[0]) << 4 | qp_digit((*text)[1]));
        *text += 2;
    }
    return len;
}

/* Reads one or two decimal digits. */
static bool qp_small(uint8_t *out, const char **text)
{
    unsigned value = 0;
    const char *at = *text;
    while (at < *text + 2 && *at >= '0' && *at <= '9') {
        value = value * 10 + (unsigned)(*at++ - '0');
    }
    bool any = at > *text;
    *out = (uint8_t)value;
    *text = at;
    return any;
}

bool qp_parse_lb(quring_lb *out, const char *text)
{
    quring_lb lb;
    memset(&lb, 0, sizeof(lb));
    lb.enabled = true;
    if (!qp_small(&lb.config_id, &text) || *text++ != ':') {
        return false;
    }
    lb.server_id_len = (uint8_t)qp_hex(lb.server_id, sizeof(lb.server_id), &text);
    if (lb.server_id_len == 0 || *text++ != ':' || !qp_small(&lb.nonce_len, &text)) {
        return false;
    }
    if (*text == ':') {
        text++;
        lb.has_key = qp_hex(lb.key, sizeof(lb.key), &text) == sizeof(lb.key);
        if (!lb.has_key) {
            return false;
        }
    }
    if (*text != '\0') {
        return false;
    }
    *out = lb;
    return true;
}

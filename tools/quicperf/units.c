#include "tools/quicperf/units.h"

#include <stdio.h>
#include <string.h>

#define QP_CPU_MAX 1023u

typedef struct qp_unit {
    const char *suffix;
    uint64_t factor;
} qp_unit;

static bool qp_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads digits; false when there is none or the number does not fit. */
static bool qp_read_digits(uint64_t *out, const char **text)
{
    const char *at = *text;
    uint64_t value = 0;
    if (!qp_is_digit(*at)) {
        return false;
    }
    for (; qp_is_digit(*at); at++) {
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value)) {
            return false;
        }
    }
    *out = value;
    *text = at;
    return true;
}

bool qp_parse_u64(uint64_t *out, const char *text)
{
    uint64_t value;
    if (!qp_read_digits(&value, &text) || *text != '\0') {
        return false;
    }
    *out = value;
    return true;
}

/* A decimal number with up to nine digits after the point, times the factor of its suffix. */
static bool qp_parse_scaled(uint64_t *out, const char *text, const qp_unit *units)
{
    uint64_t whole;
    uint64_t fraction = 0;
    uint64_t scale = 1;
    if (!qp_read_digits(&whole, &text)) {
        return false;
    }
    if (*text == '.') {
        text++;
        if (!qp_is_digit(*text)) {
            return false;
        }
        for (; qp_is_digit(*text); text++) {
            if (scale < QP_NS_PER_S) {
                scale *= 10;
                fraction = fraction * 10 + (uint64_t)(*text - '0');
            }
        }
    }
    for (; units->suffix != NULL; units++) {
        if (strcmp(text, units->suffix) == 0) {
            break;
        }
    }
    if (units->suffix == NULL) {
        return false;
    }
    uint64_t value;
    double part = (double)fraction / (double)scale * (double)units->factor;
    if (__builtin_mul_overflow(whole, units->factor, &value) ||
        __builtin_add_overflow(value, (uint64_t)(part + 0.5), &value)) {
        return false;
    }
    *out = value;
    return true;
}

bool qp_parse_size(uint64_t *out, const char *text)
{
    static const qp_unit units[] = {
        {"", 1},
        {"B", 1},
        {"K", 1ull << 10},
        {"k", 1ull << 10},
        {"KB", 1ull << 10},
        {"KiB", 1ull << 10},
        {"M", 1ull << 20},
        {"m", 1ull << 20},
        {"MB", 1ull << 20},
        {"MiB", 1ull << 20},
        {"G", 1ull << 30},
        {"g", 1ull << 30},
        {"GB", 1ull << 30},
        {"GiB", 1ull << 30},
        {"T", 1ull << 40},
        {"t", 1ull << 40},
        {"TB", 1ull << 40},
        {"TiB", 1ull << 40},
        {NULL, 0},
    };
    return qp_parse_scaled(out, text, units);
}

bool qp_parse_percent(uint64_t *out, const char *text)
{
    static const qp_unit units[] = {{"", 10000}, {"%", 10000}, {NULL, 0}};
    return qp_parse_scaled(out, text, units);
}

bool qp_parse_rate(uint64_t *out, const char *text)
{
    static const qp_unit units[] = {
        {"", 1},
        {"K", 1000},
        {"k", 1000},
        {"M", 1000000},
        {"G", 1000000000},
        {"T", 1000000000000},
        {"bit", 1},
        {"Kbit", 1000},
        {"Mbit", 1000000},
        {"Gbit", 1000000000},
        {"Tbit", 1000000000000},
        {NULL, 0},
    };
    return qp_parse_scaled(out, text, units);
}

bool qp_parse_time(uint64_t *out, const char *text)
{
    static const qp_unit units[] = {
        {"", QP_NS_PER_S},
        {"s", QP_NS_PER_S},
        {"ms", 1000000u},
        {"us", 1000u},
        {"ns", 1u},
        {"m", 60 * QP_NS_PER_S},
        {"min", 60 * QP_NS_PER_S},
        {"h", 3600 * QP_NS_PER_S},
        {NULL, 0},
    };
    return qp_parse_scaled(out, text, units);
}

size_t qp_parse_cpus(int32_t *out, size_t cap, const char *text)
{
    size_t count = 0;
    for (;;) {
        uint64_t first;
        if (!qp_read_digits(&first, &text)) {
            return 0;
        }
        uint64_t last = first;
        if (*text == '-') {
            text++;
            if (!qp_read_digits(&last, &text)) {
                return 0;
            }
        }
        if (last > QP_CPU_MAX || first > last || last - first >= cap - count) {
            return 0;
        }
        for (; first <= last; first++) {
            out[count++] = (int32_t)first;
        }
        if (*text == '\0') {
            return count;
        }
        if (*text++ != ',') {
            return 0;
        }
    }
}

/* A figure goes over to the next unit where it would round up to a thousand of its own. */
const char *qp_format_rate(char *buf, size_t cap, double bits_per_s)
{
    if (bits_per_s >= 999.995e6) {
        (void)snprintf(buf, cap, "%.2f Gbit/s", bits_per_s / 1e9);
    } else if (bits_per_s >= 999.995e3) {
        (void)snprintf(buf, cap, "%.2f Mbit/s", bits_per_s / 1e6);
    } else {
        (void)snprintf(buf, cap, "%.2f kbit/s", bits_per_s / 1e3);
    }
    return buf;
}

const char *qp_format_size(char *buf, size_t cap, double bytes)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t step = 0;
    while (bytes >= (step == 0 ? 1024 : 1023.95) && step + 1 < sizeof(names) / sizeof(names[0])) {
        bytes /= 1024;
        step++;
    }
    (void)snprintf(buf, cap, step == 0 ? "%.0f %s" : "%.1f %s", bytes, names[step]);
    return buf;
}

const char *qp_format_time(char *buf, size_t cap, double ns)
{
    if (ns > 0 && ns < 99.95e3) {
        (void)snprintf(buf, cap, "%.1f us", ns / 1e3);
    } else if (ns < 999.5e3) {
        (void)snprintf(buf, cap, "%.0f us", ns / 1e3);
    } else if (ns < 999.995e6) {
        (void)snprintf(buf, cap, "%.2f ms", ns / 1e6);
    } else {
        (void)snprintf(buf, cap, "%.2f s", ns / 1e9);
    }
    return buf;
}

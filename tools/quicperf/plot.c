#define _GNU_SOURCE
#include "tools/quicperf/plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/quicperf/json.h"

#define QP_PLOT_WIDTH  860.0
#define QP_PLOT_HEIGHT 300.0
#define QP_PLOT_LEFT   80.0
#define QP_PLOT_RIGHT  20.0
#define QP_PLOT_TOP    34.0
#define QP_PLOT_BOTTOM 40.0
#define QP_PLOT_ROW    16.0 /* of the legend */
#define QP_PLOT_TICKS  5

static const char *const qp_plot_colors[] = {"#1f77b4", "#d62728", "#2ca02c", "#9467bd",
                                             "#ff7f0e", "#17becf", "#8c564b", "#7f7f7f"};

/* One of the two drawings: bits per second, or requests. */
typedef struct qp_panel {
    const qp_saved *saved;
    bool is_rate;
    double y0; /* of its upper edge */
    double x_max;
    double y_max;
    FILE *to;
} qp_panel;

static const char *qp_plot_color(size_t row)
{
    return qp_plot_colors[row % (sizeof(qp_plot_colors) / sizeof(qp_plot_colors[0]))];
}

static double qp_plot_value(const qp_panel *p, const qp_json_value *interval)
{
    double seconds = qp_json_number(interval, "t1", 0) - qp_json_number(interval, "t0", 0);
    if (!p->is_rate) {
        return qp_json_number(interval, "goodput_bps", 0);
    }
    return seconds > 0 ? qp_json_number(interval, "requests", 0) / seconds : 0;
}

static const qp_json_value *qp_plot_first(const qp_saved_row *row)
{
    const qp_json_value *intervals = qp_json_at(row->run, "intervals");
    return intervals != NULL ? intervals->first : NULL;
}

/* The next of 1, 2, 5, 10, 20, ... that is not less. */
static double qp_plot_round(double value)
{
    double step = value > 0 ? pow(10, floor(log10(value))) : 1;
    return value <= step       ? step
           : value <= 2 * step ? 2 * step
           : value <= 5 * step ? 5 * step
                               : 10 * step;
}

/* How much there is to show; 0 rows: no panel. */
static size_t qp_panel_measure(qp_panel *p)
{
    size_t rows = 0;
    double x = 0;
    double y = 0;
    for (size_t i = 0; i < p->saved->count; i++) {
        const qp_saved_row *row = &p->saved->rows[i];
        if (row->is_rate != p->is_rate) {
            continue;
        }
        rows++;
        x = fmax(x, qp_json_number(row->run, "summary.seconds", 0));
        y = fmax(y, row->value);
        for (const qp_json_value *v = qp_plot_first(row); v != NULL; v = v->next) {
            x = fmax(x, qp_json_number(v, "t1", 0));
            y = fmax(y, qp_plot_value(p, v));
        }
    }
    p->x_max = x > 0 ? x : 1;
    p->y_max = qp_plot_round(y > 0 ? y : 1);
    return rows;
}

static double qp_plot_x(const qp_panel *p, double seconds)
{
    return QP_PLOT_LEFT + seconds / p->x_max * (QP_PLOT_WIDTH - QP_PLOT_LEFT - QP_PLOT_RIGHT);
}

static double qp_plot_y(const qp_panel *p, double value)
{
    double inner = QP_PLOT_HEIGHT - QP_PLOT_TOP - QP_PLOT_BOTTOM;
    return p->y0 + QP_PLOT_TOP + inner * (1 - value / p->y_max);
}

static void qp_plot_axes(const qp_panel *p)
{
    double unit = p->is_rate ? 1 : 1e9;
    for (int i = 0; i <= QP_PLOT_TICKS; i++) {
        double value = p->y_max * i / QP_PLOT_TICKS;
        double y = qp_plot_y(p, value);
        (void)fprintf(p->to,
                      "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n"
                      "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.10g</text>\n",
                      QP_PLOT_LEFT, y, QP_PLOT_WIDTH - QP_PLOT_RIGHT, y, QP_PLOT_LEFT - 6, y + 4,
                      value / unit);
    }
    double step = qp_plot_round(p->x_max / QP_PLOT_TICKS);
    for (int i = 0; i <= QP_PLOT_TICKS && i * step <= p->x_max; i++) {
        (void)fprintf(p->to, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.10g s</text>\n",
                      qp_plot_x(p, i * step), qp_plot_y(p, 0) + 16, i * step);
    }
    (void)fprintf(p->to, "<text x=\"%.1f\" y=\"%.1f\" font-weight=\"bold\">%s</text>\n",
                  QP_PLOT_LEFT, p->y0 + 18, p->is_rate ? "per second" : "Gbit/s");
}

/* U+FFFE and U+FFFF are UTF-8 and no characters (XML 1.0, 2.2). */
static bool qp_plot_is_no_char(const unsigned char *s, size_t len)
{
    return len == 3 && s[0] == 0xef && s[1] == 0xbf && s[2] >= 0xbe;
}

/* Text of others: what means something in XML is written otherwise, and what is no character as U+FFFD. */
static void qp_plot_text(FILE *to, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    while (*s != 0) {
        size_t len = qp_utf8_len(s);
        if (len == 0 || qp_plot_is_no_char(s, len)) {
            (void)fputs("&#65533;", to);
        } else if (*s == '<' || *s == '>' || *s == '&' || *s == '"' || *s < 0x20) {
            (void)fprintf(to, "&#%u;", *s < 0x20 ? 0x20u : *s);
        } else {
            (void)fwrite(s, 1, len, to);
        }
        s += len > 0 ? len : 1;
    }
}

/* A step per interval; without intervals the mean. */
static void qp_plot_line(const qp_panel *p, const qp_saved_row *row, const char *color)
{
    const qp_json_value *v = qp_plot_first(row);
    (void)fprintf(p->to, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\"%s points=\"",
                  color, v == NULL ? " stroke-dasharray=\"6 4\"" : "");
    if (v == NULL) {
        double seconds = qp_json_number(row->run, "summary.seconds", 0);
        (void)fprintf(p->to, "%.1f,%.1f %.1f,%.1f", qp_plot_x(p, 0), qp_plot_y(p, row->value),
                      qp_plot_x(p, seconds), qp_plot_y(p, row->value));
    }
    for (; v != NULL; v = v->next) {
        double y = qp_plot_y(p, qp_plot_value(p, v));
        (void)fprintf(p->to, "%.1f,%.1f %.1f,%.1f ", qp_plot_x(p, qp_json_number(v, "t0", 0)), y,
                      qp_plot_x(p, qp_json_number(v, "t1", 0)), y);
    }
    (void)fprintf(p->to, "\"/>\n");
}

/* Returns where the next panel begins. */
static double qp_plot_panel(qp_panel *p)
{
    double y = p->y0 + QP_PLOT_HEIGHT;
    qp_plot_axes(p);
    for (size_t i = 0; i < p->saved->count; i++) {
        const qp_saved_row *row = &p->saved->rows[i];
        if (row->is_rate != p->is_rate) {
            continue;
        }
        const char *color = qp_plot_color(i);
        qp_plot_line(p, row, color);
        (void)fprintf(p->to,
                      "<rect x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"4\" fill=\"%s\"/>\n"
                      "<text x=\"%.1f\" y=\"%.1f\">",
                      QP_PLOT_LEFT, y - 6, color, QP_PLOT_LEFT + 18, y);
        qp_plot_text(p->to, row->name);
        (void)fputs("  ", p->to);
        qp_plot_text(p->to, row->kind);
        (void)fputs("</text>\n", p->to);
        y += QP_PLOT_ROW;
    }
    return y + QP_PLOT_ROW;
}

bool qp_plot(char **out, size_t *out_len, const qp_saved *saved)
{
    FILE *to = open_memstream(out, out_len);
    if (to == NULL) {
        return false;
    }
    double height = 0;
    for (int rate = 0; rate < 2; rate++) {
        qp_panel p = {.saved = saved, .is_rate = rate == 1};
        size_t rows = qp_panel_measure(&p);
        height += rows > 0 ? QP_PLOT_HEIGHT + QP_PLOT_ROW * (double)(rows + 1) : 0;
    }
    (void)fprintf(to,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
                  "font-family=\"sans-serif\" font-size=\"12\">\n"
                  "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
                  QP_PLOT_WIDTH, height);
    double y = 0;
    for (int rate = 0; rate < 2; rate++) {
        qp_panel p = {.saved = saved, .is_rate = rate == 1, .y0 = y, .to = to};
        y = qp_panel_measure(&p) > 0 ? qp_plot_panel(&p) : y;
    }
    (void)fputs("</svg>\n", to);
    bool ok = ferror(to) == 0;
    return fclose(to) == 0 && ok;
}

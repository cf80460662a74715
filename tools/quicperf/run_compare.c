#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quring/quring.h"

#include "tools/quicperf/client.h"
#include "tools/quicperf/commands.h"
#include "tools/quicperf/duo.h"
#include "tools/quicperf/json.h"
#include "tools/quicperf/report.h"
#include "tools/quicperf/setup.h"
#include "tools/quicperf/tcp/client.h"
#include "tools/quicperf/tcp/server.h"

#define QP_ROUNDS_MAX 100u

enum { QP_VS_DOWN, QP_VS_UP, QP_VS_RR, QP_VS_KINDS };
enum { QP_VS_QUIC, QP_VS_TCP, QP_VS_SIDES };

static const char *const qp_vs_kinds[QP_VS_KINDS] = {"down", "up", "rr"};
static const char *const qp_vs_sides[QP_VS_SIDES] = {"quic", "tcp"};

typedef struct qp_vs_run {
    double rate;         /* bits per second, or requests */
    double cpu_s_per_gb; /* both sides; rr: per million requests */
    double p50_us;       /* rr */
} qp_vs_run;

typedef struct qp_compare {
    qp_duo duo;
    qp_tcp_server *tcp;
    uint32_t rounds_done;
    qp_result last[QP_VS_KINDS]
                  [QP_VS_SIDES]; /* what the runs have in common: cipher, back end, ... */
    qp_vs_run runs[QP_VS_KINDS][QP_VS_SIDES][QP_ROUNDS_MAX];
} qp_compare;

typedef struct qp_spread {
    double median;
    double least;
    double most;
} qp_spread;

static int qp_compare_serve(qp_compare *cmp)
{
    char why[160] = "";
    for (unsigned left = QP_TCP_PORT_TRIES; left > 0; left--) {
        int rc = qp_duo_serve(&cmp->duo);
        if (rc != QP_EXIT_OK) {
            return rc;
        }
        qp_options o = qp_duo_options(&cmp->duo, QP_CMD_SERVER);
        cmp->tcp = qp_tcp_server_open(&o, cmp->duo.port, -1, why, sizeof(why));
        if (cmp->tcp != NULL) {
            return QP_EXIT_OK;
        }
        qp_duo_close(&cmp->duo);
    }
    return qp_duo_fail(&cmp->duo, "TCP server", why);
}

static int qp_compare_run(qp_compare *cmp, unsigned kind, unsigned side)
{
    quring_config config;
    qp_client_run run;
    qp_options o = qp_duo_options(&cmp->duo, QP_CMD_CLIENT);
    qp_result *r = &cmp->last[kind][side];
    o.mode = kind == QP_VS_RR ? QP_MODE_RR : QP_MODE_TPUT;
    o.direction = kind == QP_VS_UP ? QP_UP : QP_DOWN;
    qp_duo_client(&cmp->duo, &o, &config, &run);
    qp_result_deinit(r);
    int rc = side == QP_VS_TCP ? qp_tcp_measure(r, &run, cmp->tcp) : qp_client_measure(r, &run);
    if (rc == QP_EXIT_FAILED) {
        return qp_duo_fail(&cmp->duo, qp_vs_sides[side], r->error);
    }
    qp_vs_run *to = &cmp->runs[kind][side][cmp->rounds_done];
    double work = kind == QP_VS_RR ? (double)r->requests / 1e6 : (double)r->bytes / 1e9;
    to->rate = kind == QP_VS_RR && r->seconds > 0 ? (double)r->requests / r->seconds
                                                  : qp_result_goodput(r);
    to->cpu_s_per_gb = work > 0 ? (r->cpu_local_s + r->cpu_remote_s) / work : 0;
    to->p50_us = r->latency != NULL ? (double)qp_hist_percentile(r->latency, 50) / 1e3 : 0;
    return rc;
}

/* ---- what it comes to ---------------------------------------------------------------------------- */

static int qp_double_order(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static qp_spread qp_spread_of(const double *values, uint32_t count)
{
    double sorted[QP_ROUNDS_MAX];
    memcpy(sorted, values, count * sizeof(sorted[0]));
    qsort(sorted, count, sizeof(sorted[0]), qp_double_order);
    return (qp_spread){(sorted[(count - 1) / 2] + sorted[count / 2]) / 2, sorted[0],
                       sorted[count - 1]};
}

static qp_spread qp_compare_spread(const qp_compare *cmp, unsigned kind, unsigned side,
                                   size_t field)
{
    double values[QP_ROUNDS_MAX];
    for (uint32_t i = 0; i < cmp->rounds_done; i++) {
        memcpy(&values[i], (const char *)&cmp->runs[kind][side][i] + field, sizeof(values[i]));
    }
    return qp_spread_of(values, cmp->rounds_done);
}

/* Of each round, as both of its runs were made in the same seconds. */
static qp_spread qp_compare_ratio(const qp_compare *cmp, unsigned kind)
{
    double values[QP_ROUNDS_MAX];
    for (uint32_t i = 0; i < cmp->rounds_done; i++) {
        double tcp = cmp->runs[kind][QP_VS_TCP][i].rate;
        values[i] = tcp > 0 ? cmp->runs[kind][QP_VS_QUIC][i].rate / tcp : 0;
    }
    return qp_spread_of(values, cmp->rounds_done);
}

static void qp_compare_table(const qp_compare *cmp)
{
    FILE *to = cmp->duo.out.text;
    const qp_result *quic = &cmp->last[QP_VS_DOWN][QP_VS_QUIC];
    const qp_result *tcp = &cmp->last[QP_VS_DOWN][QP_VS_TCP];
    (void)fprintf(to, "\n%-5s %-5s %-16s %9s %20s %12s %9s\n", "run", "over", "unit", "median",
                  "least .. most", "CPU s/unit", "p50 us");
    for (unsigned kind = 0; kind < QP_VS_KINDS; kind++) {
        bool rr = kind == QP_VS_RR;
        for (unsigned side = 0; side < QP_VS_SIDES; side++) {
            qp_spread rate = qp_compare_spread(cmp, kind, side, offsetof(qp_vs_run, rate));
            qp_spread cpu = qp_compare_spread(cmp, kind, side, offsetof(qp_vs_run, cpu_s_per_gb));
            qp_spread p50 = qp_compare_spread(cmp, kind, side, offsetof(qp_vs_run, p50_us));
            double unit = rr ? 1 : 1e9;
            char range[40];
            char latency[16] = "-";
            (void)snprintf(range, sizeof(range), rr ? "%.0f .. %.0f" : "%.2f .. %.2f",
                           rate.least / unit, rate.most / unit);
            if (rr) {
                (void)snprintf(latency, sizeof(latency), "%.1f", p50.median);
            }
            (void)fprintf(to, "%-5s %-5s %-16s %9.*f %20s %12.3f %9s\n", qp_vs_kinds[kind],
                          qp_vs_sides[side], rr ? "requests/s, 1e6" : "Gbit/s, GB", rr ? 0 : 2,
                          rate.median / unit, range, cpu.median, latency);
        }
        qp_spread ratio = qp_compare_ratio(cmp, kind);
        (void)fprintf(to, "%-5s QUIC is %.2f of TCP and TLS (%.2f .. %.2f)\n", qp_vs_kinds[kind],
                      ratio.median, ratio.least, ratio.most);
    }
    (void)fprintf(
        to, "%" PRIu32 " rounds; QUIC: payload %u, %s, %s, %s, %s; TCP: TLS 1.3, %s, %s, %s\n",
        cmp->rounds_done, quic->payload_bytes, quic->backend, quic->aead, quic->cipher, quic->cc,
        tcp->aead, tcp->cipher, tcp->cc);
    (void)qp_flush(to);
}

static void qp_compare_json_spread(qp_json *json, const char *key, qp_spread spread)
{
    qp_json_object_begin(json, key);
    qp_json_double(json, "median", spread.median);
    qp_json_double(json, "min", spread.least);
    qp_json_double(json, "max", spread.most);
    qp_json_object_end(json);
}

static void qp_compare_json_kind(qp_json *json, const qp_compare *cmp, unsigned kind)
{
    bool rr = kind == QP_VS_RR;
    qp_json_object_begin(json, qp_vs_kinds[kind]);
    qp_compare_json_spread(json, "ratio", qp_compare_ratio(cmp, kind));
    for (unsigned side = 0; side < QP_VS_SIDES; side++) {
        qp_json_object_begin(json, qp_vs_sides[side]);
        qp_compare_json_spread(json, rr ? "requests_per_s" : "goodput_bps",
                               qp_compare_spread(cmp, kind, side, offsetof(qp_vs_run, rate)));
        qp_compare_json_spread(
            json, rr ? "cpu_s_per_million_requests" : "cpu_s_per_gb",
            qp_compare_spread(cmp, kind, side, offsetof(qp_vs_run, cpu_s_per_gb)));
        if (rr) {
            qp_compare_json_spread(json, "p50_us",
                                   qp_compare_spread(cmp, kind, side, offsetof(qp_vs_run, p50_us)));
        }
        qp_json_object_begin(json, "last");
        qp_report_json(json, &cmp->last[kind][side]);
        qp_json_object_end(json);
        qp_json_object_end(json);
    }
    qp_json_object_end(json);
}

static bool qp_compare_json(const qp_compare *cmp, qp_json_file *file)
{
    qp_json json;
    qp_json_init(&json);
    qp_json_object_begin(&json, NULL);
    qp_json_string(&json, "mode", "compare");
    qp_json_u64(&json, "rounds", cmp->rounds_done);
    qp_json_u64(&json, "connections", cmp->duo.options->conns);
    qp_json_string(&json, "error", cmp->duo.error[0] != '\0' ? cmp->duo.error : NULL);
    for (unsigned kind = 0; kind < QP_VS_KINDS && cmp->rounds_done > 0; kind++) {
        qp_compare_json_kind(&json, cmp, kind);
    }
    qp_json_object_end(&json);
    bool ok = qp_json_file_write(file, &json);
    qp_json_deinit(&json);
    return ok;
}

static int qp_compare_all(qp_compare *cmp, qp_json_file *file)
{
    int rc = qp_compare_serve(cmp);
    while (rc == QP_EXIT_OK && cmp->rounds_done < cmp->duo.options->rounds) {
        qp_out_line(&cmp->duo.out, "round %" PRIu32 " of %" PRIu32, cmp->rounds_done + 1,
                    cmp->duo.options->rounds);
        for (unsigned kind = 0; kind < QP_VS_KINDS; kind++) {
            for (unsigned side = 0; side < QP_VS_SIDES && rc == QP_EXIT_OK; side++) {
                qp_out_line(&cmp->duo.out, "  %s", qp_vs_sides[side]);
                rc = qp_compare_run(cmp, kind, side);
            }
        }
        cmp->rounds_done += rc == QP_EXIT_OK ? 1 : 0;
    }
    if (rc == QP_EXIT_OK) {
        qp_compare_table(cmp);
    } else if (cmp->duo.error[0] == '\0') {
        (void)snprintf(cmp->duo.error, sizeof(cmp->duo.error), "interrupted");
    }
    if (!qp_compare_json(cmp, file) && rc == QP_EXIT_OK) {
        rc = QP_EXIT_FAILED;
    }
    return rc;
}

int qp_run_compare(const qp_options *options)
{
    qp_json_file file;
    static qp_compare cmp; /* large; one per process */
    if (!qp_json_file_open(&file, options->json)) {
        return QP_EXIT_FAILED;
    }
    if (qp_duo_open(&cmp.duo, options) != QP_EXIT_OK) {
        qp_json_file_drop(&file);
        return QP_EXIT_FAILED;
    }
    int rc = qp_compare_all(&cmp, &file);
    qp_tcp_server_close(cmp.tcp);
    qp_duo_close(&cmp.duo);
    for (unsigned kind = 0; kind < QP_VS_KINDS; kind++) {
        for (unsigned side = 0; side < QP_VS_SIDES; side++) {
            qp_result_deinit(&cmp.last[kind][side]);
        }
    }
    return rc;
}

#include "tools/quicperf/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "quring/base.h"

#include "tools/quicperf/setup.h"
#include "tools/quicperf/units.h"

#define QP_INTERVALS_MAX 1000000u

void qp_result_deinit(qp_result *result)
{
    free(result->latency);
    free(result->intervals);
    result->latency = NULL;
    result->intervals = NULL;
    result->interval_count = 0;
    result->interval_cap = 0;
}

void qp_result_add_interval(qp_result *result, const qp_interval *interval)
{
    if (result->interval_count == result->interval_cap) {
        size_t cap = result->interval_cap * 2 + 64;
        qp_interval *grown =
            cap > QP_INTERVALS_MAX ? NULL : realloc(result->intervals, cap * sizeof(*grown));
        if (grown == NULL) {
            return;
        }
        result->intervals = grown;
        result->interval_cap = cap;
    }
    result->intervals[result->interval_count++] = *interval;
}

double qp_result_goodput(const qp_result *result)
{
    return result->seconds > 0 ? (double)result->bytes * 8 / result->seconds : 0;
}

/* ---- lines ------------------------------------------------------------------------------------- */

void qp_out_init(qp_out *out, const qp_options *options)
{
    bool json_on_stdout = options->json != NULL && strcmp(options->json, "-") == 0;
    memset(out, 0, sizeof(*out));
    out->text = json_on_stdout ? stderr : stdout;
    out->quiet = options->quiet;
    out->live = isatty(fileno(out->text)) == 1;
}

static void qp_out_end_live(qp_out *out)
{
    if (out->line_open) {
        (void)fputc('\n', out->text);
        out->line_open = false;
    }
}

void qp_out_line(qp_out *out, const char *fmt, ...)
{
    char line[512];
    va_list args;
    if (out->quiet) {
        return;
    }
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    qp_out_end_live(out);
    (void)fprintf(out->text, "%s\n", line);
    (void)fflush(out->text);
}

/* "  cwnd 2.1 MiB", or nothing for a run in which only the server sends much. */
static const char *qp_report_cwnd(char *buf, size_t cap, const qp_result *r, uint64_t cwnd_bytes)
{
    char size[32];
    buf[0] = '\0';
    if (r->direction == NULL || strcmp(r->direction, "down") != 0) {
        (void)snprintf(buf, cap, "  cwnd %s",
                       qp_format_size(size, sizeof(size), (double)cwnd_bytes));
    }
    return buf;
}

void qp_report_interval(qp_out *out, const qp_result *result, const qp_interval *interval)
{
    char rate[32];
    char rtt[32];
    char cwnd[48];
    char requests[48] = "";
    double seconds = interval->t1_s - interval->t0_s;
    if (out->quiet || seconds <= 0) {
        return;
    }
    if (result->direction == NULL) {
        (void)snprintf(requests, sizeof(requests), "  %9.0f req/s",
                       (double)interval->requests / seconds);
    }
    (void)fprintf(out->text, "%s[%7.2f-%7.2f s] %s %s%s  rtt %s%s  lost %" PRIu64 "  cpu %.2f%s",
                  out->live ? "\r\033[K" : "", interval->t0_s, interval->t1_s,
                  result->direction != NULL ? result->direction : result->mode,
                  qp_format_rate(rate, sizeof(rate), (double)interval->bytes * 8 / seconds),
                  requests, qp_format_time(rtt, sizeof(rtt), (double)interval->rtt_ns),
                  qp_report_cwnd(cwnd, sizeof(cwnd), result, interval->cwnd_bytes),
                  interval->lost_packets, interval->cpu_local_s / seconds, out->live ? "" : "\n");
    out->line_open = out->live;
    (void)fflush(out->text);
}

static void qp_report_cpu(char *buf, size_t cap, const qp_result *r)
{
    if (r->cpu_remote_s < 0) {
        (void)snprintf(buf, cap, "cpu %.2f s", r->cpu_local_s);
    } else {
        (void)snprintf(buf, cap, "cpu %.2f s here, %.2f s there", r->cpu_local_s, r->cpu_remote_s);
    }
}

static void qp_report_latency(qp_out *out, const qp_hist *latency)
{
    static const double percents[] = {50, 90, 99, 99.9, 100};
    static const char *const names[] = {"p50", "p90", "p99", "p99.9", "max"};
    char text[32];
    (void)fprintf(out->text, "latency:");
    for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
        double ns = (double)qp_hist_percentile(latency, percents[i]);
        (void)fprintf(out->text, "  %s %s", names[i], qp_format_time(text, sizeof(text), ns));
    }
    (void)fputc('\n', out->text);
}

void qp_report_final(qp_out *out, const qp_result *r)
{
    char rate[32];
    char cpu[64];
    char rtt[32];
    char cwnd[48];
    char work[96];
    qp_out_end_live(out);
    if (r->requests > 0 && r->direction == NULL) {
        (void)snprintf(work, sizeof(work), "%s  %" PRIu64 " requests  %.0f req/s  %s", r->mode,
                       r->requests, r->seconds > 0 ? (double)r->requests / r->seconds : 0,
                       qp_format_rate(rate, sizeof(rate), qp_result_goodput(r)));
    } else {
        (void)snprintf(work, sizeof(work), "%s  %" PRIu64 " bytes  %s",
                       r->direction != NULL ? r->direction : r->mode, r->bytes,
                       qp_format_rate(rate, sizeof(rate), qp_result_goodput(r)));
    }
    qp_report_cpu(cpu, sizeof(cpu), r);
    (void)fprintf(out->text,
                  "done: %.2f s  %s  %s  lost %" PRIu64 " packets  rtt %s%s  "
                  "connections %" PRIu64 " (%.0f/s)  errors %" PRIu64 "%s\n",
                  r->seconds, work, cpu, r->lost_packets,
                  qp_format_time(rtt, sizeof(rtt), (double)r->rtt_ns),
                  qp_report_cwnd(cwnd, sizeof(cwnd), r, r->cwnd_bytes), r->connections,
                  r->handshakes_per_s, r->errors, r->interrupted ? "  (interrupted)" : "");
    if (r->resumed_count > 0) {
        (void)fprintf(out->text,
                      "resumed %" PRIu64 " connections, 0-RTT on %" PRIu64 " (%" PRIu64 " bytes)\n",
                      r->resumed_count, r->zero_rtt_count, r->zero_rtt_bytes);
    }
    if (r->proxied) {
        const quring_impair_counts *c = &r->proxy;
        (void)fprintf(out->text,
                      "proxy: %" PRIu64 " datagrams came, %" PRIu64 " dropped, %" PRIu64
                      " corrupted, %" PRIu64 " duplicated, %" PRIu64 " reordered, %" PRIu64
                      " rebinds\n",
                      c->received[0] + c->received[1], quring_impair_dropped(c),
                      c->corrupted[0] + c->corrupted[1], c->duplicated[0] + c->duplicated[1],
                      c->reordered[0] + c->reordered[1], c->rebinds);
    }
    if (r->datagrams > 0) {
        (void)fprintf(out->text, "datagrams %" PRIu64 " delivered, %" PRIu64 " lost\n",
                      r->datagrams, r->datagrams_lost);
    }
    if (r->migrations + r->preferred_count > 0) {
        (void)fprintf(out->text,
                      "moved %" PRIu64 " times, to the server's preferred address %" PRIu64
                      " connections\n",
                      r->migrations, r->preferred_count);
    }
    if (r->latency != NULL && r->latency->count > 0) {
        qp_report_latency(out, r->latency);
    }
    if (r->unsent > 0 || r->unanswered > r->requests / 100 + 1) {
        (void)fprintf(out->text,
                      "overload: %" PRIu64 " requests were due and had no stream, %" PRIu64
                      " were not answered in time: the latencies are of those that were\n",
                      r->unsent, r->unanswered);
    }
    if (r->shares.count > 0 && r->seconds > 0) {
        char least[32];
        char most[32];
        double bits = 8 / r->seconds;
        (void)fprintf(out->text, "shares: least %s  most %s  Jain's index %.4f\n",
                      qp_format_rate(least, sizeof(least), (double)r->shares.min * bits),
                      qp_format_rate(most, sizeof(most), (double)r->shares.max * bits),
                      qp_shares_jain(&r->shares));
    }
    (void)fflush(out->text);
}

/* ---- JSON -------------------------------------------------------------------------------------- */

static void qp_json_seconds(qp_json *json, const char *key, double seconds)
{
    if (seconds < 0) {
        qp_json_null(json, key);
    } else {
        qp_json_double(json, key, seconds);
    }
}

static void qp_report_summary(qp_json *json, const qp_result *r)
{
    qp_json_object_begin(json, "summary");
    qp_json_double(json, "goodput_bps", qp_result_goodput(r));
    qp_json_u64(json, "bytes", r->bytes);
    qp_json_double(json, "seconds", r->seconds);
    qp_json_u64(json, "lost_packets", r->lost_packets);
    qp_json_u64(json, "kernel_drops", r->kernel_drops);
    qp_json_double(json, "handshakes_per_s", r->handshakes_per_s);
    qp_json_u64(json, "requests", r->requests);
    qp_json_double(json, "requests_per_s", r->seconds > 0 ? (double)r->requests / r->seconds : 0);
    qp_json_u64(json, "connections", r->connections);
    qp_json_u64(json, "errors", r->errors);
    qp_json_seconds(json, "cpu_local_s", r->cpu_local_s);
    qp_json_seconds(json, "cpu_remote_s", r->cpu_remote_s);
    if (r->version != 0) {
        qp_json_u64(json, "version", r->version);
    } else {
        qp_json_null(json, "version");
    }
    qp_json_bool(json, "unencrypted", r->unencrypted_count > 0);
    qp_json_string(json, "cipher", r->cipher[0] != '\0' ? r->cipher : NULL);
    qp_json_string(json, "cc", r->cc[0] != '\0' ? r->cc : NULL);
    qp_json_bool(json, "resumed", r->resumed);
    qp_json_u64(json, "resumed_connections", r->resumed_count);
    qp_json_bool(json, "client_cert", r->client_cert);
    qp_json_u64(json, "client_cert_connections", r->client_cert_count);
    qp_json_u64(json, "zero_rtt_connections", r->zero_rtt_count);
    qp_json_u64(json, "zero_rtt_bytes", r->zero_rtt_bytes);
    qp_json_bool(json, "retry", r->retry);
    qp_json_u64(json, "retry_connections", r->retry_count);
    qp_json_u64(json, "token_connections", r->token_count);
    qp_json_u64(json, "key_updates", r->key_updates);
    qp_json_u64(json, "ack_frequency", r->ack_frequency);
    qp_json_u64(json, "acks_sent", r->acks_sent);
    qp_json_u64(json, "acks_recv", r->acks_recv);
    qp_json_u64(json, "datagrams", r->datagrams);
    qp_json_u64(json, "datagrams_lost", r->datagrams_lost);
    qp_json_u64(json, "migrations", r->migrations);
    qp_json_u64(json, "preferred_connections", r->preferred_count);
    if (r->offered_per_s > 0) {
        qp_json_u64(json, "offered_per_s", r->offered_per_s);
        qp_json_u64(json, "requests_unsent", r->unsent);
        qp_json_u64(json, "requests_unanswered", r->unanswered);
    }
    if (r->shares.count > 0) {
        qp_json_double(json, "jain_index", qp_shares_jain(&r->shares));
        qp_json_u64(json, "least_bytes", r->shares.min);
        qp_json_u64(json, "most_bytes", r->shares.max);
    }
    qp_json_double(json, "rtt_us", (double)r->rtt_ns / 1e3);
    qp_json_double(json, "min_rtt_us", (double)r->min_rtt_ns / 1e3);
    qp_json_u64(json, "cwnd_bytes", r->cwnd_bytes);
    qp_json_u64(json, "packets_sent", r->packets_sent);
    qp_json_u64(json, "packets_recv", r->packets_recv);
    qp_json_u64(json, "io_syscalls", r->io_syscalls);
    if (r->proxied) {
        qp_json_u64(json, "proxy_dropped", quring_impair_dropped(&r->proxy));
    } else {
        qp_json_null(json, "proxy_dropped");
    }
    qp_json_bool(json, "interrupted", r->interrupted);
    qp_json_object_end(json);
}

static void qp_report_pair(qp_json *json, const char *key, const uint64_t pair[2])
{
    qp_json_object_begin(json, key);
    qp_json_u64(json, "to_server", pair[0]);
    qp_json_u64(json, "to_client", pair[1]);
    qp_json_object_end(json);
}

/* null without a proxy. */
static void qp_report_proxy(qp_json *json, const qp_result *r)
{
    static const char *const fates[QURING_IMPAIR_FATES] = {
        "passed",    "lost",      "lost_burst",  "lost_queue", "lost_mtu",
        "lost_hole", "lost_list", "lost_memory", "lost_send",
    };
    const quring_impair_counts *c = &r->proxy;
    if (!r->proxied) {
        qp_json_null(json, "proxy");
        return;
    }
    qp_json_object_begin(json, "proxy");
    qp_json_u64(json, "dropped", quring_impair_dropped(c));
    qp_json_u64(json, "rebinds", c->rebinds);
    qp_json_u64(json, "clients", c->flows);
    qp_report_pair(json, "received", c->received);
    for (int i = 0; i < QURING_IMPAIR_FATES; i++) {
        qp_report_pair(json, fates[i], (const uint64_t[2]){c->fates[0][i], c->fates[1][i]});
    }
    qp_report_pair(json, "corrupted", c->corrupted);
    qp_report_pair(json, "duplicated", c->duplicated);
    qp_report_pair(json, "reordered", c->reordered);
    qp_json_object_end(json);
}

static void qp_report_latency_json(qp_json *json, const qp_hist *latency)
{
    static const double percents[] = {50, 90, 99, 99.9};
    static const char *const names[] = {"p50", "p90", "p99", "p999"};
    bool any = latency != NULL && latency->count > 0;
    qp_json_object_begin(json, "latency_us");
    for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
        if (any) {
            qp_json_double(json, names[i], (double)qp_hist_percentile(latency, percents[i]) / 1e3);
        } else {
            qp_json_null(json, names[i]);
        }
    }
    if (any) {
        qp_json_double(json, "min", (double)latency->min / 1e3);
        qp_json_double(json, "mean", qp_hist_mean(latency) / 1e3);
        qp_json_double(json, "max", (double)latency->max / 1e3);
    }
    qp_json_object_end(json);
}

static void qp_report_interval_json(qp_json *json, const qp_interval *interval)
{
    double seconds = interval->t1_s - interval->t0_s;
    qp_json_object_begin(json, NULL);
    qp_json_double(json, "t0", interval->t0_s);
    qp_json_double(json, "t1", interval->t1_s);
    qp_json_u64(json, "bytes", interval->bytes);
    qp_json_double(json, "goodput_bps", seconds > 0 ? (double)interval->bytes * 8 / seconds : 0);
    qp_json_u64(json, "requests", interval->requests);
    qp_json_u64(json, "lost_packets", interval->lost_packets);
    qp_json_double(json, "rtt_us", (double)interval->rtt_ns / 1e3);
    qp_json_u64(json, "cwnd_bytes", interval->cwnd_bytes);
    qp_json_double(json, "cpu_local_s", interval->cpu_local_s);
    qp_json_object_end(json);
}

void qp_report_json(qp_json *json, const qp_result *r)
{
    char version[32];
    (void)snprintf(version, sizeof(version), "%d.%d.%d", QURING_VERSION_MAJOR, QURING_VERSION_MINOR,
                   QURING_VERSION_PATCH);
    qp_json_string(json, "quring_version", version);
    qp_json_string(json, "mode", r->mode);
    qp_json_string(json, "direction", r->direction);
    qp_report_summary(json, r);
    qp_report_proxy(json, r);
    qp_report_latency_json(json, r->latency);
    qp_json_string(json, "backend", r->backend[0] != '\0' ? r->backend : NULL);
    qp_json_string(json, "backend_why", r->backend_why[0] != '\0' ? r->backend_why : NULL);
    qp_json_string(json, "aead", r->aead[0] != '\0' ? r->aead : NULL);
    qp_json_u64(json, "payload_bytes", r->payload_bytes);
    qp_json_string(json, "error", r->error[0] != '\0' ? r->error : NULL);
    qp_json_array_begin(json, "intervals");
    for (size_t i = 0; i < r->interval_count; i++) {
        qp_report_interval_json(json, &r->intervals[i]);
    }
    qp_json_array_end(json);
}

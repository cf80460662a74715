#include "tools/quicperf/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/quicperf/setup.h"
#include "tools/quicperf/units.h"

#define QP_INTERVALS_MAX 1000000u
#define QP_BOUND_SHARE   0.95 /* of the time busy: nothing left */
#define QP_BOUND_S_MIN   0.1

void qp_result_begin(qp_result *result, const qp_options *o)
{
    bool one_way = o->mode == QP_MODE_TPUT || o->mode == QP_MODE_DGRAM || o->mode == QP_MODE_FAIR;
    memset(result, 0, sizeof(*result));
    result->mode = qp_mode_name(o->mode);
    result->direction = !one_way ? NULL : o->direction == QP_UP ? "up" : "down";
    result->api = "native";
    result->offered_per_s = o->request_rate;
    result->cpu_remote_s = QP_UNKNOWN_S;
}

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
        cap = cap < QP_INTERVALS_MAX ? cap : QP_INTERVALS_MAX;
        qp_interval *grown =
            cap > result->interval_cap ? realloc(result->intervals, cap * sizeof(*grown)) : NULL;
        if (grown == NULL) {
            return;
        }
        result->intervals = grown;
        result->interval_cap = cap;
    }
    result->intervals[result->interval_count++] = *interval;
}

#define QP_SINCE(name) (now->name - first->name)

void qp_result_take_stats(qp_result *r, const quring_stats *now, const quring_stats *first)
{
    const uint64_t trains[QP_TRAIN_CLASSES] = {QP_SINCE(trains_1),  QP_SINCE(trains_2),
                                               QP_SINCE(trains_4),  QP_SINCE(trains_8),
                                               QP_SINCE(trains_16), QP_SINCE(trains_32)};
    const uint64_t blocked[QP_BLOCKED_REASONS] = {
        QP_SINCE(blocked_window_ns), QP_SINCE(blocked_pacing_ns), QP_SINCE(blocked_conn_flow_ns),
        QP_SINCE(blocked_stream_flow_ns), QP_SINCE(blocked_amplification_ns)};
    r->has_stats = true;
    r->packets_sent = QP_SINCE(packets_sent);
    r->packets_recv = QP_SINCE(packets_recv);
    r->io_syscalls = QP_SINCE(io_syscalls);
    r->spins = QP_SINCE(spins);
    r->spin_hits = QP_SINCE(spin_hits);
    r->kernel_drops = QP_SINCE(io_kernel_drops);
    r->rx_nobufs = QP_SINCE(io_rx_nobufs);
    r->rx_truncated = QP_SINCE(io_rx_truncated);
    r->key_updates = now->key_updates;
    r->ack_frequency = now->ack_frequency_sent + now->ack_frequency_recv;
    r->acks_recv = QP_SINCE(acks_recv);
    r->acks_sent = QP_SINCE(acks_sent);
    memcpy(r->trains, trains, sizeof(trains));
    memcpy(r->blocked_ns, blocked, sizeof(blocked));
}

bool qp_result_is_client_bound(const qp_result *r)
{
    return r->workers > 0 && r->seconds >= QP_BOUND_S_MIN &&
           r->cpu_local_s - r->spin_s > QP_BOUND_SHARE * r->seconds * r->workers;
}

double qp_result_goodput(const qp_result *result)
{
    return result->seconds > 0 ? (double)result->bytes * 8 / result->seconds : 0;
}

/* ---- lines ------------------------------------------------------------------------------------- */

void qp_out_init(qp_out *out, const qp_options *options)
{
    bool taken = (options->json != NULL && strcmp(options->json, "-") == 0) ||
                 (options->jsonl != NULL && strcmp(options->jsonl, "-") == 0) ||
                 (options->hdr != NULL && strcmp(options->hdr, "-") == 0);
    memset(out, 0, sizeof(*out));
    out->text = taken ? stderr : stdout;
    out->quiet = options->quiet;
    out->live = isatty(fileno(out->text)) == 1;
}

bool qp_out_open_jsonl(qp_out *out, const qp_options *options)
{
    const char *path = options->jsonl;
    if (path == NULL) {
        return true;
    }
    out->jsonl = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
    if (out->jsonl == NULL) {
        (void)qp_fail("cannot open %s: %s", path, strerror(errno));
    }
    return out->jsonl != NULL;
}

/* At once: who reads along shall not wait. */
static void qp_out_flush(qp_out *out, FILE *file)
{
    out->gone = qp_flush(file) == EPIPE || out->gone;
}

void qp_out_json_line(qp_out *out, qp_json *json)
{
    if (qp_json_is_complete(json)) {
        out->gone = qp_write(out->jsonl, json->text, json->len) == EPIPE || out->gone;
    }
    qp_json_deinit(json);
}

static void qp_out_jsonl_interval(qp_out *out, const qp_interval *interval)
{
    qp_json json;
    qp_json_init(&json);
    json.compact = true;
    qp_json_object_begin(&json, NULL);
    qp_json_string(&json, "type", "interval");
    qp_report_interval_members(&json, interval);
    qp_json_object_end(&json);
    qp_out_json_line(out, &json);
}

void qp_out_jsonl_summary(qp_out *out, const qp_result *result)
{
    qp_json json;
    if (out->jsonl == NULL) {
        return;
    }
    qp_json_init(&json);
    json.compact = true;
    qp_json_object_begin(&json, NULL);
    qp_json_string(&json, "type", "summary");
    qp_json_string(&json, "mode", result->mode);
    qp_json_string(&json, "direction", result->direction);
    qp_report_summary_members(&json, result);
    qp_json_string(&json, "error", result->error[0] != '\0' ? result->error : NULL);
    qp_json_object_end(&json);
    qp_out_json_line(out, &json);
}

bool qp_out_close_jsonl(qp_out *out, const qp_options *options)
{
    if (out->jsonl == NULL) {
        return true;
    }
    bool ok = ferror(out->jsonl) == 0;
    bool is_stdout = out->jsonl == stdout; /* of that main says what is wrong */
    ok = (is_stdout || fclose(out->jsonl) == 0) && ok;
    out->jsonl = NULL;
    if (!ok && !is_stdout) {
        (void)qp_fail("cannot write %s: %s", options->jsonl, strerror(errno));
    }
    return ok;
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
    qp_out_flush(out, out->text);
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
    if (out->jsonl != NULL) {
        qp_out_jsonl_interval(out, interval);
    }
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
    qp_out_flush(out, out->text);
}

static void qp_report_cpu(char *buf, size_t cap, const qp_result *r)
{
    if (r->cpu_remote_s < 0) {
        (void)snprintf(buf, cap, "cpu %.2f s", r->cpu_local_s);
    } else {
        (void)snprintf(buf, cap, "cpu %.2f s here, %.2f s there", r->cpu_local_s, r->cpu_remote_s);
    }
}

void qp_report_latency(qp_out *out, const qp_hist *latency)
{
    static const double percents[] = {50, 90, 99, 99.9, 100};
    static const char *const names[] = {"p50", "p90", "p99", "p99.9", "max"};
    char text[32];
    if (latency->count == 0) {
        return;
    }
    (void)fprintf(out->text, "latency:");
    for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
        double ns = (double)qp_hist_percentile(latency, percents[i]);
        (void)fprintf(out->text, "  %s %s", names[i], qp_format_time(text, sizeof(text), ns));
    }
    (void)fputc('\n', out->text);
}

/* How long the trains were, and what sending waited for: what to look at first when a figure is low. */
static void qp_report_sending(const qp_out *out, const qp_result *r)
{
    static const char *const trains[QP_TRAIN_CLASSES] = {"1", "2-3", "4-7", "8-15", "16-31", "32+"};
    static const char *const reasons[QP_BLOCKED_REASONS] = {
        "window", "pacing", "credit of the connection", "credit of streams", "3x credit"};
    uint64_t sends = 0;
    double packets = (double)(r->packets_sent + r->packets_recv);
    for (int i = 0; i < QP_TRAIN_CLASSES; i++) {
        sends += r->trains[i];
    }
    if (!r->has_stats || sends == 0 || packets <= 0) {
        return;
    }
    (void)fprintf(out->text, "sent in trains of");
    for (int i = 0; i < QP_TRAIN_CLASSES; i++) {
        double share = 100 * (double)r->trains[i] / (double)sends;
        if (r->trains[i] > 0) {
            (void)fprintf(out->text, "  %s: %.0f %%", trains[i], share);
        }
    }
    (void)fprintf(out->text, "  syscalls %.3f/packet\n", (double)r->io_syscalls / packets);
    bool any = false;
    for (int i = 0; i < QP_BLOCKED_REASONS; i++) {
        double share = r->seconds > 0 ? (double)r->blocked_ns[i] / 1e7 / r->seconds : 0;
        if (share >= 1) {
            (void)fprintf(out->text, "%s  %s %.0f %%", any ? "" : "sending waited for", reasons[i],
                          share);
            any = true;
        }
    }
    (void)fprintf(out->text, "%s", any ? " of the time, connections added up\n" : "");
}

/* The line that stands for the run. */
static void qp_report_done(const qp_out *out, const qp_result *r)
{
    char rate[32];
    char cpu[64];
    char rtt[32];
    char cwnd[48];
    char work[96];
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
}

static void qp_report_proxy(const qp_out *out, const quring_impair_counts *c)
{
    (void)fprintf(out->text,
                  "proxy: %" PRIu64 " datagrams came, %" PRIu64 " dropped, %" PRIu64
                  " corrupted, %" PRIu64 " duplicated, %" PRIu64 " reordered, %" PRIu64
                  " rebinds\n",
                  c->received[0] + c->received[1], quring_impair_dropped(c),
                  c->corrupted[0] + c->corrupted[1], c->duplicated[0] + c->duplicated[1],
                  c->reordered[0] + c->reordered[1], c->rebinds);
}

/* What connections did beside their work. */
static void qp_report_features(const qp_out *out, const qp_result *r)
{
    char rate[32];
    if (r->resumed_count > 0) {
        (void)fprintf(out->text,
                      "resumed %" PRIu64 " connections, 0-RTT on %" PRIu64 " (%" PRIu64 " bytes)\n",
                      r->resumed_count, r->zero_rtt_count, r->zero_rtt_bytes);
    }
    if (r->proxied) {
        qp_report_proxy(out, &r->proxy);
    }
    if (r->bulk_bytes > 0 && r->seconds > 0) {
        (void)fprintf(out->text, "bulk beside: %s\n",
                      qp_format_rate(rate, sizeof(rate), (double)r->bulk_bytes * 8 / r->seconds));
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
}

static void qp_report_shares(const qp_out *out, const qp_result *r)
{
    char least[32];
    char most[32];
    double bits = 8 / r->seconds;
    (void)fprintf(out->text, "shares: least %s  most %s  Jain's index %.4f\n",
                  qp_format_rate(least, sizeof(least), (double)r->shares.min * bits),
                  qp_format_rate(most, sizeof(most), (double)r->shares.max * bits),
                  qp_shares_jain(&r->shares));
}

void qp_report_final(qp_out *out, const qp_result *r)
{
    qp_out_end_live(out);
    qp_report_done(out, r);
    if (!out->quiet) {
        qp_report_sending(out, r);
    }
    if (qp_result_is_client_bound(r)) {
        (void)fprintf(
            out->text,
            "client-bound: its %u worker%s had no CPU time left; the server may be able to "
            "do more\n",
            r->workers, r->workers == 1 ? "" : "s");
    }
    qp_report_features(out, r);
    if (r->latency != NULL) {
        qp_report_latency(out, r->latency);
    }
    uint64_t cut = r->requests / 100 + 1; /* by the end of any run */
    if (r->unsent > cut || r->unanswered > cut) {
        (void)fprintf(out->text,
                      "overload: %" PRIu64 " requests were due and not sent, %" PRIu64
                      " were not answered in time: the latencies are of those that were\n",
                      r->unsent, r->unanswered);
    }
    if (r->shares.count > 0 && r->seconds > 0) {
        qp_report_shares(out, r);
    }
    qp_out_flush(out, out->text);
}

void qp_report_server(qp_out *out, const qp_result *r)
{
    char bytes[32];
    qp_out_line(out,
                "done: %.2f s  connections %" PRIu64 "  requests %" PRIu64
                "  %s moved  cpu %.2f s  lost %" PRIu64 " packets  failed handshakes %" PRIu64,
                r->seconds, r->connections, r->requests,
                qp_format_size(bytes, sizeof(bytes), (double)r->bytes), r->cpu_local_s,
                r->lost_packets, r->errors);
}

#include <stdio.h>

#include "quring/base.h"
#include "quring/impair.h"

#include "tools/quicperf/report.h"

static void qp_json_seconds(qp_json *json, const char *key, double seconds)
{
    if (seconds < 0) {
        qp_json_null(json, key);
    } else {
        qp_json_double(json, key, seconds);
    }
}

/* null where there is nothing to divide by. */
static void qp_json_quotient(qp_json *json, const char *key, double of, double by)
{
    if (by > 0 && of >= 0) {
        qp_json_double(json, key, of / by);
    } else {
        qp_json_null(json, key);
    }
}

/* What was moved, and at whose cost. */
static void qp_json_totals(qp_json *json, const qp_result *r)
{
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
}

/* What connections agreed on, and did. */
static void qp_json_features(qp_json *json, const qp_result *r)
{
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
}

/* What some kinds of runs have beside. */
static void qp_json_kinds(qp_json *json, const qp_result *r)
{
    qp_json_u64(json, "bulk_bytes", r->bulk_bytes);
    qp_json_u64(json, "urgent_streams", r->urgent_streams);
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
}

/* The path, packets, and what moving them took. */
static void qp_json_transport(qp_json *json, const qp_result *r)
{
    qp_json_double(json, "rtt_us", (double)r->rtt_ns / 1e3);
    qp_json_double(json, "min_rtt_us", (double)r->min_rtt_ns / 1e3);
    qp_json_u64(json, "cwnd_bytes", r->cwnd_bytes);
    qp_json_u64(json, "packets_sent", r->packets_sent);
    qp_json_u64(json, "packets_recv", r->packets_recv);
    qp_json_u64(json, "io_syscalls", r->io_syscalls);
    qp_json_u64(json, "spins", r->spins);
    qp_json_u64(json, "spin_hits", r->spin_hits);
    qp_json_quotient(json, "syscalls_per_packet", (double)r->io_syscalls,
                     (double)(r->packets_sent + r->packets_recv));
    qp_json_quotient(json, "cpu_s_per_gb", r->cpu_local_s, (double)r->bytes / 1e9);
    qp_json_bool(json, "client_bound", qp_result_is_client_bound(r));
    if (r->proxied) {
        qp_json_u64(json, "proxy_dropped", quring_impair_dropped(&r->proxy));
    } else {
        qp_json_null(json, "proxy_dropped");
    }
    qp_json_bool(json, "interrupted", r->interrupted);
}

void qp_report_summary_members(qp_json *json, const qp_result *r)
{
    qp_json_totals(json, r);
    qp_json_features(json, r);
    qp_json_kinds(json, r);
    qp_json_transport(json, r);
}

/* What was lost on this machine before QUIC saw it. */
static void qp_report_drops(qp_json *json, const qp_result *r)
{
    qp_json_object_begin(json, "drops");
    qp_json_u64(json, "kernel_rx", r->kernel_drops);
    qp_json_u64(json, "truncated", r->rx_truncated);
    qp_json_u64(json, "no_buffer", r->rx_nobufs);
    qp_json_object_end(json);
}

/* null where nobody counted. */
static void qp_report_counters(qp_json *json, const qp_result *r)
{
    static const char *const trains[QP_TRAIN_CLASSES] = {"1", "2", "4", "8", "16", "32"};
    static const char *const reasons[QP_BLOCKED_REASONS] = {"window", "pacing", "conn_flow",
                                                            "stream_flow", "amplification"};
    if (!r->has_stats) {
        qp_json_null(json, "trains");
        qp_json_null(json, "blocked_ms");
        qp_json_null(json, "drops");
        return;
    }
    qp_json_object_begin(json, "trains");
    for (int i = 0; i < QP_TRAIN_CLASSES; i++) {
        qp_json_u64(json, trains[i], r->trains[i]);
    }
    qp_json_object_end(json);
    qp_json_object_begin(json, "blocked_ms");
    for (int i = 0; i < QP_BLOCKED_REASONS; i++) {
        qp_json_double(json, reasons[i], (double)r->blocked_ns[i] / 1e6);
    }
    qp_json_object_end(json);
    qp_report_drops(json, r);
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

void qp_report_interval_members(qp_json *json, const qp_interval *interval)
{
    double seconds = interval->t1_s - interval->t0_s;
    qp_json_double(json, "t0", interval->t0_s);
    qp_json_double(json, "t1", interval->t1_s);
    qp_json_u64(json, "bytes", interval->bytes);
    qp_json_double(json, "goodput_bps", seconds > 0 ? (double)interval->bytes * 8 / seconds : 0);
    qp_json_u64(json, "requests", interval->requests);
    qp_json_u64(json, "lost_packets", interval->lost_packets);
    qp_json_double(json, "rtt_us", (double)interval->rtt_ns / 1e3);
    qp_json_u64(json, "cwnd_bytes", interval->cwnd_bytes);
    qp_json_double(json, "cpu_local_s", interval->cpu_local_s);
}

void qp_report_json(qp_json *json, const qp_result *r)
{
    char version[32];
    (void)snprintf(version, sizeof(version), "%d.%d.%d", QURING_VERSION_MAJOR, QURING_VERSION_MINOR,
                   QURING_VERSION_PATCH);
    qp_json_string(json, "quring_version", version);
    qp_json_string(json, "mode", r->mode);
    qp_json_string(json, "direction", r->direction);
    qp_json_string(json, "api", r->api);
    qp_json_object_begin(json, "summary");
    qp_report_summary_members(json, r);
    qp_json_object_end(json);
    qp_report_counters(json, r);
    qp_report_proxy(json, r);
    qp_report_latency_json(json, r->latency);
    qp_json_string(json, "backend", r->backend[0] != '\0' ? r->backend : NULL);
    qp_json_string(json, "backend_why", r->backend_why[0] != '\0' ? r->backend_why : NULL);
    qp_json_string(json, "aead", r->aead[0] != '\0' ? r->aead : NULL);
    qp_json_u64(json, "payload_bytes", r->payload_bytes);
    qp_json_string(json, "error", r->error[0] != '\0' ? r->error : NULL);
    qp_json_array_begin(json, "intervals");
    for (size_t i = 0; i < r->interval_count; i++) {
        qp_json_object_begin(json, NULL);
        qp_report_interval_members(json, &r->intervals[i]);
        qp_json_object_end(json);
    }
    qp_json_array_end(json);
}

bool qp_report_write(qp_json_file *file, const qp_result *result)
{
    qp_json json;
    qp_json_init(&json);
    qp_json_object_begin(&json, NULL);
    qp_report_json(&json, result);
    qp_json_object_end(&json);
    bool ok = qp_json_file_write(file, &json);
    qp_json_deinit(&json);
    return ok;
}

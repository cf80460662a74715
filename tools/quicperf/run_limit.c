#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quring/limit.h"

#include "tools/quicperf/close_text.h"
#include "tools/quicperf/commands.h"
#include "tools/quicperf/hist.h"
#include "tools/quicperf/limit_options.h"
#include "tools/quicperf/report.h"
#include "tools/quicperf/setup.h"
#include "tools/quicperf/units.h"

static bool qp_limit_stop(void *ctx)
{
    qp_limit_watch *watch = ctx;
    watch->interrupted = watch->interrupted || qp_signals_take(watch->signal_fd) != 0;
    return watch->interrupted;
}

quring_status qp_limit_measure(quring_limit_result *out, const qp_options *o, const int32_t cpus[2],
                               qp_limit_watch *watch, quring_error *err)
{
    quring_limit_options options;
    quring_limit_options_init(&options);
    options.io = (quring_io_backend)o->io;
    options.aead = (quring_aead)o->aead;
    options.duration_ns = o->duration_ns;
    options.cpu_send = cpus[0];
    options.cpu_recv = cpus[1];
    options.stop = qp_limit_stop;
    options.ctx = watch;
    options.udp_payload_bytes = o->payload != 0 ? o->payload : QP_LIMIT_PAYLOAD;
    if (o->window_bytes != 0) {
        options.window_bytes = o->window_bytes;
    }
    memset(err, 0, sizeof(*err));
    return quring_limit_run(out, &options, err);
}

size_t qp_two_cpus(int32_t out[2], const qp_options *o)
{
    size_t count = o->cpu_count;
    if (count > 0) {
        out[0] = o->cpus[0];
        out[1] = o->cpus[count - 1];
        return count;
    }
    count = qp_cpus_allowed(out, 2);
    if (count < 2) {
        out[1] = count == 1 ? out[0] : -1;
        out[0] = out[1];
    }
    return count;
}

/* The figures in the form all commands have. */
static void qp_limit_result(qp_result *out, const quring_limit_result *r, uint32_t payload_bytes)
{
    memset(out, 0, sizeof(*out));
    out->mode = "limit";
    out->api = "limit";
    (void)snprintf(out->backend, sizeof(out->backend), "%s", r->backend);
    (void)snprintf(out->aead, sizeof(out->aead), "%s", r->aead);
    out->payload_bytes = payload_bytes;
    out->seconds = r->seconds;
    out->bytes = (uint64_t)(r->goodput_bps * r->seconds / 8);
    out->lost_packets = r->packets_lost;
    out->errors = r->packets_bad;
    out->cpu_local_s = r->cpu_send_s;
    out->cpu_remote_s = r->cpu_recv_s;
    out->packets_sent = r->packets;
    out->packets_recv = r->packets > r->packets_lost ? r->packets - r->packets_lost : 0;
}

static bool qp_write_limit_json(qp_json_file *file, const qp_result *result, double limit_bps)
{
    qp_json json;
    qp_json_init(&json);
    qp_json_object_begin(&json, NULL);
    if (result->error[0] == '\0') {
        qp_json_double(&json, "limit_bps", limit_bps);
    } else {
        qp_json_null(&json, "limit_bps");
    }
    qp_report_json(&json, result);
    qp_json_object_end(&json);
    bool ok = qp_json_file_write(file, &json);
    qp_json_deinit(&json);
    return ok;
}

static void qp_limit_result_begin(qp_result *result)
{
    memset(result, 0, sizeof(*result));
    result->mode = "limit";
    result->api = "limit";
    result->cpu_local_s = result->cpu_remote_s = QP_UNKNOWN_S;
}

static int qp_limit_failed(qp_json_file *file, const quring_error *err, quring_status status)
{
    qp_result result;
    qp_limit_result_begin(&result);
    (void)snprintf(result.error, sizeof(result.error), "limit: %.1000s",
                   qp_error_text(err, status));
    (void)qp_fail("%s", result.error);
    (void)qp_write_limit_json(file, &result, 0);
    return QP_EXIT_FAILED;
}

static const char *qp_interrupted_text(const qp_result *result)
{
    return result->interrupted ? "  (interrupted)" : "";
}

/* ---- --pingpong -------------------------------------------------------------------------------- */

typedef struct qp_pingpong {
    qp_hist *latency;
    qp_limit_watch watch;
} qp_pingpong;

static void qp_pingpong_round(void *ctx, uint64_t ns)
{
    qp_pingpong *pingpong = ctx;
    qp_hist_record(pingpong->latency, ns);
}

static bool qp_pingpong_stop(void *ctx)
{
    qp_pingpong *pingpong = ctx;
    return qp_limit_stop(&pingpong->watch);
}

static quring_status qp_pingpong_measure(qp_result *out, const qp_options *o, const int32_t cpus[2],
                                         int signal_fd, quring_error *err)
{
    qp_pingpong pingpong = {out->latency, {signal_fd, false}};
    quring_pingpong_options options;
    quring_pingpong_result result;
    quring_pingpong_options_init(&options);
    options.bytes = (uint32_t)o->request_bytes;
    options.duration_ns = o->duration_ns;
    options.spin = o->spin_us != 0;
    options.as_worker = o->io != QURING_IO_AUTO;
    options.io = (quring_io_backend)o->io;
    options.sealed = o->sealed;
    options.aead = (quring_aead)o->aead;
    options.cpu_ask = cpus[0];
    options.cpu_answer = cpus[1];
    options.on_round = qp_pingpong_round;
    options.stop = qp_pingpong_stop;
    options.ctx = &pingpong;
    quring_status status = quring_pingpong_run(&result, &options, err);
    if (status == QURING_OK) {
        out->interrupted = pingpong.watch.interrupted;
        out->seconds = result.seconds;
        out->requests = result.rounds;
        out->bytes = result.rounds * options.bytes;
        out->lost_packets = result.lost;
        out->payload_bytes = options.bytes;
        (void)snprintf(out->backend, sizeof(out->backend), "%s",
                       o->io == QURING_IO_URING   ? "io_uring"
                       : o->io == QURING_IO_EPOLL ? "epoll"
                                                  : "syscalls");
        (void)snprintf(out->aead, sizeof(out->aead), "%s", result.aead != NULL ? result.aead : "");
        out->cpu_local_s = result.cpu_ask_s;
        out->cpu_remote_s = result.cpu_answer_s;
    }
    return status;
}

static int qp_run_pingpong(const qp_options *options, qp_json_file *file, qp_out *out,
                           const int32_t cpus[2], int signal_fd)
{
    qp_result result;
    quring_error err;
    memset(&err, 0, sizeof(err));
    qp_limit_result_begin(&result);
    result.latency = malloc(sizeof(*result.latency));
    quring_status status = QURING_E_NOMEM;
    if (result.latency != NULL) {
        qp_hist_init(result.latency);
        status = qp_pingpong_measure(&result, options, cpus, signal_fd, &err);
    }
    if (status != QURING_OK) {
        qp_result_deinit(&result);
        return qp_limit_failed(file, &err, status);
    }
    (void)fprintf(
        out->text,
        "pingpong: %.0f round trips per second  (%.2f s, %u bytes, %s, %s, %s, lost %" PRIu64
        ", cpu %.2f s asking, %.2f s answering)%s\n",
        result.seconds > 0 ? (double)result.requests / result.seconds : 0, result.seconds,
        result.payload_bytes, result.backend, options->spin_us != 0 ? "polling" : "sleeping",
        options->sealed ? result.aead : "not encrypted", result.lost_packets, result.cpu_local_s,
        result.cpu_remote_s, qp_interrupted_text(&result));
    qp_report_latency(out, result.latency);
    bool ok = qp_report_write(file, &result);
    bool interrupted = result.interrupted;
    qp_result_deinit(&result);
    return interrupted ? QP_EXIT_INTERRUPTED : ok ? QP_EXIT_OK : QP_EXIT_FAILED;
}

int qp_run_limit(const qp_options *options)
{
    quring_limit_result result;
    quring_error err;
    qp_json_file file;
    int32_t cpus[2];
    char rate[32];
    qp_out out;
    if (!qp_json_file_open(&file, options->json)) {
        return QP_EXIT_FAILED;
    }
    qp_limit_watch watch = {qp_signals_open(false), false};
    if (watch.signal_fd < 0) {
        qp_json_file_drop(&file);
        return qp_fail("cannot watch for signals: %s", strerror(errno));
    }
    qp_out_init(&out, options);
    if (qp_two_cpus(cpus, options) < 2) {
        qp_out_line(&out, "only one CPU: sender and receiver share it");
    }
    if (options->pingpong) {
        return qp_run_pingpong(options, &file, &out, cpus, watch.signal_fd);
    }
    quring_status status = qp_limit_measure(&result, options, cpus, &watch, &err);
    if (status != QURING_OK) {
        return qp_limit_failed(&file, &err, status);
    }
    uint32_t payload = options->payload != 0 ? options->payload : QP_LIMIT_PAYLOAD;
    qp_result report;
    qp_limit_result(&report, &result, payload);
    report.interrupted = watch.interrupted;
    (void)fprintf(out.text,
                  "limit: %s  (%.2f s, payload %u, %s, %s, %.0f packets/s, lost %" PRIu64
                  ", cpu %.2f s sender, %.2f s receiver)%s\n",
                  qp_format_rate(rate, sizeof(rate), result.goodput_bps), result.seconds, payload,
                  result.backend, result.aead,
                  result.seconds > 0 ? (double)result.packets / result.seconds : 0,
                  result.packets_lost, result.cpu_send_s, result.cpu_recv_s,
                  qp_interrupted_text(&report));
    bool ok = qp_write_limit_json(&file, &report, result.goodput_bps);
    if (watch.interrupted || !ok) {
        return watch.interrupted ? QP_EXIT_INTERRUPTED : QP_EXIT_FAILED;
    }
    return result.packets_bad == 0 ? QP_EXIT_OK : qp_fail("limit: packets failed authentication");
}

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "quring/quring.h"

#include "tools/quicperf/close_text.h"
#include "tools/quicperf/commands.h"
#include "tools/quicperf/keylog.h"
#include "tools/quicperf/qlog.h"
#include "tools/quicperf/report.h"
#include "tools/quicperf/server.h"
#include "tools/quicperf/setup.h"
#include "tools/quicperf/sockets/server.h"
#include "tools/quicperf/tcp/server.h"
#include "tools/quicperf/units.h"

/* What the last interval line has seen. */
typedef struct qp_watch {
    uint64_t at_ns;
    uint64_t bytes_recv;
    uint64_t bytes_sent;
    uint64_t lost;
    uint64_t requests;
} qp_watch;

static double qp_server_cpu_s(const quring_runtime *rt, uint32_t workers)
{
    uint64_t ns = 0;
    for (uint32_t i = 0; i < workers; i++) {
        ns += quring_worker_cpu_ns(rt, i);
    }
    return (double)ns / 1e9;
}

/* One line about the interval that ends now; none when nothing happened in it. */
static void qp_server_watch(qp_watch *last, qp_out *out, const qp_server *server)
{
    char in[32];
    char sent[32];
    quring_stats stats;
    qp_server_totals totals;
    uint64_t now = quring_now_ns();
    if (quring_stats_get(qp_server_runtime(server), -1, &stats) != QURING_OK) {
        return;
    }
    qp_server_totals_get(server, &totals);
    double seconds = (double)(now - last->at_ns) / 1e9;
    bool busy = stats.bytes_recv != last->bytes_recv || stats.bytes_sent != last->bytes_sent;
    if (busy && seconds > 0) {
        double in_bits = (double)(stats.bytes_recv - last->bytes_recv) * 8 / seconds;
        double out_bits = (double)(stats.bytes_sent - last->bytes_sent) * 8 / seconds;
        qp_out_line(
            out, "connections %" PRIu64 "  UDP in %s  UDP out %s  %.0f req/s  lost %" PRIu64,
            totals.connections - totals.ended, qp_format_rate(in, sizeof(in), in_bits),
            qp_format_rate(sent, sizeof(sent), out_bits),
            (double)(totals.requests - last->requests) / seconds, stats.packets_lost - last->lost);
    }
    *last =
        (qp_watch){now, stats.bytes_recv, stats.bytes_sent, stats.packets_lost, totals.requests};
}

/* SIGHUP. What cannot be used changes nothing. */
static void qp_server_hangup(const qp_server *server, const qp_options *o, qp_out *out)
{
    quring_error err;
    quring_status status = qp_server_reload(server, o, &err);
    if (status == QURING_OK) {
        qp_out_line(out, "reloaded: new connections get the certificate in %s", o->cert);
        return;
    }
    (void)qp_fail("not reloaded, the old certificate stays: %s", qp_error_text(&err, status));
}

/* Serves until a signal comes or, with -1, a connection has ended. */
static void qp_server_loop(const qp_server *server, const qp_options *o, qp_out *out, int wake_fd,
                           int signal_fd)
{
    qp_watch last = {.at_ns = quring_now_ns()};
    for (;;) {
        struct pollfd fds[2] = {{.fd = wake_fd, .events = POLLIN},
                                {.fd = signal_fd, .events = POLLIN}};
        qp_server_totals totals;
        uint64_t count;
        int wait_ms = o->interval_ns == 0 ? -1 : (int)((o->interval_ns + 999999) / 1000000);
        int ready = poll(fds, 2, wait_ms);
        int signal_number =
            ready > 0 && (fds[1].revents & POLLIN) != 0 ? qp_signals_take(signal_fd) : 0;
        if (signal_number == SIGHUP) {
            qp_server_hangup(server, o, out);
        } else if (signal_number != 0) {
            return;
        }
        if (ready > 0 && (fds[0].revents & POLLIN) != 0) {
            (void)!read(wake_fd, &count, sizeof(count));
            qp_server_totals_get(server, &totals);
            if (o->one && totals.ended > 0) {
                return;
            }
        }
        if (o->interval_ns != 0 && quring_now_ns() - last.at_ns >= o->interval_ns) {
            qp_server_watch(&last, out, server);
        }
    }
}

static void qp_server_result(qp_result *r, const qp_server *server, const quring_config *config,
                             uint64_t served_ns)
{
    quring_stats stats;
    qp_server_totals totals;
    quring_runtime_info info;
    quring_runtime *rt = qp_server_runtime(server);
    memset(r, 0, sizeof(*r));
    qp_server_totals_get(server, &totals);
    quring_runtime_get_info(rt, &info);
    r->mode = "server";
    r->api = "native";
    (void)snprintf(r->backend, sizeof(r->backend), "%s", info.backend);
    (void)snprintf(r->backend_why, sizeof(r->backend_why), "%s", info.backend_why);
    (void)snprintf(r->aead, sizeof(r->aead), "%s", info.aead);
    (void)snprintf(r->cc, sizeof(r->cc), "%s",
                   config->cc == QURING_CC_NEWRENO ? "newreno"
                   : config->cc == QURING_CC_BBR   ? "bbr"
                                                   : "cubic");
    r->payload_bytes = config->limits.udp_payload_bytes;
    r->seconds = (double)served_ns / 1e9;
    r->bytes = totals.bytes_in + totals.bytes_out;
    r->requests = totals.requests;
    r->connections = totals.connections;
    r->client_cert_count = totals.client_certs;
    r->urgent_streams = totals.urgent;
    r->client_cert = totals.client_certs > 0 && totals.client_certs == totals.connections;
    r->handshakes_per_s = r->seconds > 0 ? (double)totals.connections / r->seconds : 0;
    r->cpu_local_s = qp_server_cpu_s(rt, config->workers);
    r->cpu_remote_s = QP_UNKNOWN_S;
    if (quring_stats_get(rt, -1, &stats) == QURING_OK) {
        qp_result_take_stats(r, &stats);
        r->lost_packets = stats.packets_lost;
        r->errors = stats.handshakes_failed;
    }
}

static int qp_server_failed(const qp_options *o, const quring_error *err, quring_status status)
{
    const char *why = qp_error_text(err, status);
    if (status == QURING_E_ADDR_IN_USE) {
        return qp_fail("cannot listen on port %u: %s (-p picks another, -p 0 any free one)",
                       o->port, why);
    }
    return qp_fail("cannot serve: %s", why);
}

static void qp_server_hello(qp_out *out, const qp_server *server, const qp_options *o,
                            uint16_t port)
{
    char host[64];
    quring_runtime_info info;
    quring_runtime_get_info(qp_server_runtime(server), &info);
    qp_server_host(server, host, sizeof(host));
    qp_out_line(out, "listening on %s port %u  (%u worker%s, %s: %s, %s%s%s)", host, port,
                info.workers, info.workers == 1 ? "" : "s", info.backend, info.backend_why,
                info.aead, o->cert == NULL ? ", self-signed certificate" : "",
                o->tcp ? ", TCP too" : "");
}

/* Everything that can be wrong before a socket is open. */
static int qp_server_prepare(quring_config *config, const qp_options *o)
{
    quring_error err;
    memset(&err, 0, sizeof(err));
    qp_config_from(config, o);
    if (o->secret != NULL &&
        quring_root_secret_load(config->root_secret, o->secret, &err) != QURING_OK) {
        return qp_fail("%s", err.message);
    }
    if (quring_config_check(config, &err) != QURING_OK || !qp_cipher_is_possible(o, &err)) {
        (void)qp_fail("%s", err.message);
        return QP_EXIT_USAGE;
    }
    return QP_EXIT_OK;
}

/* The server and, with --tcp, its control beside it. */
static int qp_server_start(qp_server **server, qp_tcp_server **tcp, uint16_t *port,
                           const qp_options *o, const quring_config *config, int wake_fd)
{
    quring_error err;
    char why[160];
    memset(&err, 0, sizeof(err));
    quring_status status = qp_server_open(server, port, o, config, wake_fd, &err);
    if (status != QURING_OK) {
        return qp_server_failed(o, &err, status);
    }
    *tcp = o->tcp ? qp_tcp_server_open(o, *port, why, sizeof(why)) : NULL;
    if (o->tcp && *tcp == NULL) {
        qp_server_close(*server);
        return qp_fail("%s", why);
    }
    return QP_EXIT_OK;
}

static int qp_server_session(const qp_options *options, const quring_config *config, qp_out *out,
                             qp_result *result)
{
    char why[256];
    qp_server *server;
    qp_tcp_server *tcp;
    uint16_t port;
    if (!qp_keylog_open(options, why, sizeof(why)) || !qp_qlog_prepare(options, why, sizeof(why))) {
        return qp_fail("%s", why);
    }
    int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int signal_fd = qp_signals_open(true);
    if (wake_fd < 0 || signal_fd < 0) {
        return qp_fail("cannot watch for signals: %s", strerror(errno));
    }
    uint64_t began_ns = quring_now_ns();
    int rc = qp_server_start(&server, &tcp, &port, options, config, wake_fd);
    if (rc != QP_EXIT_OK) {
        return rc;
    }
    qp_server_hello(out, server, options, port);
    qp_server_loop(server, options, out, wake_fd, signal_fd);
    qp_signals_exit_on_next();
    uint64_t served_ns = quring_now_ns() - began_ns;
    qp_tcp_server_close(tcp);
    qp_server_stop(server);
    qp_server_result(result, server, config, served_ns);
    qp_server_close(server);
    qp_report_server(out, result);
    return QP_EXIT_OK;
}

int qp_run_server(const qp_options *options)
{
    quring_config config;
    qp_json_file file;
    qp_result result;
    qp_out out;
    if (options->api == QP_API_SOCKETS) {
        return qp_sock_serve(options);
    }
    int rc = qp_server_prepare(&config, options);
    if (rc != QP_EXIT_OK) {
        return rc;
    }
    if (!qp_json_file_open(&file, options->json)) {
        return QP_EXIT_FAILED;
    }
    qp_out_init(&out, options);
    rc = qp_server_session(options, &config, &out, &result);
    if (rc != QP_EXIT_OK) {
        qp_json_file_drop(&file);
        return rc;
    }
    return qp_report_write(&file, &result) ? QP_EXIT_OK : QP_EXIT_FAILED;
}

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
#include "tools/quicperf/counters.h"
#include "tools/quicperf/keylog.h"
#include "tools/quicperf/qlog.h"
#include "tools/quicperf/report.h"
#include "tools/quicperf/server.h"
#include "tools/quicperf/setup.h"
#include "tools/quicperf/sockets/server.h"
#include "tools/quicperf/tcp/link.h"
#include "tools/quicperf/tcp/server.h"
#include "tools/quicperf/units.h"

/* The server and, with --tcp, its control beside it. */
typedef struct qp_served {
    qp_server *quic;
    qp_tcp_server *tcp; /* NULL: none */
    uint32_t workers;   /* of QUIC */
    uint64_t began_ns;
} qp_served;

/* What both have done, or have done before an interval. */
typedef struct qp_watch {
    uint64_t at_ns;
    quring_stats stats;
    qp_server_totals quic;
    qp_tcp_server_totals tcp;
} qp_watch;

static double qp_server_cpu_s(const quring_runtime *rt, uint32_t workers)
{
    uint64_t ns = 0;
    for (uint32_t i = 0; i < workers; i++) {
        ns += quring_worker_cpu_ns(rt, i);
    }
    return (double)ns / 1e9;
}

static bool qp_served_look(qp_watch *out, const qp_served *served)
{
    memset(out, 0, sizeof(*out));
    out->at_ns = quring_now_ns();
    if (quring_stats_get(qp_server_runtime(served->quic), -1, &out->stats) != QURING_OK) {
        return false;
    }
    qp_server_totals_get(served->quic, &out->quic);
    if (served->tcp != NULL) {
        qp_tcp_server_totals_get(served->tcp, &out->tcp);
    }
    return true;
}

/* What a counter moved by, as bits per second: one of TCP goes back at the end of a connection. */
static const char *qp_watch_rate(char *buf, size_t cap, uint64_t now, uint64_t before,
                                 double seconds)
{
    return qp_format_rate(buf, cap, now > before ? (double)(now - before) * 8 / seconds : 0);
}

/* With --tcp; "" without. */
static const char *qp_watch_tcp(char *buf, size_t cap, const qp_watch *now, const qp_watch *last,
                                double seconds)
{
    char in[32];
    char sent[32];
    (void)snprintf(
        buf, cap, "  TCP in %s  TCP out %s",
        qp_watch_rate(in, sizeof(in), now->tcp.bytes_in, last->tcp.bytes_in, seconds),
        qp_watch_rate(sent, sizeof(sent), now->tcp.bytes_out, last->tcp.bytes_out, seconds));
    return buf;
}

static void qp_server_count(qp_out *out, const qp_watch *now, const qp_served *served)
{
    qp_counters_write(out, (double)(now->at_ns - served->began_ns) / 1e9,
                      qp_server_cpu_s(qp_server_runtime(served->quic), served->workers), &now->quic,
                      &now->stats);
}

/* One line about the interval that ends now; none for people when nothing happened in it. */
static void qp_server_watch(qp_watch *last, qp_out *out, const qp_served *served)
{
    char in[32];
    char sent[32];
    char tcp[96];
    qp_watch now;
    if (!qp_served_look(&now, served)) {
        return;
    }
    qp_server_count(out, &now, served);
    double seconds = (double)(now.at_ns - last->at_ns) / 1e9;
    bool busy = now.stats.bytes_recv != last->stats.bytes_recv ||
                now.stats.bytes_sent != last->stats.bytes_sent ||
                memcmp(&now.tcp, &last->tcp, sizeof(now.tcp)) != 0;
    uint64_t requests =
        now.quic.requests + now.tcp.requests - last->quic.requests - last->tcp.requests;
    if (busy && seconds > 0) {
        qp_out_line(
            out, "connections %" PRIu64 "  UDP in %s  UDP out %s%s  %.0f req/s  lost %" PRIu64,
            now.quic.connections - now.quic.ended + now.tcp.connections - now.tcp.ended,
            qp_watch_rate(in, sizeof(in), now.stats.bytes_recv, last->stats.bytes_recv, seconds),
            qp_watch_rate(sent, sizeof(sent), now.stats.bytes_sent, last->stats.bytes_sent,
                          seconds),
            served->tcp != NULL ? qp_watch_tcp(tcp, sizeof(tcp), &now, last, seconds) : "",
            (double)requests / seconds, now.stats.packets_lost - last->stats.packets_lost);
    }
    *last = now;
}

/* --tcp: what TCP would serve, NULL with one line in `why`. QUIC, whose reasons say more, tries first, and changes
 * nothing yet. */
static qp_tcp_tls *qp_server_prepare_tcp(const qp_options *o, char *why, size_t cap)
{
    quring_error err;
    quring_tls *quic = NULL;
    quring_status status = qp_tls_server(&quic, o, &err);
    if (status != QURING_OK) {
        (void)snprintf(why, cap, "%s", qp_error_text(&err, status));
        return NULL;
    }
    quring_tls_release(quic);
    return qp_tcp_tls_create(o, NULL, why, cap);
}

/* SIGHUP. What cannot be used changes nothing, on neither side. */
static void qp_server_hangup(const qp_served *served, const qp_options *o, qp_out *out)
{
    quring_error err;
    char why[sizeof(err.message)] = "";
    qp_tcp_tls *tcp = served->tcp != NULL ? qp_server_prepare_tcp(o, why, sizeof(why)) : NULL;
    bool ready = served->tcp == NULL || tcp != NULL;
    quring_status status = ready ? qp_server_reload(served->quic, o, &err) : QURING_E_TLS;
    if (status != QURING_OK) {
        qp_tcp_tls_free(tcp);
        (void)qp_fail("not reloaded, the old certificate stays: %s",
                      ready ? qp_error_text(&err, status) : why);
        return;
    }
    if (tcp != NULL) {
        qp_tcp_server_reload(served->tcp, tcp);
    }
    qp_out_line(out, "reloaded: new connections get the certificate in %s", o->cert);
}

/* Until the interval that began at `last_ns` is over; -1: there are none. */
static int qp_server_wait_ms(uint64_t interval_ns, uint64_t last_ns)
{
    uint64_t gone_ns = quring_now_ns() - last_ns;
    uint64_t left_ns = gone_ns < interval_ns ? interval_ns - gone_ns : 0;
    return interval_ns == 0 ? -1 : (int)((left_ns + 999999) / 1000000);
}

/* Serves until a signal comes or, with -1, a connection has ended. */
static void qp_server_loop(const qp_served *served, const qp_options *o, qp_out *out, int wake_fd,
                           int signal_fd)
{
    qp_watch last = {.at_ns = quring_now_ns()};
    qp_watch now;
    for (;;) {
        struct pollfd fds[2] = {{.fd = wake_fd, .events = POLLIN},
                                {.fd = signal_fd, .events = POLLIN}};
        uint64_t count;
        int wait_ms = qp_server_wait_ms(o->interval_ns, last.at_ns);
        int ready = poll(fds, 2, wait_ms);
        int signal_number =
            ready > 0 && (fds[1].revents & POLLIN) != 0 ? qp_signals_take(signal_fd) : 0;
        if (signal_number == SIGHUP) {
            qp_server_hangup(served, o, out);
        } else if (signal_number != 0) {
            return;
        }
        if (ready > 0 && (fds[0].revents & POLLIN) != 0) {
            (void)!read(wake_fd, &count, sizeof(count));
            if (o->one && qp_served_look(&now, served) && now.quic.ended + now.tcp.ended > 0) {
                return;
            }
        }
        if (o->interval_ns != 0 && quring_now_ns() - last.at_ns >= o->interval_ns) {
            qp_server_watch(&last, out, served);
        }
    }
}

/* --tcp: the report is of all that was served. */
static void qp_server_add_tcp(qp_result *r, const qp_tcp_server *tcp)
{
    qp_tcp_server_totals totals;
    qp_tcp_server_totals_get(tcp, &totals);
    r->connections += totals.connections;
    r->requests += totals.requests;
    r->bytes += totals.bytes_in + totals.bytes_out;
    r->errors += totals.failed;
    r->lost_packets += totals.retransmits;
    r->cpu_local_s += qp_tcp_server_cpu_s(tcp);
}

static void qp_server_result(qp_result *r, const qp_served *served, const quring_config *config,
                             uint64_t served_ns)
{
    quring_stats stats;
    qp_server_totals totals;
    quring_runtime_info info;
    quring_runtime *rt = qp_server_runtime(served->quic);
    const quring_stats none = {0};
    memset(r, 0, sizeof(*r));
    qp_server_totals_get(served->quic, &totals);
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
    r->cpu_local_s = qp_server_cpu_s(rt, config->workers);
    r->cpu_remote_s = QP_UNKNOWN_S;
    if (quring_stats_get(rt, -1, &stats) == QURING_OK) {
        qp_result_take_stats(r, &stats, &none);
        r->lost_packets = stats.packets_lost;
        r->errors = stats.handshakes_failed;
    }
    if (served->tcp != NULL) {
        qp_server_add_tcp(r, served->tcp);
    }
    r->handshakes_per_s = r->seconds > 0 ? (double)r->connections / r->seconds : 0;
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

static int qp_server_start(qp_served *served, uint16_t *port, const qp_options *o,
                           const quring_config *config, int wake_fd)
{
    quring_error err;
    char why[160];
    memset(&err, 0, sizeof(err));
    for (unsigned left = o->port == 0 ? QP_TCP_PORT_TRIES : 1; left > 0; left--) {
        quring_status status = qp_server_open(&served->quic, port, o, config, wake_fd, &err);
        if (status != QURING_OK) {
            return qp_server_failed(o, &err, status);
        }
        served->tcp = o->tcp ? qp_tcp_server_open(o, *port, wake_fd, why, sizeof(why)) : NULL;
        if (!o->tcp || served->tcp != NULL) {
            return QP_EXIT_OK;
        }
        qp_server_close(served->quic);
    }
    return qp_fail("%s", why);
}

static int qp_server_session(const qp_options *options, const quring_config *config, qp_out *out,
                             qp_result *result)
{
    char why[256];
    qp_served served = {.workers = config->workers};
    uint16_t port;
    if (!qp_keylog_open(options, why, sizeof(why)) || !qp_qlog_prepare(options, why, sizeof(why))) {
        return qp_fail("%s", why);
    }
    int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int signal_fd = qp_signals_open(true);
    if (wake_fd < 0 || signal_fd < 0) {
        return qp_fail("cannot watch for signals: %s", strerror(errno));
    }
    served.began_ns = quring_now_ns();
    int rc = qp_server_start(&served, &port, options, config, wake_fd);
    if (rc != QP_EXIT_OK) {
        return rc;
    }
    qp_server_hello(out, served.quic, options, port);
    qp_server_loop(&served, options, out, wake_fd, signal_fd);
    qp_signals_exit_on_next();
    uint64_t served_ns = quring_now_ns() - served.began_ns;
    if (served.tcp != NULL) {
        qp_tcp_server_stop(served.tcp);
    }
    qp_server_stop(served.quic);
    qp_watch last;
    if (qp_served_look(&last, &served)) {
        qp_server_count(out, &last, &served);
    }
    qp_server_result(result, &served, config, served_ns);
    qp_tcp_server_close(served.tcp);
    qp_server_close(served.quic);
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
    rc = !qp_out_open_jsonl(&out, options) ? QP_EXIT_FAILED
                                           : qp_server_session(options, &config, &out, &result);
    if (rc != QP_EXIT_OK) {
        (void)qp_out_close_jsonl(&out, options);
        qp_json_file_drop(&file);
        return rc;
    }
    qp_out_jsonl_summary(&out, &result);
    bool lines = qp_out_close_jsonl(&out, options);
    return qp_report_write(&file, &result) && lines ? QP_EXIT_OK : QP_EXIT_FAILED;
}

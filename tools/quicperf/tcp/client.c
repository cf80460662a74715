#include "tools/quicperf/tcp/client.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/quicperf/asked.h"
#include "tools/quicperf/meter.h"
#include "tools/quicperf/proto.h"
#include "tools/quicperf/setup.h"
#include "tools/quicperf/sockets/target.h"
#include "tools/quicperf/tcp/link.h"
#include "tools/quicperf/tcp/thread.h"

#define QP_EVENTS_MAX 64
#define QP_TURN_BYTES (4u * 1024 * 1024) /* of one connection before the others get a turn */
#define QP_HOST_MAX   256u

typedef enum qp_tconn_state {
    QP_TCONN_CONNECTS,
    QP_TCONN_SHAKES,
    QP_TCONN_READY,
    QP_TCONN_SENDS,
    QP_TCONN_READS
} qp_tconn_state;

typedef struct qp_tworker qp_tworker;

typedef struct qp_tconn {
    qp_tcp_link link;
    qp_tworker *worker;
    qp_tconn_state state;
    uint32_t events;
    uint8_t header[QP_TCP_HEADER_LEN];
    uint8_t header_left;
    uint64_t send_left;
    uint64_t read_left;
    uint64_t began_ns;
} qp_tconn;

/* What the main thread tells the workers, and they it. */
typedef struct qp_tclient {
    const qp_options *options;
    qp_result *result;
    const qp_tcp_server *peer;
    quring_addr server;
    char host[QP_HOST_MAX];
    bool has_name;
    qp_tcp_tls *tls;
    qp_meter meter;
    _Atomic int stop;
    _Atomic uint32_t ready;
    _Atomic int error_taken;
    _Atomic int failed;
    char error[512];
    uint32_t worker_count;
    qp_tworker *workers;
} qp_tclient;

struct qp_tworker {
    qp_tclient *client;
    pthread_t thread;
    bool started;
    int epoll;
    int post_fd; /* read by the worker: its connections may begin, or are to stop */
    uint32_t conn_count;
    qp_tconn *conns;
    qp_hist *latency;
    _Atomic uint64_t bytes; /* read */
    _Atomic uint64_t requests;
    double cpu_s; /* once it has ended: then its clock has gone */
    _Atomic int ended;
    uint8_t scratch[QP_TCP_BUFFER];
};

static uint8_t qp_tcp_pattern[QP_TCP_BUFFER];

static void qp_tclient_fail(qp_tclient *tc, const char *text)
{
    if (atomic_exchange(&tc->error_taken, 1) == 0) {
        char peer[64];
        (void)snprintf(tc->error, sizeof(tc->error), "TCP to %s: %s",
                       quring_addr_format(&tc->server, peer, sizeof(peer)), text);
        atomic_store(&tc->failed, 1);
    }
    qp_meter_wake(&tc->meter);
}

static bool qp_tcp_is_up(const qp_options *o)
{
    return o->mode == QP_MODE_TPUT && o->direction == QP_UP;
}

/* ---- one connection ------------------------------------------------------------------------------ */

static void qp_tconn_begin(qp_tconn *c)
{
    const qp_options *o = c->worker->client->options;
    bool rr = o->mode == QP_MODE_RR;
    uint64_t answer = rr ? o->response_bytes : qp_tcp_is_up(o) ? 0 : QP_ENDLESS;
    uint64_t payload = rr ? o->request_bytes : qp_tcp_is_up(o) ? QP_ENDLESS : 0;
    qp_header_encode(c->header, answer);
    qp_header_encode(c->header + 8, payload);
    c->header_left = QP_TCP_HEADER_LEN;
    c->send_left = payload;
    c->read_left = answer;
    c->began_ns = quring_now_ns();
    c->state = QP_TCONN_SENDS;
}

static qp_tcp_rc qp_tconn_connect(qp_tconn *c)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(c->link.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
        (void)snprintf(c->link.error, sizeof(c->link.error), "%s",
                       strerror(error != 0 ? error : errno));
        return QP_TCP_FAILED;
    }
    c->state = QP_TCONN_SHAKES;
    return QP_TCP_OK;
}

static qp_tcp_rc qp_tconn_shake(qp_tconn *c)
{
    qp_tclient *tc = c->worker->client;
    qp_tcp_rc rc = qp_tcp_link_handshake(&c->link);
    if (rc == QP_TCP_OK) {
        c->state = QP_TCONN_READY;
        if (atomic_fetch_add(&tc->ready, 1) + 1 == tc->options->conns) {
            qp_meter_wake(&tc->meter);
        }
    }
    return rc;
}

static qp_tcp_rc qp_tconn_send(qp_tconn *c, size_t *moved)
{
    size_t taken = 0;
    qp_tcp_rc rc = QP_TCP_OK;
    if (c->header_left > 0) {
        rc = qp_tcp_link_write(&c->link, &taken, c->header + QP_TCP_HEADER_LEN - c->header_left,
                               c->header_left);
        c->header_left = (uint8_t)(c->header_left - taken);
    }
    if (rc == QP_TCP_OK && c->send_left > 0) {
        size_t len = c->send_left < QP_TCP_BUFFER ? (size_t)c->send_left : QP_TCP_BUFFER;
        rc = qp_tcp_link_write(&c->link, &taken, qp_tcp_pattern, len);
        *moved += taken;
        c->send_left -= c->send_left != QP_ENDLESS ? taken : 0;
    }
    if (rc == QP_TCP_OK && c->send_left == 0) {
        rc = qp_tcp_link_flush(&c->link);
        c->state = rc == QP_TCP_OK ? QP_TCONN_READS : QP_TCONN_SENDS;
    }
    return rc;
}

static qp_tcp_rc qp_tconn_read(qp_tconn *c, size_t *moved)
{
    qp_tworker *w = c->worker;
    size_t cap = c->read_left < QP_TCP_BUFFER ? (size_t)c->read_left : QP_TCP_BUFFER;
    size_t got = 0;
    qp_tcp_rc rc = cap > 0 ? qp_tcp_link_read(&c->link, &got, w->scratch, cap) : QP_TCP_OK;
    *moved += got;
    atomic_store_explicit(&w->bytes, atomic_load_explicit(&w->bytes, memory_order_relaxed) + got,
                          memory_order_relaxed);
    c->read_left -= c->read_left != QP_ENDLESS ? got : 0;
    if (c->read_left == 0) {
        qp_hist_record(w->latency, quring_now_ns() - c->began_ns);
        atomic_fetch_add_explicit(&w->requests, 1, memory_order_relaxed);
        qp_tconn_begin(c);
    }
    return rc;
}

static void qp_tconn_step(qp_tconn *c)
{
    qp_tclient *tc = c->worker->client;
    size_t moved = 0;
    qp_tcp_rc rc = QP_TCP_OK;
    while (rc == QP_TCP_OK && moved < QP_TURN_BYTES && c->state != QP_TCONN_READY &&
           atomic_load_explicit(&tc->stop, memory_order_relaxed) == 0) {
        switch (c->state) {
        case QP_TCONN_CONNECTS:
            rc = qp_tconn_connect(c);
            break;
        case QP_TCONN_SHAKES:
            rc = qp_tconn_shake(c);
            break;
        case QP_TCONN_SENDS:
            rc = qp_tconn_send(c, &moved);
            break;
        case QP_TCONN_READS:
            rc = qp_tconn_read(c, &moved);
            break;
        case QP_TCONN_READY:
            break;
        }
    }
    bool go_on = rc == QP_TCP_OK && c->state != QP_TCONN_READY;
    uint32_t events = c->link.wants_write || go_on ? EPOLLOUT : EPOLLIN;
    if (rc != QP_TCP_OK && rc != QP_TCP_AGAIN) {
        qp_tclient_fail(tc, c->link.error);
    } else if (!qp_epoll_set(c->worker->epoll, c->link.fd, &c->events, events, c)) {
        qp_tclient_fail(tc, strerror(errno));
    }
}

static bool qp_tconn_open(qp_tconn *c, qp_tworker *w)
{
    qp_tclient *tc = w->client;
    struct sockaddr_storage to;
    socklen_t len = qp_sockaddr_from(&to, &tc->server);
    c->worker = w;
    c->link.fd = -1;
    int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        qp_tclient_fail(tc, strerror(errno));
        return false;
    }
    if (!qp_tcp_link_open(&c->link, tc->tls, fd, tc->has_name ? tc->host : NULL)) {
        qp_tclient_fail(tc, "out of memory");
        return false;
    }
    if (!qp_tcp_cc_set(fd, w->client->options->tcp_cc) ||
        (connect(fd, (const struct sockaddr *)&to, len) != 0 && errno != EINPROGRESS) ||
        !qp_epoll_set(w->epoll, fd, &c->events, EPOLLOUT, c)) {
        qp_tclient_fail(tc, strerror(errno));
        return false;
    }
    return true;
}

/* ---- workers ------------------------------------------------------------------------------------- */

/* Returns whether to go on. */
static bool qp_tworker_posted(qp_tworker *w)
{
    uint64_t count;
    (void)!read(w->post_fd, &count, sizeof(count));
    if (atomic_load(&w->client->stop) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < w->conn_count; i++) {
        if (w->conns[i].state == QP_TCONN_READY) {
            qp_tconn_begin(&w->conns[i]);
            qp_tconn_step(&w->conns[i]);
        }
    }
    return true;
}

static void *qp_tworker_main(void *ctx)
{
    qp_tworker *w = ctx;
    struct epoll_event events[QP_EVENTS_MAX];
    bool going = true;
    for (uint32_t i = 0; i < w->conn_count && going; i++) {
        going = qp_tconn_open(&w->conns[i], w);
    }
    while (going && atomic_load_explicit(&w->client->failed, memory_order_relaxed) == 0) {
        int count = epoll_wait(w->epoll, events, QP_EVENTS_MAX, -1);
        for (int i = 0; i < count && going; i++) {
            if (events[i].data.ptr == w) {
                going = qp_tworker_posted(w);
            } else {
                qp_tconn_step(events[i].data.ptr);
            }
        }
        going = going && (count >= 0 || errno == EINTR);
    }
    w->cpu_s = qp_thread_cpu_s(pthread_self());
    atomic_store(&w->ended, 1);
    return NULL;
}

static bool qp_tworker_open(qp_tworker *w, uint32_t conns)
{
    struct epoll_event posted = {.events = EPOLLIN, .data = {.ptr = w}};
    w->conn_count = conns;
    w->conns = calloc(conns > 0 ? conns : 1, sizeof(w->conns[0]));
    w->latency = malloc(sizeof(*w->latency));
    if (w->conns == NULL || w->latency == NULL || w->epoll < 0 || w->post_fd < 0) {
        return false;
    }
    for (uint32_t i = 0; i < conns; i++) {
        w->conns[i].link.fd = -1;
    }
    qp_hist_init(w->latency);
    return epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->post_fd, &posted) == 0;
}

static void qp_tworker_close(qp_tworker *w)
{
    for (uint32_t i = 0; w->conns != NULL && i < w->conn_count; i++) {
        qp_tcp_link_close(&w->conns[i].link);
    }
    if (w->epoll >= 0) {
        (void)close(w->epoll);
    }
    if (w->post_fd >= 0) {
        (void)close(w->post_fd);
    }
    free(w->conns);
    free(w->latency);
}

/* ---- the main thread ------------------------------------------------------------------------------ */

static void qp_tclient_post(qp_tclient *tc)
{
    uint64_t one = 1;
    for (uint32_t i = 0; i < tc->worker_count; i++) {
        (void)!write(tc->workers[i].post_fd, &one, sizeof(one));
    }
}

static bool qp_tclient_is_ready(void *ctx)
{
    qp_tclient *tc = ctx;
    return atomic_load(&tc->ready) == tc->options->conns;
}

static bool qp_tclient_is_over(void *ctx)
{
    qp_tclient *tc = ctx;
    return atomic_load(&tc->failed) != 0;
}

static double qp_tclient_cpu_s(const qp_tclient *tc)
{
    double seconds = 0;
    for (uint32_t i = 0; i < tc->worker_count; i++) {
        const qp_tworker *w = &tc->workers[i];
        double now = w->started ? qp_thread_cpu_s(w->thread) : 0;
        seconds += atomic_load(&w->ended) != 0 ? w->cpu_s : now;
    }
    return seconds;
}

/* Read, or acknowledged by the peer's TCP. */
static uint64_t qp_tclient_bytes(const qp_tclient *tc)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < tc->worker_count; i++) {
        const qp_tworker *w = &tc->workers[i];
        bytes += qp_tcp_is_up(tc->options) ? 0 : atomic_load(&w->bytes);
        for (uint32_t k = 0; qp_tcp_is_up(tc->options) && k < w->conn_count; k++) {
            bytes += qp_tcp_link_acked(&w->conns[k].link);
        }
    }
    return bytes;
}

/* Sent again by the kernel. */
static uint64_t qp_tclient_lost(const qp_tclient *tc)
{
    uint64_t lost = 0;
    for (uint32_t i = 0; i < tc->worker_count; i++) {
        for (uint32_t k = 0; k < tc->workers[i].conn_count; k++) {
            lost += qp_tcp_link_retransmits(&tc->workers[i].conns[k].link);
        }
    }
    return lost;
}

/* The connection whose round trip the interval lines show. */
static const qp_tcp_link *qp_tclient_first(const qp_tclient *tc)
{
    uint32_t i = 0;
    while (i + 1 < tc->worker_count && tc->workers[i].conn_count == 0) {
        i++;
    }
    return &tc->workers[i].conns[0].link;
}

static uint64_t qp_tclient_requests(const qp_tclient *tc)
{
    uint64_t requests = 0;
    for (uint32_t i = 0; i < tc->worker_count; i++) {
        requests += atomic_load(&tc->workers[i].requests);
    }
    return requests;
}

static void qp_tclient_read(void *ctx, qp_reading *out)
{
    const qp_tclient *tc = ctx;
    qp_tcp_facts facts;
    qp_tcp_link_facts(qp_tclient_first(tc), &facts);
    *out = (qp_reading){.bytes = qp_tclient_bytes(tc),
                        .requests = qp_tclient_requests(tc),
                        .lost = qp_tclient_lost(tc),
                        .rtt_ns = facts.rtt_ns,
                        .cwnd_bytes = facts.cwnd_bytes,
                        .cpu_s = qp_tclient_cpu_s(tc)};
}

static void qp_tclient_go(void *ctx)
{
    qp_tclient_post(ctx); /* all are ready */
}

static void qp_tclient_transfer(qp_tclient *tc)
{
    double peer0 = tc->peer != NULL ? qp_tcp_server_cpu_s(tc->peer) : 0;
    qp_meter_run(&tc->meter);
    tc->result->cpu_remote_s =
        tc->peer != NULL ? qp_tcp_server_cpu_s(tc->peer) - peer0 : QP_UNKNOWN_S;
}

static void qp_tclient_conclude(qp_tclient *tc)
{
    qp_result *r = tc->result;
    for (uint32_t i = 0; i < tc->worker_count; i++) {
        for (uint32_t k = 0; k < tc->workers[i].conn_count; k++) {
            qp_tcp_facts facts;
            qp_tcp_link_facts(&tc->workers[i].conns[k].link, &facts);
            r->rtt_ns = r->rtt_ns == 0 ? facts.rtt_ns : r->rtt_ns;
            r->cwnd_bytes = r->cwnd_bytes == 0 ? facts.cwnd_bytes : r->cwnd_bytes;
            (void)snprintf(r->cc, sizeof(r->cc), "%s", facts.cc);
            (void)snprintf(r->cipher, sizeof(r->cipher), "%s", facts.cipher);
        }
    }
    r->interrupted = tc->meter.interrupted;
    if (tc->options->mode == QP_MODE_RR && (r->latency = malloc(sizeof(*r->latency))) != NULL) {
        qp_hist_init(r->latency);
        for (uint32_t i = 0; i < tc->worker_count; i++) {
            qp_hist_merge(r->latency, tc->workers[i].latency);
        }
    }
}

static int qp_tclient_error(qp_tclient *tc, const char *text)
{
    (void)snprintf(tc->result->error, sizeof(tc->result->error), "%s", text);
    return QP_EXIT_FAILED;
}

static int qp_tclient_open(qp_tclient *tc)
{
    const qp_options *o = tc->options;
    quring_error err;
    char why[160];
    memset(&err, 0, sizeof(err));
    /* As for QUIC: a server that serves TCP has the UDP port of that number, too. */
    if (qp_target_find(&tc->server, o->target, (uint16_t)o->port, &err) != QURING_OK) {
        return qp_tclient_error(tc, err.message);
    }
    tc->has_name = qp_host_name(tc->host, sizeof(tc->host), o->target);
    tc->tls = qp_tcp_cc_check(o->tcp_cc, why, sizeof(why))
                  ? qp_tcp_tls_create(o, &tc->server, why, sizeof(why))
                  : NULL;
    if (tc->tls == NULL) {
        return qp_tclient_error(tc, why);
    }
    tc->workers = calloc(o->workers, sizeof(tc->workers[0]));
    if (!qp_meter_open(&tc->meter) || tc->workers == NULL) {
        return qp_tclient_error(tc, "out of memory or descriptors");
    }
    uint32_t left = o->conns;
    for (uint32_t i = 0; i < o->workers; i++) {
        qp_tworker *w = &tc->workers[i];
        uint32_t conns = left / (o->workers - i);
        left -= conns;
        w->client = tc;
        w->epoll = epoll_create1(EPOLL_CLOEXEC);
        w->post_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        tc->worker_count++;
        w->started =
            qp_tworker_open(w, conns) && qp_thread_start(&w->thread, o, i, qp_tworker_main, w);
        if (!w->started) {
            return qp_tclient_error(tc, "out of memory or descriptors");
        }
    }
    return QP_EXIT_OK;
}

static int qp_tclient_run(qp_tclient *tc)
{
    const qp_options *o = tc->options;
    char text[128];
    char peer[64];
    uint64_t began = quring_now_ns();
    int rc = qp_tclient_open(tc);
    if (rc != QP_EXIT_OK) {
        return rc;
    }
    qp_meter_wait(&tc->meter, qp_tclient_is_ready, began + o->timeout_ns * (1 + o->conns / 64));
    if (atomic_load(&tc->failed) != 0) {
        return qp_tclient_error(tc, tc->error);
    }
    if (tc->meter.interrupted) {
        tc->result->interrupted = true;
        return QP_EXIT_INTERRUPTED;
    }
    if (atomic_load(&tc->ready) < o->conns) {
        (void)snprintf(text, sizeof(text), "no answer from %s over TCP",
                       quring_addr_format(&tc->server, peer, sizeof(peer)));
        return qp_tclient_error(tc, text);
    }
    tc->result->connections = o->conns;
    tc->result->handshakes_per_s = o->conns / ((double)(quring_now_ns() - began) / 1e9);
    qp_tclient_transfer(tc);
    if (atomic_load(&tc->failed) != 0) {
        return qp_tclient_error(tc, tc->error);
    }
    return tc->meter.interrupted ? QP_EXIT_INTERRUPTED : QP_EXIT_OK;
}

int qp_tcp_measure(qp_result *result, const qp_client_run *run, const qp_tcp_server *peer)
{
    qp_tclient *tc = calloc(1, sizeof(*tc));
    qp_result_begin(result, run->options);
    result->api = "tcp";
    (void)snprintf(result->backend, sizeof(result->backend), "tcp");
    (void)snprintf(result->backend_why, sizeof(result->backend_why), "asked for");
    (void)snprintf(result->aead, sizeof(result->aead), "boringssl");
    if (tc == NULL) {
        (void)snprintf(result->error, sizeof(result->error), "out of memory");
        return QP_EXIT_FAILED;
    }
    tc->options = run->options;
    tc->result = result;
    tc->peer = peer;
    tc->meter = (qp_meter){.options = run->options,
                           .result = result,
                           .out = run->out,
                           .signal_fd = run->signal_fd,
                           .ctx = tc,
                           .read = qp_tclient_read,
                           .is_over = qp_tclient_is_over,
                           .go = qp_tclient_go,
                           .wake_fd = -1};
    int rc = qp_tclient_run(tc);
    atomic_store(&tc->stop, 1);
    qp_tclient_post(tc);
    for (uint32_t i = 0; i < tc->worker_count; i++) {
        if (tc->workers[i].started) {
            (void)pthread_join(tc->workers[i].thread, NULL);
        }
    }
    char text[256];
    result->errors = atomic_load(&tc->failed) != 0 ? 1 : 0; /* it is over with the first */
    if (result->seconds > 0) { /* all that was measured, of a run that has failed, too */
        qp_tclient_conclude(tc);
    }
    if (rc == QP_EXIT_OK && qp_asked_but_missed(text, sizeof(text), tc->options, result)) {
        rc = qp_tclient_error(tc, text);
    }
    for (uint32_t i = 0; i < tc->worker_count; i++) {
        qp_tworker_close(&tc->workers[i]);
    }
    free(tc->workers);
    qp_tcp_tls_free(tc->tls);
    qp_meter_close(&tc->meter);
    free(tc);
    return rc;
}

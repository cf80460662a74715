#include "tools/quicperf/server.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "quring/quring.h"

#include "tools/quicperf/dgram.h"
#include "tools/quicperf/proto.h"
#include "tools/quicperf/qlog.h"
#include "tools/quicperf/setup.h"

#define QP_SCRATCH_BYTES (128u * 1024u)
#define QP_STOP_NS       1000000000ull

/* What a connection's context points at: the server before the first event, then the connection. */
typedef enum qp_tag { QP_TAG_SERVER, QP_TAG_CONN } qp_tag;

typedef struct qp_sconn qp_sconn;

/* One stream a client opened, or one of ours that answers a unidirectional request. */
typedef struct qp_sstream {
    struct qp_sstream *prev; /* in the connection's list; next also links free objects */
    struct qp_sstream *next;
    struct qp_sstream *next_waiting; /* waiting: the one that asked after it */
    qp_sconn *conn;
    quring_stream stream;
    qp_header header;
    qp_pump pump;
    uint64_t answer; /* waiting: bytes to send once a stream can be opened */
    bool sending;
    bool ours; /* `stream` is one that we opened */
    bool dead; /* abandoned by either side */
} qp_sstream;

typedef struct qp_sworker {
    uint8_t *scratch;
    qp_sstream *free;
    _Atomic uint64_t connections;
    _Atomic uint64_t ended;
    _Atomic uint64_t requests;
    _Atomic uint64_t bytes_in;
    _Atomic uint64_t bytes_out;
    _Atomic uint64_t client_certs;
    _Atomic uint64_t urgent;
} qp_sworker;

struct qp_server {
    qp_tag tag;
    quring_runtime *rt;
    quring_tls *tls;
    const char *qlog;      /* folder; NULL: none */
    bool asks_clients;     /* --client-cert */
    uint64_t urgent_bytes; /* --urgent */
    size_t answers_max;    /* on streams of ours, at once per connection */
    quring_listener *listeners[2];
    size_t listener_count;
    bool is_bound; /* --bind */
    bool is_stopped;
    quring_addr preferred; /* family 0: none */
    int wake_fd;
    qp_sworker workers[QURING_WORKERS_MAX];
};

struct qp_sconn {
    qp_tag tag;
    qp_server *server;
    qp_sworker *worker;
    quring_conn conn;
    qp_sstream *streams;
    qp_sstream *waiting; /* for a stream of ours, the oldest first */
    qp_sstream **waiting_end;
    size_t waiting_count;
    size_t answering;         /* streams of ours */
    qp_sstream *dgram_stream; /* the request for the datagrams that are being sent */
    qp_dgram dgram_out;
    qp_dgram dgram_in;
    qp_qlog *qlog; /* NULL: none */
};

/* Only the worker itself writes its counters, so a plain sum is enough. Who sees one sees what was counted before. */
static void qp_count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
                          memory_order_release);
}

/* ---- objects ----------------------------------------------------------------------------------- */

static qp_sconn *qp_sconn_get(const quring_event *ev)
{
    if (*(const qp_tag *)ev->conn_ctx == QP_TAG_CONN) {
        return ev->conn_ctx;
    }
    qp_server *server = ev->conn_ctx;
    int self = quring_worker_self();
    qp_sconn *conn = self < 0 || ev->type == QURING_EV_CLOSED ? NULL : calloc(1, sizeof(*conn));
    if (conn == NULL) {
        return NULL;
    }
    conn->tag = QP_TAG_CONN;
    conn->server = server;
    conn->worker = &server->workers[self];
    conn->conn = ev->conn;
    conn->waiting_end = &conn->waiting;
    (void)quring_conn_set_ctx(ev->conn, conn);
    conn->qlog = qp_qlog_begin(server->qlog, ev->conn, false);
    qp_count(&conn->worker->connections, 1);
    return conn;
}

static qp_sstream *qp_sstream_create(qp_sconn *conn, quring_stream stream)
{
    qp_sstream *s = conn->worker->free;
    if (s != NULL) {
        conn->worker->free = s->next;
        memset(s, 0, sizeof(*s));
    } else if ((s = calloc(1, sizeof(*s))) == NULL) {
        return NULL;
    }
    s->conn = conn;
    s->stream = stream;
    s->next = conn->streams;
    if (s->next != NULL) {
        s->next->prev = s;
    }
    conn->streams = s;
    return s;
}

static void qp_sstream_destroy(qp_sstream *s)
{
    qp_sconn *conn = s->conn;
    quring_stream_info info;
    if (s->sending && quring_stream_get_info(s->stream, &info) == QURING_OK) {
        qp_count(&conn->worker->bytes_out, info.bytes_acked);
    }
    conn->answering -= s->ours ? 1 : 0;
    if (conn->dgram_stream == s) {
        conn->dgram_stream = NULL;
        qp_dgram_stop(&conn->dgram_out);
    }
    if (s->prev != NULL) {
        s->prev->next = s->next;
    } else {
        conn->streams = s->next;
    }
    if (s->next != NULL) {
        s->next->prev = s->prev;
    }
    s->next = conn->worker->free;
    conn->worker->free = s;
}

/* ---- answering --------------------------------------------------------------------------------- */

static void qp_sstream_send(qp_sstream *s)
{
    if (!s->sending || s->dead) {
        return;
    }
    quring_status status = qp_pump_run(&s->pump);
    if (status != QURING_OK && status != QURING_E_AGAIN) {
        s->dead = true;
        (void)quring_stream_reset(s->pump.stream, QP_APP_REFUSED);
    }
}

static void qp_sstream_answer_on(qp_sstream *s, quring_stream stream, uint64_t bytes)
{
    qp_pump_init(&s->pump, stream, bytes);
    s->sending = true;
    if (qp_pump_hurry(&s->pump, s->conn->server->urgent_bytes)) {
        qp_count(&s->conn->worker->urgent, 1);
    }
    qp_sstream_send(s);
}

static void qp_sconn_wait(qp_sconn *conn, qp_sstream *s)
{
    *conn->waiting_end = s;
    conn->waiting_end = &s->next_waiting;
    conn->waiting_count++;
}

static qp_sstream *qp_sconn_wait_no_more(qp_sconn *conn)
{
    qp_sstream *s = conn->waiting;
    conn->waiting = s->next_waiting;
    conn->waiting_end = conn->waiting == NULL ? &conn->waiting : conn->waiting_end;
    conn->waiting_count--;
    return s;
}

/* Opens streams of ours for answers that wait for one, in the order they were asked for. No more at once than there
 * may be bidirectional requests: what a client allows is no bound, and its own streams end with the request. */
static void qp_sconn_open_waiting(qp_sconn *conn)
{
    while (conn->waiting != NULL && conn->answering < conn->server->answers_max) {
        quring_stream stream;
        if (quring_stream_open(&stream, conn->conn, QURING_STREAM_UNI) != QURING_OK) {
            return; /* AGAIN: STREAMS_AVAILABLE follows; anything else: CLOSED does */
        }
        qp_sstream *s = qp_sconn_wait_no_more(conn);
        s->ours = true;
        conn->answering++;
        s->stream = stream;
        (void)quring_stream_set_ctx(stream, s);
        qp_sstream_answer_on(s, stream, s->answer);
    }
}

/* draft 2.3.2: a unidirectional request is answered on a stream of ours, unless it wants nothing. */
static void qp_sconn_answer_uni(qp_sconn *conn, uint64_t bytes)
{
    if (bytes == 0) {
        return;
    }
    qp_sstream *s =
        conn->waiting_count < QP_WAITING_MAX ? qp_sstream_create(conn, (quring_stream){0}) : NULL;
    if (s == NULL) {
        (void)quring_conn_close(conn->conn, QP_APP_REFUSED, "too many unanswered requests");
        return;
    }
    s->answer = bytes;
    qp_sconn_wait(conn, s);
    qp_sconn_open_waiting(conn);
}

/* Datagrams instead of stream bytes, until the client says STOP_SENDING; one such request at a time. */
static void qp_sstream_answer_dgrams(qp_sstream *s, uint64_t request)
{
    qp_sconn *conn = s->conn;
    if (conn->dgram_stream != NULL ||
        qp_dgram_request_start(&conn->dgram_out, conn->conn, request) != QURING_OK) {
        s->dead = true;
        (void)quring_stream_reset(s->stream, QP_APP_REFUSED);
        return;
    }
    conn->dgram_stream = s;
}

/* The request is complete: answer it. One that ended before its header is only ended (draft 2.3.1). */
static void qp_sstream_end_of_request(qp_sstream *s, uint64_t stream_id)
{
    qp_sconn *conn = s->conn;
    bool uni = (stream_id & 2u) != 0; /* RFC 9000 2.1 */
    bool asked = qp_header_is_complete(&s->header);
    uint64_t bytes = asked ? qp_header_value(&s->header) : 0;
    if (asked) {
        qp_count(&conn->worker->requests, 1);
    }
    if (!uni && qp_dgram_is_request(bytes)) {
        qp_sstream_answer_dgrams(s, bytes);
    } else if (uni) {
        qp_sconn_answer_uni(conn, bytes);
    } else {
        qp_sstream_answer_on(s, s->stream, bytes);
    }
}

static void qp_sstream_receive(qp_sstream *s, uint64_t stream_id)
{
    qp_sworker *worker = s->conn->worker;
    uint64_t payload = 0;
    bool fin = false;
    size_t got = QP_SCRATCH_BYTES;
    while (!fin && got == QP_SCRATCH_BYTES) { /* ends: a stream holds at most its window */
        got = 0;
        if (quring_stream_read(s->stream, &got, &fin, worker->scratch, QP_SCRATCH_BYTES) !=
            QURING_OK) {
            break;
        }
        payload += got - qp_header_feed(&s->header, worker->scratch, got);
    }
    qp_count(&worker->bytes_in, payload);
    if (fin && !s->sending) {
        qp_sstream_end_of_request(s, stream_id);
    }
}

/* ---- events ------------------------------------------------------------------------------------ */

/* Of a stream's first event: the client opened it. */
static qp_sstream *qp_server_opened(qp_sconn *conn, const quring_event *ev)
{
    qp_sstream *s = qp_sstream_create(conn, ev->stream);
    if (s == NULL) {
        (void)quring_conn_close(conn->conn, QP_APP_REFUSED, "out of memory");
        return NULL;
    }
    (void)quring_stream_set_ctx(ev->stream, s);
    return s;
}

static void qp_server_closed(const quring_event *ev, qp_sconn *conn)
{
    if (conn == NULL) {
        return; /* never became a connection */
    }
    qp_server *server = conn->server;
    quring_conn_info info;
    if (conn->dgram_out.size > 0 && quring_conn_get_info(ev->conn, &info) == QURING_OK) {
        qp_count(&conn->worker->bytes_out, info.datagrams_acked * conn->dgram_out.size);
    }
    while (conn->streams != NULL) {
        qp_sstream_destroy(conn->streams);
    }
    qp_count(&conn->worker->ended, 1);
    free(conn);
    if (server->wake_fd >= 0) {
        uint64_t one = 1;
        (void)!write(server->wake_fd, &one, sizeof(one));
    }
}

static void qp_server_stream_event(const quring_event *ev, qp_sstream *s)
{
    switch ((int)ev->type) {
    case QURING_EV_STREAM_READABLE:
        qp_sstream_receive(s, ev->stream_id);
        break;
    case QURING_EV_STREAM_WRITABLE:
    case QURING_EV_STREAM_RELEASED:
        qp_sstream_send(s);
        break;
    case QURING_EV_STREAM_RESET: /* the client gave up its request: nothing to answer */
        s->dead = true;
        if ((ev->stream_id & 2u) == 0) {
            (void)quring_stream_reset(s->stream, QP_APP_DONE);
        }
        break;
    case QURING_EV_STREAM_STOPPED:
        s->dead = true;
        if (s->conn->dgram_stream == s) {
            qp_dgram_stop(&s->conn->dgram_out);
            s->conn->dgram_stream =
                NULL; /* the next such request may be here before this stream has gone */
        }
        break;
    case QURING_EV_STREAM_CLOSED: {
        qp_sconn *conn = s->conn;
        qp_sstream_destroy(s);
        qp_sconn_open_waiting(conn);
        break;
    }
    default:
        break;
    }
}

static void qp_server_connected(qp_sconn *conn)
{
    quring_conn_info info;
    if (conn->server->asks_clients && quring_conn_get_info(conn->conn, &info) == QURING_OK &&
        info.peer_verified) {
        qp_count(&conn->worker->client_certs, 1);
    }
}

static void qp_server_event(const quring_event *ev)
{
    qp_sconn *conn = qp_sconn_get(ev);
    if (conn != NULL) {
        qp_qlog_event(conn->qlog, ev);
    }
    if (ev->type == QURING_EV_CLOSED) {
        qp_server_closed(ev, conn);
    } else if (conn == NULL) {
        (void)quring_conn_close(ev->conn, QP_APP_REFUSED, "out of memory");
    } else if (ev->type == QURING_EV_CONNECTED) {
        qp_server_connected(conn);
    } else if (ev->stream.handle != 0) {
        qp_sstream *s = ev->stream_ctx != NULL ? ev->stream_ctx : qp_server_opened(conn, ev);
        if (s != NULL) {
            qp_server_stream_event(ev, s);
        }
    } else if (ev->type == QURING_EV_DATAGRAM_READABLE) {
        qp_count(&conn->worker->bytes_in, qp_dgram_take(&conn->dgram_in, ev->conn));
    } else if (ev->type == QURING_EV_DATAGRAM_WRITABLE) {
        qp_dgram_go_on(&conn->dgram_out);
    } else if (ev->type == QURING_EV_STREAMS_AVAILABLE) {
        qp_sconn_open_waiting(conn);
    }
}

/* ---- life -------------------------------------------------------------------------------------- */

static quring_status qp_server_listen(qp_server *server, const quring_addr *local, uint32_t flags,
                                      quring_error *err)
{
    quring_listen_options options;
    memset(&options, 0, sizeof(options));
    options.local = *local;
    options.tls = server->tls;
    options.on_event = qp_server_event;
    options.ctx = server;
    options.flags = flags;
    if (server->qlog == NULL) { /* which tells of them */
        options.muted_events =
            QURING_EVENT_BIT(QURING_EV_STREAM_OPENED) | QURING_EVENT_BIT(QURING_EV_STREAM_FINISHED);
    }
    if (server->preferred.family != 0 &&
        server->listener_count == 0) { /* of the first, not of both */
        *(server->preferred.family == 6 ? &options.preferred_v6 : &options.preferred_v4) =
            server->preferred;
    }
    quring_status status =
        quring_listen(server->rt, &server->listeners[server->listener_count], &options, err);
    server->listener_count += status == QURING_OK ? 1 : 0;
    return status;
}

static quring_status qp_server_listen_all(qp_server *server, uint16_t *out_port,
                                          const qp_options *options, quring_error *err)
{
    quring_addr local;
    uint32_t flags = (options->retry ? QURING_LISTEN_RETRY : 0u) |
                     (options->zero_rtt ? QURING_LISTEN_ZERO_RTT : 0u);
    quring_status status = quring_addr_parse(
        &local, options->bind != NULL ? options->bind : "127.0.0.1", (uint16_t)options->port, err);
    if (status == QURING_OK && options->preferred != NULL) {
        status =
            quring_addr_parse(&server->preferred, options->preferred, (uint16_t)options->port, err);
    }
    if (status == QURING_OK) {
        status = qp_server_listen(server, &local, flags, err);
    }
    if (status != QURING_OK) {
        return status;
    }
    *out_port = quring_listener_local(server->listeners[0]).port;
    server->is_bound = options->bind != NULL;
    if (server->is_bound) {
        return QURING_OK;
    }
    quring_error ignored;
    status = quring_addr_parse(&local, "[::1]", *out_port, &ignored);
    if (status == QURING_OK) {
        status = qp_server_listen(server, &local, flags, &ignored);
    }
    if (status == QURING_E_ADDR_IN_USE && options->port != 0) {
        *err = ignored;
        return status;
    }
    return QURING_OK; /* a machine without IPv6 is served on 127.0.0.1 */
}

quring_status qp_server_open(qp_server **out, uint16_t *out_port, const qp_options *options,
                             const quring_config *config, int wake_fd, quring_error *err)
{
    qp_server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        memset(err, 0, sizeof(*err));
        return err->status = QURING_E_NOMEM;
    }
    server->tag = QP_TAG_SERVER;
    server->wake_fd = wake_fd;
    server->qlog = options->qlog;
    server->asks_clients = options->client_cert != 0;
    server->urgent_bytes = options->urgent_bytes;
    server->answers_max = options->max_streams;
    quring_status status = qp_tls_server(&server->tls, options, err);
    for (uint32_t i = 0; i < config->workers && status == QURING_OK; i++) {
        server->workers[i].scratch = aligned_alloc(64, QP_SCRATCH_BYTES);
        if (server->workers[i].scratch == NULL) {
            memset(err, 0, sizeof(*err));
            status = err->status = QURING_E_NOMEM;
        }
    }
    if (status == QURING_OK) {
        status = quring_runtime_create(&server->rt, config, err);
    }
    if (status == QURING_OK) {
        status = qp_server_listen_all(server, out_port, options, err);
    }
    if (status != QURING_OK) {
        qp_server_close(server);
        return status;
    }
    *out = server;
    return QURING_OK;
}

void qp_server_totals_get(const qp_server *server, qp_server_totals *out)
{
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < QURING_WORKERS_MAX; i++) {
        const qp_sworker *w = &server->workers[i];
        out->ended += atomic_load_explicit(&w->ended, memory_order_acquire); /* first: never more */
        out->connections += atomic_load_explicit(&w->connections, memory_order_relaxed);
        out->requests += atomic_load_explicit(&w->requests, memory_order_relaxed);
        out->bytes_in += atomic_load_explicit(&w->bytes_in, memory_order_relaxed);
        out->client_certs += atomic_load_explicit(&w->client_certs, memory_order_relaxed);
        out->urgent += atomic_load_explicit(&w->urgent, memory_order_relaxed);
        out->bytes_out += atomic_load_explicit(&w->bytes_out, memory_order_relaxed);
    }
}

void qp_server_host(const qp_server *server, char *out, size_t cap)
{
    char text[64];
    if (!server->is_bound) {
        (void)snprintf(out, cap, "loopback");
        return;
    }
    quring_addr local = quring_listener_local(server->listeners[0]);
    (void)quring_addr_format(&local, text, sizeof(text));
    *strrchr(text, ':') = '\0';
    (void)snprintf(out, cap, "%s", text);
}

quring_runtime *qp_server_runtime(const qp_server *server)
{
    return server->rt;
}

quring_status qp_server_reload(const qp_server *server, const qp_options *options,
                               quring_error *err)
{
    return qp_tls_server_reload(server->tls, options, err);
}

void qp_server_stop(qp_server *server)
{
    if (server->rt == NULL || server->is_stopped) {
        return;
    }
    server->is_stopped = true;
    quring_runtime_drain(server->rt);
    for (size_t i = 0; i < server->listener_count; i++) {
        quring_listener_close(server->listeners[i]);
    }
    quring_runtime_stop(server->rt, QP_APP_DONE, QP_STOP_NS);
}

void qp_server_close(qp_server *server)
{
    if (server == NULL) {
        return;
    }
    qp_server_stop(server);
    if (server->rt != NULL) {
        quring_runtime_destroy(server->rt);
    }
    if (server->tls != NULL) {
        quring_tls_release(server->tls);
    }
    for (size_t i = 0; i < QURING_WORKERS_MAX; i++) {
        free(server->workers[i].scratch);
        while (server->workers[i].free != NULL) {
            qp_sstream *s = server->workers[i].free;
            server->workers[i].free = s->next;
            free(s);
        }
    }
    free(server);
}

#include "tools/quicperf/sockets/server.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "quring/runtime.h"

#include "tools/quicperf/report.h"
#include "tools/quicperf/setup.h"
#include "tools/quicperf/sockets/conn.h"
#include "tools/quicperf/sockets/lib.h"
#include "tools/quicperf/sockets/serve.h"
#include "tools/quicperf/units.h"

#define QP_PEERS_MAX   4096u             /* threads; more clients are refused */
#define QP_STACK_BYTES (256u * 1024u)    /* of a connection's thread */
#define QP_LEAVE_NS    (2 * QP_NS_PER_S) /* for the threads to leave at the end */

typedef struct qp_sserver qp_sserver;

typedef struct qp_speer {
    struct qp_speer *next;
    struct qp_speer *prev;
    qp_sserver *server;
    int fd;
} qp_speer;

struct qp_sserver {
    qp_lib lib;
    qp_identity identity;
    uint32_t max_streams;
    int listener;
    int wake_fd;
    pthread_t acceptor;
    qp_serve_totals totals;

    pthread_mutex_t lock;
    qp_speer *peers;
    uint32_t peer_count;
};

static void qp_speer_end(qp_speer *peer)
{
    qp_sserver *server = peer->server;
    uint64_t one = 1;
    (void)pthread_mutex_lock(&server->lock);
    *(peer->prev == NULL ? &server->peers : &peer->prev->next) = peer->next;
    if (peer->next != NULL) {
        peer->next->prev = peer->prev;
    }
    (void)server->lib.close(peer->fd);
    free(peer);
    atomic_fetch_add(&server->totals.ended, 1);
    (void)!write(server->wake_fd, &one, sizeof(one));
    server->peer_count--; /* the last touch: the server may go now */
    (void)pthread_mutex_unlock(&server->lock);
}

static void *qp_speer_main(void *ctx)
{
    qp_speer *peer = ctx;
    qp_sserver *server = peer->server;
    if (server->lib.server_handshake(peer->fd, server->identity.key_file,
                                     server->identity.cert_file) == 0) {
        atomic_fetch_add(&server->totals.connections, 1);
        qp_serve(&server->lib, peer->fd, server->max_streams, &server->totals);
    } else {
        atomic_fetch_add(&server->totals.failed, 1);
    }
    qp_speer_end(peer);
    return NULL;
}

/* A thread of its own for a connection; false: there is none, or no memory. */
static bool qp_speer_begin(qp_sserver *server, int fd)
{
    qp_speer *peer = calloc(1, sizeof(*peer));
    pthread_attr_t attr;
    pthread_t thread;
    if (peer == NULL) {
        return false;
    }
    peer->server = server;
    peer->fd = fd;
    (void)pthread_mutex_lock(&server->lock);
    bool room = server->peer_count < QP_PEERS_MAX;
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attr, QP_STACK_BYTES);
    room = room && pthread_create(&thread, &attr, qp_speer_main, peer) == 0;
    (void)pthread_attr_destroy(&attr);
    if (room) {
        peer->next = server->peers;
        if (peer->next != NULL) {
            peer->next->prev = peer;
        }
        server->peers = peer;
        server->peer_count++;
    } else {
        free(peer);
    }
    (void)pthread_mutex_unlock(&server->lock);
    return room;
}

/* Until the listener is shut down; without descriptors or memory it tries again. */
static void *qp_sserver_accept(void *ctx)
{
    qp_sserver *server = ctx;
    struct timespec pause = {.tv_nsec = 10000000};
    for (;;) {
        int fd = server->lib.accept(server->listener, NULL, NULL);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == EINTR)) {
            (void)nanosleep(&pause, NULL);
        } else if (fd < 0) {
            return NULL;
        } else if (!qp_speer_begin(server, fd)) {
            (void)server->lib.close(fd);
        }
    }
}

/* ---- the main thread --------------------------------------------------------------------------------- */

/* What the last interval line has seen. */
typedef struct qp_swatch {
    uint64_t at_ns;
    uint64_t bytes;
    uint64_t requests;
} qp_swatch;

static uint64_t qp_sserver_bytes(const qp_sserver *server)
{
    return atomic_load(&server->totals.bytes_in) + atomic_load(&server->totals.bytes_out);
}

/* One line about the interval that ends now; none when nothing happened in it. */
static void qp_sserver_watch(qp_swatch *last, qp_out *out, const qp_sserver *server)
{
    char rate[32];
    qp_swatch now = {quring_now_ns(), qp_sserver_bytes(server),
                     atomic_load(&server->totals.requests)};
    double seconds = (double)(now.at_ns - last->at_ns) / 1e9;
    if (now.bytes != last->bytes || now.requests != last->requests) {
        double bits = (double)(now.bytes - last->bytes) * 8 / seconds;
        qp_out_line(out, "moved %s  %.0f req/s", qp_format_rate(rate, sizeof(rate), bits),
                    (double)(now.requests - last->requests) / seconds);
    }
    *last = now;
}

static void qp_sserver_loop(qp_sserver *server, const qp_options *o, qp_out *out, int signal_fd)
{
    qp_swatch last = {.at_ns = quring_now_ns()};
    for (;;) {
        struct pollfd fds[2] = {{.fd = server->wake_fd, .events = POLLIN},
                                {.fd = signal_fd, .events = POLLIN}};
        uint64_t count;
        int wait_ms = o->interval_ns == 0 ? -1 : (int)((o->interval_ns + 999999) / 1000000);
        int ready = poll(fds, 2, wait_ms);
        if (ready > 0 && (fds[1].revents & POLLIN) != 0 && qp_signals_take(signal_fd) != 0) {
            return;
        }
        if (ready > 0 && (fds[0].revents & POLLIN) != 0) {
            (void)!read(server->wake_fd, &count, sizeof(count));
            if (o->one && atomic_load(&server->totals.ended) > 0) {
                return;
            }
        }
        if (o->interval_ns != 0 && quring_now_ns() - last.at_ns >= o->interval_ns) {
            qp_sserver_watch(&last, out, server);
        }
    }
}

/* Closes every connection, and waits a while for their threads to leave. */
static void qp_sserver_stop(qp_sserver *server)
{
    struct timespec pause = {.tv_nsec = 1000000};
    uint64_t until = quring_now_ns() + QP_LEAVE_NS;
    bool empty = false;
    (void)server->lib.shutdown(server->listener, SHUT_RD);
    (void)pthread_join(server->acceptor, NULL);
    (void)server->lib.close(server->listener);
    (void)pthread_mutex_lock(&server->lock);
    for (const qp_speer *peer = server->peers; peer != NULL; peer = peer->next) {
        (void)server->lib.shutdown(peer->fd, SHUT_RDWR);
    }
    (void)pthread_mutex_unlock(&server->lock);
    while (!empty && quring_now_ns() < until) {
        (void)nanosleep(&pause, NULL);
        (void)pthread_mutex_lock(&server->lock);
        empty = server->peer_count == 0;
        (void)pthread_mutex_unlock(&server->lock);
    }
}

static bool qp_sserver_open(qp_sserver *server, const qp_options *o, uint16_t *port, char *why,
                            size_t cap)
{
    quring_error err;
    quring_addr addr;
    memset(&err, 0, sizeof(err));
    if (quring_addr_parse(&addr, o->bind != NULL ? o->bind : "127.0.0.1", (uint16_t)o->port,
                          &err) != QURING_OK) {
        (void)snprintf(why, cap, "cannot serve: %.200s", err.message);
        return false;
    }
    server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->wake_fd < 0) {
        (void)snprintf(why, cap, "cannot serve: %s", strerror(errno));
        return false;
    }
    server->max_streams = o->max_streams;
    if (!qp_identity_open(&server->identity, o, why, cap)) {
        return false;
    }
    server->listener = qp_sock_listen(&server->lib, o, &addr, port, why, cap);
    if (server->listener >= 0 &&
        pthread_create(&server->acceptor, NULL, qp_sserver_accept, server) != 0) {
        (void)snprintf(why, cap, "cannot serve: no thread");
        return false;
    }
    return server->listener >= 0;
}

static void qp_sserver_result(qp_result *r, const qp_sserver *server, uint64_t began_ns)
{
    memset(r, 0, sizeof(*r));
    r->mode = "server";
    r->api = "sockets";
    r->seconds = (double)(quring_now_ns() - began_ns) / 1e9;
    r->bytes = qp_sserver_bytes(server);
    r->requests = atomic_load(&server->totals.requests);
    r->connections = atomic_load(&server->totals.connections);
    r->errors = atomic_load(&server->totals.failed);
    r->handshakes_per_s = r->seconds > 0 ? (double)r->connections / r->seconds : 0;
    r->cpu_local_s = qp_process_cpu_s();
    r->cpu_remote_s = QP_UNKNOWN_S;
}

int qp_sock_serve(const qp_options *options)
{
    static qp_sserver server; /* threads that do not leave in time may still look at it */
    qp_json_file file;
    qp_result result;
    qp_out out;
    char why[256];
    uint16_t port = 0;
    if (!qp_lib_load(&server.lib, options, why, sizeof(why))) {
        (void)qp_fail("%s", why);
        return QP_EXIT_USAGE;
    }
    if (!qp_json_file_open(&file, options->json)) {
        return QP_EXIT_FAILED;
    }
    qp_out_init(&out, options);
    int signal_fd = qp_signals_open(false);
    uint64_t began_ns = quring_now_ns();
    (void)pthread_mutex_init(&server.lock, NULL);
    if (signal_fd < 0 || !qp_sserver_open(&server, options, &port, why, sizeof(why))) {
        qp_json_file_drop(&file);
        return qp_fail("%s", signal_fd < 0 ? "cannot watch for signals" : why);
    }
    qp_out_line(&out, "listening on %s port %u  (QUIC sockets%s)",
                options->bind != NULL ? options->bind : "127.0.0.1", port,
                options->cert == NULL ? ", self-signed certificate" : "");
    qp_sserver_loop(&server, options, &out, signal_fd);
    qp_signals_exit_on_next();
    qp_sserver_result(&result, &server, began_ns);
    qp_sserver_stop(&server);
    qp_identity_close(&server.identity);
    qp_report_server(&out, &result);
    return qp_report_write(&file, &result) ? QP_EXIT_OK : QP_EXIT_FAILED;
}

#define _GNU_SOURCE
#include "tools/quicperf/tcp/server.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/quicperf/proto.h"
#include "tools/quicperf/tcp/link.h"
#include "tools/quicperf/tcp/thread.h"

#define QP_LISTENERS_MAX 2u /* both loopback addresses */
#define QP_EVENTS_MAX    64
#define QP_PEERS_MAX     4096u              /* of one worker; more are closed at once */
#define QP_TURN_BYTES    (4u * 1024 * 1024) /* of one connection before the others get a turn */

typedef enum qp_peer_state {
    QP_PEER_SHAKES,
    QP_PEER_ASKS,
    QP_PEER_SENDS,
    QP_PEER_READS
} qp_peer_state;

typedef struct qp_peer qp_peer;
typedef struct qp_tcp_worker qp_tcp_worker;

struct qp_peer {
    qp_tcp_link link;
    qp_tcp_worker *worker;
    qp_peer *next;
    qp_peer *prev;
    qp_peer_state state;
    uint32_t events;
    uint8_t header[QP_TCP_HEADER_LEN];
    uint8_t header_len;
    uint64_t payload_left;
    uint64_t answer_left;
};

/* As qp_tcp_server_totals; only the worker writes them. */
typedef struct qp_tcp_counts {
    _Atomic uint64_t connections;
    _Atomic uint64_t failed;
    _Atomic uint64_t ended;
    _Atomic uint64_t requests;
    _Atomic uint64_t bytes_in;
    _Atomic uint64_t bytes_out;
    _Atomic uint64_t retransmits;
} qp_tcp_counts;

struct qp_tcp_worker {
    qp_tcp_server *server;
    pthread_t thread;
    double cpu_s; /* once it has ended: then its clock has gone */
    _Atomic bool has_ended;
    qp_tcp_counts counts;
    bool started;
    int epoll;
    int listeners[QP_LISTENERS_MAX];
    uint32_t listener_events[QP_LISTENERS_MAX];
    qp_peer *list;
    uint32_t count; /* of the list */
    uint8_t scratch[QP_TCP_BUFFER];
};

struct qp_tcp_server {
    qp_tcp_tls *tls;
    int stop_fd;
    int wake_fd;
    uint32_t worker_count;
    uint32_t peers_max; /* of one worker */
    qp_tcp_worker *workers;
    uint8_t pattern[QP_TCP_BUFFER];
};

/* ---- counting ------------------------------------------------------------------------------------ */

/* Who sees one sees what was counted before. */
static void qp_tcp_count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
                          memory_order_release);
}

/* What is known of a connection when it ends. What was written and not acknowledged was not delivered. */
static void qp_peer_count_end(const qp_peer *peer)
{
    qp_tcp_counts *counts = &peer->worker->counts;
    uint64_t one = 1;
    if (peer->state == QP_PEER_SHAKES) {
        qp_tcp_count(&counts->failed, 1);
        return;
    }
    qp_tcp_facts facts;
    qp_tcp_link_facts(&peer->link, &facts);
    uint64_t acked = qp_tcp_link_acked(&peer->link);
    qp_tcp_count(&counts->bytes_out,
                 (acked < peer->link.written ? acked : peer->link.written) - peer->link.written);
    qp_tcp_count(&counts->retransmits, facts.retransmits);
    qp_tcp_count(&counts->ended, 1);
    if (peer->worker->server->wake_fd >= 0) {
        (void)!write(peer->worker->server->wake_fd, &one, sizeof(one));
    }
}

/* ---- one connection ------------------------------------------------------------------------------ */

static void qp_peer_free(qp_peer *peer)
{
    qp_peer_count_end(peer);
    if (peer->prev != NULL) {
        peer->prev->next = peer->next;
    } else {
        peer->worker->list = peer->next;
    }
    if (peer->next != NULL) {
        peer->next->prev = peer->prev;
    }
    peer->worker->count--;
    qp_tcp_link_close(&peer->link);
    free(peer);
}

static uint64_t qp_load_be64(const uint8_t *at)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) {
        value = value << 8 | at[i];
    }
    return value;
}

/* Whether the request is complete, for it is to be answered then. */
static void qp_peer_asked(qp_peer *peer)
{
    bool whole = peer->payload_left == 0;
    peer->state = whole ? QP_PEER_SENDS : QP_PEER_READS;
    qp_tcp_count(&peer->worker->counts.requests, whole ? 1 : 0);
}

static qp_tcp_rc qp_peer_ask(qp_peer *peer)
{
    size_t got = 0;
    qp_tcp_rc rc = qp_tcp_link_read(&peer->link, &got, peer->header + peer->header_len,
                                    QP_TCP_HEADER_LEN - peer->header_len);
    peer->header_len = (uint8_t)(peer->header_len + got);
    if (peer->header_len == QP_TCP_HEADER_LEN) {
        peer->answer_left = qp_load_be64(peer->header);
        peer->payload_left = qp_load_be64(peer->header + 8);
        peer->header_len = 0;
        qp_peer_asked(peer);
    }
    return rc;
}

/* Payload is read and forgotten. */
static qp_tcp_rc qp_peer_read(qp_peer *peer, size_t *moved)
{
    size_t cap = peer->payload_left < QP_TCP_BUFFER ? (size_t)peer->payload_left : QP_TCP_BUFFER;
    size_t got = 0;
    qp_tcp_rc rc = qp_tcp_link_read(&peer->link, &got, peer->worker->scratch, cap);
    *moved += got;
    qp_tcp_count(&peer->worker->counts.bytes_in, got);
    if (peer->payload_left != QP_ENDLESS) {
        peer->payload_left -= got;
        qp_peer_asked(peer);
    }
    return rc;
}

static qp_tcp_rc qp_peer_send(qp_peer *peer, size_t *moved)
{
    size_t len = peer->answer_left < QP_TCP_BUFFER ? (size_t)peer->answer_left : QP_TCP_BUFFER;
    size_t taken = 0;
    qp_tcp_rc rc = qp_tcp_link_write(&peer->link, &taken, peer->worker->server->pattern, len);
    *moved += taken;
    qp_tcp_count(&peer->worker->counts.bytes_out, taken);
    peer->answer_left -= peer->answer_left != QP_ENDLESS ? taken : 0;
    if (rc == QP_TCP_OK && peer->answer_left == 0) {
        rc = qp_tcp_link_flush(&peer->link);
        peer->state = rc == QP_TCP_OK ? QP_PEER_ASKS : QP_PEER_SENDS;
    }
    return rc;
}

/* As far as the socket lets it, or a turn's worth. */
static void qp_peer_step(qp_peer *peer)
{
    size_t moved = 0;
    qp_tcp_rc rc = QP_TCP_OK;
    while (rc == QP_TCP_OK && moved < QP_TURN_BYTES) { /* each turn moves bytes or the state */
        switch (peer->state) {
        case QP_PEER_SHAKES:
            rc = qp_tcp_link_handshake(&peer->link);
            peer->state = rc == QP_TCP_OK ? QP_PEER_ASKS : QP_PEER_SHAKES;
            qp_tcp_count(&peer->worker->counts.connections, rc == QP_TCP_OK ? 1 : 0);
            break;
        case QP_PEER_ASKS:
            rc = qp_peer_ask(peer);
            moved += QP_TCP_HEADER_LEN;
            break;
        case QP_PEER_READS:
            rc = qp_peer_read(peer, &moved);
            break;
        case QP_PEER_SENDS:
            rc = qp_peer_send(peer, &moved);
            break;
        }
    }
    /* OK: the turn is over, not the work; what TLS has buffered would not make the socket readable. */
    bool sends = peer->link.wants_write || rc == QP_TCP_OK;
    if ((rc != QP_TCP_OK && rc != QP_TCP_AGAIN) ||
        !qp_epoll_set(peer->worker->epoll, peer->link.fd, &peer->events, sends ? EPOLLOUT : EPOLLIN,
                      peer)) {
        qp_peer_free(peer);
    }
}

static void qp_peer_accept(qp_tcp_worker *w, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    qp_peer *peer = fd < 0 || w->count >= w->server->peers_max ? NULL : calloc(1, sizeof(*peer));
    if (peer == NULL || !qp_tcp_link_open(&peer->link, w->server->tls, fd, NULL)) {
        if (peer == NULL && fd >= 0) {
            (void)close(fd);
        }
        free(peer);
        return;
    }
    peer->worker = w;
    peer->next = w->list;
    if (peer->next != NULL) {
        peer->next->prev = peer;
    }
    w->list = peer;
    w->count++;
    qp_peer_step(peer);
}

/* ---- workers ------------------------------------------------------------------------------------- */

/* Until it is told to stop. */
static void qp_tcp_worker_serve(qp_tcp_worker *w)
{
    struct epoll_event events[QP_EVENTS_MAX];
    for (;;) {
        int count = epoll_wait(w->epoll, events, QP_EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            void *who = events[i].data.ptr;
            if (who == w->server) {
                return;
            }
            if (who == &w->listeners[0] || who == &w->listeners[1]) {
                qp_peer_accept(w, *(int *)who);
            } else {
                qp_peer_step(who);
            }
        }
        if (count < 0 && errno != EINTR) {
            return;
        }
    }
}

static void *qp_tcp_worker_main(void *ctx)
{
    qp_tcp_worker *w = ctx;
    qp_tcp_worker_serve(w);
    w->cpu_s = qp_thread_cpu_s(pthread_self());
    atomic_store(&w->has_ended, true);
    return NULL;
}

static int qp_listen(const quring_addr *addr, const char *cc)
{
    struct sockaddr_storage at;
    socklen_t len = qp_sockaddr_from(&at, addr);
    int one = 1;
    int fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == 0 && qp_tcp_cc_set(fd, cc) &&
        bind(fd, (const struct sockaddr *)&at, len) == 0 && listen(fd, SOMAXCONN) == 0) {
        return fd;
    }
    int why = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    errno = why;
    return -1;
}

/* As the QUIC server: -B, or both loopback addresses, of which IPv6's may be missing. */
static uint32_t qp_listen_addrs(quring_addr out[QP_LISTENERS_MAX], const qp_options *o,
                                uint16_t port)
{
    if (o->bind != NULL) {
        return quring_addr_parse(&out[0], o->bind, port, NULL) == QURING_OK ? 1 : 0;
    }
    return quring_addr_parse(&out[0], "127.0.0.1", port, NULL) == QURING_OK &&
                   quring_addr_parse(&out[1], "::1", port, NULL) == QURING_OK
               ? 2
               : 0;
}

static bool qp_tcp_worker_open(qp_tcp_worker *w, const qp_options *o, uint16_t port)
{
    quring_addr addrs[QP_LISTENERS_MAX];
    struct epoll_event stop = {.events = EPOLLIN, .data = {.ptr = w->server}};
    uint32_t count = qp_listen_addrs(addrs, o, port);
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (w->epoll < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->server->stop_fd, &stop) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        addrs[i].port = port;
        w->listeners[i] = qp_listen(&addrs[i], o->tcp_cc);
        if (w->listeners[i] < 0 && i > 0) {
            continue;
        }
        if (w->listeners[i] < 0 || !qp_epoll_set(w->epoll, w->listeners[i], &w->listener_events[i],
                                                 EPOLLIN, &w->listeners[i])) {
            return false;
        }
    }
    return count > 0;
}

/* Half of the descriptors there are, so that accept never runs out of them: a listener that cannot accept
 * stays ready and would keep its thread busy. */
static uint32_t qp_peers_max(uint32_t workers)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) {
        return QP_PEERS_MAX;
    }
    rlim_t share = files.rlim_cur / 2 / workers;
    return share < QP_PEERS_MAX ? (uint32_t)share : QP_PEERS_MAX;
}

qp_tcp_server *qp_tcp_server_open(const qp_options *options, uint16_t port, int wake_fd,
                                  char *error, size_t cap)
{
    qp_tcp_server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        (void)snprintf(error, cap, "out of memory");
        return NULL;
    }
    server->peers_max = qp_peers_max(options->workers);
    server->wake_fd = wake_fd;
    server->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    server->workers = calloc(options->workers, sizeof(server->workers[0]));
    server->tls = qp_tcp_cc_check(options->tcp_cc, error, cap)
                      ? qp_tcp_tls_create(options, NULL, error, cap)
                      : NULL;
    if (server->tls == NULL) {
        qp_tcp_server_close(server);
        return NULL;
    }
    bool ok = server->stop_fd >= 0 && server->workers != NULL;
    for (uint32_t i = 0; ok && i < options->workers; i++) {
        qp_tcp_worker *w = &server->workers[i];
        w->server = server;
        w->epoll = w->listeners[0] = w->listeners[1] = -1;
        server->worker_count++;
        errno = 0;
        ok = qp_tcp_worker_open(w, options, port) &&
             qp_thread_start(&w->thread, options, i, qp_tcp_worker_main, w);
        w->started = ok;
    }
    if (!ok) {
        (void)snprintf(error, cap, "cannot listen on TCP port %u: %s", port, strerror(errno));
        qp_tcp_server_close(server);
        return NULL;
    }
    return server;
}

void qp_tcp_server_reload(const qp_tcp_server *server, qp_tcp_tls *fresh)
{
    qp_tcp_tls_swap(server->tls, fresh);
}

double qp_tcp_server_cpu_s(const qp_tcp_server *server)
{
    double seconds = 0;
    for (uint32_t i = 0; i < server->worker_count; i++) {
        const qp_tcp_worker *w = &server->workers[i];
        seconds += atomic_load(&w->has_ended) ? w->cpu_s : qp_thread_cpu_s(w->thread);
    }
    return seconds;
}

void qp_tcp_server_totals_get(const qp_tcp_server *server, qp_tcp_server_totals *out)
{
    memset(out, 0, sizeof(*out));
    for (uint32_t i = 0; i < server->worker_count; i++) {
        const qp_tcp_counts *c = &server->workers[i].counts;
        out->ended += atomic_load(&c->ended); /* first: never more than connections */
        out->connections += atomic_load(&c->connections);
        out->failed += atomic_load(&c->failed);
        out->requests += atomic_load(&c->requests);
        out->bytes_in += atomic_load(&c->bytes_in);
        out->bytes_out += atomic_load(&c->bytes_out);
        out->retransmits += atomic_load(&c->retransmits);
    }
}

static void qp_tcp_worker_stop(qp_tcp_worker *w)
{
    if (w->started) {
        (void)pthread_join(w->thread, NULL);
        w->started = false;
    }
    while (w->list != NULL) {
        qp_peer_free(w->list);
    }
    for (uint32_t i = 0; i < QP_LISTENERS_MAX; i++) {
        if (w->listeners[i] >= 0) {
            (void)close(w->listeners[i]);
        }
        w->listeners[i] = -1;
    }
    if (w->epoll >= 0) {
        (void)close(w->epoll);
    }
    w->epoll = -1;
}

void qp_tcp_server_stop(qp_tcp_server *server)
{
    uint64_t one = 1;
    if (server->stop_fd >= 0) {
        (void)!write(server->stop_fd, &one, sizeof(one));
    }
    for (uint32_t i = 0; i < server->worker_count; i++) {
        qp_tcp_worker_stop(&server->workers[i]);
    }
}

void qp_tcp_server_close(qp_tcp_server *server)
{
    if (server == NULL) {
        return;
    }
    qp_tcp_server_stop(server);
    if (server->stop_fd >= 0) {
        (void)close(server->stop_fd);
    }
    qp_tcp_tls_free(server->tls);
    free(server->workers);
    free(server);
}

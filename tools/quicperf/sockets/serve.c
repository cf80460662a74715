#define QUIC_NO_GNUTLS
#include "tools/quicperf/sockets/serve.h"

#include <netinet/quic.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tools/quicperf/proto.h"
#include "tools/quicperf/sockets/conn.h"

/* One request, from its first byte until its answer is handed over. */
typedef struct qp_request {
    struct qp_request *next;
    uint64_t stream;
    qp_header header;
    uint64_t left; /* of the answer */
} qp_request;

typedef struct qp_served {
    const qp_lib *lib;
    int fd;
    qp_serve_totals *totals;
    qp_request *asking; /* not ended yet; as many as the client may have streams */
    uint64_t next_uni;  /* stream of ours for the next answer to a unidirectional request */

    pthread_mutex_t lock;
    pthread_cond_t more;
    pthread_t sender;
    bool has_sender;
    bool over;
    qp_request *sending; /* a ring: its last one; lock */
} qp_served;

static const uint8_t qp_serve_pattern[QP_MESSAGE_BYTES] = {'q', 'p'};

/* ---- sending --------------------------------------------------------------------------------------- */

/* One message of an answer. Returns whether more is to come. */
static bool qp_serve_message(qp_served *s, qp_request *r)
{
    size_t len = r->left < QP_MESSAGE_BYTES ? (size_t)r->left : QP_MESSAGE_BYTES;
    uint32_t flags = len == r->left ? QUIC_STREAM_FLAG_FIN : 0;
    if ((r->stream & QUIC_STREAM_TYPE_UNI_MASK) != 0) {
        flags |= QUIC_STREAM_FLAG_UNI;
    }
    ssize_t sent = s->lib->send(s->fd, qp_serve_pattern, len, r->stream, flags);
    if (sent < 0) {
        return false; /* STOP_SENDING, or the end of the connection, which the receiver sees */
    }
    atomic_fetch_add_explicit(&s->totals->bytes_out, (uint64_t)sent, memory_order_relaxed);
    r->left -= r->left != QP_ENDLESS ? (uint64_t)sent : 0;
    return (size_t)sent < len || (flags & QUIC_STREAM_FLAG_FIN) == 0;
}

/* The next answer of the ring; NULL: no more will come. */
static qp_request *qp_serve_take(qp_served *s)
{
    (void)pthread_mutex_lock(&s->lock);
    while (s->sending == NULL && !s->over) {
        (void)pthread_cond_wait(&s->more, &s->lock);
    }
    qp_request *r = s->over ? NULL : s->sending->next;
    if (r != NULL) {
        if (r == s->sending) {
            s->sending = NULL;
        } else {
            s->sending->next = r->next;
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
    return r;
}

static void qp_serve_put(qp_served *s, qp_request *r)
{
    (void)pthread_mutex_lock(&s->lock);
    r->next = s->sending != NULL ? s->sending->next : r;
    if (s->sending != NULL) {
        s->sending->next = r;
    }
    s->sending = r;
    (void)pthread_cond_signal(&s->more);
    (void)pthread_mutex_unlock(&s->lock);
}

static void *qp_serve_sender(void *ctx)
{
    qp_served *s = ctx;
    qp_request *r;
    while ((r = qp_serve_take(s)) != NULL) {
        if (qp_serve_message(s, r)) {
            qp_serve_put(s, r);
        } else {
            free(r);
        }
    }
    return NULL;
}

/* ---- receiving ------------------------------------------------------------------------------------- */

static qp_request *qp_serve_find(qp_served *s, uint64_t stream)
{
    for (qp_request *r = s->asking; r != NULL; r = r->next) {
        if (r->stream == stream) {
            return r;
        }
    }
    qp_request *r = calloc(1, sizeof(*r));
    if (r != NULL) {
        r->stream = stream;
        r->next = s->asking;
        s->asking = r;
    }
    return r;
}

/* Opens a stream of ours for the answer to a unidirectional request; draft 2.3.2. */
static bool qp_serve_open_uni(qp_served *s, qp_request *r)
{
    r->stream = s->next_uni;
    s->next_uni += 4;
    return s->lib->send(s->fd, qp_serve_pattern, 0, r->stream,
                        QUIC_STREAM_FLAG_NEW | QUIC_STREAM_FLAG_UNI) >= 0;
}

/* The request is whole. */
static void qp_serve_answer(qp_served *s, qp_request *r)
{
    for (qp_request **at = &s->asking; *at != NULL; at = &(*at)->next) {
        if (*at == r) {
            *at = r->next;
            break;
        }
    }
    bool uni = (r->stream & QUIC_STREAM_TYPE_UNI_MASK) != 0;
    bool asked = qp_header_is_complete(&r->header);
    r->left = asked ? qp_header_value(&r->header) : 0;
    if (asked) {
        atomic_fetch_add_explicit(&s->totals->requests, 1, memory_order_relaxed);
    }
    if (uni && (r->left == 0 || !qp_serve_open_uni(s, r))) {
        free(r);
        return;
    }
    if (r->left <= QP_MESSAGE_BYTES) {
        while (qp_serve_message(s, r)) { /* ends: each turn sends some, or fails */
        }
        free(r);
        return;
    }
    s->has_sender = s->has_sender || pthread_create(&s->sender, NULL, qp_serve_sender, s) == 0;
    if (s->has_sender) {
        qp_serve_put(s, r);
    } else {
        free(r);
    }
}

void qp_serve(const qp_lib *lib, int fd, qp_serve_totals *totals)
{
    qp_served s = {.lib = lib, .fd = fd, .totals = totals, .next_uni = 3};
    uint8_t *buf = malloc(QP_MESSAGE_BYTES);
    uint64_t stream = 0;
    uint32_t flags = 0;
    ssize_t got;
    (void)pthread_mutex_init(&s.lock, NULL);
    (void)pthread_cond_init(&s.more, NULL);
    while (buf != NULL && (got = lib->recv(fd, buf, QP_MESSAGE_BYTES, &stream, &flags)) >= 0) {
        qp_request *r = qp_serve_find(&s, stream);
        if (r == NULL) {
            break;
        }
        size_t payload = (size_t)got - qp_header_feed(&r->header, buf, (size_t)got);
        atomic_fetch_add_explicit(&totals->bytes_in, payload, memory_order_relaxed);
        if ((flags & QUIC_STREAM_FLAG_FIN) != 0) {
            qp_serve_answer(&s, r);
        }
        flags = 0;
    }
    (void)lib->shutdown(fd, SHUT_RDWR); /* the sender may wait for room */
    (void)pthread_mutex_lock(&s.lock);
    s.over = true;
    (void)pthread_cond_signal(&s.more);
    (void)pthread_mutex_unlock(&s.lock);
    if (s.has_sender) {
        (void)pthread_join(s.sender, NULL);
    }
    while (s.asking != NULL) {
        qp_request *r = s.asking;
        s.asking = r->next;
        free(r);
    }
    while (s.sending != NULL) {
        qp_request *r = s.sending->next;
        s.sending->next = r->next;
        s.sending = r == s.sending ? NULL : s.sending;
        free(r);
    }
    free(buf);
    (void)pthread_cond_destroy(&s.more);
    (void)pthread_mutex_destroy(&s.lock);
}

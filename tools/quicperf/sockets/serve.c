#define QUIC_NO_GNUTLS
#include "tools/quicperf/sockets/serve.h"

#include <errno.h>
#include <netinet/quic.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/quicperf/proto.h"
#include "tools/quicperf/sockets/conn.h"

#define QP_OPEN_AGAIN_NS 5000000u /* when the client allows no stream of ours */

/* One request, from its first byte until its answer is handed over. */
typedef struct qp_request {
    struct qp_request *next;
    uint64_t stream;
    qp_header header;
    uint64_t left; /* of the answer */
} qp_request;

/* A ring, by its last one. */
typedef struct qp_queue {
    qp_request *last;
    uint32_t count;
} qp_queue;

typedef struct qp_served {
    const qp_lib *lib;
    int fd;
    uint32_t max_streams;
    qp_serve_totals *totals;
    qp_request *asking; /* not ended yet; the one that was heard last is the first */
    uint32_t asking_count;

    uint64_t
        next_uni; /* the sender's: stream of ours for the next answer to a unidirectional request */
    uint32_t answering; /* the sender's: streams of ours */

    pthread_mutex_t lock;
    pthread_cond_t more;
    pthread_t sender;
    bool has_sender;
    bool over;        /* lock */
    qp_queue sending; /* lock */
    qp_queue waiting; /* for a stream of ours; lock */
} qp_served;

static const uint8_t qp_serve_pattern[QP_MESSAGE_BYTES] = {'q', 'p'};

static void qp_queue_push(qp_queue *queue, qp_request *r)
{
    r->next = queue->last != NULL ? queue->last->next : r;
    if (queue->last != NULL) {
        queue->last->next = r;
    }
    queue->last = r;
    queue->count++;
}

static qp_request *qp_queue_pop(qp_queue *queue)
{
    qp_request *r = queue->last != NULL ? queue->last->next : NULL;
    if (r == NULL) {
        return NULL;
    }
    if (r == queue->last) {
        queue->last = NULL;
    } else {
        queue->last->next = r->next;
    }
    queue->count--;
    return r;
}

/* Back where it was popped from. */
static void qp_queue_unpop(qp_queue *queue, qp_request *r)
{
    qp_request *last = queue->last;
    qp_queue_push(queue, r);
    queue->last = last != NULL ? last : r;
}

static void qp_queue_free(qp_queue *queue)
{
    qp_request *r;
    while ((r = qp_queue_pop(queue)) != NULL) {
        free(r);
    }
}

/* ---- sending --------------------------------------------------------------------------------------- */

static bool qp_serve_is_uni(uint64_t stream)
{
    return (stream & QUIC_STREAM_TYPE_UNI_MASK) != 0;
}

typedef enum qp_sent {
    QP_SENT_SOME,
    QP_SENT_ALL, /* or no more will be: STOP_SENDING, or the end of the connection, which the receiver sees */
    QP_SENT_LATER /* the client allows no stream of ours now */
} qp_sent;

/* One message of an answer; the first one on a stream of ours opens it. */
static qp_sent qp_serve_message(qp_served *s, qp_request *r, bool opens)
{
    size_t len = r->left < QP_MESSAGE_BYTES ? (size_t)r->left : QP_MESSAGE_BYTES;
    uint32_t flags = len == r->left ? QUIC_STREAM_FLAG_FIN : 0;
    if (qp_serve_is_uni(r->stream)) {
        flags |= QUIC_STREAM_FLAG_UNI;
    }
    if (opens) {
        flags |= QUIC_STREAM_FLAG_NEW | QUIC_STREAM_FLAG_ASYNC;
    }
    ssize_t sent = s->lib->send(s->fd, qp_serve_pattern, len, r->stream, flags);
    if (sent < 0) {
        return opens && errno == EAGAIN ? QP_SENT_LATER : QP_SENT_ALL;
    }
    atomic_fetch_add_explicit(&s->totals->bytes_out, (uint64_t)sent, memory_order_relaxed);
    r->left -= r->left != QP_ENDLESS ? (uint64_t)sent : 0;
    return (size_t)sent < len || (flags & QUIC_STREAM_FLAG_FIN) == 0 ? QP_SENT_SOME : QP_SENT_ALL;
}

static void qp_serve_put(qp_served *s, qp_queue *queue, qp_request *r)
{
    (void)pthread_mutex_lock(&s->lock);
    qp_queue_push(queue, r);
    (void)pthread_cond_signal(&s->more);
    (void)pthread_mutex_unlock(&s->lock);
}

/* No more streams of ours at once than there may be bidirectional requests: what a client allows is no bound, and
 * its own streams end with the request. */
static bool qp_serve_may_open(const qp_served *s)
{
    return s->waiting.count > 0 && s->answering < s->max_streams;
}

/* Opens streams of ours for answers that wait for one, in the order they were asked for (draft 2.3.2). Returns
 * whether the client allows none now. */
static bool qp_serve_open_waiting(qp_served *s)
{
    for (;;) {
        (void)pthread_mutex_lock(&s->lock);
        qp_request *r = qp_serve_may_open(s) ? qp_queue_pop(&s->waiting) : NULL;
        (void)pthread_mutex_unlock(&s->lock);
        if (r == NULL) {
            return false;
        }
        r->stream = s->next_uni;
        qp_sent sent = qp_serve_message(s, r, true);
        if (sent == QP_SENT_LATER) {
            (void)pthread_mutex_lock(&s->lock);
            qp_queue_unpop(&s->waiting, r);
            (void)pthread_mutex_unlock(&s->lock);
            return true;
        }
        s->next_uni += 4;
        if (sent == QP_SENT_SOME) {
            s->answering++;
            qp_serve_put(s, &s->sending, r);
        } else {
            free(r);
        }
    }
}

/* The next answer to go on with. NULL: look at those that wait for streams, or at `over`. */
static qp_request *qp_serve_take(qp_served *s, bool is_refused)
{
    struct timespec until;
    (void)pthread_mutex_lock(&s->lock);
    if (is_refused && s->sending.count == 0 && !s->over) {
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += QP_OPEN_AGAIN_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        (void)pthread_cond_timedwait(&s->more, &s->lock, &until);
    }
    while (!is_refused && s->sending.count == 0 && !s->over && !qp_serve_may_open(s)) {
        (void)pthread_cond_wait(&s->more, &s->lock);
    }
    qp_request *r = s->over ? NULL : qp_queue_pop(&s->sending);
    (void)pthread_mutex_unlock(&s->lock);
    return r;
}

static bool qp_serve_is_over(qp_served *s)
{
    (void)pthread_mutex_lock(&s->lock);
    bool over = s->over;
    (void)pthread_mutex_unlock(&s->lock);
    return over;
}

static void *qp_serve_sender(void *ctx)
{
    qp_served *s = ctx;
    while (!qp_serve_is_over(s)) {
        bool is_refused = qp_serve_open_waiting(s);
        qp_request *r = qp_serve_take(s, is_refused);
        if (r != NULL && qp_serve_message(s, r, false) == QP_SENT_SOME) {
            qp_serve_put(s, &s->sending, r);
        } else if (r != NULL) {
            s->answering -= qp_serve_is_uni(r->stream) ? 1 : 0;
            free(r);
        }
    }
    return NULL;
}

/* ---- receiving ------------------------------------------------------------------------------------- */

/* What a client has reset is told to nobody: of more requests than it may have streams, both kinds, the one that was
 * silent for longest goes. */
static void qp_serve_forget(qp_served *s)
{
    qp_request **at = &s->asking;
    while (*at != NULL && (*at)->next != NULL) {
        at = &(*at)->next;
    }
    qp_request *r = *at;
    if (r != NULL) {
        struct quic_errinfo stop = {.stream_id = r->stream, .errcode = QP_APP_REFUSED};
        (void)s->lib->setsockopt(s->fd, SOL_QUIC, QUIC_SOCKOPT_STREAM_STOP_SENDING, &stop,
                                 sizeof(stop));
        *at = NULL;
        s->asking_count--;
        free(r);
    }
}

static qp_request *qp_serve_find(qp_served *s, uint64_t stream)
{
    qp_request **at = &s->asking;
    while (*at != NULL && (*at)->stream != stream) {
        at = &(*at)->next;
    }
    qp_request *r = *at;
    if (r != NULL) {
        *at = r->next;
    } else {
        if (s->asking_count >= 2 * s->max_streams) {
            qp_serve_forget(s);
        }
        if ((r = calloc(1, sizeof(*r))) == NULL) {
            return NULL;
        }
        r->stream = stream;
        s->asking_count++;
    }
    r->next = s->asking;
    s->asking = r;
    return r;
}

static bool qp_serve_start_sender(qp_served *s)
{
    s->has_sender = s->has_sender || pthread_create(&s->sender, NULL, qp_serve_sender, s) == 0;
    return s->has_sender;
}

/* Over a bound. */
static bool qp_serve_refuse(const qp_served *s, const char *why)
{
    uint8_t said[80];
    const uint32_t code = QP_APP_REFUSED;
    const size_t at = offsetof(struct quic_connection_close, phrase);
    memset(said, 0, sizeof(said));
    memcpy(said, &code, sizeof(code));
    (void)snprintf((char *)said + at, sizeof(said) - at, "%s", why);
    (void)s->lib->setsockopt(s->fd, SOL_QUIC, QUIC_SOCKOPT_CONNECTION_CLOSE, said, sizeof(said));
    return false;
}

/* To a unidirectional request, unless it wants nothing. */
static bool qp_serve_answer_uni(qp_served *s, qp_request *r)
{
    if (r->left == 0) {
        free(r);
        return true;
    }
    (void)pthread_mutex_lock(&s->lock);
    uint32_t waiting = s->waiting.count;
    (void)pthread_mutex_unlock(&s->lock);
    if (waiting >= QP_WAITING_MAX || !qp_serve_start_sender(s)) {
        free(r);
        return qp_serve_refuse(s, "too many unanswered requests");
    }
    qp_serve_put(s, &s->waiting, r);
    return true;
}

/* The request that was heard last is whole. Returns whether the connection goes on. */
static bool qp_serve_answer(qp_served *s)
{
    qp_request *r = s->asking;
    s->asking = r->next;
    s->asking_count--;
    bool asked = qp_header_is_complete(&r->header);
    r->left = asked ? qp_header_value(&r->header) : 0;
    if (asked) {
        atomic_fetch_add_explicit(&s->totals->requests, 1, memory_order_relaxed);
    }
    if (qp_serve_is_uni(r->stream)) {
        return qp_serve_answer_uni(s, r);
    }
    if (r->left <= QP_MESSAGE_BYTES) {
        while (qp_serve_message(s, r, false) ==
               QP_SENT_SOME) { /* ends: each turn sends some, or fails */
        }
        free(r);
        return true;
    }
    if (!qp_serve_start_sender(s)) {
        free(r);
        return qp_serve_refuse(s, "no thread to answer with");
    }
    qp_serve_put(s, &s->sending, r);
    return true;
}

/* The clock of `more` is one that nobody sets. */
static void qp_serve_begin(qp_served *s)
{
    pthread_condattr_t attr;
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&s->more, &attr);
    (void)pthread_condattr_destroy(&attr);
}

static void qp_serve_end(qp_served *s)
{
    (void)s->lib->shutdown(s->fd, SHUT_RDWR); /* the sender may wait for room */
    (void)pthread_mutex_lock(&s->lock);
    s->over = true;
    (void)pthread_cond_signal(&s->more);
    (void)pthread_mutex_unlock(&s->lock);
    if (s->has_sender) {
        (void)pthread_join(s->sender, NULL);
    }
    while (s->asking != NULL) {
        qp_request *r = s->asking;
        s->asking = r->next;
        free(r);
    }
    qp_queue_free(&s->sending);
    qp_queue_free(&s->waiting);
    (void)pthread_cond_destroy(&s->more);
    (void)pthread_mutex_destroy(&s->lock);
}

void qp_serve(const qp_lib *lib, int fd, uint32_t max_streams, qp_serve_totals *totals)
{
    qp_served s = {
        .lib = lib, .fd = fd, .max_streams = max_streams, .totals = totals, .next_uni = 3};
    uint8_t *buf = malloc(QP_MESSAGE_BYTES);
    uint64_t stream = 0;
    uint32_t flags = 0;
    ssize_t got;
    bool going = buf != NULL;
    qp_serve_begin(&s);
    while (going && (got = lib->recv(fd, buf, QP_MESSAGE_BYTES, &stream, &flags)) >= 0) {
        qp_request *r = qp_serve_find(&s, stream);
        if (r == NULL) {
            break;
        }
        size_t payload = (size_t)got - qp_header_feed(&r->header, buf, (size_t)got);
        atomic_fetch_add_explicit(&totals->bytes_in, payload, memory_order_relaxed);
        if ((flags & QUIC_STREAM_FLAG_FIN) != 0) {
            going = qp_serve_answer(&s);
        }
        flags = 0;
    }
    qp_serve_end(&s);
    free(buf);
}

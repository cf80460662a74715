/* Datagrams (draft section 4.2.1, RFC 9221): one call, one frame; what the peer offered says how large. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compat/core/sock.h"

/* Type and length of a DATAGRAM frame that may be this large (RFC 9221 4). */
#define QS_DGRAM_HEAD 3u

struct qs_dgram {
    struct qs_dgram *next;
    uint32_t len;
    uint8_t data[];
};

/* ---- on the worker --------------------------------------------------------------------------------- */

static void qs_dgram_pop(qs_sock *s)
{
    qs_dgram *d = s->dgram_head;
    s->dgram_head = d->next;
    if (s->dgram_head == NULL) {
        s->dgram_tail = NULL;
    }
    s->tx_bytes -= d->len;
    free(d);
}

void qs_dgram_free(qs_sock *s)
{
    while (s->dgram_head != NULL) {
        qs_dgram_pop(s);
    }
}

static void qs_dgram_learn(qs_sock *s)
{
    size_t fits = 0;
    s->dgram_max = quring_datagram_max(s->conn, &fits) == QURING_OK ? (uint32_t)fits : 0;
}

void qs_dgram_push(qs_sock *s)
{
    bool had_room = qs_tx_has_room(s);
    qs_dgram_learn(s);
    while (s->dgram_head != NULL) {
        const qs_dgram *d = s->dgram_head;
        quring_status status = quring_datagram_send(s->conn, d->data, d->len, 0, 0);
        if (status == QURING_E_AGAIN) {
            break; /* DATAGRAM_WRITABLE follows */
        }
        s->dgram_given += status == QURING_OK ? 1 : 0;
        qs_dgram_pop(s); /* sent, or lost: packets have become too small for it */
    }
    if (had_room || qs_tx_has_room(s)) {
        qs_ready_update(s);
        qs_wake(s, QS_WAIT_TX);
    }
}

bool qs_dgram_all_left(const qs_sock *s)
{
    quring_conn_info info;
    return s->dgram_head == NULL &&
           (s->dgram_given == 0 || quring_conn_get_info(s->conn, &info) != QURING_OK ||
            info.datagrams_sent + info.datagrams_discarded >= s->dgram_given);
}

/* What finds no room in SO_RCVBUF is lost, as datagrams are (RFC 9221 5.3). */
void qs_dgram_pull(qs_sock *s)
{
    quring_bytes d;
    bool came = false;
    while (quring_datagram_peek(s->conn, &d) == QURING_OK) {
        bool room = qs_rx_has_room(s, d.len) && !s->app_closed && !s->shut_rd;
        qs_item *item = room ? qs_item_new(QS_ITEM_DATAGRAM, (uint32_t)d.len) : NULL;
        if (item != NULL) {
            if (d.len > 0) {
                memcpy(item->data, d.data, d.len);
            }
            item->len = (uint32_t)d.len;
            qs_rx_push(s, item);
            came = true;
        }
        (void)quring_datagram_consume(s->conn);
    }
    if (came) {
        qs_ready_arrival(s);
        qs_wake(s, QS_WAIT_RX);
    }
}

/* ---- in the program's thread ------------------------------------------------------------------------- */

static void qs_dgram_ask(void *ctx)
{
    qs_sock *s = (qs_sock *)ctx;
    pthread_mutex_lock(&s->lock);
    if (s->conn.handle != 0) {
        qs_dgram_learn(s);
    }
    qs_unlock(s);
}

/* Whether one of `len` bytes can be sent at all; lock held. */
static int qs_dgram_check(qs_sock *s, size_t len)
{
    uint64_t offered = s->remote_params.max_datagram_frame_size;
    if (s->state < QS_CONNECTING || s->state == QS_CLOSED || s->shut_wr) {
        return -EPIPE;
    }
    if (!s->may_send || !s->remote_known || offered == 0) {
        return -EINVAL; /* RFC 9221 3: not to who has not offered to take them */
    }
    if (len == 0 || len > s->tx_limit || len + QS_DGRAM_HEAD > offered) {
        return -EMSGSIZE;
    }
    if (len <= s->dgram_max) {
        return 0;
    }
    /* Packets may have grown since it was looked at. */
    uint32_t worker = s->worker;
    qs_unlock(s);
    int rc = qs_call(worker, qs_dgram_ask, s);
    pthread_mutex_lock(&s->lock);
    return rc != 0 ? -EPIPE : len <= s->dgram_max ? 0 : -EMSGSIZE;
}

static int qs_dgram_await(qs_sock *s, size_t len, bool dontwait)
{
    const qs_hold hold = {NULL, false};
    uint64_t deadline = s->sndtimeo_ns != 0 ? qs_now_ns() + s->sndtimeo_ns : 0;
    int rc = qs_dgram_check(s, len);
    while (rc == 0 && !qs_tx_has_room(s)) {
        qs_uncork_all(s); /* what is held back makes no room */
        rc = dontwait || s->nonblock ? -EAGAIN : qs_wait(s, QS_WAIT_TX, deadline, &hold);
        if (rc == -EAGAIN) {
            s->dgram_awaits = true; /* whatever stream may not be opened: */
            qs_fix_now(s);          /* the room that comes makes an edge */
        }
        rc = rc == 0 ? qs_dgram_check(s, len) : rc;
    }
    return rc;
}

ssize_t qs_dgram_send(qs_sock *s, const struct msghdr *msg, size_t len, bool dontwait)
{
    qs_dgram *d = NULL;
    pthread_mutex_lock(&s->lock);
    int rc = qs_dgram_await(s, len, dontwait);
    if (rc == 0) {
        d = (qs_dgram *)malloc(sizeof(*d) + len);
        rc = d == NULL ? -ENOMEM : 0;
    }
    if (rc == 0) {
        d->next = NULL;
        d->len = (uint32_t)len;
        size_t at = 0;
        for (size_t i = 0; i < msg->msg_iovlen && at < len; i++) {
            size_t n = msg->msg_iov[i].iov_len;
            if (n > 0) {
                memcpy(d->data + at, msg->msg_iov[i].iov_base, n);
            }
            at += n;
        }
        *(s->dgram_tail == NULL ? &s->dgram_head : &s->dgram_tail->next) = d;
        s->dgram_tail = d;
        s->tx_bytes += len;
        s->dgram_awaits = false;
        qs_ready_update(s);
        qs_kick(s, QS_ASK_DATAGRAM);
        if (len <= QS_VISIT_BYTES && s->tx_bytes == len) {
            qs_visit(s);
        }
    }
    qs_unlock(s);
    return rc == 0 ? (ssize_t)len : rc;
}

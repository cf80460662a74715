/* What waits to be received: one queue for streams, datagrams, handshake messages and events. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "compat/core/behalf.h"
#include "compat/core/layout.h"
#include "compat/core/sock.h"
#include "compat/parts.h"

bool qs_rx_is_empty(const qs_sock *s)
{
    return s->rx.head == NULL;
}

qs_item *qs_item_new(qs_item_kind kind, uint32_t cap)
{
    qs_item *item = (qs_item *)malloc(sizeof(*item) + cap);
    if (item != NULL) {
        memset(item, 0, sizeof(*item));
        item->kind = (uint8_t)kind;
        item->cap = cap;
    }
    return item;
}

static bool qs_counts(const qs_item *item)
{
    return item->kind == QS_ITEM_STREAM || item->kind == QS_ITEM_DATAGRAM;
}

static uint64_t qs_item_cost(const qs_item *item)
{
    return sizeof(*item) + item->cap;
}

/* A peer decides how little an item has in it, down to the mere end of a stream: SO_RCVBUF bounds the bytes, this
 * the memory. */
static uint64_t qs_rx_held_max(const qs_rx *rx)
{
    return 2 * rx->limit + QS_CHUNK_BYTES;
}

static uint64_t qs_rx_room(const qs_rx *rx)
{
    if (rx->ends) {
        return UINT64_MAX;
    }
    return rx->bytes < rx->limit && rx->held < qs_rx_held_max(rx) ? rx->limit - rx->bytes : 0;
}

bool qs_rx_has_room(const qs_sock *s, size_t len)
{
    return qs_rx_room(&s->rx) >= len && qs_rx_room(&s->rx) > 0;
}

void qs_rx_push(qs_sock *s, qs_item *item)
{
    qs_rx *rx = &s->rx;
    rx->held += qs_item_cost(item);
    item->next = NULL;
    *(rx->tail == NULL ? &rx->head : &rx->tail->next) = item;
    rx->tail = item;
    rx->bytes += qs_counts(item) ? item->len : 0;
}

/* Behind `after`, or in front, but not before an item somebody has begun to read. */
static void qs_rx_insert(qs_rx *rx, qs_item *after, qs_item *item)
{
    if (after == NULL && rx->head != NULL && (rx->head->off > 0 || rx->busy)) {
        after = rx->head;
    }
    rx->held += qs_item_cost(item);
    item->next = after != NULL ? after->next : rx->head;
    *(after != NULL ? &after->next : &rx->head) = item;
    if (item->next == NULL) {
        rx->tail = item;
    }
}

/* Whoever does the handshake must not have to take anything else first. */
bool qs_rx_push_crypto(qs_sock *s, qs_item *item)
{
    if (s->rx.held > qs_rx_held_max(&s->rx) + QS_TLS_HELD_MAX) {
        return false;
    }
    qs_rx_insert(&s->rx, s->rx.last_crypto, item);
    s->rx.last_crypto = item;
    return true;
}

/* Events come before all data, in their own order. */
static void qs_rx_insert_event(qs_rx *rx, qs_item *item)
{
    qs_rx_insert(rx, rx->last_event != NULL ? rx->last_event : rx->last_crypto, item);
    rx->last_event = item;
    rx->event_count++;
}

void qs_rx_push_event(qs_sock *s, uint8_t type, const void *payload, uint32_t len)
{
    qs_rx *rx = &s->rx;
    uint8_t number = qs_layout_event(s->protocol, (qs_event)type);
    if ((s->event_mask & 1u << type) == 0 || number == 0 || s->app_closed || s->shut_rd) {
        return;
    }
    if (rx->event_count >= QS_EVENTS_MAX && type != QS_EVENT_CONNECTION_CLOSE) {
        return; /* nobody reads them: the close is what must not be missed */
    }
    qs_item *item = qs_item_new(QS_ITEM_EVENT, 1 + len);
    if (item == NULL) {
        return;
    }
    item->data[0] = number;
    if (len > 0) {
        memcpy(item->data + 1, payload, len);
    }
    item->len = 1 + len;
    qs_rx_insert_event(rx, item);
    qs_ready_arrival(s);
    qs_wake(s, QS_WAIT_RX);
}

/* Takes the head off; it was read. */
static void qs_rx_pop(qs_sock *s)
{
    qs_rx *rx = &s->rx;
    qs_item *item = rx->head;
    rx->head = item->next;
    if (rx->head == NULL) {
        rx->tail = NULL;
    }
    if (rx->last_event == item) {
        rx->last_event = NULL;
    }
    if (rx->last_crypto == item) {
        rx->last_crypto = NULL;
    }
    rx->event_count -= item->kind == QS_ITEM_EVENT ? 1 : 0;
    rx->held -= qs_item_cost(item);
    free(item);
}

void qs_rx_drop_all(qs_sock *s)
{
    qs_rx *rx = &s->rx;
    rx->drop = rx->busy; /* its reader does it then */
    while (rx->head != NULL && !rx->busy) {
        qs_rx_pop(s);
    }
    rx->bytes = rx->busy ? rx->bytes : 0;
}

/* ---- on the worker ------------------------------------------------------------------------------- */

/* The stream's last item when more may be written behind it, or a new one. */
static qs_item *qs_rx_item(qs_sock *s, const qs_stream *st, size_t want)
{
    qs_item *tail = s->rx.tail;
    if (tail != NULL && tail->kind == QS_ITEM_STREAM && tail->stream_id == st->id && !tail->fin &&
        tail->len < tail->cap) {
        return tail;
    }
    size_t cap = want < 2048 ? 2048 : want > QS_CHUNK_BYTES ? QS_CHUNK_BYTES : want;
    qs_item *item = qs_item_new(QS_ITEM_STREAM, (uint32_t)cap);
    if (item != NULL) {
        item->stream_id = st->id;
    }
    return item;
}

/* Copies what the engine shows into items; the queue takes at most its limit. Returns the bytes taken. */
static size_t qs_rx_take(qs_sock *s, const qs_stream *st, const quring_bytes *span)
{
    size_t taken = 0;
    while (taken < span->len) {
        pthread_mutex_lock(&s->lock);
        uint64_t room = qs_rx_room(&s->rx);
        bool discard = s->app_closed || s->shut_rd;
        qs_item *item = room > 0 && !discard ? qs_rx_item(s, st, span->len - taken) : NULL;
        if (item == NULL && room > 0 && !discard) {
            qs_out_of_memory(s);
        }
        bool is_new = item != NULL && item != s->rx.tail;
        qs_unlock(s);
        if (discard) {
            return span->len;
        }
        if (item == NULL) {
            return taken;
        }
        size_t n = span->len - taken;
        n = n > room ? (size_t)room : n;
        /* Only this thread appends; a reader that empties an old item may free it meanwhile, so that one
         * is written under the lock. */
        if (is_new) {
            n = n > item->cap ? item->cap : n;
            memcpy(item->data, span->data + taken, n);
            item->len = (uint32_t)n;
            pthread_mutex_lock(&s->lock);
            qs_rx_push(s, item);
        } else {
            pthread_mutex_lock(&s->lock);
            item = s->rx.tail;
            if (item == NULL || item->kind != QS_ITEM_STREAM || item->stream_id != st->id ||
                item->fin || item->len >= item->cap) {
                qs_unlock(s);
                continue;
            }
            n = n > item->cap - item->len ? item->cap - item->len : n;
            memcpy(item->data + item->len, span->data + taken, n);
            item->len += (uint32_t)n;
            s->rx.bytes += n;
        }
        qs_unlock(s);
        taken += n;
    }
    return taken;
}

/* The end of a stream: on its last item, or one of its own when that was read already. Lock held. */
static void qs_rx_fin(qs_sock *s, qs_stream *st)
{
    qs_item *tail = s->rx.tail;
    st->rx_fin = true;
    st->final_size = st->rx_total;
    if (s->app_closed || s->shut_rd) {
        return; /* nobody takes it */
    }
    if (tail != NULL && tail->kind == QS_ITEM_STREAM && tail->stream_id == st->id) {
        tail->fin = true;
        return;
    }
    qs_item *item = qs_item_new(QS_ITEM_STREAM, 0);
    if (item != NULL) {
        item->stream_id = st->id;
        item->fin = true;
        qs_rx_push(s, item);
    } else {
        qs_out_of_memory(s);
    }
}

/* Streams that wait for room are looked at again when half of it is there. Lock held. */
static void qs_rx_feed(qs_sock *s)
{
    if (s->rx.starved && s->rx.bytes <= s->rx.limit / 2 &&
        s->rx.held <= qs_rx_held_max(&s->rx) / 2) {
        s->rx.starved = false;
        qs_kick(s, QS_ASK_RX);
    }
}

/* Whether an end without bytes can be told: it takes memory, too, unless it stands with the last ones. Lock held. */
static bool qs_rx_has_room_for_end(const qs_sock *s, const qs_stream *st)
{
    const qs_item *tail = s->rx.tail;
    return (tail != NULL && tail->kind == QS_ITEM_STREAM && tail->stream_id == st->id) ||
           s->rx.held < qs_rx_held_max(&s->rx) || s->rx.ends || s->app_closed || s->shut_rd;
}

void qs_rx_pull(qs_sock *s, qs_stream *st)
{
    quring_bytes spans[2];
    bool fin = false;
    while (quring_stream_peek(st->handle, spans, &fin) == QURING_OK) {
        size_t shown = spans[0].len + spans[1].len;
        size_t taken = qs_rx_take(s, st, &spans[0]);
        if (taken == spans[0].len && spans[1].len > 0) {
            taken += qs_rx_take(s, st, &spans[1]);
        }
        pthread_mutex_lock(&s->lock);
        bool first = !st->rx_seen && taken > 0;
        st->rx_total += taken;
        bool starved = taken < shown || (fin && shown == 0 && !qs_rx_has_room_for_end(s, st));
        bool ended = fin && !starved;
        if (first) {
            st->rx_seen = true;
            if (!ended || s->protocol == QS_PROTO_KERNEL) {
                qs_stream_update(s, st, QS_RECV_RECV, 0, 0);
            }
        }
        if (ended) {
            qs_rx_fin(s, st);
            st->recv_state = QS_RECV_RECVD;
            qs_stream_update(s, st, QS_RECV_RECVD,
                             s->protocol == QS_PROTO_DRAFT ? (uint32_t)st->final_size : 0,
                             st->final_size);
        }
        st->rx_blocked = starved;
        s->rx.starved = s->rx.starved || starved;
        qs_rx_feed(s); /* the queue may have been read empty since it was found full */
        qs_ready_arrival(s);
        qs_wake(s, QS_WAIT_RX);
        qs_unlock(s);
        if (!starved || taken > 0) {
            (void)quring_stream_consume(st->handle, taken);
        }
        if (starved || ended) {
            return;
        }
    }
}

/* ---- in the program's thread ---------------------------------------------------------------------- */

typedef struct qs_copy {
    const struct iovec *iov;
    size_t iov_left;
    size_t iov_off;
    size_t done;
    bool discard; /* only counted */
} qs_copy;

static size_t qs_copy_out(qs_copy *c, const uint8_t *data, size_t len)
{
    size_t copied = 0;
    while (copied < len && c->iov_left > 0) {
        size_t room = c->iov->iov_len - c->iov_off;
        size_t n = len - copied < room ? len - copied : room;
        if (n > 0 && !c->discard) {
            memcpy((uint8_t *)c->iov->iov_base + c->iov_off, data + copied, n);
        }
        copied += n;
        c->iov_off += n;
        if (c->iov_off == c->iov->iov_len) {
            c->iov++;
            c->iov_left--;
            c->iov_off = 0;
        }
    }
    c->done += copied;
    return copied;
}

static uint64_t qs_rx_deadline(const qs_sock *s)
{
    return s->rcvtimeo_ns != 0 ? qs_now_ns() + s->rcvtimeo_ns : 0;
}

/* Whether the peer may send more of it. */
static bool qs_rx_goes_on(qs_sock *s, uint64_t stream_id)
{
    const qs_stream *st = qs_stream_find(s, stream_id);
    return st != NULL && st->recv_state < QS_RECV_RESET_RECVD;
}

/* Waits for an item; lock held. -ENODATA: there is none, and none of that stream will come. */
static int qs_rx_await(qs_sock *s, bool dontwait, uint64_t deadline, uint64_t of_stream)
{
    const qs_hold hold = {NULL, false};
    for (;;) {
        if (s->state == QS_LISTENING || s->state == QS_FRESH || s->shut_rd) {
            return -ENOTCONN;
        }
        if (s->app_closed) {
            return -EBADF;
        }
        if (s->rx.head != NULL && !s->rx.busy) {
            return 0;
        }
        if (s->rx.head == NULL && s->state == QS_CLOSED) {
            return -ENOTCONN;
        }
        if (s->rx.head == NULL && of_stream != QS_STREAM_ANY && !qs_rx_goes_on(s, of_stream)) {
            return -ENODATA;
        }
        int rc = dontwait || s->nonblock ? -EAGAIN : qs_wait(s, QS_WAIT_RX, deadline, &hold);
        if (rc == -EAGAIN) {
            qs_fix_now(s);
        }
        if (rc != 0) {
            return rc;
        }
    }
}

static uint32_t qs_rx_flags(const qs_item *item, bool whole)
{
    switch (item->kind) {
    case QS_ITEM_STREAM:
        return whole && item->fin ? QS_MSG_FIN : 0;
    case QS_ITEM_DATAGRAM:
        return QS_MSG_DATAGRAM | (whole ? QS_MSG_FIN : 0u);
    case QS_ITEM_EVENT:
        return QS_MSG_EVENT | (whole ? QS_MSG_FIN : 0u);
    default:
        return 0;
    }
}

/* The ancillary data of what was received. */
static void qs_rx_control(const qs_sock *s, struct msghdr *msg, const qs_item *item, uint32_t flags)
{
    uint8_t payload[sizeof(qs_wire_stream_info)];
    size_t len = sizeof(qs_wire_stream_info);
    int type = QS_CMSG_STREAM_INFO;
    if (item->kind == QS_ITEM_CRYPTO) {
        static const uint8_t levels[] = {QS_LEVEL_INITIAL, QS_LEVEL_EARLY, QS_LEVEL_HANDSHAKE,
                                         QS_LEVEL_APP};
        payload[0] = levels[item->level];
        len = 1;
        type = QS_CMSG_HANDSHAKE_INFO;
    } else if (s->protocol == QS_PROTO_KERNEL && item->kind != QS_ITEM_STREAM) {
        msg->msg_controllen = 0;
        return;
    } else {
        qs_wire_stream_info info = {item->stream_id, flags, 0};
        memcpy(payload, &info, sizeof(info));
    }
    struct cmsghdr *cmsg = msg->msg_control != NULL ? CMSG_FIRSTHDR(msg) : NULL;
    if (cmsg == NULL || msg->msg_controllen < CMSG_LEN(len)) {
        msg->msg_flags |= MSG_CTRUNC;
        msg->msg_controllen = 0;
        return;
    }
    cmsg->cmsg_level = QS_SOL_QUIC;
    cmsg->cmsg_type = type;
    cmsg->cmsg_len = CMSG_LEN(len);
    memcpy(CMSG_DATA(cmsg), payload, len);
    size_t space = CMSG_SPACE(len);
    msg->msg_controllen = msg->msg_controllen < space ? msg->msg_controllen : space;
}

/* What can be read of the head's stream, left where it is; only the head is copied without the lock, but as
 * long as it is `busy` nobody takes any item off. */
static uint32_t qs_rx_peek(qs_sock *s, struct msghdr *msg, qs_copy *copy)
{
    const qs_item *item = s->rx.head;
    const qs_item *last = item;
    bool whole = true;
    s->rx.busy = true;
    while (item != NULL && whole) {
        uint32_t len = item->len - item->off;
        qs_unlock(s);
        size_t n = qs_copy_out(copy, item->data + item->off, len);
        pthread_mutex_lock(&s->lock);
        last = item;
        whole = n == item->len - item->off;
        const qs_item *next = item->next;
        bool goes_on = item->kind == QS_ITEM_STREAM && !item->fin && next != NULL &&
                       next->kind == QS_ITEM_STREAM && next->stream_id == item->stream_id;
        item = goes_on && copy->iov_left > 0 ? next : NULL;
    }
    s->rx.busy = false;
    uint32_t flags = qs_rx_flags(last, whole);
    qs_rx_control(s, msg, last, flags);
    return flags;
}

/* After bytes were taken: room for blocked streams, the descriptor's state. Lock held. */
static void qs_rx_after(qs_sock *s)
{
    qs_rx_feed(s);
    qs_ready_update(s);
    qs_ready_trim(s);
}

/* Copies out of the head, and takes it off when it was read to its end. Returns whether the next item goes into the
 * same call: more of the same stream. Lock held, but while it copies. */
static bool qs_rx_read_head(qs_sock *s, struct msghdr *msg, qs_copy *copy, uint32_t *out_flags)
{
    qs_rx *rx = &s->rx;
    qs_item *item = rx->head;
    const bool is_stream = item->kind == QS_ITEM_STREAM;
    uint32_t len = item->len - item->off;
    rx->busy = true;
    qs_unlock(s);
    size_t n = qs_copy_out(copy, item->data + item->off, len);
    pthread_mutex_lock(&s->lock);
    rx->busy = false;
    bool whole = n == item->len - item->off; /* the worker may have added some */
    *out_flags = qs_rx_flags(item, whole);
    item->off += (uint32_t)n;
    rx->bytes -= qs_counts(item) ? n : 0;
    bool ended = whole && (!is_stream || item->fin);
    const qs_item *next = item->next;
    bool more = whole && !ended && next != NULL && next->kind == item->kind &&
                next->stream_id == item->stream_id && copy->iov_left > 0;
    if (!more) {
        qs_rx_control(s, msg, item, *out_flags);
    }
    if (whole) { /* of a stream also when nothing is behind it: the next bytes get an item of their own */
        qs_rx_pop(s);
    }
    return more;
}

/* What the flags of the last item say in those of the message. */
static void qs_rx_tell(const qs_sock *s, struct msghdr *msg, uint8_t kind, uint32_t flags)
{
    msg->msg_flags |= (int)(flags & (QS_MSG_EVENT | QS_MSG_DATAGRAM | QS_MSG_FIN));
    if ((flags & QS_MSG_FIN) == 0) {
        return;
    }
    if (kind != QS_ITEM_STREAM) {
        msg->msg_flags &= ~QS_MSG_FIN;
    }
    msg->msg_flags |= kind != QS_ITEM_STREAM || s->protocol == QS_PROTO_DRAFT ? MSG_EOR : 0;
}

/* What there is; the flags of the last item. Lock held. */
static uint32_t qs_rx_deliver(qs_sock *s, struct msghdr *msg, int flags, qs_copy *copy)
{
    uint32_t out_flags = 0;
    if ((flags & MSG_PEEK) != 0) {
        out_flags = qs_rx_peek(s, msg, copy);
    } else {
        while (qs_rx_read_head(s, msg, copy, &out_flags)) {
        }
    }
    if (s->rx.drop) {
        qs_rx_drop_all(s);
    }
    qs_rx_after(s);
    qs_wake(s, QS_WAIT_RX); /* another reader may have waited for this one */
    return out_flags;
}

/* With MSG_WAITALL until all the room is filled; before that it ends with the stream, the time, a signal, and where
 * something else has come (recv(2)). Lock held. */
static ssize_t qs_rx_fill(qs_sock *s, struct msghdr *msg, size_t room, int flags, uint64_t deadline)
{
    const uint8_t kind = s->rx.head->kind;
    const uint64_t stream_id = s->rx.head->stream_id;
    /* tcp(7): MSG_TRUNC throws the bytes of a stream away. */
    const bool discard = (flags & MSG_TRUNC) != 0 && kind == QS_ITEM_STREAM;
    const bool all = (flags & (MSG_WAITALL | MSG_PEEK)) == MSG_WAITALL && kind == QS_ITEM_STREAM &&
                     s->protocol == QS_PROTO_DRAFT; /* the kernel has no use for it */
    qs_copy copy = {msg->msg_iov, msg->msg_iovlen, 0, 0, discard};
    uint32_t out_flags = qs_rx_deliver(s, msg, flags, &copy);
    while (all && copy.done < room && (out_flags & QS_MSG_FIN) == 0 &&
           qs_rx_await(s, (flags & MSG_DONTWAIT) != 0, deadline, stream_id) == 0 &&
           s->rx.head->kind == QS_ITEM_STREAM && s->rx.head->stream_id == stream_id) {
        out_flags = qs_rx_deliver(s, msg, flags, &copy);
    }
    qs_rx_tell(s, msg, kind, out_flags);
    qs_set_last_stream(kind == QS_ITEM_STREAM ? stream_id : QS_STREAM_ANY);
    return (ssize_t)copy.done;
}

ssize_t qs_op_recvmsg(qs_sock *s, struct msghdr *msg, int flags)
{
    if ((flags & MSG_OOB) != 0) {
        return -EOPNOTSUPP;
    }
    /* For programs of the kernel's header it is MSG_QUIC_STREAM_SNDBLOCK, left of what they sent. */
    if ((flags & MSG_ERRQUEUE) != 0 && s->protocol != QS_PROTO_KERNEL) {
        return -EAGAIN;
    }
    size_t room = 0;
    int wrong = qs_parts_total(msg, &room);
    if (wrong != 0 && !(wrong == -EFAULT && (flags & MSG_TRUNC) != 0 && msg->msg_iov != NULL)) {
        return wrong;
    }
    room = wrong == 0 ? room : 1;
    msg->msg_flags = 0;
    msg->msg_namelen = 0;
    pthread_mutex_lock(&s->lock);
    const bool dontwait = (flags & MSG_DONTWAIT) != 0 || s->nonblock;
    const uint64_t deadline = qs_rx_deadline(s);
    const uint64_t only = qs_take_only_stream();
    int rc = qs_rx_await(s, dontwait, deadline, only);
    if (rc == 0 && only != QS_STREAM_ANY &&
        (s->rx.head->kind != QS_ITEM_STREAM || s->rx.head->stream_id != only)) {
        rc = -ENODATA;
    }
    /* As TCP: who wants nothing has it when the time is over. */
    ssize_t result = rc == -EAGAIN && room == 0 && !dontwait && qs_may_wait() ? 0 : rc;
    if (rc == 0 && s->rx.head->kind == QS_ITEM_CRYPTO && msg->msg_controllen == 0) {
        result = -EINVAL; /* without ancillary data its level would be lost: it stays */
    } else if (rc == 0 && wrong != 0 && s->rx.head->kind != QS_ITEM_STREAM) {
        result = wrong; /* only a stream's bytes are thrown away */
    } else if (rc == 0) {
        result = qs_rx_fill(s, msg, room, flags, deadline);
    }
    qs_unlock(s);
    return result;
}

qs_item *qs_rx_remove_crypto(qs_sock *s)
{
    qs_item *before = NULL;
    qs_item *item = s->rx.head;
    while (item != NULL && item->kind != QS_ITEM_CRYPTO) {
        before = item;
        item = item->next;
    }
    if (item == NULL || s->rx.busy) {
        return NULL;
    }
    *(before == NULL ? &s->rx.head : &before->next) = item->next;
    s->rx.held -= qs_item_cost(item);
    if (s->rx.tail == item) {
        s->rx.tail = before;
    }
    if (s->rx.last_crypto == item) {
        s->rx.last_crypto = NULL; /* they stand together and are taken from the front */
    }
    return item;
}

qs_item *qs_rx_take_crypto(qs_sock *s, uint64_t deadline_ns, int *out_rc)
{
    qs_item *item;
    *out_rc = 0;
    pthread_mutex_lock(&s->lock);
    while ((item = qs_rx_remove_crypto(s)) == NULL && *out_rc == 0) {
        if (s->state == QS_CLOSED || s->version_refused) {
            *out_rc = s->state == QS_CLOSED ? -ECONNRESET : -EPROTONOSUPPORT;
            break;
        }
        int rc = qs_wait(s, QS_WAIT_RX, deadline_ns, NULL);
        *out_rc = rc == -EAGAIN ? -ETIMEDOUT : rc == -EINTR ? 0 : rc;
    }
    qs_ready_update(s);
    qs_unlock(s);
    return item;
}

/* What waits to be sent: bytes are copied once, into chunks that are lent to the engine until the peer
 * has acknowledged them. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "compat/core/behalf.h"
#include "compat/core/layout.h"
#include "compat/core/sock.h"
#include "compat/parts.h"

#define QS_CRYPTO_SEND_MAX (64u * 1024u)
#define QS_CALL_MAX        0x7ffff000u

/* What the ancillary data and the flags of a call say together. */
typedef struct qs_send_args {
    uint64_t stream_id;
    uint32_t flags; /* QS_MSG_* */
    int level;      /* of a handshake message, -1: none */
    bool has_info;
    bool dontwait;
    bool more;
} qs_send_args;

bool qs_tx_has_room(const qs_sock *s)
{
    return s->tx_bytes < s->tx_limit;
}

/* ---- on the worker --------------------------------------------------------------------------------- */

void qs_tx_push(qs_stream *st)
{
    if (st->handle.handle == 0 || st->fin_given || st->corked ||
        st->send_state >= QS_SEND_RESET_SENT) {
        return;
    }
    for (qs_chunk *chunk = st->tx_head; chunk != NULL; chunk = chunk->next) {
        uint32_t left = chunk->len - chunk->lent;
        bool last = chunk->next == NULL && st->fin_queued && !st->tx_busy;
        if (left == 0 && !last) {
            continue;
        }
        size_t taken = 0;
        quring_status status = quring_stream_lend(st->handle, &taken, chunk->data + chunk->lent,
                                                  left, last ? QURING_WRITE_FIN : 0);
        chunk->lent += (uint32_t)taken;
        if (status != QURING_OK || taken < left) {
            return; /* WRITABLE follows */
        }
        st->fin_given = last;
    }
    if (st->fin_queued && !st->fin_given && st->tx_head == NULL && !st->tx_busy) {
        size_t taken = 0;
        if (quring_stream_lend(st->handle, &taken, "", 0, QURING_WRITE_FIN) == QURING_OK) {
            st->fin_given = true;
        }
    }
}

/* Frees the chunks that the engine has given back, or never got; one that is copied into stays. */
static void qs_tx_reap(qs_sock *s, qs_stream *st)
{
    while (st->tx_head != NULL && st->tx_head->start + st->tx_head->lent <= st->tx_released &&
           st->tx_head->lent == st->tx_head->len &&
           !(st->tx_copying && st->tx_head->next == NULL)) {
        qs_chunk *chunk = st->tx_head;
        st->tx_head = chunk->next;
        if (st->tx_head == NULL) {
            st->tx_tail = NULL;
        }
        s->tx_bytes -= chunk->len;
        free(chunk);
    }
}

void qs_tx_released(qs_sock *s, qs_stream *st, uint64_t offset)
{
    bool had_room = qs_tx_has_room(s);
    qs_credit_learn(s, st);
    st->tx_released = offset > st->tx_released ? offset : st->tx_released;
    qs_tx_reap(s, st);
    if (!had_room && s->tx_bytes > s->tx_limit - s->tx_limit / 3) {
        return; /* TCP's rule: not for every byte */
    }
    qs_ready_update(s);
    qs_wake(s, QS_WAIT_TX);
}

void qs_tx_drop(qs_sock *s, qs_stream *st)
{
    qs_chunk *last = NULL; /* that stays */
    for (qs_chunk **at = &st->tx_head; *at != NULL;) {
        qs_chunk *chunk = *at;
        s->tx_bytes -= chunk->len - chunk->lent;
        chunk->len = chunk->lent;
        if (chunk->len == 0 && !(st->tx_copying && chunk == st->tx_tail)) {
            *at = chunk->next;
            free(chunk);
            continue;
        }
        last = chunk;
        at = &chunk->next;
    }
    st->tx_tail = last;
    qs_ready_update(s);
    qs_wake(s, QS_WAIT_TX);
}

void qs_tx_free(qs_sock *s, qs_stream *st)
{
    while (st->tx_head != NULL) {
        qs_chunk *chunk = st->tx_head;
        st->tx_head = chunk->next;
        s->tx_bytes -= chunk->len;
        free(chunk);
    }
    st->tx_tail = NULL;
}

/* ---- what a call asks for ----------------------------------------------------------------------------- */

static int qs_parse_control(const qs_sock *s, const struct msghdr *msg, qs_send_args *args)
{
    if (msg->msg_control == NULL) {
        return -EFAULT;
    }
    /* Walked by hand: CMSG_NXTHDR passes over a header that is too long. */
    const struct cmsghdr *c;
    for (size_t at = 0; at + sizeof(*c) <= msg->msg_controllen; at += CMSG_ALIGN(c->cmsg_len)) {
        c = (const struct cmsghdr *)(const void *)((const uint8_t *)msg->msg_control + at);
        if (c->cmsg_len < CMSG_LEN(0) || c->cmsg_len > msg->msg_controllen - at) {
            return -EINVAL;
        }
        if (c->cmsg_level != QS_SOL_QUIC && c->cmsg_level != s->protocol &&
            c->cmsg_level != QS_PROTO_KERNEL) {
            continue;
        }
        size_t len = c->cmsg_len - CMSG_LEN(0);
        if (args->has_info || args->level >= 0) {
            return -EINVAL; /* one per call, draft section 4.2.1 */
        }
        if (c->cmsg_type == QS_CMSG_STREAM_INFO) {
            qs_wire_stream_info info;
            memset(&info, 0, sizeof(info));
            if (len < 12) {
                return -EINVAL;
            }
            memcpy(&info, CMSG_DATA(c), len < sizeof(info) ? len : sizeof(info));
            args->has_info = true;
            args->stream_id = info.stream_id;
            args->flags = info.flags;
        } else if (c->cmsg_type == QS_CMSG_HANDSHAKE_INFO) {
            if (len < 1) {
                return -EINVAL;
            }
            args->level = *(const uint8_t *)CMSG_DATA(c);
        } else {
            return -EINVAL;
        }
    }
    return 0;
}

/* Kernels have moved a flag: opening a stream without waiting for the peer is MSG_EOR in the newest. */
static uint32_t qs_flags_of(const qs_sock *s, uint32_t flags)
{
    bool moved = s->protocol == QS_PROTO_KERNEL && (flags & MSG_EOR) != 0;
    return moved ? (flags & ~(uint32_t)MSG_EOR) | QS_MSG_ASYNC : flags;
}

static int qs_parse_send(const qs_sock *s, const struct msghdr *msg, int flags, qs_send_args *args)
{
    const uint32_t stream_flags =
        QS_MSG_NEW | QS_MSG_FIN | QS_MSG_UNI | QS_MSG_DATAGRAM | QS_MSG_ASYNC | QS_MSG_SNDBLOCK;
    const uint32_t call_flags = MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE | MSG_WAITALL | MSG_EOR;
    memset(args, 0, sizeof(*args));
    args->stream_id = QS_STREAM_ANY;
    args->level = -1;
    if (((uint32_t)flags & ~(stream_flags | call_flags)) != 0) {
        return -EINVAL;
    }
    args->dontwait = (flags & MSG_DONTWAIT) != 0;
    args->more = (flags & MSG_MORE) != 0;
    int rc = msg->msg_controllen > 0 ? qs_parse_control(s, msg, args) : 0;
    if (rc != 0) {
        return rc;
    }
    args->flags = qs_flags_of(s, args->has_info ? args->flags : (uint32_t)flags);
    if (!args->has_info) {
        args->flags &= stream_flags;
    } else if ((args->flags & ~(stream_flags | MSG_DONTWAIT | MSG_MORE)) != 0) {
        return -EINVAL;
    }
    args->flags |= (uint32_t)flags & QS_MSG_DATAGRAM; /* whatever stream is named beside it */
    args->dontwait = args->dontwait || (args->flags & MSG_DONTWAIT) != 0;
    if (args->stream_id != QS_STREAM_ANY && args->stream_id >> 62 != 0) {
        return -EINVAL; /* RFC 9000 2.1 */
    }
    return 0;
}

/* ---- which stream -------------------------------------------------------------------------------------- */

/* There is a stream to turn to, when there is room. */
static void qs_not_starved(qs_sock *s)
{
    if (s->starved_id != QS_STREAM_ANY) {
        s->starved_id = QS_STREAM_ANY;
        qs_ready_update(s);
    }
}

/* Ours up to `id` come into being: opening one opens those of its kind below (RFC 9000 3.2). A peer may allow, and a
 * program remember, any number of them, which takes any amount of memory. */
static int qs_open_up_to(qs_sock *s, uint64_t id, qs_stream **out)
{
    bool uni = qs_id_is_uni(id);
    if (id >= s->next_id[uni] + 4 * (uint64_t)QS_OPEN_AT_ONCE) {
        return -ENOBUFS;
    }
    while (s->next_id[uni] <= id) {
        qs_stream *st = qs_stream_add(s, s->next_id[uni]);
        if (st == NULL) {
            return -ENOMEM;
        }
        s->next_id[uni] += 4;
        st->implied = st->id < id;
        qs_stream_queue(s, st);
        *out = st;
    }
    s->active_id = id;
    qs_not_starved(s);
    return 0;
}

/* Waits until the peer allows the stream; lock held. */
static int qs_await_limit(qs_sock *s, uint64_t id, const qs_send_args *args, uint64_t deadline)
{
    const qs_hold hold = {NULL, false};
    bool uni = qs_id_is_uni(id);
    while (id >> 2 >= s->streams_max[uni]) {
        if (s->state == QS_CLOSED || s->shut_wr) {
            return -EPIPE;
        }
        if (!s->may_send && !s->remote_known) {
            return -EINVAL; /* nothing is known of what the peer would allow */
        }
        if (s->state != QS_ESTABLISHED) {
            return -EINVAL; /* beyond what was remembered for 0-RTT */
        }
        /* RFC 9000 19.14: the peer gives more, by one or many, as soon as it can. */
        s->limit_asked[uni] = true;
        qs_kick(s, QS_ASK_LIMIT);
        if (args->dontwait || s->nonblock || (args->flags & QS_MSG_ASYNC) != 0) {
            /* Without room it is not writable anyway; with it there may be a datagram for it, or another stream. */
            if (qs_tx_has_room(s) && (!args->has_info || !qs_stream_is_any_open(s))) {
                s->starved_id = id;
            }
            qs_fix_now(s);
            return -EAGAIN;
        }
        int rc = qs_wait(s, QS_WAIT_TX, deadline, &hold);
        if (rc != 0) {
            return rc;
        }
    }
    return s->state == QS_CLOSED || s->shut_wr ? -EPIPE : 0;
}

/* The id that a message without one goes to, and whether it opens a stream. */
static int qs_pick_any(const qs_sock *s, const qs_send_args *args, uint64_t *id)
{
    if (s->active_id != QS_STREAM_ANY) {
        const qs_stream *active = qs_stream_find(s, s->active_id);
        if (active != NULL && !active->fin_queued && active->send_state < QS_SEND_SENT) {
            bool is_new = (args->flags & QS_MSG_NEW) != 0;
            if (is_new && active->send_state != QS_SEND_READY && !active->tx_busy) {
                return -EINVAL; /* the last one is not finished */
            }
            if (!is_new || qs_id_is_uni(s->active_id) == ((args->flags & QS_MSG_UNI) != 0)) {
                *id = s->active_id;
                return 0;
            }
        }
    }
    *id = s->next_id[(args->flags & QS_MSG_UNI) != 0];
    return 0;
}

static bool qs_limit_allows(const qs_sock *s, uint64_t id)
{
    return id >> 2 < s->streams_max[qs_id_is_uni(id)];
}

/* The stream of a message, as it stands now; NULL, with its number, when it may be opened. */
static int qs_look_stream(const qs_sock *s, const qs_send_args *args, uint64_t *id, qs_stream **out)
{
    *id = args->stream_id;
    if (*id == QS_STREAM_ANY) {
        int rc = qs_pick_any(s, args, id);
        if (rc != 0) {
            return rc;
        }
    } else if (!qs_id_sends(s, *id)) {
        return -EINVAL;
    }
    *out = qs_stream_find(s, *id);
    if (*out == NULL) {
        bool may_open = (args->flags & QS_MSG_NEW) != 0 || args->stream_id == QS_STREAM_ANY;
        if (qs_id_is_over(s, *id)) {
            return qs_over_errno(s);
        }
        return qs_id_is_ours(s, *id) && may_open ? 0 : -EINVAL;
    }
    /* Another thread's, which may end it. */
    bool joins = args->stream_id == QS_STREAM_ANY && (*out)->tx_busy;
    bool is_new = (args->flags & QS_MSG_NEW) != 0;
    return is_new && !joins && (*out)->send_state != QS_SEND_READY ? -EINVAL : 0;
}

static int qs_pick_stream(qs_sock *s, const qs_send_args *args, uint64_t deadline, qs_stream **out)
{
    uint64_t id = 0;
    qs_stream *st = NULL;
    int rc = qs_look_stream(s, args, &id, &st);
    while (rc == 0 && st == NULL && !qs_limit_allows(s, id)) {
        rc = qs_await_limit(s, id, args, deadline);
        /* Another thread may have been faster: it has that one now, or has even ended it. */
        rc = rc == 0 ? qs_look_stream(s, args, &id, &st) : rc;
    }
    if (rc == 0 && st == NULL) {
        rc = qs_open_up_to(s, id, &st);
    }
    if (rc == 0 && (st->fin_queued || st->send_state >= QS_SEND_SENT || st->reset_asked)) {
        rc = -EINVAL;
    }
    *out = st;
    return rc;
}

/* The stream that an option opens: a new one, or one that is open only because a higher one is (RFC 9000 3.2). */
static int qs_look_new(const qs_sock *s, const qs_send_args *args, uint64_t *id, qs_stream **out)
{
    bool is_any = args->stream_id == QS_STREAM_ANY;
    *id = is_any ? s->next_id[(args->flags & QS_MSG_UNI) != 0] : args->stream_id;
    *out = qs_stream_find(s, *id);
    if (*out != NULL) {
        bool untouched =
            (*out)->implied && (*out)->send_state == QS_SEND_READY && !(*out)->reset_asked;
        return untouched ? 0 : -EINVAL;
    }
    if (!qs_id_is_ours(s, *id) || *id >> 62 != 0) {
        return -EINVAL; /* RFC 9000 2.1 */
    }
    return qs_id_is_over(s, *id) ? qs_over_errno(s) : 0;
}

int qs_stream_open_opt(qs_sock *s, uint64_t *id, uint32_t flags)
{
    qs_send_args args = {.stream_id = *id,
                         .flags = qs_flags_of(s, flags) | QS_MSG_NEW,
                         .has_info = true,
                         .level = -1};
    uint64_t want = 0;
    qs_stream *st = NULL;
    pthread_mutex_lock(&s->lock);
    uint64_t deadline = s->sndtimeo_ns != 0 ? qs_now_ns() + s->sndtimeo_ns : 0;
    int rc = s->state == QS_CLOSED ? -EPIPE : s->state < QS_CONNECTING ? -EINVAL : 0;
    rc = rc == 0 ? qs_look_new(s, &args, &want, &st) : rc;
    while (rc == 0 && st == NULL && !qs_limit_allows(s, want)) {
        rc = qs_await_limit(s, want, &args, deadline);
        /* Not what another has opened meanwhile. */
        rc = rc == 0 ? qs_look_new(s, &args, &want, &st) : rc;
    }
    if (rc == 0 && s->shut_wr) {
        rc = -EPIPE;
    }
    if (rc == 0 && st == NULL) {
        rc = qs_open_up_to(s, want, &st);
    }
    if (rc == 0) {
        st->implied = false;
        s->active_id = want;
        *id = want;
        qs_not_starved(s); /* what names no stream is for this one now */
        qs_kick(s, QS_ASK_TX);
    }
    qs_unlock(s);
    return rc;
}

/* ---- bytes ------------------------------------------------------------------------------------------------ */

typedef struct qs_source {
    const struct iovec *iov;
    size_t iov_left;
    size_t off;
} qs_source;

static void qs_copy_in(qs_source *from, uint8_t *to, size_t len)
{
    while (len > 0) {
        size_t room = from->iov->iov_len - from->off;
        size_t n = len < room ? len : room;
        if (n > 0) {
            memcpy(to, (const uint8_t *)from->iov->iov_base + from->off, n);
        }
        to += n;
        len -= n;
        from->off += n;
        if (from->off == from->iov->iov_len) {
            from->iov++;
            from->iov_left--;
            from->off = 0;
        }
    }
}

/* Room at the end of what the stream holds: the last chunk's, or a new chunk. */
static qs_chunk *qs_chunk_room(qs_stream *st, size_t want)
{
    qs_chunk *tail = st->tx_tail;
    if (tail != NULL && tail->len < tail->cap) {
        return tail;
    }
    size_t cap = want > QS_CHUNK_BYTES ? QS_CHUNK_BYTES : want < 1024 ? 1024 : want;
    qs_chunk *chunk = (qs_chunk *)malloc(sizeof(*chunk) + cap);
    if (chunk == NULL) {
        return NULL;
    }
    memset(chunk, 0, sizeof(*chunk));
    chunk->cap = (uint32_t)cap;
    chunk->start = st->tx_next;
    *(st->tx_tail == NULL ? &st->tx_head : &st->tx_tail->next) = chunk;
    st->tx_tail = chunk;
    return chunk;
}

void qs_uncork_all(qs_sock *s)
{
    for (size_t i = 0; i < QS_STREAM_HASH; i++) {
        for (qs_stream *st = s->streams[i]; st != NULL; st = st->hash_next) {
            if (st->corked) {
                st->corked = false;
                qs_stream_queue(s, st);
                qs_kick(s, QS_ASK_TX);
            }
        }
    }
}

/* Waits for room in the send buffer, and for another thread in the middle of a message; lock held. -ESTALE: after
 * that one the stream is not one for this message any more. */
static int qs_await_room(qs_sock *s, qs_stream *st, const qs_send_args *args, bool mine,
                         uint64_t deadline)
{
    const qs_hold hold = {st, mine};
    for (;;) {
        if (s->state == QS_CLOSED || s->shut_wr || s->app_closed) {
            return -EPIPE;
        }
        if (st->reset_asked || st->send_state >= QS_SEND_RESET_SENT) {
            return mine ? -EPIPE : -EINVAL;
        }
        bool is_new = (args->flags & QS_MSG_NEW) != 0;
        if (!mine &&
            (st->fin_queued || (is_new && !st->tx_busy && st->send_state != QS_SEND_READY))) {
            return -ESTALE; /* whom it waited for has ended it, or begun it */
        }
        bool has_credit = !qs_credit_stream_is_out(s, st) && !qs_credit_conn_is_out(s);
        if (qs_tx_has_room(s) && has_credit && (mine || !st->tx_busy)) {
            return 0;
        }
        if (!qs_tx_has_room(s) || !has_credit) {
            qs_uncork_all(s); /* what is held back makes no room */
        }
        bool dontwait = args->dontwait || s->nonblock;
        int rc = dontwait ? -EAGAIN : qs_wait(s, QS_WAIT_TX, deadline, &hold);
        if (rc == -EAGAIN) {
            if (!args->has_info && qs_credit_stream_is_out(s, st)) {
                s->starved_id = st->id; /* who names no stream has no other to turn to */
            }
            qs_fix_now(s); /* and the room that comes makes an edge */
        }
        if (dontwait && args->has_info && qs_tx_has_room(s) && !qs_credit_conn_is_out(s) &&
            qs_credit_stream_is_out(s, st)) {
            return -ENOSPC; /* other streams can go on */
        }
        if (rc != 0) {
            return rc;
        }
    }
}

static ssize_t qs_send_bytes(qs_sock *s, qs_stream *st, const struct msghdr *msg, size_t total,
                             const qs_send_args *args, uint64_t deadline)
{
    qs_source from = {msg->msg_iov, msg->msg_iovlen, 0};
    size_t done = 0;
    int rc = qs_await_room(s, st, args, false, deadline);
    if (rc != 0) {
        return rc;
    }
    st->tx_busy = true;
    while (done < total) {
        rc = qs_await_room(s, st, args, true, deadline);
        qs_chunk *chunk = rc == 0 ? qs_chunk_room(st, total - done) : NULL;
        if (chunk == NULL) {
            rc = rc == 0 ? -ENOMEM : rc;
            break;
        }
        size_t n = chunk->cap - chunk->len;
        n = n < total - done ? n : total - done;
        uint64_t room = s->tx_limit - s->tx_bytes;
        n = qs_credit_take(s, st, n < room ? n : (size_t)room);
        st->tx_copying = true;
        uint8_t *to = chunk->data + chunk->len; /* which a stop may cut meanwhile */
        qs_unlock(s);
        qs_copy_in(&from, to, n);
        pthread_mutex_lock(&s->lock);
        st->tx_copying = false;
        if (st->send_state >= QS_SEND_RESET_SENT) { /* meanwhile: nobody wants these */
            qs_tx_reap(s, st);
            rc = -EPIPE;
            break;
        }
        chunk->len += (uint32_t)n;
        st->tx_next += n;
        s->tx_total += n;
        s->tx_bytes += n;
        done += n;
        s->starved_id = QS_STREAM_ANY; /* there is one that goes on */
        st->send_state = st->send_state == QS_SEND_READY ? QS_SEND_SEND : st->send_state;
        st->corked = args->more && s->tx_bytes < QS_CHUNK_BYTES;
        if (!st->corked) {
            qs_stream_queue(s, st);
            qs_kick(s, QS_ASK_TX);
        }
    }
    st->tx_busy = false;
    if (done == total && (args->flags & QS_MSG_FIN) != 0) {
        st->fin_queued = true;
        st->send_state = st->send_state == QS_SEND_READY ? QS_SEND_SEND : st->send_state;
        if (s->active_id == st->id) {
            s->active_id = QS_STREAM_ANY;
        }
        st->corked = false;
        qs_stream_queue(s, st);
        qs_kick(s, QS_ASK_TX);
    }
    /* A little, and all before it has arrived: as with Nagle's rule, what follows fills packets instead. */
    if (done == total && total <= QS_VISIT_BYTES && s->tx_bytes == total) {
        qs_visit(s);
    }
    qs_ready_update(s);
    qs_wake(s, QS_WAIT_TX); /* a thread may wait for this one to end */
    return done > 0 || total == 0 ? (ssize_t)done : rc;
}

static ssize_t qs_send_stream(qs_sock *s, const struct msghdr *msg, size_t total,
                              const qs_send_args *args)
{
    pthread_mutex_lock(&s->lock);
    ssize_t result = 0;
    qs_stream *st = NULL;
    uint64_t deadline = s->sndtimeo_ns != 0 ? qs_now_ns() + s->sndtimeo_ns : 0;
    if (s->state < QS_CONNECTING || s->state == QS_CLOSED || s->shut_wr) {
        result = -EPIPE;
    } else if (total == 0 && (args->flags & QS_MSG_FIN) == 0) {
        result = s->protocol == QS_PROTO_DRAFT ? 0 : -EMSGSIZE;
        qs_unlock(s);
        return result;
    }
    bool again = result == 0;
    while (again) {
        result = qs_pick_stream(s, args, deadline, &st);
        if (result == 0) {
            st->users++;
            qs_set_last_stream(st->id);
            result = qs_send_bytes(s, st, msg, total, args, deadline);
            qs_stream_leave(s, st);
        }
        again = result == -ESTALE && args->stream_id == QS_STREAM_ANY;
    }
    qs_unlock(s);
    return result == -ESTALE ? -EINVAL : result;
}

static ssize_t qs_send_handshake(qs_sock *s, const struct msghdr *msg, size_t total, int level)
{
    static const int levels[] = {[QS_LEVEL_APP] = QURING_LEVEL_APP,
                                 [QS_LEVEL_INITIAL] = QURING_LEVEL_INITIAL,
                                 [QS_LEVEL_HANDSHAKE] = QURING_LEVEL_HANDSHAKE};
    if (level >= QS_LEVEL_EARLY) {
        return -EINVAL; /* RFC 9001 4.1.3 */
    }
    if (total == 0 || total > QS_CRYPTO_SEND_MAX) {
        return -EMSGSIZE;
    }
    uint8_t *flat = (uint8_t *)malloc(total);
    if (flat == NULL) {
        return -ENOMEM;
    }
    qs_source from = {msg->msg_iov, msg->msg_iovlen, 0};
    qs_copy_in(&from, flat, total);
    int rc = qs_hs_send(s, (quring_level)levels[level], flat, total);
    free(flat);
    return rc == 0 ? (ssize_t)total : rc;
}

ssize_t qs_op_sendmsg(qs_sock *s, const struct msghdr *msg, int flags)
{
    qs_send_args args;
    qs_set_last_stream(QS_STREAM_ANY);
    int rc = qs_parse_send(s, msg, flags, &args);
    if (rc != 0) {
        return rc;
    }
    size_t total = 0;
    rc = qs_parts_total(msg, &total);
    if (rc != 0) {
        return rc;
    }
    if (total > QS_CALL_MAX) { /* as Linux: one call takes no more, the end is not reached */
        total = QS_CALL_MAX;
        args.flags &= ~(uint32_t)QS_MSG_FIN;
    }
    if (args.level >= 0) {
        return qs_send_handshake(s, msg, total, args.level);
    }
    if ((args.flags & QS_MSG_DATAGRAM) != 0) {
        return qs_dgram_send(s, msg, total, args.dontwait);
    }
    return qs_send_stream(s, msg, total, &args);
}

/* Streams by number. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compat/core/layout.h"
#include "compat/core/sock.h"

static size_t qs_bucket(uint64_t id)
{
    return (size_t)((id >> 2) ^ (id << 4)) & (QS_STREAM_HASH - 1);
}

qs_stream *qs_stream_find(const qs_sock *s, uint64_t id)
{
    qs_stream *st = s->streams[qs_bucket(id)];
    while (st != NULL && st->id != id) {
        st = st->hash_next;
    }
    return st;
}

qs_stream *qs_stream_add(qs_sock *s, uint64_t id)
{
    qs_stream *st = (qs_stream *)calloc(1, sizeof(*st));
    if (st == NULL) {
        return NULL;
    }
    st->id = id;
    st->send_state = QS_SEND_READY;
    st->recv_state = QS_RECV_RECV;
    qs_credit_begin(s, st);
    qs_stream **bucket = &s->streams[qs_bucket(id)];
    st->hash_next = *bucket;
    *bucket = st;
    return st;
}

bool qs_stream_is_any_open(const qs_sock *s)
{
    for (size_t i = 0; i < QS_STREAM_HASH; i++) {
        for (const qs_stream *st = s->streams[i]; st != NULL; st = st->hash_next) {
            if (qs_id_sends(s, st->id) && st->send_state < QS_SEND_SENT && !st->fin_queued &&
                !st->reset_asked) {
                return true;
            }
        }
    }
    return false;
}

static void qs_stream_free(qs_sock *s, qs_stream *st)
{
    qs_tx_free(s, st);
    free(st);
}

void qs_stream_remove(qs_sock *s, qs_stream *st)
{
    for (qs_stream **at = &s->streams[qs_bucket(st->id)]; *at != NULL; at = &(*at)->hash_next) {
        if (*at == st) {
            *at = st->hash_next;
            break;
        }
    }
    if (st->in_work) {
        qs_stream *before = NULL;
        for (qs_stream *w = s->work_head; w != st; w = w->work_next) {
            before = w;
        }
        *(before == NULL ? &s->work_head : &before->work_next) = st->work_next;
        if (s->work_tail == st) {
            s->work_tail = before;
        }
    }
    qs_stream_free(s, st);
}

void qs_streams_free(qs_sock *s)
{
    s->work_head = NULL;
    s->work_tail = NULL;
    for (size_t i = 0; i < QS_STREAM_HASH; i++) {
        qs_stream **at = &s->streams[i];
        while (*at != NULL) {
            qs_stream *st = *at;
            st->in_work = false;
            st->closed = true;
            st->handle.handle = 0;
            if (st->users > 0) {
                at = &st->hash_next; /* goes with the socket */
                continue;
            }
            *at = st->hash_next;
            qs_stream_free(s, st);
        }
    }
}

void qs_stream_queue(qs_sock *s, qs_stream *st)
{
    if (!st->in_work) {
        st->in_work = true;
        st->work_next = NULL;
        *(s->work_tail == NULL ? &s->work_head : &s->work_tail->work_next) = st;
        s->work_tail = st;
    }
}

void qs_stream_leave(qs_sock *s, qs_stream *st)
{
    st->users--;
    if (st->closed && st->users == 0) {
        qs_stream_queue(s, st); /* the worker removes it */
        qs_kick(s, QS_ASK_TX);
    }
}

int qs_over_errno(const qs_sock *s)
{
    return s->protocol == QS_PROTO_KERNEL ? -ENOSTR : -EINVAL;
}

void qs_stream_update(qs_sock *s, const qs_stream *st, uint32_t state, uint32_t errcode,
                      uint64_t final_size)
{
    qs_wire_stream_update update = {st->id, state, errcode, final_size};
    qs_rx_push_event(s, QS_EVENT_STREAM_UPDATE, &update, sizeof(update));
}

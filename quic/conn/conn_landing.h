/* quic/conn/conn_landing.h: where the payload of a packet of bulk data is opened to, so that nothing is copied.
 *
 * Shape:  after two packets for one stream, the next is taken to be what the last one was, one STREAM frame without
 *         a length that goes on where its stream's data ends: it is opened such that the data comes to lie where the
 *         stream keeps it. The frame's head then covers bytes in front of it that may be unread; they are put back
 *         before anything else happens. A packet that was something else is moved to its own place, and taken from
 *         there. Packets that landed one behind the other wait, as a run, to be taken together.
 * Owner:  conn_recv.c: a landing for one packet, a run for those whose header protection comes off together.
 */
#ifndef QUIC_CONN_CONN_LANDING_H
#define QUIC_CONN_CONN_LANDING_H

#include "quic/base/types.h"
#include "quic/stream/recv_buf.h"
#include "quic/stream/stream.h"
#include "quic/stream/stream_table.h"
#include "quic/wire/frame.h"
#include "quic/wire/frame_decode.h"

typedef struct quic_landing {
    uint8_t *data; /* where the frame's data belongs; NULL: the packet is opened in place */
    const quic_stream *stream;
    uint64_t off; /* of these data in the stream */
    size_t head_len;
    quic_frame_stream frame;                 /* after quic_landing_is_right */
    uint8_t covered[QUIC_RECV_LANDING_HEAD]; /* what was in front of the data */
} quic_landing;

/* quic_landing_find looks for the place for a payload of payload_len bytes after a packet that was a STREAM frame
 * with a head of head_len bytes, 0: it was not. `ahead` bytes of that stream have landed and are not taken yet. Returns
 * whether there is one. */
static inline bool quic_landing_find(quic_landing *l, const quic_stream_table *streams,
                                     size_t head_len, size_t payload_len, size_t ahead)
{
    const quic_stream *s = streams->last;
    if (head_len == 0 || payload_len <= head_len || s == NULL || s->stop_asked) {
        return false;
    }
    l->data = quic_recv_buf_landing(&s->recv, ahead, payload_len - head_len);
    if (l->data == NULL) {
        return false;
    }
    l->stream = s;
    l->off = s->recv.recv_off + ahead;
    l->head_len = head_len;
    memcpy(l->covered, l->data - sizeof(l->covered), sizeof(l->covered));
    return true;
}

/* quic_landing_start: where the packet is to be opened to. */
static inline uint8_t *quic_landing_start(const quic_landing *l)
{
    return l->data - l->head_len;
}

/* quic_landing_is_right: whether the packet is what it was taken to be. Fills l->frame. */
static inline bool quic_landing_is_right(quic_landing *l, size_t payload_len)
{
    const uint8_t *head = quic_landing_start(l);
    return quic_frame_is_stream(head[0]) && (head[0] & QUIC_FRAME_STREAM_LEN) == 0 &&
           quic_frame_decode_stream(&l->frame, head, payload_len) != 0 &&
           l->frame.data == l->data && l->frame.id == l->stream->id && l->frame.off == l->off;
}

/* quic_landing_uncover puts back what was in front of the data; quic_landing_clear also forgets the landing. */
static inline void quic_landing_uncover(const quic_landing *l)
{
    memcpy(l->data - sizeof(l->covered), l->covered, sizeof(l->covered));
}
static inline void quic_landing_clear(quic_landing *l)
{
    quic_landing_uncover(l);
    l->data = NULL;
}

/* Packets with numbers in a row whose data have landed in a row: taken together, as one frame. */
typedef struct quic_landed_run {
    quic_frame_stream frame; /* of all */
    uint64_t pn;             /* of the first */
    uint32_t count;          /* 0: there are none */
} quic_landed_run;

/* quic_landed_run_may_begin: whether the landed packet is one of those that are taken together: nothing but its data
 * comes of it, neither an end nor an error. `credit` is the connection's. */
static inline bool quic_landed_run_may_begin(const quic_landing *l, uint64_t credit)
{
    const quic_stream *s = l->stream;
    return !l->frame.fin && s->recv_state == QUIC_RECV_RECV && s->recv.recv_off == l->off &&
           l->frame.len <= credit && l->off + l->frame.len <= s->recv_flow.limit;
}

/* quic_landed_run_take adds a landed packet. False: it does not belong to the run, nothing was done. */
static inline bool quic_landed_run_take(quic_landed_run *run, const quic_landing *l, uint64_t pn,
                                        uint64_t credit)
{
    const quic_frame_stream *f = &l->frame;
    if (run->count == 0 || pn != run->pn + run->count || f->id != run->frame.id || f->fin ||
        f->data != run->frame.data + run->frame.len || run->frame.len + f->len > credit ||
        f->off + f->len > l->stream->recv_flow.limit) {
        return false;
    }
    run->frame.len += f->len;
    run->count++;
    return true;
}

#endif /* QUIC_CONN_CONN_LANDING_H */

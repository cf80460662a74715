/* quic/stream/stream_send.h: the sending half of a stream.
 *
 * Flow:   write -> send_next/encode/commit per STREAM frame, or send_run and its own for many alike -> on_acked or
 *         on_lost per frame, or for several that touch.
 *         The connection keeps the stream in its scheduler while quic_stream_can_send says true,
 *         and in its control list while s->ctrl_pending != 0.
 * Owner:  the connection calls; nothing here calls back.
 * Spec:   RFC 9000 3.1, 3.5, 4.1, 13.3, 19.4, 19.5, 19.8, 19.10, 19.13.
 */
#ifndef QUIC_STREAM_STREAM_SEND_H
#define QUIC_STREAM_STREAM_SEND_H

#include "quic/base/types.h"
#include "quic/stream/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- application ----------------------------------------------------------------------------- */

enum { QUIC_STREAM_WRITE_FIN = 1u << 0, QUIC_STREAM_WRITE_LEND = 1u << 2 }; /* as QUIC_WRITE_* */

/* quic_stream_write queues a prefix of `data`, and the end when FIN is asked and all was taken.
 *
 *   conn_room      bytes the connection's send budget still allows (quic_send_buf_held summed)
 *   out_accepted   0..len
 *
 * Returns QUIC_OK (something, or the end, was taken); QUIC_E_AGAIN (nothing was; write_blocked is
 * set, as it is when only a part was taken); QUIC_E_STATE (ended, reset, or not a sending stream);
 * QUIC_E_NOMEM (nothing taken). With LEND `data` is kept until the release facts of on_acked. */
QUIC_NODISCARD quic_rc quic_stream_write(quic_stream *s, size_t *out_accepted, const uint8_t *data,
                                         size_t len, uint32_t flags, uint64_t conn_room);

/* quic_stream_writable gives the bytes a write would take now, the connection's budget aside. */
uint64_t quic_stream_writable(const quic_stream *s);

/* What a change means for the connection. */
typedef struct quic_stream_send_facts {
    uint64_t freed_bytes;  /* held bytes that went away: connection budget */
    uint64_t released_off; /* lent bytes below it are free, if `released` */
    bool released;         /* lent bytes became free */
    bool writable;         /* a write was cut short, and there is room (a quarter) again */
    bool finished;         /* DATA_RECVD was entered: everything arrived */
    bool done;             /* the half is over now (DATA_RECVD or RESET_RECVD) */
} quic_stream_send_facts;

/* quic_stream_reset abandons sending: queues RESET_STREAM with `app_error` (RFC 9000 3.1) and drops
 * what is held (facts: freed_bytes, released). After quic_stream_reset_at its code stays.
 * Returns QUIC_OK; QUIC_E_STATE (no sending half, everything acknowledged, or reset already). */
quic_rc quic_stream_reset(quic_stream *s, uint64_t app_error, quic_stream_send_facts *facts);

/* quic_stream_reset_at abandons sending beyond `reliable_size`, a number of bytes from the stream's start on:
 * these arrive, what is behind them need not (Reliable Stream Resets 5). RESET_STREAM_AT becomes pending
 * when all of them have left. Again with a smaller size, or quic_stream_reset, takes reliability back;
 * reliable_size 0 is quic_stream_reset.
 * Returns QUIC_OK; QUIC_E_STATE as quic_stream_reset; QUIC_E_INVAL (more than was written, a larger size
 * or another code than before). */
quic_rc quic_stream_reset_at(quic_stream *s, uint64_t app_error, uint64_t reliable_size,
                             quic_stream_send_facts *facts);

/* quic_stream_unsent: bytes that wait to be sent for the first time. */
static inline uint64_t quic_stream_unsent(const quic_stream *s)
{
    uint64_t end = QUIC_UNLIKELY(s->reset_at) ? s->reliable_size : s->send.write_off;
    return end > s->send.next_off ? end - s->send.next_off : 0;
}

/* ---- frames that arrive ---------------------------------------------------------------------- */

/* quic_stream_on_stop_sending answers STOP_SENDING with a reset of the same code (RFC 9000 3.5).
 * Returns true when this is news the application should hear (peer_stop_error is set then). The
 * table has checked that the stream has a sending half. */
bool quic_stream_on_stop_sending(quic_stream *s, uint64_t app_error, quic_stream_send_facts *facts);

/* quic_stream_on_max_data takes MAX_STREAM_DATA. Returns true when the stream may send more. */
bool quic_stream_on_max_data(quic_stream *s, uint64_t limit);

/* ---- packets that leave ---------------------------------------------------------------------- */

/* One STREAM frame to be. */
typedef struct quic_stream_chunk {
    uint64_t off;
    uint32_t len;        /* data bytes */
    uint32_t new_bytes;  /* of them sent for the first time: connection flow control */
    uint16_t header_len; /* type, id, offset, length fields */
    uint8_t pad_len;     /* PADDING bytes in front, so that the frame ends where the room ends */
    bool fin;
    bool is_retransmit;
    bool has_len; /* false: the frame fills its packet */
} quic_stream_chunk;

/* quic_stream_can_send says whether quic_stream_send_next would find something with this credit. */
static inline bool quic_stream_can_send(const quic_stream *s, uint64_t conn_credit)
{
    if (s->send_state < QUIC_SEND_READY || s->send_state > QUIC_SEND_DATA_SENT) {
        return false;
    }
    if (quic_send_buf_has_lost(&s->send) || s->fin_lost) {
        return true;
    }
    if (quic_stream_unsent(s) == 0) {
        return s->fin_written && !s->fin_sent;
    }
    return conn_credit != 0 && s->send_flow.used < s->send_flow.limit;
}

/* quic_stream_send_next decides the next STREAM frame: lost bytes first (they need no credit), then
 * new ones within the stream's and the connection's credit, then a bare end.
 *
 *   conn_credit   bytes, connection flow control
 *   room          bytes left in the packet for the whole frame
 *
 * The frame uses `room` fully when there is enough to send: a frame without a length field then,
 * and nothing may follow it in the packet (out->has_len is false).
 * Returns false when nothing may be sent or not even one byte fits. Changes nothing, except that
 * DATA_BLOCKED may become pending (quic_stream_note_blocked does the same without a packet). */
QUIC_NODISCARD bool quic_stream_send_next(quic_stream *s, uint64_t conn_credit, size_t room,
                                          quic_stream_chunk *out);

/* quic_stream_note_blocked sets QUIC_STREAM_CTRL_DATA_BLOCKED when bytes wait for the stream's own
 * credit, once per limit. Returns true when it did. */
bool quic_stream_note_blocked(quic_stream *s);

/* quic_stream_chunk_size gives pad_len + header_len + len, the bytes the frame takes. */
static inline size_t quic_stream_chunk_size(const quic_stream_chunk *chunk)
{
    return (size_t)chunk->pad_len + chunk->header_len + chunk->len;
}

/* quic_stream_chunk_encode writes the frame (quic_stream_chunk_size bytes) to `dst`, data included:
 * the one copy on the way out. Returns the bytes written. */
size_t quic_stream_chunk_encode(quic_stream *s, const quic_stream_chunk *chunk, uint8_t *dst);

/* quic_stream_chunk_encode_head writes the frame without its data, and shows where that lies: the caller puts
 * chunk->len bytes behind. Returns the bytes written; 0 (nothing written) when the data lies in two pieces. */
size_t quic_stream_chunk_encode_head(quic_stream *s, const quic_stream_chunk *chunk, uint8_t *dst,
                                     const uint8_t **out_data);

/* Frames of equal length, each of which fills its packet, with new bytes that lie in one piece. */
typedef struct quic_stream_run {
    const uint8_t *data; /* `count` times `len` bytes */
    uint64_t off;
    uint32_t len; /* data bytes of each frame */
    uint32_t count;
    uint16_t header_len; /* of each frame: type, id, offset */
} quic_stream_run;

/* quic_stream_send_run decides frames that quic_stream_send_next would decide one after the other for packets
 * with `room` bytes each: at most `count_max`, and so few that something of the stream, its credit and the
 * connection's is left, so that quic_stream_can_send holds. False: the next one is of another kind. Changes nothing. */
QUIC_NODISCARD bool quic_stream_send_run(quic_stream *s, uint64_t conn_credit, size_t room,
                                         uint32_t count_max, quic_stream_run *out);

/* quic_stream_run_encode_head writes the frame of number `i` without its data. Returns run->header_len. */
size_t quic_stream_run_encode_head(const quic_stream *s, const quic_stream_run *run, uint32_t i,
                                   uint8_t *dst);

/* quic_stream_send_run_commit is quic_stream_send_commit for all frames of the run. */
void quic_stream_send_run_commit(quic_stream *s, const quic_stream_run *run);

/* quic_stream_send_commit notes that the frame goes out: state, credit, retransmission queue. The
 * caller adds chunk->new_bytes to the connection's `used`, and remembers off, len, fin for the
 * packet. */
void quic_stream_send_commit(quic_stream *s, const quic_stream_chunk *chunk);

/* ---- what became of a packet ----------------------------------------------------------------- */

/* quic_stream_on_acked: a STREAM frame arrived. Fills *facts. */
void quic_stream_on_acked(quic_stream *s, uint64_t off, uint64_t len, bool fin,
                          quic_stream_send_facts *facts);

/* quic_stream_on_lost: a STREAM frame was declared lost. Returns true when the stream has something
 * to repeat: put it into the scheduler. */
bool quic_stream_on_lost(quic_stream *s, uint64_t off, uint64_t len, bool fin);

/* quic_stream_rewind makes everything that was sent unsent: it went in 0-RTT packets, which the
 * server refused (RFC 9001 4.6.2). Not an edge of RFC 9000 3.1, the sending never happened. Credit
 * starts over at 0. Nothing was acknowledged (asserted); not in a scheduler. */
void quic_stream_rewind(quic_stream *s);

/* quic_stream_on_reset_acked: RESET_STREAM (reliable_size 0) or RESET_STREAM_AT arrived. Fills *facts. */
void quic_stream_on_reset_acked(quic_stream *s, uint64_t reliable_size,
                                quic_stream_send_facts *facts);

/* quic_stream_on_ctrl_lost: one control frame (a QUIC_STREAM_CTRL_* bit) was lost. Sets it pending
 * again if it still says something (RFC 9000 13.3). Returns true when it did. */
bool quic_stream_on_ctrl_lost(quic_stream *s, uint32_t ctrl);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_STREAM_STREAM_SEND_H */

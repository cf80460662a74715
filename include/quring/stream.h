/* quring/stream.h: streams: open, read, write, end, abandon (RFC 9000 2 and 3).
 *
 * Threads: as in quring/conn.h.
 * Copies:  quring_stream_write copies once into the stream's send buffer; quring_stream_lend copies
 *          nothing: the bytes stay yours and must not change until RELEASED. quring_stream_peek
 *          shows received bytes where they lie; quring_stream_read copies them out.
 */
#ifndef QURING_STREAM_H
#define QURING_STREAM_H

#include "quring/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    QURING_STREAM_UNI = 1u << 0, /* quring_stream_open: unidirectional */
};
/* FIN: the stream ends after these bytes (when all were accepted). MORE: more follows at once. What is
 * written in one turn of a worker leaves together from its end on, as pacer, window and credit let it, with
 * this flag or without: today the flag is only taken. */
enum {
    QURING_WRITE_FIN = 1u << 0,
    QURING_WRITE_MORE = 1u << 1,
};

enum {
    QURING_PRIORITY_INCREMENTAL = 1u << 0, /* quring_stream_set_priority: takes turns */
};

/* quring_stream_open opens a stream of ours. Returns QURING_OK; QURING_E_AGAIN (the peer allows no
 * more now; STREAMS_AVAILABLE follows); QURING_E_STATE (not connected); QURING_E_NOMEM;
 * QURING_E_THREAD. */
QURING_EXPORT QURING_NODISCARD quring_status quring_stream_open(quring_stream *out,
                                                                quring_conn conn, uint32_t flags);

/* quring_streams_blocked tells the peer that we want more streams of a kind (QURING_STREAM_UNI or 0) than it
 * allows (RFC 9000 19.14), once for each limit; a peer of ours gives one for every one that ends then,
 * instead of many at a time. quring_stream_open does it by itself when it says AGAIN. Returns QURING_OK;
 * QURING_E_STATE (not connected); QURING_E_INVAL; QURING_E_THREAD. */
QURING_EXPORT quring_status quring_streams_blocked(quring_conn conn, uint32_t flags);

/* quring_stream_set_ctx sets the pointer that events carry as stream_ctx; quring_stream_get_ctx gives
 * it back, NULL for a dead handle or off the owning worker. set returns QURING_OK; QURING_E_STATE;
 * QURING_E_THREAD. */
QURING_EXPORT quring_status quring_stream_set_ctx(quring_stream stream, void *ctx);
QURING_EXPORT void *quring_stream_get_ctx(quring_stream stream);
/* quring_stream_id gives the RFC 9000 2.1 identifier, UINT64_MAX for a dead handle. */
QURING_EXPORT uint64_t quring_stream_id(quring_stream stream);
/* quring_stream_conn gives the connection it belongs to; handle 0 for a dead stream. */
QURING_EXPORT quring_conn quring_stream_conn(quring_stream stream);

/* quring_stream_write queues up to `len` bytes; *out_written says how many were taken (a prefix).
 * The end (QURING_WRITE_FIN) is taken only when all bytes were. len 0 with FIN is allowed. A want of memory is a want
 * of room, too.
 *
 * Returns QURING_OK when at least one byte or the end was taken; QURING_E_AGAIN when nothing was
 * (WRITABLE follows); also follows when only a part was taken. QURING_E_STATE (ended, reset, or
 * not a sending stream, or the peer has stopped it, or the connection is over: the event comes);
 * QURING_E_THREAD. Copies `data`. */
QURING_EXPORT QURING_NODISCARD quring_status quring_stream_write(quring_stream stream,
                                                                 size_t *out_written,
                                                                 const void *data, size_t len,
                                                                 uint32_t flags);

/* quring_stream_lend is quring_stream_write without the copy: accepted bytes are kept until an event
 * RELEASED with an offset at or beyond them (offsets count the stream's bytes from 0), or CLOSED. */
QURING_EXPORT QURING_NODISCARD quring_status quring_stream_lend(quring_stream stream,
                                                                size_t *out_accepted,
                                                                const void *data, size_t len,
                                                                uint32_t flags);

/* quring_stream_peek shows the next readable bytes: up to two spans (the buffer is a ring), borrowed
 * until the next read, consume or stop on this stream or the end of the callback (writing on it
 * is fine). *out_fin is true when the stream
 * ends right after these bytes. quring_stream_consume takes `len` of them (at most what peek
 * showed) and gives credit back to the peer; consuming up to the end finishes the reading.
 * What has arrived, and was acknowledged therefore, can be read when the connection is over, too, until the
 * callback of QURING_EV_CLOSED ends.
 *
 * Returns QURING_OK (bytes, or the end, are there); QURING_E_AGAIN (nothing yet; READABLE follows);
 * QURING_E_STATE (already finished, reset, or not a receiving stream); QURING_E_THREAD. consume says
 * QURING_E_INVAL for more than is there, and never QURING_E_AGAIN. */
QURING_EXPORT QURING_NODISCARD quring_status quring_stream_peek(quring_stream stream,
                                                                quring_bytes out_spans[2],
                                                                bool *out_fin);
QURING_EXPORT quring_status quring_stream_consume(quring_stream stream, size_t len);

/* quring_stream_read copies up to `len` bytes out and consumes them. Results as peek's. */
QURING_EXPORT QURING_NODISCARD quring_status quring_stream_read(quring_stream stream,
                                                                size_t *out_read, bool *out_fin,
                                                                void *buf, size_t len);

/* quring_stream_reset abandons sending (RESET_STREAM, RFC 9000 3.1); lent buffers come back with
 * RELEASED. quring_stream_stop_sending asks the peer to stop and discards what arrives (3.5).
 * Return QURING_OK; QURING_E_STATE; QURING_E_THREAD; QURING_E_INVAL (code above 2^62-1). */
QURING_EXPORT quring_status quring_stream_reset(quring_stream stream, uint64_t app_error);

/* quring_stream_reset_at abandons sending, too, but the first `reliable_size` bytes written still arrive; the
 * peer hears of the reset when it has read them (draft-ietf-quic-reliable-stream-reset). The stream takes no
 * more writes. It may be called again with the same code and a smaller size, or followed by
 * quring_stream_reset, which keeps the code; 0 is quring_stream_reset. FINISHED does not come.
 * Returns QURING_OK; QURING_E_NOT_SUPPORTED (the peer cannot do it); QURING_E_AGAIN (a client whose 0-RTT is
 * not answered yet: before CONNECTED; no event of its own follows); QURING_E_INVAL (more than was written,
 * more than before, another code than before, or a code above 2^62-1); QURING_E_STATE; QURING_E_THREAD. */
QURING_EXPORT quring_status quring_stream_reset_at(quring_stream stream, uint64_t app_error,
                                                   uint64_t reliable_size);
QURING_EXPORT quring_status quring_stream_stop_sending(quring_stream stream, uint64_t app_error);

/* quring_stream_set_priority says when a stream's bytes leave beside those of other streams of its
 * connection, in the terms of RFC 9218 4. Both ends decide for what they send; nothing goes to the peer.
 *
 *   urgency   0 (first) .. 7. Nothing of a stream leaves while one of a smaller number has something that
 *             may be sent. Streams begin with 3.
 *   flags     QURING_PRIORITY_INCREMENTAL, as streams begin: those of one urgency take turns, 16 KiB or a
 *             train of packets at a time, and get the same. Without it, they go one after another, in order
 *             of their identifiers; beside incremental ones the first of them has every other turn
 *             (RFC 9218 10).
 *
 * It counts from the next packet on, also for lost bytes that are repeated, and may be changed at any time.
 * What has been sent cannot be overtaken: bytes wait behind those in the congestion window and in queues of
 * the path. Credit (MAX_DATA) and send buffers of the connection are shared with less urgent streams:
 * limits.conn_send_buf_bytes says what each can write in any case.
 *
 * Returns QURING_OK; QURING_E_INVAL (urgency above 7, unknown flags); QURING_E_STATE (not a sending stream,
 * or gone); QURING_E_THREAD. Costs nothing per packet. */
QURING_EXPORT quring_status quring_stream_set_priority(quring_stream stream, uint32_t urgency,
                                                       uint32_t flags);

typedef struct quring_stream_info {
    uint64_t id;
    uint64_t bytes_written; /* accepted from the application */
    uint64_t bytes_sent;    /* sent at least once */
    uint64_t bytes_acked;   /* acknowledged without a gap from 0 */
    uint64_t bytes_recv;    /* arrived without a gap from 0 */
    uint64_t bytes_read;    /* consumed */
    uint64_t readable;      /* bytes that peek would show */
    uint64_t writable;      /* bytes a write would take now */
    uint64_t send_max;      /* bytes of it the peer allows so far (RFC 9000 4.1) ... */
    uint64_t conn_send_max; /* ... and bytes of all streams of its connection */
    uint32_t urgency;       /* as quring_stream_set_priority */
    bool incremental;
} quring_stream_info;
/* quring_stream_get_info fills *out. Returns QURING_OK; QURING_E_STATE; QURING_E_THREAD. */
QURING_EXPORT quring_status quring_stream_get_info(quring_stream stream, quring_stream_info *out);

#ifdef __cplusplus
}
#endif

#endif /* QURING_STREAM_H */

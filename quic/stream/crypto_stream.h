/* quic/stream/crypto_stream.h: the CRYPTO bytes of one encryption level, both directions.
 *
 * Shape:  a recv_buf and a send_buf; no flow control, a fixed bound instead; no end.
 * Owner:  the connection, one per packet number space; drop it with the keys (RFC 9001 4.9).
 * Spec:   RFC 9000 7.5, 19.6; RFC 9001 4.1.3.
 */
#ifndef QUIC_STREAM_CRYPTO_STREAM_H
#define QUIC_STREAM_CRYPTO_STREAM_H

#include "quic/base/mem.h"
#include "quic/base/types.h"
#include "quic/stream/recv_buf.h"
#include "quic/stream/send_buf.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_CRYPTO_GAPS_MAX 64u

typedef struct quic_crypto_stream {
    quic_recv_buf recv;
    quic_send_buf send;
    uint64_t buf_bytes; /* bound of either direction */
} quic_crypto_stream;

/* quic_crypto_stream_init makes an empty one that buffers at most `buf_bytes` received bytes beyond
 * what was consumed; deinit gives all memory back. */
void quic_crypto_stream_init(quic_crypto_stream *cs, quic_mem *mem, uint64_t buf_bytes);
void quic_crypto_stream_deinit(quic_crypto_stream *cs);

/* quic_crypto_stream_on_frame takes one CRYPTO frame; duplicates and overlaps are fine.
 * Returns QUIC_OK; QUIC_V_CRYPTO_BUFFER_EXCEEDED (RFC 9000 7.5); QUIC_E_LIMIT, QUIC_E_NOMEM: do not
 * acknowledge the packet. */
QUIC_NODISCARD quic_rc quic_crypto_stream_on_frame(quic_crypto_stream *cs, uint64_t off,
                                                   const uint8_t *data, size_t len);

/* quic_crypto_stream_peek shows a contiguous piece of what is in order (len 0: nothing); consume
 * takes `len` of it away. Loop until it shows nothing (a ring may wrap). */
quic_recv_span quic_crypto_stream_peek(const quic_crypto_stream *cs);
void quic_crypto_stream_consume(quic_crypto_stream *cs, size_t len);

/* quic_crypto_stream_has_buffered: bytes wait, in order or behind a gap: a level that ends with
 * some is in error (RFC 9001 4.1.3). */
bool quic_crypto_stream_has_buffered(const quic_crypto_stream *cs);

/* quic_crypto_stream_write queues all of `data` (copies).
 * Returns QUIC_OK; QUIC_E_LIMIT (8 * buf_bytes would be held); QUIC_E_NOMEM; nothing is taken
 * then. */
QUIC_NODISCARD quic_rc quic_crypto_stream_write(quic_crypto_stream *cs, const uint8_t *data,
                                                size_t len);

static inline bool quic_crypto_stream_can_send(const quic_crypto_stream *cs)
{
    return quic_send_buf_has_lost(&cs->send) || quic_send_buf_unsent(&cs->send) != 0;
}

/* quic_crypto_stream_send_next decides the next CRYPTO frame: its data's offset and length such
 * that type, offset, length and data fit in `room`. Returns false when nothing waits or fits. */
QUIC_NODISCARD bool quic_crypto_stream_send_next(const quic_crypto_stream *cs, size_t room,
                                                 uint64_t *out_off, size_t *out_len);

/* quic_crypto_stream_encode writes that frame to `dst` and returns its size (at most the room).
 * quic_crypto_stream_send_commit notes that it goes out. */
size_t quic_crypto_stream_encode(quic_crypto_stream *cs, uint64_t off, size_t len, uint8_t *dst);
void quic_crypto_stream_send_commit(quic_crypto_stream *cs, uint64_t off, size_t len);

void quic_crypto_stream_on_acked(quic_crypto_stream *cs, uint64_t off, size_t len);

/* quic_crypto_stream_on_lost returns true when there is something to repeat. */
bool quic_crypto_stream_on_lost(quic_crypto_stream *cs, uint64_t off, size_t len);

/* quic_crypto_stream_trim gives memory back as far as the buffers are empty. */
void quic_crypto_stream_trim(quic_crypto_stream *cs);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_STREAM_CRYPTO_STREAM_H */

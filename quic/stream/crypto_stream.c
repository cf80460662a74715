#include "quic/stream/crypto_stream.h"

#include "quic/base/check.h"
#include "quic/wire/frame_encode.h"

#define CRYPTO_SEND_FACTOR 8u /* what we queue is our own flight: certificates may be long */

void quic_crypto_stream_init(quic_crypto_stream *cs, quic_mem *mem, uint64_t buf_bytes)
{
    quic_recv_buf_init(&cs->recv, mem, QUIC_CRYPTO_GAPS_MAX);
    quic_send_buf_init(&cs->send, mem);
    cs->buf_bytes = buf_bytes;
}

void quic_crypto_stream_deinit(quic_crypto_stream *cs)
{
    quic_recv_buf_deinit(&cs->recv);
    quic_send_buf_deinit(&cs->send);
}

quic_rc quic_crypto_stream_on_frame(quic_crypto_stream *cs, uint64_t off, const uint8_t *data,
                                    size_t len)
{
    uint64_t end = off + len;
    if (end > cs->recv.read_off && end - cs->recv.read_off > cs->buf_bytes) {
        return QUIC_V_CRYPTO_BUFFER_EXCEEDED; /* RFC 9000 7.5 */
    }
    uint64_t fresh;
    return quic_recv_buf_insert(&cs->recv, &fresh, off, data, len);
}

quic_recv_span quic_crypto_stream_peek(const quic_crypto_stream *cs)
{
    quic_recv_span spans[2];
    (void)quic_recv_buf_peek(&cs->recv, spans);
    return spans[0];
}

void quic_crypto_stream_consume(quic_crypto_stream *cs, size_t len)
{
    quic_recv_buf_consume(&cs->recv, len);
}

bool quic_crypto_stream_has_buffered(const quic_crypto_stream *cs)
{
    return quic_recv_buf_readable(&cs->recv) != 0 || cs->recv.ahead.count != 0;
}

quic_rc quic_crypto_stream_write(quic_crypto_stream *cs, const uint8_t *data, size_t len)
{
    uint64_t held_max = cs->buf_bytes * CRYPTO_SEND_FACTOR;
    uint64_t held = quic_send_buf_held(&cs->send);
    if (held > held_max || len > held_max - held) {
        return QUIC_E_LIMIT;
    }
    if (!quic_send_buf_insist(&cs->send, len)) {
        return QUIC_E_NOMEM; /* a handshake does not wait for memory */
    }
    size_t accepted;
    quic_rc rc = quic_send_buf_write(&cs->send, &accepted, data, len, false, held_max);
    QURING_ASSERT(rc != QUIC_OK || accepted == len);
    return rc;
}

bool quic_crypto_stream_send_next(const quic_crypto_stream *cs, size_t room, uint64_t *out_off,
                                  size_t *out_len)
{
    uint64_t off;
    uint64_t end;
    bool lost;
    if (!quic_send_buf_next(&cs->send, &off, &end, &lost)) {
        return false;
    }
    size_t fits = quic_frame_crypto_room(room, off);
    if (fits == 0) {
        return false;
    }
    *out_off = off;
    *out_len = end - off < fits ? (size_t)(end - off) : fits;
    return true;
}

size_t quic_crypto_stream_encode(quic_crypto_stream *cs, uint64_t off, size_t len, uint8_t *dst)
{
    size_t header = quic_frame_encode_crypto_header(dst, QUIC_FRAME_STREAM_HEADER_MAX, off, len);
    QURING_ASSERT(header != 0);
    quic_send_buf_copy(&cs->send, off, dst + header, len);
    return header + len;
}

void quic_crypto_stream_send_commit(quic_crypto_stream *cs, uint64_t off, size_t len)
{
    quic_send_buf_on_sent(&cs->send, off, len);
}

void quic_crypto_stream_on_acked(quic_crypto_stream *cs, uint64_t off, size_t len)
{
    (void)quic_send_buf_on_acked(&cs->send, off, len);
}

bool quic_crypto_stream_on_lost(quic_crypto_stream *cs, uint64_t off, size_t len)
{
    return quic_send_buf_on_lost(&cs->send, off, len);
}

void quic_crypto_stream_trim(quic_crypto_stream *cs)
{
    quic_send_buf_trim(&cs->send);
    quic_recv_buf_trim(&cs->recv);
}

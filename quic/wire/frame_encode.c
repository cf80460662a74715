#include "quic/wire/frame_encode.h"

#include "quic/base/check.h"

#define ACK_FIXED_MAX                                                                              \
    (1u + 7u * 8u) /* an ACK frame with one range: type and integers, ECN counts among them */

/* Writes a type and `n` integers. */
static size_t write_ints(uint8_t *p, size_t room, uint64_t type, const uint64_t *v, size_t n)
{
    quic_writer w = quic_writer_make(p, room);
    if (!quic_writer_varint(&w, type)) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (!quic_writer_varint(&w, v[i])) {
            return 0;
        }
    }
    return (size_t)(w.p - p);
}

static size_t write_1(uint8_t *p, size_t room, uint8_t type, uint64_t a)
{
    return write_ints(p, room, type, &a, 1);
}

static size_t write_2(uint8_t *p, size_t room, uint8_t type, uint64_t a, uint64_t b)
{
    const uint64_t v[2] = {a, b};
    return write_ints(p, room, type, v, 2);
}

size_t quic_frame_encode_padding(uint8_t *p, size_t room, size_t count)
{
    if (room < count) {
        return 0;
    }
    memset(p, QUIC_FRAME_PADDING, count);
    return count;
}

size_t quic_frame_encode_ping(uint8_t *p, size_t room)
{
    return write_ints(p, room, QUIC_FRAME_PING, NULL, 0);
}

size_t quic_frame_encode_handshake_done(uint8_t *p, size_t room)
{
    return write_ints(p, room, QUIC_FRAME_HANDSHAKE_DONE, NULL, 0);
}

/* Counts how many ranges below the newest fit into `left` bytes, at most `max`. */
static uint32_t count_fitting(const quic_range_set *set, size_t left, uint32_t max)
{
    uint32_t top = set->count - 1;
    uint32_t n = 0;
    while (n < max) {
        const quic_range *above = quic_range_set_at(set, top - n);
        const quic_range *r = quic_range_set_at(set, top - n - 1);
        size_t need = quic_varint_len(above->lo - r->hi - 2) + quic_varint_len(r->hi - r->lo);
        if (need > left) {
            break;
        }
        left -= need;
        n++;
    }
    return n;
}

/* Of the fields that an ACK frame has with one range. */
static size_t ack_fixed_len(const quic_range *newest, uint64_t delay_raw, uint32_t max_more,
                            const uint64_t *ecn)
{
    size_t len = 1 + quic_varint_len(newest->hi) + quic_varint_len(delay_raw) +
                 quic_varint_len(max_more) + quic_varint_len(newest->hi - newest->lo);
    for (size_t i = 0; ecn != NULL && i < 3; i++) {
        len += quic_varint_len(ecn[i]);
    }
    return len;
}

size_t quic_frame_encode_ack(uint8_t *p, size_t room, const quic_range_set *set, uint64_t delay_raw,
                             const uint64_t *ecn, unsigned max_ranges)
{
    QURING_ASSERT(set->count > 0 && max_ranges > 0);
    uint32_t top = set->count - 1;
    const quic_range *newest = quic_range_set_at(set, top);
    uint32_t max_more = top < max_ranges - 1 ? top : max_ranges - 1;
    uint32_t more = 0;
    if (QUIC_UNLIKELY(max_more > 0 || room < ACK_FIXED_MAX)) {
        size_t fixed = ack_fixed_len(newest, delay_raw, max_more, ecn);
        if (room < fixed) {
            return 0;
        }
        more = count_fitting(set, room - fixed, max_more);
    }
    uint8_t *q = p;
    *q++ = ecn != NULL ? QUIC_FRAME_ACK_ECN : QUIC_FRAME_ACK;
    q += quic_varint_encode(q, newest->hi);
    q += quic_varint_encode(q, delay_raw);
    q += quic_varint_encode(q, more);
    q += quic_varint_encode(q, newest->hi - newest->lo);
    for (uint32_t i = 0; i < more; i++) {
        const quic_range *above = quic_range_set_at(set, top - i);
        const quic_range *r = quic_range_set_at(set, top - i - 1);
        q += quic_varint_encode(q, above->lo - r->hi - 2); /* RFC 9000 19.3.1 */
        q += quic_varint_encode(q, r->hi - r->lo);
    }
    for (size_t i = 0; ecn != NULL && i < 3; i++) {
        q += quic_varint_encode(q, ecn[i]);
    }
    return (size_t)(q - p);
}

size_t quic_frame_encode_reset_stream(uint8_t *p, size_t room, uint64_t id, uint64_t error,
                                      uint64_t final_size)
{
    const uint64_t v[3] = {id, error, final_size};
    return write_ints(p, room, QUIC_FRAME_RESET_STREAM, v, 3);
}

size_t quic_frame_encode_stop_sending(uint8_t *p, size_t room, uint64_t id, uint64_t error)
{
    return write_2(p, room, QUIC_FRAME_STOP_SENDING, id, error);
}

size_t quic_frame_encode_crypto_header(uint8_t *p, size_t room, uint64_t off, size_t len)
{
    return write_2(p, room, QUIC_FRAME_CRYPTO, off, len);
}

size_t quic_frame_encode_new_token(uint8_t *p, size_t room, const uint8_t *token, size_t token_len)
{
    QURING_ASSERT(token_len > 0);
    size_t n = write_1(p, room, QUIC_FRAME_NEW_TOKEN, token_len);
    if (n == 0 || room - n < token_len) {
        return 0;
    }
    memcpy(p + n, token, token_len);
    return n + token_len;
}

size_t quic_frame_encode_max_data(uint8_t *p, size_t room, uint64_t max)
{
    return write_1(p, room, QUIC_FRAME_MAX_DATA, max);
}

size_t quic_frame_encode_max_stream_data(uint8_t *p, size_t room, uint64_t id, uint64_t max)
{
    return write_2(p, room, QUIC_FRAME_MAX_STREAM_DATA, id, max);
}

size_t quic_frame_encode_max_streams(uint8_t *p, size_t room, bool uni, uint64_t max)
{
    return write_1(p, room, uni ? QUIC_FRAME_MAX_STREAMS_UNI : QUIC_FRAME_MAX_STREAMS_BIDI, max);
}

size_t quic_frame_encode_data_blocked(uint8_t *p, size_t room, uint64_t limit)
{
    return write_1(p, room, QUIC_FRAME_DATA_BLOCKED, limit);
}

size_t quic_frame_encode_stream_data_blocked(uint8_t *p, size_t room, uint64_t id, uint64_t limit)
{
    return write_2(p, room, QUIC_FRAME_STREAM_DATA_BLOCKED, id, limit);
}

size_t quic_frame_encode_streams_blocked(uint8_t *p, size_t room, bool uni, uint64_t limit)
{
    return write_1(p, room, uni ? QUIC_FRAME_STREAMS_BLOCKED_UNI : QUIC_FRAME_STREAMS_BLOCKED_BIDI,
                   limit);
}

size_t quic_frame_encode_new_connection_id(uint8_t *p, size_t room, uint64_t seq,
                                           uint64_t retire_prior_to, const uint8_t *cid,
                                           size_t cid_len,
                                           const uint8_t reset_token[QUIC_RESET_TOKEN_LEN])
{
    QURING_ASSERT(cid_len >= 1 && cid_len <= QUIC_CID_LEN_MAX && retire_prior_to <= seq);
    size_t n = write_2(p, room, QUIC_FRAME_NEW_CONNECTION_ID, seq, retire_prior_to);
    if (n == 0 || room - n < 1 + cid_len + QUIC_RESET_TOKEN_LEN) {
        return 0;
    }
    p[n++] = (uint8_t)cid_len;
    memcpy(p + n, cid, cid_len);
    memcpy(p + n + cid_len, reset_token, QUIC_RESET_TOKEN_LEN);
    return n + cid_len + QUIC_RESET_TOKEN_LEN;
}

size_t quic_frame_encode_retire_connection_id(uint8_t *p, size_t room, uint64_t seq)
{
    return write_1(p, room, QUIC_FRAME_RETIRE_CONNECTION_ID, seq);
}

static size_t write_path(uint8_t *p, size_t room, uint8_t type, const uint8_t *data)
{
    if (room < 1 + QUIC_PATH_DATA_LEN) {
        return 0;
    }
    *p = type;
    memcpy(p + 1, data, QUIC_PATH_DATA_LEN);
    return 1 + QUIC_PATH_DATA_LEN;
}

size_t quic_frame_encode_path_challenge(uint8_t *p, size_t room,
                                        const uint8_t data[QUIC_PATH_DATA_LEN])
{
    return write_path(p, room, QUIC_FRAME_PATH_CHALLENGE, data);
}

size_t quic_frame_encode_path_response(uint8_t *p, size_t room,
                                       const uint8_t data[QUIC_PATH_DATA_LEN])
{
    return write_path(p, room, QUIC_FRAME_PATH_RESPONSE, data);
}

/* Appends a reason phrase, cut to the room that is left, to the `n` bytes of a close frame. */
static size_t append_reason(uint8_t *p, size_t room, size_t n, const char *reason,
                            size_t reason_len)
{
    if (n == 0 || n == room) {
        return 0;
    }
    size_t fits = quic_frame_data_room(room, n, true);
    size_t len = reason_len < fits ? reason_len : fits;
    n += quic_varint_encode(p + n, len);
    if (len > 0) {
        memcpy(p + n, reason, len);
    }
    return n + len;
}

size_t quic_frame_encode_connection_close(uint8_t *p, size_t room, uint64_t error,
                                          uint64_t frame_type, const char *reason,
                                          size_t reason_len)
{
    size_t n = write_2(p, room, QUIC_FRAME_CONNECTION_CLOSE, error, frame_type);
    return append_reason(p, room, n, reason, reason_len);
}

size_t quic_frame_encode_connection_close_app(uint8_t *p, size_t room, uint64_t error,
                                              const char *reason, size_t reason_len)
{
    size_t n = write_1(p, room, QUIC_FRAME_CONNECTION_CLOSE_APP, error);
    return append_reason(p, room, n, reason, reason_len);
}

size_t quic_frame_encode_datagram_header(uint8_t *p, size_t room, size_t len, bool with_len)
{
    return with_len ? write_1(p, room, QUIC_FRAME_DATAGRAM_LEN, len)
                    : write_ints(p, room, QUIC_FRAME_DATAGRAM, NULL, 0);
}

size_t quic_frame_encode_ack_frequency(uint8_t *p, size_t room,
                                       const quic_frame_ack_frequency *frame)
{
    const uint64_t v[4] = {frame->seq, frame->eliciting_threshold, frame->max_ack_delay_us,
                           frame->reordering_threshold};
    return write_ints(p, room, QUIC_FRAME_ACK_FREQUENCY, v, 4);
}

size_t quic_frame_encode_immediate_ack(uint8_t *p, size_t room)
{
    return write_ints(p, room, QUIC_FRAME_IMMEDIATE_ACK, NULL, 0);
}

size_t quic_frame_encode_reset_stream_at(uint8_t *p, size_t room,
                                         const quic_frame_reset_stream_at *frame)
{
    QURING_ASSERT(frame->reliable_size <= frame->final_size);
    const uint64_t v[4] = {frame->id, frame->error, frame->final_size, frame->reliable_size};
    return write_ints(p, room, QUIC_FRAME_RESET_STREAM_AT, v, 4);
}

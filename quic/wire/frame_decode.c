#include "quic/wire/frame_decode.h"

#include "quic/wire/frame_table.h"

/* Every helper reads the body of one frame kind (the type is consumed) and returns false for
 * FRAME_ENCODING_ERROR. */

static bool read_2(quic_reader *r, uint64_t *a, uint64_t *b)
{
    return quic_reader_varint(r, a) && quic_reader_varint(r, b);
}

static bool read_view(quic_reader *r, const uint8_t **data, size_t *len)
{
    uint64_t n;
    if (!quic_reader_varint(r, &n) || n > quic_reader_left(r)) {
        return false;
    }
    *len = (size_t)n;
    return quic_reader_bytes(r, data, (size_t)n);
}

static void read_padding(quic_reader *r, quic_frame_padding *out)
{
    const uint8_t *start = r->p;
    uint64_t word = 0;
    while (r->end - r->p >= (ptrdiff_t)sizeof(word)) { /* Initials have hundreds of bytes of it */
        memcpy(&word, r->p, sizeof(word));
        if (word != 0) {
            break;
        }
        r->p += sizeof(word);
    }
    while (r->p < r->end && *r->p == QUIC_FRAME_PADDING) {
        r->p++;
    }
    out->count = 1 + (size_t)(r->p - start);
}

/* RFC 9000 19.3.1: a computed packet number below 0 is an error. A range takes at least 2 bytes, so
 * the packet bounds the loop. */
static bool read_ack(quic_reader *r, quic_frame_ack *out, bool has_ecn)
{
    if (!read_2(r, &out->largest, &out->delay_raw) ||
        !read_2(r, &out->range_count, &out->first_range) || out->first_range > out->largest ||
        out->range_count > quic_reader_left(r) / 2) {
        return false;
    }
    out->ranges = r->p;
    uint64_t lo = out->largest - out->first_range;
    for (uint64_t i = 0; i < out->range_count; i++) {
        uint64_t gap;
        uint64_t span;
        if (!read_2(r, &gap, &span) || lo < gap + 2 || lo - gap - 2 < span) {
            return false;
        }
        lo = lo - gap - 2 - span;
    }
    out->ranges_len = (size_t)(r->p - out->ranges);
    out->has_ecn = has_ecn;
    memset(out->ecn, 0, sizeof(out->ecn));
    for (size_t i = 0; has_ecn && i < 3; i++) {
        if (!quic_reader_varint(r, &out->ecn[i])) {
            return false;
        }
    }
    return true;
}

static bool read_crypto(quic_reader *r, quic_frame_crypto *out)
{
    return quic_reader_varint(r, &out->off) && read_view(r, &out->data, &out->len) &&
           out->len <= QUIC_VARINT_MAX - out->off; /* RFC 9000 19.6 */
}

static bool read_max_streams(quic_reader *r, quic_frame_max_streams *out, bool uni)
{
    out->uni = uni;
    return quic_reader_varint(r, &out->max) &&
           out->max <= QUIC_STREAMS_LIMIT_MAX; /* RFC 9000 19.11, 19.14 */
}

static bool read_new_connection_id(quic_reader *r, quic_frame_new_connection_id *out)
{
    memset(&out->cid, 0, sizeof(out->cid));
    return read_2(r, &out->seq, &out->retire_prior_to) && out->retire_prior_to <= out->seq &&
           quic_reader_u8(r, &out->cid.len) && out->cid.len >= 1 &&
           out->cid.len <= QUIC_CID_LEN_MAX && /* RFC 9000 19.15 */
           quic_reader_copy(r, out->cid.bytes, out->cid.len) &&
           quic_reader_copy(r, out->reset_token, QUIC_RESET_TOKEN_LEN);
}

static bool read_close(quic_reader *r, quic_frame_connection_close *out, bool app)
{
    out->app = app;
    out->frame_type = 0;
    return quic_reader_varint(r, &out->error) && (app || quic_reader_varint(r, &out->frame_type)) &&
           read_view(r, &out->reason, &out->reason_len);
}

static bool read_datagram(quic_reader *r, quic_frame_datagram *out, bool with_len)
{
    if (with_len) {
        return read_view(r, &out->data, &out->len);
    }
    out->len = quic_reader_left(r);
    return quic_reader_bytes(r, &out->data, out->len);
}

static bool read_ack_frequency(quic_reader *r, quic_frame_ack_frequency *out)
{
    return read_2(r, &out->seq, &out->eliciting_threshold) &&
           read_2(r, &out->max_ack_delay_us, &out->reordering_threshold);
}

static bool read_reset_stream_at(quic_reader *r, quic_frame_reset_stream_at *out)
{
    return read_2(r, &out->id, &out->error) && read_2(r, &out->final_size, &out->reliable_size) &&
           out->reliable_size <= out->final_size; /* Reliable Stream Resets 4 */
}

static bool read_body(quic_reader *r, quic_frame *out)
{
    switch (out->type) {
    case QUIC_FRAME_PADDING:
        read_padding(r, &out->padding);
        return true;
    case QUIC_FRAME_PING:
    case QUIC_FRAME_HANDSHAKE_DONE:
    case QUIC_FRAME_IMMEDIATE_ACK:
        return true;
    case QUIC_FRAME_ACK:
    case QUIC_FRAME_ACK_ECN:
        return read_ack(r, &out->ack, out->type == QUIC_FRAME_ACK_ECN);
    case QUIC_FRAME_RESET_STREAM:
        return read_2(r, &out->reset_stream.id, &out->reset_stream.error) &&
               quic_reader_varint(r, &out->reset_stream.final_size);
    case QUIC_FRAME_STOP_SENDING:
        return read_2(r, &out->stop_sending.id, &out->stop_sending.error);
    case QUIC_FRAME_CRYPTO:
        return read_crypto(r, &out->crypto);
    case QUIC_FRAME_NEW_TOKEN:
        return read_view(r, &out->new_token.token, &out->new_token.len) &&
               out->new_token.len > 0; /* RFC 9000 19.7 */
    case QUIC_FRAME_MAX_DATA:
    case QUIC_FRAME_DATA_BLOCKED:
        return quic_reader_varint(r, &out->max_data.max);
    case QUIC_FRAME_MAX_STREAM_DATA:
    case QUIC_FRAME_STREAM_DATA_BLOCKED:
        return read_2(r, &out->max_stream_data.id, &out->max_stream_data.max);
    case QUIC_FRAME_MAX_STREAMS_BIDI:
    case QUIC_FRAME_MAX_STREAMS_UNI:
    case QUIC_FRAME_STREAMS_BLOCKED_BIDI:
    case QUIC_FRAME_STREAMS_BLOCKED_UNI:
        return read_max_streams(r, &out->max_streams, (out->type & 1) != 0);
    case QUIC_FRAME_NEW_CONNECTION_ID:
        return read_new_connection_id(r, &out->new_connection_id);
    case QUIC_FRAME_RETIRE_CONNECTION_ID:
        return quic_reader_varint(r, &out->retire_connection_id.seq);
    case QUIC_FRAME_PATH_CHALLENGE:
    case QUIC_FRAME_PATH_RESPONSE:
        return quic_reader_copy(r, out->path.data, QUIC_PATH_DATA_LEN);
    case QUIC_FRAME_CONNECTION_CLOSE:
    case QUIC_FRAME_CONNECTION_CLOSE_APP:
        return read_close(r, &out->close, out->type == QUIC_FRAME_CONNECTION_CLOSE_APP);
    case QUIC_FRAME_RESET_STREAM_AT:
        return read_reset_stream_at(r, &out->reset_stream_at);
    case QUIC_FRAME_DATAGRAM:
    case QUIC_FRAME_DATAGRAM_LEN:
        return read_datagram(r, &out->datagram, out->type == QUIC_FRAME_DATAGRAM_LEN);
    case QUIC_FRAME_ACK_FREQUENCY:
        return read_ack_frequency(r, &out->ack_frequency);
    default:
        return false;
    }
}

/* Reads a type that is not one byte. Returns its value, or says what is wrong with it. */
static quic_rc read_long_type(quic_reader *r, uint64_t *out)
{
    const uint8_t *start = r->p;
    if (!quic_reader_varint(r, out)) {
        return QUIC_V_FRAME_ENCODING;
    }
    if ((size_t)(r->p - start) != quic_varint_len(*out)) {
        return QUIC_V_PROTOCOL_VIOLATION; /* RFC 9000 12.4 */
    }
    return *out <= UINT8_MAX ? QUIC_OK : QUIC_V_FRAME_ENCODING;
}

/* The frame that follows the type, which is unknown unless `extensions` brings it. */
static quic_rc decode_body(quic_frame *out, size_t *out_len, quic_reader *r, const uint8_t *data,
                           uint64_t type, uint32_t extensions)
{
    if (QUIC_UNLIKELY(type >= QUIC_FRAME_TYPE_COUNT) &&
        (quic_frame_extension(type) & extensions) == 0) {
        return QUIC_V_FRAME_ENCODING; /* RFC 9000 12.4 */
    }
    out->type = (uint8_t)type;
    if (!read_body(r, out)) {
        return QUIC_V_FRAME_ENCODING;
    }
    *out_len = (size_t)(r->p - data);
    return QUIC_OK;
}

quic_rc quic_frame_decode_ext(quic_frame *out, size_t *out_len, const uint8_t *data, size_t len,
                              uint32_t extensions)
{
    if (len == 0) {
        return QUIC_V_FRAME_ENCODING;
    }
    uint64_t type = data[0];
    if (quic_frame_is_stream(type)) {
        out->type = data[0];
        *out_len = quic_frame_decode_stream(&out->stream, data, len);
        return *out_len == 0 ? QUIC_V_FRAME_ENCODING : QUIC_OK;
    }
    quic_reader r = quic_reader_make(data, len);
    if (QUIC_LIKELY(type < 0x40)) { /* one byte is the type itself */
        r.p++;
    } else {
        quic_rc rc = read_long_type(&r, &type);
        if (rc != QUIC_OK) {
            return rc;
        }
    }
    if (QUIC_UNLIKELY(quic_frame_is_datagram(type)) && (extensions & QUIC_EXT_DATAGRAM) == 0) {
        return QUIC_V_PROTOCOL_VIOLATION; /* RFC 9221 3 */
    }
    return decode_body(out, out_len, &r, data, type, extensions);
}

quic_rc quic_frame_decode(quic_frame *out, size_t *out_len, const uint8_t *data, size_t len)
{
    if (len > 0 && quic_frame_is_datagram(data[0])) {
        return QUIC_V_FRAME_ENCODING; /* to an endpoint without RFC 9221 a type like any unknown one */
    }
    return quic_frame_decode_ext(out, out_len, data, len, QUIC_EXT_NONE);
}

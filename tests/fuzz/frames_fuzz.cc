/* Frames: every one that is accepted takes at least a byte, and written again it means the same and is
 * not longer. */
#include "quic/wire/frame_decode.h"
#include "quic/wire/frame_encode.h"
#include "quic/wire/frame_table.h"
#include "tests/fuzz/fuzz.h"

namespace
{

constexpr unsigned kRangesMax = 64;

size_t encode_ack(uint8_t *p, size_t room, const quic_frame_ack &ack)
{
    quic_range storage[kRangesMax];
    quic_range_set set;
    quic_range_set_init_lent(&set, storage, kRangesMax);
    quic_ack_iter it = quic_ack_iter_make(&ack);
    uint64_t lo = 0;
    uint64_t hi = 0;
    uint64_t last = UINT64_MAX;
    for (unsigned i = 0; i < kRangesMax && quic_ack_ranges_next(&it, &lo, &hi); i++) {
        FUZZ_CHECK(lo <= hi && hi < last); /* newest first, none touches the one before */
        last = lo > 0 ? lo - 1 : 0;
        FUZZ_CHECK(quic_range_set_add(&set, lo, hi) == QUIC_OK);
    }
    FUZZ_CHECK(quic_range_set_max(&set) == ack.largest);
    return quic_frame_encode_ack(p, room, &set, ack.delay_raw, ack.has_ecn ? ack.ecn : nullptr,
                                 kRangesMax);
}

size_t with_data(uint8_t *p, size_t header, const uint8_t *data, size_t len)
{
    if (header != 0 && len > 0) {
        memcpy(p + header, data, len);
    }
    return header == 0 ? 0 : header + len;
}

size_t encode(uint8_t *p, size_t room, const quic_frame &f)
{
    switch (f.type) {
    case QUIC_FRAME_PADDING:
        return quic_frame_encode_padding(p, room, f.padding.count);
    case QUIC_FRAME_PING:
        return quic_frame_encode_ping(p, room);
    case QUIC_FRAME_ACK:
    case QUIC_FRAME_ACK_ECN:
        return encode_ack(p, room, f.ack);
    case QUIC_FRAME_RESET_STREAM:
        return quic_frame_encode_reset_stream(p, room, f.reset_stream.id, f.reset_stream.error,
                                              f.reset_stream.final_size);
    case QUIC_FRAME_STOP_SENDING:
        return quic_frame_encode_stop_sending(p, room, f.stop_sending.id, f.stop_sending.error);
    case QUIC_FRAME_CRYPTO:
        return with_data(p, quic_frame_encode_crypto_header(p, room, f.crypto.off, f.crypto.len),
                         f.crypto.data, f.crypto.len);
    case QUIC_FRAME_NEW_TOKEN:
        return quic_frame_encode_new_token(p, room, f.new_token.token, f.new_token.len);
    case QUIC_FRAME_MAX_DATA:
        return quic_frame_encode_max_data(p, room, f.max_data.max);
    case QUIC_FRAME_MAX_STREAM_DATA:
        return quic_frame_encode_max_stream_data(p, room, f.max_stream_data.id,
                                                 f.max_stream_data.max);
    case QUIC_FRAME_MAX_STREAMS_BIDI:
    case QUIC_FRAME_MAX_STREAMS_UNI:
        return quic_frame_encode_max_streams(p, room, f.max_streams.uni, f.max_streams.max);
    case QUIC_FRAME_DATA_BLOCKED:
        return quic_frame_encode_data_blocked(p, room, f.data_blocked.max);
    case QUIC_FRAME_STREAM_DATA_BLOCKED:
        return quic_frame_encode_stream_data_blocked(p, room, f.stream_data_blocked.id,
                                                     f.stream_data_blocked.max);
    case QUIC_FRAME_STREAMS_BLOCKED_BIDI:
    case QUIC_FRAME_STREAMS_BLOCKED_UNI:
        return quic_frame_encode_streams_blocked(p, room, f.streams_blocked.uni,
                                                 f.streams_blocked.max);
    case QUIC_FRAME_NEW_CONNECTION_ID:
        return quic_frame_encode_new_connection_id(
            p, room, f.new_connection_id.seq, f.new_connection_id.retire_prior_to,
            f.new_connection_id.cid.bytes, f.new_connection_id.cid.len,
            f.new_connection_id.reset_token);
    case QUIC_FRAME_RETIRE_CONNECTION_ID:
        return quic_frame_encode_retire_connection_id(p, room, f.retire_connection_id.seq);
    case QUIC_FRAME_PATH_CHALLENGE:
        return quic_frame_encode_path_challenge(p, room, f.path.data);
    case QUIC_FRAME_PATH_RESPONSE:
        return quic_frame_encode_path_response(p, room, f.path.data);
    case QUIC_FRAME_CONNECTION_CLOSE:
        return quic_frame_encode_connection_close(p, room, f.close.error, f.close.frame_type,
                                                  reinterpret_cast<const char *>(f.close.reason),
                                                  f.close.reason_len);
    case QUIC_FRAME_CONNECTION_CLOSE_APP:
        return quic_frame_encode_connection_close_app(
            p, room, f.close.error, reinterpret_cast<const char *>(f.close.reason),
            f.close.reason_len);
    case QUIC_FRAME_HANDSHAKE_DONE:
        return quic_frame_encode_handshake_done(p, room);
    case QUIC_FRAME_IMMEDIATE_ACK:
        return quic_frame_encode_immediate_ack(p, room);
    case QUIC_FRAME_RESET_STREAM_AT:
        return quic_frame_encode_reset_stream_at(p, room, &f.reset_stream_at);
    case QUIC_FRAME_DATAGRAM:
    case QUIC_FRAME_DATAGRAM_LEN:
        return with_data(p,
                         quic_frame_encode_datagram_header(p, room, f.datagram.len,
                                                           f.type == QUIC_FRAME_DATAGRAM_LEN),
                         f.datagram.data, f.datagram.len);
    case QUIC_FRAME_ACK_FREQUENCY:
        return quic_frame_encode_ack_frequency(p, room, &f.ack_frequency);
    default:
        FUZZ_CHECK(quic_frame_is_stream(f.type));
        return with_data(p,
                         quic_frame_encode_stream_header(p, room, f.stream.id, f.stream.off,
                                                         f.stream.len, f.stream.fin,
                                                         (f.type & QUIC_FRAME_STREAM_LEN) != 0),
                         f.stream.data, f.stream.len);
    }
}

/* Whether the union's fields agree; views are compared by what they show. */
bool same_bytes(const uint8_t *a, const uint8_t *b, size_t len)
{
    return len == 0 || memcmp(a, b, len) == 0;
}

bool same(const quic_frame &a, const quic_frame &b)
{
    switch (b.type) {
    case QUIC_FRAME_ACK:
    case QUIC_FRAME_ACK_ECN: {
        if (a.ack.largest != b.ack.largest || a.ack.delay_raw != b.ack.delay_raw ||
            memcmp(a.ack.ecn, b.ack.ecn, sizeof(a.ack.ecn)) != 0) {
            return false;
        }
        quic_ack_iter x = quic_ack_iter_make(&a.ack);
        quic_ack_iter y = quic_ack_iter_make(&b.ack);
        uint64_t r[4];
        while (quic_ack_ranges_next(&y, &r[0], &r[1])) {
            if (!quic_ack_ranges_next(&x, &r[2], &r[3]) || r[0] != r[2] || r[1] != r[3]) {
                return false;
            }
        }
        return true;
    }
    case QUIC_FRAME_CRYPTO:
        return a.crypto.off == b.crypto.off && a.crypto.len == b.crypto.len &&
               same_bytes(a.crypto.data, b.crypto.data, a.crypto.len);
    case QUIC_FRAME_NEW_TOKEN:
        return a.new_token.len == b.new_token.len &&
               same_bytes(a.new_token.token, b.new_token.token, a.new_token.len);
    case QUIC_FRAME_CONNECTION_CLOSE:
    case QUIC_FRAME_CONNECTION_CLOSE_APP:
        return a.close.error == b.close.error && a.close.frame_type == b.close.frame_type &&
               a.close.app == b.close.app && a.close.reason_len == b.close.reason_len &&
               same_bytes(a.close.reason, b.close.reason, a.close.reason_len);
    case QUIC_FRAME_DATAGRAM:
    case QUIC_FRAME_DATAGRAM_LEN:
        return a.datagram.len == b.datagram.len &&
               same_bytes(a.datagram.data, b.datagram.data, a.datagram.len);
    default:
        if (quic_frame_is_stream(b.type)) {
            return a.stream.id == b.stream.id && a.stream.off == b.stream.off &&
                   a.stream.len == b.stream.len && a.stream.fin == b.stream.fin &&
                   same_bytes(a.stream.data, b.stream.data, a.stream.len);
        }
        return true; /* plain numbers: the bytes are compared */
    }
}

void check_frame(const quic_frame &f, size_t n, uint32_t extensions)
{
    std::vector<uint8_t> out(n + 64);
    size_t m = encode(out.data(), out.size(), f);
    FUZZ_CHECK(m >= 1 && m <= n);
    quic_frame again;
    size_t used = 0;
    FUZZ_CHECK(quic_frame_decode_ext(&again, &used, out.data(), m, extensions) == QUIC_OK);
    FUZZ_CHECK(used == m);
    /* A STREAM at offset 0 loses a needless offset field, nothing else changes its type. */
    FUZZ_CHECK(again.type == f.type ||
               (quic_frame_is_stream(f.type) && (f.type ^ again.type) == QUIC_FRAME_STREAM_OFF));
    FUZZ_CHECK(same(f, again));
    std::vector<uint8_t> twice(m);
    FUZZ_CHECK(encode(twice.data(), m, again) == m); /* exactly enough room is enough */
    FUZZ_CHECK(memcmp(twice.data(), out.data(), m) == 0);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fuzz::Input in(data, len);
    uint32_t extensions = in.u8() & QUIC_EXT_ALL;
    fuzz::Exact payload(in.bytes(65535));
    size_t off = 0;
    while (off < payload.size()) {
        quic_frame frame;
        size_t n = 0;
        quic_rc rc = quic_frame_decode_ext(&frame, &n, payload.data() + off, payload.size() - off,
                                           extensions);
        if (rc != QUIC_OK) {
            FUZZ_CHECK(rc == QUIC_V_FRAME_ENCODING || rc == QUIC_V_PROTOCOL_VIOLATION);
            break;
        }
        FUZZ_CHECK(n >= 1 && n <= payload.size() - off);
        check_frame(frame, n, extensions);
        off += n;
    }
    return 0;
}

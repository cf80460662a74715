/* quic/wire/frame_encode.h: writes frames.
 *
 * Shape:  every function writes one frame at p and returns its bytes, or 0 with nothing promised about
 *         the `room` bytes at p when it does not fit. Values are at most QUIC_VARINT_MAX.
 * Spec:   RFC 9000 19; for extensions see frame.h.
 */
#ifndef QUIC_WIRE_FRAME_ENCODE_H
#define QUIC_WIRE_FRAME_ENCODE_H

#include "quic/base/range_set.h"
#include "quic/base/types.h"
#include "quic/wire/frame.h"
#include "quic/wire/varint.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_FRAME_STREAM_HEADER_MAX 25u /* type, id, offset, length */

/* quic_frame_encode_stream_header writes the header of a STREAM frame; the caller puts the `len` data
 * bytes behind it (room counts the header only). Without `with_len` the data must fill the packet. */
QUIC_NODISCARD static inline size_t quic_frame_encode_stream_header(uint8_t *p, size_t room,
                                                                    uint64_t id, uint64_t off,
                                                                    size_t len, bool fin,
                                                                    bool with_len)
{
    size_t need = 1 + quic_varint_len(id) + (off != 0 ? quic_varint_len(off) : 0) +
                  (with_len ? quic_varint_len(len) : 0);
    if (QUIC_UNLIKELY(room < need)) {
        return 0;
    }
    uint8_t *q = p + 1;
    q += quic_varint_encode(q, id);
    uint8_t type = (uint8_t)(QUIC_FRAME_STREAM | (fin ? QUIC_FRAME_STREAM_FIN : 0u));
    if (off != 0) {
        type = (uint8_t)(type | QUIC_FRAME_STREAM_OFF);
        q += quic_varint_encode(q, off);
    }
    if (with_len) {
        type = (uint8_t)(type | QUIC_FRAME_STREAM_LEN);
        q += quic_varint_encode(q, len);
    }
    *p = type;
    return need;
}

/* quic_frame_data_room gives how many data bytes fit into `room` behind a header of `fixed` bytes and,
 * with `with_len`, a Length field. */
static inline size_t quic_frame_data_room(size_t room, size_t fixed, bool with_len)
{
    if (room <= fixed) {
        return 0;
    }
    size_t left = room - fixed;
    if (!with_len) {
        return left;
    }
    if (left <= 64) {
        return left - 1;
    }
    if (left <= 16385) {
        return left == 65 ? 63 : left - 2;
    }
    return left <= 16387 ? 16383 : left - 4;
}

/* quic_frame_stream_room: data bytes of a STREAM frame that fit into `room` in all. */
static inline size_t quic_frame_stream_room(size_t room, uint64_t id, uint64_t off, bool with_len)
{
    size_t fixed = 1 + quic_varint_len(id) + (off != 0 ? quic_varint_len(off) : 0);
    return quic_frame_data_room(room, fixed, with_len);
}

/* quic_frame_encode_crypto_header writes the header of a CRYPTO frame; the caller puts the `len` bytes
 * behind it. quic_frame_crypto_room: data bytes that fit into `room` in all. */
QUIC_NODISCARD size_t quic_frame_encode_crypto_header(uint8_t *p, size_t room, uint64_t off,
                                                      size_t len);

static inline size_t quic_frame_crypto_room(size_t room, uint64_t off)
{
    return quic_frame_data_room(room, 1 + quic_varint_len(off), true);
}

/* quic_frame_encode_ack writes an ACK frame of the newest ranges of `set` (not empty): as many as fit
 * into `room`, at most `max_ranges` (>= 1). `ecn` is NULL or ECT(0), ECT(1), CE counts. 0 when not even
 * the newest range fits. */
QUIC_NODISCARD size_t quic_frame_encode_ack(uint8_t *p, size_t room, const quic_range_set *set,
                                            uint64_t delay_raw, const uint64_t *ecn,
                                            unsigned max_ranges);

/* quic_frame_encode_padding writes `count` bytes of PADDING. */
QUIC_NODISCARD size_t quic_frame_encode_padding(uint8_t *p, size_t room, size_t count);
QUIC_NODISCARD size_t quic_frame_encode_ping(uint8_t *p, size_t room);
QUIC_NODISCARD size_t quic_frame_encode_handshake_done(uint8_t *p, size_t room);
QUIC_NODISCARD size_t quic_frame_encode_reset_stream(uint8_t *p, size_t room, uint64_t id,
                                                     uint64_t error, uint64_t final_size);
QUIC_NODISCARD size_t quic_frame_encode_stop_sending(uint8_t *p, size_t room, uint64_t id,
                                                     uint64_t error);
QUIC_NODISCARD size_t quic_frame_encode_new_token(uint8_t *p, size_t room, const uint8_t *token,
                                                  size_t token_len);
QUIC_NODISCARD size_t quic_frame_encode_max_data(uint8_t *p, size_t room, uint64_t max);
QUIC_NODISCARD size_t quic_frame_encode_max_stream_data(uint8_t *p, size_t room, uint64_t id,
                                                        uint64_t max);
QUIC_NODISCARD size_t quic_frame_encode_max_streams(uint8_t *p, size_t room, bool uni,
                                                    uint64_t max);
QUIC_NODISCARD size_t quic_frame_encode_data_blocked(uint8_t *p, size_t room, uint64_t limit);
QUIC_NODISCARD size_t quic_frame_encode_stream_data_blocked(uint8_t *p, size_t room, uint64_t id,
                                                            uint64_t limit);
QUIC_NODISCARD size_t quic_frame_encode_streams_blocked(uint8_t *p, size_t room, bool uni,
                                                        uint64_t limit);

/* quic_frame_encode_new_connection_id: cid_len is 1..20. */
QUIC_NODISCARD size_t quic_frame_encode_new_connection_id(
    uint8_t *p, size_t room, uint64_t seq, uint64_t retire_prior_to, const uint8_t *cid,
    size_t cid_len, const uint8_t reset_token[QUIC_RESET_TOKEN_LEN]);
QUIC_NODISCARD size_t quic_frame_encode_retire_connection_id(uint8_t *p, size_t room, uint64_t seq);
QUIC_NODISCARD size_t quic_frame_encode_path_challenge(uint8_t *p, size_t room,
                                                       const uint8_t data[QUIC_PATH_DATA_LEN]);
QUIC_NODISCARD size_t quic_frame_encode_path_response(uint8_t *p, size_t room,
                                                      const uint8_t data[QUIC_PATH_DATA_LEN]);

/* quic_frame_encode_connection_close writes type 0x1c with error and frame_type; _close_app type 0x1d.
 * The reason is cut to what fits; 0 only when the frame without a reason does not fit. */
QUIC_NODISCARD size_t quic_frame_encode_connection_close(uint8_t *p, size_t room, uint64_t error,
                                                         uint64_t frame_type, const char *reason,
                                                         size_t reason_len);
QUIC_NODISCARD size_t quic_frame_encode_connection_close_app(uint8_t *p, size_t room,
                                                             uint64_t error, const char *reason,
                                                             size_t reason_len);

/* ---- extensions: only after the peer said that it takes them --------------------------------- */

/* quic_frame_encode_datagram_header writes the header of a DATAGRAM frame; the caller puts the `len`
 * data bytes behind it (room counts the header only). Without `with_len` the data must fill the packet.
 * quic_frame_datagram_room: data bytes of a DATAGRAM frame that fit into `room` in all. */
QUIC_NODISCARD size_t quic_frame_encode_datagram_header(uint8_t *p, size_t room, size_t len,
                                                        bool with_len);

static inline size_t quic_frame_datagram_room(size_t room, bool with_len)
{
    return quic_frame_data_room(room, 1, with_len);
}

QUIC_NODISCARD size_t quic_frame_encode_ack_frequency(uint8_t *p, size_t room,
                                                      const quic_frame_ack_frequency *frame);
QUIC_NODISCARD size_t quic_frame_encode_immediate_ack(uint8_t *p, size_t room);
QUIC_NODISCARD size_t quic_frame_encode_reset_stream_at(uint8_t *p, size_t room,
                                                        const quic_frame_reset_stream_at *frame);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_WIRE_FRAME_ENCODE_H */

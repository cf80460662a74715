/* quic/wire/frame.h: the frames of QUIC version 1, one struct each, and the union of them.
 *
 * Shape:  plain values; byte strings are views into the packet they were read from.
 * Spec:   RFC 9000 19.
 */
#ifndef QUIC_WIRE_FRAME_H
#define QUIC_WIRE_FRAME_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    QUIC_FRAME_PADDING = 0x00,
    QUIC_FRAME_PING = 0x01,
    QUIC_FRAME_ACK = 0x02,
    QUIC_FRAME_ACK_ECN = 0x03,
    QUIC_FRAME_RESET_STREAM = 0x04,
    QUIC_FRAME_STOP_SENDING = 0x05,
    QUIC_FRAME_CRYPTO = 0x06,
    QUIC_FRAME_NEW_TOKEN = 0x07,
    QUIC_FRAME_STREAM = 0x08, /* ..0x0f, with the three bits below */
    QUIC_FRAME_STREAM_LAST = 0x0f,
    QUIC_FRAME_MAX_DATA = 0x10,
    QUIC_FRAME_MAX_STREAM_DATA = 0x11,
    QUIC_FRAME_MAX_STREAMS_BIDI = 0x12,
    QUIC_FRAME_MAX_STREAMS_UNI = 0x13,
    QUIC_FRAME_DATA_BLOCKED = 0x14,
    QUIC_FRAME_STREAM_DATA_BLOCKED = 0x15,
    QUIC_FRAME_STREAMS_BLOCKED_BIDI = 0x16,
    QUIC_FRAME_STREAMS_BLOCKED_UNI = 0x17,
    QUIC_FRAME_NEW_CONNECTION_ID = 0x18,
    QUIC_FRAME_RETIRE_CONNECTION_ID = 0x19,
    QUIC_FRAME_PATH_CHALLENGE = 0x1a,
    QUIC_FRAME_PATH_RESPONSE = 0x1b,
    QUIC_FRAME_CONNECTION_CLOSE = 0x1c,
    QUIC_FRAME_CONNECTION_CLOSE_APP = 0x1d,
    QUIC_FRAME_HANDSHAKE_DONE = 0x1e,
    QUIC_FRAME_TYPE_COUNT = 0x1f,
};
#define QUIC_FRAME_STREAM_FIN 0x01u
#define QUIC_FRAME_STREAM_LEN 0x02u
#define QUIC_FRAME_STREAM_OFF 0x04u

#define QUIC_STREAMS_LIMIT_MAX (1ull << 60) /* RFC 9000 4.6 */
#define QUIC_PATH_DATA_LEN     8u

typedef struct quic_frame_padding {
    size_t count; /* bytes of the run */
} quic_frame_padding;

/* Validated as a whole by the decoder: walking the ranges cannot underflow. */
typedef struct quic_frame_ack {
    uint64_t largest;
    uint64_t delay_raw;    /* still to be shifted by the peer's ack_delay_exponent */
    uint64_t first_range;  /* packets below `largest` in the first range */
    uint64_t range_count;  /* further ranges */
    const uint8_t *ranges; /* their encoding, for quic_ack_ranges_next */
    size_t ranges_len;
    bool has_ecn;
    uint64_t ecn[3]; /* ECT(0), ECT(1), CE; 0 without has_ecn */
} quic_frame_ack;

typedef struct quic_frame_reset_stream {
    uint64_t id;
    uint64_t error;
    uint64_t final_size;
} quic_frame_reset_stream;

typedef struct quic_frame_stop_sending {
    uint64_t id;
    uint64_t error;
} quic_frame_stop_sending;

typedef struct quic_frame_crypto {
    uint64_t off; /* off + len <= QUIC_VARINT_MAX */
    const uint8_t *data;
    size_t len;
} quic_frame_crypto;

typedef struct quic_frame_new_token {
    const uint8_t *token;
    size_t len; /* >= 1 */
} quic_frame_new_token;

typedef struct quic_frame_stream {
    uint64_t id;
    uint64_t off; /* off + len <= QUIC_VARINT_MAX */
    const uint8_t *data;
    size_t len;
    bool fin;
} quic_frame_stream;

typedef struct quic_frame_max_data { /* MAX_DATA and DATA_BLOCKED */
    uint64_t max;
} quic_frame_max_data;

typedef struct quic_frame_max_stream_data { /* MAX_STREAM_DATA and STREAM_DATA_BLOCKED */
    uint64_t id;
    uint64_t max;
} quic_frame_max_stream_data;

typedef struct quic_frame_max_streams { /* MAX_STREAMS and STREAMS_BLOCKED, both directions */
    uint64_t max;                       /* <= QUIC_STREAMS_LIMIT_MAX */
    bool uni;
} quic_frame_max_streams;

typedef struct quic_frame_new_connection_id {
    uint64_t seq;
    uint64_t retire_prior_to; /* <= seq */
    quic_cid cid;             /* 1..20 bytes */
    uint8_t reset_token[QUIC_RESET_TOKEN_LEN];
} quic_frame_new_connection_id;

typedef struct quic_frame_retire_connection_id {
    uint64_t seq;
} quic_frame_retire_connection_id;

typedef struct quic_frame_path { /* PATH_CHALLENGE and PATH_RESPONSE */
    uint8_t data[QUIC_PATH_DATA_LEN];
} quic_frame_path;

typedef struct quic_frame_connection_close {
    uint64_t error;
    uint64_t frame_type; /* transport kind only, else 0 */
    const uint8_t *reason;
    size_t reason_len;
    bool app; /* type 0x1d */
} quic_frame_connection_close;

typedef struct quic_frame {
    uint8_t type; /* as on the wire, so a STREAM keeps its bits: QUIC_FRAME_STREAM..STREAM_LAST */
    union {
        quic_frame_padding padding;
        quic_frame_ack ack; /* ACK, ACK_ECN */
        quic_frame_reset_stream reset_stream;
        quic_frame_stop_sending stop_sending;
        quic_frame_crypto crypto;
        quic_frame_new_token new_token;
        quic_frame_stream stream;
        quic_frame_max_data max_data;                   /* MAX_DATA */
        quic_frame_max_data data_blocked;               /* DATA_BLOCKED */
        quic_frame_max_stream_data max_stream_data;     /* MAX_STREAM_DATA */
        quic_frame_max_stream_data stream_data_blocked; /* STREAM_DATA_BLOCKED */
        quic_frame_max_streams max_streams;             /* MAX_STREAMS_* */
        quic_frame_max_streams streams_blocked;         /* STREAMS_BLOCKED_* */
        quic_frame_new_connection_id new_connection_id;
        quic_frame_retire_connection_id retire_connection_id;
        quic_frame_path path;              /* PATH_CHALLENGE, PATH_RESPONSE */
        quic_frame_connection_close close; /* both kinds */
    };
} quic_frame;

static inline bool quic_frame_is_stream(uint64_t type)
{
    return (type & ~7ull) == QUIC_FRAME_STREAM;
}

#ifdef __cplusplus
}
#endif

#endif /* QUIC_WIRE_FRAME_H */

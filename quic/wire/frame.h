/* quic/wire/frame.h: the frames of QUIC and of its extensions, one struct each, and the union of them.
 *
 * Shape:  plain values; byte strings are views into the packet they were read from.
 * Spec:   RFC 9000 19; RFC 9221 4; QUIC Acknowledgment Frequency 4, 5; Reliable Stream Resets 4.
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
    QUIC_FRAME_TYPE_COUNT = 0x1f, /* the types of RFC 9000 lie below; extensions' do not */
    QUIC_FRAME_IMMEDIATE_ACK = 0x1f,
    QUIC_FRAME_RESET_STREAM_AT = 0x24,
    QUIC_FRAME_DATAGRAM = 0x30, /* and 0x31, with a Length field */
    QUIC_FRAME_DATAGRAM_LEN = 0x31,
    QUIC_FRAME_ACK_FREQUENCY = 0xaf,
};

/* Extensions that bring frames: sets of them say what was negotiated. */
enum {
    QUIC_EXT_NONE = 0,
    QUIC_EXT_DATAGRAM = 1,
    QUIC_EXT_ACK_FREQUENCY = 2, /* ACK_FREQUENCY and IMMEDIATE_ACK */
    QUIC_EXT_RESET_STREAM_AT = 4,
    QUIC_EXT_ALL = 7,
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

typedef struct quic_frame_datagram {
    const uint8_t *data;
    size_t len; /* the size of the whole frame counts against max_datagram_frame_size */
} quic_frame_datagram;

typedef struct quic_frame_ack_frequency {
    uint64_t seq;
    uint64_t eliciting_threshold; /* packets that may come without an acknowledgement */
    uint64_t max_ack_delay_us;    /* any value: see quic_frame_ack_frequency_is_valid */
    uint64_t reordering_threshold;
} quic_frame_ack_frequency;

typedef struct quic_frame_reset_stream_at {
    uint64_t id;
    uint64_t error;
    uint64_t final_size;
    uint64_t reliable_size; /* <= final_size */
} quic_frame_reset_stream_at;

typedef struct quic_frame {
    /* As on the wire (every type is below 256), so a STREAM keeps its bits. */
    uint8_t type;
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
        quic_frame_datagram datagram;      /* both kinds */
        quic_frame_ack_frequency ack_frequency;
        quic_frame_reset_stream_at reset_stream_at;
    };
} quic_frame;

static inline bool quic_frame_is_stream(uint64_t type)
{
    return (type & ~7ull) == QUIC_FRAME_STREAM;
}

static inline bool quic_frame_is_datagram(uint64_t type)
{
    return (type & ~1ull) == QUIC_FRAME_DATAGRAM;
}

/* quic_frame_ack_frequency_is_valid: a false is PROTOCOL_VIOLATION (Acknowledgment Frequency 4).
 * `min_ack_delay_us` is what we advertised. */
static inline bool quic_frame_ack_frequency_is_valid(const quic_frame_ack_frequency *frame,
                                                     uint64_t min_ack_delay_us)
{
    return frame->max_ack_delay_us >= min_ack_delay_us &&
           frame->max_ack_delay_us < (1ull << 14) * 1000;
}

#ifdef __cplusplus
}
#endif

#endif /* QUIC_WIRE_FRAME_H */

/* quic/wire/frame_table.h: what each frame type may do: where it may appear, whether it elicits an
 * acknowledgement, whether it only probes a path, who may send it.
 *
 * Shape:  one byte of flags per type, inline look-ups; a type that does not exist has none.
 * Spec:   RFC 9000 12.4 table 3; for extensions see frame.h.
 */
#ifndef QUIC_WIRE_FRAME_TABLE_H
#define QUIC_WIRE_FRAME_TABLE_H

#include "quic/base/types.h"
#include "quic/wire/frame.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    /* bit n: allowed at quic_level n */
    QUIC_FRAME_AT_INITIAL = 1 << QUIC_LEVEL_INITIAL,
    QUIC_FRAME_AT_EARLY = 1 << QUIC_LEVEL_EARLY,
    QUIC_FRAME_AT_HANDSHAKE = 1 << QUIC_LEVEL_HANDSHAKE,
    QUIC_FRAME_AT_APP = 1 << QUIC_LEVEL_APP,
    QUIC_FRAME_ELICITS_ACK = 0x10,
    QUIC_FRAME_PROBES = 0x20,
    QUIC_FRAME_SERVER_ONLY = 0x40,    /* a server that gets one closes, RFC 9000 19.7, 19.20 */
    QUIC_FRAME_IN_FLIGHT_ONLY = 0x80, /* counts as in flight though it elicits nothing: PADDING */
};

extern const uint8_t quic_frame_flags[256];

/* quic_frame_allowed: may a packet of `level` carry the type. A false is PROTOCOL_VIOLATION (RFC 9000
 * 12.4). 0-RTT leaves out what RFC 9000 12.5 says cannot be sent there, and ACK_FREQUENCY and
 * IMMEDIATE_ACK (Acknowledgment Frequency 3). */
static inline bool quic_frame_allowed(quic_level level, uint8_t type)
{
    return (quic_frame_flags[type] >> level & 1) != 0;
}

/* quic_frame_is_ack_eliciting: RFC 9002 2. */
static inline bool quic_frame_is_ack_eliciting(uint8_t type)
{
    return (quic_frame_flags[type] & QUIC_FRAME_ELICITS_ACK) != 0;
}

/* quic_frame_is_probing: RFC 9000 9.1. */
static inline bool quic_frame_is_probing(uint8_t type)
{
    return (quic_frame_flags[type] & QUIC_FRAME_PROBES) != 0;
}

/* quic_frame_extension gives the QUIC_EXT_* that a type comes with; QUIC_EXT_NONE for those of RFC 9000
 * and for unknown ones. */
static inline uint32_t quic_frame_extension(uint64_t type)
{
    switch (type) {
    case QUIC_FRAME_DATAGRAM:
    case QUIC_FRAME_DATAGRAM_LEN:
        return QUIC_EXT_DATAGRAM;
    case QUIC_FRAME_IMMEDIATE_ACK:
    case QUIC_FRAME_ACK_FREQUENCY:
        return QUIC_EXT_ACK_FREQUENCY;
    case QUIC_FRAME_RESET_STREAM_AT:
        return QUIC_EXT_RESET_STREAM_AT;
    default:
        return QUIC_EXT_NONE;
    }
}

/* quic_frame_is_server_only: NEW_TOKEN and HANDSHAKE_DONE. */
static inline bool quic_frame_is_server_only(uint8_t type)
{
    return (quic_frame_flags[type] & QUIC_FRAME_SERVER_ONLY) != 0;
}

#ifdef __cplusplus
}
#endif

#endif /* QUIC_WIRE_FRAME_TABLE_H */

/* tests/sim/wire.h: packets on the wire as an observer sees them. Payloads are readable with the shim
 * provider only, which neither encrypts nor hides headers. */
#ifndef TESTS_SIM_WIRE_H
#define TESTS_SIM_WIRE_H

#include <cstddef>
#include <cstdint>

#include "quic/wire/frame_decode.h"
#include "quic/wire/header.h"

namespace sim
{

constexpr size_t kWirePacketsMax = 16; /* in one datagram; what is behind them is not looked at */

struct WirePacket {
    quic_packet_type type;
    uint32_t version;
    size_t at; /* from the datagram's first byte */
    size_t len;
    size_t header_len; /* packet number included */
    uint8_t first;

    /* With the tag, which a 1-RTT packet has only where packets are protected. */
    size_t body_len() const
    {
        return len - header_len;
    }
};

/* split_packets finds the Initial, 0-RTT, Handshake and 1-RTT packets of a datagram, and stops at what
 * it cannot read. Returns their count. */
size_t split_packets(const uint8_t *data, size_t len, WirePacket out[kWirePacketsMax]);

/* visit_frames calls visit(frame, its bytes, their length) for each frame of a readable payload, until
 * one cannot be read or `visit` says false. */
template <typename Visit> void visit_frames(const uint8_t *payload, size_t len, Visit visit)
{
    size_t off = 0;
    while (off < len) {
        quic_frame frame;
        size_t n = 0;
        if (quic_frame_decode_ext(&frame, &n, payload + off, len - off, QUIC_EXT_ALL) != QUIC_OK ||
            !visit(frame, payload + off, n)) {
            return;
        }
        off += n;
    }
}

} // namespace sim

#endif // TESTS_SIM_WIRE_H

#include "tests/sim/wire.h"

#include "quic/path/cid_format.h"

namespace sim
{

size_t split_packets(const uint8_t *data, size_t len, WirePacket out[kWirePacketsMax])
{
    size_t count = 0;
    size_t off = 0;
    while (off < len && count < kWirePacketsMax) {
        WirePacket &p = out[count];
        p.at = off;
        p.first = data[off];
        if (!quic_header_is_long(data[off])) {
            size_t pn_off = 0;
            if (quic_header_decode_short(&pn_off, data + off, len - off, QUIC_CID_FORMAT_LEN_MIN) !=
                QUIC_OK) {
                break;
            }
            p.type = QUIC_PACKET_SHORT;
            p.version = QUIC_VERSION_1;
            p.len = len - off;
            p.header_len = pn_off + quic_header_pn_len(data[off]);
        } else {
            quic_long_header h;
            if (quic_header_decode_long(&h, data + off, len - off, QUIC_VERSIONS_ALL) != QUIC_OK ||
                h.type > QUIC_PACKET_HANDSHAKE) {
                break;
            }
            p.type = h.type;
            p.version = h.version;
            p.len = h.packet_len;
            p.header_len = h.pn_offset + quic_header_pn_len(data[off]);
        }
        if (p.len < p.header_len + QUIC_AEAD_TAG_LEN) {
            break;
        }
        off += p.len;
        count++;
    }
    return count;
}

} // namespace sim

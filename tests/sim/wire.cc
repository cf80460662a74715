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
            const size_t pn_off =
                1 + QUIC_CID_FORMAT_LEN_MIN; /* whatever the QUIC bit is: RFC 9287 */
            if (len - off < pn_off + QUIC_PN_LEN_MAX) {
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
        if (p.type != QUIC_PACKET_SHORT && p.len < p.header_len + QUIC_AEAD_TAG_LEN) {
            break;
        }
        off += p.len;
        count++;
    }
    return count;
}

} // namespace sim

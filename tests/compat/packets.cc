#include "tests/compat/packets.h"

#include <cstdint>

namespace compat
{
namespace
{

/* RFC 9000 16; 0 and *at beyond the end when it is not there. */
uint64_t varint(const std::string &s, size_t *at)
{
    if (*at >= s.size()) {
        return 0;
    }
    size_t len = size_t{1} << (static_cast<uint8_t>(s[*at]) >> 6);
    uint64_t value = static_cast<uint8_t>(s[*at]) & 0x3f;
    for (size_t i = 1; i < len && *at + i < s.size(); i++) {
        value = value << 8 | static_cast<uint8_t>(s[*at + i]);
    }
    *at += len;
    return value;
}

} // namespace

std::vector<Packet> packets_of(const std::string &datagram)
{
    std::vector<Packet> all;
    size_t at = 0;
    while (at < datagram.size()) {
        const size_t begin = at;
        const auto first = static_cast<uint8_t>(datagram[at]);
        if ((first & 0x80) == 0) {
            all.push_back({PacketType::kShort, begin, datagram.size() - begin});
            break;
        }
        const bool is_v2 = datagram.compare(at + 1, 4, "\x6b\x33\x43\xcf") == 0; /* RFC 9369 3.2 */
        const auto type = static_cast<PacketType>(((first >> 4) - (is_v2 ? 1 : 0)) & 3);
        at += 5;
        for (int i = 0; i < 2 && at < datagram.size(); i++) {
            at += 1 + static_cast<uint8_t>(datagram[at]);
        }
        if (type == PacketType::kInitial) {
            const uint64_t token_len = varint(datagram, &at);
            at += static_cast<size_t>(token_len);
        }
        if (type == PacketType::kRetry) {
            at = datagram.size();
        } else {
            const uint64_t rest = varint(datagram, &at);
            at += static_cast<size_t>(rest);
        }
        at = at < datagram.size() ? at : datagram.size();
        all.push_back({type, begin, at - begin});
    }
    return all;
}

} // namespace compat

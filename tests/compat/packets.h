/* tests/compat/packets.h: the packets of a datagram, as far as they can be seen without keys (RFC 9000 12.2, 17). */
#ifndef TESTS_COMPAT_PACKETS_H
#define TESTS_COMPAT_PACKETS_H

#include <cstddef>
#include <string>
#include <vector>

namespace compat
{

/* The first four have the numbers of version 1. */
enum class PacketType { kInitial, kEarly, kHandshake, kRetry, kShort };

struct Packet {
    PacketType type;
    size_t at; /* in the datagram */
    size_t len;
};
std::vector<Packet> packets_of(const std::string &datagram);

} // namespace compat

#endif // TESTS_COMPAT_PACKETS_H

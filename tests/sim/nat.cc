#include "tests/sim/nat.h"

namespace sim
{

void Nat::rebind(uint32_t client, bool host, bool keep_old)
{
    State &s = states_[client];
    s.old_host = s.host;
    s.old_port = s.port;
    s.keep_old = keep_old;
    s.port = static_cast<uint8_t>((s.port + 1) % kNatPortsMax);
    s.host = static_cast<uint8_t>(s.host + (host ? 1 : 0));
}

void Nat::outward(quic_addr *from) const
{
    const State &s = states_[client_of(*from)];
    from->ip[2] = s.host;
    from->port = static_cast<uint16_t>(from->port + s.port * kNatPortStep);
}

bool Nat::inward(quic_addr *to) const
{
    const State &s = states_[client_of(*to)];
    uint8_t port = static_cast<uint8_t>(to->port / kNatPortStep);
    bool current = to->ip[2] == s.host && port == s.port;
    bool old = s.keep_old && to->ip[2] == s.old_host && port == s.old_port;
    if (!current && !old) {
        return false;
    }
    to->ip[2] = 0;
    to->port = static_cast<uint16_t>(to->port % kNatPortStep);
    return true;
}

} // namespace sim

#include "tests/sim/oracle.h"

#include "tests/sim/attack.h"
#include "tests/sim/wire.h"

namespace sim
{
namespace
{

uint64_t key_of(const quic_addr &a)
{
    return static_cast<uint64_t>(a.ip[1]) << 40 | static_cast<uint64_t>(a.ip[2]) << 32 |
           static_cast<uint64_t>(a.ip[3]) << 16 | a.port;
}

/* Calls visit(the eight bytes) for each path frame of `type` in the 1-RTT packets of a datagram. */
template <typename Visit>
void visit_path_frames(const uint8_t *data, size_t len, uint8_t type, Visit visit)
{
    WirePacket packets[kWirePacketsMax];
    size_t n = split_packets(data, len, packets);
    for (size_t i = 0; i < n; i++) {
        const WirePacket &p = packets[i];
        if (p.type != QUIC_PACKET_SHORT) {
            continue;
        }
        /* What a tag looks like is no challenge that anybody answers. */
        visit_frames(data + p.at + p.header_len, p.body_len(),
                     [&](const quic_frame &frame, const uint8_t *, size_t) {
                         if (frame.type == type) {
                             uint64_t word;
                             memcpy(&word, frame.path.data, sizeof(word));
                             visit(word);
                         }
                         return true;
                     });
    }
}

} // namespace

bool Amplification::validates(const uint8_t *data, size_t len) const
{
    WirePacket packets[kWirePacketsMax];
    size_t n = split_packets(data, len, packets);
    for (size_t i = 0; i < n; i++) {
        const WirePacket &p = packets[i];
        if (p.type == QUIC_PACKET_HANDSHAKE || (p.type == QUIC_PACKET_SHORT && !readable_)) {
            return true;
        }
        quic_long_header h;
        if (p.type == QUIC_PACKET_INITIAL &&
            quic_header_decode_long(&h, data + p.at, len - p.at, QUIC_VERSIONS_ALL) == QUIC_OK &&
            h.token_len > 0) {
            return true;
        }
    }
    return false;
}

void Amplification::on_server_recv(const quic_addr &from, const uint8_t *data, size_t len)
{
    Account &a = accounts_[key_of(from)];
    a.received += len;
    a.validated = a.validated || (!is_attackers(from) && validates(data, len));
    if (readable_ && !challenges_.empty()) {
        visit_path_frames(data, len, QUIC_FRAME_PATH_RESPONSE, [&](uint64_t word) {
            auto it = challenges_.find(word);
            if (it != challenges_.end()) {
                accounts_[it->second].validated = true;
            }
        });
    }
}

bool Amplification::on_server_send(const quic_addr &to, const uint8_t *data, size_t len)
{
    Account &a = accounts_[key_of(to)];
    a.sent += len;
    if (a.validated) {
        return true;
    }
    if (readable_ && !is_attackers(to)) {
        visit_path_frames(data, len, QUIC_FRAME_PATH_CHALLENGE,
                          [&](uint64_t word) { challenges_[word] = key_of(to); });
    }
    return a.sent <= 3 * a.received;
}

bool close_is_acceptable(const Options &o, const quring_close_info &info, const EndFacts &facts)
{
    bool peer_gone = facts.peer_gone || facts.victim;
    switch (info.kind) {
    case QURING_CLOSE_LOCAL_APP:
        return facts.closed_itself;
    case QURING_CLOSE_PEER_APP:
        return true;
    case QURING_CLOSE_IDLE_TIMEOUT:
        return o.harsh || peer_gone || o.may_run_out || info.code == 0;
    case QURING_CLOSE_HANDSHAKE_TIMEOUT:
        return o.harsh || peer_gone || o.may_run_out;
    case QURING_CLOSE_STATELESS_RESET:
        return peer_gone;
    case QURING_CLOSE_VERSION:
        return o.harsh; /* a damaged or forged Version Negotiation is not authenticated */
    case QURING_CLOSE_UNREACHABLE:
        return o.harsh;
    case QURING_CLOSE_LOCAL_TRANSPORT:
        if (o.harsh && info.code == QUIC_V_VERSION_NEGOTIATION) {
            return true; /* ... and found out later */
        }
        /* RFC 9000 8.1.3: a Retry token that nobody can read any more is taken for none, and then the
         * client misses what a server says after a Retry (7.3). */
        return facts.victim && facts.secret_lost && info.code == QUIC_V_TRANSPORT_PARAMETER;
    case QURING_CLOSE_PEER_TRANSPORT:
        if (facts.secret_lost && info.code == QUIC_V_TRANSPORT_PARAMETER) {
            return true;
        }
        return (o.may_run_out &&
                (info.code == QUIC_V_INTERNAL_ERROR || info.code == QUIC_V_CONNECTION_REFUSED)) ||
               info.code == QUIC_V_APPLICATION_ERROR ||
               (o.attack.early && info.code == QUIC_V_INTERNAL_ERROR) || /* a forged Initial */
               (o.harsh && info.code == QUIC_V_VERSION_NEGOTIATION) ||
               ((o.harsh || facts.victim) && info.code == QUIC_V_INVALID_TOKEN);
    case QURING_CLOSE_INTERNAL:
        return o.may_run_out;
    default:
        return false;
    }
}

} // namespace sim

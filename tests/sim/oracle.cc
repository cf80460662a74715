#include "tests/sim/oracle.h"

#include "quic/wire/header.h"

namespace sim
{
namespace
{

/* Whether a datagram holds a packet only a validated client can make: Handshake or 1-RTT, or an
 * Initial with a token. */
bool validates(const uint8_t *data, size_t len)
{
    size_t off = 0;
    while (off < len) {
        quic_long_header h;
        if (!quic_header_is_long(data[off])) {
            return true;
        }
        if (quic_header_decode_long(&h, data + off, len - off) != QUIC_OK ||
            h.type > QUIC_PACKET_HANDSHAKE) {
            return false;
        }
        if (h.type == QUIC_PACKET_HANDSHAKE || h.token_len > 0) {
            return true;
        }
        off += h.packet_len;
    }
    return false;
}

} // namespace

void Amplification::on_server_recv(uint32_t address, const uint8_t *data, size_t len)
{
    Account &a = accounts_[address];
    a.received += len;
    if (!a.validated) {
        a.validated = validates(data, len);
    }
}

bool Amplification::on_server_send(uint32_t address, size_t len)
{
    Account &a = accounts_[address];
    a.sent += len;
    return a.validated || a.sent <= 3 * a.received;
}

bool close_is_acceptable(const Options &o, const quring_close_info &info, bool closed_itself,
                         bool peer_gone)
{
    switch (info.kind) {
    case QURING_CLOSE_LOCAL_APP:
        return closed_itself;
    case QURING_CLOSE_PEER_APP:
        return true;
    case QURING_CLOSE_IDLE_TIMEOUT:
        return o.harsh || peer_gone || o.may_run_out || info.code == 0;
    case QURING_CLOSE_HANDSHAKE_TIMEOUT:
        return o.harsh || peer_gone || o.may_run_out;
    case QURING_CLOSE_STATELESS_RESET:
        return peer_gone;
    case QURING_CLOSE_VERSION:
        return o.harsh; /* a damaged Version Negotiation is not authenticated */
    case QURING_CLOSE_UNREACHABLE:
        return o.harsh;
    case QURING_CLOSE_PEER_TRANSPORT:
        return (o.may_run_out &&
                (info.code == QUIC_V_INTERNAL_ERROR || info.code == QUIC_V_CONNECTION_REFUSED)) ||
               info.code == QUIC_V_APPLICATION_ERROR ||
               (o.harsh && info.code == QUIC_V_INVALID_TOKEN);
    case QURING_CLOSE_INTERNAL:
        return o.may_run_out;
    default:
        return false;
    }
}

} // namespace sim

/* A rest of the keys that ends, or does not, in ways only a peer that lies brings about. */
#include <gtest/gtest.h>

#include "quic/wire/header.h"
#include "tests/quic/conn/inject.h"
#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"

namespace
{

using Bytes = std::vector<uint8_t>;

quic_conn *only_conn(const Side &side)
{
    quic_conn *found = nullptr;
    quic_endpoint_each_conn(
        side.ep,
        [](quic_conn *conn, void *ctx) {
            *static_cast<quic_conn **>(ctx) = conn;
            return false;
        },
        &found);
    return found;
}

/* The number of the last Handshake packet of a datagram; scripted: nothing protects the header. */
void note_handshake_pn(const Bytes &datagram, uint8_t *last)
{
    quic_long_header h;
    for (size_t off = 0; off < datagram.size() && quic_header_is_long(datagram[off]) &&
                         quic_header_decode_long(&h, datagram.data() + off, datagram.size() - off,
                                                 QUIC_VERSIONS_ALL) == QUIC_OK;
         off += h.packet_len) {
        if (h.type == QUIC_PACKET_HANDSHAKE) {
            *last = datagram[off + h.pn_offset + quic_header_pn_len(h.first) - 1];
        }
    }
}

/* A server acknowledges the client's Finished, does not confirm the handshake (RFC 9001 4.1.2), waits until the
 * client's keys rest, and sends a Handshake packet and then a 1-RTT packet. */
TEST(Rest, AHandshakePacketDoesNotHideThatTheKeysRest)
{
    Net net;
    ASSERT_NE(net.connect(), nullptr);
    int to_server = 0;
    uint8_t last = 0;
    net.filter = [&](Packet &p) {
        if (p.to_server) {
            note_handshake_pn(p.bytes, &last);
        }
        return p.to_server ? to_server++ == 0 : net.client.conn == nullptr; /* no Finished */
    };
    ASSERT_TRUE(net.run_until([&] { return net.client.conn != nullptr; }));
    net.run_for(kMs); /* the Finished leaves */
    quic_conn *server = only_conn(net.server);
    ASSERT_NE(server, nullptr);
    auto say = [&](quic_level level, const Bytes &frames) {
        uint8_t out[1500];
        size_t len = inject_make(server, level, 0, frames.data(), frames.size(), out, sizeof(out));
        ASSERT_GT(len, 0u);
        net.inject(net.client, Bytes(out, out + len));
    };
    say(QUIC_LEVEL_HANDSHAKE, {0x02, last, 0x00, 0x00, last}); /* ACK of all */
    say(QUIC_LEVEL_APP, {0x02, 0x00, 0x00, 0x00, 0x00}); /* what went with it: connection IDs */
    net.run_for(2 * kS);
    char state[512];
    sim_inspect_state(net.client.conn, state, sizeof(state));
    ASSERT_TRUE(sim_inspect_keys_rest(net.client.conn)) << state;
    ASSERT_FALSE(sim_inspect_confirmed(net.client.conn));
    say(QUIC_LEVEL_HANDSHAKE, {0x01});
    say(QUIC_LEVEL_APP, {0x01});
    EXPECT_FALSE(sim_inspect_keys_rest(net.client.conn));
    EXPECT_EQ(quic_endpoint_counters(net.client.ep)->drop_undecryptable, 0u);
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_NONE);
}

} // namespace

/* disable_1rtt_encryption: nothing is protected, but only when both ends ask for it
 * (draft-banks-quic-disable-encryption). */
#include <gtest/gtest.h>

#include "quic/wire/header.h"
#include "tests/quic/endpoint/forge.h"
#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"

namespace
{

const char kNeedle[] = "a sentence that anybody on the way can read";

std::function<void(sim::Options &)> asking(bool server, bool client)
{
    return [=](sim::Options &o) {
        o.tls = sim::Tls::kBoring; /* real packet protection, so that its absence shows */
        o.server.limits.disable_1rtt_encryption = server;
        o.clients[0].limits.disable_1rtt_encryption = client;
    };
}

bool is_unencrypted(const quic_conn *conn)
{
    quring_conn_info info;
    quic_conn_get_info(conn, &info);
    return info.unencrypted;
}

/* Whether one side's short-header packets show the needle. */
bool can_be_read(const Net &net, bool to_server)
{
    for (const Packet &p : net.sent) {
        std::string text(p.bytes.begin(), p.bytes.end());
        if (p.to_server == to_server && !quic_header_is_long(p.bytes[0]) &&
            text.find(kNeedle) != std::string::npos) {
            return true;
        }
    }
    return false;
}

void move_both(Net &net, const std::string &bytes)
{
    const uint64_t up = net.write(net.client, bytes);
    const uint64_t down = net.write(net.server, bytes);
    ASSERT_TRUE(net.run_until([&] {
        return net.server.streams[up].bytes == bytes && net.client.streams[down].bytes == bytes;
    }));
}

TEST(Unencrypted, OnlyWhenBothAskForIt)
{
    for (bool server : {false, true}) {
        for (bool client : {false, true}) {
            Net net(asking(server, client));
            ASSERT_TRUE(net.handshake());
            move_both(net, kNeedle);
            const bool both = server && client;
            EXPECT_EQ(is_unencrypted(net.client.conn), both);
            EXPECT_EQ(is_unencrypted(net.server.conn), both);
            EXPECT_EQ(can_be_read(net, true), both);
            EXPECT_EQ(can_be_read(net, false), both);
            EXPECT_EQ(quic_endpoint_counters(net.server.ep)->conns_unencrypted, both ? 1u : 0u);
        }
    }
}

TEST(Unencrypted, MovesBytesUnderLossAndReordering)
{
    Net net(asking(true, true));
    uint64_t n = 0;
    net.filter = [&](Packet &p) {
        p.arrive_ns += n % 7 == 0 ? 3 * kMs : 0;
        return n++ % 23 != 22;
    };
    ASSERT_TRUE(net.handshake());
    move_both(net, std::string(1000000, 'p'));
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->drop_undecryptable, 0u);
}

/* Without a tag a packet is 16 bytes shorter: all of the datagram carries frames. */
TEST(Unencrypted, PacketsHaveNoTag)
{
    Net net(asking(true, true));
    ASSERT_TRUE(net.handshake());
    net.run_for(kS);
    net.sent.clear();
    ASSERT_EQ(quic_conn_ping(net.client.conn), QUIC_OK);
    net.run_for(kMs);
    ASSERT_EQ(net.sent.size(), 1u);
    const Bytes &ping = net.sent[0].bytes;
    const size_t header = 1 + 8u + quic_header_pn_len(ping[0]);
    ASSERT_GT(ping.size(), header);
    EXPECT_LE(ping.size(), 1 + 8u + 4 + 1);
    EXPECT_EQ(ping[header], 0x01); /* PING, in the clear */
    /* The other end took it, short as it is, and acknowledges. */
    net.run_for(100 * kMs);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->drop_malformed, 0u);
    quring_conn_info info;
    quic_conn_get_info(net.client.conn, &info);
    EXPECT_EQ(info.in_flight_bytes, 0u);
}

/* Another implementation may pad less: the shortest packet there can be. Shorter ones are noise. */
TEST(Unencrypted, ShortestPacketsAreTakenShorterOnesDropped)
{
    Net net(asking(true, true));
    ASSERT_TRUE(net.handshake());
    net.run_for(kS);
    net.sent.clear();
    ASSERT_EQ(quic_conn_ping(net.client.conn), QUIC_OK);
    net.run_for(kMs);
    Bytes ping = net.sent[0].bytes;
    const uint64_t before = quic_endpoint_counters(net.server.ep)->packets_recv;
    Bytes tiny(ping.begin(), ping.begin() + 9);
    tiny[0] = 0x40;      /* one byte of packet number ... */
    tiny.push_back(200); /* ... not seen yet */
    for (size_t len = 1; len <= tiny.size(); len++) {
        net.inject(net.server, Bytes(tiny.begin(), tiny.begin() + static_cast<ptrdiff_t>(len)));
    }
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->packets_recv, before);
    tiny.push_back(0x01);
    net.inject(net.server, tiny);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->packets_recv, before + 1);
    tiny[0] = 0x43; /* four bytes of packet number do not fit */
    net.inject(net.server, tiny);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->packets_recv, before + 1);
    EXPECT_EQ(net.server.close_kind(), QURING_CLOSE_NONE);
}

/* No key, no key phase: neither limit nor peer makes anybody update. */
TEST(Unencrypted, KeysAreNotUpdated)
{
    Net net(asking(true, true));
    ASSERT_TRUE(net.handshake());
    net.run_for(kS);
    EXPECT_EQ(quic_conn_update_keys(net.client.conn), QUIC_E_STATE);
    move_both(net, std::string(50000, 'k'));
    EXPECT_FALSE(sim_inspect_key_phase(net.client.conn));
    net.filter = [](Packet &p) { /* the phase bit is not protected: somebody flips it */
                                 p.bytes[0] = static_cast<uint8_t>(
                                     quic_header_is_long(p.bytes[0])
                                         ? p.bytes[0]
                                         : p.bytes[0] ^ QUIC_HEADER_KEY_PHASE_BIT);
                                 return true;
    };
    move_both(net, std::string(50000, 'l'));
    EXPECT_FALSE(sim_inspect_key_phase(net.server.conn));
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_NONE);
}

TEST(Unencrypted, ClosesAndResetsStillArrive)
{
    Net net(asking(true, true));
    ASSERT_TRUE(net.handshake());
    net.run_for(kS);
    ASSERT_EQ(quic_conn_close(net.client.conn, 7, "enough"), QUIC_OK);
    net.run_for(kS);
    EXPECT_EQ(net.server.close_kind(), QURING_CLOSE_PEER_APP);
    EXPECT_EQ(net.server.close_code(), 7u);

    Net other(asking(true, true));
    ASSERT_TRUE(other.handshake());
    other.run_for(kS);
    other.restart_server();
    (void)other.write(other.client, std::string(1000, 'r'), true);
    other.run_for(kS);
    EXPECT_EQ(other.client.close_kind(), QURING_CLOSE_STATELESS_RESET);
}

} // namespace

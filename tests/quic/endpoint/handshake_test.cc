#include <gtest/gtest.h>

#include "quic/wire/header.h"
#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"

namespace
{

TEST(Handshake, CompletesInOneRoundTripAndIsConfirmedAfterTheNext)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    EXPECT_EQ(net.now, kS + 30 * kMs); /* the server is done with the client's Finished */
    EXPECT_EQ(net.client.count(QURING_EV_CONNECTED), 1u);
    EXPECT_EQ(net.server.count(QURING_EV_CONNECTED), 1u);
    net.run_for(100 * kMs);
    quring_conn_info info;
    quic_conn_get_info(net.client.conn, &info);
    EXPECT_TRUE(info.is_client && info.established && info.confirmed);
    EXPECT_STREQ(info.alpn, "sim");
    EXPECT_STREQ(info.server_name, "localhost");
    EXPECT_EQ(info.min_rtt_ns, 20 * kMs);
    quic_conn_get_info(net.server.conn, &info);
    EXPECT_TRUE(!info.is_client && info.established && info.confirmed);
    EXPECT_STREQ(info.server_name, "localhost");
    EXPECT_EQ(info.peer_streams_bidi_max, net.options.server.limits.streams_bidi_max);
    EXPECT_EQ(info.peer_streams_uni_max, net.options.server.limits.streams_uni_max);
    EXPECT_EQ(info.remote.port, 5000);
}

TEST(Handshake, WorksWithRealTls)
{
    Net net([](sim::Options &o) { o.tls = sim::Tls::kBoring; });
    ASSERT_TRUE(net.handshake());
    net.write(net.client, "hello");
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[0].fin; }));
    EXPECT_EQ(net.server.streams[0].bytes, "hello");
}

TEST(Handshake, FirstFlightFillsItsDatagrams)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    for (const Packet &p : net.sent) { /* RFC 9000 14.1 */
        quic_long_header h;
        if (quic_header_is_long(p.bytes[0]) &&
            quic_header_decode_long(&h, p.bytes.data(), p.bytes.size(), QUIC_VERSIONS_ALL) ==
                QUIC_OK &&
            h.type == QUIC_PACKET_INITIAL && p.to_server) {
            EXPECT_GE(p.bytes.size(), 1200u);
        }
    }
}

TEST(Handshake, IsGivenUpAfterItsTimeout)
{
    Net net;
    net.filter = [](Packet &) { return false; };
    ASSERT_NE(net.connect(), nullptr);
    ASSERT_TRUE(net.run_until([&] { return net.client.count(QURING_EV_CLOSED) == 1; }));
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_HANDSHAKE_TIMEOUT);
    EXPECT_EQ(net.now, 11 * kS);
    net.run_for(kS);
    EXPECT_EQ(quic_endpoint_conn_count(net.client.ep), 0u);
}

TEST(Handshake, HalfOpenConnectionsOfSilentClientsGoAway)
{
    Net net;
    net.filter = [&](Packet &p) { return p.to_server && net.now < kS + 5 * kMs; };
    ASSERT_NE(net.connect(), nullptr);
    net.run_for(kS);
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 1u);
    EXPECT_EQ(sim_inspect_half_open(net.server.ep), 1u);
    net.run_for(30 * kS);
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 0u);
    EXPECT_EQ(sim_inspect_half_open(net.server.ep), 0u);
    EXPECT_EQ(net.server.close_kind(), QURING_CLOSE_HANDSHAKE_TIMEOUT);
}

TEST(Handshake, AlertOfTheServerEndsIt)
{
    Net net([](sim::Options &o) {
        o.tls = sim::Tls::kScript;
        o.suite = 0x1399; /* the scripted server chooses a suite nobody has */
    });
    ASSERT_NE(net.connect(), nullptr);
    net.run_until([&] { return net.client.count(QURING_EV_CLOSED) == 1; });
    EXPECT_EQ(net.client.count(QURING_EV_CLOSED), 1u);
    EXPECT_EQ(net.client.count(QURING_EV_CONNECTED), 0u);
}

/* RFC 9000 5.7, RFC 9002 7.2: a client sends ten packets as soon as it is done, and they may overtake the end
 * of the handshake. One that is thrown away counts as lost and would halve its window at the start. */
TEST(Handshake, AnInitialWindowMayOvertakeItsEnd)
{
    for (uint32_t held : {16u, 4u}) {
        Net net([=](sim::Options &o) { o.server.limits.undecryptable_packets_max = held; });
        bool answered = false;
        net.filter = [&](Packet &p) {
            const bool late = p.to_server && answered && quic_header_is_long(p.bytes[0]);
            answered = answered || !p.to_server;
            if (late) {
                net.again(p, 25 * kMs); /* the client's Finished */
            }
            return !late;
        };
        net.client.conn = net.connect();
        ASSERT_TRUE(net.run_until([&] { return net.client.count(QURING_EV_CONNECTED) == 1; }));
        const uint64_t id = net.write(net.client, std::string(200000, 'w'));
        ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
        const uint64_t lost = quic_endpoint_counters(net.client.ep)->packets_lost;
        const uint64_t dropped = quic_endpoint_counters(net.server.ep)->drop_no_keys;
        const bool fits = held >= 10;
        EXPECT_EQ(fits, lost == 0) << held;
        EXPECT_EQ(fits, dropped == 0) << held;
    }
}

/* RFC 9000 12.2, 5.7: whatever is lost, the handshake completes. */
TEST(Handshake, SurvivesTheLossOfEveryKthDatagram)
{
    for (int direction = 0; direction < 3; direction++) {
        for (uint64_t k = 2; k <= 8; k++) {
            Net net([](sim::Options &o) {
                o.server_flight_len = 6000;
                o.server.limits.handshake_timeout_ns = 60 * kS; /* half of everything is lost */
                o.clients[0].limits.handshake_timeout_ns = 60 * kS;
            });
            uint64_t seen = 0;
            net.filter = [&](Packet &p) {
                bool mine = direction == 2 || p.to_server == (direction == 0);
                return !mine || ++seen % k != 0;
            };
            ASSERT_TRUE(net.handshake()) << "direction " << direction << " k " << k;
        }
    }
}

TEST(Handshake, SurvivesTheLossOfAnyOneOfTheFirstTwentyDatagrams)
{
    for (uint64_t lost = 0; lost < 20; lost++) {
        Net net;
        uint64_t seen = 0;
        net.filter = [&](Packet &) { return seen++ != lost; };
        ASSERT_TRUE(net.handshake()) << lost;
        net.write(net.client, "after");
        ASSERT_TRUE(net.run_until([&] { return net.server.streams[0].fin; })) << lost;
        EXPECT_LT(net.now, kS + 5 * kS) << lost;
    }
}

} // namespace

/* The QUIC bit means nothing between peers that agree on that: RFC 9287. */
#include <gtest/gtest.h>

#include "quic/wire/header.h"
#include "tests/quic/endpoint/forge.h"
#include "tests/quic/endpoint/net.h"

namespace
{

struct Tally {
    size_t packets = 0;
    size_t cleared = 0;
};

Tally tally(const Net &net, bool to_server, bool is_long)
{
    Tally t;
    for (const Packet &p : net.sent) {
        if (p.to_server == to_server && quic_header_is_long(p.bytes[0]) == is_long) {
            t.packets++;
            t.cleared += quic_header_has_fixed_bit(p.bytes[0]) ? 0 : 1;
        }
    }
    return t;
}

void move_bytes(Net &net)
{
    const std::string bytes(300000, 'g');
    const uint64_t up = net.write(net.client, bytes);
    const uint64_t down = net.write(net.server, bytes);
    ASSERT_TRUE(net.run_until([&] {
        return net.server.streams[up].bytes == bytes && net.client.streams[down].bytes == bytes;
    }));
}

void grease(sim::Options &o)
{
    o.server.limits.grease_quic_bit = true;
    o.clients[0].limits.grease_quic_bit = true;
}

TEST(Grease, BothSidesLeaveTheBitToChance)
{
    Net net(grease);
    ASSERT_TRUE(net.handshake());
    move_bytes(net);
    for (bool to_server : {false, true}) {
        const Tally t = tally(net, to_server, false);
        EXPECT_GT(t.packets, 100u);
        EXPECT_GT(t.cleared, t.packets / 4);
        EXPECT_LT(t.cleared, t.packets * 3 / 4);
    }
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->drop_malformed, 0u);
    EXPECT_EQ(quic_endpoint_counters(net.client.ep)->drop_malformed, 0u);
    EXPECT_EQ(quic_endpoint_counters(net.client.ep)->packets_lost, 0u);
}

/* RFC 9287 3.1: not before the peer's parameters are known, and nothing is remembered: a client's first
 * flights keep the bit. */
TEST(Grease, FirstFlightsKeepTheBit)
{
    Net net(grease);
    net.filter = [](Packet &p) { return p.to_server; }; /* the client never hears anything */
    ASSERT_NE(net.connect(), nullptr);
    net.run_for(5 * kS);
    EXPECT_GE(tally(net, true, true).packets, 3u);
    EXPECT_EQ(tally(net, true, true).cleared, 0u);
    /* The server knows the client's and makes use of it at once. */
    EXPECT_GT(tally(net, false, true).cleared, 0u);
}

TEST(Grease, OneSideAloneChangesNothing)
{
    for (bool server : {false, true}) {
        Net net([&](sim::Options &o) {
            (server ? o.server : o.clients[0]).limits.grease_quic_bit = true;
        });
        ASSERT_TRUE(net.handshake());
        move_bytes(net);
        for (bool to_server : {false, true}) {
            EXPECT_EQ(tally(net, to_server, false).cleared, 0u);
            EXPECT_EQ(tally(net, to_server, true).cleared, 0u);
        }
    }
}

/* RFC 9287 3: who advertises takes packets without the bit, however the peer came to send them. */
TEST(Grease, WhoAdvertisesTakesPacketsWithoutTheBit)
{
    for (bool advertised : {false, true}) {
        Net net([&](sim::Options &o) { o.server.limits.grease_quic_bit = advertised; });
        ASSERT_TRUE(net.handshake());
        net.run_for(kS);
        const uint64_t id = net.write(net.client, "x");
        net.filter = [](Packet &p) {
            if (p.to_server && !quic_header_is_long(p.bytes[0])) {
                /* Not authentic any more, but whether it is looked at shows in the counters. */
                p.bytes[0] = static_cast<uint8_t>(p.bytes[0] & ~QUIC_HEADER_FIXED_BIT);
            }
            return true;
        };
        net.run_for(20 * kMs);
        const quic_counters *c = quic_endpoint_counters(net.server.ep);
        EXPECT_EQ(c->drop_undecryptable > 0, advertised);
        EXPECT_EQ(c->drop_malformed > 0, !advertised);
        net.filter = nullptr;
        EXPECT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
    }
}

/* RFC 9287 3.1: a client may leave the bit out of its first packets only with a token of the server's. */
TEST(Grease, StrangersNeedATokenToLeaveItOut)
{
    for (bool advertised : {false, true}) {
        for (bool token : {false, true}) {
            Net net([&](sim::Options &o) { o.server.limits.grease_quic_bit = advertised; });
            InitialSpec spec;
            spec.key_dcid = spec.dcid = make_cid(1);
            spec.scid = make_cid(2);
            spec.frames = {0x01};
            spec.no_fixed_bit = true;
            spec.token = token ? Bytes(40, 7) : Bytes();
            net.inject(net.server, forge_initial(spec));
            EXPECT_EQ(!net.sent.empty(), advertised && token);
            EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), advertised && token ? 1u : 0u);
        }
    }
}

/* RFC 9000 10.3: a restarted server's resets are found also by packets without the bit. */
TEST(Grease, ResetAnswersPacketsWithoutTheBit)
{
    Net net(grease);
    ASSERT_TRUE(net.handshake());
    net.run_for(kS);
    net.restart_server();
    net.filter = [](Packet &p) { return !p.to_server || !quic_header_has_fixed_bit(p.bytes[0]); };
    for (int i = 0; i < 40 && net.client.close_kind() == QURING_CLOSE_NONE; i++) {
        (void)net.write(net.client, "anybody there?", true);
        net.run_for(100 * kMs);
    }
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_STATELESS_RESET);
}

} // namespace

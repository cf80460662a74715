/* What the host below does to an endpoint: pauses, clocks that jump, datagrams joined by the kernel. */
#include <gtest/gtest.h>

#include "quic/wire/header.h"
#include "tests/quic/endpoint/net.h"

namespace
{

using Bytes = std::vector<uint8_t>;

/* A stopped process finds everything due at once: late packets and late timers. One probe is what it may send
 * (RFC 9002 6.2), and a pause is no persistent congestion (7.6: that takes lost packets). */
TEST(Host, H117_APauseCostsOneProbeAndNoWindow)
{
    for (quic_ns pause : {kS, 10 * kS, 25 * kS}) { /* below the idle timeout */
        Net net;
        ASSERT_TRUE(net.handshake());
        net.run_for(100 * kMs);
        uint64_t id = net.write(net.client, std::string(300000, 'x'), true);
        net.run_for(15 * kMs); /* packets are under way in both directions */
        quring_conn_info before{};
        quic_conn_get_info(net.client.conn, &before);
        net.now += pause;
        EXPECT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }, 2 * kS)) << pause;
        EXPECT_LE(quic_endpoint_counters(net.client.ep)->ptos, 1u) << pause;
        EXPECT_LE(quic_endpoint_counters(net.server.ep)->ptos, 1u) << pause;
        quring_conn_info after{};
        quic_conn_get_info(net.client.conn, &after);
        EXPECT_GE(after.cwnd_bytes, before.cwnd_bytes / 2) << pause;
        EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_NONE) << pause;
        EXPECT_EQ(net.server.close_kind(), QURING_CLOSE_NONE) << pause;
    }
}

/* A pause longer than the idle timeout ends the connection (RFC 9000 10.1), once. */
TEST(Host, H117_APauseBeyondTheIdleTimeoutEndsIt)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(kS);
    net.now += 120 * kS;
    net.run_for(kS);
    EXPECT_EQ(net.client.count(QURING_EV_CLOSED), 1u);
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_IDLE_TIMEOUT);
    EXPECT_EQ(net.server.count(QURING_EV_CLOSED), 1u);
}

/* Connections live by the monotonic clock alone; the wall's is for tokens. */
TEST(Host, H118_TheWallClockMayJumpByYears)
{
    constexpr quic_ns kTenYears = 10ull * 365 * 86400 * kS;
    for (quic_ns jump : {kTenYears, static_cast<quic_ns>(0) - kTenYears}) { /* wraps: backwards */
        Net net;
        ASSERT_TRUE(net.handshake());
        net.run_for(kS);
        quic_endpoint_set_wall_offset(net.server.ep, 50 * 365 * 86400 * kS + jump);
        uint64_t id = net.write(net.client, std::string(100000, 'x'), true);
        ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
        net.run_for(kS);
        EXPECT_EQ(net.server.close_kind(), QURING_CLOSE_NONE);
        net.client.conn = net.server.conn = nullptr;
        ASSERT_TRUE(net.handshake());
    }
}

/* GRO joins datagrams of one sender whichever connections they belong to; the last may be shorter. */
TEST(Host, H124_OneUnitMayCarrySeveralConnections)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    quic_conn *first = net.client.conn;
    net.client.conn = net.server.conn = nullptr;
    ASSERT_TRUE(net.handshake()); /* from the same port */
    net.run_for(kS);
    std::vector<Bytes> caught;
    net.filter = [&](Packet &p) {
        if (p.to_server && !quic_header_is_long(p.bytes[0])) {
            caught.push_back(p.bytes);
        }
        return false;
    };
    quic_conn *second = net.client.conn;
    for (quic_conn *conn : {first, second, first}) {
        net.client.conn = conn;
        net.write(net.client, std::string(conn == first && !caught.empty() ? 100 : 300, 'x'), true);
        net.run_for(kMs);
    }
    ASSERT_GE(caught.size(), 3u);
    caught.resize(3);
    ASSERT_EQ(caught[0].size(), caught[1].size());
    ASSERT_LT(caught[2].size(), caught[0].size());
    ASSERT_NE(Bytes(caught[0].begin() + 1, caught[0].begin() + 9),
              Bytes(caught[1].begin() + 1, caught[1].begin() + 9));
    Bytes joined;
    for (const Bytes &packet : caught) {
        joined.insert(joined.end(), packet.begin(), packet.end());
    }
    const size_t opened = net.server.count(QURING_EV_STREAM_OPENED);
    net.inject(net.server, joined, 5000, static_cast<uint32_t>(caught[0].size()));
    EXPECT_EQ(net.server.count(QURING_EV_STREAM_OPENED), opened + 3);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->drop_undecryptable, 0u);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->drop_unknown_cid, 0u);
}

} // namespace

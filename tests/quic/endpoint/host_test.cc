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

/* The last octet of the connection ID that a packet is for names the worker. */
TEST(Host, RoutesBetweenWorkers)
{
    Net net;
    net.server_config = [](quic_endpoint_config &c) { c.worker_count = 4; };
    net.restart_server();
    const auto route = [&](const Bytes &bytes, uint32_t seg_len = 1500) {
        Bytes copy = bytes;
        copy.push_back(1); /* behind the end: of another datagram */
        quic_rx_unit unit{};
        unit.data = copy.data();
        unit.len = static_cast<uint32_t>(bytes.size());
        unit.seg_len = seg_len;
        return std::make_pair(quic_endpoint_route(net.server.ep, &unit),
                              quic_endpoint_route_len(net.server.ep, &unit));
    };
    Bytes initial = {0xc0, 0, 0, 0, 1, 8, 9, 9, 9, 9, 9, 9, 9, 23, 0, 0};
    EXPECT_EQ(route(initial).first, 3);
    for (size_t len = 1; len < initial.size(); len++) { /* 3 where its octet is there, else ours */
        const Bytes cut(initial.begin(), initial.begin() + static_cast<std::ptrdiff_t>(len));
        EXPECT_EQ(route(cut).first, len > 13 ? 3 : 0) << len;
        EXPECT_EQ(route(cut).second, len);
    }
    initial[5] = 0;
    EXPECT_EQ(route(initial).first, 0);
    Bytes packet = {0x40, 9, 9, 9, 9, 9, 9, 9, 22, 0};
    EXPECT_EQ(route(packet).first, 2);
    packet.resize(9);
    EXPECT_EQ(route(packet).first, 2);
    packet.resize(8);
    EXPECT_EQ(route(packet).first, 0);
    Bytes train;
    for (const uint8_t worker : {1, 1, 3, 1}) {
        const Bytes one = {0x40, 9, 9, 9, 9, 9, 9, 9, worker, 0};
        train.insert(train.end(), one.begin(), one.end());
    }
    EXPECT_EQ(route(train, 10), (std::pair<uint8_t, uint32_t>(1, 20)));
}

/* RFC 9000 18.2 */
TEST(Host, TellsTheSizeOfDatagramsItTakes)
{
    Net net([](sim::Options &o) { o.clients[0].limits.udp_payload_max_bytes = 1300; });
    uint64_t told = 0;
    net.lie_to_server = [&](quic_transport_params &p) { told = p.max_udp_payload_size; };
    ASSERT_TRUE(net.handshake());
    EXPECT_EQ(told, 1300u);
}

/* What the runtime is told of datagrams that another process may own. */
TEST(Host, RoutesBetweenProcesses)
{
    Net net;
    quic_endpoint_set_process(net.server.ep, 7);
    std::vector<Bytes> to_server;
    net.filter = [&](Packet &p) {
        if (p.to_server) {
            to_server.push_back(p.bytes);
        }
        return true;
    };
    ASSERT_TRUE(net.handshake());
    net.run_for(kS);
    ASSERT_GE(to_server.size(), 3u);
    const auto route = [&](Bytes &bytes, uint32_t seg_len) {
        quic_rx_unit unit{};
        unit.data = bytes.data();
        unit.len = static_cast<uint32_t>(bytes.size());
        unit.seg_len = seg_len;
        quic_process_route out;
        quic_endpoint_route_process(net.server.ep, &out, &unit);
        return out;
    };
    Bytes first = to_server.front();
    Bytes last = to_server.back();
    EXPECT_TRUE(route(first, 1500).is_long);
    quic_process_route own = route(last, 1500);
    EXPECT_FALSE(own.is_long);
    EXPECT_TRUE(own.is_named);
    EXPECT_EQ(7, own.process);
    EXPECT_EQ(last.size(), own.len);
    /* a train of several: what goes the same way stays together */
    last.resize(100);
    Bytes other = last;
    other[1 + 6] ^= 1; /* the number's octet of 8 */
    Bytes train = last;
    for (const Bytes &more : {last, other, last}) {
        train.insert(train.end(), more.begin(), more.end());
    }
    own = route(train, 100);
    EXPECT_EQ(200u, own.len);
    Bytes rest(train.begin() + 200, train.end());
    own = route(rest, 100);
    EXPECT_EQ(6, own.process);
    EXPECT_EQ(100u, own.len);
    /* whatever is cut off, it stays inside */
    for (const Bytes &whole : {first, last}) {
        for (size_t len = 1; len < 30; len++) {
            Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(len));
            const quic_process_route got = route(cut, 1500);
            EXPECT_EQ(len, got.len);
            EXPECT_FALSE(got.is_named && len < 9);
        }
    }
}

/* What a server that ends waits for: not for closing periods, which need nobody. */
TEST(Host, AConnectionIsBusyUntilItsCloseIsSaid)
{
    Net net;
    EXPECT_EQ(quic_endpoint_busy_count(net.server.ep), 0u);
    ASSERT_TRUE(net.handshake());
    EXPECT_EQ(quic_endpoint_busy_count(net.server.ep), 1u);
    ASSERT_EQ(quic_conn_close(net.server.conn, 0, nullptr), QUIC_OK);
    EXPECT_EQ(quic_endpoint_busy_count(net.server.ep), 1u);
    net.run_for(kMs);
    EXPECT_EQ(quic_endpoint_busy_count(net.server.ep), 0u);
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 1u);
}

TEST(Host, TakesStrangersOnlyWhileItListens)
{
    Net net;
    Bytes first;
    net.filter = [&](Packet &p) {
        if (p.to_server && first.empty()) {
            first = p.bytes;
        }
        return true;
    };
    quic_rx_unit unit{};
    ASSERT_TRUE(net.handshake());
    unit.data = first.data();
    unit.len = unit.seg_len = static_cast<uint32_t>(first.size());
    EXPECT_TRUE(quic_endpoint_takes(net.server.ep, &unit));
    Bytes stranger = first;
    stranger[6] ^= 1;
    unit.data = stranger.data();
    quic_endpoint_unlisten(net.server.ep, 1); /* another socket */
    EXPECT_TRUE(quic_endpoint_takes(net.server.ep, &unit));
    quic_accept_config second{};
    second.limits = net.options.server.limits;
    ASSERT_EQ(quic_endpoint_listen(net.server.ep, 1, &second), QUIC_OK);
    quic_endpoint_unlisten(net.server.ep, 0);
    EXPECT_FALSE(quic_endpoint_takes(net.server.ep, &unit));
    unit.path.socket = 1;
    EXPECT_TRUE(quic_endpoint_takes(net.server.ep, &unit));
    unit.path.socket = 0;
    quic_endpoint_unlisten(net.server.ep, 1);
    net.serve(nullptr);
    EXPECT_TRUE(quic_endpoint_takes(net.server.ep, &unit));
    quic_endpoint_refuse_new(net.server.ep);
    EXPECT_FALSE(quic_endpoint_takes(net.server.ep, &unit));
}

} // namespace

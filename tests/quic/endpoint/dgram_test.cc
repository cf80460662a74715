/* DATAGRAM frames between two endpoints (RFC 9221): whole, at most once, next to streams, within the
 * bounds of both sides. */
#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "tests/quic/endpoint/net.h"

namespace
{

quic_rc send(quic_conn *conn, const std::string &bytes, quic_ns ttl_ns = 0, uint32_t flags = 0)
{
    return quic_conn_datagram_send(conn, reinterpret_cast<const uint8_t *>(bytes.data()),
                                   bytes.size(), ttl_ns, flags);
}

std::string numbered(int i, size_t len)
{
    std::string s = std::to_string(i) + ":";
    s.resize(std::max(len, s.size()), static_cast<char>('a' + i % 26));
    return s;
}

quring_conn_info info_of(const quic_conn *conn)
{
    quring_conn_info info;
    quic_conn_get_info(conn, &info);
    return info;
}

size_t max_of(const quic_conn *conn)
{
    size_t max = 0;
    EXPECT_EQ(quic_conn_datagram_max(conn, &max), QUIC_OK);
    return max;
}

TEST(Dgram, BothWaysWithEverySize)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    for (bool by_server : {false, true}) {
        Side &from = by_server ? net.server : net.client;
        Side &to = by_server ? net.client : net.server;
        std::vector<std::string> want;
        size_t max = max_of(from.conn);
        EXPECT_GT(max, 1100u);
        for (size_t len : {size_t{0}, size_t{1}, size_t{62}, size_t{63}, size_t{64}, size_t{65},
                           max - 4, max - 3, max - 2, max - 1, max}) {
            want.push_back(std::string(len, static_cast<char>('A' + want.size())));
            ASSERT_EQ(send(from.conn, want.back()), QUIC_OK) << len;
            net.run_for(100 * kMs); /* alone in its packet, with padding behind or before it */
        }
        EXPECT_EQ(to.datagrams, want);
        quring_conn_info info = info_of(from.conn);
        EXPECT_EQ(info.datagrams_sent, want.size());
        EXPECT_EQ(info.datagrams_acked, want.size());
        EXPECT_EQ(info.datagrams_lost + info.datagrams_discarded, 0u);
        EXPECT_EQ(info_of(to.conn).datagrams_recv, want.size());
    }
}

TEST(Dgram, SeveralShareAPacket)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(200 * kMs);
    net.sent.clear();
    std::vector<std::string> want;
    for (int i = 0; i < 40; i++) {
        want.push_back(numbered(i, 100));
        ASSERT_EQ(send(net.client.conn, want.back()), QUIC_OK);
    }
    net.run_for(kMs);
    auto up = std::count_if(net.sent.begin(), net.sent.end(), [](auto &p) { return p.to_server; });
    EXPECT_LE(up, 5);
    net.run_for(100 * kMs);
    EXPECT_EQ(net.server.datagrams, want);
}

/* A train ends with one that is shorter than the others, what waits does not. */
TEST(Dgram, OnesThatDoNotFitTogetherLeaveAtOnce)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(200 * kMs);
    net.sent.clear();
    for (size_t len : {700, 800, 900}) {
        ASSERT_EQ(send(net.client.conn, std::string(len, 'd')), QUIC_OK);
    }
    net.run_for(1);
    auto up = std::count_if(net.sent.begin(), net.sent.end(), [](auto &p) { return p.to_server; });
    EXPECT_EQ(up, 3);
}

/* RFC 9221 5, 5.1: neither kind waits for the other one's queue to run dry. */
TEST(Dgram, ShareTheConnectionWithStreams)
{
    Net net;
    net.keep_sent = false;
    ASSERT_TRUE(net.handshake());
    net.run_for(200 * kMs);
    uint64_t id = net.write(net.client, std::string(2000000, 's'));
    uint64_t sent = 0;
    ASSERT_TRUE(net.run_until([&] {
        while (send(net.client.conn, std::string(1000, 'd')) == QUIC_OK) {
            sent++;
        }
        return net.server.streams[id].bytes.size() >= 1000000;
    }));
    uint64_t datagram_bytes = net.server.datagrams.size() * 1000;
    EXPECT_GT(datagram_bytes, 500000u);
    EXPECT_LT(datagram_bytes, 1500000u);
    net.run_for(5 * kS);
    EXPECT_TRUE(net.server.streams[id].fin);
}

/* RFC 9221 5.2: not sent again; who sent them learns how many were lost. */
TEST(Dgram, LossIsCountedAndNotRepaired)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(200 * kMs);
    int n = 0;
    net.filter = [&](Packet &p) { return !p.to_server || ++n % 4 != 0; };
    int sent = 0;
    for (int i = 0; i < 50; i++) {
        for (int k = 0; k < 4; k++) {
            sent += send(net.client.conn, numbered(sent, 1000)) == QUIC_OK ? 1 : 0;
        }
        net.run_for(50 * kMs);
    }
    net.filter = nullptr;
    net.run_for(5 * kS);
    quring_conn_info info = info_of(net.client.conn);
    EXPECT_EQ(info.datagrams_sent, static_cast<uint64_t>(sent));
    EXPECT_EQ(info.datagrams_acked + info.datagrams_lost, info.datagrams_sent);
    EXPECT_GT(info.datagrams_lost, 30u);
    EXPECT_EQ(net.server.datagrams.size(), info.datagrams_acked);
    std::set<std::string> once(net.server.datagrams.begin(), net.server.datagrams.end());
    EXPECT_EQ(once.size(), net.server.datagrams.size());
    EXPECT_EQ(quic_endpoint_counters(net.client.ep)->datagram_frames_lost, info.datagrams_lost);
    EXPECT_EQ(quic_endpoint_counters(net.client.ep)->packets_lost, info.packets_lost);
    EXPECT_EQ(quic_endpoint_counters(net.client.ep)->ptos, info.pto_count_total);
    EXPECT_GT(info.pto_count_total, 0u);
}

/* RFC 9221 5.2: a packet with nothing else in it is acknowledged. */
TEST(Dgram, OneAloneIsAcknowledged)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(kS);
    ASSERT_EQ(send(net.client.conn, "x"), QUIC_OK);
    net.run_for(200 * kMs);
    EXPECT_EQ(info_of(net.client.conn).datagrams_acked, 1u);
    EXPECT_EQ(info_of(net.client.conn).in_flight_bytes, 0u);
}

/* One declared lost and acknowledged later is not counted as lost (RFC 9221 5.2). */
TEST(Dgram, LateOnesAreNotLost)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(200 * kMs);
    std::vector<Packet> late;
    net.filter = [&](Packet &p) {
        if (p.to_server && late.empty()) {
            late.push_back(p);
            return false;
        }
        return true;
    };
    for (int i = 0; i < 8; i++) {
        ASSERT_EQ(send(net.client.conn, numbered(i, 1000)), QUIC_OK);
    }
    net.run_for(30 * kMs);
    EXPECT_EQ(info_of(net.client.conn).datagrams_lost, 1u);
    net.inject(net.server, late[0].bytes);
    net.run_for(kS);
    EXPECT_EQ(info_of(net.client.conn).datagrams_lost, 0u);
    EXPECT_EQ(info_of(net.client.conn).datagrams_acked, 8u);
}

TEST(Dgram, AFullQueueSaysAgainAndLaterWritable)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(200 * kMs);
    int sent = 0;
    while (send(net.client.conn, numbered(sent, 10)) == QUIC_OK) {
        sent++;
    }
    EXPECT_EQ(sent, 512); /* each counts as 128 bytes */
    EXPECT_EQ(send(net.client.conn, "x"), QUIC_E_AGAIN);
    EXPECT_EQ(net.client.count(QURING_EV_DATAGRAM_WRITABLE), 0u);
    net.run_for(100 * kMs);
    EXPECT_EQ(net.client.count(QURING_EV_DATAGRAM_WRITABLE), 1u);
    EXPECT_EQ(net.server.datagrams.size(), 512u);
    net.run_for(kS);
    EXPECT_EQ(net.client.count(QURING_EV_DATAGRAM_WRITABLE), 1u);
}

TEST(Dgram, TheOldestGivesWayWhenAskedTo)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(200 * kMs);
    for (int i = 0; i < 548; i++) {
        ASSERT_EQ(send(net.client.conn, numbered(i, 10), 0, QUIC_DATAGRAM_REPLACE), QUIC_OK);
    }
    net.run_for(100 * kMs);
    ASSERT_EQ(net.server.datagrams.size(), 512u);
    EXPECT_EQ(net.server.datagrams[0], numbered(36, 10));
    EXPECT_EQ(info_of(net.client.conn).datagrams_discarded, 36u);
}

/* RFC 9221 5.4: what the window holds back longer than it is worth does not leave. */
TEST(Dgram, ExpireInsteadOfWaiting)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(200 * kMs);
    net.filter = [](Packet &p) { return !p.to_server; };
    net.write(net.client, std::string(100000, 's')); /* fills the window */
    net.run_for(kMs);
    ASSERT_EQ(send(net.client.conn, "too late soon", 50 * kMs), QUIC_OK);
    ASSERT_EQ(send(net.client.conn, "patient"), QUIC_OK);
    ASSERT_EQ(send(net.client.conn, "in time", 60 * kS), QUIC_OK);
    net.run_for(60 * kMs);
    net.filter = nullptr;
    net.run_for(5 * kS);
    EXPECT_EQ(net.server.datagrams, (std::vector<std::string>{"patient", "in time"}));
    EXPECT_EQ(info_of(net.client.conn).datagrams_discarded, 1u);
    EXPECT_EQ(info_of(net.client.conn).datagrams_sent, 2u);
}

TEST(Dgram, TooLargeIsSaidAtOnce)
{
    Net net([](sim::Options &o) { o.server.limits.datagram_max_bytes = 100; });
    ASSERT_TRUE(net.handshake());
    /* RFC 9221 3: the server's limit counts type and Length, too */
    EXPECT_EQ(max_of(net.client.conn), 97u);
    EXPECT_EQ(send(net.client.conn, std::string(98, 'x')), QUIC_E_TOO_LARGE);
    EXPECT_EQ(send(net.client.conn, std::string(97, 'x')), QUIC_OK);
    size_t max = max_of(net.server.conn);
    EXPECT_EQ(send(net.server.conn, std::string(max + 1, 'y')), QUIC_E_TOO_LARGE);
    EXPECT_EQ(send(net.server.conn, std::string(max, 'y')), QUIC_OK);
    net.run_for(200 * kMs);
    EXPECT_EQ(net.server.datagrams.size(), 1u);
    EXPECT_EQ(net.client.datagrams.size(), 1u);
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_NONE);
}

/* The path's datagram size grows and shrinks (RFC 8899), and the largest payload with it; what waits
 * and fits no more is discarded. */
TEST(Dgram, FollowThePathsDatagramSize)
{
    Net net([](sim::Options &o) { o.clients[0].limits.mtu_probe_max_bytes = 1472; });
    ASSERT_TRUE(net.handshake());
    size_t before = max_of(net.client.conn);
    for (int i = 0; i < 20; i++) { /* datagrams alone make larger packets worth a search */
        ASSERT_EQ(send(net.client.conn, std::string(1000, 'x')), QUIC_OK);
        net.run_for(100 * kMs);
    }
    size_t after = max_of(net.client.conn);
    EXPECT_EQ(after, before + 272);
    ASSERT_EQ(send(net.client.conn, std::string(after, 'L')), QUIC_OK);
    net.run_for(100 * kMs);
    EXPECT_EQ(net.server.datagrams.back(), std::string(after, 'L'));
    size_t count = net.server.datagrams.size();
    ASSERT_EQ(send(net.client.conn, std::string(after, 'M')), QUIC_OK);
    ASSERT_EQ(send(net.client.conn, std::string(after, 'N')), QUIC_OK);
    net.interface_mtu = 1300;
    net.run_for(5 * kS);
    EXPECT_LT(max_of(net.client.conn), after);
    EXPECT_EQ(send(net.client.conn, std::string(after, 'O')), QUIC_E_TOO_LARGE);
    ASSERT_EQ(send(net.client.conn, "small"), QUIC_OK);
    net.run_for(kS);
    EXPECT_EQ(net.server.datagrams.size(), count + 1);
    EXPECT_EQ(net.server.datagrams.back(), "small");
    quring_conn_info info = info_of(net.client.conn);
    EXPECT_GT(info.datagrams_discarded + info.datagrams_lost, 1u);
}

/* Each direction is offered by itself (RFC 9221 3). */
TEST(Dgram, NotOfferedIsNotSupported)
{
    Net net([](sim::Options &o) { o.server.limits.datagram_max_bytes = 0; });
    EXPECT_NE(net.connect(), nullptr);
    ASSERT_TRUE(net.run_until([&] { return net.client.conn != nullptr && net.server.conn; }));
    size_t max = 7;
    EXPECT_EQ(quic_conn_datagram_max(net.client.conn, &max), QUIC_E_NOT_SUPPORTED);
    EXPECT_EQ(max, 0u);
    EXPECT_EQ(send(net.client.conn, "x"), QUIC_E_NOT_SUPPORTED);
    EXPECT_EQ(send(net.server.conn, "to the client"), QUIC_OK);
    net.run_for(100 * kMs);
    EXPECT_EQ(net.client.datagrams, std::vector<std::string>{"to the client"});
    quic_span span;
    EXPECT_EQ(quic_conn_datagram_peek(net.server.conn, &span), QUIC_E_AGAIN);
    EXPECT_EQ(quic_conn_datagram_consume(net.server.conn), QUIC_E_AGAIN);
}

TEST(Dgram, NothingBeforeOrAfterTheConnection)
{
    Net net;
    quic_conn *conn = net.connect();
    size_t max;
    EXPECT_EQ(send(conn, "x"), QUIC_E_STATE);
    EXPECT_EQ(quic_conn_datagram_max(conn, &max), QUIC_E_STATE);
    ASSERT_TRUE(net.run_until([&] { return net.client.conn != nullptr; }));
    ASSERT_EQ(quic_conn_close(conn, 0, nullptr), QUIC_OK);
    EXPECT_EQ(send(conn, "x"), QUIC_E_STATE);
}

/* Events come once until what they said is used up. */
TEST(Dgram, ReadableIsToldOncePerDryQueue)
{
    Net net;
    net.server.read_datagrams = false;
    ASSERT_TRUE(net.handshake());
    net.run_for(200 * kMs);
    for (int i = 0; i < 3; i++) {
        ASSERT_EQ(send(net.client.conn, numbered(i, 10)), QUIC_OK);
        net.run_for(50 * kMs);
    }
    EXPECT_EQ(net.server.count(QURING_EV_DATAGRAM_READABLE), 1u);
    quic_span span;
    for (int i = 0; i < 3; i++) {
        ASSERT_EQ(quic_conn_datagram_peek(net.server.conn, &span), QUIC_OK);
        EXPECT_EQ(std::string(reinterpret_cast<const char *>(span.data), span.len),
                  numbered(i, 10));
        ASSERT_EQ(quic_conn_datagram_consume(net.server.conn), QUIC_OK);
    }
    ASSERT_EQ(send(net.client.conn, "again"), QUIC_OK);
    net.run_for(50 * kMs);
    EXPECT_EQ(net.server.count(QURING_EV_DATAGRAM_READABLE), 2u);
}

/* An idle connection holds no queues. */
TEST(Dgram, RestGivesTheMemoryBack)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(5 * kS);
    uint64_t before = info_of(net.client.conn).mem_bytes;
    for (int i = 0; i < 60; i++) {
        ASSERT_EQ(send(net.client.conn, std::string(1000, 'x')), QUIC_OK);
    }
    net.run_for(5 * kS);
    EXPECT_LT(info_of(net.client.conn).mem_bytes, before + 512);
    EXPECT_EQ(net.server.datagrams.size(), 60u);
}

} // namespace

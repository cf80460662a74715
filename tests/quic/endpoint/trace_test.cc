/* Records of packets: what one end sent is what the other received, or the first declared lost. */
#include <algorithm>
#include <set>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "tests/quic/endpoint/net.h"

namespace
{

using Packet3 = std::tuple<int, uint64_t, uint32_t>; /* type, number, bytes */

std::vector<quring_packet_record> ReadAll(quic_conn *conn, uint64_t *missed)
{
    std::vector<quring_packet_record> all;
    size_t count = 0;
    do {
        quring_packet_record some[7];
        EXPECT_EQ(quic_conn_read_trace(conn, some, 7, &count, missed), QUIC_OK);
        all.insert(all.end(), some, some + count);
    } while (count == 7);
    return all;
}

std::vector<Packet3> Only(const std::vector<quring_packet_record> &records, int event)
{
    std::vector<Packet3> out;
    for (const quring_packet_record &r : records) {
        if (r.event == event) {
            out.emplace_back(r.type, r.number, r.bytes);
        }
    }
    return out;
}

std::vector<Packet3> Sorted(std::vector<Packet3> packets)
{
    std::sort(packets.begin(), packets.end());
    return packets;
}

void Traced(sim::Options &o)
{
    o.server.limits.trace_packets = 5000;
    o.clients[0].limits.trace_packets = 5000;
}

TEST(Trace, WhatOneEndSendsTheOtherReceives)
{
    Net net(Traced);
    ASSERT_TRUE(net.handshake());
    const uint64_t id = net.write(net.client, std::string(200000, 't'), true);
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
    net.run_for(kS);
    uint64_t missed[2] = {1, 1};
    const auto client = ReadAll(net.client.conn, &missed[0]);
    const auto server = ReadAll(net.server.conn, &missed[1]);
    EXPECT_EQ(missed[0] + missed[1], 0u);
    EXPECT_GT(Only(client, QURING_PACKET_SENT).size(), 150u);
    EXPECT_EQ(Sorted(Only(client, QURING_PACKET_SENT)),
              Sorted(Only(server, QURING_PACKET_RECEIVED)));
    EXPECT_EQ(Sorted(Only(server, QURING_PACKET_SENT)),
              Sorted(Only(client, QURING_PACKET_RECEIVED)));
    EXPECT_TRUE(Only(client, QURING_PACKET_LOST).empty());
    std::set<int> types;
    quic_ns last = 0;
    for (const quring_packet_record &r : client) {
        types.insert(r.type);
        EXPECT_GE(r.at_ns, last);
        last = r.at_ns;
    }
    EXPECT_EQ(types,
              (std::set<int>{QURING_PACKET_INITIAL, QURING_PACKET_HANDSHAKE, QURING_PACKET_1RTT}));
    quring_conn_info info;
    quic_conn_get_info(net.client.conn, &info);
    EXPECT_EQ(info.packets_sent, Only(client, QURING_PACKET_SENT).size());
    EXPECT_EQ(info.packets_recv, Only(client, QURING_PACKET_RECEIVED).size());
    /* What was read is gone. */
    EXPECT_TRUE(ReadAll(net.client.conn, &missed[0]).empty());
}

TEST(Trace, LostPacketsAreThoseThatDidNotArrive)
{
    Net net(Traced);
    ASSERT_TRUE(net.handshake());
    net.run_for(kS);
    uint64_t missed = 0;
    (void)ReadAll(net.client.conn, &missed);
    (void)ReadAll(net.server.conn, &missed);
    uint64_t n = 0;
    net.filter = [&](Packet &p) { return !p.to_server || ++n % 10 != 0; };
    const uint64_t id = net.write(net.client, std::string(200000, 't'), true);
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
    net.filter = nullptr;
    net.run_for(5 * kS);
    const auto client = ReadAll(net.client.conn, &missed);
    const auto got = Sorted(Only(ReadAll(net.server.conn, &missed), QURING_PACKET_RECEIVED));
    const auto lost = Only(client, QURING_PACKET_LOST);
    EXPECT_GT(lost.size(), 10u);
    for (const Packet3 &p : lost) {
        EXPECT_FALSE(std::binary_search(got.begin(), got.end(), p)) << std::get<1>(p);
    }
    quring_conn_info info;
    quic_conn_get_info(net.client.conn, &info);
    EXPECT_EQ(info.packets_lost, lost.size());
    EXPECT_GE(Only(client, QURING_PACKET_SENT).size(), got.size() + lost.size());
}

TEST(Trace, WhoDoesNotReadMissesTheLaterOnes)
{
    Net net([](sim::Options &o) { o.clients[0].limits.trace_packets = 10; });
    ASSERT_TRUE(net.handshake());
    const uint64_t id = net.write(net.client, std::string(100000, 't'), true);
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
    quring_conn_info info;
    quic_conn_get_info(net.client.conn, &info);
    uint64_t missed = 0;
    const auto records = ReadAll(net.client.conn, &missed);
    ASSERT_EQ(records.size(), 10u);
    EXPECT_EQ(records[0].number, 0u);
    EXPECT_EQ(records[0].type, QURING_PACKET_INITIAL);
    EXPECT_EQ(missed + 10, info.packets_sent + info.packets_recv + info.packets_lost);
    net.run_for(kS);
    EXPECT_LE(ReadAll(net.client.conn, &missed).size(), 10u);
}

TEST(Trace, IsOffUnlessAskedFor)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    quring_packet_record r;
    size_t count = 0;
    uint64_t missed = 0;
    EXPECT_EQ(quic_conn_read_trace(net.client.conn, &r, 1, &count, &missed), QUIC_E_STATE);
}

} // namespace

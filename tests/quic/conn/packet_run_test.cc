/* Packets of bulk data that are built together are those that are built one by one, as they are where somebody traces
 * them: tests/sim/determinism_test.cc has it for drawn lives, this for what these do not meet. */
#include <vector>

#include <gtest/gtest.h>

#include "tests/quic/endpoint/net.h"

namespace
{

constexpr size_t kBytes = 2000000;

struct Bulk {
    std::vector<Packet> sent;
    uint64_t packets_sent = 0;
    uint64_t in_flight_max = 0;
};

/* What leaves while a server sends kBytes over a line on which a window of hundreds of packets opens. */
Bulk SendBulk(bool traced)
{
    Bulk out;
    Net net([&](sim::Options &o) {
        o.server.limits.trace_packets = traced ? 1 : 0;
        for (quring_limits *l : {&o.server.limits, &o.clients[0].limits}) {
            l->stream_recv_window_bytes = l->stream_recv_window_max_bytes = 4u << 20;
            l->conn_recv_window_bytes = l->conn_recv_window_max_bytes = 4u << 20;
            l->stream_send_buf_bytes = l->conn_send_buf_bytes = 4u << 20;
        }
    });
    net.delay = 50 * kMs;
    EXPECT_TRUE(net.handshake());
    net.filter = [&](Packet &) {
        const uint64_t in_flight = info_of(net.server).in_flight_bytes;
        out.in_flight_max = in_flight > out.in_flight_max ? in_flight : out.in_flight_max;
        return true;
    };
    const uint64_t id = net.write(net.server, bytes_of(kBytes), true);
    EXPECT_TRUE(net.run_until([&] { return net.client.streams[id].fin; }));
    EXPECT_EQ(bytes_of(kBytes), net.client.streams[id].bytes);
    out.packets_sent = info_of(net.server).packets_sent;
    out.sent = net.sent;
    return out;
}

/* RFC 9000 17.1: a number takes a second byte when 128 packets are not acknowledged. */
TEST(PacketRun, EndsWhereNumbersBecomeLonger)
{
    const Bulk one = SendBulk(true);
    const Bulk run = SendBulk(false);
    EXPECT_GT(run.in_flight_max, 300u * 1200u);
    EXPECT_EQ(one.packets_sent, run.packets_sent);
    ASSERT_EQ(one.sent.size(), run.sent.size());
    for (size_t i = 0; i < one.sent.size(); i++) {
        ASSERT_EQ(one.sent[i].sent_ns, run.sent[i].sent_ns) << i;
        ASSERT_EQ(one.sent[i].ecn, run.sent[i].ecn) << i;
        ASSERT_EQ(one.sent[i].bytes, run.sent[i].bytes) << i;
    }
}

} // namespace

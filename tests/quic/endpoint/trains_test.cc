/* What leaves at once: how long trains are, and whose. */
#include <gtest/gtest.h>

#include "tests/quic/endpoint/net.h"

namespace
{

constexpr quic_ns kNear = 100 * QUIC_NS_PER_US;
constexpr quic_ns kFar = 10 * kMs;
constexpr uint64_t kWindow = 70000; /* a train, and a little */

enum class Of { kStream, kConnection };

void give_window(quring_limits &l, Of of)
{
    if (of == Of::kConnection) {
        l.conn_recv_window_bytes = l.conn_recv_window_max_bytes = kWindow;
    } else {
        l.stream_recv_window_uni_bytes = l.stream_recv_window_bytes = kWindow;
        l.stream_recv_window_max_bytes = kWindow;
    }
}

uint64_t sent_of(const Net &net, uint64_t id)
{
    quic_stream_info info{};
    quic_conn_stream_get_info(net.client.conn, net.client.open.at(id), &info);
    return info.bytes_sent;
}

/* Transfers until the client's congestion window is far larger than kWindow, then a rest. */
void open_window(Net &net)
{
    for (int i = 0; i < 4; i++) {
        uint64_t id = net.write(net.client, std::string(200000, 'o'));
        ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
        net.run_for(kS);
    }
}

struct Path {
    quic_ns delay;
    uint32_t known; /* burst_bytes */
    bool waits;
};

/* RFC 9000 4.1, RFC 9002 7.7: credit that a train has left over waits for more where trains matter and a round trip
 * does not; elsewhere it is used at once. Nothing takes longer for it. */
TEST(Trains, LeftOverCreditWaitsWhereThePathIsNearOrAbsorbsATrain)
{
    std::map<Of, std::map<bool, uint64_t>> turns; /* what all took, in halves of a round trip */
    for (Path path : {Path{kNear, 0, true}, Path{kFar, 1 << 17, true}, Path{kFar, 0, false}}) {
        for (Of of : {Of::kStream, Of::kConnection}) {
            Net net([&](sim::Options &o) {
                o.clients[0].pacing = false;
                o.clients[0].limits.burst_bytes = path.known;
                give_window(o.server.limits, of);
            });
            net.keep_sent = false;
            net.delay = path.delay;
            ASSERT_TRUE(net.handshake());
            open_window(net);
            const quic_counters before = *quic_endpoint_counters(net.client.ep);
            const quic_ns start = net.now;
            uint64_t id = net.write(net.client, std::string(1 << 20, 'c'));
            net.run_for(0);
            if (of == Of::kStream) { /* the connection's window is partly used by now */
                EXPECT_EQ(sent_of(net, id) < kWindow, path.waits)
                    << path.delay << " " << path.known;
                EXPECT_GT(sent_of(net, id), kWindow - 16384);
            }
            ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
            const quic_counters &after = *quic_endpoint_counters(net.client.ep);
            EXPECT_GT(of == Of::kStream
                          ? after.blocked_stream_flow_ns - before.blocked_stream_flow_ns
                          : after.blocked_conn_flow_ns - before.blocked_conn_flow_ns,
                      path.delay); /* waiting counts as what it is: for the peer's credit */
            turns[of][path.waits] = (net.now - start) / path.delay;
            EXPECT_EQ(info_of(net.client).packets_lost, 0u);
        }
    }
    for (auto &[of, took] : turns) {
        EXPECT_LE(took[true], took[false] + 2);
    }
}

/* Far away a round trip is dear, whatever the path absorbs: a congestion window that was used up (here its largest)
 * is used again before it is half free, and nearly as fast as where nothing waits. */
TEST(Trains, AFarPathsWindowIsNotLeftUnused)
{
    std::map<uint32_t, quic_ns> took;
    for (uint32_t known : {0u, 1u << 17}) {
        Net net([&](sim::Options &o) {
            o.clients[0].pacing = false;
            o.clients[0].limits.burst_bytes = known;
            o.clients[0].limits.cwnd_max_bytes = 65536;
        });
        net.keep_sent = false;
        net.delay = kFar;
        ASSERT_TRUE(net.handshake());
        open_window(net);
        const quic_ns start = net.now;
        uint64_t id = net.write(net.client, std::string(4 << 20, 'w'));
        ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
        took[known] = net.now - start;
    }
    EXPECT_LE(took[1u << 17], took[0] + took[0] / 6) << took[0];
}

/* Credit that a peer does not add to is used to the last byte, although something was in flight when it became
 * less than a train. */
TEST(Trains, AReaderThatStopsGetsTheWholeWindow)
{
    for (Of of : {Of::kStream, Of::kConnection}) {
        Net net([&](sim::Options &o) { give_window(o.server.limits, of); });
        net.delay = kNear;
        net.server.read_streams = false;
        ASSERT_TRUE(net.handshake());
        uint64_t id = net.write(net.client, std::string(1 << 20, 'w'));
        net.run_for(100 * kMs);
        EXPECT_EQ(sent_of(net, id), kWindow);
    }
}

/* What credit is there for, with the end of a stream at the latest, waits for nobody. */
TEST(Trains, TheEndOfAStreamDoesNotWait)
{
    Net net([](sim::Options &o) {
        o.clients[0].limits.burst_bytes = 1 << 17;
        give_window(o.server.limits, Of::kConnection);
    });
    net.delay = kFar;
    ASSERT_TRUE(net.handshake());
    open_window(net);
    uint64_t first = net.write(net.client, std::string(60000, 'f'));
    net.run_for(0);
    ASSERT_EQ(sent_of(net, first), 60000u); /* 10000 are left: less than a quarter of a train */
    uint64_t last = net.write(net.client, std::string(5000, 'l'));
    net.run_for(0);
    EXPECT_EQ(sent_of(net, last), 5000u);
    uint64_t rest = net.write(net.client, std::string(20000, 'r'));
    net.run_for(0);
    EXPECT_EQ(sent_of(net, rest), 0u); /* it does not fit, so all of it waits for more credit */
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[rest].fin; }, kS));
}

/* Where two streams have data, what one of them may not send is no reason to wait. */
TEST(Trains, OneStreamsCreditIsNoReasonForAnotherToWait)
{
    Net net([](sim::Options &o) {
        o.clients[0].pacing = false;
        o.clients[0].limits.burst_bytes = 1 << 17;
        give_window(o.server.limits, Of::kStream);
    });
    net.delay = kFar;
    ASSERT_TRUE(net.handshake());
    open_window(net);
    uint64_t one = net.write(net.client, std::string(200000, '1'));
    uint64_t two = net.write(net.client, std::string(200000, '2'));
    net.run_for(0);
    EXPECT_GT(sent_of(net, one) + sent_of(net, two), kWindow);
    ASSERT_TRUE(net.run_until(
        [&] { return net.server.streams[one].fin && net.server.streams[two].fin; }, kS));
}

/* Connections take turns of two units. */
TEST(Trains, ConnectionsTakeTurnsOfTwoUnits)
{
    Net net([](sim::Options &o) { o.server.limits.burst_bytes = 1 << 20; });
    net.delay = kNear;
    std::vector<quic_conn *> conns;
    for (uint16_t port : {5000, 5001, 5002}) {
        net.server.conn = nullptr;
        ASSERT_NE(net.connect(port), nullptr);
        ASSERT_TRUE(net.run_until([&] { return net.server.conn != nullptr; }));
        conns.push_back(net.server.conn);
    }
    net.run_for(kS);
    net.keep_sent = false;
    std::vector<uint16_t> turns; /* who had the line, and for how many units */
    std::vector<int> lengths;
    quic_tx_unit unit{};
    std::vector<uint8_t> buf(65507);
    unit.buf = buf.data();
    unit.cap = 3000; /* what each may send is many times that */
    unit.seg_max = 64;
    for (quic_conn *conn : conns) {
        net.server.conn = conn;
        ASSERT_NE(net.write(net.server, std::string(9000, 't'), true), UINT64_MAX);
    }
    for (int i = 0; i < 9; i++) {
        ASSERT_TRUE(quic_endpoint_send(net.server.ep, &unit, net.now));
        uint16_t port = unit.path.remote.port;
        if (turns.empty() || turns.back() != port) {
            turns.push_back(port);
            lengths.push_back(0);
        }
        lengths.back()++;
    }
    EXPECT_EQ(turns, (std::vector<uint16_t>{5000, 5001, 5002, 5000, 5001}));
    EXPECT_EQ(lengths, (std::vector<int>{2, 2, 2, 2, 1}));
}

/* Who has sent all is done when it is asked again, with its last unit on its way: then its deadline stands. */
TEST(Trains, WhoHasSentAllIsDone)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(kS);
    ASSERT_GT(quic_endpoint_next_timeout(net.client.ep), net.now);
    ASSERT_NE(net.write(net.client, std::string(100, 'd')), UINT64_MAX);
    ASSERT_EQ(quic_endpoint_next_timeout(net.client.ep), 0u);
    std::vector<uint8_t> buf(65507);
    quic_tx_unit unit{};
    unit.buf = buf.data();
    unit.cap = 65507;
    unit.seg_max = 64;
    ASSERT_TRUE(quic_endpoint_send(net.client.ep, &unit, net.now));
    EXPECT_FALSE(unit.last);
    ASSERT_EQ(quic_endpoint_next_timeout(net.client.ep), 0u);
    EXPECT_FALSE(quic_endpoint_send(net.client.ep, &unit, net.now));
    EXPECT_GT(quic_endpoint_next_timeout(net.client.ep), net.now);
    EXPECT_LT(quic_endpoint_next_timeout(net.client.ep), net.now + kS); /* the probe timeout */
}

/* Datagrams of one length fill no packet, but a train: segments may be as short as they like (UDP_SEGMENT). */
TEST(Trains, OfDatagramsOfOneLength)
{
    Net net([](sim::Options &o) { o.clients[0].pacing = false; });
    ASSERT_TRUE(net.handshake());
    open_window(net);
    const auto send = [&](size_t len) {
        const std::string bytes(len, 'd');
        return quic_conn_datagram_send(net.client.conn,
                                       reinterpret_cast<const uint8_t *>(bytes.data()), len, 0, 0);
    };
    const auto trains_of = [&](const std::vector<size_t> &lens) {
        const quic_counters before = *quic_endpoint_counters(net.client.ep);
        const size_t had = net.server.datagrams.size();
        for (size_t len : lens) {
            EXPECT_EQ(send(len), QUIC_OK);
        }
        net.run_for(kS);
        EXPECT_EQ(net.server.datagrams.size() - had, lens.size());
        for (size_t i = 0; i < lens.size() && had + i < net.server.datagrams.size(); i++) {
            EXPECT_EQ(net.server.datagrams[had + i].size(), lens[i]);
        }
        const quic_counters &after = *quic_endpoint_counters(net.client.ep);
        return after.trains_16 - before.trains_16;
    };
    EXPECT_EQ(trains_of(std::vector<size_t>(30, 1000)), 1u);
    EXPECT_EQ(trains_of(std::vector<size_t>(30, 700)), 1u);
    EXPECT_EQ(trains_of({1000, 900, 1000, 1100, 1000}), 0u);
}

} // namespace

/* Streams of different urgency on one connection (RFC 9218 4, 10). */
#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"

namespace
{

constexpr uint64_t kTrain = 65507;
constexpr uint64_t kTurn = 16384;

/* A server that sends, with room for all of it. */
struct Line {
    explicit Line(const std::function<void(sim::Options &)> &change = nullptr)
        : net([&](sim::Options &o) {
              o.server.limits.stream_send_buf_bytes = 4 << 20;
              o.server.limits.conn_send_buf_bytes = 16 << 20;
              o.clients[0].limits.stream_recv_window_bytes = 4 << 20;
              o.clients[0].limits.stream_recv_window_max_bytes = 4 << 20;
              o.clients[0].limits.conn_recv_window_bytes = 16 << 20;
              o.clients[0].limits.conn_recv_window_max_bytes = 16 << 20;
              if (change) {
                  change(o);
              }
          })
    {
        net.keep_sent = false;
        EXPECT_TRUE(net.handshake());
    }
    /* The server begins to send so many bytes. */
    uint64_t Send(size_t len, uint32_t urgency, bool incremental)
    {
        const uint64_t id = net.write(net.server, std::string(len, 'p'), true);
        EXPECT_NE(id, UINT64_MAX);
        EXPECT_EQ(Set(id, urgency, incremental), QUIC_OK);
        lens[id] = len;
        return id;
    }
    quic_rc Set(uint64_t id, uint32_t urgency, bool incremental)
    {
        return quic_conn_stream_set_priority(net.server.conn, net.server.open[id], urgency,
                                             incremental);
    }
    uint64_t Sent(uint64_t id)
    {
        if (net.server.open.count(id) == 0) {
            return lens[id]; /* it is over */
        }
        quic_stream_info info;
        quic_conn_stream_get_info(net.server.conn, net.server.open[id], &info);
        return info.bytes_sent;
    }
    bool AllSent(uint64_t id)
    {
        return net.run_until([&] { return Sent(id) == lens[id]; });
    }
    bool Arrived(uint64_t id)
    {
        return net.client.streams[id].fin;
    }
    Net net;
    std::map<uint64_t, uint64_t> lens;
};

TEST(Priority, UrgentBytesLeaveFirst)
{
    for (uint32_t urgency : {1u, 3u}) {
        Line line;
        const uint64_t bulk = line.Send(3 << 20, 3, true);
        line.net.run_for(60 * kMs);
        const uint64_t before = line.Sent(bulk);
        ASSERT_GT(before, 0u);
        const uint64_t small = line.Send(300000, urgency, true);
        ASSERT_TRUE(line.AllSent(small));
        if (urgency < 3) { /* beside it no more than the rest of its last train */
            EXPECT_LE(line.Sent(bulk), before + kTrain);
        } else { /* they share */
            EXPECT_GE(line.Sent(bulk), before + 300000 - kTrain - 2 * kTurn);
        }
        ASSERT_TRUE(line.net.run_until([&] { return line.Arrived(small) && line.Arrived(bulk); }));
        EXPECT_EQ(sim_inspect_check(line.net.server.ep), nullptr);
    }
}

TEST(Priority, ClassesAreServedOneAfterAnother)
{
    Line line;
    std::vector<uint64_t> ids;
    for (uint32_t urgency : {7u, 5u, 6u, 0u}) {
        ids.push_back(line.Send(200000, urgency, true));
    }
    const size_t order[] = {3, 1, 2, 0};
    for (size_t i = 0; i < 4; i++) {
        ASSERT_TRUE(line.AllSent(ids[order[i]]));
        for (size_t later = i + 1; later < 4; later++) {
            EXPECT_LE(line.Sent(ids[order[later]]), later == i + 1 ? kTrain : 0);
        }
    }
    ASSERT_TRUE(line.net.run_until([&] { return line.Arrived(ids[0]); }));
}

TEST(Priority, IncrementalStreamsGetTheSame)
{
    Line line;
    uint64_t ids[3];
    for (uint64_t &id : ids) {
        id = line.Send(1 << 20, 3, true);
    }
    bool over = false;
    while (!over) {
        line.net.run_for(kMs);
        const auto ends = std::minmax({line.Sent(ids[0]), line.Sent(ids[1]), line.Sent(ids[2])});
        over = ends.second == 1 << 20;
        ASSERT_TRUE(over || ends.second - ends.first <= kTrain + 2 * kTurn)
            << ends.first << " " << ends.second;
    }
}

TEST(Priority, OthersGoInOrderOfTheirIds)
{
    Line line;
    const uint64_t a = line.Send(300000, 4, false);
    const uint64_t b = line.Send(300000, 3, false);
    const uint64_t c = line.Send(300000, 3, false);
    ASSERT_LT(a, b);
    line.net.run_for(15 * kMs);
    EXPECT_EQ(line.Sent(a), 0u);
    EXPECT_GT(line.Sent(b), 0u);
    EXPECT_EQ(line.Sent(c), 0u);
    EXPECT_EQ(line.Set(a, 3, false), QUIC_OK); /* it was opened first: now it goes first */
    const uint64_t before = line.Sent(b);
    ASSERT_TRUE(line.AllSent(a));
    EXPECT_LE(line.Sent(b), before + kTrain);
    EXPECT_EQ(line.Sent(c), 0u);
    ASSERT_TRUE(line.AllSent(b));
    EXPECT_LE(line.Sent(c), kTrain);
    ASSERT_TRUE(line.net.run_until([&] { return line.Arrived(c); }));
}

/* RFC 9218 10: neither waits for the end of the other. */
TEST(Priority, BesideIncrementalStreamsAnotherHasEveryOtherTurn)
{
    Line line;
    const uint64_t whole = line.Send(2 << 20, 3, false);
    const uint64_t parts[] = {line.Send(1 << 20, 3, true), line.Send(1 << 20, 3, true)};
    const uint64_t behind = line.Send(100000, 3, false);
    while (line.Sent(whole) < 1800000) {
        line.net.run_for(kMs);
        const uint64_t shared = line.Sent(parts[0]) + line.Sent(parts[1]);
        ASSERT_LE(line.Sent(whole), shared + kTrain + 2 * kTurn);
        ASSERT_LE(shared, line.Sent(whole) + kTrain + 2 * kTurn);
    }
    EXPECT_EQ(line.Sent(behind), 0u);
    ASSERT_TRUE(line.net.run_until([&] { return line.Arrived(parts[1]) && line.Arrived(behind); }));
    EXPECT_EQ(sim_inspect_check(line.net.server.ep), nullptr);
}

/* What is repeated goes by its stream's urgency, too: were it behind the three megabytes, it came last. */
TEST(Priority, LostBytesOfAnUrgentStreamGoBeforeNewOnesOfOthers)
{
    Line line;
    const uint64_t bulk = line.Send(3 << 20, 7, true);
    line.net.run_for(60 * kMs);
    uint64_t n = 0;
    line.net.filter = [&](Packet &p) { return p.to_server || ++n % 4 != 0; };
    const uint64_t small = line.Send(100000, 0, true);
    ASSERT_TRUE(line.net.run_until([&] { return line.Arrived(small); }));
    EXPECT_LT(line.Sent(bulk), 2u << 20);
    line.net.filter = nullptr;
    ASSERT_TRUE(line.net.run_until([&] { return line.Arrived(bulk); }));
}

/* Streams that are refilled whenever they can be leave nothing of the connection's budget: a small answer must not
 * wait for them to end. */
TEST(Priority, AFullBudgetLeavesEachStreamItsOwn)
{
    Line line([](sim::Options &o) { o.server.limits.conn_send_buf_bytes = 512 << 10; });
    uint64_t bulk[4];
    for (uint64_t &id : bulk) { /* more than may be held, refilled on WRITABLE */
        id = line.Send(1 << 20, 3, true);
    }
    line.net.run_for(60 * kMs);
    ASSERT_FALSE(line.Arrived(bulk[0]));
    const std::string answer(12000, 'a');
    const uint64_t small = line.net.write(line.net.server, answer, true);
    EXPECT_EQ(line.net.server.to_write[small].second, answer.size());
    EXPECT_EQ(line.Set(small, 0, true), QUIC_OK);
    ASSERT_TRUE(line.net.run_until([&] { return line.Arrived(small); }, kS));
    EXPECT_FALSE(line.Arrived(bulk[0]));
    /* More than that goes on, too, a share at a time. */
    const uint64_t large = line.Send(60000, 0, true);
    ASSERT_TRUE(line.net.run_until([&] { return line.Arrived(large); }, 5 * kS));
    EXPECT_FALSE(line.Arrived(bulk[3]));
    /* With many streams it is less. */
    const uint64_t cap = 512 << 10;
    for (int i = 0; i < 90; i++) {
        const std::string data(20000, 'b');
        const uint64_t id = line.net.write(line.net.server, data, true);
        const uint64_t live = line.net.server.open.size();
        const uint64_t taken = line.net.server.to_write[id].second;
        EXPECT_GE(taken, std::min<uint64_t>(16384, cap / live)) << i;
        if (i >= 60) { /* by then the budget is full */
            EXPECT_EQ(taken, cap / live) << i;
        }
    }
    ASSERT_TRUE(line.net.run_until([&] { return line.Arrived(bulk[3]); }));
}

std::function<void(sim::Options &)> WindowOf(uint64_t bytes)
{
    return [bytes](sim::Options &o) {
        o.clients[0].limits.conn_recv_window_bytes = bytes;
        o.clients[0].limits.conn_recv_window_max_bytes = bytes;
    };
}

/* RFC 9000 4.1: what MAX_DATA allows is less than one of them has. Each has its turn, whatever it is less than. */
TEST(Priority, StreamsThatWaitForTheConnectionsCreditTakeTurns)
{
    for (uint64_t window : {32u << 10, 128u << 10, 512u << 10}) {
        for (size_t count : {2u, 3u}) {
            Line line(WindowOf(window));
            std::vector<uint64_t> ids;
            for (size_t i = 0; i < count; i++) {
                ids.push_back(line.Send(1 << 20, 3, true));
            }
            uint64_t most = 0;
            while (most < 1 << 20) {
                line.net.run_for(kMs);
                uint64_t least = UINT64_MAX;
                for (uint64_t id : ids) {
                    most = std::max(most, line.Sent(id));
                    least = std::min(least, line.Sent(id));
                }
                ASSERT_TRUE(most == 1 << 20 || most - least <= kTrain + 3 * kTurn)
                    << most << " " << least << " " << window << " " << count;
            }
            ASSERT_TRUE(line.net.run_until(
                [&] { return line.Arrived(ids[0]) && line.Arrived(ids[count - 1]); }));
            EXPECT_EQ(sim_inspect_check(line.net.server.ep), nullptr);
        }
    }
}

/* RFC 9218 10: nor do those that go in order take all of the credit. */
TEST(Priority, CreditIsSharedWithThoseThatGoInOrder)
{
    for (uint64_t window : {32u << 10, 64u << 10, 128u << 10, 512u << 10}) {
        for (size_t count : {1u, 4u, 40u}) {
            Line line(WindowOf(window));
            std::vector<uint64_t> ids;
            for (size_t i = 0; i < count; i++) {
                ids.push_back(line.Send((2 << 20) / count, 3, false));
            }
            const uint64_t shared = line.Send(1 << 20, 3, true);
            while (line.Sent(shared) < 900000) {
                line.net.run_for(kMs);
                uint64_t in_order = 0;
                for (uint64_t id : ids) {
                    in_order += line.Sent(id);
                }
                ASSERT_LE(in_order, line.Sent(shared) + kTrain + 4 * kTurn) << window << count;
                ASSERT_LE(line.Sent(shared), in_order + kTrain + 4 * kTurn) << window << count;
            }
            ASSERT_TRUE(line.net.run_until(
                [&] { return line.Arrived(ids[count - 1]) && line.Arrived(shared); }));
            EXPECT_EQ(sim_inspect_check(line.net.server.ep), nullptr);
        }
    }
}

TEST(Priority, AnUrgentStreamIsTheFirstToGetCredit)
{
    Line line(WindowOf(64 << 10));
    const uint64_t bulk[] = {line.Send(1 << 20, 3, true), line.Send(1 << 20, 3, true)};
    line.net.run_for(200 * kMs);
    const uint64_t urgent = line.Send(300000, 0, true);
    const uint64_t later = line.Send(300000, 1, false);
    const uint64_t before = line.Sent(bulk[0]) + line.Sent(bulk[1]);
    ASSERT_TRUE(line.AllSent(urgent));
    EXPECT_LE(line.Sent(later), kTrain);
    EXPECT_EQ(line.Set(later, 0, true), QUIC_OK); /* while it waits */
    ASSERT_TRUE(line.AllSent(later));
    EXPECT_LE(line.Sent(bulk[0]) + line.Sent(bulk[1]), before + kTrain);
    ASSERT_TRUE(line.net.run_until([&] { return line.Arrived(bulk[0]) && line.Arrived(bulk[1]); }));
}

/* What a stream was woken for and does not use is another one's. */
TEST(Priority, CreditOfAStreamThatIsResetGoesToAnother)
{
    Line line(WindowOf(256 << 10));
    const uint64_t bulk = line.Send(1 << 20, 3, true);
    const uint64_t urgent = line.Send(1 << 20, 0, true);
    line.net.filter = [](Packet &p) { return !p.to_server; };
    line.net.run_for(20 * kMs); /* until the congestion window is full */
    const uint64_t before = line.Sent(urgent);
    EXPECT_EQ(line.Sent(bulk), 0u);
    ASSERT_LT(before, 256u << 10);
    line.net.client.read_streams = false; /* no more credit */
    line.net.filter = nullptr;
    ASSERT_EQ(quic_conn_stream_reset(line.net.server.conn, line.net.server.open[urgent], 1),
              QUIC_OK);
    ASSERT_TRUE(line.net.run_until([&] { return line.Sent(bulk) + before >= 256u << 10; }, 5 * kS));
}

TEST(Priority, IsJudgedAndTold)
{
    Line line;
    const uint64_t id = line.Send(1000, 3, true);
    EXPECT_EQ(line.Set(id, 8, true), QUIC_E_INVAL);
    EXPECT_EQ(line.Set(id, UINT32_MAX, true), QUIC_E_INVAL);
    EXPECT_EQ(line.Set(id, 7, false), QUIC_OK);
    quic_stream_info info;
    quic_conn_stream_get_info(line.net.server.conn, line.net.server.open[id], &info);
    EXPECT_EQ(info.urgency, 7u);
    EXPECT_FALSE(info.incremental);
}

} // namespace

#include <gtest/gtest.h>

#include "quic/stream/flow.h"

namespace
{

constexpr quic_ns kMs = QUIC_NS_PER_MS;

quic_flow_recv MakeRecv(uint64_t window, uint64_t max)
{
    quic_flow_recv flow;
    quic_flow_recv_init(&flow, window, max);
    return flow;
}

TEST(FlowRecv, IsDueAfterAQuarterOfTheWindow) // RFC 9000 4.2
{
    quic_flow_recv flow = MakeRecv(1000, 1000);
    flow.received = 1000;
    EXPECT_EQ(0u, quic_flow_recv_credit(&flow));
    EXPECT_FALSE(quic_flow_recv_on_consumed(&flow, 249, 0, 0));
    EXPECT_TRUE(quic_flow_recv_on_consumed(&flow, 1, 0, 0));
    EXPECT_EQ(1250u, quic_flow_recv_next_limit(&flow));
    quic_flow_recv_on_update_sent(&flow, 1250);
    EXPECT_FALSE(quic_flow_recv_update_due(&flow));
    EXPECT_EQ(250u, quic_flow_recv_credit(&flow));
}

TEST(FlowRecv, NeverLowersItsLimit)
{
    quic_flow_recv flow = MakeRecv(1000, 1000);
    quic_flow_recv_on_update_sent(&flow, 500);
    EXPECT_EQ(1000u, flow.limit);
    EXPECT_EQ(1000u, quic_flow_recv_next_limit(&flow));
}

// A reader that keeps up with a sender limited by the window: half of the window per half round
// trip.
TEST(FlowRecv, GrowsForAFastReaderUpToTheCap)
{
    quic_flow_recv flow = MakeRecv(1000, 6000);
    quic_ns now = kMs;
    for (int i = 0; i < 40; i++) {
        flow.received += flow.window / 2;
        quic_flow_recv_on_consumed(&flow, flow.window / 2, 10 * kMs, now);
        now += 5 * kMs;
    }
    EXPECT_EQ(6000u, flow.window);
}

TEST(FlowRecv, MeasuresFromTheFirstByteRead)
{
    quic_flow_recv flow = MakeRecv(1000, 6000);
    flow.received = 600;
    quic_flow_recv_on_consumed(&flow, 100, 10 * kMs, kMs);
    quic_flow_recv_on_consumed(&flow, 499, 10 * kMs, 20 * kMs);
    EXPECT_EQ(1000u, flow.window);
    quic_flow_recv_on_consumed(&flow, 1, 10 * kMs, 20 * kMs);
    EXPECT_EQ(2000u, flow.window);
}

TEST(FlowRecv, StaysForASlowReader)
{
    quic_flow_recv flow = MakeRecv(1000, 6000);
    quic_ns now = kMs;
    for (int i = 0; i < 40; i++) {
        flow.received += 500;
        quic_flow_recv_on_consumed(&flow, 500, 10 * kMs, now);
        now += 20 * kMs; // two round trips for half a window
    }
    EXPECT_EQ(1000u, flow.window);
}

TEST(FlowRecv, SettlesAtFourTimesTheBandwidthDelayProduct)
{
    quic_flow_recv flow = MakeRecv(1000, 1u << 30);
    quic_ns now = kMs;
    for (int i = 0; i < 10000; i++) { // 100 bytes per ms, round trip 10 ms: product 1000 bytes
        flow.received += 100;
        quic_flow_recv_on_consumed(&flow, 100, 10 * kMs, now);
        now += kMs;
    }
    EXPECT_EQ(4000u, flow.window);
}

TEST(FlowRecv, DoesNotTuneWithoutARoundTripTime)
{
    quic_flow_recv flow = MakeRecv(1000, 6000);
    for (int i = 0; i < 40; i++) {
        flow.received += 500;
        quic_flow_recv_on_consumed(&flow, 500, 0, 0);
    }
    EXPECT_EQ(1000u, flow.window);
}

TEST(FlowRecv, StopsAtTheLargestVarint)
{
    quic_flow_recv flow = MakeRecv(1000, 1000);
    flow.limit = QUIC_VARINT_MAX - 100;
    flow.received = flow.limit;
    quic_flow_recv_on_consumed(&flow, flow.limit, 0, 0);
    EXPECT_EQ(QUIC_VARINT_MAX, quic_flow_recv_next_limit(&flow));
}

TEST(FlowSend, ReportsBlockedOncePerLimit) // RFC 9000 4.1, 19.12
{
    quic_flow_send flow;
    quic_flow_send_init(&flow, 0);
    EXPECT_TRUE(quic_flow_send_on_blocked(&flow)); // a limit of 0 is a limit too
    EXPECT_FALSE(quic_flow_send_on_blocked(&flow));
    EXPECT_TRUE(quic_flow_send_is_blocked(&flow));
    EXPECT_TRUE(quic_flow_send_on_limit(&flow, 10));
    EXPECT_FALSE(quic_flow_send_is_blocked(&flow));
    EXPECT_FALSE(quic_flow_send_on_blocked(&flow));
    flow.used = 10;
    EXPECT_TRUE(quic_flow_send_on_blocked(&flow));
    EXPECT_FALSE(quic_flow_send_on_limit(&flow, 9));
    EXPECT_EQ(0u, quic_flow_send_credit(&flow));
}

} // namespace

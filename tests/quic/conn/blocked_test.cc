#include <gtest/gtest.h>

#include "quic/conn/conn_blocked.h"

namespace
{

uint64_t sum(const quic_counters &c)
{
    return c.blocked_window_ns + c.blocked_pacing_ns + c.blocked_conn_flow_ns +
           c.blocked_stream_flow_ns + c.blocked_amplification_ns;
}

TEST(Blocked, TimeGoesToTheReasonOfThen)
{
    quic_counters c{};
    quic_conn_blocked b{};
    quic_conn_blocked_note(&b, &c, QUIC_BLOCKED_BY_WINDOW, 100);
    EXPECT_EQ(sum(c), 0u);
    quic_conn_blocked_note(&b, &c, QUIC_BLOCKED_BY_PACING, 130);
    quic_conn_blocked_note(&b, &c, QUIC_BLOCKED_BY_CONN_FLOW, 137);
    quic_conn_blocked_note(&b, &c, QUIC_BLOCKED_BY_STREAM_FLOW, 138);
    quic_conn_blocked_note(&b, &c, QUIC_BLOCKED_BY_AMPLIFICATION, 140);
    quic_conn_blocked_note(&b, &c, QUIC_BLOCKED_BY_NOTHING, 144);
    quic_conn_blocked_note(&b, &c, QUIC_BLOCKED_BY_NOTHING, 1000);
    EXPECT_EQ(c.blocked_window_ns, 30u);
    EXPECT_EQ(c.blocked_pacing_ns, 7u);
    EXPECT_EQ(c.blocked_conn_flow_ns, 1u);
    EXPECT_EQ(c.blocked_stream_flow_ns, 2u);
    EXPECT_EQ(c.blocked_amplification_ns, 4u);
}

TEST(Blocked, AClockThatStandsStillCostsNothing)
{
    quic_counters c{};
    quic_conn_blocked b{};
    quic_conn_blocked_note(&b, &c, QUIC_BLOCKED_BY_WINDOW, 100);
    quic_conn_blocked_note(&b, &c, QUIC_BLOCKED_BY_WINDOW, 100);
    EXPECT_EQ(sum(c), 0u);
    quic_conn_blocked_note(&b, &c, QUIC_BLOCKED_BY_WINDOW, 105);
    EXPECT_EQ(c.blocked_window_ns, 5u);
}

TEST(Blocked, TrainsByLength)
{
    quic_counters c{};
    for (uint32_t count : {1u, 2u, 3u, 4u, 7u, 8u, 15u, 16u, 31u, 32u, 128u}) {
        quic_conn_count_train(&c, count);
    }
    EXPECT_EQ(c.trains_1, 1u);
    EXPECT_EQ(c.trains_2, 2u);
    EXPECT_EQ(c.trains_4, 2u);
    EXPECT_EQ(c.trains_8, 2u);
    EXPECT_EQ(c.trains_16, 2u);
    EXPECT_EQ(c.trains_32, 2u);
}

} // namespace

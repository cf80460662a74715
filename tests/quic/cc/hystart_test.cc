#include <gtest/gtest.h>

#include "quic/cc/hystart.h"

namespace
{

constexpr quic_ns kMs = QUIC_NS_PER_MS;

struct Sim {
    Sim()
    {
        quic_hystart_init(&hs);
    }
    /* One round of `acks` ACKs with this RTT; true when slow start ended in it. */
    bool Round(quic_ns rtt, int acks = 10)
    {
        bool left = false;
        quic_ns start = now;
        for (int i = 0; i < acks; i++) {
            now += rtt / (quic_ns)acks;
            /* All but the last acknowledge packets of the round before. */
            quic_ns sent = i + 1 == acks ? start + 1 : last_start;
            left |= quic_hystart_on_acked(&hs, rtt, sent, now);
        }
        last_start = start;
        return left;
    }
    quic_hystart hs;
    quic_ns last_start = 0;
    quic_ns now = 1000 * kMs;
};

TEST(Hystart, StaysWhileTheRttIsSteady)
{
    Sim s;
    for (int i = 0; i < 50; i++) {
        EXPECT_FALSE(s.Round(50 * kMs));
        EXPECT_FALSE(s.hs.in_css);
    }
}

TEST(Hystart, ThresholdIsAnEighthWithinBounds) /* RFC 9406 4.2, 4.3 */
{
    struct Row {
        quic_ns rtt, rise;
        bool css;
    };
    const Row rows[] = {
        {80, 9, false},   {80, 10, true},  /* 80 / 8 */
        {8, 3, false},    {8, 4, true},    /* at least 4 ms */
        {400, 15, false}, {400, 16, true}, /* at most 16 ms */
    };
    for (const Row &r : rows) {
        Sim s;
        s.Round(r.rtt * kMs);
        s.Round(r.rtt * kMs);
        s.Round((r.rtt + r.rise) * kMs);
        EXPECT_EQ(s.hs.in_css, r.css) << r.rtt << " + " << r.rise;
    }
}

TEST(Hystart, NeedsEightSamples) /* N_RTT_SAMPLE */
{
    Sim s;
    s.Round(50 * kMs);
    s.Round(50 * kMs);
    s.Round(90 * kMs, 7);
    EXPECT_FALSE(s.hs.in_css);
}

TEST(Hystart, LeavesAfterFiveRoundsOfInflation) /* CSS_ROUNDS, the partial one counts */
{
    Sim s;
    s.Round(50 * kMs);
    s.Round(50 * kMs);
    EXPECT_FALSE(s.Round(60 * kMs));
    EXPECT_TRUE(s.hs.in_css);
    EXPECT_EQ(quic_hystart_growth(&s.hs, 4000, 1200, true), 1000u);
    for (int i = 0; i < 3; i++) {
        EXPECT_FALSE(s.Round(60 * kMs));
    }
    EXPECT_TRUE(s.Round(60 * kMs));
    EXPECT_TRUE(s.hs.done);
    EXPECT_FALSE(s.Round(200 * kMs));
}

TEST(Hystart, ResumesWhenTheRttFallsAgain)
{
    Sim s;
    s.Round(50 * kMs);
    s.Round(50 * kMs);
    s.Round(60 * kMs);
    EXPECT_TRUE(s.hs.in_css);
    EXPECT_FALSE(s.Round(50 * kMs));
    EXPECT_FALSE(s.hs.in_css);
    EXPECT_EQ(quic_hystart_growth(&s.hs, 4000, 1200, true), 4000u);
    for (int i = 0; i < 20; i++) {
        EXPECT_FALSE(s.Round(50 * kMs));
    }
}

TEST(Hystart, LimitsGrowthPerAckWithoutPacing) /* L = 8 */
{
    Sim s;
    EXPECT_EQ(quic_hystart_growth(&s.hs, 1000000, 1200, true), 1000000u);
    EXPECT_EQ(quic_hystart_growth(&s.hs, 1000000, 1200, false), 9600u);
}

} // namespace

#include <gtest/gtest.h>

#include "quic/conn/glitch.h"

namespace
{

constexpr uint32_t kMax = 10;

/* One packet of `frames` frames, `useless` of which brought nothing. */
bool packet(quic_glitch *g, uint32_t frames, uint32_t useless, quic_ns now = 0, uint32_t per_s = 0)
{
    quic_glitch_note(g, useless);
    return quic_glitch_settle(g, frames, kMax, per_s, 0, now);
}

TEST(Glitch, UselessPacketsAreAllowedUpToTheLimit)
{
    quic_glitch g{};
    EXPECT_TRUE(quic_glitch_is_clean(&g));
    for (uint32_t i = 0; i < kMax; i++) {
        EXPECT_TRUE(packet(&g, 1, 1)) << i;
    }
    EXPECT_FALSE(packet(&g, 1, 1));
}

TEST(Glitch, UsefulPacketsPayForUselessOnes)
{
    quic_glitch g{};
    for (int i = 0; i < 1000; i++) {
        EXPECT_TRUE(packet(&g, 1, 1));
        EXPECT_TRUE(packet(&g, 2, 1));
    }
    EXPECT_TRUE(quic_glitch_is_clean(&g));
}

TEST(Glitch, WorkPaysAtOnce)
{
    quic_glitch g{};
    for (int i = 0; i < 8; i++) {
        EXPECT_TRUE(packet(&g, 1, 1));
    }
    quic_glitch_pay(&g, 5);
    EXPECT_EQ(g.debt, 3u);
    quic_glitch_pay(&g, UINT64_MAX);
    EXPECT_TRUE(quic_glitch_is_clean(&g));
}

TEST(Glitch, TimePays)
{
    quic_glitch g{};
    quic_ns now = 5 * QUIC_NS_PER_S;
    for (uint32_t i = 0; i < 10000; i++, now += QUIC_NS_PER_S / 100) {
        EXPECT_TRUE(packet(&g, 1, 1, now, 100)) << i;
    }
    int more = 0;
    for (; packet(&g, 1, 1, now, 100); now += QUIC_NS_PER_S / 200) {
        more++; /* twice the rate */
    }
    EXPECT_GE(more, 18);
    EXPECT_LE(more, 22);
}

/* A fraction of a point's time is not lost, however often it is looked at. */
TEST(Glitch, TimePaysInSmallSteps)
{
    quic_glitch g{};
    quic_ns now = 1;
    g.debt = kMax;
    g.last_ns = now;
    for (int i = 0; i < 8; i++) {
        now += QUIC_NS_PER_S / 4; /* two points per second, a point per two steps */
        (void)packet(&g, 32, 16, now, 2);
    }
    EXPECT_EQ(g.debt, kMax + 8 - 4);
}

TEST(Glitch, ManyUselessFramesCountEvenInAUsefulPacket)
{
    quic_glitch g{};
    EXPECT_TRUE(packet(&g, 16, 15));
    EXPECT_TRUE(quic_glitch_is_clean(&g));
    EXPECT_TRUE(packet(&g, 161, 160));
    EXPECT_EQ(g.debt, 10u);
    EXPECT_FALSE(packet(&g, 17, 16));
}

/* What a connection does with its packets: those that leave nothing to settle are counted alone. */
struct Packets {
    quic_glitch g{};
    uint64_t count = 0;

    bool take(uint32_t frames, uint32_t useless)
    {
        count++;
        quic_glitch_note(&g, useless);
        return quic_glitch_is_clean(&g) || quic_glitch_settle(&g, frames, kMax, 0, count, 0);
    }
};

/* Who has brought much may repeat as much, all at once. */
TEST(Glitch, WhatWasBroughtCountsAfterwards)
{
    Packets p;
    for (uint32_t i = 0; i < 500; i++) {
        EXPECT_TRUE(p.take(1, 0));
    }
    for (uint32_t i = 0; i < kMax + 500; i++) {
        EXPECT_TRUE(p.take(1, 1)) << i;
    }
    EXPECT_FALSE(p.take(1, 1));
}

/* ... and that is counted in packets: one of many useless frames takes back what others have earned. */
TEST(Glitch, AUsefulPacketIsOne)
{
    Packets p;
    for (uint32_t i = 0; i < 10; i++) {
        EXPECT_TRUE(p.take(1, 0));
    }
    EXPECT_TRUE(p.take(161, 160)); /* ten points */
    EXPECT_TRUE(p.take(1, 1));     /* twelve packets, eleven points: one was useful */
    EXPECT_FALSE(p.take(17, 16));
    Packets none;
    EXPECT_TRUE(none.take(161, 160));
    EXPECT_FALSE(none.take(17, 16));
}

TEST(Glitch, WithoutALimitNothingEnds)
{
    quic_glitch g{};
    g.debt = UINT32_MAX - 1;
    quic_glitch_note(&g, 1000);
    EXPECT_TRUE(quic_glitch_settle(&g, 1000, 0, 0, 0, 1));
    EXPECT_EQ(g.debt, UINT32_MAX);
}

} // namespace

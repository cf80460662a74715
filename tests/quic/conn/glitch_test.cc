#include <gtest/gtest.h>

#include "quic/conn/glitch.h"

namespace
{

constexpr uint32_t kMax = 10;

quring_limits limits(uint32_t burst, uint32_t per_s)
{
    quring_limits l{};
    l.glitch_burst = burst;
    l.glitch_per_s = per_s;
    return l;
}

/* One packet of `frames` frames, `useless` of which brought nothing. */
bool packet(quic_glitch *g, uint32_t frames, uint32_t useless, quic_ns now = 0, uint32_t per_s = 0)
{
    const quring_limits l = limits(kMax, per_s);
    quic_glitch_note(g, useless);
    return quic_glitch_settle(g, frames, 100, &l, now);
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

    bool take(uint32_t frames, uint32_t useless, size_t len = 100)
    {
        const quring_limits l = limits(kMax, 0);
        quic_glitch_begin(&g, 1, len);
        quic_glitch_note(&g, useless);
        return quic_glitch_is_clean(&g) ||
               quic_glitch_settle(&g, frames, len - QUIC_GLITCH_HEAD_BYTES, &l, 0);
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

/* The data of one large packet comes again in many small ones, where the path has become narrower. */
TEST(Glitch, LargePacketsAreAsManyAsTheirBytes)
{
    Packets p;
    for (uint32_t i = 0; i < 100; i++) {
        EXPECT_TRUE(p.take(1, 0, 9000));
    }
    for (uint32_t i = 0; i < kMax + 750; i++) {
        EXPECT_TRUE(p.take(1, 1, 1200)) << i;
    }
    EXPECT_FALSE(p.take(1, 1, 1200));
}

/* ... but those that bring nothing are worth nothing, however large; nor are useless frames in others. */
TEST(Glitch, LargePacketsThatBringNothingAreOfNoWorth)
{
    Packets p;
    for (uint32_t i = 0; i < kMax; i++) {
        EXPECT_TRUE(p.take(1, 1, 60000));
    }
    EXPECT_FALSE(p.take(1, 1, 60000));
    Packets frames;
    for (uint32_t i = 0; i < kMax / 2; i++) {
        EXPECT_TRUE(frames.take(100, 32, 1200)); /* two points */
    }
    EXPECT_FALSE(frames.take(100, 32, 1200));
}

TEST(Glitch, WithoutALimitNothingEnds)
{
    quic_glitch g{};
    const quring_limits l = limits(0, 0);
    g.debt = UINT32_MAX - 1;
    quic_glitch_note(&g, 1000);
    EXPECT_TRUE(quic_glitch_settle(&g, 1000, 1000, &l, 1));
    EXPECT_EQ(g.debt, UINT32_MAX);
}

} // namespace

// When a worker polls before it sleeps: no clock, no thread, every case by its numbers.
#include <gtest/gtest.h>

#include "quring/config.h"

#include "runtime/core/spin.h"

namespace
{

constexpr quic_ns kUs = QUIC_NS_PER_US;
constexpr quic_ns kMs = QUIC_NS_PER_MS;

class Spin : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        rt_spin_init(&spin_, QURING_SPIN_AUTO, false);
    }
    // One wait: something comes after `after`; who sleeps is woken `wake` later. Returns what it spun.
    quic_ns Wait(quic_ns after, quic_ns wake = 30 * kUs)
    {
        rt_spin_wait w = {};
        const quic_ns window = rt_spin_window(&spin_, now_);
        w.hit = window != 0 && after <= window;
        w.spun_ns = w.hit ? after : window;
        w.waited_ns = w.hit ? after : after + wake;
        w.found = true;
        now_ += w.spun_ns + lost_;
        cpu_ += w.spun_ns;
        if (w.spun_ns > 0 && rt_spin_look_is_due(&spin_, now_)) {
            looks_++;
            rt_spin_on_look(&spin_, cpu_, now_);
        }
        now_ += w.waited_ns - w.spun_ns;
        rt_spin_on_sleep(&spin_, w.waited_ns - w.spun_ns);
        rt_spin_on_wait(&spin_, &w);
        return w.spun_ns;
    }
    // So many waits; the time spent polling.
    quic_ns Waits(int count, quic_ns after)
    {
        quic_ns sum = 0;
        for (int i = 0; i < count; i++) {
            sum += Wait(after);
        }
        return sum;
    }
    bool IsSpinning() const
    {
        return rt_spin_window(&spin_, now_) != 0;
    }
    rt_spin spin_;
    quic_ns now_ = QUIC_NS_PER_S;
    quic_ns cpu_ = 0;  // the thread's own time
    quic_ns lost_ = 0; // in each wait, to others
    int looks_ = 0;
};

TEST_F(Spin, OffNeverPollsAndAFixedTimeIsKept)
{
    rt_spin_init(&spin_, 0, false);
    EXPECT_EQ(Waits(1000, 10 * kUs), 0u);
    rt_spin_init(&spin_, 70000, true);
    lost_ = kMs;
    for (int i = 0; i < 1000; i++) {
        EXPECT_EQ(Wait(QUIC_NS_PER_S), 70 * kUs);
    }
    EXPECT_EQ(looks_, 0);
    EXPECT_EQ(spin_.spins, 1000u);
    EXPECT_EQ(spin_.hits, 0u);
    EXPECT_EQ(spin_.spun_ns, 70 * kMs);
}

TEST_F(Spin, BeginsAfterShortWaitsAndGoesOnWhileItFindsSomething)
{
    EXPECT_EQ(Waits(RT_SPIN_TRY_AFTER, 20 * kUs), 0u);
    EXPECT_TRUE(IsSpinning());
    EXPECT_EQ(Waits(10000, 20 * kUs), 10000 * 20 * kUs);
    EXPECT_EQ(spin_.hits, 10000u);
}

TEST_F(Spin, LongWaitsNeverBegin)
{
    EXPECT_EQ(Waits(10000, RT_SPIN_NEAR_NS), 0u);
    for (int i = 0; i < 1000; i++) { // half of them short
        EXPECT_EQ(Wait(20 * kUs), 0u);
        EXPECT_EQ(Wait(kMs), 0u);
    }
}

TEST_F(Spin, BurstsBegin)
{
    for (int i = 0; i < 20; i++) {
        Waits(12, 20 * kUs);
        Wait(10 * kMs);
    }
    EXPECT_GT(spin_.hits, 100u);
}

TEST_F(Spin, AWaitThatOnlyTimeEndedIsNotShort)
{
    for (int i = 0; i < 1000; i++) {
        rt_spin_wait w = {};
        w.waited_ns = 10 * kUs;
        rt_spin_on_wait(&spin_, &w);
        EXPECT_FALSE(IsSpinning());
    }
}

TEST_F(Spin, PollsAsLongAsItTakesAndNoLongerThanTheMost)
{
    Waits(RT_SPIN_TRY_AFTER, 2 * kUs);
    Waits(200, 2 * kUs);
    EXPECT_LE(rt_spin_window(&spin_, now_), 10 * kUs);
    EXPECT_GE(rt_spin_window(&spin_, now_), RT_SPIN_MIN_NS);
    Waits(200, 30 * kUs); // a miss or two, then it follows
    EXPECT_EQ(Wait(30 * kUs), 30 * kUs);
    EXPECT_EQ(rt_spin_window(&spin_, now_), RT_SPIN_MAX_NS);
}

TEST_F(Spin, EndsWhenItFindsNothing)
{
    Waits(1000, 10 * kUs);
    ASSERT_TRUE(IsSpinning());
    const quic_ns wasted = Waits(100, 10 * kMs);
    EXPECT_FALSE(IsSpinning());
    EXPECT_LE(wasted, 10 * RT_SPIN_MAX_NS);
}

// Just beyond reach for ever: tries become rare, and what they cost stays small.
TEST_F(Spin, WhatPollingWastesIsBounded)
{
    quic_ns wasted = 0;
    const quic_ns began = now_;
    for (int i = 0; i < 200000; i++) {
        wasted += Wait(RT_SPIN_MAX_NS + kUs);
    }
    EXPECT_LT(wasted * 100, now_ - began);
    EXPECT_EQ(spin_.hits, 0u);
    // Traffic that has become dense is found nonetheless.
    Waits(2 * RT_SPIN_TRY_MOST, 10 * kUs);
    EXPECT_TRUE(IsSpinning());
    // After enough hits a failure counts as the first one.
    Waits(1000, 10 * kUs);
    Waits(20, kMs);
    ASSERT_FALSE(IsSpinning());
    Waits(2 * RT_SPIN_TRY_AFTER, 10 * kUs);
    EXPECT_TRUE(IsSpinning());
}

TEST_F(Spin, YieldsToAThreadThatNeverSleeps)
{
    Waits(1000, 10 * kUs);
    ASSERT_TRUE(IsSpinning());
    const quic_ns shared = now_;
    for (int i = 0; i < 20000 && IsSpinning(); i++) { // 3 ms each
        lost_ = i % 300 == 0 ? 3 * kMs : 0;
        Wait(10 * kUs);
    }
    lost_ = 0;
    EXPECT_FALSE(IsSpinning());
    EXPECT_EQ(spin_.yields, 1u);
    EXPECT_LE(now_ - shared, 3 * RT_SPIN_LOOK_NS);
    const quic_ns yielded = now_;
    while (!IsSpinning()) {
        Wait(10 * kUs);
        ASSERT_LT(now_ - yielded, 2 * RT_SPIN_YIELD_NS);
    }
    EXPECT_GE(now_ - yielded, RT_SPIN_YIELD_NS - kMs);
}

// A tenth of the CPU, a little at a time: the CPU is shared.
TEST_F(Spin, YieldsToWhoComesAgainAndAgain)
{
    Waits(1000, 10 * kUs);
    ASSERT_TRUE(IsSpinning());
    const quic_ns shared = now_;
    for (int i = 0; i < 100000 && IsSpinning(); i++) {
        lost_ = i % 9 == 0 ? 10 * kUs : 0;
        Wait(10 * kUs);
    }
    EXPECT_FALSE(IsSpinning());
    EXPECT_LE(now_ - shared, 20 * RT_SPIN_LOOK_NS);
}

TEST_F(Spin, YieldsLongerEachTimeUpToABound)
{
    quic_ns last = 0;
    for (int i = 0; i < 12; i++) {
        while (!IsSpinning()) {
            Wait(10 * kUs);
        }
        lost_ = RT_SPIN_LOOK_NS;
        Wait(10 * kUs); // the first look begins the count
        Wait(10 * kUs);
        lost_ = 0;
        ASSERT_FALSE(IsSpinning());
        const quic_ns yield = spin_.yield_until - now_;
        EXPECT_GE(yield + kMs, last);
        EXPECT_LE(yield, RT_SPIN_YIELD_MOST_NS);
        last = yield;
    }
    EXPECT_GE(last + kMs, RT_SPIN_YIELD_MOST_NS);
    const quic_ns quiet = now_;
    while (now_ - quiet < 3 * RT_SPIN_YIELD_MOST_NS) { // nobody else for long
        Wait(20 * kUs);
    }
    EXPECT_EQ(spin_.yield_ns, RT_SPIN_YIELD_NS);
}

// What every system does now and then, and a thread that ran once for a time slice.
TEST_F(Spin, ALittleIsNoReason)
{
    Waits(1000, 10 * kUs);
    ASSERT_TRUE(IsSpinning());
    for (int i = 0; i < 500000; i++) {
        lost_ = i % 20000 == 0 ? 4 * kMs : i % 200 == 0 ? 20 * kUs : 0;
        Wait(10 * kUs);
    }
    EXPECT_TRUE(IsSpinning());
    EXPECT_EQ(spin_.yields, 0u);
}

// Who sleeps loses nothing, whatever the turns before were like.
TEST_F(Spin, SleepIsNotLost)
{
    for (int round = 0; round < 100; round++) {
        Waits(100, 10 * kUs);
        now_ += QUIC_NS_PER_S;
        rt_spin_on_sleep(&spin_, QUIC_NS_PER_S);
        Wait(5 * kMs);
    }
    EXPECT_GT(looks_, 100);
    EXPECT_EQ(spin_.yields, 0u);
}

// One after the other, each of which has to be waited for: they are looked for one by one.
TEST_F(Spin, WhatComesAloneIsSeen)
{
    for (const uint32_t spin_ns : {uint32_t{70000}, uint32_t{QURING_SPIN_AUTO}}) {
        rt_spin_init(&spin_, spin_ns, false);
        rt_spin_wait one = {};
        one.spun_ns = one.waited_ns = 10 * kUs;
        one.looks = 20;
        one.units = 1;
        one.hit = one.found = true;
        const auto wait = [this](uint32_t times, const rt_spin_wait &w) {
            for (uint32_t i = 0; i < times; i++) {
                rt_spin_on_wait(&spin_, &w);
            }
            return rt_spin_is_lone(&spin_);
        };
        EXPECT_FALSE(wait(RT_SPIN_LONE_AFTER - 1, one));
        EXPECT_TRUE(wait(1, one));
        EXPECT_TRUE(wait(1000, one));
        rt_spin_wait more = one; // now and then it is two
        more.units = 2;
        EXPECT_TRUE(wait(1, more));
        EXPECT_FALSE(wait(8, more));
        EXPECT_TRUE(wait(1000, one));
        rt_spin_wait ready = one; // it was there already: there may be many
        ready.looks = 1;
        EXPECT_FALSE(wait(8, ready));
        EXPECT_TRUE(wait(1000, one));
        rt_spin_wait slept = one; // who sleeps does not look
        slept.hit = false;
        EXPECT_FALSE(wait(1, slept));
        rt_spin_wait order = one; // no datagram at all
        order.units = 0;
        EXPECT_FALSE(wait(1000, order));
        EXPECT_FALSE(wait(RT_SPIN_LONE_AFTER - 1, one));
        EXPECT_TRUE(wait(1, one));
        EXPECT_TRUE(wait(1000, order));
        for (int i = 0; i < 8; i++) { // nor does who has no time to wait
            rt_spin_on_ready(&spin_);
        }
        EXPECT_FALSE(rt_spin_is_lone(&spin_));
    }
}

TEST_F(Spin, OnASharedCpuAutoIsOff)
{
    rt_spin_init(&spin_, QURING_SPIN_AUTO, true);
    EXPECT_EQ(Waits(1000, 10 * kUs), 0u);
}

} // namespace

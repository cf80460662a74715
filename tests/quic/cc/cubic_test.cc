#include <cmath>

#include <gtest/gtest.h>

#include "quic/cc/cubic.h"

namespace
{

constexpr quic_ns kMs = QUIC_NS_PER_MS;
constexpr uint32_t kMss = 1200;
constexpr double kUnit = 1048576.0; /* time units per second */

TEST(CubicMath, TimeUnits)
{
    EXPECT_EQ(quic_cubic_time(0), 0u);
    for (double s : {0.000001, 0.001, 0.5, 1.0, 60.0, 3600.0}) {
        EXPECT_NEAR((double)quic_cubic_time((quic_ns)(s * 1e9)), s * kUnit, 1.0);
    }
    EXPECT_LE(quic_cubic_time(UINT64_MAX), 1ull << 40);
}

TEST(CubicMath, KMatchesTheClosedForm) /* RFC 9438 4.2, Figure 2 */
{
    for (double gap : {1.0, 1200.0, 36000.0, 1e6, 1e9, 1e12}) {
        for (uint32_t mss : {1200u, 1452u, 9000u}) {
            double k = std::cbrt(gap / mss / 0.4);
            EXPECT_NEAR((double)quic_cubic_k((uint64_t)gap, mss) / kUnit, k, 2 / kUnit + k * 1e-9);
        }
    }
    EXPECT_EQ(quic_cubic_k(0, 1200), 0u);
}

TEST(CubicMath, WindowMatchesTheClosedForm) /* RFC 9438 4.2, Figure 1 */
{
    for (double w_max : {24000.0, 1e6, 1e9}) {
        uint64_t k = quic_cubic_k((uint64_t)(w_max * 0.3), kMss);
        for (double t : {0.0, 0.01, 0.1, 1.0, 3.3, 10.0, 60.0}) {
            double d = t - (double)k / kUnit;
            double want = 0.4 * kMss * d * d * d + w_max;
            double got = (double)quic_cubic_window((uint64_t)(t * kUnit), k, (uint64_t)w_max, kMss);
            EXPECT_NEAR(got, want < 0 ? 0 : want, 8 + std::fabs(want) * 2e-4) << w_max << " " << t;
        }
        EXPECT_NEAR((double)quic_cubic_window(0, k, (uint64_t)w_max, kMss), w_max * 0.7,
                    8 + w_max * 1e-4);
    }
}

TEST(CubicMath, DoesNotOverflow)
{
    EXPECT_EQ(quic_cubic_window(UINT64_MAX / 2, 0, QUIC_CWND_LIMIT, 65000), QUIC_CWND_LIMIT);
    EXPECT_EQ(quic_cubic_window((1ull << 32) - 1, 0, QUIC_CWND_LIMIT, 65000), QUIC_CWND_LIMIT);
    EXPECT_EQ(quic_cubic_window(0, 1ull << 41, 1000, 1200), 0u);
    EXPECT_GT(quic_cubic_k(UINT64_MAX, 1), 0u);
    EXPECT_EQ(quic_cc_mul_div(1ull << 40, 1ull << 40, 1ull << 40), 1ull << 40);
    EXPECT_EQ(quic_cc_mul_div(UINT64_MAX, UINT64_MAX, 1), UINT64_MAX);
}

/* A sender that always fills its window over a path of fixed RTT. */
struct Sim {
    explicit Sim(quic_ns rtt_ns, uint32_t acks_per_rtt = 16) : rtt(rtt_ns), acks(acks_per_rtt)
    {
        quic_cc_init(&cc, &quic_cubic_vtable, kMss, 0, true);
    }
    void Round(bool app_limited = false)
    {
        uint64_t window = cc.cwnd_bytes;
        for (uint32_t i = 0; i < acks; i++) {
            now += rtt / acks;
            quic_cc_sample s = {window / acks, window, now - rtt, rtt, rtt, app_limited};
            quic_cc_on_acked(&cc, &s, now);
        }
    }
    void Lose()
    {
        quic_cc_on_congestion(&cc, now, now);
        now += rtt + 1;
    }
    quic_cc cc;
    quic_ns rtt;
    uint32_t acks;
    quic_ns now = 10 * QUIC_NS_PER_S;
};

TEST(Cubic, SlowStartDoubles)
{
    Sim s(50 * kMs);
    s.Round();
    EXPECT_NEAR((double)s.cc.cwnd_bytes, 24000, 100);
}

TEST(Cubic, ReducesToSevenTenths) /* RFC 9438 4.6 */
{
    Sim s(50 * kMs);
    s.cc.cwnd_bytes = 1000000;
    s.Lose();
    EXPECT_EQ(s.cc.cwnd_bytes, 700000u);
    EXPECT_EQ(s.cc.ssthresh_bytes, 700000u);
    EXPECT_EQ(s.cc.u.cubic.epoch.w_max, 1000000u);
}

TEST(Cubic, FastConvergence) /* RFC 9438 4.7 */
{
    Sim s(50 * kMs);
    s.cc.cwnd_bytes = 1000000;
    s.Lose();
    s.Lose();
    EXPECT_EQ(s.cc.u.cubic.epoch.w_max, 595000u); /* 700000 * (1 + 0.7) / 2 */
    EXPECT_EQ(s.cc.cwnd_bytes, 490000u);
}

TEST(Cubic, FollowsTheCubicCurve) /* RFC 9438 4.2..4.5, large window and RTT: not Reno-friendly */
{
    Sim s(100 * kMs, 64);
    s.cc.cwnd_bytes = 12000000; /* 10000 datagrams */
    s.Lose();
    quic_ns start = 0;
    double k = std::cbrt(0.3 * 10000 / 0.4); /* 19.6 s */
    for (int i = 0; i < 350; i++) {
        s.Round();
        if (start == 0) {
            start = s.cc.u.cubic.epoch.start_ns;
        }
        double t = (double)(s.now - start) / 1e9;
        double want = kMss * (0.4 * std::pow(t - k, 3) + 10000);
        EXPECT_NEAR((double)s.cc.cwnd_bytes, want, want * 0.02) << "t = " << t;
    }
    EXPECT_GT(s.cc.cwnd_bytes, 12000000u); /* past W_max: convex */
}

TEST(Cubic, AtLeastAsFastAsReno) /* RFC 9438 4.3: short RTT, small window */
{
    Sim s(5 * kMs);
    s.cc.cwnd_bytes = 60000;
    s.Lose(); /* 42000 */
    double est = 42000;
    for (int i = 0; i < 60; i++) {
        s.Round();
        est += kMss * (est < 60000 ? 9.0 / 17 : 1.0);
    }
    EXPECT_NEAR((double)s.cc.cwnd_bytes, est, est * 0.02);
}

TEST(Cubic, NeverShrinksWithoutCongestionAndIsBoundedPerRound)
{
    Sim s(30 * kMs);
    s.cc.cwnd_bytes = 100000;
    s.Lose();
    for (int i = 0; i < 2000; i++) {
        uint64_t before = s.cc.cwnd_bytes;
        s.Round();
        ASSERT_GE(s.cc.cwnd_bytes, before);
        ASSERT_LE(s.cc.cwnd_bytes, before + before * 7 / 10); /* 1.5 per window, compounded */
    }
    EXPECT_LE(s.cc.cwnd_bytes, QUIC_CWND_LIMIT);
}

/* However far W_cubic is ahead, as it is for the first ACK after a long round trip. */
TEST(Cubic, GrowsByHalfAWindowPerWindowAtMost) /* RFC 9438 4.2 */
{
    Sim s(10 * QUIC_NS_PER_S, 1);
    s.Lose();
    for (int i = 0; i < 5; i++) {
        const uint64_t before = s.cc.cwnd_bytes;
        s.Round();
        EXPECT_GT(s.cc.cwnd_bytes, before);
        EXPECT_LE(s.cc.cwnd_bytes, before + before / 2);
    }
}

/* The curve begins with what may use it, also when the application had too little to send just after the loss. */
TEST(Cubic, AnEpochBeginsWhenTheLimitEnds) /* RFC 9438 4.2, 5.8 */
{
    Sim a(100 * kMs), b(100 * kMs);
    for (Sim *s : {&a, &b}) {
        s->cc.cwnd_bytes = 12000000;
        s->Lose();
        if (s == &b) {
            s->Round(true);
        }
        for (int i = 0; i < 20; i++) {
            s->Round();
        }
    }
    EXPECT_NEAR((double)a.cc.cwnd_bytes, (double)b.cc.cwnd_bytes, (double)a.cc.cwnd_bytes * 0.01);
}

TEST(Cubic, AppLimitedTimeIsNoPartOfT) /* RFC 9438 4.2, 5.8 */
{
    Sim a(100 * kMs), b(100 * kMs);
    for (Sim *s : {&a, &b}) {
        s->cc.cwnd_bytes = 12000000;
        s->Lose();
        for (int i = 0; i < 20; i++) {
            s->Round();
        }
    }
    uint64_t cwnd = b.cc.cwnd_bytes;
    for (int i = 0; i < 100; i++) {
        b.Round(true);
    }
    EXPECT_EQ(b.cc.cwnd_bytes, cwnd);
    b.now += 3600 * QUIC_NS_PER_S; /* silence on top of it */
    quic_cc_on_sent(&b.cc, 0, b.now);
    for (int i = 0; i < 20; i++) {
        a.Round();
        b.Round();
    }
    EXPECT_NEAR((double)a.cc.cwnd_bytes, (double)b.cc.cwnd_bytes, (double)a.cc.cwnd_bytes * 0.01);
}

TEST(Cubic, IdleTimeIsNoPartOfT)
{
    Sim s(100 * kMs);
    s.cc.cwnd_bytes = 12000000;
    s.Lose();
    s.Round();
    uint64_t cwnd = s.cc.cwnd_bytes;
    s.now += 60 * QUIC_NS_PER_S;
    quic_cc_on_sent(&s.cc, 0, s.now);
    s.now += s.rtt;
    s.Round();
    EXPECT_LT(s.cc.cwnd_bytes, cwnd + cwnd / 20);
}

TEST(Cubic, HystartLeavesSlowStartBeforeLoss) /* RFC 9438 4.10, RFC 9406 */
{
    Sim s(50 * kMs);
    const uint64_t bdp = 1000000;
    int rounds = 0;
    while (quic_cc_in_slow_start(&s.cc) && rounds++ < 40) {
        uint64_t queue = s.cc.cwnd_bytes > bdp ? s.cc.cwnd_bytes - bdp : 0;
        s.rtt = 50 * kMs + 50 * kMs * queue / bdp;
        s.Round();
    }
    EXPECT_LT(rounds, 40);
    EXPECT_GT(s.cc.cwnd_bytes, bdp);
    EXPECT_LT(s.cc.cwnd_bytes, 10 * bdp); /* five rounds of 5/4 in an endless queue */
    EXPECT_EQ(s.cc.congestion_count, 0u);
    uint64_t cwnd = s.cc.cwnd_bytes;
    s.Round();
    EXPECT_EQ(s.cc.u.cubic.epoch.k, 0u);
    EXPECT_NEAR((double)s.cc.u.cubic.epoch.w_max, (double)cwnd, 1);
    EXPECT_LT(s.cc.cwnd_bytes, cwnd + 4 * kMss);
}

TEST(Cubic, SpuriousLossRestoresTheCurve) /* RFC 9438 4.9.2 */
{
    Sim s(100 * kMs);
    s.cc.cwnd_bytes = 1200000;
    s.Lose();
    for (int i = 0; i < 10; i++) {
        s.Round();
    }
    quic_cubic_epoch epoch = s.cc.u.cubic.epoch;
    uint64_t cwnd = s.cc.cwnd_bytes, ssthresh = s.cc.ssthresh_bytes;
    s.Lose();
    EXPECT_LT(s.cc.cwnd_bytes, cwnd);
    quic_cc_on_spurious(&s.cc);
    EXPECT_EQ(s.cc.cwnd_bytes, cwnd);
    EXPECT_EQ(s.cc.ssthresh_bytes, ssthresh);
    EXPECT_EQ(s.cc.u.cubic.epoch.w_max, epoch.w_max);
    EXPECT_EQ(s.cc.u.cubic.epoch.k, epoch.k);
    EXPECT_EQ(s.cc.u.cubic.epoch.start_ns, epoch.start_ns);
}

/* Up to the window before the loss, however slow start began again. */
TEST(Cubic, AfterATimeoutItIsNoFasterThanReno) /* RFC 9438 4.3, 4.8 */
{
    Sim s(10 * kMs);
    s.cc.cwnd_bytes = 1000 * kMss;
    s.Lose();
    quic_cc_on_persistent_congestion(&s.cc);
    while (quic_cc_in_slow_start(&s.cc)) {
        s.Round();
    }
    const uint64_t cwnd = s.cc.cwnd_bytes;
    for (int i = 0; i < 40; i++) {
        s.Round();
    }
    EXPECT_GT(s.cc.cwnd_bytes, cwnd + 18 * kMss); /* 9/17 per round trip */
    EXPECT_LT(s.cc.cwnd_bytes, cwnd + 24 * kMss);
    EXPECT_EQ(s.cc.u.cubic.epoch.cwnd_prior, 1000u * kMss);
}

TEST(Cubic, LargestWindowDoesNotOverflow)
{
    Sim s(100 * kMs);
    s.cc.cwnd_bytes = QUIC_CWND_LIMIT;
    s.Lose();
    for (int i = 0; i < 100; i++) {
        s.Round();
        ASSERT_GE(s.cc.cwnd_bytes, QUIC_CWND_LIMIT * 7 / 10 - 1);
        ASSERT_LE(s.cc.cwnd_bytes, QUIC_CWND_LIMIT);
    }
}

} // namespace

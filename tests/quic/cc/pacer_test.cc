#include <gtest/gtest.h>

#include "quic/cc/pacer.h"

namespace
{

constexpr quic_ns kMs = QUIC_NS_PER_MS;
constexpr uint32_t kMss = 1200;

/* Sends all it may for `span`, in units of at most 64 datagrams, woken as the pacer says. */
uint64_t SendFor(quic_pacer *p, quic_ns *now, quic_ns span)
{
    uint64_t total = 0;
    quic_ns end = *now + span;
    while (*now < end) {
        uint64_t budget = quic_pacer_budget(p, *now);
        EXPECT_NE(budget, QUIC_PACER_UNLIMITED);
        if (budget > 0) {
            uint64_t bytes = budget < 64 * kMss ? (budget + kMss - 1) / kMss * kMss : 64 * kMss;
            quic_pacer_on_sent(p, bytes);
            total += bytes;
            continue;
        }
        quic_ns next = quic_pacer_next_send(p, *now);
        EXPECT_GT(next, *now);
        *now = next;
    }
    return total;
}

TEST(Pacer, SendsAtTheRate) /* RFC 9002 7.7 */
{
    struct Row {
        uint64_t cwnd;
        quic_ns srtt_ms;
        bool slow_start;
    };
    const Row rows[] = {
        {12000, 333, true},   {12000, 50, false},     {100000, 100, false}, {1000000, 20, true},
        {1000000, 20, false}, {100000000, 10, false}, {2400, 1000, false},  {1ull << 40, 2, true},
    };
    for (const Row &r : rows) {
        quic_pacer p;
        quic_ns now = 1000 * kMs;
        quic_pacer_init(&p, true, kMss, now);
        quic_pacer_update(&p, r.cwnd, r.srtt_ms * kMs, r.slow_start, kMss, now);
        double rate = (r.slow_start ? 2.0 : 1.25) * (double)r.cwnd / ((double)r.srtt_ms / 1000);
        EXPECT_NEAR((double)quic_pacer_rate_bytes_per_s(&p), rate, 1 + rate * 1e-3);
        if (rate > 1e11) {
            continue;
        }
        quic_ns span = (rate > 1e8 ? 1 : 20) * QUIC_NS_PER_S;
        double sent = (double)SendFor(&p, &now, span);
        double want = rate * (double)span / 1e9;
        EXPECT_NEAR(sent, want, want * 0.01 + (double)p.burst_bytes + 2 * kMss) << r.cwnd;
    }
}

TEST(Pacer, FollowsWhatMovesByMoreThanASixteenth)
{
    quic_pacer p;
    quic_pacer_init(&p, true, kMss, 0);
    const auto rate = [&](uint64_t cwnd, quic_ns srtt_ns, bool slow_start) {
        quic_pacer_update(&p, cwnd, srtt_ns, slow_start, kMss, kMs);
        return quic_pacer_rate_bytes_per_s(&p);
    };
    const uint64_t first = rate(160000, 160 * kMs, false);
    EXPECT_EQ(rate(170000, 160 * kMs, false), first);
    EXPECT_EQ(rate(150000, 170 * kMs, false), first);
    EXPECT_NEAR((double)rate(170001, 160 * kMs, false), 170001 / 0.160 * 1.25, 2);
    EXPECT_NEAR((double)rate(160000, 149 * kMs, false), 160000 / 0.149 * 1.25, 2);
    EXPECT_NEAR((double)rate(160000, 149 * kMs, true), 160000 / 0.149 * 2, 2);
}

TEST(Pacer, BurstIsTenDatagramsAtLeast)
{
    quic_pacer p;
    quic_pacer_init(&p, true, kMss, 0);
    quic_pacer_update(&p, 12000, 100 * kMs, true, kMss, 0);
    EXPECT_EQ(quic_pacer_budget(&p, 0), 12000u);
    quic_pacer_on_sent(&p, 12000);
    EXPECT_EQ(quic_pacer_budget(&p, 0), 0u);
    quic_ns next = quic_pacer_next_send(&p, 0);
    EXPECT_GE(quic_pacer_budget(&p, next), 2400u);
    EXPECT_EQ(quic_pacer_budget(&p, next - kMs), quic_pacer_budget(&p, next)); /* time may stand */
}

TEST(Pacer, HighRatesGetLargeBursts)
{
    quic_pacer p;
    quic_pacer_init(&p, true, kMss, 0);
    quic_pacer_update(&p, 10000000, 50 * kMs, false, kMss, 0); /* 2 Gbit/s */
    EXPECT_EQ(p.burst_bytes, QUIC_PACER_BURST_MAX_BYTES);
    quic_pacer_update(&p, 100000000, 50 * kMs, false, kMss, 0); /* 20 Gbit/s */
    EXPECT_GT(p.burst_bytes, 500000u);
}

TEST(Pacer, DoesNotHoldBackShortPaths)
{
    quic_pacer p;
    quic_pacer_init(&p, true, kMss, 0);
    EXPECT_EQ(quic_pacer_budget(&p, 0), QUIC_PACER_UNLIMITED);
    quic_pacer_update(&p, 12000, 40 * QUIC_NS_PER_US, true, kMss, 0);
    EXPECT_EQ(quic_pacer_budget(&p, 0), QUIC_PACER_UNLIMITED);
    EXPECT_EQ(quic_pacer_next_send(&p, 7), 7u);
    quic_pacer_update(&p, 12000, 100 * kMs, true, kMss, 0);
    EXPECT_EQ(quic_pacer_budget(&p, 0), 12000u);
    quic_pacer_update(&p, 12000, 40 * QUIC_NS_PER_US, true, kMss, 0);
    EXPECT_EQ(quic_pacer_budget(&p, 0), QUIC_PACER_UNLIMITED);
}

TEST(Pacer, NeverLimitsWhenOff)
{
    quic_pacer p;
    quic_pacer_init(&p, false, kMss, 0);
    quic_pacer_update(&p, 12000, 100 * kMs, true, kMss, 0);
    EXPECT_EQ(quic_pacer_budget(&p, 0), QUIC_PACER_UNLIMITED);
}

TEST(Pacer, IdleTimeFillsOneBucketOnly)
{
    quic_pacer p;
    quic_pacer_init(&p, true, kMss, 0);
    quic_pacer_update(&p, 12000, 100 * kMs, false, kMss, 0);
    quic_pacer_on_sent(&p, 12000);
    EXPECT_EQ(quic_pacer_budget(&p, 3600 * QUIC_NS_PER_S), p.burst_bytes);
}

TEST(Pacer, SlowRatesKeepTheirFractions)
{
    quic_pacer p;
    quic_pacer_init(&p, true, kMss, 0);
    quic_pacer_update(&p, 2400, 10 * QUIC_NS_PER_S, false, kMss, 0); /* 300 bytes per second */
    quic_pacer_on_sent(&p, 12000);
    quic_ns now = 0;
    while (quic_pacer_budget(&p, now) == 0) {
        now += kMs;
    }
    EXPECT_NEAR((double)now, 1e10, 1e7); /* 3000 bytes, a quarter of the bucket */
}

/* Whoever asks early, late or often hears of the same moment. */
TEST(Pacer, TheNextMomentDoesNotDependOnWhoAsksWhen)
{
    for (uint64_t cwnd : {2400u, 25675u, 1000000u}) {
        quic_pacer p;
        quic_pacer_init(&p, true, kMss, 0);
        quic_pacer_update(&p, cwnd, 1313 * kMs, true, kMss, 0);
        while (quic_pacer_budget(&p, 0) > 0) {
            quic_pacer_on_sent(&p, kMss);
        }
        quic_ns next = quic_pacer_next_send(&p, 0);
        for (quic_ns now = 1; now < next; now += next / 97 + 1) {
            EXPECT_EQ(quic_pacer_budget(&p, now), 0u);
            EXPECT_EQ(quic_pacer_next_send(&p, now), next) << cwnd << " at " << now;
        }
        EXPECT_GT(quic_pacer_budget(&p, next), 0u);
    }
}

/* RFC 9002 7.7: more than ten datagrams where the path is known to absorb them. */
TEST(Pacer, ANearPathGetsATrainWhateverItsQueue)
{
    quic_pacer p;
    quic_pacer_init(&p, true, kMss, 0);
    quic_pacer_note_min_rtt(&p, QUIC_PACER_SRTT_MIN_NS - 1);
    quic_pacer_update(&p, 12000, 100 * kMs, false, kMss, 0);
    EXPECT_EQ(quic_pacer_budget(&p, 0), (uint64_t)QUIC_PACER_NEAR_BURST_BYTES);
    for (quic_ns far : {quic_ns{QUIC_PACER_SRTT_MIN_NS}, quic_ns{0} /* not known */}) {
        quic_pacer_note_min_rtt(&p, far);
        quic_pacer_update(&p, 12000, 50 * kMs, far != 0, kMss, 0);
        EXPECT_EQ(quic_pacer_budget(&p, 0), 12000u);
    }
}

/* A near path whose RTT has grown, and datagrams as large as loopback carries: an empty bucket must be able to hold
 * what opens it again. */
TEST(Pacer, LargeDatagramsGoOnAfterTheBucketRanDry)
{
    for (uint32_t datagram : {9000u, 33000u, 65000u}) {
        for (uint64_t cwnd : {2ull * datagram, 4ull * datagram, 100ull * datagram}) {
            quic_pacer p;
            quic_ns now = 1000 * kMs;
            quic_pacer_init(&p, true, kMss, now);
            quic_pacer_note_min_rtt(&p, kMs / 10);
            quic_pacer_update(&p, cwnd, 40 * kMs, false, datagram, now);
            for (int i = 0; i < 10; i++) {
                while (quic_pacer_budget(&p, now) > 0) {
                    quic_pacer_on_sent(&p, datagram);
                }
                now = quic_pacer_next_send(&p, now);
                ASSERT_GT(quic_pacer_budget(&p, now), 0u) << datagram << " " << cwnd;
            }
        }
    }
}

TEST(Pacer, WhatThePathIsKnownToAbsorbMayLeaveAtOnce) /* RFC 9002 7.7 */
{
    quic_pacer p;
    quic_pacer_init(&p, true, kMss, 0);
    quic_pacer_know_burst(&p, 40000, kMss);
    EXPECT_EQ(quic_pacer_budget(&p, 0), QUIC_PACER_UNLIMITED) << "no rate yet";
    quic_pacer_update(&p, 12000, 100 * kMs, false, kMss, 0);
    EXPECT_EQ(quic_pacer_budget(&p, 0), 40000u);
    quic_pacer_on_sent(&p, 40000);
    EXPECT_EQ(quic_pacer_budget(&p, 0), 0u);
    EXPECT_EQ(quic_pacer_budget(&p, QUIC_NS_PER_S), 40000u) << "the rate is what it was";
    quic_pacer_know_burst(&p, 0, kMss);
    EXPECT_EQ(quic_pacer_budget(&p, QUIC_NS_PER_S), 12000u) << "at once, not with the next rate";
    quic_pacer_know_burst(&p, 6000, kMss);
    quic_pacer_update(&p, 12000, 50 * kMs, false, kMss, QUIC_NS_PER_S);
    EXPECT_EQ(quic_pacer_budget(&p, QUIC_NS_PER_S), 12000u) << "never less than without";
}

} // namespace

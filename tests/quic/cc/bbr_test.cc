#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "quic/cc/bbr.h"
#include "tests/quic/cc/link_model.h"

namespace
{

using link_model::Flow;
using link_model::LinkConfig;
using link_model::Model;

constexpr quic_ns kMs = QUIC_NS_PER_MS;
constexpr uint64_t kBdp = 100000000 / 8 / 20; /* of the default line: 100 Mbit/s, 50 ms */

double BitsPerSecond(uint64_t rate_fp)
{
    return static_cast<double>(rate_fp) / 4294967296.0 * 8e9;
}

/* Runs until the flow is in `mode`; false after `span`. */
bool RunUntil(Model &m, const Flow &f, quic_bbr_mode mode, quic_ns span)
{
    quic_ns end = m.now() + span;
    while (quic_bbr_mode_of(&f.cc) != mode) {
        if (m.now() >= end) {
            return false;
        }
        m.run(kMs);
    }
    return true;
}

LinkConfig DeepQueue()
{
    LinkConfig c;
    c.queue_bytes = 8 * kBdp;
    return c;
}

TEST(Bbr, LeavesStartupWhenTheBandwidthStopsGrowing) /* 5.3.1.2 */
{
    Model m(DeepQueue());
    Flow &f = m.add(&quic_bbr_vtable);
    EXPECT_EQ(quic_bbr_mode_of(&f.cc), QUIC_BBR_STARTUP);
    ASSERT_TRUE(RunUntil(m, f, QUIC_BBR_DRAIN, 2 * QUIC_NS_PER_S));
    EXPECT_EQ(f.lost_packets, 0u);
    EXPECT_NEAR(BitsPerSecond(quic_bbr_bw_fp(&f.cc)), 100e6, 3e6);
    EXPECT_LT(f.rec.in_flight_bytes, 4 * kBdp);
    EXPECT_LT(m.now(), 2 * QUIC_NS_PER_S); /* the clock starts at 1 s: less than 20 round trips */
}

TEST(Bbr, DrainEmptiesTheQueue) /* 5.3.2 */
{
    Model m(DeepQueue());
    Flow &f = m.add(&quic_bbr_vtable);
    ASSERT_TRUE(RunUntil(m, f, QUIC_BBR_DRAIN, 2 * QUIC_NS_PER_S));
    EXPECT_GT(m.queue_now(), kBdp / 4);
    uint64_t rate = f.cc.pacing_rate_fp;
    EXPECT_LT(BitsPerSecond(rate), 60e6);
    quic_ns from = m.now();
    ASSERT_TRUE(RunUntil(m, f, QUIC_BBR_PROBE_CRUISE, QUIC_NS_PER_S));
    EXPECT_LT(m.now() - from, 400 * kMs);
    EXPECT_LT(m.queue_now(), kBdp / 8);
    EXPECT_LE(f.rec.in_flight_bytes, kBdp * 11 / 10);
}

TEST(Bbr, LossesEndStartup) /* 5.3.1.3 */
{
    LinkConfig c;
    c.queue_bytes = kBdp / 10;
    Model m(c);
    Flow &f = m.add(&quic_bbr_vtable);
    ASSERT_TRUE(RunUntil(m, f, QUIC_BBR_DRAIN, 2 * QUIC_NS_PER_S));
    EXPECT_GT(f.lost_packets, 0u);
    EXPECT_NE(f.cc.u.bbr.inflight_longterm, UINT64_MAX);
    EXPECT_GE(f.cc.u.bbr.inflight_longterm, kBdp / 2);
}

TEST(Bbr, GoesThroughTheCycle) /* 5.3.3 */
{
    Model m(DeepQueue());
    Flow &f = m.add(&quic_bbr_vtable);
    ASSERT_TRUE(RunUntil(m, f, QUIC_BBR_PROBE_CRUISE, 3 * QUIC_NS_PER_S));
    quic_ns cruise = m.now();
    EXPECT_NEAR(BitsPerSecond(f.cc.pacing_rate_fp), 99e6, 3e6);
    ASSERT_TRUE(RunUntil(m, f, QUIC_BBR_PROBE_REFILL, 4 * QUIC_NS_PER_S));
    EXPECT_GT(m.now() - cruise, 1500 * kMs); /* 5.3.3.8: 2 to 3 s after the last one */
    EXPECT_LT(m.now() - cruise, 3100 * kMs);
    quic_ns refill = m.now();
    ASSERT_TRUE(RunUntil(m, f, QUIC_BBR_PROBE_UP, QUIC_NS_PER_S));
    EXPECT_NEAR(static_cast<double>(m.now() - refill), 50e6, 10e6); /* one round trip */
    m.run(kMs);
    EXPECT_NEAR(BitsPerSecond(f.cc.pacing_rate_fp), 124e6, 4e6);
    ASSERT_TRUE(RunUntil(m, f, QUIC_BBR_PROBE_DOWN, QUIC_NS_PER_S));
    m.run(kMs);
    EXPECT_NEAR(BitsPerSecond(f.cc.pacing_rate_fp), 89e6, 4e6);
    ASSERT_TRUE(RunUntil(m, f, QUIC_BBR_PROBE_CRUISE, 2 * QUIC_NS_PER_S));
    EXPECT_EQ(f.lost_packets, 0u);
}

TEST(Bbr, FindsNewBandwidth)
{
    LinkConfig c = DeepQueue();
    c.bits_per_s = 50000000;
    Model m(c);
    Flow &f = m.add(&quic_bbr_vtable);
    m.run(4 * QUIC_NS_PER_S);
    EXPECT_NEAR(BitsPerSecond(quic_bbr_bw_fp(&f.cc)), 50e6, 2e6);
    m.set_rate(100000000);
    m.run(12 * QUIC_NS_PER_S);
    EXPECT_NEAR(BitsPerSecond(quic_bbr_bw_fp(&f.cc)), 100e6, 5e6);
}

TEST(Bbr, ForgetsOldBandwidth)
{
    Model m(DeepQueue());
    Flow &f = m.add(&quic_bbr_vtable);
    m.run(4 * QUIC_NS_PER_S);
    m.set_rate(30000000);
    m.run(18 * QUIC_NS_PER_S);
    EXPECT_NEAR(BitsPerSecond(quic_bbr_bw_fp(&f.cc)), 30e6, 3e6);
    EXPECT_LT(m.queue_now(), kBdp);
    EXPECT_LT(f.cc.cwnd_bytes, kBdp); /* with it the window, which was twice that */
}

TEST(Bbr, ProbesTheRtt) /* 5.3.4 */
{
    Model m(DeepQueue());
    Flow &f = m.add(&quic_bbr_vtable);
    quic_ns begin = m.now();
    ASSERT_TRUE(RunUntil(m, f, QUIC_BBR_PROBE_RTT, 8 * QUIC_NS_PER_S));
    EXPECT_GE(m.now() - begin, 5 * QUIC_NS_PER_S);
    EXPECT_TRUE(f.cc.holds_back);
    uint64_t bw = quic_bbr_bw_fp(&f.cc);
    m.run(100 * kMs);
    EXPECT_NEAR(static_cast<double>(f.cc.cwnd_bytes), kBdp * 0.5, kBdp * 0.05);
    EXPECT_LE(f.rec.in_flight_bytes, kBdp * 6 / 10);
    quic_ns from = m.now();
    ASSERT_TRUE(RunUntil(m, f, QUIC_BBR_PROBE_CRUISE, QUIC_NS_PER_S));
    EXPECT_GE(m.now() - from, 100 * kMs); /* 200 ms in all */
    EXPECT_LE(m.now() - from, 300 * kMs);
    EXPECT_FALSE(f.cc.holds_back);
    EXPECT_GT(f.cc.cwnd_bytes, kBdp * 3 / 2);
    EXPECT_GE(quic_bbr_bw_fp(&f.cc), bw / 100 * 97); /* the low samples did not count */
}

/* Whoever has nothing to send in the meantime does not wait for the ACK that would end it. */
TEST(Bbr, IdleTimeEndsTheProbeOfTheRtt) /* 5.4.1 */
{
    for (const bool is_over : {false, true}) {
        Model m(DeepQueue());
        Flow &f = m.add(&quic_bbr_vtable);
        ASSERT_TRUE(RunUntil(m, f, QUIC_BBR_PROBE_RTT, 8 * QUIC_NS_PER_S));
        m.run(100 * kMs);
        const quic_ns done = f.cc.u.bbr.probe_rtt_done_ns;
        ASSERT_GT(done, m.now());
        quic_cc_on_sent(&f.cc, 0, is_over ? done + 1 : done - 1);
        EXPECT_EQ(quic_bbr_mode_of(&f.cc), is_over ? QUIC_BBR_PROBE_CRUISE : QUIC_BBR_PROBE_RTT);
        EXPECT_EQ(f.cc.holds_back, !is_over);
    }
}

/* 5.3.4.2: at least 96 % of the time in ProbeBW; most of it neither probing nor draining. */
TEST(Bbr, SpendsItsTimeCruising)
{
    Model m(DeepQueue());
    Flow &f = m.add(&quic_bbr_vtable);
    ASSERT_TRUE(RunUntil(m, f, QUIC_BBR_PROBE_CRUISE, 3 * QUIC_NS_PER_S));
    const quic_ns start = m.now() - QUIC_NS_PER_S;
    int ms[QUIC_BBR_MODE_NONE] = {};
    constexpr int kAll = 60000;
    for (int i = 0; i < kAll; i++) {
        m.run(kMs);
        ms[quic_bbr_mode_of(&f.cc)]++;
    }
    EXPECT_LT(start, QUIC_NS_PER_S); /* Startup and Drain */
    EXPECT_EQ(ms[QUIC_BBR_STARTUP] + ms[QUIC_BBR_DRAIN], 0);
    EXPECT_GE(ms[QUIC_BBR_PROBE_CRUISE], kAll * 60 / 100);
    EXPECT_LE(ms[QUIC_BBR_PROBE_UP], kAll * 15 / 100);
    EXPECT_LE(ms[QUIC_BBR_PROBE_RTT], kAll * 6 / 100);
    EXPECT_GE(ms[QUIC_BBR_PROBE_RTT], kAll * 2 / 100);
    EXPECT_EQ(f.lost_packets, 0u);
}

TEST(Bbr, RemembersALowerRtt)
{
    Model m(DeepQueue());
    Flow &f = m.add(&quic_bbr_vtable);
    m.run(4 * QUIC_NS_PER_S);
    EXPECT_GE(f.cc.u.bbr.min_rtt_ns, 50 * kMs);
    EXPECT_LT(f.cc.u.bbr.min_rtt_ns, 51 * kMs);
}

TEST(Bbr, IgnoresSamplesOfAnApplicationThatSendsLittle) /* 5.5.4 */
{
    Model m(DeepQueue());
    Flow &f = m.add(&quic_bbr_vtable);
    m.run(3 * QUIC_NS_PER_S);
    uint64_t bw = quic_bbr_bw_fp(&f.cc);
    f.to_send_bytes = 0;
    for (int i = 0; i < 300; i++) {
        m.run(10 * kMs);
        f.to_send_bytes = 12000; /* 10 Mbit/s of 100 */
        m.wake(f);
    }
    EXPECT_GE(quic_bbr_bw_fp(&f.cc), bw / 100 * 99);
    f.to_send_bytes = UINT64_MAX;
    m.wake(f);
    m.run(100 * kMs);
    EXPECT_GT(m.share(f, QUIC_NS_PER_S), 85.0); /* back at once */
}

TEST(Bbr, AnApplicationThatSendsLittleStaysInStartup) /* 5.3.1.2 */
{
    Model m(DeepQueue());
    Flow &f = m.add(&quic_bbr_vtable);
    f.to_send_bytes = 1200;
    for (int i = 0; i < 200; i++) {
        m.run(20 * kMs);
        f.to_send_bytes = 6000;
        m.wake(f);
    }
    EXPECT_EQ(quic_bbr_mode_of(&f.cc), QUIC_BBR_STARTUP);
}

/* A flow in Cruise, then losses told by hand. */
class BbrLoss : public ::testing::Test
{
  protected:
    BbrLoss() : m(DeepQueue()), f(m.add(&quic_bbr_vtable))
    {
    }
    void Lose(uint64_t pn, uint64_t lost_since, uint64_t tx_in_flight)
    {
        quic_cc_loss l{};
        l.pn = pn;
        l.bytes = 1200;
        l.tx_in_flight_bytes = tx_in_flight;
        l.lost_since_bytes = lost_since;
        l.delivered_bytes = f.rec.delivered_bytes;
        quic_cc_on_lost(&f.cc, &l, m.now());
        quic_cc_on_congestion(&f.cc, m.now(), m.now());
    }
    Model m;
    Flow &f;
};

TEST_F(BbrLoss, BoundsTheShortTermModel) /* 5.5.10.3 */
{
    ASSERT_TRUE(RunUntil(m, f, QUIC_BBR_PROBE_CRUISE, 3 * QUIC_NS_PER_S));
    EXPECT_EQ(f.cc.u.bbr.bw_shortterm_fp, UINT64_MAX);
    m.set_rate(60000000);
    uint64_t bw = quic_bbr_bw_fp(&f.cc);
    for (int i = 0; i < 8; i++) {
        Lose(1, 1200, kBdp);
        m.run(60 * kMs);
        EXPECT_LE(f.cc.u.bbr.bw_shortterm_fp, bw); /* from the first round on */
    }
    EXPECT_NE(f.cc.u.bbr.bw_shortterm_fp, UINT64_MAX);
    EXPECT_LT(quic_bbr_bw_fp(&f.cc), bw / 100 * 75);
    EXPECT_GE(quic_bbr_bw_fp(&f.cc), bw / 100 * 55); /* it follows what is delivered, no further */
    EXPECT_EQ(f.cc.u.bbr.inflight_longterm, UINT64_MAX);
    ASSERT_TRUE(RunUntil(m, f, QUIC_BBR_PROBE_REFILL, 4 * QUIC_NS_PER_S));
    EXPECT_EQ(f.cc.u.bbr.bw_shortterm_fp, UINT64_MAX); /* forgotten before the next probe */
}

TEST_F(BbrLoss, ManyWhileProbingBoundTheLongTermModel) /* 5.5.10.2 */
{
    ASSERT_TRUE(RunUntil(m, f, QUIC_BBR_PROBE_UP, 6 * QUIC_NS_PER_S));
    Lose(1, 1200, kBdp); /* 0.2 %: nothing unusual */
    EXPECT_EQ(quic_bbr_mode_of(&f.cc), QUIC_BBR_PROBE_UP);
    EXPECT_EQ(f.cc.u.bbr.inflight_longterm, UINT64_MAX);
    Lose(2, kBdp / 25, kBdp); /* 4 % */
    EXPECT_EQ(quic_bbr_mode_of(&f.cc), QUIC_BBR_PROBE_DOWN);
    EXPECT_LE(f.cc.u.bbr.inflight_longterm, kBdp);
    EXPECT_GE(f.cc.u.bbr.inflight_longterm, kBdp / 100 * 68);
    for (int i = 0; i < 100; i++) {
        m.run(10 * kMs);
        ASSERT_LE(f.cc.cwnd_bytes, f.cc.u.bbr.inflight_longterm);
    }
}

/* As much as was in flight when the losses passed the threshold, 2 %: within the packet that was lost last. */
TEST_F(BbrLoss, TheBoundIsWhereTheyBecameTooMany) /* 5.5.10.2 */
{
    ASSERT_TRUE(RunUntil(m, f, QUIC_BBR_PROBE_UP, 6 * QUIC_NS_PER_S));
    Lose(1, 2 * kBdp / 50 + 600, 2 * kBdp);
    EXPECT_EQ(quic_bbr_mode_of(&f.cc), QUIC_BBR_PROBE_DOWN);
    EXPECT_GE(f.cc.u.bbr.inflight_longterm, 2 * kBdp - 1200);
    EXPECT_LE(f.cc.u.bbr.inflight_longterm, 2 * kBdp);
}

/* Also what the short term made of them. */
TEST_F(BbrLoss, SpuriousOnesOfACruiseAreTakenBack) /* 5.5.11 */
{
    ASSERT_TRUE(RunUntil(m, f, QUIC_BBR_PROBE_CRUISE, 3 * QUIC_NS_PER_S));
    Lose(1, 1200, kBdp);
    m.run(60 * kMs);
    ASSERT_NE(f.cc.u.bbr.inflight_shortterm, UINT64_MAX);
    quic_cc_on_spurious(&f.cc);
    EXPECT_EQ(f.cc.u.bbr.bw_shortterm_fp, UINT64_MAX);
    EXPECT_EQ(f.cc.u.bbr.inflight_shortterm, UINT64_MAX);
    EXPECT_EQ(quic_bbr_mode_of(&f.cc), QUIC_BBR_PROBE_CRUISE);
}

TEST_F(BbrLoss, SpuriousOnesAreTakenBack) /* 5.5.11 */
{
    ASSERT_TRUE(RunUntil(m, f, QUIC_BBR_PROBE_UP, 6 * QUIC_NS_PER_S));
    uint64_t cwnd = f.cc.cwnd_bytes;
    Lose(1, kBdp / 10, kBdp);
    ASSERT_EQ(quic_bbr_mode_of(&f.cc), QUIC_BBR_PROBE_DOWN);
    quic_cc_on_spurious(&f.cc);
    EXPECT_EQ(quic_bbr_mode_of(&f.cc), QUIC_BBR_PROBE_REFILL);
    EXPECT_EQ(f.cc.u.bbr.inflight_longterm, UINT64_MAX);
    EXPECT_GE(f.cc.cwnd_bytes, cwnd);
}

TEST_F(BbrLoss, MarksCountAsLosses) /* 3.7 */
{
    ASSERT_TRUE(RunUntil(m, f, QUIC_BBR_PROBE_UP, 6 * QUIC_NS_PER_S));
    quic_cc_on_ce(&f.cc, m.now(), m.now());
    EXPECT_EQ(quic_bbr_mode_of(&f.cc), QUIC_BBR_PROBE_DOWN);
    EXPECT_NE(f.cc.u.bbr.inflight_longterm, UINT64_MAX);
}

TEST_F(BbrLoss, PersistentCongestionLeavesTheMinimumAndComesBack) /* RFC 9002 7.6.2 */
{
    ASSERT_TRUE(RunUntil(m, f, QUIC_BBR_PROBE_CRUISE, 3 * QUIC_NS_PER_S));
    quic_cc_on_persistent_congestion(&f.cc);
    EXPECT_EQ(f.cc.cwnd_bytes, 2u * link_model::kDatagram);
    m.run(3 * QUIC_NS_PER_S);
    EXPECT_GT(m.share(f, QUIC_NS_PER_S), 85.0);
}

TEST(Bbr, StartsOverOnANewPath)
{
    Model m(DeepQueue());
    Flow &f = m.add(&quic_bbr_vtable);
    m.run(3 * QUIC_NS_PER_S);
    quic_cc_reset(&f.cc);
    EXPECT_EQ(quic_bbr_mode_of(&f.cc), QUIC_BBR_STARTUP);
    EXPECT_EQ(f.cc.cwnd_bytes, 12000u);
    EXPECT_EQ(f.cc.pacing_rate_fp, 0u);
    EXPECT_EQ(quic_bbr_bw_fp(&f.cc), 0u);
}

TEST(Bbr, KeepsToTheBoundsOfTheWindow)
{
    LinkConfig c = DeepQueue();
    for (uint64_t max : {20000ull, 200000ull}) {
        Model m(c);
        Flow &f = m.add(&quic_bbr_vtable);
        f.cc.cwnd_max_bytes = max;
        for (int i = 0; i < 400; i++) {
            m.run(10 * kMs);
            ASSERT_LE(f.cc.cwnd_bytes, max);
            ASSERT_GE(f.cc.cwnd_bytes, 2u * link_model::kDatagram);
        }
    }
}

} // namespace

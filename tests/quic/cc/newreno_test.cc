#include <gtest/gtest.h>

#include "quic/cc/cubic.h"
#include "quic/cc/newreno.h"

namespace
{

constexpr quic_ns kMs = QUIC_NS_PER_MS;

quic_cc_sample Sample(uint64_t acked, quic_ns sent_ns, bool app_limited = false)
{
    return quic_cc_sample{acked, acked, sent_ns, 0, 50 * kMs, app_limited};
}

TEST(Cc, InitialWindow) /* RFC 9002 7.2 */
{
    struct Row {
        uint32_t datagram;
        uint64_t cwnd;
    };
    const Row rows[] = {
        {1200, 12000}, {1472, 14720}, {1500, 14720}, {9000, 18000}, {65000, 130000}};
    for (const Row &r : rows) {
        quic_cc cc;
        quic_cc_init(&cc, &quic_newreno_vtable, r.datagram, 0, true);
        EXPECT_EQ(cc.cwnd_bytes, r.cwnd);
        EXPECT_TRUE(quic_cc_in_slow_start(&cc));
    }
}

TEST(Cc, FollowsTheDatagramSizeOnlyBeforeGrowth)
{
    quic_cc cc;
    quic_cc_init(&cc, &quic_newreno_vtable, 1200, 0, true);
    quic_cc_set_datagram(&cc, 1452);
    EXPECT_EQ(cc.cwnd_bytes, 14520u);
    quic_cc_sample s = Sample(1000, 1);
    quic_cc_on_acked(&cc, &s, 2);
    quic_cc_set_datagram(&cc, 1200);
    EXPECT_EQ(cc.cwnd_bytes, 15520u);
}

TEST(Cc, CanSendAsMuchAsTheWindowHolds)
{
    quic_cc cc;
    quic_cc_init(&cc, &quic_newreno_vtable, 1200, 0, true);
    EXPECT_EQ(quic_cc_available(&cc, 5000), 7000u);
    EXPECT_EQ(quic_cc_available(&cc, 50000), 0u);
    EXPECT_TRUE(quic_cc_can_send(&cc, 11999));
    EXPECT_FALSE(quic_cc_can_send(&cc, 12000));
    EXPECT_TRUE(quic_cc_is_limiting(&cc, 6000)); /* slow start */
    EXPECT_FALSE(quic_cc_is_limiting(&cc, 5999));
    cc.ssthresh_bytes = 12000;
    EXPECT_FALSE(quic_cc_is_limiting(&cc, 6000));
    EXPECT_TRUE(quic_cc_is_limiting(&cc, 9000));
}

TEST(Newreno, DoublesInSlowStart) /* RFC 9002 7.3.1 */
{
    quic_cc cc;
    quic_cc_init(&cc, &quic_newreno_vtable, 1200, 30000, true);
    quic_cc_sample s = Sample(12000, 1);
    quic_cc_on_acked(&cc, &s, 2);
    EXPECT_EQ(cc.cwnd_bytes, 24000u);
    s = Sample(12000, 1, true);
    quic_cc_on_acked(&cc, &s, 2); /* RFC 9002 7.8 */
    EXPECT_EQ(cc.cwnd_bytes, 24000u);
    s = Sample(12000, 1);
    quic_cc_on_acked(&cc, &s, 2);
    EXPECT_EQ(cc.cwnd_bytes, 30000u); /* the cap */
}

TEST(Newreno, HalvesOncePerRoundTrip) /* RFC 9002 7.3.2 */
{
    quic_cc cc;
    quic_cc_init(&cc, &quic_newreno_vtable, 1200, 0, true);
    quic_cc_on_congestion(&cc, 10, 100);
    EXPECT_EQ(cc.cwnd_bytes, 6000u);
    EXPECT_EQ(cc.ssthresh_bytes, 6000u);
    EXPECT_TRUE(cc.in_recovery);
    quic_cc_on_congestion(&cc, 100, 110);
    quic_cc_on_ce(&cc, 100, 120);
    EXPECT_EQ(cc.cwnd_bytes, 6000u);
    quic_cc_sample s = Sample(6000, 100);
    quic_cc_on_acked(&cc, &s, 130); /* sent before: no growth */
    EXPECT_EQ(cc.cwnd_bytes, 6000u);
    EXPECT_TRUE(cc.in_recovery);
    s = Sample(6000, 101);
    quic_cc_on_acked(&cc, &s, 140);
    EXPECT_FALSE(cc.in_recovery);
    EXPECT_EQ(cc.cwnd_bytes, 7200u); /* one datagram per window, 7.3.3 */
    quic_cc_on_ce(&cc, 141, 150);
    EXPECT_EQ(cc.cwnd_bytes, 3600u);
    EXPECT_EQ(cc.congestion_count, 2u);
}

TEST(Newreno, GrowsByOneDatagramPerWindow) /* RFC 9002 7.3.3 */
{
    quic_cc cc;
    quic_cc_init(&cc, &quic_newreno_vtable, 1200, 0, true);
    quic_cc_on_congestion(&cc, 10, 100); /* 6000 */
    for (int i = 0; i < 50; i++) {
        uint64_t before = cc.cwnd_bytes;
        for (uint64_t acked = 0; acked < before; acked += 1200) {
            quic_cc_sample s = Sample(1200, 200);
            quic_cc_on_acked(&cc, &s, 200);
        }
        EXPECT_GE(cc.cwnd_bytes, before + 1200);
        EXPECT_LE(cc.cwnd_bytes, before + 2400);
    }
    EXPECT_EQ(cc.cwnd_bytes, 6000u + 50 * 1200);
}

TEST(Newreno, NeverBelowTwoDatagrams) /* RFC 9002 7.2 */
{
    for (const quic_cc_vtable *vt : {&quic_newreno_vtable, &quic_cubic_vtable}) {
        quic_cc cc;
        quic_cc_init(&cc, vt, 1200, 0, true);
        for (quic_ns t = 1; t < 60; t++) {
            quic_cc_on_congestion(&cc, 10 * t, 10 * t + 1);
        }
        EXPECT_EQ(cc.cwnd_bytes, 2400u);
    }
}

TEST(Newreno, PersistentCongestionStartsOver) /* RFC 9002 7.6.2, B.8 */
{
    for (const quic_cc_vtable *vt : {&quic_newreno_vtable, &quic_cubic_vtable}) {
        quic_cc cc;
        quic_cc_init(&cc, vt, 1200, 0, true);
        quic_cc_on_congestion(&cc, 10, 100);
        uint64_t ssthresh = cc.ssthresh_bytes;
        quic_cc_on_persistent_congestion(&cc);
        EXPECT_EQ(cc.cwnd_bytes, 2400u);
        EXPECT_EQ(cc.ssthresh_bytes, ssthresh);
        EXPECT_TRUE(quic_cc_in_slow_start(&cc));
        quic_cc_sample s = Sample(2400, 50); /* recovery start is forgotten */
        quic_cc_on_acked(&cc, &s, 200);
        EXPECT_EQ(cc.cwnd_bytes, 4800u);
        quic_cc_on_spurious(&cc); /* takes nothing back: the silence was no mistake */
        EXPECT_EQ(cc.cwnd_bytes, 4800u);
    }
}

TEST(Newreno, TakesBackASpuriousReductionButNoCe)
{
    for (const quic_cc_vtable *vt : {&quic_newreno_vtable, &quic_cubic_vtable}) {
        quic_cc cc;
        quic_cc_init(&cc, vt, 1200, 0, true);
        quic_cc_on_congestion(&cc, 10, 100);
        quic_cc_on_spurious(&cc);
        EXPECT_EQ(cc.cwnd_bytes, 12000u);
        EXPECT_EQ(cc.ssthresh_bytes, QUIC_CC_SSTHRESH_NONE);
        quic_cc_on_spurious(&cc);
        quic_cc_on_ce(&cc, 200, 300);
        uint64_t cwnd = cc.cwnd_bytes;
        EXPECT_LT(cwnd, 12000u);
        quic_cc_on_spurious(&cc);
        EXPECT_EQ(cc.cwnd_bytes, cwnd);
    }
}

/* RFC 9002 7.1: nor one for losses in whose period marks came. */
TEST(Newreno, TakesBackNothingThatMarksSpeakFor)
{
    for (const quic_cc_vtable *vt : {&quic_newreno_vtable, &quic_cubic_vtable}) {
        quic_cc cc;
        quic_cc_init(&cc, vt, 1200, 0, true);
        quic_cc_on_congestion(&cc, 10, 100);
        const uint64_t cwnd = cc.cwnd_bytes;
        quic_cc_on_ce(&cc, 20, 110); /* of the same period: no second reduction */
        EXPECT_EQ(cc.cwnd_bytes, cwnd);
        quic_cc_on_spurious(&cc);
        EXPECT_EQ(cc.cwnd_bytes, cwnd);
        EXPECT_FALSE(quic_cc_in_slow_start(&cc));
    }
}

} // namespace

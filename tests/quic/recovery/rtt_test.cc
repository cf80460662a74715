#include <gtest/gtest.h>

#include "quic/recovery/rtt.h"

namespace
{

constexpr quic_ns kMs = QUIC_NS_PER_MS;

TEST(Rtt, StartsWithTheInitialRtt) /* RFC 9002 5.3, 6.2.2 */
{
    quic_rtt rtt;
    quic_rtt_init(&rtt, QUIC_INITIAL_RTT_NS);
    EXPECT_EQ(rtt.smoothed_ns, 333 * kMs);
    EXPECT_EQ(rtt.var_ns, 333 * kMs / 2);
    EXPECT_FALSE(quic_rtt_has_sample(&rtt));
    EXPECT_EQ(quic_rtt_pto_ns(&rtt), 999 * kMs); /* about a second */
}

TEST(Rtt, TakesTheFirstSampleWhole)
{
    quic_rtt rtt;
    quic_rtt_init(&rtt, QUIC_INITIAL_RTT_NS);
    quic_rtt_update(&rtt, 100 * kMs, 30 * kMs, 5);
    EXPECT_EQ(rtt.smoothed_ns, 100 * kMs);
    EXPECT_EQ(rtt.var_ns, 50 * kMs);
    EXPECT_EQ(rtt.min_ns, 100 * kMs);
    EXPECT_EQ(rtt.first_sample_ns, 5u);
}

struct Row {
    quic_ns sample_ms, delay_ms, smoothed_us, var_us, min_ms;
};

TEST(Rtt, FollowsRfc9002Section5)
{
    const Row rows[] = {
        {120, 0, 102500, 42500, 100},
        {120, 20, 102187, 32500, 100}, /* adjusted 100: |102.5 - 100| */
        {120, 21, 104414, 28828, 100}, /* would fall below min_rtt: not subtracted */
        {80, 50, 101362, 27724, 80},
        {300, 25, 123067, 64202, 80},
    };
    quic_rtt rtt;
    quic_rtt_init(&rtt, QUIC_INITIAL_RTT_NS);
    quic_rtt_update(&rtt, 100 * kMs, 0, 1);
    for (const Row &r : rows) {
        quic_rtt_update(&rtt, r.sample_ms * kMs, r.delay_ms * kMs, 2);
        EXPECT_NEAR((double)rtt.smoothed_ns / 1000, (double)r.smoothed_us, 2.0);
        EXPECT_NEAR((double)rtt.var_ns / 1000, (double)r.var_us, 2.0);
        EXPECT_EQ(rtt.min_ns, r.min_ms * kMs);
    }
}

TEST(Rtt, SurvivesAbsurdInput)
{
    quic_rtt rtt;
    quic_rtt_init(&rtt, QUIC_INITIAL_RTT_NS);
    quic_rtt_update(&rtt, 0, UINT64_MAX, 1);
    EXPECT_EQ(rtt.latest_ns, 1u);
    quic_rtt_update(&rtt, UINT64_MAX, UINT64_MAX, 2);
    EXPECT_EQ(rtt.latest_ns, QUIC_RTT_MAX_NS);
    EXPECT_LE(rtt.smoothed_ns, QUIC_RTT_MAX_NS);
    quic_rtt_forget_min(&rtt);
    EXPECT_EQ(rtt.min_ns, QUIC_RTT_MAX_NS);
}

TEST(Rtt, LossDelayIsNineEighthsAndAtLeastTheGranularity) /* RFC 9002 6.1.2 */
{
    quic_rtt rtt;
    quic_rtt_init(&rtt, QUIC_INITIAL_RTT_NS);
    quic_rtt_update(&rtt, 80 * kMs, 0, 1);
    EXPECT_EQ(quic_rtt_loss_delay_ns(&rtt), 90 * kMs);
    quic_rtt_update(&rtt, 160 * kMs, 0, 1);
    EXPECT_EQ(quic_rtt_loss_delay_ns(&rtt), 180 * kMs); /* the latest is larger */
    quic_rtt_init(&rtt, 1000);
    EXPECT_EQ(quic_rtt_loss_delay_ns(&rtt), QUIC_GRANULARITY_NS);
    EXPECT_EQ(quic_rtt_pto_ns(&rtt), QUIC_GRANULARITY_NS + 1000);
}

} // namespace

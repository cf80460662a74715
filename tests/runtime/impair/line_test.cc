#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/impair/line.h"

namespace
{

constexpr uint32_t kHeader = 28;

class LineTest : public testing::Test
{
  protected:
    void make(uint64_t seed = 7)
    {
        leaves_.assign(rt_line_queue_len(&spec_), 0);
        rt_line_init(&line_, &spec_, leaves_.empty() ? nullptr : leaves_.data(), seed);
        rt_line_begin(&line_, 0);
    }
    rt_line_verdict judge(quic_ns now, size_t len = 1200, uint8_t ecn = 0)
    {
        rt_line_verdict v;
        data_.resize(len, 0x40);
        rt_line_judge(&line_, &v, data_.data(), len, kHeader, ecn, now);
        return v;
    }
    /* How many of `n` have that fate. */
    int fates(int n, quring_impair_fate fate)
    {
        int hits = 0;
        for (int i = 0; i < n; i++) {
            hits += judge(static_cast<quic_ns>(i) * QUIC_NS_PER_MS).fate == fate ? 1 : 0;
        }
        return hits;
    }

    quring_impair_link spec_{};
    rt_line line_{};
    std::vector<quic_ns> leaves_;
    std::vector<uint8_t> data_;
};

TEST_F(LineTest, DoesNothingUnasked)
{
    make();
    for (quic_ns t = 0; t < 1000; t++) {
        rt_line_verdict v = judge(t);
        EXPECT_EQ(v.fate, QURING_IMPAIR_PASSED);
        EXPECT_EQ(v.at_ns, t);
        EXPECT_FALSE(v.twice || v.late || v.mark_ce);
        EXPECT_EQ(v.flip, 0);
    }
}

TEST_F(LineTest, LosesTheShareAskedFor)
{
    spec_.loss_ppm = 20000;
    make();
    int lost = fates(100000, QURING_IMPAIR_LOST);
    EXPECT_NEAR(lost, 2000, 5 * std::sqrt(2000.0));
}

TEST_F(LineTest, SameSeedDecidesAlikeOtherSeedDoesNot)
{
    spec_.loss_ppm = 300000;
    std::vector<bool> runs[3];
    for (int r = 0; r < 3; r++) {
        make(r < 2 ? 5 : 6);
        for (quic_ns t = 0; t < 500; t++) {
            runs[r].push_back(judge(t).fate == QURING_IMPAIR_LOST);
        }
    }
    EXPECT_EQ(runs[0], runs[1]);
    EXPECT_NE(runs[0], runs[2]);
}

TEST_F(LineTest, ARunOfLossesEndsAtItsBound)
{
    spec_.loss_ppm = QURING_IMPAIR_PPM;
    spec_.loss_run_max = 3;
    make();
    for (quic_ns t = 0; t < 40; t++) {
        EXPECT_EQ(judge(t).fate, t % 4 == 3 ? QURING_IMPAIR_PASSED : QURING_IMPAIR_LOST) << t;
    }
}

TEST_F(LineTest, BurstsHaveTheLengthAndShareOfTheChain)
{
    spec_.burst_begin_ppm = 10000; /* bad for 1 / 0.25 = 4 datagrams, 0.01 / 0.26 of the time */
    spec_.burst_end_ppm = 250000;
    make();
    int lost = 0;
    int bursts = 0;
    bool before = false;
    const int n = 200000;
    for (int i = 0; i < n; i++) {
        bool now = judge(static_cast<quic_ns>(i)).fate == QURING_IMPAIR_LOST_BURST;
        lost += now ? 1 : 0;
        bursts += now && !before ? 1 : 0;
        before = now;
    }
    EXPECT_NEAR(static_cast<double>(lost) / n, 0.01 / 0.26, 0.004);
    EXPECT_NEAR(static_cast<double>(lost) / bursts, 4.0, 0.3);
}

TEST_F(LineTest, ABadLineMayLoseOnlySome)
{
    spec_.burst_begin_ppm = QURING_IMPAIR_PPM; /* bad from the first one on, for ever */
    spec_.burst_loss_ppm = 500000;
    make();
    EXPECT_NEAR(fates(20000, QURING_IMPAIR_LOST_BURST), 10000, 500);
}

TEST_F(LineTest, TheLineTakesItsTimeAndTheQueueItsPackets)
{
    spec_.rate_bits_per_s = 8 * (1200 + kHeader) * 1000; /* one in a millisecond */
    spec_.queue_packets = 2;
    spec_.delay_ns = 5 * QUIC_NS_PER_MS;
    make();
    for (uint64_t i = 0; i < 3; i++) { /* one on the line, two wait */
        rt_line_verdict v = judge(0);
        EXPECT_EQ(v.fate, QURING_IMPAIR_PASSED);
        EXPECT_EQ(v.at_ns, (i + 1 + 5) * QUIC_NS_PER_MS);
    }
    EXPECT_EQ(judge(QUIC_NS_PER_MS - 1).fate, QURING_IMPAIR_LOST_QUEUE);
    EXPECT_EQ(judge(QUIC_NS_PER_MS).at_ns, 9 * QUIC_NS_PER_MS); /* the first one is out */
    EXPECT_EQ(judge(QUIC_NS_PER_MS).fate, QURING_IMPAIR_LOST_QUEUE);
    EXPECT_EQ(judge(100 * QUIC_NS_PER_MS).at_ns, 106 * QUIC_NS_PER_MS);
}

TEST_F(LineTest, ALostDatagramHasUsedTheLine)
{
    spec_.rate_bits_per_s = 8 * (1200 + kHeader) * 1000;
    spec_.drops[0] = 1;
    spec_.drop_count = 1;
    make();
    EXPECT_EQ(judge(0).fate, QURING_IMPAIR_LOST_LIST);
    EXPECT_EQ(judge(0).at_ns, 2 * QUIC_NS_PER_MS);
}

TEST_F(LineTest, TheDefaultQueueHolds50MsAndAtLeast25)
{
    spec_.rate_bits_per_s = 1000000;
    EXPECT_EQ(rt_line_queue_len(&spec_), 26u);
    spec_.rate_bits_per_s = 120000000; /* 10000 packets of 1500 bytes a second */
    EXPECT_EQ(rt_line_queue_len(&spec_), 501u);
    spec_.rate_bits_per_s = 1000000000000;
    EXPECT_EQ(rt_line_queue_len(&spec_), QURING_IMPAIR_QUEUE_MAX + 1);
    spec_.rate_bits_per_s = 0;
    EXPECT_EQ(rt_line_queue_len(&spec_), 0u);
}

TEST_F(LineTest, LargerThanTheMtuIsDropped)
{
    spec_.mtu_bytes = 1280;
    make();
    EXPECT_EQ(judge(0, 1280 - kHeader).fate, QURING_IMPAIR_PASSED);
    EXPECT_EQ(judge(0, 1281 - kHeader).fate, QURING_IMPAIR_LOST_MTU);
}

TEST_F(LineTest, JitterKeepsTheOrderAndItsBounds)
{
    spec_.delay_ns = 10 * QUIC_NS_PER_MS;
    spec_.jitter_ns = 5 * QUIC_NS_PER_MS;
    make();
    quic_ns last = 0;
    quic_ns least = QUIC_NS_NEVER;
    quic_ns most = 0;
    for (quic_ns t = 0; t < QUIC_NS_PER_S; t += QUIC_NS_PER_MS) {
        quic_ns at = judge(t).at_ns;
        EXPECT_GE(at, last);
        last = at;
        least = at - t < least ? at - t : least;
        most = at - t > most ? at - t : most;
    }
    EXPECT_GE(least, 10 * QUIC_NS_PER_MS);
    EXPECT_LE(most, 15 * QUIC_NS_PER_MS);
    EXPECT_GT(most, least + 2 * QUIC_NS_PER_MS);
}

TEST_F(LineTest, ReorderedOnesAreOvertaken)
{
    spec_.delay_ns = 10 * QUIC_NS_PER_MS;
    spec_.reorder_ppm = 100000;
    make();
    int late = 0;
    for (quic_ns i = 0; i < 10000; i++) {
        rt_line_verdict v = judge(i * QUIC_NS_PER_MS);
        late += v.late ? 1 : 0;
        EXPECT_EQ(v.at_ns, (i + (v.late ? 15 : 10)) * QUIC_NS_PER_MS);
    }
    EXPECT_NEAR(late, 1000, 150);
}

TEST_F(LineTest, DuplicatesAndMarksAsOftenAsAsked)
{
    spec_.duplicate_ppm = 50000;
    spec_.ce_ppm = 100000;
    make();
    int twice = 0;
    int marked = 0;
    for (quic_ns t = 0; t < 20000; t++) {
        rt_line_verdict v = judge(t, 1200, t % 2 == 0 ? 2 : 0);
        twice += v.twice ? 1 : 0;
        marked += v.mark_ce ? 1 : 0;
        EXPECT_FALSE(v.mark_ce && t % 2 == 1); /* Not-ECT is never marked (RFC 3168 5) */
    }
    EXPECT_NEAR(twice, 1000, 150);
    EXPECT_NEAR(marked, 1000, 150);
}

TEST_F(LineTest, DamagesOneOfTheFirstBytes)
{
    spec_.corrupt_ppm = QURING_IMPAIR_PPM;
    spec_.corrupt_run_max = 3;
    make();
    std::vector<int> places(RT_LINE_CORRUPT_BYTES, 0);
    for (quic_ns t = 0; t < 20000; t++) {
        rt_line_verdict v = judge(t);
        EXPECT_EQ(v.fate, QURING_IMPAIR_PASSED);
        EXPECT_EQ(v.flip != 0, t % 4 != 3);
        ASSERT_LT(v.flip_at, RT_LINE_CORRUPT_BYTES);
        places[v.flip_at]++;
    }
    for (int n : places) {
        EXPECT_GT(n, 100); /* every place has its turn */
    }
    EXPECT_LT(judge(0, 3).flip_at, 3u);
    EXPECT_EQ(judge(0, 0).flip, 0);
}

TEST_F(LineTest, VersionNegotiationIsSpared)
{
    spec_.corrupt_ppm = QURING_IMPAIR_PPM;
    make();
    data_ = {0x80, 0, 0, 0, 0, 0, 0};
    EXPECT_EQ(judge(0, 7).flip, 0);
    data_[4] = 1;
    EXPECT_NE(judge(0, 7).flip, 0);
}

TEST_F(LineTest, HolesComeAndGoByTheTimeOfArrival)
{
    spec_.delay_ns = QUIC_NS_PER_MS;
    spec_.pass_ns = 5 * QUIC_NS_PER_S;
    spec_.hole_ns = 2 * QUIC_NS_PER_S;
    spec_.holes_max = 2;
    make();
    rt_line_begin(&line_, 100 * QUIC_NS_PER_S);
    auto lost = [&](double s) {
        quic_ns at = 100 * QUIC_NS_PER_S + static_cast<quic_ns>(s * 1e9);
        return judge(at).fate == QURING_IMPAIR_LOST_HOLE;
    };
    EXPECT_FALSE(lost(0));
    EXPECT_FALSE(lost(4.998));
    EXPECT_TRUE(lost(4.9995)); /* on its way when the hole opens */
    EXPECT_TRUE(lost(6.9));
    EXPECT_FALSE(lost(7.1));
    EXPECT_TRUE(lost(12.5));
    EXPECT_FALSE(lost(19.5)); /* there were two */
}

TEST_F(LineTest, DropsWhatIsListedAsItLeavesTheLine)
{
    spec_.mtu_bytes = 1300;
    spec_.drop_count = 2;
    spec_.drops[0] = 2;
    spec_.drops[1] = 5;
    make();
    (void)judge(0, 1400); /* never entered the line, does not count */
    for (int i = 1; i <= 6; i++) {
        EXPECT_EQ(judge(0).fate == QURING_IMPAIR_LOST_LIST, i == 2 || i == 5) << i;
    }
}

} // namespace

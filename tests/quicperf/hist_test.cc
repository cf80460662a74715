#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tools/quicperf/hist.h"
#include "tools/quicperf/hist_text.h"

namespace
{

struct Model {
    std::unique_ptr<qp_hist> hist = std::make_unique<qp_hist>();
    std::vector<uint64_t> values;

    Model()
    {
        qp_hist_init(hist.get());
    }
    void Record(uint64_t value)
    {
        qp_hist_record(hist.get(), value);
        values.push_back(value);
    }
    uint64_t Exact(double percent)
    {
        std::sort(values.begin(), values.end());
        const auto thousandths = static_cast<uint64_t>(std::llround(percent * 1000));
        size_t rank = (thousandths * values.size() + 99999) / 100000;
        return values[rank == 0 ? 0 : rank - 1];
    }
    void ExpectClose()
    {
        for (double percent : {0.0, 1.0, 25.0, 50.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
            uint64_t exact = Exact(percent);
            uint64_t got = qp_hist_percentile(hist.get(), percent);
            EXPECT_GE(got, exact) << percent;
            EXPECT_LE(got - exact, exact / 128) << percent; /* a sum could overflow */
        }
    }
};

TEST(Hist, IsExactForSmallValues)
{
    Model m;
    for (uint64_t v = 0; v < 128; v++) {
        m.Record(v);
    }
    for (uint64_t v = 1; v <= 128; v++) {
        EXPECT_EQ(qp_hist_percentile(m.hist.get(), 100.0 * v / 128), v - 1);
    }
}

/* 99.9 as a double is a little more than that. */
TEST(Hist, APercentileIsNoRankTooHigh)
{
    for (uint64_t thousands = 1; thousands <= 20; thousands++) {
        Model m;
        for (uint64_t i = 0; i < thousands; i++) {
            m.Record(100);
        }
        for (uint64_t i = 0; i < thousands * 999; i++) {
            m.Record(10);
        }
        EXPECT_EQ(qp_hist_percentile(m.hist.get(), 99.9), 10u) << thousands;
        m.Record(100);
        EXPECT_EQ(qp_hist_percentile(m.hist.get(), 99.9), 100u) << thousands;
    }
}

TEST(Hist, AgreesWithASortedList)
{
    std::mt19937_64 random(7);
    for (int bits = 4; bits <= 64; bits += 6) {
        Model m;
        for (int i = 0; i < 4000; i++) {
            m.Record(random() >> (64 - bits));
        }
        m.ExpectClose();
    }
}

TEST(Hist, AgreesOnALatencyLikeDistribution)
{
    std::mt19937_64 random(11);
    std::lognormal_distribution<double> latency(11.5, 1.2);
    Model m;
    for (int i = 0; i < 50000; i++) {
        m.Record(static_cast<uint64_t>(latency(random)));
    }
    m.ExpectClose();
    double sum = 0;
    for (uint64_t v : m.values) {
        sum += static_cast<double>(v);
    }
    EXPECT_NEAR(qp_hist_mean(m.hist.get()), sum / m.values.size(), 1e-3);
}

TEST(Hist, CoversAllOfUint64)
{
    Model m;
    for (int bit = 0; bit < 64; bit++) {
        for (int64_t delta = -1; delta <= 1; delta++) {
            m.Record((1ull << bit) + static_cast<uint64_t>(delta));
        }
    }
    m.Record(UINT64_MAX);
    m.ExpectClose();
    EXPECT_EQ(m.hist->max, UINT64_MAX);
}

TEST(Hist, MergesLikeOneList)
{
    std::mt19937_64 random(13);
    Model a;
    Model b;
    Model all;
    for (int i = 0; i < 5000; i++) {
        uint64_t v = random() >> 40;
        (i % 3 == 0 ? a : b).Record(v);
        all.Record(v);
    }
    qp_hist_merge(a.hist.get(), b.hist.get());
    for (double percent : {0.0, 50.0, 99.0, 100.0}) {
        EXPECT_EQ(qp_hist_percentile(a.hist.get(), percent),
                  qp_hist_percentile(all.hist.get(), percent));
    }
    EXPECT_EQ(a.hist->count, all.hist->count);
    EXPECT_EQ(a.hist->min, all.hist->min);
    EXPECT_EQ(a.hist->max, all.hist->max);
}

TEST(Hist, IsZeroWhenEmpty)
{
    Model m;
    EXPECT_EQ(qp_hist_percentile(m.hist.get(), 50), 0u);
    EXPECT_EQ(qp_hist_mean(m.hist.get()), 0.0);
}

TEST(Hist, CountsAndDeviation)
{
    auto h = std::make_unique<qp_hist>();
    qp_hist_init(h.get());
    EXPECT_EQ(qp_hist_count_to(h.get(), 1000), 0u);
    EXPECT_EQ(qp_hist_deviation(h.get()), 0.0);
    for (uint64_t value : {10u, 20u, 30u, 100000u}) {
        qp_hist_record(h.get(), value);
    }
    EXPECT_EQ(qp_hist_count_to(h.get(), 9), 0u);
    EXPECT_EQ(qp_hist_count_to(h.get(), 20), 2u);
    EXPECT_EQ(qp_hist_count_to(h.get(), 99), 3u);
    EXPECT_EQ(qp_hist_count_to(h.get(), UINT64_MAX), 4u);
    EXPECT_NEAR(qp_hist_deviation(h.get()), 43292.6, 43292.6 / 100);
}

/* Percentiles get denser towards the end, and the last line is the largest value. */
TEST(Hist, AsText)
{
    auto h = std::make_unique<qp_hist>();
    char *text = nullptr;
    size_t len = 0;
    qp_hist_init(h.get());
    ASSERT_TRUE(qp_hist_text(&text, &len, h.get()));
    EXPECT_NE(std::string(text).find("Total count    =            0]"), std::string::npos) << text;
    free(text);
    for (uint64_t i = 1; i <= 1000; i++) {
        qp_hist_record(h.get(), i * 1000000);
    }
    ASSERT_TRUE(qp_hist_text(&text, &len, h.get()));
    std::string lines(text, len);
    free(text);
    EXPECT_EQ(lines.find("       Value     Percentile TotalCount 1/(1-Percentile)\n\n"), 0u);
    EXPECT_NE(lines.find(" 0.500000000000 "), std::string::npos);
    EXPECT_NE(lines.find("    1000.000 1.000000000000       1000\n#["), std::string::npos) << lines;
    EXPECT_NE(lines.find("#[Max     =     1000.000, Total count    =         1000]"),
              std::string::npos);
}

} // namespace

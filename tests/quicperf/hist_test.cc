#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "tools/quicperf/hist.h"

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
        size_t rank = static_cast<size_t>(std::ceil(percent / 100.0 * values.size()));
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

TEST(Hist, AgreesWithASortedList)
{
    std::mt19937_64 random(7);
    for (int bits = 4; bits <= 64; bits += 6) {
        Model m;
        for (int i = 0; i < 20000; i++) {
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

} // namespace

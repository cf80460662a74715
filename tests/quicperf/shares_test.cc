#include <gtest/gtest.h>

#include "tools/quicperf/shares.h"

namespace
{

TEST(Shares, EqualOnesAreFair)
{
    qp_shares shares = {};
    EXPECT_EQ(qp_shares_jain(&shares), 0);
    for (int i = 0; i < 4; i++) {
        qp_shares_add(&shares, 1000);
    }
    EXPECT_DOUBLE_EQ(qp_shares_jain(&shares), 1);
    EXPECT_EQ(shares.min, 1000u);
    EXPECT_EQ(shares.max, 1000u);
}

TEST(Shares, OneThatTakesAllIsTheWorst)
{
    qp_shares shares = {};
    for (int i = 0; i < 4; i++) {
        qp_shares_add(&shares, i == 2 ? 5000 : 0);
    }
    EXPECT_DOUBLE_EQ(qp_shares_jain(&shares), 0.25);
    EXPECT_EQ(shares.min, 0u);
    EXPECT_EQ(shares.max, 5000u);
}

TEST(Shares, NothingMovedIsNoFairness)
{
    qp_shares shares = {};
    qp_shares_add(&shares, 0);
    EXPECT_EQ(qp_shares_jain(&shares), 0);
}

TEST(Shares, MergedAreAsAddedTogether)
{
    qp_shares one = {};
    qp_shares other = {};
    qp_shares both = {};
    const qp_shares none = {};
    qp_shares_add(&one, 30);
    qp_shares_add(&other, 10);
    qp_shares_add(&other, 20);
    for (uint64_t bytes : {30, 10, 20}) {
        qp_shares_add(&both, bytes);
    }
    qp_shares_merge(&one, &other);
    qp_shares_merge(&one, &none);
    EXPECT_EQ(one.count, 3u);
    EXPECT_EQ(one.min, 10u);
    EXPECT_EQ(one.max, 30u);
    EXPECT_DOUBLE_EQ(qp_shares_jain(&one), qp_shares_jain(&both));
    EXPECT_DOUBLE_EQ(qp_shares_jain(&one), 3600.0 / (3 * 1400));
}

} // namespace

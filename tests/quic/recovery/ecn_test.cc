#include <gtest/gtest.h>

#include "quic/recovery/ecn.h"

namespace
{

quic_ecn Fresh(int sent)
{
    quic_ecn ecn;
    quic_ecn_init(&ecn, true);
    for (int i = 0; i < sent; i++) {
        quic_ecn_on_sent(&ecn, QUIC_SPACE_APP);
    }
    return ecn;
}

struct Row {
    const char *name;
    bool has_counts;
    quic_ecn_counts counts;
    uint32_t acked;
    bool increased;
    quic_ecn_state state;
    uint64_t ce;
};

TEST(Ecn, ValidatesCounts) /* RFC 9000 13.4.2.1, 5 packets sent with ECT(0) */
{
    const Row rows[] = {
        {"all counted", true, {5, 0, 0}, 5, true, QUIC_ECN_STATE_CAPABLE, 0},
        {"CE counts too", true, {3, 0, 2}, 5, true, QUIC_ECN_STATE_CAPABLE, 2},
        {"more than newly acked", true, {5, 0, 0}, 2, true, QUIC_ECN_STATE_CAPABLE, 0},
        {"none acked yet", true, {0, 0, 0}, 0, true, QUIC_ECN_STATE_TESTING, 0},
        {"no counts", false, {}, 1, true, QUIC_ECN_STATE_FAILED, 0},
        {"no counts, unmarked packets", false, {}, 0, true, QUIC_ECN_STATE_TESTING, 0},
        {"too few", true, {3, 0, 1}, 5, true, QUIC_ECN_STATE_FAILED, 0},
        {"more than sent", true, {6, 0, 0}, 5, true, QUIC_ECN_STATE_FAILED, 0},
        {"remarked to ECT(1)", true, {4, 1, 0}, 4, true, QUIC_ECN_STATE_FAILED, 0},
        {"reordered frame is not judged", true, {1, 0, 0}, 5, false, QUIC_ECN_STATE_TESTING, 0},
    };
    for (const Row &r : rows) {
        quic_ecn ecn = Fresh(5);
        uint64_t ce = quic_ecn_on_acked(&ecn, QUIC_SPACE_APP, r.has_counts ? &r.counts : nullptr,
                                        r.acked, r.acked, r.increased);
        EXPECT_EQ(ecn.state, r.state) << r.name;
        EXPECT_EQ(ce, r.ce) << r.name;
    }
}

TEST(Ecn, FailsWhenCountsGoBack)
{
    quic_ecn ecn = Fresh(5);
    quic_ecn_counts counts = {3, 0, 1};
    EXPECT_EQ(quic_ecn_on_acked(&ecn, QUIC_SPACE_APP, &counts, 4, 4, true), 1u);
    EXPECT_EQ(quic_ecn_on_acked(&ecn, QUIC_SPACE_APP, &counts, 0, 0, true), 0u);
    counts.ce = 0;
    EXPECT_EQ(quic_ecn_on_acked(&ecn, QUIC_SPACE_APP, &counts, 0, 0, true), 0u);
    EXPECT_EQ(ecn.state, QUIC_ECN_STATE_FAILED);
    EXPECT_EQ(quic_ecn_mark(&ecn), QUIC_ECN_NOT_ECT);
}

TEST(Ecn, MarksTenPacketsThenWaits) /* RFC 9000 13.4.2 */
{
    quic_ecn ecn = Fresh(9);
    EXPECT_EQ(quic_ecn_mark(&ecn), QUIC_ECN_ECT0);
    quic_ecn_on_sent(&ecn, QUIC_SPACE_APP);
    EXPECT_EQ(quic_ecn_mark(&ecn), QUIC_ECN_NOT_ECT);
    quic_ecn_counts counts = {10, 0, 0};
    quic_ecn_on_acked(&ecn, QUIC_SPACE_APP, &counts, 10, 10, true);
    EXPECT_EQ(quic_ecn_mark(&ecn), QUIC_ECN_ECT0);
    quic_ecn_restart(&ecn);
    EXPECT_EQ(ecn.state, QUIC_ECN_STATE_TESTING);
}

TEST(Ecn, FailsWhenAllMarkedPacketsAreLost)
{
    quic_ecn ecn = Fresh(10);
    quic_ecn_on_lost(&ecn, 9);
    EXPECT_EQ(ecn.state, QUIC_ECN_STATE_UNKNOWN);
    quic_ecn_on_lost(&ecn, 1);
    EXPECT_EQ(ecn.state, QUIC_ECN_STATE_FAILED);
}

TEST(Ecn, NeverMarksWhenOff)
{
    quic_ecn ecn;
    quic_ecn_init(&ecn, false);
    EXPECT_EQ(quic_ecn_mark(&ecn), QUIC_ECN_NOT_ECT);
    quic_ecn_restart(&ecn);
    EXPECT_EQ(ecn.state, QUIC_ECN_STATE_OFF);
}

/* RFC 9000 13.4.2: each path is validated by what was sent on it. */
TEST(Ecn, PacketsOfAnotherPathDoNotProveThisOne)
{
    quic_ecn ecn = Fresh(5);
    quic_ecn_restart(&ecn);
    quic_ecn_counts counts = {5, 0, 0};
    quic_ecn_on_acked(&ecn, QUIC_SPACE_APP, &counts, 5, 0, true);
    EXPECT_EQ(ecn.state, QUIC_ECN_STATE_TESTING);
    counts.ect0 = 4; /* what it says of them must be right all the same */
    quic_ecn_on_acked(&ecn, QUIC_SPACE_APP, &counts, 0, 0, true);
    EXPECT_EQ(ecn.state, QUIC_ECN_STATE_FAILED);
}

} // namespace

#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "quic/recovery/ack_tracker.h"
#include "tests/quic/base/test_mem.h"

namespace
{

constexpr quic_ns kMs = QUIC_NS_PER_MS;
constexpr quic_ns kDelay = 25 * kMs;

class AckTracker : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        test_mem_init(&tm);
        quic_ack_tracker_init(&t, &tm.mem, 16, kDelay);
    }
    void TearDown() override
    {
        quic_ack_tracker_deinit(&t);
        EXPECT_EQ(tm.mem.used_bytes, 0u);
    }
    void Recv(uint64_t pn, bool eliciting = true, uint8_t ecn = 0, quic_ns at = 100 * kMs)
    {
        EXPECT_FALSE(quic_ack_tracker_is_duplicate(&t, pn));
        EXPECT_EQ(quic_ack_tracker_on_packet(&t, pn, eliciting, ecn, at), QUIC_OK);
        EXPECT_TRUE(quic_ack_tracker_is_duplicate(&t, pn));
    }
    test_mem tm;
    quic_ack_tracker t;
    const quic_ns now = 100 * kMs;
};

TEST_F(AckTracker, DelaysTheFirstAndAnswersTheSecond) /* RFC 9000 13.2.2 */
{
    Recv(0);
    EXPECT_FALSE(quic_ack_tracker_due(&t, now));
    EXPECT_TRUE(quic_ack_tracker_pending(&t));
    EXPECT_EQ(quic_ack_tracker_deadline(&t), now + kDelay);
    Recv(1);
    EXPECT_TRUE(quic_ack_tracker_due(&t, now));
    EXPECT_EQ(quic_ack_tracker_on_ack_sent(&t), 1u);
    EXPECT_FALSE(quic_ack_tracker_pending(&t));
    EXPECT_EQ(quic_ack_tracker_deadline(&t), QUIC_NS_NEVER);
}

TEST_F(AckTracker, DeadlineCountsFromTheFirstUnacknowledged) /* RFC 9000 13.2.1 */
{
    t.threshold = 10;
    Recv(0, true, 0, now);
    Recv(1, true, 0, now + 5 * kMs);
    EXPECT_EQ(quic_ack_tracker_deadline(&t), now + kDelay);
    EXPECT_EQ(quic_ack_tracker_delay_ns(&t, now + 8 * kMs), 3 * kMs);
}

TEST_F(AckTracker, AnswersReorderingGapAndCeAtOnce) /* RFC 9000 13.2.1 */
{
    struct Row {
        const char *name;
        uint64_t pn;
        uint8_t ecn;
        bool due;
    };
    const Row rows[] = {
        {"in order", 6, 0, false}, {"gap", 7, 0, true},     {"late", 4, 0, true},
        {"CE", 6, 3, true},        {"ECT(0)", 6, 2, false},
    };
    for (const Row &r : rows) {
        TearDown();
        SetUp();
        Recv(3, true);
        Recv(5, true);
        quic_ack_tracker_on_ack_sent(&t);
        Recv(r.pn, true, r.ecn);
        EXPECT_EQ(quic_ack_tracker_due(&t, now), r.due) << r.name;
    }
}

TEST_F(AckTracker, CountsEachMark) /* RFC 9000 13.4.1 */
{
    const uint8_t marks[] = {0, 1, 2, 2, 3, 3, 3};
    for (uint64_t pn = 0; pn < 7; pn++) {
        Recv(pn, true, marks[pn]);
    }
    EXPECT_EQ(t.ect1_count, 1u);
    EXPECT_EQ(t.ect0_count, 2u);
    EXPECT_EQ(t.ce_count, 3u);
}

TEST_F(AckTracker, OldGapDoesNotMakeEveryPacketUrgent)
{
    Recv(0);
    Recv(2);
    quic_ack_tracker_on_ack_sent(&t);
    Recv(3);
    EXPECT_FALSE(quic_ack_tracker_due(&t, now));
}

/* Acknowledgment Frequency 6: more than `threshold - 1` packets, or the delay. */
TEST_F(AckTracker, FollowsAFrequency)
{
    quic_ack_tracker_set_frequency(&t, 5, 7 * kMs, 1);
    for (uint64_t pn = 0; pn < 4; pn++) {
        Recv(pn);
        EXPECT_FALSE(quic_ack_tracker_due(&t, now));
        EXPECT_EQ(quic_ack_tracker_deadline(&t), now + 7 * kMs);
    }
    Recv(4);
    EXPECT_TRUE(quic_ack_tracker_due(&t, now));
    (void)quic_ack_tracker_on_ack_sent(&t);
    quic_ack_tracker_set_frequency(&t, 1, 7 * kMs, 1);
    Recv(5);
    EXPECT_TRUE(quic_ack_tracker_due(&t, now));
}

/* Acknowledgment Frequency 6.2.1: its two tables, and others. ACKs come of reordering only. */
TEST_F(AckTracker, WaitsForTheReorderingAskedFor)
{
    struct Step {
        uint64_t pn;
        bool due;
    };
    const struct {
        uint64_t threshold;
        std::vector<Step> steps;
    } cases[] = {
        {3,
         {{0, false},
          {1, false},
          {3, false},
          {4, false},
          {5, true},
          {8, false},
          {9, true},
          {10, true}}},
        {5,
         {{0, false},
          {1, false},
          {3, false},
          {5, false},
          {6, false},
          {7, true},
          {8, false},
          {9, true}}},
        /* late ones that the peer has given up */
        {3, {{0, false}, {2, false}, {4, true}, {1, true}, {3, false}, {5, false}}},
        {0, {{0, false}, {9, false}, {3, false}, {20, false}, {4, false}}},
        {1, {{0, false}, {2, true}, {3, false}, {1, true}}},
        {1000, {{0, false}, {2, false}, {900, false}, {1001, true}}},
    };
    for (const auto &c : cases) {
        quic_ack_tracker_deinit(&t);
        quic_ack_tracker_init(&t, &tm.mem, 16, kDelay);
        quic_ack_tracker_set_frequency(&t, 1000, kDelay, c.threshold);
        for (const Step &s : c.steps) {
            Recv(s.pn);
            EXPECT_EQ(quic_ack_tracker_due(&t, now), s.due) << c.threshold << ": " << s.pn;
            if (s.due) {
                (void)quic_ack_tracker_on_ack_sent(&t);
            }
        }
    }
}

/* Acknowledgment Frequency 6.3 */
TEST_F(AckTracker, OnlyTheFirstOfMarkedPacketsIsUrgentWithFewAcks)
{
    quic_ack_tracker_set_frequency(&t, 10, kDelay, 1);
    const struct {
        uint8_t ecn;
        bool due;
    } steps[] = {{2, false}, {3, true}, {3, false}, {3, false}, {2, false}, {3, true}, {0, false}};
    uint64_t pn = 0;
    for (const auto &s : steps) {
        Recv(pn++, true, s.ecn);
        EXPECT_EQ(quic_ack_tracker_due(&t, now), s.due) << pn;
        if (s.due) {
            (void)quic_ack_tracker_on_ack_sent(&t);
        }
    }
    EXPECT_EQ(t.ce_count, 4u);
}

TEST_F(AckTracker, NeverAnswersPacketsThatDoNotAsk) /* RFC 9000 13.2.1 */
{
    Recv(0, false);
    Recv(5, false);
    Recv(2, false, 3);
    EXPECT_FALSE(quic_ack_tracker_pending(&t));
    EXPECT_EQ(quic_ack_tracker_deadline(&t), QUIC_NS_NEVER);
    EXPECT_EQ(t.ce_count, 1u);
    EXPECT_FALSE(quic_ack_tracker_pending(&t));
    quic_ack_tracker_force(&t, now);
    EXPECT_TRUE(quic_ack_tracker_due(&t, now));
    EXPECT_TRUE(quic_ack_tracker_pending(&t));
}

TEST_F(AckTracker, AnswersHandshakePacketsAtOnce)
{
    t.max_ack_delay_ns = 0;
    Recv(0);
    EXPECT_TRUE(quic_ack_tracker_due(&t, now));
}

TEST_F(AckTracker, ForgetsWhatThePeerKnows) /* RFC 9000 13.2.4 */
{
    for (uint64_t pn = 0; pn < 20; pn += 2) {
        Recv(pn);
    }
    EXPECT_EQ(t.ranges.count, 10u);
    EXPECT_EQ(quic_ack_tracker_on_ack_sent(&t), 18u);
    Recv(9); /* came after the ACK: still to be named */
    quic_ack_tracker_on_ack_acked(&t, 18);
    EXPECT_TRUE(quic_range_set_contains(&t.ranges, 9));
    EXPECT_TRUE(quic_ack_tracker_is_duplicate(&t, 7));
    EXPECT_FALSE(quic_ack_tracker_is_duplicate(&t, 11));
    EXPECT_EQ(quic_ack_tracker_on_ack_sent(&t), 18u);
    quic_ack_tracker_on_ack_acked(&t, 18);
    EXPECT_EQ(t.ranges.count, 1u);
    EXPECT_EQ(quic_range_set_min(&t.ranges), 18u); /* the largest stays */
    EXPECT_TRUE(quic_ack_tracker_is_duplicate(&t, 11));
    Recv(19);
    EXPECT_EQ(t.ranges.count, 1u);
    EXPECT_FALSE(quic_ack_tracker_due(&t, now));
}

TEST_F(AckTracker, KeepsTheNewestRanges) /* RFC 9000 13.2.3 */
{
    for (uint64_t pn = 0; pn < 200; pn += 2) {
        Recv(pn);
    }
    EXPECT_EQ(t.ranges.count, 16u);
    EXPECT_TRUE(quic_ack_tracker_is_duplicate(&t, 0));
    EXPECT_TRUE(quic_ack_tracker_is_duplicate(&t, 1)); /* too old to tell */
    EXPECT_FALSE(quic_ack_tracker_is_duplicate(&t, 199));
    EXPECT_FALSE(quic_ack_tracker_is_duplicate(&t, 197));
}

/* What finds no place is not acknowledged, and not taken when it comes again. */
TEST_F(AckTracker, WhatFindsNoPlaceIsOldForEver) /* RFC 9000 13.2.3 */
{
    for (uint64_t first : {0u, 50u}) {
        TearDown();
        SetUp();
        for (uint64_t pn = 100; pn < 132; pn += 2) {
            Recv(pn);
        }
        Recv(first);
        EXPECT_EQ(quic_range_set_min(&t.ranges), 100u);
        EXPECT_FALSE(quic_ack_tracker_is_duplicate(&t, first + 1));
    }
}

TEST_F(AckTracker, ForcedItAnswersPacketsThatDoNotAsk)
{
    quic_ack_tracker_force(&t, now);
    EXPECT_FALSE(quic_ack_tracker_due(&t, now)); /* nothing to say */
    Recv(1, false);
    EXPECT_FALSE(quic_ack_tracker_due(&t, now));
    quic_ack_tracker_force(&t, now);
    EXPECT_TRUE(quic_ack_tracker_due(&t, now));
}

TEST_F(AckTracker, ReportsRefusedMemory)
{
    tm.refuse = true;
    EXPECT_EQ(quic_ack_tracker_on_packet(&t, 0, true, 0, now), QUIC_E_NOMEM);
    EXPECT_EQ(quic_ack_tracker_largest(&t), UINT64_MAX);
    EXPECT_FALSE(quic_ack_tracker_is_duplicate(&t, 0));
}

/* A packet is never taken twice; one refused as too old was below everything still remembered. */
TEST_F(AckTracker, AgreesWithANaiveSet)
{
    std::mt19937_64 rng(3);
    std::set<uint64_t> taken;
    uint64_t top = 0, sent = UINT64_MAX;
    for (int i = 0; i < 200000; i++) {
        uint64_t pn = rng() % 4 != 0 ? top++ : (top > 60 ? top - rng() % 60 : rng() % 60);
        bool dup = quic_ack_tracker_is_duplicate(&t, pn);
        if (taken.count(pn) != 0) {
            ASSERT_TRUE(dup);
        } else if (dup) {
            ASSERT_LT(pn, t.min_pn);
        } else {
            ASSERT_EQ(quic_ack_tracker_on_packet(&t, pn, true, 0, now + (quic_ns)i), QUIC_OK);
            taken.insert(pn);
        }
        ASSERT_EQ(quic_ack_tracker_largest(&t), *taken.rbegin());
        for (uint32_t k = 0; k < t.ranges.count; k++) {
            const quic_range *r = quic_range_set_at(&t.ranges, k);
            ASSERT_EQ(taken.count(r->lo), 1u);
            ASSERT_EQ(taken.count(r->hi), 1u);
        }
        if (rng() % 3 == 0) {
            uint64_t largest = quic_ack_tracker_on_ack_sent(&t);
            ASSERT_EQ(largest, *taken.rbegin());
            if (rng() % 8 == 0) {
                sent = largest;
            }
        }
        if (sent != UINT64_MAX && rng() % 16 == 0) {
            quic_ack_tracker_on_ack_acked(&t, sent);
            sent = UINT64_MAX;
        }
    }
}

TEST_F(AckTracker, AtRestWhatWasNamedIsKnown) /* RFC 9000 13.2.4 */
{
    for (uint64_t pn : {0, 1, 3, 5}) {
        Recv(pn);
    }
    quic_ack_tracker_on_rest(&t);
    EXPECT_EQ(t.ranges.count, 3u); /* not before it is named */
    quic_ack_tracker_on_ack_sent(&t);
    Recv(7, false);
    quic_ack_tracker_on_rest(&t);
    EXPECT_EQ(t.ranges.count, 1u); /* the last one is not named yet */
    EXPECT_TRUE(quic_range_set_contains(&t.ranges, 7));
    for (uint64_t pn = 0; pn < 6; pn++) {
        EXPECT_TRUE(quic_ack_tracker_is_duplicate(&t, pn)) << pn; /* 13.2.3 */
    }
    EXPECT_FALSE(quic_ack_tracker_is_duplicate(&t, 6));
    Recv(6);
    Recv(8);
    EXPECT_EQ(quic_ack_tracker_on_ack_sent(&t), 8u);
    Recv(10);
    quic_ack_tracker_on_rest(&t);
    EXPECT_EQ(t.ranges.count, 2u); /* no rest: 10 waits to be acknowledged */
}

} // namespace

/* Persistent congestion (RFC 9002 7.6): what is lost over a long time, with nothing acknowledged between. */
#include "tests/quic/recovery/loss_fixture.h"

namespace
{

TEST_F(Loss, PersistentCongestionExample) /* RFC 9002 7.6.3 */
{
    const quic_ns s = QUIC_NS_PER_S;
    const quic_ns t0 = 100 * s;
    Prime(1, 200 * kMs);
    uint64_t first = Send(t0);
    Send(t0 + 1 * s);
    ASSERT_EQ(Ack({{first, first}}, t0 + 12 * s / 10), QUIC_OK);
    for (int t : {2, 3, 4, 5, 6, 8, 12}) {
        Send(t0 + (quic_ns)t * s);
    }
    /* Make smoothed_rtt + max(4 * rttvar, kGranularity) + max_ack_delay come to 2 s. */
    rec.rtt.smoothed_ns = 775 * kMs;
    rec.rtt.var_ns = 300 * kMs;
    rec.rtt.min_ns = 100 * kMs;
    quic_recovery_space *sp = &rec.spaces[QUIC_SPACE_APP];
    ASSERT_EQ(sp->map.next_pn, first + 9);
    ASSERT_EQ(quic_recovery_pto_ns(&rec, QUIC_SPACE_APP), 2 * s);
    ASSERT_EQ(Ack({{first + 8, first + 8}}, t0 + 12200 * kMs), QUIC_OK);
    EXPECT_EQ(lost.size(), 7u);
    EXPECT_TRUE(out.loss.persistent_congestion);
    EXPECT_EQ(rec.rtt.min_ns, 200 * kMs); /* RFC 9002 5.2 */
}

TEST_F(Loss, NoPersistentCongestionAcrossAnAcknowledgedPacket) /* RFC 9002 7.6.2 */
{
    const quic_ns s = QUIC_NS_PER_S;
    for (bool acked_between : {false, true}) {
        TearDown();
        Init(false);
        Prime(1, 100 * kMs);
        for (int t = 10; t < 20; t++) {
            Send((quic_ns)t * s); /* 1..10 */
        }
        std::vector<Range> ranges = {{10, 10}};
        if (acked_between) {
            ranges.push_back({5, 5});
            ranges.push_back({3, 3});
            ranges.push_back({8, 8});
        }
        rec.rtt.smoothed_ns = 500 * kMs; /* three PTOs are 4.575 s */
        rec.rtt.var_ns = 250 * kMs;
        ASSERT_EQ(Ack(ranges, 19100 * kMs), QUIC_OK);
        EXPECT_EQ(out.loss.persistent_congestion, !acked_between);
    }
}

/* ... where the record of what was acknowledged has gone before the next loss, ... */
TEST_F(Loss, NoPersistentCongestionAcrossARest)
{
    Prime(0, 100 * kMs);
    EXPECT_EQ(Send(1000 * kMs), 1u);
    EXPECT_EQ(Send(1100 * kMs, QUIC_SPACE_APP, 0), 2u); /* an ACK, which nobody acknowledges */
    EXPECT_EQ(Send(1100 * kMs), 3u);
    ASSERT_EQ(Ack({{3, 3}}, 1200 * kMs), QUIC_OK);
    EXPECT_EQ(lost, (Pns{1}));
    quic_recovery_trim(&rec);
    for (int i = 0; i < 4; i++) {
        Send(60000 * kMs);
    }
    ASSERT_EQ(Ack({{5, 7}}, 60100 * kMs), QUIC_OK);
    EXPECT_EQ(lost, (Pns{4}));
    EXPECT_FALSE(out.loss.persistent_congestion);
}

/* ... or to make room, ... */
TEST_F(Loss, NoPersistentCongestionAcrossAFullRecord)
{
    Prime(0, 100 * kMs);
    EXPECT_EQ(Send(1000 * kMs), 1u);
    EXPECT_EQ(Send(1100 * kMs, QUIC_SPACE_APP, 0), 2u);
    EXPECT_EQ(Send(1100 * kMs), 3u);
    ASSERT_EQ(Ack({{3, 3}}, 1200 * kMs), QUIC_OK);
    EXPECT_EQ(lost, (Pns{1}));
    const quic_sent_map *map = &rec.spaces[QUIC_SPACE_APP].map;
    while (map->base_pn <= 3) { /* more ACKs than there is room for */
        ASSERT_LT(Send(1200 * kMs, QUIC_SPACE_APP, 0), 3000u);
    }
    const uint64_t next = Send(60000 * kMs);
    for (int i = 0; i < 3; i++) {
        Send(60000 * kMs);
    }
    ASSERT_EQ(Ack({{next + 1, next + 3}}, 60100 * kMs), QUIC_OK);
    ASSERT_FALSE(lost.empty());
    EXPECT_EQ(lost.back(), next);
    EXPECT_FALSE(out.loss.persistent_congestion);
}

/* ... or who was thought lost is acknowledged late. */
TEST_F(Loss, NoPersistentCongestionAcrossALateAcknowledgement) /* 7.6.2 */
{
    for (bool late : {true, false}) {
        quic_recovery_deinit(&rec);
        Init(false);
        Prime(0, 100 * kMs);
        EXPECT_EQ(Send(1000 * kMs), 1u);
        EXPECT_EQ(Send(1010 * kMs), 2u);
        for (int i = 0; i < 3; i++) {
            Send(9000 * kMs);
        }
        ASSERT_EQ(Ack({{5, 5}}, 9050 * kMs), QUIC_OK);
        EXPECT_EQ(lost, (Pns{1, 2}));
        if (late) {
            ASSERT_EQ(Ack({{2, 2}}, 9060 * kMs), QUIC_OK);
        }
        EXPECT_EQ(Send(9061 * kMs), 6u);
        ASSERT_EQ(Ack({{6, 6}}, 9100 * kMs), QUIC_OK);
        ASSERT_FALSE(lost.empty());
        EXPECT_EQ(lost.front(), 3u);
        EXPECT_EQ(out.loss.persistent_congestion, !late);
    }
}

TEST_F(Loss, PersistentCongestionFoundByTwoAcks) /* RFC 9002 7.6.2 */
{
    const quic_ns s = QUIC_NS_PER_S;
    Prime(1, 100 * kMs);
    for (int i = 0; i < 3; i++) {
        Send(10 * s); /* 1..3 */
    }
    for (int i = 0; i < 5; i++) {
        Send(20 * s); /* 4..8 */
    }
    ASSERT_EQ(Ack({{6, 6}}, 20 * s + 100 * kMs), QUIC_OK);
    EXPECT_EQ(lost, (Pns{1, 2, 3}));
    EXPECT_FALSE(out.loss.persistent_congestion);
    ASSERT_EQ(Ack({{8, 8}}, 20 * s + 100 * kMs), QUIC_OK);
    EXPECT_EQ(lost, (Pns{4, 5}));
    EXPECT_TRUE(out.loss.persistent_congestion);
}

/* A run counts from packets sent after the first sample, and must last longer than the time. */
TEST_F(Loss, PersistentCongestionHasExactBounds) /* RFC 9002 7.6.2 */
{
    struct Row {
        quic_ns first_ns;
        quic_ns after_ns;
        bool persistent;
    };
    const quic_ns sample_ns = 100 * kMs;
    const quic_ns period_ns = 3 * (100 + 3 * 50 + 25) * kMs; /* with the second sample */
    const Row rows[] = {
        {sample_ns, period_ns + 1, false},
        {sample_ns + 1, period_ns, false},
        {sample_ns + 1, period_ns + 1, true},
    };
    for (const Row &row : rows) {
        TearDown();
        Init(false);
        Prime(0, sample_ns);
        Send(row.first_ns);
        Send(row.first_ns + row.after_ns);
        for (int i = 0; i < 3; i++) {
            Send(row.first_ns + row.after_ns);
        }
        ASSERT_EQ(Ack({{5, 5}}, row.first_ns + row.after_ns + sample_ns), QUIC_OK);
        EXPECT_EQ(lost, (Pns{1, 2}));
        EXPECT_EQ(out.loss.persistent_congestion, row.persistent);
    }
}

TEST_F(Loss, NoPersistentCongestionBeforeTheFirstSample) /* RFC 9002 7.6.2 */
{
    const quic_ns s = QUIC_NS_PER_S;
    for (int t = 0; t < 60; t++) {
        Send((quic_ns)t * s);
    }
    ASSERT_EQ(Ack({{59, 59}}, 60 * s), QUIC_OK);
    EXPECT_EQ(lost.size(), 59u);
    EXPECT_FALSE(out.loss.persistent_congestion);
}

} // namespace

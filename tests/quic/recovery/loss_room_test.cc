#include "tests/quic/recovery/loss_fixture.h"

namespace
{

using LossRoom = Loss;

TEST_F(LossRoom, PtoMakesRoomForProbes) /* RFC 9002 6.2.4 */
{
    for (bool late : {false, true}) {
        TearDown();
        Init(false);
        Prime(0, 100 * kMs);
        for (int i = 0; i < 1024; i++) {
            Send(1000 * kMs);
        }
        EXPECT_EQ(quic_sent_map_add(quic_recovery_map(&rec, QUIC_SPACE_APP), 1025), nullptr);
        quic_ns now = quic_recovery_deadline(&rec, false);
        quic_timeout to;
        quic_recovery_on_timeout(&rec, &to, false, now);
        EXPECT_EQ(to.kind, QUIC_TIMEOUT_PTO);
        EXPECT_EQ(to.loss.lost_count, 3u);           /* two probes, and a number left out */
        EXPECT_EQ(to.loss.largest_lost_sent_ns, 0u); /* 6.2: no sign of congestion */
        EXPECT_EQ(rec.lost_bytes, 0u);
        EXPECT_EQ(rec.in_flight_bytes, 1021000u);
        DrainLost();
        EXPECT_EQ(lost, (Pns{1, 2, 3}));
        if (late) { /* they had arrived */
            ASSERT_EQ(Ack({{1, 3}}, now), QUIC_OK);
            EXPECT_EQ(out.spurious_count, 3u);
            EXPECT_FALSE(out.spurious_congestion);
            EXPECT_EQ(out.acked_bytes, 0u);
            EXPECT_EQ(rec.in_flight_bytes, 1021000u);
        }
        EXPECT_TRUE(quic_sent_map_skip(quic_recovery_map(&rec, QUIC_SPACE_APP), 1025));
        Send(now);
        Send(now);
        EXPECT_EQ(rec.in_flight_bytes, 1023000u);
        ASSERT_EQ(Ack({{1026, 1027}, {1, 1024}}, now + 100 * kMs), QUIC_OK);
        EXPECT_EQ(acked.size(), 1023u);
        EXPECT_EQ(out.loss.lost_count, 0u);
        EXPECT_EQ(rec.in_flight_bytes, 0u);
    }
}

TEST_F(LossRoom, PtoGivesNothingUpWhereThereIsRoom)
{
    Prime(0, 100 * kMs);
    for (int i = 0; i < 1021; i++) {
        Send(1000 * kMs);
    }
    quic_timeout to;
    quic_recovery_on_timeout(&rec, &to, false, quic_recovery_deadline(&rec, false));
    EXPECT_EQ(to.kind, QUIC_TIMEOUT_PTO);
    EXPECT_EQ(to.loss.lost_count, 0u);
    EXPECT_EQ(rec.in_flight_bytes, 1021000u);
}

/* What was given up counts with the losses of its time: all of them have to be mistakes. */
TEST_F(LossRoom, GivenUpPacketsBelongToTheirCongestionEpoch)
{
    Prime(0, 100 * kMs);
    Send(1000 * kMs);
    Send(1095 * kMs);
    for (int i = 0; i < 1022; i++) {
        Send(1150 * kMs);
    }
    ASSERT_EQ(Ack({{2, 2}}, 1200 * kMs), QUIC_OK);
    EXPECT_EQ(lost, (Pns{1}));
    quic_ns now = quic_recovery_deadline(&rec, false);
    quic_timeout to;
    quic_recovery_on_timeout(&rec, &to, false, now);
    EXPECT_EQ(to.kind, QUIC_TIMEOUT_PTO);
    DrainLost();
    EXPECT_EQ(lost, (Pns{3})); /* 1 and 2 make room already */
    ASSERT_EQ(Ack({{1, 2}}, now), QUIC_OK);
    EXPECT_EQ(out.spurious_count, 1u);
    EXPECT_FALSE(out.spurious_congestion);
    ASSERT_EQ(Ack({{1, 3}}, now), QUIC_OK);
    EXPECT_EQ(out.spurious_count, 1u);
    EXPECT_TRUE(out.spurious_congestion);
}

} // namespace

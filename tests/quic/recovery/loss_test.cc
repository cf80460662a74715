#include <functional>
#include <map>
#include <random>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "tests/quic/recovery/loss_fixture.h"

namespace
{

TEST_F(Loss, CountsWhatIsInFlight)
{
    Send(1 * kMs);
    Send(1 * kMs, QUIC_SPACE_APP, 0, 50);
    Send(1 * kMs, QUIC_SPACE_INITIAL);
    EXPECT_EQ(rec.in_flight_bytes, 2000u);
    ASSERT_EQ(Ack({{0, 1}}, 11 * kMs), QUIC_OK);
    EXPECT_EQ(acked, (Pns{1, 0}));
    EXPECT_EQ(out.acked_bytes, 1000u);
    EXPECT_EQ(out.prior_in_flight_bytes, 2000u);
    EXPECT_EQ(rec.in_flight_bytes, 1000u);
    EXPECT_TRUE(out.has_rtt_sample);
    EXPECT_EQ(rec.rtt.latest_ns, 10 * kMs);
}

TEST_F(Loss, TakesNoSampleWithoutAnAckElicitingPacket) /* RFC 9002 5.1 */
{
    Send(0, QUIC_SPACE_APP, 0, 50);
    ASSERT_EQ(Ack({{0, 0}}, 10 * kMs), QUIC_OK);
    EXPECT_FALSE(out.has_rtt_sample);
    Send(20 * kMs);
    Send(20 * kMs);
    ASSERT_EQ(Ack({{2, 2}}, 30 * kMs), QUIC_OK);
    EXPECT_TRUE(out.has_rtt_sample);
    ASSERT_EQ(Ack({{1, 2}}, 40 * kMs), QUIC_OK); /* the largest is not newly acknowledged */
    EXPECT_EQ(acked, (Pns{1}));
    EXPECT_FALSE(out.has_rtt_sample);
    EXPECT_FALSE(out.largest_increased);
}

TEST_F(Loss, LimitsAckDelayOnceConfirmed) /* RFC 9002 5.3 */
{
    for (bool confirmed : {false, true}) {
        TearDown();
        Init(false);
        rec.facts.handshake_confirmed = confirmed;
        Prime(0, 100 * kMs);
        Send(1000 * kMs);
        ASSERT_EQ(Ack({{1, 1}}, 1200 * kMs, 80 * kMs), QUIC_OK);
        quic_ns adjusted = confirmed ? 175 * kMs : 120 * kMs;
        EXPECT_EQ(rec.rtt.smoothed_ns, (7 * 100 * kMs + adjusted) / 8);
    }
}

TEST_F(Loss, RejectsPacketsNeverSent) /* RFC 9000 13.1 */
{
    EXPECT_EQ(Ack({{0, 0}}, 1), QUIC_V_PROTOCOL_VIOLATION);
    Send(1);
    EXPECT_EQ(Ack({{0, 1}}, 2), QUIC_V_PROTOCOL_VIOLATION);
    EXPECT_EQ(Ack({{0, UINT64_MAX}}, 2), QUIC_V_PROTOCOL_VIOLATION);
    EXPECT_EQ(Ack({{0, 0}}, 2), QUIC_OK);
}

TEST_F(Loss, RejectsSkippedNumbers) /* RFC 9000 21.4 */
{
    Send(1);
    ASSERT_TRUE(quic_sent_map_skip(quic_recovery_map(&rec, QUIC_SPACE_APP), 1));
    Send(1);
    EXPECT_EQ(Ack({{2, 2}, {0, 0}}, 2), QUIC_OK);
    EXPECT_EQ(Ack({{0, 2}}, 3), QUIC_V_PROTOCOL_VIOLATION);
    EXPECT_EQ(Ack({{2, 2}, {1, 1}}, 3), QUIC_V_PROTOCOL_VIOLATION);
}

TEST_F(Loss, PacketThreshold) /* RFC 9002 6.1.1 */
{
    Prime(0, 100 * kMs);
    for (int i = 0; i < 6; i++) {
        Send(1000 * kMs);
    } /* 1..6 */
    ASSERT_EQ(Ack({{3, 3}}, 1100 * kMs), QUIC_OK);
    EXPECT_TRUE(lost.empty());
    ASSERT_EQ(Ack({{5, 5}, {3, 3}}, 1100 * kMs), QUIC_OK);
    EXPECT_EQ(lost, (Pns{1, 2}));
    EXPECT_EQ(out.loss.lost_count, 2u);
    EXPECT_EQ(out.loss.lost_bytes, 2000u);
    EXPECT_EQ(out.loss.largest_lost_sent_ns, 1000 * kMs);
    EXPECT_EQ(rec.in_flight_bytes, 2000u); /* 4 and 6 */
}

TEST_F(Loss, TimeThreshold) /* RFC 9002 6.1.2 */
{
    Prime(0, 80 * kMs);
    Send(1000 * kMs);
    Send(1001 * kMs);
    Send(1005 * kMs);
    ASSERT_EQ(Ack({{3, 3}}, 1085 * kMs), QUIC_OK);
    EXPECT_TRUE(lost.empty());
    EXPECT_EQ(quic_recovery_deadline(&rec, false), 1090 * kMs); /* 1000 + 9/8 * 80 */
    EXPECT_EQ(quic_recovery_deadline(&rec, true), 1090 * kMs);
    quic_timeout to;
    quic_recovery_on_timeout(&rec, &to, false, 1089 * kMs);
    EXPECT_EQ(to.kind, QUIC_TIMEOUT_NONE);
    quic_recovery_on_timeout(&rec, &to, false, 1090 * kMs);
    EXPECT_EQ(to.kind, QUIC_TIMEOUT_LOSS);
    EXPECT_EQ(to.space, QUIC_SPACE_APP);
    EXPECT_EQ(to.loss.lost_count, 1u);
    DrainLost();
    EXPECT_EQ(lost, (Pns{1}));
    EXPECT_EQ(quic_recovery_deadline(&rec, false), 1091 * kMs);
}

TEST_F(Loss, TimeThresholdLooksBehindPacketsNotInFlight)
{
    Prime(0, 80 * kMs);
    Send(1000 * kMs, QUIC_SPACE_APP, 0);
    Send(1001 * kMs);
    Send(1005 * kMs);
    ASSERT_EQ(Ack({{3, 3}}, 1085 * kMs), QUIC_OK);
    EXPECT_EQ(quic_recovery_deadline(&rec, false), 1091 * kMs);
}

TEST_F(Loss, ForgetsPacketsNotInFlightWithoutAWord)
{
    Prime(0, 100 * kMs);
    Send(1000 * kMs, QUIC_SPACE_APP, 0, 40);
    for (int i = 0; i < 3; i++) {
        Send(1000 * kMs);
    }
    ASSERT_EQ(Ack({{2, 4}}, 1100 * kMs), QUIC_OK);
    EXPECT_TRUE(lost.empty());
    EXPECT_EQ(out.loss.lost_count, 0u);
    EXPECT_EQ(out.loss.largest_lost_sent_ns, 0u);
    EXPECT_EQ(rec.spaces[QUIC_SPACE_APP].map.base_pn, 5u);
}

TEST_F(Loss, TellsSpuriousLosses)
{
    Prime(0, 100 * kMs);
    for (int i = 0; i < 6; i++) {
        Send(1000 * kMs);
    }
    ASSERT_EQ(Ack({{5, 6}}, 1100 * kMs), QUIC_OK);
    EXPECT_EQ(lost, (Pns{1, 2, 3}));
    uint64_t flight = rec.in_flight_bytes;
    ASSERT_EQ(Ack({{5, 6}, {1, 2}}, 1101 * kMs), QUIC_OK);
    EXPECT_EQ(acked, (Pns{2, 1})); /* with their records */
    EXPECT_EQ(out.spurious_count, 2u);
    EXPECT_EQ(out.acked_bytes, 0u);
    EXPECT_FALSE(out.spurious_congestion);
    EXPECT_EQ(rec.in_flight_bytes, flight);
    ASSERT_EQ(Ack({{1, 6}}, 1102 * kMs), QUIC_OK);
    EXPECT_EQ(acked, (Pns{4, 3}));
    EXPECT_TRUE(out.spurious_congestion);
    EXPECT_EQ(rec.spurious_total, 3u);
    EXPECT_EQ(rec.lost_total, 3u);
    EXPECT_EQ(rec.in_flight_bytes, 0u);
}

TEST_F(Loss, AcknowledgesLostPacketsNobodyAskedFor)
{
    Prime(0, 100 * kMs);
    for (int i = 0; i < 6; i++) {
        Send(1000 * kMs);
    }
    quic_recovery_ack ack;
    ASSERT_EQ(quic_recovery_ack_begin(&rec, &ack, QUIC_SPACE_APP, 6, 0, 1100 * kMs), QUIC_OK);
    ASSERT_EQ(quic_recovery_ack_range(&ack, 6, 6), QUIC_OK);
    quic_recovery_ack_end(&ack, &out); /* 1..3 lost, not asked for */
    EXPECT_EQ(out.acked_count, 1u);
    ASSERT_EQ(Ack({{1, 6}}, 1101 * kMs), QUIC_OK);
    EXPECT_TRUE(lost.empty());
    EXPECT_EQ(rec.spaces[QUIC_SPACE_APP].lost_pending_count, 0u);
}

TEST_F(Loss, LossOfAnMtuProbeIsNoCongestion) /* RFC 9000 14.4 */
{
    Prime(0, 100 * kMs);
    Send(1000 * kMs, QUIC_SPACE_APP, kData | QUIC_SENT_MTU_PROBE);
    for (int i = 0; i < 3; i++) {
        Send(1000 * kMs);
    }
    ASSERT_EQ(Ack({{2, 4}}, 1100 * kMs), QUIC_OK);
    EXPECT_EQ(lost, (Pns{1}));
    EXPECT_EQ(out.loss.mtu_probe_lost_count, 1u);
    EXPECT_EQ(out.loss.largest_lost_sent_ns, 0u);
}

/* ---- probe timeouts -------------------------------------------------------------------------- */

TEST_F(Loss, PtoDoublesUntilAnAck) /* RFC 9002 6.2.1 */
{
    Prime(0, 100 * kMs);
    quic_ns pto = quic_recovery_pto_ns(&rec, QUIC_SPACE_APP);
    EXPECT_EQ(pto, 100 * kMs + 4 * 50 * kMs + 25 * kMs);
    EXPECT_EQ(quic_recovery_deadline(&rec, false), QUIC_NS_NEVER);
    quic_ns now = 1000 * kMs;
    Send(now);
    quic_timeout to;
    for (uint32_t n = 0; n < 4; n++) {
        quic_ns due = quic_recovery_deadline(&rec, false);
        EXPECT_EQ(due, now + (pto << n));
        quic_recovery_on_timeout(&rec, &to, false, due - 1);
        EXPECT_EQ(to.kind, QUIC_TIMEOUT_NONE);
        now = due;
        quic_recovery_on_timeout(&rec, &to, false, now);
        EXPECT_EQ(to.kind, QUIC_TIMEOUT_PTO);
        EXPECT_EQ(to.space, QUIC_SPACE_APP);
        EXPECT_EQ(to.probe_count, 2);
        EXPECT_EQ(to.eliciting_mask, 1u << QUIC_SPACE_APP);
        EXPECT_GT(quic_recovery_deadline(&rec, false), now); /* even if nothing is sent */
        Send(now);
    }
    EXPECT_EQ(rec.pto_count, 4u);
    ASSERT_EQ(Ack({{5, 5}}, now + 100 * kMs), QUIC_OK);
    EXPECT_EQ(rec.pto_count, 0u);
}

TEST_F(Loss, NoPtoForAppDataBeforeConfirmation) /* RFC 9002 6.2.1 */
{
    rec.facts.handshake_confirmed = false;
    Send(1);
    EXPECT_EQ(quic_recovery_deadline(&rec, false), QUIC_NS_NEVER);
    Send(1, QUIC_SPACE_HANDSHAKE);
    EXPECT_EQ(quic_recovery_deadline(&rec, false), 1 + 999 * kMs);
    EXPECT_EQ(quic_recovery_deadline(&rec, true), QUIC_NS_NEVER); /* 6.2.2.1 */
}

TEST_F(Loss, ClientKeepsItsTimerUntilTheServerValidatedIt) /* RFC 9002 6.2.2.1 */
{
    TearDown();
    Init(true);
    Send(0, QUIC_SPACE_INITIAL);
    ASSERT_EQ(Ack({{0, 0}}, 100 * kMs, 0, QUIC_SPACE_INITIAL), QUIC_OK);
    EXPECT_EQ(quic_recovery_deadline(&rec, false), 400 * kMs); /* nothing in flight all the same */
    quic_timeout to;
    quic_recovery_on_timeout(&rec, &to, false, 400 * kMs);
    EXPECT_EQ(to.kind, QUIC_TIMEOUT_PTO);
    EXPECT_EQ(to.space, QUIC_SPACE_INITIAL);
    EXPECT_EQ(to.probe_count, 1);
    EXPECT_EQ(quic_recovery_deadline(&rec, false), 1000 * kMs);
    rec.facts.has_handshake_keys = true;
    quic_recovery_on_timeout(&rec, &to, false, 1000 * kMs);
    EXPECT_EQ(to.space, QUIC_SPACE_HANDSHAKE);
    /* No reset of the backoff by Initial acknowledgements. */
    Send(1000 * kMs, QUIC_SPACE_INITIAL);
    ASSERT_EQ(Ack({{1, 1}}, 1100 * kMs, 0, QUIC_SPACE_INITIAL), QUIC_OK);
    EXPECT_EQ(rec.pto_count, 2u);
    Send(1100 * kMs, QUIC_SPACE_HANDSHAKE);
    ASSERT_EQ(Ack({{0, 0}}, 1200 * kMs, 0, QUIC_SPACE_HANDSHAKE), QUIC_OK);
    EXPECT_EQ(rec.pto_count, 0u);
    EXPECT_EQ(quic_recovery_deadline(&rec, false), QUIC_NS_NEVER);
}

TEST_F(Loss, OnlyEarlyDataInFlightStillArmsTheClient)
{
    TearDown();
    Init(true);
    Send(0, QUIC_SPACE_INITIAL);
    Send(0, QUIC_SPACE_APP);
    ASSERT_EQ(Ack({{0, 0}}, 10 * kMs, 0, QUIC_SPACE_INITIAL), QUIC_OK);
    EXPECT_NE(quic_recovery_deadline(&rec, false), QUIC_NS_NEVER);
}

TEST_F(Loss, ProbesRepeatTheOldestOnce) /* RFC 9002 6.2.4 */
{
    Prime(0, 100 * kMs);
    for (int i = 0; i < 4; i++) {
        Send(1000 * kMs); /* 1..4 */
    }
    EXPECT_EQ(quic_recovery_oldest_unacked(&rec, QUIC_SPACE_APP)->pn, 1u);
    EXPECT_EQ(quic_recovery_oldest_unacked(&rec, QUIC_SPACE_APP)->pn, 2u);
    uint64_t probe = Send(1500 * kMs);
    EXPECT_EQ(quic_recovery_oldest_unacked(&rec, QUIC_SPACE_APP)->pn, 3u);
    quic_recovery_ack ack;
    ASSERT_EQ(quic_recovery_ack_begin(&rec, &ack, QUIC_SPACE_APP, probe, 0, 1600 * kMs), QUIC_OK);
    ASSERT_EQ(quic_recovery_ack_range(&ack, probe, probe), QUIC_OK);
    quic_recovery_ack_end(&ack, &out);
    std::map<uint64_t, bool> probed;
    while (quic_sent_packet *p = quic_recovery_next_lost(&rec, QUIC_SPACE_APP)) {
        probed[p->pn] = (p->flags & QUIC_SENT_PROBED) != 0;
    }
    EXPECT_EQ(probed, (std::map<uint64_t, bool>{{1, true}, {2, true}, {3, true}, {4, false}}));
    EXPECT_EQ(quic_recovery_oldest_unacked(&rec, QUIC_SPACE_APP), nullptr);
}

/* ---- spaces and paths -------------------------------------------------------------------------- */

TEST_F(Loss, DiscardingASpaceTakesItOutOfFlight) /* RFC 9002 6.4 */
{
    rec.facts.handshake_confirmed = false;
    Send(1, QUIC_SPACE_INITIAL);
    Send(2, QUIC_SPACE_HANDSHAKE);
    rec.pto_count = 3;
    quic_recovery_discard_space(&rec, QUIC_SPACE_INITIAL, 3);
    EXPECT_EQ(rec.in_flight_bytes, 1000u);
    EXPECT_EQ(rec.pto_count, 0u);
    EXPECT_EQ(quic_recovery_deadline(&rec, false), 2 + 999 * kMs);
    EXPECT_EQ(Ack({{0, 0}}, 5, 0, QUIC_SPACE_INITIAL), QUIC_E_STATE);
    quic_recovery_discard_space(&rec, QUIC_SPACE_INITIAL, 4);
}

TEST_F(Loss, ADiscardedSpaceWaitsForNothing) /* RFC 9002 6.4 */
{
    TearDown();
    Init(true);
    Send(1, QUIC_SPACE_INITIAL);
    Send(2, QUIC_SPACE_INITIAL);
    ASSERT_EQ(Ack({{1, 1}}, 2 + 100 * kMs, 0, QUIC_SPACE_INITIAL), QUIC_OK);
    EXPECT_LT(quic_recovery_deadline(&rec, true), QUIC_NS_NEVER); /* when 0 is lost */
    quic_recovery_discard_space(&rec, QUIC_SPACE_INITIAL, 3 + 100 * kMs);
    EXPECT_EQ(quic_recovery_deadline(&rec, true), QUIC_NS_NEVER);
}

TEST_F(Loss, ADiscardedSpaceGivesOutNoLosses) /* RFC 9002 6.4 */
{
    for (int i = 0; i < 5; i++) {
        Send(1, QUIC_SPACE_INITIAL);
    }
    quic_recovery_ack ack;
    ASSERT_EQ(quic_recovery_ack_begin(&rec, &ack, QUIC_SPACE_INITIAL, 4, 0, 2 * kMs), QUIC_OK);
    ASSERT_EQ(quic_recovery_ack_range(&ack, 4, 4), QUIC_OK);
    while (quic_recovery_ack_next(&ack) != nullptr) {
    }
    quic_recovery_ack_end(&ack, &out);
    EXPECT_EQ(out.loss.lost_count, 2u);
    quic_recovery_discard_space(&rec, QUIC_SPACE_INITIAL, 3 * kMs);
    DrainLost(QUIC_SPACE_INITIAL);
    EXPECT_EQ(lost, (Pns{}));
}

/* draft-ietf-ccwg-bbr 4.1.2.4: of the newest that was acknowledged. */
TEST_F(Loss, SaysWhetherThereWasMoreToSend)
{
    const uint32_t limited = kData | QUIC_SENT_APP_LIMITED;
    for (const uint32_t flags : {limited, kData, limited, kData}) {
        Send(1 * kMs, QUIC_SPACE_APP, flags); /* 0..3 */
    }
    ASSERT_EQ(Ack({{2, 2}, {0, 0}}, 100 * kMs), QUIC_OK);
    EXPECT_TRUE(out.app_limited);
    ASSERT_EQ(Ack({{3, 3}, {1, 1}}, 101 * kMs), QUIC_OK);
    EXPECT_FALSE(out.app_limited);
}

TEST_F(Loss, CountsWhatWasLostSinceAPacketLeft)
{
    Prime(0, 100 * kMs);
    for (int i = 0; i < 4; i++) {
        Send(1000 * kMs); /* 1..4 */
    }
    ASSERT_EQ(Ack({{4, 4}}, 1100 * kMs), QUIC_OK);
    EXPECT_EQ(lost, (Pns{1}));
    EXPECT_EQ(out.lost_since_bytes, 1000u);
    for (int i = 0; i < 4; i++) {
        Send(1200 * kMs); /* 5..8 */
    }
    ASSERT_EQ(Ack({{8, 8}}, 1300 * kMs), QUIC_OK);
    EXPECT_EQ(lost, (Pns{2, 3, 5}));
    EXPECT_EQ(out.lost_since_bytes, 3000u); /* not packet 1 */
}

TEST_F(Loss, RetryTakesEverythingBack) /* RFC 9002 6.3 */
{
    TearDown();
    Init(true);
    Send(1, QUIC_SPACE_INITIAL);
    Send(1, QUIC_SPACE_INITIAL);
    Pns taken;
    while (quic_sent_packet *p = quic_recovery_take_next(&rec, QUIC_SPACE_INITIAL)) {
        EXPECT_EQ(p->frame.id, p->pn);
        taken.push_back(p->pn);
    }
    quic_recovery_on_retry(&rec, 100);
    EXPECT_EQ(taken, (Pns{0, 1}));
    EXPECT_EQ(rec.in_flight_bytes, 0u);
    EXPECT_EQ(Send(100, QUIC_SPACE_INITIAL), 2u); /* numbers go on, RFC 9000 17.2.5.3 */
}

TEST_F(Loss, RetryStartsTheTimersAnew) /* RFC 9002 6.3 */
{
    TearDown();
    Init(true);
    Send(1, QUIC_SPACE_INITIAL);
    const quic_ns pto_ns = quic_recovery_deadline(&rec, false) - 1;
    quic_timeout to;
    quic_recovery_on_timeout(&rec, &to, false, 1 + pto_ns);
    ASSERT_EQ(to.kind, QUIC_TIMEOUT_PTO);
    EXPECT_EQ(to.eliciting_mask, 1u << QUIC_SPACE_INITIAL);
    while (quic_recovery_take_next(&rec, QUIC_SPACE_INITIAL) != nullptr) {
    }
    quic_recovery_on_retry(&rec, 2 * pto_ns);
    Send(2 * pto_ns, QUIC_SPACE_INITIAL);
    EXPECT_EQ(quic_recovery_deadline(&rec, false), 3 * pto_ns);
}

TEST_F(Loss, OldPathTellsNothingAboutTheNew) /* RFC 9000 9.4 */
{
    Prime(0, 100 * kMs);
    for (int i = 0; i < 5; i++) {
        Send(1000 * kMs); /* 1..5 */
    }
    rec.pto_count = 2;
    quic_recovery_on_new_path(&rec, 1050 * kMs);
    EXPECT_EQ(rec.pto_count, 0u);
    ASSERT_EQ(Ack({{5, 5}}, 1100 * kMs), QUIC_OK);
    EXPECT_FALSE(out.has_rtt_sample);
    EXPECT_EQ(out.acked_bytes, 0u);
    EXPECT_EQ(out.loss.lost_count, 2u);
    EXPECT_EQ(out.loss.largest_lost_sent_ns, 0u);
    EXPECT_EQ(rec.rtt.smoothed_ns, QUIC_INITIAL_RTT_NS);
}

/* Nor what it delivered late, nor what it lost, nor that the application sent little on it. */
TEST_F(Loss, OldPathIsNoPartOfTheRateOfTheNew) /* RFC 9000 9.4 */
{
    Prime(0, 100 * kMs);
    for (int i = 0; i < 9; i++) {
        Send(1000 * kMs); /* 1..9 */
    }
    quic_recovery_on_app_limited(&rec);
    quic_recovery_on_new_path(&rec, 1050 * kMs);
    const uint64_t delivered = rec.delivered_bytes;
    const uint64_t lost_bytes = rec.lost_bytes;
    Send(1060 * kMs); /* 10 */
    ASSERT_EQ(Ack({{4, 9}}, 1100 * kMs), QUIC_OK);
    EXPECT_EQ(lost, (Pns{1, 2, 3}));
    EXPECT_EQ(out.rate_bytes, 0u);
    EXPECT_EQ(rec.delivered_bytes, delivered);
    EXPECT_EQ(rec.lost_bytes, lost_bytes);
    ASSERT_EQ(Ack({{10, 10}}, 1260 * kMs), QUIC_OK);
    EXPECT_EQ(out.rate_bytes, 1000u);
    EXPECT_EQ(out.rate_ns, 210 * kMs); /* since it is in use */
    EXPECT_EQ(out.lost_since_bytes, 0u);
    EXPECT_TRUE(out.app_limited); /* the application had no more when the path changed */
    Send(1300 * kMs);
    ASSERT_EQ(Ack({{11, 11}}, 1500 * kMs), QUIC_OK);
    EXPECT_FALSE(out.app_limited);
    quic_recovery_on_new_path(&rec, 1600 * kMs); /* a path by itself limits nobody */
    Send(1610 * kMs);
    ASSERT_EQ(Ack({{12, 12}}, 1700 * kMs), QUIC_OK);
    EXPECT_FALSE(out.app_limited);
}

TEST_F(Loss, MeasuresTheDeliveryRate)
{
    Prime(0, 100 * kMs);
    Send(1000 * kMs);
    Send(1000 * kMs);
    Send(1050 * kMs);
    ASSERT_EQ(Ack({{1, 2}}, 1100 * kMs), QUIC_OK);
    EXPECT_EQ(out.rate_bytes, 2000u);
    EXPECT_EQ(out.rate_ns, 100 * kMs);
    /* Sent more slowly than acknowledged: 500 ms from packet 2 on, and 410 ms. */
    Send(1500 * kMs);
    ASSERT_EQ(Ack({{3, 4}}, 1510 * kMs), QUIC_OK);
    EXPECT_EQ(out.rate_bytes, 2000u);
    EXPECT_NEAR((double)out.rate_ns, 500.0 * kMs, 1.0 * kMs);
}

TEST_F(Loss, WhatComesBackAtOnceHasNoRate)
{
    Prime(0, 100 * kMs);
    uint64_t pn = Send(1000 * kMs);
    ASSERT_EQ(Ack({{pn, pn}}, 1000 * kMs), QUIC_OK);
    EXPECT_EQ(out.rate_bytes, 0u);
    EXPECT_EQ(out.rate_ns, 0u);
}

TEST_F(Loss, TrimLeavesAnIdleConnectionWithoutMemory)
{
    Prime(0, 100 * kMs);
    for (int i = 0; i < 5; i++) {
        Send(1000 * kMs);
    }
    ASSERT_EQ(Ack({{4, 5}}, 1100 * kMs), QUIC_OK);
    ASSERT_EQ(Ack({{3, 5}}, 1100 * kMs), QUIC_OK);
    quic_recovery_trim(&rec);
    EXPECT_EQ(tm.mem.used_bytes, 0u);
}

/* ACKs alone are never acknowledged by a peer that has nothing to say: they hold no memory either. */
TEST_F(Loss, TrimForgetsAcksThatNobodyAcknowledged)
{
    Prime(0, 100 * kMs);
    Send(1000 * kMs, QUIC_SPACE_APP, 0, 50);
    Send(1000 * kMs);
    Send(1000 * kMs, QUIC_SPACE_APP, 0, 50);
    quic_recovery_trim(&rec);
    EXPECT_GT(tm.mem.used_bytes, 0u); /* 2 is in flight */
    ASSERT_EQ(Ack({{2, 2}}, 1100 * kMs), QUIC_OK);
    quic_recovery_trim(&rec);
    EXPECT_EQ(tm.mem.used_bytes, 0u);
    quic_recovery_check(&rec);
    EXPECT_EQ(quic_recovery_deadline(&rec, false), QUIC_NS_NEVER);
    EXPECT_EQ(Send(1200 * kMs), 4u);
    ASSERT_EQ(Ack({{1, 4}}, 1300 * kMs),
              QUIC_OK); /* a late word about the forgotten ones is fine */
    EXPECT_EQ(rec.in_flight_bytes, 0u);
}

/* RFC 9002 2: packets of PADDING alone are in flight. */
TEST_F(Loss, TrimLeavesWhatIsInFlight)
{
    Prime(0, 100 * kMs);
    uint64_t pn = Send(1000 * kMs, QUIC_SPACE_APP, QUIC_SENT_IN_FLIGHT);
    quic_recovery_trim(&rec);
    quic_recovery_check(&rec);
    EXPECT_EQ(rec.in_flight_bytes, 1000u);
    ASSERT_EQ(Ack({{pn, pn}}, 1100 * kMs), QUIC_OK);
    EXPECT_EQ(acked, (Pns{pn}));
    EXPECT_EQ(rec.in_flight_bytes, 0u);
}

TEST_F(Loss, SurvivesAnAckGivenUpHalfWay)
{
    Prime(0, 100 * kMs);
    for (int i = 0; i < 6; i++) {
        Send(1000 * kMs);
    }
    quic_recovery_ack ack;
    ASSERT_EQ(quic_recovery_ack_begin(&rec, &ack, QUIC_SPACE_APP, 6, 0, 1100 * kMs), QUIC_OK);
    ASSERT_EQ(quic_recovery_ack_range(&ack, 1, 6), QUIC_OK);
    ASSERT_NE(quic_recovery_ack_next(&ack), nullptr);
    Send(1100 * kMs);
    quic_recovery_check(&rec);
    EXPECT_EQ(rec.in_flight_bytes, 6000u);
}

/* A burst acknowledged again and again must not cost its length each time. */
TEST_F(Loss, ManyRangesAlreadyAcknowledgedAreCheap)
{
    Prime(0, 1 * kMs);
    for (int i = 0; i < 900; i++) {
        Send(10 * kMs);
    }
    std::vector<Range> ranges;
    for (uint64_t hi = 900; hi > 4; hi -= 2) {
        ranges.push_back({hi, hi});
    }
    ASSERT_EQ(Ack(ranges, 11 * kMs), QUIC_OK);
    EXPECT_EQ(acked.size(), ranges.size());
    for (int i = 0; i < 20000; i++) {
        ASSERT_EQ(Ack({{6, 900}}, 11 * kMs), QUIC_OK);
        EXPECT_TRUE(i == 0 || acked.empty());
    }
}

/* Every packet is acknowledged or declared lost exactly once (late acknowledgements apart), the sums
 * hold, and a deadline never lies in the past once a timeout ran. */
TEST_F(Loss, AgreesWithANaiveModel)
{
    for (uint32_t seed = 1; seed <= 20; seed++) {
        TearDown();
        Init(false);
        std::mt19937_64 rng(seed);
        std::map<uint64_t, quic_ns> flying; /* sent, no verdict */
        std::set<uint64_t> received, verdict_lost, done;
        quic_ns now = kMs;
        for (int step = 0; step < 4000; step++) {
            now += rng() % (5 * kMs);
            int n = (int)(rng() % 8);
            while (n-- > 0 && rec.in_flight_bytes < 200000) {
                uint64_t pn = Send(now);
                flying[pn] = now;
                if (rng() % 10 != 0) {
                    received.insert(pn);
                }
            }
            quic_ns due = quic_recovery_deadline(&rec, false);
            if (due <= now) {
                quic_timeout to;
                quic_recovery_on_timeout(&rec, &to, false, now);
                ASSERT_GT(quic_recovery_deadline(&rec, false), now);
                DrainLost();
                for (uint64_t pn : lost) {
                    ASSERT_EQ(flying.erase(pn), 1u);
                    ASSERT_TRUE(verdict_lost.insert(pn).second);
                }
            }
            if (received.empty() || rng() % 3 != 0) {
                continue;
            }
            std::vector<Range> ranges; /* what a receiver would say, up to some point */
            uint64_t cut = *received.rbegin() - rng() % 3;
            for (auto it = received.rbegin(); it != received.rend() && ranges.size() < 40; ++it) {
                if (*it > cut) {
                    continue;
                }
                if (!ranges.empty() && ranges.back().first == *it + 1) {
                    ranges.back().first = *it;
                } else {
                    ranges.push_back({*it, *it});
                }
            }
            if (ranges.empty()) {
                continue;
            }
            ASSERT_EQ(Ack(ranges, now), QUIC_OK);
            for (uint64_t pn : acked) {
                ASSERT_EQ(received.count(pn), 1u);
                ASSERT_TRUE(done.insert(pn).second);
                ASSERT_EQ(flying.erase(pn) + verdict_lost.count(pn), 1u);
            }
            for (const Range &r : ranges) {
                auto it = flying.lower_bound(r.first);
                ASSERT_TRUE(it == flying.end() || it->first > r.second);
            }
            uint64_t largest = ranges.front().second;
            for (uint64_t pn : lost) {
                ASSERT_EQ(flying.erase(pn), 1u);
                ASSERT_TRUE(verdict_lost.insert(pn).second);
                ASSERT_LT(pn, rec.spaces[QUIC_SPACE_APP].largest_acked_pn);
            }
            auto it = flying.begin(); /* RFC 9002 6.1.1: nothing that old may be left */
            ASSERT_TRUE(it == flying.end() || it->first + 3 > largest);
            ASSERT_EQ(rec.in_flight_bytes, 1000 * flying.size());
        }
    }
}

/* RFC 9000 9.4: what left on another path measures nothing here. */
TEST_F(Loss, PacketsOfAnotherPathTellNothing)
{
    Send(10 * kMs);
    quic_sent_map *map = quic_recovery_map(&rec, QUIC_SPACE_APP);
    quic_sent_packet *p = quic_sent_map_add(map, quic_sent_map_next_pn(map));
    ASSERT_NE(p, nullptr);
    quic_sent_frame f = {1, 0, 0, 1, p->pn, 0};
    ASSERT_EQ(quic_sent_packet_add_frame(map, p, &f), QUIC_OK);
    uint64_t in_flight = rec.in_flight_bytes;
    quic_recovery_on_sent_elsewhere(&rec, QUIC_SPACE_APP, p, 1200, 11 * kMs);
    EXPECT_EQ(rec.in_flight_bytes, in_flight);
    ASSERT_EQ(Ack({{0, 1}}, 500 * kMs), QUIC_OK);
    EXPECT_EQ(acked, (Pns{1, 0}));
    EXPECT_FALSE(out.has_rtt_sample);
    EXPECT_EQ(out.rate_bytes, 0u);
    EXPECT_EQ(out.acked_bytes, 1000u);
}

TEST_F(Loss, PacketsOfAnotherPathAreNeverLost)
{
    quic_sent_map *map = quic_recovery_map(&rec, QUIC_SPACE_APP);
    quic_sent_packet *p = quic_sent_map_add(map, quic_sent_map_next_pn(map));
    ASSERT_NE(p, nullptr);
    quic_recovery_on_sent_elsewhere(&rec, QUIC_SPACE_APP, p, 1200, kMs);
    EXPECT_EQ(quic_recovery_deadline(&rec, false), QUIC_NS_NEVER) << "and ask for no probe";
    for (int i = 0; i < 5; i++) {
        Send(2 * kMs);
    }
    ASSERT_EQ(Ack({{1, 5}}, 12 * kMs), QUIC_OK);
    EXPECT_TRUE(lost.empty());
    EXPECT_EQ(out.rtt_sample_ns, 10 * kMs);
}

TEST_F(Loss, AnOldPathGoesOnWithItsRtt)
{
    Send(10 * kMs);
    ASSERT_EQ(Ack({{0, 0}}, 40 * kMs), QUIC_OK);
    quic_rtt known = rec.rtt;
    quic_recovery_on_new_path(&rec, 50 * kMs);
    EXPECT_FALSE(quic_rtt_has_sample(&rec.rtt));
    Send(60 * kMs);
    quic_recovery_on_old_path(&rec, &known, 70 * kMs);
    EXPECT_EQ(rec.rtt.smoothed_ns, 30 * kMs);
    ASSERT_EQ(Ack({{1, 1}}, 900 * kMs), QUIC_OK); /* of the path in between */
    EXPECT_FALSE(out.has_rtt_sample);
    EXPECT_EQ(rec.rtt.smoothed_ns, 30 * kMs);
}

} // namespace

#include <gtest/gtest.h>

#include "quic/path/mtu_probe.h"

namespace
{

constexpr quic_ns kS = QUIC_NS_PER_S;

/* A path that carries `limit` bytes: runs the search to its end and counts the probes. */
int search(quic_mtu *mtu, uint32_t limit, quic_ns *now)
{
    int probes = 0;
    while (quic_mtu_is_due(mtu, *now)) {
        uint32_t size = quic_mtu_probe_size(mtu, *now);
        if (size == 0) {
            break;
        }
        EXPECT_LE(size, mtu->ceiling);
        quic_mtu_on_probe_sent(mtu);
        EXPECT_FALSE(quic_mtu_is_due(mtu, *now + 3600 * kS));
        *now += kS / 10;
        if (size <= limit) {
            quic_mtu_on_probe_acked(mtu, size, *now);
        } else {
            quic_mtu_on_probe_lost(mtu, size, *now);
        }
        if (++probes > 100) {
            ADD_FAILURE() << "the search does not end";
            break;
        }
    }
    return probes;
}

TEST(MtuProbe, OffNeverProbesAndNeverFallsBack)
{
    quic_mtu mtu;
    quic_mtu_init(&mtu, 9000);
    EXPECT_FALSE(quic_mtu_is_due(&mtu, QUIC_NS_NEVER - 1));
    for (uint64_t i = 0; i < 100; i++) {
        EXPECT_FALSE(quic_mtu_on_lost(&mtu, i, 9000, kS));
    }
    EXPECT_FALSE(quic_mtu_on_pto(&mtu, 5, kS));
    EXPECT_FALSE(quic_mtu_on_too_big(&mtu, 1200, kS));
    EXPECT_EQ(mtu.current, 9000u);
    EXPECT_TRUE(quic_mtu_on_too_big(&mtu, 2000, kS)); /* one that was not full */
    EXPECT_EQ(mtu.current, 1200u);
    EXPECT_FALSE(quic_mtu_on_too_big(&mtu, 9000, kS));
}

TEST(MtuProbe, NothingToSearchForIsOff)
{
    quic_mtu mtu;
    quic_mtu_start(&mtu, 1200, kS);
    EXPECT_EQ(mtu.state, QUIC_MTU_OFF);
    EXPECT_FALSE(quic_mtu_is_due(&mtu, QUIC_NS_NEVER - 1));
}

TEST(MtuProbe, OneProbeIsEnoughOnAnOrdinaryPath)
{
    quic_mtu mtu;
    quic_ns now = kS;
    quic_mtu_start(&mtu, 1472, now);
    EXPECT_EQ(mtu.current, 1200u);
    EXPECT_EQ(search(&mtu, 1472, &now), 1);
    EXPECT_EQ(mtu.current, 1472u);
    EXPECT_EQ(mtu.state, QUIC_MTU_STATE_COMPLETE);
    EXPECT_FALSE(quic_mtu_is_due(&mtu, now + 3600 * kS)); /* there is nothing above */
}

TEST(MtuProbe, FindsWhatEveryPathCarries)
{
    for (uint32_t ceiling : {1201u, 1210u, 1252u, 1452u, 1472u, 4000u, 8972u, 65507u}) {
        for (uint32_t limit = 1200; limit <= 9000; limit += 7) {
            quic_mtu mtu;
            quic_ns now = kS;
            quic_mtu_start(&mtu, ceiling, now);
            int probes = search(&mtu, limit, &now);
            uint32_t best = limit < ceiling ? limit : ceiling;
            EXPECT_LE(mtu.current, best);
            EXPECT_GT(mtu.current + QUIC_MTU_STEP, best) << ceiling << " " << limit;
            EXPECT_EQ(mtu.state, QUIC_MTU_STATE_COMPLETE);
            EXPECT_LE(probes, 60);
        }
    }
}

TEST(MtuProbe, FindsCommonSizesExactlyAndSoon)
{
    for (uint32_t limit : {1452u, 1432u, 1392u, 1412u}) {
        quic_mtu mtu;
        quic_ns now = kS;
        quic_mtu_start(&mtu, 1472, now);
        EXPECT_LE(search(&mtu, limit, &now), 20);
        EXPECT_EQ(mtu.current, limit);
    }
}

TEST(MtuProbe, AProbeIsRepeatedBeforeItsSizeIsGivenUp)
{
    quic_mtu mtu;
    quic_ns now = kS;
    quic_mtu_start(&mtu, 1472, now);
    for (unsigned i = 0; i < QUIC_MTU_MAX_PROBES; i++) {
        ASSERT_EQ(quic_mtu_probe_size(&mtu, now), 1472u);
        quic_mtu_on_probe_sent(&mtu);
        EXPECT_FALSE(quic_mtu_on_probe_lost(&mtu, 1472, now));
    }
    EXPECT_LT(quic_mtu_probe_size(&mtu, now), 1472u);
    /* the last one was only late */
    EXPECT_TRUE(quic_mtu_on_probe_acked(&mtu, 1472, now));
    EXPECT_EQ(mtu.current, 1472u);
}

TEST(MtuProbe, LooksAgainAfterTheRaiseTimer)
{
    quic_mtu mtu;
    quic_ns now = kS;
    quic_mtu_start(&mtu, 1472, now);
    search(&mtu, 1300, &now);
    EXPECT_EQ(mtu.state, QUIC_MTU_STATE_COMPLETE);
    EXPECT_FALSE(quic_mtu_is_due(&mtu, now + QUIC_MTU_RAISE_NS - 1));
    now += QUIC_MTU_RAISE_NS;
    EXPECT_EQ(search(&mtu, 1472, &now), 1);
    EXPECT_EQ(mtu.current, 1472u);
}

TEST(MtuProbe, LossesOfFullSizePacketsOnlyAreABlackHole)
{
    quic_mtu mtu;
    quic_ns now = kS;
    quic_mtu_start(&mtu, 1472, now);
    search(&mtu, 1472, &now);
    quic_mtu_on_acked(&mtu, 100, 1472);
    /* older than what arrived: congestion, not a black hole */
    for (uint64_t pn = 50; pn < 100; pn++) {
        EXPECT_FALSE(quic_mtu_on_lost(&mtu, pn, 1472, now));
    }
    /* small ones say nothing either way */
    for (uint64_t pn = 101; pn < 150; pn++) {
        EXPECT_FALSE(quic_mtu_on_lost(&mtu, pn, 800, now));
    }
    for (uint64_t pn = 150; pn < 150 + QUIC_MTU_BLACK_HOLE - 1; pn++) {
        EXPECT_FALSE(quic_mtu_on_lost(&mtu, pn, 1472, now));
    }
    quic_mtu_on_acked(&mtu, 200, 1200);
    EXPECT_EQ(mtu.suspect_count, QUIC_MTU_BLACK_HOLE - 1);
    quic_mtu_on_acked(&mtu, 201, 1472);
    EXPECT_EQ(mtu.suspect_count, 0);
    for (uint64_t pn = 202; pn < 202 + QUIC_MTU_BLACK_HOLE - 1; pn++) {
        EXPECT_FALSE(quic_mtu_on_lost(&mtu, pn, 1472, now));
    }
    EXPECT_TRUE(quic_mtu_on_lost(&mtu, 300, 1472, now));
    EXPECT_EQ(mtu.current, 1200u);
    EXPECT_EQ(mtu.state, QUIC_MTU_STATE_BASE);
    /* the base is confirmed first, then the search begins anew */
    EXPECT_EQ(quic_mtu_probe_size(&mtu, now), 1200u);
    EXPECT_GT(search(&mtu, 1400, &now), 1);
    EXPECT_GT(mtu.current, 1400 - QUIC_MTU_STEP);
}

TEST(MtuProbe, SilenceOnALargeSizeIsABlackHole)
{
    quic_mtu mtu;
    quic_ns now = kS;
    quic_mtu_start(&mtu, 1472, now);
    search(&mtu, 1472, &now);
    EXPECT_FALSE(quic_mtu_on_pto(&mtu, 1, now));
    EXPECT_TRUE(quic_mtu_on_pto(&mtu, 2, now));
    EXPECT_EQ(mtu.current, 1200u);
    EXPECT_FALSE(quic_mtu_on_pto(&mtu, 3, now));
}

TEST(MtuProbe, AnUnconfirmedBaseIsAnErrorThatIsTriedAgain)
{
    quic_mtu mtu;
    quic_ns now = kS;
    quic_mtu_start(&mtu, 1472, now);
    search(&mtu, 1472, &now);
    ASSERT_TRUE(quic_mtu_on_pto(&mtu, 2, now));
    EXPECT_EQ(search(&mtu, 1000, &now), static_cast<int>(QUIC_MTU_MAX_PROBES));
    EXPECT_EQ(mtu.state, QUIC_MTU_STATE_ERROR);
    EXPECT_FALSE(quic_mtu_is_due(&mtu, now));
    now += QUIC_MTU_ERROR_RETRY_NS;
    search(&mtu, 1472, &now);
    EXPECT_EQ(mtu.current, 1472u);
}

TEST(MtuProbe, ARefusedProbeCostsOneTry)
{
    quic_mtu mtu;
    quic_ns now = kS;
    quic_mtu_start(&mtu, 8972, now);
    ASSERT_EQ(quic_mtu_probe_size(&mtu, now), 8972u);
    quic_mtu_on_probe_sent(&mtu);
    EXPECT_FALSE(quic_mtu_on_too_big(&mtu, 8972, now));
    EXPECT_TRUE(quic_mtu_is_due(&mtu, now));
    EXPECT_LT(quic_mtu_probe_size(&mtu, now), 8972u);
    EXPECT_EQ(mtu.high, 8971u);
    search(&mtu, 1472, &now);
    EXPECT_EQ(mtu.current, 1472u);
    /* and of the size in use: the route changed */
    EXPECT_TRUE(quic_mtu_on_too_big(&mtu, 1472, now));
    EXPECT_EQ(mtu.current, 1200u);
    search(&mtu, 1400, &now);
    EXPECT_GT(mtu.current, 1400 - QUIC_MTU_STEP);
}

TEST(MtuProbe, APathUsedAgainGoesOnWithoutTheProbeInFlight)
{
    quic_mtu mtu;
    quic_mtu_start(&mtu, 1472, kS);
    ASSERT_EQ(quic_mtu_probe_size(&mtu, kS), 1472u);
    quic_mtu_on_probe_sent(&mtu);
    ASSERT_FALSE(quic_mtu_is_due(&mtu, 2 * kS));
    quic_mtu_resume(&mtu, 2 * kS);
    EXPECT_TRUE(quic_mtu_is_due(&mtu, 2 * kS));
    EXPECT_EQ(quic_mtu_probe_size(&mtu, 2 * kS), 1472u);
    EXPECT_EQ(mtu.current, 1200u);
}

/* RFC 8899 4.3: what was lost before the path was left says nothing of it as it is now. */
TEST(MtuProbe, APathUsedAgainIsNotSuspected)
{
    quic_mtu mtu;
    quic_ns now = kS;
    quic_mtu_start(&mtu, 1472, now);
    search(&mtu, 1472, &now);
    for (uint64_t pn = 1; pn < QUIC_MTU_BLACK_HOLE; pn++) {
        EXPECT_FALSE(quic_mtu_on_lost(&mtu, pn, 1472, now));
    }
    quic_mtu_resume(&mtu, now);
    EXPECT_FALSE(quic_mtu_on_lost(&mtu, QUIC_MTU_BLACK_HOLE, 1472, now));
    EXPECT_EQ(mtu.current, 1472u);
}

} // namespace

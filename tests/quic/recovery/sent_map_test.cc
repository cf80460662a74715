#include <map>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "quic/recovery/sent_map.h"
#include "tests/quic/base/test_mem.h"

namespace
{

class SentMap : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        test_mem_init(&tm);
        quic_sent_map_init(&map, &tm.mem, 1024);
    }
    void TearDown() override
    {
        quic_sent_map_check(&map);
        quic_sent_map_deinit(&map);
        EXPECT_EQ(tm.mem.used_bytes, 0u);
    }
    uint64_t Send(uint16_t bytes, uint32_t flags, quic_ns now = 1, int frames = 0)
    {
        uint64_t pn = quic_sent_map_next_pn(&map);
        quic_sent_packet *p = quic_sent_map_add(&map, pn);
        if (p == nullptr) {
            return QUIC_PN_NONE;
        }
        for (int i = 0; i < frames; i++) {
            quic_sent_frame f = {1, 0, 0, 10, pn, (uint64_t)i};
            EXPECT_EQ(quic_sent_packet_add_frame(&map, p, &f), QUIC_OK);
        }
        p->bytes = bytes;
        p->sent_ns = now;
        p->flags |= (uint8_t)flags;
        quic_sent_map_commit(&map, p);
        return pn;
    }
    void Free(uint64_t pn)
    {
        quic_sent_packet *p = quic_sent_map_find(&map, pn);
        ASSERT_NE(p, nullptr);
        quic_sent_map_free_packet(&map, p, pn);
    }
    test_mem tm;
    quic_sent_map map;
    static constexpr uint32_t kData = QUIC_SENT_ACK_ELICITING | QUIC_SENT_IN_FLIGHT;
};

TEST_F(SentMap, HoldsNoMemoryBeforeTheFirstPacketAndWhenCleared)
{
    EXPECT_EQ(tm.mem.used_bytes, 0u);
    Send(100, kData);
    EXPECT_LE(tm.mem.used_bytes, 1024u);
    Free(0);
    quic_sent_map_prune(&map, 0);
    quic_sent_map_clear(&map);
    EXPECT_EQ(tm.mem.used_bytes, 0u);
    EXPECT_EQ(Send(100, kData), 1u);
    EXPECT_NE(quic_sent_map_add(&map, 2), nullptr);
    quic_sent_map_clear(&map); /* also of a packet that is being built */
    EXPECT_EQ(tm.mem.used_bytes, 0u);
    EXPECT_EQ(Send(100, kData), 2u);
}

TEST_F(SentMap, AShortFlightNeedsASmallRing)
{
    for (uint64_t pn = 0; pn < 1000; pn++) {
        Send(100, kData);
        if (pn > 0) {
            Free(pn - 1);
            quic_sent_map_prune(&map, 0);
        }
    }
    EXPECT_LE(map.cap, 16u);
}

TEST_F(SentMap, FindsTheHighestOfWhatIsThere)
{
    EXPECT_EQ(quic_sent_map_find_down(&map, 0, UINT64_MAX), nullptr);
    for (int i = 0; i < 4; i++) {
        Send(100, kData);
    }
    Free(3);
    EXPECT_EQ(quic_sent_map_find_down(&map, 0, UINT64_MAX)->pn, 2u);
    EXPECT_EQ(quic_sent_map_find_down(&map, 3, UINT64_MAX), nullptr);
}

TEST_F(SentMap, RecordsHaveABound)
{
    quic_sent_map small;
    quic_sent_map_init(&small, &tm.mem, 16);
    quic_sent_packet *p = quic_sent_map_add(&small, 0);
    quic_sent_frame f = {1, 0, 0, 10, 0, 0};
    uint32_t added = 0;
    while (added < 1000 && quic_sent_packet_add_frame(&small, p, &f) == QUIC_OK) {
        added++;
    }
    EXPECT_EQ(small.node_cap, 16u * 8);
    EXPECT_EQ(added, 16u * 8); /* one is in the packet, one node stands for none */
    quic_sent_map_deinit(&small);
}

TEST_F(SentMap, GivesBackALargeRingWhenEmpty)
{
    for (int i = 0; i < 1000; i++) {
        Send(100, kData);
    }
    EXPECT_EQ(map.cap, 1024u);
    for (uint64_t pn = 0; pn < 1000; pn++) {
        Free(pn);
    }
    quic_sent_map_prune(&map, 0);
    EXPECT_EQ(tm.mem.used_bytes, 0u);
}

TEST_F(SentMap, KeepsSmallArraysWhenEmptyAndGivesBackLargeOnes)
{
    for (int frames : {100, 300, 100}) {
        const uint64_t pn = Send(100, kData, 1, frames);
        const uint32_t cap = map.node_cap;
        EXPECT_GE(cap, (uint32_t)frames);
        Free(pn);
        quic_sent_map_prune(&map, 0);
        EXPECT_EQ(map.node_cap, cap > 256 ? 0 : cap);
        EXPECT_NE(map.cap, 0u);
    }
}

TEST_F(SentMap, KeepsRecordsInOrder)
{
    uint64_t pn = Send(100, kData, 1, 5);
    const quic_sent_packet *p = quic_sent_map_find(&map, pn);
    quic_sent_frame_iter it = {};
    for (uint64_t i = 0; i < 5; i++) {
        const quic_sent_frame *f = quic_sent_frame_next(&map, p, &it);
        ASSERT_NE(f, nullptr);
        EXPECT_EQ(f->off, i);
        EXPECT_EQ(f->id, pn);
    }
    EXPECT_EQ(quic_sent_frame_next(&map, p, &it), nullptr);
    EXPECT_EQ(quic_sent_frame_next(&map, p, &it), nullptr);
    uint32_t free_before = map.node_free_count;
    Free(pn);
    EXPECT_EQ(map.node_free_count, free_before + 4);
}

TEST_F(SentMap, CancelGivesTheNumberBack)
{
    quic_sent_packet *p = quic_sent_map_add(&map, 0);
    quic_sent_frame f = {};
    ASSERT_EQ(quic_sent_packet_add_frame(&map, p, &f), QUIC_OK);
    ASSERT_EQ(quic_sent_packet_add_frame(&map, p, &f), QUIC_OK);
    quic_sent_map_cancel(&map, p);
    EXPECT_EQ(quic_sent_map_next_pn(&map), 0u);
    EXPECT_EQ(quic_sent_map_find(&map, 0), nullptr);
    EXPECT_EQ(Send(1, kData), 0u);
}

TEST_F(SentMap, RefusesMoreThanItsLimit)
{
    for (int i = 0; i < 1024; i++) {
        ASSERT_NE(Send(1, kData), QUIC_PN_NONE);
    }
    EXPECT_EQ(Send(1, kData), QUIC_PN_NONE);
    Free(0);
    quic_sent_map_prune(&map, 0);
    EXPECT_EQ(Send(1, kData), 1024u);
}

TEST_F(SentMap, ForgetsLostOnesAtItsLimit)
{
    for (int i = 0; i < 1024; i++) {
        ASSERT_NE(Send(1, kData), QUIC_PN_NONE);
    }
    quic_sent_map_set_lost(&map, quic_sent_map_find(&map, 0));
    EXPECT_EQ(Send(1, kData), 1024u);
    EXPECT_EQ(map.lost_count, 0u);
}

TEST_F(SentMap, DoesNotGrowForPacketsThatAreNotInFlight)
{
    for (int i = 0; i < 10000; i++) {
        ASSERT_NE(Send(40, 0), QUIC_PN_NONE);
        quic_sent_map_check(&map);
    }
    EXPECT_LE(map.cap, 16u);
}

TEST_F(SentMap, SurvivesRefusedMemory)
{
    tm.refuse = true;
    EXPECT_EQ(Send(1, kData), QUIC_PN_NONE);
    EXPECT_FALSE(quic_sent_map_skip(&map, 0));
    tm.refuse = false;
    quic_sent_packet *p = quic_sent_map_add(&map, 0);
    ASSERT_NE(p, nullptr);
    quic_sent_frame f = {};
    ASSERT_EQ(quic_sent_packet_add_frame(&map, p, &f), QUIC_OK); /* the first lies in the packet */
    tm.refuse = true;
    EXPECT_EQ(quic_sent_packet_add_frame(&map, p, &f), QUIC_E_NOMEM);
    quic_sent_map_cancel(&map, p);
    tm.refuse = false;
    EXPECT_EQ(Send(1, kData, 1, 4), 0u);
}

TEST_F(SentMap, RemembersTheLastSkippedNumbers)
{
    for (int i = 0; i < 20; i++) {
        Send(1, kData);
        ASSERT_TRUE(quic_sent_map_skip(&map, quic_sent_map_next_pn(&map)));
    }
    EXPECT_TRUE(quic_sent_map_has_skipped(&map, 39, 39));
    EXPECT_TRUE(quic_sent_map_has_skipped(&map, 0, 100));
    EXPECT_FALSE(quic_sent_map_has_skipped(&map, 38, 38));
    EXPECT_EQ(quic_sent_map_find(&map, 39), nullptr);
    EXPECT_FALSE(quic_sent_map_has_skipped(&map, 1, 1)); /* too long ago */
}

/* The cost of a lookup below many finished packets must not grow with their number. */
TEST_F(SentMap, PassesRunsOfFinishedPacketsInOneStep)
{
    for (int i = 0; i < 1000; i++) {
        Send(1, kData);
    }
    for (uint64_t pn = 999; pn >= 1; pn--) {
        quic_sent_map_free_packet(&map, quic_sent_map_find(&map, pn), 1);
    }
    EXPECT_EQ(quic_sent_map_find_down(&map, 1, 999), nullptr);
    EXPECT_EQ(map.ring[999].pn, 1u);
    EXPECT_EQ(quic_sent_map_find_down(&map, 0, 999)->pn, 0u);
    EXPECT_EQ(quic_sent_map_find_down(&map, 0, 500)->pn, 0u);
}

TEST_F(SentMap, FindsAgainWhatStandsBelowARunOfFinishedPackets)
{
    for (int i = 0; i < 6; i++) {
        Send(100, kData);
    }
    Free(4);
    for (int i = 0; i < 3; i++) { /* looking changes nothing */
        EXPECT_EQ(quic_sent_map_find_down(&map, 0, 4)->pn, 3u);
    }
    EXPECT_EQ(quic_sent_map_find_down(&map, 3, 4)->pn, 3u);
}

TEST_F(SentMap, AgreesWithANaiveModel)
{
    std::mt19937_64 rng(7);
    std::map<uint64_t, std::pair<uint32_t, bool>> model; /* pn -> bytes, lost */
    for (int step = 0; step < 60000; step++) {
        switch (rng() % 6) {
        case 0:
        case 1:
        case 2: {
            uint16_t bytes = (uint16_t)(1 + rng() % 1500);
            uint64_t pn = Send(bytes, kData, 1, (int)(rng() % 4));
            if (pn != QUIC_PN_NONE) {
                model[pn] = {bytes, false};
            }
            break;
        }
        case 3: { /* acknowledge a range */
            uint64_t next = quic_sent_map_next_pn(&map);
            uint64_t lo = next > 200 ? next - 1 - rng() % 200 : 0;
            uint64_t hi = lo + rng() % 40;
            uint64_t at = hi;
            for (quic_sent_packet *p; (p = quic_sent_map_find_down(&map, lo, at)) != nullptr;) {
                uint64_t pn = p->pn;
                auto it = model.upper_bound(at);
                ASSERT_NE(it, model.begin());
                --it;
                ASSERT_EQ(it->first, pn);
                ASSERT_EQ(it->second.second, p->state == QUIC_SENT_LOST);
                model.erase(it);
                quic_sent_map_free_packet(&map, p, lo);
                if (pn == 0) {
                    break;
                }
                at = pn - 1;
            }
            auto it = model.lower_bound(lo);
            ASSERT_TRUE(it == model.end() || it->first > hi);
            quic_sent_map_end_run(&map, lo, hi);
            break;
        }
        case 4: { /* lose the oldest outstanding ones */
            for (int i = 0; i < 4 && map.scan_pn < map.next_pn; i++, map.scan_pn++) {
                quic_sent_packet *p = quic_sent_map_find(&map, map.scan_pn);
                if (p != nullptr && p->state == QUIC_SENT_OUTSTANDING) {
                    quic_sent_map_set_lost(&map, p);
                    model[p->pn].second = true;
                }
            }
            break;
        }
        default:
            quic_sent_map_prune(&map, rng() % 8 == 0 ? 2 : 0);
            model.erase(model.begin(), model.lower_bound(map.base_pn));
            break;
        }
        while (!model.empty() && model.begin()->first < map.base_pn) {
            ASSERT_TRUE(model.begin()->second.second); /* only lost ones may be forgotten */
            model.erase(model.begin());
        }
        uint64_t bytes = 0;
        for (auto &e : model) {
            bytes += e.second.second ? 0 : e.second.first;
        }
        ASSERT_EQ(bytes, map.in_flight_bytes);
        if (step % 64 == 0) {
            quic_sent_map_check(&map);
        }
    }
}

} // namespace

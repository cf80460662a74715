#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "quic/base/range_set.h"
#include "quic/base/rng.h"
#include "tests/quic/base/test_mem.h"

namespace
{

using Ranges = std::vector<std::pair<uint64_t, uint64_t>>;

Ranges Dump(const quic_range_set &set)
{
    Ranges out;
    for (uint32_t i = 0; i < set.count; i++) {
        out.emplace_back(quic_range_set_at(&set, i)->lo, quic_range_set_at(&set, i)->hi);
    }
    return out;
}

Ranges Dump(const std::set<uint64_t> &model)
{
    Ranges out;
    for (uint64_t v : model) {
        if (!out.empty() && out.back().second + 1 == v) {
            out.back().second = v;
        } else {
            out.emplace_back(v, v);
        }
    }
    return out;
}

class RangeSetTest : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        test_mem_init(&tm);
        quic_range_set_init(&set, &tm.mem, 8);
    }

    void TearDown() override
    {
        quic_range_set_deinit(&set);
        EXPECT_EQ(tm.mem.used_bytes, 0u);
    }

    void Add(uint64_t lo, uint64_t hi)
    {
        ASSERT_EQ(quic_range_set_add(&set, lo, hi), QUIC_OK);
    }

    test_mem tm;
    quic_range_set set;
};

TEST_F(RangeSetTest, EmptySetHoldsNothing)
{
    EXPECT_TRUE(quic_range_set_is_empty(&set));
    EXPECT_FALSE(quic_range_set_contains(&set, 0));
    EXPECT_EQ(quic_range_set_missing(&set, 0, 9), 10u);
    quic_range_set_remove_below(&set, 100);
    EXPECT_EQ(quic_range_set_subtract(&set, 0, 100), QUIC_OK);
    EXPECT_EQ(tm.mem.alloc_count, 0u);
}

TEST_F(RangeSetTest, AppendingExtendsTheLastRange)
{
    Add(0, 0);
    uint64_t allocs = tm.mem.alloc_count;
    for (uint64_t v = 1; v < 1000; v++) {
        Add(v, v);
    }
    EXPECT_EQ(Dump(set), (Ranges{{0, 999}}));
    EXPECT_EQ(tm.mem.alloc_count, allocs);
}

TEST_F(RangeSetTest, MergesNeighboursAndOverlaps)
{
    Add(10, 19);
    Add(30, 39);
    Add(50, 59);
    EXPECT_EQ(Dump(set), (Ranges{{10, 19}, {30, 39}, {50, 59}}));
    Add(20, 20);
    EXPECT_EQ(Dump(set), (Ranges{{10, 20}, {30, 39}, {50, 59}}));
    Add(29, 29);
    EXPECT_EQ(Dump(set), (Ranges{{10, 20}, {29, 39}, {50, 59}}));
    Add(21, 28);
    EXPECT_EQ(Dump(set), (Ranges{{10, 39}, {50, 59}}));
    Add(35, 55);
    EXPECT_EQ(Dump(set), (Ranges{{10, 59}}));
    Add(12, 13);
    EXPECT_EQ(Dump(set), (Ranges{{10, 59}}));
    Add(0, 100);
    EXPECT_EQ(Dump(set), (Ranges{{0, 100}}));
    EXPECT_EQ(quic_range_set_min(&set), 0u);
    EXPECT_EQ(quic_range_set_max(&set), 100u);
}

TEST_F(RangeSetTest, LargestValues)
{
    Add(UINT64_MAX - 1, UINT64_MAX - 1);
    Add(UINT64_MAX - 3, UINT64_MAX - 3);
    Add(UINT64_MAX - 2, UINT64_MAX - 2);
    EXPECT_EQ(Dump(set), (Ranges{{UINT64_MAX - 3, UINT64_MAX - 1}}));
    EXPECT_TRUE(quic_range_set_contains(&set, UINT64_MAX - 1));
    EXPECT_FALSE(quic_range_set_contains(&set, UINT64_MAX));
}

TEST_F(RangeSetTest, RefusesWhenFull)
{
    for (uint64_t i = 0; i < 8; i++) {
        Add(i * 10, i * 10);
    }
    Ranges before = Dump(set);
    EXPECT_EQ(quic_range_set_add(&set, 5, 5), QUIC_E_LIMIT);
    EXPECT_EQ(quic_range_set_add(&set, 500, 500), QUIC_E_LIMIT);
    EXPECT_EQ(Dump(set), before);
    Add(70, 71); /* merging needs no room */
    Add(1, 9);
    EXPECT_EQ(set.count, 7u);
}

TEST_F(RangeSetTest, ForgetsTheLowestWhenFull)
{
    for (uint64_t i = 0; i < 8; i++) {
        ASSERT_EQ(quic_range_set_add_forget(&set, 100 + i * 10, 100 + i * 10), QUIC_OK);
    }
    EXPECT_EQ(quic_range_set_add_forget(&set, 50, 50), QUIC_OK);
    EXPECT_EQ(quic_range_set_min(&set), 100u); /* 50 itself was forgotten */
    EXPECT_EQ(quic_range_set_add_forget(&set, 105, 105), QUIC_OK);
    EXPECT_EQ(quic_range_set_min(&set), 105u);
    EXPECT_EQ(quic_range_set_add_forget(&set, 300, 300), QUIC_OK);
    EXPECT_EQ(quic_range_set_min(&set), 110u);
    EXPECT_EQ(quic_range_set_max(&set), 300u);
    EXPECT_EQ(set.count, 8u);
}

TEST_F(RangeSetTest, RefusedMemory)
{
    tm.refuse = true;
    EXPECT_EQ(quic_range_set_add(&set, 1, 1), QUIC_E_NOMEM);
    EXPECT_EQ(quic_range_set_add_forget(&set, 1, 1), QUIC_E_NOMEM);
    tm.refuse = false;
    for (uint64_t i = 0; i < 4; i++) {
        Add(i * 10, i * 10);
    }
    tm.refuse = true;
    EXPECT_EQ(quic_range_set_add(&set, 50, 50), QUIC_E_NOMEM);
    EXPECT_EQ(quic_range_set_add_forget(&set, 50, 50), QUIC_OK);
    EXPECT_EQ(Dump(set), (Ranges{{10, 10}, {20, 20}, {30, 30}, {50, 50}}));
}

TEST_F(RangeSetTest, SubtractSplits)
{
    Add(0, 99);
    ASSERT_EQ(quic_range_set_subtract(&set, 40, 59), QUIC_OK);
    EXPECT_EQ(Dump(set), (Ranges{{0, 39}, {60, 99}}));
    ASSERT_EQ(quic_range_set_subtract(&set, 30, 69), QUIC_OK);
    EXPECT_EQ(Dump(set), (Ranges{{0, 29}, {70, 99}}));
    ASSERT_EQ(quic_range_set_subtract(&set, 0, 29), QUIC_OK);
    EXPECT_EQ(Dump(set), (Ranges{{70, 99}}));
    ASSERT_EQ(quic_range_set_subtract(&set, 99, UINT64_MAX), QUIC_OK);
    EXPECT_EQ(Dump(set), (Ranges{{70, 98}}));
}

TEST_F(RangeSetTest, LentStorageNeverGrows)
{
    quic_range storage[2];
    quic_range_set lent;
    quic_range_set_init_lent(&lent, storage, 2);
    EXPECT_EQ(quic_range_set_add(&lent, 0, 9), QUIC_OK);
    EXPECT_EQ(quic_range_set_add(&lent, 20, 29), QUIC_OK);
    EXPECT_EQ(quic_range_set_add(&lent, 40, 49), QUIC_E_LIMIT);
    EXPECT_EQ(quic_range_set_subtract(&lent, 4, 5), QUIC_E_LIMIT);
    EXPECT_EQ(Dump(lent), (Ranges{{0, 9}, {20, 29}}));
    quic_range_set_clear(&lent);
    EXPECT_TRUE(quic_range_set_is_empty(&lent));
    quic_range_set_deinit(&lent);
    EXPECT_EQ(tm.mem.alloc_count, 0u);
}

/* A window that moves on: nothing is allocated for it, and nobody is moved but now and then. */
TEST_F(RangeSetTest, TheLowestGoAndOthersCome)
{
    constexpr uint64_t kMax = 200;
    quic_range_set many;
    quic_range_set_init(&many, &tm.mem, kMax);
    uint64_t next = 0;
    const auto step = [&] {
        ASSERT_EQ(quic_range_set_add(&many, 2 * next, 2 * next), QUIC_OK);
        next++;
        if (next > kMax - 1) {
            quic_range_set_remove_below(&many, 2 * (next - kMax + 1));
        }
    };
    while (next < kMax) {
        step();
    }
    tm.refuse = true; /* then it is done with what there is */
    while (next < 1000) {
        step();
    }
    tm.refuse = false;
    const quic_range *before = nullptr;
    uint64_t moves = 0;
    while (next < 10000) {
        step();
        moves += many.ranges == before + 1 ? 0 : 1;
        before = many.ranges;
    }
    EXPECT_LE(moves, 9000 / (kMax / 16));
    EXPECT_LE(tm.mem.alloc_count, 9u);
    EXPECT_LE(many.cap, kMax * 5 / 4);
    ASSERT_EQ(many.count, kMax - 1);
    for (uint32_t i = 0; i < many.count; i++) {
        EXPECT_EQ(quic_range_set_at(&many, i)->lo, 2 * (next - many.count + i));
    }
    quic_range_set_deinit(&many);
}

/* Random operations against a plain set of values. */
TEST_F(RangeSetTest, MatchesANaiveModel)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        quic_rng_seeded_state state = {seed};
        quic_rng rng = quic_rng_seeded(&state);
        quic_range_set_clear(&set);
        std::set<uint64_t> model;
        const bool forget = seed % 2 == 0;
        for (int step = 0; step < 1500; step++) {
            uint64_t lo = quic_rng_u64(&rng) % 120;
            uint64_t hi = lo + quic_rng_u64(&rng) % 6;
            uint64_t op = quic_rng_u64(&rng) % 16;
            std::set<uint64_t> next = model;
            if (op < 10) {
                for (uint64_t v = lo; v <= hi; v++) {
                    next.insert(v);
                }
                if (forget) {
                    ASSERT_EQ(quic_range_set_add_forget(&set, lo, hi), QUIC_OK);
                    Ranges ranges = Dump(next);
                    if (ranges.size() > 8) {
                        for (uint64_t v = ranges[0].first; v <= ranges[0].second; v++) {
                            next.erase(v);
                        }
                    }
                    model = next;
                } else {
                    bool fits = Dump(next).size() <= 8;
                    ASSERT_EQ(quic_range_set_add(&set, lo, hi), fits ? QUIC_OK : QUIC_E_LIMIT);
                    model = fits ? next : model;
                }
            } else if (op < 15) {
                for (uint64_t v = lo; v <= hi; v++) {
                    next.erase(v);
                }
                bool fits = Dump(next).size() <= 8;
                ASSERT_EQ(quic_range_set_subtract(&set, lo, hi), fits ? QUIC_OK : QUIC_E_LIMIT);
                model = fits ? next : model;
            } else {
                quic_range_set_remove_below(&set, lo / 4);
                model.erase(model.begin(), model.lower_bound(lo / 4));
            }
            ASSERT_EQ(Dump(set), Dump(model)) << "seed " << seed << " step " << step;
            ASSERT_EQ(quic_range_set_contains(&set, lo), model.count(lo) == 1);
            uint64_t missing = 0;
            for (uint64_t v = lo; v <= hi; v++) {
                missing += model.count(v) == 0;
            }
            ASSERT_EQ(quic_range_set_missing(&set, lo, hi), missing);
        }
    }
}

} // namespace

#include <map>
#include <vector>

#include <gtest/gtest.h>

#include "quic/base/rng.h"
#include "quic/path/cid_table.h"
#include "tests/quic/base/test_mem.h"

namespace
{

using Bytes = std::vector<uint8_t>;

class CidTableTest : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        const uint8_t key[16] = {1, 2, 3};
        test_mem_init(&tm);
        quic_cid_table_init(&table, &tm.mem, 1000, key);
    }

    void TearDown() override
    {
        quic_cid_table_deinit(&table);
        EXPECT_EQ(tm.mem.used_bytes, 0u);
    }

    quic_rc Add(const Bytes &b, void *v)
    {
        return quic_cid_table_add(&table, b.data(), b.size(), v);
    }
    /* Whatever was looked for before, and whatever has moved since, a hint changes no answer. */
    void *Find(const Bytes &b)
    {
        void *value = quic_cid_table_find(&table, b.data(), b.size());
        uint32_t expected = quic_cid_table_expect(&table, hint, b.data(), b.size());
        EXPECT_EQ(quic_cid_table_find_hinted(&table, &expected, b.data(), b.size()), value);
        EXPECT_EQ(quic_cid_table_find_hinted(&table, &hint, b.data(), b.size()), value);
        if (value != nullptr) { /* where it is, for the next time */
            EXPECT_EQ(table.slots[hint & (table.cap - 1)].value, value);
        }
        EXPECT_EQ(quic_cid_table_find_hinted(&table, &hint, b.data(), b.size()), value);
        if (value != nullptr) { /* where it was found is where it is expected */
            EXPECT_EQ(quic_cid_table_expect(&table, hint, b.data(), b.size()), expected);
        }
        return value;
    }
    void Remove(const Bytes &b)
    {
        quic_cid_table_remove(&table, b.data(), b.size());
    }

    test_mem tm;
    quic_cid_table table;
    uint32_t hint = UINT32_MAX;
    int values[4] = {};
};

/* RFC 9000 21: connection IDs that differ in few bits, or in such that a plain hash would not look at, end
 * up no closer together than others. With linear probing the longest row of used slots bounds a search. */
TEST(CidTable, H72_ChosenConnectionIdsBuildNoChains)
{
    uint64_t (*const families[])(uint64_t) = {
        +[](uint64_t i) { return i; },       /* counts */
        +[](uint64_t i) { return i << 32; }, /* the low half is the same */
        +[](uint64_t i) -> uint64_t {
            return i * 0x0001000100010001ull;
        }, /* words that fold to one */
        +[](uint64_t i) { return (i << 20) | (i & 0xff); },
    };
    for (const auto &family : families) {
        test_mem mem;
        quic_cid_table t;
        const uint8_t key[16] = {9, 8, 7};
        int value = 0;
        test_mem_init(&mem);
        quic_cid_table_init(&t, &mem.mem, 1u << 17, key);
        for (uint64_t i = 0; i < 80000; i++) {
            const uint64_t cid = family(i + 1);
            ASSERT_EQ(quic_cid_table_add(&t, reinterpret_cast<const uint8_t *>(&cid), 8, &value),
                      QUIC_OK);
        }
        uint32_t longest = 0;
        uint32_t row = 0;
        for (uint32_t i = 0; i < 2 * t.cap; i++) { /* twice around: rows wrap */
            row = t.slots[i % t.cap].value != nullptr ? row + 1 : 0;
            longest = row > longest ? row : longest;
        }
        EXPECT_LT(longest, 300u);
        quic_cid_table_deinit(&t);
    }
}

TEST_F(CidTableTest, EmptyTableFindsNothing)
{
    EXPECT_EQ(Find({1}), nullptr);
    EXPECT_EQ(Find({}), nullptr);
    Remove({1});
    EXPECT_EQ(tm.mem.alloc_count, 0u);
}

TEST_F(CidTableTest, LengthIsPartOfTheName)
{
    ASSERT_EQ(Add({1, 2, 3}, &values[0]), QUIC_OK);
    ASSERT_EQ(Add({1, 2, 3, 0}, &values[1]), QUIC_OK);
    ASSERT_EQ(Add(Bytes(20, 7), &values[2]), QUIC_OK);
    EXPECT_EQ(Add({1, 2, 3}, &values[3]), QUIC_E_STATE);
    EXPECT_EQ(Find({1, 2, 3}), &values[0]);
    EXPECT_EQ(Find({1, 2, 3, 0}), &values[1]);
    EXPECT_EQ(Find({1, 2}), nullptr);
    EXPECT_EQ(Find(Bytes(20, 7)), &values[2]);
    EXPECT_EQ(Find(Bytes(21, 7)), nullptr);
    EXPECT_EQ(Find({}), nullptr);
    Remove({1, 2, 3});
    Remove(Bytes(21, 7));
    Remove({});
    EXPECT_EQ(Find({1, 2, 3}), nullptr);
    EXPECT_EQ(Find({1, 2, 3, 0}), &values[1]);
    EXPECT_EQ(table.count, 2u);
}

TEST_F(CidTableTest, BoundsAndRefusals)
{
    tm.refuse = true;
    EXPECT_EQ(Add({1}, &values[0]), QUIC_E_NOMEM);
    tm.refuse = false;
    for (uint32_t i = 0; i < 1000; i++) {
        ASSERT_EQ(Add({static_cast<uint8_t>(i), static_cast<uint8_t>(i >> 8)}, &values[0]),
                  QUIC_OK);
    }
    EXPECT_EQ(Add({1, 2, 3}, &values[0]), QUIC_E_LIMIT);
    EXPECT_LE(table.count * 2, table.cap);
}

TEST_F(CidTableTest, MatchesANaiveModel)
{
    quic_rng_seeded_state state = {77};
    quic_rng rng = quic_rng_seeded(&state);
    std::map<Bytes, void *> model;
    for (int step = 0; step < 60000; step++) {
        const uint64_t r = quic_rng_u64(&rng);
        Bytes name(1 + r % 3, static_cast<uint8_t>(r >> 8));
        name[0] = static_cast<uint8_t>(r >> 16);
        void *value = &values[(r >> 24) % 4];
        if ((r >> 32) % 8 < 4) {
            const bool there = model.count(name) == 1;
            const quic_rc rc = Add(name, value);
            if (model.size() >= 1000) {
                ASSERT_EQ(rc, QUIC_E_LIMIT);
            } else {
                ASSERT_EQ(rc == QUIC_OK, !there);
                model.emplace(name, value);
            }
        } else {
            Remove(name);
            model.erase(name);
        }
        ASSERT_EQ(table.count, model.size());
        if (step % 500 == 0) {
            for (const auto &entry : model) {
                ASSERT_EQ(Find(entry.first), entry.second);
            }
        }
        ASSERT_EQ(Find(name) != nullptr, model.count(name) == 1);
    }
}

} // namespace

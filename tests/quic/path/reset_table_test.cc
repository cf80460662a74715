#include <cstring>

#include <gtest/gtest.h>

#include "quic/path/reset_table.h"
#include "tests/quic/base/test_mem.h"

namespace
{

struct Token {
    uint8_t bytes[QUIC_RESET_TOKEN_LEN];
};

Token Make(uint8_t first, uint8_t last)
{
    Token t{};
    t.bytes[0] = first;
    t.bytes[QUIC_RESET_TOKEN_LEN - 1] = last;
    return t;
}

class ResetTableTest : public testing::Test
{
  protected:
    void SetUp() override
    {
        const uint8_t key[16] = {1, 2, 3};
        test_mem_init(&tm);
        quic_reset_table_init(&table, &tm.mem, 100, key);
    }
    void TearDown() override
    {
        quic_reset_table_deinit(&table);
        EXPECT_EQ(tm.mem.used_bytes, 0u);
    }

    test_mem tm;
    quic_reset_table table;
    int values[2] = {};
};

TEST_F(ResetTableTest, FindsWhatWasAddedAndNotRemoved)
{
    const Token a = Make(1, 1), b = Make(1, 2);
    EXPECT_EQ(quic_reset_table_find(&table, a.bytes), nullptr);
    ASSERT_EQ(quic_reset_table_add(&table, a.bytes, &values[0]), QUIC_OK);
    ASSERT_EQ(quic_reset_table_add(&table, b.bytes, &values[1]), QUIC_OK);
    EXPECT_EQ(quic_reset_table_add(&table, a.bytes, &values[1]), QUIC_E_STATE);
    EXPECT_EQ(quic_reset_table_find(&table, a.bytes), &values[0]);
    EXPECT_EQ(quic_reset_table_find(&table, b.bytes), &values[1]);
    quic_reset_table_remove(&table, a.bytes);
    EXPECT_EQ(quic_reset_table_find(&table, a.bytes), nullptr);
    EXPECT_EQ(quic_reset_table_find(&table, b.bytes), &values[1]);
}

/* RFC 9000 10.3.1: what is compared has nothing of a token in it, not even that two begin alike. */
TEST_F(ResetTableTest, ComparesNoTokens)
{
    const Token tokens[] = {Make(1, 1), Make(1, 2)};
    for (size_t i = 0; i < 2; i++) {
        ASSERT_EQ(quic_reset_table_add(&table, tokens[i].bytes, &values[i]), QUIC_OK);
    }
    const quic_cid_slot *held[2] = {};
    for (uint32_t i = 0; i < table.table.cap; i++) {
        const quic_cid_slot *slot = &table.table.slots[i];
        for (size_t v = 0; v < 2; v++) {
            held[v] = slot->value == &values[v] ? slot : held[v];
        }
    }
    ASSERT_TRUE(held[0] != nullptr && held[1] != nullptr);
    EXPECT_NE(memcmp(held[0]->bytes, tokens[0].bytes, 8), 0);
    EXPECT_NE(memcmp(held[0]->bytes, held[1]->bytes, 8), 0);
}

} // namespace

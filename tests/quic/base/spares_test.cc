#include <vector>

#include <gtest/gtest.h>

#include "quic/base/spares.h"
#include "tests/quic/base/test_mem.h"

namespace
{

constexpr size_t kSize = QUIC_SPARES_BLOCK_MIN;

class SparesTest : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        test_mem_init(&tm_);
        quic_spares_init(&spares_, &tm_.mem);
        quic_mem_init_child(&a_, &tm_.mem, 2 * kSize);
        quic_mem_init_child(&b_, &tm_.mem, 2 * kSize);
        large_ = quic_spares_alloc(&tm_.mem, QUIC_SPARES_NEAR_BYTES); /* as if many had one */
    }

    void TearDown() override
    {
        quic_spares_free(&tm_.mem, large_, QUIC_SPARES_NEAR_BYTES);
        EXPECT_EQ(0u, spares_.used_bytes);
        quic_spares_deinit(&spares_);
        EXPECT_EQ(0u, tm_.mem.used_bytes);
    }

    test_mem tm_;
    quic_spares spares_;
    quic_mem a_;
    quic_mem b_;
    void *large_;
};

TEST_F(SparesTest, ABlockGoesFromOneAccountToAnother)
{
    void *p = quic_spares_alloc(&a_, kSize);
    const uint64_t all = tm_.mem.used_bytes;
    ASSERT_TRUE(quic_spares_put(&a_, p, kSize));
    EXPECT_EQ(0u, a_.used_bytes);
    EXPECT_EQ(all, tm_.mem.used_bytes);
    EXPECT_EQ(p, quic_spares_alloc(&b_, kSize));
    EXPECT_EQ(kSize, b_.used_bytes);
    EXPECT_EQ(all, tm_.mem.used_bytes);
    EXPECT_EQ(0u, spares_.kept_bytes);
    EXPECT_EQ(2u, tm_.mem.alloc_count);
    quic_spares_free(&b_, p, kSize);
}

TEST_F(SparesTest, TheLastOnePutIsTheFirstTaken)
{
    void *p = quic_spares_alloc(&a_, kSize);
    void *q = quic_spares_alloc(&a_, kSize);
    ASSERT_TRUE(quic_spares_put(&a_, p, kSize));
    ASSERT_TRUE(quic_spares_put(&a_, q, kSize));
    EXPECT_EQ(q, quic_spares_alloc(&b_, kSize));
    EXPECT_EQ(p, quic_spares_alloc(&b_, kSize));
    quic_spares_free(&b_, p, kSize);
    quic_spares_free(&b_, q, kSize);
}

TEST_F(SparesTest, FewUsersKeepTheirs)
{
    void *p = quic_spares_alloc(&a_, kSize);
    quic_spares_free(&tm_.mem, large_, QUIC_SPARES_NEAR_BYTES);
    EXPECT_FALSE(quic_spares_put(&a_, p, kSize));
    quic_spares_free(&a_, p, kSize);
    large_ = quic_spares_alloc(&tm_.mem, QUIC_SPARES_NEAR_BYTES);
}

TEST_F(SparesTest, AnAccountsLimitHoldsForThemToo)
{
    void *own = quic_mem_alloc(&b_, 2 * kSize - 1);
    void *p = quic_spares_alloc(&a_, kSize);
    ASSERT_TRUE(quic_spares_put(&a_, p, kSize));
    quic_mem leaf;
    quic_mem_init_child(&leaf, &b_, 2 * kSize);
    EXPECT_EQ(nullptr, quic_spares_alloc(&leaf, kSize));
    EXPECT_EQ(0u, leaf.used_bytes);
    EXPECT_EQ(2 * kSize - 1, b_.used_bytes);
    quic_mem_free(&b_, own, 2 * kSize - 1);
}

TEST_F(SparesTest, SomeAreNotKept)
{
    void *small = quic_spares_alloc(&tm_.mem, kSize / 2);
    void *large = quic_spares_alloc(&tm_.mem, 2 * QUIC_SPARES_BLOCK_MAX);
    EXPECT_FALSE(quic_spares_put(&tm_.mem, small, kSize / 2));
    EXPECT_FALSE(quic_spares_put(&tm_.mem, large, 2 * QUIC_SPARES_BLOCK_MAX));
    quic_spares_free(&tm_.mem, small, kSize / 2);
    quic_spares_free(&tm_.mem, large, 2 * QUIC_SPARES_BLOCK_MAX);
}

TEST_F(SparesTest, NoMoreAreKeptThanTheBound)
{
    std::vector<void *> blocks;
    for (size_t n = 0; n <= QUIC_SPARES_BYTES_MAX / QUIC_SPARES_BLOCK_MAX; n++) {
        blocks.push_back(quic_spares_alloc(&tm_.mem, QUIC_SPARES_BLOCK_MAX));
    }
    for (size_t n = 0; n + 1 < blocks.size(); n++) {
        EXPECT_TRUE(quic_spares_put(&tm_.mem, blocks[n], QUIC_SPARES_BLOCK_MAX));
    }
    EXPECT_FALSE(quic_spares_put(&tm_.mem, blocks.back(), QUIC_SPARES_BLOCK_MAX));
    quic_spares_free(&tm_.mem, blocks.back(), QUIC_SPARES_BLOCK_MAX);
}

TEST(Spares, AnAccountWithoutThemKeepsItsBlocks)
{
    test_mem tm;
    test_mem_init(&tm);
    void *p = quic_spares_alloc(&tm.mem, kSize);
    EXPECT_FALSE(quic_spares_put(&tm.mem, p, kSize));
    quic_spares_free(&tm.mem, p, kSize);
}

} // namespace

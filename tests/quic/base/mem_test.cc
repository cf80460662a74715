#include <gtest/gtest.h>

#include "quic/base/mem.h"
#include "tests/quic/base/test_mem.h"

namespace
{

class MemTest : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        test_mem_init(&tm);
        tm.mem.limit_bytes = 1000;
        quic_mem_init_child(&child, &tm.mem, 600);
    }

    test_mem tm;
    quic_mem child;
};

TEST_F(MemTest, ChargesTheWholeBranch)
{
    void *p = quic_mem_alloc(&child, 100);
    ASSERT_NE(p, nullptr);
    EXPECT_EQ(child.used_bytes, 100u);
    EXPECT_EQ(tm.mem.used_bytes, 100u);
    EXPECT_EQ(tm.mem.alloc_count, 1u);
    quic_mem_free(&child, p, 100);
    EXPECT_EQ(child.used_bytes, 0u);
    EXPECT_EQ(tm.mem.used_bytes, 0u);
    EXPECT_EQ(child.peak_bytes, 100u);
    quic_mem_free(&child, nullptr, 100);
    EXPECT_EQ(child.used_bytes, 0u);
}

TEST_F(MemTest, OwnLimitRefuses)
{
    EXPECT_FALSE(quic_mem_would_fit(&child, 601));
    EXPECT_EQ(quic_mem_alloc(&child, 601), nullptr);
    EXPECT_EQ(child.failure_count, 1u);
    void *p = quic_mem_alloc(&child, 600);
    EXPECT_NE(p, nullptr);
    quic_mem_free(&child, p, 600);
}

TEST_F(MemTest, ParentLimitRefuses)
{
    void *p = quic_mem_alloc(&tm.mem, 700);
    ASSERT_NE(p, nullptr);
    EXPECT_EQ(quic_mem_alloc(&child, 400), nullptr);
    EXPECT_EQ(child.used_bytes, 0u);
    void *q = quic_mem_zalloc(&child, 300);
    ASSERT_NE(q, nullptr);
    for (int i = 0; i < 300; i++) {
        EXPECT_EQ(static_cast<uint8_t *>(q)[i], 0);
    }
    quic_mem_free(&child, q, 300);
    quic_mem_free(&tm.mem, p, 700);
    EXPECT_EQ(tm.mem.used_bytes, 0u);
}

TEST_F(MemTest, WhatCanWaitLeavesAPartOfEveryLimit)
{
    const uint64_t limit = child.limit_bytes;
    const uint64_t part = limit / QUIC_MEM_BULK_LEAVES;
    EXPECT_EQ(quic_mem_alloc_bulk(&child, limit - part + 1), nullptr);
    EXPECT_EQ(child.failure_count, 1u);
    void *p = quic_mem_alloc_bulk(&child, limit - part);
    ASSERT_NE(p, nullptr);
    EXPECT_EQ(quic_mem_alloc_bulk(&child, 1), nullptr);
    void *q = quic_mem_alloc(&child, part);
    ASSERT_NE(q, nullptr);
    quic_mem_free(&child, q, part);
    /* Of the parent's as well. */
    const uint64_t left = tm.mem.limit_bytes - tm.mem.used_bytes;
    q = quic_mem_alloc(&tm.mem, left);
    ASSERT_NE(q, nullptr);
    quic_mem_free(&child, p, limit - part);
    EXPECT_EQ(quic_mem_alloc_bulk(&child, limit - part), nullptr);
    quic_mem_free(&tm.mem, q, left);
    EXPECT_EQ(tm.mem.used_bytes, 0u);
}

TEST_F(MemTest, ABlockChangesHands)
{
    void *p = quic_mem_alloc(&tm.mem, 400);
    void *q = quic_mem_alloc(&tm.mem, 201);
    ASSERT_TRUE(p != nullptr && q != nullptr);
    EXPECT_TRUE(quic_mem_adopt(&child, 400));
    EXPECT_EQ(child.used_bytes, 400u);
    EXPECT_EQ(child.peak_bytes, 400u);
    EXPECT_EQ(tm.mem.used_bytes, 601u);
    EXPECT_FALSE(quic_mem_adopt(&child, 201)); /* beyond the child's limit: stays the parent's */
    EXPECT_EQ(child.used_bytes, 400u);
    EXPECT_EQ(child.failure_count, 1u);
    quic_mem_free(&tm.mem, q, 201);
    quic_mem_free(&child, p, 400);
    EXPECT_EQ(child.used_bytes, 0u);
    EXPECT_EQ(tm.mem.used_bytes, 0u);
}

TEST_F(MemTest, AllocatorRefusalChargesNothing)
{
    tm.refuse = true;
    EXPECT_EQ(quic_mem_alloc(&child, 10), nullptr);
    EXPECT_EQ(quic_mem_zalloc(&child, 10), nullptr);
    EXPECT_EQ(child.used_bytes, 0u);
    EXPECT_EQ(tm.mem.used_bytes, 0u);
    EXPECT_EQ(child.failure_count, 2u);
}

} // namespace

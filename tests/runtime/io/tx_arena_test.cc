#include <vector>

#include <gtest/gtest.h>

#include "runtime/io/io.h"
#include "runtime/io/tx_arena.h"

namespace
{

struct Arena {
    rt_tx_arena a;
    Arena(uint32_t slots, uint32_t ops)
    {
        EXPECT_TRUE(rt_tx_arena_init(&a, slots, ops));
    }
    ~Arena()
    {
        rt_tx_arena_deinit(&a);
    }
    rt_tx_op *Take(uint32_t len)
    {
        quic_tx_unit unit;
        if (!rt_tx_arena_buf(&a, &unit, len)) {
            return nullptr;
        }
        EXPECT_GE(unit.cap, len);
        EXPECT_LE(unit.cap, RT_IO_UNIT_BYTES_MAX);
        memset(unit.buf, 0x5a, len);
        unit.len = len;
        unit.seg_len = len < 1200 ? len : 1200;
        return rt_tx_arena_take(&a, &unit);
    }
};

} // namespace

TEST(TxArena, SmallSendsShareOneSlot)
{
    Arena x(2, 100);
    std::vector<rt_tx_op *> ops;
    for (int i = 0; i < 100; i++) {
        ops.push_back(x.Take(40));
        ASSERT_NE(ops.back(), nullptr);
        EXPECT_EQ(ops.back()->slot, 0);
    }
    EXPECT_EQ(x.Take(40), nullptr); // no descriptor left
    for (rt_tx_op *op : ops) {
        rt_tx_arena_done(&x.a, op);
    }
    EXPECT_EQ(x.a.in_flight, 0u);
}

TEST(TxArena, EmptySlotIsReusedFromItsStart)
{
    Arena x(4, 8);
    rt_tx_op *op = x.Take(60000);
    void *start = op->iov.iov_base;
    rt_tx_arena_done(&x.a, op);
    for (int i = 0; i < 10; i++) {
        op = x.Take(60000);
        ASSERT_NE(op, nullptr);
        EXPECT_EQ(op->iov.iov_base, start); // the warm one, not the next
        rt_tx_arena_done(&x.a, op);
    }
}

TEST(TxArena, SlotsAreUsedInTurnAndRunOut)
{
    Arena x(3, 8);
    rt_tx_op *a = x.Take(60000);
    rt_tx_op *b = x.Take(60000);
    rt_tx_op *c = x.Take(60000);
    EXPECT_EQ(a->slot, 0);
    EXPECT_EQ(b->slot, 1);
    EXPECT_EQ(c->slot, 2);
    EXPECT_EQ(x.Take(60000), nullptr);
    rt_tx_op *tail = x.Take(1000); // what is left of the last slot
    ASSERT_NE(tail, nullptr);
    EXPECT_EQ(tail->slot, 2);
    rt_tx_arena_done(&x.a, b); // not the next in turn
    EXPECT_EQ(x.Take(60000), nullptr);
    rt_tx_arena_done(&x.a, a);
    rt_tx_op *again = x.Take(60000);
    ASSERT_NE(again, nullptr);
    EXPECT_EQ(again->slot, 0);
    for (rt_tx_op *op : {c, tail, again}) {
        rt_tx_arena_done(&x.a, op);
    }
}

TEST(TxArena, LargestUnitFits)
{
    Arena x(1, 2);
    rt_tx_op *op = x.Take(RT_IO_UNIT_BYTES_MAX);
    ASSERT_NE(op, nullptr);
    EXPECT_EQ(x.Take(RT_IO_TX_SLOT_BYTES - RT_IO_UNIT_BYTES_MAX + 1), nullptr);
    rt_tx_arena_done(&x.a, op);
}

namespace
{

bool Join(Arena *x, rt_tx_op *op, uint32_t len, uint32_t seg_len, uint8_t ecn = 0,
          uint16_t port = 0, uint32_t socket = 0, uint64_t conn = 0)
{
    quic_tx_unit unit;
    EXPECT_TRUE(rt_tx_arena_buf(&x->a, &unit, len));
    unit.len = len;
    unit.seg_len = seg_len;
    unit.ecn = ecn;
    unit.path.remote.port = port;
    unit.path.socket = socket;
    unit.conn = conn;
    return rt_tx_arena_join(&x->a, op, &unit);
}

} // namespace

TEST(TxArena, JoinsEqualDatagramsAndAShorterOneAtTheEnd)
{
    Arena x(2, 8);
    rt_tx_op *op = x.Take(100);
    EXPECT_FALSE(Join(&x, op, 101, 101)); // a longer one
    EXPECT_FALSE(Join(&x, op, 100, 50));  // a train of shorter ones
    EXPECT_FALSE(Join(&x, op, 100, 100, 2));
    EXPECT_FALSE(Join(&x, op, 100, 100, 0, 1));
    EXPECT_FALSE(Join(&x, op, 100, 100, 0, 0, 1));
    EXPECT_TRUE(Join(&x, op, 100, 100));
    EXPECT_TRUE(Join(&x, op, 250, 100)); // a train whose last one is shorter
    EXPECT_EQ(op->len, 450u);
    EXPECT_EQ(op->iov.iov_len, 450u);
    EXPECT_FALSE(Join(&x, op, 50, 50)); // ... ends it
    rt_tx_op *other = x.Take(100);
    EXPECT_FALSE(Join(&x, op, 100, 100)); // not the last one
    EXPECT_TRUE(Join(&x, other, 99, 99));
    rt_tx_arena_done(&x.a, op);
    rt_tx_arena_done(&x.a, other);
}

TEST(TxArena, KnowsWhoseTrainItIs)
{
    Arena x(2, 8);
    rt_tx_op *op = x.Take(100);
    op->conn = 7;
    EXPECT_TRUE(Join(&x, op, 100, 100, 0, 0, 0, 7));
    EXPECT_EQ(op->conn, 7u);
    EXPECT_TRUE(Join(&x, op, 100, 100, 0, 0, 0, 8));
    EXPECT_EQ(op->conn, QUIC_TX_CONN_MANY);
    EXPECT_TRUE(Join(&x, op, 100, 100, 0, 0, 0, 7));
    EXPECT_EQ(op->conn, QUIC_TX_CONN_MANY);
    rt_tx_arena_done(&x.a, op);
}

TEST(TxArena, JoinsNoMoreThanTheKernelTakes)
{
    Arena x(2, 8);
    rt_tx_op *op = x.Take(10);
    int n = 1;
    while (Join(&x, op, 10, 10)) {
        n++;
    }
    EXPECT_EQ(n, 64);
    rt_tx_op *large = x.Take(1200);
    for (n = 1; Join(&x, large, 1200, 1200);) {
        n++;
    }
    EXPECT_LE(large->len, RT_IO_UNIT_BYTES_MAX);
    EXPECT_GT(large->len + 1200, RT_IO_UNIT_BYTES_MAX);
    rt_tx_arena_done(&x.a, op);
    rt_tx_arena_done(&x.a, large);
}

/* As of Initials: nobody waits for a batch of them. */
TEST(TxArena, LongHeadersAreNotJoined)
{
    for (uint8_t first : {0x40, 0xc0}) {
        for (uint8_t second : {0x40, 0xc0}) {
            Arena x(1, 4);
            rt_tx_op *op = x.Take(100);
            quic_tx_unit unit;
            ASSERT_TRUE(rt_tx_arena_buf(&x.a, &unit, 100));
            *static_cast<uint8_t *>(op->iov.iov_base) = first;
            unit.buf[0] = second;
            unit.len = 100;
            unit.seg_len = 100;
            EXPECT_EQ(rt_tx_arena_join(&x.a, op, &unit), first == 0x40 && second == 0x40);
            rt_tx_arena_done(&x.a, op);
        }
    }
}

/* A search for a larger datagram size may be too long for the path: EMSGSIZE for the whole train. */
TEST(TxArena, WhatIsToBeAloneIsNotJoined)
{
    for (int first = 0; first < 2; first++) {
        Arena x(1, 4);
        quic_tx_unit unit;
        ASSERT_TRUE(rt_tx_arena_buf(&x.a, &unit, 100));
        EXPECT_FALSE(unit.alone);
        unit.buf[0] = 0x40;
        unit.len = unit.seg_len = 100;
        unit.alone = first == 0;
        rt_tx_op *op = rt_tx_arena_take(&x.a, &unit);
        ASSERT_TRUE(rt_tx_arena_buf(&x.a, &unit, 100));
        unit.buf[0] = 0x40;
        unit.len = unit.seg_len = 100;
        unit.alone = first == 1;
        EXPECT_FALSE(rt_tx_arena_join(&x.a, op, &unit));
        rt_tx_arena_done(&x.a, op);
    }
}

TEST(TxArena, ListsAreFirstInFirstOut)
{
    Arena x(1, 4);
    rt_tx_list list;
    rt_tx_list_init(&list);
    EXPECT_EQ(rt_tx_list_pop(&list, &x.a), nullptr);
    rt_tx_op *a = x.Take(10);
    rt_tx_op *b = x.Take(10);
    for (int round = 0; round < 2; round++) {
        rt_tx_list_push(&list, &x.a, a);
        rt_tx_list_push(&list, &x.a, b);
        EXPECT_EQ(rt_tx_list_pop(&list, &x.a), a);
        EXPECT_EQ(rt_tx_list_pop(&list, &x.a), b);
        EXPECT_TRUE(rt_tx_list_is_empty(&list));
    }
    rt_tx_arena_done(&x.a, a);
    rt_tx_arena_done(&x.a, b);
}

TEST(TxArena, RefusesCountsOfZero)
{
    rt_tx_arena a;
    EXPECT_FALSE(rt_tx_arena_init(&a, 0, 1));
    EXPECT_FALSE(rt_tx_arena_init(&a, 1, 0));
}

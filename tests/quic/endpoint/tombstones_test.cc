#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "quic/endpoint/tombstones.h"
#include "tests/quic/base/test_mem.h"

namespace
{

constexpr uint32_t kMax = 4;

class TombstonesTest : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        const uint8_t key[16] = {7, 8, 9};
        test_mem_init(&tm);
        quic_tombstones_init(&stones, &tm.mem, kMax, key);
    }

    void TearDown() override
    {
        quic_tombstones_deinit(&stones);
        EXPECT_EQ(tm.mem.used_bytes, 0u);
    }

    /* A connection with `cids` IDs that begin with `name`, and a CONNECTION_CLOSE of `close_len` bytes. */
    static quic_conn_remains Remains(uint8_t name, uint32_t cids, size_t close_len, quic_ns until)
    {
        quic_conn_remains r{};
        r.until_ns = until;
        r.recv_next = 1;
        r.cid_count = cids;
        for (uint32_t i = 0; i < cids; i++) {
            const uint8_t bytes[] = {name, static_cast<uint8_t>(i), 1, 2, 3, 4, 5, 6};
            quic_cid_set(&r.cids[i], bytes, sizeof(bytes));
        }
        r.close_len = close_len;
        memset(r.close, name, close_len);
        return r;
    }

    quic_tombstone *Find(uint8_t name, uint8_t i)
    {
        const uint8_t bytes[] = {name, i, 1, 2, 3, 4, 5, 6};
        return quic_tombstones_find(&stones, bytes, sizeof(bytes));
    }

    quic_rc Add(const quic_conn_remains &r)
    {
        return quic_tombstones_add(&stones, &r);
    }

    test_mem tm;
    quic_tombstones stones;
};

TEST_F(TombstonesTest, AreFoundByEachConnectionIdUntilTheirTime)
{
    ASSERT_EQ(Add(Remains(1, 3, 40, 100)), QUIC_OK);
    ASSERT_EQ(Add(Remains(2, 1, 40, 50)), QUIC_OK);
    ASSERT_EQ(Add(Remains(3, 1, 0, 50)), QUIC_OK);
    EXPECT_EQ(stones.count, 3u);
    EXPECT_EQ(stones.answering, 2u) << "not the one without a CONNECTION_CLOSE";
    for (uint8_t i = 0; i < 3; i++) {
        EXPECT_NE(Find(1, i), nullptr);
        EXPECT_EQ(Find(1, i), Find(1, 0));
    }
    EXPECT_EQ(Find(1, 3), nullptr);
    EXPECT_NE(Find(2, 0), Find(1, 0));
    EXPECT_EQ(quic_tombstones_next_timeout(&stones), 50u);
    quic_tombstones_expire(&stones, 49);
    EXPECT_NE(Find(2, 0), nullptr);
    quic_tombstones_expire(&stones, 50);
    EXPECT_EQ(Find(2, 0), nullptr);
    EXPECT_EQ(stones.count, 1u);
    EXPECT_EQ(stones.answering, 1u);
    EXPECT_EQ(quic_tombstones_next_timeout(&stones), 100u);
    quic_tombstones_expire(&stones, 1000);
    EXPECT_EQ(Find(1, 0), nullptr);
    EXPECT_EQ(quic_tombstones_next_timeout(&stones), QUIC_NS_NEVER);
}

/* RFC 9000 10.2.1 */
TEST_F(TombstonesTest, AnswerTheFirstSecondFourth)
{
    ASSERT_EQ(Add(Remains(1, 1, 40, 100)), QUIC_OK);
    std::vector<int> answered;
    for (int i = 1; i <= 40; i++) {
        size_t len = 0;
        const uint8_t *close = quic_tombstone_on_recv(Find(1, 0), 30, &len);
        if (close != nullptr) {
            answered.push_back(i);
            ASSERT_EQ(len, 40u);
            EXPECT_EQ(close[0], 1);
            EXPECT_EQ(close[39], 1);
        }
    }
    EXPECT_EQ(answered, (std::vector<int>{1, 2, 4, 8, 16, 32}));
}

/* The count goes on where the connection's was. */
TEST_F(TombstonesTest, GoOnCounting)
{
    quic_conn_remains r = Remains(1, 1, 40, 100);
    r.recv_count = 5;
    r.recv_next = 8;
    ASSERT_EQ(Add(r), QUIC_OK);
    size_t len = 0;
    EXPECT_EQ(quic_tombstone_on_recv(Find(1, 0), 30, &len), nullptr); /* the 6th */
    EXPECT_EQ(quic_tombstone_on_recv(Find(1, 0), 30, &len), nullptr);
    EXPECT_NE(quic_tombstone_on_recv(Find(1, 0), 30, &len), nullptr);
}

/* RFC 9000 10.2.1, 8.1: whoever sent it, no more than three times as much goes back */
TEST_F(TombstonesTest, AnswerNoSmallDatagram)
{
    ASSERT_EQ(Add(Remains(1, 1, 91, 100)), QUIC_OK);
    size_t len = 0;
    EXPECT_EQ(quic_tombstone_on_recv(Find(1, 0), 30, &len), nullptr);
    EXPECT_NE(quic_tombstone_on_recv(Find(1, 0), 31, &len), nullptr);
}

/* RFC 9000 10.2.2 */
TEST_F(TombstonesTest, OfDrainingConnectionsAreSilent)
{
    ASSERT_EQ(Add(Remains(1, 1, 0, 100)), QUIC_OK);
    size_t len = 0;
    for (int i = 0; i < 10; i++) {
        EXPECT_EQ(quic_tombstone_on_recv(Find(1, 0), 1200, &len), nullptr);
    }
}

TEST_F(TombstonesTest, HaveABound)
{
    for (uint8_t i = 0; i < kMax; i++) {
        ASSERT_EQ(Add(Remains(i, 2, 40, 100)), QUIC_OK);
    }
    EXPECT_EQ(Add(Remains(9, 2, 40, 100)), QUIC_E_LIMIT);
    EXPECT_EQ(Find(9, 0), nullptr);
    quic_tombstones_expire(&stones, 100);
    EXPECT_EQ(Add(Remains(9, 2, 40, 200)), QUIC_OK);
}

/* An ID that is there already belongs to the older one, and nothing of the newer is left. */
TEST_F(TombstonesTest, ASecondOneWithAnIdOfTheFirstIsNotTaken)
{
    ASSERT_EQ(Add(Remains(1, 1, 40, 100)), QUIC_OK);
    const uint64_t bytes = tm.mem.used_bytes;
    EXPECT_EQ(Add(Remains(1, 3, 40, 100)), QUIC_E_LIMIT);
    EXPECT_EQ(Find(1, 1), nullptr);
    EXPECT_EQ(stones.count, 1u);
    EXPECT_EQ(tm.mem.used_bytes, bytes);
}

TEST_F(TombstonesTest, AnAllocationThatFailsLeavesNothingBehind)
{
    for (uint32_t k = 1; k <= 3; k++) { /* the stone, the heap's array, the table's */
        tm.fail_in = k;
        EXPECT_EQ(Add(Remains(1, 2, 40, 100)), QUIC_E_NOMEM) << k;
        EXPECT_EQ(tm.fail_in, 0u);
        EXPECT_EQ(stones.count, 0u);
        EXPECT_EQ(quic_tombstones_next_timeout(&stones), QUIC_NS_NEVER);
    }
    EXPECT_EQ(Add(Remains(1, 2, 40, 100)), QUIC_OK);
}

} // namespace

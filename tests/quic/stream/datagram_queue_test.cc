#include <deque>
#include <vector>

#include <gtest/gtest.h>

#include "quic/stream/datagram_queue.h"
#include "tests/quic/stream/stream_test_util.h"

namespace
{

using stream_test::Memory;
using stream_test::Rng;
using Bytes = std::vector<uint8_t>;

constexpr uint32_t kMax = QUIC_DATAGRAM_QUEUE_SEND_BYTES;
constexpr uint32_t kSlots = kMax / QUIC_DATAGRAM_QUEUE_COUNTS_BYTES;

class DatagramQueue : public ::testing::Test
{
  protected:
    DatagramQueue()
    {
        quic_datagram_queue_init(&q_, &memory_.mem, kMax);
    }
    ~DatagramQueue() override
    {
        quic_datagram_queue_deinit(&q_);
        EXPECT_EQ(memory_.mem.used_bytes, 0u);
    }
    quic_rc Push(const Bytes &bytes, quic_ns expires_ns = QUIC_NS_NEVER)
    {
        return quic_datagram_queue_push(&q_, bytes.data(), bytes.size(), expires_ns);
    }
    Bytes Pop()
    {
        const quic_datagram *d = quic_datagram_queue_front(&q_);
        EXPECT_NE(d, nullptr);
        const uint8_t *p = quic_datagram_queue_bytes(&q_);
        Bytes out(p, p + d->len);
        quic_datagram_queue_pop(&q_);
        return out;
    }

    Memory memory_;
    quic_datagram_queue q_;
};

TEST_F(DatagramQueue, HoldsNoMemoryUntilUsedAndNoneAfterATrim)
{
    EXPECT_EQ(memory_.mem.used_bytes, 0u);
    EXPECT_EQ(quic_datagram_queue_front(&q_), nullptr);
    ASSERT_EQ(Push({1, 2, 3}), QUIC_OK);
    uint64_t used = memory_.mem.used_bytes;
    EXPECT_GT(used, 0u);
    quic_datagram_queue_trim(&q_); /* something waits */
    EXPECT_EQ(memory_.mem.used_bytes, used);
    EXPECT_EQ(Pop(), (Bytes{1, 2, 3}));
    quic_datagram_queue_trim(&q_);
    EXPECT_EQ(memory_.mem.used_bytes, 0u);
    ASSERT_EQ(Push({4}), QUIC_OK);
    EXPECT_EQ(Pop(), Bytes{4});
}

TEST_F(DatagramQueue, KeepsExpiryAndOrder)
{
    ASSERT_EQ(Push({1}, 10), QUIC_OK);
    ASSERT_EQ(Push({}, 20), QUIC_OK);
    EXPECT_EQ(quic_datagram_queue_front(&q_)->expires_ns, 10u);
    EXPECT_EQ(Pop(), Bytes{1});
    EXPECT_EQ(quic_datagram_queue_front(&q_)->expires_ns, 20u);
    EXPECT_EQ(Pop(), Bytes{});
}

TEST_F(DatagramQueue, IsBoundedInNumber)
{
    for (uint32_t i = 0; i < kSlots; i++) {
        ASSERT_EQ(Push(i % 2 == 0 ? Bytes{} : Bytes{static_cast<uint8_t>(i)}), QUIC_OK) << i;
    }
    EXPECT_EQ(Push({}), QUIC_E_AGAIN);
    EXPECT_EQ(Pop(), Bytes{});
    EXPECT_EQ(Push({7}), QUIC_OK);
}

TEST_F(DatagramQueue, IsBoundedInBytes)
{
    EXPECT_EQ(Push(Bytes(kMax + 1)), QUIC_E_LIMIT);
    ASSERT_EQ(Push(Bytes(kMax, 5)), QUIC_OK);
    EXPECT_EQ(Push({1}), QUIC_E_AGAIN);
    EXPECT_EQ(Push({}), QUIC_E_AGAIN);
    EXPECT_EQ(Pop(), Bytes(kMax, 5));
    EXPECT_EQ(Push({1}), QUIC_OK);
    EXPECT_LE(memory_.mem.used_bytes, kMax + kSlots * sizeof(quic_datagram));
}

/* What comes in one turn of a worker, in packets of usual size, finds room. */
TEST_F(DatagramQueue, ToBeReadHasRoomForATurn)
{
    quic_datagram_queue_deinit(&q_);
    quic_datagram_queue_init(&q_, &memory_.mem, QUIC_DATAGRAM_QUEUE_RECV_BYTES);
    for (uint32_t i = 0; i < 16 * 45; i++) {
        ASSERT_EQ(Push(Bytes(1400, static_cast<uint8_t>(i))), QUIC_OK) << i;
    }
    for (uint32_t i = 0; i < 16 * 45; i++) {
        ASSERT_EQ(Pop(), Bytes(1400, static_cast<uint8_t>(i)));
    }
}

TEST_F(DatagramQueue, RefusedMemoryChangesNothing)
{
    ASSERT_EQ(Push(Bytes(3000, 1)), QUIC_OK);
    memory_.mem.limit_bytes = memory_.mem.used_bytes;
    EXPECT_EQ(Push(Bytes(3000, 2)), QUIC_E_NOMEM);
    EXPECT_EQ(Push(Bytes(1000, 3)), QUIC_OK);
    EXPECT_EQ(Pop(), Bytes(3000, 1));
    EXPECT_EQ(Pop(), Bytes(1000, 3));
}

/* Against a plain queue: what comes out is what went in, and nothing but a full queue refuses. */
TEST_F(DatagramQueue, MatchesAModel)
{
    Rng rng(3);
    std::deque<Bytes> model;
    size_t bytes = 0;
    uint64_t refused = 0;
    for (int i = 0; i < 200000; i++) {
        if (rng.Below(100) < 55) {
            size_t len = rng.OneIn(8) ? rng.Below(20000) : rng.Below(1500);
            Bytes one = rng.Bytes(len);
            quic_rc rc = Push(one);
            if (rc == QUIC_E_AGAIN) {
                refused++;
                /* A ring in which datagrams lie in one piece may be half empty. */
                EXPECT_TRUE(model.size() == kSlots || bytes + 2 * 20000 > kMax) << bytes;
                continue;
            }
            ASSERT_EQ(rc, QUIC_OK);
            bytes += len;
            model.push_back(std::move(one));
        } else if (!model.empty()) {
            ASSERT_EQ(Pop(), model.front());
            bytes -= model.front().size();
            model.pop_front();
        } else {
            ASSERT_EQ(quic_datagram_queue_front(&q_), nullptr);
        }
        if (rng.OneIn(5000)) {
            while (!model.empty()) {
                ASSERT_EQ(Pop(), model.front());
                model.pop_front();
            }
            bytes = 0;
            quic_datagram_queue_trim(&q_);
        }
    }
    EXPECT_GT(refused, 0u);
}

} // namespace

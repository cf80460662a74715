#include <gtest/gtest.h>

#include "quic/path/cid_local.h"

namespace
{

constexpr size_t kLen = 11;

class CidLocalTest : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        quic_cid_local_init(&set, kLen);
    }

    quic_cid_local_entry *Add(uint8_t tag, bool announce)
    {
        const uint8_t bytes[kLen] = {tag};
        return quic_cid_local_add(&set, bytes, announce);
    }

    quic_rc Retire(uint64_t seq, uint8_t arrived_at = 0xff)
    {
        const uint8_t dcid[kLen] = {arrived_at};
        return quic_cid_local_retire(&set, &retired, seq, dcid, sizeof(dcid));
    }

    quic_cid_local set;
    quic_cid_local_entry retired = {};
};

TEST_F(CidLocalTest, SequenceNumbersAndAnnouncements)
{
    EXPECT_EQ(quic_cid_local_next_to_send(&set), nullptr);
    EXPECT_EQ(Add(1, false)->seq, 0u);
    EXPECT_EQ(quic_cid_local_next_to_send(&set), nullptr);
    EXPECT_EQ(Add(2, true)->seq, 1u);
    quic_cid_local_entry *entry = quic_cid_local_next_to_send(&set);
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->seq, 1u);
    quic_cid_local_sent(&set, entry);
    quic_cid_local_sent(&set, entry);
    EXPECT_EQ(quic_cid_local_next_to_send(&set), nullptr);
    quic_cid_local_lost(&set, 1);
    quic_cid_local_lost(&set, 1);
    EXPECT_EQ(set.to_send_count, 1);
    EXPECT_EQ(quic_cid_local_next_to_send(&set), entry);
    quic_cid_local_lost(&set, 9); /* unknown: nothing */
    EXPECT_EQ(set.to_send_count, 1);
}

TEST_F(CidLocalTest, TheTagIsWhatDiffers)
{
    const uint8_t bytes[kLen] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    EXPECT_EQ(quic_cid_local_tag(&set, bytes), 0x0405060708090a0bu);
    quic_cid_local_init(&set, 4);
    EXPECT_EQ(quic_cid_local_tag(&set, bytes), 0x01020304u);
}

TEST_F(CidLocalTest, HoldsABoundedNumber)
{
    for (unsigned i = 0; i < QUIC_CID_LOCAL_MAX; i++) {
        ASSERT_NE(Add(static_cast<uint8_t>(i), true), nullptr);
    }
    EXPECT_EQ(Add(99, true), nullptr);
    EXPECT_EQ(set.live_count, QUIC_CID_LOCAL_MAX);
    quic_cid_local_sent(&set, &set.entries[3]);
    EXPECT_EQ(Retire(3), QUIC_OK);
    ASSERT_NE(Add(99, true), nullptr);
    EXPECT_EQ(set.next_seq, QUIC_CID_LOCAL_MAX + 1u);
}

/* RFC 9000 19.16 */
TEST_F(CidLocalTest, Retire)
{
    Add(1, false);
    Add(2, true);
    EXPECT_EQ(Retire(2), QUIC_V_PROTOCOL_VIOLATION) << "never issued";
    EXPECT_EQ(Retire(1, 1), QUIC_V_PROTOCOL_VIOLATION) << "never sent";
    quic_cid_local_sent(&set, quic_cid_local_next_to_send(&set));
    EXPECT_EQ(Retire(1, 2), QUIC_V_PROTOCOL_VIOLATION) << "the packet came to that very one";
    EXPECT_EQ(set.live_count, 2);
    ASSERT_EQ(Retire(1, 1), QUIC_OK);
    EXPECT_TRUE(retired.used);
    EXPECT_EQ(retired.bytes[0], 2);
    EXPECT_EQ(set.live_count, 1);
    EXPECT_EQ(set.to_send_count, 0);
    ASSERT_EQ(Retire(1, 1), QUIC_OK) << "a retransmission";
    EXPECT_FALSE(retired.used);
    quic_cid_local_lost(&set, 1); /* its NEW_CONNECTION_ID is of no interest any more */
    EXPECT_EQ(quic_cid_local_next_to_send(&set), nullptr);
}

} // namespace

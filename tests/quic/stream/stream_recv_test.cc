#include <string>

#include <gtest/gtest.h>

#include "quic/stream/stream_recv.h"
#include "quic/stream/stream_send.h"
#include "tests/quic/stream/stream_test_util.h"

namespace
{

using stream_test::Memory;

class StreamRecv : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        quic_stream_init(&s_, &memory_.mem, 2, 8);
        s_.recv_state = QUIC_RECV_RECV;
        quic_flow_recv_init(&s_.recv_flow, 1000, 1000);
        quic_flow_recv_init(&conn_, 1500, 1500);
    }
    void TearDown() override
    {
        quic_stream_check_invariants(&s_);
        quic_stream_deinit(&s_);
        EXPECT_EQ(0u, memory_.mem.used_bytes);
    }
    // Facts are always whole, whatever was there.
    quic_stream_recv_facts *Facts()
    {
        memset(&facts_, 0xa5, sizeof(facts_));
        return &facts_;
    }
    quic_rc Data(uint64_t off, const std::string &data, bool fin = false)
    {
        return quic_stream_on_data(&s_, &conn_, off, reinterpret_cast<const uint8_t *>(data.data()),
                                   data.size(), fin, Facts());
    }
    quic_rc Reset(uint64_t final_size)
    {
        return quic_stream_on_reset(&s_, &conn_, 42, final_size, Facts());
    }
    quic_rc Consume(uint64_t len)
    {
        return quic_stream_consume(&s_, &conn_, len, 0, 0, Facts());
    }
    quic_rc Peek()
    {
        return quic_stream_peek(&s_, spans_, &fin_);
    }
    Memory memory_;
    quic_stream s_;
    quic_flow_recv conn_;
    quic_stream_recv_facts facts_;
    quic_recv_span spans_[2];
    bool fin_ = false;
};

TEST_F(StreamRecv, GoesFromRecvToDataRead) // RFC 9000 3.2
{
    EXPECT_EQ(QUIC_E_AGAIN, Peek());
    ASSERT_EQ(QUIC_OK, Data(3, "def", true));
    EXPECT_EQ(QUIC_RECV_SIZE_KNOWN, s_.recv_state);
    EXPECT_FALSE(facts_.readable);
    EXPECT_EQ(6u, conn_.received);
    ASSERT_EQ(QUIC_OK, Data(0, "abc"));
    EXPECT_TRUE(facts_.readable);
    EXPECT_TRUE(facts_.all_received);
    EXPECT_EQ(QUIC_RECV_DATA_RECVD, s_.recv_state);
    ASSERT_EQ(QUIC_OK, Peek());
    EXPECT_TRUE(fin_);
    EXPECT_EQ(6u, spans_[0].len);
    EXPECT_EQ(QUIC_E_INVAL, Consume(7));
    ASSERT_EQ(QUIC_OK, Consume(2));
    EXPECT_FALSE(facts_.done);
    ASSERT_EQ(QUIC_OK, Consume(4));
    EXPECT_TRUE(facts_.done);
    EXPECT_EQ(QUIC_E_STATE, Peek());
    EXPECT_EQ(QUIC_OK, Data(0, "abc")); // a late duplicate
    EXPECT_FALSE(facts_.readable);
    EXPECT_EQ(QUIC_V_FINAL_SIZE, Data(0, "abcdefg"));
    EXPECT_EQ(6u, conn_.received);
    EXPECT_EQ(6u, conn_.consumed);
}

TEST_F(StreamRecv, HandsOverABareEnd)
{
    ASSERT_EQ(QUIC_OK, Data(0, "ab"));
    ASSERT_EQ(QUIC_OK, Consume(2));
    ASSERT_EQ(QUIC_OK, Data(2, "", true));
    EXPECT_TRUE(facts_.readable);
    ASSERT_EQ(QUIC_OK, Peek());
    EXPECT_TRUE(fin_);
    ASSERT_EQ(QUIC_OK, Consume(0));
    EXPECT_TRUE(facts_.done);
}

TEST_F(StreamRecv, EnforcesBothLimits) // RFC 9000 4.1
{
    EXPECT_EQ(QUIC_V_FLOW_CONTROL, Data(1000, "x"));
    EXPECT_EQ(QUIC_V_FLOW_CONTROL, Data(1001, ""));
    ASSERT_EQ(QUIC_OK, Data(999, "x"));
    EXPECT_EQ(1000u, conn_.received);
    conn_.limit = 1000;
    ASSERT_EQ(QUIC_OK, Data(0, "x")); // counts nothing new
    s_.recv_flow.limit = 2000;
    EXPECT_EQ(QUIC_V_FLOW_CONTROL, Data(1000, "x"));
    conn_.limit = 1001;
    EXPECT_EQ(QUIC_OK, Data(1000, "x"));
}

TEST_F(StreamRecv, EnforcesTheFinalSize) // RFC 9000 4.5
{
    ASSERT_EQ(QUIC_OK, Data(0, "abcd"));
    EXPECT_EQ(QUIC_V_FINAL_SIZE, Data(0, "abc", true));
    EXPECT_EQ(QUIC_V_FINAL_SIZE, Reset(3));
    ASSERT_EQ(QUIC_OK, Data(6, "", true));
    EXPECT_EQ(QUIC_V_FINAL_SIZE, Data(6, "x"));
    EXPECT_EQ(QUIC_V_FINAL_SIZE, Reset(7));
    EXPECT_EQ(QUIC_OK, Data(6, "", true));
}

TEST_F(StreamRecv, GivesCreditBackAsItIsRead)
{
    ASSERT_EQ(QUIC_OK, Data(0, std::string(600, 'a')));
    ASSERT_EQ(QUIC_OK, Consume(249));
    EXPECT_EQ(0, s_.ctrl_pending);
    EXPECT_FALSE(facts_.conn_update_due);
    ASSERT_EQ(QUIC_OK, Consume(1));
    EXPECT_EQ(QUIC_STREAM_CTRL_MAX_DATA, s_.ctrl_pending);
    EXPECT_EQ(1250u, quic_flow_recv_next_limit(&s_.recv_flow));
    ASSERT_EQ(QUIC_OK, Consume(125));
    EXPECT_TRUE(facts_.conn_update_due);
    ASSERT_EQ(QUIC_OK, Data(600, "a", true));
    EXPECT_EQ(0, s_.ctrl_pending); // the size is known: no more credit needed
    EXPECT_FALSE(quic_stream_on_ctrl_lost(&s_, QUIC_STREAM_CTRL_MAX_DATA));
    ASSERT_EQ(QUIC_OK, Consume(226));
}

TEST_F(StreamRecv, ResetChargesTheFinalSizeAndFreesTheBytes) // RFC 9000 3.2, 4.5
{
    ASSERT_EQ(QUIC_OK, Data(0, "abcdef"));
    ASSERT_EQ(QUIC_OK, Consume(2));
    EXPECT_EQ(QUIC_V_FLOW_CONTROL, Reset(1001));
    ASSERT_EQ(QUIC_OK, Reset(1000));
    EXPECT_TRUE(facts_.reset);
    EXPECT_TRUE(facts_.conn_update_due);
    EXPECT_EQ(42u, s_.peer_reset_error);
    EXPECT_EQ(1000u, conn_.received);
    EXPECT_EQ(1000u, conn_.consumed);
    EXPECT_EQ(0u, memory_.mem.used_bytes);
    EXPECT_EQ(QUIC_E_STATE, Peek());
    ASSERT_EQ(QUIC_OK, Data(10, "late"));
    ASSERT_EQ(QUIC_OK, Reset(1000));
    EXPECT_FALSE(facts_.reset);
    EXPECT_TRUE(quic_stream_on_reset_read(&s_));
    EXPECT_FALSE(quic_stream_on_reset_read(&s_));
    EXPECT_TRUE(quic_stream_recv_is_done(&s_));
}

TEST_F(StreamRecv, ResetAfterAllDataIsIgnored) // RFC 9000 3.2
{
    ASSERT_EQ(QUIC_OK, Data(0, "abc", true));
    ASSERT_EQ(QUIC_OK, Reset(3));
    EXPECT_FALSE(facts_.reset);
    EXPECT_EQ(QUIC_V_FINAL_SIZE, Reset(4));
    EXPECT_EQ(QUIC_OK, Consume(3));
}

TEST_F(StreamRecv, StopSendingDiscardsAndGivesCreditBack) // RFC 9000 3.5
{
    ASSERT_EQ(QUIC_OK, Data(0, "abc"));
    ASSERT_EQ(QUIC_OK, quic_stream_stop_sending(&s_, &conn_, 5, &facts_));
    EXPECT_EQ(QUIC_STREAM_CTRL_STOP, s_.ctrl_pending);
    EXPECT_EQ(0u, memory_.mem.used_bytes);
    EXPECT_EQ(QUIC_E_STATE, Peek());
    EXPECT_EQ(QUIC_E_STATE, quic_stream_stop_sending(&s_, &conn_, 5, &facts_));
    s_.ctrl_pending = 0;
    EXPECT_FALSE(quic_stream_on_ctrl_lost(&s_, QUIC_STREAM_CTRL_MAX_DATA)); // another frame
    EXPECT_EQ(0, s_.ctrl_pending);
    EXPECT_TRUE(quic_stream_on_ctrl_lost(&s_, QUIC_STREAM_CTRL_STOP));
    ASSERT_EQ(QUIC_OK, Data(100, std::string(500, 'x')));
    EXPECT_FALSE(facts_.readable);
    EXPECT_TRUE(facts_.conn_update_due);
    EXPECT_EQ(600u, conn_.consumed);
    EXPECT_EQ(QUIC_V_FLOW_CONTROL, Data(1000, "x")); // limits still hold
    ASSERT_EQ(QUIC_OK, Reset(700));
    EXPECT_FALSE(facts_.reset);
    EXPECT_TRUE(facts_.done);
    EXPECT_EQ(700u, conn_.consumed);
    EXPECT_EQ(0, s_.ctrl_pending);
    EXPECT_FALSE(quic_stream_on_ctrl_lost(&s_, QUIC_STREAM_CTRL_STOP)); // RFC 9000 3.5: too late
    EXPECT_EQ(0, s_.ctrl_pending);
}

TEST_F(StreamRecv, StopSendingEndsWithTheFinalSize)
{
    ASSERT_EQ(QUIC_OK, quic_stream_stop_sending(&s_, &conn_, 5, &facts_));
    ASSERT_EQ(QUIC_OK, Data(100, "end", true));
    EXPECT_TRUE(facts_.done);
    EXPECT_EQ(103u, conn_.consumed);
    EXPECT_EQ(QUIC_RECV_DATA_READ, s_.recv_state);
}

TEST_F(StreamRecv, StopSendingWithAKnownSizeNeedsNoFrame)
{
    ASSERT_EQ(QUIC_OK, Data(100, "end", true));
    ASSERT_EQ(QUIC_OK, quic_stream_stop_sending(&s_, &conn_, 5, &facts_));
    EXPECT_TRUE(facts_.done);
    EXPECT_EQ(0, s_.ctrl_pending);
    EXPECT_EQ(103u, conn_.consumed);
}

TEST_F(StreamRecv, RefusedMemoryChangesNothing)
{
    memory_.mem.limit_bytes = 1;
    EXPECT_EQ(QUIC_E_NOMEM, Data(0, "abc", true));
    EXPECT_EQ(QUIC_RECV_RECV, s_.recv_state);
    EXPECT_EQ(0u, conn_.received);
    memory_.mem.limit_bytes = 1 << 20;
    EXPECT_EQ(QUIC_OK, Data(0, "abc", true));
    EXPECT_TRUE(facts_.all_received);
}

} // namespace

/* Both halves of a stream that ends with RESET_STREAM_AT (draft-ietf-quic-reliable-stream-reset 5). */
#include <string>

#include <gtest/gtest.h>

#include "quic/stream/stream_recv.h"
#include "quic/stream/stream_send.h"
#include "tests/quic/stream/stream_test_util.h"

namespace
{

using stream_test::Memory;

constexpr uint64_t kCode = 77;

class ResetAtSend : public ::testing::Test
{
  protected:
    ResetAtSend()
    {
        quic_stream_init(&s_, &memory_.mem, 0, 8);
        s_.send_state = QUIC_SEND_READY;
        s_.send_buf_bytes = 10000;
        quic_flow_send_init(&s_.send_flow, 1000);
    }
    ~ResetAtSend() override
    {
        quic_stream_check_invariants(&s_);
        quic_stream_deinit(&s_);
        EXPECT_EQ(memory_.mem.used_bytes, 0u);
    }
    void Write(size_t len, uint32_t flags = 0)
    {
        static const uint8_t bytes[10000] = {0};
        size_t accepted = 0;
        ASSERT_EQ(quic_stream_write(&s_, &accepted, bytes, len, flags, 1 << 20), QUIC_OK);
        ASSERT_EQ(accepted, len);
    }
    /* One frame: "off+len", F with the end. */
    std::string Send(size_t room)
    {
        quic_stream_chunk chunk;
        if (!quic_stream_send_next(&s_, 1 << 20, room, &chunk)) {
            return "-";
        }
        quic_stream_send_commit(&s_, &chunk);
        return std::to_string(chunk.off) + "+" + std::to_string(chunk.len) + (chunk.fin ? "F" : "");
    }
    quic_rc ResetAt(uint64_t size, uint64_t code = kCode)
    {
        return quic_stream_reset_at(&s_, code, size, &facts_);
    }
    void Acked(uint64_t off, uint64_t len, bool fin = false)
    {
        quic_stream_on_acked(&s_, off, len, fin, &facts_);
    }

    Memory memory_;
    quic_stream s_;
    quic_stream_send_facts facts_{};
};

TEST_F(ResetAtSend, TheFrameWaitsForWhatIsPromised)
{
    Write(300);
    EXPECT_EQ(Send(102), "0+100");
    ASSERT_EQ(ResetAt(200), QUIC_OK);
    EXPECT_EQ(s_.ctrl_pending, 0);
    EXPECT_EQ(s_.send_state, QUIC_SEND_SEND);
    EXPECT_TRUE(quic_stream_can_send(&s_, 1000));
    EXPECT_EQ(Send(1200), "100+100"); /* and no more */
    EXPECT_EQ(Send(1200), "-");
    EXPECT_FALSE(quic_stream_can_send(&s_, 1000));
    EXPECT_EQ(s_.ctrl_pending, QUIC_STREAM_CTRL_RESET);
    EXPECT_EQ(s_.send_state, QUIC_SEND_DATA_SENT); /* 5.3 */
    EXPECT_EQ(s_.send.next_off, 200u);             /* the final size */
    size_t accepted = 0;
    uint8_t byte = 0;
    EXPECT_EQ(quic_stream_write(&s_, &accepted, &byte, 1, 0, 100), QUIC_E_STATE);
    EXPECT_EQ(quic_stream_writable(&s_), 0u);
    /* 5: what is promised is repeated, the frame too */
    EXPECT_TRUE(quic_stream_on_lost(&s_, 50, 60, false));
    EXPECT_EQ(Send(1200), "50+60");
    s_.ctrl_pending = 0;
    EXPECT_TRUE(quic_stream_on_ctrl_lost(&s_, QUIC_STREAM_CTRL_RESET));
    Acked(0, 200);
    EXPECT_FALSE(facts_.done);
    quic_stream_on_reset_acked(&s_, 200, &facts_);
    EXPECT_TRUE(facts_.done);
    EXPECT_FALSE(facts_.finished);
    EXPECT_EQ(s_.send_state, QUIC_SEND_DATA_RECVD);
    EXPECT_EQ(facts_.freed_bytes, 100u); /* never sent */
    EXPECT_EQ(s_.ctrl_pending, 0);
}

TEST_F(ResetAtSend, WhatIsBeyondIsNotRepeated)
{
    Write(300);
    EXPECT_EQ(Send(152), "0+150");
    EXPECT_EQ(Send(154), "150+150");
    EXPECT_TRUE(quic_stream_on_lost(&s_, 0, 300, false));
    ASSERT_EQ(ResetAt(100), QUIC_OK);
    EXPECT_EQ(s_.ctrl_pending, QUIC_STREAM_CTRL_RESET);
    EXPECT_EQ(s_.send.next_off, 300u);
    EXPECT_EQ(Send(1200), "0+100");
    EXPECT_EQ(Send(1200), "-");
    EXPECT_FALSE(quic_stream_on_lost(&s_, 150, 150, false));
    quic_stream_on_reset_acked(&s_, 100, &facts_);
    EXPECT_FALSE(facts_.done);
    Acked(0, 100);
    EXPECT_TRUE(facts_.done);
    EXPECT_EQ(facts_.freed_bytes, 300u);
    Acked(150, 150); /* late: nothing */
    EXPECT_FALSE(facts_.done);
}

/* 5.3: at once, when all of it has been acknowledged before */
TEST_F(ResetAtSend, EverythingHasArrivedAlready)
{
    Write(300);
    EXPECT_EQ(Send(1200), "0+300");
    Acked(0, 200);
    ASSERT_EQ(ResetAt(150), QUIC_OK);
    EXPECT_EQ(facts_.freed_bytes, 100u);
    quic_stream_on_reset_acked(&s_, 150, &facts_);
    EXPECT_TRUE(facts_.done);
}

/* 5.1 */
TEST_F(ResetAtSend, AfterTheEnd)
{
    Write(100, QUIC_STREAM_WRITE_FIN);
    EXPECT_EQ(Send(1200), "0+100F");
    ASSERT_EQ(ResetAt(40), QUIC_OK);
    EXPECT_FALSE(quic_stream_on_lost(&s_, 40, 60, true));
    Acked(0, 40);
    quic_stream_on_reset_acked(&s_, 40, &facts_);
    EXPECT_TRUE(facts_.done);
}

TEST_F(ResetAtSend, AnEndThatHasNotLeftIsNone)
{
    Write(100, QUIC_STREAM_WRITE_FIN);
    ASSERT_EQ(ResetAt(100), QUIC_OK);
    EXPECT_EQ(Send(1200), "0+100");
    EXPECT_EQ(s_.ctrl_pending, QUIC_STREAM_CTRL_RESET);
}

/* 5.2: smaller, never larger; code and final size stay. */
TEST_F(ResetAtSend, MayOnlyPromiseLess)
{
    Write(300);
    EXPECT_EQ(Send(1200), "0+300");
    EXPECT_EQ(ResetAt(301), QUIC_E_INVAL);
    ASSERT_EQ(ResetAt(200), QUIC_OK);
    EXPECT_EQ(ResetAt(201), QUIC_E_INVAL);
    EXPECT_EQ(ResetAt(100, kCode + 1), QUIC_E_INVAL);
    EXPECT_EQ(ResetAt(0, kCode + 1), QUIC_E_INVAL);
    ASSERT_EQ(ResetAt(100), QUIC_OK);
    Acked(0, 300);
    EXPECT_FALSE(facts_.done);
    quic_stream_on_reset_acked(&s_, 200, &facts_); /* the frame that promised more */
    EXPECT_FALSE(facts_.done);
    quic_stream_on_reset_acked(&s_, 100, &facts_);
    EXPECT_TRUE(facts_.done);
    EXPECT_EQ(ResetAt(50), QUIC_E_STATE);
}

/* 5.2, 5.4: RESET_STREAM promises nothing, and keeps the code. */
TEST_F(ResetAtSend, ThenResetForGood)
{
    Write(300);
    EXPECT_EQ(Send(152), "0+150");
    ASSERT_EQ(ResetAt(100), QUIC_OK);
    EXPECT_EQ(quic_stream_writable(&s_), 0u);
    EXPECT_TRUE(quic_stream_on_stop_sending(&s_, 5, &facts_));
    EXPECT_EQ(s_.reset_error, kCode);
    EXPECT_EQ(s_.peer_stop_error, 5u);
    EXPECT_EQ(quic_stream_reliable_size(&s_), 0u);
    EXPECT_EQ(s_.send.next_off, 150u);
    EXPECT_EQ(s_.send_state, QUIC_SEND_RESET_SENT);
    EXPECT_FALSE(quic_stream_on_lost(&s_, 0, 150, false));
    quic_stream_on_reset_acked(&s_, 100, &facts_);
    EXPECT_FALSE(facts_.done);
    quic_stream_on_reset_acked(&s_, 0, &facts_);
    EXPECT_TRUE(facts_.done);
}

TEST_F(ResetAtSend, NothingPromisedIsAReset)
{
    Write(300);
    ASSERT_EQ(ResetAt(0), QUIC_OK);
    EXPECT_EQ(s_.send_state, QUIC_SEND_RESET_SENT);
    EXPECT_EQ(facts_.freed_bytes, 300u);
}

/* 4: no byte and no final size beyond the peer's limit. */
TEST_F(ResetAtSend, WaitsForCredit)
{
    Write(3000);
    ASSERT_EQ(ResetAt(1500), QUIC_OK);
    EXPECT_EQ(Send(1200), "0+1000");
    EXPECT_EQ(s_.ctrl_pending & QUIC_STREAM_CTRL_RESET, 0);
    EXPECT_FALSE(quic_stream_can_send(&s_, 1 << 20));
    EXPECT_TRUE(quic_stream_note_blocked(&s_) ||
                (s_.ctrl_pending & QUIC_STREAM_CTRL_DATA_BLOCKED) != 0);
    EXPECT_TRUE(quic_stream_on_max_data(&s_, 2000));
    EXPECT_EQ(Send(1200), "1000+500");
    EXPECT_NE(s_.ctrl_pending & QUIC_STREAM_CTRL_RESET, 0);
}

TEST_F(ResetAtSend, IsBlockedAsLongAsAPromisedByteWaits)
{
    Write(1002);
    EXPECT_EQ(Send(1200), "0+1000");
    EXPECT_EQ(Send(1200), "-");
    ASSERT_EQ(ResetAt(1001), QUIC_OK);
    EXPECT_EQ(s_.ctrl_pending, QUIC_STREAM_CTRL_DATA_BLOCKED);
    ASSERT_EQ(ResetAt(1000), QUIC_OK);
    EXPECT_EQ(s_.ctrl_pending, QUIC_STREAM_CTRL_RESET);
    EXPECT_EQ(Send(1200), "-");
}

TEST_F(ResetAtSend, LentBytesComeBack)
{
    static const uint8_t bytes[300] = {0};
    size_t accepted = 0;
    ASSERT_EQ(quic_stream_write(&s_, &accepted, bytes, 300, QUIC_STREAM_WRITE_LEND, 1000), QUIC_OK);
    EXPECT_EQ(Send(103), "0+101");
    ASSERT_EQ(ResetAt(50), QUIC_OK);
    EXPECT_FALSE(facts_.released) << "what was promised may have to be sent again";
    Acked(0, 50);
    quic_stream_on_reset_acked(&s_, 50, &facts_);
    EXPECT_TRUE(facts_.done);
    EXPECT_TRUE(facts_.released);
    EXPECT_EQ(facts_.released_off, 300u);
}

/* Nothing in front of them is needed any more: those that were sent come back at once. */
TEST_F(ResetAtSend, LentBytesBehindWhatHasArrived)
{
    static const uint8_t bytes[300] = {0};
    size_t accepted = 0;
    ASSERT_EQ(quic_stream_write(&s_, &accepted, bytes, 300, QUIC_STREAM_WRITE_LEND, 1000), QUIC_OK);
    EXPECT_EQ(Send(103), "0+101");
    Acked(0, 50);
    ASSERT_EQ(ResetAt(50), QUIC_OK);
    EXPECT_TRUE(facts_.released);
    EXPECT_EQ(facts_.released_off, 101u);
}

/* ---- the receiving half --------------------------------------------------------------------------------- */

class ResetAtRecv : public ::testing::Test
{
  protected:
    ResetAtRecv()
    {
        quic_stream_init(&s_, &memory_.mem, 2, 8);
        s_.recv_state = QUIC_RECV_RECV;
        quic_flow_recv_init(&s_.recv_flow, 1000, 1000);
        quic_flow_recv_init(&conn_, 1500, 1500);
    }
    ~ResetAtRecv() override
    {
        quic_stream_check_invariants(&s_);
        quic_stream_deinit(&s_);
        EXPECT_EQ(memory_.mem.used_bytes, 0u);
    }
    quic_rc Data(uint64_t off, size_t len, bool fin = false)
    {
        static const uint8_t bytes[1000] = {0};
        return quic_stream_on_data(&s_, &conn_, off, bytes, len, fin, &facts_);
    }
    quic_rc ResetAt(uint64_t final_size, uint64_t reliable_size, uint64_t code = kCode)
    {
        return quic_stream_on_reset_at(&s_, &conn_, code, final_size, reliable_size, &facts_);
    }
    quic_rc Reset(uint64_t final_size, uint64_t code = kCode)
    {
        return quic_stream_on_reset(&s_, &conn_, code, final_size, &facts_);
    }
    quic_rc Consume(uint64_t len)
    {
        return quic_stream_consume(&s_, &conn_, len, 0, 0, &facts_);
    }
    uint64_t Readable()
    {
        quic_recv_span spans[2];
        bool fin = false;
        quic_rc rc = quic_stream_peek(&s_, spans, &fin);
        EXPECT_FALSE(fin);
        return rc == QUIC_OK ? spans[0].len + spans[1].len : 0;
    }

    Memory memory_;
    quic_stream s_;
    quic_flow_recv conn_;
    quic_stream_recv_facts facts_{};
};

TEST_F(ResetAtRecv, TheResetComesAfterWhatWasPromised)
{
    ASSERT_EQ(Data(0, 50), QUIC_OK);
    ASSERT_EQ(ResetAt(500, 200), QUIC_OK);
    EXPECT_FALSE(facts_.reset);
    EXPECT_TRUE(facts_.readable);
    EXPECT_EQ(s_.recv_state, QUIC_RECV_SIZE_KNOWN);
    EXPECT_EQ(conn_.received, 500u); /* RFC 9000 4.5 */
    EXPECT_EQ(Readable(), 50u);
    ASSERT_EQ(Consume(50), QUIC_OK);
    EXPECT_FALSE(facts_.reset);
    ASSERT_EQ(Data(100, 100), QUIC_OK);
    EXPECT_FALSE(facts_.readable);
    ASSERT_EQ(Data(50, 50), QUIC_OK);
    EXPECT_TRUE(facts_.readable);
    EXPECT_EQ(Readable(), 150u);
    ASSERT_EQ(Consume(149), QUIC_OK);
    EXPECT_FALSE(facts_.reset);
    ASSERT_EQ(Consume(1), QUIC_OK);
    EXPECT_TRUE(facts_.reset);
    EXPECT_EQ(s_.peer_reset_error, kCode);
    EXPECT_EQ(conn_.consumed, 500u); /* all credit is back */
    EXPECT_TRUE(quic_stream_on_reset_read(&s_));
    EXPECT_EQ(Data(200, 100), QUIC_OK); /* late: nothing */
    EXPECT_EQ(conn_.received, 500u);
}

TEST_F(ResetAtRecv, AtOnceWhenItWasReadBefore)
{
    ASSERT_EQ(Data(0, 200), QUIC_OK);
    ASSERT_EQ(Consume(150), QUIC_OK);
    ASSERT_EQ(ResetAt(300, 150), QUIC_OK);
    EXPECT_TRUE(facts_.reset);
    EXPECT_EQ(conn_.consumed, 300u);
}

TEST_F(ResetAtRecv, NothingPromisedIsAReset)
{
    ASSERT_EQ(Data(0, 200), QUIC_OK);
    ASSERT_EQ(ResetAt(300, 0), QUIC_OK);
    EXPECT_TRUE(facts_.reset);
}

/* It stays an abrupt end, although every byte came. */
TEST_F(ResetAtRecv, PromisingEverythingIsNoCleanEnd)
{
    ASSERT_EQ(ResetAt(100, 100), QUIC_OK);
    ASSERT_EQ(Data(0, 100, true), QUIC_OK);
    EXPECT_EQ(Readable(), 100u);
    ASSERT_EQ(Consume(100), QUIC_OK);
    EXPECT_TRUE(facts_.reset);
    EXPECT_FALSE(facts_.done);
}

/* RFC 9000 3.2: after all data the reset may be kept back. */
TEST_F(ResetAtRecv, IsIgnoredAfterACompleteStream)
{
    ASSERT_EQ(Data(0, 100, true), QUIC_OK);
    ASSERT_EQ(ResetAt(100, 50), QUIC_OK);
    EXPECT_FALSE(facts_.reset);
    EXPECT_EQ(s_.recv_state, QUIC_RECV_DATA_RECVD);
    ASSERT_EQ(Consume(100), QUIC_OK);
    EXPECT_TRUE(facts_.done);
}

/* 5.2 */
TEST_F(ResetAtRecv, OnlySmallerSizesCount)
{
    ASSERT_EQ(Data(0, 100), QUIC_OK);
    ASSERT_EQ(ResetAt(500, 200), QUIC_OK);
    ASSERT_EQ(ResetAt(500, 300), QUIC_OK);
    EXPECT_EQ(s_.peer_reliable_size, 200u);
    ASSERT_EQ(Consume(60), QUIC_OK);
    ASSERT_EQ(ResetAt(500, 80), QUIC_OK);
    EXPECT_FALSE(facts_.reset);
    ASSERT_EQ(ResetAt(500, 50), QUIC_OK);
    EXPECT_TRUE(facts_.reset);
    ASSERT_EQ(ResetAt(500, 400), QUIC_OK);
    EXPECT_FALSE(facts_.reset);
}

TEST_F(ResetAtRecv, ThenResetForGood)
{
    ASSERT_EQ(Data(0, 100), QUIC_OK);
    ASSERT_EQ(ResetAt(500, 200), QUIC_OK);
    ASSERT_EQ(Reset(500), QUIC_OK);
    EXPECT_TRUE(facts_.reset);
    EXPECT_EQ(conn_.consumed, 500u);
}

/* 5.2: neither final size nor code may change. */
TEST_F(ResetAtRecv, ChangesOfHeartAreErrors)
{
    ASSERT_EQ(Data(0, 100), QUIC_OK);
    EXPECT_EQ(ResetAt(99, 50), QUIC_V_FINAL_SIZE);
    ASSERT_EQ(ResetAt(500, 200), QUIC_OK);
    EXPECT_EQ(ResetAt(501, 200), QUIC_V_FINAL_SIZE);
    EXPECT_EQ(Reset(499), QUIC_V_FINAL_SIZE);
    EXPECT_EQ(Data(100, 100, true), QUIC_V_FINAL_SIZE);
    EXPECT_EQ(Data(450, 100), QUIC_V_FINAL_SIZE);
    EXPECT_EQ(ResetAt(500, 100, kCode + 1), QUIC_V_STREAM_STATE);
    EXPECT_EQ(Reset(500, kCode + 1), QUIC_V_STREAM_STATE);
    ASSERT_EQ(Reset(500), QUIC_OK);
    EXPECT_EQ(ResetAt(500, 0, kCode + 1), QUIC_V_STREAM_STATE);
}

/* 4 */
TEST_F(ResetAtRecv, TheFinalSizeIsSubjectToFlowControl)
{
    EXPECT_EQ(ResetAt(1001, 0), QUIC_V_FLOW_CONTROL);
    conn_.received = 1400;
    EXPECT_EQ(ResetAt(200, 10), QUIC_V_FLOW_CONTROL);
    conn_.received = 0;
}

TEST_F(ResetAtRecv, AfterStopSendingNobodyWaits)
{
    ASSERT_EQ(Data(0, 100), QUIC_OK);
    ASSERT_EQ(quic_stream_stop_sending(&s_, &conn_, 1, &facts_), QUIC_OK);
    ASSERT_EQ(ResetAt(500, 200), QUIC_OK);
    EXPECT_TRUE(facts_.done);
    EXPECT_FALSE(facts_.reset);
    EXPECT_EQ(conn_.consumed, 500u);
}

TEST_F(ResetAtRecv, StopSendingMeanwhile)
{
    ASSERT_EQ(ResetAt(500, 200), QUIC_OK);
    ASSERT_EQ(Data(0, 100), QUIC_OK);
    ASSERT_EQ(quic_stream_stop_sending(&s_, &conn_, 1, &facts_), QUIC_OK);
    EXPECT_TRUE(facts_.done);
    EXPECT_EQ(conn_.consumed, 500u);
}

} // namespace

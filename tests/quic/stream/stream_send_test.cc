#include <string>

#include <gtest/gtest.h>

#include "quic/stream/stream_send.h"
#include "quic/wire/varint.h"
#include "tests/quic/stream/stream_test_util.h"

namespace
{

using stream_test::Memory;

class StreamSend : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        quic_stream_init(&s_, &memory_.mem, 0, 8);
        s_.send_state = QUIC_SEND_READY;
        s_.send_buf_bytes = 10000;
        quic_flow_send_init(&s_.send_flow, 1000);
    }
    void TearDown() override
    {
        quic_stream_check_invariants(&s_);
        quic_stream_deinit(&s_);
        EXPECT_EQ(0u, memory_.mem.used_bytes);
    }
    quic_rc Write(const std::string &data, uint32_t flags = 0, uint64_t conn_room = 1 << 20)
    {
        accepted_ = 0;
        return quic_stream_write(&s_, &accepted_, reinterpret_cast<const uint8_t *>(data.data()),
                                 data.size(), flags, conn_room);
    }
    // Sends one frame of at most `room` bytes and describes it: "off+len", F fin, R repeated.
    std::string Send(size_t room = 1200, uint64_t conn_credit = 1 << 20)
    {
        if (!quic_stream_send_next(&s_, conn_credit, room, &chunk_)) {
            return "-";
        }
        EXPECT_LE(quic_stream_chunk_size(&chunk_), room);
        std::string frame(quic_stream_chunk_size(&chunk_), '\0');
        EXPECT_EQ(frame.size(),
                  quic_stream_chunk_encode(&s_, &chunk_, reinterpret_cast<uint8_t *>(&frame[0])));
        frame_ = frame;
        head_of_ = chunk_.len == 0 ? "" : Head();
        quic_stream_send_commit(&s_, &chunk_);
        return std::to_string(chunk_.off) + "+" + std::to_string(chunk_.len) +
               (chunk_.fin ? "F" : "") + (chunk_.is_retransmit ? "R" : "");
    }
    // The frame put together of its head and of the place its data is in; empty: in two places.
    std::string Head()
    {
        const uint8_t *data = nullptr;
        std::string head(quic_stream_chunk_size(&chunk_), 'x');
        size_t n = quic_stream_chunk_encode_head(&s_, &chunk_,
                                                 reinterpret_cast<uint8_t *>(&head[0]), &data);
        if (n == 0) {
            EXPECT_EQ(head, std::string(head.size(), 'x')); // nothing written
            return "";
        }
        EXPECT_EQ(head.substr(n), std::string(chunk_.len, 'x'));
        return head.substr(0, n) + std::string(reinterpret_cast<const char *>(data), chunk_.len);
    }
    void Acked(uint64_t off, uint64_t len, bool fin = false)
    {
        memset(&facts_, 0xa5, sizeof(facts_)); // facts are always whole
        quic_stream_on_acked(&s_, off, len, fin, &facts_);
    }
    Memory memory_;
    quic_stream s_;
    quic_stream_chunk chunk_;
    quic_stream_send_facts facts_;
    size_t accepted_ = 0;
    std::string frame_;
    std::string head_of_;
};

TEST_F(StreamSend, GoesFromReadyToDataRecvd) // RFC 9000 3.1
{
    EXPECT_FALSE(quic_stream_can_send(&s_, 100));
    ASSERT_EQ(QUIC_OK, Write("hello", QUIC_STREAM_WRITE_FIN));
    EXPECT_EQ(QUIC_SEND_READY, s_.send_state);
    EXPECT_EQ(0u, quic_stream_writable(&s_)); // nothing follows the end
    EXPECT_TRUE(quic_stream_can_send(&s_, 100));
    EXPECT_EQ("0+5F", Send());
    EXPECT_EQ(std::string("\x0b\x00\x05hello", 8), frame_);
    EXPECT_EQ(QUIC_SEND_DATA_SENT, s_.send_state);
    EXPECT_FALSE(quic_stream_can_send(&s_, 100));
    EXPECT_EQ(QUIC_E_STATE, Write("x"));
    Acked(0, 5, true);
    EXPECT_TRUE(facts_.finished);
    EXPECT_TRUE(facts_.done);
    EXPECT_EQ(5u, facts_.freed_bytes);
    EXPECT_EQ(QUIC_SEND_DATA_RECVD, s_.send_state);
    quic_stream_trim(&s_);
    EXPECT_EQ(0u, memory_.mem.used_bytes);
}

TEST_F(StreamSend, SendsABareEnd)
{
    ASSERT_EQ(QUIC_OK, Write("abc"));
    EXPECT_EQ("0+3", Send());
    ASSERT_EQ(QUIC_OK, Write("", QUIC_STREAM_WRITE_FIN));
    EXPECT_EQ("3+0F", Send());
    EXPECT_EQ(std::string("\x0f\x00\x03\x00", 4), frame_);
    EXPECT_TRUE(quic_stream_on_lost(&s_, 3, 0, true));
    EXPECT_EQ("3+0FR", Send());
    Acked(3, 0, true);
    EXPECT_FALSE(facts_.done);
    Acked(0, 3);
    EXPECT_TRUE(facts_.finished);
}

TEST_F(StreamSend, AnEmptyStreamIsOneFrame)
{
    ASSERT_EQ(QUIC_OK, Write("", QUIC_STREAM_WRITE_FIN));
    EXPECT_EQ("0+0F", Send());
    EXPECT_EQ(std::string("\x0b\x00\x00", 3), frame_);
    Acked(0, 0, true);
    EXPECT_TRUE(facts_.finished);
}

TEST_F(StreamSend, UsesTheRoomFully)
{
    ASSERT_EQ(QUIC_OK, Write(std::string(1000, 'a')));
    EXPECT_EQ("0+98", Send(100)); // type, id: no length field
    EXPECT_EQ(100u, frame_.size());
    EXPECT_FALSE(chunk_.has_len);
    EXPECT_EQ("98+96", Send(100)); // and an offset of two bytes
    EXPECT_EQ(100u, frame_.size());
    EXPECT_EQ("194+806", Send(1200));
    EXPECT_TRUE(chunk_.has_len);
    EXPECT_EQ("-", Send());
}

// For every amount of data and room: nothing is left behind that would have fitted.
TEST_F(StreamSend, FitsWhateverCanFit)
{
    s_.send_flow.limit = 1 << 30;
    uint64_t off = 0;
    for (size_t len = 1; len < 90; len++) {
        for (size_t room = 1; room < 100; room++) {
            ASSERT_EQ(QUIC_OK, Write(std::string(len, 'a')));
            const size_t fixed = 2 + (off != 0 ? quic_varint_len(off) : 0);
            const std::string sent = Send(room);
            if (room <= fixed) {
                ASSERT_EQ("-", sent);
                ASSERT_NE("-", Send(1200));
            } else {
                ASSERT_EQ(std::min(len, room - fixed), chunk_.len) << len << " in " << room;
                ASSERT_LE(chunk_.pad_len, 1u);
                if (!chunk_.has_len) {
                    ASSERT_EQ(room, frame_.size());
                }
                if (chunk_.len < len) {
                    ASSERT_NE("-", Send(1200));
                }
            }
            Acked(off, len);
            off += len;
        }
    }
}

TEST_F(StreamSend, ShowsWhereTheDataLies)
{
    const std::string lent(100, 'b');
    ASSERT_EQ(QUIC_OK, Write(std::string(100, 'a')));
    ASSERT_EQ(QUIC_OK, Write(lent, QUIC_STREAM_WRITE_LEND));
    EXPECT_EQ("0+40", Send(42)); // copied, and without a length
    EXPECT_EQ(frame_, head_of_);
    EXPECT_EQ("40+78", Send(81)); // of both kinds
    EXPECT_EQ("", head_of_);
    EXPECT_EQ("118+82", Send()); // lent
    EXPECT_EQ(frame_, head_of_);
    EXPECT_EQ(82u, std::count(head_of_.begin(), head_of_.end(), 'b'));
}

TEST_F(StreamSend, RespectsBothLimitsForNewBytesOnly) // RFC 9000 4.1
{
    ASSERT_EQ(QUIC_OK, Write(std::string(3000, 'a'), QUIC_STREAM_WRITE_FIN));
    EXPECT_EQ("-", Send(2000, 0));
    EXPECT_EQ(0, s_.ctrl_pending);
    EXPECT_EQ("0+10", Send(2000, 10));
    EXPECT_EQ("10+990", Send(2000));
    EXPECT_FALSE(quic_stream_can_send(&s_, 1 << 20));
    EXPECT_EQ("-", Send(2000));
    EXPECT_EQ(QUIC_STREAM_CTRL_DATA_BLOCKED, s_.ctrl_pending);
    EXPECT_FALSE(quic_stream_note_blocked(&s_));
    s_.ctrl_pending = 0;
    EXPECT_TRUE(quic_stream_on_ctrl_lost(&s_, QUIC_STREAM_CTRL_DATA_BLOCKED));
    EXPECT_TRUE(quic_stream_on_lost(&s_, 0, 10, false));
    EXPECT_EQ("0+10R", Send(2000, 0)); // a repetition needs no credit
    EXPECT_FALSE(quic_stream_on_max_data(&s_, 999));
    EXPECT_TRUE(quic_stream_on_max_data(&s_, 3000));
    EXPECT_EQ(0, s_.ctrl_pending);
    EXPECT_FALSE(quic_stream_on_ctrl_lost(&s_, QUIC_STREAM_CTRL_DATA_BLOCKED)); // no longer
    EXPECT_EQ("1000+2000F", Send(4000));
    EXPECT_FALSE(quic_stream_on_ctrl_lost(&s_, QUIC_STREAM_CTRL_DATA_BLOCKED));
}

TEST_F(StreamSend, RepeatsTheEndWithTheBytesInFrontOfIt)
{
    ASSERT_EQ(QUIC_OK, Write("abcdef", QUIC_STREAM_WRITE_FIN));
    EXPECT_EQ("0+6F", Send());
    EXPECT_TRUE(quic_stream_on_lost(&s_, 0, 6, true));
    EXPECT_EQ("0+6FR", Send());
    EXPECT_FALSE(quic_stream_can_send(&s_, 0));
    Acked(0, 6, true);
    EXPECT_TRUE(facts_.finished);
    EXPECT_FALSE(quic_stream_on_lost(&s_, 0, 6, true)); // too late
}

TEST_F(StreamSend, BoundsWhatItHoldsAndSaysWhenThereIsRoom)
{
    s_.send_flow.limit = 1 << 20;
    ASSERT_EQ(QUIC_OK, Write(std::string(12000, 'a'), QUIC_STREAM_WRITE_FIN));
    EXPECT_EQ(10000u, accepted_);
    EXPECT_FALSE(s_.fin_written); // not all was taken
    EXPECT_EQ(QUIC_E_AGAIN, Write("b"));
    EXPECT_EQ(0u, quic_stream_writable(&s_));
    while (Send() != "-") {
    }
    Acked(0, 1000);
    EXPECT_FALSE(facts_.writable);
    Acked(1000, 1499);
    EXPECT_FALSE(facts_.writable);
    Acked(2499, 1);
    EXPECT_TRUE(facts_.writable); // a quarter is free
    Acked(2500, 1000);
    EXPECT_FALSE(facts_.writable); // said once
    EXPECT_EQ(3500u, quic_stream_writable(&s_));
    EXPECT_EQ(QUIC_OK, Write("bbb", 0, 2)); // the connection's budget
    EXPECT_EQ(2u, accepted_);
    EXPECT_EQ(QUIC_E_AGAIN, Write("b", 0, 0));
}

TEST_F(StreamSend, IsBlockedOnlyWithBytesThatWait) // RFC 9000 19.13
{
    ASSERT_EQ(QUIC_OK, Write(std::string(1000, 'a')));
    EXPECT_EQ("0+1000", Send(2000)); // the whole credit
    EXPECT_FALSE(quic_stream_note_blocked(&s_));
    EXPECT_EQ(0, s_.ctrl_pending);
    ASSERT_EQ(QUIC_OK, Write("b"));
    EXPECT_TRUE(quic_stream_note_blocked(&s_));
    EXPECT_EQ(QUIC_STREAM_CTRL_DATA_BLOCKED, s_.ctrl_pending);
}

TEST_F(StreamSend, RewindBeginsAnewWithoutCredit) // 0-RTT was rejected, RFC 9001 4.6.2
{
    EXPECT_EQ(10000u, quic_stream_writable(&s_));
    ASSERT_EQ(QUIC_OK, Write(std::string(1000, 'a')));
    ASSERT_EQ(QUIC_OK, Write("bcd", QUIC_STREAM_WRITE_FIN));
    EXPECT_EQ("0+1000", Send());
    EXPECT_EQ("-", Send());
    EXPECT_EQ(QUIC_STREAM_CTRL_DATA_BLOCKED, s_.ctrl_pending);
    quic_stream_rewind(&s_);
    EXPECT_EQ(0, s_.ctrl_pending);
    EXPECT_EQ(QUIC_SEND_READY, s_.send_state);
    EXPECT_EQ("-", Send());
    EXPECT_TRUE(quic_stream_on_max_data(&s_, 2000));
    EXPECT_EQ("0+1003F", Send());
    quic_stream_rewind(&s_);
    EXPECT_TRUE(quic_stream_on_max_data(&s_, 2000));
    EXPECT_EQ("0+1003F", Send());
    Acked(0, 1003, true);
    EXPECT_TRUE(facts_.finished);
}

TEST_F(StreamSend, RewindRepeatsAResetAndLeavesAloneWhatIsNotSent)
{
    ASSERT_EQ(QUIC_OK, Write("abc"));
    EXPECT_EQ("0+3", Send());
    ASSERT_EQ(QUIC_OK, quic_stream_reset(&s_, 5, &facts_));
    EXPECT_EQ(0u, quic_stream_writable(&s_));
    s_.ctrl_pending = 0;
    quic_stream_rewind(&s_);
    EXPECT_EQ(QUIC_STREAM_CTRL_RESET, s_.ctrl_pending);
    EXPECT_EQ(QUIC_SEND_RESET_SENT, s_.send_state);
    s_.send_state = QUIC_SEND_NONE;
    s_.ctrl_pending = 0;
    quic_stream_rewind(&s_);
    EXPECT_EQ(QUIC_SEND_NONE, s_.send_state);
}

TEST_F(StreamSend, ReleasesLentBytes)
{
    const std::string body(500, 'b');
    ASSERT_EQ(QUIC_OK, Write("head"));
    ASSERT_EQ(QUIC_OK, Write(body, QUIC_STREAM_WRITE_LEND | QUIC_STREAM_WRITE_FIN));
    EXPECT_EQ("0+504F", Send());
    EXPECT_EQ("head" + body, frame_.substr(frame_.size() - 504));
    Acked(0, 504, true);
    EXPECT_TRUE(facts_.released);
    EXPECT_EQ(504u, facts_.released_off);
}

TEST_F(StreamSend, ResetGivesEverythingBack) // RFC 9000 3.1, 4.5
{
    const std::string body(500, 'b');
    ASSERT_EQ(QUIC_OK, Write(body, QUIC_STREAM_WRITE_LEND));
    EXPECT_EQ("0+98", Send(100));
    ASSERT_EQ(QUIC_OK, quic_stream_reset(&s_, 77, &facts_));
    EXPECT_EQ(500u, facts_.freed_bytes);
    EXPECT_TRUE(facts_.released);
    EXPECT_EQ(500u, facts_.released_off);
    EXPECT_EQ(98u, s_.send.next_off); // the final size
    EXPECT_EQ(QUIC_STREAM_CTRL_RESET, s_.ctrl_pending);
    EXPECT_EQ("-", Send());
    EXPECT_EQ(QUIC_E_STATE, Write("x"));
    EXPECT_EQ(QUIC_E_STATE, quic_stream_reset(&s_, 78, &facts_));
    EXPECT_FALSE(quic_stream_on_lost(&s_, 0, 98, false));
    Acked(0, 98);
    EXPECT_EQ(0u, facts_.freed_bytes);
    s_.ctrl_pending = 0;
    EXPECT_TRUE(quic_stream_on_ctrl_lost(&s_, QUIC_STREAM_CTRL_RESET));
    quic_stream_on_reset_acked(&s_, 0, &facts_);
    EXPECT_TRUE(facts_.done);
    quic_stream_on_reset_acked(&s_, 0, &facts_);
    EXPECT_FALSE(facts_.done);
    EXPECT_EQ(0, s_.ctrl_pending);
    EXPECT_TRUE(quic_stream_send_is_done(&s_));
}

TEST_F(StreamSend, AnswersStopSendingWithAReset) // RFC 9000 3.5
{
    ASSERT_EQ(QUIC_OK, Write("abc"));
    EXPECT_TRUE(quic_stream_on_stop_sending(&s_, 9, &facts_));
    EXPECT_EQ(QUIC_SEND_RESET_SENT, s_.send_state);
    EXPECT_EQ(9u, s_.reset_error);
    EXPECT_EQ(9u, s_.peer_stop_error);
    EXPECT_FALSE(quic_stream_on_stop_sending(&s_, 10, &facts_));
}

} // namespace

/* What a peer may not say in frames, and the error code that stands on the wire for it. */
#include <algorithm>

#include <gtest/gtest.h>

#include "tests/quic/conn/conn_fixture.h"

namespace
{

constexpr uint64_t kMax = (1ull << 62) - 1;

struct Case {
    const char *name;
    Frames frames;
    uint64_t code;
    uint32_t flags = 0;
};

std::string name_of(const testing::TestParamInfo<Case> &info)
{
    return info.param.name;
}

Frames new_cid(uint64_t seq, uint64_t retire_prior_to, uint8_t len, uint8_t fill)
{
    Frames f{0x18};
    f.v(seq).v(retire_prior_to).b({len});
    return f.fill(len, fill).fill(16, static_cast<uint8_t>(fill + 1));
}

Frames rising_retirements()
{
    Frames all;
    for (uint8_t i = 0; i < 24; i++) {
        Frames one = new_cid(100u + i, 100u + i, 8, static_cast<uint8_t>(0x40 + 2 * i));
        all.str(std::string(one.bytes().begin(), one.bytes().end()));
    }
    return all;
}

Frames beyond_connection_window() /* five streams, each within its own */
{
    Frames all;
    for (uint8_t i = 0; i < 5; i++) {
        all.b({0x0e, static_cast<uint8_t>(4 * i)}).v(250000).b({1, 'x'});
    }
    return all;
}

class FromClient : public testing::TestWithParam<Case>
{
};

TEST_P(FromClient, EndsTheConnection)
{
    Liar liar;
    liar.establish();
    liar.say(QUIC_LEVEL_APP, GetParam().frames, GetParam().flags);
    EXPECT_EQ(liar.close_on_wire(), GetParam().code);
    std::vector<WireClose> closes = liar.closes();
    ASSERT_EQ(closes.size(), 1u);
    EXPECT_FALSE(closes[0].app);
    EXPECT_TRUE(closes[0].in_short);
    EXPECT_EQ(liar.net.server.close_kind(), QURING_CLOSE_LOCAL_TRANSPORT);
    EXPECT_EQ(liar.net.server.close_code(), GetParam().code);
    liar.net.run_for(10 * kS);
    EXPECT_EQ(quic_endpoint_conn_count(liar.net.server.ep), 0u);
}

const Case kFromClient[] = {
    {"StreamBeyondItsWindow", Frames{0x0f, 0x00}.v(100000000).v(7).str("GET /\r\n"),
     QUIC_V_FLOW_CONTROL},
    {"StreamAboveTheLimit", Frames{0x0b}.v(1000000000).v(7).str("GET /\r\n"), QUIC_V_STREAM_LIMIT},
    {"UnknownFrameType", Frames{0x20}, QUIC_V_FRAME_ENCODING},
    {"PacketWithoutFrames", Frames{}, QUIC_V_PROTOCOL_VIOLATION},
    {"ReservedBitsSet", Frames{0x01}, QUIC_V_PROTOCOL_VIOLATION, INJECT_RESERVED_BITS},
    {"ResetOfSendOnlyStream", Frames{0x04, 0x03, 0x00, 0x00}, QUIC_V_STREAM_STATE},
    {"StopSendingForStreamNotOpened", Frames{0x05}.v(101).v(0), QUIC_V_STREAM_STATE},
    {"StopSendingForReceiveOnlyStream", Frames{0x05, 0x02, 0x00}, QUIC_V_STREAM_STATE},
    {"NewTokenFromClient", Frames{0x07, 0x05}.str("DUMMY"), QUIC_V_PROTOCOL_VIOLATION},
    {"StreamNotOpened", Frames{0x0a, 0x01, 0x00}, QUIC_V_STREAM_STATE},
    {"StreamThatIsSendOnly", Frames{0x0a, 0x03, 0x00}, QUIC_V_STREAM_STATE},
    {"MaxStreamDataForStreamNotOpened", Frames{0x11}.v(101).v(1000000), QUIC_V_STREAM_STATE},
    {"MaxStreamDataForReceiveOnlyStream", Frames{0x11, 0x02}.v(1000000), QUIC_V_STREAM_STATE},
    {"StreamDataBlockedForSendOnlyStream", Frames{0x15, 0x03, 0x00}, QUIC_V_STREAM_STATE},
    {"MaxStreamsBidiTooLarge", Frames{0x12}.v((1ull << 60) + 1), QUIC_V_FRAME_ENCODING},
    {"MaxStreamsUniTooLarge", Frames{0x13}.v((1ull << 60) + 1), QUIC_V_FRAME_ENCODING},
    {"StreamsBlockedBidiTooLarge", Frames{0x16}.v((1ull << 60) + 1), QUIC_V_FRAME_ENCODING},
    {"StreamsBlockedUniTooLarge", Frames{0x17}.v((1ull << 60) + 1), QUIC_V_FRAME_ENCODING},
    {"NewCidRetiresBeyondItself", new_cid(1, 11, 8, 0x11), QUIC_V_FRAME_ENCODING},
    {"NewCidOfLengthZero", new_cid(1, 0, 0, 0x11), QUIC_V_FRAME_ENCODING},
    {"NewCidOfLength21", new_cid(1, 0, 21, 0x11), QUIC_V_FRAME_ENCODING},
    {"NewCidSameNumberOtherCid", new_cid(1, 0, 8, 0x11), QUIC_V_PROTOCOL_VIOLATION},
    {"NewCidAboveTheLimit", new_cid(4, 0, 8, 0x11), QUIC_V_CONNECTION_ID_LIMIT},
    {"NewCidsThatRetireWithoutEnd", rising_retirements(), QUIC_V_CONNECTION_ID_LIMIT},
    {"RetireCidNeverIssued", Frames{0x19}.v(1000), QUIC_V_PROTOCOL_VIOLATION},
    {"RetireCidOfTheSamePacket", Frames{0x19, 0x00}, QUIC_V_PROTOCOL_VIOLATION},
    {"PathResponseToNothing", Frames{0x1b}.fill(8, 7), QUIC_V_PROTOCOL_VIOLATION},
    {"HandshakeDoneFromClient", Frames{0x1e}, QUIC_V_PROTOCOL_VIOLATION},
    {"FrameTypeCutShort", Frames{0x01, 0x40}, QUIC_V_FRAME_ENCODING},
    {"AckCutShort", Frames{0x02, 0x40}, QUIC_V_FRAME_ENCODING},
    {"StreamCutShort", Frames{0x0a, 0x00, 0x05, 'x'}, QUIC_V_FRAME_ENCODING},
    {"CryptoLengthBeyondPacket", Frames{0x06, 0x00}.v(kMax), QUIC_V_FRAME_ENCODING},
    {"FrameTypeNotInShortestForm", Frames{0x40, 0x01}, QUIC_V_PROTOCOL_VIOLATION},
    {"StreamTypeNotInShortestForm", Frames{0x40, 0x0a, 0x00, 0x00}, QUIC_V_PROTOCOL_VIOLATION},
    {"AckOfPacketNeverSent", Frames{0x02}.v(100000).b({0, 0, 0}), QUIC_V_PROTOCOL_VIOLATION},
    {"AckRangeBelowZero", Frames{0x02, 0x00, 0x00, 0x00, 0x01}, QUIC_V_FRAME_ENCODING},
    {"AckGapBelowZero", Frames{0x02, 0x02, 0x00, 0x01, 0x00, 0x01, 0x00}, QUIC_V_FRAME_ENCODING},
    {"AckRangeCountBeyondPacket", Frames{0x02, 0x00, 0x00}.v(1000).b({0}), QUIC_V_FRAME_ENCODING},
    {"AckEcnCountsCutShort", Frames{0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00},
     QUIC_V_FRAME_ENCODING},
    {"StreamOffsetOverflow", Frames{0x0e, 0x00}.v(kMax).b({1, 'x'}), QUIC_V_FRAME_ENCODING},
    {"StreamsBeyondConnectionWindow", beyond_connection_window(), QUIC_V_FLOW_CONTROL},
    {"DataBeyondFinalSize", Frames{0x0b, 0x00, 0x02, 'a', 'b', 0x0e, 0x00, 0x05, 0x01, 'x'},
     QUIC_V_FINAL_SIZE},
    {"FinalSizeBelowData", Frames{0x0e, 0x00, 0x05, 0x01, 'x', 0x0b, 0x00, 0x02, 'a', 'b'},
     QUIC_V_FINAL_SIZE},
    {"EmptyFinElsewhere", Frames{0x0b, 0x00, 0x02, 'a', 'b', 0x0f, 0x00, 0x03, 0x00},
     QUIC_V_FINAL_SIZE},
    {"ResetBelowData", Frames{0x0a, 0x00, 0x03, 'a', 'b', 'c', 0x04, 0x00, 0x00, 0x02},
     QUIC_V_FINAL_SIZE},
    {"ResetBeyondTheWindow", Frames{0x04, 0x00, 0x00}.v(10000000), QUIC_V_FLOW_CONTROL},
    {"ResetTwiceDifferently", Frames{0x04, 0x00, 0x00, 0x05, 0x04, 0x00, 0x00, 0x06},
     QUIC_V_FINAL_SIZE},
    {"DataBeyondReset", Frames{0x04, 0x00, 0x00, 0x05, 0x0e, 0x00, 0x05, 0x01, 'x'},
     QUIC_V_FINAL_SIZE},
    {"CryptoOffsetOverflow", Frames{0x06}.v(kMax).b({1, 'x'}), QUIC_V_FRAME_ENCODING},
    {"TlsKeyUpdate", Frames{0x06, 0x00, 0x05, 0x18, 0x00, 0x00, 0x01, 0x01},
     QUIC_V_CRYPTO_BASE + 10},
};

INSTANTIATE_TEST_SUITE_P(Frames, FromClient, testing::ValuesIn(kFromClient), name_of);

class FromServer : public testing::TestWithParam<Case>
{
};

TEST_P(FromServer, EndsTheConnection)
{
    Liar liar(true);
    liar.establish();
    liar.say(QUIC_LEVEL_APP, GetParam().frames, GetParam().flags);
    EXPECT_EQ(liar.close_on_wire(), GetParam().code);
    EXPECT_EQ(liar.net.client.close_kind(), QURING_CLOSE_LOCAL_TRANSPORT);
    EXPECT_EQ(liar.net.client.close_code(), GetParam().code);
}

const Case kFromServer[] = {
    {"EmptyNewToken", Frames{0x07, 0x00}, QUIC_V_FRAME_ENCODING},
    {"StreamNotOpened", Frames{0x0a, 0x00, 0x00}, QUIC_V_STREAM_STATE},
    {"StreamThatIsSendOnly", Frames{0x0a, 0x02, 0x00}, QUIC_V_STREAM_STATE},
    {"StreamAboveTheLimit", Frames{0x0a}.v(4 * 100 + 3).v(0), QUIC_V_STREAM_LIMIT},
    {"MaxStreamDataForReceiveOnlyStream", Frames{0x11, 0x03}.v(1000000), QUIC_V_STREAM_STATE},
    {"RetireCidNeverIssued", Frames{0x19}.v(1000), QUIC_V_PROTOCOL_VIOLATION},
    {"RetireCidOfTheSamePacket", Frames{0x19, 0x00}, QUIC_V_PROTOCOL_VIOLATION},
    {"ReservedBitsSet", Frames{0x01}, QUIC_V_PROTOCOL_VIOLATION, INJECT_RESERVED_BITS},
    {"PacketWithoutFrames", Frames{}, QUIC_V_PROTOCOL_VIOLATION},
    {"TlsKeyUpdate", Frames{0x06, 0x00, 0x05, 0x18, 0x00, 0x00, 0x01, 0x01},
     QUIC_V_CRYPTO_BASE + 10},
};

INSTANTIATE_TEST_SUITE_P(Frames, FromServer, testing::ValuesIn(kFromServer), name_of);

class Harmless : public testing::TestWithParam<Case>
{
};

TEST_P(Harmless, LeavesTheConnectionAlone)
{
    for (bool by_server : {false, true}) {
        Liar liar(by_server);
        liar.establish();
        liar.say(QUIC_LEVEL_APP, GetParam().frames, GetParam().flags);
        liar.net.run_for(kS);
        EXPECT_TRUE(liar.alive()) << by_server;
        EXPECT_EQ(liar.close_on_wire(), UINT64_MAX) << by_server;
        liar.net.write(liar.net.client, "on it goes");
        EXPECT_TRUE(liar.net.run_until([&] { return liar.net.server.streams[0].fin; }, 5 * kS));
    }
}

const Case kHarmless[] = {
    {"PaddingOnly", Frames{}.fill(1000, 0), 0},
    {"MaxDataGoingDown", Frames{0x10, 0x01}, 0},
    {"MaxStreamsGoingDown", Frames{0x12, 0x00, 0x13, 0x00}, 0},
    {"MaxDataHuge", Frames{0x10}.v(kMax), 0},
    {"MaxStreamsHuge", Frames{0x12}.v(1ull << 60).b({0x13}).v(1ull << 60), 0},
    {"Blocked", Frames{0x14, 0x00, 0x16, 0x00, 0x17, 0x00}, 0},
    {"AckDelayHuge", Frames{0x02, 0x00}.v(kMax).b({0, 0}), 0},
    {"EcnCountsFromNowhere", Frames{0x03, 0x00, 0x00, 0x00, 0x00}.v(5).v(kMax).v(7), 0},
    {"NotAuthentic", Frames{0x20}, 0, INJECT_FLIP_TAG},
    {"ReservedBitsNotAuthentic", Frames{0x01}, 0, INJECT_RESERVED_BITS | INJECT_FLIP_TAG},
    {"WithoutFixedBit", Frames{0x20}, 0, INJECT_NO_FIXED_BIT},
    {"ForgedKeyPhase", Frames{0x20}, 0, INJECT_OTHER_PHASE},
};

INSTANTIATE_TEST_SUITE_P(Frames, Harmless, testing::ValuesIn(kHarmless), name_of);

/* RFC 9000 19.15: one connection ID, two numbers. */
TEST(Frames, NewCidSameCidOtherNumberEndsTheConnection)
{
    Liar liar;
    liar.establish();
    uint8_t cid[8];
    uint64_t seq = 0;
    inject_cid_peer_uses(liar.net.server.conn, cid, &seq);
    Frames f{0x18};
    f.v(seq + 50).v(0).b({8}).str(std::string(cid, cid + 8)).fill(16, 0x77);
    liar.say(f);
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_PROTOCOL_VIOLATION));
}

/* RFC 9000 19.16: a repetition; the number may be gone. */
TEST(Frames, RetireCidTwiceIsHarmless)
{
    Liar liar;
    liar.establish();
    liar.net.filter = [](Packet &p) {
        return p.to_server;
    }; /* the liar would not like the new ones */
    liar.say(Frames{0x19, 0x01, 0x19, 0x01, 0x19, 0x02});
    liar.say(Frames{0x19, 0x01});
    liar.net.run_for(100 * kMs);
    EXPECT_TRUE(liar.alive());
    EXPECT_EQ(liar.close_on_wire(), UINT64_MAX);
    EXPECT_GE(liar.count_frames(0x18), 2u); /* RFC 9000 5.1.1: replaced */
}

/* RFC 9000 21.4: numbers that were left out catch who acknowledges on credit. */
TEST(Frames, AckOfSkippedPacketNumberEndsTheConnection)
{
    Liar liar;
    liar.establish();
    inject_skip_next(liar.net.server.conn);
    liar.net.write(liar.net.server, "x", true);
    liar.net.run_for(100 * kMs);
    ASSERT_TRUE(liar.alive());
    uint64_t next = inject_next_pn(liar.net.server.conn);
    liar.say(Frames{0x02}.v(next - 1).b({0, 0}).v(next - 1));
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_PROTOCOL_VIOLATION));
}

/* RFC 9000 8.2.2: a PATH_RESPONSE travels in a datagram of at least 1200 bytes. */
TEST(Frames, PathChallengeIsAnsweredInAFullDatagram)
{
    Liar liar;
    liar.establish();
    liar.say(Frames{0x1a}.str("01234567"));
    ASSERT_EQ(liar.count_frames(0x1b), 1u);
    size_t largest = 0;
    for (const Packet &p : liar.net.sent) {
        largest = std::max(largest, p.to_server ? 0 : p.bytes.size());
    }
    EXPECT_GE(largest, 1200u);
    for (uint8_t i = 0; i < 100; i++) { /* a flood: not one without bound, no more than one each */
        liar.say(Frames{0x1a}.fill(8, i).b({0x1a}).fill(8, i).b({0x1a}).fill(8, i));
    }
    EXPECT_LE(liar.count_frames(0x1b), 301u);
    EXPECT_TRUE(liar.alive());
}

} // namespace

/* Section B, frames: what a peer may not say, and the error code that stands on the wire for it; what
 * it may say although nobody does. */
#include <algorithm>
#include <optional>

#include <gtest/gtest.h>

#include "tests/quic/conn/conn_fixture.h"
#include "tests/quic/hostile/rows.h"

namespace
{

using hostile::expect_nothing_left;
using hostile::expect_sound;
using hostile::Row;

const hostile::Rows kRows("B", 20, 46);
/* As far as ClientHellos are the matter. */
const hostile::Rows kRows49("C", 49, 49);
const hostile::Rows kRows57("C", 57, 57);
const hostile::Rows kRows64("D", 64, 64);

constexpr uint64_t kMax = (1ull << 62) - 1;
/* RFC 9221 3 */
constexpr uint64_t kNotOffered = QUIC_V_PROTOCOL_VIOLATION;

struct Case {
    int row; /* 0: another section's, or another test's */
    const char *name;
    Frames frames;
    uint64_t code;
    uint32_t flags = 0;
};

std::string name_of(const testing::TestParamInfo<Case> &info)
{
    int row = info.param.row;
    return (row == 0 ? "" : "Row" + std::to_string(row)) + info.param.name;
}

std::optional<Row> row_of(const Case &c)
{
    return c.row == 0 ? std::nullopt : std::make_optional<Row>("B", c.row);
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

void without_datagrams(sim::Options &o)
{
    o.server.limits.datagram_max_bytes = 0;
}

TEST_P(FromClient, EndsTheConnection)
{
    std::optional<Row> row = row_of(GetParam());
    Liar liar(false, without_datagrams);
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
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

const Case kFromClient[] = {
    {35, "StreamBeyondItsWindow", Frames{0x0f, 0x00}.v(100000000).v(7).str("GET /\r\n"),
     QUIC_V_FLOW_CONTROL},
    {35, "StreamAboveTheLimit", Frames{0x0b}.v(1000000000).v(7).str("GET /\r\n"),
     QUIC_V_STREAM_LIMIT},
    {21, "UnknownFrameType", Frames{0x20}, QUIC_V_FRAME_ENCODING},
    {0, "PacketWithoutFrames", Frames{}, QUIC_V_PROTOCOL_VIOLATION},
    {0, "ReservedBitsSet", Frames{0x01}, QUIC_V_PROTOCOL_VIOLATION, INJECT_RESERVED_BITS},
    {37, "ResetOfSendOnlyStream", Frames{0x04, 0x03, 0x00, 0x00}, QUIC_V_STREAM_STATE},
    {38, "StopSendingForStreamNotOpened", Frames{0x05}.v(101).v(0), QUIC_V_STREAM_STATE},
    {38, "StopSendingForReceiveOnlyStream", Frames{0x05, 0x02, 0x00}, QUIC_V_STREAM_STATE},
    {41, "NewTokenFromClient", Frames{0x07, 0x05}.str("DUMMY"), QUIC_V_PROTOCOL_VIOLATION},
    {35, "StreamNotOpened", Frames{0x0a, 0x01, 0x00}, QUIC_V_STREAM_STATE},
    {35, "StreamThatIsSendOnly", Frames{0x0a, 0x03, 0x00}, QUIC_V_STREAM_STATE},
    {38, "MaxStreamDataForStreamNotOpened", Frames{0x11}.v(101).v(1000000), QUIC_V_STREAM_STATE},
    {38, "MaxStreamDataForReceiveOnlyStream", Frames{0x11, 0x02}.v(1000000), QUIC_V_STREAM_STATE},
    {38, "StreamDataBlockedForSendOnlyStream", Frames{0x15, 0x03, 0x00}, QUIC_V_STREAM_STATE},
    {39, "MaxStreamsBidiTooLarge", Frames{0x12}.v((1ull << 60) + 1), QUIC_V_FRAME_ENCODING},
    {39, "MaxStreamsUniTooLarge", Frames{0x13}.v((1ull << 60) + 1), QUIC_V_FRAME_ENCODING},
    {39, "StreamsBlockedBidiTooLarge", Frames{0x16}.v((1ull << 60) + 1), QUIC_V_FRAME_ENCODING},
    {39, "StreamsBlockedUniTooLarge", Frames{0x17}.v((1ull << 60) + 1), QUIC_V_FRAME_ENCODING},
    {42, "NewCidRetiresBeyondItself", new_cid(1, 11, 8, 0x11), QUIC_V_FRAME_ENCODING},
    {42, "NewCidOfLengthZero", new_cid(1, 0, 0, 0x11), QUIC_V_FRAME_ENCODING},
    {42, "NewCidOfLength21", new_cid(1, 0, 21, 0x11), QUIC_V_FRAME_ENCODING},
    {42, "NewCidSameNumberOtherCid", new_cid(1, 0, 8, 0x11), QUIC_V_PROTOCOL_VIOLATION},
    {42, "NewCidAboveTheLimit", new_cid(4, 0, 8, 0x11), QUIC_V_CONNECTION_ID_LIMIT},
    {42, "NewCidsThatRetireWithoutEnd", rising_retirements(), QUIC_V_CONNECTION_ID_LIMIT},
    {43, "RetireCidNeverIssued", Frames{0x19}.v(1000), QUIC_V_PROTOCOL_VIOLATION},
    {43, "RetireCidOfTheSamePacket", Frames{0x19, 0x00}, QUIC_V_PROTOCOL_VIOLATION},
    {41, "HandshakeDoneFromClient", Frames{0x1e}, QUIC_V_PROTOCOL_VIOLATION},
    {20, "FrameTypeCutShort", Frames{0x01, 0x40}, QUIC_V_FRAME_ENCODING},
    {20, "AckCutShort", Frames{0x02, 0x40}, QUIC_V_FRAME_ENCODING},
    {20, "StreamCutShort", Frames{0x0a, 0x00, 0x05, 'x'}, QUIC_V_FRAME_ENCODING},
    {20, "CryptoLengthBeyondPacket", Frames{0x06, 0x00}.v(kMax), QUIC_V_FRAME_ENCODING},
    {23, "FrameTypeNotInShortestForm", Frames{0x40, 0x01}, QUIC_V_PROTOCOL_VIOLATION},
    {23, "StreamTypeNotInShortestForm", Frames{0x40, 0x0a, 0x00, 0x00}, QUIC_V_PROTOCOL_VIOLATION},
    {30, "AckOfPacketNeverSent", Frames{0x02}.v(100000).b({0, 0, 0}), QUIC_V_PROTOCOL_VIOLATION},
    {31, "AckRangeBelowZero", Frames{0x02, 0x00, 0x00, 0x00, 0x01}, QUIC_V_FRAME_ENCODING},
    {31, "AckGapBelowZero", Frames{0x02, 0x02, 0x00, 0x01, 0x00, 0x01, 0x00},
     QUIC_V_FRAME_ENCODING},
    {31, "AckRangeCountBeyondPacket", Frames{0x02, 0x00, 0x00}.v(1000).b({0}),
     QUIC_V_FRAME_ENCODING},
    {31, "AckEcnCountsCutShort", Frames{0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00},
     QUIC_V_FRAME_ENCODING},
    {35, "StreamOffsetOverflow", Frames{0x0e, 0x00}.v(kMax).b({1, 'x'}), QUIC_V_FRAME_ENCODING},
    {35, "StreamsBeyondConnectionWindow", beyond_connection_window(), QUIC_V_FLOW_CONTROL},
    {46, "DatagramThatWasNotOffered", Frames{0x30, 'x'}, kNotOffered},
    {46, "DatagramWithLengthThatWasNotOffered", Frames{0x31, 0x01, 'x'}, kNotOffered},
    {36, "DataBeyondFinalSize", Frames{0x0b, 0x00, 0x02, 'a', 'b', 0x0e, 0x00, 0x05, 0x01, 'x'},
     QUIC_V_FINAL_SIZE},
    {36, "FinalSizeBelowData", Frames{0x0e, 0x00, 0x05, 0x01, 'x', 0x0b, 0x00, 0x02, 'a', 'b'},
     QUIC_V_FINAL_SIZE},
    {36, "EmptyFinElsewhere", Frames{0x0b, 0x00, 0x02, 'a', 'b', 0x0f, 0x00, 0x03, 0x00},
     QUIC_V_FINAL_SIZE},
    {37, "ResetBelowData", Frames{0x0a, 0x00, 0x03, 'a', 'b', 'c', 0x04, 0x00, 0x00, 0x02},
     QUIC_V_FINAL_SIZE},
    {37, "ResetBeyondTheWindow", Frames{0x04, 0x00, 0x00}.v(10000000), QUIC_V_FLOW_CONTROL},
    {37, "ResetTwiceDifferently", Frames{0x04, 0x00, 0x00, 0x05, 0x04, 0x00, 0x00, 0x06},
     QUIC_V_FINAL_SIZE},
    {36, "DataBeyondReset", Frames{0x04, 0x00, 0x00, 0x05, 0x0e, 0x00, 0x05, 0x01, 'x'},
     QUIC_V_FINAL_SIZE},
    {20, "CryptoOffsetOverflow", Frames{0x06}.v(kMax).b({1, 'x'}), QUIC_V_FRAME_ENCODING},
    {0, "TlsKeyUpdate", Frames{0x06, 0x00, 0x05, 0x18, 0x00, 0x00, 0x01, 0x01},
     QUIC_V_CRYPTO_BASE + 10},
};

INSTANTIATE_TEST_SUITE_P(HostileB, FromClient, testing::ValuesIn(kFromClient), name_of);

class FromServer : public testing::TestWithParam<Case>
{
};

TEST_P(FromServer, EndsTheConnection)
{
    std::optional<Row> row = row_of(GetParam());
    Liar liar(true);
    liar.establish();
    liar.say(QUIC_LEVEL_APP, GetParam().frames, GetParam().flags);
    EXPECT_EQ(liar.close_on_wire(), GetParam().code);
    EXPECT_EQ(liar.net.client.close_kind(), QURING_CLOSE_LOCAL_TRANSPORT);
    EXPECT_EQ(liar.net.client.close_code(), GetParam().code);
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

const Case kFromServer[] = {
    {20, "EmptyNewToken", Frames{0x07, 0x00}, QUIC_V_FRAME_ENCODING},
    {35, "StreamNotOpened", Frames{0x0a, 0x00, 0x00}, QUIC_V_STREAM_STATE},
    {35, "StreamThatIsSendOnly", Frames{0x0a, 0x02, 0x00}, QUIC_V_STREAM_STATE},
    {35, "StreamAboveTheLimit", Frames{0x0a}.v(4 * 100 + 3).v(0), QUIC_V_STREAM_LIMIT},
    {38, "MaxStreamDataForReceiveOnlyStream", Frames{0x11, 0x03}.v(1000000), QUIC_V_STREAM_STATE},
    {43, "RetireCidNeverIssued", Frames{0x19}.v(1000), QUIC_V_PROTOCOL_VIOLATION},
    {43, "RetireCidOfTheSamePacket", Frames{0x19, 0x00}, QUIC_V_PROTOCOL_VIOLATION},
    {0, "ReservedBitsSet", Frames{0x01}, QUIC_V_PROTOCOL_VIOLATION, INJECT_RESERVED_BITS},
    {0, "PacketWithoutFrames", Frames{}, QUIC_V_PROTOCOL_VIOLATION},
    {0, "TlsKeyUpdate", Frames{0x06, 0x00, 0x05, 0x18, 0x00, 0x00, 0x01, 0x01},
     QUIC_V_CRYPTO_BASE + 10},
};

INSTANTIATE_TEST_SUITE_P(HostileB, FromServer, testing::ValuesIn(kFromServer), name_of);

class Harmless : public testing::TestWithParam<Case>
{
};

TEST_P(Harmless, LeavesTheConnectionAlone)
{
    std::optional<Row> row = row_of(GetParam());
    for (bool by_server : {false, true}) {
        Liar liar(by_server);
        liar.establish();
        liar.say(QUIC_LEVEL_APP, GetParam().frames, GetParam().flags);
        liar.net.run_for(kS);
        EXPECT_TRUE(liar.alive()) << by_server;
        EXPECT_EQ(liar.close_on_wire(), UINT64_MAX) << by_server;
        liar.net.write(liar.net.client, "on it goes");
        EXPECT_TRUE(liar.net.run_until([&] { return liar.net.server.streams[0].fin; }, 5 * kS));
        expect_sound(liar.net);
        expect_nothing_left(liar.net);
    }
}

const Case kHarmless[] = {
    {22, "PaddingOnly", Frames{}.fill(1000, 0), 0},
    {40, "MaxDataGoingDown", Frames{0x10, 0x01}, 0},
    {40, "MaxStreamsGoingDown", Frames{0x12, 0x00, 0x13, 0x00}, 0},
    {40, "MaxDataHuge", Frames{0x10}.v(kMax), 0},
    {39, "MaxStreamsHuge", Frames{0x12}.v(1ull << 60).b({0x13}).v(1ull << 60), 0},
    {40, "Blocked", Frames{0x14, 0x00, 0x16, 0x00, 0x17, 0x00}, 0},
    {33, "AckDelayHuge", Frames{0x02, 0x00}.v(kMax).b({0, 0}), 0},
    {34, "EcnCountsFromNowhere", Frames{0x03, 0x00, 0x00, 0x00, 0x00}.v(5).v(kMax).v(7), 0},
    {44, "PathResponseToNothing", Frames{0x1b}.fill(8, 7), 0},
    {0, "NotAuthentic", Frames{0x20}, 0, INJECT_FLIP_TAG},
    {0, "ReservedBitsNotAuthentic", Frames{0x01}, 0, INJECT_RESERVED_BITS | INJECT_FLIP_TAG},
    {0, "WithoutFixedBit", Frames{0x20}, 0, INJECT_NO_FIXED_BIT},
    {0, "ForgedKeyPhase", Frames{0x20}, 0, INJECT_OTHER_PHASE},
};

INSTANTIATE_TEST_SUITE_P(HostileB, Harmless, testing::ValuesIn(kHarmless), name_of);

/* RFC 9000 19.15: one connection ID, two numbers. */
TEST(HostileB, Row42NewCidSameCidOtherNumberEndsTheConnection)
{
    Row row("B", 42);
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
TEST(HostileB, Row43RetireCidTwiceIsHarmless)
{
    Row row("B", 43);
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

/* ... and so on with each one that takes its place, before anybody was told of it. */
TEST(HostileB, Row43RetireCidThatWasNeverSentEndsTheConnection)
{
    Row row("B", 43);
    Liar liar;
    liar.establish();
    liar.say(Frames{0x19, 0x01, 0x19, 0x04});
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_PROTOCOL_VIOLATION));
    EXPECT_EQ(liar.closes()[0].frame_type, 0x19u);
}

/* RFC 9000 21.4: numbers that were left out catch who acknowledges on credit. */
TEST(HostileB, Row30AckOfSkippedPacketNumberEndsTheConnection)
{
    Row row("B", 30);
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

} // namespace

/* What a peer may not do with the frames of extensions, and what it may. */
#include <gtest/gtest.h>

#include "tests/quic/conn/conn_fixture.h"

namespace
{

/* ---- DATAGRAM (RFC 9221) ------------------------------------------------------------------------------ */

struct DatagramCase {
    const char *name;
    uint32_t limit; /* of the victim */
    Frames frames;
    bool ends; /* the connection */
};

class DatagramRules : public testing::TestWithParam<DatagramCase>
{
};

/* RFC 9221 3: not offered, or a frame larger than offered: type, Length and data count. */
TEST_P(DatagramRules, Hold)
{
    for (bool by_server : {false, true}) {
        Liar liar(by_server, [](sim::Options &o) {
            o.server.limits.datagram_max_bytes = GetParam().limit;
            o.clients[0].limits.datagram_max_bytes = GetParam().limit;
        });
        liar.establish();
        liar.say(GetParam().frames);
        if (!GetParam().ends) {
            EXPECT_TRUE(liar.alive());
            EXPECT_EQ(liar.victim().datagrams.size(), 1u);
            continue;
        }
        EXPECT_EQ(liar.close_on_wire(), uint64_t{QUIC_V_PROTOCOL_VIOLATION});
        ASSERT_EQ(liar.closes().size(), 1u);
        EXPECT_TRUE((liar.closes()[0].frame_type & ~1ull) == 0x30);
        EXPECT_EQ(liar.victim().datagrams.size(), 0u);
    }
}

const DatagramCase kDatagramCases[] = {
    {"NotOffered", 0, Frames{0x30, 'x'}, true},
    {"NotOfferedWithLength", 0, Frames{0x31, 0x01, 'x'}, true},
    {"NotOfferedAndEmpty", 0, Frames{0x30}, true},
    {"AboveTheLimit", 100, Frames{0x30}.fill(100, 'x'), true},
    {"AboveTheLimitByItsLength", 100, Frames{0x31}.v(98).fill(98, 'x'), true},
    {"AtTheLimit", 100, Frames{0x30}.fill(99, 'x'), false},
    {"AtTheLimitWithLength", 100, Frames{0x31}.v(97).fill(97, 'x'), false},
    {"Empty", 100, Frames{0x30}, false},
};

INSTANTIATE_TEST_SUITE_P(All, DatagramRules, testing::ValuesIn(kDatagramCases),
                         [](const auto &i) { return std::string(i.param.name); });

/* RFC 9000 12.4: application data is for 0-RTT and 1-RTT packets alone. */
TEST(Datagram, NotInHandshakePackets)
{
    Liar liar;
    liar.start_handshake();
    liar.say(QUIC_LEVEL_HANDSHAKE, Frames{0x30, 'x'});
    EXPECT_EQ(liar.close_on_wire(), uint64_t{QUIC_V_PROTOCOL_VIOLATION});
}

TEST(Datagram, LengthBeyondThePacket)
{
    Liar liar;
    liar.establish();
    liar.say(Frames{0x31}.v(5).str("four"));
    EXPECT_EQ(liar.close_on_wire(), uint64_t{QUIC_V_FRAME_ENCODING});
}

/* A flood that nobody reads: the newest stay, 64 of them or 64 KiB, and the rest is counted. */
TEST(Datagram, FloodKeepsTheNewestWithinTheBound)
{
    for (size_t len : {size_t{10}, size_t{1100}}) {
        Liar liar;
        liar.establish();
        liar.victim().read_datagrams = false;
        quic_conn *conn = liar.victim().conn;
        for (uint32_t i = 0; i < 5000; i++) {
            Frames f{0x30, static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)};
            liar.say(f.fill(len, 'x'));
        }
        quring_conn_info info;
        quic_conn_get_info(conn, &info);
        EXPECT_EQ(info.datagrams_recv, 5000u);
        EXPECT_EQ(quic_endpoint_counters(liar.victim().ep)->datagram_frames_dropped,
                  info.datagrams_overrun);
        EXPECT_EQ(liar.victim().count(QURING_EV_DATAGRAM_READABLE), 1u);
        uint32_t kept = static_cast<uint32_t>(5000 - info.datagrams_overrun);
        EXPECT_LE(kept, 64u);
        EXPECT_GE(kept, len == 10 ? 64u : 50u);
        quic_span span{};
        size_t bytes = 0;
        for (uint32_t i = 5000 - kept; i < 5000; i++) {
            ASSERT_EQ(quic_conn_datagram_peek(conn, &span), QUIC_OK);
            bytes += span.len;
            EXPECT_EQ(span.data[0] << 8 | span.data[1], static_cast<int>(i));
            ASSERT_EQ(quic_conn_datagram_consume(conn), QUIC_OK);
        }
        EXPECT_LE(bytes, 64u * 1024u);
        EXPECT_EQ(quic_conn_datagram_peek(conn, &span), QUIC_E_AGAIN);
        EXPECT_TRUE(liar.alive());
    }
}

/* RFC 9221 5.3: who has no memory for them drops them. */
TEST(Datagram, WithoutMemoryTheyAreDropped)
{
    Liar liar;
    liar.establish();
    liar.victim().alloc.fail_at(1);
    liar.say(Frames{0x30, 'x'});
    liar.say(Frames{0x30, 'y'});
    EXPECT_TRUE(liar.alive());
    EXPECT_EQ(liar.victim().datagrams, std::vector<std::string>{"y"});
}

} // namespace

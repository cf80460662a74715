/* Packets that are opened to where their data belongs (conn_landing.h), and those that only seemed to be such. */
#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "tests/quic/conn/conn_fixture.h"
#include "tests/sim/inspect.h"

namespace
{

constexpr uint8_t kStream = 0x08; /* RFC 9000 19.8: without a length it ends the packet */
constexpr uint8_t kOff = 0x04;
constexpr uint8_t kLen = 0x02;
constexpr uint8_t kFin = 0x01;

/* Whether what came is read at once or all at the end; whether packets come alone or several in a unit. */
struct Way {
    bool read;
    bool together;
};

class Landing : public testing::TestWithParam<Way>
{
  protected:
    void SetUp() override
    {
        liar_.establish();
        liar_.net.server.read_streams = GetParam().read;
        liar_.together = GetParam().together;
    }
    /* The next bytes of stream 0 in a packet of their own. */
    void Bulk(uint8_t bits = 0)
    {
        const std::string piece = bytes_of(sent_.size() + 100).substr(sent_.size());
        liar_.say(
            Frames{static_cast<uint8_t>(kStream | kOff | bits)}.v(0).v(sent_.size()).str(piece));
        sent_ += piece;
    }
    /* Bulk data around whatever `other` says. */
    void Around(const std::function<void()> &other)
    {
        for (int i = 0; i < 5; i++) {
            Bulk();
        }
        other();
        for (int i = 0; i < 5; i++) {
            Bulk();
        }
        Bulk(kFin);
        liar_.say_all();
        liar_.net.read_unread(liar_.net.server);
        const Received &got = liar_.net.server.streams[0];
        EXPECT_TRUE(liar_.alive());
        EXPECT_TRUE(got.fin);
        EXPECT_EQ(got.bytes, sent_);
    }

    Liar liar_;
    std::string sent_;
};

TEST_P(Landing, BulkDataArrives)
{
    Around([] {});
}

TEST_P(Landing, APacketThatIsNotAuthenticChangesNothing)
{
    Around([this] {
        liar_.say(QUIC_LEVEL_APP, Frames{kStream | kOff}.v(0).v(sent_.size()).fill(300, 'x'),
                  INJECT_FLIP_TAG);
    });
    EXPECT_EQ(quic_endpoint_counters(liar_.net.server.ep)->drop_undecryptable, 1u);
}

TEST_P(Landing, OtherFramesAreTakenFromTheirPlace)
{
    Around([this] { liar_.say(Frames{0x01}.fill(300, 0)); }); /* PING, PADDING */
}

TEST_P(Landing, AFrameWithALengthMayBeFollowedByOthers)
{
    Around([this] {
        liar_.say(Frames{kStream | kOff | kLen}
                      .v(0)
                      .v(sent_.size())
                      .v(3)
                      .str("abc")
                      .b({0x01, kStream | kOff | kLen | kFin})
                      .v(4)
                      .v(0)
                      .v(5)
                      .str("other"));
        sent_ += "abc";
    });
    EXPECT_EQ(liar_.net.server.streams[4].bytes, "other");
}

TEST_P(Landing, DataOfAnotherStreamGoesThere)
{
    Around([this] { liar_.say(Frames{kStream | kOff | kFin}.v(4).v(0).fill(200, 'o')); });
    EXPECT_EQ(liar_.net.server.streams[4].bytes, std::string(200, 'o'));
}

/* Nothing is moved in vain for streams that take turns packet by packet, as other stacks send them. */
TEST_P(Landing, StreamsThatTakeTurnsAreNotGuessedAt)
{
    const quic_conn *conn = liar_.net.server.conn;
    liar_.together = false;
    Bulk();
    EXPECT_FALSE(sim_inspect_expects_bulk(conn));
    Bulk();
    EXPECT_TRUE(sim_inspect_expects_bulk(conn));
    for (uint64_t off = 0; off < 2000; off += 200) {
        liar_.say(Frames{kStream | kOff}.v(4).v(off).fill(200, 'o'));
        EXPECT_FALSE(sim_inspect_expects_bulk(conn));
        Bulk();
        EXPECT_FALSE(sim_inspect_expects_bulk(conn));
    }
    Around([] {});
}

/* RFC 9000 2.2: the same bytes again, or bytes beyond a gap. */
TEST_P(Landing, DataFromElsewhereInTheStreamGoesWhereItBelongs)
{
    Around([this] { liar_.say(Frames{kStream | kOff}.v(0).v(150).str(sent_.substr(150, 100))); });
}

TEST_P(Landing, DataBeyondAGapWaits)
{
    Around([this] {
        const std::string whole = bytes_of(sent_.size() + 200);
        liar_.say(Frames{kStream | kOff}
                      .v(0)
                      .v(sent_.size() + 100)
                      .str(whole.substr(sent_.size() + 100)));
        Bulk();
        sent_ = whole;
    });
}

/* RFC 9000 19.8 does not ask for the shortest form of an integer. */
TEST_P(Landing, AHeadOfAnotherLengthIsNoFrame)
{
    Around([this] {
        const std::string piece = bytes_of(sent_.size() + 100).substr(sent_.size());
        liar_.say(Frames{kStream | kOff, 0xc0}.fill(7, 0).v(sent_.size()).str(piece));
        sent_ += piece;
    });
}

/* RFC 9000 4.5 */
TEST_P(Landing, DataBeyondTheEndIsRefused)
{
    for (int i = 0; i < 5; i++) {
        Bulk();
    }
    Bulk(kFin);
    liar_.say(Frames{kStream | kOff}.v(0).v(sent_.size()).fill(100, 'x'));
    liar_.say_all();
    EXPECT_EQ(liar_.close_on_wire(), static_cast<uint64_t>(QUIC_V_FINAL_SIZE));
}

/* RFC 9000 12.3: each number counts once. */
TEST_P(Landing, PacketsThatComeTwiceCountOnce)
{
    liar_.together = true;
    Around([this] {
        for (int back = 0; back < 3; back++) {
            liar_.waiting.push_back(liar_.waiting.back());
        }
        Bulk();
        liar_.waiting.push_back(liar_.waiting[liar_.waiting.size() - 2]);
    });
    EXPECT_EQ(quic_endpoint_counters(liar_.net.server.ep)->drop_duplicate, 4u);
}

TEST_P(Landing, PacketsInAnotherOrderAreSorted)
{
    liar_.together = true;
    Around([this] {
        Bulk();
        Bulk();
        Bulk();
        std::swap(liar_.waiting.end()[-1], liar_.waiting.end()[-3]);
    });
}

TEST_P(Landing, ANumberThatIsMissingIsNoReasonToWait)
{
    Around([this] {
        Bulk();
        (void)liar_.make(QUIC_LEVEL_APP, {0x01}); /* lost */
    });
}

/* RFC 9000 17.3.1 */
TEST_P(Landing, WhatCameBeforeAnErrorIsTaken)
{
    liar_.net.server.read_streams = true;
    for (int i = 0; i < 8; i++) {
        Bulk();
    }
    liar_.say(QUIC_LEVEL_APP, Frames{kStream | kOff}.v(0).v(sent_.size()).fill(100, 'x'),
              INJECT_RESERVED_BITS);
    liar_.say_all();
    EXPECT_EQ(liar_.close_on_wire(), static_cast<uint64_t>(QUIC_V_PROTOCOL_VIOLATION));
    EXPECT_EQ(liar_.net.server.streams[0].bytes, sent_);
}

/* RFC 9000 4.1: of the stream, or of the connection. */
TEST_P(Landing, DataBeyondALimitIsRefused)
{
    for (bool whole : {false, true}) {
        Liar liar(false, [&](sim::Options &o) {
            quring_limits &l = o.server.limits;
            (whole ? l.conn_recv_window_bytes : l.stream_recv_window_bytes) = 65536;
            (whole ? l.conn_recv_window_max_bytes : l.stream_recv_window_max_bytes) = 65536;
        });
        liar.establish();
        liar.net.server.read_streams = false;
        liar.together = GetParam().together;
        for (uint64_t off = 0; off < 65536; off += 1024) {
            liar.say(Frames{kStream | kOff}.v(0).v(off).fill(1024, 'x'));
        }
        liar.say_all();
        EXPECT_TRUE(liar.alive());
        liar.say(Frames{kStream | kOff}.v(0).v(65536).fill(1024, 'x'));
        liar.say_all();
        EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_FLOW_CONTROL)) << whole;
    }
}

TEST_P(Landing, DataBeyondALimitIsRefusedAmongOthers)
{
    Liar liar(false, [&](sim::Options &o) {
        o.server.limits.stream_recv_window_bytes = 65536;
        o.server.limits.stream_recv_window_max_bytes = 65536;
    });
    liar.establish();
    liar.net.server.read_streams = false;
    liar.together = true;
    for (uint64_t off = 0; off < 65536 + 4096; off += 1024) {
        liar.say(Frames{kStream | kOff}.v(0).v(off).fill(1024, 'x'));
    }
    liar.say_all();
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_FLOW_CONTROL));
}

/* RFC 9000 21.9: each useful packet pays for one that was not (glitch.h). */
TEST(LandingTogether, EachPacketOfARunPaysForAUselessOne)
{
    int pings[2] = {0, 0};
    for (bool together : {false, true}) {
        Liar liar(false, [](sim::Options &o) {
            o.server.limits.glitch_burst = 60;
            o.server.limits.glitch_per_s = 0;
        });
        liar.establish();
        for (int i = 0; i < 50; i++) {
            liar.say(Frames{0x01});
        }
        liar.together = together;
        for (uint64_t off = 0; off < 50 * 100; off += 100) {
            liar.say(Frames{kStream | kOff}.v(0).v(off).fill(100, 'x'));
        }
        liar.say_all();
        liar.together = false;
        for (; pings[together] < 1000 && liar.alive(); pings[together]++) {
            liar.say(Frames{0x01});
        }
        EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_PROTOCOL_VIOLATION));
    }
    EXPECT_EQ(pings[0], pings[1]);
}

INSTANTIATE_TEST_SUITE_P(Conn, Landing,
                         testing::Values(Way{true, false}, Way{false, false}, Way{true, true},
                                         Way{false, true}),
                         [](const auto &way) {
                             return std::string(way.param.read ? "Read" : "Unread") +
                                    (way.param.together ? "Together" : "Alone");
                         });

} // namespace

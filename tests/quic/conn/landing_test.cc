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

class Landing : public testing::TestWithParam<bool>
{
  protected:
    void SetUp() override
    {
        liar_.establish();
        liar_.net.server.read_streams = GetParam(); /* each packet at once, or all at the end */
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
        EXPECT_EQ(quic_endpoint_counters(liar_.net.server.ep)->drop_undecryptable, 1u);
    });
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
    EXPECT_EQ(liar_.close_on_wire(), static_cast<uint64_t>(QUIC_V_FINAL_SIZE));
}

INSTANTIATE_TEST_SUITE_P(Conn, Landing, testing::Bool(), [](const auto &read) {
    return std::string(read.param ? "Read" : "Unread");
});

} // namespace

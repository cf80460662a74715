/* Section D: a peer that breaks no rule and wants our memory or our time. */
#include <algorithm>

#include <gtest/gtest.h>

#include "tests/quic/conn/conn_fixture.h"
#include "tests/quic/hostile/rows.h"
#include "tests/sim/inspect.h"

namespace
{

using hostile::counters;
using hostile::expect_nothing_left;
using hostile::expect_sound;
using hostile::Row;

/* 68: tests of DATAGRAM. */
const hostile::Rows kRows("D", 60, 69, {68});
const hostile::Rows kRows75("D", 75, 75);

Frames new_cid(uint64_t seq, uint64_t retire_prior_to)
{
    Frames f{0x18};
    f.v(seq).v(retire_prior_to).b({8});
    return f.fill(8, static_cast<uint8_t>(0x40 + seq)).fill(16, static_cast<uint8_t>(seq));
}

void nothing_reaches_the_client(Liar &liar)
{
    liar.net.filter = [](Packet &p) { return p.to_server; };
}

/* RFC 9000 5.1.2: each makes us retire one, none of our retirements is acknowledged. */
TEST(HostileD, Row60RetirementsThatAreNeverAcknowledged)
{
    Row row("D", 60);
    Liar liar;
    liar.establish();
    nothing_reaches_the_client(liar);
    uint64_t bytes = liar.net.server.alloc.bytes();
    uint64_t seq = 4;
    for (; liar.closes().empty() && seq < 100; seq++) {
        liar.say(new_cid(seq, seq));
        liar.net.run_for(100 * kMs);
        EXPECT_LE(liar.net.server.alloc.bytes(), bytes + 65536);
    }
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_CONNECTION_ID_LIMIT));
    EXPECT_EQ(seq, 4u + 5 + 1); /* 4 at the first, then one each: the ninth is too many */
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* One frame retires two, of which only one can be said any more: the other's reset token goes with it, or it would
 * lead to a connection that is no more. */
TEST(HostileD, Row60AResetTokenGoesWithItsConnectionId)
{
    Row row("D", 60);
    Liar liar;
    liar.establish();
    nothing_reaches_the_client(liar);
    for (uint64_t seq = 4; seq < 8; seq++) {
        liar.say(new_cid(seq, seq));
    }
    liar.say(new_cid(8, 7));
    ASSERT_TRUE(liar.closes().empty());
    liar.say(new_cid(9, 9));
    liar.net.run_for(kMs);
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_CONNECTION_ID_LIMIT));
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
    Bytes reset(41, 0x55);
    std::fill(reset.end() - 16, reset.end(), 7);
    liar.net.inject(liar.net.server, reset);
    EXPECT_EQ(hostile::counters(liar.net.server).recv_stateless_reset, 0u);
    expect_sound(liar.net);
}

/* RFC 9000 8.2.2: a PATH_RESPONSE travels in a datagram of at least 1200 bytes; the latest few are
 * answered, once. */
TEST(HostileD, Row61PathChallenges)
{
    Row row("D", 61);
    Liar liar;
    liar.establish();
    nothing_reaches_the_client(liar);
    liar.say(Frames{0x1a}.str("01234567"));
    ASSERT_EQ(liar.count_frames(0x1b), 1u);
    size_t largest = 0;
    for (const Packet &p : liar.net.sent) {
        largest = std::max(largest, p.to_server ? 0 : p.bytes.size());
    }
    EXPECT_GE(largest, 1200u);
    Frames flood;
    for (uint8_t i = 0; i < 100; i++) {
        flood.b({0x1a}).fill(8, i);
    }
    uint64_t bytes = liar.net.server.alloc.bytes();
    liar.say(flood);
    EXPECT_EQ(liar.count_frames(0x1b), 1u + 4);
    for (uint16_t port = 6000; port < 6050; port++) { /* from many addresses */
        liar.net.inject(liar.net.server, liar.make(QUIC_LEVEL_APP, flood.bytes()), port);
        EXPECT_LE(liar.net.server.alloc.bytes(), bytes + 32768);
    }
    liar.net.run_for(kS);
    EXPECT_LE(liar.count_frames(0x1b), 5u + 50 * 4);
    liar.net.sent.clear();
    liar.net.run_for(5 * kS);
    EXPECT_EQ(liar.count_frames(0x1b), 0u); /* never repeated */
    for (int i = 0; i < 5000 && liar.closes().empty(); i++) {
        liar.say(flood);
    }
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_PROTOCOL_VIOLATION));
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* RFC 9000 21.7: single bytes with gaps between them. */
TEST(HostileD, Row62GapsOfOneStream)
{
    Row row("D", 62);
    Liar liar;
    liar.establish();
    uint64_t bytes = liar.net.server.alloc.bytes();
    uint64_t gaps = 0;
    for (; gaps < 1000 && liar.closes().empty(); gaps++) {
        liar.say(Frames{0x0e, 0x00}.v(2 * gaps + 1).b({0x01, 'x'}));
    }
    EXPECT_EQ(gaps, 257u);
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_INTERNAL_ERROR));
    EXPECT_STREQ(liar.net.server.find(QURING_EV_CLOSED)->close.reason, "reassembly gaps");
    EXPECT_LE(liar.net.server.alloc.bytes(), bytes + 65536);
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

TEST(HostileD, Row62GapsOfAllStreams)
{
    Row row("D", 62);
    /* A byte so far off, on a stream of its own, counts as if all before it were there. */
    for (uint64_t far : {0u, 200000u}) {
        Liar liar;
        liar.establish();
        uint64_t window = liar.net.options.server.limits.conn_recv_window_max_bytes;
        uint64_t bytes = liar.net.server.alloc.bytes();
        if (far != 0) {
            liar.say(Frames{0x0e, 0x02}.v(far).b({0x01, 'x'}));
        }
        uint64_t gaps = far != 0 ? 1 : 0;
        for (; gaps < 3000 && liar.closes().empty(); gaps++) { /* as far apart as they may be */
            uint64_t stream = gaps / 100;
            liar.say(Frames{0x0e}.v(4 * stream).v(gaps % 100 * 300 + 1).b({0x01, 'x'}));
            EXPECT_LE(liar.net.server.alloc.bytes(), bytes + 2 * window);
        }
        EXPECT_GE(gaps, 1025u); /* and one for every 2 KiB of the window that they take */
        EXPECT_LE(gaps, 1025u + (14 * 30000 + far) / 2048);
        EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_INTERNAL_ERROR));
        expect_sound(liar.net);
        expect_nothing_left(liar.net);
    }
}

/* Gaps that are filled, and those of streams that were reset, are given back. */
TEST(HostileD, Row62GapsThatGoAwayDoNotCount)
{
    Row row("D", 62);
    Liar liar(false, [](sim::Options &o) { o.server.limits.reassembly_gaps_conn_max = 8; });
    liar.establish();
    for (uint64_t stream = 0; stream < 40; stream++) {
        for (uint8_t i = 1; i <= 4; i++) {
            liar.say(Frames{0x0e}.v(4 * stream).v(2u * i + 1).b({0x01, 'x'}));
        }
        liar.say(stream % 2 == 0 ? Frames{0x04}.v(4 * stream).b({0x00, 0x0a})
                                 : Frames{0x0b}.v(4 * stream).b({0x0a}).fill(10, 'x'));
    }
    EXPECT_TRUE(liar.alive());
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* RFC 9000 13.2.4: acknowledgements alone are not remembered; now and then a PING goes along. */
TEST(HostileD, Row63AcknowledgementsThatNobodyAcknowledges)
{
    Row row("D", 63);
    Liar liar;
    liar.establish();
    nothing_reaches_the_client(liar);
    uint64_t bytes = liar.net.server.alloc.bytes();
    size_t pings = 0;
    for (uint64_t i = 0; i < 4000; i++) {
        liar.say(Frames{0x0e, 0x00}.v(i).b({0x01, 'x'}));
        pings += liar.count_frames(0x01);
        liar.net.sent.clear();
    }
    EXPECT_TRUE(liar.alive());
    /* The PINGs are remembered, and with them the span of numbers since the first. */
    EXPECT_LE(liar.net.server.alloc.bytes(),
              bytes + 64 * liar.net.options.server.limits.sent_packets_max);
    EXPECT_GE(pings, 1u);
    EXPECT_EQ(liar.net.server.streams[0].bytes.size(), 4000u);
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

struct Flood {
    const char *name;
    Frames (*packet)(uint64_t n);
};

const Flood kFloods[] = {
    {"Ping", [](uint64_t) { return Frames{0x01}; }},
    {"Padding", [](uint64_t) { return Frames{}.fill(1000, 0); }},
    {"OldAck",
     [](uint64_t) {
         return Frames{0x02, 0x00, 0x00, 0x00, 0x00};
     }},
    {"MaxDataPlusOne", [](uint64_t n) { return Frames{0x10}.v((1u << 24) + n); }},
    {"MaxStreamsPlusOne", [](uint64_t n) { return Frames{0x12}.v(1000 + n); }},
    {"MaxStreamDataPlusOne",
     [](uint64_t n) {
         return Frames{0x11, 0x00}.v((1u << 24) + n);
     }},
    {"DataBlocked",
     [](uint64_t) {
         return Frames{0x14, 0x00};
     }},
    {"StreamDataBlocked",
     [](uint64_t) {
         return Frames{0x15, 0x00, 0x00};
     }},
    {"StreamsBlocked",
     [](uint64_t) {
         return Frames{0x16, 0x00};
     }},
    {"RepeatedStream",
     [](uint64_t) {
         return Frames{0x0a, 0x00, 0x01, 'x'};
     }},
    {"RepeatedReset",
     [](uint64_t) {
         return Frames{0x04, 0x04, 0x00, 0x05};
     }},
    {"RepeatedStop",
     [](uint64_t) {
         return Frames{0x05, 0x00, 0x00};
     }},
    /* The next three: of streams that are over from the first packet on. */
    {"StreamThatIsOver",
     [](uint64_t) {
         return Frames{0x0b, 0x02, 0x00};
     }},
    {"ResetOfAStreamThatIsOver",
     [](uint64_t) {
         return Frames{0x04, 0x02, 0x00, 0x00};
     }},
    {"ResetAtOfAStreamThatIsOver",
     [](uint64_t) {
         return Frames{0x24, 0x02, 0x00, 0x00, 0x00};
     }},
    {"RepeatedRetireCid",
     [](uint64_t) {
         return Frames{0x19, 0x01};
     }},
    {"RepeatedNewCid", [](uint64_t) { return new_cid(4, 1); }},
    {"PingsBehindARetireCid",
     [](uint64_t) {
         return Frames{}.fill(15, 0x01).b({0x19, 0x01});
     }},
    {"ManyPingsPerPacket", [](uint64_t) { return Frames{}.fill(1100, 0x01); }},
    {"ManyPingsBehindAByte",
     [](uint64_t n) {
         return Frames{}.fill(1100, 0x01).b({0x0e, 0x00}).v(n + 1).b({0x01, 'x'});
     }},
};

std::string flood_name(const testing::TestParamInfo<Flood> &f)
{
    return f.param.name;
}

class FloodTest : public testing::TestWithParam<Flood>
{
};

/* Streams that nobody sent a byte of end at their whole window, a frame each: a megabyte for flow control. */
void final_sizes_for_nothing(Liar &liar)
{
    for (uint64_t id : {6u, 10u, 14u, 18u}) {
        liar.say(Frames{0x04}.v(id).b({0x00}).v(262144));
    }
}

uint64_t packets_taken(const Liar &liar)
{
    quring_conn_info info;
    quic_conn_get_info(liar.net.server.conn, &info);
    return info.packets_recv;
}

/* RFC 9000 21.9 */
TEST_P(FloodTest, Row65EndsTheConnection)
{
    Row row("D", 65);
    Liar liar;
    liar.establish();
    liar.say(Frames{0x0a, 0x00, 0x01, 'x'});
    final_sizes_for_nothing(liar);
    const uint64_t useful = packets_taken(liar);
    EXPECT_LE(useful, 20u);
    uint64_t bytes = liar.net.server.alloc.bytes();
    uint64_t taken = 0;
    for (; taken < 3000 && liar.closes().empty(); taken++) {
        liar.say(GetParam().packet(taken));
        liar.net.now += 10 * QUIC_NS_PER_US;
    }
    EXPECT_GE(taken, 14u); /* those of a thousand frames weigh more */
    EXPECT_LE(taken, 1010u + useful);
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_PROTOCOL_VIOLATION));
    EXPECT_STREQ(liar.net.server.find(QURING_EV_CLOSED)->close.reason, "excessive useless frames");
    EXPECT_LE(liar.net.server.alloc.bytes(), bytes + 65536);
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

INSTANTIATE_TEST_SUITE_P(HostileD, FloodTest, testing::ValuesIn(kFloods), flood_name);

/* A final size is no work: ten packets that bring nothing for each one that ends a stream are too many. */
TEST(HostileD, Row65FinalSizesEarnNothing)
{
    Row row("D", 65);
    Liar liar;
    liar.establish();
    nothing_reaches_the_client(liar);
    const uint64_t before = packets_taken(liar);
    uint64_t taken = 0;
    for (uint64_t id = 2; taken < 3000 && liar.closes().empty(); id += 4) {
        liar.say(Frames{0x04}.v(id).b({0x00}).v(262144));
        taken++;
        for (int i = 0; i < 10 && liar.closes().empty(); i++, taken++) {
            liar.say(Frames{0x01});
        }
    }
    /* after r times 11: 9 r are owed, 1000 and r allowed */
    EXPECT_GE(taken, 1000u);
    EXPECT_LE(taken, 1000 / 8 * 11 + 2 * before + 22);
    ASSERT_FALSE(liar.closes().empty());
    EXPECT_STREQ(liar.net.server.find(QURING_EV_CLOSED)->close.reason, "excessive useless frames");
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* Answers to nothing, while there is something that is asked. */
TEST(HostileD, Row65AnswersWhileAPathIsTried)
{
    Row row("D", 65);
    Liar liar;
    liar.establish();
    liar.net.inject(liar.net.server, liar.make(QUIC_LEVEL_APP, Frames{0x01}.bytes()), 6000);
    uint64_t taken = 0;
    for (; taken < 3000 && liar.closes().empty(); taken++) {
        liar.say(Frames{0x1b}.fill(8, static_cast<uint8_t>(taken)));
        liar.net.now += 10 * QUIC_NS_PER_US;
    }
    EXPECT_LE(taken, 1010u);
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_PROTOCOL_VIOLATION));
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* RFC 9001 6.5: a peer waits a while before it changes its keys again. Each change costs the server new ones. */
TEST(HostileD, Row65KeyUpdatesWithoutAPause)
{
    Row row("D", 65);
    Liar liar;
    liar.establish();
    nothing_reaches_the_client(liar);
    final_sizes_for_nothing(liar);
    uint64_t updates = 0;
    for (uint64_t off = 0; updates < 500 && liar.closes().empty(); updates++) {
        inject_rotate(liar.liar_conn());
        for (int i = 0; i < 2; i++) { /* the second has both acknowledged, with new keys */
            liar.say(Frames{0x0e, 0x00}.v(off++).b({0x01, 'x'}));
        }
    }
    EXPECT_GE(updates, 30u);
    EXPECT_LE(updates, 70u);
    EXPECT_STREQ(liar.net.server.find(QURING_EV_CLOSED)->close.reason, "excessive useless frames");
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* ... but by its own idea of a probe timeout a peer may be early for ours. */
TEST(HostileD, Row65KeyUpdatesOfAPeerWithAShorterTimeout)
{
    Row row("D", 65);
    Liar liar;
    liar.establish();
    nothing_reaches_the_client(liar);
    uint64_t updates = 0;
    for (uint64_t off = 0; updates < 200 && liar.closes().empty(); updates++) {
        quring_conn_info info;
        quic_conn_get_info(liar.net.server.conn, &info);
        const quic_ns pto =
            info.srtt_ns + std::max(4 * info.rttvar_ns, 1 * kMs) + 25 * kMs; /* RFC 9002 6.2.1 */
        inject_rotate(liar.liar_conn());
        for (int i = 0; i < 2; i++) {
            liar.say(Frames{0x0e, 0x00}.v(off++).b({0x01, 'x'}));
        }
        liar.net.now += pto + pto / 4;
    }
    EXPECT_EQ(updates, 200u);
    EXPECT_TRUE(liar.alive());
}

/* Frames of extensions (draft-ietf-quic-ack-frequency), each of which says something new. */
TEST(HostileD, Row64FloodsOfExtensionFrames)
{
    Row row("D", 64);
    for (bool one_each : {true, false}) {
        Liar liar(false, [](sim::Options &o) { o.server.limits.ack_frequency = true; });
        liar.establish();
        uint64_t bytes = liar.net.server.alloc.bytes();
        uint64_t taken = 0;
        for (uint64_t seq = 0; taken < 3000 && liar.closes().empty(); taken++) {
            Frames f;
            do { /* a threshold, a delay and a reordering threshold that change all the time */
                f.b({0x40, 0xaf}).v(seq).v(seq % 7).v(25000 + seq % 1000).v(seq % 5).b({0x1f});
                seq++;
            } while (!one_each && f.bytes().size() < 1000);
            liar.say(f);
            liar.net.now += 10 * QUIC_NS_PER_US;
        }
        EXPECT_LE(taken, 1010u);
        EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_PROTOCOL_VIOLATION));
        EXPECT_STREQ(liar.net.server.find(QURING_EV_CLOSED)->close.reason,
                     "excessive useless frames");
        EXPECT_LE(liar.net.server.alloc.bytes(), bytes + 65536);
        expect_sound(liar.net);
        expect_nothing_left(liar.net);
    }
}

/* The same at a rate that an idle application might have: for ever. */
TEST(HostileD, Row65ALittleOfItIsFine)
{
    Row row("D", 65);
    Liar liar;
    liar.establish();
    for (int i = 0; i < 3000; i++) {
        liar.say(Frames{0x01});
        liar.net.run_for(20 * kMs);
        liar.net.sent.clear();
    }
    EXPECT_TRUE(liar.alive());
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

void ten_streams(sim::Options &o)
{
    o.server.limits.streams_uni_max = 10;
    o.server.limits.streams_bidi_max = 10;
}

/* A stream that is opened and reset, in two frames. */
Frames &come_and_go(Frames &frames, uint64_t n)
{
    return frames.b({0x0a}).v(4 * n + 2).b({0x01, 'x', 0x04}).v(4 * n + 2).b({0, 1});
}

/* Streams opened and reset as fast as the client can send, guessing each MAX_STREAMS. */
TEST(HostileD, Row66StreamsOpenedAndResetAtOnce)
{
    Row row("D", 66);
    Liar liar(false, ten_streams);
    liar.establish();
    nothing_reaches_the_client(liar);
    quring_conn_info info;
    quic_conn_get_info(liar.net.server.conn, &info);
    uint64_t bytes = liar.net.server.alloc.bytes();
    uint64_t opened = 0;
    quic_ns start = liar.net.now;
    for (; opened < 5000 && liar.closes().empty(); opened++) { /* no time passes */
        Frames frames;
        liar.say(come_and_go(frames, opened));
        EXPECT_LE(liar.net.server.alloc.bytes(), bytes + 65536);
    }
    EXPECT_EQ(liar.net.now, start);
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_STREAM_LIMIT));
    EXPECT_GE(opened, 200u); /* ten times both limits in a round trip */
    EXPECT_LE(opened, 200u + 10 + 10);
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* ... nor by saying that it is held back, with every limit that it may have been given (19.14). */
TEST(HostileD, Row66StreamsBlockedBringsNoMore)
{
    Row row("D", 66);
    Liar liar(false, ten_streams);
    liar.establish();
    nothing_reaches_the_client(liar);
    uint64_t opened = 0;
    for (; opened < 1000 && liar.closes().empty(); opened++) { /* no time passes */
        Frames frames;
        for (uint64_t guess = 0; guess < 13; guess++) {
            frames.b({0x17}).v(opened + guess);
        }
        liar.say(come_and_go(frames, opened));
    }
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_STREAM_LIMIT));
    EXPECT_GE(opened, 200u);
    EXPECT_LE(opened, 200u + 10 + 10);
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* ... and who waits a round trip for each is not held back. */
TEST(HostileD, Row66StreamsThatComeAndGoAreFine)
{
    Row row("D", 66);
    Liar liar(false, [](sim::Options &o) { o.server.limits.streams_uni_max = 10; });
    liar.establish();
    for (uint64_t i = 0; i < 2000; i++) {
        Frames frames;
        liar.say(come_and_go(frames, i));
        liar.net.run_for(5 * kMs);
        liar.net.sent.clear();
    }
    EXPECT_TRUE(liar.alive());
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* RFC 9000 2.1, 21.8: the highest first opens all below; they are numbers, not objects. */
TEST(HostileD, Row67TheHighestStreamFirst)
{
    Row row("D", 67);
    const uint64_t max = 1u << 20;
    Liar liar(false, [](sim::Options &o) {
        o.server.limits.streams_bidi_max = 1u << 20;
        o.server.limits.streams_uni_max = 1u << 20;
    });
    liar.establish();
    uint64_t bytes = liar.net.server.alloc.bytes();
    liar.say(
        Frames{0x0a}.v(4 * (max - 1)).b({0x01, 'x', 0x0a}).v(4 * (max - 1) + 2).b({0x01, 'x'}));
    EXPECT_TRUE(liar.alive());
    EXPECT_EQ(liar.net.server.count(QURING_EV_STREAM_OPENED), 2u);
    EXPECT_LE(liar.net.server.alloc.bytes(), bytes + 32768);
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* ... of which there are only so many: to keep them in order takes the longer the more there are. */
TEST(HostileD, Row67EveryOtherStreamFromTheHighest)
{
    Row row("D", 67);
    Liar liar(false, [](sim::Options &o) { o.server.limits.streams_uni_max = 1u << 20; });
    liar.establish();
    uint64_t n = (1u << 20) - 1;
    uint64_t ranges = 0;
    while (ranges < 20000 && liar.closes().empty()) {
        Frames frames;
        for (int i = 0; i < 100; i++, ranges++, n -= 2) {
            frames.b({0x0a}).v(4 * n + 2).b({0x01, 'x'});
        }
        liar.say(frames);
    }
    EXPECT_EQ(ranges, 16400u); /* the first packet above QUIC_STREAMS_SKIPPED_MAX */
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_INTERNAL_ERROR));
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* RFC 9000 21.7: a peer that gives no credit, or acknowledges nothing. */
TEST(HostileD, Row69APeerThatTakesNothing)
{
    Row row("D", 69);
    for (bool no_acks : {false, true}) {
        Liar liar(false, [&](sim::Options &o) {
            o.clients[0].limits.stream_recv_window_bytes = no_acks ? 262144 : 1024;
            o.clients[0].limits.conn_recv_window_bytes = no_acks ? 1 << 20 : 1024;
            o.server.limits.stream_send_buf_bytes = 100000;
            o.server.limits.conn_send_buf_bytes = 100000;
        });
        liar.establish();
        nothing_reaches_the_client(liar);
        uint64_t bytes = liar.net.server.alloc.bytes();
        quic_stream *s = nullptr;
        ASSERT_EQ(quic_conn_stream_open(liar.net.server.conn, true, &s), QUIC_OK);
        std::string data(1 << 20, 'x');
        size_t taken = 0;
        size_t total = 0;
        quic_rc rc = QUIC_OK;
        while (total < data.size() && rc == QUIC_OK) {
            rc = quic_conn_stream_write(liar.net.server.conn, s,
                                        reinterpret_cast<const uint8_t *>(data.data()),
                                        data.size() - total, 0, &taken);
            total += taken;
            rc = taken == 0 ? QUIC_E_AGAIN : rc;
        }
        EXPECT_EQ(rc, QUIC_E_AGAIN);
        EXPECT_LE(total, 100000u);
        EXPECT_LE(liar.net.server.alloc.bytes(), bytes + 2 * 131072 + 65536);
        expect_sound(liar.net);
        liar.net.run_for(31 * kS);
        EXPECT_EQ(liar.net.server.close_kind(), QURING_CLOSE_IDLE_TIMEOUT);
        expect_nothing_left(liar.net);
    }
}

/* More packets than 32 bits count. */
TEST(HostileD, Row75CountsBeyond32Bits)
{
    Row row("D", 75);
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(200 * kMs);
    quring_conn_info info;
    const uint64_t step = (1ull << 31) - 1000; /* what four bytes can skip */
    for (uint64_t pn = step; pn < 1ull << 34; pn += step) {
        inject_set_next_pn(net.client.conn, pn);
        uint64_t id = net.write(net.client, std::string(30000, 'x'), true);
        ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }, 10 * kS)) << pn;
        net.run_for(200 * kMs);
        EXPECT_GE(inject_next_pn(net.client.conn), pn + 20);
        quic_conn_get_info(net.client.conn, &info);
        EXPECT_EQ(info.stream_bytes_acked, info.stream_bytes_sent);
    }
    EXPECT_EQ(counters(net.server).drop_undecryptable, 0u);
    expect_sound(net);
    expect_nothing_left(net);
}

} // namespace

/* What a peer may not do with the frames of extensions, and what it may. */
#include <algorithm>

#include <gtest/gtest.h>

#include "quic/stream/datagram_queue.h"
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

/* A flood that nobody reads: the newest stay, within the bounds, and the rest is counted. */
TEST(Datagram, H68_FloodKeepsTheNewestWithinTheBound)
{
    constexpr uint32_t kSent = 20000;
    constexpr uint32_t kSlots = QUIC_DATAGRAM_QUEUE_RECV_BYTES / QUIC_DATAGRAM_QUEUE_COUNTS_BYTES;
    for (size_t len : {size_t{10}, size_t{1100}}) {
        Liar liar;
        liar.establish();
        liar.victim().read_datagrams = false;
        quic_conn *conn = liar.victim().conn;
        for (uint32_t i = 0; i < kSent; i++) {
            Frames f{0x30, static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i)};
            liar.say(f.fill(len, 'x'));
        }
        quring_conn_info info;
        quic_conn_get_info(conn, &info);
        EXPECT_EQ(info.datagrams_recv, kSent);
        EXPECT_EQ(quic_endpoint_counters(liar.victim().ep)->datagram_frames_dropped,
                  info.datagrams_overrun);
        EXPECT_EQ(liar.victim().count(QURING_EV_DATAGRAM_READABLE), 1u);
        uint32_t kept = static_cast<uint32_t>(kSent - info.datagrams_overrun);
        EXPECT_LE(kept, kSlots);
        EXPECT_GE(kept, len == 10 ? kSlots : 900u);
        quic_span span{};
        size_t bytes = 0;
        for (uint32_t i = kSent - kept; i < kSent; i++) {
            ASSERT_EQ(quic_conn_datagram_peek(conn, &span), QUIC_OK);
            bytes += span.len;
            EXPECT_EQ(span.data[0] << 8 | span.data[1], static_cast<int>(i));
            ASSERT_EQ(quic_conn_datagram_consume(conn), QUIC_OK);
        }
        EXPECT_LE(bytes, QUIC_DATAGRAM_QUEUE_RECV_BYTES);
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

/* ---- ACK_FREQUENCY, IMMEDIATE_ACK (draft-ietf-quic-ack-frequency) ----------------------------------------- */

Frames ack_frequency(uint64_t seq, uint64_t threshold, uint64_t delay_us, uint64_t reordering)
{
    return Frames{0x40, 0xaf}.v(seq).v(threshold).v(delay_us).v(reordering);
}

/* 4: below our min_ack_delay, or no max_ack_delay at all. */
TEST(AckFrequency, DelaysThatAreNoneEndTheConnection)
{
    for (bool by_server : {false, true}) {
        for (uint64_t delay_us : {uint64_t{0}, uint64_t{999}, (uint64_t{1} << 14) * 1000}) {
            Liar liar(by_server);
            liar.establish();
            liar.say(ack_frequency(0, 1, delay_us, 1));
            EXPECT_EQ(liar.close_on_wire(), uint64_t{QUIC_V_PROTOCOL_VIOLATION}) << delay_us;
            ASSERT_EQ(liar.closes().size(), 1u);
            EXPECT_EQ(liar.closes()[0].frame_type, 0xafu);
        }
        for (uint64_t delay_us : {uint64_t{1000}, (uint64_t{1} << 14) * 1000 - 1}) {
            Liar liar(by_server);
            liar.establish();
            liar.say(ack_frequency(0, 1, delay_us, 1));
            EXPECT_TRUE(liar.alive()) << delay_us;
        }
    }
}

/* Packets until the victim acknowledges. */
int packets_per_ack(Liar &liar)
{
    liar.net.run_for(20 * kS); /* whatever was owed */
    size_t before = liar.count_frames(0x02);
    for (int n = 1; n < 200; n++) {
        liar.say(Frames{0x01});
        if (liar.count_frames(0x02) > before) {
            return n;
        }
    }
    return 200;
}

TEST(AckFrequency, TheNewestWishCounts)
{
    Liar liar(true);
    liar.establish();
    EXPECT_EQ(packets_per_ack(liar), 2);
    liar.say(ack_frequency(5, 9, 16000000, 1));
    EXPECT_EQ(packets_per_ack(liar), 10);
    liar.say(ack_frequency(5, 3, 16000000, 1)); /* 4: no larger number */
    liar.say(ack_frequency(4, 3, 16000000, 1));
    EXPECT_EQ(packets_per_ack(liar), 10);
    liar.say(ack_frequency(6, 0, 16000000, 1));
    EXPECT_EQ(packets_per_ack(liar), 1);
    liar.say(ack_frequency(QUIC_VARINT_MAX, QUIC_VARINT_MAX, 16000000, QUIC_VARINT_MAX));
    EXPECT_EQ(packets_per_ack(liar), 200);
    EXPECT_EQ(quic_endpoint_counters(liar.victim().ep)->ack_frequency_recv, 5u);
    EXPECT_TRUE(liar.alive());
}

/* 4: the delay asked for, in place of max_ack_delay. */
TEST(AckFrequency, TheDelayIsKept)
{
    Liar liar;
    liar.establish();
    liar.say(ack_frequency(0, 100, 200000, 1));
    liar.net.run_for(kS);
    liar.net.sent.clear();
    liar.say(Frames{0x01});
    liar.net.run_for(199 * kMs);
    EXPECT_EQ(liar.count_frames(0x02), 0u);
    liar.net.run_for(2 * kMs);
    EXPECT_EQ(liar.count_frames(0x02), 1u);
}

/* 5 */
TEST(AckFrequency, ImmediateAck)
{
    Liar liar;
    liar.establish();
    liar.say(ack_frequency(0, 100, 16000000, 0));
    liar.net.run_for(20 * kS);
    liar.net.sent.clear();
    liar.say(Frames{0x01});
    EXPECT_EQ(liar.count_frames(0x02), 0u);
    liar.say(Frames{0x1f});
    EXPECT_EQ(liar.count_frames(0x02), 1u);
}

/* RFC 9000 12.4: they belong to the application's packet number space. */
TEST(AckFrequency, NotInHandshakePackets)
{
    for (const Frames &frames : {ack_frequency(0, 1, 25000, 1), Frames{0x1f}}) {
        Liar liar;
        liar.start_handshake();
        liar.say(QUIC_LEVEL_HANDSHAKE, frames);
        EXPECT_EQ(liar.close_on_wire(), uint64_t{QUIC_V_PROTOCOL_VIOLATION});
    }
}

/* In slow start every acknowledgement opens the window: as many as there are. */
TEST(AckFrequency, NoFewerInSlowStart)
{
    Net net([](sim::Options &o) {
        o.clients[0].limits.ack_frequency = true;
        o.clients[0].cc = QURING_CC_NEWRENO;
    });
    net.keep_sent = false;
    ASSERT_TRUE(net.handshake());
    uint64_t id = net.write(net.client, std::string(1000000, 'x'));
    ASSERT_TRUE(
        net.run_until([&] { return net.server.streams[id].bytes.size() == 1000000; }, 300 * kS));
    EXPECT_EQ(quic_endpoint_counters(net.client.ep)->ack_frequency_sent, 0u);
}

/* The sender's side: a bulk transfer gets by with fewer ACK frames, also when packets are lost. */
TEST(AckFrequency, BulkAsksForFewer)
{
    for (bool lossy : {false, true}) {
        uint64_t acks[2] = {0, 0};
        for (int on = 0; on < 2; on++) {
            Net net([&](sim::Options &o) {
                o.clients[0].limits.ack_frequency = on != 0;
                o.clients[0].cc = QURING_CC_NEWRENO;
                o.clients[0].limits.cwnd_max_bytes = 200000;
            });
            net.keep_sent = false;
            ASSERT_TRUE(net.handshake());
            int n = 0;
            net.filter = [&](Packet &p) {
                n += p.to_server ? 1 : 0;
                return !p.to_server || (n != 500 && (!lossy || n % 100 != 0));
            };
            uint64_t id = net.write(net.client, std::string(4000000, 'x'));
            ASSERT_TRUE(net.run_until(
                [&] { return net.server.streams[id].bytes.size() == 4000000; }, 300 * kS));
            acks[on] = quic_endpoint_counters(net.client.ep)->acks_recv;
            const quic_counters *c = quic_endpoint_counters(net.client.ep);
            EXPECT_EQ(c->ack_frequency_sent > 0, on != 0);
            EXPECT_EQ(quic_endpoint_counters(net.server.ep)->ack_frequency_recv > 0, on != 0);
        }
        if (!lossy) { /* with loss the window stays so small that every other one is wanted */
            EXPECT_LT(acks[1] * 2, acks[0]);
        }
    }
}

static void asks_by_a_small_window(sim::Options &o)
{
    o.clients[0].limits.ack_frequency = true;
    o.clients[0].cc = QURING_CC_NEWRENO;
    o.clients[0].limits.cwnd_max_bytes = 200000;
}

/* The window is small again and slow start begins: the next wish is not to wait for dozens of packets. */
TEST(AckFrequency, AWindowThatFellAsksForMore) /* 8.1.1 */
{
    Net net(asks_by_a_small_window);
    net.keep_sent = false;
    ASSERT_TRUE(net.handshake());
    int n = 0;
    bool dark = false;
    uint8_t seq = 0;
    std::vector<uint8_t> thresholds;
    net.filter = [&](Packet &p) {
        const uint8_t type[] = {0x40, 0xaf};
        const auto end = p.bytes.size() > 11 ? p.bytes.end() - 3 : p.bytes.begin();
        const auto at = std::search(std::min(p.bytes.begin() + 9, end), end, type, type + 2);
        n += p.to_server ? 1 : 0;
        if (p.to_server && at != end && !dark && at[2] == seq) {
            seq++;
            thresholds.push_back(at[3]);
        }
        return !p.to_server || (n != 500 && !dark);
    };
    uint64_t id = net.write(net.client, std::string(20000000, 'x'));
    ASSERT_TRUE(net.run_until([&] { return !thresholds.empty(); }, 300 * kS));
    EXPECT_GT(thresholds.back(), 4);
    net.run_for(kS / 10);
    dark = true;
    net.run_for(5 * kS);
    dark = false;
    const size_t before = thresholds.size();
    ASSERT_TRUE(net.run_until([&] { return thresholds.size() > before; }, 300 * kS));
    EXPECT_EQ(thresholds.back(), 1);
    ASSERT_TRUE(
        net.run_until([&] { return net.server.streams[id].bytes.size() == 20000000; }, 300 * kS));
}

/* As often as before does, but five times the delay. */
TEST(AckFrequency, AnotherPathIsAskedAnew) /* 8.4 */
{
    Net net(asks_by_a_small_window);
    net.keep_sent = false;
    ASSERT_TRUE(net.handshake());
    int n = 0;
    bool dark = false;
    net.filter = [&](Packet &p) {
        n += p.to_server ? 1 : 0;
        return !p.to_server || (n != 500 && !dark);
    };
    const quic_counters *c = quic_endpoint_counters(net.client.ep);
    ASSERT_NE(net.write(net.client, std::string(20000000, 'x')), UINT64_MAX);
    ASSERT_TRUE(net.run_until([&] { return c->ack_frequency_sent > 0; }, 300 * kS));
    net.run_for(kS / 10);
    dark = true; /* the window falls, and every other packet is wanted again */
    net.run_for(5 * kS);
    dark = false;
    uint64_t before = c->ack_frequency_sent;
    ASSERT_TRUE(net.run_until([&] { return c->ack_frequency_sent > before; }, 300 * kS));
    net.delay *= 5;
    ASSERT_EQ(net.migrate(6000, 3), QUIC_OK);
    /* Nothing is known of the new one. */
    ASSERT_TRUE(net.run_until([&] { return info_of(net.client).srtt_ns > 200 * kMs; }, kS));
    before = c->ack_frequency_sent;
    net.run_for(kS);
    EXPECT_EQ(c->ack_frequency_sent, before + 1);
}

/* draft-ietf-quic-ack-frequency 4: what was lost is said again, under a new number. */
TEST(AckFrequency, ALostWishIsRepeated)
{
    Net net([&](sim::Options &o) {
        o.clients[0].limits.ack_frequency = true;
        /* The loss takes so little that nothing else is wished. */
        o.clients[0].cc = QURING_CC_CUBIC;
        o.clients[0].limits.cwnd_max_bytes = 200000;
    });
    net.keep_sent = false;
    ASSERT_TRUE(net.handshake());
    int n = 0;
    quic_ns lost_ns = 0;
    quic_ns repeated_ns = 0;
    uint8_t seq = 0;
    uint8_t threshold = 0;
    net.filter = [&](Packet &p) {
        const uint8_t type[] = {0x40, 0xaf};
        const auto end = p.bytes.size() > 11 ? p.bytes.end() - 2 : p.bytes.begin();
        const auto at = std::search(std::min(p.bytes.begin() + 9, end), end, type, type + 2);
        n += p.to_server ? 1 : 0;
        if (!p.to_server || at == end) {
            return !p.to_server || n != 500; /* slow start ends there */
        }
        if (lost_ns == 0) {
            lost_ns = p.sent_ns;
            seq = at[2];
            threshold = at[3];
            return false;
        }
        if (repeated_ns == 0 && at[2] == seq + 1) {
            repeated_ns = p.sent_ns;
            EXPECT_EQ(at[3], threshold);
        }
        return true;
    };
    (void)net.write(net.client, std::string(4000000, 'x'));
    ASSERT_TRUE(net.run_until([&] { return repeated_ns != 0; }, 60 * kS));
    EXPECT_LT(repeated_ns - lost_ns, 200 * kMs);
}

/* ---- RESET_STREAM_AT (draft-ietf-quic-reliable-stream-reset) ----------------------------------------------- */

struct ResetAtCase {
    const char *name;
    Frames frames;
    uint64_t code; /* UINT64_MAX: allowed */
};

class ResetAtRules : public testing::TestWithParam<ResetAtCase>
{
};

TEST_P(ResetAtRules, Hold)
{
    Liar liar;
    liar.establish();
    liar.say(GetParam().frames);
    EXPECT_EQ(liar.close_on_wire(), GetParam().code);
    EXPECT_EQ(liar.alive(), GetParam().code == UINT64_MAX);
}

Frames reset_at(uint64_t id, uint64_t code, uint64_t final_size, uint64_t reliable_size)
{
    return Frames{0x24}.v(id).v(code).v(final_size).v(reliable_size);
}

Frames both(const Frames &a, const Frames &b)
{
    Frames all = a;
    return all.str(std::string(b.bytes().begin(), b.bytes().end()));
}

const ResetAtCase kResetAtCases[] = {
    {"Fine", reset_at(0, 7, 10, 10), UINT64_MAX},
    {"MoreReliableThanLong", reset_at(0, 7, 10, 11), QUIC_V_FRAME_ENCODING},
    {"BeyondTheStreamsLimit", reset_at(0, 7, 100000000, 1), QUIC_V_FLOW_CONTROL},
    {"OfAStreamThatOnlyWeSendOn", reset_at(3, 7, 10, 1), QUIC_V_STREAM_STATE},
    {"OfAStreamOfOursNotOpened", reset_at(1, 7, 10, 1), QUIC_V_STREAM_STATE},
    {"AboveTheStreamLimit", reset_at(4000000, 7, 10, 1), QUIC_V_STREAM_LIMIT},
    {"LargerSizeLater", both(reset_at(0, 7, 10, 5), reset_at(0, 7, 10, 6)), UINT64_MAX},
    {"OtherFinalSize", both(reset_at(0, 7, 10, 5), reset_at(0, 7, 11, 5)), QUIC_V_FINAL_SIZE},
    {"OtherCode", both(reset_at(0, 7, 10, 5), reset_at(0, 8, 10, 5)), QUIC_V_STREAM_STATE},
    {"OtherCodeInReset", both(reset_at(0, 7, 10, 5), Frames{0x04, 0, 8, 10}), QUIC_V_STREAM_STATE},
    {"OtherFinalSizeInReset", both(reset_at(0, 7, 10, 5), Frames{0x04, 0, 7, 9}),
     QUIC_V_FINAL_SIZE},
    {"OtherFinalSizeInStream", both(reset_at(0, 7, 10, 5), Frames{0x0b, 0, 2, 'a', 'b'}),
     QUIC_V_FINAL_SIZE},
    {"DataBeyondIt", both(reset_at(0, 7, 1, 1), Frames{0x0a, 0, 2, 'a', 'b'}), QUIC_V_FINAL_SIZE},
    {"CutShort", Frames{0x24, 0, 7, 10}, QUIC_V_FRAME_ENCODING},
};

INSTANTIATE_TEST_SUITE_P(All, ResetAtRules, testing::ValuesIn(kResetAtCases),
                         [](const auto &i) { return std::string(i.param.name); });

/* 4: in the application's packet number space alone. */
TEST(ResetAt, NotInHandshakePackets)
{
    Liar liar;
    liar.start_handshake();
    liar.say(QUIC_LEVEL_HANDSHAKE, reset_at(0, 7, 10, 1));
    EXPECT_EQ(liar.close_on_wire(), uint64_t{QUIC_V_PROTOCOL_VIOLATION});
}

/* What was promised arrives whatever is lost, then the reset, and the stream is over on both sides. */
TEST(ResetAt, DeliversWhatWasPromised)
{
    for (int lose = 0; lose < 24; lose++) {
        Net net;
        ASSERT_TRUE(net.handshake());
        net.run_for(200 * kMs);
        int n = 0;
        net.filter = [&](Packet &p) { return !p.to_server || (n++ != lose && n % 7 != 0); };
        uint64_t id = net.write(net.client, std::string(30000, 'x'));
        net.run_for(lose % 3 * 10 * kMs);
        quic_stream *s = net.client.open[id];
        ASSERT_EQ(quic_conn_stream_reset_at(net.client.conn, s, 9, 20001), QUIC_OK);
        EXPECT_EQ(quic_conn_stream_reset_at(net.client.conn, s, 9, 20002), QUIC_E_INVAL);
        net.run_for(30 * kS);
        const Seen *reset = net.server.find(QURING_EV_STREAM_RESET);
        ASSERT_NE(reset, nullptr) << lose;
        EXPECT_EQ(reset->app_error, 9u);
        EXPECT_GE(net.server.streams[id].bytes.size(), 20001u);
        EXPECT_FALSE(net.server.streams[id].fin);
        EXPECT_EQ(net.client.count(QURING_EV_STREAM_FINISHED), 0u);
        EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_NONE);
    }
}

} // namespace

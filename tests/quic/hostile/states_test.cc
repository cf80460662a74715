/* Section B: frames that are right in themselves and wrong, or a nuisance, in the state they meet. */
#include <algorithm>

#include <gtest/gtest.h>

#include "tests/quic/conn/conn_fixture.h"
#include "tests/quic/hostile/rows.h"

namespace
{

using hostile::counters;
using hostile::expect_nothing_left;
using hostile::expect_sound;
using hostile::Row;

constexpr uint64_t kViolation = QUIC_V_PROTOCOL_VIOLATION;

/* How many packets of `frames` the victim takes before it closes, at `per_s` packets per second;
 * `max`: it did not. */
int packets_until_close(Liar &liar, const Frames &frames, int max, uint64_t per_s)
{
    for (int i = 0; i < max; i++) {
        liar.say(frames);
        if (!liar.closes().empty()) {
            return i;
        }
        liar.net.run_for(kS / per_s);
    }
    return max;
}

TEST(HostileB, Row22PaddingIsLegalAFloodOfItIsNot)
{
    Row row("B", 22);
    Liar liar;
    liar.establish();
    for (int i = 0; i < 100; i++) { /* a packet a second for nothing else: let them */
        liar.say(Frames{}.fill(1100, 0));
        liar.net.run_for(50 * kMs);
    }
    EXPECT_TRUE(liar.alive());
    int taken = packets_until_close(liar, Frames{}.fill(1100, 0), 5000, 10000);
    EXPECT_GE(taken, 1000);
    EXPECT_LE(taken, 1100);
    EXPECT_EQ(liar.close_on_wire(), kViolation);
    EXPECT_EQ(counters(liar.net.server).closed_excessive, 1u);
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* RFC 9000 13.2.2, 21.9 */
TEST(HostileB, Row24PingsAreAcknowledgedInPairsAndAFloodOfThemEnds)
{
    Row row("B", 24);
    Liar liar;
    liar.establish();
    uint64_t acks = counters(liar.net.server).acks_sent;
    for (int i = 0; i < 100; i++) {
        liar.say(Frames{0x01});
    }
    EXPECT_LE(counters(liar.net.server).acks_sent, acks + 51);
    EXPECT_TRUE(liar.alive());
    int taken = packets_until_close(liar, Frames{0x01}, 5000, 10000);
    EXPECT_LE(taken, 1100);
    EXPECT_EQ(liar.close_on_wire(), kViolation);
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* RFC 9000 13.1, 21.4 */
TEST(HostileB, Row30AcksOfWhatWasNeverSent)
{
    Row row("B", 30);
    for (quic_level level : {QUIC_LEVEL_INITIAL, QUIC_LEVEL_HANDSHAKE, QUIC_LEVEL_APP}) {
        Liar liar;
        if (level == QUIC_LEVEL_APP) {
            liar.establish();
        } else if (level == QUIC_LEVEL_HANDSHAKE) {
            liar.start_handshake();
        } else {
            liar.net.filter = [](Packet &p) { return !p.to_server; };
            liar.client = liar.net.connect();
            liar.net.run_for(kMs);
        }
        liar.say(level, Frames{0x02}.v(10000).b({0, 0, 0}));
        EXPECT_EQ(liar.close_on_wire(), kViolation) << level;
        expect_sound(liar.net);
        expect_nothing_left(liar.net);
    }
}

/* Everything in lo..hi that was really sent. */
Frames ack_of(const quic_conn *conn, uint64_t lo, uint64_t hi)
{
    std::vector<std::pair<uint64_t, uint64_t>> runs; /* newest first */
    for (uint64_t pn = hi + 1; pn-- > lo;) {
        if (inject_was_skipped(conn, pn, pn)) {
            continue;
        }
        if (!runs.empty() && runs.back().first == pn + 1) {
            runs.back().first = pn;
        } else {
            runs.push_back({pn, pn});
        }
    }
    Frames f{0x02};
    f.v(runs[0].second).v(0).v(runs.size() - 1).v(runs[0].second - runs[0].first);
    for (size_t i = 1; i < runs.size(); i++) {
        f.v(runs[i - 1].first - runs[i].second - 2).v(runs[i].second - runs[i].first);
    }
    return f;
}

/* Ranges are walked over what was sent, never over numbers; a first range up to 2^62 costs nothing. */
TEST(HostileB, Row32AcksOfManyRanges)
{
    Row row("B", 32);
    {
        Liar liar;
        liar.establish();
        const uint64_t last = (1ull << 62) - 1;
        liar.say(Frames{0x02}.v(last).b({0, 0}).v(last));
        EXPECT_EQ(liar.close_on_wire(), kViolation); /* never sent */
        expect_sound(liar.net);
    }
    Liar liar(false, [](sim::Options &o) {
        o.server.limits.mtu_probe_max_bytes = 0;
        o.clients[0].limits.stream_recv_window_bytes = 8 << 20; /* it will not grow */
        o.clients[0].limits.stream_recv_window_max_bytes = 8 << 20;
        o.clients[0].limits.conn_recv_window_bytes = 8 << 20;
        o.clients[0].limits.conn_recv_window_max_bytes = 8 << 20;
    });
    liar.establish();
    liar.net.filter = [](Packet &) { return false; };
    const uint64_t first = inject_next_pn(liar.net.server.conn);
    liar.net.write(liar.net.server, std::string(4 << 20, 'x'), true);
    uint64_t acked = first;
    for (int round = 0; round < 100 && acked < first + 1500; round++) { /* the window opens */
        liar.net.run_for(20 * kMs);
        ASSERT_TRUE(liar.alive());
        uint64_t next = inject_next_pn(liar.net.server.conn);
        if (next > acked) {
            liar.say(ack_of(liar.net.server.conn, acked, next - 1));
            acked = next;
        }
    }
    liar.net.run_for(20 * kMs);
    ASSERT_TRUE(liar.alive());
    ASSERT_GE(acked, first + 1500);
    uint64_t top = inject_next_pn(liar.net.server.conn) - 1;
    Frames many{0x02};
    many.v(top).b({0}).v(300).b({0});
    for (int i = 0; i < 300; i++) {
        many.b({0, 0}); /* every second number */
    }
    bool wrong = false; /* names one that was left out on purpose */
    for (uint64_t i = 0; i <= 300; i++) {
        wrong = wrong || inject_was_skipped(liar.net.server.conn, top - 2 * i, top - 2 * i);
    }
    liar.say(many);
    EXPECT_EQ(liar.close_on_wire(), wrong ? kViolation : UINT64_MAX);
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* RFC 9002 5.3 */
TEST(HostileB, Row33AckDelaysAreClamped)
{
    Row row("B", 33);
    Liar liar;
    liar.establish();
    quring_conn_info info;
    for (uint64_t delay : {uint64_t{0}, uint64_t{1} << 20, (uint64_t{1} << 62) - 1}) {
        liar.net.write(liar.net.server, "x", true);
        liar.net.filter = [](Packet &p) { return !p.to_server; };
        liar.net.run_for(5 * kMs);
        uint64_t top = inject_next_pn(liar.net.server.conn) - 1;
        liar.say(Frames{0x02}.v(top).v(delay).b({0, 0}));
        quic_conn_get_info(liar.net.server.conn, &info);
        EXPECT_GE(info.latest_rtt_ns, 1000u);
        EXPECT_GE(info.srtt_ns, 1000u);
        EXPECT_LE(info.srtt_ns, kS);
        EXPECT_GE(info.min_rtt_ns, 1000u);
        liar.net.filter = nullptr;
        liar.net.run_for(200 * kMs);
    }
    EXPECT_TRUE(liar.alive());
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* RFC 9000 13.4.2: counts that cannot be end ECN on the path, not the connection. */
TEST(HostileB, Row34EcnCountsThatCannotBe)
{
    Row row("B", 34);
    Liar liar(false, [](sim::Options &o) {
        o.server.limits.ecn = true;
        o.clients[0].limits.ecn = true;
    });
    liar.establish();
    liar.net.write(liar.net.client, std::string(20000, 'x'));
    liar.net.write(liar.net.server, std::string(20000, 'x'), true);
    liar.net.run_for(kS);
    quring_conn_info info;
    quic_conn_get_info(liar.net.server.conn, &info);
    ASSERT_TRUE(info.ecn_capable);
    liar.net.write(liar.net.server, "y", true);
    liar.net.filter = [](Packet &p) { return !p.to_server; };
    liar.net.run_for(5 * kMs);
    uint64_t top = inject_next_pn(liar.net.server.conn) - 1;
    uint64_t cwnd = info.cwnd_bytes;
    liar.say(
        Frames{0x03}.v(top).b({0, 0, 0}).v(5).v(0).v((1ull << 62) - 1)); /* fewer than before */
    quic_conn_get_info(liar.net.server.conn, &info);
    EXPECT_FALSE(info.ecn_capable);
    EXPECT_GE(info.cwnd_bytes, cwnd); /* and no congestion is believed */
    EXPECT_TRUE(liar.alive());
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* RFC 9000 4.5: also when the stream was read to its end, or reset; the other half is still open. */
TEST(HostileB, Row36FinalSizesAreRemembered)
{
    Row row("B", 36);
    for (bool reset : {false, true}) {
        for (int lie = 0; lie < 3; lie++) {
            Liar liar;
            liar.establish();
            liar.say(reset ? Frames{0x04, 0x00, 0x07, 0x05}
                           : Frames{0x0b, 0x00, 0x05}.str("hello"));
            liar.net.run_for(50 * kMs);
            EXPECT_TRUE(reset ? liar.net.server.count(QURING_EV_STREAM_RESET) == 1
                              : liar.net.server.streams[0].fin);
            liar.say(lie == 0   ? Frames{0x0e, 0x00, 0x05, 0x01, 'x'} /* data beyond it */
                     : lie == 1 ? Frames{0x0f, 0x00, 0x04, 0x00}      /* another end */
                                : Frames{0x04, 0x00, 0x00, 0x06});    /* a reset at another end */
            EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_FINAL_SIZE))
                << reset << lie;
            expect_sound(liar.net);
            expect_nothing_left(liar.net);
        }
    }
}

/* RFC 9000 4.6, 21.8: frames for streams that are over for both sides are only counted. */
TEST(HostileB, Row36ClosedStreamsCostNothing)
{
    Row row("B", 36);
    Liar liar;
    liar.establish();
    for (uint64_t i = 0; i < 50; i++) { /* the client's unidirectional ones: over when read */
        liar.say(Frames{0x0b}.v(4 * i + 2).b({0x01, 'x'}));
    }
    liar.net.run_for(kS);
    EXPECT_EQ(liar.net.server.count(QURING_EV_STREAM_CLOSED), 50u);
    uint64_t bytes = liar.net.server.alloc.bytes();
    for (uint64_t i = 0; i < 50; i++) {
        liar.say(Frames{0x0e}.v(4 * i + 2).b({0x40, 0x64, 0x01, 'x'}));
    }
    EXPECT_TRUE(liar.alive());
    EXPECT_LE(liar.net.server.alloc.bytes(), bytes);
    EXPECT_EQ(liar.net.server.count(QURING_EV_STREAM_OPENED), 50u);
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* RFC 9000 19.4: duplicates are fine, and what comes late for a reset stream counts and goes. */
TEST(HostileB, Row37ResetsMayBeRepeated)
{
    Row row("B", 37);
    Liar liar;
    liar.establish();
    for (int i = 0; i < 3; i++) {
        liar.say(Frames{0x04, 0x00, 0x07, 0x05});
        liar.say(Frames{0x0a, 0x00, 0x02, 'l', 'a'});
    }
    EXPECT_TRUE(liar.alive());
    EXPECT_EQ(liar.net.server.count(QURING_EV_STREAM_RESET), 1u);
    EXPECT_TRUE(liar.net.server.streams[0].bytes.empty());
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* RFC 9000 19.20, RFC 9001 4.1.2: a client does not believe HANDSHAKE_DONE before it is done itself. */
TEST(HostileB, Row41HandshakeDoneBeforeTheHandshakeIsHeldNotBelieved)
{
    Row row("B", 41);
    Liar liar(true);
    bool open = true;
    liar.net.filter = [&](Packet &p) { return p.to_server && open; };
    liar.client = liar.net.connect();
    ASSERT_TRUE(liar.net.run_until([&] { return liar.liar_conn() != nullptr; }, kS));
    liar.net.run_for(kMs);
    open = false;
    liar.say(Frames{0x1e}); /* the server's 1-RTT keys exist, the client's do not */
    EXPECT_TRUE(liar.closes().empty());
    EXPECT_EQ(liar.net.client.close_kind(), QURING_CLOSE_NONE);
    quring_conn_info info;
    quic_conn_get_info(liar.client, &info);
    EXPECT_FALSE(info.confirmed);
    liar.net.filter = nullptr;
    ASSERT_TRUE(liar.net.run_until([&] { return liar.net.client.conn != nullptr; }, 5 * kS));
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

/* RFC 9000 19.18: a wrong answer is ignored; who keeps sending them is not. */
TEST(HostileB, Row44WrongPathResponsesAddUp)
{
    Row row("B", 44);
    Liar liar;
    liar.establish();
    int taken = packets_until_close(liar, Frames{0x1b}.fill(8, 7), 5000, 10000);
    EXPECT_GE(taken, 100);
    EXPECT_LE(taken, 300);
    EXPECT_EQ(liar.close_on_wire(), kViolation);
    expect_sound(liar.net);
    expect_nothing_left(liar.net);
}

} // namespace

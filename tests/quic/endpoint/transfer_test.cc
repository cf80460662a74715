#include <gtest/gtest.h>

#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"

namespace
{

std::string pattern(size_t len, int salt)
{
    std::string s(len, '\0');
    for (size_t i = 0; i < len; i++) {
        s[i] = static_cast<char>((i * 2654435761u >> 13) + static_cast<size_t>(salt));
    }
    return s;
}

TEST(Transfer, MovesAMegabyteBothWays)
{
    Net net;
    net.keep_sent = false;
    ASSERT_TRUE(net.handshake());
    std::string up = pattern(1 << 20, 1);
    std::string down = pattern(1 << 20, 2);
    uint64_t a = net.write(net.client, up, true);
    uint64_t b = net.write(net.server, down, true);
    ASSERT_TRUE(
        net.run_until([&] { return net.server.streams[a].fin && net.client.streams[b].fin; }));
    EXPECT_EQ(net.server.streams[a].bytes, up);
    EXPECT_EQ(net.client.streams[b].bytes, down);
    net.run_for(kS);
    EXPECT_EQ(net.client.count(QURING_EV_STREAM_FINISHED), 1u);
    EXPECT_EQ(net.server.count(QURING_EV_STREAM_FINISHED), 1u);
    EXPECT_EQ(net.client.count(QURING_EV_STREAM_CLOSED), 2u);
    EXPECT_EQ(net.server.count(QURING_EV_STREAM_CLOSED), 2u);
    EXPECT_EQ(sim_inspect_check(net.client.ep), nullptr);
    EXPECT_EQ(sim_inspect_check(net.server.ep), nullptr);
}

/* A stream has opened before it is readable, and closes when all else has been said. */
TEST(Transfer, EventsOfAStreamComeInTheirOrder)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    uint64_t id = net.write(net.client, "hello", true);
    net.run_for(kS);
    const auto told = [&](const Side &side) {
        std::vector<quring_event_type> types;
        for (const Seen &seen : side.events) {
            if (seen.type >= QURING_EV_STREAM_OPENED && seen.stream_id == id) {
                types.push_back(seen.type);
            }
        }
        return types;
    };
    using Types = std::vector<quring_event_type>;
    EXPECT_EQ(told(net.server),
              (Types{QURING_EV_STREAM_OPENED, QURING_EV_STREAM_READABLE, QURING_EV_STREAM_CLOSED}));
    EXPECT_EQ(told(net.client), (Types{QURING_EV_STREAM_FINISHED, QURING_EV_STREAM_CLOSED}));
}

/* Who has said all there is with a datagram has no other when it is asked again, and its timer is set. */
TEST(Transfer, AConnectionThatHasSaidAllHasNoOtherDatagram)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(100 * kMs);
    std::vector<uint8_t> buf(65536);
    for (size_t len : {10u, 20000u}) { /* 14 datagrams, one by one */
        quic_stream *stream = nullptr;
        size_t accepted = 0;
        const std::string bytes = pattern(len, 1);
        ASSERT_EQ(quic_conn_stream_open(net.client.conn, true, &stream), QUIC_OK);
        ASSERT_EQ(quic_conn_stream_write(net.client.conn, stream,
                                         reinterpret_cast<const uint8_t *>(bytes.data()), len,
                                         QUIC_WRITE_FIN, &accepted),
                  QUIC_OK);
        ASSERT_EQ(accepted, len);
        quic_tx_unit unit{};
        unit.buf = buf.data();
        unit.cap = 1200;
        unit.seg_max = 1;
        size_t left = len;
        bool said_all = false;
        while (quic_endpoint_send(net.client.ep, &unit, net.now)) {
            EXPECT_FALSE(said_all);
            left -= left < unit.len ? left : unit.len;
            said_all = left == 0 && unit.len < 1200;
        }
        if (len == 10) {
            EXPECT_TRUE(said_all);
        }
        EXPECT_GT(quic_endpoint_next_timeout(net.client.ep), net.now);
        EXPECT_LE(quic_endpoint_next_timeout(net.client.ep), net.now + kS); /* a probe's */
        EXPECT_EQ(sim_inspect_check(net.client.ep), nullptr);
        net.run_for(3 * kS); /* what left is lost: it is sent again */
    }
    EXPECT_EQ(net.server.streams.size(), 2u);
    for (const auto &stream : net.server.streams) {
        EXPECT_TRUE(stream.second.fin);
    }
}

/* RFC 9002 7.7: bursts are small where nothing is known of the path, as large as it is known to absorb, and
 * small again once it has lost something. */
TEST(Transfer, ABurstIsWhatThePathIsKnownToAbsorb)
{
    for (uint32_t known : {0u, 60000u}) {
        Net net([&](sim::Options &o) {
            o.server.limits.burst_bytes = known;
            o.server.limits.cwnd_max_bytes = 65536;
        });
        ASSERT_TRUE(net.handshake());
        const auto first_burst =
            [&](size_t len) { /* of a window that is all free */
                              net.run_for(kS);
                              net.sent.clear();
                              net.write(net.server, pattern(len, 1), true);
                              net.run_for(kS);
                              size_t bytes = 0;
                              for (const Packet &p : net.sent) {
                                  bytes += !p.to_server && p.sent_ns == net.sent.front().sent_ns
                                               ? p.bytes.size()
                                               : 0;
                              }
                              return bytes;
            };
        (void)first_burst(400000); /* opens the window */
        const size_t small = 11 * 1200;
        const size_t before = first_burst(55000);
        EXPECT_TRUE(known == 0 ? before <= small : before > 55000) << known << ": " << before;
        bool lost = false;
        net.filter = [&](Packet &p) {
            const bool drop = !lost && !p.to_server && p.bytes.size() > 1000;
            lost = lost || drop;
            return !drop;
        };
        (void)first_burst(100000);
        ASSERT_TRUE(lost);
        EXPECT_LE(first_burst(40000), small) << known;
        EXPECT_EQ(info_of(net.server).packets_lost, 1u);
    }
}

/* What a sender waited for shows in the counters: here the window of slow start, or the peer's credit. */
TEST(Transfer, TellsWhatItWaitedFor)
{
    for (uint64_t window : {uint64_t{0}, uint64_t{20000}}) {
        for (bool whole : {false, true}) { /* of the connection, or of the stream */
            Net net([&](sim::Options &o) {
                o.clients[0].pacing = false;
                quring_limits &l = o.server.limits;
                if (window != 0 && whole) {
                    l.conn_recv_window_bytes = l.conn_recv_window_max_bytes = window;
                } else if (window != 0) {
                    l.stream_recv_window_uni_bytes = l.stream_recv_window_bytes = window;
                    l.stream_recv_window_max_bytes = window;
                }
            });
            net.keep_sent = false;
            ASSERT_TRUE(net.handshake());
            net.run_for(100 * kMs);
            const quic_counters before = *quic_endpoint_counters(net.client.ep);
            quic_ns start = net.now;
            uint64_t id = net.write(net.client, pattern(1 << 20, 6), true);
            ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
            const quic_counters &c = *quic_endpoint_counters(net.client.ep);
            uint64_t congestion = c.blocked_window_ns - before.blocked_window_ns;
            uint64_t conn_flow = c.blocked_conn_flow_ns - before.blocked_conn_flow_ns;
            uint64_t stream_flow = c.blocked_stream_flow_ns - before.blocked_stream_flow_ns;
            uint64_t most = static_cast<uint64_t>(net.now - start);
            EXPECT_LE(congestion + conn_flow + stream_flow, most);
            EXPECT_GT(window == 0 ? congestion
                      : whole     ? conn_flow
                                  : stream_flow,
                      most / 3)
                << window << " " << whole;
            EXPECT_GT(c.trains_8 + c.trains_16 + c.trains_32 + c.trains_4, 0u);
        }
    }
}

/* A stream waited for credit, and now sends nothing any more, or waits for a reader that is gone: what else is sent
 * is all there is, and no measure of the path (draft-ietf-ccwg-bbr 4.1.1.3.1). */
TEST(Transfer, AStreamThatNobodyReadsMakesNoBottleneck)
{
    enum How { kIsReset, kIsResetAt, kIsStopped, kStays };
    for (How how : {kIsReset, kIsResetAt, kIsStopped, kStays}) {
        Net net([](sim::Options &o) {
            o.clients[0].cc = QURING_CC_BBR;
            o.clients[0].pacing = true;
            o.server.limits.stream_recv_window_bytes = 65536;
            o.server.limits.stream_recv_window_max_bytes = 65536;
        });
        net.keep_sent = false;
        ASSERT_TRUE(net.handshake());
        net.server.read_streams = false;
        const uint64_t id = net.write(net.client, pattern(1 << 20, 6));
        net.run_for(100 * kMs);
        quic_stream *s = net.client.open.at(id);
        quic_stream_info info{};
        quic_conn_stream_get_info(net.client.conn, s, &info);
        ASSERT_EQ(info.bytes_sent, 65536u);
        EXPECT_FALSE(sim_inspect_app_limited(net.client.conn)) << how;
        if (how == kIsReset) {
            ASSERT_EQ(quic_conn_stream_reset(net.client.conn, s, 7), QUIC_OK);
        } else if (how == kIsResetAt) {
            ASSERT_EQ(quic_conn_stream_reset_at(net.client.conn, s, 7, 1000), QUIC_OK);
        } else if (how == kIsStopped) {
            ASSERT_EQ(quic_conn_stream_stop_sending(net.server.conn, net.server.unread.at(id), 7),
                      QUIC_OK);
        }
        net.server.read_streams = true;
        for (int i = 0; i < 50; i++) {
            ASSERT_NE(net.write(net.client, std::string(100, 'q')), UINT64_MAX);
            net.run_for(10 * kMs);
            EXPECT_TRUE(i < (how == kStays ? 30 : 4) || sim_inspect_app_limited(net.client.conn))
                << how << " " << i;
        }
    }
}

/* One stream's new credit is not that of another. */
TEST(Transfer, EachStreamWaitsForItsOwnCredit)
{
    Net net([](sim::Options &o) {
        o.server.limits.stream_recv_window_bytes = 65536;
        o.server.limits.stream_recv_window_max_bytes = 65536;
    });
    net.keep_sent = false;
    ASSERT_TRUE(net.handshake());
    net.server.read_streams = false;
    const uint64_t waits = net.write(net.client, pattern(100000, 6));
    const uint64_t other = net.write(net.client, pattern(100000, 6));
    net.run_for(kS);
    const auto kept = net.server.unread.extract(waits);
    ASSERT_FALSE(kept.empty());
    net.server.read_streams = true;
    net.read_unread(net.server);
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[other].fin; }, kS));
    net.run_for(100 * kMs);
    const uint64_t before = quic_endpoint_counters(net.client.ep)->blocked_stream_flow_ns;
    for (int i = 0; i < 100; i++) {
        ASSERT_NE(net.write(net.client, "q", true), UINT64_MAX);
        net.run_for(10 * kMs);
    }
    EXPECT_GT(quic_endpoint_counters(net.client.ep)->blocked_stream_flow_ns - before, 900 * kMs);
}

/* A clean path of 20 ms: from 12 kB per round trip, doubling, a megabyte takes seven of them. */
TEST(Transfer, IsAsFastAsSlowStartAllowsWithAndWithoutPacing)
{
    for (bool pacing : {false, true}) {
        for (quring_cc cc : {QURING_CC_CUBIC, QURING_CC_NEWRENO}) {
            Net net([&](sim::Options &o) {
                o.clients[0].pacing = pacing;
                o.clients[0].cc = cc;
            });
            net.keep_sent = false;
            ASSERT_TRUE(net.handshake());
            net.run_for(100 * kMs);
            quic_ns start = net.now;
            uint64_t id = net.write(net.client, pattern(1 << 20, 6), true);
            ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
            EXPECT_LE(net.now - start, 200 * kMs) << pacing << " " << cc;
            EXPECT_EQ(quic_endpoint_counters(net.client.ep)->packets_lost, 0u);
            EXPECT_EQ(quic_endpoint_counters(net.client.ep)->ptos, 0u);
        }
    }
}

TEST(Transfer, SurvivesEveryFifthDatagramLost)
{
    Net net;
    net.keep_sent = false;
    ASSERT_TRUE(net.handshake());
    uint64_t n = 0;
    net.filter = [&](Packet &) { return ++n % 5 != 0; };
    std::string up = pattern(200000, 3);
    uint64_t a = net.write(net.client, up);
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[a].fin; }, 200 * kS));
    EXPECT_EQ(net.server.streams[a].bytes, up);
}

TEST(Transfer, DeliversOnceWhatComesTwice)
{
    Net net;
    net.keep_sent = false;
    ASSERT_TRUE(net.handshake());
    std::vector<Packet> twins;
    net.filter = [&](Packet &p) {
        twins.push_back(p);
        return true;
    };
    std::string up = pattern(50000, 4);
    uint64_t a = net.write(net.client, up);
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[a].fin; }));
    uint64_t before = quic_endpoint_counters(net.server.ep)->drop_duplicate;
    for (const Packet &p : twins) {
        net.inject(p.to_server ? net.server : net.client, p.bytes);
    }
    net.run_for(kS);
    EXPECT_EQ(net.server.streams[a].bytes, up);
    EXPECT_EQ(net.server.count(QURING_EV_STREAM_OPENED), 1u);
    EXPECT_GT(quic_endpoint_counters(net.server.ep)->drop_duplicate, before + 30);
}

/* Steady state of the packet path takes no memory. */
TEST(Transfer, AllocatesNothingPerPacket)
{
    Net net;
    net.keep_sent = false;
    ASSERT_TRUE(net.handshake());
    std::string up = pattern(8 << 20, 5);
    uint64_t a = net.write(net.client, up, true);
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[a].bytes.size() > 5u << 20; }));
    uint64_t allocs = net.server.alloc.count() + net.client.alloc.count();
    uint64_t packets = quic_endpoint_counters(net.client.ep)->packets_sent;
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[a].bytes.size() > 7u << 20; }));
    EXPECT_GT(quic_endpoint_counters(net.client.ep)->packets_sent, packets + 1000);
    EXPECT_LE(net.server.alloc.count() + net.client.alloc.count(), allocs + 8);
}

TEST(Transfer, ResetAndStopReachTheOtherSideOnce)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    quic_stream *s = nullptr;
    ASSERT_EQ(quic_conn_stream_open(net.client.conn, false, &s), QUIC_OK);
    size_t n = 0;
    ASSERT_EQ(quic_conn_stream_write(net.client.conn, s, reinterpret_cast<const uint8_t *>("abc"),
                                     3, 0, &n),
              QUIC_OK);
    net.run_for(100 * kMs);
    ASSERT_EQ(quic_conn_stream_reset(net.client.conn, s, 17), QUIC_OK);
    ASSERT_EQ(quic_conn_stream_stop_sending(net.client.conn, s, 18), QUIC_OK);
    net.run_for(200 * kMs);
    ASSERT_EQ(net.server.count(QURING_EV_STREAM_RESET), 1u);
    EXPECT_EQ(net.server.find(QURING_EV_STREAM_RESET)->app_error, 17u);
    ASSERT_EQ(net.server.count(QURING_EV_STREAM_STOPPED), 1u);
    EXPECT_EQ(net.server.find(QURING_EV_STREAM_STOPPED)->app_error, 18u);
    EXPECT_EQ(net.server.count(QURING_EV_STREAM_CLOSED), 1u);
    EXPECT_EQ(net.client.count(QURING_EV_STREAM_CLOSED), 1u);
    EXPECT_EQ(net.client.count(QURING_EV_STREAM_RESET), 0u);
}

/* One stream may hold all that the connection may, and the server lets little of it leave. */
void a_stream_takes_the_budget(sim::Options &o)
{
    o.clients[0].limits.conn_send_buf_bytes = 50000;
    o.clients[0].limits.stream_send_buf_bytes = 100000;
    o.server.limits.stream_recv_window_bytes = 10000;
    o.server.limits.stream_recv_window_max_bytes = 10000;
}

TEST(Transfer, WhatIsStoppedMakesRoomForOthers)
{
    Net net(a_stream_takes_the_budget);
    ASSERT_TRUE(net.handshake());
    net.server.read_streams = false;
    const std::string bytes(100000, 'x');
    const uint8_t *data = reinterpret_cast<const uint8_t *>(bytes.data());
    quic_stream *s = nullptr;
    size_t first = 0;
    ASSERT_EQ(quic_conn_stream_open(net.client.conn, false, &s), QUIC_OK);
    ASSERT_EQ(quic_conn_stream_write(net.client.conn, s, data, bytes.size(), 0, &first), QUIC_OK);
    EXPECT_EQ(first, 50000u);
    net.run_for(200 * kMs);
    ASSERT_EQ(net.server.unread.size(), 1u);
    ASSERT_EQ(quic_conn_stream_stop_sending(net.server.conn, net.server.unread[0], 5), QUIC_OK);
    net.run_for(200 * kMs);
    size_t second = 0;
    ASSERT_EQ(quic_conn_stream_open(net.client.conn, false, &s), QUIC_OK);
    ASSERT_EQ(quic_conn_stream_write(net.client.conn, s, data, bytes.size(), 0, &second), QUIC_OK);
    EXPECT_EQ(second, first);
}

/* More streams than the budget has bytes: one that holds none of them is not woken by what is its own. */
TEST(Transfer, RoomIsToldToAWriterThatHoldsNothing)
{
    Net net([](sim::Options &o) {
        o.clients[0].limits.conn_send_buf_bytes = 1024;
        o.server.limits.streams_uni_max = 1100;
    });
    ASSERT_TRUE(net.handshake());
    net.run_for(kS); /* nothing else is under way */
    std::vector<quic_stream *> streams(1100);
    for (quic_stream *&s : streams) {
        ASSERT_EQ(quic_conn_stream_open(net.client.conn, true, &s), QUIC_OK);
    }
    const uint8_t data[1024] = {};
    size_t n = 0;
    size_t left = sizeof(data);
    /* A packet each; two are acknowledged at once, the third later. */
    for (size_t i = 0; i < 3; i++) {
        const size_t len = i < 2 ? 100 : left;
        ASSERT_EQ(quic_conn_stream_write(net.client.conn, streams[i], data, len, 0, &n), QUIC_OK);
        ASSERT_EQ(n, len);
        left -= len;
        net.run_for(kMs);
    }
    EXPECT_EQ(quic_conn_stream_write(net.client.conn, streams.back(), data, 1, 0, &n),
              QUIC_E_AGAIN);
    const uint64_t acks = quic_endpoint_counters(net.client.ep)->acks_recv;
    net.run_for(22 * kMs);
    EXPECT_EQ(quic_endpoint_counters(net.client.ep)->acks_recv, acks + 1);
    EXPECT_EQ(net.client.count(QURING_EV_STREAM_WRITABLE), 0u); /* of so little nobody is told */
    net.run_for(200 * kMs);
    ASSERT_EQ(net.client.count(QURING_EV_STREAM_WRITABLE), 1u);
    EXPECT_EQ(net.client.find(QURING_EV_STREAM_WRITABLE)->stream_id,
              quic_stream_id(streams.back()));
}

/* A stream's buffer is full, and its writer has nothing left but the end. */
struct FullWriter {
    explicit FullWriter(uint32_t flags)
        : net([](sim::Options &o) { o.clients[0].limits.stream_send_buf_bytes = 4096; }),
          bytes(8192, 'x')
    {
        EXPECT_TRUE(net.handshake());
        net.run_for(kS);
        EXPECT_EQ(quic_conn_stream_open(net.client.conn, true, &stream), QUIC_OK);
        size_t n = 0;
        EXPECT_EQ(quic_conn_stream_write(net.client.conn, stream,
                                         reinterpret_cast<const uint8_t *>(bytes.data()),
                                         bytes.size(), flags, &n),
                  QUIC_OK);
        EXPECT_LT(n, bytes.size());
    }
    void end()
    {
        size_t n = 0;
        EXPECT_EQ(quic_conn_stream_write(net.client.conn, stream, nullptr, 0, QUIC_WRITE_FIN, &n),
                  QUIC_OK);
    }
    void expect_told(size_t writable)
    {
        net.run_for(kS);
        EXPECT_EQ(net.client.count(QURING_EV_STREAM_WRITABLE), writable);
        EXPECT_EQ(net.client.count(QURING_EV_STREAM_FINISHED), writable == 0 ? 1u : 0u);
    }

    Net net;
    std::string bytes;
    quic_stream *stream = nullptr;
};

/* Behind the end nothing is written: nobody is told of room for it. */
TEST(Transfer, NoRoomIsToldBehindTheEnd)
{
    FullWriter more(0);
    more.expect_told(1);

    FullWriter at_once(0);
    at_once.end();
    at_once.expect_told(0);

    /* The acknowledgement has made room, and nobody has asked for events yet. */
    FullWriter between(0);
    std::vector<Packet> held;
    between.net.filter = [&](Packet &p) {
        if (!p.to_server) {
            held.push_back(p);
        }
        return p.to_server;
    };
    between.net.run_for(100 * kMs);
    ASSERT_FALSE(held.empty());
    for (Packet &p : held) {
        between.net.deliver(p);
    }
    between.net.filter = nullptr;
    EXPECT_EQ(between.net.client.count(QURING_EV_STREAM_WRITABLE), 0u);
    between.end();
    between.expect_told(0);
}

/* ... nor where the connection's budget was what was short. */
TEST(Transfer, NoRoomOfTheConnectionIsToldBehindTheEnd)
{
    Net net([](sim::Options &o) { o.clients[0].limits.conn_send_buf_bytes = 20000; });
    ASSERT_TRUE(net.handshake());
    net.run_for(kS);
    const std::string bytes(100000, 'x');
    const uint8_t *data = reinterpret_cast<const uint8_t *>(bytes.data());
    quic_stream *streams[2];
    for (quic_stream *&s : streams) {
        size_t n = 0;
        ASSERT_EQ(quic_conn_stream_open(net.client.conn, true, &s), QUIC_OK);
        ASSERT_EQ(quic_conn_stream_write(net.client.conn, s, data, bytes.size(), 0, &n), QUIC_OK);
        EXPECT_LT(n, bytes.size());
    }
    const uint64_t ended = quic_stream_id(streams[0]);
    size_t n = 0;
    ASSERT_EQ(quic_conn_stream_write(net.client.conn, streams[0], nullptr, 0, QUIC_WRITE_FIN, &n),
              QUIC_OK);
    net.run_for(kS);
    ASSERT_EQ(net.client.count(QURING_EV_STREAM_WRITABLE), 1u);
    EXPECT_NE(net.client.find(QURING_EV_STREAM_WRITABLE)->stream_id, ended);
    EXPECT_EQ(net.client.find(QURING_EV_STREAM_FINISHED)->stream_id, ended);
}

TEST(Transfer, RoomIsToldToAWriterThatWaitsForCredit)
{
    Net net(a_stream_takes_the_budget);
    ASSERT_TRUE(net.handshake());
    net.server.read_streams = false;
    const uint64_t moves = net.write(net.client, std::string(40000, 'm'));
    const uint64_t waits = net.write(net.client, std::string(100000, 'w'));
    net.run_for(200 * kMs);
    const size_t before = net.client.to_write[waits].second;
    ASSERT_LT(before, 50000u);
    for (int i = 0; i < 10; i++) {
        net.server.unread.erase(waits);
        net.read_unread(net.server);
        net.run_for(100 * kMs);
    }
    ASSERT_TRUE(net.server.streams[moves].fin);
    EXPECT_GT(net.client.to_write[waits].second, before); /* into what the other one held */
}

TEST(Transfer, StreamLimitGrowsAsStreamsEnd)
{
    Net net([](sim::Options &o) { o.server.limits.streams_bidi_max = 2; });
    ASSERT_TRUE(net.handshake());
    EXPECT_EQ(net.write(net.client, "a", true), 2u); /* the other kind has its own limit */
    quic_stream *s = nullptr;
    ASSERT_NE(net.write(net.client, "a"), UINT64_MAX);
    ASSERT_NE(net.write(net.client, "b"), UINT64_MAX);
    EXPECT_EQ(quic_conn_stream_open(net.client.conn, false, &s), QUIC_E_AGAIN);
    net.run_for(200 * kMs);
    EXPECT_EQ(net.client.count(QURING_EV_STREAMS_AVAILABLE), 0u); /* the server's halves are open */
    for (uint64_t id : {0ull, 4ull}) {
        ASSERT_EQ(net.server.streams[id].fin, true);
    }
}

uint64_t trains(const quic_counters &c)
{
    return c.trains_1 + c.trains_2 + c.trains_4 + c.trains_8 + c.trains_16 + c.trains_32;
}

/* Acknowledgements of two packets make room for two, and so on for ever, where nobody waits for more. */
TEST(Transfer, ShortTrainsGrowOnANearPath)
{
    Net net([](sim::Options &o) { o.clients[0].cc = QURING_CC_NEWRENO; });
    net.keep_sent = false;
    net.delay = 100 * QUIC_NS_PER_US;
    ASSERT_TRUE(net.handshake());
    (void)net.write(net.client, std::string(32 << 20, 'n'));
    net.run_for(10 * net.delay);
    uint64_t count = 0;
    net.filter = [&](Packet &p) { return !p.to_server || ++count != 40; }; /* ends slow start */
    net.run_for(10 * net.delay);
    net.seg_max = 2;
    net.run_for(10 * net.delay);
    net.seg_max = 64;
    net.run_for(10 * net.delay);
    const quic_counters before = *quic_endpoint_counters(net.client.ep);
    net.run_for(20 * net.delay);
    const quic_counters &after = *quic_endpoint_counters(net.client.ep);
    uint64_t count_of_trains = trains(after) - trains(before);
    ASSERT_GT(count_of_trains, 0u);
    EXPECT_GE(after.packets_sent - before.packets_sent, 16 * count_of_trains);
}

} // namespace

// Long lives: a connection of weeks, more streams, keys, connection IDs, moves and bytes than fit where somebody
// might have thought they fit, thousands of connections on one endpoint. LIFE_SCALE: so many times as long.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/quic/conn/inject.h"
#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"
#include "tests/sim/rng.h"

namespace
{

constexpr quic_ns kHour = 3600 * kS;

uint64_t scale()
{
    const char *text = getenv("LIFE_SCALE");
    return text != nullptr ? strtoull(text, nullptr, 10) : 1;
}

class Life : public testing::Test
{
  protected:
    void begin(const std::function<void(sim::Options &)> &change = nullptr)
    {
        net = std::make_unique<Net>(change);
        net->keep_sent = false;
        ASSERT_TRUE(net->handshake());
        net->run_for(kS);
    }

    // Both ends are as sound as they were, and agree.
    void expect_sound()
    {
        ASSERT_EQ(net->client.close_kind(), QURING_CLOSE_NONE) << net->client.close_code();
        ASSERT_EQ(net->server.close_kind(), QURING_CLOSE_NONE) << net->server.close_code();
        for (Side *side : {&net->client, &net->server}) {
            const char *wrong = sim_inspect_check(side->ep);
            ASSERT_EQ(wrong, nullptr) << wrong;
        }
        const char *wrong = sim_inspect_pair(net->client.conn, net->server.conn);
        ASSERT_EQ(wrong, nullptr) << wrong;
        wrong = sim_inspect_pair(net->server.conn, net->client.conn);
        ASSERT_EQ(wrong, nullptr) << wrong;
    }

    // What both ends hold once all is quiet. Keep-alives go on, so nobody is trimmed.
    uint64_t held()
    {
        net->run_for(10 * kS);
        return quic_endpoint_mem(net->client.ep)->used_bytes +
               quic_endpoint_mem(net->server.ep)->used_bytes;
    }

    void expect_level(uint64_t before)
    {
        EXPECT_LE(held(), before + before / 4 + 4096);
        expect_sound();
    }

    std::unique_ptr<Net> net;
    sim::Rng rng{1};
};

// ---- weeks ------------------------------------------------------------------------------------------

class Weeks : public Life, public testing::WithParamInterface<quring_cc>
{
  protected:
    Side &one()
    {
        return rng.chance(0.5) ? net->client : net->server;
    }

    bool carries(quic_ns limit)
    {
        const std::string data = bytes_of(50000);
        const uint64_t up = net->write(net->client, data, true);
        const uint64_t down = net->write(net->server, data, true);
        return net->run_until(
            [&] {
                return net->server.streams[up].fin && net->client.streams[down].fin &&
                       net->server.streams[up].bytes == data &&
                       net->client.streams[down].bytes == data;
            },
            limit);
    }

    // What the hour brings.
    void event()
    {
        switch (rng.below(7)) {
        case 0:
            ASSERT_TRUE(carries(30 * kS));
            break;
        case 1:
            (void)quic_conn_update_keys(one().conn);
            break;
        case 2:
            (void)sim_inspect_rotate_cid(one().conn);
            break;
        case 3:
            (void)net->migrate(static_cast<uint16_t>(5000 + rng.below(1000)));
            break;
        case 4: { // a bad quarter of a minute
            net->filter = [this](Packet &) { return !rng.chance(0.3); };
            (void)net->write(one(), bytes_of(30000), true);
            net->run_for(15 * kS);
            net->filter = nullptr;
            break;
        }
        case 5: // nothing arrives for less than the idle timeout
            net->filter = [](Packet &) { return false; };
            net->run_for(15 * kS);
            net->filter = nullptr;
            break;
        default:
            break;
        }
    }
};

TEST_P(Weeks, OneConnectionGoesOn)
{
    begin([](sim::Options &o) {
        o.server.limits.idle_timeout_ns = o.clients[0].limits.idle_timeout_ns = 60 * kS;
        o.server.cc = o.clients[0].cc = GetParam();
        o.clients[0].limits.keep_alive_ns = 25 * kS;
    });
    uint64_t before = 0;
    const uint64_t days = 2 * scale();
    for (uint64_t day = 0; day < days; day++) {
        for (int hour = 0; hour < 24; hour++) {
            event();
            net->run_for(kHour);
            ASSERT_EQ(net->client.close_kind(), QURING_CLOSE_NONE)
                << "day " << day << " hour " << hour;
        }
        ASSERT_TRUE(carries(5 * kS)) << "day " << day; // no slower than on the first
        net->forget();
        before = day == 0 ? held() : before;
        expect_level(before);
    }
    EXPECT_GE(net->now, days * 24 * kHour);
}

INSTANTIATE_TEST_SUITE_P(, Weeks,
                         testing::Values(QURING_CC_CUBIC, QURING_CC_NEWRENO, QURING_CC_BBR));

// ---- numbers ----------------------------------------------------------------------------------------

class Numbers : public Life
{
  protected:
    void begin_awake()
    {
        begin([](sim::Options &o) { o.clients[0].limits.keep_alive_ns = 5 * kS; });
        net->client.read_streams = net->server.read_streams = false;
    }

    // Opens up to `count` streams, each with a request and, if it has two directions, an answer. Gives how many.
    size_t ask(Side &from, Side &to, bool uni, uint64_t count)
    {
        size_t opened = 0;
        while (opened < count && net->write(from, "a request", uni) != UINT64_MAX) {
            opened++;
        }
        EXPECT_TRUE(net->run_until([&] { return to.unread.size() >= opened; }));
        if (!uni) {
            for (const auto &[id, stream] : to.unread) {
                size_t accepted = 0;
                EXPECT_EQ(
                    quic_conn_stream_write(to.conn, stream, nullptr, 0, QUIC_WRITE_FIN, &accepted),
                    QUIC_OK);
            }
        }
        net->read_unread(to);
        net->run_for(100 * kMs);
        net->read_unread(from);
        size_t ended = 0;
        for (const auto &[id, got] : to.streams) {
            ended += got.fin && got.bytes == "a request" ? 1 : 0;
        }
        EXPECT_EQ(ended, opened);
        net->run_for(100 * kMs);
        net->forget();
        return opened;
    }
};

TEST_F(Numbers, Streams)
{
    begin_awake();
    uint64_t done = 0;
    uint64_t before = 0;
    while (done < 40000 * scale() && !HasFailure()) {
        const bool up = rng.chance(0.8);
        done += ask(up ? net->client : net->server, up ? net->server : net->client, rng.chance(0.5),
                    1 + rng.below(90));
        before = before == 0 && done > 2000 ? held() : before;
    }
    expect_level(before);
}

// RFC 9000 2.1, 4.6: ids of 62 bits, and no stream beyond the last of them.
TEST_F(Numbers, StreamIdsToTheLast)
{
    for (const uint64_t mark : {1ull << 14, 1ull << 28, 1ull << 30, 1ull << 32, 1ull << 60}) {
        for (const bool uni : {false, true}) {
            for (const bool up : {false, true}) {
                SCOPED_TRACE(mark);
                begin_awake();
                Side &from = up ? net->client : net->server;
                Side &to = up ? net->server : net->client;
                inject_pass_streams(from.conn, to.conn, uni, mark - 150);
                size_t done = 0;
                for (size_t now = 1; now > 0 && done < 300; done += now) {
                    now = ask(from, to, uni, 90);
                }
                EXPECT_EQ(done, mark == 1ull << 60 ? 150u : 360u);
                expect_sound();
            }
        }
    }
}

TEST_F(Numbers, KeyUpdates)
{
    begin_awake();
    const uint64_t before = held();
    for (uint64_t i = 0; i < 2000 * scale() && !HasFailure(); i++) {
        Side &one = rng.chance(0.5) ? net->client : net->server;
        Side &other = &one == &net->client ? net->server : net->client;
        ASSERT_TRUE(net->run_until([&] { return quic_conn_update_keys(one.conn) == QUIC_OK; }, kS))
            << i;
        (void)ask(one, other, true, 1);
        ASSERT_EQ(sim_inspect_key_phase(net->client.conn), i % 2 == 0);
        ASSERT_EQ(sim_inspect_key_phase(net->server.conn), i % 2 == 0);
    }
    expect_level(before);
}

TEST_F(Numbers, ConnectionIds)
{
    begin_awake();
    const uint64_t before = held();
    for (uint64_t i = 0; i < 17000 * scale() && !HasFailure(); i++) {
        Side &one = rng.chance(0.5) ? net->client : net->server;
        ASSERT_TRUE(sim_inspect_rotate_cid(one.conn)) << i;
        net->run_for(50 * kMs);
        net->forget();
    }
    expect_level(before);
}

TEST_F(Numbers, Moves)
{
    begin_awake();
    const uint64_t before = held();
    for (uint64_t i = 0; i < 1000 * scale() && !HasFailure(); i++) {
        ASSERT_EQ(net->migrate(static_cast<uint16_t>(5001 + i % 50000)), QUIC_OK) << i;
        ASSERT_TRUE(
            net->run_until([&] { return net->client.count(QURING_EV_PATH_CHANGED) == 1; }, kS))
            << i;
        net->run_for(kS);
        ASSERT_EQ(info_of(net->server).remote.port, 5001 + i % 50000);
        net->forget();
    }
    expect_level(before);
}

// On one stream, and so on the connection.
TEST_F(Numbers, Bytes)
{
    begin_awake();
    const std::string chunk = bytes_of(100000);
    const uint64_t total = 150000000 * scale();
    net->delay = kMs;
    quic_stream *stream = nullptr;
    ASSERT_EQ(quic_conn_stream_open(net->client.conn, true, &stream), QUIC_OK);
    uint64_t written = 0;
    uint64_t read = 0;
    while (read < total && !HasFailure()) {
        const uint64_t acked = info_of(net->client).stream_bytes_acked;
        for (size_t accepted = 1; accepted > 0 && written < total; written += accepted) {
            const size_t at = written % chunk.size();
            const size_t len = std::min<uint64_t>(chunk.size() - at, total - written);
            accepted = 0;
            const quic_rc rc = quic_conn_stream_write(
                net->client.conn, stream, reinterpret_cast<const uint8_t *>(chunk.data()) + at, len,
                written + len == total ? QUIC_WRITE_FIN : 0, &accepted);
            ASSERT_TRUE(rc == QUIC_OK || rc == QUIC_E_AGAIN) << rc;
        }
        ASSERT_TRUE(net->run_until([&] {
            return !net->server.unread.empty() || info_of(net->client).stream_bytes_acked > acked;
        }));
        net->read_unread(net->server);
        for (auto &[id, got] : net->server.streams) {
            for (size_t off = 0; off < got.bytes.size();) {
                const size_t from = read % chunk.size();
                const size_t len = std::min(got.bytes.size() - off, chunk.size() - from);
                ASSERT_EQ(memcmp(got.bytes.data() + off, chunk.data() + from, len), 0) << read;
                off += len;
                read += len;
            }
        }
        net->forget();
    }
    EXPECT_EQ(read, total);
    net->run_for(kS);
    expect_sound();
    EXPECT_EQ(sim_inspect_flow_settled(net->client.conn, net->server.conn), nullptr);
}

// One after the other: what each takes is back when it is gone.
TEST_F(Numbers, Connections)
{
    begin_awake();
    ASSERT_EQ(quic_conn_close(net->client.conn, 0, nullptr), QUIC_OK);
    net->run_for(10 * kS);
    net->forget();
    const uint64_t before = held();
    for (uint64_t i = 0; i < 3000 * scale() && !HasFailure(); i++) {
        ASSERT_NE(net->connect(static_cast<uint16_t>(5000 + i % 60000)), nullptr) << i;
        ASSERT_TRUE(net->run_until([&] {
            return net->server.count(QURING_EV_CONNECTED) == 1 &&
                   net->client.count(QURING_EV_CONNECTED) == 1;
        })) << i;
        Side &one = rng.chance(0.5) ? net->client : net->server;
        ASSERT_EQ(quic_conn_close(one.conn, 0, nullptr), QUIC_OK);
        net->run_for(rng.chance(0.1) ? kS : 50 * kMs);
        net->forget();
    }
    EXPECT_LE(held(), before + before / 20); // tables that have grown
    for (Side *side : {&net->client, &net->server}) {
        EXPECT_EQ(quic_endpoint_conn_count(side->ep), 0u);
        EXPECT_EQ(quic_endpoint_mem(side->ep)->used_bytes, sim_inspect_idle_bytes(side->ep));
        const quic_counters *c = quic_endpoint_counters(side->ep);
        EXPECT_EQ(c->conns_opened, 3000 * scale() + 1);
        EXPECT_EQ(c->conns_established, c->conns_opened);
        EXPECT_EQ(c->conns_closed, c->conns_opened);
    }
}

} // namespace

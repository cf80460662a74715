#include <atomic>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/fixture.h"
#include "tests/api/support.h"

namespace
{

using quring_test::Addr;
using quring_test::Bytes;
using quring_test::ConnFacts;
using quring_test::EndToEnd;
using quring_test::kBackends;
using quring_test::kMs;
using quring_test::kSecond;
using quring_test::Pattern;
using quring_test::Peer;
using quring_test::SettingName;

class Close : public EndToEnd
{
  protected:
    /* CLOSED came once, came last, and said this. */
    void ExpectClosed(Peer *peer, quring_conn conn, quring_close_kind kind, uint64_t code,
                      const char *reason)
    {
        ASSERT_TRUE(peer->WaitClosed(conn));
        const ConnFacts facts = peer->Facts(conn);
        EXPECT_EQ(facts.close.kind, kind);
        EXPECT_EQ(facts.close.code, code);
        EXPECT_STREQ(facts.close.reason, reason);
        EXPECT_EQ(facts.closed_count, 1u);
        EXPECT_EQ(facts.events_after_close, 0u);
    }
};

TEST_P(Close, TheClientsCodeAndReasonReachTheServer)
{
    QURING_START();
    const quring_conn conn = Connect();
    const quring_conn server_conn = ServerConn();
    ASSERT_TRUE(OnClient([&] {
        EXPECT_EQ(quring_conn_close(conn, 1ull << 62, "too big"), QURING_E_INVAL);
        EXPECT_EQ(quring_conn_close(conn, 4242, "bye"), QURING_OK);
        EXPECT_EQ(quring_conn_close(conn, 4243, "again"), QURING_E_STATE);
    }));
    ExpectClosed(&client_, conn, QURING_CLOSE_LOCAL_APP, 4242, "bye");
    ExpectClosed(&server_, server_conn, QURING_CLOSE_PEER_APP, 4242, "bye");
    ASSERT_TRUE(OnClient([&] {
        EXPECT_EQ(quring_conn_ping(conn), QURING_E_STATE);
        EXPECT_EQ(quring_conn_get_ctx(conn), nullptr);
        quring_stream stream;
        EXPECT_EQ(quring_stream_open(&stream, conn, 0), QURING_E_STATE);
    }));
}

TEST_P(Close, TheServersCodeAndReasonReachTheClient)
{
    QURING_START();
    const quring_conn conn = Connect();
    const quring_conn server_conn = ServerConn();
    ASSERT_TRUE(OnServer(
        [&] { EXPECT_EQ(quring_conn_close(server_conn, (1ull << 62) - 1, nullptr), QURING_OK); }));
    ExpectClosed(&server_, server_conn, QURING_CLOSE_LOCAL_APP, (1ull << 62) - 1, "");
    ExpectClosed(&client_, conn, QURING_CLOSE_PEER_APP, (1ull << 62) - 1, "");
}

TEST_P(Close, LongReasonsAreCut)
{
    QURING_START();
    const quring_conn conn = Connect();
    const quring_conn server_conn = ServerConn();
    const std::string reason(500, 'r');
    ASSERT_TRUE(
        OnClient([&] { EXPECT_EQ(quring_conn_close(conn, 1, reason.c_str()), QURING_OK); }));
    ExpectClosed(&server_, server_conn, QURING_CLOSE_PEER_APP, 1, std::string(127, 'r').c_str());
}

/* Who closes when an answer of `want` bytes is there, and reads it only then. */
struct LateReader {
    size_t want = 0;
    quring_stream stream = {0};
    Bytes got;
    bool fin = false;
    bool closed = false;
};

void ReadAll(LateReader *reader)
{
    quring_bytes spans[2];
    while (!reader->fin && quring_stream_peek(reader->stream, spans, &reader->fin) == QURING_OK) {
        for (const quring_bytes &span : spans) {
            reader->got.insert(reader->got.end(), span.data, span.data + span.len);
        }
        EXPECT_EQ(quring_stream_consume(reader->stream, spans[0].len + spans[1].len), QURING_OK);
    }
}

void OnLate(const quring_event *ev)
{
    auto *reader = static_cast<LateReader *>(ev->conn_ctx);
    quring_stream_info info;
    if (ev->type == QURING_EV_CONNECTED) {
        const Bytes data = Pattern(reader->want, 5);
        size_t n = 0;
        EXPECT_EQ(quring_stream_open(&reader->stream, ev->conn, 0), QURING_OK);
        EXPECT_EQ(
            quring_stream_write(reader->stream, &n, data.data(), data.size(), QURING_WRITE_FIN),
            QURING_OK);
    } else if (ev->type == QURING_EV_STREAM_READABLE &&
               quring_stream_get_info(reader->stream, &info) == QURING_OK &&
               info.readable == reader->want) {
        EXPECT_EQ(quring_conn_close(ev->conn, 0, nullptr), QURING_OK);
    } else if (ev->type == QURING_EV_CLOSED) {
        ReadAll(reader);
        reader->closed = true;
    }
}

TEST_P(Close, WhatHasArrivedCanBeReadUntilItsCallbackEnds)
{
    QURING_START();
    LateReader reader;
    reader.want = 100;
    quring_connect_options options = ConnectOptions();
    options.on_event = OnLate;
    options.ctx = &reader;
    ASSERT_TRUE(OnClient([&] {
        quring_conn conn = {0};
        EXPECT_EQ(quring_connect(&conn, &options, nullptr), QURING_OK);
    }));
    bool closed = false;
    for (int i = 0; i < 1000 && !closed; i++) {
        usleep(5000);
        ASSERT_TRUE(OnClient([&] { closed = reader.closed; }));
    }
    EXPECT_TRUE(closed);
    EXPECT_TRUE(reader.fin);
    EXPECT_TRUE(reader.got == Pattern(100, 5));
}

/* Who has more to hear of than a worker tells in one turn. */
struct Flooded {
    uint32_t released = 0;
    bool closed = false;
};

void OnFlooded(const quring_event *ev)
{
    auto *flooded = static_cast<Flooded *>(ev->conn_ctx);
    flooded->released += ev->type == QURING_EV_STREAM_RELEASED ? 1 : 0;
    flooded->closed = flooded->closed || ev->type == QURING_EV_CLOSED;
}

TEST_P(Close, AWorkerThatEndsAtOnceStillTellsEverything)
{
    constexpr uint32_t kStreams = 70000;
    static const uint8_t byte = 1;
    server_config_.limits.streams_uni_max = kStreams;
    client_config_.limits.conn_mem_max_bytes = 1ull << 32;
    QURING_START();
    Flooded flooded;
    quring_conn conn = {0};
    quring_connect_options options = ConnectOptions();
    options.on_event = OnFlooded;
    options.ctx = &flooded;
    ASSERT_TRUE(OnClient([&] { ASSERT_EQ(quring_connect(&conn, &options, nullptr), QURING_OK); }));
    bool connected = false;
    for (int i = 0; i < 1000 && !connected; i++) {
        usleep(5000);
        quring_conn_info info;
        ASSERT_TRUE(OnClient([&] {
            connected = quring_conn_get_info(conn, &info) == QURING_OK && info.established;
        }));
    }
    ASSERT_TRUE(connected);
    std::atomic<bool> ready(false);
    std::thread stopper([&] {
        while (!ready) {
            usleep(1000);
        }
        quring_runtime_stop(client_rt_->rt(), 0, 0);
    });
    (void)OnClient([&] {
        for (uint32_t i = 0; i < kStreams; i++) {
            quring_stream stream = {0};
            size_t n = 0;
            EXPECT_EQ(quring_stream_open(&stream, conn, QURING_STREAM_UNI), QURING_OK);
            EXPECT_EQ(quring_stream_lend(stream, &n, &byte, 1, 0), QURING_OK);
            EXPECT_EQ(quring_stream_reset(stream, 0), QURING_OK);
        }
        ready = true;
        usleep(200000); /* the end is asked for within this turn */
    });
    stopper.join();
    EXPECT_EQ(flooded.released, kStreams);
    EXPECT_TRUE(flooded.closed);
}

/* Who resets a stream that is about to be writable again. */
struct Changeable {
    quring_stream stream = {0};
    bool reset = false;
    bool told_after = false;
    bool over = false;
};

void OnChangeable(const quring_event *ev)
{
    static const Bytes data(1u << 20, 7);
    auto *self = static_cast<Changeable *>(ev->conn_ctx);
    quring_stream_info info;
    size_t n = 0;
    if (ev->type == QURING_EV_CONNECTED) {
        EXPECT_EQ(quring_stream_open(&self->stream, ev->conn, QURING_STREAM_UNI), QURING_OK);
        EXPECT_EQ(quring_stream_lend(self->stream, &n, data.data(), data.size(), 0), QURING_OK);
        EXPECT_LT(n, data.size());
    } else if (ev->type == QURING_EV_STREAM_RELEASED && !self->reset &&
               quring_stream_get_info(ev->stream, &info) == QURING_OK &&
               info.writable >= 16 * 1024) {
        EXPECT_EQ(quring_stream_reset(ev->stream, 1), QURING_OK);
        self->reset = true;
    } else if (ev->type == QURING_EV_STREAM_WRITABLE) {
        self->told_after = self->told_after || self->reset;
    } else if (ev->type == QURING_EV_STREAM_CLOSED) {
        self->over = true;
    }
}

TEST_P(Close, AStreamThatWasResetIsNotWritable)
{
    client_config_.limits.stream_send_buf_bytes = 64 * 1024;
    QURING_START();
    Changeable self;
    quring_connect_options options = ConnectOptions();
    options.on_event = OnChangeable;
    options.ctx = &self;
    ASSERT_TRUE(OnClient([&] {
        quring_conn conn = {0};
        EXPECT_EQ(quring_connect(&conn, &options, nullptr), QURING_OK);
    }));
    bool over = false;
    for (int i = 0; i < 1000 && !over; i++) {
        usleep(5000);
        ASSERT_TRUE(OnClient([&] { over = self.over; }));
    }
    EXPECT_TRUE(over);
    EXPECT_TRUE(self.reset);
    EXPECT_FALSE(self.told_after);
}

TEST_P(Close, ResetReachesTheOtherSide)
{
    QURING_START(Peer::Mode::kCollect);
    const quring_conn conn = Connect();
    const Bytes data = Pattern(10, 1);
    const uint64_t id = Send(conn, data, 0, 0);
    const quring_conn server_conn = ServerConn();
    ASSERT_TRUE(server_.Wait([&] { return server_.At(server_conn, id).in == data; }));
    const quring_stream ours = client_.Facts(conn, id).stream;
    const quring_stream theirs = server_.Facts(server_conn, id).stream;
    ASSERT_TRUE(OnClient([&] {
        EXPECT_EQ(quring_stream_reset(ours, 1ull << 62), QURING_E_INVAL);
        EXPECT_EQ(quring_stream_reset(ours, 77), QURING_OK);
        size_t n = 0;
        EXPECT_EQ(quring_stream_write(ours, &n, "x", 1, 0), QURING_E_STATE);
    }));
    ASSERT_TRUE(server_.Wait([&] { return server_.At(server_conn, id).reset; }));
    EXPECT_EQ(server_.Facts(server_conn, id).reset_code, 77u);
    ASSERT_TRUE(OnServer([&] { EXPECT_EQ(quring_stream_reset(theirs, 78), QURING_OK); }));
    ASSERT_TRUE(client_.Wait([&] { return client_.At(conn, id).reset; }));
    EXPECT_EQ(client_.Facts(conn, id).reset_code, 78u);
    /* Both halves are done on both sides. */
    ASSERT_TRUE(client_.Wait([&] { return client_.At(conn, id).closed; }));
    ASSERT_TRUE(server_.Wait([&] { return server_.At(server_conn, id).closed; }));
}

TEST_P(Close, ResetReleasesLentBytes)
{
    server_config_.limits.stream_recv_window_bytes = 16384;
    server_config_.limits.stream_recv_window_max_bytes = 16384;
    QURING_START(Peer::Mode::kManual);
    const quring_conn conn = Connect();
    const Bytes data = Pattern(100000, 2);
    const uint64_t id = Send(conn, data, 0, 0, true);
    const quring_conn server_conn = ServerConn();
    ASSERT_TRUE(server_.Wait([&] { return server_.At(server_conn, id).opened; }));
    const quring_stream ours = client_.Facts(conn, id).stream;
    const uint64_t lent = client_.Facts(conn, id).out_done;
    EXPECT_GT(lent, 16384u); /* more than the server has room for */
    ASSERT_TRUE(OnClient([&] { EXPECT_EQ(quring_stream_reset(ours, 1), QURING_OK); }));
    ASSERT_TRUE(client_.Wait([&] { return client_.At(conn, id).released >= lent; }));
}

TEST_P(Close, StopSendingResetsTheOtherSide)
{
    const Bytes much = Pattern(8 << 20, 2); /* takes a slow machine longer than a client idles */
    QURING_START(Peer::Mode::kCollect);
    client_.SetMode(Peer::Mode::kManual);
    const quring_conn conn = Connect();
    const uint64_t id = Send(conn, Pattern(10, 1));
    const quring_conn server_conn = ServerConn();
    ASSERT_TRUE(server_.Wait([&] { return server_.At(server_conn, id).in_fin; }));
    ASSERT_TRUE(OnServer([&] { server_.SendOn(server_conn, id, much); }));
    const quring_stream ours = client_.Facts(conn, id).stream;
    const quring_stream theirs = server_.Facts(server_conn, id).stream;
    ASSERT_TRUE(OnClient([&] {
        EXPECT_EQ(quring_stream_stop_sending(ours, 1ull << 62), QURING_E_INVAL);
        EXPECT_EQ(quring_stream_stop_sending(ours, 99), QURING_OK);
        quring_bytes spans[2];
        bool fin = false;
        EXPECT_EQ(quring_stream_peek(ours, spans, &fin), QURING_E_STATE);
    }));
    ASSERT_TRUE(server_.Wait([&] { return server_.At(server_conn, id).stopped; }));
    EXPECT_EQ(server_.Facts(server_conn, id).stop_code, 99u);
    ASSERT_TRUE(OnServer([&] {
        size_t n = 0;
        EXPECT_EQ(quring_stream_write(theirs, &n, "x", 1, 0), QURING_E_STATE);
    }));
}

TEST_P(Close, ADeadPortEndsInATimeout)
{
    QURING_START();
    quring_addr dead = Remote();
    listener_->Close(); /* nobody accepts there any more */
    quring_limits limits = client_config_.limits;
    limits.handshake_timeout_ns = 200 * kMs;
    quring_conn conn = {0};
    const uint64_t begun = quring_now_ns();
    ASSERT_EQ(
        client_.Connect(&conn, client_rt_.get(), 0, dead, client_tls_.get(), "localhost", &limits),
        QURING_OK);
    ASSERT_TRUE(client_.WaitClosed(conn));
    EXPECT_GE(quring_now_ns() - begun, 190 * kMs);
    const ConnFacts facts = client_.Facts(conn);
    EXPECT_FALSE(facts.connected);
    EXPECT_TRUE(facts.close.kind == QURING_CLOSE_HANDSHAKE_TIMEOUT ||
                facts.close.kind == QURING_CLOSE_UNREACHABLE)
        << facts.close.kind;
}

TEST_P(Close, SilenceEndsInAnIdleTimeout)
{
    client_config_.limits.idle_timeout_ns = 200 * kMs;
    QURING_START();
    const quring_conn conn = Connect();
    const quring_conn server_conn = ServerConn();
    ASSERT_TRUE(client_.WaitClosed(conn));
    EXPECT_EQ(client_.Facts(conn).close.kind, QURING_CLOSE_IDLE_TIMEOUT);
    ASSERT_TRUE(server_.WaitClosed(server_conn));
    EXPECT_EQ(server_.Facts(server_conn).close.kind, QURING_CLOSE_IDLE_TIMEOUT);
}

TEST_P(Close, StopTellsThePeers)
{
    QURING_START();
    const quring_conn conn = Connect();
    const quring_conn server_conn = ServerConn();
    const uint64_t begun = quring_now_ns();
    quring_runtime_stop(server_rt_->rt(), 9, 20 * kSecond);
    EXPECT_LT(quring_now_ns() - begun, 15 * kSecond);
    ASSERT_TRUE(client_.WaitClosed(conn));
    EXPECT_EQ(client_.Facts(conn).close.kind, QURING_CLOSE_PEER_APP);
    EXPECT_EQ(client_.Facts(conn).close.code, 9u);
    ASSERT_TRUE(server_.WaitClosed(server_conn));
    EXPECT_EQ(server_.Facts(server_conn).close.kind, QURING_CLOSE_LOCAL_APP);
}

/* A client that connects again whenever its connection has ended. */
struct Again {
    const quring_connect_options *options = nullptr;
    uint32_t begun = 0;
    uint32_t closed = 0;
    quring_status last = QURING_OK;
};

quring_status ConnectAgain(Again *again)
{
    quring_conn conn = {0};
    again->last = quring_connect(&conn, again->options, nullptr);
    again->begun += again->last == QURING_OK ? 1 : 0;
    return again->last;
}

void OnAgain(const quring_event *ev)
{
    if (ev->type == QURING_EV_CLOSED) {
        auto *again = static_cast<Again *>(ev->conn_ctx);
        again->closed++;
        (void)ConnectAgain(again);
    }
}

TEST_P(Close, WhoConnectsAgainDoesNotKeepARuntimeFromStopping)
{
    QURING_START();
    Again again;
    quring_connect_options options = ConnectOptions();
    options.on_event = OnAgain;
    options.ctx = &again;
    again.options = &options;
    ASSERT_TRUE(OnClient([&] { EXPECT_EQ(ConnectAgain(&again), QURING_OK); }));
    (void)ServerConn();
    const uint64_t begun = quring_now_ns();
    quring_runtime_stop(client_rt_->rt(), 0, 20 * kSecond);
    EXPECT_LT(quring_now_ns() - begun, 15 * kSecond);
    EXPECT_EQ(again.last, QURING_E_STATE);
    EXPECT_EQ(again.begun, 1u);
    EXPECT_EQ(again.closed, again.begun); /* each was told of its end */
}

TEST_P(Close, StopWithoutTimeDoesNotWait)
{
    QURING_START();
    (void)Connect();
    const uint64_t begun = quring_now_ns();
    quring_runtime_stop(server_rt_->rt(), 0, 0);
    quring_runtime_stop(client_rt_->rt(), 0, 0);
    EXPECT_LT(quring_now_ns() - begun, 10 * kSecond);
}

TEST_P(Close, DrainKeepsWhatThereIsAndRefusesTheRest)
{
    QURING_START();
    const quring_conn conn = Connect();
    quring_runtime_drain(server_rt_->rt());
    ASSERT_TRUE(OnServer([] {})); /* the workers know by now */
    const quring_conn late = Begin();
    ASSERT_TRUE(client_.WaitClosed(late));
    const ConnFacts facts = client_.Facts(late);
    EXPECT_FALSE(facts.connected);
    EXPECT_EQ(facts.close.kind, QURING_CLOSE_PEER_TRANSPORT);
    EXPECT_EQ(facts.close.code, 0x02u); /* CONNECTION_REFUSED, RFC 9000 20.1 */
    ExpectEcho(conn, 100000, 3);
}

TEST_P(Close, ADrainIsOverWhenTheLastConnectionHasGone)
{
    QURING_START();
    const quring_conn first = Connect();
    const quring_conn second = Connect();
    quring_runtime *rt = server_rt_->rt();
    uint64_t left = 7;
    EXPECT_EQ(quring_runtime_await(rt, 0, &left), QURING_E_STATE);
    EXPECT_EQ(quring_runtime_await(nullptr, 0, &left), QURING_E_INVAL);
    quring_runtime_drain(rt);
    EXPECT_EQ(quring_runtime_await(rt, 0, &left), QURING_E_AGAIN);
    EXPECT_EQ(left, 2u);
    ASSERT_TRUE(OnServer([&] { EXPECT_EQ(quring_runtime_await(rt, 0, &left), QURING_E_THREAD); }));
    const uint64_t begun = quring_now_ns();
    EXPECT_EQ(quring_runtime_await(rt, 50 * kMs, nullptr), QURING_E_AGAIN);
    EXPECT_GE(quring_now_ns() - begun, 50 * kMs);
    ASSERT_TRUE(OnClient([&] { EXPECT_EQ(quring_conn_close(first, 0, nullptr), QURING_OK); }));
    while (quring_runtime_await(rt, 10 * kMs, &left) == QURING_E_AGAIN && left > 1) {
    }
    EXPECT_EQ(left, 1u);
    ExpectEcho(second, 100000, 3);
    ASSERT_TRUE(OnClient([&] { EXPECT_EQ(quring_conn_close(second, 0, nullptr), QURING_OK); }));
    EXPECT_EQ(quring_runtime_await(rt, 60 * kSecond, &left), QURING_OK);
    EXPECT_EQ(left, 0u);
    for (auto &entry : server_.conns()) {
        EXPECT_TRUE(entry.second->closed) << "its end was told";
    }
    quring_runtime_stop(rt, 0, kSecond);
    EXPECT_EQ(quring_runtime_await(rt, 0, &left), QURING_OK);
}

/* Its peer has ended it: late packets, for which it stays a little, are no reason to wait. Here the draining
 * period is three seconds, as the server has not measured the round-trip time yet. */
TEST_P(Close, WhatOnlyDrainsIsNotAwaited)
{
    client_.hook = [](const quring_event &ev) {
        if (ev.type == QURING_EV_CONNECTED) {
            EXPECT_EQ(quring_conn_close(ev.conn, 1, nullptr), QURING_OK);
        }
    };
    QURING_START();
    (void)Begin();
    ASSERT_TRUE(server_.Wait(
        [&] { return !server_.conns().empty() && server_.conns().begin()->second->closed; }));
    quring_runtime_drain(server_rt_->rt());
    const uint64_t begun = quring_now_ns();
    uint64_t left = 7;
    EXPECT_EQ(quring_runtime_await(server_rt_->rt(), 2 * kSecond, &left), QURING_OK);
    EXPECT_EQ(left, 0u);
    EXPECT_LT(quring_now_ns() - begun, kSecond);
}

/* quring/runtime.h: what ends a drain may come from any thread, and who waits is told the same by all. */
TEST_P(Close, OthersDrainAndStopWhileADrainIsAwaited)
{
    QURING_START(Peer::Mode::kEcho, 0, 2);
    std::vector<quring_conn> conns;
    for (int i = 0; i < 4; i++) {
        conns.push_back(Connect());
    }
    ASSERT_TRUE(server_.Wait([&] {
        size_t connected = 0;
        for (const auto &entry : server_.conns()) {
            connected += entry.second->connected ? 1 : 0;
        }
        return connected == conns.size();
    }));
    quring_runtime *rt = server_rt_->rt();
    quring_runtime_drain(rt);
    const uint64_t begun = quring_now_ns();
    std::atomic<uint32_t> waiting{0};
    std::atomic<bool> over{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; i++) {
        threads.emplace_back([&] {
            uint64_t left = 7;
            waiting += quring_runtime_await(rt, 0, &left) == QURING_E_AGAIN;
            EXPECT_EQ(quring_runtime_await(rt, 60 * kSecond, &left), QURING_OK);
            EXPECT_EQ(left, 0u);
            const std::lock_guard<std::mutex> lock(server_.mutex());
            for (const auto &entry : server_.conns()) {
                EXPECT_EQ(entry.second->closed_count, 1u) << "its end was told";
            }
        });
    }
    threads.emplace_back([&] {
        while (!over) {
            quring_runtime_drain(rt);
            uint64_t left = 7;
            const quring_status status = quring_runtime_await(rt, 0, &left);
            EXPECT_EQ(status, left == 0 ? QURING_OK : QURING_E_AGAIN);
            std::this_thread::yield();
        }
    });
    while (waiting < 2) {
        std::this_thread::yield();
    }
    for (int i = 0; i < 2; i++) {
        threads.emplace_back([&] { quring_runtime_stop(rt, 5, 20 * kSecond); });
    }
    quring_runtime_stop(rt, 5, 20 * kSecond);
    over = true;
    for (std::thread &thread : threads) {
        thread.join();
    }
    EXPECT_LT(quring_now_ns() - begun, 15 * kSecond);
    for (quring_conn conn : conns) {
        ExpectClosed(&client_, conn, QURING_CLOSE_PEER_APP, 5, "");
    }
}

TEST_P(Close, AClosedListenerKeepsItsConnections)
{
    QURING_START();
    const quring_conn conn = Connect();
    ExpectEcho(conn, 1000, 1);
    listener_->Close();
    ExpectEcho(conn, 100000, 2);
}

TEST_P(Close, DestroyWithLiveConnections)
{
    QURING_START();
    const quring_conn conn = Connect();
    (void)Send(conn, Pattern(1 << 20, 1));
    listener_->Close();
    server_rt_->Destroy();
    client_rt_->Destroy();
}

INSTANTIATE_TEST_SUITE_P(Loopback, Close, testing::ValuesIn(kBackends), SettingName);

} // namespace

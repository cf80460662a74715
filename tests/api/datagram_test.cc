/* Datagrams over real sockets (RFC 9221). */
#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/fixture.h"
#include "tests/api/support.h"

namespace
{

using quring_test::Bytes;
using quring_test::EndToEnd;
using quring_test::kBackends;
using quring_test::Pattern;
using quring_test::Peer;
using quring_test::SettingName;

class Datagram : public EndToEnd
{
  protected:
    Datagram()
    {
        server_config_.limits.datagram_max_bytes = 65535;
        client_config_.limits.datagram_max_bytes = 65535;
        Collect(server_, &at_server_);
        Collect(client_, &at_client_);
    }

    void Collect(Peer &peer, std::vector<Bytes> *into)
    {
        peer.hook = [into, &peer](const quring_event &ev) {
            if (ev.type != QURING_EV_DATAGRAM_READABLE) {
                return;
            }
            Bytes buf(65536);
            size_t len = 0;
            while (quring_datagram_read(ev.conn, &len, buf.data(), buf.size()) == QURING_OK) {
                std::lock_guard<std::mutex> lock(peer.mutex());
                into->emplace_back(buf.begin(), buf.begin() + static_cast<ptrdiff_t>(len));
            }
        };
    }

    /* Loopback loses nothing, so long as nobody is asked to keep more than the queue holds. */
    void ExpectArrival(Peer &peer, const std::vector<Bytes> &got, const Bytes &want)
    {
        for (int i = 0; i < 6000; i++) {
            {
                std::lock_guard<std::mutex> lock(peer.mutex());
                if (!got.empty() && got.back() == want) {
                    return;
                }
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        FAIL() << "the datagram did not come";
    }

    std::vector<Bytes> at_server_;
    std::vector<Bytes> at_client_;
};

TEST_P(Datagram, BothWays)
{
    QURING_START(Peer::Mode::kManual);
    const quring_conn conn = Connect();
    const quring_conn server_conn = ServerConn();
    for (uint32_t i = 0; i < 20; i++) {
        const Bytes up = Pattern(i * 50, i);
        const Bytes down = Pattern(1000 - i, 100 + i);
        ASSERT_TRUE(OnClient(
            [&] { EXPECT_EQ(quring_datagram_send(conn, up.data(), up.size(), 0, 0), QURING_OK); }));
        ExpectArrival(server_, at_server_, up);
        ASSERT_TRUE(OnServer([&] {
            EXPECT_EQ(quring_datagram_send(server_conn, down.data(), down.size(),
                                           quring_test::kSecond, QURING_DATAGRAM_REPLACE),
                      QURING_OK);
        }));
        ExpectArrival(client_, at_client_, down);
    }
    quring_conn_info info = {};
    ASSERT_TRUE(OnClient([&] { EXPECT_EQ(quring_conn_get_info(conn, &info), QURING_OK); }));
    EXPECT_EQ(info.datagrams_sent, 20u);
    EXPECT_EQ(info.datagrams_recv, 20u);
    EXPECT_EQ(info.datagrams_overrun, 0u);
}

TEST_P(Datagram, WhatCallsAnswer)
{
    server_config_.limits.datagram_max_bytes = 500;
    QURING_START(Peer::Mode::kManual);
    const quring_conn conn = Connect();
    quring_bytes shown = {};
    size_t len = 0;
    uint8_t buf[600] = {};
    EXPECT_EQ(quring_datagram_send(conn, buf, 1, 0, 0), QURING_E_THREAD);
    EXPECT_EQ(quring_datagram_max(conn, &len), QURING_E_THREAD);
    EXPECT_EQ(quring_datagram_peek(conn, &shown), QURING_E_THREAD);
    EXPECT_EQ(quring_datagram_consume(conn), QURING_E_THREAD);
    ASSERT_TRUE(OnClient([&] {
        EXPECT_EQ(quring_datagram_max(conn, &len), QURING_OK);
        EXPECT_EQ(len, 497u);
        EXPECT_EQ(quring_datagram_max(conn, nullptr), QURING_E_INVAL);
        EXPECT_EQ(quring_datagram_send(conn, buf, 498, 0, 0), QURING_E_TOO_LARGE);
        EXPECT_EQ(quring_datagram_send(conn, nullptr, 1, 0, 0), QURING_E_INVAL);
        EXPECT_EQ(quring_datagram_send(conn, buf, 1, 0, 2), QURING_E_INVAL);
        EXPECT_EQ(quring_datagram_send(conn, nullptr, 0, 0, 0), QURING_OK);
        EXPECT_EQ(quring_datagram_peek(conn, &shown), QURING_E_AGAIN);
        EXPECT_EQ(quring_datagram_peek(conn, nullptr), QURING_E_INVAL);
        EXPECT_EQ(quring_datagram_consume(conn), QURING_E_AGAIN);
        EXPECT_EQ(quring_datagram_read(conn, &len, buf, sizeof(buf)), QURING_E_AGAIN);
        EXPECT_EQ(quring_datagram_read(conn, nullptr, buf, sizeof(buf)), QURING_E_INVAL);
        EXPECT_EQ(quring_datagram_read(conn, &len, nullptr, 1), QURING_E_INVAL);
        const quring_conn nobody = {conn.handle ^ 1};
        EXPECT_EQ(quring_datagram_send(nobody, buf, 1, 0, 0), QURING_E_STATE);
        while (quring_datagram_send(conn, buf, 100, 0, 0) == QURING_OK) {
        }
        EXPECT_EQ(quring_datagram_send(conn, buf, 100, 0, 0), QURING_E_AGAIN);
        EXPECT_EQ(quring_conn_close(conn, 0, nullptr), QURING_OK);
        EXPECT_EQ(quring_datagram_send(conn, buf, 1, 0, 0), QURING_E_STATE);
    }));
}

TEST_P(Datagram, ASmallBufferLosesNothing)
{
    client_.hook = nullptr;
    QURING_START(Peer::Mode::kManual);
    std::atomic<bool> readable{false};
    client_.hook = [&](const quring_event &ev) {
        if (ev.type == QURING_EV_DATAGRAM_READABLE) {
            uint8_t small[4];
            uint8_t large[64];
            size_t len = 0;
            quring_bytes shown = {};
            EXPECT_EQ(quring_datagram_read(ev.conn, &len, small, sizeof(small)),
                      QURING_E_TOO_LARGE);
            EXPECT_EQ(len, 5u);
            EXPECT_EQ(quring_datagram_peek(ev.conn, &shown), QURING_OK);
            EXPECT_EQ(shown.len, 5u);
            EXPECT_EQ(quring_datagram_read(ev.conn, &len, large, sizeof(large)), QURING_OK);
            EXPECT_EQ(memcmp(large, "hello", 5), 0);
            EXPECT_EQ(quring_datagram_read(ev.conn, &len, large, sizeof(large)), QURING_E_AGAIN);
            EXPECT_EQ(len, 0u);
            readable = true;
        }
    };
    (void)Connect();
    const quring_conn server_conn = ServerConn();
    ASSERT_TRUE(OnServer(
        [&] { EXPECT_EQ(quring_datagram_send(server_conn, "hello", 5, 0, 0), QURING_OK); }));
    ASSERT_TRUE(client_.Wait([&] { return readable.load(); }));
}

TEST_P(Datagram, WhatHasArrivedCanBeReadUntilTheCallbackOfClosedEnds)
{
    client_.hook = nullptr;
    QURING_START(Peer::Mode::kManual);
    std::atomic<bool> closed{false};
    client_.hook = [&](const quring_event &ev) {
        uint8_t buf[8];
        size_t len = 0;
        if (ev.type == QURING_EV_DATAGRAM_READABLE) {
            EXPECT_EQ(quring_conn_close(ev.conn, 0, nullptr), QURING_OK);
        } else if (ev.type == QURING_EV_CLOSED) {
            EXPECT_EQ(quring_datagram_read(ev.conn, &len, buf, sizeof(buf)), QURING_OK);
            EXPECT_EQ(len, 5u);
            EXPECT_EQ(quring_datagram_read(ev.conn, &len, buf, sizeof(buf)), QURING_E_AGAIN);
            closed = true;
        }
    };
    (void)Connect();
    const quring_conn server_conn = ServerConn();
    ASSERT_TRUE(OnServer(
        [&] { EXPECT_EQ(quring_datagram_send(server_conn, "hello", 5, 0, 0), QURING_OK); }));
    ASSERT_TRUE(client_.Wait([&] { return closed.load(); }));
}

/* By default they are not offered. */
TEST_P(Datagram, NotOfferedByDefault)
{
    quring_limits defaults;
    quring_limits_init(&defaults);
    EXPECT_EQ(defaults.datagram_max_bytes, 0u);
    server_config_.limits.datagram_max_bytes = defaults.datagram_max_bytes;
    QURING_START(Peer::Mode::kManual);
    const quring_conn conn = Connect();
    ASSERT_TRUE(OnClient([&] {
        size_t len = 1;
        EXPECT_EQ(quring_datagram_max(conn, &len), QURING_E_NOT_SUPPORTED);
        EXPECT_EQ(len, 0u);
        EXPECT_EQ(quring_datagram_send(conn, "x", 1, 0, 0), QURING_E_NOT_SUPPORTED);
    }));
}

INSTANTIATE_TEST_SUITE_P(Backends, Datagram, testing::ValuesIn(kBackends), SettingName);

} // namespace

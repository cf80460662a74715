#include <cstring>
#include <map>
#include <set>
#include <string>
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
using quring_test::ClientTls;
using quring_test::Config;
using quring_test::EndToEnd;
using quring_test::kBackends;
using quring_test::kSecond;
using quring_test::Listener;
using quring_test::Pattern;
using quring_test::Peer;
using quring_test::Runtime;
using quring_test::ServerTls;
using quring_test::SettingName;
using quring_test::Tls;

class Workers : public EndToEnd
{
  protected:
    /* Every connection stayed where its handle says. */
    static void ExpectHome(Peer *peer)
    {
        std::lock_guard<std::mutex> guard(peer->mutex());
        for (const auto &entry : peer->conns()) {
            EXPECT_EQ(entry.second->worker, quring_conn_worker(entry.second->conn));
        }
    }

    /* Counters are published at the end of a turn: soon, not at once. */
    bool WaitStats(const Runtime &runtime, const std::function<bool(const quring_stats &)> &fact)
    {
        const uint64_t begun = quring_now_ns();
        while (quring_now_ns() - begun < 60 * kSecond) {
            quring_stats stats;
            EXPECT_EQ(quring_stats_get(runtime.rt(), -1, &stats), QURING_OK);
            if (fact(stats)) {
                return true;
            }
            usleep(1000);
        }
        return false;
    }
};

TEST_P(Workers, SeveralServeSeveral)
{
    constexpr uint32_t kConns = 16;
    QURING_START(Peer::Mode::kEcho, 0, 3, 2);
    std::vector<quring_conn> conns;
    std::vector<uint64_t> ids;
    for (uint32_t i = 0; i < kConns; i++) {
        conns.push_back(Connect(i % 2));
    }
    for (uint32_t i = 0; i < kConns; i++) {
        ids.push_back(Send(conns[i], Pattern(65536, i)));
    }
    for (uint32_t i = 0; i < kConns; i++) {
        ASSERT_TRUE(client_.Wait([&] { return client_.At(conns[i], ids[i]).in_fin; })) << i;
        EXPECT_TRUE(client_.Facts(conns[i], ids[i]).in == Pattern(65536, i)) << i;
    }
    ASSERT_TRUE(server_.Wait([&] { return server_.conns().size() == kConns; }));
    ExpectHome(&server_);
    ExpectHome(&client_);
    quring_stats all = {};
    EXPECT_TRUE(WaitStats(*server_rt_, [&](const quring_stats &stats) {
        all = stats;
        return stats.conns_established == kConns;
    }));
    uint64_t sum = 0;
    for (int worker = 0; worker < 3; worker++) {
        quring_stats one;
        ASSERT_EQ(quring_stats_get(server_rt_->rt(), worker, &one), QURING_OK);
        sum += one.conns_established;
    }
    EXPECT_EQ(sum, kConns);
    EXPECT_EQ(all.drop_undecryptable, 0u);
    EXPECT_EQ(all.forwarded, 0u) << "the kernel steers by connection ID";
}

TEST_P(Workers, ForeignWorkersMayNotTouchAConnection)
{
    QURING_START(Peer::Mode::kEcho, 0, 1, 2);
    const quring_conn conn = Connect(1);
    const quring_conn server_conn = ServerConn();
    EXPECT_EQ(quring_conn_worker(conn), 1u);
    const uint64_t id = Send(conn, Pattern(10, 1), 0, 0);
    const quring_stream stream = client_.Facts(conn, id).stream;
    size_t n = 0;
    EXPECT_EQ(quring_conn_ping(conn), QURING_E_THREAD);
    ASSERT_TRUE(client_rt_->On(0, [&] {
        EXPECT_EQ(quring_conn_ping(conn), QURING_E_THREAD);
        EXPECT_EQ(quring_conn_close(conn, 0, nullptr), QURING_E_THREAD);
        EXPECT_EQ(quring_stream_write(stream, &n, "x", 1, 0), QURING_E_THREAD);
        /* Worker 0 of another runtime is not this worker 0. */
        EXPECT_EQ(quring_conn_ping(server_conn), QURING_E_THREAD);
        EXPECT_EQ(quring_conn_close(server_conn, 0, nullptr), QURING_E_THREAD);
    }));
    ASSERT_TRUE(client_rt_->On(1, [&] {
        EXPECT_EQ(quring_conn_ping(conn), QURING_OK);
        EXPECT_EQ(quring_stream_write(stream, &n, "x", 1, 0), QURING_OK);
    }));
    ExpectEcho(conn, 1000, 2);
}

TEST_P(Workers, ClientAndServerInOneRuntime)
{
    Peer server(Peer::Mode::kEcho);
    Peer client;
    Runtime runtime(Config(GetParam().io));
    if (runtime.error().status == QURING_E_NOT_SUPPORTED) {
        GTEST_SKIP() << runtime.error().message;
    }
    ASSERT_NE(runtime.rt(), nullptr) << runtime.error().message;
    const Tls server_tls = ServerTls();
    const Tls client_tls = ClientTls();
    Listener listener(&runtime, &server, Addr("127.0.0.1:0"), server_tls.get());
    ASSERT_TRUE(listener.ok()) << listener.error().message;
    quring_conn conn = {0};
    ASSERT_EQ(client.Connect(&conn, &runtime, 0, listener.local(), client_tls.get()), QURING_OK);
    ASSERT_TRUE(client.WaitConnected(conn));
    uint64_t id = 0;
    const Bytes data = Pattern(1 << 20, 7);
    ASSERT_TRUE(runtime.On(0, [&] { EXPECT_EQ(client.Send(&id, conn, data), QURING_OK); }));
    ASSERT_TRUE(client.Wait([&] { return client.At(conn, id).in_fin; }));
    EXPECT_TRUE(client.Facts(conn, id).in == data);
    listener.Close();
    runtime.Destroy();
}

TEST_P(Workers, StatsOnlyGrow)
{
    QURING_START();
    const quring_conn conn = Connect();
    std::vector<uint64_t> last(quring_stats_count(), 0);
    for (uint32_t round = 0; round < 5; round++) {
        ExpectEcho(conn, 50000, round);
        quring_stats stats;
        ASSERT_EQ(quring_stats_get(server_rt_->rt(), -1, &stats), QURING_OK);
        for (size_t i = 0; i < quring_stats_count(); i++) {
            const quring_stats_field &field = quring_stats_fields()[i];
            uint64_t value = 0;
            memcpy(&value, reinterpret_cast<const char *>(&stats) + field.offset, sizeof(value));
            if (strcmp(field.name, "mem_used_bytes") != 0) {
                EXPECT_GE(value, last[i]) << field.name;
            }
            last[i] = value;
        }
    }
    EXPECT_TRUE(WaitStats(*server_rt_, [](const quring_stats &s) {
        return s.conns_opened == 1 && s.conns_established == 1 && s.packets_recv > 0 &&
               s.packets_sent > 0 && s.bytes_recv > 250000 && s.bytes_sent > 250000 &&
               s.datagrams_recv > 0 && s.io_rx_units > 0 && s.io_tx_units > 0 &&
               s.mem_used_bytes > 0 && s.mem_peak_bytes >= s.mem_used_bytes;
    }));
    ASSERT_TRUE(OnClient([&] { EXPECT_EQ(quring_conn_close(conn, 0, nullptr), QURING_OK); }));
    EXPECT_TRUE(WaitStats(*server_rt_, [](const quring_stats &s) { return s.conns_closed == 1; }));
}

/* Each asks for its own local address: sockets come and go with their connections. */
TEST_P(Workers, ClientsMayChooseTheirAddress)
{
    QURING_START();
    for (int i = 0; i < 100; i++) {
        char text[32];
        snprintf(text, sizeof(text), "127.0.0.%d:0", 2 + i);
        quring_connect_options options = ConnectOptions();
        options.local = Addr(text);
        quring_conn conn = {0};
        quring_error err = {};
        ASSERT_TRUE(OnClient(
            [&] { EXPECT_EQ(quring_connect(&conn, &options, &err), QURING_OK) << err.message; }));
        ASSERT_TRUE(client_.WaitConnected(conn)) << i;
        const quring_conn_info info = client_.Facts(conn).info;
        EXPECT_EQ(memcmp(info.local.ip, options.local.ip, 4), 0);
        ASSERT_TRUE(OnClient([&] { EXPECT_EQ(quring_conn_close(conn, 0, nullptr), QURING_OK); }));
        ASSERT_TRUE(client_.WaitClosed(conn));
        if (i % 32 == 31) { /* closed connections linger for a moment, RFC 9000 10.2 */
            const uint64_t want = static_cast<uint64_t>(i) + 1;
            ASSERT_TRUE(WaitStats(
                *client_rt_, [want](const quring_stats &s) { return s.conns_closed == want; }));
        }
    }
}

/* quring_config.client_sockets: connections take them in turns, unless they ask for a port. */
TEST_P(Workers, ClientsSpreadOverSockets)
{
    client_config_.client_sockets = 3;
    QURING_START();
    std::map<uint16_t, int> ports;
    uint16_t some_port = 0;
    for (int i = 0; i < 9; i++) {
        const quring_conn conn = Connect();
        some_port = client_.Facts(conn).info.local.port;
        ports[some_port]++;
        ExpectEcho(conn, 1000, static_cast<uint32_t>(i));
    }
    EXPECT_EQ(ports.size(), 3u);
    for (const auto &entry : ports) {
        EXPECT_EQ(entry.second, 3) << entry.first;
    }
    quring_connect_options options = ConnectOptions();
    options.local = Addr(GetParam().connect);
    quring_status status = QURING_E_OS;
    quring_conn conns[2] = {};
    quring_error err = {};
    for (uint32_t i = 0; i < 100 && status != QURING_OK; i++) { /* one that nobody has */
        options.local.port = static_cast<uint16_t>(20000 + (quring_now_ns() / 1000 + i) % 10000);
        ASSERT_TRUE(OnClient([&] { status = quring_connect(&conns[0], &options, &err); }));
    }
    ASSERT_EQ(status, QURING_OK) << err.message;
    ASSERT_TRUE(OnClient([&] { EXPECT_EQ(quring_connect(&conns[1], &options, &err), QURING_OK); }));
    for (const quring_conn conn : conns) {
        ASSERT_TRUE(client_.WaitConnected(conn));
        EXPECT_EQ(client_.Facts(conn).info.local.port, options.local.port);
    }
}

/* Who comes meanwhile is not answered and comes again (RFC 9002 6.2). */
TEST_P(Workers, AListenerThatIsPausedAcceptsNobody)
{
    QURING_START(Peer::Mode::kEcho, 0, 1, 2);
    quring_error err = {};
    ASSERT_EQ(quring_listener_configure(listener_->get(), QURING_LISTEN_PAUSED, nullptr, &err),
              QURING_OK);
    EXPECT_EQ(quring_listener_configure(listener_->get(), QURING_LISTEN_NO_TICKETS, nullptr, &err),
              QURING_E_INVAL);
    EXPECT_NE(strstr(err.message, "was 0x10"), nullptr) << err.message;
    const quring_connect_options options = ConnectOptions();
    quring_conn conn = {0};
    ASSERT_TRUE(OnClient([&] { EXPECT_EQ(quring_connect(&conn, &options, &err), QURING_OK); }));
    quring_stats stats = {};
    for (int i = 0; i < 10000 && stats.datagrams_recv == 0; i++) {
        usleep(1000);
        ASSERT_EQ(quring_stats_get(server_rt_->rt(), -1, &stats), QURING_OK);
    }
    EXPECT_GT(stats.datagrams_recv, 0u);
    EXPECT_EQ(stats.conns_opened, 0u);
    ASSERT_EQ(quring_listener_configure(listener_->get(), 0, nullptr, &err), QURING_OK);
    EXPECT_TRUE(client_.WaitConnected(conn));
}

/* quring_config.spin_ns */
TEST_P(Workers, PollBeforeTheySleepWhereThatIsAskedFor)
{
    client_config_.spin_ns = 100000;
    server_config_.spin_ns = 0;
    QURING_START();
    ExpectEcho(Connect(), 1000, 1);
    EXPECT_TRUE(WaitStats(*client_rt_, [](const quring_stats &s) { return s.spins > 0; }));
    EXPECT_TRUE(WaitStats(*server_rt_, [](const quring_stats &s) { return s.conns_opened > 0; }));
    EXPECT_TRUE(WaitStats(*server_rt_, [](const quring_stats &s) { return s.spins == 0; }));
}

INSTANTIATE_TEST_SUITE_P(Loopback, Workers, testing::ValuesIn(kBackends), SettingName);

} // namespace

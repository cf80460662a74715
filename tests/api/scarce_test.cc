/* A process that has used up its descriptors: nothing new begins and says why, what is there goes on. */
#include <cerrno>
#include <sys/resource.h>
#include <vector>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/fixture.h"
#include "tests/api/support.h"

namespace
{

using quring_test::Addr;
using quring_test::Bytes;
using quring_test::EndToEnd;
using quring_test::kBackends;
using quring_test::Listener;
using quring_test::Pattern;
using quring_test::Peer;
using quring_test::Runtime;
using quring_test::SettingName;

class Scarce : public EndToEnd
{
};

/* While it lives no descriptor can be had. */
class NoDescriptors
{
  public:
    NoDescriptors()
    {
        EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &old_), 0);
        const rlimit none = {0, old_.rlim_max};
        EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    }
    ~NoDescriptors()
    {
        (void)setrlimit(RLIMIT_NOFILE, &old_);
    }

  private:
    rlimit old_ = {};
};

TEST_P(Scarce, H116_WithoutDescriptorsTheOldGoesOnAndNothingNewBegins)
{
    QURING_START();
    const quring_conn conn = Connect();
    const Bytes data = Pattern(1 << 18, 3);
    {
        NoDescriptors none;
        Peer peer;
        Listener listener(server_rt_.get(), &peer, Addr("127.0.0.1:0"), server_tls_.get());
        EXPECT_FALSE(listener.ok());
        EXPECT_EQ(listener.error().status, QURING_E_OS);
        EXPECT_EQ(listener.error().os_errno, EMFILE);
        EXPECT_STRNE(listener.error().message, "");

        Runtime another(client_config_);
        EXPECT_EQ(another.rt(), nullptr);
        EXPECT_NE(another.error().status, QURING_OK);
        EXPECT_STRNE(another.error().message, "");

        quring_connect_options options = ConnectOptions();
        options.local = Addr("127.0.0.3:0"); /* asks for a socket of its own */
        quring_conn refused = {0};
        quring_error err = {};
        ASSERT_TRUE(
            OnClient([&] { EXPECT_EQ(quring_connect(&refused, &options, &err), QURING_E_OS); }));
        EXPECT_EQ(err.os_errno, EMFILE) << err.message;

        const uint64_t id = Send(conn, data);
        ASSERT_TRUE(client_.Wait([&] { return client_.At(conn, id).closed; }));
        EXPECT_TRUE(client_.Facts(conn, id).in == data);
        /* A connection on sockets that are there takes none. */
        const quring_conn second = Connect();
        EXPECT_NE(second.handle, 0u);
    }
    Peer peer;
    Listener listener(server_rt_.get(), &peer, Addr("127.0.0.1:0"), server_tls_.get());
    EXPECT_TRUE(listener.ok()) << listener.error().message;
    listener.Close();
}

/* A connection's memory bounds what its streams hold, and is no end of them. */
TEST_P(Scarce, StreamsGoOnWithLittleMemory)
{
    constexpr uint32_t kStreams = 100;
    client_config_.limits.conn_mem_max_bytes = 256 << 10;
    QURING_START(Peer::Mode::kCollect);
    const quring_conn conn = Connect();
    std::vector<uint64_t> ids;
    for (uint32_t i = 0; i < kStreams; i++) {
        ids.push_back(Send(conn, Pattern(1 << 18, i), QURING_STREAM_UNI));
    }
    for (const uint64_t id : ids) {
        ASSERT_TRUE(client_.Wait([&] { return client_.At(conn, id).finished; })) << id;
    }
    quring_conn_info info = {};
    ASSERT_TRUE(OnClient([&] { EXPECT_EQ(quring_conn_get_info(conn, &info), QURING_OK); }));
    EXPECT_LE(info.mem_bytes, 256u << 10);
    const quring_conn server_conn = ServerConn();
    for (uint32_t i = 0; i < kStreams; i++) {
        EXPECT_TRUE(server_.Facts(server_conn, ids[i]).in == Pattern(1 << 18, i)) << i;
    }
}

/* Whoever does not read holds what was sent to him, but not what others need to begin. */
TEST_P(Scarce, SlowReadersLeaveMemoryToNewcomers)
{
    client_config_.limits.worker_mem_max_bytes = 4 << 20;
    quring_limits &limits = server_config_.limits;
    limits.stream_recv_window_bytes = limits.stream_recv_window_max_bytes = 16 << 10;
    limits.conn_recv_window_bytes = limits.conn_recv_window_max_bytes = 16 << 10;
    QURING_START(Peer::Mode::kManual);
    for (uint32_t i = 0; i < 4; i++) {
        const quring_conn conn = Connect();
        for (const size_t size : {1 << 20, 1 << 18, 1 << 16, 1 << 14}) {
            Send(conn, Pattern(size, i));
        }
        for (uint32_t j = 0; j < 60; j++) { // they find what the others leave
            Send(conn, Pattern(5000, j));
        }
    }
    quring_stats stats = {};
    ASSERT_EQ(quring_stats_get(client_rt_->rt(), -1, &stats), QURING_OK);
    ASSERT_GT(stats.mem_failures, 0u);
    for (uint32_t i = 0; i < 8; i++) {
        const quring_conn conn = Begin();
        ASSERT_NE(conn.handle, 0u) << i;
        ASSERT_TRUE(
            client_.Wait([&] { return client_.At(conn).connected || client_.At(conn).closed; }));
        ASSERT_TRUE(client_.Facts(conn).connected) << i;
        const uint64_t id = Send(conn, Pattern(1000, i));
        ASSERT_TRUE(client_.Wait([&] { return client_.At(conn, id).finished; })) << i;
    }
}

INSTANTIATE_TEST_SUITE_P(Backends, Scarce, testing::ValuesIn(kBackends), SettingName);

} // namespace

/* The answering side, and a client that is not quicperf's. */
#include <cstring>
#include <thread>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/support.h"
#include "tools/quicperf/proto.h"
#include "tools/quicperf/server.h"
#include "tools/quicperf/setup.h"

using namespace quring_test;

namespace
{

class Server
{
  public:
    explicit Server(uint32_t max_streams)
    {
        char words[][16] = {"quicperf", "server", "-p", "0", "-q"};
        char *argv[] = {words[0], words[1], words[2], words[3], words[4], nullptr};
        char message[640] = "";
        qp_options options;
        EXPECT_TRUE(qp_options_parse(&options, message, sizeof(message), 5, argv)) << message;
        options.max_streams = max_streams;
        quring_config config;
        qp_config_from(&config, &options);
        quring_error err = {};
        EXPECT_EQ(qp_server_open(&server_, &port_, &options, &config, -1, &err), QURING_OK)
            << err.message;
    }
    ~Server()
    {
        qp_server_close(server_);
    }
    quring_addr addr() const
    {
        quring_addr addr = Addr("127.0.0.1");
        addr.port = port_;
        return addr;
    }
    uint64_t requests() const
    {
        qp_server_totals totals;
        qp_server_totals_get(server_, &totals);
        return totals.requests;
    }

  private:
    qp_server *server_ = nullptr;
    uint16_t port_ = 0;
};

/* draft 2.3.2: a client that allows any number of streams, and reads none of them. */
TEST(Server, AnswersToUnidirectionalRequestsAreBounded)
{
    constexpr uint64_t kAtOnce = 4;
    constexpr uint64_t kRequests = 3 * kAtOnce;
    Server server(kAtOnce);
    Peer peer(Peer::Mode::kManual);
    quring_config config = Config();
    config.limits.streams_uni_max = 1000;
    config.limits.stream_recv_window_bytes = 4096;
    config.limits.stream_recv_window_max_bytes = 4096;
    Runtime runtime(config);
    const Tls tls = ClientTls({QP_ALPN});
    quring_conn conn = {0};
    ASSERT_EQ(peer.Connect(&conn, &runtime, 0, server.addr(), tls.get()), QURING_OK);
    ASSERT_TRUE(peer.WaitConnected(conn));
    const auto opened = [&] { /* by the server, RFC 9000 2.1 */
                              uint64_t count = 0;
                              for (const auto &entry : peer.At(conn).streams) {
                                  count += (entry.first & 3) == 3 && entry.second->opened ? 1 : 0;
                              }
                              return count;
    };
    Bytes request(QP_HEADER_LEN);
    qp_header_encode(request.data(), QP_ENDLESS);
    for (uint64_t sent = 0; sent < kRequests;) {
        quring_status status = QURING_E_STATE;
        uint64_t id = 0;
        ASSERT_TRUE(
            runtime.On(0, [&] { status = peer.Send(&id, conn, request, QURING_STREAM_UNI); }));
        sent += status == QURING_OK ? 1 : 0;
        ASSERT_TRUE(status == QURING_OK || status == QURING_E_AGAIN);
    }
    ASSERT_TRUE(peer.Wait([&] { return opened() >= kAtOnce; }));
    for (int i = 0; i < 1000 && server.requests() < kRequests; i++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ASSERT_EQ(server.requests(), kRequests);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_TRUE(peer.Wait([&] { return opened() == kAtOnce; }));
    /* One that ends makes way for the next. */
    ASSERT_TRUE(runtime.On(
        0, [&] { EXPECT_EQ(quring_stream_stop_sending(peer.At(conn, 3).stream, 0), QURING_OK); }));
    EXPECT_TRUE(peer.Wait([&] { return opened() == kAtOnce + 1; }));
    EXPECT_FALSE(peer.Facts(conn).closed);
}

} // namespace

/* The answering side, and a client that is not quicperf's. */
#include <cstring>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/support.h"
#include "tools/quicperf/dgram.h"
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
    /* Until it has counted `n` of them. */
    bool WaitRequests(uint64_t n) const
    {
        for (int i = 0; i < 1000 && requests() < n; i++) {
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return requests() >= n;
    }

  private:
    qp_server *server_ = nullptr;
    uint16_t port_ = 0;
};

/* A client that allows any number of streams, and reads none of them. */
class Asker
{
  public:
    explicit Asker(const Server &server) : runtime_(AskerConfig())
    {
        EXPECT_EQ(peer.Connect(&conn, &runtime_, 0, server.addr(), tls_.get()), QURING_OK);
        EXPECT_TRUE(peer.WaitConnected(conn));
    }

    /* For `bytes`, as soon as the server allows another stream. */
    void Ask(uint64_t bytes)
    {
        Bytes request(QP_HEADER_LEN);
        qp_header_encode(request.data(), bytes);
        quring_status status = QURING_E_AGAIN;
        while (status == QURING_E_AGAIN) {
            uint64_t id = 0;
            ASSERT_TRUE(On([&] { status = peer.Send(&id, conn, request, QURING_STREAM_UNI); }));
        }
        ASSERT_EQ(status, QURING_OK);
    }
    bool On(const std::function<void()> &fn)
    {
        return runtime_.On(0, fn);
    }
    /* Streams of the server (RFC 9000 2.1). */
    uint64_t opened()
    {
        uint64_t count = 0;
        for (const auto &entry : peer.At(conn).streams) {
            count += (entry.first & 3) == 3 && entry.second->opened ? 1 : 0;
        }
        return count;
    }

    Peer peer{Peer::Mode::kManual};
    quring_conn conn = {0};

  private:
    static quring_config AskerConfig()
    {
        quring_config config = Config();
        config.limits.streams_uni_max = 1000;
        config.limits.datagram_max_bytes = 65535;
        config.limits.stream_recv_window_bytes = 4096;
        config.limits.stream_recv_window_max_bytes = 4096;
        return config;
    }

    Runtime runtime_;
    const Tls tls_ = ClientTls({QP_ALPN});
};

/* draft 2.3.2 */
TEST(Server, AnswersToUnidirectionalRequestsAreBounded)
{
    constexpr uint64_t kAtOnce = 4;
    constexpr uint64_t kRequests = 3 * kAtOnce;
    Server server(kAtOnce);
    Asker asker(server);
    for (uint64_t i = 0; i < kRequests; i++) {
        asker.Ask(QP_ENDLESS);
    }
    ASSERT_TRUE(asker.peer.Wait([&] { return asker.opened() >= kAtOnce; }));
    ASSERT_TRUE(server.WaitRequests(kRequests));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_TRUE(asker.peer.Wait([&] { return asker.opened() == kAtOnce; }));
    /* One that ends makes way for the next. */
    ASSERT_TRUE(asker.On([&] {
        EXPECT_EQ(quring_stream_stop_sending(asker.peer.At(asker.conn, 3).stream, 0), QURING_OK);
    }));
    EXPECT_TRUE(asker.peer.Wait([&] { return asker.opened() == kAtOnce + 1; }));
    EXPECT_FALSE(asker.peer.Facts(asker.conn).closed);
}

/* draft 2.3.2: who has waited longest is answered first. */
TEST(Server, AnswersToUnidirectionalRequestsKeepTheirOrder)
{
    constexpr uint64_t kWaiting = 6;
    Server server(1);
    Asker asker(server);
    asker.Ask(QP_ENDLESS); /* holds the only stream there may be */
    ASSERT_TRUE(asker.peer.Wait([&] { return asker.opened() == 1; }));
    for (uint64_t i = 1; i <= kWaiting; i++) {
        asker.Ask(i);
    }
    ASSERT_TRUE(server.WaitRequests(1 + kWaiting));
    ASSERT_TRUE(asker.On([&] {
        EXPECT_EQ(quring_stream_stop_sending(asker.peer.At(asker.conn, 3).stream, 0), QURING_OK);
    }));
    ASSERT_TRUE(asker.peer.Wait([&] { return asker.opened() == 1 + kWaiting; }));
    for (uint64_t i = 1; i <= kWaiting; i++) {
        size_t got = 0;
        bool fin = false;
        while (!fin) {
            ASSERT_TRUE(asker.On([&] {
                uint8_t bytes[64];
                size_t more = 0;
                if (quring_stream_read(asker.peer.At(asker.conn, 3 + 4 * i).stream, &more, &fin,
                                       bytes, sizeof(bytes)) == QURING_OK) {
                    got += more;
                }
            }));
        }
        EXPECT_EQ(got, i);
    }
}

/* Datagrams are asked for again at the moment that the first ones are stopped. */
TEST(Server, TakesTheNextRequestForDatagramsAtOnce)
{
    Server server(4);
    Asker asker(server);
    const auto ask = [&](uint64_t *id) {
        Bytes request(QP_HEADER_LEN);
        qp_header_encode(request.data(), qp_dgram_request(100, 1000));
        ASSERT_EQ(asker.peer.Send(id, asker.conn, request), QURING_OK);
    };
    uint64_t first = 0;
    uint64_t next = 0;
    ASSERT_TRUE(asker.On([&] { ask(&first); }));
    ASSERT_TRUE(server.WaitRequests(1));
    ASSERT_TRUE(asker.On([&] {
        EXPECT_EQ(quring_stream_stop_sending(asker.peer.At(asker.conn, first).stream, 7),
                  QURING_OK);
        ask(&next);
    }));
    ASSERT_TRUE(server.WaitRequests(2));
    ASSERT_TRUE(asker.On([&] {
        EXPECT_EQ(quring_stream_stop_sending(asker.peer.At(asker.conn, next).stream, 7), QURING_OK);
    }));
    ASSERT_TRUE(asker.peer.Wait([&] { return asker.peer.At(asker.conn, next).closed; }));
    EXPECT_FALSE(asker.peer.Facts(asker.conn, next).reset) << "it was refused";
}

/* Requests cut anywhere, reset, unwanted, of every size, and all at once; then an honest one. */
TEST(Server, AnswersAfterWhateverAClientDid)
{
    std::mt19937_64 random(5);
    const auto below = [&](uint64_t n) { return random() % n; };
    const uint64_t sizes[] = {0,
                              1,
                              1024,
                              1025,
                              1 << 20,
                              QP_ENDLESS - 1,
                              QP_ENDLESS,
                              1u << 31,
                              qp_dgram_request(0, 0),
                              qp_dgram_request(9, 1),
                              qp_dgram_request(65535, UINT32_MAX)};
    Server server(16);
    for (int round = 0; round < 20; round++) {
        Asker asker(server);
        std::vector<quring_stream> open;
        for (int step = 0; step < 300; step++) {
            ASSERT_TRUE(asker.On([&] {
                uint8_t bytes[64] = {0};
                size_t written = 0;
                quring_stream stream;
                qp_header_encode(bytes, sizes[below(sizeof(sizes) / sizeof(sizes[0]))]);
                if (open.empty() || below(3) == 0) {
                    if (quring_stream_open(&stream, asker.conn,
                                           below(2) == 0 ? QURING_STREAM_UNI : 0) == QURING_OK) {
                        open.push_back(stream);
                    }
                    return;
                }
                size_t which = below(open.size());
                stream = open[which];
                quring_status status = QURING_OK;
                switch (below(4)) {
                case 0:
                    status = quring_stream_write(stream, &written, bytes, below(12), 0);
                    break;
                case 1:
                    status = quring_stream_write(stream, &written, bytes, 8 + below(56),
                                                 QURING_WRITE_FIN);
                    break;
                case 2:
                    status = quring_stream_reset(stream, below(1000));
                    break;
                default:
                    status = quring_stream_stop_sending(stream, below(1000));
                    break;
                }
                if (status != QURING_OK) {
                    open.erase(open.begin() + static_cast<std::ptrdiff_t>(which));
                }
            }));
        }
        if (below(2) == 0) {
            ASSERT_TRUE(asker.On([&] { (void)quring_conn_close(asker.conn, 3, NULL); }));
        }
    }
    Asker asker(server);
    uint64_t before = server.requests();
    asker.Ask(10);
    ASSERT_TRUE(asker.peer.Wait([&] { return asker.opened() == 1; }));
    EXPECT_GT(server.requests(), before);
}

} // namespace

/* Two runtimes behind a load balancer that knows their QUIC-LB configuration and keeps no state but where
 * answers go (draft-ietf-quic-load-balancers 4.2, 5.5). Each runtime has several workers, so that the
 * kernel steers by the same connection IDs. */
#include <arpa/inet.h>
#include <atomic>
#include <cstring>
#include <map>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "quic/path/cid_lb.h"
#include "tests/api/fixture.h"

namespace quring_test
{
namespace
{

constexpr uint32_t kServers = 2;

quring_lb LbConfig(uint8_t server, bool has_key)
{
    quring_lb lb = {};
    lb.enabled = true;
    lb.config_id = 1;
    lb.server_id_len = 3;
    lb.server_id[2] = static_cast<uint8_t>(server + 1);
    lb.nonce_len = 8;
    lb.has_key = has_key;
    memset(lb.key, 0x2d, sizeof(lb.key));
    return lb;
}

sockaddr_in Loopback(uint16_t port)
{
    sockaddr_in at = {};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

/* One socket for clients, one towards each server per client port. */
class Balancer
{
  public:
    Balancer(const uint16_t (&ports)[kServers], bool has_key)
    {
        const quring_lb lb = LbConfig(0, has_key);
        quic_cid_lb_config config = {};
        config.config_id = lb.config_id;
        config.server_id_len = lb.server_id_len;
        config.nonce_len = lb.nonce_len;
        config.has_key = lb.has_key;
        memcpy(config.key, lb.key, sizeof(config.key));
        EXPECT_EQ(quic_cid_lb_init(&lb_, &config), QUIC_OK);
        memcpy(ports_, ports, sizeof(ports_));
        front_ = Open(0);
        sockaddr_in at = {};
        socklen_t len = sizeof(at);
        EXPECT_EQ(getsockname(front_, reinterpret_cast<sockaddr *>(&at), &len), 0);
        port_ = ntohs(at.sin_port);
        thread_ = std::thread([this] { Run(); });
    }
    ~Balancer()
    {
        going_ = false;
        thread_.join();
        close(front_);
        for (auto &entry : back_) {
            close(entry.second);
        }
    }
    uint16_t port() const
    {
        return port_;
    }
    uint64_t routed() const
    {
        return routed_;
    }
    uint64_t guessed() const
    {
        return guessed_;
    }

  private:
    static int Open(uint16_t port)
    {
        const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        const sockaddr_in at = Loopback(port);
        const int size = 4 << 20;
        EXPECT_GE(fd, 0);
        EXPECT_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
        EXPECT_EQ(bind(fd, reinterpret_cast<const sockaddr *>(&at), sizeof(at)), 0);
        return fd;
    }

    /* The server of a datagram: what its connection ID says, otherwise by the client's address. */
    uint32_t Route(const uint8_t *p, size_t len, uint16_t client)
    {
        uint8_t id[QUIC_CID_LB_PLAIN_MAX] = {0};
        const bool is_long = (p[0] & 0x80) != 0;
        const size_t at = is_long ? 6 : 1;
        const size_t cid_len = is_long ? (len > 5 ? p[5] : 0) : len - 1;
        if (at + cid_len <= len &&
            quic_cid_lb_decode(&lb_, p + at, cid_len, id, nullptr) == QUIC_OK && id[0] == 0 &&
            id[1] == 0 && id[2] >= 1 && id[2] <= kServers) {
            routed_++;
            return id[2] - 1u;
        }
        guessed_++;
        return client % kServers;
    }

    int Back(uint16_t client, uint32_t server)
    {
        auto it = back_.find({client, server});
        if (it == back_.end()) {
            it = back_.emplace(std::make_pair(client, server), Open(0)).first;
        }
        return it->second;
    }

    void Run()
    {
        uint8_t buf[65536];
        while (going_) {
            std::vector<pollfd> fds = {{front_, POLLIN, 0}};
            std::vector<uint16_t> clients = {0};
            for (const auto &entry : back_) {
                fds.push_back({entry.second, POLLIN, 0});
                clients.push_back(entry.first.first);
            }
            (void)poll(fds.data(), fds.size(), 20);
            for (size_t i = 0; i < fds.size(); i++) {
                for (int n = 0; (fds[i].revents & POLLIN) != 0 && n < 64; n++) {
                    sockaddr_in from = {};
                    socklen_t from_len = sizeof(from);
                    const ssize_t len = recvfrom(fds[i].fd, buf, sizeof(buf), MSG_DONTWAIT,
                                                 reinterpret_cast<sockaddr *>(&from), &from_len);
                    if (len <= 0) {
                        break;
                    }
                    Forward(buf, static_cast<size_t>(len), i == 0, ntohs(from.sin_port),
                            clients[i]);
                }
            }
        }
    }

    void Forward(const uint8_t *data, size_t len, bool from_client, uint16_t from, uint16_t client)
    {
        sockaddr_in to = Loopback(client);
        int fd = front_;
        if (from_client) {
            const uint32_t server = Route(data, len, from);
            to = Loopback(ports_[server]);
            fd = Back(from, server);
        }
        (void)sendto(fd, data, len, 0, reinterpret_cast<sockaddr *>(&to), sizeof(to));
    }

    quic_cid_lb lb_{};
    uint16_t ports_[kServers];
    uint16_t port_ = 0;
    int front_ = -1;
    std::map<std::pair<uint16_t, uint32_t>, int> back_;
    std::atomic<uint64_t> routed_{0};
    std::atomic<uint64_t> guessed_{0};
    std::atomic<bool> going_{true};
    std::thread thread_;
};

struct LbCase {
    quring_io_backend io;
    bool has_key;
    uint32_t flags;
    const char *name;
};

class Lb : public testing::TestWithParam<LbCase>
{
  protected:
    struct Server {
        Peer peer{Peer::Mode::kEcho};
        std::unique_ptr<Runtime> rt;
        std::unique_ptr<Listener> listener;
    };
};

TEST_P(Lb, ConnectionsStayWithTheirServer)
{
    const quring_io_backend io =
        GetParam().io == QURING_IO_URING && IoUringIsRefused() ? QURING_IO_AUTO : GetParam().io;
    const Tls server_tls = ServerTls();
    const Tls client_tls = ClientTls();
    Server servers[kServers];
    uint16_t ports[kServers];
    for (uint8_t i = 0; i < kServers; i++) {
        quring_config config = Config(io, 3);
        memset(config.root_secret, 9, sizeof(config.root_secret)); /* they belong together */
        config.lb = LbConfig(i, GetParam().has_key);
        servers[i].rt = std::make_unique<Runtime>(config);
        if (servers[i].rt->error().status == QURING_E_NOT_SUPPORTED) {
            GTEST_SKIP() << servers[i].rt->error().message;
        }
        ASSERT_NE(servers[i].rt->rt(), nullptr) << servers[i].rt->error().message;
        servers[i].listener =
            std::make_unique<Listener>(servers[i].rt.get(), &servers[i].peer, Addr("127.0.0.1:0"),
                                       server_tls.get(), GetParam().flags);
        ASSERT_TRUE(servers[i].listener->ok()) << servers[i].listener->error().message;
        ports[i] = servers[i].listener->local().port;
    }
    Balancer balancer(ports, GetParam().has_key);
    Peer client;
    Runtime client_rt(Config(io, 1));
    ASSERT_NE(client_rt.rt(), nullptr) << client_rt.error().message;
    std::vector<quring_conn> conns;
    quring_addr remote = Addr("127.0.0.1:0");
    remote.port = balancer.port();
    for (int i = 0; i < 16; i++) {
        quring_connect_options options = {};
        options.remote = remote;
        options.local = Addr("127.0.0.1:0"); /* shared: the balancer sees one address */
        options.server_name = "localhost";
        options.tls = client_tls.get();
        options.on_event = Peer::OnEvent;
        options.ctx = &client;
        quring_conn conn = {0};
        client_rt.On(0, [&] { ASSERT_EQ(quring_connect(&conn, &options, nullptr), QURING_OK); });
        ASSERT_TRUE(client.WaitConnected(conn)) << client.Facts(conn).close.reason;
        conns.push_back(conn);
    }
    const Bytes data = Pattern(30000, 3);
    for (const quring_conn conn : conns) {
        uint64_t id = 0;
        client_rt.On(0, [&] { ASSERT_EQ(client.Send(&id, conn, data), QURING_OK); });
        ASSERT_TRUE(client.Wait([&] { return client.At(conn, id).in_fin; }));
        EXPECT_TRUE(client.Facts(conn, id).in == data);
    }
    EXPECT_GT(balancer.routed(), 16u * 20u);
    EXPECT_LT(balancer.guessed(), balancer.routed()); /* first flights, which anybody may take */
    for (Server &s : servers) {
        quring_stats stats = {};
        ASSERT_EQ(quring_stats_get(s.rt->rt(), -1, &stats), QURING_OK);
        EXPECT_EQ(stats.drop_unknown_cid, 0u);
        EXPECT_EQ(stats.sent_stateless_reset, 0u);
        EXPECT_EQ(stats.forwarded, 0u) << "the kernel steers by connection ID";
    }
    client_rt.Destroy();
    for (Server &s : servers) {
        s.listener->Close();
        s.rt.reset();
    }
}

INSTANTIATE_TEST_SUITE_P(
    All, Lb,
    testing::Values(LbCase{QURING_IO_URING, false, 0, "uring_plaintext"},
                    LbCase{QURING_IO_URING, true, QURING_LISTEN_RETRY, "uring_key_retry"},
                    LbCase{QURING_IO_EPOLL, true, 0, "epoll_key"},
                    LbCase{QURING_IO_EPOLL, false, QURING_LISTEN_RETRY, "epoll_plaintext_retry"}),
    [](const testing::TestParamInfo<LbCase> &param) { return std::string(param.param.name); });

} // namespace
} // namespace quring_test

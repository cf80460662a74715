/* Connections that move, over real sockets: a client on its own account, and to the address a server
 * prefers (RFC 9000 9). */
#include <arpa/inet.h>
#include <atomic>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "tests/api/fixture.h"

namespace quring_test
{
namespace
{

/* A NAT: passes datagrams between one client and the server, and can show another port to the server
 * from one moment to the next. Its thread owns the sockets. */
class Relay
{
  public:
    explicit Relay(uint16_t server_port) : front_(Open()), back_(Open())
    {
        server_.sin_family = AF_INET;
        server_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        server_.sin_port = htons(server_port);
        thread_ = std::thread([this] { Run(); });
    }
    ~Relay()
    {
        stop_ = true;
        thread_.join();
        close(front_);
        close(back_);
    }
    Relay(const Relay &) = delete;
    Relay &operator=(const Relay &) = delete;

    uint16_t port() const
    {
        sockaddr_in at = {};
        socklen_t len = sizeof(at);
        EXPECT_EQ(getsockname(front_, reinterpret_cast<sockaddr *>(&at), &len), 0);
        return ntohs(at.sin_port);
    }
    void Rebind()
    {
        rebind_ = true;
    }

  private:
    static int Open()
    {
        const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        sockaddr_in at = {};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr *>(&at), sizeof(at)), 0);
        return fd;
    }

    void Run()
    {
        std::vector<uint8_t> buf(65536);
        while (!stop_) {
            pollfd fds[2] = {{front_, POLLIN, 0}, {back_, POLLIN, 0}};
            (void)poll(fds, 2, 20);
            if (rebind_.exchange(false)) {
                close(back_);
                back_ = Open();
                continue;
            }
            for (int i = 0; i < 2; i++) {
                const int from = i == 0 ? front_ : back_;
                const int to = i == 0 ? back_ : front_;
                sockaddr_in peer = {};
                socklen_t len = sizeof(peer);
                ssize_t n;
                while ((n = recvfrom(from, buf.data(), buf.size(), 0,
                                     reinterpret_cast<sockaddr *>(&peer), &len)) > 0) {
                    client_ = i == 0 ? peer : client_;
                    const sockaddr_in &dest = i == 0 ? server_ : client_;
                    (void)sendto(to, buf.data(), static_cast<size_t>(n), 0,
                                 reinterpret_cast<const sockaddr *>(&dest), sizeof(dest));
                    len = sizeof(peer);
                }
            }
        }
    }

    int front_;
    int back_;
    sockaddr_in server_ = {};
    sockaddr_in client_ = {};
    std::atomic<bool> stop_{false};
    std::atomic<bool> rebind_{false};
    std::thread thread_;
};

class Migrate : public EndToEnd
{
  protected:
    void SetUp() override
    {
        client_.hook = [this](const quring_event &event) {
            client_changed_ += event.type == QURING_EV_PATH_CHANGED ? 1 : 0;
            client_failed_ += event.type == QURING_EV_PATH_FAILED ? 1 : 0;
        };
        server_.hook = [this](const quring_event &event) {
            server_changed_ += event.type == QURING_EV_PATH_CHANGED ? 1 : 0;
        };
    }

    quring_conn_info Info(Runtime *runtime, quring_conn conn)
    {
        quring_conn_info info = {};
        EXPECT_TRUE(runtime->On(quring_conn_worker(conn),
                                [&] { EXPECT_EQ(quring_conn_get_info(conn, &info), QURING_OK); }));
        return info;
    }

    quring_status Try(quring_conn conn, const quring_addr *local)
    {
        quring_status status = QURING_E_THREAD;
        EXPECT_TRUE(client_rt_->On(quring_conn_worker(conn),
                                   [&] { status = quring_conn_migrate(conn, local); }));
        return status;
    }

    /* Begins to move, once the handshake is confirmed and the server has given a connection ID. */
    quring_status Move(quring_conn conn, const quring_addr *local = nullptr)
    {
        for (int i = 0; i < 2000; i++) {
            const quring_status status = Try(conn, local);
            if (status != QURING_E_LIMIT && status != QURING_E_STATE) {
                return status;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
        return QURING_E_LIMIT;
    }

    void WaitMoved(uint32_t times)
    {
        ASSERT_TRUE(client_.Wait([&] { return client_changed_ == times; }));
        ASSERT_TRUE(server_.Wait([&] { return server_changed_ == times; }));
    }

    std::atomic<uint32_t> client_changed_{0};
    std::atomic<uint32_t> client_failed_{0};
    std::atomic<uint32_t> server_changed_{0};
};

TEST_P(Migrate, ToOtherPortsAgainAndAgain)
{
    QURING_START();
    const quring_conn conn = Connect();
    ExpectEcho(conn, 100000, 1);
    quring_addr last = Info(client_rt_.get(), conn).local;
    for (uint32_t i = 1; i <= 5; i++) {
        ASSERT_EQ(Move(conn), QURING_OK);
        WaitMoved(i);
        const quring_conn_info info = Info(client_rt_.get(), conn);
        EXPECT_NE(info.local.port, last.port);
        EXPECT_EQ(Info(server_rt_.get(), ServerConn()).remote.port, info.local.port);
        last = info.local;
        ExpectEcho(conn, 100000, i + 1);
    }
    EXPECT_EQ(client_failed_, 0u);
}

TEST_P(Migrate, InTheMiddleOfATransfer)
{
    /* Under a sanitizer a byte costs ten times as much, and the connection is idle while they are made. */
#if defined(QURING_TSAN) || defined(QURING_ASAN)
    const Bytes data = Pattern(4u << 20, 7);
#else
    const Bytes data = Pattern(16u << 20, 7);
#endif
    QURING_START();
    const quring_conn conn = Connect();
    const uint64_t id = Send(conn, data);
    ASSERT_EQ(Move(conn), QURING_OK);
    WaitMoved(1);
    ASSERT_TRUE(client_.Wait([&] { return client_.At(conn, id).in_fin; }));
    EXPECT_TRUE(client_.Facts(conn, id).in == data);
}

/* The kernel may hand the new port's datagrams to any worker: connection IDs lead to the right one. */
TEST_P(Migrate, WithSeveralWorkers)
{
    QURING_START(Peer::Mode::kEcho, 0, 2, 2);
    for (uint32_t i = 0; i < 6; i++) {
        const quring_conn conn = Connect(i % 2);
        ASSERT_EQ(Move(conn), QURING_OK);
        WaitMoved(i + 1);
        ExpectEcho(conn, 200000, i);
    }
}

/* A worker keeps few sockets: those left behind are closed. */
TEST_P(Migrate, DoesNotUseUpTheSockets)
{
    QURING_START();
    const quring_conn conn = Connect();
    for (uint32_t i = 0; i < 100; i++) {
        quring_addr local = Addr("127.0.0.2");
        local.ip[3] = static_cast<uint8_t>(2 + i);
        local.port = 0;
        ASSERT_EQ(Move(conn, &local), QURING_OK) << i;
        WaitMoved(i + 1);
    }
    ExpectEcho(conn, 100000, 1);
}

TEST_P(Migrate, Refusals)
{
    QURING_START();
    const quring_conn conn = Connect();
    const quring_conn server = ServerConn();
    ExpectEcho(conn, 1000, 1);
    EXPECT_EQ(quring_conn_migrate(conn, nullptr), QURING_E_THREAD);
    quring_addr local = {};
    local.family = 5;
    EXPECT_EQ(Try(conn, &local), QURING_E_INVAL);
    local = Addr("[::1]");
    local.port = 0;
    EXPECT_EQ(Move(conn, &local), QURING_E_INVAL) << "the server has no address of that family";
    local = Addr("192.0.2.77");
    local.port = 0;
    EXPECT_EQ(Move(conn, &local), QURING_E_OS) << "not an address of this machine";
    EXPECT_TRUE(OnServer([&] {
        EXPECT_EQ(quring_conn_migrate(server, nullptr), QURING_E_STATE);
        EXPECT_EQ(quring_conn_migrate({0}, nullptr), QURING_E_STATE);
    }));
    ExpectEcho(conn, 1000, 2);
}

TEST_P(Migrate, WhereTheServerForbidsIt)
{
    server_config_.limits.disable_active_migration = true;
    QURING_START();
    const quring_conn conn = Connect();
    ExpectEcho(conn, 1000, 1);
    EXPECT_EQ(Move(conn), QURING_E_NOT_SUPPORTED);
    ExpectEcho(conn, 1000, 2);
}

/* RFC 9000 9.3: neither end did anything; the server follows what it sees. */
TEST_P(Migrate, ANatThatRebinds)
{
    QURING_START();
    Relay relay(listener_->local().port);
    quring_addr remote = Remote();
    remote.port = relay.port();
    quring_conn conn = {0};
    ASSERT_EQ(client_.Connect(&conn, client_rt_.get(), 0, remote, client_tls_.get()), QURING_OK);
    ASSERT_TRUE(client_.WaitConnected(conn));
    ExpectEcho(conn, 100000, 1);
    const quring_conn server = ServerConn();
    uint16_t last = Info(server_rt_.get(), server).remote.port;
    for (uint32_t i = 1; i <= 3; i++) {
        relay.Rebind();
        const Bytes data = Pattern(300000, i + 1);
        const uint64_t id = Send(conn, data);
        ASSERT_TRUE(client_.Wait([&] { return client_.At(conn, id).in_fin; }));
        EXPECT_TRUE(client_.Facts(conn, id).in == data);
        ASSERT_TRUE(server_.Wait([&] { return server_changed_ >= i; }));
        const uint16_t now = Info(server_rt_.get(), server).remote.port;
        EXPECT_NE(now, last);
        last = now;
    }
    EXPECT_EQ(client_changed_, 0u);
}

/* ---- the preferred address ------------------------------------------------------------------------ */

TEST_P(Migrate, ToThePreferredAddress)
{
    for (uint32_t workers : {1u, 2u}) {
        preferred_v4_ = Addr("127.0.0.2");
        preferred_v4_.port = 0; /* that of the listener */
        client_changed_ = 0;
        server_changed_ = 0;
        QURING_START(Peer::Mode::kEcho, 0, workers);
        const quring_conn conn = Connect();
        WaitMoved(1);
        const quring_conn_info info = Info(client_rt_.get(), conn);
        EXPECT_EQ(info.remote.ip[3], 2);
        EXPECT_EQ(info.remote.port, listener_->local().port);
        EXPECT_TRUE(info.at_preferred_address);
        ExpectEcho(conn, 1000000, 1);
        ASSERT_EQ(Move(conn), QURING_OK);
        WaitMoved(2);
        ExpectEcho(conn, 100000, 2);
        TearDown();
        listener_.reset();
    }
}

/* The port of a wildcard socket, too: the kernel prefers the more exact one. */
TEST_P(Migrate, ToAPreferredAddressUnderAWildcard)
{
    preferred_v4_ = Addr("127.0.0.2");
    preferred_v4_.port = 0;
    listen_ = "0.0.0.0:0";
    QURING_START();
    const quring_conn conn = Connect();
    WaitMoved(1);
    EXPECT_EQ(Info(client_rt_.get(), conn).remote.ip[3], 2);
    ExpectEcho(conn, 100000, 1);
}

TEST_P(Migrate, ToAPreferredAddressOfTheOtherFamily)
{
    preferred_v6_ = Addr("[::1]");
    preferred_v6_.port = 0;
    QURING_START();
    const quring_conn conn = Connect();
    WaitMoved(1);
    const quring_conn_info info = Info(client_rt_.get(), conn);
    EXPECT_EQ(info.remote.family, 6);
    EXPECT_EQ(info.local.family, 6);
    ExpectEcho(conn, 100000, 1);
}

TEST_P(Migrate, ThePreferredAddressIsIgnoredOnRequest)
{
    preferred_v4_ = Addr("127.0.0.2");
    preferred_v4_.port = 0;
    client_config_.limits.ignore_preferred_address = true;
    QURING_START();
    const quring_conn conn = Connect();
    ExpectEcho(conn, 100000, 1);
    EXPECT_EQ(Info(client_rt_.get(), conn).remote.ip[3], 1);
    EXPECT_EQ(client_changed_, 0u);
}

TEST_P(Migrate, PreferredAddressesThatCannotBe)
{
    QURING_START();
    const quring_addr local = Addr("127.0.0.1:0");
    Listener any(server_rt_.get(), &server_, local, server_tls_.get(), 0, Addr("0.0.0.0:1234"));
    EXPECT_EQ(any.error().status, QURING_E_INVAL);
    Listener swapped(server_rt_.get(), &server_, local, server_tls_.get(), 0, Addr("[::1]:1234"));
    EXPECT_EQ(swapped.error().status, QURING_E_INVAL);
    Listener foreign(server_rt_.get(), &server_, local, server_tls_.get(), 0,
                     Addr("192.0.2.77:1234"));
    EXPECT_EQ(foreign.error().status, QURING_E_OS);
    Listener taken(server_rt_.get(), &server_, local, server_tls_.get(), 0, listener_->local());
    EXPECT_EQ(taken.error().status, QURING_E_ADDR_IN_USE);
}

INSTANTIATE_TEST_SUITE_P(Backends, Migrate, testing::ValuesIn(kBackends), SettingName);

} // namespace
} // namespace quring_test

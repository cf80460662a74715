/* QURING_LISTEN_SHARED: several processes at one address. Every server here is a process of its own, forked
 * before this one has a runtime; the client's connections come from addresses of their own, so that the
 * kernel spreads them. */
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/support.h"

namespace
{

using quring_test::Addr;
using quring_test::Bytes;
using quring_test::ClientTls;
using quring_test::Config;
using quring_test::kSecond;
using quring_test::Listener;
using quring_test::Pattern;
using quring_test::Peer;
using quring_test::Runtime;
using quring_test::ServerTls;
using quring_test::TheIdentity;
using quring_test::Tls;

/* A server in a process of its own, which does what it is told: first of all, to listen. */
class Server
{
  public:
    struct Facts {
        uint64_t established;
        uint64_t relayed;
        uint64_t relay_lost;
        uint64_t sent_retry;
        uint64_t sent_stateless_reset;
    };

    Server(const quring_config &config, uint32_t flags)
    {
        int up[2];
        int down[2];
        EXPECT_EQ(0, pipe(up));
        EXPECT_EQ(0, pipe(down));
        TheIdentity(); /* made once */
        pid_ = fork();
        if (pid_ == 0) {
            alarm(240);
            close(up[0]);
            close(down[1]);
            _exit(Serve(config, flags, down[0], up[1]));
        }
        close(up[1]);
        close(down[0]);
        to_ = down[1];
        from_ = up[0];
    }
    Server(const Server &) = delete;
    Server &operator=(const Server &) = delete;
    ~Server()
    {
        End(SIGKILL);
        close(to_);
        close(from_);
    }
    /* At `port`, or any for 0; the port, 0 when it cannot. */
    uint16_t Listen(uint16_t port)
    {
        Order('l');
        EXPECT_EQ(static_cast<ssize_t>(sizeof(port)), write(to_, &port, sizeof(port)));
        EXPECT_EQ(static_cast<ssize_t>(sizeof(port)), read(from_, &port, sizeof(port)));
        return port;
    }
    bool alive() const
    {
        return pid_ > 0;
    }
    Facts Tell()
    {
        Facts facts = {};
        Order('f');
        EXPECT_EQ(static_cast<ssize_t>(sizeof(facts)), read(from_, &facts, sizeof(facts)));
        return facts;
    }
    void CloseListener()
    {
        Order('c');
        char done = 0;
        EXPECT_EQ(1, read(from_, &done, 1));
    }
    void End(int signal)
    {
        if (pid_ > 0) {
            int status = 0;
            kill(pid_, signal);
            waitpid(pid_, &status, 0);
            pid_ = -1;
        }
    }

  private:
    void Order(char what)
    {
        EXPECT_EQ(1, write(to_, &what, 1));
    }
    static int Serve(const quring_config &config, uint32_t flags, int in, int out)
    {
        Runtime runtime(config);
        Tls tls = ServerTls();
        Peer peer(Peer::Mode::kEcho);
        std::unique_ptr<Listener> listener;
        for (char order = 0; read(in, &order, 1) == 1;) {
            quring_addr at = Addr("127.0.0.1");
            if (order == 'l' && read(in, &at.port, sizeof(at.port)) == sizeof(at.port)) {
                listener = std::make_unique<Listener>(&runtime, &peer, at, tls.get(), flags);
                at.port = listener->ok() ? listener->local().port : 0;
                (void)!write(out, &at.port, sizeof(at.port));
            } else if (order == 'c') {
                listener->Close();
                (void)!write(out, &order, 1);
            } else {
                quring_stats stats = {};
                (void)quring_stats_get(runtime.rt(), -1, &stats);
                Facts facts = {stats.conns_established, stats.relayed, stats.relay_lost,
                               stats.sent_retry, stats.sent_stateless_reset};
                (void)!write(out, &facts, sizeof(facts));
            }
        }
        return 0;
    }

    pid_t pid_ = -1;
    int to_ = -1;
    int from_ = -1;
};

class Share : public testing::TestWithParam<quring_io_backend>
{
  protected:
    static quring_config ServerConfig(uint32_t workers = 1)
    {
        quring_config config = Config(GetParam(), workers);
        config.limits.idle_timeout_ns = 120 * kSecond;
        return config;
    }

    void SetUp() override
    {
        Runtime probe(Config(GetParam()));
        if (probe.rt() == nullptr && probe.error().status == QURING_E_NOT_SUPPORTED) {
            GTEST_SKIP() << probe.error().message;
        }
    }
    void TearDown() override
    {
        client_rt_.reset();
        servers_.clear();
    }

    /* One more process, before there is a client; it listens at once unless `later`. */
    Server &Add(const quring_config &config, uint32_t flags = 0, bool later = false)
    {
        servers_.push_back(std::make_unique<Server>(config, flags | QURING_LISTEN_SHARED));
        if (!later) {
            Open(*servers_.back());
        }
        return *servers_.back();
    }
    void Open(Server &server)
    {
        const uint16_t port = server.Listen(port_);
        EXPECT_TRUE(port != 0 && (port_ == 0 || port == port_));
        port_ = port;
    }
    void StartClient()
    {
        client_rt_ = std::make_unique<Runtime>(Config(GetParam()));
        ASSERT_NE(nullptr, client_rt_->rt()) << client_rt_->error().message;
        tls_ = ClientTls();
    }

    quring_conn Begin()
    {
        char text[32];
        snprintf(text, sizeof(text), "127.0.0.%d:0", next_++);
        quring_connect_options options = {};
        options.remote = Addr("127.0.0.1");
        options.remote.port = port_;
        options.local = Addr(text);
        options.server_name = "localhost";
        options.tls = tls_.get();
        options.on_event = Peer::OnEvent;
        options.ctx = &client_;
        quring_conn conn = {0};
        quring_error err = {};
        EXPECT_TRUE(client_rt_->On(0, [&] {
            EXPECT_EQ(QURING_OK, quring_connect(&conn, &options, &err)) << err.message;
        }));
        return conn;
    }
    quring_conn Connect()
    {
        quring_conn conn = Begin();
        EXPECT_TRUE(client_.WaitConnected(conn)) << client_.Facts(conn).close.reason;
        return conn;
    }
    std::vector<quring_conn> Connect(int count)
    {
        std::vector<quring_conn> conns;
        for (int i = 0; i < count; i++) {
            conns.push_back(Connect());
        }
        return conns;
    }
    /* Whether the connection still does its work. */
    bool Echoes(quring_conn conn, size_t len = 20000)
    {
        const Bytes data = Pattern(len, static_cast<uint32_t>(next_));
        uint64_t id = UINT64_MAX;
        EXPECT_TRUE(client_rt_->On(0, [&] { (void)client_.Send(&id, conn, data); }));
        return client_.Wait([&] {
            return client_.At(conn).closed || (id != UINT64_MAX && client_.At(conn, id).in_fin);
        }) && !client_.Facts(conn).closed &&
               client_.Facts(conn, id).in == data;
    }
    void ExpectEchoes(const std::vector<quring_conn> &conns)
    {
        for (size_t i = 0; i < conns.size(); i++) {
            EXPECT_TRUE(Echoes(conns[i])) << i;
        }
    }
    /* Counters are published at the end of a turn: soon, not at once. The sum over all servers. */
    bool HaveEstablished(uint64_t count)
    {
        for (int i = 0; i < 1000; i++) {
            uint64_t sum = 0;
            for (auto &server : servers_) {
                sum += server->alive() ? server->Tell().established : 0;
            }
            if (sum == count) {
                return true;
            }
            usleep(10000);
        }
        return false;
    }
    uint64_t Relayed()
    {
        uint64_t sum = 0;
        for (auto &server : servers_) {
            sum += server->Tell().relayed;
        }
        return sum;
    }

    std::vector<std::unique_ptr<Server>> servers_;
    Peer client_{Peer::Mode::kCollect};
    Tls tls_;
    std::unique_ptr<Runtime> client_rt_;
    uint16_t port_ = 0;
    int next_ = 2;
};

TEST_P(Share, EachServesItsPart)
{
    Server &a = Add(ServerConfig());
    Server &b = Add(ServerConfig(2));
    StartClient();
    ExpectEchoes(Connect(32));
    EXPECT_TRUE(HaveEstablished(32));
    const Server::Facts of_a = a.Tell();
    const Server::Facts of_b = b.Tell();
    EXPECT_GT(of_a.established, 0u);
    EXPECT_GT(of_b.established, 0u);
    EXPECT_EQ(0u, of_a.relayed + of_b.relayed) << "the group is as it was";
}

/* A connection stays where it is when the kernel's choice changes: processes come, and one dies. */
TEST_P(Share, ConnectionsStayWhenTheGroupChanges)
{
    Server &a = Add(ServerConfig(2));
    Server &b = Add(ServerConfig(2), 0, true);
    Server &c = Add(ServerConfig(2), 0, true);
    StartClient();
    const std::vector<quring_conn> of_a = Connect(28);
    EXPECT_TRUE(HaveEstablished(28));
    Open(b);
    Open(c);
    ExpectEchoes(
        of_a); /* a third of them comes to each of the new ones: none would, once in 80,000 runs */
    EXPECT_GT(b.Tell().relayed, 0u);
    EXPECT_GT(c.Tell().relayed, 0u);
    EXPECT_EQ(0u, b.Tell().established + c.Tell().established);
    const std::vector<quring_conn> spread = Connect(32);
    ExpectEchoes(spread);
    EXPECT_TRUE(HaveEstablished(60));
    const uint64_t left = b.Tell().established + c.Tell().established;
    EXPECT_GT(left, 0u);
    a.End(SIGKILL);
    std::vector<uint64_t> ids;
    for (quring_conn conn : spread) { /* all at once: those of the dead one never answer */
        ids.push_back(UINT64_MAX);
        EXPECT_TRUE(
            client_rt_->On(0, [&] { (void)client_.Send(&ids.back(), conn, Pattern(20000, 1)); }));
    }
    uint64_t alive = 0;
    EXPECT_TRUE(client_.Wait([&] {
        alive = 0;
        for (size_t i = 0; i < spread.size(); i++) {
            alive += client_.At(spread[i], ids[i]).in_fin ? 1 : 0;
        }
        return alive == left;
    })) << alive
        << " of " << left;
}

/* RFC 9000 9: a client that moves to another port comes to another process' socket. All have one secret: who
 * answers for a connection of another one ends it. That resets are sent says nothing: what comes late, with a
 * connection ID that was retired meanwhile, is answered with one, too, and the client does not heed it. */
TEST_P(Share, AClientThatMovesKeepsItsProcess)
{
    quring_config config = ServerConfig();
    memset(config.root_secret, 7, sizeof(config.root_secret));
    Add(config);
    config.workers = 2;
    Add(config);
    StartClient();
    const std::vector<quring_conn> conns = Connect(24); /* all stay with theirs once in a million */
    ExpectEchoes(conns);
    for (quring_conn conn : conns) {
        char text[32];
        snprintf(text, sizeof(text), "127.0.1.%d:0", next_++);
        const quring_addr to = Addr(text);
        EXPECT_TRUE(
            client_rt_->On(0, [&] { EXPECT_EQ(QURING_OK, quring_conn_migrate(conn, &to)); }));
    }
    ExpectEchoes(conns);
    EXPECT_GT(Relayed(), 0u);
    for (quring_conn conn : conns) {
        EXPECT_FALSE(client_.Facts(conn).closed) << client_.Facts(conn).close.reason;
    }
}

/* One that accepts no more, or not yet, hands strangers to one that does. Every socket of the four gets a share of
 * the first ones: the kernel leaves one of them out once in 100,000 runs. */
TEST_P(Share, WhoDoesNotAcceptPassesOn)
{
    Server &a = Add(ServerConfig());
    Server &paused = Add(ServerConfig(), QURING_LISTEN_PAUSED);
    Add(ServerConfig(2));
    StartClient();
    const std::vector<quring_conn> old = Connect(40);
    ExpectEchoes(old);
    EXPECT_TRUE(HaveEstablished(40));
    EXPECT_EQ(0u, paused.Tell().established);
    EXPECT_GT(paused.Tell().relayed, 0u);
    const uint64_t at_a = a.Tell().established;
    EXPECT_GT(at_a, 0u);
    a.CloseListener();
    const std::vector<quring_conn> fresh = Connect(20);
    ExpectEchoes(fresh);
    ExpectEchoes(old);
    EXPECT_TRUE(HaveEstablished(60));
    EXPECT_EQ(at_a, a.Tell().established);
}

/* RFC 9000 8.1.2: the token is its maker's, and the Initial that carries it names that one. */
TEST_P(Share, RetryLeadsBackToItsMaker)
{
    Server &a = Add(ServerConfig(), QURING_LISTEN_RETRY);
    Server &b = Add(ServerConfig(), QURING_LISTEN_RETRY);
    StartClient();
    ExpectEchoes(Connect(16));
    EXPECT_TRUE(HaveEstablished(16));
    const Server::Facts of_a = a.Tell();
    const Server::Facts of_b = b.Tell();
    EXPECT_EQ(of_a.sent_retry, of_a.established);
    EXPECT_EQ(of_b.sent_retry, of_b.established);
}

/* RFC 9000 10.3: what belonged to a process that is gone may be reset by any other with its secret. */
TEST_P(Share, TheDeadOnesConnectionsAreReset)
{
    quring_config config = ServerConfig();
    memset(config.root_secret, 7, sizeof(config.root_secret));
    Server &a = Add(config);
    Server &b = Add(config);
    StartClient();
    const std::vector<quring_conn> conns = Connect(16);
    ExpectEchoes(conns);
    EXPECT_TRUE(HaveEstablished(16));
    const uint64_t dead = a.Tell().established;
    a.End(SIGKILL);
    for (quring_conn conn : conns) {
        uint64_t id = UINT64_MAX;
        EXPECT_TRUE(client_rt_->On(0, [&] { (void)client_.Send(&id, conn, Pattern(5000, 3)); }));
    }
    EXPECT_TRUE(client_.Wait([&] {
        uint64_t closed = 0;
        for (quring_conn conn : conns) {
            const auto &at = client_.At(conn);
            closed += at.closed && at.close.kind == QURING_CLOSE_STATELESS_RESET ? 1 : 0;
        }
        return closed == dead;
    }));
    EXPECT_GE(b.Tell().sent_stateless_reset, dead);
    uint64_t open = 0;
    for (quring_conn conn : conns) {
        open += client_.Facts(conn).closed ? 0 : 1;
    }
    EXPECT_EQ(16u - dead, open) << "no other";
}

/* Two runtimes of one process are two, too; who does not say so shares with nobody. */
TEST_P(Share, OnlyAmongThoseThatAgree)
{
    const int input = fcntl(STDIN_FILENO, F_GETFD);
    for (uint32_t workers : {1u, 2u}) {
        for (const char *at : {"127.0.0.1:0", "[::1]:0"}) {
            Runtime first(Config(GetParam(), workers));
            Runtime second(Config(GetParam(), 2));
            ASSERT_NE(nullptr, first.rt());
            ASSERT_NE(nullptr, second.rt());
            Tls tls = ServerTls();
            Peer peer;
            Listener alone(&first, &peer, Addr(at), tls.get());
            if (!alone.ok() && alone.error().os_errno != 0) {
                continue; /* no IPv6 here */
            }
            Listener tries(&second, &peer, alone.local(), tls.get(), QURING_LISTEN_SHARED);
            EXPECT_EQ(QURING_E_ADDR_IN_USE, tries.error().status) << at << " " << workers;
            Listener shares(&first, &peer, Addr(at), tls.get(), QURING_LISTEN_SHARED);
            ASSERT_TRUE(shares.ok()) << shares.error().message;
            Listener alone_too(&second, &peer, shares.local(), tls.get());
            EXPECT_EQ(QURING_E_ADDR_IN_USE, alone_too.error().status) << at << " " << workers;
            Listener again(&first, &peer, shares.local(), tls.get(), QURING_LISTEN_SHARED);
            EXPECT_EQ(QURING_E_ADDR_IN_USE, again.error().status) << "one of a runtime";
            EXPECT_EQ(input, fcntl(STDIN_FILENO, F_GETFD)); /* nothing but its own was closed */
            Listener joins(&second, &peer, shares.local(), tls.get(), QURING_LISTEN_SHARED);
            EXPECT_TRUE(joins.ok()) << joins.error().message;
            for (Listener *listener : {&alone, &shares, &joins}) {
                listener->Close();
            }
        }
    }
}

TEST_P(Share, NotWithLoadBalancers)
{
    quring_config config = Config(GetParam());
    config.lb.enabled = true;
    config.lb.server_id_len = 2;
    config.lb.nonce_len = 8;
    Runtime runtime(config);
    ASSERT_NE(nullptr, runtime.rt()) << runtime.error().message;
    Tls tls = ServerTls();
    Peer peer;
    Listener listener(&runtime, &peer, Addr("127.0.0.1:0"), tls.get(), QURING_LISTEN_SHARED);
    EXPECT_EQ(QURING_E_INVAL, listener.error().status);
    EXPECT_NE(nullptr, strstr(listener.error().message, "lb"));
}

/* A client that connects from a shared address is answered there, whoever gets the answer. */
TEST_P(Share, AClientFromASharedAddress)
{
    Server target(ServerConfig(), 0);
    Add(ServerConfig(2));
    const uint16_t port = target.Listen(0);
    ASSERT_NE(0, port);
    StartClient();
    Tls server_tls = ServerTls();
    quring_addr shared = Addr("127.0.0.1");
    shared.port = port_;
    Listener listener(client_rt_.get(), &client_, shared, server_tls.get(),
                      QURING_LISTEN_SHARED | QURING_LISTEN_PAUSED);
    ASSERT_TRUE(listener.ok()) << listener.error().message;
    quring_connect_options options = {};
    options.remote = Addr("127.0.0.1");
    options.remote.port = port;
    options.via = listener.get();
    options.server_name = "localhost";
    options.tls = tls_.get();
    options.ctx = &client_;
    std::vector<quring_conn> conns(4);
    for (quring_conn &conn : conns) {
        quring_error err = {};
        EXPECT_TRUE(client_rt_->On(0, [&] {
            EXPECT_EQ(QURING_OK, quring_connect(&conn, &options, &err)) << err.message;
        }));
        EXPECT_TRUE(client_.WaitConnected(conn)) << client_.Facts(conn).close.reason;
    }
    ExpectEchoes(conns);
    listener.Close();
}

INSTANTIATE_TEST_SUITE_P(Backends, Share, testing::Values(QURING_IO_URING, QURING_IO_EPOLL),
                         [](const auto &param_info) {
                             return param_info.param == QURING_IO_URING ? "uring" : "epoll";
                         });

} // namespace

/* tests/api/fixture.h: a server runtime and a client runtime on loopback, once per I/O back end and
 * address family. */
#ifndef TESTS_API_FIXTURE_H
#define TESTS_API_FIXTURE_H

#include <cerrno>
#include <functional>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/support.h"

namespace quring_test
{

struct Setting {
    quring_io_backend io;
    const char *listen;
    const char *connect;
    const char *name;
};

inline const Setting kSettings[] = {
    {QURING_IO_URING, "127.0.0.1:0", "127.0.0.1", "uring_v4"},
    {QURING_IO_URING, "[::1]:0", "[::1]", "uring_v6"},
    {QURING_IO_URING, "[::]:0", "127.0.0.1", "uring_dual"},
    {QURING_IO_EPOLL, "127.0.0.1:0", "127.0.0.1", "epoll_v4"},
    {QURING_IO_EPOLL, "[::1]:0", "[::1]", "epoll_v6"},
    {QURING_IO_EPOLL, "[::]:0", "127.0.0.1", "epoll_dual"},
};

/* One of each back end, for what does not depend on addresses. */
inline const Setting kBackends[] = {
    {QURING_IO_URING, "127.0.0.1:0", "127.0.0.1", "uring"},
    {QURING_IO_EPOLL, "127.0.0.1:0", "127.0.0.1", "epoll"},
};

inline std::string SettingName(const testing::TestParamInfo<Setting> &param)
{
    return param.param.name;
}

class EndToEnd : public testing::TestWithParam<Setting>
{
  protected:
    /* Starts both runtimes and listens. What the machine lacks skips the test. */
    void Start(Peer::Mode server_mode = Peer::Mode::kEcho, uint32_t listen_flags = 0,
               uint32_t server_workers = 1, uint32_t client_workers = 1)
    {
        server_.SetMode(server_mode);
        const bool refused = GetParam().io == QURING_IO_URING && IoUringIsRefused();
        const quring_io_backend io = refused ? QURING_IO_AUTO : GetParam().io;
        server_config_.io = io;
        server_config_.workers = server_workers;
        client_config_.io = io;
        client_config_.workers = client_workers;
        server_rt_ = std::make_unique<Runtime>(server_config_);
        if (server_rt_->error().status == QURING_E_NOT_SUPPORTED) {
            GTEST_SKIP() << server_rt_->error().message;
        }
        ASSERT_NE(server_rt_->rt(), nullptr) << server_rt_->error().message;
        if (refused) {
            quring_runtime_info info;
            quring_runtime_get_info(server_rt_->rt(), &info);
            ASSERT_STREQ(info.backend, "epoll") << info.backend_why;
        }
        client_rt_ = std::make_unique<Runtime>(client_config_);
        ASSERT_NE(client_rt_->rt(), nullptr) << client_rt_->error().message;
        if (!server_tls_ && (listen_flags & QURING_LISTEN_EXTERNAL_TLS) == 0) {
            server_tls_ = ServerTls();
        }
        client_tls_ = client_tls_ ? std::move(client_tls_) : ClientTls();
        listener_ = std::make_unique<Listener>(
            server_rt_.get(), &server_, Addr(listen_ != nullptr ? listen_ : GetParam().listen),
            server_tls_.get(), listen_flags, preferred_v4_, preferred_v6_);
        const int os_errno = listener_->error().os_errno;
        if (os_errno == EADDRNOTAVAIL || os_errno == EAFNOSUPPORT) {
            GTEST_SKIP() << listener_->error().message;
        }
        ASSERT_TRUE(listener_->ok()) << listener_->error().message;
    }

    void TearDown() override
    {
        if (listener_) {
            listener_->Close();
        }
        client_rt_.reset();
        server_rt_.reset();
    }

    quring_addr Remote() const
    {
        quring_addr addr = Addr(GetParam().connect);
        addr.port = listener_->local().port;
        return addr;
    }

    /* For a test that calls quring_connect itself, on the client's worker. */
    quring_connect_options ConnectOptions(const char *server_name = "localhost")
    {
        quring_connect_options options = {};
        options.remote = Remote();
        options.server_name = server_name;
        options.tls = client_tls_.get();
        options.on_event = Peer::OnEvent;
        options.ctx = &client_;
        return options;
    }

    /* A connection that is only begun. */
    quring_conn Begin(const char *server_name = "localhost", uint32_t worker = 0)
    {
        quring_conn conn = {0};
        quring_error err = {};
        EXPECT_EQ(client_.Connect(&conn, client_rt_.get(), worker, Remote(), client_tls_.get(),
                                  server_name, nullptr, &err),
                  QURING_OK)
            << err.message;
        return conn;
    }

    /* An established connection. */
    quring_conn Connect(uint32_t worker = 0)
    {
        const quring_conn conn = Begin("localhost", worker);
        EXPECT_TRUE(client_.WaitConnected(conn)) << client_.Facts(conn).close.reason;
        return conn;
    }

    /* The server's side of the only connection, once it is established. */
    quring_conn ServerConn()
    {
        quring_conn conn = {0};
        EXPECT_TRUE(server_.Wait([&] {
            for (const auto &entry : server_.conns()) {
                if (entry.second->connected) {
                    conn = entry.second->conn;
                }
            }
            return conn.handle != 0;
        }));
        return conn;
    }

    bool OnClient(const std::function<void()> &fn)
    {
        return client_rt_->On(0, fn);
    }
    bool OnServer(const std::function<void()> &fn)
    {
        return server_rt_->On(0, fn);
    }

    /* Sends `data` on a new stream of the client; gives its id. */
    uint64_t Send(quring_conn conn, const Bytes &data, uint32_t open_flags = 0,
                  uint32_t write_flags = QURING_WRITE_FIN, bool lend = false)
    {
        uint64_t id = UINT64_MAX;
        EXPECT_TRUE(client_rt_->On(quring_conn_worker(conn), [&] {
            EXPECT_EQ(client_.Send(&id, conn, data, open_flags, write_flags, lend), QURING_OK);
        }));
        return id;
    }

    void ExpectEcho(quring_conn conn, size_t len, uint32_t seed)
    {
        const Bytes data = Pattern(len, seed);
        const uint64_t id = Send(conn, data);
        ASSERT_TRUE(client_.Wait([&] { return client_.At(conn, id).in_fin; }));
        EXPECT_TRUE(client_.Facts(conn, id).in == data);
    }

    const char *listen_ = nullptr;  /* instead of the setting's */
    quring_addr preferred_v4_ = {}; /* of the listener; family 0: none */
    quring_addr preferred_v6_ = {};
    quring_config server_config_ = Config();
    quring_config client_config_ = Config();
    Peer server_{Peer::Mode::kEcho};
    Peer client_{Peer::Mode::kCollect};
    Tls server_tls_;
    Tls client_tls_;
    std::unique_ptr<Runtime> server_rt_;
    std::unique_ptr<Runtime> client_rt_;
    std::unique_ptr<Listener> listener_;
};

/* For the start of a test: skipping in a helper only leaves the helper. */
#define QURING_START(...)                                                                          \
    do {                                                                                           \
        Start(__VA_ARGS__);                                                                        \
        if (IsSkipped() || HasFatalFailure()) {                                                    \
            return;                                                                                \
        }                                                                                          \
    } while (0)

} // namespace quring_test

#endif /* TESTS_API_FIXTURE_H */

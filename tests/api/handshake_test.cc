#include <map>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/boring_driver.h"
#include "tests/api/fixture.h"
#include "tests/api/support.h"

namespace
{

using quring_test::BoringDriver;
using quring_test::ConnFacts;
using quring_test::EndToEnd;
using quring_test::kBackends;
using quring_test::MakeClientCtx;
using quring_test::MakeServerCtx;
using quring_test::Peer;
using quring_test::SettingName;
using quring_test::SslCtx;
using quring_test::TheIdentity;

std::string Text(quring_bytes bytes)
{
    return std::string(reinterpret_cast<const char *>(bytes.data), bytes.len);
}

/* The handshake is driven by a TLS library that belongs to the test. */
class External : public EndToEnd
{
  protected:
    using Drivers = std::map<uint64_t, std::unique_ptr<BoringDriver>>; /* by connection */

    void DriveServer(SSL_CTX *ctx)
    {
        server_.hook = [this, ctx](const quring_event &ev) {
            if (ev.type == QURING_EV_HANDSHAKE_PENDING) {
                quring_client_hello hello = {};
                EXPECT_EQ(quring_handshake_client_hello(ev.conn, &hello), QURING_OK);
                EXPECT_EQ(Text(hello.server_name), "localhost");
                EXPECT_EQ(Text(hello.alpn), "\x04test");
                EXPECT_GT(hello.transport_params.len, 0u);
                EXPECT_GT(hello.message.len, 100u);
                EXPECT_EQ(hello.remote.family, 4);
                EXPECT_FALSE(hello.validated);
                EXPECT_EQ(quring_handshake_accept(ev.conn), QURING_OK);
                EXPECT_EQ(quring_handshake_accept(ev.conn), QURING_E_STATE);
                server_drivers_[ev.conn.handle] =
                    std::make_unique<BoringDriver>(ctx, ev.conn, true);
            }
            Feed(&server_drivers_, ev);
        };
    }

    static void Feed(Drivers *drivers, const quring_event &ev)
    {
        if (ev.type == QURING_EV_HANDSHAKE_DATA) {
            BoringDriver *driver = (*drivers)[ev.conn.handle].get();
            ASSERT_NE(driver, nullptr);
            driver->Provide(ev.level, ev.data);
        } else if (ev.type == QURING_EV_CLOSED) {
            drivers->erase(ev.conn.handle);
        }
    }

    /* Connects with a handshake of the client's own. */
    quring_conn BeginExternal(SSL_CTX *ctx)
    {
        client_.hook = [this](const quring_event &ev) { Feed(&client_drivers_, ev); };
        quring_connect_options options = {};
        options.remote = Remote();
        options.server_name = "localhost";
        options.external_tls = true;
        options.on_event = Peer::OnEvent;
        options.ctx = &client_;
        quring_conn conn = {0};
        EXPECT_TRUE(OnClient([&] {
            quring_error err = {};
            EXPECT_EQ(quring_connect(&conn, &options, &err), QURING_OK) << err.message;
            auto driver = std::make_unique<BoringDriver>(ctx, conn, false);
            driver->Start();
            client_drivers_[conn.handle] = std::move(driver);
        }));
        return conn;
    }

    Drivers server_drivers_; /* the server's worker only */
    Drivers client_drivers_; /* the client's worker only */
};

TEST_P(External, ServerDrivenFromOutside)
{
    const SslCtx ctx = MakeServerCtx(TheIdentity());
    DriveServer(ctx.get());
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_EXTERNAL_TLS);
    const quring_conn conn = Connect();
    ExpectEcho(conn, 100000, 1);
    const ConnFacts facts = server_.Facts(ServerConn());
    EXPECT_STREQ(facts.info.alpn, "test");
    EXPECT_FALSE(facts.info.is_client);
}

TEST_P(External, ClientDrivenFromOutside)
{
    const SslCtx ctx = MakeClientCtx();
    QURING_START();
    const quring_conn conn = BeginExternal(ctx.get());
    ASSERT_TRUE(client_.WaitConnected(conn)) << client_.Facts(conn).close.reason;
    EXPECT_STREQ(client_.Facts(conn).info.alpn, "test");
    ExpectEcho(conn, 100000, 2);
}

TEST_P(External, BothDrivenFromOutside)
{
    const SslCtx server_ctx = MakeServerCtx(TheIdentity());
    const SslCtx client_ctx = MakeClientCtx();
    DriveServer(server_ctx.get());
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_EXTERNAL_TLS);
    const quring_conn conn = BeginExternal(client_ctx.get());
    ASSERT_TRUE(client_.WaitConnected(conn)) << client_.Facts(conn).close.reason;
    ExpectEcho(conn, 100000, 3);
}

TEST_P(External, ARefusalCarriesItsCode)
{
    server_.hook = [](const quring_event &ev) {
        if (ev.type == QURING_EV_HANDSHAKE_PENDING) {
            EXPECT_EQ(quring_handshake_refuse(ev.conn, 1ull << 62), QURING_E_INVAL);
            EXPECT_EQ(quring_handshake_refuse(ev.conn, 0x178), QURING_OK);
        }
    };
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_EXTERNAL_TLS);
    const quring_conn conn = Begin();
    ASSERT_TRUE(client_.WaitClosed(conn));
    const ConnFacts facts = client_.Facts(conn);
    EXPECT_FALSE(facts.connected);
    EXPECT_EQ(facts.close.kind, QURING_CLOSE_PEER_TRANSPORT);
    EXPECT_EQ(facts.close.code, 0x178u);
}

/* What TLS has no alert for shows later: RFC 9000 7.5, say. */
TEST_P(External, AnAcceptedConnectionCanBeRefused)
{
    server_.hook = [](const quring_event &ev) {
        if (ev.type == QURING_EV_HANDSHAKE_PENDING) {
            EXPECT_EQ(quring_handshake_accept(ev.conn), QURING_OK);
        } else if (ev.type == QURING_EV_HANDSHAKE_DATA) {
            EXPECT_EQ(quring_handshake_refuse(ev.conn, 0x0d), QURING_OK);
            EXPECT_EQ(quring_handshake_refuse(ev.conn, 0x0d), QURING_E_STATE);
        }
    };
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_EXTERNAL_TLS);
    const quring_conn conn = Begin();
    ASSERT_TRUE(client_.WaitClosed(conn));
    EXPECT_EQ(client_.Facts(conn).close.kind, QURING_CLOSE_PEER_TRANSPORT);
    EXPECT_EQ(client_.Facts(conn).close.code, 0x0du);
}

/* ... or after the handshake: RFC 9001 4.4. */
TEST_P(External, AConnectionCanBeRefusedAfterTheHandshake)
{
    const SslCtx ctx = MakeServerCtx(TheIdentity());
    DriveServer(ctx.get());
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_EXTERNAL_TLS);
    const quring_conn conn = Connect();
    const quring_conn server_conn = ServerConn();
    ASSERT_TRUE(
        OnServer([&] { EXPECT_EQ(quring_handshake_refuse(server_conn, 0x0a), QURING_OK); }));
    ASSERT_TRUE(client_.WaitClosed(conn));
    EXPECT_EQ(client_.Facts(conn).close.kind, QURING_CLOSE_PEER_TRANSPORT);
    EXPECT_EQ(client_.Facts(conn).close.code, 0x0au);
}

TEST_P(External, WrongArgumentsAreRefused)
{
    const SslCtx ctx = MakeServerCtx(TheIdentity());
    DriveServer(ctx.get());
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_EXTERNAL_TLS);
    const quring_conn conn = Connect();
    const quring_conn server_conn = ServerConn();
    ASSERT_TRUE(OnServer([&] {
        const uint8_t secret[48] = {1};
        uint8_t buf[512];
        size_t len = 0;
        quring_client_hello hello;
        EXPECT_EQ(quring_handshake_client_hello(server_conn, &hello), QURING_E_STATE);
        EXPECT_EQ(quring_handshake_client_hello(server_conn, nullptr), QURING_E_INVAL);
        EXPECT_EQ(quring_handshake_install_secret(server_conn, QURING_LEVEL_APP, QURING_DIR_READ,
                                                  0x1301, secret, 0),
                  QURING_E_INVAL);
        EXPECT_EQ(quring_handshake_install_secret(server_conn, QURING_LEVEL_APP, QURING_DIR_READ,
                                                  0x1301, nullptr, 32),
                  QURING_E_INVAL);
        EXPECT_NE(quring_handshake_install_secret(server_conn, QURING_LEVEL_APP, QURING_DIR_READ,
                                                  0x1301, secret, 32),
                  QURING_OK);
        EXPECT_EQ(quring_handshake_get_params(server_conn, nullptr, &len, sizeof(buf)),
                  QURING_E_INVAL);
        EXPECT_EQ(quring_handshake_set_alpn(server_conn, buf, 256), QURING_E_INVAL);
        EXPECT_NE(quring_handshake_complete(server_conn), QURING_OK);
    }));
    ExpectEcho(conn, 1000, 4);
}

INSTANTIATE_TEST_SUITE_P(Loopback, External, testing::ValuesIn(kBackends), SettingName);

} // namespace

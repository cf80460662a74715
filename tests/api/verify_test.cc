#include <cstring>
#include <stdlib.h>
#include <string>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/fixture.h"
#include "tests/api/support.h"

namespace
{

using quring_test::ClientTls;
using quring_test::ConnFacts;
using quring_test::EndToEnd;
using quring_test::Identity;
using quring_test::kBackends;
using quring_test::MakeIdentity;
using quring_test::Peer;
using quring_test::SettingName;
using quring_test::TempFile;
using quring_test::TheIdentity;
using quring_test::Tls;

/* Transport codes of TLS alerts, RFC 9001 4.8 and RFC 8446 6. */
constexpr uint64_t kCryptoFirst = 0x100;
constexpr uint64_t kCryptoLast = 0x1ff;
constexpr uint64_t kNoApplicationProtocol = 0x178;

class Verify : public EndToEnd
{
  protected:
    /* The client refuses, with an alert that the server hears of. */
    void ExpectRefused(const char *server_name)
    {
        const quring_conn conn = Begin(server_name);
        ASSERT_TRUE(client_.WaitClosed(conn));
        const ConnFacts facts = client_.Facts(conn);
        EXPECT_FALSE(facts.connected);
        EXPECT_EQ(facts.close.kind, QURING_CLOSE_LOCAL_TRANSPORT);
        EXPECT_GE(facts.close.code, kCryptoFirst);
        EXPECT_LE(facts.close.code, kCryptoLast);
        EXPECT_NE(facts.close.code, kNoApplicationProtocol);
        EXPECT_STRNE(facts.close.reason, "");
    }
};

TEST_P(Verify, ASelfSignedServerIsRefusedByDefault)
{
    const Identity other = MakeIdentity();
    const TempFile trust(other.cert);
    setenv("SSL_CERT_FILE", trust.path(), 1);
    quring_tls_options options = {};
    const char *const alpn[] = {"test"};
    options.alpn = alpn;
    options.alpn_count = 1;
    quring_tls *tls = nullptr;
    quring_error err = {};
    const quring_status status = quring_tls_create_client(&tls, &options, &err);
    unsetenv("SSL_CERT_FILE");
    ASSERT_EQ(status, QURING_OK) << err.message;
    client_tls_ = Tls(tls);
    QURING_START();
    ExpectRefused("localhost");
}

TEST_P(Verify, ATrustedCertificateIsTakenUnderItsNames)
{
    const TempFile trust(TheIdentity().cert);
    client_tls_ = ClientTls({"test"}, trust.path());
    QURING_START();
    const quring_conn by_name = Begin("localhost");
    EXPECT_TRUE(client_.WaitConnected(by_name)) << client_.Facts(by_name).close.reason;
    const quring_conn by_ip = Begin("127.0.0.1");
    EXPECT_TRUE(client_.WaitConnected(by_ip)) << client_.Facts(by_ip).close.reason;
    const quring_conn unnamed = Begin(nullptr); /* the address itself is verified */
    EXPECT_TRUE(client_.WaitConnected(unnamed)) << client_.Facts(unnamed).close.reason;
    /* RFC 6066 3: addresses are not sent as a server name. */
    EXPECT_TRUE(server_.Wait([&] { return server_.conns().size() == 3; }));
    std::lock_guard<std::mutex> guard(server_.mutex());
    for (const auto &entry : server_.conns()) {
        const std::string name = entry.second->info.server_name;
        EXPECT_TRUE(name == "" || name == "localhost") << name;
    }
}

TEST_P(Verify, AnotherNameIsRefused)
{
    const TempFile trust(TheIdentity().cert);
    client_tls_ = ClientTls({"test"}, trust.path());
    QURING_START();
    ExpectRefused("example.com");
    ExpectRefused("192.0.2.1");
}

TEST_P(Verify, NoCommonProtocolIsItsOwnAlert)
{
    client_tls_ = ClientTls({"something-else"});
    QURING_START();
    const quring_conn conn = Begin();
    ASSERT_TRUE(client_.WaitClosed(conn));
    const ConnFacts facts = client_.Facts(conn);
    EXPECT_FALSE(facts.connected);
    EXPECT_EQ(facts.close.code, kNoApplicationProtocol); /* RFC 9001 8.1 */
    EXPECT_TRUE(facts.close.kind == QURING_CLOSE_PEER_TRANSPORT ||
                facts.close.kind == QURING_CLOSE_LOCAL_TRANSPORT);
}

TEST_P(Verify, TheServersPreferenceDecides)
{
    client_tls_ = ClientTls({"a", "b", "c"});
    server_tls_ = quring_test::ServerTls({"c", "b"});
    QURING_START();
    const quring_conn conn = Connect();
    EXPECT_STREQ(client_.Facts(conn).info.alpn, "c");
}

TEST_P(Verify, RetryValidatesTheAddress)
{
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_RETRY);
    const quring_conn conn = Connect();
    EXPECT_TRUE(client_.Facts(conn).info.retry_used);
    ExpectEcho(conn, 50000, 1);
}

INSTANTIATE_TEST_SUITE_P(Loopback, Verify, testing::ValuesIn(kBackends), SettingName);

} // namespace

#include <algorithm>
#include <ctime>
#include <iterator>

#include <gtest/gtest.h>
#include <openssl/err.h>

#include "quic/crypto/client_hello.h"
#include "quic/crypto/self_signed.h"
#include "quic/crypto/tls_boring.h"
#include "quic/crypto/tls_boring_config.h"
#include "tests/quic/crypto/tls_test_util.h"

namespace
{

using crypto_test::Bytes;
using crypto_test::Deliver;
using crypto_test::Handshake;
using crypto_test::Outcome;
using crypto_test::TlsEnd;

constexpr quic_rc kAlert = QUIC_V_CRYPTO_BASE;

struct Identity {
    char cert[QUIC_SELF_SIGNED_PEM_CAP];
    char key[QUIC_SELF_SIGNED_PEM_CAP];
    size_t cert_len = 0;
    size_t key_len = 0;
    explicit Identity(int64_t age_s = 0)
    {
        const uint64_t now = static_cast<uint64_t>(std::time(nullptr) - age_s);
        EXPECT_EQ(quic_self_signed_make(cert, &cert_len, key, &key_len, now), QUIC_OK);
    }
};

const uint8_t *U8(const char *text)
{
    return reinterpret_cast<const uint8_t *>(text);
}

struct ConfigOptions {
    std::vector<const char *> alpn = {"perf"};
    const Identity *identity = nullptr;
    const Identity *trust = nullptr;
    bool verify = true;
    bool any_alpn = false;
};

class Config
{
  public:
    Config(quic_role role, const ConfigOptions &o)
    {
        quic_tls_boring_options options = {};
        if (o.identity != nullptr) {
            options.cert_pem = U8(o.identity->cert);
            options.cert_pem_len = o.identity->cert_len;
            options.key_pem = U8(o.identity->key);
            options.key_pem_len = o.identity->key_len;
        }
        if (o.trust != nullptr) {
            options.ca_pem = U8(o.trust->cert);
            options.ca_pem_len = o.trust->cert_len;
        }
        options.verify_peer = o.verify;
        options.alpn = o.alpn.data();
        options.alpn_count = o.alpn.size();
        options.any_alpn = o.any_alpn;
        rc_ = role == QUIC_SERVER
                  ? quic_tls_boring_config_create_server(&config_, &options, err_, sizeof(err_))
                  : quic_tls_boring_config_create_client(&config_, &options, err_, sizeof(err_));
    }
    ~Config()
    {
        quic_tls_boring_config_release(config_);
    }
    Config(const Config &) = delete;
    Config &operator=(const Config &) = delete;
    quic_tls_boring_config *get() const
    {
        return config_;
    }
    quic_tls_boring_config *Take()
    {
        quic_tls_boring_config *c = config_;
        config_ = nullptr;
        return c;
    }
    quic_rc rc() const
    {
        return rc_;
    }
    std::string err() const
    {
        return err_;
    }

  private:
    quic_tls_boring_config *config_ = nullptr;
    quic_rc rc_;
    char err_[200] = "";
};

class TlsBoring : public ::testing::Test
{
  protected:
    /* What BoringSSL says of a failure is for the one who asked, not for the next one on this thread. */
    void TearDown() override
    {
        EXPECT_EQ(ERR_peek_error(), 0u) << ERR_reason_error_string(ERR_peek_error());
        ERR_clear_error();
    }
    static void SetUpTestSuite()
    {
        identity_ = new Identity;
    }
    static void TearDownTestSuite()
    {
        delete identity_;
        identity_ = nullptr;
    }
    static ConfigOptions Server(std::vector<const char *> alpn = {"perf"})
    {
        ConfigOptions o;
        o.identity = identity_;
        o.alpn = std::move(alpn);
        return o;
    }
    static ConfigOptions Client(std::vector<const char *> alpn = {"perf"})
    {
        ConfigOptions o;
        o.trust = identity_;
        o.alpn = std::move(alpn);
        return o;
    }
    static Identity *identity_;
};

Identity *TlsBoring::identity_ = nullptr;

TEST_F(TlsBoring, CompletesAndAgrees)
{
    const Config sc(QUIC_SERVER, Server());
    const Config cc(QUIC_CLIENT, Client());
    ASSERT_EQ(sc.rc(), QUIC_OK) << sc.err();
    ASSERT_EQ(cc.rc(), QUIC_OK) << cc.err();
    EXPECT_TRUE(quic_tls_boring_config_verifies(cc.get()));
    for (size_t chunk : {0u, 1u, 7u, 500u}) {
        TlsEnd client(quic_tls_boring(), cc.get(), QUIC_CLIENT, "localhost", "client params", 1);
        TlsEnd server(quic_tls_boring(), sc.get(), QUIC_SERVER, nullptr, "server params", 2);
        ASSERT_EQ(client.create_rc(), QUIC_OK);
        ASSERT_EQ(server.create_rc(), QUIC_OK);
        EXPECT_EQ(server.Start(), QUIC_OK);
        const Outcome o = Handshake(&client, &server, chunk);
        EXPECT_EQ(o.client, QUIC_OK) << client.error_text();
        EXPECT_EQ(o.server, QUIC_OK) << server.error_text();
        ASSERT_TRUE(client.complete() && server.complete());
        EXPECT_EQ(client.peer_params(), "server params");
        EXPECT_EQ(server.peer_params(), "client params");
        EXPECT_EQ(client.alpn(), "perf");
        EXPECT_EQ(server.alpn(), "perf");
        EXPECT_EQ(server.server_name(), "localhost");
        EXPECT_EQ(client.suite(), server.suite());
        EXPECT_FALSE(client.resumed() || server.resumed());
        for (int level : {QUIC_LEVEL_HANDSHAKE, QUIC_LEVEL_APP}) {
            EXPECT_EQ((client.secrets[{level, true}]), (server.secrets[{level, false}]));
            EXPECT_EQ((client.secrets[{level, false}]), (server.secrets[{level, true}]));
            EXPECT_GE((client.secrets[{level, true}].size()), 32u);
        }
        for (uint16_t suite : server.suites) {
            EXPECT_EQ(suite, server.suite());
        }
        EXPECT_EQ(client.error_text(), "");
        client.Destroy();
        EXPECT_EQ(client.mem().used(), 0u);
    }
}

/* No session tickets: nothing flows after the handshake. */
TEST_F(TlsBoring, ServerSendsNothingAfterTheHandshake)
{
    const Config sc(QUIC_SERVER, Server());
    const Config cc(QUIC_CLIENT, Client());
    TlsEnd client(quic_tls_boring(), cc.get(), QUIC_CLIENT, "localhost", "c", 1);
    TlsEnd server(quic_tls_boring(), sc.get(), QUIC_SERVER, nullptr, "s", 2);
    ASSERT_EQ(client.Start(), QUIC_OK);
    ASSERT_EQ(Deliver(&client, &server), QUIC_OK);
    ASSERT_EQ(Deliver(&server, &client), QUIC_OK);
    ASSERT_TRUE(client.complete());
    EXPECT_FALSE(server.complete());
    ASSERT_EQ(Deliver(&client, &server), QUIC_OK);
    EXPECT_TRUE(server.complete());
    EXPECT_TRUE(server.out.empty());
}

TEST_F(TlsBoring, VerifiesAddresses)
{
    const Config sc(QUIC_SERVER, Server());
    const Config cc(QUIC_CLIENT, Client());
    for (const char *name : {"127.0.0.1", "::1", "localhost", "LOCALHOST", "localhost."}) {
        TlsEnd client(quic_tls_boring(), cc.get(), QUIC_CLIENT, name, "c", 1);
        TlsEnd server(quic_tls_boring(), sc.get(), QUIC_SERVER, nullptr, "s", 2);
        const Outcome o = Handshake(&client, &server);
        EXPECT_EQ(o.client, QUIC_OK) << name << ": " << client.error_text();
        EXPECT_TRUE(client.complete());
        const bool is_name = name[0] == 'l' || name[0] == 'L';
        EXPECT_EQ(server.server_name() != "(none)", is_name) << name;
    }
}

TEST_F(TlsBoring, RefusesAWrongName)
{
    const Config sc(QUIC_SERVER, Server());
    const Config cc(QUIC_CLIENT, Client());
    for (const char *name : {"example.com", "127.0.0.2", "::2", "ocalhost", "a.localhost"}) {
        TlsEnd client(quic_tls_boring(), cc.get(), QUIC_CLIENT, name, "c", 1);
        TlsEnd server(quic_tls_boring(), sc.get(), QUIC_SERVER, nullptr, "s", 2);
        const Outcome o = Handshake(&client, &server);
        EXPECT_GT(o.client, kAlert) << name;
        EXPECT_NE(client.error_text().find("mismatch"), std::string::npos) << client.error_text();
        EXPECT_FALSE(client.complete());
        EXPECT_EQ(client.Provide(QUIC_LEVEL_APP, U8("x"), 1), o.client) << "failure is final";
    }
}

TEST_F(TlsBoring, RefusesToVerifyWithoutAName)
{
    const Config cc(QUIC_CLIENT, Client());
    TlsEnd client(quic_tls_boring(), cc.get(), QUIC_CLIENT, nullptr, "c", 1);
    EXPECT_EQ(client.create_rc(), QUIC_E_INVAL);
    TlsEnd dots(quic_tls_boring(), cc.get(), QUIC_CLIENT, "1.2.3", "c", 1);
    EXPECT_EQ(dots.create_rc(), QUIC_E_INVAL);
    const std::string longest(254, 'a');
    TlsEnd giant(quic_tls_boring(), cc.get(), QUIC_CLIENT, longest.c_str(), "c", 1);
    EXPECT_EQ(giant.create_rc(), QUIC_E_INVAL);
    EXPECT_EQ(giant.mem().used(), 0u);
}

TEST_F(TlsBoring, RefusesAnUntrustedCertificate)
{
    const Identity stranger;
    ConfigOptions so = Server();
    so.identity = &stranger;
    const Config sc(QUIC_SERVER, so);
    const Config cc(QUIC_CLIENT, Client());
    TlsEnd client(quic_tls_boring(), cc.get(), QUIC_CLIENT, "localhost", "c", 1);
    TlsEnd server(quic_tls_boring(), sc.get(), QUIC_SERVER, nullptr, "s", 2);
    const Outcome o = Handshake(&client, &server);
    EXPECT_GT(o.client, kAlert);
    EXPECT_NE(client.error_text(), "");
}

TEST_F(TlsBoring, RefusesAnExpiredCertificate)
{
    const Identity old(11 * 24 * 3600);
    ConfigOptions so = Server();
    so.identity = &old;
    ConfigOptions co = Client();
    co.trust = &old;
    const Config sc(QUIC_SERVER, so);
    const Config cc(QUIC_CLIENT, co);
    TlsEnd client(quic_tls_boring(), cc.get(), QUIC_CLIENT, "localhost", "c", 1);
    TlsEnd server(quic_tls_boring(), sc.get(), QUIC_SERVER, nullptr, "s", 2);
    const Outcome o = Handshake(&client, &server);
    EXPECT_EQ(o.client, kAlert + QUIC_ALERT_CERTIFICATE_EXPIRED);
    EXPECT_EQ(client.error_text(), "certificate has expired");
}

TEST_F(TlsBoring, VerifyNoneAcceptsAnything)
{
    const Identity stranger;
    ConfigOptions so = Server();
    so.identity = &stranger;
    ConfigOptions co;
    co.verify = false;
    const Config sc(QUIC_SERVER, so);
    const Config cc(QUIC_CLIENT, co);
    for (const char *name : {"example.com", static_cast<const char *>(nullptr)}) {
        TlsEnd client(quic_tls_boring(), cc.get(), QUIC_CLIENT, name, "c", 1);
        TlsEnd server(quic_tls_boring(), sc.get(), QUIC_SERVER, nullptr, "s", 2);
        const Outcome o = Handshake(&client, &server);
        EXPECT_EQ(o.client, QUIC_OK) << client.error_text();
        EXPECT_TRUE(server.complete());
    }
}

/* RFC 9001 8.1 */
TEST_F(TlsBoring, AlpnFollowsTheServersPreference)
{
    const Config sc(QUIC_SERVER, Server({"h3", "perf", "hq-interop"}));
    const Config cc(QUIC_CLIENT, Client({"hq-interop", "perf", "other"}));
    TlsEnd client(quic_tls_boring(), cc.get(), QUIC_CLIENT, "localhost", "c", 1);
    TlsEnd server(quic_tls_boring(), sc.get(), QUIC_SERVER, nullptr, "s", 2);
    ASSERT_EQ(Handshake(&client, &server).client, QUIC_OK);
    EXPECT_EQ(client.alpn(), "perf");
    EXPECT_EQ(server.alpn(), "perf");
}

/* RFC 7301 3.2: one of those that were offered, and what the client would rather have comes first. */
TEST_F(TlsBoring, AServerOfAnyAlpnFollowsTheClients)
{
    ConfigOptions any = Server({});
    any.any_alpn = true;
    const Config sc(QUIC_SERVER, any);
    const Config cc(QUIC_CLIENT, Client({"hq-interop", "perf"}));
    TlsEnd client(quic_tls_boring(), cc.get(), QUIC_CLIENT, "localhost", "c", 1);
    TlsEnd server(quic_tls_boring(), sc.get(), QUIC_SERVER, nullptr, "s", 2);
    ASSERT_EQ(Handshake(&client, &server).client, QUIC_OK) << server.error_text();
    EXPECT_EQ(client.alpn(), "hq-interop");
    EXPECT_EQ(server.alpn(), "hq-interop");
}

TEST_F(TlsBoring, NoCommonAlpnIs0x178)
{
    const Config sc(QUIC_SERVER, Server({"h3"}));
    const Config cc(QUIC_CLIENT, Client({"h", "h33", "perf"}));
    TlsEnd client(quic_tls_boring(), cc.get(), QUIC_CLIENT, "localhost", "c", 1);
    TlsEnd server(quic_tls_boring(), sc.get(), QUIC_SERVER, nullptr, "s", 2);
    EXPECT_EQ(Handshake(&client, &server).server, 0x178);
}

/* Makes a ClientHello without the extension `type`. */
Bytes Without(const Bytes &hello, uint16_t type)
{
    size_t pos = 4 + 2 + 32;
    pos += 1u + hello[pos];
    pos += 2u + (hello[pos] << 8 | hello[pos + 1]);
    pos += 1u + hello[pos];
    Bytes list;
    size_t at = pos + 2;
    while (at + 4 <= hello.size()) {
        const size_t len = 4u + (hello[at + 2] << 8 | hello[at + 3]);
        if ((hello[at] << 8 | hello[at + 1]) != type) {
            list.insert(list.end(), hello.begin() + static_cast<long>(at),
                        hello.begin() + static_cast<long>(at + len));
        }
        at += len;
    }
    Bytes out(hello.begin(), hello.begin() + static_cast<long>(pos));
    out.push_back(static_cast<uint8_t>(list.size() >> 8));
    out.push_back(static_cast<uint8_t>(list.size()));
    out.insert(out.end(), list.begin(), list.end());
    out[2] = static_cast<uint8_t>((out.size() - 4) >> 8);
    out[3] = static_cast<uint8_t>(out.size() - 4);
    return out;
}

/* RFC 9001 8.1, 8.2 */
TEST_F(TlsBoring, MissingExtensionsAreFatal)
{
    const Config sc(QUIC_SERVER, Server());
    const Config cc(QUIC_CLIENT, Client());
    const std::pair<uint16_t, quic_rc> cases[] = {{0x39, 0x16d}, {16, 0x178}};
    for (const auto &[type, want] : cases) {
        TlsEnd client(quic_tls_boring(), cc.get(), QUIC_CLIENT, "localhost", "c", 1);
        TlsEnd server(quic_tls_boring(), sc.get(), QUIC_SERVER, nullptr, "s", 2);
        ASSERT_EQ(client.Start(), QUIC_OK);
        const Bytes hello = Without(client.out[0].second, type);
        EXPECT_EQ(server.Provide(QUIC_LEVEL_INITIAL, hello.data(), hello.size()), want) << type;
    }
}

/* RFC 9001 4.2, RFC 8446 4.2.1: a ClientHello that offers TLS 1.2 alone is protocol_version. */
TEST_F(TlsBoring, H57_OlderTlsIs0x146)
{
    const Config sc(QUIC_SERVER, Server());
    const Config cc(QUIC_CLIENT, Client());
    TlsEnd client(quic_tls_boring(), cc.get(), QUIC_CLIENT, "localhost", "c", 1);
    TlsEnd server(quic_tls_boring(), sc.get(), QUIC_SERVER, nullptr, "s", 2);
    ASSERT_EQ(client.Start(), QUIC_OK);
    Bytes hello = client.out[0].second;
    const uint8_t versions[] = {0x00, 0x2b, 0x00, 0x03, 0x02, 0x03, 0x04};
    const auto at =
        std::search(hello.begin(), hello.end(), std::begin(versions), std::end(versions));
    ASSERT_NE(at, hello.end());
    at[6] = 0x03;
    EXPECT_EQ(server.Provide(QUIC_LEVEL_INITIAL, hello.data(), hello.size()), 0x146);
}

/* RFC 9001 6: KeyUpdate in CRYPTO frames is unexpected_message, on both sides. */
TEST_F(TlsBoring, H49_KeyUpdateMessageIs0x10a)
{
    const Config sc(QUIC_SERVER, Server());
    const Config cc(QUIC_CLIENT, Client());
    TlsEnd client(quic_tls_boring(), cc.get(), QUIC_CLIENT, "localhost", "c", 1);
    TlsEnd server(quic_tls_boring(), sc.get(), QUIC_SERVER, nullptr, "s", 2);
    ASSERT_EQ(Handshake(&client, &server).client, QUIC_OK);
    const uint8_t key_update[] = {24, 0, 0, 1, 0};
    EXPECT_EQ(client.Provide(QUIC_LEVEL_APP, key_update, sizeof(key_update)), 0x10a);
    EXPECT_EQ(server.Provide(QUIC_LEVEL_APP, key_update, sizeof(key_update)), 0x10a);
}

/* RFC 9001 4.4: a client asked for a certificate after the handshake, whatever came before, byte by byte. */
TEST_F(TlsBoring, LateCertificateRequestsAreAViolation)
{
    const Config sc(QUIC_SERVER, Server());
    const Config cc(QUIC_CLIENT, Client());
    const quic_tls_vtable *vt = quic_tls_boring();
    for (size_t step : {1, 3, 4000}) {
        TlsEnd client(vt, cc.get(), QUIC_CLIENT, "localhost", "c", 1);
        TlsEnd server(vt, sc.get(), QUIC_SERVER, nullptr, "s", 2);
        ASSERT_EQ(Handshake(&client, &server).client, QUIC_OK);
        /* a NewSessionTicket (RFC 8446 4.6.1) whose ticket looks like the message, and the message */
        Bytes said = {4, 0, 0, 21, 0, 0, 1, 0, 0, 0, 0, 0, 1, 7, 0, 5, 13, 0, 0, 3, 0, 0, 0};
        said[3] = static_cast<uint8_t>(said.size() - 4);
        const size_t good = said.size();
        said.insert(said.end(), {13, 0, 0, 3, 0, 0, 0});
        quic_rc rc = QUIC_OK;
        size_t at = 0;
        for (; at < said.size() && rc == QUIC_OK; at += step) {
            rc = client.Provide(QUIC_LEVEL_APP, said.data() + at, std::min(step, said.size() - at));
        }
        EXPECT_EQ(rc, QUIC_V_PROTOCOL_VIOLATION) << step;
        EXPECT_GT(at, good) << step;
    }
}

/* RFC 9001 4.6.1: how much 0-RTT data there may be is no matter of tickets. */
TEST_F(TlsBoring, TicketsThatLimitEarlyDataAreAViolation)
{
    const Config sc(QUIC_SERVER, Server());
    const Config cc(QUIC_CLIENT, Client());
    const quic_tls_vtable *vt = quic_tls_boring();
    const Bytes head = {4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 7, 0, 1, 9};
    struct Row {
        Bytes extensions;
        quic_rc rc;
    };
    const Row rows[] = {
        {{0, 8, 0, 42, 0, 4, 0xff, 0xff, 0xff, 0xff}, QUIC_OK},
        {{0, 8, 0, 42, 0, 4, 0xff, 0xff, 0xff, 0xfe}, QUIC_V_PROTOCOL_VIOLATION},
        {{0, 8, 0, 42, 0, 4, 0, 0, 0, 0}, QUIC_V_PROTOCOL_VIOLATION},
        {{0, 7, 0, 42, 0, 3, 0xff, 0xff, 0xff}, QUIC_V_CRYPTO_BASE + QUIC_ALERT_DECODE_ERROR},
        {{0, 16, 0, 42, 0, 4, 0xff, 0xff, 0xff, 0xff, 0, 42, 0, 4, 0xff, 0xff, 0xff, 0xff},
         QUIC_V_CRYPTO_BASE + QUIC_ALERT_ILLEGAL_PARAMETER},
    };
    for (const Row &row : rows) {
        TlsEnd client(vt, cc.get(), QUIC_CLIENT, "localhost", "c", 1);
        TlsEnd server(vt, sc.get(), QUIC_SERVER, nullptr, "s", 2);
        ASSERT_EQ(Handshake(&client, &server).client, QUIC_OK);
        Bytes ticket = head;
        ticket.insert(ticket.end(), row.extensions.begin(), row.extensions.end());
        ticket[3] = static_cast<uint8_t>(ticket.size() - 4);
        EXPECT_EQ(client.Provide(QUIC_LEVEL_APP, ticket.data(), ticket.size()), row.rc);
    }
}

/* RFC 9001 4.1.3 */
TEST_F(TlsBoring, BytesAtAnotherLevelAreAViolation)
{
    const Config sc(QUIC_SERVER, Server());
    const Config cc(QUIC_CLIENT, Client());
    const uint8_t byte = 1;
    {
        TlsEnd server(quic_tls_boring(), sc.get(), QUIC_SERVER, nullptr, "s", 2);
        EXPECT_EQ(server.Provide(QUIC_LEVEL_HANDSHAKE, &byte, 0), QUIC_OK);
        EXPECT_EQ(server.Provide(QUIC_LEVEL_HANDSHAKE, &byte, 1), QUIC_V_PROTOCOL_VIOLATION);
    }
    TlsEnd client(quic_tls_boring(), cc.get(), QUIC_CLIENT, "localhost", "c", 1);
    TlsEnd server(quic_tls_boring(), sc.get(), QUIC_SERVER, nullptr, "s", 2);
    ASSERT_EQ(Handshake(&client, &server).client, QUIC_OK);
    EXPECT_EQ(client.Provide(QUIC_LEVEL_INITIAL, &byte, 1), QUIC_V_PROTOCOL_VIOLATION);
    EXPECT_EQ(server.Provide(QUIC_LEVEL_HANDSHAKE, &byte, 1), QUIC_V_PROTOCOL_VIOLATION);
}

/* RFC 9001 4.1.3: keys of the next level, and more at this one. */
TEST_F(TlsBoring, BytesBehindTheLastMessageOfALevelAreAViolation)
{
    const Config sc(QUIC_SERVER, Server());
    const Config cc(QUIC_CLIENT, Client());
    TlsEnd client(quic_tls_boring(), cc.get(), QUIC_CLIENT, "localhost", "c", 1);
    TlsEnd server(quic_tls_boring(), sc.get(), QUIC_SERVER, nullptr, "s", 2);
    ASSERT_EQ(client.Start(), QUIC_OK);
    Bytes hello = client.out[0].second;
    hello.push_back(1);
    EXPECT_EQ(server.Provide(QUIC_LEVEL_INITIAL, hello.data(), hello.size()),
              QUIC_V_PROTOCOL_VIOLATION);
    TlsEnd other(quic_tls_boring(), sc.get(), QUIC_SERVER, nullptr, "s", 2);
    hello.pop_back();
    ASSERT_EQ(other.Provide(QUIC_LEVEL_INITIAL, hello.data(), hello.size()), QUIC_OK);
    ASSERT_EQ(other.out[0].first, QUIC_LEVEL_INITIAL);
    Bytes answer = other.out[0].second;
    answer.push_back(1);
    EXPECT_EQ(client.Provide(QUIC_LEVEL_INITIAL, answer.data(), answer.size()),
              QUIC_V_PROTOCOL_VIOLATION);
}

TEST_F(TlsBoring, GarbageFailsWithAnAlert)
{
    const Config sc(QUIC_SERVER, Server());
    const Config cc(QUIC_CLIENT, Client());
    crypto_test::TestRng rng(5);
    for (int i = 0; i < 200; i++) {
        TlsEnd client(quic_tls_boring(), cc.get(), QUIC_CLIENT, "localhost", "c", 1);
        TlsEnd server(quic_tls_boring(), sc.get(), QUIC_SERVER, nullptr, "s", 2);
        ASSERT_EQ(client.Start(), QUIC_OK);
        Bytes hello = client.out[0].second;
        const Bytes where = rng.Take(4);
        const size_t at = (where[0] << 8 | where[1]) % hello.size();
        hello[at] = static_cast<uint8_t>(hello[at] ^ (1u << (where[2] % 8)));
        const quic_rc rc = server.Provide(QUIC_LEVEL_INITIAL, hello.data(), hello.size());
        EXPECT_TRUE(rc == QUIC_OK || rc > kAlert) << rc << " at " << at;
    }
    TlsEnd server(quic_tls_boring(), sc.get(), QUIC_SERVER, nullptr, "s", 2);
    const Bytes zeros(100);
    EXPECT_GT(server.Provide(QUIC_LEVEL_INITIAL, zeros.data(), zeros.size()), kAlert);
}

TEST_F(TlsBoring, ATamperedServerFlightFails)
{
    const Config sc(QUIC_SERVER, Server());
    const Config cc(QUIC_CLIENT, Client());
    TlsEnd client(quic_tls_boring(), cc.get(), QUIC_CLIENT, "localhost", "c", 1);
    TlsEnd server(quic_tls_boring(), sc.get(), QUIC_SERVER, nullptr, "s", 2);
    ASSERT_EQ(client.Start(), QUIC_OK);
    ASSERT_EQ(Deliver(&client, &server), QUIC_OK);
    server.out.back().second.back() ^= 1; /* Finished */
    EXPECT_EQ(Deliver(&server, &client), kAlert + QUIC_ALERT_DECRYPT_ERROR);
    EXPECT_FALSE(client.complete());
}

TEST_F(TlsBoring, TheSinksRefusalIsReturned)
{
    const Config sc(QUIC_SERVER, Server());
    const Config cc(QUIC_CLIENT, Client());
    TlsEnd client(quic_tls_boring(), cc.get(), QUIC_CLIENT, "localhost", "c", 1);
    TlsEnd server(quic_tls_boring(), sc.get(), QUIC_SERVER, nullptr, "s", 2);
    server.refuse_secret = QUIC_E_NOMEM;
    EXPECT_EQ(Handshake(&client, &server).server, QUIC_E_NOMEM);
}

TEST_F(TlsBoring, HandshakesKeepTheConfigAlive)
{
    Config sc(QUIC_SERVER, Server());
    Config cc(QUIC_CLIENT, Client());
    quic_tls_boring_config *s = sc.Take();
    quic_tls_boring_config *c = cc.Take();
    TlsEnd client(quic_tls_boring(), c, QUIC_CLIENT, "localhost", "c", 1);
    TlsEnd server(quic_tls_boring(), s, QUIC_SERVER, nullptr, "s", 2);
    EXPECT_EQ(quic_tls_boring_config_retain(s), s);
    quic_tls_boring_config_release(s);
    quic_tls_boring_config_release(s);
    quic_tls_boring_config_release(c);
    EXPECT_EQ(Handshake(&client, &server).client, QUIC_OK);
}

TEST_F(TlsBoring, RoleMustMatchTheConfig)
{
    const Config sc(QUIC_SERVER, Server());
    TlsEnd client(quic_tls_boring(), sc.get(), QUIC_CLIENT, "localhost", "c", 1);
    EXPECT_EQ(client.create_rc(), QUIC_E_INVAL);
}

TEST_F(TlsBoring, ConfigErrorsAreExplained)
{
    const Identity other;
    Identity mixed = *identity_;
    mixed.key_len = other.key_len;
    memcpy(mixed.key, other.key, sizeof(mixed.key));
    ConfigOptions o = Server();
    o.identity = &mixed;
    Config mismatch(QUIC_SERVER, o);
    EXPECT_EQ(mismatch.rc(), QUIC_E_CRYPTO);
    EXPECT_NE(mismatch.err().find("does not belong"), std::string::npos) << mismatch.err();

    Identity bad_cert = *identity_;
    bad_cert.cert[100] = '!';
    o.identity = &bad_cert;
    Config broken(QUIC_SERVER, o);
    EXPECT_EQ(broken.rc(), QUIC_E_CRYPTO);
    EXPECT_NE(broken.err().find("certificate chain"), std::string::npos) << broken.err();

    Identity bad_key = *identity_;
    bad_key.key_len = 0;
    o.identity = &bad_key;
    Config no_key(QUIC_SERVER, o);
    EXPECT_EQ(no_key.rc(), QUIC_E_CRYPTO);
    EXPECT_NE(no_key.err().find("private key"), std::string::npos) << no_key.err();

    o = Server();
    o.identity = nullptr;
    EXPECT_EQ(Config(QUIC_SERVER, o).rc(), QUIC_E_CRYPTO);
    EXPECT_EQ(Config(QUIC_SERVER, Server({})).rc(), QUIC_E_INVAL);
    EXPECT_EQ(Config(QUIC_SERVER, Server({""})).rc(), QUIC_E_INVAL);
    const std::string longest(256, 'a');
    EXPECT_EQ(Config(QUIC_SERVER, Server({longest.c_str()})).rc(), QUIC_E_INVAL);
    EXPECT_EQ(Config(QUIC_SERVER, Server(std::vector<const char *>(17, "a"))).rc(), QUIC_E_INVAL);

    ConfigOptions co = Client();
    co.trust = nullptr;
    Config anchorless(QUIC_CLIENT, co);
    EXPECT_EQ(anchorless.rc(), QUIC_E_CRYPTO);
    EXPECT_NE(anchorless.err().find("trust anchors"), std::string::npos) << anchorless.err();
    Identity junk = *identity_;
    memcpy(junk.cert, "not a certificate", 18);
    junk.cert_len = 17;
    co.trust = &junk;
    EXPECT_EQ(Config(QUIC_CLIENT, co).rc(), QUIC_E_CRYPTO);
}

/* What BoringSSL makes is what our own parser reads. */
TEST_F(TlsBoring, ClientHelloIsReadable)
{
    const Config cc(QUIC_CLIENT, Client({"perf", "h3"}));
    TlsEnd client(quic_tls_boring(), cc.get(), QUIC_CLIENT, "localhost", "my params", 1);
    ASSERT_EQ(client.Start(), QUIC_OK);
    const Bytes &msg = client.out[0].second;
    quic_client_hello hello;
    ASSERT_EQ(quic_client_hello_parse(&hello, msg.data(), msg.size()), QUIC_OK);
    EXPECT_EQ(hello.message.len, msg.size());
    EXPECT_EQ(std::string(hello.server_name.data, hello.server_name.data + hello.server_name.len),
              "localhost");
    EXPECT_EQ(std::string(hello.transport_params.data,
                          hello.transport_params.data + hello.transport_params.len),
              "my params");
    quring_bytes name;
    std::string all;
    while (quic_client_hello_next_alpn(&hello.alpn, &name)) {
        all += std::string(name.data, name.data + name.len) + ",";
    }
    EXPECT_EQ(all, "perf,h3,");
}

} // namespace

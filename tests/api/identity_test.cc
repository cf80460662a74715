/* Certificates of clients, and servers with several names, over real sockets (RFC 9001 4.4, 4.8;
 * RFC 8446 4.3.2, 4.6.1; RFC 6066 3). */
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/fixture.h"
#include "tests/api/support.h"
#include "tests/pki/pki.h"

namespace
{

using quring_test::Bytes;
using quring_test::ConnFacts;
using quring_test::EndToEnd;
using quring_test::kBackends;
using quring_test::Peer;
using quring_test::SettingName;
using quring_test::TempFile;
using quring_test::Tls;

constexpr uint64_t kUnknownCa = 0x130;
constexpr uint64_t kCertificateRequired = 0x174;
constexpr uint64_t kUnrecognizedName = 0x170;
constexpr uint64_t kMissingExtension = 0x16d;

const char *const kAlpn[] = {"test"};

quring_bytes View(const std::string &text)
{
    return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

quring_tls_options OptionsOf(const pki::Identity *identity, const char *ca_file)
{
    quring_tls_options options = {};
    options.alpn = kAlpn;
    options.alpn_count = 1;
    options.ca_file = ca_file;
    if (identity != nullptr) {
        options.cert_pem = View(identity->cert);
        options.key_pem = View(identity->key);
    }
    return options;
}

Tls MakeServer(const quring_tls_options &options)
{
    quring_tls *tls = nullptr;
    quring_error err = {};
    EXPECT_EQ(quring_tls_create_server(&tls, &options, &err), QURING_OK) << err.message;
    return Tls(tls);
}

Tls MakeClient(const quring_tls_options &options)
{
    quring_tls *tls = nullptr;
    quring_error err = {};
    EXPECT_EQ(quring_tls_create_client(&tls, &options, &err), QURING_OK) << err.message;
    return Tls(tls);
}

class Identities : public EndToEnd
{
  protected:
    Identities()
    {
        pki::Wish wish;
        wish.client = true;
        client_id_ = clients_.Issue(wish);
    }

    /* A server that treats clients so. */
    Tls Asking(quring_client_cert mode, quring_verify verify = QURING_VERIFY_PEER)
    {
        quring_tls_options options =
            OptionsOf(&server_id_, verify == QURING_VERIFY_PEER ? clients_root_.path() : nullptr);
        options.client_cert = mode;
        options.verify = verify;
        return MakeServer(options);
    }
    Tls Showing(const pki::Identity *identity)
    {
        return MakeClient(OptionsOf(identity, servers_root_.path()));
    }

    struct Shown {
        quring_status status = QURING_E_STATE;
        std::string der;
        bool verified = false;
    };
    static Shown Ask(quring_test::Runtime *rt, quring_conn conn)
    {
        Shown shown;
        EXPECT_TRUE(rt->On(quring_conn_worker(conn), [&] {
            quring_peer_certificate cert = {};
            shown.status = quring_conn_peer_certificate(conn, &cert);
            shown.der.assign(reinterpret_cast<const char *>(cert.der.data), cert.der.len);
            shown.verified = cert.verified;
            quring_conn_info info = {};
            EXPECT_EQ(quring_conn_get_info(conn, &info), QURING_OK);
            EXPECT_EQ(info.peer_certificate, cert.der.len > 0);
            EXPECT_EQ(info.peer_verified, cert.verified);
        }));
        return shown;
    }

    /* RFC 8446 4.4.2.4: the client has finished before the server judges it. */
    void ExpectRefused(uint64_t code)
    {
        const quring_conn conn = Begin();
        ASSERT_TRUE(client_.WaitClosed(conn));
        const ConnFacts facts = client_.Facts(conn);
        EXPECT_EQ(facts.close.kind, QURING_CLOSE_PEER_TRANSPORT);
        EXPECT_EQ(facts.close.code, code);
        std::lock_guard<std::mutex> guard(server_.mutex());
        for (const auto &entry : server_.conns()) {
            EXPECT_FALSE(entry.second->connected);
        }
    }

    pki::Authority servers_{"servers"};
    pki::Authority clients_{"clients", 1};
    pki::Identity server_id_ = servers_.Issue();
    pki::Identity client_id_;
    TempFile servers_root_{servers_.root()};
    TempFile clients_root_{clients_.root()};
};

TEST_P(Identities, ARequiredCertificateIsKnownToTheServer)
{
    server_tls_ = Asking(QURING_CLIENT_CERT_REQUIRE);
    client_tls_ = Showing(&client_id_);
    QURING_START();
    const quring_conn conn = Connect();
    ExpectEcho(conn, 20000, 1);
    const Shown client = Ask(server_rt_.get(), ServerConn());
    EXPECT_EQ(client.status, QURING_OK);
    EXPECT_EQ(client.der, client_id_.leaf_der);
    EXPECT_TRUE(client.verified);
    const Shown server = Ask(client_rt_.get(), conn);
    EXPECT_EQ(server.der, server_id_.leaf_der);
    EXPECT_TRUE(server.verified);
}

TEST_P(Identities, WithoutTheRequiredOneTheEndIsCertificateRequired)
{
    server_tls_ = Asking(QURING_CLIENT_CERT_REQUIRE);
    client_tls_ = Showing(nullptr);
    QURING_START();
    ExpectRefused(kCertificateRequired);
}

TEST_P(Identities, AStrangersCertificateIsRefused)
{
    const pki::Authority strangers("strangers");
    pki::Wish wish;
    wish.client = true;
    const pki::Identity stranger = strangers.Issue(wish);
    server_tls_ = Asking(QURING_CLIENT_CERT_REQUEST);
    client_tls_ = Showing(&stranger);
    QURING_START();
    ExpectRefused(kUnknownCa);
}

TEST_P(Identities, ARequestMayGoUnanswered)
{
    server_tls_ = Asking(QURING_CLIENT_CERT_REQUEST);
    client_tls_ = Showing(nullptr);
    QURING_START();
    ExpectEcho(Connect(), 1000, 1);
    const Shown client = Ask(server_rt_.get(), ServerConn());
    EXPECT_EQ(client.status, QURING_OK);
    EXPECT_EQ(client.der, "");
    EXPECT_FALSE(client.verified);
}

TEST_P(Identities, AnApplicationMayJudgeForItself)
{
    const pki::Authority strangers("strangers");
    pki::Wish wish;
    wish.client = true;
    const pki::Identity stranger = strangers.Issue(wish);
    server_tls_ = Asking(QURING_CLIENT_CERT_REQUIRE, QURING_VERIFY_NONE);
    client_tls_ = Showing(&stranger);
    QURING_START();
    (void)Connect();
    const Shown client = Ask(server_rt_.get(), ServerConn());
    EXPECT_EQ(client.der, stranger.leaf_der);
    EXPECT_FALSE(client.verified);
}

TEST_P(Identities, ThePeersCertificateIsNotAskedForTooEarlyOrTooLate)
{
    server_tls_ = Asking(QURING_CLIENT_CERT_REQUIRE);
    client_tls_ = Showing(&client_id_);
    QURING_START();
    quring_conn conn = {0};
    EXPECT_TRUE(OnClient([&] {
        quring_connect_options options = ConnectOptions();
        quring_peer_certificate cert = {};
        ASSERT_EQ(quring_connect(&conn, &options, nullptr), QURING_OK);
        EXPECT_EQ(quring_conn_peer_certificate(conn, &cert), QURING_E_STATE);
        EXPECT_EQ(quring_conn_peer_certificate(conn, nullptr), QURING_E_INVAL);
    }));
    quring_peer_certificate cert = {};
    EXPECT_EQ(quring_conn_peer_certificate(conn, &cert), QURING_E_THREAD);
    EXPECT_TRUE(client_.WaitConnected(conn));
    EXPECT_TRUE(OnClient([&] { EXPECT_EQ(quring_conn_close(conn, 0, nullptr), QURING_OK); }));
    EXPECT_TRUE(client_.WaitClosed(conn));
    EXPECT_TRUE(
        OnClient([&] { EXPECT_EQ(quring_conn_peer_certificate(conn, &cert), QURING_E_STATE); }));
}

TEST_P(Identities, AClientKnowsWhetherItsCertificateWasAskedFor)
{
    server_tls_ = Asking(QURING_CLIENT_CERT_REQUEST);
    client_tls_ = Showing(&client_id_);
    QURING_START();
    EXPECT_TRUE(client_.Facts(Connect()).info.certificate_shown);
    quring_tls_options options = OptionsOf(&server_id_, nullptr);
    ASSERT_EQ(quring_tls_reload(server_tls_.get(), &options, nullptr), QURING_OK);
    EXPECT_FALSE(client_.Facts(Connect()).info.certificate_shown);
}

/* ---- tickets ----------------------------------------------------------------------------------- */

class Sessions : public Identities
{
  protected:
    void KeepSessions()
    {
        client_.hook = [this](const quring_event &ev) {
            if (ev.type == QURING_EV_SESSION) {
                std::lock_guard<std::mutex> guard(client_.mutex());
                session_.assign(ev.data.data, ev.data.data + ev.data.len);
            }
        };
    }
    Bytes Session()
    {
        Bytes out;
        EXPECT_TRUE(client_.Wait([&] {
            out = session_;
            return !out.empty();
        }));
        return out;
    }
    quring_conn Resume(quring_tls *tls, const Bytes &session)
    {
        quring_conn conn = {0};
        EXPECT_TRUE(OnClient([&] {
            quring_connect_options options = ConnectOptions();
            options.tls = tls;
            options.session = {session.data(), session.size()};
            quring_error err = {};
            EXPECT_EQ(quring_connect(&conn, &options, &err), QURING_OK) << err.message;
        }));
        return conn;
    }
    /* The server side of the connection that the client resumed. */
    quring_conn ResumedServerConn()
    {
        quring_conn conn = {0};
        EXPECT_TRUE(server_.Wait([&] {
            for (const auto &entry : server_.conns()) {
                if (entry.second->connected && entry.second->info.resumed) {
                    conn = entry.second->conn;
                }
            }
            return conn.handle != 0;
        }));
        return conn;
    }
    Bytes session_;
};

TEST_P(Sessions, ResumptionKeepsTheClientsIdentity)
{
    server_tls_ = Asking(QURING_CLIENT_CERT_REQUIRE);
    client_tls_ = Showing(&client_id_);
    KeepSessions();
    QURING_START();
    (void)Connect();
    const Bytes session = Session();
    const quring_conn conn = Resume(client_tls_.get(), session);
    ASSERT_TRUE(client_.WaitConnected(conn));
    EXPECT_TRUE(client_.Facts(conn).info.resumed);
    const Shown client = Ask(server_rt_.get(), ResumedServerConn());
    EXPECT_EQ(client.der, client_id_.leaf_der);
    EXPECT_TRUE(client.verified);
}

TEST_P(Sessions, AnAnonymousTicketIsWorthNothingOnceCertificatesAreRequired)
{
    server_tls_ = Asking(QURING_CLIENT_CERT_REQUEST);
    client_tls_ = Showing(nullptr);
    KeepSessions();
    QURING_START();
    (void)Connect();
    const Bytes session = Session();
    quring_tls_options options = OptionsOf(&server_id_, clients_root_.path());
    options.client_cert = QURING_CLIENT_CERT_REQUIRE;
    quring_error err = {};
    ASSERT_EQ(quring_tls_reload(server_tls_.get(), &options, &err), QURING_OK) << err.message;
    const quring_conn conn = Resume(client_tls_.get(), session);
    ASSERT_TRUE(client_.WaitClosed(conn));
    EXPECT_EQ(client_.Facts(conn).close.code, kCertificateRequired);
}

/* ---- server names ------------------------------------------------------------------------------ */

class ServerNames : public Identities
{
  protected:
    ServerNames()
    {
        pki::Wish wish;
        wish.names = {"*.example.com"};
        any_ = servers_.Issue(wish);
        wish.names = {"www.example.com"};
        www_ = servers_.Issue(wish);
    }
    void Serve(quring_unknown_name unknown)
    {
        quring_tls_options options = OptionsOf(&server_id_, nullptr);
        const quring_tls_identity named[] = {
            {"*.example.com", nullptr, nullptr, View(any_.cert), View(any_.key)},
            {"www.example.com", nullptr, nullptr, View(www_.cert), View(www_.key)},
        };
        options.identities = named;
        options.identity_count = 2;
        options.unknown_name = unknown;
        server_tls_ = MakeServer(options);
        client_tls_ = Showing(nullptr);
    }
    /* The certificate a client that asks for `name` verifies. */
    std::string Served(const char *name)
    {
        const quring_conn conn = Begin(name);
        EXPECT_TRUE(client_.WaitConnected(conn)) << client_.Facts(conn).close.reason;
        return Ask(client_rt_.get(), conn).der;
    }
    pki::Identity any_;
    pki::Identity www_;
};

TEST_P(ServerNames, ChooseTheCertificate)
{
    Serve(QURING_UNKNOWN_NAME_DEFAULT);
    QURING_START();
    EXPECT_EQ(Served("www.example.com"), www_.leaf_der);
    EXPECT_EQ(Served("Mail.Example.com"), any_.leaf_der);
    EXPECT_EQ(Served("localhost"), server_id_.leaf_der);
}

TEST_P(ServerNames, UnknownOnesCanBeRefused)
{
    Serve(QURING_UNKNOWN_NAME_REFUSE);
    QURING_START();
    EXPECT_EQ(Served("www.example.com"), www_.leaf_der);
    quring_conn conn = Begin("localhost");
    ASSERT_TRUE(client_.WaitClosed(conn));
    EXPECT_EQ(client_.Facts(conn).close.code, kUnrecognizedName);
    conn = Begin("127.0.0.1");
    ASSERT_TRUE(client_.WaitClosed(conn));
    EXPECT_EQ(client_.Facts(conn).close.code, kMissingExtension);
}

INSTANTIATE_TEST_SUITE_P(Loopback, Identities, testing::ValuesIn(kBackends), SettingName);
INSTANTIATE_TEST_SUITE_P(Loopback, Sessions, testing::ValuesIn(kBackends), SettingName);
INSTANTIATE_TEST_SUITE_P(Loopback, ServerNames, testing::ValuesIn(kBackends), SettingName);

/* ---- options that contradict each other -------------------------------------------------------- */

class TlsOptions : public testing::Test
{
  protected:
    void ExpectInvalid(const quring_tls_options &options, const char *word, bool client = false)
    {
        quring_tls *tls = nullptr;
        quring_error err = {};
        EXPECT_EQ(client ? quring_tls_create_client(&tls, &options, &err)
                         : quring_tls_create_server(&tls, &options, &err),
                  QURING_E_INVAL);
        EXPECT_NE(std::string(err.message).find(word), std::string::npos) << err.message;
        EXPECT_EQ(tls, nullptr);
    }
    pki::Authority authority_{"authority"};
    pki::Identity identity_ = authority_.Issue();
    TempFile root_{authority_.root()};
};

TEST_F(TlsOptions, AnchorsAndAskingGoTogether)
{
    quring_tls_options options = OptionsOf(&identity_, nullptr);
    options.client_cert = QURING_CLIENT_CERT_REQUIRE;
    ExpectInvalid(options, "ca_file");
    options.client_cert = QURING_CLIENT_CERT_NONE;
    options.ca_file = root_.path();
    ExpectInvalid(options, "client_cert");
    options.client_cert = QURING_CLIENT_CERT_REQUEST;
    options.verify = QURING_VERIFY_NONE;
    ExpectInvalid(options, "verify");
    options.verify = QURING_VERIFY_PEER;
    options.client_cert = static_cast<quring_client_cert>(3);
    ExpectInvalid(options, "client_cert");
    options.client_cert = QURING_CLIENT_CERT_NONE;
    options.unknown_name = static_cast<quring_unknown_name>(2);
    ExpectInvalid(options, "unknown_name");
}

/* Debian's BoringSSL takes what the CPU is good at, and cannot be talked into another one. */
TEST_F(TlsOptions, OneCipherCanBeChosen)
{
    quring_tls_options options = OptionsOf(&identity_, nullptr);
    unsigned chosen = 0;
    for (uint16_t suite = 0x1301; suite <= 0x1304; suite++) {
        options.cipher_suite = suite;
        quring_tls *tls = nullptr;
        quring_error err = {};
        const quring_status status = quring_tls_create_server(&tls, &options, &err);
        chosen += status == QURING_OK ? 1 : 0;
        if (status != QURING_OK) {
            EXPECT_EQ(status, QURING_E_NOT_SUPPORTED);
            EXPECT_NE(std::string(err.message).find("allowed is"), std::string::npos)
                << err.message;
        }
        quring_tls_release(tls);
    }
    EXPECT_GE(chosen, 1u);
    options.cipher_suite = 0x1305;
    ExpectInvalid(options, "cipher_suite");
    options.cipher_suite = 0x1304; /* no TLS stack of ours negotiates AES-CCM */
    quring_tls *tls = nullptr;
    EXPECT_EQ(quring_tls_create_server(&tls, &options, nullptr), QURING_E_NOT_SUPPORTED);
}

TEST_F(TlsOptions, WhatIsAServersIsRefusedOnAClient)
{
    quring_tls_options options = OptionsOf(nullptr, root_.path());
    options.client_cert = QURING_CLIENT_CERT_REQUEST;
    ExpectInvalid(options, "client_cert", true);
    options.client_cert = QURING_CLIENT_CERT_NONE;
    const quring_tls_identity named = {"a.example", nullptr, nullptr, View(identity_.cert),
                                       View(identity_.key)};
    options.identities = &named;
    options.identity_count = 1;
    ExpectInvalid(options, "identity_count", true);
    options.identity_count = 0;
    options.unknown_name = QURING_UNKNOWN_NAME_REFUSE;
    ExpectInvalid(options, "unknown_name", true);
}

TEST_F(TlsOptions, IdentitiesAreChecked)
{
    quring_tls_options options = OptionsOf(&identity_, nullptr);
    quring_tls_identity named[2] = {
        {"a.example", nullptr, nullptr, View(identity_.cert), View(identity_.key)},
        {"A.example", nullptr, nullptr, View(identity_.cert), View(identity_.key)},
    };
    options.identities = named;
    options.identity_count = 2;
    ExpectInvalid(options, "A.example");
    named[1].name = nullptr;
    ExpectInvalid(options, "identities[1].name");
    named[1].name = "two words";
    ExpectInvalid(options, "two words");
    options.identity_count = QURING_TLS_IDENTITIES_MAX + 1;
    ExpectInvalid(options, "identity_count");
    options.identities = nullptr;
    ExpectInvalid(options, "identity_count");
}

} // namespace

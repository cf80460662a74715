/* Who is who: client certificates, identities by server name, and what of it a ticket carries on
 * (RFC 8446 4.3.2, 4.4.2, 4.6.1; RFC 6066 3). */
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <openssl/err.h>

#include "quic/crypto/anti_replay.h"
#include "quic/crypto/session_ticket.h"
#include "quic/crypto/tls_boring.h"
#include "quic/crypto/tls_boring_config.h"
#include "tests/pki/pki.h"
#include "tests/quic/crypto/tls_test_util.h"

namespace
{

using crypto_test::Bytes;
using crypto_test::Handshake;
using crypto_test::Outcome;
using crypto_test::TlsEnd;
using pki::Authority;
using pki::Wish;

constexpr quic_rc kAlert = QUIC_V_CRYPTO_BASE;

const uint8_t *U8(const std::string &text)
{
    return reinterpret_cast<const uint8_t *>(text.data());
}

struct Named {
    std::string name;
    pki::Identity identity;
};

struct ServerWish {
    quic_client_cert client_cert = QUIC_CLIENT_CERT_NONE;
    bool verify = true;
    const Authority *trust = nullptr;
    const pki::Identity *identity = nullptr;
    std::string chain_more = {};   /* behind its certificate */
    std::string anchors_more = {}; /* before those of `trust` */
    std::vector<Named> named = {};
    bool refuse = false;
    uint32_t chain_max = 0;
    uint64_t valid_at_unix_s = 0;
};

struct Release {
    void operator()(quic_tls_boring_config *config) const
    {
        quic_tls_boring_config_release(config);
    }
};
using Config = std::unique_ptr<quic_tls_boring_config, Release>;

class TlsIdentity : public ::testing::Test
{
  protected:
    /* What BoringSSL says of a failure is for the one who asked, not for the next one on this thread. */
    void TearDown() override
    {
        EXPECT_EQ(ERR_peek_error(), 0u) << ERR_reason_error_string(ERR_peek_error());
        ERR_clear_error();
    }
    TlsIdentity() : memory_(quic_anti_replay_size(64) / sizeof(uint64_t) + 1)
    {
        const uint8_t secret[32] = {7};
        const uint8_t key[16] = {1};
        quic_ticket_keys_derive(&ticket_keys_, secret);
        gate_.id = 1;
        gate_.replay =
            quic_anti_replay_init(memory_.data(), 64, 3600 * QUIC_NS_PER_S, key, 0, QUIC_NS_PER_S);
    }

    Config Server(const ServerWish &wish)
    {
        static const char *const alpn[] = {"perf"};
        quic_tls_boring_options o = {};
        std::vector<quic_tls_boring_identity> named;
        std::string chain;
        std::string anchors;
        if (wish.identity != nullptr) {
            chain = wish.identity->cert + wish.chain_more;
            o.cert_pem = U8(chain);
            o.cert_pem_len = chain.size();
            o.key_pem = U8(wish.identity->key);
            o.key_pem_len = wish.identity->key.size();
        }
        if (wish.trust != nullptr) {
            anchors = wish.anchors_more + wish.trust->root();
            o.ca_pem = U8(anchors);
            o.ca_pem_len = anchors.size();
        }
        for (const Named &n : wish.named) {
            named.push_back({n.name.c_str(), U8(n.identity.cert), n.identity.cert.size(),
                             U8(n.identity.key), n.identity.key.size()});
        }
        o.identities = named.data();
        o.identity_count = named.size();
        o.verify_peer = wish.verify;
        o.client_cert = wish.client_cert;
        o.refuse_unknown_names = wish.refuse;
        o.peer_chain_max_bytes = wish.chain_max;
        o.valid_at_unix_s = wish.valid_at_unix_s;
        o.alpn = alpn;
        o.alpn_count = 1;
        quic_tls_boring_config *config = nullptr;
        char err[300] = "";
        rc_ = quic_tls_boring_config_create_server(&config, &o, err, sizeof(err));
        err_ = err;
        return Config(config);
    }
    Config Asking(quic_client_cert mode, bool verify = true, const Authority *trust = nullptr)
    {
        ServerWish wish;
        wish.identity = &server_id_;
        wish.client_cert = mode;
        wish.verify = verify;
        wish.trust = trust != nullptr ? trust : verify ? &clients_ : nullptr;
        Config config = Server(wish);
        EXPECT_NE(config, nullptr) << err_;
        return config;
    }
    Config Client(const pki::Identity *identity = nullptr, bool any_name = false)
    {
        static const char *const alpn[] = {"perf"};
        quic_tls_boring_options o = {};
        if (identity != nullptr) {
            o.cert_pem = U8(identity->cert);
            o.cert_pem_len = identity->cert.size();
            o.key_pem = U8(identity->key);
            o.key_pem_len = identity->key.size();
        }
        o.ca_pem = U8(servers_.root());
        o.ca_pem_len = servers_.root().size();
        o.verify_peer = true;
        o.any_name = any_name;
        o.alpn = alpn;
        o.alpn_count = 1;
        quic_tls_boring_config *config = nullptr;
        EXPECT_EQ(quic_tls_boring_config_create_client(&config, &o, nullptr, 0), QUIC_OK);
        return Config(config);
    }

    /* One handshake; client_ and server_ stay for questions. */
    Outcome Run(const Config &server, const Config &client, const char *name = "localhost",
                const Bytes *session = nullptr, bool early = false, size_t chunk = 0)
    {
        quic_tls_tickets ct = {};
        quic_tls_tickets st = {};
        st.keys = &ticket_keys_;
        st.now = QUIC_NS_PER_S;
        st.gate = &gate_;
        st.early_context = reinterpret_cast<const uint8_t *>("ctx");
        st.early_context_len = 3;
        if (session != nullptr) {
            ct.session = session->data();
            ct.session_len = session->size();
            ct.early = early;
        }
        seed_ += 2;
        client_ = std::make_unique<TlsEnd>(quic_tls_boring(), client.get(), QUIC_CLIENT, name,
                                           "client", seed_, &ct);
        server_ = std::make_unique<TlsEnd>(quic_tls_boring(), server.get(), QUIC_SERVER, nullptr,
                                           "server", seed_ + 1, &st);
        EXPECT_EQ(client_->create_rc(), QUIC_OK);
        EXPECT_EQ(server_->create_rc(), QUIC_OK);
        return Handshake(client_.get(), server_.get(), chunk);
    }
    void ExpectComplete(const Outcome &o)
    {
        EXPECT_EQ(o.client, QUIC_OK) << client_->error_text();
        EXPECT_EQ(o.server, QUIC_OK) << server_->error_text();
        EXPECT_TRUE(client_->complete() && server_->complete());
    }
    pki::Identity ClientIdentity(const Authority &by)
    {
        Wish wish;
        wish.client = true;
        return by.Issue(wish);
    }
    Named Name(const std::string &name)
    {
        Wish wish;
        wish.names = {name};
        return {name, servers_.Issue(wish)};
    }

    std::vector<uint64_t> memory_;
    quic_early_gate gate_ = {};
    quic_ticket_keys ticket_keys_ = {};
    Authority servers_{"servers"};
    Authority clients_{"clients", 1};
    pki::Identity server_id_ = servers_.Issue();
    pki::Identity client_id_ = ClientIdentity(clients_);
    std::unique_ptr<TlsEnd> client_;
    std::unique_ptr<TlsEnd> server_;
    uint64_t seed_ = 0;
    quic_rc rc_ = QUIC_OK;
    std::string err_;
};

/* ---- client certificates ----------------------------------------------------------------------- */

TEST_F(TlsIdentity, AClientThatIsNotAskedShowsNothing)
{
    ExpectComplete(Run(Asking(QUIC_CLIENT_CERT_NONE, false), Client(&client_id_)));
    EXPECT_EQ(server_->peer_certificate(), "(none)");
    EXPECT_EQ(client_->peer_certificate(), server_id_.leaf_der);
    EXPECT_TRUE(client_->peer_verified());
}

TEST_F(TlsIdentity, ARequestMayGoUnanswered)
{
    ExpectComplete(Run(Asking(QUIC_CLIENT_CERT_REQUEST), Client()));
    EXPECT_EQ(server_->peer_certificate(), "(none)");
}

TEST_F(TlsIdentity, WhatIsShownIsVerified)
{
    for (quic_client_cert mode : {QUIC_CLIENT_CERT_REQUEST, QUIC_CLIENT_CERT_REQUIRE}) {
        ExpectComplete(Run(Asking(mode), Client(&client_id_)));
        EXPECT_EQ(server_->peer_certificate(), client_id_.leaf_der);
        EXPECT_TRUE(server_->peer_verified());
    }
}

/* RFC 8446 6.2: unknown_ca, certificate_expired, and a certificate for another purpose. */
TEST_F(TlsIdentity, ABadOneIsRefusedEvenWhereNoneIsRequired)
{
    const Authority strangers("strangers");
    const pki::Identity unknown = ClientIdentity(strangers);
    Wish wish;
    wish.client = true;
    wish.from_s = -7200;
    wish.until_s = -3600;
    const pki::Identity expired = clients_.Issue(wish);
    const pki::Identity purpose = clients_.Issue();
    for (quic_client_cert mode : {QUIC_CLIENT_CERT_REQUEST, QUIC_CLIENT_CERT_REQUIRE}) {
        const Config server = Asking(mode);
        EXPECT_EQ(Run(server, Client(&unknown)).server, kAlert + QUIC_ALERT_UNKNOWN_CA);
        EXPECT_EQ(Run(server, Client(&expired)).server, kAlert + QUIC_ALERT_CERTIFICATE_EXPIRED);
        EXPECT_NE(server_->error_text(), "");
        EXPECT_GT(Run(server, Client(&purpose)).server, kAlert);
        EXPECT_FALSE(server_->complete());
        EXPECT_EQ(server_->peer_certificate(), "(none)");
    }
}

TEST_F(TlsIdentity, NoneWhereOneIsRequiredIs0x174)
{
    EXPECT_EQ(Run(Asking(QUIC_CLIENT_CERT_REQUIRE), Client()).server,
              kAlert + QUIC_ALERT_CERTIFICATE_REQUIRED);
    EXPECT_EQ(server_->error_text(), "PEER_DID_NOT_RETURN_A_CERTIFICATE");
    EXPECT_EQ(Run(Asking(QUIC_CLIENT_CERT_REQUIRE, false), Client()).server,
              kAlert + QUIC_ALERT_CERTIFICATE_REQUIRED);
}

TEST_F(TlsIdentity, WithoutVerificationAnybodysIsTakenAndNotVouchedFor)
{
    const Authority strangers("strangers");
    const pki::Identity unknown = ClientIdentity(strangers);
    ExpectComplete(Run(Asking(QUIC_CLIENT_CERT_REQUIRE, false), Client(&unknown)));
    EXPECT_EQ(server_->peer_certificate(), unknown.leaf_der);
    EXPECT_FALSE(server_->peer_verified());
}

/* RFC 9000 7.5. The bound is a setting. A ticket with so large a client in it would burst the other
 * side's bound: what is given instead is good for nothing. */
TEST_F(TlsIdentity, AChainBeyondTheBoundIsRefused)
{
    Wish wish;
    wish.client = true;
    wish.names.clear();
    for (int i = 0; i < 240; i++) {
        wish.names.push_back(std::to_string(1000 + i) + std::string(246, 'n'));
    }
    const pki::Identity large = clients_.Issue(wish);
    ASSERT_GT(large.leaf_der.size(), 60000u);
    ExpectComplete(Run(Asking(QUIC_CLIENT_CERT_REQUIRE), Client(&large)));
    EXPECT_EQ(server_->peer_certificate(), large.leaf_der);
    const Bytes session = client_->session;
    ASSERT_FALSE(session.empty());
    ExpectComplete(Run(Asking(QUIC_CLIENT_CERT_REQUIRE), Client(&large), "localhost", &session));
    EXPECT_FALSE(server_->resumed());
    ServerWish small;
    small.identity = &server_id_;
    small.client_cert = QUIC_CLIENT_CERT_REQUIRE;
    small.trust = &clients_;
    small.chain_max = 20000;
    const Config server = Server(small);
    EXPECT_EQ(Run(server, Client(&large)).server, QUIC_V_CRYPTO_BUFFER_EXCEEDED);
    EXPECT_EQ(Run(server, Client(&large), "localhost", nullptr, false, 1000).server,
              QUIC_V_CRYPTO_BUFFER_EXCEEDED);
}

/* ---- tickets ----------------------------------------------------------------------------------- */

TEST_F(TlsIdentity, ResumptionBringsTheClientsCertificateAlong)
{
    const Config server = Asking(QUIC_CLIENT_CERT_REQUIRE);
    const Config client = Client(&client_id_);
    ExpectComplete(Run(server, client));
    const Bytes session = client_->session;
    ASSERT_FALSE(session.empty());
    ExpectComplete(Run(server, client, "localhost", &session));
    EXPECT_TRUE(server_->resumed() && client_->resumed());
    EXPECT_EQ(server_->peer_certificate(), client_id_.leaf_der);
    EXPECT_TRUE(server_->peer_verified());
    EXPECT_EQ(client_->peer_certificate(), server_id_.leaf_der);
}

TEST_F(TlsIdentity, AnAnonymousTicketDoesNotGetPastRequire)
{
    const Config request = Asking(QUIC_CLIENT_CERT_REQUEST);
    const Config require = Asking(QUIC_CLIENT_CERT_REQUIRE);
    const Config anonymous = Client();
    ExpectComplete(Run(request, anonymous));
    const Bytes session = client_->session;
    ExpectComplete(Run(request, anonymous, "localhost", &session));
    EXPECT_TRUE(server_->resumed());
    EXPECT_EQ(Run(require, anonymous, "localhost", &session).server,
              kAlert + QUIC_ALERT_CERTIFICATE_REQUIRED);
    /* 0-RTT neither: what came early is not taken. */
    (void)Run(require, anonymous, "localhost", &session, true);
    EXPECT_EQ(server_->early(), QUIC_EARLY_REJECTED);
}

TEST_F(TlsIdentity, ATicketIsGoodUnderTheSameAnchorsOnly)
{
    const Authority others("others");
    const Config client = Client(&client_id_);
    ExpectComplete(Run(Asking(QUIC_CLIENT_CERT_REQUIRE), client));
    const Bytes session = client_->session;
    EXPECT_EQ(
        Run(Asking(QUIC_CLIENT_CERT_REQUIRE, true, &others), client, "localhost", &session).server,
        kAlert + QUIC_ALERT_UNKNOWN_CA);
    EXPECT_EQ(Run(Asking(QUIC_CLIENT_CERT_REQUIRE, false), client, "localhost", &session).server,
              QUIC_OK);
    EXPECT_FALSE(server_->resumed());
    EXPECT_FALSE(server_->peer_verified());
}

/* Whom nobody verified when the ticket was made is verified where that is asked for, the anchors being the same. */
TEST_F(TlsIdentity, ATicketOfWhoWasNotVerifiedIsNoneWhereClientsAre)
{
    const Authority others("others");
    const pki::Identity stranger = ClientIdentity(others);
    const Config client = Client(&stranger);
    const Config lenient = Asking(QUIC_CLIENT_CERT_REQUEST, false, &clients_);
    ExpectComplete(Run(lenient, client));
    const Bytes session = client_->session;
    ExpectComplete(Run(lenient, client, "localhost", &session));
    EXPECT_TRUE(server_->resumed());
    EXPECT_EQ(Run(Asking(QUIC_CLIENT_CERT_REQUEST), client, "localhost", &session).server,
              kAlert + QUIC_ALERT_UNKNOWN_CA);
}

/* An anchor that has become a part of the server's own chain is none any more. */
TEST_F(TlsIdentity, ATicketTellsAnchorsFromTheChain)
{
    const Authority others("others");
    const pki::Identity id = ClientIdentity(others);
    const Config client = Client(&id);
    ServerWish wish;
    wish.identity = &server_id_;
    wish.client_cert = QUIC_CLIENT_CERT_REQUIRE;
    wish.trust = &clients_;
    wish.anchors_more = others.root();
    ExpectComplete(Run(Server(wish), client));
    const Bytes session = client_->session;
    ExpectComplete(Run(Server(wish), client, "localhost", &session));
    EXPECT_TRUE(server_->resumed());
    wish.chain_more.swap(wish.anchors_more);
    EXPECT_EQ(Run(Server(wish), client, "localhost", &session).server,
              kAlert + QUIC_ALERT_UNKNOWN_CA);
}

TEST_F(TlsIdentity, ASessionOfWhoTakesAnyNameIsForNobodyElse)
{
    const Config server = Asking(QUIC_CLIENT_CERT_NONE);
    ExpectComplete(Run(server, Client(nullptr, true), "bank.example"));
    const Bytes session = client_->session;
    ExpectComplete(Run(server, Client(nullptr, true), "bank.example", &session));
    EXPECT_TRUE(client_->resumed());
    EXPECT_GT(Run(server, Client(), "bank.example", &session).client, kAlert);
    EXPECT_FALSE(client_->complete());
}

TEST_F(TlsIdentity, ASessionIsOfOneClientIdentity)
{
    const Config server = Asking(QUIC_CLIENT_CERT_REQUIRE);
    ExpectComplete(Run(server, Client(&client_id_)));
    const Bytes session = client_->session;
    const pki::Identity other = ClientIdentity(clients_);
    ExpectComplete(Run(server, Client(&other), "localhost", &session));
    EXPECT_FALSE(server_->resumed());
    EXPECT_EQ(server_->peer_certificate(), other.leaf_der);
}

/* A certificate that has expired since is shown again, and judged. */
TEST_F(TlsIdentity, ATicketDoesNotOutliveTheCertificate)
{
    Wish wish;
    wish.client = true;
    wish.from_s = -7200;
    wish.until_s = -3600;
    const pki::Identity expired = clients_.Issue(wish);
    const Config server = Asking(QUIC_CLIENT_CERT_REQUEST, false); /* takes it, unverified */
    ExpectComplete(Run(server, Client(&expired)));
    const Bytes session = client_->session;
    ASSERT_FALSE(session.empty());
    ExpectComplete(Run(server, Client(&expired), "localhost", &session));
    EXPECT_FALSE(server_->resumed());
    EXPECT_EQ(server_->peer_certificate(), expired.leaf_der);
}

/* ---- server names ------------------------------------------------------------------------------ */

TEST_F(TlsIdentity, TheNameChoosesTheCertificate)
{
    const Named www = Name("www.example.com");
    const Named any = Name("*.example.com");
    ServerWish wish;
    wish.identity = &server_id_;
    wish.named = {any, www};
    const Config server = Server(wish);
    ASSERT_NE(server, nullptr) << err_;
    const Config client = Client();
    ExpectComplete(Run(server, client, "www.example.com"));
    EXPECT_EQ(client_->peer_certificate(), www.identity.leaf_der);
    EXPECT_EQ(server_->server_name(), "www.example.com");
    ExpectComplete(Run(server, client, "WWW.example.com."));
    EXPECT_EQ(client_->peer_certificate(), www.identity.leaf_der);
    ExpectComplete(Run(server, client, "mail.example.com"));
    EXPECT_EQ(client_->peer_certificate(), any.identity.leaf_der);
    ExpectComplete(Run(server, client, "localhost"));
    EXPECT_EQ(client_->peer_certificate(), server_id_.leaf_der);
    /* An unknown name gets the default one, which does not fit. */
    EXPECT_GT(Run(server, client, "example.org").client, kAlert);
}

/* RFC 6066 3: unrecognized_name. RFC 8446 9.2: missing_extension. */
TEST_F(TlsIdentity, UnknownNamesCanBeRefused)
{
    ServerWish wish;
    wish.named = {Name("www.example.com")};
    wish.refuse = true; /* without a default identity */
    const Config server = Server(wish);
    ASSERT_NE(server, nullptr) << err_;
    const Config client = Client();
    ExpectComplete(Run(server, client, "www.example.com"));
    EXPECT_EQ(Run(server, client, "localhost").server, kAlert + QUIC_ALERT_UNRECOGNIZED_NAME);
    EXPECT_EQ(Run(server, client, "127.0.0.1").server, kAlert + QUIC_ALERT_MISSING_EXTENSION);
    wish.identity = &server_id_; /* a default identity serves nobody then */
    EXPECT_EQ(Run(Server(wish), client, "localhost").server, kAlert + QUIC_ALERT_UNRECOGNIZED_NAME);
    wish.named.clear();
    EXPECT_EQ(Run(Server(wish), client, "localhost").server, kAlert + QUIC_ALERT_UNRECOGNIZED_NAME);
}

TEST_F(TlsIdentity, ATicketStaysWithItsName)
{
    ServerWish wish;
    wish.identity = &server_id_;
    Wish both;
    both.names = {"a.example", "b.example"};
    wish.named = {{"a.example", servers_.Issue(both)}, {"b.example", servers_.Issue(both)}};
    const Config server = Server(wish);
    const Config client = Client();
    ExpectComplete(Run(server, client, "a.example"));
    const Bytes session = client_->session;
    ExpectComplete(Run(server, client, "a.example", &session, true));
    EXPECT_TRUE(server_->resumed());
    EXPECT_EQ(server_->early(), QUIC_EARLY_ACCEPTED); /* also with another context than the first */
    ExpectComplete(Run(server, client, "b.example", &session, true));
    EXPECT_FALSE(server_->resumed());
    EXPECT_EQ(server_->early(), QUIC_EARLY_REJECTED);
}

/* RFC 8446 4.6.1: nor does a client that asks for another name take the certificate of a session as verified, which
 * the server may well resume. */
TEST_F(TlsIdentity, ASessionIsForTheNamesOfItsCertificate)
{
    ServerWish wish;
    wish.identity = &server_id_;
    const Config server = Server(wish);
    const Config client = Client();
    ExpectComplete(Run(server, client, "localhost"));
    const Bytes session = client_->session;
    for (const char *name : {"localhost", "LOCALHOST."}) {
        ExpectComplete(Run(server, client, name, &session));
        EXPECT_TRUE(client_->resumed()) << name;
    }
    for (const char *name : {"bank.example", "127.0.0.2"}) {
        EXPECT_GT(Run(server, client, name, &session).client, kAlert) << name;
        EXPECT_FALSE(client_->complete()) << name;
    }
}

TEST_F(TlsIdentity, NamedIdentitiesAskForCertificatesLikeTheDefaultOne)
{
    ServerWish wish;
    wish.identity = &server_id_;
    wish.named = {Name("www.example.com")};
    wish.client_cert = QUIC_CLIENT_CERT_REQUIRE;
    wish.trust = &clients_;
    const Config server = Server(wish);
    ASSERT_NE(server, nullptr) << err_;
    ExpectComplete(Run(server, Client(&client_id_), "www.example.com"));
    EXPECT_EQ(server_->peer_certificate(), client_id_.leaf_der);
    EXPECT_EQ(Run(server, Client(), "www.example.com").server,
              kAlert + QUIC_ALERT_CERTIFICATE_REQUIRED);
    const Authority strangers("strangers");
    const pki::Identity unknown = ClientIdentity(strangers);
    EXPECT_EQ(Run(server, Client(&unknown), "www.example.com").server,
              kAlert + QUIC_ALERT_UNKNOWN_CA);
}

/* ---- what cannot be built ---------------------------------------------------------------------- */

TEST_F(TlsIdentity, ErrorsNameTheIdentity)
{
    ServerWish wish;
    wish.identity = &server_id_;
    wish.named = {Name("a.example"), Name("b.example")};
    wish.named[1].identity.key = wish.named[0].identity.key;
    EXPECT_EQ(Server(wish), nullptr);
    EXPECT_EQ(rc_, QUIC_E_CRYPTO);
    EXPECT_EQ(err_.rfind("b.example: the private key does not belong", 0), 0u) << err_;
    wish.named[1] = Name("A.EXAMPLE");
    EXPECT_EQ(Server(wish), nullptr);
    EXPECT_EQ(rc_, QUIC_E_INVAL);
    EXPECT_NE(err_.find("there already"), std::string::npos) << err_;
    wish.named[1].name = "192.0.2.1";
    EXPECT_EQ(Server(wish), nullptr);
    EXPECT_EQ(rc_, QUIC_E_INVAL);
    wish.named.clear();
    wish.client_cert = QUIC_CLIENT_CERT_REQUEST;
    EXPECT_EQ(Server(wish), nullptr); /* nothing to verify with */
    EXPECT_NE(err_.find("trust anchors"), std::string::npos) << err_;
}

TEST_F(TlsIdentity, ACertificateOutOfItsTimeIsRefusedWhenAsked)
{
    const uint64_t now = static_cast<uint64_t>(time(nullptr));
    Wish wish;
    wish.until_s = -60;
    const pki::Identity expired = servers_.Issue(wish);
    wish.from_s = 3600;
    wish.until_s = 7200;
    const pki::Identity early = servers_.Issue(wish);
    ServerWish server;
    server.identity = &expired;
    EXPECT_NE(Server(server), nullptr); /* nobody asked */
    server.valid_at_unix_s = now;
    EXPECT_EQ(Server(server), nullptr);
    EXPECT_EQ(err_, "the certificate has expired");
    server.identity = &early;
    EXPECT_EQ(Server(server), nullptr);
    EXPECT_EQ(err_, "the certificate is not valid yet");
    server.identity = &server_id_;
    server.named = {{"a.example", expired}};
    EXPECT_EQ(Server(server), nullptr);
    EXPECT_EQ(err_, "a.example: the certificate has expired");
}

} // namespace

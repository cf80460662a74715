#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "quring/config.h"
#include "quring/tls_session.h"

#include "tests/api/support.h"

namespace
{

using quring_test::Identity;
using quring_test::MakeIdentity;
using quring_test::TempFile;
using quring_test::TheIdentity;

quring_bytes View(const std::string &text)
{
    return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

quring_tls_options Options()
{
    static const char *const alpn[] = {"test"};
    quring_tls_options options = {};
    options.alpn = alpn;
    options.alpn_count = 1;
    return options;
}

void ExpectServerFails(const quring_tls_options &options, quring_status want, const char *word)
{
    quring_tls *tls = nullptr;
    quring_error err = {};
    EXPECT_EQ(quring_tls_create_server(&tls, &options, &err), want) << err.message;
    EXPECT_EQ(err.status, want);
    EXPECT_NE(strstr(err.message, word), nullptr)
        << "\"" << word << "\" is not in: " << err.message;
    EXPECT_EQ(tls, nullptr);
}

TEST(Tls, ServerFromFilesAndFromMemory)
{
    const TempFile cert(TheIdentity().cert);
    const TempFile key(TheIdentity().key);
    quring_tls_options options = Options();
    options.cert_file = cert.path();
    options.key_file = key.path();
    quring_tls *tls = nullptr;
    quring_error err = {};
    ASSERT_EQ(quring_tls_create_server(&tls, &options, &err), QURING_OK) << err.message;
    quring_tls_release(tls);

    options = Options();
    options.cert_pem = View(TheIdentity().cert);
    options.key_pem = View(TheIdentity().key);
    ASSERT_EQ(quring_tls_create_server(&tls, &options, nullptr), QURING_OK);
    quring_tls_release(tls);
    quring_tls_release(nullptr);
}

TEST(Tls, H126_MissingFilesAreNamed)
{
    const TempFile cert(TheIdentity().cert);
    quring_tls_options options = Options();
    options.cert_file = "/nonexistent/cert.pem";
    options.key_file = "/nonexistent/key.pem";
    ExpectServerFails(options, QURING_E_TLS, "/nonexistent/cert.pem");
    ExpectServerFails(options, QURING_E_TLS, strerror(ENOENT));
    options.cert_file = cert.path();
    ExpectServerFails(options, QURING_E_TLS, "/nonexistent/key.pem");
    options.key_file = nullptr;
    ExpectServerFails(options, QURING_E_TLS, "key_file");
    options = Options();
    ExpectServerFails(options, QURING_E_TLS, "cert_file");
    options.key_file = cert.path();
    ExpectServerFails(options, QURING_E_TLS, "cert_file");
}

TEST(Tls, H126_GarbageAndMismatchNameTheFile)
{
    const TempFile cert(TheIdentity().cert);
    const TempFile key(TheIdentity().key);
    const TempFile garbage("-----BEGIN CERTIFICATE-----\nthis is no certificate\n");
    const TempFile empty("");
    quring_tls_options options = Options();
    options.cert_file = garbage.path();
    options.key_file = key.path();
    ExpectServerFails(options, QURING_E_TLS, garbage.path());
    options.cert_file = empty.path();
    ExpectServerFails(options, QURING_E_TLS, empty.path());
    options.cert_file = cert.path();
    options.key_file = garbage.path();
    ExpectServerFails(options, QURING_E_TLS, garbage.path());

    const Identity other = MakeIdentity();
    const TempFile other_key(other.key);
    options.key_file = other_key.path();
    ExpectServerFails(options, QURING_E_TLS, other_key.path());
}

TEST(Tls, BothSourcesAtOnceAreRefused)
{
    const TempFile cert(TheIdentity().cert);
    quring_tls_options options = Options();
    options.cert_file = cert.path();
    options.cert_pem = View(TheIdentity().cert);
    options.key_pem = View(TheIdentity().key);
    ExpectServerFails(options, QURING_E_INVAL, "cert_file");
}

TEST(Tls, AlpnIsChecked)
{
    quring_tls_options options = Options();
    options.cert_pem = View(TheIdentity().cert);
    options.key_pem = View(TheIdentity().key);
    const std::string long_name(256, 'a');
    const char *names[] = {"ok", long_name.c_str()};
    options.alpn = names;
    options.alpn_count = 2;
    ExpectServerFails(options, QURING_E_INVAL, "alpn[1]");
    names[1] = "";
    ExpectServerFails(options, QURING_E_INVAL, "alpn[1]");
    names[1] = nullptr;
    ExpectServerFails(options, QURING_E_INVAL, "alpn[1]");
    options.alpn_count = 10000;
    ExpectServerFails(options, QURING_E_INVAL, "alpn_count");
    options.alpn_count = 0;
    ExpectServerFails(options, QURING_E_INVAL, "alpn_count");
}

TEST(Tls, ClientNeedsTrustAnchorsUnlessToldOtherwise)
{
    quring_tls_options options = Options();
    quring_tls *tls = nullptr;
    quring_error err = {};
    options.ca_file = "/nonexistent/ca.pem";
    EXPECT_EQ(quring_tls_create_client(&tls, &options, &err), QURING_E_TLS);
    EXPECT_NE(strstr(err.message, "/nonexistent/ca.pem"), nullptr) << err.message;
    const TempFile garbage("nothing to trust");
    options.ca_file = garbage.path();
    EXPECT_EQ(quring_tls_create_client(&tls, &options, &err), QURING_E_TLS);
    EXPECT_NE(strstr(err.message, garbage.path()), nullptr) << err.message;
    const TempFile good(TheIdentity().cert);
    options.ca_file = good.path();
    ASSERT_EQ(quring_tls_create_client(&tls, &options, &err), QURING_OK) << err.message;
    quring_tls_release(tls);
    options.ca_file = nullptr;
    options.verify = QURING_VERIFY_NONE;
    ASSERT_EQ(quring_tls_create_client(&tls, &options, &err), QURING_OK) << err.message;
    quring_tls_release(tls);
}

/* RFC 9000 7.5: not an alert of TLS, but CRYPTO_BUFFER_EXCEEDED. */
TEST(Tls, ASessionDoesNotTakeMessagesOfAnySize)
{
    const quring_test::Tls tls = quring_test::ServerTls();
    const uint8_t params[] = {0x01, 0x01, 0x00};
    quring_tls_session_options options = {};
    options.tls = tls.get();
    options.params = {params, sizeof(params)};
    options.sink.on_secret = [](void *, quring_level, quring_direction, uint16_t, const uint8_t *,
                                size_t) -> quring_status { return QURING_OK; };
    options.sink.on_crypto = [](void *, quring_level, const uint8_t *, size_t) -> quring_status {
        return QURING_OK;
    };
    quring_tls_session *session = nullptr;
    quring_error err = {};
    ASSERT_EQ(quring_tls_session_create(&session, &options, &err), QURING_OK) << err.message;
    const quring_test::Bytes endless(1 << 20, 1); /* a ClientHello that says it is longer still */
    uint8_t alert = 1;
    EXPECT_EQ(quring_tls_session_provide(session, QURING_LEVEL_INITIAL, endless.data(),
                                         endless.size(), &alert, &err),
              QURING_E_TOO_LARGE);
    EXPECT_EQ(alert, 0);
    EXPECT_STRNE(err.message, "");
    quring_tls_session_destroy(session);
}

/* One end of a handshake in memory. */
struct SessionEnd {
    quring_tls_session *session = nullptr;
    std::vector<std::pair<quring_level, quring_test::Bytes>> out;
    quring_test::Bytes ticket;

    SessionEnd(quring_tls *tls, quring_runtime *runtime, const quring_test::Bytes &resumes,
               bool zero_rtt = false, uint8_t max_data = 0, uint32_t version = 0)
    {
        /* initial_max_data (RFC 9000 18.2), version_information (RFC 9368 3) */
        quring_test::Bytes params = {0x04, 0x01, max_data};
        if (version != 0) {
            params.insert(params.end(), {0x11, 8});
            for (int i = 0; i < 8; i++) {
                params.push_back(static_cast<uint8_t>(version >> (24 - 8 * (i % 4))));
            }
        }
        quring_tls_session_options options = {};
        options.tls = tls;
        options.server_name = runtime == nullptr ? "localhost" : nullptr;
        options.params = {params.data(), params.size()};
        options.session = {resumes.data(), resumes.size()};
        options.zero_rtt = zero_rtt;
        options.tickets = runtime != nullptr;
        options.runtime = runtime;
        options.sink.ctx = this;
        options.sink.on_secret = [](void *, quring_level, quring_direction, uint16_t,
                                    const uint8_t *, size_t) -> quring_status { return QURING_OK; };
        options.sink.on_crypto = [](void *ctx, quring_level level, const uint8_t *data,
                                    size_t len) -> quring_status {
            static_cast<SessionEnd *>(ctx)->out.emplace_back(level,
                                                             quring_test::Bytes(data, data + len));
            return QURING_OK;
        };
        options.sink.on_session = [](void *ctx, const uint8_t *data, size_t len) {
            static_cast<SessionEnd *>(ctx)->ticket.assign(data, data + len);
        };
        quring_error err = {};
        EXPECT_EQ(quring_tls_session_create(&session, &options, &err), QURING_OK) << err.message;
    }
    ~SessionEnd()
    {
        quring_tls_session_destroy(session);
    }
    SessionEnd(const SessionEnd &) = delete;
    SessionEnd &operator=(const SessionEnd &) = delete;

    void GiveTo(SessionEnd *other)
    {
        uint8_t alert = 0;
        quring_error err = {};
        for (const auto &message : out) {
            EXPECT_EQ(quring_tls_session_provide(other->session, message.first,
                                                 message.second.data(), message.second.size(),
                                                 &alert, &err),
                      QURING_OK)
                << err.message;
        }
        out.clear();
    }
};

/* Returns what the client got for a later one; *out_resumed: whether the server took `session`. */
quring_test::Bytes Handshake(bool *out_resumed, quring_runtime *runtime, quring_tls *server_tls,
                             quring_tls *client_tls, const quring_test::Bytes &session,
                             uint32_t first = 0, uint32_t negotiated = 0)
{
    SessionEnd server(server_tls, runtime, {}, false, 0, negotiated);
    SessionEnd client(client_tls, nullptr, session, false, 0, first);
    uint8_t alert = 0;
    EXPECT_EQ(quring_tls_session_start(client.session, &alert, nullptr), QURING_OK);
    for (int i = 0; i < 3; i++) {
        client.GiveTo(&server);
        server.GiveTo(&client);
    }
    EXPECT_TRUE(quring_tls_session_is_complete(client.session));
    EXPECT_TRUE(quring_tls_session_is_complete(server.session));
    *out_resumed = quring_tls_session_is_resumed(server.session);
    return client.ticket;
}

TEST(Tls, ASessionTakesTicketsOfThePreviousRootSecret)
{
    const quring_test::Tls server_tls = quring_test::ServerTls();
    const quring_test::Tls client_tls = quring_test::ClientTls();
    quring_config config = quring_test::Config();
    memset(config.root_secret, 1, sizeof(config.root_secret));
    quring_test::Runtime before(config);
    memcpy(config.previous_root_secret, config.root_secret, sizeof(config.root_secret));
    memset(config.root_secret, 2, sizeof(config.root_secret));
    quring_test::Runtime after(config);
    memset(config.previous_root_secret, 0, sizeof(config.root_secret));
    quring_test::Runtime stranger(config);
    bool resumed = true;
    const quring_test::Bytes ticket =
        Handshake(&resumed, before.rt(), server_tls.get(), client_tls.get(), {});
    EXPECT_FALSE(resumed);
    ASSERT_FALSE(ticket.empty());
    (void)Handshake(&resumed, after.rt(), server_tls.get(), client_tls.get(), ticket);
    EXPECT_TRUE(resumed);
    (void)Handshake(&resumed, stranger.rt(), server_tls.get(), client_tls.get(), ticket);
    EXPECT_FALSE(resumed);
}

/* RFC 9369 5: a ticket is for the version that its connection had in the end, and for no first flight of another. */
TEST(Tls, ASessionTakesTicketsOfItsVersion)
{
    const quring_test::Tls server_tls = quring_test::ServerTls();
    const quring_test::Tls client_tls = quring_test::ClientTls();
    const quring_test::Runtime runtime(quring_test::Config());
    constexpr uint32_t kVersions[] = {QURING_QUIC_V1, QURING_QUIC_V2};
    for (const uint32_t negotiated : kVersions) {
        bool resumed = true;
        const quring_test::Bytes ticket =
            Handshake(&resumed, runtime.rt(), server_tls.get(), client_tls.get(), {},
                      QURING_QUIC_V1, negotiated);
        EXPECT_FALSE(resumed);
        ASSERT_FALSE(ticket.empty());
        for (const uint32_t first : kVersions) {
            (void)Handshake(&resumed, runtime.rt(), server_tls.get(), client_tls.get(), ticket,
                            first, negotiated);
            EXPECT_EQ(resumed, first == negotiated) << first << " after " << negotiated;
        }
    }
}

/* RFC 9001 4.6.1, RFC 9000 7.4.1: a ticket is good for 0-RTT under the limits that it was made under. */
TEST(Tls, ASessionTakesZeroRttUnderTheSameLimits)
{
    const quring_test::Tls server_tls = quring_test::ServerTls();
    const quring_test::Tls client_tls = quring_test::ClientTls();
    const quring_test::Runtime runtime(quring_test::Config());
    quring_test::Bytes ticket;
    for (const uint8_t max_data : {7, 7, 8}) {
        SessionEnd server(server_tls.get(), runtime.rt(), {}, true, max_data);
        SessionEnd client(client_tls.get(), nullptr, ticket, true);
        uint8_t alert = 0;
        EXPECT_EQ(quring_tls_session_start(client.session, &alert, nullptr), QURING_OK);
        for (int i = 0; i < 3; i++) {
            client.GiveTo(&server);
            server.GiveTo(&client);
        }
        EXPECT_TRUE(quring_tls_session_is_complete(server.session));
        EXPECT_EQ(quring_tls_session_is_resumed(server.session), !ticket.empty());
        for (const SessionEnd *end : {&server, &client}) {
            EXPECT_EQ(quring_tls_session_is_early_accepted(end->session),
                      !ticket.empty() && max_data == 7);
        }
        ticket = client.ticket;
        ASSERT_FALSE(ticket.empty());
    }
}

TEST(Tls, NullArgumentsAreRefused)
{
    quring_tls_session *session = nullptr;
    quring_error err = {};
    EXPECT_EQ(quring_tls_session_create(&session, nullptr, &err), QURING_E_INVAL);
    EXPECT_STREQ(err.message, "options is NULL");
    quring_tls_options options = Options();
    quring_tls *tls = nullptr;
    EXPECT_EQ(quring_tls_create_server(nullptr, &options, nullptr), QURING_E_INVAL);
    EXPECT_EQ(quring_tls_create_client(&tls, nullptr, nullptr), QURING_E_INVAL);
    char pem[4096];
    size_t len = 0;
    EXPECT_EQ(quring_tls_self_signed(pem, &len, nullptr, &len), QURING_E_INVAL);
}

TEST(Tls, SelfSignedIsPemAndFreshEachTime)
{
    const Identity a = MakeIdentity();
    const Identity b = MakeIdentity();
    EXPECT_EQ(a.cert.rfind("-----BEGIN CERTIFICATE-----", 0), 0u);
    EXPECT_NE(a.key.find("PRIVATE KEY-----"), std::string::npos);
    EXPECT_NE(a.cert, b.cert);
    EXPECT_NE(a.key, b.key);
}

} // namespace

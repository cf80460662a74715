/* Cipher suites that the built-in TLS does not choose, over real sockets: both ends' handshakes are
 * driven from outside by a script that exchanges transport parameters and installs secrets everybody
 * knows (quring/handshake.h). AES-128-CCM, AES-256-GCM and ChaCha20-Poly1305, with both AEAD
 * back ends (RFC 9001 5.3, 5.4). */
#include <chrono>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "quring/quring.h"

#include "tests/api/fixture.h"
#include "tests/api/support.h"

namespace
{

using quring_test::Bytes;
using quring_test::ConnFacts;
using quring_test::EndToEnd;
using quring_test::kBackends;
using quring_test::Peer;
using quring_test::SettingName;

void U16(Bytes *out, size_t value)
{
    out->push_back(static_cast<uint8_t>(value >> 8));
    out->push_back(static_cast<uint8_t>(value));
}

void Extension(Bytes *out, uint16_t type, const Bytes &body)
{
    U16(out, type);
    U16(out, body.size());
    out->insert(out->end(), body.begin(), body.end());
}

/* A handshake message: type, 24-bit length, body. */
Bytes Message(uint8_t type, const Bytes &body)
{
    Bytes out = {type, 0};
    U16(&out, body.size());
    out.insert(out.end(), body.begin(), body.end());
    return out;
}

/* RFC 8446 4.1.2, as much of it as the engine reads: ALPN and transport parameters. */
Bytes ClientHello(const Bytes &params)
{
    Bytes body = {3, 3};
    body.resize(2 + 32, 0x5a);                       /* random */
    const Bytes fixed = {0, 0, 2, 0x13, 0x04, 1, 0}; /* session, suites, compression */
    const Bytes alpn = {0, 5, 4, 't', 'e', 's', 't'};
    Bytes extensions;
    Extension(&extensions, 16, alpn);
    Extension(&extensions, 0x39, params);
    body.insert(body.end(), fixed.begin(), fixed.end());
    U16(&body, extensions.size());
    body.insert(body.end(), extensions.begin(), extensions.end());
    return Message(1, body);
}

constexpr uint8_t kAgain = 2; /* stands for a HelloRetryRequest */
constexpr uint8_t kServerParams = 8;
constexpr uint8_t kFinished = 20;
constexpr uint8_t kTicket = 4;

/* One end of the script. The server answers a ClientHello with its parameters in the clear, both
 * install secrets, the client says Finished in a Handshake packet, and so does the server. */
class Script
{
  public:
    Script(quring_conn conn, bool is_server, uint16_t suite)
        : conn_(conn), is_server_(is_server), suite_(suite)
    {
    }
    void Start()
    {
        said_params.push_back(Params());
        Say(QURING_LEVEL_INITIAL, ClientHello(said_params.back()));
    }
    void Provide(uint8_t level, quring_bytes data)
    {
        Bytes &in = in_[level];
        in.insert(in.end(), data.data, data.data + data.len);
        while (in.size() >= 4 && in.size() >= 4u + (in[2] << 8 | in[3])) {
            const size_t len = 4u + static_cast<size_t>(in[2] << 8 | in[3]);
            const Bytes message(in.begin(), in.begin() + static_cast<ptrdiff_t>(len));
            in.erase(in.begin(), in.begin() + static_cast<ptrdiff_t>(len));
            Take(message);
        }
    }

  private:
    Bytes Params() const
    {
        Bytes params(512);
        size_t len = 0;
        EXPECT_EQ(quring_handshake_get_params(conn_, params.data(), &len, params.size()),
                  QURING_OK);
        params.resize(len);
        return params;
    }
    void Say(quring_level level, const Bytes &message) const
    {
        EXPECT_EQ(quring_handshake_send(conn_, level, message.data(), message.size()), QURING_OK);
    }
    void Install(quring_level level) const
    {
        const size_t len = suite_ == 0x1302 ? 48 : 32;
        for (bool of_server : {false, true}) {
            const Bytes secret(len, static_cast<uint8_t>(level * 2 + (of_server ? 1 : 0)));
            const bool is_write = of_server == is_server_;
            EXPECT_EQ(quring_handshake_install_secret(conn_, level,
                                                      is_write ? QURING_DIR_WRITE : QURING_DIR_READ,
                                                      suite_, secret.data(), len),
                      QURING_OK);
        }
    }
    void Take(const Bytes &message)
    {
        if (message[0] == 1 && asks_again) {
            asks_again = false;
            Say(QURING_LEVEL_INITIAL, Message(kAgain, {}));
        } else if (message[0] == kAgain) {
            Start();
        } else if (message[0] == 1) {
            EXPECT_EQ(
                quring_handshake_set_peer_params(conn_, peer_params.data(), peer_params.size()),
                QURING_OK);
            Say(QURING_LEVEL_INITIAL, Message(kServerParams, Params()));
            Install(QURING_LEVEL_HANDSHAKE);
            Install(QURING_LEVEL_APP);
            Say(QURING_LEVEL_HANDSHAKE, behind_finished);
        } else if (message[0] == kServerParams) {
            EXPECT_EQ(
                quring_handshake_set_peer_params(conn_, message.data() + 4, message.size() - 4),
                QURING_OK);
            Install(QURING_LEVEL_HANDSHAKE);
            Install(QURING_LEVEL_APP);
            Bytes said = Message(kFinished, {});
            said.insert(said.end(), behind_finished.begin(), behind_finished.end());
            Say(QURING_LEVEL_HANDSHAKE, said);
            Finish();
        } else if (message[0] == kTicket) {
            EXPECT_FALSE(is_server_);
            ticket_count++;
        } else {
            EXPECT_EQ(message[0], kFinished);
            Finish();
        }
    }
    void Finish() const
    {
        const uint8_t alpn[] = {'t', 'e', 's', 't'};
        EXPECT_EQ(quring_handshake_set_alpn(conn_, alpn, sizeof(alpn)), QURING_OK);
        EXPECT_EQ(quring_handshake_complete(conn_), QURING_OK);
    }

    quring_conn conn_;
    bool is_server_;
    uint16_t suite_;
    std::map<uint8_t, Bytes> in_;

  public:
    Bytes peer_params;              /* server: of the ClientHello */
    bool asks_again = false;        /* server: for a second ClientHello */
    std::vector<Bytes> said_params; /* client: in each ClientHello */
    Bytes behind_finished;          /* said where nothing more is to be said */
    int ticket_count = 0;
};

struct Case {
    uint16_t suite;
    const char *name;
};
const Case kCases[] = {{0x1301, "TLS_AES_128_GCM_SHA256"},
                       {0x1302, "TLS_AES_256_GCM_SHA384"},
                       {0x1303, "TLS_CHACHA20_POLY1305_SHA256"},
                       {0x1304, "TLS_AES_128_CCM_SHA256"}};

class Outside : public EndToEnd
{
  protected:
    using Scripts = std::map<uint64_t, Script>;

    void ServeScripted()
    {
        server_.hook = [this](const quring_event &ev) {
            if (ev.type == QURING_EV_HANDSHAKE_PENDING) {
                quring_client_hello hello = {};
                EXPECT_EQ(quring_handshake_client_hello(ev.conn, &hello), QURING_OK);
                auto [at, fresh] =
                    server_scripts_.emplace(ev.conn.handle, Script(ev.conn, true, suite_));
                EXPECT_TRUE(fresh);
                const quring_bytes params = hello.transport_params;
                at->second.peer_params.assign(params.data, params.data + params.len);
                at->second.behind_finished = server_behind_;
                at->second.asks_again = server_asks_again_;
                EXPECT_EQ(quring_handshake_accept(ev.conn), QURING_OK);
            }
            Feed(&server_scripts_, ev);
        };
        client_.hook = [this](const quring_event &ev) { Feed(&client_scripts_, ev); };
    }
    static void Feed(Scripts *scripts, const quring_event &ev)
    {
        auto at = scripts->find(ev.conn.handle);
        if (at == scripts->end()) {
            return;
        }
        if (ev.type == QURING_EV_HANDSHAKE_DATA) {
            at->second.Provide(ev.level, ev.data);
        } else if (ev.type == QURING_EV_CLOSED) {
            scripts->erase(at);
        }
    }
    quring_conn BeginScripted()
    {
        quring_conn conn = {0};
        EXPECT_TRUE(OnClient([&] {
            quring_connect_options options = {};
            options.remote = Remote();
            options.external_tls = true;
            options.on_event = Peer::OnEvent;
            options.ctx = &client_;
            quring_error err = {};
            EXPECT_EQ(quring_connect(&conn, &options, &err), QURING_OK) << err.message;
            Script *script =
                &client_scripts_.emplace(conn.handle, Script(conn, false, suite_)).first->second;
            script->behind_finished = client_behind_;
            script->Start();
        }));
        return conn;
    }
    /* RFC 9001 6.1: as soon as the handshake is confirmed. */
    void UpdateKeys(quring_conn conn)
    {
        const auto until = std::chrono::steady_clock::now() + quring_test::kPatience;
        quring_status status = QURING_E_AGAIN;
        while (status == QURING_E_AGAIN && std::chrono::steady_clock::now() < until) {
            ASSERT_TRUE(OnClient([&] { status = quring_conn_update_keys(conn); }));
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        EXPECT_EQ(status, QURING_OK);
    }
    void RunAll(quring_aead aead)
    {
        server_config_.aead = aead;
        client_config_.aead = aead;
        ServeScripted();
        Start(Peer::Mode::kEcho, QURING_LISTEN_EXTERNAL_TLS);
        if (IsSkipped() || HasFatalFailure()) {
            return;
        }
        for (const Case &c : kCases) {
            ASSERT_TRUE(OnServer([&] { suite_ = c.suite; }));
            const quring_conn conn = BeginScripted();
            ASSERT_TRUE(client_.WaitConnected(conn)) << c.name << client_.Facts(conn).close.reason;
            const ConnFacts facts = client_.Facts(conn);
            EXPECT_EQ(facts.info.cipher_suite, c.suite);
            EXPECT_STREQ(facts.info.cipher, c.name);
            ExpectEcho(conn, 300000, c.suite);
            UpdateKeys(conn);
            ExpectEcho(conn, 300000, c.suite + 1u);
            ASSERT_TRUE(OnClient([&] {
                quring_conn_info info = {};
                EXPECT_EQ(quring_conn_get_info(conn, &info), QURING_OK);
                EXPECT_EQ(info.key_updates, 1u);
                uint8_t keys[32];
                EXPECT_EQ(quring_conn_export_keys(conn, keys, sizeof(keys), "EXPERIMENTAL", {}),
                          QURING_E_NOT_SUPPORTED); /* its TLS library has them */
            }));
        }
    }

    /* One end closes the connection, which no program asks for. */
    void ExpectError(quring_conn conn, uint64_t code, bool by_server)
    {
        ASSERT_TRUE(client_.WaitClosed(conn));
        const quring_close_info told = client_.Facts(conn).close;
        EXPECT_EQ(told.code, code);
        EXPECT_EQ(told.frame_type, 6u);
        EXPECT_EQ(told.kind,
                  by_server ? QURING_CLOSE_PEER_TRANSPORT : QURING_CLOSE_LOCAL_TRANSPORT);
    }

    uint16_t suite_ = 0;  /* of the connections begun next */
    Bytes server_behind_; /* ... and their behind_finished */
    bool server_asks_again_ = false;
    Bytes client_behind_;
    Scripts server_scripts_; /* the server's worker only */
    Scripts client_scripts_; /* the client's worker only */
};

TEST_P(Outside, EverySuiteWithBoringSsl)
{
    RunAll(QURING_AEAD_BORINGSSL);
}

TEST_P(Outside, EverySuiteWithIpsecMb)
{
    quring_test::Runtime probe([] {
        quring_config config = quring_test::Config(QURING_IO_EPOLL);
        config.aead = QURING_AEAD_IPSEC_MB;
        return config;
    }());
    if (probe.rt() == nullptr) {
        GTEST_SKIP() << probe.error().message;
    }
    RunAll(QURING_AEAD_IPSEC_MB);
}

TEST_P(Outside, UnknownSuitesAndWrongLengthsAreRefused)
{
    ServeScripted();
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_EXTERNAL_TLS);
    EXPECT_TRUE(OnClient([&] {
        quring_connect_options options = {};
        options.remote = Remote();
        options.external_tls = true;
        options.on_event = Peer::OnEvent;
        options.ctx = &client_;
        quring_conn conn = {0};
        ASSERT_EQ(quring_connect(&conn, &options, nullptr), QURING_OK);
        const Bytes secret(48, 1);
        for (uint16_t suite : {0x1300, 0x1305, 0xc02b}) { /* RFC 9001 5.3: no CCM_8 either */
            EXPECT_EQ(quring_handshake_install_secret(conn, QURING_LEVEL_APP, QURING_DIR_READ,
                                                      suite, secret.data(), 32),
                      QURING_E_INVAL);
        }
        EXPECT_EQ(quring_handshake_install_secret(conn, QURING_LEVEL_APP, QURING_DIR_READ, 0x1304,
                                                  secret.data(), 48),
                  QURING_E_INVAL);
        EXPECT_EQ(quring_handshake_install_secret(conn, QURING_LEVEL_APP, QURING_DIR_READ, 0x1302,
                                                  secret.data(), 32),
                  QURING_E_INVAL);
        EXPECT_EQ(quring_conn_close(conn, 0, nullptr), QURING_OK);
    }));
}

/* H55: an answer that comes after the connection has gone, or for a handle whose slot is somebody else's
 * by now, changes nothing. */
TEST_P(Outside, H55_AnswersForADeadHandshakeAreRefused)
{
    ServeScripted();
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_EXTERNAL_TLS);
    ASSERT_TRUE(OnServer([&] { suite_ = 0x1304; }));
    const quring_conn dead = BeginScripted();
    ASSERT_TRUE(client_.WaitConnected(dead));
    ASSERT_TRUE(OnClient([&] { EXPECT_EQ(quring_conn_close(dead, 0, nullptr), QURING_OK); }));
    ASSERT_TRUE(client_.WaitClosed(dead));
    const quring_conn next = BeginScripted();
    ASSERT_TRUE(client_.WaitConnected(next));
    EXPECT_NE(next.handle, dead.handle);
    ASSERT_TRUE(OnClient([&] {
        const Bytes secret(32, 1);
        EXPECT_EQ(quring_handshake_send(dead, QURING_LEVEL_APP, secret.data(), 4), QURING_E_STATE);
        EXPECT_EQ(quring_handshake_install_secret(dead, QURING_LEVEL_APP, QURING_DIR_READ, 0x1304,
                                                  secret.data(), 32),
                  QURING_E_STATE);
        EXPECT_EQ(quring_handshake_set_peer_params(dead, secret.data(), 4), QURING_E_STATE);
        EXPECT_EQ(quring_handshake_complete(dead), QURING_E_STATE);
        EXPECT_EQ(quring_handshake_fail(dead, 40), QURING_E_STATE);
        EXPECT_EQ(quring_handshake_accept(dead), QURING_E_STATE);
        EXPECT_EQ(quring_handshake_refuse(dead, 2), QURING_E_STATE);
    }));
    ExpectEcho(next, 10000, 5);
}

/* RFC 9001 4.4, 6: of a server's messages then only tickets reach the program; the others end the connection. */
TEST_P(Outside, OnlyTicketsComeAfterTheHandshake)
{
    const Bytes ticket = Message(kTicket, Bytes(300, 24));
    const Bytes key_update = Message(24, {0});
    const struct {
        Bytes last;
        size_t first_len; /* said ahead of the rest */
        uint64_t code;
    } cases[] = {{key_update, 0, 0x10a},
                 {key_update, 600, 0x10a},
                 {Message(13, {0, 0, 0}), 0, 0x0a},
                 {Message(13, {0, 0, 0}), 602, 0x0a},
                 {Message(kFinished, Bytes(32, 1)), 608, 0x10a},
                 {Message(5, {}), 300, 0x10a}};
    ServeScripted();
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_EXTERNAL_TLS);
    ASSERT_TRUE(OnServer([&] { suite_ = 0x1301; }));
    for (const auto &c : cases) {
        SCOPED_TRACE(&c - cases);
        const quring_conn conn = BeginScripted();
        ASSERT_TRUE(client_.WaitConnected(conn));
        Bytes said = ticket;
        said.insert(said.end(), ticket.begin(), ticket.end());
        said.insert(said.end(), c.last.begin(), c.last.end());
        const auto say = [&](size_t from, size_t to) {
            ASSERT_TRUE(OnServer([&] {
                for (const auto &entry : server_scripts_) {
                    const quring_conn to_say = {entry.first};
                    EXPECT_EQ(quring_handshake_send(to_say, QURING_LEVEL_APP, said.data() + from,
                                                    to - from),
                              QURING_OK);
                }
            }));
        };
        if (c.first_len > 0) {
            say(0, c.first_len);
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
        say(c.first_len, said.size());
        ExpectError(conn, c.code, false);
    }
}

TEST_P(Outside, TicketsComeAfterTheHandshake)
{
    ServeScripted();
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_EXTERNAL_TLS);
    ASSERT_TRUE(OnServer([&] { suite_ = 0x1301; }));
    const quring_conn conn = BeginScripted();
    ASSERT_TRUE(client_.WaitConnected(conn));
    const quring_conn server_conn = ServerConn();
    for (size_t len : {0, 24, 13 << 8}) {
        const Bytes ticket = Message(kTicket, Bytes(len, 24));
        ASSERT_TRUE(OnServer([&] {
            EXPECT_EQ(
                quring_handshake_send(server_conn, QURING_LEVEL_APP, ticket.data(), ticket.size()),
                QURING_OK);
        }));
        ExpectEcho(conn, 5000, static_cast<uint32_t>(len));
    }
    ASSERT_TRUE(OnClient([&] { EXPECT_EQ(client_scripts_.at(conn.handle).ticket_count, 3); }));
}

/* RFC 8446 4.1.2, RFC 9368 4: a second ClientHello names the version of the first flight as the first one did, although
 * the server has switched to another one since. */
TEST_P(Outside, ASecondClientHelloSaysTheSameInAnotherVersion)
{
    server_config_.limits.version_preferred = QURING_QUIC_V2;
    ServeScripted();
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_EXTERNAL_TLS);
    ASSERT_TRUE(OnServer([&] {
        suite_ = 0x1301;
        server_asks_again_ = true;
    }));
    const quring_conn conn = BeginScripted();
    ASSERT_TRUE(client_.WaitConnected(conn));
    EXPECT_EQ(client_.Facts(conn).info.version, QURING_QUIC_V2);
    ASSERT_TRUE(OnClient([&] {
        const std::vector<Bytes> &said = client_scripts_.at(conn.handle).said_params;
        ASSERT_EQ(said.size(), 2u);
        EXPECT_EQ(said[0], said[1]);
    }));
    ExpectEcho(conn, 10000, 1);
}

/* RFC 9001 6, 8.3: what QUIC has not, at whichever level; 4.1.3: bytes behind the last message of one. */
TEST_P(Outside, WhatQuicHasNotEndsTheHandshake)
{
    ServeScripted();
    QURING_START(Peer::Mode::kEcho, QURING_LISTEN_EXTERNAL_TLS);
    for (uint8_t type : {24, 5}) {
        ASSERT_TRUE(OnServer([&] { suite_ = 0x1301; }));
        client_behind_ = Message(type, {});
        ExpectError(BeginScripted(), 0x10a, true);
    }
    client_behind_.clear();
    ASSERT_TRUE(OnServer([&] { server_behind_ = Message(kServerParams, {}); }));
    ExpectError(BeginScripted(), 0x0a, false);
}

INSTANTIATE_TEST_SUITE_P(Loopback, Outside, testing::ValuesIn(kBackends), SettingName);

} // namespace

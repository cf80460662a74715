/* NEW_TOKEN (RFC 9000 8.1.3, 8.1.4, 19.7) between whole endpoints, and what survives a restart. */
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "quic/crypto/anti_replay.h"
#include "quic/crypto/token.h"
#include "quic/wire/header.h"
#include "tests/quic/endpoint/forge.h"
#include "tests/quic/endpoint/net.h"

namespace
{

constexpr uint32_t kSlots = 64;
constexpr quic_ns kLifetime = 3600 * kS;

void with_tokens(sim::Options &o)
{
    o.server.limits.new_tokens = 1;
    o.server.limits.new_token_lifetime_ns = kLifetime;
}

class Tokens : public testing::Test
{
  protected:
    Tokens() : memory_(quic_anti_replay_size(kSlots) / sizeof(uint64_t) + 1)
    {
        const uint8_t key[16] = {3};
        used_ = quic_anti_replay_init(memory_.data(), kSlots, kLifetime + QUIC_TOKEN_SKEW_NS, key,
                                      0, kS);
    }

    /* Listens with tokens, Retry demanded of whoever has none. */
    void Serve(Net &net, bool retry = true)
    {
        net.options.retry = retry;
        net.token_register = used_;
        net.serve(nullptr);
    }

    static quring_conn_info Info(quic_conn *conn)
    {
        quring_conn_info info;
        quic_conn_get_info(conn, &info);
        return info;
    }

    static const quic_counters &Counters(Net &net)
    {
        return *quic_endpoint_counters(net.server.ep);
    }

    static void Close(Net &net)
    {
        ASSERT_EQ(quic_conn_close(net.client.conn, 0, nullptr), QUIC_OK);
        net.run_for(10 * kS);
        net.client.events.clear();
        net.server.events.clear();
        net.server.conn = nullptr;
        net.client.conn = nullptr;
        net.sent.clear();
    }

    /* A connection for its token. */
    static std::string Token(Net &net)
    {
        net.tokens.clear();
        net.token.clear();
        EXPECT_TRUE(net.handshake());
        EXPECT_TRUE(net.run_until([&] { return !net.tokens.empty(); }));
        const std::string token = net.tokens.empty() ? "" : net.tokens[0];
        Close(net);
        return token;
    }

    /* Connects with net.token; tells whether the server asked for Retry. */
    static bool Retried(Net &net)
    {
        const uint64_t before = Counters(net).sent_retry;
        EXPECT_TRUE(net.handshake());
        const bool retried = Counters(net).sent_retry != before;
        EXPECT_EQ(Info(net.client.conn).retry_used, retried);
        EXPECT_EQ(Info(net.server.conn).token_used, !retried);
        Close(net);
        return retried;
    }

    std::vector<uint64_t> memory_;
    quic_anti_replay *used_;
};

/* RFC 9000 8.1.3 */
TEST_F(Tokens, OneConnectionSparesTheNextItsRetry)
{
    Net net(with_tokens);
    Serve(net);
    net.token = Token(net);
    EXPECT_EQ(Counters(net).tokens_sent, 1u);
    EXPECT_EQ(Counters(net).sent_retry, 1u);
    net.run_for(kLifetime / 2);
    const quic_ns began = net.now;
    ASSERT_TRUE(net.handshake());
    EXPECT_EQ(net.now, began + 3 * net.delay); /* no Retry's round trip */
    EXPECT_TRUE(Info(net.server.conn).token_used);
    EXPECT_FALSE(Info(net.client.conn).retry_used);
    EXPECT_EQ(Counters(net).sent_retry, 1u);
    EXPECT_EQ(Counters(net).tokens_accepted, 1u);
    ASSERT_TRUE(net.run_until([&] { return net.tokens.size() == 2; })); /* it gave another */
    Close(net);
    net.token = net.tokens[1];
    EXPECT_FALSE(Retried(net));
}

/* RFC 9000 8.1: an address proved by a token has no 3x limit. */
TEST_F(Tokens, TheAddressCountsAsValidatedAtOnce)
{
    for (const bool with_token : {false, true}) {
        Net net([](sim::Options &o) {
            with_tokens(o);
            o.server_flight_len = 12000; /* a long chain of certificates */
        });
        Serve(net, false);
        const std::string token = Token(net);
        net.token = with_token ? token : "";
        uint64_t to_server = 0;
        uint64_t to_client = 0;
        net.filter = [&](Packet &p) {
            (p.to_server ? to_server : to_client) += p.bytes.size();
            return !p.to_server || to_server <= 1200; /* the client falls silent */
        };
        ASSERT_NE(net.connect(), nullptr);
        net.run_for(100 * kMs);
        EXPECT_EQ(to_client > 3 * 1200, with_token) << to_client;
    }
}

/* RFC 9000 8.1.4 */
TEST_F(Tokens, IsGoodForOneConnection)
{
    Net net(with_tokens);
    Serve(net);
    net.token = Token(net);
    EXPECT_FALSE(Retried(net));
    EXPECT_TRUE(Retried(net));
    EXPECT_EQ(Counters(net).tokens_refused, 1u);
}

TEST_F(Tokens, ARegisterThatIsFullTakesNone)
{
    Net net(with_tokens);
    Serve(net);
    net.token = Token(net);
    for (uint64_t i = 0; i < 4 * kSlots; i++) {
        (void)!quic_anti_replay_take(used_, reinterpret_cast<const uint8_t *>(&i), sizeof(i),
                                     net.now, net.now);
    }
    EXPECT_TRUE(Retried(net));
}

TEST_F(Tokens, Expires)
{
    Net net(with_tokens);
    Serve(net);
    net.token = Token(net);
    net.run_for(kLifetime + kS);
    EXPECT_TRUE(Retried(net));
}

TEST_F(Tokens, IsBoundToTheAddressNotToThePort)
{
    Net net(with_tokens);
    Serve(net);
    const std::string first = Token(net);
    net.token = first;
    ASSERT_NE(net.connect(6000), nullptr);
    ASSERT_TRUE(net.run_until([&] { return net.server.conn != nullptr; }));
    EXPECT_TRUE(Info(net.server.conn).token_used);
    ASSERT_TRUE(net.run_until([&] { return net.client.conn != nullptr; }));
    Close(net);
    net.token = Token(net);
    net.client.addr.ip[3] = 77;
    EXPECT_TRUE(Retried(net));
}

TEST_F(Tokens, AsManyAsTheSettingSays)
{
    for (const uint32_t count : {0u, 1u, 3u, 8u}) {
        Net net([count](sim::Options &o) {
            with_tokens(o);
            o.server.limits.new_tokens = count;
        });
        Serve(net);
        ASSERT_TRUE(net.handshake());
        net.run_for(kS);
        EXPECT_EQ(net.tokens.size(), count);
        EXPECT_EQ(Counters(net).tokens_sent, count);
    }
}

TEST_F(Tokens, NoneWithoutARegister)
{
    Net net(with_tokens);
    ASSERT_TRUE(net.handshake());
    net.run_for(kS);
    EXPECT_TRUE(net.tokens.empty());
}

/* RFC 9000 13.3 */
TEST_F(Tokens, ALostOneIsReplaced)
{
    for (int lose = 0; lose < 12; lose++) {
        Net net(with_tokens);
        Serve(net, false);
        int n = 0;
        net.filter = [&](Packet &p) { return p.to_server || n++ != lose; };
        ASSERT_TRUE(net.handshake()) << lose;
        ASSERT_TRUE(net.run_until([&] { return !net.tokens.empty(); })) << lose;
    }
}

/* Also when there is nothing else in its packet: it asks for an acknowledgement. */
TEST_F(Tokens, ALostOneThatWasAloneIsReplaced)
{
    Net net(with_tokens);
    Serve(net, false);
    ASSERT_TRUE(net.handshake());
    ASSERT_TRUE(net.run_until([&] { return net.tokens.size() == 1; }));
    net.run_for(kS);
    int n = 0;
    net.filter = [&](Packet &p) { return p.to_server || n++ > 0; };
    ASSERT_EQ(quic_conn_give_token(net.server.conn), QUIC_OK);
    net.run_for(3 * kS);
    EXPECT_GE(n, 2);
    EXPECT_EQ(net.tokens.size(), 2u);
}

/* RFC 9000 8.1.3: a token of a path is for its address. */
TEST_F(Tokens, AMovedClientGetsAnother)
{
    Net net(with_tokens);
    Serve(net);
    ASSERT_TRUE(net.handshake());
    ASSERT_TRUE(net.run_until([&] { return net.tokens.size() == 1; }));
    net.filter = [](Packet &p) { /* a NAT gives the client another address */
                                 (p.to_server ? p.from : p.to).ip[3] = p.to_server ? 99 : 2;
                                 return true;
    };
    (void)net.write(net.client, "from elsewhere");
    ASSERT_TRUE(net.run_until([&] { return net.tokens.size() == 2; }));
    Close(net);
    net.token = net.tokens[1];
    EXPECT_FALSE(Retried(net)); /* from there */
    net.token = Token(net);
    net.filter = nullptr; /* back home, that one is worth nothing */
    EXPECT_TRUE(Retried(net));
}

TEST_F(Tokens, OfAnotherServerNameOrVersionAreNotShown)
{
    Net net(with_tokens);
    Serve(net);
    const std::string token = Token(net);
    std::vector<std::string> bad;
    for (const size_t at : {0u, 7u, 8u, 9u}) { /* magic, version, length of the name, the name */
        bad.push_back(token);
        bad.back()[at] ^= 1;
    }
    bad.push_back(token.substr(0, 9));
    bad.push_back(token + std::string(2000, 'x'));
    bad.emplace_back("x");
    for (const std::string &b : bad) {
        net.token = b;
        ASSERT_NE(net.connect(), nullptr);
        net.sent.clear();
        net.run_for(kMs);
        quic_long_header h;
        ASSERT_EQ(quic_header_decode_long(&h, net.sent[0].bytes.data(), net.sent[0].bytes.size(),
                                          QUIC_VERSIONS_ALL),
                  QUIC_OK);
        EXPECT_EQ(h.token_len, 0u);
        ASSERT_TRUE(net.run_until([&] { return net.client.conn != nullptr; }));
        Close(net);
    }
}

/* RFC 9369 5: its server goes on speaking that version. */
TEST_F(Tokens, TheVersionItIsFromIsSpokenAtOnce)
{
    Net net([](sim::Options &o) {
        with_tokens(o);
        o.clients[0].limits.version_first = QUIC_VERSION_2;
    });
    Serve(net);
    net.token = Token(net);
    net.options.clients[0].limits.version_first = 0;
    ASSERT_NE(net.connect(), nullptr);
    net.run_for(kMs);
    quic_long_header h;
    ASSERT_EQ(quic_header_decode_long(&h, net.sent[0].bytes.data(), net.sent[0].bytes.size(),
                                      QUIC_VERSIONS_ALL),
              QUIC_OK);
    EXPECT_EQ(h.version, QUIC_VERSION_2);
    EXPECT_GT(h.token_len, 0u);
}

/* A session and a token together: 0-RTT without a Retry before it. */
TEST_F(Tokens, GoTogetherWithASession)
{
    std::vector<uint64_t> memory(quic_anti_replay_size(kSlots) / sizeof(uint64_t) + 1);
    const uint8_t key[16] = {1};
    quic_early_gate gate{};
    gate.id = 77;
    gate.replay = quic_anti_replay_init(memory.data(), kSlots, 3600 * kS, key, 0, kS);
    Net net(with_tokens);
    net.options.retry = true;
    net.token_register = used_;
    net.serve(&gate);
    ASSERT_TRUE(net.handshake());
    ASSERT_TRUE(net.run_until([&] { return !net.last_session.empty() && !net.tokens.empty(); }));
    Close(net);
    net.session = net.last_session;
    net.token = net.tokens[0];
    net.zero_rtt = true;
    const quic_ns began = net.now;
    net.client.conn = net.connect();
    ASSERT_NE(net.client.conn, nullptr);
    const uint64_t id = net.write(net.client, "hello");
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
    EXPECT_EQ(net.now, began + net.delay);
    ASSERT_TRUE(net.run_until([&] { return net.server.conn != nullptr; }));
    EXPECT_TRUE(Info(net.server.conn).token_used);
    EXPECT_TRUE(Info(net.server.conn).early_accepted);
}

/* RFC 9000 8.1.3: a Retry's token takes the place of the one that was not good enough. */
TEST_F(Tokens, ARetryReplacesIt)
{
    Net net(with_tokens);
    Serve(net);
    net.token = Token(net);
    net.token.back() ^= 1;
    EXPECT_TRUE(Retried(net));
}

/* ---- restarts ------------------------------------------------------------------------------------- */

TEST_F(Tokens, SurviveARestartWithTheSameSecret)
{
    Net net(with_tokens);
    Serve(net);
    const std::string token = Token(net);
    net.restart_server();
    net.token = token;
    EXPECT_FALSE(Retried(net));
}

TEST_F(Tokens, AreWorthNothingUnderAnotherSecret)
{
    Net net(with_tokens);
    Serve(net);
    net.token = Token(net);
    net.server_config = [](quic_endpoint_config &c) { c.root_secret[0] ^= 1; };
    net.restart_server();
    EXPECT_TRUE(Retried(net));
}

TEST_F(Tokens, SurviveARotationOfTheSecret)
{
    Net net(with_tokens);
    Serve(net);
    net.token = Token(net);
    net.server_config = [](quic_endpoint_config &c) {
        memcpy(c.previous_root_secret, c.root_secret, sizeof(c.root_secret));
        c.has_previous_secret = true;
        c.root_secret[0] ^= 1;
    };
    net.restart_server();
    EXPECT_FALSE(Retried(net));
    net.token = Token(net); /* made under the new one */
    EXPECT_FALSE(Retried(net));
}

/* The machine was rebooted: its monotonic clock began anew, the wall clock went on. */
TEST_F(Tokens, TheirAgeIsToldByTheWallClock)
{
    for (const quic_ns later : {10 * kS, kLifetime + 10 * kS}) {
        Net net(with_tokens);
        const quic_ns wall = 1000000 * kS;
        const uint8_t key[16] = {3};
        used_ = quic_anti_replay_init(memory_.data(), kSlots, kLifetime + QUIC_TOKEN_SKEW_NS, key,
                                      0, wall);
        net.options.retry = true;
        net.token_register = used_;
        net.server_config = [&](quic_endpoint_config &c) { c.wall_offset_ns = wall - net.now; };
        net.restart_server();
        const std::string token = Token(net);
        net.server_config = [&](quic_endpoint_config &c) {
            c.wall_offset_ns = wall + later - net.now;
        };
        net.restart_server();
        net.token = token;
        EXPECT_EQ(Retried(net), later > kLifetime);
    }
}

/* Clocks of two machines differ a little. */
TEST_F(Tokens, MayComeFromALittleInTheFuture)
{
    for (const quic_ns ahead : {4 * kS, 60 * kS}) {
        Net net(with_tokens);
        Serve(net);
        quic_endpoint_set_wall_offset(net.server.ep, 11 * kS + ahead); /* 10 s pass in Token */
        const std::string token = Token(net);
        quic_endpoint_set_wall_offset(net.server.ep, 0);
        net.token = token;
        EXPECT_EQ(Retried(net), ahead > 10 * kS);
    }
}

/* RFC 9000 10.3: the server knows the old connection no more, and says so. */
TEST_F(Tokens, ARestartedServerResetsOldConnections)
{
    struct {
        const char *name;
        std::function<void(quic_endpoint_config &)> change;
        bool reset;
    } cases[] = {
        {"same secret", nullptr, true},
        {"another secret", [](quic_endpoint_config &c) { c.root_secret[0] ^= 1; }, false},
        {"rotated",
         [](quic_endpoint_config &c) {
             memcpy(c.previous_root_secret, c.root_secret, sizeof(c.root_secret));
             c.has_previous_secret = true;
             c.root_secret[0] ^= 1;
         },
         true},
    };
    for (auto &c : cases) {
        Net net(with_tokens);
        ASSERT_TRUE(net.handshake());
        net.run_for(kS);
        net.server_config = c.change;
        net.restart_server();
        (void)net.write(net.client, "are you there");
        EXPECT_EQ(net.run_until([&] { return net.client.count(QURING_EV_CLOSED) > 0; }, 5 * kS),
                  c.reset)
            << c.name;
        EXPECT_EQ(net.client.close_kind() == QURING_CLOSE_STATELESS_RESET, c.reset) << c.name;
    }
}

/* A client's Initial under way while the server restarts: its Retry token is as good as before. */
TEST_F(Tokens, ARetryTokenSurvivesARestart)
{
    for (const bool same : {true, false}) {
        Net net(with_tokens);
        Serve(net);
        ASSERT_NE(net.connect(), nullptr);
        net.run_for(15 * kMs); /* the Retry is on its way */
        if (!same) {
            net.server_config = [](quic_endpoint_config &c) { c.root_secret[0] ^= 1; };
        }
        net.restart_server();
        ASSERT_TRUE(net.run_until(
            [&] { return net.client.conn != nullptr || net.client.count(QURING_EV_CLOSED) > 0; }));
        EXPECT_EQ(net.client.conn != nullptr, same);
        EXPECT_EQ(Counters(net).drop_token, same ? 0u : 1u);
        if (!same) { /* it would not take a second Retry */
            EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_PEER_TRANSPORT);
            EXPECT_EQ(net.client.close_code(), static_cast<uint64_t>(QUIC_V_INVALID_TOKEN));
        }
    }
}

/* ---- whatever a client may send for a token ------------------------------------------------------------ */

class H73 : public Tokens
{
  protected:
    struct Answer {
        uint64_t close = UINT64_MAX; /* error of a CONNECTION_CLOSE */
        bool retry = false;
        uint32_t conns = 0;
        size_t datagrams = 0;
    };

    /* An Initial with this token, from somewhere; what the server says, and what it keeps. */
    Answer Show(Net &net, const Bytes &token, size_t pad_to = 1200)
    {
        InitialSpec spec;
        spec.dcid = spec.key_dcid = make_cid(0x1111111111111100u + next_++);
        spec.scid = make_cid(0x2222222222222222u);
        spec.frames = {0x01}; /* PING */
        spec.token = token;
        spec.pad_to = pad_to;
        net.sent.clear();
        const uint32_t before = quic_endpoint_conn_count(net.server.ep);
        net.inject(net.server, forge_initial(spec));
        Answer a;
        a.conns = quic_endpoint_conn_count(net.server.ep) - before;
        a.datagrams = net.sent.size();
        for (const Packet &p : net.sent) {
            quic_long_header h;
            const Bytes frames = open_initial(p.bytes, spec.dcid, true);
            a.close = close_code_of(frames) != UINT64_MAX ? close_code_of(frames) : a.close;
            a.retry = a.retry || (quic_header_decode_long(&h, p.bytes.data(), p.bytes.size(),
                                                          QUIC_VERSIONS_ALL) == QUIC_OK &&
                                  h.type == QUIC_PACKET_RETRY);
        }
        return a;
    }

    /* Counts as none: Retry is asked for. */
    void ExpectNone(Net &net, const Bytes &token, const char *what)
    {
        const Answer a = Show(net, token);
        EXPECT_TRUE(a.retry) << what;
        EXPECT_EQ(a.close, UINT64_MAX) << what;
        EXPECT_EQ(a.conns, 0u) << what;
        EXPECT_EQ(a.datagrams, 1u) << what;
    }

    /* One CONNECTION_CLOSE, and nothing is kept. */
    void ExpectInvalid(Net &net, const Bytes &token, const char *what)
    {
        const Answer a = Show(net, token);
        EXPECT_FALSE(a.retry) << what;
        EXPECT_EQ(a.close, static_cast<uint64_t>(QUIC_V_INVALID_TOKEN)) << what;
        EXPECT_EQ(a.conns, 0u) << what;
        EXPECT_EQ(a.datagrams, 1u) << what;
    }

    Bytes MakeNew(Net &net, uint8_t host, quic_ns issued, uint8_t secret = 1)
    {
        quic_addr addr = net.client.addr;
        addr.ip[3] = host;
        Bytes token(QUIC_TOKEN_NEW_LEN);
        EXPECT_EQ(
            quic_token_new_make(Keys(secret), token.data(), Rng(), &addr, QUIC_VERSION_1, issued),
            QUIC_OK);
        return token;
    }

    Bytes MakeRetry(Net &net, uint8_t host, quic_ns issued, uint8_t secret = 1)
    {
        quic_addr addr = net.client.addr;
        addr.ip[3] = host;
        const quic_cid odcid = make_cid(5);
        const quic_cid scid = make_cid(0x1111111111111100u + next_); /* of the next Initial */
        Bytes token(QUIC_TOKEN_RETRY_LEN);
        EXPECT_EQ(quic_token_retry_make(Keys(secret), token.data(), Rng(), &addr, QUIC_VERSION_1,
                                        &odcid, &scid, issued),
                  QUIC_OK);
        return token;
    }

    const quic_token_keys *Keys(uint8_t secret)
    {
        uint8_t root[32];
        memset(root, secret, sizeof(root));
        quic_token_keys_derive(&keys_, root);
        return &keys_;
    }

    const quic_rng *Rng()
    {
        rng_ = quic_rng_seeded(&rng_state_);
        return &rng_;
    }

    uint64_t next_ = 0;
    quic_token_keys keys_{};
    quic_rng_seeded_state rng_state_{99};
    quic_rng rng_{};
};

TEST_F(H73, TokensOfNoKindCountAsNone)
{
    Net net([](sim::Options &o) {
        with_tokens(o);
        o.server.limits.udp_payload_max_bytes = 65527; /* a large one gets in at all */
    });
    Serve(net);
    ExpectNone(net, {}, "none");
    ExpectNone(net, {0}, "one byte");
    uint64_t x = 88172645463325252u;
    for (int i = 0; i < 200; i++) {
        Bytes random(1 + static_cast<size_t>(i) * 2);
        for (uint8_t &b : random) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            b = static_cast<uint8_t>(x);
        }
        random[0] |= 0x80; /* neither type */
        ExpectNone(net, random, "random");
    }
    const Answer large = Show(net, Bytes(60000, 7), 64000);
    EXPECT_TRUE(large.retry);
    EXPECT_EQ(large.conns, 0u);
}

TEST_F(H73, NewTokensThatAreNotGoodCountAsNone)
{
    Net net(with_tokens);
    Serve(net);
    net.now += 10 * kLifetime;
    const Bytes good = MakeNew(net, 2, net.now - kS);
    Bytes cut = good;
    cut.pop_back();
    ExpectNone(net, cut, "truncated");
    Bytes longer = good;
    longer.push_back(0);
    ExpectNone(net, longer, "trailing byte");
    Bytes flipped = good;
    flipped[40] ^= 1;
    ExpectNone(net, flipped, "damaged");
    ExpectNone(net, MakeNew(net, 2, net.now - kLifetime - kS), "expired");
    ExpectNone(net, MakeNew(net, 2, net.now + 60 * kS), "from the future");
    ExpectNone(net, MakeNew(net, 9, net.now), "of another address");
    ExpectNone(net, MakeNew(net, 2, net.now, 8), "of another secret");
    EXPECT_EQ(Show(net, good).conns, 1u);
    ExpectNone(net, good, "replayed");
}

TEST_F(H73, RetryTokensThatAreNotGoodAreInvalid)
{
    Net net(with_tokens);
    Serve(net);
    net.now += kLifetime;
    Bytes token = MakeRetry(net, 2, net.now - 11 * kS);
    ExpectInvalid(net, token, "expired");
    ExpectInvalid(net, MakeRetry(net, 2, net.now + 60 * kS), "from the future");
    ExpectInvalid(net, MakeRetry(net, 9, net.now), "of another address");
    ExpectInvalid(net, MakeRetry(net, 2, net.now, 8), "of another secret");
    token = MakeRetry(net, 2, net.now);
    token[50] ^= 1;
    ExpectInvalid(net, token, "damaged");
    token = MakeRetry(net, 2, net.now);
    next_++;
    ExpectInvalid(net, token, "of another connection");
    token = MakeRetry(net, 2, net.now);
    token.pop_back();
    ExpectNone(net, token, "truncated");
    EXPECT_EQ(Show(net, MakeRetry(net, 2, net.now - kS)).conns, 1u);
}

/* Keys are made for so many of them a second, whatever they look like: a token need not be ours to be a bad one. */
TEST_F(H73, RetryTokensThatAreNotGoodAreLookedAtWithinARate)
{
    Net net([](sim::Options &o) {
        with_tokens(o);
        o.server.limits.initials_per_s_retry = 20;
    });
    Serve(net);
    const quic_counters *counters = quic_endpoint_counters(net.server.ep);
    Bytes token(QUIC_TOKEN_RETRY_LEN, 7);
    token[0] = MakeRetry(net, 2, net.now)[0];
    InitialSpec spec;
    spec.scid = make_cid(0x2222222222222222u);
    spec.frames = {0x01}; /* PING */
    spec.token = token;
    for (uint64_t i = 0; i < 100; i++) {
        spec.dcid = spec.key_dcid = make_cid(0x1111111111111100u + i);
        Bytes noise = forge_initial(spec);
        noise.back() ^= 1;
        net.inject(net.server, noise);
    }
    EXPECT_EQ(counters->drop_undecryptable, 20u);
    EXPECT_EQ(counters->drop_limit, 80u);
    net.now += kS;
    ExpectInvalid(net, token, "made up");
}

} // namespace

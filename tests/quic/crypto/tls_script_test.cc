#include <gtest/gtest.h>

#include "quic/crypto/client_hello.h"
#include "quic/crypto/tls_script.h"
#include "tests/quic/crypto/tls_test_util.h"

namespace
{

using crypto_test::Bytes;
using crypto_test::Deliver;
using crypto_test::Handshake;
using crypto_test::Outcome;
using crypto_test::TlsEnd;

constexpr quic_rc kAlert = QUIC_V_CRYPTO_BASE;

size_t BytesAt(const TlsEnd &end, quic_level level)
{
    size_t n = 0;
    for (const auto &[l, bytes] : end.out) {
        n += l == level ? bytes.size() : 0;
    }
    return n;
}

struct Pair {
    quic_tls_script_config client_config;
    quic_tls_script_config server_config;
    TlsEnd client;
    TlsEnd server;
    Pair(const quic_tls_script_config &c, const quic_tls_script_config &s, uint64_t seed = 1)
        : client_config(c), server_config(s), client(quic_tls_script(), &client_config, QUIC_CLIENT,
                                                     "localhost", "client params", seed),
          server(quic_tls_script(), &server_config, QUIC_SERVER, nullptr, "server params", seed + 1)
    {
        EXPECT_EQ(client.create_rc(), QUIC_OK);
        EXPECT_EQ(server.create_rc(), QUIC_OK);
    }
};

quic_tls_script_config Plain()
{
    quic_tls_script_config config = {};
    config.alpn = "sim";
    return config;
}

TEST(TlsScript, CompletesAndAgreesInAnyChunks)
{
    for (uint16_t suite : {0, 0x1301, 0x1302, 0x1303}) {
        quic_tls_script_config config = Plain();
        config.suite = suite;
        config.ticket_len = 90;
        for (size_t chunk : {0u, 1u, 3u, 1000u}) {
            Pair p(config, config);
            const Outcome o = Handshake(&p.client, &p.server, chunk);
            EXPECT_EQ(o.client, QUIC_OK);
            EXPECT_EQ(o.server, QUIC_OK);
            ASSERT_TRUE(p.client.complete() && p.server.complete());
            EXPECT_EQ(p.client.peer_params(), "server params");
            EXPECT_EQ(p.server.peer_params(), "client params");
            EXPECT_EQ(p.client.alpn(), "sim");
            EXPECT_EQ(p.server.alpn(), "sim");
            EXPECT_EQ(p.server.server_name(), "localhost");
            EXPECT_EQ(p.client.suite(), suite != 0 ? suite : 0x1301);
            for (int level : {QUIC_LEVEL_HANDSHAKE, QUIC_LEVEL_APP}) {
                EXPECT_EQ((p.client.secrets[{level, true}]), (p.server.secrets[{level, false}]));
                EXPECT_EQ((p.client.secrets[{level, false}]), (p.server.secrets[{level, true}]));
                EXPECT_NE((p.client.secrets[{level, false}]), (p.client.secrets[{level, true}]));
                EXPECT_EQ((p.client.secrets[{level, true}].size()), suite == 0x1302 ? 48u : 32u);
            }
            p.client.Destroy();
            p.server.Destroy();
            EXPECT_EQ(p.client.mem().used() + p.server.mem().used(), 0u);
        }
    }
}

TEST(TlsScript, SizesFollowTheConfiguration)
{
    quic_tls_script_config config = Plain();
    config.client_hello_len = 2000;
    config.server_flight_len = 5000;
    Pair p(config, config);
    ASSERT_EQ(p.client.Start(), QUIC_OK);
    EXPECT_EQ(BytesAt(p.client, QUIC_LEVEL_INITIAL), 2000u);
    ASSERT_EQ(Deliver(&p.client, &p.server), QUIC_OK);
    EXPECT_EQ(BytesAt(p.server, QUIC_LEVEL_HANDSHAKE), 5000u);
    EXPECT_LT(BytesAt(p.server, QUIC_LEVEL_INITIAL), 100u);
    const quic_tls_script_config small = Plain();
    Pair q(small, small);
    ASSERT_EQ(q.client.Start(), QUIC_OK);
    EXPECT_EQ(BytesAt(q.client, QUIC_LEVEL_INITIAL), 300u);
    ASSERT_EQ(Deliver(&q.client, &q.server), QUIC_OK);
    EXPECT_EQ(BytesAt(q.server, QUIC_LEVEL_HANDSHAKE), 3000u);
}

TEST(TlsScript, SameSeedSameBytes)
{
    const quic_tls_script_config config = Plain();
    Pair a(config, config, 7);
    Pair b(config, config, 7);
    Pair c(config, config, 8);
    for (Pair *p : {&a, &b, &c}) {
        ASSERT_EQ(p->client.Start(), QUIC_OK);
    }
    EXPECT_EQ(a.client.out, b.client.out);
    EXPECT_NE(a.client.out, c.client.out);
    for (Pair *p : {&a, &b, &c}) {
        ASSERT_EQ(Deliver(&p->client, &p->server), QUIC_OK);
    }
    EXPECT_EQ(a.server.out, b.server.out);
    EXPECT_EQ(a.server.secrets, b.server.secrets);
    EXPECT_NE(a.server.secrets, c.server.secrets);
}

TEST(TlsScript, ClientHelloIsARealOne)
{
    const quic_tls_script_config config = Plain();
    Pair p(config, config);
    ASSERT_EQ(p.client.Start(), QUIC_OK);
    quic_client_hello hello;
    const Bytes &msg = p.client.out[0].second;
    ASSERT_EQ(quic_client_hello_parse(&hello, msg.data(), msg.size()), QUIC_OK);
    EXPECT_EQ(hello.transport_params.len, std::string("client params").size());
    EXPECT_EQ(hello.server_name.len, 9u);
}

TEST(TlsScript, RefusalsHaveTheirAlerts)
{
    quic_tls_script_config other = Plain();
    other.alpn = "other";
    quic_tls_script_config silent = Plain();
    silent.omit_params = true;
    quic_tls_script_config failing = Plain();
    failing.fail_alert = 40;
    {
        Pair p(Plain(), other);
        EXPECT_EQ(Handshake(&p.client, &p.server).server, 0x178);
    }
    {
        Pair p(silent, Plain());
        EXPECT_EQ(Handshake(&p.client, &p.server).server, 0x16d);
    }
    {
        Pair p(Plain(), silent);
        EXPECT_EQ(Handshake(&p.client, &p.server).client, 0x16d);
    }
    {
        Pair p(Plain(), failing);
        EXPECT_EQ(Handshake(&p.client, &p.server).server, 0x128);
        EXPECT_FALSE(p.server.complete());
    }
}

/* Any changed byte of the server's flight is noticed by the client, any of the client's Finished by
 * the server. */
TEST(TlsScript, EveryChangedByteIsNoticed)
{
    quic_tls_script_config config = Plain();
    config.server_flight_len = 200;
    for (size_t at = 0;; at++) {
        Pair p(config, config);
        ASSERT_EQ(p.client.Start(), QUIC_OK);
        ASSERT_EQ(Deliver(&p.client, &p.server), QUIC_OK);
        size_t left = at;
        bool changed = false;
        for (auto &[level, bytes] : p.server.out) {
            if (left < bytes.size()) {
                bytes[left] ^= 0x10;
                changed = true;
                break;
            }
            left -= bytes.size();
        }
        if (!changed) {
            break;
        }
        const quic_rc rc = Deliver(&p.server, &p.client);
        EXPECT_TRUE(rc != QUIC_OK || !p.client.complete()) << at;
        EXPECT_TRUE(rc == QUIC_OK || rc > kAlert || rc == QUIC_V_PROTOCOL_VIOLATION) << rc;
    }
    for (size_t at = 0; at < 36; at++) {
        Pair p(config, config);
        ASSERT_EQ(p.client.Start(), QUIC_OK);
        ASSERT_EQ(Deliver(&p.client, &p.server), QUIC_OK);
        ASSERT_EQ(Deliver(&p.server, &p.client), QUIC_OK);
        ASSERT_EQ(p.client.out.size(), 1u);
        p.client.out[0].second[at] ^= 0x10;
        EXPECT_TRUE(Deliver(&p.client, &p.server) != QUIC_OK || !p.server.complete()) << at;
    }
}

TEST(TlsScript, TamperedClientHelloEndsTheHandshakeSomewhere)
{
    const quic_tls_script_config config = Plain();
    for (size_t at = 0; at < 300; at++) {
        Pair p(config, config);
        ASSERT_EQ(p.client.Start(), QUIC_OK);
        p.client.out[0].second[at] ^= 0x20;
        const Outcome first = {QUIC_OK, Deliver(&p.client, &p.server)};
        if (first.server == QUIC_OK) {
            EXPECT_TRUE(Deliver(&p.server, &p.client) != QUIC_OK || !p.client.complete()) << at;
        }
    }
}

/* RFC 9001 4.1.3, 6 */
TEST(TlsScript, WrongLevelsAndMessagesAreRefused)
{
    const quic_tls_script_config config = Plain();
    const uint8_t key_update[] = {24, 0, 0, 1, 0};
    {
        Pair p(config, config);
        EXPECT_EQ(p.server.Provide(QUIC_LEVEL_APP, key_update, 5), QUIC_V_PROTOCOL_VIOLATION);
        EXPECT_EQ(p.server.Provide(QUIC_LEVEL_INITIAL, key_update, 5), QUIC_V_PROTOCOL_VIOLATION);
    }
    {
        Pair p(config, config);
        EXPECT_EQ(p.server.Provide(QUIC_LEVEL_INITIAL, key_update, 5), 0x10a);
    }
    Pair p(config, config);
    ASSERT_EQ(Handshake(&p.client, &p.server).client, QUIC_OK);
    EXPECT_EQ(p.client.Provide(QUIC_LEVEL_APP, key_update, 5), 0x10a);
    EXPECT_EQ(p.server.Provide(QUIC_LEVEL_APP, key_update, 5), 0x10a);
}

TEST(TlsScript, GiantMessagesAreRefusedEarly)
{
    const quic_tls_script_config config = Plain();
    Pair p(config, config);
    const uint8_t head[] = {1, 0xff, 0xff, 0xff, 0};
    EXPECT_EQ(p.server.Provide(QUIC_LEVEL_INITIAL, head, 5), kAlert + QUIC_ALERT_DECODE_ERROR);
}

TEST(TlsScript, MemoryRefusalIsAnError)
{
    const quic_tls_script_config config = Plain();
    Pair p(config, config);
    ASSERT_EQ(p.client.Start(), QUIC_OK);
    p.server.mem().set_limit(p.server.mem().used() + 10);
    EXPECT_EQ(Deliver(&p.client, &p.server), QUIC_E_NOMEM);
}

} // namespace

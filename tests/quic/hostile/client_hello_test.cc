/* Section B: ClientHellos of our own making, and what a server answers to their transport parameters. */
#include <algorithm>
#include <cstring>

#include <gtest/gtest.h>

#include "quic/crypto/tls_boring.h"
#include "quic/crypto/tls_script.h"
#include "quic/crypto/tls_script_msg.h"
#include "tests/quic/conn/conn_fixture.h"
#include "tests/quic/endpoint/forge.h"
#include "tests/quic/hostile/lying_tls.h"
#include "tests/quic/hostile/rows.h"

namespace
{

using hostile::expect_nothing_left;
using hostile::expect_sound;
using hostile::Row;

struct Named {
    const char *name;
    Frames bytes;
};

struct Hello {
    Frames params = Frames{0x0f, 0x08}.fill(8, 0x55);
    bool has_params = true;
    std::string alpn = "sim";
    bool session_id = false;
};

Bytes make_hello(const Hello &h)
{
    Bytes msg(8192);
    uint8_t random[32] = {1, 2, 3};
    quic_script_extensions ext{};
    ext.alpn = {reinterpret_cast<const uint8_t *>(h.alpn.data()), h.alpn.size()};
    ext.has_params = h.has_params;
    ext.params = {h.params.bytes().data(), h.params.bytes().size()};
    size_t n = quic_script_make_client_hello(msg.data(), msg.size(), random, &ext, 0);
    EXPECT_GT(n, 40u);
    msg.resize(n);
    if (h.session_id) {
        msg[38] = 32;
        msg.insert(msg.begin() + 39, 32, 0xab);
        size_t body = msg.size() - 4;
        msg[2] = static_cast<uint8_t>(body >> 8);
        msg[3] = static_cast<uint8_t>(body);
    }
    return msg;
}

/* What a server answers to this ClientHello: the error of its CONNECTION_CLOSE. */
uint64_t answer_to(const Hello &h)
{
    Net net;
    Bytes hello = make_hello(h);
    InitialSpec spec;
    spec.key_dcid = spec.dcid = make_cid(0x1122334455667788);
    spec.scid.len = 8;
    memset(spec.scid.bytes, 0x55, 8);
    for (size_t off = 0; off < hello.size(); off += 1000) {
        spec.frames =
            crypto_frame(off, hello.data() + off, std::min<size_t>(1000, hello.size() - off));
        net.inject(net.server, forge_initial(spec));
        spec.pn++;
    }
    expect_sound(net);
    for (const Packet &p : net.sent) {
        uint64_t code = close_code_of(open_initial(p.bytes, spec.dcid, true));
        if (code != UINT64_MAX) {
            EXPECT_EQ(net.server.close_code(), code);
            expect_nothing_left(net);
            return code;
        }
    }
    expect_nothing_left(net);
    return UINT64_MAX;
}

Frames good_params()
{
    return Frames{0x0f, 0x08}.fill(8, 0x55);
}

TEST(ClientHello, IsTakenWhenNothingIsWrong)
{
    EXPECT_EQ(answer_to(Hello{}), UINT64_MAX);
}

/* RFC 9000 7.3, 7.4, 18.2 */
TEST(HostileB, Row26WrongTransportParametersAreRefused)
{
    Row row("B", 26);
    const Named cases[] = {
        {"no initial_source_connection_id", Frames{0x01, 0x01, 0x00}},
        {"another initial_source_connection_id", Frames{0x0f, 0x08}.fill(8, 0x56)},
        {"shorter initial_source_connection_id", Frames{0x0f, 0x07}.fill(7, 0x55)},
        {"initial_source_connection_id of 21 bytes", Frames{0x0f, 21}.fill(21, 0x55)},
        {"original_destination_connection_id", good_params().b({0x00, 0x05}).str("DUMMY")},
        {"stateless_reset_token", good_params().b({0x02, 0x05}).str("DUMMY")},
        {"stateless_reset_token of 16 bytes", good_params().b({0x02, 0x10}).fill(16, 1)},
        {"preferred_address",
         good_params().b({0x0d, 49, 127, 0, 0, 1, 1, 187}).fill(18, 0).b({8}).fill(24, 3)},
        {"retry_source_connection_id", good_params().b({0x10, 0x05}).str("DUMMY")},
        {"max_udp_payload_size 1090", good_params().b({0x03, 0x02}).v(1090)},
        {"ack_delay_exponent 30", good_params().b({0x0a, 0x01, 30})},
        {"max_ack_delay 32768", good_params().b({0x0b, 0x04}).v(32768)},
        {"active_connection_id_limit 1", good_params().b({0x0e, 0x01, 0x01})},
        {"initial_max_streams_bidi above 2^60", good_params().b({0x08, 0x08}).v((1ull << 60) + 1)},
        {"initial_max_streams_uni above 2^60", good_params().b({0x09, 0x08}).v((1ull << 60) + 1)},
        {"a parameter twice", good_params().b({0x01, 0x01, 0x05, 0x01, 0x01, 0x05})},
        {"length beyond the end", good_params().b({0x01, 0x08, 0x05})},
        {"value longer than its number", good_params().b({0x01, 0x02, 0x05, 0x05})},
        {"disable_active_migration with a value", good_params().b({0x0c, 0x01, 0x00})},
    };
    for (const Named &c : cases) {
        Hello h;
        h.params = c.bytes;
        EXPECT_EQ(answer_to(h), static_cast<uint64_t>(QUIC_V_TRANSPORT_PARAMETER)) << c.name;
    }
}

/* RFC 9000 7.4.2: parameters nobody knows are passed over, but not without end. */
TEST(HostileB, Row26UnknownParametersAreIgnoredUpToABound)
{
    Row row("B", 26);
    for (size_t count : {30u, 50u}) {
        hostile::Lie lie;
        lie.params = [count](Bytes *params) {
            for (size_t i = 0; i < count; i++) { /* RFC 9000 18.1 */
                hostile::add_param(params, 31 * (1000 + i) + 27, Bytes(100, 9));
            }
        };
        hostile::LyingTls tls(quic_tls_boring(), lie);
        Net net([](sim::Options &o) { o.tls = sim::Tls::kBoring; });
        net.client_tls = tls.vtable();
        ASSERT_NE(net.connect(), nullptr);
        net.run_for(2 * kS);
        EXPECT_EQ(net.server.close_code(), count * 100 < 4096
                                               ? UINT64_MAX
                                               : static_cast<uint64_t>(QUIC_V_TRANSPORT_PARAMETER));
        expect_sound(net);
        expect_nothing_left(net);
    }
}

/* RFC 9368 3: a list of versions may be as long as its parameter; what is kept of it is short. */
TEST(HostileD, Row64ListsOfAThousandVersions)
{
    Row row("D", 64);
    auto bytes_held = [](size_t count) {
        hostile::Lie lie;
        lie.params = [count](Bytes *params) {
            Bytes list = {0, 0, 0, 1};
            for (size_t i = 0; i < count; i++) {
                const uint8_t version[] = {0x5a, static_cast<uint8_t>(i >> 8),
                                           static_cast<uint8_t>(i), 0x01};
                list.insert(list.end(), version, version + sizeof(version));
            }
            list.insert(list.end(), {0, 0, 0, 1});
            hostile::remove_param(params, 0x11);
            hostile::add_param(params, 0x11, list);
        };
        hostile::LyingTls tls(quic_tls_boring(), lie);
        Net net([](sim::Options &o) { o.tls = sim::Tls::kBoring; });
        net.client_tls = tls.vtable();
        EXPECT_NE(net.connect(), nullptr);
        net.run_for(2 * kS);
        EXPECT_EQ(net.server.count(QURING_EV_CONNECTED), 1u) << count;
        uint64_t held = net.server.alloc.bytes();
        expect_sound(net);
        expect_nothing_left(net);
        return held;
    };
    uint64_t few = bytes_held(8);
    EXPECT_LE(bytes_held(1000), few + 1024);
}

/* What a server may not say about the connection IDs of the handshake. */
struct ServerLie {
    const char *name;
    bool retry;
    void (*change)(Bytes *params);
};

constexpr uint64_t kOriginalDcid = 0x00;
constexpr uint64_t kInitialScid = 0x0f;
constexpr uint64_t kRetryScid = 0x10;

template <uint64_t id> void remove_id(Bytes *params)
{
    hostile::remove_param(params, id);
}

template <uint64_t id> void other_id(Bytes *params)
{
    hostile::remove_param(params, id);
    hostile::add_param(params, id, Bytes(8, 0x77));
}

const ServerLie kServerLies[] = {
    {"no original_destination_connection_id", false, remove_id<kOriginalDcid>},
    {"another original_destination_connection_id", false, other_id<kOriginalDcid>},
    {"no initial_source_connection_id", false, remove_id<kInitialScid>},
    {"another initial_source_connection_id", false, other_id<kInitialScid>},
    {"retry_source_connection_id without Retry", false, other_id<kRetryScid>},
    {"no retry_source_connection_id after Retry", true, remove_id<kRetryScid>},
    {"another retry_source_connection_id", true, other_id<kRetryScid>},
};

/* RFC 9000 7.3 */
TEST(HostileB, Row27IdsOfTheHandshakeMustBeTheOnesOnTheWire)
{
    Row row("B", 27);
    Hello h;
    h.params = Frames{0x0f, 0x08}.fill(8, 0x56);
    EXPECT_EQ(answer_to(h), static_cast<uint64_t>(QUIC_V_TRANSPORT_PARAMETER));
    for (const ServerLie &c : kServerLies) {
        hostile::Lie lie;
        lie.params = c.change;
        hostile::LyingTls tls(quic_tls_script(), lie);
        Net net([&](sim::Options &o) { o.retry = c.retry; });
        net.server_tls = tls.vtable();
        net.serve(nullptr);
        ASSERT_NE(net.connect(), nullptr);
        net.run_for(2 * kS);
        EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_LOCAL_TRANSPORT) << c.name;
        EXPECT_EQ(net.client.close_code(), static_cast<uint64_t>(QUIC_V_TRANSPORT_PARAMETER))
            << c.name;
        EXPECT_EQ(net.server.close_code(), static_cast<uint64_t>(QUIC_V_TRANSPORT_PARAMETER))
            << c.name;
        expect_sound(net);
        expect_nothing_left(net);
    }
}

TEST(HostileB, Row29ExtremeTransportParametersAreFine)
{
    Row row("B", 29);
    Hello h;
    h.params = good_params();
    for (uint8_t id : {0x01, 0x03, 0x04, 0x05, 0x06, 0x07, 0x0e}) {
        h.params.b({id, 0x08}).v((1ull << 62) - 1);
    }
    h.params.b({0x08, 0x08}).v(1ull << 60).b({0x09, 0x08}).v(1ull << 60);
    h.params.b({0x0a, 0x01, 20}).b({0x0b, 0x02}).v(16383);
    h.params.v(31 * 1000 + 27).v(100).fill(100, 9); /* RFC 9000 18.1 */
    EXPECT_EQ(answer_to(h), UINT64_MAX);
}

/* RFC 9001 8.2 */
TEST(HostileB, Row28WithoutTransportParametersIsRefused)
{
    Row row("B", 28);
    Hello h;
    h.has_params = false;
    EXPECT_EQ(answer_to(h), static_cast<uint64_t>(QUIC_V_CRYPTO_BASE + 109));
}

/* RFC 9001 8.1 */
TEST(ClientHello, WithNoCommonProtocolIsRefused)
{
    Hello h;
    h.alpn = "dummy";
    EXPECT_EQ(answer_to(h), static_cast<uint64_t>(QUIC_V_CRYPTO_BASE + 120));
}

/* RFC 9001 8.4 */
/* RFC 9001 4.2 */
TEST(HostileC, Row57WithoutTls13IsRefused)
{
    Row row("C", 57);
    constexpr uint16_t kSupportedVersions = 43; /* without it TLS 1.2 is offered (RFC 8446 4.2.1) */
    hostile::Lie lie;
    lie.crypto = [](quic_level level, Bytes *data) {
        if (level == QUIC_LEVEL_INITIAL) {
            EXPECT_TRUE(hostile::remove_extension(data, kSupportedVersions));
        }
    };
    hostile::LyingTls tls(quic_tls_boring(), lie);
    Net net([](sim::Options &o) { o.tls = sim::Tls::kBoring; });
    net.client_tls = tls.vtable();
    ASSERT_NE(net.connect(), nullptr);
    net.run_for(2 * kS);
    EXPECT_EQ(net.client.close_code(), 0x146u); /* protocol_version */
    EXPECT_EQ(net.server.count(QURING_EV_CONNECTED), 0u);
    expect_sound(net);
    expect_nothing_left(net);
}

TEST(HostileC, Row49ALegacySessionIdIsRefused)
{
    Row row("C", 49);
    Hello h;
    h.session_id = true;
    EXPECT_EQ(answer_to(h), static_cast<uint64_t>(QUIC_V_PROTOCOL_VIOLATION));
}

} // namespace

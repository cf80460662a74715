/* The transport and TLS error cases that the HTTP/3 world tests servers with: what a client does wrong
 * and the exact code our server closes with, over real TLS and real packet protection. The code is read
 * where the client hears it.
 */
#include <cstdio>
#include <ctime>
#include <string>

#include <gtest/gtest.h>

#include "quic/crypto/anti_replay.h"
#include "quic/crypto/tls_boring.h"
#include "quic/crypto/tls_boring_config.h"
#include "quic/wire/header.h"
#include "tests/quic/conn/conn_fixture.h"
#include "tests/quic/hostile/lying_tls.h"
#include "tests/quic/hostile/rows.h"

namespace
{

using hostile::expect_nothing_left;
using hostile::expect_sound;
using hostile::Lie;
using hostile::LyingTls;
using hostile::Row;

/* T1..T19, P1..P8, C1..C7 */
const hostile::Rows kRows("cases", 1, 34);
constexpr int kFirstP = 19;
constexpr int kFirstC = 27;

constexpr uint64_t kUnexpectedMessage = QUIC_V_CRYPTO_BASE + QUIC_ALERT_UNEXPECTED_MESSAGE;
constexpr uint64_t kMissingExtension = QUIC_V_CRYPTO_BASE + QUIC_ALERT_MISSING_EXTENSION;
constexpr uint16_t kParamsExtension = 0x39;

void real_tls(sim::Options &o)
{
    o.tls = sim::Tls::kBoring;
}

/* The server closes with `code`, the client is told, nothing is left. */
void expect_close(Net &net, uint64_t code)
{
    net.run_for(2 * kS);
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_PEER_TRANSPORT);
    EXPECT_EQ(net.client.close_code(), code);
    EXPECT_EQ(net.server.close_code(), code);
    expect_sound(net);
    expect_nothing_left(net);
}

/* ---- T: frames and packets ---------------------------------------------------------------------------- */

struct Case {
    int number;
    const char *name;
    quic_level level;
    Frames frames;
    uint64_t code;
    uint32_t flags = 0;
};

Frames new_cid(uint64_t seq, uint64_t retire_prior_to, uint8_t len)
{
    return Frames{0x18}.v(seq).v(retire_prior_to).b({len}).fill(len, 0x41).fill(16, 0x42);
}

const Case kCases[] = {
    {1, "StreamBeyondFlowControl", QUIC_LEVEL_APP,
     Frames{0x0f, 0x00, 0x85, 0xf5, 0xe1, 0x00, 0x07, 'G', 'E', 'T', ' ', '/', '\r', '\n'},
     QUIC_V_FLOW_CONTROL},
    {2, "StreamBeyondLimit", QUIC_LEVEL_APP,
     Frames{0x0b, 0xbb, 0x9a, 0xca, 0x00, 0x07, 'G', 'E', 'T', ' ', '/', '\r', '\n'},
     QUIC_V_STREAM_LIMIT},
    {3, "UnknownFrame", QUIC_LEVEL_APP, Frames{0x20}, QUIC_V_FRAME_ENCODING},
    {4, "NoFrames", QUIC_LEVEL_APP, Frames{}, QUIC_V_PROTOCOL_VIOLATION},
    {5, "ReservedBitsInHandshake", QUIC_LEVEL_HANDSHAKE, Frames{0x01}, QUIC_V_PROTOCOL_VIOLATION,
     INJECT_RESERVED_BITS},
    {6, "PathChallengeInHandshake", QUIC_LEVEL_HANDSHAKE,
     Frames{0x1a, '0', '1', '2', '3', '4', '5', '6', '7'}, QUIC_V_PROTOCOL_VIOLATION},
    {7, "ReservedBits", QUIC_LEVEL_APP, Frames{0x01}, QUIC_V_PROTOCOL_VIOLATION,
     INJECT_RESERVED_BITS},
    {8, "ResetOfSendOnlyStream", QUIC_LEVEL_APP, Frames{0x04, 0x03, 0x00, 0x00},
     QUIC_V_STREAM_STATE},
    {9, "StopSendingNotOpened", QUIC_LEVEL_APP, Frames{0x05, 0x40, 0x65, 0x00},
     QUIC_V_STREAM_STATE},
    {10, "NewTokenFromClient", QUIC_LEVEL_APP, Frames{0x07, 0x05, 'D', 'U', 'M', 'M', 'Y'},
     QUIC_V_PROTOCOL_VIOLATION},
    {11, "StreamNotOpened", QUIC_LEVEL_APP, Frames{0x0a, 0x01, 0x00}, QUIC_V_STREAM_STATE},
    {12, "StreamSendOnly", QUIC_LEVEL_APP, Frames{0x0a, 0x03, 0x00}, QUIC_V_STREAM_STATE},
    {13, "MaxStreamDataNotOpened", QUIC_LEVEL_APP, Frames{0x11, 0x40, 0x65, 0x80, 0x0f, 0x42, 0x40},
     QUIC_V_STREAM_STATE},
    {14, "MaxStreamDataReceiveOnly", QUIC_LEVEL_APP, Frames{0x11, 0x02, 0x80, 0x0f, 0x42, 0x40},
     QUIC_V_STREAM_STATE},
    {15, "MaxStreamsTooLarge", QUIC_LEVEL_APP, Frames{0x12, 0xd0, 0, 0, 0, 0, 0, 0, 0x01},
     QUIC_V_FRAME_ENCODING},
    {16, "StreamsBlockedTooLarge", QUIC_LEVEL_APP, Frames{0x16, 0xd0, 0, 0, 0, 0, 0, 0, 0x01},
     QUIC_V_FRAME_ENCODING},
    {17, "NewCidRetiresBeyondItself", QUIC_LEVEL_APP, new_cid(1, 11, 8), QUIC_V_FRAME_ENCODING},
    {18, "NewCidOfLengthZero", QUIC_LEVEL_APP, new_cid(1, 0, 0), QUIC_V_FRAME_ENCODING},
    {19, "HandshakeDoneFromClient", QUIC_LEVEL_APP, Frames{0x1e}, QUIC_V_PROTOCOL_VIOLATION},
};

std::string case_name(const testing::TestParamInfo<Case> &c)
{
    return "T" + std::to_string(c.param.number) + c.param.name;
}

class Transport : public testing::TestWithParam<Case>
{
};

TEST_P(Transport, ClosesWithTheExactCode)
{
    const Case &c = GetParam();
    Row row("cases", c.number);
    Liar liar(false, real_tls);
    c.level == QUIC_LEVEL_APP ? liar.establish() : liar.start_handshake();
    liar.say(c.level, c.frames, c.flags);
    expect_close(liar.net, c.code);
}

INSTANTIATE_TEST_SUITE_P(Cases, Transport, testing::ValuesIn(kCases), case_name);

/* ---- P: transport parameters -------------------------------------------------------------------------- */

struct ParamCase {
    int number;
    const char *name;
    uint64_t id;
    Bytes value;
    bool remove = false;
};

Bytes text(const char *s)
{
    return Bytes(s, s + std::string(s).size());
}

Bytes preferred_address()
{
    Bytes v = {127, 0, 0, 1, 0x01, 0xbb};
    v.insert(v.end(), 18, 0);
    v.push_back(8);
    for (uint8_t i = 0; i < 8; i++) {
        v.push_back(i);
    }
    for (uint8_t i = 0; i < 16; i++) {
        v.push_back(i);
    }
    return v;
}

const ParamCase kParamCases[] = {
    {1, "NoInitialSourceConnectionId", 0x0f, {}, true},
    {2, "OriginalDestinationConnectionId", 0x00, text("DUMMY")},
    {3, "PreferredAddress", 0x0d, preferred_address()},
    {4, "RetrySourceConnectionId", 0x10, text("DUMMY")},
    {5, "StatelessResetToken", 0x02, text("DUMMY")},
    {6, "MaxUdpPayloadSize1090", 0x03, {0x44, 0x42}},
    {7, "AckDelayExponent30", 0x0a, {30}},
    {8, "MaxAckDelay32768", 0x0b, {0x80, 0x00, 0x80, 0x00}},
};

std::string param_name(const testing::TestParamInfo<ParamCase> &c)
{
    return "P" + std::to_string(c.param.number) + c.param.name;
}

class Params : public testing::TestWithParam<ParamCase>
{
};

TEST_P(Params, ClosesWithTransportParameterError)
{
    const ParamCase &c = GetParam();
    Row row("cases", kFirstP + c.number);
    Lie lie;
    lie.params = [&](Bytes *params) {
        hostile::remove_param(params, c.id);
        if (!c.remove) {
            hostile::add_param(params, c.id, c.value);
        }
    };
    LyingTls tls(quic_tls_boring(), lie);
    Net net(real_tls);
    net.client_tls = tls.vtable();
    ASSERT_NE(net.connect(), nullptr);
    expect_close(net, QUIC_V_TRANSPORT_PARAMETER);
}

INSTANTIATE_TEST_SUITE_P(Cases, Params, testing::ValuesIn(kParamCases), param_name);

/* ---- C: TLS -------------------------------------------------------------------------------------------- */

const Bytes kKeyUpdate = {0x18, 0x00, 0x00, 0x01, 0x01};
const Bytes kEndOfEarlyData = {0x05, 0x00, 0x00, 0x00};

/* A handshake whose client is honest but for `lie`. */
void expect_tls_close(const Lie &lie, uint64_t code)
{
    LyingTls tls(quic_tls_boring(), lie);
    Net net(real_tls);
    net.client_tls = tls.vtable();
    ASSERT_NE(net.connect(), nullptr);
    expect_close(net, code);
}

bool is_finished(quic_level level, const Bytes &data)
{
    return level == QUIC_LEVEL_HANDSHAKE && !data.empty() && data[0] == 20;
}

/* RFC 9001 6 */
TEST(Tls, C1KeyUpdateAfterFinished)
{
    Row row("cases", kFirstC + 1);
    Lie lie;
    lie.crypto = [](quic_level level, Bytes *data) {
        if (is_finished(level, *data)) {
            data->insert(data->end(), kKeyUpdate.begin(), kKeyUpdate.end());
        }
    };
    expect_tls_close(lie, kUnexpectedMessage);
}

TEST(Tls, C2KeyUpdateInOneRtt)
{
    Row row("cases", kFirstC + 2);
    LyingTls tls(quic_tls_boring(), Lie{});
    Net net(real_tls);
    net.client_tls = tls.vtable();
    ASSERT_TRUE(net.handshake());
    net.run_for(100 * kMs);
    ASSERT_EQ(tls.say(QUIC_LEVEL_APP, kKeyUpdate), QUIC_OK);
    expect_close(net, kUnexpectedMessage);
}

/* RFC 9001 8.1 */
TEST(Tls, C3NoCommonProtocol)
{
    Row row("cases", kFirstC + 3);
    static const char *const alpn[] = {"dummy"};
    quic_tls_boring_options o{};
    o.alpn = alpn;
    o.alpn_count = 1;
    quic_tls_boring_config *client = nullptr;
    char err[256] = "";
    ASSERT_EQ(quic_tls_boring_config_create_client(&client, &o, err, sizeof(err)), QUIC_OK) << err;
    {
        Net net(real_tls);
        net.client_tls_config = client;
        ASSERT_NE(net.connect(), nullptr);
        expect_close(net, QUIC_V_CRYPTO_BASE + QUIC_ALERT_NO_APPLICATION_PROTOCOL);
    }
    quic_tls_boring_config_release(client);
}

/* RFC 9001 8.2 */
TEST(Tls, C4NoTransportParameters)
{
    Row row("cases", kFirstC + 4);
    Lie lie;
    lie.crypto = [](quic_level level, Bytes *data) {
        if (level == QUIC_LEVEL_INITIAL) {
            EXPECT_TRUE(hostile::remove_extension(data, kParamsExtension));
        }
    };
    expect_tls_close(lie, kMissingExtension);
}

/* RFC 9000 7.3: the extension is there, what it must hold is not. */
TEST(Tls, C4NothingInTheTransportParameters)
{
    Lie lie;
    lie.crypto = [](quic_level level, Bytes *data) {
        if (level == QUIC_LEVEL_INITIAL) {
            EXPECT_TRUE(hostile::empty_extension(data, kParamsExtension));
        }
    };
    expect_tls_close(lie, QUIC_V_TRANSPORT_PARAMETER);
}

TEST(Tls, C5TransportParametersUnderTheNumberOfDrafts)
{
    Row row("cases", kFirstC + 5);
    Lie lie;
    lie.crypto = [](quic_level level, Bytes *data) {
        if (level == QUIC_LEVEL_INITIAL) {
            EXPECT_TRUE(hostile::rename_extension(data, kParamsExtension, 0xffa5));
        }
    };
    expect_tls_close(lie, kMissingExtension);
}

/* RFC 9001 8.3 */
TEST(Tls, C6EndOfEarlyData)
{
    Row row("cases", kFirstC + 6);
    Lie lie;
    lie.crypto = [](quic_level level, Bytes *data) {
        if (is_finished(level, *data)) {
            data->insert(data->begin(), kEndOfEarlyData.begin(), kEndOfEarlyData.end());
        }
    };
    expect_tls_close(lie, kUnexpectedMessage);
}

TEST(Tls, C7CryptoInEarlyData)
{
    Row row("cases", kFirstC + 7);
    const uint32_t slots = 64;
    const uint8_t key[16] = {1};
    std::vector<uint64_t> memory(quic_anti_replay_size(slots) / sizeof(uint64_t) + 1);
    quic_early_gate gate{};
    gate.id = 77;
    gate.replay = quic_anti_replay_init(memory.data(), slots, 3600 * kS, key, 0, QUIC_NS_PER_S);
    Liar liar(false, real_tls);
    liar.net.serve(&gate);
    liar.establish();
    ASSERT_FALSE(liar.net.last_session.empty());
    ASSERT_EQ(quic_conn_close(liar.net.client.conn, 0, nullptr), QUIC_OK);
    liar.net.run_for(10 * kS);
    liar.net.session = liar.net.last_session;
    liar.net.zero_rtt = true;
    liar.net.client.events.clear();
    liar.net.server.events.clear();
    bool first = true;
    liar.net.filter = [&](Packet &p) { /* only the ClientHello reaches the server */
                                       bool pass = !p.to_server || first;
                                       first = p.to_server ? false : first;
                                       return pass;
    };
    liar.client = liar.net.connect();
    ASSERT_NE(liar.client, nullptr);
    liar.net.run_for(kMs);
    Bytes packet = liar.make(QUIC_LEVEL_EARLY, Bytes{0x06, 0x00, 0x06, 0x08, 0, 0, 0x02, 0, 0});
    liar.net.run_for(12 * kMs);
    liar.net.inject(liar.net.server, packet);
    expect_close(liar.net, QUIC_V_PROTOCOL_VIOLATION);
}

} // namespace

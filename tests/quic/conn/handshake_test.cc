/* What a peer may not do in the handshake, and the error code that stands on the wire for it. */
#include <algorithm>
#include <cstring>

#include <gtest/gtest.h>

#include "quic/crypto/tls_script_msg.h"
#include "tests/quic/conn/conn_fixture.h"
#include "tests/quic/endpoint/forge.h"

namespace
{

struct Named {
    const char *name;
    Frames bytes;
};

/* Every frame in a form that its decoder takes. */
const Named kNotBeforeOneRtt[] = {
    {"RESET_STREAM", Frames{0x04, 0, 0, 0}},
    {"STOP_SENDING", Frames{0x05, 0, 0}},
    {"NEW_TOKEN", Frames{0x07, 1, 'x'}},
    {"STREAM", Frames{0x0a, 0, 1, 'x'}},
    {"MAX_DATA", Frames{0x10, 0}},
    {"MAX_STREAM_DATA", Frames{0x11, 0, 0}},
    {"MAX_STREAMS", Frames{0x12, 0}},
    {"DATA_BLOCKED", Frames{0x14, 0}},
    {"STREAM_DATA_BLOCKED", Frames{0x15, 0, 0}},
    {"STREAMS_BLOCKED", Frames{0x16, 0}},
    {"NEW_CONNECTION_ID", Frames{0x18, 1, 0, 8}.fill(24, 1)},
    {"RETIRE_CONNECTION_ID", Frames{0x19, 0}},
    {"PATH_CHALLENGE", Frames{0x1a}.str("01234567")},
    {"PATH_RESPONSE", Frames{0x1b}.str("01234567")},
    {"CONNECTION_CLOSE of the application", Frames{0x1d, 0, 0}},
    {"HANDSHAKE_DONE", Frames{0x1e}},
};

/* RFC 9000 12.4 table 3, 17.2.4 */
TEST(Handshake, FramesNotAllowedInHandshakePacketsEndTheConnection)
{
    for (const Named &c : kNotBeforeOneRtt) {
        Liar liar;
        liar.start_handshake();
        liar.say(QUIC_LEVEL_HANDSHAKE, c.bytes);
        EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_PROTOCOL_VIOLATION)) << c.name;
        EXPECT_EQ(liar.net.server.close_kind(), QURING_CLOSE_LOCAL_TRANSPORT) << c.name;
    }
}

TEST(Handshake, FramesNotAllowedInInitialPacketsEndTheConnection)
{
    for (const Named &c : kNotBeforeOneRtt) {
        Liar liar;
        liar.net.filter = [](Packet &p) { return !p.to_server; };
        liar.client = liar.net.connect();
        liar.net.run_for(kMs);
        liar.say(QUIC_LEVEL_INITIAL, c.bytes);
        EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_PROTOCOL_VIOLATION)) << c.name;
    }
}

/* RFC 9000 17.2 */
TEST(Handshake, ReservedBitsInHandshakePacketsEndTheConnection)
{
    Liar liar;
    liar.start_handshake();
    liar.say(QUIC_LEVEL_HANDSHAKE, Frames{0x01}, INJECT_RESERVED_BITS | INJECT_FLIP_TAG);
    EXPECT_TRUE(liar.closes().empty()); /* whoever wrote that, it was not the peer */
    liar.say(QUIC_LEVEL_HANDSHAKE, Frames{0x01}, INJECT_RESERVED_BITS);
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_PROTOCOL_VIOLATION));
}

TEST(Handshake, EmptyPacketsEndTheConnection)
{
    Liar liar;
    liar.start_handshake();
    liar.say(QUIC_LEVEL_HANDSHAKE, Frames{});
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_PROTOCOL_VIOLATION));
}

/* RFC 9000 7.2 */
TEST(Handshake, PacketsWithAnotherSourceCidAreDropped)
{
    Liar liar;
    liar.start_handshake();
    liar.say(QUIC_LEVEL_HANDSHAKE, Frames{0x20}, INJECT_OTHER_SCID);
    EXPECT_TRUE(liar.closes().empty());
    ASSERT_TRUE(liar.net.run_until([&] { return liar.net.server.conn != nullptr; }, 5 * kS));
}

/* RFC 9001 8.3: EndOfEarlyData is not for QUIC. */
TEST(Handshake, EndOfEarlyDataEndsTheConnection)
{
    Liar liar;
    liar.start_handshake();
    liar.say(QUIC_LEVEL_HANDSHAKE, Frames{0x06, 0x00, 0x04, 0x05, 0x00, 0x00, 0x00});
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_CRYPTO_BASE + 10));
}

/* RFC 9000 7.5 */
TEST(Handshake, CryptoBeyondTheBufferEndsTheConnection)
{
    Liar liar;
    liar.start_handshake();
    liar.say(QUIC_LEVEL_HANDSHAKE, Frames{0x06}.v(16 * 1024).b({1, 'x'}));
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_CRYPTO_BUFFER_EXCEEDED));
}

TEST(Handshake, CryptoWithTooManyGapsEndsTheConnection)
{
    Liar liar;
    liar.start_handshake();
    for (uint64_t i = 1; i < 2000 && liar.closes().empty(); i++) {
        liar.say(QUIC_LEVEL_HANDSHAKE, Frames{0x06}.v(4 * i).b({1, 'x'}));
    }
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_CRYPTO_BUFFER_EXCEEDED));
}

/* RFC 9001 4.1.3: more CRYPTO data at a level whose successor has its keys. */
TEST(Handshake, InitialCryptoBeyondTheServerHelloEndsTheConnection)
{
    Liar liar(true);
    bool open = true;
    liar.net.filter = [&](Packet &p) { return p.to_server && open; };
    liar.client = liar.net.connect();
    ASSERT_TRUE(liar.net.run_until([&] { return liar.liar_conn() != nullptr; }, kS));
    liar.net.run_for(kMs);
    open = false;
    liar.say(QUIC_LEVEL_INITIAL, Frames{0x06}.v(5000).b({1, 'x'}));
    EXPECT_TRUE(liar.closes().empty());
    liar.net.inject(liar.net.client, liar.first_from_liar());
    EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_PROTOCOL_VIOLATION));
}

/* RFC 9000 10.2.3, 14.1: what a client says about it fills its datagram when it is an Initial. */
TEST(Handshake, ClientsCloseComesInAFullInitialOrInHandshakePackets)
{
    for (bool with_keys : {false, true}) {
        Liar liar(true);
        bool open = true;
        liar.net.filter = [&](Packet &p) { return p.to_server && open; };
        liar.client = liar.net.connect();
        ASSERT_TRUE(liar.net.run_until([&] { return liar.liar_conn() != nullptr; }, kS));
        liar.net.run_for(kMs);
        open = false;
        if (with_keys) { /* the ServerHello, and nothing that would make the client send */
            Bytes hello = liar.first_from_liar();
            liar.net.filter = [](Packet &) { return false; };
            quic_long_header h;
            ASSERT_EQ(quic_header_decode_long(&h, hello.data(), hello.size(), QUIC_VERSIONS_ALL),
                      QUIC_OK);
            hello.resize(h.packet_len); /* without what is coalesced with it */
            liar.net.inject(liar.net.client, hello);
            EXPECT_TRUE(inject_has_keys(liar.client, QUIC_LEVEL_HANDSHAKE, true));
        }
        liar.net.sent.clear();
        ASSERT_EQ(quic_conn_close(liar.client, 5, "no"), QUIC_OK);
        liar.net.run_for(kMs);
        std::vector<WireClose> closes = liar.closes();
        ASSERT_EQ(closes.size(), 1u) << with_keys;
        EXPECT_EQ(closes[0].in, with_keys ? QUIC_PACKET_HANDSHAKE : QUIC_PACKET_INITIAL);
        EXPECT_EQ(closes[0].error, static_cast<uint64_t>(QUIC_V_APPLICATION_ERROR));
        if (!with_keys) {
            EXPECT_GE(liar.net.sent.back().bytes.size(), 1200u);
        }
    }
}

/* ---- ClientHellos of our own making ---------------------------------------------------------------- */

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
    for (const Packet &p : net.sent) {
        uint64_t code = close_code_of(open_initial(p.bytes, spec.dcid, true));
        if (code != UINT64_MAX) {
            EXPECT_EQ(net.server.close_code(), code);
            return code;
        }
    }
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
TEST(ClientHello, WrongTransportParametersAreRefused)
{
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

TEST(ClientHello, ExtremeTransportParametersAreFine)
{
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
TEST(ClientHello, WithoutTransportParametersIsRefused)
{
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
TEST(ClientHello, WithALegacySessionIdIsRefused)
{
    Hello h;
    h.session_id = true;
    EXPECT_EQ(answer_to(h), static_cast<uint64_t>(QUIC_V_PROTOCOL_VIOLATION));
}

} // namespace

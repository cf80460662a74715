/* Section B: frames at levels where they do not belong, and levels that end. */
#include <gtest/gtest.h>

#include "quic/crypto/anti_replay.h"
#include "tests/quic/conn/conn_fixture.h"
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
TEST(HostileB, Row25FramesNotAllowedInHandshakePackets)
{
    Row row("B", 25);
    for (const Named &c : kNotBeforeOneRtt) {
        Liar liar;
        liar.start_handshake();
        liar.say(QUIC_LEVEL_HANDSHAKE, c.bytes);
        EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_PROTOCOL_VIOLATION)) << c.name;
        EXPECT_EQ(liar.net.server.close_kind(), QURING_CLOSE_LOCAL_TRANSPORT) << c.name;
        expect_sound(liar.net);
        expect_nothing_left(liar.net);
    }
}

TEST(HostileB, Row25FramesNotAllowedInInitialPackets)
{
    Row row("B", 25);
    for (const Named &c : kNotBeforeOneRtt) {
        Liar liar;
        liar.net.filter = [](Packet &p) { return !p.to_server; };
        liar.client = liar.net.connect();
        liar.net.run_for(kMs);
        liar.say(QUIC_LEVEL_INITIAL, c.bytes);
        EXPECT_EQ(liar.close_on_wire(), static_cast<uint64_t>(QUIC_V_PROTOCOL_VIOLATION)) << c.name;
        expect_sound(liar.net);
        expect_nothing_left(liar.net);
    }
}

/* RFC 9000 12.5, RFC 9001 4.1.3 */
const Named kNotInEarlyData[] = {
    {"ACK", Frames{0x02, 0, 0, 0, 0}},
    {"ACK with ECN counts", Frames{0x03, 0, 0, 0, 0, 0, 0, 0}},
    {"CRYPTO", Frames{0x06, 0, 1, 'x'}},
    {"NEW_TOKEN", Frames{0x07, 1, 'x'}},
    {"RETIRE_CONNECTION_ID", Frames{0x19, 0}},
    {"PATH_RESPONSE", Frames{0x1b}.str("01234567")},
    {"HANDSHAKE_DONE", Frames{0x1e}},
};

TEST(HostileB, Row25FramesNotAllowedInEarlyData)
{
    Row row("B", 25);
    for (const Named &c : kNotInEarlyData) {
        const uint32_t slots = 64;
        const uint8_t key[16] = {1};
        std::vector<uint64_t> memory(quic_anti_replay_size(slots) / sizeof(uint64_t) + 1);
        quic_early_gate gate{};
        gate.id = 77;
        gate.replay = quic_anti_replay_init(memory.data(), slots, 3600 * kS, key, 0, QUIC_NS_PER_S);
        Liar liar;
        liar.net.serve(&gate);
        liar.establish();
        ASSERT_FALSE(liar.net.last_session.empty());
        ASSERT_EQ(quic_conn_close(liar.net.client.conn, 0, nullptr), QUIC_OK);
        liar.net.run_for(10 * kS);
        liar.net.session = liar.net.last_session;
        liar.net.zero_rtt = true;
        liar.net.sent.clear();
        liar.net.server.events.clear();
        bool open = true;
        liar.net.filter = [&](Packet &p) { return p.to_server && open; };
        liar.client = liar.net.connect();
        liar.net.run_for(15 * kMs); /* the ClientHello is there, 0-RTT keys with it */
        open = false;
        ASSERT_TRUE(inject_has_keys(liar.client, QUIC_LEVEL_INITIAL, true));
        liar.say(QUIC_LEVEL_EARLY, c.bytes);
        EXPECT_EQ(liar.net.server.close_kind(), QURING_CLOSE_LOCAL_TRANSPORT) << c.name;
        EXPECT_EQ(liar.net.server.close_code(), static_cast<uint64_t>(QUIC_V_PROTOCOL_VIOLATION))
            << c.name;
        expect_sound(liar.net);
        expect_nothing_left(liar.net);
    }
}

/* RFC 9001 4.9: whatever was in flight or owed at a level that ends is forgotten; nothing is sent at it
 * again, no timer waits for it. */
TEST(HostileB, Row45LevelsEndWithPacketsInFlight)
{
    Row row("B", 45);
    for (int lost = 0; lost < 8;
         lost++) { /* of the handshake's datagrams, so that probes are armed */
        Liar liar;
        int n = 0;
        liar.net.filter = [&](Packet &) { return n++ != lost; };
        liar.client = liar.net.connect();
        ASSERT_TRUE(liar.net.run_until(
            [&] { return liar.net.client.conn != nullptr && liar.net.server.conn != nullptr; }));
        liar.net.run_for(5 * kS);
        for (quic_level level : {QUIC_LEVEL_INITIAL, QUIC_LEVEL_HANDSHAKE}) {
            EXPECT_FALSE(inject_has_keys(liar.net.server.conn, level, true)) << lost;
            EXPECT_FALSE(inject_has_keys(liar.net.client.conn, level, true)) << lost;
        }
        liar.net.sent.clear();
        liar.net.run_for(20 * kS);
        for (const Packet &p : liar.net.sent) {
            EXPECT_EQ(p.bytes[0] & 0x80, 0) << lost;
        }
        EXPECT_TRUE(liar.alive());
        expect_sound(liar.net);
        expect_nothing_left(liar.net);
    }
}

} // namespace

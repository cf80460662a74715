/* What a 0-RTT packet may not carry (RFC 9000 12.4, 12.5; RFC 9001 8.3). */
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "quic/crypto/anti_replay.h"
#include "tests/quic/conn/inject.h"
#include "tests/quic/endpoint/net.h"

namespace
{

using Bytes = std::vector<uint8_t>;

struct Case {
    const char *name;
    Bytes frames;
    uint64_t code; /* 0: it is fine */
};

const Case kCases[] = {
    {"PING", {0x01}, 0},
    {"CRYPTO", {0x06, 0, 4, 5, 0, 0, 0}, 0x0a}, /* EndOfEarlyData */
    {"CRYPTO of nothing", {0x06, 0, 0}, 0x0a},
    {"ACK", {0x02, 0, 0, 0, 0}, 0x0a},
    {"NEW_TOKEN", {0x07, 1, 9}, 0x0a},
    {"PATH_RESPONSE", {0x1b, 1, 2, 3, 4, 5, 6, 7, 8}, 0x0a},
    {"RETIRE_CONNECTION_ID", {0x19, 0}, 0x0a},
    {"HANDSHAKE_DONE", {0x1e}, 0x0a},
};

TEST(EarlyFrames, H49_WhatDoesNotBelongIntoZeroRtt)
{
    for (const Case &c : kCases) {
        SCOPED_TRACE(c.name);
        std::vector<uint64_t> memory(quic_anti_replay_size(64) / sizeof(uint64_t) + 1);
        const uint8_t key[16] = {1};
        quic_early_gate gate = {};
        gate.id = 77;
        gate.replay = quic_anti_replay_init(memory.data(), 64, 3600 * kS, key, 0, QUIC_NS_PER_S);
        Net net;
        net.serve(&gate);
        ASSERT_TRUE(net.handshake());
        ASSERT_TRUE(net.run_until([&] { return !net.last_session.empty(); }));
        ASSERT_EQ(quic_conn_close(net.client.conn, 0, nullptr), QUIC_OK);
        net.run_for(10 * kS);
        net.server.events.clear();
        net.session = net.last_session;
        net.zero_rtt = true;
        quic_conn *client = net.connect();
        ASSERT_NE(client, nullptr);
        net.run_for(net.delay + kMs); /* the server has accepted; the client does not know yet */
        ASSERT_EQ(net.server.count(QURING_EV_EARLY_READY), 1u);
        Bytes packet(1500);
        packet.resize(inject_make(client, QUIC_LEVEL_EARLY, 0, c.frames.data(), c.frames.size(),
                                  packet.data(), packet.size()));
        ASSERT_FALSE(packet.empty());
        net.inject(net.server, packet);
        net.run_for(kMs);
        if (c.code == 0) {
            EXPECT_EQ(net.server.count(QURING_EV_CLOSED), 0u);
        } else {
            ASSERT_EQ(net.server.count(QURING_EV_CLOSED), 1u);
            EXPECT_EQ(net.server.close_code(), c.code);
        }
    }
}

} // namespace

#include <gtest/gtest.h>

#include "quic/wire/header.h"
#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"

namespace
{

using Bytes = std::vector<uint8_t>;

bool phase_of(const Packet &p)
{
    return quic_header_key_phase(p.bytes[0]); /* scripted: the shim's header protection is none */
}

/* RFC 9001 6 */
TEST(KeyUpdate, PeerFollowsAndDataGoesOn)
{
    for (bool by_server : {false, true}) {
        Net net;
        ASSERT_TRUE(net.handshake());
        net.run_for(100 * kMs);
        Side &mover = by_server ? net.server : net.client;
        Side &other = by_server ? net.client : net.server;
        for (int i = 0; i < 5; i++) {
            bool before = sim_inspect_key_phase(mover.conn);
            ASSERT_EQ(quic_conn_update_keys(mover.conn), QUIC_OK) << i;
            uint64_t id = net.write(mover, "in the new phase", true);
            net.run_for(kMs);
            EXPECT_NE(sim_inspect_key_phase(mover.conn), before) << i;
            EXPECT_EQ(phase_of(net.sent.back()), !before) << i;
            ASSERT_TRUE(net.run_until([&] { return other.streams[id].fin; })) << i;
            net.run_for(2 * kS); /* the answer, and the end of the old keys */
            EXPECT_EQ(sim_inspect_key_phase(other.conn), !before) << i;
        }
        EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_NONE);
    }
}

/* RFC 9001 6.3: after a rest, when the keys of the next phase rest as well, they are there before any packet
 * is opened, whatever its Key Phase bit says. */
TEST(KeyUpdate, ARestTakesTheNextKeysAndTheNextPacketBringsThemBack)
{
    for (bool updates : {false, true}) {
        Net net;
        ASSERT_TRUE(net.handshake());
        net.run_for(kS);
        EXPECT_TRUE(sim_inspect_has_next_keys(net.server.conn));
        net.run_for(20 * kS);
        EXPECT_FALSE(sim_inspect_has_next_keys(net.server.conn));
        EXPECT_TRUE(sim_inspect_keys_rest(net.server.conn));
        if (updates) {
            ASSERT_EQ(quic_conn_update_keys(net.client.conn), QUIC_OK);
        }
        uint64_t id = net.write(net.client, "after a rest", true);
        ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
        EXPECT_TRUE(sim_inspect_has_next_keys(net.server.conn));
        EXPECT_FALSE(sim_inspect_keys_rest(net.server.conn));
        EXPECT_EQ(sim_inspect_key_phase(net.server.conn), updates);
        EXPECT_EQ(quic_endpoint_counters(net.server.ep)->drop_undecryptable, 0u);
    }
}

/* A packet that nobody made brings them back, too: it takes no longer than others. */
TEST(KeyUpdate, AForgedPacketAfterARestFindsTheNextKeys)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.write(net.client, "x", true);
    net.run_for(kS);
    Bytes packet = net.sent.back().bytes;
    for (const Packet &p : net.sent) {
        if (p.to_server && !quic_header_is_long(p.bytes[0])) {
            packet = p.bytes;
        }
    }
    net.run_for(20 * kS);
    ASSERT_FALSE(sim_inspect_has_next_keys(net.server.conn));
    packet.back() ^= 1;
    net.inject(net.server, packet);
    EXPECT_TRUE(sim_inspect_has_next_keys(net.server.conn));
}

/* Who speaks first after a rest wakes his own keys. */
TEST(KeyUpdate, ARestingConnectionIsClosedWithAPacketThatTheOtherCanRead)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(20 * kS);
    ASSERT_TRUE(sim_inspect_keys_rest(net.server.conn));
    ASSERT_EQ(quic_conn_close(net.server.conn, 3, nullptr), QUIC_OK);
    net.run_for(kS);
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_PEER_APP);
    EXPECT_EQ(net.client.close_code(), 3u);
}

/* Without memory to open it a packet is as good as lost. */
TEST(KeyUpdate, APacketForAConnectionThatCannotWakeIsDropped)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(20 * kS);
    uint64_t id = net.write(net.client, "after a rest", true);
    net.server.alloc.fail_at(1, 3);
    net.run_for(15 * kMs);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->drop_limit, 1u);
    EXPECT_TRUE(sim_inspect_keys_rest(net.server.conn));
    net.server.alloc.fail_at(0);
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
}

/* RFC 9001 6.1: not before the last one was acknowledged */
TEST(KeyUpdate, IsNotRepeatedBeforeThePeerAnswered)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(100 * kMs);
    net.filter = [](Packet &) { return false; };
    ASSERT_EQ(quic_conn_update_keys(net.client.conn), QUIC_OK);
    net.write(net.client, "a", true);
    net.run_for(kMs);
    bool phase = sim_inspect_key_phase(net.client.conn);
    EXPECT_TRUE(phase);
    EXPECT_EQ(quic_conn_update_keys(net.client.conn), QUIC_E_AGAIN);
    net.write(net.client, "b", true);
    net.run_for(kMs);
    EXPECT_EQ(sim_inspect_key_phase(net.client.conn), phase);
    net.filter = nullptr;
    net.run_for(2 * kS);
    EXPECT_EQ(net.server.count(QURING_EV_STREAM_OPENED), 2u);
}

/* RFC 9001 6.5: packets of the old phase that come late are still opened */
TEST(KeyUpdate, LatePacketsOfTheOldPhaseAreTaken)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(100 * kMs);
    std::vector<Packet> late;
    net.filter = [&](Packet &p) {
        if (p.to_server && !phase_of(p)) {
            late.push_back(p);
            return false;
        }
        return true;
    };
    uint64_t old_id = net.write(net.client, "old phase", true);
    net.run_for(kMs);
    ASSERT_EQ(late.size(), 1u);
    ASSERT_EQ(quic_conn_update_keys(net.client.conn), QUIC_OK);
    uint64_t new_id = net.write(net.client, "new phase", true);
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[new_id].fin; }));
    EXPECT_FALSE(net.server.streams[old_id].fin);
    net.inject(net.server, late[0].bytes);
    EXPECT_TRUE(net.server.streams[old_id].fin);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->drop_undecryptable, 0u);
}

/* RFC 9000 5.1.1 */
TEST(Cids, BothSidesIssueAsManyAsThePeerWants)
{
    Net net([](sim::Options &o) {
        o.server.limits.cids_active_max = 3;
        o.clients[0].limits.cids_active_max = 6;
    });
    ASSERT_TRUE(net.handshake());
    net.run_for(200 * kMs);
    EXPECT_EQ(sim_inspect_cids_peer(net.server.conn), sim_inspect_cids_local(net.client.conn));
    EXPECT_EQ(sim_inspect_cids_peer(net.client.conn), sim_inspect_cids_local(net.server.conn));
    EXPECT_EQ(sim_inspect_cids_local(net.server.conn), 3u);
    EXPECT_EQ(sim_inspect_cids_local(net.client.conn), 3u);
}

/* RFC 9000 5.1.2, 19.16 */
TEST(Cids, RetiredOnesAreReplacedAndForgotten)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(200 * kMs);
    Packet first;
    for (const Packet &p : net.sent) {
        if (p.to_server && !quic_header_is_long(p.bytes[0])) {
            first = p;
        }
    }
    for (int i = 0; i < 20; i++) {
        ASSERT_TRUE(sim_inspect_rotate_cid(net.client.conn)) << i;
        net.run_for(100 * kMs);
        EXPECT_EQ(sim_inspect_cids_local(net.server.conn), 4u) << i;
        EXPECT_EQ(sim_inspect_cids_peer(net.client.conn), 4u) << i;
    }
    net.write(net.client, "with another connection ID", true);
    net.run_for(100 * kMs);
    EXPECT_TRUE(net.server.streams[2].fin);
    uint64_t unknown = quic_endpoint_counters(net.server.ep)->drop_unknown_cid;
    net.inject(net.server, first.bytes); /* to a retired one: nobody's any more */
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->drop_unknown_cid, unknown + 1);
    EXPECT_EQ(sim_inspect_check(net.server.ep), nullptr);
    /* The answer is a reset, which its peer does not take for one (10.3.1). */
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->sent_stateless_reset, 1u);
    net.write(net.client, "all the same", true);
    net.run_for(100 * kMs);
    EXPECT_EQ(net.server.streams[6].bytes, "all the same");
    EXPECT_EQ(net.client.count(QURING_EV_CLOSED), 0u);
}

/* RFC 9000 13.3: NEW_CONNECTION_ID is repeated until it is acknowledged. */
TEST(Cids, IssuedOnesReachThePeerInSpiteOfLoss)
{
    for (int k = 0; k < 12; k++) {
        Net net;
        int n = 0;
        net.filter = [&](Packet &) { return n++ != k; };
        ASSERT_TRUE(net.handshake()) << k;
        net.run_for(5 * kS);
        EXPECT_EQ(sim_inspect_cids_peer(net.client.conn), 4u) << k;
        EXPECT_EQ(sim_inspect_cids_peer(net.server.conn), 4u) << k;
    }
}

TEST(Cids, RetirementSurvivesLoss)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(200 * kMs);
    uint64_t n = 0;
    net.filter = [&](Packet &) { return ++n % 3 != 0; };
    for (int i = 0; i < 10; i++) {
        net.run_until([&] { return sim_inspect_rotate_cid(net.client.conn); }, 5 * kS);
        net.run_for(5 * kS);
        ASSERT_NE(net.client.conn, nullptr);
        EXPECT_EQ(sim_inspect_cids_local(net.server.conn), 4u) << i;
        EXPECT_EQ(sim_inspect_cids_peer(net.client.conn), 4u) << i;
    }
}

} // namespace

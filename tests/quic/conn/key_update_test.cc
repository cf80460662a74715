/* Updates of 1-RTT keys against a peer that breaks their rules, and the limits of keys (RFC 9001 6). */
#include <gtest/gtest.h>

#include "tests/quic/conn/conn_fixture.h"
#include "tests/sim/inspect.h"

namespace
{

constexpr uint64_t kKeyUpdateError = QUIC_V_KEY_UPDATE;

quring_conn_info info_of(const quic_conn *conn)
{
    quring_conn_info info;
    quic_conn_get_info(conn, &info);
    return info;
}

class KeyRules : public testing::TestWithParam<bool> /* the server lies */
{
};

INSTANTIATE_TEST_SUITE_P(Roles, KeyRules, testing::Bool(),
                         [](const auto &i) { return i.param ? "ServerLies" : "ClientLies"; });

/* RFC 9001 6.2 */
TEST_P(KeyRules, TwoUpdatesWithoutAnAcknowledgementBetween)
{
    Liar liar(GetParam());
    liar.establish();
    inject_rotate(liar.liar_conn());
    liar.say(Frames{0x01}); /* one PING: its acknowledgement may wait */
    ASSERT_TRUE(liar.alive());
    EXPECT_EQ(info_of(liar.victim().conn).key_updates_peer, 1u);
    inject_rotate(liar.liar_conn());
    liar.say(Frames{0x01});
    EXPECT_EQ(liar.close_on_wire(), kKeyUpdateError);
}

/* The same with one: what 6.1 asks for is enough, although 6.5 would have it wait longer. */
TEST_P(KeyRules, TwoUpdatesWithAnAcknowledgementBetween)
{
    Liar liar(GetParam());
    liar.establish();
    inject_rotate(liar.liar_conn());
    liar.say(Frames{0x01});
    liar.say(Frames{0x01}); /* the second is acknowledged at once */
    inject_rotate(liar.liar_conn());
    liar.say(Frames{0x01});
    EXPECT_TRUE(liar.alive());
    EXPECT_EQ(info_of(liar.victim().conn).key_updates_peer, 2u);
}

/* RFC 9001 6.4 */
TEST_P(KeyRules, OldKeysBehindNewerOnes)
{
    Liar liar(GetParam());
    liar.establish();
    Bytes old = liar.make(QUIC_LEVEL_APP, {0x01}, INJECT_AHEAD);
    inject_rotate(liar.liar_conn());
    liar.say(Frames{0x01});
    ASSERT_TRUE(liar.alive());
    liar.net.inject(liar.victim(), old);
    EXPECT_EQ(liar.close_on_wire(), kKeyUpdateError);
}

/* RFC 9001 6.5: a packet of the old phase that comes late is taken, but not after three PTOs. */
TEST_P(KeyRules, OldKeysAreKeptForThreeProbeTimeouts)
{
    for (bool late : {false, true}) {
        Liar liar(GetParam());
        liar.establish();
        Bytes old = liar.make(QUIC_LEVEL_APP, Frames{0x01}.bytes());
        inject_rotate(liar.liar_conn());
        liar.say(Frames{0x01});
        liar.net.run_for(late ? 900 * kMs : 20 * kMs);
        uint64_t before = quic_endpoint_counters(liar.victim().ep)->drop_undecryptable;
        uint64_t taken = info_of(liar.victim().conn).packets_recv;
        liar.net.inject(liar.victim(), old);
        EXPECT_EQ(quic_endpoint_counters(liar.victim().ep)->drop_undecryptable - before,
                  late ? 1u : 0u);
        EXPECT_EQ(info_of(liar.victim().conn).packets_recv - taken, late ? 0u : 1u);
        EXPECT_TRUE(liar.alive());
    }
}

/* However many there are of them, and in their order. */
TEST_P(KeyRules, LatePacketsOfTheOldPhaseAreNoNewPhase)
{
    Liar liar(GetParam());
    liar.establish();
    std::vector<Bytes> old;
    for (int i = 0; i < 4; i++) {
        old.push_back(liar.make(QUIC_LEVEL_APP, Frames{0x01}.bytes()));
    }
    inject_rotate(liar.liar_conn());
    liar.say(Frames{0x01});
    const uint64_t taken = info_of(liar.victim().conn).packets_recv;
    for (const Bytes &packet : old) {
        liar.net.inject(liar.victim(), packet);
        ASSERT_TRUE(liar.alive());
    }
    EXPECT_EQ(info_of(liar.victim().conn).packets_recv, taken + old.size());
    EXPECT_EQ(info_of(liar.victim().conn).key_updates_peer, 1u);
}

/* RFC 9001 6.2: our new packets are acknowledged, with keys the peer should no longer use. */
TEST_P(KeyRules, AcknowledgementWithOldKeys)
{
    Liar liar(GetParam());
    liar.establish();
    liar.net.filter = [](Packet &) { return false; };
    ASSERT_EQ(quic_conn_update_keys(liar.victim().conn), QUIC_OK);
    liar.net.run_for(kMs);
    liar.net.filter = nullptr;
    uint64_t pn = inject_next_pn(liar.victim().conn) - 1;
    liar.say(Frames{0x02}.v(pn).b({0, 0, 0}));
    EXPECT_EQ(liar.close_on_wire(), kKeyUpdateError);
}

/* RFC 9001 6.3, 9.5: a forged bit costs no derivation: no memory is asked for. */
TEST_P(KeyRules, ForgedPhaseBitsCostNothing)
{
    Liar liar(GetParam());
    liar.establish();
    const quic_counters *c = quic_endpoint_counters(liar.victim().ep);
    uint64_t dropped = c->drop_undecryptable;
    uint64_t blocks = liar.victim().alloc.count();
    for (int i = 0; i < 100; i++) {
        liar.say(QUIC_LEVEL_APP, Frames{0x01}, INJECT_OTHER_PHASE);
    }
    EXPECT_EQ(c->drop_undecryptable, dropped + 100);
    EXPECT_EQ(liar.victim().alloc.count(), blocks);
    EXPECT_EQ(info_of(liar.victim().conn).key_updates_peer, 0u);
    liar.say(Frames{0x01});
    EXPECT_TRUE(liar.alive());
}

/* While old keys are kept as well. */
TEST_P(KeyRules, ForgedPhaseBitsAroundAnUpdate)
{
    Liar liar(GetParam());
    liar.establish();
    inject_rotate(liar.liar_conn());
    liar.say(Frames{0x01});
    const quic_counters *c = quic_endpoint_counters(liar.victim().ep);
    uint64_t dropped = c->drop_undecryptable;
    uint64_t blocks = liar.victim().alloc.count();
    for (size_t len : {size_t{1}, size_t{1000}}) {
        liar.say(QUIC_LEVEL_APP, Frames{}.fill(len, 1), INJECT_OTHER_PHASE);
        liar.say(QUIC_LEVEL_APP, Frames{}.fill(len, 1), INJECT_FLIP_TAG);
        liar.say(QUIC_LEVEL_APP, Frames{}.fill(len, 1), INJECT_FLIP_TAG | INJECT_OTHER_PHASE);
    }
    EXPECT_EQ(c->drop_undecryptable, dropped + 6);
    EXPECT_EQ(liar.victim().alloc.count(), blocks);
    EXPECT_TRUE(liar.alive());
}

/* RFC 9001 6.1: not before the handshake is confirmed. A packet that claims to be of the next phase waits
 * with the others of its level, and is then not authentic. */
TEST(KeyUpdateRules, NotBeforeTheHandshakeIsConfirmed)
{
    Liar liar;
    liar.start_handshake();
    EXPECT_EQ(quic_conn_update_keys(liar.client), QUIC_E_AGAIN); /* complete, not confirmed */
    liar.say(QUIC_LEVEL_APP, Frames{0x01}, INJECT_OTHER_PHASE);
    EXPECT_TRUE(liar.closes().empty());
    ASSERT_TRUE(liar.net.run_until([&] { return liar.net.server.conn != nullptr; }, 5 * kS));
    liar.net.run_for(kS);
    EXPECT_EQ(quic_endpoint_counters(liar.net.server.ep)->drop_undecryptable, 1u);
    EXPECT_TRUE(liar.alive());
    EXPECT_EQ(quic_conn_update_keys(liar.client), QUIC_OK);
}

TEST(KeyUpdateRules, OnRequest)
{
    Net net;
    quic_conn *client = net.connect();
    EXPECT_EQ(quic_conn_update_keys(client), QUIC_E_STATE);
    ASSERT_TRUE(net.run_until([&] { return net.client.conn && net.server.conn; }));
    net.run_for(kS);
    for (uint32_t i = 1; i <= 6; i++) {
        Side &one = i % 2 == 0 ? net.server : net.client;
        if (i >
            1) { /* nothing of its present phase was acknowledged yet (6.1): asking changes that */
            EXPECT_EQ(quic_conn_update_keys(one.conn), QUIC_E_AGAIN) << i;
            net.run_for(100 * kMs);
        }
        ASSERT_EQ(quic_conn_update_keys(one.conn), QUIC_OK) << i;
        EXPECT_EQ(quic_conn_update_keys(one.conn), QUIC_E_AGAIN) << i;
        net.run_for(kS); /* a PING carries the news */
        EXPECT_EQ(info_of(net.client.conn).key_updates, (i + 1) / 2);
        EXPECT_EQ(info_of(net.server.conn).key_updates_peer, (i + 1) / 2);
        EXPECT_EQ(info_of(net.server.conn).key_updates, i / 2);
        EXPECT_EQ(sim_inspect_key_phase(net.client.conn), sim_inspect_key_phase(net.server.conn));
    }
    EXPECT_EQ(quic_endpoint_counters(net.client.ep)->drop_undecryptable, 0u);
    ASSERT_EQ(quic_conn_close(client, 0, nullptr), QUIC_OK);
    EXPECT_EQ(quic_conn_update_keys(client), QUIC_E_STATE);
}

/* Both begin at once: each takes the other's update for the answer to its own. */
TEST(KeyUpdateRules, BothAtOnce)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(kS);
    ASSERT_EQ(quic_conn_update_keys(net.client.conn), QUIC_OK);
    ASSERT_EQ(quic_conn_update_keys(net.server.conn), QUIC_OK);
    net.run_for(2 * kS);
    EXPECT_EQ(info_of(net.client.conn).key_updates, 1u);
    EXPECT_EQ(info_of(net.client.conn).key_updates_peer, 0u);
    ASSERT_EQ(quic_conn_update_keys(net.client.conn), QUIC_OK);
    uint64_t id = net.write(net.client, "goes on");
    net.run_for(2 * kS);
    EXPECT_TRUE(net.server.streams[id].fin);
    EXPECT_EQ(quic_endpoint_counters(net.client.ep)->drop_undecryptable, 0u);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->drop_undecryptable, 0u);
}

/* RFC 9001 6.6: keys change by themselves when half of what one may seal is used up. */
TEST(KeyLimits, H54_AnUpdateComesInTime)
{
    Net net([](sim::Options &o) { o.seal_limit = 2000; });
    net.keep_sent = false;
    ASSERT_TRUE(net.handshake());
    for (int i = 0; i < 40; i++) {
        uint64_t id = net.write(net.client, std::string(100000, 'x'));
        ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; })) << i;
        net.server.streams.erase(id);
        net.run_for(200 * kMs);
    }
    quring_conn_info info = info_of(net.client.conn);
    EXPECT_GE(info.key_updates, 3u);
    EXPECT_EQ(info.key_updates, info_of(net.server.conn).key_updates_peer);
    EXPECT_EQ(quic_endpoint_counters(net.client.ep)->key_updates, info.key_updates);
}

/* Nothing leaves with a worn-out key, whoever is to blame. */
TEST(KeyLimits, H54_WithoutAnUpdateTheConnectionEnds)
{
    Liar liar(true, [](sim::Options &o) { o.seal_limit = 1000; });
    liar.establish();
    inject_stop_updates(liar.victim().conn);
    liar.net.write(liar.victim(), std::string(2000000, 'x'));
    liar.net.run_for(10 * kS);
    EXPECT_EQ(liar.close_on_wire(), uint64_t{QUIC_V_AEAD_LIMIT_REACHED});
    size_t sealed = 0;
    for (const Packet &p : liar.net.sent) {
        sealed += p.to_server ? 1 : 0;
    }
    EXPECT_LT(sealed, 1000u);
}

/* RFC 9001 6.6: forgeries are counted over the connection, across its keys. */
TEST_P(KeyRules, H54_TooManyForgeriesEndTheConnection)
{
    Liar liar(GetParam(), [](sim::Options &o) { o.open_limit = 1000; });
    liar.establish();
    for (int i = 0; i < 999; i++) {
        if (i == 500) {
            inject_rotate(liar.liar_conn());
            liar.say(Frames{0x01});
        }
        liar.say(QUIC_LEVEL_APP, Frames{0x01},
                 i % 2 == 0 ? INJECT_FLIP_TAG : INJECT_OTHER_PHASE | INJECT_FLIP_TAG);
    }
    EXPECT_TRUE(liar.alive());
    liar.say(QUIC_LEVEL_APP, Frames{0x01}, INJECT_FLIP_TAG);
    EXPECT_EQ(liar.close_on_wire(), uint64_t{QUIC_V_AEAD_LIMIT_REACHED});
}

/* RFC 9001 9.5: whether a number was seen before does not show, as the packet is opened all the same; and one that is
 * not authentic counts. */
TEST_P(KeyRules, ForgeriesUnderKnownNumbersAreForgeries)
{
    Liar liar(GetParam());
    liar.establish();
    const quic_counters *c = quic_endpoint_counters(liar.victim().ep);
    Bytes packet = liar.make(QUIC_LEVEL_APP, {0x01});
    liar.net.inject(liar.victim(), packet);
    const uint64_t dropped = c->drop_undecryptable;
    const uint64_t repeated = c->drop_duplicate;
    liar.net.inject(liar.victim(), packet);
    EXPECT_EQ(c->drop_undecryptable, dropped);
    EXPECT_EQ(c->drop_duplicate, repeated + 1);
    packet.back() ^= 1;
    liar.net.inject(liar.victim(), packet);
    packet[0] ^= QUIC_HEADER_KEY_PHASE_BIT;
    liar.net.inject(liar.victim(), packet);
    EXPECT_EQ(c->drop_undecryptable, dropped + 2);
    EXPECT_EQ(c->drop_duplicate, repeated + 1);
    EXPECT_TRUE(liar.alive());
}

} // namespace

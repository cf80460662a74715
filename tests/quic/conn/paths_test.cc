/* Peers that lie about paths and connection IDs, or keep to no rule (RFC 9000 5.1, 8.2, 9, 18.2). */
#include <gtest/gtest.h>

#include "tests/quic/conn/conn_fixture.h"
#include "tests/sim/inspect.h"

namespace
{

Frames new_cid(uint64_t seq, uint64_t retire_prior_to, uint8_t fill)
{
    Frames f{0x18};
    return f.v(seq).v(retire_prior_to).b({8}).fill(8, fill).fill(16, fill);
}

Frames challenge(uint8_t fill)
{
    Frames f{0x1a};
    return f.fill(8, fill);
}

Frames &add_challenge(Frames &f, uint8_t fill)
{
    return f.b({0x1a}).fill(8, fill);
}

/* ---- 82: the connection ID of a path is retired while it is in use ---------------------------------- */

/* Room for the lie beside what the server goes on to issue. */
void room_for_more(sim::Options &o)
{
    o.clients[0].limits.cids_active_max = 8;
}

TEST(Paths, H82_RetiredInThePacketThatMustBeAnswered)
{
    Liar liar(true, room_for_more);
    liar.establish();
    Frames f = new_cid(40, 4, 0x77);
    liar.say(add_challenge(f, 1));
    EXPECT_EQ(liar.count_frames(0x1b), 1u);
    EXPECT_EQ(liar.count_frames(0x19), 4u) << "0 to 3 are given back";
    for (const Packet &p : liar.net.sent) {
        if (p.to_server) {
            EXPECT_EQ(p.bytes[1], 0x77);
        }
    }
    EXPECT_EQ(sim_inspect_check(liar.net.client.ep), nullptr);
}

TEST(Paths, H82_APathOnTrialGetsAnother)
{
    Liar liar(true, room_for_more);
    liar.establish();
    ASSERT_EQ(liar.net.migrate(7000), QUIC_OK); /* with number 1 */
    liar.say(new_cid(40, 2, 0x77));             /* 2 is used where 0 was, 3 is left for it */
    ASSERT_TRUE(liar.net.run_until(
        [&] { return liar.net.client.count(QURING_EV_PATH_CHANGED) == 1; }, 5 * kS));
    EXPECT_EQ(info_of(liar.net.client).local.port, 7000);
    EXPECT_TRUE(liar.alive());
    EXPECT_EQ(sim_inspect_check(liar.net.client.ep), nullptr);
}

TEST(Paths, H82_APathOnTrialWithoutAnyIsGivenUp)
{
    Liar liar(true, room_for_more);
    liar.establish();
    ASSERT_EQ(liar.net.migrate(7000), QUIC_OK);
    liar.say(new_cid(40, 4, 0x77));
    EXPECT_TRUE(
        liar.net.run_until([&] { return liar.net.client.count(QURING_EV_PATH_FAILED) == 1; }, kMs));
    EXPECT_TRUE(liar.alive());
    EXPECT_EQ(info_of(liar.net.client).local.port, 5000);
}

/* ---- 81: a client that was told not to move --------------------------------------------------------- */

TEST(Paths, H81_AForbiddenMoveIsDropped)
{
    Liar liar(false, [](sim::Options &o) { o.server.limits.disable_active_migration = true; });
    liar.establish();
    inject_forget_forbidden(liar.client);
    ASSERT_EQ(liar.net.migrate(7000), QUIC_OK);
    liar.net.run_for(kS);
    for (const Packet &p : liar.net.sent) {
        EXPECT_TRUE(p.to_server || p.to.port == 5000) << "not even a stateless reset";
    }
    EXPECT_GT(quic_endpoint_counters(liar.net.server.ep)->drop_unknown_cid, 0u);
    EXPECT_TRUE(liar.alive());
    ASSERT_TRUE(liar.net.run_until(
        [&] { return liar.net.client.count(QURING_EV_PATH_FAILED) == 1; }, 5 * kS));
    uint64_t id = liar.net.write(liar.net.client, "still here");
    EXPECT_TRUE(liar.net.run_until([&] { return liar.net.server.streams[id].fin; }, 5 * kS));
}

/* ---- challenges and answers ------------------------------------------------------------------------- */

/* RFC 9000 8.2.2 asks for one answer each; a flood gets the newest few. */
TEST(Paths, AFloodOfChallengesIsAnsweredInPart)
{
    for (bool by_server : {false, true}) {
        Liar liar(by_server);
        liar.establish();
        Frames f;
        for (uint8_t i = 0; i < 100; i++) {
            add_challenge(f, i);
        }
        liar.say(f);
        EXPECT_LE(liar.count_frames(0x1b), 4u);
        EXPECT_GE(liar.count_frames(0x1b), 1u);
        EXPECT_TRUE(liar.alive());
    }
}

/* From an address that is not proved, at most three times what came from there leaves. */
TEST(Paths, AFloodOfChallengesFromElsewhereKeepsToTheLimit)
{
    Liar liar;
    liar.establish();
    uint64_t in = 0;
    for (uint16_t i = 0; i < 50; i++) {
        Frames f;
        for (uint8_t j = 0; j < 10; j++) {
            add_challenge(f, j);
        }
        Bytes packet = liar.make(QUIC_LEVEL_APP, f.bytes());
        in += packet.size();
        liar.net.inject(liar.net.server, packet, static_cast<uint16_t>(6000 + i % 7));
    }
    uint64_t out = 0;
    for (const Packet &p : liar.net.sent) {
        out += !p.to_server && p.to.port != 5000 ? p.bytes.size() : 0;
    }
    EXPECT_GT(out, 0u);
    EXPECT_LE(out, 3 * in);
    EXPECT_TRUE(liar.alive());
    EXPECT_LT(info_of(liar.net.server).mem_bytes, 100000u);
    EXPECT_EQ(sim_inspect_check(liar.net.server.ep), nullptr);
    liar.net.run_for(10 * kS);
    EXPECT_EQ(quic_endpoint_counters(liar.net.server.ep)->path_changes, 0u) << "probes move nobody";
}

/* RFC 9000 19.18 */
TEST(Paths, AnAnswerToNoChallengeEndsNothing)
{
    for (bool by_server : {false, true}) {
        Liar liar(by_server);
        liar.establish();
        Frames answer{0x1b};
        liar.say(answer.fill(8, 9));
        EXPECT_EQ(liar.close_on_wire(), UINT64_MAX);
    }
}

/* RFC 9000 9.1: only what is no probe moves; PATH_RESPONSE, NEW_CONNECTION_ID and PADDING are probes. */
TEST(Paths, OnlyPacketsThatAreNoProbesMove)
{
    Liar liar;
    liar.establish();
    Frames probing{0x00, 0x00, 0x00, 0x00};
    liar.net.inject(liar.net.server, liar.make(QUIC_LEVEL_APP, probing.bytes()), 6000);
    EXPECT_EQ(quic_endpoint_counters(liar.net.server.ep)->path_changes, 0u);
    liar.net.inject(liar.net.server, liar.make(QUIC_LEVEL_APP, challenge(1).bytes()), 6000);
    EXPECT_EQ(quic_endpoint_counters(liar.net.server.ep)->path_changes, 0u);
    liar.net.inject(liar.net.server, liar.make(QUIC_LEVEL_APP, Bytes{0x01}), 6000); /* PING */
    EXPECT_EQ(quic_endpoint_counters(liar.net.server.ep)->path_changes, 1u);
}

/* RFC 9000 9.5, 19.16: a peer whose sockets are read in any order may see the retirement before the last
 * packets to its old address, and take those for a violation. */
TEST(Paths, TheConnectionIdOfThePathLeftIsRetiredLater)
{
    Liar liar;
    liar.establish();
    ASSERT_EQ(liar.net.migrate(7000), QUIC_OK);
    ASSERT_TRUE(liar.net.run_until(
        [&] { return liar.net.client.count(QURING_EV_PATH_CHANGED) == 1; }, 5 * kS));
    liar.net.run_for(500 * kMs);
    EXPECT_EQ(info_of(liar.net.server).remote.port, 7000);
    EXPECT_EQ(liar.count_frames(0x19), 0u);
    liar.net.run_for(5 * kS);
    EXPECT_EQ(liar.count_frames(0x19), 1u);
    EXPECT_TRUE(liar.alive());
}

} // namespace

/* A client that moves on purpose: it proves the new path first, and nothing links it to the old one
 * (RFC 9000 9.2, 9.4, 9.5). */
#include <algorithm>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"

namespace
{

const quic_counters &counters(const Side &side)
{
    return *quic_endpoint_counters(side.ep);
}

class MigrateTest : public ::testing::Test
{
  protected:
    void start(const std::function<void(sim::Options &)> &change = nullptr)
    {
        net = std::make_unique<Net>(change);
        ASSERT_TRUE(net->handshake());
        net->run_for(300 * kMs);
        net->sent.clear();
    }

    bool moved(size_t times = 1)
    {
        return net->run_until([&] { return net->client.count(QURING_EV_PATH_CHANGED) == times; },
                              10 * kS);
    }

    std::unique_ptr<Net> net;
};

TEST_F(MigrateTest, TheConnectionGoesOnFromAnotherPort)
{
    start();
    std::string data = bytes_of(2000000);
    uint64_t up = net->write(net->client, data);
    uint64_t down = net->write(net->server, data, true);
    net->run_for(60 * kMs);
    ASSERT_EQ(net->migrate(7000), QUIC_OK);
    ASSERT_TRUE(net->run_until(
        [&] { return net->server.streams[up].fin && net->client.streams[down].fin; }));
    EXPECT_EQ(net->server.streams[up].bytes, data);
    EXPECT_EQ(net->client.streams[down].bytes, data);
    EXPECT_EQ(net->client.count(QURING_EV_PATH_CHANGED), 1u);
    EXPECT_EQ(net->server.count(QURING_EV_PATH_CHANGED), 1u);
    EXPECT_EQ(info_of(net->client).local.port, 7000);
    EXPECT_EQ(info_of(net->client).path_changes, 1u);
    EXPECT_EQ(info_of(net->server).remote.port, 7000);
    EXPECT_EQ(info_of(net->server).path_changes, 1u);
    EXPECT_EQ(counters(net->client).migrations, 1u);
    EXPECT_EQ(counters(net->server).path_changes, 1u);
    /* What was under way when it moved was not lost. */
    EXPECT_EQ(info_of(net->client).packets_lost, 0u);
    EXPECT_EQ(counters(net->client).drop_unknown_cid, 0u);
    EXPECT_EQ(sim_inspect_check(net->client.ep), nullptr);
    EXPECT_EQ(sim_inspect_check(net->server.ep), nullptr);
}

/* RFC 9000 9.1, 8.2.1: until the path is proved nothing but padded probes goes there. */
TEST_F(MigrateTest, TheNewPathIsProvedBeforeItIsUsed)
{
    start();
    (void)net->write(net->client, bytes_of(2000000));
    net->run_for(50 * kMs);
    net->sent.clear();
    ASSERT_EQ(net->migrate(7000), QUIC_OK);
    ASSERT_TRUE(moved());
    size_t probes = 0;
    size_t others = 0;
    for (const Packet &p : net->sent) {
        if (p.to_server && p.from.port == 7000) {
            EXPECT_EQ(p.bytes.size(), 1200u);
            probes++;
        }
        others += p.to_server && p.from.port == 5000 ? 1 : 0;
    }
    EXPECT_EQ(probes, 2u) << "a challenge, and the answer to the server's";
    EXPECT_GT(others, 10u) << "the transfer went on meanwhile";
    net->sent.clear();
    net->run_for(100 * kMs);
    for (const Packet &p : net->sent) {
        EXPECT_TRUE(!p.to_server || p.from.port == 7000) << "it has left for good";
    }
}

/* RFC 9000 9.5: no connection ID is used on two paths, by neither end. */
TEST_F(MigrateTest, ConnectionIdsDoNotLinkThePaths)
{
    start();
    ASSERT_TRUE(net->carries_both_ways());
    for (uint16_t port = 7000; port < 7004; port++) {
        ASSERT_EQ(net->migrate(port), QUIC_OK);
        ASSERT_TRUE(moved(port - 7000u + 1));
        ASSERT_TRUE(net->carries_both_ways());
        net->run_for(kS);
    }
    std::map<std::vector<uint8_t>, std::set<uint16_t>> ports;
    for (const Packet &p : net->sent) {
        ASSERT_EQ(p.bytes[0] & 0x80, 0);
        ports[{p.bytes.begin() + 1, p.bytes.begin() + 9}].insert(p.to_server ? p.from.port
                                                                             : p.to.port);
    }
    for (const auto &[cid, used] : ports) {
        EXPECT_EQ(used.size(), 1u);
    }
    EXPECT_EQ(ports.size(), 10u) << "five paths, two directions";
}

/* RFC 9000 5.1.2: what was left behind is retired, and replaced; with the smallest limit there is one to
 * spare at a time. */
TEST_F(MigrateTest, ConnectionIdsDoNotRunOut)
{
    start([](sim::Options &o) {
        o.server.limits.cids_active_max = 2;
        o.clients[0].limits.cids_active_max = 2;
    });
    for (uint16_t i = 0; i < 20; i++) {
        ASSERT_EQ(net->migrate(static_cast<uint16_t>(7000 + i)), QUIC_OK) << i;
        ASSERT_TRUE(moved(i + 1u)) << i;
        if (i == 0) {
            EXPECT_EQ(net->migrate(6999), QUIC_E_LIMIT) << "none left to go with, yet";
        }
        ASSERT_TRUE(net->carries_both_ways());
        net->run_for(200 * kMs);
    }
    EXPECT_EQ(info_of(net->server).remote.port, 7019);
    EXPECT_EQ(sim_inspect_cids_peer(net->client.conn), 2u);
    EXPECT_EQ(sim_inspect_cids_peer(net->server.conn), 2u);
}

/* RFC 9000 9: it stays where it was, and is told. */
TEST_F(MigrateTest, NobodyAnswersOnTheNewPath)
{
    start();
    net->filter = [](Packet &p) { return p.from.port != 7000 && p.to.port != 7000; };
    ASSERT_EQ(net->migrate(7000), QUIC_OK);
    quic_ns began = net->now;
    ASSERT_TRUE(net->run_until([&] { return net->client.count(QURING_EV_PATH_FAILED) == 1; }));
    EXPECT_GE(net->now - began, 2900 * kMs); /* RFC 9000 8.2.4: three probe timeouts */
    EXPECT_LT(net->now - began, 4 * kS);
    EXPECT_EQ(net->client.count(QURING_EV_PATH_CHANGED), 0u);
    EXPECT_EQ(info_of(net->client).local.port, 5000);
    ASSERT_TRUE(net->carries_both_ways());
    ASSERT_EQ(net->migrate(7001), QUIC_OK);
    ASSERT_TRUE(moved());
    ASSERT_TRUE(net->carries_both_ways());
    EXPECT_EQ(counters(net->server).path_changes, 1u);
}

/* The old path is dead: the transfer goes on as soon as the new one is proved. */
TEST_F(MigrateTest, LeavesADeadPath)
{
    start();
    std::string data = bytes_of(1000000);
    uint64_t up = net->write(net->client, data);
    net->run_for(50 * kMs);
    net->filter = [](Packet &p) { return p.from.port != 5000 && p.to.port != 5000; };
    net->run_for(4 * kS);
    ASSERT_EQ(net->migrate(7000), QUIC_OK);
    quic_ns began = net->now;
    ASSERT_TRUE(moved());
    EXPECT_LT(net->now - began, 50 * kMs);
    ASSERT_TRUE(net->run_until([&] { return net->server.streams[up].fin; }, 3 * kS));
    EXPECT_EQ(net->server.streams[up].bytes, data);
}

/* RFC 9000 9.4: another host is another path, another port is not. */
TEST_F(MigrateTest, MeasuresStartOverOnAnotherHostOnly)
{
    for (uint8_t host : {2, 9}) {
        start();
        ASSERT_TRUE(net->carries_both_ways());
        (void)net->write(net->client, bytes_of(3000000));
        net->run_for(150 * kMs);
        uint64_t before = info_of(net->client).cwnd_bytes;
        ASSERT_GT(before, 60000u);
        ASSERT_EQ(net->migrate(7000, host), QUIC_OK);
        ASSERT_TRUE(moved());
        uint64_t after = info_of(net->client).cwnd_bytes;
        if (host == 2) {
            EXPECT_GE(after, before);
        } else {
            EXPECT_LE(after, 14720u);
            EXPECT_EQ(info_of(net->client).srtt_ns, 333 * kMs);
        }
        ASSERT_TRUE(net->carries_both_ways());
    }
}

TEST_F(MigrateTest, IsRefusedWhereItMayNotBe)
{
    net = std::make_unique<Net>();
    quic_conn *conn = net->connect();
    ASSERT_NE(conn, nullptr);
    net->client.conn = conn;
    EXPECT_EQ(net->migrate(7000), QUIC_E_STATE) << "not confirmed";
    net->client.conn = nullptr;
    ASSERT_TRUE(net->run_until([&] { return net->client.conn != nullptr; }));
    net->run_for(300 * kMs);
    EXPECT_EQ(net->migrate(5000), QUIC_E_INVAL) << "it is there";
    EXPECT_EQ(quic_conn_may_migrate(conn, 6), QUIC_E_INVAL) << "the server has no such address";
    EXPECT_EQ(quic_conn_may_migrate(net->server.conn, 4), QUIC_E_STATE) << "servers stay";
    ASSERT_EQ(net->migrate(7000), QUIC_OK);
    EXPECT_EQ(net->migrate(7001), QUIC_E_AGAIN) << "on the move";
    ASSERT_TRUE(moved());
    ASSERT_EQ(quic_conn_close(conn, 0, nullptr), QUIC_OK);
    EXPECT_EQ(net->migrate(7002), QUIC_E_STATE) << "closing";
}

/* RFC 9000 18.2 */
TEST_F(MigrateTest, IsRefusedWhereTheServerForbidsIt)
{
    start([](sim::Options &o) { o.server.limits.disable_active_migration = true; });
    EXPECT_EQ(net->migrate(7000), QUIC_E_FORBIDDEN);
    EXPECT_TRUE(net->carries_both_ways());
}

/* RFC 9000 9.5: a server that cannot answer with another connection ID does not answer. */
TEST_F(MigrateTest, AServerWithoutASpareConnectionIdDoesNotFollow)
{
    start([](sim::Options &o) { o.server.limits.cids_active_max = 2; });
    ASSERT_EQ(net->migrate(7000), QUIC_OK);
    /* The client's new connection IDs do not get through, so the server has none when it moves on. */
    net->run_for(15 * kMs);
    ASSERT_TRUE(moved());
    net->filter = [](Packet &p) { return !p.to_server || p.bytes.size() == 1200; };
    net->run_for(30 * kMs);
    ASSERT_EQ(net->migrate(7001), QUIC_OK);
    net->run_for(100 * kMs);
    EXPECT_EQ(info_of(net->client).local.port, 7000);
    net->filter = nullptr;
    ASSERT_TRUE(moved(2)) << "once it has one, it answers";
    ASSERT_TRUE(net->carries_both_ways());
}

/* A late packet of the old path, sent before the server knew: taken, and not followed back. */
TEST_F(MigrateTest, LatePacketsOfTheOldPathAreTaken)
{
    start();
    uint64_t up = net->write(net->client, bytes_of(500000));
    net->run_for(25 * kMs);
    net->filter = [&](Packet &p) {
        p.arrive_ns += p.from.port == 5000 ? 200 * kMs : 0;
        return true;
    };
    net->run_for(20 * kMs);
    ASSERT_EQ(net->migrate(7000), QUIC_OK);
    ASSERT_TRUE(net->run_until([&] { return net->server.streams[up].fin; }));
    EXPECT_EQ(counters(net->server).path_changes, 1u);
    EXPECT_EQ(info_of(net->server).remote.port, 7000);
}

/* ---- ECN is a matter of the path (RFC 9000 13.4.2, 9.4) ------------------------------------------------------ */

void mark(sim::Options &o)
{
    o.server.limits.ecn = true;
    o.clients[0].limits.ecn = true;
}

bool is_from(const Packet &p, uint8_t host)
{
    return p.to_server && p.from.ip[3] == host;
}

/* Acknowledgements of what left by the old path say nothing of the new one. */
TEST_F(MigrateTest, APathThatDropsMarkedPacketsIsFoundOutAfterAMove)
{
    start(mark);
    const std::string data = bytes_of(2000000);
    const uint64_t up = net->write(net->client, data);
    net->run_for(60 * kMs);
    ASSERT_TRUE(info_of(net->client).ecn_capable);
    net->filter = [](Packet &p) { return !is_from(p, 3) || p.ecn == 0; };
    ASSERT_EQ(net->migrate(7000, 3), QUIC_OK);
    ASSERT_TRUE(net->run_until([&] { return net->server.streams[up].fin; }, 20 * kS));
    EXPECT_EQ(net->server.streams[up].bytes, data);
    EXPECT_FALSE(info_of(net->client).ecn_capable);
}

/* Nor do its losses. */
TEST_F(MigrateTest, LossesOfTheOldPathDoNotSwitchEcnOff)
{
    start(mark);
    const std::string data = bytes_of(3000000);
    const uint64_t up = net->write(net->client, data);
    (void)net->write(net->server, data,
                     true); /* so that acknowledgements leave, too, marked as they are */
    net->run_for(100 * kMs);
    ASSERT_TRUE(info_of(net->client).ecn_capable);
    net->filter = [](Packet &p) { return !is_from(p, 2) || p.ecn == 0; };
    ASSERT_EQ(net->migrate(7000, 3), QUIC_OK);
    ASSERT_TRUE(net->run_until([&] { return net->server.streams[up].fin; }, 30 * kS));
    EXPECT_TRUE(info_of(net->client).ecn_capable);
}

/* RFC 9000 9.4: congestion of the old path is none of the new one. */
TEST_F(MigrateTest, CongestionMarksOfTheOldPathLeaveTheNewWindowAlone)
{
    start(mark);
    (void)net->write(net->client, bytes_of(3000000));
    net->run_for(100 * kMs);
    bool old_path = false;
    net->filter = [&](Packet &p) {
        if (is_from(p, 2) && p.ecn != 0) {
            old_path = true;
            p.ecn = 3;
        }
        return true;
    };
    ASSERT_EQ(net->migrate(7000, 3), QUIC_OK);
    net->delay = 40 * kMs; /* the last marks arrive when it has moved */
    ASSERT_TRUE(moved());
    const uint64_t window = info_of(net->client).cwnd_bytes;
    EXPECT_TRUE(old_path);
    uint64_t least = window;
    ASSERT_TRUE(net->run_until(
        [&] {
            least = std::min(least, info_of(net->client).cwnd_bytes);
            return counters(net->client).ecn_ce > 0;
        },
        kS));
    net->run_for(10 * kMs);
    least = std::min(least, info_of(net->client).cwnd_bytes);
    EXPECT_GE(least, window);
}

} // namespace

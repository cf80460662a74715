/* Bad days of a path: what an attacker, a NAT or a network can do to one, by number. Each has a required
 * outcome. */
#include <set>

#include <gtest/gtest.h>

#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"
#include "tests/sim/rng.h"

namespace
{

uint64_t path_changes(const Side &side)
{
    return quic_endpoint_counters(side.ep)->path_changes;
}

class HostilePaths : public ::testing::Test
{
  protected:
    void start(const std::function<void(sim::Options &)> &change = nullptr)
    {
        net = std::make_unique<Net>(change);
        net->keep_sent = false;
        ASSERT_TRUE(net->handshake());
        net->run_for(300 * kMs);
    }

    /* As the network notes it in a datagram of this side. */
    quic_path_addr path_of(const Side &side)
    {
        const quic_addr &local = side.addr;
        return {local, net->server.addr,
                uint32_t{local.family} << 24 | uint32_t{local.ip[3]} << 16 | local.port};
    }

    /* The client's datagrams show another address from now on; answers to it reach the client. */
    void rebind(uint16_t port, uint8_t host = 2)
    {
        nat_port = port;
        nat_host = host;
        net->filter = [this](Packet &p) {
            if (p.to_server) {
                p.from.port = nat_port;
                p.from.ip[3] = nat_host;
                return true;
            }
            if (p.to.port != nat_port || p.to.ip[3] != nat_host) {
                return false;
            }
            p.to = net->client.addr;
            return true;
        };
    }

    bool works(quic_ns limit = 30 * kS)
    {
        std::string data = bytes_of(20000);
        uint64_t up = net->write(net->client, data);
        uint64_t down = net->write(net->server, data, true);
        return net->run_until(
            [&] {
                return net->server.streams[up].bytes == data &&
                       net->client.streams[down].bytes == data;
            },
            limit);
    }

    std::unique_ptr<Net> net;
    uint16_t nat_port = 5000;
    uint8_t nat_host = 2;
};

/* ---- 80: every PATH_CHALLENGE and PATH_RESPONSE is lost ------------------------------------------ */

TEST_F(HostilePaths, H80_AllProbesLostTheClientStays)
{
    start();
    uint32_t probes = 0;
    net->filter = [&](Packet &p) {
        probes += p.to_server && p.from.port == 7000 ? 1 : 0;
        return p.from.port != 7000;
    };
    ASSERT_EQ(net->migrate(7000), QUIC_OK);
    ASSERT_TRUE(net->run_until([&] { return net->client.count(QURING_EV_PATH_FAILED) == 1; }));
    EXPECT_EQ(probes, 2u) << "repeated, with growing pauses";
    EXPECT_EQ(info_of(net->client).local.port, 5000);
    ASSERT_TRUE(works());
}

TEST_F(HostilePaths, H80_AllProbesLostTheServerGoesBack)
{
    start();
    /* One packet from elsewhere, then nothing there is answered: datagrams of 1200 bytes are probes. */
    bool once = true;
    net->filter = [&](Packet &p) {
        if (p.to_server && once) {
            once = false;
            p.from.port = 6666;
        }
        return p.to_server || p.to.port != 6666;
    };
    (void)net->write(net->client, "moved?");
    ASSERT_TRUE(net->run_until([&] { return path_changes(net->server) == 1; }, 5 * kS));
    net->run_for(5 * kS);
    EXPECT_EQ(info_of(net->server).remote.port, 5000);
    EXPECT_EQ(net->server.count(QURING_EV_PATH_CHANGED), 0u);
    ASSERT_TRUE(works());
}

TEST_F(HostilePaths, H80_SomeProbesLostOrLateTheMoveSucceeds)
{
    for (uint32_t pattern : {0, 1, 2, 4, 5, 6}) { /* two losses in a row are one too many */
        start();
        uint32_t out = 0;
        uint32_t in = 0;
        net->filter = [&](Packet &p) {
            if (p.from.port == 7000 && p.bytes.size() == 1200) {
                p.arrive_ns += (out & 1) * 400 * kMs; /* overtaken by the next one */
                return out++ > 0 || (pattern & 1) == 0;
            }
            if (p.to.port == 7000 && p.bytes.size() == 1200) {
                return in++ > 0 || (pattern & 2) == 0;
            }
            return (pattern & 4) == 0 || p.to.port != 5000; /* the old path ends */
        };
        ASSERT_EQ(net->migrate(7000), QUIC_OK);
        ASSERT_TRUE(
            net->run_until([&] { return net->client.count(QURING_EV_PATH_CHANGED) == 1; }, 10 * kS))
            << pattern;
        ASSERT_TRUE(works()) << pattern;
        ASSERT_TRUE(
            net->run_until([&] { return info_of(net->server).remote.port == 7000; }, 5 * kS))
            << pattern;
    }
}

/* ---- 81: no connection ID to spare; moving is forbidden ------------------------------------------- */

TEST_F(HostilePaths, H81_WithoutASpareConnectionIdItStays)
{
    start([](sim::Options &o) {
        o.server.limits.cids_active_max = 2;
        o.clients[0].limits.cids_active_max = 2;
    });
    net->filter = [](Packet &p) { return p.from.port != 7000; };
    ASSERT_EQ(net->migrate(7000), QUIC_OK); /* takes the only spare one */
    net->run_for(kS);
    EXPECT_EQ(sim_inspect_cids_peer(net->client.conn), 2u);
    ASSERT_TRUE(net->run_until([&] { return net->client.count(QURING_EV_PATH_FAILED) == 1; }));
    EXPECT_EQ(net->migrate(7001), QUIC_E_LIMIT);
    ASSERT_TRUE(works());
    EXPECT_EQ(net->migrate(7001), QUIC_OK) << "the server has replaced what was retired";
}

TEST_F(HostilePaths, H81_WhereMovingIsForbiddenANatStillMoves)
{
    start([](sim::Options &o) { o.server.limits.disable_active_migration = true; });
    ASSERT_TRUE(works());
    rebind(6000);
    ASSERT_TRUE(works());
    EXPECT_EQ(info_of(net->server).remote.port, 6000);
    rebind(6001, 77);
    ASSERT_TRUE(works());
    EXPECT_EQ(info_of(net->server).remote.port, 6001);
}

/* ---- 83: spoofed moves ----------------------------------------------------------------------------- */

/* The peer is heard of again on the path it never left: everything measured there still holds. */
TEST_F(HostilePaths, H83_AReturnIsNotPunished)
{
    for (uint8_t host : {2, 66}) {
        start();
        std::string down = bytes_of(6000000);
        uint64_t id = net->write(net->server, down, true);
        net->run_for(200 * kMs);
        quring_conn_info before = info_of(net->server);
        ASSERT_GT(before.cwnd_bytes, 100000u);
        uint64_t to_attacker = 0;
        uint64_t from_attacker = 0;
        bool once = true;
        net->filter = [&](Packet &p) {
            if (!p.to_server && p.to.port == 6666) {
                to_attacker += p.bytes.size();
                return false;
            }
            if (p.to_server && once) {
                once = false;
                p.from.port = 6666;
                p.from.ip[3] = host;
                from_attacker += p.bytes.size();
            }
            return true;
        };
        ASSERT_TRUE(net->run_until([&] { return path_changes(net->server) == 2; }, kS));
        quring_conn_info after = info_of(net->server);
        EXPECT_GE(after.cwnd_bytes + 20000, before.cwnd_bytes) << int(host);
        EXPECT_LT(after.srtt_ns, before.srtt_ns + 5 * kMs) << int(host);
        EXPECT_EQ(after.remote.port, 5000);
        EXPECT_LE(to_attacker, 3 * from_attacker);
        EXPECT_EQ(net->server.count(QURING_EV_PATH_CHANGED), 0u);
        ASSERT_TRUE(net->run_until([&] { return net->client.streams[id].fin; }));
        EXPECT_EQ(net->client.streams[id].bytes, down);
        EXPECT_GE(info_of(net->server).cwnd_bytes, before.cwnd_bytes / 2) << int(host);
    }
}

/* He passes on what the server answers, so his address is proved; the real peer takes it back. */
TEST_F(HostilePaths, H83_AnAttackerWhoPassesAnswersOnIsLeftAgain)
{
    start();
    bool active = true;
    net->filter = [&](Packet &p) {
        if (p.to_server && active) {
            p.from.port = 6666;
            p.from.ip[3] = 66;
        }
        if (!p.to_server) {
            p.to = net->client.addr; /* passed on */
        }
        return true;
    };
    ASSERT_TRUE(works());
    EXPECT_EQ(info_of(net->server).remote.port, 6666);
    EXPECT_EQ(net->server.count(QURING_EV_PATH_CHANGED), 1u);
    active = false;
    ASSERT_TRUE(works());
    EXPECT_EQ(info_of(net->server).remote.port, 5000);
    EXPECT_EQ(net->server.count(QURING_EV_PATH_CHANGED), 2u);
}

/* RFC 9000 8.2.2: an answer goes to where the challenge came from, and to nowhere else. */
TEST_F(HostilePaths, H83_AnswersStayOnTheirPath)
{
    start();
    net->keep_sent = true;
    net->filter = [](Packet &p) {
        return !(p.to_server && p.from.port == 7000) || p.bytes.size() == 1200;
    };
    ASSERT_EQ(net->migrate(7000), QUIC_OK);
    net->run_for(15 * kMs);
    size_t there = 0;
    for (const Packet &p : net->sent) {
        if (!p.to_server && p.bytes.size() == 1200) {
            EXPECT_EQ(p.to.port, 7000);
            there++;
        }
    }
    EXPECT_EQ(there, 1u);
}

/* ---- 84 -------------------------------------------------------------------------------------------- */

TEST_F(HostilePaths, H84_OnlyProvedAddressesAreShown)
{
    start();
    bool once = true;
    net->filter = [&](Packet &p) {
        if (p.to_server && once) {
            once = false;
            p.from.port = 6666;
        }
        return p.to_server;
    };
    (void)net->write(net->client, "who am I?");
    ASSERT_TRUE(net->run_until([&] { return path_changes(net->server) == 1; }, 5 * kS));
    EXPECT_EQ(info_of(net->server).remote.port, 5000);
}

/* ---- 85 -------------------------------------------------------------------------------------------- */

TEST_F(HostilePaths, H85_AnOldPacketFromThePreviousPathMovesNothing)
{
    start();
    (void)net->write(net->client, bytes_of(100000));
    uint32_t n = 0;
    rebind(6000);
    auto nat = net->filter;
    net->filter = [&, nat](Packet &p) {
        if (p.to_server && n++ == 3) {
            p.arrive_ns += 300 * kMs; /* of the old path, overtaken by all others */
            return true;
        }
        return nat(p);
    };
    net->run_for(2 * kS);
    EXPECT_EQ(path_changes(net->server), 1u);
    EXPECT_EQ(info_of(net->server).remote.port, 6000);
    ASSERT_TRUE(works());
}

/* ---- 86 -------------------------------------------------------------------------------------------- */

/* Each packet has another source; the NAT knows the last few. */
TEST_F(HostilePaths, H86_RebindingWithEveryPacket)
{
    for (bool other_hosts : {false, true}) {
        start();
        uint16_t port = 6000;
        uint64_t most = 0;
        net->filter = [&](Packet &p) {
            if (p.to_server) {
                p.from.port = ++port;
                p.from.ip[3] = other_hosts ? static_cast<uint8_t>(3 + port % 200) : 2;
                return true;
            }
            if (p.to.port != 5000 && p.to.port + 64 < port) {
                return false;
            }
            p.to = net->client.addr;
            return true;
        };
        std::string up = bytes_of(100000);
        uint64_t id = net->write(net->client, up);
        ASSERT_TRUE(net->run_until(
            [&] {
                most = std::max<uint64_t>(most, info_of(net->server).mem_bytes);
                return net->server.streams[id].fin;
            },
            120 * kS));
        EXPECT_EQ(net->server.streams[id].bytes, up);
        EXPECT_LT(most, 1000000u);
        uint64_t sent_before = net->bytes_to_client;
        uint64_t back = net->write(net->server, bytes_of(2000), true);
        ASSERT_TRUE(net->run_until([&] { return net->client.streams[back].fin; }, 60 * kS));
        net->run_for(5 * kS);
        EXPECT_LT(net->bytes_to_client - sent_before, 800000u) << "challenges without end";
        net->filter = nullptr;
        ASSERT_TRUE(works());
        ASSERT_TRUE(
            net->run_until([&] { return info_of(net->server).remote.port == 5000; }, 5 * kS));
        EXPECT_EQ(sim_inspect_check(net->server.ep), nullptr);
    }
}

TEST_F(HostilePaths, H86_RebindingEveryTenMilliseconds)
{
    start();
    rebind(6000);
    std::string up = bytes_of(300000);
    std::string down = bytes_of(50000);
    uint64_t id = net->write(net->client, up);
    uint64_t id2 = net->write(net->server, down, true);
    for (int i = 0; i < 100; i++) {
        net->run_for(10 * kMs);
        nat_port++;
    }
    ASSERT_TRUE(net->run_until(
        [&] { return net->server.streams[id].fin && net->client.streams[id2].fin; }, 60 * kS));
    EXPECT_EQ(net->server.streams[id].bytes, up);
    EXPECT_EQ(net->client.streams[id2].bytes, down);
}

/* RFC 9000 9.4: only another host is another path. */
TEST_F(HostilePaths, H86_ANewPortKeepsTheWindowANewHostDoesNot)
{
    for (uint8_t host : {2, 77}) {
        start();
        (void)net->write(net->server, bytes_of(6000000), true);
        net->run_for(200 * kMs);
        uint64_t before = info_of(net->server).cwnd_bytes;
        ASSERT_GT(before, 100000u);
        rebind(6000, host);
        ASSERT_TRUE(
            net->run_until([&] { return net->server.count(QURING_EV_PATH_CHANGED) == 1; }, 5 * kS));
        uint64_t after = info_of(net->server).cwnd_bytes;
        if (host == 2) {
            EXPECT_GE(after, before / 2);
        } else {
            EXPECT_LT(after, 30000u);
        }
    }
}

/* ---- 87 -------------------------------------------------------------------------------------------- */

TEST_F(HostilePaths, H87_NobodyMovesDuringTheHandshake)
{
    net = std::make_unique<Net>();
    uint32_t n = 0;
    net->filter = [&](Packet &p) {
        if (p.to_server && n++ > 0) {
            p.from.port = 6000;
        }
        return true;
    };
    ASSERT_NE(net->connect(), nullptr);
    net->run_for(5 * kS);
    EXPECT_EQ(net->server.conn, nullptr);
    EXPECT_EQ(path_changes(net->server), 0u);
    for (const Packet &p : net->sent) {
        EXPECT_TRUE(p.to_server || p.to.port == 5000);
    }
    net->filter = nullptr;
    EXPECT_TRUE(net->run_until([&] { return net->client.conn != nullptr; }, 5 * kS));
}

/* ---- 88: datagram size ------------------------------------------------------------------------------ */

void probe_to_1472(sim::Options &o)
{
    o.server.limits.mtu_probe_max_bytes = 1472;
    o.clients[0].limits.mtu_probe_max_bytes = 1472;
}

TEST_F(HostilePaths, H88_ThePathShrinksInATransfer)
{
    for (size_t limit : {1300u, 1200u}) {
        start(probe_to_1472);
        std::string up = bytes_of(3000000);
        uint64_t id = net->write(net->client, up);
        ASSERT_TRUE(
            net->run_until([&] { return info_of(net->client).udp_payload_bytes == 1472; }, 5 * kS));
        net->filter = [limit](Packet &p) { return p.bytes.size() <= limit; };
        ASSERT_TRUE(net->run_until([&] { return net->server.streams[id].fin; }, 30 * kS));
        EXPECT_EQ(net->server.streams[id].bytes, up);
        EXPECT_LE(info_of(net->client).udp_payload_bytes, limit);
        EXPECT_GE(info_of(net->client).udp_payload_bytes, 1200u);
    }
}

/* Below 1200 bytes there is no QUIC (RFC 9000 14): it ends, once, in bounded time. */
TEST_F(HostilePaths, H88_APathBelow1200EndsCleanly)
{
    start(probe_to_1472);
    (void)net->write(net->client, bytes_of(300000));
    net->filter = [](Packet &p) { return p.bytes.size() < 1200; };
    ASSERT_TRUE(net->run_until(
        [&] {
            return net->client.count(QURING_EV_CLOSED) + net->server.count(QURING_EV_CLOSED) == 2;
        },
        200 * kS));
    EXPECT_EQ(net->client.close_kind(), QURING_CLOSE_IDLE_TIMEOUT);
    EXPECT_EQ(net->server.close_kind(), QURING_CLOSE_IDLE_TIMEOUT);
}

/* A new path that carries no 1200 bytes is not taken; the server goes back (RFC 9000 8.2.1). */
TEST_F(HostilePaths, H88_AMoveToAPathBelow1200IsTakenBack)
{
    start();
    net->filter = [](Packet &p) {
        bool there = p.from.port == 7000 || p.to.port == 7000;
        return !there || p.bytes.size() < 1200;
    };
    ASSERT_EQ(net->migrate(7000), QUIC_OK);
    ASSERT_TRUE(net->run_until([&] { return net->client.count(QURING_EV_PATH_FAILED) == 1; }));
    ASSERT_TRUE(works());
    EXPECT_EQ(info_of(net->client).local.port, 5000);
    EXPECT_EQ(info_of(net->server).remote.port, 5000);
}

/* The interface says that it takes less than 1200, which is no answer to believe. */
TEST_F(HostilePaths, H88_ALieBelow1200ChangesNothing)
{
    start(probe_to_1472);
    uint64_t id = net->write(net->client, bytes_of(1000000));
    ASSERT_TRUE(
        net->run_until([&] { return info_of(net->client).udp_payload_bytes == 1472; }, 5 * kS));
    for (uint32_t len : {1u, 600u, 1199u, 1200u}) {
        const quic_path_addr path = {net->client.addr, net->server.addr, 0};
        quic_endpoint_on_send_too_big(net->client.ep, quic_conn_handle(net->client.conn), &path,
                                      len);
        EXPECT_EQ(info_of(net->client).udp_payload_bytes, 1472u) << len;
    }
    ASSERT_TRUE(net->run_until([&] { return net->server.streams[id].fin; }, 30 * kS));
}

/* Whoever sent the datagram lowers its size, and nobody else. */
TEST_F(HostilePaths, H88_OnlyTheConnectionThatSentItIsTold)
{
    start(probe_to_1472);
    (void)net->write(net->client, bytes_of(1000000));
    ASSERT_TRUE(
        net->run_until([&] { return info_of(net->client).udp_payload_bytes == 1472; }, 5 * kS));
    const quic_path_addr path = path_of(net->client);
    quic_path_addr other = path;
    other.remote.port++;
    const uint64_t handle = quic_conn_handle(net->client.conn);
    quic_endpoint_on_send_too_big(net->client.ep, 0, &path, 1472);
    quic_endpoint_on_send_too_big(net->client.ep, handle + (1ull << 32), &path, 1472);
    quic_endpoint_on_send_too_big(net->client.ep, handle, &other, 1472);
    EXPECT_EQ(info_of(net->client).udp_payload_bytes, 1472u);
    quic_endpoint_on_send_too_big(net->client.ep, QUIC_TX_CONN_MANY, &other, 1472);
    EXPECT_EQ(info_of(net->client).udp_payload_bytes, 1472u);
    quic_endpoint_on_send_too_big(net->client.ep, handle, &path, 1472);
    EXPECT_LT(info_of(net->client).udp_payload_bytes, 1472u);
}

/* A train of several connections is too big for each of them. */
TEST_F(HostilePaths, H88_ATrainOfSeveralTellsThemAll)
{
    start(probe_to_1472);
    (void)net->write(net->client, bytes_of(1000000));
    ASSERT_TRUE(
        net->run_until([&] { return info_of(net->client).udp_payload_bytes == 1472; }, 5 * kS));
    const quic_path_addr path = path_of(net->client);
    quic_endpoint_on_send_too_big(net->client.ep, QUIC_TX_CONN_MANY, &path, 1472);
    EXPECT_LT(info_of(net->client).udp_payload_bytes, 1472u);
}

/* ---- 89: any network, healed within the idle timeout ------------------------------------------------ */

TEST_F(HostilePaths, H89_WhateverTheNetworkDoesTheDataIsIntact)
{
    struct Case {
        double loss, reorder, duplicate, corrupt;
        quic_ns late, blackout;
    };
    const Case cases[] = {
        {0.5, 0, 0, 0, 0, 0},        {0, 1, 0, 0, 200 * kMs, 0},
        {0, 0, 1, 0, 0, 0},          {0, 0.3, 0.3, 0.3, 50 * kMs, 0},
        {0, 0, 0, 0, 0, 29 * kS},    {0.2, 0.5, 0.2, 0.1, 30 * kMs, kS},
        {0, 0.02, 0, 0, 30 * kS, 0}, {0.3, 1, 0.5, 0.1, 100 * kMs, 10 * kS},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const Case &c = cases[i];
        start();
        sim::Rng rng(i + 1);
        quic_ns began = net->now;
        quic_ns dark = began + 100 * kMs;
        net->filter = [&](Packet &p) {
            if (net->now > began + 40 * kS) {
                return true; /* healed */
            }
            if (rng.chance(c.loss) || (net->now > dark && net->now < dark + c.blackout)) {
                return false;
            }
            if (rng.chance(c.duplicate)) {
                net->again(p, 3 * kMs);
            }
            if (rng.chance(c.reorder)) {
                p.arrive_ns += rng.below(c.late + 1);
            }
            if (rng.chance(c.corrupt)) {
                p.bytes[rng.below(p.bytes.size())] ^= 1;
            }
            return true;
        };
        std::string data = bytes_of(200000);
        uint64_t up = net->write(net->client, data);
        uint64_t down = net->write(net->server, data, true);
        ASSERT_TRUE(net->run_until(
            [&] { return net->server.streams[up].fin && net->client.streams[down].fin; }, 180 * kS))
            << i;
        EXPECT_EQ(net->server.streams[up].bytes, data) << i;
        EXPECT_EQ(net->client.streams[down].bytes, data) << i;
    }
}

TEST_F(HostilePaths, H89_ADeadNetworkIsReportedOnce)
{
    start();
    (void)net->write(net->client, bytes_of(100000));
    net->filter = [](Packet &) { return false; };
    net->run_for(200 * kS);
    EXPECT_EQ(net->client.count(QURING_EV_CLOSED), 1u);
    EXPECT_EQ(net->client.close_kind(), QURING_CLOSE_IDLE_TIMEOUT);
    EXPECT_EQ(net->server.count(QURING_EV_CLOSED), 1u);
    EXPECT_EQ(net->server.close_kind(), QURING_CLOSE_IDLE_TIMEOUT);
}

} // namespace

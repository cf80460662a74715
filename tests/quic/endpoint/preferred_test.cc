/* A server that would rather be met at another of its addresses (RFC 9000 9.6, 18.2). */
#include <set>

#include <gtest/gtest.h>

#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"

namespace
{

quic_addr v4(uint8_t host, uint16_t port, uint8_t net = 10)
{
    quic_addr a{};
    a.family = 4;
    a.ip[0] = net;
    a.ip[3] = host;
    a.port = port;
    return a;
}

quic_addr v6(uint8_t host, uint16_t port)
{
    quic_addr a{};
    a.family = 6;
    a.ip[0] = 0x20;
    a.ip[1] = 0x01;
    a.ip[15] = host;
    a.port = port;
    return a;
}

const quic_addr kThere = v4(3, 8443);

class PreferredTest : public ::testing::Test
{
  protected:
    void start(const quic_addr &four, const quic_addr &six = quic_addr{},
               const std::function<void(sim::Options &)> &change = nullptr)
    {
        net = std::make_unique<Net>(change);
        net->offer(four, six);
    }

    bool moved(size_t times = 1)
    {
        return net->run_until(
            [&] {
                return net->client.count(QURING_EV_PATH_CHANGED) >= times &&
                       net->server.count(QURING_EV_PATH_CHANGED) >= times;
            },
            10 * kS);
    }

    void expect_at(const quic_addr &server, uint16_t client_port)
    {
        quring_conn_info c = info_of(net->client);
        quring_conn_info s = info_of(net->server);
        EXPECT_EQ(c.remote.family, server.family);
        EXPECT_EQ(memcmp(c.remote.ip, server.ip, 16), 0);
        EXPECT_EQ(c.remote.port, server.port);
        EXPECT_EQ(s.local.port, server.port);
        EXPECT_EQ(memcmp(s.local.ip, server.ip, 16), 0);
        EXPECT_EQ(c.local.port, client_port);
        EXPECT_EQ(s.remote.port, client_port);
    }

    /* The connection works where it was made, and the client sends nowhere else. */
    void stays()
    {
        ASSERT_TRUE(net->handshake());
        ASSERT_TRUE(net->carries_both_ways());
        net->run_for(2 * kS);
        expect_at(v4(1, 443), 5000);
        for (const Packet &p : net->sent) {
            EXPECT_FALSE(p.to_server && !quic_addr_equal(&p.to, &net->server.addr));
        }
    }

    std::unique_ptr<Net> net;
};

TEST_F(PreferredTest, TheClientGoesThereAfterTheHandshake)
{
    start(kThere);
    ASSERT_TRUE(net->handshake());
    ASSERT_TRUE(moved());
    expect_at(kThere, 5000);
    EXPECT_TRUE(info_of(net->client).at_preferred_address);
    EXPECT_TRUE(info_of(net->server).at_preferred_address);
    EXPECT_EQ(quic_endpoint_counters(net->client.ep)->migrations, 1u);
    EXPECT_EQ(quic_endpoint_counters(net->server.ep)->migrations, 1u);
    ASSERT_TRUE(net->carries_both_ways());
    net->run_for(10 * kS); /* what was kept for the move is gone */
    net->sent.clear();
    ASSERT_TRUE(net->carries_both_ways());
    for (const Packet &p : net->sent) {
        EXPECT_TRUE(quic_addr_equal(p.to_server ? &p.to : &p.from, &kThere));
    }
    EXPECT_EQ(net->client.count(QURING_EV_PATH_CHANGED), 1u);
    EXPECT_EQ(sim_inspect_check(net->client.ep), nullptr);
    EXPECT_EQ(sim_inspect_check(net->server.ep), nullptr);
}

/* In the middle of a transfer; no connection ID is sent to two addresses (RFC 9000 9.5). */
TEST_F(PreferredTest, ATransferGoesOn)
{
    start(kThere);
    ASSERT_TRUE(net->handshake());
    std::string data = bytes_of(1000000);
    uint64_t up = net->write(net->client, data);
    uint64_t down = net->write(net->server, data, true);
    ASSERT_TRUE(net->run_until(
        [&] { return net->server.streams[up].fin && net->client.streams[down].fin; }));
    EXPECT_EQ(net->server.streams[up].bytes, data);
    EXPECT_EQ(net->client.streams[down].bytes, data);
    expect_at(kThere, 5000);
    EXPECT_EQ(info_of(net->client).packets_lost, 0u);
    EXPECT_EQ(info_of(net->server).packets_lost, 0u);
    std::map<std::vector<uint8_t>, std::set<uint16_t>> ports;
    for (const Packet &p : net->sent) {
        if ((p.bytes[0] & 0x80) == 0) {
            ports[{p.bytes.begin() + 1, p.bytes.begin() + 9}].insert(p.to_server ? p.to.port
                                                                                 : p.from.port);
        }
    }
    for (const auto &[cid, used] : ports) {
        EXPECT_EQ(used.size(), 1u);
    }
}

/* RFC 9000 9.6.2: the server speaks from there only after the client has, and is proved; before, it
 * only probes. */
TEST_F(PreferredTest, TheServerComesAfterTheClient)
{
    start(kThere);
    ASSERT_TRUE(net->handshake());
    (void)net->write(net->server, bytes_of(1000000), true);
    ASSERT_TRUE(net->run_until([&] { return net->server.count(QURING_EV_PATH_CHANGED) == 1; }));
    size_t probes = 0;
    size_t others = 0;
    quic_ns client_there = QUIC_NS_NEVER;
    for (const Packet &p : net->sent) {
        if (p.to_server && p.to.port == kThere.port && p.bytes.size() != 1200) {
            client_there = std::min(client_there, p.sent_ns);
        }
        if (!p.to_server && p.from.port == kThere.port) {
            EXPECT_EQ(p.bytes.size(), 1200u);
            probes++;
        }
        others += !p.to_server && p.from.port == 443 ? 1 : 0;
    }
    EXPECT_LE(probes, 3u);
    EXPECT_GT(others, 10u);
    EXPECT_LT(client_there, net->now);
}

/* The client asks its runtime for a socket of the other family. */
TEST_F(PreferredTest, OfTheOtherFamily)
{
    start(quic_addr{}, v6(3, 8443));
    net->client_other = v6(2, 5100);
    ASSERT_TRUE(net->handshake());
    ASSERT_TRUE(moved());
    expect_at(v6(3, 8443), 5100);
    ASSERT_TRUE(net->carries_both_ways());
}

TEST_F(PreferredTest, OfTheOtherFamilyWithoutASocketForIt)
{
    start(quic_addr{}, v6(3, 8443));
    ASSERT_TRUE(net->handshake());
    ASSERT_TRUE(net->carries_both_ways());
    net->run_for(5 * kS);
    expect_at(v4(1, 443), 5000);
    EXPECT_EQ(net->client.count(QURING_EV_PATH_CHANGED), 0u);
}

/* RFC 9000 9.6.3 asks for the family in use. */
TEST_F(PreferredTest, OfTwoTheOneOfTheFamilyInUse)
{
    start(kThere, v6(3, 8443));
    net->client_other = v6(2, 5100);
    ASSERT_TRUE(net->handshake());
    ASSERT_TRUE(moved());
    expect_at(kThere, 5000);
}

TEST_F(PreferredTest, IsIgnoredOnRequest)
{
    start(kThere, quic_addr{},
          [](sim::Options &o) { o.clients[0].limits.ignore_preferred_address = true; });
    ASSERT_TRUE(net->handshake());
    ASSERT_TRUE(net->carries_both_ways());
    net->run_for(5 * kS);
    expect_at(v4(1, 443), 5000);
    for (const Packet &p : net->sent) {
        EXPECT_NE(p.to.port, kThere.port);
    }
    EXPECT_FALSE(info_of(net->client).at_preferred_address);
}

/* RFC 9000 9.6.1: then the client stays. Nobody asked for the move, so nobody is told. */
TEST_F(PreferredTest, NobodyAnswersThere)
{
    start(kThere);
    net->filter = [](Packet &p) { return p.to.port != kThere.port && p.from.port != kThere.port; };
    ASSERT_TRUE(net->handshake());
    ASSERT_TRUE(net->carries_both_ways());
    net->run_for(10 * kS);
    expect_at(v4(1, 443), 5000);
    EXPECT_EQ(net->client.count(QURING_EV_PATH_FAILED), 0u);
    ASSERT_EQ(net->migrate(7000), QUIC_OK) << "and may move as any other";
    ASSERT_TRUE(moved());
    expect_at(v4(1, 443), 7000);
}

/* RFC 9000 9.6.3: a client that moves itself before it is there tries both. */
TEST_F(PreferredTest, AClientThatMovesMeanwhileEndsThere)
{
    start(kThere);
    net->filter = [](Packet &p) { return !(p.to.port == kThere.port && p.from.port == 5000); };
    ASSERT_TRUE(net->handshake());
    net->run_for(300 * kMs);
    net->sent.clear();
    ASSERT_EQ(net->migrate(7000), QUIC_OK);
    ASSERT_TRUE(moved());
    net->run_for(5 * kS);
    expect_at(kThere, 7000);
    EXPECT_EQ(net->client.count(QURING_EV_PATH_CHANGED), 1u);
    bool both = false;
    for (const Packet &p : net->sent) {
        both = both || (p.to_server && p.from.port == 7000 && p.to.port == 443);
    }
    EXPECT_TRUE(both);
    ASSERT_TRUE(net->carries_both_ways());
}

TEST_F(PreferredTest, AClientThatMovesMeanwhileIsMetAtTheOriginalOtherwise)
{
    start(kThere);
    net->filter = [](Packet &p) { return p.to.port != kThere.port; };
    ASSERT_TRUE(net->handshake());
    net->run_for(300 * kMs);
    ASSERT_EQ(net->migrate(7000), QUIC_OK);
    ASSERT_TRUE(moved());
    expect_at(v4(1, 443), 7000);
    EXPECT_EQ(net->client.count(QURING_EV_PATH_FAILED), 0u);
    ASSERT_TRUE(net->carries_both_ways());
}

TEST_F(PreferredTest, AClientThatMovesMeanwhileAndIsMetNowhereStays)
{
    start(kThere);
    net->filter = [](Packet &p) { return p.to.port != kThere.port && p.from.port != 7000; };
    ASSERT_TRUE(net->handshake());
    net->run_for(300 * kMs);
    ASSERT_EQ(net->migrate(7000), QUIC_OK);
    ASSERT_TRUE(net->run_until([&] { return net->client.count(QURING_EV_PATH_FAILED) == 1; }));
    net->run_for(10 * kS);
    EXPECT_EQ(net->client.count(QURING_EV_PATH_FAILED), 1u);
    expect_at(v4(1, 443), 5000);
    ASSERT_TRUE(net->carries_both_ways());
}

/* RFC 9000 9.6.3: a NAT may use another binding towards the other address. */
TEST_F(PreferredTest, ThroughANatThatShowsAnotherPort)
{
    start(kThere);
    net->filter = [](Packet &p) {
        if (p.to_server && p.to.port == kThere.port) {
            p.from.port = 6000;
        } else if (!p.to_server && p.from.port == kThere.port) {
            EXPECT_EQ(p.to.port, 6000);
            p.to.port = 5000;
        }
        return true;
    };
    ASSERT_TRUE(net->handshake());
    ASSERT_TRUE(moved());
    EXPECT_EQ(info_of(net->server).remote.port, 6000);
    ASSERT_TRUE(net->carries_both_ways());
}

/* RFC 9000 18.2: disable_active_migration is about the address of the handshake. */
TEST_F(PreferredTest, WhereMovingIsForbiddenItIsAllowedAfterwards)
{
    start(kThere, quic_addr{},
          [](sim::Options &o) { o.server.limits.disable_active_migration = true; });
    ASSERT_TRUE(net->handshake());
    ASSERT_TRUE(moved());
    net->run_for(kS);
    ASSERT_EQ(net->migrate(7000), QUIC_OK);
    ASSERT_TRUE(moved(2));
    expect_at(kThere, 7000);
    ASSERT_TRUE(net->carries_both_ways());
}

TEST_F(PreferredTest, WhereMovingIsForbiddenAMoverGoesThereOnly)
{
    start(kThere, quic_addr{},
          [](sim::Options &o) { o.server.limits.disable_active_migration = true; });
    net->filter = [](Packet &p) { return !(p.to.port == kThere.port && p.from.port == 5000); };
    ASSERT_TRUE(net->handshake());
    net->run_for(300 * kMs);
    ASSERT_EQ(net->migrate(7000), QUIC_OK);
    ASSERT_TRUE(moved());
    expect_at(kThere, 7000);
    for (const Packet &p : net->sent) {
        EXPECT_FALSE(p.to_server && p.from.port == 7000 && p.to.port == 443);
    }
}

/* RFC 9000 21.5: where a client must not be sent. */
TEST_F(PreferredTest, UnfitAddressesAreNotTried)
{
    for (const quic_addr &bad : {v4(1, 8443, 127), v4(1, 8443, 224)}) {
        start(bad);
        stays();
    }
}

TEST_F(PreferredTest, UnfitAddressesOfTheOtherFamilyAreNotTried)
{
    quic_addr loopback{};
    loopback.family = 6;
    loopback.ip[15] = 1;
    loopback.port = 8443;
    quic_addr mapped = v4(1, 8443, 127); /* ::ffff:127.0.0.x */
    memmove(mapped.ip + 12, mapped.ip, 4);
    memset(mapped.ip, 0, 10);
    memset(mapped.ip + 10, 0xff, 2);
    mapped.family = 6;
    quic_addr group = v6(3, 8443);
    group.ip[0] = 0xff;
    for (const quic_addr &bad : {loopback, mapped, group}) {
        start(quic_addr{}, bad);
        net->client_other = v6(2, 5100);
        stays();
    }
}

/* RFC 9000 9.6.2: copies of the client's packets, sent there by somebody else, move nothing. */
TEST_F(PreferredTest, CopiesSentThereBySomebodyElseMoveNothing)
{
    start(kThere, quic_addr{},
          [](sim::Options &o) { o.clients[0].limits.ignore_preferred_address = true; });
    ASSERT_TRUE(net->handshake());
    uint64_t to_attacker = 0;
    uint64_t from_attacker = 0;
    uint32_t seen = 0;
    net->filter = [&](Packet &p) {
        if (!p.to_server && p.to.port == 6666) {
            to_attacker += p.bytes.size();
            return false;
        }
        if (p.to_server && ++seen % 10 == 5) {
            p.from.port = 6666;
            p.to = kThere;
            from_attacker += p.bytes.size();
        }
        return true;
    };
    std::string data = bytes_of(300000);
    uint64_t up = net->write(net->client, data);
    uint64_t down = net->write(net->server, data, true);
    ASSERT_TRUE(net->run_until(
        [&] { return net->server.streams[up].fin && net->client.streams[down].fin; }, 120 * kS));
    EXPECT_EQ(net->client.streams[down].bytes, data);
    EXPECT_GT(from_attacker, 0u);
    EXPECT_LE(to_attacker, 3 * from_attacker);
    EXPECT_EQ(net->server.count(QURING_EV_PATH_CHANGED), 0u);
    expect_at(v4(1, 443), 5000);
}

/* Where nothing was offered, another socket of the server is no way to it. */
/* RFC 9000 9.6.2: answers to the server's challenges are lost until its trial is over, and the client, which has
 * given it one connection ID to spare, no longer hears it at the address before. */
TEST_F(PreferredTest, AServerWhoseTrialFailedTriesAgain)
{
    start(kThere, quic_addr{}, [](sim::Options &o) {
        o.clients[0].limits.cids_active_max = 2;
        o.server.limits.cids_active_max = 2;
    });
    ASSERT_TRUE(net->handshake());
    bool lossy = true;
    uint32_t lost = 0;
    net->filter = [&](Packet &p) {
        bool changed = net->client.count(QURING_EV_PATH_CHANGED) > 0;
        bool proof = p.to_server && quic_addr_equal(&p.to, &kThere) && p.bytes.size() == 1200;
        bool before = !p.to_server && !quic_addr_equal(&p.from, &kThere);
        lost += changed && lossy && proof ? 1 : 0;
        return !changed || !(before || (lossy && proof));
    };
    std::string data = bytes_of(200);
    quic_ns end = net->now + 3 * kS;
    for (int i = 0; net->now < end; i++) { /* it speaks all the time */
        uint64_t up = net->write(net->client, data, true);
        ASSERT_TRUE(net->run_until([&] { return net->server.streams[up].fin; })) << i;
        net->run_for(50 * kMs);
    }
    EXPECT_GT(lost, 0u);
    EXPECT_EQ(net->server.count(QURING_EV_PATH_CHANGED), 0u);
    lossy = false;
    ASSERT_TRUE(net->run_until(
        [&] {
            uint64_t up = net->write(net->client, data, true);
            (void)net->run_until([&] { return net->server.streams[up].fin; }, kS);
            return net->server.count(QURING_EV_PATH_CHANGED) == 1;
        },
        20 * kS));
    expect_at(kThere, 5000);
    ASSERT_TRUE(net->carries_both_ways());
}

TEST_F(PreferredTest, NothingOfferedNothingTaken)
{
    net = std::make_unique<Net>();
    ASSERT_TRUE(net->handshake());
    net->offer(kThere); /* to later connections */
    net->filter = [](Packet &p) {
        p.to = p.to_server ? kThere : p.to;
        return true;
    };
    uint64_t up = net->write(net->client, "hello");
    net->run_for(2 * kS);
    EXPECT_FALSE(net->server.streams[up].fin);
    EXPECT_EQ(net->server.count(QURING_EV_PATH_CHANGED), 0u);
    quic_path_addr at{};
    at.local.family = 6;
    quic_conn_give_socket(net->client.conn, &at); /* which nobody has asked for */
    net->run_for(100 * kMs);
    EXPECT_EQ(net->client.count(QURING_EV_PATH_CHANGED), 0u);
}

} // namespace

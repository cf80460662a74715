/* A client whose address changes under it, and somebody who pretends that it has (RFC 9000 9). */
#include <cstring>

#include <gtest/gtest.h>

#include "tests/quic/endpoint/net.h"

namespace
{

uint64_t path_changes(const Side &side)
{
    return quic_endpoint_counters(side.ep)->path_changes;
}

/* A NAT in front of the client: what leaves shows `outside`; only what is sent there comes in. */
struct Nat {
    bool active = false;
    uint16_t outside = 6000;
    uint8_t host = 0; /* not 0: the last byte of another address */
    uint64_t out = 0;
    uint64_t in = 0;
    uint64_t out_at_validation = 0;

    bool operator()(Packet &p)
    {
        if (!active) {
            return true;
        }
        if (p.to_server) {
            p.from.port = outside;
            p.from.ip[3] = host != 0 ? host : p.from.ip[3];
            out += p.bytes.size();
            return true;
        }
        if (p.to.port != outside) {
            return false;
        }
        in += p.bytes.size();
        return true;
    }
};

class MoveTest : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        net.keep_sent = false;
        net.filter = [this](Packet &p) {
            bool through = nat(p);
            if (through && nat.active && !p.to_server) {
                p.to.port = 5000;
                p.to.ip[3] = net.client.addr.ip[3];
            }
            return through;
        };
    }

    Net net;
    Nat nat;
};

TEST_F(MoveTest, ServerFollowsANewPort)
{
    ASSERT_TRUE(net.handshake());
    std::string up = bytes_of(2000000);
    uint64_t id = net.write(net.client, up);
    net.run_for(100 * kMs);
    nat.active = true;
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
    EXPECT_EQ(net.server.streams[id].bytes, up);
    EXPECT_EQ(path_changes(net.server), 1u);
    EXPECT_EQ(info_of(net.server).remote.port, 6000);
}

TEST_F(MoveTest, ServerThatSendsFollowsToo)
{
    ASSERT_TRUE(net.handshake());
    std::string down = bytes_of(3000000);
    uint64_t id = net.write(net.server, down, true);
    net.run_for(100 * kMs);
    nat.active = true;
    nat.host = 77; /* another host: congestion state starts over (RFC 9000 9.4) */
    ASSERT_TRUE(net.run_until([&] { return net.client.streams[id].fin; }));
    EXPECT_EQ(net.client.streams[id].bytes, down);
    EXPECT_EQ(path_changes(net.server), 1u);
    EXPECT_EQ(info_of(net.server).remote.ip[3], 77);
}

TEST_F(MoveTest, IdleConnectionSurvivesARebinding)
{
    ASSERT_TRUE(net.handshake());
    net.run_for(5 * kS);
    nat.active = true;
    for (uint16_t port = 6000; port < 6005; port++) {
        nat.outside = port;
        uint64_t id = net.write(net.client, "still here");
        ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
        uint64_t back = net.write(net.server, "so am I", true);
        ASSERT_TRUE(net.run_until([&] { return net.client.streams[back].fin; }));
        net.run_for(2 * kS);
        EXPECT_EQ(info_of(net.server).remote.port, port);
    }
    EXPECT_EQ(path_changes(net.server), 5u);
}

/* RFC 9000 8.2.1: a challenge is padded where the limit allows 1200 bytes and only there. A client that
 * was moved and has nothing to say brings credit for some hundred bytes: the first challenge may be lost. */
TEST_F(MoveTest, ASilentClientIsFoundAgainWhenTheFirstChallengeIsLost)
{
    ASSERT_TRUE(net.handshake());
    net.run_for(5 * kS);
    nat.active = true;
    std::vector<size_t> small;
    auto through = net.filter;
    net.filter = [&](Packet &p) {
        if (p.to_server || p.to.port != nat.outside) {
            return through(p);
        }
        small.push_back(p.bytes.size());
        return small.size() > 1 && through(p);
    };
    ASSERT_EQ(quic_conn_ping(net.client.conn), QUIC_OK);
    net.run_for(2 * kS);
    ASSERT_GE(small.size(), 2u);
    EXPECT_LT(small[0], 64u);
    EXPECT_EQ(info_of(net.server).remote.port, nat.outside);
    uint64_t back = net.write(net.server, "there you are", true);
    EXPECT_TRUE(net.run_until([&] { return net.client.streams[back].fin; }, 5 * kS));
}

/* RFC 9000 9.3.2, 9.3.3: an attacker on the side sends a copy of a client's packet from elsewhere,
 * ahead of the original. The real client is heard of again and the connection stays with it. */
TEST_F(MoveTest, CopiesFromElsewhereDoNotStealTheConnection)
{
    ASSERT_TRUE(net.handshake());
    uint64_t to_attacker = 0;
    uint64_t from_attacker = 0;
    uint32_t seen = 0;
    net.filter = [&](Packet &p) {
        if (!p.to_server) {
            if (p.to.port != 5000) {
                to_attacker += p.bytes.size();
                return false; /* he does not answer */
            }
            return true;
        }
        if (++seen % 20 == 10) { /* his copy comes first, the original is lost */
            p.from.port = 6666;
            from_attacker += p.bytes.size();
        }
        return true;
    };
    std::string up = bytes_of(300000);
    uint64_t id = net.write(net.client, up);
    std::string down = bytes_of(300000);
    uint64_t id2 = net.write(net.server, down, true);
    ASSERT_TRUE(net.run_until(
        [&] { return net.server.streams[id].fin && net.client.streams[id2].fin; }, 120 * kS));
    EXPECT_EQ(net.server.streams[id].bytes, up);
    EXPECT_EQ(net.client.streams[id2].bytes, down);
    EXPECT_GE(path_changes(net.server), 2u);
    EXPECT_LE(to_attacker, 3 * from_attacker); /* RFC 9000 8.1 */
    EXPECT_EQ(info_of(net.server).remote.port, 5000);
}

/* RFC 1122 3.2.1.3: 0.0.0.0 is this host, under one of its addresses, which the first answer tells; but no port. */
TEST_F(MoveTest, TheAddressOfThisHostIsLearnedFromTheAnswer)
{
    for (const uint16_t port : {444, 443}) {
        const quic_addr real = net.server.addr;
        net.filter = [&](Packet &p) {
            if (p.to_server) {
                p.to = real;
            } else {
                p.from.port = port;
            }
            return true;
        };
        memset(net.server.addr.ip, 0, sizeof(net.server.addr.ip));
        ASSERT_NE(net.connect(), nullptr);
        net.server.addr = real;
        EXPECT_EQ(net.run_until([&] { return net.client.conn != nullptr; }, kS), port == 443);
    }
    EXPECT_EQ(memcmp(info_of(net.client).remote.ip, net.server.addr.ip, 16), 0);
}

/* Nobody answers at the new address, and the old one is gone as well: the connection ends in time. */
TEST_F(MoveTest, NobodyAtEitherAddress)
{
    ASSERT_TRUE(net.handshake());
    bool cut = false;
    net.filter = [&](Packet &p) {
        if (cut) {
            return false;
        }
        if (p.to_server) {
            p.from.port = 6666;
            cut = true;
        }
        return true;
    };
    (void)net.write(net.client, "one packet");
    ASSERT_TRUE(net.run_until([&] { return net.server.count(QURING_EV_CLOSED) == 1; }, 120 * kS));
    EXPECT_EQ(net.server.close_kind(), QURING_CLOSE_IDLE_TIMEOUT);
}

/* RFC 9000 9: a client does not listen to a server at an address it does not know. */
TEST_F(MoveTest, ClientIgnoresAServerFromElsewhere)
{
    ASSERT_TRUE(net.handshake());
    uint64_t dropped = quic_endpoint_counters(net.client.ep)->drop_unknown_cid;
    net.filter = [&](Packet &p) {
        if (!p.to_server) {
            p.from.port++;
        }
        return true;
    };
    uint64_t id = net.write(net.server, "hello", true);
    net.run_for(2 * kS);
    EXPECT_FALSE(net.client.streams[id].fin);
    EXPECT_GT(quic_endpoint_counters(net.client.ep)->drop_unknown_cid, dropped);
}

} // namespace

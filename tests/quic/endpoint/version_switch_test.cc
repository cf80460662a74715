/* The version changes within the handshake: RFC 9368 2.3, RFC 9369 4.1, 5. */
#include <set>

#include <gtest/gtest.h>

#include "quic/base/bytes.h"
#include "quic/crypto/anti_replay.h"
#include "quic/wire/header.h"
#include "tests/quic/endpoint/forge.h"
#include "tests/quic/endpoint/net.h"

namespace
{

using Versions = std::set<uint32_t>;

/* The versions of the long-header packets of one type that one side has sent. */
Versions sent_in(const Net &net, bool to_server, quic_packet_type type)
{
    Versions out;
    for (const Packet &p : net.sent) {
        size_t off = 0;
        quic_long_header h;
        while (p.to_server == to_server && off < p.bytes.size() &&
               quic_header_is_long(p.bytes[off]) &&
               quic_header_decode_long(&h, p.bytes.data() + off, p.bytes.size() - off,
                                       QUIC_VERSIONS_ALL) == QUIC_OK) {
            if (h.type == type) {
                out.insert(h.version);
            }
            off += h.packet_len;
        }
    }
    return out;
}

/* The version of the client's n-th Initial datagram. */
uint32_t version_of_nth_initial(const Net &net, uint32_t n)
{
    for (const Packet &p : net.sent) {
        if (p.to_server && quic_header_is_long(p.bytes[0]) && n-- == 0) {
            return quic_load_be32(p.bytes.data() + 1);
        }
    }
    return 0;
}

quring_conn_info info_of(const quic_conn *conn)
{
    quring_conn_info info;
    quic_conn_get_info(conn, &info);
    return info;
}

bool moves(Net &net, size_t size = 20000)
{
    const std::string bytes(size, 'b');
    const uint64_t up = net.write(net.client, bytes);
    const uint64_t down = net.write(net.server, bytes);
    return net.run_until([&] {
        return net.server.streams[up].bytes == bytes && net.client.streams[down].bytes == bytes;
    });
}

struct Case {
    uint32_t first;
    uint32_t client_prefers, server_prefers;
    uint32_t reached;
};

std::function<void(sim::Options &)> with(const Case &c)
{
    return [c](sim::Options &o) {
        o.clients[0].limits.version_first = c.first;
        o.clients[0].limits.version_preferred = c.client_prefers;
        o.server.limits.version_preferred = c.server_prefers;
    };
}

constexpr Case kUpgrade = {QUIC_VERSION_1, QUIC_VERSION_2, 0, QUIC_VERSION_2};

TEST(VersionSwitch, ServersWishGoesFirstThenTheClients)
{
    const uint32_t v1 = QUIC_VERSION_1;
    const uint32_t v2 = QUIC_VERSION_2;
    const Case cases[] = {
        {v1, 0, 0, v1},  {v2, 0, 0, v2},   {v1, v2, 0, v2},  {v2, v1, 0, v1}, {v1, 0, v2, v2},
        {v2, 0, v1, v1}, {v1, v2, v1, v1}, {v2, v1, v2, v2}, {v1, 0, v1, v1},
    };
    for (const Case &c : cases) {
        Net net(with(c));
        ASSERT_TRUE(net.handshake());
        EXPECT_EQ(net.now, kS + 3 * net.delay) << "it costs no time";
        EXPECT_EQ(info_of(net.client.conn).version, c.reached);
        EXPECT_EQ(info_of(net.server.conn).version, c.reached);
        const uint64_t switches = c.first != c.reached ? 1 : 0;
        EXPECT_EQ(quic_endpoint_counters(net.server.ep)->version_switches, switches);
        EXPECT_EQ(quic_endpoint_counters(net.client.ep)->version_switches, switches);
        EXPECT_TRUE(moves(net));
    }
}

/* The interop runner's case "v2": some of the client's Initials are version 1, some of the server's
 * version 2; all Handshake packets are version 2. */
TEST(VersionSwitch, InteropV2)
{
    Net net(with(kUpgrade));
    ASSERT_TRUE(net.handshake());
    EXPECT_TRUE(moves(net));
    EXPECT_EQ(sent_in(net, true, QUIC_PACKET_INITIAL).count(QUIC_VERSION_1), 1u);
    EXPECT_EQ(sent_in(net, false, QUIC_PACKET_INITIAL), Versions{QUIC_VERSION_2});
    EXPECT_EQ(sent_in(net, true, QUIC_PACKET_HANDSHAKE), Versions{QUIC_VERSION_2});
    EXPECT_EQ(sent_in(net, false, QUIC_PACKET_HANDSHAKE), Versions{QUIC_VERSION_2});
}

/* The same with BoringSSL and real packet protection, key update included: labels of version 2. */
TEST(VersionSwitch, WithRealKeysAndKeyUpdates)
{
    for (const Case &c : {kUpgrade, Case{QUIC_VERSION_2, 0, 0, QUIC_VERSION_2},
                          Case{QUIC_VERSION_2, QUIC_VERSION_1, 0, QUIC_VERSION_1}}) {
        Net net([&](sim::Options &o) {
            with(c)(o);
            o.tls = sim::Tls::kBoring;
        });
        ASSERT_TRUE(net.handshake());
        EXPECT_EQ(info_of(net.client.conn).version, c.reached);
        net.run_for(kS);
        for (int i = 0; i < 2; i++) {
            ASSERT_EQ(quic_conn_update_keys(i == 0 ? net.client.conn : net.server.conn), QUIC_OK);
            EXPECT_TRUE(moves(net));
            net.run_for(2 * kS);
        }
        EXPECT_EQ(quic_endpoint_counters(net.server.ep)->drop_undecryptable, 0u);
        EXPECT_EQ(quic_endpoint_counters(net.client.ep)->drop_undecryptable, 0u);
    }
}

/* RFC 9369 4.1: before the server knows, it answers in the version it was asked in. */
TEST(VersionSwitch, ClientHelloOverSeveralPackets)
{
    Net net([](sim::Options &o) {
        with(kUpgrade)(o);
        o.client_hello_len = 3000;
    });
    uint32_t n = 0;
    net.filter = [&](Packet &p) { /* the rest comes a round trip later */
                                  p.arrive_ns +=
                                      p.to_server && n++ > 0 && p.sent_ns == kS ? 50 * kMs : 0;
                                  return true;
    };
    ASSERT_TRUE(net.handshake());
    EXPECT_EQ(sent_in(net, false, QUIC_PACKET_INITIAL), (Versions{QUIC_VERSION_1, QUIC_VERSION_2}));
    EXPECT_EQ(sent_in(net, false, QUIC_PACKET_HANDSHAKE), Versions{QUIC_VERSION_2});
    EXPECT_EQ(info_of(net.client.conn).version, QUIC_VERSION_2);
    EXPECT_TRUE(moves(net));
}

/* RFC 9369 4.1: Retry, and the Initial that brings its token, keep the first version; the connection
 * IDs of both are still proved (RFC 9000 7.3). */
TEST(VersionSwitch, AfterARetry)
{
    Net net([](sim::Options &o) {
        with(kUpgrade)(o);
        o.retry = true;
    });
    ASSERT_TRUE(net.handshake());
    EXPECT_EQ(sent_in(net, false, QUIC_PACKET_RETRY), Versions{QUIC_VERSION_1});
    EXPECT_EQ(version_of_nth_initial(net, 1), QUIC_VERSION_1);
    EXPECT_EQ(info_of(net.client.conn).version, QUIC_VERSION_2);
    EXPECT_TRUE(info_of(net.client.conn).retry_used);
    EXPECT_TRUE(moves(net));
}

/* The keys that a claim of another version was tried with are those of the connection ID before the Retry. */
TEST(VersionSwitch, AfterARetryThatAClaimCameBefore)
{
    Net net([](sim::Options &o) {
        with(kUpgrade)(o);
        o.retry = true;
    });
    InitialSpec spec;
    spec.key_dcid = make_cid(1);
    spec.frames = {0x01};
    spec.from_server = true;
    spec.version = QUIC_VERSION_2;
    net.filter = [&](Packet &p) {
        if (!p.to_server && spec.scid.len == 0) { /* the Retry */
            spec.dcid = dcid_of(p.bytes);
            spec.scid = scid_of(p.bytes);
        }
        return true;
    };
    ASSERT_NE(net.connect(), nullptr);
    ASSERT_TRUE(net.run_until([&] { return spec.scid.len != 0; }, kS));
    net.inject(net.client, forge_initial(spec));
    ASSERT_TRUE(net.run_until(
        [&] { return net.client.conn != nullptr && net.server.conn != nullptr; }, 5 * kS));
    EXPECT_TRUE(info_of(net.client.conn).retry_used);
    EXPECT_EQ(info_of(net.client.conn).version, QUIC_VERSION_2);
    EXPECT_TRUE(moves(net));
}

/* RFC 9369 4.1: a Retry of another version is ignored, although its tag is right. */
TEST(VersionSwitch, RetryOfAnotherVersionIsIgnored)
{
    Net net([](sim::Options &o) {
        o.retry = true;
        o.clients[0].limits.version_first = QUIC_VERSION_2;
    });
    Bytes retry;
    net.filter = [&](Packet &p) {
        if (!p.to_server) {
            retry = p.bytes;
        }
        return p.to_server;
    };
    ASSERT_NE(net.connect(), nullptr);
    ASSERT_TRUE(net.run_until([&] { return !retry.empty(); }, kS));
    quic_store_be32(retry.data() + 1, QUIC_VERSION_1);
    retry[0] = 0xf0;
    net.inject(net.client, retry);
    EXPECT_GE(quic_endpoint_counters(net.client.ep)->drop_malformed, 1u);
}

/* RFC 9369 4.1: the server opens Initials of the first version until the client's Handshake packets
 * come; whatever is lost, the two find each other. */
TEST(VersionSwitch, SurvivesTheLossOfAnyDatagram)
{
    for (uint64_t lost = 0; lost < 10; lost++) {
        Net net(with(kUpgrade));
        uint64_t n = 0;
        net.filter = [&](Packet &) { return n++ != lost; };
        ASSERT_TRUE(net.handshake()) << lost;
        EXPECT_EQ(info_of(net.client.conn).version, QUIC_VERSION_2) << lost;
        EXPECT_TRUE(moves(net)) << lost;
    }
}

TEST(VersionSwitch, ServerStillHearsTheFirstVersion)
{
    Net net(with(kUpgrade));
    bool mute = true;
    net.filter = [&](Packet &p) { return p.to_server || !mute; };
    ASSERT_NE(net.connect(), nullptr);
    net.run_for(5 * kS); /* several probes of the client, all in version 1 */
    EXPECT_EQ(sent_in(net, true, QUIC_PACKET_INITIAL), Versions{QUIC_VERSION_1});
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->drop_no_keys, 0u);
    EXPECT_GT(quic_endpoint_counters(net.server.ep)->packets_recv, 1u);
    mute = false;
    ASSERT_TRUE(net.run_until([&] { return net.client.conn != nullptr; }));
    EXPECT_EQ(info_of(net.client.conn).version, QUIC_VERSION_2);
}

/* Version 2 in answer to the client's first packet: anybody can make Initial packets of either version. */
static auto forge_v2_answer(Net &net)
{
    InitialSpec spec;
    spec.version = QUIC_VERSION_2;
    spec.from_server = true;
    spec.key_dcid = dcid_of(net.sent[0].bytes);
    spec.dcid = scid_of(net.sent[0].bytes);
    spec.scid = make_cid(9);
    spec.frames = {0x01};
    return forge_initial(spec);
}

/* RFC 9368 4: who alters the version of the server's packets on the way gets nowhere. */
TEST(VersionSwitch, H58_ForgedSwitchDoesNotEndInTheForgedVersion)
{
    Net net;
    bool first = true;
    net.filter = [&](Packet &p) {
        bool swallow = !p.to_server && first;
        first = first && p.to_server;
        return !swallow;
    };
    ASSERT_NE(net.connect(), nullptr);
    net.run_for(kMs);
    net.inject(net.client, forge_v2_answer(net));
    net.run_for(20 * kS);
    EXPECT_EQ(net.client.conn, nullptr);
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_HANDSHAKE_TIMEOUT);
}

/* RFC 9369 4.1: the server's CRYPTO frames have told the version, and what somebody claimed before counts no more. */
TEST(VersionSwitch, NoneAfterTheServersFirstCryptoFrame)
{
    Net net;
    bool only_initial = true;
    quic_cid server_cid{};
    net.filter = [&](Packet &p) {
        quic_long_header h;
        if (p.to_server || !only_initial) {
            return true;
        }
        if (server_cid.len != 0 || quic_header_decode_long(&h, p.bytes.data(), p.bytes.size(),
                                                           QUIC_VERSIONS_ALL) != QUIC_OK) {
            return false;
        }
        server_cid = scid_of(p.bytes);
        p.bytes.resize(
            h.packet_len); /* what tells the version, and nothing to acknowledge but that */
        return true;
    };
    ASSERT_NE(net.connect(), nullptr);
    net.run_for(kMs);
    Bytes claim = forge_v2_answer(net);
    claim.back() ^= 1; /* opens with no keys, but has some made */
    net.inject(net.client, claim);
    net.run_for(2 * net.delay);
    ASSERT_NE(server_cid.len, 0);
    InitialSpec spec;
    spec.version = QUIC_VERSION_2;
    spec.from_server = true;
    spec.key_dcid = dcid_of(net.sent[0].bytes);
    spec.dcid = scid_of(net.sent[0].bytes);
    spec.scid = server_cid;
    spec.pn = 100;
    spec.frames = {0x01};
    net.inject(net.client, forge_initial(spec));
    EXPECT_EQ(quic_endpoint_counters(net.client.ep)->version_switches, 0u);
    only_initial = false;
    ASSERT_TRUE(net.run_until(
        [&] { return net.client.conn != nullptr && net.server.conn != nullptr; }, 5 * kS));
    EXPECT_EQ(info_of(net.client.conn).version, QUIC_VERSION_1);
    EXPECT_TRUE(moves(net));
}

/* RFC 9368 2.3: to a version that the client offers, and to no other. */
TEST(VersionSwitch, ToAVersionThatIsNotOfferedIsNone)
{
    Net net([](sim::Options &o) { o.clients[0].limits.versions = QURING_SPEAKS_V1; });
    bool mute = true;
    net.filter = [&](Packet &p) { return p.to_server || !mute; };
    ASSERT_NE(net.connect(), nullptr);
    net.run_for(kMs);
    net.inject(net.client, forge_v2_answer(net));
    mute = false;
    ASSERT_TRUE(net.run_until([&] { return net.client.conn != nullptr; }));
    EXPECT_EQ(info_of(net.client.conn).version, QUIC_VERSION_1);
    EXPECT_EQ(sent_in(net, true, QUIC_PACKET_INITIAL), Versions{QUIC_VERSION_1});
}

/* ---- tickets: RFC 9369 5 ------------------------------------------------------------------------------ */

class VersionTickets : public testing::Test
{
  protected:
    static constexpr uint32_t kSlots = 64;

    VersionTickets() : memory_(quic_anti_replay_size(kSlots) / sizeof(uint64_t) + 1)
    {
        const uint8_t key[16] = {1};
        gate_.replay =
            quic_anti_replay_init(memory_.data(), kSlots, 3600 * kS, key, 0, QUIC_NS_PER_S);
        gate_.id = 77;
    }

    bool Early(Net &net)
    {
        net.client.conn = net.connect();
        const uint64_t id = net.write(net.client, "early");
        return net.run_until([&] {
            return net.server.streams[id].fin && net.client.count(QURING_EV_CONNECTED) == 1 &&
                   net.server.count(QURING_EV_CONNECTED) == 1;
        });
    }

    std::vector<uint64_t> memory_;
    quic_early_gate gate_{};
};

/* A ticket of a connection that switched belongs to where it switched to; the next one begins there. */
TEST_F(VersionTickets, BelongToTheNegotiatedVersion)
{
    Net net(with({0, QUIC_VERSION_2, 0, QUIC_VERSION_2}));
    ASSERT_TRUE(net.take_ticket(&gate_));
    ASSERT_TRUE(Early(net));
    EXPECT_EQ(sent_in(net, true, QUIC_PACKET_INITIAL), Versions{QUIC_VERSION_2});
    EXPECT_EQ(sent_in(net, true, QUIC_PACKET_0RTT), Versions{QUIC_VERSION_2});
    EXPECT_TRUE(info_of(net.client.conn).resumed);
    EXPECT_TRUE(info_of(net.client.conn).early_accepted);
    EXPECT_EQ(info_of(net.client.conn).version, QUIC_VERSION_2);
}

/* RFC 9369 4.1: 0-RTT packets stay in the version of the first flight, although the server switches. */
TEST_F(VersionTickets, EarlyDataStaysInTheFirstVersion)
{
    Net net;
    ASSERT_TRUE(net.take_ticket(&gate_));
    quring_limits limits = net.options.server.limits;
    limits.version_preferred = QUIC_VERSION_2;
    net.serve(&gate_, &limits);
    ASSERT_TRUE(Early(net));
    EXPECT_EQ(sent_in(net, true, QUIC_PACKET_0RTT), Versions{QUIC_VERSION_1});
    EXPECT_EQ(sent_in(net, false, QUIC_PACKET_HANDSHAKE), Versions{QUIC_VERSION_2});
    EXPECT_TRUE(info_of(net.client.conn).resumed);
    EXPECT_TRUE(info_of(net.client.conn).early_accepted);
    EXPECT_EQ(info_of(net.server.conn).version, QUIC_VERSION_2);
}

/* The session's first bytes name its version: a client that lies there is found out by the server. */
TEST_F(VersionTickets, ServerRefusesTicketsOfAnotherVersion)
{
    for (sim::Tls tls : {sim::Tls::kScript, sim::Tls::kBoring}) {
        Net net([&](sim::Options &o) { o.tls = tls; });
        ASSERT_TRUE(net.take_ticket(&gate_));
        quic_store_be32(reinterpret_cast<uint8_t *>(&net.session[4]), QUIC_VERSION_2);
        ASSERT_TRUE(Early(net)); /* refused, and sent again */
        EXPECT_EQ(sent_in(net, true, QUIC_PACKET_0RTT), Versions{QUIC_VERSION_2});
        EXPECT_FALSE(info_of(net.client.conn).resumed);
        EXPECT_TRUE(info_of(net.client.conn).early_rejected);
    }
}

TEST_F(VersionTickets, ClientKeepsASessionToItsVersion)
{
    Net net;
    ASSERT_TRUE(net.take_ticket(&gate_));
    net.options.clients[0].limits.version_first = QUIC_VERSION_2;
    ASSERT_NE(net.connect(), nullptr);
    ASSERT_TRUE(net.run_until([&] { return net.client.count(QURING_EV_CONNECTED) == 1; }));
    EXPECT_TRUE(sent_in(net, true, QUIC_PACKET_0RTT).empty());
    EXPECT_FALSE(info_of(net.client.conn).resumed);
}

/* The server has forgotten the session's version: what was sent early comes with the second try. */
TEST_F(VersionTickets, EarlyDataSurvivesARestart)
{
    Net net(with({QUIC_VERSION_2, 0, 0, QUIC_VERSION_2}));
    ASSERT_TRUE(net.take_ticket(&gate_));
    quring_limits limits = net.options.server.limits;
    limits.versions = QURING_SPEAKS_V1;
    net.serve(&gate_, &limits);
    ASSERT_TRUE(Early(net));
    EXPECT_EQ(quic_endpoint_counters(net.client.ep)->version_restarts, 1u);
    EXPECT_EQ(net.client.count(QURING_EV_EARLY_REJECTED), 1u);
    EXPECT_EQ(info_of(net.client.conn).version, QUIC_VERSION_1);
}

} // namespace

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "quic/base/bytes.h"
#include "quic/wire/header.h"
#include "tests/quic/endpoint/forge.h"
#include "tests/quic/endpoint/net.h"

namespace
{

Bytes unknown_version_initial(size_t len)
{
    Bytes p(len, 0x5a);
    const uint8_t head[] = {0xc3, 0x1a, 0x2a, 0x3a, 0x4a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 3, 9, 9, 9};
    std::copy(std::begin(head), std::end(head), p.begin());
    return p;
}

constexpr uint32_t kReserved = 0x0a0a0a0a; /* stands for all of them */

/* The versions in a Version Negotiation packet; nothing if it is none. */
std::set<uint32_t> listed(const Bytes &packet)
{
    std::set<uint32_t> out;
    quic_long_header h;
    if (quic_header_decode_long(&h, packet.data(), packet.size(), QUIC_VERSIONS_ALL) == QUIC_OK &&
        h.type == QUIC_PACKET_VN) {
        for (uint32_t i = 0; i < h.version_count; i++) {
            uint32_t v = quic_header_vn_version(&h, i);
            out.insert(quic_version_is_reserved(v) ? kReserved : v);
        }
    }
    return out;
}

/* The answer to an Initial, with the connection IDs it was sent with. */
Bytes forge_vn(const Bytes &initial, const std::vector<uint32_t> &versions)
{
    quic_cid dcid = dcid_of(initial);
    quic_cid scid = scid_of(initial);
    Bytes vn(600);
    vn.resize(quic_header_encode_vn(vn.data(), vn.size(), 3, quic_reader_make(scid.bytes, scid.len),
                                    quic_reader_make(dcid.bytes, dcid.len), versions.data(),
                                    versions.size()));
    return vn;
}

quring_conn_info info_of(const quic_conn *conn)
{
    quring_conn_info info;
    quic_conn_get_info(conn, &info);
    return info;
}

uint32_t version_of(const Bytes &long_packet)
{
    return quic_load_be32(long_packet.data() + 1);
}

/* RFC 9000 6.1 */
TEST(Version, ServerAnswersUnknownVersionWithWhatItHas)
{
    Net net;
    net.inject(net.server, unknown_version_initial(1200));
    ASSERT_EQ(net.sent.size(), 1u);
    quic_long_header h;
    const Bytes &vn = net.sent[0].bytes;
    ASSERT_EQ(quic_header_decode_long(&h, vn.data(), vn.size(), QUIC_VERSIONS_ALL), QUIC_OK);
    ASSERT_EQ(h.type, QUIC_PACKET_VN);
    EXPECT_TRUE(h.dcid_len == 3 && h.dcid[0] == 9);
    EXPECT_TRUE(h.scid_len == 8 && h.scid[7] == 8);
    EXPECT_EQ(listed(vn), (std::set<uint32_t>{QUIC_VERSION_1, QUIC_VERSION_2, kReserved}));
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 0u);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->sent_version_negotiation, 1u);
}

/* RFC 9000 6.2: who finds there what it has asked with discards the list, reserved versions included. */
TEST(Version, TheReservedVersionIsNeverTheOneAskedWith)
{
    Net net;
    const quic_rng_seeded_state before = net.server.rng;
    net.inject(net.server, unknown_version_initial(1200));
    ASSERT_EQ(net.sent.size(), 1u);
    const auto reserved_in = [](const Bytes &vn) {
        quic_long_header h;
        EXPECT_EQ(quic_header_decode_long(&h, vn.data(), vn.size(), QUIC_VERSIONS_ALL), QUIC_OK);
        return quic_header_vn_version(&h, 0);
    };
    const uint32_t reserved = reserved_in(net.sent[0].bytes);
    ASSERT_TRUE(quic_version_is_reserved(reserved));
    net.server.rng = before; /* the same again, asked with that */
    Bytes p = unknown_version_initial(1200);
    quic_store_be32(p.data() + 1, reserved);
    net.inject(net.server, p);
    ASSERT_EQ(net.sent.size(), 2u);
    EXPECT_NE(reserved_in(net.sent[1].bytes), reserved);
    EXPECT_EQ(listed(net.sent[1].bytes).size(), 3u);
}

/* RFC 9000 6, RFC 9368 2.1: not the remains of a connection either; and a packet of a version that is not its own
 * gets the list. */
TEST(Version, NoConnectionThatIsOverAnswersForOthersVersions)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    const auto of_server = [](const Packet &sent) { return !sent.to_server; };
    const auto first = std::find_if(net.sent.begin(), net.sent.end(), of_server);
    ASSERT_NE(first, net.sent.end());
    const quic_cid cid = scid_of(first->bytes);
    ASSERT_EQ(quic_conn_close(net.server.conn, 1, nullptr), QUIC_OK);
    net.run_for(20 * kMs);
    ASSERT_EQ(quic_endpoint_conn_count(net.server.ep), 1u); /* what remains of it */
    Bytes p = unknown_version_initial(1202);                /* of a size for a list of versions */
    ASSERT_EQ(cid.len, 8);
    std::copy_n(cid.bytes, 8, p.begin() + 6);
    net.sent.clear();
    net.inject(net.server, p);
    ASSERT_EQ(net.sent.size(), 1u);
    EXPECT_EQ(listed(net.sent[0].bytes).size(), 3u);
    quic_store_be32(p.data() + 1, 0);
    net.inject(net.server, p);
    EXPECT_EQ(net.sent.size(), 1u);
}

/* RFC 9000 6.1, 14.1: no answer to a small datagram, nor to a Version Negotiation packet */
TEST(Version, ServerSaysNothingToSmallDatagramsOrToVersionNegotiation)
{
    Net net;
    net.inject(net.server, unknown_version_initial(1199));
    Bytes vn = unknown_version_initial(1200);
    vn[1] = vn[2] = vn[3] = vn[4] = 0;
    net.inject(net.server, vn);
    EXPECT_TRUE(net.sent.empty());
}

TEST(Version, AnswersAreRateLimited)
{
    Net net([](sim::Options &o) { o.server.limits.version_negotiations_per_s = 10; });
    for (int i = 0; i < 100; i++) {
        net.inject(net.server, unknown_version_initial(1200));
    }
    EXPECT_EQ(net.sent.size(), 10u);
}

/* Hostile input 3: RFC 8999 5.1 has CIDs of up to 255 bytes, and RFC 9000 6.1 echoes them. */
TEST(Version, H3_UnknownVersionIsAnsweredWhateverItsConnectionIds)
{
    for (size_t len : {0u, 1u, 20u, 21u, 255u}) {
        Net net;
        Bytes p = {0x80, 0xff, 0, 0, 0x1d, static_cast<uint8_t>(len)};
        p.insert(p.end(), len, 0x11);
        p.push_back(static_cast<uint8_t>(len));
        p.insert(p.end(), len, 0x22);
        p.resize(1200, 0);
        net.inject(net.server, p);
        ASSERT_EQ(net.sent.size(), 1u) << len;
        quic_long_header h;
        const Bytes &vn = net.sent[0].bytes;
        ASSERT_EQ(quic_header_decode_long(&h, vn.data(), vn.size(), QUIC_VERSIONS_ALL), QUIC_OK);
        ASSERT_EQ(h.type, QUIC_PACKET_VN);
        EXPECT_EQ(Bytes(h.dcid, h.dcid + h.dcid_len), Bytes(len, 0x22));
        EXPECT_EQ(Bytes(h.scid, h.scid + h.scid_len), Bytes(len, 0x11));
        EXPECT_EQ(listed(vn).size(), 3u);
    }
}

TEST(Version, H3_SmallDatagramsAndFloodsOfUnknownVersionsAreDropped)
{
    Net net([](sim::Options &o) { o.server.limits.version_negotiations_per_s = 5; });
    net.inject(net.server, unknown_version_initial(1199));
    EXPECT_TRUE(net.sent.empty());
    for (int i = 0; i < 50; i++) {
        net.inject(net.server, unknown_version_initial(1200));
    }
    EXPECT_EQ(net.sent.size(), 5u);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->drop_limit, 45u);
}

/* Hostile input 4: what only a server sends, and headers that break their version's rules. */
TEST(Version, H4_PacketsThatNoClientSendsAreDropped)
{
    Net net;
    Bytes vn = unknown_version_initial(1200);
    vn[1] = vn[2] = vn[3] = vn[4] = 0;
    Bytes retry = unknown_version_initial(1200);
    retry[0] = 0xf0;
    retry[1] = retry[2] = retry[3] = 0;
    retry[4] = 1;
    Bytes long_cid = {0xc0, 0, 0, 0, 1, 21};
    long_cid.resize(1200, 7);
    InitialSpec spec;
    spec.key_dcid = spec.dcid = make_cid(1);
    spec.scid = make_cid(2);
    spec.frames = {0x01};
    Bytes no_fixed_bit = forge_initial(spec);
    no_fixed_bit[0] = static_cast<uint8_t>(no_fixed_bit[0] & ~QUIC_HEADER_FIXED_BIT);
    for (const Bytes &p : {vn, retry, long_cid, no_fixed_bit}) {
        net.inject(net.server, p);
        EXPECT_TRUE(net.sent.empty());
        EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 0u);
    }
    net.inject(net.server, forge_initial(spec)); /* the last one as it should be */
    EXPECT_FALSE(net.sent.empty());
}

/* RFC 9000 5.2.2: a version that is known here but not served is unknown. */
TEST(Version, VersionThatIsNotServedIsAnsweredLikeAnUnknownOne)
{
    const struct {
        uint32_t served, version;
    } cases[] = {{QURING_SPEAKS_V1, QUIC_VERSION_2}, {QURING_SPEAKS_V2, QUIC_VERSION_1}};
    for (const auto &c : cases) {
        Net net([&](sim::Options &o) { o.server.limits.versions = c.served; });
        Bytes p = unknown_version_initial(1200);
        quic_store_be32(p.data() + 1, c.version);
        net.inject(net.server, p); /* malformed in its version, but nobody looks */
        ASSERT_EQ(net.sent.size(), 1u);
        const uint32_t other = c.version == QUIC_VERSION_1 ? QUIC_VERSION_2 : QUIC_VERSION_1;
        EXPECT_EQ(listed(net.sent[0].bytes), (std::set<uint32_t>{other, kReserved}));
    }
}

struct VnCase {
    const char *name;
    std::vector<uint32_t> versions;
    bool wrong_cids;
    bool ends;
};

/* RFC 9000 6.2, RFC 9368 4 */
TEST(Version, ClientBelievesOnlyAVersionNegotiationThatMakesSense)
{
    const VnCase cases[] = {
        {"other versions", {0x6b3343ce, 0x1a2a3a4a}, false, true},
        {"our version is among them", {0x6b3343cf, QUIC_VERSION_1}, false, false},
        {"connection IDs of somebody else", {0x6b3343ce}, true, false},
    };
    for (const VnCase &c : cases) {
        Net net;
        net.filter = [](Packet &) { return false; };
        ASSERT_NE(net.connect(), nullptr);
        net.run_for(kMs);
        ASSERT_FALSE(net.sent.empty());
        Bytes first = net.sent[0].bytes;
        first[6] = static_cast<uint8_t>(first[6] ^ (c.wrong_cids ? 1 : 0));
        net.inject(net.client, forge_vn(first, c.versions));
        EXPECT_EQ(net.client.close_kind(), c.ends ? QURING_CLOSE_VERSION : QURING_CLOSE_NONE)
            << c.name;
        EXPECT_EQ(quic_endpoint_counters(net.client.ep)->version_restarts, 0u) << c.name;
    }
}

/* RFC 9000 6.2: once the server has answered, Version Negotiation is noise. */
TEST(Version, ClientIgnoresItAfterTheServersFirstPacket)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.inject(net.client, forge_vn(net.sent[0].bytes, {QUIC_VERSION_2}));
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_NONE);
    EXPECT_EQ(quic_endpoint_counters(net.client.ep)->version_restarts, 0u);
}

/* ---- the second try: RFC 9368 2.1 ------------------------------------------------------------------ */

struct RestartCase {
    const char *name;
    uint32_t server, client; /* QURING_SPEAKS_* */
    uint32_t first, reached;
};

TEST(Version, ClientBeginsAgainInAVersionTheServerLists)
{
    const uint32_t both = QURING_SPEAKS_V1 | QURING_SPEAKS_V2;
    const RestartCase cases[] = {
        {"2 to 1", QURING_SPEAKS_V1, both, QUIC_VERSION_2, QUIC_VERSION_1},
        {"1 to 2", QURING_SPEAKS_V2, both, QUIC_VERSION_1, QUIC_VERSION_2},
        {"reserved to 1", both, both, 0x1a2a3a4a, QUIC_VERSION_1},
        {"reserved to 2", both, QURING_SPEAKS_V2, 0xfafafafa, QUIC_VERSION_2},
    };
    for (const RestartCase &c : cases) {
        Net net([&](sim::Options &o) {
            o.server.limits.versions = c.server;
            o.clients[0].limits.versions = c.client;
            o.clients[0].limits.version_first = c.first;
        });
        quic_conn *conn = net.connect();
        ASSERT_NE(conn, nullptr) << c.name;
        const uint64_t handle = quic_conn_handle(conn);
        ASSERT_TRUE(net.run_until([&] { return net.client.conn != nullptr; }, 5 * kS)) << c.name;
        EXPECT_EQ(quic_conn_handle(net.client.conn), handle); /* the application saw nothing */
        EXPECT_EQ(net.now, kS + 4 * net.delay) << c.name;     /* one round trip more */
        EXPECT_EQ(info_of(net.client.conn).version, c.reached);
        EXPECT_EQ(quic_endpoint_counters(net.client.ep)->version_restarts, 1u);
        /* RFC 9000 7.2, RFC 9368 2.4: another connection, as far as anybody can see */
        EXPECT_EQ(version_of(net.sent[0].bytes), c.first);
        EXPECT_EQ(listed(net.sent[1].bytes).count(c.reached), 1u);
        EXPECT_EQ(version_of(net.sent[2].bytes), c.reached);
        const quic_cid first_try = dcid_of(net.sent[0].bytes);
        const quic_cid second_try = dcid_of(net.sent[2].bytes);
        EXPECT_FALSE(quic_cid_equal(&first_try, &second_try));
        ASSERT_TRUE(net.run_until([&] { return net.server.conn != nullptr; }, 5 * kS));
        const uint64_t id = net.write(net.client, std::string(50000, 'v'));
        ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }, 20 * kS)) << c.name;
        EXPECT_EQ(net.server.streams[id].bytes, std::string(50000, 'v'));
    }
}

/* The interop runner's case "versionnegotiation": the answer's SCID is the DCID that was asked. */
TEST(Version, InteropVersionNegotiation)
{
    Net net([](sim::Options &o) { o.clients[0].limits.version_first = 0x1a2a3a4a; });
    ASSERT_TRUE(net.handshake());
    const quic_cid asked = dcid_of(net.sent[0].bytes);
    const quic_cid answered = scid_of(net.sent[1].bytes);
    EXPECT_EQ(listed(net.sent[1].bytes).size(), 3u);
    EXPECT_TRUE(quic_cid_equal(&asked, &answered));
}

TEST(Version, WithoutACommonVersionTheConnectionEnds)
{
    Net net([](sim::Options &o) {
        o.server.limits.versions = QURING_SPEAKS_V1;
        o.clients[0].limits.versions = QURING_SPEAKS_V2;
    });
    ASSERT_NE(net.connect(), nullptr);
    ASSERT_TRUE(
        net.run_until([&] { return net.client.close_kind() != QURING_CLOSE_NONE; }, 5 * kS));
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_VERSION);
    EXPECT_EQ(net.now, kS + 2 * net.delay);
}

/* RFC 9368 4: in answer to the second try they are ignored, whatever they list. */
TEST(Version, SecondVersionNegotiationIsIgnored)
{
    Net net([](sim::Options &o) {
        o.server.limits.versions = QURING_SPEAKS_V1;
        o.clients[0].limits.version_first = QUIC_VERSION_2;
    });
    bool again = false;
    net.filter = [&](Packet &p) {
        if (p.to_server && version_of(p.bytes) == QUIC_VERSION_1 && !again) {
            again = true;
            return false; /* the server never sees it; somebody else answers below */
        }
        return true;
    };
    ASSERT_NE(net.connect(), nullptr);
    ASSERT_TRUE(net.run_until([&] { return again; }, 5 * kS));
    net.inject(net.client, forge_vn(net.sent.back().bytes, {QUIC_VERSION_2}));
    net.inject(net.client, forge_vn(net.sent.back().bytes, {0x1a2a3a4a}));
    ASSERT_TRUE(net.run_until([&] { return net.client.conn != nullptr; }, 5 * kS));
    EXPECT_EQ(info_of(net.client.conn).version, QUIC_VERSION_1);
}

TEST(Version, LostVersionNegotiationIsAskedForAgain)
{
    Net net([](sim::Options &o) {
        o.server.limits.versions = QURING_SPEAKS_V1;
        o.clients[0].limits.version_first = QUIC_VERSION_2;
    });
    uint32_t lost = 0;
    net.filter = [&](Packet &p) { return listed(p.bytes).empty() || lost++ > 0; };
    ASSERT_TRUE(net.handshake());
    EXPECT_EQ(info_of(net.client.conn).version, QUIC_VERSION_1);
}

TEST(Version, SecondTryMayMeetARetry)
{
    Net net([](sim::Options &o) {
        o.retry = true;
        o.server.limits.versions = QURING_SPEAKS_V2;
        o.clients[0].limits.version_first = QUIC_VERSION_1;
    });
    ASSERT_TRUE(net.handshake());
    EXPECT_EQ(info_of(net.client.conn).version, QUIC_VERSION_2);
    EXPECT_TRUE(info_of(net.client.conn).retry_used);
}

/* ---- downgrades: RFC 9368 4 ------------------------------------------------------------------------- */

/* Somebody on the way answers the first packet, in the server's name, with one version. */
void forge_first_answer(Net &net, uint32_t version)
{
    net.filter = [](Packet &p) { return !p.to_server; };
    ASSERT_NE(net.connect(), nullptr);
    net.run_for(kMs);
    net.filter = nullptr;
    net.inject(net.client, forge_vn(net.sent[0].bytes, {version}));
    (void)net.run_until([&] { return net.client.close_kind() != QURING_CLOSE_NONE; }, 5 * kS);
}

TEST(Version, H58_ForgedVersionNegotiationIsFoundOut)
{
    const struct {
        uint32_t first, forged, preferred;
    } cases[] = {
        {QUIC_VERSION_1, QUIC_VERSION_2, 0},
        {QUIC_VERSION_2, QUIC_VERSION_1, 0},
        {QUIC_VERSION_2, QUIC_VERSION_1, QUIC_VERSION_2},
        {QUIC_VERSION_1, QUIC_VERSION_2, QUIC_VERSION_2},
    };
    for (const auto &c : cases) {
        Net net([&](sim::Options &o) {
            o.clients[0].limits.version_first = c.first;
            o.clients[0].limits.version_preferred = c.preferred;
        });
        forge_first_answer(net, c.forged);
        EXPECT_EQ(quic_endpoint_counters(net.client.ep)->version_restarts, 1u);
        EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_LOCAL_TRANSPORT);
        EXPECT_EQ(net.client.close_code(), QUIC_V_VERSION_NEGOTIATION);
        net.run_for(kS);
        EXPECT_EQ(net.server.close_kind(), QURING_CLOSE_PEER_TRANSPORT);
        EXPECT_EQ(net.server.close_code(), 0x11u);
    }
}

/* So is one by who begins again with another connection, as a TLS that the application drives has to. */
TEST(Version, H58_WhoBeginsAgainAnewChecksTheSame)
{
    const uint32_t both = QURING_SPEAKS_V1 | QURING_SPEAKS_V2;
    const struct {
        uint32_t served, first, preferred, listed;
        bool genuine;
    } cases[] = {
        {QURING_SPEAKS_V1, QUIC_VERSION_2, 0, QUIC_VERSION_1, true},
        {QURING_SPEAKS_V2, QUIC_VERSION_1, 0, QUIC_VERSION_2, true},
        {both, 0x1a2a3a4a, 0, QUIC_VERSION_1, true},
        {both, 0x1a2a3a4a, 0, QUIC_VERSION_2, false},
        {both, 0x1a2a3a4a, QUIC_VERSION_2, QUIC_VERSION_1, false},
        {both, QUIC_VERSION_2, 0, QUIC_VERSION_1, false},
        {both, QUIC_VERSION_1, 0, QUIC_VERSION_2, false},
    };
    for (const auto &c : cases) {
        Net net([&](sim::Options &o) {
            o.server.limits.versions = c.served;
            o.clients[0].limits.version_first = c.first;
            o.clients[0].limits.version_preferred = c.preferred;
        });
        net.version_listed = c.listed;
        net.filter = [](Packet &p) { return !p.to_server; };
        ASSERT_NE(net.connect(), nullptr);
        net.run_for(kMs);
        net.filter = nullptr;
        EXPECT_EQ(version_of(net.sent[0].bytes), c.listed);
        net.inject(net.client, forge_vn(net.sent[0].bytes, {0x1a2a3a4a})); /* there is no third */
        (void)net.run_until(
            [&] {
                return net.client.conn != nullptr || net.client.close_kind() != QURING_CLOSE_NONE;
            },
            5 * kS);
        EXPECT_EQ(quic_endpoint_counters(net.client.ep)->version_restarts, 1u);
        EXPECT_EQ(net.client.conn != nullptr, c.genuine) << c.first << " " << c.listed;
        EXPECT_EQ(net.client.close_code(),
                  c.genuine ? UINT64_MAX : uint64_t{QUIC_V_VERSION_NEGOTIATION}) /* none */
            << c.first << " " << c.listed;
    }
}

/* A first try nobody answers genuinely does not excuse the choice that follows. */
TEST(Version, H58_ForgedListThatHidesTheBetterVersionIsFoundOut)
{
    Net net([](sim::Options &o) {
        o.clients[0].limits.version_first = 0x1a2a3a4a;
        o.clients[0].limits.version_preferred = QUIC_VERSION_2;
    });
    forge_first_answer(net, QUIC_VERSION_1);
    EXPECT_EQ(net.client.close_code(), QUIC_V_VERSION_NEGOTIATION);
}

struct LieCase {
    const char *name;
    bool to_server;
    uint32_t
        sent_to; /* the client reacted to a Version Negotiation packet with this version; 0: to none */
    std::function<void(quic_version_info &, bool &)> lie;
    uint64_t code;
};

TEST(Version, H58_VersionInformationThatDoesNotFitEndsTheConnection)
{
    const LieCase cases[] = {
        {"server: another Chosen Version", false, 0,
         [](quic_version_info &v, bool &) { v.chosen = QUIC_VERSION_2; }, 0x11},
        {"server: one we never offered", false, 0,
         [](quic_version_info &v, bool &) { v.chosen = 0xff00001d; }, 0x11},
        {"server: none, without a restart", false, 0,
         [](quic_version_info &, bool &has) { has = false; }, UINT64_MAX},
        {"server: none, after a restart in version 2", false, QUIC_VERSION_2,
         [](quic_version_info &, bool &has) { has = false; }, 0x11},
        /* RFC 9368 8: as if it had listed version 1 */
        {"server: none, after a restart in version 1", false, QUIC_VERSION_1,
         [](quic_version_info &, bool &has) { has = false; }, UINT64_MAX},
        {"server: lists nothing, after a restart", false, QUIC_VERSION_1,
         [](quic_version_info &v, bool &) { v.available_count = 0; }, 0x11},
        {"server: lists what we tried first, after a restart", false, QUIC_VERSION_1,
         [](quic_version_info &v, bool &) { v.available[v.available_count++] = QUIC_VERSION_2; },
         0x11},
        {"client: another Chosen Version", true, 0,
         [](quic_version_info &v, bool &) { v.chosen = QUIC_VERSION_2; }, 0x11},
        {"client: none", true, 0, [](quic_version_info &, bool &has) { has = false; }, UINT64_MAX},
    };
    for (const LieCase &c : cases) {
        Net net([&](sim::Options &o) {
            if (c.sent_to != 0) {
                o.server.limits.versions = quic_version_bit(c.sent_to);
                o.clients[0].limits.version_first =
                    c.sent_to == QUIC_VERSION_1 ? QUIC_VERSION_2 : QUIC_VERSION_1;
            }
        });
        auto lie = [&](quic_transport_params &p) { c.lie(p.version_info, p.has_version_info); };
        (c.to_server ? net.lie_to_server : net.lie_to_client) = lie;
        Side &victim = c.to_server ? net.server : net.client;
        ASSERT_NE(net.connect(), nullptr);
        (void)net.run_until(
            [&] { return victim.conn != nullptr || victim.close_kind() != QURING_CLOSE_NONE; },
            5 * kS);
        EXPECT_EQ(victim.close_code(), c.code) << c.name;
        EXPECT_EQ(victim.conn != nullptr, c.code == UINT64_MAX) << c.name;
        EXPECT_EQ(quic_endpoint_counters(net.client.ep)->version_restarts,
                  c.sent_to != 0 ? 1u : 0u);
    }
}

} // namespace

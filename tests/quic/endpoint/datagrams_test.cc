#include <algorithm>

#include <gtest/gtest.h>

#include "quic/wire/header.h"
#include "tests/quic/endpoint/forge.h"
#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"

namespace
{

/* A client's ClientHello as it would send it, and the connection IDs it chose. */
struct Hello {
    Bytes bytes;
    quic_cid dcid;
    quic_cid scid;
};

Hello take_hello(Net &net)
{
    Hello h;
    net.filter = [](Packet &p) { return !p.to_server; };
    EXPECT_NE(net.connect(), nullptr);
    net.run_for(2 * kS); /* its probes use up some packet numbers, which may then be acknowledged */
    h.dcid = dcid_of(net.sent[0].bytes);
    h.scid = scid_of(net.sent[0].bytes);
    h.bytes = crypto_bytes(open_initial(net.sent[0].bytes, h.dcid, false));
    EXPECT_GT(h.bytes.size(), 200u);
    net.filter = nullptr;
    return h;
}

Bytes hello_packet(const Hello &h, uint64_t pn, const std::vector<std::pair<size_t, size_t>> &parts)
{
    InitialSpec spec;
    spec.key_dcid = spec.dcid = h.dcid;
    spec.scid = h.scid;
    spec.pn = pn;
    for (const auto &p : parts) {
        spec.frames =
            spec.frames + crypto_frame(p.first, h.bytes.data() + p.first, p.second - p.first);
    }
    return forge_initial(spec);
}

TEST(Datagrams, ClientHelloMayComeInPiecesInAnyOrder)
{
    Net net;
    Hello h = take_hello(net);
    size_t n = h.bytes.size();
    net.inject(net.server, hello_packet(h, 1, {{200, n}, {50, 120}}));
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 1u);
    net.inject(net.server, hello_packet(h, 0, {{120, 210}, {0, 50}}));
    ASSERT_TRUE(
        net.run_until([&] { return net.client.conn != nullptr && net.server.conn != nullptr; }));
    net.write(net.client, "x");
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[0].fin; }));
}

TEST(Datagrams, ClientHelloOfSeveralDatagramsMayArriveBackwards)
{
    Net net([](sim::Options &o) { o.client_hello_len = 3500; });
    net.filter = [&](Packet &p) {
        p.arrive_ns -= p.to_server && net.sent.size() < 4 ? net.sent.size() * kMs : 0;
        return true;
    };
    ASSERT_TRUE(net.handshake());
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->conns_opened, 1u);
}

TEST(Datagrams, AUnitMayCarryThemAll)
{
    Net net([](sim::Options &o) { o.client_hello_len = 3500; });
    Bytes joined;
    net.filter = [&](Packet &p) {
        EXPECT_TRUE(p.to_server && p.bytes.size() == 1200);
        joined.insert(joined.end(), p.bytes.begin(), p.bytes.end());
        return false;
    };
    ASSERT_NE(net.connect(), nullptr);
    net.run_for(kMs);
    ASSERT_GT(joined.size(), 3500u);
    net.filter = nullptr;
    net.inject(net.server, joined, 5000, 1200);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->datagrams_recv, joined.size() / 1200);
    EXPECT_TRUE(net.run_until([&] { return net.client.conn != nullptr; }, 500 * kMs));
}

/* RFC 9000 5.2.2, 7.2 */
TEST(Datagrams, ForgedInitialLeavesNothingBehind)
{
    Net net;
    Hello h = take_hello(net);
    Bytes p = hello_packet(h, 0, {{0, h.bytes.size()}});
    p[300] ^= 1;
    uint64_t allocated = net.server.alloc.bytes();
    net.inject(net.server, p);
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 0u);
    EXPECT_LE(net.server.alloc.bytes(), allocated + 8192); /* tables' capacity */
}

struct BadFrames {
    const char *name;
    Bytes frames;
    uint64_t code;
};

/* RFC 9000 12.4: what an Initial may hold, and what it costs to try something else. */
TEST(Datagrams, FramesThatDoNotBelongIntoAnInitialEndTheConnection)
{
    const BadFrames cases[] = {
        {"STREAM", {0x08, 0x00, 'x'}, QUIC_V_PROTOCOL_VIOLATION},
        {"HANDSHAKE_DONE", {0x1e}, QUIC_V_PROTOCOL_VIOLATION},
        {"MAX_DATA", {0x10, 0x05}, QUIC_V_PROTOCOL_VIOLATION},
        {"application close", {0x1d, 0x00, 0x00}, QUIC_V_PROTOCOL_VIOLATION},
        {"unknown", {0x21}, QUIC_V_FRAME_ENCODING},
        {"cut short", {0x06, 0x40}, QUIC_V_FRAME_ENCODING},
        {"ACK of what was never sent", {0x02, 0x09, 0x00, 0x00, 0x00}, QUIC_V_PROTOCOL_VIOLATION},
        {"too much CRYPTO",
         {0x06, 0x80, 0x10, 0x00, 0x00, 0x01, 'x'},
         QUIC_V_CRYPTO_BUFFER_EXCEEDED},
    };
    for (const BadFrames &c : cases) {
        Net net;
        InitialSpec spec;
        spec.key_dcid = spec.dcid = make_cid(0x1122334455667788);
        spec.scid = make_cid(0x99);
        spec.frames = c.frames;
        spec.pad_to = 0; /* the frames end the packet: padding stands before it */
        spec.frames = Bytes(1200, 0) + c.frames;
        net.inject(net.server, forge_initial(spec));
        ASSERT_FALSE(net.sent.empty()) << c.name;
        EXPECT_EQ(close_code_of(open_initial(net.sent[0].bytes, spec.dcid, true)), c.code)
            << c.name;
        EXPECT_EQ(net.server.close_kind(), QURING_CLOSE_LOCAL_TRANSPORT) << c.name;
    }
}

/* RFC 9000 12.2 */
TEST(Datagrams, ServersFirstFlightIsCoalescedAndMayBeTakenApart)
{
    Net net;
    net.filter = [&](Packet &p) { return p.to_server; };
    ASSERT_NE(net.connect(), nullptr);
    net.run_for(15 * kMs);
    Bytes first;
    for (const Packet &p : net.sent) {
        if (!p.to_server && first.empty()) {
            first = p.bytes;
        }
    }
    quic_long_header h;
    ASSERT_EQ(quic_header_decode_long(&h, first.data(), first.size(), QUIC_VERSIONS_ALL), QUIC_OK);
    EXPECT_EQ(h.type, QUIC_PACKET_INITIAL);
    ASSERT_LT(h.packet_len, first.size());
    EXPECT_EQ(first.size(), 1200u);
    net.filter = nullptr;
    ptrdiff_t cut = static_cast<ptrdiff_t>(h.packet_len);
    net.inject(net.client, Bytes(first.begin(), first.begin() + cut));
    net.inject(net.client, Bytes(first.begin() + cut, first.end()));
    ASSERT_TRUE(
        net.run_until([&] { return net.client.conn != nullptr && net.server.conn != nullptr; }));
}

/* RFC 9000 5.7: 1-RTT packets that overtake the handshake wait for their keys. */
TEST(Datagrams, PacketsBeforeTheirKeysAreHeld)
{
    Net net;
    std::vector<Packet> late;
    net.filter = [&](Packet &p) {
        if (p.to_server && net.client.conn != nullptr && quic_header_is_long(p.bytes[0])) {
            late.push_back(p); /* the client's Finished */
            return false;
        }
        return true;
    };
    ASSERT_NE(net.connect(), nullptr);
    ASSERT_TRUE(net.run_until([&] { return net.client.conn != nullptr; }));
    net.write(net.client, "early bird");
    net.run_for(12 * kMs);
    ASSERT_FALSE(late.empty());
    EXPECT_EQ(net.server.conn, nullptr);
    net.filter = nullptr;
    uint64_t sent = quic_endpoint_counters(net.client.ep)->packets_sent;
    for (const Packet &p : late) {
        net.inject(net.server, p.bytes);
    }
    EXPECT_NE(net.server.conn, nullptr);
    EXPECT_TRUE(net.server.streams[0].fin); /* without any repetition by the client */
    EXPECT_EQ(quic_endpoint_counters(net.client.ep)->packets_sent, sent);
}

TEST(Datagrams, RepeatedInitialIsADuplicate)
{
    Net net;
    Hello h = take_hello(net);
    Bytes p = hello_packet(h, 0, {{0, 100}});
    net.inject(net.server, p);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->drop_duplicate, 0u);
    net.inject(net.server, p);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->drop_duplicate, 1u);
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 1u);
}

TEST(Datagrams, DuplicatesOfTheWholeHandshakeChangeNothing)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(100 * kMs);
    std::vector<Packet> all = net.sent;
    for (const Packet &p : all) {
        net.inject(p.to_server ? net.server : net.client, p.bytes);
    }
    net.run_for(kS);
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_NONE);
    EXPECT_EQ(net.server.count(QURING_EV_CONNECTED), 1u);
    net.write(net.client, "x");
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[0].fin; }));
    /* The repeated first Initial may have opened a second connection; it dies of silence. */
    net.run_for(12 * kS);
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 1u);
}

} // namespace

/* What a path carries: datagram size (RFC 8899) and ECN marks (RFC 9000 13.4), end to end. */
#include <gtest/gtest.h>

#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"

namespace
{

void probe_to_1472(sim::Options &o)
{
    o.server.limits.mtu_probe_max_bytes = 1472;
    o.clients[0].limits.mtu_probe_max_bytes = 1472;
}

void mark(sim::Options &o)
{
    o.server.limits.ecn = true;
    o.clients[0].limits.ecn = true;
}

class PathTest : public ::testing::Test
{
  protected:
    void start(const std::function<void(sim::Options &)> &change)
    {
        net = std::make_unique<Net>(change);
        net->keep_sent = false;
    }

    /* The client sends so much; true when it arrived. */
    bool upload(size_t len, quic_ns limit = 60 * kS)
    {
        std::string up = bytes_of(len);
        uint64_t id = net->write(net->client, up, true);
        return net->run_until([&] { return net->server.streams[id].fin; }, limit) &&
               net->server.streams[id].bytes == up;
    }

    uint64_t probes() const
    {
        return quic_endpoint_counters(net->client.ep)->mtu_probes_sent;
    }

    std::unique_ptr<Net> net;
};

/* ---- datagram size --------------------------------------------------------------------------------- */

TEST_F(PathTest, GrowsToTheCeilingAfterOneProbe)
{
    start(probe_to_1472);
    ASSERT_TRUE(net->handshake());
    EXPECT_EQ(info_of(net->client).udp_payload_bytes, 1200u);
    ASSERT_TRUE(upload(400000));
    EXPECT_EQ(info_of(net->client).udp_payload_bytes, 1472u);
    EXPECT_EQ(probes(), 1u);
    EXPECT_EQ(quic_endpoint_counters(net->client.ep)->mtu_changes, 1u);
    EXPECT_EQ(info_of(net->client).packets_lost, 0u);
    EXPECT_EQ(info_of(net->server).udp_payload_bytes, 1200u); /* it had nothing to send */
    EXPECT_EQ(sim_inspect_check(net->client.ep), nullptr);
}

/* No packet is larger than the buffer it is to be in. */
TEST_F(PathTest, AProbeThatDoesNotFitWaits)
{
    start(probe_to_1472);
    ASSERT_TRUE(net->handshake());
    ASSERT_TRUE(upload(11000)); /* a little more, and sizes are tried */
    ASSERT_EQ(probes(), 0u);
    quic_conn *conn = net->client.conn;
    quic_stream *stream = nullptr;
    ASSERT_EQ(quic_conn_stream_open(conn, false, &stream), QUIC_OK);
    std::vector<uint8_t> buf(65507);
    for (const uint32_t cap : {1300u, 65507u}) {
        const std::vector<uint8_t> data(2000);
        size_t accepted = 0;
        ASSERT_EQ(quic_conn_stream_write(conn, stream, data.data(), data.size(), 0, &accepted),
                  QUIC_OK);
        quic_tx_unit unit{};
        unit.buf = buf.data();
        unit.cap = cap;
        unit.seg_max = 1;
        while (quic_endpoint_send(net->client.ep, &unit, net->now)) {
            EXPECT_LE(unit.len, cap);
        }
        EXPECT_EQ(probes(), cap == 1300 ? 0u : 1u);
    }
}

/* RFC 9000 14.4: the loss of a probe says nothing of the path, so nothing else is to be lost with it. */
TEST_F(PathTest, AProbeLeavesAlone)
{
    start(probe_to_1472);
    ASSERT_TRUE(net->handshake());
    uint64_t alone = 0;
    size_t longest_before = 0;
    net->filter = [&](Packet &p) {
        alone += p.alone;
        longest_before = alone == 0 ? std::max(longest_before, p.bytes.size()) : longest_before;
        return true;
    };
    ASSERT_TRUE(upload(400000));
    EXPECT_EQ(alone, 1u);
    EXPECT_EQ(probes(), 1u);
    EXPECT_LE(longest_before, 1200u);
}

TEST_F(PathTest, OverIpv6TheCeilingIsLower)
{
    start(probe_to_1472);
    net->client.addr.family = 6;
    net->server.addr.family = 6;
    ASSERT_TRUE(net->handshake());
    ASSERT_TRUE(upload(400000));
    EXPECT_EQ(info_of(net->client).udp_payload_bytes, 1452u);
}

TEST_F(PathTest, ThePeersLimitIsTheCeiling)
{
    start([](sim::Options &o) {
        probe_to_1472(o);
        o.server.limits.udp_payload_max_bytes = 1300;
    });
    ASSERT_TRUE(net->handshake());
    size_t largest = 0;
    net->filter = [&](Packet &p) {
        largest = p.to_server ? std::max(largest, p.bytes.size()) : largest;
        return true;
    };
    ASSERT_TRUE(upload(400000));
    EXPECT_EQ(info_of(net->client).udp_payload_bytes, 1300u);
    EXPECT_EQ(largest, 1300u);
}

TEST_F(PathTest, SwitchedOffOrWithAFixedSizeNothingIsProbed)
{
    for (uint32_t fixed : {1200u, 1400u}) {
        start([fixed](sim::Options &o) {
            o.clients[0].limits.mtu_probe_max_bytes = fixed == 1200 ? 0 : 1472;
            o.clients[0].limits.udp_payload_bytes = fixed;
        });
        ASSERT_TRUE(net->handshake());
        EXPECT_EQ(info_of(net->client).cwnd_bytes, 10u * fixed); /* RFC 9002 7.2 */
        ASSERT_TRUE(upload(400000));
        EXPECT_EQ(probes(), 0u);
        EXPECT_EQ(info_of(net->client).udp_payload_bytes, fixed);
    }
}

TEST_F(PathTest, ShortExchangesAreNotProbed)
{
    start(probe_to_1472);
    ASSERT_TRUE(net->handshake());
    ASSERT_TRUE(upload(5000));
    net->run_for(5 * kS);
    EXPECT_EQ(probes(), 0u);
}

TEST_F(PathTest, FindsTheSizeOfANarrowPathWithoutHarm)
{
    for (size_t limit : {1252u, 1372u, 1400u, 1452u}) {
        start(probe_to_1472);
        ASSERT_TRUE(net->handshake());
        net->filter = [limit](Packet &p) { return p.bytes.size() <= limit; };
        ASSERT_TRUE(upload(3000000, 300 * kS));
        net->run_for(5 * kS);
        quring_conn_info info = info_of(net->client);
        EXPECT_LE(info.udp_payload_bytes, limit);
        EXPECT_GT(info.udp_payload_bytes + 16, limit);
        EXPECT_LT(info.packets_lost, probes()) << "only probes are lost";
        EXPECT_LE(probes(), 20u);
        EXPECT_GT(info.cwnd_bytes, 100000u) << "lost probes are no congestion";
    }
}

TEST_F(PathTest, AnInterfaceThatRefusesEndsTheSearchBelow)
{
    start(probe_to_1472);
    net->interface_mtu = 1392;
    ASSERT_TRUE(net->handshake());
    ASSERT_TRUE(upload(1000000));
    EXPECT_LE(info_of(net->client).udp_payload_bytes, 1392u);
    EXPECT_GT(info_of(net->client).udp_payload_bytes, 1392u - 16);
    /* and of the size in use */
    net->interface_mtu = 1300;
    ASSERT_TRUE(upload(1000000));
    EXPECT_LE(info_of(net->client).udp_payload_bytes, 1300u);
    EXPECT_GE(info_of(net->client).udp_payload_bytes, 1200u);
}

/* RFC 9000 14.4: what is sent in a datagram that is not full, and too big all the same, is sent in smaller ones. */
TEST_F(PathTest, AnInterfaceThatRefusesWhatIsNotFullEndsAFixedSize)
{
    start([](sim::Options &o) {
        o.server.limits.udp_payload_max_bytes = 9000;
        o.clients[0].limits.udp_payload_bytes = 9000;
    });
    net->interface_mtu = 1472;
    ASSERT_TRUE(net->handshake());
    EXPECT_EQ(info_of(net->client).udp_payload_bytes, 9000u);
    EXPECT_TRUE(upload(2000, 5 * kS));
    EXPECT_EQ(info_of(net->client).udp_payload_bytes, 1200u);
}

TEST_F(PathTest, ABlackHoleThatOpensLaterIsLeft)
{
    start(probe_to_1472);
    ASSERT_TRUE(net->handshake());
    ASSERT_TRUE(upload(400000));
    ASSERT_EQ(info_of(net->client).udp_payload_bytes, 1472u);
    /* in the middle of a transfer */
    std::string up = bytes_of(2000000);
    uint64_t id = net->write(net->client, up, true);
    net->run_for(35 * kMs);
    ASSERT_FALSE(net->server.streams[id].fin);
    net->filter = [](Packet &p) { return p.bytes.size() <= 1320; };
    ASSERT_TRUE(net->run_until([&] { return net->server.streams[id].fin; }, 20 * kS));
    EXPECT_EQ(net->server.streams[id].bytes, up);
    ASSERT_TRUE(upload(1000000, 20 * kS));
    net->run_for(5 * kS);
    EXPECT_LE(info_of(net->client).udp_payload_bytes, 1320u);
    EXPECT_GT(info_of(net->client).udp_payload_bytes, 1320u - 16);
    EXPECT_EQ(sim_inspect_check(net->client.ep), nullptr);
}

TEST_F(PathTest, LossesAreNoBlackHole)
{
    start(probe_to_1472);
    ASSERT_TRUE(net->handshake());
    ASSERT_TRUE(upload(400000));
    uint64_t n = 0;
    net->filter = [&](Packet &p) { return !p.to_server || ++n % 100 >= 10; }; /* runs of ten */
    ASSERT_TRUE(upload(1000000, 200 * kS));
    EXPECT_EQ(info_of(net->client).udp_payload_bytes, 1472u);
}

TEST_F(PathTest, ProbesTravelAlone)
{
    start(probe_to_1472);
    ASSERT_TRUE(net->handshake());
    net->keep_sent = true;
    ASSERT_TRUE(upload(100000));
    size_t first = SIZE_MAX;
    for (size_t i = 0; i < net->sent.size() && first == SIZE_MAX; i++) {
        first = net->sent[i].bytes.size() > 1200 ? i : SIZE_MAX;
    }
    ASSERT_NE(first, SIZE_MAX);
    EXPECT_EQ(net->sent[first].bytes.size(), 1472u);
    for (size_t i = first + 1; i < net->sent.size(); i++) {
        if (net->sent[i].bytes.size() > 1200) {
            EXPECT_GE(net->sent[i].sent_ns, net->sent[first].sent_ns + 2 * net->delay);
            break;
        }
    }
}

/* What was measured of the path before is true again when the client is back: RFC 9000 9.3.2, 9.4. */
TEST_F(PathTest, WhoIsBackNeedNotSearchForTheDatagramSizeAgain)
{
    const auto path_changes = [this] {
        return quic_endpoint_counters(net->server.ep)->path_changes;
    };
    start(probe_to_1472);
    ASSERT_TRUE(net->handshake());
    (void)net->write(net->server, bytes_of(300000), true);
    net->run_for(5 * kS);
    const uint32_t size = info_of(net->server).udp_payload_bytes;
    ASSERT_GT(size, 1200u);
    bool copied = false;
    net->filter = [&](Packet &p) {
        if (p.to_server && !copied) {
            copied = true;
            p.from.ip[3] = 66;
        }
        return p.to_server || p.to.ip[3] != 66;
    };
    (void)net->write(net->client, "one packet");
    ASSERT_TRUE(net->run_until([&] { return path_changes() == 1; }, kS));
    EXPECT_EQ(info_of(net->server).udp_payload_bytes, 1200u);
    EXPECT_EQ(info_of(net->server).cwnd_bytes, 12000u);
    (void)net->write(net->client, "another");
    ASSERT_TRUE(net->run_until([&] { return path_changes() == 2; }, 10 * kS));
    EXPECT_EQ(info_of(net->server).udp_payload_bytes, size);
    const uint64_t probes = quic_endpoint_counters(net->server.ep)->mtu_probes_sent;
    (void)net->write(net->server, bytes_of(300000), true);
    net->run_for(5 * kS);
    EXPECT_EQ(quic_endpoint_counters(net->server.ep)->mtu_probes_sent, probes);
    EXPECT_EQ(info_of(net->server).udp_payload_bytes, size);
}

/* ---- ECN ------------------------------------------------------------------------------------------- */

TEST_F(PathTest, EcnIsUsedWhereItWorks)
{
    start(mark);
    ASSERT_TRUE(net->handshake());
    ASSERT_TRUE(upload(400000));
    quring_conn_info info = info_of(net->client);
    EXPECT_TRUE(info.ecn_capable);
    EXPECT_GT(info.ecn_acked, 200u);
    EXPECT_LE(info.ecn_acked, info.packets_sent);
    EXPECT_EQ(info.ecn_ce, 0u);
    EXPECT_TRUE(info_of(net->server).ecn_capable);
}

TEST_F(PathTest, EcnSwitchedOffMarksNothing)
{
    start(nullptr);
    net->filter = [](Packet &p) {
        EXPECT_EQ(p.ecn, 0);
        return true;
    };
    ASSERT_TRUE(net->handshake());
    ASSERT_TRUE(upload(100000));
    EXPECT_FALSE(info_of(net->client).ecn_capable);
}

TEST_F(PathTest, EcnStopsWhenMarksAreBleached)
{
    start(mark);
    net->filter = [](Packet &p) {
        p.ecn = 0;
        return true;
    };
    ASSERT_TRUE(net->handshake());
    ASSERT_TRUE(upload(100000));
    EXPECT_FALSE(info_of(net->client).ecn_capable);
    uint64_t marked = 0;
    net->filter = [&](Packet &p) {
        marked += p.ecn != 0;
        return true;
    };
    ASSERT_TRUE(upload(100000));
    EXPECT_EQ(marked, 0u);
}

TEST_F(PathTest, EcnStopsWhenBleachingBeginsLater)
{
    start(mark);
    ASSERT_TRUE(net->handshake());
    ASSERT_TRUE(upload(100000));
    ASSERT_TRUE(info_of(net->client).ecn_capable);
    net->filter = [](Packet &p) {
        p.ecn = 0;
        return true;
    };
    ASSERT_TRUE(upload(100000));
    EXPECT_FALSE(info_of(net->client).ecn_capable);
}

TEST_F(PathTest, EcnStopsWhenMarksAreRewritten)
{
    start(mark);
    net->filter = [](Packet &p) {
        p.ecn = p.ecn == 2 ? 1 : p.ecn;
        return true;
    };
    ASSERT_TRUE(net->handshake());
    ASSERT_TRUE(upload(100000));
    EXPECT_FALSE(info_of(net->client).ecn_capable);
}

TEST_F(PathTest, APathThatDropsMarkedPacketsCostsOneProbeTimeout)
{
    start(mark);
    net->filter = [](Packet &p) { return p.ecn == 0; };
    quic_ns before = net->now;
    ASSERT_TRUE(net->handshake());
    EXPECT_LT(net->now - before, 6 * kS);
    ASSERT_TRUE(upload(200000));
    EXPECT_FALSE(info_of(net->client).ecn_capable);
}

TEST_F(PathTest, CeMarksReduceTheWindowOncePerRoundTrip)
{
    for (quring_cc cc : {QURING_CC_CUBIC, QURING_CC_NEWRENO}) {
        start([cc](sim::Options &o) {
            mark(o);
            o.clients[0].cc = cc;
        });
        ASSERT_TRUE(net->handshake());
        ASSERT_TRUE(upload(500000));
        uint64_t before = info_of(net->client).cwnd_bytes;
        bool congested = false;
        net->filter = [&](Packet &p) {
            if (p.to_server && p.ecn == 2 && congested) {
                p.ecn = 3;
                congested = false;
            }
            return true;
        };
        congested = true;
        ASSERT_TRUE(upload(20000));
        net->run_for(100 * kMs);
        quring_conn_info info = info_of(net->client);
        EXPECT_EQ(info.ecn_ce, 1u);
        EXPECT_EQ(quic_endpoint_counters(net->client.ep)->ecn_ce, 1u);
        EXPECT_LT(info.cwnd_bytes, before * 3 / 4);
        EXPECT_GT(info.cwnd_bytes, before * 2 / 5);
        EXPECT_EQ(info.packets_lost, 0u);
        EXPECT_TRUE(info.ecn_capable);
    }
}

} // namespace

#include <algorithm>

#include <gtest/gtest.h>

#include "quic/wire/header.h"
#include "tests/quic/endpoint/forge.h"
#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"
#include "tests/sim/rng.h"

namespace
{

bool is_long(const Packet &p)
{
    return quic_header_is_long(p.bytes[0]);
}

bool is_initial(const Packet &p)
{
    quic_long_header h;
    return is_long(p) &&
           quic_header_decode_long(&h, p.bytes.data(), p.bytes.size(), QUIC_VERSIONS_ALL) ==
               QUIC_OK &&
           h.type == QUIC_PACKET_INITIAL;
}

uint64_t ptos_of(const Side &side)
{
    return quic_endpoint_counters(side.ep)->ptos;
}

void long_flight(sim::Options &o)
{
    o.server_flight_len = 3000; /* three datagrams, as a chain of certificates makes them */
}

/* RFC 9002 6.2.3: Handshake packets without the ServerHello in front tell a client, and its repeated
 * ClientHello the server, what was lost. */
TEST(Hasten, TheFirstDatagramOfTheServerIsReplacedInOneRoundTrip)
{
    Net net(long_flight);
    uint32_t lost = 0;
    net.filter = [&](Packet &p) { return p.to_server || lost++ != 0; };
    ASSERT_TRUE(net.handshake());
    EXPECT_EQ(net.now, kS + 30 * kMs + 20 * kMs);
    EXPECT_EQ(ptos_of(net.client) + ptos_of(net.server), 0u);
}

/* A first flight that took longer than any other packet: the client's timer is the first. */
TEST(Hasten, AClientThatRepeatsItselfIsAnsweredAtOnce)
{
    Net net;
    uint32_t to_server = 0;
    uint32_t to_client = 0;
    net.filter = [&](Packet &p) {
        if (p.to_server && to_server++ == 0) {
            net.again(p, 500 * kMs);
            return false;
        }
        return p.to_server || to_client++ != 0;
    };
    ASSERT_TRUE(net.handshake());
    EXPECT_EQ(ptos_of(net.server), 0u);
    EXPECT_LT(net.now,
              kS + 1050 * kMs); /* the client's timeout after 999 ms and a round trip and a half */
}

/* Reordering alone costs no more than a datagram or two. */
TEST(Hasten, ADatagramThatIsOnlyLateCostsLittle)
{
    uint64_t sent[2];
    for (int late = 0; late < 2; late++) {
        Net net(long_flight);
        uint32_t count = 0;
        net.filter = [&](Packet &p) {
            if (late == 0 || p.to_server || count++ != 0) {
                return true;
            }
            net.again(p, 2 * kMs);
            return false;
        };
        ASSERT_TRUE(net.handshake());
        EXPECT_LE(net.now, kS + 30 * kMs + 2 * kMs);
        net.run_for(kS);
        sent[late] = net.bytes_to_client + net.bytes_to_server;
        EXPECT_EQ(ptos_of(net.client) + ptos_of(net.server), 0u);
    }
    EXPECT_LE(sent[1], sent[0] + 3 * 1300);
}

/* The same CRYPTO data in packet after packet: three times more than to a client that is silent, at most. */
TEST(Hasten, H65_RepetitionsWithoutEndMoveLittle)
{
    uint64_t sent[2];
    for (uint64_t repetitions : {uint64_t{0}, uint64_t{400}}) {
        Net net(long_flight);
        Packet first;
        net.filter = [&](Packet &p) {
            if (first.bytes.empty()) {
                first = p;
                return true;
            }
            return false; /* nothing else arrives anywhere */
        };
        ASSERT_NE(net.connect(), nullptr);
        net.run_for(30 * kMs);
        ASSERT_FALSE(first.bytes.empty());
        InitialSpec spec;
        spec.key_dcid = dcid_of(first.bytes);
        spec.dcid = spec.key_dcid;
        spec.scid = scid_of(first.bytes);
        const Bytes hello = crypto_bytes(open_initial(first.bytes, spec.key_dcid, false));
        spec.frames = crypto_frame(0, hello.data(), hello.size());
        for (uint64_t i = 0; i < repetitions; i++) {
            spec.pn = 100 + i;
            net.inject(net.server, forge_initial(spec));
            net.run_for(2 * kMs);
        }
        net.run_for((400 - repetitions) * 2 * kMs);
        /* what leaves besides are acknowledgements */
        sent[repetitions != 0] = static_cast<uint64_t>(
            std::count_if(net.sent.begin(), net.sent.end(),
                          [](const Packet &p) { return !p.to_server && p.bytes.size() >= 1000; }));
        EXPECT_EQ(sim_inspect_check(net.server.ep), nullptr);
    }
    EXPECT_GE(sent[0], 2u);
    EXPECT_GT(sent[1], sent[0]);
    EXPECT_LE(sent[1], sent[0] + 3u);
}

/* Whoever knows a client's connection ID can make up packets it has no keys for. */
TEST(Hasten, H17_MadeUpPacketsMoveAClientThreeTimes)
{
    for (bool is_short : {false, true}) {
        Net net;
        net.filter = [](Packet &) { return false; };
        ASSERT_NE(net.connect(), nullptr);
        net.run_for(10 * kMs);
        ASSERT_EQ(net.sent.size(), 1u);
        const quic_cid scid = scid_of(net.sent[0].bytes);
        for (int i = 0; i < 400; i++) {
            Bytes bytes;
            if (is_short) {
                bytes.push_back(0x40);
                bytes.insert(bytes.end(), scid.bytes, scid.bytes + scid.len);
            } else {
                bytes = Bytes{0xe0, 0, 0, 0, 1, scid.len};
                bytes.insert(bytes.end(), scid.bytes, scid.bytes + scid.len);
                bytes.insert(bytes.end(), {4, 1, 2, 3, 4, 0x40, 200});
            }
            bytes.resize(bytes.size() + 200, 0x5a);
            net.inject(net.client, bytes);
            net.run_for(2 * kMs);
        }
        EXPECT_EQ(ptos_of(net.client), 0u);
        EXPECT_EQ(net.sent.size(), 4u) << is_short;
        for (const Packet &p : net.sent) {
            EXPECT_TRUE(is_initial(p));
        }
    }
}

/* RFC 9002 6.2.4: a probe may be two datagrams. */
TEST(Hasten, AProbeOfTheHandshakeLeavesTwice)
{
    Net net;
    net.filter = [](Packet &) { return false; };
    ASSERT_NE(net.connect(), nullptr);
    net.run_for(2 * kS); /* one timeout */
    EXPECT_EQ(ptos_of(net.client), 1u);
    ASSERT_EQ(net.sent.size(), 3u);
    const quic_cid dcid = dcid_of(net.sent[0].bytes);
    const Bytes hello = crypto_bytes(open_initial(net.sent[0].bytes, dcid, false));
    for (size_t i = 1; i < 3; i++) {
        EXPECT_EQ(crypto_bytes(open_initial(net.sent[i].bytes, dcid, false)), hello);
    }
}

/* How long handshakes take where so many of all datagrams are lost, in milliseconds: a share `q` of them takes no
 * longer. */
class LossyHandshakes
{
  public:
    LossyHandshakes(double loss, uint32_t flight, uint32_t runs)
    {
        for (uint32_t seed = 1; seed <= runs; seed++) {
            ms_.push_back(one(loss, flight, seed));
        }
        std::sort(ms_.begin(), ms_.end());
    }
    double quantile(double q) const
    {
        return ms_[static_cast<size_t>(q * static_cast<double>(ms_.size() - 1))];
    }

  private:
    static double one(double loss, uint32_t flight, uint64_t seed)
    {
        Net net([=](sim::Options &o) {
            o.server_flight_len = flight;
            for (sim::HostOptions *host : {&o.server, &o.clients[0]}) {
                host->limits.handshake_timeout_ns = 120 * kS;
                host->limits.idle_timeout_ns = 120 * kS;
            }
        });
        sim::Rng rng(seed);
        net.delay = 25 * kMs;
        net.keep_sent = false;
        net.filter = [&](Packet &) { return !rng.chance(loss); };
        (void)net.connect();
        net.run_until(
            [&] {
                return net.client.count(QURING_EV_CONNECTED) > 0 &&
                       net.server.count(QURING_EV_CONNECTED) > 0;
            },
            120 * kS);
        return static_cast<double>(net.now - kS) / static_cast<double>(kMs);
    }

    std::vector<double> ms_;
};

TEST(Hasten, ThirtyPercentLossIsASecondMoreForMost)
{
    const LossyHandshakes h(0.3, 3000, 500);
    EXPECT_LE(h.quantile(0.5), 1100);
    EXPECT_LE(h.quantile(0.9), 2600);
    EXPECT_LE(h.quantile(0.99), 8000);
    EXPECT_LE(h.quantile(1), 30000);
}

} // namespace

/* Rows 47, 48, 51 and 59 of the catalogue of hostile input: 0-RTT that is late, early or repeated,
 * ClientHellos in crumbs, handshakes that stop. The scripted handshake; real_tls_test.cc has the rows
 * that need BoringSSL. */
#include <algorithm>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "quic/crypto/anti_replay.h"
#include "quic/wire/header.h"
#include "tests/quic/endpoint/forge.h"
#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"

namespace
{

constexpr uint64_t kHeldMax = 64 * 1024;

/* ---- 0-RTT ------------------------------------------------------------------------------------- */

class HostileEarly : public testing::Test
{
  protected:
    HostileEarly() : memory_(quic_anti_replay_size(64) / sizeof(uint64_t) + 1)
    {
        const uint8_t key[16] = {1};
        gate_.id = 77;
        gate_.replay = quic_anti_replay_init(memory_.data(), 64, 3600 * kS, key, 0, QUIC_NS_PER_S);
    }
    static bool IsEarly(const Packet &p)
    {
        quic_long_header h;
        return p.to_server && quic_header_is_long(p.bytes[0]) &&
               quic_header_decode_long(&h, p.bytes.data(), p.bytes.size(), QUIC_VERSIONS_ALL) ==
                   QUIC_OK &&
               h.type == QUIC_PACKET_0RTT;
    }
    std::vector<uint64_t> memory_;
    quic_early_gate gate_ = {};
};

/* RFC 9000 5.2.2: without its Initial a 0-RTT packet belongs to nobody. It may be dropped, and costs
 * nothing, however many there are; the connection sends the bytes again. */
TEST_F(HostileEarly, H47_ZeroRttBeforeItsInitialCostsNothing)
{
    Net net;
    ASSERT_TRUE(net.take_ticket(&gate_));
    const std::string text(20000, 'e');
    std::vector<Packet> initial;
    std::vector<Packet> early;
    net.filter = [&](Packet &p) {
        if (p.to_server && initial.size() + early.size() < 12) {
            (IsEarly(p) ? early : initial).push_back(p);
            return false;
        }
        return true;
    };
    net.client.conn = net.connect();
    const uint64_t id = net.write(net.client, text);
    net.run_for(kMs);
    ASSERT_FALSE(initial.empty());
    ASSERT_FALSE(early.empty());
    const uint64_t memory = net.server.alloc.bytes();
    for (int i = 0; i < 100; i++) {
        for (const Packet &p : early) {
            net.inject(net.server, p.bytes);
        }
    }
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 0u);
    EXPECT_EQ(net.server.alloc.bytes(), memory);
    for (const Packet &p : initial) {
        net.inject(net.server, p.bytes);
    }
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
    EXPECT_EQ(net.server.streams[id].bytes, text);
}

/* RFC 9000 5.7: of what comes before the ClientHello is whole, a bounded number is kept. */
TEST_F(HostileEarly, H47_HeldPacketsAreBounded)
{
    Net net([](sim::Options &o) { o.clients[0].limits.undecryptable_packets_max = 8; });
    ASSERT_TRUE(net.take_ticket(&gate_));
    std::vector<Packet> all;
    net.filter = [&](Packet &p) {
        if (p.to_server) {
            all.push_back(p);
        }
        return !p.to_server;
    };
    net.client.conn = net.connect();
    net.write(net.client, std::string(20000, 'e'));
    net.run_for(kMs);
    ASSERT_GE(all.size(), 9u);
    const uint64_t memory = net.server.alloc.bytes();
    /* Half of the ClientHello, then 0-RTT without end. */
    InitialSpec spec;
    spec.key_dcid = spec.dcid = dcid_of(all[0].bytes);
    spec.scid = scid_of(all[0].bytes);
    spec.pn = 100;
    const Bytes hello = crypto_bytes(open_initial(all[0].bytes, spec.dcid, false));
    spec.frames = crypto_frame(0, hello.data(), hello.size() / 2);
    net.inject(net.server, forge_initial(spec));
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 1u);
    for (int i = 0; i < 50; i++) {
        for (const Packet &p : all) {
            if (IsEarly(p)) {
                net.inject(net.server, p.bytes);
            }
        }
    }
    EXPECT_LE(net.server.alloc.bytes() - memory, kHeldMax);
    net.run_for(20 * kS); /* the handshake timeout takes everything back */
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 0u);
}

/* RFC 8446 8.1, RFC 9001 9.2: the same first flight again, from another port, is a handshake whose
 * 0-RTT is refused: the application sees the bytes once. */
TEST_F(HostileEarly, H48_AReplayedFirstFlightIsTakenOnce)
{
    Net net;
    ASSERT_TRUE(net.take_ticket(&gate_));
    std::vector<Packet> flight;
    net.filter = [&](Packet &p) {
        if (p.to_server && flight.size() < 2) {
            flight.push_back(p);
        }
        return true;
    };
    net.client.conn = net.connect();
    const uint64_t id = net.write(net.client, "pay once");
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
    ASSERT_TRUE(net.run_until([&] { return net.client.count(QURING_EV_CONNECTED) == 1; }));
    const size_t opened = net.server.count(QURING_EV_STREAM_OPENED);
    ASSERT_EQ(quic_conn_close(net.client.conn, 0, nullptr), QUIC_OK);
    net.run_for(10 * kS);
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 0u);
    for (const Packet &p : flight) {
        net.inject(net.server, p.bytes, 6000);
    }
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 1u); /* a handshake it is */
    net.run_for(5 * kS);
    EXPECT_EQ(net.server.count(QURING_EV_STREAM_OPENED), opened);
    EXPECT_EQ(net.server.count(QURING_EV_EARLY_READY), 1u);
    net.run_for(20 * kS);
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 0u);
}

/* After a restart the register is empty, and its number another one: no ticket of before gets in. */
TEST_F(HostileEarly, H48_AReplayAfterARestartIsRefused)
{
    Net net;
    ASSERT_TRUE(net.take_ticket(&gate_));
    std::vector<Packet> flight;
    net.filter = [&](Packet &p) {
        if (p.to_server && flight.size() < 2) {
            flight.push_back(p);
        }
        return true;
    };
    net.client.conn = net.connect();
    const uint64_t id = net.write(net.client, "pay once");
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
    net.filter = [](Packet &) { return false; };
    net.restart_server();
    const uint8_t key[16] = {2};
    gate_.id = 78;
    gate_.replay = quic_anti_replay_init(memory_.data(), 64, 3600 * kS, key, 0, QUIC_NS_PER_S);
    net.serve(&gate_);
    net.server.events.clear();
    for (const Packet &p : flight) {
        net.inject(net.server, p.bytes, 6000);
    }
    net.run_for(5 * kS);
    EXPECT_EQ(net.server.count(QURING_EV_STREAM_OPENED), 0u);
    EXPECT_EQ(net.server.count(QURING_EV_EARLY_READY), 0u);
}

/* ---- ClientHello in crumbs --------------------------------------------------------------------- */

struct Hello {
    Bytes bytes;
    quic_cid dcid;
    quic_cid scid;
};

/* A ClientHello of one Initial, which never reached the server. */
Hello TakeHello(Net &net)
{
    Hello h;
    net.filter = [](Packet &p) { return !p.to_server; };
    EXPECT_NE(net.connect(), nullptr);
    net.run_for(6 * kS); /* its probes use up packet numbers, which may then be acknowledged */
    h.dcid = dcid_of(net.sent[0].bytes);
    h.scid = scid_of(net.sent[0].bytes);
    h.bytes = crypto_bytes(open_initial(net.sent[0].bytes, h.dcid, false));
    EXPECT_GT(h.bytes.size(), 200u);
    net.filter = nullptr;
    return h;
}

/* Packets of `per_packet` one-byte frames each, in the order given. */
void Crumbs(Net &net, const Hello &h, const std::vector<size_t> &order, size_t per_packet)
{
    InitialSpec spec;
    spec.key_dcid = spec.dcid = h.dcid;
    spec.scid = h.scid;
    spec.pn = 0;
    for (size_t at = 0; at < order.size(); at += per_packet) {
        spec.frames.clear();
        for (size_t i = at; i < std::min(order.size(), at + per_packet); i++) {
            spec.frames = spec.frames + crypto_frame(order[i], h.bytes.data() + order[i], 1);
        }
        net.inject(net.server, forge_initial(spec));
        spec.pn++;
    }
}

bool Completes(Net &net)
{
    return net.run_until([&] { return net.client.conn != nullptr && net.server.conn != nullptr; },
                         20 * kS);
}

class Crumbled : public testing::Test
{
  protected:
    static std::vector<size_t> InOrder(size_t len)
    {
        std::vector<size_t> order(len);
        for (size_t i = 0; i < len; i++) {
            order[i] = i;
        }
        return order;
    }
};

TEST_F(Crumbled, H51_OneByteFramesForwardsAndBackwards)
{
    for (bool backwards : {false, true}) {
        Net net;
        const Hello h = TakeHello(net);
        std::vector<size_t> order = InOrder(h.bytes.size());
        if (backwards) {
            std::reverse(order.begin(), order.end());
        }
        Crumbs(net, h, order, 200);
        EXPECT_TRUE(Completes(net)) << backwards;
    }
}

/* RFC 9000 7.5: with few gaps any order does; with more than can be kept, 0x0d. */
TEST_F(Crumbled, H51_ShuffledWithinTheGapsThatAreKept)
{
    std::mt19937 random(51);
    for (int round = 0; round < 20; round++) {
        Net net;
        const Hello h = TakeHello(net);
        std::vector<size_t> order = InOrder(h.bytes.size());
        for (size_t at = 0; at < order.size(); at += 30) { /* at most 15 gaps at once */
            const size_t end = std::min(order.size(), at + 30);
            std::shuffle(order.begin() + static_cast<ptrdiff_t>(at),
                         order.begin() + static_cast<ptrdiff_t>(end), random);
        }
        Crumbs(net, h, order, 150);
        EXPECT_TRUE(Completes(net)) << round;
    }
    Net net;
    const Hello h = TakeHello(net);
    std::vector<size_t> gaps;
    for (size_t i = 1; i < h.bytes.size(); i += 2) {
        gaps.push_back(i);
    }
    Crumbs(net, h, gaps, 150);
    ASSERT_TRUE(net.run_until([&] { return net.server.count(QURING_EV_CLOSED) == 1; }, kS));
    EXPECT_EQ(net.server.close_code(), static_cast<uint64_t>(QUIC_V_CRYPTO_BUFFER_EXCEEDED));
}

/* RFC 9000 2.2: the same offset with other bytes; what came first counts. */
TEST_F(Crumbled, H51_TheFirstCopyOfAnOverlapWins)
{
    Net net;
    const Hello h = TakeHello(net);
    Hello wrong = h;
    for (size_t i = 1; i < h.bytes.size(); i++) {
        wrong.bytes[i] ^= 0xff;
    }
    InitialSpec spec;
    spec.key_dcid = spec.dcid = h.dcid;
    spec.scid = h.scid;
    spec.pn = 0;
    spec.frames = crypto_frame(1, h.bytes.data() + 1, h.bytes.size() - 1);
    net.inject(net.server, forge_initial(spec));
    spec.pn++;
    spec.frames = crypto_frame(1, wrong.bytes.data() + 1, h.bytes.size() - 1) +
                  crypto_frame(100, wrong.bytes.data() + 100, 50);
    net.inject(net.server, forge_initial(spec));
    spec.pn++;
    spec.frames = crypto_frame(0, h.bytes.data(), 1);
    net.inject(net.server, forge_initial(spec));
    EXPECT_TRUE(Completes(net));
}

/* As large as post-quantum key shares make them. */
TEST_F(Crumbled, H51_LargeOnesOverManyInitials)
{
    for (uint32_t len : {2000u, 5000u, 8000u}) {
        for (bool backwards : {false, true}) {
            Net net([&](sim::Options &o) { o.client_hello_len = len; });
            std::vector<Packet> flight;
            bool hold = true;
            net.filter = [&](Packet &p) {
                if (hold && p.to_server) {
                    flight.push_back(p);
                }
                return !hold;
            };
            ASSERT_NE(net.connect(), nullptr);
            net.run_for(kMs);
            hold = false;
            EXPECT_GE(flight.size(), len / 1200);
            if (backwards) {
                std::reverse(flight.begin(), flight.end());
            }
            for (const Packet &p : flight) {
                net.inject(net.server, p.bytes);
            }
            EXPECT_TRUE(Completes(net)) << len << " " << backwards;
        }
    }
}

/* ---- handshakes that stop ---------------------------------------------------------------------- */

/* From the k-th datagram of the client on, nothing comes any more: at the handshake timeout the server
 * has forgotten it, and never held more than 64 KiB. */
TEST(Stalls, H59_AreFreedAtTheTimeout)
{
    for (bool client_is_silent : {true, false}) {
        for (unsigned k = 1; k <= 4; k++) {
            Net net([](sim::Options &o) { o.client_hello_len = 3000; });
            unsigned n = 0;
            net.filter = [&](Packet &p) { return p.to_server != client_is_silent || ++n <= k; };
            const uint64_t server_before = net.server.alloc.bytes();
            ASSERT_NE(net.connect(), nullptr);
            const uint64_t client_before = net.client.alloc.bytes();
            uint64_t most = 0;
            for (int i = 0; i < 200; i++) {
                net.run_for(50 * kMs);
                if (quic_endpoint_conn_count(net.server.ep) > 0 &&
                    sim_inspect_half_open(net.server.ep) > 0) {
                    most = std::max(most, net.server.alloc.bytes() - server_before);
                }
                EXPECT_LE(net.client.alloc.bytes(), client_before + kHeldMax);
            }
            EXPECT_LE(most, kHeldMax) << client_is_silent << " " << k;
            net.run_for(25 * kS);
            EXPECT_EQ(sim_inspect_half_open(net.server.ep), 0u) << client_is_silent << " " << k;
            if (net.server.conn == nullptr) {
                EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 0u);
                EXPECT_LE(net.server.alloc.bytes(), server_before + 4096); /* tables grew */
            }
        }
    }
}

} // namespace

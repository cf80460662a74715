#include <string>

#include <gtest/gtest.h>

#include "tests/quic/endpoint/forge.h"
#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"

namespace
{

size_t refused(const Side &side)
{
    size_t n = 0;
    for (const Seen &s : side.events) {
        n += s.type == QURING_EV_CLOSED && s.close.kind == QURING_CLOSE_PEER_TRANSPORT &&
                     s.close.code == QUIC_V_CONNECTION_REFUSED
                 ? 1
                 : 0;
    }
    return n;
}

TEST(Limits, BeyondConnectionsMaxIsRefused)
{
    Net net([](sim::Options &o) { o.server.limits.connections_max = 3; });
    for (uint16_t port = 5000; port < 5010; port++) {
        ASSERT_NE(net.connect(port), nullptr);
    }
    net.run_for(kS);
    EXPECT_EQ(net.client.count(QURING_EV_CONNECTED), 3u);
    EXPECT_EQ(refused(net.client), 7u);
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 3u);
    ASSERT_EQ(quic_conn_close(net.client.conn, 0, nullptr), QUIC_OK);
    net.run_for(5 * kS);
    ASSERT_NE(net.connect(6000), nullptr); /* there is room again */
    net.run_for(kS);
    EXPECT_EQ(net.client.count(QURING_EV_CONNECTED), 4u);
}

TEST(Limits, BeyondConnectionsPerAddressIsRefused)
{
    Net net([](sim::Options &o) { o.server.limits.connections_per_addr_max = 4; });
    for (uint16_t port = 5000; port < 5010; port++) {
        ASSERT_NE(net.connect(port), nullptr);
    }
    net.run_for(kS);
    EXPECT_EQ(net.client.count(QURING_EV_CONNECTED), 4u);
    EXPECT_EQ(refused(net.client), 6u);
}

/* Half-open connections above the bound are asked to prove their address first, all get in. */
TEST(Limits, HalfOpenConnectionsAboveTheBoundNeedARetry)
{
    for (bool per_addr : {false, true}) {
        Net net([&](sim::Options &o) {
            (per_addr ? o.server.limits.half_open_per_addr_max : o.server.limits.half_open_max) = 2;
        });
        for (uint16_t port = 5000; port < 5006; port++) {
            ASSERT_NE(net.connect(port), nullptr);
        }
        net.run_for(5 * kS);
        EXPECT_EQ(net.client.count(QURING_EV_CONNECTED), 6u) << per_addr;
        EXPECT_GE(quic_endpoint_counters(net.server.ep)->sent_retry, 4u);
        EXPECT_EQ(sim_inspect_half_open(net.server.ep), 0u);
    }
}

TEST(Limits, DrainingEndpointRefuses)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    quic_endpoint_refuse_new(net.server.ep);
    ASSERT_NE(net.connect(5001), nullptr);
    net.run_for(kS);
    EXPECT_EQ(refused(net.client), 1u);
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 1u);
}

/* RFC 9000 18.2: what a listener says it takes is taken, whatever else its endpoint's limits are. */
TEST(Limits, AListenerMayTakeLargerDatagramsThanItsEndpoint)
{
    Net net([](sim::Options &o) {
        o.server.limits.udp_payload_max_bytes = 1472;
        o.clients[0].limits.udp_payload_bytes = 9000;
        o.clients[0].limits.udp_payload_max_bytes = 9000;
        o.clients[0].limits.mtu_probe_max_bytes = 0;
    });
    quring_limits limits = net.options.server.limits;
    limits.udp_payload_max_bytes = 9000;
    net.serve(nullptr, &limits);
    ASSERT_TRUE(net.handshake());
    const std::string data = bytes_of(200000);
    const uint64_t id = net.write(net.client, data);
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }, 5 * kS));
    EXPECT_EQ(net.server.streams[id].bytes, data);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->drop_malformed, 0u);
    EXPECT_EQ(info_of(net.client).udp_payload_bytes, 9000u);
}

/* RFC 9000 13.2.1: a delay is not advertised as shorter than it is. */
TEST(Limits, AnAckDelayIsAdvertisedInWholeMilliseconds)
{
    Net net([](sim::Options &o) { o.server.limits.ack_delay_ns = 1900000; });
    uint64_t told = 0;
    net.lie_to_client = [&](quic_transport_params &p) { told = p.max_ack_delay_ms; };
    ASSERT_TRUE(net.handshake());
    EXPECT_EQ(told, 2u);
}

/* RFC 9000 8.1 */
TEST(Limits, ServerSendsAtMostThreeTimesWhatAnUnvalidatedClientSent)
{
    for (uint32_t flight : {500u, 3000u, 16000u}) {
        Net net([&](sim::Options &o) { o.server_flight_len = flight; });
        uint64_t received = 0;
        bool open = true;
        net.filter = [&](Packet &p) {
            if (p.to_server && open) {
                received += p.bytes.size();
            }
            return p.to_server && open;
        };
        ASSERT_NE(net.connect(), nullptr);
        net.run_for(kMs);
        open = false; /* nothing more reaches the server */
        net.run_for(30 * kS);
        EXPECT_LE(net.bytes_to_client, 3 * received) << flight;
        EXPECT_GT(net.bytes_to_client, received) << flight;
    }
}

TEST(Limits, BigServerFlightGetsThroughAllTheSame)
{
    for (int lose = 0; lose < 2; lose++) {
        Net net([](sim::Options &o) { o.server_flight_len = 16000; });
        uint64_t n = 0;
        net.filter = [&](Packet &p) { return p.to_server || lose == 0 || ++n % 3 != 0; };
        ASSERT_TRUE(net.handshake()) << lose;
    }
}

/* RFC 9002 6.2.2.1: the client probes although nothing of it is in flight, or both sides wait. */
TEST(Limits, ClientBreaksTheAmplificationDeadlock)
{
    Net net([](sim::Options &o) { o.server_flight_len = 12000; });
    uint64_t to_client = 0;
    net.filter = [&](Packet &p) {
        to_client += p.to_server ? 0 : 1;
        return p.to_server || to_client < 2 || to_client > 3; /* the rest of the flight is lost */
    };
    ASSERT_TRUE(net.handshake());
    EXPECT_LT(net.now, kS + 5 * kS);
}

/* Too many answers at once: the queue is bounded, the rest is dropped. */
TEST(Limits, ResetsAreRateLimited)
{
    Net net([](sim::Options &o) { o.server.limits.stateless_resets_per_s = 20; });
    Bytes p(60, 0x41);
    for (int i = 0; i < 200; i++) {
        p[3] = static_cast<uint8_t>(i);
        net.inject(net.server, p);
    }
    EXPECT_EQ(net.sent.size(), 20u);
}

/* RFC 9002 6.2.4: a probe leaves however many packets wait for news, or nothing ends an outage that no packet and
 * no ACK outlives. */
TEST(Limits, AFullRecordOfSentPacketsLeavesRoomForProbes)
{
    for (bool acks_only : {false, true}) {
        for (bool server : {false, true}) {
            Net net([&](sim::Options &o) {
                (server ? o.server : o.clients[0]).limits.sent_packets_max = 16;
            });
            ASSERT_TRUE(net.handshake());
            net.run_for(100 * kMs);
            Side &from = server ? net.server : net.client;
            Side &to = server ? net.client : net.server;
            net.filter = [&](Packet &p) { return acks_only && p.to_server != server; };
            std::vector<uint64_t> ids;
            for (int i = 0; i < 20; i++) {
                ids.push_back(net.write(from, "tiny", true));
                net.run_for(kMs);
            }
            net.run_for(kS);
            net.filter = nullptr;
            EXPECT_TRUE(net.run_until(
                [&] {
                    size_t n = 0;
                    for (uint64_t id : ids) {
                        n += to.streams[id].bytes == "tiny" && to.streams[id].fin;
                    }
                    return n == ids.size();
                },
                5 * kS))
                << acks_only << server;
            net.run_for(kS);
            EXPECT_EQ(info_of(from).in_flight_bytes, 0u);
            EXPECT_TRUE(net.carries_both_ways());
        }
    }
}

/* With nothing in flight neither an ACK nor a probe would bring the next turn. */
TEST(Limits, ASendThatFoundNoMemoryAfterARestIsTriedAgain)
{
    for (uint64_t k = 1; k <= 6; k++) {
        for (uint64_t count : {1u, 4u}) {
            Net net([](sim::Options &o) { o.may_run_out = true; });
            ASSERT_TRUE(net.handshake());
            net.run_for(20 * kS);
            ASSERT_TRUE(sim_inspect_keys_rest(net.client.conn));
            uint64_t id = net.write(net.client, "after a rest", true);
            net.client.alloc.fail_at(k, count);
            EXPECT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }, kS))
                << k << " " << count;
        }
    }
}

/* The keys rest, and waking them takes memory: the peer is told as soon as there is some, within the time that RFC 9000
 * 10.2 gives a connection that closes. */
TEST(Limits, ACloseThatFoundNoMemoryAfterARestIsTriedAgain)
{
    for (bool by_server : {false, true}) {
        for (uint64_t k = 1; k <= 3; k++) {
            Net net([](sim::Options &o) { o.may_run_out = true; });
            ASSERT_TRUE(net.handshake());
            net.run_for(20 * kS);
            Side &from = by_server ? net.server : net.client;
            Side &to = by_server ? net.client : net.server;
            ASSERT_TRUE(sim_inspect_keys_rest(from.conn));
            from.alloc.fail_at(k, 8);
            quic_endpoint_set_now(from.ep, net.now);
            ASSERT_EQ(quic_conn_close(from.conn, 3, nullptr), QUIC_OK);
            net.run_for(kS);
            /* The first allocation is for the code itself. */
            EXPECT_EQ(to.close_kind(), k == 1 ? QURING_CLOSE_PEER_TRANSPORT : QURING_CLOSE_PEER_APP)
                << by_server << " " << k;
            EXPECT_EQ(quic_endpoint_counters(from.ep)->conns_closed, 1u);
        }
    }
}

/* Nobody waits for memory longer than that. */
TEST(Limits, ACloseThatFindsNoMemoryIsGivenUp)
{
    Net net([](sim::Options &o) { o.may_run_out = true; });
    ASSERT_TRUE(net.handshake());
    net.run_for(20 * kS);
    net.server.alloc.fail_at(1, UINT64_MAX);
    quic_endpoint_set_now(net.server.ep, net.now);
    ASSERT_EQ(quic_conn_close(net.server.conn, 3, nullptr), QUIC_OK);
    net.run_for(5 * kS);
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_NONE);
    size_t left = 0;
    quic_endpoint_each_conn(
        net.server.ep, [](quic_conn *, void *ctx) { return ++*static_cast<size_t *>(ctx) > 0; },
        &left);
    EXPECT_EQ(left, 0u);
}

/* A first flight that finds none: nothing is in flight yet either. */
TEST(Limits, AFirstFlightThatFoundNoMemoryIsTriedAgain)
{
    Net net([](sim::Options &o) { o.may_run_out = true; });
    ASSERT_NE(net.connect(), nullptr);
    net.client.alloc.fail_at(1);
    EXPECT_TRUE(net.run_until([&] { return net.client.conn != nullptr; }, kS));
    EXPECT_TRUE(net.client.alloc.failed());
}

/* Whichever allocation fails: no crash, no leak, no wrong byte; the connection works or ends. With
 * losses, so that gaps have to be remembered too. */
TEST(Limits, H115_AnySingleAllocationMayFail)
{
    for (int variant = 0; variant < 4; variant++) {
        bool server = (variant & 1) != 0;
        bool failed = true;
        for (uint64_t k = 1; failed && k < 2000; k++) {
            Net net([](sim::Options &o) { o.may_run_out = true; });
            Side &side = server ? net.server : net.client;
            net.keep_sent = false;
            uint64_t n = 0;
            if (variant >= 2) {
                net.filter = [&](Packet &) { return ++n % 4 != 0; };
            }
            side.alloc.fail_at(k);
            if (net.connect() != nullptr) {
                net.run_until(
                    [&] { return net.client.conn != nullptr && net.server.conn != nullptr; },
                    2 * kS);
                net.write(net.client, std::string(30000, 'a'));
                net.write(net.server, std::string(30000, 'b'), true);
                net.run_for(10 * kS);
                if (net.client.conn != nullptr && net.server.conn != nullptr) {
                    for (Side *s : {&net.server, &net.client}) { /* it lives, so it works */
                        for (const auto &st : s->streams) {
                            EXPECT_TRUE(st.second.fin) << variant << " " << k;
                        }
                    }
                }
                if (net.client.conn != nullptr) {
                    (void)quic_conn_close(net.client.conn, 0, nullptr);
                }
                net.run_for(60 * kS);
            }
            failed = side.alloc.failed();
            for (Side *s : {&net.server, &net.client}) {
                EXPECT_EQ(quic_endpoint_conn_count(s->ep), 0u) << variant << " " << k;
                EXPECT_EQ(quic_endpoint_mem(s->ep)->used_bytes, sim_inspect_idle_bytes(s->ep))
                    << variant << " " << k;
                for (const auto &st : s->streams) {
                    EXPECT_TRUE(st.second.bytes.find_first_not_of(s == &net.server ? 'a' : 'b') ==
                                std::string::npos);
                }
            }
            if (HasFailure()) {
                return;
            }
        }
        EXPECT_FALSE(failed); /* every allocation of the scenario had its turn */
    }
}

/* A want of memory is told of as a want of room, and WRITABLE comes when there is some: also where nothing is under way
 * that an acknowledgement could come of. */
TEST(Limits, AWriteThatFindsNoMemoryIsToldWhenThereIsSome)
{
    for (uint32_t flags : {0u, static_cast<uint32_t>(QUIC_WRITE_LEND)}) {
        for (bool chatty :
             {false, true}) { /* the peer sends all the time: no timer of this side ends */
            SCOPED_TRACE(std::to_string(flags) + (chatty ? ", chatty" : ""));
            Net net([](sim::Options &o) { o.may_run_out = true; });
            ASSERT_TRUE(net.handshake());
            net.run_for(20 * kS);
            quic_endpoint_set_now(net.client.ep, net.now);
            quic_stream *s = nullptr;
            ASSERT_EQ(quic_conn_stream_open(net.client.conn, true, &s), QUIC_OK);
            static const uint8_t byte[] = {1};
            size_t n = 0;
            net.client.alloc.fail_at(1, UINT64_MAX);
            EXPECT_EQ(quic_conn_stream_write(net.client.conn, s, byte, 1, flags, &n), QUIC_E_AGAIN);
            net.run_for(kS / 100);
            net.client.alloc.fail_at(0);
            EXPECT_EQ(net.client.count(QURING_EV_STREAM_WRITABLE), 0u);
            for (int i = 0; i < 20; i++) {
                if (chatty) {
                    net.write(net.server, "x", true);
                }
                net.run_for(kS / 20);
            }
            EXPECT_GE(net.client.count(QURING_EV_STREAM_WRITABLE), 1u);
            quic_endpoint_set_now(net.client.ep, net.now);
            EXPECT_EQ(quic_conn_stream_write(net.client.conn, s, byte, 1, flags, &n), QUIC_OK);
            EXPECT_EQ(n, 1u);
        }
    }
}

} // namespace

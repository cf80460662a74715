#include <algorithm>

#include <gtest/gtest.h>

#include "quic/wire/header.h"
#include "tests/quic/endpoint/forge.h"
#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"

namespace
{

std::vector<quic_conn *> conns_of(const Side &side)
{
    std::vector<quic_conn *> conns;
    quic_endpoint_each_conn(
        side.ep,
        [](quic_conn *c, void *ctx) {
            static_cast<std::vector<quic_conn *> *>(ctx)->push_back(c);
            return true;
        },
        &conns);
    return conns;
}

TEST(Close, H121_CodeAndPhraseReachThePeer)
{
    for (bool by_server : {false, true}) {
        Net net;
        ASSERT_TRUE(net.handshake());
        net.run_for(50 * kMs);
        Side &closer = by_server ? net.server : net.client;
        Side &other = by_server ? net.client : net.server;
        ASSERT_EQ(quic_conn_close(closer.conn, 4711, "so \n long"), QUIC_OK);
        EXPECT_EQ(quic_conn_close(closer.conn, 1, nullptr), QUIC_E_STATE);
        net.run_for(50 * kMs);
        EXPECT_EQ(closer.close_kind(), QURING_CLOSE_LOCAL_APP);
        EXPECT_EQ(closer.close_code(), 4711u);
        EXPECT_EQ(other.close_kind(), QURING_CLOSE_PEER_APP);
        EXPECT_EQ(other.close_code(), 4711u);
        EXPECT_STREQ(other.find(QURING_EV_CLOSED)->close.reason, "so ? long");
        EXPECT_EQ(net.client.count(QURING_EV_CLOSED), 1u);
        EXPECT_EQ(net.server.count(QURING_EV_CLOSED), 1u);
        net.run_for(5 * kS);
        for (Side *s : {&net.client, &net.server}) {
            EXPECT_EQ(quic_endpoint_conn_count(s->ep), 0u);
            EXPECT_EQ(quic_endpoint_mem(s->ep)->used_bytes, sim_inspect_idle_bytes(s->ep));
        }
    }
}

/* RFC 9000 10.2.3: nothing of the application before the handshake is over */
TEST(Close, DuringTheHandshakeSaysOnlyApplicationError)
{
    Net net;
    quic_conn *conn = net.connect();
    net.run_for(15 * kMs); /* the server's flight is under way */
    ASSERT_EQ(quic_conn_close(conn, 4711, "secret"), QUIC_OK);
    net.run_for(100 * kMs);
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_LOCAL_APP);
    EXPECT_EQ(net.server.close_kind(), QURING_CLOSE_PEER_TRANSPORT);
    EXPECT_EQ(net.server.close_code(), static_cast<uint64_t>(QUIC_V_APPLICATION_ERROR));
    EXPECT_STREQ(net.server.find(QURING_EV_CLOSED)->close.reason, "");
    EXPECT_EQ(net.server.find(QURING_EV_CLOSED)->close.frame_type, 0u);
}

/* RFC 9001 5.7: before it has the client's Finished a server reads nothing that a 1-RTT packet says. */
TEST(Close, OfAClientThatLeavesAtOnceBringsItsFinished)
{
    for (bool lost : {false, true}) {
        Net net;
        quic_conn *conn = net.connect();
        std::vector<Packet> flight; /* the server's, which the client takes in without a turn */
        net.filter = [&](Packet &p) {
            if (!p.to_server) {
                flight.push_back(p);
            }
            return p.to_server;
        };
        net.run_for(11 * kMs);
        net.filter = nullptr;
        for (Packet &p : flight) {
            net.deliver(p);
        }
        ASSERT_EQ(quic_conn_close(conn, 4711, "that was all"), QUIC_OK);
        net.filter = [&](Packet &) { return !lost; };
        net.run_for(kMs);
        net.filter = nullptr;
        if (lost) { /* the server asks again, and so it is said again */
            net.deliver(flight[0]);
        }
        net.run_for(5 * kS);
        EXPECT_EQ(net.client.count(QURING_EV_CONNECTED), 1u);
        EXPECT_EQ(net.server.count(QURING_EV_CONNECTED), 1u);
        EXPECT_EQ(net.server.close_kind(), QURING_CLOSE_PEER_APP);
        EXPECT_EQ(net.server.close_code(), 4711u);
        EXPECT_STREQ(net.server.find(QURING_EV_CLOSED)->close.reason, "that was all");
        const quic_counters *c = quic_endpoint_counters(net.server.ep);
        EXPECT_EQ(c->conns_established, 1u);
        EXPECT_EQ(c->handshakes_failed, 0u);
        EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 0u);
    }
}

/* It may have left and be lost, which nobody knows. */
TEST(Close, OfAClientBringsTheFinishedThatWasLost)
{
    for (bool lost_again : {false, true}) {
        Net net;
        quic_conn *conn = net.connect();
        unsigned n = 0;
        Packet flight; /* of the server's */
        net.filter = [&](Packet &p) {
            flight = p.to_server ? flight : p;
            return !p.to_server || n++ == 0;
        };
        net.run_for(25 * kMs);
        ASSERT_EQ(net.client.count(QURING_EV_CONNECTED), 1u);
        ASSERT_GT(n, 1u);
        net.filter = [&](Packet &p) { return !lost_again || !p.to_server; };
        ASSERT_EQ(quic_conn_close(conn, 4711, "that was all"), QUIC_OK);
        net.run_for(kMs);
        net.filter = nullptr;
        if (lost_again) { /* the server asks again, and so it is said again */
            net.deliver(flight);
        }
        net.run_for(5 * kS);
        EXPECT_EQ(net.server.count(QURING_EV_CONNECTED), 1u);
        EXPECT_EQ(net.server.close_kind(), QURING_CLOSE_PEER_APP);
        EXPECT_EQ(net.server.close_code(), 4711u);
        EXPECT_EQ(quic_endpoint_counters(net.server.ep)->handshakes_failed, 0u);
        for (Side *s : {&net.client, &net.server}) {
            EXPECT_EQ(quic_endpoint_conn_count(s->ep), 0u);
            EXPECT_EQ(quic_endpoint_mem(s->ep)->used_bytes, sim_inspect_idle_bytes(s->ep));
        }
    }
}

/* For the closing period it keeps its flight, and nothing of the server's. */
TEST(Close, OfAClientKeepsItsFlightAlone)
{
    constexpr uint64_t kConn = 5120; /* at most */
    constexpr uint64_t kRing = 4096;
    Net net;
    quic_conn *conn = net.connect();
    unsigned n = 0;
    net.filter = [&](Packet &p) { return !p.to_server || n++ == 0; };
    net.run_for(25 * kMs);
    ASSERT_EQ(net.client.count(QURING_EV_CONNECTED), 1u);
    ASSERT_EQ(quic_conn_close(conn, 4711, nullptr), QUIC_OK);
    net.run_for(kMs);
    ASSERT_EQ(quic_endpoint_conn_count(net.client.ep), 1u);
    EXPECT_LT(quic_endpoint_mem(net.client.ep)->used_bytes,
              sim_inspect_idle_bytes(net.client.ep) + kConn + 2 * kRing);
}

/* RFC 9000 10.2.1: fewer and fewer answers; 10.2.2: a draining end is silent */
TEST(Close, ClosingAnswersNowAndThenDrainingNever)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(50 * kMs);
    std::vector<Bytes> late; /* packets of the client that the server will see after closing */
    net.filter = [&](Packet &p) {
        if (p.to_server) {
            late.push_back(p.bytes);
        }
        return false;
    };
    for (int i = 0; i < 16; i++) {
        net.write(net.client, "x", true);
        net.run_for(kMs);
    }
    ASSERT_GE(late.size(), 16u);
    ASSERT_EQ(quic_conn_close(net.server.conn, 1, nullptr), QUIC_OK);
    net.run_for(kMs);
    net.sent.clear();
    for (int i = 0; i < 16; i++) {
        net.inject(net.server, late[static_cast<size_t>(i)]);
    }
    EXPECT_EQ(net.sent.size(), 5u); /* to the 1st, 2nd, 4th, 8th, 16th */
    Bytes close = net.sent.back().bytes;
    net.sent.clear();
    net.inject(net.client, close);
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_PEER_APP);
    net.inject(net.client, close);
    EXPECT_TRUE(net.sent.empty());
}

/* RFC 9000 10.2: everything but the connection IDs and the CONNECTION_CLOSE may be forgotten. */
TEST(Close, WhatHasEndedTakesLittleRoomForThreeProbeTimeouts)
{
    constexpr uint64_t kStone = 512;
    constexpr uint32_t kConns = 20;
    Net net;
    for (uint32_t i = 0; i < kConns; i++) {
        ASSERT_NE(net.connect(static_cast<uint16_t>(5000 + i)), nullptr);
    }
    ASSERT_TRUE(net.run_until([&] { return net.server.count(QURING_EV_CONNECTED) == kConns; }));
    net.run_for(100 * kMs);
    for (quic_conn *conn : conns_of(net.server)) {
        ASSERT_EQ(quic_conn_close(conn, 1, "a phrase"), QUIC_OK);
    }
    net.run_for(20 * kMs);
    for (Side *s : {&net.server, &net.client}) { /* closing, draining */
        EXPECT_EQ(quic_endpoint_conn_count(s->ep), kConns);
        EXPECT_LE(quic_endpoint_mem(s->ep)->used_bytes,
                  sim_inspect_idle_bytes(s->ep) + kConns * kStone);
    }
    net.run_for(2 * kS);
    for (Side *s : {&net.server, &net.client}) {
        EXPECT_EQ(quic_endpoint_conn_count(s->ep), 0u);
        EXPECT_EQ(quic_endpoint_mem(s->ep)->used_bytes, sim_inspect_idle_bytes(s->ep));
    }
}

/* A late Initial of a connection that has ended opens no second one, and hears why the first one ended. */
TEST(Close, ALateInitialIsThatOfTheClosedConnection)
{
    Net net;
    Bytes initial;
    quic_conn *conn = net.connect();
    net.filter = [&](Packet &p) {
        if (p.to_server && initial.empty()) {
            initial = p.bytes;
        }
        return true;
    };
    net.run_for(15 * kMs); /* the server's flight is under way */
    ASSERT_FALSE(initial.empty());
    net.filter = [](Packet &) { return false; };
    ASSERT_EQ(quic_conn_close(conn, 1, nullptr), QUIC_OK);
    ASSERT_EQ(conns_of(net.server).size(), 1u);
    ASSERT_EQ(quic_conn_close(conns_of(net.server)[0], 7, nullptr), QUIC_OK);
    net.run_for(kMs);
    net.sent.clear();
    const uint64_t accepted = quic_endpoint_counters(net.server.ep)->conns_opened;
    net.inject(net.server, initial);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->conns_opened, accepted);
    ASSERT_EQ(net.sent.size(), 1u);
    EXPECT_LE(net.sent[0].bytes.size(), 512u);
    EXPECT_TRUE(quic_header_is_long(net.sent[0].bytes[0]));
    net.inject(net.server, initial);
    net.inject(net.server, initial);
    EXPECT_EQ(net.sent.size(), 2u); /* to the 1st and the 2nd */
}

TEST(Close, IdleTimeoutIsTheSmallerOfTheTwo)
{
    Net net([](sim::Options &o) {
        o.server.limits.idle_timeout_ns = 7 * kS;
        o.clients[0].limits.idle_timeout_ns = 20 * kS;
    });
    ASSERT_TRUE(net.handshake());
    net.run_for(kS);
    quic_ns start = net.now;
    ASSERT_TRUE(net.run_until([&] {
        return net.client.count(QURING_EV_CLOSED) == 1 && net.server.count(QURING_EV_CLOSED) == 1;
    }));
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_IDLE_TIMEOUT);
    EXPECT_EQ(net.server.close_kind(), QURING_CLOSE_IDLE_TIMEOUT);
    EXPECT_LE(net.now, start + 7 * kS);
    EXPECT_GE(net.now, start + 5 * kS);
    net.run_for(kMs);
    EXPECT_EQ(quic_endpoint_conn_count(net.client.ep), 0u); /* nobody is told twice */
}

TEST(Close, KeepAliveKeepsItAlive)
{
    Net net([](sim::Options &o) {
        o.server.limits.idle_timeout_ns = 5 * kS;
        o.clients[0].limits.keep_alive_ns = 2 * kS;
    });
    ASSERT_TRUE(net.handshake());
    net.sent.clear();
    net.run_for(60 * kS);
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_NONE);
    EXPECT_LT(net.sent.size(), 100u); /* about two per two seconds */
    net.filter = [](Packet &) { return false; };
    net.run_for(30 * kS); /* and does not hide that the peer is gone */
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_IDLE_TIMEOUT);
}

/* RFC 9000 10.1: the smaller timeout counts, and who keeps alive may know only the larger one when it says how
 * often. */
TEST(Close, KeepAliveIsInTimeForAPeerOfLessPatience)
{
    for (bool by_server : {false, true}) {
        Net net([by_server](sim::Options &o) {
            quring_limits &patient = by_server ? o.server.limits : o.clients[0].limits;
            quring_limits &other = by_server ? o.clients[0].limits : o.server.limits;
            patient.idle_timeout_ns = 30 * kS;
            patient.keep_alive_ns = 15 * kS;
            other.idle_timeout_ns = 5 * kS;
        });
        ASSERT_TRUE(net.handshake());
        net.sent.clear();
        net.run_for(60 * kS);
        EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_NONE);
        EXPECT_EQ(net.server.close_kind(), QURING_CLOSE_NONE);
        EXPECT_GE(net.sent.size(), 40u); /* two each 2.5 s */
        EXPECT_LE(net.sent.size(), 48u);
    }
}

/* RFC 9000 10.1: what is announced may be shorter than what counts, three probe timeouts. */
TEST(Close, KeepAliveIsNoFloodWhateverThePeerAnnounces)
{
    for (bool by_server : {false, true}) {
        Net net([by_server](sim::Options &o) {
            for (quring_limits *l : {&o.server.limits, &o.clients[0].limits}) {
                l->idle_timeout_ns = 30 * kS;
            }
            (by_server ? o.server : o.clients[0]).limits.keep_alive_ns = 15 * kS;
        });
        net.delay = 50 * kMs;
        (by_server ? net.lie_to_server : net.lie_to_client) = [](quic_transport_params &p) {
            p.max_idle_timeout_ms = 1;
        };
        ASSERT_TRUE(net.handshake());
        net.run_for(kS);
        net.sent.clear();
        net.run_for(10 * kS);
        EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_NONE);
        EXPECT_EQ(net.server.close_kind(), QURING_CLOSE_NONE);
        const auto count = std::count_if(net.sent.begin(), net.sent.end(),
                                         [&](const Packet &p) { return p.to_server != by_server; });
        EXPECT_GE(count, 20);
        EXPECT_LE(count, 10000 * 2 / (3 * (100 + 25))); /* a probe timeout is more than that */
    }
}

/* RFC 9000 10.3 */
TEST(Close, StatelessResetOfARestartedServerEndsTheConnection)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(100 * kMs);
    net.restart_server();
    net.sent.clear();
    net.write(net.client, "are you there, and with enough bytes to be answered?", true);
    net.run_for(30 * kMs);
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_STATELESS_RESET);
    ASSERT_EQ(net.sent.size(), 2u);
    EXPECT_LT(net.sent[1].bytes.size(), net.sent[0].bytes.size()); /* 10.3.3: it gets smaller */
    EXPECT_GE(net.sent[1].bytes.size(), 21u);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->sent_stateless_reset, 1u);
    net.run_for(kMs);
    EXPECT_EQ(quic_endpoint_conn_count(net.client.ep), 0u);
}

TEST(Close, ResetWithAnotherTokenIsNoise)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(100 * kMs);
    net.restart_server();
    net.filter = [](Packet &p) {
        if (!p.to_server) {
            p.bytes.back() ^= 1;
        }
        return true;
    };
    net.write(net.client, "are you there, and with enough bytes to be answered?", true);
    net.run_for(kS);
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_NONE);
}

/* The reset that a restarted server answers with, on its way; `head` is of a packet to the client. */
void provoke_reset(Net &net, Bytes &reset, Bytes &head)
{
    ASSERT_TRUE(net.handshake());
    net.run_for(100 * kMs);
    net.filter = [&](Packet &p) {
        head = p.to_server || !head.empty() ? head : p.bytes;
        return true;
    };
    net.write(net.server, std::string(100, 'x'), true);
    net.run_for(100 * kMs);
    ASSERT_GT(head.size(), 9u);
    net.restart_server();
    net.filter = [&](Packet &p) {
        reset = p.to_server ? reset : p.bytes;
        return p.to_server;
    };
    net.write(net.client, "are you there, and with enough bytes to be answered?", true);
    net.run_for(30 * kMs);
    ASSERT_GE(reset.size(), 21u);
    ASSERT_EQ(net.client.close_kind(), QURING_CLOSE_NONE);
}

/* First with another token, which is nothing to the connection. */
void only_its_token_resets(Net &net, const Bytes &reset)
{
    for (const bool is_right : {false, true}) {
        Bytes bytes = reset;
        bytes.back() ^= is_right ? 0 : 1;
        net.inject(net.client, bytes);
        EXPECT_EQ(net.client.close_kind(),
                  is_right ? QURING_CLOSE_STATELESS_RESET : QURING_CLOSE_NONE);
    }
}

/* RFC 9000 10.3.1: its random bytes may be those of a connection ID in use. */
TEST(Close, ResetThatLooksLikeAPacketOfTheConnectionEndsItToo)
{
    Net net;
    Bytes head; /* first byte, connection ID */
    Bytes reset;
    provoke_reset(net, reset, head);
    std::copy(head.begin(), head.begin() + 9, reset.begin());
    only_its_token_resets(net, reset);
}

/* RFC 9000 10.3: other versions may send them with a long header. */
TEST(Close, ResetWithALongHeaderEndsItToo)
{
    const Bytes heads[] = {{0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 0, 0}, {0x80, 0, 0, 0, 1, 0xff}, {0xff}};
    for (const Bytes &of : heads) {
        Net net;
        Bytes head;
        Bytes reset;
        provoke_reset(net, reset, head);
        std::copy(of.begin(), of.end(), reset.begin());
        only_its_token_resets(net, reset);
    }
}

/* A datagram cut short on its way must not draw the reset of a living connection. */
TEST(Close, TruncatedPacketOfALivingConnectionDrawsNoReset)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(100 * kMs);
    net.filter = [](Packet &p) { return !p.to_server; };
    net.write(net.client, std::string(200, 'x'), true);
    net.run_for(kMs);
    Bytes packet = net.sent.back().bytes;
    ASSERT_FALSE(quic_header_is_long(packet[0]));
    net.sent.clear();
    for (size_t len = 1; len < packet.size(); len++) {
        net.inject(net.server, Bytes(packet.begin(), packet.begin() + static_cast<ptrdiff_t>(len)));
    }
    EXPECT_TRUE(net.sent.empty());
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->sent_stateless_reset, 0u);
}

} // namespace

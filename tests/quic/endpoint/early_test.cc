/* Resumption and 0-RTT (RFC 9001 4.5-4.6, RFC 9000 7.4.1): on a clean line, with loss, and refused. */
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "quic/crypto/anti_replay.h"
#include "quic/wire/header.h"
#include "quic/wire/transport_params.h"
#include "tests/quic/conn/inject.h"
#include "tests/quic/endpoint/net.h"

namespace
{

using Bytes = std::vector<uint8_t>;

constexpr uint32_t kSlots = 64;

/* Takes the first Handshake packet and all behind it from a datagram; scripted: its payload is readable. */
Bytes cut_handshake(Bytes *datagram)
{
    quic_long_header h;
    for (size_t off = 0; off < datagram->size() && quic_header_is_long((*datagram)[off]) &&
                         quic_header_decode_long(&h, datagram->data() + off, datagram->size() - off,
                                                 QUIC_VERSIONS_ALL) == QUIC_OK;
         off += h.packet_len) {
        if (h.type == QUIC_PACKET_HANDSHAKE) {
            const size_t body = off + h.pn_offset + quic_header_pn_len(h.first);
            const Bytes frames(datagram->begin() + static_cast<ptrdiff_t>(body),
                               datagram->begin() + static_cast<ptrdiff_t>(off + h.packet_len));
            datagram->resize(off);
            return frames;
        }
    }
    return {};
}

class Early : public testing::Test
{
  protected:
    Early() : memory_(quic_anti_replay_size(kSlots) / sizeof(uint64_t) + 1)
    {
        NewRegister();
        gate_.id = 77;
    }

    /* Time starts over with each Net. */
    void NewRegister()
    {
        const uint8_t key[16] = {1};
        memory_.assign(memory_.size(), 0);
        gate_.replay =
            quic_anti_replay_init(memory_.data(), kSlots, 3600 * kS, key, 0, QUIC_NS_PER_S);
    }

    /* Connects and writes before anything can come back. */
    uint64_t Connect(Net &net, const std::string &bytes)
    {
        net.client.conn = net.connect();
        EXPECT_NE(net.client.conn, nullptr);
        return net.write(net.client, bytes);
    }

    static bool Arrived(Net &net, uint64_t id, const std::string &bytes)
    {
        const Received &r = net.server.streams[id];
        return r.fin && r.bytes == bytes;
    }

    static quring_conn_info Info(quic_conn *conn)
    {
        quring_conn_info info;
        quic_conn_get_info(conn, &info);
        return info;
    }

    static size_t Packets(const Net &net, quic_packet_type type)
    {
        size_t count = 0;
        for (const Packet &p : net.sent) {
            size_t off = 0;
            quic_long_header h;
            while (off < p.bytes.size() && (p.bytes[off] & 0x80) != 0 &&
                   quic_header_decode_long(&h, p.bytes.data() + off, p.bytes.size() - off,
                                           QUIC_VERSIONS_ALL) == QUIC_OK) {
                count += h.type == type ? 1 : 0;
                off += h.packet_len;
            }
        }
        return count;
    }

    /* Changes what the session says of the server's limits. */
    static void Remember(Net &net, const std::function<void(quic_transport_params &)> &change)
    {
        /* magic, version, name with its length, then the parameters with theirs */
        const size_t at = 9 + std::string("localhost").size();
        const auto *blob = reinterpret_cast<const uint8_t *>(net.session.data());
        const size_t len = static_cast<size_t>(blob[at] << 8 | blob[at + 1]);
        quic_transport_params p;
        ASSERT_EQ(quic_transport_params_decode(&p, blob + at + 2, len, QUIC_SERVER), QUIC_OK);
        change(p);
        uint8_t buf[QUIC_TP_ENCODED_MAX];
        const size_t n = quic_transport_params_encode(buf, sizeof(buf), &p, QUIC_SERVER, 0);
        const char head[2] = {static_cast<char>(n >> 8), static_cast<char>(n)};
        net.session = net.session.substr(0, at) + std::string(head, 2) +
                      std::string(reinterpret_cast<char *>(buf), n) +
                      net.session.substr(at + 2 + len);
    }

    std::vector<uint64_t> memory_;
    quic_early_gate gate_{};
};

/* With the answer to its 0-RTT request it leaves, and what of its Finished was lost goes with the CONNECTION_CLOSE. */
TEST_F(Early, AClientThatLeavesBringsTheFinishedThatWasLost)
{
    Net net;
    ASSERT_TRUE(net.take_ticket(&gate_));
    const uint64_t failed = quic_endpoint_counters(net.server.ep)->handshakes_failed;
    const uint64_t id = Connect(net, "hello");
    const quic_ns began = net.now;
    net.filter = [&](Packet &p) { return !p.to_server || net.now < began + net.delay; };
    net.run_for(25 * kMs);
    ASSERT_TRUE(Arrived(net, id, "hello"));
    ASSERT_EQ(net.client.count(QURING_EV_CONNECTED), 1u);
    ASSERT_EQ(net.server.count(QURING_EV_CONNECTED), 0u);
    net.filter = nullptr;
    ASSERT_EQ(quic_conn_close(net.client.conn, 4711, "that was all"), QUIC_OK);
    net.run_for(5 * kS);
    EXPECT_EQ(net.server.count(QURING_EV_CONNECTED), 1u);
    EXPECT_EQ(net.server.close_kind(), QURING_CLOSE_PEER_APP);
    EXPECT_EQ(net.server.close_code(), 4711u);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->handshakes_failed, failed);
}

TEST_F(Early, BytesArriveWithTheFirstFlight)
{
    Net net;
    ASSERT_TRUE(net.take_ticket(&gate_));
    const quic_ns began = net.now;
    const uint64_t id = Connect(net, "hello");
    ASSERT_TRUE(net.run_until([&] { return Arrived(net, id, "hello"); }));
    EXPECT_EQ(net.now, began + net.delay); /* half a round trip */
    EXPECT_EQ(net.server.count(QURING_EV_EARLY_READY), 1u);
    EXPECT_EQ(net.server.count(QURING_EV_CONNECTED), 0u);
    ASSERT_TRUE(net.run_until([&] { return net.server.count(QURING_EV_CONNECTED) == 1; }));
    const quring_conn_info client = Info(net.client.conn);
    EXPECT_TRUE(client.resumed);
    EXPECT_TRUE(client.early_accepted);
    EXPECT_EQ(client.zero_rtt_bytes, 5u);
    const quring_conn_info server = Info(net.server.conn);
    EXPECT_TRUE(server.resumed);
    EXPECT_TRUE(server.early_accepted);
    EXPECT_EQ(server.zero_rtt_bytes, 5u);
}

TEST_F(Early, AnswersNeedNotWaitForTheHandshake)
{
    Net net;
    ASSERT_TRUE(net.take_ticket(&gate_));
    const quic_ns began = net.now;
    const uint64_t id = Connect(net, "question");
    ASSERT_TRUE(net.run_until([&] { return net.server.find(QURING_EV_STREAM_OPENED) != nullptr; }));
    net.server.conn = net.server.find(QURING_EV_STREAM_OPENED)->conn;
    const uint64_t answer = net.write(net.server, "answer", true);
    ASSERT_NE(answer, UINT64_MAX);
    ASSERT_TRUE(net.run_until([&] { return net.client.streams[answer].fin; }));
    EXPECT_EQ(net.now, began + 2 * net.delay); /* one round trip */
    EXPECT_TRUE(Arrived(net, id, "question"));
}

TEST_F(Early, OnlyAsMuchAsTheFirstWindow)
{
    Net net;
    ASSERT_TRUE(net.take_ticket(&gate_));
    const std::string big(100000, 'x');
    const uint64_t id = Connect(net, big);
    ASSERT_TRUE(net.run_until([&] { return Arrived(net, id, big); }));
    const quring_conn_info info = Info(net.client.conn);
    EXPECT_TRUE(info.early_accepted);
    EXPECT_GT(info.zero_rtt_bytes, 5000u);
    EXPECT_LT(info.zero_rtt_bytes, 20000u); /* the initial congestion window */
    EXPECT_EQ(info.packets_lost, 0u);
}

/* RFC 9001 4.6.2 */
TEST_F(Early, ARefusalSendsEverythingAgain)
{
    Net net;
    ASSERT_TRUE(net.take_ticket(&gate_));
    net.serve(nullptr);
    const std::string big(100000, 'y');
    const uint64_t id = Connect(net, big);
    const uint64_t uni = net.write(net.client, "second", true);
    ASSERT_TRUE(
        net.run_until([&] { return Arrived(net, id, big) && Arrived(net, uni, "second"); }));
    const quring_conn_info info = Info(net.client.conn);
    EXPECT_TRUE(info.resumed);
    EXPECT_TRUE(info.early_rejected);
    EXPECT_EQ(info.zero_rtt_bytes, 0u);
    EXPECT_EQ(info.packets_lost, 0u); /* taken back, not lost: RFC 9002 6.4 */
    EXPECT_GT(Packets(net, QUIC_PACKET_0RTT), 0u);
    EXPECT_EQ(net.client.count(QURING_EV_EARLY_REJECTED), 1u);
    EXPECT_EQ(quic_endpoint_counters(net.client.ep)->early_rejected, 1u);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->early_rejected, 1u);
}

TEST_F(Early, ARefusedResetStartsOverToo)
{
    Net net;
    ASSERT_TRUE(net.take_ticket(&gate_));
    net.serve(nullptr);
    const uint64_t id = Connect(net, "never mind");
    net.run_for(kMs); /* it is on its way */
    ASSERT_EQ(quic_conn_stream_reset(net.client.conn, net.client.open[id], 5), QUIC_OK);
    const uint64_t next = net.write(net.client, "this one");
    ASSERT_TRUE(net.run_until([&] { return Arrived(net, next, "this one"); }));
    net.run_for(kS);
    EXPECT_EQ(net.client.count(QURING_EV_CLOSED), 0u);
    EXPECT_EQ(net.server.count(QURING_EV_STREAM_RESET), 1u);
}

TEST_F(Early, ATicketIsGoodForItOnce)
{
    Net net;
    ASSERT_TRUE(net.take_ticket(&gate_));
    for (int i = 0; i < 3; i++) {
        net.forget();
        const uint64_t id = Connect(net, "again");
        ASSERT_TRUE(net.run_until([&] { return Arrived(net, id, "again"); }));
        ASSERT_TRUE(net.run_until([&] { return net.client.count(QURING_EV_CONNECTED) == 1; }));
        EXPECT_EQ(Info(net.client.conn).early_accepted, i == 0);
        EXPECT_TRUE(Info(net.client.conn).resumed);
        ASSERT_EQ(quic_conn_close(net.client.conn, 0, nullptr), QUIC_OK);
        net.run_for(10 * kS);
    }
}

TEST_F(Early, AnotherRegisterRefuses)
{
    Net net;
    ASSERT_TRUE(net.take_ticket(&gate_));
    quic_early_gate other = gate_;
    other.id = 78;
    net.serve(&other);
    const uint64_t id = Connect(net, "hello");
    ASSERT_TRUE(net.run_until([&] { return Arrived(net, id, "hello"); }));
    EXPECT_TRUE(Info(net.client.conn).early_rejected);
}

/* RFC 9000 7.4.1: the server itself refuses when its limits are not those of the ticket. */
TEST_F(Early, H47_OtherLimitsRefuse)
{
    Net net;
    ASSERT_TRUE(net.take_ticket(&gate_));
    quring_limits less = net.options.server.limits;
    less.conn_recv_window_bytes = 2000;
    less.stream_recv_window_bytes = 1500;
    less.streams_bidi_max = 1;
    net.serve(&gate_, &less);
    const std::string big(50000, 'z');
    const uint64_t id = Connect(net, big);
    ASSERT_TRUE(net.run_until([&] { return Arrived(net, id, big); }));
    EXPECT_TRUE(Info(net.client.conn).early_rejected);
    EXPECT_EQ(net.server.count(QURING_EV_CLOSED), 0u); /* the new limits were kept */
}

TEST_F(Early, MoreStreamsThanTheServerAllowsNowEndTheConnection)
{
    Net net;
    ASSERT_TRUE(net.take_ticket(&gate_));
    quring_limits less = net.options.server.limits;
    less.streams_bidi_max = 1;
    net.serve(&gate_, &less);
    (void)Connect(net, "one");
    (void)net.write(net.client, "two");
    ASSERT_TRUE(net.run_until([&] { return net.client.count(QURING_EV_CLOSED) == 1; }));
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_LOCAL_TRANSPORT);
    EXPECT_EQ(net.server.count(QURING_EV_STREAM_OPENED), 0u);
}

/* RFC 9000 17.2.5.3 */
TEST_F(Early, RetryDoesNotLoseIt)
{
    Net net([](sim::Options &o) { o.retry = true; });
    ASSERT_TRUE(net.take_ticket(&gate_));
    const uint64_t id = Connect(net, "hello");
    ASSERT_TRUE(net.run_until([&] { return Arrived(net, id, "hello"); }));
    EXPECT_TRUE(net.run_until([&] { return net.client.count(QURING_EV_CONNECTED) == 1; }));
    EXPECT_TRUE(Info(net.client.conn).early_accepted);
    EXPECT_TRUE(Info(net.client.conn).retry_used);
}

TEST_F(Early, LostPacketsAreRepeatedAfterTheHandshake)
{
    for (int lose = 0; lose < 12; lose++) {
        Net net;
        ASSERT_TRUE(net.take_ticket(&gate_));
        int n = 0;
        net.filter = [&](Packet &p) { return !p.to_server || n++ != lose; };
        const std::string big(30000, 'l');
        const uint64_t id = Connect(net, big);
        ASSERT_TRUE(net.run_until([&] { return Arrived(net, id, big); })) << lose;
        EXPECT_TRUE(net.run_until([&] { return net.client.count(QURING_EV_CONNECTED) == 1; }));
        EXPECT_TRUE(Info(net.client.conn).early_accepted) << lose;
        NewRegister();
    }
}

/* RFC 9000 5.7: 0-RTT packets may come before the ClientHello is whole. */
TEST_F(Early, PacketsBeforeTheirKeysAreHeld)
{
    Net net([](sim::Options &o) { o.clients[0].limits.undecryptable_packets_max = 32; });
    ASSERT_TRUE(net.take_ticket(&gate_));
    int n = 0;
    std::vector<uint8_t> first;
    net.filter = [&](Packet &p) {
        if (p.to_server && n++ == 0) {
            first = p.bytes;
            return false;
        }
        return true;
    };
    const std::string text(4000, 'h');
    const uint64_t id = Connect(net, text);
    ASSERT_TRUE(net.run_until([&] { return Arrived(net, id, text); }));
    EXPECT_TRUE(net.run_until([&] { return net.client.count(QURING_EV_CONNECTED) == 1; }));
}

/* RFC 9000 7.4.1: a server that accepts 0-RTT may not allow less than the client remembers. */
TEST_F(Early, H47_AcceptedUnderSmallerLimitsIsAViolation)
{
    using Field = uint64_t quic_transport_params::*;
    for (Field field :
         {&quic_transport_params::initial_max_data, &quic_transport_params::initial_max_streams_uni,
          &quic_transport_params::initial_max_streams_bidi,
          &quic_transport_params::initial_max_stream_data_uni,
          &quic_transport_params::initial_max_stream_data_bidi_local,
          &quic_transport_params::initial_max_stream_data_bidi_remote,
          &quic_transport_params::active_connection_id_limit,
          &quic_transport_params::max_datagram_frame_size /* RFC 9221 3 */}) {
        Net net;
        ASSERT_TRUE(net.take_ticket(&gate_));
        Remember(net, [&](quic_transport_params &p) {
            p.*field += 1; /* as if the server had allowed one more */
        });
        (void)Connect(net, "hello");
        ASSERT_TRUE(net.run_until([&] { return net.client.count(QURING_EV_CLOSED) == 1; }));
        EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_LOCAL_TRANSPORT);
        EXPECT_EQ(net.client.close_code(), uint64_t{QUIC_V_PROTOCOL_VIOLATION});
        NewRegister();
    }
}

/* RFC 9000 7.4.1: a server may allow more than it did; what waited for that goes on. */
TEST_F(Early, AcceptedUnderLargerLimitsGoesOn)
{
    using Field = uint64_t quic_transport_params::*;
    for (Field field : {&quic_transport_params::initial_max_data,
                        &quic_transport_params::initial_max_stream_data_bidi_remote}) {
        Net net;
        ASSERT_TRUE(net.take_ticket(&gate_));
        Remember(net, [&](quic_transport_params &p) { p.*field = 1000; });
        const std::string text(5000, 'w');
        const uint64_t id = Connect(net, text);
        EXPECT_TRUE(net.run_until([&] { return Arrived(net, id, text); }, 5 * kS));
        EXPECT_TRUE(Info(net.client.conn).early_accepted);
        EXPECT_EQ(Info(net.client.conn).zero_rtt_bytes, 1000u);
        NewRegister();
    }
}

TEST_F(Early, AcceptedUnderLargerLimitsOpensMoreStreams)
{
    Net net;
    ASSERT_TRUE(net.take_ticket(&gate_));
    Remember(net, [](quic_transport_params &p) { p.initial_max_streams_bidi = 1; });
    const uint64_t id = Connect(net, "one");
    EXPECT_EQ(net.write(net.client, "two"), UINT64_MAX);
    ASSERT_TRUE(
        net.run_until([&] { return net.client.count(QURING_EV_STREAMS_AVAILABLE) == 1; }, 5 * kS));
    const uint64_t next = net.write(net.client, "two");
    ASSERT_NE(next, UINT64_MAX);
    ASSERT_TRUE(
        net.run_until([&] { return Arrived(net, id, "one") && Arrived(net, next, "two"); }));
    EXPECT_TRUE(Info(net.client.conn).early_accepted);
}

/* RFC 9000 7.4.1: the client has the server's larger limits, and the handshake is not complete. */
TEST_F(Early, WhatIsRememberedAppliesUntilTheHandshakeIsComplete)
{
    constexpr size_t kRemembered = 1000;
    Net net;
    ASSERT_TRUE(net.take_ticket(&gate_));
    Remember(net,
             [](quic_transport_params &p) { p.initial_max_stream_data_bidi_remote = kRemembered; });
    Bytes flight;
    bool whole = false;
    net.filter = [&](Packet &p) {
        if (!p.to_server && !whole) {
            const Bytes frames = cut_handshake(&p.bytes);
            flight = flight.empty() ? frames : flight;
        }
        return !p.bytes.empty();
    };
    const std::string text(5000, 'w');
    const uint64_t id = Connect(net, text);
    ASSERT_TRUE(net.run_until([&] { return !flight.empty(); }));
    net.run_for(2 * net.delay);
    /* CRYPTO, at 0, with a length: EncryptedExtensions is the first message of it. */
    ASSERT_EQ(flight[0], 0x06);
    ASSERT_EQ(flight[1], 0);
    const size_t at = flight[2] < 0x40 ? 3 : 4;
    const size_t len = 4u + static_cast<size_t>(flight[at + 2] << 8 | flight[at + 3]);
    Bytes frames = {0x06, 0, static_cast<uint8_t>(0x40 | len >> 8), static_cast<uint8_t>(len)};
    frames.insert(frames.end(), flight.begin() + static_cast<ptrdiff_t>(at),
                  flight.begin() + static_cast<ptrdiff_t>(at + len));
    Bytes packet(1500);
    quic_conn *server = net.server.find(QURING_EV_EARLY_READY)->conn;
    packet.resize(inject_make(server, QUIC_LEVEL_HANDSHAKE, 0, frames.data(), frames.size(),
                              packet.data(), packet.size()));
    ASSERT_FALSE(packet.empty());
    net.inject(net.client, packet);
    net.run_for(3 * net.delay);
    EXPECT_EQ(net.client.count(QURING_EV_CONNECTED), 0u);
    EXPECT_TRUE(Info(net.client.conn).early_accepted);
    EXPECT_EQ(net.server.streams[id].bytes.size(), kRemembered);
    whole = true;
    EXPECT_TRUE(net.run_until([&] { return Arrived(net, id, text); }, 10 * kS));
    EXPECT_EQ(Info(net.client.conn).zero_rtt_bytes, kRemembered);
}

quic_rc SendDatagram(quic_conn *conn, const std::string &bytes)
{
    return quic_conn_datagram_send(conn, reinterpret_cast<const uint8_t *>(bytes.data()),
                                   bytes.size(), 0, 0);
}

/* RFC 9221 3: a client remembers that the server takes them, and how large. */
TEST_F(Early, DatagramsLeaveWithTheFirstFlight)
{
    Net net;
    ASSERT_TRUE(net.take_ticket(&gate_));
    const quic_ns began = net.now;
    net.client.conn = net.connect();
    size_t max = 0;
    ASSERT_EQ(quic_conn_datagram_max(net.client.conn, &max), QUIC_OK);
    const std::string largest(max, 'L');
    ASSERT_EQ(SendDatagram(net.client.conn, "unreliable"), QUIC_OK);
    ASSERT_EQ(SendDatagram(net.client.conn, largest), QUIC_OK);
    ASSERT_TRUE(net.run_until([&] { return net.server.datagrams.size() == 2; }));
    EXPECT_EQ(net.now, began + net.delay); /* half a round trip */
    EXPECT_EQ(net.server.datagrams, (std::vector<std::string>{"unreliable", largest}));
    EXPECT_EQ(net.server.count(QURING_EV_CONNECTED), 0u);
    ASSERT_TRUE(net.run_until([&] { return net.server.count(QURING_EV_CONNECTED) == 1; }));
    net.run_for(kS);
    EXPECT_EQ(Info(net.client.conn).datagrams_acked, 2u);
}

/* RFC 9001 4.6.2: what went in refused 0-RTT is lost; until the server's limit is known others wait. */
TEST_F(Early, ARefusalLosesDatagrams)
{
    for (uint32_t limit : {65535u, 0u}) {
        Net net;
        ASSERT_TRUE(net.take_ticket(&gate_));
        quring_limits other = net.options.server.limits;
        other.datagram_max_bytes = limit;
        net.serve(nullptr, &other);
        net.client.conn = net.connect();
        ASSERT_EQ(SendDatagram(net.client.conn, "gone"), QUIC_OK);
        net.run_for(kMs);
        ASSERT_TRUE(net.run_until([&] { return net.client.count(QURING_EV_EARLY_REJECTED) == 1; }));
        net.run_for(kS);
        const quring_conn_info info = Info(net.client.conn);
        EXPECT_TRUE(info.early_rejected);
        EXPECT_EQ(info.datagrams_lost, 1u);
        EXPECT_EQ(SendDatagram(net.client.conn, "later"),
                  limit == 0 ? QUIC_E_NOT_SUPPORTED : QUIC_OK);
        net.run_for(kS);
        EXPECT_EQ(net.server.datagrams.size(), limit == 0 ? 0u : 1u);
        NewRegister();
    }
}

TEST_F(Early, WithoutTheWishOnlyResumption)
{
    Net net;
    ASSERT_TRUE(net.take_ticket(&gate_));
    net.zero_rtt = false;
    ASSERT_TRUE(net.handshake());
    EXPECT_TRUE(Info(net.client.conn).resumed);
    EXPECT_FALSE(Info(net.client.conn).early_accepted);
    EXPECT_EQ(Packets(net, QUIC_PACKET_0RTT), 0u);
}

TEST_F(Early, ASessionThatNobodyAskedForIsGoneWithItsConnection)
{
    for (bool shown : {false, true}) {
        Net net;
        net.serve(&gate_);
        std::vector<Packet> held;
        net.filter = [&](Packet &p) {
            const bool hold = !p.to_server && net.client.conn != nullptr;
            if (hold) {
                held.push_back(p);
            }
            return !hold;
        };
        ASSERT_TRUE(net.handshake());
        net.run_for(kMs);
        for (Packet &p : held) {
            net.deliver(p);
        }
        quic_event ev{};
        while (shown && ev.type != QURING_EV_SESSION) {
            ASSERT_TRUE(quic_endpoint_poll_event(net.client.ep, &ev, net.now));
        }
        quic_endpoint_destroy(net.client.ep);
        net.client.ep = nullptr;
        EXPECT_EQ(net.client.alloc.blocks(), 0u);
    }
}

TEST_F(Early, ABadSessionIsIgnored)
{
    Net net;
    ASSERT_TRUE(net.take_ticket(&gate_));
    net.zero_rtt = false;
    const std::string good = net.session;
    for (size_t i = 0; i < good.size(); i += 7) {
        net.forget();
        net.session = good;
        net.session[i] = static_cast<char>(net.session[i] ^ 0x40);
        ASSERT_TRUE(net.handshake()) << i;
        ASSERT_EQ(quic_conn_close(net.client.conn, 0, nullptr), QUIC_OK);
        net.run_for(10 * kS);
    }
}

} // namespace

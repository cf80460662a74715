/* BoringSSL over the line: what depends on real messages, their sizes and their order. */
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "quic/crypto/anti_replay.h"
#include "quic/crypto/tls_boring_config.h"
#include "quic/wire/header.h"
#include "tests/pki/pki.h"
#include "tests/quic/crypto/rfc9001_vectors.h"
#include "tests/quic/endpoint/net.h"
#include "tests/quic/wire/hex.h"

namespace
{

using Bytes = std::vector<uint8_t>;

const uint8_t *U8(const std::string &text)
{
    return reinterpret_cast<const uint8_t *>(text.data());
}

struct Release {
    void operator()(quic_tls_boring_config *config) const
    {
        quic_tls_boring_config_release(config);
    }
};
using Config = std::unique_ptr<quic_tls_boring_config, Release>;

struct Policy {
    const pki::Identity *identity = nullptr;
    const pki::Authority *trust = nullptr;
    quic_client_cert client_cert = QUIC_CLIENT_CERT_NONE;
    uint32_t chain_max = 0;
    const char *alpn = "sim";
};

Config Make(quic_role role, const Policy &p)
{
    const char *const alpn[] = {p.alpn};
    quic_tls_boring_options o = {};
    if (p.identity != nullptr) {
        o.cert_pem = U8(p.identity->cert);
        o.cert_pem_len = p.identity->cert.size();
        o.key_pem = U8(p.identity->key);
        o.key_pem_len = p.identity->key.size();
    }
    if (p.trust != nullptr) {
        o.ca_pem = U8(p.trust->root());
        o.ca_pem_len = p.trust->root().size();
    }
    o.verify_peer = p.trust != nullptr;
    o.client_cert = p.client_cert;
    o.peer_chain_max_bytes = p.chain_max;
    o.alpn = alpn;
    o.alpn_count = 1;
    quic_tls_boring_config *config = nullptr;
    char err[300] = "";
    const quic_rc rc = role == QUIC_SERVER
                           ? quic_tls_boring_config_create_server(&config, &o, err, sizeof(err))
                           : quic_tls_boring_config_create_client(&config, &o, err, sizeof(err));
    EXPECT_EQ(rc, QUIC_OK) << err;
    return Config(config);
}

std::vector<std::string> LongNames(size_t count, size_t len)
{
    std::vector<std::string> names = {"localhost"};
    for (size_t i = 1; i < count; i++) {
        std::string name = std::to_string(1000 + i);
        name.resize(len, 'n');
        names.push_back(name);
    }
    return names;
}

class RealTls : public testing::Test
{
  protected:
    RealTls() : memory_(quic_anti_replay_size(64) / sizeof(uint64_t) + 1)
    {
        const uint8_t key[16] = {1};
        gate_.id = 77;
        gate_.replay = quic_anti_replay_init(memory_.data(), 64, 3600 * kS, key, 0, QUIC_NS_PER_S);
    }

    /* A client with so many names in its certificate, of 250 bytes each; and a server that demands it. */
    pki::Identity LongClient(size_t names)
    {
        pki::Wish wish;
        wish.client = true;
        wish.names = LongNames(names, 250);
        return clients_.Issue(wish);
    }

    void AskForIt(Policy *sp, Policy *cp, const pki::Identity &identity)
    {
        sp->identity = &server_id_;
        sp->trust = &clients_;
        sp->client_cert = QUIC_CLIENT_CERT_REQUIRE;
        cp->identity = &identity;
        cp->trust = &servers_;
    }

    std::function<void(sim::Options &)> With(const Config &server, const Config &client)
    {
        return [&](sim::Options &o) {
            o.tls = sim::Tls::kBoring;
            o.server_tls = server.get();
            o.client_tls = client.get();
        };
    }
    static bool IsShort(const Packet &p)
    {
        return !quic_header_is_long(p.bytes[0]);
    }

    pki::Authority servers_{"servers"};
    pki::Authority clients_{"clients"};
    pki::Identity server_id_ = servers_.Issue();
    std::vector<uint64_t> memory_;
    quic_early_gate gate_ = {};
};

/* The interop runner's case: nine certificates, a leaf above 5 KB, and the client's second to seventh
 * datagram lost. Both sides' probes have to get it through within three times what the server received
 * (RFC 9000 8.1, RFC 9002 6.2.2.1). */
TEST_F(RealTls, AmplificationLimit)
{
    const pki::Authority deep("deep", 8);
    pki::Wish wish;
    wish.names = LongNames(21, 250);
    const pki::Identity identity = deep.Issue(wish);
    Policy sp, cp;
    sp.identity = &identity;
    cp.trust = &deep;
    const Config server = Make(QUIC_SERVER, sp);
    const Config client = Make(QUIC_CLIENT, cp);
    Net net(With(server, client));
    unsigned n = 0;
    bool validated = false; /* a Handshake packet of the client has arrived */
    uint64_t received = 0;
    uint64_t sent = 0;
    net.filter = [&](Packet &p) {
        if (!p.to_server) {
            sent += p.bytes.size();
            EXPECT_TRUE(validated || sent <= 3 * received) << sent << " of " << received;
            return true;
        }
        n++;
        if (n >= 2 && n <= 7) {
            return false;
        }
        quic_long_header h;
        received += p.bytes.size();
        validated = validated || IsShort(p) ||
                    (quic_header_decode_long(&h, p.bytes.data(), p.bytes.size(),
                                             QUIC_VERSIONS_ALL) == QUIC_OK &&
                     h.type == QUIC_PACKET_HANDSHAKE);
        return true;
    };
    ASSERT_TRUE(net.handshake());
    EXPECT_GT(sent, 7500u); /* the whole chain, uncompressed */
    EXPECT_GT(n, 7u);
    const uint64_t id = net.write(net.client, std::string(5000, 'f'));
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->conns_established, 1u);
}

/* The server is blocked by the 3x limit with 60 KB to say: nothing leaves, and no timer spins. */
TEST_F(RealTls, H52_AChainOf64KiBGoesOutWithinTheCredit)
{
    pki::Wish wish;
    wish.names = LongNames(240, 250);
    const pki::Identity identity = servers_.Issue(wish);
    ASSERT_GT(identity.leaf_der.size(), 58000u);
    Policy sp, cp;
    sp.identity = &identity;
    cp.trust = &servers_;
    const Config server = Make(QUIC_SERVER, sp);
    const Config client = Make(QUIC_CLIENT, cp);
    {
        Net net(With(server, client));
        ASSERT_TRUE(net.handshake());
        EXPECT_LT(net.now, kS + 2 * kS);
    }
    Net net(With(server, client));
    bool open = true;
    net.filter = [&](Packet &p) { return p.to_server && open; };
    ASSERT_NE(net.connect(), nullptr);
    net.run_for(kMs + net.delay);
    open = false;
    const uint64_t received = net.bytes_to_server;
    size_t turns = 0;
    (void)net.run_until(
        [&] {
            turns++;
            return false;
        },
        8 * kS);
    EXPECT_LE(net.bytes_to_client, 3 * received);
    EXPECT_LT(turns, 500u);
}

TEST_F(RealTls, H52_AClientsChainOf64KiBComesInUnlessItIsLimited)
{
    const pki::Identity identity = LongClient(240);
    Policy sp, cp;
    AskForIt(&sp, &cp, identity);
    const Config client = Make(QUIC_CLIENT, cp);
    {
        const Config server = Make(QUIC_SERVER, sp);
        Net net(With(server, client));
        ASSERT_TRUE(net.handshake());
        const uint8_t *der = nullptr;
        size_t len = 0;
        bool verified = false;
        ASSERT_TRUE(quic_conn_peer_certificate(net.server.conn, &der, &len, &verified));
        EXPECT_EQ(std::string(der, der + len), identity.leaf_der);
        EXPECT_TRUE(verified);
    }
    sp.chain_max = 20000;
    const Config server = Make(QUIC_SERVER, sp);
    Net net(With(server, client));
    ASSERT_NE(net.connect(), nullptr);
    ASSERT_TRUE(net.run_until([&] { return net.server.count(QURING_EV_CLOSED) == 1; }));
    EXPECT_EQ(net.server.close_code(), static_cast<uint64_t>(QUIC_V_CRYPTO_BUFFER_EXCEEDED));
    EXPECT_EQ(net.server.count(QURING_EV_CONNECTED), 0u);
}

/* A client that leaves as soon as it is connected, and of whose datagrams only the first `arrive` did until then:
 * what is missing of its flight goes with the CONNECTION_CLOSE, if there is room for it. */
TEST_F(RealTls, AClientThatLeavesBringsTheRestOfItsFlight)
{
    struct Case {
        size_t names;     /* in the certificate, of 250 bytes */
        unsigned arrive;  /* the first is the ClientHello */
        bool established; /* at the server */
    };
    const Case cases[] = {
        {1, 1, true}, {5, 1, false}, {5, 2, true}, {40, 1, false}, {40, 4, false}};
    for (const Case &c : cases) {
        const pki::Identity identity = LongClient(c.names);
        Policy sp, cp;
        AskForIt(&sp, &cp, identity);
        const Config client = Make(QUIC_CLIENT, cp);
        const Config server = Make(QUIC_SERVER, sp);
        Net net(With(server, client));
        quic_conn *conn = net.connect();
        unsigned n = 0;
        net.filter = [&](Packet &p) { return !p.to_server || n++ < c.arrive; };
        ASSERT_TRUE(net.run_until([&] { return net.client.count(QURING_EV_CONNECTED) == 1; }, kS));
        net.run_for(25 * kMs); /* what arrived is acknowledged */
        ASSERT_GT(n, c.arrive);
        net.filter = nullptr;
        ASSERT_EQ(quic_conn_close(conn, 4711, "that was all"), QUIC_OK);
        net.run_for(5 * kS);
        const quic_counters *counters = quic_endpoint_counters(net.server.ep);
        EXPECT_EQ(counters->conns_established, c.established ? 1u : 0u) << c.names << c.arrive;
        EXPECT_EQ(counters->handshakes_failed, c.established ? 0u : 1u);
        EXPECT_EQ(net.server.close_kind(),
                  c.established ? QURING_CLOSE_PEER_APP : QURING_CLOSE_PEER_TRANSPORT);
        EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 0u);
        EXPECT_EQ(quic_endpoint_conn_count(net.client.ep), 0u);
    }
}

/* RFC 9001 4.7, RFC 8446 4.2.10: a HelloRetryRequest costs a round trip, and the 0-RTT. */
TEST_F(RealTls, H47_HelloRetryRequestRefusesZeroRtt)
{
    Policy sp, cp;
    sp.identity = &server_id_;
    cp.trust = &servers_;
    const Config server = Make(QUIC_SERVER, sp);
    const Config client = Make(QUIC_CLIENT, cp);
    Net net(With(server, client));
    net.serve(&gate_);
    ASSERT_TRUE(net.handshake());
    ASSERT_TRUE(net.run_until([&] { return !net.last_session.empty(); }));
    ASSERT_EQ(quic_conn_close(net.client.conn, 0, nullptr), QUIC_OK);
    net.run_for(10 * kS);
    net.client.events.clear();
    net.server.events.clear();
    net.client.conn = net.server.conn = nullptr;
    /* From now on the server wants a group for which the client sends no key share. */
    const int p384[] = {NID_secp384r1};
    ASSERT_EQ(SSL_CTX_set1_curves(quic_tls_boring_config_ctx(server.get()), p384, 1), 1);
    net.session = net.last_session;
    net.zero_rtt = true;
    const quic_ns began = net.now;
    net.client.conn = net.connect();
    const std::string text(3000, 'h');
    const uint64_t id = net.write(net.client, text);
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
    EXPECT_EQ(net.server.streams[id].bytes, text);
    EXPECT_GE(net.now - began, 4 * net.delay);
    quring_conn_info info;
    quic_conn_get_info(net.server.conn, &info);
    EXPECT_FALSE(info.early_accepted);
    EXPECT_EQ(net.client.count(QURING_EV_EARLY_REJECTED), 1u);
}

/* A server with accepted 0-RTT writes its ticket before the client is done, so there are CRYPTO bytes to
 * send in 1-RTT packets while packets of the client wait for the end of the handshake. Taking them up
 * again must not begin over with each packet that comes in between. */
TEST_F(RealTls, HeldPacketsAreReplayedOnceWithAnEarlyTicket)
{
    Policy sp, cp;
    sp.identity = &server_id_;
    cp.trust = &servers_;
    const Config server = Make(QUIC_SERVER, sp);
    const Config client = Make(QUIC_CLIENT, cp);
    Net net(With(server, client));
    net.serve(&gate_);
    ASSERT_TRUE(net.handshake());
    ASSERT_TRUE(net.run_until([&] { return !net.last_session.empty(); }));
    ASSERT_EQ(quic_conn_close(net.client.conn, 0, nullptr), QUIC_OK);
    net.run_for(10 * kS);
    net.server.events.clear();
    net.server.conn = nullptr;
    net.session = net.last_session;
    net.zero_rtt = true;

    std::vector<Bytes> late_early; /* 0-RTT packets that come later */
    unsigned early = 0;
    unsigned shorts = 0;
    net.filter = [&](Packet &p) {
        if (!p.to_server) {
            return true;
        }
        /* A datagram without its Handshake packets: the client's Finished stays away. */
        Bytes kept;
        size_t at = 0;
        quic_long_header h;
        while (at < p.bytes.size() && quic_header_is_long(p.bytes[at]) &&
               quic_header_decode_long(&h, p.bytes.data() + at, p.bytes.size() - at,
                                       QUIC_VERSIONS_ALL) == QUIC_OK) {
            if (h.type == QUIC_PACKET_0RTT && ++early > 1) {
                late_early.emplace_back(p.bytes.begin() + static_cast<ptrdiff_t>(at),
                                        p.bytes.begin() +
                                            static_cast<ptrdiff_t>(at + h.packet_len));
            } else if (h.type != QUIC_PACKET_HANDSHAKE) {
                kept.insert(kept.end(), p.bytes.begin() + static_cast<ptrdiff_t>(at),
                            p.bytes.begin() + static_cast<ptrdiff_t>(at + h.packet_len));
            }
            at += h.packet_len;
        }
        if (at < p.bytes.size() && !quic_header_is_long(p.bytes[at])) {
            shorts++;
            kept.insert(kept.end(), p.bytes.begin() + static_cast<ptrdiff_t>(at), p.bytes.end());
        }
        p.bytes = kept;
        return !kept.empty();
    };
    net.client.conn = net.connect();
    const std::string text(6000, 'r');
    const uint64_t id = net.write(net.client, text);
    net.run_for(5 * net.delay);
    ASSERT_FALSE(late_early.empty());
    ASSERT_GT(shorts, 0u);
    EXPECT_EQ(net.server.conn, nullptr); /* not complete */
    ASSERT_EQ(net.server.count(QURING_EV_EARLY_READY), 1u);
    for (const Bytes &packet :
         late_early) { /* each drives the handshake, which takes up what waits */
        net.inject(net.server, packet);
    }
    net.filter = nullptr;
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }));
    EXPECT_EQ(net.server.streams[id].bytes, text);
}

/* RFC 9001 8.1, 4.2, 8.2; RFC 8446 4.1.4, 6.2. */
TEST_F(RealTls, H57_WhatTheSidesCannotAgreeOn)
{
    Policy sp, cp;
    sp.identity = &server_id_;
    cp.trust = &servers_;
    const Config server = Make(QUIC_SERVER, sp);
    cp.alpn = "other";
    const Config other = Make(QUIC_CLIENT, cp);
    {
        Net net(With(server, other));
        ASSERT_NE(net.connect(), nullptr);
        ASSERT_TRUE(net.run_until([&] { return net.client.count(QURING_EV_CLOSED) == 1; }));
        EXPECT_EQ(net.client.close_code(), 0x178u); /* no_application_protocol */
        EXPECT_EQ(net.server.close_code(), 0x178u);
    }
    cp.alpn = "sim";
    const Config client = Make(QUIC_CLIENT, cp);
    const int p384[] = {NID_secp384r1};
    const int p521[] = {NID_secp521r1};
    ASSERT_EQ(SSL_CTX_set1_curves(quic_tls_boring_config_ctx(server.get()), p384, 1), 1);
    ASSERT_EQ(SSL_CTX_set1_curves(quic_tls_boring_config_ctx(client.get()), p521, 1), 1);
    {
        Net net(With(server, client)); /* no group in common */
        ASSERT_NE(net.connect(), nullptr);
        ASSERT_TRUE(net.run_until([&] { return net.client.count(QURING_EV_CLOSED) == 1; }));
        EXPECT_EQ(net.client.close_code(), 0x128u); /* handshake_failure */
    }
}

/* RFC 9001 A.2: an Initial whose packet number takes four bytes. */
TEST_F(RealTls, LongPacketNumbersAreUncovered)
{
    Net net([](sim::Options &o) { o.tls = sim::Tls::kBoring; });
    net.inject(net.server, FromHex(rfc9001::kClientInitialPacket));
    const quic_counters *c = quic_endpoint_counters(net.server.ep);
    EXPECT_EQ(c->drop_undecryptable, 0u);
    EXPECT_EQ(c->packets_recv, 1u);
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 1u);
}

/* RFC 9000 5.2.2: what a server says without a connection is protected like any other Initial. */
TEST_F(RealTls, ARefusalIsUnderstood)
{
    Net net([](sim::Options &o) {
        o.tls = sim::Tls::kBoring;
        o.server.limits.connections_max = 1;
    });
    ASSERT_TRUE(net.handshake());
    ASSERT_NE(net.connect(5001), nullptr);
    net.run_for(kS);
    EXPECT_EQ(net.client.close_kind(), QURING_CLOSE_PEER_TRANSPORT);
    EXPECT_EQ(net.client.close_code(), uint64_t{QUIC_V_CONNECTION_REFUSED});
}

} // namespace

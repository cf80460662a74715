/* Strangers and thieves at the door: same Initials from two places, forged and stale stateless resets,
 * amplification (RFC 9000 8.1, 10.3.1, 17.2.5, 21). */
#include <set>

#include <gtest/gtest.h>

#include "quic/wire/header.h"
#include "tests/quic/endpoint/forge.h"
#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"

namespace
{

quic_packet_type type_of(const Bytes &p)
{
    quic_long_header h;
    return quic_header_decode_long(&h, p.data(), p.size(), QUIC_VERSIONS_ALL) == QUIC_OK
               ? h.type
               : QUIC_PACKET_SHORT;
}

/* ---- H65 ------------------------------------------------------------------------------------------------ */

/* RFC 9000 21.9: large packets that bring nothing earn nothing, whatever is large in them: a token, which nobody looks
 * at in the packets of a connection. */
TEST(H65, TokensEarnNothing)
{
    Net net([](sim::Options &o) {
        o.server.limits.glitch_burst = 20;
        o.server.limits.glitch_per_s = 0;
        o.server.limits.udp_payload_max_bytes = 10000;
    });
    net.filter = [](Packet &p) { return p.to_server; };
    ASSERT_NE(net.connect(), nullptr);
    net.run_for(15 * kMs); /* the ClientHello has arrived */
    const quic_counters *counters = quic_endpoint_counters(net.server.ep);
    InitialSpec spec;
    spec.dcid = spec.key_dcid = dcid_of(net.sent[0].bytes);
    spec.scid = scid_of(net.sent[0].bytes);
    spec.frames = Bytes(4, 0x01); /* PING */
    spec.token = Bytes(8000, 't');
    uint64_t taken = 0;
    for (; taken < 100 && counters->closed_excessive == 0; taken++) {
        spec.pn = 100 + taken;
        net.inject(net.server, forge_initial(spec));
    }
    EXPECT_EQ(counters->closed_excessive, 1u);
    EXPECT_GT(taken, 20u);
    EXPECT_LE(taken, 23u);
}

/* ---- H74 ------------------------------------------------------------------------------------------------ */

TEST(H74, OneConnectionForOneFirstInitial)
{
    Net net;
    Bytes first;
    net.filter = [&](Packet &p) {
        first = p.to_server && first.empty() ? p.bytes : first;
        return true;
    };
    ASSERT_NE(net.connect(), nullptr);
    net.run_for(15 * kMs); /* it has arrived */
    net.sent.clear();
    for (uint16_t port = 6000; port < 6010; port++) {
        net.inject(net.server, first, port); /* somebody has copied it */
    }
    net.inject(net.server, first); /* or the network has */
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 1u);
    for (const Packet &p : net.sent) {
        EXPECT_EQ(p.to.port, 5000u) << "to whoever copied the packet";
    }
    ASSERT_TRUE(net.run_until([&] { return net.client.conn != nullptr; }));
}

TEST(H74, EachSourceGetsItsOwnRetry)
{
    Net net([](sim::Options &o) { o.retry = true; });
    Bytes first;
    net.filter = [&](Packet &p) {
        first = p.to_server && first.empty() ? p.bytes : first;
        return p.to_server || p.to.port == 5000; /* the others' answers go elsewhere */
    };
    ASSERT_NE(net.connect(), nullptr);
    net.run_for(kMs);
    net.sent.clear();
    std::set<uint16_t> ports;
    for (uint16_t port = 6000; port < 6010; port++) {
        net.inject(net.server, first, port);
    }
    for (const Packet &p : net.sent) {
        EXPECT_EQ(type_of(p.bytes), QUIC_PACKET_RETRY);
        ports.insert(p.to.port);
    }
    EXPECT_EQ(ports.size(), 10u);
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 0u);
    ASSERT_TRUE(net.run_until([&] { return net.server.conn != nullptr; }));
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 1u);
}

/* The Initial with the Retry token again, from its client and from another port. */
TEST(H74, ATokenThatComesAgainMakesNoSecondConnection)
{
    Net net([](sim::Options &o) { o.retry = true; });
    Bytes with_token;
    net.filter = [&](Packet &p) {
        quic_long_header h;
        if (p.to_server && type_of(p.bytes) == QUIC_PACKET_INITIAL && with_token.empty() &&
            quic_header_decode_long(&h, p.bytes.data(), p.bytes.size(), QUIC_VERSIONS_ALL) ==
                QUIC_OK &&
            h.token_len > 0) {
            with_token = p.bytes;
        }
        return true;
    };
    ASSERT_TRUE(net.handshake());
    net.sent.clear();
    net.inject(net.server, with_token);
    net.inject(net.server, with_token, 6000);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->conns_opened, 1u);
    for (const Packet &p : net.sent) {
        EXPECT_NE(type_of(p.bytes), QUIC_PACKET_RETRY);
    }
}

/* A server that answers every Initial with Retry, tokens or not: the client takes one. */
TEST(H74, AClientDoesNotLoop)
{
    Net net([](sim::Options &o) { o.retry = true; });
    Packet retry;
    net.filter = [&](Packet &p) {
        if (!p.to_server && type_of(p.bytes) == QUIC_PACKET_RETRY) {
            retry = p;
            return true;
        }
        return p.to_server;
    };
    ASSERT_NE(net.connect(), nullptr);
    net.run_for(25 * kMs);
    ASSERT_FALSE(retry.bytes.empty());
    net.filter = nullptr;
    net.restart_server(); /* forgets that it has seen the token; its answers are lost below */
    net.filter = [&](Packet &p) { return p.to_server; };
    std::set<Bytes> tokens;
    for (int i = 0; i < 50; i++) {
        net.sent.clear();
        net.inject(net.client, retry.bytes);
        net.run_for(200 * kMs);
        for (const Packet &p : net.sent) {
            quic_long_header h;
            if (p.to_server && quic_header_decode_long(&h, p.bytes.data(), p.bytes.size(),
                                                       QUIC_VERSIONS_ALL) == QUIC_OK) {
                tokens.insert(Bytes(h.token, h.token + h.token_len));
            }
        }
    }
    EXPECT_EQ(tokens.size(), 1u);
}

/* ---- H77 ------------------------------------------------------------------------------------------------ */

Bytes reset_with(const Bytes &token)
{
    Bytes p(40, 0x55);
    std::copy(token.begin(), token.end(), p.end() - static_cast<ptrdiff_t>(token.size()));
    return p;
}

/* RFC 9000 21.11: 2^128 guesses are too many; a million of them bring nothing. */
TEST(H77, GuessedTokensEndNothing)
{
    Net net;
    ASSERT_TRUE(net.handshake());
    net.run_for(kS);
    net.keep_sent = false;
    quic_rng_seeded_state st{5};
    const quic_rng rng = quic_rng_seeded(&st);
    Bytes guess(16);
    for (int i = 0; i < 20000; i++) {
        quic_rng_fill(&rng, guess.data(), guess.size());
        net.inject(net.client, reset_with(guess));
    }
    EXPECT_EQ(net.client.count(QURING_EV_CLOSED), 0u);
    EXPECT_EQ(quic_endpoint_counters(net.client.ep)->recv_stateless_reset, 0u);
}

/* All tokens but those of connection IDs in use count for nothing, the handshake's after it was retired
 * included. */
TEST(H77, ATokenOfARetiredConnectionIdEndsNothing)
{
    for (const bool retired : {false, true}) {
        Net net;
        ASSERT_TRUE(net.handshake());
        net.run_for(kS);
        net.sent.clear();
        (void)net.write(net.client, "x");
        net.run_for(100 * kMs);
        Bytes dcid;
        for (const Packet &p : net.sent) {
            if (p.to_server && dcid.empty()) {
                dcid.assign(p.bytes.begin() + 1, p.bytes.begin() + 9);
            }
        }
        ASSERT_EQ(dcid.size(), 8u);
        if (retired) {
            ASSERT_TRUE(sim_inspect_rotate_cid(net.client.conn));
            net.run_for(kS);
        }
        /* What the server would have said, had it forgotten the connection: its own reset, which a
         * server with the same secret and no connections makes. */
        Net forgetful;
        Bytes probe(60, 0x41);
        std::copy(dcid.begin(), dcid.end(), probe.begin() + 1);
        forgetful.inject(forgetful.server, probe);
        ASSERT_EQ(forgetful.sent.size(), 1u);
        net.inject(net.client, forgetful.sent[0].bytes);
        EXPECT_EQ(net.client.count(QURING_EV_CLOSED), retired ? 0u : 1u);
    }
}

/* ---- H78 ------------------------------------------------------------------------------------------------ */

/* RFC 9000 8.1: whatever a client that never proves its address sends, it gets no more than three times
 * as much: certificates, probes after timeouts, refusals, invalid tokens, version negotiation. */
TEST(H78, NeverMoreThanThreeTimes)
{
    struct {
        const char *name;
        std::function<void(sim::Options &)> change;
        std::function<void(Bytes &)> spoil;
    } cases[] = {
        {"long flight", [](sim::Options &o) { o.server_flight_len = 16000; }, nullptr},
        {"short flight", [](sim::Options &o) { o.server_flight_len = 200; }, nullptr},
        {"Retry", [](sim::Options &o) { o.retry = true; }, nullptr},
        {"refused", [](sim::Options &o) { o.server.limits.connections_max = 1; }, nullptr},
        {"unknown version", nullptr, [](Bytes &b) { b[1] ^= 0x77; }},
        {"noise", nullptr, [](Bytes &b) { b[b.size() / 2] ^= 1; }},
    };
    for (auto &c : cases) {
        Net net([&](sim::Options &o) {
            if (c.change) {
                c.change(o);
            }
        });
        if (std::string(c.name) == "refused") {
            ASSERT_TRUE(net.handshake());
            net.run_for(kS);
        }
        uint64_t in = 0;
        uint64_t out = 0;
        net.filter = [&](Packet &p) {
            if (!p.to_server) {
                out += p.to.port == 7000 ? p.bytes.size() : 0;
                return p.to.port != 7000;
            }
            if (p.from.port == 7000) {
                if (c.spoil) {
                    c.spoil(p.bytes);
                }
                in += p.bytes.size();
            }
            return true;
        };
        ASSERT_NE(net.connect(7000), nullptr);
        for (int i = 0; i < 300; i++) {
            net.run_for(50 * kMs);
            EXPECT_LE(out, 3 * in) << c.name << " after " << i * 50 << " ms";
        }
        EXPECT_GT(in, 1200u) << c.name;
    }
}

} // namespace

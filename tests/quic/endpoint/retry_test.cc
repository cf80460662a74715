#include <gtest/gtest.h>

#include "quic/crypto/retry.h"
#include "quic/endpoint/admission.h"
#include "quic/wire/header.h"
#include "tests/quic/endpoint/forge.h"
#include "tests/quic/endpoint/net.h"

namespace
{

void with_retry(sim::Options &o)
{
    o.retry = true;
}

quic_packet_type type_of(const Bytes &p)
{
    quic_long_header h;
    return quic_header_decode_long(&h, p.data(), p.size(), QUIC_VERSIONS_ALL) == QUIC_OK
               ? h.type
               : QUIC_PACKET_SHORT;
}

const Packet *find(const Net &net, bool to_server, quic_packet_type type)
{
    for (const Packet &p : net.sent) {
        if (p.to_server == to_server && type_of(p.bytes) == type) {
            return &p;
        }
    }
    return nullptr;
}

/* RFC 9000 8.1.2, 17.2.5 */
TEST(Retry, CostsOneRoundTripAndProvesTheAddress)
{
    Net net(with_retry);
    ASSERT_TRUE(net.handshake());
    EXPECT_EQ(net.now, kS + 50 * kMs);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->sent_retry, 1u);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->conns_opened, 1u);
    quring_conn_info info;
    quic_conn_get_info(net.client.conn, &info);
    EXPECT_TRUE(info.retry_used);
    quic_conn_get_info(net.server.conn, &info);
    EXPECT_TRUE(info.retry_used);
}

TEST(Retry, SurvivesTheLossOfTheRetryOrOfTheSecondInitial)
{
    for (uint64_t lost = 0; lost < 4; lost++) {
        Net net(with_retry);
        uint64_t n = 0;
        net.filter = [&](Packet &) { return n++ != lost; };
        ASSERT_TRUE(net.handshake()) << lost;
    }
}

TEST(Retry, DamagedOneIsIgnored)
{
    Net net(with_retry);
    bool first = true;
    net.filter = [&](Packet &p) {
        if (type_of(p.bytes) == QUIC_PACKET_RETRY && first) {
            first = false;
            p.bytes[p.bytes.size() - 20] ^= 1; /* in the token: the tag does not fit any more */
        }
        return true;
    };
    ASSERT_TRUE(net.handshake());
    EXPECT_GE(quic_endpoint_counters(net.client.ep)->drop_malformed, 1u);
    EXPECT_GT(net.now, kS + 200 * kMs);
}

TEST(Retry, SecondOneIsIgnored)
{
    Net net(with_retry);
    net.filter = [&](Packet &p) {
        return !(p.to_server == false && type_of(p.bytes) != QUIC_PACKET_RETRY);
    };
    ASSERT_NE(net.connect(), nullptr);
    net.run_for(25 * kMs);
    const Packet *retry = find(net, false, QUIC_PACKET_RETRY);
    ASSERT_NE(retry, nullptr);
    uint64_t dropped = quic_endpoint_counters(net.client.ep)->drop_malformed;
    net.inject(net.client, retry->bytes);
    EXPECT_EQ(quic_endpoint_counters(net.client.ep)->drop_malformed, dropped + 1);
}

/* A Retry that answers a client's first Initial. */
Bytes retry_for(const Bytes &initial, const quic_cid &scid, const Bytes &token)
{
    Bytes out(200 + token.size());
    const quic_cid dcid = scid_of(initial);
    const quic_cid original = dcid_of(initial);
    uint8_t tag[QUIC_AEAD_TAG_LEN];
    out.resize(quic_header_encode_retry(out.data(), out.size(), QUIC_VERSION_1, 5, &dcid, &scid,
                                        token.empty() ? tag : token.data(), token.size()));
    EXPECT_EQ(quic_retry_tag_make(tag, QUIC_VERSION_1, &original, out.data(), out.size()), QUIC_OK);
    out.insert(out.end(), tag, tag + sizeof(tag));
    return out;
}

/* RFC 9000 17.2.5.1, 17.2.5.2: without a token, or with the connection ID it answers, it is none. */
TEST(Retry, WithoutAnythingNewIsIgnored)
{
    Net net;
    net.filter = [](Packet &) { return false; };
    ASSERT_NE(net.connect(), nullptr);
    net.run_for(10 * kMs);
    ASSERT_EQ(net.sent.size(), 1u);
    const Bytes first = net.sent[0].bytes;
    const Bytes token = {1, 2, 3, 4};
    const quic_counters *counters = quic_endpoint_counters(net.client.ep);
    const uint64_t dropped = counters->drop_malformed;
    net.inject(net.client, retry_for(first, make_cid(77), Bytes()));
    EXPECT_EQ(counters->drop_malformed, dropped + 1);
    net.inject(net.client, retry_for(first, dcid_of(first), token));
    EXPECT_EQ(counters->drop_malformed, dropped + 2);
    net.inject(net.client, retry_for(first, make_cid(77), token));
    EXPECT_EQ(counters->drop_malformed, dropped + 2) << "the third was one";
    net.run_for(10 * kMs);
    ASSERT_GT(net.sent.size(), 1u);
    const quic_cid now = dcid_of(net.sent.back().bytes);
    const quic_cid wanted = make_cid(77);
    EXPECT_TRUE(quic_cid_equal(&now, &wanted));
}

struct TokenCase {
    const char *name;
    quic_ns wait;  /* before the token comes back */
    uint16_t port; /* it comes from */
    int flip;      /* byte of the token to damage; -1: none */
    uint64_t code; /* CONNECTION_CLOSE; UINT64_MAX: none */
    bool retry_again;
    uint32_t conns;
};

/* RFC 9000 8.1.3: a Retry token that is too old or another client's is INVALID_TOKEN, as the client takes
 * no second Retry; what is no Retry token counts as none. A packet that was damaged proves nothing. */
TEST(Retry, TokenIsGoodOnlyForItsClientAndForAWhile)
{
    const TokenCase cases[] = {
        {"good", 0, 5000, -1, UINT64_MAX, false, 1},
        {"expired", 11 * kS, 5000, -1, QUIC_V_INVALID_TOKEN, false, 0},
        {"from another port", 0, 5001, -1, QUIC_V_INVALID_TOKEN, false, 0},
        {"damaged on its way", 0, 5000, 40, UINT64_MAX, false, 0},
        {"no Retry token", 0, 5000, 0, UINT64_MAX, true, 0},
    };
    for (const TokenCase &c : cases) {
        Net net(with_retry);
        net.filter = [](Packet &p) { return p.to_server || type_of(p.bytes) == QUIC_PACKET_RETRY; };
        ASSERT_NE(net.connect(), nullptr);
        net.filter = [&](Packet &p) {
            quic_long_header h;
            bool second = p.to_server && type_of(p.bytes) == QUIC_PACKET_INITIAL &&
                          quic_header_decode_long(&h, p.bytes.data(), p.bytes.size(),
                                                  QUIC_VERSIONS_ALL) == QUIC_OK &&
                          h.token_len > 0;
            return !second && (p.to_server || type_of(p.bytes) == QUIC_PACKET_RETRY);
        };
        net.run_for(25 * kMs);
        Bytes initial = net.sent.back().bytes;
        quic_long_header h;
        ASSERT_EQ(quic_header_decode_long(&h, initial.data(), initial.size(), QUIC_VERSIONS_ALL),
                  QUIC_OK)
            << c.name;
        ASSERT_GT(h.token_len, 0u) << c.name;
        if (c.flip >= 0) {
            initial[static_cast<size_t>(h.token - initial.data()) + static_cast<size_t>(c.flip)] ^=
                1;
        }
        net.now += c.wait;
        net.sent.clear();
        net.inject(net.server, initial, c.port);
        EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), c.conns) << c.name;
        uint64_t code = UINT64_MAX;
        bool again = false;
        for (const Packet &p : net.sent) {
            Bytes frames = open_initial(p.bytes, dcid_of(initial), true);
            code = close_code_of(frames) != UINT64_MAX ? close_code_of(frames) : code;
            again = again || type_of(p.bytes) == QUIC_PACKET_RETRY;
        }
        EXPECT_EQ(code, c.code) << c.name;
        EXPECT_EQ(again, c.retry_again) << c.name;
    }
}

/* Under a flood of Initials, Retry is demanded by itself. */
TEST(Retry, IsDemandedAboveTheRate)
{
    Net net([](sim::Options &o) { o.server.limits.initials_per_s_retry = 5; });
    for (uint16_t port = 5000; port < 5020; port++) {
        ASSERT_NE(net.connect(port), nullptr);
    }
    ASSERT_TRUE(net.run_until([&] { return net.client.count(QURING_EV_CONNECTED) == 20; }));
    uint64_t retries = quic_endpoint_counters(net.server.ep)->sent_retry;
    EXPECT_GE(retries, 14u);
    EXPECT_LE(retries, 15u);
}

/* RFC 9000 8.1.4: who was sent one token may show it as often as it likes, with packets that cannot be opened: each
 * would cost the keys of its connection ID. */
TEST(H73_Retry, ATokenThatComesWithNoiseBuysFewKeys)
{
    Net net([](sim::Options &o) {
        with_retry(o);
        o.server.limits.initials_per_s_retry = 20;
    });
    Bytes second;
    net.filter = [&](Packet &p) {
        quic_long_header h;
        if (p.to_server &&
            quic_header_decode_long(&h, p.bytes.data(), p.bytes.size(), QUIC_VERSIONS_ALL) ==
                QUIC_OK &&
            h.token_len > 0) {
            second = p.bytes;
            return false;
        }
        return true;
    };
    ASSERT_NE(net.connect(), nullptr);
    net.run_for(25 * kMs);
    ASSERT_FALSE(second.empty());
    const quic_counters *counters = quic_endpoint_counters(net.server.ep);
    second.back() ^= 1;
    for (int i = 0; i < 200; i++) {
        net.inject(net.server, second);
    }
    EXPECT_EQ(counters->drop_undecryptable, QUIC_BROKEN_PER_ADDR_S + 20u);
    EXPECT_EQ(counters->drop_limit, 200u - QUIC_BROKEN_PER_ADDR_S - 20u);
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 0u);
    /* The client itself repeats its Initial, and is not the worse for it. */
    net.filter = nullptr;
    EXPECT_TRUE(net.run_until([&] { return net.client.conn != nullptr; }, 2 * kS));
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 1u);
}

/* Damage is no reason to send a client away: a few packets may be broken, as many as it can repeat in time. */
TEST(H73_Retry, AClientWhoseInitialsAreDamagedStillGetsIn)
{
    for (uint64_t damaged = 1; damaged <= 3; damaged++) {
        Net net([](sim::Options &o) {
            with_retry(o);
            o.server.limits.initials_per_s_retry = 1;
        });
        uint64_t n = 0;
        net.filter = [&](Packet &p) {
            quic_long_header h;
            if (p.to_server &&
                quic_header_decode_long(&h, p.bytes.data(), p.bytes.size(), QUIC_VERSIONS_ALL) ==
                    QUIC_OK &&
                h.token_len > 0 && n++ < damaged) {
                p.bytes.back() ^= 1;
            }
            return true;
        };
        EXPECT_TRUE(net.handshake()) << damaged;
        EXPECT_EQ(quic_endpoint_counters(net.server.ep)->drop_undecryptable, damaged);
    }
}

} // namespace

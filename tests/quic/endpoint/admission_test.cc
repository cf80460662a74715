/* How many strangers get in, who is answered, and Retry under load (RFC 9000 8.1.2, 21.3-21.6). */
#include <vector>

#include <gtest/gtest.h>

#include "quic/endpoint/admission.h"
#include "quic/wire/header.h"
#include "tests/quic/endpoint/forge.h"
#include "tests/quic/endpoint/net.h"
#include "tests/sim/inspect.h"

namespace
{

quic_addr addr(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port = 5000)
{
    quic_addr out{};
    out.family = 4;
    const uint8_t ip[] = {a, b, c, d};
    memcpy(out.ip, ip, sizeof(ip));
    out.port = port;
    return out;
}

class H70 : public testing::Test
{
  protected:
    H70() : adm_(std::make_unique<quic_admission>())
    {
        limits_.connections_max = 100000;
        limits_.half_open_max = 100;
        limits_.initials_per_s_retry = 500;
        Init();
    }
    void Init()
    {
        const uint8_t key[16] = {1};
        quic_admission_init(adm_.get(), &limits_, key);
    }
    /* `count` Initials of strangers spread evenly over `span`; how many of them get each verdict. */
    std::vector<uint32_t> Feed(uint32_t count, quic_ns span, bool validated = false)
    {
        std::vector<uint32_t> verdicts(4);
        for (uint32_t i = 0; i < count; i++) {
            const quic_addr from =
                addr(10, 0, static_cast<uint8_t>(i >> 8), static_cast<uint8_t>(i));
            verdicts[quic_admission_judge(adm_.get(), &from, validated, now_ + span * i / count)]++;
        }
        now_ += span;
        return verdicts;
    }
    void HalfOpen(uint32_t count)
    {
        const quic_addr from = addr(10, 9, 9, 9);
        while (half_open_ < count) {
            quic_admission_opened(adm_.get(), &from, true);
            half_open_++;
        }
        while (half_open_ > count) {
            quic_admission_closed(adm_.get(), &from, true);
            half_open_--;
        }
    }
    std::unique_ptr<quic_admission> adm_;
    quring_limits limits_{};
    quic_ns now_ = 100 * kS;
    uint32_t half_open_ = 0;
};

/* RFC 9000 8.1.4: what one address sends that cannot be opened is no other's fault, and of this second only. */
TEST_F(H70, BrokenInitialsOfOneAddressAreOpenedWithinARate)
{
    const quic_addr bad = addr(10, 0, 0, 1);
    const quic_addr good = addr(10, 0, 0, 2);
    uint32_t opened = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        if (quic_admission_may_open(adm_.get(), &bad, now_)) {
            quic_admission_was_broken(adm_.get(), &bad, now_);
            opened++;
        }
        EXPECT_TRUE(quic_admission_may_open(adm_.get(), &good, now_));
    }
    EXPECT_EQ(opened, QUIC_BROKEN_PER_ADDR_S + limits_.initials_per_s_retry);
    EXPECT_FALSE(quic_admission_may_open_vainly(adm_.get(), now_));
    now_ += QUIC_NS_PER_S;
    for (uint32_t i = 0; i < QUIC_BROKEN_PER_ADDR_S; i++) {
        EXPECT_TRUE(quic_admission_may_open(adm_.get(), &bad, now_));
        quic_admission_was_broken(adm_.get(), &bad, now_);
    }
    Init();
    opened = 0;
    for (uint32_t i = 0; i < 2000; i++) { /* the first second of a clock is one like any other */
        if (quic_admission_may_open(adm_.get(), &bad, 0)) {
            quic_admission_was_broken(adm_.get(), &bad, 0);
            opened++;
        }
    }
    EXPECT_EQ(opened, QUIC_BROKEN_PER_ADDR_S + limits_.initials_per_s_retry);
    limits_.initials_per_s_retry = 0; /* no limit */
    Init();
    for (uint32_t i = 0; i < 2000; i++) {
        quic_admission_was_broken(adm_.get(), &bad, now_);
        EXPECT_TRUE(quic_admission_may_open(adm_.get(), &bad, now_));
    }
}

TEST_F(H70, BelowTheRateNobodyIsAsked)
{
    for (int second = 0; second < 20; second++) {
        EXPECT_EQ(Feed(490, kS)[QUIC_ADMIT], 490u);
    }
    EXPECT_EQ(adm_->load_episodes, 0u);
}

TEST_F(H70, AboveTheRateEverybodyIs)
{
    const std::vector<uint32_t> v = Feed(5000, kS);
    EXPECT_GE(v[QUIC_ADMIT], 500u);
    EXPECT_LE(v[QUIC_ADMIT], 600u); /* a second's worth, and what came meanwhile */
    EXPECT_EQ(v[QUIC_ADMIT] + v[QUIC_ADMIT_RETRY], 5000u);
    EXPECT_EQ(Feed(5000, kS)[QUIC_ADMIT_RETRY], 5000u);
    EXPECT_EQ(Feed(100, kS, true)[QUIC_ADMIT], 100u); /* who proves its address gets in */
    EXPECT_EQ(adm_->load_episodes, 1u);
}

TEST_F(H70, ItEndsAfterFiveCalmSeconds)
{
    (void)Feed(5000, kS);
    for (int second = 0; second < 30; second++) {
        EXPECT_EQ(Feed(300, kS)[QUIC_ADMIT_RETRY], 300u) << second; /* above half of the rate */
    }
    uint32_t asked = 0;
    for (int second = 0; second < 8; second++) {
        asked += Feed(100, kS)[QUIC_ADMIT_RETRY];
    }
    EXPECT_GE(asked, 500u);
    EXPECT_LE(asked, 700u);
    EXPECT_EQ(Feed(400, kS)[QUIC_ADMIT], 400u);
    (void)Feed(5000, kS);
    EXPECT_EQ(adm_->load_episodes, 2u);
}

TEST_F(H70, ABurstAmongTheCalmBeginsTheCountAnew)
{
    (void)Feed(5000, kS);
    for (int i = 0; i < 6; i++) {
        (void)Feed(100, 4 * kS);
        EXPECT_EQ(Feed(300, kS)[QUIC_ADMIT_RETRY], 300u) << i;
    }
}

TEST_F(H70, SilenceIsCalm)
{
    (void)Feed(5000, kS);
    now_ += 10 * kS;
    EXPECT_EQ(Feed(10, kS)[QUIC_ADMIT], 10u);
}

TEST_F(H70, HalfOfTheHalfOpenConnectionsIsLoad)
{
    HalfOpen(49);
    EXPECT_EQ(Feed(10, kS)[QUIC_ADMIT], 10u);
    HalfOpen(50);
    EXPECT_EQ(Feed(10, kS)[QUIC_ADMIT_RETRY], 10u);
    HalfOpen(30); /* not low enough yet */
    for (int second = 0; second < 20; second++) {
        EXPECT_EQ(Feed(10, kS)[QUIC_ADMIT_RETRY], 10u);
    }
    HalfOpen(10);
    (void)Feed(70, 7 * kS);
    EXPECT_EQ(Feed(10, kS)[QUIC_ADMIT], 10u);
}

TEST_F(H70, AllOfThemAndNobodyIsAnswered)
{
    HalfOpen(100);
    EXPECT_EQ(Feed(10, kS)[QUIC_ADMIT_DROP], 10u);
    EXPECT_EQ(Feed(10, kS, true)[QUIC_ADMIT_DROP], 10u);
    HalfOpen(99);
    EXPECT_EQ(Feed(10, kS)[QUIC_ADMIT_RETRY], 10u);
    EXPECT_EQ(Feed(10, kS, true)[QUIC_ADMIT], 10u);
}

/* An address that was at its bound is asked for a token until it has been below for five seconds. Admitted as soon as
 * one of its handshakes is complete, a client that has been sent a Retry, and had repeated its Initial before that
 * arrived, has two connections, one of which stays half-open. */
TEST_F(H70, AnAddressIsNotToldThisAndThatInTurn)
{
    limits_.half_open_per_addr_max = 3;
    Init();
    const quic_addr from = addr(10, 9, 9, 9);
    const quic_addr other = addr(10, 9, 9, 8);
    const auto judge = [this](const quic_addr &who, bool validated = false) {
        return quic_admission_judge(adm_.get(), &who, validated, now_);
    };
    HalfOpen(2);
    EXPECT_EQ(judge(from), QUIC_ADMIT);
    HalfOpen(3);
    EXPECT_EQ(judge(from), QUIC_ADMIT_RETRY);
    EXPECT_EQ(judge(from, true), QUIC_ADMIT_DROP) << "a token makes no room";
    HalfOpen(2);
    EXPECT_EQ(judge(from), QUIC_ADMIT_RETRY);
    EXPECT_EQ(judge(from, true), QUIC_ADMIT);
    EXPECT_EQ(judge(other), QUIC_ADMIT);
    HalfOpen(0);
    for (uint32_t second = 0; second < QUIC_RETRY_CALM_SECONDS; second++) {
        now_ += kS;
        EXPECT_EQ(judge(from), QUIC_ADMIT_RETRY) << second;
    }
    now_ += kS;
    EXPECT_EQ(judge(from), QUIC_ADMIT);
    /* The same long after, whatever number the second has. */
    for (uint32_t hours = 0; hours < 40; hours++) {
        now_ += 3600 * kS;
        EXPECT_EQ(judge(other), QUIC_ADMIT) << hours;
    }
}

TEST_F(H70, OffMeansOff)
{
    limits_.initials_per_s_retry = 0;
    Init();
    EXPECT_EQ(Feed(100000, kS)[QUIC_ADMIT], 100000u);
}

/* The whole endpoint: spoofed Initials, established connections among them. */
TEST_F(H70, AFloodLeavesEstablishedConnectionsAlone)
{
    Net net([](sim::Options &o) {
        o.server.limits.initials_per_s_retry = 50;
        o.server.limits.half_open_max = 64;
    });
    ASSERT_TRUE(net.handshake());
    net.run_for(kS);
    const uint64_t bytes = quic_endpoint_mem(net.server.ep)->used_bytes;
    const std::string data(200000, 'd');
    const uint64_t id = net.write(net.client, data);
    net.keep_sent = false;
    for (uint32_t i = 0; i < 20000; i++) {
        InitialSpec spec;
        spec.dcid = spec.key_dcid = make_cid(0x7777000000000000u + i);
        spec.scid = make_cid(i);
        spec.frames = {0x01};
        net.client.addr.ip[2] = static_cast<uint8_t>(i >> 8);
        net.client.addr.ip[1] = 200;
        net.inject(net.server, forge_initial(spec), static_cast<uint16_t>(1024 + i % 60000));
        net.client.addr.ip[2] = net.client.addr.ip[1] = 0;
        if (i % 10 == 0) {
            net.run_for(QUIC_NS_PER_MS);
        }
    }
    ASSERT_TRUE(net.run_until([&] { return net.server.streams[id].fin; }, 5 * kS));
    EXPECT_EQ(net.server.streams[id].bytes, data);
    quring_conn_info info;
    quic_conn_get_info(net.server.conn, &info);
    EXPECT_EQ(info.packets_lost, 0u);
    const quic_counters &c = *quic_endpoint_counters(net.server.ep);
    EXPECT_EQ(c.load_episodes, 1u);
    EXPECT_GT(c.sent_retry, 10000u);
    EXPECT_LE(c.conns_opened, 1 + 64u); /* 50 before it noticed */
    EXPECT_LE(c.mem_peak_bytes, bytes + 64u * 40000u);
    net.run_for(15 * kS);
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 1u);
}

/* ---- noise ------------------------------------------------------------------------------------------------ */

/* Initials in form that nobody sealed, with lengths, tokens and connection IDs of all kinds: not one byte
 * stays, with and without Retry. */
TEST(H71, MalformedInitialsLeaveNothingBehind)
{
    for (const bool retry : {false, true}) {
        Net net([&](sim::Options &o) { o.retry = retry; });
        quic_rng_seeded_state st{11};
        const quic_rng rng = quic_rng_seeded(&st);
        net.keep_sent = false;
        uint64_t bytes = 0;
        for (int i = 0; i < 30000; i++) {
            Bytes p(1200 + quic_rng_u64(&rng) % 200);
            quic_rng_fill(&rng, p.data(), p.size());
            const uint8_t head[] = {static_cast<uint8_t>(0xc0 | (p[0] & 0x3f)), 0, 0, 0, 1};
            std::copy(head, head + sizeof(head), p.begin());
            p[5] = static_cast<uint8_t>(quic_rng_u64(&rng) % 21);
            if (i % 2 == 0) { /* well formed but for the seal */
                p[0] = 0xc0;
                p[5] = p[14] = 8;
                p[23] = 0;
                p[24] = static_cast<uint8_t>(0x40 | (p.size() - 26) >> 8);
                p[25] = static_cast<uint8_t>(p.size() - 26);
            }
            net.inject(net.server, p);
            net.now += QUIC_NS_PER_US;
            if (i == 10000) {
                bytes = net.server.alloc.bytes();
            }
        }
        EXPECT_EQ(net.server.alloc.bytes(), bytes);
        EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 0u);
        const quic_counters &c = *quic_endpoint_counters(net.server.ep);
        EXPECT_EQ(c.conns_opened, 0u);
        EXPECT_GE(retry ? c.sent_retry : c.drop_undecryptable, 15000u);
    }
}

/* ---- stateless resets ---------------------------------------------------------------------------------- */

Bytes short_packet(size_t len, uint8_t tag)
{
    Bytes p(len, 0x41);
    if (len > 3) {
        p[3] = tag;
    }
    return p;
}

/* RFC 9000 10.3, 10.3.3 */
TEST(H76, AResetIsShorterThanWhatProvokedIt)
{
    for (size_t len = 1; len < 120; len++) {
        Net net;
        net.inject(net.server, short_packet(len, 1));
        ASSERT_EQ(net.sent.size(), len > 21 ? 1u : 0u) << len;
        if (len > 21) {
            EXPECT_LT(net.sent[0].bytes.size(), len);
            EXPECT_GE(net.sent[0].bytes.size(), 21u);
        }
    }
}

TEST(H76, TwoEndpointsThatResetEachOtherStop)
{
    Net net;
    Bytes p = short_packet(1200, 1);
    int rounds = 0;
    for (; !p.empty() && rounds < 100; rounds++) {
        net.sent.clear();
        net.inject(rounds % 2 == 0 ? net.server : net.client, p);
        p = net.sent.empty() ? Bytes() : net.sent[0].bytes;
    }
    EXPECT_LE(rounds, 24); /* 1200, 42, 41, ... 22, 21 */
}

TEST(H76, TenASecondToOneNetwork)
{
    Net net([](sim::Options &o) {
        o.server.limits.stateless_resets_per_addr_s = 10;
        o.server.limits.stateless_resets_per_s = 1000;
    });
    for (int second = 0; second < 3; second++) {
        net.sent.clear();
        for (int i = 0; i < 300; i++) {
            net.inject(net.server, short_packet(60, static_cast<uint8_t>(i)),
                       static_cast<uint16_t>(2000 + i));
        }
        EXPECT_EQ(net.sent.size(), 10u);
        net.client.addr.ip[2] = 1; /* another network */
        net.inject(net.server, short_packet(60, 1));
        EXPECT_EQ(net.sent.size(), 11u);
        net.client.addr.ip[2] = 0;
        net.now += kS;
    }
}

/* ---- who is answered ------------------------------------------------------------------------------------ */

/* RFC 9000 21.5.6 */
TEST(H79, NoAnswerToPortsAndAddressesNoClientHas)
{
    const uint16_t blocked[] = {0, 17, 19, 53, 111, 123, 137, 138, 161, 389, 500};
    Net net;
    InitialSpec spec;
    spec.dcid = spec.key_dcid = make_cid(0x7777000000000001u);
    spec.scid = make_cid(1);
    spec.frames = {0x01};
    Bytes unknown = forge_initial(spec);
    unknown[1] = 0x7a; /* of a version nobody speaks */
    for (const uint16_t port : blocked) {
        net.inject(net.server, forge_initial(spec), port);
        net.inject(net.server, unknown, port);
        net.inject(net.server, short_packet(60, 1), port);
    }
    EXPECT_TRUE(net.sent.empty());
    EXPECT_EQ(quic_endpoint_conn_count(net.server.ep), 0u);
    EXPECT_EQ(quic_endpoint_counters(net.server.ep)->drop_forged_source, 33u);
    const quic_addr real = net.client.addr;
    for (const quic_addr &from : {addr(224, 0, 0, 1), addr(239, 255, 255, 250), addr(0, 0, 0, 0),
                                  addr(255, 255, 255, 255), net.server.addr}) {
        net.client.addr = from;
        net.inject(net.server, unknown, from.port);
        net.inject(net.server, short_packet(60, 1), from.port);
    }
    net.client.addr = real;
    EXPECT_TRUE(net.sent.empty());
    net.inject(net.server, unknown);
    EXPECT_EQ(net.sent.size(), 1u);
}

TEST(H79, FewAnswersToPortsSomeClientMayHave)
{
    for (const uint16_t port : {1900, 3702, 5353, 5355, 11211}) {
        Net net;
        for (int i = 0; i < 200; i++) {
            net.inject(net.server, short_packet(60, static_cast<uint8_t>(i)), port);
        }
        EXPECT_EQ(net.sent.size(), 10u);
        net.now += kS;
        ASSERT_NE(net.connect(port), nullptr);
        EXPECT_TRUE(net.run_until([&] { return net.client.conn != nullptr; }));
    }
}

} // namespace

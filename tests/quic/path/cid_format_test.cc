#include <set>
#include <string>

#include <gtest/gtest.h>

#include "quic/path/cid_format.h"

namespace
{

quic_cid_format_config lb_config(uint8_t server_id_len, uint8_t nonce_len, bool has_key,
                                 bool encodes_len = false)
{
    quic_cid_format_config c{};
    c.has_lb = true;
    c.lb.config_id = 3;
    c.lb.server_id_len = server_id_len;
    c.lb.nonce_len = nonce_len;
    c.lb.has_key = has_key;
    c.lb.encodes_len = encodes_len;
    for (uint8_t i = 0; i < 16; i++) {
        c.lb.key[i] = static_cast<uint8_t>(i * 11 + 1);
    }
    for (uint8_t i = 0; i < server_id_len && i < sizeof(c.server_id); i++) {
        c.server_id[i] = static_cast<uint8_t>(0xa0 + i);
    }
    return c;
}

class CidFormat : public testing::Test
{
  protected:
    void Init(const quic_cid_format_config &config, uint8_t worker = 0, uint8_t count = 1)
    {
        config_ = config;
        ASSERT_EQ(quic_cid_format_init(&format_, &config, worker, count), QUIC_OK);
        nonce_ = 0;
    }
    quic_cid Make(bool is_server = true)
    {
        quic_cid cid;
        quic_cid_format_make(&format_, &cid, is_server, &nonce_, &rng_, wall_);
        return cid;
    }
    /* What a load balancer makes of it: the server ID; the nonce too. */
    std::string Route(const quic_cid &cid, std::string *nonce = nullptr)
    {
        quic_cid_lb lb;
        uint8_t server_id[19];
        uint8_t n[19];
        EXPECT_EQ(quic_cid_lb_init(&lb, &config_.lb), QUIC_OK);
        if (quic_cid_lb_decode(&lb, cid.bytes, cid.len, server_id, n) != QUIC_OK) {
            return "";
        }
        if (nonce != nullptr) {
            nonce->assign(reinterpret_cast<const char *>(n), config_.lb.nonce_len);
        }
        return std::string(reinterpret_cast<const char *>(server_id), config_.lb.server_id_len);
    }
    std::string ServerId() const
    {
        return std::string(reinterpret_cast<const char *>(config_.server_id),
                           config_.lb.server_id_len);
    }

    quic_cid_format_config config_{};
    quic_cid_format format_{};
    uint64_t nonce_ = 0;
    quic_rng_seeded_state state_{7};
    quic_rng rng_ = quic_rng_seeded(&state_);
    quic_ns wall_ = 1790000000ull * QUIC_NS_PER_S;
};

TEST_F(CidFormat, EveryWorkerNamesItself)
{
    const quic_cid_format_config configs[] = {{},
                                              lb_config(1, 4, false),
                                              lb_config(2, 5, true),
                                              lb_config(8, 8, true),
                                              lb_config(3, 16, true),
                                              lb_config(15, 4, false, true)};
    for (const quic_cid_format_config &c : configs) {
        for (const uint8_t count : {1, 2, 3, 16, 64}) {
            for (uint8_t worker = 0; worker < count; worker = static_cast<uint8_t>(worker + 5)) {
                Init(c, worker, count);
                std::set<uint8_t> lasts;
                for (int i = 0; i < 40; i++) {
                    for (const bool is_server : {false, true}) {
                        const quic_cid cid = Make(is_server);
                        ASSERT_EQ(cid.len, quic_cid_format_len(&c));
                        ASSERT_GE(cid.len, 8);
                        ASSERT_EQ(quic_cid_format_worker(cid.bytes, cid.len, count), worker);
                        lasts.insert(cid.bytes[cid.len - 1]);
                    }
                }
                EXPECT_GE(lasts.size(), 2u);
            }
        }
    }
}

TEST_F(CidFormat, PlainOnesAreRandom)
{
    Init({});
    std::set<std::string> seen;
    for (int i = 0; i < 1000; i++) {
        const quic_cid cid = Make();
        EXPECT_EQ(cid.len, 8);
        seen.emplace(reinterpret_cast<const char *>(cid.bytes), cid.len);
    }
    EXPECT_EQ(seen.size(), 1000u);
}

/* draft-ietf-quic-load-balancers 5.2 */
TEST_F(CidFormat, ALoadBalancerFindsTheServer)
{
    for (const bool has_key : {false, true}) {
        for (uint8_t server_id_len = 1; server_id_len <= 15; server_id_len++) {
            for (uint8_t nonce_len = 4; server_id_len + nonce_len <= 19; nonce_len++) {
                Init(lb_config(server_id_len, nonce_len, has_key), 2, 5);
                for (int i = 0; i < 5; i++) {
                    const quic_cid cid = Make();
                    ASSERT_EQ(quic_cid_lb_config_of(cid.bytes[0]), 3);
                    ASSERT_EQ(Route(cid), ServerId()) << +server_id_len << " " << +nonce_len;
                }
            }
        }
    }
}

/* Section 3.3; 5.4: octets a server adds are part of the length. */
TEST_F(CidFormat, TheFirstOctetTellsTheLengthOrNothing)
{
    for (const uint8_t nonce_len : {4, 9}) {
        Init(lb_config(2, nonce_len, true, true));
        EXPECT_EQ(Make().bytes[0], 3u << 5 | (quic_cid_format_len(&config_) - 1u));
        Init(lb_config(2, nonce_len, true, false));
        std::set<uint8_t> firsts;
        for (int i = 0; i < 200; i++) {
            firsts.insert(Make().bytes[0]);
        }
        EXPECT_GT(firsts.size(), 20u);
    }
}

/* Section 9.6: with a key no nonce comes twice: of all workers, and after a restart. */
TEST_F(CidFormat, NoncesNeverRepeat)
{
    for (const uint8_t nonce_len : {4, 5, 7, 8, 16}) {
        std::set<std::string> seen;
        size_t made = 0;
        for (int run = 0; run < 4; run++) {
            for (uint8_t worker = 0; worker < 3; worker++) {
                Init(lb_config(3, nonce_len, true), worker, 3);
                for (int i = 0; i < 100; i++, made++) {
                    std::string nonce;
                    ASSERT_EQ(Route(Make(), &nonce), ServerId());
                    EXPECT_TRUE(seen.insert(nonce).second) << +nonce_len << " run " << run;
                    wall_ += QUIC_NS_PER_US;
                }
            }
            wall_ += 60 * QUIC_NS_PER_S; /* down for a minute */
        }
        EXPECT_EQ(seen.size(), made);
    }
}

/* The number stands at the end of the nonce, whole. */
TEST_F(CidFormat, NoncesAreNumbers)
{
    for (const uint8_t nonce_len : {4, 8, 12}) {
        Init(lb_config(3, nonce_len, true), 2, 3);
        std::string nonce;
        ASSERT_EQ(Route(Make(), &nonce), ServerId());
        uint64_t number = 0;
        for (const char octet : nonce) {
            number = number << 8 | static_cast<uint8_t>(octet);
        }
        const uint64_t mask = nonce_len < 8 ? (1ull << 8 * nonce_len) - 1 : UINT64_MAX;
        EXPECT_EQ(number, nonce_ & mask) << +nonce_len;
    }
}

/* Section 9.6: who comes back counts on, also within the second. */
TEST_F(CidFormat, NumbersFollowTheClock)
{
    for (const uint8_t nonce_len : {5, 8}) {
        uint64_t last = 0;
        for (int i = 0; i < 20; i++) {
            Init(lb_config(3, nonce_len, true), 1, 3);
            (void)Make();
            EXPECT_GT(nonce_, last) << +nonce_len << " run " << i;
            last = nonce_;
            wall_ += QUIC_NS_PER_S / 7;
        }
    }
}

TEST_F(CidFormat, AClockSetBackRepeatsNothingWhileTheServerRuns)
{
    Init(lb_config(3, 8, true), 1, 4);
    std::set<std::string> seen;
    for (int i = 0; i < 500; i++) {
        std::string nonce;
        (void)Route(Make(), &nonce);
        EXPECT_TRUE(seen.insert(nonce).second);
        wall_ -= i % 7 == 0 ? 3 * QUIC_NS_PER_S : 0;
    }
}

/* Section 5.4: plaintext nonces have nothing in common. */
TEST_F(CidFormat, PlaintextNoncesAreRandom)
{
    Init(lb_config(3, 8, false));
    std::set<char> firsts;
    std::string nonce;
    for (int i = 0; i < 200; i++) {
        (void)Route(Make(), &nonce);
        firsts.insert(nonce[0]);
    }
    EXPECT_GT(firsts.size(), 60u);
}

/* A client's connection IDs are nobody's business. */
TEST_F(CidFormat, AClientsSayNothing)
{
    Init(lb_config(8, 8, false));
    int routed = 0;
    for (int i = 0; i < 2000; i++) {
        routed += Route(Make(false)) == ServerId() ? 1 : 0;
    }
    EXPECT_EQ(routed, 0);
}

TEST_F(CidFormat, NamesTheProcessWhereSeveralShareAnAddress)
{
    Init({}, 1, 3);
    uint8_t process = 0;
    quic_cid_format_set_process(&format_, 200);
    std::set<std::string> seen;
    int of_clients = 0;
    for (int i = 0; i < 2000; i++) {
        const quic_cid cid = Make();
        EXPECT_TRUE(quic_cid_format_process(cid.bytes, cid.len, &process));
        EXPECT_EQ(200, process);
        EXPECT_EQ(1, quic_cid_format_worker(cid.bytes, cid.len, 3));
        seen.emplace(reinterpret_cast<const char *>(cid.bytes), cid.len);
        const quic_cid client = Make(false);
        of_clients += quic_cid_format_process(client.bytes, client.len, &process) ? 1 : 0;
    }
    EXPECT_EQ(2000u, seen.size());
    EXPECT_LT(of_clients, 40) << "RFC 9000 5.1: nothing there to know a client by";
}

TEST_F(CidFormat, LoadBalancersOctetsAreNotTaken)
{
    Init(lb_config(8, 8, false));
    quic_cid_format_set_process(&format_, 5);
    for (int i = 0; i < 100; i++) {
        EXPECT_EQ(Route(Make()), ServerId());
    }
    EXPECT_FALSE(format_.has_process);
}

TEST_F(CidFormat, RefusesImpossibleConfigurations)
{
    for (const auto &c : {lb_config(0, 8, false), lb_config(16, 3, false), lb_config(1, 3, true),
                          lb_config(12, 8, true)}) {
        EXPECT_EQ(quic_cid_format_init(&format_, &c, 0, 1), QUIC_E_INVAL);
    }
    quic_cid_format_config c = lb_config(1, 8, false);
    c.lb.config_id = 7;
    EXPECT_EQ(quic_cid_format_init(&format_, &c, 0, 1), QUIC_E_INVAL);
}

} // namespace

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "quic/base/rng.h"
#include "quic/path/cid_lb.h"

namespace
{

using Bytes = std::vector<uint8_t>;

Bytes unhex(const std::string &s)
{
    Bytes out;
    for (size_t i = 0; i + 1 < s.size(); i += 2) {
        out.push_back(static_cast<uint8_t>(std::stoi(s.substr(i, 2), nullptr, 16)));
    }
    return out;
}

quic_cid_lb_config make_config(uint8_t id, size_t server_id_len, size_t nonce_len,
                               const std::string &key)
{
    quic_cid_lb_config c = {};
    c.config_id = id;
    c.server_id_len = static_cast<uint8_t>(server_id_len);
    c.nonce_len = static_cast<uint8_t>(nonce_len);
    c.encodes_len = true;
    c.has_key = !key.empty();
    if (c.has_key) {
        Bytes k = unhex(key);
        memcpy(c.key, k.data(), sizeof(c.key));
    }
    return c;
}

struct Vector {
    uint8_t config_id;
    const char *server_id;
    const char *nonce;
    const char *cid;
    const char *key;
};

/* draft-ietf-quic-load-balancers, section 5.4.2.4 and appendix B. Two rows of the appendix are printed
 * with a damaged first octet; here it is what configuration and length make it. */
const Vector kVectors[] = {
    {0, "c4605e", "4504cc4f", "07c4605e4504cc4f", ""},
    {1, "350d28b420", "03487d970b", "2a350d28b42003487d970b", ""},
    {0, "ed793a", "ee080dbf", "0720b1d07b359d3c", "8f95f09245765f80256934e50c66207f"},
    {1, "ed793a51d49b8f5fab65", "ee080dbf48", "2fcc381bc74cb4fbad2823a3d1f8fed2",
     "8f95f09245765f80256934e50c66207f"},
    {2, "ed793a51d49b8f5f", "ee080dbf48c0d1e5", "504dd2d05a7b0de9b2b9907afb5ecf8cc3",
     "8f95f09245765f80256934e50c66207f"},
    {3, "ed793a51d49b8f5fab", "ee080dbf48c0d1e55d", "725779c9cc86beb3a3a4a3ca96fce4bfe0cdbc",
     "8f95f09245765f80256934e50c66207f"},
    {0, "31441a", "9c69c275", "0767947d29be054a", "fdf726a9893ec05c0632d3956680baf0"},
};

TEST(CidLb, AgreesWithTheDraft)
{
    for (const Vector &vec : kVectors) {
        Bytes server_id = unhex(vec.server_id);
        Bytes nonce = unhex(vec.nonce);
        Bytes want = unhex(vec.cid);
        quic_cid_lb_config config =
            make_config(vec.config_id, server_id.size(), nonce.size(), vec.key);
        quic_cid_lb lb;
        ASSERT_EQ(quic_cid_lb_init(&lb, &config), QUIC_OK);
        quic_cid cid;
        quic_cid_lb_encode(&lb, &cid, server_id.data(), nonce.data(), 0);
        EXPECT_EQ(Bytes(cid.bytes, cid.bytes + cid.len), want) << vec.cid;
        EXPECT_EQ(quic_cid_lb_len(&lb), want.size());
        Bytes got_id(server_id.size());
        Bytes got_nonce(nonce.size());
        ASSERT_EQ(
            quic_cid_lb_decode(&lb, want.data(), want.size(), got_id.data(), got_nonce.data()),
            QUIC_OK);
        EXPECT_EQ(got_id, server_id);
        EXPECT_EQ(got_nonce, nonce);
    }
}

TEST(CidLb, EveryLengthComesBack)
{
    quic_rng_seeded_state state = {3};
    quic_rng rng = quic_rng_seeded(&state);
    for (size_t id_len = 1; id_len <= 15; id_len++) {
        for (size_t nonce_len = 4; id_len + nonce_len <= QUIC_CID_LB_PLAIN_MAX; nonce_len++) {
            for (const char *key : {"", "000102030405060708090a0b0c0d0e0f"}) {
                quic_cid_lb_config config = make_config(5, id_len, nonce_len, key);
                config.encodes_len = false;
                quic_cid_lb lb;
                ASSERT_EQ(quic_cid_lb_init(&lb, &config), QUIC_OK);
                Bytes id(id_len);
                quic_rng_fill(&rng, id.data(), id.size());
                Bytes nonce(nonce_len);
                quic_rng_fill(&rng, nonce.data(), nonce.size());
                quic_cid cid;
                quic_cid_lb_encode(&lb, &cid, id.data(), nonce.data(), 0x1f);
                EXPECT_EQ(quic_cid_lb_config_of(cid.bytes[0]), 5);
                Bytes got(id_len);
                ASSERT_EQ(quic_cid_lb_decode(&lb, cid.bytes, cid.len, got.data(), nullptr),
                          QUIC_OK);
                EXPECT_EQ(got, id);
            }
        }
    }
}

TEST(CidLb, BadConfigurationsAreRefused)
{
    quic_cid_lb lb;
    quic_cid_lb_config c = make_config(0, 3, 4, "");
    EXPECT_EQ(quic_cid_lb_init(&lb, &c), QUIC_OK);
    c = make_config(6, 3, 4, ""); /* section 3.1: 7 is for those without a configuration */
    EXPECT_EQ(quic_cid_lb_init(&lb, &c), QUIC_OK);
    c = make_config(7, 3, 4, "");
    EXPECT_EQ(quic_cid_lb_init(&lb, &c), QUIC_E_INVAL);
    c = make_config(0, 0, 4, "");
    EXPECT_EQ(quic_cid_lb_init(&lb, &c), QUIC_E_INVAL);
    c = make_config(0, 3, 3, "");
    EXPECT_EQ(quic_cid_lb_init(&lb, &c), QUIC_E_INVAL);
    c = make_config(0, 10, 10, "");
    EXPECT_EQ(quic_cid_lb_init(&lb, &c), QUIC_E_INVAL);
}

TEST(CidLb, WhatIsNotItsOwnIsUnroutable)
{
    quic_cid_lb lb;
    quic_cid_lb_config c = make_config(2, 3, 4, "");
    ASSERT_EQ(quic_cid_lb_init(&lb, &c), QUIC_OK);
    Bytes cid = unhex("47c4605e4504cc4f");
    uint8_t id[3];
    EXPECT_EQ(quic_cid_lb_decode(&lb, cid.data(), cid.size(), id, nullptr), QUIC_OK);
    EXPECT_EQ(quic_cid_lb_decode(&lb, cid.data(), cid.size() - 1, id, nullptr), QUIC_E_DROP);
    EXPECT_EQ(quic_cid_lb_decode(&lb, cid.data(), 0, id, nullptr), QUIC_E_DROP);
    cid[0] = 0x27;
    EXPECT_EQ(quic_cid_lb_decode(&lb, cid.data(), cid.size(), id, nullptr), QUIC_E_DROP);
    cid[0] = QUIC_CID_LB_UNROUTABLE << 5 | 7; /* section 3.2 */
    EXPECT_EQ(quic_cid_lb_decode(&lb, cid.data(), cid.size(), id, nullptr), QUIC_E_DROP);
}

} // namespace

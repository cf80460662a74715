#include <set>
#include <string>

#include <gtest/gtest.h>

#include "quic/crypto/reset_token.h"
#include "quic/crypto/retry.h"
#include "quic/crypto/token.h"
#include "tests/quic/crypto/crypto_test_util.h"
#include "tests/quic/crypto/rfc9001_vectors.h"
#include "tests/quic/crypto/rfc9369_vectors.h"

namespace
{

using crypto_test::Bytes;
using crypto_test::Hex;
using crypto_test::TestRng;
using crypto_test::Unhex;

constexpr quic_ns kLifetime = 10 * QUIC_NS_PER_S;

quic_cid Cid(const char *hex)
{
    quic_cid cid = {};
    const Bytes bytes = Unhex(hex);
    quic_cid_set(&cid, bytes.data(), bytes.size());
    return cid;
}

quic_addr Addr(uint8_t last, uint16_t port)
{
    quic_addr a = {};
    a.family = 4;
    a.ip[0] = 192;
    a.ip[3] = last;
    a.port = port;
    return a;
}

class Token : public ::testing::Test
{
  protected:
    Token() : rng_(1), odcid_(Cid("8394c8f03e515708")), scid_(Cid("f067a5502a4262b5"))
    {
        const Bytes root(32, 0x42);
        quic_token_keys_derive(&keys_, root.data());
        client_ = Addr(1, 5000);
        token_.resize(QUIC_TOKEN_RETRY_LEN);
        EXPECT_EQ(quic_token_retry_make(&keys_, token_.data(), rng_.get(), &client_, QUIC_VERSION_1,
                                        &odcid_, &scid_, 1000),
                  QUIC_OK);
    }
    quic_rc Open(const Bytes &token, const quic_addr &client, quic_ns now)
    {
        return quic_token_retry_open(&keys_, &out_, token.data(), token.size(), &client,
                                     QUIC_VERSION_1, kLifetime, now);
    }
    TestRng rng_;
    quic_token_keys keys_;
    quic_cid odcid_, scid_;
    quic_addr client_;
    Bytes token_;
    quic_token_retry out_ = {};
};

TEST_F(Token, CarriesWhatItWasMadeWith)
{
    ASSERT_EQ(Open(token_, client_, 2000), QUIC_OK);
    EXPECT_TRUE(quic_cid_equal(&out_.original_dcid, &odcid_));
    EXPECT_TRUE(quic_cid_equal(&out_.retry_scid, &scid_));
    EXPECT_EQ(out_.issued, 1000u);
}

TEST_F(Token, H114_AnotherWorkerWithTheSameRootOpensIt)
{
    const Bytes root(32, 0x42);
    quic_token_keys again;
    quic_token_keys_derive(&again, root.data());
    keys_ = again;
    EXPECT_EQ(Open(token_, client_, 2000), QUIC_OK);
    const Bytes other(32, 0x43);
    quic_token_keys_derive(&keys_, other.data());
    EXPECT_EQ(Open(token_, client_, 2000), QUIC_V_INVALID_TOKEN);
}

TEST_F(Token, LongestAndShortestCidsFit)
{
    quic_cid empty = {};
    quic_cid longest = Cid("000102030405060708090a0b0c0d0e0f10111213");
    ASSERT_EQ(quic_token_retry_make(&keys_, token_.data(), rng_.get(), &client_, QUIC_VERSION_1,
                                    &longest, &empty, 5),
              QUIC_OK);
    ASSERT_EQ(Open(token_, client_, 5), QUIC_OK);
    EXPECT_TRUE(quic_cid_equal(&out_.original_dcid, &longest));
    EXPECT_EQ(out_.retry_scid.len, 0);
}

/* RFC 9000 8.1.2, 8.1.4 */
TEST_F(Token, ExpiresExactlyAfterItsLifetime)
{
    EXPECT_EQ(Open(token_, client_, 1000 + kLifetime), QUIC_OK);
    EXPECT_EQ(Open(token_, client_, 1001 + kLifetime), QUIC_V_INVALID_TOKEN);
}

/* Another machine's clock may be a little behind. */
TEST_F(Token, H118_MayBeFromALittleInTheFuture)
{
    const quic_ns issued = 100 * QUIC_NS_PER_S;
    ASSERT_EQ(quic_token_retry_make(&keys_, token_.data(), rng_.get(), &client_, QUIC_VERSION_1,
                                    &odcid_, &scid_, issued),
              QUIC_OK);
    EXPECT_EQ(Open(token_, client_, issued - QUIC_TOKEN_SKEW_NS), QUIC_OK);
    EXPECT_EQ(Open(token_, client_, issued - QUIC_TOKEN_SKEW_NS - 1), QUIC_V_INVALID_TOKEN);
}

TEST_F(Token, RefusesAnotherAddressOrPort)
{
    EXPECT_EQ(Open(token_, Addr(2, 5000), 2000), QUIC_V_INVALID_TOKEN);
    EXPECT_EQ(Open(token_, Addr(1, 5001), 2000), QUIC_V_INVALID_TOKEN);
    quic_addr v6 = client_;
    v6.family = 6;
    EXPECT_EQ(Open(token_, v6, 2000), QUIC_V_INVALID_TOKEN);
}

/* RFC 9369 5 */
TEST_F(Token, RefusesAnotherVersion)
{
    EXPECT_EQ(quic_token_retry_open(&keys_, &out_, token_.data(), token_.size(), &client_,
                                    QUIC_VERSION_1 + 1, kLifetime, 2000),
              QUIC_V_INVALID_TOKEN);
}

TEST_F(Token, RefusesEveryBitFlipAndEveryOtherSize)
{
    for (size_t bit = 0; bit < token_.size() * 8; bit++) {
        Bytes bad = token_;
        bad[bit / 8] = static_cast<uint8_t>(bad[bit / 8] ^ (1u << (bit % 8)));
        EXPECT_EQ(Open(bad, client_, 2000),
                  bit < 8 ? quic_rc{QUIC_E_DROP} : quic_rc{QUIC_V_INVALID_TOKEN})
            << bit;
    }
    for (size_t len = 0; len < token_.size() + 3; len++) {
        Bytes other = token_;
        other.resize(len);
        if (len != token_.size()) {
            EXPECT_EQ(Open(other, client_, 2000), QUIC_E_DROP) << len;
        }
    }
    EXPECT_EQ(out_.issued, 0u) << "outputs are written on success only";
}

TEST_F(Token, TwoTokensDiffer)
{
    Bytes other(QUIC_TOKEN_RETRY_LEN);
    ASSERT_EQ(quic_token_retry_make(&keys_, other.data(), rng_.get(), &client_, QUIC_VERSION_1,
                                    &odcid_, &scid_, 1000),
              QUIC_OK);
    EXPECT_NE(other, token_);
}

TEST_F(Token, OpensWithThePreviousRootSecret)
{
    quic_token_keys_rotate(&keys_, Bytes(32, 0x43).data());
    EXPECT_EQ(Open(token_, client_, 2000), QUIC_OK);
    Bytes fresh(QUIC_TOKEN_RETRY_LEN);
    ASSERT_EQ(quic_token_retry_make(&keys_, fresh.data(), rng_.get(), &client_, QUIC_VERSION_1,
                                    &odcid_, &scid_, 1500),
              QUIC_OK);
    EXPECT_EQ(Open(fresh, client_, 2000), QUIC_OK);
    quic_token_keys_rotate(&keys_, Bytes(32, 0x44).data());
    EXPECT_EQ(Open(fresh, client_, 2000), QUIC_OK);
    EXPECT_EQ(Open(token_, client_, 2000), QUIC_V_INVALID_TOKEN) << "two rotations ago";
    quic_token_keys_derive(&keys_, Bytes(32, 0x44).data());
    EXPECT_EQ(Open(fresh, client_, 2000), QUIC_V_INVALID_TOKEN) << "no previous one";
}

/* RFC 9000 8.1.3 */
class NewToken : public ::testing::Test
{
  protected:
    NewToken() : rng_(2), client_(Addr(1, 5000)), token_(Make())
    {
    }
    Bytes Make()
    {
        if (!derived_) {
            quic_token_keys_derive(&keys_, Bytes(32, 0x42).data());
            derived_ = true;
        }
        Bytes token(QUIC_TOKEN_NEW_LEN);
        EXPECT_EQ(quic_token_new_make(&keys_, token.data(), rng_.get(), &client_, 1, 1000),
                  QUIC_OK);
        return token;
    }
    quic_rc Open(const Bytes &token, const quic_addr &client, quic_ns now, uint32_t version = 1)
    {
        return quic_token_new_open(&keys_, &out_, token.data(), token.size(), &client, version,
                                   kLifetime, now);
    }
    bool derived_ = false;
    TestRng rng_;
    quic_token_keys keys_;
    quic_addr client_;
    Bytes token_;
    quic_token_new out_ = {};
};

TEST_F(NewToken, IsBoundToTheAddressButNotToThePort)
{
    ASSERT_EQ(Open(token_, client_, 2000), QUIC_OK);
    EXPECT_EQ(out_.issued, 1000u);
    EXPECT_EQ(Open(token_, Addr(1, 6000), 2000), QUIC_OK);
    EXPECT_EQ(Open(token_, Addr(2, 5000), 2000), QUIC_E_STATE);
    quic_addr v6 = client_;
    v6.family = 6;
    EXPECT_EQ(Open(token_, v6, 2000), QUIC_E_STATE);
}

TEST_F(NewToken, ExpiresAndBelongsToAVersion)
{
    EXPECT_EQ(Open(token_, client_, 1000 + kLifetime), QUIC_OK);
    EXPECT_EQ(Open(token_, client_, 1001 + kLifetime), QUIC_E_STATE);
    EXPECT_EQ(Open(token_, client_, 2000, 0x6b3343cf), QUIC_E_STATE); /* RFC 9369 5 */
}

TEST_F(NewToken, EachHasItsOwnId)
{
    std::set<std::string> ids;
    std::set<Bytes> tokens;
    for (int i = 0; i < 100; i++) {
        const Bytes token = Make();
        ASSERT_EQ(Open(token, client_, 2000), QUIC_OK);
        ids.insert(Hex(out_.id, sizeof(out_.id)));
        tokens.insert(token);
    }
    EXPECT_EQ(ids.size(), 100u);
    EXPECT_EQ(tokens.size(), 100u);
}

TEST_F(NewToken, RefusesEveryBitFlipAndEveryOtherSize)
{
    for (size_t bit = 0; bit < token_.size() * 8; bit++) {
        Bytes bad = token_;
        bad[bit / 8] = static_cast<uint8_t>(bad[bit / 8] ^ (1u << (bit % 8)));
        EXPECT_EQ(Open(bad, client_, 2000), QUIC_E_DROP) << bit;
    }
    for (size_t len = 0; len < 120; len++) {
        Bytes other = token_;
        other.resize(len);
        if (len != token_.size()) {
            EXPECT_EQ(Open(other, client_, 2000), QUIC_E_DROP) << len;
        }
    }
    EXPECT_EQ(out_.issued, 0u) << "outputs are written on success only";
}

TEST_F(NewToken, RotatesWithTheRootSecret)
{
    quic_token_keys_rotate(&keys_, Bytes(32, 0x43).data());
    EXPECT_EQ(Open(token_, client_, 2000), QUIC_OK);
    const Bytes fresh = Make();
    EXPECT_EQ(Open(fresh, client_, 2000), QUIC_OK);
    quic_token_keys_rotate(&keys_, Bytes(32, 0x44).data());
    EXPECT_EQ(Open(token_, client_, 2000), QUIC_E_DROP);
    EXPECT_EQ(Open(fresh, client_, 2000), QUIC_OK);
}

TEST_F(NewToken, KindsAreNotMixedUp)
{
    quic_token_retry retry;
    Bytes padded = token_;
    padded.resize(QUIC_TOKEN_RETRY_LEN);
    for (int type = 0; type < 4; type++) {
        padded[0] = token_[0] = static_cast<uint8_t>(type);
        EXPECT_EQ(quic_token_retry_open(&keys_, &retry, padded.data(), padded.size(), &client_,
                                        QUIC_VERSION_1, kLifetime, 2000),
                  type == 1 ? quic_rc{QUIC_V_INVALID_TOKEN} : quic_rc{QUIC_E_DROP});
        EXPECT_EQ(Open(token_, client_, 2000), type == 2 ? QUIC_OK : QUIC_E_DROP);
    }
}

TEST(Retry, TagMatchesRfc9001)
{
    const quic_cid odcid = Cid(rfc9001::kDcid);
    Bytes packet = Unhex(rfc9001::kRetryPacket);
    uint8_t tag[16];
    ASSERT_EQ(quic_retry_tag_make(tag, QUIC_VERSION_1, &odcid, packet.data(), packet.size() - 16),
              QUIC_OK);
    EXPECT_EQ(Hex(tag, 16), Hex(packet.data() + packet.size() - 16, 16));
    EXPECT_TRUE(quic_retry_tag_check(QUIC_VERSION_1, &odcid, packet.data(), packet.size()));
    for (size_t i = 0; i < packet.size(); i++) {
        Bytes bad = packet;
        bad[i] ^= 1;
        EXPECT_FALSE(quic_retry_tag_check(QUIC_VERSION_1, &odcid, bad.data(), bad.size()));
    }
    for (size_t len = 0; len < packet.size(); len++) {
        EXPECT_FALSE(quic_retry_tag_check(QUIC_VERSION_1, &odcid, packet.data(), len));
    }
    const quic_cid other = Cid("8394c8f03e515709");
    EXPECT_FALSE(quic_retry_tag_check(QUIC_VERSION_1, &other, packet.data(), packet.size()));
}

/* RFC 9369 A.4 */
TEST(Retry, TagMatchesRfc9369)
{
    constexpr uint32_t kVersion2 = 0x6b3343cf;
    const quic_cid odcid = Cid(rfc9369::kDcid);
    Bytes packet = Unhex(rfc9369::kRetryPacket);
    uint8_t tag[16];
    ASSERT_EQ(quic_retry_tag_make(tag, kVersion2, &odcid, packet.data(), packet.size() - 16),
              QUIC_OK);
    EXPECT_EQ(Hex(tag, 16), Hex(packet.data() + packet.size() - 16, 16));
    EXPECT_TRUE(quic_retry_tag_check(kVersion2, &odcid, packet.data(), packet.size()));
    EXPECT_FALSE(quic_retry_tag_check(QUIC_VERSION_1, &odcid, packet.data(), packet.size()));
    EXPECT_FALSE(quic_retry_tag_check(2, &odcid, packet.data(), packet.size()));
    EXPECT_EQ(quic_retry_tag_make(tag, 0, &odcid, packet.data(), 20), QUIC_E_INVAL);
    packet = Unhex(rfc9001::kRetryPacket);
    EXPECT_TRUE(quic_retry_tag_check(1, &odcid, packet.data(), packet.size()));
    EXPECT_FALSE(quic_retry_tag_check(kVersion2, &odcid, packet.data(), packet.size()));
}

TEST(Retry, RefusesGiantPackets)
{
    const quic_cid odcid = Cid(rfc9001::kDcid);
    const Bytes packet(QUIC_RETRY_PACKET_LEN_MAX + 17);
    uint8_t tag[16];
    EXPECT_EQ(
        quic_retry_tag_make(tag, QUIC_VERSION_1, &odcid, packet.data(), QUIC_RETRY_PACKET_LEN_MAX),
        QUIC_OK);
    EXPECT_EQ(quic_retry_tag_make(tag, QUIC_VERSION_1, &odcid, packet.data(),
                                  QUIC_RETRY_PACKET_LEN_MAX + 1),
              QUIC_E_INVAL);
    EXPECT_FALSE(quic_retry_tag_check(QUIC_VERSION_1, &odcid, packet.data(), packet.size()));
}

/* RFC 9000 10.3.2 */
TEST(ResetToken, IsAFunctionOfRootAndCid)
{
    const Bytes root(32, 7);
    const Bytes other_root(32, 8);
    quic_reset_key key, again, other;
    quic_reset_key_derive(&key, root.data());
    quic_reset_key_derive(&again, root.data());
    quic_reset_key_derive(&other, other_root.data());
    const uint8_t cid[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    Bytes a(QUIC_RESET_TOKEN_LEN), b(a), c(a), d(a);
    quic_reset_token(&key, a.data(), cid, 8);
    quic_reset_token(&again, b.data(), cid, 8);
    quic_reset_token(&other, c.data(), cid, 8);
    quic_reset_token(&key, d.data(), cid, 7);
    EXPECT_EQ(a, b);
    EXPECT_NE(a, c);
    EXPECT_NE(a, d);
}

} // namespace

#include <gtest/gtest.h>
#include <openssl/digest.h>
#include <openssl/hkdf.h>
#include <openssl/hmac.h>

#include "quic/crypto/kdf.h"
#include "tests/quic/crypto/crypto_test_util.h"
#include "tests/quic/crypto/rfc9001_vectors.h"

namespace
{

using crypto_test::Bytes;
using crypto_test::Hex;
using crypto_test::TestRng;
using crypto_test::Unhex;

TEST(Kdf, DerivesRfc9001InitialSecrets)
{
    const Bytes salt = Unhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a");
    const Bytes dcid = Unhex(rfc9001::kDcid);
    uint8_t initial[32];
    quic_hkdf_extract(32, initial, salt.data(), salt.size(), dcid.data(), dcid.size());
    EXPECT_EQ(Hex(initial, 32), rfc9001::kInitialSecret);
    uint8_t out[32];
    quic_hkdf_expand_label(32, out, 32, initial, 32, "client in");
    EXPECT_EQ(Hex(out, 32), rfc9001::kClientSecret);
    quic_hkdf_expand_label(32, out, 32, initial, 32, "server in");
    EXPECT_EQ(Hex(out, 32), rfc9001::kServerSecret);
    const Bytes secret = Unhex(rfc9001::kChachaSecret);
    quic_hkdf_expand_label(32, out, 32, secret.data(), secret.size(), "quic ku");
    EXPECT_EQ(Hex(out, 32), rfc9001::kChachaKu);
}

TEST(Kdf, HmacEqualsBoringSsl)
{
    TestRng rng(1);
    for (unsigned hash_len : {32u, 48u}) {
        for (size_t key_len : {0u, 1u, 32u, 48u, 64u, 65u, 128u, 129u, 200u}) {
            const Bytes key = rng.Take(key_len);
            const Bytes data = rng.Take(key_len * 3 + 1);
            uint8_t want[64];
            unsigned want_len = 0;
            HMAC(hash_len == 32 ? EVP_sha256() : EVP_sha384(), key.data(), key.size(), data.data(),
                 data.size(), want, &want_len);
            uint8_t got[48];
            quic_kdf kdf;
            quic_kdf_init(&kdf, hash_len, key.data(), key.size());
            quic_kdf_hmac(&kdf, got, data.data(), data.size());
            quic_kdf_deinit(&kdf);
            ASSERT_EQ(want_len, hash_len);
            EXPECT_EQ(Hex(got, hash_len), Hex(want, want_len)) << key_len;
        }
    }
}

/* Every length of a last block, and what goes over its end. */
TEST(Kdf, HmacOfEveryLength)
{
    TestRng rng(4);
    const Bytes key = rng.Take(32);
    quic_kdf kdf;
    quic_kdf_init(&kdf, 32, key.data(), key.size());
    for (size_t len = 0; len <= 200; len++) {
        const Bytes data = rng.Take(len + 1);
        uint8_t want[64];
        unsigned want_len = 0;
        uint8_t got[48];
        HMAC(EVP_sha256(), key.data(), key.size(), data.data(), len, want, &want_len);
        quic_kdf_hmac(&kdf, got, data.data(), len);
        ASSERT_EQ(Hex(got, 32), Hex(want, want_len)) << len;
    }
    quic_kdf_deinit(&kdf);
}

TEST(Kdf, ExpandLabelEqualsBoringSslHkdfForManyLengths)
{
    TestRng rng(2);
    for (unsigned hash_len : {32u, 48u}) {
        const Bytes secret = rng.Take(hash_len);
        for (size_t len : {1u, 12u, 16u, 32u, 33u, 48u, 49u, 96u, 97u, 200u}) {
            Bytes info = {static_cast<uint8_t>(len >> 8), static_cast<uint8_t>(len), 14};
            for (char c : std::string("tls13 quic key")) {
                info.push_back(static_cast<uint8_t>(c));
            }
            info.push_back(0);
            Bytes want(len);
            Bytes got(len);
            ASSERT_TRUE(HKDF_expand(want.data(), len, hash_len == 32 ? EVP_sha256() : EVP_sha384(),
                                    secret.data(), secret.size(), info.data(), info.size()));
            quic_hkdf_expand_label(hash_len, got.data(), len, secret.data(), secret.size(),
                                   "quic key");
            EXPECT_EQ(Hex(got), Hex(want)) << len;
        }
    }
}

} // namespace

#include <gtest/gtest.h>
#include <openssl/sha.h>

#include "quic/crypto/aes_ccm.h"
#include "tests/quic/crypto/crypto_test_util.h"

namespace
{

using crypto_test::Bytes;
using crypto_test::Hex;
using crypto_test::Unhex;

/* The bytes first, first + 1, .. of a published vector. */
Bytes From(uint8_t first, size_t count)
{
    Bytes out(count);
    for (size_t i = 0; i < count; i++) {
        out[i] = static_cast<uint8_t>(first + i);
    }
    return out;
}

Bytes Steps(unsigned step, size_t count)
{
    Bytes out(count);
    for (size_t i = 0; i < count; i++) {
        out[i] = static_cast<uint8_t>(step * i);
    }
    return out;
}

Bytes Seal(const quic_aes_ccm &ccm, const Bytes &plain, const Bytes &nonce, const Bytes &ad)
{
    Bytes out(plain.size() + ccm.tag_len);
    quic_aes_ccm_seal(&ccm, out.data(), plain.data(), plain.size(), nonce.data(), ad.data(),
                      ad.size());
    return out;
}

bool Open(const quic_aes_ccm &ccm, Bytes *plain, const Bytes &sealed, const Bytes &nonce,
          const Bytes &ad)
{
    plain->assign(sealed.size() - ccm.tag_len, 0xee);
    return quic_aes_ccm_open(&ccm, plain->data(), sealed.data(), plain->size(), nonce.data(),
                             ad.data(), ad.size());
}

/* NIST SP 800-38C examples 1 to 3, RFC 3610 packet vector 1. */
TEST(AesCcm, PublishedVectors)
{
    struct {
        Bytes key, nonce, ad, plain;
        unsigned tag_len;
        const char *sealed;
    } cases[] = {
        {From(0x40, 16), From(0x10, 7), From(0, 8), From(0x20, 4), 4, "7162015b4dac255d"},
        {From(0x40, 16), From(0x10, 8), From(0, 16), From(0x20, 16), 6,
         "d2a1f0e051ea5f62081a7792073d593d1fc64fbfaccd"},
        {From(0x40, 16), From(0x10, 12), From(0, 20), From(0x20, 24), 8,
         "e3b201a9f5b71a7a9b1ceaeccd97e70b6176aad9a4428aa5484392fbc1b09951"},
        {From(0xc0, 16), Unhex("00000003020100a0a1a2a3a4a5"), From(0, 8), From(8, 23), 8,
         "588c979a61c663d2f066d0c2c0f989806d5f6b61dac38417e8d12cfdf926e0"},
    };
    for (const auto &c : cases) {
        quic_aes_ccm ccm;
        ASSERT_TRUE(quic_aes_ccm_init(&ccm, c.key.data(), c.tag_len,
                                      static_cast<unsigned>(c.nonce.size())));
        EXPECT_EQ(Hex(Seal(ccm, c.plain, c.nonce, c.ad)), c.sealed);
        Bytes plain;
        EXPECT_TRUE(Open(ccm, &plain, Unhex(c.sealed), c.nonce, c.ad));
        EXPECT_EQ(plain, c.plain);
    }
}

/* The lengths of RFC 9001; figures from an independent implementation. */
TEST(AesCcm, TagOf16NonceOf12)
{
    quic_aes_ccm ccm;
    ASSERT_TRUE(quic_aes_ccm_init(&ccm, From(0x40, 16).data(), 16, 12));
    const Bytes nonce = From(0x10, 12);
    struct {
        size_t len, ad_len;
        const char *sealed;
    } cases[] = {
        {0, 0, "538f76630f36a98a2f502d9b23d86343"},
        {0, 11, "a2261e5917d0b3be17d3a4d7da6429c2"},
        {1, 11, "c3d71b5a0d56169349b04e0282a12847ad"},
        {16, 14, "c3942d9fcdb1166c8b0a868ab5e1ab4d90265985e34ce42c71b024948bfb4f68"},
        {17, 13, "c3942d9fcdb1166c8b0a868ab5e1ab4d216750c995064cc4d13c2c2e24eb240823"},
        {33, 1,
         "c3942d9fcdb1166c8b0a868ab5e1ab4d2130e66f1ce42633c48d5d52ee0ce0054c7801f06db1a1a16b264d0bc"
         "28f74f1c6"},
    };
    for (const auto &c : cases) {
        EXPECT_EQ(Hex(Seal(ccm, Steps(7, c.len), nonce, Steps(3, c.ad_len))), c.sealed);
    }
    SHA256_CTX sha;
    SHA256_Init(&sha);
    std::vector<size_t> lens = {1200, 1472, 9000, QUIC_AES_CCM_TEXT_MAX};
    for (size_t len = 130; len-- > 0;) {
        lens.insert(lens.begin(), len);
    }
    for (size_t len : lens) {
        const Bytes sealed = Seal(ccm, Steps(7, len), nonce, Steps(3, len % 61));
        SHA256_Update(&sha, sealed.data(), sealed.size());
    }
    uint8_t digest[32];
    SHA256_Final(digest, &sha);
    EXPECT_EQ(Hex(digest, 32), "f4864796d651cfcd3d6138f6d7a6d4f935084b42ecd0a7d9d83e2fa5d9bd5357");
}

TEST(AesCcm, InPlaceEqualsOutOfPlace)
{
    quic_aes_ccm ccm;
    ASSERT_TRUE(quic_aes_ccm_init(&ccm, From(1, 16).data(), 16, 12));
    const Bytes nonce = From(9, 12);
    for (size_t len = 0; len < 200; len++) {
        const Bytes plain = Steps(5, len);
        const Bytes ad = Steps(11, len % 40);
        const Bytes sealed = Seal(ccm, plain, nonce, ad);
        Bytes buf = plain;
        buf.resize(len + 16);
        quic_aes_ccm_seal(&ccm, buf.data(), buf.data(), len, nonce.data(), ad.data(), ad.size());
        ASSERT_EQ(buf, sealed);
        ASSERT_TRUE(quic_aes_ccm_open(&ccm, buf.data(), buf.data(), len, nonce.data(), ad.data(),
                                      ad.size()));
        ASSERT_TRUE(std::equal(plain.begin(), plain.end(), buf.begin()));
    }
}

TEST(AesCcm, RefusesChangesAndOddLengths)
{
    quic_aes_ccm ccm;
    const Bytes key = From(1, 16);
    for (unsigned tag = 0; tag < 20; tag++) {
        for (unsigned nonce = 0; nonce < 16; nonce++) {
            const bool ok = tag >= 4 && tag <= 16 && tag % 2 == 0 && nonce >= 7 && nonce <= 13;
            EXPECT_EQ(quic_aes_ccm_init(&ccm, key.data(), tag, nonce), ok) << tag << " " << nonce;
        }
    }
    ASSERT_TRUE(quic_aes_ccm_init(&ccm, key.data(), 16, 12));
    const Bytes nonce = From(9, 12);
    const Bytes ad = From(3, 20);
    const Bytes sealed = Seal(ccm, From(7, 35), nonce, ad);
    Bytes plain;
    for (size_t bit = 0; bit < 8 * sealed.size(); bit++) {
        Bytes bad = sealed;
        bad[bit / 8] = static_cast<uint8_t>(bad[bit / 8] ^ (1u << (bit % 8)));
        EXPECT_FALSE(Open(ccm, &plain, bad, nonce, ad)) << bit;
    }
    for (size_t bit = 0; bit < 8 * ad.size(); bit++) {
        Bytes bad = ad;
        bad[bit / 8] = static_cast<uint8_t>(bad[bit / 8] ^ (1u << (bit % 8)));
        EXPECT_FALSE(Open(ccm, &plain, sealed, nonce, bad)) << bit;
    }
    EXPECT_FALSE(Open(ccm, &plain, sealed, nonce, Bytes(ad.begin(), ad.end() - 1)));
    EXPECT_FALSE(Open(ccm, &plain, sealed, From(10, 12), ad));
    EXPECT_FALSE(Open(ccm, &plain, Bytes(QUIC_AES_CCM_TEXT_MAX + 1 + 16), nonce, ad));
    EXPECT_TRUE(Open(ccm, &plain, sealed, nonce, ad));
    quic_aes_ccm_deinit(&ccm);
}

} // namespace

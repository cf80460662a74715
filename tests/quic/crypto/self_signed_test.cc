#include <cstring>

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "quic/crypto/self_signed.h"

namespace
{

constexpr uint64_t kNow = 1700000000;

struct Made {
    char cert[QUIC_SELF_SIGNED_PEM_CAP];
    char key[QUIC_SELF_SIGNED_PEM_CAP];
    size_t cert_len = 0;
    size_t key_len = 0;
    X509 *x509 = nullptr;
    explicit Made(uint64_t now)
    {
        EXPECT_EQ(quic_self_signed_make(cert, &cert_len, key, &key_len, now), QUIC_OK);
        BIO *bio = BIO_new_mem_buf(cert, static_cast<int>(cert_len));
        x509 = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
        BIO_free(bio);
    }
    ~Made()
    {
        X509_free(x509);
    }
};

TEST(SelfSigned, IsValidForTenDaysAndNamesTheLocalHost)
{
    Made m(kNow);
    ASSERT_NE(m.x509, nullptr);
    EXPECT_EQ(std::strlen(m.cert), m.cert_len);
    EXPECT_EQ(std::strlen(m.key), m.key_len);
    time_t before = static_cast<time_t>(kNow - 3601);
    time_t now = static_cast<time_t>(kNow);
    time_t late = static_cast<time_t>(kNow - 3600 + 10 * 24 * 3600 - 1);
    time_t after = late + 2;
    EXPECT_GT(X509_cmp_time(X509_get0_notBefore(m.x509), &before), 0);
    EXPECT_LT(X509_cmp_time(X509_get0_notBefore(m.x509), &now), 0);
    EXPECT_GT(X509_cmp_time(X509_get0_notAfter(m.x509), &late), 0);
    EXPECT_LT(X509_cmp_time(X509_get0_notAfter(m.x509), &after), 0);
    EXPECT_EQ(X509_check_host(m.x509, "localhost", 9, 0, nullptr), 1);
    EXPECT_NE(X509_check_host(m.x509, "example.com", 11, 0, nullptr), 1);
    EXPECT_EQ(X509_check_ip_asc(m.x509, "127.0.0.1", 0), 1);
    EXPECT_EQ(X509_check_ip_asc(m.x509, "::1", 0), 1);
    EXPECT_NE(X509_check_ip_asc(m.x509, "127.0.0.2", 0), 1);
    EVP_PKEY *pub = X509_get_pubkey(m.x509);
    EXPECT_EQ(EVP_PKEY_id(pub), EVP_PKEY_EC);
    EXPECT_EQ(EVP_PKEY_bits(pub), 256);
    EXPECT_EQ(X509_verify(m.x509, pub), 1);
    EVP_PKEY_free(pub);
}

TEST(SelfSigned, KeysAreFresh)
{
    Made a(kNow);
    Made b(kNow);
    EXPECT_STRNE(a.key, b.key);
    EXPECT_STRNE(a.cert, b.cert);
}

TEST(SelfSigned, TimeZeroIsHarmless)
{
    Made m(0);
    EXPECT_NE(m.x509, nullptr);
}

} // namespace

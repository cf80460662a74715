#include "tests/api/boring_driver.h"

#include <cstring>

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

namespace quring_test
{

namespace
{

constexpr uint8_t kAlpn[] = {4, 't', 'e', 's', 't'};

int SelectAlpn(SSL *, const uint8_t **out, uint8_t *out_len, const uint8_t *in, unsigned in_len,
               void *)
{
    for (unsigned i = 0; i + 1 <= in_len && i + 1 + in[i] <= in_len; i += 1u + in[i]) {
        if (in[i] == kAlpn[0] && memcmp(in + i + 1, kAlpn + 1, kAlpn[0]) == 0) {
            *out = in + i + 1;
            *out_len = in[i];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

SslCtx MakeCtx()
{
    SslCtx ctx(SSL_CTX_new(TLS_method()));
    EXPECT_TRUE(ctx);
    EXPECT_EQ(SSL_CTX_set_min_proto_version(ctx.get(), TLS1_3_VERSION), 1);
    EXPECT_EQ(SSL_CTX_set_max_proto_version(ctx.get(), TLS1_3_VERSION), 1);
    return ctx;
}

} // namespace

SslCtx MakeServerCtx(const Identity &identity)
{
    SslCtx ctx = MakeCtx();
    BIO *cert_bio = BIO_new_mem_buf(identity.cert.data(), static_cast<int>(identity.cert.size()));
    X509 *cert = PEM_read_bio_X509(cert_bio, nullptr, nullptr, nullptr);
    BIO *key_bio = BIO_new_mem_buf(identity.key.data(), static_cast<int>(identity.key.size()));
    EVP_PKEY *key = PEM_read_bio_PrivateKey(key_bio, nullptr, nullptr, nullptr);
    EXPECT_EQ(SSL_CTX_use_certificate(ctx.get(), cert), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey(ctx.get(), key), 1);
    EVP_PKEY_free(key);
    X509_free(cert);
    BIO_free(key_bio);
    BIO_free(cert_bio);
    SSL_CTX_set_alpn_select_cb(ctx.get(), SelectAlpn, nullptr);
    return ctx;
}

SslCtx MakeClientCtx()
{
    SslCtx ctx = MakeCtx();
    EXPECT_EQ(SSL_CTX_set_alpn_protos(ctx.get(), kAlpn, sizeof(kAlpn)), 0);
    return ctx;
}

const SSL_QUIC_METHOD BoringDriver::kMethod = {
    BoringDriver::SetReadSecret, BoringDriver::SetWriteSecret, BoringDriver::AddHandshakeData,
    BoringDriver::FlushFlight,   BoringDriver::SendAlert,
};

BoringDriver::BoringDriver(SSL_CTX *ctx, quring_conn conn, bool is_server)
    : conn_(conn), ssl_(SSL_new(ctx))
{
    EXPECT_NE(ssl_, nullptr);
    SSL_set_app_data(ssl_, this);
    EXPECT_EQ(SSL_set_quic_method(ssl_, &kMethod), 1);
    uint8_t params[512];
    size_t params_len = 0;
    EXPECT_EQ(quring_handshake_get_params(conn_, params, &params_len, sizeof(params)), QURING_OK);
    EXPECT_EQ(SSL_set_quic_transport_params(ssl_, params, params_len), 1);
    if (is_server) {
        SSL_set_accept_state(ssl_);
    } else {
        SSL_set_connect_state(ssl_);
        EXPECT_EQ(SSL_set_tlsext_host_name(ssl_, "localhost"), 1);
    }
}

BoringDriver::~BoringDriver()
{
    SSL_free(ssl_);
}

BoringDriver *BoringDriver::Of(const SSL *ssl)
{
    return static_cast<BoringDriver *>(SSL_get_app_data(ssl));
}

int BoringDriver::SetSecret(SSL *ssl, ssl_encryption_level_t level, quring_direction direction,
                            const SSL_CIPHER *cipher, const uint8_t *secret, size_t len)
{
    const uint16_t suite = SSL_CIPHER_get_protocol_id(cipher);
    const quring_status status = quring_handshake_install_secret(
        Of(ssl)->conn_, static_cast<quring_level>(level), direction, suite, secret, len);
    EXPECT_EQ(status, QURING_OK);
    return status == QURING_OK ? 1 : 0;
}

int BoringDriver::SetReadSecret(SSL *ssl, ssl_encryption_level_t level, const SSL_CIPHER *cipher,
                                const uint8_t *secret, size_t len)
{
    /* Whoever can read 1-RTT packets has to know what the peer allows. */
    Of(ssl)->TakePeerParams();
    return SetSecret(ssl, level, QURING_DIR_READ, cipher, secret, len);
}

int BoringDriver::SetWriteSecret(SSL *ssl, ssl_encryption_level_t level, const SSL_CIPHER *cipher,
                                 const uint8_t *secret, size_t len)
{
    return SetSecret(ssl, level, QURING_DIR_WRITE, cipher, secret, len);
}

int BoringDriver::AddHandshakeData(SSL *ssl, ssl_encryption_level_t level, const uint8_t *data,
                                   size_t len)
{
    const quring_status status =
        quring_handshake_send(Of(ssl)->conn_, static_cast<quring_level>(level), data, len);
    EXPECT_EQ(status, QURING_OK);
    return status == QURING_OK ? 1 : 0;
}

int BoringDriver::FlushFlight(SSL *)
{
    return 1;
}

int BoringDriver::SendAlert(SSL *ssl, ssl_encryption_level_t, uint8_t alert)
{
    Of(ssl)->alert_ = alert;
    return 1;
}

void BoringDriver::TakePeerParams()
{
    const uint8_t *params = nullptr;
    size_t len = 0;
    SSL_get_peer_quic_transport_params(ssl_, &params, &len);
    if (have_params_ || len == 0) {
        return;
    }
    have_params_ = true;
    EXPECT_EQ(quring_handshake_set_peer_params(conn_, params, len), QURING_OK);
}

void BoringDriver::Advance()
{
    const int rc = SSL_do_handshake(ssl_);
    if (rc != 1 && SSL_get_error(ssl_, rc) != SSL_ERROR_WANT_READ) {
        failed_ = true;
        EXPECT_EQ(quring_handshake_fail(conn_, alert_), QURING_OK);
        return;
    }
    TakePeerParams();
    if (rc == 1 && !complete_) {
        complete_ = true;
        const uint8_t *alpn = nullptr;
        unsigned alpn_len = 0;
        SSL_get0_alpn_selected(ssl_, &alpn, &alpn_len);
        EXPECT_EQ(quring_handshake_set_alpn(conn_, alpn, alpn_len), QURING_OK);
        EXPECT_EQ(quring_handshake_complete(conn_), QURING_OK);
    }
}

void BoringDriver::Provide(uint8_t level, quring_bytes data)
{
    if (failed_) {
        return;
    }
    EXPECT_EQ(SSL_provide_quic_data(ssl_, static_cast<ssl_encryption_level_t>(level), data.data,
                                    data.len),
              1);
    if (complete_) {
        EXPECT_EQ(SSL_process_quic_post_handshake(ssl_), 1);
    } else {
        Advance();
    }
}

} // namespace quring_test

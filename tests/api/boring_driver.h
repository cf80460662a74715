/* tests/api/boring_driver.h: a TLS library outside of the engine that drives quring/handshake.h, the
 * way an application with its own TLS would. */
#ifndef TESTS_API_BORING_DRIVER_H
#define TESTS_API_BORING_DRIVER_H

#include <cstdint>
#include <memory>

#include <openssl/ssl.h>

#include "quring/quring.h"

#include "tests/api/support.h"

namespace quring_test
{

struct SslCtxDeleter {
    void operator()(SSL_CTX *ctx) const
    {
        SSL_CTX_free(ctx);
    }
};
using SslCtx = std::unique_ptr<SSL_CTX, SslCtxDeleter>;

/* Contexts that speak the protocol "test" over TLS 1.3. */
SslCtx MakeServerCtx(const Identity &identity);
SslCtx MakeClientCtx();

/* One handshake of one connection, on the worker of that connection. */
class BoringDriver
{
  public:
    /* Takes the transport parameters of `conn`, which has to exist. */
    BoringDriver(SSL_CTX *ctx, quring_conn conn, bool is_server);
    ~BoringDriver();
    BoringDriver(const BoringDriver &) = delete;
    BoringDriver &operator=(const BoringDriver &) = delete;

    /* A client's first step. */
    void Start()
    {
        Advance();
    }
    /* A HANDSHAKE_DATA event. */
    void Provide(uint8_t level, quring_bytes data);

    bool is_complete() const
    {
        return complete_;
    }

  private:
    static BoringDriver *Of(const SSL *ssl);
    static int SetSecret(SSL *ssl, ssl_encryption_level_t level, quring_direction direction,
                         const SSL_CIPHER *cipher, const uint8_t *secret, size_t len);
    static int SetReadSecret(SSL *ssl, ssl_encryption_level_t level, const SSL_CIPHER *cipher,
                             const uint8_t *secret, size_t len);
    static int SetWriteSecret(SSL *ssl, ssl_encryption_level_t level, const SSL_CIPHER *cipher,
                              const uint8_t *secret, size_t len);
    static int AddHandshakeData(SSL *ssl, ssl_encryption_level_t level, const uint8_t *data,
                                size_t len);
    static int FlushFlight(SSL *ssl);
    static int SendAlert(SSL *ssl, ssl_encryption_level_t level, uint8_t alert);
    void Advance();
    void TakePeerParams();

    static const SSL_QUIC_METHOD kMethod;

    quring_conn conn_;
    SSL *ssl_;
    uint8_t alert_ = 80; /* internal_error, unless TLS says more */
    bool have_params_ = false;
    bool complete_ = false;
    bool failed_ = false;
};

} // namespace quring_test

#endif /* TESTS_API_BORING_DRIVER_H */

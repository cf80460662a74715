/* tests/sim/identity.h: who does the handshake: the scripted one or BoringSSL with a certificate made
 * for this process. */
#ifndef TESTS_SIM_IDENTITY_H
#define TESTS_SIM_IDENTITY_H

#include <memory>

#include "quic/crypto/crypto.h"
#include "quic/crypto/tls_script.h"
#include "tests/sim/options.h"

namespace sim
{

class Identity
{
  public:
    explicit Identity(const Options &options);
    Identity(const Identity &) = delete;
    Identity &operator=(const Identity &) = delete;

    const quic_tls_vtable *vtable() const
    {
        return vtable_;
    }
    const quic_crypto *crypto() const
    {
        return crypto_;
    }
    const void *server_config() const
    {
        return server_;
    }
    const void *client_config() const
    {
        return client_;
    }
    bool scripted() const
    {
        return vtable_ == quic_tls_script();
    }

  private:
    void limit(uint64_t seal_limit, uint64_t open_limit);

    const quic_tls_vtable *vtable_;
    const quic_crypto *crypto_;
    quic_crypto limited_{}; /* the shim with lower limits */
    quic_crypto_suite suites_[QUIC_SUITE_COUNT]{};
    quic_tls_script_config script_server_{};
    quic_tls_script_config script_client_{};
    const void *server_;
    const void *client_;
};

} // namespace sim

#endif // TESTS_SIM_IDENTITY_H

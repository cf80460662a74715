/* tests/quic/crypto/tls_test_util.h: two ends of a handshake in memory. */
#ifndef TESTS_QUIC_CRYPTO_TLS_TEST_UTIL_H
#define TESTS_QUIC_CRYPTO_TLS_TEST_UTIL_H

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "quic/crypto/tls.h"
#include "tests/quic/crypto/crypto_test_util.h"

namespace crypto_test
{

/* One end: collects what its sink is given. */
class TlsEnd
{
  public:
    TlsEnd(const quic_tls_vtable *vtable, const void *config, quic_role role, const char *name,
           const char *params, uint64_t seed, const quic_tls_tickets *tickets = nullptr)
        : vtable_(vtable), rng_(seed), params_(params)
    {
        quic_tls_args args = {};
        args.tls_config = config;
        args.mem = mem_.get();
        args.role = role;
        args.server_name = name;
        args.params = reinterpret_cast<const uint8_t *>(params_.data());
        args.params_len = params_.size();
        args.sink = {this, OnSecret, OnCrypto, OnSession};
        args.rng = rng_.get();
        if (tickets != nullptr) {
            args.tickets = *tickets;
        }
        create_rc_ = vtable_->create(&tls_, &args);
    }
    ~TlsEnd()
    {
        Destroy();
    }
    TlsEnd(const TlsEnd &) = delete;
    TlsEnd &operator=(const TlsEnd &) = delete;
    void Destroy()
    {
        vtable_->destroy(tls_);
        tls_ = nullptr;
    }

    quic_rc create_rc() const
    {
        return create_rc_;
    }
    quic_rc Start()
    {
        return vtable_->start(tls_);
    }
    quic_rc Provide(quic_level level, const uint8_t *data, size_t len)
    {
        return vtable_->provide(tls_, level, data, len);
    }
    bool complete() const
    {
        return vtable_->is_complete(tls_);
    }
    std::string peer_params() const
    {
        const uint8_t *data = nullptr;
        size_t len = 0;
        return vtable_->peer_params(tls_, &data, &len) ? std::string(data, data + len) : "(none)";
    }
    std::string alpn() const
    {
        const uint8_t *data = nullptr;
        size_t len = 0;
        return vtable_->alpn(tls_, &data, &len) ? std::string(data, data + len) : "(none)";
    }
    std::string server_name() const
    {
        const char *name = vtable_->server_name(tls_);
        return name != nullptr ? name : "(none)";
    }
    std::string error_text() const
    {
        return vtable_->error_text(tls_);
    }
    uint16_t suite() const
    {
        return vtable_->suite(tls_);
    }
    bool resumed() const
    {
        return vtable_->resumed(tls_);
    }
    quic_early_status early() const
    {
        return vtable_->early_status(tls_);
    }
    /* DER, or "(none)". */
    std::string peer_certificate() const
    {
        const uint8_t *data = nullptr;
        size_t len = 0;
        bool verified = false;
        return vtable_->peer_certificate(tls_, &data, &len, &verified)
                   ? std::string(data, data + len)
                   : "(none)";
    }
    bool peer_verified() const
    {
        const uint8_t *data = nullptr;
        size_t len = 0;
        bool verified = false;
        return vtable_->peer_certificate(tls_, &data, &len, &verified) && verified;
    }
    TestMem &mem()
    {
        return mem_;
    }

    using Message = std::pair<quic_level, Bytes>;
    std::vector<Message> out;
    std::map<std::pair<int, bool>, Bytes> secrets; /* {level, is_write} */
    std::vector<uint16_t> suites;
    quic_rc refuse_secret = QUIC_OK;
    Bytes session; /* client: the last one it was given */

  private:
    static quic_rc OnSecret(void *ctx, quic_level level, bool is_write, uint16_t suite,
                            const uint8_t *secret, size_t len)
    {
        auto *self = static_cast<TlsEnd *>(ctx);
        if (self->refuse_secret != QUIC_OK) {
            return self->refuse_secret;
        }
        self->secrets[{level, is_write}] = Bytes(secret, secret + len);
        self->suites.push_back(suite);
        return QUIC_OK;
    }
    static quic_rc OnCrypto(void *ctx, quic_level level, const uint8_t *data, size_t len)
    {
        static_cast<TlsEnd *>(ctx)->out.push_back({level, Bytes(data, data + len)});
        return QUIC_OK;
    }
    static void OnSession(void *ctx, const uint8_t *data, size_t len)
    {
        static_cast<TlsEnd *>(ctx)->session = Bytes(data, data + len);
    }

    const quic_tls_vtable *vtable_;
    TestMem mem_;
    TestRng rng_;
    std::string params_;
    quic_tls *tls_ = nullptr;
    quic_rc create_rc_;
};

/* Hands over what `from` made, `chunk` bytes at a time (0: whole). */
inline quic_rc Deliver(TlsEnd *from, TlsEnd *to, size_t chunk = 0)
{
    std::vector<TlsEnd::Message> out;
    out.swap(from->out);
    for (const auto &[level, bytes] : out) {
        const size_t step = chunk != 0 ? chunk : bytes.size();
        for (size_t off = 0; off < bytes.size(); off += step) {
            const size_t n = std::min(step, bytes.size() - off);
            const quic_rc rc = to->Provide(level, bytes.data() + off, n);
            if (rc != QUIC_OK) {
                return rc;
            }
        }
    }
    return QUIC_OK;
}

struct Outcome {
    quic_rc client = QUIC_OK;
    quic_rc server = QUIC_OK;
};

/* Runs a handshake until nothing moves or one side fails. */
inline Outcome Handshake(TlsEnd *client, TlsEnd *server, size_t chunk = 0)
{
    Outcome o;
    o.client = client->Start();
    for (int turn = 0; turn < 10 && o.client == QUIC_OK && o.server == QUIC_OK; turn++) {
        o.server = Deliver(client, server, chunk);
        if (o.server == QUIC_OK) {
            o.client = Deliver(server, client, chunk);
        }
    }
    return o;
}

} // namespace crypto_test

#endif /* TESTS_QUIC_CRYPTO_TLS_TEST_UTIL_H */

#include "tests/sim/identity.h"

#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "quic/crypto/self_signed.h"
#include "quic/crypto/tls_boring.h"
#include "quic/crypto/tls_boring_config.h"

namespace sim
{
namespace
{

struct BoringPair {
    quic_tls_boring_config *server = nullptr;
    quic_tls_boring_config *client = nullptr;

    BoringPair()
    {
        static char cert[QUIC_SELF_SIGNED_PEM_CAP];
        static char key[QUIC_SELF_SIGNED_PEM_CAP];
        static const char *const alpn[] = {"sim"};
        char err[256] = "";
        size_t cert_len = 0;
        size_t key_len = 0;
        quic_tls_boring_options o{};
        uint64_t now = static_cast<uint64_t>(time(nullptr));
        bool ok = quic_self_signed_make(cert, &cert_len, key, &key_len, now) == QUIC_OK;
        o.cert_pem = reinterpret_cast<const uint8_t *>(cert);
        o.cert_pem_len = cert_len;
        o.key_pem = reinterpret_cast<const uint8_t *>(key);
        o.key_pem_len = key_len;
        o.alpn = alpn;
        o.alpn_count = 1;
        ok = ok && quic_tls_boring_config_create_server(&server, &o, err, sizeof(err)) == QUIC_OK;
        quic_tls_boring_options c{};
        c.ca_pem = o.cert_pem;
        c.ca_pem_len = cert_len;
        c.verify_peer = true;
        c.alpn = alpn;
        c.alpn_count = 1;
        ok = ok && quic_tls_boring_config_create_client(&client, &c, err, sizeof(err)) == QUIC_OK;
        if (!ok) {
            fprintf(stderr, "certificates: %s\n", err);
            abort();
        }
    }
    ~BoringPair()
    {
        quic_tls_boring_config_release(server);
        quic_tls_boring_config_release(client);
    }
};

} // namespace

void Identity::limit(uint64_t seal_limit, uint64_t open_limit)
{
    limited_ = *crypto_;
    for (size_t i = 0; i < QUIC_SUITE_COUNT; i++) {
        suites_[i] = *crypto_->suites[i];
        suites_[i].confidentiality_limit =
            seal_limit != 0 ? seal_limit : suites_[i].confidentiality_limit;
        suites_[i].integrity_limit = open_limit != 0 ? open_limit : suites_[i].integrity_limit;
        limited_.suites[i] = &suites_[i];
    }
    crypto_ = &limited_;
}

Identity::Identity(const Options &o)
{
    if (o.tls == Tls::kBoring) {
        static const BoringPair pair;
        vtable_ = quic_tls_boring();
        crypto_ = quic_crypto_best();
        server_ = o.server_tls != nullptr ? o.server_tls : pair.server;
        client_ = o.client_tls != nullptr ? o.client_tls : pair.client;
        return;
    }
    vtable_ = quic_tls_script();
    crypto_ = o.crypto != nullptr ? o.crypto : quic_crypto_shim();
    if (o.seal_limit != 0 || o.open_limit != 0) {
        limit(o.seal_limit, o.open_limit);
    }
    script_server_.suite = o.suite;
    script_server_.alpn = "sim";
    script_server_.server_flight_len = o.server_flight_len;
    script_server_.ticket_len = o.ticket_len;
    script_client_.alpn = "sim";
    script_client_.client_hello_len = o.client_hello_len;
    server_ = &script_server_;
    client_ = &script_client_;
}

} // namespace sim

#include "tests/compat/gnutls_keys.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <thread>

namespace compat
{
namespace
{

void must(int ret, const char *what)
{
    if (ret < 0) {
        fprintf(stderr, "gnutls_keys: %s: %s\n", what, gnutls_strerror(ret));
        abort();
    }
}

gnutls_datum_t datum(const std::string &text)
{
    return {reinterpret_cast<unsigned char *>(const_cast<char *>(text.data())),
            static_cast<unsigned>(text.size())};
}

} // namespace

std::string der_of(const std::string &cert_path)
{
    const std::string pem = text_of(cert_path);
    const gnutls_datum_t in = datum(pem);
    gnutls_pcert_st cert;
    must(gnutls_pcert_import_x509_raw(&cert, &in, GNUTLS_X509_FMT_PEM, 0), cert_path.c_str());
    std::string der(reinterpret_cast<const char *>(cert.cert.data), cert.cert.size);
    gnutls_pcert_deinit(&cert);
    return der;
}

Parms::Parms()
{
    parms_.timeout = 15000;
}

Parms::Parms(const Identity &identity, KeyKind kind) : Parms()
{
    const std::string key = text_of(identity.key);
    const std::string cert = text_of(identity.cert);
    const gnutls_datum_t key_in = datum(key);
    const gnutls_datum_t cert_in = datum(cert);
    must(gnutls_privkey_init(&plain_), "privkey");
    must(gnutls_privkey_import_x509_raw(plain_, &key_in, GNUTLS_X509_FMT_PEM, nullptr, 0), "key");
    must(gnutls_pcert_import_x509_raw(&cert_, &cert_in, GNUTLS_X509_FMT_PEM, 0), "certificate");
    parms_.cert = &cert_;
    parms_.privkey = plain_;
    if (kind == KeyKind::kCallback) {
        must(gnutls_privkey_init(&parms_.privkey), "privkey");
        must(gnutls_privkey_import_ext4(parms_.privkey, this, sign_data, sign_hash, nullptr,
                                        nullptr, tell, 0),
             "callbacks");
    }
}

Parms::~Parms()
{
    if (parms_.names[0] == nullptr) {
        for (uint32_t i = 0; i < parms_.num_keys; i++) {
            free(parms_.keys[i].data);
        }
    }
    if (plain_ != nullptr) {
        if (parms_.privkey != plain_) {
            gnutls_privkey_deinit(parms_.privkey);
        }
        gnutls_privkey_deinit(plain_);
        gnutls_pcert_deinit(&cert_);
    }
}

int Parms::sign_data(gnutls_privkey_t key, gnutls_sign_algorithm_t algo, void *self, unsigned flags,
                     const gnutls_datum_t *data, gnutls_datum_t *signature)
{
    auto *parms = static_cast<Parms *>(self);
    (void)key;
    parms->signatures_++;
    return gnutls_privkey_sign_data2(parms->plain_, algo, flags, data, signature);
}

int Parms::sign_hash(gnutls_privkey_t key, gnutls_sign_algorithm_t algo, void *self, unsigned flags,
                     const gnutls_datum_t *hash, gnutls_datum_t *signature)
{
    auto *parms = static_cast<Parms *>(self);
    (void)key;
    parms->signatures_++;
    return gnutls_privkey_sign_hash2(parms->plain_, algo, flags, hash, signature);
}

int Parms::tell(gnutls_privkey_t key, unsigned flags, void *self)
{
    unsigned bits = 0;
    const int algorithm =
        gnutls_privkey_get_pk_algorithm(static_cast<Parms *>(self)->plain_, &bits);
    (void)key;
    if ((flags & GNUTLS_PRIVKEY_INFO_PK_ALGO) != 0) {
        return algorithm;
    }
    if ((flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS) != 0) {
        return static_cast<int>(bits);
    }
    if ((flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO) != 0) {
        return GNUTLS_FLAGS_TO_SIGN_ALGO(flags) == GNUTLS_SIGN_ECDSA_SECP256R1_SHA256 ||
                       GNUTLS_FLAGS_TO_SIGN_ALGO(flags) == GNUTLS_SIGN_ECDSA_SHA256
                   ? 1
                   : 0;
    }
    return -1;
}

Side by_gnutls_client(Parms *parms)
{
    return [parms](int fd) { return quic_client_handshake_parms(fd, parms->get()); };
}

Side by_gnutls_server(Parms *parms)
{
    return [parms](int fd) { return quic_server_handshake_parms(fd, parms->get()); };
}

Side by_files_client()
{
    return [](int fd) { return quic_client_handshake(fd, nullptr, nullptr); };
}

Side by_files_server(const Identity &identity)
{
    return [identity](int fd) {
        return quic_server_handshake(fd, identity.key.c_str(), identity.cert.c_str());
    };
}

Shaken::Shaken(const Side &client_side, const Side &server_side,
               const std::function<void(int)> &on_listener,
               const std::function<void(int)> &on_client)
{
    cert_file();
    listen = listener(16, AF_INET, on_listener);
    client = quic_socket();
    if (on_client) {
        on_client(client);
    }
    Address to = name_of(listen);
    if (connect(client, to.ptr(), to.len) != 0) {
        must(GNUTLS_E_INTERNAL_ERROR, "connect");
    }
    std::atomic<bool> over{false};
    std::thread other([&] {
        client_rc = client_side(client);
        over = true;
    });
    while (!over && !poll_for(listen, POLLIN, 20)) {
    }
    set_recv_timeout(listen, 2000); /* of a client that has given up nothing more comes */
    server.reset(accept(listen, nullptr, nullptr));
    if (server >= 0) {
        server_rc = server_side(server);
    }
    if (server_rc < 0) {
        server.reset();
    }
    other.join();
}

bool Shaken::works()
{
    return send(client, "there", 5, MSG_SYN | MSG_FIN | MSG_NOSIGNAL) == 5 &&
           read_bytes(server, 5) == "there" &&
           send(server, "back", 4, MSG_SYN | MSG_FIN | MSG_NOSIGNAL) == 4 &&
           read_bytes(client, 4) == "back";
}

} // namespace compat

/* tests/compat/gnutls_keys.h: keys and certificates as gnutls has them, and handshakes with them. Include it before
 * anything that includes netinet/quic.h: gnutls's types come with it. */
#ifndef TESTS_COMPAT_GNUTLS_KEYS_H
#define TESTS_COMPAT_GNUTLS_KEYS_H

#include <functional>
#include <netinet/quic.h>
#include <string>

#include "tests/compat/authority.h"
#include "tests/compat/fixture.h"

namespace compat
{

/* The first certificate of a file, in DER. */
std::string der_of(const std::string &cert_path);

/* A key that signs by a callback: nothing of it can be exported. */
enum class KeyKind { kPlain, kCallback };

/* What a program gives quic_*_handshake_parms; gives back what comes out. */
class Parms
{
  public:
    Parms();
    explicit Parms(const Identity &identity, KeyKind kind = KeyKind::kPlain);
    ~Parms();
    Parms(const Parms &) = delete;
    Parms &operator=(const Parms &) = delete;
    quic_handshake_parms *operator->()
    {
        return &parms_;
    }
    quic_handshake_parms *get()
    {
        return &parms_;
    }
    std::string key(uint32_t i) const
    {
        return {reinterpret_cast<const char *>(parms_.keys[i].data), parms_.keys[i].size};
    }
    int signatures() const
    {
        return signatures_;
    }

  private:
    static int sign_data(gnutls_privkey_t key, gnutls_sign_algorithm_t algo, void *self,
                         unsigned flags, const gnutls_datum_t *data, gnutls_datum_t *signature);
    static int sign_hash(gnutls_privkey_t key, gnutls_sign_algorithm_t algo, void *self,
                         unsigned flags, const gnutls_datum_t *hash, gnutls_datum_t *signature);
    static int tell(gnutls_privkey_t key, unsigned flags, void *self);

    quic_handshake_parms parms_{};
    gnutls_privkey_t plain_ = nullptr;
    gnutls_pcert_st cert_{};
    int signatures_ = 0;
};

using Side = std::function<int(int fd)>;
Side by_gnutls_client(Parms *parms);
Side by_gnutls_server(Parms *parms);
Side by_files_client();
Side by_files_server(const Identity &identity);

/* A handshake with both ends of the test's choice, and what they said. */
struct Shaken {
    Fd listen;
    Fd client;
    Fd server;
    int client_rc = 1;
    int server_rc = 1;
    Shaken(const Side &client_side, const Side &server_side,
           const std::function<void(int)> &on_listener = nullptr,
           const std::function<void(int)> &on_client = nullptr);
    /* Bytes there and back. */
    bool works();
};

} // namespace compat

#endif // TESTS_COMPAT_GNUTLS_KEYS_H

/* tests/pki/pki.h: a certificate authority for tests: what it issues, for whom, and for how long.
 *
 * Shape:  everything as PEM text. Keys are P-256, names differ, times are relative to now.
 */
#ifndef TESTS_PKI_PKI_H
#define TESTS_PKI_PKI_H

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <openssl/evp.h>
#include <openssl/x509.h>

namespace pki
{

struct Identity {
    std::string cert; /* chain, leaf first, without the root */
    std::string key;
    std::string leaf_der;
};

struct Wish {
    std::vector<std::string> names = {"localhost"}; /* DNS names of the certificate */
    bool client = false;                            /* for clients instead of servers */
    int64_t from_s = -3600;
    int64_t until_s = 24 * 3600;
};

class Authority
{
  public:
    /* `depth` intermediate authorities stand between the root and what is issued. */
    explicit Authority(const std::string &name, unsigned depth = 0);
    ~Authority();
    Authority(const Authority &) = delete;
    Authority &operator=(const Authority &) = delete;

    Identity Issue(const Wish &wish = {}) const;
    const std::string &root() const /* PEM */
    {
        return root_;
    }

  private:
    struct Node {
        bssl::UniquePtr<EVP_PKEY> key;
        bssl::UniquePtr<X509> cert;
    };
    std::vector<Node> nodes_; /* the root first */
    std::string root_;
};

} // namespace pki

#endif /* TESTS_PKI_PKI_H */

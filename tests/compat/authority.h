/* tests/compat/authority.h: certificates made on the spot by openssl, and who trusts them. */
#ifndef TESTS_COMPAT_AUTHORITY_H
#define TESTS_COMPAT_AUTHORITY_H

#include <initializer_list>
#include <string>

namespace compat
{

/* A file of this test's own. */
std::string scratch(const std::string &name);
std::string text_of(const std::string &path);

/* Files with a key and a certificate for `name`, which is its own authority. */
struct Identity {
    std::string key;
    std::string cert;
    explicit Identity(const std::string &name);
};

/* An authority, another one below it, and a certificate for `name` below that: leaf.cert has the two that a
 * server shows. */
struct Chain {
    Identity root;
    Identity leaf;
    std::string leaf_alone;
    explicit Chain(const std::string &name);
};

/* Clients (and servers that ask them) trust these certificates meanwhile. */
class Trust
{
  public:
    explicit Trust(std::initializer_list<std::string> certs);
    ~Trust();
    Trust(const Trust &) = delete;
    Trust &operator=(const Trust &) = delete;

  private:
    std::string path_;
    std::string before_;
};

} // namespace compat

#endif // TESTS_COMPAT_AUTHORITY_H

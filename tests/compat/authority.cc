#include "tests/compat/authority.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <unistd.h>

#include "tests/compat/identity.h"

namespace compat
{
namespace
{

void run(const std::string &command)
{
    if (system((command + " 2>/dev/null").c_str()) != 0) {
        fprintf(stderr, "authority: %s\n", command.c_str());
        abort();
    }
}

std::string request(const std::string &name, const std::string &key)
{
    return "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=" + name +
           " -keyout " + key + " ";
}

/* The certificate of `name`, signed by `above`, into `cert`. */
void sign(const std::string &name, const std::string &extension, const std::string &key,
          const std::string &cert, const Identity &above)
{
    const std::string csr = scratch(name + ".csr");
    const std::string extensions = scratch(name + ".ext");
    std::ofstream(extensions) << extension << "\n";
    run(request(name, key) + "-out " + csr);
    run("openssl x509 -req -days 2 -in " + csr + " -CA " + above.cert + " -CAkey " + above.key +
        " -CAcreateserial -extfile " + extensions + " -out " + cert);
}

} // namespace

std::string scratch(const std::string &name)
{
    const char *dir = getenv("TEST_TMPDIR");
    return std::string(dir != nullptr ? dir : "/tmp") + "/" + std::to_string(getpid()) + name;
}

std::string text_of(const std::string &path)
{
    std::ifstream file(path);
    std::stringstream all;
    all << file.rdbuf();
    return all.str();
}

Identity::Identity(const std::string &name)
    : key(scratch(name + ".key.pem")), cert(scratch(name + ".cert.pem"))
{
    run(request(name, key) + "-x509 -addext subjectAltName=DNS:" + name + " -days 2 -out " + cert);
}

Chain::Chain(const std::string &name)
    : root(name + ".root"), leaf(root), leaf_alone(scratch(name + ".leaf.pem"))
{
    Identity middle = root;
    middle.key = scratch(name + ".middle.key.pem");
    middle.cert = scratch(name + ".middle.cert.pem");
    sign(name + ".middle", "basicConstraints=critical,CA:TRUE", middle.key, middle.cert, root);
    leaf.key = scratch(name + ".key.pem");
    leaf.cert = scratch(name + ".chain.pem");
    sign(name, "subjectAltName=DNS:" + name, leaf.key, leaf_alone, middle);
    std::ofstream(leaf.cert) << text_of(leaf_alone) << text_of(middle.cert);
}

Trust::Trust(std::initializer_list<std::string> certs) : path_(scratch("trust.pem"))
{
    cert_file(); /* has set the variable */
    before_ = getenv("SSL_CERT_FILE");
    std::ofstream file(path_);
    for (const std::string &cert : certs) {
        file << text_of(cert);
    }
    file.close();
    setenv("SSL_CERT_FILE", path_.c_str(), 1);
}

Trust::~Trust()
{
    setenv("SSL_CERT_FILE", before_.c_str(), 1);
}

} // namespace compat

#include "tests/pki/pki.h"

#include <cstdlib>
#include <ctime>
#include <utility>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace pki
{
namespace
{

/* A test that cannot make its certificates has nothing to say. */
void Check(bool ok)
{
    if (!ok) {
        abort();
    }
}

bssl::UniquePtr<EVP_PKEY> NewKey()
{
    bssl::UniquePtr<EC_KEY> ec(EC_KEY_new_by_curve_name(NID_X9_62_prime256v1));
    bssl::UniquePtr<EVP_PKEY> key(EVP_PKEY_new());
    Check(ec && key && EC_KEY_generate_key(ec.get()) != 0 &&
          EVP_PKEY_set1_EC_KEY(key.get(), ec.get()) != 0);
    return key;
}

void AddExtension(X509 *cert, int nid, const std::string &value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, cert, cert, nullptr, nullptr, 0);
    bssl::UniquePtr<X509_EXTENSION> ext(X509V3_EXT_nconf_nid(nullptr, &ctx, nid, value.c_str()));
    Check(ext && X509_add_ext(cert, ext.get(), -1) != 0);
}

bssl::UniquePtr<X509> NewCert(const std::string &name, EVP_PKEY *key, int64_t from_s,
                              int64_t until_s)
{
    static uint64_t serial = 0;
    bssl::UniquePtr<X509> cert(X509_new());
    const time_t now = time(nullptr);
    X509_NAME *subject = X509_get_subject_name(cert.get());
    Check(X509_set_version(cert.get(), X509_VERSION_3) != 0 &&
          ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert.get()), ++serial) != 0 &&
          ASN1_TIME_set(X509_getm_notBefore(cert.get()), now + static_cast<time_t>(from_s)) !=
              nullptr &&
          ASN1_TIME_set(X509_getm_notAfter(cert.get()), now + static_cast<time_t>(until_s)) !=
              nullptr &&
          X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                     reinterpret_cast<const uint8_t *>(name.c_str()), -1, -1,
                                     0) != 0 &&
          X509_set_pubkey(cert.get(), key) != 0);
    return cert;
}

void Sign(X509 *cert, X509 *issuer, EVP_PKEY *key)
{
    Check(X509_set_issuer_name(cert, X509_get_subject_name(issuer)) != 0 &&
          X509_sign(cert, key, EVP_sha256()) > 0);
}

std::string Text(BIO *bio)
{
    const uint8_t *data = nullptr;
    size_t len = 0;
    Check(BIO_mem_contents(bio, &data, &len) != 0);
    return std::string(reinterpret_cast<const char *>(data), len);
}

std::string Pem(X509 *cert)
{
    bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
    Check(PEM_write_bio_X509(bio.get(), cert) != 0);
    return Text(bio.get());
}

} // namespace

Authority::Authority(const std::string &name, unsigned depth)
{
    for (unsigned i = 0; i <= depth; i++) {
        Node node;
        node.key = NewKey();
        node.cert = NewCert(i == 0 ? name : name + " " + std::to_string(i), node.key.get(), -7200,
                            10 * 24 * 3600);
        AddExtension(node.cert.get(), NID_basic_constraints, "critical,CA:TRUE");
        AddExtension(node.cert.get(), NID_key_usage, "critical,keyCertSign");
        const Node &issuer = i == 0 ? node : nodes_.back();
        Sign(node.cert.get(), issuer.cert.get(), issuer.key.get());
        nodes_.push_back(std::move(node));
    }
    root_ = Pem(nodes_[0].cert.get());
}

Authority::~Authority() = default;

Identity Authority::Issue(const Wish &wish) const
{
    bssl::UniquePtr<EVP_PKEY> key = NewKey();
    bssl::UniquePtr<X509> cert = NewCert(wish.client ? "client" : wish.names[0].substr(0, 60),
                                         key.get(), wish.from_s, wish.until_s);
    AddExtension(cert.get(), NID_basic_constraints, "critical,CA:FALSE");
    AddExtension(cert.get(), NID_ext_key_usage, wish.client ? "clientAuth" : "serverAuth");
    std::string names;
    for (const std::string &name : wish.names) {
        names += (names.empty() ? "DNS:" : ",DNS:") + name;
    }
    AddExtension(cert.get(), NID_subject_alt_name, names);
    Sign(cert.get(), nodes_.back().cert.get(), nodes_.back().key.get());

    Identity out;
    out.cert = Pem(cert.get());
    for (size_t i = nodes_.size() - 1; i > 0; i--) {
        out.cert += Pem(nodes_[i].cert.get());
    }
    bssl::UniquePtr<BIO> bio(BIO_new(BIO_s_mem()));
    Check(PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
          0);
    out.key = Text(bio.get());
    uint8_t *der = nullptr;
    const int len = i2d_X509(cert.get(), &der);
    Check(len > 0);
    out.leaf_der.assign(reinterpret_cast<const char *>(der), static_cast<size_t>(len));
    OPENSSL_free(der);
    return out;
}

} // namespace pki

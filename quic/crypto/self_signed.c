#include "quic/crypto/self_signed.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define BEFORE_S 3600u /* clocks differ */
#define VALID_S  (10u * 24u * 3600u)

static EVP_PKEY *make_key(void)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EVP_PKEY *key = EVP_PKEY_new();
    if (ec == NULL || key == NULL || !EC_KEY_generate_key(ec) || !EVP_PKEY_set1_EC_KEY(key, ec)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    EC_KEY_free(ec);
    return key;
}

static bool add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_nconf_nid(NULL, &ctx, nid, value);
    const bool ok = ext != NULL && X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
    return ok;
}

static bool fill_names(X509 *cert, EVP_PKEY *key, uint64_t now)
{
    uint64_t serial = 0;
    RAND_bytes((uint8_t *)&serial, sizeof(serial));
    X509_NAME *name = X509_get_subject_name(cert);
    return X509_set_version(cert, X509_VERSION_3) &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1 | 1) &&
           ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)(now - BEFORE_S)) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)(now - BEFORE_S + VALID_S)) != NULL &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"localhost", -1,
                                      -1, 0) &&
           X509_set_issuer_name(cert, name) && X509_set_pubkey(cert, key);
}

/* No key usage: with one that lacks certificate signing, verifiers that are given this certificate
 * as trust anchor would not see that it signed itself. */
static X509 *make_cert(EVP_PKEY *key, uint64_t now)
{
    X509 *cert = X509_new();
    if (cert != NULL && fill_names(cert, key, now) &&
        add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
        add_extension(cert, NID_ext_key_usage, "serverAuth") &&
        add_extension(cert, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1,IP:::1") &&
        X509_sign(cert, key, EVP_sha256()) > 0) {
        return cert;
    }
    X509_free(cert);
    return NULL;
}

/* Copies what `bio` holds and ends it with a 0. */
static bool take_text(BIO *bio, char *out, size_t *out_len)
{
    const uint8_t *data = NULL;
    size_t len = 0;
    if (!BIO_mem_contents(bio, &data, &len) || len >= QUIC_SELF_SIGNED_PEM_CAP) {
        return false;
    }
    memcpy(out, data, len);
    out[len] = '\0';
    *out_len = len;
    return true;
}

quic_rc quic_self_signed_make(char *out_cert_pem, size_t *out_cert_len, char *out_key_pem,
                              size_t *out_key_len, uint64_t now_unix_s)
{
    const uint64_t now = now_unix_s > BEFORE_S ? now_unix_s : BEFORE_S;
    EVP_PKEY *key = make_key();
    X509 *cert = key != NULL ? make_cert(key, now) : NULL;
    BIO *cert_bio = BIO_new(BIO_s_mem());
    BIO *key_bio = BIO_new(BIO_s_mem());
    const bool ok = cert != NULL && cert_bio != NULL && key_bio != NULL &&
                    PEM_write_bio_X509(cert_bio, cert) &&
                    PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) &&
                    take_text(cert_bio, out_cert_pem, out_cert_len) &&
                    take_text(key_bio, out_key_pem, out_key_len);
    BIO_free(key_bio);
    BIO_free(cert_bio);
    X509_free(cert);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return ok ? QUIC_OK : QUIC_E_CRYPTO;
}

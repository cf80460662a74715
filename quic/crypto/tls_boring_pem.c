#include "quic/crypto/tls_boring_pem.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#define CHAIN_MAX   16u   /* certificates of our own chain */
#define ANCHORS_MAX 4096u /* trust anchors; system bundles have about 150 */
#define PEM_LEN_MAX (16u << 20)

/* Without this, an encrypted key would make the library ask on the terminal. */
static int no_pass_phrase(char *buf, int size, int writing, void *ctx)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)ctx;
    return 0;
}

/* True when PEM reading stopped because the text ended, not because it is wrong. */
static bool pem_ended(void)
{
    const uint32_t code = ERR_peek_last_error();
    const bool ended =
        ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
    if (ended) {
        ERR_clear_error();
    }
    return ended;
}

static BIO *open_pem(const uint8_t *pem, size_t len)
{
    return len <= PEM_LEN_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
}

bool quic_boring_use_chain(SSL_CTX *ctx, const uint8_t *pem, size_t len)
{
    BIO *bio = open_pem(pem, len);
    bool ok = bio != NULL;
    unsigned count = 0;
    while (ok) {
        X509 *cert = PEM_read_bio_X509(bio, NULL, no_pass_phrase, NULL);
        if (cert == NULL) {
            ok = count > 0 && pem_ended();
            break;
        }
        ok = count < CHAIN_MAX &&
             (count == 0 ? SSL_CTX_use_certificate(ctx, cert) : SSL_CTX_add1_chain_cert(ctx, cert));
        X509_free(cert);
        count++;
    }
    BIO_free(bio);
    return ok;
}

bool quic_boring_use_key(SSL_CTX *ctx, const uint8_t *pem, size_t len)
{
    BIO *bio = open_pem(pem, len);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, NULL) : NULL;
    const bool ok = key != NULL && SSL_CTX_use_PrivateKey(ctx, key);
    EVP_PKEY_free(key);
    BIO_free(bio);
    return ok;
}

bool quic_boring_use_anchors(SSL_CTX *ctx, const uint8_t *pem, size_t len, bool announce)
{
    BIO *bio = open_pem(pem, len);
    bool ok = bio != NULL;
    unsigned count = 0;
    while (ok) {
        X509 *cert = PEM_read_bio_X509(bio, NULL, no_pass_phrase, NULL);
        if (cert == NULL) {
            ok = count > 0 && pem_ended();
            break;
        }
        ok = count < ANCHORS_MAX && X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert) &&
             (!announce || SSL_CTX_add_client_CA(ctx, cert));
        X509_free(cert);
        count++;
    }
    BIO_free(bio);
    /* What the caller lists is trusted as it is: a chain may end at an intermediate or a leaf. */
    return ok && X509_STORE_set_flags(SSL_CTX_get_cert_store(ctx), X509_V_FLAG_PARTIAL_CHAIN);
}

#include "quic/crypto/tls_boring_config.h"

#include <stdatomic.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "quic/base/check.h"
#include "quic/crypto/tls_boring_session.h"

#define CHAIN_MAX     16u   /* certificates of our own chain */
#define ANCHORS_MAX   4096u /* trust anchors; system bundles have about 150 */
#define PEM_LEN_MAX   (16u << 20)
#define ALPN_WIRE_MAX (QUIC_TLS_ALPN_COUNT_MAX * 256u)

struct quic_tls_boring_config {
    SSL_CTX *ctx;
    _Atomic uint32_t refs;
    quic_role role;
    bool verifies;
    bool names;
    uint32_t alpn_len;
    uint8_t alpn[ALPN_WIRE_MAX]; /* ProtocolNameList without its length */
};

/* explain writes `what`, and BoringSSL's reason if there is one, and empties the error queue. */
static quic_rc explain(char *err, size_t err_len, quic_rc rc, const char *what)
{
    const uint32_t code = ERR_peek_last_error();
    if (err != NULL && err_len > 0) {
        err[0] = '\0';
        OPENSSL_strlcpy(err, what, err_len);
        if (code != 0) {
            const char *reason = ERR_reason_error_string(code);
            OPENSSL_strlcat(err, ": ", err_len);
            OPENSSL_strlcat(err, reason != NULL ? reason : "unknown reason", err_len);
        }
    }
    ERR_clear_error();
    return rc;
}

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

static bool use_chain(SSL_CTX *ctx, const uint8_t *pem, size_t len)
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

static bool use_key(SSL_CTX *ctx, const uint8_t *pem, size_t len)
{
    BIO *bio = open_pem(pem, len);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, NULL) : NULL;
    const bool ok = key != NULL && SSL_CTX_use_PrivateKey(ctx, key);
    EVP_PKEY_free(key);
    BIO_free(bio);
    return ok;
}

static bool use_anchors(SSL_CTX *ctx, const uint8_t *pem, size_t len, bool announce)
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

static bool fill_alpn(quic_tls_boring_config *config, const quic_tls_boring_options *options)
{
    if (options->any_alpn && options->alpn_count == 0) {
        return true;
    }
    if (options->alpn_count == 0 || options->alpn_count > QUIC_TLS_ALPN_COUNT_MAX) {
        return false;
    }
    for (size_t i = 0; i < options->alpn_count; i++) {
        const size_t len = options->alpn[i] != NULL ? strlen(options->alpn[i]) : 0;
        if (len == 0 || len > 255) {
            return false;
        }
        config->alpn[config->alpn_len++] = (uint8_t)len;
        memcpy(config->alpn + config->alpn_len, options->alpn[i], len);
        config->alpn_len += (uint32_t)len;
    }
    return true;
}

/* Server: our preference decides (RFC 7301 3.2); nothing in common is fatal (RFC 9001 8.1). */
static int select_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *offered,
                       unsigned offered_len, void *arg)
{
    const quic_tls_boring_config *config = (const quic_tls_boring_config *)arg;
    (void)ssl;
    if (config->alpn_len == 0 && offered_len > 1) { /* any will do */
        *out = offered + 1;
        *out_len = offered[0];
        return SSL_TLSEXT_ERR_OK;
    }
    for (size_t i = 0; i < config->alpn_len; i += 1u + config->alpn[i]) {
        const size_t len = config->alpn[i];
        for (size_t j = 0; j < offered_len; j += 1u + offered[j]) { /* checked by BoringSSL */
            if (offered[j] == len && j + len < offered_len &&
                memcmp(offered + j + 1, config->alpn + i + 1, len) == 0) {
                *out = config->alpn + i + 1;
                *out_len = (uint8_t)len;
                return SSL_TLSEXT_ERR_OK;
            }
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* A ticket stands in for what was verified when it was made: it is good only where the same
 * certificate, trust anchors and policy are in force. */
static bool init_sessions(quic_tls_boring_config *config, const quic_tls_boring_options *options)
{
    const size_t len = 1 + options->cert_pem_len + options->ca_pem_len;
    uint8_t *identity = (uint8_t *)OPENSSL_malloc(len);
    if (identity == NULL) {
        return false;
    }
    identity[0] = options->verify_peer ? 1 : 0;
    if (options->cert_pem_len > 0) {
        memcpy(identity + 1, options->cert_pem, options->cert_pem_len);
    }
    if (options->ca_pem_len > 0) {
        memcpy(identity + 1 + options->cert_pem_len, options->ca_pem, options->ca_pem_len);
    }
    const bool ok = quic_boring_session_init_ctx(config->ctx, config->role, identity, len);
    OPENSSL_free(identity);
    return ok;
}

static quic_rc new_config(quic_tls_boring_config **out, quic_role role,
                          const quic_tls_boring_options *options, char *err, size_t err_len)
{
    quic_tls_boring_config *config = (quic_tls_boring_config *)OPENSSL_malloc(sizeof(*config));
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    if (config == NULL || ctx == NULL) {
        OPENSSL_free(config);
        SSL_CTX_free(ctx);
        return explain(err, err_len, QUIC_E_NOMEM, "no memory for a TLS context");
    }
    memset(config, 0, sizeof(*config));
    config->ctx = ctx;
    config->role = role;
    config->names = !options->any_name;
    atomic_init(&config->refs, 1);
    *out = config;
    if (!fill_alpn(config, options)) {
        return explain(err, err_len, QUIC_E_INVAL,
                       "ALPN: give 1 to 16 protocol names of 1 to 255 bytes each");
    }
    /* RFC 9001 4.2: nothing older than TLS 1.3. */
    if (!SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) ||
        !SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION)) {
        return explain(err, err_len, QUIC_E_CRYPTO, "TLS 1.3 is not available");
    }
    return init_sessions(config, options)
               ? QUIC_OK
               : explain(err, err_len, QUIC_E_NOMEM, "no memory for a TLS context");
}

static quic_rc use_identity(SSL_CTX *ctx, const quic_tls_boring_options *options, char *err,
                            size_t err_len)
{
    ERR_clear_error();
    if (!use_chain(ctx, options->cert_pem, options->cert_pem_len)) {
        return explain(err, err_len, QUIC_E_CRYPTO, "certificate chain cannot be used");
    }
    if (options->key_pem == NULL) {
        return explain(err, err_len, QUIC_E_CRYPTO, "a private key is missing");
    }
    if (!use_key(ctx, options->key_pem, options->key_pem_len)) {
        return explain(err, err_len, QUIC_E_CRYPTO,
                       ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH
                           ? "the private key does not belong to the certificate"
                           : "private key cannot be used");
    }
    if (!SSL_CTX_check_private_key(ctx)) {
        return explain(err, err_len, QUIC_E_CRYPTO,
                       "the private key does not belong to the certificate");
    }
    return QUIC_OK;
}

static quic_rc setup_server(quic_tls_boring_config *config, const quic_tls_boring_options *options,
                            char *err, size_t err_len)
{
    if (options->cert_pem == NULL) {
        return explain(err, err_len, QUIC_E_CRYPTO, "a server needs a certificate");
    }
    const quic_rc rc = use_identity(config->ctx, options, err, err_len);
    if (rc != QUIC_OK) {
        return rc;
    }
    SSL_CTX_set_alpn_select_cb(config->ctx, select_alpn, config);
    if (!options->verify_peer || options->ca_pem == NULL) {
        return QUIC_OK;
    }
    if (!use_anchors(config->ctx, options->ca_pem, options->ca_pem_len, true)) {
        return explain(err, err_len, QUIC_E_CRYPTO, "trust anchors cannot be used");
    }
    SSL_CTX_set_verify(config->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    config->verifies = true;
    return QUIC_OK;
}

static quic_rc setup_client(quic_tls_boring_config *config, const quic_tls_boring_options *options,
                            char *err, size_t err_len)
{
    if (SSL_CTX_set_alpn_protos(config->ctx, config->alpn, config->alpn_len) != 0) {
        return explain(err, err_len, QUIC_E_INVAL, "ALPN list refused");
    }
    if (options->cert_pem != NULL) {
        const quic_rc rc = use_identity(config->ctx, options, err, err_len);
        if (rc != QUIC_OK) {
            return rc;
        }
    }
    if (!options->verify_peer) {
        SSL_CTX_set_verify(config->ctx, SSL_VERIFY_NONE, NULL);
        return QUIC_OK;
    }
    ERR_clear_error();
    if (options->ca_pem == NULL) {
        return explain(err, err_len, QUIC_E_CRYPTO, "no trust anchors to verify servers with");
    }
    if (!use_anchors(config->ctx, options->ca_pem, options->ca_pem_len, false)) {
        return explain(err, err_len, QUIC_E_CRYPTO, "trust anchors cannot be used");
    }
    SSL_CTX_set_verify(config->ctx, SSL_VERIFY_PEER, NULL);
    config->verifies = true;
    return QUIC_OK;
}

static quic_rc create(quic_tls_boring_config **out, quic_role role,
                      const quic_tls_boring_options *options, char *err, size_t err_len)
{
    quic_tls_boring_config *config = NULL;
    quic_rc rc = new_config(&config, role, options, err, err_len);
    if (rc == QUIC_OK) {
        rc = role == QUIC_SERVER ? setup_server(config, options, err, err_len)
                                 : setup_client(config, options, err, err_len);
    }
    if (rc != QUIC_OK) {
        quic_tls_boring_config_release(config);
        return rc;
    }
    *out = config;
    return QUIC_OK;
}

quic_rc quic_tls_boring_config_create_server(quic_tls_boring_config **out,
                                             const quic_tls_boring_options *options, char *err,
                                             size_t err_len)
{
    return create(out, QUIC_SERVER, options, err, err_len);
}

quic_rc quic_tls_boring_config_create_client(quic_tls_boring_config **out,
                                             const quic_tls_boring_options *options, char *err,
                                             size_t err_len)
{
    return create(out, QUIC_CLIENT, options, err, err_len);
}

quic_tls_boring_config *quic_tls_boring_config_retain(quic_tls_boring_config *config)
{
    atomic_fetch_add_explicit(&config->refs, 1, memory_order_relaxed);
    return config;
}

void quic_tls_boring_config_release(quic_tls_boring_config *config)
{
    if (config == NULL) {
        return;
    }
    const uint32_t before = atomic_fetch_sub_explicit(&config->refs, 1, memory_order_acq_rel);
    QURING_ASSERT(before > 0);
    if (before == 1) {
        SSL_CTX_free(config->ctx);
        OPENSSL_free(config);
    }
}

struct ssl_ctx_st *quic_tls_boring_config_ctx(const quic_tls_boring_config *config)
{
    return config->ctx;
}

bool quic_tls_boring_config_names(const quic_tls_boring_config *config)
{
    return config->names;
}

bool quic_tls_boring_config_verifies(const quic_tls_boring_config *config)
{
    return config->verifies;
}

quic_role quic_tls_boring_config_role(const quic_tls_boring_config *config)
{
    return config->role;
}

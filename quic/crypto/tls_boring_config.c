#include "quic/crypto/tls_boring_config.h"

#include <stdatomic.h>

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "quic/base/bytes.h"
#include "quic/base/check.h"
#include "quic/crypto/sni_table.h"
#include "quic/crypto/tls_boring_cipher.h"
#include "quic/crypto/tls_boring_pem.h"
#include "quic/crypto/tls_boring_session.h"

#define ALPN_WIRE_MAX (QUIC_TLS_ALPN_COUNT_MAX * 256u)
#define IDENTITY_HEAD 10u /* of what a ticket is for: flags, client_cert, length of the chain */

struct quic_tls_boring_config {
    SSL_CTX *ctx;        /* the default identity, or none */
    SSL_CTX **named;     /* by server name */
    size_t named_count;  /* of those made */
    quic_sni_table *sni; /* to indices of `named`; NULL: one identity for all */
    bool refuse_unknown_names;
    _Atomic uint32_t refs;
    quic_role role;
    bool verifies;
    bool names; /* the name in the peer's certificate is verified */
    bool exports;
    void (*keylog)(void *ctx, const char *line);
    void *keylog_ctx;
    uint32_t alpn_len;
    uint8_t alpn[ALPN_WIRE_MAX]; /* ProtocolNameList without its length */
};

/* What a configuration is made from, and who is told when it cannot be. */
typedef struct builder {
    quic_tls_boring_config *config;
    const quic_tls_boring_options *options;
    const char *name; /* of the identity at hand; NULL: the default one */
    char *err;
    size_t err_len;
} builder;

/* explain writes `what`, and BoringSSL's reason if there is one, and empties the error queue. */
static quic_rc explain(const builder *b, quic_rc rc, const char *what)
{
    const uint32_t code = ERR_peek_last_error();
    if (b->err != NULL && b->err_len > 0) {
        b->err[0] = '\0';
        if (b->name != NULL) {
            OPENSSL_strlcpy(b->err, b->name, b->err_len);
            OPENSSL_strlcat(b->err, ": ", b->err_len);
        }
        OPENSSL_strlcat(b->err, what, b->err_len);
        if (code != 0) {
            const char *reason = ERR_reason_error_string(code);
            OPENSSL_strlcat(b->err, ": ", b->err_len);
            OPENSSL_strlcat(b->err, reason != NULL ? reason : "unknown reason", b->err_len);
        }
    }
    ERR_clear_error();
    return rc;
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
static bool init_sessions(const builder *b, SSL_CTX *ctx, const uint8_t *cert_pem,
                          size_t cert_pem_len)
{
    const quic_tls_boring_options *options = b->options;
    const size_t len = IDENTITY_HEAD + cert_pem_len + options->ca_pem_len;
    uint8_t *identity = (uint8_t *)OPENSSL_malloc(len);
    if (identity == NULL) {
        return false;
    }
    identity[0] = (uint8_t)((options->verify_peer ? 1 : 0) | (options->any_name ? 2 : 0));
    identity[1] = (uint8_t)options->client_cert;
    quic_store_be64(identity + 2, cert_pem_len); /* where the chain ends and the anchors begin */
    if (cert_pem_len > 0) {
        memcpy(identity + IDENTITY_HEAD, cert_pem, cert_pem_len);
    }
    if (options->ca_pem_len > 0) {
        memcpy(identity + IDENTITY_HEAD + cert_pem_len, options->ca_pem, options->ca_pem_len);
    }
    const bool ok = quic_boring_session_init_ctx(ctx, b->config->role, identity, len);
    OPENSSL_free(identity);
    return ok;
}

static void tell_secret(const SSL *ssl, const char *line)
{
    const quic_tls_boring_config *config =
        (const quic_tls_boring_config *)SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    config->keylog(config->keylog_ctx, line);
}

/* What all contexts of a configuration have in common but for their certificates. */
static quic_rc make_ctx(SSL_CTX **out, const builder *b, const uint8_t *cert_pem,
                        size_t cert_pem_len)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    if (ctx == NULL) {
        return explain(b, QUIC_E_NOMEM, "no memory for a TLS context");
    }
    *out = ctx;
    /* RFC 9001 4.2: nothing older than TLS 1.3. */
    if (!SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) ||
        !SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION)) {
        return explain(b, QUIC_E_CRYPTO, "TLS 1.3 is not available");
    }
    if (b->options->cipher_suite != 0 && !quic_boring_cipher_use(ctx, b->options->cipher_suite)) {
        return explain(b, QUIC_E_CRYPTO, "this cipher suite cannot be chosen");
    }
    if (b->options->keylog != NULL) {
        b->config->keylog = b->options->keylog;
        b->config->keylog_ctx = b->options->keylog_ctx;
        if (!SSL_CTX_set_app_data(ctx, b->config)) {
            return explain(b, QUIC_E_NOMEM, "no memory for a TLS context");
        }
        SSL_CTX_set_keylog_callback(ctx, tell_secret);
    }
    const uint32_t chain_max = b->options->peer_chain_max_bytes;
    SSL_CTX_set_max_cert_list(ctx, chain_max != 0 ? chain_max : QUIC_TLS_CHAIN_MAX);
    return init_sessions(b, ctx, cert_pem, cert_pem_len)
               ? QUIC_OK
               : explain(b, QUIC_E_NOMEM, "no memory for a TLS context");
}

/* A certificate out of its time makes every handshake fail. */
static quic_rc check_validity(const builder *b, const SSL_CTX *ctx)
{
    const X509 *leaf = SSL_CTX_get0_certificate(ctx);
    time_t at = (time_t)b->options->valid_at_unix_s;
    if (at == 0 || leaf == NULL) {
        return QUIC_OK;
    }
    if (X509_cmp_time(X509_get0_notAfter(leaf), &at) < 0) {
        return explain(b, QUIC_E_CRYPTO, "the certificate has expired");
    }
    return X509_cmp_time(X509_get0_notBefore(leaf), &at) < 0
               ? QUIC_OK
               : explain(b, QUIC_E_CRYPTO, "the certificate is not valid yet");
}

static quic_rc use_identity(const builder *b, SSL_CTX *ctx, const quic_tls_boring_identity *id)
{
    ERR_clear_error();
    if (!quic_boring_use_chain(ctx, id->cert_pem, id->cert_pem_len)) {
        return explain(b, QUIC_E_CRYPTO, "certificate chain cannot be used");
    }
    if (id->key_pem == NULL) {
        return explain(b, QUIC_E_CRYPTO, "a private key is missing");
    }
    if (!quic_boring_use_key(ctx, id->key_pem, id->key_pem_len)) {
        return explain(b, QUIC_E_CRYPTO,
                       ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH
                           ? "the private key does not belong to the certificate"
                           : "private key cannot be used");
    }
    if (!SSL_CTX_check_private_key(ctx)) {
        return explain(b, QUIC_E_CRYPTO, "the private key does not belong to the certificate");
    }
    return check_validity(b, ctx);
}

static quic_tls_boring_identity default_identity(const quic_tls_boring_options *options)
{
    const quic_tls_boring_identity id = {
        .cert_pem = options->cert_pem,
        .cert_pem_len = options->cert_pem_len,
        .key_pem = options->key_pem,
        .key_pem_len = options->key_pem_len,
    };
    return id;
}

/* ---- server ------------------------------------------------------------------------------------ */

/* The peer has proved that it holds the key; whose it is remains to be seen. */
static enum ssl_verify_result_t take_any_certificate(SSL *ssl, uint8_t *out_alert)
{
    (void)ssl;
    (void)out_alert;
    return ssl_verify_ok;
}

/* RFC 8446 4.3.2, 4.4.2.4 */
static quic_rc ask_clients(const builder *b, SSL_CTX *ctx)
{
    const quic_tls_boring_options *options = b->options;
    if (options->client_cert == QUIC_CLIENT_CERT_NONE) {
        return QUIC_OK;
    }
    const int mode = options->client_cert == QUIC_CLIENT_CERT_REQUIRE
                         ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                         : SSL_VERIFY_PEER;
    if (!options->verify_peer) {
        SSL_CTX_set_custom_verify(ctx, mode, take_any_certificate);
        return QUIC_OK;
    }
    ERR_clear_error();
    if (options->ca_pem == NULL) {
        return explain(b, QUIC_E_CRYPTO, "no trust anchors to verify clients with");
    }
    if (!quic_boring_use_anchors(ctx, options->ca_pem, options->ca_pem_len, true)) {
        return explain(b, QUIC_E_CRYPTO, "trust anchors cannot be used");
    }
    SSL_CTX_set_verify(ctx, mode, NULL);
    b->config->verifies = true;
    return QUIC_OK;
}

/* A named context takes the anchors of the first one along: they may be thousands. */
static bool share_anchors(SSL_CTX *to, const SSL_CTX *from)
{
    const STACK_OF(X509_NAME) *announced = SSL_CTX_get_client_CA_list(from);
    X509_STORE *store = SSL_CTX_get_cert_store(from);
    if (announced != NULL) {
        STACK_OF(X509_NAME) *copy = SSL_dup_CA_list((STACK_OF(X509_NAME) *)(uintptr_t)announced);
        if (copy == NULL) {
            return false;
        }
        SSL_CTX_set_client_CA_list(to, copy);
    }
    if (!X509_STORE_up_ref(store)) {
        return false;
    }
    SSL_CTX_set_cert_store(to, store);
    return true;
}

static quic_rc add_named(builder *b, const quic_tls_boring_identity *id)
{
    quic_tls_boring_config *config = b->config;
    b->name = id->name != NULL ? id->name : "(no name)";
    ERR_clear_error();
    quic_rc rc = id->name == NULL
                     ? QUIC_E_INVAL
                     : quic_sni_table_add(config->sni, id->name, (uint32_t)config->named_count);
    if (rc != QUIC_OK) {
        return explain(b, QUIC_E_INVAL,
                       rc == QUIC_E_STATE ? "this name is there already"
                                          : "not a server name (www.example.com, *.example.com)");
    }
    SSL_CTX **slot = &config->named[config->named_count];
    rc = make_ctx(slot, b, id->cert_pem, id->cert_pem_len);
    if (*slot != NULL) {
        config->named_count++;
    }
    if (rc != QUIC_OK) {
        return rc;
    }
    SSL_CTX_set_alpn_select_cb(*slot, select_alpn, config);
    if (!share_anchors(*slot, config->ctx)) {
        return explain(b, QUIC_E_NOMEM, "no memory for a TLS context");
    }
    return use_identity(b, *slot, id);
}

/* RFC 6066 3. The handshake goes on with the context of the name asked for. */
static int on_server_name(SSL *ssl, int *out_alert, void *arg)
{
    const quic_tls_boring_config *config = (const quic_tls_boring_config *)arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const uint32_t i = name != NULL ? quic_sni_table_find(config->sni, name) : QUIC_SNI_NONE;
    if (i == QUIC_SNI_NONE) {
        *out_alert = name != NULL ? SSL_AD_UNRECOGNIZED_NAME : SSL_AD_MISSING_EXTENSION;
        return config->refuse_unknown_names ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_NOACK;
    }
    if (SSL_set_SSL_CTX(ssl, config->named[i]) == NULL) {
        *out_alert = SSL_AD_INTERNAL_ERROR;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    quic_boring_session_on_new_ctx(ssl);
    return SSL_TLSEXT_ERR_OK;
}

static quic_rc setup_names(builder *b)
{
    quic_tls_boring_config *config = b->config;
    const size_t count = b->options->identity_count;
    config->refuse_unknown_names = b->options->refuse_unknown_names;
    if (count > QUIC_TLS_IDENTITIES_MAX) {
        return explain(b, QUIC_E_INVAL, "too many identities");
    }
    config->sni = quic_sni_table_create((uint32_t)count);
    config->named = (SSL_CTX **)OPENSSL_malloc((count + 1) * sizeof(SSL_CTX *));
    if (config->sni == NULL || config->named == NULL) {
        return explain(b, QUIC_E_NOMEM, "no memory for server names");
    }
    memset(config->named, 0, (count + 1) * sizeof(SSL_CTX *));
    quic_rc rc = QUIC_OK;
    for (size_t i = 0; i < count && rc == QUIC_OK; i++) {
        rc = add_named(b, &b->options->identities[i]);
    }
    b->name = NULL;
    SSL_CTX_set_tlsext_servername_callback(config->ctx, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(config->ctx, config);
    return rc;
}

static quic_rc setup_server(builder *b)
{
    quic_tls_boring_config *config = b->config;
    const quic_tls_boring_options *options = b->options;
    const bool named_only = options->refuse_unknown_names && options->identity_count > 0;
    if (options->cert_pem == NULL && !named_only) {
        return explain(b, QUIC_E_CRYPTO, "a server needs a certificate");
    }
    const quic_tls_boring_identity id = default_identity(options);
    quic_rc rc = id.cert_pem != NULL ? use_identity(b, config->ctx, &id) : QUIC_OK;
    if (rc != QUIC_OK) {
        return rc;
    }
    SSL_CTX_set_alpn_select_cb(config->ctx, select_alpn, config);
    rc = ask_clients(b, config->ctx);
    if (rc != QUIC_OK || (options->identity_count == 0 && !options->refuse_unknown_names)) {
        return rc;
    }
    return setup_names(b);
}

/* ---- client ------------------------------------------------------------------------------------ */

static quic_rc setup_client(builder *b)
{
    quic_tls_boring_config *config = b->config;
    const quic_tls_boring_options *options = b->options;
    if (SSL_CTX_set_alpn_protos(config->ctx, config->alpn, config->alpn_len) != 0) {
        return explain(b, QUIC_E_INVAL, "ALPN list refused");
    }
    if (options->cert_pem != NULL) {
        const quic_tls_boring_identity id = default_identity(options);
        const quic_rc rc = use_identity(b, config->ctx, &id);
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
        return explain(b, QUIC_E_CRYPTO, "no trust anchors to verify servers with");
    }
    if (!quic_boring_use_anchors(config->ctx, options->ca_pem, options->ca_pem_len, false)) {
        return explain(b, QUIC_E_CRYPTO, "trust anchors cannot be used");
    }
    SSL_CTX_set_verify(config->ctx, SSL_VERIFY_PEER, NULL);
    config->verifies = true;
    return QUIC_OK;
}

/* ---- life -------------------------------------------------------------------------------------- */

static quic_rc build(builder *b, quic_role role)
{
    quic_tls_boring_config *config = b->config;
    config->role = role;
    config->names = !b->options->any_name;
    config->exports = b->options->exports;
    atomic_init(&config->refs, 1);
    if (!fill_alpn(config, b->options)) {
        return explain(b, QUIC_E_INVAL, "ALPN: give 1 to 16 protocol names of 1 to 255 bytes each");
    }
    const quic_rc rc = make_ctx(&config->ctx, b, b->options->cert_pem, b->options->cert_pem_len);
    if (rc != QUIC_OK) {
        return rc;
    }
    return role == QUIC_SERVER ? setup_server(b) : setup_client(b);
}

static quic_rc create(quic_tls_boring_config **out, quic_role role,
                      const quic_tls_boring_options *options, char *err, size_t err_len)
{
    builder b = {.options = options, .err = err, .err_len = err_len};
    b.config = (quic_tls_boring_config *)OPENSSL_malloc(sizeof(*b.config));
    if (b.config == NULL) {
        return explain(&b, QUIC_E_NOMEM, "no memory for a TLS context");
    }
    memset(b.config, 0, sizeof(*b.config));
    const quic_rc rc = build(&b, role);
    if (rc != QUIC_OK) {
        quic_tls_boring_config_release(b.config);
        return rc;
    }
    *out = b.config;
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
        for (size_t i = 0; i < config->named_count; i++) {
            SSL_CTX_free(config->named[i]);
        }
        OPENSSL_free(config->named);
        quic_sni_table_destroy(config->sni);
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

bool quic_tls_boring_config_exports(const quic_tls_boring_config *config)
{
    return config->exports;
}

quic_role quic_tls_boring_config_role(const quic_tls_boring_config *config)
{
    return config->role;
}

#include "quic/crypto/tls_boring.h"

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "quic/crypto/tls_boring_config.h"
#include "quic/crypto/tls_boring_session.h"
#include "quic/crypto/tls_heads.h"

/* BoringSSL counts levels as we do. */
_Static_assert((int)ssl_encryption_initial == (int)QUIC_LEVEL_INITIAL, "levels");
_Static_assert((int)ssl_encryption_early_data == (int)QUIC_LEVEL_EARLY, "levels");
_Static_assert((int)ssl_encryption_handshake == (int)QUIC_LEVEL_HANDSHAKE, "levels");
_Static_assert((int)ssl_encryption_application == (int)QUIC_LEVEL_APP, "levels");

#define NAME_LEN_MAX   253u /* of a DNS name, without a final dot */
#define ERROR_TEXT_LEN 128u
#define NO_ALERT       (-1)

struct quic_tls {
    quic_boring_session session; /* first: tls_boring_session.h says why */
    SSL *ssl;
    quic_tls_boring_config *config;
    quic_mem *mem;
    quic_tls_sink sink;
    quic_role role;
    quic_rc sink_rc;  /* what the sink refused with, QUIC_OK otherwise */
    quic_rc final_rc; /* once failed, always failed */
    int alert;        /* TLS alert we would have sent, NO_ALERT if none */
    bool complete;
    bool cert_asked; /* client: the server sent a CertificateRequest */
    quic_tls_heads heads;
    char error_text[ERROR_TEXT_LEN];
};

/* ---- what BoringSSL calls -------------------------------------------------------------------- */

static quic_tls *self_of(const SSL *ssl)
{
    return (quic_tls *)SSL_get_app_data(ssl);
}

static int give_secret(SSL *ssl, enum ssl_encryption_level_t level, bool is_write,
                       const SSL_CIPHER *cipher, const uint8_t *secret, size_t len)
{
    quic_tls *tls = self_of(ssl);
    tls->sink_rc = tls->sink.on_secret(tls->sink.ctx, (quic_level)level, is_write,
                                       SSL_CIPHER_get_protocol_id(cipher), secret, len);
    return tls->sink_rc == QUIC_OK;
}

static int on_read_secret(SSL *ssl, enum ssl_encryption_level_t level, const SSL_CIPHER *cipher,
                          const uint8_t *secret, size_t len)
{
    return give_secret(ssl, level, false, cipher, secret, len);
}

static int on_write_secret(SSL *ssl, enum ssl_encryption_level_t level, const SSL_CIPHER *cipher,
                           const uint8_t *secret, size_t len)
{
    return give_secret(ssl, level, true, cipher, secret, len);
}

static int on_handshake_data(SSL *ssl, enum ssl_encryption_level_t level, const uint8_t *data,
                             size_t len)
{
    quic_tls *tls = self_of(ssl);
    tls->sink_rc = tls->sink.on_crypto(tls->sink.ctx, (quic_level)level, data, len);
    return tls->sink_rc == QUIC_OK;
}

static int on_flush(SSL *ssl)
{
    (void)ssl;
    return 1;
}

static int on_alert(SSL *ssl, enum ssl_encryption_level_t level, uint8_t alert)
{
    (void)level;
    self_of(ssl)->alert = alert;
    return 1;
}

static int on_certificate_request(SSL *ssl, void *arg)
{
    (void)ssl;
    ((quic_tls *)arg)->cert_asked = true;
    return 1; /* what the configuration has is shown */
}

static const SSL_QUIC_METHOD quic_method = {
    on_read_secret, on_write_secret, on_handshake_data, on_flush, on_alert,
};

/* ---- life ------------------------------------------------------------------------------------ */

static void boring_destroy(quic_tls *tls)
{
    if (tls == NULL) {
        return;
    }
    SSL_free(tls->ssl);
    quic_tls_boring_config_release(tls->config);
    quic_mem_free(tls->mem, tls, sizeof(*tls));
}

static bool looks_like_ip(const char *name)
{
    return strchr(name, ':') != NULL || name[strspn(name, "0123456789.")] == '\0';
}

static bool verifies_name(const quic_tls *tls)
{
    return quic_tls_boring_config_verifies(tls->config) &&
           quic_tls_boring_config_names(tls->config);
}

/* What is asked for and must be certified (RFC 6125); no SNI for addresses (RFC 6066 3). */
static quic_rc set_server_name(quic_tls *tls, const char *name)
{
    const bool verify = verifies_name(tls);
    if (name == NULL || name[0] == '\0') {
        return verify ? QUIC_E_INVAL : QUIC_OK; /* nothing to compare the certificate with */
    }
    X509_VERIFY_PARAM *param = SSL_get0_param(tls->ssl);
    if (looks_like_ip(name)) {
        if (verify && !X509_VERIFY_PARAM_set1_ip_asc(param, name)) {
            return QUIC_E_INVAL;
        }
        return QUIC_OK;
    }
    size_t len = strlen(name);
    if (name[len - 1] == '.') { /* RFC 6066 3: sent and compared without the final dot */
        len--;
    }
    if (len == 0 || len > NAME_LEN_MAX) {
        return QUIC_E_INVAL;
    }
    char plain[NAME_LEN_MAX + 1];
    memcpy(plain, name, len);
    plain[len] = '\0';
    X509_VERIFY_PARAM_set_hostflags(param, QUIC_BORING_HOST_FLAGS);
    if (!SSL_set_tlsext_host_name(tls->ssl, plain) ||
        (verify && !X509_VERIFY_PARAM_set1_host(param, plain, len))) {
        return QUIC_E_INVAL;
    }
    return QUIC_OK;
}

static quic_rc set_up(quic_tls *tls, const quic_tls_args *args)
{
    SSL *ssl = tls->ssl;
    if (!SSL_set_app_data(ssl, tls) || !SSL_set_quic_method(ssl, &quic_method) ||
        !SSL_set_quic_transport_params(ssl, args->params, args->params_len)) {
        return QUIC_E_CRYPTO;
    }
    if (tls->role == QUIC_SERVER) {
        SSL_set_accept_state(ssl);
        return quic_boring_session_init(&tls->session, ssl, args, &tls->sink, NULL);
    }
    SSL_set_connect_state(ssl);
    SSL_set_cert_cb(ssl, on_certificate_request, tls);
    const quic_rc rc = set_server_name(tls, args->server_name);
    const char *name = verifies_name(tls) ? args->server_name : NULL;
    return rc == QUIC_OK ? quic_boring_session_init(&tls->session, ssl, args, &tls->sink, name)
                         : rc;
}

static quic_rc boring_create(quic_tls **out, const quic_tls_args *args)
{
    /* Shared and immutable but for its reference count. */
    quic_tls_boring_config *config = args->like != NULL
                                         ? args->like->config
                                         : (quic_tls_boring_config *)(uintptr_t)args->tls_config;
    if (config == NULL || quic_tls_boring_config_role(config) != args->role) {
        return QUIC_E_INVAL;
    }
    quic_tls *tls = (quic_tls *)quic_mem_zalloc(args->mem, sizeof(*tls));
    if (tls == NULL) {
        return QUIC_E_NOMEM;
    }
    tls->mem = args->mem;
    tls->sink = args->sink;
    tls->role = args->role;
    tls->alert = NO_ALERT;
    tls->config = quic_tls_boring_config_retain(config);
    tls->ssl = SSL_new(quic_tls_boring_config_ctx(config));
    const quic_rc rc = tls->ssl != NULL ? set_up(tls, args) : QUIC_E_NOMEM;
    if (rc != QUIC_OK) {
        boring_destroy(tls);
        ERR_clear_error();
        return rc;
    }
    *out = tls;
    return QUIC_OK;
}

/* ---- progress -------------------------------------------------------------------------------- */

static void keep_error_text(quic_tls *tls)
{
    const long verify = SSL_get_verify_result(tls->ssl);
    const uint32_t code = ERR_peek_error();
    const char *text = NULL;
    if (verify != X509_V_OK && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        text = X509_verify_cert_error_string(verify);
    } else if (code != 0) {
        text = ERR_reason_error_string(code);
    }
    if (text != NULL) {
        OPENSSL_strlcpy(tls->error_text, text, sizeof(tls->error_text));
    }
}

/* Where BoringSSL has an alert and QUIC none (RFC 9001 4.1.3, 4.6.1): bytes behind the last message of a level; a
 * ticket with a limit for early data, to which alone it says this after the handshake. */
static bool is_violation(const quic_tls *tls, uint32_t code)
{
    const int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
    return reason == SSL_R_EXCESS_HANDSHAKE_DATA ||
           (reason == SSL_R_DECODE_ERROR && tls->complete &&
            tls->alert == QUIC_ALERT_ILLEGAL_PARAMETER);
}

/* failed turns BoringSSL's failure into a result: the sink's, the alert's, or our own. */
static quic_rc failed(quic_tls *tls)
{
    const bool violation = is_violation(tls, ERR_peek_error());
    keep_error_text(tls);
    ERR_clear_error();
    if (tls->sink_rc != QUIC_OK) {
        tls->final_rc = tls->sink_rc;
    } else if (violation) {
        tls->final_rc = QUIC_V_PROTOCOL_VIOLATION;
    } else if (tls->alert != NO_ALERT) {
        tls->final_rc = QUIC_V_CRYPTO_BASE + tls->alert; /* RFC 9001 4.8 */
    } else {
        tls->final_rc = QUIC_E_CRYPTO;
    }
    return tls->final_rc;
}

static bool has_alpn(const quic_tls *tls)
{
    const uint8_t *data = NULL;
    unsigned len = 0;
    SSL_get0_alpn_selected(tls->ssl, &data, &len);
    return len > 0;
}

static quic_rc advance(quic_tls *tls)
{
    ERR_clear_error();
    if (tls->complete) {
        return SSL_process_quic_post_handshake(tls->ssl) ? QUIC_OK : failed(tls);
    }
    int ret = SSL_do_handshake(tls->ssl);
    if (ret != 1 && SSL_get_error(tls->ssl, ret) == SSL_ERROR_EARLY_DATA_REJECTED) {
        tls->session.early_rejected = true;
        SSL_reset_early_data_reject(tls->ssl);
        ret = SSL_do_handshake(tls->ssl); /* as if 0-RTT had never been offered */
    }
    if (ret == 1 && SSL_in_early_data(tls->ssl)) {
        return QUIC_OK; /* far enough for early data, the peer's Finished is still to come */
    }
    if (ret == 1) {
        if (!has_alpn(tls)) {
            tls->alert = QUIC_ALERT_NO_APPLICATION_PROTOCOL; /* RFC 9001 8.1 */
            return failed(tls);
        }
        tls->complete = true;
        return QUIC_OK;
    }
    return SSL_get_error(tls->ssl, ret) == SSL_ERROR_WANT_READ ? QUIC_OK : failed(tls);
}

static quic_rc boring_start(quic_tls *tls)
{
    return tls->role == QUIC_CLIENT ? advance(tls) : QUIC_OK;
}

static quic_rc boring_provide(quic_tls *tls, quic_level level, const uint8_t *data, size_t len)
{
    if (tls->final_rc != QUIC_OK) {
        return tls->final_rc;
    }
    if (len == 0) {
        return QUIC_OK;
    }
    /* RFC 9001 4.1.3: TLS is past that level, or not there yet. */
    if ((int)SSL_quic_read_level(tls->ssl) != (int)level) {
        tls->final_rc = QUIC_V_PROTOCOL_VIOLATION;
        return tls->final_rc;
    }
    /* For these QUIC has errors of its own, also behind the last message of a level, where BoringSSL has others. */
    tls->final_rc = quic_tls_heads_check(&tls->heads, tls->role, level, data, len);
    if (tls->final_rc != QUIC_OK) {
        return tls->final_rc;
    }
    ERR_clear_error();
    if (!SSL_provide_quic_data(tls->ssl, (enum ssl_encryption_level_t)level, data, len)) {
        if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_EXCESSIVE_MESSAGE_SIZE) {
            tls->final_rc = QUIC_V_CRYPTO_BUFFER_EXCEEDED; /* RFC 9000 7.5 */
            ERR_clear_error();
            return tls->final_rc;
        }
        return failed(tls);
    }
    return advance(tls);
}

/* ---- facts ----------------------------------------------------------------------------------- */

static bool boring_is_complete(const quic_tls *tls)
{
    return tls->complete;
}

static bool boring_peer_params(const quic_tls *tls, const uint8_t **out, size_t *out_len)
{
    const uint8_t *data = NULL;
    size_t len = 0;
    SSL_get_peer_quic_transport_params(tls->ssl, &data, &len);
    if (len == 0 && !tls->complete) {
        return false;
    }
    /* RFC 9000 18: none at all are well-formed, too. Without the extension no handshake is complete (RFC 9001 8.2). */
    *out = len > 0 ? data : (const uint8_t *)"";
    *out_len = len;
    return true;
}

static bool boring_alpn(const quic_tls *tls, const uint8_t **out, size_t *out_len)
{
    const uint8_t *data = NULL;
    unsigned len = 0;
    SSL_get0_alpn_selected(tls->ssl, &data, &len);
    if (len == 0) {
        return false;
    }
    *out = data;
    *out_len = len;
    return true;
}

static const char *boring_server_name(const quic_tls *tls)
{
    return SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name);
}

static uint16_t boring_suite(const quic_tls *tls)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(tls->ssl);
    return cipher != NULL ? SSL_CIPHER_get_protocol_id(cipher) : 0;
}

static bool boring_resumed(const quic_tls *tls)
{
    return tls->complete && SSL_session_reused(tls->ssl);
}

static bool boring_peer_certificate(const quic_tls *tls, const uint8_t **out, size_t *out_len,
                                    bool *out_verified)
{
    const STACK_OF(CRYPTO_BUFFER) *chain =
        tls->complete ? SSL_get0_peer_certificates(tls->ssl) : NULL;
    if (chain == NULL || sk_CRYPTO_BUFFER_num(chain) == 0) {
        return false;
    }
    const CRYPTO_BUFFER *leaf = sk_CRYPTO_BUFFER_value(chain, 0);
    *out = CRYPTO_BUFFER_data(leaf);
    *out_len = CRYPTO_BUFFER_len(leaf);
    *out_verified = quic_tls_boring_config_verifies(tls->config);
    return true;
}

static bool boring_certificate_shown(const quic_tls *tls)
{
    /* A key stands for its certificate: asked for that, BoringSSL parses it anew for each connection. */
    return tls->complete && SSL_get_privatekey(tls->ssl) != NULL &&
           (tls->role == QUIC_SERVER ? !SSL_session_reused(tls->ssl) : tls->cert_asked);
}

static quic_rc boring_export_keys(const quic_tls *tls, uint8_t *out, size_t len, const char *label,
                                  const uint8_t *context, size_t context_len)
{
    if (!tls->complete) {
        return QUIC_E_STATE;
    }
    /* RFC 8446 7.5: no context is one of no bytes. */
    if (SSL_export_keying_material(tls->ssl, out, len, label, strlen(label), context, context_len,
                                   1) != 1) {
        ERR_clear_error();
        return QUIC_E_INVAL;
    }
    return QUIC_OK;
}

static bool boring_serves_exports(const quic_tls *tls)
{
    return quic_tls_boring_config_exports(tls->config);
}

static quic_early_status boring_early_status(const quic_tls *tls)
{
    return quic_boring_session_early(&tls->session, tls->ssl, tls->role);
}

static const char *boring_error_text(const quic_tls *tls)
{
    return tls->error_text;
}

const quic_tls_vtable *quic_tls_boring(void)
{
    static const quic_tls_vtable vtable = {
        .name = "boringssl",
        .create = boring_create,
        .destroy = boring_destroy,
        .start = boring_start,
        .provide = boring_provide,
        .is_complete = boring_is_complete,
        .peer_params = boring_peer_params,
        .alpn = boring_alpn,
        .server_name = boring_server_name,
        .suite = boring_suite,
        .resumed = boring_resumed,
        .peer_certificate = boring_peer_certificate,
        .certificate_shown = boring_certificate_shown,
        .export_keys = boring_export_keys,
        .serves_exports = boring_serves_exports,
        .early_status = boring_early_status,
        .error_text = boring_error_text,
    };
    return &vtable;
}

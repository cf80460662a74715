#include "runtime/server/tls.h"

#include <stdio.h>
#include <string.h>

#include "quic/crypto/self_signed.h"
#include "runtime/core/clock.h"
#include "runtime/server/error.h"
#include "runtime/server/file.h"
#include "runtime/server/trust.h"

_Static_assert(QUIC_SELF_SIGNED_PEM_CAP <= 4096, "what the public header promises");

/* Everything read for one configuration; wiped when it is built. */
typedef struct rt_tls_material {
    rt_file cert;
    rt_file key;
    rt_file ca;
} rt_tls_material;

static void rt_tls_material_wipe(rt_tls_material *m)
{
    rt_file_wipe(&m->cert);
    rt_file_wipe(&m->key);
    rt_file_wipe(&m->ca);
}

/* One of two sources: a file or bytes. */
static quring_status rt_tls_load(rt_file *out, const char *what, const char *path, quring_bytes pem,
                                 quring_error *err)
{
    if (path != NULL && pem.len > 0) {
        return rt_error_set(err, QURING_E_INVAL, "%s_file and %s_pem are both given", what, what);
    }
    if (pem.len > 0 && pem.data == NULL) {
        return rt_error_set(err, QURING_E_INVAL, "%s_pem has a length and no bytes", what);
    }
    int rc = path != NULL ? rt_file_read(out, path) : rt_file_append(out, pem.data, pem.len);
    if (rc != 0) {
        return rt_error_os(err, QURING_E_TLS, -rc, "%s_file %.120s", what,
                           path != NULL ? path : "(from memory)");
    }
    return QURING_OK;
}

static quring_status rt_tls_load_ca(rt_file *out, const quring_tls_options *options, quic_role role,
                                    quring_error *err)
{
    if (options->verify == QURING_VERIFY_NONE) {
        return QURING_OK;
    }
    if (options->ca_file != NULL) {
        quring_bytes none = {NULL, 0};
        return rt_tls_load(out, "ca", options->ca_file, none, err);
    }
    /* A server without ca_file asks clients for nothing; a client never goes without anchors. */
    return role == QUIC_CLIENT ? rt_trust_load(out, err) : QURING_OK;
}

static quring_status rt_tls_check(const quring_tls_options *options, quic_role role,
                                  quring_error *err)
{
    int verify = (int)options->verify;
    if (verify < QURING_VERIFY_PEER || verify > QURING_VERIFY_CHAIN) {
        return rt_error_set(err, QURING_E_INVAL, "verify is %d, allowed are 0..2", verify);
    }
    /* RFC 9001 8.1: an application protocol has to be agreed on. */
    if (options->any_alpn && options->alpn_count == 0 && role == QUIC_SERVER) {
        /* nothing to check */
    } else if (options->alpn_count < 1 || options->alpn_count > QUIC_TLS_ALPN_COUNT_MAX ||
               options->alpn == NULL) {
        return rt_error_set(err, QURING_E_INVAL, "alpn_count is %zu, allowed are 1..%u",
                            options->alpn_count, QUIC_TLS_ALPN_COUNT_MAX);
    }
    for (size_t i = 0; i < options->alpn_count; i++) {
        size_t len = options->alpn[i] == NULL ? 0 : strlen(options->alpn[i]);
        if (len == 0 || len > 255) { /* RFC 7301 3.1 */
            return rt_error_set(err, QURING_E_INVAL, "alpn[%zu] has %zu bytes, allowed are 1..255",
                                i, len);
        }
    }
    bool has_cert = options->cert_file != NULL || options->cert_pem.len > 0;
    bool has_key = options->key_file != NULL || options->key_pem.len > 0;
    if (role == QUIC_SERVER && !has_cert) {
        return rt_error_set(err, QURING_E_TLS, "a server needs cert_file or cert_pem");
    }
    if (has_cert != has_key) {
        return rt_error_set(
            err, QURING_E_TLS, "%s is given without its %s", has_cert ? "a certificate" : "a key",
            has_cert ? "key (key_file or key_pem)" : "certificate (cert_file or cert_pem)");
    }
    return QURING_OK;
}

/* The reason comes from the TLS library; say which files it speaks of. */
static quring_status rt_tls_explain(const quring_tls_options *options, quic_rc rc,
                                    const char *reason, quring_error *err)
{
    if (rc == QUIC_E_NOMEM) {
        return rt_error_set(err, QURING_E_NOMEM, "no memory for a TLS configuration");
    }
    const char *cert = options->cert_file != NULL  ? options->cert_file
                       : options->cert_pem.len > 0 ? "from memory"
                                                   : "none";
    const char *key = options->key_file != NULL  ? options->key_file
                      : options->key_pem.len > 0 ? "from memory"
                                                 : "none";
    const char *ca = options->ca_file != NULL ? options->ca_file : "none";
    return rt_error_set(err, rc == QUIC_E_INVAL ? QURING_E_INVAL : QURING_E_TLS,
                        "%.120s (certificate: %.280s; key: %.280s; ca: %.280s)", reason, cert, key,
                        ca);
}

static quring_status rt_tls_build(quring_tls **out, const quring_tls_options *options,
                                  quic_role role, const rt_tls_material *m, quring_error *err)
{
    quic_tls_boring_options bo;
    memset(&bo, 0, sizeof(bo));
    bo.cert_pem = m->cert.data;
    bo.cert_pem_len = m->cert.len;
    bo.key_pem = m->key.data;
    bo.key_pem_len = m->key.len;
    bo.ca_pem = m->ca.data;
    bo.ca_pem_len = m->ca.len;
    bo.verify_peer =
        options->verify != QURING_VERIFY_NONE && (role == QUIC_CLIENT || options->ca_file != NULL);
    bo.any_name = options->verify == QURING_VERIFY_CHAIN;
    bo.any_alpn = options->any_alpn;
    bo.alpn = options->alpn;
    bo.alpn_count = options->alpn_count;
    quic_tls_boring_config *config = NULL;
    char reason[200] = "";
    quic_rc rc = role == QUIC_SERVER
                     ? quic_tls_boring_config_create_server(&config, &bo, reason, sizeof(reason))
                     : quic_tls_boring_config_create_client(&config, &bo, reason, sizeof(reason));
    if (rc != QUIC_OK) {
        return rt_tls_explain(options, rc, reason, err);
    }
    *out = rt_tls_from_config(config);
    return QURING_OK;
}

static quring_status rt_tls_create(quring_tls **out, const quring_tls_options *options,
                                   quic_role role, quring_error *err)
{
    rt_error_clear(err);
    if (out == NULL || options == NULL) {
        return rt_error_set(err, QURING_E_INVAL, "%s is NULL", out == NULL ? "out" : "options");
    }
    rt_tls_material m;
    memset(&m, 0, sizeof(m));
    quring_status status = rt_tls_check(options, role, err);
    if (status == QURING_OK) {
        status = rt_tls_load(&m.cert, "cert", options->cert_file, options->cert_pem, err);
    }
    if (status == QURING_OK) {
        status = rt_tls_load(&m.key, "key", options->key_file, options->key_pem, err);
    }
    if (status == QURING_OK) {
        status = rt_tls_load_ca(&m.ca, options, role, err);
    }
    if (status == QURING_OK) {
        status = rt_tls_build(out, options, role, &m, err);
    }
    rt_tls_material_wipe(&m);
    return status;
}

quring_status quring_tls_create_server(quring_tls **out, const quring_tls_options *options,
                                       quring_error *err)
{
    return rt_tls_create(out, options, QUIC_SERVER, err);
}

quring_status quring_tls_create_client(quring_tls **out, const quring_tls_options *options,
                                       quring_error *err)
{
    return rt_tls_create(out, options, QUIC_CLIENT, err);
}

void quring_tls_release(quring_tls *tls)
{
    quic_tls_boring_config_release(rt_tls_config(tls));
}

quring_status quring_tls_self_signed(char *out_cert_pem, size_t *out_cert_len, char *out_key_pem,
                                     size_t *out_key_len)
{
    if (out_cert_pem == NULL || out_cert_len == NULL || out_key_pem == NULL ||
        out_key_len == NULL) {
        return QURING_E_INVAL;
    }
    return rt_status_of(quic_self_signed_make(out_cert_pem, out_cert_len, out_key_pem, out_key_len,
                                              (uint64_t)rt_clock_unix_s()));
}

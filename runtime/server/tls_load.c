#include "runtime/server/tls_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quic/crypto/crypto.h"
#include "quic/crypto/tls_boring_cipher.h"
#include "runtime/server/error.h"
#include "runtime/server/file.h"
#include "runtime/server/trust.h"

_Static_assert(QURING_TLS_IDENTITIES_MAX == QUIC_TLS_IDENTITIES_MAX, "public and core bound");
_Static_assert((int)QURING_CLIENT_CERT_REQUEST == (int)QUIC_CLIENT_CERT_REQUEST &&
                   (int)QURING_CLIENT_CERT_REQUIRE == (int)QUIC_CLIENT_CERT_REQUIRE,
               "public and core modes");

/* A certificate with its key, as read. */
typedef struct rt_tls_pair {
    rt_file cert;
    rt_file key;
} rt_tls_pair;

/* Everything read for one configuration; wiped when it is built. */
typedef struct rt_tls_material {
    rt_tls_pair own;
    rt_tls_pair *named; /* one per identity */
    size_t named_count;
    rt_file ca;
    quic_tls_boring_identity *identities;
} rt_tls_material;

static void rt_tls_pair_wipe(rt_tls_pair *pair)
{
    rt_file_wipe(&pair->cert);
    rt_file_wipe(&pair->key);
}

static void rt_tls_material_wipe(rt_tls_material *m)
{
    rt_tls_pair_wipe(&m->own);
    for (size_t i = 0; i < m->named_count; i++) {
        rt_tls_pair_wipe(&m->named[i]);
    }
    free(m->named);
    free(m->identities);
    rt_file_wipe(&m->ca);
}

/* ---- reading ----------------------------------------------------------------------------------- */

/* One of two sources: a file or bytes. `of` names what it belongs to: "", or "identities[2]." */
static quring_status rt_tls_read(rt_file *out, const char *of, const char *what, const char *path,
                                 quring_bytes pem, quring_error *err)
{
    if (path != NULL && pem.len > 0) {
        return rt_error_set(err, QURING_E_INVAL, "%s%s_file and %s_pem are both given", of, what,
                            what);
    }
    if (pem.len > 0 && pem.data == NULL) {
        return rt_error_set(err, QURING_E_INVAL, "%s%s_pem has a length and no bytes", of, what);
    }
    int rc = path != NULL ? rt_file_read(out, path) : rt_file_append(out, pem.data, pem.len);
    if (rc != 0) {
        return rt_error_os(err, QURING_E_TLS, -rc, "%s%s_file %.120s", of, what,
                           path != NULL ? path : "(from memory)");
    }
    return QURING_OK;
}

static quring_status rt_tls_read_pair(rt_tls_pair *out, const char *of,
                                      const quring_tls_identity *from, quring_error *err)
{
    quring_status status =
        rt_tls_read(&out->cert, of, "cert", from->cert_file, from->cert_pem, err);
    return status == QURING_OK
               ? rt_tls_read(&out->key, of, "key", from->key_file, from->key_pem, err)
               : status;
}

static quring_status rt_tls_read_named(rt_tls_material *m, const quring_tls_options *options,
                                       quring_error *err)
{
    size_t count = options->identity_count;
    if (count == 0) {
        return QURING_OK;
    }
    m->named = (rt_tls_pair *)calloc(count, sizeof(*m->named));
    m->identities = (quic_tls_boring_identity *)calloc(count, sizeof(*m->identities));
    if (m->named == NULL || m->identities == NULL) {
        return rt_error_set(err, QURING_E_NOMEM, "no memory for a TLS configuration");
    }
    m->named_count = count;
    for (size_t i = 0; i < count; i++) {
        char of[48];
        rt_tls_pair *pair = &m->named[i];
        (void)snprintf(of, sizeof(of), "identities[%zu].", i);
        quring_status status = rt_tls_read_pair(pair, of, &options->identities[i], err);
        if (status != QURING_OK) {
            return status;
        }
        m->identities[i] = (quic_tls_boring_identity){
            .name = options->identities[i].name,
            .cert_pem = pair->cert.data,
            .cert_pem_len = pair->cert.len,
            .key_pem = pair->key.data,
            .key_pem_len = pair->key.len,
        };
    }
    return QURING_OK;
}

static quring_status rt_tls_read_ca(rt_file *out, const quring_tls_options *options, quic_role role,
                                    quring_error *err)
{
    if (options->verify == QURING_VERIFY_NONE) {
        return QURING_OK;
    }
    if (options->ca_file != NULL) {
        quring_bytes none = {NULL, 0};
        return rt_tls_read(out, "", "ca", options->ca_file, none, err);
    }
    /* The system's authorities vouch for servers, not for an application's clients. */
    return role == QUIC_CLIENT ? rt_trust_load(out, err) : QURING_OK;
}

/* ---- checks ------------------------------------------------------------------------------------ */

static quring_status rt_tls_check_alpn(const quring_tls_options *options, quic_role role,
                                       quring_error *err)
{
    /* RFC 9001 8.1: an application protocol has to be agreed on. */
    if (options->any_alpn && options->alpn_count == 0 && role == QUIC_SERVER) {
        return QURING_OK;
    }
    if (options->alpn_count < 1 || options->alpn_count > QUIC_TLS_ALPN_COUNT_MAX ||
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
    return QURING_OK;
}

/* A certificate and its key come together; `of` as in rt_tls_read. */
static quring_status rt_tls_check_pair(const char *of, const quring_tls_identity *id, bool needed,
                                       quring_error *err)
{
    bool has_cert = id->cert_file != NULL || id->cert_pem.len > 0;
    bool has_key = id->key_file != NULL || id->key_pem.len > 0;
    if (needed && !has_cert) {
        return rt_error_set(err, QURING_E_TLS, "a server needs %scert_file or cert_pem", of);
    }
    if (has_cert != has_key) {
        return rt_error_set(err, QURING_E_TLS, "%s%s is given without its %s", of,
                            has_cert ? "a certificate" : "a key",
                            has_cert ? "key (key_file or key_pem)"
                                     : "certificate (cert_file or cert_pem)");
    }
    return QURING_OK;
}

static quring_tls_identity rt_tls_own(const quring_tls_options *options)
{
    return (quring_tls_identity){
        .cert_file = options->cert_file,
        .key_file = options->key_file,
        .cert_pem = options->cert_pem,
        .key_pem = options->key_pem,
    };
}

static quring_status rt_tls_check_client(const quring_tls_options *options, quring_error *err)
{
    const char *what = options->client_cert != QURING_CLIENT_CERT_NONE        ? "client_cert"
                       : options->identity_count != 0                         ? "identity_count"
                       : options->unknown_name != QURING_UNKNOWN_NAME_DEFAULT ? "unknown_name"
                                                                              : NULL;
    return what == NULL
               ? QURING_OK
               : rt_error_set(err, QURING_E_INVAL, "%s is a server's, not a client's", what);
}

static quring_status rt_tls_check_server(const quring_tls_options *options, quring_error *err)
{
    if (options->identity_count > QURING_TLS_IDENTITIES_MAX ||
        (options->identity_count > 0 && options->identities == NULL)) {
        return rt_error_set(err, QURING_E_INVAL, "identity_count is %zu, allowed are 0..%d",
                            options->identities == NULL ? (size_t)0 : options->identity_count,
                            QURING_TLS_IDENTITIES_MAX);
    }
    bool asks = options->client_cert != QURING_CLIENT_CERT_NONE;
    bool verifies = asks && options->verify != QURING_VERIFY_NONE;
    if (verifies && options->ca_file == NULL) {
        return rt_error_set(err, QURING_E_INVAL,
                            "client_cert needs ca_file, or verify = QURING_VERIFY_NONE");
    }
    if (!verifies && options->ca_file != NULL) {
        return rt_error_set(err, QURING_E_INVAL, "ca_file is given, but clients are not %s",
                            asks ? "verified (verify)" : "asked for certificates (client_cert)");
    }
    bool named_only =
        options->unknown_name == QURING_UNKNOWN_NAME_REFUSE && options->identity_count > 0;
    quring_tls_identity own = rt_tls_own(options);
    quring_status status = rt_tls_check_pair("", &own, !named_only, err);
    for (size_t i = 0; i < options->identity_count && status == QURING_OK; i++) {
        char of[48];
        (void)snprintf(of, sizeof(of), "identities[%zu].", i);
        status = options->identities[i].name == NULL
                     ? rt_error_set(err, QURING_E_INVAL, "%sname is NULL", of)
                     : rt_tls_check_pair(of, &options->identities[i], true, err);
    }
    return status;
}

/* Names for messages; which of them can be chosen, the core knows. */
static quring_status rt_tls_check_cipher(uint16_t suite, quring_error *err)
{
    static const char *const names[] = {"AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305",
                                        "AES-128-CCM"};
    if (suite == 0 || quic_boring_cipher_can(suite)) {
        return QURING_OK;
    }
    if (suite < QUIC_SUITE_AES_128_GCM_SHA256 || suite > QUIC_SUITE_AES_128_CCM_SHA256) {
        return rt_error_set(err, QURING_E_INVAL,
                            "cipher_suite is 0x%04x, allowed are 0 and 0x1301..0x1304",
                            (unsigned)suite);
    }
    const char *can = "none";
    for (uint16_t i = 0; i < QUIC_SUITE_COUNT; i++) {
        if (quic_boring_cipher_can((uint16_t)(QUIC_SUITE_AES_128_GCM_SHA256 + i))) {
            can = names[i];
        }
    }
    return rt_error_set(err, QURING_E_NOT_SUPPORTED,
                        "this BoringSSL cannot be told to use %s: allowed is %s",
                        names[suite - QUIC_SUITE_AES_128_GCM_SHA256], can);
}

static quring_status rt_tls_check(const quring_tls_options *options, quic_role role,
                                  quring_error *err)
{
    const struct {
        const char *name;
        int value;
        int max;
    } choices[] = {
        {"verify", (int)options->verify, QURING_VERIFY_CHAIN},
        {"client_cert", (int)options->client_cert, QURING_CLIENT_CERT_REQUIRE},
        {"unknown_name", (int)options->unknown_name, QURING_UNKNOWN_NAME_REFUSE},
    };
    for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
        if (choices[i].value < 0 || choices[i].value > choices[i].max) {
            return rt_error_set(err, QURING_E_INVAL, "%s is %d, allowed are 0..%d", choices[i].name,
                                choices[i].value, choices[i].max);
        }
    }
    quring_status status = rt_tls_check_alpn(options, role, err);
    if (status == QURING_OK) {
        status = rt_tls_check_cipher(options->cipher_suite, err);
    }
    if (status != QURING_OK) {
        return status;
    }
    if (role == QUIC_SERVER) {
        return rt_tls_check_server(options, err);
    }
    quring_tls_identity own = rt_tls_own(options);
    status = rt_tls_check_client(options, err);
    return status == QURING_OK ? rt_tls_check_pair("", &own, false, err) : status;
}

/* ---- building ---------------------------------------------------------------------------------- */

static const char *rt_tls_source(const char *file, quring_bytes pem)
{
    return file != NULL ? file : pem.len > 0 ? "from memory" : "none";
}

/* The reason comes from the TLS library, and begins with the name of the identity it speaks of; say
 * which files are meant. */
static quring_status rt_tls_explain(const quring_tls_options *options, quic_rc rc,
                                    const char *reason, quring_error *err)
{
    if (rc == QUIC_E_NOMEM) {
        return rt_error_set(err, QURING_E_NOMEM, "no memory for a TLS configuration");
    }
    quring_tls_identity id = rt_tls_own(options);
    for (size_t i = 0; i < options->identity_count; i++) {
        size_t len = strlen(options->identities[i].name);
        if (strncmp(reason, options->identities[i].name, len) == 0 && reason[len] == ':') {
            id = options->identities[i];
        }
    }
    return rt_error_set(err, rc == QUIC_E_INVAL ? QURING_E_INVAL : QURING_E_TLS,
                        "%.180s (certificate: %.260s; key: %.260s; ca: %.260s)", reason,
                        rt_tls_source(id.cert_file, id.cert_pem),
                        rt_tls_source(id.key_file, id.key_pem),
                        options->ca_file != NULL ? options->ca_file : "none");
}

static quring_status rt_tls_build(quic_tls_boring_config **out, const quring_tls_options *options,
                                  quic_role role, uint64_t valid_at_unix_s,
                                  const rt_tls_material *m, quring_error *err)
{
    quic_tls_boring_options bo;
    memset(&bo, 0, sizeof(bo));
    bo.cert_pem = m->own.cert.data;
    bo.cert_pem_len = m->own.cert.len;
    bo.key_pem = m->own.key.data;
    bo.key_pem_len = m->own.key.len;
    bo.ca_pem = m->ca.data;
    bo.ca_pem_len = m->ca.len;
    bo.verify_peer = options->verify != QURING_VERIFY_NONE;
    bo.any_name = options->verify == QURING_VERIFY_CHAIN;
    bo.exports = options->exporter;
    bo.any_alpn = options->any_alpn;
    bo.client_cert = (quic_client_cert)options->client_cert;
    bo.identities = m->identities;
    bo.identity_count = m->named_count;
    bo.refuse_unknown_names = options->unknown_name == QURING_UNKNOWN_NAME_REFUSE;
    bo.peer_chain_max_bytes = options->peer_chain_max_bytes;
    bo.valid_at_unix_s = valid_at_unix_s;
    bo.cipher_suite = options->cipher_suite;
    bo.keylog = options->keylog;
    bo.keylog_ctx = options->keylog_ctx;
    bo.alpn = options->alpn;
    bo.alpn_count = options->alpn_count;
    char reason[400] = "";
    quic_rc rc = role == QUIC_SERVER
                     ? quic_tls_boring_config_create_server(out, &bo, reason, sizeof(reason))
                     : quic_tls_boring_config_create_client(out, &bo, reason, sizeof(reason));
    return rc == QUIC_OK ? QURING_OK : rt_tls_explain(options, rc, reason, err);
}

quring_status rt_tls_load(quic_tls_boring_config **out, const quring_tls_options *options,
                          quic_role role, uint64_t valid_at_unix_s, quring_error *err)
{
    rt_tls_material m;
    memset(&m, 0, sizeof(m));
    quring_tls_identity own = rt_tls_own(options);
    quring_status status = rt_tls_check(options, role, err);
    if (status == QURING_OK) {
        status = rt_tls_read_pair(&m.own, "", &own, err);
    }
    if (status == QURING_OK) {
        status = rt_tls_read_named(&m, options, err);
    }
    if (status == QURING_OK) {
        status = rt_tls_read_ca(&m.ca, options, role, err);
    }
    if (status == QURING_OK) {
        status = rt_tls_build(out, options, role, valid_at_unix_s, &m, err);
    }
    rt_tls_material_wipe(&m);
    return status;
}

/* What this side shows, and whom it trusts. The program's key stays the program's: gnutls asks for it when it
 * signs, so that one that cannot be exported (a token, a callback) will do. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "compat/gnutls/run.h"

enum {
    QG_REQUEST = 1,
    QG_REQUIRE = 2,
    QG_NO_VERIFY = 3
}; /* certificate_request, draft section 6.1.3 */

bool qg_creds_verify(const qg_run *run)
{
    uint8_t request = run->settings.certificate_request;
    return run->is_server ? request == QG_REQUEST || request == QG_REQUIRE
                          : request != QG_NO_VERIFY;
}

/* ---- certificates ---------------------------------------------------------------------------------- */

static int on_retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                       gnutls_pcert_st **certs, unsigned *count, gnutls_ocsp_data_st **ocsp,
                       unsigned *ocsp_count, gnutls_privkey_t *key, unsigned *flags)
{
    const qg_run *run = (const qg_run *)gnutls_session_get_ptr(session);
    const struct quic_handshake_parms *parms = run->parms;
    bool have = parms->cert != NULL && parms->privkey != NULL;
    (void)info;
    *certs = have ? parms->cert : NULL;
    *count = have ? 1 : 0;
    *ocsp = NULL;
    *ocsp_count = 0;
    *key = have ? parms->privkey : NULL;
    *flags = 0; /* nothing is freed */
    return 0;
}

/* The anchors of clients with files, too: SSL_CERT_FILE and SSL_CERT_DIR, else the system's. */
static int trust(gnutls_certificate_credentials_t cred)
{
    const char *file = getenv("SSL_CERT_FILE");
    const char *dir = getenv("SSL_CERT_DIR");
    int count = 0;
    if (file == NULL && dir == NULL) {
        count = gnutls_certificate_set_x509_system_trust(cred);
    }
    if (file != NULL) {
        count = gnutls_certificate_set_x509_trust_file(cred, file, GNUTLS_X509_FMT_PEM);
    }
    if (dir != NULL && count >= 0) {
        count = gnutls_certificate_set_x509_trust_dir(cred, dir, GNUTLS_X509_FMT_PEM);
    }
    if (count < 0) {
        qg_say("trusted authorities: %s", gnutls_strerror(count));
    }
    return count < 0 ? -ENOENT : 0;
}

/* Of clients there may be none to verify: gnutls knows whether one had to come. */
static int on_verify(gnutls_session_t session)
{
    const qg_run *run = (const qg_run *)gnutls_session_get_ptr(session);
    const char *purpose = run->is_server ? GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER;
    const char *name = run->is_server ? NULL : run->parms->peername;
    gnutls_typed_vdata_st wanted[] = {
        {GNUTLS_DT_KEY_PURPOSE_OID, (unsigned char *)(uintptr_t)purpose, 0},
        {GNUTLS_DT_DNS_HOSTNAME, (unsigned char *)(uintptr_t)name, 0},
    };
    unsigned count = 0;
    unsigned status = 0;
    if (run->is_server && gnutls_certificate_get_peers(session, &count) == NULL) {
        return 0;
    }
    int ret = gnutls_certificate_verify_peers(session, wanted, name != NULL ? 2 : 1, &status);
    if (ret < 0) {
        return ret;
    }
    return status == 0 ? 0 : GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

static int open_x509(qg_run *run)
{
    if (gnutls_certificate_allocate_credentials(&run->x509) < 0) {
        return -ENOMEM;
    }
    gnutls_certificate_set_retrieve_function3(run->x509, on_retrieve);
    if (!qg_creds_verify(run)) {
        return 0;
    }
    gnutls_certificate_set_verify_function(run->x509, on_verify);
    return trust(run->x509);
}

/* RFC 6066 3: addresses are no names. */
static bool is_address(const char *name)
{
    uint8_t address[16];
    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

static int use_x509(qg_run *run)
{
    const char *name = run->is_server ? NULL : run->parms->peername;
    if (gnutls_credentials_set(run->session, GNUTLS_CRD_CERTIFICATE, run->x509) < 0) {
        return -ENOMEM;
    }
    if (name != NULL && !is_address(name) &&
        gnutls_server_name_set(run->session, GNUTLS_NAME_DNS, name, strlen(name)) < 0) {
        return -EINVAL;
    }
    if (run->is_server && qg_creds_verify(run)) {
        gnutls_certificate_server_set_request(
            run->session, run->settings.certificate_request == QG_REQUIRE ? GNUTLS_CERT_REQUIRE
                                                                          : GNUTLS_CERT_REQUEST);
    }
    return 0;
}

static int out_x509(qg_run *run)
{
    struct quic_handshake_parms *parms = run->parms;
    unsigned count = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(run->session, &count);
    for (unsigned i = 0; chain != NULL && i < count && i < QG_KEYS_MAX; i++) {
        unsigned char *copy = (unsigned char *)malloc(chain[i].size > 0 ? chain[i].size : 1);
        if (copy == NULL) {
            return -ENOMEM;
        }
        memcpy(copy, chain[i].data, chain[i].size);
        parms->keys[i].data = copy;
        parms->keys[i].size = chain[i].size;
        parms->num_keys = i + 1;
    }
    return 0;
}

/* ---- pre-shared keys -------------------------------------------------------------------------------- */

static int find_name(const struct quic_handshake_parms *parms, const void *name, size_t len)
{
    for (uint32_t i = 0; i < parms->num_keys; i++) {
        if (strlen(parms->names[i]) == len && memcmp(parms->names[i], name, len) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static int on_identity(gnutls_session_t session, const gnutls_datum_t *name, gnutls_datum_t *key)
{
    qg_run *run = (qg_run *)gnutls_session_get_ptr(session);
    int at = find_name(run->parms, name->data, name->size);
    if (at < 0) {
        run->alert = GNUTLS_A_UNKNOWN_PSK_IDENTITY; /* RFC 8446 6.2 */
        return -1;
    }
    const gnutls_datum_t *found = &run->parms->keys[at];
    key->data = (unsigned char *)gnutls_malloc(found->size);
    if (key->data == NULL) {
        return -1;
    }
    memcpy(key->data, found->data, found->size);
    key->size = found->size;
    return 0;
}

static int open_psk(qg_run *run)
{
    const struct quic_handshake_parms *parms = run->parms;
    if (run->is_server) {
        if (gnutls_psk_allocate_server_credentials(&run->psk_server) < 0) {
            return -ENOMEM;
        }
        gnutls_psk_set_server_credentials_function2(run->psk_server, on_identity);
        return 0;
    }
    if (gnutls_psk_allocate_client_credentials(&run->psk_client) < 0) {
        return -ENOMEM;
    }
    const gnutls_datum_t name = {(unsigned char *)parms->names[0],
                                 (unsigned)strlen(parms->names[0])};
    int ret = gnutls_psk_set_client_credentials2(run->psk_client, &name, &parms->keys[0],
                                                 GNUTLS_PSK_KEY_RAW);
    return ret < 0 ? -EINVAL : 0;
}

static int use_psk(qg_run *run)
{
    void *cred = run->is_server ? (void *)run->psk_server : (void *)run->psk_client;
    return gnutls_credentials_set(run->session, GNUTLS_CRD_PSK, cred) < 0 ? -ENOMEM : 0;
}

static int out_psk(qg_run *run)
{
    struct quic_handshake_parms *parms = run->parms;
    gnutls_datum_t name = {NULL, 0};
    int at = 0; /* a client has one */
    if (run->is_server) {
        if (gnutls_psk_server_get_username2(run->session, &name) < 0) {
            return 0; /* resumed by a ticket: no identity was shown */
        }
        at = find_name(parms, name.data, name.size);
    }
    if (at >= 0) {
        parms->peername = parms->names[at];
    }
    return 0;
}

/* ---- both ------------------------------------------------------------------------------------------------ */

int qg_creds_open(qg_run *run)
{
    return qg_is_psk(run) ? open_psk(run) : open_x509(run);
}

int qg_creds_use(qg_run *run)
{
    return qg_is_psk(run) ? use_psk(run) : use_x509(run);
}

int qg_creds_out(qg_run *run)
{
    return qg_is_psk(run) ? out_psk(run) : out_x509(run);
}

void qg_creds_close(qg_run *run)
{
    if (run->x509 != NULL) {
        gnutls_certificate_free_credentials(run->x509);
    }
    if (run->psk_server != NULL) {
        gnutls_psk_free_server_credentials(run->psk_server);
    }
    if (run->psk_client != NULL) {
        gnutls_psk_free_client_credentials(run->psk_client);
    }
}

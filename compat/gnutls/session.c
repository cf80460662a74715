/* A session of gnutls that speaks through a QUIC socket (RFC 9001): no records, its messages, secrets and alerts
 * come by callbacks. */
#include <errno.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <string.h>

#include "compat/gnutls/run.h"

#define QG_EXT_ALPN       16u
#define QG_EXT_PARAMETERS 0x39u /* RFC 9001 8.2 */
#define QG_EARLY_MAX      0xffffffffu
/* RFC 9001 8.1 wants a protocol to be agreed on, the draft does not: what clients without one offer. */
#define QG_ALPN_NONE "quic-socket"

/* RFC 9001 8.4: no compatibility mode. */
#define QG_PRIORITY "NORMAL:-VERS-ALL:+VERS-TLS1.3:%DISABLE_TLS13_COMPAT_MODE"
/* RFC 8446 4.2.11: a key is for one hash, that of these suites; with ECDHE where the peer agrees. */
#define QG_PRIORITY_PSK                                                                            \
    ":-CIPHER-ALL:+AES-128-GCM:+CHACHA20-POLY1305:+AES-128-CCM:+ECDHE-PSK:+DHE-PSK:+PSK"

/* The handshake of this thread. A session has one pointer, which may be its program's. */
static _Thread_local qg_run *qg_running;

qg_run *qg_session_run(qg_run *run)
{
    qg_run *before = qg_running;
    qg_running = run;
    return before;
}

static int refuse(qg_run *run, int rc, int alert)
{
    run->rc = rc;
    run->alert = alert;
    return GNUTLS_E_INTERNAL_ERROR;
}

/* A call on the socket failed. */
static int broken(qg_run *run, int rc)
{
    run->broken = true;
    return refuse(run, rc, GNUTLS_A_INTERNAL_ERROR);
}

/* ---- ciphers -------------------------------------------------------------------------------------------- */

static const struct {
    uint32_t type;
    gnutls_cipher_algorithm_t cipher;
    const char *name;
} qg_ciphers[] = {
    {QG_AES_GCM_128, GNUTLS_CIPHER_AES_128_GCM, "AES-128-GCM"},
    {QG_AES_GCM_256, GNUTLS_CIPHER_AES_256_GCM, "AES-256-GCM"},
    {QG_AES_CCM_128, GNUTLS_CIPHER_AES_128_CCM, "AES-128-CCM"},
    {QG_CHACHA20_POLY1305, GNUTLS_CIPHER_CHACHA20_POLY1305, "CHACHA20-POLY1305"},
};

static uint32_t type_of(gnutls_cipher_algorithm_t cipher)
{
    for (size_t i = 0; i < sizeof(qg_ciphers) / sizeof(qg_ciphers[0]); i++) {
        if (qg_ciphers[i].cipher == cipher) {
            return qg_ciphers[i].type;
        }
    }
    return 0;
}

static const char *name_of(uint32_t type)
{
    for (size_t i = 0; i < sizeof(qg_ciphers) / sizeof(qg_ciphers[0]); i++) {
        if (qg_ciphers[i].type == type) {
            return qg_ciphers[i].name;
        }
    }
    return NULL;
}

static int set_priority(qg_run *run)
{
    char text[256];
    const char *cipher = name_of(run->settings.cipher_type);
    int n =
        snprintf(text, sizeof(text), "%s%s%s%s", QG_PRIORITY, qg_is_psk(run) ? QG_PRIORITY_PSK : "",
                 cipher != NULL ? ":-CIPHER-ALL:+" : "", cipher != NULL ? cipher : "");
    if (n < 0 || (size_t)n >= sizeof(text)) {
        return -EINVAL;
    }
    int ret = gnutls_priority_set_direct(run->session, text, NULL);
    if (ret < 0) {
        qg_say("%s: %s", text, gnutls_strerror(ret));
        return -EINVAL; /* the system's policy leaves nothing, for instance */
    }
    return 0;
}

/* ---- callbacks -------------------------------------------------------------------------------------------- */

static int level_of(gnutls_record_encryption_level_t level)
{
    switch (level) {
    case GNUTLS_ENCRYPTION_LEVEL_INITIAL:
        return QG_INITIAL;
    case GNUTLS_ENCRYPTION_LEVEL_EARLY:
        return QG_EARLY;
    case GNUTLS_ENCRYPTION_LEVEL_HANDSHAKE:
        return QG_HANDSHAKE;
    default:
        return QG_APP;
    }
}

static int on_message(gnutls_session_t session, gnutls_record_encryption_level_t level,
                      gnutls_handshake_description_t type, const void *data, size_t len)
{
    qg_run *run = qg_running;
    (void)session;
    if (type == GNUTLS_HANDSHAKE_CHANGE_CIPHER_SPEC) {
        return 0; /* RFC 9001 8.4 */
    }
    if (run == NULL) {
        return GNUTLS_E_INVALID_REQUEST; /* after the handshake, in a session that outlives it */
    }
    if (run->is_given && !run->settled && level == GNUTLS_ENCRYPTION_LEVEL_APPLICATION) {
        return 0; /* a ticket before its time; one of ours follows */
    }
    int rc = qg_send(run->sd, level_of(level), data, len);
    return rc == 0 ? 0 : broken(run, rc);
}

static int give_secret(qg_run *run, int level, bool send, uint32_t type, const void *secret,
                       size_t len)
{
    if (level == QG_APP) { /* not before gnutls has seen everything there is to see */
        memcpy(run->secret[send], secret, len);
        run->secret_len[send] = len;
        run->cipher_type = type;
        return 0;
    }
    if (level == QG_EARLY && run->is_given && !run->is_server && !qg_ticket_knows_limits(run)) {
        return 0; /* nothing can be sent with it */
    }
    return run->wire->set_secret(run->sd, level, send, type, secret, len);
}

/* A client that has offered 0-RTT is given the secret for its Handshake packets when the server is done, and told it
 * here before. Without it nothing acknowledges the server's, and of a server that refuses 0-RTT no more comes than
 * one window, or three times what the client sent (RFC 9000 8.1). */
static int on_keylog(gnutls_session_t session, const char *label, const gnutls_datum_t *secret)
{
    qg_run *run = qg_running;
    if (run == NULL) {
        return 0;
    }
    if (strcmp(label, "CLIENT_HANDSHAKE_TRAFFIC_SECRET") == 0 && secret->size <= QG_SECRET_MAX) {
        memcpy(run->early_secret, secret->data, secret->size);
        run->early_secret_len = secret->size;
    }
    return run->keylog != NULL ? run->keylog(session, label, secret) : 0;
}

/* Of Handshake packets: what is known already goes with the other one, and is not given again. */
static int give_early_secret(qg_run *run, const void *to_read, const void **to_write, size_t len,
                             uint32_t type)
{
    if (run->early_secret_given) {
        *to_write = NULL;
        return 0;
    }
    if (to_read == NULL || *to_write != NULL || run->early_secret_len != len) {
        return 0;
    }
    run->early_secret_given = true;
    return give_secret(run, QG_HANDSHAKE, true, type, run->early_secret, len);
}

static int on_secret(gnutls_session_t session, gnutls_record_encryption_level_t gnutls_level,
                     const void *to_read, const void *to_write, size_t len)
{
    qg_run *run = qg_running;
    int level = level_of(gnutls_level);
    if (run == NULL) {
        return GNUTLS_E_INVALID_REQUEST;
    }
    uint32_t type =
        type_of(level == QG_EARLY ? gnutls_early_cipher_get(session) : gnutls_cipher_get(session));
    int rc = type == 0 || len > QG_SECRET_MAX ? -EPROTO : 0;
    if (rc == 0 && level == QG_HANDSHAKE) {
        rc = give_early_secret(run, to_read, &to_write, len, type);
    }
    if (rc == 0 && to_write != NULL) {
        rc = give_secret(run, level, true, type, to_write, len);
    }
    if (rc == 0 && to_read != NULL) {
        rc = give_secret(run, level, false, type, to_read, len);
    }
    return rc == 0 ? 0 : broken(run, rc);
}

static int on_alert(gnutls_session_t session, gnutls_record_encryption_level_t level,
                    gnutls_alert_level_t severity, gnutls_alert_description_t alert)
{
    (void)level;
    (void)session;
    if (severity == GNUTLS_AL_FATAL && qg_running != NULL) {
        qg_running->alert = (int)alert;
    }
    return 0;
}

/* A second ClientHello, after HelloRetryRequest, has them again, and says what the first one said (RFC 8446 4.1.2). */
static int on_params_again(qg_run *run, const uint8_t hash[QG_HASH_LEN])
{
    return memcmp(run->params_hash, hash, QG_HASH_LEN) == 0
               ? 0
               : refuse(run, -EPROTO, GNUTLS_A_ILLEGAL_PARAMETER);
}

static int on_params(gnutls_session_t session, const unsigned char *data, size_t len)
{
    qg_run *run = qg_running;
    uint8_t hash[QG_HASH_LEN];
    (void)session;
    if (run == NULL) {
        return GNUTLS_E_INVALID_REQUEST;
    }
    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, data, len, hash) < 0) {
        return refuse(run, -ENOMEM, GNUTLS_A_INTERNAL_ERROR);
    }
    if (run->params_came) {
        return on_params_again(run, hash);
    }
    int rc = run->wire->set_bytes(run->sd, QG_OPT_PARAMS, data, len);
    run->params_came = true;
    memcpy(run->params_hash, hash, sizeof(hash));
    return rc == 0 ? 0 : refuse(run, rc == -EINVAL ? -EPROTO : rc, GNUTLS_A_ILLEGAL_PARAMETER);
}

static int put_params(gnutls_session_t session, gnutls_buffer_t out)
{
    qg_run *run = qg_running;
    int rc = 0;
    (void)session;
    if (run == NULL) {
        return GNUTLS_E_INVALID_REQUEST;
    }
    if (run->params_len == 0) { /* or they are for a second ClientHello: what was said stays said */
        run->params_len = sizeof(run->params);
        rc = run->wire->get_bytes(run->sd, QG_OPT_PARAMS, run->params, &run->params_len);
    }
    if (rc == 0 && gnutls_buffer_append_data(out, run->params, run->params_len) < 0) {
        rc = -ENOMEM;
    }
    return rc == 0 ? 0 : broken(run, rc);
}

/* There is no transport beneath. */
static ssize_t on_pull(gnutls_transport_ptr_t transport, void *buf, size_t len)
{
    (void)transport;
    (void)buf;
    (void)len;
    errno = EAGAIN;
    return -1;
}

static ssize_t on_push(gnutls_transport_ptr_t transport, const void *buf, size_t len)
{
    (void)transport;
    (void)buf;
    (void)len;
    errno = EIO;
    return -1;
}

static int on_pull_timeout(gnutls_transport_ptr_t transport, unsigned ms)
{
    (void)transport;
    (void)ms;
    return 0;
}

/* ---- protocols ----------------------------------------------------------------------------------------------- */

static int on_extension(void *ctx, unsigned type, const unsigned char *data, unsigned len)
{
    gnutls_datum_t *first = (gnutls_datum_t *)ctx;
    if (type == QG_EXT_ALPN && len > 3 && data[2] > 0 && data[2] <= len - 3) {
        first->data = (unsigned char *)(uintptr_t)data + 3;
        first->size = data[2];
    }
    return 0;
}

/* A server that has no list takes what the client likes best. */
static int on_client_hello(gnutls_session_t session, unsigned type, unsigned when,
                           unsigned incoming, const gnutls_datum_t *message)
{
    gnutls_datum_t first = {NULL, 0};
    (void)type;
    (void)when;
    if (incoming != 0 &&
        gnutls_ext_raw_parse(&first, on_extension, message, GNUTLS_EXT_RAW_FLAG_TLS_CLIENT_HELLO) >=
            0 &&
        first.size > 0) {
        return gnutls_alpn_set_protocols(session, &first, 1, 0);
    }
    return 0;
}

unsigned qg_alpn_split(char *text, gnutls_datum_t list[QG_ALPN_COUNT_MAX])
{
    unsigned count = 0;
    char *save = NULL;
    for (char *name = strtok_r(text, ",", &save); name != NULL && count < QG_ALPN_COUNT_MAX;
         name = strtok_r(NULL, ",", &save)) {
        name += strspn(name, " ");
        if (*name != '\0') {
            list[count].data = (unsigned char *)name;
            list[count++].size = (unsigned)strlen(name);
        }
    }
    return count;
}

static int set_alpn(qg_run *run)
{
    gnutls_datum_t list[QG_ALPN_COUNT_MAX];
    char text[QG_ALPN_MAX + 1];
    memcpy(text, run->alpn, sizeof(text));
    unsigned count = qg_alpn_split(text, list);
    if (count == 0 && run->is_server) {
        gnutls_handshake_set_hook_function(run->session, GNUTLS_HANDSHAKE_CLIENT_HELLO,
                                           GNUTLS_HOOK_PRE, on_client_hello);
        return 0;
    }
    if (count == 0) {
        list[count].data = (unsigned char *)(uintptr_t)QG_ALPN_NONE;
        list[count++].size = sizeof(QG_ALPN_NONE) - 1;
    }
    unsigned flags = run->is_server ? GNUTLS_ALPN_MANDATORY : 0;
    return gnutls_alpn_set_protocols(run->session, list, count, flags) < 0 ? -EINVAL : 0;
}

/* ---- open and close --------------------------------------------------------------------------------------------- */

static int set_callbacks(qg_run *run)
{
    gnutls_session_t session = run->session;
    int ret = gnutls_session_ext_register(session, "quic_transport_parameters", QG_EXT_PARAMETERS,
                                          GNUTLS_EXT_TLS, on_params, put_params, NULL, NULL, NULL,
                                          GNUTLS_EXT_FLAG_TLS | GNUTLS_EXT_FLAG_CLIENT_HELLO |
                                              GNUTLS_EXT_FLAG_EE);
    if (ret < 0) { /* a session makes one handshake */
        return ret == GNUTLS_E_ALREADY_REGISTERED ? -EINVAL : -ENOMEM;
    }
    gnutls_transport_set_pull_function(session, on_pull);
    gnutls_transport_set_pull_timeout_function(session, on_pull_timeout);
    gnutls_transport_set_push_function(session, on_push);
    gnutls_handshake_set_read_function(session, on_message);
    gnutls_handshake_set_secret_function(session, on_secret);
    gnutls_alert_set_read_function(session, on_alert);
    gnutls_handshake_set_timeout(session, 0); /* ours */
    if (run->early) {
        run->keylog = gnutls_session_get_keylog_function(session);
        gnutls_session_set_keylog_function(session, on_keylog);
    }
    return 0;
}

static int set_up(qg_run *run)
{
    gnutls_session_set_ptr(run->session, run); /* creds.c */
    int rc = set_callbacks(run);
    rc = rc == 0 ? set_priority(run) : rc;
    rc = rc == 0 ? qg_creds_use(run) : rc;
    return rc == 0 ? set_alpn(run) : rc;
}

int qg_session_take(qg_run *run)
{
    run->early = !run->is_server; /* whether it is, gnutls does not say before */
    int rc = set_callbacks(run);
    if (rc == 0 && run->is_server) { /* in place of the program's; no 0-RTT without */
        gnutls_anti_replay_enable(run->session, qg_ticket_keeps_limits(run) ? qg_replay() : NULL);
    }
    return rc;
}

void qg_session_return(qg_run *run)
{
    if (run->early) {
        gnutls_session_set_keylog_function(run->session, run->keylog);
    }
}

static int init(qg_run *run)
{
    unsigned flags = GNUTLS_NONBLOCK | GNUTLS_NO_END_OF_EARLY_DATA; /* RFC 9001 8.3 */
    if (run->is_server) {
        flags |= GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET |
                 (qg_replay() != NULL ? GNUTLS_ENABLE_EARLY_DATA : 0);
    } else {
        flags |= GNUTLS_CLIENT | (run->early ? GNUTLS_ENABLE_EARLY_DATA : 0);
    }
    if (gnutls_init(&run->session, flags) < 0) {
        return -ENOMEM;
    }
    return set_up(run);
}

int qg_session_open(qg_run *run)
{
    run->early = !run->is_server && qg_ticket_is_early(run);
    int rc = init(run);
    if (rc != 0) {
        return rc;
    }
    if (run->is_server) {
        gnutls_record_set_max_early_data_size(run->session, QG_EARLY_MAX); /* RFC 9001 4.6.1 */
        return qg_ticket_serve(run);
    }
    if (!qg_ticket_resume(run) &&
        run->early) { /* the ticket is none: another session, without it */
        gnutls_deinit(run->session);
        run->early = false;
        rc = init(run);
    }
    return rc;
}

void qg_session_close(qg_run *run)
{
    if (run->session != NULL) {
        gnutls_deinit(run->session);
    }
}

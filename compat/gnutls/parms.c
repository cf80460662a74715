/* quic_client_handshake_parms and quic_server_handshake_parms (draft section 3.2.3), and what libquic.so leaves to
 * this library: handshakes with files of pre-shared keys (3.2.2). */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compat/gnutls/hook.h"
#include "compat/gnutls/psk_file.h"
#include "compat/gnutls/run.h"

/* There with a libquic that has it. */
#pragma weak quic_gnutls_say

void qg_say(const char *fmt, ...)
{
    char line[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    if (quic_gnutls_say != NULL) {
        quic_gnutls_say(line);
        return;
    }
    const char *log = getenv("QUIC_LOG");
    if (log != NULL && atoi(log) >= 2) {
        fprintf(stderr, "libquic_gnutls: %s\n", line);
    }
}

static bool are_sound(const struct quic_handshake_parms *parms, bool is_server)
{
    if (parms->num_keys > QG_KEYS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < parms->num_keys; i++) {
        if (parms->names[i] == NULL || parms->names[i][0] == '\0' || parms->keys[i].data == NULL ||
            parms->keys[i].size == 0) {
            return false;
        }
    }
    bool shows = parms->cert != NULL && parms->privkey != NULL;
    bool half = (parms->cert != NULL) != (parms->privkey != NULL);
    return parms->num_keys > 0 || (!half && (shows || !is_server));
}

bool qg_is_server_socket(const qg_run *run)
{
    uint8_t token[QG_ALPN_MAX];
    size_t len = sizeof(token);
    return run->wire->get_bytes(run->sd, QG_OPT_TOKEN, token, &len) == -EINVAL;
}

/* The socket's part: it waits for this handshake, and says how. */
static int begin(qg_run *run, const char *alpns)
{
    uint8_t params[QG_PARAMS_MAX];
    size_t len = sizeof(params);
    size_t alpn_len = sizeof(run->alpn) - 1;
    if (alpns != NULL && alpns[0] != '\0') {
        int rc = run->wire->set_bytes(run->sd, QG_OPT_ALPN, alpns, strlen(alpns));
        if (rc != 0) {
            return rc == -EINVAL ? qg_why_not(run) : rc;
        }
    }
    if (qg_is_server_socket(run) != run->is_server) {
        return -EINVAL;
    }
    if (run->wire->get_bytes(run->sd, QG_OPT_PARAMS, params, &len) != 0) {
        return qg_why_not(run);
    }
    int rc = run->wire->get_settings(run->sd, &run->settings);
    return rc == 0 ? run->wire->get_bytes(run->sd, QG_OPT_ALPN, run->alpn, &alpn_len) : rc;
}

int qg_handshake(int sd, bool is_server, struct quic_handshake_parms *parms, const char *alpns)
{
    const qg_wire *wire = qg_wire_of(sd);
    if (wire == NULL) {
        return -errno;
    }
    if (parms == NULL || !are_sound(parms, is_server)) {
        return -EINVAL;
    }
    qg_run *run = (qg_run *)calloc(1, sizeof(*run));
    if (run == NULL) {
        return -ENOMEM;
    }
    run->sd = sd;
    run->wire = wire;
    run->is_server = is_server;
    run->parms = parms;
    run->alert = QG_ALERT_NONE;
    run->deadline_ms = parms->timeout != 0 ? qg_now_ms() + parms->timeout : 0;
    int rc = begin(run, alpns);
    rc = rc == 0 ? qg_creds_open(run) : rc;
    rc = rc == 0 ? qg_session_open(run) : rc;
    rc = rc == 0 ? qg_drive(run) : rc;
    qg_session_close(run);
    qg_creds_close(run);
    gnutls_memset(run, 0, sizeof(*run));
    free(run);
    return rc;
}

int qg_result(int rc)
{
    if (rc < 0) {
        errno = -rc;
    }
    return rc;
}

QG_EXPORT int quic_client_handshake_parms(int sd, struct quic_handshake_parms *parms)
{
    return qg_result(qg_handshake(sd, false, parms, NULL));
}

QG_EXPORT int quic_server_handshake_parms(int sd, struct quic_handshake_parms *parms)
{
    return qg_result(qg_handshake(sd, true, parms, NULL));
}

QG_EXPORT int quic_gnutls_parms(int sd, bool is_server, struct quic_handshake_parms *parms)
{
    return qg_result(qg_handshake(sd, is_server, parms, NULL));
}

QG_EXPORT int quic_gnutls_psk(int sd, bool is_server, const char *psk_file, const char *alpns)
{
    struct quic_handshake_parms parms;
    memset(&parms, 0, sizeof(parms));
    parms.timeout = QG_CALL_MS;
    int rc = qg_psk_read(&parms, psk_file);
    if (rc == 0) {
        rc = qg_handshake(sd, is_server, &parms, alpns);
    } else {
        qg_say("%s: %s", psk_file, strerror(-rc));
    }
    qg_psk_free(&parms);
    return qg_result(rc);
}

/* Messages to and fro until gnutls is done, then the connection stands. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "compat/gnutls/run.h"

#define QG_CRYPTO_ERROR 0x100u /* RFC 9001 4.8 */
#define QG_REFUSED      0x02u  /* RFC 9000 20.1, CONNECTION_REFUSED */

/* ---- what went wrong -------------------------------------------------------------------------------------- */

/* As without this library: what is about certificates has an errno of its own. */
static int errno_of_alert(uint32_t alert)
{
    switch (alert) {
    case GNUTLS_A_BAD_CERTIFICATE:
    case GNUTLS_A_UNSUPPORTED_CERTIFICATE:
    case GNUTLS_A_CERTIFICATE_REVOKED:
    case GNUTLS_A_CERTIFICATE_EXPIRED:
    case GNUTLS_A_CERTIFICATE_UNKNOWN:
    case GNUTLS_A_UNKNOWN_CA:
    case GNUTLS_A_CERTIFICATE_REQUIRED:
        return -EKEYREJECTED;
    default:
        return -EPROTO;
    }
}

/* Nothing was said of why: what this end makes of it. */
static int errno_of_silence(const char *phrase)
{
    const bool is_late =
        strcmp(phrase, "idle timeout") == 0 || strcmp(phrase, "handshake timed out") == 0;
    return is_late                                    ? -ETIMEDOUT
           : strcmp(phrase, "no common version") == 0 ? -EPROTONOSUPPORT
                                                      : -ECONNRESET;
}

/* The connection ended by itself. Codes of an application have no frame type: 0x100 and above are what its protocol
 * says they are (RFC 9000 20.2), and no alerts; 2 is none of a server's that has finished its handshake, nor of a
 * client's. */
static int errno_of_end(const qg_run *run)
{
    qg_close end;
    int rc = run->wire->get_close(run->sd, &end);
    if (rc != 0) {
        return rc;
    }
    if (end.code == 0) {
        return errno_of_silence(end.phrase);
    }
    if (end.code == QG_REFUSED && !run->is_server && run->secret_len[0] == 0) {
        return -ECONNREFUSED;
    }
    return end.frame == QG_FRAME_CRYPTO && end.code >= QG_CRYPTO_ERROR &&
                   end.code - QG_CRYPTO_ERROR <= UINT8_MAX
               ? errno_of_alert(end.code - QG_CRYPTO_ERROR)
               : -ECONNRESET;
}

int qg_why_not(const qg_run *run)
{
    uint8_t params[QG_PARAMS_MAX];
    size_t len = sizeof(params);
    if (run->wire->get_bytes(run->sd, QG_OPT_PARAMS, params, &len) == -EPIPE) {
        return -EINVAL; /* it was the program that ended it */
    }
    struct pollfd p = {run->sd, 0, 0}; /* POLLHUP is always told */
    bool is_over = poll(&p, 1, 0) == 1 && (p.revents & POLLHUP) != 0;
    return is_over && !qg_ticket_knows_limits(run) ? errno_of_end(run) : -EINVAL;
}

static int alert_of(const qg_run *run, int ret)
{
    int severity = 0;
    int alert = run->alert != QG_ALERT_NONE ? run->alert : gnutls_error_to_alert(ret, &severity);
    if (run->alert == QG_ALERT_NONE && ret == GNUTLS_E_PARSING_ERROR) {
        alert = GNUTLS_A_DECODE_ERROR; /* gnutls has none for it */
    }
    return alert >= 0 && alert <= UINT8_MAX ? alert : GNUTLS_A_INTERNAL_ERROR;
}

/* gnutls, or one of its callbacks, has refused to go on: the peer is told why. */
static int fail(qg_run *run, int ret)
{
    int alert = alert_of(run, ret);
    if (run->broken && qg_is_over(run->sd)) {
        return errno_of_end(run);
    }
    qg_say("handshake: %s (alert %d)", run->rc != 0 ? strerror(-run->rc) : gnutls_strerror(ret),
           alert);
    (void)run->wire->set_close(run->sd, QG_CRYPTO_ERROR + (uint32_t)alert);
    (void)shutdown(run->sd, SHUT_WR);
    if (run->rc != 0) {
        return run->rc;
    }
    return ret == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : errno_of_alert((uint32_t)alert);
}

static int refuse(qg_run *run, int alert)
{
    run->alert = alert;
    return fail(run, GNUTLS_E_INTERNAL_ERROR);
}

/* A call on the socket failed, which most often is because the connection is over. */
static int socket_failed(qg_run *run, int rc)
{
    bool over = rc == -ENOTCONN || ((rc == -EINVAL || rc == -EPIPE) && qg_is_over(run->sd));
    return over ? errno_of_end(run) : rc;
}

/* ---- the end ------------------------------------------------------------------------------------------------- */

/* draft section 6.1.5: the protocol agreed on is the option's value; while it can be set. */
static int settle_alpn(qg_run *run)
{
    gnutls_datum_t chosen = {NULL, 0};
    bool agreed = gnutls_alpn_get_selected_protocol(run->session, &chosen) >= 0;
    if (run->is_given ? !agreed : run->alpn[0] == '\0') {
        return 0; /* none was asked for */
    }
    if (!agreed || chosen.size > QG_ALPN_MAX) {
        return refuse(run, GNUTLS_A_NO_APPLICATION_PROTOCOL); /* RFC 9001 8.1 */
    }
    return run->wire->set_bytes(run->sd, QG_OPT_ALPN, chosen.data, chosen.size);
}

static int settle(qg_run *run)
{
    if (!run->params_came) {
        return refuse(run, GNUTLS_A_MISSING_EXTENSION); /* RFC 9001 8.2 */
    }
    if (run->secret_len[0] == 0 || run->secret_len[1] == 0) {
        /* Not TLS 1.3; or a server's session that begins early, whose client is still to finish. */
        return refuse(run, GNUTLS_A_INTERNAL_ERROR);
    }
    int rc = settle_alpn(run);
    for (int send = 1; send >= 0 && rc == 0; send--) {
        rc = run->wire->set_secret(run->sd, QG_APP, send != 0, run->cipher_type, run->secret[send],
                                   run->secret_len[send]);
    }
    if (rc != 0) {
        return run->alert != QG_ALERT_NONE ? rc : socket_failed(run, rc);
    }
    run->settled = true;
    if (run->is_server) {
        qg_ticket_send(run);
    } else if (run->settings.wants_ticket && !run->is_given) {
        int ret = qg_ticket_await(run);
        if (ret < 0) { /* RFC 9001 4.8; the handshake itself went well */
            (void)fail(run, ret);
        }
    }
    return run->is_given ? 0 : qg_creds_out(run);
}

/* ---- messages -------------------------------------------------------------------------------------------------- */

static gnutls_record_encryption_level_t gnutls_level_of(int level)
{
    static const gnutls_record_encryption_level_t levels[] = {
        [QG_APP] = GNUTLS_ENCRYPTION_LEVEL_APPLICATION,
        [QG_INITIAL] = GNUTLS_ENCRYPTION_LEVEL_INITIAL,
        [QG_HANDSHAKE] = GNUTLS_ENCRYPTION_LEVEL_HANDSHAKE,
        [QG_EARLY] = GNUTLS_ENCRYPTION_LEVEL_EARLY};
    return levels[level];
}

static bool is_over(const qg_run *run, int ret)
{
    return ret < 0 && (gnutls_error_is_fatal(ret) != 0 || run->rc != 0);
}

static int drive(qg_run *run)
{
    uint8_t *buf = (uint8_t *)malloc(QG_MESSAGE_MAX);
    int rc = buf == NULL ? -ENOMEM : 0;
    bool done = false;
    while (rc == 0 && !done) {
        int level = QG_INITIAL;
        size_t len = 0;
        int ret = gnutls_handshake(run->session);
        done = ret == GNUTLS_E_SUCCESS;
        if (done || is_over(run, ret)) {
            rc = done ? 0 : fail(run, ret);
            continue;
        }
        rc = qg_recv(run->sd, &level, buf, &len, run->deadline_ms);
        if (rc != 0) {
            rc = socket_failed(run, rc);
            continue;
        }
        ret = gnutls_handshake_write(run->session, gnutls_level_of(level), buf, len);
        rc = is_over(run, ret) ? fail(run, ret) : 0;
    }
    free(buf);
    return rc == 0 ? settle(run) : rc;
}

int qg_drive(qg_run *run)
{
    int state = 0;
    qg_run *before = qg_session_run(run);
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE,
                                 &state); /* nobody would wipe what it holds */
    int rc = drive(run);
    (void)pthread_setcancelstate(state, NULL);
    (void)qg_session_run(before);
    return rc;
}

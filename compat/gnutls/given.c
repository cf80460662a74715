/* quic_handshake (draft revision 02, section 3.2.3): a session of the program's own. */
#include <errno.h>
#include <stdlib.h>

#include "compat/gnutls/run.h"

static int handshake(qg_run *run)
{
    uint8_t params[QG_PARAMS_MAX];
    size_t len = sizeof(params);
    run->is_server = qg_is_server_socket(run);
    if (run->wire->get_bytes(run->sd, QG_OPT_PARAMS, params, &len) != 0) {
        return qg_why_not(run);
    }
    int rc = qg_session_take(run);
    if (rc == 0) {
        rc = qg_drive(run);
        qg_session_return(run);
    }
    return rc;
}

QG_EXPORT int quic_handshake(void *session)
{
    struct quic_handshake_parms none = {0};
    if (session == NULL) {
        return qg_result(-EINVAL);
    }
    int sd = gnutls_transport_get_int((gnutls_session_t)session);
    const qg_wire *wire = qg_wire_of(sd);
    if (wire == NULL) {
        return qg_result(-errno);
    }
    qg_run *run = (qg_run *)calloc(1, sizeof(*run));
    if (run == NULL) {
        return qg_result(-ENOMEM);
    }
    run->sd = sd;
    run->wire = wire;
    run->session = (gnutls_session_t)session;
    run->is_given = true;
    run->parms = &none;
    run->alert = QG_ALERT_NONE;
    run->deadline_ms = qg_now_ms() + QG_CALL_MS;
    int rc = handshake(run);
    gnutls_memset(run, 0, sizeof(*run));
    free(run);
    return qg_result(rc);
}

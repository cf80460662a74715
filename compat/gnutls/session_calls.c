/* What programs of today's names do with a session of their own beside quic_handshake: protocols as a list, and the
 * ticket that came. */
#include <errno.h>
#include <string.h>

#include "compat/gnutls/run.h"

int quic_session_get_data_2(void *session, void *data, size_t *size);
int quic_session_set_data_2(void *session, const void *data, size_t size);
int quic_session_get_alpn_2(void *session, void *alpn, size_t *size);
int quic_session_set_alpn_2(void *session, const void *alpns, size_t size);

static int rc_of(int ret)
{
    return ret >= 0                              ? 0
           : ret == GNUTLS_E_SHORT_MEMORY_BUFFER ? -EMSGSIZE
           : ret == GNUTLS_E_MEMORY_ERROR        ? -ENOMEM
           : gnutls_error_is_fatal(ret) != 0     ? -EPROTO
                                                 : -EAGAIN;
}

/* The server's message is the socket's (draft section 6.1.6): what resumes the session is made of it here. *len 0:
 * there is none. */
static int take_ticket(gnutls_session_t session, size_t *len)
{
    uint8_t message[QG_TICKET_MAX];
    int sd = gnutls_transport_get_int(session);
    const qg_wire *wire = qg_wire_of(sd);
    *len = sizeof(message);
    int rc = wire != NULL ? wire->get_bytes(sd, QG_OPT_TICKET, message, len) : -errno;
    if (rc != 0 || !qg_ticket_is_message(message, *len)) {
        *len = 0;
        gnutls_memset(message, 0, sizeof(message)); /* it may be a server's key */
        return rc;
    }
    int ret = gnutls_handshake_write(session, GNUTLS_ENCRYPTION_LEVEL_APPLICATION, message, *len);
    gnutls_memset(message, 0, sizeof(message));
    return ret < 0 && gnutls_error_is_fatal(ret) != 0 ? rc_of(ret) : 0;
}

QG_EXPORT int quic_session_get_data_2(void *session, void *data, size_t *size)
{
    size_t len = 0;
    if (session == NULL) {
        return qg_result(-EINVAL);
    }
    int rc = take_ticket((gnutls_session_t)session, &len);
    if (rc == 0 && len == 0) {
        *size = 0; /* none yet */
        return 0;
    }
    return qg_result(rc == 0 ? rc_of(gnutls_session_get_data((gnutls_session_t)session, data, size))
                             : rc);
}

QG_EXPORT int quic_session_set_data_2(void *session, const void *data, size_t size)
{
    if (session == NULL) {
        return qg_result(-EINVAL);
    }
    return qg_result(rc_of(gnutls_session_set_data((gnutls_session_t)session, data, size)));
}

QG_EXPORT int quic_session_get_alpn_2(void *session, void *alpn, size_t *size)
{
    gnutls_datum_t chosen = {NULL, 0};
    if (session == NULL) {
        return qg_result(-EINVAL);
    }
    if (gnutls_alpn_get_selected_protocol((gnutls_session_t)session, &chosen) < 0) {
        return qg_result(-ENOENT);
    }
    if (*size < chosen.size) {
        return qg_result(-EMSGSIZE);
    }
    memcpy(alpn, chosen.data, chosen.size);
    *size = chosen.size;
    return 0;
}

QG_EXPORT int quic_session_set_alpn_2(void *session, const void *alpns, size_t size)
{
    gnutls_datum_t list[QG_ALPN_COUNT_MAX];
    char text[QG_ALPN_MAX + 1];
    if (session == NULL || size > QG_ALPN_MAX) {
        return qg_result(-EINVAL);
    }
    memcpy(text, alpns, size);
    text[size] = '\0';
    unsigned count = qg_alpn_split(text, list);
    int ret = count > 0 ? gnutls_alpn_set_protocols((gnutls_session_t)session, list, count,
                                                    GNUTLS_ALPN_MANDATORY)
                        : GNUTLS_E_INVALID_REQUEST;
    return qg_result(ret >= 0 ? 0 : ret == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL);
}

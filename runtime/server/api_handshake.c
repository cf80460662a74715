#include <string.h>

#include "quring/handshake.h"

#include "quic/conn/conn.h"
#include "runtime/server/addr.h"
#include "runtime/server/config_check.h"
#include "runtime/server/error.h"
#include "runtime/server/local.h"

_Static_assert((int)QURING_LEVEL_INITIAL == (int)QUIC_LEVEL_INITIAL, "levels pass through");
_Static_assert((int)QURING_LEVEL_EARLY == (int)QUIC_LEVEL_EARLY, "levels pass through");
_Static_assert((int)QURING_LEVEL_HANDSHAKE == (int)QUIC_LEVEL_HANDSHAKE, "levels pass through");
_Static_assert((int)QURING_LEVEL_APP == (int)QUIC_LEVEL_APP, "levels pass through");

static bool rt_level_is_valid(quring_level level)
{
    return (int)level >= (int)QURING_LEVEL_INITIAL && (int)level <= (int)QURING_LEVEL_APP;
}

quring_status quring_handshake_client_hello(quring_conn conn, quring_client_hello *out)
{
    if (out == NULL) {
        return QURING_E_INVAL;
    }
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    return status == QURING_OK ? rt_status_of(quic_conn_hs_client_hello(c, out)) : status;
}

quring_status quring_handshake_accept(quring_conn conn)
{
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    return status == QURING_OK ? rt_status_of(quic_conn_hs_accept(c)) : status;
}

quring_status quring_handshake_refuse(quring_conn conn, uint64_t transport_error)
{
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    if (status != QURING_OK) {
        return status;
    }
    if (transport_error > QUIC_VARINT_MAX) {
        return QURING_E_INVAL;
    }
    return rt_status_of(quic_conn_hs_refuse(c, transport_error));
}

quring_status quring_handshake_send(quring_conn conn, quring_level level, const uint8_t *data,
                                    size_t len)
{
    if (!rt_level_is_valid(level) || (data == NULL && len > 0)) {
        return QURING_E_INVAL;
    }
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    if (status != QURING_OK) {
        return status;
    }
    return rt_status_of(quic_conn_hs_send(c, (quic_level)level, data, len));
}

quring_status quring_handshake_install_secret(quring_conn conn, quring_level level,
                                              quring_direction direction, uint16_t cipher_suite,
                                              const uint8_t *secret, size_t secret_len)
{
    if (!rt_level_is_valid(level) || secret == NULL || secret_len == 0 ||
        (direction != QURING_DIR_READ && direction != QURING_DIR_WRITE)) {
        return QURING_E_INVAL;
    }
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    if (status != QURING_OK) {
        return status;
    }
    return rt_status_of(quic_conn_hs_install_secret(
        c, (quic_level)level, direction == QURING_DIR_WRITE, cipher_suite, secret, secret_len));
}

quring_status quring_handshake_set_limits(quring_conn conn, const quring_limits *limits)
{
    if (limits == NULL || rt_limits_check(limits, NULL) != QURING_OK) {
        return QURING_E_INVAL;
    }
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    return status == QURING_OK ? rt_status_of(quic_conn_hs_set_limits(c, limits)) : status;
}

static bool rt_is_place(const quring_addr *addr)
{
    return addr != NULL && addr->family != 0;
}

quring_status quring_handshake_set_preferred(quring_conn conn, const quring_addr *v4,
                                             const quring_addr *v6)
{
    quic_addr places[2];
    memset(places, 0, sizeof(places));
    if ((!rt_is_place(v4) && !rt_is_place(v6)) ||
        (rt_is_place(v4) && (v4->family != 4 || v4->port == 0)) ||
        (rt_is_place(v6) && (v6->family != 6 || v6->port == 0))) {
        return QURING_E_INVAL;
    }
    if (rt_is_place(v4)) {
        places[0] = rt_addr_to_core(v4);
    }
    if (rt_is_place(v6)) {
        places[1] = rt_addr_to_core(v6);
    }
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    return status == QURING_OK ? rt_status_of(quic_conn_hs_set_preferred(c, &places[0], &places[1]))
                               : status;
}

quring_status quring_handshake_get_params(quring_conn conn, uint8_t *buf, size_t *out_len,
                                          size_t buf_len)
{
    if (buf == NULL || out_len == NULL) {
        return QURING_E_INVAL;
    }
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    if (status != QURING_OK) {
        return status;
    }
    return rt_status_of(quic_conn_hs_get_params(c, buf, out_len, buf_len));
}

quring_status quring_handshake_set_peer_params(quring_conn conn, const uint8_t *data, size_t len)
{
    if (data == NULL && len > 0) {
        return QURING_E_INVAL;
    }
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    if (status != QURING_OK) {
        return status;
    }
    return rt_status_of(quic_conn_hs_set_peer_params(c, data, len));
}

quring_status quring_transport_params_decode(quring_transport_params *out, const uint8_t *data,
                                             size_t len, bool from_server)
{
    if (out == NULL || (data == NULL && len > 0)) {
        return QURING_E_INVAL;
    }
    return quic_params_decode_public(out, data, len, from_server ? QUIC_SERVER : QUIC_CLIENT) ==
                   QUIC_OK
               ? QURING_OK
               : QURING_E_INVAL;
}

quring_status quring_handshake_set_remembered(quring_conn conn,
                                              const quring_transport_params *params)
{
    if (params == NULL) {
        return QURING_E_INVAL;
    }
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    return status == QURING_OK ? rt_status_of(quic_conn_hs_set_remembered(c, params)) : status;
}

quring_status quring_handshake_set_early_answer(quring_conn conn, bool accepted)
{
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    return status == QURING_OK ? rt_status_of(quic_conn_hs_set_early_answer(c, accepted)) : status;
}

quring_status quring_handshake_set_alpn(quring_conn conn, const uint8_t *alpn, size_t len)
{
    if ((alpn == NULL && len > 0) || len > 255) { /* RFC 7301 3.1 */
        return QURING_E_INVAL;
    }
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    return status == QURING_OK ? rt_status_of(quic_conn_hs_set_alpn(c, alpn, len)) : status;
}

quring_status quring_handshake_complete(quring_conn conn)
{
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    return status == QURING_OK ? rt_status_of(quic_conn_hs_complete(c)) : status;
}

quring_status quring_handshake_fail(quring_conn conn, uint8_t alert)
{
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    return status == QURING_OK ? rt_status_of(quic_conn_hs_fail(c, alert)) : status;
}

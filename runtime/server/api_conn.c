#include <string.h>

#include "quring/conn.h"

#include "quic/conn/conn.h"
#include "runtime/server/error.h"
#include "runtime/server/local.h"

quring_status quring_conn_set_ctx(quring_conn conn, void *ctx)
{
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    if (status == QURING_OK) {
        quic_conn_set_app_ctx(c, ctx);
    }
    return status;
}

void *quring_conn_get_ctx(quring_conn conn)
{
    quic_conn *c = NULL;
    return rt_local_conn(&c, conn) == QURING_OK ? quic_conn_app_ctx(c) : NULL;
}

quring_status quring_conn_close(quring_conn conn, uint64_t app_error, const char *reason)
{
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    if (status != QURING_OK) {
        return status;
    }
    if (app_error > QUIC_VARINT_MAX) {
        return QURING_E_INVAL;
    }
    return rt_status_of(quic_conn_close(c, app_error, reason));
}

quring_status quring_conn_get_info(quring_conn conn, quring_conn_info *out)
{
    if (out == NULL) {
        return QURING_E_INVAL;
    }
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    if (status == QURING_OK) {
        memset(out, 0, sizeof(*out));
        quic_conn_get_info(c, out);
    }
    return status;
}

quring_status quring_conn_read_trace(quring_conn conn, quring_packet_record *out, size_t cap,
                                     size_t *out_count, uint64_t *out_missed)
{
    if ((out == NULL && cap > 0) || out_count == NULL || out_missed == NULL) {
        return QURING_E_INVAL;
    }
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    return status == QURING_OK
               ? rt_status_of(quic_conn_read_trace(c, out, cap, out_count, out_missed))
               : status;
}

quring_status quring_conn_peer_certificate(quring_conn conn, quring_peer_certificate *out)
{
    if (out == NULL) {
        return QURING_E_INVAL;
    }
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    if (status != QURING_OK) {
        return status;
    }
    memset(out, 0, sizeof(*out));
    if (!quic_conn_peer_certificate(c, &out->der.data, &out->der.len, &out->verified)) {
        quring_conn_info info;
        quic_conn_get_info(c, &info);
        return info.established ? QURING_OK : QURING_E_STATE;
    }
    return QURING_OK;
}

quring_status quring_conn_export_keys(quring_conn conn, uint8_t *out, size_t len, const char *label,
                                      quring_bytes context)
{
    if (out == NULL || len == 0 || label == NULL || (context.data == NULL && context.len > 0)) {
        return QURING_E_INVAL;
    }
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    return status == QURING_OK
               ? rt_status_of(quic_conn_export_keys(c, out, len, label, context.data, context.len))
               : status;
}

quring_status quring_conn_ping(quring_conn conn)
{
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    return status == QURING_OK ? rt_status_of(quic_conn_ping(c)) : status;
}

quring_status quring_conn_give_token(quring_conn conn)
{
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    return status == QURING_OK ? rt_status_of(quic_conn_give_token(c)) : status;
}

quring_status quring_conn_update_keys(quring_conn conn)
{
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    return status == QURING_OK ? rt_status_of(quic_conn_update_keys(c)) : status;
}

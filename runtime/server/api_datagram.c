#include <string.h>

#include "quring/datagram.h"

#include "quic/conn/conn.h"
#include "runtime/server/error.h"
#include "runtime/server/local.h"

_Static_assert((int)QURING_DATAGRAM_REPLACE == (int)QUIC_DATAGRAM_REPLACE, "flags pass through");

quring_status quring_datagram_send(quring_conn conn, const void *data, size_t len, uint64_t ttl_ns,
                                   uint32_t flags)
{
    if ((data == NULL && len > 0) || (flags & ~(uint32_t)QURING_DATAGRAM_REPLACE) != 0) {
        return QURING_E_INVAL;
    }
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    if (status != QURING_OK) {
        return status;
    }
    return rt_status_of(quic_conn_datagram_send(c, (const uint8_t *)data, len, ttl_ns, flags));
}

quring_status quring_datagram_max(quring_conn conn, size_t *out_len)
{
    if (out_len == NULL) {
        return QURING_E_INVAL;
    }
    *out_len = 0;
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    return status == QURING_OK ? rt_status_of(quic_conn_datagram_max(c, out_len)) : status;
}

quring_status quring_datagram_peek(quring_conn conn, quring_bytes *out)
{
    if (out == NULL) {
        return QURING_E_INVAL;
    }
    quic_conn *c = NULL;
    quic_span span = {NULL, 0};
    quring_status status = rt_local_conn(&c, conn);
    if (status == QURING_OK) {
        status = rt_status_of(quic_conn_datagram_peek(c, &span));
    }
    out->data = span.data;
    out->len = span.len;
    return status;
}

quring_status quring_datagram_consume(quring_conn conn)
{
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    return status == QURING_OK ? rt_status_of(quic_conn_datagram_consume(c)) : status;
}

quring_status quring_datagram_read(quring_conn conn, size_t *out_len, void *buf, size_t cap)
{
    if (out_len == NULL || (buf == NULL && cap > 0)) {
        return QURING_E_INVAL;
    }
    quring_bytes bytes;
    quring_status status = quring_datagram_peek(conn, &bytes);
    *out_len = bytes.len;
    if (status != QURING_OK) {
        return status;
    }
    if (bytes.len > cap) {
        return QURING_E_TOO_LARGE;
    }
    if (bytes.len > 0) {
        memcpy(buf, bytes.data, bytes.len);
    }
    return quring_datagram_consume(conn);
}

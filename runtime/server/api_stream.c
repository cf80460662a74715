#include <string.h>

#include "quring/stream.h"

#include "quic/conn/conn.h"
#include "runtime/server/error.h"
#include "runtime/server/local.h"

_Static_assert((int)QURING_WRITE_FIN == (int)QUIC_WRITE_FIN, "flags pass through");
_Static_assert((int)QURING_WRITE_MORE == (int)QUIC_WRITE_MORE, "flags pass through");

quring_status quring_stream_open(quring_stream *out, quring_conn conn, uint32_t flags)
{
    if (out == NULL || (flags & ~(uint32_t)QURING_STREAM_UNI) != 0) {
        return QURING_E_INVAL;
    }
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    if (status != QURING_OK) {
        return status;
    }
    quic_stream *s = NULL;
    status = rt_status_of(quic_conn_stream_open(c, (flags & QURING_STREAM_UNI) != 0, &s));
    if (status == QURING_OK) {
        out->handle = rt_handle_public(rt_local_self, quic_stream_handle(s));
    }
    return status;
}

quring_status quring_streams_blocked(quring_conn conn, uint32_t flags)
{
    if ((flags & ~(uint32_t)QURING_STREAM_UNI) != 0) {
        return QURING_E_INVAL;
    }
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    if (status != QURING_OK) {
        return status;
    }
    return rt_status_of(quic_conn_streams_blocked(c, (flags & QURING_STREAM_UNI) != 0));
}

/* ---- names ------------------------------------------------------------------------------------- */

quring_status quring_stream_set_ctx(quring_stream stream, void *ctx)
{
    quic_stream *s = NULL;
    quring_status status = rt_local_stream(&s, stream);
    if (status == QURING_OK) {
        quic_stream_set_app_ctx(s, ctx);
    }
    return status;
}

void *quring_stream_get_ctx(quring_stream stream)
{
    quic_stream *s = NULL;
    return rt_local_stream(&s, stream) == QURING_OK ? quic_stream_app_ctx(s) : NULL;
}

uint64_t quring_stream_id(quring_stream stream)
{
    quic_stream *s = NULL;
    return rt_local_stream(&s, stream) == QURING_OK ? quic_stream_id(s) : UINT64_MAX;
}

quring_conn quring_stream_conn(quring_stream stream)
{
    quring_conn out = {0};
    quic_stream *s = NULL;
    if (rt_local_stream(&s, stream) == QURING_OK) {
        out.handle = rt_handle_public(rt_local_self, quic_conn_handle(quic_stream_conn(s)));
    }
    return out;
}

/* ---- writing ----------------------------------------------------------------------------------- */

static quring_status rt_stream_write(quring_stream stream, size_t *out_taken, const void *data,
                                     size_t len, uint32_t flags, uint32_t how)
{
    if (out_taken == NULL || (data == NULL && len > 0) ||
        (flags & ~(uint32_t)(QURING_WRITE_FIN | QURING_WRITE_MORE)) != 0) {
        return QURING_E_INVAL;
    }
    *out_taken = 0;
    quic_stream *s = NULL;
    quring_status status = rt_local_stream(&s, stream);
    if (status != QURING_OK) {
        return status;
    }
    return rt_status_of(quic_conn_stream_write(quic_stream_conn(s), s, (const uint8_t *)data, len,
                                               flags | how, out_taken));
}

quring_status quring_stream_write(quring_stream stream, size_t *out_written, const void *data,
                                  size_t len, uint32_t flags)
{
    return rt_stream_write(stream, out_written, data, len, flags, 0);
}

quring_status quring_stream_lend(quring_stream stream, size_t *out_accepted, const void *data,
                                 size_t len, uint32_t flags)
{
    return rt_stream_write(stream, out_accepted, data, len, flags, QUIC_WRITE_LEND);
}

/* ---- reading ----------------------------------------------------------------------------------- */

quring_status quring_stream_peek(quring_stream stream, quring_bytes out_spans[2], bool *out_fin)
{
    if (out_spans == NULL || out_fin == NULL) {
        return QURING_E_INVAL;
    }
    quic_stream *s = NULL;
    quring_status status = rt_local_stream(&s, stream);
    if (status != QURING_OK) {
        return status;
    }
    quic_span spans[2] = {{NULL, 0}, {NULL, 0}};
    bool fin = false;
    status = rt_status_of(quic_conn_stream_peek(quic_stream_conn(s), s, spans, &fin));
    if (status == QURING_OK) {
        for (size_t i = 0; i < 2; i++) {
            out_spans[i].data = spans[i].data;
            out_spans[i].len = spans[i].len;
        }
        *out_fin = fin;
    }
    return status;
}

quring_status quring_stream_consume(quring_stream stream, size_t len)
{
    quic_stream *s = NULL;
    quring_status status = rt_local_stream(&s, stream);
    if (status != QURING_OK) {
        return status;
    }
    return rt_status_of(quic_conn_stream_consume(quic_stream_conn(s), s, len));
}

quring_status quring_stream_read(quring_stream stream, size_t *out_read, bool *out_fin, void *buf,
                                 size_t len)
{
    if (out_read == NULL || out_fin == NULL || (buf == NULL && len > 0)) {
        return QURING_E_INVAL;
    }
    *out_read = 0;
    *out_fin = false;
    quic_stream *s = NULL;
    quring_status status = rt_local_stream(&s, stream);
    if (status != QURING_OK) {
        return status;
    }
    quic_conn *c = quic_stream_conn(s);
    quic_span spans[2] = {{NULL, 0}, {NULL, 0}};
    bool fin = false;
    status = rt_status_of(quic_conn_stream_peek(c, s, spans, &fin));
    if (status != QURING_OK) {
        return status;
    }
    size_t copied = 0;
    size_t shown = spans[0].len + spans[1].len;
    for (size_t i = 0; i < 2 && copied < len; i++) {
        size_t part = spans[i].len < len - copied ? spans[i].len : len - copied;
        if (part > 0) {
            memcpy((uint8_t *)buf + copied, spans[i].data, part);
        }
        copied += part;
    }
    bool at_end = fin && copied == shown;
    if (copied > 0 || at_end) {
        status = rt_status_of(quic_conn_stream_consume(c, s, copied));
        if (status != QURING_OK) {
            return status;
        }
    }
    *out_read = copied;
    *out_fin = at_end;
    return QURING_OK;
}

/* ---- giving up --------------------------------------------------------------------------------- */

typedef quic_rc (*rt_stream_abandon_fn)(quic_conn *conn, quic_stream *stream, uint64_t app_error);

static quring_status rt_stream_abandon(quring_stream stream, uint64_t app_error,
                                       rt_stream_abandon_fn abandon)
{
    quic_stream *s = NULL;
    quring_status status = rt_local_stream(&s, stream);
    if (status != QURING_OK) {
        return status;
    }
    if (app_error > QUIC_VARINT_MAX) {
        return QURING_E_INVAL;
    }
    return rt_status_of(abandon(quic_stream_conn(s), s, app_error));
}

quring_status quring_stream_reset(quring_stream stream, uint64_t app_error)
{
    return rt_stream_abandon(stream, app_error, quic_conn_stream_reset);
}

quring_status quring_stream_reset_at(quring_stream stream, uint64_t app_error,
                                     uint64_t reliable_size)
{
    quic_stream *s = NULL;
    quring_status status = rt_local_stream(&s, stream);
    if (status != QURING_OK) {
        return status;
    }
    return rt_status_of(
        quic_conn_stream_reset_at(quic_stream_conn(s), s, app_error, reliable_size));
}

quring_status quring_stream_stop_sending(quring_stream stream, uint64_t app_error)
{
    return rt_stream_abandon(stream, app_error, quic_conn_stream_stop_sending);
}

quring_status quring_stream_set_priority(quring_stream stream, uint32_t urgency, uint32_t flags)
{
    if ((flags & ~(uint32_t)QURING_PRIORITY_INCREMENTAL) != 0) {
        return QURING_E_INVAL;
    }
    quic_stream *s = NULL;
    quring_status status = rt_local_stream(&s, stream);
    if (status != QURING_OK) {
        return status;
    }
    return rt_status_of(quic_conn_stream_set_priority(quic_stream_conn(s), s, urgency,
                                                      (flags & QURING_PRIORITY_INCREMENTAL) != 0));
}

quring_status quring_stream_get_info(quring_stream stream, quring_stream_info *out)
{
    if (out == NULL) {
        return QURING_E_INVAL;
    }
    quic_stream *s = NULL;
    quring_status status = rt_local_stream(&s, stream);
    if (status != QURING_OK) {
        return status;
    }
    quic_stream_info info;
    memset(&info, 0, sizeof(info));
    quic_conn_stream_get_info(quic_stream_conn(s), s, &info);
    out->id = quic_stream_id(s);
    out->bytes_written = info.bytes_written;
    out->bytes_sent = info.bytes_sent;
    out->bytes_acked = info.bytes_acked;
    out->bytes_recv = info.bytes_recv;
    out->bytes_read = info.bytes_read;
    out->readable = info.readable;
    out->writable = info.writable;
    out->send_max = info.send_max;
    out->conn_send_max = info.conn_send_max;
    out->urgency = info.urgency;
    out->incremental = info.incremental;
    return QURING_OK;
}

#include "runtime/server/dispatch.h"

#include <inttypes.h>
#include <string.h>

#include "runtime/server/error.h"

void rt_dispatch_event(const rt_local *local, const quic_event *event)
{
    const rt_owner *owner = (const rt_owner *)quic_conn_owner_ctx(event->conn);
    if (owner == NULL || owner->on_event == NULL) {
        return;
    }
    quring_event out;
    memset(&out, 0, sizeof(out));
    out.type = event->type;
    out.conn.handle = rt_handle_public(local, quic_conn_handle(event->conn));
    out.conn_ctx = quic_conn_app_ctx(event->conn);
    if (event->stream != NULL) {
        out.stream.handle = rt_handle_public(local, quic_stream_handle(event->stream));
        out.stream_ctx = quic_stream_app_ctx(event->stream);
    }
    out.stream_id = event->stream_id;
    out.app_error = event->app_error;
    out.offset = event->offset;
    if (event->type == QURING_EV_CLOSED) {
        out.close = quic_conn_close_info(event->conn);
    }
    out.level = event->level;
    out.data.data = event->data;
    out.data.len = event->data_len;
    owner->on_event(&out);
}

quring_status rt_dispatch_check_muted(uint64_t muted_events, quring_error *err)
{
    if ((muted_events & ~QURING_EVENTS_MUTABLE) != 0) {
        return rt_error_set(err, QURING_E_INVAL,
                            "muted_events is 0x%" PRIx64 ", allowed is what is in 0x%" PRIx64
                            " (QURING_EVENTS_MUTABLE)",
                            muted_events, QURING_EVENTS_MUTABLE);
    }
    return QURING_OK;
}

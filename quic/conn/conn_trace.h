/* quic/conn/conn_trace.h: what happened to a connection's packets, for an application that asked to know
 * (limits.trace_packets): a queue that is filled as it happens and emptied by the application. */
#ifndef QUIC_CONN_CONN_TRACE_H
#define QUIC_CONN_CONN_TRACE_H

#include "quring/conn.h"

#include "quic/base/types.h"
#include "quic/conn/conn.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quic_conn_trace {
    uint32_t cap;    /* of records */
    uint32_t head;   /* the oldest */
    uint32_t count;  /* that wait */
    uint64_t missed; /* for want of room, since the last read */
    quring_packet_record records[];
} quic_conn_trace;

/* quic_conn_trace_begin makes conn->trace as the limits say; without memory there is none. */
void quic_conn_trace_begin(quic_conn *conn);
void quic_conn_free_trace(quic_conn *conn);

/* quic_conn_trace_add: call it only with conn->trace. */
void quic_conn_trace_add(quic_conn *conn, quring_packet_event event, quic_level level, uint64_t pn,
                         size_t bytes, quic_ns now);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CONN_CONN_TRACE_H */

#include "quic/conn/conn_trace.h"

#include "quic/conn/conn_internal.h"

_Static_assert((int)QURING_PACKET_INITIAL == (int)QUIC_LEVEL_INITIAL &&
                   (int)QURING_PACKET_0RTT == (int)QUIC_LEVEL_EARLY &&
                   (int)QURING_PACKET_HANDSHAKE == (int)QUIC_LEVEL_HANDSHAKE &&
                   (int)QURING_PACKET_1RTT == (int)QUIC_LEVEL_APP,
               "a level is a type of packet");

static size_t trace_bytes(uint32_t cap)
{
    return sizeof(quic_conn_trace) + (size_t)cap * sizeof(quring_packet_record);
}

void quic_conn_trace_begin(quic_conn *conn)
{
    uint32_t cap = conn->limits.trace_packets;
    if (cap != 0) {
        conn->trace = quic_mem_zalloc(&conn->mem, trace_bytes(cap));
    }
    if (conn->trace != NULL) {
        conn->trace->cap = cap;
    }
}

void quic_conn_free_trace(quic_conn *conn)
{
    if (conn->trace != NULL) {
        quic_mem_free(&conn->mem, conn->trace, trace_bytes(conn->trace->cap));
        conn->trace = NULL;
    }
}

void quic_conn_trace_add(quic_conn *conn, quring_packet_event event, quic_level level, uint64_t pn,
                         size_t bytes, quic_ns now)
{
    quic_conn_trace *t = conn->trace;
    if (t->count == t->cap) {
        t->missed++;
        return;
    }
    uint32_t at = t->head + t->count++;
    quring_packet_record *r = &t->records[at < t->cap ? at : at - t->cap];
    r->at_ns = now;
    r->number = pn;
    r->bytes = (uint32_t)bytes;
    r->event = (uint8_t)event;
    r->type = (uint8_t)level;
}

quic_rc quic_conn_read_trace(quic_conn *conn, quring_packet_record *out, size_t cap,
                             size_t *out_count, uint64_t *out_missed)
{
    quic_conn_trace *t = conn->trace;
    if (t == NULL) {
        return QUIC_E_STATE;
    }
    size_t n = 0;
    while (n < cap && t->count > 0) {
        out[n++] = t->records[t->head];
        t->head = t->head + 1 < t->cap ? t->head + 1 : 0;
        t->count--;
    }
    *out_count = n;
    *out_missed = 0;
    if (t->count == 0) {
        *out_missed = t->missed;
        t->missed = 0;
    }
    return QUIC_OK;
}

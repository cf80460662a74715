/* quic/stream/stream_recv.h: the receiving half of a stream.
 *
 * Flow:   on_data / on_reset per frame -> peek, consume by the application. The connection's own
 *         credit (a quic_flow_recv) is an argument: it is charged and given back here.
 * Owner:  the connection calls; nothing here calls back.
 * Spec:   RFC 9000 3.2, 3.5, 4.1, 4.5, 19.4, 19.5, 19.8, 19.10.
 */
#ifndef QUIC_STREAM_STREAM_RECV_H
#define QUIC_STREAM_STREAM_RECV_H

#include "quic/base/types.h"
#include "quic/stream/flow.h"
#include "quic/stream/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a frame or a read means for the connection. */
typedef struct quic_stream_recv_facts {
    bool readable;        /* bytes or the end can be read now */
    bool size_known;      /* the end came before bytes that lie before it */
    bool all_received;    /* DATA_RECVD was entered */
    bool reset;           /* the peer abandoned the stream, and the application should hear it
                             (peer_reset_error) */
    bool done;            /* the half is over now (DATA_READ or RESET_READ) */
    bool conn_update_due; /* a MAX_DATA is worth sending */
    bool useless;         /* the frame brought nothing that was not known */
} quic_stream_recv_facts;

/* quic_stream_on_data takes one STREAM frame.
 *
 *   conn_flow   the connection's credit: `received` grows by what is new, and what is discarded
 *               (after STOP_SENDING) counts as consumed at once
 *
 * Returns QUIC_OK (duplicates too); QUIC_V_FINAL_SIZE, QUIC_V_FLOW_CONTROL (the stream's or the
 * connection's limit); QUIC_E_LIMIT, QUIC_E_NOMEM: do not acknowledge the packet. Nothing is
 * changed unless it is QUIC_OK. The table has checked that the stream has a receiving half. Copies
 * `data`. */
QUIC_NODISCARD quic_rc quic_stream_on_data(quic_stream *s, quic_flow_recv *conn_flow, uint64_t off,
                                           const uint8_t *data, size_t len, bool fin,
                                           quic_stream_recv_facts *facts);

/* quic_stream_on_reset takes RESET_STREAM: charges the final size (RFC 9000 4.5), drops unread
 * bytes and gives their credit back. Ignored when all data was received before (3.2).
 * Returns QUIC_OK; QUIC_V_FINAL_SIZE; QUIC_V_FLOW_CONTROL. */
QUIC_NODISCARD quic_rc quic_stream_on_reset(quic_stream *s, quic_flow_recv *conn_flow,
                                            uint64_t app_error, uint64_t final_size,
                                            quic_stream_recv_facts *facts);

/* quic_stream_on_reset_at takes RESET_STREAM_AT: like quic_stream_on_reset, but the first `reliable_size` bytes
 * are still delivered; facts->reset comes when the application has consumed them. A larger size than
 * before is ignored (Reliable Stream Resets 5.2).
 * Returns QUIC_OK; QUIC_V_FINAL_SIZE; QUIC_V_FLOW_CONTROL; QUIC_V_STREAM_STATE (another code than before). */
QUIC_NODISCARD quic_rc quic_stream_on_reset_at(quic_stream *s, quic_flow_recv *conn_flow,
                                               uint64_t app_error, uint64_t final_size,
                                               uint64_t reliable_size,
                                               quic_stream_recv_facts *facts);

/* quic_stream_peek shows readable bytes in up to two spans and whether the stream ends right after
 * them. Returns QUIC_OK (bytes, or the end, are there); QUIC_E_AGAIN; QUIC_E_STATE (finished,
 * reset, stopped, or not a receiving stream). Borrowed until the next call on the stream. */
QUIC_NODISCARD quic_rc quic_stream_peek(const quic_stream *s, quic_recv_span out[2], bool *out_fin);

/* quic_stream_consume takes `len` bytes away, gives the credit back (QUIC_STREAM_CTRL_MAX_DATA
 * becomes pending, or facts->conn_update_due), and enters DATA_READ when the end is reached (len 0
 * takes a bare end). srtt_ns and now drive window tuning.
 * Returns QUIC_OK; QUIC_E_STATE as peek; QUIC_E_INVAL (len is more than peek showed). */
quic_rc quic_stream_consume(quic_stream *s, quic_flow_recv *conn_flow, uint64_t len,
                            quic_ns srtt_ns, quic_ns now, quic_stream_recv_facts *facts);

/* quic_stream_stop_sending discards what was and will be received and queues STOP_SENDING (RFC 9000
 * 3.5), unless the final size is known already: then the half is done at once.
 * Returns QUIC_OK; QUIC_E_STATE (no receiving half, done, or asked before). */
quic_rc quic_stream_stop_sending(quic_stream *s, quic_flow_recv *conn_flow, uint64_t app_error,
                                 quic_stream_recv_facts *facts);

/* quic_stream_on_reset_read: the application has been told of the reset (RESET_RECVD ->
 * RESET_READ). Returns true when the half is done by that. */
bool quic_stream_on_reset_read(quic_stream *s);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_STREAM_STREAM_RECV_H */

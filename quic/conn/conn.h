/* quic/conn/conn.h: what may be asked of one connection, by quic/endpoint and runtime/server.
 *
 * Shape:  in (recv, on_timeout, app verbs), then pull (send, next_timeout, poll_event).
 * Owner:  the endpoint that created it; one worker; no locks.
 * Time:   `now` never goes back.
 */
#ifndef QUIC_CONN_CONN_H
#define QUIC_CONN_CONN_H

#include "quring/config.h"
#include "quring/conn.h"
#include "quring/handshake.h"

#include "quic/base/io.h"
#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quic_conn quic_conn;
typedef struct quic_stream quic_stream;

/* What happened, for the application. The types are those of quring/conn.h. */
typedef struct quic_event {
    quring_event_type type;
    quic_conn *conn;
    quic_stream *stream; /* STREAM_* */
    uint64_t stream_id;
    uint64_t app_error;  /* STREAM_RESET, STREAM_STOPPED */
    uint64_t offset;     /* STREAM_RELEASED */
    uint8_t level;       /* HANDSHAKE_DATA */
    const uint8_t *data; /* HANDSHAKE_*: valid until the next call on the connection */
    size_t data_len;
} quic_event;

/* ---- names -------------------------------------------------------------------------------- */

/* The 64-bit handles of quring/base.h: worker << 56 | generation << 32 | index. */
uint64_t quic_conn_handle(const quic_conn *conn);
uint64_t quic_stream_handle(const quic_stream *stream);
void quic_conn_set_app_ctx(quic_conn *conn, void *ctx);
void *quic_conn_app_ctx(const quic_conn *conn);
/* A second slot for the layer between core and application (the callback to call). */
void quic_conn_set_owner_ctx(quic_conn *conn, void *ctx);
void *quic_conn_owner_ctx(const quic_conn *conn);
void quic_stream_set_app_ctx(quic_stream *stream, void *ctx);
void *quic_stream_app_ctx(const quic_stream *stream);
uint64_t quic_stream_id(const quic_stream *stream);
quic_conn *quic_stream_conn(const quic_stream *stream);

/* ---- verbs of the application --------------------------------------------------------------- */
/* All return QUIC_OK or negative; the connection puts itself on its endpoint's dirty list. */

/* quic_conn_close: CONNECTION_CLOSE 0x1d with `app_error` and `reason` (may be NULL).
 * QUIC_E_STATE when already closing. */
quic_rc quic_conn_close(quic_conn *conn, uint64_t app_error, const char *reason);
quic_rc quic_conn_ping(quic_conn *conn);
quic_rc quic_conn_update_keys(quic_conn *conn);
quic_rc quic_conn_give_token(quic_conn *conn);
void quic_conn_get_info(const quic_conn *conn, quring_conn_info *out);
/* The DER of the certificate the peer showed, and whether its chain was verified; false: none. Valid
 * until the connection closes. */
bool quic_conn_peer_certificate(const quic_conn *conn, const uint8_t **out, size_t *out_len,
                                bool *out_verified);

/* Keying material for the application (RFC 8446 7.5). QUIC_E_STATE before the handshake is complete;
 * QUIC_E_NOT_SUPPORTED: the TLS is outside, or not kept. See quic_tls_vtable.export_keys. */
quic_rc quic_conn_export_keys(const quic_conn *conn, uint8_t *out, size_t len, const char *label,
                              const uint8_t *context, size_t context_len);

/* ---- moving (quring/conn.h, quring_conn_migrate) ---------------------------------------------- */

/* An event for the runtime alone: the server's preferred address (RFC 9000 9.6) is of the family `level`
 * (4, 6), and the connection's socket is not: quic_conn_give_socket. */
#define QUIC_EV_WANT_SOCKET ((quring_event_type)31) /* within five bits, as all of them (C++) */

/* quic_conn_give_socket answers it: where a socket of that family is (`remote` is not looked at), or NULL
 * when there is none; then the connection stays where it is. */
void quic_conn_give_socket(quic_conn *conn, const quic_path_addr *at);

/* quic_conn_migrate begins to move to the local address and socket of `to` (`remote` is not looked at):
 * PATH_CHANGED or PATH_FAILED follows. quic_conn_may_migrate says in advance whether it would, for a
 * socket of `family`.
 * Returns QUIC_OK; QUIC_E_STATE (a server, not confirmed, closing); QUIC_E_AGAIN (on the move);
 * QUIC_E_INVAL (no address of the server's is of that family; or it is the socket in use);
 * QUIC_E_FORBIDDEN (disable_active_migration); QUIC_E_LIMIT (no connection ID to spare: RFC 9000 9.5);
 * QUIC_E_NOMEM. */
quic_rc quic_conn_may_migrate(const quic_conn *conn, uint8_t family);
quic_rc quic_conn_migrate(quic_conn *conn, const quic_path_addr *to);
/* quic_conn_sockets gives the runtime's sockets of the paths it knows, that of the one in use first;
 * one may appear more than once. Returns how many. */
#define QUIC_CONN_PATHS_MAX 4u
uint32_t quic_conn_sockets(const quic_conn *conn, uint32_t out[QUIC_CONN_PATHS_MAX]);

/* Why it closed; kind is QURING_CLOSE_NONE while it is open. Valid until the endpoint reaps it. */
const quring_close_info *quic_conn_close_info(const quic_conn *conn);

enum { QUIC_WRITE_FIN = 1u << 0, QUIC_WRITE_MORE = 1u << 1, QUIC_WRITE_LEND = 1u << 2 };

typedef struct quic_span {
    const uint8_t *data;
    size_t len;
} quic_span;

/* Results as quring_conn_read_trace. */
quic_rc quic_conn_read_trace(quic_conn *conn, quring_packet_record *out, size_t cap,
                             size_t *out_count, uint64_t *out_missed);

/* Results as in quring/stream.h, with QUIC_E_* for QURING_E_*. */
quic_rc quic_conn_stream_open(quic_conn *conn, bool uni, quic_stream **out);
/* More streams are wanted than the peer allows: says so, once for each limit. QUIC_E_STATE. */
quic_rc quic_conn_streams_blocked(quic_conn *conn, bool uni);
quic_rc quic_conn_stream_write(quic_conn *conn, quic_stream *stream, const uint8_t *data,
                               size_t len, uint32_t flags, size_t *out_accepted);
quic_rc quic_conn_stream_peek(quic_conn *conn, quic_stream *stream, quic_span out[2],
                              bool *out_fin);
quic_rc quic_conn_stream_consume(quic_conn *conn, quic_stream *stream, size_t len);
quic_rc quic_conn_stream_reset(quic_conn *conn, quic_stream *stream, uint64_t app_error);
quic_rc quic_conn_stream_reset_at(quic_conn *conn, quic_stream *stream, uint64_t app_error,
                                  uint64_t reliable_size);
quic_rc quic_conn_stream_stop_sending(quic_conn *conn, quic_stream *stream, uint64_t app_error);
quic_rc quic_conn_stream_set_priority(quic_conn *conn, quic_stream *stream, uint32_t urgency,
                                      bool incremental);

/* Results as in quring/datagram.h, with QUIC_E_* for QURING_E_*. */
enum { QUIC_DATAGRAM_REPLACE = 1u << 0 };
quic_rc quic_conn_datagram_send(quic_conn *conn, const uint8_t *data, size_t len, quic_ns ttl_ns,
                                uint32_t flags);
quic_rc quic_conn_datagram_max(const quic_conn *conn, size_t *out);
quic_rc quic_conn_datagram_peek(quic_conn *conn, quic_span *out);
quic_rc quic_conn_datagram_consume(quic_conn *conn);

typedef struct quic_stream_info {
    uint64_t bytes_written, bytes_sent, bytes_acked, bytes_recv, bytes_read, readable, writable;
    uint64_t send_max, conn_send_max;
    uint8_t urgency;
    bool incremental;
} quic_stream_info;
void quic_conn_stream_get_info(const quic_conn *conn, const quic_stream *stream,
                               quic_stream_info *out);

/* ---- a handshake driven from outside (quring/handshake.h says what each means) ---------------- */

quic_rc quic_conn_hs_client_hello(quic_conn *conn, quring_client_hello *out);
quic_rc quic_conn_hs_accept(quic_conn *conn);
quic_rc quic_conn_hs_refuse(quic_conn *conn, uint64_t transport_error);
quic_rc quic_conn_hs_send(quic_conn *conn, quic_level level, const uint8_t *data, size_t len);
quic_rc quic_conn_hs_install_secret(quic_conn *conn, quic_level level, bool is_write,
                                    uint16_t cipher_suite, const uint8_t *secret, size_t len);
quic_rc quic_conn_hs_set_limits(quic_conn *conn, const quring_limits *limits);
quic_rc quic_conn_hs_set_preferred(quic_conn *conn, const quic_addr *v4, const quic_addr *v6);
quic_rc quic_conn_hs_get_params(quic_conn *conn, uint8_t *buf, size_t *out_len, size_t buf_len);
quic_rc quic_conn_hs_set_peer_params(quic_conn *conn, const uint8_t *data, size_t len);
/* The server's parameters as an application sees them. */
quic_rc quic_params_decode_public(quring_transport_params *out, const uint8_t *data, size_t len,
                                  quic_role sender);
quic_rc quic_conn_hs_set_remembered(quic_conn *conn, const quring_transport_params *params);
quic_rc quic_conn_hs_set_early_answer(quic_conn *conn, bool accepted);
quic_rc quic_conn_hs_set_alpn(quic_conn *conn, const uint8_t *alpn, size_t len);
quic_rc quic_conn_hs_complete(quic_conn *conn);
quic_rc quic_conn_hs_fail(quic_conn *conn, uint8_t alert);

/* quic_early_context_of gives what 0-RTT with a ticket depends on at a server whose encoded transport
 * parameters are `params`: those a client remembers (RFC 9000 7.4.1). For quic_tls_tickets. Returns the
 * bytes written, 0 for parameters that are none or too little room. */
#define QUIC_EARLY_CONTEXT_MAX 512u
size_t quic_early_context_of(uint8_t *out, size_t room, const uint8_t *params, size_t len);

/* quic_params_version gives the Chosen Version (RFC 9368 3) that encoded transport parameters name, 0 when they name
 * none: a server's is that of QUIC in use, a client's that of its first flight. */
uint32_t quic_params_version(const uint8_t *params, size_t len);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CONN_CONN_H */

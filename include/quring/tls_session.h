/* quring/tls_session.h: one TLS 1.3 handshake of the built-in TLS, as an object of its own: for
 * connections whose handshake is driven from outside (quring/handshake.h), on any thread.
 *
 * Shape:   CRYPTO bytes in by provide; CRYPTO bytes, secrets and tickets out through the sink, which is
 *          called within start and provide only. What comes out is carried to the connection with
 *          quring_handshake_send and quring_handshake_install_secret.
 * Threads: one session is used by one thread at a time, which need not be a worker. Signatures and
 *          certificate chains cost milliseconds: that is the point.
 * Spec:    RFC 9001 4, 8.
 */
#ifndef QURING_TLS_SESSION_H
#define QURING_TLS_SESSION_H

#include "quring/config.h"
#include "quring/handshake.h"
#include "quring/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quring_tls_session quring_tls_session;

/* Where a handshake's products go. `secret` and `data` are borrowed for the call. on_secret and
 * on_crypto answer QURING_OK; anything else ends the handshake with that status. */
typedef struct quring_tls_sink {
    void *ctx;
    quring_status (*on_secret)(void *ctx, quring_level level, quring_direction direction,
                               uint16_t cipher_suite, const uint8_t *secret, size_t len);
    quring_status (*on_crypto)(void *ctx, quring_level level, const uint8_t *data, size_t len);
    /* Client: a session ticket, for `session` of a later handshake; may be NULL. */
    void (*on_session)(void *ctx, const uint8_t *data, size_t len);
} quring_tls_sink;

typedef struct quring_tls_session_options {
    quring_tls *tls;         /* by its kind a client or a server; gains a reference */
    const char *server_name; /* client: SNI and name to verify; as in quring_connect_options */
    quring_bytes params;     /* ours, encoded: quring_handshake_get_params */
    /* client: from on_session; len 0: none. One for another version of QUIC than `params` name is ignored (RFC 9369
     * 5): it is for the one that its connection had in the end (quring_conn_info.version) */
    quring_bytes session;
    bool zero_rtt;           /* client: offer 0-RTT if the session allows it; server: accept it */
    bool tickets;            /* server: give and take session tickets */
    quring_runtime *runtime; /* server with tickets: whose root secret seals them */
    quring_tls_sink sink;
} quring_tls_session_options;

/* quring_tls_session_create makes a session; options are borrowed for the call (the runtime for the
 * session's life). Returns QURING_OK; QURING_E_INVAL; QURING_E_NOMEM; QURING_E_TLS. destroy takes NULL. */
QURING_EXPORT QURING_NODISCARD quring_status quring_tls_session_create(
    quring_tls_session **out, const quring_tls_session_options *options, quring_error *err);
QURING_EXPORT void quring_tls_session_destroy(quring_tls_session *session);

/* quring_tls_session_start makes a client's ClientHello. quring_tls_session_provide takes the next bytes
 * of a level's CRYPTO stream, in order; after completion it takes tickets.
 *
 * Returns QURING_OK, also when more bytes are needed; QURING_E_TLS with the alert in *out_alert (0..255)
 * and a sentence in `err`: report it with quring_handshake_fail; QURING_E_TOO_LARGE: a message beyond
 * what is taken, CRYPTO_BUFFER_EXCEEDED (RFC 9000 7.5), for quring_handshake_refuse; QURING_E_INVAL:
 * PROTOCOL_VIOLATION, likewise: bytes at a level the handshake is not at or behind its last message (RFC
 * 9001 4.1.3), a request for a certificate after the handshake (4.4), a ticket that limits early data
 * (4.6.1); or what the sink said.
 * Failure is final. */
QURING_EXPORT QURING_NODISCARD quring_status quring_tls_session_start(quring_tls_session *session,
                                                                      uint8_t *out_alert,
                                                                      quring_error *err);
QURING_EXPORT QURING_NODISCARD quring_status
quring_tls_session_provide(quring_tls_session *session, quring_level level, const uint8_t *data,
                           size_t len, uint8_t *out_alert, quring_error *err);

/* Facts. Views are the session's, valid until the next call on it; empty when not known (yet). */
QURING_EXPORT bool quring_tls_session_is_complete(const quring_tls_session *session);
QURING_EXPORT bool quring_tls_session_is_resumed(const quring_tls_session *session);
/* 0-RTT was offered and accepted. */
QURING_EXPORT bool quring_tls_session_is_early_accepted(const quring_tls_session *session);
/* The peer's, as soon as they are known; until then data is NULL. An extension of no bytes is known when the handshake
 * is complete, and for the connection to refuse as any other (quring_handshake_set_peer_params). */
QURING_EXPORT quring_bytes quring_tls_session_peer_params(const quring_tls_session *session);
QURING_EXPORT quring_bytes quring_tls_session_alpn(const quring_tls_session *session);
QURING_EXPORT const char *quring_tls_session_server_name(const quring_tls_session *session);

#ifdef __cplusplus
}
#endif

#endif /* QURING_TLS_SESSION_H */

/* quring/handshake.h: a handshake driven from outside, by any TLS 1.3 library that speaks QUIC.
 *
 * Server:  listen with QURING_LISTEN_EXTERNAL_TLS. HANDSHAKE_PENDING shows the first CRYPTO bytes
 *          (a whole ClientHello) of a connection that is not accepted yet: accept or refuse it.
 * Client:  connect with external_tls; begin with quring_handshake_send at QURING_LEVEL_INITIAL. A server that
 *          does not speak the version costs the connection: QURING_CLOSE_VERSION tells how to begin again.
 * Then:    HANDSHAKE_DATA brings CRYPTO bytes, in order per level; feed them to the TLS library, send
 *          what it answers with quring_handshake_send, install the secrets it derives, exchange
 *          transport parameters, and call quring_handshake_complete when it is done.
 * Rules:   what TLS may not say over QUIC never comes as HANDSHAKE_DATA but closes the connection (RFC
 *          9001 4.1.3, 4.4, 6, 8.3). Ever: KeyUpdate and EndOfEarlyData, with 0x10a. At QURING_LEVEL_APP,
 *          for a client: all but NewSessionTicket, with 0x10a, or 0x0a for a CertificateRequest. After
 *          completion: anything of a client, with 0x10a; more at a lower level of a server, with 0x0a.
 *          The order of messages, and what is in them, is the TLS library's to judge.
 * Threads: as in quring/conn.h.    Spec: RFC 9001 4, RFC 9000 7.4.
 */
#ifndef QURING_HANDSHAKE_H
#define QURING_HANDSHAKE_H

#include "quring/base.h"
#include "quring/config.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum quring_level {
    QURING_LEVEL_INITIAL = 0,
    QURING_LEVEL_EARLY = 1,
    QURING_LEVEL_HANDSHAKE = 2,
    QURING_LEVEL_APP = 3,
} quring_level;

typedef enum quring_direction {
    QURING_DIR_READ = 0,
    QURING_DIR_WRITE = 1,
} quring_direction;

/* What a ClientHello says that an acceptor wants to know before it accepts. Borrowed views. */
typedef struct quring_client_hello {
    quring_bytes message;          /* the handshake message, header included */
    quring_bytes server_name;      /* SNI host name, empty if none */
    quring_bytes alpn;             /* ProtocolNameList as on the wire, without its 2-byte length */
    quring_bytes transport_params; /* quic_transport_parameters extension body */
    quring_addr remote;
    quring_addr local;
    bool validated; /* the address is validated (Retry or token) */
} quring_client_hello;

/* quring_handshake_client_hello parses the pending connection's ClientHello; callable while it is
 * pending. The views are borrowed until the callback or posted call ends, or it is accepted. Returns
 * QURING_OK; QURING_E_STATE (not pending); QURING_E_INVAL (not a ClientHello). */
QURING_EXPORT quring_status quring_handshake_client_hello(quring_conn conn,
                                                          quring_client_hello *out);

/* quring_handshake_accept goes on with a pending connection: HANDSHAKE_DATA follows with the
 * ClientHello. quring_handshake_refuse closes it with a transport error code (RFC 9000 20.1, e.g.
 * 0x02, or 0x178 for no_application_protocol); also later, and after the handshake, for what TLS has no
 * alert for. A pending connection left alone is freed at the handshake timeout. Return
 * QURING_OK; QURING_E_STATE; QURING_E_THREAD. */
QURING_EXPORT quring_status quring_handshake_accept(quring_conn conn);
QURING_EXPORT quring_status quring_handshake_refuse(quring_conn conn, uint64_t transport_error);

/* quring_handshake_send queues CRYPTO bytes to send at `level`. Copies. Returns QURING_OK;
 * QURING_E_LIMIT (more than limits.crypto_buf_bytes x 8 wait); QURING_E_STATE; QURING_E_INVAL. */
QURING_EXPORT quring_status quring_handshake_send(quring_conn conn, quring_level level,
                                                  const uint8_t *data, size_t len);

/* quring_handshake_install_secret gives the traffic secret of one level and direction, from which
 * packet keys are derived (RFC 9001 5.1). cipher_suite: 0x1301, 0x1302, 0x1303, 0x1304. Copies; the
 * caller wipes its own. Returns QURING_OK; QURING_E_INVAL (suite, level or length);
 * QURING_E_STATE (that secret is there already). */
QURING_EXPORT quring_status quring_handshake_install_secret(quring_conn conn, quring_level level,
                                                            quring_direction direction,
                                                            uint16_t cipher_suite,
                                                            const uint8_t *secret,
                                                            size_t secret_len);

/* quring_handshake_get_params encodes our transport parameters (RFC 9000 18), to be put into the
 * TLS extension 0x39. quring_handshake_set_peer_params takes the peer's, encoded; they are checked
 * and applied (RFC 9000 7.4). Return QURING_OK; QURING_E_LIMIT (buf_len too small, 512 suffice);
 * QURING_E_INVAL (the peer's are wrong: the connection closes with 0x08 or 0x11); QURING_E_STATE. A
 * server's name the version of QUIC, which is decided when HANDSHAKE_PENDING comes (RFC 9368), a client's that of its
 * first flight: asked for again they are the same. */
QURING_EXPORT quring_status quring_handshake_get_params(quring_conn conn, uint8_t *buf,
                                                        size_t *out_len, size_t buf_len);
QURING_EXPORT quring_status quring_handshake_set_peer_params(quring_conn conn, const uint8_t *data,
                                                             size_t len);

/* quring_handshake_set_limits replaces the limits of a connection whose transport parameters nobody has
 * asked for yet: for servers that decide by the ClientHello, or by what an application says after it.
 * Once the secret of QURING_LEVEL_EARLY is there they stay: streams may be open under them. What a connection
 * is made with stays anyway: congestion control, the records of packets and their bounds, ECN; and
 * grease_quic_bit can be turned off, not on.
 * Returns QURING_OK; QURING_E_INVAL (quring_config_check's rules); QURING_E_STATE (too late);
 * QURING_E_THREAD. */
QURING_EXPORT quring_status quring_handshake_set_limits(quring_conn conn,
                                                        const quring_limits *limits);

/* quring_handshake_set_preferred offers a client `v4` and `v6` (NULL or family 0: none) to go to once the
 * handshake is over (RFC 9000 9.6), as quring_listen_options does for all of a listener's clients. A
 * listener of this runtime has to be at each of them, which may be a paused one.
 * Returns QURING_OK; QURING_E_INVAL (no address, or one without a port); QURING_E_STATE (a client's
 * connection, addresses are offered already, or too late: its parameters were asked for);
 * QURING_E_NOMEM; QURING_E_THREAD. */
QURING_EXPORT quring_status quring_handshake_set_preferred(quring_conn conn, const quring_addr *v4,
                                                           const quring_addr *v6);

/* Transport parameters as numbers (RFC 9000 18.2, RFC 9221 3): what an application may want to know of a
 * peer, and what a client remembers of a server for 0-RTT. Absent ones have the RFC's default. */
typedef struct quring_transport_params {
    uint64_t max_idle_timeout_ms; /* 0: none */
    uint64_t max_udp_payload_size;
    uint64_t initial_max_data;
    uint64_t initial_max_stream_data_bidi_local;
    uint64_t initial_max_stream_data_bidi_remote;
    uint64_t initial_max_stream_data_uni;
    uint64_t initial_max_streams_bidi;
    uint64_t initial_max_streams_uni;
    uint64_t ack_delay_exponent;
    uint64_t max_ack_delay_ms;
    uint64_t active_connection_id_limit;
    uint64_t max_datagram_frame_size;
    bool disable_active_migration;
    bool grease_quic_bit;
    bool disable_1rtt_encryption;
} quring_transport_params;

/* quring_transport_params_decode reads encoded parameters, as `from_server` or a client sends them. Any
 * thread. Returns QURING_OK; QURING_E_INVAL (RFC 9000 7.4 calls them an error). */
QURING_EXPORT quring_status quring_transport_params_decode(quring_transport_params *out,
                                                           const uint8_t *data, size_t len,
                                                           bool from_server);

/* 0-RTT driven from outside (RFC 9001 4.6). Client: quring_handshake_set_remembered gives what an earlier
 * connection learned of this server (RFC 9000 7.4.1), then the secret of QURING_LEVEL_EARLY makes
 * EARLY_READY; quring_handshake_set_early_answer says whether the server accepted, as soon as TLS knows and
 * before the server's parameters are set: after a refusal what was written is sent again later. Server:
 * the secret is the acceptance. Return QURING_OK; QURING_E_STATE; QURING_E_NOMEM; QURING_E_THREAD. */
QURING_EXPORT quring_status quring_handshake_set_remembered(quring_conn conn,
                                                            const quring_transport_params *params);
QURING_EXPORT quring_status quring_handshake_set_early_answer(quring_conn conn, bool accepted);

/* quring_handshake_set_alpn records the protocol TLS chose, for quring_conn_get_info. Returns QURING_OK;
 * QURING_E_INVAL (RFC 7301 3.1: 1..255 bytes); QURING_E_STATE (recorded already); QURING_E_NOMEM;
 * QURING_E_THREAD. */
QURING_EXPORT quring_status quring_handshake_set_alpn(quring_conn conn, const uint8_t *alpn,
                                                      size_t len);

/* quring_handshake_complete says that TLS is done and the peer authenticated; CONNECTED follows.
 * quring_handshake_fail closes with CRYPTO_ERROR 0x100 + `alert` (RFC 9001 4.8). Return QURING_OK;
 * QURING_E_STATE (not driven from outside, closed; complete: complete already, or the peer's parameters or a
 * secret of QURING_LEVEL_APP are missing); QURING_E_THREAD. */
QURING_EXPORT quring_status quring_handshake_complete(quring_conn conn);
QURING_EXPORT quring_status quring_handshake_fail(quring_conn conn, uint8_t alert);

#ifdef __cplusplus
}
#endif

#endif /* QURING_HANDSHAKE_H */

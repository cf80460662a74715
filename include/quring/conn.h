/* quring/conn.h: connections: events, information, close.
 *
 * Threads: calls take a handle and run on the worker that owns the connection; elsewhere they
 *          return QURING_E_THREAD. Use quring_post to get there.
 * Events:  one callback per connection, called from the worker's loop, never from inside another
 *          call. Events of one connection arrive in order; CLOSED is the last one, also when the runtime
 *          is stopped. Every call of this library that belongs on a worker may be made in it.
 *          They tell of what is so already. A write may say QURING_E_STATE because of a STREAM_STOPPED
 *          that is told next, and after quring_conn_close what had happened before is told before CLOSED.
 */
#ifndef QURING_CONN_H
#define QURING_CONN_H

#include "quring/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum quring_event_type {
    QURING_EV_CONNECTED = 1, /* handshake complete, streams may be opened; server: "accepted" */
    QURING_EV_CLOSED, /* the last event: `close` says why; handle and streams are dead after it; during it what
                         streams have received can still be read, and datagrams. Streams that
                         were open get no STREAM_CLOSED: who keeps something for each has a list of them.
                         Of a connection whose handshake failed it may be the only one, at a server, too:
                         conn_ctx is still the listener's then */
    QURING_EV_STREAM_OPENED,   /* the peer opened `stream`; READABLE follows when it has bytes */
    QURING_EV_STREAM_READABLE, /* bytes or the end of `stream` wait to be read; told again only after
                                  a read call said QURING_E_AGAIN or consumed everything */
    QURING_EV_STREAM_WRITABLE, /* room again after a write was cut short */
    QURING_EV_STREAM_RESET, /* the peer abandoned its sending: `app_error`; unread bytes are gone, but
                               for what it made reliable, which was read before */
    QURING_EV_STREAM_STOPPED,  /* the peer asks us to stop sending: `app_error`; stream was reset */
    QURING_EV_STREAM_RELEASED, /* lent buffers below `offset` of the stream are yours again */
    QURING_EV_STREAM_FINISHED, /* everything written, with the end, was acknowledged */
    QURING_EV_STREAM_CLOSED, /* both halves are done; the stream handle is dead after this event */
    QURING_EV_STREAMS_AVAILABLE, /* the peer allows more streams after quring_stream_open said AGAIN */
    QURING_EV_HANDSHAKE_PENDING, /* quring/handshake.h: a ClientHello waits for a decision */
    QURING_EV_HANDSHAKE_DATA,    /* quring/handshake.h: CRYPTO bytes arrived */
    QURING_EV_SESSION, /* client: `data` is for quring_connect_options.session of one later connection
                          to the same server; it is secret, and says who was verified */
    QURING_EV_EARLY_READY, /* 0-RTT. Client: streams may be opened and written now. Server: accepted;
                              streams may follow before CONNECTED, with bytes an attacker can have
                              replayed (RFC 9001 9.2): what a connection has is made at the first of both */
    QURING_EV_EARLY_REJECTED, /* client, before CONNECTED: the server took no 0-RTT. What was written
                                 is sent again after the handshake; nothing is to be done */
    QURING_EV_STREAM_LIMIT, /* the peer allows more streams than before (RFC 9000 19.11): how many is in
                               quring_conn_info */
    QURING_EV_TOKEN, /* client: `data` is for quring_connect_options.token of one later connection to
                        the same server: it skips a Retry there. Several may come */
    QURING_EV_DATAGRAM_READABLE, /* quring/datagram.h: datagrams wait; told again only after a read said
                                    QURING_E_AGAIN or all were consumed */
    QURING_EV_DATAGRAM_WRITABLE, /* quring/datagram.h: room again after QURING_E_AGAIN */
    QURING_EV_PATH_CHANGED,      /* the peer, or we, moved, and the new path is proved (RFC 9000 9):
                               quring_conn_get_info has its addresses */
    QURING_EV_PATH_FAILED, /* client: nobody answered on the path quring_conn_migrate tried; the
                               connection goes on where it was */
    QURING_EV_STREAM_SIZE_KNOWN, /* the end of `stream` overtook bytes before it, which are still missing
                                    (RFC 9000 3.2): it is at `offset` */
    QURING_EV_STREAM_RESET_ACKED, /* our reset of `stream` arrived (RFC 9000 3.1, "Reset Recvd") */
    QURING_EV_KEYS_UPDATED, /* both directions have new keys (RFC 9001 6), whoever began: `level` is
                                     their phase, 0 or 1 */
} quring_event_type;

/* Types of events, as bits, for `muted_events` of quring_listen_options and quring_connect_options. An
 * application that does nothing at some of these need not pay for them: what is muted is not delivered.
 * Nothing else changes; with STREAM_OPENED muted, a stream is first heard of by another event of its own,
 * READABLE as a rule. */
#define QURING_EVENT_BIT(type) (UINT64_C(1) << (type))
#define QURING_EVENTS_MUTABLE                                                                      \
    (QURING_EVENT_BIT(QURING_EV_STREAM_OPENED) | QURING_EVENT_BIT(QURING_EV_STREAM_WRITABLE) |     \
     QURING_EVENT_BIT(QURING_EV_STREAM_RELEASED) | QURING_EVENT_BIT(QURING_EV_STREAM_FINISHED) |   \
     QURING_EVENT_BIT(QURING_EV_STREAM_SIZE_KNOWN) |                                               \
     QURING_EVENT_BIT(QURING_EV_STREAM_RESET_ACKED))

/* Who ended a connection, and how. */
typedef enum quring_close_kind {
    QURING_CLOSE_NONE = 0,
    QURING_CLOSE_LOCAL_APP,         /* quring_conn_close; `code` is ours */
    QURING_CLOSE_PEER_APP,          /* CONNECTION_CLOSE 0x1d from the peer */
    QURING_CLOSE_LOCAL_TRANSPORT,   /* we found the peer in error; RFC 9000 20.1 code */
    QURING_CLOSE_PEER_TRANSPORT,    /* CONNECTION_CLOSE 0x1c from the peer */
    QURING_CLOSE_IDLE_TIMEOUT,      /* RFC 9000 10.1 */
    QURING_CLOSE_HANDSHAKE_TIMEOUT, /* no complete handshake within limits.handshake_timeout_ns */
    QURING_CLOSE_STATELESS_RESET,   /* RFC 9000 10.3 */
    QURING_CLOSE_VERSION, /* no common version, RFC 9000 6. With external_tls, where `code` is not 0: the
                             server does not speak ours, but that one, for quring_connect_options.version_listed */
    QURING_CLOSE_UNREACHABLE, /* the peer moved, and no path to it could be proved (RFC 9000 9) */
    QURING_CLOSE_INTERNAL,    /* memory or another resource of ours gave out */
} quring_close_kind;

typedef struct quring_close_info {
    quring_close_kind kind;
    /* Application or transport error code; 0x100 + TLS alert for TLS failures; a version (QURING_CLOSE_VERSION) */
    uint64_t code;
    uint64_t frame_type; /* that caused a transport error, 0 if unknown */
    char reason[128]; /* peer's or our phrase, control characters replaced; always 0-terminated */
} quring_close_info;

/* quring_close_format writes in one line for a human who ended a connection and why ("refused by the peer:
 * transport error 0x2 CONNECTION_REFUSED") into `buf` and 0-terminates it. 256 bytes always suffice. Returns `buf`.
 * Any thread. */
QURING_EXPORT const char *quring_close_format(const quring_close_info *close, char *buf,
                                              size_t buf_len);

typedef struct quring_event {
    quring_event_type type;
    quring_conn conn;
    void *conn_ctx;       /* listener's or connect's ctx, or what quring_conn_set_ctx put there */
    quring_stream stream; /* STREAM_* events */
    uint64_t stream_id;
    void *stream_ctx;   /* what quring_stream_set_ctx put there, else NULL */
    uint64_t app_error; /* STREAM_RESET, STREAM_STOPPED */
    uint64_t offset;    /* STREAM_RELEASED: bytes; STREAM_RESET, STREAM_SIZE_KNOWN: the final size
                        (RFC 9000 4.5) */
    const quring_close_info *close; /* CLOSED; valid during the callback */
    uint8_t level;                  /* HANDSHAKE_DATA: quring_level of the bytes; KEYS_UPDATED */
    quring_bytes data;              /* HANDSHAKE_*, SESSION, TOKEN: borrowed during the callback */
} quring_event;

typedef void (*quring_event_fn)(const quring_event *event);

/* quring_conn_set_ctx replaces the pointer that events carry as conn_ctx; quring_conn_get_ctx gives it
 * back, NULL for a dead handle or off the owning worker. set returns QURING_OK; QURING_E_STATE;
 * QURING_E_THREAD. */
QURING_EXPORT quring_status quring_conn_set_ctx(quring_conn conn, void *ctx);
QURING_EXPORT void *quring_conn_get_ctx(quring_conn conn);

/* quring_conn_close ends the connection with CONNECTION_CLOSE of type 0x1d, `app_error` (at most
 * 2^62-1) and a phrase (at most 127 bytes are sent; NULL: none). Streams are abandoned: what must arrive is
 * waited for before, STREAM_FINISHED tells. A peer that has not completed its handshake may hear of
 * neither code nor phrase (RFC 9000 10.2.3). CLOSED follows. Returns QURING_OK; QURING_E_STATE
 * (already closed); QURING_E_THREAD; QURING_E_INVAL. */
QURING_EXPORT quring_status quring_conn_close(quring_conn conn, uint64_t app_error,
                                              const char *reason);

/* A picture of the connection at the moment of the call. */
typedef struct quring_conn_info {
    bool is_client;
    bool established;    /* handshake complete */
    bool confirmed;      /* RFC 9001 4.1.2 */
    bool resumed;        /* by a session ticket: no certificates were sent */
    bool early_accepted; /* 0-RTT was offered and accepted */
    bool early_rejected; /* it was offered and refused */
    bool retry_used;
    bool token_used; /* server: a token of an earlier connection proved the client's address */
    /* With limits.disable_1rtt_encryption on both sides: 1-RTT packets are in the clear */
    bool unencrypted;
    uint32_t version; /* in use: QURING_QUIC_V1, QURING_QUIC_V2; before a client's handshake what it
                         began with */
    uint16_t cipher_suite; /* TLS number, e.g. 0x1301 */
    const char *cipher;    /* "TLS_AES_128_GCM_SHA256"; static */
    const char *cc;        /* "cubic", "newreno", "bbr"; static */
    char alpn[256];        /* chosen protocol, 0-terminated */
    char server_name[256]; /* SNI seen, or the name or address verified, 0-terminated, or "" */
    quring_addr local;
    quring_addr remote;        /* the last one that was proved (RFC 9000 9.3) */
    uint32_t path_changes;     /* how often PATH_CHANGED had something to tell */
    bool at_preferred_address; /* the server is met at its preferred address (RFC 9000 9.6) */
    uint64_t srtt_ns;
    uint64_t rttvar_ns;
    uint64_t min_rtt_ns;
    uint64_t latest_rtt_ns;
    uint64_t cwnd_bytes;
    uint64_t in_flight_bytes;
    uint32_t udp_payload_bytes; /* datagram size in use */
    bool ecn_capable;           /* ECN marks get through and come back (RFC 9000 13.4.2) */
    uint64_t ecn_acked;         /* packets sent with ECT(0) and acknowledged */
    uint64_t ecn_ce;            /* CE marks the peer reported */
    uint64_t packets_sent;
    uint64_t packets_recv;
    uint64_t packets_lost;     /* declared lost, RFC 9002 6 */
    uint64_t packets_spurious; /* of those, acknowledged later */
    uint64_t bytes_sent;       /* UDP payload */
    uint64_t bytes_recv;
    uint64_t stream_bytes_sent; /* first transmissions of stream data */
    uint64_t stream_bytes_acked;
    uint64_t stream_bytes_recv; /* distinct stream bytes that arrived; all of a reset stream's */
    uint64_t peer_streams_bidi_max; /* streams of ours the peer allows, in all (RFC 9000 4.6) */
    uint64_t peer_streams_uni_max;
    uint64_t zero_rtt_bytes;      /* stream bytes in 0-RTT packets; 0 after a rejection */
    uint64_t datagrams_sent;      /* RFC 9221: ours that left ... */
    uint64_t datagrams_acked;     /* ... of these, acknowledged */
    uint64_t datagrams_lost;      /* ... of these, declared lost and not acknowledged since */
    uint64_t datagrams_discarded; /* ours that never left: expired, replaced, or grown too large */
    uint64_t datagrams_recv;      /* the peer's that arrived */
    uint64_t datagrams_overrun;   /* of these, dropped because nobody read in time */
    uint32_t key_updates;         /* RFC 9001 6: those we began ... */
    uint32_t key_updates_peer;    /* ... and those of the peer */
    uint64_t pto_count_total;
    uint64_t mem_bytes;     /* protocol memory charged to it */
    bool certificate_shown; /* ours went to the peer (a client's: it was asked for); not when
                               the connection resumes one */
    bool peer_certificate;  /* the peer showed one: quring_conn_peer_certificate gives it */
    bool peer_verified;     /* and its chain (client: and name) was verified */
} quring_conn_info;

/* quring_conn_get_info fills *out (copied; the const char pointers are static). Returns QURING_OK;
 * QURING_E_STATE; QURING_E_THREAD. */
QURING_EXPORT quring_status quring_conn_get_info(quring_conn conn, quring_conn_info *out);

/* Who the peer says it is. */
typedef struct quring_peer_certificate {
    quring_bytes der; /* the leaf, X.509 in DER; empty: the peer showed none */
    bool verified;    /* its chain leads to a trust anchor (client: and the name fits). Without
                         QURING_VERIFY_PEER the peer has proved no more than that it holds the key */
} quring_peer_certificate;

/* quring_conn_peer_certificate tells which certificate the peer showed in the handshake, or in the
 * one that this connection resumes. `der` is borrowed until the callback or posted call ends, or the
 * connection closes. A server knows it from CONNECTED on, not during EARLY_READY. With a handshake from
 * outside it is always empty.
 *
 * Returns QURING_OK; QURING_E_STATE (the handshake is not complete, or the handle dead);
 * QURING_E_THREAD; QURING_E_INVAL. */
QURING_EXPORT quring_status quring_conn_peer_certificate(quring_conn conn,
                                                         quring_peer_certificate *out);

/* quring_conn_export_keys derives `len` bytes from the handshake that both ends can compute and nobody
 * else (RFC 8446 7.5, RFC 5705): to bind an authentication to the connection (RFC 9266, RFC 9729), or for
 * the keys of a protocol above. `label` names the use (RFC 5705 4: registered, or "EXPERIMENTAL..."), at
 * most 249 bytes; `context` (may be empty) is mixed in. A server needs quring_tls_options.exporter.
 *
 * Returns QURING_OK; QURING_E_STATE (the handshake is not complete, or the handle dead);
 * QURING_E_NOT_SUPPORTED (a server without exporter, or a handshake from outside: its TLS library has
 * them); QURING_E_INVAL (nothing asked for, or more than 255 hashes: 8,160 bytes of SHA-256; a label
 * that is too long); QURING_E_THREAD. */
QURING_EXPORT QURING_NODISCARD quring_status quring_conn_export_keys(quring_conn conn, uint8_t *out,
                                                                     size_t len, const char *label,
                                                                     quring_bytes context);

/* quring_conn_migrate moves a client's connection to another local address (RFC 9000 9.2): `local`, or,
 * with NULL or port 0, a port the kernel picks; NULL, or an ip of zeros, is any address of the family
 * in use. The new path is tried first, from a socket of the worker that may be shared with other
 * connections to the same address; the transfer goes on meanwhile. PATH_CHANGED or PATH_FAILED tells
 * the end.
 *
 * Returns QURING_OK; QURING_E_STATE (a server's connection, closed, or the handshake is not confirmed
 * yet); QURING_E_AGAIN (still on the move); QURING_E_NOT_SUPPORTED (the server forbids it, RFC 9000
 * 18.2); QURING_E_LIMIT (the server has given no connection ID to spare, 9.5: try a little later);
 * QURING_E_INVAL (no address of the server's is of `local`'s family; or it is the one in use);
 * QURING_E_OS (no socket there); QURING_E_NOMEM; QURING_E_THREAD. */
QURING_EXPORT quring_status quring_conn_migrate(quring_conn conn, const quring_addr *local);

/* quring_conn_give_token sends a client one more NEW_TOKEN frame (RFC 9000 8.1.3), beyond those of
 * limits.new_tokens; a listener for which that is 0 takes none. Returns QURING_OK; QURING_E_AGAIN
 * (QURING_TOKENS_WAITING_MAX wait to leave already); QURING_E_STATE (a client's connection, not established, or
 * closed); QURING_E_THREAD. */
#define QURING_TOKENS_WAITING_MAX 8u
QURING_EXPORT quring_status quring_conn_give_token(quring_conn conn);

/* What happened to one packet. */
typedef enum quring_packet_event {
    QURING_PACKET_SENT = 1,
    QURING_PACKET_RECEIVED = 2, /* authenticated, and not seen before */
    QURING_PACKET_LOST = 3,     /* of ours, declared lost (RFC 9002 6) */
} quring_packet_event;

typedef enum quring_packet_type {
    QURING_PACKET_INITIAL = 0,
    QURING_PACKET_0RTT = 1,
    QURING_PACKET_HANDSHAKE = 2,
    QURING_PACKET_1RTT = 3, /* lost ones of the application's number space: 0-RTT, too */
} quring_packet_type;

typedef struct quring_packet_record {
    uint64_t at_ns;  /* as quring_now_ns: of the turn of the worker it happened in */
    uint64_t number; /* RFC 9000 12.3 */
    uint32_t bytes;  /* of the packet, its header and tag included */
    uint8_t event;   /* quring_packet_event */
    uint8_t type;    /* quring_packet_type */
} quring_packet_record;

/* quring_conn_read_trace takes up to `cap` records of a connection whose limits.trace_packets was not 0, oldest
 * first. *out_missed says how many packets since the last call left no record, because so many waited to be
 * read; they came after those that did. Until the CLOSED callback ends. Returns QURING_OK; QURING_E_STATE
 * (dead, or nothing is recorded); QURING_E_THREAD; QURING_E_INVAL. */
QURING_EXPORT quring_status quring_conn_read_trace(quring_conn conn, quring_packet_record *out,
                                                   size_t cap, size_t *out_count,
                                                   uint64_t *out_missed);

/* quring_conn_ping sends a PING. Returns QURING_OK; QURING_E_STATE; QURING_E_THREAD. */
QURING_EXPORT quring_status quring_conn_ping(quring_conn conn);

/* quring_conn_update_keys changes the keys of both directions (RFC 9001 6), beginning with our next packet;
 * the connection does so by itself long before a key is worn out. Returns QURING_OK; QURING_E_AGAIN (not
 * allowed now: the handshake is not confirmed, or the last update is not over, which takes up to three
 * probe timeouts; no event follows); QURING_E_STATE (dead, or not encrypted); QURING_E_THREAD;
 * QURING_E_NOMEM. */
QURING_EXPORT quring_status quring_conn_update_keys(quring_conn conn);

#ifdef __cplusplus
}
#endif

#endif /* QURING_CONN_H */

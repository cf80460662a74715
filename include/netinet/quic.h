/* netinet/quic.h: QUIC behind the socket calls (draft-lxin-quic-socket-apis-00).
 *
 * A QUIC connection is a socket: socket(AF_INET, SOCK_DGRAM, IPPROTO_QUIC), then bind, listen, accept
 * or connect, a handshake by one of the functions below, sendmsg and recvmsg (or quic_sendmsg and
 * quic_recvmsg) with a stream number, poll, close. Link with -lquic; nothing has to be initialized.
 *
 * Names: those of the draft. With QUIC_SOCKET_API defined as 2 before the inclusion: those of its later
 *        revisions and of today's kernel implementation (MSG_STREAM_*, MSG_QUIC_*, QUIC_SOCKOPT_CONFIG,
 *        handshakes with four arguments), in its layouts; IPPROTO_QUIC is then 261. One program uses one of the two.
 * Units: microseconds where the draft has them (idle timeout, ACK delay), bytes, host byte order.
 * Threads: any number may use one socket.
 * Manual: quic(7), quic_sendmsg(3), quic_client_handshake(3).
 */
#ifndef NETINET_QUIC_H
#define NETINET_QUIC_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifndef QUIC_SOCKET_API
#define QUIC_SOCKET_API 0
#endif

/* The draft speaks of keys and certificates as gnutls does, and programs of today's names expect its headers from here.
 * Without them (or with QUIC_NO_GNUTLS) the types below stand for them. */
#if defined(__has_include) && !defined(QUIC_NO_GNUTLS)
#if __has_include(<gnutls/abstract.h>)
#include <gnutls/abstract.h>
#define QUIC_HAS_GNUTLS 1
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- numbers -------------------------------------------------------------------------------- */

#define SOL_QUIC 288

/* The protocol number says which layouts a socket speaks; both are QUIC. No kernel has 288, so that a
 * program that runs without the library fails at its first call. */
#ifndef IPPROTO_QUIC
#if QUIC_SOCKET_API == 2
#define IPPROTO_QUIC 261
#else
#define IPPROTO_QUIC 288
#endif
#endif

#define QUIC_VERSION_V1 0x1
#define QUIC_VERSION_V2 0x6b3343cf

enum quic_cmsg_type {
    QUIC_STREAM_INFO,    /* struct quic_stream_info */
    QUIC_HANDSHAKE_INFO, /* struct quic_handshake_info */
};

#define QUIC_STREAM_TYPE_SERVER_MASK 0x01 /* opened by the server */
#define QUIC_STREAM_TYPE_UNI_MASK    0x02 /* one way */
#define QUIC_STREAM_TYPE_MASK        0x03

enum quic_crypto_level {
    QUIC_CRYPTO_APP,
    QUIC_CRYPTO_INITIAL,
    QUIC_CRYPTO_HANDSHAKE,
    QUIC_CRYPTO_EARLY,
    QUIC_CRYPTO_MAX,
};

/* Of struct quic_crypto_secret and of payload_cipher_type; the numbers of <linux/tls.h>. */
#ifndef TLS_CIPHER_AES_GCM_128
#define TLS_CIPHER_AES_GCM_128       51
#define TLS_CIPHER_AES_GCM_256       52
#define TLS_CIPHER_AES_CCM_128       53
#define TLS_CIPHER_CHACHA20_POLY1305 54
#endif

enum quic_cong_alg {
    QUIC_CONG_ALG_RENO,
    QUIC_CONG_ALG_CUBIC,
    QUIC_CONG_ALG_BBR,
    QUIC_CONG_ALG_MAX,
};

/* ---- flags of a message ------------------------------------------------------------------------ */

/* One space of numbers serves struct quic_stream_info, the flags of the calls and msg_flags. */
#if QUIC_SOCKET_API == 2
#define MSG_QUIC_STREAM_NEW      0x400   /* opens the stream */
#define MSG_QUIC_STREAM_FIN      0x200   /* ends it */
#define MSG_QUIC_STREAM_UNI      0x800   /* with stream_id -1: a unidirectional one */
#define MSG_QUIC_STREAM_DONTWAIT 0x10000 /* EAGAIN where the peer allows no more streams yet */
#define MSG_QUIC_STREAM_SNDBLOCK 0x2000  /* taken, and changes nothing */
#define MSG_QUIC_DATAGRAM        0x1000  /* an unreliable message (RFC 9221) */
#define MSG_QUIC_NOTIFICATION    0x8000  /* received: an event */

/* As later revisions of the draft, and the kernel's header until 2025, call them. */
#define MSG_STREAM_NEW      MSG_QUIC_STREAM_NEW
#define MSG_STREAM_FIN      MSG_QUIC_STREAM_FIN
#define MSG_STREAM_UNI      MSG_QUIC_STREAM_UNI
#define MSG_STREAM_DONTWAIT MSG_QUIC_STREAM_DONTWAIT
#define MSG_STREAM_SNDBLOCK MSG_QUIC_STREAM_SNDBLOCK
#define MSG_DATAGRAM        MSG_QUIC_DATAGRAM
#ifndef MSG_NOTIFICATION /* <linux/sctp.h> has the same number, and has to come first */
#define MSG_NOTIFICATION MSG_QUIC_NOTIFICATION
#endif
#else
#define QUIC_STREAM_FLAG_NEW          0x400
#define QUIC_STREAM_FLAG_FIN          0x200
#define QUIC_STREAM_FLAG_UNI          0x800
#define QUIC_STREAM_FLAG_ASYNC        0x10000
#define QUIC_STREAM_FLAG_DATAGRAM     0x1000
#define QUIC_STREAM_FLAG_NOTIFICATION 0x8000
#define MSG_STREAM_UNI                QUIC_STREAM_FLAG_UNI
#define MSG_DATAGRAM                  QUIC_STREAM_FLAG_DATAGRAM
#ifndef MSG_NOTIFICATION /* <linux/sctp.h> has the same number, and has to come first */
#define MSG_NOTIFICATION QUIC_STREAM_FLAG_NOTIFICATION
#endif
#endif

/* ---- ancillary data ------------------------------------------------------------------------------ */

struct quic_stream_info {
#if QUIC_SOCKET_API == 2
    int64_t stream_id; /* -1: the latest stream opened, or the next one */
    uint32_t stream_flags;
    uint32_t reserved;
#else
    uint64_t stream_id; /* UINT64_MAX: the latest stream opened, or the next one */
    uint32_t stream_flag;
#endif
};

struct quic_handshake_info {
    uint8_t crypto_level; /* enum quic_crypto_level */
};

/* ---- socket options ------------------------------------------------------------------------------ */

#define QUIC_SOCKOPT_EVENT               0
#define QUIC_SOCKOPT_STREAM_OPEN         1
#define QUIC_SOCKOPT_STREAM_RESET        2
#define QUIC_SOCKOPT_STREAM_STOP_SENDING 3
#if QUIC_SOCKET_API == 2
#define QUIC_SOCKOPT_CONNECTION_ID        4
#define QUIC_SOCKOPT_CONNECTION_CLOSE     5
#define QUIC_SOCKOPT_CONNECTION_MIGRATION 6
#define QUIC_SOCKOPT_KEY_UPDATE           7
#define QUIC_SOCKOPT_TRANSPORT_PARAM      8
#define QUIC_SOCKOPT_CONFIG               9
#define QUIC_SOCKOPT_TOKEN                10
#define QUIC_SOCKOPT_ALPN                 11
#define QUIC_SOCKOPT_SESSION_TICKET       12
#define QUIC_SOCKOPT_CRYPTO_SECRET        13
#define QUIC_SOCKOPT_TRANSPORT_PARAM_EXT  14
#else
#define QUIC_SOCKOPT_CONNECTION_CLOSE     4
#define QUIC_SOCKOPT_CONNECTION_MIGRATION 5
#define QUIC_SOCKOPT_KEY_UPDATE           6
#define QUIC_SOCKOPT_TRANSPORT_PARAM      7
#define QUIC_SOCKOPT_TOKEN                8
#define QUIC_SOCKOPT_ALPN                 9
#define QUIC_SOCKOPT_SESSION_TICKET       10
#define QUIC_SOCKOPT_CRYPTO_SECRET        11
#define QUIC_SOCKOPT_TRANSPORT_PARAM_EXT  12
#define QUIC_SOCKOPT_RETIRE_CONNECTION_ID 13
#define QUIC_SOCKOPT_ACTIVE_CONNECTION_ID 14
#endif

/* QUIC_SOCKOPT_EVENT */
struct quic_event_option {
    uint8_t type; /* enum quic_event_type */
    uint8_t on;
};

/* QUIC_SOCKOPT_STREAM_RESET, QUIC_SOCKOPT_STREAM_STOP_SENDING */
struct quic_errinfo {
#if QUIC_SOCKET_API == 2
    int64_t stream_id;
#else
    uint64_t stream_id;
#endif
    uint32_t errcode;
};

/* QUIC_SOCKOPT_CRYPTO_SECRET; the two layouts differ in the order of their first members */
struct quic_crypto_secret {
#if QUIC_SOCKET_API == 2
    uint8_t send;
    uint8_t level;
    uint16_t reserved;
#else
    uint8_t level; /* enum quic_crypto_level: APP, HANDSHAKE or EARLY */
    uint16_t send; /* 0: to receive with, else to send with */
#endif
    uint32_t type; /* TLS_CIPHER_* */
    uint8_t secret[48];
};

/* QUIC_SOCKOPT_TRANSPORT_PARAM: a member set to 0 is left as it is. In [] the default. */
#if QUIC_SOCKET_API == 2
struct quic_transport_param {
    uint8_t remote; /* 1: the peer's */
    uint8_t disable_active_migration;
    uint8_t grease_quic_bit;
    uint8_t stateless_reset;
    uint8_t disable_1rtt_encryption;
    uint8_t disable_compatible_version;
    uint8_t active_connection_id_limit;
    uint8_t ack_delay_exponent;
    uint16_t max_datagram_frame_size;
    uint16_t max_udp_payload_size;
    uint32_t max_idle_timeout; /* us */
    uint32_t max_ack_delay;    /* us */
    uint16_t max_streams_bidi;
    uint16_t max_streams_uni;
    uint64_t max_data;
    uint64_t max_stream_data_bidi_local;
    uint64_t max_stream_data_bidi_remote;
    uint64_t max_stream_data_uni;
};

struct quic_config {
    uint32_t version;
    uint32_t plpmtud_probe_interval; /* us; 0: off */
    uint32_t initial_smoothed_rtt;   /* us */
    uint32_t payload_cipher_type;
    uint8_t congestion_control_algo;
    uint8_t validate_peer_address;
    uint8_t stream_data_nodelay;
    uint8_t receive_session_ticket;
    uint8_t certificate_request;
    uint8_t reserved[3];
    uint32_t keepalive_probe_interval; /* us; 0: off */
};

/* QUIC_SOCKOPT_CONNECTION_ID */
struct quic_connection_id_info {
    uint8_t dest; /* 1: the peer's */
    uint8_t reserved[3];
    uint32_t active;
    uint32_t prior_to;
};
#else
struct quic_transport_param {
    uint8_t remote;                     /* 1: the peer's, known or remembered */
    uint8_t disable_active_migration;   /* [0] */
    uint8_t grease_quic_bit;            /* [0] */
    uint8_t stateless_reset;            /* [0] */
    uint8_t disable_1rtt_encryption;    /* [0] */
    uint8_t disable_compatible_version; /* [0] */
    uint64_t max_udp_payload_size;      /* [65527] */
    uint64_t ack_delay_exponent;        /* [3] */
    uint64_t max_ack_delay;             /* us [25000] */
    uint64_t active_connection_id_limit;
    uint64_t max_idle_timeout;        /* us [30000000] */
    uint64_t max_datagram_frame_size; /* [0: no datagrams] */
    uint64_t max_data;                /* SO_RCVBUF follows it */
    uint64_t max_stream_data_bidi_local;
    uint64_t max_stream_data_bidi_remote;
    uint64_t max_stream_data_uni;
    uint64_t max_streams_bidi;      /* [100] */
    uint64_t max_streams_uni;       /* [100] */
    uint64_t initial_smoothed_rtt;  /* us [333000] */
    uint32_t plpmtud_probe_timeout; /* us [0: off] */
    uint8_t validate_peer_address;  /* server: Retry [0] */
    uint8_t receive_session_ticket; /* client: the handshake ends when a ticket is there [0] */
    uint8_t certificate_request;    /* server: 0 ignore, 1 request, 2 require; client: 3 does not
                                       verify the server [0] */
    uint8_t congestion_control_alg; /* enum quic_cong_alg [0] */
    uint32_t payload_cipher_type;   /* TLS_CIPHER_*, 0: any [0] */
    uint32_t version;               /* [QUIC_VERSION_V1] */
};
#endif

/* QUIC_SOCKOPT_CONNECTION_CLOSE, and of the event */
struct quic_connection_close {
    uint32_t errcode;
    uint8_t frame; /* what caused it, of a transport error */
#if QUIC_SOCKET_API == 2
    uint8_t reserved[3];
    uint8_t phrase[64];
#elif defined(__cplusplus)
    uint8_t phrase[1]; /* 0-terminated */
#else
    uint8_t phrase[]; /* 0-terminated */
#endif
};

#if QUIC_SOCKET_API == 2
/* Of a connection that a transport closes (RFC 9000 20.1). */
enum {
    QUIC_TRANSPORT_ERROR_NONE = 0x00,
    QUIC_TRANSPORT_ERROR_INTERNAL = 0x01,
    QUIC_TRANSPORT_ERROR_CONNECTION_REFUSED = 0x02,
    QUIC_TRANSPORT_ERROR_FLOW_CONTROL = 0x03,
    QUIC_TRANSPORT_ERROR_STREAM_LIMIT = 0x04,
    QUIC_TRANSPORT_ERROR_STREAM_STATE = 0x05,
    QUIC_TRANSPORT_ERROR_FINAL_SIZE = 0x06,
    QUIC_TRANSPORT_ERROR_FRAME_ENCODING = 0x07,
    QUIC_TRANSPORT_ERROR_TRANSPORT_PARAM = 0x08,
    QUIC_TRANSPORT_ERROR_CONNECTION_ID_LIMIT = 0x09,
    QUIC_TRANSPORT_ERROR_PROTOCOL_VIOLATION = 0x0a,
    QUIC_TRANSPORT_ERROR_INVALID_TOKEN = 0x0b,
    QUIC_TRANSPORT_ERROR_APPLICATION = 0x0c,
    QUIC_TRANSPORT_ERROR_CRYPTO_BUF_EXCEEDED = 0x0d,
    QUIC_TRANSPORT_ERROR_KEY_UPDATE = 0x0e,
    QUIC_TRANSPORT_ERROR_AEAD_LIMIT_REACHED = 0x0f,
    QUIC_TRANSPORT_ERROR_NO_VIABLE_PATH = 0x10,
    QUIC_TRANSPORT_ERROR_CRYPTO = 0x0100, /* and the alert of TLS */
};
#endif

/* ---- events -------------------------------------------------------------------------------------- */

/* An event is a message with the notification flag: one byte of type, then what is said below. */
#if QUIC_SOCKET_API == 2
enum quic_event_type {
    QUIC_EVENT_NONE,
    QUIC_EVENT_STREAM_UPDATE,        /* struct quic_stream_update */
    QUIC_EVENT_STREAM_MAX_DATA,      /* struct quic_stream_max_data */
    QUIC_EVENT_STREAM_MAX_STREAM,    /* uint64_t: the highest stream allowed now */
    QUIC_EVENT_CONNECTION_ID,        /* struct quic_connection_id_info */
    QUIC_EVENT_CONNECTION_CLOSE,     /* struct quic_connection_close */
    QUIC_EVENT_CONNECTION_MIGRATION, /* uint8_t: 1 ours, 0 the peer's */
    QUIC_EVENT_KEY_UPDATE,           /* uint8_t: the new phase */
    QUIC_EVENT_NEW_TOKEN,            /* its bytes */
    QUIC_EVENT_NEW_SESSION_TICKET,   /* its bytes */
    QUIC_EVENT_MAX,
};
#else
enum quic_event_type {
    QUIC_EVENT_NONE,
    QUIC_EVENT_STREAM_UPDATE,        /* struct quic_stream_update */
    QUIC_EVENT_STREAM_MAX_STREAM,    /* uint64_t: the highest stream allowed now */
    QUIC_EVENT_CONNECTION_CLOSE,     /* struct quic_connection_close */
    QUIC_EVENT_CONNECTION_MIGRATION, /* uint8_t: 1 ours, 0 the peer's */
    QUIC_EVENT_KEY_UPDATE,           /* uint8_t: the new phase */
    QUIC_EVENT_NEW_TOKEN,            /* its bytes */
    QUIC_EVENT_END,
    QUIC_EVENT_MAX = QUIC_EVENT_END - 1,
};
#endif

enum {
    QUIC_STREAM_SEND_STATE_READY,
    QUIC_STREAM_SEND_STATE_SEND,
    QUIC_STREAM_SEND_STATE_SENT,
    QUIC_STREAM_SEND_STATE_RECVD,
    QUIC_STREAM_SEND_STATE_RESET_SENT,
    QUIC_STREAM_SEND_STATE_RESET_RECVD,

    QUIC_STREAM_RECV_STATE_RECV,
    QUIC_STREAM_RECV_STATE_SIZE_KNOWN,
    QUIC_STREAM_RECV_STATE_RECVD,
    QUIC_STREAM_RECV_STATE_READ,
    QUIC_STREAM_RECV_STATE_RESET_RECVD,
    QUIC_STREAM_RECV_STATE_RESET_READ,
};

struct quic_stream_update {
#if QUIC_SOCKET_API == 2
    int64_t id;
    uint8_t state;
    uint8_t reserved[3];
#else
    uint64_t id;
    uint32_t state; /* QUIC_STREAM_*_STATE_* */
#endif
    uint32_t errcode;
    uint64_t finalsz;
};

#if QUIC_SOCKET_API == 2
struct quic_stream_max_data {
    int64_t id;
    uint64_t max_data;
};
#endif

/* What may stand behind the type. In a message it is not aligned. */
__extension__ union quic_event {
    struct quic_stream_update update;
    struct quic_connection_close close;
    uint64_t max_stream;
    uint8_t local_migration;
    uint8_t key_update_phase;
#if QUIC_SOCKET_API == 2
    struct quic_stream_max_data max_data;
    struct quic_connection_id_info info;
#endif
};

/* ---- functions ----------------------------------------------------------------------------------- */

#if QUIC_SOCKET_API == 2

/* As sendmsg and recvmsg with a QUIC_STREAM_INFO. *flags goes in (flags of the call) and out. */
ssize_t quic_sendmsg(int sd, const void *msg, size_t len, int64_t sid,
                     uint32_t flags) __asm__("quic_sendmsg_2");
ssize_t quic_recvmsg(int sd, void *msg, size_t len, int64_t *sid,
                     uint32_t *flags) __asm__("quic_recvmsg_2");

/* hostname: the server's name, asked for and verified; NULL: its chain only. alpns: "a,b" or NULL.
 * pkey_file: a file of pre-shared keys, or NULL. Return 0, or -errno. */
int quic_client_handshake(int sd, const char *pkey_file, const char *hostname,
                          const char *alpns) __asm__("quic_client_handshake_2");
int quic_server_handshake(int sd, const char *pkey_file, const char *cert_file,
                          const char *alpns) __asm__("quic_server_handshake_2");

#else

/* quic_sendmsg sends `len` bytes on stream `sid` with QUIC_STREAM_FLAG_* flags. Returns the bytes
 * taken, or -1 and errno as sendmsg does. */
ssize_t quic_sendmsg(int sd, const void *msg, size_t len, uint64_t sid, uint32_t flags);

/* quic_recvmsg receives at most `len` bytes of one stream, datagram or event, and says of which;
 * `sid` and `flags` may be NULL. Returns the bytes, or -1 and errno as recvmsg does. */
ssize_t quic_recvmsg(int sd, void *msg, size_t len, uint64_t *sid, uint32_t *flags);

/* quic_client_handshake and quic_server_handshake do the TLS handshake of a connected or accepted
 * socket in the calling thread, within 15 seconds.
 *
 * Client: (NULL, NULL) verifies the server's chain against the system's authorities (SSL_CERT_FILE and
 *         SSL_CERT_DIR name others); with key and certificate files it can show one of its own; with a
 *         key file alone that is a file of pre-shared keys (needs the gnutls adapter).
 * Server: PEM private key and chain; with a key file alone pre-shared keys (the adapter).
 * Return 0; or -errno, with errno set: ETIMEDOUT, ECONNREFUSED, ECONNRESET, EKEYREJECTED (the peer or
 * we do not accept a certificate), EPROTO (another TLS alert), ENOENT, EACCES (files), EINVAL (state,
 * files), ENOSYS (pre-shared keys without the adapter). */
int quic_client_handshake(int sd, const char *pkey_file, const char *cert_file);
int quic_server_handshake(int sd, const char *pkey_file, const char *cert_file);

#ifndef QUIC_HAS_GNUTLS
struct gnutls_privkey_st;
struct gnutls_pcert_st;
typedef struct gnutls_privkey_st *gnutls_privkey_t;
typedef struct gnutls_pcert_st gnutls_pcert_st;
typedef struct {
    unsigned char *data;
    unsigned int size;
} gnutls_datum_t;
#endif

/* A handshake in every detail. */
struct quic_handshake_parms {
    uint32_t timeout; /* ms; 0: none but the idle timeout */
    gnutls_privkey_t privkey;
    gnutls_pcert_st *cert;
    char *peername; /* in: the server's name, asked for and verified; out: the chosen identity */
    char *names[10];
    gnutls_datum_t keys[10]; /* in: pre-shared keys; out: the peer's certificates, to be freed */
    uint32_t num_keys;       /* in: above 0 means pre-shared keys; out: certificates in keys[] */
};

/* quic_client_handshake_parms and quic_server_handshake_parms are provided by libquic_gnutls (link with
 * -lquic_gnutls -lquic -lgnutls); without it they return -ENOSYS. The key and the certificate stay the
 * caller's. Return 0; or -errno, with errno set, as above. */
int quic_client_handshake_parms(int sd, struct quic_handshake_parms *parms);
int quic_server_handshake_parms(int sd, struct quic_handshake_parms *parms);

#endif

/* quic_handshake does the TLS handshake of a connected or accepted socket with a session of the program's own, of
 * gnutls (gnutls_session_t): with its credentials, priorities, protocols and tickets. The socket is what
 * gnutls_transport_set_int has given it. Provided by libquic_gnutls. Takes 15 seconds at most; returns 0, or -errno,
 * with errno set, as above. */
int quic_handshake(void *session);

#if QUIC_SOCKET_API == 2
/* For such a session (gnutls_session_t), by libquic_gnutls as well. Priorities that allow what QUIC does. The protocols
 * of a list, "a,b"; the one agreed on. What resumes the session, made of the ticket that has come (a *size of 0: none
 * yet), and into the next session. Return 0, or -errno with errno set; *size is the room, and what was used of it. */
#define QUIC_PRIORITY                                                                              \
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:"      \
    "+AES-128-CCM:+PSK:+ECDHE-PSK:+DHE-PSK:%DISABLE_TLS13_COMPAT_MODE"
int quic_session_set_alpn(void *session, const void *alpns,
                          size_t size) __asm__("quic_session_set_alpn_2");
int quic_session_get_alpn(void *session, void *alpn,
                          size_t *size) __asm__("quic_session_get_alpn_2");
int quic_session_set_data(void *session, const void *data,
                          size_t size) __asm__("quic_session_set_data_2");
int quic_session_get_data(void *session, void *data,
                          size_t *size) __asm__("quic_session_get_data_2");
#endif

/* What the library has to say goes to stderr as far as the environment's QUIC_LOG or else quic_set_log_level says:
 * LOG_ERR, LOG_WARNING or LOG_INFO of <syslog.h>, with all that is graver; nothing before. A function of
 * quic_set_log_func (NULL: stderr again) gets the lines instead, without their ends; without a level, up to
 * LOG_WARNING.
 * Both return what was before, the level -1 at first.
 * Any thread may call it, also with the library's locks held: it calls no function of QUIC sockets. */
typedef void (*quic_set_log_func_t)(int level, const char *line);
int quic_set_log_level(int level);
quic_set_log_func_t quic_set_log_func(quic_set_log_func_t func);

#ifdef __cplusplus
}
#endif

#endif /* NETINET_QUIC_H */

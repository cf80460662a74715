/* quring/config.h: settings of a runtime, of its transport, and of TLS; every bound in one struct.
 *
 * quring_config_init and quring_limits_init fill in every default; change what you need afterwards.
 * A runtime copies its configuration: the structs may go away after the call that took them.
 */
#ifndef QURING_CONFIG_H
#define QURING_CONFIG_H

#include "quring/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How a worker meets the kernel. AUTO prefers io_uring and falls back to epoll when the kernel
 * refuses it (EPERM, EACCES, ENOSYS, ENOMEM, EMFILE); URING fails instead of falling back. */
typedef enum quring_io_backend {
    QURING_IO_AUTO = 0,
    QURING_IO_URING = 1,
    QURING_IO_EPOLL = 2,
} quring_io_backend;

typedef enum quring_cc {
    QURING_CC_CUBIC = 0,   /* RFC 9438 with HyStart++ (RFC 9406) */
    QURING_CC_NEWRENO = 1, /* RFC 9002 7 */
    QURING_CC_BBR = 2,     /* BBRv3, draft-ietf-ccwg-bbr; use it with pacing */
} quring_cc;

/* Who does AES-GCM for packet protection. AUTO takes ipsec-mb where this build has it and the CPU
 * has AES instructions, otherwise BoringSSL. */
typedef enum quring_aead {
    QURING_AEAD_AUTO = 0,
    QURING_AEAD_BORINGSSL = 1,
    QURING_AEAD_IPSEC_MB = 2,
} quring_aead;

/* The versions of QUIC, as numbers and as members of quring_limits.versions. */
#define QURING_QUIC_V1 0x00000001u /* RFC 9000 */
#define QURING_QUIC_V2 0x6b3343cfu /* RFC 9369 */
enum { QURING_SPEAKS_V1 = 1u << 0, QURING_SPEAKS_V2 = 1u << 1 };

/* Every bound of the engine. Counts are per worker unless the name says otherwise; 0 in a rate or
 * per-address field means "no such limit". What each is by default and may be: docs/limits.md, installed below
 * share/doc/quring; quring_config_check tells of what may not be.
 *
 * A listener and a connection may have limits of their own. Not theirs but the runtime's are those of a whole
 * worker, connections_max to initials_per_s_retry, stateless_resets_per_s to worker_mem_max_bytes: what
 * they say of them does not matter. Of a listener's, the rest holds for each of its connections. */
typedef struct quring_limits {
    uint32_t connections_max;          /* connections one worker keeps */
    uint32_t half_open_max;            /* server connections whose handshake is not complete */
    uint32_t half_open_per_addr_max;   /* of those, per IPv4 address or IPv6 /56; 0 = off */
    uint32_t connections_per_addr_max; /* per IPv4 address or IPv6 /56; 0 = off */
    /* New Initials per second above which Retry is demanded, until they have been less than half
     * of that for 5 s; 0 = off. Retry is demanded, too, above half of half_open_max. As many are looked at, and no
     * more, that bring a bad Retry token, or a good one from an address of which 4 in this second could not be
     * opened */
    uint32_t initials_per_s_retry;
    /* Connections of one listener, on all workers together, whose client has not proved its address (RFC 9000
     * 8.1): with so many of them, and for 5 s after, Retry is demanded there; 0 = off */
    uint32_t unproved_retry;
    uint32_t stateless_resets_per_s;      /* RFC 9000 10.3 */
    uint32_t stateless_resets_per_addr_s; /* of those, to one IPv4 /24 or IPv6 /48; 0 = off */
    uint32_t version_negotiations_per_s;
    uint64_t
        worker_mem_max_bytes; /* all protocol memory of a worker. Buffers for sending leave an eighth of it, and of
                                      the next, to what cannot wait */
    /* One connection's; 0 = what its windows and send buffers need at most, and 4 MiB: twice those of the
     * connection, and once those of a stream */
    uint64_t conn_mem_max_bytes;

    /* NEW_TOKEN frames a server gives each client, and one more on each new path: a later
     * connection skips Retry (RFC 9000 8.1.3); 0 = none */
    uint32_t new_tokens;
    uint64_t new_token_lifetime_ns;

    uint64_t handshake_timeout_ns;
    /* max_idle_timeout we advertise (RFC 9000 10.1): the smaller one of both sides counts; 0 = none. Without any,
     * nobody notices that the peer is gone */
    uint64_t idle_timeout_ns;
    /* PING after this much silence, or half of the idle timeout that both agreed on (three probe timeouts at least,
     * RFC 9000 10.1), if that is less; 0 = never. A client that only waits needs it where a NAT forgets its port: the
     * server cannot send to the new one before it has heard from there */
    uint64_t keep_alive_ns;

    uint64_t stream_recv_window_bytes;     /* first MAX_STREAM_DATA we give, RFC 9000 4 */
    uint64_t stream_recv_window_max_bytes; /* auto-tuning never goes beyond */
    /* Of that first one, on bidirectional streams that we open
     * (initial_max_stream_data_bidi_local) ... */
    uint64_t stream_recv_window_local_bytes;
    uint64_t stream_recv_window_uni_bytes; /* ... and on unidirectional ones; 0 = the same */
    uint64_t conn_recv_window_bytes;       /* first MAX_DATA */
    uint64_t conn_recv_window_max_bytes;
    uint64_t stream_send_buf_bytes; /* unacknowledged plus unsent bytes a stream may hold */
    uint64_t conn_send_buf_bytes; /* the same over all streams of a connection; when it is used up,
                                       each may still hold 16 KiB, or its share if that is less */
    uint32_t streams_bidi_max;    /* streams the peer may have open at once */
    uint32_t streams_uni_max;
    uint32_t reassembly_gaps_max;      /* gaps of a stream; and one for every 2 KiB that wait */
    uint32_t reassembly_gaps_conn_max; /* the same over all streams of a connection */

    uint32_t crypto_buf_bytes;          /* per encryption level, RFC 9000 7.5 */
    uint32_t undecryptable_packets_max; /* held until their keys arrive, RFC 9000 5.7 */
    uint32_t sent_packets_max;          /* tracked per packet number space; a power of two */
    uint32_t ack_ranges_max;            /* ranges we remember; the oldest are forgotten */
    uint32_t cids_active_max;           /* active_connection_id_limit we advertise */
    uint32_t udp_payload_max_bytes;     /* max_udp_payload_size we advertise, RFC 9000 18.2 */
    uint32_t udp_payload_bytes;         /* datagram size we send once the handshake is complete */
    uint32_t mtu_probe_max_bytes;       /* datagram size searched for from 1200 up (RFC 8899), over
                                           IPv6 20 less; 0 = no search, as with udp_payload_bytes
                                           above 1200 */
    /* What we advertise as max_datagram_frame_size (RFC 9221 3): the peer may send datagrams, and the
     * application reads them; 65535 = as large as packets are; 0 = not offered */
    uint32_t datagram_max_bytes;
    bool ecn; /* mark packets ECT(0) where the path allows (RFC 9000 13.4) */
    /* Server: tell clients not to move (RFC 9000 18.2), and drop what those send that do; a NAT
     * may still move them */
    bool disable_active_migration;
    bool ignore_preferred_address; /* client: stay when a server would rather be met at another
                                      address (RFC 9000 9.6) */
    uint64_t cwnd_max_bytes;       /* congestion window never grows beyond */
    /* May leave at once, whatever the pace, until something is lost: for networks known to absorb
     * that much (RFC 9002 7.7); 0 = what the protocol allows without such knowledge, ten
     * datagrams, or more on paths found to be short or fast */
    uint32_t burst_bytes;
    uint32_t congestion_control; /* 1 + a quring_cc; 0 = that of quring_config.cc */
    uint64_t initial_rtt_ns; /* assumed before the first measurement; 0 = 333 ms (RFC 9002 6.2.2) */
    bool ack_frequency;    /* ask peers that can (draft-ietf-quic-ack-frequency) to acknowledge bulk
                                data less often: eight times per window at least. Off by default: fewer
                                ACK frames save CPU on both sides and capacity of the way back, but the
                                sender learns later of loss at the end of a burst; receivers that take
                                packets in batches acknowledge once per batch anyway. What a peer asks
                                of us is always done */
    uint64_t ack_delay_ns; /* max_ack_delay we advertise and keep */

    uint32_t versions;          /* QURING_SPEAKS_*: those spoken */
    uint32_t version_first;     /* client: of its first packets. 0 = that of the session it resumes,
                                   else the lowest spoken (RFC 9368 2.5). A number that is neither
                                   version 1 nor 2 asks the server for its list */
    uint32_t version_preferred; /* the one wanted where both sides can (RFC 9368 2.3). 0 = client:
                                   the first; server: what the client likes best */
    bool grease_quic_bit;       /* take packets whose QUIC bit is 0, and send such packets to a
                                   peer that takes them (RFC 9287) */
    bool disable_1rtt_encryption; /* DANGER, for measurements in closed networks: if the peer asks
                                     for it, too, nothing protects 1-RTT packets: anybody on the
                                     way can read and forge them (draft-banks-quic-disable-
                                     encryption) */

    uint32_t trace_packets; /* records of packets sent, received and lost that may wait for
                               quring_conn_read_trace, 24 bytes each per connection; 0 = none are made */

    /* Packets that bring nothing (PING, PADDING, repetitions, limits raised by little): a connection may
     * have so many more of them than useful ones of 1200 bytes, and so many more per second; then it is closed
     * with PROTOCOL_VIOLATION. */
    uint32_t glitch_burst; /* 0 = off */
    uint32_t glitch_per_s;
} quring_limits;

/* quring_limits_init fills `limits` with the defaults for a server on the Internet. */
QURING_EXPORT void quring_limits_init(quring_limits *limits);

/* quring_limits_for_loopback changes in filled limits what a load test over loopback would run into:
 * per-address and rate limits and glitch_burst go away, windows and burst_bytes grow, ECN is off. */
QURING_EXPORT void quring_limits_for_loopback(quring_limits *limits);

/* One line of the log. `level`: 0 error, 1 warning, 2 information. Called on any thread, on several at once;
 * calls nothing of this library. */
typedef void (*quring_log_fn)(void *ctx, int level, const char *line);

/* Connection IDs by which load balancers find the server (draft-ietf-quic-load-balancers). All fields are
 * the configuration agent's, the same at all servers but for server_id. */
typedef struct quring_lb {
    bool enabled;
    uint8_t config_id;     /* 0..6 */
    uint8_t server_id_len; /* 1..15 */
    uint8_t server_id[15];
    /* 4..18; together with server_id_len at most 19. With a key take 8 or more: a shorter nonce
     * repeats when many connection IDs are made (4 octets: beyond 64 a second, on average; each
     * Retry makes one, too) */
    uint8_t nonce_len;
    bool encodes_len; /* the first octet tells the length; otherwise it is random */
    bool has_key;     /* without one anybody can read the server ID */
    uint8_t key[16];
} quring_lb;

#define QURING_WORKERS_MAX 64

/* quring_config.spin_ns: a worker polls, for at most 50 us, as long as that mostly finds something and
 * nobody else wants to run on its CPU. */
#define QURING_SPIN_AUTO UINT32_MAX

typedef struct quring_config {
    uint32_t workers; /* threads the runtime starts, exactly; 1..QURING_WORKERS_MAX */
    int32_t cpus[QURING_WORKERS_MAX]; /* CPU each worker is pinned to; -1 = not pinned */
    quring_io_backend io;
    quring_aead aead;
    quring_cc cc;
    bool gso;         /* use UDP_SEGMENT where the kernel has it */
    bool gro;         /* use UDP_GRO where the kernel has it */
    bool pacing;      /* RFC 9002 7.7 */
    bool dual_stack;  /* an IPv6 wildcard socket also takes IPv4 */
    uint32_t spin_ns; /* poll so long before sleeping when there was something to do: at most
                                  a second; QURING_SPIN_AUTO; 0 (the default) = sleep at once: who
                                  polls takes CPU time from others, and in a container with a quota
                                  from itself */
    /* quring_visit may be used: workers take a lock where they wake up and go to sleep */
    bool visits;
    uint32_t socket_buf_bytes; /* SO_RCVBUF and SO_SNDBUF asked for */
    /* Per worker and address family, taken in turns by connections that ask for no port of their
     * own: what is on its way to all connections of a socket shares its buffer; 1..32 */
    uint32_t client_sockets;
    uint8_t root_secret[32]; /* keys of tokens, tickets and stateless resets derive from it; the
                                  same secret makes them outlive a restart, or be good at several
                                  machines. All zero = random. See quring_root_secret_load */
    uint8_t previous_root_secret[32]; /* after a change of root_secret: what was made under this one
                                         stays good; all zero = none */
    quring_lb lb; /* connection IDs of servers for load balancers; off unless enabled */
    quring_limits limits;
    quring_log_fn log; /* NULL: errors and warnings go to stderr */
    void *log_ctx;
} quring_config;

QURING_EXPORT void quring_config_init(quring_config *config);

/* quring_root_secret_load reads a root secret from a file of exactly 32 bytes, or of 64 hexadecimal
 * digits and at most one end of line. The file must be its owner's alone (mode 0600 or less).
 * Returns QURING_OK; QURING_E_OS (cannot be read); QURING_E_INVAL (others may read it, or it holds
 * something else; all zero is no secret). On failure `out` is untouched. */
QURING_EXPORT QURING_NODISCARD quring_status quring_root_secret_load(uint8_t out[32],
                                                                     const char *path,
                                                                     quring_error *err);

/* quring_config_check is the only judge of a configuration; quring_runtime_create calls it, and asks besides
 * whether this machine has the CPUs.
 * Returns QURING_OK, or QURING_E_INVAL with the name of the bad field, and what it may be, in err->message. */
QURING_EXPORT QURING_NODISCARD quring_status quring_config_check(const quring_config *config,
                                                                 quring_error *err);

/* ---- TLS ----------------------------------------------------------------------------------- */

/* A TLS identity and policy, shared by any number of listeners or connections and by all workers.
 * Reference counted: listeners and connections hold their own reference. */
typedef struct quring_tls quring_tls;

typedef enum quring_verify {
    QURING_VERIFY_PEER = 0, /* chain and name (client), chain (server that asks for certificates) */
    QURING_VERIFY_NONE = 1, /* loopback tests, or an application that judges its clients'
                                certificates itself; a client says so in the log */
    QURING_VERIFY_CHAIN = 2, /* client: the chain, whomever it names; server: as PEER */
} quring_verify;

/* Whether a server asks clients for a certificate (RFC 8446 4.3.2). What is shown has to lead to an
 * anchor of ca_file (verify = QURING_VERIFY_PEER), or is anybody's (QURING_VERIFY_NONE): see
 * quring_conn_peer_certificate. A client that is refused has completed its handshake by then: it
 * hears CONNECTED, and CLOSED with the alert right after. */
typedef enum quring_client_cert {
    QURING_CLIENT_CERT_NONE = 0,
    QURING_CLIENT_CERT_REQUEST = 1, /* a client may go without; a bad one is refused */
    QURING_CLIENT_CERT_REQUIRE = 2, /* without one: certificate_required, 0x174 */
} quring_client_cert;

/* What a server does about clients that ask for a name that is not among its identities, or for
 * none (RFC 6066 3). */
typedef enum quring_unknown_name {
    QURING_UNKNOWN_NAME_DEFAULT = 0, /* serves them as cert_file */
    QURING_UNKNOWN_NAME_REFUSE = 1,  /* unrecognized_name, 0x170; without a name missing_extension,
                                        0x16d. cert_file may be missing; it serves nobody */
} quring_unknown_name;

#define QURING_TLS_IDENTITIES_MAX 1024

/* A further identity of a server, for clients that ask for `name`: a host name, or "*.example.com"
 * for every name with exactly one label in place of the asterisk. A whole name goes before a
 * wildcard. Files or bytes, as in quring_tls_options. */
typedef struct quring_tls_identity {
    const char *name;
    const char *cert_file;
    const char *key_file;
    quring_bytes cert_pem;
    quring_bytes key_pem;
} quring_tls_identity;

typedef struct quring_tls_options {
    const char
        *cert_file;       /* PEM chain, leaf first; server: needed unless cert_pem is given. Client:
                              shown to servers that ask; without it they get none */
    const char *key_file; /* PEM private key, without a pass phrase */
    quring_bytes cert_pem; /* the same from memory */
    quring_bytes key_pem;
    const char *ca_file; /* PEM trust anchors. Client: NULL = SSL_CERT_FILE, then the system's.
                            Server: for client_cert, needed to verify */
    quring_verify verify;
    const char *const *alpn;        /* protocols, most preferred first, each 1..255 bytes */
    size_t alpn_count;              /* 1..16 (RFC 9001 8.1), 0 only with any_alpn */
    bool any_alpn;                  /* server, with alpn_count 0: takes what the client prefers */
    quring_client_cert client_cert; /* server */
    const quring_tls_identity *identities; /* server: chosen by server name */
    size_t identity_count;                 /* at most QURING_TLS_IDENTITIES_MAX */
    quring_unknown_name unknown_name;      /* server */
    uint32_t peer_chain_max_bytes; /* largest certificate chain taken from a peer, which the TLS
                                      library holds while it arrives; 0 = 100 KiB. Less than 16 KiB
                                      counts as 16 KiB */
    /* 0x1301 AES-128-GCM, 0x1302 AES-256-GCM, 0x1303 ChaCha20-Poly1305, 0x1304 AES-128-CCM; 0 =
     * the TLS library's choice. The server decides: a client only says what it expects */
    uint16_t cipher_suite;
    void (*keylog)(void *ctx, const char *line); /* NULL: none. Each secret of a handshake as a line
                              of the NSS key log format, without its end: whoever has them reads
                              everything. Called on the threads that do handshakes, on several at
                              once; calls nothing of this library */
    void *keylog_ctx; /* for keylog; valid as long as handshakes of this configuration go on */
    bool exporter; /* server: quring_conn_export_keys works, for which each connection keeps about
                         4 KiB of TLS; a client's always can */
} quring_tls_options;

/* quring_tls_create_server and quring_tls_create_client read certificates and keys and build the
 * context. Returns QURING_OK; QURING_E_TLS (message names the file and the reason); QURING_E_INVAL;
 * QURING_E_NOT_SUPPORTED (the TLS library cannot be told to use cipher_suite; quring/handshake.h has
 * all four with another one); QURING_E_NOMEM. `options` is borrowed for the call. */
QURING_EXPORT QURING_NODISCARD quring_status
quring_tls_create_server(quring_tls **out, const quring_tls_options *options, quring_error *err);
QURING_EXPORT QURING_NODISCARD quring_status
quring_tls_create_client(quring_tls **out, const quring_tls_options *options, quring_error *err);

/* quring_tls_reload puts what `options` say in the place of what `tls` was made from, for all
 * handshakes that begin from now on, on all workers; connections and handshakes under way keep what
 * they have. Any thread, at any time, while the caller holds a reference.
 *
 * On failure everything stays as it was. Besides the errors of create, QURING_E_TLS also when a
 * certificate has expired or is not valid yet: it would be refused by every peer.
 *
 * Session tickets: their keys come from quring_config.root_secret and do not change. A ticket stays
 * good while the identity it was given under, client_cert, verify and the anchors are the same;
 * otherwise it costs a full handshake, once. */
QURING_EXPORT QURING_NODISCARD quring_status quring_tls_reload(quring_tls *tls,
                                                               const quring_tls_options *options,
                                                               quring_error *err);

/* quring_tls_self_signed makes a P-256 key and a certificate for "localhost", 127.0.0.1 and ::1,
 * valid for ten days, and gives both as PEM text. Each buffer must hold 4096 bytes; the lengths
 * (without the final 0) are written. For tests and tools. */
QURING_EXPORT QURING_NODISCARD quring_status quring_tls_self_signed(char *out_cert_pem,
                                                                    size_t *out_cert_len,
                                                                    char *out_key_pem,
                                                                    size_t *out_key_len);

/* quring_tls_release gives up the reference that create gave; NULL is fine. Any thread. */
QURING_EXPORT void quring_tls_release(quring_tls *tls);

#ifdef __cplusplus
}
#endif

#endif /* QURING_CONFIG_H */

/* compat/core/sock.h: a QUIC socket: what its files share.
 *
 * Threads: `lock` guards everything below it. The program's threads and the worker that owns the
 *          connection both take it, briefly: no engine call waits under it. What must happen on the
 *          worker is noted in `asked` and asked for with qs_kick, or done by qs_call, which waits.
 * Files:   runtime    the engine, kicks and calls        port      local addresses, listening, demux
 *          life       create, close                      events    what the connection tells (worker)
 *          listen     bind, listen, accept               connect   connect
 *          rx         what waits to be received          tx        what waits to be sent
 *          streams    stream numbers and states          opts      socket options
 *          handshake  TLS in the calling thread          raw       the handshake's steps, for any TLS
 *          ready      the program's descriptor
 *          params     transport parameters               layout    both layouts' numbers
 *          dgram      datagrams                          verbs     moving, new keys, tokens
 *          wait       threads that wait in a call        watch     descriptors closed behind our back
 *          late       what a raw handshake leaves to us  credit    flow control, in the kernel's layout
 */
#ifndef COMPAT_CORE_SOCK_H
#define COMPAT_CORE_SOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "quring/quring.h"

#include "compat/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QS_LIKELY(x) __builtin_expect(!!(x), 1)

#define QS_NS_PER_MS 1000000ull
#define QS_NS_PER_S  1000000000ull

#define QS_EVENTS_MAX     256u /* waiting in one queue; the oldest updates of streams give way */
#define QS_CHUNK_BYTES    (64u * 1024u)
#define QS_TLS_HELD_MAX   (256u * 1024u) /* memory of TLS messages that wait, beside all else */
#define QS_ALPN_LEN_MAX   128u
#define QS_TOKEN_LEN_MAX  120u
#define QS_TICKET_LEN_MAX 4096u
#define QS_PHRASE_LEN_MAX 80u
#define QS_STREAM_ANY     UINT64_MAX
#define QS_STREAM_HASH    64u    /* buckets, a power of two */
#define QS_OPEN_AT_ONCE   65536u /* streams that one call opens, with those below */
#define QS_VISIT_BYTES    4096u  /* a message that the calling thread may send itself */
#define QS_FD_LOW         512    /* our descriptors are above, out of the program's way */

/* Codes of CONNECTION_CLOSE (RFC 9000 20.1): an alert of TLS is QS_ERROR_CRYPTO and its number. */
enum {
    QS_ERROR_INTERNAL = 0x01,
    QS_ERROR_REFUSED = 0x02,
    QS_ERROR_PROTOCOL = 0x0a,
    QS_ERROR_CRYPTO_BUFFER = 0x0d,
    QS_ERROR_CRYPTO = 0x100,
    QS_ERROR_CRYPTO_END = 0x200,
};
#define QS_FRAME_CRYPTO 0x06u /* RFC 9000 19.6 */

/* Flags of a message, one space for all (netinet/quic.h). */
enum {
    QS_MSG_FIN = 0x200,
    QS_MSG_NEW = 0x400,
    QS_MSG_UNI = 0x800,
    QS_MSG_DATAGRAM = 0x1000,
    QS_MSG_SNDBLOCK = 0x2000,
    QS_MSG_EVENT = 0x8000,
    QS_MSG_ASYNC = 0x10000,
};

typedef enum qs_state {
    QS_FRESH,
    QS_LISTENING,
    QS_CONNECTING, /* connect or accept was called; the handshake is the program's business */
    QS_ESTABLISHED,
    QS_CLOSED, /* by us, the peer, or a timeout: what was received can still be read */
} qs_state;

/* ---- what waits to be received --------------------------------------------------------------- */

typedef enum qs_item_kind {
    QS_ITEM_STREAM,
    QS_ITEM_DATAGRAM,
    QS_ITEM_CRYPTO,
    QS_ITEM_EVENT
} qs_item_kind;

typedef struct qs_item {
    struct qs_item *next;
    uint64_t stream_id;
    uint32_t len; /* bytes in data */
    uint32_t off; /* of them read */
    uint32_t cap;
    uint8_t kind;  /* qs_item_kind */
    uint8_t level; /* CRYPTO: quring_level */
    bool fin;
    uint8_t data[];
} qs_item;

typedef struct qs_rx {
    qs_item *head;
    qs_item *tail;
    qs_item *last_crypto; /* TLS messages come first, ... */
    qs_item *last_event;  /* ... then events */
    uint64_t bytes;       /* of streams and datagrams, unread */
    uint64_t held;        /* memory of all items, however little is in them */
    uint32_t event_count;
    bool busy;    /* a thread is copying out of items: nobody else takes any off */
    bool drop;    /* it drops all of them then */
    bool starved; /* streams wait for room */
    bool ends;    /* the connection is over: what has come has room, the peer's credit bounds it */
    uint64_t limit; /* SO_RCVBUF */
} qs_rx;

/* ---- streams ------------------------------------------------------------------------------------ */

typedef enum qs_send_state {
    QS_SEND_READY,
    QS_SEND_SEND,
    QS_SEND_SENT,
    QS_SEND_RECVD,
    QS_SEND_RESET_SENT,
    QS_SEND_RESET_RECVD,
} qs_send_state;

typedef enum qs_recv_state {
    QS_RECV_RECV = 6,
    QS_RECV_SIZE_KNOWN,
    QS_RECV_RECVD,
    QS_RECV_READ,
    QS_RECV_RESET_RECVD,
    QS_RECV_RESET_READ,
} qs_recv_state;

/* Bytes lent to the engine until they are acknowledged. */
typedef struct qs_chunk {
    struct qs_chunk *next;
    uint64_t start; /* offset in the stream of data[0] */
    uint32_t len;
    uint32_t lent; /* of them given to the engine */
    uint32_t cap;
    uint8_t data[];
} qs_chunk;

typedef struct qs_stream {
    struct qs_stream *hash_next;
    struct qs_stream *work_next; /* queue of streams the worker has to look at */
    uint64_t id;
    quring_stream handle; /* 0: not open at the engine (yet) */
    qs_chunk *tx_head;
    qs_chunk *tx_tail;
    uint64_t tx_next;     /* offset of the next byte the program sends */
    uint64_t tx_released; /* up to where the engine needs nothing any more */
    uint64_t tx_max;      /* kernel layout: up to where the peer lets it go; 0: not known */
    uint64_t rx_total;
    uint64_t final_size;
    uint32_t reset_code;
    uint32_t stop_code;
    uint8_t send_state; /* qs_send_state */
    uint8_t recv_state; /* qs_recv_state */
    bool in_work;
    bool corked; /* MSG_MORE: waits for the call without it */
    bool fin_queued;
    bool fin_given;
    bool tx_busy;    /* a thread is in the middle of a message, */
    bool tx_copying; /* and copies into the last chunk */
    uint16_t users;  /* threads inside a call on it: it stays until they leave */
    bool reset_asked;
    bool stop_asked;
    bool rx_blocked; /* more waits in the engine: there was no room */
    bool rx_seen;
    bool rx_fin;
    bool closed;  /* at the engine */
    bool implied; /* open because a higher one is; the program has not named it */
} qs_stream;

/* ---- options ------------------------------------------------------------------------------------ */

/* The transport parameters of one side and the settings next to them, in the draft's units. */
typedef struct qs_params {
    uint8_t disable_active_migration;
    uint8_t grease_quic_bit;
    uint8_t stateless_reset;
    uint8_t disable_1rtt_encryption;
    uint8_t disable_compatible_version;
    uint64_t max_udp_payload_size;
    uint64_t ack_delay_exponent;
    uint64_t max_ack_delay_us;
    uint64_t active_connection_id_limit;
    uint64_t max_idle_timeout_us;
    uint64_t max_datagram_frame_size;
    uint64_t max_data;
    uint64_t max_stream_data_bidi_local;
    uint64_t max_stream_data_bidi_remote;
    uint64_t max_stream_data_uni;
    uint64_t max_streams_bidi;
    uint64_t max_streams_uni;
} qs_params;

typedef struct qs_settings {
    uint64_t initial_smoothed_rtt_us;
    uint32_t plpmtud_probe_us;
    uint32_t keepalive_us;
    uint32_t payload_cipher_type;
    uint32_t version;
    uint8_t validate_peer_address;
    uint8_t receive_session_ticket;
    uint8_t certificate_request;
    uint8_t congestion_control;
    uint8_t stream_data_nodelay;
} qs_settings;

typedef struct qs_blob {
    uint8_t *data;
    uint32_t len;
} qs_blob;

/* ---- the socket ----------------------------------------------------------------------------------- */

enum {
    QS_ASK_TX = 1u << 0,       /* streams are in the work queue */
    QS_ASK_RX = 1u << 1,       /* there is room again */
    QS_ASK_CLOSE = 1u << 2,    /* send CONNECTION_CLOSE when everything sent is acknowledged */
    QS_ASK_ABORT = 1u << 3,    /* send it now */
    QS_ASK_LIMIT = 1u << 4,    /* tell the peer that its limit of streams holds us back */
    QS_ASK_DATAGRAM = 1u << 5, /* datagrams wait */
};

/* Wishes that wait for the handshake to be confirmed (qs_sock.later). */
enum { QS_LATER_KEYS = 1u << 0, QS_LATER_MOVE = 1u << 1 };

struct qs_port;
typedef struct qs_dgram qs_dgram;

struct qs_sock {
    uint32_t refs; /* atomic: the front, the engine's connection, queues, and calls under way */
    int domain;
    int type;
    int protocol; /* QS_PROTO_* */

    pthread_mutex_t lock;
    uint32_t seq; /* futex: changes whenever a waiter might want to look again */
    uint16_t rx_waiters;
    uint16_t tx_waiters;
    uint8_t wake_due; /* QS_WAIT_*: qs_unlock wakes these */
    bool kick_due;    /* qs_unlock asks the worker, ... */
    bool visit_due;   /* ... or does its work while it sleeps */
    /* attend.c: little was sent and is not answered yet; the last wait did the worker's work */
    bool answer_due;
    bool attends;
    uint8_t attend_misses;
    uint16_t attend_skips;
    uint8_t state; /* qs_state */
    bool is_server;
    bool nonblock;
    bool bound;
    bool app_closed; /* no descriptor is left */
    bool shut_rd;
    bool shut_wr;
    bool v6only;
    bool reuseport;
    bool in_setup;    /* a thread binds, listens, connects or ends that: one at a time (life.c) */
    bool handshaking; /* a thread is inside a handshake function */
    bool tls_is_ours; /* the built-in TLS did the handshake: what follows is for it */

    /* the descriptor pair */
    int bell_fd; /* ours, -1: none */
    int app_fd;
    ino_t app_ino; /* of the program's descriptor */
    dev_t app_dev;
    void *cookie;    /* the front's */
    uint32_t tokens; /* bytes that wait at the program's end: it is readable */
    uint32_t filled; /* bytes that wait at ours: the program's is not writable */
    bool hung_up;    /* ours sends no more */
    bool lingers;    /* atomic: hung up, and our end open until the program's is gone */
    bool shared;     /* other processes may have copies of the program's */
    bool unlistened; /* it has listened, and does no more */
    bool edges;      /* watched edge-triggered: every arrival sends a byte */
    bool in_fix;     /* atomic */
    struct qs_sock *fix_next;
    struct qs_sock *fix_prev;

    /* addresses */
    struct qs_port *port; /* bound to; NULL: none */
    quring_addr local;
    quring_addr remote;

    /* the connection */
    quring_conn conn; /* handle 0: none yet, or gone */
    uint32_t worker;
    uint32_t asked;             /* QS_ASK_* */
    bool kicked;                /* a post is under way */
    struct qs_sock *late_next;  /* its mailbox was full */
    bool conn_over;             /* CLOSED was told */
    uint64_t close_deadline_ns; /* closing: patience ends, ... */
    uint64_t close_longest_ns;  /* ... which acknowledgements extend up to here */
    bool may_send;              /* connected, or 0-RTT is possible */
    quring_close_info close_info;

    /* listening */
    uint32_t backlog;
    uint32_t accept_count;
    struct qs_sock *accept_head;
    struct qs_sock *accept_tail;
    struct qs_sock *accept_next; /* in a queue */
    struct qs_sock *listen_next; /* of the port */
    struct qs_sock *all_next;
    struct qs_sock *all_prev;

    qs_rx rx;

    /* sending */
    qs_stream *streams[QS_STREAM_HASH];
    qs_stream *work_head;
    qs_stream *work_tail;
    uint64_t tx_bytes;     /* taken from the program and not acknowledged */
    uint64_t tx_limit;     /* SO_SNDBUF */
    uint64_t tx_total;     /* kernel layout: bytes of all streams, and how many the peer allows; */
    uint64_t tx_total_max; /* 0: not known */
    uint64_t starved_id;   /* what is to have credit, or to be opened; QS_STREAM_ANY: none */
    uint64_t active_id;    /* the latest stream opened and not finished; QS_STREAM_ANY: none */
    uint64_t next_id[2];   /* ours: bidirectional, unidirectional */
    uint64_t opened_id[2]; /* next one the engine opens */
    uint64_t streams_max[2]; /* how many of ours the peer allows */
    uint64_t seen_id[2];     /* above the peer's highest so far, ... */
    uint64_t seen_count[2];  /* ... and how many of its streams have begun */
    bool limit_asked[2];

    qs_dgram *dgram_head; /* datagrams that wait for the engine */
    qs_dgram *dgram_tail;
    uint64_t dgram_given; /* how many the engine has taken */
    bool dgram_awaits;    /* one was refused for want of room, and none taken since */
    uint32_t dgram_max;   /* what fitted into a packet when it was looked at last */

    /* moving and new keys */
    struct qs_port *preferred_port; /* server: where clients shall go */
    quring_addr move_to;
    uint32_t later;          /* QS_LATER_* */
    uint64_t later_asked_ns; /* the last of them */
    bool later_runs;
    bool moving;
    bool keys_pending;

    /* options */
    uint32_t event_mask;
    qs_params params; /* ours */
    qs_params remote_params;
    bool remote_known;
    qs_settings settings;
    uint8_t alpn[QS_ALPN_LEN_MAX + 1]; /* as set, 0-terminated; selected after the handshake */
    uint32_t alpn_len;
    qs_blob token_blob;
    qs_blob ticket;
    quring_tls_session *session; /* client: waits for its first ticket */
    bool ticket_came;
    bool token_came;
    bool app_read_secret; /* raw handshake: the secrets of 1-RTT packets are there */
    bool app_write_secret;
    bool early_offered;   /* raw handshake of a client: the secret of 0-RTT packets is there ... */
    bool early_taken;     /* ... and the server takes them */
    bool peer_params_set; /* raw handshake: remote_params are what the peer has said */
    qs_blob late;         /* raw handshake, kernel layout: a ticket that has come in part */
    uint32_t close_errcode;
    uint8_t close_frame; /* QS_FRAME_CRYPTO, or 0 */
    uint8_t close_phrase[QS_PHRASE_LEN_MAX + 1];
    uint64_t rcvtimeo_ns;
    uint64_t sndtimeo_ns;
    bool linger_on;
    uint32_t linger_s;
    bool sndbuf_set; /* by the program: the peer's max_data does not change it */
    bool reuseaddr;  /* kept and shown, as is ... */
    bool keepalive;
    bool version_refused;    /* the server has sent its list: see qs_op_handshake */
    uint32_t version_listed; /* what was picked from it; 0: there was none */
};

/* ---- runtime.c ------------------------------------------------------------------------------------ */
/* The engine of the process, started with the first socket. NULL: it cannot; *out_errno says why. */
quring_runtime *qs_runtime(int *out_errno);
quring_runtime *qs_runtime_if_any(void);
uint32_t qs_worker_count(void);
/* qs_call runs fn(ctx) on a worker and waits; no lock may be held. 0, or -ESHUTDOWN. */
int qs_call(uint32_t worker, void (*fn)(void *ctx), void *ctx);
/* qs_kick asks the socket's worker to look at `asked`; lock held, and given up with qs_unlock: it is asked
 * then. qs_kick_post is that part of qs_unlock. qs_visit says of a kick that what it asks for is little: the
 * calling thread does it if the worker sleeps. */
void qs_kick_post(qs_sock *s, bool visit);
void qs_visit(qs_sock *s);
/* quring_attend and quring_recall, for attend.c. */
quring_status qs_attend_worker(const qs_sock *s, uint64_t ns, quring_check_fn done, void *ctx);
void qs_recall_worker(uint32_t worker);
void qs_kick(qs_sock *s, uint32_t asked);
uint64_t qs_now_ns(void);
int qs_errno_of(quring_status status);
/* A line for the log: 0 an error, 1 a warning, 2 information. */
void qs_say(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- life.c ---------------------------------------------------------------------------------------- */
qs_sock *qs_sock_new(int domain, int type, int protocol);
void qs_ref(qs_sock *s);
/* Where no reference keeps it but a lock that its end takes; false when the end has begun. */
bool qs_ref_if_live(qs_sock *s);
void qs_unref(qs_sock *s);
void qs_limits_of(const qs_sock *s, quring_limits *out);
/* Between the draft's parameters and the engine's. */
void qs_params_from(qs_params *out, const quring_transport_params *in);
void qs_params_to(quring_transport_params *out, const qs_params *in);
int qs_op_create(qs_sock **out, int domain, int type, int protocol);
void qs_op_close(qs_sock *s);
int qs_op_shutdown(qs_sock *s, int how);
int qs_op_getname(qs_sock *s, bool peer, struct sockaddr *addr, socklen_t *len);
void qs_op_exit(void);
void qs_op_forked(void);

/* ---- listen.c --------------------------------------------------------------------------------------- */
int qs_op_bind(qs_sock *s, const struct sockaddr *addr, socklen_t len);
int qs_op_listen(qs_sock *s, int backlog);
/* Takes those out of a listener's queue whose connection is over, under its lock, as a list;
 * qs_queue_end closes such a list, without it. */
qs_sock *qs_queue_take_gone(qs_sock *s);
void qs_queue_end(qs_sock *list);
int qs_op_accept(qs_sock *s, qs_sock **out, struct sockaddr *addr, socklen_t *len);
void qs_op_unaccept(qs_sock *s, qs_sock *conn);

/* ---- connect.c --------------------------------------------------------------------------------------- */
int qs_op_connect(qs_sock *s, const struct sockaddr *addr, socklen_t len);
/* The engine's connection of a client, made when it is first needed. 0 or -errno. No lock held. */
int qs_ensure_conn(qs_sock *s);

/* ---- wait.c ---------------------------------------------------------------------------------------- */
/* What a call holds while it waits, to be given back when its thread is cancelled there. */
typedef struct qs_hold {
    qs_stream *stream; /* `users` was counted up; NULL: none */
    bool is_sending;   /* tx_busy is ours */
} qs_hold;
/* What for: something to receive or accept; room to send. Calls about the connection want to know all. */
enum { QS_WAIT_RX = 1u << 0, QS_WAIT_TX = 1u << 1, QS_WAIT_ALL = QS_WAIT_RX | QS_WAIT_TX };
/* Waits until something of `what` changes, at most until `deadline_ns` (0: for ever); lock held, given up
 * while waiting. With `hold` it is a point of cancellation. 0; -EINTR; -EAGAIN when the time is over. */
int qs_wait(qs_sock *s, uint32_t what, uint64_t deadline_ns, const qs_hold *hold);
/* Who waits for `what` shall look again; lock held. */
void qs_wake(qs_sock *s, uint32_t what);
/* Gives up the lock. What it was held for is told to others only then: a thread that is woken or asked
 * under it would run into it. */
void qs_unlock(qs_sock *s);
extern const qs_host *qs_the_host;

/* ---- addr.c ----------------------------------------------------------------------------------------- */
/* 0; -EINVAL (too short), -EAFNOSUPPORT. A v4-mapped address becomes an IPv4 one. */
int qs_addr_in(quring_addr *out, const struct sockaddr *addr, socklen_t len);
/* Whether an address can be written there: 0; -EFAULT; -EINVAL (a negative length). */
int qs_addr_room(const struct sockaddr *addr, const socklen_t *len);
/* Writes at most *len bytes; *len becomes the size of the whole. */
void qs_addr_out(struct sockaddr *addr, socklen_t *len, const quring_addr *in);
bool qs_addr_equal(const quring_addr *a, const quring_addr *b);
bool qs_addr_is_any(const quring_addr *a);
/* The source address the system would take towards `remote`. 0 or -errno. */
int qs_addr_route(quring_addr *out, const quring_addr *remote);

/* ---- port.c ------------------------------------------------------------------------------------------ */
typedef struct qs_port qs_port;
int qs_port_bind(qs_sock *s, const quring_addr *addr);
/* The port that connections without a bound address share. */
int qs_port_auto(qs_sock *s, uint8_t family);
/* Another address for a socket; given up with qs_port_drop. */
int qs_port_take(qs_sock *s, qs_port **out, const quring_addr *addr);
void qs_port_drop(qs_port *port);
int qs_port_listen(qs_sock *s);
void qs_port_unlisten(qs_sock *s);
/* Tells the engine what the sockets listening there want (Retry, limits). */
int qs_port_apply(qs_port *port);
quring_listener *qs_port_listener(const qs_port *port);
quring_addr qs_port_addr(const qs_port *port);
/* On a worker: a client's first flight is there. Ports have numbers, which are odd and never used again: a
 * client whose ClientHello is not whole yet may outlive the port it knocked at. */
void qs_port_on_pending(uintptr_t number, quring_conn conn);

/* ---- events.c ----------------------------------------------------------------------------------------- */

/* Three probe timeouts of a connection (RFC 9002 6.2.1); 0: there is none. On the worker. */
uint64_t qs_three_probes_ns(quring_conn conn);
void qs_on_event(const quring_event *ev);
/* What the program is told of the frame that caused it: none of an application's close; CRYPTO of an alert (RFC 9001
 * 4.8), whether the peer has named it or not (RFC 9000 19.19). */
uint8_t qs_close_frame(const quring_close_info *info);
/* 0 where nothing was said; the phrase tells. */
uint32_t qs_close_code(const quring_close_info *info);
/* On the worker: does what `asked` says. */
void qs_work(qs_sock *s);
/* On the worker, lock held: there is no memory for what came. */
void qs_out_of_memory(qs_sock *s);

/* ---- rx.c ------------------------------------------------------------------------------------------------ */
bool qs_rx_is_empty(const qs_sock *s);
qs_item *qs_item_new(qs_item_kind kind, uint32_t cap);
/* Append; behind other TLS messages, or other events; lock held. */
void qs_rx_push(qs_sock *s, qs_item *item);
/* qs_rx_push_crypto: false, and the item is the caller's still: more wait already than any handshake has. */
bool qs_rx_push_crypto(qs_sock *s, qs_item *item);
/* qs_rx_has_room: for a datagram of `len` bytes. */
bool qs_rx_has_room(const qs_sock *s, size_t len);
void qs_rx_push_event(qs_sock *s, uint8_t type, const void *payload, uint32_t len);
void qs_rx_drop_all(qs_sock *s);
/* On the worker: moves a stream's bytes into the queue as far as there is room. */
void qs_rx_pull(qs_sock *s, qs_stream *st);
ssize_t qs_op_recvmsg(qs_sock *s, struct msghdr *msg, int flags);
/* Takes the first CRYPTO item, waiting for it; NULL and *out_rc = -errno. */
qs_item *qs_rx_remove_crypto(qs_sock *s); /* without waiting; lock held */
qs_item *qs_rx_take_crypto(qs_sock *s, uint64_t deadline_ns, int *out_rc);

/* ---- tx.c ------------------------------------------------------------------------------------------------- */
ssize_t qs_op_sendmsg(qs_sock *s, const struct msghdr *msg, int flags);
/* On the worker, lock held: lends what a stream has. */
void qs_tx_push(qs_stream *st);
void qs_tx_released(qs_sock *s, qs_stream *st, uint64_t offset);
/* The stream is reset or stopped: what the engine has not got makes room for others. */
void qs_tx_drop(qs_sock *s, qs_stream *st);
void qs_tx_free(qs_sock *s, qs_stream *st);
bool qs_tx_has_room(const qs_sock *s);
/* What MSG_MORE holds back is sent; lock held. */
void qs_uncork_all(qs_sock *s);
int qs_stream_open_opt(qs_sock *s, uint64_t *id, uint32_t flags);

/* ---- dgram.c ----------------------------------------------------------------------------------- */
ssize_t qs_dgram_send(qs_sock *s, const struct msghdr *msg, size_t len, bool dontwait);
/* On the worker, lock held: what waits goes to the engine; what came is taken from it. */
void qs_dgram_push(qs_sock *s);
void qs_dgram_pull(qs_sock *s);
bool qs_dgram_all_left(const qs_sock *s);
void qs_dgram_free(qs_sock *s);

/* ---- verbs.c ----------------------------------------------------------------------------------- */
/* Options without a value of their own; no lock held. 0 or -errno. */
int qs_verb_update_keys(qs_sock *s);
int qs_verb_migrate(qs_sock *s, const void *value, size_t len);
int qs_verb_give_token(qs_sock *s);
/* On the worker, lock held. */
void qs_on_keys_updated(qs_sock *s, uint8_t phase);
void qs_on_path_changed(qs_sock *s);

/* ---- credit.c: the peer's flow control as the kernel implementation shows it; lock held --------------------- */
/* No more bytes of the stream, or of the connection, are taken now. */
bool qs_credit_stream_is_out(const qs_sock *s, const qs_stream *st);
bool qs_credit_conn_is_out(const qs_sock *s);
/* Whether the program, which names no streams or has no other, was told to wait for one's, or for being allowed to open
 * it, and there still is none. */
bool qs_credit_is_awaited(const qs_sock *s);
/* How many of `len` bytes are. */
size_t qs_credit_take(const qs_sock *s, const qs_stream *st, size_t len);
/* A new stream has what the peer's transport parameters say. */
void qs_credit_begin(qs_sock *s, qs_stream *st);
/* On the worker: what the engine knows; what is not sent of a stream that is reset will never be. */
void qs_credit_learn(qs_sock *s, qs_stream *st);
void qs_credit_reset(qs_sock *s, qs_stream *st);

/* ---- streams.c --------------------------------------------------------------------------------------------- */
qs_stream *qs_stream_find(const qs_sock *s, uint64_t id);
qs_stream *qs_stream_add(qs_sock *s, uint64_t id);
void qs_stream_remove(qs_sock *s, qs_stream *st);
/* Whether there is a stream that takes bytes, or will. Cost: all streams, where none does. */
bool qs_stream_is_any_open(const qs_sock *s);
void qs_streams_free(qs_sock *s);
void qs_stream_queue(qs_sock *s, qs_stream *st); /* for the worker */
/* A call on the stream ends. */
void qs_stream_leave(qs_sock *s, qs_stream *st);
static inline bool qs_id_is_ours(const qs_sock *s, uint64_t id)
{
    return (id & 1) == (s->is_server ? 1u : 0u);
}
static inline bool qs_id_is_uni(uint64_t id)
{
    return (id & 2) != 0;
}
/* Whether we can send, or receive, on it. */
static inline bool qs_id_sends(const qs_sock *s, uint64_t id)
{
    return !qs_id_is_uni(id) || qs_id_is_ours(s, id);
}
static inline bool qs_id_receives(const qs_sock *s, uint64_t id)
{
    return !qs_id_is_uni(id) || !qs_id_is_ours(s, id);
}
/* Whether a stream that is not there was there once; and what is wrong with one that is over. One of the peer's may not
 * have begun yet where a frame has named a higher one: with such a gap nobody knows. */
static inline bool qs_id_is_over(const qs_sock *s, uint64_t id)
{
    const bool uni = qs_id_is_uni(id);
    if (qs_id_is_ours(s, id)) {
        return id < s->next_id[uni];
    }
    return id < s->seen_id[uni] && s->seen_count[uni] == s->seen_id[uni] >> 2;
}
int qs_over_errno(const qs_sock *s);
void qs_stream_update(qs_sock *s, const qs_stream *st, uint32_t state, uint32_t errcode,
                      uint64_t final_size);

/* ---- opts.c ------------------------------------------------------------------------------------------------- */
void qs_opts_defaults(qs_sock *s);
void qs_opts_inherit(qs_sock *s, const qs_sock *listener);
int qs_op_setsockopt(qs_sock *s, int level, int name, const void *value, socklen_t len);
int qs_op_getsockopt(qs_sock *s, int level, int name, void *value, socklen_t *len);
int qs_blob_set(qs_blob *blob, const void *data, size_t len);
void qs_blob_wipe(qs_blob *blob); /* and frees it */

/* ---- handshake.c ---------------------------------------------------------------------------------------------- */
int qs_op_handshake(qs_sock *s, const qs_handshake_args *args);
/* Lock held: CRYPTO bytes after a handshake of the built-in TLS. Returns what to close with, 0: nothing. */
uint64_t qs_hs_late(qs_sock *s, quring_level level, const uint8_t *data, size_t len);
/* Lock held: the TLS session, if it waits for nothing any more; for the caller to destroy. */
quring_tls_session *qs_hs_forgo(qs_sock *s);

/* ---- raw.c --------------------------------------------------------------------------------------------------- */
/* The raw path, for the options and for sendmsg with QUIC_HANDSHAKE_INFO. No lock held. */
int qs_hs_send(qs_sock *s, quring_level level, const uint8_t *data, size_t len);
int qs_hs_secret(qs_sock *s, quring_level level, quring_direction dir, uint16_t suite,
                 const uint8_t *secret, size_t len);
int qs_hs_get_params(qs_sock *s, uint8_t *buf, size_t *len, size_t cap);
int qs_hs_set_params(qs_sock *s, const uint8_t *data, size_t len);

/* ---- late.c: what a raw handshake leaves to us; on the worker, lock held ------------------------------------- */
/* A server's messages at the level of 1-RTT packets: whether the program gets them. */
bool qs_late_is_wanted(const qs_sock *s);
/* They are a ticket, in the kernel's layout. */
void qs_late_ticket(qs_sock *s, const uint8_t *data, size_t len);
/* Whether a message is an EncryptedExtensions that accepts 0-RTT (RFC 8446 4.2.10). */
bool qs_late_takes_early(const uint8_t *data, size_t len);

/* ---- ready.c ---------------------------------------------------------------------------------------------------- */
/* Lock held: the truth may have changed. */
void qs_ready_update(qs_sock *s);

/* What poll says of `fd` now, for `events`: revents, 0 for none. Straight to the kernel, as the interposed
 * poll may share a program with this code and would take locks that the caller has. */
short qs_poll_now(int fd, short events);
bool qs_op_attach(qs_sock *s, int engine_fd, int app_fd, void *cookie);
void qs_op_set_fd(qs_sock *s, int app_fd);
bool qs_op_set_adrift(qs_sock *s);
void qs_op_share(qs_sock *s, bool on);
void qs_op_settle(qs_sock *s, uint32_t *out_take, uint32_t *out_put);
void qs_op_watch_edges(qs_sock *s);
void qs_op_fix(qs_sock *s);
/* Something arrived; lock held. */
void qs_ready_arrival(qs_sock *s);
void qs_op_fix_all(void);
/* Lock held, in a thread of the program: what the descriptor says too much is taken back; of many edges
 * that wait, one is left. */
void qs_fix_now(qs_sock *s);
void qs_ready_trim(qs_sock *s);
/* The program's descriptor is gone: nothing will be put right any more. No lock held. */
void qs_fix_forget(qs_sock *s);
extern uint32_t qs_fix_count;

/* ---- watch.c ---------------------------------------------------------------------------------------------------- */
bool qs_watch_add(qs_sock *s, int fd);
/* From now on the end of what waits at the program's end is told, too. */
void qs_watch_queue(int fd);
void qs_watch_close(int fd);
bool qs_op_owns_fd(int fd);
bool qs_op_is_gone(qs_sock *s);
/* A thread that nobody waits for and that takes no signals; false: there is none. */
bool qs_thread_start(void *(*run)(void *), void *arg);

/* ---- in a child after fork: what was the parent's is forgotten ------------------------------------------- */
void qs_watch_forked(void);
void qs_ready_forked(void);
void qs_ports_forked(void);
void qs_runtime_forked(void);

#ifdef __cplusplus
}
#endif

#endif /* COMPAT_CORE_SOCK_H */

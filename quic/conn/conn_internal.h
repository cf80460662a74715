/* quic/conn/conn_internal.h: the state of a connection, shared by the files of this directory.
 * Each concern has its own file and writes its own fields; the others read them:
 *   conn_init       create, release, destroy        conn_info    facts
 *   handshake       TLS, completion, key discard    conn_params  transport parameters
 *   conn_recv       packets in                      conn_keys    key update, undecryptable packets
 *   conn_frames     frames in                       conn_acks    what became of sent frames
 *   conn_send       what may leave, and when        packetizer   one packet (packetizer.h)
 *   conn_timer      one deadline from many          conn_close   the end, in all its forms
 *   conn_events     what the application is told    conn_streams the application's stream verbs
 *   conn_cids       connection IDs                  conn_external a handshake driven from outside
 *   conn_mtu        datagram size, ECN              early        sessions, 0-RTT
 *   conn_datagram   DATAGRAM frames                 conn_ack_freq how often ACKs come
 *   version         which version is spoken
 *   conn_path       the paths there are             conn_follow  a peer that moves
 *   conn_migrate    how we move                     conn_probe   proofs of paths
 *   conn_token      NEW_TOKEN                       conn_trace   records of packets
 *   conn_fetch      caches before a turn            conn_hasten  a handshake that lost packets
 */
#ifndef QUIC_CONN_CONN_INTERNAL_H
#define QUIC_CONN_CONN_INTERNAL_H

#include "quic/base/check.h"
#include "quic/cc/cc.h"
#include "quic/cc/pacer.h"
#include "quic/conn/conn.h"
#include "quic/conn/conn_ack_freq.h"
#include "quic/conn/conn_blocked.h"
#include "quic/conn/conn_datagram.h"
#include "quic/conn/conn_env.h"
#include "quic/conn/conn_notes.h"
#include "quic/conn/conn_trace.h"
#include "quic/conn/conn_version.h"
#include "quic/conn/glitch.h"
#include "quic/crypto/tls_heads.h"
#include "quic/path/cid_local.h"
#include "quic/path/cid_peer.h"
#include "quic/path/mtu_probe.h"
#include "quic/path/path.h"
#include "quic/path/validate.h"
#include "quic/recovery/ack_tracker.h"
#include "quic/recovery/ecn.h"
#include "quic/recovery/loss.h"
#include "quic/stream/crypto_stream.h"
#include "quic/stream/scheduler.h"
#include "quic/stream/stream_recv.h"
#include "quic/stream/stream_send.h"
#include "quic/stream/stream_table.h"
#include "quic/wire/frame.h"
#include "quic/wire/transport_params.h"

typedef enum quic_conn_state {
    QUIC_CONN_HANDSHAKE,
    QUIC_CONN_ESTABLISHED,
    QUIC_CONN_CLOSING,  /* RFC 9000 10.2.1 */
    QUIC_CONN_DRAINING, /* RFC 9000 10.2.2 */
    QUIC_CONN_DEAD,     /* on env->dead, about to be freed */
} quic_conn_state;

/* Frames of the connection that wait to be sent (quic_conn.pending). */
enum {
    QUIC_PEND_MAX_DATA = 1u << 0,
    QUIC_PEND_DATA_BLOCKED = 1u << 1,
    QUIC_PEND_MAX_STREAMS_BIDI = 1u << 2,
    QUIC_PEND_MAX_STREAMS_UNI = 1u << 3,
    QUIC_PEND_STREAMS_BLOCKED_BIDI = 1u << 4,
    QUIC_PEND_STREAMS_BLOCKED_UNI = 1u << 5,
    QUIC_PEND_NEW_CID = 1u << 6,
    QUIC_PEND_RETIRE_CID = 1u << 7,
    QUIC_PEND_PATH_RESPONSE = 1u << 8,
    QUIC_PEND_HANDSHAKE_DONE = 1u << 9,
    QUIC_PEND_PING = 1u << 10,
    QUIC_PEND_NEW_TOKEN = 1u << 11,
    QUIC_PEND_ACK_FREQUENCY = 1u << 12,
    QUIC_PEND_IMMEDIATE_ACK = 1u << 13,
    QUIC_PEND_DATAGRAM = 1u << 14, /* not one frame but a queue, packed next to streams */
};

/* quic_sent_frame.kind: what a sent packet carried, as far as somebody wants to know its fate. */
enum {
    QUIC_SF_STREAM = 1,  /* id, off, len; flags: QUIC_SF_FIN */
    QUIC_SF_CRYPTO,      /* off, len */
    QUIC_SF_ACK,         /* off: Largest Acknowledged */
    QUIC_SF_PEND,        /* off: one QUIC_PEND_* bit that needs no more than to be sent again */
    QUIC_SF_STREAM_CTRL, /* id; flags: one QUIC_STREAM_CTRL_* bit; off: of a reset, reliable_size */
    QUIC_SF_NEW_CID,     /* id: sequence number */
    QUIC_SF_RETIRE_CID,  /* id: sequence number */
    QUIC_SF_NEW_TOKEN,   /* nothing more: a lost token is replaced by another */
    QUIC_SF_DATAGRAM,
    QUIC_SF_ACK_FREQUENCY, /* id: sequence number; off: the delay asked for, in microseconds */
};
#define QUIC_SF_FIN 1u

/* RFC 9001 6.6 allows 2^23 packets with one AES-GCM key and 2^21.5 with one of AES-CCM; we change it
 * after so many, and after half of its limit at the latest. */
#define QUIC_KEY_UPDATE_PACKETS (1ull << 22)
/* Packet numbers never come nearer to 2^62 - 1; more than lie between two that are left out. */
#define QUIC_PN_RESERVE (1ull << 20)
/* Left of the limit when we stop using a key: a train, and CONNECTION_CLOSE some times over. */
#define QUIC_KEY_RESERVE_PACKETS 1024u
/* An ACK alone is never acknowledged; after this many a PING goes along (RFC 9000 13.2.4). */
#define QUIC_ACK_ONLY_RUN_MAX 19u
/* The peer's streams that may end within a round trip and be replaced at once: so many times its limit,
 * and so many per second at least. Who waits for MAX_STREAMS before it opens more cannot reach that; who
 * guesses what it will say could open and reset streams as fast as it can send. */
#define QUIC_STREAM_TURNOVER_FACTOR 10u
#define QUIC_STREAM_TURNOVER_PER_S  1000u
/* What a stream may hold although all streams together hold what they may, at most. */
#define QUIC_STREAM_OWN_SEND_BYTES 16384u
/* A connection at rest for so long gives back memory it would want again in a burst. */
#define QUIC_CONN_TRIM_AFTER_NS (1000 * QUIC_NS_PER_MS)
/* RFC 9002 6.2.3: so often a handshake is hastened, at most, and so many Initials are repeated each time: large key
 * shares take two, and each may have left twice. What comes again sooner is a copy of what came. */
#define QUIC_HASTEN_MAX      3u
#define QUIC_HASTEN_PACKETS  4u
#define QUIC_HASTEN_AFTER_NS (5 * QUIC_NS_PER_MS)
/* What is due and could not be done (no room for another packet) is tried again so much later. */
#define QUIC_CONN_RETRY_NS (1 * QUIC_NS_PER_MS)
#define QUIC_CONN_MEM_RETRY_NS                                                                     \
    (100 * QUIC_NS_PER_MS) /* so often, where no acknowledgement is to come */

/* What a write has been cut short for want of: conn_send_buf_bytes, memory. */
enum { QUIC_STARVED_OF_BUDGET = 1u << 0, QUIC_STARVED_OF_MEMORY = 1u << 1 };
/* So much stream data makes a larger datagram worth a probe: short exchanges never send one. */
#define QUIC_MTU_PROBE_AFTER_BYTES     12000u
#define QUIC_MTU_PROBE_AFTER_DATAGRAMS 10u
#define QUIC_KEEP_HELD_LEN_MAX         2048u

/* One packet whose keys are not there yet (RFC 9000 5.7). */
typedef struct quic_held_packet {
    struct quic_held_packet *next;
    quic_ns recv_ns;
    uint32_t len;
    uint32_t datagram_len;
    uint8_t ecn;
    uint8_t data[];
} quic_held_packet;

/* 0-RTT while it is under way: its keys, and what a client remembers of the server. */
typedef struct quic_conn_early {
    quic_keys *keys;  /* client: seals; server: opens */
    quic_ns until_ns; /* server: when the keys go; 0: not before the handshake is complete */
    bool wanted;      /* client: not only resumption */
    const uint8_t *tls_session; /* client: borrowed while the connection is made */
    size_t tls_session_len;
    quic_transport_params params; /* client: remembered */
} quic_conn_early;

/* Client: a token of the server's, with what it is good for, until the application has seen it. */
typedef struct quic_conn_token {
    struct quic_conn_token *next;
    uint32_t len;
    uint8_t blob[];
} quic_conn_token;

typedef struct quic_conn_move quic_conn_move; /* conn_paths.h */

/* The certificate the peer showed: a server keeps a copy, as its TLS state ends with the handshake. */
typedef struct quic_conn_peer_cert {
    size_t len;
    bool verified;
    uint8_t der[];
} quic_conn_peer_cert;

/* What exists per packet number space. */
typedef struct quic_conn_space {
    quic_keys *rx;
    quic_keys *tx;
    quic_crypto_stream *crypto;
    quic_ack_tracker acks;
    uint8_t probes;       /* packets that may leave whatever the window says (RFC 9002 6.2.4) */
    bool ping;            /* nothing to repeat: a PING makes the probe ack-eliciting */
    bool discarded;       /* RFC 9001 4.9 */
    quic_tls_heads heads; /* driven from outside: of the messages shown */
} quic_conn_space;

struct quic_conn {
    quic_conn_env *env;
    quic_list_node dirty_node;
    quic_list_node events_node;
    quic_list_node all_node;
    quic_heap_node timer;
    uint32_t events; /* to be reported: QUIC_CONN_EV_* */
    uint64_t handle;
    void *owner_ctx;
    void *app_ctx;
    quic_mem mem;

    uint8_t role;             /* quic_role */
    uint8_t state;            /* quic_conn_state */
    bool handshake_complete;  /* RFC 9001 4.1.1 */
    bool handshake_confirmed; /* RFC 9001 4.1.2 */
    bool counted_half_open;   /* the endpoint's admission counts it as half-open */
    bool counted_stranger;    /* ... and its listener as of an address that is not proved */
    bool authentic;           /* a packet of the peer was opened */
    bool params_applied;
    bool retry_used;
    bool closed_reported;
    bool is_resumed;
    bool cids_routed;       /* a server's connection IDs, or a client's at a shared socket */
    bool certificate_shown; /* ours, to the peer */
    bool unencrypted;       /* 1-RTT packets are in the clear: both ends asked for that */
    uint16_t suite;
    quic_conn_version version;

    quic_conn_space spaces[QUIC_SPACE_COUNT];
    quic_recovery recovery;
    quic_cc cc;
    quic_pacer pacer;
    quic_path path;
    quic_conn_move *move;          /* NULL: there is no other path */
    const quic_path_addr *rx_from; /* of the datagrams being taken */
    uint32_t rx_bytes;             /* of all of them */
    uint32_t path_changes;         /* that the application was told of */
    uint64_t rx_cid;      /* with rx_other_path, server: the connection ID of ours they came to */
    uint64_t path_rx_cid; /* the one the peer uses on `path` */
    quic_preferred_address *preferred; /* server: to be offered; client: to be tried; or NULL */
    bool rx_other_path;                /* they came on another path than `path` */
    bool rx_immediate_ack;             /* an IMMEDIATE_ACK frame was seen */
    bool rx_non_probing; /* a frame was seen that only a moved peer sends (RFC 9000 9.1) */
    /* The last packet was a STREAM frame with such a head, for the stream of the one before; 0: it was not. */
    uint8_t rx_head_len;
    bool peer_forbids_moves; /* disable_active_migration, for the address of the handshake */
    bool gave_preferred;     /* server: a preferred address */
    bool at_preferred;       /* `path` leads to the server's preferred address */
    uint8_t tx_ecn;          /* codepoint of the unit under construction */
    quic_glitch glitch;      /* what the peer's useless packets add up to */
    quic_addr admitted;      /* the remote address the endpoint's admission counted */
    quic_mtu mtu;            /* path.udp_payload_bytes follows its `current` */
    quic_ecn ecn;
    uint64_t ecn_acked; /* packets that left marked and were acknowledged */

    /* 1-RTT keys around an update (RFC 9001 6) */
    quic_keys *rx_prev;
    quic_keys *rx_next;
    quic_ns rx_prev_until;
    uint64_t rx_phase_first_pn; /* lowest packet number opened with spaces[APP].rx */
    uint64_t tx_phase_first_pn;
    bool rx_phase, tx_phase;
    bool key_update_unacked; /* our last update waits for an acknowledgement in the new phase */
    bool rx_phase_unacked;   /* we have acknowledged nothing since rx_phase changed */
    uint32_t key_updates;    /* we began */
    uint32_t key_updates_peer;
    uint32_t held_count; /* packets in `held` */
    uint64_t open_failed_total;

    /* streams */
    quic_stream_table streams;
    quic_scheduler scheduler; /* streams that may send */
    quic_list ctrl_streams;
    quic_list event_streams;
    quic_flow_recv flow_recv;
    quic_flow_send flow_send;
    uint64_t send_held_bytes;
    uint32_t gap_count;    /* ranges out of order that all streams hold */
    uint32_t turn_closed;  /* the peer's streams that ended in this turn */
    quic_ns turn_start_ns; /* a turn is a round trip */
    bool turn_held;        /* MAX_STREAMS waits for the next turn */
    bool window_used_up;  /* the congestion window was, and a train's worth is not free again yet */
    bool flow_blocked;    /* `waiting` is not empty */
    uint8_t send_starved; /* QUIC_STARVED_* */
    bool open_refused : 1; /* quic_conn_stream_open said AGAIN */
    bool has_shown : 1;    /* what the last event showed goes at the next poll */
    bool no_room;          /* a packet found no memory, or no place in the record of those sent */
    uint16_t muted_stream_events; /* QUIC_STREAM_EV_* the application does not want to hear of */
    quic_conn_blocked blocked;
    quic_stream *closing_stream; /* CLOSED was reported: freed at the next poll */

    /* frames to send */
    uint32_t pending;
    uint32_t ack_only_run;
    uint32_t lacking_count;     /* streams with bytes to send and no credit of their own */
    uint32_t peer_datagram_max; /* max_datagram_frame_size, as far as 32 bits go */
    uint64_t tx_grease;    /* 1 bit per packet number, modulo 64: clear the fixed bit (RFC 9287) */
    uint64_t next_skip_pn; /* RFC 9000 21.4 */
    uint64_t ack_freq_next_seq;     /* ACK_FREQUENCY frames below are obsolete */
    quic_conn_ack_freq *ack_freq;   /* NULL: we ask for nothing */
    quic_conn_datagrams *datagrams; /* NULL: none was ever sent or received */

    /* handshake */
    const quic_tls_vtable *tls_vtable; /* NULL: driven from outside */
    const void *tls_config;
    quic_tls *tls;
    bool external;
    bool hs_pending; /* external server: waits for accept */
    bool hs_accepted;
    bool params_shown;     /* external: our parameters were given out */
    uint8_t hs_data_level; /* level whose bytes the last HANDSHAKE_DATA showed */
    uint8_t alpn_len;
    uint8_t peer_ack_delay_exponent;
    bool peer_reset_stream_at; /* takes RESET_STREAM_AT */
    size_t hs_data_len;        /* to be consumed at the next poll */
    char *server_name; /* client: asked for; server: seen; 0-terminated, server_name_size bytes */
    size_t server_name_size;
    uint8_t *alpn;
    quic_conn_peer_cert *peer_cert; /* server; NULL: the client showed none */
    /* what stays of the peer's transport parameters (RFC 9000 18.2) */
    uint64_t peer_udp_payload_max;
    uint64_t peer_cids_max; /* active_connection_id_limit */
    uint8_t *token;         /* client: for its Initials: of an earlier connection, or of a Retry */
    size_t token_len;
    quic_held_packet *held;   /* oldest first */
    quic_ns replayed_recv_ns; /* when the one that is being tried again arrived; 0: none is */

    /* sessions and 0-RTT: early.c */
    quic_conn_early *early;            /* NULL: no 0-RTT is under way */
    const quic_early_gate *early_gate; /* server; NULL: 0-RTT is refused */
    struct quic_strangers *strangers;  /* the endpoint's: with counted_stranger */
    uint64_t early_bytes;              /* of streams, in 0-RTT packets: sent, or received */
    uint8_t *session;                  /* client: for the next SESSION event */
    size_t session_len;
    uint8_t early_status; /* quic_early_status */
    bool tickets;         /* server: gives and takes session tickets */
    uint8_t hasten_count; /* conn_hasten.c */
    bool session_shown;
    bool new_token_shown;        /* the first of new_tokens */
    bool token_used;             /* server: a NEW_TOKEN proved the address */
    uint8_t new_tokens_max;      /* server: how many to give; 0: none */
    uint8_t new_tokens_due;      /* to be sent now */
    quic_conn_token *new_tokens; /* client: for TOKEN events, oldest first */

    /* connection IDs */
    quic_cid_local cids_local;
    quic_cid_peer cids_peer;
    quic_cid original_dcid; /* of the client's first Initial */
    quic_cid initial_dcid;  /* server: stays registered, or its late copies made connections */
    quic_cid initial_scid;  /* ours, in the first packet */
    quic_cid retry_scid;
    quic_cid peer_scid; /* the peer's first SCID */
    bool initial_dcid_registered, peer_scid_known, sent_eliciting_since_recv;
    uint8_t extensions; /* QUIC_EXT_*: those we offered, whose frames may come */
    bool trimmed;       /* fell idle and gave back its spare memory */
    bool close_to_send;

    /* time */
    quic_ns created_ns;
    quic_ns hastened_ns;     /* last; with hasten_count */
    quic_ns idle_timeout_ns; /* effective; 0: none */
    quic_ns last_recv_ns;
    quic_ns idle_base_ns; /* idle timeout counts from here */
    quic_ns close_deadline_ns;

    /* the end */
    quring_close_info *close_info;       /* NULL while open, or when there was no memory for it */
    uint64_t close_pn[QUIC_SPACE_COUNT]; /* numbers go on when the sent packets are forgotten */
    uint32_t close_recv_count;           /* packets since, to answer fewer and fewer */
    uint32_t close_recv_next;

    quic_conn_trace *trace; /* NULL: nobody wants to know of packets */

    /* facts for quring_conn_info */
    uint64_t packets_sent;
    uint64_t packets_recv;
    uint64_t bytes_sent;
    uint64_t bytes_recv;
    uint64_t stream_bytes_acked;

    quic_scheduler waiting;  /* streams that may send as soon as the connection has credit */
    quic_stream *last_first; /* the last of them that came back to the front, or NULL */

    quring_limits limits;
};

static inline quic_space quic_conn_space_of(quic_level level)
{
    return level == QUIC_LEVEL_INITIAL     ? QUIC_SPACE_INITIAL
           : level == QUIC_LEVEL_HANDSHAKE ? QUIC_SPACE_HANDSHAKE
                                           : QUIC_SPACE_APP;
}

static inline quic_level quic_conn_level_of(quic_space space)
{
    return space == QUIC_SPACE_INITIAL     ? QUIC_LEVEL_INITIAL
           : space == QUIC_SPACE_HANDSHAKE ? QUIC_LEVEL_HANDSHAKE
                                           : QUIC_LEVEL_APP;
}

static inline bool quic_conn_is_open(const quic_conn *conn)
{
    return conn->state <= QUIC_CONN_ESTABLISHED;
}

/* Streams may be used although the handshake is not complete: 0-RTT, or answers to it. After a
 * rejection a client's writes wait. */
static inline bool quic_conn_is_early(const quic_conn *conn)
{
    return conn->state == QUIC_CONN_HANDSHAKE &&
           (conn->role == QUIC_CLIENT
                ? conn->early_status != QUIC_EARLY_NONE
                : conn->early_status == QUIC_EARLY_ACCEPTED && conn->params_applied);
}

/* A client sends 0-RTT packets until it has 1-RTT keys (RFC 9001 4.9.3). */
static inline bool quic_conn_sends_early(const quic_conn *conn)
{
    return conn->role == QUIC_CLIENT && !conn->handshake_complete && conn->early != NULL &&
           conn->early->keys != NULL && conn->early_status != QUIC_EARLY_NONE;
}

/* quic_conn_mark_dirty: the connection may have something to send, or its timer moved. */
static inline void quic_conn_mark_dirty(quic_conn *conn)
{
    if (!quic_list_is_linked(&conn->dirty_node) && conn->state != QUIC_CONN_DEAD) {
        quic_list_push_back(&conn->env->dirty, &conn->dirty_node);
    }
}

/* quic_conn_raise queues an event of the connection, quic_conn_raise_stream one of a stream. */
static inline void quic_conn_raise(quic_conn *conn, uint32_t events)
{
    conn->events |= events;
    if (!quic_list_is_linked(&conn->events_node) && conn->state != QUIC_CONN_DEAD) {
        quic_list_push_back(&conn->env->with_events, &conn->events_node);
    }
}

static inline void quic_conn_raise_stream(quic_conn *conn, quic_stream *s, uint32_t events)
{
    events &= ~(uint32_t)conn->muted_stream_events;
    if (events == 0) {
        return;
    }
    s->events |= events;
    if (!quic_list_is_linked(&s->event_node)) {
        quic_list_push_back(&conn->event_streams, &s->event_node);
    }
    quic_conn_raise(conn, 0);
}

/* ---- conn_info.c ------------------------------------------------------------------------------ */
void quic_conn_addr_out(quring_addr *out, const quic_addr *in);

/* ---- conn_init.c ------------------------------------------------------------------------------ */
/* Windows and stream limits start from conn->limits (again). */
void quic_conn_apply_limits(quic_conn *conn);
/* So does what our parameters promise beside them: after the peer's connection IDs have their set. */
void quic_conn_keep_promises(quic_conn *conn);

/* ---- handshake.c ------------------------------------------------------------------------------ */
/* The CRYPTO stream of a space, made when it is first needed; NULL: no memory, or discarded. */
quic_crypto_stream *quic_conn_crypto_of(quic_conn *conn, quic_space space);
void quic_conn_free_crypto(quic_conn *conn, quic_space space);
/* `like`: see quic_tls_args; NULL for the first try. */
quic_rc quic_conn_start_client(quic_conn *conn, const quic_tls *like, quic_ns now);
/* Feeds what CRYPTO bytes are in order to TLS (or tells the application), and follows up. */
void quic_conn_drive_handshake(quic_conn *conn, quic_ns now);
quic_rc quic_conn_install_secret(quic_conn *conn, quic_level level, bool is_write, uint16_t suite,
                                 const uint8_t *secret, size_t len);
void quic_conn_on_handshake_complete(quic_conn *conn, quic_ns now);
void quic_conn_on_handshake_confirmed(quic_conn *conn, quic_ns now);
void quic_conn_discard_space(quic_conn *conn, quic_space space, quic_ns now);
void quic_conn_update_facts(quic_conn *conn);
quic_rc quic_conn_make_initial_keys(quic_conn *conn, const quic_cid *client_dcid);
/* Whether the next packets, from number `pn` on, leave their fixed bit 0; a new draw per train. */
static inline uint8_t quic_conn_grease_bit(const quic_conn *conn, uint64_t pn)
{
    return (uint8_t)((conn->tx_grease >> (pn & 63) & 1) * QUIC_HEADER_FIXED_BIT);
}
static inline void quic_conn_grease_next(quic_conn *conn)
{
    if (conn->tx_grease != 0) { /* xorshift64: unpredictable enough for who looks at one bit */
        conn->tx_grease ^= conn->tx_grease << 13;
        conn->tx_grease ^= conn->tx_grease >> 7;
        conn->tx_grease ^= conn->tx_grease << 17;
    }
}
bool quic_conn_set_text(quic_conn *conn, const uint8_t *alpn, size_t alpn_len, const char *name);

/* ---- conn_params.c ------------------------------------------------------------------------------ */
void quic_conn_our_params(const quic_conn *conn, quic_transport_params *p);
size_t quic_conn_encode_params(quic_conn *conn, uint8_t *out, size_t room);
/* max_ack_delay as it is advertised: not less than what we take (RFC 9000 13.2.1). */
static inline uint64_t quic_conn_ack_delay_ms(const quic_conn *conn)
{
    return (conn->limits.ack_delay_ns + QUIC_NS_PER_MS - 1) / QUIC_NS_PER_MS;
}
quic_rc quic_conn_apply_peer_params(quic_conn *conn, const uint8_t *data, size_t len);
/* The limits among the peer's parameters, known or remembered. They only grow. */
void quic_conn_take_limits(quic_conn *conn, const quic_transport_params *p);

/* ---- early.c ------------------------------------------------------------------------------------- */
/* Client: reads what a SESSION event gave. One that does not fit this server is ignored. */
quic_rc quic_conn_early_prepare(quic_conn *conn, const uint8_t *session, size_t len, bool zero_rtt);
/* What TLS is told; `context` is room for a server's parameters. */
void quic_conn_early_tls_args(quic_conn *conn, quic_tls_tickets *out, uint8_t *context, size_t room,
                              quic_ns now);
/* The version of QUIC a session belongs to, 0 when it is none of ours. */
uint32_t quic_conn_session_version(const uint8_t *session, size_t len);
/* Client: what 0-RTT packets carried was for nobody; as after a rejection. */
void quic_conn_early_abandon(quic_conn *conn);
size_t quic_conn_early_context(const quic_conn *conn, uint8_t *out, size_t room);
quic_rc quic_conn_install_early(quic_conn *conn, bool is_write, uint16_t suite,
                                const uint8_t *secret, size_t len);
/* Client, driven from outside: what is known of the server. QUIC_E_NOMEM. */
quic_rc quic_conn_early_remember(quic_conn *conn, const quic_transport_params *params);
void quic_conn_early_answered(quic_conn *conn, quic_early_status status);
/* Milestones: the ClientHello is made (client); TLS has gone on; the handshake is complete. */
void quic_conn_early_started(quic_conn *conn);
void quic_conn_follow_early(quic_conn *conn);
void quic_conn_early_complete(quic_conn *conn, quic_ns now);
/* The server's parameters against those remembered (RFC 9000 7.4.1). */
quic_rc quic_conn_early_check_params(const quic_conn *conn, const quic_transport_params *p);
/* Client: the server's limits wait for the end of 0-RTT, which take_deferred is called before; false: they need not. */
bool quic_conn_early_defer_limits(quic_conn *conn, const quic_transport_params *p);
void quic_conn_early_take_deferred(quic_conn *conn);
/* Rejected, and the server's limits are known: streams may be sent. QUIC_E_LIMIT: too many are open. */
quic_rc quic_conn_early_restart_streams(quic_conn *conn);
bool quic_conn_early_wants_send(const quic_conn *conn, quic_ns now);
void quic_conn_free_early(quic_conn *conn);
/* Server: when the last ticket is acknowledged, what carried it goes. */
void quic_conn_early_crypto_acked(quic_conn *conn, quic_space space);
/* Client: a ticket came; SESSION is raised with a blob made of it. */
void quic_conn_keep_session(quic_conn *conn, const uint8_t *data, size_t len);
void quic_conn_free_session(quic_conn *conn);

/* ---- conn_token.c -------------------------------------------------------------------------------- */
/* Server: so many NEW_TOKEN frames go out, if the server gives any. */
void quic_conn_give_tokens(quic_conn *conn, uint8_t count);
/* Client: a token came; TOKEN is raised. quic_conn_free_token forgets the oldest. */
quic_rc quic_conn_on_new_token(quic_conn *conn, const quic_frame_new_token *frame);
void quic_conn_free_token(quic_conn *conn);
/* The version of QUIC a token belongs to, 0 when it is none of ours. */
uint32_t quic_conn_token_version(const uint8_t *blob, size_t len);
/* Client: Initials carry what a TOKEN event gave. One for another server or version is ignored. */
quic_rc quic_conn_use_token(quic_conn *conn, const uint8_t *blob, size_t len);
/* Client: they carry none from now on. */
void quic_conn_drop_token(quic_conn *conn);

/* ---- conn_keys.c ------------------------------------------------------------------------------- */
/* Opens a 1-RTT packet that is not of the current key phase, with the keys it gives in *out. Returns
 * QUIC_OK; QUIC_E_STATE (no keys); QUIC_E_DROP (not authentic); QUIC_V_KEY_UPDATE. */
quic_rc quic_conn_open_other_phase(quic_conn *conn, quic_keys **out, uint64_t pn, uint8_t *data,
                                   size_t hdr_len, size_t len);
/* One of the current phase did not open: spends what one of another phase would have cost. */
void quic_conn_open_again(quic_conn *conn, uint64_t pn, uint8_t *data, size_t hdr_len, size_t len);
/* The keys of the next phase; keys while the connection is idle, and before it opens a packet after that. */
void quic_conn_derive_next(quic_conn *conn);
void quic_conn_rest_keys(quic_conn *conn);
QUIC_NODISCARD bool quic_conn_wake_rx(quic_conn *conn);
/* A packet was opened with `keys`: the peer may have begun a new phase. Returns QUIC_OK; negative;
 * QUIC_V_KEY_UPDATE. */
quic_rc quic_conn_on_opened(quic_conn *conn, const quic_keys *keys, uint64_t pn, quic_ns now);
void quic_conn_maybe_update_keys(quic_conn *conn, quic_ns now);
void quic_conn_drop_old_keys(quic_conn *conn, quic_ns now);
void quic_conn_hold_packet(quic_conn *conn, const uint8_t *data, size_t len, size_t datagram_len,
                           uint8_t ecn);
void quic_conn_replay_held(quic_conn *conn, quic_ns now);
/* When the oldest is given up: its keys should have come by then. NEVER: none is held. */
quic_ns quic_conn_held_deadline(const quic_conn *conn);
void quic_conn_expire_held(quic_conn *conn, quic_ns now);
void quic_conn_free_held(quic_conn *conn);

/* ---- conn_frames.c ------------------------------------------------------------------------------ */
/* Takes the frames of one opened packet. Returns QUIC_OK with *out_eliciting; otherwise the connection
 * closes, or the packet must not be acknowledged. */
quic_rc quic_conn_take_frames(quic_conn *conn, quic_level level, const uint8_t *data, size_t len,
                              bool *out_eliciting, const uint8_t *dcid, size_t dcid_len,
                              quic_ns now);
/* The same for a packet that is one STREAM frame, or `n` (> 0) of them whose frames are `f` together. */
quic_rc quic_conn_take_stream(quic_conn *conn, const quic_frame_stream *f, uint32_t n, quic_ns now);

/* ---- conn_acks.c --------------------------------------------------------------------------------- */
/* QUIC_STARVED_OF_MEMORY: says WRITABLE where there is some now, unless an acknowledgement is going to. */
void quic_conn_retry_writes(quic_conn *conn);
quic_rc quic_conn_on_ack(quic_conn *conn, quic_space space, const quic_frame_ack *ack, quic_ns now);
void quic_conn_on_recovery_timeout(quic_conn *conn, quic_ns now);
/* Queues again what a packet carried: lost, or repeated by a probe. */
void quic_conn_requeue(quic_conn *conn, quic_space space, const quic_sent_packet *packet);
/* Queues again what the `count` oldest packets that are not acknowledged carried; they still count as in flight. */
void quic_conn_repeat_oldest(quic_conn *conn, quic_space space, uint32_t count);
void quic_conn_apply_send_facts(quic_conn *conn, quic_stream *s,
                                const quic_stream_send_facts *facts);

/* ---- conn_hasten.c ------------------------------------------------------------------------------- */
/* A packet tells that Initial packets of the server's were lost (RFC 9002 6.2.3). Server: a client repeated
 * CRYPTO data of its Initials. Client: a packet came of a level whose keys are not here. */
void quic_conn_hasten_handshake(quic_conn *conn, quic_ns now);
/* A packet of the handshake left: should it have been a probe, the next one may be the same again. */
void quic_conn_repeat_probe(quic_conn *conn, quic_space space);

/* ---- conn_streams.c ------------------------------------------------------------------------------ */
void quic_conn_apply_recv_facts(quic_conn *conn, quic_stream *s,
                                const quic_stream_recv_facts *facts);
/* A stream that may have something to send goes where it belongs; no-op for one that has its place. */
void quic_conn_schedule(quic_conn *conn, quic_stream *s);
/* The same for one that may not send any more what it has. */
void quic_conn_reschedule(quic_conn *conn, quic_stream *s);
void quic_conn_unschedule(quic_conn *conn, quic_stream *s);
/* What a stream may send has changed, or what it has to send: whether it waits for credit of its own. */
void quic_conn_note_credit(quic_conn *conn, quic_stream *s);
/* Streams that wait for the connection's credit get a turn, as many as can use it: who raises MAX_DATA by a byte
 * wakes one, however many wait. */
void quic_conn_wake_streams(quic_conn *conn);
static inline bool quic_conn_may_wake(const quic_conn *conn)
{
    return QUIC_UNLIKELY(conn->flow_blocked) && quic_flow_send_credit(&conn->flow_send) > 0;
}
void quic_conn_note_ctrl(quic_conn *conn, quic_stream *s);
quic_rc quic_conn_adopt_stream(quic_conn *conn, quic_stream *s);
void quic_conn_free_stream(quic_conn *conn, quic_stream *s);
void quic_conn_maybe_closed_stream(quic_conn *conn, quic_stream *s);
/* When MAX_STREAMS that was held back may leave; NEVER: none is. */
quic_ns quic_conn_turn_deadline(const quic_conn *conn);
void quic_conn_on_turn(quic_conn *conn, quic_ns now);

/* ---- conn_send.c ---------------------------------------------------------------------------------- */
/* RFC 9000 8.1: nothing useful may leave before more arrives from an address that is not validated. */
bool quic_conn_at_amplification_limit(const quic_conn *conn);
/* Whether anything but acknowledgements waits to leave in 1-RTT packets. */
bool quic_conn_has_app_work(const quic_conn *conn);

/* ---- conn_close.c --------------------------------------------------------------------------------- */
/* How long a connection is closing or draining (RFC 9000 10.2). */
quic_ns quic_conn_closing_period(const quic_conn *conn);
/* quic_conn_fail: a rule was broken (rc > 0, the peer's fault) or we cannot go on (rc < 0): the only
 * place where an error becomes CONNECTION_CLOSE. */
void quic_conn_fail(quic_conn *conn, quic_rc rc, uint64_t frame_type, const char *reason,
                    quic_ns now);
void quic_conn_close_code(quic_conn *conn, quring_close_kind kind, uint64_t code,
                          uint64_t frame_type, const char *reason, size_t reason_len, quic_ns now);
void quic_conn_on_peer_close(quic_conn *conn, const quic_frame_connection_close *frame,
                             quic_ns now);
/* Ends without a word on the wire (timeouts, resets, versions: `code` is 0 or the one to begin again with). */
void quic_conn_end_silently(quic_conn *conn, quring_close_kind kind, uint64_t code, quic_ns now);
/* A client that goes, and whose Finished may not have arrived: that leaves (again) with the CONNECTION_CLOSE. */
bool quic_conn_leaves_at_once(const quic_conn *conn);
/* A packet arrived while closing: RFC 9000 10.2.1 asks for an answer now and then. */
void quic_conn_on_recv_closing(quic_conn *conn);
/* After CLOSED was reported: gives back everything that the closing period does not need. */
void quic_conn_release(quic_conn *conn);
void quic_conn_maybe_dead(quic_conn *conn, quic_ns now);

/* ---- conn_events.c --------------------------------------------------------------------------------- */
/* Takes the CRYPTO bytes that the last HANDSHAKE_DATA showed. */
void quic_conn_take_shown(quic_conn *conn);
/* Which QUIC_STREAM_EV_* some QURING_EVENT_BIT name. */
uint16_t quic_conn_stream_events_of(uint64_t types);

/* ---- conn_cids.c ----------------------------------------------------------------------------------- */
void quic_conn_issue_cids(quic_conn *conn);
quic_rc quic_conn_on_new_cid(quic_conn *conn, const quic_frame_new_connection_id *frame,
                             quic_ns now);
quic_rc quic_conn_on_retire_cid(quic_conn *conn, uint64_t seq, const uint8_t *dcid,
                                size_t dcid_len);
quic_rc quic_conn_register_cid(quic_conn *conn, const uint8_t *bytes, size_t len);
void quic_conn_learn_reset_token(quic_conn *conn, const uint8_t token[QUIC_RESET_TOKEN_LEN]);
void quic_conn_forget_reset_token(quic_conn *conn, const uint8_t token[QUIC_RESET_TOKEN_LEN]);
void quic_conn_learn_initial_token(quic_conn *conn, const uint8_t token[QUIC_RESET_TOKEN_LEN]);
void quic_conn_unregister_all(quic_conn *conn);

/* ---- conn_mtu.c ------------------------------------------------------------------------------------ */
/* The peer's limits are known: the datagram size is fixed, or the search for it begins. */
void quic_conn_start_mtu(quic_conn *conn, quic_ns now);
/* What became of packets, for the datagram size. */
void quic_conn_mtu_on_probe_acked(quic_conn *conn, const quic_sent_packet *packet, quic_ns now);
void quic_conn_mtu_on_lost(quic_conn *conn, const quic_sent_packet *packet, quic_ns now);
void quic_conn_mtu_on_pto(quic_conn *conn, quic_ns now);
/* The size of a probe that may leave now, 0 when none may. */
uint32_t quic_conn_mtu_probe_size(quic_conn *conn, quic_ns now);
/* The ECN counts of an ACK frame, or that it has none. */
void quic_conn_take_ecn(quic_conn *conn, quic_space space, const quic_frame_ack *frame,
                        const quic_ack_result *result, quic_ns now);

/* ---- conn_path.c ---------------------------------------------------------------------------------- */
void quic_conn_on_path_challenge(quic_conn *conn, const uint8_t data[QUIC_PATH_DATA_LEN],
                                 quic_ns now);
quic_rc quic_conn_on_path_response(quic_conn *conn, const uint8_t data[QUIC_PATH_DATA_LEN],
                                   quic_ns now);
/* The peer has retired connection IDs; `current_before` was in use. */
void quic_conn_rekey_paths(quic_conn *conn, uint64_t current_before, quic_ns now);
void quic_conn_free_move(quic_conn *conn);
/* The path for the application's eyes: the last one that was proved (RFC 9000 9.3). */
const quic_path *quic_conn_proved_path(const quic_conn *conn);

/* ---- conn_probe.c --------------------------------------------------------------------------------- */
/* Sends what a path on trial, or another path, has to be sent. */
bool quic_conn_send_path(quic_conn *conn, quic_tx_unit *unit, quic_ns now);
/* What of the credit of the path in use may be spent on anything but proving it. */
uint64_t quic_conn_spare_credit(const quic_conn *conn, uint64_t credit);
quic_ns quic_conn_path_deadline(const quic_conn *conn, quic_ns now);
void quic_conn_on_path_timeout(quic_conn *conn, quic_ns now);

/* ---- conn_follow.c -------------------------------------------------------------------------------- */
/* The newest packet came on another path and was no probe (RFC 9000 9.3). */
void quic_conn_follow_peer(quic_conn *conn, quic_ns now);

/* ---- conn_migrate.c ------------------------------------------------------------------------------- */
/* Server, when it is made: what preferred_address will say (RFC 9000 9.6). A family that is 0 is left
 * out. */
quic_rc quic_conn_offer_preferred(quic_conn *conn, const quic_addr *v4, const quic_addr *v6);
/* Client: what the server offers. */
quic_rc quic_conn_take_preferred(quic_conn *conn, const quic_preferred_address *offer);
void quic_conn_free_preferred(quic_conn *conn);
/* Client: the handshake is confirmed, the server may be met where it wants to be. */
void quic_conn_try_preferred(quic_conn *conn, quic_ns now);

/* ---- conn_timer.c ---------------------------------------------------------------------------------- */
/* A packet of the peer was opened: the idle timeout starts anew. */
void quic_conn_on_activity(quic_conn *conn, quic_ns now);

#endif /* QUIC_CONN_CONN_INTERNAL_H */

/* quic/conn/conn_env.h: what an endpoint lends to its connections, and what it asks of them.
 *
 * Shape:  one env per endpoint: tables and lists that connections enter and leave themselves.
 * Owner:  quic/endpoint; only quic/conn and quic/endpoint include this.
 */
#ifndef QUIC_CONN_CONN_ENV_H
#define QUIC_CONN_CONN_ENV_H

#include "quring/config.h"

#include "quic/base/counters.h"
#include "quic/base/handles.h"
#include "quic/base/heap.h"
#include "quic/base/io.h"
#include "quic/base/list.h"
#include "quic/base/mem.h"
#include "quic/base/rng.h"
#include "quic/conn/conn.h"
#include "quic/crypto/crypto.h"
#include "quic/crypto/keys.h"
#include "quic/crypto/reset_token.h"
#include "quic/crypto/session_ticket.h"
#include "quic/crypto/tls.h"
#include "quic/crypto/token.h"
#include "quic/path/cid_format.h"
#include "quic/path/cid_local.h"
#include "quic/path/cid_table.h"
#include "quic/path/reset_table.h"
#include "quic/wire/header.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quic_conn_env {
    quic_mem *mem;
    const quic_rng *rng;
    const quic_crypto *crypto;
    quic_counters *counters;
    quic_cid_table cids; /* our connection IDs -> quic_conn */
    quic_handles conn_handles;
    quic_handles stream_handles;
    uint32_t conn_count; /* of `all`: more than have handles, which closing ones gave back */
    quic_heap timers; /* quic_conn.timer; room for every connection is reserved when it is made */
    quic_list dirty;  /* connections that may have something to send, or whose timer moved */
    quic_list with_events;
    quic_list all;
    quic_list dead; /* to be freed by the endpoint */
    quic_reset_key reset_key;
    quic_ticket_keys ticket_keys;
    quic_token_keys token_keys;
    quic_ns wall_offset_ns; /* what makes wall-clock time of `now`; wraps around */
    uint64_t cid_nonce;     /* of the last connection ID made for load balancers */
    quic_cid_format cid_format;
    quring_cc cc;
    bool pacing;
    quic_ns now;                   /* of the endpoint's last call, for verbs of the application */
    quic_reset_table reset_tokens; /* the peers' stateless reset tokens -> quic_conn */
} quic_conn_env;

/* quic_conn_env_make_cid makes one of our connection IDs; see quic_cid_format_make. */
static inline void quic_conn_env_make_cid(quic_conn_env *env, quic_cid *out, bool is_routed)
{
    quic_cid_format_make(&env->cid_format, out, is_routed, &env->cid_nonce, env->rng,
                         env->now + env->wall_offset_ns);
}

/* An Initial that was opened, in place, before there was a connection for it: anybody can derive its keys
 * (RFC 9001 5.2). */
typedef struct quic_opened_initial {
    quic_keys *keys;
    uint64_t pn;
    size_t hdr_len; /* packet number included */
} quic_opened_initial;

/* What a new connection starts from. Everything is copied, but for initial_rx. */
typedef struct quic_conn_config {
    quic_role role;
    const quic_tls_vtable *tls; /* NULL: handshake driven from outside */
    const void *tls_config;
    const char *server_name; /* client */
    const uint8_t *session;  /* client: what a SESSION event gave, or NULL; read during the call */
    size_t session_len;
    bool zero_rtt;        /* client: with 0-RTT, if the session allows it */
    const uint8_t *token; /* client: what a TOKEN event gave, or NULL; read during the call */
    size_t token_len;
    uint32_t version_listed; /* client: not 0: the second try, see quring_connect_options */
    const quring_limits *limits;
    quic_path_addr path;
    uint64_t muted_events; /* of QURING_EVENTS_MUTABLE: not told */
    void *owner_ctx;
    void *app_ctx;
    bool shared_socket; /* client: with other processes */
    /* server only */
    uint32_t version; /* of the client's first packet; one of limits->versions */
    quic_keys
        *initial_rx; /* that opened it, charged to env->mem: the connection's from now on, and gone
                               when there is none. NULL: derived */
    quic_cid original_dcid; /* of the client's very first Initial */
    quic_cid initial_dcid;  /* the Initial keys derive from this one: after Retry our SCID */
    quic_cid peer_scid;
    quic_cid retry_scid;
    bool tickets;                      /* gives and takes session tickets */
    const quic_early_gate *early_gate; /* kept; NULL: 0-RTT is refused */
    quic_addr preferred_v4;            /* RFC 9000 9.6; family 0: none */
    quic_addr preferred_v6;
    bool retry_used; /* the address is validated and retry_scid goes into the parameters */
    bool token_used; /* the address is validated by a NEW_TOKEN */
    /* Counts it as a connection whose address is not proved; NULL: nobody does. Kept for the endpoint */
    struct quic_strangers *strangers;
    uint8_t new_tokens; /* NEW_TOKEN frames to give once the handshake is confirmed; 0: never any */
} quic_conn_config;

/* quic_conn_create makes a connection, names it, registers its connection IDs and puts it on env->all
 * (a client: on env->dirty, its first flight waiting).
 * Returns QUIC_OK; QUIC_E_LIMIT; QUIC_E_NOMEM; QUIC_E_CRYPTO. */
QUIC_NODISCARD quic_rc quic_conn_create(quic_conn **out, quic_conn_env *env,
                                        const quic_conn_config *config, quic_ns now);
/* quic_conn_destroy leaves every table and list and frees; any state. */
void quic_conn_destroy(quic_conn *conn);

/* quic_conn_fetch asks for what a turn of this connection touches, all at once: with many connections none of it
 * is in a near cache, and one line after another would be waited for. When that has come quic_conn_fetch_far asks
 * for what the connection points to, and then quic_conn_fetch_keys for the contexts of its 1-RTT keys; before packets
 * are received (`rx`) also for what a new stream is made of. */
void quic_conn_fetch(const quic_conn *conn);
void quic_conn_fetch_far(const quic_conn *conn);
void quic_conn_fetch_keys(const quic_conn *conn, bool rx);

quic_conn *quic_conn_of_timer(quic_heap_node *node);
quic_conn *quic_conn_of_dirty(quic_list_node *node);
quic_conn *quic_conn_of_events(quic_list_node *node);
quic_conn *quic_conn_of_all(quic_list_node *node);

/* quic_conn_recv_opened takes the Initial that a server's connection was made for.
 * quic_conn_recv_long takes the packet at data[0..h->packet_len) of a datagram of datagram_len bytes.
 * quic_conn_recv_short takes `count` short-header packets, each seg_len bytes and the last
 * `last_len`, one after the other, each a whole (rest of a) datagram. Packets are opened in place. */
void quic_conn_recv_opened(quic_conn *conn, const uint8_t *data, const quic_long_header *h,
                           const quic_opened_initial *opened, uint8_t ecn, quic_ns now);
void quic_conn_recv_long(quic_conn *conn, uint8_t *data, const quic_long_header *h,
                         size_t datagram_len, uint8_t ecn, quic_ns now);
void quic_conn_recv_short(quic_conn *conn, uint8_t *data, uint32_t count, uint32_t seg_len,
                          uint32_t last_len, uint8_t ecn, quic_ns now);
/* quic_conn_recv_datagrams counts datagrams (3x credit) before their packets are given, and says
 * whether packets from there are wanted at all; `dcid` is what short headers are addressed to, NULL:
 * they are long. `from` is kept until quic_conn_recv_done, which ends the batch. */
bool quic_conn_recv_datagrams(quic_conn *conn, uint64_t bytes, const quic_path_addr *from,
                              const uint8_t *dcid);
void quic_conn_recv_done(quic_conn *conn);
/* quic_conn_fixed_bit: which of QUIC_HEADER_FIXED_BIT must be set in packets for this connection: none
 * when its peer was told so (RFC 9287 3). quic_conn_takes_plain: 1-RTT packets have no tag and may be
 * shorter than others. */
uint8_t quic_conn_fixed_bit(const quic_conn *conn);
bool quic_conn_takes_plain(const quic_conn *conn);

/* quic_conn_recv_version_negotiation and quic_conn_recv_retry: client only, checked there. */
void quic_conn_recv_version_negotiation(quic_conn *conn, const quic_long_header *h, quic_ns now);
void quic_conn_recv_retry(quic_conn *conn, const uint8_t *data, const quic_long_header *h,
                          quic_ns now);
void quic_conn_recv_stateless_reset(quic_conn *conn, quic_ns now);

void quic_conn_on_timeout(quic_conn *conn, quic_ns now);
/* quic_conn_set_timer queues the connection at `at`, or takes it out for QUIC_NS_NEVER. */
void quic_conn_set_timer(quic_conn *conn, quic_ns at);
/* quic_conn_send fills `unit`; true when unit->len > 0. With unit->last another call would find nothing to
 * send, unless the connection is on env->dirty again. */
bool quic_conn_send(quic_conn *conn, quic_tx_unit *unit, quic_ns now);
/* quic_conn_next_timeout: the earliest of its deadlines. */
quic_ns quic_conn_next_timeout(const quic_conn *conn, quic_ns now);
/* quic_conn_poll_event gives one event; false: none left, the connection left env->with_events. */
bool quic_conn_poll_event(quic_conn *conn, quic_event *out, quic_ns now);
void quic_conn_on_send_too_big(quic_conn *conn, uint32_t len);

/* What an endpoint needs of a connection that has ended, once its application knows: RFC 9000 10.2 allows
 * to forget everything else. */
#define QUIC_CONN_CIDS_MAX      (QUIC_CID_LOCAL_MAX + 1u) /* and the client's first choice */
#define QUIC_CONN_CLOSE_LEN_MAX 512u
typedef struct quic_conn_remains {
    quic_ns until_ns;    /* the end of the closing or draining period */
    uint32_t recv_count; /* packets since the end */
    uint32_t recv_next;  /* which of them is answered next */
    uint32_t cid_count;
    quic_cid cids[QUIC_CONN_CIDS_MAX];
    size_t close_len; /* 0: draining, nothing is answered */
    uint8_t close
        [QUIC_CONN_CLOSE_LEN_MAX]; /* a datagram with CONNECTION_CLOSE, as it goes to the wire */
} quic_conn_remains;
/* quic_conn_take_remains fills *out; the connection is to be destroyed then. False: it still has something to do
 * or to say, or its CONNECTION_CLOSE is too long to be kept; nothing has changed. */
bool quic_conn_take_remains(quic_conn *conn, quic_conn_remains *out, quic_ns now);

/* Facts for the endpoint's accounting. */
bool quic_conn_is_server(const quic_conn *conn);
bool quic_conn_is_half_open(const quic_conn *conn); /* server, handshake not complete */
bool quic_conn_is_busy(const quic_conn *conn);
bool quic_conn_has_ended(const quic_conn *conn); /* and its application knows */
/* True once, at the moment a connection stops being half-open or dies: see admission.h. */
bool quic_conn_take_established(quic_conn *conn);
/* True once, when the address of a connection that quic_conn_config.strangers counts is proved or it dies. */
bool quic_conn_take_proved(quic_conn *conn);
/* That count, whether it is in it or not; NULL: none. */
struct quic_strangers *quic_conn_strangers(const quic_conn *conn);
const quic_path_addr *quic_conn_path(const quic_conn *conn);
/* The remote address of its first packet: admission counts by it for good. */
const quic_addr *quic_conn_admitted(const quic_conn *conn);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CONN_CONN_ENV_H */

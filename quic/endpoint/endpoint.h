/* quic/endpoint/endpoint.h: all connections of one worker: datagrams in, datagrams out, events out.
 *
 * Grammar: after each "in" (recv, on_timeout, a verb on a connection) pull until dry:
 *          quic_endpoint_poll_event, quic_endpoint_send; then sleep until quic_endpoint_next_timeout.
 * Owner:   one worker; no locks. Sans-IO: no clock, no syscall; randomness from config.rng.
 */
#ifndef QUIC_ENDPOINT_ENDPOINT_H
#define QUIC_ENDPOINT_ENDPOINT_H

#include "quring/config.h"

#include "quic/base/counters.h"
#include "quic/base/io.h"
#include "quic/base/mem.h"
#include "quic/base/rng.h"
#include "quic/conn/conn.h"
#include "quic/path/cid_format.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quic_endpoint quic_endpoint;
struct quic_crypto;      /* quic/crypto/crypto.h: who does AEAD and header protection */
struct quic_tls_vtable;  /* quic/crypto/tls.h: who does the handshake */
struct quic_early_gate;  /* quic/crypto/tls.h: who makes 0-RTT single-use */
struct quic_strangers;   /* quic/endpoint/strangers.h: how many addresses are not proved */
struct quic_anti_replay; /* quic/crypto/anti_replay.h: who makes NEW_TOKEN single-use */

typedef struct quic_endpoint_config {
    uint8_t worker_id;           /* < worker_count; decides the last byte of our connection IDs */
    uint8_t worker_count;        /* 1..64 */
    quic_cid_format_config cids; /* the same on all workers */
    quic_allocator allocator;
    quic_rng rng;
    const struct quic_crypto *crypto;
    uint8_t root_secret[32];          /* the same on all workers: what keys of tokens derive from */
    uint8_t previous_root_secret[32]; /* with has_previous_secret: what it made is still good */
    bool has_previous_secret;
    quic_ns wall_offset_ns; /* see quic_endpoint_set_wall_offset */
    quring_limits limits;
    quring_cc cc;
    bool pacing;
} quic_endpoint_config;

/* quic_endpoint_create copies `config`. Returns QUIC_OK; QUIC_E_INVAL; QUIC_E_NOMEM.
 * quic_endpoint_destroy frees everything at once, without a farewell to the peers. */
QUIC_NODISCARD quic_rc quic_endpoint_create(quic_endpoint **out,
                                            const quic_endpoint_config *config);
void quic_endpoint_destroy(quic_endpoint *ep);

/* quic_endpoint_set_wall_offset: wall-clock time (ns since 1970) is `now` plus this, modulo 2^64. The
 * age of tokens is told by it: they outlive a restart, and go from machine to machine. */
void quic_endpoint_set_wall_offset(quic_endpoint *ep, quic_ns offset);

/* quic_endpoint_set_process: several processes receive at one address, and this one is number `process`
 * among them: connection IDs given out from now on say so. Not with QUIC-LB. */
void quic_endpoint_set_process(quic_endpoint *ep, uint8_t process);

/* ---- who is served ---------------------------------------------------------------------------- */

typedef struct quic_accept_config {
    const struct quic_tls_vtable *tls; /* NULL: handshake driven from outside */
    const void *tls_config;            /* for tls->create; outlives the listening */
    quring_limits limits;
    bool retry; /* always demand a Retry token */
    quic_addr
        preferred_v4; /* where clients shall go after the handshake (RFC 9000 9.6); family 0: stay */
    quic_addr preferred_v6;
    bool tickets; /* give and take session tickets, sealed with the root secret */
    const struct quic_early_gate *early_gate; /* with tickets; outlives the endpoint. NULL: 0-RTT is
                                                 refused */
    struct quic_anti_replay
        *token_register; /* of used NEW_TOKEN tokens, in wall-clock time; a token
                                                older than its window is not taken. Outlives the
                                                endpoint. NULL: none is given or taken */
    /* Of all workers of this listener, with limits.unproved_retry; outlives the connections, but for those
     * that are there when their endpoint is destroyed. NULL: not counted */
    struct quic_strangers *strangers;
    bool any_worker;       /* nothing steers Initials here: whichever worker gets one accepts it */
    uint64_t muted_events; /* of QURING_EVENTS_MUTABLE: not told */
    void *owner_ctx;       /* given to each accepted connection */
    void *app_ctx;
} quic_accept_config;

/* quic_endpoint_listen accepts Initials that arrive on `socket`; the config is copied. A second call
 * for the same socket replaces it. quic_endpoint_unlisten stops it; connections live on.
 * Returns QUIC_OK; QUIC_E_NOMEM. */
QUIC_NODISCARD quic_rc quic_endpoint_listen(quic_endpoint *ep, uint32_t socket,
                                            const quic_accept_config *config);
void quic_endpoint_unlisten(quic_endpoint *ep, uint32_t socket);

typedef struct quic_connect_config {
    const struct quic_tls_vtable *tls; /* NULL: from outside */
    const void *tls_config;
    const char *server_name; /* may be NULL */
    const uint8_t *session; /* what a SESSION event gave, NULL: none; read during the call. One that
                                cannot be used is ignored */
    size_t session_len;
    bool zero_rtt; /* with 0-RTT, if the session allows it */
    const uint8_t
        *token; /* what a TOKEN event gave, NULL: none; read during the call. One that cannot
                             be used is ignored */
    size_t token_len;
    uint32_t version_listed; /* not 0: of `limits.versions`: see quring_connect_options */
    quring_limits limits;
    quic_path_addr path;
    bool shared_socket;    /* see quic_endpoint_set_process */
    uint64_t muted_events; /* of QURING_EVENTS_MUTABLE: not told */
    void *owner_ctx;
    void *app_ctx;
} quic_connect_config;

/* quic_endpoint_connect makes a client connection; its first flight is pulled by the next send.
 * Returns QUIC_OK; QUIC_E_LIMIT; QUIC_E_NOMEM; QUIC_E_CRYPTO (TLS would not start). */
QUIC_NODISCARD quic_rc quic_endpoint_connect(quic_endpoint *ep, quic_conn **out,
                                             const quic_connect_config *config, quic_ns now);

/* quic_endpoint_refuse_new makes the endpoint refuse new server connections from now on.
 * quic_endpoint_close_all closes every connection with an application error. */
void quic_endpoint_refuse_new(quic_endpoint *ep);
void quic_endpoint_close_all(quic_endpoint *ep, uint64_t app_error, const char *reason);
/* Connections, those in their closing or draining period included. */
uint32_t quic_endpoint_conn_count(const quic_endpoint *ep);
/* Of these, all but those whose peer has ended them and whose application knows: nothing is left to do for one
 * that only drains (RFC 9000 10.2.2). */
uint32_t quic_endpoint_unfinished_count(const quic_endpoint *ep);
/* Connections with something still to send or say: not yet draining or reaped. */
uint32_t quic_endpoint_busy_count(const quic_endpoint *ep);

/* ---- in ---------------------------------------------------------------------------------------- */

/* quic_endpoint_route says which worker the first datagram of a unit belongs to: config.worker_id or
 * another; it reads the header only. quic_endpoint_route_len gives the bytes at the front of the unit
 * (whole datagrams) that belong to the same one: GRO may join datagrams of several connections. */
uint8_t quic_endpoint_route(const quic_endpoint *ep, const quic_rx_unit *unit);
uint32_t quic_endpoint_route_len(const quic_endpoint *ep, const quic_rx_unit *unit);

/* Where the front of a unit belongs that came to an address of several processes. */
typedef struct quic_process_route {
    bool is_long;    /* it may be a stranger's first packet */
    bool is_named;   /* the connection ID can be one that a process gave out, */
    uint8_t process; /* and then this one did */
    uint8_t worker;  /* as quic_endpoint_route */
    uint32_t len;    /* bytes (whole datagrams) that all go the same way */
} quic_process_route;
/* quic_endpoint_route_process fills *out; it reads headers only. */
void quic_endpoint_route_process(const quic_endpoint *ep, quic_process_route *out,
                                 const quic_rx_unit *unit);
/* quic_endpoint_takes: whether a unit that begins with a long header is for a connection here, or for a
 * listener that accepts. */
bool quic_endpoint_takes(const quic_endpoint *ep, const quic_rx_unit *unit);

/* For who has several units at hand: quic_endpoint_expect notes in unit->hint where the connection of its first
 * datagram should be; quic_endpoint_fetch then asks memory for what quic_endpoint_recv is going to touch, in three
 * steps, each of which finds what the one before it asked for. With some other unit's work between them nobody
 * waits for any. Neither changes what quic_endpoint_recv does, whatever happens in between. */
typedef enum quic_fetch_step { QUIC_FETCH_CONN, QUIC_FETCH_FAR, QUIC_FETCH_KEYS } quic_fetch_step;
void quic_endpoint_expect(const quic_endpoint *ep, quic_rx_unit *unit);
void quic_endpoint_fetch(const quic_endpoint *ep, quic_rx_unit *unit, quic_fetch_step step);

/* quic_endpoint_recv takes one unit; its bytes are changed (opened in place) and not kept. */
void quic_endpoint_recv(quic_endpoint *ep, quic_rx_unit *unit, quic_ns now);

/* quic_endpoint_set_now: verbs on connections have no time of their own and act at `now`, which the four
 * functions with an argument of that name set too. To be called before verbs that nothing preceded. */
void quic_endpoint_set_now(quic_endpoint *ep, quic_ns now);

/* quic_endpoint_on_timeout runs every timer due at `now`. */
void quic_endpoint_on_timeout(quic_endpoint *ep, quic_ns now);

/* ---- pull -------------------------------------------------------------------------------------- */

/* quic_endpoint_poll_event gives the next event; false when there is none. After a CLOSED event the
 * connection's application handle is dead (the connection itself may stay in closing state). */
bool quic_endpoint_poll_event(quic_endpoint *ep, quic_event *out, quic_ns now);
/* Whether there may be one. */
bool quic_endpoint_has_events(const quic_endpoint *ep);

/* quic_endpoint_send fills `unit` with packets of one connection, or with a stateless answer.
 * Returns true when unit->len > 0; false when there is nothing to send now. */
bool quic_endpoint_send(quic_endpoint *ep, quic_tx_unit *unit, quic_ns now);

/* quic_endpoint_next_timeout: when on_timeout is needed; QUIC_NS_NEVER when nothing is timed.
 * 0 means there is work now (an event or a datagram can be pulled). */
quic_ns quic_endpoint_next_timeout(quic_endpoint *ep);

/* ---- facts the runtime reports ----------------------------------------------------------------- */

/* quic_endpoint_on_send_too_big: a datagram of `len` bytes to `path` could not be sent at all because it is too big for
 * the path (EMSGSIZE); the connection (quic_tx_unit.conn) lowers its datagram size, if that is its path still;
 * QUIC_TX_CONN_MANY: all on that path. */
void quic_endpoint_on_send_too_big(quic_endpoint *ep, uint64_t conn, const quic_path_addr *path,
                                   uint32_t len);

/* ---- look up ------------------------------------------------------------------------------------ */

quic_conn *quic_endpoint_conn(quic_endpoint *ep, uint64_t handle);     /* NULL: dead handle */
quic_stream *quic_endpoint_stream(quic_endpoint *ep, uint64_t handle); /* NULL: dead handle */
quic_counters *quic_endpoint_counters(quic_endpoint *ep);
const quic_mem *quic_endpoint_mem(const quic_endpoint *ep);

/* Walks all connections, for tests and reports; false from `visit` stops. */
void quic_endpoint_each_conn(quic_endpoint *ep, bool (*visit)(quic_conn *conn, void *ctx),
                             void *ctx);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_ENDPOINT_ENDPOINT_H */

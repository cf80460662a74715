/* quic/conn/conn_paths.h: the paths a connection knows beside the one in use, while an end moves.
 *
 * Shape:  quic_conn.path is the one in use; quic_conn.move, made when it is needed and freed at rest, has
 *         up to three others, each with its own validation, 3x credit, and connection IDs.
 * Owner:  the connection. conn_path.c keeps the table, conn_probe.c proves paths, conn_follow.c follows
 *         a peer that moves, conn_migrate.c is how we move; the others see only conn_internal.h.
 * Spec:   RFC 9000 8.2, 9.
 */
#ifndef QUIC_CONN_CONN_PATHS_H
#define QUIC_CONN_CONN_PATHS_H

#include "quic/conn/conn_internal.h"

#define QUIC_SIDE_PATHS_MAX (QUIC_CONN_PATHS_MAX - 1u)
#define QUIC_SEQ_NONE       UINT64_MAX

typedef enum quic_side_kind {
    QUIC_SIDE_FREE = 0,
    QUIC_SIDE_PROBED,   /* the peer sends from there, but nothing yet that makes us follow */
    QUIC_SIDE_FALLBACK, /* was in use and proved; its successor is not, or only just */
    QUIC_SIDE_TRIAL,    /* to be used as soon as it is proved */
    QUIC_SIDE_LEFT,     /* was in use: late packets may come from there, nothing goes there */
} quic_side_kind;

typedef struct quic_side_path {
    quic_path path;
    quic_validate validate; /* at rest with validated paths */
    quic_ns until_ns;       /* forgotten then, unless its validation decides earlier */
    uint64_t tx_seq;        /* the peer's connection ID for it; QUIC_SEQ_NONE: nothing goes there */
    uint64_t rx_cid;        /* ours that the peer uses there */
    uint8_t kind;           /* quic_side_kind */
    bool preferred;         /* client: leads to the server's preferred address */
    bool asked;             /* client: the application wants to go there */
} quic_side_path;

/* What was measured on a path, to go on with when it is used again. */
typedef struct quic_path_measures {
    quic_cc cc;
    quic_rtt rtt;
    quic_pacer pacer;
    quic_mtu mtu;
} quic_path_measures;

/* Challenges within a probe timeout; a peer that moves with every packet waits for more. */
#define QUIC_CHALLENGES_MAX 4u

struct quic_conn_move {
    quic_validate validate;  /* of conn->path */
    quic_ns challenge_until; /* end of the time in which `challenges` were sent */
    uint32_t challenges;
    quic_side_path side[QUIC_SIDE_PATHS_MAX];
    bool has_saved;
    quic_path_measures saved; /* of the fallback, while the path in use leads to another host */
};

/* ---- conn_path.c: the table ------------------------------------------------------------------- */

/* The move's state, made when there is none; NULL: no memory. */
quic_conn_move *quic_conn_move_get(quic_conn *conn);
/* Frees it when nothing goes on. */
void quic_conn_move_settle(quic_conn *conn);

static inline bool quic_path_addr_same(const quic_path_addr *a, const quic_path_addr *b)
{
    return a->socket == b->socket && quic_addr_equal(&a->remote, &b->remote);
}

quic_side_path *quic_conn_side_find(const quic_conn *conn, const quic_path_addr *addr);
quic_side_path *quic_conn_side_of(const quic_conn *conn, quic_side_kind kind);
/* A free slot, made by letting the oldest path go that was only probed; NULL: all are needed. */
quic_side_path *quic_conn_side_slot(quic_conn *conn);
/* Forgets a path; a connection ID that no other path uses is retired (RFC 9000 9.5). */
void quic_conn_side_free(quic_conn *conn, quic_side_path *side);
void quic_conn_release_cid(quic_conn *conn, uint64_t seq);
/* A connection ID of the peer for one more path: its number, QUIC_SEQ_NONE when it has none left. */
uint64_t quic_conn_claim_cid(quic_conn *conn);
/* How long a validation on a path of unknown RTT waits for each answer (RFC 9000 8.2.4). */
quic_ns quic_conn_validate_pto(const quic_conn *conn);
/* The path in use becomes `path`, with the peer's connection ID `seq`. */
void quic_conn_path_use(quic_conn *conn, const quic_path *path, uint64_t tx_seq, uint64_t rx_cid);
/* RFC 9000 9.4: another host is another path; nothing measured before is true of it. */
bool quic_conn_same_host(const quic_path *a, const quic_path *b);
void quic_conn_measures_reset(quic_conn *conn, quic_ns now);
void quic_conn_measures_save(quic_conn *conn);
void quic_conn_measures_restore(quic_conn *conn, quic_ns now);
/* The application is told that its peer, or it, is somewhere else now. */
void quic_conn_path_changed(quic_conn *conn);

/* ---- conn_follow.c ---------------------------------------------------------------------------- */

/* The path the packet being taken came from, remembered as one that the peer probes; NULL: there is no
 * connection ID for it, or no room. */
quic_side_path *quic_conn_side_of_rx(quic_conn *conn, quic_ns now);
void quic_conn_on_path_proved(quic_conn *conn, bool size_too, quic_ns now);
void quic_conn_on_path_unproved(quic_conn *conn, quic_ns now);

/* ---- conn_migrate.c --------------------------------------------------------------------------- */

void quic_conn_trial_proved(quic_conn *conn, quic_side_path *side, quic_ns now);
void quic_conn_trial_failed(quic_conn *conn, quic_side_path *side, quic_ns now);

#endif /* QUIC_CONN_CONN_PATHS_H */

/* tools/quicperf/client_conn.h: the connections of one worker of the client, and the stream slots that
 * carry their transfers and requests.
 *
 * Shape:  client_conn.c opens and closes connections and hears their events; client_slot.c knows what a
 *         mode does on a stream; client_load.c says when an open-loop request is due; client_worker.c
 *         has the tasks the main thread posts.
 * Owner:  all of it belongs to the worker's thread.
 */
#ifndef TOOLS_QUICPERF_CLIENT_CONN_H
#define TOOLS_QUICPERF_CLIENT_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "quring/quring.h"

#include "tools/quicperf/client_worker.h"
#include "tools/quicperf/dgram.h"
#include "tools/quicperf/proto.h"
#include "tools/quicperf/qlog.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QP_SCRATCH_BYTES (128u * 1024u)

/* One stream slot of a connection: the transfer or request it carries now. */
typedef struct qp_slot qp_slot;

struct qp_slot {
    qp_slot *next_free; /* latency: slots without a request */
    qp_cconn *conn;
    quring_stream stream;
    qp_pump pump;
    uint64_t began_ns; /* latency: when it was due */
    uint64_t got;      /* bytes read */
    uint64_t asked;    /* to be read; QP_ENDLESS: until the run ends */
    bool bulk;         /* --bulk: an endless transfer beside the requests */
    bool live;         /* a stream is open */
    bool free;         /* latency: in the list of those without a request */
    bool counted;      /* tput: it has ended and was counted out */
};

struct qp_cconn {
    qp_cworker *worker;
    qp_cconn *prev;
    qp_cconn *next;
    qp_cconn *next_shaken;
    quring_conn conn;
    uint64_t began_ns;
    bool established;
    bool closing;
    bool shaken; /* hps: in the worker's list of those to be closed */
    bool warm;   /* there for its ticket and token only */
    bool wants_ticket;
    bool wants_token;
    bool shows_token;
    qp_dgram dgram;
    qp_qlog *qlog;  /* NULL: none */
    uint64_t bytes; /* fair: delivered, down; acknowledged, up, when the sample was taken */
    uint64_t moved; /* bytes since the last key update */
    bool moving;
    bool at_preferred;
    uint32_t slot_count;
    qp_slot slots[];
};

static inline bool qp_is_dgram(const qp_cworker *w)
{
    return w->plan->options->mode == QP_MODE_DGRAM;
}

/* tput and fair: streams that never end by themselves. */
static inline bool qp_is_bulk(const qp_cworker *w)
{
    return w->plan->options->mode == QP_MODE_TPUT || w->plan->options->mode == QP_MODE_FAIR;
}

static inline bool qp_is_up(const qp_cworker *w)
{
    return qp_is_bulk(w) && w->plan->options->direction == QP_UP;
}

/* This slot sends, and the server only receives. */
static inline bool qp_slot_is_up(const qp_slot *slot)
{
    return slot->bulk ? slot->conn->worker->plan->options->direction == QP_UP
                      : qp_is_up(slot->conn->worker);
}

/* crr and hps: a connection for each piece of work. */
static inline bool qp_is_short_lived(const qp_cworker *w)
{
    return w->plan->options->mode == QP_MODE_CRR || w->plan->options->mode == QP_MODE_HPS;
}

static inline bool qp_quota_left(const qp_cworker *w)
{
    return !w->limited || w->issued < w->quota;
}

/* ---- client_worker.c ---- */

/* qp_cworker_fail ends the run with `text` (the first one counts); qp_cworker_done says that this
 * worker's part is over; qp_cworker_wake makes the main thread look. */
void qp_cworker_fail(qp_cworker *w, const char *text);
void qp_cworker_done(qp_cworker *w);
void qp_cworker_wake(const qp_cworker *w);

/* ---- client_conn.c ---- */

/* qp_cconn_begin starts one handshake; qp_cworker_open_more as many of w->to_open as may be under way
 * at once. */
void qp_cconn_begin(qp_cworker *w);
void qp_cworker_open_more(qp_cworker *w);

/* qp_cconn_close ends it as wanted; the memory lives until its CLOSED event. */
void qp_cconn_close(qp_cconn *c);

/* qp_cworker_move is a timer's task: --migrate, now and again. */
void qp_cworker_move(void *ctx);

/* ---- client_slot.c ---- */

/* qp_cconn_begin_slots starts what the mode does on a connection, where that has not begun. */
void qp_cconn_begin_slots(qp_cconn *c);

/* qp_cworker_begin_slots is that for all connections; latency: they take turns. */
void qp_cworker_begin_slots(qp_cworker *w);

/* qp_slot_begin opens a stream in a free slot; when the peer allows none now, STREAMS_AVAILABLE brings
 * the caller back. Returns whether a request is under way. */
bool qp_slot_begin(qp_slot *slot);
void qp_slot_event(const quring_event *ev, qp_slot *slot);

/* qp_slot_stop ends what is under way: down by STOP_SENDING, up by the end of the stream. */
void qp_slot_stop(qp_slot *slot);

/* qp_slot_acked is how many payload bytes of slot's stream the server has acknowledged; 0 for a stream that
 * the library knows no more. */
uint64_t qp_slot_acked(const qp_slot *slot);

/* qp_cconn_moved: --key-update, after `bytes` more on this connection. */
void qp_cconn_moved(qp_cconn *c, uint64_t bytes);

/* ---- client_load.c: latency, requests at fixed times ---- */

/* qp_load_start plans the first request for the begin of the run; qp_load_free gives a slot without a request (it may
 * get one at once: what is due waits for slots); qp_load_forget takes back those of a connection that ends;
 * qp_load_stop counts what was due until `now` and never sent. */
void qp_load_start(qp_cworker *w);
void qp_load_free(qp_slot *slot);
void qp_load_forget(const qp_cconn *c);
void qp_load_stop(qp_cworker *w, uint64_t now);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_CLIENT_CONN_H */

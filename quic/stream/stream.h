/* quic/stream/stream.h: one stream: both state machines, buffers, credit, and what waits to leave.
 *
 * Shape:  a plain struct, two halves embedded by value. A half that does not exist (unidirectional
 *         streams) is in state NONE. stream_send.h and stream_recv.h hold the verbs.
 * Owner:  quic/stream/stream_table.h creates and frees it; the connection uses the last slots.
 * Spec:   Reliable Stream Resets 5; RFC 9000 2.1 (ids), 3.1, 3.2 (states), 3.4 (bidirectional), 19.4-19.14.
 */
#ifndef QUIC_STREAM_STREAM_H
#define QUIC_STREAM_STREAM_H

#include "quic/base/list.h"
#include "quic/base/mem.h"
#include "quic/base/types.h"
#include "quic/stream/flow.h"
#include "quic/stream/recv_buf.h"
#include "quic/stream/send_buf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* RFC 9000 2.1: the two low bits of an id. */
enum { QUIC_STREAM_ID_SERVER = 1u << 0, QUIC_STREAM_ID_UNI = 1u << 1 };

static inline uint32_t quic_stream_id_type(uint64_t id)
{
    return (uint32_t)(id & 3u);
}
static inline bool quic_stream_id_is_uni(uint64_t id)
{
    return (id & QUIC_STREAM_ID_UNI) != 0;
}
/* quic_stream_id_is_local says whether `role` is the one who opens streams of this id. */
static inline bool quic_stream_id_is_local(uint64_t id, quic_role role)
{
    return ((id & QUIC_STREAM_ID_SERVER) != 0) == (role == QUIC_SERVER);
}

typedef enum quic_send_state {                     /* RFC 9000 3.1 */
                               QUIC_SEND_NONE = 0, /* the peer's unidirectional stream */
                               QUIC_SEND_READY,
                               QUIC_SEND_SEND,
                               QUIC_SEND_DATA_SENT,
                               QUIC_SEND_DATA_RECVD,
                               QUIC_SEND_RESET_SENT,
                               QUIC_SEND_RESET_RECVD,
                               QUIC_SEND_STATE_COUNT,
} quic_send_state;

typedef enum quic_recv_state {                     /* RFC 9000 3.2 */
                               QUIC_RECV_NONE = 0, /* our unidirectional stream */
                               QUIC_RECV_RECV,
                               QUIC_RECV_SIZE_KNOWN,
                               QUIC_RECV_DATA_RECVD,
                               QUIC_RECV_DATA_READ,
                               QUIC_RECV_RESET_RECVD,
                               QUIC_RECV_RESET_READ,
                               QUIC_RECV_STATE_COUNT,
} quic_recv_state;

/* Frames other than STREAM that wait to be sent (quic_stream.ctrl_pending). */
enum {
    QUIC_STREAM_CTRL_MAX_DATA = 1u << 0,     /* quic_flow_recv_next_limit(&s->recv_flow) */
    QUIC_STREAM_CTRL_DATA_BLOCKED = 1u << 1, /* s->send_flow.limit */
    QUIC_STREAM_CTRL_RESET = 1u << 2,        /* s->reset_error, s->send.next_off; with reset_at
                                         RESET_STREAM_AT */
    QUIC_STREAM_CTRL_STOP = 1u << 3,         /* s->stop_error */
};

#define QUIC_STREAM_URGENCY_DEFAULT 3u /* RFC 9218 4.1 */
#define QUIC_STREAM_URGENCY_COUNT   8u

typedef struct quic_stream quic_stream;
struct quic_stream {
    /* what every STREAM frame touches */
    uint64_t id;
    uint8_t send_state; /* quic_send_state */
    uint8_t recv_state; /* quic_recv_state */
    uint8_t ctrl_pending;
    uint8_t urgency;  /* 0 (first) .. 7 (RFC 9218 4.1) */
    bool incremental; /* takes turns with others of its urgency (RFC 9218 4.2) */
    bool scheduled;   /* in a quic_scheduler */
    bool fin_written; /* the end is at send.write_off */
    bool fin_sent;    /* and left at least once */
    bool fin_lost;    /* and has to leave again */
    bool fin_acked;
    bool write_blocked;            /* a write was cut short: WRITABLE is owed */
    bool ever_lent;                /* RELEASED is of interest */
    bool stop_asked;               /* quic_stream_stop_sending: what arrives is discarded */
    bool reset_recv_err_valid : 1; /* peer_reset_error holds a code */
    bool stopped_by_peer : 1;      /* peer_stop_error holds a code */
    bool lacks_credit : 1;         /* the connection's: counted in lacking_count */
    bool waits;          /* the connection's: scheduled, among those that lack its credit */
    bool reset_at;       /* sending ends behind reliable_size with RESET_STREAM_AT */
    bool reset_at_acked; /* the frame with the present reliable_size arrived */
    bool peer_reset_at;  /* the peer's sending ends so: peer_reliable_size */
    uint16_t
        turn_end; /* quic_scheduler's: the offset, in KiB modulo 2^16, where its turn is over */
    uint32_t gaps_counted;   /* the connection's: how many of recv.ahead it has counted */
    uint64_t send_buf_bytes; /* bound on send's held bytes */
    quic_flow_recv recv_flow;
    quic_flow_send send_flow;
    quic_recv_buf recv;
    quic_send_buf send;
    uint64_t reset_error;      /* we sent or will send in RESET_STREAM, RESET_STREAM_AT */
    uint64_t peer_reset_error; /* the peer's */
    union {
        uint64_t
            reliable_size; /* with reset_at: bytes that must arrive, no other is sent any more */
        uint64_t peer_stop_error; /* with stopped_by_peer: the peer's STOP_SENDING */
    };
    union {
        uint64_t peer_reliable_size; /* with peer_reset_at, before stop_asked */
        uint64_t stop_error;         /* with stop_asked: we sent or will send in STOP_SENDING */
    };

    /* queues of the connection; a node outside any list is initialised, not linked */
    quic_list_node send_node;  /* quic_scheduler's */
    quic_list_node ctrl_node;  /* streams with ctrl_pending */
    quic_list_node event_node; /* streams with events to report */
    quic_list_node table_node; /* quic_stream_table's */

    /* slots of the connection; the stream code only clears them */
    void *owner;
    void *app_ctx;
    uint64_t handle;
    uint32_t events;
    uint32_t events_seen;
    uint64_t ev_released_off;
};

/* quic_stream_init makes a stream without halves (states NONE, no credit): quic_stream_table fills
 * them in. deinit gives the buffers' memory back. */
void quic_stream_init(quic_stream *s, quic_mem *mem, uint64_t id, uint32_t gaps_max);
void quic_stream_deinit(quic_stream *s);

/* quic_stream_set_send_state and quic_stream_set_recv_state move along one edge of the diagrams in
 * RFC 9000 3.1 and 3.2 (asserted against a table); they are the only writers of the states. */
void quic_stream_set_send_state(quic_stream *s, quic_send_state next);
void quic_stream_set_recv_state(quic_stream *s, quic_recv_state next);

/* quic_send_state_may and quic_recv_state_may say whether the edge exists. */
bool quic_send_state_may(quic_send_state from, quic_send_state to);
bool quic_recv_state_may(quic_recv_state from, quic_recv_state to);

/* quic_stream_reliable_size: what a reset, sent or to be sent, promises; 0 for RESET_STREAM. */
static inline uint64_t quic_stream_reliable_size(const quic_stream *s)
{
    return s->reset_at ? s->reliable_size : 0;
}

/* quic_stream_send_is_done: the half does not exist or is in a terminal state; likewise recv. */
static inline bool quic_stream_send_is_done(const quic_stream *s)
{
    return s->send_state == QUIC_SEND_NONE || s->send_state == QUIC_SEND_DATA_RECVD ||
           s->send_state == QUIC_SEND_RESET_RECVD;
}
static inline bool quic_stream_recv_is_done(const quic_stream *s)
{
    return s->recv_state == QUIC_RECV_NONE || s->recv_state == QUIC_RECV_DATA_READ ||
           s->recv_state == QUIC_RECV_RESET_READ;
}

/* quic_stream_is_closed: both halves are done (RFC 9000 3.4); the table may forget the stream. */
static inline bool quic_stream_is_closed(const quic_stream *s)
{
    return quic_stream_send_is_done(s) && quic_stream_recv_is_done(s);
}

/* quic_stream_trim gives back the buffers' memory as far as they are empty. */
void quic_stream_trim(quic_stream *s);

/* quic_stream_check_invariants asserts the sums that hold between calls (tests, simulation). */
void quic_stream_check_invariants(const quic_stream *s);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_STREAM_STREAM_H */

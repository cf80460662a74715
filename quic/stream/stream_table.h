/* quic/stream/stream_table.h: the streams of one connection: creation rules, limits, lookup.
 *
 * Shape:  per stream type (RFC 9000 2.1) a count of opened streams; live stream objects in an open
 *         addressing table keyed by id; ids that were opened only implicitly (a higher one was used
 *         first, 3.2) are ranges until a frame names them. Every id below the opened count that is
 *         neither live nor waiting is closed: memory is bounded by what may be open at once.
 *         Freed objects with small buffers are kept on a short free list for the next stream.
 * Owner:  the connection; one worker; no locks.    Cost: O(1) per operation.
 * Spec:   RFC 9000 2.1, 3, 4.6, 19.4-19.14.
 */
#ifndef QUIC_STREAM_STREAM_TABLE_H
#define QUIC_STREAM_STREAM_TABLE_H

#include "quic/base/list.h"
#include "quic/base/mem.h"
#include "quic/base/range_set.h"
#include "quic/base/types.h"
#include "quic/stream/stream.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_STREAM_FREE_MAX 16u          /* freed objects kept */
#define QUIC_STREAM_TRIM_MAX 64u          /* looked at by a search for room */
#define QUIC_STREAMS_MAX     (1ull << 60) /* RFC 9000 4.6 */
/* Ranges of streams of one kind that the peer has skipped so far (RFC 9000 3.2): each one more moves those above. Who
 * opens and ends every other stream needs as many as it may have streams: no order hurts where 16384 are allowed. */
#define QUIC_STREAMS_SKIPPED_MAX 16384u

/* The bounds of a stream, ours. */
typedef struct quic_stream_limits {
    uint64_t send_buf_bytes;
    uint64_t
        recv_window_bytes; /* initial_max_stream_data_* we advertise, all three but where ... */
    uint64_t recv_window_local_bytes; /* ... bidi_local or ... */
    uint64_t recv_window_uni_bytes;   /* ... uni are not 0 */
    uint64_t recv_window_max_bytes;   /* auto-tuning */
    uint32_t streams_bidi_max;        /* the peer may have open at once */
    uint32_t streams_uni_max;
    uint32_t gaps_max; /* ranges out of order per stream */
} quic_stream_limits;

/* What the peer allows (its transport parameters, RFC 9000 18.2). */
typedef struct quic_stream_peer_limits {
    uint64_t max_streams_bidi;
    uint64_t max_streams_uni;
    uint64_t max_stream_data_bidi_local;  /* for streams the peer opens */
    uint64_t max_stream_data_bidi_remote; /* for streams we open */
    uint64_t max_stream_data_uni;
} quic_stream_peer_limits;

typedef struct quic_stream_type_state {
    uint64_t opened; /* streams of this type opened so far (sequence numbers below exist) */
    uint64_t max;    /* the limit: ours from the peer, or the one we advertised */
    uint64_t closed; /* streams forgotten */
    uint64_t window; /* peer's types: open at once */
    uint64_t
        blocked_at; /* 1 + limit that STREAMS_BLOCKED was queued (our types), or came for; 0 none */
    uint64_t send_limit;    /* initial send credit of a stream of this type */
    quic_range_set waiting; /* peer's types: opened implicitly, no object yet */
} quic_stream_type_state;

typedef struct quic_stream_table {
    quic_mem *mem;
    quic_stream **slots;
    quic_stream *last;    /* of the previous lookup */
    quic_stream *trim_at; /* where the next search for room goes on; NULL: with the oldest */
    uint64_t trim_allocs; /* mem->alloc_count when all of them were searched */
    uint64_t hash_key;    /* odd */
    uint32_t cap;         /* power of two, or 0 */
    uint32_t live_count;
    uint32_t free_count;
    quic_role role;
    quic_list all;  /* live streams, oldest first */
    quic_list free; /* through table_node too */
    quic_stream_limits limits;
    quic_stream_type_state types[4];
} quic_stream_table;

/* quic_stream_table_init makes an empty table. hash_key is random (it keeps a peer from choosing
 * ids that collide). We may open nothing before quic_stream_table_set_peer_limits. */
void quic_stream_table_init(quic_stream_table *table, quic_mem *mem, quic_role role,
                            const quic_stream_limits *limits, uint64_t hash_key);

/* quic_stream_table_deinit frees every stream and all memory. */
void quic_stream_table_deinit(quic_stream_table *table);

/* quic_stream_table_set_peer_limits takes transport parameters (or remembered ones for 0-RTT);
 * limits only grow, and live streams get the new credit too. Returns true when we may open or send
 * more. */
bool quic_stream_table_set_peer_limits(quic_stream_table *table,
                                       const quic_stream_peer_limits *peer);

/* quic_stream_table_forget_peer_limits sets every limit of the peer's to 0, before
 * set_peer_limits: remembered ones proved wrong (RFC 9001 4.6.2). Live streams' credit is the
 * caller's (quic_stream_rewind). */
void quic_stream_table_forget_peer_limits(quic_stream_table *table);

/* quic_stream_table_open opens a stream of ours.
 * Returns QUIC_OK; QUIC_E_AGAIN (the peer's limit: quic_stream_table_blocked_due tells whether
 * STREAMS_BLOCKED is to be sent); QUIC_E_NOMEM. */
QUIC_NODISCARD quic_rc quic_stream_table_open(quic_stream_table *table, quic_stream **out,
                                              bool uni);

/* Which half a frame speaks to: STREAM, RESET_STREAM, STREAM_DATA_BLOCKED come from the stream's
 * sender and need our receiving half; MAX_STREAM_DATA and STOP_SENDING need our sending half. */
typedef enum quic_stream_side { QUIC_STREAM_SIDE_RECV, QUIC_STREAM_SIDE_SEND } quic_stream_side;

/* quic_stream_table_on_frame_slow is for quic_stream_table_on_frame. */
QUIC_NODISCARD quic_rc quic_stream_table_on_frame_slow(quic_stream_table *table, quic_stream **out,
                                                       bool *out_opened, uint64_t id,
                                                       quic_stream_side side);

/* quic_stream_table_on_frame finds the stream a frame names, opening it if the peer may.
 *
 *   out          the stream; NULL (with QUIC_OK): closed before, ignore the frame
 *   out_opened   true when the object is new: tell the application
 *
 * Returns QUIC_OK; QUIC_V_STREAM_STATE (our stream was never opened, or the half does not exist:
 * RFC 9000 19.4, 19.5, 19.8, 19.10, 19.13); QUIC_V_STREAM_LIMIT (4.6); QUIC_E_NOMEM; QUIC_E_LIMIT
 * (QUIC_STREAMS_SKIPPED_MAX). */
QUIC_NODISCARD static inline quic_rc quic_stream_table_on_frame(quic_stream_table *table,
                                                                quic_stream **out, bool *out_opened,
                                                                uint64_t id, quic_stream_side side)
{
    quic_stream *last = table->last;
    if (QUIC_LIKELY(last != NULL && last->id == id &&
                    (side == QUIC_STREAM_SIDE_RECV ? last->recv_state != QUIC_RECV_NONE
                                                   : last->send_state != QUIC_SEND_NONE))) {
        *out = last;
        *out_opened = false;
        return QUIC_OK;
    }
    return quic_stream_table_on_frame_slow(table, out, out_opened, id, side);
}

/* quic_stream_table_find gives the live stream `id` or NULL: for acknowledgements and losses. */
quic_stream *quic_stream_table_find(quic_stream_table *table, uint64_t id);

/* quic_stream_table_close forgets a stream: its buffers' memory goes back, its id stays known as
 * closed. The caller has taken it off its own lists (asserted: the scheduler too). Returns true
 * when a MAX_STREAMS is due for the type of the id. */
bool quic_stream_table_close(quic_stream_table *table, quic_stream *s);

/* quic_stream_table_on_max_streams takes MAX_STREAMS (lower values are ignored). Returns true when
 * the limit grew. Values beyond 2^60 are the decoder's to refuse (RFC 9000 19.11). */
bool quic_stream_table_on_max_streams(quic_stream_table *table, bool uni, uint64_t max);

/* quic_stream_table_on_peer_blocked: the peer wants more streams than `limit` (RFC 9000 19.14): from now on
 * one that ends is enough for a new limit. Returns whether one is due.
 * quic_stream_table_max_streams_due: a quarter of the peer's streams closed since the last limit; one, if the
 * peer waits for it.
 * next_max_streams gives the value to send, on_max_streams_sent notes it; peer_max is the one that was sent
 * last. */
bool quic_stream_table_on_peer_blocked(quic_stream_table *table, bool uni, uint64_t limit);
bool quic_stream_table_max_streams_due(const quic_stream_table *table, bool uni);
uint64_t quic_stream_table_next_max_streams(const quic_stream_table *table, bool uni);
uint64_t quic_stream_table_peer_max(const quic_stream_table *table, bool uni);
void quic_stream_table_on_max_streams_sent(quic_stream_table *table, bool uni, uint64_t max);

/* quic_stream_table_blocked_due: true once per limit that is not enough; STREAMS_BLOCKED with
 * quic_stream_table_local_max is to be sent. is_blocked says whether a lost one is worth
 * repeating. */
bool quic_stream_table_blocked_due(quic_stream_table *table, bool uni);
bool quic_stream_table_is_blocked(const quic_stream_table *table, bool uni);
uint64_t quic_stream_table_local_max(const quic_stream_table *table, bool uni);

/* Iteration over live streams, oldest first; a stream may be closed once its successor was taken:
 * for (s = first(t); s != NULL; s = next) { next = quic_stream_table_next(t, s); ... } */
quic_stream *quic_stream_table_first(const quic_stream_table *table);
quic_stream *quic_stream_table_next(const quic_stream_table *table, const quic_stream *s);

/* quic_stream_table_trim frees the spare objects and empty buffers of live streams: for connections
 * that fell idle. */
void quic_stream_table_trim(quic_stream_table *table);

/* quic_stream_table_make_room does so when memory has run out. It looks at every stream once per as many allocations
 * as pay for that, else at QUIC_STREAM_TRIM_MAX of them, at others each time. */
void quic_stream_table_make_room(quic_stream_table *table);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_STREAM_STREAM_TABLE_H */

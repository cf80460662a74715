/* quic/stream/flow.h: credit arithmetic of one flow-controlled thing, a stream or the connection.
 *
 * Shape:  quic_flow_recv is what we grant (MAX_DATA, MAX_STREAM_DATA), quic_flow_send what the peer
 *         granted. Plain numbers, no memory.
 * Rules:  a new limit is due when consuming has opened at least a quarter of the window. The window
 *         doubles (up to its cap) when half of it was consumed within two smoothed round trips: the
 *         window settles at about four times the bandwidth-delay product.
 * Owner:  the quic_stream or the connection that embeds it.    Spec: RFC 9000 4.1, 4.2, 19.9-19.13.
 */
#ifndef QUIC_STREAM_FLOW_H
#define QUIC_STREAM_FLOW_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quic_flow_recv {
    uint64_t limit;        /* the largest maximum we advertised */
    uint64_t received;     /* stream: highest offset; connection: their sum */
    uint64_t consumed;     /* read or discarded, <= received */
    uint64_t window;       /* credit kept open beyond `consumed` */
    uint64_t window_max;   /* auto-tuning stops here */
    uint64_t tune_from;    /* `consumed` when the measurement began */
    quic_ns tune_start_ns; /* 0: no measurement is running */
} quic_flow_recv;

typedef struct quic_flow_send {
    uint64_t limit;      /* the peer's */
    uint64_t used;       /* stream: highest offset sent; connection: their sum */
    uint64_t blocked_at; /* 1 + the limit a BLOCKED frame was queued for; 0: none yet */
} quic_flow_send;

/* quic_flow_recv_init starts with `window` advertised (in our transport parameters). */
static inline void quic_flow_recv_init(quic_flow_recv *flow, uint64_t window, uint64_t window_max)
{
    memset(flow, 0, sizeof(*flow));
    flow->limit = window;
    flow->window = window;
    flow->window_max = window_max > window ? window_max : window;
}

/* quic_flow_recv_credit gives the bytes the peer may still send. */
static inline uint64_t quic_flow_recv_credit(const quic_flow_recv *flow)
{
    return flow->limit - flow->received;
}

/* quic_flow_recv_update_due says whether quic_flow_recv_next_limit is worth a frame. */
static inline bool quic_flow_recv_update_due(const quic_flow_recv *flow)
{
    return flow->consumed + flow->window >= flow->limit + flow->window / 4 &&
           flow->consumed + flow->window > flow->limit;
}

/* quic_flow_recv_on_consumed counts `bytes` (consumed <= received afterwards, asserted) and tunes
 * the window. srtt_ns 0 means "not known": no tuning. Returns quic_flow_recv_update_due. */
bool quic_flow_recv_on_consumed(quic_flow_recv *flow, uint64_t bytes, quic_ns srtt_ns, quic_ns now);

/* quic_flow_recv_next_limit gives the maximum to advertise now; quic_flow_recv_on_update_sent notes
 * that it was (also right for a retransmission: always send the newest value, RFC 9000 13.3). */
static inline uint64_t quic_flow_recv_next_limit(const quic_flow_recv *flow)
{
    uint64_t next = flow->consumed + flow->window;
    return next > QUIC_VARINT_MAX ? QUIC_VARINT_MAX : (next > flow->limit ? next : flow->limit);
}

static inline void quic_flow_recv_on_update_sent(quic_flow_recv *flow, uint64_t limit)
{
    if (limit > flow->limit) {
        flow->limit = limit;
    }
}

static inline void quic_flow_send_init(quic_flow_send *flow, uint64_t limit)
{
    flow->limit = limit;
    flow->used = 0;
    flow->blocked_at = 0;
}

/* quic_flow_send_credit gives the bytes we may still send. */
static inline uint64_t quic_flow_send_credit(const quic_flow_send *flow)
{
    return flow->limit - flow->used;
}

/* quic_flow_send_on_limit takes the peer's maximum; a lower one is ignored (RFC 9000 4.1). Returns
 * true when credit grew. */
static inline bool quic_flow_send_on_limit(quic_flow_send *flow, uint64_t limit)
{
    if (limit <= flow->limit) {
        return false;
    }
    flow->limit = limit;
    return true;
}

/* quic_flow_send_on_blocked is called when bytes wait and credit is 0: true once per limit, then a
 * DATA_BLOCKED (STREAM_DATA_BLOCKED) with `limit` is to be sent. */
static inline bool quic_flow_send_on_blocked(quic_flow_send *flow)
{
    if (flow->used < flow->limit || flow->blocked_at == flow->limit + 1) {
        return false;
    }
    flow->blocked_at = flow->limit + 1;
    return true;
}

/* quic_flow_send_is_blocked says whether a lost BLOCKED frame still tells the truth (RFC 9000
 * 13.3). */
static inline bool quic_flow_send_is_blocked(const quic_flow_send *flow)
{
    return flow->blocked_at == flow->limit + 1 && flow->used >= flow->limit;
}

#ifdef __cplusplus
}
#endif

#endif /* QUIC_STREAM_FLOW_H */

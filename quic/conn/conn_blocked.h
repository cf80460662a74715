/* quic/conn/conn_blocked.h: what keeps a connection with data to send from sending, and for how long.
 *
 * Shape:  after each train the reason is noted, and the time since the last note goes to the reason of
 *         then: counters of the worker, blocked_*_ns. Time ends with the next train.
 * Cost:   a comparison per train where nothing holds the connection back.
 */
#ifndef QUIC_CONN_CONN_BLOCKED_H
#define QUIC_CONN_CONN_BLOCKED_H

#include "quic/base/counters.h"
#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum quic_blocked_by {
    QUIC_BLOCKED_BY_NOTHING = 0,   /* or there is nothing to send */
    QUIC_BLOCKED_BY_WINDOW,        /* congestion, RFC 9002 7 */
    QUIC_BLOCKED_BY_PACING,        /* RFC 9002 7.7 */
    QUIC_BLOCKED_BY_CONN_FLOW,     /* the peer's MAX_DATA, RFC 9000 4.1 */
    QUIC_BLOCKED_BY_STREAM_FLOW,   /* its MAX_STREAM_DATA */
    QUIC_BLOCKED_BY_AMPLIFICATION, /* RFC 9000 8.1 */
} quic_blocked_by;

typedef struct quic_conn_blocked {
    quic_ns since;
    uint32_t stream_ms; /* when a stream's own credit was used up last, modulo 2^32 */
    uint8_t by;         /* quic_blocked_by */
} quic_conn_blocked;

void quic_conn_blocked_account(quic_conn_blocked *b, quic_counters *counters, quic_ns now);

static inline void quic_conn_blocked_note(quic_conn_blocked *b, quic_counters *counters,
                                          quic_blocked_by by, quic_ns now)
{
    if (QUIC_UNLIKELY(b->by != QUIC_BLOCKED_BY_NOTHING)) {
        quic_conn_blocked_account(b, counters, now);
    }
    b->by = (uint8_t)by;
    b->since = now;
}

/* A unit of `count` datagrams leaves. */
void quic_conn_count_train(quic_counters *counters, uint32_t count);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CONN_CONN_BLOCKED_H */

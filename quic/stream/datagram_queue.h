/* quic/stream/datagram_queue.h: datagrams that wait, to be sent or to be read, oldest first.
 *
 * Shape:  a ring of bytes in which each datagram lies in one piece, and a ring of slots that say where.
 *         Both are one block of memory, made by the first push, grown by doubling up to the bound.
 * Owner:  the connection, one queue per direction.    Cost: O(1) each; growing copies what waits.
 * Spec:   RFC 9221 5.3, 5.4 (a receiver may drop; a sender may let datagrams expire).
 */
#ifndef QUIC_STREAM_DATAGRAM_QUEUE_H
#define QUIC_STREAM_DATAGRAM_QUEUE_H

#include "quic/base/mem.h"
#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that may wait, powers of two; one datagram of any size fits. To be sent: what waits longer is worth less. To be
 * read: what comes in one turn of the worker, before anybody can have read it. */
#define QUIC_DATAGRAM_QUEUE_SEND_BYTES 65536u
#define QUIC_DATAGRAM_QUEUE_RECV_BYTES (1u << 20)
/* A smaller datagram counts as much: so many slots there are. A power of two. */
#define QUIC_DATAGRAM_QUEUE_COUNTS_BYTES 128u

typedef struct quic_datagram {
    uint32_t off; /* into the ring of bytes */
    uint32_t len; /* may be 0 (RFC 9221 4) */
    quic_ns expires_ns;
} quic_datagram;

typedef struct quic_datagram_queue {
    quic_mem *mem;
    quic_datagram *slots; /* the block: slots, then bytes; NULL while nothing needs it */
    uint32_t max_bytes;
    uint32_t cap_bytes;
    uint32_t first; /* slot of the oldest */
    uint32_t count;
} quic_datagram_queue;

/* quic_datagram_queue_init makes an empty queue over `mem` (kept) that holds no memory yet and at most
 * `max_bytes`, one of the two bounds; deinit gives all of it back and empties the queue; trim does so only
 * when nothing waits. */
void quic_datagram_queue_init(quic_datagram_queue *q, quic_mem *mem, uint32_t max_bytes);
void quic_datagram_queue_deinit(quic_datagram_queue *q);
void quic_datagram_queue_trim(quic_datagram_queue *q);

/* quic_datagram_queue_push copies `len` bytes to the end. An empty queue takes any datagram of at most
 * its bound.
 * Returns QUIC_OK; QUIC_E_AGAIN (the bound is reached: pop first); QUIC_E_LIMIT (larger than the queue);
 * QUIC_E_NOMEM. */
QUIC_NODISCARD quic_rc quic_datagram_queue_push(quic_datagram_queue *q, const uint8_t *data,
                                                size_t len, quic_ns expires_ns);

/* quic_datagram_queue_front gives the oldest datagram, NULL when none waits; its bytes are
 * quic_datagram_queue_bytes. Both are valid until the next push or pop. */
static inline const quic_datagram *quic_datagram_queue_front(const quic_datagram_queue *q)
{
    return q->count > 0 ? &q->slots[q->first] : NULL;
}

static inline const uint8_t *quic_datagram_queue_bytes(const quic_datagram_queue *q)
{
    return (const uint8_t *)(q->slots + q->cap_bytes / QUIC_DATAGRAM_QUEUE_COUNTS_BYTES) +
           q->slots[q->first].off;
}

/* quic_datagram_queue_pop forgets the oldest datagram; there must be one. */
void quic_datagram_queue_pop(quic_datagram_queue *q);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_STREAM_DATAGRAM_QUEUE_H */

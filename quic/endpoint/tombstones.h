/* quic/endpoint/tombstones.h: connections that have ended, for the rest of their closing or draining period:
 * what tells their late packets from a stranger's, and a CONNECTION_CLOSE ready to be sent again.
 *
 * Shape:  a table from connection IDs to tombstones, a heap of when they go; a few hundred bytes for each
 *         connection instead of several thousand. Nothing can be decrypted any more, so nothing is: a packet
 *         with the right connection ID counts, and answers are limited by size and number.
 * Owner:  an endpoint; one worker; no locks.    Spec: RFC 9000 10.2.
 */
#ifndef QUIC_ENDPOINT_TOMBSTONES_H
#define QUIC_ENDPOINT_TOMBSTONES_H

#include "quic/base/heap.h"
#include "quic/base/mem.h"
#include "quic/conn/conn_env.h"
#include "quic/path/cid_table.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quic_tombstone quic_tombstone;

typedef struct quic_tombstones {
    quic_mem *mem;
    quic_cid_table cids; /* -> quic_tombstone */
    quic_heap timers;
    uint32_t count;
    uint32_t answering; /* of these, those of closing connections, not of draining ones */
} quic_tombstones;

/* quic_tombstones_init makes room for at most `max` tombstones; nothing is allocated yet. `key` is 16 random
 * bytes for the table. quic_tombstones_deinit frees them all. */
void quic_tombstones_init(quic_tombstones *stones, quic_mem *mem, uint32_t max,
                          const uint8_t key[16]);
void quic_tombstones_deinit(quic_tombstones *stones);

/* quic_tombstones_add copies what remains of a connection, whose connection IDs nothing else in this table
 * has. Returns QUIC_OK; QUIC_E_LIMIT, QUIC_E_NOMEM (nothing was added). */
QUIC_NODISCARD quic_rc quic_tombstones_add(quic_tombstones *stones,
                                           const quic_conn_remains *remains);

/* quic_tombstones_find gives the tombstone of a connection ID, NULL: none. */
static inline quic_tombstone *quic_tombstones_find(const quic_tombstones *stones,
                                                   const uint8_t *cid, size_t len)
{
    return stones->count == 0 ? NULL
                              : (quic_tombstone *)quic_cid_table_find(&stones->cids, cid, len);
}

/* quic_tombstone_on_recv counts a datagram of `datagram_len` bytes and gives the CONNECTION_CLOSE that answers
 * it, *out_len bytes; NULL: no answer. */
const uint8_t *quic_tombstone_on_recv(quic_tombstone *stone, size_t datagram_len, size_t *out_len);

/* quic_tombstones_next_timeout: when the first of them goes, QUIC_NS_NEVER: there is none.
 * quic_tombstones_expire removes those whose time has come. */
quic_ns quic_tombstones_next_timeout(const quic_tombstones *stones);
void quic_tombstones_expire(quic_tombstones *stones, quic_ns now);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_ENDPOINT_TOMBSTONES_H */

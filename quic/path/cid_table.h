/* quic/path/cid_table.h: from the bytes of a connection ID (or of a reset token) to its connection.
 *
 * Shape:  open addressing with a keyed hash (an attacker who picks bytes cannot build chains),
 *         linear probing, deletion by back-shifting; a power of two slots, at most two thirds used.
 * Owner:  an endpoint; one worker; no locks.    Spec: RFC 9000 5.2, 10.3.1, 21.
 */
#ifndef QUIC_PATH_CID_TABLE_H
#define QUIC_PATH_CID_TABLE_H

#include "quic/base/mem.h"
#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quic_cid_slot {
    void *value; /* NULL: free */
    uint8_t len;
    uint8_t bytes[QUIC_CID_LEN_MAX];
    uint8_t pad[3];
} quic_cid_slot;

typedef struct quic_cid_table {
    quic_mem *mem;
    quic_cid_slot *slots;
    uint32_t cap; /* power of two, 0 before the first add */
    uint32_t count;
    uint32_t max; /* entries allowed */
    uint8_t key[16];
} quic_cid_table;

/* quic_cid_table_init makes an empty table of at most `max` entries, keyed with 16 random bytes. */
void quic_cid_table_init(quic_cid_table *table, quic_mem *mem, uint32_t max, const uint8_t key[16]);
void quic_cid_table_deinit(quic_cid_table *table);

/* quic_cid_table_add maps `bytes` (1..20 of them) to `value` (not NULL).
 * Returns QUIC_OK; QUIC_E_STATE (already there); QUIC_E_LIMIT; QUIC_E_NOMEM. */
QUIC_NODISCARD quic_rc quic_cid_table_add(quic_cid_table *table, const uint8_t *bytes, size_t len,
                                          void *value);

/* quic_cid_table_remove forgets `bytes`; unknown bytes are ignored. */
void quic_cid_table_remove(quic_cid_table *table, const uint8_t *bytes, size_t len);

/* quic_cid_table_find returns the value or NULL; bytes longer than 20 or empty are never found. */
void *quic_cid_table_find(const quic_cid_table *table, const uint8_t *bytes, size_t len);

/* quic_cid_table_find_hinted is the same for who looks for the same bytes again and again: it looks first at slot
 * *hint, where the last one was found (any value does), and hashes nothing when they are still there. */
void *quic_cid_table_find_hinted(const quic_cid_table *table, uint32_t *hint, const uint8_t *bytes,
                                 size_t len);

/* quic_cid_table_expect gives a hint for who looks for `bytes` later: `hint` when they are there, otherwise where a
 * search would begin, and asks memory for that slot without waiting for it. */
uint32_t quic_cid_table_expect(const quic_cid_table *table, uint32_t hint, const uint8_t *bytes,
                               size_t len);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_PATH_CID_TABLE_H */

/* quic/path/cid_local.h: the connection IDs we issued to the peer (RFC 9000 5.1.1).
 *
 * Shape:  at most QUIC_CID_LOCAL_MAX live ones with their sequence numbers; the connection registers
 *         and unregisters them in the endpoint's table as it is told here.
 * Format: all of one length, see cid_format.h.
 */
#ifndef QUIC_PATH_CID_LOCAL_H
#define QUIC_PATH_CID_LOCAL_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_CID_LOCAL_MAX 8u

typedef struct quic_cid_local_entry {
    uint64_t seq;
    uint8_t bytes[QUIC_CID_LEN_MAX]; /* quic_cid_local.len of them */
    bool used;                       /* the slot holds a live CID */
    bool to_send;                    /* a NEW_CONNECTION_ID frame has to go out (again) */
} quic_cid_local_entry;

typedef struct quic_cid_local {
    quic_cid_local_entry entries[QUIC_CID_LOCAL_MAX];
    uint64_t next_seq;
    uint8_t live_count;
    uint8_t to_send_count;
    uint8_t untold_count; /* the highest numbers, of which the peer has not been told */
    uint8_t len;          /* of each */
} quic_cid_local;

/* quic_cid_local_init makes an empty set of connection IDs of `len` bytes (1..20). */
void quic_cid_local_init(quic_cid_local *set, uint8_t len);

/* quic_cid_local_tag makes a number of the end of `cid`, one of the set's connection IDs: two of a
 * connection have different ones. (The beginning may be that of every ID of this server.) */
uint64_t quic_cid_local_tag(const quic_cid_local *set, const uint8_t *cid);

/* quic_cid_local_add takes the next sequence number for `bytes`. `announce` says that a
 * NEW_CONNECTION_ID frame must carry it (not so for the handshake's own). Returns the entry, NULL
 * when QUIC_CID_LOCAL_MAX are live. */
quic_cid_local_entry *quic_cid_local_add(quic_cid_local *set, const uint8_t *bytes, bool announce);

/* quic_cid_local_retire handles RETIRE_CONNECTION_ID (RFC 9000 19.16): *out is the entry that was
 * removed (copy), out->used false when it was retired before.
 * Returns QUIC_OK; QUIC_V_PROTOCOL_VIOLATION for a number above those that the peer was told of, or for the CID the
 * packet itself was sent to (`dcid`). */
quic_rc quic_cid_local_retire(quic_cid_local *set, quic_cid_local_entry *out, uint64_t seq,
                              const uint8_t *dcid, size_t dcid_len);

/* quic_cid_local_next_to_send gives an entry that has to be announced, NULL if none. The caller
 * clears it with quic_cid_local_sent; a lost frame marks it again with quic_cid_local_lost. */
quic_cid_local_entry *quic_cid_local_next_to_send(quic_cid_local *set);
void quic_cid_local_sent(quic_cid_local *set, quic_cid_local_entry *entry);
void quic_cid_local_lost(quic_cid_local *set, uint64_t seq);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_PATH_CID_LOCAL_H */

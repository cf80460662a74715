/* quic/path/cid_peer.h: the connection IDs the peer issued to us (RFC 9000 5.1.2, 19.15).
 *
 * Shape:  at most QUIC_CID_PEER_MAX known ones; entry `current` is the one in use; sequence numbers
 *         to give back with RETIRE_CONNECTION_ID in a small bounded list.
 */
#ifndef QUIC_PATH_CID_PEER_H
#define QUIC_PATH_CID_PEER_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_CID_PEER_MAX 8u
/* Room for twice the largest active_connection_id_limit; a set uses twice its own. */
#define QUIC_CID_PEER_RETIRE_MAX 16u

typedef struct quic_cid_peer_entry {
    uint64_t seq;
    quic_cid cid;
    uint8_t reset_token[QUIC_RESET_TOKEN_LEN];
    bool used;
    bool has_token;
    bool reserved; /* in use on another path than the current one */
} quic_cid_peer_entry;

typedef struct quic_cid_peer_retire {
    uint64_t seq;
    bool used;
    bool to_send; /* false while a RETIRE_CONNECTION_ID is in flight */
} quic_cid_peer_retire;

typedef struct quic_cid_peer {
    quic_cid_peer_entry entries[QUIC_CID_PEER_MAX];
    quic_cid_peer_retire retire[QUIC_CID_PEER_RETIRE_MAX];
    uint64_t retire_prior_to;
    uint64_t seen_top;  /* the highest sequence number the peer has issued so far */
    uint64_t seen_bits; /* bit n: seen_top - n was seen; lower ones all count as seen */
    uint8_t current;    /* index into entries */
    uint8_t active_max; /* our active_connection_id_limit, 2..QUIC_CID_PEER_MAX */
    uint8_t to_send_count;
    bool zero_length; /* the peer chose an empty CID: it may not issue others */
} quic_cid_peer;

/* Facts of one NEW_CONNECTION_ID: tokens the endpoint has to forget or learn. */
typedef struct quic_cid_peer_change {
    bool added;
    bool useless; /* it said nothing that was not known */
    bool current_changed;
    uint8_t added_token[QUIC_RESET_TOKEN_LEN];
    uint8_t dropped_count;
    uint8_t dropped_tokens[QUIC_CID_PEER_MAX][QUIC_RESET_TOKEN_LEN];
} quic_cid_peer_change;

/* quic_cid_peer_init starts with the CID of the handshake as sequence number 0. */
void quic_cid_peer_init(quic_cid_peer *set, const quic_cid *initial, uint8_t active_max);

static inline const quic_cid *quic_cid_peer_current(const quic_cid_peer *set)
{
    return &set->entries[set->current].cid;
}

/* quic_cid_peer_set_initial replaces sequence number 0 while the handshake still moves it (client:
 * after Retry and after the server's first packet, RFC 9000 7.2). */
void quic_cid_peer_set_initial(quic_cid_peer *set, const quic_cid *cid);

/* quic_cid_peer_set_token attaches the stateless_reset_token of the transport parameters. */
void quic_cid_peer_set_token(quic_cid_peer *set, const uint8_t token[QUIC_RESET_TOKEN_LEN]);

/* quic_cid_peer_on_new takes a NEW_CONNECTION_ID frame (its own format was checked by the decoder).
 * Returns QUIC_OK; QUIC_V_PROTOCOL_VIOLATION (same number, other CID or token; same CID under another
 * number; the peer uses zero-length CIDs: RFC 9000 19.15); QUIC_V_CONNECTION_ID_LIMIT (more active
 * ones than we allow, or too many retirements pending: RFC 9000 5.1.1, 5.1.2). The dropped tokens are
 * told whatever is returned. */
quic_rc quic_cid_peer_on_new(quic_cid_peer *set, quic_cid_peer_change *out, uint64_t seq,
                             uint64_t retire_prior_to, const quic_cid *cid,
                             const uint8_t token[QUIC_RESET_TOKEN_LEN]);

/* ---- several paths (RFC 9000 9.5: each destination address has connection IDs of its own) -------- */

static inline uint64_t quic_cid_peer_current_seq(const quic_cid_peer *set)
{
    return set->entries[set->current].seq;
}

/* quic_cid_peer_find gives the entry of a sequence number, NULL when it is not (or no longer) there. */
quic_cid_peer_entry *quic_cid_peer_find(quic_cid_peer *set, uint64_t seq);

/* quic_cid_peer_spare: the one of lowest number that no path uses, NULL: none, or the peer's are
 * empty. quic_cid_peer_reserve marks it as in use on another path and gives the entry. */
const quic_cid_peer_entry *quic_cid_peer_spare(const quic_cid_peer *set);
quic_cid_peer_entry *quic_cid_peer_reserve(quic_cid_peer *set);

/* quic_cid_peer_use makes `seq` the current one; the one before becomes a reserved one. False: it is
 * not there. */
bool quic_cid_peer_use(quic_cid_peer *set, uint64_t seq);

/* quic_cid_peer_give_back forgets one that is not the current one and queues its
 * RETIRE_CONNECTION_ID; *out is a copy. False, and nothing changes: not there, current, or too many
 * retirements wait. */
bool quic_cid_peer_give_back(quic_cid_peer *set, uint64_t seq, quic_cid_peer_entry *out);

/* quic_cid_peer_next_retire gives a sequence number for a RETIRE_CONNECTION_ID frame and marks it
 * sent; false if none. _acked forgets it, _lost queues it again. */
bool quic_cid_peer_next_retire(quic_cid_peer *set, uint64_t *out_seq);
void quic_cid_peer_retire_acked(quic_cid_peer *set, uint64_t seq);
void quic_cid_peer_retire_lost(quic_cid_peer *set, uint64_t seq);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_PATH_CID_PEER_H */

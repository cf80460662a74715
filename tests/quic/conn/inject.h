/* tests/quic/conn/inject.h: packets in the name of a living connection: its keys, its packet numbers, its
 * record of what was sent, but any frames. */
#ifndef TESTS_QUIC_CONN_INJECT_H
#define TESTS_QUIC_CONN_INJECT_H

#include "quic/base/mem.h"
#include "quic/conn/conn.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    INJECT_RESERVED_BITS = 1u << 0, /* RFC 9000 17.2, 17.3.1: set, inside the protection */
    INJECT_NO_FIXED_BIT = 1u << 1,  /* RFC 9000 17.3.1 */
    INJECT_OTHER_PHASE = 1u << 2,   /* the key phase bit says the other one; the key does not */
    INJECT_FLIP_TAG = 1u << 3,      /* not authentic */
    INJECT_AHEAD = 1u << 5, /* 16 packet numbers ahead; the connection does not know about it */
    INJECT_OTHER_SCID = 1u << 4, /* long header: not the SCID of the packets before */
};

/* inject_make seals `frames` (may be empty) as the next packet of `conn` at `level` into
 * out[0..cap). The packet number takes 4 bytes; packets with an Initial are padded to 1200 bytes. The
 * connection takes it for a packet of its own that was lost or arrived. Returns its length; 0 without keys,
 * when the connection is closed or nothing more can be in flight. */
size_t inject_make(quic_conn *conn, quic_level level, uint32_t flags, const uint8_t *frames,
                   size_t len, uint8_t *out, size_t cap);

/* inject_hold makes the connection hold a packet as one whose keys are not there yet. */
void inject_hold(quic_conn *conn, const uint8_t *data, size_t len);

/* inject_keep_keys copies the present 1-RTT send keys; inject_make_kept seals with them what
 * inject_make would, after the connection has moved on. Free them with inject_free_keys. */
typedef struct inject_keys inject_keys;
inject_keys *inject_keep_keys(const quic_conn *conn, quic_mem *mem);
size_t inject_make_kept(quic_conn *conn, inject_keys *keys, uint32_t flags, const uint8_t *frames,
                        size_t len, uint8_t *out, size_t cap);
void inject_free_keys(inject_keys *keys);
/* inject_set_next_pn goes on with packet number `pn`; what was sent is forgotten. */
void inject_set_next_pn(quic_conn *conn, uint64_t pn);
/* inject_pass_streams: as if `opener` had opened so many more streams of a kind, all of them over by now. */
void inject_pass_streams(quic_conn *opener, quic_conn *other, bool uni, uint64_t count);
/* inject_snapshot copies the connection's own state, but for the counts of bytes received and of
 * packets that failed to open; two of inject_snapshot_len() bytes can be compared. */
void inject_snapshot(const quic_conn *conn, uint8_t *out);
size_t inject_snapshot_len(void);

/* inject_has_keys tells whether packets of `level` can be sent (is_write) or opened. */
bool inject_has_keys(const quic_conn *conn, quic_level level, bool is_write);
/* inject_wear_keys pretends that the 1-RTT send key has sealed `count` packets. */
void inject_wear_keys(quic_conn *conn, uint64_t count);
/* inject_stop_updates: the last key update was never acknowledged, and never will be. */
void inject_stop_updates(quic_conn *conn);
/* inject_rotate updates the send keys although no rule allows it. */
void inject_rotate(quic_conn *conn);

/* inject_forget_forbidden: a client that does not care for disable_active_migration. */
void inject_forget_forbidden(quic_conn *conn);
/* inject_next_pn, inject_skipped_pn: the next packet number of 1-RTT packets, and one that was left
 * out on purpose (UINT64_MAX: none yet; RFC 9000 21.4). inject_skip_next leaves the next one out. */
uint64_t inject_next_pn(const quic_conn *conn);
void inject_skip_next(quic_conn *conn);
/* inject_was_skipped: whether a number in lo..hi was left out lately. */
bool inject_was_skipped(const quic_conn *conn, uint64_t lo, uint64_t hi);
/* inject_scid: the connection ID that `conn` calls itself by in 1-RTT packets to it. */
void inject_cid_peer_uses(const quic_conn *conn, uint8_t out[8], uint64_t *out_seq);

#ifdef __cplusplus
}
#endif

#endif /* TESTS_QUIC_CONN_INJECT_H */

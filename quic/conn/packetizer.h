/* quic/conn/packetizer.h: one packet: begin, add frames, finish, protect; or cancel.
 *
 * Owner:  the caller's stack; the bytes go straight into the buffer it gives. One packet of a space may be under
 *         construction at a time.
 */
#ifndef QUIC_CONN_PACKETIZER_H
#define QUIC_CONN_PACKETIZER_H

#include "quic/conn/conn_internal.h"

/* A packet under construction. */
typedef struct quic_packet_build {
    uint8_t *buf;   /* its first byte */
    size_t hdr_len; /* packet number included */
    size_t pn_off;
    size_t len_off; /* long header: where the Length field is */
    uint8_t *p;     /* next frame goes here */
    uint8_t *end;   /* frames end here at the latest; the tag follows */
    uint64_t pn;
    const uint8_t *tail; /* what belongs before p, tail_len bytes, is still here; NULL: nothing */
    uint32_t tail_len;
    quic_sent_packet *sent;
    quic_keys *keys; /* that seal it */
    quic_space space;
    uint8_t pn_len;
    uint8_t tag_len;
    bool eliciting;
    bool in_flight;
    bool pad_datagram; /* to at least 1200 bytes, RFC 9000 8.2.2 */
    bool mtu_probe;    /* its loss is no sign of congestion, RFC 9000 14.4 */
    bool early;        /* 0-RTT: a long header, in the space of 1-RTT packets */
    bool full;         /* a frame without length ends it */
} quic_packet_build;

/* quic_packet_begin writes a header into buf[0..room). False: no keys, no room, or too many packets
 * are unacknowledged. */
bool quic_packet_begin(quic_conn *conn, quic_packet_build *b, quic_space space, uint8_t *buf,
                       size_t room);
static inline bool quic_packet_is_empty(const quic_packet_build *b)
{
    return b->p == b->buf + b->hdr_len;
}
void quic_packet_cancel(quic_conn *conn, quic_packet_build *b);
/* quic_packet_record notes a frame whose fate somebody wants to know; false: no room for the note. */
static inline bool quic_packet_record(quic_conn *conn, quic_packet_build *b,
                                      const quic_sent_frame *frame)
{
    return quic_sent_packet_add_frame(quic_recovery_map(&conn->recovery, b->space), b->sent,
                                      frame) == QUIC_OK;
}
/* quic_packet_finish pads the packet to at least `len_min` bytes, seals it and records it as sent;
 * header protection is still missing. Returns its size. */
size_t quic_packet_finish(quic_conn *conn, quic_packet_build *b, size_t len_min, quic_ns now);
/* The same for a packet that leaves on another path than the one in use. */
size_t quic_packet_finish_elsewhere(quic_conn *conn, quic_packet_build *b, size_t len_min,
                                    quic_ns now);
/* quic_packet_charge tells congestion control, pacer and ECN validation of `count` packets of `bytes` each that leave
 * on the path in use, before they are recorded. Returns `flags`, QUIC_SENT_*, with the mark they leave with. */
static inline uint32_t quic_packet_charge(quic_conn *conn, quic_space space, uint32_t count,
                                          uint32_t bytes, uint32_t flags, quic_ns now)
{
    if (QUIC_LIKELY((flags & QUIC_SENT_IN_FLIGHT) != 0)) {
        quic_cc_on_sent(&conn->cc, conn->recovery.in_flight_bytes, now);
        quic_pacer_on_sent(&conn->pacer, (uint64_t)count * bytes);
    }
    if (conn->tx_ecn == QUIC_ECN_NOT_ECT) {
        return flags;
    }
    for (uint32_t i = 0; i < count; i++) {
        quic_ecn_on_sent(&conn->ecn, space);
    }
    return flags | QUIC_SENT_ECT0;
}
static inline void quic_packet_count_sent(quic_conn *conn, uint32_t count)
{
    conn->packets_sent += count;
    conn->env->counters->packets_sent += count;
}
/* Header protection of one packet, and of `count` short-header packets at once. */
void quic_packet_protect(const quic_packet_build *b);
void quic_packet_protect_short(const quic_keys *keys, uint8_t *const *packets,
                               const uint8_t *pn_lens, size_t pn_off, unsigned count);
/* Frames; false: no room left (try again in the next packet). */
bool quic_packet_add_ack(quic_conn *conn, quic_packet_build *b, quic_ns now);
bool quic_packet_add_crypto(quic_conn *conn, quic_packet_build *b);
bool quic_packet_add_ping(quic_packet_build *b);
bool quic_packet_add_pending(quic_conn *conn, quic_packet_build *b);
bool quic_packet_add_new_tokens(quic_conn *conn, quic_packet_build *b);
bool quic_packet_add_stream_ctrl(quic_conn *conn, quic_packet_build *b);
void quic_packet_add_streams(quic_conn *conn, quic_packet_build *b);
bool quic_packet_add_close(quic_conn *conn, quic_packet_build *b);
/* While closing: all of this level's flight that is not acknowledged; false: there is no such, or it is too much for
 * one datagram. */
bool quic_packet_add_last_flight(quic_conn *conn, quic_packet_build *b);
/* The same without a record of what was sent, for packets with CONNECTION_CLOSE. */
bool quic_packet_begin_closing(quic_conn *conn, quic_packet_build *b, quic_space space,
                               uint8_t *buf, size_t room);
size_t quic_packet_finish_closing(quic_conn *conn, quic_packet_build *b, size_t len_min);

/* ---- what there is to carry ------------------------------------------------------------------------ */

/* A client that was given tickets has such a stream for ever, of 1-RTT packets, with nothing in it. */
static inline bool quic_conn_space_has_crypto(const quic_conn_space *space)
{
    return QUIC_UNLIKELY(space->crypto != NULL) && quic_crypto_stream_can_send(space->crypto);
}
/* quic_conn_has_other_work: whether 1-RTT packets are to carry anything but acknowledgements and the data of streams
 * in the scheduler. */
static inline bool quic_conn_has_other_work(const quic_conn *conn)
{
    const quic_conn_space *app = &conn->spaces[QUIC_SPACE_APP];
    return conn->pending != 0 || !quic_list_is_empty(&conn->ctrl_streams) ||
           quic_conn_may_wake(conn) || quic_conn_space_has_crypto(app) || app->ping;
}

#endif /* QUIC_CONN_PACKETIZER_H */

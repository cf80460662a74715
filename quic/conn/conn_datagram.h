/* quic/conn/conn_datagram.h: the DATAGRAM frames of a connection (RFC 9221): what waits on either side,
 * and how they share packets with streams.
 *
 * Shape:  made when the first datagram is sent or received; most connections have none.
 * Owner:  the connection; only quic/conn includes this.
 */
#ifndef QUIC_CONN_CONN_DATAGRAM_H
#define QUIC_CONN_CONN_DATAGRAM_H

#include "quring/conn.h"

#include "quic/base/types.h"
#include "quic/conn/conn.h"
#include "quic/recovery/sent_map.h"
#include "quic/stream/datagram_queue.h"
#include "quic/wire/frame.h"

typedef struct quic_conn_datagrams {
    quic_datagram_queue tx;
    quic_datagram_queue rx;
    bool streams_first; /* of the next packet in which both kinds have something to say */
    bool send_refused;  /* quic_conn_datagram_send said AGAIN: WRITABLE is owed ... */
    bool told_readable;
    uint32_t sent_len;   /* of the one that left last */
    uint32_t refused_at; /* ... when half of those that waited then have gone */
    uint64_t sent;
    uint64_t acked;
    uint64_t lost;
    uint64_t discarded; /* of ours, never sent */
    uint64_t received;
    uint64_t overrun; /* of the peer's, dropped because nobody read them */
} quic_conn_datagrams;

struct quic_packet_build;

/* One DATAGRAM frame of `frame_len` bytes came. Returns QUIC_OK; QUIC_V_PROTOCOL_VIOLATION. */
quic_rc quic_conn_on_datagram(quic_conn *conn, const quic_frame_datagram *frame, size_t frame_len);
/* With QUIC_PEND_DATAGRAM set: fills the packet with datagrams and streams, which go first by turns. */
void quic_conn_add_datagrams_and_streams(quic_conn *conn, struct quic_packet_build *b, quic_ns now);
/* Whether what leaves next is a datagram as long as the last one, and no stream would fill its packet: packets of one
 * length make a train, however short they are. */
bool quic_conn_next_datagram_is_alike(const quic_conn *conn);
/* What became of them. One of a packet declared lost may still be acknowledged. */
void quic_conn_datagram_acked(quic_conn *conn, bool was_lost);
void quic_conn_datagrams_lost(quic_conn *conn, const quic_sent_packet *packet);
/* The handshake is over: who was told AGAIN while no limit was known may try. */
void quic_conn_datagrams_complete(quic_conn *conn);
void quic_conn_trim_datagrams(quic_conn *conn);
void quic_conn_free_datagrams(quic_conn *conn);
void quic_conn_datagram_info(const quic_conn *conn, quring_conn_info *out);

#endif /* QUIC_CONN_CONN_DATAGRAM_H */

/* quic/conn/conn_ack_freq.h: how often acknowledgements are wanted (draft-ietf-quic-ack-frequency).
 *
 * As a receiver we follow what the peer asks for: always offered.
 * As a sender we ask when limits.ack_frequency says so. Policy: in slow start every other packet is
 * acknowledged, as without the extension. Later an eighth of the window may pass between two ACK frames,
 * a power of two of packets and at most 64; they come after a quarter of the RTT at the latest, and at once
 * when three packets behind a gap have arrived, which is when loss detection acts (RFC 9002 6.1.1).
 * The wish is renewed when the window has doubled or halved, and on another path. A probe asks for its ACK at once.
 */
#ifndef QUIC_CONN_CONN_ACK_FREQ_H
#define QUIC_CONN_CONN_ACK_FREQ_H

#include "quic/base/types.h"
#include "quic/conn/conn.h"
#include "quic/recovery/sent_map.h"
#include "quic/wire/frame.h"
#include "quic/wire/transport_params.h"

/* The sender's side; exists where it is wanted and the peer takes part. */
typedef struct quic_conn_ack_freq {
    uint64_t next_seq;
    uint64_t min_delay_us; /* the peer's min_ack_delay and ... */
    uint64_t max_delay_us; /* ... max_ack_delay */
    uint64_t window_bytes; /* when `wanted` was decided; UINT64_MAX: on another path */
    uint64_t threshold;    /* wanted: packets that may come without an ACK */
    uint64_t delay_us;     /* wanted */
} quic_conn_ack_freq;

struct quic_packet_build;

/* min_ack_delay we offer, in microseconds. */
uint64_t quic_conn_min_ack_delay_us(const quic_conn *conn);
/* The peer's parameters are known. */
void quic_conn_start_ack_freq(quic_conn *conn, const quic_transport_params *p);
void quic_conn_free_ack_freq(quic_conn *conn);
/* An ACK_FREQUENCY frame came. Returns QUIC_OK; QUIC_V_PROTOCOL_VIOLATION. */
quic_rc quic_conn_on_ack_frequency(quic_conn *conn, const quic_frame_ack_frequency *frame);
/* The window has moved: perhaps another frequency is wanted. */
void quic_conn_review_ack_freq(quic_conn *conn);
bool quic_packet_add_ack_frequency(quic_conn *conn, struct quic_packet_build *b);
void quic_conn_ack_frequency_acked(quic_conn *conn, const quic_sent_frame *frame);
void quic_conn_ack_frequency_lost(quic_conn *conn, const quic_sent_frame *frame);

#endif /* QUIC_CONN_CONN_ACK_FREQ_H */

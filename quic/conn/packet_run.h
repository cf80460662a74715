/* quic/conn/packet_run.h: packets of a train that differ from the one before in number and offset alone.
 *
 * Flow:   what decides about a packet (what may leave, which frames it carries, how long its fields are) is decided
 *         once for all of them; they are then written and sealed in a loop that does nothing else, and recorded
 *         together. What comes of it is what quic_packet_begin and the rest would have made, byte for byte.
 */
#ifndef QUIC_CONN_PACKET_RUN_H
#define QUIC_CONN_PACKET_RUN_H

#include "quic/conn/packetizer.h"

/* quic_packet_add_run goes on behind `like`, a full 1-RTT packet of `size` bytes whose header is not protected yet,
 * with at most `count_max` more of its size: all that they carry is data of the stream whose turn it is. They begin
 * at `buf`, one behind the other, sealed but not protected, and are recorded as sent. Returns how many; 0, with
 * nothing done, where the next packet has to be built like any other: it carries anything else, or is the last that
 * such data, credit or memory is there for, or its number is longer than that of `like`, or somebody traces packets.
 * The caller vouches that congestion control, pacing and address validation let so many leave. */
uint32_t quic_packet_add_run(quic_conn *conn, const quic_packet_build *like, uint8_t *buf,
                             uint32_t size, uint32_t count_max, quic_ns now);

#endif /* QUIC_CONN_PACKET_RUN_H */

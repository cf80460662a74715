/* tests/sim/forge.h: a look into, and a hand inside, the connection of a peer that does not keep to the
 * rules. Scripted runs only: the shim provider neither encrypts nor hides headers. */
#ifndef TESTS_SIM_FORGE_H
#define TESTS_SIM_FORGE_H

#include "quic/conn/conn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* sim_forge_payload finds the frames of a 1-RTT packet that `conn` has sealed with the keys it has now:
 * their place and length; false for any other packet. */
bool sim_forge_payload(quic_conn *conn, const uint8_t *packet, size_t len, size_t *out_off,
                       size_t *out_len);
/* sim_forge_reseal gives such a packet other frames: header and number stay. Returns the new length,
 * at most `cap`; 0 without room. */
size_t sim_forge_reseal(quic_conn *conn, uint8_t *out, size_t cap, const uint8_t *packet,
                        size_t len, const uint8_t *frames, size_t frames_len);

/* sim_forge_claim_streams lets `conn` take every stream that its peer allows it for opened and closed, so
 * that what the peer says about forged ones means nothing to it. *out_first, *out_end: the sequence
 * numbers that were never used. */
void sim_forge_claim_streams(quic_conn *conn, bool uni, uint64_t *out_first, uint64_t *out_end);
/* How many streams of a kind the peer has opened. */
uint64_t sim_forge_peer_streams(const quic_conn *conn, bool uni);
/* The next sequence number of a connection ID of ours. */
uint64_t sim_forge_next_cid(const quic_conn *conn);
const quic_path_addr *sim_forge_path(const quic_conn *conn);
/* Whether a datagram is a 1-RTT packet to the connection ID that `conn` uses for its peer. */
bool sim_forge_is_to_peer(const quic_conn *conn, const uint8_t *datagram, size_t len);

#ifdef __cplusplus
}
#endif

#endif /* TESTS_SIM_FORGE_H */

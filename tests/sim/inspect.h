/* tests/sim/inspect.h: a look inside an endpoint, for the oracles of the simulator only. */
#ifndef TESTS_SIM_INSPECT_H
#define TESTS_SIM_INSPECT_H

#include "quic/endpoint/endpoint.h"

#ifdef __cplusplus
extern "C" {
#endif

/* sim_inspect_check runs the invariant checks of every connection (they abort) and those that tell:
 * NULL, or what is wrong (a static text). sim_inspect_check_timers looks at timers, for an endpoint that
 * has nothing left to send at `now`. */
const char *sim_inspect_check(quic_endpoint *ep);
const char *sim_inspect_check_timers(quic_endpoint *ep, quic_ns now);

/* sim_inspect_idle_bytes: what an endpoint without connections holds: itself and its tables. */
uint64_t sim_inspect_idle_bytes(const quic_endpoint *ep);

/* sim_inspect_flow_settled: whether what one end sent is what the other took and gave back, when all
 * streams of both are over: NULL, or what is wrong. */
const char *sim_inspect_flow_settled(const quic_conn *from, const quic_conn *to);

/* sim_inspect_pair: what must agree between the two ends of an open connection at any moment: credit and
 * key epochs. NULL, or what is wrong. */
const char *sim_inspect_pair(const quic_conn *from, const quic_conn *to);

/* sim_inspect_key_phase tells the current send phase; sim_inspect_has_next_keys whether the keys to open
 * packets of the next one are there, and not at rest. */
bool sim_inspect_has_next_keys(const quic_conn *conn);
/* sim_inspect_keys_rest: whether the 1-RTT keys of both directions are at rest. */
bool sim_inspect_keys_rest(const quic_conn *conn);
bool sim_inspect_key_phase(const quic_conn *conn);

/* sim_inspect_expects_bulk: whether the next packet is taken to be one of bulk data (conn_landing.h). */
bool sim_inspect_expects_bulk(const quic_conn *conn);

/* sim_inspect_state prints the connection in one line. */
void sim_inspect_state(const quic_conn *conn, char *out, size_t cap);

/* sim_inspect_confirmed: RFC 9001 4.1.2; sim_inspect_first_remote: where its first packet came from. */
bool sim_inspect_confirmed(const quic_conn *conn);
/* sim_inspect_validated: RFC 9000 8.1, of the path in use. */
bool sim_inspect_validated(const quic_conn *conn);
const quic_addr *sim_inspect_first_remote(const quic_conn *conn);

/* sim_inspect_app_limited: whether what leaves now counts as all that the application has (draft-ietf-ccwg-bbr
 * 4.1.2.4). */
bool sim_inspect_app_limited(const quic_conn *conn);

/* sim_inspect_mem_limit: what the connection may hold at most. */
uint64_t sim_inspect_mem_limit(const quic_conn *conn);

/* sim_inspect_held_first: the first byte of the oldest packet that waits for its keys. */
uint8_t sim_inspect_held_first(const quic_conn *conn);

/* Facts for scenario tests. */
uint32_t sim_inspect_held_count(const quic_conn *conn);
/* What an ACK frame for 1-RTT packets would say now. */
quic_ns sim_inspect_ack_delay(const quic_conn *conn, quic_ns now);
uint32_t sim_inspect_cids_local(const quic_conn *conn);
uint32_t sim_inspect_cids_peer(const quic_conn *conn);
uint64_t sim_inspect_half_open(const quic_endpoint *ep);
/* Asks the peer to replace the connection ID in use, as a NEW_CONNECTION_ID with a higher
 * Retire Prior To would: switches to another of the peer's IDs and retires the present one. */
bool sim_inspect_rotate_cid(quic_conn *conn);

#ifdef __cplusplus
}
#endif

#endif /* TESTS_SIM_INSPECT_H */

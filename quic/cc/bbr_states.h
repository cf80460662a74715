/* quic/cc/bbr_states.h: the states of BBR and when it goes from one to another: the half of bbr.c that
 * decides.
 *
 * Owner:  bbr.c alone includes this.    Spec: draft-ietf-ccwg-bbr 5.3, 5.6.4.
 */
#ifndef QUIC_CC_BBR_STATES_H
#define QUIC_CC_BBR_STATES_H

#include "quic/cc/bbr_model.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_BBR_LOSS_THRESH_PERCENT 2u /* per round trip, what probing tolerates */
#define QUIC_BBR_MIN_PIPE_DATAGRAMS  4u

/* ---- volumes, bytes ------------------------------------------------------------------------------ */

/* The smallest window that keeps a path with delayed ACKs going. */
static inline uint64_t quic_bbr_min_pipe(const quic_cc *cc)
{
    return (uint64_t)QUIC_BBR_MIN_PIPE_DATAGRAMS * cc->datagram_bytes;
}

/* quic_bbr_quantize raises a volume to what batching at both ends needs: 5.6.4.2. */
uint64_t quic_bbr_quantize(const quic_cc *cc, uint64_t bytes);

/* inflight_longterm less some room for others, or infinity. */
uint64_t quic_bbr_inflight_with_headroom(const quic_cc *cc);

uint64_t quic_bbr_probe_rtt_cwnd(const quic_cc *cc);

/* ---- transitions, in the order of an ACK ------------------------------------------------------------ */

/* 5.3.1, 5.3.2: CheckStartupDone, CheckDrainDone. */
void quic_bbr_check_startup_and_drain(quic_cc *cc, const quic_cc_sample *sample, quic_ns now);

/* 5.3.3.9: UpdateProbeBWCyclePhase. */
void quic_bbr_update_probe_bw(quic_cc *cc, const quic_cc_sample *sample, quic_ns now);

/* 5.3.4.3: CheckProbeRTT. */
void quic_bbr_check_probe_rtt(quic_cc *cc, const quic_cc_sample *sample, quic_ns now);

/* ---- transitions for other reasons --------------------------------------------------------------------- */

static inline bool quic_bbr_is_loss_too_high(uint64_t lost_bytes, uint64_t tx_in_flight_bytes)
{
    return lost_bytes > quic_bbr_percent(tx_in_flight_bytes, QUIC_BBR_LOSS_THRESH_PERCENT);
}

/* 5.5.10.2, HandleInflightTooHigh: a probe went too far, with `inflight` under way. */
void quic_bbr_on_inflight_too_high(quic_cc *cc, uint64_t inflight, bool app_limited,
                                   uint64_t delivered_bytes, quic_ns now);

void quic_bbr_start_refill(quic_bbr_state *st, uint64_t delivered_bytes);
void quic_bbr_restore_cwnd(quic_cc *cc);
void quic_bbr_exit_probe_rtt(quic_cc *cc, uint64_t delivered_bytes, quic_ns now);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CC_BBR_STATES_H */

/* quic/cc/bbr_model.h: what BBR believes about the path: the half of bbr.c that measures.
 *
 * Owner:  bbr.c alone includes this.    Spec: draft-ietf-ccwg-bbr 5.5.
 */
#ifndef QUIC_CC_BBR_MODEL_H
#define QUIC_CC_BBR_MODEL_H

#include "quic/cc/bbr.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_BBR_INFINITY       UINT64_MAX
#define QUIC_BBR_PACING_PERCENT 99u /* of the bandwidth: a margin of 1 % */

/* What the ACKs that come in belong to. */
typedef enum quic_bbr_ack_phase {
    QUIC_BBR_ACKS_INIT = 0,
    QUIC_BBR_ACKS_REFILLING,
    QUIC_BBR_ACKS_PROBE_STARTING,
    QUIC_BBR_ACKS_PROBE_FEEDBACK,
    QUIC_BBR_ACKS_PROBE_STOPPING,
} quic_bbr_ack_phase;

/* x times percent / 100. */
static inline uint64_t quic_bbr_percent(uint64_t x, uint32_t percent)
{
    return x > UINT64_MAX / 512 ? x / 100 * percent : x * percent / 100;
}

/* Bytes that `rate_fp` brings in `ns`. */
uint64_t quic_bbr_bytes_in(uint64_t rate_fp, quic_ns ns);

/* The bandwidth-delay product times a gain in percent; the initial window before the first RTT. */
uint64_t quic_bbr_bdp(const quic_cc *cc, uint64_t bw_fp, uint32_t gain_percent);

/* The larger of both windows of the filter. */
static inline uint64_t quic_bbr_max_bw(const quic_bbr_state *st)
{
    return st->max_bw_fp[0] > st->max_bw_fp[1] ? st->max_bw_fp[0] : st->max_bw_fp[1];
}

static inline uint64_t quic_bbr_extra_acked(const quic_bbr_state *st)
{
    return st->extra_acked[0] > st->extra_acked[1] ? st->extra_acked[0] : st->extra_acked[1];
}

static inline bool quic_bbr_is_probe_bw(const quic_bbr_state *st)
{
    return st->mode >= QUIC_BBR_PROBE_DOWN && st->mode <= QUIC_BBR_PROBE_UP;
}

/* A round begins now: it ends with the first packet that leaves from here on. */
static inline void quic_bbr_start_round(quic_bbr_state *st, uint64_t delivered_bytes)
{
    st->next_round_delivered = delivered_bytes;
}

/* quic_bbr_model_init forgets everything. */
void quic_bbr_model_init(quic_bbr_state *st);

/* quic_bbr_model_on_ack takes the delivery rate sample: rounds, bandwidth, bounds after losses,
 * aggregation (5.5.1 - 5.5.5, 5.5.9, 5.5.10.3). */
void quic_bbr_model_on_ack(quic_cc *cc, const quic_cc_sample *sample, quic_ns now);

/* quic_bbr_model_end_ack closes what an ACK opened: call it after the states have moved. */
void quic_bbr_model_end_ack(quic_bbr_state *st);

/* quic_bbr_model_on_rtt: 5.3.4.3, UpdateMinRTT. */
void quic_bbr_model_on_rtt(quic_bbr_state *st, quic_ns rtt_ns, quic_ns now);

/* quic_bbr_model_note_loss: the first loss of a round opens a loss round and saves what an undo needs.
 * 5.5.10.2, NoteLoss. */
void quic_bbr_model_note_loss(quic_cc *cc, uint64_t delivered_bytes);

/* quic_bbr_model_save_cwnd: 5.6.4.4, SaveCwnd. */
void quic_bbr_model_save_cwnd(quic_cc *cc);

/* The next window of the bandwidth filter: 5.5.6. */
void quic_bbr_model_advance_max_bw(quic_bbr_state *st);

static inline void quic_bbr_model_reset_congestion(quic_bbr_state *st)
{
    st->is_loss_in_round = false;
    st->loss_ranges = 0;
    st->bw_latest_fp = 0;
    st->inflight_latest = 0;
}

static inline void quic_bbr_model_reset_shortterm(quic_bbr_state *st)
{
    st->bw_shortterm_fp = QUIC_BBR_INFINITY;
    st->inflight_shortterm = QUIC_BBR_INFINITY;
}

static inline void quic_bbr_model_reset_full_bw(quic_bbr_state *st)
{
    st->full_bw_fp = 0;
    st->full_bw_count = 0;
    st->full_bw_now = false;
}

/* 5.3.1.2: has the bandwidth stopped growing? */
void quic_bbr_model_check_full_bw(quic_bbr_state *st, bool app_limited);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CC_BBR_MODEL_H */

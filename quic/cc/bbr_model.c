#include "quic/cc/bbr_model.h"

__extension__ typedef unsigned __int128 u128;

#define RATE_SHIFT         32u
#define BETA_PERCENT       70u /* never below that per round of losses */
#define FULL_BW_PERCENT    125u
#define FULL_BW_ROUNDS     3u
#define PROBE_RTT_INTERVAL (5 * QUIC_NS_PER_S)
#define MIN_RTT_WINDOW     (10 * QUIC_NS_PER_S)
#define EXTRA_ACKED_ROUNDS 5u /* of each of the two windows */

/* ---- arithmetic --------------------------------------------------------------------------------- */

static uint64_t max64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint64_t quic_bbr_bytes_in(uint64_t rate_fp, quic_ns ns)
{
    u128 bytes = ((u128)rate_fp * ns) >> RATE_SHIFT;
    return bytes > QUIC_CWND_LIMIT ? QUIC_CWND_LIMIT : (uint64_t)bytes;
}

uint64_t quic_bbr_bdp(const quic_cc *cc, uint64_t bw_fp, uint32_t gain_percent)
{
    const quic_bbr_state *st = &cc->u.bbr;
    if (st->min_rtt_ns == QUIC_BBR_INFINITY) {
        return quic_cc_initial_cwnd(cc); /* 5.6.4.2: no valid RTT sample yet */
    }
    return quic_bbr_percent(quic_bbr_bytes_in(bw_fp, st->min_rtt_ns), gain_percent);
}

static uint64_t rate_of(uint64_t bytes, quic_ns ns)
{
    if (bytes >> RATE_SHIFT != 0) {
        bytes = UINT32_MAX;
    }
    return (bytes << RATE_SHIFT) / ns;
}

void quic_bbr_model_init(quic_bbr_state *st)
{
    memset(st, 0, sizeof(*st));
    st->min_rtt_ns = QUIC_BBR_INFINITY;
    st->probe_rtt_min_ns = QUIC_BBR_INFINITY;
    st->inflight_longterm = QUIC_BBR_INFINITY;
    st->probe_up_acked_per_inc = QUIC_BBR_INFINITY;
    st->undo_mode = QUIC_BBR_MODE_NONE;
    quic_bbr_model_reset_shortterm(st);
}

/* ---- rounds and bandwidth ----------------------------------------------------------------------- */

/* 4.1.2.3: the sample; none from an interval shorter than a round trip can be. */
static void take_sample(quic_bbr_state *st, const quic_cc_sample *sample)
{
    st->sample_fp = 0;
    st->sample_bytes = sample->delivered_bytes - sample->prior_delivered_bytes;
    if (sample->rate_bytes > 0 && sample->rate_ns > 0 && sample->rate_ns >= sample->min_rtt_ns) {
        st->sample_fp = rate_of(sample->rate_bytes, sample->rate_ns);
    }
}

/* 5.5.1, UpdateRound. */
static void update_round(quic_bbr_state *st, const quic_cc_sample *sample)
{
    st->round_start = sample->prior_delivered_bytes >= st->next_round_delivered;
    if (st->round_start) {
        quic_bbr_start_round(st, sample->delivered_bytes);
        st->round_count++;
        st->rounds_since_probe_up++;
        st->cwnd_limited_last = st->cwnd_limited_now;
        st->cwnd_limited_now = false;
    }
}

void quic_bbr_model_advance_max_bw(quic_bbr_state *st)
{
    if (st->max_bw_fp[1] != 0) { /* a cycle without a sample does not push the others out */
        st->max_bw_fp[0] = st->max_bw_fp[1];
        st->max_bw_fp[1] = 0;
    }
}

/* 5.5.5, UpdateMaxBw. */
static void update_max_bw(quic_bbr_state *st, const quic_cc_sample *sample)
{
    update_round(st, sample);
    if (st->sample_fp > 0 && (st->sample_fp >= quic_bbr_max_bw(st) || !sample->rate_app_limited)) {
        st->max_bw_fp[1] = max64(st->max_bw_fp[1], st->sample_fp);
    }
}

/* 5.3.1.2, CheckFullBWReached. */
void quic_bbr_model_check_full_bw(quic_bbr_state *st, bool app_limited)
{
    if (st->full_bw_now || !st->round_start || app_limited) {
        return;
    }
    if (st->sample_fp >= quic_bbr_percent(st->full_bw_fp, FULL_BW_PERCENT)) {
        quic_bbr_model_reset_full_bw(st);
        st->full_bw_fp = st->sample_fp;
        return;
    }
    st->full_bw_now = ++st->full_bw_count >= FULL_BW_ROUNDS;
    st->full_bw_reached = st->full_bw_reached || st->full_bw_now;
}

/* ---- losses ------------------------------------------------------------------------------------- */

void quic_bbr_model_save_cwnd(quic_cc *cc)
{
    quic_bbr_state *st = &cc->u.bbr;
    bool modulated = cc->in_recovery || st->mode == QUIC_BBR_PROBE_RTT;
    st->prior_cwnd = modulated ? max64(st->prior_cwnd, cc->cwnd_bytes) : cc->cwnd_bytes;
}

void quic_bbr_model_note_loss(quic_cc *cc, uint64_t delivered_bytes)
{
    quic_bbr_state *st = &cc->u.bbr;
    if (!st->is_loss_in_round) {
        st->loss_round_delivered = delivered_bytes;
        quic_bbr_model_save_cwnd(cc);
        st->undo_mode = QUIC_BBR_MODE_NONE;
        st->undo_bw_shortterm_fp = st->bw_shortterm_fp;
        st->undo_inflight_shortterm = st->inflight_shortterm;
        st->undo_inflight_longterm = st->inflight_longterm;
    }
    st->is_loss_in_round = true;
}

/* 5.5.10.3: once per round with losses, while not probing, follow what the path delivers. */
static void adapt_lower_bounds(quic_cc *cc)
{
    quic_bbr_state *st = &cc->u.bbr;
    if (st->mode == QUIC_BBR_STARTUP || st->mode == QUIC_BBR_PROBE_REFILL ||
        st->mode == QUIC_BBR_PROBE_UP || !st->is_loss_in_round) {
        return;
    }
    if (st->bw_shortterm_fp == QUIC_BBR_INFINITY) {
        st->bw_shortterm_fp = quic_bbr_max_bw(st);
    }
    if (st->inflight_shortterm == QUIC_BBR_INFINITY) {
        st->inflight_shortterm = cc->cwnd_bytes;
    }
    /* We pace below the bandwidth by a margin of ours: that the path delivered no more than that is no
     * news about the path, and round after round of it would add up. */
    uint64_t latest = st->bw_latest_fp + st->bw_latest_fp / QUIC_BBR_PACING_PERCENT;
    st->bw_shortterm_fp = max64(latest, quic_bbr_percent(st->bw_shortterm_fp, BETA_PERCENT));
    st->inflight_shortterm =
        max64(st->inflight_latest, quic_bbr_percent(st->inflight_shortterm, BETA_PERCENT));
}

/* UpdateLatestDeliverySignals and UpdateCongestionSignals. */
static void update_signals(quic_cc *cc, const quic_cc_sample *sample)
{
    quic_bbr_state *st = &cc->u.bbr;
    st->bw_latest_fp = max64(st->bw_latest_fp, st->sample_fp);
    st->inflight_latest = max64(st->inflight_latest, st->sample_bytes);
    st->loss_round_start = sample->prior_delivered_bytes >= st->loss_round_delivered;
    if (st->loss_round_start) {
        st->loss_round_delivered = sample->delivered_bytes;
    }
    update_max_bw(st, sample);
    if (st->loss_round_start) {
        adapt_lower_bounds(cc);
    }
}

void quic_bbr_model_end_ack(quic_bbr_state *st)
{
    if (st->loss_round_start) {
        st->bw_latest_fp = st->sample_fp;
        st->inflight_latest = st->sample_bytes;
        st->is_loss_in_round = false;
        st->loss_ranges = 0;
    }
    uint64_t bw = quic_bbr_max_bw(st);
    st->bw_fp = bw < st->bw_shortterm_fp ? bw : st->bw_shortterm_fp;
}

/* ---- aggregation and RTT ------------------------------------------------------------------------ */

/* 5.5.9, UpdateACKAggregation. */
static void update_extra_acked(quic_cc *cc, const quic_cc_sample *sample, quic_ns now)
{
    quic_bbr_state *st = &cc->u.bbr;
    uint64_t expected = quic_bbr_bytes_in(st->bw_fp, now - st->extra_acked_start_ns);
    if (st->round_start) {
        uint32_t rounds = st->full_bw_reached ? EXTRA_ACKED_ROUNDS : 1;
        if (++st->rounds_in_window >= rounds) {
            st->rounds_in_window = 0;
            st->extra_acked[0] = st->extra_acked[1];
            st->extra_acked[1] = 0;
        }
    }
    if (st->extra_acked_delivered <= expected) {
        st->extra_acked_delivered = 0;
        st->extra_acked_start_ns = now;
        expected = 0;
    }
    st->extra_acked_delivered += sample->acked_bytes;
    uint64_t extra =
        st->extra_acked_delivered > expected ? st->extra_acked_delivered - expected : 0;
    extra = extra < cc->cwnd_bytes ? extra : cc->cwnd_bytes;
    st->extra_acked[1] = max64(st->extra_acked[1], extra);
}

void quic_bbr_model_on_rtt(quic_bbr_state *st, quic_ns rtt_ns, quic_ns now)
{
    st->probe_rtt_expired = now > st->probe_rtt_min_stamp_ns + PROBE_RTT_INTERVAL;
    if (rtt_ns != 0 && (rtt_ns < st->probe_rtt_min_ns || st->probe_rtt_expired)) {
        st->probe_rtt_min_ns = rtt_ns;
        st->probe_rtt_min_stamp_ns = now;
    }
    if (st->probe_rtt_min_ns < st->min_rtt_ns || now > st->min_rtt_stamp_ns + MIN_RTT_WINDOW) {
        st->min_rtt_ns = st->probe_rtt_min_ns;
        st->min_rtt_stamp_ns = st->probe_rtt_min_stamp_ns;
    }
}

void quic_bbr_model_on_ack(quic_cc *cc, const quic_cc_sample *sample, quic_ns now)
{
    take_sample(&cc->u.bbr, sample);
    update_signals(cc, sample);
    update_extra_acked(cc, sample, now);
}

#include "quic/cc/bbr_states.h"

#include "quic/cc/bbr_model.h"

#define BETA_PERCENT         70u
#define HEADROOM_PERCENT     15u
#define STARTUP_LOSS_RANGES  6u /* so many gaps in a round end Startup, 5.3.1.3 */
#define PROBE_RTT_PERCENT    50u
#define PROBE_RTT_NS         (200 * QUIC_NS_PER_MS)
#define DRAIN_ROUNDS_MAX     3u
#define RENO_ROUNDS_MAX      63u
#define PROBE_WAIT_NS        (2 * QUIC_NS_PER_S)
#define PROBE_WAIT_SPREAD_NS (1 * QUIC_NS_PER_S)
/* One being made, one under way, one whose ACK is being made: datagrams leave and are taken in trains here as
 * segments do of TCP (5.5.8.1; 5.5.8.2 has one quantum for QUIC in the simplest case). */
#define QUANTA_IN_FLIGHT 3u

static uint64_t min64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ---- volumes ------------------------------------------------------------------------------------- */

/* 5.6.4.2, QuantizationBudget. */
uint64_t quic_bbr_quantize(const quic_cc *cc, uint64_t bytes)
{
    const quic_bbr_state *st = &cc->u.bbr;
    bytes = max64(bytes, QUANTA_IN_FLIGHT * st->send_quantum);
    bytes = max64(bytes, quic_bbr_min_pipe(cc));
    return st->mode == QUIC_BBR_PROBE_UP ? bytes + 2ull * cc->datagram_bytes : bytes;
}

/* The bandwidth-delay product, unless congestion cut the window: 5.3.3.8, TargetInflight. */
static uint64_t target_inflight(const quic_cc *cc)
{
    return min64(quic_bbr_bdp(cc, cc->u.bbr.bw_fp, 100), cc->cwnd_bytes);
}

uint64_t quic_bbr_inflight_with_headroom(const quic_cc *cc)
{
    uint64_t longterm = cc->u.bbr.inflight_longterm;
    if (longterm == QUIC_BBR_INFINITY) {
        return longterm;
    }
    uint64_t headroom = max64(cc->datagram_bytes, quic_bbr_percent(longterm, HEADROOM_PERCENT));
    return longterm > headroom + quic_bbr_min_pipe(cc) ? longterm - headroom
                                                       : quic_bbr_min_pipe(cc);
}

uint64_t quic_bbr_probe_rtt_cwnd(const quic_cc *cc)
{
    uint64_t cwnd = quic_bbr_bdp(cc, cc->u.bbr.bw_fp, PROBE_RTT_PERCENT);
    return max64(cwnd, quic_bbr_min_pipe(cc));
}

/* ---- states -------------------------------------------------------------------------------------- */

static quic_ns pick_probe_wait(quic_bbr_state *st, quic_ns now)
{
    st->random = (st->random ^ now) * 0x9e3779b97f4a7c15ull + 0x2545f4914f6cdd1dull;
    st->rounds_since_probe_up = (uint32_t)(st->random >> 63);
    return PROBE_WAIT_NS + (st->random >> 16 & 0xffffffff) * PROBE_WAIT_SPREAD_NS / UINT32_MAX;
}

static void start_down(quic_bbr_state *st, uint64_t delivered_bytes, quic_ns now)
{
    quic_bbr_model_reset_congestion(st);
    st->probe_up_acked_per_inc = QUIC_BBR_INFINITY;
    st->probe_wait_ns = pick_probe_wait(st, now);
    st->cycle_stamp_ns = now;
    st->ack_phase = QUIC_BBR_ACKS_PROBE_STOPPING;
    quic_bbr_start_round(st, delivered_bytes);
    st->mode = QUIC_BBR_PROBE_DOWN;
}

void quic_bbr_start_refill(quic_bbr_state *st, uint64_t delivered_bytes)
{
    quic_bbr_model_reset_shortterm(st);
    st->probe_up_rounds = 0;
    st->probe_up_acked = 0;
    st->prev_probe_precautionary = false;
    st->ack_phase = QUIC_BBR_ACKS_REFILLING;
    quic_bbr_start_round(st, delivered_bytes);
    st->mode = QUIC_BBR_PROBE_REFILL;
}

static void raise_longterm_slope(quic_cc *cc)
{
    quic_bbr_state *st = &cc->u.bbr;
    uint64_t per_inc = cc->cwnd_bytes >> st->probe_up_rounds;
    st->probe_up_rounds = st->probe_up_rounds < 30 ? (uint8_t)(st->probe_up_rounds + 1) : 30;
    st->probe_up_acked_per_inc = max64(per_inc, cc->datagram_bytes);
}

static void start_up(quic_cc *cc, uint64_t delivered_bytes)
{
    quic_bbr_state *st = &cc->u.bbr;
    st->ack_phase = QUIC_BBR_ACKS_PROBE_STARTING;
    quic_bbr_start_round(st, delivered_bytes);
    quic_bbr_model_reset_full_bw(st);
    st->full_bw_fp = st->sample_fp;
    st->mode = QUIC_BBR_PROBE_UP;
    raise_longterm_slope(cc);
}

/* ---- Startup and Drain ---------------------------------------------------------------------------- */

/* 5.3.1.3: a full round of recovery with many gaps. */
static void check_startup_loss(quic_cc *cc, const quic_cc_sample *sample)
{
    quic_bbr_state *st = &cc->u.bbr;
    if (!st->loss_round_start || !st->is_loss_in_round || st->full_bw_reached ||
        st->loss_ranges < STARTUP_LOSS_RANGES ||
        !quic_bbr_is_loss_too_high(sample->lost_since_bytes, sample->tx_in_flight_bytes)) {
        return;
    }
    st->undo_mode = QUIC_BBR_STARTUP;
    st->full_bw_reached = true;
    st->inflight_longterm = max64(quic_bbr_bdp(cc, quic_bbr_max_bw(st), 100), st->inflight_latest);
}

void quic_bbr_check_startup_and_drain(quic_cc *cc, const quic_cc_sample *sample, quic_ns now)
{
    quic_bbr_state *st = &cc->u.bbr;
    if (st->mode == QUIC_BBR_STARTUP) {
        check_startup_loss(cc, sample);
        if (st->full_bw_reached) {
            st->mode = QUIC_BBR_DRAIN;
            st->drain_start_round = st->round_count;
        }
    }
    if (st->mode == QUIC_BBR_DRAIN &&
        (sample->in_flight_bytes <= quic_bbr_quantize(cc, quic_bbr_bdp(cc, st->bw_fp, 100)) ||
         st->round_count > st->drain_start_round + DRAIN_ROUNDS_MAX)) {
        start_down(st, sample->delivered_bytes, now);
    }
}

/* ---- ProbeBW ---------------------------------------------------------------------------------------- */

static bool is_time_to_probe(const quic_cc *cc, quic_ns now)
{
    const quic_bbr_state *st = &cc->u.bbr;
    if (now > st->cycle_stamp_ns + st->probe_wait_ns) {
        return true;
    }
    /* 5.3.3.8: as often as Reno would lose a packet on this path, to live with it side by side. */
    uint64_t rounds = target_inflight(cc) / cc->datagram_bytes;
    return st->rounds_since_probe_up >= min64(rounds, RENO_ROUNDS_MAX);
}

static bool is_time_to_cruise(const quic_cc *cc, const quic_cc_sample *sample)
{
    uint64_t bdp = quic_bbr_bdp(cc, quic_bbr_max_bw(&cc->u.bbr), 100);
    return sample->in_flight_bytes <= quic_bbr_inflight_with_headroom(cc) &&
           sample->in_flight_bytes <= quic_bbr_quantize(cc, bdp);
}

static bool is_cwnd_limited(const quic_bbr_state *st)
{
    return st->cwnd_limited_now || st->cwnd_limited_last;
}

static bool is_time_to_go_down(quic_cc *cc, const quic_cc_sample *sample)
{
    quic_bbr_state *st = &cc->u.bbr;
    if (st->prev_probe_too_high && sample->in_flight_bytes >= st->inflight_longterm) {
        st->prev_probe_precautionary = true; /* 5.3.3.6 */
        return true;
    }
    if (is_cwnd_limited(st) && cc->cwnd_bytes >= st->inflight_longterm) {
        quic_bbr_model_reset_full_bw(st); /* that bound holds the bandwidth down, not the path */
        st->full_bw_fp = st->sample_fp;
        return false;
    }
    return st->full_bw_now;
}

static void grow_longterm(quic_cc *cc, const quic_cc_sample *sample)
{
    quic_bbr_state *st = &cc->u.bbr;
    if (!is_cwnd_limited(st) || cc->cwnd_bytes < st->inflight_longterm) {
        return; /* not used up: nothing is known of what lies beyond */
    }
    st->probe_up_acked += sample->acked_bytes;
    if (st->probe_up_acked >= st->probe_up_acked_per_inc) {
        uint64_t steps = st->probe_up_acked / st->probe_up_acked_per_inc;
        st->probe_up_acked -= steps * st->probe_up_acked_per_inc;
        st->inflight_longterm += steps * cc->datagram_bytes;
    }
    if (st->round_start) {
        raise_longterm_slope(cc);
    }
}

/* 5.3.3.9, AdaptLongTermModel. True when it has changed the state. */
static bool adapt_longterm(quic_cc *cc, const quic_cc_sample *sample)
{
    quic_bbr_state *st = &cc->u.bbr;
    if (st->ack_phase == QUIC_BBR_ACKS_PROBE_STARTING && st->round_start) {
        st->ack_phase = QUIC_BBR_ACKS_PROBE_FEEDBACK;
    }
    if (st->ack_phase == QUIC_BBR_ACKS_PROBE_STOPPING && st->round_start) {
        st->is_bw_probe_sample = false;
        st->ack_phase = QUIC_BBR_ACKS_INIT;
        if (quic_bbr_is_probe_bw(st) && !sample->rate_app_limited) {
            quic_bbr_model_advance_max_bw(st);
        }
        if (quic_bbr_is_probe_bw(st) && st->prev_probe_precautionary && !st->prev_probe_too_high) {
            quic_bbr_start_refill(st, sample->delivered_bytes);
            return true;
        }
    }
    if (quic_bbr_is_loss_too_high(sample->lost_since_bytes, sample->tx_in_flight_bytes) ||
        st->inflight_longterm == QUIC_BBR_INFINITY) {
        return false;
    }
    st->inflight_longterm = max64(st->inflight_longterm, sample->tx_in_flight_bytes);
    if (st->mode == QUIC_BBR_PROBE_UP) {
        grow_longterm(cc, sample);
    }
    return false;
}

void quic_bbr_update_probe_bw(quic_cc *cc, const quic_cc_sample *sample, quic_ns now)
{
    quic_bbr_state *st = &cc->u.bbr;
    if (!st->full_bw_reached || adapt_longterm(cc, sample)) {
        return;
    }
    switch (st->mode) {
    case QUIC_BBR_PROBE_DOWN:
    case QUIC_BBR_PROBE_CRUISE:
        if (is_time_to_probe(cc, now)) {
            quic_bbr_start_refill(st, sample->delivered_bytes);
        } else if (st->mode == QUIC_BBR_PROBE_DOWN && is_time_to_cruise(cc, sample)) {
            st->mode = QUIC_BBR_PROBE_CRUISE;
        }
        break;
    case QUIC_BBR_PROBE_REFILL:
        if (st->round_start) {
            st->is_bw_probe_sample = true;
            start_up(cc, sample->delivered_bytes);
        }
        break;
    case QUIC_BBR_PROBE_UP:
        if (is_time_to_go_down(cc, sample)) {
            st->prev_probe_too_high = false;
            start_down(st, sample->delivered_bytes, now);
        }
        break;
    default:
        break; /* no state of ProbeBW */
    }
}

/* ---- ProbeRTT -------------------------------------------------------------------------------------- */

void quic_bbr_restore_cwnd(quic_cc *cc)
{
    quic_cc_set_cwnd(cc, max64(cc->cwnd_bytes, cc->u.bbr.prior_cwnd));
}

void quic_bbr_exit_probe_rtt(quic_cc *cc, uint64_t delivered_bytes, quic_ns now)
{
    quic_bbr_state *st = &cc->u.bbr;
    st->probe_rtt_min_stamp_ns = now; /* the next one counts from here */
    cc->holds_back = false;
    quic_bbr_restore_cwnd(cc);
    quic_bbr_model_reset_shortterm(st);
    if (st->full_bw_reached) {
        start_down(st, delivered_bytes, now);
        st->mode = QUIC_BBR_PROBE_CRUISE; /* in flight is below the product already */
    } else {
        st->mode = QUIC_BBR_STARTUP;
    }
}

void quic_bbr_check_probe_rtt(quic_cc *cc, const quic_cc_sample *sample, quic_ns now)
{
    quic_bbr_state *st = &cc->u.bbr;
    if (st->mode != QUIC_BBR_PROBE_RTT && st->probe_rtt_expired && !st->idle_restart) {
        quic_bbr_model_save_cwnd(cc);
        if (st->ack_phase == QUIC_BBR_ACKS_PROBE_STOPPING && quic_bbr_is_probe_bw(st) &&
            !sample->rate_app_limited) {
            /* The round after a probe is cut short. Its cycle has its samples all the same; without
             * this a path that became slower with long queues would never be believed. */
            quic_bbr_model_advance_max_bw(st);
        }
        st->mode = QUIC_BBR_PROBE_RTT;
        st->probe_rtt_done_ns = 0;
        st->ack_phase = QUIC_BBR_ACKS_PROBE_STOPPING;
        quic_bbr_start_round(st, sample->delivered_bytes);
        cc->holds_back = true;
    }
    if (st->mode == QUIC_BBR_PROBE_RTT) {
        if (st->probe_rtt_done_ns == 0) {
            if (sample->in_flight_bytes <= quic_bbr_probe_rtt_cwnd(cc)) {
                st->probe_rtt_done_ns = now + PROBE_RTT_NS;
                st->probe_rtt_round_done = false;
                quic_bbr_start_round(st, sample->delivered_bytes);
            }
        } else {
            st->probe_rtt_round_done = st->probe_rtt_round_done || st->round_start;
            if (st->probe_rtt_round_done && now > st->probe_rtt_done_ns) {
                quic_bbr_exit_probe_rtt(cc, sample->delivered_bytes, now);
            }
        }
    }
    if (sample->delivered_bytes > sample->prior_delivered_bytes) {
        st->idle_restart = false;
    }
}

/* 5.5.10.2, HandleInflightTooHigh. */
void quic_bbr_on_inflight_too_high(quic_cc *cc, uint64_t inflight, bool app_limited,
                                   uint64_t delivered_bytes, quic_ns now)
{
    quic_bbr_state *st = &cc->u.bbr;
    st->prev_probe_too_high = true;
    st->is_bw_probe_sample = false; /* one answer per probe */
    if (!app_limited) {
        st->inflight_longterm =
            max64(inflight, quic_bbr_percent(target_inflight(cc), BETA_PERCENT));
    }
    if (st->mode == QUIC_BBR_PROBE_UP) {
        st->undo_mode = QUIC_BBR_PROBE_UP;
        start_down(st, delivered_bytes, now);
    }
}

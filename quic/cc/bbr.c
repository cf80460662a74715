#include "quic/cc/bbr.h"

#include "quic/cc/bbr_model.h"
#include "quic/cc/bbr_states.h"

#define QUANTUM_NS  (1 * QUIC_NS_PER_MS)
#define QUANTUM_MAX 65536u

/* 5.6.1. */
static const struct {
    uint32_t pacing_percent;
    uint32_t cwnd_percent;
} GAINS[] = {
    [QUIC_BBR_STARTUP] = {277, 200},      [QUIC_BBR_DRAIN] = {50, 200},
    [QUIC_BBR_PROBE_DOWN] = {90, 200},    [QUIC_BBR_PROBE_CRUISE] = {100, 200},
    [QUIC_BBR_PROBE_REFILL] = {100, 200}, [QUIC_BBR_PROBE_UP] = {125, 225},
    [QUIC_BBR_PROBE_RTT] = {100, 50},
};

static uint64_t min64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ---- window and rate ------------------------------------------------------------------------------- */

static void set_pacing_rate(quic_cc *cc, uint32_t gain_percent)
{
    const quic_bbr_state *st = &cc->u.bbr;
    uint64_t rate =
        quic_bbr_percent(quic_bbr_percent(st->bw_fp, gain_percent), QUIC_BBR_PACING_PERCENT);
    if (rate > 0 && (st->full_bw_reached || rate > cc->pacing_rate_fp)) {
        cc->pacing_rate_fp = rate;
    }
}

/* 5.6.2, InitPacingRate: before there is a sample, the initial window per round trip. */
static void init_pacing_rate(quic_cc *cc, quic_ns srtt_ns)
{
    uint64_t window =
        quic_bbr_percent(quic_cc_initial_cwnd(cc), GAINS[QUIC_BBR_STARTUP].pacing_percent);
    cc->pacing_rate_fp = max64((window << 32) / srtt_ns, 1);
}

static void set_send_quantum(quic_cc *cc)
{
    uint64_t quantum = min64(quic_bbr_bytes_in(cc->pacing_rate_fp, QUANTUM_NS), QUANTUM_MAX);
    cc->u.bbr.send_quantum = max64(quantum, 2ull * cc->datagram_bytes);
}

/* 5.6.4.7, BoundCwndForModel. */
static uint64_t model_cap(const quic_cc *cc)
{
    const quic_bbr_state *st = &cc->u.bbr;
    uint64_t cap = QUIC_BBR_INFINITY;
    if (st->mode == QUIC_BBR_PROBE_CRUISE || st->mode == QUIC_BBR_PROBE_RTT) {
        cap = quic_bbr_inflight_with_headroom(cc);
    } else if (quic_bbr_is_probe_bw(st)) {
        cap = st->inflight_longterm;
    }
    return max64(min64(cap, st->inflight_shortterm), quic_bbr_min_pipe(cc));
}

/* 5.6.4.6, SetCwnd. */
static void set_cwnd(quic_cc *cc, const quic_cc_sample *sample)
{
    const quic_bbr_state *st = &cc->u.bbr;
    uint64_t max_inflight = quic_bbr_quantize(
        cc, quic_bbr_bdp(cc, st->bw_fp, GAINS[st->mode].cwnd_percent) + quic_bbr_extra_acked(st));
    uint64_t cwnd = cc->cwnd_bytes;
    if (st->full_bw_reached) {
        cwnd = min64(cwnd + sample->acked_bytes, max_inflight);
    } else if (cwnd < max_inflight || sample->delivered_bytes < quic_cc_initial_cwnd(cc)) {
        cwnd += sample->acked_bytes;
    }
    cwnd = max64(cwnd, quic_bbr_min_pipe(cc));
    if (st->mode == QUIC_BBR_PROBE_RTT) {
        cwnd = min64(cwnd, quic_bbr_probe_rtt_cwnd(cc));
    }
    quic_cc_set_cwnd(cc, min64(cwnd, model_cap(cc)));
}

/* ---- events ------------------------------------------------------------------------------------------ */

static void bbr_init(quic_cc *cc)
{
    quic_bbr_model_init(&cc->u.bbr);
    cc->u.bbr.mode = QUIC_BBR_STARTUP;
    cc->u.bbr.send_quantum = 2ull * cc->datagram_bytes;
}

static void bbr_on_sample(quic_cc *cc, const quic_cc_sample *sample, quic_ns now)
{
    quic_bbr_state *st = &cc->u.bbr;
    if (!st->has_rtt && sample->srtt_ns > 0) {
        st->has_rtt = true;
        st->min_rtt_stamp_ns = now;
        st->probe_rtt_min_stamp_ns = now;
        st->extra_acked_start_ns = now;
        init_pacing_rate(cc, sample->srtt_ns);
    }
    /* What was in flight before the ACK, and one more packet would not have fitted. */
    if (sample->prior_in_flight_bytes + 2ull * cc->datagram_bytes > cc->cwnd_bytes) {
        st->cwnd_limited_now = true;
    }
    quic_bbr_model_on_ack(cc, sample, now);
    quic_bbr_model_check_full_bw(st, sample->rate_app_limited);
    quic_bbr_check_startup_and_drain(cc, sample, now);
    quic_bbr_update_probe_bw(cc, sample, now);
    quic_bbr_model_on_rtt(st, sample->rtt_ns, now);
    quic_bbr_check_probe_rtt(cc, sample, now);
    quic_bbr_model_end_ack(st);
    set_pacing_rate(cc, GAINS[st->mode].pacing_percent);
    set_send_quantum(cc);
    set_cwnd(cc, sample);
}

static void bbr_on_lost(quic_cc *cc, const quic_cc_loss *loss, quic_ns now)
{
    quic_bbr_state *st = &cc->u.bbr;
    quic_bbr_model_note_loss(cc, loss->delivered_bytes);
    if (loss->pn != st->next_lost_pn && st->loss_ranges < UINT16_MAX) {
        st->loss_ranges++;
    }
    st->next_lost_pn = loss->pn + 1;
    if (!st->is_bw_probe_sample ||
        !quic_bbr_is_loss_too_high(loss->lost_since_bytes, loss->tx_in_flight_bytes)) {
        return;
    }
    /* InflightAtLoss: with how much in flight did the losses pass the threshold? */
    uint64_t inflight_prev = max64(loss->tx_in_flight_bytes, loss->bytes) - loss->bytes;
    uint64_t lost_prev = max64(loss->lost_since_bytes, loss->bytes) - loss->bytes;
    uint64_t tolerated = quic_bbr_percent(inflight_prev, QUIC_BBR_LOSS_THRESH_PERCENT);
    uint64_t prefix = tolerated > lost_prev
                          ? (tolerated - lost_prev) * 100 / (100 - QUIC_BBR_LOSS_THRESH_PERCENT)
                          : 0;
    quic_bbr_on_inflight_too_high(cc, inflight_prev + prefix, loss->app_limited,
                                  loss->delivered_bytes, now);
}

/* Losses were told one by one. What is left are CE marks, which count as congestion (3.7). */
static void bbr_on_congestion(quic_cc *cc, quic_ns now)
{
    quic_bbr_state *st = &cc->u.bbr;
    if (cc->can_undo) {
        return;
    }
    quic_bbr_model_note_loss(cc, st->next_round_delivered);
    if (st->is_bw_probe_sample) {
        quic_bbr_on_inflight_too_high(cc, 0, false, st->next_round_delivered, now);
    }
}

/* The window grows back with what arrives; the model stays. */
static void bbr_on_persistent_congestion(quic_cc *cc)
{
    quic_bbr_model_save_cwnd(cc);
}

/* 5.5.11.2, HandleSpuriousLossDetection. */
static void bbr_on_spurious(quic_cc *cc)
{
    quic_bbr_state *st = &cc->u.bbr;
    quic_bbr_restore_cwnd(cc);
    st->is_loss_in_round = false;
    quic_bbr_model_reset_full_bw(st);
    st->bw_shortterm_fp = max64(st->bw_shortterm_fp, st->undo_bw_shortterm_fp);
    st->inflight_shortterm = max64(st->inflight_shortterm, st->undo_inflight_shortterm);
    st->inflight_longterm = max64(st->inflight_longterm, st->undo_inflight_longterm);
    if (st->undo_mode == QUIC_BBR_STARTUP && st->mode != QUIC_BBR_STARTUP) {
        st->full_bw_reached = false;
        if (st->mode != QUIC_BBR_PROBE_RTT) {
            st->mode = QUIC_BBR_STARTUP;
        }
    } else if (st->undo_mode == QUIC_BBR_PROBE_UP && st->mode != QUIC_BBR_PROBE_UP &&
               st->mode != QUIC_BBR_PROBE_RTT) {
        quic_bbr_start_refill(st, st->next_round_delivered);
    }
    st->undo_mode = QUIC_BBR_MODE_NONE;
}

/* 5.4.1, HandleRestartFromIdle. */
static void bbr_on_idle_end(quic_cc *cc, quic_ns now)
{
    quic_bbr_state *st = &cc->u.bbr;
    st->idle_restart = true;
    st->extra_acked_start_ns = now;
    st->extra_acked_delivered = 0;
    if (quic_bbr_is_probe_bw(st)) {
        set_pacing_rate(cc, 100);
    } else if (st->mode == QUIC_BBR_PROBE_RTT && st->probe_rtt_done_ns != 0 &&
               now > st->probe_rtt_done_ns) {
        quic_bbr_exit_probe_rtt(cc, st->next_round_delivered, now);
    }
}

const quic_cc_vtable quic_bbr_vtable = {
    .name = "bbr",
    .init = bbr_init,
    .on_sample = bbr_on_sample,
    .on_lost = bbr_on_lost,
    .on_congestion = bbr_on_congestion,
    .on_persistent_congestion = bbr_on_persistent_congestion,
    .on_spurious = bbr_on_spurious,
    .on_idle_end = bbr_on_idle_end,
};

#include "quic/cc/cubic.h"

__extension__ typedef unsigned __int128 u128;

#define TIME_SHIFT 20u /* time unit 2^-20 s */
#define TIME_MAX   (1ull << 40)
#define EST_SHIFT  16u
/* C = 0.4, beta = 0.7 (RFC 9438 4.6, 5.1), alpha = 3 (1 - beta) / (1 + beta) = 9 / 17. */
#define C_NUM     2u
#define C_DEN     5u
#define BETA_NUM  7u
#define BETA_DEN  10u
#define ALPHA_NUM 9u
#define ALPHA_DEN 17u

/* ---- arithmetic --------------------------------------------------------------------------------- */

uint64_t quic_cubic_time(quic_ns ns)
{
    /* 2^20 / 10^9 as a 56-bit fraction. */
    uint64_t t = (uint64_t)(((u128)ns * 75557863725914ull) >> 56);
    return t < TIME_MAX ? t : TIME_MAX;
}

/* The largest r with r^3 <= v, for r < 2^41. */
static uint64_t cube_root(u128 v)
{
    uint64_t r = 0;
    for (int bit = 40; bit >= 0; bit--) {
        uint64_t t = r | 1ull << bit;
        if ((u128)t * t * t <= v) {
            r = t;
        }
    }
    return r;
}

uint64_t quic_cubic_k(uint64_t gap_bytes, uint32_t datagram_bytes)
{
    if (gap_bytes > QUIC_CWND_LIMIT) {
        gap_bytes = QUIC_CWND_LIMIT;
    }
    /* K^3 = gap / (C * datagram) in s^3, times 2^60. */
    u128 cube = ((u128)gap_bytes * C_DEN << (3 * TIME_SHIFT)) / ((u128)C_NUM * datagram_bytes);
    return cube_root(cube);
}

uint64_t quic_cubic_window(uint64_t t, uint64_t k, uint64_t w_max, uint32_t datagram_bytes)
{
    bool below = t < k;
    uint64_t d = below ? k - t : t - k;
    if (d >= 1ull << 32) { /* more than an hour: beyond every bound */
        return below ? 0 : QUIC_CWND_LIMIT;
    }
    /* C * datagram as 32.16 fixed point, then C * datagram * d^3 / 2^60. */
    uint64_t c = (uint64_t)datagram_bytes * (C_NUM << 16) / C_DEN;
    u128 delta = (((u128)d * d * d) >> 16) * c >> (3 * TIME_SHIFT);
    if (below) {
        return delta >= w_max ? 0 : w_max - (uint64_t)delta;
    }
    u128 w = delta + w_max;
    return w > QUIC_CWND_LIMIT ? QUIC_CWND_LIMIT : (uint64_t)w;
}

/* ---- stages -------------------------------------------------------------------------------------- */

static void cubic_init(quic_cc *cc)
{
    quic_cubic_state *st = &cc->u.cubic;
    memset(st, 0, sizeof(*st));
    st->epoch.start_ns = QUIC_NS_NEVER;
    st->limited_since_ns = QUIC_NS_NEVER;
    st->k_is_zero = true;
    quic_hystart_init(&st->hystart);
}

/* A congestion avoidance stage begins. */
static void begin_epoch(quic_cc *cc, quic_ns now)
{
    quic_cubic_state *st = &cc->u.cubic;
    quic_cubic_epoch *ep = &st->epoch;
    ep->start_ns = now;
    ep->w_est_fp = cc->cwnd_bytes << EST_SHIFT;
    if (st->k_is_zero || ep->w_max <= cc->cwnd_bytes) {
        /* RFC 9438 4.8, 4.10: no reduction to climb back from. */
        ep->w_max = cc->cwnd_bytes;
        ep->k = 0;
        if (ep->cwnd_prior == 0) { /* after a timeout it is the window before, 4.3 */
            ep->cwnd_prior = cc->cwnd_bytes;
        }
    } else {
        ep->k = quic_cubic_k(ep->w_max - cc->cwnd_bytes, cc->datagram_bytes);
    }
}

static void slow_start_on_acked(quic_cc *cc, const quic_cc_sample *sample, quic_ns now)
{
    quic_hystart *hs = &cc->u.cubic.hystart;
    bool leave = quic_hystart_on_acked(hs, sample->rtt_ns, sample->largest_acked_sent_ns, now);
    if (!sample->app_limited) {
        uint64_t growth =
            quic_hystart_growth(hs, sample->acked_bytes, cc->datagram_bytes, cc->paced);
        quic_cc_set_cwnd(cc, cc->cwnd_bytes + growth);
    }
    if (leave) {
        cc->ssthresh_bytes = cc->cwnd_bytes; /* RFC 9406 4.2 */
    }
}

/* RFC 9438 4.3: what Reno would have. Returns bytes. */
static uint64_t grow_w_est(quic_cc *cc, uint64_t acked)
{
    quic_cubic_epoch *ep = &cc->u.cubic.epoch;
    uint64_t step =
        quic_cc_mul_div((uint64_t)cc->datagram_bytes << EST_SHIFT, acked, cc->cwnd_bytes);
    if (ep->w_est_fp >> EST_SHIFT < ep->cwnd_prior) {
        step = step * ALPHA_NUM / ALPHA_DEN;
    }
    ep->w_est_fp += step;
    if (ep->w_est_fp > QUIC_CWND_LIMIT << EST_SHIFT) {
        ep->w_est_fp = QUIC_CWND_LIMIT << EST_SHIFT;
    }
    return ep->w_est_fp >> EST_SHIFT;
}

static void avoidance_on_acked(quic_cc *cc, const quic_cc_sample *sample, quic_ns now)
{
    quic_cubic_state *st = &cc->u.cubic;
    if (st->epoch.start_ns == QUIC_NS_NEVER) {
        begin_epoch(cc, now);
    }
    quic_cubic_epoch *ep = &st->epoch;
    uint64_t cwnd = cc->cwnd_bytes;
    uint64_t acked = sample->acked_bytes < cwnd ? sample->acked_bytes : cwnd;
    quic_ns elapsed_ns = now > ep->start_ns ? now - ep->start_ns : 0;
    uint64_t t = quic_cubic_time(elapsed_ns);
    uint64_t w_est = grow_w_est(cc, acked);
    if (quic_cubic_window(t, ep->k, ep->w_max, cc->datagram_bytes) < w_est) {
        if (w_est > cwnd) {
            quic_cc_set_cwnd(cc, w_est); /* Reno-friendly region */
        }
        return;
    }
    /* RFC 9438 4.2, 4.4, 4.5: towards W_cubic one RTT ahead, at most half a window per RTT. */
    uint64_t target = quic_cubic_window(t + quic_cubic_time(sample->srtt_ns), ep->k, ep->w_max,
                                        cc->datagram_bytes);
    if (target > cwnd + cwnd / 2) {
        target = cwnd + cwnd / 2;
    }
    if (target > cwnd) {
        quic_cc_set_cwnd(cc, cwnd + quic_cc_mul_div(target - cwnd, acked, cwnd));
    }
}

/* RFC 9438 4.2, 5.8: time during which the application limits us is no part of t. */
static void end_limited(quic_cubic_state *st, quic_ns now)
{
    if (st->limited_since_ns == QUIC_NS_NEVER) {
        return;
    }
    if (st->epoch.start_ns != QUIC_NS_NEVER && now > st->limited_since_ns) {
        quic_ns since =
            st->limited_since_ns > st->epoch.start_ns ? st->limited_since_ns : st->epoch.start_ns;
        st->epoch.start_ns += now - since;
    }
    st->limited_since_ns = QUIC_NS_NEVER;
}

static void cubic_on_acked(quic_cc *cc, const quic_cc_sample *sample, quic_ns now)
{
    quic_cubic_state *st = &cc->u.cubic;
    st->last_acked_ns = now;
    if (quic_cc_in_slow_start(cc)) {
        slow_start_on_acked(cc, sample, now);
        return;
    }
    if (sample->app_limited) {
        if (st->limited_since_ns == QUIC_NS_NEVER) {
            st->limited_since_ns = now;
        }
        return;
    }
    end_limited(st, now);
    avoidance_on_acked(cc, sample, now);
}

static void cubic_on_idle_end(quic_cc *cc, quic_ns now)
{
    quic_cubic_state *st = &cc->u.cubic;
    if (st->limited_since_ns == QUIC_NS_NEVER && st->last_acked_ns != 0 &&
        now > st->last_acked_ns) {
        st->limited_since_ns = st->last_acked_ns;
    }
}

static void cubic_on_congestion(quic_cc *cc, quic_ns now)
{
    quic_cubic_state *st = &cc->u.cubic;
    end_limited(st, now);
    st->undo = st->epoch;
    st->undo_cwnd = cc->cwnd_bytes;
    st->undo_ssthresh = cc->ssthresh_bytes;
    st->undo_k_is_zero = st->k_is_zero;
    uint64_t cwnd = cc->cwnd_bytes;
    /* RFC 9438 4.7: fast convergence. */
    st->epoch.w_max = cwnd < st->epoch.w_max ? cwnd * (BETA_DEN + BETA_NUM) / (2 * BETA_DEN) : cwnd;
    st->epoch.cwnd_prior = cwnd;
    st->epoch.start_ns = QUIC_NS_NEVER;
    st->k_is_zero = false;
    quic_hystart_stop(&st->hystart);
    quic_cc_set_cwnd(cc, cwnd * BETA_NUM / BETA_DEN); /* RFC 9438 4.6 */
    cc->ssthresh_bytes = cc->cwnd_bytes;
}

static void cubic_on_persistent_congestion(quic_cc *cc)
{
    quic_cubic_state *st = &cc->u.cubic;
    /* RFC 9438 4.8: the next stage starts from where slow start ends. */
    st->epoch.start_ns = QUIC_NS_NEVER;
    st->limited_since_ns = QUIC_NS_NEVER;
    st->k_is_zero = true;
    quic_hystart_stop(&st->hystart);
}

static void cubic_on_spurious(quic_cc *cc)
{
    quic_cubic_state *st = &cc->u.cubic;
    if (cc->cwnd_bytes >= st->epoch.cwnd_prior) {
        return; /* RFC 9438 4.9.2 */
    }
    st->epoch = st->undo;
    st->k_is_zero = st->undo_k_is_zero;
    cc->ssthresh_bytes = st->undo_ssthresh;
    quic_cc_set_cwnd(cc, st->undo_cwnd);
}

const quic_cc_vtable quic_cubic_vtable = {
    .name = "cubic",
    .init = cubic_init,
    .on_acked = cubic_on_acked,
    .on_congestion = cubic_on_congestion,
    .on_persistent_congestion = cubic_on_persistent_congestion,
    .on_spurious = cubic_on_spurious,
    .on_idle_end = cubic_on_idle_end,
};

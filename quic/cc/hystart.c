#include "quic/cc/hystart.h"

void quic_hystart_init(quic_hystart *hs)
{
    memset(hs, 0, sizeof(*hs));
    hs->last_round_min_ns = QUIC_NS_NEVER;
    hs->round_min_ns = QUIC_NS_NEVER;
    hs->css_baseline_ns = QUIC_NS_NEVER;
}

static void begin_round(quic_hystart *hs, quic_ns now)
{
    hs->last_round_min_ns = hs->round_min_ns;
    hs->round_min_ns = QUIC_NS_NEVER;
    hs->sample_count = 0;
    hs->round_start_ns = now;
    hs->in_round = true;
}

/* RFC 9406 4.2: has the RTT risen enough to suspect a filling queue? */
static bool delay_rose(const quic_hystart *hs)
{
    if (hs->sample_count < QUIC_HYSTART_N_RTT_SAMPLE || hs->round_min_ns == QUIC_NS_NEVER ||
        hs->last_round_min_ns == QUIC_NS_NEVER) {
        return false;
    }
    quic_ns thresh_ns = hs->last_round_min_ns / QUIC_HYSTART_MIN_RTT_DIVISOR;
    if (thresh_ns > QUIC_HYSTART_MAX_RTT_THRESH_NS) {
        thresh_ns = QUIC_HYSTART_MAX_RTT_THRESH_NS;
    }
    if (thresh_ns < QUIC_HYSTART_MIN_RTT_THRESH_NS) {
        thresh_ns = QUIC_HYSTART_MIN_RTT_THRESH_NS;
    }
    return hs->round_min_ns >= hs->last_round_min_ns + thresh_ns;
}

static void update_phase(quic_hystart *hs)
{
    if (!hs->in_css) {
        if (delay_rose(hs)) {
            hs->in_css = true;
            hs->css_baseline_ns = hs->round_min_ns;
            hs->css_rounds = 0;
        }
        return;
    }
    if (hs->sample_count >= QUIC_HYSTART_N_RTT_SAMPLE && hs->round_min_ns < hs->css_baseline_ns) {
        hs->in_css = false; /* it was no queue: slow start goes on */
        hs->css_baseline_ns = QUIC_NS_NEVER;
    }
}

bool quic_hystart_on_acked(quic_hystart *hs, quic_ns rtt_ns, quic_ns largest_acked_sent_ns,
                           quic_ns now)
{
    if (hs->done) {
        return false;
    }
    if (!hs->in_round) {
        begin_round(hs, now);
    }
    if (rtt_ns != 0) {
        hs->round_min_ns = rtt_ns < hs->round_min_ns ? rtt_ns : hs->round_min_ns;
        hs->sample_count++;
        update_phase(hs);
    }
    if (largest_acked_sent_ns >= hs->round_start_ns) {
        /* The partial round in which CSS began counts as one (RFC 9406 4.2). */
        if (hs->in_css && ++hs->css_rounds >= QUIC_HYSTART_CSS_ROUNDS) {
            quic_hystart_stop(hs);
            return true;
        }
        begin_round(hs, now);
    }
    return false;
}

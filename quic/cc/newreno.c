#include "quic/cc/newreno.h"

static void newreno_init(quic_cc *cc)
{
    memset(&cc->u.newreno, 0, sizeof(cc->u.newreno));
}

static void newreno_on_acked(quic_cc *cc, const quic_cc_sample *sample, quic_ns now)
{
    (void)now;
    if (sample->app_limited) {
        return; /* RFC 9002 7.8 */
    }
    quic_newreno_state *st = &cc->u.newreno;
    if (quic_cc_in_slow_start(cc)) {
        quic_cc_set_cwnd(cc, cc->cwnd_bytes + sample->acked_bytes); /* RFC 9002 7.3.1 */
        return;
    }
    /* RFC 9002 7.3.3: one datagram per window acknowledged, counted as in RFC 3465 2.1. */
    st->acked_bytes += sample->acked_bytes;
    if (st->acked_bytes >= cc->cwnd_bytes) {
        st->acked_bytes -= cc->cwnd_bytes;
        quic_cc_set_cwnd(cc, cc->cwnd_bytes + cc->datagram_bytes);
    }
    if (st->acked_bytes > cc->cwnd_bytes) {
        st->acked_bytes = cc->cwnd_bytes; /* one ACK for several windows is worth one step */
    }
}

static void newreno_on_congestion(quic_cc *cc, quic_ns now)
{
    (void)now;
    cc->u.newreno.undo_cwnd = cc->cwnd_bytes;
    cc->u.newreno.undo_ssthresh = cc->ssthresh_bytes;
    cc->u.newreno.acked_bytes = 0;
    quic_cc_set_cwnd(cc, cc->cwnd_bytes / 2); /* RFC 9002 7.3.2 */
    cc->ssthresh_bytes = cc->cwnd_bytes;
}

static void newreno_on_persistent_congestion(quic_cc *cc)
{
    cc->u.newreno.acked_bytes = 0;
}

static void newreno_on_spurious(quic_cc *cc)
{
    if (cc->cwnd_bytes < cc->u.newreno.undo_cwnd) {
        quic_cc_set_cwnd(cc, cc->u.newreno.undo_cwnd);
        cc->ssthresh_bytes = cc->u.newreno.undo_ssthresh;
    }
}

const quic_cc_vtable quic_newreno_vtable = {
    .name = "newreno",
    .init = newreno_init,
    .on_acked = newreno_on_acked,
    .on_congestion = newreno_on_congestion,
    .on_persistent_congestion = newreno_on_persistent_congestion,
    .on_spurious = newreno_on_spurious,
};

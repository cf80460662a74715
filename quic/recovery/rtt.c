#include "quic/recovery/rtt.h"

#include "quic/base/check.h"

void quic_rtt_init(quic_rtt *rtt, quic_ns initial_ns)
{
    QURING_ASSERT(initial_ns > 0 && initial_ns <= QUIC_RTT_MAX_NS);
    rtt->latest_ns = 0;
    rtt->min_ns = 0;
    rtt->smoothed_ns = initial_ns;
    rtt->var_ns = initial_ns / 2;
    rtt->first_sample_ns = QUIC_NS_NEVER;
}

void quic_rtt_update(quic_rtt *rtt, quic_ns sample_ns, quic_ns ack_delay_ns, quic_ns now)
{
    if (sample_ns == 0) {
        sample_ns = 1; /* the clock did not move; 0 stands for "no RTT" elsewhere */
    }
    if (sample_ns > QUIC_RTT_MAX_NS) {
        sample_ns = QUIC_RTT_MAX_NS;
    }
    rtt->latest_ns = sample_ns;
    if (!quic_rtt_has_sample(rtt)) {
        rtt->min_ns = sample_ns;
        rtt->smoothed_ns = sample_ns;
        rtt->var_ns = sample_ns / 2;
        rtt->first_sample_ns = now;
        return;
    }
    if (sample_ns < rtt->min_ns) {
        rtt->min_ns = sample_ns;
    }
    /* RFC 9002 5.3: never below min_rtt. Written so that a huge delay cannot overflow. */
    quic_ns adjusted_ns = sample_ns;
    if (ack_delay_ns <= sample_ns - rtt->min_ns) {
        adjusted_ns = sample_ns - ack_delay_ns;
    }
    quic_ns diff_ns = rtt->smoothed_ns > adjusted_ns ? rtt->smoothed_ns - adjusted_ns
                                                     : adjusted_ns - rtt->smoothed_ns;
    rtt->var_ns = (3 * rtt->var_ns + diff_ns) / 4;
    rtt->smoothed_ns = (7 * rtt->smoothed_ns + adjusted_ns) / 8;
}

void quic_rtt_forget_min(quic_rtt *rtt)
{
    if (quic_rtt_has_sample(rtt)) {
        rtt->min_ns = rtt->latest_ns;
    }
}

/* quic/recovery/rtt.h: round-trip time of one path: latest, minimum, smoothed, variation.
 *
 * Owner:  the quic_recovery that embeds it.    Spec: RFC 9002 5, 6.2.1, 6.2.2.
 */
#ifndef QUIC_RECOVERY_RTT_H
#define QUIC_RECOVERY_RTT_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_INITIAL_RTT_NS (333 * QUIC_NS_PER_MS) /* kInitialRtt, RFC 9002 6.2.2 */
#define QUIC_GRANULARITY_NS (1 * QUIC_NS_PER_MS)   /* kGranularity, RFC 9002 6.1.2 */
#define QUIC_RTT_MAX_NS     (600 * QUIC_NS_PER_S)  /* larger samples count as this */

typedef struct quic_rtt {
    quic_ns latest_ns;
    quic_ns min_ns;
    quic_ns smoothed_ns;
    quic_ns var_ns;
    quic_ns first_sample_ns; /* when the first sample was taken; QUIC_NS_NEVER before */
} quic_rtt;

/* quic_rtt_init starts over with `initial_ns` (QUIC_INITIAL_RTT_NS unless better is known). */
void quic_rtt_init(quic_rtt *rtt, quic_ns initial_ns);

static inline bool quic_rtt_has_sample(const quic_rtt *rtt)
{
    return rtt->first_sample_ns != QUIC_NS_NEVER;
}

/* quic_rtt_update takes one sample. `ack_delay_ns` is what the peer reported, already limited to its
 * max_ack_delay where RFC 9002 5.3 asks for that. */
void quic_rtt_update(quic_rtt *rtt, quic_ns sample_ns, quic_ns ack_delay_ns, quic_ns now);

/* quic_rtt_forget_min lets min_ns start at the latest sample, after persistent congestion
 * (RFC 9002 5.2). */
void quic_rtt_forget_min(quic_rtt *rtt);

/* quic_rtt_pto_ns: smoothed_rtt + max(4 * rttvar, kGranularity), without max_ack_delay or backoff. */
static inline quic_ns quic_rtt_pto_ns(const quic_rtt *rtt)
{
    quic_ns var4 = 4 * rtt->var_ns;
    return rtt->smoothed_ns + (var4 > QUIC_GRANULARITY_NS ? var4 : QUIC_GRANULARITY_NS);
}

/* quic_rtt_loss_delay_ns: the time threshold of RFC 9002 6.1.2. */
static inline quic_ns quic_rtt_loss_delay_ns(const quic_rtt *rtt)
{
    quic_ns rtt_ns = rtt->latest_ns > rtt->smoothed_ns ? rtt->latest_ns : rtt->smoothed_ns;
    quic_ns delay_ns = rtt_ns + rtt_ns / 8;
    return delay_ns > QUIC_GRANULARITY_NS ? delay_ns : QUIC_GRANULARITY_NS;
}

#ifdef __cplusplus
}
#endif

#endif /* QUIC_RECOVERY_RTT_H */

/* quic/cc/hystart.h: HyStart++, leaving slow start when the RTT rises instead of when packets are lost.
 *
 * Shape:  rounds are told by sent times: a round ends when a packet sent after its start is
 *         acknowledged.
 * Owner:  the controller that embeds it.    Spec: RFC 9406.
 */
#ifndef QUIC_CC_HYSTART_H
#define QUIC_CC_HYSTART_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_HYSTART_MIN_RTT_THRESH_NS  (4 * QUIC_NS_PER_MS)
#define QUIC_HYSTART_MAX_RTT_THRESH_NS  (16 * QUIC_NS_PER_MS)
#define QUIC_HYSTART_MIN_RTT_DIVISOR    8u
#define QUIC_HYSTART_N_RTT_SAMPLE       8u
#define QUIC_HYSTART_CSS_GROWTH_DIVISOR 4u
#define QUIC_HYSTART_CSS_ROUNDS         5u
#define QUIC_HYSTART_L                  8u /* limit in datagrams per ACK of an unpaced sender */

typedef struct quic_hystart {
    quic_ns last_round_min_ns; /* QUIC_NS_NEVER = infinity */
    quic_ns round_min_ns;
    quic_ns css_baseline_ns;
    quic_ns round_start_ns;
    uint32_t sample_count;
    uint32_t css_rounds;
    bool in_css;
    bool in_round; /* round_start_ns is set */
    bool done;     /* slow start was left for good: no more HyStart++ (RFC 9406 4.3) */
} quic_hystart;

void quic_hystart_init(quic_hystart *hs);

/* quic_hystart_on_acked sees one ACK in slow start.
 *   rtt_ns                 its RTT sample, 0 when it gave none
 *   largest_acked_sent_ns  when the largest newly acknowledged packet left
 * Returns true when slow start ends now: set ssthresh to cwnd. */
bool quic_hystart_on_acked(quic_hystart *hs, quic_ns rtt_ns, quic_ns largest_acked_sent_ns,
                           quic_ns now);

/* quic_hystart_growth: by how much `acked` bytes grow the window in the present phase. */
static inline uint64_t quic_hystart_growth(const quic_hystart *hs, uint64_t acked,
                                           uint32_t datagram, bool paced)
{
    uint64_t limit = (uint64_t)QUIC_HYSTART_L * datagram;
    uint64_t n = paced || acked < limit ? acked : limit;
    return hs->in_css ? n / QUIC_HYSTART_CSS_GROWTH_DIVISOR : n;
}

/* quic_hystart_stop: slow start ended for another reason. */
static inline void quic_hystart_stop(quic_hystart *hs)
{
    hs->done = true;
    hs->in_css = false;
}

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CC_HYSTART_H */

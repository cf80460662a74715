/* quic/cc/bbr.h: BBR version 3: sends at the rate the path was measured to deliver, keeps about two
 * bandwidth-delay products in flight at most, and probes now and then for more bandwidth and for the
 * RTT of the empty path.
 *
 * Shape:  bbr.c takes the events and sets window and pacing rate, bbr_states.c has the states, bbr_model.c
 *         what is believed about the path: bandwidth, minimal RTT, aggregation, the bounds that losses
 *         taught.
 * Owner:  the quic_cc that embeds the state.
 * Spec:   draft-ietf-ccwg-bbr.
 */
#ifndef QUIC_CC_BBR_H
#define QUIC_CC_BBR_H

#include "quic/cc/cc.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum quic_bbr_mode {
    QUIC_BBR_STARTUP = 0,
    QUIC_BBR_DRAIN,
    QUIC_BBR_PROBE_DOWN,
    QUIC_BBR_PROBE_CRUISE,
    QUIC_BBR_PROBE_REFILL,
    QUIC_BBR_PROBE_UP,
    QUIC_BBR_PROBE_RTT,
    QUIC_BBR_MODE_NONE,
} quic_bbr_mode;

extern const quic_cc_vtable quic_bbr_vtable;

/* quic_bbr_mode_of: the state of the machine, for tests and traces. `cc` runs quic_bbr_vtable. */
static inline quic_bbr_mode quic_bbr_mode_of(const quic_cc *cc)
{
    return (quic_bbr_mode)cc->u.bbr.mode;
}

/* quic_bbr_bw_fp: the estimated bandwidth, bytes per nanosecond << 32. */
static inline uint64_t quic_bbr_bw_fp(const quic_cc *cc)
{
    return cc->u.bbr.bw_fp;
}

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CC_BBR_H */

/* quic/recovery/loss_internal.h: what loss.c (acknowledgements and losses) and loss_timer.c (timeouts,
 * spaces, paths) share. Nobody else includes it.
 */
#ifndef QUIC_RECOVERY_LOSS_INTERNAL_H
#define QUIC_RECOVERY_LOSS_INTERNAL_H

#include "quic/recovery/loss.h"

static inline quic_ns quic_recovery_add_sat(quic_ns a, quic_ns b)
{
    return a > QUIC_NS_NEVER - b ? QUIC_NS_NEVER : a + b;
}

/* quic_recovery_init_space sets everything but the map. */
void quic_recovery_init_space(quic_recovery_space *sp);

/* quic_recovery_hold marks `pn` as given out; quic_recovery_release ends it: its records were readable
 * until then. run_lo as in quic_sent_map_free_packet. */
static inline void quic_recovery_hold(quic_recovery *rec, quic_space space, uint64_t pn,
                                      uint64_t run_lo)
{
    rec->held_space = space;
    rec->held_pn = pn;
    rec->held_lo = run_lo;
}
void quic_recovery_release_held(quic_recovery *rec);
static inline void quic_recovery_release(quic_recovery *rec)
{
    if (rec->held_pn != QUIC_PN_NONE) {
        quic_recovery_release_held(rec);
    }
}

/* quic_recovery_leave takes `packet` out of the sums of the connection. */
void quic_recovery_leave(quic_recovery *rec, quic_recovery_space *sp, quic_sent_packet *packet);

/* quic_recovery_detect declares lost what RFC 9002 6.1 says and sets loss_time_ns. */
void quic_recovery_detect(quic_recovery *rec, quic_recovery_space *sp, quic_loss_result *out,
                          quic_ns now);

/* quic_recovery_make_room gives up the oldest packets in flight, as far as the record of sent packets is too full for
 * `count` more. */
void quic_recovery_make_room(quic_recovery *rec, quic_recovery_space *sp, uint32_t count,
                             quic_loss_result *out);

#endif /* QUIC_RECOVERY_LOSS_INTERNAL_H */

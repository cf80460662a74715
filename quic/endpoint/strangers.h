/* quic/endpoint/strangers.h: the connections of one listener whose client's address is not proved: anybody can
 * begin them in anybody's name (RFC 9000 8.1), so they must not be all that a listener has room for.
 *
 * Shape:  a count, and when it was at its bound: until a while later every stranger is asked for a token, for
 *         the reason that admission.h gives.
 * Owner:  all workers of the listener at once; lock-free. The memory is the caller's, begins as zeros and
 *         needs no release.
 */
#ifndef QUIC_ENDPOINT_STRANGERS_H
#define QUIC_ENDPOINT_STRANGERS_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quic_strangers {
    uint32_t count;
    quic_ns full_at; /* 0: never */
} quic_strangers;

/* quic_strangers_enter counts one more, if there are less than `max`, and were all the time for the last `calm`
 * nanoseconds: true. False: nothing was counted. */
QUIC_NODISCARD bool quic_strangers_enter(quic_strangers *strangers, uint32_t max, quic_ns calm,
                                         quic_ns now);
/* quic_strangers_leave: one of them is none any more. */
void quic_strangers_leave(quic_strangers *strangers);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_ENDPOINT_STRANGERS_H */

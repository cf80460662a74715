/* runtime/io/io_guest.h: receiving in the owner's place. A ring's completions are for the thread that owns it;
 * another that does the owner's work waits for the sockets themselves and takes from them, while the owner is
 * parked outside its back end.
 *
 * Door:    every function is called with the door held. _wait and rt_io_park open it while they sleep.
 * Bounds:  units one at a time; a back end with more than RT_IO_GUEST_SOCKETS_MAX sockets has no guests.
 */
#ifndef RUNTIME_IO_IO_GUEST_H
#define RUNTIME_IO_IO_GUEST_H

#include "runtime/io/io.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_IO_GUEST_SOCKETS_MAX 16u
#define RT_IO_GUEST_UNITS_MAX   16u /* for a turn; what is more comes again */

typedef struct rt_io_guest rt_io_guest;

/* rt_io_guest_open makes what a guest needs at the first call. False: this back end cannot have one now. */
QUIC_NODISCARD bool rt_io_guest_open(rt_io *io);
/* For back ends, when they end; NULL is fine. */
void rt_io_guest_destroy(rt_io_guest *guest);

/* rt_io_guest_wait sleeps until a datagram is there (true), the bell rings or `deadline` is over. Signals are the
 * caller's business. */
QUIC_NODISCARD bool rt_io_guest_wait(rt_io *io, quic_ns now, quic_ns deadline);

/* rt_io_guest_next_rx receives one unit from a socket that had something at the last wait, borrowed until the
 * next call; false when there is none. A long one is seldom alone: after it its socket is asked again, when it is its
 * turn. */
bool rt_io_guest_next_rx(rt_io *io, quic_rx_unit *out);

/* rt_io_guest_ring ends the wait of a guest, which has something to look at: by the owner. */
void rt_io_guest_ring(rt_io *io);

/* rt_io_park is the owner's sleep meanwhile: until rt_wake_signal (true then) or `deadline`, whatever comes to
 * its sockets. */
bool rt_io_park(rt_io *io, quic_ns now, quic_ns deadline);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_IO_IO_GUEST_H */

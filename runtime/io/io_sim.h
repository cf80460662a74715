/* runtime/io/io_sim.h: a back end without a kernel: an in-memory network under a virtual clock and a
 * seed, for tests that drive the real worker loop.
 *
 * Shape:   one rt_sim_net, any number of back ends on it; all on one thread. A datagram submitted is
 *          in flight after rt_io_flush or rt_io_wait and can be received at its arrival time.
 *          wait never sleeps; the test moves the clock with rt_sim_net_advance.
 * Sockets: rt_udp_socket with fd -1 and `local` set. Several on one address form a group steered by
 *          rt_steer_pick in the order they were added.
 */
#ifndef RUNTIME_IO_IO_SIM_H
#define RUNTIME_IO_IO_SIM_H

#include "runtime/io/io.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rt_sim_net rt_sim_net;

/* Chances are per mille, drawn from the seed. */
typedef struct rt_sim_faults {
    quic_ns delay_min_ns; /* one way */
    quic_ns delay_max_ns; /* more than delay_min_ns: datagrams overtake each other */
    uint32_t drop_pm;
    uint32_t duplicate_pm;
    uint32_t corrupt_pm; /* one bit flips */
    uint32_t ecn_ce_pm;  /* a marked datagram becomes CE */
    uint32_t
        completion_pm;    /* a send's completion (its slot) is late by up to delay_max_ns; late ones
                               come in any order */
    uint32_t tx_error_pm; /* a send fails and is lost (ENOBUFS, EIO, a second ECONNREFUSED) */
    uint32_t tx_refused_pm; /* a send reports an ICMP error of an earlier one, and is repeated */
    uint32_t
        tx_again_pm; /* the device is full (EAGAIN) in front of any datagram of a send: the rest
                               waits up to delay_max_ns, and what is behind it as well */
    uint32_t gso_refuse_pm; /* a GSO send is refused and repeated datagram by datagram */
    uint32_t rx_nobufs_pm;  /* a poll finds no receive buffer */
    uint32_t rx_split_pm;   /* the next unit is not coalesced */
    uint32_t
        rx_queue_max;   /* datagrams a socket holds, further ones are lost; 0: as many as can be */
    uint32_t mtu_bytes; /* larger datagrams fail with EMSGSIZE; 0: no limit */
    bool blackout;      /* everything is lost */
} rt_sim_faults;

rt_sim_net *rt_sim_net_create(uint64_t seed);
/* After every back end on it. */
void rt_sim_net_destroy(rt_sim_net *net);
void rt_sim_net_set_faults(rt_sim_net *net, const rt_sim_faults *faults);

/* rt_sim_net_advance sets the clock, which never runs backwards. rt_sim_net_next is the earliest time
 * at which a datagram or a completion arrives; 0 when one waits already, QUIC_NS_NEVER when none. */
void rt_sim_net_advance(rt_sim_net *net, quic_ns now);
quic_ns rt_sim_net_next(const rt_sim_net *net);

/* A running hash over everything sent, to prove that equal seeds give equal traffic. */
uint64_t rt_sim_net_hash(const rt_sim_net *net);
uint64_t rt_sim_net_sent_count(const rt_sim_net *net);
uint64_t rt_sim_net_dropped_count(const rt_sim_net *net);

/* rt_io_sim_tx_in_flight: sends whose room has not come back; `io` is one of these. */
uint32_t rt_io_sim_tx_in_flight(const rt_io *io);

/* rt_io_sim_create makes a back end on `net`; NULL without memory. */
rt_io *rt_io_sim_create(rt_sim_net *net, const rt_io_config *config);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_IO_IO_SIM_H */

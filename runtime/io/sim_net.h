/* runtime/io/sim_net.h: the inside of the simulated network, shared by io_sim.c (the back end) and
 * sim_net.c (what happens between the back ends).
 *
 * Shape:  datagrams in flight sit in a heap by arrival time; each socket has a queue of what arrived.
 * Bounds: RT_SIM_FLIGHT_MAX in flight, RT_SIM_QUEUE_MAX per socket; beyond that they are lost.
 */
#ifndef RUNTIME_IO_SIM_NET_H
#define RUNTIME_IO_SIM_NET_H

#include "quic/base/rng.h"
#include "runtime/io/io_sim.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_SIM_FLIGHT_MAX 65536u
#define RT_SIM_QUEUE_MAX  4096u
#define RT_SIM_PORTS_MAX  512u

typedef struct rt_sim_datagram {
    struct rt_sim_datagram *next;
    quic_ns at;
    uint64_t seq; /* equal times keep their order */
    quic_addr from;
    quic_addr to;
    uint32_t len;
    uint8_t ecn;
    uint8_t data[];
} rt_sim_datagram;

/* A bound socket: where datagrams arrive. */
typedef struct rt_sim_port {
    rt_io *io;
    uint32_t index;
    quic_addr local;
    bool any;
    bool used;
    rt_sim_datagram *head;
    rt_sim_datagram *tail;
    uint32_t count;
    quic_ns due; /* when its back end has something to do; QUIC_NS_NEVER: nothing */
} rt_sim_port;

struct rt_sim_net {
    quic_rng_seeded_state rng_state;
    quic_rng rng;
    rt_sim_faults faults;
    quic_ns now;
    rt_sim_datagram **flight; /* heap */
    uint32_t flight_count;
    uint64_t next_seq;
    uint64_t hash;
    uint64_t sent_count;
    uint64_t dropped_count;
    rt_sim_port ports[RT_SIM_PORTS_MAX]; /* in the order they were bound */
    uint32_t port_count;
};

/* rt_sim_net_bind, _unbind: NULL when RT_SIM_PORTS_MAX are bound. */
rt_sim_port *rt_sim_net_bind(rt_sim_net *net, rt_io *io, uint32_t index, const rt_udp_socket *sock);
void rt_sim_net_unbind(rt_sim_port *port);

/* rt_sim_net_send puts one datagram on the wire. */
void rt_sim_net_send(rt_sim_net *net, const quic_addr *from, const quic_addr *to,
                     const uint8_t *data, uint32_t len, uint8_t ecn);

/* rt_sim_net_draw: 1 .. max, uniform; 1 for 0. */
uint64_t rt_sim_net_draw(rt_sim_net *net, uint64_t max);

/* rt_sim_net_chance draws: true with `per_mille` in 1000. No draw for 0. */
bool rt_sim_net_chance(rt_sim_net *net, uint32_t per_mille);

/* rt_sim_port_pop takes the next arrived datagram (the caller frees it), NULL when there is none. */
rt_sim_datagram *rt_sim_port_pop(rt_sim_port *port);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_IO_SIM_NET_H */

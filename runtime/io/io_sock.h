/* runtime/io/io_sock.h: what the two kernel back ends share: a socket with its queue of sends that
 * wait for the device, the way from a received buffer to a unit, and one send with all its errors.
 *
 * Errors:  EAGAIN waits in order behind `backlog`. EIO or EINVAL on a GSO send: the same packets go
 *          out one by one at once; when that works, segmentation is off for this peer's address from then on, and
 *          for the socket after RT_IO_REFUSALS_MAX addresses without a train that was taken.
 *          EMSGSIZE becomes a fact for the endpoint. Anything else: the unit is lost, as on the wire.
 */
#ifndef RUNTIME_IO_IO_SOCK_H
#define RUNTIME_IO_IO_SOCK_H

#include "runtime/io/io.h"
#include "runtime/io/tx_arena.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_IO_REFUSALS_MAX 4u

typedef struct rt_io_sock {
    rt_udp_socket udp;
    rt_tx_list backlog;    /* sends that met EAGAIN, and those behind them */
    uint32_t kernel_drops; /* the kernel's count when last told */
    uint32_t tx_refs;      /* sends in flight or in the backlog */
    uint32_t refusals;     /* addresses to which trains are refused, since one was taken */
    bool used;
    bool closing;
    bool rx_armed;   /* io_uring: the multishot receive is alive */
    bool poll_armed; /* POLLOUT is awaited */
} rt_io_sock;

void rt_io_sock_init(rt_io_sock *sock, const rt_udp_socket *udp, bool gso);

/* rt_io_sock_end is how many of `count` places are left without those at the end that nobody uses any more. */
static inline uint32_t rt_io_sock_end(const rt_io_sock *socks, uint32_t count)
{
    while (count > 0 && !socks[count - 1].used) {
        count--;
    }
    return count;
}

/* What the kernel wrote for one receive. */
typedef struct rt_io_recv {
    uint8_t *data;
    uint32_t len;
    const void *name;
    uint32_t name_len;
    void *control;
    size_t control_len;
    int flags; /* MSG_TRUNC, MSG_CTRUNC */
} rt_io_recv;

/* rt_io_sock_unit makes a unit of it; false (and a counter) when the datagram is of no use: cut off,
 * empty, or from an address that is none. */
bool rt_io_sock_unit(rt_io *io, rt_io_sock *sock, uint32_t index, quic_rx_unit *out,
                     const rt_io_recv *recv);

/* rt_io_sock_forget is for a datagram that nobody will make a unit of, as its socket was removed: descriptors that came
 * along are closed. */
void rt_io_sock_forget(const rt_io_sock *sock, const rt_io_recv *recv);

/* rt_io_sock_prepare fills op->hdr for `sock`; false when the path's addresses do not fit it. */
bool rt_io_sock_prepare(const rt_io *io, const rt_io_sock *sock, rt_tx_op *op);

/* rt_io_sock_join makes `unit` part of `op`, prepared and not yet seen by the kernel: see rt_tx_arena_join. */
bool rt_io_sock_join(const rt_io *io, const rt_io_sock *sock, rt_tx_arena *arena, rt_tx_op *op,
                     const quic_tx_unit *unit);

/* rt_io_sock_send sends `op` now. Returns true when it is done with (sent, or lost and counted);
 * false on EAGAIN: what is left of it has to wait. */
bool rt_io_sock_send(rt_io *io, rt_io_sock *sock, rt_tx_op *op);

/* rt_io_sock_failed takes the error (a positive errno) of a send made elsewhere: same results. */
bool rt_io_sock_failed(rt_io *io, rt_io_sock *sock, rt_tx_op *op, int error);

static inline bool rt_tx_op_is_train(const rt_tx_op *op)
{
    return op->len > op->seg_len;
}

/* rt_io_sock_sent notes that the kernel took `op` as it is. */
static inline void rt_io_sock_sent(rt_io *io, rt_io_sock *sock, const rt_tx_op *op)
{
    io->stats.tx_units++;
    if (rt_tx_op_is_train(op)) {
        sock->refusals = 0;
    }
}

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_IO_IO_SOCK_H */

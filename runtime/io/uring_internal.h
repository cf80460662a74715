/* runtime/io/uring_internal.h: the io_uring back end's own struct and the seams between its files:
 * uring_setup.c (life), uring_rx.c, uring_tx.c, io_uring.c (sockets, completions, waiting).
 *
 * Names:   a completion's user_data is kind << 32 | index.
 * Rules:   a socket index is used again only after its last completion. Buffers go back before a
 *          receive that starved is armed again; every multishot that ended is armed again.
 */
#ifndef RUNTIME_IO_URING_INTERNAL_H
#define RUNTIME_IO_URING_INTERNAL_H

#include <liburing.h>

#include "runtime/io/io.h"
#include "runtime/io/io_sock.h"
#include "runtime/io/tx_arena.h"

#define RT_URING_RX_HEAD_BYTES 256u /* io_uring_recvmsg_out, name, control: before the payload */
#define RT_URING_RX_BUF_BYTES  (65536u + RT_URING_RX_HEAD_BYTES)
#define RT_URING_RX_NAME_BYTES 32u /* keeps the control part aligned for cmsghdr */
#define RT_URING_RX_BUFS_MAX   256u
#define RT_URING_BGID          0

enum {
    RT_URING_KIND_RX = 1,
    RT_URING_KIND_TX = 2,
    RT_URING_KIND_POLLOUT = 3,
    RT_URING_KIND_WAKE = 4,
    RT_URING_KIND_CANCEL = 5,
};

/* One filled receive buffer. */
typedef struct rt_uring_rx {
    uint32_t socket; /* RT_IO_SOCKET_NONE: it was removed */
    uint32_t len;    /* bytes the kernel wrote into the buffer */
    uint16_t bid;
} rt_uring_rx;

typedef struct rt_uring {
    rt_io base;
    struct io_uring ring;
    bool ring_ready;
    bool taskrun_flag; /* the ring says when a poll is worth a system call */
    bool fixed_files;
    bool wake_armed;
    bool device_fills;   /* a send has had to wait for it */
    bool tx_starved;     /* rt_io_tx_buf had nothing: the next completion is news */
    bool rearm;          /* some socket's receive has to be armed */
    bool looking;        /* no receive is: rt_io_look asks the sockets, and nothing is under way */
    uint64_t owed_polls; /* sockets a visitor's send could not leave at, by bit */
    uint64_t owed_cancels; /* ... that a visitor removed */
    uint64_t owed_files;   /* ... that a visitor added: the ring does not know them yet */
    uint32_t tx_pending;   /* sends given to the ring and not reaped */
    uint32_t tx_open;      /* the last of them while the kernel has not seen it, or RT_TX_OP_NONE */
    struct io_uring_sqe *tx_open_sqe;
    bool without_sendto; /* the kernel's IORING_OP_SEND takes no address (before Linux 6.1) */
    uint64_t wake_value;
    uint32_t sock_count; /* highest index in use + 1 */

    struct msghdr rx_template;
    struct io_uring_buf_ring *rx_ring;
    uint8_t *rx_mem;
    uint32_t rx_count;  /* buffers */
    uint32_t rx_filled; /* entries of rx[] */
    uint32_t rx_kept;   /* entries of kept[] */
    uint32_t rx_next;   /* next to hand out */
    uint32_t rx_turn;   /* socket that may fill buffers first when receives are armed again */
    rt_uring_rx rx[RT_URING_RX_BUFS_MAX];
    uint16_t kept[RT_URING_RX_BUFS_MAX / 2]; /* buffers that neither the kernel has nor rx[] */

    rt_tx_arena tx;
    rt_io_sock socks[RT_IO_SOCKETS_MAX];
} rt_uring;

static inline rt_uring *rt_uring_of(rt_io *io)
{
    return (rt_uring *)io;
}

static inline uint64_t rt_uring_name(uint32_t kind, uint32_t index)
{
    return (uint64_t)kind << 32 | index;
}

/* uring_setup.c: rt_uring_setup makes ring, buffers and arena; 0 or a negative errno, with
 * rt_uring_teardown to undo either. */
int rt_uring_setup(rt_uring *u, const rt_io_config *config);
void rt_uring_teardown(rt_uring *u);

/* io_uring.c */
struct io_uring_sqe *rt_uring_sqe(rt_uring *u); /* submits when the queue is full; never NULL */
void rt_uring_submit(rt_uring *u);
void rt_uring_set_socket(const rt_uring *u, struct io_uring_sqe *sqe, uint32_t index);

/* uring_rx.c */
int rt_uring_rx_setup(rt_uring *u, uint32_t count);
void rt_uring_rx_teardown(rt_uring *u);
void rt_uring_rx_arm(rt_uring *u);
void rt_uring_rx_complete(rt_uring *u, const struct io_uring_cqe *cqe, uint32_t index);
void rt_uring_rx_forget(rt_uring *u, uint32_t index);
bool rt_uring_next_rx(rt_io *io, quic_rx_unit *out);
void rt_uring_release_rx(rt_io *io);

/* uring_tx.c */
bool rt_uring_tx_buf(rt_io *io, quic_tx_unit *out, uint32_t min_room);
void rt_uring_tx_submit(rt_io *io, const quic_tx_unit *unit);
void rt_uring_tx_complete(rt_uring *u, const struct io_uring_cqe *cqe, uint32_t op_index);
void rt_uring_pollout_complete(rt_uring *u, uint32_t index);
void rt_uring_tx_arm_owed(rt_uring *u);
void rt_uring_tx_drop_backlog(rt_uring *u, uint32_t index);

#endif /* RUNTIME_IO_URING_INTERNAL_H */

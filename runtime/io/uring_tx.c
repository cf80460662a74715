#include <errno.h>
#include <poll.h>
#include <string.h>

#include "quic/base/check.h"
#include "runtime/io/uring_internal.h"

bool rt_uring_tx_buf(rt_io *io, quic_tx_unit *out, uint32_t min_room)
{
    rt_uring *u = rt_uring_of(io);
    bool ok = rt_tx_arena_buf(&u->tx, out, min_room);
    u->tx_starved = !ok;
    return ok;
}

static void arm_poll(rt_uring *u, uint32_t index)
{
    rt_io_sock *sock = &u->socks[index];
    struct io_uring_sqe *sqe = rt_uring_sqe(u);
    io_uring_prep_poll_add(sqe, sock->udp.fd, POLLOUT);
    rt_uring_set_socket(u, sqe, index);
    io_uring_sqe_set_data64(sqe, rt_uring_name(RT_URING_KIND_POLLOUT, index));
    sock->poll_armed = true;
}

/* Puts `op` behind what already waits for the device, and waits for it. */
static void defer(rt_uring *u, rt_tx_op *op)
{
    uint32_t index = op->path.socket;
    rt_io_sock *sock = &u->socks[index];
    rt_tx_list_push(&sock->backlog, &u->tx, op);
    u->device_fills = true;
    u->looking = false;
    u->tx_open = RT_TX_OP_NONE;
    if (sock->poll_armed) {
        return;
    }
    if (u->base.visited) {
        u->owed_polls |= 1ull << index;
        return;
    }
    arm_poll(u, index);
}

void rt_uring_tx_arm_owed(rt_uring *u)
{
    while (QUIC_UNLIKELY(u->owed_polls != 0)) {
        uint32_t index = (uint32_t)__builtin_ctzll(u->owed_polls);
        const rt_io_sock *sock = &u->socks[index];
        u->owed_polls &= u->owed_polls - 1;
        if (sock->used && !sock->closing && !sock->poll_armed) {
            arm_poll(u, index);
        }
    }
}

/* A socket without segmentation: the train leaves datagram by datagram, behind what is queued. Or another
 * thread's send, or one between two looks: nothing is queued then. */
static void send_now(rt_uring *u, rt_io_sock *sock, rt_tx_op *op)
{
    rt_uring_submit(u);
    if (!rt_io_sock_send(&u->base, sock, op)) {
        defer(u, op);
        return;
    }
    rt_tx_arena_done(&u->tx, op);
}

/* A datagram with nothing to say to the kernel needs no msghdr, which the kernel would have to copy and check. */
static bool is_bare(const rt_uring *u, const rt_tx_op *op)
{
    return op->hdr.msg_controllen == 0 && !u->without_sendto;
}

static void prepare(rt_uring *u, struct io_uring_sqe *sqe, rt_tx_op *op)
{
    uint32_t index = op->path.socket;
    int fd = u->socks[index].udp.fd;
    /* Sends that wait inside the ring overtake each other; those that fail with EAGAIN do not. */
    if (is_bare(u, op)) {
        io_uring_prep_send(sqe, fd, op->iov.iov_base, op->iov.iov_len, MSG_DONTWAIT);
        io_uring_prep_send_set_addr(sqe, &op->remote.sa, (uint16_t)op->hdr.msg_namelen);
    } else {
        io_uring_prep_sendmsg(sqe, fd, &op->hdr, MSG_DONTWAIT);
    }
    rt_uring_set_socket(u, sqe, index);
    io_uring_sqe_set_data64(sqe, rt_uring_name(RT_URING_KIND_TX, rt_tx_arena_index(&u->tx, op)));
}

void rt_uring_tx_submit(rt_io *io, const quic_tx_unit *unit)
{
    rt_uring *u = rt_uring_of(io);
    uint32_t index = unit->path.socket;
    if (u->tx_open != RT_TX_OP_NONE && index < RT_IO_SOCKETS_MAX &&
        rt_io_sock_join(io, &u->socks[index], &u->tx, &u->tx.ops[u->tx_open], unit)) {
        /* A train now. liburing of Debian 13 does not clear what is prepared anew: the length of an address,
         * left behind, would make the kernel refuse the call. */
        memset(u->tx_open_sqe, 0, sizeof(*u->tx_open_sqe));
        prepare(u, u->tx_open_sqe, &u->tx.ops[u->tx_open]);
        return;
    }
    rt_tx_op *op = rt_tx_arena_take(&u->tx, unit);
    rt_io_sock *sock = index < RT_IO_SOCKETS_MAX ? &u->socks[index] : NULL;
    if (sock == NULL || !sock->used || sock->closing || !rt_io_sock_prepare(io, sock, op)) {
        io->stats.tx_errors++;
        rt_tx_arena_done(&u->tx, op);
        return;
    }
    if (!rt_tx_list_is_empty(&sock->backlog)) {
        defer(u, op);
        return;
    }
    if (op->plain || u->base.visited || u->looking) {
        send_now(u, sock, op);
        return;
    }
    u->tx_open_sqe = rt_uring_sqe(u);
    u->tx_open = rt_tx_arena_index(&u->tx, op);
    prepare(u, u->tx_open_sqe, op);
    sock->tx_refs++;
    u->tx_pending++;
}

/* Refused: it is the call that the kernel does not know, or the datagram that nothing can send. */
static bool send_by_call(rt_uring *u, rt_io_sock *sock, rt_tx_op *op)
{
    const uint64_t sent = u->base.stats.tx_units;
    bool done = rt_io_sock_send(&u->base, sock, op);
    if (u->base.stats.tx_units != sent) {
        u->without_sendto = true;
    }
    return done;
}

void rt_uring_tx_complete(rt_uring *u, const struct io_uring_cqe *cqe, uint32_t op_index)
{
    QURING_ASSERT(op_index < u->tx.op_count && u->tx_pending > 0);
    rt_tx_op *op = &u->tx.ops[op_index];
    rt_io_sock *sock = &u->socks[op->path.socket];
    u->tx_pending--;
    sock->tx_refs--;
    if (cqe->res >= 0) {
        rt_io_sock_sent(&u->base, sock, op);
        rt_tx_arena_done(&u->tx, op);
        return;
    }
    bool done = true;
    if (sock->closing) {
        u->base.stats.tx_errors++;
    } else if (cqe->res == -ECONNREFUSED) {
        done = rt_io_sock_send(&u->base, sock, op); /* an ICMP error for an earlier send */
    } else if (cqe->res == -EINVAL && op->hdr.msg_controllen == 0) {
        done = send_by_call(u, sock, op);
    } else {
        done = rt_io_sock_failed(&u->base, sock, op, -cqe->res);
    }
    if (done) {
        rt_tx_arena_done(&u->tx, op);
    } else {
        defer(u, op);
    }
}

void rt_uring_pollout_complete(rt_uring *u, uint32_t index)
{
    rt_io_sock *sock = &u->socks[index];
    sock->poll_armed = false;
    /* Ends with an empty backlog, or with its first op deferred again. */
    rt_tx_list waiting = sock->backlog;
    rt_tx_list_init(&sock->backlog);
    for (rt_tx_op *op; (op = rt_tx_list_pop(&waiting, &u->tx)) != NULL;) {
        if (!rt_tx_list_is_empty(&sock->backlog) || !rt_io_sock_send(&u->base, sock, op)) {
            defer(u, op);
        } else {
            rt_tx_arena_done(&u->tx, op);
        }
    }
}

void rt_uring_tx_drop_backlog(rt_uring *u, uint32_t index)
{
    for (rt_tx_op *op; (op = rt_tx_list_pop(&u->socks[index].backlog, &u->tx)) != NULL;) {
        u->base.stats.tx_errors++;
        rt_tx_arena_done(&u->tx, op);
    }
}

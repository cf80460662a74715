#define _GNU_SOURCE 1 /* sendmmsg */

#include "runtime/io/io_sock.h"

#include <errno.h>

#include "quic/base/check.h"
#include "runtime/udp/process.h"

#define PLAIN_BATCH 32u

void rt_io_sock_init(rt_io_sock *sock, const rt_udp_socket *udp, bool gso)
{
    memset(sock, 0, sizeof(*sock));
    sock->udp = *udp;
    sock->udp.gso = udp->gso && gso;
    sock->used = true;
    rt_tx_list_init(&sock->backlog);
}

/* A message of another process: no addresses of its own. */
static bool inbox_unit(rt_io *io, const rt_io_sock *sock, uint32_t index, quic_rx_unit *out,
                       const rt_io_recv *recv, struct msghdr *msg)
{
    const bool may = rt_process_judge(msg, sock->udp.uid);
    if (!may || (recv->flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || recv->len == 0) {
        io->stats.rx_truncated += may ? 1 : 0;
        return false;
    }
    memset(out, 0, sizeof(*out));
    out->data = recv->data;
    out->len = recv->len;
    out->seg_len = recv->len;
    out->path.socket = index;
    io->stats.rx_units++;
    return true;
}

static void control_of(struct msghdr *out, const rt_io_recv *recv)
{
    memset(out, 0, sizeof(*out));
    out->msg_control = recv->control;
    out->msg_controllen = recv->control_len;
}

void rt_io_sock_forget(const rt_io_sock *sock, const rt_io_recv *recv)
{
    struct msghdr msg;
    if (sock->udp.is_inbox) {
        control_of(&msg, recv);
        (void)rt_process_judge(&msg, sock->udp.uid);
    }
}

bool rt_io_sock_unit(rt_io *io, rt_io_sock *sock, uint32_t index, quic_rx_unit *out,
                     const rt_io_recv *recv)
{
    struct msghdr msg;
    rt_cmsg_rx facts;
    control_of(&msg, recv);
    if (QUIC_UNLIKELY(sock->udp.is_inbox)) {
        return inbox_unit(io, sock, index, out, recv, &msg);
    }
    rt_cmsg_read(&facts, &msg);
    if (facts.has_drops) {
        io->stats.kernel_drops += (uint32_t)(facts.kernel_drops - sock->kernel_drops);
        sock->kernel_drops = facts.kernel_drops;
    }
    /* Without its control part a coalesced buffer cannot be split. */
    if ((recv->flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
        io->stats.rx_truncated++;
        return false;
    }
    memset(out, 0, sizeof(*out));
    if (recv->len == 0 || !rt_sockaddr_to(&out->path.remote, recv->name, recv->name_len)) {
        return false;
    }
    out->data = recv->data;
    out->len = recv->len;
    out->seg_len = facts.gro_bytes > 0 && facts.gro_bytes < recv->len ? facts.gro_bytes : recv->len;
    out->ecn = facts.ecn;
    out->path.local = facts.local.family != 0 ? facts.local : sock->udp.local;
    out->path.local.port = sock->udp.local.port;
    out->path.socket = index;
    io->stats.rx_units++;
    return true;
}

static void write_control(const rt_io_sock *sock, rt_tx_op *op, uint16_t gso_bytes)
{
    const quic_addr *local = &op->path.local;
    rt_cmsg_tx tx = {
        .gso_bytes = gso_bytes,
        .marked = op->ecn != sock->udp.tx_ecn,
        .ecn = op->ecn,
        .local = sock->udp.any && !rt_addr_is_any(local) ? local : NULL,
        .remote_family = op->path.remote.family,
    };
    rt_cmsg_write(&op->hdr, op->control, &tx);
}

bool rt_io_sock_prepare(const rt_io *io, const rt_io_sock *sock, rt_tx_op *op)
{
    socklen_t len = rt_sockaddr_from(&op->remote, &op->path.remote, sock->udp.is_v6);
    if (len == 0) {
        return false;
    }
    memset(&op->hdr, 0, sizeof(op->hdr));
    op->hdr.msg_name = &op->remote;
    op->hdr.msg_namelen = len;
    op->hdr.msg_iov = &op->iov;
    op->hdr.msg_iovlen = 1;
    op->plain = rt_tx_op_is_train(op) &&
                (!sock->udp.gso || rt_unsegmented_has(&io->unsegmented, &op->path.remote));
    bool gso = rt_tx_op_is_train(op) && !op->plain;
    write_control(sock, op, gso ? (uint16_t)op->seg_len : 0);
    return true;
}

bool rt_io_sock_join(const rt_io *io, const rt_io_sock *sock, rt_tx_arena *arena, rt_tx_op *op,
                     const quic_tx_unit *unit)
{
    const bool was_train = rt_tx_op_is_train(op);
    if (!sock->udp.gso || !sock->udp.merges ||
        rt_unsegmented_has(&io->unsegmented, &op->path.remote) ||
        !rt_tx_arena_join(arena, op, unit)) {
        return false;
    }
    if (!was_train) {
        write_control(sock, op, (uint16_t)op->seg_len);
    }
    return true;
}

static void take_off(rt_tx_op *op, size_t bytes)
{
    op->iov.iov_base = (uint8_t *)op->iov.iov_base + bytes;
    op->iov.iov_len -= bytes;
}

/* Datagrams of a plain op that one sendmmsg takes. */
static unsigned plain_batch(rt_tx_op *op, struct mmsghdr *msgs, struct iovec *iovs)
{
    uint8_t *p = op->iov.iov_base;
    size_t left = op->iov.iov_len;
    unsigned n = 0;
    while (left > 0 && n < PLAIN_BATCH) {
        size_t len = left < op->seg_len ? left : op->seg_len;
        iovs[n].iov_base = p;
        iovs[n].iov_len = len;
        msgs[n].msg_hdr = op->hdr;
        msgs[n].msg_hdr.msg_iov = &iovs[n];
        msgs[n].msg_len = 0;
        p += len;
        left -= len;
        n++;
    }
    return n;
}

/* One datagram of a plain op cannot be sent: the others may. */
static void plain_skip(rt_io *io, rt_tx_op *op, int error)
{
    size_t len = op->iov.iov_len < op->seg_len ? op->iov.iov_len : op->seg_len;
    if (error == EMSGSIZE) {
        rt_io_note_failure(io, &op->path, op->conn, (uint32_t)len);
    } else {
        io->stats.tx_errors++;
    }
    take_off(op, len);
}

/* Sends a train one datagram at a time, in batches. *out_error is the first error met. */
static bool send_plain(rt_io *io, rt_io_sock *sock, rt_tx_op *op, int *out_error)
{
    struct mmsghdr msgs[PLAIN_BATCH];
    struct iovec iovs[PLAIN_BATCH];
    *out_error = 0;
    /* Each round sends or skips at least one datagram, save for EINTR, which a signal must cause. */
    while (op->iov.iov_len > 0) {
        unsigned n = plain_batch(op, msgs, iovs);
        int sent = sendmmsg(sock->udp.fd, msgs, n, MSG_DONTWAIT);
        int error = errno;
        io->stats.syscalls++;
        if (sent > 0) {
            size_t bytes = 0;
            for (int i = 0; i < sent; i++) {
                bytes += iovs[i].iov_len;
            }
            take_off(op, bytes);
            continue;
        }
        if (error == EAGAIN) {
            io->stats.tx_again++;
            return false;
        }
        if (error != EINTR) {
            *out_error = *out_error != 0 ? *out_error : error;
            plain_skip(io, op, error);
        }
    }
    io->stats.tx_units++;
    return true;
}

/* The packets were fine: it is segmentation that does not work, or not for so many. */
static void learn(rt_io *io, rt_io_sock *sock, const rt_tx_op *op, bool sure)
{
    if (!sure) {
        io->short_trains = true;
        return;
    }
    /* Of those that were under way together the first one tells. */
    if (rt_unsegmented_add(&io->unsegmented, &op->path.remote) &&
        ++sock->refusals >= RT_IO_REFUSALS_MAX) {
        sock->udp.gso = false;
    }
}

static bool fall_back(rt_io *io, rt_io_sock *sock, rt_tx_op *op)
{
    int error = 0;
    const bool sure = op->iov.iov_len <= (size_t)op->seg_len * RT_IO_SEGS_SURE;
    io->stats.gso_fallbacks++;
    op->plain = true;
    write_control(sock, op, 0);
    const size_t before = op->iov.iov_len;
    bool done = send_plain(io, sock, op, &error);
    /* A device that was full at once proves nothing. */
    if (error == 0 && op->iov.iov_len < before) {
        learn(io, sock, op, sure);
    }
    return done;
}

bool rt_io_sock_failed(rt_io *io, rt_io_sock *sock, rt_tx_op *op, int error)
{
    if (error == EAGAIN) {
        io->stats.tx_again++;
        return false;
    }
    if ((error == EIO || error == EINVAL) && rt_tx_op_is_train(op) && !op->plain) {
        return fall_back(io, sock, op);
    }
    if (error == EMSGSIZE) {
        rt_io_note_failure(io, &op->path, op->conn, op->seg_len);
    } else {
        io->stats.tx_errors++;
    }
    return true;
}

/* A datagram with nothing to say to the kernel needs no msghdr, which the kernel would have to copy and check. */
static ssize_t send_op(const rt_io_sock *sock, const rt_tx_op *op)
{
    const struct msghdr *hdr = &op->hdr;
    return hdr->msg_controllen == 0
               ? sendto(sock->udp.fd, op->iov.iov_base, op->iov.iov_len, MSG_DONTWAIT,
                        (const struct sockaddr *)hdr->msg_name, hdr->msg_namelen)
               : sendmsg(sock->udp.fd, hdr, MSG_DONTWAIT);
}

bool rt_io_sock_send(rt_io *io, rt_io_sock *sock, rt_tx_op *op)
{
    int error = 0;
    QURING_DASSERT(op->path.socket < RT_IO_SOCKETS_MAX);
    if (op->plain) {
        return send_plain(io, sock, op, &error);
    }
    /* A pending ICMP error is reported once, by a send that was not made: so try twice. */
    for (int attempt = 0; attempt < 2; attempt++) {
        io->stats.syscalls++;
        if (send_op(sock, op) >= 0) {
            rt_io_sock_sent(io, sock, op);
            return true;
        }
        error = errno;
        if (error != ECONNREFUSED && error != EINTR) {
            break;
        }
    }
    return rt_io_sock_failed(io, sock, op, error);
}

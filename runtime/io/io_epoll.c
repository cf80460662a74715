#define _GNU_SOURCE 1 /* recvmmsg, sendmmsg, epoll_pwait2 */

#include "runtime/io/io_epoll.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "quic/base/check.h"
#include "runtime/io/io_guest.h"
#include "runtime/io/io_plain.h"
#include "runtime/io/io_sock.h"
#include "runtime/io/tx_arena.h"
#include "runtime/udp/own_fd.h"

#define RX_BUF_BYTES 65536u
#define TX_BATCH     32u
#define WAKE_TAG     UINT32_MAX
#define UNASKED_MAX  4u /* waits in a row without a look at epoll, as sockets had more */

/* One receive buffer and all that recvmmsg needs around it. */
typedef struct epoll_rx {
    rt_sockaddr name;
    uint64_t control[RT_CMSG_RX_BYTES / sizeof(uint64_t)];
    struct iovec iov;
    uint32_t socket; /* RT_IO_SOCKET_NONE: it was removed */
} epoll_rx;

typedef struct rt_io_epoll {
    rt_io base;
    int epoll_fd;
    bool no_pwait2;
    bool tx_starved;     /* rt_io_tx_buf had nothing: room after a flush is news */
    uint32_t rx_count;   /* buffers */
    uint32_t rx_filled;  /* of those, filled: [0, rx_filled) */
    uint32_t rx_next;    /* next to hand out */
    uint32_t rx_turn;    /* socket to start with, so that none starves the others */
    uint32_t unasked;    /* waits since epoll was asked last */
    uint64_t readable;   /* sockets that may have more, by bit */
    uint32_t sock_count; /* highest index in use + 1 */
    uint8_t *rx_mem;
    epoll_rx *rx;
    struct mmsghdr *rx_msgs;
    rt_tx_arena tx;
    rt_tx_list queue;
    rt_io_sock socks[RT_IO_SOCKETS_MAX];
} rt_io_epoll;

_Static_assert(RT_IO_SOCKETS_MAX <= 64, "readable is a 64-bit mask");

static rt_io_epoll *of(rt_io *io)
{
    return (rt_io_epoll *)io;
}

/* ---- sockets ------------------------------------------------------------------------------- */

static int watch(rt_io_epoll *e, int op, uint32_t index, bool writable)
{
    struct epoll_event ev = {.events = EPOLLIN | (writable ? (uint32_t)EPOLLOUT : 0u)};
    ev.data.u32 = index;
    e->base.stats.syscalls++;
    return epoll_ctl(e->epoll_fd, op, e->socks[index].udp.fd, &ev) == 0 ? 0 : -errno;
}

static int epoll_add_socket(rt_io *io, const rt_udp_socket *udp, uint32_t *out_index)
{
    rt_io_epoll *e = of(io);
    uint32_t index = 0;
    while (index < RT_IO_SOCKETS_MAX && e->socks[index].used) {
        index++;
    }
    if (index == RT_IO_SOCKETS_MAX) {
        return -EUSERS;
    }
    rt_io_sock_init(&e->socks[index], udp, e->base.gso);
    int rc = watch(e, EPOLL_CTL_ADD, index, false);
    if (rc != 0) {
        e->socks[index].used = false;
        return rc;
    }
    e->sock_count = index + 1 > e->sock_count ? index + 1 : e->sock_count;
    *out_index = index;
    return 0;
}

static void epoll_flush(rt_io *io);

static rt_io_recv recv_of(const rt_io_epoll *e, uint32_t i)
{
    const struct msghdr *hdr = &e->rx_msgs[i].msg_hdr;
    return (rt_io_recv){
        .data = e->rx[i].iov.iov_base,
        .len = e->rx_msgs[i].msg_len,
        .name = &e->rx[i].name,
        .name_len = hdr->msg_namelen,
        .control = e->rx[i].control,
        .control_len = hdr->msg_controllen,
        .flags = hdr->msg_flags,
    };
}

/* Nobody reads any more what came to a socket. */
static void forget_rx(rt_io_epoll *e, uint32_t index)
{
    for (uint32_t i = e->rx_next; i < e->rx_filled; i++) {
        if (e->rx[i].socket == index) {
            const rt_io_recv recv = recv_of(e, i);
            rt_io_sock_forget(&e->socks[index], &recv);
            e->rx[i].socket = RT_IO_SOCKET_NONE;
        }
    }
}

static void epoll_remove_socket(rt_io *io, uint32_t index)
{
    rt_io_epoll *e = of(io);
    rt_io_sock *sock = &e->socks[index];
    QURING_ASSERT(index < RT_IO_SOCKETS_MAX && sock->used);
    epoll_flush(io);
    for (rt_tx_op *op; (op = rt_tx_list_pop(&sock->backlog, &e->tx)) != NULL;) {
        io->stats.tx_errors++;
        rt_tx_arena_done(&e->tx, op);
    }
    forget_rx(e, index);
    e->readable &= ~(1ull << index);
    sock->poll_armed = false;
    sock->used = false;
    /* By name: a child of a fork may hold the socket, too, and then closing ours does not end the watch. */
    (void)epoll_ctl(e->epoll_fd, EPOLL_CTL_DEL, sock->udp.fd, NULL);
    rt_udp_close(&sock->udp);
    e->sock_count = rt_io_sock_end(e->socks, e->sock_count);
}

/* ---- receive ------------------------------------------------------------------------------- */

static bool epoll_next_rx(rt_io *io, quic_rx_unit *out)
{
    rt_io_epoll *e = of(io);
    while (e->rx_next < e->rx_filled) {
        uint32_t i = e->rx_next++;
        epoll_rx *rx = &e->rx[i];
        if (rx->socket == RT_IO_SOCKET_NONE) {
            continue;
        }
        const rt_io_recv recv = recv_of(e, i);
        if (rt_io_sock_unit(io, &e->socks[rx->socket], rx->socket, out, &recv)) {
            return true;
        }
    }
    return false;
}

static void epoll_release_rx(rt_io *io)
{
    rt_io_epoll *e = of(io);
    if (e->rx_next == e->rx_filled) {
        e->rx_next = 0;
        e->rx_filled = 0;
    }
}

/* Receives from one socket into the buffers that are left. */
static void fill_from(rt_io_epoll *e, uint32_t index)
{
    uint32_t room = e->rx_count - e->rx_filled;
    struct mmsghdr *msgs = e->rx_msgs + e->rx_filled;
    for (uint32_t i = 0; i < room; i++) {
        epoll_rx *rx = &e->rx[e->rx_filled + i];
        struct msghdr *hdr = &msgs[i].msg_hdr;
        rx->socket = index;
        hdr->msg_name = &rx->name;
        hdr->msg_namelen = sizeof(rx->name);
        hdr->msg_control = rx->control;
        hdr->msg_controllen = sizeof(rx->control);
        hdr->msg_iov = &rx->iov;
        hdr->msg_iovlen = 1;
        hdr->msg_flags = 0;
    }
    e->base.stats.syscalls++;
    int n = recvmmsg(e->socks[index].udp.fd, msgs, room, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);
    if (n < 0 && errno == EINTR) {
        return;
    }
    if (n > 0) {
        e->rx_filled += (uint32_t)n;
    }
    if (n < (int)room) {
        e->readable &= ~(1ull << index); /* drained; epoll tells when there is more */
    }
}

static void fill(rt_io_epoll *e)
{
    uint32_t count = e->sock_count;
    uint32_t first = e->rx_turn;
    for (uint32_t i = 0; i < count && e->readable != 0 && e->rx_filled < e->rx_count; i++) {
        uint32_t index = (first + i) % count;
        if ((e->readable >> index & 1) != 0) {
            fill_from(e, index);
            e->rx_turn = (index + 1) % count; /* the others come first next time */
        }
    }
    if (e->readable != 0 && e->rx_filled == e->rx_count) {
        e->base.stats.rx_nobufs++;
    }
}

/* ---- send ---------------------------------------------------------------------------------- */

static bool epoll_tx_buf(rt_io *io, quic_tx_unit *out, uint32_t min_room)
{
    rt_io_epoll *e = of(io);
    bool ok = rt_tx_arena_buf(&e->tx, out, min_room);
    e->tx_starved = !ok;
    return ok;
}

static void epoll_tx_submit(rt_io *io, const quic_tx_unit *unit)
{
    rt_io_epoll *e = of(io);
    uint32_t index = unit->path.socket;
    if (!rt_tx_list_is_empty(&e->queue) && index < RT_IO_SOCKETS_MAX && e->socks[index].used &&
        rt_io_sock_join(io, &e->socks[index], &e->tx, &e->tx.ops[e->queue.tail], unit)) {
        return;
    }
    rt_tx_op *op = rt_tx_arena_take(&e->tx, unit);
    if (index >= RT_IO_SOCKETS_MAX || !e->socks[index].used ||
        !rt_io_sock_prepare(io, &e->socks[index], op)) {
        io->stats.tx_errors++;
        rt_tx_arena_done(&e->tx, op);
        return;
    }
    rt_tx_list_push(&e->queue, &e->tx, op);
}

/* Puts `op` behind what already waits for the device. */
static void defer(rt_io_epoll *e, rt_tx_op *op)
{
    rt_io_sock *sock = &e->socks[op->path.socket];
    rt_tx_list_push(&sock->backlog, &e->tx, op);
    if (!sock->poll_armed) {
        sock->poll_armed = watch(e, EPOLL_CTL_MOD, op->path.socket, true) == 0;
    }
}

static void send_one(rt_io_epoll *e, rt_tx_op *op)
{
    rt_io_sock *sock = &e->socks[op->path.socket];
    if (!rt_tx_list_is_empty(&sock->backlog) || !rt_io_sock_send(&e->base, sock, op)) {
        defer(e, op);
        return;
    }
    rt_tx_arena_done(&e->tx, op);
}

/* Takes the longest run of ops that one sendmmsg can carry: same socket, none to be sent plain. */
static unsigned take_run(rt_io_epoll *e, rt_tx_op **ops, struct mmsghdr *msgs)
{
    unsigned n = 0;
    while (n < TX_BATCH && !rt_tx_list_is_empty(&e->queue)) {
        rt_tx_op *op = &e->tx.ops[e->queue.head];
        if (n > 0 && (op->plain || op->path.socket != ops[0]->path.socket)) {
            break;
        }
        ops[n] = rt_tx_list_pop(&e->queue, &e->tx);
        msgs[n].msg_hdr = op->hdr;
        msgs[n].msg_len = 0;
        n++;
        if (op->plain) {
            break;
        }
    }
    return n;
}

static void epoll_flush(rt_io *io)
{
    rt_io_epoll *e = of(io);
    struct mmsghdr msgs[TX_BATCH];
    rt_tx_op *ops[TX_BATCH];
    /* Every round takes at least one op off the queue. */
    while (!rt_tx_list_is_empty(&e->queue)) {
        unsigned n = take_run(e, ops, msgs);
        rt_io_sock *sock = &e->socks[ops[0]->path.socket];
        unsigned sent = 0;
        if (n > 1 && !ops[0]->plain && rt_tx_list_is_empty(&sock->backlog)) {
            io->stats.syscalls++;
            int rc = sendmmsg(sock->udp.fd, msgs, n, MSG_DONTWAIT);
            sent = rc > 0 ? (unsigned)rc : 0;
        }
        for (unsigned i = 0; i < n; i++) {
            if (i < sent) {
                rt_io_sock_sent(io, sock, ops[i]);
                rt_tx_arena_done(&e->tx, ops[i]);
            } else {
                send_one(e, ops[i]); /* finds out what was wrong */
            }
        }
    }
}

static void drain_backlog(rt_io_epoll *e, uint32_t index)
{
    rt_io_sock *sock = &e->socks[index];
    while (!rt_tx_list_is_empty(&sock->backlog)) {
        rt_tx_op *op = &e->tx.ops[sock->backlog.head];
        if (!rt_io_sock_send(&e->base, sock, op)) {
            return; /* still POLLOUT that brings us back */
        }
        (void)rt_tx_list_pop(&sock->backlog, &e->tx);
        rt_tx_arena_done(&e->tx, op);
    }
    sock->poll_armed = false;
    (void)watch(e, EPOLL_CTL_MOD, index, false);
}

/* ---- wait ---------------------------------------------------------------------------------- */

static int epoll_wait_for(rt_io_epoll *e, struct epoll_event *events, int max, quic_ns left,
                          bool forever)
{
    if (!e->no_pwait2) {
        struct timespec ts = {.tv_sec = (time_t)(left / QUIC_NS_PER_S),
                              .tv_nsec = (long)(left % QUIC_NS_PER_S)};
        int n = epoll_pwait2(e->epoll_fd, events, max, forever ? NULL : &ts, NULL);
        if (n >= 0 || errno == EINTR) {
            return n;
        }
        e->no_pwait2 = true; /* Linux before 5.11; a container whose filter is older (EPERM) */
    }
    quic_ns ms = left / QUIC_NS_PER_MS + (left % QUIC_NS_PER_MS != 0);
    int timeout = forever ? -1 : ms > INT32_MAX ? INT32_MAX : (int)ms;
    return epoll_wait(e->epoll_fd, events, max, timeout);
}

static int sleep_until(rt_io_epoll *e, struct epoll_event *events, int max, quic_ns now,
                       quic_ns deadline)
{
    quic_ns left = deadline > now ? deadline - now : 0;
    e->base.stats.syscalls++;
    if (left > 0) {
        rt_io_open_door(&e->base);
        int n = epoll_wait_for(e, events, max, left, deadline == QUIC_NS_NEVER);
        rt_io_shut_door(&e->base);
        return n;
    }
    return epoll_wait(e->epoll_fd, events, max, 0);
}

static unsigned handle(rt_io_epoll *e, const struct epoll_event *ev)
{
    uint32_t index = ev->data.u32;
    if (index == WAKE_TAG) {
        uint64_t count;
        e->base.stats.syscalls++;
        return read(e->base.wake.fd, &count, sizeof(count)) > 0 ? (unsigned)RT_IO_WAKE : 0u;
    }
    if (!e->socks[index].used) {
        return 0;
    }
    unsigned found = 0;
    if ((ev->events & (EPOLLIN | EPOLLERR)) != 0) {
        e->readable |= 1ull << index;
    }
    if ((ev->events & EPOLLOUT) != 0) {
        drain_backlog(e, index);
        found |= RT_IO_TX;
    }
    return found;
}

static unsigned epoll_io_wait(rt_io *io, quic_ns now, quic_ns deadline)
{
    rt_io_epoll *e = of(io);
    struct epoll_event events[RT_IO_SOCKETS_MAX + 1];
    unsigned found = 0;
    epoll_flush(io);
    fill(e); /* sockets that had more last time need no epoll_wait */
    if (e->tx_starved && e->tx.in_flight == 0) {
        found = RT_IO_TX;
        deadline = now;
    }
    e->tx_starved = false;
    if (e->rx_next < e->rx_filled) {
        if (++e->unasked < UNASKED_MAX) {
            return found | RT_IO_RX;
        }
        deadline = now; /* other sockets may have something, too, and room for what waits */
    }
    e->unasked = 0;
    int n = sleep_until(e, events, (int)RT_IO_SOCKETS_MAX + 1, now, deadline);
    for (int i = 0; i < n; i++) {
        found |= handle(e, &events[i]);
    }
    if (e->rx_filled < e->rx_count) {
        fill(e);
    }
    return found | (e->rx_next < e->rx_filled ? (unsigned)RT_IO_RX : 0u);
}

/* Sockets that have more, and sends that wait for the device, are epoll's. */
static unsigned epoll_look(rt_io *io, quic_ns now)
{
    rt_io_epoll *e = of(io);
    bool may = rt_io_plain_may_look(io, e->sock_count) && e->readable == 0 && !e->tx_starved &&
               e->rx_next == e->rx_filled;
    for (uint32_t i = 0; may && i < e->sock_count; i++) {
        may = !e->socks[i].poll_armed;
    }
    if (!may) {
        return epoll_io_wait(io, now, 0);
    }
    epoll_flush(io);
    return rt_io_plain_look(io, e->socks, e->sock_count);
}

/* ---- visits -------------------------------------------------------------------------------- */

static bool epoll_enter(rt_io *io)
{
    return rt_tx_list_is_empty(&of(io)->queue);
}

static bool epoll_leave(rt_io *io)
{
    epoll_flush(io);
    return false; /* epoll was told itself */
}

static rt_io_sock *epoll_socks(rt_io *io, uint32_t *out_count)
{
    *out_count = of(io)->sock_count;
    return of(io)->socks;
}

/* ---- life ---------------------------------------------------------------------------------- */

static void epoll_destroy(rt_io *io)
{
    rt_io_epoll *e = of(io);
    for (uint32_t i = 0; i < RT_IO_SOCKETS_MAX; i++) {
        if (e->socks[i].used) {
            forget_rx(e, i);
            rt_udp_close(&e->socks[i].udp);
        }
    }
    if (e->epoll_fd >= 0) {
        rt_fd_close(e->epoll_fd);
    }
    rt_wake_deinit(&io->wake);
    rt_io_guest_destroy(io->guest);
    free(io->plain);
    rt_tx_arena_deinit(&e->tx);
    free(e->rx_mem);
    free(e->rx);
    free(e->rx_msgs);
    free(e);
}

static const rt_io_ops epoll_ops = {
    .name = "epoll",
    .destroy = epoll_destroy,
    .add_socket = epoll_add_socket,
    .remove_socket = epoll_remove_socket,
    .next_rx = epoll_next_rx,
    .release_rx = epoll_release_rx,
    .tx_buf = epoll_tx_buf,
    .tx_submit = epoll_tx_submit,
    .flush = epoll_flush,
    .wait = epoll_io_wait,
    .look = epoll_look,
    .enter = epoll_enter,
    .leave = epoll_leave,
    .socks = epoll_socks,
};

static bool make_rx(rt_io_epoll *e, uint32_t count)
{
    e->rx_count = count;
    e->base.rx_units_max = count;
    e->rx_mem = aligned_alloc(4096, (size_t)count * RX_BUF_BYTES);
    e->rx = calloc(count, sizeof(*e->rx));
    e->rx_msgs = calloc(count, sizeof(*e->rx_msgs));
    if (e->rx_mem == NULL || e->rx == NULL || e->rx_msgs == NULL) {
        return false;
    }
    memset(e->rx_mem, 0, (size_t)count * RX_BUF_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        e->rx[i].iov.iov_base = e->rx_mem + (size_t)i * RX_BUF_BYTES;
        e->rx[i].iov.iov_len = RX_BUF_BYTES;
    }
    return true;
}

static int make_epoll(rt_io_epoll *e)
{
    const bool held = rt_fd_hold();
    e->epoll_fd = rt_fd_keep(epoll_create1(EPOLL_CLOEXEC));
    int rc = e->epoll_fd < 0 ? -errno : 0;
    rt_fd_let(held);
    if (rc != 0) {
        return rc;
    }
    rc = rt_wake_init(&e->base.wake, false);
    if (rc != 0) {
        return rc;
    }
    struct epoll_event ev = {.events = EPOLLIN};
    ev.data.u32 = WAKE_TAG;
    return epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, e->base.wake.fd, &ev) == 0 ? 0 : -errno;
}

int rt_io_epoll_create(rt_io **out, const rt_io_config *config)
{
    *out = NULL;
    rt_io_epoll *e = calloc(1, sizeof(*e));
    if (e == NULL) {
        return -ENOMEM;
    }
    e->base.ops = &epoll_ops;
    e->base.gso = config->gso;
    e->base.wake.fd = -1;
    e->epoll_fd = -1;
    rt_tx_list_init(&e->queue);
    int rc = -ENOMEM;
    if (config->rx_buf_count > 0 && make_rx(e, config->rx_buf_count) &&
        rt_tx_arena_init(&e->tx, config->tx_slot_count, config->tx_op_count)) {
        rc = make_epoll(e);
    }
    if (rc != 0) {
        epoll_destroy(&e->base);
        return rc;
    }
    *out = &e->base;
    return 0;
}

#include "runtime/io/io_uring.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "quic/base/check.h"
#include "runtime/io/io_guest.h"
#include "runtime/io/io_plain.h"
#include "runtime/io/uring_internal.h"

/* While sends are on their way the sleep is cut into pieces this long; see sleep_until. */
#define PIECE_NS        (50 * QUIC_NS_PER_MS)
#define CLOSE_ROUNDS    64
#define CLOSE_WAIT_NS   QUIC_NS_PER_MS
#define REAP_ROUNDS_MAX 16
#define SUBMIT_ROUNDS   2000
#define SUBMIT_WAIT_NS  QUIC_NS_PER_MS

/* ---- submission ---------------------------------------------------------------------------- */

void rt_uring_submit(rt_uring *u)
{
    u->tx_open = RT_TX_OP_NONE;
    if (io_uring_sq_ready(&u->ring) > 0) {
        u->base.stats.syscalls++;
        (void)io_uring_submit(&u->ring);
    }
}

struct io_uring_sqe *rt_uring_sqe(rt_uring *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    for (unsigned round = 0; sqe == NULL && round < SUBMIT_ROUNDS; round++) {
        if (round > 0) {
            /* The kernel had no memory for requests (EAGAIN), which ends by itself or with the process. */
            const struct timespec pause = {.tv_nsec = (long)SUBMIT_WAIT_NS};
            (void)nanosleep(&pause, NULL);
        }
        rt_uring_submit(u);
        sqe = io_uring_get_sqe(&u->ring);
    }
    QURING_ASSERT(sqe != NULL);
    return sqe;
}

void rt_uring_set_socket(const rt_uring *u, struct io_uring_sqe *sqe, uint32_t index)
{
    /* One it does not know yet goes by its descriptor. */
    if (u->fixed_files && QUIC_LIKELY((u->owed_files >> index & 1) == 0)) {
        sqe->fd = (int)index;
        sqe->flags |= IOSQE_FIXED_FILE;
    }
}

static void arm_wake(rt_uring *u)
{
    if (!u->wake_armed) {
        struct io_uring_sqe *sqe = rt_uring_sqe(u);
        io_uring_prep_read(sqe, u->base.wake.fd, &u->wake_value, sizeof(u->wake_value), 0);
        io_uring_sqe_set_data64(sqe, rt_uring_name(RT_URING_KIND_WAKE, 0));
        u->wake_armed = true;
    }
}

/* ---- sockets ------------------------------------------------------------------------------- */

static int register_file(rt_uring *u, uint32_t index, int fd)
{
    return io_uring_register_files_update(&u->ring, index, &fd, 1);
}

static int uring_add_socket(rt_io *io, const rt_udp_socket *udp, uint32_t *out_index)
{
    rt_uring *u = rt_uring_of(io);
    uint32_t index = 0;
    while (index < RT_IO_SOCKETS_MAX && u->socks[index].used) {
        index++;
    }
    if (index == RT_IO_SOCKETS_MAX) {
        return -EUSERS;
    }
    if (io->visited) {
        u->owed_files |= 1ull << index; /* and the owner has to begin to receive */
    } else if (u->fixed_files) {
        int rc = register_file(u, index, udp->fd);
        if (rc < 0) {
            return rc;
        }
    }
    rt_io_sock_init(&u->socks[index], udp, io->gso);
    u->sock_count = index + 1 > u->sock_count ? index + 1 : u->sock_count;
    u->rearm = true;
    u->looking = false;
    *out_index = index;
    return 0;
}

/* Closes a removed socket once the ring has nothing left to say about it. */
static void close_if_quiet(rt_uring *u, uint32_t index)
{
    rt_io_sock *sock = &u->socks[index];
    if (!sock->closing || sock->rx_armed || sock->poll_armed || sock->tx_refs > 0) {
        return;
    }
    if (u->fixed_files) {
        (void)register_file(u, index, -1);
    }
    rt_udp_close(&sock->udp);
    sock->closing = false;
    sock->used = false;
    u->sock_count = rt_io_sock_end(u->socks, u->sock_count);
    u->rx_turn = u->rx_turn < u->sock_count ? u->rx_turn : 0;
}

static void cancel(rt_uring *u, uint32_t kind, uint32_t index)
{
    struct io_uring_sqe *sqe = rt_uring_sqe(u);
    io_uring_prep_cancel64(sqe, rt_uring_name(kind, index), 0);
    io_uring_sqe_set_data64(sqe, rt_uring_name(RT_URING_KIND_CANCEL, index));
}

static void cancel_all(rt_uring *u, uint32_t index)
{
    const rt_io_sock *sock = &u->socks[index];
    if (sock->rx_armed) {
        cancel(u, RT_URING_KIND_RX, index);
    }
    if (sock->poll_armed) {
        cancel(u, RT_URING_KIND_POLLOUT, index);
    }
    close_if_quiet(u, index);
}

static unsigned reap(rt_uring *u);

/* The kernel lets go as soon as it is asked, but says so only when completions are taken: until then the place, the
 * descriptor and its port are not free. */
static void take_goodbye(rt_uring *u, uint32_t index)
{
    if (u->socks[index].closing) {
        u->base.stats.syscalls++;
        u->tx_open = RT_TX_OP_NONE;
        (void)io_uring_submit_and_get_events(&u->ring);
        (void)reap(u);
    }
}

static void uring_remove_socket(rt_io *io, uint32_t index)
{
    rt_uring *u = rt_uring_of(io);
    QURING_ASSERT(index < RT_IO_SOCKETS_MAX);
    rt_io_sock *sock = &u->socks[index];
    QURING_ASSERT(sock->used && !sock->closing);
    rt_uring_submit(u);
    sock->closing = true;
    rt_uring_tx_drop_backlog(u, index);
    rt_uring_rx_forget(u, index);
    u->owed_files &= ~(1ull << index);
    if (u->base.visited) {
        u->owed_cancels |= 1ull << index;
        u->looking = false;
        return;
    }
    cancel_all(u, index);
    take_goodbye(u, index);
}

/* What a visitor left to the thread the ring belongs to. */
static void pay_owed(rt_uring *u)
{
    for (uint64_t files = u->owed_files; QUIC_UNLIKELY(files != 0); files &= files - 1) {
        uint32_t index = (uint32_t)__builtin_ctzll(files);
        if (!u->fixed_files || register_file(u, index, u->socks[index].udp.fd) >= 0) {
            u->owed_files &= ~(1ull << index);
        }
    }
    while (QUIC_UNLIKELY(u->owed_cancels != 0)) {
        uint32_t index = (uint32_t)__builtin_ctzll(u->owed_cancels);
        u->owed_cancels &= u->owed_cancels - 1;
        cancel_all(u, index);
        rt_uring_submit(u);
    }
}

/* ---- completions --------------------------------------------------------------------------- */

static unsigned handle(rt_uring *u, const struct io_uring_cqe *cqe)
{
    uint32_t kind = (uint32_t)(cqe->user_data >> 32);
    uint32_t index = (uint32_t)cqe->user_data;
    switch (kind) {
    case RT_URING_KIND_RX:
        rt_uring_rx_complete(u, cqe, index);
        close_if_quiet(u, index);
        return RT_IO_RX;
    case RT_URING_KIND_TX: {
        uint32_t socket = u->tx.ops[index].path.socket;
        rt_uring_tx_complete(u, cqe, index);
        close_if_quiet(u, socket);
        return RT_IO_TX;
    }
    case RT_URING_KIND_POLLOUT:
        rt_uring_pollout_complete(u, index);
        close_if_quiet(u, index);
        return RT_IO_TX;
    case RT_URING_KIND_WAKE:
        u->wake_armed = false;
        return cqe->res > 0 ? (unsigned)RT_IO_WAKE : 0u;
    default:
        return 0;
    }
}

static unsigned reap(rt_uring *u)
{
    unsigned found = 0;
    /* A handler may submit and so bring new completions; the rest waits for the next turn. */
    for (unsigned round = 0; round < REAP_ROUNDS_MAX; round++) {
        struct io_uring_cqe *cqes[64];
        unsigned n = io_uring_peek_batch_cqe(&u->ring, cqes, 64);
        for (unsigned i = 0; i < n; i++) {
            struct io_uring_cqe cqe = *cqes[i];
            found |= handle(u, &cqe);
        }
        io_uring_cq_advance(&u->ring, n);
        if (n < 64) {
            break;
        }
    }
    if (u->rx_next == u->rx_filled) {
        found &= ~(unsigned)RT_IO_RX; /* an ended receive without data */
    }
    return found;
}

/* ---- waiting ------------------------------------------------------------------------------- */

static void poll_ring(rt_uring *u)
{
    if (io_uring_sq_ready(&u->ring) == 0) {
        unsigned flags = IO_URING_READ_ONCE(*u->ring.sq.kflags);
        if (u->taskrun_flag && (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) == 0) {
            return; /* the kernel has nothing for us */
        }
    }
    u->base.stats.syscalls++;
    (void)io_uring_submit_and_get_events(&u->ring);
}

/* Takes completions: what of them is news for who sleeps. */
static unsigned reap_news(rt_uring *u)
{
    return reap(u) & ~(u->tx_starved ? 0u : (unsigned)RT_IO_TX);
}

/* Sends complete while they are submitted, so as not to be woken by them the wait asks for one
 * completion more than there are sends. Should one stay out after all, the sleep still ends after
 * PIECE_NS and goes on without that trick. Nor is it for devices that are full at times: what they did not
 * take has to wait for them. */
static unsigned sleep_until(rt_uring *u, quic_ns now, quic_ns deadline)
{
    unsigned found = 0;
    bool piecewise = true;
    if (QUIC_UNLIKELY(u->device_fills) && u->tx_pending > 0) {
        rt_uring_submit(u);
        found = reap_news(u);
        if (u->rearm || !u->wake_armed) {
            return found;
        }
    }
    while (found == 0 && now < deadline) {
        quic_ns left = deadline - now;
        unsigned want = 1;
        bool piece = piecewise && u->tx_pending > 0 && !u->tx_starved;
        if (piece) {
            want += u->tx_pending;
            left = left < PIECE_NS ? left : PIECE_NS;
        }
        piecewise = false;
        struct __kernel_timespec ts = {
            .tv_sec = (int64_t)(left / QUIC_NS_PER_S),
            .tv_nsec = (long long)(left % QUIC_NS_PER_S),
        };
        struct io_uring_cqe *cqe = NULL;
        bool forever = deadline == QUIC_NS_NEVER && want == 1;
        u->base.stats.syscalls++;
        rt_io_open_door(&u->base);
        int rc = io_uring_submit_and_wait_timeout(&u->ring, &cqe, want, forever ? NULL : &ts, NULL);
        rt_io_shut_door(&u->base);
        found = reap_news(u);
        if (rc == -EINTR || u->rearm || !u->wake_armed) {
            break;
        }
        if (!piece && rc != -ETIME) {
            break; /* something came that is no news to the caller */
        }
        now += left;
    }
    return found;
}

static void uring_flush(rt_io *io)
{
    rt_uring *u = rt_uring_of(io);
    if (io_uring_sq_ready(&u->ring) > 0) {
        rt_uring_submit(u);
        (void)reap(u);
    }
}

static unsigned uring_wait(rt_io *io, quic_ns now, quic_ns deadline)
{
    rt_uring *u = rt_uring_of(io);
    u->looking = false;
    pay_owed(u);
    arm_wake(u);
    rt_uring_rx_arm(u);
    rt_uring_tx_arm_owed(u);
    unsigned found = 0;
    u->tx_open = RT_TX_OP_NONE; /* leaves now */
    if (deadline <= now || u->rx_next < u->rx_filled || io_uring_cq_ready(&u->ring) > 0) {
        poll_ring(u);
        found = reap(u);
    } else {
        found = sleep_until(u, now, deadline);
    }
    u->tx_starved = false;
    return found | (u->rx_next < u->rx_filled ? (unsigned)RT_IO_RX : 0u);
}

/* Nothing of the ring's is under way, save for the read that ends a sleep. */
static bool is_at_rest(const rt_uring *u)
{
    bool rests = u->tx_pending == 0 && u->rx_next == u->rx_filled;
    for (uint32_t i = 0; i < u->sock_count; i++) {
        const rt_io_sock *sock = &u->socks[i];
        rests = rests && !sock->rx_armed && !sock->poll_armed && !sock->closing;
    }
    return rests;
}

/* Sends that wait for the device are the ring's, and so are sockets that are not quite gone: meanwhile it receives. */
static bool may_look(rt_uring *u)
{
    bool may = rt_io_plain_may_look(&u->base, u->sock_count) && u->rx_next == u->rx_filled &&
               (u->owed_files | u->owed_cancels | u->owed_polls) == 0;
    for (uint32_t i = 0; may && i < u->sock_count; i++) {
        may = !u->socks[i].poll_armed && !u->socks[i].closing;
    }
    return may;
}

/* A receive of the ring's would be woken by each datagram, and look in vain. */
static unsigned begin_to_look(rt_uring *u, quic_ns now)
{
    if (!may_look(u)) {
        return uring_wait(&u->base, now, 0);
    }
    for (uint32_t i = 0; i < u->sock_count; i++) {
        if (u->socks[i].rx_armed) {
            cancel(u, RT_URING_KIND_RX, i);
        }
    }
    u->tx_open = RT_TX_OP_NONE;
    poll_ring(u);
    const unsigned found = reap(u);
    u->tx_starved = false;
    u->looking = is_at_rest(u);
    return u->looking ? found | rt_io_plain_look(&u->base, u->socks, u->sock_count) : found;
}

static unsigned uring_look(rt_io *io, quic_ns now)
{
    rt_uring *u = rt_uring_of(io);
    return QUIC_LIKELY(u->looking) ? rt_io_plain_look(io, u->socks, u->sock_count)
                                   : begin_to_look(u, now);
}

/* ---- visits -------------------------------------------------------------------------------- */

/* A ring whose completions come of themselves may take what a guest waits for. */
static rt_io_sock *uring_socks(rt_io *io, uint32_t *out_count)
{
    rt_uring *u = rt_uring_of(io);
    *out_count = u->sock_count;
    return (u->ring.flags & IORING_SETUP_DEFER_TASKRUN) != 0 ? u->socks : NULL;
}

/* Only the owner's thread may submit to the ring. The kernel moves the head once it has issued what was
 * submitted, and sends are over with that. */
static bool uring_enter(rt_io *io)
{
    const struct io_uring_sq *sq = &rt_uring_of(io)->ring.sq;
    return __atomic_load_n(sq->khead, __ATOMIC_ACQUIRE) == sq->sqe_tail;
}

static bool uring_leave(rt_io *io)
{
    const rt_uring *u = rt_uring_of(io);
    return (u->owed_polls | u->owed_cancels | u->owed_files) != 0;
}

/* ---- life ---------------------------------------------------------------------------------- */

static bool all_closed(const rt_uring *u)
{
    if (u->wake_armed) {
        return false;
    }
    for (uint32_t i = 0; i < u->sock_count; i++) {
        if (u->socks[i].used) {
            return false;
        }
    }
    return true;
}

/* The kernel must be done with our buffers before they are freed. */
static void close_all(rt_uring *u)
{
    for (uint32_t i = 0; i < u->sock_count; i++) {
        if (u->socks[i].used && !u->socks[i].closing) {
            uring_remove_socket(&u->base, i);
        }
    }
    if (u->wake_armed) {
        cancel(u, RT_URING_KIND_WAKE, 0);
    }
    for (int round = 0; round < CLOSE_ROUNDS && !all_closed(u); round++) {
        u->rx_next = u->rx_filled;
        rt_uring_release_rx(&u->base);
        struct __kernel_timespec ts = {.tv_nsec = CLOSE_WAIT_NS};
        struct io_uring_cqe *cqe = NULL;
        (void)io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &ts, NULL);
        (void)reap(u);
    }
    for (uint32_t i = 0; i < u->sock_count; i++) {
        if (u->socks[i].used) {
            rt_udp_close(&u->socks[i].udp);
        }
    }
}

static void uring_destroy(rt_io *io)
{
    rt_uring *u = rt_uring_of(io);
    if (u->ring_ready) {
        pay_owed(u);
        close_all(u);
    }
    rt_uring_teardown(u);
    rt_io_guest_destroy(io->guest);
    free(io->plain);
    free(u);
}

static const rt_io_ops uring_ops = {
    .name = "io_uring",
    .destroy = uring_destroy,
    .add_socket = uring_add_socket,
    .remove_socket = uring_remove_socket,
    .next_rx = rt_uring_next_rx,
    .release_rx = rt_uring_release_rx,
    .tx_buf = rt_uring_tx_buf,
    .tx_submit = rt_uring_tx_submit,
    .flush = uring_flush,
    .wait = uring_wait,
    .look = uring_look,
    .enter = uring_enter,
    .leave = uring_leave,
    .socks = uring_socks,
};

int rt_io_uring_create(rt_io **out, const rt_io_config *config)
{
    *out = NULL;
    rt_uring *u = calloc(1, sizeof(*u));
    if (u == NULL) {
        return -ENOMEM;
    }
    u->base.ops = &uring_ops;
    u->base.wake.fd = -1;
    u->tx_open = RT_TX_OP_NONE;
    u->base.gso = config->gso;
    int rc = rt_uring_setup(u, config);
    if (rc != 0) {
        uring_destroy(&u->base);
        return rc;
    }
    u->base.rx_units_max = u->rx_count;
    *out = &u->base;
    return 0;
}

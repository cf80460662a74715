#define _GNU_SOURCE 1 /* pipe2 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "runtime/io/uring_internal.h"
#include "runtime/udp/own_fd.h"

#define SQ_SPARE 128u /* entries beside the sends: receives, polls, cancels */

/* Newest first; an older kernel answers EINVAL to flags it does not know. */
static const unsigned flag_choices[] = {
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
        IORING_SETUP_SUBMIT_ALL,
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
    0,
};

static int queue_init(rt_uring *u, const rt_io_config *config)
{
    int rc = -EINVAL;
    for (size_t i = 0; i < sizeof(flag_choices) / sizeof(flag_choices[0]) && rc == -EINVAL; i++) {
        struct io_uring_params params;
        memset(&params, 0, sizeof(params));
        params.flags = flag_choices[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
        params.cq_entries = config->cq_entries;
        unsigned entries = config->tx_op_count + SQ_SPARE;
        if (params.cq_entries < 2 * entries) {
            params.cq_entries = 2 * entries;
        }
        rc = io_uring_queue_init_params(entries, &u->ring, &params);
        u->taskrun_flag = (params.flags & IORING_SETUP_TASKRUN_FLAG) != 0;
    }
    return rc;
}

static int make_ring(rt_uring *u, const rt_io_config *config)
{
    const bool held = rt_fd_hold();
    const int rc = queue_init(u, config);
    u->ring.ring_fd = rc == 0 ? rt_fd_keep(u->ring.ring_fd) : -1;
    rt_fd_let(held);
    if (rc != 0) {
        return rc;
    }
    u->ring_ready = true;
    u->ring.enter_ring_fd = u->ring.ring_fd;
    /* A child's mapping would keep the ring, and with it the sockets, beyond this process. */
    (void)io_uring_ring_dontfork(&u->ring);
    return 0;
}

/* Timed waits, and the release that brought multishot recvmsg (its zero-copy send tells). An older io_uring is
 * another refusal than none at all. */
static int check_features(rt_uring *u)
{
    if ((u->ring.features & IORING_FEAT_EXT_ARG) == 0 ||
        (u->ring.features & IORING_FEAT_NODROP) == 0) {
        return -EOPNOTSUPP;
    }
    struct io_uring_probe *probe = io_uring_get_probe_ring(&u->ring);
    if (probe == NULL) {
        return -EOPNOTSUPP;
    }
    int supported = io_uring_opcode_supported(probe, IORING_OP_SEND_ZC);
    io_uring_free_probe(probe);
    return supported ? 0 : -EOPNOTSUPP;
}

/* ---- the table of files -------------------------------------------------------------------------- */

#define TABLE_OUT     0 /* places in it */
#define TABLE_STAYS   1
#define TABLE_WAIT_NS (100 * QUIC_NS_PER_MS)

/* A request that stays, as receiving does at every other socket: until something comes through the pipe. */
static void begin_to_wait(rt_uring *u)
{
    struct io_uring_sqe *sqe = rt_uring_sqe(u);
    io_uring_prep_poll_add(sqe, TABLE_STAYS, POLLIN);
    sqe->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(sqe, rt_uring_name(RT_URING_KIND_CANCEL, TABLE_STAYS));
    rt_uring_submit(u);
}

/* Should its end come later, it is as much news as that of a cancelled request. */
static void end_to_wait(rt_uring *u)
{
    struct io_uring_sqe *sqe = rt_uring_sqe(u);
    io_uring_prep_cancel64(sqe, rt_uring_name(RT_URING_KIND_CANCEL, TABLE_STAYS), 0);
    io_uring_sqe_set_data64(sqe, rt_uring_name(RT_URING_KIND_CANCEL, TABLE_OUT));
    struct __kernel_timespec ts = {.tv_nsec = TABLE_WAIT_NS};
    struct io_uring_cqe *cqe = NULL;
    (void)io_uring_submit_and_wait_timeout(&u->ring, &cqe, 2, &ts, NULL);
    io_uring_cq_advance(&u->ring, io_uring_cq_ready(&u->ring));
}

static bool put(rt_uring *u, unsigned place, int fd)
{
    return io_uring_register_files_update(&u->ring, place, &fd, 1) == 1;
}

/* A removed socket has to be gone, or it keeps its port, and its share of the datagrams. Linux 6.1 keeps a file for a
 * second after the table was told to let it go; 6.12 until all requests are over that began before, on whatever
 * file (6.18 does not). So one end of a pipe goes in and out while another is waited for, and the other end looks. */
static bool table_lets_go(rt_uring *u)
{
    int stays[2];
    int out[2];
    if (pipe2(stays, O_CLOEXEC | O_NONBLOCK) != 0) {
        return false;
    }
    if (pipe2(out, O_CLOEXEC | O_NONBLOCK) != 0) {
        (void)close(stays[0]);
        (void)close(stays[1]);
        return false;
    }
    bool taken = put(u, TABLE_STAYS, stays[0]);
    if (taken) {
        begin_to_wait(u);
    }
    taken = put(u, TABLE_OUT, out[1]) && taken;
    (void)close(out[1]);
    (void)put(u, TABLE_OUT, -1);
    char byte;
    const bool gone = taken && read(out[0], &byte, 1) == 0;
    (void)close(out[0]);
    if (taken) {
        end_to_wait(u);
    }
    (void)put(u, TABLE_STAYS, -1);
    (void)close(stays[0]);
    (void)close(stays[1]);
    return gone;
}

/* ---- life ---------------------------------------------------------------------------------------- */

int rt_uring_setup(rt_uring *u, const rt_io_config *config)
{
    int rc = make_ring(u, config);
    if (rc == 0) {
        rc = check_features(u);
    }
    if (rc == 0) {
        rc = rt_wake_init(&u->base.wake, false);
    }
    if (rc != 0) {
        return rc;
    }
    /* A read on a non-blocking descriptor would complete with EAGAIN instead of waiting. */
    (void)fcntl(u->base.wake.fd, F_SETFL, 0);
    (void)io_uring_register_ring_fd(&u->ring);
    u->fixed_files =
        io_uring_register_files_sparse(&u->ring, RT_IO_SOCKETS_MAX) == 0 && table_lets_go(u);
    if (!rt_tx_arena_init(&u->tx, config->tx_slot_count, config->tx_op_count)) {
        return -ENOMEM;
    }
    return rt_uring_rx_setup(u, config->rx_buf_count);
}

void rt_uring_teardown(rt_uring *u)
{
    if (u->ring_ready) {
        rt_uring_rx_teardown(u);
        const bool held = rt_fd_hold();
        rt_fd_forget(u->ring.ring_fd);
        io_uring_queue_exit(&u->ring);
        rt_fd_let(held);
        u->ring_ready = false;
    }
    rt_wake_deinit(&u->base.wake);
    rt_tx_arena_deinit(&u->tx);
}

#define _GNU_SOURCE 1 /* pipe2 */

#include <errno.h>
#include <fcntl.h>
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

static int make_ring(rt_uring *u, const rt_io_config *config)
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
    if (rc != 0) {
        return rc;
    }
    u->ring_ready = true;
    u->ring.ring_fd = rt_fd_keep(u->ring.ring_fd);
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

/* Linux 6.1 keeps a file for a second after the table was told to let it go: a socket that was removed would keep its
 * port for that long, and its share of the datagrams. So one end of a pipe goes in and out, and the other end looks. */
static bool table_lets_go(rt_uring *u)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        return false;
    }
    const int none = -1;
    int rc = io_uring_register_files_update(&u->ring, 0, &ends[1], 1);
    (void)close(ends[1]);
    (void)io_uring_register_files_update(&u->ring, 0, &none, 1);
    char byte;
    bool gone = rc == 1 && read(ends[0], &byte, 1) == 0;
    (void)close(ends[0]);
    return gone;
}

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
        rt_fd_forget(u->ring.ring_fd);
        io_uring_queue_exit(&u->ring);
        u->ring_ready = false;
    }
    rt_wake_deinit(&u->base.wake);
    rt_tx_arena_deinit(&u->tx);
}

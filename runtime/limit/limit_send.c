#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/core/clock.h"
#include "runtime/limit/limit_check.h"
#include "runtime/limit/limit_run.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define RT_LIMIT_SLOTS         8u /* 64 KiB each, used in turn: half a megabyte stays in L2 */
#define RT_LIMIT_ACK_BUFS      64u
#define RT_LIMIT_ACK_BUF_BYTES 256u
#define RT_LIMIT_CLOCK_EVERY   16u /* units between two looks at the clock */
#define RT_LIMIT_TAIL_NS       1000000000ull
#define RT_LIMIT_TAG_SEND      1u
#define RT_LIMIT_TAG_ACK       2u

typedef struct rt_limit_tx {
    rt_limit_run *run;
    rt_limit_side *side;
    rt_limit_ring ring;
    uint8_t *slots;
    struct iovec iov[RT_LIMIT_SLOTS];
    struct msghdr msg[RT_LIMIT_SLOTS];
    unsigned slot;
    unsigned sends_under_way;
    bool recv_armed;
    uint64_t acked; /* the receiver has seen packets up to here */
} rt_limit_tx;

static uint64_t rt_limit_tx_last(const rt_limit_tx *tx)
{
    return tx->side->data.next_pn - 1;
}

/* Would one more unit go beyond the window? */
static bool rt_limit_tx_is_full(const rt_limit_tx *tx)
{
    return rt_limit_tx_last(tx) - tx->acked + tx->run->unit_packets > tx->run->window_packets;
}

static void rt_limit_tx_on_ack(rt_limit_tx *tx, uint8_t *packet, size_t len)
{
    uint64_t acked;
    if (rt_limit_wire_open_ack(&tx->side->acks, &acked, packet, len) && acked > tx->acked) {
        tx->acked = acked;
    }
}

static int rt_limit_tx_init(rt_limit_tx *tx, rt_limit_run *run)
{
    memset(tx, 0, sizeof(*tx));
    tx->run = run;
    tx->side = &run->send;
    size_t packet_len = run->options.udp_payload_bytes;
    tx->slots = aligned_alloc(4096, RT_LIMIT_SLOTS * (size_t)RT_LIMIT_UNIT_BYTES);
    if (tx->slots == NULL) {
        return -ENOMEM;
    }
    memset(tx->slots, 0, RT_LIMIT_SLOTS * (size_t)RT_LIMIT_UNIT_BYTES);
    for (unsigned i = 0; i < RT_LIMIT_SLOTS; i++) {
        tx->iov[i].iov_base = tx->slots + (size_t)i * RT_LIMIT_UNIT_BYTES;
        tx->iov[i].iov_len = run->unit_packets * packet_len;
        tx->msg[i].msg_iov = &tx->iov[i];
        tx->msg[i].msg_iovlen = 1;
    }
    return run->uring ? rt_limit_ring_open(&tx->ring, tx->side->fd, RT_LIMIT_ACK_BUFS,
                                           RT_LIMIT_ACK_BUF_BYTES)
                      : 0;
}

static void rt_limit_tx_deinit(rt_limit_tx *tx)
{
    rt_limit_ring_close(&tx->ring);
    free(tx->slots);
}

/* ---- with a ring ------------------------------------------------------------------------------- */

static void rt_limit_tx_queue_send(rt_limit_tx *tx)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&tx->ring.ring); /* there are 256, 9 are used */
    io_uring_prep_sendmsg(sqe, 0, &tx->msg[tx->slot], 0);
    sqe->flags |= IOSQE_FIXED_FILE;
    sqe->user_data = RT_LIMIT_TAG_SEND;
    tx->sends_under_way++;
}

static void rt_limit_tx_arm(rt_limit_tx *tx)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&tx->ring.ring);
    io_uring_prep_recv_multishot(sqe, 0, NULL, 0, 0);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    sqe->user_data = RT_LIMIT_TAG_ACK;
    tx->recv_armed = true;
}

static void rt_limit_tx_on_cqe(rt_limit_tx *tx, const struct io_uring_cqe *cqe)
{
    if (cqe->user_data == RT_LIMIT_TAG_SEND) {
        tx->sends_under_way--;
        if (cqe->res < 0) {
            rt_limit_side_fail(tx->run, tx->side, "send", cqe->res);
        }
        return;
    }
    if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
        tx->recv_armed = false;
    }
    if (cqe->res < 0) {
        if (cqe->res != -ENOBUFS) {
            rt_limit_side_fail(tx->run, tx->side, "recv", cqe->res);
        }
        return;
    }
    unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    rt_limit_tx_on_ack(tx, rt_limit_ring_buf(&tx->ring, id), (size_t)cqe->res);
    rt_limit_ring_recycle(&tx->ring, id);
}

/* Submits what is queued and takes what has completed; sleeps for something if `wait`. */
static void rt_limit_tx_turn(rt_limit_tx *tx, bool wait)
{
    struct __kernel_timespec limit = {.tv_nsec = RT_LIMIT_WAIT_NS};
    struct io_uring_cqe *cqe;
    unsigned head;
    unsigned seen = 0;
    if (!tx->recv_armed) {
        rt_limit_tx_arm(tx);
    }
    int rc = wait ? io_uring_submit_and_wait_timeout(&tx->ring.ring, &cqe, 1, &limit, NULL)
                  : io_uring_submit_and_get_events(&tx->ring.ring);
    if (rc == -ETIME) {
        tx->acked = rt_limit_tx_last(tx); /* an acknowledgement was lost */
    } else if (rc < 0 && rc != -EINTR) {
        rt_limit_side_fail(tx->run, tx->side, "io_uring_enter", rc);
    }
    io_uring_for_each_cqe(&tx->ring.ring, head, cqe)
    {
        seen++;
        rt_limit_tx_on_cqe(tx, cqe);
    }
    io_uring_cq_advance(&tx->ring.ring, seen);
}

/* ---- without ----------------------------------------------------------------------------------- */

static void rt_limit_tx_sendmsg(rt_limit_tx *tx)
{
    ssize_t n;
    do {
        n = sendmsg(tx->side->fd, &tx->msg[tx->slot], 0);
    } while (n < 0 && (errno == EINTR || errno == ENOBUFS));
    if (n < 0) {
        rt_limit_side_fail(tx->run, tx->side, "sendmsg", -errno);
    }
}

/* Takes acknowledgements while there are any; sleeps for the first one if `wait`. */
static void rt_limit_tx_drain(rt_limit_tx *tx, bool wait)
{
    uint8_t packet[RT_LIMIT_ACK_BUF_BYTES];
    for (;;) {
        ssize_t n = recv(tx->side->fd, packet, sizeof(packet), wait ? 0 : MSG_DONTWAIT);
        if (n >= 0) {
            rt_limit_tx_on_ack(tx, packet, (size_t)n);
            wait = false;
            continue;
        }
        if (errno == EINTR) {
            continue;
        }
        if (errno != EAGAIN && errno != EWOULDBLOCK) {
            rt_limit_side_fail(tx->run, tx->side, "recv", -errno);
        } else if (wait) {
            tx->acked = rt_limit_tx_last(tx); /* an acknowledgement was lost */
        }
        return;
    }
}

/* ---- the thread -------------------------------------------------------------------------------- */

static void rt_limit_tx_unit(rt_limit_tx *tx)
{
    rt_limit_wire_seal(&tx->side->data, tx->iov[tx->slot].iov_base, tx->run->unit_packets,
                       tx->run->options.udp_payload_bytes);
    if (tx->run->uring) {
        rt_limit_tx_queue_send(tx);
    } else {
        rt_limit_tx_sendmsg(tx);
    }
    tx->slot = (tx->slot + 1) % RT_LIMIT_SLOTS;
}

static void rt_limit_tx_collect(rt_limit_tx *tx, bool wait)
{
    if (tx->run->uring) {
        rt_limit_tx_turn(tx, wait);
    } else if (wait || rt_limit_tx_last(tx) - tx->acked > tx->run->window_packets / 2) {
        rt_limit_tx_drain(tx, wait);
    }
}

static bool rt_limit_tx_may_go_on(const rt_limit_tx *tx)
{
    return atomic_load_explicit(&tx->run->phase, memory_order_relaxed) != RT_LIMIT_ENDED;
}

/* Waits until everything is acknowledged. In this phase the receiver acknowledges whatever comes, so
 * one more unit makes it answer for all before. */
static void rt_limit_tx_finish(rt_limit_tx *tx)
{
    uint64_t give_up = rt_clock_now() + RT_LIMIT_TAIL_NS;
    atomic_store(&tx->run->phase, RT_LIMIT_ENDING);
    while (tx->sends_under_way == RT_LIMIT_SLOTS && rt_limit_tx_may_go_on(tx)) {
        rt_limit_tx_collect(tx, true);
    }
    rt_limit_tx_unit(tx);
    while ((rt_limit_tx_last(tx) != tx->acked || tx->sends_under_way > 0) &&
           rt_limit_tx_may_go_on(tx) && rt_clock_now() < give_up) {
        rt_limit_tx_collect(tx, true);
    }
}

static void rt_limit_tx_loop(rt_limit_tx *tx)
{
    const quring_limit_options *o = &tx->run->options;
    rt_limit_stop stop = {o->stop, o->ctx, 0};
    uint64_t end = tx->run->began_ns + o->duration_ns;
    for (unsigned turn = 0; rt_limit_tx_may_go_on(tx); turn++) {
        uint64_t now = turn % RT_LIMIT_CLOCK_EVERY == 0 ? rt_clock_now() : 0;
        if (now > end || (now > 0 && rt_limit_is_stopped(&stop, now))) {
            rt_limit_tx_finish(tx);
            return;
        }
        bool full = rt_limit_tx_is_full(tx);
        if (!full && tx->sends_under_way < RT_LIMIT_SLOTS) {
            rt_limit_tx_unit(tx);
            full = rt_limit_tx_is_full(tx);
        }
        rt_limit_tx_collect(tx, full);
    }
}

/* Tells the receiver, who may be asleep, that this was all. */
static void rt_limit_tx_goodbye(rt_limit_tx *tx)
{
    int off = 0;
    uint8_t byte = 0;
    atomic_store(&tx->run->phase, RT_LIMIT_ENDED);
    (void)setsockopt(tx->side->fd, SOL_UDP, UDP_SEGMENT, &off, sizeof(off));
    (void)send(tx->side->fd, &byte, 1, MSG_DONTWAIT);
}

void *rt_limit_sender(void *ctx)
{
    rt_limit_run *run = ctx;
    rt_limit_tx tx;
    rt_limit_side_begin(&run->send);
    int rc = rt_limit_tx_init(&tx, run);
    if (rc < 0) {
        rt_limit_side_fail(run, &run->send, "io_uring", rc);
    } else {
        rt_limit_tx_loop(&tx);
    }
    run->ended_ns = rt_clock_now();
    rt_limit_side_end(&run->send);
    rt_limit_tx_goodbye(&tx);
    rt_limit_tx_deinit(&tx);
    return NULL;
}

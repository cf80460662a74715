#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/limit/limit_run.h"

#define RT_LIMIT_BUFS          16u             /* of 64 KiB: a megabyte, stays in L2 */
#define RT_LIMIT_BUF_BYTES     (65536u + 256u) /* and what io_uring puts in front */
#define RT_LIMIT_CONTROL_BYTES 64u
#define RT_LIMIT_ACK_SLOTS     64u
#define RT_LIMIT_TAG_SEND      1u
#define RT_LIMIT_TAG_RECV      2u

typedef struct rt_limit_rx {
    rt_limit_run *run;
    rt_limit_side *side;
    rt_limit_ring ring;
    struct msghdr template;
    uint8_t *buf; /* without a ring */
    bool armed;
    unsigned unacked; /* packets since the last acknowledgement */
    uint64_t ack_count;
    uint8_t acks[RT_LIMIT_ACK_SLOTS][RT_LIMIT_ACK_LEN + 5];
} rt_limit_rx;

static int rt_limit_rx_init(rt_limit_rx *rx, rt_limit_run *run)
{
    memset(rx, 0, sizeof(*rx));
    rx->run = run;
    rx->side = &run->recv;
    rx->template.msg_controllen = RT_LIMIT_CONTROL_BYTES;
    if (run->uring) {
        return rt_limit_ring_open(&rx->ring, rx->side->fd, RT_LIMIT_BUFS, RT_LIMIT_BUF_BYTES);
    }
    rx->buf = aligned_alloc(4096, RT_LIMIT_UNIT_BYTES);
    return rx->buf == NULL ? -ENOMEM : 0;
}

/* Opens one receive. Returns whether it is time for an acknowledgement. */
static bool rt_limit_rx_unit(rt_limit_rx *rx, uint8_t *data, size_t len, size_t segment)
{
    rx->unacked += rt_limit_wire_open(&rx->side->data, data, len, segment);
    bool ending = atomic_load_explicit(&rx->run->phase, memory_order_relaxed) != RT_LIMIT_RUNNING;
    return (rx->unacked > 0 && rx->unacked >= rx->run->ack_every) || (ending && rx->unacked > 0);
}

static uint8_t *rt_limit_rx_ack(rt_limit_rx *rx)
{
    uint8_t *ack = rx->acks[rx->ack_count++ % RT_LIMIT_ACK_SLOTS];
    rx->unacked = 0;
    rt_limit_wire_seal_ack(&rx->side->acks, ack, rx->side->data.next_pn - 1);
    return ack;
}

/* ---- with a ring ------------------------------------------------------------------------------- */

static struct io_uring_sqe *rt_limit_rx_sqe(rt_limit_rx *rx)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&rx->ring.ring);
    if (sqe == NULL) {
        (void)io_uring_submit(&rx->ring.ring);
        sqe = io_uring_get_sqe(&rx->ring.ring);
    }
    return sqe;
}

static void rt_limit_rx_arm(rt_limit_rx *rx)
{
    struct io_uring_sqe *sqe = rt_limit_rx_sqe(rx);
    io_uring_prep_recvmsg_multishot(sqe, 0, &rx->template, 0);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    sqe->buf_group = 0;
    sqe->user_data = RT_LIMIT_TAG_RECV;
    rx->armed = true;
}

static void rt_limit_rx_queue_ack(rt_limit_rx *rx)
{
    struct io_uring_sqe *sqe = rt_limit_rx_sqe(rx);
    io_uring_prep_send(sqe, 0, rt_limit_rx_ack(rx), RT_LIMIT_ACK_LEN, 0);
    sqe->flags |= IOSQE_FIXED_FILE;
    sqe->user_data = RT_LIMIT_TAG_SEND;
}

static void rt_limit_rx_on_cqe(rt_limit_rx *rx, const struct io_uring_cqe *cqe)
{
    if (cqe->user_data == RT_LIMIT_TAG_SEND) {
        return; /* a lost acknowledgement is the sender's to notice */
    }
    if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
        rx->armed = false;
    }
    if (cqe->res < 0) {
        if (cqe->res != -ENOBUFS && cqe->res != -ECONNREFUSED) {
            rt_limit_side_fail(rx->run, rx->side, "recvmsg", cqe->res);
        }
        return;
    }
    unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    struct io_uring_recvmsg_out *out =
        io_uring_recvmsg_validate(rt_limit_ring_buf(&rx->ring, id), cqe->res, &rx->template);
    if (out != NULL) {
        size_t len = io_uring_recvmsg_payload_length(out, cqe->res, &rx->template);
        struct msghdr control = {
            .msg_control = (uint8_t *)(out + 1) + rx->template.msg_namelen,
            .msg_controllen = out->controllen,
        };
        if (rt_limit_rx_unit(rx, io_uring_recvmsg_payload(out, &rx->template), len,
                             rt_limit_gro_size(&control, len))) {
            rt_limit_rx_queue_ack(rx);
        }
    }
    rt_limit_ring_recycle(&rx->ring, id);
}

static void rt_limit_rx_turn(rt_limit_rx *rx)
{
    struct __kernel_timespec limit = {.tv_nsec = RT_LIMIT_WAIT_NS};
    struct io_uring_cqe *cqe;
    unsigned head;
    unsigned seen = 0;
    if (!rx->armed) {
        rt_limit_rx_arm(rx);
    }
    int rc = io_uring_submit_and_wait_timeout(&rx->ring.ring, &cqe, 1, &limit, NULL);
    if (rc < 0 && rc != -ETIME && rc != -EINTR) {
        rt_limit_side_fail(rx->run, rx->side, "io_uring_enter", rc);
        return;
    }
    io_uring_for_each_cqe(&rx->ring.ring, head, cqe)
    {
        seen++;
        rt_limit_rx_on_cqe(rx, cqe);
    }
    io_uring_cq_advance(&rx->ring.ring, seen);
}

/* ---- without ----------------------------------------------------------------------------------- */

static void rt_limit_rx_recvmsg(rt_limit_rx *rx)
{
    union {
        uint8_t bytes[RT_LIMIT_CONTROL_BYTES];
        struct cmsghdr align;
    } control;
    struct iovec iov = {rx->buf, RT_LIMIT_UNIT_BYTES};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(rx->side->fd, &msg, 0);
    if (n < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR && errno != ECONNREFUSED) {
            rt_limit_side_fail(rx->run, rx->side, "recvmsg", -errno);
        }
        return;
    }
    size_t len = (size_t)n;
    if (rt_limit_rx_unit(rx, rx->buf, len, rt_limit_gro_size(&msg, len))) {
        (void)!send(rx->side->fd, rt_limit_rx_ack(rx), RT_LIMIT_ACK_LEN, 0);
    }
}

/* ---- the thread -------------------------------------------------------------------------------- */

void *rt_limit_receiver(void *ctx)
{
    rt_limit_run *run = ctx;
    rt_limit_rx rx;
    rt_limit_side_begin(&run->recv);
    int rc = rt_limit_rx_init(&rx, run);
    if (rc < 0) {
        rt_limit_side_fail(run, &run->recv, "io_uring", rc);
    }
    while (atomic_load_explicit(&run->phase, memory_order_relaxed) != RT_LIMIT_ENDED) {
        if (run->uring) {
            rt_limit_rx_turn(&rx);
        } else {
            rt_limit_rx_recvmsg(&rx);
        }
    }
    rt_limit_side_end(&run->recv);
    rt_limit_ring_close(&rx.ring);
    free(rx.buf);
    return NULL;
}

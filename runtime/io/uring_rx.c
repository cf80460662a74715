#define _GNU_SOURCE 1 /* madvise */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "quic/base/check.h"
#include "runtime/io/uring_internal.h"

#define RX_CONTROL_BYTES                                                                           \
    (RT_URING_RX_HEAD_BYTES - sizeof(struct io_uring_recvmsg_out) - RT_URING_RX_NAME_BYTES)

#define RX_LONG_BYTES 16384u /* in the mean: trains */

static uint8_t *buffer(const rt_uring *u, uint32_t bid)
{
    return u->rx_mem + (size_t)bid * RT_URING_RX_BUF_BYTES;
}

static void give_to_kernel(rt_uring *u, uint16_t bid, int nth)
{
    io_uring_buf_ring_add(u->rx_ring, buffer(u, bid), RT_URING_RX_BUF_BYTES, bid,
                          io_uring_buf_ring_mask(u->rx_count), nth);
}

int rt_uring_rx_setup(rt_uring *u, uint32_t count)
{
    _Static_assert(RX_CONTROL_BYTES >= 128, "GRO size, TOS, PKTINFO, drop count");
    if (count == 0 || count > RT_URING_RX_BUFS_MAX || (count & (count - 1)) != 0) {
        return -EINVAL;
    }
    size_t bytes = ((size_t)count * RT_URING_RX_BUF_BYTES + 4095) & ~(size_t)4095;
    u->rx_mem = aligned_alloc(4096, bytes);
    if (u->rx_mem == NULL) {
        return -ENOMEM;
    }
    memset(u->rx_mem, 0, bytes);
    void *ring = mmap(NULL, count * sizeof(struct io_uring_buf), PROT_READ | PROT_WRITE,
                      MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (ring == MAP_FAILED) {
        return -ENOMEM;
    }
    (void)madvise(ring, count * sizeof(struct io_uring_buf), MADV_DONTFORK);
    u->rx_count = count;
    u->rx_ring = ring;
    struct io_uring_buf_reg reg = {
        .ring_addr = (uint64_t)(uintptr_t)ring,
        .ring_entries = count,
        .bgid = RT_URING_BGID,
    };
    int rc = io_uring_register_buf_ring(&u->ring, &reg, 0);
    if (rc != 0) {
        return rc;
    }
    io_uring_buf_ring_init(u->rx_ring);
    for (uint32_t i = 0; i < count; i++) {
        give_to_kernel(u, (uint16_t)i, (int)i);
    }
    io_uring_buf_ring_advance(u->rx_ring, (int)count);
    u->rx_template.msg_namelen = RT_URING_RX_NAME_BYTES;
    u->rx_template.msg_controllen = RX_CONTROL_BYTES;
    return 0;
}

void rt_uring_rx_teardown(rt_uring *u)
{
    if (u->rx_ring != NULL) {
        (void)io_uring_unregister_buf_ring(&u->ring, RT_URING_BGID);
        (void)munmap(u->rx_ring, u->rx_count * sizeof(struct io_uring_buf));
        u->rx_ring = NULL;
    }
    free(u->rx_mem);
    u->rx_mem = NULL;
}

void rt_uring_rx_arm(rt_uring *u)
{
    /* Without a free buffer the receive would starve again at once. */
    if (!u->rearm || u->rx_filled + u->rx_kept == u->rx_count) {
        return;
    }
    u->rearm = false;
    for (uint32_t n = 0; n < u->sock_count; n++) {
        uint32_t i =
            u->rx_turn + n < u->sock_count ? u->rx_turn + n : u->rx_turn + n - u->sock_count;
        rt_io_sock *sock = &u->socks[i];
        if (!sock->used || sock->closing || sock->rx_armed) {
            continue;
        }
        struct io_uring_sqe *sqe = rt_uring_sqe(u);
        io_uring_prep_recvmsg_multishot(sqe, sock->udp.fd, &u->rx_template, MSG_CMSG_CLOEXEC);
        rt_uring_set_socket(u, sqe, i);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = RT_URING_BGID;
        io_uring_sqe_set_data64(sqe, rt_uring_name(RT_URING_KIND_RX, i));
        sock->rx_armed = true;
    }
}

/* What the kernel wrote into a buffer; false: that is no message. */
static bool recv_of(rt_uring *u, rt_io_recv *out, const rt_uring_rx *rx)
{
    uint8_t *buf = buffer(u, rx->bid);
    struct io_uring_recvmsg_out *head =
        io_uring_recvmsg_validate(buf, (int)rx->len, &u->rx_template);
    if (head == NULL) {
        return false;
    }
    *out = (rt_io_recv){
        .data = io_uring_recvmsg_payload(head, &u->rx_template),
        .len = io_uring_recvmsg_payload_length(head, (int)rx->len, &u->rx_template),
        .name = io_uring_recvmsg_name(head),
        .name_len = head->namelen,
        .control = buf + sizeof(*head) + RT_URING_RX_NAME_BYTES,
        .control_len = head->controllen,
        .flags = (int)head->flags,
    };
    return true;
}

static void forget(rt_uring *u, rt_uring_rx *rx)
{
    rt_io_recv recv;
    if (recv_of(u, &recv, rx)) {
        rt_io_sock_forget(&u->socks[rx->socket], &recv);
    }
    rx->socket = RT_IO_SOCKET_NONE;
}

void rt_uring_rx_complete(rt_uring *u, const struct io_uring_cqe *cqe, uint32_t index)
{
    rt_io_sock *sock = &u->socks[index];
    if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
        sock->rx_armed = false;
        u->rearm = true;
    }
    if (cqe->res == -ENOBUFS) {
        u->base.stats.rx_nobufs++;
    }
    if ((cqe->flags & IORING_CQE_F_BUFFER) == 0) {
        return;
    }
    QURING_ASSERT(u->rx_filled < u->rx_count);
    /* One that always has more would take every buffer each time: the others come first then. */
    u->rx_turn = index + 1 < u->sock_count ? index + 1 : 0;
    rt_uring_rx *rx = &u->rx[u->rx_filled++];
    rx->bid = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    rx->len = cqe->res > 0 ? (uint32_t)cqe->res : 0;
    rx->socket = index;
    if (QUIC_UNLIKELY(sock->closing)) {
        forget(u, rx);
    }
}

void rt_uring_rx_forget(rt_uring *u, uint32_t index)
{
    for (uint32_t i = u->rx_next; i < u->rx_filled; i++) {
        if (u->rx[i].socket == index) {
            forget(u, &u->rx[i]);
        }
    }
}

static bool unit_of(rt_uring *u, quic_rx_unit *out, const rt_uring_rx *rx)
{
    rt_io_recv recv;
    if (rx->socket == RT_IO_SOCKET_NONE) {
        return false;
    }
    if (!recv_of(u, &recv, rx)) {
        u->base.stats.rx_truncated++;
        return false;
    }
    return rt_io_sock_unit(&u->base, &u->socks[rx->socket], rx->socket, out, &recv);
}

bool rt_uring_next_rx(rt_io *io, quic_rx_unit *out)
{
    rt_uring *u = rt_uring_of(io);
    while (u->rx_next < u->rx_filled) {
        if (unit_of(u, out, &u->rx[u->rx_next++])) {
            return true;
        }
    }
    return false;
}

/* Buffers take turns. Small datagrams are the cheaper the more of them there are, and touch little of each; long
 * trains fill them, and half of the buffers stay in the second cache where all of them do not. */
static uint32_t to_be_kept(const rt_uring *u)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < u->rx_next; i++) {
        bytes += u->rx[i].len;
    }
    return bytes >= (uint64_t)u->rx_next * RX_LONG_BYTES ? u->rx_count / 2 : 0;
}

void rt_uring_release_rx(rt_io *io)
{
    rt_uring *u = rt_uring_of(io);
    if (u->rx_next == 0) {
        return;
    }
    const uint32_t keep = to_be_kept(u);
    int given = 0;
    for (uint32_t i = 0; i < u->rx_next; i++) {
        if (u->rx_kept < keep) {
            u->kept[u->rx_kept++] = u->rx[i].bid;
        } else {
            give_to_kernel(u, u->rx[i].bid, given++);
        }
    }
    while (u->rx_kept > keep) {
        give_to_kernel(u, u->kept[--u->rx_kept], given++);
    }
    io_uring_buf_ring_advance(u->rx_ring, given);
    u->base.rx_units_max = u->rx_count - u->rx_kept;
    u->rx_filled -= u->rx_next;
    memmove(u->rx, u->rx + u->rx_next, u->rx_filled * sizeof(u->rx[0]));
    u->rx_next = 0;
}

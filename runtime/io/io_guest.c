#define _GNU_SOURCE 1 /* ppoll */

#include "runtime/io/io_guest.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/io/io_plain.h"
#include "runtime/io/wake.h"
#include "runtime/udp/own_fd.h"

#define LONG_BYTES 8192u /* units of a sender that has more */

struct rt_io_guest {
    int bell;          /* eventfd */
    uint32_t readable; /* sockets that had something, by index */
    uint32_t turn;     /* the one to look at first */
    rt_io_plain *plain;
};

_Static_assert(RT_IO_GUEST_SOCKETS_MAX < 32, "readable is a 32-bit mask");

static rt_io_guest *guest_create(void)
{
    rt_io_guest *guest = calloc(1, sizeof(*guest));
    if (guest == NULL) {
        return NULL;
    }
    guest->bell = -1;
    guest->plain = rt_io_plain_create();
    if (guest->plain != NULL) {
        const bool held = rt_fd_hold();
        guest->bell = rt_fd_keep(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        rt_fd_let(held);
    }
    if (guest->bell < 0) {
        free(guest->plain);
        free(guest);
        return NULL;
    }
    return guest;
}

void rt_io_guest_destroy(rt_io_guest *guest)
{
    if (guest != NULL) {
        rt_fd_close(guest->bell);
        free(guest->plain);
        free(guest);
    }
}

bool rt_io_guest_open(rt_io *io)
{
    uint32_t count = 0;
    if (io->wake.fd < 0 || io->ops->socks == NULL || io->ops->socks(io, &count) == NULL ||
        count > RT_IO_GUEST_SOCKETS_MAX) {
        return false;
    }
    if (io->guest == NULL) {
        io->guest = guest_create();
    }
    return io->guest != NULL;
}

static int poll_until(rt_io *io, struct pollfd *fds, nfds_t count, quic_ns now, quic_ns deadline)
{
    quic_ns left = deadline > now ? deadline - now : 0;
    struct timespec ts = {.tv_sec = (time_t)(left / QUIC_NS_PER_S),
                          .tv_nsec = (long)(left % QUIC_NS_PER_S)};
    io->stats.syscalls++;
    rt_io_open_door(io);
    int n = ppoll(fds, count, deadline == QUIC_NS_NEVER ? NULL : &ts, NULL);
    rt_io_shut_door(io);
    return n;
}

bool rt_io_guest_wait(rt_io *io, quic_ns now, quic_ns deadline)
{
    rt_io_guest *guest = io->guest;
    struct pollfd fds[RT_IO_GUEST_SOCKETS_MAX + 1];
    uint32_t names[RT_IO_GUEST_SOCKETS_MAX];
    uint32_t count = 0;
    const rt_io_sock *socks = io->ops->socks(io, &count);
    nfds_t n = 0;
    /* There may be more since the guest was let in: the next one is not. */
    for (uint32_t i = 0; i < count && i < RT_IO_GUEST_SOCKETS_MAX; i++) {
        if (socks[i].used && !socks[i].closing) {
            names[n] = i;
            fds[n++] = (struct pollfd){.fd = socks[i].udp.fd, .events = POLLIN};
        }
    }
    fds[n] = (struct pollfd){.fd = guest->bell, .events = POLLIN};
    guest->readable = 0;
    if (poll_until(io, fds, n + 1, now, deadline) <= 0) {
        return false;
    }
    if (fds[n].revents != 0) {
        uint64_t count_rung;
        ssize_t got = read(guest->bell, &count_rung, sizeof(count_rung));
        (void)got;
    }
    for (nfds_t i = 0; i < n; i++) {
        guest->readable |= fds[i].revents != 0 ? 1u << names[i] : 0;
    }
    return guest->readable != 0;
}

/* Socket `index` may be another one than was polled, or none, by now. */
static bool receive(rt_io *io, uint32_t index, quic_rx_unit *out)
{
    uint32_t count = 0;
    rt_io_sock *sock = &io->ops->socks(io, &count)[index];
    if (index >= count || !sock->used || sock->closing) {
        return false;
    }
    return rt_io_plain_receive(io, io->guest->plain, sock, index, out);
}

bool rt_io_guest_next_rx(rt_io *io, quic_rx_unit *out)
{
    rt_io_guest *guest = io->guest;
    while (guest->readable != 0) {
        const uint32_t later = guest->readable >> guest->turn << guest->turn;
        uint32_t index = (uint32_t)__builtin_ctz(later != 0 ? later : guest->readable);
        bool got = receive(io, index, out);
        guest->turn = index + 1;
        if (!got || out->len < LONG_BYTES) {
            guest->readable &= ~(1u << index);
        }
        if (got) {
            return true;
        }
    }
    return false;
}

void rt_io_guest_ring(rt_io *io)
{
    io->stats.syscalls++;
    rt_wake_ring(io->guest->bell);
}

bool rt_io_park(rt_io *io, quic_ns now, quic_ns deadline)
{
    struct pollfd fd = {.fd = io->wake.fd, .events = POLLIN};
    return poll_until(io, &fd, 1, now, deadline) > 0;
}

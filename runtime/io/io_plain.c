#include "runtime/io/io_plain.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

rt_io_plain *rt_io_plain_create(void)
{
    rt_io_plain *plain = malloc(sizeof(*plain));
    if (plain != NULL) {
        memset(plain, 0, offsetof(rt_io_plain, buf));
    }
    return plain;
}

/* In a program with threads the C library's recvmsg asks twice whether the thread is to end (pthread_cancel): a sixth
 * of what a look in vain takes. */
static ssize_t receive(int fd, struct msghdr *msg)
{
    return syscall(SYS_recvmsg, fd, msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
}

bool rt_io_plain_receive(rt_io *io, rt_io_plain *plain, rt_io_sock *sock, uint32_t index,
                         quic_rx_unit *out)
{
    struct iovec iov = {.iov_base = plain->buf, .iov_len = sizeof(plain->buf)};
    struct msghdr msg = {
        .msg_name = &plain->name,
        .msg_namelen = sizeof(plain->name),
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = plain->control,
        .msg_controllen = sizeof(plain->control),
    };
    io->stats.syscalls++;
    ssize_t len = receive(sock->udp.fd, &msg);
    if (len < 0) {
        return false;
    }
    rt_io_recv recv = {
        .data = plain->buf,
        .len = (uint32_t)len,
        .name = &plain->name,
        .name_len = msg.msg_namelen,
        .control = plain->control,
        .control_len = msg.msg_controllen,
        .flags = msg.msg_flags,
    };
    return rt_io_sock_unit(io, sock, index, out, &recv);
}

bool rt_io_plain_may_look(rt_io *io, uint32_t count)
{
    if (count > RT_IO_PLAIN_SOCKETS_MAX) {
        return false;
    }
    if (io->plain == NULL) {
        io->plain = rt_io_plain_create();
    }
    return io->plain != NULL;
}

unsigned rt_io_plain_look(rt_io *io, rt_io_sock *socks, uint32_t count)
{
    rt_io_plain *plain = io->plain;
    if (QUIC_UNLIKELY(io->has_looked)) {
        return RT_IO_RX;
    }
    plain->turn = plain->turn < count ? plain->turn : 0; /* that socket may be gone */
    for (uint32_t n = 0; n < count; n++) {
        const uint32_t index = plain->turn + n < count ? plain->turn + n : plain->turn + n - count;
        rt_io_sock *sock = &socks[index];
        if (sock->used && !sock->closing &&
            rt_io_plain_receive(io, plain, sock, index, &io->looked)) {
            io->has_looked = true;
            plain->turn = index + 1 < count ? index + 1 : 0;
            return RT_IO_RX;
        }
    }
    return 0;
}

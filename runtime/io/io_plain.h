/* runtime/io/io_plain.h: datagrams one at a time, each by a system call of its own, into a buffer of its own: for who
 * does not go through the back end's way of receiving.
 *
 * Why:     a back end's way is made for many. Who waits for one datagram and asks the socket itself has it sooner: over
 *          loopback and there and back 5.3 us, where a ring takes 8.6 (it receives when it is told to, looks once
 *          more, and begins anew to wait) and epoll 8.1.
 * Owner:   who works with the back end: its owner, or with the door a guest.
 */
#ifndef RUNTIME_IO_IO_PLAIN_H
#define RUNTIME_IO_IO_PLAIN_H

#include "runtime/io/io_sock.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_IO_PLAIN_BUF_BYTES   65536u
#define RT_IO_PLAIN_SOCKETS_MAX 4u /* that one look asks, each by a system call */

typedef struct rt_io_plain {
    rt_sockaddr name;
    uint64_t control[RT_CMSG_RX_BYTES / sizeof(uint64_t)];
    uint32_t turn; /* the socket that a look asks first */
    uint8_t buf[RT_IO_PLAIN_BUF_BYTES];
} rt_io_plain;

/* rt_io_plain_create: NULL without memory. free() ends it. */
rt_io_plain *rt_io_plain_create(void);

/* rt_io_plain_receive takes one unit from `sock`, which is `index`, borrowed until the next call; false when there is
 * none. Never waits. */
bool rt_io_plain_receive(rt_io *io, rt_io_plain *plain, rt_io_sock *sock, uint32_t index,
                         quic_rx_unit *out);

/* For back ends, as rt_io_look: whether one can be made of `count` sockets (then io->plain is there); and one, in which
 * the first unit found is left for rt_io_next_rx, and found again until it is taken. */
bool rt_io_plain_may_look(rt_io *io, uint32_t count);
unsigned rt_io_plain_look(rt_io *io, rt_io_sock *socks, uint32_t count);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_IO_IO_PLAIN_H */

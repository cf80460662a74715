/* runtime/udp/process.h: how processes that receive at one UDP address find each other.
 *
 * Shape:   every runtime of a user takes a number, free within the network namespace, by binding a UNIX
 *          datagram socket to an abstract name; at each address it shares it has an inbox, another such
 *          socket, whose name says user, number and address.
 * Trust:   anybody may bind abstract names and send there. What an inbox takes comes from its own user or
 *          from root, as the kernel says (SCM_CREDENTIALS); whether a name is really the user's is for
 *          runtime/core/relay.h to find out.
 * Threads: rt_process_send any; the rest one at a time.
 */
#ifndef RUNTIME_UDP_PROCESS_H
#define RUNTIME_UDP_PROCESS_H

#include <sys/socket.h>
#include <sys/types.h>

#include "quic/base/types.h"
#include "runtime/udp/udp_socket.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_PROCESSES_MAX 256u /* numbers, of one user */

typedef struct rt_process {
    bool is_open;
    int fd; /* holds the number; what is sent is sent from here */
    uint8_t number;
    uid_t uid;
} rt_process;

/* rt_process_open takes a number. Returns 0; -ENOSPC when all are taken; another negative errno.
 * rt_process_close gives it back; one that is not open is left alone. */
QUIC_NODISCARD int rt_process_open(rt_process *process);
void rt_process_close(rt_process *process);

/* rt_process_inbox opens this process' inbox for `addr`, the address that is shared, for
 * rt_io_add_socket. Returns 0; -EADDRINUSE when it has one; another negative errno. */
QUIC_NODISCARD int rt_process_inbox(const rt_process *process, rt_udp_socket *out,
                                    const quic_addr *addr);

/* rt_process_send sends one datagram to the inbox of process `number` at `addr`, if it has room.
 * Returns 0; -ECONNREFUSED when there is no such inbox; -EAGAIN; another negative errno. */
QUIC_NODISCARD int rt_process_send(const rt_process *process, uint8_t number, const quic_addr *addr,
                                   const void *data, size_t len);

/* rt_process_receive takes one datagram out of an inbox that no back end has yet; what is beyond `cap` is
 * lost. Returns its length; 0 when it was not for us to hear; -EAGAIN; another negative errno. */
ssize_t rt_process_receive(const rt_udp_socket *inbox, void *buf, size_t cap);

/* rt_process_judge looks at the control messages of a datagram that came to an inbox of user `uid`: true
 * when its sender may send there. Descriptors that came along are closed. */
bool rt_process_judge(struct msghdr *msg, uid_t uid);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_UDP_PROCESS_H */

/* runtime/udp/udp_socket.h: a UDP socket set up for QUIC: never blocks, never fragments, and reports
 * source ECN, destination address, GRO sizes and its own overflow with every datagram.
 *
 * Shape:  a plain struct of facts; after rt_io_add_socket the I/O back end owns the descriptor.
 * Spec:   RFC 9000 13.4 (ECN), 14 (no fragmentation); udp(7), ip(7), ipv6(7).
 */
#ifndef RUNTIME_UDP_UDP_SOCKET_H
#define RUNTIME_UDP_UDP_SOCKET_H

#include <sys/types.h>

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_UDP_ECT0 2u /* RFC 3168 5 */

typedef struct rt_udp_options {
    quic_addr local;    /* family 4 or 6; port 0: the kernel picks */
    bool dual_stack;    /* an IPv6 wildcard socket also takes IPv4 */
    bool reuseport;     /* join (or start) a SO_REUSEPORT group */
    bool gso;           /* probe UDP_SEGMENT */
    bool gro;           /* turn UDP_GRO on */
    bool merges;        /* see rt_udp_socket */
    uint8_t ecn;        /* the mark of most datagrams: these need no control message for it */
    uint32_t buf_bytes; /* SO_RCVBUF and SO_SNDBUF asked for; 0: the system's default */
} rt_udp_options;

typedef struct rt_udp_socket {
    int fd;          /* -1: closed, or a simulated socket */
    quic_addr local; /* as bound; the port is real */
    bool is_v6;      /* the descriptor is AF_INET6 */
    bool dual_stack; /* it takes IPv4 too (as IPv4-mapped addresses) */
    bool any;        /* bound to a wildcard: sends name their source address */
    bool gso;        /* UDP_SEGMENT is there */
    bool gro;        /* UDP_GRO is on */
    bool merges; /* datagrams of several connections may leave as one train. Not where a server with
                        several workers is at the other end: its kernel steers the train by one of them */
    uint8_t tx_ecn; /* the mark of what is sent without saying another */
    bool ecn;       /* received datagrams carry their ECN mark */
    bool pktinfo;   /* ... and the local address they came to; only with `any`: else it is known */
    bool is_inbox;  /* no UDP socket: one of runtime/udp/process.h, of user `uid` */
    uid_t uid;
    uint32_t rcvbuf_bytes; /* what the kernel granted (the figure asked for, not the doubled one) */
    uint32_t sndbuf_bytes;
    uint32_t asked_bytes;
} rt_udp_socket;

/* rt_udp_open makes and binds a socket. Returns 0, or a negative errno with nothing left open; only
 * socket, bind and the never-fragment options can fail, what else is missing is a fact in *out. */
QUIC_NODISCARD int rt_udp_open(rt_udp_socket *out, const rt_udp_options *options);

/* rt_udp_close closes the descriptor if it is open. Not for one an I/O back end owns. */
void rt_udp_close(rt_udp_socket *sock);

/* rt_udp_buffer_warning writes one line that names the short buffer and the exact sysctl into `out`
 * and returns true; false when the kernel granted what was asked for. */
bool rt_udp_buffer_warning(const rt_udp_socket *sock, char *out, size_t cap);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_UDP_UDP_SOCKET_H */

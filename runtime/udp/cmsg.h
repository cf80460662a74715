/* runtime/udp/cmsg.h: control messages of a datagram: ECN, GRO size, GSO size, local address, and
 * the kernel's drop count.
 *
 * Spec: cmsg(3), udp(7), ip(7), ipv6(7); RFC 3168 for the two ECN bits of the TOS byte.
 */
#ifndef RUNTIME_UDP_CMSG_H
#define RUNTIME_UDP_CMSG_H

#include <sys/socket.h>

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Control room for receiving: all five messages fit twice. */
#define RT_CMSG_RX_BYTES 256u
/* And for sending: UDP_SEGMENT, TOS or TCLASS, PKTINFO. */
#define RT_CMSG_TX_BYTES 96u

/* What came with a datagram. */
typedef struct rt_cmsg_rx {
    uint32_t gro_bytes;    /* segment length, 0: not coalesced */
    uint32_t kernel_drops; /* the socket's count so far, when has_drops */
    quic_addr local;       /* family 0: not told; the port is not set */
    uint8_t ecn;           /* 0..3 */
    bool has_drops;
} rt_cmsg_rx;

/* rt_cmsg_read parses the control part of `msg`. Messages it does not know and messages too short
 * for their type are skipped. */
void rt_cmsg_read(rt_cmsg_rx *out, struct msghdr *msg);

/* What a send asks for. */
typedef struct rt_cmsg_tx {
    uint16_t gso_bytes; /* 0: none */
    bool marked;        /* it says its ECN mark; otherwise that of the socket goes */
    uint8_t ecn;
    const quic_addr *local; /* source address; NULL: the kernel's choice */
    uint8_t remote_family;  /* 4 or 6: whose TOS byte is meant */
} rt_cmsg_tx;

/* rt_cmsg_write sets msg_control and msg_controllen of `msg`; `room` is aligned for cmsghdr and
 * RT_CMSG_TX_BYTES long. Without anything to say msg_control becomes NULL. */
void rt_cmsg_write(struct msghdr *msg, void *room, const rt_cmsg_tx *tx);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_UDP_CMSG_H */

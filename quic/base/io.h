/* quic/base/io.h: the two structs that cross the seam between runtime/ and quic/. */
#ifndef QUIC_BASE_IO_H
#define QUIC_BASE_IO_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What arrived in one receive buffer: one datagram, or several of equal length (the last may be
 * shorter) that the kernel coalesced (GRO); all from the same remote to the same local address with
 * the same ECN mark. The core opens packets in place and keeps no pointer into `data`. */
typedef struct quic_rx_unit {
    uint8_t *data;
    uint32_t len;     /* bytes in all */
    uint32_t seg_len; /* bytes per datagram, 1..len; == len for a single datagram */
    uint8_t ecn;      /* RFC 3168 codepoint, 0..3 */
    uint32_t hint;    /* the endpoint's own note (quic_endpoint_expect); 0: none */
    quic_path_addr path;
} quic_rx_unit;

#define QUIC_TX_CONN_MANY UINT64_MAX /* as a sender: several connections, that share a train */

/* Room for one send, filled by the core: `len` bytes that leave as datagrams of `seg_len` bytes, the
 * last one possibly shorter: one GSO send. The runtime sets buf, cap and seg_max. */
typedef struct quic_tx_unit {
    uint8_t *buf;
    uint32_t cap;     /* room, at most 65507 */
    uint32_t seg_max; /* datagrams allowed in one send: 1 without GSO */
    uint32_t len;
    uint32_t seg_len;
    uint8_t ecn;
    bool last;     /* the sender's own note: its connection has nothing more to send for now */
    bool alone;    /* may be too long for the path: no other datagram is to share its fate */
    uint64_t conn; /* handle of the sender, for quic_endpoint_on_send_too_big; 0: no connection */
    quic_path_addr path;
} quic_tx_unit;

#ifdef __cplusplus
}
#endif

#endif /* QUIC_BASE_IO_H */

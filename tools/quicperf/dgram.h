/* tools/quicperf/dgram.h: datagrams (RFC 9221) of one connection, one way.
 *
 * Shape:  a sender makes datagrams of one size, numbered from 0 by their first 8 bytes (big endian), at a
 *         rate or as fast as the library takes them; a receiver counts them, and by the numbers those that
 *         did not come. The perf draft defines no datagrams: a client asks for them with a request whose
 *         8 bytes are QP_DGRAM_MARK, the size (16 bits, 0: the largest) and the rate (32 bits, per second,
 *         0: as fast as can be), and ends them with STOP_SENDING.
 * Owner:  the connection's context, on its worker; qp_dgram_stop before it is freed.
 */
#ifndef TOOLS_QUICPERF_DGRAM_H
#define TOOLS_QUICPERF_DGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "quring/datagram.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QP_DGRAM_MARK    0xfffeu /* the top 16 bits: no size that anybody asks for */
#define QP_DGRAM_LEN_MIN 8u

static inline uint64_t qp_dgram_request(uint32_t size, uint32_t rate)
{
    return (uint64_t)QP_DGRAM_MARK << 48 | (uint64_t)size << 32 | rate;
}

static inline bool qp_dgram_is_request(uint64_t value)
{
    return value >> 48 == QP_DGRAM_MARK;
}

typedef struct qp_dgram {
    quring_conn conn;
    uint64_t timer;
    bool has_timer;
    bool sending;
    uint32_t size;
    uint32_t rate; /* per second; 0: no limit */
    uint64_t began_ns;
    uint64_t next_number; /* sender: of the next; receiver: one above the highest that came */
    uint64_t received;
} qp_dgram;

/* qp_dgram_start begins to send; size 0 means the largest the connection takes now. On failure `d` is as it was.
 * Returns QURING_OK, or why nothing can be sent (QURING_E_NOT_SUPPORTED: the peer takes none;
 * QURING_E_TOO_LARGE: not of this size). */
quring_status qp_dgram_start(qp_dgram *d, quring_conn conn, uint32_t size, uint32_t rate);
/* qp_dgram_request_start is the same for the number of a request. */
quring_status qp_dgram_request_start(qp_dgram *d, quring_conn conn, uint64_t request);
/* qp_dgram_go_on: DATAGRAM_WRITABLE came. */
void qp_dgram_go_on(qp_dgram *d);
void qp_dgram_stop(qp_dgram *d);

/* qp_dgram_take reads all that wait and returns their bytes. */
uint64_t qp_dgram_take(qp_dgram *d, quring_conn conn);
/* qp_dgram_missing: numbers below the highest that did not come. */
uint64_t qp_dgram_missing(const qp_dgram *d);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_DGRAM_H */

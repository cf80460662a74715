/* quring/datagram.h: unreliable datagrams (RFC 9221): each arrives whole, at most once, or not at all.
 *
 * Threads:  as in quring/conn.h.
 * Offering: a side takes datagrams when limits.datagram_max_bytes says so, by default not at all: whoever
 *           offers them has to read them. Each direction stands for itself.
 * Queues:   64 KiB wait to be sent, 1 MiB to be read, where a datagram counts as 128 bytes at least. Of what
 *           is received the oldest is dropped when nobody reads; quring_conn_info counts it. What is to be sent waits
 *           for the congestion window and the pacer, shares packets with streams, is never repeated, and is discarded
 *           when its time is over or when packets have become too small for it.
 */
#ifndef QURING_DATAGRAM_H
#define QURING_DATAGRAM_H

#include "quring/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    QURING_DATAGRAM_REPLACE = 1u << 0, /* when the queue is full the oldest waiting one gives way */
};

/* quring_datagram_send queues one datagram of `len` bytes (copied; 0 is allowed). With ttl_ns it is
 * discarded unless it has left after so many nanoseconds; 0: it waits as long as it takes.
 * May be called from EARLY_READY on: what leaves in 0-RTT can be replayed by an attacker (RFC 9001 9.2),
 * and is lost when the server refuses 0-RTT.
 *
 * Returns QURING_OK; QURING_E_AGAIN (the queue is full, or 0-RTT was refused and the handshake goes on:
 * DATAGRAM_WRITABLE follows); QURING_E_TOO_LARGE (above quring_datagram_max); QURING_E_NOT_SUPPORTED (the
 * peer takes none); QURING_E_STATE (not connected, or closed); QURING_E_INVAL (unknown flag, or no
 * data); QURING_E_NOMEM; QURING_E_THREAD. */
QURING_EXPORT QURING_NODISCARD quring_status quring_datagram_send(quring_conn conn,
                                                                  const void *data, size_t len,
                                                                  uint64_t ttl_ns, uint32_t flags);

/* quring_datagram_max gives the largest payload that can be sent now. It follows the path's datagram size,
 * up and down. Returns QURING_OK, or with *out_len 0: QURING_E_AGAIN (0-RTT was refused, not known yet);
 * QURING_E_NOT_SUPPORTED; QURING_E_STATE; QURING_E_THREAD; QURING_E_INVAL. */
QURING_EXPORT QURING_NODISCARD quring_status quring_datagram_max(quring_conn conn, size_t *out_len);

/* quring_datagram_peek shows the oldest datagram received, borrowed until the next datagram call on this
 * connection or the end of the callback; quring_datagram_consume forgets it.
 * What has arrived can be read when the connection is over, too, until the callback of QURING_EV_CLOSED ends.
 * Return QURING_OK; QURING_E_AGAIN (none; DATAGRAM_READABLE follows while the connection is open); QURING_E_STATE;
 * QURING_E_THREAD; QURING_E_INVAL. */
QURING_EXPORT QURING_NODISCARD quring_status quring_datagram_peek(quring_conn conn,
                                                                  quring_bytes *out);
QURING_EXPORT quring_status quring_datagram_consume(quring_conn conn);

/* quring_datagram_read copies the oldest datagram into `buf` and forgets it; *out_len is its size.
 * Results as peek's; QURING_E_TOO_LARGE: it has *out_len bytes, more than `cap`, and stays. */
QURING_EXPORT QURING_NODISCARD quring_status quring_datagram_read(quring_conn conn, size_t *out_len,
                                                                  void *buf, size_t cap);

#ifdef __cplusplus
}
#endif

#endif /* QURING_DATAGRAM_H */

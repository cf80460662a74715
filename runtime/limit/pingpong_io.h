/* runtime/limit/pingpong_io.h: one end of the round trip on an I/O back end, as a worker uses it.
 *
 * Owner:  rt_pingpong_io_bind is called once for both ends, everything else by the thread of an end.
 */
#ifndef RUNTIME_LIMIT_PINGPONG_IO_H
#define RUNTIME_LIMIT_PINGPONG_IO_H

#include "quring/config.h"

#include "quic/base/types.h"
#include "runtime/io/io.h"
#include "runtime/limit/pingpong_wire.h"
#include "runtime/udp/udp_socket.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rt_pingpong_io {
    rt_udp_socket sock; /* fd -1: not open, or the back end's */
    rt_io *io;
    quic_path_addr path; /* to the other end */
} rt_pingpong_io;

/* rt_pingpong_io_bind makes two sockets on 127.0.0.1. Returns 0 or a negative errno, with nothing open. */
QUIC_NODISCARD int rt_pingpong_io_bind(rt_pingpong_io *ask, rt_pingpong_io *answer);

/* rt_pingpong_io_open makes the back end on the calling thread. Returns 0 or a negative errno; close may follow
 * in any case, and frees what bind and open have made. */
QUIC_NODISCARD int rt_pingpong_io_open(rt_pingpong_io *end, quring_io_backend backend);
void rt_pingpong_io_close(rt_pingpong_io *end);

/* rt_pingpong_io_send queues one datagram; it leaves with the next recv. False without room. */
bool rt_pingpong_io_send(rt_pingpong_io *end, rt_pingpong_wire *wire);

/* rt_pingpong_io_recv waits until something has come, sleeping or polling, for at most `wait_ns`. Returns how
 * many datagrams came that `wire` takes. */
uint32_t rt_pingpong_io_recv(rt_pingpong_io *end, rt_pingpong_wire *wire, bool spin,
                             quic_ns wait_ns);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_LIMIT_PINGPONG_IO_H */

/* runtime/io/io_epoll.h: the back end without io_uring: epoll, recvmmsg, sendmmsg, with GRO and GSO. */
#ifndef RUNTIME_IO_IO_EPOLL_H
#define RUNTIME_IO_IO_EPOLL_H

#include "runtime/io/io.h"

#ifdef __cplusplus
extern "C" {
#endif

/* rt_io_epoll_create makes the back end on the calling thread, the only one that may use it.
 * Returns 0 or a negative errno; *out is NULL then. */
QUIC_NODISCARD int rt_io_epoll_create(rt_io **out, const rt_io_config *config);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_IO_IO_EPOLL_H */

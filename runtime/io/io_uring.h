/* runtime/io/io_uring.h: the io_uring back end: multishot receive into provided buffers, one SQE
 * per GSO send, one system call per turn.  */
#ifndef RUNTIME_IO_IO_URING_H
#define RUNTIME_IO_IO_URING_H

#include "runtime/io/io.h"

#ifdef __cplusplus
extern "C" {
#endif

/* rt_io_uring_create makes the back end on the calling thread, the only one that may use it.
 * Returns 0 or a negative errno; *out is NULL then. */
QUIC_NODISCARD int rt_io_uring_create(rt_io **out, const rt_io_config *config);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_IO_IO_URING_H */

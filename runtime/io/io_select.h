/* runtime/io/io_select.h: which I/O back end a worker runs on, and why. */
#ifndef RUNTIME_IO_IO_SELECT_H
#define RUNTIME_IO_IO_SELECT_H

#include "quring/config.h"

#include "runtime/io/io.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_IO_WHY_BYTES 96u

/* rt_io_select makes a back end on the calling thread, which must be the one that will use it.
 * QURING_IO_AUTO tries io_uring and takes epoll when the kernel refuses (EPERM, EACCES, ENOSYS,
 * ENOMEM, EMFILE, EINVAL, EOPNOTSUPP: too old); the other two never fall back.
 *
 *   why   "asked for", "available", "io_uring refused: Operation not permitted", ...
 *
 * Returns 0 or a negative errno. */
QUIC_NODISCARD int rt_io_select(rt_io **out, char why[RT_IO_WHY_BYTES], quring_io_backend backend,
                                const rt_io_config *config);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_IO_IO_SELECT_H */

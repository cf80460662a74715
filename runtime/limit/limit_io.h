/* runtime/limit/limit_io.h: the two connected sockets of the ceiling, and a ring for each thread.
 *
 * Shape:  everything a thread needs to send units and to receive into buffers it does not have to
 *         post one by one. Without a ring the threads call sendmsg and recvmsg themselves.
 * Owner:  each rt_limit_ring belongs to the thread that opened it (SINGLE_ISSUER).
 */
#ifndef RUNTIME_LIMIT_LIMIT_IO_H
#define RUNTIME_LIMIT_LIMIT_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <liburing.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RT_LIMIT_WAIT_NS 200000000u /* longest sleep: a lost acknowledgement must not hang a run */

/* A ring with one registered file (index 0) and one group of provided buffers (group 0). */
typedef struct rt_limit_ring {
    struct io_uring ring;
    struct io_uring_buf_ring *bufs;
    size_t bufs_bytes; /* of the mapping at bufs */
    uint8_t *mem;
    unsigned buf_count; /* a power of two */
    unsigned buf_size;
    bool is_open;
} rt_limit_ring;

/* rt_limit_socket_pair makes two UDP sockets on 127.0.0.1 connected to each other; out[0] sends units
 * of `segment`-byte packets, out[1] joins what it receives. Returns 0 or a negative errno. */
int rt_limit_socket_pair(int out[2], size_t segment, unsigned unit_packets, uint32_t buf_bytes);

/* rt_limit_ring_open returns 0 or a negative errno; close may follow in any case. */
int rt_limit_ring_open(rt_limit_ring *r, int fd, unsigned buf_count, unsigned buf_size);
void rt_limit_ring_close(rt_limit_ring *r);

/* rt_limit_ring_buf gives buffer `id`; recycle hands it back to the kernel. */
static inline uint8_t *rt_limit_ring_buf(const rt_limit_ring *r, unsigned id)
{
    return r->mem + (size_t)id * r->buf_size;
}
void rt_limit_ring_recycle(rt_limit_ring *r, unsigned id);

/* rt_limit_gro_size reads the UDP_GRO control message; `len` (one packet) when there is none. */
size_t rt_limit_gro_size(struct msghdr *msg, size_t len);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_LIMIT_LIMIT_IO_H */

#define _GNU_SOURCE
#include "runtime/limit/limit_io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define RT_LIMIT_SQ_ENTRIES 256u
#define RT_LIMIT_CQ_ENTRIES 1024u

static int rt_limit_socket(uint32_t buf_bytes)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval wait = {.tv_usec = RT_LIMIT_WAIT_NS / 1000};
    int size = (int)buf_bytes;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) != 0 ||
        bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
        int error = -errno;
        (void)close(fd);
        return error;
    }
    return fd;
}

static int rt_limit_connect(int fd, int peer)
{
    struct sockaddr_in addr;
    socklen_t len = sizeof(addr);
    if (getsockname(peer, (struct sockaddr *)&addr, &len) != 0 ||
        connect(fd, (struct sockaddr *)&addr, len) != 0) {
        return -errno;
    }
    return 0;
}

int rt_limit_socket_pair(int out[2], size_t segment, unsigned unit_packets, uint32_t buf_bytes)
{
    int segment_len = (int)segment;
    int on = 1;
    int fds[2] = {rt_limit_socket(buf_bytes), rt_limit_socket(buf_bytes)};
    int rc = fds[0] < 0 ? fds[0] : fds[1] < 0 ? fds[1] : 0;
    if (rc == 0) {
        rc = rt_limit_connect(fds[0], fds[1]);
    }
    if (rc == 0) {
        rc = rt_limit_connect(fds[1], fds[0]);
    }
    if (rc == 0 && unit_packets > 1 &&
        setsockopt(fds[0], SOL_UDP, UDP_SEGMENT, &segment_len, sizeof(segment_len)) != 0) {
        rc = -errno;
    }
    if (rc == 0 && setsockopt(fds[1], SOL_UDP, UDP_GRO, &on, sizeof(on)) != 0) {
        rc = -errno;
    }
    for (int i = 0; i < 2; i++) {
        if (rc != 0 && fds[i] >= 0) {
            (void)close(fds[i]);
        }
        out[i] = rc == 0 ? fds[i] : -1;
    }
    return rc;
}

static int rt_limit_ring_buffers(rt_limit_ring *r)
{
    r->bufs_bytes = r->buf_count * sizeof(struct io_uring_buf);
    void *map =
        mmap(NULL, r->bufs_bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (map == MAP_FAILED) {
        return -errno;
    }
    r->bufs = map;
    size_t bytes = ((size_t)r->buf_count * r->buf_size + 4095) & ~(size_t)4095;
    r->mem = aligned_alloc(4096, bytes);
    if (r->mem == NULL) {
        return -ENOMEM;
    }
    memset(r->mem, 0, bytes); /* page faults now, not while measuring */
    struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)r->bufs, .ring_entries = r->buf_count};
    int rc = io_uring_register_buf_ring(&r->ring, &reg, 0);
    if (rc < 0) {
        return rc;
    }
    io_uring_buf_ring_init(r->bufs);
    for (unsigned i = 0; i < r->buf_count; i++) {
        rt_limit_ring_recycle(r, i);
    }
    return 0;
}

int rt_limit_ring_open(rt_limit_ring *r, int fd, unsigned buf_count, unsigned buf_size)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
        .cq_entries = RT_LIMIT_CQ_ENTRIES,
    };
    memset(r, 0, sizeof(*r));
    r->buf_count = buf_count;
    r->buf_size = buf_size;
    int rc = io_uring_queue_init_params(RT_LIMIT_SQ_ENTRIES, &r->ring, &params);
    if (rc < 0) {
        return rc;
    }
    r->is_open = true;
    rc = io_uring_register_files(&r->ring, &fd, 1);
    if (rc < 0) {
        return rc;
    }
    (void)io_uring_register_ring_fd(&r->ring); /* saves a lookup per call where the kernel has it */
    return rt_limit_ring_buffers(r);
}

void rt_limit_ring_close(rt_limit_ring *r)
{
    if (r->is_open) {
        io_uring_queue_exit(&r->ring);
    }
    if (r->bufs != NULL) {
        (void)munmap(r->bufs, r->bufs_bytes);
    }
    free(r->mem);
    memset(r, 0, sizeof(*r));
}

void rt_limit_ring_recycle(rt_limit_ring *r, unsigned id)
{
    io_uring_buf_ring_add(r->bufs, rt_limit_ring_buf(r, id), r->buf_size, (unsigned short)id,
                          (int)r->buf_count - 1, 0);
    io_uring_buf_ring_advance(r->bufs, 1);
}

size_t rt_limit_gro_size(struct msghdr *msg, size_t len)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(c), sizeof(size));
            return size > 0 ? (size_t)size : len;
        }
    }
    return len;
}

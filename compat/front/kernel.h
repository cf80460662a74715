/* compat/front/kernel.h: the library of the kernel implementation, where an unchanged program brings it along. Its
 * functions have the names of ours, which stand before them when this object is preloaded, and more arguments.
 */
#ifndef COMPAT_FRONT_KERNEL_H
#define COMPAT_FRONT_KERNEL_H

#include <stdint.h>
#include <sys/types.h>

/* X(result, name, parameters) */
#define QF_KERNEL(X)                                                                               \
    X(ssize_t, quic_sendmsg, (int, const void *, size_t, int64_t, uint32_t))                       \
    X(ssize_t, quic_recvmsg, (int, void *, size_t, int64_t *, uint32_t *))                         \
    X(int, quic_client_handshake, (int, const char *, const char *, const char *))                 \
    X(int, quic_server_handshake, (int, const char *, const char *, const char *))

typedef struct qf_kernel {
#define X(result, name, parameters) result(*name) parameters;
    QF_KERNEL(X)
#undef X
} qf_kernel;

/* Whose functions a call on this descriptor is for: NULL for ours, as of every socket that does not speak the
 * kernel's layouts. */
const qf_kernel *qf_kernel_of(int sd);

#endif /* COMPAT_FRONT_KERNEL_H */

/* tools/quicperf/sockets/lib.h: libquic.so, loaded at run time: what a program written for QUIC sockets
 * calls (netinet/quic.h), and nothing else of it.
 *
 * Owner:  the process; it is never unloaded.
 */
#ifndef TOOLS_QUICPERF_SOCKETS_LIB_H
#define TOOLS_QUICPERF_SOCKETS_LIB_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "tools/quicperf/options.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(result, member, symbol, parameters) */
#define QP_LIB_CALLS(X)                                                                            \
    X(int, socket, "socket", (int domain, int type, int protocol))                                 \
    X(int, bind, "bind", (int fd, const struct sockaddr *addr, socklen_t len))                     \
    X(int, listen, "listen", (int fd, int backlog))                                                \
    X(int, accept, "accept", (int fd, struct sockaddr *addr, socklen_t *len))                      \
    X(int, connect, "connect", (int fd, const struct sockaddr *addr, socklen_t len))               \
    X(int, shutdown, "shutdown", (int fd, int how))                                                \
    X(int, close, "close", (int fd))                                                               \
    X(int, getsockname, "getsockname", (int fd, struct sockaddr *addr, socklen_t *len))            \
    X(int, getsockopt, "getsockopt", (int fd, int level, int name, void *value, socklen_t *len))   \
    X(int, setsockopt, "setsockopt",                                                               \
      (int fd, int level, int name, const void *value, socklen_t len))                             \
    X(int, ioctl, "ioctl", (int fd, unsigned long request, ...))                                   \
    X(int, poll, "poll", (struct pollfd * fds, nfds_t count, int timeout))                         \
    X(ssize_t, send, "quic_sendmsg",                                                               \
      (int fd, const void *data, size_t len, uint64_t stream, uint32_t flags))                     \
    X(ssize_t, recv, "quic_recvmsg",                                                               \
      (int fd, void *data, size_t len, uint64_t *stream, uint32_t *flags))                         \
    X(int, server_handshake, "quic_server_handshake",                                              \
      (int fd, const char *key_file, const char *cert_file))                                       \
    X(int, client_handshake, "quic_client_handshake",                                              \
      (int fd, const char *key_file, const char *cert_file))                                       \
    X(int, client_handshake_named, "quic_client_handshake_2",                                      \
      (int fd, const char *psk_file, const char *host, const char *alpns))

typedef struct qp_lib {
#define X(result, member, symbol, parameters) result(*member) parameters;
    QP_LIB_CALLS(X)
#undef X
} qp_lib;

/* qp_lib_load loads the library: the file of --quic-lib; else libquic.so beside this program, where Bazel
 * builds it, or where LD_LIBRARY_PATH says. The settings that it takes from the environment (back end,
 * threads, --ca) and the CPUs of its threads follow the options, so that nothing may have loaded it before.
 * Returns false with one line in `why`. */
bool qp_lib_load(qp_lib *out, const qp_options *options, char *why, size_t cap);

#ifdef __cplusplus
}
#endif

#endif /* TOOLS_QUICPERF_SOCKETS_LIB_H */

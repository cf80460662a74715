/* compat/front/libc.h: the functions of libc that this object stands before.
 *
 * Shape:  one pointer each, found with dlsym(RTLD_NEXT) when the object is loaded; QF_REAL(name) is safe
 *         before that, too.
 */
#ifndef COMPAT_FRONT_LIBC_H
#define COMPAT_FRONT_LIBC_H

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* X(result, name, parameters) */
struct mmsghdr;

#define QF_LIBC(X)                                                                                 \
    X(int, socket, (int, int, int))                                                                \
    X(int, socketpair, (int, int, int, int *))                                                     \
    X(int, bind, (int, const struct sockaddr *, socklen_t))                                        \
    X(int, listen, (int, int))                                                                     \
    X(int, accept, (int, struct sockaddr *, socklen_t *))                                          \
    X(int, accept4, (int, struct sockaddr *, socklen_t *, int))                                    \
    X(int, connect, (int, const struct sockaddr *, socklen_t))                                     \
    X(int, shutdown, (int, int))                                                                   \
    X(int, close, (int))                                                                           \
    X(int, getsockname, (int, struct sockaddr *, socklen_t *))                                     \
    X(int, getpeername, (int, struct sockaddr *, socklen_t *))                                     \
    X(int, getsockopt, (int, int, int, void *, socklen_t *))                                       \
    X(int, setsockopt, (int, int, int, const void *, socklen_t))                                   \
    X(ssize_t, send, (int, const void *, size_t, int))                                             \
    X(ssize_t, sendto, (int, const void *, size_t, int, const struct sockaddr *, socklen_t))       \
    X(ssize_t, sendmsg, (int, const struct msghdr *, int))                                         \
    X(int, sendmmsg, (int, struct mmsghdr *, unsigned, int))                                       \
    X(ssize_t, recv, (int, void *, size_t, int))                                                   \
    X(ssize_t, recvfrom, (int, void *, size_t, int, struct sockaddr *, socklen_t *))               \
    X(ssize_t, recvmsg, (int, struct msghdr *, int))                                               \
    X(int, recvmmsg, (int, struct mmsghdr *, unsigned, int, struct timespec *))                    \
    X(ssize_t, read, (int, void *, size_t))                                                        \
    X(ssize_t, write, (int, const void *, size_t))                                                 \
    X(ssize_t, readv, (int, const struct iovec *, int))                                            \
    X(ssize_t, writev, (int, const struct iovec *, int))                                           \
    X(int, dup, (int))                                                                             \
    X(int, dup2, (int, int))                                                                       \
    X(int, dup3, (int, int, int))                                                                  \
    X(int, fcntl, (int, int, ...))                                                                 \
    X(int, ioctl, (int, unsigned long, ...))                                                       \
    X(int, poll, (struct pollfd *, nfds_t, int))                                                   \
    X(int, ppoll, (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *))            \
    X(int, select, (int, fd_set *, fd_set *, fd_set *, struct timeval *))                          \
    X(int, pselect,                                                                                \
      (int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *))              \
    X(int, epoll_ctl, (int, int, int, struct epoll_event *))                                       \
    X(int, epoll_wait, (int, struct epoll_event *, int, int))                                      \
    X(int, epoll_pwait, (int, struct epoll_event *, int, int, const sigset_t *))                   \
    X(int, epoll_pwait2,                                                                           \
      (int, struct epoll_event *, int, const struct timespec *, const sigset_t *))                 \
    X(ssize_t, sendfile, (int, int, off_t *, size_t))                                              \
    X(ssize_t, splice, (int, off_t *, int, off_t *, size_t, unsigned))                             \
    X(ssize_t, preadv2, (int, const struct iovec *, int, off_t, int))                              \
    X(ssize_t, pwritev2, (int, const struct iovec *, int, off_t, int))                             \
    X(FILE *, fdopen, (int, const char *))                                                         \
    X(int, vdprintf, (int, const char *, va_list))                                                 \
    X(int, __vdprintf_chk, (int, int, const char *, va_list))                                      \
    X(pid_t, _Fork, (void))                                                                        \
    X(int, posix_spawn,                                                                            \
      (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,       \
       char *const[], char *const[]))                                                              \
    X(int, posix_spawnp,                                                                           \
      (pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,       \
       char *const[], char *const[]))                                                              \
    X(int, system, (const char *))                                                                 \
    X(FILE *, popen, (const char *, const char *))                                                 \
    X(int, close_range, (unsigned, unsigned, int))                                                 \
    X(long, syscall, (long, ...))

typedef struct qf_libc {
#define X(result, name, parameters) result(*name) parameters;
    QF_LIBC(X)
#undef X
} qf_libc;

extern qf_libc qf_real_table;
extern pid_t (*qf_real_vfork)(void); /* beside it: jumped to, not called */
void qf_libc_resolve(void);

/* The real function; resolves everything when it is called before the constructor of this object. */
#define QF_REAL(name)                                                                              \
    (__builtin_expect(qf_real_table.name == NULL, 0) ? (qf_libc_resolve(), qf_real_table.name)     \
                                                     : qf_real_table.name)

/* The next definition behind this object's: a library's that this one was preloaded before. `out` points to the
 * pointer to the function, which stays as it is when there is none. */
bool qf_next(void *out, const char *name);

#define QF_EXPORT __attribute__((visibility("default")))

#endif /* COMPAT_FRONT_LIBC_H */

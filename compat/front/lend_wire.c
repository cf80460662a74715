/* One message of the lender and who borrows. */
#include "compat/front/lend_wire.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "compat/front/libc.h"

#define QF_WIRE_SOON_NS 10000000

#define QF_WIRE_FDS_CAME                                                                           \
    253 /* in one message, at most; what there is no room for the kernel would close */

typedef union qf_wire_control {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(QF_WIRE_FDS_CAME * sizeof(int))];
} qf_wire_control;

int qf_wire_pair(int ends[2])
{
    const int bytes =
        2 * (int)sizeof(qf_body); /* as far as the system lets it; the default is more, mostly */
    int rc = QF_REAL(socketpair)(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends);
    for (int i = 0; rc == 0 && i < 2; i++) {
        int has = 0;
        socklen_t len = sizeof(has);
        if (QF_REAL(getsockopt)(ends[i], SOL_SOCKET, SO_SNDBUF, &has, &len) == 0 && has < bytes) {
            (void)QF_REAL(setsockopt)(ends[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
        }
    }
    return rc;
}

static _Thread_local bool qf_wire_handled;

bool qf_wire_interrupted(void)
{
    const bool handled = qf_wire_handled;
    qf_wire_handled = false;
    return handled;
}

static _Thread_local const sigset_t *qf_wire_mask;
static _Thread_local void (*qf_wire_look)(void *ctx);
static _Thread_local void *qf_wire_look_ctx;
static _Thread_local bool qf_wire_awake;

void qf_wire_wait_with(const sigset_t *mask, void (*look)(void *ctx), void *ctx)
{
    qf_wire_mask = mask;
    qf_wire_look = look;
    qf_wire_look_ctx = ctx;
}

bool qf_wire_woken(void)
{
    const bool awake = qf_wire_awake;
    qf_wire_awake = false;
    return awake;
}

/* A handler that runs here may make calls of its own. */
static void qf_wire_wait(int fd)
{
    const struct timespec soon = {0, QF_WIRE_SOON_NS};
    const sigset_t *mask = qf_wire_mask;
    struct pollfd polled = {fd, POLLIN, 0};
    bool again = mask != NULL;
    if (again && qf_wire_look != NULL) {
        again = QF_REAL(ppoll)(&polled, 1, &soon, NULL) <= 0;
        if (again) {
            qf_wire_look(qf_wire_look_ctx);
        }
    }
    qf_wire_mask = NULL;
    while (again) {
        again = QF_REAL(ppoll)(&polled, 1, NULL, mask) < 0 && errno == EINTR;
        qf_wire_awake = qf_wire_awake || again;
    }
    qf_wire_mask = mask;
}

/* With errno: once more. The kernel does so itself after a handler with SA_RESTART. */
static bool qf_wire_again(ssize_t rc)
{
    const bool again = rc < 0 && errno == EINTR;
    qf_wire_handled = qf_wire_handled || again;
    return again;
}

int qf_wire_send(int fd, const void *head, size_t head_len, const qf_body *body, size_t body_len,
                 const int *fds, uint32_t fd_count, bool dontwait)
{
    struct iovec iov[2] = {{(void *)(uintptr_t)head, head_len},
                           {body_len > 0 ? (void *)(uintptr_t)body->bytes : NULL, body_len}};
    qf_wire_control control;
    struct msghdr msg;
    memset(&msg, 0, sizeof(msg));
    msg.msg_iov = iov;
    msg.msg_iovlen = body_len > 0 ? 2 : 1;
    if (fd_count > 0) {
        memset(&control, 0, CMSG_SPACE(fd_count * sizeof(int)));
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fds, fd_count * sizeof(int));
    }
    ssize_t sent;
    do {
        sent = QF_REAL(sendmsg)(fd, &msg, MSG_NOSIGNAL | (dontwait ? MSG_DONTWAIT : 0));
    } while (qf_wire_again(sent));
    return sent < 0 ? -errno : 0;
}

/* Whose message it is stands in each then, be it empty; in an end it does not. */
void qf_wire_end(int fd)
{
    const int on = 1;
    (void)QF_REAL(setsockopt)(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
    (void)QF_REAL(shutdown)(fd, SHUT_RDWR);
}

void qf_wire_close(int fd)
{
    const struct linger none = {0, 0};
    (void)QF_REAL(setsockopt)(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    QF_REAL(close)(fd);
}

/* Of those that came more than are wanted are closed. */
static uint32_t qf_wire_fds(struct msghdr *msg, int fds[QF_WIRE_FDS])
{
    uint32_t count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t came = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < came; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
            if (count < QF_WIRE_FDS) {
                fds[count++] = fd;
            } else {
                qf_wire_close(fd);
            }
        }
    }
    return count;
}

int qf_wire_recv(int fd, void *head, size_t head_len, qf_body *body, int fds[QF_WIRE_FDS],
                 uint32_t *out_fd_count, bool dontwait)
{
    struct iovec iov[2] = {{head, head_len}, {body->bytes, sizeof(body->bytes)}};
    qf_wire_control control;
    struct msghdr msg;
    memset(&msg, 0, sizeof(msg));
    msg.msg_iov = iov;
    msg.msg_iovlen = 2;
    msg.msg_control = control.bytes;
    msg.msg_controllen = sizeof(control.bytes);
    ssize_t got;
    if (!dontwait) {
        qf_wire_wait(fd);
    }
    do {
        got = QF_REAL(recvmsg)(fd, &msg, MSG_CMSG_CLOEXEC | (dontwait ? MSG_DONTWAIT : 0));
    } while (qf_wire_again(got));
    *out_fd_count = got >= 0 ? qf_wire_fds(&msg, fds) : 0;
    if (got >= (ssize_t)head_len && (msg.msg_flags & MSG_TRUNC) == 0) {
        return (int)((size_t)got - head_len);
    }
    int rc = got < 0 ? -errno : got == 0 && msg.msg_controllen == 0 ? -EPIPE : -EBADMSG;
    for (uint32_t i = 0; i < *out_fd_count; i++) {
        qf_wire_close(fds[i]);
    }
    *out_fd_count = 0;
    return rc;
}

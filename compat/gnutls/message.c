/* TLS messages through a socket (draft section 4.3.2), the same in both layouts. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define QUIC_NO_GNUTLS
#include <netinet/quic.h>

#include "compat/gnutls/wire.h"

#define QG_PROTO_DRAFT  288
#define QG_PROTO_KERNEL 261
#define QG_NAP_MS       1
#define QG_END_MS       1000

typedef union qg_control {
    struct cmsghdr align;
    uint8_t bytes[CMSG_SPACE(64)];
} qg_control;

const qg_wire *qg_wire_of(int sd)
{
    int protocol = 0;
    socklen_t len = sizeof(protocol);
    if (getsockopt(sd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) != 0) {
        return NULL;
    }
    if (protocol == QG_PROTO_DRAFT || protocol == QG_PROTO_KERNEL) {
        return protocol == QG_PROTO_DRAFT ? &qg_wire_draft : &qg_wire_kernel;
    }
    errno = ENOTSOCK;
    return NULL;
}

uint64_t qg_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int send_piece(int sd, int level, const void *data, size_t len)
{
    qg_control control;
    const struct quic_handshake_info info = {(uint8_t)level};
    struct iovec iov = {(void *)(uintptr_t)data, len};
    struct msghdr msg;
    memset(&msg, 0, sizeof(msg));
    memset(&control, 0, sizeof(control));
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.bytes;
    msg.msg_controllen = CMSG_SPACE(sizeof(info));
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_QUIC;
    c->cmsg_type = QUIC_HANDSHAKE_INFO;
    c->cmsg_len = CMSG_LEN(sizeof(info));
    memcpy(CMSG_DATA(c), &info, sizeof(info));
    ssize_t n;
    do {
        n = sendmsg(sd, &msg, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : (size_t)n == len ? 0 : -EMSGSIZE;
}

int qg_send(int sd, int level, const void *data, size_t len)
{
    const uint8_t *at = (const uint8_t *)data;
    int rc = 0;
    while (len > 0 && rc == 0) {
        size_t n = len < QG_MESSAGE_MAX ? len : QG_MESSAGE_MAX;
        rc = send_piece(sd, level, at, n);
        at += n;
        len -= n;
    }
    return rc;
}

/* One recvmsg; *level -1: it is no TLS message. Bytes or -errno. */
static ssize_t recv_once(int sd, int *level, void *buf, size_t room, int flags)
{
    qg_control control;
    struct iovec iov = {buf, room};
    struct msghdr msg;
    memset(&msg, 0, sizeof(msg));
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.bytes;
    msg.msg_controllen = sizeof(control.bytes);
    ssize_t n = recvmsg(sd, &msg, flags | MSG_DONTWAIT);
    *level = -1;
    struct cmsghdr *c = n >= 0 ? CMSG_FIRSTHDR(&msg) : NULL;
    if (c != NULL && c->cmsg_level == SOL_QUIC && c->cmsg_type == QUIC_HANDSHAKE_INFO) {
        *level = *(const uint8_t *)CMSG_DATA(c);
    }
    return n >= 0 ? n : -errno;
}

/* TLS messages stand before everything else in a socket's queue: what is first says whether there is one. */
int qg_recv_now(int sd, int *level, void *buf, size_t *len)
{
    uint8_t first;
    ssize_t n = recv_once(sd, level, &first, sizeof(first), MSG_PEEK);
    if (n >= 0 && *level < 0) {
        return -EAGAIN;
    }
    n = n < 0 ? n : recv_once(sd, level, buf, QG_MESSAGE_MAX, 0);
    *len = n > 0 ? (size_t)n : 0;
    return n < 0 ? (int)n : 0;
}

/* Waits for news of the socket. Where data that is not ours to take waits, poll does not sleep: a nap. */
static int await_news(int sd, uint64_t deadline_ms)
{
    struct pollfd p = {sd, POLLIN, 0};
    uint64_t now = qg_now_ms();
    if (deadline_ms != 0 && now >= deadline_ms) {
        return -ETIMEDOUT;
    }
    uint64_t left = deadline_ms != 0 ? deadline_ms - now : 1000;
    int n = poll(&p, 1, left < 1000 ? (int)left : 1000);
    if (n < 0 && errno != EINTR) {
        return -errno;
    }
    if (n > 0 && (p.revents & (POLLHUP | POLLNVAL)) != 0) {
        return (p.revents & POLLNVAL) != 0 ? -EBADF : -ENOTCONN;
    }
    if (n > 0) {
        int level;
        uint8_t first;
        if (recv_once(sd, &level, &first, sizeof(first), MSG_PEEK) >= 0 && level < 0) {
            const struct timespec nap = {0, QG_NAP_MS * 1000000};
            nanosleep(&nap, NULL);
        }
    }
    return 0;
}

int qg_recv(int sd, int *level, void *buf, size_t *len, uint64_t deadline_ms)
{
    for (;;) {
        int rc = qg_recv_now(sd, level, buf, len);
        if (rc != -EAGAIN && rc != -EINTR) {
            return rc;
        }
        rc = await_news(sd, deadline_ms);
        if (rc == -ENOTCONN && qg_recv_now(sd, level, buf, len) == 0) {
            return 0; /* came just before the end */
        }
        if (rc != 0) {
            return rc;
        }
    }
}

bool qg_is_over(int sd)
{
    uint64_t until = qg_now_ms() + QG_END_MS;
    struct pollfd p = {sd, 0, 0}; /* POLLHUP is always told */
    uint64_t now;
    while (p.revents == 0 && (now = qg_now_ms()) < until) {
        (void)poll(&p, 1, (int)(until - now));
    }
    return (p.revents & POLLHUP) != 0;
}

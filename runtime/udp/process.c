#define _GNU_SOURCE 1 /* struct ucred, MSG_CMSG_CLOEXEC */

#include "runtime/udp/process.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/udp/own_fd.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

/* The number in it is that of the format of what is sent: processes that speak another do not meet. */
#define NAME_PREFIX "quring-1"

/* Abstract: the first byte is 0, and the length counts. */
static socklen_t name_of(struct sockaddr_un *out, uid_t uid, uint8_t number, const quic_addr *addr)
{
    memset(out, 0, sizeof(*out));
    out->sun_family = AF_UNIX;
    char *at = out->sun_path + 1;
    size_t room = sizeof(out->sun_path) - 1;
    size_t len = (size_t)snprintf(at, room, NAME_PREFIX "/%u/%02x", (unsigned)uid, number);
    if (addr != NULL) {
        len += (size_t)snprintf(at + len, room - len, "/%u/", addr->family);
        for (size_t i = 0; i < (addr->family == 4 ? 4u : 16u); i++) {
            len += (size_t)snprintf(at + len, room - len, "%02x", addr->ip[i]);
        }
        len += (size_t)snprintf(at + len, room - len, "/%u/%u", addr->port, addr->scope_id);
    }
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
}

static int open_named(int *out, const struct sockaddr_un *name, socklen_t len)
{
    const bool held = rt_fd_hold();
    const int fd = rt_fd_keep(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    int rc = fd < 0 ? -errno : 0;
    rt_fd_let(held);
    if (rc != 0) {
        return rc;
    }
    int on = 1;
    int off = 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off)); /* since Linux 6.16 */
    if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0 ||
        bind(fd, (const struct sockaddr *)name, len) != 0) {
        rc = -errno;
        rt_fd_close(fd);
        return rc;
    }
    *out = fd;
    return 0;
}

int rt_process_open(rt_process *process)
{
    if (process->is_open) {
        return 0;
    }
    process->uid = geteuid();
    int rc = -EADDRINUSE;
    for (uint32_t number = 0; number < RT_PROCESSES_MAX && rc == -EADDRINUSE; number++) {
        struct sockaddr_un name;
        process->number = (uint8_t)number;
        rc = open_named(&process->fd, &name, name_of(&name, process->uid, process->number, NULL));
    }
    process->is_open = rc == 0;
    return rc == -EADDRINUSE ? -ENOSPC : rc;
}

void rt_process_close(rt_process *process)
{
    if (process->is_open) {
        rt_fd_close(process->fd);
        process->is_open = false;
    }
}

int rt_process_inbox(const rt_process *process, rt_udp_socket *out, const quic_addr *addr)
{
    struct sockaddr_un name;
    socklen_t len = name_of(&name, process->uid, process->number, addr);
    memset(out, 0, sizeof(*out));
    out->fd = -1; /* 0 is somebody's */
    out->local = *addr;
    out->is_inbox = true;
    out->uid = process->uid;
    return open_named(&out->fd, &name, len);
}

int rt_process_send(const rt_process *process, uint8_t number, const quic_addr *addr,
                    const void *data, size_t len)
{
    struct sockaddr_un name;
    struct iovec iov = {.iov_base = (void *)data, .iov_len = len};
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    memset(&control, 0, sizeof(control));
    struct msghdr msg;
    memset(&msg, 0, sizeof(msg));
    msg.msg_name = &name;
    msg.msg_namelen = name_of(&name, process->uid, number, addr);
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = &control;
    msg.msg_controllen = sizeof(control);
    /* The kernel would say the real user, and ports are shared by the effective one. */
    struct ucred self = {.pid = getpid(), .uid = geteuid(), .gid = getegid()};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_len = CMSG_LEN(sizeof(self));
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_CREDENTIALS;
    memcpy(CMSG_DATA(c), &self, sizeof(self));
    return sendmsg(process->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void close_all(const uint8_t *data, size_t len)
{
    for (size_t at = 0; at + sizeof(int) <= len; at += sizeof(int)) {
        int fd = -1;
        memcpy(&fd, data + at, sizeof(fd));
        (void)close(fd);
    }
}

bool rt_process_judge(struct msghdr *msg, uid_t uid)
{
    bool may = false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        size_t left =
            (size_t)((const uint8_t *)msg->msg_control + msg->msg_controllen - (const uint8_t *)c);
        if (c->cmsg_len < CMSG_LEN(0) || c->cmsg_len > left) {
            break;
        }
        if (c->cmsg_level != SOL_SOCKET) {
            continue;
        }
        if (c->cmsg_type == SCM_RIGHTS) {
            close_all(CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
        } else if (c->cmsg_type == SCM_CREDENTIALS &&
                   c->cmsg_len >= CMSG_LEN(sizeof(struct ucred))) {
            struct ucred from;
            memcpy(&from, CMSG_DATA(c), sizeof(from));
            /* geteuid: both may have given up the user they began as. */
            may = from.uid == uid || from.uid == 0 || from.uid == geteuid();
        }
    }
    return may;
}

ssize_t rt_process_receive(const rt_udp_socket *inbox, void *buf, size_t cap)
{
    struct iovec iov = {.iov_base = buf, .iov_len = cap};
    union {
        struct cmsghdr align;
        char room[256];
    } control;
    struct msghdr msg;
    memset(&msg, 0, sizeof(msg));
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    msg.msg_control = &control;
    msg.msg_controllen = sizeof(control);
    ssize_t len = recvmsg(inbox->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (len < 0) {
        return -errno;
    }
    return rt_process_judge(&msg, inbox->uid) ? len : 0;
}

#include "runtime/udp/udp_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/udp/own_fd.h"
#include "runtime/udp/sockaddr.h"

static bool set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

/* Half of what the kernel reports: it doubles the figure asked for to pay for its own overhead. */
static uint32_t granted(int fd, int name)
{
    int value = 0;
    socklen_t len = sizeof(value);
    if (getsockopt(fd, SOL_SOCKET, name, &value, &len) != 0 || value < 0) {
        return 0;
    }
    return (uint32_t)value / 2;
}

static uint32_t grow_buffer(int fd, int name, int force_name, uint32_t bytes)
{
    if (bytes > 0) {
        int want = bytes > INT32_MAX / 2 ? INT32_MAX / 2 : (int)bytes;
        /* The FORCE variant goes beyond the system's bound and needs CAP_NET_ADMIN. */
        if (granted(fd, name) < (uint32_t)want && !set_int(fd, SOL_SOCKET, force_name, want)) {
            (void)set_int(fd, SOL_SOCKET, name, want);
        }
    }
    return granted(fd, name);
}

/* Datagrams are never fragmented (RFC 9000 14) and the path MTU is probed, not learned from ICMP. */
static bool never_fragment(int fd, const rt_udp_socket *sock)
{
    bool ok = true;
    if (sock->is_v6) {
        ok = set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
    }
    if (!sock->is_v6 || sock->dual_stack) {
        ok = set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE) && ok;
    }
    return ok;
}

static void ask_for_facts(int fd, rt_udp_socket *sock)
{
    sock->ecn = true;
    if (sock->is_v6) {
        sock->ecn = set_int(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    }
    if (!sock->is_v6 || sock->dual_stack) {
        sock->ecn = set_int(fd, IPPROTO_IP, IP_RECVTOS, 1) && sock->ecn;
    }
    if (sock->any) {
        sock->pktinfo = sock->is_v6 ? set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
                                    : set_int(fd, IPPROTO_IP, IP_PKTINFO, 1);
    }
    (void)set_int(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
}

static bool mark(int fd, const rt_udp_socket *sock, uint8_t ecn)
{
    bool ok = true;
    if (sock->is_v6) {
        ok = set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, ecn);
    }
    if (!sock->is_v6 || sock->dual_stack) {
        ok = ok && set_int(fd, IPPROTO_IP, IP_TOS, ecn);
    }
    return ok;
}

static int bind_it(int fd, rt_udp_socket *sock, const quic_addr *local)
{
    rt_sockaddr sa;
    socklen_t len = rt_sockaddr_from(&sa, local, sock->is_v6);
    if (len == 0 || bind(fd, &sa.sa, len) != 0) {
        return len == 0 ? -EAFNOSUPPORT : -errno;
    }
    len = sizeof(sa);
    if (getsockname(fd, &sa.sa, &len) != 0) {
        return -errno;
    }
    return rt_sockaddr_to(&sock->local, &sa.sa, len) ? 0 : -EAFNOSUPPORT;
}

static int configure(int fd, rt_udp_socket *sock, const rt_udp_options *options)
{
    if (sock->is_v6 && !set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, sock->dual_stack ? 0 : 1)) {
        return -errno;
    }
    if (options->reuseport && !set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1)) {
        return -errno;
    }
    if (!never_fragment(fd, sock)) {
        return -errno;
    }
    sock->merges = options->merges;
    sock->asked_bytes = options->buf_bytes;
    sock->rcvbuf_bytes = grow_buffer(fd, SO_RCVBUF, SO_RCVBUFFORCE, options->buf_bytes);
    sock->sndbuf_bytes = grow_buffer(fd, SO_SNDBUF, SO_SNDBUFFORCE, options->buf_bytes);
    ask_for_facts(fd, sock);
    if (options->ecn != 0 && mark(fd, sock, options->ecn)) {
        sock->tx_ecn = options->ecn;
    }
    sock->gro = options->gro && set_int(fd, IPPROTO_UDP, UDP_GRO, 1);
    /* Setting the size 0 changes nothing and tells whether the option exists. */
    sock->gso = options->gso && set_int(fd, IPPROTO_UDP, UDP_SEGMENT, 0);
    return bind_it(fd, sock, &options->local);
}

int rt_udp_open(rt_udp_socket *out, const rt_udp_options *options)
{
    const quic_addr *local = &options->local;
    if (local->family != 4 && local->family != 6) {
        return -EAFNOSUPPORT;
    }
    rt_udp_socket sock;
    memset(&sock, 0, sizeof(sock));
    sock.is_v6 = local->family == 6;
    sock.any = rt_addr_is_any(local);
    sock.dual_stack = sock.is_v6 && options->dual_stack && sock.any;
    const bool held = rt_fd_hold();
    sock.fd = rt_fd_keep(socket(sock.is_v6 ? AF_INET6 : AF_INET,
                                SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP));
    int rc = sock.fd < 0 ? -errno : 0;
    rt_fd_let(held);
    if (rc != 0) {
        return rc;
    }
    rc = configure(sock.fd, &sock, options);
    if (rc != 0) {
        rt_fd_close(sock.fd);
        return rc;
    }
    *out = sock;
    return 0;
}

void rt_udp_close(rt_udp_socket *sock)
{
    if (sock->fd >= 0) {
        rt_fd_close(sock->fd);
        sock->fd = -1;
    }
}

bool rt_udp_buffer_warning(const rt_udp_socket *sock, char *out, size_t cap)
{
    bool rcv = sock->rcvbuf_bytes < sock->asked_bytes;
    bool snd = sock->sndbuf_bytes < sock->asked_bytes;
    if (!rcv && !snd) {
        return false;
    }
    (void)snprintf(out, cap,
                   "%s buffer is %u bytes instead of %u; datagrams may be lost: "
                   "sysctl -w net.core.%s_max=%u",
                   rcv ? "receive" : "send", rcv ? sock->rcvbuf_bytes : sock->sndbuf_bytes,
                   sock->asked_bytes, rcv ? "rmem" : "wmem", sock->asked_bytes);
    return true;
}

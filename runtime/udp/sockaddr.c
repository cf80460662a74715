#include "runtime/udp/sockaddr.h"

#include <arpa/inet.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

quic_addr rt_addr_from_in4(const void *ip4, uint16_t port)
{
    quic_addr addr;
    memset(&addr, 0, sizeof(addr));
    memcpy(addr.ip, ip4, 4);
    addr.port = port;
    addr.family = 4;
    return addr;
}

quic_addr rt_addr_from_in6(const void *ip6, uint16_t port, uint32_t scope_id)
{
    const uint8_t *ip = (const uint8_t *)ip6;
    if (memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0) {
        return rt_addr_from_in4(ip + sizeof(mapped_prefix), port);
    }
    quic_addr addr;
    memset(&addr, 0, sizeof(addr));
    memcpy(addr.ip, ip, 16);
    addr.port = port;
    addr.family = 6;
    addr.scope_id = scope_id;
    return addr;
}

bool rt_addr_is_any(const quic_addr *addr)
{
    static const uint8_t zero[16];
    return addr->family == 0 || memcmp(addr->ip, zero, sizeof(zero)) == 0;
}

socklen_t rt_sockaddr_from(rt_sockaddr *out, const quic_addr *addr, bool socket_is_v6)
{
    memset(out, 0, sizeof(*out));
    if (addr->family == 4 && !socket_is_v6) {
        out->in.sin_family = AF_INET;
        out->in.sin_port = htons(addr->port);
        memcpy(&out->in.sin_addr, addr->ip, 4);
        return sizeof(out->in);
    }
    if (!socket_is_v6 || (addr->family != 4 && addr->family != 6)) {
        return 0;
    }
    out->in6.sin6_family = AF_INET6;
    out->in6.sin6_port = htons(addr->port);
    if (addr->family == 4) {
        memcpy(&out->in6.sin6_addr, mapped_prefix, sizeof(mapped_prefix));
        memcpy((uint8_t *)&out->in6.sin6_addr + sizeof(mapped_prefix), addr->ip, 4);
    } else {
        memcpy(&out->in6.sin6_addr, addr->ip, 16);
        out->in6.sin6_scope_id = addr->scope_id;
    }
    return sizeof(out->in6);
}

bool rt_sockaddr_to(quic_addr *out, const struct sockaddr *sa, socklen_t len)
{
    rt_sockaddr u;
    if (len < (socklen_t)sizeof(sa_family_t) || len > (socklen_t)sizeof(struct sockaddr_storage)) {
        return false;
    }
    memset(&u, 0, sizeof(u));
    memcpy(&u, sa, len < sizeof(u) ? len : sizeof(u));
    if (u.sa.sa_family == AF_INET && len >= (socklen_t)sizeof(u.in)) {
        *out = rt_addr_from_in4(&u.in.sin_addr, ntohs(u.in.sin_port));
        return true;
    }
    if (u.sa.sa_family == AF_INET6 && len >= (socklen_t)sizeof(u.in6)) {
        const uint8_t *ip = (const uint8_t *)&u.in6.sin6_addr;
        bool link_local = ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80;
        *out = rt_addr_from_in6(ip, ntohs(u.in6.sin6_port), link_local ? u.in6.sin6_scope_id : 0);
        return true;
    }
    return false;
}

#define _GNU_SOURCE 1 /* struct in6_pktinfo */

#include "runtime/udp/cmsg.h"

#include <netinet/in.h>
#include <netinet/udp.h>

#include "runtime/udp/sockaddr.h"

#define ECN_MASK 3

/* A TOS arrives as one byte over IPv4 and as an int over IPv6 (traffic class). */
static uint8_t read_ecn(const void *data, size_t len)
{
    if (len >= sizeof(int)) {
        int v;
        memcpy(&v, data, sizeof(v));
        return (uint8_t)(v & ECN_MASK);
    }
    return len >= 1 ? (uint8_t)(*(const uint8_t *)data & ECN_MASK) : 0;
}

static void read_ipv4(rt_cmsg_rx *out, int type, const uint8_t *data, size_t len)
{
    if (type == IP_TOS || type == IP_RECVTOS) {
        out->ecn = read_ecn(data, len);
    } else if (type == IP_PKTINFO && len >= sizeof(struct in_pktinfo)) {
        struct in_pktinfo info;
        memcpy(&info, data, sizeof(info));
        out->local = rt_addr_from_in4(&info.ipi_addr, 0);
    }
}

static void read_ipv6(rt_cmsg_rx *out, int type, const uint8_t *data, size_t len)
{
    if (type == IPV6_TCLASS) {
        out->ecn = read_ecn(data, len);
    } else if (type == IPV6_PKTINFO && len >= sizeof(struct in6_pktinfo)) {
        struct in6_pktinfo info;
        memcpy(&info, data, sizeof(info));
        bool link_local = IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr);
        out->local = rt_addr_from_in6(&info.ipi6_addr, 0, link_local ? info.ipi6_ifindex : 0);
    }
}

void rt_cmsg_read(rt_cmsg_rx *out, struct msghdr *msg)
{
    memset(out, 0, sizeof(*out));
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        /* The length is the sender's word for it: the control part ends where the buffer does. */
        size_t left =
            (size_t)((const uint8_t *)msg->msg_control + msg->msg_controllen - (const uint8_t *)c);
        if (c->cmsg_len < CMSG_LEN(0) || c->cmsg_len > left) {
            return;
        }
        size_t len = c->cmsg_len - CMSG_LEN(0);
        const uint8_t *data = CMSG_DATA(c);
        if (c->cmsg_level == IPPROTO_IP) {
            read_ipv4(out, c->cmsg_type, data, len);
        } else if (c->cmsg_level == IPPROTO_IPV6) {
            read_ipv6(out, c->cmsg_type, data, len);
        } else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO && len >= sizeof(int)) {
            int v;
            memcpy(&v, data, sizeof(v));
            out->gro_bytes = v > 0 ? (uint32_t)v : 0;
        } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL &&
                   len >= sizeof(uint32_t)) {
            memcpy(&out->kernel_drops, data, sizeof(uint32_t));
            out->has_drops = true;
        }
    }
}

/* Appends one message at byte `at` and returns where the next one goes. */
static size_t put(uint8_t *room, size_t at, int level, int type, const void *data, size_t len)
{
    struct cmsghdr head = {.cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type};
    memcpy(room + at, &head, sizeof(head));
    memcpy(room + at + CMSG_LEN(0), data, len);
    return at + CMSG_SPACE(len);
}

static size_t put_source(uint8_t *room, size_t at, const quic_addr *local)
{
    if (local->family == 4) {
        struct in_pktinfo info;
        memset(&info, 0, sizeof(info));
        memcpy(&info.ipi_spec_dst, local->ip, 4);
        return put(room, at, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
    }
    struct in6_pktinfo info;
    memset(&info, 0, sizeof(info));
    memcpy(&info.ipi6_addr, local->ip, 16);
    info.ipi6_ifindex = local->scope_id;
    return put(room, at, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
}

void rt_cmsg_write(struct msghdr *msg, void *room, const rt_cmsg_tx *tx)
{
    _Static_assert(CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(int)) +
                           CMSG_SPACE(sizeof(struct in6_pktinfo)) <=
                       RT_CMSG_TX_BYTES,
                   "control room of a send");
    uint8_t *p = (uint8_t *)room;
    size_t at = 0;
    if (tx->gso_bytes != 0) {
        memset(p, 0, CMSG_SPACE(sizeof(uint16_t)));
        at = put(p, at, IPPROTO_UDP, UDP_SEGMENT, &tx->gso_bytes, sizeof(tx->gso_bytes));
    }
    if (tx->marked) {
        int tos = tx->ecn & ECN_MASK;
        bool v4 = tx->remote_family == 4;
        memset(p + at, 0, CMSG_SPACE(sizeof(tos)));
        at = put(p, at, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, &tos,
                 sizeof(tos));
    }
    if (tx->local != NULL) {
        memset(p + at, 0, CMSG_SPACE(sizeof(struct in6_pktinfo)));
        at = put_source(p, at, tx->local);
    }
    msg->msg_control = at > 0 ? room : NULL;
    msg->msg_controllen = at;
}

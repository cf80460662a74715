/* runtime/udp/sockaddr.h: quic_addr <-> struct sockaddr. IPv4-mapped IPv6 becomes IPv4 on the way in
 * and is restored on the way out when the socket is AF_INET6. */
#ifndef RUNTIME_UDP_SOCKADDR_H
#define RUNTIME_UDP_SOCKADDR_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Room for either family: 28 bytes where sockaddr_storage has 128. */
typedef union rt_sockaddr {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
} rt_sockaddr;

/* rt_sockaddr_from fills *out for a socket of the given family and returns its length; 0 when `addr`
 * cannot be said there (IPv6 on an AF_INET socket, no family). */
socklen_t rt_sockaddr_from(rt_sockaddr *out, const quic_addr *addr, bool socket_is_v6);

/* rt_sockaddr_to reads `sa`; false when its family or length is not one of ours. */
bool rt_sockaddr_to(quic_addr *out, const struct sockaddr *sa, socklen_t len);

/* rt_addr_from_in4, _in6: from raw addresses in network order; port in host order. */
quic_addr rt_addr_from_in4(const void *ip4, uint16_t port);
quic_addr rt_addr_from_in6(const void *ip6, uint16_t port, uint32_t scope_id);

/* rt_addr_is_any: 0.0.0.0, ::, or no family at all. */
bool rt_addr_is_any(const quic_addr *addr);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_UDP_SOCKADDR_H */

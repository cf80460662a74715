/* runtime/server/addr.h: the two address structs, public and core, into each other. */
#ifndef RUNTIME_SERVER_ADDR_H
#define RUNTIME_SERVER_ADDR_H

#include "quring/base.h"

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* rt_addr_to_core copies `addr`; IPv4-mapped IPv6 becomes IPv4, bytes that mean nothing become 0, so
 * that equal addresses compare equal as memory. */
quic_addr rt_addr_to_core(const quring_addr *addr);
quring_addr rt_addr_from_core(const quic_addr *addr);

/* rt_addr_is_usable says whether the family is 4 or 6. */
bool rt_addr_is_usable(const quring_addr *addr);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_SERVER_ADDR_H */

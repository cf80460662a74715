/* runtime/io/unsegmented.h: to whom the kernel does not send trains: what it refuses depends on the way a datagram
 * takes (IPsec, a device that makes no checksums), so that one peer's way is not to cost the others their trains.
 *
 * Bounds:  RT_UNSEGMENTED_MAX addresses; the one that came first makes room, and is asked for once more.
 * Owner:   one I/O back end.
 */
#ifndef RUNTIME_IO_UNSEGMENTED_H
#define RUNTIME_IO_UNSEGMENTED_H

#include <stdbool.h>

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_UNSEGMENTED_MAX 32u

typedef struct rt_unsegmented {
    quic_addr addrs[RT_UNSEGMENTED_MAX]; /* ports left out: a way is the address's */
    uint32_t count;
    uint32_t next; /* to be replaced */
} rt_unsegmented;

/* rt_unsegmented_add remembers that trains to `remote` are refused; false when it was known. */
bool rt_unsegmented_add(rt_unsegmented *list, const quic_addr *remote);

/* For rt_unsegmented_has, where there is anything at all. */
bool rt_unsegmented_find(const rt_unsegmented *list, const quic_addr *remote);

static inline bool rt_unsegmented_has(const rt_unsegmented *list, const quic_addr *remote)
{
    return QUIC_UNLIKELY(list->count > 0) && rt_unsegmented_find(list, remote);
}

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_IO_UNSEGMENTED_H */

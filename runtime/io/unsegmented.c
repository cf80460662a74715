#include "runtime/io/unsegmented.h"

static quic_addr host_of(const quic_addr *remote)
{
    quic_addr host = *remote;
    host.port = 0;
    return host;
}

bool rt_unsegmented_find(const rt_unsegmented *list, const quic_addr *remote)
{
    const quic_addr host = host_of(remote);
    for (uint32_t i = 0; i < list->count; i++) {
        if (quic_addr_equal(&list->addrs[i], &host)) {
            return true;
        }
    }
    return false;
}

bool rt_unsegmented_add(rt_unsegmented *list, const quic_addr *remote)
{
    if (rt_unsegmented_find(list, remote)) {
        return false;
    }
    list->addrs[list->next] = host_of(remote);
    list->next = (list->next + 1) % RT_UNSEGMENTED_MAX;
    list->count += list->count < RT_UNSEGMENTED_MAX ? 1 : 0;
    return true;
}

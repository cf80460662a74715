#include "runtime/impair/flows.h"

#include <stdlib.h>
#include <unistd.h>

bool rt_flows_init(rt_flows *flows, uint32_t max)
{
    flows->at = calloc(max, sizeof(*flows->at));
    flows->count = 0;
    flows->max = max;
    for (uint32_t i = 0; i < RT_FLOW_BUCKETS; i++) {
        flows->chains[i] = RT_FLOW_NONE;
    }
    return flows->at != NULL;
}

void rt_flows_deinit(rt_flows *flows)
{
    for (uint32_t i = 0; i < flows->count; i++) {
        (void)close(flows->at[i].fd);
    }
    free(flows->at);
    flows->at = NULL;
    flows->count = 0;
}

/* FNV-1a: whoever may choose addresses here is whoever started the proxy. */
static uint32_t bucket_of(const quic_addr *client)
{
    const uint8_t *bytes = (const uint8_t *)client;
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < sizeof(*client); i++) {
        hash = (hash ^ bytes[i]) * 16777619u;
    }
    return hash % RT_FLOW_BUCKETS;
}

uint32_t rt_flows_find(const rt_flows *flows, const quic_addr *client)
{
    uint32_t i = flows->chains[bucket_of(client)];
    while (i != RT_FLOW_NONE && !quic_addr_equal(&flows->at[i].client, client)) {
        i = flows->at[i].next;
    }
    return i;
}

static uint32_t forget_one(rt_flows *flows)
{
    uint32_t oldest = 0;
    for (uint32_t i = 1; i < flows->count; i++) {
        if (flows->at[i].used_ns < flows->at[oldest].used_ns) {
            oldest = i;
        }
    }
    rt_flow *flow = &flows->at[oldest];
    uint32_t *link = &flows->chains[bucket_of(&flow->client)];
    while (*link != oldest) {
        link = &flows->at[*link].next;
    }
    *link = flow->next;
    (void)close(flow->fd);
    flow->generation++;
    return oldest;
}

uint32_t rt_flows_add(rt_flows *flows, const quic_addr *client, int fd, quic_ns now)
{
    uint32_t i = flows->count < flows->max ? flows->count++ : forget_one(flows);
    rt_flow *flow = &flows->at[i];
    uint32_t bucket = bucket_of(client);
    flow->client = *client;
    flow->fd = fd;
    flow->path = 0;
    flow->used_ns = now;
    flow->next = flows->chains[bucket];
    flows->chains[bucket] = i;
    return i;
}

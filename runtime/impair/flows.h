/* runtime/impair/flows.h: client addresses and the socket each has towards the server.
 *
 * Shape:  a table of fixed size with hash chains by address; when it is full the longest unused client
 *         is forgotten.
 * Owner:  the proxy's thread.
 */
#ifndef RUNTIME_IMPAIR_FLOWS_H
#define RUNTIME_IMPAIR_FLOWS_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_FLOW_NONE    UINT32_MAX
#define RT_FLOW_BUCKETS 1024u

typedef struct rt_flow {
    quic_addr client;
    int fd;        /* connected to the server */
    uint32_t path; /* how often it was given a new one */
    uint32_t
        generation; /* of this place in the table: datagrams of a forgotten client are dropped */
    uint32_t next;  /* in its chain */
    quic_ns used_ns;
} rt_flow;

typedef struct rt_flows {
    rt_flow *at;
    uint32_t count;
    uint32_t max;
    uint32_t chains[RT_FLOW_BUCKETS];
} rt_flows;

/* rt_flows_init: false when memory is refused. */
bool rt_flows_init(rt_flows *flows, uint32_t max);

/* rt_flows_deinit closes the sockets. */
void rt_flows_deinit(rt_flows *flows);

/* rt_flows_find: the index of the client's flow, RT_FLOW_NONE when there is none. */
uint32_t rt_flows_find(const rt_flows *flows, const quic_addr *client);

/* rt_flows_add keeps `fd` for a client that has no flow, closes what it has to forget for it, and
 * returns the index. */
uint32_t rt_flows_add(rt_flows *flows, const quic_addr *client, int fd, quic_ns now);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_IMPAIR_FLOWS_H */

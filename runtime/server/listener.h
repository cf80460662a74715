/* runtime/server/listener.h: one address served by all workers: a socket per worker in one
 * SO_REUSEPORT group.
 *
 * Order:   sockets are bound in the order of the workers, which is what the steering program counts on.
 * Busy:    the first socket is bound alone and opens the group afterwards: a port that anybody else
 *          holds gives QURING_E_ADDR_IN_USE, and port 0 never lands in another group.
 * Shared:  with QURING_LISTEN_SHARED the group may have sockets of other processes, too: no program steers by
 *          their order, and what comes to the wrong process goes through the relay of the place. Who is not
 *          the first has to be answered by one of them.
 * Closing: accepting stops at once; the sockets of the group stay, all of them, until no worker has a
 *          connection of this listener left (one missing socket would shift the steering).
 */
#ifndef RUNTIME_SERVER_LISTENER_H
#define RUNTIME_SERVER_LISTENER_H

#include "quring/runtime.h"

#include "quic/endpoint/strangers.h"
#include "runtime/server/dispatch.h"
#include "runtime/server/local.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_LISTEN_PLACES 3u /* the address that accepts, and a preferred one of each family */

/* What the workers of one listener share; freed with the last slot. */
typedef struct rt_listen_group {
    uint32_t busy; /* atomic: workers that listen or still have connections */
    uint32_t refs; /* atomic: slots */
    quic_strangers strangers;
    struct rt_relay *relays[RT_LISTEN_PLACES]; /* of its places; NULL: not shared */
} rt_listen_group;

/* A listener on one worker: owner of the connections accepted there. */
typedef struct rt_listen_slot {
    rt_owner owner; /* first: connections point here */
    rt_local *local;
    rt_listen_group *group;
    quring_tls *tls;           /* a reference, NULL when the handshake is external */
    quic_accept_config accept; /* what Initials meet; unless paused the endpoint has a copy */
    uint32_t sockets[RT_LISTEN_PLACES]; /* of its places, the one that accepts first */
    uint32_t socket_count;
    uint32_t inboxes[RT_LISTEN_PLACES]; /* of the places' relays, on the first worker */
    uint32_t inbox_count;
    bool paused;
    bool idle; /* closed and without connections: no longer counted in group->busy */
    struct rt_listen_slot *next;
} rt_listen_slot;

/* rt_listener_slot gives the listener's part on a worker. */
rt_listen_slot *rt_listener_slot(const quring_listener *listener, uint32_t worker);

/* rt_listener_exit frees the worker's slots at its end; the sockets go with its I/O back end. */
void rt_listener_exit(rt_local *local);

/* rt_listener_free_all frees the handles nobody closed; after the workers ended. */
void rt_listener_free_all(quring_runtime *rt);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_SERVER_LISTENER_H */

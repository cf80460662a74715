/* runtime/server/connect.h: client connections and the sockets they use.
 *
 * Sockets: one per worker and local address asked for; by default one per worker and family on a port
 *          the kernel picks, shared by all connections; with quring_config.client_sockets more of them, in
 *          turns. Connections that move need more (migrate.c).
 * Owners:  one record per callback and socket, shared by any number of connections. Records and
 *          sockets without connections are found by a walk, made when their number has doubled.
 */
#ifndef RUNTIME_SERVER_CONNECT_H
#define RUNTIME_SERVER_CONNECT_H

#include "quring/runtime.h"

#include "runtime/server/dispatch.h"
#include "runtime/server/local.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rt_connect_socket {
    quic_addr asked; /* what the application asked for: the key */
    quic_addr bound;
    uint32_t index; /* the worker's name for it */
    uint32_t owner_count;
    bool in_use; /* by a connection, as of the walk under way */
    struct rt_connect_socket *next;
} rt_connect_socket;

typedef struct rt_connect_owner {
    rt_owner owner; /* first: connections point here */
    rt_connect_socket *socket;
    struct rt_connect_owner *next;
} rt_connect_owner;

/* rt_connect_socket_get gives the socket for a local address (port 0: any port), opened when there is
 * none. `mover` (may be NULL) is a connection that wants one it does not use yet, on any of its paths.
 * Returns QURING_OK; QURING_E_NOMEM; QURING_E_OS. */
quring_status rt_connect_socket_get(rt_connect_socket **out, rt_local *local,
                                    const quic_addr *asked, const quic_conn *mover,
                                    quring_error *err);

/* rt_connect_want_socket answers QUIC_EV_WANT_SOCKET: a socket of `family` for a connection that goes to
 * its server's preferred address. */
void rt_connect_want_socket(rt_local *local, quic_conn *conn, uint8_t family);

/* rt_connect_exit frees the worker's records at its end; the sockets go with its I/O back end. */
void rt_connect_exit(rt_local *local);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_SERVER_CONNECT_H */

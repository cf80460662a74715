/* Client connections that move to another local address: the sockets they move to. */
#include <string.h>

#include "quring/conn.h"

#include "runtime/server/addr.h"
#include "runtime/server/connect.h"
#include "runtime/server/error.h"

static quic_path_addr rt_migrate_place(const rt_connect_socket *sock)
{
    quic_path_addr at;
    memset(&at, 0, sizeof(at));
    at.local = sock->bound;
    at.socket = sock->index;
    return at;
}

void rt_connect_want_socket(rt_local *local, quic_conn *conn, uint8_t family)
{
    quic_addr any;
    memset(&any, 0, sizeof(any));
    any.family = family;
    rt_connect_socket *sock = NULL;
    if (rt_connect_socket_get(&sock, local, &any, conn, NULL) != QURING_OK) {
        quic_conn_give_socket(conn, NULL); /* a machine without that family: it stays */
        return;
    }
    quic_path_addr at = rt_migrate_place(sock);
    quic_conn_give_socket(conn, &at);
}

quring_status quring_conn_migrate(quring_conn conn, const quring_addr *local)
{
    quic_conn *c = NULL;
    quring_status status = rt_local_conn(&c, conn);
    if (status != QURING_OK) {
        return status;
    }
    if (rt_local_stands_in) {
        return QURING_E_THREAD; /* sockets are opened by the worker's thread only */
    }
    if (local != NULL && !rt_addr_is_usable(local)) {
        return QURING_E_INVAL;
    }
    quring_conn_info info;
    quic_conn_get_info(c, &info);
    quic_addr asked;
    memset(&asked, 0, sizeof(asked));
    asked.family = info.remote.family;
    if (local != NULL) {
        asked = rt_addr_to_core(local);
    }
    status = rt_status_of(quic_conn_may_migrate(c, asked.family)); /* before a socket is opened */
    if (status != QURING_OK) {
        return status;
    }
    rt_connect_socket *sock = NULL;
    status = rt_connect_socket_get(&sock, rt_local_self, &asked, c, NULL);
    if (status != QURING_OK) {
        return status;
    }
    quic_path_addr to = rt_migrate_place(sock);
    return rt_status_of(quic_conn_migrate(c, &to));
}

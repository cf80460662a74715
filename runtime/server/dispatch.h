/* runtime/server/dispatch.h: an event of the core becomes a call of the application's function.
 *
 * The owner slot of a connection holds an rt_owner, shared by all connections of one listener and
 * worker, or of one client setting: an idle connection costs this layer nothing.
 */
#ifndef RUNTIME_SERVER_DISPATCH_H
#define RUNTIME_SERVER_DISPATCH_H

#include "quic/conn/conn.h"
#include "runtime/server/local.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the connections of one listener or one client setting have in common on one worker. First
 * member of the records that say more (rt_listen_slot, rt_connect_owner). */
typedef struct rt_owner {
    quring_event_fn on_event;
    bool in_use; /* mark of the walk that looks for owners without connections */
} rt_owner;

/* rt_dispatch_event calls the application for one polled event; on the worker `local`. */
void rt_dispatch_event(const rt_local *local, const quic_event *event);

/* rt_dispatch_check_muted judges `muted_events` of listen and connect options. Returns QURING_OK;
 * QURING_E_INVAL (there are types among them that cannot be muted). */
quring_status rt_dispatch_check_muted(uint64_t muted_events, quring_error *err);

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_SERVER_DISPATCH_H */

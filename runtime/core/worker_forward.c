#include <stdlib.h>

#include "runtime/core/worker_internal.h"

/* A received unit on its way to the worker that owns it. */
typedef struct forward {
    rt_worker *owner;
    uint32_t group;
    quic_rx_unit unit;
    uint8_t data[];
} forward;

/* The owner's own socket of the group: its connections know the path by that name. */
bool rt_worker_find_socket(const rt_worker *w, uint32_t *out_index, uint32_t group)
{
    for (uint32_t i = 0; i < RT_IO_SOCKETS_MAX; i++) {
        if (group != 0 && w->groups[i] == group && (w->inboxes >> i & 1) == 0) {
            *out_index = i;
            return true;
        }
    }
    return false;
}

/* Runs on the owner, out of its mailbox. */
static void deliver(void *ctx)
{
    forward *f = (forward *)ctx;
    rt_worker *w = f->owner;
    (void)__atomic_fetch_sub(&w->forwards_waiting, 1, __ATOMIC_RELAXED);
    if (rt_worker_find_socket(w, &f->unit.path.socket, f->group)) {
        f->unit.data = f->data;
        quic_endpoint_recv(w->endpoint, &f->unit, w->now);
    }
    free(f);
}

void rt_worker_forward(rt_worker *worker, const quic_rx_unit *unit, uint8_t owner)
{
    uint32_t group = worker->groups[unit->path.socket];
    if (owner >= worker->peer_count || group == 0) {
        return;
    }
    rt_worker *to = worker->peers[owner];
    if (__atomic_fetch_add(&to->forwards_waiting, 1, __ATOMIC_RELAXED) < RT_FORWARDS_MAX) {
        forward *f = malloc(sizeof(*f) + unit->len);
        if (f != NULL) {
            f->owner = to;
            f->group = group;
            f->unit = *unit;
            memcpy(f->data, unit->data, unit->len);
            if (rt_worker_post(to, deliver, f) == QUIC_OK) {
                worker->forwarded++;
                return;
            }
            free(f);
        }
    }
    (void)__atomic_fetch_sub(&to->forwards_waiting, 1, __ATOMIC_RELAXED);
}

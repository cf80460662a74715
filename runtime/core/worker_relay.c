#include "runtime/core/worker_internal.h"

/* A connection ID that a client chose begins a connection wherever it came to: the kernel brings what
 * follows to the same socket, as long as the group of sockets stays the same. */
static bool is_stranger(const rt_relay *relay, const quic_process_route *route)
{
    return route->is_long && !(route->is_named && route->process == rt_relay_self(relay));
}

/* What no other process has to have. A stranger is not turned away because this process does not listen, also
 * where the connection ID it chose seems to name this one. */
static void take(rt_worker *w, quic_rx_unit *unit, const quic_process_route *route, uint32_t hops)
{
    rt_relay *relay = w->relays[unit->path.socket];
    const bool is_here = is_stranger(relay, route) || route->worker == w->config.index;
    uint8_t next = 0;
    if (is_here && route->is_long && rt_relay_accepts(relay) &&
        !quic_endpoint_takes(w->endpoint, unit) && rt_relay_next(relay, &next)) {
        if (hops < RT_RELAY_HOPS_MAX) {
            rt_relay_add(&w->batch, relay, next, unit, hops + 1, w->now);
        }
    } else if (is_here) {
        quic_endpoint_recv(w->endpoint, unit, w->now);
    } else {
        rt_worker_forward(w, unit, route->worker);
    }
}

static bool is_for_other(rt_worker *w, const quic_process_route *route, rt_relay *relay)
{
    if (!route->is_named || route->process == rt_relay_self(relay)) {
        return false;
    }
    return route->is_long ? rt_relay_knows(relay, route->process)
                          : rt_relay_find(relay, route->process, w->now) != RT_RELAY_NOBODY;
}

void rt_worker_receive_shared(rt_worker *w, quic_rx_unit *unit)
{
    rt_relay *relay = w->relays[unit->path.socket];
    uint32_t left = unit->len;
    while (left > 0) {
        quic_process_route route;
        unit->len = left;
        quic_endpoint_route_process(w->endpoint, &route, unit);
        unit->len = route.len;
        uint8_t *next = unit->data + unit->len;
        left -= unit->len;
        if (!is_for_other(w, &route, relay)) {
            take(w, unit, &route, 0);
        } else if (rt_relay_knows(relay, route.process)) {
            rt_relay_add(&w->batch, relay, route.process, unit, 0, w->now);
        } else {
            w->batch.lost++; /* its owner is only being asked for */
        }
        unit->data = next;
    }
}

/* Nothing is sent back to where it came from: two that disagree about an owner would never end. */
void rt_worker_receive_relayed(rt_worker *w, const quic_rx_unit *message)
{
    const uint32_t inbox = message->path.socket;
    rt_relay_reader reader;
    quic_rx_unit unit;
    uint32_t hops = 0;
    uint32_t socket = 0;
    rt_relay_read(&reader, w->relays[inbox], message->data, message->len, w->now);
    if (!rt_worker_find_socket(w, &socket, w->groups[inbox])) {
        return;
    }
    while (rt_relay_read_next(&reader, &unit, &hops)) {
        uint32_t left = unit.len;
        unit.path.socket = socket;
        while (left > 0) {
            quic_process_route route;
            unit.len = left;
            quic_endpoint_route_process(w->endpoint, &route, &unit);
            unit.len = route.len;
            uint8_t *next = unit.data + unit.len;
            left -= unit.len;
            take(w, &unit, &route, hops);
            unit.data = next;
        }
    }
}

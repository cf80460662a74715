#include "runtime/io/sim_net.h"

#include <stdlib.h>

#include "quic/base/check.h"
#include "runtime/udp/sockaddr.h"
#include "runtime/udp/steer_bpf.h"

#define CID_LEN 8u /* of the workers here */

#define FNV_PRIME 0x100000001b3ull
#define FNV_START 0xcbf29ce484222325ull

rt_sim_net *rt_sim_net_create(uint64_t seed)
{
    rt_sim_net *net = calloc(1, sizeof(*net));
    if (net == NULL) {
        return NULL;
    }
    net->flight = calloc(RT_SIM_FLIGHT_MAX, sizeof(*net->flight));
    if (net->flight == NULL) {
        free(net);
        return NULL;
    }
    net->rng_state.s = seed;
    net->rng = quic_rng_seeded(&net->rng_state);
    net->hash = FNV_START;
    return net;
}

void rt_sim_net_destroy(rt_sim_net *net)
{
    if (net == NULL) {
        return;
    }
    for (uint32_t i = 0; i < net->flight_count; i++) {
        free(net->flight[i]);
    }
    for (uint32_t i = 0; i < net->port_count; i++) {
        rt_sim_net_unbind(&net->ports[i]);
    }
    free(net->flight);
    free(net);
}

void rt_sim_net_set_faults(rt_sim_net *net, const rt_sim_faults *faults)
{
    net->faults = *faults;
}

uint64_t rt_sim_net_hash(const rt_sim_net *net)
{
    return net->hash;
}

uint64_t rt_sim_net_sent_count(const rt_sim_net *net)
{
    return net->sent_count;
}

uint64_t rt_sim_net_dropped_count(const rt_sim_net *net)
{
    return net->dropped_count;
}

bool rt_sim_net_chance(rt_sim_net *net, uint32_t per_mille)
{
    return per_mille > 0 && quic_rng_u64(&net->rng) % 1000 < per_mille;
}

uint64_t rt_sim_net_draw(rt_sim_net *net, uint64_t max)
{
    return max < 2 ? 1 : 1 + quic_rng_u64(&net->rng) % max;
}

/* ---- ports --------------------------------------------------------------------------------- */

rt_sim_port *rt_sim_net_bind(rt_sim_net *net, rt_io *io, uint32_t index, const rt_udp_socket *sock)
{
    if (net->port_count == RT_SIM_PORTS_MAX) {
        return NULL;
    }
    rt_sim_port *port = &net->ports[net->port_count++];
    memset(port, 0, sizeof(*port));
    port->io = io;
    port->index = index;
    port->local = sock->local;
    port->any = rt_addr_is_any(&sock->local);
    port->used = true;
    port->due = QUIC_NS_NEVER;
    return port;
}

void rt_sim_net_unbind(rt_sim_port *port)
{
    for (rt_sim_datagram *d; (d = rt_sim_port_pop(port)) != NULL;) {
        free(d);
    }
    port->used = false;
    port->due = QUIC_NS_NEVER;
}

rt_sim_datagram *rt_sim_port_pop(rt_sim_port *port)
{
    rt_sim_datagram *d = port->head;
    if (d != NULL) {
        port->head = d->next;
        port->count--;
    }
    return d;
}

static void port_push(rt_sim_net *net, rt_sim_port *port, rt_sim_datagram *d)
{
    uint32_t max = net->faults.rx_queue_max;
    if (port->count >= (max > 0 && max < RT_SIM_QUEUE_MAX ? max : RT_SIM_QUEUE_MAX)) {
        net->dropped_count++;
        free(d);
        return;
    }
    d->next = NULL;
    if (port->head == NULL) {
        port->head = d;
    } else {
        port->tail->next = d;
    }
    port->tail = d;
    port->count++;
}

static bool port_takes(const rt_sim_port *port, const quic_addr *to)
{
    if (!port->used || port->local.port != to->port) {
        return false;
    }
    return port->any ? port->local.family == to->family : quic_addr_equal(&port->local, to);
}

/* The sockets bound to one address form a group, as with SO_REUSEPORT. */
static rt_sim_port *find_port(rt_sim_net *net, const rt_sim_datagram *d)
{
    rt_sim_port *group[64];
    uint32_t count = 0;
    for (uint32_t i = 0; i < net->port_count && count < 64; i++) {
        if (port_takes(&net->ports[i], &d->to)) {
            group[count++] = &net->ports[i];
        }
    }
    if (count == 0) {
        return NULL;
    }
    uint32_t pick = rt_steer_pick(d->data, d->len, count, CID_LEN);
    return group[pick < count ? pick : 0];
}

/* ---- in flight ----------------------------------------------------------------------------- */

static bool is_before(const rt_sim_datagram *a, const rt_sim_datagram *b)
{
    return a->at < b->at || (a->at == b->at && a->seq < b->seq);
}

static void flight_push(rt_sim_net *net, rt_sim_datagram *d)
{
    uint32_t pos = net->flight_count++;
    while (pos > 0 && is_before(d, net->flight[(pos - 1) / 2])) {
        net->flight[pos] = net->flight[(pos - 1) / 2];
        pos = (pos - 1) / 2;
    }
    net->flight[pos] = d;
}

static rt_sim_datagram *flight_pop(rt_sim_net *net)
{
    rt_sim_datagram *first = net->flight[0];
    rt_sim_datagram *last = net->flight[--net->flight_count];
    uint32_t pos = 0;
    for (;;) {
        uint32_t child = 2 * pos + 1;
        if (child >= net->flight_count) {
            break;
        }
        if (child + 1 < net->flight_count &&
            is_before(net->flight[child + 1], net->flight[child])) {
            child++;
        }
        if (!is_before(net->flight[child], last)) {
            break;
        }
        net->flight[pos] = net->flight[child];
        pos = child;
    }
    net->flight[pos] = last;
    return first;
}

static quic_ns draw_delay(rt_sim_net *net)
{
    const rt_sim_faults *f = &net->faults;
    if (f->delay_max_ns <= f->delay_min_ns) {
        return f->delay_min_ns;
    }
    return f->delay_min_ns + quic_rng_u64(&net->rng) % (f->delay_max_ns - f->delay_min_ns + 1);
}

static void launch(rt_sim_net *net, const rt_sim_datagram *model, const uint8_t *data)
{
    rt_sim_datagram *d =
        net->flight_count < RT_SIM_FLIGHT_MAX ? malloc(sizeof(*d) + model->len) : NULL;
    if (d == NULL) {
        net->dropped_count++;
        return;
    }
    *d = *model;
    memcpy(d->data, data, model->len);
    d->at = net->now + draw_delay(net);
    d->seq = net->next_seq++;
    if (rt_sim_net_chance(net, net->faults.corrupt_pm)) {
        uint64_t bit = quic_rng_u64(&net->rng) % ((uint64_t)d->len * 8);
        d->data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    flight_push(net, d);
}

static void hash_in(rt_sim_net *net, const void *data, size_t len)
{
    const uint8_t *p = (const uint8_t *)data;
    for (size_t i = 0; i < len; i++) {
        net->hash = (net->hash ^ p[i]) * FNV_PRIME;
    }
}

void rt_sim_net_send(rt_sim_net *net, const quic_addr *from, const quic_addr *to,
                     const uint8_t *data, uint32_t len, uint8_t ecn)
{
    rt_sim_datagram model;
    QURING_ASSERT(len > 0);
    memset(&model, 0, sizeof(model));
    model.from = *from;
    model.to = *to;
    model.len = len;
    model.ecn = ecn;
    net->sent_count++;
    hash_in(net, &net->now, sizeof(net->now));
    hash_in(net, &to->port, sizeof(to->port));
    hash_in(net, data, len);
    if (net->faults.blackout || rt_sim_net_chance(net, net->faults.drop_pm)) {
        net->dropped_count++;
        return;
    }
    if (ecn != 0 && rt_sim_net_chance(net, net->faults.ecn_ce_pm)) {
        model.ecn = 3; /* CE, RFC 3168 5 */
    }
    launch(net, &model, data);
    if (rt_sim_net_chance(net, net->faults.duplicate_pm)) {
        launch(net, &model, data);
    }
}

/* ---- time ---------------------------------------------------------------------------------- */

void rt_sim_net_advance(rt_sim_net *net, quic_ns now)
{
    QURING_ASSERT(now >= net->now);
    net->now = now;
    while (net->flight_count > 0 && net->flight[0]->at <= now) {
        rt_sim_datagram *d = flight_pop(net);
        rt_sim_port *port = find_port(net, d);
        if (port != NULL) {
            port_push(net, port, d);
        } else {
            net->dropped_count++;
            free(d);
        }
    }
}

quic_ns rt_sim_net_next(const rt_sim_net *net)
{
    quic_ns next = net->flight_count > 0 ? net->flight[0]->at : QUIC_NS_NEVER;
    for (uint32_t i = 0; i < net->port_count; i++) {
        if (net->ports[i].head != NULL || net->ports[i].due <= net->now) {
            return 0;
        }
        next = net->ports[i].due < next ? net->ports[i].due : next;
    }
    return next;
}

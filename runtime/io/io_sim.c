#include "runtime/io/io_sim.h"

#include <errno.h>
#include <stdlib.h>

#include "quic/base/check.h"
#include "runtime/io/sim_net.h"
#include "runtime/io/tx_arena.h"
#include "runtime/udp/sockaddr.h"

#define RX_BUF_BYTES 65536u
#define GRO_SEGS_MAX 64u

typedef struct rt_io_sim {
    rt_io base;
    rt_sim_net *net;
    rt_sim_port *ports[RT_IO_SOCKETS_MAX]; /* NULL: no socket */
    uint8_t *rx_mem;
    uint32_t rx_count;
    uint32_t rx_used;
    uint32_t rx_turn; /* socket to look at first */
    bool rx_starved;  /* no buffer until the next wait */
    uint64_t signals_seen;
    rt_tx_arena tx;
    rt_tx_list queue;
    quic_ns stalled_until; /* the device is full: the queue waits */
    rt_tx_list late;       /* sent, completion still out */
    quic_ns *late_at;      /* of each op, when its completion comes */
} rt_io_sim;

static rt_io_sim *of(rt_io *io)
{
    return (rt_io_sim *)io;
}

/* ---- sockets ------------------------------------------------------------------------------- */

static int sim_add_socket(rt_io *io, const rt_udp_socket *sock, uint32_t *out_index)
{
    rt_io_sim *s = of(io);
    uint32_t index = 0;
    while (index < RT_IO_SOCKETS_MAX && s->ports[index] != NULL) {
        index++;
    }
    if (index == RT_IO_SOCKETS_MAX) {
        return -EUSERS;
    }
    s->ports[index] = rt_sim_net_bind(s->net, io, index, sock);
    if (s->ports[index] == NULL) {
        return -EUSERS;
    }
    *out_index = index;
    return 0;
}

static void sim_flush(rt_io *io);

static void sim_remove_socket(rt_io *io, uint32_t index)
{
    rt_io_sim *s = of(io);
    QURING_ASSERT(index < RT_IO_SOCKETS_MAX && s->ports[index] != NULL);
    sim_flush(io);
    rt_sim_net_unbind(s->ports[index]);
    s->ports[index] = NULL;
}

/* ---- receive ------------------------------------------------------------------------------- */

/* May `d` join the unit so far? Equal segments, and a shorter one only at the end. */
static bool joins(const quic_rx_unit *unit, uint32_t segs, const rt_sim_datagram *d)
{
    return segs < GRO_SEGS_MAX && unit->len == segs * unit->seg_len && d->len <= unit->seg_len &&
           unit->len + d->len <= RT_IO_UNIT_BYTES_MAX && d->ecn == unit->ecn &&
           quic_addr_equal(&d->from, &unit->path.remote) &&
           quic_addr_equal(&d->to, &unit->path.local);
}

static void fill_unit(rt_io_sim *s, rt_sim_port *port, quic_rx_unit *out)
{
    uint32_t segs_max = rt_sim_net_chance(s->net, s->net->faults.rx_split_pm) ? 1 : GRO_SEGS_MAX;
    uint32_t segs = 0;
    memset(out, 0, sizeof(*out));
    out->data = s->rx_mem + (size_t)s->rx_used++ * RX_BUF_BYTES;
    while (port->head != NULL && segs < segs_max) {
        const rt_sim_datagram *first = port->head;
        if (segs == 0) {
            out->seg_len = first->len;
            out->ecn = first->ecn;
            out->path.remote = first->from;
            out->path.local = first->to;
            out->path.socket = port->index;
        } else if (!joins(out, segs, first)) {
            break;
        }
        rt_sim_datagram *d = rt_sim_port_pop(port);
        memcpy(out->data + out->len, d->data, d->len);
        out->len += d->len;
        segs++;
        free(d);
    }
    s->base.stats.rx_units++;
}

static bool sim_next_rx(rt_io *io, quic_rx_unit *out)
{
    rt_io_sim *s = of(io);
    if (s->rx_starved) {
        return false;
    }
    for (uint32_t i = 0; i < RT_IO_SOCKETS_MAX; i++) {
        rt_sim_port *port = s->ports[(s->rx_turn + i) % RT_IO_SOCKETS_MAX];
        if (port == NULL || port->head == NULL) {
            continue;
        }
        if (s->rx_used == s->rx_count) {
            io->stats.rx_nobufs++;
            return false;
        }
        s->rx_turn = port->index + 1;
        fill_unit(s, port, out);
        return true;
    }
    return false;
}

static void sim_release_rx(rt_io *io)
{
    of(io)->rx_used = 0;
}

static bool has_rx(const rt_io_sim *s)
{
    for (uint32_t i = 0; i < RT_IO_SOCKETS_MAX; i++) {
        if (s->ports[i] != NULL && s->ports[i]->head != NULL) {
            return true;
        }
    }
    return false;
}

/* ---- send ---------------------------------------------------------------------------------- */

static bool sim_tx_buf(rt_io *io, quic_tx_unit *out, uint32_t min_room)
{
    return rt_tx_arena_buf(&of(io)->tx, out, min_room);
}

static void sim_tx_submit(rt_io *io, const quic_tx_unit *unit)
{
    rt_io_sim *s = of(io);
    rt_tx_op *op = rt_tx_arena_take(&s->tx, unit);
    uint32_t index = unit->path.socket;
    if (index >= RT_IO_SOCKETS_MAX || s->ports[index] == NULL) {
        io->stats.tx_errors++;
        rt_tx_arena_done(&s->tx, op);
        return;
    }
    rt_tx_list_push(&s->queue, &s->tx, op);
}

/* Tells the network when this back end has to be asked again. */
static void set_due(rt_io_sim *s)
{
    quic_ns due = rt_tx_list_is_empty(&s->queue) ? QUIC_NS_NEVER : s->stalled_until;
    for (uint32_t i = s->late.head; i != RT_TX_OP_NONE; i = s->tx.ops[i].next) {
        due = s->late_at[i] < due ? s->late_at[i] : due;
    }
    for (uint32_t i = 0; i < RT_IO_SOCKETS_MAX; i++) {
        if (s->ports[i] != NULL) {
            s->ports[i]->due = due;
        }
    }
}

/* False: the device took a part, perhaps nothing; op->iov is what is left. */
static bool transmit(rt_io_sim *s, rt_tx_op *op)
{
    const rt_sim_faults *f = &s->net->faults;
    const rt_sim_port *port = s->ports[op->path.socket];
    if (rt_sim_net_chance(s->net, f->tx_refused_pm)) {
        s->base.stats.syscalls++;
    }
    if (port == NULL || rt_sim_net_chance(s->net, f->tx_error_pm)) {
        s->base.stats.tx_errors++;
        return true;
    }
    if (f->mtu_bytes > 0 && op->seg_len > f->mtu_bytes) {
        rt_io_note_failure(&s->base, &op->path, op->conn, op->seg_len);
        return true;
    }
    if (op->iov.iov_len > op->seg_len && rt_sim_net_chance(s->net, f->gso_refuse_pm)) {
        s->base.stats.gso_fallbacks++;
    }
    quic_addr from = rt_addr_is_any(&op->path.local) ? port->local : op->path.local;
    from.port = port->local.port;
    while (op->iov.iov_len > 0) {
        if (rt_sim_net_chance(s->net, f->tx_again_pm)) {
            s->base.stats.tx_again++;
            return false;
        }
        uint32_t left = (uint32_t)op->iov.iov_len;
        uint32_t len = left < op->seg_len ? left : op->seg_len;
        rt_sim_net_send(s->net, &from, &op->path.remote, op->iov.iov_base, len, op->ecn);
        op->iov.iov_base = (uint8_t *)op->iov.iov_base + len;
        op->iov.iov_len -= len;
    }
    s->base.stats.tx_units++;
    return true;
}

static void complete(rt_io_sim *s, rt_tx_op *op)
{
    if (!rt_sim_net_chance(s->net, s->net->faults.completion_pm)) {
        rt_tx_arena_done(&s->tx, op);
        return;
    }
    s->late_at[rt_tx_arena_index(&s->tx, op)] =
        s->net->now + rt_sim_net_draw(s->net, s->net->faults.delay_max_ns);
    rt_tx_list_push(&s->late, &s->tx, op);
}

static void sim_flush(rt_io *io)
{
    rt_io_sim *s = of(io);
    rt_tx_list waiting = s->queue;
    if (s->net->now < s->stalled_until) {
        return;
    }
    rt_tx_list_init(&s->queue);
    for (rt_tx_op *op; (op = rt_tx_list_pop(&waiting, &s->tx)) != NULL;) {
        if (s->net->now < s->stalled_until) {
            rt_tx_list_push(&s->queue, &s->tx, op); /* order is kept */
            continue;
        }
        io->stats.syscalls++;
        if (transmit(s, op)) {
            complete(s, op);
            continue;
        }
        s->stalled_until = s->net->now + rt_sim_net_draw(s->net, s->net->faults.delay_max_ns);
        rt_tx_list_push(&s->queue, &s->tx, op);
    }
    set_due(s);
}

static unsigned complete_late(rt_io_sim *s)
{
    unsigned found = 0;
    rt_tx_list waiting = s->late;
    rt_tx_list_init(&s->late);
    for (rt_tx_op *op; (op = rt_tx_list_pop(&waiting, &s->tx)) != NULL;) {
        if (s->net->now < s->late_at[rt_tx_arena_index(&s->tx, op)]) {
            rt_tx_list_push(&s->late, &s->tx, op);
            continue;
        }
        rt_tx_arena_done(&s->tx, op);
        found = RT_IO_TX;
    }
    set_due(s);
    return found;
}

static unsigned sim_wait(rt_io *io, quic_ns now, quic_ns deadline)
{
    rt_io_sim *s = of(io);
    (void)now;
    (void)deadline; /* the test owns the clock */
    sim_flush(io);
    unsigned found = complete_late(s);
    uint64_t signals = rt_wake_count(&io->wake);
    if (signals != s->signals_seen) {
        s->signals_seen = signals;
        found |= RT_IO_WAKE;
    }
    s->rx_starved = rt_sim_net_chance(s->net, s->net->faults.rx_nobufs_pm);
    if (s->rx_starved) {
        io->stats.rx_nobufs++;
    } else if (has_rx(s)) {
        found |= RT_IO_RX;
    }
    return found;
}

/* ---- life ---------------------------------------------------------------------------------- */

static void sim_destroy(rt_io *io)
{
    rt_io_sim *s = of(io);
    for (uint32_t i = 0; i < RT_IO_SOCKETS_MAX; i++) {
        if (s->ports[i] != NULL) {
            rt_sim_net_unbind(s->ports[i]);
        }
    }
    rt_tx_arena_deinit(&s->tx);
    free(s->late_at);
    free(s->rx_mem);
    free(s);
}

static const rt_io_ops sim_ops = {
    .name = "sim",
    .destroy = sim_destroy,
    .add_socket = sim_add_socket,
    .remove_socket = sim_remove_socket,
    .next_rx = sim_next_rx,
    .release_rx = sim_release_rx,
    .tx_buf = sim_tx_buf,
    .tx_submit = sim_tx_submit,
    .flush = sim_flush,
    .wait = sim_wait,
};

uint32_t rt_io_sim_tx_in_flight(const rt_io *io)
{
    return ((const rt_io_sim *)io)->tx.in_flight;
}

rt_io *rt_io_sim_create(rt_sim_net *net, const rt_io_config *config)
{
    rt_io_sim *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }
    s->base.ops = &sim_ops;
    s->base.gso = config->gso;
    (void)rt_wake_init(&s->base.wake, true);
    s->net = net;
    s->rx_count = config->rx_buf_count;
    s->base.rx_units_max = s->rx_count;
    s->rx_mem = malloc((size_t)s->rx_count * RX_BUF_BYTES);
    s->late_at = calloc(config->tx_op_count, sizeof(*s->late_at));
    rt_tx_list_init(&s->queue);
    rt_tx_list_init(&s->late);
    if (s->rx_mem == NULL || s->late_at == NULL ||
        !rt_tx_arena_init(&s->tx, config->tx_slot_count, config->tx_op_count)) {
        sim_destroy(&s->base);
        return NULL;
    }
    return &s->base;
}

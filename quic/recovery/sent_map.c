#include "quic/recovery/sent_map.h"

#include "quic/base/check.h"

_Static_assert(sizeof(quic_sent_packet) == 64, "one cache line per sent packet");
_Static_assert(sizeof(quic_sent_node) == 32, "two records per cache line");

#define RING_CAP_MIN     16u
#define NODE_CAP_MIN     16u
#define KEEP_CAP_MAX     256u /* an empty map keeps arrays up to this size: no churn per request */
#define NODES_PER_PACKET 8u   /* bound of the pool, relative to packets_max */

static void free_ring(quic_sent_map *map)
{
    quic_mem_free(map->mem, map->ring, (size_t)map->cap * sizeof(*map->ring));
    map->ring = NULL;
    map->cap = 0;
}

static void free_nodes(quic_sent_map *map)
{
    quic_mem_free(map->mem, map->nodes, (size_t)map->node_cap * sizeof(*map->nodes));
    map->nodes = NULL;
    map->node_cap = 0;
    map->node_free = 0;
    map->node_free_count = 0;
}

void quic_sent_map_init(quic_sent_map *map, quic_mem *mem, uint32_t packets_max)
{
    QURING_ASSERT(packets_max >= RING_CAP_MIN && packets_max <= 1u << 20);
    QURING_ASSERT((packets_max & (packets_max - 1)) == 0);
    memset(map, 0, sizeof(*map));
    map->mem = mem;
    map->packets_max = packets_max;
}

void quic_sent_map_deinit(quic_sent_map *map)
{
    quic_sent_map_clear(map);
}

void quic_sent_map_clear(quic_sent_map *map)
{
    free_ring(map);
    free_nodes(map);
    map->base_pn = map->next_pn;
    map->scan_pn = map->next_pn;
    map->jumped = true;
    map->in_flight_bytes = 0;
    map->in_flight_count = 0;
    map->eliciting_count = 0;
    map->lost_count = 0;
    map->open = false;
}

/* ---- room ------------------------------------------------------------------------------------- */

/* Frees the front of a full ring from packets nobody waits for: those that are not in flight and, with
 * `also_lost`, those remembered only to recognise a spurious loss. */
static void drop_front(quic_sent_map *map, bool also_lost)
{
    uint64_t half = map->next_pn - map->cap / 2;
    while (map->base_pn < map->next_pn) {
        quic_sent_packet *packet = quic_sent_map_slot(map, map->base_pn);
        if (packet->state != QUIC_SENT_FREE) {
            bool idle = packet->state == QUIC_SENT_OUTSTANDING &&
                        (packet->flags & QUIC_SENT_IN_FLIGHT) == 0 && map->base_pn < half;
            bool old = also_lost && packet->state == QUIC_SENT_LOST &&
                       (packet->flags & QUIC_SENT_LOSS_PENDING) == 0;
            if (!idle && !old) {
                break;
            }
            quic_sent_map_free_packet(map, packet, map->base_pn);
        }
        map->base_pn++;
    }
    if (map->scan_pn < map->base_pn) {
        map->scan_pn = map->base_pn;
        map->jumped = true;
    }
}

static quic_rc grow_ring(quic_sent_map *map, uint64_t wanted)
{
    uint32_t cap = map->cap == 0 ? RING_CAP_MIN : map->cap;
    while (cap < wanted) {
        cap *= cap < 256 ? 4 : 2; /* small rings pass their sizes quickly */
    }
    if (cap > map->packets_max) {
        cap = map->packets_max;
    }
    quic_sent_packet *ring = quic_mem_alloc(map->mem, (size_t)cap * sizeof(*ring));
    if (ring == NULL) {
        return QUIC_E_NOMEM;
    }
    for (uint64_t pn = map->base_pn; pn < map->next_pn; pn++) {
        ring[pn & (cap - 1)] = *quic_sent_map_slot(map, pn);
    }
    free_ring(map);
    map->ring = ring;
    map->cap = cap;
    return QUIC_OK;
}

/* Makes sure that the next packet has a place in the ring. */
static quic_rc make_room(quic_sent_map *map)
{
    uint64_t wanted = map->next_pn - map->base_pn + 1;
    if (QUIC_LIKELY(wanted <= map->cap)) {
        return QUIC_OK;
    }
    if (map->cap > 0) {
        drop_front(map, wanted > map->packets_max);
        wanted = map->next_pn - map->base_pn + 1;
    }
    if (wanted <= map->cap) {
        return QUIC_OK;
    }
    return wanted > map->packets_max ? QUIC_E_LIMIT : grow_ring(map, wanted);
}

/* Makes sure that one more record has a place among the nodes. */
static quic_rc make_node_room(quic_sent_map *map)
{
    if (QUIC_LIKELY(map->node_free_count > 0)) {
        return QUIC_OK;
    }
    uint64_t cap = map->node_cap == 0 ? NODE_CAP_MIN : 2ull * map->node_cap;
    if (cap > (uint64_t)map->packets_max * NODES_PER_PACKET) {
        return QUIC_E_LIMIT;
    }
    quic_sent_node *nodes = quic_mem_alloc(map->mem, (size_t)cap * sizeof(*nodes));
    if (nodes == NULL) {
        return QUIC_E_NOMEM;
    }
    uint32_t first = map->node_cap == 0 ? 1 : map->node_cap;
    if (map->node_cap > 0) {
        memcpy(nodes, map->nodes, (size_t)map->node_cap * sizeof(*nodes));
    }
    quic_mem_free(map->mem, map->nodes, (size_t)map->node_cap * sizeof(*nodes));
    for (uint32_t i = (uint32_t)cap - 1; i >= first; i--) {
        nodes[i].next = map->node_free;
        map->node_free = i;
    }
    map->node_free_count += (uint32_t)cap - first;
    map->nodes = nodes;
    map->node_cap = (uint32_t)cap;
    return QUIC_OK;
}

/* ---- building a packet ------------------------------------------------------------------------- */

quic_sent_packet *quic_sent_map_add(quic_sent_map *map, uint64_t pn)
{
    QURING_ASSERT(pn == map->next_pn && !map->open);
    if (QUIC_UNLIKELY(pn - map->base_pn >= map->cap) && make_room(map) != QUIC_OK) {
        return NULL;
    }
    quic_sent_packet *packet = quic_sent_map_slot(map, pn);
    packet->pn = pn;
    packet->next_frame = 0;
    packet->flags = 0;
    packet->state = QUIC_SENT_OPEN;
    map->open = true;
    quic_sent_map_fetch(map, pn + QUIC_SENT_FETCH_AHEAD);
    return packet;
}

static void free_chain(quic_sent_map *map, quic_sent_packet *packet)
{
    uint32_t i = packet->next_frame;
    while (i != 0) {
        uint32_t next = map->nodes[i].next;
        map->nodes[i].next = map->node_free;
        map->node_free = i;
        map->node_free_count++;
        i = next;
    }
    packet->next_frame = 0;
}

void quic_sent_map_cancel(quic_sent_map *map, quic_sent_packet *packet)
{
    QURING_ASSERT(map->open && packet->state == QUIC_SENT_OPEN);
    free_chain(map, packet);
    packet->state = QUIC_SENT_FREE;
    map->open = false;
}

quic_rc quic_sent_packet_add_more(quic_sent_map *map, quic_sent_packet *packet,
                                  const quic_sent_frame *frame)
{
    QURING_ASSERT(packet->state == QUIC_SENT_OPEN);
    if (make_node_room(map) != QUIC_OK) {
        return QUIC_E_NOMEM;
    }
    uint32_t index = map->node_free;
    quic_sent_node *node = &map->nodes[index];
    map->node_free = node->next;
    map->node_free_count--;
    node->frame = *frame;
    node->next = 0;
    if (packet->next_frame == 0) {
        packet->next_frame = index;
    } else {
        map->nodes[packet->delivered_low].next = index;
    }
    packet->delivered_low = index; /* a chain may have hundreds: of answers of a byte each */
    return QUIC_OK;
}

bool quic_sent_map_skip(quic_sent_map *map, uint64_t pn)
{
    QURING_ASSERT(pn == map->next_pn && !map->open);
    if (make_room(map) != QUIC_OK) {
        return false;
    }
    quic_sent_packet *packet = quic_sent_map_slot(map, pn);
    packet->pn = pn;
    packet->state = QUIC_SENT_FREE;
    packet->flags = 0;
    packet->next_frame = 0;
    map->next_pn++;
    map->skips[map->skip_count++ % QUIC_SENT_SKIPS_MAX] = pn;
    return true;
}

bool quic_sent_map_has_skipped(const quic_sent_map *map, uint64_t lo, uint64_t hi)
{
    if (map->skip_count == 0 || lo > map->skips[(map->skip_count - 1) % QUIC_SENT_SKIPS_MAX]) {
        return false; /* the usual case: behind the newest of them */
    }
    uint32_t n = map->skip_count < QUIC_SENT_SKIPS_MAX ? map->skip_count : QUIC_SENT_SKIPS_MAX;
    for (uint32_t i = 0; i < n; i++) {
        if (map->skips[i] >= lo && map->skips[i] <= hi) {
            return true;
        }
    }
    return false;
}

/* ---- life of a packet --------------------------------------------------------------------------- */

void quic_sent_map_commit(quic_sent_map *map, quic_sent_packet *packet)
{
    QURING_ASSERT(map->open && packet->state == QUIC_SENT_OPEN && packet->pn == map->next_pn);
    packet->state = QUIC_SENT_OUTSTANDING;
    map->open = false;
    map->next_pn++;
    if ((packet->flags & QUIC_SENT_IN_FLIGHT) != 0) {
        map->in_flight_bytes += packet->bytes;
        map->in_flight_count++;
    }
    if ((packet->flags & QUIC_SENT_ACK_ELICITING) != 0) {
        map->eliciting_count++;
    }
}

/* The packet is outstanding no longer. */
static void leave_flight(quic_sent_map *map, const quic_sent_packet *packet)
{
    if ((packet->flags & QUIC_SENT_IN_FLIGHT) != 0) {
        QURING_ASSERT(map->in_flight_bytes >= packet->bytes && map->in_flight_count > 0);
        map->in_flight_bytes -= packet->bytes;
        map->in_flight_count--;
    }
    if ((packet->flags & QUIC_SENT_ACK_ELICITING) != 0) {
        map->eliciting_count--;
    }
}

void quic_sent_map_free_packet(quic_sent_map *map, quic_sent_packet *packet, uint64_t run_lo)
{
    QURING_ASSERT(run_lo <= packet->pn);
    if (packet->state == QUIC_SENT_OUTSTANDING) {
        leave_flight(map, packet);
    } else {
        QURING_ASSERT(packet->state == QUIC_SENT_LOST && map->lost_count > 0);
        map->lost_count--;
    }
    if (packet->next_frame != 0) {
        free_chain(map, packet);
    }
    packet->state = QUIC_SENT_FREE;
    packet->pn = run_lo;
}

void quic_sent_map_set_lost(quic_sent_map *map, quic_sent_packet *packet)
{
    QURING_ASSERT(packet->state == QUIC_SENT_OUTSTANDING);
    leave_flight(map, packet);
    packet->state = QUIC_SENT_LOST;
    map->lost_count++;
}

quic_sent_packet *quic_sent_map_find_down(quic_sent_map *map, uint64_t lo, uint64_t hi)
{
    if (lo < map->base_pn) {
        lo = map->base_pn;
    }
    if (hi >= map->next_pn) {
        hi = map->next_pn == 0 ? 0 : map->next_pn - 1;
    }
    if (map->base_pn == map->next_pn || hi < lo) {
        return NULL;
    }
    uint64_t pn = hi;
    for (;;) {
        quic_sent_packet *slot = quic_sent_map_slot(map, pn);
        if (slot->state >= QUIC_SENT_OUTSTANDING) {
            quic_sent_map_fetch(map, pn - QUIC_SENT_FETCH_AHEAD);
            return slot;
        }
        uint64_t run = slot->pn; /* run..pn is free */
        if (run <= lo) {
            return NULL;
        }
        /* Path halving: runs that touch become one, so that no walk is repeated. */
        const quic_sent_packet *below = quic_sent_map_slot(map, run - 1);
        if (below->state == QUIC_SENT_FREE) {
            slot->pn = below->pn;
        }
        pn = run - 1;
    }
}

void quic_sent_map_prune(quic_sent_map *map, quic_ns forget_before_ns)
{
    while (map->base_pn < map->next_pn) {
        quic_sent_packet *packet = quic_sent_map_slot(map, map->base_pn);
        if (packet->state == QUIC_SENT_LOST && packet->sent_ns < forget_before_ns &&
            (packet->flags & QUIC_SENT_LOSS_PENDING) == 0) {
            quic_sent_map_free_packet(map, packet, map->base_pn);
        }
        if (packet->state != QUIC_SENT_FREE) {
            break;
        }
        map->base_pn++;
    }
    if (map->scan_pn < map->base_pn) {
        map->scan_pn = map->base_pn;
        map->jumped = true;
    }
    if (map->base_pn == map->next_pn && !map->open) {
        if (map->cap > KEEP_CAP_MAX) {
            free_ring(map);
        }
        if (map->node_cap > KEEP_CAP_MAX) {
            free_nodes(map);
        }
    }
}

void quic_sent_map_check(const quic_sent_map *map)
{
    uint64_t bytes = 0;
    uint32_t in_flight = 0, eliciting = 0, lost = 0, nodes = 0;
    QURING_ASSERT(map->base_pn <= map->scan_pn && map->scan_pn <= map->next_pn);
    QURING_ASSERT(map->next_pn - map->base_pn <= map->cap && map->cap <= map->packets_max);
    for (uint64_t pn = map->base_pn; pn < map->next_pn + (map->open ? 1 : 0); pn++) {
        const quic_sent_packet *packet = quic_sent_map_slot(map, pn);
        if (packet->state == QUIC_SENT_FREE) {
            QURING_ASSERT(packet->pn <= pn);
            continue;
        }
        QURING_ASSERT(packet->pn == pn);
        for (uint32_t i = packet->next_frame; i != 0; i = map->nodes[i].next) {
            nodes++;
        }
        if (packet->state == QUIC_SENT_OUTSTANDING) {
            QURING_ASSERT(pn >= map->scan_pn || (packet->flags & QUIC_SENT_IN_FLIGHT) == 0);
            bool flies = (packet->flags & QUIC_SENT_IN_FLIGHT) != 0;
            bytes += flies ? packet->bytes : 0;
            in_flight += flies;
            eliciting += (packet->flags & QUIC_SENT_ACK_ELICITING) != 0;
        }
        lost += packet->state == QUIC_SENT_LOST;
    }
    QURING_ASSERT(bytes == map->in_flight_bytes && in_flight == map->in_flight_count);
    QURING_ASSERT(eliciting == map->eliciting_count && lost == map->lost_count);
    QURING_ASSERT(map->node_cap == 0 || nodes + map->node_free_count + 1 == map->node_cap);
}

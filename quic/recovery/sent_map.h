/* quic/recovery/sent_map.h: the sent packets of one packet number space and what each carried.
 *
 * Shape:  a power-of-two ring of packets indexed by packet number, from the oldest one remembered to
 *         the next to be sent. It grows with the packets in flight, never beyond `packets_max`, and
 *         holds no memory before the first packet or after a trim. The first frame record of a packet
 *         lies inside it, further ones in a pool with a free list. A run of packets that are done is
 *         passed in one step, so that an ACK costs what it newly acknowledges.
 * Owner:  the quic_recovery that embeds it.
 * Spec:   RFC 9002 A.1; RFC 9000 21.4 (skipped numbers against optimistic acknowledgements).
 */
#ifndef QUIC_RECOVERY_SENT_MAP_H
#define QUIC_RECOVERY_SENT_MAP_H

#include "quic/base/check.h"
#include "quic/base/mem.h"
#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_PN_NONE UINT64_MAX /* no packet number */

/* What one frame of a sent packet was, in the caller's terms; nothing here looks inside. */
typedef struct quic_sent_frame {
    uint8_t kind;
    uint8_t flags;
    uint16_t aux;
    uint32_t len;
    uint64_t id;
    uint64_t off;
} quic_sent_frame;

typedef enum quic_sent_state {
    QUIC_SENT_FREE = 0,    /* acknowledged, forgotten or never used */
    QUIC_SENT_OPEN,        /* being built: added, not yet sent */
    QUIC_SENT_OUTSTANDING, /* sent, no news */
    QUIC_SENT_LOST,        /* declared lost, remembered in case it is acknowledged late */
} quic_sent_state;

enum { /* quic_sent_packet.flags */
       QUIC_SENT_ACK_ELICITING = 1u << 0,
       QUIC_SENT_IN_FLIGHT = 1u << 1,
       QUIC_SENT_ECT0 = 1u << 2,        /* left with an ECT(0) mark */
       QUIC_SENT_APP_LIMITED = 1u << 3, /* the sender had no more to send */
       QUIC_SENT_MTU_PROBE = 1u << 4,   /* its loss is no sign of congestion, RFC 9000 14.4 */
       QUIC_SENT_PROBED = 1u << 5, /* a probe already carried its frames again: if it is lost now,
                                        there is nothing to repeat */
       QUIC_SENT_HAS_FRAME = 1u << 6,   /* `frame` is in use */
       QUIC_SENT_LOSS_PENDING = 1u << 7 /* lost, not yet given out by quic_recovery_next_lost */
};

typedef struct quic_sent_packet {
    uint64_t pn; /* of a free slot: start of a run of free ones that ends here */
    quic_ns sent_ns;
    quic_sent_frame frame; /* the first record, with QUIC_SENT_HAS_FRAME */
    /* The connection when this left, for delivery rates: quic_recovery_on_sent. */
    uint32_t delivered_low;  /* acknowledged ever, the low 32 bits; if open: end of the chain */
    uint32_t lost_low;       /* declared lost ever, the low 32 bits */
    uint32_t delivered_ago;  /* the last of it was acknowledged so long before, in 16 ns */
    uint16_t first_sent_ago; /* and had left so long before, in ns, as quic_float16 */
    uint16_t tx_in_flight;   /* in flight, this one included, as quic_float16 */
    uint32_t next_frame;     /* chain of further records; 0 = none */
    uint16_t bytes;          /* UDP payload bytes it takes */
    uint8_t state;           /* quic_sent_state */
    uint8_t flags;
} quic_sent_packet;

typedef struct quic_sent_node {
    quic_sent_frame frame;
    uint32_t next;
    uint32_t pad;
} quic_sent_node;

#define QUIC_SENT_SKIPS_MAX 8u
/* Packets are added and acknowledged in long runs. With many connections the near caches hold the records of
 * others by then: the one that is so much further on comes while this one is worked on. */
#define QUIC_SENT_FETCH_AHEAD 8u

typedef struct quic_sent_map {
    quic_mem *mem;
    quic_sent_packet *ring;
    uint32_t cap; /* 0 or a power of two */
    uint32_t packets_max;
    uint64_t base_pn; /* everything below is forgotten */
    uint64_t next_pn; /* the next to be added */
    uint64_t scan_pn; /* nothing in flight below this one is outstanding */

    uint64_t in_flight_bytes;
    uint32_t in_flight_count; /* outstanding packets that count as in flight */
    uint32_t eliciting_count; /* outstanding packets that are ack-eliciting */
    uint32_t lost_count;      /* lost ones still remembered */

    uint32_t node_cap;
    uint32_t node_free; /* first free node; 0 = none */
    uint32_t node_free_count;
    quic_sent_node *nodes; /* nodes[0] is never used */

    uint64_t skips[QUIC_SENT_SKIPS_MAX]; /* numbers skipped on purpose, newest few */
    uint32_t skip_count;                 /* skipped ever */
    bool open;                           /* a packet is being built in the slot of next_pn */
    bool jumped; /* room was made beyond scan_pn: nobody has looked at what was between */
} quic_sent_map;

/* quic_sent_map_init makes an empty map over `mem` (kept) that never tracks more than `packets_max`
 * (a power of two, 16..2^20) packet numbers at once. Allocates nothing.
 * quic_sent_map_deinit frees everything; the map may be initialised again. */
void quic_sent_map_init(quic_sent_map *map, quic_mem *mem, uint32_t packets_max);
void quic_sent_map_deinit(quic_sent_map *map);

/* quic_sent_map_next_pn: the number the next packet of this space takes. */
static inline uint64_t quic_sent_map_next_pn(const quic_sent_map *map)
{
    return map->next_pn;
}

/* quic_sent_map_add opens packet `pn`, which must be quic_sent_map_next_pn: add its frame records, then
 * quic_recovery_on_sent it or quic_sent_map_cancel it. One packet may be open at a time.
 * Returns NULL when packets_max are tracked or memory is refused. The pointer is valid until the next
 * quic_sent_map_add or _skip. */
quic_sent_packet *quic_sent_map_add(quic_sent_map *map, uint64_t pn);

/* quic_sent_map_room: so many packets can be added without more memory. None may be open. */
static inline uint64_t quic_sent_map_room(const quic_sent_map *map)
{
    return map->cap - (map->next_pn - map->base_pn);
}

/* quic_sent_map_cancel takes the open packet back; its number is the next one again. */
void quic_sent_map_cancel(quic_sent_map *map, quic_sent_packet *packet);

/* quic_sent_map_skip leaves out the next number on purpose: nobody may acknowledge it. Returns false,
 * and skips nothing, when there is no room. */
bool quic_sent_map_skip(quic_sent_map *map, uint64_t pn);

/* quic_sent_map_has_skipped: whether one of the last QUIC_SENT_SKIPS_MAX skipped numbers lies in
 * lo..hi. */
bool quic_sent_map_has_skipped(const quic_sent_map *map, uint64_t lo, uint64_t hi);

/* quic_sent_packet_add_more is quic_sent_packet_add_frame for every record but the first. */
quic_rc quic_sent_packet_add_more(quic_sent_map *map, quic_sent_packet *packet,
                                  const quic_sent_frame *frame);

/* quic_sent_packet_add_frame appends one record (copied) to the open packet.
 * Returns QUIC_OK; QUIC_E_NOMEM. */
static inline quic_rc quic_sent_packet_add_frame(quic_sent_map *map, quic_sent_packet *packet,
                                                 const quic_sent_frame *frame)
{
    if (QUIC_LIKELY((packet->flags & QUIC_SENT_HAS_FRAME) == 0)) {
        /* Field by field: the record is in registers, and a copy as a whole would wait for their stores. */
        packet->frame.kind = frame->kind;
        packet->frame.flags = frame->flags;
        packet->frame.aux = frame->aux;
        packet->frame.len = frame->len;
        packet->frame.id = frame->id;
        packet->frame.off = frame->off;
        packet->flags |= QUIC_SENT_HAS_FRAME;
        return QUIC_OK;
    }
    return quic_sent_packet_add_more(map, packet, frame);
}

typedef struct quic_sent_frame_iter {
    uint32_t next; /* node to give next */
    bool started;
} quic_sent_frame_iter;

/* quic_sent_frame_next gives the packet's records in the order they were added, NULL at the end.
 * `iter` starts as {0}. */
static inline const quic_sent_frame *quic_sent_frame_next(const quic_sent_map *map,
                                                          const quic_sent_packet *packet,
                                                          quic_sent_frame_iter *iter)
{
    if (!iter->started) {
        iter->started = true;
        iter->next = packet->next_frame;
        return (packet->flags & QUIC_SENT_HAS_FRAME) != 0 ? &packet->frame : NULL;
    }
    if (iter->next == 0) {
        return NULL;
    }
    const quic_sent_node *node = &map->nodes[iter->next];
    iter->next = node->next;
    return &node->frame;
}

/* quic_sent_map_slot gives the place of packet `pn`, whatever is there. Not of a map without memory. */
static inline quic_sent_packet *quic_sent_map_slot(const quic_sent_map *map, uint64_t pn)
{
    return &map->ring[pn & (map->cap - 1)];
}

static inline void quic_sent_map_fetch(const quic_sent_map *map, uint64_t pn)
{
    __builtin_prefetch(quic_sent_map_slot(map, pn), 1);
}

/* quic_sent_map_find gives packet `pn` when it is outstanding or lost, else NULL. */
static inline quic_sent_packet *quic_sent_map_find(const quic_sent_map *map, uint64_t pn)
{
    if (pn < map->base_pn || pn >= map->next_pn) {
        return NULL;
    }
    quic_sent_packet *packet = quic_sent_map_slot(map, pn);
    return packet->state >= QUIC_SENT_OUTSTANDING ? packet : NULL;
}

/* ---- for quic/recovery/loss.c ----------------------------------------------------------------- */

/* quic_sent_map_commit turns the open packet into an outstanding one; bytes, flags and sent_ns are
 * set by then. */
void quic_sent_map_commit(quic_sent_map *map, quic_sent_packet *packet);

/* quic_sent_map_taken: `count` outstanding packets in flight, ack-eliciting and of `bytes` in all, are free now. */
static inline void quic_sent_map_taken(quic_sent_map *map, uint64_t bytes, uint32_t count)
{
    QURING_ASSERT(map->in_flight_bytes >= bytes && map->in_flight_count >= count);
    map->in_flight_bytes -= bytes;
    map->in_flight_count -= count;
    map->eliciting_count -= count;
}

/* quic_sent_map_put makes a sent packet like `like`, whose state and records are set, of the next number, and gives
 * it. Within quic_sent_map_room. quic_sent_map_put_done ends a run of `count` of them. */
static inline quic_sent_packet *quic_sent_map_put(quic_sent_map *map, const quic_sent_packet *like)
{
    const uint64_t pn = map->next_pn++;
    quic_sent_packet *packet = quic_sent_map_slot(map, pn);
    *packet = *like;
    packet->pn = pn;
    quic_sent_map_fetch(map, pn + QUIC_SENT_FETCH_AHEAD);
    return packet;
}

static inline void quic_sent_map_put_done(quic_sent_map *map, const quic_sent_packet *like,
                                          uint32_t count)
{
    if ((like->flags & QUIC_SENT_IN_FLIGHT) != 0) {
        map->in_flight_bytes += (uint64_t)count * like->bytes;
        map->in_flight_count += count;
    }
    map->eliciting_count += (like->flags & QUIC_SENT_ACK_ELICITING) != 0 ? count : 0;
}

/* quic_sent_map_find_down gives the highest packet in lo..hi that is outstanding or lost, NULL when
 * there is none. Cost: constant, amortised over the packets ever sent. */
quic_sent_packet *quic_sent_map_find_down(quic_sent_map *map, uint64_t lo, uint64_t hi);

/* quic_sent_map_free_packet ends `packet` (outstanding or lost) and gives back its records. The caller
 * vouches that every packet in run_lo..pn is done by the time another lookup happens; pn itself when it
 * knows of no run. The sums of the map are kept. */
void quic_sent_map_free_packet(quic_sent_map *map, quic_sent_packet *packet, uint64_t run_lo);

/* quic_sent_map_end_run: every packet in lo..hi is done; what starts there moves behind it. */
static inline void quic_sent_map_end_run(quic_sent_map *map, uint64_t lo, uint64_t hi)
{
    uint64_t end = hi < map->next_pn ? hi + 1 : map->next_pn;
    if (lo <= map->base_pn && end > map->base_pn) {
        map->base_pn = end;
    }
    if (lo <= map->scan_pn && end > map->scan_pn) {
        map->scan_pn = end;
    }
}

/* quic_sent_map_set_lost turns an outstanding packet into a lost one; the sums follow. */
void quic_sent_map_set_lost(quic_sent_map *map, quic_sent_packet *packet);

/* quic_sent_map_prune moves base_pn over what is done, and over lost packets sent before
 * `forget_before_ns`; a map that became empty gives back a large ring. */
void quic_sent_map_prune(quic_sent_map *map, quic_ns forget_before_ns);

/* quic_sent_map_clear forgets every packet, sums and records; numbers go on where they were. Frees
 * all memory. */
void quic_sent_map_clear(quic_sent_map *map);

/* quic_sent_map_check asserts that sums, states and chains fit together. Cost: the whole ring. */
void quic_sent_map_check(const quic_sent_map *map);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_RECOVERY_SENT_MAP_H */

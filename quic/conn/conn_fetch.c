/* What a turn of a connection touches, asked of memory before the turn comes. Nothing here decides anything. */
#include "quic/conn/conn_internal.h"

#define CACHE_LINE 64
#define AEAD_BYTES                                                                                 \
    512 /* of a context, at most: round keys, and powers for one pass over a packet */
#define HP_BYTES     192
#define STREAM_BYTES sizeof(quic_stream)
#define SLOTS_BYTES  128 /* of the table of streams */
#define NODES_BYTES  128 /* of the records beside those of packets: the first few are in use */

/* Asks for the cache lines from `from` on, every CACHE_LINE up to `end`. A compiler that sees the whole program takes
 * a function that does nothing else for one without effect, and leaves out the calls: hence the empty instruction. */
static inline void fetch(const void *from, const void *end)
{
    __asm__ volatile("" : : "r"(from));
    for (const char *p = from; p < (const char *)end; p += CACHE_LINE) {
        __builtin_prefetch(p, 1);
    }
}

/* Like fetch, of what begins anywhere in a line: the one that `end` is in comes too. */
static inline void fetch_part(const void *from, const void *end)
{
    fetch(from, end);
    __builtin_prefetch((const char *)end - 1, 1);
}

static inline void fetch_bytes(const void *from, size_t bytes)
{
    if (from != NULL) {
        fetch(from, (const char *)from + bytes);
    }
}

/* All that the packets of a standing connection touch. Of connection IDs that is the peer's first, and which one is in
 * use. */
void quic_conn_fetch(const quic_conn *conn)
{
    fetch_part(conn, &conn->spaces[QUIC_SPACE_INITIAL]);
    fetch_part(&conn->spaces[QUIC_SPACE_APP], &conn->recovery.spaces[QUIC_SPACE_INITIAL]);
    fetch_part(&conn->recovery.spaces[QUIC_SPACE_APP], &conn->cids_local);
    fetch_part(&conn->cids_peer, &conn->cids_peer.entries[1]);
    fetch_bytes(&conn->cids_peer.current, 1);
    fetch_part(&conn->sent_eliciting_since_recv, &conn->close_info);
    fetch_part(&conn->trace, &conn->waiting);
    fetch_part(&conn->limits, conn + 1);
}

/* What is taken from the free ones for a new stream. */
static inline void fetch_free_stream(const quic_stream_table *streams)
{
    const quic_list_node *node = streams->free.head.next;
    if (node != &streams->free.head) {
        fetch_bytes(QUIC_CONTAINER_OF(node, quic_stream, table_node), STREAM_BYTES);
    }
}

void quic_conn_fetch_far(const quic_conn *conn)
{
    const quic_conn_space *app = &conn->spaces[QUIC_SPACE_APP];
    const quic_sent_map *map = &conn->recovery.spaces[QUIC_SPACE_APP].map;
    const quic_stream *next = quic_scheduler_next(&conn->scheduler);
    const quic_stream *last = conn->streams.last;
    fetch_bytes(app->rx, CACHE_LINE);
    fetch_bytes(app->tx, CACHE_LINE);
    fetch_bytes(app->acks.ranges.ranges, CACHE_LINE);
    if (map->cap != 0) {
        fetch_bytes(&map->ring[map->base_pn & (map->cap - 1)], CACHE_LINE);
        fetch_bytes(&map->ring[map->next_pn & (map->cap - 1)], CACHE_LINE);
    }
    fetch_bytes(map->nodes, NODES_BYTES);
    fetch_bytes(conn->streams.slots, SLOTS_BYTES);
    fetch_bytes(last, STREAM_BYTES);
    if (next != last) {
        fetch_bytes(next, STREAM_BYTES);
    }
    fetch_bytes(conn->app_ctx, CACHE_LINE);
}

/* The contexts of one direction, unless they are at rest. */
static inline void fetch_keys(const quic_keys *keys)
{
    if (keys != NULL && !quic_keys_is_resting(keys)) {
        const size_t aead = keys->suite->aead_size;
        const size_t hp = keys->suite->hp_size;
        fetch_bytes(keys->aead, aead < AEAD_BYTES ? aead : AEAD_BYTES);
        fetch_bytes(keys->hp, hp < HP_BYTES ? hp : HP_BYTES);
    }
}

void quic_conn_fetch_keys(const quic_conn *conn, bool rx)
{
    const quic_conn_space *app = &conn->spaces[QUIC_SPACE_APP];
    fetch_keys(rx ? app->rx : app->tx);
    if (rx) {
        fetch_free_stream(&conn->streams);
    }
}

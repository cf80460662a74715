/* What a turn of a connection touches, asked of memory before the turn comes. Nothing here decides anything. */
#include "quic/conn/conn_internal.h"

#define CACHE_LINE 64
#define AEAD_BYTES                                                                                 \
    512 /* of a context, at most: round keys, and powers for one pass over a packet */
#define HP_BYTES     192
#define STREAM_BYTES sizeof(quic_stream)

/* Asks for the cache lines from `from` up to `end`. A compiler that sees the whole program takes a function that does
 * nothing else for one without effect, and leaves out the calls: hence the empty instruction. */
static inline void fetch(const void *from, const void *end)
{
    __asm__ volatile("" : : "r"(from));
    for (const char *p = from; p < (const char *)end; p += CACHE_LINE) {
        __builtin_prefetch(p, 1);
    }
}

static inline void fetch_bytes(const void *from, size_t bytes)
{
    if (from != NULL) {
        fetch(from, (const char *)from + bytes);
    }
}

void quic_conn_fetch(const quic_conn *conn)
{
    fetch(conn, &conn->spaces[QUIC_SPACE_INITIAL]);
    fetch(&conn->spaces[QUIC_SPACE_APP], &conn->recovery.spaces[QUIC_SPACE_INITIAL]);
    fetch(&conn->recovery.spaces[QUIC_SPACE_APP], &conn->tls_vtable);
    fetch(&conn->cids_peer, (const char *)&conn->cids_peer + CACHE_LINE);
    fetch(&conn->created_ns, &conn->close_info);
    fetch(&conn->events, &conn->limits);
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
    fetch_bytes(conn->streams.slots, CACHE_LINE);
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
}

#include "quic/endpoint/tombstones.h"

#include <stddef.h>

#include "quic/path/path.h"

struct quic_tombstone {
    quic_heap_node timer;
    uint32_t recv_count; /* datagrams since the end */
    uint32_t recv_next;  /* the one that is answered next; 0: none ever (RFC 9000 10.2.2) */
    uint16_t close_len;
    uint16_t cids_len; /* of all connection IDs, each behind its length */
    uint8_t bytes[];   /* the connection IDs, then the CONNECTION_CLOSE */
};

static size_t size_of(const quic_tombstone *stone)
{
    return sizeof(*stone) + stone->cids_len + stone->close_len;
}

void quic_tombstones_init(quic_tombstones *stones, quic_mem *mem, uint32_t max,
                          const uint8_t key[16])
{
    stones->mem = mem;
    stones->count = 0;
    stones->answering = 0;
    quic_cid_table_init(&stones->cids, mem, max * QUIC_CONN_CIDS_MAX, key);
    quic_heap_init(&stones->timers, mem, max);
}

/* The first `count` connection IDs leave the table. */
static void forget_cids(quic_tombstones *stones, const quic_tombstone *stone, uint32_t count)
{
    const uint8_t *at = stone->bytes;
    for (uint32_t i = 0; i < count && at < stone->bytes + stone->cids_len; i++) {
        quic_cid_table_remove(&stones->cids, at + 1, at[0]);
        at += 1 + at[0];
    }
}

static void remove_stone(quic_tombstones *stones, quic_tombstone *stone)
{
    quic_heap_remove(&stones->timers, &stone->timer);
    forget_cids(stones, stone, UINT32_MAX);
    stones->count--;
    stones->answering -= stone->close_len > 0 ? 1 : 0;
    quic_mem_free(stones->mem, stone, size_of(stone));
}

static quic_tombstone *of_timer(quic_heap_node *node)
{
    return (quic_tombstone *)((uint8_t *)node - offsetof(quic_tombstone, timer));
}

void quic_tombstones_deinit(quic_tombstones *stones)
{
    while (stones->count > 0) {
        remove_stone(stones, of_timer(quic_heap_peek(&stones->timers)));
    }
    quic_cid_table_deinit(&stones->cids);
    quic_heap_deinit(&stones->timers);
}

quic_rc quic_tombstones_add(quic_tombstones *stones, const quic_conn_remains *remains)
{
    size_t cids_len = 0;
    for (uint32_t i = 0; i < remains->cid_count; i++) {
        cids_len += 1u + remains->cids[i].len;
    }
    size_t size = sizeof(quic_tombstone) + cids_len + remains->close_len;
    quic_tombstone *stone = quic_mem_zalloc(stones->mem, size);
    if (stone == NULL) {
        return QUIC_E_NOMEM;
    }
    stone->recv_count = remains->recv_count;
    stone->recv_next = remains->close_len > 0 ? remains->recv_next : 0;
    stone->close_len = (uint16_t)remains->close_len;
    stone->cids_len = (uint16_t)cids_len;
    uint8_t *at = stone->bytes;
    uint32_t added = 0;
    for (uint32_t i = 0; i < remains->cid_count; i++) {
        at[0] = remains->cids[i].len;
        memcpy(at + 1, remains->cids[i].bytes, at[0]);
        at += 1 + at[0];
    }
    if (remains->close_len > 0) {
        memcpy(at, remains->close, remains->close_len);
    }
    quic_rc rc = quic_heap_push(&stones->timers, &stone->timer, remains->until_ns);
    while (rc == QUIC_OK && added < remains->cid_count) {
        const quic_cid *cid = &remains->cids[added];
        rc = quic_cid_table_add(&stones->cids, cid->bytes, cid->len, stone);
        added += rc == QUIC_OK ? 1 : 0;
    }
    if (rc != QUIC_OK) {
        quic_heap_remove(&stones->timers, &stone->timer);
        forget_cids(stones, stone, added);
        quic_mem_free(stones->mem, stone, size);
        return rc == QUIC_E_NOMEM ? QUIC_E_NOMEM : QUIC_E_LIMIT;
    }
    stones->count++;
    stones->answering += stone->close_len > 0 ? 1 : 0;
    return QUIC_OK;
}

/* RFC 9000 10.2.1: to the 1st, 2nd, 4th, 8th... datagram, and no more than three times what came: anybody who
 * has seen the connection ID can have sent it. */
const uint8_t *quic_tombstone_on_recv(quic_tombstone *stone, size_t datagram_len, size_t *out_len)
{
    if (stone->recv_next == 0) {
        return NULL;
    }
    stone->recv_count++;
    if (stone->recv_count < stone->recv_next) {
        return NULL;
    }
    stone->recv_next *= 2;
    if (stone->close_len > datagram_len * QUIC_AMPLIFICATION_FACTOR) {
        return NULL;
    }
    *out_len = stone->close_len;
    return stone->bytes + stone->cids_len;
}

quic_ns quic_tombstones_next_timeout(const quic_tombstones *stones)
{
    return quic_heap_next_key(&stones->timers);
}

void quic_tombstones_expire(quic_tombstones *stones, quic_ns now)
{
    while (quic_heap_next_key(&stones->timers) <= now) {
        remove_stone(stones, of_timer(quic_heap_peek(&stones->timers)));
    }
}

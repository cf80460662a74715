#include "quic/stream/datagram_queue.h"

#include "quic/base/check.h"

#define CAP_FIRST 4096u

static uint32_t slot_count(uint32_t cap_bytes)
{
    return cap_bytes / QUIC_DATAGRAM_QUEUE_COUNTS_BYTES;
}

static size_t block_size(uint32_t cap_bytes)
{
    return slot_count(cap_bytes) * sizeof(quic_datagram) + cap_bytes;
}

static uint8_t *ring_of(quic_datagram *slots, uint32_t cap_bytes)
{
    return (uint8_t *)(slots + slot_count(cap_bytes));
}

/* The slot of the datagram behind `at` others. */
static quic_datagram *slot_of(const quic_datagram_queue *q, uint32_t at)
{
    return &q->slots[(q->first + at) & (slot_count(q->cap_bytes) - 1u)];
}

void quic_datagram_queue_init(quic_datagram_queue *q, quic_mem *mem, uint32_t max_bytes)
{
    memset(q, 0, sizeof(*q));
    q->mem = mem;
    q->max_bytes = max_bytes;
}

void quic_datagram_queue_deinit(quic_datagram_queue *q)
{
    quic_mem_free(q->mem, q->slots, block_size(q->cap_bytes));
    quic_datagram_queue_init(q, q->mem, q->max_bytes);
}

void quic_datagram_queue_trim(quic_datagram_queue *q)
{
    if (q->count == 0) {
        quic_datagram_queue_deinit(q);
    }
}

/* What a datagram takes of the ring. An empty one takes a byte, so that no two begin at one place: then
 * a newest one below the oldest says that the ring has wrapped. */
static uint32_t span_of(size_t len)
{
    return len == 0 ? 1 : (uint32_t)len;
}

/* Where `span` bytes in one piece can go, UINT32_MAX: nowhere. */
static uint32_t place(const quic_datagram_queue *q, uint32_t span)
{
    if (q->count == slot_count(q->cap_bytes)) {
        return UINT32_MAX;
    }
    if (q->count == 0) {
        return span <= q->cap_bytes ? 0 : UINT32_MAX;
    }
    const quic_datagram *oldest = &q->slots[q->first];
    const quic_datagram *newest = slot_of(q, q->count - 1);
    uint32_t end = newest->off + span_of(newest->len);
    if (newest->off < oldest->off) {
        return oldest->off - end >= span ? end : UINT32_MAX;
    }
    if (q->cap_bytes - end >= span) {
        return end;
    }
    return oldest->off >= span ? 0 : UINT32_MAX;
}

/* A larger block, in which what waits lies from its start and leaves room for `span` more. */
static quic_rc grow(quic_datagram_queue *q, uint32_t span)
{
    uint64_t need = span;
    uint32_t cap = q->cap_bytes == 0 ? CAP_FIRST : 2 * q->cap_bytes;
    if (cap > q->max_bytes) {
        return QUIC_E_AGAIN; /* at once: nothing is counted for each one that does not fit */
    }
    for (uint32_t i = 0; i < q->count; i++) {
        need += span_of(slot_of(q, i)->len);
    }
    while (cap < need && cap < q->max_bytes) {
        cap *= 2;
    }
    if (cap > q->max_bytes || cap < need) {
        return QUIC_E_AGAIN;
    }
    quic_datagram *slots = quic_mem_alloc(q->mem, block_size(cap));
    if (slots == NULL) {
        return QUIC_E_NOMEM;
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < q->count; i++) {
        const quic_datagram *from = slot_of(q, i);
        slots[i] = *from;
        slots[i].off = at;
        memcpy(ring_of(slots, cap) + at, ring_of(q->slots, q->cap_bytes) + from->off, from->len);
        at += span_of(from->len);
    }
    quic_mem_free(q->mem, q->slots, block_size(q->cap_bytes));
    q->slots = slots;
    q->cap_bytes = cap;
    q->first = 0;
    return QUIC_OK;
}

quic_rc quic_datagram_queue_push(quic_datagram_queue *q, const uint8_t *data, size_t len,
                                 quic_ns expires_ns)
{
    if (len > q->max_bytes) {
        return QUIC_E_LIMIT;
    }
    uint32_t span = span_of(len);
    uint32_t off = place(q, span);
    if (off == UINT32_MAX) {
        quic_rc rc = grow(q, span);
        if (rc != QUIC_OK) {
            return rc;
        }
        off = place(q, span);
        QURING_ASSERT(off != UINT32_MAX);
    }
    quic_datagram *slot = slot_of(q, q->count);
    slot->off = off;
    slot->len = (uint32_t)len;
    slot->expires_ns = expires_ns;
    if (len > 0) {
        memcpy(ring_of(q->slots, q->cap_bytes) + off, data, len);
    }
    q->count++;
    return QUIC_OK;
}

void quic_datagram_queue_pop(quic_datagram_queue *q)
{
    QURING_ASSERT(q->count > 0);
    q->first = (q->first + 1) & (slot_count(q->cap_bytes) - 1u);
    q->count--;
}

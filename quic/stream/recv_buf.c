#include "quic/stream/recv_buf.h"

#include "quic/base/check.h"
#include "quic/base/spares.h"

#define RING_AGAIN_MAX (1u << 15)

void quic_recv_buf_init(quic_recv_buf *rb, quic_mem *mem, uint32_t gaps_max)
{
    memset(rb, 0, sizeof(*rb));
    rb->ring_again = 1;
    rb->final_size = QUIC_FINAL_SIZE_UNKNOWN;
    rb->gaps_max = gaps_max;
    quic_range_set_init(&rb->ahead, mem, gaps_max);
}

static void free_storage(quic_recv_buf *rb)
{
    if (rb->ring != NULL) {
        quic_spares_free(rb->ahead.mem, rb->ring, rb->ring_cap);
        rb->ring = NULL;
        rb->ring_cap = 0;
    }
    quic_range_set_deinit(&rb->ahead);
}

void quic_recv_buf_deinit(quic_recv_buf *rb)
{
    free_storage(rb);
}

/* The two spans of the ring that hold [off, off + len). */
static void ring_spans(const quic_recv_buf *rb, uint64_t off, uint64_t len, quic_recv_span out[2])
{
    uint64_t at = (off - rb->ring_base) & (rb->ring_cap - 1);
    uint64_t straight = rb->ring_cap - at < len ? rb->ring_cap - at : len;
    out[0].data = rb->ring + at;
    out[0].len = (size_t)straight;
    out[1].data = rb->ring;
    out[1].len = (size_t)(len - straight);
}

/* Copies [off, end) to where it belongs in `ring`, which is larger and begins at read_off. */
static void ring_move(const quic_recv_buf *rb, uint8_t *ring, uint64_t off, uint64_t end)
{
    quic_recv_span spans[2];
    ring_spans(rb, off, end - off, spans);
    ring += off - rb->read_off;
    memcpy(ring, spans[0].data, spans[0].len);
    memcpy(ring + spans[0].len, spans[1].data, spans[1].len);
}

/* Makes the ring hold offsets [read_off, end). What moves is what has come, not the gaps: a byte here and there, ever
 * further on, would have all the window copied, again and again. */
static quic_rc ring_reserve(quic_recv_buf *rb, uint64_t end)
{
    if (end - rb->read_off <= rb->ring_cap) {
        return QUIC_OK;
    }
    uint64_t cap = rb->ring_cap != 0 ? rb->ring_cap : rb->ring_again * (uint64_t)QUIC_RECV_RING_MIN;
    while (cap < end - rb->read_off) {
        cap *= 2;
    }
    uint8_t *ring = quic_spares_alloc(rb->ahead.mem, cap);
    if (ring == NULL) {
        return QUIC_E_NOMEM;
    }
    if (rb->recv_off > rb->read_off) {
        ring_move(rb, ring, rb->read_off, rb->recv_off);
    }
    for (uint32_t i = 0; i < rb->ahead.count; i++) {
        const quic_range *held = quic_range_set_at(&rb->ahead, i);
        ring_move(rb, ring, held->lo, held->hi + 1);
    }
    if (rb->ring != NULL && !quic_spares_put(rb->ahead.mem, rb->ring, rb->ring_cap)) {
        quic_spares_free(rb->ahead.mem, rb->ring, rb->ring_cap);
    }
    rb->ring = ring;
    rb->ring_cap = cap;
    rb->ring_base = rb->read_off;
    return QUIC_OK;
}

static void ring_put(quic_recv_buf *rb, uint64_t off, const uint8_t *data, size_t len)
{
    uint64_t at = (off - rb->ring_base) & (rb->ring_cap - 1);
    size_t straight = rb->ring_cap - at < len ? (size_t)(rb->ring_cap - at) : len;
    memcpy(rb->ring + at, data, straight);
    if (straight < len) {
        memcpy(rb->ring, data + straight, len - straight);
    }
}

/* Of [off, end) what is not there yet: whoever sends an offset twice with different bytes (RFC 9000
 * 2.2 forbids it) is held to what it said first. */
static void ring_put_fresh(quic_recv_buf *rb, uint64_t off, uint64_t end, const uint8_t *data)
{
    for (uint32_t i = quic_range_set_find(&rb->ahead, off); i < rb->ahead.count && off < end; i++) {
        const quic_range *held = quic_range_set_at(&rb->ahead, i);
        const uint64_t to = held->lo < end ? held->lo : end;
        if (off < to) {
            ring_put(rb, off, data, (size_t)(to - off));
        }
        const uint64_t next = held->hi + 1 < end ? held->hi + 1 : end;
        data += next - off;
        off = next;
    }
    if (off < end) {
        ring_put(rb, off, data, (size_t)(end - off));
    }
}

/* recv_off has reached ranges that arrived before: take them in. */
static void absorb_ahead(quic_recv_buf *rb)
{
    while (rb->ahead.count != 0 && quic_range_set_min(&rb->ahead) <= rb->recv_off) {
        uint64_t end = quic_range_set_at(&rb->ahead, 0)->hi + 1;
        rb->recv_off = end > rb->recv_off ? end : rb->recv_off;
        quic_range_set_remove_below(&rb->ahead, rb->recv_off);
    }
}

/* How many ranges there may be. */
static uint32_t gaps_allowed(const quic_recv_buf *rb, uint64_t end_off)
{
    uint64_t allowed = rb->gaps_max + (end_off - rb->read_off) / QUIC_RECV_GAP_SPAN;
    return allowed < UINT32_MAX / 2 ? (uint32_t)allowed : UINT32_MAX / 2;
}

/* [off, off + len), beyond recv_off; end_off is what it makes of rb->end_off. Where many lie, all behind one move when
 * it comes, or is joined to the next: many that cost their sender a few bytes each would be dear. */
static quic_rc put_ahead(quic_recv_buf *rb, uint64_t off, size_t len, uint64_t end_off)
{
    const uint32_t count = rb->ahead.count;
    const uint32_t shorts_max = rb->gaps_max < UINT16_MAX ? rb->gaps_max : UINT16_MAX;
    bool is_short = false;
    if (count < rb->gaps_max) {
        rb->shorts = 0;
    } else {
        is_short = len < QUIC_RECV_GAP_LEN;
    }
    rb->ahead.max = is_short && rb->shorts >= shorts_max ? rb->gaps_max : gaps_allowed(rb, end_off);
    quic_rc rc = quic_range_set_add(&rb->ahead, off, off + len - 1);
    if (is_short && rb->ahead.count > count) {
        rb->shorts++;
    }
    return rc;
}

quic_rc quic_recv_buf_insert_slow(quic_recv_buf *rb, uint64_t *out_fresh, uint64_t off,
                                  const uint8_t *data, size_t len)
{
    uint64_t end = off + len;
    uint64_t end_off = end > rb->end_off ? end : rb->end_off;
    if (end > rb->recv_off && len != 0) {
        if (off < rb->recv_off) {
            data += rb->recv_off - off;
            off = rb->recv_off;
        }
        quic_rc rc = ring_reserve(rb, end);
        if (rc != QUIC_OK) {
            return rc;
        }
        ring_put_fresh(rb, off, end, data); /* into gaps only: no harm if the range is refused */
        if (off > rb->recv_off) {
            rc = put_ahead(rb, off, (size_t)(end - off), end_off);
        }
        if (rc != QUIC_OK) {
            return rc;
        }
        if (off == rb->recv_off) {
            rb->recv_off = end;
            absorb_ahead(rb);
        }
    }
    *out_fresh = end_off - rb->end_off;
    rb->end_off = end_off;
    return QUIC_OK;
}

uint64_t quic_recv_buf_skip_to(quic_recv_buf *rb, uint64_t end)
{
    QURING_ASSERT(rb->ring == NULL && rb->ahead.count == 0);
    if (end <= rb->end_off) {
        return 0;
    }
    uint64_t fresh = end - rb->end_off;
    rb->end_off = end;
    rb->recv_off = end;
    rb->read_off = end;
    rb->ring_base = end;
    return fresh;
}

uint64_t quic_recv_buf_peek(const quic_recv_buf *rb, quic_recv_span out[2])
{
    uint64_t readable = quic_recv_buf_readable(rb);
    if (readable == 0) {
        memset(out, 0, 2 * sizeof(out[0]));
        return 0;
    }
    ring_spans(rb, rb->read_off, readable, out);
    return readable;
}

void quic_recv_buf_consume(quic_recv_buf *rb, uint64_t len)
{
    QURING_ASSERT(len <= quic_recv_buf_readable(rb));
    rb->read_off += len;
    if (rb->read_off == rb->recv_off && rb->ahead.count == 0) {
        rb->ring_base = rb->read_off; /* empty: begin at the ring's start, which is warm */
        if (rb->ring_cap > QUIC_RECV_RING_MIN &&
            quic_spares_put(rb->ahead.mem, rb->ring, rb->ring_cap)) {
            const uint64_t again = rb->ring_cap / QUIC_RECV_RING_MIN;
            rb->ring_again = (uint16_t)(again < RING_AGAIN_MAX ? again : RING_AGAIN_MAX);
            rb->ring = NULL;
            rb->ring_cap = 0;
        }
    }
}

uint64_t quic_recv_buf_discard(quic_recv_buf *rb)
{
    uint64_t consumed = rb->end_off - rb->read_off;
    free_storage(rb);
    rb->read_off = rb->end_off;
    rb->recv_off = rb->end_off;
    rb->ring_base = rb->end_off;
    return consumed;
}

void quic_recv_buf_trim(quic_recv_buf *rb)
{
    if (rb->read_off == rb->recv_off && rb->ahead.count == 0) {
        free_storage(rb);
        rb->ring_base = rb->read_off;
    }
}

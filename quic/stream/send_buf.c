#include "quic/stream/send_buf.h"

#include "quic/base/check.h"

void quic_send_buf_init(quic_send_buf *sb, quic_mem *mem)
{
    memset(sb, 0, sizeof(*sb));
    sb->mem = mem;
    quic_range_set_init(&sb->acked, mem, QUIC_SEND_RANGES_MAX);
    quic_range_set_init(&sb->lost, mem, QUIC_SEND_RANGES_MAX);
}

static void free_storage(quic_send_buf *sb)
{
    if (sb->ring != NULL) {
        quic_mem_free(sb->mem, sb->ring, sb->ring_cap);
        sb->ring = NULL;
        sb->ring_cap = 0;
    }
    if (sb->lent != NULL) {
        quic_mem_free(sb->mem, sb->lent, sb->lent_cap * sizeof(*sb->lent));
        sb->lent = NULL;
        sb->lent_cap = 0;
        sb->lent_head = 0;
        sb->lent_last = 0;
        sb->lent_count = 0;
    }
    quic_range_set_deinit(&sb->acked);
    quic_range_set_deinit(&sb->lost);
}

void quic_send_buf_deinit(quic_send_buf *sb)
{
    free_storage(sb);
}

/* ---- where bytes lie ------------------------------------------------------------------------- */

static quic_send_lent *lent_at(const quic_send_buf *sb, uint32_t i)
{
    return &sb->lent[(sb->lent_head + i) & (sb->lent_cap - 1u)];
}

/* The index of the last lent span that begins at or before `off`, plus one; 0: there is none. */
static uint32_t lent_upper(const quic_send_buf *sb, uint64_t off)
{
    uint32_t lo = 0;
    uint32_t hi = sb->lent_count;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (lent_at(sb, mid)->off <= off) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* How many copied bytes of the stream lie in front of `off` (>= acked_off). */
static uint64_t copied_before(const quic_send_buf *sb, uint64_t off)
{
    if (sb->lent_count == 0) {
        return off - sb->lent_total;
    }
    uint32_t upper = lent_upper(sb, off);
    if (upper == 0) {
        return off - lent_at(sb, 0)->lent_before;
    }
    const quic_send_lent *span = lent_at(sb, upper - 1);
    if (off < span->off + span->len) {
        return span->off - span->lent_before;
    }
    return off - span->lent_before - span->len;
}

void quic_send_buf_span_slow(quic_send_buf *sb, const uint8_t **out_data, size_t *out_len,
                             uint64_t off)
{
    QURING_ASSERT(off >= sb->acked_off && off < sb->write_off);
    uint64_t end = sb->write_off;
    uint32_t upper = lent_upper(sb, off);
    if (upper != 0) {
        const quic_send_lent *span = lent_at(sb, upper - 1);
        if (off < span->off + span->len) {
            sb->lent_last = (uint16_t)(span - sb->lent);
            *out_data = span->data + (off - span->off);
            *out_len = (size_t)(span->off + span->len - off);
            return;
        }
    }
    if (upper < sb->lent_count) {
        end = lent_at(sb, upper)->off;
    }
    uint64_t at = (copied_before(sb, off) - sb->ring_base) & (sb->ring_cap - 1);
    uint64_t straight = sb->ring_cap - at;
    *out_data = sb->ring + at;
    *out_len = (size_t)(end - off < straight ? end - off : straight);
}

void quic_send_buf_copy_slow(quic_send_buf *sb, uint64_t off, uint8_t *dst, size_t len)
{
    while (len > 0) {
        const uint8_t *data;
        size_t n;
        quic_send_buf_span(sb, &data, &n, off);
        if (n > len) {
            n = len;
        }
        memcpy(dst, data, n);
        dst += n;
        off += n;
        len -= n;
    }
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Makes room for copied bytes [first, end) in the ring; [first, kept) is in it. */
static quic_rc ring_reserve(quic_send_buf *sb, uint64_t first, uint64_t kept, uint64_t end,
                            bool insist)
{
    if (end - first <= sb->ring_cap) {
        return QUIC_OK;
    }
    uint64_t cap = sb->ring_cap != 0 ? sb->ring_cap * 2 : QUIC_SEND_RING_MIN;
    while (cap < end - first) {
        cap *= 2;
    }
    /* Slow readers' bytes are not to be what new clients, or what a peer sends, find no memory for. */
    uint8_t *ring = insist ? quic_mem_alloc(sb->mem, cap) : quic_mem_alloc_bulk(sb->mem, cap);
    if (ring == NULL) {
        return QUIC_E_NOMEM;
    }
    uint64_t n = kept - first;
    if (n != 0) {
        uint64_t at = (first - sb->ring_base) & (sb->ring_cap - 1);
        uint64_t straight = sb->ring_cap - at < n ? sb->ring_cap - at : n;
        memcpy(ring, sb->ring + at, straight);
        memcpy(ring + straight, sb->ring, n - straight);
    }
    quic_mem_free(sb->mem, sb->ring, sb->ring_cap);
    sb->ring = ring;
    sb->ring_cap = cap;
    sb->ring_base = first;
    return QUIC_OK;
}

static quic_rc write_copy(quic_send_buf *sb, const uint8_t *data, size_t len)
{
    uint64_t first = copied_before(sb, sb->acked_off);
    uint64_t kept = sb->write_off - sb->lent_total;
    if (first == kept) {
        sb->ring_base = first; /* empty: begin at the ring's start, which is warm */
    }
    quic_rc rc = ring_reserve(sb, first, kept, kept + len, false);
    if (rc != QUIC_OK) {
        return rc;
    }
    uint64_t at = (kept - sb->ring_base) & (sb->ring_cap - 1);
    uint64_t straight = sb->ring_cap - at < len ? sb->ring_cap - at : len;
    memcpy(sb->ring + at, data, straight);
    if (QUIC_UNLIKELY(straight < len)) {
        memcpy(sb->ring, data + straight, len - straight);
    }
    return QUIC_OK;
}

static quic_rc lent_reserve(quic_send_buf *sb)
{
    if (sb->lent_count < sb->lent_cap) {
        return QUIC_OK;
    }
    uint16_t cap = (uint16_t)(sb->lent_cap != 0 ? sb->lent_cap * 2 : 4);
    quic_send_lent *lent = quic_mem_alloc(sb->mem, cap * sizeof(*lent));
    if (lent == NULL) {
        return QUIC_E_NOMEM;
    }
    for (uint32_t i = 0; i < sb->lent_count; i++) {
        lent[i] = *lent_at(sb, i);
    }
    quic_mem_free(sb->mem, sb->lent, sb->lent_cap * sizeof(*sb->lent));
    sb->lent = lent;
    sb->lent_cap = cap;
    sb->lent_head = 0;
    sb->lent_last = 0;
    return QUIC_OK;
}

/* Takes all of `data` or, with too many spans held, nothing. */
static quic_rc write_lend(quic_send_buf *sb, size_t *out_accepted, const uint8_t *data, size_t len)
{
    if (sb->lent_count != 0) {
        quic_send_lent *last = lent_at(sb, sb->lent_count - 1u);
        if (last->off + last->len == sb->write_off && last->data + last->len == data) {
            last->len += len;
            sb->lent_total += len;
            *out_accepted = len;
            return QUIC_OK;
        }
    }
    if (sb->lent_count == QUIC_SEND_LENT_MAX) {
        *out_accepted = 0;
        return QUIC_OK;
    }
    quic_rc rc = lent_reserve(sb);
    if (rc != QUIC_OK) {
        return rc;
    }
    quic_send_lent *span = lent_at(sb, sb->lent_count);
    span->data = data;
    span->off = sb->write_off;
    span->len = len;
    span->lent_before = sb->lent_total;
    sb->lent_count++;
    sb->lent_total += len;
    *out_accepted = len;
    return QUIC_OK;
}

quic_rc quic_send_buf_write(quic_send_buf *sb, size_t *out_accepted, const uint8_t *data,
                            size_t len, bool lend, uint64_t held_max)
{
    uint64_t held = quic_send_buf_held(sb);
    uint64_t room = held_max > held ? held_max - held : 0;
    size_t n = len < room ? len : (size_t)room;
    if (n != 0) {
        quic_rc rc = lend ? write_lend(sb, &n, data, n) : write_copy(sb, data, n);
        if (rc != QUIC_OK) {
            return rc;
        }
    }
    sb->write_off += n;
    *out_accepted = n;
    return QUIC_OK;
}

bool quic_send_buf_insist(quic_send_buf *sb, size_t len)
{
    uint64_t kept = sb->write_off - sb->lent_total;
    return ring_reserve(sb, copied_before(sb, sb->acked_off), kept, kept + len, true) == QUIC_OK;
}

uint64_t quic_send_buf_spare(const quic_send_buf *sb)
{
    uint64_t first = copied_before(sb, sb->acked_off);
    return sb->ring_cap - (sb->write_off - sb->lent_total - first);
}

/* ---- sending --------------------------------------------------------------------------------- */

bool quic_send_buf_next(const quic_send_buf *sb, uint64_t *out_off, uint64_t *out_end,
                        bool *out_lost)
{
    if (QUIC_UNLIKELY(quic_send_buf_has_lost(sb))) {
        *out_lost = true;
        if (sb->lost.count != 0) {
            const quic_range *range = quic_range_set_at(&sb->lost, 0);
            *out_off = range->lo;
            *out_end = range->hi + 1;
        } else {
            *out_off = sb->again_off;
            *out_end = sb->again_end;
        }
        return true;
    }
    *out_lost = false;
    *out_off = sb->next_off;
    *out_end = sb->write_off;
    return sb->next_off < sb->write_off;
}

void quic_send_buf_on_sent(quic_send_buf *sb, uint64_t off, size_t len)
{
    if (QUIC_LIKELY(off == sb->next_off)) {
        sb->next_off += len;
        QURING_ASSERT(sb->next_off <= sb->write_off);
        return;
    }
    if (len == 0) {
        return;
    }
    QURING_ASSERT(off + len <= sb->next_off);
    if (sb->lost.count != 0) {
        /* The front of the lowest range: no split, so this cannot fail. */
        quic_rc rc = quic_range_set_subtract(&sb->lost, off, off + len - 1);
        QURING_ASSERT(rc == QUIC_OK);
    } else if (off == sb->again_off) {
        sb->again_off += len;
    }
}

/* ---- acknowledgements and losses ------------------------------------------------------------- */

/* Moves acked_off to `off`: frees lent spans, forgets losses below. */
static void release_below(quic_send_buf *sb, uint64_t off)
{
    sb->acked_off = off;
    while (sb->lent_count != 0) {
        const quic_send_lent *first = lent_at(sb, 0);
        if (first->off + first->len > off) {
            break;
        }
        sb->lent_head = (uint16_t)((sb->lent_head + 1u) & (sb->lent_cap - 1u));
        sb->lent_count--;
    }
    if (QUIC_UNLIKELY(sb->lost.count != 0)) {
        quic_range_set_remove_below(&sb->lost, off);
    }
    if (QUIC_UNLIKELY(sb->again_off < off)) {
        sb->again_off = off < sb->again_end ? off : sb->again_end;
    }
}

/* Queues [off, end) whatever it takes: without room for a range, one range grows over all of
 * them. */
static void queue_again(quic_send_buf *sb, uint64_t off, uint64_t end)
{
    if (quic_range_set_add(&sb->lost, off, end - 1) == QUIC_OK) {
        return;
    }
    if (sb->again_off >= sb->again_end) {
        sb->again_off = off;
        sb->again_end = end;
        return;
    }
    sb->again_off = off < sb->again_off ? off : sb->again_off;
    sb->again_end = end > sb->again_end ? end : sb->again_end;
}

uint64_t quic_send_buf_on_acked(quic_send_buf *sb, uint64_t off, uint64_t len)
{
    uint64_t end = off + len;
    QURING_ASSERT(end <= sb->next_off);
    if (len == 0 || end <= sb->acked_off) {
        return 0;
    }
    if (QUIC_UNLIKELY(off > sb->acked_off)) {
        if (quic_range_set_add(&sb->acked, off, end - 1) != QUIC_OK) {
            queue_again(sb, off, end); /* cannot be remembered, so it has to be sent again */
        } else if (sb->lost.count != 0 &&
                   quic_range_set_subtract(&sb->lost, off, end - 1) != QUIC_OK) {
            return 0; /* no room for a split: these bytes are repeated, which is harmless */
        }
        return 0;
    }
    while (QUIC_UNLIKELY(sb->acked.count != 0)) {
        const quic_range *range = quic_range_set_at(&sb->acked, 0);
        if (range->lo > end) {
            break;
        }
        end = range->hi + 1 > end ? range->hi + 1 : end;
        quic_range_set_remove_below(&sb->acked, end);
    }
    uint64_t advance = end - sb->acked_off;
    release_below(sb, end);
    return advance;
}

bool quic_send_buf_on_lost(quic_send_buf *sb, uint64_t off, uint64_t len)
{
    uint64_t end = off + len;
    QURING_ASSERT(end <= sb->next_off);
    if (off < sb->acked_off) {
        off = sb->acked_off;
    }
    bool queued = false;
    uint32_t i = sb->acked.count != 0 ? quic_range_set_find(&sb->acked, off) : 0;
    while (off < end) {
        uint64_t piece_end = end;
        uint64_t next = end;
        if (i < sb->acked.count) {
            const quic_range *range = quic_range_set_at(&sb->acked, i++);
            piece_end = range->lo < end ? range->lo : end;
            next = range->hi + 1;
        }
        if (off < piece_end) {
            queue_again(sb, off, piece_end);
            queued = true;
        }
        off = next > off ? next : off;
    }
    return queued;
}

void quic_send_buf_abandon(quic_send_buf *sb)
{
    free_storage(sb);
    sb->acked_off = sb->next_off;
    sb->write_off = sb->next_off;
    sb->lent_total = 0;
    sb->again_off = 0;
    sb->again_end = 0;
}

void quic_send_buf_rewind(quic_send_buf *sb)
{
    if (quic_send_buf_held(sb) == 0) {
        sb->acked_off = 0;
        sb->write_off = 0;
        sb->lent_total = 0;
        sb->ring_base = 0;
    }
    QURING_ASSERT(sb->acked_off == 0 && sb->acked.count == 0);
    sb->next_off = 0;
    sb->again_off = 0;
    sb->again_end = 0;
    quic_range_set_clear(&sb->lost);
}

void quic_send_buf_trim(quic_send_buf *sb)
{
    if (sb->acked_off == sb->write_off) {
        free_storage(sb);
    }
}

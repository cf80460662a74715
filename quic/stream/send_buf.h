/* quic/stream/send_buf.h: the bytes of one sending stream (or CRYPTO level) from the write until
 * they are acknowledged.
 *
 * Shape:  offsets acked_off <= next_off <= write_off. Copied bytes lie in one ring (a power of two,
 *         4 KiB first, doubled as needed, restarted at its beginning whenever it runs empty so that
 *         it stays in cache); lent bytes stay where they are and are kept as spans in a small FIFO.
 *         Acknowledgements out of order and losses are byte ranges.
 * Owner:  the quic_stream or quic_crypto_stream that embeds it; one worker; no locks.
 * Memory: nothing until the first write; quic_send_buf_trim gives everything back when empty.
 * Spec:   RFC 9000 2.2, 3.1, 13.3.
 */
#ifndef QUIC_STREAM_SEND_BUF_H
#define QUIC_STREAM_SEND_BUF_H

#include "quic/base/check.h"
#include "quic/base/mem.h"
#include "quic/base/range_set.h"
#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_SEND_RING_MIN 4096u /* bytes of the first ring */
#define QUIC_SEND_LENT_MAX 64u   /* lent spans held at once */
/* Ranges of each kind; beyond it bytes are sent again instead. At the most 72 KiB each, half of which a packet
 * acknowledged in the middle of all others moves by one. */
#define QUIC_SEND_RANGES_MAX 4096u

typedef struct quic_send_lent {
    const uint8_t *data;
    uint64_t off; /* stream offset of data[0] */
    uint64_t len;
    uint64_t lent_before; /* lent bytes of the stream in front of `off` */
} quic_send_lent;

typedef struct quic_send_buf {
    quic_mem *mem;
    uint64_t acked_off; /* everything below is acknowledged and gone */
    uint64_t next_off;  /* first byte never sent */
    uint64_t write_off; /* first byte not written yet */
    uint8_t *ring;
    uint64_t ring_cap;    /* power of two, or 0 */
    uint64_t ring_base;   /* copied-byte count that sits at ring[0] */
    uint64_t lent_total;  /* lent bytes ever; write_off - lent_total counts the copied ones */
    quic_send_lent *lent; /* FIFO; NULL: none */
    uint16_t lent_cap;    /* power of two, or 0 */
    uint16_t lent_head;   /* index of the oldest */
    uint16_t lent_count;
    uint16_t lent_last;   /* place in `lent` of the one found last; it may be gone */
    quic_range_set acked; /* above acked_off */
    quic_range_set lost;  /* to be sent again: within [acked_off, next_off) */
    uint64_t again_off; /* [again_off, again_end): lost bytes, and perhaps more, for want of room */
    uint64_t again_end;
} quic_send_buf;

/* quic_send_buf_init makes an empty buffer; deinit gives all memory back, whatever is in it. */
void quic_send_buf_init(quic_send_buf *sb, quic_mem *mem);
void quic_send_buf_deinit(quic_send_buf *sb);

/* quic_send_buf_held gives the bytes between the first unacknowledged one and the end. */
static inline uint64_t quic_send_buf_held(const quic_send_buf *sb)
{
    return sb->write_off - sb->acked_off;
}

/* quic_send_buf_write takes a prefix of `data` as long as fewer than `held_max` bytes are held.
 *
 *   lend           true: keeps `data` until acked_off passes it; false: copies
 *   out_accepted   0..len
 *
 * Returns QUIC_OK (also when nothing fit); QUIC_E_NOMEM (nothing taken). */
QUIC_NODISCARD quic_rc quic_send_buf_write(quic_send_buf *sb, size_t *out_accepted,
                                           const uint8_t *data, size_t len, bool lend,
                                           uint64_t held_max);

/* quic_send_buf_insist makes room for copying `len` bytes, be it of the last memory there is; false without any.
 * What a write takes by itself is memory that others can do without (quic_mem_alloc_bulk). */
QUIC_NODISCARD bool quic_send_buf_insist(quic_send_buf *sb, size_t len);

/* quic_send_buf_spare gives the bytes that can be copied without more memory. */
uint64_t quic_send_buf_spare(const quic_send_buf *sb);

/* quic_send_buf_span_slow is for quic_send_buf_span. */
void quic_send_buf_span_slow(quic_send_buf *sb, const uint8_t **out_data, size_t *out_len,
                             uint64_t off);

/* quic_send_buf_span shows the longest contiguous piece from `off` (acked_off <= off < write_off)
 * on. A lent one is remembered, as many packets come from it. */
static inline void quic_send_buf_span(quic_send_buf *sb, const uint8_t **out_data, size_t *out_len,
                                      uint64_t off)
{
    const uint32_t nth = (uint32_t)(sb->lent_last - sb->lent_head) & (sb->lent_cap - 1u);
    if (QUIC_LIKELY(nth < sb->lent_count)) {
        const quic_send_lent *span = &sb->lent[sb->lent_last];
        if (QUIC_LIKELY(off >= span->off && off - span->off < span->len)) {
            *out_data = span->data + (off - span->off);
            *out_len = (size_t)(span->len - (off - span->off));
            return;
        }
    }
    quic_send_buf_span_slow(sb, out_data, out_len, off);
}

/* quic_send_buf_copy_slow is for quic_send_buf_copy. */
void quic_send_buf_copy_slow(quic_send_buf *sb, uint64_t off, uint8_t *dst, size_t len);

/* quic_send_buf_copy copies [off, off + len) out; the range is held (asserted in debug builds). One
 * memcpy unless the ring wraps there or lent bytes take part. */
static inline void quic_send_buf_copy(quic_send_buf *sb, uint64_t off, uint8_t *dst, size_t len)
{
    QURING_DASSERT(off >= sb->acked_off && off + len <= sb->write_off);
    uint64_t at = (off - sb->lent_total - sb->ring_base) & (sb->ring_cap - 1);
    if (QUIC_LIKELY(sb->lent_count == 0 && at + len <= sb->ring_cap)) {
        memcpy(dst, sb->ring + at, len);
        return;
    }
    quic_send_buf_copy_slow(sb, off, dst, len);
}

/* quic_send_buf_next gives the next range to send: lost bytes first, then new ones.
 * Returns false when there is none; out_lost says which kind it is. The range may be cut by the
 * caller, who then calls quic_send_buf_on_sent for the part taken. */
bool quic_send_buf_next(const quic_send_buf *sb, uint64_t *out_off, uint64_t *out_end,
                        bool *out_lost);

static inline bool quic_send_buf_has_lost(const quic_send_buf *sb)
{
    return sb->lost.count != 0 || sb->again_off < sb->again_end;
}

static inline uint64_t quic_send_buf_unsent(const quic_send_buf *sb)
{
    return sb->write_off - sb->next_off;
}

/* quic_send_buf_on_sent notes that [off, off + len) left: the front of the range next showed. */
void quic_send_buf_on_sent(quic_send_buf *sb, uint64_t off, size_t len);

/* quic_send_buf_on_acked notes that [off, off + len) arrived. Bytes below acked_off are known;
 * above next_off is the caller's mistake (asserted). Returns how many bytes acked_off advanced by
 * (memory and lent spans below it are free). O(1) in order. */
uint64_t quic_send_buf_on_acked(quic_send_buf *sb, uint64_t off, uint64_t len);

/* quic_send_buf_on_lost queues what of [off, off + len) is not acknowledged for sending again.
 * Returns true when something was queued. Never fails: without memory it repeats more than
 * needed. */
bool quic_send_buf_on_lost(quic_send_buf *sb, uint64_t off, uint64_t len);

/* quic_send_buf_is_lending says whether application memory is still referenced. */
static inline bool quic_send_buf_is_lending(const quic_send_buf *sb)
{
    return sb->lent_count != 0;
}

/* quic_send_buf_abandon forgets every byte (RESET_STREAM): acked_off and write_off become
 * next_off's value or more; memory goes back, lent spans are free. */
void quic_send_buf_abandon(quic_send_buf *sb);

/* quic_send_buf_rewind makes every byte unsent again. None was acknowledged (asserted); after an
 * abandon the stream is empty and at offset 0. */
void quic_send_buf_rewind(quic_send_buf *sb);

/* quic_send_buf_trim gives the memory of an empty buffer back; no-op while bytes are held. */
void quic_send_buf_trim(quic_send_buf *sb);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_STREAM_SEND_BUF_H */

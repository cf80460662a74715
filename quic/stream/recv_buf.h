/* quic/stream/recv_buf.h: puts the bytes of one receiving stream (or CRYPTO level) in order.
 *
 * Shape:  one ring, a power of two, grown to what the received offsets need (the caller's flow
 *         limit bounds that); received ranges beyond the first gap are byte ranges. Bytes are
 *         copied once. When everything was consumed the ring goes to whoever needs one next, or, if
 *         it is small or nobody keeps it for them, restarts at its beginning: it stays in cache.
 * Owner:  the quic_stream or quic_crypto_stream that embeds it; one worker; no locks.
 * Memory: nothing until the first byte; quic/base/spares.h while it is empty, or kept while bytes flow;
 *         quic_recv_buf_trim gives it back.
 * Spec:   RFC 9000 2.2 (ordering), 4.1 (limits), 4.5 (final size), 7.5 (CRYPTO buffering).
 */
#ifndef QUIC_STREAM_RECV_BUF_H
#define QUIC_STREAM_RECV_BUF_H

#include "quic/base/mem.h"
#include "quic/base/range_set.h"
#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_RECV_RING_MIN      4096u
#define QUIC_RECV_GAP_SPAN      2048u /* less than two packets of 1200 bytes carry, one of them lost */
#define QUIC_RECV_GAP_LEN       512u
#define QUIC_FINAL_SIZE_UNKNOWN UINT64_MAX

typedef struct quic_recv_buf {
    uint64_t read_off;   /* first byte not consumed */
    uint64_t recv_off;   /* first byte not received; [read_off, recv_off) is readable */
    uint64_t end_off;    /* highest offset received */
    uint64_t final_size; /* QUIC_FINAL_SIZE_UNKNOWN until told */
    uint8_t *ring;
    uint64_t ring_cap;    /* power of two, or 0 */
    uint64_t ring_base;   /* offset that sits at ring[0]; <= read_off */
    quic_range_set ahead; /* received beyond recv_off; knows the memory */
    uint32_t gaps_max;    /* that `ahead` may have whatever they are: quic_recv_buf_init */
    uint16_t shorts;      /* short ones that came since there were fewer than gaps_max */
    uint16_t ring_again;  /* QUIC_RECV_RING_MIN, so many times: the ring given away, or the first */
} quic_recv_buf;

/* quic_recv_buf_init makes an empty buffer that holds at most `gaps_max` ranges out of order, and one more for every
 * QUIC_RECV_GAP_SPAN bytes from the first unread one to the last: who overruns a queue by a whole window loses every
 * other packet of it. Among those more, `gaps_max` (65535 at most) may be of fewer than QUIC_RECV_GAP_LEN bytes:
 * senders that cut up what they repeat, and lose some of it again, make a few. deinit gives all memory back. */
void quic_recv_buf_init(quic_recv_buf *rb, quic_mem *mem, uint32_t gaps_max);
void quic_recv_buf_deinit(quic_recv_buf *rb);

/* quic_recv_buf_check_end applies RFC 9000 4.5 and 4.1 to data that ends at `end` (or, with `fin`,
 * to a final size of `end`): QUIC_V_FINAL_SIZE, QUIC_V_FLOW_CONTROL (end > limit), or QUIC_OK. */
static inline quic_rc quic_recv_buf_check_end(const quic_recv_buf *rb, uint64_t end, bool fin,
                                              uint64_t limit)
{
    if (QUIC_UNLIKELY(rb->final_size != QUIC_FINAL_SIZE_UNKNOWN)) {
        if (end > rb->final_size || (fin && end != rb->final_size)) {
            return QUIC_V_FINAL_SIZE;
        }
    } else if (fin && QUIC_UNLIKELY(end < rb->end_off)) {
        return QUIC_V_FINAL_SIZE;
    }
    if (end > limit) {
        return QUIC_V_FLOW_CONTROL;
    }
    return QUIC_OK;
}

/* quic_recv_buf_insert_slow is for quic_recv_buf_insert. */
QUIC_NODISCARD quic_rc quic_recv_buf_insert_slow(quic_recv_buf *rb, uint64_t *out_fresh,
                                                 uint64_t off, const uint8_t *data, size_t len);

#define QUIC_RECV_LANDING_HEAD                                                                     \
    32u /* a power of two above what a STREAM frame has in front of its data */

/* quic_recv_buf_landing gives the place where the bytes `ahead` behind recv_off belong, so that a packet can be opened
 * to where its data goes. `len` bytes from there on, and QUIC_RECV_LANDING_HEAD in front, are in the ring: those in
 * front may be unread ones, and are as before when anybody looks again. The `ahead` bytes are in their places, though
 * not inserted yet. NULL: there is no such place, or bytes lie ahead. */
static inline uint8_t *quic_recv_buf_landing(const quic_recv_buf *rb, size_t ahead, size_t len)
{
    uint64_t at = (rb->recv_off + ahead - rb->ring_base) & (rb->ring_cap - 1);
    if (rb->recv_off != rb->end_off || at < QUIC_RECV_LANDING_HEAD || at + len > rb->ring_cap ||
        rb->recv_off - rb->read_off + ahead + len + QUIC_RECV_LANDING_HEAD > rb->ring_cap) {
        return NULL;
    }
    return rb->ring + at;
}

/* quic_recv_buf_insert copies one frame's payload, unless it lies at quic_recv_buf_landing already, and counts how
 * far it moved the highest offset.
 *
 *   off, len    bytes; off + len was checked with quic_recv_buf_check_end
 *   out_fresh   growth of end_off: what connection flow control charges (RFC 9000 4.1)
 *
 * Returns QUIC_OK (duplicates and overlaps too); QUIC_E_LIMIT (as many ranges are held as may be: do not
 * acknowledge the packet); QUIC_E_NOMEM. On failure `rb` and *out_fresh are untouched. */
QUIC_NODISCARD static inline quic_rc quic_recv_buf_insert(quic_recv_buf *rb, uint64_t *out_fresh,
                                                          uint64_t off, const uint8_t *data,
                                                          size_t len)
{
    uint64_t at = (off - rb->ring_base) & (rb->ring_cap - 1);
    /* end_off == recv_off: nothing lies ahead. */
    if (QUIC_LIKELY(off == rb->recv_off && off == rb->end_off &&
                    off + len - rb->read_off <= rb->ring_cap && at + len <= rb->ring_cap &&
                    len != 0)) {
        if (data != rb->ring + at) {
            memcpy(rb->ring + at, data, len);
        }
        rb->recv_off = off + len;
        rb->end_off = off + len;
        *out_fresh = len;
        return QUIC_OK;
    }
    return quic_recv_buf_insert_slow(rb, out_fresh, off, data, len);
}

/* quic_recv_buf_is_known: every byte of [off, end) is here or was (true for none at all). */
static inline bool quic_recv_buf_is_known(const quic_recv_buf *rb, uint64_t off, uint64_t end)
{
    if (QUIC_LIKELY(end > rb->end_off)) {
        return false;
    }
    return end <= rb->recv_off || off == end ||
           quic_range_set_missing(&rb->ahead, off > rb->recv_off ? off : rb->recv_off, end - 1) ==
               0;
}

/* quic_recv_buf_set_final notes the final size (checked before). */
static inline void quic_recv_buf_set_final(quic_recv_buf *rb, uint64_t final_size)
{
    rb->final_size = final_size;
}

/* quic_recv_buf_skip_to counts offsets up to `end` as received without storing them and returns the
 * growth of end_off: for streams whose bytes are discarded. */
uint64_t quic_recv_buf_skip_to(quic_recv_buf *rb, uint64_t end);

static inline bool quic_recv_buf_all_received(const quic_recv_buf *rb)
{
    return rb->recv_off == rb->final_size;
}

static inline uint64_t quic_recv_buf_readable(const quic_recv_buf *rb)
{
    return rb->recv_off - rb->read_off;
}

typedef struct quic_recv_span {
    const uint8_t *data;
    size_t len;
} quic_recv_span;

/* quic_recv_buf_peek shows the readable bytes where they lie, in up to two spans (len 0: unused),
 * and returns how many there are. Borrowed until the next insert, consume or trim. */
uint64_t quic_recv_buf_peek(const quic_recv_buf *rb, quic_recv_span out[2]);

/* quic_recv_buf_consume takes `len` (at most quic_recv_buf_readable, asserted) bytes away. */
void quic_recv_buf_consume(quic_recv_buf *rb, uint64_t len);

/* quic_recv_buf_discard drops every stored byte and its memory; offsets stay, and what was received
 * counts as consumed up to end_off. Returns how many bytes that consumed. */
uint64_t quic_recv_buf_discard(quic_recv_buf *rb);

/* quic_recv_buf_trim gives the memory of an empty buffer back; no-op while bytes are stored. */
void quic_recv_buf_trim(quic_recv_buf *rb);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_STREAM_RECV_BUF_H */

/* quic/base/bytes.h: bounds-checked cursors over bytes of the wire, big endian.
 *
 * Shape:  a quic_reader or quic_writer is two pointers; every function checks the room, moves on only
 *         when it succeeds and otherwise leaves the cursor and the outputs untouched. Variable-length
 *         integers are in quic/wire/varint.h.
 * Owner:  a local variable; the bytes are borrowed.
 */
#ifndef QUIC_BASE_BYTES_H
#define QUIC_BASE_BYTES_H

#include "quic/base/types.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the loads and stores below swap bytes"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* quic_load_beN and quic_store_beN move N bits at any alignment; no bounds check. */
static inline uint16_t quic_load_be16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap16(v);
}

static inline uint32_t quic_load_be32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap32(v);
}

static inline uint64_t quic_load_be64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap64(v);
}

static inline void quic_store_be16(uint8_t *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof(v));
}

static inline void quic_store_be32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof(v));
}

static inline void quic_store_be64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof(v));
}

typedef struct quic_reader {
    const uint8_t *p;
    const uint8_t *end;
} quic_reader;

typedef struct quic_writer {
    uint8_t *p;
    uint8_t *end;
} quic_writer;

static inline quic_reader quic_reader_make(const uint8_t *data, size_t len)
{
    quic_reader r = {data, len != 0 ? data + len : data}; /* NULL + 0 is undefined */
    return r;
}

static inline size_t quic_reader_left(const quic_reader *r)
{
    return (size_t)(r->end - r->p);
}

/* Each quic_reader_* returns false when too few bytes are left. */
QUIC_NODISCARD static inline bool quic_reader_u8(quic_reader *r, uint8_t *out)
{
    if (r->p == r->end) {
        return false;
    }
    *out = *r->p++;
    return true;
}

QUIC_NODISCARD static inline bool quic_reader_u16(quic_reader *r, uint16_t *out)
{
    if (quic_reader_left(r) < 2) {
        return false;
    }
    *out = quic_load_be16(r->p);
    r->p += 2;
    return true;
}

QUIC_NODISCARD static inline bool quic_reader_u32(quic_reader *r, uint32_t *out)
{
    if (quic_reader_left(r) < 4) {
        return false;
    }
    *out = quic_load_be32(r->p);
    r->p += 4;
    return true;
}

QUIC_NODISCARD static inline bool quic_reader_u64(quic_reader *r, uint64_t *out)
{
    if (quic_reader_left(r) < 8) {
        return false;
    }
    *out = quic_load_be64(r->p);
    r->p += 8;
    return true;
}

/* quic_reader_bytes gives a view of the next `len` bytes; _copy copies them; _skip passes them. */
QUIC_NODISCARD static inline bool quic_reader_bytes(quic_reader *r, const uint8_t **out, size_t len)
{
    if (quic_reader_left(r) < len) {
        return false;
    }
    *out = r->p;
    r->p += len;
    return true;
}

QUIC_NODISCARD static inline bool quic_reader_copy(quic_reader *r, uint8_t *out, size_t len)
{
    if (quic_reader_left(r) < len) {
        return false;
    }
    memcpy(out, r->p, len);
    r->p += len;
    return true;
}

QUIC_NODISCARD static inline bool quic_reader_skip(quic_reader *r, size_t len)
{
    if (quic_reader_left(r) < len) {
        return false;
    }
    r->p += len;
    return true;
}

static inline quic_writer quic_writer_make(uint8_t *data, size_t room)
{
    quic_writer w = {data, room != 0 ? data + room : data};
    return w;
}

static inline size_t quic_writer_left(const quic_writer *w)
{
    return (size_t)(w->end - w->p);
}

/* Each quic_writer_* returns false when there is not enough room. */
QUIC_NODISCARD static inline bool quic_writer_u8(quic_writer *w, uint8_t v)
{
    if (w->p == w->end) {
        return false;
    }
    *w->p++ = v;
    return true;
}

QUIC_NODISCARD static inline bool quic_writer_u16(quic_writer *w, uint16_t v)
{
    if (quic_writer_left(w) < 2) {
        return false;
    }
    quic_store_be16(w->p, v);
    w->p += 2;
    return true;
}

QUIC_NODISCARD static inline bool quic_writer_u32(quic_writer *w, uint32_t v)
{
    if (quic_writer_left(w) < 4) {
        return false;
    }
    quic_store_be32(w->p, v);
    w->p += 4;
    return true;
}

QUIC_NODISCARD static inline bool quic_writer_u64(quic_writer *w, uint64_t v)
{
    if (quic_writer_left(w) < 8) {
        return false;
    }
    quic_store_be64(w->p, v);
    w->p += 8;
    return true;
}

QUIC_NODISCARD static inline bool quic_writer_bytes(quic_writer *w, const uint8_t *data, size_t len)
{
    if (quic_writer_left(w) < len) {
        return false;
    }
    if (len > 0) {
        memcpy(w->p, data, len);
        w->p += len;
    }
    return true;
}

#ifdef __cplusplus
}
#endif

#endif /* QUIC_BASE_BYTES_H */

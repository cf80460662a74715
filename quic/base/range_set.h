/* quic/base/range_set.h: a set of uint64 values kept as sorted, disjoint, inclusive ranges.
 *
 * Shape:  one array in ascending order, neighbours never touch (they are merged). Memory comes from
 *         quic_mem and doubles up to `max` ranges, which may be raised later (then it grows by an eighth at
 *         least, and so it does where the lowest go as others come), or is lent once and never grows.
 * Owner:  whoever embeds it: packet numbers to acknowledge, bytes received out of order.
 * Cost:   extending the last range is inline and O(1); anything else O(log n) to find, and to move those in front
 *         or those behind, whichever are fewer. What goes at either end, or comes behind the last, moves nobody, but
 *         all now and then; what comes elsewhere moves those behind it where no place in front is free.
 */
#ifndef QUIC_BASE_RANGE_SET_H
#define QUIC_BASE_RANGE_SET_H

#include "quic/base/mem.h"
#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quic_range {
    uint64_t lo;
    uint64_t hi; /* inclusive, >= lo */
} quic_range;

typedef struct quic_range_set {
    quic_range *ranges; /* ascending: ranges[0] is the lowest */
    uint32_t count;
    uint32_t cap; /* places in the array */
    uint32_t max;
    uint32_t front; /* of those, free ones in front of ranges[0] */
    quic_mem *mem;  /* NULL: the array is lent */
} quic_range_set;

/* quic_range_set_init makes an empty set of at most `max` (>= 1) ranges; nothing is allocated yet.
 * quic_range_set_init_lent uses `storage` of `cap` ranges, which must outlive the set. */
void quic_range_set_init(quic_range_set *set, quic_mem *mem, uint32_t max);
void quic_range_set_init_lent(quic_range_set *set, quic_range *storage, uint32_t cap);

/* quic_range_set_deinit gives the memory back and leaves an empty set without storage. */
void quic_range_set_free(quic_range_set *set); /* is for quic_range_set_deinit */
static inline void quic_range_set_deinit(quic_range_set *set)
{
    if (set->ranges != NULL || set->mem == NULL) { /* otherwise it never held a range */
        quic_range_set_free(set);
    }
}

static inline bool quic_range_set_is_empty(const quic_range_set *set)
{
    return set->count == 0;
}

/* quic_range_set_min and _max: the lowest and highest value of a set that is not empty. */
static inline uint64_t quic_range_set_min(const quic_range_set *set)
{
    return set->ranges[0].lo;
}

static inline uint64_t quic_range_set_max(const quic_range_set *set)
{
    return set->ranges[set->count - 1].hi;
}

/* quic_range_set_at gives range `i` (< count), 0 the lowest. To walk from the newest, count down. */
static inline const quic_range *quic_range_set_at(const quic_range_set *set, uint32_t i)
{
    return &set->ranges[i];
}

/* quic_range_set_add_slow and _add_forget_slow: the general cases of the two below; not for callers. */
QUIC_NODISCARD quic_rc quic_range_set_add_slow(quic_range_set *set, uint64_t lo, uint64_t hi);
QUIC_NODISCARD quic_rc quic_range_set_add_forget_slow(quic_range_set *set, uint64_t lo,
                                                      uint64_t hi);

static inline bool quic_range_set_extend_last(quic_range_set *set, uint64_t lo, uint64_t hi)
{
    if (QUIC_LIKELY(set->count > 0) && QUIC_LIKELY(set->ranges[set->count - 1].hi + 1 == lo)) {
        set->ranges[set->count - 1].hi = hi;
        return true;
    }
    return false;
}

/* quic_range_set_add puts [lo, hi] (lo <= hi < UINT64_MAX) into the set and merges what it touches.
 * Returns QUIC_OK; QUIC_E_LIMIT when it would need more than `max` ranges, QUIC_E_NOMEM when memory
 * is refused: the set is then unchanged. */
QUIC_NODISCARD static inline quic_rc quic_range_set_add(quic_range_set *set, uint64_t lo,
                                                        uint64_t hi)
{
    return quic_range_set_extend_last(set, lo, hi) ? QUIC_OK : quic_range_set_add_slow(set, lo, hi);
}

/* quic_range_set_add_forget does the same but makes room by forgetting the lowest range when the set
 * is full or memory is refused; if [lo, hi] itself is the lowest then, it is what is forgotten.
 * Returns QUIC_OK; QUIC_E_NOMEM only when not even the first array could be had. */
QUIC_NODISCARD static inline quic_rc quic_range_set_add_forget(quic_range_set *set, uint64_t lo,
                                                               uint64_t hi)
{
    return quic_range_set_extend_last(set, lo, hi) ? QUIC_OK
                                                   : quic_range_set_add_forget_slow(set, lo, hi);
}

/* quic_range_set_subtract takes [lo, hi] out. Returns QUIC_OK; QUIC_E_LIMIT or QUIC_E_NOMEM when a
 * range would have to be split and there is no room (set unchanged). */
QUIC_NODISCARD quic_rc quic_range_set_subtract(quic_range_set *set, uint64_t lo, uint64_t hi);

/* quic_range_set_remove_below takes every value < `bound` out; never fails. */
void quic_range_set_remove_below(quic_range_set *set, uint64_t bound);

/* quic_range_set_clear empties the set and keeps its memory. */
static inline void quic_range_set_clear(quic_range_set *set)
{
    set->count = 0;
}

/* quic_range_set_find gives the index of the first range with hi >= value, `count` if none. */
uint32_t quic_range_set_find(const quic_range_set *set, uint64_t value);

/* quic_range_set_contains: is `value` in it; the newest range is tried first. */
static inline bool quic_range_set_contains(const quic_range_set *set, uint64_t value)
{
    if (set->count == 0 || value > set->ranges[set->count - 1].hi) {
        return false;
    }
    if (value >= set->ranges[set->count - 1].lo) {
        return true;
    }
    return set->ranges[quic_range_set_find(set, value)].lo <= value;
}

/* quic_range_set_missing counts the values of [lo, hi] that are not in the set. */
uint64_t quic_range_set_missing(const quic_range_set *set, uint64_t lo, uint64_t hi);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_BASE_RANGE_SET_H */

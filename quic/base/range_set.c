#include "quic/base/range_set.h"

#include "quic/base/check.h"

#define RANGE_SET_CAP_MIN 4u
/* So few are moved to the beginning of the array for each place there; of more, as many places as a part of them. */
#define RANGE_SET_FEW  64u
#define RANGE_SET_PART 16u

void quic_range_set_init(quic_range_set *set, quic_mem *mem, uint32_t max)
{
    QURING_ASSERT(max >= 1);
    memset(set, 0, sizeof(*set));
    set->mem = mem;
    set->max = max;
}

void quic_range_set_init_lent(quic_range_set *set, quic_range *storage, uint32_t cap)
{
    QURING_ASSERT(cap >= 1);
    memset(set, 0, sizeof(*set));
    set->ranges = storage;
    set->cap = cap;
    set->max = cap;
}

static void free_ranges(quic_range_set *set)
{
    if (set->ranges != NULL && set->mem != NULL) {
        quic_mem_free(set->mem, set->ranges - set->front, (size_t)set->cap * sizeof(*set->ranges));
    }
    set->front = 0;
}

void quic_range_set_free(quic_range_set *set)
{
    free_ranges(set);
    set->ranges = NULL;
    set->count = 0;
    set->cap = 0;
    if (set->mem == NULL) {
        set->max = 0; /* lent storage does not come back */
    }
}

static void begin_at_front(quic_range_set *set)
{
    memmove(set->ranges - set->front, set->ranges, (size_t)set->count * sizeof(*set->ranges));
    set->ranges -= set->front;
    set->front = 0;
}

static quic_rc grow(quic_range_set *set)
{
    uint32_t cap = set->cap == 0 ? RANGE_SET_CAP_MIN : set->cap * 2;
    if (cap > set->max) {
        /* A max that is raised for each range must not have all of them copied for each. */
        const uint32_t some = set->cap + set->cap / 8;
        cap = set->max > some ? set->max : some;
    }
    quic_range *ranges = quic_mem_alloc(set->mem, (size_t)cap * sizeof(*ranges));
    if (ranges == NULL) {
        return QUIC_E_NOMEM;
    }
    if (set->count > 0) {
        memcpy(ranges, set->ranges, (size_t)set->count * sizeof(*ranges));
    }
    free_ranges(set);
    set->ranges = ranges;
    set->cap = cap;
    return QUIC_OK;
}

/* Makes sure that one more range has a place, behind the others. */
static quic_rc reserve_one(quic_range_set *set)
{
    if (set->count >= set->max) {
        return QUIC_E_LIMIT;
    }
    if (set->front + set->count < set->cap) {
        return QUIC_OK;
    }
    const bool cheap = set->count < RANGE_SET_FEW || set->front > set->count / RANGE_SET_PART;
    if (set->front == 0 || (!cheap && set->mem != NULL)) {
        quic_rc rc = grow(set);
        if (rc == QUIC_OK || set->front == 0) {
            return rc;
        }
    }
    begin_at_front(set);
    return QUIC_OK;
}

uint32_t quic_range_set_find(const quic_range_set *set, uint64_t value)
{
    uint32_t lo = 0;
    uint32_t hi = set->count;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (set->ranges[mid].hi < value) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* Takes the ranges [from, to) out. Of the others the fewer move, those in front or those behind. */
static void take_out(quic_range_set *set, uint32_t from, uint32_t to)
{
    const uint32_t gone = to - from;
    const uint32_t behind = set->count - to;
    if (from < behind) {
        memmove(set->ranges + gone, set->ranges, (size_t)from * sizeof(*set->ranges));
        set->ranges += gone;
        set->front += gone;
    } else {
        memmove(&set->ranges[from], &set->ranges[to], (size_t)behind * sizeof(*set->ranges));
    }
    set->count -= gone;
}

/* Merges [lo, hi] with every range it overlaps or touches, `first` being the lowest that could.
 * Returns false when there is none. */
static bool merge(quic_range_set *set, uint32_t first, uint64_t lo, uint64_t hi)
{
    if (first == set->count || set->ranges[first].lo > hi + 1) {
        return false;
    }
    quic_range *into = &set->ranges[first];
    uint32_t last = first;
    while (last + 1 < set->count && set->ranges[last + 1].lo <= hi + 1) {
        last++;
    }
    if (lo < into->lo) {
        into->lo = lo;
    }
    into->hi = set->ranges[last].hi > hi ? set->ranges[last].hi : hi;
    if (last > first) {
        take_out(set, first + 1, last + 1);
    }
    return true;
}

/* There is a place, in front or behind. */
static void insert_at(quic_range_set *set, uint32_t at, uint64_t lo, uint64_t hi)
{
    const uint32_t behind = set->count - at;
    if (set->front > 0 && (at < behind || set->front + set->count == set->cap)) {
        memmove(set->ranges - 1, set->ranges, (size_t)at * sizeof(*set->ranges));
        set->ranges--;
        set->front--;
    } else {
        memmove(&set->ranges[at + 1], &set->ranges[at], (size_t)behind * sizeof(*set->ranges));
    }
    set->count++;
    set->ranges[at].lo = lo;
    set->ranges[at].hi = hi;
}

quic_rc quic_range_set_add_slow(quic_range_set *set, uint64_t lo, uint64_t hi)
{
    QURING_ASSERT(lo <= hi && hi < UINT64_MAX);
    uint32_t at = quic_range_set_find(set, lo == 0 ? 0 : lo - 1);
    if (merge(set, at, lo, hi)) {
        return QUIC_OK;
    }
    quic_rc rc = reserve_one(set);
    if (rc == QUIC_OK) {
        insert_at(set, at, lo, hi);
    }
    return rc;
}

quic_rc quic_range_set_add_forget_slow(quic_range_set *set, uint64_t lo, uint64_t hi)
{
    quic_rc rc = quic_range_set_add_slow(set, lo, hi);
    if (rc == QUIC_OK) {
        return QUIC_OK;
    }
    if (set->count == 0) {
        return rc;
    }
    uint32_t at = quic_range_set_find(set, lo);
    if (at == 0) {
        return QUIC_OK; /* it would be the lowest itself */
    }
    take_out(set, 0, 1);
    insert_at(set, at - 1, lo, hi);
    return QUIC_OK;
}

quic_rc quic_range_set_subtract(quic_range_set *set, uint64_t lo, uint64_t hi)
{
    QURING_ASSERT(lo <= hi);
    uint32_t at = quic_range_set_find(set, lo);
    if (at == set->count || set->ranges[at].lo > hi) {
        return QUIC_OK;
    }
    if (set->ranges[at].lo < lo && set->ranges[at].hi > hi) { /* a hole in the middle of one */
        quic_rc rc = reserve_one(set);
        if (rc != QUIC_OK) {
            return rc;
        }
        insert_at(set, at + 1, hi + 1, set->ranges[at].hi);
        set->ranges[at].hi = lo - 1;
        return QUIC_OK;
    }
    if (set->ranges[at].lo < lo) {
        set->ranges[at].hi = lo - 1;
        at++;
    }
    uint32_t end = at;
    while (end < set->count && set->ranges[end].hi <= hi) {
        end++;
    }
    if (end > at) {
        take_out(set, at, end);
    }
    if (at < set->count && set->ranges[at].lo <= hi) {
        set->ranges[at].lo = hi + 1;
    }
    return QUIC_OK;
}

void quic_range_set_remove_below(quic_range_set *set, uint64_t bound)
{
    uint32_t at = quic_range_set_find(set, bound);
    if (at > 0) {
        take_out(set, 0, at);
    }
    if (set->count > 0 && set->ranges[0].lo < bound) {
        set->ranges[0].lo = bound;
    }
}

uint64_t quic_range_set_missing(const quic_range_set *set, uint64_t lo, uint64_t hi)
{
    QURING_ASSERT(lo <= hi && hi - lo < UINT64_MAX);
    uint64_t missing = hi - lo + 1;
    for (uint32_t i = quic_range_set_find(set, lo); i < set->count && set->ranges[i].lo <= hi;
         i++) {
        uint64_t from = set->ranges[i].lo > lo ? set->ranges[i].lo : lo;
        uint64_t to = set->ranges[i].hi < hi ? set->ranges[i].hi : hi;
        missing -= to - from + 1;
    }
    return missing;
}

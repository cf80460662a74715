#include "quic/base/range_set.h"

#include "quic/base/check.h"

#define RANGE_SET_CAP_MIN 4u

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

void quic_range_set_deinit(quic_range_set *set)
{
    if (set->mem != NULL) {
        quic_mem_free(set->mem, set->ranges, (size_t)set->cap * sizeof(*set->ranges));
    }
    set->ranges = NULL;
    set->count = 0;
    set->cap = 0;
    if (set->mem == NULL) {
        set->max = 0; /* lent storage does not come back */
    }
}

/* Makes sure that one more range has a place. */
static quic_rc reserve_one(quic_range_set *set)
{
    if (set->count >= set->max) {
        return QUIC_E_LIMIT;
    }
    if (set->count < set->cap) {
        return QUIC_OK;
    }
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
    quic_mem_free(set->mem, set->ranges, (size_t)set->cap * sizeof(*ranges));
    set->ranges = ranges;
    set->cap = cap;
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

/* Moves the ranges from `from` on so that they start at `to`; count follows. */
static void shift(quic_range_set *set, uint32_t from, uint32_t to)
{
    memmove(&set->ranges[to], &set->ranges[from],
            (size_t)(set->count - from) * sizeof(*set->ranges));
    set->count = set->count - from + to;
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
        shift(set, last + 1, first + 1);
    }
    return true;
}

static void insert_at(quic_range_set *set, uint32_t at, uint64_t lo, uint64_t hi)
{
    shift(set, at, at + 1);
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
    shift(set, 1, 0);
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
        shift(set, end, at);
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
        shift(set, at, 0);
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

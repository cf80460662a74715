#include "quic/crypto/anti_replay.h"

#include <stdatomic.h>

#include "quic/crypto/hash.h"

/* A slot holds the top 36 bits of an id's hash and the low 28 bits of the generation that wrote it. A
 * slot of an older generation counts as empty, so that a table is reused without being cleared. Slots
 * of one generation only fill up; a look-up may stop at the first one of another generation. */
#define GEN_BITS  28u
#define GEN_MASK  ((1ull << GEN_BITS) - 1)
#define GEN_FIRST 2u /* so that 0 and the generation before the first are old */
#define PROBE_MAX 64u

typedef _Atomic uint64_t slot_word;

struct quic_anti_replay {
    _Atomic uint64_t gen; /* the newest generation any thread saw begin; only grows */
    uint64_t mask;        /* slots - 1 */
    quic_ns window;
    quic_ns start; /* of generation GEN_FIRST */
    quic_ns accept_from;
    uint8_t key[16];
    slot_word slots[]; /* two tables */
};

_Static_assert(sizeof(slot_word) == sizeof(uint64_t), "slots are plain words");
_Static_assert(QUIC_ANTI_REPLAY_SLOTS_MIN >= PROBE_MAX, "a probe visits no slot twice");

size_t quic_anti_replay_size(uint32_t slots)
{
    if (slots < QUIC_ANTI_REPLAY_SLOTS_MIN || slots > QUIC_ANTI_REPLAY_SLOTS_MAX ||
        (slots & (slots - 1)) != 0) {
        return 0;
    }
    return sizeof(quic_anti_replay) + 2 * (size_t)slots * sizeof(slot_word);
}

quic_anti_replay *quic_anti_replay_init(void *memory, uint32_t slots, quic_ns window,
                                        const uint8_t key[16], quic_ns accept_from, quic_ns now)
{
    const size_t size = quic_anti_replay_size(slots);
    if (size == 0 || window < QUIC_ANTI_REPLAY_WINDOW_MIN ||
        (uintptr_t)memory % _Alignof(quic_anti_replay) != 0) {
        return NULL;
    }
    memset(memory, 0, size);
    quic_anti_replay *ar = (quic_anti_replay *)memory;
    ar->mask = slots - 1;
    ar->window = window;
    ar->start = now;
    ar->accept_from = accept_from;
    memcpy(ar->key, key, sizeof(ar->key));
    atomic_init(&ar->gen, GEN_FIRST);
    return ar;
}

/* When a generation began. */
static quic_ns gen_start(const quic_anti_replay *ar, uint64_t gen)
{
    return ar->start + (gen - GEN_FIRST) * ar->window;
}

/* enter_gen gives the generation of `now`, or a newer one that another thread has begun. */
static uint64_t enter_gen(quic_anti_replay *ar, quic_ns now)
{
    const uint64_t mine = GEN_FIRST + (now > ar->start ? (now - ar->start) / ar->window : 0);
    uint64_t gen = atomic_load(&ar->gen);
    while (gen < mine) {
        if (atomic_compare_exchange_weak(&ar->gen, &gen, mine)) {
            return mine;
        }
    }
    return gen;
}

static slot_word *table_of(quic_anti_replay *ar, uint64_t gen)
{
    return ar->slots + (gen & 1) * (ar->mask + 1);
}

static uint64_t word_of(uint64_t hash, uint64_t gen)
{
    return (hash & ~GEN_MASK) | (gen & GEN_MASK);
}

/* Is the word a newer generation's? One that is half of all numbers away is taken for old. */
static bool is_newer(uint64_t word, uint64_t gen)
{
    const uint64_t ahead = (word - gen) & GEN_MASK;
    return ahead != 0 && ahead < (GEN_MASK + 1) / 2;
}

static bool holds(quic_anti_replay *ar, uint64_t hash, uint64_t gen)
{
    slot_word *table = table_of(ar, gen);
    const uint64_t word = word_of(hash, gen);
    for (uint64_t i = 0; i < PROBE_MAX; i++) {
        const uint64_t seen = atomic_load(&table[(hash + i) & ar->mask]);
        if (seen == word) {
            return true;
        }
        if ((seen & GEN_MASK) != (gen & GEN_MASK)) {
            return false;
        }
    }
    return false;
}

/* Returns QUIC_OK when the id was not in the table of `gen` and now is; QUIC_E_DROP; QUIC_E_LIMIT. */
static quic_rc insert(quic_anti_replay *ar, uint64_t hash, uint64_t gen)
{
    slot_word *table = table_of(ar, gen);
    const uint64_t word = word_of(hash, gen);
    for (uint64_t i = 0; i < PROBE_MAX; i++) {
        slot_word *slot = &table[(hash + i) & ar->mask];
        uint64_t seen = atomic_load(slot);
        while ((seen & GEN_MASK) != (gen & GEN_MASK)) {
            if (is_newer(seen, gen)) {
                return QUIC_E_LIMIT; /* asleep for a window: this generation's table is gone */
            }
            if (atomic_compare_exchange_weak(slot, &seen, word)) {
                return QUIC_OK;
            }
        }
        if (seen == word) {
            return QUIC_E_DROP;
        }
    }
    return QUIC_E_LIMIT;
}

/* Is an id still good at `now`, which is not before the beginning of `gen`? */
static bool is_fresh(const quic_anti_replay *ar, quic_ns issued, quic_ns now, uint64_t gen)
{
    const quic_ns start = gen_start(ar, gen);
    const quic_ns then = now > start ? now : start;
    return issued >= ar->accept_from && issued <= now && then - issued <= ar->window;
}

/* Why no id passes twice. All atomic operations have one order. Two calls in the same generation meet
 * at the compare-and-swap of insert. Of two calls in generations g and g + 1, the later one inserts
 * before it looks into g's table, the earlier one inserts before it reads `gen` again: either the later
 * one sees the earlier one's entry, or the earlier one learns of g + 1 and looks there. Entries of g
 * are overwritten only in g + 2, and whatever was issued before the end of g is stale by then, also to
 * a thread whose clock lags: time never lies before the newest generation's beginning. */
quic_rc quic_anti_replay_take(quic_anti_replay *ar, const uint8_t *id, size_t len, quic_ns issued,
                              quic_ns now)
{
    const uint64_t gen = enter_gen(ar, now);
    if (!is_fresh(ar, issued, now, gen)) {
        return QUIC_E_STATE;
    }
    const uint64_t hash = quic_siphash(ar->key, id, len);
    const quic_rc rc = insert(ar, hash, gen);
    if (rc != QUIC_OK) {
        return rc;
    }
    if (holds(ar, hash, gen - 1)) {
        return QUIC_E_DROP;
    }
    const uint64_t latest = atomic_load(&ar->gen);
    if (latest == gen) {
        return QUIC_OK;
    }
    if (!is_fresh(ar, issued, now, latest)) {
        return QUIC_E_STATE;
    }
    if (holds(ar, hash, gen + 1)) {
        return QUIC_E_DROP;
    }
    /* Two generations on, what was looked at may be overwritten: this thread slept for a window. */
    return atomic_load(&ar->gen) == gen + 1 ? QUIC_OK : QUIC_E_LIMIT;
}

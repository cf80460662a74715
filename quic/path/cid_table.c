#include "quic/path/cid_table.h"

#include "quic/base/check.h"
#include "quic/crypto/hash.h"

#define CID_TABLE_CAP_MIN 64u

void quic_cid_table_init(quic_cid_table *table, quic_mem *mem, uint32_t max, const uint8_t key[16])
{
    memset(table, 0, sizeof(*table));
    table->mem = mem;
    table->max = max;
    memcpy(table->key, key, sizeof(table->key));
}

void quic_cid_table_deinit(quic_cid_table *table)
{
    quic_mem_free(table->mem, table->slots, (size_t)table->cap * sizeof(*table->slots));
    table->slots = NULL;
    table->cap = 0;
    table->count = 0;
}

static uint32_t home_of(const quic_cid_table *table, const uint8_t *bytes, size_t len)
{
    return (uint32_t)quic_siphash(table->key, bytes, len) & (table->cap - 1);
}

static inline bool holds(const quic_cid_slot *slot, const uint8_t *bytes, size_t len)
{
    return slot->len == len && memcmp(slot->bytes, bytes, len) == 0;
}

/* The slot that holds `bytes`, or the free slot where the search ended. Half of the slots are free,
 * so the walk ends. */
static quic_cid_slot *locate(const quic_cid_table *table, const uint8_t *bytes, size_t len)
{
    uint32_t i = home_of(table, bytes, len);
    for (;;) {
        quic_cid_slot *slot = &table->slots[i];
        if (slot->value == NULL || holds(slot, bytes, len)) {
            return slot;
        }
        i = (i + 1) & (table->cap - 1);
    }
}

static void place(quic_cid_slot *slot, const uint8_t *bytes, size_t len, void *value)
{
    slot->value = value;
    slot->len = (uint8_t)len;
    memcpy(slot->bytes, bytes, len);
}

static quic_rc grow(quic_cid_table *table)
{
    uint32_t old_cap = table->cap;
    quic_cid_slot *old = table->slots;
    uint32_t cap = old_cap == 0 ? CID_TABLE_CAP_MIN : old_cap * 2;
    quic_cid_slot *slots = quic_mem_zalloc(table->mem, (size_t)cap * sizeof(*slots));
    if (slots == NULL) {
        return QUIC_E_NOMEM;
    }
    table->slots = slots;
    table->cap = cap;
    for (uint32_t i = 0; i < old_cap; i++) {
        if (old[i].value != NULL) {
            place(locate(table, old[i].bytes, old[i].len), old[i].bytes, old[i].len, old[i].value);
        }
    }
    quic_mem_free(table->mem, old, (size_t)old_cap * sizeof(*old));
    return QUIC_OK;
}

quic_rc quic_cid_table_add(quic_cid_table *table, const uint8_t *bytes, size_t len, void *value)
{
    QURING_ASSERT(len >= 1 && len <= QUIC_CID_LEN_MAX && value != NULL);
    if (table->count >= table->max) {
        return QUIC_E_LIMIT;
    }
    if ((table->count + 1) * 3 > table->cap * 2) {
        quic_rc rc = grow(table);
        if (rc != QUIC_OK) {
            return rc;
        }
    }
    quic_cid_slot *slot = locate(table, bytes, len);
    if (slot->value != NULL) {
        return QUIC_E_STATE;
    }
    place(slot, bytes, len, value);
    table->count++;
    return QUIC_OK;
}

void quic_cid_table_remove(quic_cid_table *table, const uint8_t *bytes, size_t len)
{
    if (table->cap == 0 || len == 0 || len > QUIC_CID_LEN_MAX) {
        return;
    }
    quic_cid_slot *slot = locate(table, bytes, len);
    if (slot->value == NULL) {
        return;
    }
    table->count--;
    uint32_t mask = table->cap - 1;
    uint32_t hole = (uint32_t)(slot - table->slots);
    /* Move back whatever the hole would cut off from its home slot. */
    for (uint32_t i = (hole + 1) & mask; table->slots[i].value != NULL; i = (i + 1) & mask) {
        uint32_t home = home_of(table, table->slots[i].bytes, table->slots[i].len);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            table->slots[hole] = table->slots[i];
            hole = i;
        }
    }
    memset(&table->slots[hole], 0, sizeof(table->slots[hole]));
}

void *quic_cid_table_find(const quic_cid_table *table, const uint8_t *bytes, size_t len)
{
    if (table->cap == 0 || len == 0 || len > QUIC_CID_LEN_MAX) {
        return NULL;
    }
    return locate(table, bytes, len)->value;
}

void *quic_cid_table_find_hinted(const quic_cid_table *table, uint32_t *hint, const uint8_t *bytes,
                                 size_t len)
{
    if (table->cap == 0 || len == 0 || len > QUIC_CID_LEN_MAX) {
        return NULL;
    }
    const quic_cid_slot *slot = &table->slots[*hint & (table->cap - 1)];
    if (!holds(slot, bytes, len)) { /* a free slot has no length */
        slot = locate(table, bytes, len);
        *hint = (uint32_t)(slot - table->slots);
    }
    return slot->value;
}

uint32_t quic_cid_table_expect(const quic_cid_table *table, uint32_t hint, const uint8_t *bytes,
                               size_t len)
{
    if (table->cap == 0 || len == 0 || len > QUIC_CID_LEN_MAX) {
        return 0;
    }
    uint32_t at = hint & (table->cap - 1);
    if (!holds(&table->slots[at], bytes, len)) {
        at = home_of(table, bytes, len);
        __builtin_prefetch(&table->slots[at]);
    }
    return at;
}

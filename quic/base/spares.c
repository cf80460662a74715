#include "quic/base/spares.h"

#include "quic/base/check.h"

_Static_assert(QUIC_SPARES_BLOCK_MIN << (QUIC_SPARES_SIZES - 1) == QUIC_SPARES_BLOCK_MAX,
               "a list for each size");

void quic_spares_init(quic_spares *spares, quic_mem *mem)
{
    QURING_ASSERT(mem->parent == NULL);
    memset(spares, 0, sizeof(*spares));
    spares->mem = mem;
    mem->spares = spares;
}

void quic_spares_deinit(quic_spares *spares)
{
    for (uint32_t i = 0; i < QUIC_SPARES_SIZES; i++) {
        const size_t size = (size_t)QUIC_SPARES_BLOCK_MIN << i;
        while (spares->first[i] != NULL) { /* at most QUIC_SPARES_BYTES_MAX of them */
            quic_spare *spare = spares->first[i];
            spares->first[i] = spare->next;
            quic_mem_free(spares->mem, spare, size);
        }
    }
    spares->kept_bytes = 0;
    spares->mem->spares = NULL;
}

/* Where blocks of `size` bytes belong; NULL: nowhere. */
static quic_spare **list_of(quic_spares *spares, size_t size)
{
    if (spares == NULL || size < QUIC_SPARES_BLOCK_MIN || size > QUIC_SPARES_BLOCK_MAX) {
        return NULL;
    }
    return &spares->first[__builtin_ctzl(size / QUIC_SPARES_BLOCK_MIN)];
}

bool quic_spares_put_slow(quic_mem *mem, void *block, size_t size)
{
    quic_spares *spares = mem->spares;
    quic_spare **list = list_of(spares, size);
    if (list == NULL || size > QUIC_SPARES_BYTES_MAX - spares->kept_bytes) {
        return false;
    }
    QURING_DASSERT((size & (size - 1)) == 0);
    quic_spare *spare = block;
    spare->next = *list;
    *list = spare;
    spares->kept_bytes += (uint32_t)size;
    spares->used_bytes -= size;
    for (quic_mem *m = mem; m->parent != NULL; m = m->parent) {
        quic_mem_disown(m, size);
    }
    return true;
}

static void *take(quic_mem *mem, size_t size)
{
    quic_spares *spares = mem->spares;
    quic_spare **list = list_of(spares, size);
    if (list == NULL || *list == NULL) {
        return NULL;
    }
    for (quic_mem *m = mem; m->parent != NULL; m = m->parent) {
        if (!quic_mem_adopt(m, size)) {
            for (quic_mem *n = mem; n != m; n = n->parent) {
                quic_mem_disown(n, size);
            }
            return NULL;
        }
    }
    quic_spare *spare = *list;
    *list = spare->next;
    spares->kept_bytes -= (uint32_t)size;
    return spare;
}

void *quic_spares_alloc(quic_mem *mem, size_t size)
{
    void *block = take(mem, size);
    block = block != NULL ? block : quic_mem_alloc(mem, size);
    if (block != NULL && mem->spares != NULL) {
        mem->spares->used_bytes += size;
    }
    return block;
}

void quic_spares_free(quic_mem *mem, void *block, size_t size)
{
    if (block != NULL && mem->spares != NULL) {
        QURING_ASSERT(mem->spares->used_bytes >= size);
        mem->spares->used_bytes -= size;
    }
    quic_mem_free(mem, block, size);
}

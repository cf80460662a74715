#include "quic/base/mem.h"

#include "quic/base/check.h"

void quic_mem_init_root(quic_mem *mem, const quic_allocator *allocator, uint64_t limit_bytes)
{
    memset(mem, 0, sizeof(*mem));
    mem->allocator = *allocator;
    mem->limit_bytes = limit_bytes;
}

void quic_mem_init_child(quic_mem *mem, quic_mem *parent, uint64_t limit_bytes)
{
    memset(mem, 0, sizeof(*mem));
    mem->allocator = parent->allocator;
    mem->parent = parent;
    mem->spares = parent->spares;
    mem->limit_bytes = limit_bytes;
}

bool quic_mem_would_fit(const quic_mem *mem, size_t size)
{
    for (const quic_mem *m = mem; m != NULL; m = m->parent) {
        if (m->used_bytes > m->limit_bytes || size > m->limit_bytes - m->used_bytes) {
            return false;
        }
    }
    return true;
}

bool quic_mem_bulk_would_fit(const quic_mem *mem, size_t size)
{
    for (const quic_mem *m = mem; m != NULL; m = m->parent) {
        const uint64_t limit = m->limit_bytes - m->limit_bytes / QUIC_MEM_BULK_LEAVES;
        if (m->used_bytes > limit || size > limit - m->used_bytes) {
            return false;
        }
    }
    return true;
}

static void *take(quic_mem *mem, size_t size, bool fits)
{
    QURING_ASSERT(size > 0);
    void *ptr = fits ? mem->allocator.alloc(mem->allocator.ctx, size) : NULL;
    for (quic_mem *m = mem; m != NULL; m = m->parent) {
        if (ptr == NULL) {
            m->failure_count++;
            continue;
        }
        m->alloc_count++;
        m->used_bytes += size;
        if (m->used_bytes > m->peak_bytes) {
            m->peak_bytes = m->used_bytes;
        }
    }
    return ptr;
}

void *quic_mem_alloc(quic_mem *mem, size_t size)
{
    return take(mem, size, quic_mem_would_fit(mem, size));
}

void *quic_mem_alloc_bulk(quic_mem *mem, size_t size)
{
    return take(mem, size, quic_mem_bulk_would_fit(mem, size));
}

void *quic_mem_zalloc(quic_mem *mem, size_t size)
{
    void *ptr = quic_mem_alloc(mem, size);
    if (ptr != NULL) {
        memset(ptr, 0, size);
    }
    return ptr;
}

bool quic_mem_adopt(quic_mem *mem, size_t size)
{
    if (mem->used_bytes > mem->limit_bytes || size > mem->limit_bytes - mem->used_bytes) {
        mem->failure_count++;
        return false;
    }
    mem->used_bytes += size;
    if (mem->used_bytes > mem->peak_bytes) {
        mem->peak_bytes = mem->used_bytes;
    }
    return true;
}

void quic_mem_disown(quic_mem *mem, size_t size)
{
    QURING_ASSERT(mem->used_bytes >= size);
    mem->used_bytes -= size;
}

void quic_mem_free(quic_mem *mem, void *ptr, size_t size)
{
    if (ptr == NULL) {
        return;
    }
    for (quic_mem *m = mem; m != NULL; m = m->parent) {
        QURING_ASSERT(m->used_bytes >= size);
        m->used_bytes -= size;
    }
    mem->allocator.free(mem->allocator.ctx, ptr, size);
}

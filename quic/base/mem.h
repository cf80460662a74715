/* quic/base/mem.h: the one choke point for memory of the core.
 *
 * Shape:  a tree of accounts: an endpoint's holds the allocator, each connection's charges its parent
 *         too. Every allocation of quic/ (BoringSSL's own excepted) goes through quic_mem_alloc.
 * Owner:  one worker; no locks. `free` is given the size that was asked for.
 */
#ifndef QUIC_BASE_MEM_H
#define QUIC_BASE_MEM_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where memory comes from. alloc returns 16-byte aligned memory of any content, or NULL. */
typedef struct quic_allocator {
    void *(*alloc)(void *ctx, size_t size);
    void (*free)(void *ctx, void *ptr, size_t size);
    void *ctx;
} quic_allocator;

typedef struct quic_mem {
    struct quic_mem *parent; /* charged as well; NULL for the root */
    quic_allocator allocator;
    uint64_t used_bytes;
    uint64_t peak_bytes;
    uint64_t limit_bytes;
    uint64_t alloc_count; /* allocations ever, for tests that prove the packet path makes none */
    uint64_t failure_count;
    struct quic_spares *spares; /* quic/base/spares.h; NULL: none */
} quic_mem;

/* quic_mem_init_root makes an account over `allocator`; quic_mem_init_child one under `parent`, which
 * must outlive it. limit_bytes bounds used_bytes. */
void quic_mem_init_root(quic_mem *mem, const quic_allocator *allocator, uint64_t limit_bytes);
void quic_mem_init_child(quic_mem *mem, quic_mem *parent, uint64_t limit_bytes);

/* quic_mem_alloc gives `size` (> 0) bytes of any content, or NULL when the account, one of its
 * parents, or the allocator refuses; failure_count then grows. quic_mem_zalloc clears them. */
QUIC_NODISCARD void *quic_mem_alloc(quic_mem *mem, size_t size);
QUIC_NODISCARD void *quic_mem_zalloc(quic_mem *mem, size_t size);

/* quic_mem_alloc_bulk is quic_mem_alloc for what can wait, as a buffer that would like to be larger: it leaves a part
 * (1 / QUIC_MEM_BULK_LEAVES) of every limit of the tree to what cannot. */
QUIC_NODISCARD void *quic_mem_alloc_bulk(quic_mem *mem, size_t size);
#define QUIC_MEM_BULK_LEAVES 8u

/* quic_mem_free gives back what quic_mem_alloc gave, with the same size. ptr may be NULL (no-op). */
void quic_mem_free(quic_mem *mem, void *ptr, size_t size);

/* quic_mem_wipe clears what held a secret, and is not optimised away before a free. */
static inline void quic_mem_wipe(void *ptr, size_t size)
{
    memset(ptr, 0, size);
    __asm__ volatile("" : : "r"(ptr) : "memory");
}

/* quic_mem_adopt charges `mem` for a block of `size` bytes that so far only its parent is charged for, and that is
 * given back to `mem` from now on. False: over its limit; failure_count then grows and nothing else changes. */
QUIC_NODISCARD bool quic_mem_adopt(quic_mem *mem, size_t size);

/* quic_mem_disown is the reverse: only the parent is charged for the block from now on. */
void quic_mem_disown(quic_mem *mem, size_t size);

/* quic_mem_would_fit says whether `size` more bytes stay below every limit of the tree; quic_mem_bulk_would_fit whether
 * quic_mem_alloc_bulk would give them. */
bool quic_mem_would_fit(const quic_mem *mem, size_t size);
bool quic_mem_bulk_would_fit(const quic_mem *mem, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_BASE_MEM_H */

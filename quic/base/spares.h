/* quic/base/spares.h: blocks of memory between two users, for buffers that are empty most of the time.
 *
 * Shape:  a list of free blocks per size, the one put last first: whoever takes one finds it in a near cache, and ten
 *         thousand streams that are read at once need no more of them than are full together.
 * Owner:  the endpoint; all accounts below its own find it. They are charged while they use a block, the endpoint's
 *         also while nobody does. An account without one keeps its blocks.
 */
#ifndef QUIC_BASE_SPARES_H
#define QUIC_BASE_SPARES_H

#include "quic/base/mem.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_SPARES_BLOCK_MIN 8192u   /* sizes are powers of two from here... */
#define QUIC_SPARES_BLOCK_MAX 131072u /* ... up to two trains */
#define QUIC_SPARES_SIZES     5u
/* That nobody uses: of what one batch of receive buffers fills. */
#define QUIC_SPARES_BYTES_MAX (2u << 20)
/* In use: as long as they are no more, users do as well with their own. */
#define QUIC_SPARES_NEAR_BYTES (1u << 20)

typedef struct quic_spare {
    struct quic_spare *next;
} quic_spare;

typedef struct quic_spares {
    quic_mem *mem;
    quic_spare *first[QUIC_SPARES_SIZES];
    uint32_t kept_bytes;
    uint64_t used_bytes; /* of blocks somebody has */
} quic_spares;

/* quic_spares_init makes `mem`, a root, and all accounts made under it from now on use `spares`, which stays where
 * it is and outlives them. quic_spares_deinit frees what nobody uses. */
void quic_spares_init(quic_spares *spares, quic_mem *mem);
void quic_spares_deinit(quic_spares *spares);

/* quic_spares_alloc and quic_spares_free are quic_mem_alloc and quic_mem_free for blocks of a power of two bytes, which
 * may come from the spares. */
QUIC_NODISCARD void *quic_spares_alloc(quic_mem *mem, size_t size);
void quic_spares_free(quic_mem *mem, void *block, size_t size);

/* quic_spares_put_slow is for quic_spares_put. */
QUIC_NODISCARD bool quic_spares_put_slow(quic_mem *mem, void *block, size_t size);

/* quic_spares_put gives a block away to whoever needs one. False: it is not wanted and stays the caller's. */
QUIC_NODISCARD static inline bool quic_spares_put(quic_mem *mem, void *block, size_t size)
{
    return mem->spares != NULL && mem->spares->used_bytes > QUIC_SPARES_NEAR_BYTES &&
           quic_spares_put_slow(mem, block, size);
}

#ifdef __cplusplus
}
#endif

#endif /* QUIC_BASE_SPARES_H */

/* runtime/io/tx_arena.h: room for sends: a few 64 KiB slots used in turn, and the descriptors of the
 * sends carved out of them.
 *
 * Shape:   small sends share a slot: each takes what it wrote. A slot is empty again when every send in it
 *          is done; the current one is preferred, so that little memory is touched (slots and receive
 *          buffers together stay inside L2).
 * Owner:   one I/O back end.
 */
#ifndef RUNTIME_IO_TX_ARENA_H
#define RUNTIME_IO_TX_ARENA_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "quic/base/io.h"
#include "runtime/udp/cmsg.h"
#include "runtime/udp/sockaddr.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RT_TX_OP_NONE UINT32_MAX

/* One send: a GSO train or a single datagram. */
typedef struct rt_tx_op {
    struct msghdr hdr;
    struct iovec iov;
    rt_sockaddr remote;
    uint64_t control[RT_CMSG_TX_BYTES / sizeof(uint64_t)];
    quic_path_addr path;
    uint64_t conn; /* quic_tx_unit.conn of what it carries */
    uint32_t len;
    uint32_t seg_len;
    uint32_t next; /* in a list of ops; RT_TX_OP_NONE ends it */
    uint16_t slot;
    uint8_t ecn;
    bool alone; /* of its unit */
    bool plain; /* repeated (or sent) one datagram at a time; iov is what is left */
} rt_tx_op;

typedef struct rt_tx_slot {
    uint32_t used; /* bytes given away */
    uint32_t refs; /* ops not done */
} rt_tx_slot;

typedef struct rt_tx_list {
    uint32_t head;
    uint32_t tail;
} rt_tx_list;

typedef struct rt_tx_arena {
    uint8_t *mem;
    rt_tx_slot *slots;
    rt_tx_op *ops;
    uint32_t slot_count;
    uint32_t op_count;
    uint32_t current;
    uint32_t free_head;
    uint32_t in_flight; /* ops taken and not done */
} rt_tx_arena;

/* rt_tx_arena_init returns false without memory (or for counts of 0). */
QUIC_NODISCARD bool rt_tx_arena_init(rt_tx_arena *arena, uint32_t slot_count, uint32_t op_count);
void rt_tx_arena_deinit(rt_tx_arena *arena);

/* rt_tx_arena_buf finds at least `min_room` bytes; false when every slot or op is taken. */
bool rt_tx_arena_buf(rt_tx_arena *arena, quic_tx_unit *out, uint32_t min_room);

/* rt_tx_arena_take makes an op of what was written into the last rt_tx_arena_buf; its hdr is not
 * filled yet. rt_tx_arena_done gives op and room back. */
rt_tx_op *rt_tx_arena_take(rt_tx_arena *arena, const quic_tx_unit *unit);
void rt_tx_arena_done(rt_tx_arena *arena, rt_tx_op *op);

/* rt_tx_arena_join makes what was written into the last rt_tx_arena_buf part of `op` instead, the last one taken,
 * which the kernel has not seen yet: 1-RTT packets of several connections to one address leave as one train.
 * False (nothing changed) when they do not make one: another way or mark, segments of another size, long headers,
 * one that is to be alone, or too many. */
bool rt_tx_arena_join(rt_tx_arena *arena, rt_tx_op *op, const quic_tx_unit *unit);

static inline uint32_t rt_tx_arena_index(const rt_tx_arena *arena, const rt_tx_op *op)
{
    return (uint32_t)(op - arena->ops);
}

/* Lists of ops, first in, first out. */
static inline void rt_tx_list_init(rt_tx_list *list)
{
    list->head = RT_TX_OP_NONE;
    list->tail = RT_TX_OP_NONE;
}

static inline bool rt_tx_list_is_empty(const rt_tx_list *list)
{
    return list->head == RT_TX_OP_NONE;
}

void rt_tx_list_push(rt_tx_list *list, rt_tx_arena *arena, rt_tx_op *op);
rt_tx_op *rt_tx_list_pop(rt_tx_list *list, rt_tx_arena *arena); /* NULL: empty */

#ifdef __cplusplus
}
#endif

#endif /* RUNTIME_IO_TX_ARENA_H */

#include "runtime/io/tx_arena.h"

#include <stdlib.h>

#include "quic/base/check.h"
#include "runtime/io/io.h"

#define SLOT_ALIGN  4096u
#define LONG_HEADER 0x80u /* RFC 8999 5.1 */

bool rt_tx_arena_init(rt_tx_arena *arena, uint32_t slot_count, uint32_t op_count)
{
    memset(arena, 0, sizeof(*arena));
    if (slot_count == 0 || op_count == 0) {
        return false;
    }
    size_t bytes = (size_t)slot_count * RT_IO_TX_SLOT_BYTES;
    arena->mem = aligned_alloc(SLOT_ALIGN, bytes);
    arena->slots = calloc(slot_count, sizeof(*arena->slots));
    arena->ops = calloc(op_count, sizeof(*arena->ops));
    if (arena->mem == NULL || arena->slots == NULL || arena->ops == NULL) {
        rt_tx_arena_deinit(arena);
        return false;
    }
    memset(arena->mem, 0, bytes); /* pages are there before the first packet */
    arena->slot_count = slot_count;
    arena->op_count = op_count;
    for (uint32_t i = 0; i < op_count; i++) {
        arena->ops[i].next = i + 1 < op_count ? i + 1 : RT_TX_OP_NONE;
    }
    return true;
}

void rt_tx_arena_deinit(rt_tx_arena *arena)
{
    free(arena->mem);
    free(arena->slots);
    free(arena->ops);
    memset(arena, 0, sizeof(*arena));
}

bool rt_tx_arena_buf(rt_tx_arena *arena, quic_tx_unit *out, uint32_t min_room)
{
    QURING_ASSERT(min_room <= RT_IO_UNIT_BYTES_MAX);
    if (arena->free_head == RT_TX_OP_NONE) {
        return false;
    }
    rt_tx_slot *slot = &arena->slots[arena->current];
    if (slot->refs == 0) {
        slot->used = 0;
    }
    if (RT_IO_TX_SLOT_BYTES - slot->used < min_room) {
        uint32_t next = arena->current + 1 < arena->slot_count ? arena->current + 1 : 0;
        slot = &arena->slots[next];
        if (slot->refs != 0) {
            return false;
        }
        slot->used = 0;
        arena->current = next;
    }
    uint32_t room = RT_IO_TX_SLOT_BYTES - slot->used;
    memset(out, 0, sizeof(*out));
    out->buf = arena->mem + (size_t)arena->current * RT_IO_TX_SLOT_BYTES + slot->used;
    out->cap = room < RT_IO_UNIT_BYTES_MAX ? room : RT_IO_UNIT_BYTES_MAX;
    out->seg_max = RT_IO_SEGS_MAX;
    return true;
}

rt_tx_op *rt_tx_arena_take(rt_tx_arena *arena, const quic_tx_unit *unit)
{
    rt_tx_slot *slot = &arena->slots[arena->current];
    uint8_t *start = arena->mem + (size_t)arena->current * RT_IO_TX_SLOT_BYTES + slot->used;
    QURING_ASSERT(arena->free_head != RT_TX_OP_NONE && unit->buf == start);
    QURING_ASSERT(unit->len > 0 && unit->len <= RT_IO_TX_SLOT_BYTES - slot->used);
    QURING_ASSERT(unit->seg_len > 0 && unit->seg_len <= unit->len);
    rt_tx_op *op = &arena->ops[arena->free_head];
    arena->free_head = op->next;
    op->next = RT_TX_OP_NONE;
    op->path = unit->path;
    op->conn = unit->conn;
    op->len = unit->len;
    op->seg_len = unit->seg_len;
    op->ecn = unit->ecn;
    op->alone = unit->alone;
    op->slot = (uint16_t)arena->current;
    op->plain = false;
    op->iov.iov_base = start;
    op->iov.iov_len = unit->len;
    slot->used += unit->len;
    slot->refs++;
    arena->in_flight++;
    return op;
}

/* Initials take long to make and to answer: nobody is to wait for a batch of them. */
static bool is_handshake(const rt_tx_op *op, const quic_tx_unit *unit)
{
    return ((*(const uint8_t *)op->iov.iov_base | unit->buf[0]) & LONG_HEADER) != 0;
}

static bool is_same_way(const rt_tx_op *op, const quic_tx_unit *unit)
{
    return op->ecn == unit->ecn && op->path.socket == unit->path.socket &&
           quic_addr_equal(&op->path.remote, &unit->path.remote) &&
           quic_addr_equal(&op->path.local, &unit->path.local);
}

bool rt_tx_arena_join(rt_tx_arena *arena, rt_tx_op *op, const quic_tx_unit *unit)
{
    const uint32_t len = op->len + unit->len;
    const uint32_t seg_len = op->seg_len;
    if (len > RT_IO_UNIT_BYTES_MAX || unit->seg_len > seg_len ||
        (unit->seg_len < seg_len && unit->len > unit->seg_len) || op->slot != arena->current ||
        unit->buf != (uint8_t *)op->iov.iov_base + op->len || op->plain || op->alone ||
        unit->alone || is_handshake(op, unit) || !is_same_way(op, unit)) {
        return false;
    }
    if (op->len % seg_len != 0 || len > seg_len * RT_IO_SEGS_SURE) {
        return false;
    }
    op->len = len;
    op->iov.iov_len = len;
    op->conn = op->conn == unit->conn ? op->conn : QUIC_TX_CONN_MANY;
    arena->slots[op->slot].used += unit->len;
    return true;
}

void rt_tx_arena_done(rt_tx_arena *arena, rt_tx_op *op)
{
    rt_tx_slot *slot = &arena->slots[op->slot];
    QURING_ASSERT(slot->refs > 0 && arena->in_flight > 0);
    slot->refs--;
    arena->in_flight--;
    op->next = arena->free_head;
    arena->free_head = rt_tx_arena_index(arena, op);
}

void rt_tx_list_push(rt_tx_list *list, rt_tx_arena *arena, rt_tx_op *op)
{
    uint32_t index = rt_tx_arena_index(arena, op);
    op->next = RT_TX_OP_NONE;
    if (list->head == RT_TX_OP_NONE) {
        list->head = index;
    } else {
        arena->ops[list->tail].next = index;
    }
    list->tail = index;
}

rt_tx_op *rt_tx_list_pop(rt_tx_list *list, rt_tx_arena *arena)
{
    if (list->head == RT_TX_OP_NONE) {
        return NULL;
    }
    rt_tx_op *op = &arena->ops[list->head];
    list->head = op->next;
    op->next = RT_TX_OP_NONE;
    return op;
}

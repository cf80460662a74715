#include "quic/stream/stream_table.h"

#include "quic/base/check.h"

#define TABLE_CAP_MIN         16u
#define TABLE_HASH_MULTIPLIER 0x9e3779b97f4a7c15ull
#define TRIM_PER_ALLOC        8u /* streams looked at for room, that an allocation pays for */

/* ---- the slots: open addressing, linear probing, at most half full --------------------------- */

static uint32_t slot_home(const quic_stream_table *table, uint64_t id)
{
    return (uint32_t)((id * table->hash_key) >> 32) & (table->cap - 1);
}

static quic_stream *slots_find(const quic_stream_table *table, uint64_t id)
{
    if (table->cap == 0) {
        return NULL;
    }
    uint32_t i = slot_home(table, id);
    while (table->slots[i] != NULL && table->slots[i]->id != id) {
        i = (i + 1) & (table->cap - 1);
    }
    return table->slots[i];
}

static void slots_put(quic_stream_table *table, quic_stream *s)
{
    uint32_t i = slot_home(table, s->id);
    while (table->slots[i] != NULL) {
        i = (i + 1) & (table->cap - 1);
    }
    table->slots[i] = s;
}

static quic_rc slots_reserve(quic_stream_table *table)
{
    if (table->live_count * 2 < table->cap) {
        return QUIC_OK;
    }
    uint32_t cap = table->cap != 0 ? table->cap * 2 : TABLE_CAP_MIN;
    quic_stream **slots = quic_mem_zalloc(table->mem, cap * sizeof(quic_stream *));
    if (slots == NULL) {
        return QUIC_E_NOMEM;
    }
    quic_mem_free(table->mem, table->slots, table->cap * sizeof(quic_stream *));
    table->slots = slots;
    table->cap = cap;
    for (quic_stream *s = quic_stream_table_first(table); s != NULL;
         s = quic_stream_table_next(table, s)) {
        slots_put(table, s);
    }
    return QUIC_OK;
}

/* Back-shifting: whatever probed past the freed slot moves up. */
static void slots_remove(quic_stream_table *table, const quic_stream *s)
{
    uint32_t mask = table->cap - 1;
    uint32_t hole = slot_home(table, s->id);
    while (table->slots[hole] != s) {
        QURING_ASSERT(table->slots[hole] != NULL);
        hole = (hole + 1) & mask;
    }
    for (uint32_t i = (hole + 1) & mask; table->slots[i] != NULL; i = (i + 1) & mask) {
        uint32_t home = slot_home(table, table->slots[i]->id);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            table->slots[hole] = table->slots[i];
            hole = i;
        }
    }
    table->slots[hole] = NULL;
}

/* ---- stream objects -------------------------------------------------------------------------- */

static void object_free(quic_stream_table *table, quic_stream *s)
{
    quic_stream_deinit(s);
    quic_mem_free(table->mem, s, sizeof(*s));
}

/* A spare object keeps its first, small rings: short streams then allocate nothing. */
static void object_release(quic_stream_table *table, quic_stream *s)
{
    if (table->free_count == QUIC_STREAM_FREE_MAX) {
        object_free(table, s);
        return;
    }
    uint8_t *send_ring = NULL;
    uint8_t *recv_ring = NULL;
    if (s->send.ring_cap == QUIC_SEND_RING_MIN) {
        send_ring = s->send.ring;
        s->send.ring = NULL;
        s->send.ring_cap = 0;
    }
    if (s->recv.ring_cap == QUIC_RECV_RING_MIN) {
        recv_ring = s->recv.ring;
        s->recv.ring = NULL;
        s->recv.ring_cap = 0;
    }
    quic_stream_deinit(s);
    quic_stream_init(s, table->mem, 0, table->limits.gaps_max);
    s->send.ring = send_ring;
    s->send.ring_cap = send_ring != NULL ? QUIC_SEND_RING_MIN : 0;
    s->recv.ring = recv_ring;
    s->recv.ring_cap = recv_ring != NULL ? QUIC_RECV_RING_MIN : 0;
    quic_list_push_front(&table->free, &s->table_node);
    table->free_count++;
}

static quic_stream *object_acquire(quic_stream_table *table, uint64_t id)
{
    quic_list_node *node = quic_list_pop_front(&table->free);
    if (node != NULL) {
        table->free_count--;
        quic_stream *s = QUIC_CONTAINER_OF(node, quic_stream, table_node);
        s->id = id;
        return s;
    }
    quic_stream *s = quic_mem_alloc(table->mem, sizeof(*s));
    if (s != NULL) {
        quic_stream_init(s, table->mem, id, table->limits.gaps_max);
    }
    return s;
}

/* RFC 9000 18.2: the peer knows a first limit for each kind of stream. */
static uint64_t recv_window(const quic_stream_limits *limits, uint64_t id, bool local)
{
    uint64_t special = quic_stream_id_is_uni(id) ? limits->recv_window_uni_bytes
                       : local                   ? limits->recv_window_local_bytes
                                                 : 0;
    return QUIC_UNLIKELY(special != 0) ? special : limits->recv_window_bytes;
}

/* Makes the object of `id`, with the halves its type has (RFC 9000 2.1, 3.4). */
static quic_stream *stream_create(quic_stream_table *table, uint64_t id)
{
    if (slots_reserve(table) != QUIC_OK) {
        return NULL;
    }
    quic_stream *s = object_acquire(table, id);
    if (s == NULL) {
        return NULL;
    }
    bool local = quic_stream_id_is_local(id, table->role);
    if (local || !quic_stream_id_is_uni(id)) {
        s->send_state = QUIC_SEND_READY;
        s->send_buf_bytes = table->limits.send_buf_bytes;
        quic_flow_send_init(&s->send_flow, table->types[quic_stream_id_type(id)].send_limit);
    }
    if (!local || !quic_stream_id_is_uni(id)) {
        s->recv_state = QUIC_RECV_RECV;
        quic_flow_recv_init(&s->recv_flow, recv_window(&table->limits, id, local),
                            table->limits.recv_window_max_bytes);
    }
    slots_put(table, s);
    quic_list_push_back(&table->all, &s->table_node);
    table->live_count++;
    return s;
}

/* Undoes stream_create; what is known of the id is the caller's business. */
static void stream_destroy(quic_stream_table *table, quic_stream *s)
{
    QURING_ASSERT(!s->scheduled && !quic_list_is_linked(&s->ctrl_node) &&
                  !quic_list_is_linked(&s->event_node));
    if (table->last == s) {
        table->last = NULL;
    }
    if (table->trim_at == s) {
        table->trim_at = quic_stream_table_next(table, s);
    }
    slots_remove(table, s);
    quic_list_remove(&s->table_node);
    table->live_count--;
    object_release(table, s);
}

/* ---- life of the table ----------------------------------------------------------------------- */

static quic_stream_type_state *type_state(quic_stream_table *table, bool local, bool uni)
{
    bool server = (table->role == QUIC_SERVER) == local;
    return &table->types[(server ? QUIC_STREAM_ID_SERVER : 0u) | (uni ? QUIC_STREAM_ID_UNI : 0u)];
}

static const quic_stream_type_state *type_state_const(const quic_stream_table *table, bool local,
                                                      bool uni)
{
    bool server = (table->role == QUIC_SERVER) == local;
    return &table->types[(server ? QUIC_STREAM_ID_SERVER : 0u) | (uni ? QUIC_STREAM_ID_UNI : 0u)];
}

void quic_stream_table_init(quic_stream_table *table, quic_mem *mem, quic_role role,
                            const quic_stream_limits *limits, uint64_t hash_key)
{
    memset(table, 0, sizeof(*table));
    table->mem = mem;
    table->role = role;
    table->limits = *limits;
    table->hash_key = (hash_key ^ TABLE_HASH_MULTIPLIER) | 1;
    quic_list_init(&table->all);
    quic_list_init(&table->free);
    for (size_t i = 0; i < 4; i++) {
        quic_range_set_init(&table->types[i].waiting, mem, QUIC_STREAMS_SKIPPED_MAX);
    }
    quic_stream_type_state *bidi = type_state(table, false, false);
    bidi->window = limits->streams_bidi_max;
    bidi->max = bidi->window;
    quic_stream_type_state *uni = type_state(table, false, true);
    uni->window = limits->streams_uni_max;
    uni->max = uni->window;
}

static void free_spares(quic_stream_table *table)
{
    quic_list_node *node;
    while ((node = quic_list_pop_front(&table->free)) != NULL) {
        table->free_count--;
        object_free(table, QUIC_CONTAINER_OF(node, quic_stream, table_node));
    }
}

void quic_stream_table_deinit(quic_stream_table *table)
{
    quic_list_node *node;
    while ((node = quic_list_pop_front(&table->all)) != NULL) {
        object_free(table, QUIC_CONTAINER_OF(node, quic_stream, table_node));
    }
    free_spares(table);
    for (size_t i = 0; i < 4; i++) {
        quic_range_set_deinit(&table->types[i].waiting);
    }
    quic_mem_free(table->mem, table->slots, table->cap * sizeof(quic_stream *));
    table->slots = NULL;
    table->cap = 0;
    table->live_count = 0;
    table->last = NULL;
    table->trim_at = NULL;
}

void quic_stream_table_trim(quic_stream_table *table)
{
    free_spares(table);
    for (quic_stream *s = quic_stream_table_first(table); s != NULL;
         s = quic_stream_table_next(table, s)) {
        quic_stream_trim(s);
    }
}

void quic_stream_table_make_room(quic_stream_table *table)
{
    uint32_t count = table->live_count;
    if (table->mem->alloc_count - table->trim_allocs >= count / TRIM_PER_ALLOC) {
        table->trim_allocs = table->mem->alloc_count;
    } else if (count > QUIC_STREAM_TRIM_MAX) {
        count = QUIC_STREAM_TRIM_MAX;
    }
    free_spares(table);
    for (; count > 0; count--) {
        quic_stream *s = table->trim_at != NULL ? table->trim_at : quic_stream_table_first(table);
        quic_stream_trim(s);
        table->trim_at = quic_stream_table_next(table, s);
    }
}

/* ---- our streams ----------------------------------------------------------------------------- */

static bool raise(uint64_t *value, uint64_t to)
{
    if (to <= *value) {
        return false;
    }
    *value = to;
    return true;
}

bool quic_stream_table_set_peer_limits(quic_stream_table *table,
                                       const quic_stream_peer_limits *peer)
{
    quic_stream_type_state *bidi = type_state(table, true, false);
    quic_stream_type_state *uni = type_state(table, true, true);
    quic_stream_type_state *theirs = type_state(table, false, false);
    bool grew = raise(&bidi->max, peer->max_streams_bidi);
    grew = raise(&uni->max, peer->max_streams_uni) || grew;
    grew = raise(&bidi->send_limit, peer->max_stream_data_bidi_remote) || grew;
    grew = raise(&uni->send_limit, peer->max_stream_data_uni) || grew;
    grew = raise(&theirs->send_limit, peer->max_stream_data_bidi_local) || grew;
    for (quic_stream *s = quic_stream_table_first(table); s != NULL;
         s = quic_stream_table_next(table, s)) {
        if (s->send_state != QUIC_SEND_NONE) {
            uint64_t limit = table->types[quic_stream_id_type(s->id)].send_limit;
            (void)quic_flow_send_on_limit(&s->send_flow, limit);
        }
    }
    return grew;
}

void quic_stream_table_forget_peer_limits(quic_stream_table *table)
{
    for (uint32_t i = 0; i < 4; i++) {
        quic_stream_type_state *type = &table->types[i];
        type->send_limit = 0;
        type->blocked_at = 0;
        if (quic_stream_id_is_local(i, table->role)) {
            type->max = 0;
        }
    }
}

quic_rc quic_stream_table_open(quic_stream_table *table, quic_stream **out, bool uni)
{
    quic_stream_type_state *type = type_state(table, true, uni);
    if (type->opened >= type->max) {
        return QUIC_E_AGAIN; /* RFC 9000 4.6 */
    }
    uint64_t id = type->opened << 2 | (uint64_t)(type - table->types);
    quic_stream *s = stream_create(table, id);
    if (s == NULL) {
        return QUIC_E_NOMEM;
    }
    type->opened++;
    *out = s;
    return QUIC_OK;
}

bool quic_stream_table_on_max_streams(quic_stream_table *table, bool uni, uint64_t max)
{
    return raise(&type_state(table, true, uni)->max, max);
}

bool quic_stream_table_blocked_due(quic_stream_table *table, bool uni)
{
    quic_stream_type_state *type = type_state(table, true, uni);
    if (type->blocked_at == type->max + 1) {
        return false;
    }
    type->blocked_at = type->max + 1;
    return true;
}

bool quic_stream_table_is_blocked(const quic_stream_table *table, bool uni)
{
    const quic_stream_type_state *type = type_state_const(table, true, uni);
    return type->blocked_at == type->max + 1;
}

uint64_t quic_stream_table_local_max(const quic_stream_table *table, bool uni)
{
    return type_state_const(table, true, uni)->max;
}

/* ---- the peer's streams ---------------------------------------------------------------------- */

/* The peer names stream `seq` of its own for the first time, below or at the frontier. */
static quic_rc open_by_peer(quic_stream_table *table, quic_stream **out,
                            quic_stream_type_state *type, uint64_t id)
{
    uint64_t seq = id >> 2;
    quic_stream *s = stream_create(table, id);
    if (s == NULL) {
        return QUIC_E_NOMEM;
    }
    quic_rc rc = QUIC_OK;
    if (seq < type->opened) {
        rc = quic_range_set_subtract(&type->waiting, seq, seq);
    } else if (seq > type->opened) { /* RFC 9000 3.2: lower ones of the type open with it */
        rc = quic_range_set_add(&type->waiting, type->opened, seq - 1);
    }
    if (rc != QUIC_OK) {
        stream_destroy(table, s);
        return rc;
    }
    if (seq >= type->opened) {
        type->opened = seq + 1;
    }
    *out = s;
    return QUIC_OK;
}

quic_rc quic_stream_table_on_frame_slow(quic_stream_table *table, quic_stream **out,
                                        bool *out_opened, uint64_t id, quic_stream_side side)
{
    bool local = quic_stream_id_is_local(id, table->role);
    if (quic_stream_id_is_uni(id) && local == (side == QUIC_STREAM_SIDE_RECV)) {
        return QUIC_V_STREAM_STATE; /* RFC 9000 19.4, 19.5, 19.8, 19.10, 19.13: wrong direction */
    }
    *out_opened = false;
    *out = slots_find(table, id);
    if (*out != NULL) {
        table->last = *out;
        return QUIC_OK;
    }
    quic_stream_type_state *type = &table->types[quic_stream_id_type(id)];
    uint64_t seq = id >> 2;
    if (local) {
        if (seq >= type->opened) {
            return QUIC_V_STREAM_STATE; /* not ours to have opened */
        }
        return QUIC_OK; /* closed */
    }
    if (seq >= type->max) {
        return QUIC_V_STREAM_LIMIT; /* RFC 9000 4.6 */
    }
    if (seq < type->opened && !quic_range_set_contains(&type->waiting, seq)) {
        return QUIC_OK; /* closed */
    }
    quic_rc rc = open_by_peer(table, out, type, id);
    if (rc != QUIC_OK) {
        return rc;
    }
    table->last = *out;
    *out_opened = true;
    return QUIC_OK;
}

quic_stream *quic_stream_table_find(quic_stream_table *table, uint64_t id)
{
    if (table->last != NULL && table->last->id == id) {
        return table->last;
    }
    quic_stream *s = slots_find(table, id);
    if (s != NULL) {
        table->last = s;
    }
    return s;
}

bool quic_stream_table_max_streams_due(const quic_stream_table *table, bool uni)
{
    const quic_stream_type_state *type = type_state_const(table, false, uni);
    uint64_t gained = quic_stream_table_next_max_streams(table, uni) - type->max;
    return gained != 0 && (gained >= type->window / 4 || type->blocked_at == type->max + 1);
}

bool quic_stream_table_on_peer_blocked(quic_stream_table *table, bool uni, uint64_t limit)
{
    quic_stream_type_state *type = type_state(table, false, uni);
    if (limit != type->max) {
        return false; /* of old, or made up */
    }
    type->blocked_at = limit + 1;
    return quic_stream_table_max_streams_due(table, uni);
}

uint64_t quic_stream_table_next_max_streams(const quic_stream_table *table, bool uni)
{
    const quic_stream_type_state *type = type_state_const(table, false, uni);
    uint64_t next = type->closed + type->window;
    next = next < QUIC_STREAMS_MAX ? next : QUIC_STREAMS_MAX;
    return next > type->max ? next : type->max;
}

uint64_t quic_stream_table_peer_max(const quic_stream_table *table, bool uni)
{
    return type_state_const(table, false, uni)->max;
}

void quic_stream_table_on_max_streams_sent(quic_stream_table *table, bool uni, uint64_t max)
{
    (void)raise(&type_state(table, false, uni)->max, max);
}

bool quic_stream_table_close(quic_stream_table *table, quic_stream *s)
{
    bool local = quic_stream_id_is_local(s->id, table->role);
    bool uni = quic_stream_id_is_uni(s->id);
    table->types[quic_stream_id_type(s->id)].closed++;
    stream_destroy(table, s);
    return !local && quic_stream_table_max_streams_due(table, uni);
}

/* ---- iteration ------------------------------------------------------------------------------- */

quic_stream *quic_stream_table_first(const quic_stream_table *table)
{
    quic_list_node *node = quic_list_front(&table->all);
    return node != NULL ? QUIC_CONTAINER_OF(node, quic_stream, table_node) : NULL;
}

quic_stream *quic_stream_table_next(const quic_stream_table *table, const quic_stream *s)
{
    quic_list_node *node = quic_list_next(&table->all, &s->table_node);
    return node != NULL ? QUIC_CONTAINER_OF(node, quic_stream, table_node) : NULL;
}

#include "quic/path/cid_peer.h"

#include "quic/base/check.h"

void quic_cid_peer_init(quic_cid_peer *set, const quic_cid *initial, uint8_t active_max)
{
    QURING_ASSERT(active_max >= 2 && active_max <= QUIC_CID_PEER_MAX);
    memset(set, 0, sizeof(*set));
    set->active_max = active_max;
    set->seen_bits = 1;
    set->entries[0].used = true;
    set->entries[0].cid = *initial;
    set->zero_length = initial->len == 0;
}

void quic_cid_peer_set_initial(quic_cid_peer *set, const quic_cid *cid)
{
    QURING_ASSERT(set->current == 0 && set->entries[0].seq == 0);
    set->entries[0].cid = *cid;
    set->zero_length = cid->len == 0;
}

void quic_cid_peer_set_token(quic_cid_peer *set, const uint8_t token[QUIC_RESET_TOKEN_LEN])
{
    for (size_t i = 0; i < QUIC_CID_PEER_MAX; i++) {
        if (set->entries[i].used && set->entries[i].seq == 0) {
            memcpy(set->entries[i].reset_token, token, QUIC_RESET_TOKEN_LEN);
            set->entries[i].has_token = true;
        }
    }
}

/* Queues a RETIRE_CONNECTION_ID; false when twice as many wait as may be active at once: the peer
 * makes us retire and does not acknowledge it (RFC 9000 5.1.2). */
static bool queue_retire(quic_cid_peer *set, uint64_t seq)
{
    quic_cid_peer_retire *free_slot = NULL;
    for (size_t i = 0; i < 2u * set->active_max; i++) {
        quic_cid_peer_retire *r = &set->retire[i];
        if (r->used && r->seq == seq) {
            return true;
        }
        if (!r->used && free_slot == NULL) {
            free_slot = r;
        }
    }
    if (free_slot == NULL) {
        return false;
    }
    *free_slot = (quic_cid_peer_retire){.seq = seq, .used = true, .to_send = true};
    set->to_send_count++;
    return true;
}

/* The connection ID itself stays as it was: should none take its place, the close is still addressed to it. */
static void drop_entry(quic_cid_peer_entry *entry, quic_cid_peer_change *out)
{
    if (entry->has_token) {
        memcpy(out->dropped_tokens[out->dropped_count++], entry->reset_token, QUIC_RESET_TOKEN_LEN);
    }
    entry->used = false;
    entry->reserved = false;
    entry->has_token = false;
}

static bool is_better(const quic_cid_peer_entry *e, const quic_cid_peer_entry *than)
{
    if (than == NULL || e->reserved != than->reserved) {
        return than == NULL || than->reserved;
    }
    return e->seq < than->seq;
}

/* The current one was retired: one that no other path uses takes its place, if there is one. */
static quic_rc replace_current(quic_cid_peer *set)
{
    const quic_cid_peer_entry *next = NULL;
    for (size_t i = 0; i < QUIC_CID_PEER_MAX; i++) {
        const quic_cid_peer_entry *e = &set->entries[i];
        if (e->used && is_better(e, next)) {
            next = e;
        }
    }
    if (next == NULL) {
        return QUIC_V_PROTOCOL_VIOLATION; /* the peer retired all it gave us */
    }
    set->current = (uint8_t)(next - set->entries);
    set->entries[set->current].reserved = false;
    return QUIC_OK;
}

/* Whether the number was issued before; from now on it was. One that was retired since may come again,
 * in a packet that is late. */
static bool note_seen(quic_cid_peer *set, uint64_t seq)
{
    if (seq > set->seen_top) {
        uint64_t ahead = seq - set->seen_top;
        set->seen_bits = ahead < 64 ? set->seen_bits << ahead | 1 : 1;
        set->seen_top = seq;
        return false;
    }
    uint64_t behind = set->seen_top - seq;
    if (behind >= 64) {
        return true;
    }
    uint64_t bit = 1ull << behind;
    bool seen = (set->seen_bits & bit) != 0;
    set->seen_bits |= bit;
    return seen;
}

/* RFC 9000 19.15: a number, a connection ID and its token belong together. */
static bool is_consistent(const quic_cid_peer *set, uint64_t seq, const quic_cid *cid,
                          const uint8_t token[QUIC_RESET_TOKEN_LEN])
{
    for (size_t i = 0; i < QUIC_CID_PEER_MAX; i++) {
        const quic_cid_peer_entry *e = &set->entries[i];
        if (!e->used) {
            continue;
        }
        bool same_cid = quic_cid_equal(&e->cid, cid);
        bool same_token = e->has_token && memcmp(e->reset_token, token, QUIC_RESET_TOKEN_LEN) == 0;
        if ((e->seq == seq) != same_cid || (e->seq == seq && !same_token)) {
            return false;
        }
    }
    return true;
}

static quic_rc retire_prior(quic_cid_peer *set, quic_cid_peer_change *out)
{
    for (size_t i = 0; i < QUIC_CID_PEER_MAX; i++) {
        quic_cid_peer_entry *e = &set->entries[i];
        if (!e->used || e->seq >= set->retire_prior_to) {
            continue;
        }
        if (!queue_retire(set, e->seq)) {
            return QUIC_V_CONNECTION_ID_LIMIT;
        }
        out->current_changed = out->current_changed || i == set->current;
        drop_entry(e, out);
    }
    return QUIC_OK;
}

static quic_rc add_entry(quic_cid_peer *set, quic_cid_peer_change *out, uint64_t seq,
                         const quic_cid *cid, const uint8_t token[QUIC_RESET_TOKEN_LEN])
{
    quic_cid_peer_entry *slot = NULL;
    uint8_t active = 0;
    for (size_t i = 0; i < QUIC_CID_PEER_MAX; i++) {
        active = (uint8_t)(active + (set->entries[i].used ? 1 : 0));
        if (!set->entries[i].used && slot == NULL) {
            slot = &set->entries[i];
        }
    }
    if (active >= set->active_max || slot == NULL) {
        return QUIC_V_CONNECTION_ID_LIMIT; /* RFC 9000 5.1.1 */
    }
    *slot = (quic_cid_peer_entry){.seq = seq, .cid = *cid, .used = true, .has_token = true};
    memcpy(slot->reset_token, token, QUIC_RESET_TOKEN_LEN);
    out->added = true;
    memcpy(out->added_token, token, QUIC_RESET_TOKEN_LEN);
    return QUIC_OK;
}

quic_rc quic_cid_peer_on_new(quic_cid_peer *set, quic_cid_peer_change *out, uint64_t seq,
                             uint64_t retire_prior_to, const quic_cid *cid,
                             const uint8_t token[QUIC_RESET_TOKEN_LEN])
{
    memset(out, 0, sizeof(*out));
    if (set->zero_length || !is_consistent(set, seq, cid, token)) {
        return QUIC_V_PROTOCOL_VIOLATION; /* RFC 9000 19.15 */
    }
    if (retire_prior_to > set->retire_prior_to) {
        set->retire_prior_to = retire_prior_to;
    }
    quic_rc rc = retire_prior(set, out); /* RFC 9000 5.1.2: retire before adding */
    const bool seen = note_seen(set, seq);
    out->useless = seen && out->dropped_count == 0;
    if (rc == QUIC_OK && !seen) {
        if (seq >= set->retire_prior_to) {
            rc = add_entry(set, out, seq, cid, token);
        } else if (!queue_retire(set, seq)) { /* RFC 9000 19.15: arrives already retired */
            rc = QUIC_V_CONNECTION_ID_LIMIT;
        }
    }
    return rc == QUIC_OK && out->current_changed ? replace_current(set) : rc;
}

quic_cid_peer_entry *quic_cid_peer_find(quic_cid_peer *set, uint64_t seq)
{
    for (size_t i = 0; i < QUIC_CID_PEER_MAX; i++) {
        if (set->entries[i].used && set->entries[i].seq == seq) {
            return &set->entries[i];
        }
    }
    return NULL;
}

const quic_cid_peer_entry *quic_cid_peer_spare(const quic_cid_peer *set)
{
    const quic_cid_peer_entry *best = NULL;
    for (size_t i = 0; i < QUIC_CID_PEER_MAX && !set->zero_length; i++) {
        const quic_cid_peer_entry *e = &set->entries[i];
        if (e->used && !e->reserved && i != set->current && (best == NULL || e->seq < best->seq)) {
            best = e;
        }
    }
    return best;
}

quic_cid_peer_entry *quic_cid_peer_reserve(quic_cid_peer *set)
{
    const quic_cid_peer_entry *spare = quic_cid_peer_spare(set);
    if (spare == NULL) {
        return NULL;
    }
    quic_cid_peer_entry *entry = &set->entries[spare - set->entries];
    entry->reserved = true;
    return entry;
}

bool quic_cid_peer_use(quic_cid_peer *set, uint64_t seq)
{
    quic_cid_peer_entry *entry = quic_cid_peer_find(set, seq);
    if (entry == NULL) {
        return false;
    }
    set->entries[set->current].reserved = true;
    entry->reserved = false;
    set->current = (uint8_t)(entry - set->entries);
    return true;
}

bool quic_cid_peer_give_back(quic_cid_peer *set, uint64_t seq, quic_cid_peer_entry *out)
{
    quic_cid_peer_entry *entry = quic_cid_peer_find(set, seq);
    if (entry == NULL || entry == &set->entries[set->current] || !queue_retire(set, seq)) {
        return false;
    }
    *out = *entry;
    memset(entry, 0, sizeof(*entry));
    return true;
}

bool quic_cid_peer_next_retire(quic_cid_peer *set, uint64_t *out_seq)
{
    if (set->to_send_count == 0) {
        return false;
    }
    for (size_t i = 0; i < QUIC_CID_PEER_RETIRE_MAX; i++) {
        quic_cid_peer_retire *r = &set->retire[i];
        if (r->used && r->to_send) {
            r->to_send = false;
            set->to_send_count--;
            *out_seq = r->seq;
            return true;
        }
    }
    return false;
}

static quic_cid_peer_retire *find_retire(quic_cid_peer *set, uint64_t seq)
{
    for (size_t i = 0; i < QUIC_CID_PEER_RETIRE_MAX; i++) {
        if (set->retire[i].used && set->retire[i].seq == seq) {
            return &set->retire[i];
        }
    }
    return NULL;
}

void quic_cid_peer_retire_acked(quic_cid_peer *set, uint64_t seq)
{
    quic_cid_peer_retire *r = find_retire(set, seq);
    if (r != NULL) {
        set->to_send_count = (uint8_t)(set->to_send_count - (r->to_send ? 1 : 0));
        r->used = false;
        r->to_send = false;
    }
}

void quic_cid_peer_retire_lost(quic_cid_peer *set, uint64_t seq)
{
    quic_cid_peer_retire *r = find_retire(set, seq);
    if (r != NULL && !r->to_send) {
        r->to_send = true;
        set->to_send_count++;
    }
}

#include "quic/path/cid_peer.h"

#include "quic/base/check.h"

void quic_cid_peer_init(quic_cid_peer *set, const quic_cid *initial, uint8_t active_max)
{
    QURING_ASSERT(active_max >= 2 && active_max <= QUIC_CID_PEER_MAX);
    memset(set, 0, sizeof(*set));
    set->active_max = active_max;
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

/* Queues a RETIRE_CONNECTION_ID; false when the list is full. */
static bool queue_retire(quic_cid_peer *set, uint64_t seq)
{
    quic_cid_peer_retire *free_slot = NULL;
    for (size_t i = 0; i < QUIC_CID_PEER_RETIRE_MAX; i++) {
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

static void drop_entry(quic_cid_peer_entry *entry, quic_cid_peer_change *out)
{
    if (entry->has_token) {
        memcpy(out->dropped_tokens[out->dropped_count++], entry->reset_token, QUIC_RESET_TOKEN_LEN);
    }
    memset(entry, 0, sizeof(*entry));
}

quic_rc quic_cid_peer_on_new(quic_cid_peer *set, quic_cid_peer_change *out, uint64_t seq,
                             uint64_t retire_prior_to, const quic_cid *cid,
                             const uint8_t token[QUIC_RESET_TOKEN_LEN])
{
    memset(out, 0, sizeof(*out));
    if (set->zero_length) {
        return QUIC_V_PROTOCOL_VIOLATION; /* RFC 9000 19.15 */
    }
    bool known = false;
    for (size_t i = 0; i < QUIC_CID_PEER_MAX; i++) {
        const quic_cid_peer_entry *e = &set->entries[i];
        if (!e->used) {
            continue;
        }
        bool same_cid = quic_cid_equal(&e->cid, cid);
        bool same_token = e->has_token && memcmp(e->reset_token, token, QUIC_RESET_TOKEN_LEN) == 0;
        if ((e->seq == seq) != same_cid || (e->seq == seq && !same_token)) {
            return QUIC_V_PROTOCOL_VIOLATION; /* RFC 9000 19.15 */
        }
        known = known || e->seq == seq;
    }
    if (retire_prior_to > set->retire_prior_to) {
        set->retire_prior_to = retire_prior_to;
    }
    for (size_t i = 0; i < QUIC_CID_PEER_MAX; i++) { /* RFC 9000 5.1.2: retire before adding */
        quic_cid_peer_entry *e = &set->entries[i];
        if (e->used && e->seq < set->retire_prior_to) {
            if (!queue_retire(set, e->seq)) {
                return QUIC_V_CONNECTION_ID_LIMIT;
            }
            if (i == set->current) {
                out->current_changed = true;
            }
            drop_entry(e, out);
        }
    }
    if (!known) {
        if (seq < set->retire_prior_to) { /* RFC 9000 19.15: arrives already retired */
            if (!queue_retire(set, seq)) {
                return QUIC_V_CONNECTION_ID_LIMIT;
            }
        } else {
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
        }
    }
    if (out->current_changed) {
        bool found = false;
        for (size_t i = 0; i < QUIC_CID_PEER_MAX && !found; i++) {
            if (set->entries[i].used) {
                set->current = (uint8_t)i;
                found = true;
            }
        }
        if (!found) {
            return QUIC_V_PROTOCOL_VIOLATION; /* the peer retired all it gave us */
        }
    }
    return QUIC_OK;
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

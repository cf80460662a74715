#include "quic/path/cid_local.h"

#include "quic/base/bytes.h"
#include "quic/base/check.h"

void quic_cid_local_init(quic_cid_local *set, uint8_t len)
{
    QURING_ASSERT(len >= 1 && len <= QUIC_CID_LEN_MAX);
    memset(set, 0, sizeof(*set));
    set->len = len;
}

uint64_t quic_cid_local_tag(const quic_cid_local *set, const uint8_t *cid)
{
    uint64_t tag = 0;
    if (set->len >= sizeof(tag)) {
        return quic_load_be64(cid + set->len - sizeof(tag));
    }
    for (uint8_t i = 0; i < set->len; i++) {
        tag = tag << 8 | cid[i];
    }
    return tag;
}

quic_cid_local_entry *quic_cid_local_add(quic_cid_local *set, const uint8_t *bytes, bool announce)
{
    for (size_t i = 0; i < QUIC_CID_LOCAL_MAX; i++) {
        quic_cid_local_entry *entry = &set->entries[i];
        if (!entry->used) {
            entry->used = true;
            entry->to_send = announce;
            entry->seq = set->next_seq++;
            memcpy(entry->bytes, bytes, set->len);
            set->live_count++;
            set->to_send_count = (uint8_t)(set->to_send_count + (announce ? 1 : 0));
            set->untold_count = announce ? (uint8_t)(set->untold_count + 1) : 0;
            return entry;
        }
    }
    return NULL;
}

static void clear_to_send(quic_cid_local *set, quic_cid_local_entry *entry)
{
    if (entry->to_send) {
        entry->to_send = false;
        set->to_send_count--;
    }
}

quic_rc quic_cid_local_retire(quic_cid_local *set, quic_cid_local_entry *out, uint64_t seq,
                              const uint8_t *dcid, size_t dcid_len)
{
    if (seq >= set->next_seq - set->untold_count) {
        /* RFC 9000 19.16: never sent. Each that goes makes the next: numbers that are only guessed would go on. */
        return QUIC_V_PROTOCOL_VIOLATION;
    }
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < QUIC_CID_LOCAL_MAX; i++) {
        quic_cid_local_entry *entry = &set->entries[i];
        if (!entry->used || entry->seq != seq) {
            continue;
        }
        if (dcid_len == set->len && memcmp(entry->bytes, dcid, dcid_len) == 0) {
            return QUIC_V_PROTOCOL_VIOLATION; /* RFC 9000 19.16: the CID in use by this packet */
        }
        clear_to_send(set, entry);
        *out = *entry;
        entry->used = false;
        set->live_count--;
        return QUIC_OK;
    }
    return QUIC_OK; /* retired before: a retransmission */
}

quic_cid_local_entry *quic_cid_local_next_to_send(quic_cid_local *set)
{
    if (set->to_send_count == 0) {
        return NULL;
    }
    for (size_t i = 0; i < QUIC_CID_LOCAL_MAX; i++) {
        if (set->entries[i].used && set->entries[i].to_send) {
            return &set->entries[i];
        }
    }
    return NULL;
}

void quic_cid_local_sent(quic_cid_local *set, quic_cid_local_entry *entry)
{
    clear_to_send(set, entry);
    const uint64_t above = set->next_seq - entry->seq - 1;
    set->untold_count = above < set->untold_count ? (uint8_t)above : set->untold_count;
}

void quic_cid_local_lost(quic_cid_local *set, uint64_t seq)
{
    for (size_t i = 0; i < QUIC_CID_LOCAL_MAX; i++) {
        quic_cid_local_entry *entry = &set->entries[i];
        if (entry->used && entry->seq == seq && !entry->to_send) {
            entry->to_send = true;
            set->to_send_count++;
        }
    }
}

#include "quic/crypto/sni_table.h"

#include <openssl/mem.h>

#define LABEL_LEN_MAX 63u /* RFC 1035 2.3.4 */

typedef struct sni_entry {
    uint32_t value;
    bool wildcard; /* `name` is what follows "*." */
    char name[QUIC_SNI_NAME_LEN_MAX + 1];
} sni_entry;

struct quic_sni_table {
    uint32_t cap;
    uint32_t count;
    sni_entry entries[]; /* exact names before wildcards, each kind in order */
};

quic_sni_table *quic_sni_table_create(uint32_t cap)
{
    const size_t size = sizeof(quic_sni_table) + cap * sizeof(sni_entry);
    quic_sni_table *table = (quic_sni_table *)OPENSSL_malloc(size);
    if (table != NULL) {
        memset(table, 0, size);
        table->cap = cap;
    }
    return table;
}

void quic_sni_table_destroy(quic_sni_table *table)
{
    OPENSSL_free(table);
}

static bool is_label_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* normalize writes `text` in small letters and without a final dot to `out`. False: not the name of
 * a host. The last label of one is not a number (RFC 1123 2.1), as that of an IPv4 address is. */
static bool normalize(char out[QUIC_SNI_NAME_LEN_MAX + 1], const char *text)
{
    size_t len = strnlen(text, QUIC_SNI_NAME_LEN_MAX + 2);
    if (len > 0 && text[len - 1] == '.') {
        len--;
    }
    if (len == 0 || len > QUIC_SNI_NAME_LEN_MAX) {
        return false;
    }
    size_t label_len = 0;
    bool numeric = true;
    for (size_t i = 0; i < len; i++) {
        const char c = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + ('a' - 'A')) : text[i];
        if (c == '.') {
            if (label_len == 0) {
                return false;
            }
            label_len = 0;
            numeric = true;
        } else if (!is_label_char(c) || ++label_len > LABEL_LEN_MAX) {
            return false;
        } else if (c < '0' || c > '9') {
            numeric = false;
        }
        out[i] = c;
    }
    out[len] = '\0';
    return label_len > 0 && !numeric;
}

static int compare(const sni_entry *entry, bool wildcard, const char *name)
{
    if (entry->wildcard != wildcard) {
        return entry->wildcard ? 1 : -1;
    }
    return strcmp(entry->name, name);
}

/* The place of a name in the order; *out_found says whether it is taken. */
static uint32_t locate(const quic_sni_table *table, bool wildcard, const char *name,
                       bool *out_found)
{
    uint32_t low = 0;
    uint32_t high = table->count;
    *out_found = false;
    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        const int order = compare(&table->entries[mid], wildcard, name);
        if (order == 0) {
            *out_found = true;
            return mid;
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

quic_rc quic_sni_table_add(quic_sni_table *table, const char *pattern, uint32_t value)
{
    char name[QUIC_SNI_NAME_LEN_MAX + 1];
    const bool wildcard = strncmp(pattern, "*.", 2) == 0;
    if (!normalize(name, wildcard ? pattern + 2 : pattern)) {
        return QUIC_E_INVAL;
    }
    bool found;
    const uint32_t at = locate(table, wildcard, name, &found);
    if (found) {
        return QUIC_E_STATE;
    }
    if (table->count == table->cap) {
        return QUIC_E_LIMIT;
    }
    sni_entry *entry = &table->entries[at];
    memmove(entry + 1, entry, (table->count - at) * sizeof(*entry));
    entry->value = value;
    entry->wildcard = wildcard;
    memcpy(entry->name, name, sizeof(name));
    table->count++;
    return QUIC_OK;
}

uint32_t quic_sni_table_find(const quic_sni_table *table, const char *name)
{
    char plain[QUIC_SNI_NAME_LEN_MAX + 1];
    if (!normalize(plain, name)) {
        return QUIC_SNI_NONE;
    }
    bool found;
    uint32_t at = locate(table, false, plain, &found);
    if (!found) {
        const char *dot = strchr(plain, '.');
        if (dot == NULL) {
            return QUIC_SNI_NONE;
        }
        at = locate(table, true, dot + 1, &found);
    }
    return found ? table->entries[at].value : QUIC_SNI_NONE;
}

/* quic/crypto/sni_table.h: which identity answers to which server name.
 *
 * Shape:  two sorted arrays in one allocation: names, and names below a wildcard. A lookup is at most
 *         two binary searches, the whole name first.
 * Owner:  quic_tls_boring_config; immutable once filled.
 * Spec:   RFC 6066 3 (host names: no case, no final dot, no addresses), RFC 6125 6.4.3 (a wildcard is
 *         the whole first label and stands for exactly one).
 */
#ifndef QUIC_CRYPTO_SNI_TABLE_H
#define QUIC_CRYPTO_SNI_TABLE_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_SNI_NAME_LEN_MAX 253u
#define QUIC_SNI_NONE         UINT32_MAX

typedef struct quic_sni_table quic_sni_table;

/* quic_sni_table_create makes an empty table for at most `cap` names; NULL without memory. */
quic_sni_table *quic_sni_table_create(uint32_t cap);
void quic_sni_table_destroy(quic_sni_table *table); /* NULL is a no-op */

/* quic_sni_table_add enters `pattern`, "www.example.com" or "*.example.com", for `value`.
 * Returns QUIC_OK; QUIC_E_INVAL (not a host name, or an address: no client sends it as a name);
 * QUIC_E_STATE (it is there already); QUIC_E_LIMIT (full). */
QUIC_NODISCARD quic_rc quic_sni_table_add(quic_sni_table *table, const char *pattern,
                                          uint32_t value);

/* quic_sni_table_find gives the value for the name a client asked for, the exact one before a
 * wildcard; QUIC_SNI_NONE when there is none. */
uint32_t quic_sni_table_find(const quic_sni_table *table, const char *name);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_SNI_TABLE_H */

/* quic/path/reset_table.h: from a peer's stateless reset token to its connection.
 *
 * Shape:  a cid_table of what a cipher makes of the tokens, under a key of its own: how long a look-up compares
 *         tells something about that, and nothing about a token.
 * Owner:  an endpoint; one worker; no locks.    Spec: RFC 9000 10.3.1.
 */
#ifndef QUIC_PATH_RESET_TABLE_H
#define QUIC_PATH_RESET_TABLE_H

#include "quic/crypto/aes_block.h"
#include "quic/path/cid_table.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quic_reset_table {
    quic_cid_table table;
    quic_aes_block aes;
} quic_reset_table;

/* quic_reset_table_init makes an empty table of at most `max` tokens, keyed with 16 random bytes. */
void quic_reset_table_init(quic_reset_table *tokens, quic_mem *mem, uint32_t max,
                           const uint8_t key[16]);
void quic_reset_table_deinit(quic_reset_table *tokens);

/* As those of cid_table.h: _add returns QUIC_OK; QUIC_E_STATE (already there); QUIC_E_LIMIT; QUIC_E_NOMEM. */
QUIC_NODISCARD quic_rc quic_reset_table_add(quic_reset_table *tokens,
                                            const uint8_t token[QUIC_RESET_TOKEN_LEN], void *value);
void quic_reset_table_remove(quic_reset_table *tokens, const uint8_t token[QUIC_RESET_TOKEN_LEN]);
void *quic_reset_table_find(const quic_reset_table *tokens,
                            const uint8_t token[QUIC_RESET_TOKEN_LEN]);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_PATH_RESET_TABLE_H */

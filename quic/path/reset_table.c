#include "quic/path/reset_table.h"

_Static_assert(QUIC_RESET_TOKEN_LEN == QUIC_AES_BLOCK_LEN, "a token is one block");

void quic_reset_table_init(quic_reset_table *tokens, quic_mem *mem, uint32_t max,
                           const uint8_t key[16])
{
    uint8_t hash_key[16] = {0};
    quic_aes_block_init(&tokens->aes, key);
    quic_aes_block_encrypt(&tokens->aes, hash_key, hash_key);
    quic_cid_table_init(&tokens->table, mem, max, hash_key);
}

void quic_reset_table_deinit(quic_reset_table *tokens)
{
    quic_cid_table_deinit(&tokens->table);
}

quic_rc quic_reset_table_add(quic_reset_table *tokens, const uint8_t token[QUIC_RESET_TOKEN_LEN],
                             void *value)
{
    uint8_t hidden[QUIC_RESET_TOKEN_LEN];
    quic_aes_block_encrypt(&tokens->aes, hidden, token);
    return quic_cid_table_add(&tokens->table, hidden, sizeof(hidden), value);
}

void quic_reset_table_remove(quic_reset_table *tokens, const uint8_t token[QUIC_RESET_TOKEN_LEN])
{
    uint8_t hidden[QUIC_RESET_TOKEN_LEN];
    quic_aes_block_encrypt(&tokens->aes, hidden, token);
    quic_cid_table_remove(&tokens->table, hidden, sizeof(hidden));
}

void *quic_reset_table_find(const quic_reset_table *tokens,
                            const uint8_t token[QUIC_RESET_TOKEN_LEN])
{
    uint8_t hidden[QUIC_RESET_TOKEN_LEN];
    quic_aes_block_encrypt(&tokens->aes, hidden, token);
    return quic_cid_table_find(&tokens->table, hidden, sizeof(hidden));
}

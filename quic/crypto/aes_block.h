/* quic/crypto/aes_block.h: AES-128 of single blocks, for constructions that build on the bare cipher.
 *
 * Shape:  one object holds both key schedules; plain memory, nothing to release.
 * Owner:  the caller; read-only after init, any thread.    Not for packets: see quic/crypto/keys.h.
 */
#ifndef QUIC_CRYPTO_AES_BLOCK_H
#define QUIC_CRYPTO_AES_BLOCK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_AES_BLOCK_LEN 16u

typedef struct quic_aes_block {
    uint64_t enc[32];
    uint64_t dec[32];
} quic_aes_block;

/* quic_aes_block_init expands a 16-byte key. */
void quic_aes_block_init(quic_aes_block *aes, const uint8_t key[16]);

/* quic_aes_block_encrypt and _decrypt: one block; dst == src is allowed. */
void quic_aes_block_encrypt(const quic_aes_block *aes, uint8_t dst[16], const uint8_t src[16]);
void quic_aes_block_decrypt(const quic_aes_block *aes, uint8_t dst[16], const uint8_t src[16]);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_AES_BLOCK_H */

#include "quic/crypto/aes_block.h"

#include <string.h>

#include <openssl/aes.h>

_Static_assert(sizeof(AES_KEY) <= sizeof(((quic_aes_block *)0)->enc), "the schedule fits");

void quic_aes_block_init(quic_aes_block *aes, const uint8_t key[16])
{
    memset(aes, 0, sizeof(*aes));
    (void)AES_set_encrypt_key(key, 128, (AES_KEY *)(void *)aes->enc);
    (void)AES_set_decrypt_key(key, 128, (AES_KEY *)(void *)aes->dec);
}

void quic_aes_block_encrypt(const quic_aes_block *aes, uint8_t dst[16], const uint8_t src[16])
{
    AES_encrypt(src, dst, (const AES_KEY *)(const void *)aes->enc);
}

void quic_aes_block_decrypt(const quic_aes_block *aes, uint8_t dst[16], const uint8_t src[16])
{
    AES_decrypt(src, dst, (const AES_KEY *)(const void *)aes->dec);
}

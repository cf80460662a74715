#include "quic/crypto/retry.h"

#include <openssl/aead.h>
#include <openssl/err.h>
#include <openssl/mem.h>

quic_rc quic_retry_tag_make(uint8_t out[QUIC_AEAD_TAG_LEN], const quic_cid *original_dcid,
                            const uint8_t *packet, size_t len)
{
    /* Fixed by RFC 9001 5.8: the tag detects accidents, it keeps no secret. */
    static const uint8_t key[16] = {0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a,
                                    0x1d, 0x76, 0x6b, 0x54, 0xe3, 0x68, 0xc8, 0x4e};
    static const uint8_t nonce[12] = {0x46, 0x15, 0x99, 0xd3, 0x5d, 0x63,
                                      0x2b, 0xf2, 0x23, 0x98, 0x25, 0xbb};
    if (len > QUIC_RETRY_PACKET_LEN_MAX || original_dcid->len > QUIC_CID_LEN_MAX) {
        return QUIC_E_INVAL;
    }
    uint8_t pseudo[1 + QUIC_CID_LEN_MAX + QUIC_RETRY_PACKET_LEN_MAX];
    size_t n = 0;
    pseudo[n++] = original_dcid->len;
    memcpy(pseudo + n, original_dcid->bytes, original_dcid->len);
    n += original_dcid->len;
    memcpy(pseudo + n, packet, len);
    n += len;

    EVP_AEAD_CTX ctx;
    EVP_AEAD_CTX_zero(&ctx);
    size_t out_len = 0;
    const bool ok = EVP_AEAD_CTX_init(&ctx, EVP_aead_aes_128_gcm(), key, sizeof(key),
                                      QUIC_AEAD_TAG_LEN, NULL) &&
                    EVP_AEAD_CTX_seal(&ctx, out, &out_len, QUIC_AEAD_TAG_LEN, nonce, sizeof(nonce),
                                      NULL, 0, pseudo, n);
    EVP_AEAD_CTX_cleanup(&ctx);
    if (!ok) {
        ERR_clear_error();
        return QUIC_E_CRYPTO;
    }
    return QUIC_OK;
}

bool quic_retry_tag_check(const quic_cid *original_dcid, const uint8_t *packet, size_t len)
{
    uint8_t tag[QUIC_AEAD_TAG_LEN];
    if (len < QUIC_AEAD_TAG_LEN) {
        return false;
    }
    const size_t body = len - QUIC_AEAD_TAG_LEN;
    return quic_retry_tag_make(tag, original_dcid, packet, body) == QUIC_OK &&
           CRYPTO_memcmp(tag, packet + body, sizeof(tag)) == 0;
}

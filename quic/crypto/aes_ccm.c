#include "quic/crypto/aes_ccm.h"

#include <openssl/mem.h>

#include "quic/base/check.h"

#define BLOCK ((size_t)AES_BLOCK_SIZE)

bool quic_aes_ccm_init(quic_aes_ccm *ccm, const uint8_t *key, unsigned tag_len, unsigned nonce_len)
{
    if (tag_len < 4 || tag_len > BLOCK || tag_len % 2 != 0 || nonce_len < 7 ||
        nonce_len > QUIC_AES_CCM_NONCE_MAX) {
        return false;
    }
    ccm->tag_len = (uint8_t)tag_len;
    ccm->nonce_len = (uint8_t)nonce_len;
    return AES_set_encrypt_key(key, 8 * QUIC_AES_CCM_KEY_LEN, &ccm->key) == 0;
}

void quic_aes_ccm_deinit(quic_aes_ccm *ccm)
{
    OPENSSL_cleanse(ccm, sizeof(*ccm));
}

static void xor_block(uint8_t *mac, const uint8_t *p, size_t len)
{
    if (len == BLOCK) {
        uint64_t a[2];
        uint64_t b[2];
        memcpy(a, mac, BLOCK);
        memcpy(b, p, BLOCK);
        a[0] ^= b[0];
        a[1] ^= b[1];
        memcpy(mac, a, BLOCK);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        mac[i] ^= p[i];
    }
}

/* mac_bytes goes on with a CBC-MAC whose current block already holds `used` bytes (0..15); the last
 * block counts as filled with zeros. */
static void mac_bytes(const quic_aes_ccm *ccm, uint8_t mac[16], size_t used, const uint8_t *p,
                      size_t len)
{
    if (used > 0) {
        const size_t head = len < BLOCK - used ? len : BLOCK - used;
        for (size_t i = 0; i < head; i++) {
            mac[used + i] ^= p[i];
        }
        AES_encrypt(mac, mac, &ccm->key);
        p += head;
        len -= head;
    }
    while (len > 0) {
        const size_t n = len < BLOCK ? len : BLOCK;
        xor_block(mac, p, n);
        AES_encrypt(mac, mac, &ccm->key);
        p += n;
        len -= n;
    }
}

/* The authentication field before it is encrypted (RFC 3610 2.2). */
static void make_mac(const quic_aes_ccm *ccm, uint8_t mac[16], const uint8_t *text, size_t len,
                     const uint8_t *nonce, const uint8_t *ad, size_t ad_len)
{
    const unsigned len_size = 15u - ccm->nonce_len;
    memset(mac, 0, BLOCK);
    mac[0] = (uint8_t)((ad_len > 0 ? 0x40u : 0u) | (ccm->tag_len - 2u) / 2u << 3 | (len_size - 1u));
    memcpy(mac + 1, nonce, ccm->nonce_len);
    mac[14] = (uint8_t)(len >> 8); /* a length field has at least 2 bytes */
    mac[15] = (uint8_t)len;
    AES_encrypt(mac, mac, &ccm->key);
    if (ad_len > 0) {
        mac[0] ^= (uint8_t)(ad_len >> 8);
        mac[1] ^= (uint8_t)ad_len;
        mac_bytes(ccm, mac, 2, ad, ad_len);
    }
    mac_bytes(ccm, mac, 0, text, len);
}

/* Encrypts or decrypts `len` bytes and the authentication field in counter mode (RFC 3610 2.3): the
 * field with counter 0, the text from counter 1 on. */
static void apply_counters(const quic_aes_ccm *ccm, uint8_t *dst, const uint8_t *src, size_t len,
                           const uint8_t *nonce, uint8_t mac[16])
{
    uint8_t counter[16] = {0};
    uint8_t pad[16];
    unsigned used = 0;
    counter[0] = (uint8_t)(14u - ccm->nonce_len);
    memcpy(counter + 1, nonce, ccm->nonce_len);
    AES_encrypt(counter, pad, &ccm->key);
    xor_block(mac, pad, BLOCK);
    counter[15] = 1; /* at most 4096 blocks: the carry stays in the counter's two bytes */
    AES_ctr128_encrypt(src, dst, len, &ccm->key, counter, pad, &used);
}

void quic_aes_ccm_seal(const quic_aes_ccm *ccm, uint8_t *dst, const uint8_t *src, size_t len,
                       const uint8_t *nonce, const uint8_t *ad, size_t ad_len)
{
    QURING_ASSERT(len <= QUIC_AES_CCM_TEXT_MAX && ad_len <= QUIC_AES_CCM_AD_MAX);
    uint8_t mac[16];
    make_mac(ccm, mac, src, len, nonce, ad, ad_len);
    apply_counters(ccm, dst, src, len, nonce, mac);
    memcpy(dst + len, mac, ccm->tag_len);
}

bool quic_aes_ccm_open(const quic_aes_ccm *ccm, uint8_t *dst, const uint8_t *src, size_t len,
                       const uint8_t *nonce, const uint8_t *ad, size_t ad_len)
{
    if (len > QUIC_AES_CCM_TEXT_MAX || ad_len > QUIC_AES_CCM_AD_MAX) {
        return false;
    }
    uint8_t pad[16] = {0};
    uint8_t mac[16];
    apply_counters(ccm, dst, src, len, nonce, pad);
    make_mac(ccm, mac, dst, len, nonce, ad, ad_len);
    xor_block(mac, pad, BLOCK);
    return CRYPTO_memcmp(mac, src + len, ccm->tag_len) == 0;
}

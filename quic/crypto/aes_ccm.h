/* quic/crypto/aes_ccm.h: AES-128 in counter mode with CBC-MAC (CCM), over BoringSSL's AES.
 *
 * Shape:  a plain context; tag and nonce length are fixed when it is set up. No allocation. Seal and
 *         open read a context but do not change it.
 * Owner:  lent to quic_keys by the suite QUIC_SUITE_AES_128_CCM_SHA256, with 16 bytes of tag and 12 of
 *         nonce; other lengths serve the published test vectors.
 * Spec:   RFC 3610 2, NIST SP 800-38C, RFC 5116 5.3.
 */
#ifndef QUIC_CRYPTO_AES_CCM_H
#define QUIC_CRYPTO_AES_CCM_H

#include <openssl/aes.h>

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_AES_CCM_KEY_LEN   16u
#define QUIC_AES_CCM_TEXT_MAX  65535u /* what the shortest length field of CCM can say */
#define QUIC_AES_CCM_AD_MAX    65279u /* longer ones are encoded in another way; no header is */
#define QUIC_AES_CCM_NONCE_MAX 13u

typedef struct quic_aes_ccm {
    AES_KEY key;
    uint8_t tag_len;
    uint8_t nonce_len;
} quic_aes_ccm;

/* quic_aes_ccm_init prepares `ccm` with a key of 16 bytes, a tag of 4, 6, .. 16 and a nonce of 7..13
 * bytes. Returns false for other lengths. */
QUIC_NODISCARD bool quic_aes_ccm_init(quic_aes_ccm *ccm, const uint8_t *key, unsigned tag_len,
                                      unsigned nonce_len);

/* quic_aes_ccm_deinit wipes. */
void quic_aes_ccm_deinit(quic_aes_ccm *ccm);

/* quic_aes_ccm_seal writes `len` (<= QUIC_AES_CCM_TEXT_MAX) bytes of ciphertext and the tag to dst; src
 * == dst is allowed, other overlap is not. ad_len <= QUIC_AES_CCM_AD_MAX. */
void quic_aes_ccm_seal(const quic_aes_ccm *ccm, uint8_t *dst, const uint8_t *src, size_t len,
                       const uint8_t *nonce, const uint8_t *ad, size_t ad_len);

/* quic_aes_ccm_open decrypts `len` bytes at src and compares the tag that follows them; constant time
 * in the tag. Returns true when the tag is right; dst (src == dst allowed) is garbage otherwise, and
 * untouched when a length is beyond what seal takes. */
QUIC_NODISCARD bool quic_aes_ccm_open(const quic_aes_ccm *ccm, uint8_t *dst, const uint8_t *src,
                                      size_t len, const uint8_t *nonce, const uint8_t *ad,
                                      size_t ad_len);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_AES_CCM_H */

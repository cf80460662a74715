/* quic/crypto/crypto.h: who does AEAD and header protection; a table of functions per suite.
 *
 * Shape:  a provider is a process-wide constant; its contexts are plain memory lent by quic_keys.
 *         Providers: BoringSSL (crypto_boringssl.c), intel-ipsec-mb (crypto_ipsec_mb.c), and a
 *         cheap one without secrecy for tests (crypto_shim.c).
 * Owner:  nobody; all threads may use a provider at once, each with its own contexts.
 * Spec:   RFC 9001 5.3 (AEAD), 5.4 (header protection), 6.6 (limits).
 */
#ifndef QUIC_CRYPTO_CRYPTO_H
#define QUIC_CRYPTO_CRYPTO_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* TLS cipher suites (RFC 8446 B.4). */
#define QUIC_SUITE_AES_128_GCM_SHA256       0x1301u
#define QUIC_SUITE_AES_256_GCM_SHA384       0x1302u
#define QUIC_SUITE_CHACHA20_POLY1305_SHA256 0x1303u
#define QUIC_SUITE_AES_128_CCM_SHA256       0x1304u
#define QUIC_SUITE_COUNT                    4u

#define QUIC_AEAD_KEY_LEN_MAX 32u
#define QUIC_AEAD_NONCE_LEN   12u
#define QUIC_HP_SAMPLE_LEN    16u
#define QUIC_HP_BATCH_MAX     128u /* masks made in one call */
#define QUIC_CTX_ALIGN        64u  /* contexts are lent with this alignment */

/* One cipher suite of one provider. `aead` and `hp` are contexts of aead_size and hp_size bytes. */
typedef struct quic_crypto_suite {
    uint16_t id;
    uint8_t key_len;  /* of the AEAD and of header protection */
    uint8_t hash_len; /* of the KDF: 32 SHA-256, 48 SHA-384 */
    uint8_t tag_len;  /* QUIC_AEAD_TAG_LEN; 0: packets are in the clear */
    uint32_t aead_size;
    uint32_t hp_size;
    uint64_t confidentiality_limit; /* packets sealed with one key, RFC 9001 6.6 */
    uint64_t integrity_limit;       /* failed opens per connection, RFC 9001 6.6 */

    /* init return false when the library refuses (memory). deinit release what init took. */
    bool (*aead_init)(void *aead, const uint8_t *key);
    void (*aead_deinit)(void *aead);
    bool (*hp_init)(void *hp, const uint8_t *key);
    void (*hp_deinit)(void *hp);

    /* seal writes len bytes of ciphertext and tag_len bytes of tag to dst; src == dst is allowed,
     * other overlap is not. open decrypts ct_len bytes at src plus the tag that follows them to dst (src == dst
     * allowed) and says whether the tag is right; dst is garbage if not. */
    void (*seal)(void *aead, uint8_t *dst, const uint8_t *src, size_t len, const uint8_t *nonce,
                 const uint8_t *ad, size_t ad_len);
    /* seal_tail seals one plaintext that lies in two places: head_len bytes at dst, then tail_len bytes at
     * `tail`, which does not overlap dst. NULL: the library takes one piece only. */
    void (*seal_tail)(void *aead, uint8_t *dst, size_t head_len, const uint8_t *tail,
                      size_t tail_len, const uint8_t *nonce, const uint8_t *ad, size_t ad_len);
    bool (*open)(void *aead, uint8_t *dst, const uint8_t *src, size_t ct_len, const uint8_t *nonce,
                 const uint8_t *ad, size_t ad_len);
    /* hp_masks makes `count` (1..QUIC_HP_BATCH_MAX) masks; the first 5 bytes of each count. */
    void (*hp_masks)(void *hp, const uint8_t *const samples[], uint8_t (*masks)[16],
                     unsigned count);
} quic_crypto_suite;

typedef struct quic_crypto {
    const char *name; /* "boringssl", "ipsec-mb", "shim" */
    const quic_crypto_suite *suites[QUIC_SUITE_COUNT];
} quic_crypto;

/* quic_crypto_find_suite gives the suite with TLS number `id`, or NULL. */
static inline const quic_crypto_suite *quic_crypto_find_suite(const quic_crypto *crypto,
                                                              uint16_t id)
{
    const unsigned i = (unsigned)id - QUIC_SUITE_AES_128_GCM_SHA256;
    return i < QUIC_SUITE_COUNT ? crypto->suites[i] : NULL;
}

/* quic_crypto_boringssl is always there. */
const quic_crypto *quic_crypto_boringssl(void);

/* quic_crypto_ipsec_mb is NULL when this build lacks the library or the CPU lacks AES instructions. Its
 * ChaCha20-Poly1305 and AES-CCM are BoringSSL's. The first call initialises the library; any thread. */
const quic_crypto *quic_crypto_ipsec_mb(void);

/* quic_crypto_best gives ipsec-mb where it can be had, otherwise BoringSSL. */
const quic_crypto *quic_crypto_best(void);

/* quic_crypto_plain is a suite that protects nothing, for connections whose two ends have asked for
 * that: no tag, and masks of 0, made without a look at the samples. */
const quic_crypto_suite *quic_crypto_plain(void);

/* quic_crypto_shim is linked only into tests (target crypto_shim): the payload stays readable, the
 * tag is a keyed hash over nonce, header and payload, masks are 0. No secrecy, no authenticity. */
const quic_crypto *quic_crypto_shim(void);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_CRYPTO_H */

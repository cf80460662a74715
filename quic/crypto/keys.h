/* quic/crypto/keys.h: packet protection of one direction at one encryption level.
 *
 * Shape:  two allocations: this struct; the contexts of AEAD and header protection, which keys at rest
 *         do without. Sealing, opening and making masks allocate nothing.
 * Owner:  a connection (or an endpoint that answers an Initial); one worker; no locks.
 * Spec:   RFC 9001 5.1-5.4, 6.1 (key update), 6.6 (limits); RFC 9369 3.3 (version 2).
 */
#ifndef QUIC_CRYPTO_KEYS_H
#define QUIC_CRYPTO_KEYS_H

#include "quic/base/bytes.h"
#include "quic/base/mem.h"
#include "quic/base/types.h"
#include "quic/crypto/crypto.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUIC_SECRET_LEN_MAX 48u

/* The first cache line is what each packet touches. Fields are read by the inline functions below
 * and by keys.c only. */
typedef struct quic_keys {
    const quic_crypto_suite *suite;
    void *aead; /* NULL: at rest */
    void *hp;
    uint64_t sealed_count;      /* packets sealed with this key */
    uint64_t open_failed_count; /* packets that failed to open; carried over by quic_keys_update */
    uint8_t iv[QUIC_AEAD_NONCE_LEN];

    uint8_t secret_len;
    uint8_t labels; /* which version's labels derive from `secret`: index into a table of keys.c */
    const quic_crypto *crypto;
    void *ctx;                           /* what `aead` and `hp` lie in; NULL: at rest, or plain */
    quic_mem *mem;                       /* the account that is charged */
    uint8_t secret[QUIC_SECRET_LEN_MAX]; /* traffic secret, for the next key update */
    uint8_t hp_key[QUIC_AEAD_KEY_LEN_MAX];
    uint8_t key
        [QUIC_AEAD_KEY_LEN_MAX]; /* what `secret` gave: deriving it costs more than a small request */
} quic_keys;

/* quic_keys_create derives key, iv and header-protection key from a traffic secret (copied), with the
 * labels of `version`, which a key update keeps.
 *
 *   suite   0x1301..0x1304; secret_len must be that of its hash (32 or 48).
 * Returns QUIC_OK; QUIC_E_INVAL (version neither 1 nor 2, suite or length); QUIC_E_NOMEM;
 * QUIC_E_CRYPTO. `mem` must outlive the keys. */
QUIC_NODISCARD quic_rc quic_keys_create(quic_keys **out, const quic_crypto *crypto, quic_mem *mem,
                                        uint32_t version, uint16_t suite, const uint8_t *secret,
                                        size_t secret_len);

/* quic_keys_create_initial derives Initial keys from the client's first DCID (RFC 9001 5.2, RFC 9369 3.3.1).
 * out_client protects what the client sends, out_server what the server sends; either may be NULL when those
 * are not needed. Returns QUIC_OK; QUIC_E_INVAL (version neither 1 nor 2); QUIC_E_NOMEM; QUIC_E_CRYPTO. On
 * failure nothing is kept. */
QUIC_NODISCARD quic_rc quic_keys_create_initial(quic_keys **out_client, quic_keys **out_server,
                                                const quic_crypto *crypto, quic_mem *mem,
                                                uint32_t version, const quic_cid *client_dcid);

/* quic_keys_create_plain makes keys that protect nothing: see quic_crypto_plain. They serve both
 * directions, each with its own object. Returns QUIC_OK; QUIC_E_NOMEM. */
QUIC_NODISCARD quic_rc quic_keys_create_plain(quic_keys **out, const quic_crypto *crypto,
                                              quic_mem *mem);

/* quic_keys_adopt charges keys made under an account to a child of it, `mem`, which must outlive them from now
 * on. Returns QUIC_OK; QUIC_E_NOMEM (as they were). */
QUIC_NODISCARD quic_rc quic_keys_adopt(quic_keys *keys, quic_mem *mem);

/* quic_keys_update makes the keys of the next phase (RFC 9001 6.1): new secret, key and iv, the
 * same header-protection key; sealed_count starts at 0. `cur` stays usable.
 * Returns QUIC_OK; QUIC_E_NOMEM; QUIC_E_CRYPTO. */
QUIC_NODISCARD quic_rc quic_keys_update(quic_keys **out_next, const quic_keys *cur, quic_mem *mem);

/* quic_keys_rest wipes and frees the contexts, which are most of the memory: nothing can be sealed or opened
 * until quic_keys_wake has made them again, without deriving anything. Both are no-ops where there is nothing to do.
 * quic_keys_wake returns QUIC_OK; QUIC_E_NOMEM, QUIC_E_CRYPTO (still at rest). */
void quic_keys_rest(quic_keys *keys);
QUIC_NODISCARD quic_rc quic_keys_wake(quic_keys *keys);

static inline bool quic_keys_is_resting(const quic_keys *k)
{
    return k->aead == NULL;
}

/* quic_keys_destroy wipes and frees; NULL is a no-op. */
void quic_keys_destroy(quic_keys *keys);

/* ---- each packet ----------------------------------------------------------------------------- */

/* RFC 9001 5.3: the packet number, left-padded to the IV's length, XORed onto the IV. */
static inline void quic_keys_nonce(const quic_keys *k, uint64_t pn,
                                   uint8_t out[QUIC_AEAD_NONCE_LEN])
{
    /* In the pieces that it is read in again: a load that spans two stores waits for both. */
    quic_store_be64(out, quic_load_be64(k->iv) ^ (pn >> 32));
    quic_store_be32(out + 8, quic_load_be32(k->iv + 8) ^ (uint32_t)pn);
}

/* quic_keys_seal_from encrypts `len` bytes from src to dst and adds the tag; src == dst is
 * allowed, other overlap is not. `hdr` is the unprotected header. */
static inline void quic_keys_seal_from(quic_keys *k, uint64_t pn, const uint8_t *hdr,
                                       size_t hdr_len, uint8_t *dst, const uint8_t *src, size_t len)
{
    uint8_t nonce[QUIC_AEAD_NONCE_LEN];
    quic_keys_nonce(k, pn, nonce);
    k->sealed_count++;
    k->suite->seal(k->aead, dst, src, len, nonce, hdr, hdr_len);
}

/* quic_keys_seal does the same in place; `payload` has room for the tag. */
static inline void quic_keys_seal(quic_keys *k, uint64_t pn, const uint8_t *hdr, size_t hdr_len,
                                  uint8_t *payload, size_t len)
{
    quic_keys_seal_from(k, pn, hdr, hdr_len, payload, payload, len);
}

/* quic_keys_seal_tail encrypts a payload of which `head_len` bytes are in place and the rest lies at `tail`:
 * copied first where the library wants one piece. */
static inline void quic_keys_seal_tail(quic_keys *k, uint64_t pn, const uint8_t *hdr,
                                       size_t hdr_len, uint8_t *payload, size_t head_len,
                                       const uint8_t *tail, size_t tail_len)
{
    if (k->suite->seal_tail == NULL) {
        memcpy(payload + head_len, tail, tail_len);
        quic_keys_seal(k, pn, hdr, hdr_len, payload, head_len + tail_len);
        return;
    }
    uint8_t nonce[QUIC_AEAD_NONCE_LEN];
    quic_keys_nonce(k, pn, nonce);
    k->sealed_count++;
    k->suite->seal_tail(k->aead, payload, head_len, tail, tail_len, nonce, hdr, hdr_len);
}

/* quic_keys_open_to decrypts `len_with_tag` bytes from src to dst (less the tag; src == dst allowed).
 * Returns true when the packet is authentic; otherwise counts it, and dst is garbage. Fewer bytes than
 * a tag has are never authentic. */
static inline bool quic_keys_open_to(quic_keys *k, uint64_t pn, const uint8_t *hdr, size_t hdr_len,
                                     uint8_t *dst, const uint8_t *src, size_t len_with_tag)
{
    uint8_t nonce[QUIC_AEAD_NONCE_LEN];
    quic_keys_nonce(k, pn, nonce);
    const size_t tag_len = k->suite->tag_len;
    if (QUIC_UNLIKELY(
            len_with_tag < tag_len ||
            !k->suite->open(k->aead, dst, src, len_with_tag - tag_len, nonce, hdr, hdr_len))) {
        k->open_failed_count++;
        return false;
    }
    return true;
}

/* quic_keys_open does the same in place. */
static inline bool quic_keys_open(quic_keys *k, uint64_t pn, const uint8_t *hdr, size_t hdr_len,
                                  uint8_t *payload, size_t len_with_tag)
{
    return quic_keys_open_to(k, pn, hdr, hdr_len, payload, payload, len_with_tag);
}

/* quic_keys_hp_masks makes the masks for `count` (0..QUIC_HP_BATCH_MAX) 16-byte samples at once;
 * the first 5 bytes of each mask count (RFC 9001 5.4.1). The samples may lie inside sealed
 * packets. */
static inline void quic_keys_hp_masks(const quic_keys *k, const uint8_t *const samples[],
                                      uint8_t (*masks)[16], unsigned count)
{
    if (count > 0) {
        k->suite->hp_masks(k->hp, samples, masks, count);
    }
}

/* quic_keys_hp_mask makes one mask. */
static inline void quic_keys_hp_mask(const quic_keys *k, const uint8_t *sample, uint8_t mask[16])
{
    k->suite->hp_masks(k->hp, &sample, (uint8_t(*)[16])mask, 1);
}

/* ---- facts ----------------------------------------------------------------------------------- */

static inline uint16_t quic_keys_suite(const quic_keys *k)
{
    return k->suite->id;
}

/* RFC 9001 6.6: update keys before sealed_count reaches the confidentiality limit; close with
 * QUIC_V_AEAD_LIMIT_REACHED when the failed opens of all keys of a connection reach the integrity
 * limit. */
static inline uint64_t quic_keys_confidentiality_limit(const quic_keys *k)
{
    return k->suite->confidentiality_limit;
}

static inline uint64_t quic_keys_integrity_limit(const quic_keys *k)
{
    return k->suite->integrity_limit;
}

static inline uint64_t quic_keys_sealed_count(const quic_keys *k)
{
    return k->sealed_count;
}

static inline uint64_t quic_keys_open_failed_count(const quic_keys *k)
{
    return k->open_failed_count;
}

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_KEYS_H */

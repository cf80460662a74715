#include "quic/crypto/token.h"

#include <openssl/aead.h>
#include <openssl/err.h>
#include <openssl/mem.h>

#include "quic/base/check.h"
#include "quic/crypto/kdf.h"

#define TYPE_RETRY 0x01
#define NONCE_LEN  12u
#define NONCE_OFF  1u
#define BODY_OFF   (NONCE_OFF + NONCE_LEN)
/* issued (8), family (1), ip (16), port (2), two CIDs (1 + 20 each) */
#define CID_FIELD (1u + QUIC_CID_LEN_MAX)
#define BODY_LEN  (8u + 1u + 16u + 2u + 2u * CID_FIELD)

_Static_assert(BODY_OFF + BODY_LEN + QUIC_AEAD_TAG_LEN == QUIC_TOKEN_RETRY_LEN, "token layout");

void quic_token_keys_derive(quic_token_keys *keys, const uint8_t root_secret[32])
{
    quic_hkdf_expand_label(32, keys->retry_key, sizeof(keys->retry_key), root_secret, 32,
                           "quring retry token");
}

static void put_be(uint8_t *p, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        p[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
    }
}

static uint64_t get_be(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

static uint8_t *put_cid(uint8_t *p, const quic_cid *cid)
{
    QURING_ASSERT(cid->len <= QUIC_CID_LEN_MAX);
    memset(p, 0, CID_FIELD);
    p[0] = cid->len;
    memcpy(p + 1, cid->bytes, cid->len);
    return p + CID_FIELD;
}

/* A field our own key authenticated; an impossible length still is refused, not trusted. */
static bool get_cid(quic_cid *cid, const uint8_t *p)
{
    if (p[0] > QUIC_CID_LEN_MAX) {
        return false;
    }
    quic_cid_set(cid, p + 1, p[0]);
    return true;
}

static void put_addr(uint8_t *p, const quic_addr *addr)
{
    p[0] = addr->family;
    memcpy(p + 1, addr->ip, sizeof(addr->ip));
    put_be(p + 17, addr->port, 2);
}

static bool aead_init(EVP_AEAD_CTX *ctx, const quic_token_keys *keys)
{
    EVP_AEAD_CTX_zero(ctx);
    return EVP_AEAD_CTX_init(ctx, EVP_aead_aes_128_gcm(), keys->retry_key, sizeof(keys->retry_key),
                             QUIC_AEAD_TAG_LEN, NULL);
}

quic_rc quic_token_retry_make(const quic_token_keys *keys, uint8_t out[QUIC_TOKEN_RETRY_LEN],
                              const quic_rng *rng, const quic_addr *client,
                              const quic_cid *original_dcid, const quic_cid *retry_scid,
                              quic_ns now)
{
    uint8_t body[BODY_LEN];
    put_be(body, now, 8);
    put_addr(body + 8, client);
    put_cid(put_cid(body + 27, original_dcid), retry_scid);

    out[0] = TYPE_RETRY;
    quic_rng_fill(rng, out + NONCE_OFF, NONCE_LEN);
    EVP_AEAD_CTX ctx;
    size_t len = 0;
    const bool ok = aead_init(&ctx, keys) &&
                    EVP_AEAD_CTX_seal(&ctx, out + BODY_OFF, &len, BODY_LEN + QUIC_AEAD_TAG_LEN,
                                      out + NONCE_OFF, NONCE_LEN, body, BODY_LEN, out, 1);
    EVP_AEAD_CTX_cleanup(&ctx);
    if (!ok) {
        ERR_clear_error();
        return QUIC_E_CRYPTO;
    }
    return QUIC_OK;
}

quic_rc quic_token_retry_open(const quic_token_keys *keys, quic_token_retry *out,
                              const uint8_t *token, size_t len, const quic_addr *client,
                              quic_ns lifetime, quic_ns now)
{
    if (len != QUIC_TOKEN_RETRY_LEN || token[0] != TYPE_RETRY) {
        return QUIC_E_DROP;
    }
    uint8_t body[BODY_LEN];
    EVP_AEAD_CTX ctx;
    size_t body_len = 0;
    const bool ok =
        aead_init(&ctx, keys) &&
        EVP_AEAD_CTX_open(&ctx, body, &body_len, sizeof(body), token + NONCE_OFF, NONCE_LEN,
                          token + BODY_OFF, BODY_LEN + QUIC_AEAD_TAG_LEN, token, 1);
    EVP_AEAD_CTX_cleanup(&ctx);
    if (!ok || body_len != BODY_LEN) {
        ERR_clear_error();
        return QUIC_E_DROP;
    }
    uint8_t addr[19];
    put_addr(addr, client);
    const quic_ns issued = get_be(body, 8);
    if (CRYPTO_memcmp(addr, body + 8, sizeof(addr)) != 0 || issued > now ||
        now - issued > lifetime) {
        return QUIC_V_INVALID_TOKEN; /* RFC 9000 8.1.2, 8.1.4 */
    }
    quic_token_retry result = {.issued = issued};
    if (!get_cid(&result.original_dcid, body + 27) ||
        !get_cid(&result.retry_scid, body + 27 + CID_FIELD)) {
        return QUIC_E_DROP;
    }
    *out = result;
    return QUIC_OK;
}

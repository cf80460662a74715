#include "quic/crypto/token.h"

#include <openssl/aead.h>
#include <openssl/err.h>
#include <openssl/mem.h>

#include "quic/base/check.h"
#include "quic/crypto/kdf.h"

#define TYPE_RETRY 0x01
#define TYPE_NEW   0x02
#define NONCE_LEN  12u
#define NONCE_OFF  1u
#define BODY_OFF   (NONCE_OFF + NONCE_LEN)
#define IP_FIELD   17u /* family, address */
#define CID_FIELD  (1u + QUIC_CID_LEN_MAX)
/* issued (8), address, port (2), version (4), two CIDs */
#define RETRY_ADDR_OFF 8u
#define RETRY_CIDS_OFF (RETRY_ADDR_OFF + IP_FIELD + 2u + 4u)
#define RETRY_BODY_LEN (RETRY_CIDS_OFF + 2u * CID_FIELD)
/* issued (8), address, version (4), id */
#define NEW_ADDR_OFF 8u
#define NEW_ID_OFF   (NEW_ADDR_OFF + IP_FIELD + 4u)
#define NEW_BODY_LEN (NEW_ID_OFF + QUIC_TOKEN_ID_LEN)

_Static_assert(BODY_OFF + RETRY_BODY_LEN + QUIC_AEAD_TAG_LEN == QUIC_TOKEN_RETRY_LEN, "layout");
_Static_assert(BODY_OFF + NEW_BODY_LEN + QUIC_AEAD_TAG_LEN == QUIC_TOKEN_NEW_LEN, "layout");

static void derive_pair(quic_token_key_pair *pair, const uint8_t root_secret[32])
{
    quic_hkdf_expand_label(32, pair->retry_key, sizeof(pair->retry_key), root_secret, 32,
                           "quring retry token");
    quic_hkdf_expand_label(32, pair->new_key, sizeof(pair->new_key), root_secret, 32,
                           "quring new token");
}

void quic_token_keys_derive(quic_token_keys *keys, const uint8_t root_secret[32])
{
    memset(keys, 0, sizeof(*keys));
    derive_pair(&keys->current, root_secret);
}

void quic_token_keys_rotate(quic_token_keys *keys, const uint8_t root_secret[32])
{
    keys->previous = keys->current;
    keys->has_previous = true;
    derive_pair(&keys->current, root_secret);
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

static uint8_t *put_ip(uint8_t *p, const quic_addr *addr)
{
    p[0] = addr->family;
    memcpy(p + 1, addr->ip, sizeof(addr->ip));
    return p + IP_FIELD;
}

/* ---- sealing --------------------------------------------------------------------------------- */

static const uint8_t *key_for(const quic_token_key_pair *pair, uint8_t type)
{
    return type == TYPE_RETRY ? pair->retry_key : pair->new_key;
}

static bool aead_init(EVP_AEAD_CTX *ctx, const uint8_t key[16])
{
    EVP_AEAD_CTX_zero(ctx);
    return EVP_AEAD_CTX_init(ctx, EVP_aead_aes_128_gcm(), key, 16, QUIC_AEAD_TAG_LEN, NULL);
}

static quic_rc seal(const quic_token_keys *keys, uint8_t *out, uint8_t type, const quic_rng *rng,
                    const uint8_t *body, size_t body_len)
{
    out[0] = type;
    quic_rng_fill(rng, out + NONCE_OFF, NONCE_LEN);
    EVP_AEAD_CTX ctx;
    size_t len = 0;
    const bool ok = aead_init(&ctx, key_for(&keys->current, type)) &&
                    EVP_AEAD_CTX_seal(&ctx, out + BODY_OFF, &len, body_len + QUIC_AEAD_TAG_LEN,
                                      out + NONCE_OFF, NONCE_LEN, body, body_len, out, 1);
    EVP_AEAD_CTX_cleanup(&ctx);
    if (!ok) {
        ERR_clear_error();
        return QUIC_E_CRYPTO;
    }
    return QUIC_OK;
}

static bool unseal_with(const quic_token_key_pair *pair, uint8_t *body, size_t body_len,
                        const uint8_t *token)
{
    EVP_AEAD_CTX ctx;
    size_t len = 0;
    const bool ok = aead_init(&ctx, key_for(pair, token[0])) &&
                    EVP_AEAD_CTX_open(&ctx, body, &len, body_len, token + NONCE_OFF, NONCE_LEN,
                                      token + BODY_OFF, body_len + QUIC_AEAD_TAG_LEN, token, 1);
    EVP_AEAD_CTX_cleanup(&ctx);
    if (!ok) {
        ERR_clear_error();
    }
    return ok && len == body_len;
}

/* The token's type and size are right. */
static bool unseal(const quic_token_keys *keys, uint8_t *body, size_t body_len,
                   const uint8_t *token)
{
    return unseal_with(&keys->current, body, body_len, token) ||
           (keys->has_previous && unseal_with(&keys->previous, body, body_len, token));
}

static bool is_current(quic_ns issued, quic_ns lifetime, quic_ns now)
{
    return issued > now ? issued - now <= QUIC_TOKEN_SKEW_NS : now - issued <= lifetime;
}

/* ---- Retry ----------------------------------------------------------------------------------- */

/* What a Retry token is bound to. */
static void put_client(uint8_t *p, const quic_addr *client, uint32_t version)
{
    p = put_ip(p, client);
    put_be(p, client->port, 2);
    put_be(p + 2, version, 4);
}

quic_rc quic_token_retry_make(const quic_token_keys *keys, uint8_t out[QUIC_TOKEN_RETRY_LEN],
                              const quic_rng *rng, const quic_addr *client, uint32_t version,
                              const quic_cid *original_dcid, const quic_cid *retry_scid,
                              quic_ns now)
{
    uint8_t body[RETRY_BODY_LEN];
    put_be(body, now, 8);
    put_client(body + RETRY_ADDR_OFF, client, version);
    put_cid(put_cid(body + RETRY_CIDS_OFF, original_dcid), retry_scid);
    return seal(keys, out, TYPE_RETRY, rng, body, sizeof(body));
}

quic_rc quic_token_retry_open(const quic_token_keys *keys, quic_token_retry *out,
                              const uint8_t *token, size_t len, const quic_addr *client,
                              uint32_t version, quic_ns lifetime, quic_ns now)
{
    uint8_t body[RETRY_BODY_LEN];
    if (len != QUIC_TOKEN_RETRY_LEN || token[0] != TYPE_RETRY) {
        return QUIC_E_DROP;
    }
    if (!unseal(keys, body, sizeof(body), token)) {
        return QUIC_V_INVALID_TOKEN;
    }
    uint8_t bound[RETRY_CIDS_OFF - RETRY_ADDR_OFF];
    put_client(bound, client, version);
    const quic_ns issued = get_be(body, 8);
    if (CRYPTO_memcmp(bound, body + RETRY_ADDR_OFF, sizeof(bound)) != 0 ||
        !is_current(issued, lifetime, now)) {
        return QUIC_V_INVALID_TOKEN; /* RFC 9000 8.1.2, 8.1.4; RFC 9369 5 */
    }
    quic_token_retry result = {.issued = issued};
    if (!get_cid(&result.original_dcid, body + RETRY_CIDS_OFF) ||
        !get_cid(&result.retry_scid, body + RETRY_CIDS_OFF + CID_FIELD)) {
        return QUIC_V_INVALID_TOKEN;
    }
    *out = result;
    return QUIC_OK;
}

/* ---- NEW_TOKEN ------------------------------------------------------------------------------- */

quic_rc quic_token_new_make(const quic_token_keys *keys, uint8_t out[QUIC_TOKEN_NEW_LEN],
                            const quic_rng *rng, const quic_addr *client, uint32_t version,
                            quic_ns now)
{
    uint8_t body[NEW_BODY_LEN];
    put_be(body, now, 8);
    put_be(put_ip(body + NEW_ADDR_OFF, client), version, 4);
    quic_rng_fill(rng, body + NEW_ID_OFF, QUIC_TOKEN_ID_LEN);
    return seal(keys, out, TYPE_NEW, rng, body, sizeof(body));
}

quic_rc quic_token_new_open(const quic_token_keys *keys, quic_token_new *out, const uint8_t *token,
                            size_t len, const quic_addr *client, uint32_t version, quic_ns lifetime,
                            quic_ns now)
{
    uint8_t body[NEW_BODY_LEN];
    if (len != QUIC_TOKEN_NEW_LEN || token[0] != TYPE_NEW ||
        !unseal(keys, body, sizeof(body), token)) {
        return QUIC_E_DROP;
    }
    uint8_t
        bound[IP_FIELD + 4]; /* RFC 9000 8.1.3: the port may change; RFC 9369 5: not the version */
    put_be(put_ip(bound, client), version, 4);
    const quic_ns issued = get_be(body, 8);
    if (CRYPTO_memcmp(bound, body + NEW_ADDR_OFF, sizeof(bound)) != 0 ||
        !is_current(issued, lifetime, now)) {
        return QUIC_E_STATE;
    }
    out->issued = issued;
    memcpy(out->id, body + NEW_ID_OFF, QUIC_TOKEN_ID_LEN);
    return QUIC_OK;
}

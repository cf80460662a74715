#include "quic/crypto/session_ticket.h"

#include <openssl/aead.h>
#include <openssl/err.h>
#include <openssl/mem.h>

#include "quic/base/bytes.h"
#include "quic/crypto/kdf.h"

#define STAMP_LEN 20u

_Static_assert(QUIC_TICKET_OVERHEAD == QUIC_TICKET_ID_LEN + STAMP_LEN + QUIC_AEAD_TAG_LEN,
               "layout");

static void derive(uint8_t out[32], const uint8_t root_secret[32])
{
    quic_hkdf_expand_label(32, out, 32, root_secret, 32, "quring session ticket");
}

void quic_ticket_keys_derive(quic_ticket_keys *keys, const uint8_t root_secret[32])
{
    memset(keys, 0, sizeof(*keys));
    derive(keys->current, root_secret);
}

void quic_ticket_keys_rotate(quic_ticket_keys *keys, const uint8_t root_secret[32])
{
    memcpy(keys->previous, keys->current, sizeof(keys->previous));
    keys->has_previous = true;
    derive(keys->current, root_secret);
}

static bool aead_init(EVP_AEAD_CTX *ctx, const uint8_t key[32])
{
    return EVP_AEAD_CTX_init(ctx, EVP_aead_xchacha20_poly1305(), key, 32, QUIC_AEAD_TAG_LEN,
                             NULL) == 1;
}

quic_rc quic_ticket_seal(const quic_ticket_keys *keys, uint8_t *out, size_t *out_len, size_t cap,
                         const quic_ticket_stamp *stamp, const uint8_t *session, size_t len,
                         const quic_rng *rng)
{
    EVP_AEAD_CTX ctx;
    if (len + QUIC_TICKET_OVERHEAD > QUIC_TICKET_LEN_MAX || cap < len + QUIC_TICKET_OVERHEAD) {
        return QUIC_E_LIMIT;
    }
    uint8_t *plain = (uint8_t *)OPENSSL_malloc(STAMP_LEN + len);
    if (plain == NULL || !aead_init(&ctx, keys->current)) {
        OPENSSL_free(plain);
        ERR_clear_error();
        return QUIC_E_CRYPTO;
    }
    quic_store_be64(plain, stamp->register_id);
    quic_store_be64(plain + 8, stamp->issued);
    quic_store_be32(plain + 16, stamp->version);
    memcpy(plain + STAMP_LEN, session, len);
    quic_rng_fill(rng, out, QUIC_TICKET_ID_LEN);
    size_t sealed = 0;
    const int ok =
        EVP_AEAD_CTX_seal(&ctx, out + QUIC_TICKET_ID_LEN, &sealed, cap - QUIC_TICKET_ID_LEN, out,
                          QUIC_TICKET_ID_LEN, plain, STAMP_LEN + len, NULL, 0);
    EVP_AEAD_CTX_cleanup(&ctx);
    OPENSSL_free(plain); /* wipes */
    if (ok != 1) {
        ERR_clear_error();
        return QUIC_E_CRYPTO;
    }
    *out_len = QUIC_TICKET_ID_LEN + sealed;
    return QUIC_OK;
}

static bool open_with(const uint8_t key[32], uint8_t *plain, size_t *out_len, const uint8_t *ticket,
                      size_t len)
{
    EVP_AEAD_CTX ctx;
    if (!aead_init(&ctx, key)) {
        return false;
    }
    const int ok =
        EVP_AEAD_CTX_open(&ctx, plain, out_len, len, ticket, QUIC_TICKET_ID_LEN,
                          ticket + QUIC_TICKET_ID_LEN, len - QUIC_TICKET_ID_LEN, NULL, 0);
    EVP_AEAD_CTX_cleanup(&ctx);
    ERR_clear_error();
    return ok == 1;
}

quic_rc quic_ticket_open(const quic_ticket_keys *keys, uint8_t *out, size_t *out_len, size_t cap,
                         quic_ticket_stamp *stamp, const uint8_t *ticket, size_t len)
{
    if (len < QUIC_TICKET_OVERHEAD || len > QUIC_TICKET_LEN_MAX ||
        cap < len - QUIC_TICKET_OVERHEAD) {
        return QUIC_E_DROP;
    }
    uint8_t *plain = (uint8_t *)OPENSSL_malloc(len);
    if (plain == NULL) {
        ERR_clear_error();
        return QUIC_E_CRYPTO;
    }
    size_t n = 0;
    bool ok = open_with(keys->current, plain, &n, ticket, len) ||
              (keys->has_previous && open_with(keys->previous, plain, &n, ticket, len));
    if (ok) {
        stamp->register_id = quic_load_be64(plain);
        stamp->issued = quic_load_be64(plain + 8);
        stamp->version = quic_load_be32(plain + 16);
        memcpy(out, plain + STAMP_LEN, n - STAMP_LEN);
        *out_len = n - STAMP_LEN;
    }
    OPENSSL_free(plain);
    return ok ? QUIC_OK : QUIC_E_DROP;
}

#include "quic/crypto/keys.h"

#include <openssl/mem.h>

#include "quic/base/check.h"
#include "quic/crypto/kdf.h"
#include "quic/wire/version.h"

_Static_assert(offsetof(quic_keys, iv) + QUIC_AEAD_NONCE_LEN <= 64, "hot fields: one cache line");
_Static_assert(sizeof(quic_keys) <= 192, "packet keys stay small");

/* What a version changes: RFC 9001 5.1, 5.2, 6.1; RFC 9369 3.3.1, 3.3.2. */
typedef struct version_labels {
    uint32_t version;
    const char *key, *iv, *hp, *update;
    uint8_t salt[20];
} version_labels;

static const version_labels labels_of[] = {
    {.version = QUIC_VERSION_1,
     .key = "quic key",
     .iv = "quic iv",
     .hp = "quic hp",
     .update = "quic ku",
     .salt = {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
              0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a}},
    {.version = QUIC_VERSION_2,
     .key = "quicv2 key",
     .iv = "quicv2 iv",
     .hp = "quicv2 hp",
     .update = "quicv2 ku",
     .salt = {0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
              0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9}},
};
#define LABELS_COUNT (sizeof(labels_of) / sizeof(labels_of[0]))

/* The index of a version in labels_of, LABELS_COUNT for an unknown one. */
static uint8_t find_labels(uint32_t version)
{
    uint8_t i = 0;
    while (i < LABELS_COUNT && labels_of[i].version != version) {
        i++;
    }
    return i;
}

static size_t align_up(size_t n)
{
    return (n + QUIC_CTX_ALIGN - 1) & ~(size_t)(QUIC_CTX_ALIGN - 1);
}

static size_t ctx_size(const quic_crypto_suite *suite)
{
    return align_up(suite->aead_size) + suite->hp_size + QUIC_CTX_ALIGN - 16;
}

static void free_ctx(quic_keys *k)
{
    if (k->ctx != NULL) {
        OPENSSL_cleanse(k->ctx, ctx_size(k->suite));
        quic_mem_free(k->mem, k->ctx, ctx_size(k->suite));
    }
    k->ctx = NULL;
    k->aead = NULL;
    k->hp = NULL;
}

/* One allocation: slack for alignment, AEAD context, header-protection context. */
static quic_rc make_ctx(quic_keys *k)
{
    const quic_crypto_suite *suite = k->suite;
    uint8_t *base = (uint8_t *)quic_mem_alloc(k->mem, ctx_size(suite));
    if (base == NULL) {
        return QUIC_E_NOMEM;
    }
    uint8_t *start = base + (-(uintptr_t)base & (QUIC_CTX_ALIGN - 1));
    QURING_ASSERT(start - base <= (ptrdiff_t)(QUIC_CTX_ALIGN - 16));
    k->ctx = base;
    k->aead = start;
    k->hp = start + align_up(suite->aead_size);
    if (!suite->aead_init(k->aead, k->key)) {
        free_ctx(k);
        return QUIC_E_CRYPTO;
    }
    if (!suite->hp_init(k->hp, k->hp_key)) {
        suite->aead_deinit(k->aead);
        free_ctx(k);
        return QUIC_E_CRYPTO;
    }
    return QUIC_OK;
}

static quic_keys *alloc_keys(quic_mem *mem, const quic_crypto *crypto,
                             const quic_crypto_suite *suite)
{
    quic_keys *k = (quic_keys *)quic_mem_zalloc(mem, sizeof(*k));
    if (k != NULL) {
        k->suite = suite;
        k->crypto = crypto;
        k->mem = mem;
    }
    return k;
}

static void free_keys(quic_keys *k)
{
    quic_mem *mem = k->mem;
    OPENSSL_cleanse(k, sizeof(*k));
    quic_mem_free(mem, k, sizeof(*k));
}

/* make derives what `secret` gives (RFC 9001 5.1); hp_key NULL: derived too, else copied. */
static quic_rc make(quic_keys **out, const quic_crypto *crypto, quic_mem *mem,
                    const quic_crypto_suite *suite, uint8_t labels, const uint8_t *secret,
                    const uint8_t *hp_key)
{
    const version_labels *text = &labels_of[labels];
    quic_keys *k = alloc_keys(mem, crypto, suite);
    if (k == NULL) {
        return QUIC_E_NOMEM;
    }
    k->secret_len = suite->hash_len;
    k->labels = labels;
    memcpy(k->secret, secret, suite->hash_len);

    quic_kdf kdf;
    quic_kdf_init(&kdf, suite->hash_len, secret, suite->hash_len);
    quic_kdf_expand_label(&kdf, k->key, suite->key_len, text->key);
    quic_kdf_expand_label(&kdf, k->iv, sizeof(k->iv), text->iv);
    if (hp_key == NULL) {
        quic_kdf_expand_label(&kdf, k->hp_key, suite->key_len, text->hp);
    } else {
        memcpy(k->hp_key, hp_key, suite->key_len);
    }
    quic_kdf_deinit(&kdf);

    const quic_rc rc = make_ctx(k);
    if (rc != QUIC_OK) {
        free_keys(k);
        return rc;
    }
    *out = k;
    return QUIC_OK;
}

quic_rc quic_keys_create(quic_keys **out, const quic_crypto *crypto, quic_mem *mem,
                         uint32_t version, uint16_t suite, const uint8_t *secret, size_t secret_len)
{
    const quic_crypto_suite *s = quic_crypto_find_suite(crypto, suite);
    const uint8_t labels = find_labels(version);
    if (s == NULL || secret_len != s->hash_len || labels == LABELS_COUNT) {
        return QUIC_E_INVAL;
    }
    return make(out, crypto, mem, s, labels, secret, NULL);
}

static quic_rc make_initial(quic_keys **out, const quic_crypto *crypto, quic_mem *mem,
                            uint8_t labels, const quic_kdf *initial_secret, const char *label)
{
    uint8_t secret[32];
    quic_kdf_expand_label(initial_secret, secret, sizeof(secret), label);
    return make(out, crypto, mem, quic_crypto_find_suite(crypto, QUIC_SUITE_AES_128_GCM_SHA256),
                labels, secret, NULL);
}

/* RFC 9001 5.2 */
quic_rc quic_keys_create_initial(quic_keys **out_client, quic_keys **out_server,
                                 const quic_crypto *crypto, quic_mem *mem, uint32_t version,
                                 const quic_cid *client_dcid)
{
    const uint8_t labels = find_labels(version);
    if (labels == LABELS_COUNT || client_dcid->len > QUIC_CID_LEN_MAX) {
        return QUIC_E_INVAL;
    }
    uint8_t secret[32];
    quic_hkdf_extract(32, secret, labels_of[labels].salt, sizeof(labels_of[labels].salt),
                      client_dcid->bytes, client_dcid->len);
    quic_kdf kdf;
    quic_keys *client = NULL;
    quic_rc rc = QUIC_OK;
    quic_kdf_init(&kdf, 32, secret, sizeof(secret));
    if (out_client != NULL) {
        rc = make_initial(&client, crypto, mem, labels, &kdf, "client in");
    }
    if (rc == QUIC_OK && out_server != NULL) {
        rc = make_initial(out_server, crypto, mem, labels, &kdf, "server in");
    }
    quic_kdf_deinit(&kdf);
    if (rc != QUIC_OK) {
        quic_keys_destroy(client);
        return rc;
    }
    if (out_client != NULL) {
        *out_client = client;
    }
    return QUIC_OK;
}

quic_rc quic_keys_adopt(quic_keys *keys, quic_mem *mem)
{
    const size_t size = sizeof(*keys) + (keys->ctx != NULL ? ctx_size(keys->suite) : 0);
    if (!quic_mem_adopt(mem, size)) {
        return QUIC_E_NOMEM;
    }
    keys->mem = mem;
    return QUIC_OK;
}

quic_rc quic_keys_update(quic_keys **out_next, const quic_keys *cur, quic_mem *mem)
{
    uint8_t secret[QUIC_SECRET_LEN_MAX];
    quic_hkdf_expand_label(cur->suite->hash_len, secret, cur->secret_len, cur->secret,
                           cur->secret_len, labels_of[cur->labels].update);
    quic_keys *next = NULL;
    const quic_rc rc = make(&next, cur->crypto, mem, cur->suite, cur->labels, secret, cur->hp_key);
    OPENSSL_cleanse(secret, sizeof(secret));
    if (rc != QUIC_OK) {
        return rc;
    }
    next->open_failed_count = cur->open_failed_count; /* RFC 9001 6.6 counts across all keys */
    *out_next = next;
    return QUIC_OK;
}

quic_rc quic_keys_create_plain(quic_keys **out, const quic_crypto *crypto, quic_mem *mem)
{
    quic_keys *k = alloc_keys(mem, crypto, quic_crypto_plain());
    if (k == NULL) {
        return QUIC_E_NOMEM;
    }
    k->aead = k; /* never looked at */
    k->hp = k;
    *out = k;
    return QUIC_OK;
}

void quic_keys_rest(quic_keys *keys)
{
    if (keys->ctx != NULL) {
        keys->suite->aead_deinit(keys->aead);
        keys->suite->hp_deinit(keys->hp);
        free_ctx(keys);
    }
}

quic_rc quic_keys_wake(quic_keys *keys)
{
    return quic_keys_is_resting(keys) ? make_ctx(keys) : QUIC_OK;
}

void quic_keys_destroy(quic_keys *keys)
{
    if (keys == NULL) {
        return;
    }
    quic_keys_rest(keys);
    free_keys(keys);
}

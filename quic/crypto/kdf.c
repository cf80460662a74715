#include "quic/crypto/kdf.h"

#include <openssl/mem.h>

#include "quic/base/bytes.h"
#include "quic/base/check.h"
#include "quic/crypto/sha256_blocks.h"

#define LABEL_PREFIX  "tls13 "
#define LABEL_LEN_MAX 32u
/* HkdfLabel (RFC 8446 7.1): length (2), label (1 + 6 + 32), empty context (1). */
#define INFO_LEN_MAX  (2u + 1u + 6u + LABEL_LEN_MAX + 1u)
#define BLOCK_LEN_MAX 128u

static size_t block_len(unsigned hash_len)
{
    return hash_len == 32 ? SHA256_CBLOCK : SHA512_CBLOCK;
}

static void hash(unsigned hash_len, uint8_t *out, const uint8_t *data, size_t len)
{
    if (hash_len == 32) {
        SHA256(data, len, out);
    } else {
        SHA384(data, len, out);
    }
}

void quic_kdf_init(quic_kdf *kdf, unsigned hash_len, const uint8_t *secret, size_t secret_len)
{
    QURING_ASSERT(hash_len == 32 || hash_len == 48);
    const size_t block = block_len(hash_len);
    uint8_t pad[BLOCK_LEN_MAX] = {0};
    if (secret_len > block) { /* RFC 2104 2 */
        hash(hash_len, pad, secret, secret_len);
    } else if (secret_len > 0) {
        memcpy(pad, secret, secret_len);
    }
    kdf->hash_len = (uint8_t)hash_len;
    for (size_t i = 0; i < block; i++) {
        pad[i] ^= 0x36;
    }
    if (hash_len == 32) {
        quic_sha256_init(kdf->inner.sha256);
        quic_sha256_blocks(kdf->inner.sha256, pad, 1);
    } else {
        SHA384_Init(&kdf->inner.sha384);
        SHA384_Update(&kdf->inner.sha384, pad, block);
    }
    for (size_t i = 0; i < block; i++) {
        pad[i] ^= 0x36 ^ 0x5c;
    }
    if (hash_len == 32) {
        quic_sha256_init(kdf->outer.sha256);
        quic_sha256_blocks(kdf->outer.sha256, pad, 1);
    } else {
        SHA384_Init(&kdf->outer.sha384);
        SHA384_Update(&kdf->outer.sha384, pad, block);
    }
    OPENSSL_cleanse(pad, sizeof(pad));
}

void quic_kdf_deinit(quic_kdf *kdf)
{
    OPENSSL_cleanse(kdf, sizeof(*kdf));
}

/* SHA-256 of one block that `state` has taken and then `data`. */
static void finish_sha256(const uint32_t state[8], uint8_t out[32], const uint8_t *data, size_t len)
{
    uint32_t h[8];
    uint8_t tail[2 * SHA256_CBLOCK] = {0};
    const size_t whole = len / SHA256_CBLOCK;
    const size_t rest = len % SHA256_CBLOCK;
    const size_t tail_blocks = rest + 1 + 8 > SHA256_CBLOCK ? 2 : 1;
    memcpy(h, state, sizeof(h));
    quic_sha256_blocks(h, data, whole);
    if (rest > 0) {
        memcpy(tail, data + whole * SHA256_CBLOCK, rest);
    }
    tail[rest] = 0x80; /* FIPS 180-4 5.1.1 */
    quic_store_be64(tail + tail_blocks * SHA256_CBLOCK - 8, 8 * (uint64_t)(SHA256_CBLOCK + len));
    quic_sha256_blocks(h, tail, tail_blocks);
    for (size_t i = 0; i < 8; i++) {
        quic_store_be32(out + 4 * i, h[i]);
    }
    OPENSSL_cleanse(tail, sizeof(tail));
}

void quic_kdf_hmac(const quic_kdf *kdf, uint8_t *out, const uint8_t *data, size_t len)
{
    uint8_t digest[QUIC_KDF_HASH_LEN_MAX];
    if (kdf->hash_len == 32) {
        finish_sha256(kdf->inner.sha256, digest, data, len);
        finish_sha256(kdf->outer.sha256, out, digest, 32);
    } else {
        SHA512_CTX ctx = kdf->inner.sha384;
        SHA384_Update(&ctx, data, len);
        SHA384_Final(digest, &ctx);
        ctx = kdf->outer.sha384;
        SHA384_Update(&ctx, digest, 48);
        SHA384_Final(out, &ctx);
    }
}

void quic_kdf_expand_label(const quic_kdf *kdf, uint8_t *out, size_t len, const char *label)
{
    const size_t label_len = strlen(label);
    QURING_ASSERT(label_len <= LABEL_LEN_MAX && len <= 255u * kdf->hash_len);

    /* RFC 5869 2.3: T(i) = HMAC(T(i-1) | info | i); room for T before info. */
    uint8_t msg[QUIC_KDF_HASH_LEN_MAX + INFO_LEN_MAX + 1];
    uint8_t *const info = msg + kdf->hash_len;
    size_t n = 0;
    info[n++] = (uint8_t)(len >> 8);
    info[n++] = (uint8_t)len;
    info[n++] = (uint8_t)(sizeof(LABEL_PREFIX) - 1 + label_len);
    memcpy(info + n, LABEL_PREFIX, sizeof(LABEL_PREFIX) - 1);
    n += sizeof(LABEL_PREFIX) - 1;
    memcpy(info + n, label, label_len);
    n += label_len;
    info[n++] = 0;

    size_t off = 0;
    for (uint8_t i = 1; off < len; i++) {
        uint8_t block[QUIC_KDF_HASH_LEN_MAX];
        const size_t lead = i == 1 ? 0 : kdf->hash_len;
        info[n] = i;
        quic_kdf_hmac(kdf, block, info - lead, lead + n + 1);
        const size_t take = len - off < kdf->hash_len ? len - off : kdf->hash_len;
        memcpy(out + off, block, take);
        memcpy(msg, block, kdf->hash_len);
        off += take;
        OPENSSL_cleanse(block, sizeof(block));
    }
    OPENSSL_cleanse(msg, sizeof(msg));
}

void quic_hkdf_extract(unsigned hash_len, uint8_t *out, const uint8_t *salt, size_t salt_len,
                       const uint8_t *ikm, size_t ikm_len)
{
    quic_kdf kdf;
    quic_kdf_init(&kdf, hash_len, salt, salt_len);
    quic_kdf_hmac(&kdf, out, ikm, ikm_len);
    quic_kdf_deinit(&kdf);
}

void quic_hkdf_expand_label(unsigned hash_len, uint8_t *out, size_t len, const uint8_t *secret,
                            size_t secret_len, const char *label)
{
    quic_kdf kdf;
    quic_kdf_init(&kdf, hash_len, secret, secret_len);
    quic_kdf_expand_label(&kdf, out, len, label);
    quic_kdf_deinit(&kdf);
}

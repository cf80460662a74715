#include "quic/crypto/tls_boring_cipher.h"

#include <openssl/aead.h>
#include <openssl/ssl.h>

#include "quic/crypto/crypto.h"

/* One way to a suite: it can be gone when `possible` says so, by `use` (NULL: nothing is to be done). */
typedef struct cipher_way {
    uint16_t suite;
    bool (*possible)(void);
    bool (*use)(SSL_CTX *ctx);
} cipher_way;

static bool prefers_aes(void)
{
    return EVP_has_aes_hardware() == 1;
}

static bool prefers_chacha(void)
{
    return !prefers_aes();
}

static const cipher_way ways[] = {
    {QUIC_SUITE_AES_128_GCM_SHA256, prefers_aes, NULL},
    {QUIC_SUITE_CHACHA20_POLY1305_SHA256, prefers_chacha, NULL},
};

static const cipher_way *find_way(uint16_t suite)
{
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (ways[i].suite == suite && ways[i].possible()) {
            return &ways[i];
        }
    }
    return NULL;
}

bool quic_boring_cipher_can(uint16_t suite)
{
    return find_way(suite) != NULL;
}

bool quic_boring_cipher_use(SSL_CTX *ctx, uint16_t suite)
{
    const cipher_way *way = find_way(suite);
    return way != NULL && (way->use == NULL || way->use(ctx));
}

/* quic/crypto/tls_boring_config.h: a TLS identity and policy, built once, used by all handshakes.
 *
 * Shape:  wraps an SSL_CTX; immutable after creation; reads no files (the caller brings PEM bytes).
 * Owner:  reference counted (atomic); any thread may retain, release and use it.
 */
#ifndef QUIC_CRYPTO_TLS_BORING_CONFIG_H
#define QUIC_CRYPTO_TLS_BORING_CONFIG_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quic_tls_boring_config quic_tls_boring_config;

#define QUIC_TLS_ALPN_COUNT_MAX 16u

typedef struct quic_tls_boring_options {
    const uint8_t *cert_pem; /* chain, leaf first; a server needs it */
    size_t cert_pem_len;
    const uint8_t *key_pem; /* private key, without a pass phrase */
    size_t key_pem_len;
    const uint8_t *ca_pem; /* client: trust anchors, needed to verify. Server: when given and
                              verify_peer is set, clients must show a certificate of these */
    size_t ca_pem_len;
    bool verify_peer;
    bool any_name;           /* client: the chain is verified, not for whom it was made */
    bool any_alpn;           /* server, with an empty list: what the client prefers is taken */
    const char *const *alpn; /* most preferred first, each 1..255 bytes */
    size_t alpn_count;       /* 1..QUIC_TLS_ALPN_COUNT_MAX, 0 only with any_alpn */
} quic_tls_boring_options;

/* quic_tls_boring_config_create_server / _client build a configuration with one reference.
 * Everything in `options` is borrowed for the call. `err` (may be NULL) receives a sentence of at
 * most err_len bytes, 0-terminated, on failure.
 *
 * Returns QUIC_OK; QUIC_E_CRYPTO (bad PEM, key does not match, no certificate, no trust anchors);
 * QUIC_E_INVAL (ALPN list); QUIC_E_NOMEM. */
QUIC_NODISCARD quic_rc quic_tls_boring_config_create_server(quic_tls_boring_config **out,
                                                            const quic_tls_boring_options *options,
                                                            char *err, size_t err_len);
QUIC_NODISCARD quic_rc quic_tls_boring_config_create_client(quic_tls_boring_config **out,
                                                            const quic_tls_boring_options *options,
                                                            char *err, size_t err_len);

/* retain returns its argument; release frees with the last reference (NULL is a no-op). */
quic_tls_boring_config *quic_tls_boring_config_retain(quic_tls_boring_config *config);
void quic_tls_boring_config_release(quic_tls_boring_config *config);

/* quic_tls_boring_config_ctx lends the SSL_CTX (an ssl_ctx_st), for tls_boring.c. */
struct ssl_ctx_st *quic_tls_boring_config_ctx(const quic_tls_boring_config *config);

/* quic_tls_boring_config_names: the name in the peer's certificate is verified. */
bool quic_tls_boring_config_names(const quic_tls_boring_config *config);
bool quic_tls_boring_config_verifies(const quic_tls_boring_config *config);
quic_role quic_tls_boring_config_role(const quic_tls_boring_config *config);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_TLS_BORING_CONFIG_H */

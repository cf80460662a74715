/* quic/crypto/tls_boring_config.h: a TLS identity and policy, built once, used by all handshakes.
 *
 * Shape:  wraps an SSL_CTX, and one more for each further identity; immutable after creation; reads
 *         no files (the caller brings PEM bytes).
 * Ticket: good only where it was made: for the same identity under the same policy towards peers
 *         (client_cert, verify_peer, trust anchors). One of an anonymous client never resumes where
 *         a certificate is required, whatever the ticket keys; one of a client with a certificate
 *         brings it along.
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
#define QUIC_TLS_CHAIN_MAX      (100u << 10)

#define QUIC_TLS_IDENTITIES_MAX 1024u

/* Whether a server asks clients for a certificate (RFC 8446 4.3.2). */
typedef enum quic_client_cert {
    QUIC_CLIENT_CERT_NONE = 0,
    QUIC_CLIENT_CERT_REQUEST, /* a client may go without */
    QUIC_CLIENT_CERT_REQUIRE, /* none is certificate_required, 0x174 */
} quic_client_cert;

/* An identity for the clients that ask for `name`: see sni_table.h. */
typedef struct quic_tls_boring_identity {
    const char *name;
    const uint8_t *cert_pem;
    size_t cert_pem_len;
    const uint8_t *key_pem;
    size_t key_pem_len;
} quic_tls_boring_identity;

typedef struct quic_tls_boring_options {
    const uint8_t *cert_pem; /* chain, leaf first; a server needs it unless it refuses names */
    size_t cert_pem_len;
    const uint8_t *key_pem; /* private key, without a pass phrase */
    size_t key_pem_len;
    const uint8_t *ca_pem; /* trust anchors, needed to verify */
    size_t ca_pem_len;
    bool verify_peer; /* client: the server's chain and name; server: chains of clients that are
                         asked for one. Without it any certificate is taken, and not vouched for */
    quic_client_cert client_cert;               /* server */
    const quic_tls_boring_identity *identities; /* server: by server name */
    size_t identity_count;                      /* at most QUIC_TLS_IDENTITIES_MAX */
    bool refuse_unknown_names; /* server: a name not among the identities is unrecognized_name,
                                  none at all is missing_extension (RFC 6066 3, RFC 8446 9.2) */
    uint32_t
        peer_chain_max_bytes; /* of the peer's Certificate message; 0: QUIC_TLS_CHAIN_MAX. BoringSSL
                                      takes 16 KiB in any case */
    uint64_t valid_at_unix_s; /* not 0: own certificates have to be valid then */
    bool any_name;            /* client: the chain is verified, not for whom it was made */
    bool exports;             /* server: keys are exported after the handshake, too */
    bool any_alpn;            /* server, with an empty list: what the client prefers is taken */
    uint16_t cipher_suite;    /* 0: BoringSSL's choice; else see tls_boring_cipher.h */
    void (*keylog)(void *ctx, const char *line); /* NULL: secrets are told to nobody */
    void *keylog_ctx;
    const char *const *alpn; /* most preferred first, each 1..255 bytes */
    size_t alpn_count;       /* 1..QUIC_TLS_ALPN_COUNT_MAX (RFC 9001 8.1), 0 only with any_alpn */
} quic_tls_boring_options;

/* quic_tls_boring_config_create_server / _client build a configuration with one reference.
 * Everything in `options` is borrowed for the call. `err` (may be NULL) receives a sentence of at
 * most err_len bytes, 0-terminated, on failure.
 *
 * Returns QUIC_OK; QUIC_E_CRYPTO (bad PEM, key does not match, no certificate, no trust anchors, not
 * valid at that time, a cipher suite that cannot be chosen); QUIC_E_INVAL (ALPN list, a name of an identity, too
 * many); QUIC_E_NOMEM. */
QUIC_NODISCARD quic_rc quic_tls_boring_config_create_server(quic_tls_boring_config **out,
                                                            const quic_tls_boring_options *options,
                                                            char *err, size_t err_len);
QUIC_NODISCARD quic_rc quic_tls_boring_config_create_client(quic_tls_boring_config **out,
                                                            const quic_tls_boring_options *options,
                                                            char *err, size_t err_len);

/* retain returns its argument; release frees with the last reference (NULL is a no-op). */
quic_tls_boring_config *quic_tls_boring_config_retain(quic_tls_boring_config *config);
void quic_tls_boring_config_release(quic_tls_boring_config *config);

/* quic_tls_boring_config_ctx lends the SSL_CTX (an ssl_ctx_st) that handshakes begin with, for
 * tls_boring.c. */
struct ssl_ctx_st *quic_tls_boring_config_ctx(const quic_tls_boring_config *config);

/* quic_tls_boring_config_names: the name in the peer's certificate is verified. */
bool quic_tls_boring_config_names(const quic_tls_boring_config *config);
bool quic_tls_boring_config_verifies(const quic_tls_boring_config *config);
bool quic_tls_boring_config_exports(const quic_tls_boring_config *config);
quic_role quic_tls_boring_config_role(const quic_tls_boring_config *config);

#ifdef __cplusplus
}
#endif

#endif /* QUIC_CRYPTO_TLS_BORING_CONFIG_H */
